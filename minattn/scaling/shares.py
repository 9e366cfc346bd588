"""Who holds which positions of a sequence, and what follows on paper: pairs to compute, bytes to send."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minattn.checks import check_sizes, check_tensors, check_whole

Order = Literal["plain", "zigzag"]

Shares = Sequence[Int[Tensor, "_"]]
"""The positions that each process holds, by rank; they may differ in number."""


def shares(length: int, world: int, order: Order = "plain") -> list[Int[Tensor, "_"]]:
    """Deal the positions of a sequence out to processes; each position to one.

    Args:
        length: of the sequence.
        world: how many processes.
        order: "plain" gives each one stretch. "zigzag" cuts the sequence into twice as many pieces and gives each
            process an early one and a late one: the first and the last, the second and the last but one, and so on.
            Then a causal mask leaves all of them nearly the same work.

    Returns:
        The positions of each process, ascending. In both orders the shares, or the pieces, differ in length by one
        at most; where there are too few positions some are empty.

    Raises:
        ValueError: if the length is below 0, there is no process, or the order is not one of these.

    References:
        The zigzag is that of public code; Brandon et al. 2023 (Striped Attention), arXiv:2311.09431, balance the
        work by giving each process every so many-th position.

    >>> shares(8, 2)
    [tensor([0, 1, 2, 3]), tensor([4, 5, 6, 7])]
    >>> shares(8, 2, "zigzag")
    [tensor([0, 1, 6, 7]), tensor([2, 3, 4, 5])]
    """
    check_whole(0, length=length)
    check_sizes(world=world)
    if order not in get_args(Order):
        raise ValueError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    positions = torch.arange(length)
    if order == "plain":
        return list(positions.tensor_split(world))
    pieces = positions.tensor_split(2 * world)
    return [torch.cat((pieces[rank], pieces[-1 - rank])) for rank in range(world)]


def check_positions(shares: Shares) -> None:
    """Check that every position of a sequence is in one share.

    Raises:
        ValueError: if one is missing or there twice, or there is no share.
        TypeError: if a share is no tensor of whole numbers.
    """
    check_sizes(**{"the number of shares": len(shares)})
    for rank, share in enumerate(shares):
        check_tensors(**{f"share {rank}": share})
        if share.dtype != torch.int64:
            raise TypeError(f"share {rank} must be of dtype torch.int64, got {share.dtype}")
    found = torch.cat(list(shares))
    if not torch.equal(found.sort().values, torch.arange(len(found))):
        raise ValueError(
            "shares must hold every position from 0 on exactly once, "
            f"got {[share.tolist() for share in shares]}"
        )


def tiles(
    queries: Int[Tensor, " queries"], keys: Int[Tensor, " keys"], causal: bool
) -> Iterator[tuple[slice, slice, Bool[Tensor, "rows columns"] | None]]:
    """Cut the pairs of some queries and some keys into what is computed at a time.

    Without a causal mask that is everything at once. With one, both are cut into halves, and a quarter all of
    which lies in the future is left out. The halves of a zigzag share are its two pieces.

    Args:
        queries: positions of the queries.
        keys: positions of the keys.
        causal: whether a query sees only keys that do not come after it.

    Yields:
        The rows and columns of a tile, and what is allowed there; None is all.
    """
    for rows in _halves(len(queries), causal):
        for columns in _halves(len(keys), causal):
            allowed = keys[columns] <= queries[rows, None] if causal else None
            if allowed is None:
                yield rows, columns, None
            elif allowed.any():
                yield rows, columns, None if allowed.all() else allowed


def _halves(n: int, cut: bool) -> list[slice]:
    """Cut a range into halves, if so wished; leave out what is empty."""
    middle = (n + 1) // 2 if cut else n
    return [part for part in (slice(0, middle), slice(middle, n)) if part.start < part.stop]


def pairs(shares: Shares, causal: bool) -> Int[Tensor, "world world"]:
    """Count the pairs of query and key that ``ring_attend`` computes.

    Args:
        shares: positions of each process.
        causal: whether a query sees only keys that do not come after it.

    Returns:
        At [rank, step] what this process computes at this step. All wait for the slowest one at each step.

    Raises:
        ValueError: if a position is missing or there twice.

    >>> pairs(shares(8, 2), causal=True)
    tensor([[12,  0],
            [12, 16]])
    >>> pairs(shares(8, 2, "zigzag"), causal=True)
    tensor([[12,  8],
            [12,  8]])
    """
    check_positions(shares)
    world = len(shares)
    table = torch.zeros(world, world, dtype=torch.int64)
    for rank in range(world):
        for step in range(world):
            for rows, columns, _ in tiles(shares[rank], shares[owner(rank, step, world)], causal):
                table[rank, step] += (rows.stop - rows.start) * (columns.stop - columns.start)
    return table


def owner(rank: int, step: int, world: int) -> int:
    """Say whose keys a process holds at a step: at first its own, then those of the one before it, and so on."""
    return (rank - step) % world


def ring_bytes(
    shares: Shares,
    batch_and_heads: Sequence[int],
    d_k: int,
    d_v: int,
    bytes_per_number: int,
    padding: bool = False,
    backward: bool = False,
) -> list[int]:
    r"""Count the bytes that each process sends in ``ring_attend``.

    There, keys and values make all steps but the last, so process r sends the share of everybody but that of the
    next one, :math:`n - n_{r+1}` positions. The way back does it again, and the gradients of all n positions are sent
    as well: they make one step more, home. They are sums, and travel in float32 at least.

    Args:
        shares: positions of each process.
        batch_and_heads: the leading axes of keys and values; the first is the batch.
        d_k: width of a key.
        d_v: width of a value.
        bytes_per_number: of keys and values.
        padding: whether one byte for each key and batch row says if it is a token.
        backward: whether the way back is counted too, beside the way there.

    Returns:
        The bytes, by rank. A process alone sends nothing.

    Raises:
        ValueError: if a size is below 1, or a position is missing or there twice.

    References:
        Liu et al. 2023 (Ring Attention), arXiv:2310.01889, section 3.

    >>> ring_bytes(shares(8, 2), (1, 1), d_k=3, d_v=5, bytes_per_number=4)
    [128, 128]
    >>> ring_bytes(shares(8, 2), (1, 1), d_k=3, d_v=5, bytes_per_number=4, backward=True)
    [512, 512]
    """
    check_positions(shares)
    check_sizes(d_k=d_k, d_v=d_v, bytes_per_number=bytes_per_number)
    check_whole(0, **{f"batch_and_heads[{i}]": size for i, size in enumerate(batch_and_heads)})
    world, length = len(shares), sum(map(len, shares))
    if world == 1:
        return [0]
    batch = batch_and_heads[0] if batch_and_heads else 1
    numbers = torch.Size(batch_and_heads).numel() * (d_k + d_v)
    position = numbers * bytes_per_number + padding * batch
    gradients = numbers * max(bytes_per_number, 4) * length
    found = []
    for rank in range(world):
        there = (length - len(shares[(rank + 1) % world])) * position
        found.append(2 * there + gradients if backward else there)
    return found
