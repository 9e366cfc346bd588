import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.alignment import uniform_attention
from minattn.dot_product import attend, fused_attend
from minattn.learning import Recipe
from minattn.pictures.block_matching import block_matched, block_matching, fetch
from minattn.pictures.resampling import blur, enlarge, psnr, shrink
from minattn.pictures.super_resolution import (
    PatchUpscaler,
    StereoUpscaler,
    Upscaler,
    disparities,
    train_upscaler,
)
from minattn.recording import recording
from minattn.tasks.stereo import free_pair, stereo_pairs
from minattn.training import seeded

HEIGHT, WIDTH = 12, 28


def views(seed=0, n=2, height=HEIGHT, width=WIDTH):
    pairs = stereo_pairs(n, height=height, width=width, seed=seed, reach=8)
    return blur(pairs.left), pairs.right, pairs


def awake(model, seed=0):
    """Give a model's last layer weights that are not zero."""
    with seeded(seed), torch.no_grad():
        for weight in model.paint[-1].parameters():
            weight.normal_(std=0.1)
    return model.eval()


# Smaller and larger -------------------------------------------------------------------------------


def test_a_plane_keeps_its_slope_when_it_gets_smaller():
    """Pixels are areas: the middle of the first of a quarter as many lies at 1.5 of the old ones."""
    picture = torch.arange(48.0).expand(1, 8, 48)
    small = shrink(picture)
    assert small.shape == (1, 2, 12)
    assert torch.allclose(small[0, :, 3:-3], (4 * torch.arange(12.0) + 1.5)[3:-3].expand(2, 6))
    large = enlarge(small)
    assert torch.allclose(large[..., 16:-16], picture[..., 16:-16], atol=0.2)  # a = -3/4


def test_without_antialiasing_fine_stripes_come_out_as_other_ones():
    stripes = (torch.arange(64) % 5 == 0).float().expand(1, 4, 64)
    assert shrink(stripes)[..., 2:-2].std() < 0.1 < shrink(stripes, antialias=False).std()


def test_blurring_is_making_smaller_and_larger():
    picture = torch.rand(2, 8, 12)
    assert torch.equal(blur(picture), enlarge(shrink(picture)))
    assert torch.equal(blur(picture, 2), enlarge(shrink(picture, 2), 2))


@settings(max_examples=25)
@given(st.floats(0.01, 0.5), st.integers(0, 99))
def test_the_ratio_is_that_of_the_formula(error, seed):
    with seeded(seed):
        right = torch.rand(3, 5, dtype=torch.float64)
    sign = torch.where(right > 0.5, 1.0, -1.0)
    assert psnr(right + error * sign, right) == pytest.approx(-20 * math.log10(error))
    assert psnr(255 * (right + error * sign), 255 * right, peak=255) == pytest.approx(
        psnr(right + error * sign, right)
    )


def test_only_pixels_that_count_do():
    right = torch.zeros(2, 3)
    found = torch.tensor([[0.1, 0.0, 0.0], [1.0, 0.0, 0.1]])
    counted = torch.tensor([[True, False, False], [False, False, True]])
    assert psnr(found, right, counted) == pytest.approx(20)
    assert psnr(right, right) == math.inf


# Blocks -------------------------------------------------------------------------------------------


def slow_match(left, right, reach, block):
    """Compare one block after the other; what lies outside of the picture is left out."""
    height, width = left.shape
    half = block // 2
    found = torch.zeros(height, width, dtype=torch.long)
    for y in range(height):
        for x in range(width):
            errors = []
            for d in range(reach + 1):
                squares = []
                for v in range(max(0, y - half), min(height, y + half + 1)):
                    for u in range(max(0, x - half), min(width, x + half + 1)):
                        there = u - d >= 0
                        squares.append((left[v, u] - right[v, u - d]).item() ** 2 if there else 1e3)
                errors.append(sum(squares) / len(squares))
            found[y, x] = min(range(reach + 1), key=errors.__getitem__)
    return found


def test_blocks_are_matched_as_by_a_loop():
    left, right, _ = views(n=1)
    left, right = left.double(), right.double()
    found = block_matching(left, right, reach=5, block=3)
    assert torch.equal(found[0], slow_match(left[0], blur(right)[0], 5, 3))


def test_blocks_find_the_disparity_of_a_scene():
    pair = free_pair()
    found = block_matching(blur(pair.left), pair.right, block=11)
    off = (found - pair.disparity).abs()[..., 32:]
    assert (off <= 2)[pair.visible()[..., 32:]].float().mean() > 0.7


def test_what_is_fetched_is_what_stands_there():
    picture = torch.arange(35.0).view(1, 5, 7)
    disparity = torch.zeros(1, 5, 7, dtype=torch.long)
    disparity[..., 3:] = 2
    found = fetch(picture, disparity)
    assert torch.equal(found[..., :3], picture[..., :3])
    assert torch.equal(found[..., 3:], picture[..., 1:5])


def test_the_share_of_the_detail_is_added():
    left, right, _ = views()
    disparity = block_matching(left, right, reach=6, block=5)
    detail = fetch(right - blur(right), disparity)
    found = block_matched(left, right, share=0.7, reach=6, block=5)
    assert torch.allclose(found, left + 0.7 * detail)


# Models -------------------------------------------------------------------------------------------

MODELS = {
    "convolutions": lambda: Upscaler(5),
    "beside": lambda: Upscaler(5, beside=True),
    "patches": lambda: PatchUpscaler(7),
    "patches that attend": lambda: PatchUpscaler(7, attend),
    "rows that attend": lambda: StereoUpscaler(5, reach=8),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_before_training_nothing_is_added(make):
    left, right, _ = views()
    assert torch.equal(make()(left, right), left)
    assert not torch.equal(awake(make())(left, right), left)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_pictures_of_a_batch_know_nothing_of_each_other(make):
    left, right, _ = views(n=3)
    with seeded(1):
        model = awake(make()).double()
    left, right = left.double(), right.double()
    alone = torch.cat([model(left[i : i + 1], right[i : i + 1]) for i in range(3)])
    assert torch.allclose(model(left, right), alone, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "looks"),
    [("convolutions", False), ("patches", False), ("beside", True), ("rows that attend", True)],
)
def test_who_looks_at_the_right_view(name, looks):
    left, right, _ = views()
    model = awake(MODELS[name]())
    assert torch.equal(model(left, right), model(left, right.flip(1))) is not looks


def by_loop(model, left, right):
    """Fetch for one row and one pixel after the other, with every column that may be asked."""
    right_blurred = blur(right)
    seen, there = model.look(left[:, None]), model.look(right_blurred[:, None])
    query = F.normalize(model.q_proj(seen), dim=1)
    key = F.normalize(model.k_proj(there), dim=1)
    missing = right - right_blurred
    value = torch.cat(
        [model.describe(missing[:, None]), right_blurred[:, None], missing[:, None]], 1
    )
    out = torch.zeros_like(value)
    for n in range(len(left)):
        for y in range(left.shape[1]):
            for x in range(left.shape[2]):
                columns = range(max(0, x - model.reach), x + 1)
                scores = [(query[n, :, y, x] @ key[n, :, y, u]).item() for u in columns]
                weights = torch.tensor(scores, dtype=left.dtype) * model.log_sharpness.exp()
                for weight, u in zip(weights.softmax(0), columns, strict=True):
                    out[n, :, y, x] += weight * value[n, :, y, u]
    out[:, 8] -= left
    return left + model.paint(torch.cat([seen, out], 1))[:, 0]


@torch.no_grad()
def test_rows_attend_as_by_a_loop():
    left, right, _ = views(height=4)
    with seeded(2):
        model = awake(StereoUpscaler(5, reach=3)).double()
    left, right = left.double(), right.double()
    assert torch.allclose(model(left, right), by_loop(model, left, right), atol=1e-12)


@pytest.mark.parametrize("other", [fused_attend, uniform_attention])
def test_it_attends_through_the_seam(other):
    left, right, _ = views()
    with seeded(3):
        one = awake(StereoUpscaler(5, reach=8))
    two = StereoUpscaler(5, reach=8, attend=other)
    two.load_state_dict(one.state_dict())
    same = torch.allclose(one(left, right), two(left, right), atol=1e-5)
    assert same is (other is fused_attend)


def test_rows_are_recorded_and_read_as_a_map():
    left, right, _ = views()
    model = StereoUpscaler(5, reach=6)
    with recording(model) as record:
        model(left, right)
    weights = record.weights()
    assert weights.shape == (2 * HEIGHT, WIDTH, WIDTH)
    found = disparities(weights, HEIGHT)
    assert found.shape == (2, HEIGHT, WIDTH) and found.min() >= 0 and found.max() <= 6
    assert found[1, 3, 17] == 17 - weights[HEIGHT + 3, 17].argmax()


def test_the_sharpness_is_learned():
    left, right, _ = views()
    model = awake(StereoUpscaler(5, reach=8))
    model(left, right).sum().backward()
    assert model.log_sharpness.grad is not None and model.log_sharpness.grad != 0


def test_training_makes_it_better_and_leaves_the_pairs_alone():
    left, right, pairs = views(n=4)
    before = pairs.left.clone()
    with seeded(0):
        model = Upscaler(8)
    recipe = Recipe(steps=80, batch_size=4, learning_rate=1e-2, seed=1)
    losses = train_upscaler(model, pairs, recipe, progress=False)
    assert len(losses) == 80
    with torch.no_grad():
        assert psnr(model(left, right), pairs.left) > psnr(left, pairs.left) + 0.1
    assert torch.equal(pairs.left, before)
    with seeded(0):
        again = Upscaler(8)
    assert train_upscaler(again, pairs, recipe, progress=False) == losses


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.rejects
def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiples of 4, got 8 and 10"):
        shrink(torch.zeros(1, 8, 10))
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(3, 2\)"):
        psnr(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="at least one pixel that counts, got none"):
        psnr(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="rows must be a multiple of height, 5, got 12"):
        disparities(torch.zeros(12, 3, 3), height=5)
    with pytest.raises(ValueError, match="block must be odd, so that it has a middle, got 4"):
        block_matching(torch.zeros(1, 8, 8), torch.zeros(1, 8, 8), block=4)
    with pytest.raises(ValueError, match="a column must be from 0 to 2, got -1 to 2"):
        fetch(torch.zeros(1, 1, 3), torch.tensor([[[1, 0, 0]]]))
    with pytest.raises(ValueError, match="reach must be at least 0, got -1"):
        StereoUpscaler(5, reach=-1)


@pytest.mark.rejects
@pytest.mark.parametrize(
    "use",
    [StereoUpscaler(5), Upscaler(5), lambda left, right: block_matching(left, right)],
    ids=["rows", "convolutions", "blocks"],
)
def test_views_of_different_shapes_are_refused(use):
    with pytest.raises(ValueError, match=r"shape of the left one, \(1, 8, 12\), got \(1, 8, 8\)"):
        use(torch.zeros(1, 8, 12), torch.zeros(1, 8, 8))
