"""Exercise 12.1: the bucket of a distance."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

Sides = tuple[Tensor, int, Tensor]
"""The first bucket of the side of each distance, how many buckets a side has, and how far each is."""


def buckets_of(distances: Tensor, n_buckets: int, max_distance: int, both_sides: bool) -> Tensor:
    """Return the bucket of each distance, key minus query."""
    return _buckets(distances, n_buckets, max_distance, both_sides)


def _sides(distances: Tensor, n_buckets: int, both_sides: bool) -> Sides:
    return _two(distances, n_buckets) if both_sides else _one(distances, n_buckets)


def _one(distances: Tensor, n_buckets: int) -> Sides:
    return torch.zeros_like(distances), n_buckets, (-distances).clamp(min=0)


def _two(distances: Tensor, n_buckets: int) -> Sides:
    half = n_buckets // 2
    return half * (distances > 0), half, distances.abs()


def _alike(distances: Tensor, n_buckets: int) -> Sides:
    return torch.zeros_like(distances), n_buckets, distances.abs()


def _share(far: Tensor, exact: int, max_distance: int) -> Tensor:
    """Return the share of the way from the last exact distance to the largest, by logarithms."""
    return (far / exact).log() / math.log(max_distance / exact)


def _to_last(buckets: Tensor, n_side: int, n_buckets: int) -> Tensor:
    return buckets.clamp(max=n_side - 1)


def _buckets(
    distances: Tensor,
    n_buckets: int,
    max_distance: int,
    both_sides: bool,
    *,
    sides: Callable[[Tensor, int, bool], Sides] = _sides,
    share: Callable[[Tensor, int, int], Tensor] = _share,
    whole: Callable[[Tensor], Tensor] = torch.floor,
    clip: Callable[[Tensor, int, int], Tensor] = _to_last,
) -> Tensor:
    first, n_side, far = sides(distances, n_buckets, both_sides)
    exact = n_side // 2
    steps = share(far.clamp(min=1).double(), exact, max_distance) * (n_side - exact)
    buckets = torch.where(far < exact, far, exact + whole(steps).long())
    return first + clip(buckets, n_side, n_buckets)


def _on(one: Callable[[Tensor, int], Sides], two: Callable[[Tensor, int], Sides]) -> Answer:
    """Make an answer with other sides, for one side and for both."""
    return partial(_buckets, sides=lambda d, n, both_sides: (two if both_sides else one)(d, n))


def _turned(sides: Callable[[Tensor, int], Sides]) -> Callable[[Tensor, int], Sides]:
    return lambda distances, n_buckets: sides(-distances, n_buckets)


def _grid(n_queries: int, n_keys: int, step: int) -> Tensor:
    """Return the distances of all keys from every so many queries."""
    return torch.arange(n_keys) - step * torch.arange(n_queries)[:, None]


def _cases() -> list[Case]:
    # No distance lies on a bound that has to be rounded.
    return [
        (torch.tensor([-60, -9, -4, -1, 0, 2, 9]), 8, 32, False),
        (torch.tensor([-41, -7, -6, -2, -1, 0, 1, 2, 6, 7, 41]), 8, 20, True),
        (_grid(5, 301, 67), 32, 128, False),
        (_grid(7, 211, 31), 32, 100, True),
    ]


EXERCISE = Exercise(
    number="12.1",
    title="The bucket of a distance",
    solution=buckets_of,
    cases=_cases,
    mistakes=[
        Mistake(
            "sign_reversed",
            _on(_turned(_one), _turned(_two)),
            "Past and future have changed places. The distance is key minus query: -3 is a key three tokens "
            "back, +3 is one three tokens ahead.",
            also=[_on(_turned(_one), _two), _on(_one, _turned(_two))],
        ),
        Mistake(
            "always_both_sides",
            _on(_two, _two),
            "You give half of the buckets to the future where both_sides is False. A decoder never looks there, "
            "so they would lie idle. The past gets all n_buckets.",
        ),
        Mistake(
            "sides_alike",
            _on(_one, _alike),
            "With both sides, three tokens back and three ahead get the same bucket, or all the future gets one. "
            "Keys ahead have buckets of their own, from n_buckets // 2 on.",
            also=[
                _on(_one, lambda d, n: _alike(d, n // 2)),
                _on(_alike, _alike),
                _on(_one, _one),
            ],
        ),
        Mistake(
            "future_not_zero",
            _on(_alike, _two),
            "On one side, keys ahead are counted as if they were behind, or get negative numbers. They are masked "
            "and need no bucket of their own: distance 0 and all above have bucket 0.",
            also=[_on(lambda d, n: (torch.zeros_like(d), n, -d), _two)],
        ),
        Mistake(
            "not_halved",
            _on(_one, lambda d, n: (n * (d > 0), n, d.abs())),
            "Each side takes all n_buckets, so the numbers go beyond the table or the sides overlap. With both "
            "sides each has n_buckets // 2, and half of these are exact.",
            also=[_on(_one, lambda d, n: (n // 2 * (d > 0), n, d.abs()))],
        ),
        Mistake(
            "zero_ahead",
            _on(_one, lambda d, n: (n // 2 * (d >= 0), n // 2, d.abs())),
            "Distance 0 is counted as ahead. A token's own bucket is 0: the upper half is for distances above 0.",
        ),
        Mistake(
            "not_clipped",
            partial(_buckets, clip=lambda buckets, n_side, n_buckets: buckets),
            "Beyond max_distance the numbers go on, past the last bucket of their side. All that is as far or "
            "farther shares the last one: n - 1, if a side has n.",
            also=[
                partial(_buckets, clip=lambda b, n_side, n_buckets: b.clamp(max=n_side)),
                partial(_buckets, clip=lambda b, n_side, n_buckets: b.clamp(max=n_buckets - 1)),
            ],
        ),
        Mistake(
            "wrong_logarithm",
            partial(_buckets, share=lambda far, exact, most: (far / exact).log()),
            "The exact buckets are right, the far ones are not. Divide one logarithm by the other, of the same "
            "base: log(n / exact) / log(max_distance / exact). It is 0 where exact ends, and 1 at max_distance.",
            also=[
                partial(_buckets, share=lambda n, exact, most: (n / exact).log2()),
                partial(_buckets, share=lambda n, exact, most: (n / exact).log10()),
                partial(_buckets, share=lambda n, exact, most: n.log() / math.log(most)),
                partial(_buckets, share=lambda n, exact, most: (n / exact).log() / math.log(most)),
                partial(
                    _buckets,
                    share=lambda n, exact, most: (n / exact).log2() / math.log(most / exact),
                ),
                partial(_buckets, share=lambda n, exact, most: (n - exact) / (most - exact)),
            ],
        ),
        Mistake(
            "not_floored",
            partial(_buckets, whole=torch.round),
            "The far buckets are rounded to the nearest or up. A bucket begins where its number is reached: round "
            "down, by floor or .long().",
            also=[partial(_buckets, whole=torch.ceil)],
        ),
    ],
    laws=[
        Law(
            "buckets are numbered from 0 to n_buckets - 1",
            lambda out, d, n_buckets, *rest: bool(((out >= 0) & (out < n_buckets)).all()),
        ),
    ],
)
