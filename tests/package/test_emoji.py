import hashlib
import io
import json
import re
import zipfile
from importlib import resources
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book.tools import emoji as extraction
from minattn.tasks.emoji import (
    CLASSES,
    DESIGNERS,
    GENDERS,
    TRAINED,
    UNSEEN,
    VALIDATION,
    names,
    resized,
    shares,
    sheet,
    sprite,
)

FOLDER = resources.files("minattn.tasks")


def test_the_file_is_the_one_that_everything_was_measured_on():
    found = hashlib.sha256(b"".join(sheet(name).tobytes() for name in DESIGNERS)).hexdigest()
    assert found[:16] == "a812de1ed5471520"
    assert len(FOLDER.joinpath("emoji.npz").read_bytes()) < 400_000


def test_who_is_trained_on_and_who_is_not():
    assert DESIGNERS == TRAINED + VALIDATION + UNSEEN and len(set(DESIGNERS)) == 6
    assert len(TRAINED) == 4 and UNSEEN == ("twemoji",)


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_every_thing_has_one_name_in_each_language(language):
    assert len(names(language)) == len(set(names(language))) == len(CLASSES) == 32
    assert all(name.strip() == name != "" and " " not in name for name in names(language))


def test_german_names_have_their_gender():
    gender = dict(zip(names("de"), GENDERS, strict=True))
    assert [gender[word] for word in ("Apfel", "Kuh", "Herz", "Traube", "Schlüssel")] == [*"mfnfm"]
    assert set(GENDERS) == set("mfn")


@pytest.mark.parametrize("designer", DESIGNERS)
def test_every_designer_drew_everything_as_large(designer):
    emoji = sheet(designer)
    assert emoji.shape == (32, 24, 24, 4) and emoji.dtype == np.uint8
    assert (emoji[..., :3] <= emoji[..., 3:]).all()  # premultiplied
    ink = emoji[..., 3] > 32
    assert (np.maximum(ink.any(1).sum(1), ink.any(2).sum(1)) >= 22).all()
    colours = emoji[..., :3].astype(float)
    for i in range(32):
        distance = np.abs(colours - colours[i]).mean((1, 2, 3))
        assert np.delete(distance, i).min() > 3, CLASSES[i]  # no two things look the same


def test_no_two_designers_drew_the_same():
    for i, one in enumerate(DESIGNERS):
        for other in DESIGNERS[:i]:
            apart = np.abs(sheet(one).astype(float) - sheet(other)).mean((1, 2, 3))
            assert apart.min() > 2, (one, other)


def test_nobody_can_change_a_sheet():
    with pytest.raises(ValueError, match="read-only"):
        sheet("noto")[0] = 1


@pytest.mark.parametrize("size", [24, 16, 12, 7, 1])
def test_a_sprite_is_so_long_and_full(size):
    for designer in DESIGNERS:
        for name in CLASSES:
            found = sprite(designer, name, size)
            assert max(found.shape[:2]) == size
            if size > 6:
                assert all((found[..., 3].max(axis) > 8).all() for axis in (0, 1))
            assert (found[..., :3] <= found[..., 3:]).all()


@given(st.integers(1, 31), st.integers(1, 31))
def test_making_smaller_keeps_the_mean(old, new):
    covered = shares(old, new)
    np.testing.assert_allclose(covered.sum(1), 1)
    np.testing.assert_allclose(covered.sum(0), new / old)
    assert (covered >= 0).all()


def test_one_colour_stays_one_colour():
    picture = np.full((7, 5, 4), 201, dtype=np.uint8)
    assert (resized(picture, 3, 2) == 201).all()


@pytest.mark.rejects
def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="language must be one of en, de, zh, got 'fr'"):
        names("fr")
    with pytest.raises(ValueError, match=r"designer must be one of noto, .*, got 'openmoji'"):
        sheet("openmoji")
    with pytest.raises(ValueError, match=r"name must be one of apple, .*, got 'tram'"):
        sprite("noto", "tram")
    with pytest.raises(ValueError, match="size must be at most 24, got 25"):
        sprite("noto", "cat", 25)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        sprite("noto", "cat", 0)


def test_the_licences_of_all_designers_lie_beside_the_emoji():
    words = " ".join(FOLDER.joinpath("emoji.LICENSE").read_text(encoding="utf-8").split())
    for part in [
        *DESIGNERS,
        "They were changed: 32 of each set were chosen",
        "Copyright Google Inc., https://github.com/googlefonts/noto-emoji",
        "Copyright 2015, Mozilla Foundation, https://github.com/mozilla/fxemoji",
        "Emoji provided free by EmojiOne",
        "Copyright Twitter, Inc and other contributors",
        "Copyright (c) Microsoft Corporation",
        "The above copyright notice and this permission notice shall be included in all copies",
        "https://creativecommons.org/licenses/by/4.0/legalcode",
        "Apache License Version 2.0, January 2004",
        "END OF TERMS AND CONDITIONS",
    ]:
        assert part in words


def test_the_emoji_and_their_licences_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["emoji.npz", "emoji.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        (about,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        metadata = archive.read(about).decode()
        (licence,) = re.findall("License-Expression: (.*)", metadata)
        assert {"MIT", "Apache-2.0", "CC-BY-4.0"} <= set(licence.split(" AND "))
        assert "License-File: minattn/tasks/emoji.LICENSE" in metadata


# The script that draws the emoji ------------------------------------------------------------------


def fake_set(folder, spdx="MIT"):
    """A set of icons whose drawings are their names; two go by other names than ours."""
    other = {"apple": "redapple", "cat": "cat-face", "penguin": "parent"}
    called = {name: extraction.NAMES.get(name, [name])[0] for name in CLASSES} | other
    icons = {key: {"body": f"<g id='{name}'/>"} for name, key in called.items()}
    icons["cat"] = {"body": "<g id='another cat'/>"}
    text = {"icons": icons, "aliases": {"penguin": {"parent": "parent"}}, "width": 64, "height": 48}
    folder.mkdir()
    (folder / "icons.json").write_text(json.dumps(text))
    (folder / "info.json").write_text(json.dumps({"license": {"spdx": spdx}}))
    return text


def test_a_drawing_is_found_by_its_names(tmp_path):
    icons = fake_set(tmp_path / "noto")
    assert "id='apple'" in extraction.drawing(icons, "apple")
    assert "id='cat'" in extraction.drawing(icons, "cat")
    assert "id='penguin'" in extraction.drawing(icons, "penguin")
    assert 'viewBox="0 0 64 48"' in extraction.drawing(icons, "key")


def test_a_drawing_is_cut_scaled_and_centred():
    picture = np.zeros((96, 96, 4))
    picture[10:58, 30:54] = 1, 0.5, 0, 0.8  # 48 high, 24 wide
    found = extraction.fitted(picture)
    assert found.shape == (24, 24, 4)
    assert (found[:, 6:18] == [204, 102, 0, 204]).all()
    assert (found[:, :6] == 0).all() and (found[:, 18:] == 0).all()


def painted(svg):
    """A picture for a drawing: a disk whose colour is made of its name."""
    name = re.search("id='(.*)'", svg)[1]
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    picture = np.zeros((48, 48, 4))
    picture[..., :3] = [len(name) / 20, CLASSES.index(name) / 40, 0.5]
    picture[..., 3] = x**2 + y**2 < 0.5
    out = io.BytesIO()
    matplotlib.image.imsave(out, picture, format="png")
    return out.getvalue()


def test_the_script_writes_the_emoji_of_all_designers(tmp_path, capsys):
    for name in DESIGNERS:
        fake_set(tmp_path / extraction.FOLDERS.get(name, name))
    extraction.main(tmp_path, tmp_path / "emoji.npz", painted)
    assert "6 designers, 32 things" in capsys.readouterr().out
    with np.load(tmp_path / "emoji.npz") as found:
        assert sorted(found) == sorted(DESIGNERS)
        assert found["noto"].shape == (32, 4, 24, 24)
        middle = found["noto"][CLASSES.index("key"), :, 12, 12]
    assert middle[3] == 255 and abs(int(middle[1]) - 255 * CLASSES.index("key") / 40) < 2


@pytest.mark.rejects
def test_a_set_that_is_not_free_is_refused(tmp_path):
    fake_set(tmp_path / "noto", "CC-BY-NC-4.0")
    with pytest.raises(ValueError, match=r"licence of noto must be one of .*, got 'CC-BY-NC-4.0'"):
        extraction.drawn(tmp_path / "noto", painted)
