"""Exercise 17.3: the peak signal-to-noise ratio."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake

BT_601 = (0.299, 0.587, 0.114)
"""How luma weighs red, green and blue."""


def mean_psnr(found: Tensor, truth: Tensor, border: int, peak: float | int) -> float:
    """Return the mean over the pictures of their PSNR in decibels, without a border."""
    return _psnr(found, truth, border, peak)


def _cropped(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]


def _whole(x: Tensor, border: int) -> Tensor:
    return x


def _to_minus_0(x: Tensor, border: int) -> Tensor:
    return x[..., border:-border, border:-border]


def _rows_only(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-2] - border, :]


def _columns_only(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-1] - border]


def _at_the_beginning(x: Tensor, border: int) -> Tensor:
    return x[..., border:, border:]


def _at_the_end(x: Tensor, border: int) -> Tensor:
    return x[..., : x.shape[-2] - border, : x.shape[-1] - border]


def _colours(x: Tensor) -> Tensor:
    return x


def _luma(x: Tensor) -> Tensor:
    return (x * torch.tensor(BT_601)[:, None, None]).sum(1, keepdim=True)


def _grey(x: Tensor) -> Tensor:
    return x.double().mean(1, keepdim=True)


def _studio_luma(x: Tensor) -> Tensor:
    """Return luma from 16 to 235, as it is stored."""
    return _luma(x) * 219 / 255


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() - b.double()).square()


def _wrapped(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).double().square()


def _wrapped_twice(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).double()


def _wrapped_squares(a: Tensor, b: Tensor) -> Tensor:
    """Compute bytes with 16 bits: differences are right, and squares are not."""
    if a.is_floating_point():
        return _squared(a, b)
    return ((a.short() - b.short()) ** 2).double()


def _of_pictures(squares: Tensor) -> Tensor:
    return squares.flatten(1).mean(1)


def _of_all(squares: Tensor) -> Tensor:
    return squares.mean()


def _of_channels(squares: Tensor) -> Tensor:
    return squares.mean((2, 3))


def _given(found: Tensor, truth: Tensor, peak: float | int) -> float | int:
    return peak


def _always(value: float | int) -> Callable[..., float | int]:
    return lambda found, truth, peak: value


def _largest(found: Tensor, truth: Tensor, peak: float | int) -> float:
    return float(truth.max())


def _largest_found(found: Tensor, truth: Tensor, peak: float | int) -> float:
    return float(found.max())


def _range(found: Tensor, truth: Tensor, peak: float | int) -> float:
    return float(truth.max()) - float(truth.min())


def _by_type(found: Tensor, truth: Tensor, peak: float | int) -> float | int:
    return 1 if found.is_floating_point() else 255


def _not_squared(found: Tensor, truth: Tensor, peak: float | int) -> float:
    return math.sqrt(peak)


def _decibels(mse: Tensor, peak: float | int) -> Tensor:
    return 10 * torch.log10(peak**2 / mse)


def _times(factor: float | int) -> Callable[[Tensor, float | int], Tensor]:
    return lambda mse, peak: factor * _decibels(mse, peak)


def _with_epsilon(epsilon: float) -> Callable[[Tensor, float | int], Tensor]:
    return lambda mse, peak: _decibels(mse + epsilon, peak)


def _instead(value: float | int) -> Callable[[Tensor, float | int], Tensor]:
    return lambda mse, peak: torch.where(mse == 0, value, _decibels(mse, peak))


def _divided(mse: Tensor, peak: float | int) -> Tensor:
    return torch.tensor([10 * math.log10(peak**2 / x) for x in mse.view(-1).tolist()])


def _subtracted(mse: Tensor, peak: float | int) -> Tensor:
    return torch.tensor([20 * math.log10(peak) - 10 * math.log10(x) for x in mse.view(-1).tolist()])


def _divided_by_the_root(mse: Tensor, peak: float | int) -> Tensor:
    return torch.tensor([20 * math.log10(peak / math.sqrt(x)) for x in mse.view(-1).tolist()])


def _psnr(
    found: Tensor,
    truth: Tensor,
    border: int,
    peak: float | int,
    *,
    read: Callable[[Tensor], Tensor] = _colours,
    crop: Callable[[Tensor, int], Tensor] = _cropped,
    squared: Callable[[Tensor, Tensor], Tensor] = _squared,
    mean: Callable[[Tensor], Tensor] = _of_pictures,
    reach: Callable[[Tensor, Tensor, float | int], float | int] = _given,
    decibels: Callable[[Tensor, float | int], Tensor] = _decibels,
) -> float:
    """Compare pictures in some way.

    Args:
        found: pictures, (batch, 3, height, width).
        truth: what they should be.
        border: how many rows and columns are cut off.
        peak: the difference between black and white.
        read: what of the pictures is compared.
        crop: cuts the border off.
        squared: the squared differences.
        mean: of these.
        reach: the peak that is used.
        decibels: from a mean and a peak.
    """
    a, b = (crop(read(x), border) for x in (found, truth))
    ratios: Tensor = decibels(mean(squared(a, b)), reach(found, truth, peak))
    return float(ratios.mean())


def _ways(**ways: Sequence[object]) -> list[Answer]:
    """Write the exercise with each of some values of one argument."""
    ((name, values),) = ways.items()
    return [partial(_psnr, **{name: value}) for value in values]  # type: ignore[arg-type]


def _case(
    seed: int, sizes: tuple[int, int, int], border: int, peak: float | int, dtype: type
) -> Case:
    """Make pictures whose errors differ between them, inside and at the border, with some large ones."""
    rng = np.random.default_rng(seed)
    batch, height, width = sizes
    shape = (batch, 3, height, width)
    low = -1.0 if peak == 2 else 0.0
    truth = low + peak * rng.random(shape)
    spread = peak * np.array([0.05, 0.15, 0.02, 0.09, 0.3])[:batch].reshape(-1, 1, 1, 1)
    noise = rng.normal(size=shape) * spread * np.array([1.0, 0.6, 1.7]).reshape(3, 1, 1)
    found = np.where(rng.random(shape) < 0.1, low + peak * rng.random(shape), truth + noise)
    if np.issubdtype(dtype, np.integer):
        truth, found = truth.round(), found.round()
    pictures = (torch.from_numpy(x.clip(low, low + peak).astype(dtype)) for x in (found, truth))
    return *pictures, border, peak


def _cases() -> list[Case]:
    equal, *_ = _case(1736, (1, 3, 3), 0, 255, np.uint8)
    return [
        _case(1731, (1, 3, 3), 1, 255, np.uint8),
        _case(1732, (2, 5, 7), 0, 1, np.float32),
        _case(1733, (3, 11, 7), 2, 2, np.float32),  # from -1 to 1
        _case(1734, (5, 7, 13), 1, 255, np.uint8),
        _case(1735, (2, 11, 5), 2, 1023, np.int16),  # ten bits
        (equal, equal.clone(), 0, 255),
    ]


EXERCISE = Exercise(
    number="17.3",
    title="The signal-to-noise ratio",
    solution=mean_psnr,
    cases=_cases,
    mistakes=[
        Mistake(
            "integers_wrap_around",
            partial(_psnr, squared=_wrapped),
            "Whole numbers wrap around. In bytes 100 - 101 is 255, and 16 squared is 0; with 16 bits, 182 squared is "
            "below 0. Make the pictures floats first, and subtract then.",
            also=_ways(squared=[_wrapped_twice, _wrapped_squares]),
        ),
        Mistake(
            "another_peak",
            partial(_psnr, reach=_always(255)),
            "You take another peak: always 255 or 1, the largest number at hand, or one that is not squared. With 255 "
            "for pictures from 0 to 1, all get 48 decibels more. `peak` is given; its square stands above the mean "
            "square.",
            also=_ways(
                reach=[_always(1), _largest, _largest_found, _range, _by_type, _not_squared]
            ),
        ),
        Mistake(
            "border_not_cut",
            partial(_psnr, crop=_whole),
            "The border is not cut off as asked: `border` rows or columns at each of the four sides. If it is 0, "
            "nothing is. (`[0:-0]` is empty, for -0 is 0: end at `height - border`.)",
            also=_ways(
                crop=[_to_minus_0, _rows_only, _columns_only, _at_the_beginning, _at_the_end]
            ),
        ),
        Mistake(
            "factor_for_the_other",
            partial(_psnr, decibels=_times(0.5)),
            "The factor belongs to another ratio. It is 10 for squares, peak * peak against the mean square error, and "
            "20 for their roots, peak against the root of that error. Yours is half, or double, of what it should be.",
            also=[partial(_psnr, decibels=_times(2))],
        ),
        Mistake(
            "natural_logarithm",
            partial(_psnr, decibels=_times(math.log(10))),
            "This is the natural logarithm, or that with base 2. Decibels are made with base 10: ten times the "
            "squared error are 10 dB. In torch and NumPy log10 is that, and log is not.",
            also=_ways(decibels=[_times(math.log(10) / 2), _times(math.log2(10))]),
        ),
        Mistake(
            "mean_at_another_place",
            partial(_psnr, mean=_of_all),
            "The mean is taken at another place. Each picture has its own ratio, of the mean square over its pixels "
            "and colours together, and these are averaged. With one mean over all pictures, the worst one decides.",
            also=[partial(_psnr, mean=_of_channels)],
        ),
        Mistake(
            "of_luma",
            partial(_psnr, read=_luma),
            "This is the ratio of the luma, or of a grey. Many papers give that, and it is mostly higher, as errors "
            "of the three colours cancel in part. Here all three are compared, each with its own.",
            also=[partial(_psnr, read=_grey), partial(_psnr, read=_studio_luma)],
        ),
        Mistake(
            "equal_pictures",
            partial(_psnr, decibels=_divided),
            "Equal pictures are wrong, and all others are right. There is no error, and the ratio is infinite: return "
            "float('inf'). A small number added, or 100 instead, is a result that nobody measured.",
            also=_ways(
                decibels=[
                    _subtracted,
                    _divided_by_the_root,
                    *map(_with_epsilon, (1e-8, 1e-10, 1e-12)),
                    *map(_instead, (100.0, 0.0, 99.0)),
                ]
            ),
        ),
    ],
    laws=[
        Law("it is above 0: no error here is as large as the peak", lambda out, *case: out > 0),
    ],
)
