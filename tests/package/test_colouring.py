import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import attention_weights, gaussian_scores, masked_softmax, uniform_attention
from minattn.pictures.colouring import Colourer, KernelColourer, kernel_attend, places
from minattn.recording import recording
from minattn.training import seeded


def random(*sizes, seed=0):
    return torch.rand(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GREY = random(2, 6, 10)
PLACE = torch.tensor([[0, 59, 31], [7, 12, 50]])
DOTS = random(2, 3, 2, seed=1) - 0.5


def colourer(**settings):
    with seeded(0):
        return Colourer(d_features=5, d_hidden=3, **settings).double()


# Nearness as dot products -------------------------------------------------------------------------


@given(seed=st.integers(0, 50), masked=st.booleans())
def test_nearness_as_dot_products_is_kernel_regression(seed, masked):
    query, key = 2 * random(2, 5, 3, seed=seed), 2 * random(2, 7, 3, seed=seed + 100)
    value = random(2, 7, 11, seed=seed + 200)
    mask = random(2, 5, 7, seed=seed + 300) < 0.7 if masked else None
    expected = masked_softmax(gaussian_scores(query, key), mask) @ value
    torch.testing.assert_close(kernel_attend(query, key, value, mask), expected)


def test_gradients_are_those_of_the_formula():
    inputs = [random(1, n, d, seed=n).requires_grad_() for n, d in ((2, 3), (5, 3), (5, 2))]
    assert torch.autograd.gradcheck(kernel_attend, inputs)


def test_only_differences_of_query_and_key_count():
    query, key, value = random(5, 3), random(7, 3, seed=1), random(7, 2, seed=2)
    moved = kernel_attend(query + 4.0, key + 4.0, value)
    torch.testing.assert_close(moved, kernel_attend(query, key, value))


@pytest.mark.rejects
@pytest.mark.plain
def test_shapes_and_types_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="query and key need one width"):
        kernel_attend(torch.zeros(2, 3), torch.zeros(5, 4), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="one value for each key"):
        kernel_attend(torch.zeros(2, 3), torch.zeros(5, 3), torch.zeros(4, 2))
    with pytest.raises(TypeError, match="numbers of one type"):
        kernel_attend(torch.zeros(2, 3), torch.zeros(5, 3).double(), torch.zeros(5, 2))


# The kernel ---------------------------------------------------------------------------------------


def test_a_pixel_gets_the_colours_of_dots_that_are_near_and_as_light():
    model = KernelColourer(place_width=3.0, grey_width=0.2)
    found = model(GREY, PLACE, DOTS)
    assert found.shape == (2, 6, 10, 2) and not list(model.parameters())
    for row in range(2):
        for y, x in ((0, 0), (5, 9), (2, 7)):
            shares = []
            for place in PLACE[row].tolist():
                v, u = divmod(place, 10)
                far = ((y - v) ** 2 + (x - u) ** 2) / 3.0**2
                other = (GREY[row, y, x] - GREY[row, v, u]).item() ** 2 / 0.2**2
                shares.append(math.exp(-(far + other) / 2))
            expected = sum(s / sum(shares) * dot for s, dot in zip(shares, DOTS[row], strict=True))
            torch.testing.assert_close(found[row, y, x], expected)


def test_places_are_rows_and_columns():
    found = places(GREY)
    assert found.shape == (2, 6, 10, 2) and found.dtype == GREY.dtype
    assert found[1, 4, 7].tolist() == [4, 7]


def test_narrow_widths_give_each_dot_its_own_colour():
    found = KernelColourer(0.05, 100)(GREY, PLACE, DOTS).flatten(1, 2)
    for row in range(2):
        torch.testing.assert_close(found[row, PLACE[row]], DOTS[row])


@pytest.mark.rejects
@pytest.mark.parametrize(("name", "width"), [("place_width", 0), ("grey_width", -1.0)])
def test_widths_must_be_above_zero(name, width):
    with pytest.raises(ValueError, match=f"{name} must be a finite number above 0, got {width}"):
        KernelColourer(**{name: width})


# The learned one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [KernelColourer, colourer])
def test_colours_are_mixtures_of_the_dots(make):
    """Turn the colours of the dots, and the answer is turned: no colour is known by heart."""
    model, turn = make(), random(2, 2, seed=3)
    torch.testing.assert_close(model(GREY, PLACE, DOTS @ turn), model(GREY, PLACE, DOTS) @ turn)
    with recording(model) as record:
        found = model(GREY, PLACE, DOTS)
    assert record.weights().shape == (2, 60, 3)
    torch.testing.assert_close((record.weights() @ DOTS).view(2, 6, 10, 2), found)


@pytest.mark.parametrize("make", [KernelColourer, colourer])
def test_the_order_of_the_dots_does_not_matter(make):
    order = torch.tensor([2, 0, 1])
    model = make()
    found = model(GREY, PLACE[:, order], DOTS[:, order])
    torch.testing.assert_close(found, model(GREY, PLACE, DOTS))


def test_what_is_around_a_pixel_counts_and_what_is_far_does_not():
    """The network sees 15 pixels of half the size: up to 7 blocks away, and the one beside it where it is enlarged."""
    model, grey = colourer(), random(1, 40, 40)
    other = grey.clone()
    other[0, 20, 20] += 0.5
    moved = (model.describe(grey) - model.describe(other)).abs().sum(-1)[0] > 1e-12
    rows = moved.any(1).nonzero().flatten()
    assert rows.min() >= 20 - 17 and rows.max() <= 20 + 17
    assert bool(moved[20 - 8 : 20 + 8, 20 - 8 : 20 + 8].float().mean() > 0.5)


def test_what_dots_are_is_what_the_pixels_are():
    model = colourer()
    pixels = model.describe(GREY).flatten(1, 2)
    key = torch.stack([pixels[row, PLACE[row]] for row in range(2)])
    with recording(model) as record:
        model(GREY, PLACE, DOTS)
    torch.testing.assert_close(record.weights(), attention_weights(kernel_attend, pixels, key))


def test_all_of_it_learns():
    model = colourer()
    model(GREY, PLACE, DOTS).square().sum().backward()
    for name, weight in model.named_parameters():
        if name != "look.6.bias":  # moves query and key alike
            assert weight.grad.abs().max() > 0, name


def test_it_attends_as_it_is_told():
    for model in (KernelColourer(attend=uniform_attention), colourer(attend=uniform_attention)):
        found = model(GREY, PLACE, DOTS)
        torch.testing.assert_close(found, DOTS.mean(1)[:, None, None].expand_as(found))


@pytest.mark.rejects
def test_sizes_must_be_at_least_one():
    with pytest.raises(ValueError, match="d_features must be at least 1, got 0"):
        Colourer(0)
    with pytest.raises(ValueError, match="d_hidden must be at least 1, got 0"):
        Colourer(3, d_hidden=0)
