import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.pointing import pointing
from minattn.tasks import stereo
from minattn.tasks.layers import Layer, draw_scene, render
from minattn.tasks.photos import photos
from minattn.tasks.stereo import (
    REACH,
    StereoPairs,
    free_pair,
    halved,
    motorcycle,
    stereo_pairs,
)


def pair(left, right, disparity):
    return StereoPairs(*(torch.tensor([[row]]) for row in (left, right, disparity)))


# Layers -------------------------------------------------------------------------------------------

PHOTO = np.random.default_rng(0).random((5, 23)).astype(np.float32)


def layer(shape="all", centre=(2.0, 7.0), size=(1.0, 3.0), plane=(0.0, 0.0, 0.0), start=(0, 0)):
    return Layer(PHOTO, shape, centre, size, plane, start)


def test_the_left_eye_sees_the_photograph_and_the_right_one_further_right():
    left, right, disparity = render([layer(plane=(3.0, 0.0, 0.0), start=(1, 2))], 3, 11)
    assert (left == PHOTO[1:4, 2:13]).all()
    assert (right == PHOTO[1:4, 5:16]).all()
    assert (disparity == 3).all()


def test_what_is_in_front_hides_what_is_behind_in_both_views():
    behind, front = layer(), layer("box", plane=(2.0, 0.0, 0.0), start=(0, 8))
    left, right, disparity = render([behind, front], 5, 13)
    inside = np.zeros((5, 13), dtype=bool)
    inside[1:4, 4:11] = True
    assert (disparity == np.where(inside, 2, 0)).all()
    assert (left == np.where(inside, PHOTO[:, 8:21], PHOTO[:, :13])).all()
    moved = np.roll(inside, -2, axis=1)
    assert (right == np.where(moved, PHOTO[:, 10:23], PHOTO[:, :13]))[:, :11].all()


def test_a_disc_is_round():
    _, _, disparity = render([layer(), layer("disc", size=(2.0, 3.0), plane=(1.0, 0, 0))], 5, 13)
    assert disparity.astype(int).sum(1).tolist() == [1, 5, 7, 5, 1]
    assert disparity.astype(int).sum(0).tolist() == [0] * 4 + [1, 3, 3, 5, 3, 3, 1] + [0] * 2


def test_colours_between_columns_are_those_of_the_cubic():
    """Catmull and Rom's cubic goes through every pixel and is exact on a parabola."""
    x = np.arange(23, dtype=np.float32)
    parabola = Layer(np.tile(0.001 * x**2, (5, 1)), "all", (0, 0), (1, 1), (0, 0, 0), (0, 0))
    at = np.array([3.25, 4.5, 7.0, 9.875])
    found = parabola.colours(np.zeros(4, dtype=int), at)
    np.testing.assert_allclose(found, 0.001 * at**2, rtol=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_right_and_left_show_the_same_where_the_disparity_says(seed):
    """Where neither eye sees another layer nearby: there the greys agree to what a cubic between columns loses."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(3, 9), rng.uniform(-0.1, 0.1), rng.uniform(-0.2, 0.2)
    smooth = np.cumsum(np.cumsum(rng.uniform(-1, 1, (5, 61)), axis=1), axis=1)
    smooth = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    left, right, disparity = render(
        [Layer(smooth, "all", (0, 0), (1, 1), (a, b, c), (0, 0))], 5, 40
    )
    columns = np.arange(40) - disparity
    for y in range(5):
        inside = columns[y] >= 0
        found = np.interp(columns[y][inside], np.arange(40), right[y])
        assert np.abs(found - left[y][inside]).max() < 0.02


# Pairs --------------------------------------------------------------------------------------------


def slow_visible(disparity):
    """One pixel after the other: what lands within a column of it, and is nearer by one at least, hides it."""
    width = len(disparity)
    found = []
    for x in range(width):
        at = round(x - disparity[x]) if disparity[x] == disparity[x] else -1
        hidden = any(
            at in (np.floor(u), np.ceil(u)) and round(u) >= 0 and d >= disparity[x] + 1
            for u, d in ((z - disparity[z], disparity[z]) for z in range(width))
        )
        found.append(at >= 0 and not hidden)
    return found


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.25, 3.5, 4.75, float("nan")]), min_size=5, max_size=19)
)
def test_what_is_nearer_hides(disparity):
    zeros = [0.0] * len(disparity)
    found = pair(zeros, zeros, disparity).visible()
    assert found[0, 0].tolist() == slow_visible(disparity)


def test_the_truth_is_around_the_column_that_the_disparity_says():
    nan = float("nan")
    pairs = pair([0.0] * 7, [0.0] * 7, [0.0, 1.0, 3.0, 0.0, nan, 0.0, 2.5])
    assert pairs.visible()[0, 0].tolist() == [False, True, False, False, False, True, True]
    truth = pairs.truth(within=1)
    assert truth.shape == (1, 7, 7)
    right = [row.nonzero().flatten().tolist() for row in truth[0]]
    assert right == [[], [0, 1], [], [], [], [4, 5, 6], [3, 4]]


def test_rows_of_all_pairs_stand_one_after_the_other():
    pairs = stereo_pairs(3, height=5, width=37, seed=2)
    truth = pairs.truth()
    assert truth.shape == (15, 37, 37)
    assert torch.equal(truth[10:], pairs.select(torch.tensor([2])).truth())
    assert torch.equal(truth.any(-1), pairs.visible().flatten(0, 1))


def test_one_who_knows_the_truth_points_at_it():
    pairs = stereo_pairs(2, height=7, width=41, seed=3)
    truth = pairs.truth()
    weights = truth / truth.sum(-1, keepdim=True).clamp_min(1)
    assert pointing(weights, truth).inside == 1


def test_visible_pixels_look_alike_in_both_views():
    """But for what a cubic loses and the edges of layers: half of the pixels differ by less than a thousandth."""
    pairs = free_pair()
    columns = (torch.arange(pairs.left.shape[-1]) - pairs.disparity).round().long().clamp_min(0)
    difference = (pairs.left - pairs.right.gather(-1, columns)).abs()
    visible = pairs.visible()
    assert difference[visible].mean() < 0.02 < 0.1 < difference[~visible].mean()
    assert 0.85 < visible.float().mean() < 0.95


def test_moving_the_right_view_makes_everything_nearer():
    pairs = stereo_pairs(2, height=5, width=37, seed=4)
    moved = pairs.moved(3)
    assert torch.equal(moved.right[..., :-3], pairs.right[..., 3:])
    assert (moved.right[..., -3:] == 0.5).all()
    assert torch.equal(moved.disparity, pairs.disparity + 3)
    assert torch.equal(pairs.moved(0).right, pairs.right)


def test_pairs_depend_on_the_seed_alone_and_keep_within_reach():
    found = stereo_pairs(40, height=7, width=41, seed=5)
    again = stereo_pairs(40, height=7, width=41, seed=5)
    other = stereo_pairs(40, height=7, width=41, seed=6)
    assert torch.equal(found.right, again.right) and not torch.equal(found.left, other.left)
    for view in (found.left, found.right):
        assert view.dtype == torch.float32 and view.min() >= 0 and view.max() <= 1
    assert found.disparity.min() >= 0 and found.disparity.max() <= REACH - 1
    assert found.disparity.max() > REACH / 2


def test_nothing_beyond_the_border_of_a_photograph_is_seen():
    """Else its last column would be drawn out: one value, many times over."""
    for seed in range(20):
        height, width = 7, 225 - REACH
        behind = draw_scene(np.random.default_rng(seed), "validation", height, width, REACH)[0]
        rows, columns = behind.photo.shape
        a, b, c = behind.plane
        y, x = np.mgrid[:height, :width]
        at = (x + a + c * y) / (1 - b) + behind.start[1]
        assert at.max() <= columns and behind.start[0] + height <= rows


def test_the_free_pair_is_made_of_photographs_of_the_test():
    pairs = free_pair()
    assert len(pairs) == 1 and pairs.left.shape == (1, 192, 288)
    raccoon = photos("test")["raccoon"]
    assert torch.equal(pairs.left[0, 0], torch.from_numpy(raccoon[32, 20:308] / np.float32(255)))
    coins = set(pairs.disparity[pairs.disparity > 12].tolist())
    assert coins == {17.0, 20.0, 22.5, 25.0, 26.5, 29.0}
    for disparity, share in ((17.0, 0.02), (29.0, 0.02)):
        assert (pairs.disparity == disparity).float().mean() == pytest.approx(share, abs=0.01)


def test_blocks_of_two_by_two_become_one():
    picture = np.arange(16.0 * 9).reshape(16, 9)
    found = halved(picture)
    assert found.shape == (8, 4)
    assert found[1, 2] == picture[2:4, 4:6].mean()


def test_the_motorcycle_is_read_from_the_library():
    pytest.importorskip("skimage")
    pairs = motorcycle()
    assert pairs.left.shape == (1, 248, 368)
    assert pairs.disparity.isfinite().float().mean() == pytest.approx(0.86, abs=0.01)
    columns = (torch.arange(368) - pairs.disparity).nan_to_num(0).round().long().clamp_min(0)
    difference = (pairs.left - pairs.right.gather(-1, columns)).abs()
    visible = pairs.visible()
    assert difference[visible].mean() < 0.03 < 0.1 < difference[~visible].mean()
    finite = pairs.disparity[pairs.disparity.isfinite()]
    assert finite.min() > 3 and finite.max() < REACH


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.rejects
def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(stereo, "find_spec", lambda name: None)
    assert not stereo.has_motorcycle()
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-image"):
        motorcycle()
    assert importlib.util.find_spec("numpy") is not None


@pytest.mark.rejects
def test_views_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape \(batch, height, width\)"):
        StereoPairs(torch.zeros(1, 3, 5), torch.zeros(1, 3, 7), torch.zeros(1, 3, 5))
    with pytest.raises(ValueError, match=r"one shape \(batch, height, width\)"):
        StereoPairs(torch.zeros(3, 5), torch.zeros(3, 5), torch.zeros(3, 5))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"height": 200}, r"must fit into coffee, which is \(200, 300\)|must fit into grass"),
        ({"width": 250}, "got 24 and 282"),
        ({"part": "held_out"}, "got 'held_out'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"reach": 0}, "reach must be at least 1, got 0"),
    ],
)
def test_pairs_that_cannot_be_made_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        stereo_pairs(**({"n": 2} | settings))


@pytest.mark.rejects
def test_a_shape_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="shape must be one of all, box, disc, got 'star'"):
        layer("star")


@pytest.mark.rejects
def test_numbers_below_0_are_refused():
    pairs = stereo_pairs(1, height=5, width=37)
    with pytest.raises(ValueError, match="within must be a finite number of at least 0, got -1"):
        pairs.truth(within=-1)
    with pytest.raises(ValueError, match="columns must be at least 0, got -1"):
        pairs.moved(-1)
