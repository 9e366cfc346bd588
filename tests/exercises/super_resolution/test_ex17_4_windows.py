import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.super_resolution.ex17_4_windows import (
    EXERCISE,
    seen_by,
    sees,
    window_attention,
)

# Other right ways: one mask over all pixels, windows one by one, a number for what is hidden, padding, NumPy.


def windows_in_one_mask(x, window, shift):
    height, width, channels = x.shape
    row = (torch.arange(height) - shift).div(window, rounding_mode="floor")
    column = (torch.arange(width) - shift).div(window, rounding_mode="floor")
    number = (100 * row[:, None] + column).flatten()
    pixels = x.reshape(-1, channels)[None]
    mask = number[:, None] == number
    return F.scaled_dot_product_attention(pixels, pixels, pixels, attn_mask=mask)[0].view_as(x)


def windows_one_by_one(x, window, shift):
    out = torch.full_like(x, torch.nan)
    for top in range(shift - window, x.shape[0], window):
        for left in range(shift - window, x.shape[1], window):
            rows, columns = (
                slice(max(0, top), top + window),
                slice(max(0, left), max(0, left + window)),
            )
            part = x[rows, columns]
            if part.numel():
                pixels = part.reshape(-1, x.shape[2])
                weights = (pixels @ pixels.T / x.shape[2] ** 0.5).softmax(1)
                out[rows, columns] = (weights @ pixels).view_as(part)
    return out


def cut(x, window):
    height, width, channels = x.shape
    x = x.view(height // window, window, width // window, window, channels)
    return x.permute(0, 2, 1, 3, 4).reshape(-1, window * window, channels)


def put_back(windows, height, width, window):
    x = windows.view(height // window, width // window, window, window, -1)
    return x.permute(0, 2, 1, 3, 4).reshape(height, width, -1)


def windows_with_a_large_number(x, window, shift):
    """The way of the Swin transformer: slices of the rolled picture are numbered, and 100 is taken off."""
    height, width, channels = x.shape
    if shift:
        x = torch.roll(x, shifts=(-shift, -shift), dims=(0, 1))
    tokens = cut(x, window)
    scores = tokens @ tokens.transpose(1, 2) / channels**0.5
    if shift:
        number, count = torch.zeros(height, width, 1), 0
        parts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for rows in parts:
            for columns in parts:
                number[rows, columns] = count
                count += 1
        number = cut(number, window)[..., 0]
        scores = scores - 100 * (number[:, :, None] != number[:, None, :])
    out = put_back(scores.softmax(-1) @ tokens, height, width, window)
    return torch.roll(out, shifts=(shift, shift), dims=(0, 1)) if shift else out


def windows_with_padding(x, window, shift):
    """Nothing is rolled: a margin is added at the top and left, and hidden."""
    height, width, channels = x.shape
    before, more = (window - shift) % window, shift
    edges = (0, 0, before, more, before, more)
    padded, real = F.pad(x, edges), F.pad(torch.ones(height, width, 1), edges)
    tokens, real = cut(padded, window), cut(real, window).bool()
    scores = tokens @ tokens.mT / channels**0.5
    weights = scores.masked_fill(~real.mT, -1e9).softmax(-1)
    out = put_back(weights @ tokens, *padded.shape[:2], window)
    return out[before : before + height, before : before + width]


def windows_numpy(x, window, shift):
    pixels = x.numpy().reshape(-1, x.shape[2])
    scores = np.exp(pixels @ pixels.T / np.sqrt(x.shape[2]))
    weights = scores * sees(*x.shape[:2], window, shift).numpy()
    return (weights / weights.sum(1, keepdims=True) @ pixels).reshape(tuple(x.shape))


OTHER_WAYS = [
    windows_in_one_mask,
    windows_one_by_one,
    windows_with_a_large_number,
    windows_with_padding,
    windows_numpy,
]


# Wrong ways, written as a learner writes them: the broken function, and ways to mend a part of it.


def broken_window_attention(x, window, shift):
    height, width, channels = x.shape
    grid = (height // window, window, width // window, window)
    x = x.roll((-shift, -shift), dims=(0, 1))
    tokens = x.reshape(*grid, channels).transpose(1, 2).reshape(-1, window**2, channels)
    half = window // 2
    rows = torch.arange(height) >= height - half
    columns = torch.arange(width) >= width - half
    region = 2 * rows[:, None].long() + columns.long()
    region = region.reshape(grid).transpose(1, 2).reshape(-1, window**2)
    hidden = region[:, :, None] != region[:, None, :]
    scores = tokens @ tokens.mT / channels**0.5
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
    out = (weights @ tokens).reshape(height, width, channels)
    return out.roll((-shift, -shift), dims=(0, 1))


def mended(x, window, shift, *, strip, back=True, rolls=(-1, 1), number=lambda r, c: 2 * r + c):
    """Mend some of the bugs, or put others in."""
    height, width, channels = x.shape
    tokens = cut(x.roll((rolls[0] * shift, rolls[0] * shift), (0, 1)), window)
    rows, columns = (torch.arange(n) >= n - strip(window, shift) for n in (height, width))
    region = cut(number(rows[:, None].long(), columns.long())[..., None], window)
    scores = tokens @ tokens.mT / channels**0.5
    weights = scores.masked_fill(region != region.mT, -torch.inf).softmax(-1)
    out = weights @ tokens
    out = put_back(out, height, width, window) if back else out.view(height, width, channels)
    return out.roll((rolls[1] * shift, rolls[1] * shift), (0, 1))


def by(**faults):
    return lambda x, window, shift: mended(x, window, shift, **faults)


def half(window, shift):
    return window // 2


def by_shift(window, shift):
    return shift


NEAR_MISSES = [
    ("put_back_in_another_order", broken_window_attention),
    ("put_back_in_another_order", by(strip=by_shift, back=False)),
    ("masked_without_a_shift", by(strip=half)),
    ("masked_without_a_shift", by(strip=half, rolls=(-1, -1))),
    ("masked_without_a_shift", by(strip=lambda window, shift: window // 2 if shift else 0)),
    ("never_masked", by(strip=lambda window, shift: 0)),
    ("not_rolled_back", by(strip=by_shift, rolls=(-1, -1))),
    ("rolled_the_other_way", by(strip=by_shift, rolls=(1, -1))),
    ("too_few_regions", by(strip=by_shift, number=lambda rows, columns: rows + columns)),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_who_sees_whom_is_found_by_experiment(case):
    x, *rest = case
    assert torch.equal(seen_by(window_attention, x, *rest), sees(*x.shape[:2], *rest))


def test_no_softmax_is_saturated():
    for x, window, shift in EXERCISE.cases():
        pixels = x.flatten(0, 1)
        scores = pixels @ pixels.T / x.shape[2] ** 0.5
        hidden = ~sees(*x.shape[:2], window, shift)
        several = (~hidden).sum(1) > 1
        weights = scores.masked_fill(hidden, -torch.inf).softmax(1)[several]
        assert float(weights.max()) < 0.995


def test_windows_of_all_kinds():
    cases = [(*x.shape[:2], window, shift) for x, window, shift in EXERCISE.cases()]
    assert {shift for *_, shift in cases} == {0, 1, 2}
    assert any(shift not in (0, window // 2) for *_, window, shift in cases)
    assert all(height % window == width % window == 0 for height, width, window, _ in cases)


def test_pixels_are_named_that_should_not_see_each_other_and_that_should():
    masked = judge(EXERCISE, by(strip=half))
    assert masked.where.split("\n") == [
        "In a picture of 4 x 6 pixels, window = 2, shift = 0:",
        "Pixel (0, 4) does not see (0, 5) (one of 36 such pairs).",
    ]
    open_ = judge(EXERCISE, by(strip=lambda window, shift: 0))
    assert "Pixel (0, 0) sees (0, 5), and should not" in open_.where
    moved = judge(EXERCISE, by(strip=by_shift, rolls=(-1, -1)))
    assert "does not see itself" in moved.where and "and should not" in moved.where


def test_no_bug_is_heard_of_by_its_shape():
    """Shapes are right, and no number is none."""
    for x, window, shift in EXERCISE.cases():
        out = broken_window_attention(x, window, shift)
        assert out.shape == x.shape and bool(out.isfinite().all())


def test_a_known_mistake_with_another_scale_is_named_by_what_is_seen():
    def other_scale(x, window, shift):
        return 2 * mended(x / 2, window, shift, strip=half)

    verdict = judge(EXERCISE, other_scale)
    assert verdict.mistake == "masked_without_a_shift" and "something else" in verdict.message


def test_an_unknown_answer_hears_of_the_law():
    verdict = judge(EXERCISE, lambda *case: 2 * window_attention(*case))
    assert verdict.kind == "wrong" and "a mean of pixels" in verdict.message
