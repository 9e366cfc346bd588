"""A codebook of patches (chapter 20): a picture as a row of whole numbers, as a text is one of pieces."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from minattn.checks import check_ids, check_sizes

SIDE = 2
"""Pixels of a patch, in each direction."""


class Codebook(NamedTuple):
    """Some typical patches of two by two pixels; the number of one says what a patch is like.

    Args:
        centres: the typical patches: 0 for paper, 1 for ink.
    """

    centres: Float[Tensor, "codes 4"]

    def encode(
        self, pictures: UInt8[Tensor, "pictures height width 1"]
    ) -> Int[Tensor, "pictures cells"]:
        """Return for each patch the number of the typical one that is nearest, row after row."""
        cut = patches(pictures)
        return nearest(cut.flatten(0, 1), self.centres)[0].view(cut.shape[:2])

    def decode(
        self, codes: Int[Tensor, "pictures cells"], columns: int = 4
    ) -> UInt8[Tensor, "pictures height width 1"]:
        """Put typical patches together: a picture of so many columns of patches.

        Raises:
            ValueError: if there is no such code, or the columns do not divide the cells.
        """
        check_sizes(columns=columns)
        check_ids(len(self.centres), codes=codes)
        if codes.shape[1] % columns:
            raise ValueError(f"columns must divide the {codes.shape[1]} cells, got {columns}")
        cut = (self.centres[codes] * 255).round().to(torch.uint8)
        rows = codes.shape[1] // columns
        cut = cut.view(-1, rows, columns, SIDE, SIDE).transpose(2, 3)
        return cut.reshape(-1, rows * SIDE, columns * SIDE, 1)


def patches(
    pictures: UInt8[Tensor, "pictures height width 1"],
) -> Float[Tensor, "pictures cells 4"]:
    """Cut pictures into patches of two by two pixels, row after row; 0 for paper, 1 for ink.

    Raises:
        ValueError: if patches do not fill the pictures.

    >>> patches(torch.arange(0, 8).view(1, 2, 4, 1).to(torch.uint8)).mul(255).round().int().tolist()
    [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    batch, height, width, _ = pictures.shape
    if height % SIDE or width % SIDE:
        raise ValueError(f"pictures must have even sides, got {height} and {width}")
    cut = pictures.view(batch, height // SIDE, SIDE, width // SIDE, SIDE).transpose(2, 3)
    return cut.reshape(batch, -1, SIDE**2).double() / 255


def nearest(
    points: Float[Tensor, "points 4"], centres: Float[Tensor, "codes 4"]
) -> tuple[Int[Tensor, " points"], Float[Tensor, " points"]]:
    """Return for each point the number of the nearest centre, and the square of the distance.

    >>> nearest(torch.ones(1, 4), torch.tensor([[0.0] * 4, [0.5] * 4]))
    (tensor([1]), tensor([1.]))
    """
    away = ((points[:, None] - centres) ** 2).sum(-1).min(1)
    return away.indices, away.values


def learn_codebook(
    pictures: UInt8[Tensor, "pictures height width 1"],
    n_codes: int = 128,
    *,
    seed: int = 0,
    rounds: int = 20,
) -> Codebook:
    r"""Find typical patches by k-means: give each patch to the nearest centre, move the centre to the mean of its own.

    .. math:: c_k = \frac{1}{|S_k|} \sum_{x \in S_k} x, \qquad
        S_k = \{x : k = \arg\min_j \lVert x - c_j \rVert\}

    It begins with different patches, and a centre that no patch is nearest to begins anew at the patch that is
    farthest from its own: otherwise that code would never be used.

    Args:
        pictures: to learn from.
        n_codes: how many typical patches.
        seed: which patches it begins with.
        rounds: how often centres are moved.

    Raises:
        ValueError: if there are fewer different patches than codes, or a number is below 1.

    References:
        Lloyd 1982, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2).

    >>> book = learn_codebook(torch.tensor([[[0, 0, 99, 99]] * 2] * 3, dtype=torch.uint8)[..., None], 2)
    >>> book.encode(torch.full((1, 2, 2, 1), 80, dtype=torch.uint8)).shape
    torch.Size([1, 1])
    """
    check_sizes(n_codes=n_codes, rounds=rounds)
    points, counts = torch.unique(patches(pictures).flatten(0, 1), dim=0, return_counts=True)
    if len(points) < n_codes:
        raise ValueError(
            f"n_codes must be at most the {len(points)} different patches, got {n_codes}"
        )
    rng = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=rng)[:n_codes]]
    for _ in range(rounds):
        codes, away = nearest(points, centres)
        n_own = torch.zeros(n_codes).double().index_add(0, codes, counts.double())
        sums = torch.zeros_like(centres).index_add(0, codes, points * counts[:, None])
        empty = n_own == 0
        centres = sums / n_own.clamp_min(1)[:, None]
        centres[empty] = points[away.topk(int(empty.sum())).indices]
    return Codebook(centres)


class Usage(NamedTuple):
    """How much of a codebook is used.

    Args:
        in_use: how many codes occur at all.
        effective: how many codes there would be, were all used alike and as hard to guess:
            two to the entropy in bits.
    """

    in_use: int
    effective: float


def usage(codes: Int[Tensor, "pictures cells"], n_codes: int) -> Usage:
    """Count the codes that occur, and weigh them by how often they do.

    Raises:
        ValueError: if a code is none of so many.

    >>> usage(torch.tensor([[0, 0, 1, 1]]), 5)
    Usage(in_use=2, effective=2.0)
    """
    check_ids(n_codes, codes=codes)
    share = codes.flatten().bincount(minlength=n_codes).double() / codes.numel()
    return Usage(int((share > 0).sum()), torch.special.entr(share).sum().exp().item())
