"""Exercise 18.3: colours from dots."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Score = Callable[[Tensor, Tensor, float, float], Tensor]
"""Makes scores of squared distances, squared differences of grey, and both widths."""
Weigh = Callable[[Tensor, Tensor], Tensor]
"""Makes weights of scores (batch, pixels, dots), and of which dots are there (batch, 1, dots)."""


def colour_of_pixels(
    grey: Tensor,
    place: Tensor,
    colour: Tensor,
    real: Tensor,
    place_width: float,
    grey_width: float,
) -> Tensor:
    """Return a colour for every pixel, of the dots that are near it and as light as it."""
    return _coloured(grey, place, colour, real, place_width, grey_width)


def _of_both(distance: Tensor, difference: Tensor, width: float, grey_width: float) -> Tensor:
    return -distance / (2 * width**2) - difference / (2 * grey_width**2)


def _multiplied(distance: Tensor, difference: Tensor, width: float, grey_width: float) -> Tensor:
    return -distance * width**2 / 2 - difference * grey_width**2 / 2


def _not_squared(distance: Tensor, difference: Tensor, width: float, grey_width: float) -> Tensor:
    return -distance / (2 * width) - difference / (2 * grey_width)


def _scaled(by: Callable[[float, float], float]) -> Score:
    """Make a way to add both squares before they are divided."""

    def score(distance: Tensor, difference: Tensor, width: float, grey_width: float) -> Tensor:
        return -(distance + difference) / (2 * by(width, grey_width))

    return score


def _over(scores: Tensor, real: Tensor, axis: int) -> Tensor:
    return scores.masked_fill(~real, -torch.inf).softmax(axis)


def _weights(scores: Tensor, real: Tensor) -> Tensor:
    return _over(scores, real, 2).nan_to_num(0.0)


def _over_pixels(scores: Tensor, real: Tensor) -> Tensor:
    return _over(scores, real, 1).nan_to_num(0.0)


def _over_pixels_with_nan(scores: Tensor, real: Tensor) -> Tensor:
    return _over(scores, real, 1)


def _over_pixels_hidden_after(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(1) * real


def _over_all(scores: Tensor, real: Tensor) -> Tensor:
    return scores.masked_fill(~real, -torch.inf).flatten(1).softmax(1).view(scores.shape)


def _hidden_after(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(2) * real


def _score_of_0(scores: Tensor, real: Tensor) -> Tensor:
    return (scores * real).softmax(2)


def _not_hidden(scores: Tensor, real: Tensor) -> Tensor:
    return scores.softmax(2)


def _others_hidden(scores: Tensor, real: Tensor) -> Tensor:
    return _weights(scores, ~real)


def _with_nan(scores: Tensor, real: Tensor) -> Tensor:
    return _over(scores, real, 2)


def _uniform_if_none(scores: Tensor, real: Tensor) -> Tensor:
    return scores.masked_fill(~real, -1e9).softmax(2)


def _rows_first(height: int, width: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(height), torch.arange(width))


def _columns_first(height: int, width: int) -> Tensor:
    return _rows_first(height, width).flip(1)


def _column_by_column(height: int, width: int) -> Tensor:
    """List the pixels in the other order, as meshgrid with indexing="xy" does."""
    return _rows_first(width, height).flip(1)


def _coloured(
    grey: Tensor,
    place: Tensor,
    colour: Tensor,
    real: Tensor,
    place_width: float,
    grey_width: float,
    *,
    pixels: Callable[[int, int], Tensor] = _rows_first,
    score: Score = _of_both,
    weigh: Weigh = _weights,
    with_grey: bool = False,
) -> Tensor:
    """Let every pixel ask the dots, each step done in some way.

    Args:
        grey: how light the pixels are.
        place: row and column of each dot.
        colour: of each dot.
        real: which dots are there.
        place_width: how far a colour reaches, in pixels.
        grey_width: the same, in levels of grey.
        pixels: row and column of each pixel.
        score: how scores are made.
        weigh: how weights are made of them.
        with_grey: whether the level of grey is added at the end.
    """
    apart = pixels(*grey.shape[1:])[:, None] - place[:, None]  # (batch, pixels, dots, 2)
    light = grey.flatten(1)
    of_dots = light.gather(1, place[..., 0] * grey.shape[2] + place[..., 1])
    difference = (light[:, :, None] - of_dots[:, None]).square()
    scores = score(apart.float().square().sum(-1), difference, place_width, grey_width)
    found = (weigh(scores, real[:, None]) @ colour).view(*grey.shape, 2)
    return found + grey[..., None] if with_grey else found


def _case(
    seed: int, size: tuple[int, int, int], dots: list[int], widths: tuple[float, float]
) -> Case:
    """Make so many pictures, with so many dots each; what is missing has large numbers."""
    batch, height, width = size
    n = max(dots)
    place = numbers(seed, batch, n, 2).mul(97).abs().long() % torch.tensor([height, width])
    real = torch.arange(n) < torch.tensor(dots)[:, None]
    real = real.flip(1) if seed % 2 else real
    colour = numbers(seed + 1, batch, n, 2).where(real[..., None], torch.tensor(3.0))
    return numbers(seed + 2, *size).sigmoid(), place, colour, real, *widths


def _cases() -> list[Case]:
    return [
        _case(1831, (1, 2, 3), [2], (1.6, 0.3)),
        _case(1832, (2, 3, 5), [3, 2], (1.9, 0.25)),
        _case(1833, (3, 7, 5), [5, 0, 3], (2.7, 0.4)),
        _case(1836, (2, 5, 11), [0, 7], (3.4, 0.2)),
    ]


def _between(out: Tensor, grey: Tensor, place: Tensor, colour: Tensor, real: Tensor) -> bool:
    """Tell whether the colours of each picture lie between those of its dots."""
    for found, dots in zip(out, (c[r] for c, r in zip(colour, real, strict=True)), strict=True):
        if (
            len(dots)
            and not (dots.amin(0) - 1e-5 <= found).all() & (found <= dots.amax(0) + 1e-5).all()
        ):
            return False
    return True


EXERCISE = Exercise(
    number="18.3",
    title="Colours from dots",
    solution=colour_of_pixels,
    cases=_cases,
    mistakes=[
        Mistake(
            "softmax_over_pixels",
            partial(_coloured, weigh=_over_pixels),
            "The softmax runs over the pixels. Then the pixels compete for a dot, and a far one gets hardly any "
            "colour. A pixel asks and the dots answer: the weights of each pixel sum to 1 over the dots.",
            also=[
                partial(_coloured, weigh=_over_pixels_with_nan),
                partial(_coloured, weigh=_over_pixels_hidden_after),
                partial(_coloured, weigh=_over_all),
            ],
        ),
        Mistake(
            "rows_and_columns_exchanged",
            partial(_coloured, pixels=_columns_first),
            "Rows and columns have changed places. `place` says the row first; pixels come in the order of "
            "grey.flatten(1), one row after the other. (meshgrid needs indexing='ij'.)",
            also=[partial(_coloured, pixels=_column_by_column)],
        ),
        Mistake(
            "width_misused",
            partial(_coloured, score=_multiplied),
            "A width is not used as a width. Twice the width shall reach twice as far, so divide by it, and "
            "square what is divided: (distance / width) ** 2 / 2. Distance and difference are squared, the "
            "widths too.",
            also=[
                partial(_coloured, score=_not_squared),
                partial(_coloured, score=lambda d, g, w, v: _multiplied(d, g, w**0.5, v**0.5)),
                partial(_coloured, score=lambda d, g, w, v: _of_both(d, g, w * 2**0.5, v * 2**0.5)),
                partial(_coloured, score=lambda d, g, w, v: _of_both(d, g, w / 2**0.5, v / 2**0.5)),
                partial(_coloured, score=lambda d, g, w, v: _not_squared(d.sqrt(), g.sqrt(), w, v)),
                partial(
                    _coloured, score=lambda d, g, w, v: 2 * _not_squared(d.sqrt(), g.sqrt(), w, v)
                ),
            ],
        ),
        Mistake(
            "summed_before_divided",
            partial(_coloured, score=_scaled(lambda w, v: w**2)),
            "You add the two squares before you divide. One is in pixels and the other in levels of grey: five "
            "pixels would count far more than from black to white. Divide each by its own width, then add.",
            also=[
                partial(_coloured, score=_scaled(by))
                for by in (
                    lambda w, v: v**2,
                    lambda w, v: w * v,
                    lambda w, v: (w * v) ** 2,
                    lambda w, v: w**2 + v**2,
                )
            ],
        ),
        Mistake(
            "farthest_first",
            partial(_coloured, score=lambda *args: -_of_both(*args)),
            "The dot that is farthest and least alike has the largest weight. A large distance shall give a small "
            "score: there is a minus before both squares.",
        ),
        Mistake(
            "grey_added",
            partial(_coloured, with_grey=True),
            "You add how light a pixel is. The two numbers of a colour say by how much red and blue differ from "
            "it, and only these are asked for. Grey decides who is asked, and is no part of what is answered.",
        ),
        Mistake(
            "missing_dots_counted",
            partial(_coloured, weigh=_hidden_after),
            "Dots that are not there have a share. If a weight is set to 0 after the softmax, the others no longer "
            "sum to 1; a score of 0 is the best of all. Set these scores to minus infinity before the softmax.",
            also=[
                partial(_coloured, weigh=_score_of_0),
                partial(_coloured, weigh=_not_hidden),
                partial(_coloured, weigh=_others_hidden),
            ],
        ),
        Mistake(
            "none_to_ask",
            partial(_coloured, weigh=_with_nan),
            "All is right but for a picture without a dot. There the softmax over nothing is NaN, or, with a large "
            "negative number for infinity, the mean of dots that are not there. Such a picture stays grey: the "
            "colour (0, 0).",
            also=[partial(_coloured, weigh=_uniform_if_none)],
        ),
    ],
    laws=[
        Law(
            "a picture without a dot has the colour (0, 0)",
            lambda out, grey, place, colour, real, *widths: not out[~real.any(1)].any(),
        ),
        Law(
            "a colour lies between the colours of the dots",
            lambda out, grey, place, colour, real, *widths: _between(
                out, grey, place, colour, real
            ),
        ),
    ],
)
