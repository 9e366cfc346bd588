"""Exercise 22.1: one more block of keys."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

State = tuple[Tensor, Tensor, Tensor]
"""The largest score so far, the sum of the powers, and the mixture of values that is not divided yet."""
Shift = Callable[[Tensor, Tensor], Tensor]
"""Makes one number for each query of two largest scores: of the blocks before, and of this one."""


def add_block(
    largest: Tensor, total: Tensor, mixture: Tensor, scores: Tensor, value: Tensor
) -> State:
    """Return the state of each query after one more block of keys."""
    return _add(largest, total, mixture, scores, value)


def _of_both(before: Tensor, block: Tensor) -> Tensor:
    return torch.maximum(before, block)


def _of_the_block(before: Tensor, block: Tensor) -> Tensor:
    return block


def _of_before(before: Tensor, block: Tensor) -> Tensor:
    return before


def _of_all_queries(before: Tensor, block: Tensor) -> Tensor:
    """Take one number for all queries."""
    return torch.maximum(before, block).max().expand_as(before)


def _shrink(before: Tensor, now: Tensor) -> Tensor:
    return (before - now).exp()


def _grow(before: Tensor, now: Tensor) -> Tensor:
    return (now - before).exp()


def _keep(before: Tensor, now: Tensor) -> Tensor:
    return torch.ones_like(now)


def _add(
    largest: Tensor,
    total: Tensor,
    mixture: Tensor,
    scores: Tensor,
    value: Tensor,
    *,
    now: Shift = _of_both,
    subtracted: Shift | None = None,
    for_total: Shift = _shrink,
    for_mixture: Shift = _shrink,
    safe: bool = True,
    divided: bool = False,
) -> State:
    """Add a block, each step done in some way.

    Args:
        largest: (queries,), minus infinity before the first block.
        total: (queries,), of the powers.
        mixture: (queries, d_v), of the values times their powers.
        scores: (queries, keys), minus infinity where masked.
        value: (keys, d_v).
        now: the largest score that is handed on.
        subtracted: what is subtracted from the scores; what is handed on, if not given.
        for_total: what the total before is multiplied by.
        for_mixture: the same of the mixture.
        safe: whether minus infinity is not subtracted from itself.
        divided: whether the mixture is divided at the end.
    """
    of_block = scores.amax(-1)
    new = now(largest, of_block)
    shift = new if subtracted is None else subtracted(largest, of_block)
    if safe:
        shift = shift.masked_fill(shift == -torch.inf, 0.0)
    powers = (scores - shift[:, None]).exp()
    new_total = for_total(largest, shift) * total + powers.sum(-1)
    new_mixture = for_mixture(largest, shift)[:, None] * mixture + powers @ value
    if divided:
        new_mixture = new_mixture / new_total[:, None]
    return new, new_total, new_mixture


def _raised(*case: Tensor) -> State:
    """Take a very low number for minus infinity: where all is masked, every key counts as one."""
    largest, total, mixture, scores, value = case
    return _add(largest.clamp(min=-1e9), total, mixture, scores.clamp(min=-1e9), value)


def _averaged(*case: Tensor) -> State:
    """Keep the mixture as an average: multiply by the total before, divide by the one after."""
    largest, total, mixture, scores, value = case
    return _add(largest, total, mixture * total[:, None], scores, value, divided=True)


def _start(queries: int, d_v: int) -> State:
    """Make the state before the first block."""
    return torch.full((queries,), -torch.inf), torch.zeros(queries), torch.zeros(queries, d_v)


def _output(state: State) -> Tensor:
    """Divide; where nothing was seen, by 0."""
    _, total, mixture = state
    return (mixture / total[:, None]).nan_to_num()


def _block_before_it(seed: int, queries: int, d_v: int, scale: float) -> State:
    """Make the state after one block."""
    scores, value = scale * numbers(seed, queries, 5), numbers(seed + 1, 5, d_v)
    return _add(*_start(queries, d_v), scores, value)


def _case(seed: int, queries: int, keys: int, d_v: int, first: bool = False) -> Case:
    """Make a state and a block; in the larger ones a query sees nothing of it, and another nothing so far."""
    state = _block_before_it(seed, queries, d_v, scale=2.0)
    scores, value = 2 * numbers(seed + 2, queries, keys), numbers(seed + 3, keys, d_v)
    if first:
        state = _start(queries, d_v)
    if queries > 2:
        scores[1] = -torch.inf
        scores[0, 1] = -torch.inf
    if queries > 3:
        for part, none in zip(state, (-torch.inf, 0.0, 0.0), strict=True):
            part[1:3] = none  # the second query has seen nothing, and sees nothing
    return *state, scores, value


def _far_apart() -> Case:
    """Make a block whose scores lie far below those before, and far above for the other query."""
    largest, total, mixture, scores, value = _case(2217, 2, 3, 2)
    away = torch.tensor([0.0, -200.0])
    return largest + away, total, mixture, scores + away.flip(0)[:, None], value


def _cases() -> list[Case]:
    return [
        _case(2210, 2, 3, 2),
        _case(2220, 2, 3, 5, first=True),
        _case(2230, 3, 7, 2),
        _far_apart(),
        _case(2240, 5, 2, 3),
    ]


EXERCISE = Exercise(
    number="22.1",
    title="One more block",
    solution=add_block,
    cases=_cases,
    mistakes=[
        Mistake(
            "maximum_not_carried",
            partial(_add, now=_of_the_block),
            "You forget the largest score of the blocks before, and take that of this block alone. If the old ones "
            "were larger, the factor exp(old - new) is huge, or infinite. Take the larger one of the two.",
            also=[partial(_add, now=_of_the_block, safe=False)],
        ),
        Mistake(
            "old_maximum",
            partial(_add, now=_of_before),
            "You subtract the largest score of the blocks before, whatever comes in this one. A larger score "
            "overflows then, and before the first block you subtract minus infinity. Find the new maximum first.",
            also=[
                partial(_add, now=_of_before, safe=False),
                partial(_add, subtracted=_of_before),
                partial(_add, subtracted=_of_before, safe=False),
            ],
        ),
        Mistake(
            "total_not_rescaled",
            partial(_add, for_total=_keep),
            "The old total is added as it is. Its powers were taken with another number subtracted: multiply it by "
            "exp(largest - new_largest) before you add, as you do the mixture.",
            also=[partial(_add, for_total=_keep, safe=False)],
        ),
        Mistake(
            "mixture_not_rescaled",
            partial(_add, for_mixture=_keep),
            "The old mixture is added as it is. Old and new values then have powers on two scales: multiply "
            "the old mixture by exp(largest - new_largest), one factor for each query.",
            also=[partial(_add, for_mixture=_keep, safe=False)],
        ),
        Mistake(
            "nothing_rescaled",
            partial(_add, for_total=_keep, for_mixture=_keep),
            "Neither total nor mixture of the blocks before is brought to the new maximum. Both were made of "
            "exp(score - largest) with the old one. Multiply both by exp(largest - new_largest).",
            also=[
                partial(_add, for_total=_keep, for_mixture=_keep, safe=False),
                partial(_add, for_total=_grow, for_mixture=_grow),
                partial(_add, for_total=_grow, for_mixture=_grow, safe=False),
            ],
        ),
        Mistake(
            "divided_in_between",
            partial(_add, divided=True),
            "You divide by the total in each block. The next block adds to a mixture that is not divided, so "
            "divide once, after the last one. (Where nothing has been seen it is 0 / 0 besides.)",
            also=[partial(_add, divided=True, safe=False), _averaged],
        ),
        Mistake(
            "nan_when_masked",
            partial(_add, safe=False),
            "A query that may see nothing of any block so far gets NaN: its largest score is minus infinity, and that "
            "minus itself is not a number. It stays for good. Subtract 0 where the new maximum is minus infinity.",
            also=[_raised],
        ),
        Mistake(
            "one_maximum_for_all",
            partial(_add, now=_of_all_queries),
            "You take one maximum for all queries. A query whose scores lie far below loses everything: all its "
            "powers are 0. Each query has a maximum of its own: over the keys, the last axis.",
        ),
    ],
    laws=[
        Law(
            "the largest score never falls",
            lambda out, largest, *rest: bool((out[0] >= largest).all()),
        ),
        Law(
            "total and mixture belong together: mixture / total is what attention over all so far gives",
            lambda out, *case: torch.allclose(_output(out), _output(add_block(*case)), atol=1e-4),
        ),
    ],
)
