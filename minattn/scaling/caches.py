"""A smaller cache: keys and values in 8 or 4 bits, and only those keys kept that were looked at."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from minattn.alignment import masked_softmax, weighted_sum
from minattn.checks import check_floats, check_whole
from minattn.dot_product import fused_attend
from minattn.masks import Mask, to_bool
from minattn.seam import Attend, check_lookup, check_scale, name_of, widened

BITS = (8, 4)


@dataclass(frozen=True, eq=False)
class Quantized:
    """Vectors in few bits: a whole number for each of their numbers, and one scale for each vector.

    Args:
        codes: int8, one for each number; or uint8, two of four bits in each, the earlier one in the lower half.
        scale: what a code is multiplied by, one for each vector.
        bits: of a code.
        width: of a vector.
    """

    codes: Shaped[Tensor, "*batch stored"]
    scale: Float[Tensor, "*batch 1"]
    bits: int
    width: int

    @property
    def n_bytes(self) -> int:
        """How many bytes codes and scales take."""
        return self.codes.nbytes + self.scale.nbytes


def quantize(x: Float[Tensor, "*batch width"], bits: int = 8) -> Quantized:
    r"""Round every vector to whole multiples of a scale of its own.

    .. math:: s = \frac{\max_i |x_i|}{2^{b-1} - 1}, \qquad c_i = \operatorname{round}(x_i / s)

    No number moves by more than half a scale, :math:`|x_i - s c_i| \le \max |x| / (2^b - 2)`, but for the rounding of
    floating-point numbers: a 254th of the largest number with 8 bits, a 14th with 4. For keys and values
    (batch, heads, tokens, d_head) that makes one scale for each head and token, so a new token changes no old code.

    Args:
        x: the vectors.
        bits: 8 or 4.

    Returns:
        Codes and scales. There is no way back for a gradient.

    Raises:
        ValueError: if the bits are neither 8 nor 4, or a number is not finite.
        TypeError: if x holds no floating-point numbers.

    References:
        Dettmers et al. 2022 (LLM.int8), arXiv:2208.07339, section 2.1, on scales by the largest number.

    >>> quantize(torch.tensor([[1.2, -2.0, 0.4]]), bits=4).codes  # two codes in a byte: 4, -7; 1
    tensor([[148,   1]], dtype=torch.uint8)
    >>> quantize(torch.tensor([[1.2, -2.0, 0.4]]), bits=8).codes
    tensor([[  76, -127,   25]], dtype=torch.int8)
    """
    check_floats(x=x)
    _check_bits(bits)
    if not bool(x.isfinite().all()):
        raise ValueError("what is rounded must be finite, got infinity or NaN")
    x = x.detach()
    largest = x.abs().amax(-1, keepdim=True) if x.shape[-1] else x.new_zeros(*x.shape[:-1], 1)
    scale = largest / (2 ** (bits - 1) - 1)
    codes = (x / scale.masked_fill(scale == 0, 1.0)).round().to(torch.int8)
    return Quantized(_packed(codes) if bits == 4 else codes, scale, bits, x.shape[-1])


def dequantize(x: Quantized) -> Float[Tensor, "*batch width"]:
    """Make numbers of the codes again.

    >>> dequantize(quantize(torch.tensor([[7.0, -3.4, 0.0]]), bits=4))
    tensor([[ 7., -3.,  0.]])
    """
    codes = _unpacked(x.codes, x.width) if x.bits == 4 else x.codes
    return codes * x.scale


@dataclass(frozen=True, repr=False)
class LowBits:
    """An attend whose keys and values come out of a cache in few bits.

    A token's codes depend on that token alone, so to round all keys at once is to round each when it comes.

    Args:
        attend: what the rounded keys and values are handed to.
        bits: 8 or 4.

    Raises:
        ValueError: if the bits are neither.

    >>> LowBits(fused_attend, 8)
    LowBits(fused_attend, bits=8)
    """

    attend: Attend = fused_attend
    bits: int = 8

    def __post_init__(self) -> None:
        _check_bits(self.bits)

    def __repr__(self) -> str:
        return f"LowBits({name_of(self.attend)}, bits={self.bits})"

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        """Round and attend."""
        k, v = (dequantize(quantize(x, self.bits)).to(x.dtype) for x in (key, value))
        return self.attend(query, k, v, mask)


@dataclass(frozen=True)
class HeavyHitters:
    r"""A causal attend that keeps the newest keys, and of the older ones those that got the most weight so far.

    Every head keeps its own. When a key leaves the newest ones it joins the older; if those are too many, the one is
    dropped for good that the queries so far gave the least weight, in sum. A query then attends to at most
    ``heavy + recent`` keys, its own among them.

    Args:
        heavy: how many of the older keys are kept.
        recent: how many of the newest, at least 1.

    Raises:
        ValueError: if a number is too small.
        TypeError: if it is no number.

    References:
        Zhang et al. 2023 (H2O), arXiv:2306.14048, section 4, where both numbers are the same.

    >>> x = torch.eye(4)[None]
    >>> HeavyHitters(heavy=4, recent=1)(x, x, x).shape
    torch.Size([1, 4, 4])
    """

    heavy: int
    recent: int

    def __post_init__(self) -> None:
        check_whole(0, heavy=self.heavy)
        check_whole(1, recent=self.recent)

    def __call__(
        self,
        query: Float[Tensor, "*#batch tokens d_k"],
        key: Float[Tensor, "*#batch tokens d_k"],
        value: Float[Tensor, "*#batch tokens d_v"],
        mask: Mask = None,
    ) -> Float[Tensor, "*#batch tokens d_v"]:
        """Attend query by query, as one that writes would.

        Args:
            query: what is asked, one for each key: what was dropped depends on all queries before.
            key: what is offered.
            value: what is delivered.
            mask: what may be attended to beside; the future is hidden in any case.

        Raises:
            ValueError: if there is not one query for each key, or as for ``attend``.
            TypeError: as for ``attend``.
        """
        batch = check_lookup(query, key, value)
        n = key.shape[-2]
        if query.shape[-2] != n:
            raise ValueError(
                "what was dropped depends on all queries: there must be one for each key, "
                f"got {query.shape[-2]} queries and {n} keys"
            )
        scores = widened(query) @ widened(key).mT * check_scale(None, query.shape[-1])
        scores = scores.expand(*batch, n, n)
        allowed = torch.ones_like(scores, dtype=torch.bool).tril()
        if mask is not None:
            allowed = allowed & to_bool(mask, scores.shape, scores.device)
        kept = torch.ones(*batch, n, dtype=torch.bool, device=scores.device)
        sums = torch.zeros_like(scores[..., 0, :])
        rows = []
        for i in range(n):
            if (older := i + 1 - self.recent) > self.heavy:
                kept = _without_least(kept, sums, older)
            weights = masked_softmax(scores[..., i, :], allowed[..., i, :] & kept)
            sums = sums + weights.detach()
            rows.append(weights)
        table = torch.stack(rows, dim=-2) if rows else scores
        return weighted_sum(table, value.expand(*batch, *value.shape[-2:]))


def _without_least(kept: Tensor, sums: Tensor, older: int) -> Tensor:
    """Drop the one of the first so many keys that is still kept and got the least weight."""
    least = sums[..., :older].masked_fill(~kept[..., :older], torch.inf).argmin(-1, keepdim=True)
    return kept.scatter(-1, least, False)


def _check_bits(bits: int) -> None:
    if isinstance(bits, bool) or bits not in BITS:
        raise ValueError(f"bits must be 8 or 4, got {bits!r}")


def _packed(codes: Tensor) -> Tensor:
    """Put two codes of four bits into a byte; of an odd width the last byte has one."""
    halves = (codes.to(torch.int16) & 15).to(torch.uint8)
    if halves.shape[-1] % 2:
        halves = torch.cat([halves, torch.zeros_like(halves[..., :1])], dim=-1)
    return halves[..., ::2] | (halves[..., 1::2] << 4)


def _unpacked(packed: Tensor, width: int) -> Tensor:
    """Take the codes out again; those from 8 on are below 0."""
    halves = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)[..., :width]
    codes = halves.to(torch.int8)
    return torch.where(codes > 7, codes - 16, codes)
