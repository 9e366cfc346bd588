"""Exercise 12.3: the bias under a cache."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake, numbers
from minattn.exercises.t5.ex12_1_buckets import buckets_of

BucketOf = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Buckets:
    """The buckets of exercise 12.1, with their sizes fixed."""

    n_buckets: int
    max_distance: int
    both_sides: bool

    def __call__(self, distances: Tensor) -> Tensor:
        """Return the bucket of each distance."""
        return buckets_of(distances, self.n_buckets, self.max_distance, self.both_sides)

    def __repr__(self) -> str:
        return f"the {self.n_buckets} buckets of {'both sides' if self.both_sides else 'one side'}"


def bias_under_cache(table: Tensor, bucket_of: BucketOf, n_new: int, n_keys: int) -> Tensor:
    """Return the bias of the newest queries to all keys, of shape (heads, n_new, n_keys)."""
    return _bias(table, bucket_of, _newest(n_new, n_keys), torch.arange(n_keys))


def _newest(n_new: int, n_keys: int) -> Tensor:
    return torch.arange(n_keys - n_new, n_keys)


def _bias(table: Tensor, bucket_of: BucketOf, queries: Tensor, keys: Tensor) -> Tensor:
    return table[:, bucket_of(keys - queries[:, None])]


def _asked_at(places: Callable[[int, int], Tensor]) -> Answer:
    """Make an answer in which the queries stand at other places."""
    return lambda table, bucket_of, n_new, n_keys: _bias(
        table, bucket_of, places(n_new, n_keys), torch.arange(n_keys)
    )


def _cut(cut: Callable[[Tensor, int], Tensor]) -> Answer:
    """Make an answer that cuts the square of all keys in another way."""
    return lambda table, bucket_of, n_new, n_keys: cut(
        _bias(table, bucket_of, torch.arange(n_keys), torch.arange(n_keys)), n_new
    )


def _turned(table: Tensor, bucket_of: BucketOf, n_new: int, n_keys: int) -> Tensor:
    return bias_under_cache(table, lambda distances: bucket_of(-distances), n_new, n_keys)


def _counted_from_zero(table: Tensor, bucket_of: BucketOf, n_new: int, n_keys: int) -> Tensor:
    keys, queries = torch.arange(n_keys), torch.arange(n_new)
    return table[:, bucket_of(keys - queries[:, None])]


def _cases() -> list[Case]:
    one, both = Buckets(8, 32, False), Buckets(12, 20, True)
    return [
        (numbers(1200, 2, 8), one, 2, 5),
        (numbers(1201, 3, 8), one, 1, 7),
        (numbers(1202, 2, 12), both, 4, 4),
        (numbers(1203, 5, 12), both, 3, 29),
        (numbers(1204, 3, 8), one, 7, 41),
    ]


EXERCISE = Exercise(
    number="12.3",
    title="The bias under a cache",
    solution=bias_under_cache,
    cases=_cases,
    mistakes=[
        Mistake(
            "queries_from_zero",
            _counted_from_zero,
            "The new queries are counted from 0, as if no token were before them. They are the last n_new of the "
            "n_keys tokens: the first of them stands at n_keys - n_new. (A cut [:, :n_new] of the whole square is "
            "the same slip.)",
        ),
        Mistake(
            "behind_the_keys",
            _asked_at(lambda n_new, n_keys: n_keys + torch.arange(n_new)),
            "The queries stand too far back or ahead. n_keys counts the new tokens too, so the last query is at "
            "n_keys - 1, where the last key is, and its distance to that one is 0.",
            also=[
                _asked_at(lambda n_new, n_keys: _newest(n_new, n_keys) + 1),
                _asked_at(lambda n_new, n_keys: _newest(n_new, n_keys) - 1),
            ],
        ),
        Mistake(
            "all_at_one_place",
            _asked_at(lambda n_new, n_keys: torch.full((n_new,), n_keys - 1)),
            "All new queries have the same bias, as if they stood at one place. With one new token that is right; "
            "with more, each stands one place further.",
            also=[
                _asked_at(lambda n_new, n_keys: torch.full((n_new,), n_keys - n_new)),
            ],
        ),
        Mistake(
            "last_query_only",
            _cut(lambda square, n_new: square[:, -1:]),
            "You return the bias of one query. A cache may read several tokens in one step, such as a prompt: one "
            "row for each of the n_new.",
        ),
        Mistake(
            "new_keys_only",
            _cut(lambda square, n_new: square[:, -n_new:, -n_new:]),
            "You return the bias to the new keys alone. The new queries look at all that are in the cache too: "
            "n_keys columns.",
        ),
        Mistake(
            "transposed",
            _cut(lambda square, n_new: square[:, -n_new:].mT),
            "The axes stand in another order. Heads come first, then the queries, then the keys, as with the "
            "scores: distances = keys - queries[:, None] has shape (n_new, n_keys).",
            also=[
                _cut(lambda square, n_new: square[:, :, -n_new:]),
                _cut(lambda square, n_new: square[:, -n_new:].permute(1, 2, 0)),
                _cut(lambda square, n_new: square[:, -n_new:].permute(1, 0, 2)),
                _cut(lambda square, n_new: square[:, -n_new:].permute(2, 1, 0)),
            ],
        ),
        Mistake(
            "sign_reversed",
            _turned,
            "The sign is reversed. bucket_of takes key minus query: a key three tokens back has the distance -3.",
        ),
        Mistake(
            "one_head_for_all",
            lambda table, *rest: bias_under_cache(table[:1].expand_as(table), *rest),
            "All heads have the bias of one. Each has a row of the table: table[:, buckets] keeps the heads and "
            "looks the buckets up.",
            also=[
                lambda table, *rest: bias_under_cache(table[:1], *rest)[0],
                lambda table, *rest: bias_under_cache(table, *rest).mean(0),
            ],
        ),
    ],
)
