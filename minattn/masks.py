"""Who may look where (chapter 3): descriptions that become bool tensors on demand, and torch's two conventions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from minattn.checks import check_tensors, check_whole


class MaskDescription(ABC):
    """Says which query may attend to which key, without holding a number for every pair.

    Two descriptions, or one and a bool tensor, are combined by ``&``: what both allow is allowed. None allows
    all, so ``mask & None`` is the mask itself. Where there are fewer queries than keys, the queries are the
    last positions, as when new tokens join those read before: query i stands at the position of key
    ``i + keys - queries``.
    """

    __array_ufunc__ = None  # else an array on the left would join its elements, one by one

    @abstractmethod
    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return the mask as a tensor, True where a query may attend.

        Args:
            shape: of the scores, (..., queries, keys); the result broadcasts to it.
            device: where to make the tensor.

        Raises:
            ValueError: if the mask does not fit the shape.
        """

    def __and__(self, other: "MaskDescription | Tensor | None") -> "MaskDescription":
        return self if other is None else Both(self, other)

    def __rand__(self, other: Tensor | None) -> "MaskDescription":
        return self if other is None else Both(other, self)


@dataclass(frozen=True)
class Causal(MaskDescription):
    """No query sees the future: it may attend to its own position and those before.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3.

    >>> Causal().to_bool((3, 3)).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    >>> Causal().to_bool((1, 3)).int()  # one new query after two old ones
    tensor([[1, 1, 1]], dtype=torch.int32)
    """

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return the lower triangle, ending in the last corner."""
        return _band(shape, device, before=shape[-1], after=0)


CAUSAL = Causal()
"""The mask of a decoder: what most calls mean by a causal mask."""


@dataclass(frozen=True)
class Window(MaskDescription):
    """A query sees its own position, so many before it and so many after it.

    Args:
        before: how many earlier positions.
        after: how many later ones; 0 makes the window causal.

    Raises:
        ValueError: if a number is below 0 or not whole.
        TypeError: if it is no number.

    References:
        Beltagy et al. 2020 (Longformer), arXiv:2004.05150, section 3.1.

    >>> Window(before=1, after=0).to_bool((3, 3)).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [0, 1, 1]], dtype=torch.int32)
    """

    before: int
    after: int

    def __post_init__(self) -> None:
        check_whole(0, before=self.before, after=self.after)

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return a band around the diagonal that ends in the last corner."""
        return _band(shape, device, self.before, self.after)


@dataclass(frozen=True, eq=False)
class Padding(MaskDescription):
    """No query sees padding.

    Args:
        tokens: True for a token, False for padding; shape (batch, keys). Its leading axes are the first axes
            of the scores, so it serves (batch, queries, keys) and (batch, heads, queries, keys) alike.

    Raises:
        TypeError: if ``tokens`` is no bool tensor.

    >>> Padding(torch.tensor([[True, True, False]])).to_bool((1, 2, 2, 3)).shape
    torch.Size([1, 1, 1, 3])
    """

    tokens: Bool[Tensor, "*batch keys"]

    def __post_init__(self) -> None:
        _check_bool(self.tokens)

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return one row for all queries."""
        *batch, keys = self.tokens.shape
        if len(batch) > len(shape) - 2 or [*shape[: len(batch)], shape[-1]] != [*batch, keys]:
            raise ValueError(
                "padding of shape (batch, keys) needs scores of shape (batch, ..., queries, keys), "
                f"got {tuple(self.tokens.shape)} and {tuple(shape)}"
            )
        between = [1] * (len(shape) - 1 - len(batch))
        return self.tokens.to(device).view(*batch, *between, keys)


@dataclass(frozen=True, eq=False)
class Both(MaskDescription):
    """Allow what both parts allow; written ``first & second``.

    Raises:
        TypeError: if a part is neither a description nor a bool tensor.
    """

    first: MaskDescription | Bool[Tensor, "..."]
    second: MaskDescription | Bool[Tensor, "..."]

    def __post_init__(self) -> None:
        for part in (self.first, self.second):
            if not isinstance(part, MaskDescription):
                _check_bool(part)

    def to_bool(
        self, shape: Sequence[int], device: torch.device | None = None
    ) -> Bool[Tensor, "*batch queries keys"]:
        """Return the two masks joined by and."""
        return to_bool(self.first, shape, device) & to_bool(self.second, shape, device)


Mask = Bool[Tensor, "..."] | MaskDescription | None
"""True where a query may attend to a key, or a description of that; None where all may."""


def to_bool(
    mask: Bool[Tensor, "..."] | MaskDescription,
    shape: Sequence[int],
    device: torch.device | None = None,
) -> Bool[Tensor, "*batch queries keys"]:
    """Turn any mask into a bool tensor that broadcasts to the shape of the scores.

    Args:
        mask: a bool tensor (..., queries or 1, keys), or a description.
        shape: of the scores, (..., queries, keys).
        device: where to make the tensor.

    Raises:
        TypeError: if the mask is neither a description nor a bool tensor.
        ValueError: if the mask does not fit the shape.
    """
    if isinstance(mask, MaskDescription):
        return mask.to_bool(shape, device)
    _check_bool(mask)
    check_mask_shape(mask.shape, shape)
    return mask.to(device)


def check_mask_shape(mask: Sequence[int], scores: Sequence[int]) -> None:
    """Check that a mask of one shape fits scores of another.

    Raises:
        ValueError: if it does not.
    """
    fits = 2 <= len(mask) <= len(scores) and mask[-1] == scores[-1]
    if not fits or any(
        size not in (1, wanted)
        for size, wanted in zip(mask[::-1], tuple(scores)[::-1], strict=False)
    ):
        raise ValueError(
            "a mask must have shape (..., queries or 1, keys) and broadcast to the scores, "
            f"got {tuple(mask)} for scores of shape {tuple(scores)}"
        )


def blind_rows(mask: Bool[Tensor, "*batch queries keys"]) -> Bool[Tensor, "*batch queries"]:
    """Tell which queries may attend to no key at all; every attend gives them zeros.

    >>> blind_rows(torch.tensor([[True, False], [False, False]]))
    tensor([False,  True])
    """
    return ~mask.any(dim=-1)


def to_sdpa(
    mask: Mask, shape: Sequence[int], device: torch.device | None = None
) -> tuple[Tensor | None, bool]:
    """Say a mask as ``torch.nn.functional.scaled_dot_product_attention`` wants it: True may attend.

    A causal mask over as many queries as keys becomes the flag, which costs less than a tensor. The flag means
    something else where the two numbers differ (its triangle starts in the first corner), so there a
    tensor is made.

    Returns:
        The arguments ``attn_mask`` and ``is_causal``.

    >>> to_sdpa(Causal(), (5, 5))
    (None, True)
    """
    if mask is None:
        return None, False
    if isinstance(mask, Causal) and shape[-2] == shape[-1]:
        return None, True
    return to_bool(mask, shape, device), False


def from_sdpa(
    attn_mask: Shaped[Tensor, "..."] | None,
    is_causal: bool,
    shape: Sequence[int],
    device: torch.device | None = None,
) -> Bool[Tensor, "*batch queries keys"] | None:
    """Read the arguments of ``scaled_dot_product_attention``.

    Args:
        attn_mask: bool, True may attend; or float, 0 may and minus infinity may not.
        is_causal: a triangle that starts in the first corner, also where queries and keys differ in number.
        shape: of the scores, (..., queries, keys).
        device: where to make the tensor; if not given, where ``attn_mask`` is.

    Raises:
        ValueError: if both are given, or a float mask holds anything but 0 and minus infinity.
        TypeError: if ``attn_mask`` is no tensor of bools or floating-point numbers, or ``is_causal`` no bool.
    """
    if not isinstance(is_causal, bool):
        raise TypeError(f"is_causal must be True or False, got {is_causal!r}")
    if attn_mask is not None and is_causal:
        check_tensors(attn_mask=attn_mask)
        raise ValueError(
            "attn_mask and is_causal exclude each other, "
            f"got a mask of shape {tuple(attn_mask.shape)} and True"
        )
    if is_causal:
        return torch.ones(tuple(shape[-2:]), dtype=torch.bool, device=device).tril()
    if attn_mask is None:
        return None
    blocked = _blocked(
        "attn_mask", attn_mask
    )  # says what a bool mask allows, and what a float one forbids
    return to_bool(blocked if attn_mask.dtype == torch.bool else ~blocked, shape, device)


def to_multihead(
    mask: Bool[Tensor, "..."] | MaskDescription,
    shape: Sequence[int],
    device: torch.device | None = None,
) -> Bool[Tensor, "batch_heads queries keys"]:
    """Say a mask as ``torch.nn.MultiheadAttention`` wants its ``attn_mask``: True may **not** attend.

    Args:
        mask: what may be attended to.
        shape: (batch, heads, queries, keys).
        device: where to make the tensor.

    Returns:
        One mask for each head of each batch row. A row of it that is all True gives NaN there.

    Raises:
        ValueError: if the shape has not four axes, or the mask does not fit it.

    >>> to_multihead(Causal(), (1, 1, 2, 2))
    tensor([[[False,  True],
             [False, False]]])
    """
    if len(shape) != 4:
        raise ValueError(f"shape must be (batch, heads, queries, keys), got {tuple(shape)}")
    return ~to_bool(mask, shape, device).expand(*shape).flatten(0, 1)


def from_multihead(
    attn_mask: Shaped[Tensor, "..."] | None,
    key_padding_mask: Shaped[Tensor, "batch keys"] | None,
    shape: Sequence[int],
) -> Bool[Tensor, "*batch queries keys"] | None:
    """Read the masks of ``torch.nn.MultiheadAttention``, where True means may **not** attend.

    Args:
        attn_mask: (queries, keys) or (batch * heads, queries, keys); bool, or float with 0 and minus infinity.
        key_padding_mask: True for padding; bool, or float with 0 and minus infinity.
        shape: (batch, heads, queries, keys).

    Raises:
        ValueError: if a mask does not fit, or a float mask holds anything but 0 and minus infinity.
        TypeError: if a mask is no tensor of bools or floating-point numbers.
    """
    if len(shape) != 4:
        raise ValueError(f"shape must be (batch, heads, queries, keys), got {tuple(shape)}")
    batch, heads, queries, keys = shape
    allowed = None
    if attn_mask is not None:
        blocked = _blocked("attn_mask", attn_mask)
        if tuple(attn_mask.shape) not in ((queries, keys), (batch * heads, queries, keys)):
            raise ValueError(
                "attn_mask must have shape (queries, keys) or (batch * heads, queries, keys), "
                f"got {tuple(attn_mask.shape)} for {tuple(shape)}"
            )
        allowed = ~blocked
        allowed = allowed if allowed.ndim == 2 else allowed.view(batch, heads, queries, keys)
    if key_padding_mask is not None:
        tokens = Padding(~_blocked("key_padding_mask", key_padding_mask)).to_bool(shape)
        allowed = tokens if allowed is None else allowed & tokens
    return allowed


def _band(
    shape: Sequence[int], device: torch.device | None, before: int, after: int
) -> Bool[Tensor, "queries keys"]:
    """Allow so many keys before each query and so many after it, the last query standing at the last key."""
    queries, keys = shape[-2:]
    allowed = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return allowed.tril_(keys - queries + after).triu_(keys - queries - before)


def _blocked(name: str, mask: Tensor) -> Tensor:
    """Read one of torch's masks that says, bool or float, what may not be attended to."""
    check_tensors(**{name: mask})
    if mask.dtype == torch.bool:
        return mask
    if not mask.is_floating_point():
        raise TypeError(
            f"{name} must be bool, or floating-point with 0 and minus infinity, got {mask.dtype}"
        )
    blocked = mask == -torch.inf
    if mask.is_meta:
        return blocked
    other = mask[~blocked & (mask != 0)]
    if len(other):
        raise ValueError(
            "a float mask must hold 0 and minus infinity only (other numbers are a bias), "
            f"got {other[0].item():g}"
        )
    return blocked


def _check_bool(mask: Any) -> None:
    """Check that something that is no description is a bool tensor."""
    if not isinstance(mask, Tensor):
        raise TypeError(
            "a mask must be a bool tensor, True where a query may attend, or a description of one, "
            f"got {type(mask).__name__}"
        )
    if mask.dtype != torch.bool:
        raise TypeError(
            f"a mask must be bool, True where a query may attend, got {mask.dtype}; "
            "numbers that are added to the scores are a bias"
        )
