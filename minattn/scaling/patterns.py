"""Masks that leave most keys out, and a checker that tries every pair of lengths and every edge of a window."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from minattn.checks import check_sizes, check_whole
from minattn.masks import CAUSAL, Mask, MaskDescription, Window
from minattn.seam import Attend


@dataclass(frozen=True)
class SinkWindow(MaskDescription):
    r"""A query sees a few first positions, its own and so many before it.

    .. math:: j \le i \quad\text{and}\quad (j < s \;\text{ or }\; i - j \le b)

    Without the first positions, the *sinks*, a trained model fails as soon as they leave the window: many heads
    put the weight there that they need nowhere else.

    Args:
        sinks: s, how many first positions every later one sees.
        before: b, how many earlier positions; with its own, a query sees b + 1 in the window.

    Raises:
        ValueError: if a number is below 0 or not whole.
        TypeError: if it is no number.

    References:
        Xiao et al. 2023 (StreamingLLM), arXiv:2309.17453, section 3.2. There positions are counted within what is
        kept; here they stay those of the text.

    >>> SinkWindow(sinks=1, before=1).to_bool((4, 4)).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 0, 1, 1]], dtype=torch.int32)
    """

    sinks: int
    before: int

    def __post_init__(self) -> None:
        check_whole(0, sinks=self.sinks, before=self.before)

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return the window and, of the first columns, what is not the future."""
        window = Window(before=self.before, after=0).to_bool(shape, device)
        first = torch.arange(shape[-1], device=device) < self.sinks
        return window | (CAUSAL.to_bool(shape, device) & first)


@dataclass(frozen=True)
class Strided(MaskDescription):
    r"""A query sees its own position, the nearest before it, and of those further back every so many.

    .. math:: j \le i \quad\text{and}\quad (i - j < l \;\text{ or }\; (i - j) \bmod l = 0)

    With :math:`l \approx \sqrt n` a query sees about :math:`2 \sqrt n` keys, and two layers connect any two places.

    Args:
        stride: l.

    Raises:
        ValueError: if it is below 1 or not whole.
        TypeError: if it is no number.

    References:
        Child et al. 2019 (Sparse Transformer), arXiv:1904.10509, section 4.3. There the two conditions may also be two
        heads.

    >>> Strided(2).to_bool((5, 5)).int()
    tensor([[1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0],
            [0, 1, 1, 1, 0],
            [1, 0, 1, 1, 1]], dtype=torch.int32)
    """

    stride: int

    def __post_init__(self) -> None:
        check_sizes(stride=self.stride)

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return the band, and every so many columns counted from each query."""
        queries, keys = shape[-2:]
        place = torch.arange(keys - queries, keys, device=device)[:, None]
        back = place - torch.arange(keys, device=device)
        return (back >= 0) & ((back < self.stride) | (back % self.stride == 0))


Rule = Callable[[int, int], bool]
"""Whether the query at one place may attend to the key at another; both places are counted from the first key."""


def first_difference(mask: MaskDescription, rule: Rule, longest: int = 7) -> str | None:
    """Compare a description with a rule, pair by pair, for every number of queries and of keys.

    The queries are the last positions: of q queries and k keys, query i stands at place i + k - q. So a mask that
    starts in the wrong corner is found, and a window that is one too wide.

    Args:
        mask: the description.
        rule: what it ought to say.
        longest: the most queries, and the most keys.

    Returns:
        The first difference in words, or None if there is none.

    Raises:
        ValueError: if ``longest`` is below 1.

    >>> first_difference(Window(before=2, after=0), lambda i, j: 0 <= i - j < 2)
    '1 queries, 3 keys: the query at place 2 sees key 0, and ought not'
    """
    check_sizes(longest=longest)
    for queries, keys in _lengths(longest):
        found = mask.to_bool((queries, keys)).expand(queries, keys).tolist()
        for row in range(queries):
            place = row + keys - queries
            for key in range(keys):
                if found[row][key] != bool(rule(place, key)):
                    says = "sees" if found[row][key] else "does not see"
                    ought = "and ought not" if found[row][key] else "and ought to"
                    return (
                        f"{queries} queries, {keys} keys: "
                        f"the query at place {place} {says} key {key}, {ought}"
                    )
    return None


def first_fault(attend: Attend, longest: int = 5, tolerance: float = 1e-9) -> str | None:
    """Try an attend, that ought to be plain attention, where most mistakes are made.

    Tried are every number of queries and of keys, each without a mask, with a causal one, with every window, and with
    tensors that leave one query nothing. The truth is a loop over queries that knows no mask but a rule.

    Args:
        attend: what is tried, in float64.
        longest: the most queries, and the most keys.
        tolerance: how much a number may differ.

    Returns:
        The first fault in words, or None.

    Raises:
        ValueError: if ``longest`` is below 1.

    >>> from minattn.dot_product import attend
    >>> first_fault(attend)
    >>> first_fault(lambda q, k, v, mask=None: attend(q, k, v))
    '1 queries, 1 keys, nothing for query 0: query 0 is off'
    """
    check_sizes(longest=longest)
    generator = torch.Generator().manual_seed(0)
    for queries, keys in _lengths(longest):
        query = torch.randn(queries, 3, generator=generator, dtype=torch.float64)
        key, value = torch.randn(2, keys, 3, generator=generator, dtype=torch.float64)
        for mask, rule, name in _cases(queries, keys):
            found = attend(query[None], key[None], value[None], mask)[0]
            for row in range(queries):
                place = row + keys - queries
                seen = [j for j in range(keys) if rule(place, j)]
                right = torch.zeros(3, dtype=torch.float64)
                if seen:
                    scores = key[seen] @ query[row] / math.sqrt(3)
                    right = scores.softmax(0) @ value[seen]
                if not bool(((found[row] - right).abs() <= tolerance).all()):
                    return f"{queries} queries, {keys} keys, {name}: query {row} is off"
    return None


def _lengths(longest: int) -> Iterator[tuple[int, int]]:
    for queries in range(1, longest + 1):
        for keys in range(1, longest + 1):
            yield queries, keys


def _cases(queries: int, keys: int) -> Iterator[tuple[Mask, Rule, str]]:
    """Give masks with their rules and names."""
    yield None, lambda i, j: True, "no mask"
    yield CAUSAL, lambda i, j: j <= i, "causal"
    for before in range(keys + 1):
        for after in (0, 1, keys):
            window = Window(before=before, after=after)
            yield window, lambda i, j, b=before, a=after: -a <= i - j <= b, repr(window)  # type: ignore[misc]
    for row in range(queries):
        table = torch.ones(1, queries, keys, dtype=torch.bool)
        table[:, row] = False
        place = row + keys - queries
        yield table, lambda i, j, p=place: i != p, f"nothing for query {row}"  # type: ignore[misc]
