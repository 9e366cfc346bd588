"""Exercise 15.4: steering a caption by its weights."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Weights = Callable[[Tensor, Tensor, Tensor], Tensor]


def steered(
    forced: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Attend as usual, but for rows with forced cells: these share out the weight."""
    return _some_way(forced, query, key, value, mask)


def _equal(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Force the rows that have something forced, with equal weights on what is allowed."""
    cells = (forced & allowed).float()
    shares = cells / cells.sum(-1, keepdim=True).clamp(min=1)
    return shares.where(forced.any(-1, keepdim=True), weights)


def _some_way(
    forced: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    force: Weights = _equal,
    scaled: bool = True,
    masked: bool = True,
) -> Tensor:
    """Steer in some way.

    Args:
        forced: (batch, queries, keys), True on what the weights are forced onto.
        query: (batch, queries, d_k).
        key: (batch, keys, d_k).
        value: (batch, keys, d_v).
        mask: (batch, queries, keys), True where a query may attend; everywhere, if not given.
        force: makes the weights from what is forced, the usual weights and what is allowed.
        scaled: whether the scores are divided by the root of d_k.
        masked: whether the usual weights go by the mask.
    """
    allowed = torch.ones_like(forced) if mask is None else mask
    scores = query @ key.mT / (math.sqrt(query.shape[-1]) if scaled else 1)
    if masked:
        scores = scores.masked_fill(~allowed, -math.inf)
    return force(forced, scores.softmax(-1), allowed) @ value


def _in_all_rows(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Force every row onto what any row is forced onto."""
    return _equal(forced.any(1, keepdim=True).expand_as(weights), weights, allowed)


def _nothing_in_free_rows(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return _equal(forced, torch.zeros_like(weights), allowed)


def _nan_in_free_rows(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return _equal(forced, torch.full_like(weights, math.nan), allowed)


def _equal_in_free_rows(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return _equal(forced, allowed / allowed.sum(-1, keepdim=True), allowed)


def _restricted(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Forbid the other cells, and keep the proportions of those that are left."""
    kept = weights * forced
    kept = kept / kept.sum(-1, keepdim=True).clamp(min=1e-9)
    return kept.where(forced.any(-1, keepdim=True), weights)


def _kept_only(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Set the weights of the other cells to 0, and leave it at that."""
    return (weights * forced).where(forced.any(-1, keepdim=True), weights)


def _drawn(forced: Tensor, weights: Tensor, allowed: Tensor, *, bonus: float) -> Tensor:
    """Add to the scores of the forced cells; that multiplies their weights."""
    drawn = weights * torch.where(forced, math.exp(bonus), 1.0)
    return drawn / drawn.sum(-1, keepdim=True)


def _mixed_in(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Add to the weights of the forced cells."""
    mixed = weights + (forced & allowed)
    return mixed / mixed.sum(-1, keepdim=True)


def _summed(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return (forced & allowed).float().where(forced.any(-1, keepdim=True), weights)


def _over_masked(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return _equal(forced, weights, torch.ones_like(allowed))


def _masked_afterwards(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    return _over_masked(forced, weights, allowed) * allowed


def _written_over(forced: Tensor, weights: Tensor, allowed: Tensor) -> Tensor:
    """Write the shares onto the forced cells, and leave the weights of the others."""
    return torch.where(forced, _equal(forced, weights, allowed), weights)


def _case(seed: int, batch: int, queries: int, keys: int, d: int, masked: bool) -> Case:
    """Force about half of the rows; each row has at least one cell that is forced and allowed."""
    forced = numbers(seed + 4, batch, queries, keys) > 0.4
    forced[:, :, 1] = True
    free = (torch.arange(batch)[:, None] + torch.arange(queries)) % 2 == 1
    forced = forced & ~free[..., None]
    mask = None
    if masked:
        mask = (numbers(seed + 5, batch, 1, keys) > -0.5).repeat(1, queries, 1)
        mask[:, :, 1] = True
        mask[:, :, -1] = False
        forced[:, 0, -1] = ~free[:, 0]
    value = numbers(seed + 3, batch, keys, d + 1)
    query, key = numbers(seed + 1, batch, queries, d), numbers(seed + 2, batch, keys, d)
    return forced, query, key, value, mask


def _cases() -> list[Case]:
    return [
        _case(1540, 1, 2, 3, 2, False),
        _case(1553, 1, 3, 5, 3, True),
        _case(1560, 3, 5, 7, 2, False),
        _case(1570, 2, 7, 11, 5, True),
    ]


EXERCISE = Exercise(
    number="15.4",
    title="Steering by the weights",
    solution=steered,
    cases=_cases,
    mistakes=[
        Mistake(
            "every_row_forced",
            partial(_some_way, force=_in_all_rows),
            "Rows are forced in which nothing is to be forced. A row of `forced` belongs to one step of one "
            "caption: without a True in it, the step looks where it likes.",
        ),
        Mistake(
            "free_rows_lost",
            partial(_some_way, force=_nothing_in_free_rows),
            "Rows without forced cells are lost: they get zeros, equal weights, or NaN from 0 / 0. These rows "
            "attend as usual: work out the usual weights for all, and choose row by row with torch.where.",
            also=[
                partial(_some_way, force=_nan_in_free_rows),
                partial(_some_way, force=_equal_in_free_rows),
            ],
        ),
        Mistake(
            "restricted",
            partial(_some_way, force=_restricted),
            "You forbid the other cells, and the scores still say which of the forced ones gets how much. That "
            "leaves some of the choice to the model. Here the cells share the weight equally, whatever the scores "
            "are.",
            also=[partial(_some_way, force=_kept_only)],
        ),
        Mistake(
            "drawn_and_not_forced",
            partial(_some_way, force=partial(_drawn, bonus=1.0)),
            "The other cells keep some weight in a forced row. A bonus on scores or weights draws attention to "
            "cells, and what the model prefers still has a say. Forced means: nothing on any other cell.",
            also=[
                *[partial(_some_way, force=partial(_drawn, bonus=b)) for b in (2.0, 5.0, 10.0)],
                partial(_some_way, force=_mixed_in),
                partial(_some_way, force=_written_over),
            ],
        ),
        Mistake(
            "summed",
            partial(_some_way, force=_summed),
            "Each forced cell gets the weight 1, so the output is a sum of values: with five cells five times as "
            "large as any the model has seen. Weights add up to 1. Divide by the number of cells.",
        ),
        Mistake(
            "masked_cells_forced",
            partial(_some_way, force=_over_masked),
            "A cell that is masked gets weight, or the mask is not used at all. It says where there is nothing to "
            "see, and that holds for forced cells as well: force onto `forced & mask`.",
            also=[
                partial(_some_way, force=_over_masked, masked=False),
                partial(_some_way, masked=False),
            ],
        ),
        Mistake(
            "masked_too_late",
            partial(_some_way, force=_masked_afterwards),
            "Masked cells get no weight, but their share is lost: the weights of such a row add up to less than 1. "
            "Take the masked cells out first, and count then.",
        ),
        Mistake(
            "not_scaled",
            partial(_some_way, scaled=False),
            "The forced rows are right, and the others attend with scores that are not divided by the root of d_k. "
            "Rows that are left alone should be what `attend` gives, to the last digit.",
        ),
    ],
    laws=[
        Law(
            "where a forced row looks does not depend on its query",
            lambda out, forced, query, key, value, mask: torch.allclose(
                out[forced.any(-1)],
                steered(forced, query * 0, key, value, mask)[forced.any(-1)],
                atol=1e-4,
            ),
        ),
    ],
)
