import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.pictures.patches import (
    CropClassifier,
    Patches,
    Places,
    Stem,
    channels_first,
    features,
    pretrain,
)
from minattn.tasks.emoji import TRAINED
from minattn.tasks.scenes import NOTHING, crops, scenes
from minattn.training import seeded


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pictures(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_colours_come_first_and_lie_around_zero():
    found = channels_first(pictures(2, 5, 7, 3))
    assert found.shape == (2, 3, 5, 7) and -0.5 <= found.min() < found.max() <= 0.5
    assert found[1, 2, 3, 4] == pictures(2, 5, 7, 3)[1, 3, 4, 2] / 255 - 0.5


def test_a_patch_becomes_a_token_by_one_matrix():
    patches, seen = Patches(3, d_model=5, channels=2), pictures(7, 6, 9, 2)
    found = patches(seen)
    assert found.shape == (7, 2 * 3, 5)
    third = channels_first(seen)[:, :, :3, 6:]  # upper right
    weights, bias = patches.project.weight, patches.project.bias
    expected = third.flatten(1) @ weights.flatten(1).T + bias
    torch.testing.assert_close(found[:, 2], expected)


def test_a_token_sees_its_own_patch_alone():
    patches, seen = Patches(2, d_model=5, channels=1), pictures(1, 8, 6, 1)
    changed = seen.clone()
    changed[0, 5, 3] += 1  # third row of patches, second column
    (moved,) = (patches(changed) != patches(seen)).any(-1).nonzero()[:, 1].tolist()
    assert moved == 2 * 3 + 1


def test_places_add_a_row_and_a_column():
    places = Places(2, 3, d_model=5)
    found = places(torch.zeros(7, 6, 5))
    torch.testing.assert_close(found[3, 1 * 3 + 2], places.rows[1] + places.columns[2])
    tokens = torch.randn(7, 6, 5)
    torch.testing.assert_close(places(tokens) - tokens, found)
    torch.testing.assert_close(places.table(), found[0])


def test_a_cell_sees_sixteen_pixels_around_its_own_four():
    """Cell i of a row is reached by pixels 4i - 6 to 4i + 9: its middle is at 4i + 2."""
    with seeded(1):
        stem = Stem([3, 5, 7])
    seen = channels_first(pictures(1, 40, 40, 3)).requires_grad_()
    grown = torch.nn.functional.pad(seen, [6] * 4, value=0.5)
    planes = torch.nn.functional.gelu(stem.convolutions[0](grown))  # one that is nowhere flat
    planes = torch.nn.functional.gelu(stem.convolutions[2](planes))
    planes = stem.convolutions[4](planes)
    assert planes.shape == (1, 7, 10, 10)
    (reach,) = torch.autograd.grad(planes[0, :, 3, 6].sum(), seen)
    rows, columns = (reach[0].abs().sum(0).sum(axis).nonzero()[:, 0] for axis in (1, 0))
    assert (rows.min(), rows.max()) == (4 * 3 - 6, 4 * 3 + 9)
    assert (columns.min(), columns.max()) == (4 * 6 - 6, 4 * 6 + 9)


@given(row=st.integers(0, 9), column=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_a_cell_of_a_scene_is_the_cell_of_its_crop_and_white_lies_outside(row, column):
    with seeded(1):
        stem = Stem([3, 5, 7])
    seen = pictures(2, 40, 40, 3)
    framed = torch.full((2, 52, 52, 3), 255, dtype=torch.uint8)
    framed[:, 6:46, 6:46] = seen
    crop = framed[:, 4 * row : 4 * row + 16, 4 * column : 4 * column + 16]
    torch.testing.assert_close(stem(seen).states[:, 10 * row + column], stem.cells(crop, 0)[:, 0])


def test_the_memory_of_a_stem_leaves_out_nothing():
    memory = Stem([3, 5, 7])(pictures(2, 8, 12, 3))
    assert memory.states.shape == (2, 2 * 3, 7) and memory.mask.shape == (2, 6)
    assert memory.mask.all() and memory.mask.dtype == torch.bool


def test_features_are_those_of_the_stem_in_half_precision_and_need_no_gradient():
    stem, seen = Stem([3, 5, 7]), pictures(11, 8, 8, 3)
    found = features(stem, seen, at_once=3)
    assert found.dtype == torch.float16 and not found.requires_grad
    torch.testing.assert_close(found.double(), stem(seen).states, atol=1e-3, rtol=1e-3)


def test_pretraining_learns_and_depends_on_its_seed_alone():
    torch.set_default_dtype(torch.float32)
    one, other = (pretrain(["noto"], seed=3, steps=60) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    found = crops(199, ["noto"], seed=9)
    right = one(torch.from_numpy(found.pictures)).argmax(-1).numpy() == found.classes
    assert right.mean() > 0.6
    different = pretrain(["noto"], seed=4, steps=6).readout.bias
    assert not torch.equal(different, pretrain(["noto"], seed=3, steps=6).readout.bias)


def test_the_stored_stem_names_what_the_nearest_cell_shows():
    torch.set_default_dtype(torch.float32)
    model = CropClassifier(Stem())
    load_model(stored_model("stem"), model)
    found = scenes(101, TRAINED, seed=5)
    said = model.readout(features(model.stem, torch.from_numpy(found.pictures)).float())
    said = said.argmax(-1).view(-1, 10, 10).numpy()
    x0, y0, x1, y1 = np.moveaxis(found.boxes, -1, 0)
    row, column = (np.rint(((a + b) / 2 - 2) / 4).astype(int) for a, b in ((y0, y1), (x0, x1)))
    there = found.classes >= 0
    row, column = row.clip(0, 9), column.clip(0, 9)
    right = said[np.arange(101)[:, None], row, column] == found.classes
    assert right[there].mean() > 0.97
    blank = torch.full((1, 40, 40, 3), 255, dtype=torch.uint8)
    assert (model.readout(model.stem(blank).states).argmax(-1) == NOTHING).all()


@pytest.mark.rejects
def test_pictures_that_cannot_be_read_are_refused():
    with pytest.raises(
        TypeError, match=r"pictures must hold bytes, torch.uint8, got torch.float64"
    ):
        channels_first(torch.zeros(1, 2, 2, 3))
    with pytest.raises(ValueError, match=r"no axis 0, got \(0, 2, 2, 3\)"):
        channels_first(pictures(0, 2, 2, 3))
    with pytest.raises(ValueError, match=r"multiples of side 3, got \(6, 8\)"):
        Patches(3, 5)(pictures(1, 6, 8, 3))
    with pytest.raises(ValueError, match="pictures must have 3 channels, got 1"):
        Patches(2, 5)(pictures(1, 6, 8, 1))
    with pytest.raises(
        ValueError, match=r"tokens must have shape \(batch, 6, 5\), got \(1, 5, 5\)"
    ):
        Places(2, 3, 5)(torch.zeros(1, 5, 5))
    with pytest.raises(ValueError, match="widths must be three, got 2"):
        Stem([3, 5])
    with pytest.raises(ValueError, match=r"widths\[1\] must be at least 1, got 0"):
        Stem([3, 0, 5])
    with pytest.raises(ValueError, match=r"a cell sees 16 pixels, got pictures of \(3, 8\)"):
        Stem().cells(pictures(1, 3, 8, 3))
    with pytest.raises(ValueError, match=r"crops must have 16 by 16 pixels, got \(16, 20\)"):
        CropClassifier(Stem())(pictures(1, 16, 20, 3))
    with pytest.raises(ValueError, match="pictures must have 3 channels, got 4"):
        Stem()(pictures(1, 16, 16, 4))
