"""Telling attention where tokens stand (chapter 4): sinusoidal, learned, rotary, or a bias by distance."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import (
    check_finite,
    check_floats,
    check_integers,
    check_sizes,
    check_tensors,
    check_whole,
)
from minattn.dot_product import fused_attend
from minattn.masks import Mask
from minattn.seam import Attend, Positions, name_of


def sinusoidal(
    n_positions: int,
    d_model: int,
    start: int = 0,
    base: float = 10_000.0,
    device: torch.device | None = None,
) -> Float[Tensor, "positions d_model"]:
    r"""Give every position a vector of sines and cosines, a pair for each of several wavelengths.

    .. math:: p_{t,\,2i} = \sin(t\, \omega_i), \qquad p_{t,\,2i+1} = \cos(t\, \omega_i), \qquad
        \omega_i = b^{-2i/d}

    Moving on by k positions turns every pair by the angle :math:`k\,\omega_i`, wherever one starts.

    Args:
        n_positions: how many.
        d_model: width; even.
        start: the first position.
        base: the wavelengths go from :math:`2\pi` to almost :math:`2\pi b`.
        device: where to put the vectors, which are computed on the CPU in float64; torch's default if not given.

    Raises:
        ValueError: if the width is odd, or a number is out of range.
        TypeError: if one is no number.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    >>> sinusoidal(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    check_whole(0, n_positions=n_positions)
    angles = _angles(n_positions, d_model, start, base)
    pairs = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (positions, d_model / 2, 2)
    table = pairs.flatten(-2).to(torch.get_default_dtype())
    return table.to(torch.get_default_device() if device is None else device)


class SinusoidalPositions(nn.Module):
    """Add sinusoidal positions; there is nothing to learn, and no longest length.

    Args:
        d_model: width; even.
        base: as in ``sinusoidal``.

    Raises:
        ValueError: if the width is odd, or a number is out of range.

    >>> SinusoidalPositions(4)(torch.zeros(1, 2, 4))
    tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
             [0.8415, 0.5403, 0.0100, 0.9999]]])
    """

    def __init__(self, d_model: int, base: float = 10_000.0) -> None:
        super().__init__()
        _check(d_model, base)
        self.d_model, self.base = d_model, base

    def forward(
        self, x: Float[Tensor, "*batch seq d_model"], start: int = 0
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Add a vector to every token; the first token stands at ``start``.

        Raises:
            ValueError: if the tokens have another width, or ``start`` is not whole.
            TypeError: if the tokens are not of floating-point numbers.
        """
        _check_width(x, self.d_model)
        return x + sinusoidal(x.shape[-2], self.d_model, start, self.base, x.device).to(x)


class LearnedPositions(nn.Module):
    """Add a learned vector for every position, up to a longest length.

    Args:
        context_length: how many positions there are.
        d_model: width.

    Raises:
        ValueError: if a number is below 1.

    References:
        Gehring et al. 2017, arXiv:1705.03122, section 3.1.
    """

    def __init__(self, context_length: int, d_model: int) -> None:
        super().__init__()
        check_sizes(context_length=context_length, d_model=d_model)
        self.table = nn.Parameter(torch.randn(context_length, d_model))

    def forward(
        self, x: Float[Tensor, "*batch seq d_model"], start: int = 0
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Add a vector to every token; the first token stands at ``start``.

        Raises:
            ValueError: if a position has no vector, or the tokens have another width.
            TypeError: if the tokens are not of floating-point numbers.
        """
        _check_width(x, self.table.shape[1])
        check_integers(start=start)
        end = start + x.shape[-2]
        if not 0 <= start <= end <= len(self.table):
            raise ValueError(
                f"there are vectors for the positions 0 to {len(self.table) - 1}, "
                f"got {start} to {end - 1}"
            )
        return x + self.table[start:end]


def rotary(
    x: Float[Tensor, "*batch seq d_head"], start: int = 0, base: float = 10_000.0
) -> Float[Tensor, "*batch seq d_head"]:
    r"""Turn queries or keys by an angle that grows with their position.

    Each pair of neighbouring features :math:`(x_{2i}, x_{2i+1})` at position t is turned by
    :math:`t\,\omega_i`, with :math:`\omega_i` as in ``sinusoidal``. A dot product of a turned query and a
    turned key then depends on their distance, not on where they stand.

    Args:
        x: queries or keys; not values.
        start: position of the first.
        base: as in ``sinusoidal``.

    Returns:
        Vectors of the same lengths. The angles are computed in float64, whatever x is.

    Raises:
        ValueError: if the width is odd, or a number is out of range.
        TypeError: if x does not hold floating-point numbers.

    References:
        Su et al. 2024, arXiv:2104.09864, section 3.2, with neighbours as pairs, as there; many libraries pair
        feature i with feature i + d/2, which is the same for other weights.

    >>> rotary(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    check_floats(x=x)
    angles = _angles(x.shape[-2], x.shape[-1], start, base).to(x.device)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = [even * cos - odd * sin, even * sin + odd * cos]
    return torch.stack(turned, dim=-1).flatten(-2)


def with_rotary(attend: Attend = fused_attend, base: float = 10_000.0) -> Attend:
    """Make an attend that turns query and key by their positions first.

    Where there are fewer queries than keys, the queries are the last positions, as in ``masks``.

    Args:
        attend: any attend whose scores are dot products.
        base: as in ``sinusoidal``.

    Returns:
        An attend that can be pickled if the one it is made of can.

    Raises:
        ValueError: if the base is not above 1.
    """
    _check(2, base)
    return _Rotated(attend, base)


@dataclass(frozen=True, repr=False)
class _Rotated:
    attend: Attend
    base: float

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        start = key.shape[-2] - query.shape[-2]
        q, k = rotary(query, start, self.base), rotary(key, 0, self.base)
        return self.attend(q, k, value, mask)

    def __repr__(self) -> str:
        return f"with_rotary({name_of(self.attend)}, base={self.base!r})"


def distance_bias(
    queries: int, keys: int, slope: float, device: torch.device | None = None
) -> Float[Tensor, "queries keys"]:
    r"""Penalize a key by its distance: :math:`b_{ij} = -m\,|i - j|`, to be added to the scores.

    Where there are fewer queries than keys, the queries are the last positions, as in ``masks``.

    Args:
        queries: how many.
        keys: how many.
        slope: m, how much each step of distance costs.
        device: where to make the tensor.

    Raises:
        ValueError: if a number is below 1 or not whole, or the slope is not finite.
        TypeError: if one is no number.

    References:
        Press et al. 2022 (ALiBi), arXiv:2108.12409, section 3, where each head has its own slope.

    >>> distance_bias(2, 3, slope=0.5)
    tensor([[-0.5000, -0.0000, -0.5000],
            [-1.0000, -0.5000, -0.0000]])
    """
    check_sizes(queries=queries, keys=keys)
    check_finite(slope=slope)
    key_position = torch.arange(keys, dtype=torch.get_default_dtype(), device=device)
    query_position = key_position.new_tensor(range(keys - queries, keys))
    return -slope * (query_position[:, None] - key_position).abs()


def placed(
    x: Float[Tensor, "batch seq d_model"], place: int | Int[Tensor, " batch"], positions: Positions
) -> Float[Tensor, "batch seq d_model"]:
    """Mark tokens with their places where the first of them does not stand at the beginning.

    Args:
        x: the tokens.
        place: of the first one, for all rows or for each.
        positions: anything that marks whole sequences.

    Raises:
        ValueError: if a place is below 0 or not whole, or there is not one for each row.
        TypeError: if the places are not whole numbers, or the tokens no tensor.
    """
    check_tensors(x=x)
    if isinstance(place, Tensor):
        if place.is_floating_point() or place.is_complex() or place.dtype == torch.bool:
            raise TypeError(f"place must hold whole numbers, got {place.dtype}")
        if place.shape != x.shape[:1]:
            raise ValueError(
                f"place must be one number for each of {len(x)} rows, got shape {tuple(place.shape)}"
            )
        out = torch.empty_like(x)
        for at in sorted(set(place.tolist())):
            out[place == at] = placed(x[place == at], at, positions)
        return out
    check_whole(0, place=place)
    if isinstance(positions, SinusoidalPositions | LearnedPositions):
        marked: Tensor = positions(x, place)
        return marked
    # Others take a whole sequence: put the tokens in their places and nothing before them.
    return positions(F.pad(x, (0, 0, place, 0)))[:, place:]


def _angles(n_positions: int, width: int, start: int, base: float) -> Tensor:
    """Return position times frequency in float64, (positions, width / 2)."""
    _check(width, base)
    check_integers(start=start)
    frequency = torch.exp(
        torch.arange(0, width, 2, dtype=torch.float64, device="cpu") * (-math.log(base) / width)
    )
    position = torch.arange(start, start + n_positions, dtype=torch.float64, device="cpu")
    return position[:, None] * frequency


def _check_width(x: Tensor, d_model: int) -> None:
    check_floats(x=x)
    if x.shape[-1] != d_model:
        raise ValueError(f"the tokens must have width {d_model}, got shape {tuple(x.shape)}")


def _check(width: int, base: float) -> None:
    check_integers(width=width)
    if width < 2 or width % 2:
        raise ValueError(f"sines and cosines come in pairs: the width must be even, got {width}")
    check_finite(base=base)
    if base <= 1:
        raise ValueError(f"base must be a finite number above 1, got {base}")
