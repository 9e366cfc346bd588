"""Checkers of chapter 7, training: smoothed labels, a batch in parts, a score, and cutting words."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.core import Answer, Case, Exercise, Law, Mistake, numbers
from minattn.subwords import join
from minattn.vocabulary import EOS, PAD

# 7.1 -------------------------------------------------------------------------------------------------


def loss_with_smoothing(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    """Average the cross-entropy with smoothed labels over the tokens that are not padding."""
    return _loss(logits, target_out, eps)


Labels = Callable[[Tensor, int, float], Tensor]
"""Takes target_out, the size of the vocabulary and eps, and says how much each word shall get."""


def _loss(
    logits: Tensor,
    target_out: Tensor,
    eps: float,
    *,
    labels: Labels | None = None,
    logs: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    average: Callable[[Tensor, Tensor], Tensor] = lambda terms, tokens: terms[tokens].mean(),
    last_special: int = PAD,
) -> Tensor:
    wanted = (labels or _share())(target_out, logits.shape[-1], eps)
    terms = -(wanted * logs(logits)).sum(-1)  # (batch, target)
    return average(terms, target_out > last_special)


def _share(
    right: Callable[[float, int], float] = lambda eps, v: 1 - eps + eps / v,
    other: Callable[[float, int], float] = lambda eps, v: eps / v,
    pad: Callable[[float, int], float] | None = None,
) -> Labels:
    """Make labels that give the right token one share, each other one another, and perhaps PAD its own."""

    def labels(target_out: Tensor, v: int, eps: float) -> Tensor:
        wanted = torch.full((*target_out.shape, v), other(eps, v))
        if pad is not None:
            wanted[..., PAD] = pad(eps, v)
        return wanted.scatter(-1, target_out[..., None], right(eps, v))

    return labels


def _uniform_over_padding(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    tokens, logs = target_out != PAD, logits.log_softmax(-1)
    right = logs.gather(-1, target_out[..., None])[..., 0]
    return -((1 - eps) * right[tokens].sum() + eps * logs.mean(-1).sum()) / tokens.sum()


def _less_entropy(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    wanted = _share()(target_out, logits.shape[-1], eps)
    return _loss(logits, target_out, eps) + torch.xlogy(wanted, wanted).sum(-1).mean()


def _pad_left_out_and_kl(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    v, tokens = logits.shape[-1], target_out != PAD
    wanted = _share(lambda eps, v: 1 - eps, lambda eps, v: eps / (v - 2), lambda eps, v: 0.0)
    labels = wanted(target_out, v, eps)[tokens]
    return F.kl_div(logits[tokens].log_softmax(-1), labels, reduction="sum") / tokens.sum()


def _model_smoothed(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    smoothed = (1 - eps) * logits.softmax(-1) + eps / logits.shape[-1]
    return _loss(logits, target_out, 0.0, logs=lambda _: smoothed.log())


def _reshaped(logits: Tensor, target_out: Tensor, eps: float) -> Tensor:
    batch, target, v = logits.shape
    scrambled = logits.reshape(batch, v, target)
    return F.cross_entropy(scrambled, target_out, ignore_index=PAD, label_smoothing=eps)


def _log_of_sum(logits: Tensor, least: float) -> Tensor:
    return (logits.softmax(-1) + least).log()


def _log_of_clamped(logits: Tensor, least: float) -> Tensor:
    return logits.softmax(-1).clamp(min=least).log()


_UNDERFLOWING: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda logits: logits.softmax(-1).log(),
    *(partial(_log_of_sum, least=least) for least in (1e-12, 1e-10, 1e-9, 1e-8)),
    *(partial(_log_of_clamped, least=least) for least in (1e-12, 1e-10, 1e-9, 1e-8)),
)
"""Logarithms of probabilities that may be rounded to 0, bare or with something put in its place."""


def _sentences(terms: Tensor, tokens: Tensor) -> Tensor:
    return ((terms * tokens).sum(1) / tokens.sum(1)).mean()


def _padded(seed: int, vocab_size: int, target: int, *lengths: int) -> Tensor:
    """Make targets of some lengths, EOS included, padded to a common one."""
    ids = torch.full((len(lengths), target), PAD)
    for i, length in enumerate(lengths):
        uniform = (numbers(seed + i, length - 1).abs() * 997).long() % (vocab_size - EOS - 1)
        ids[i, : length - 1] = EOS + 1 + uniform
        ids[i, length - 1] = EOS
    return ids


def _smoothing_cases() -> list[Case]:
    return [
        (numbers(900, 2, 3, 5), _padded(903, 5, 3, 3, 3), 0.3),
        (2 * numbers(906, 3, 5, 7), _padded(909, 7, 5, 5, 2, 3), 0.1),
        (2 * numbers(912, 2, 7, 11), _padded(915, 11, 7, 4, 7), 0.0),
        # Here some words are all but ruled out.
        (60 * numbers(918, 2, 5, 7), _padded(921, 7, 5, 3, 5), 0.2),
    ]


def _entropy_of_labels(eps: float, v: int) -> float:
    shares = [1 - eps + eps / v] + [eps / v] * (v - 1)
    return -sum(q * math.log(q) for q in shares if q)


SMOOTHING = Exercise(
    number="7.1",
    title="Smoothed labels",
    solution=loss_with_smoothing,
    cases=_smoothing_cases,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "padding_counted",
            partial(_loss, average=lambda terms, tokens: terms.mean()),
            "Padding counts as if it were a word, in the sum and in the mean. Then the model is trained to "
            "say padding, and short sentences seem to be easy. Leave out the places where target_out is "
            "PAD.",
        ),
        Mistake(
            "padding_in_the_sum",
            partial(_loss, average=lambda terms, tokens: terms.sum() / tokens.sum()),
            "You divide by the number of tokens that are not padding, but what padding costs is still in "
            "the sum. Take it out of both parts, that of the right token and that of all words.",
            also=[_uniform_over_padding],
        ),
        Mistake(
            "padding_in_the_mean",
            partial(_loss, average=lambda terms, tokens: (terms * tokens).mean()),
            "What padding costs is set to 0, but the mean still divides by all places. Then the same "
            "sentence costs less in a longer batch. Divide by the number of tokens that are not padding.",
        ),
        Mistake(
            "mean_over_sentences",
            partial(_loss, average=_sentences),
            "You take the mean of each sentence first, and then the mean of those. A token of a short "
            "sentence then weighs more than one of a long sentence. Here all tokens weigh the same.",
        ),
        Mistake(
            "divided_by_sentences",
            partial(_loss, average=lambda terms, tokens: terms[tokens].sum() / len(terms)),
            "You divide by the number of sentences. That is what a sentence costs, and it grows with its "
            "length. Divide by the number of tokens.",
        ),
        Mistake(
            "sum",
            partial(_loss, average=lambda terms, tokens: terms[tokens].sum()),
            "This is the sum over the tokens; the mean is asked for. With a sum, a batch with more tokens "
            "makes larger steps.",
        ),
        Mistake(
            "mean_over_words",
            partial(
                _loss,
                logs=lambda logits: logits.log_softmax(-1) / logits.shape[-1],
            ),
            "The sum over the vocabulary has become a mean, so the loss is too small by the factor V. The "
            "shares q sum to 1 already: q times log p is summed over the words. Only over the tokens there "
            "is a mean.",
            also=[
                partial(
                    _loss,
                    logs=lambda logits: logits.log_softmax(-1) / logits.shape[-1],
                    average=lambda terms, tokens: (terms * tokens).mean(),
                ),
                partial(
                    _loss,
                    logs=lambda logits: logits.log_softmax(-1) / logits.shape[-1],
                    average=lambda terms, tokens: terms.mean(),
                ),
            ],
        ),
        Mistake(
            "eos_left_out",
            partial(_loss, last_special=EOS),
            "EOS is left out together with padding. But EOS is a token that the model has to say: if it is "
            "not trained, no sentence ever ends. Only padding does not count.",
        ),
        Mistake(
            "others_only",
            partial(
                _loss,
                labels=_share(right=lambda eps, v: 1 - eps, other=lambda eps, v: eps / (v - 1)),
            ),
            "You spread eps over the V - 1 wrong words, and the right one keeps 1 - eps. Some programs do "
            "so. Here, as in the paper, eps is spread over all V words, the right one among them: it gets "
            "1 - eps + eps / V.",
        ),
        Mistake(
            "right_without_share",
            partial(_loss, labels=_share(right=lambda eps, v: 1 - eps)),
            "The wrong words get eps / V each, the right one only 1 - eps. Together that is less than 1. "
            "The right word gets its part of eps as well: 1 - eps + eps / V.",
        ),
        Mistake(
            "right_not_scaled",
            partial(_loss, labels=_share(right=lambda eps, v: 1 + eps / v)),
            "The right word keeps all of its 1, and eps comes on top. The shares sum to 1 + eps. What is "
            "given to all words is first taken from the right one: (1 - eps) times one-hot.",
        ),
        Mistake(
            "eps_forgotten",
            partial(
                _loss,
                labels=_share(lambda eps, v: 1 - eps + 1 / v, lambda eps, v: 1 / v),
            ),
            "In the even part eps is forgotten: every word gets 1 / V, so the shares sum to 2 - eps. "
            "Even for eps = 0 the labels are smoothed. It is eps / V.",
            also=[partial(_loss, labels=_share(lambda eps, v: 1 + 1 / v, lambda eps, v: 1 / v))],
        ),
        Mistake(
            "not_spread",
            partial(_loss, labels=_share(lambda eps, v: 1.0, lambda eps, v: eps)),
            "Every word gets eps, and not eps / V. The shares sum to far more than 1. eps is what all words "
            "get together: take the mean of the log probabilities over the vocabulary, not their sum.",
            also=[partial(_loss, labels=_share(lambda eps, v: 1 - eps, lambda eps, v: eps))],
        ),
        Mistake(
            "swapped",
            partial(
                _loss,
                labels=_share(lambda eps, v: eps + (1 - eps) / v, lambda eps, v: (1 - eps) / v),
            ),
            "eps and 1 - eps have changed places: nearly everything is spread over the vocabulary, and "
            "little is left for the right word. eps is the small part that is spread.",
        ),
        Mistake(
            "uniform_missing",
            partial(_loss, labels=_share(lambda eps, v: 1 - eps, lambda eps, v: 0.0)),
            "The loss is only made smaller, by 1 - eps. What is taken from the right word must go to all "
            "words. Without that, the best thing is still to give the right word everything.",
        ),
        Mistake(
            "no_smoothing",
            partial(_loss, labels=_share(lambda eps, v: 1.0, lambda eps, v: 0.0)),
            "This is the loss without smoothing: eps is not used.",
        ),
        Mistake(
            "pad_left_out",
            partial(
                _loss,
                labels=_share(
                    lambda eps, v: 1 - eps + eps / (v - 1),
                    lambda eps, v: eps / (v - 1),
                    pad=lambda eps, v: 0.0,
                ),
            ),
            "PAD gets no share of eps. That is a good thought, for PAD is never right, and some programs do "
            "so. But the task, like the paper, spreads eps over all V words. What is left out are the "
            "places where target_out is PAD.",
            also=[
                partial(_loss, labels=_share(pad=lambda eps, v: 0.0)),
                partial(
                    _loss,
                    labels=_share(
                        lambda eps, v: 1 - eps,
                        lambda eps, v: eps / (v - 2),
                        pad=lambda eps, v: 0.0,
                    ),
                ),
                _pad_left_out_and_kl,
            ],
        ),
        Mistake(
            "model_smoothed",
            _model_smoothed,
            "You smooth what the model says, not what it should say: the logarithm is taken of a mix of its "
            "probability and 1 / V. That makes every loss smaller. Smoothing belongs to the labels, so the "
            "mix stands outside the logarithm.",
        ),
        Mistake(
            "less_entropy",
            _less_entropy,
            "You took off the entropy of the labels. What is left is the KL divergence, which is 0 at best. "
            "Its gradient is the same, but the task asks for the cross-entropy: -sum q log p, with no "
            "q log q.",
        ),
        Mistake(
            "probabilities",
            partial(_loss, logs=lambda logits: logits.softmax(-1)),
            "The logarithm is missing: you multiply the shares with probabilities. Every result lies "
            "between -1 and 0. Use log_softmax.",
        ),
        Mistake(
            "raw_logits",
            partial(_loss, logs=lambda logits: logits),
            "The logits are used as they are. They are no log probabilities: add the same number to all of "
            "them, and your loss changes. First log_softmax over the vocabulary.",
        ),
        Mistake(
            "softmax_twice",
            partial(_loss, logs=lambda logits: logits.softmax(-1).log_softmax(-1)),
            "The softmax is taken twice. What takes logits, such as log_softmax and F.cross_entropy, does "
            "it already; of probabilities it makes nearly even ones.",
        ),
        Mistake(
            "wrong_axis",
            partial(_loss, logs=lambda logits: logits.log_softmax(1)),
            "The softmax runs over the places or over the batch. The words of the vocabulary share the "
            "probability, at every place by itself, so it runs over the last axis.",
            also=[partial(_loss, logs=lambda logits: logits.log_softmax(0))],
        ),
        Mistake(
            "sign",
            partial(_loss, average=lambda terms, tokens: -terms[tokens].mean()),
            "The sign is missing. Log probabilities are below 0; a loss is above it, and training makes it "
            "small.",
        ),
        Mistake(
            "bits",
            partial(_loss, average=lambda terms, tokens: terms[tokens].mean() / math.log(2)),
            "These are bits: a logarithm to the base 2. The task asks for nats, the natural logarithm.",
        ),
        Mistake(
            "shifted",
            lambda logits, target_out, eps: _loss(logits[:, :-1], target_out[:, 1:], eps),
            "The logits are compared with the token one place later. The shift is made already: target_in "
            "begins with BOS and target_out does not, so logits at place t guess target_out at place t.",
            also=[lambda logits, target_out, eps: _loss(logits[:, 1:], target_out[:, :-1], eps)],
        ),
        Mistake(
            "reshaped",
            _reshaped,
            "F.cross_entropy wants the vocabulary as second axis, and you got there by a reshape or view. "
            "That deals the same numbers out anew, so logits of several places are mixed. Use "
            "logits.transpose(1, 2).",
        ),
        Mistake(
            "underflow",
            partial(_loss, logs=_UNDERFLOWING[0]),
            "Where the model all but rules a word out, its probability is rounded to 0, and the logarithm "
            "of that is minus infinity or what you put there instead. With smoothed labels every word "
            "counts, so this hurts. log_softmax never forms the small number.",
            also=[partial(_loss, logs=logs) for logs in _UNDERFLOWING[1:]],
        ),
        Mistake(
            "vocabulary_not_second",
            lambda logits, target_out, eps: F.cross_entropy(logits, target_out),
            "F.cross_entropy expects the vocabulary as second axis, and here it is the last. Turn it with "
            "logits.transpose(1, 2), or make one long row of tokens of both: flatten(0, 1).",
        ),
    ],
    laws=[
        Law("the loss is a finite number", lambda out, *case: math.isfinite(out)),
        Law(
            "no model gets below the entropy of the smoothed labels",
            lambda out, logits, target_out, eps: (
                float(out) > _entropy_of_labels(eps, logits.shape[-1]) - 1e-4
            ),
        ),
    ],
)

# 7.2 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Graph:
    """What a loss keeps of its tokens, until its gradient is taken or nobody needs it."""

    n_tokens: int
    memory: "WeakSet[_Graph]"

    def __call__(self, grad: Tensor) -> None:
        """Free the memory; the loss calls this when a gradient goes back through it."""
        self.memory.discard(self)


@dataclass(frozen=True)
class MeanLoss:
    """The loss of a model with one matrix, in a memory that holds few tokens at a time.

    Args:
        most: how many tokens fit.
    """

    most: int
    _memory: WeakSet[_Graph] = field(default_factory=WeakSet, init=False, repr=False, compare=False)

    def __call__(self, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross-entropy of the tokens of one part."""
        if len(y) > self.most:
            raise RuntimeError(f"out of memory: at most {self.most} tokens fit, got {len(y)}")
        if len(y) + sum(graph.n_tokens for graph in self._memory) > self.most:
            raise RuntimeError(
                "memory for one part only: a loss from before still waits for its backward()"
            )
        loss = F.cross_entropy(x @ w.T, y)
        if loss.requires_grad:
            graph = _Graph(len(y), self._memory)
            self._memory.add(graph)
            loss.register_hook(graph)  # type: ignore[no-untyped-call]
        return loss


Part = tuple[Tensor, Tensor]


def accumulated_gradient(
    w: Tensor, parts: Sequence[Part], mean_loss: Callable[..., Tensor], clip: float
) -> Tensor:
    """Return the gradient of the mean loss over all tokens, part by part, clipped at the end."""
    return _clipped(_total(w, parts, mean_loss), clip)


Weights = Callable[[list[int]], list[float]]
"""Takes the number of tokens of each part, and says how much its gradient counts."""


def _by_tokens(sizes: list[int]) -> list[float]:
    return [n / sum(sizes) for n in sizes]


def _terms(
    w: Tensor, parts: Sequence[Part], mean_loss: Callable[..., Tensor], weights: Weights
) -> list[Tensor]:
    shares = weights([len(y) for _, y in parts])
    grads = [torch.autograd.grad(mean_loss(w, x, y), w)[0] for x, y in parts]
    return [share * grad for share, grad in zip(shares, grads, strict=True)]


def _total(
    w: Tensor,
    parts: Sequence[Part],
    mean_loss: Callable[..., Tensor],
    weights: Weights = _by_tokens,
) -> Tensor:
    return torch.stack(_terms(w, parts, mean_loss, weights)).sum(0)


def _clipped(grad: Tensor, clip: float) -> Tensor:
    return grad * min(1.0, clip / float(grad.norm()))


def _weighted(weights: Weights, last: slice = slice(None)) -> Answer:
    """Make an answer that weighs the parts in another way, or takes only some of them."""

    def answer(w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float) -> Tensor:
        terms = _terms(w, parts, mean_loss, weights)
        return _clipped(torch.stack(terms[last]).sum(0), clip)

    return answer


def _clipped_by(change: Callable[[Tensor, float], Tensor]) -> Answer:
    """Make an answer that clips in another way."""
    return lambda w, parts, mean_loss, clip: change(_total(w, parts, mean_loss), clip)


def _scaled_by(norm: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer that clips by another norm."""
    return _clipped_by(lambda grad, clip: grad * (clip / norm(grad)).clamp(max=1.0))


def _in_parts(w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float) -> Tensor:
    return torch.stack([_clipped(g, clip) for g in _terms(w, parts, mean_loss, _by_tokens)]).sum(0)


def _in_parts_before_weights(
    w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float
) -> Tensor:
    shares = _by_tokens([len(y) for _, y in parts])
    terms = _terms(w, parts, mean_loss, lambda sizes: [1.0] * len(sizes))
    return torch.stack([s * _clipped(g, clip) for s, g in zip(shares, terms, strict=True)]).sum(0)


def _as_it_grows(weights: Weights, w: Tensor, parts: Any, mean_loss: Any, clip: float) -> Tensor:
    total = torch.zeros_like(w)
    for term in _terms(w, parts, mean_loss, weights):
        total = _clipped(total + term, clip)
    return total


def _full_parts_only(w: Tensor, parts: Any, mean_loss: Any, clip: float) -> Tensor:
    full = max(len(y) for _, y in parts)
    return accumulated_gradient(w, [p for p in parts if len(p[1]) == full], mean_loss, clip)


def _never_cleared(weights: Weights) -> Answer:
    """Make an answer that adds up what has been added up already."""

    def answer(w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float) -> Tensor:
        terms = torch.stack(_terms(w, parts, mean_loss, weights))
        return _clipped(terms.cumsum(0).sum(0), clip)

    return answer


def _backward_at_the_end(w: Tensor, parts: Any, mean_loss: Any, clip: float) -> Tensor:
    shares = _by_tokens([len(y) for _, y in parts])
    losses = [s * mean_loss(w, x, y) for s, (x, y) in zip(shares, parts, strict=True)]
    return _clipped(torch.autograd.grad(torch.stack(losses).sum(), w)[0], clip)


def _added_to_the_old(
    weights: Weights, n: Callable[[list[int]], float] = lambda sizes: 1
) -> Answer:
    """Make an answer that adds to what w.grad holds, and divides by something then."""

    def answer(w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float) -> Tensor:
        old = torch.zeros_like(w) if w.grad is None else w.grad
        grad = old + _total(w, parts, mean_loss, weights)
        return _clipped(grad / n([len(y) for _, y in parts]), clip)

    return answer


def _put_together(w: Tensor, parts: Sequence[Part], mean_loss: Any, clip: float) -> Tensor:
    x, y = (torch.cat(both) for both in zip(*parts, strict=True))
    return _clipped(torch.autograd.grad(mean_loss(w, x, y), w)[0], clip)


def _parts_cases() -> list[Case]:
    def case(seed: int, vocab: int, d: int, sizes: Sequence[int], clip: float) -> Case:
        w = numbers(seed, vocab, d).requires_grad_()
        parts = []
        for i, n in enumerate(sizes, 1):
            y = (numbers(seed + 20 * i, n).abs() * 997).long() % vocab
            parts.append((2 * numbers(seed + 20 * i + 1, n, d), y))
        return w, parts, MeanLoss(max(sizes)), clip

    with_old_gradient = case(1006, 5, 3, (2, 4, 3), 0.5)
    with_old_gradient[0].grad = numbers(1007, 5, 3)
    return [
        case(1000, 3, 2, (2, 2, 1), 30.0),
        case(1002, 5, 3, (2, 5, 3), 0.25),
        case(1004, 3, 2, (3, 3, 3, 1), 0.5),
        with_old_gradient,
    ]


def _show_parts(w: Tensor, parts: Sequence[Part], mean_loss: MeanLoss, clip: float) -> str:
    rows, columns = w.shape
    sizes = ", ".join(str(len(y)) for _, y in parts)
    old = "" if w.grad is None else " and a gradient from before"
    return (
        f"w of shape ({rows}, {columns}){old}, parts with {sizes} tokens, mean_loss for at most "
        f"{mean_loss.most} tokens, clip = {clip}"
    )


PARTS = Exercise(
    number="7.2",
    title="A large batch in small parts",
    solution=accumulated_gradient,
    cases=_parts_cases,
    show_case=_show_parts,
    tolerance=1e-4,
    mistakes=[
        Mistake(
            "mean_of_means",
            _weighted(lambda sizes: [1 / len(sizes)] * len(sizes)),
            "You take the mean of the parts' means. A part with one token then counts as much as one with "
            "five, so its token counts five times. In one large batch all tokens count the same: weigh each "
            "part by its share of the tokens.",
        ),
        Mistake(
            "not_divided",
            _weighted(lambda sizes: [1.0] * len(sizes)),
            "The gradients of the parts are added as they are. Each of them belongs to a mean already, so "
            "the sum grows with the number of parts: as if the learning rate had grown. Weigh each part by "
            "its share of the tokens.",
        ),
        Mistake(
            "sum_over_tokens",
            _weighted(lambda sizes: [float(n) for n in sizes]),
            "Each part counts by its number of tokens, which is right, but nothing is divided by the number "
            "of all of them. This is the gradient of the sum.",
        ),
        Mistake(
            "taken_for_sums",
            _weighted(lambda sizes: [1 / sum(sizes)] * len(sizes)),
            "You add the gradients and divide by the number of all tokens. That would be right for sums. "
            "mean_loss has divided by the tokens of its part already: multiply by these first.",
            also=[_weighted(lambda sizes: [1 / n for n in sizes])],
        ),
        Mistake(
            "divided_twice",
            _weighted(lambda sizes: [n / sum(sizes) / len(sizes) for n in sizes]),
            "The parts count by their share of the tokens, and then you divide by the number of parts as "
            "well. The shares sum to 1 already.",
        ),
        Mistake(
            "parts_taken_for_equal",
            _weighted(lambda sizes: [n / (len(sizes) * sizes[0]) for n in sizes]),
            "You divide by the number of parts times the size of one of them. The parts have different "
            "sizes: count the tokens of all of them.",
            also=[
                _weighted(lambda sizes: [n / (len(sizes) * max(sizes)) for n in sizes]),
                _weighted(lambda sizes: [n / (len(sizes) * sizes[-1]) for n in sizes]),
                _weighted(lambda sizes: [n / len(sizes) for n in sizes]),
            ],
        ),
        Mistake(
            "cleared_in_every_part",
            _weighted(_by_tokens, slice(-1, None)),
            "Only the last part has a say. Either the gradient is cleared in every part, or each part "
            "overwrites the one before. Clear once, before the loop, and add.",
            also=[
                _weighted(lambda sizes: [1.0] * len(sizes), slice(-1, None)),
                _weighted(lambda sizes: [1 / len(sizes)] * len(sizes), slice(-1, None)),
            ],
        ),
        Mistake(
            "first_part_only",
            _weighted(_by_tokens, slice(1)),
            "Only the first part has a say. Does your return stand inside the loop?",
            also=[_weighted(lambda sizes: [1.0] * len(sizes), slice(1))],
        ),
        Mistake(
            "last_part_dropped",
            lambda w, parts, mean_loss, clip: accumulated_gradient(w, parts[:-1], mean_loss, clip),
            "A part is left out, the last one or the smaller ones. It has fewer tokens, but they belong to "
            "the batch like all others: let it count by its share.",
            also=[_full_parts_only, _weighted(_by_tokens, slice(-1))],
        ),
        Mistake(
            "never_cleared",
            _never_cleared(_by_tokens),
            "The first parts are counted several times. backward() adds to w.grad what is new, so w.grad is "
            "the sum already; whoever adds w.grad to a sum of their own counts the earlier parts again.",
            also=[_never_cleared(lambda sizes: [1.0] * len(sizes))],
        ),
        Mistake(
            "old_gradient",
            _added_to_the_old(_by_tokens),
            "w may hold a gradient from before, and you add to that. backward() only adds, it never "
            "clears: set w.grad = None once, before the first part.",
            also=[_added_to_the_old(lambda sizes: [float(n) for n in sizes], n=sum)],
        ),
        Mistake(
            "backward_at_the_end",
            _backward_at_the_end,
            "You keep the losses of several parts and go backward later. Until its backward() a loss keeps "
            "all that it was made from, so this needs the memory of the large batch. Call backward() in the "
            "loop, right after each loss: the gradients add up in w.grad.",
        ),
        Mistake(
            "clipped_in_every_part",
            _in_parts,
            "You clip in every part, before the sum is complete. Gradients of parts are longer than their "
            "mean, where they disagree, so too much is cut off. As in one large batch, clip once, at the "
            "end.",
            also=[
                _in_parts_before_weights,
                lambda w, parts, mean_loss, clip: _clipped(
                    _in_parts(w, parts, mean_loss, clip), clip
                ),
                partial(_as_it_grows, _by_tokens),
            ],
        ),
        Mistake(
            "clipped_before_division",
            lambda w, parts, mean_loss, clip: (
                _clipped(_total(w, parts, mean_loss, lambda sizes: [float(n) for n in sizes]), clip)
                / sum(len(y) for _, y in parts)
            ),
            "You clip the sum and divide afterwards. The result is then never longer than clip divided by "
            "the number of tokens. First the mean, then the clip.",
        ),
        Mistake(
            "not_clipped",
            _clipped_by(lambda grad, clip: grad),
            "The sum over the parts is right, but it is not clipped: one of the gradients is longer than "
            "clip.",
        ),
        Mistake(
            "scaled_up",
            _clipped_by(lambda grad, clip: grad * clip / grad.norm()),
            "Short gradients are made longer. Near the end of training, where gradients are short, the steps "
            "would stay large. Clipping only shortens: the factor is 1 at most.",
            also=[_clipped_by(lambda grad, clip: grad * max(1.0, clip / float(grad.norm())))],
        ),
        Mistake(
            "multiplied_by_clip",
            _clipped_by(lambda grad, clip: grad * clip if grad.norm() > clip else grad),
            "You multiply the gradient by clip. Its norm is then clip times what it was, and not clip. It "
            "should be clip / norm: dividing by the norm makes the norm 1, and then clip is right.",
            also=[_clipped_by(lambda grad, clip: grad * clip)],
        ),
        Mistake(
            "per_element",
            _clipped_by(lambda grad, clip: grad.clamp(-clip, clip)),
            "Every number is cut by itself. That turns the gradient into another direction. Clipping to a "
            "norm multiplies all numbers with the same factor.",
        ),
        Mistake(
            "per_row",
            _scaled_by(lambda grad: grad.norm(dim=-1, keepdim=True)),
            "Each row or column is clipped by itself. One norm is meant, that of all numbers together; "
            "then the direction stays.",
            also=[_scaled_by(lambda grad: grad.norm(dim=0, keepdim=True))],
        ),
        Mistake(
            "no_root",
            _scaled_by(lambda grad: grad.square().sum()),
            "You compare clip with the sum of the squares. The norm is its root.",
        ),
        Mistake(
            "other_norm",
            _scaled_by(lambda grad: grad.abs().sum()),
            "You compare clip with another norm: the sum of the absolute values, or the largest of them. "
            "Meant is the root of the sum of the squares.",
            also=[
                _scaled_by(lambda grad: grad.abs().max()),
                _scaled_by(lambda grad: torch.linalg.matrix_norm(grad, 2)),
                _scaled_by(lambda grad: grad.square().mean().sqrt()),
            ],
        ),
        Mistake(
            "put_together",
            _put_together,
            "You put the parts together again, and the large batch does not fit into the memory: that is "
            "why it came in parts. Compute one gradient for each part, and add.",
        ),
    ],
    laws=[
        Law(
            "the norm of the gradient is clip at most",
            lambda out, w, parts, mean_loss, clip: float(out.norm()) <= clip * (1 + 1e-4),
        ),
    ],
)

# 7.3 -------------------------------------------------------------------------------------------------


def sentence_scores(logits: Tensor, target_out: Tensor) -> Tensor:
    """Add the log probabilities of the tokens of every target; padding costs nothing."""
    return _scores(logits, target_out)


def _scores(
    logits: Tensor,
    target_out: Tensor,
    *,
    logs: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    add: Callable[[Tensor, Tensor], Tensor] = lambda terms, tokens: (terms * tokens).sum(1),
    last_special: int = PAD,
) -> Tensor:
    terms = logs(logits).gather(-1, target_out[..., None])[..., 0]  # (batch, target)
    return add(terms, target_out > last_special)


def _of_products(product: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    """Make an answer from the probabilities of the tokens."""
    return partial(_scores, logs=lambda logits: logits.softmax(-1), add=product)


def _product(p: Tensor, tokens: Tensor) -> Tensor:
    return p.where(tokens, torch.ones(())).prod(1)


def _crosswise(logits: Tensor, target_out: Tensor) -> Tensor:
    places = torch.arange(target_out.shape[1])
    terms = logits.log_softmax(-1)[:, places, target_out]  # (batch, batch, target)
    return (terms * (target_out != PAD)).sum(-1)


def _score_cases() -> list[Case]:
    return [
        (numbers(1100, 2, 3, 5), _padded(1103, 5, 3, 3, 3)),
        (2 * numbers(1106, 3, 5, 7), _padded(1109, 7, 5, 2, 5, 3)),
        (2 * numbers(1112, 1, 4, 11), _padded(1115, 11, 4, 4)),
        # Here some of the tokens are all but ruled out.
        (60 * numbers(1124, 2, 5, 7), _padded(1127, 7, 5, 5, 5)),
        # These scores are so low that even a double has no place for their exp.
        (2 * numbers(1118, 2, 401, 11), _padded(1121, 11, 401, 401, 397)),
    ]


SCORES = Exercise(
    number="7.3",
    title="What does padding cost the score?",
    solution=sentence_scores,
    cases=_score_cases,
    mistakes=[
        Mistake(
            "padding_counted",
            partial(_scores, add=lambda terms, tokens: terms.sum(1)),
            "Padding is counted as if it had to be said. Then a sentence loses score because another one in "
            "its batch is longer. Take the places where target_out is PAD out of the sum.",
        ),
        Mistake(
            "masked_too_early",
            _of_products(lambda p, tokens: (p * tokens).log().sum(1)),
            "The probabilities of padding are set to 0, and the logarithm of 0 is minus infinity. Take the "
            "logarithm first and put the 0 there: a logarithm of 0 is a probability of 1, which changes "
            "nothing.",
        ),
        Mistake(
            "eos_left_out",
            partial(_scores, last_special=EOS),
            "EOS is left out. That the sentence ends here is something that the model says, and it has its "
            "price. Without it a sentence that breaks off in the middle would have the best score.",
            also=[
                partial(
                    _scores,
                    add=lambda terms, tokens: (terms * tokens)[:, :-1].sum(1),
                ),
            ],
        ),
        Mistake(
            "mean",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1) / tokens.sum(1)),
            "This is the mean over the tokens. It is a fair way to compare sentences of different length, "
            "but it is not the log probability of the whole one: probabilities are multiplied, so their "
            "logarithms are added.",
            also=[
                partial(_scores, add=lambda terms, tokens: (terms * tokens).mean(1)),
                partial(_scores, add=lambda terms, tokens: terms.mean(1)),
            ],
        ),
        Mistake(
            "shifted",
            lambda logits, target_out: _scores(logits[:, :-1], target_out[:, 1:]),
            "The logits are compared with the token one place later. The shift is made already: target_in "
            "begins with BOS and target_out does not, so logits at place t guess target_out at place t.",
            also=[lambda logits, target_out: _scores(logits[:, 1:], target_out[:, :-1])],
        ),
        Mistake(
            "probability",
            _of_products(_product),
            "This is the probability itself. Of a long sentence it is so small that it is rounded to 0. The "
            "task asks for its logarithm, in which the product is a sum.",
            also=[partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1).exp())],
        ),
        Mistake(
            "product_underflows",
            _of_products(lambda p, tokens: _product(p, tokens).log()),
            "You multiply the probabilities and take the logarithm of the product. For short sentences that "
            "is right. The product of a long one is rounded to 0, and its logarithm is minus infinity. Add "
            "the logarithms.",
            also=[
                _of_products(lambda p, tokens: _product(p.double(), tokens).log()),
                _of_products(lambda p, tokens: (_product(p, tokens) + 1e-9).log()),
                _of_products(lambda p, tokens: (_product(p, tokens) + 1e-12).log()),
                _of_products(lambda p, tokens: _product(p, tokens).clamp(min=1e-9).log()),
                _of_products(lambda p, tokens: _product(p, tokens).clamp(min=1e-12).log()),
                partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1).exp().log()),
            ],
        ),
        Mistake(
            "underflow",
            partial(_scores, logs=_UNDERFLOWING[0]),
            "You take the logarithm of the softmax. Where the model all but rules a token out, its "
            "probability is rounded to 0, and the logarithm of that is minus infinity or what you put there "
            "instead. log_softmax never forms the small number.",
            also=[partial(_scores, logs=logs) for logs in _UNDERFLOWING[1:]],
        ),
        Mistake(
            "probabilities_added",
            _of_products(lambda p, tokens: (p * tokens).sum(1)),
            "Probabilities are added. All tokens have to be said, one after the other, so their "
            "probabilities are multiplied, and the logarithms are added.",
            also=[_of_products(lambda p, tokens: (p * tokens).sum(1).log())],
        ),
        Mistake(
            "raw_logits",
            partial(_scores, logs=lambda logits: logits),
            "The logits are added as they are. They are no log probabilities: raise all of them by 1, and "
            "the model says the same, but your score changes. First log_softmax over the vocabulary.",
        ),
        Mistake(
            "wrong_axis",
            partial(_scores, logs=lambda logits: logits.log_softmax(1)),
            "The softmax runs over the places or over the batch. At every place the words of the vocabulary "
            "share the probability, so it runs over the last axis.",
            also=[partial(_scores, logs=lambda logits: logits.log_softmax(0))],
        ),
        Mistake(
            "summed_over_batch",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum()),
            "This is one number for the whole batch. Every sentence has a score of its own: sum over the "
            "places only.",
            also=[partial(_scores, add=lambda terms, tokens: terms.sum())],
        ),
        Mistake(
            "the_loss",
            partial(_scores, add=lambda terms, tokens: -terms[tokens].mean()),
            "This is the loss: one positive number for the whole batch, the mean over its tokens. A score is "
            "a sum, one for every sentence, and below 0.",
            also=[partial(_scores, add=lambda terms, tokens: -terms.mean())],
        ),
        Mistake(
            "sign",
            partial(_scores, add=lambda terms, tokens: -(terms * tokens).sum(1)),
            "The sign is that of a loss, where small is good. A log probability is never above 0.",
        ),
        Mistake(
            "bits",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1) / math.log(2)),
            "These are bits: a logarithm to the base 2. The task asks for nats, the natural logarithm.",
        ),
        Mistake(
            "best_tokens",
            lambda logits, target_out: (logits.log_softmax(-1).amax(-1) * (target_out != PAD)).sum(
                1
            ),
            "You add the largest log probability of each place. That is what the model likes best there, "
            "whatever the target says. Take the one of the target's token: gather.",
        ),
        Mistake(
            "crosswise",
            _crosswise,
            "The result is a table: every sentence is scored with the targets of all sentences. In an index "
            "the batch needs a number for each row too, not a colon. gather does it in one go.",
        ),
        Mistake(
            "vocabulary_not_second",
            lambda logits, target_out: F.cross_entropy(logits, target_out, reduction="none"),
            "F.cross_entropy expects the vocabulary as second axis, and here it is the last. Turn it with "
            "logits.transpose(1, 2), and mind the sign.",
        ),
    ],
    laws=[
        Law("a score is a finite number", lambda out, *case: bool(out.isfinite().all())),
        Law("a log probability is never above 0", lambda out, *case: bool((out <= 0).all())),
    ],
)

# 7.4 -------------------------------------------------------------------------------------------------

Merge = tuple[str, str]
Join = Callable[[Sequence[str], Merge], list[str]]


def cut_word(word: str, merges: Sequence[Merge]) -> list[str]:
    """Join, again and again, the pair of neighbours that was learned first."""
    return _by_rank(word, merges)


def _neighbours(pieces: Sequence[str]) -> list[Merge]:
    return list(pairwise(pieces))


def _choose(word: str, choose: Callable[[list[Merge]], Merge], merges: Sequence[Merge]) -> Any:
    """Join a pair everywhere, as long as a known one is left; somebody chooses which."""
    pieces = list(word)
    while known := [pair for pair in _neighbours(pieces) if pair in merges]:
        pieces = join(pieces, choose(known))
    return pieces


def _by_rank(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces: list[str] = _choose(word, lambda known: min(known, key=list(merges).index), merges)
    return pieces


def _in_order(join: Join, word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the merges once, joining in some way."""
    pieces = list(word)
    for pair in merges:
        pieces = join(pieces, pair)
    return pieces


def _one_at(word: str, merges: Sequence[Merge], pick: Callable[[list[int]], int]) -> list[str]:
    """Join one known pair at a time, wherever it stands in the list."""
    pieces = list(word)
    while found := [i for i, pair in enumerate(_neighbours(pieces)) if pair in merges]:
        i = pick(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


def _grown(word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the letters once; a letter joins the piece before it if that makes a known pair."""
    pieces: list[str] = []
    for letter in word:
        if pieces and (pieces[-1], letter) in merges:
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _passes(word: str, merges: Sequence[Merge]) -> list[str]:
    """Go through the pieces again and again, joining every known pair that is met."""
    pieces, before = list(word), [""]
    while pieces != before:
        before, pieces = pieces, []
        i = 0
        while i < len(before):
            known = tuple(before[i : i + 2]) in merges
            pieces.append("".join(before[i : i + 1 + known]))
            i += 1 + known
    return pieces


def _longest_piece(word: str, merges: Sequence[Merge]) -> list[str]:
    known = {a + b for a, b in merges} | set(word)
    pieces = []
    while word:
        length = max(n for n in range(1, len(word) + 1) if word[:n] in known)
        pieces.append(word[:length])
        word = word[length:]
    return pieces


def _longest_from_the_right(word: str, merges: Sequence[Merge]) -> list[str]:
    turned = _longest_piece(word[::-1], [(b[::-1], a[::-1]) for a, b in merges])
    return [piece[::-1] for piece in turned[::-1]]


def _fewest_pieces(word: str, merges: Sequence[Merge]) -> list[str]:
    known = {a + b for a, b in merges} | set(word)
    best: list[list[str]] = [[]]
    for end in range(1, len(word) + 1):
        starts = (i for i in range(end) if word[i:end] in known)
        best.append(min(([*best[i], word[i:end]] for i in starts), key=len))
    return best[-1]


def _first_merge_found(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    joined = (join(pieces, pair) for pair in merges)
    return next((found for found in joined if found != pieces), pieces)


def _until_one_is_absent(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    for pair in merges:
        joined = join(pieces, pair)
        if joined == pieces:
            break
        pieces = joined
    return pieces


def _join_first(pieces: Sequence[str], pair: Merge) -> list[str]:
    neighbours = _neighbours(pieces)
    if pair not in neighbours:
        return list(pieces)
    i = neighbours.index(pair)
    return [*pieces[:i], "".join(pair), *pieces[i + 2 :]]


def _join_overlapping(pieces: Sequence[str], pair: Merge) -> list[str]:
    found = [neighbours == pair for neighbours in _neighbours(pieces)]
    joined = []
    for i, piece in enumerate(pieces):
        if i < len(found) and found[i]:
            joined.append("".join(pair))
        elif not (i and found[i - 1]):
            joined.append(piece)
    return joined


def _join_from_the_right(pieces: Sequence[str], pair: Merge) -> list[str]:
    turned = join([piece[::-1] for piece in pieces[::-1]], (pair[1][::-1], pair[0][::-1]))
    return [piece[::-1] for piece in turned[::-1]]


def _join_all_but_the_tail(pieces: Sequence[str], pair: Merge) -> list[str]:
    joined, i = [], 0
    while i < len(pieces) - 1:
        known = (pieces[i], pieces[i + 1]) == pair
        joined.append("".join(pieces[i : i + 1 + known]))
        i += 1 + known
    return joined


def _join_while_counting(pieces: Sequence[str], pair: Merge) -> list[str]:
    pieces = list(pieces)
    for i in range(len(pieces) - 1):
        if (pieces[i], pieces[i + 1]) == pair:
            pieces[i : i + 2] = ["".join(pair)]
    return pieces


def _replaced(word: str, merges: Sequence[Merge]) -> list[str]:
    text = " ".join(word)
    for a, b in merges:
        text = text.replace(f"{a} {b}", a + b)
    return text.split()


def _blanks_put_in(word: str, merges: Sequence[Merge], before: str, behind: str) -> list[str]:
    for a, b in merges:
        word = word.replace(a + b, before + a + b + behind)
    return word.split()


def _most_frequent(known: list[Merge]) -> Merge:
    return Counter(known).most_common(1)[0][0]


def _always_joins(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    while len(pieces) > 1:
        known = [pair for pair in _neighbours(pieces) if pair in merges]
        pieces = join(pieces, min(known, key=list(merges).index))
    return pieces


def _never_empty(word: str, merges: Sequence[Merge]) -> list[str]:
    pieces = list(word)
    while True:
        pair = min(
            _neighbours(pieces),
            key=lambda pair: merges.index(pair) if pair in merges else math.inf,
        )
        if pair not in merges:
            return pieces
        pieces = join(pieces, pair)


def _all_known(
    word: str,
    merges: Sequence[Merge],
    rank: Callable[[Sequence[Merge]], Callable[[Merge], Any]],
    fewest: int,
) -> list[str]:
    """Take the neighbours of the smallest rank, as if all of them had one."""
    pieces = list(word)
    while len(pieces) > fewest:
        pieces = join(pieces, min(_neighbours(pieces), key=rank(merges)))
    return pieces


_RANKS: tuple[Callable[[Sequence[Merge]], Callable[[Merge], Any]], ...] = (
    lambda merges: merges.index,
    lambda merges: {pair: rank for rank, pair in enumerate(merges)}.__getitem__,
    lambda merges: {pair: rank for rank, pair in enumerate(merges)}.get,
)


def _ids(letters: Callable[[str], Sequence[str]]) -> Answer:
    """Make an answer that numbers the pieces: letters first, then what the merges make."""

    def answer(word: str, merges: Sequence[Merge]) -> list[int]:
        known = [*letters(word), *(a + b for a, b in merges)]
        return [known.index(piece) for piece in _by_rank(word, merges)]

    return answer


def _merges(text: str) -> list[Merge]:
    """Read merges, written as in "l+o lo+w"."""
    pairs = (pair.split("+") for pair in text.split())
    return [(a, b) for a, b in pairs]


def _cut_cases() -> list[Case]:
    return [
        ("banana", _merges("n+a a+na a+n na+n b+an b+a")),
        ("mississippi", _merges("s+s ss+i p+i p+p i+s s+i i+ssi i+p")),
        ("entertainment", _merges("e+n a+i t+e t+a m+en m+e en+t n+te")),
        ("schifffahrt", _merges("c+h s+ch f+f a+h i+f f+ah sch+i ah+r i+ff")),
        ("low", _merges("o+w l+ow l+o")),
    ]


CUT = Exercise(
    number="7.4",
    title="Cut by the pieces that were learned first",
    solution=cut_word,
    cases=_cut_cases,
    mistakes=[
        Mistake(
            "longest_piece_first",
            _longest_piece,
            "You take the longest known piece, again and again. Other tokenizers cut so. In byte-pair "
            "encoding a piece exists only if its two halves met: begin with single letters, and join in the "
            "order in which the pairs were learned.",
            also=[_longest_from_the_right, _fewest_pieces],
        ),
        Mistake(
            "by_place",
            partial(_one_at, pick=lambda found: found[0]),
            "You go through the word and join what is found first there. The order of the list decides, not "
            "the place in the word: a pair further to the right goes first if it was learned earlier.",
            also=[_grown, _passes, partial(_one_at, pick=lambda found: found[-1])],
        ),
        Mistake(
            "longest_pair_first",
            lambda word, merges: _choose(
                word, lambda known: max(known, key=lambda pair: len("".join(pair))), merges
            ),
            "Of the pairs that are found you join the one that makes the longest piece. The one that was "
            "learned first goes first, however short it is.",
        ),
        Mistake(
            "most_frequent_first",
            lambda word, merges: _choose(word, _most_frequent, merges),
            "You join the pair that occurs most often in this word. Counting was for learning, with all of "
            "the text. To cut a word nothing is counted: the list says which pair goes first.",
        ),
        Mistake(
            "sorted",
            lambda word, merges: _by_rank(word, sorted(merges)),
            "The pairs are taken in alphabetical order: min or sorted compares the letters of the pairs. "
            "Compare their places in the list instead.",
        ),
        Mistake(
            "last_learned_first",
            lambda word, merges: _by_rank(word, merges[::-1]),
            "You join the pair that was learned last. A small place in the list means early: take the "
            "smallest.",
        ),
        Mistake(
            "stops_after_one",
            _first_merge_found,
            "You stop after one pair was joined. Joining makes new pairs: look again, until none of the "
            "neighbours is in the list.",
            also=[lambda word, merges: join(list(word), merges[0])],
        ),
        Mistake(
            "stops_at_the_first_absent",
            _until_one_is_absent,
            "You stop at the first pair of the list that is not in this word. Later ones may well be: skip "
            "it and go on.",
        ),
        Mistake(
            "letters_only",
            lambda word, merges: _by_rank(word, [m for m in merges if len("".join(m)) == 2]),
            "Only pairs of single letters were joined. A pair may be made of longer pieces, which were "
            "joined before. Look at the neighbours anew after every join.",
        ),
        Mistake(
            "first_occurrence_only",
            partial(_in_order, _join_first),
            "You join a pair only where it occurs first, and go on to the next one. A word may have it "
            "several times: join it everywhere.",
        ),
        Mistake(
            "overlap_joined_twice",
            partial(_in_order, _join_overlapping),
            "Of three equal letters you made two pairs, so that the one in the middle is used twice. Put "
            "your pieces together: do they spell the word? After a join, go on behind it.",
        ),
        Mistake(
            "from_the_right",
            partial(_in_order, _join_from_the_right),
            "The right pair is joined, but from the right end of the word. Of three equal letters the first "
            "two are joined: go from the left.",
        ),
        Mistake(
            "tail_lost",
            partial(_in_order, _join_all_but_the_tail),
            "The end of the word is lost. Your loop stops before the last piece, since that has no right "
            "neighbour. If it was not joined, it still has to be kept.",
        ),
        Mistake(
            "shrinks_while_counted",
            partial(_in_order, _join_while_counting),
            "Your list becomes shorter while a loop counts through its old length, and the index runs over "
            "the end. Build a new list, or use while with the present length.",
        ),
        Mistake(
            "inside_a_piece",
            _replaced,
            "You replace in a text with blanks between the pieces. There s + t is also found at the end of a "
            "longer piece: in es t, for instance. A pair is joined only if both are whole pieces.",
        ),
        Mistake(
            "text_replaced",
            partial(_blanks_put_in, before=" ", behind=" "),
            "You look for the text a + b in the word, and not for two pieces side by side. So letters that "
            "no pair joins stay together, and a pair of longer pieces is missed, or found where it is not. "
            "Start with list(word), and join neighbours in that list.",
            also=[
                partial(_blanks_put_in, before="", behind=" "),
                partial(_blanks_put_in, before=" ", behind=""),
            ],
        ),
        Mistake(
            "nothing_joined",
            lambda word, merges: list(word),
            "No pair was joined; these are the letters. Do your pairs ever compare as equal? The list holds "
            "tuples: (a, b) is neither [a, b] nor the string a + b.",
        ),
        Mistake(
            "not_cut",
            lambda word, merges: [word],
            "The word is still whole. Begin with its letters, list(word), and join.",
        ),
        Mistake(
            "no_pair_left",
            _never_empty,
            "Not all neighbours are a pair of the list, and in the end none of them is, or the word is a "
            "single piece. Then there is nothing of which you could take the smallest. Keep only the pairs "
            "of the list, and stop if there is none.",
            also=[
                _always_joins,
                *(partial(_all_known, rank=rank, fewest=n) for rank in _RANKS for n in (0, 1)),
                lambda word, merges: (
                    _by_rank(word, merges) if len(_by_rank(word, merges)) > 1 else [][0]
                ),
            ],
        ),
        Mistake(
            "one_string",
            lambda word, merges: " ".join(_by_rank(word, merges)),
            "The pieces are right, but this is one string. The task asks for a list of strings.",
        ),
        Mistake(
            "ids",
            _ids(lambda word: sorted(set(word))),
            "These are numbers. They come later, from the vocabulary; the task asks for the pieces.",
            also=[_ids(lambda word: list(dict.fromkeys(word)))],
        ),
    ],
    laws=[
        Law(
            "the pieces together are the word",
            lambda out, word, merges: "".join(out) == word,
        ),
        Law(
            "every piece is a letter or was made by a pair of the list",
            lambda out, word, merges: all(
                len(piece) == 1 or piece in {a + b for a, b in merges} for piece in out
            ),
        ),
        Law(
            "no two neighbours are left that are a pair of the list",
            lambda out, word, merges: not set(_neighbours(out)) & set(merges),
        ),
    ],
)

EXERCISES = (SMOOTHING, PARTS, SCORES, CUT)
"""The exercises of chapter 7 that are about training."""
