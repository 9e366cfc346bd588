import hashlib
import re
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from book.tools import photos as extraction
from minattn.tasks.photos import PHOTOS, differences, photo_of, photos

FOLDER = resources.files("minattn.tasks")


def test_the_photographs_are_the_ones_that_everything_was_measured_on():
    digest = hashlib.sha256()
    for part, names in PHOTOS.items():
        for name in names:
            digest.update(name.encode() + photos(part)[name].tobytes())
    assert digest.hexdigest()[:16] == "fb2d829c15593cfa"
    assert len(FOLDER.joinpath("photos.npz").read_bytes()) < 600_000


def test_no_photograph_is_in_two_parts_and_all_are_small():
    names = [name for part in PHOTOS.values() for name in part]
    assert len(names) == len(set(names)) == 12
    for part in PHOTOS:
        assert tuple(photos(part)) == PHOTOS[part]
        for photo in photos(part).values():
            height, width = photo.shape
            assert photo.dtype == np.uint8 and photo.std() > 20
            assert 150 <= height <= 300 and 225 <= width <= 384


def test_nobody_can_change_a_photograph():
    with pytest.raises(ValueError, match="read-only"):
        photos("test")["coins"][0, 0] = 1
    with pytest.raises(TypeError):
        photos("test")["coins"] = np.zeros((3, 5), dtype=np.uint8)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 7))))
def test_differences_lose_nothing(photo):
    assert (photo_of(differences(photo)) == photo).all()


@pytest.mark.rejects
def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="train, validation, test, got 'held_out'"):
        photos("held_out")


def test_it_is_said_of_every_photograph_who_took_it_and_how_it_may_be_used():
    text = FOLDER.joinpath("photos.LICENSE").read_text(encoding="utf-8")
    assert text == extraction.notice()
    lines = dict(re.findall(r"(?m)^(\w+): (.*)$", text))
    assert set(lines) == {name for part in PHOTOS.values() for name in part}
    for name, about in lines.items():
        assert re.search("CC0|public domain|no known copyright restrictions", about), name


def test_the_photographs_and_what_is_known_of_them_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["photos.npz", "photos.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        (about,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        (licence,) = re.findall("License-Expression: (.*)", archive.read(about).decode())
        assert "CC0-1.0" in licence.split(" AND ")


# The script that makes them small and grey -------------------------------------------------------


def test_blocks_become_their_mean_grey():
    colours = np.zeros((5, 7, 3), dtype=np.uint8)
    colours[:2, :2, 0], colours[:2, 2:4, 1], colours[2:4, :2, 2] = 100, 100, 100
    small = extraction.small(colours, 2, 256)
    assert small.tolist() == [[30, 59, 0], [11, 0, 0]]
    assert extraction.small(colours, 2, 1).shape == (1, 3)
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert extraction.small(grey, 2, 256).tolist() == [[4, 6, 8], [16, 18, 20]]


def test_photographs_are_written_with_their_notice(tmp_path, capsys):
    asked = []

    def load(path):
        asked.append(path.relative_to(tmp_path).as_posix())
        return np.full((301, 403, 3), len(asked), dtype=np.uint8)

    extraction.main(tmp_path, tmp_path / "photos.npz", load)
    assert "skimage/data/astronaut.png" in asked and "scipy/misc/face.dat" in asked
    with np.load(tmp_path / "photos.npz") as found:
        assert set(found.files) == set(extraction.SOURCES)
        assert (photo_of(found["camera"]) == 1 + list(extraction.SOURCES).index("camera")).all()
        assert found["coins"].shape == (150, 384)
    assert (tmp_path / "photos.LICENSE").read_text(encoding="utf-8") == extraction.notice()
    assert capsys.readouterr().out.startswith("astronaut (150, 201)")
