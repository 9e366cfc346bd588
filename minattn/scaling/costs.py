"""What each form of attention costs, from shapes alone: operations, bytes moved, the largest tensor."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from minattn.checks import check_positive, check_sizes

Form = Literal["plain", "blocks", "grouped", "latent", "window", "linear"]


class Cost(NamedTuple):
    """What one lookup of all heads costs.

    Args:
        operations: of the products, a multiplication and an addition each counting as one.
        moved: bytes that are read and written, at least.
        largest: numbers in the largest tensor that is made or given.
        kept: bytes that a cache holds for the keys.
    """

    operations: int
    moved: int
    largest: int
    kept: int


@dataclass(frozen=True)
class Sizes:
    """The sizes of a lookup.

    Args:
        queries: how many for each head; one, in a step with a cache.
        keys: how many.
        heads: how many.
        d_head: width of a query, a key and a value.
        kv_heads: heads with keys and values of their own, for "grouped".
        d_latent: width of what "latent" keeps.
        seen: how many keys a query sees at most, for "window".
        block: queries and keys at a time, for "blocks" and "linear".
        key_bits: of a number in the cache.

    Raises:
        ValueError: if a size is below 1, or the groups do not divide the heads.
    """

    queries: int
    keys: int
    heads: int = 1
    d_head: int = 64
    kv_heads: int = 1
    d_latent: int = 64
    seen: int = 256
    block: int = 64
    key_bits: float | int = 32

    def __post_init__(self) -> None:
        check_sizes(**{name: size for name, size in vars(self).items() if name != "key_bits"})
        check_positive(key_bits=self.key_bits)
        if self.heads % self.kv_heads:
            raise ValueError(
                f"kv_heads must divide heads, got {self.kv_heads} for {self.heads} heads"
            )


def counted(form: Form, sizes: Sizes) -> Cost:
    r"""Count what a form costs, without a causal mask; numbers that are not in a cache take four bytes.

    With q queries, n keys, h heads of width d:

    - "plain" makes the table of scores and that of weights. Operations :math:`4 h q n d`; moved are queries, keys,
      values and outputs, and the table four times (scores out and in, weights out and in).
    - "blocks": the same operations. Keys and values are read once for each block of queries, and no table is moved,
      if a block stays where it is computed.
    - "grouped": as plain, with keys and values of ``kv_heads`` heads.
    - "latent": as plain with one vector of ``d_latent`` for key and value of all heads, after
      :math:`2 \cdot 2 h q d\, d_{latent}` operations to turn queries there and outputs back.
    - "window": as plain, but that a query sees ``seen`` keys, if what is not seen is not computed.
    - "linear": a state of d times d + 1 numbers for each head is read and written once for each block.

    Args:
        form: which.
        sizes: of everything.

    Raises:
        ValueError: if the form is not one of these.

    References:
        Shazeer 2019, arXiv:1911.02150, section 2.4, and Dao et al. 2022, arXiv:2205.14135, section 3.2, count the
        bytes that are moved.

    >>> counted("plain", Sizes(queries=1000, keys=1000))
    Cost(operations=256000000, moved=17024000, largest=1000000, kept=512000)
    >>> counted("linear", Sizes(queries=1000, keys=1000)).kept
    16640
    """
    if form not in get_args(Form):
        raise ValueError(f"form must be one of {', '.join(get_args(Form))}, got {form!r}")
    if form == "linear":
        return _linear(sizes)
    s = sizes
    ends = 2 * s.heads * s.queries * s.d_head  # queries and outputs
    width, kv_heads, tensors = s.d_head, s.heads, 2
    if form == "grouped":
        kv_heads = s.kv_heads
    elif form == "latent":
        width, kv_heads, tensors = s.d_latent, 1, 1
    seen = min(s.seen, s.keys) if form == "window" else s.keys
    stored = kv_heads * s.keys * width * tensors
    table = s.heads * s.queries * seen
    operations = 4 * table * width
    if form == "latent":
        operations += 4 * s.heads * s.queries * s.d_head * s.d_latent
    # What one step reads of the cache; many queries of a window see all of it, one after the other.
    of_cache = stored * min(1.0, seen * s.queries / s.keys)
    if form == "blocks":
        of_cache *= math.ceil(s.queries / s.block)
        table = s.heads * min(s.block, s.queries) * min(s.block, s.keys)
    tables = 0 if form == "blocks" else 4 * table
    kept = stored if form != "window" else stored * seen // s.keys
    largest = max(
        table, s.heads * s.queries * (width if form == "latent" else s.d_head), stored // tensors
    )
    return Cost(
        operations,
        round(of_cache * s.key_bits / 8 + 4 * (ends + tables)),
        largest,
        math.ceil(kept * s.key_bits / 8),
    )


def _linear(s: Sizes) -> Cost:
    """Count the running form of linear attention; it reads as many keys as queries."""
    if s.queries != s.keys and s.queries != 1:
        raise ValueError(
            "linear attention reads one key with each query (or one more of them, with a state), "
            f"got {s.queries} queries and {s.keys} keys"
        )
    state = s.d_head * (s.d_head + 1)
    operations, blocks = 0, 0
    for start in range(0, s.queries, s.block):
        n = min(s.block, s.queries - start)
        operations += 4 * n * state + 2 * n * n * (2 * s.d_head + 1)
        blocks += 1
    block = min(s.block, s.queries)
    ends = 4 * s.queries * s.d_head  # queries, keys, values and outputs
    largest = s.heads * max(state, block * block, s.queries * (s.d_head + 1))
    return Cost(
        s.heads * operations,
        4 * s.heads * (ends + 2 * blocks * state),
        largest,
        4 * s.heads * state,
    )
