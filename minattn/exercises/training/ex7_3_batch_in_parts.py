"""Exercise 7.3: a large batch in small parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers


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


EXERCISE = Exercise(
    number="7.3",
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
