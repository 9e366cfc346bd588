"""Exercise 7.1: smoothed labels."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.training.padded_targets import padded_targets
from minattn.exercises.training.underflow import UNDERFLOWING
from minattn.vocabulary import EOS, PAD


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


def _sentences(terms: Tensor, tokens: Tensor) -> Tensor:
    return ((terms * tokens).sum(1) / tokens.sum(1)).mean()


def _smoothing_cases() -> list[Case]:
    return [
        (numbers(900, 2, 3, 5), padded_targets(903, 5, 3, 3, 3), 0.3),
        (2 * numbers(906, 3, 5, 7), padded_targets(909, 7, 5, 5, 2, 3), 0.1),
        (2 * numbers(912, 2, 7, 11), padded_targets(915, 11, 7, 4, 7), 0.0),
        # Here some words are all but ruled out.
        (60 * numbers(918, 2, 5, 7), padded_targets(921, 7, 5, 3, 5), 0.2),
    ]


def _entropy_of_labels(eps: float, v: int) -> float:
    shares = [1 - eps + eps / v] + [eps / v] * (v - 1)
    return -sum(q * math.log(q) for q in shares if q)


EXERCISE = Exercise(
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
            partial(_loss, logs=UNDERFLOWING[0]),
            "Where the model all but rules a word out, its probability is rounded to 0, and the logarithm "
            "of that is minus infinity or what you put there instead. With smoothed labels every word "
            "counts, so this hurts. log_softmax never forms the small number.",
            also=[partial(_loss, logs=logs) for logs in UNDERFLOWING[1:]],
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
