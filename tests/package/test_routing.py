import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.alignment import uniform_attention
from minattn.pictures.routing import Router, decibels, from_patches, side_of, to_patches
from minattn.recording import recording
from minattn.training import seeded


def router(**settings):
    with seeded(0):
        return Router(n_patches=15, n_pixels=4, n_commands=3, d_model=7, **settings).double()


def pictures(n=5, height=6, width=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, height, width, generator=generator, dtype=torch.float64)


COMMAND = torch.tensor([2, 0, 1, 1, 2])


# Patches ------------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 3), rows=st.integers(1, 5), columns=st.integers(1, 5), patch=st.integers(1, 4)
)
def test_what_is_cut_can_be_put_together(n, rows, columns, patch):
    whole = pictures(n, rows * patch, columns * patch)
    cut = to_patches(whole, patch)
    assert cut.shape == (n, rows * columns, patch**2)
    assert torch.equal(from_patches(cut, rows * patch), whole)


def test_patches_are_those_of_torch():
    whole = pictures(3, 6, 10)
    expected = torch.nn.functional.unfold(whole[:, None], 2, stride=2).mT
    assert torch.equal(to_patches(whole, 2), expected)
    back = torch.nn.functional.fold(expected.mT, (6, 10), 2, stride=2)[:, 0]
    assert torch.equal(from_patches(expected, 6), back)


@pytest.mark.rejects
def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="patches of 4 must fill it, got 6 by 8"):
        to_patches(torch.zeros(1, 6, 8), 4)
    with pytest.raises(ValueError, match="a square, got 6 pixels"):
        from_patches(torch.zeros(1, 4, 6), 4)
    with pytest.raises(ValueError, match="a picture 6 high, got 4 of 2 by 2"):
        from_patches(torch.zeros(1, 4, 4), 6)
    with pytest.raises(ValueError, match="n_pixels must be at least 1, got 0"):
        side_of(0)
    with pytest.raises(ValueError, match="patch must be at least 1, got 0"):
        to_patches(torch.zeros(1, 6, 8), 0)


# The router ---------------------------------------------------------------------------------------


def reference(model, picture, command):
    """One patch of the answer after the other, as the formula says it."""
    patches = to_patches(picture[None], 2)[0]
    out = []
    for place in model.place:
        query = model.q_proj(torch.cat([place, model.command[command]]))
        scores = [query @ model.k_proj(other) / math.sqrt(7) for other in model.place]
        weights = torch.stack(scores).softmax(0)
        mixed = sum(w * patch for w, patch in zip(weights, patches, strict=True))
        out.append(model.within[command].T @ mixed)
    return from_patches(torch.stack(out)[None], len(picture))[0]


def test_it_is_what_the_formula_says():
    model = router()
    found = model(pictures(), COMMAND)
    for row in range(5):
        expected = reference(model, pictures()[row], COMMAND[row])
        torch.testing.assert_close(found[row], expected)


def test_where_it_looks_does_not_depend_on_the_picture():
    model = router()
    maps = []
    for seed in range(2):
        with recording(model) as record:
            model(pictures(seed=seed), COMMAND)
        maps.append(record.weights())
    assert torch.equal(*maps)
    assert torch.equal(maps[0][2], maps[0][3]) and not torch.equal(maps[0][0], maps[0][1])


def test_the_answer_is_linear_in_the_picture():
    model, one, other = router(), pictures(seed=1), pictures(seed=2)
    mixed = model(0.3 * one - 2 * other, COMMAND)
    expected = 0.3 * model(one, COMMAND) - 2 * model(other, COMMAND)
    torch.testing.assert_close(mixed, expected)


def test_the_same_patches_elsewhere_are_delivered_alike():
    """What is delivered does not depend on the place: with equal weights the order of patches is lost."""
    model = router(attend=uniform_attention)
    patches = to_patches(pictures(), 2)
    shuffled = from_patches(patches[:, torch.randperm(15)], 6)
    torch.testing.assert_close(model(pictures(), COMMAND), model(shuffled, COMMAND))


def test_a_picture_is_alone_as_in_a_batch():
    model = router()
    found = model(pictures(), COMMAND)
    for row in range(5):
        one = model(pictures()[row : row + 1], COMMAND[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], one)


def test_all_of_it_learns():
    model = router()
    model(pictures(), COMMAND).square().sum().backward()
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    # A bias of the keys moves all scores of a query alike, so the softmax does not see it.
    assert {name for name, grad in grads.items() if grad.abs().max() < 1e-12} == {"k_proj.bias"}


@pytest.mark.rejects
def test_what_does_not_fit_is_refused():
    model = router()
    with pytest.raises(ValueError, match="a picture has 15 patches, got 12"):
        model(pictures(width=8), COMMAND)
    with pytest.raises(ValueError, match="ids from 0 to 2, got 3"):
        model(pictures(1), torch.tensor([3]))
    with pytest.raises(ValueError, match="a square, got 5 pixels"):
        Router(n_patches=15, n_pixels=5, n_commands=3)
    with pytest.raises(ValueError, match="n_commands must be at least 1, got 0"):
        Router(n_patches=15, n_pixels=4, n_commands=0)


@pytest.mark.rejects
@pytest.mark.plain
def test_pixels_must_be_shares_and_commands_ids():
    with pytest.raises(
        TypeError, match=r"picture must hold floating-point numbers, got torch.int64"
    ):
        router()(torch.ones(1, 6, 10, dtype=torch.int64), torch.tensor([0]))
    with pytest.raises(TypeError, match=r"dtype torch.int64, got torch.float32"):
        router()(pictures(1), torch.tensor([0.0]))


# Decibels -----------------------------------------------------------------------------------------


def test_decibels_are_those_of_each_picture():
    right = pictures(3, 5, 7)
    error = torch.tensor([0.1, 0.01, 0.0], dtype=torch.float64)[:, None, None]
    found = decibels(right + error, right)
    torch.testing.assert_close(found[:2], torch.tensor([20.0, 40.0], dtype=torch.float64))
    assert found[2] == math.inf
    half = right + error * (torch.arange(5) % 2)[:, None]  # two rows of five are wrong
    assert math.isclose(decibels(half, right)[0], 20 - 10 * math.log10(0.4))


@pytest.mark.rejects
@pytest.mark.plain
def test_pictures_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \[1, 2\], \[1, 3\]"):
        decibels(torch.zeros(1, 2), torch.zeros(1, 3))
