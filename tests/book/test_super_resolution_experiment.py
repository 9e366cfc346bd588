"""The experiments of chapter 17 measure what they say they measure."""

import math

import pytest
import torch

from book.experiments import super_resolution, super_resolution_blocks
from book.experiments import super_resolution_measures as measures
from minattn.pictures.resampling import blur, psnr
from minattn.pictures.super_resolution import StereoUpscaler
from minattn.tasks.stereo import StereoPairs, stereo_pairs
from minattn.training import seeded


@pytest.fixture
def pairs():
    return stereo_pairs(2, height=16, width=96, seed=1)


@pytest.fixture
def model():
    with seeded(0):
        found = StereoUpscaler(5)
        for weight in found.paint[-1].parameters():
            torch.nn.init.normal_(weight, std=0.05)
    return found.eval()


def test_the_first_columns_do_not_count(pairs):
    wrong = pairs.left.clone()
    wrong[..., :32] = 0
    assert measures.decibels(wrong, pairs)["all"] == math.inf
    wrong[..., 32] += 0.1
    assert measures.decibels(wrong, pairs)["all"] == pytest.approx(
        20 + 10 * math.log10(64), abs=1e-3
    )


def test_visible_and_hidden_pixels_are_all_that_are_known(pairs):
    found = blur(pairs.left)
    scores = measures.decibels(found, pairs)
    counted = measures.counted(pairs)
    visible = (pairs.visible() & counted).sum().item()
    hidden = counted.sum().item() - visible
    errors = [n * 10 ** (-scores[k] / 10) for n, k in ((visible, "visible"), (hidden, "hidden"))]
    assert sum(errors) == pytest.approx((visible + hidden) * 10 ** (-scores["all"] / 10))


def test_what_is_not_known_is_neither_visible_nor_hidden(pairs):
    disparity = pairs.disparity.clone()
    disparity[0, :8] = torch.nan
    partly = StereoPairs(pairs.left, pairs.right, disparity)
    wrong = pairs.left.clone()
    wrong[0, :8] = 0
    scores = measures.decibels(wrong, partly)
    assert scores["visible"] == math.inf and scores["all"] < 20


def test_chance_is_that_of_the_columns_that_may_be_asked(model, pairs):
    scores = measures.sharpened(model, pairs)
    assert 4 / 33 < scores["chance"] < 5 / 33
    assert 0 <= scores["inside"] <= 1


def test_the_same_model_is_scored_alike_by_every_measure(model, pairs):
    plain = measures.sharpened(model, pairs)["all"]
    assert measures.misled(model, pairs)["right"] == pytest.approx(plain)
    assert measures.conventions(model, pairs)["antialiased"]["model"]["grey"] == pytest.approx(
        plain
    )
    own = measures.further(model, pairs)
    assert own["own reach"]["0"]["all"] == pytest.approx(plain)
    assert model.reach == 32


def test_tiles_are_pieces_of_the_training_size(model):
    pairs = stereo_pairs(2, height=52, width=104, seed=1)
    seen = []

    def watching(blurred, right):
        seen.append((blurred, right))
        return blurred

    scores = measures.in_tiles(watching, pairs)
    assert scores["model"] == scores["bicubic"]
    ((blurred, right),) = seen
    assert blurred.shape == (4, 24, 96)
    assert torch.equal(right[3], pairs.right[1, 24:48, :96])
    assert torch.equal(blurred[2], blur(pairs.left)[1, :24, :96])


def test_television_makes_every_picture_better_by_as_much(model, pairs):
    """219 of 255 levels: 1.32 dB, whatever the picture."""
    for by_who in measures.conventions(model, pairs).values():
        for scores in by_who.values():
            assert scores["luma"] - scores["grey"] == pytest.approx(20 * math.log10(255 / 219))


def test_pictures_are_moved_by_as_much_as_is_said():
    """Every fourth pixel stands one and a half beside the middle of its block; half a small pixel is two large ones."""
    slope = (torch.arange(64.0) / 64).expand(1, 16, 64)
    large = measures.enlarged_again(slope)
    assert all(picture.shape == slope.shape for picture in large.values())
    for name, pixels in {"every fourth pixel": 1.5, "half a pixel off": 2, "eight bits": 0}.items():
        off = (large[name] - large["antialiased"])[..., 16:-16].mean().item()
        assert off == pytest.approx(-pixels / 64, abs=1e-3)
    assert psnr(large["eight bits"], large["antialiased"]) > 50


def test_aligned_views_show_the_same_thing(pairs):
    aligned = super_resolution.aligned(pairs)
    before = psnr(pairs.right, pairs.left, measures.counted(pairs))
    assert psnr(aligned.right, aligned.left, measures.counted(pairs)) > before + 3


def test_who_knows_the_disparity_beats_blocks_where_both_eyes_see(pairs):
    by_truth = super_resolution_blocks.by_truth(pairs)
    by_blocks = super_resolution_blocks.by_blocks(pairs, 9, (1.0,))
    assert by_truth["visible"] > by_blocks["shares"]["1"]["visible"] > 0
    assert by_truth["hidden"] == pytest.approx(psnr(blur(pairs.left), pairs.left, hidden(pairs)))
    assert super_resolution_blocks.inside(pairs.disparity + 2, pairs) == 1
    assert super_resolution_blocks.inside(pairs.disparity + 3, pairs) == 0


def hidden(pairs):
    return measures.counted(pairs) & ~pairs.visible()


def test_the_blocks_of_the_aligned_arm_are_the_ones_that_validation_chose():
    from minattn.claims import results

    chosen = results("super_resolution_blocks").values("no training", "block")
    assert set(chosen) == {super_resolution.BLOCK}
