import gzip
import hashlib
import re
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from book.tools import digits as extraction
from minattn.tasks.digits import PARTS, digits

FOLDER = resources.files("minattn.tasks")


def test_the_file_is_the_one_that_everything_was_measured_on():
    with np.load(FOLDER / "digits.npz") as stored:
        pictures, names = stored["pictures"], stored["names"]
    digest = hashlib.sha256(pictures.tobytes() + names.tobytes()).hexdigest()
    assert digest[:16] == "87ff0c9e40dc7e2c"
    assert pictures.shape == (1797, 8, 8) and pictures.max() == 16
    assert len(FOLDER.joinpath("digits.npz").read_bytes()) < 60_000


def test_parts_are_all_digits_and_share_none():
    parts = [digits(part) for part in PARTS]
    together = torch.cat([part.pictures for part in parts])
    with np.load(FOLDER / "digits.npz") as stored:
        assert torch.equal((16 * together).byte(), torch.from_numpy(stored["pictures"]))
    for part in parts:
        assert part.names.unique().tolist() == list(range(10))
        assert (part.pictures.min(), part.pictures.max()) == (0, 1)


@pytest.mark.rejects
def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="train, validation, held_out, got 'test'"):
        digits("test")


def test_the_licence_lies_beside_the_digits_and_both_are_in_the_wheel(tmp_path):
    words = " ".join(FOLDER.joinpath("digits.LICENSE").read_text(encoding="utf-8").split())
    for part in ["E. Alpaydin and C. Kaynak", "(CC BY 4.0)", "BSD 3-Clause License"]:
        assert part in words
    assert "GCC" not in words  # what lies in the same wheel, of which nothing is taken
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["digits.npz", "digits.LICENSE", "earth.jpg", "earth.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        (about,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        (licence,) = re.findall("License-Expression: (.*)", archive.read(about).decode())
        assert {"MIT", "BSD-3-Clause", "CC-BY-4.0"} <= set(licence.split(" AND "))


def test_the_table_is_read_and_written_with_its_licence(tmp_path, capsys):
    table = tmp_path / extraction.TABLE
    table.parent.mkdir(parents=True)
    numbers = np.arange(65) % 17
    with gzip.open(table, "wt") as file:
        file.write(",".join(f"{number}.0" for number in numbers) + "\n")
        file.write(",".join(f"{number}.0" for number in numbers[::-1]) + "\n")
    licence = tmp_path / extraction.LICENCE
    licence.parent.mkdir(parents=True)
    licence.write_text("Free.\n\n----\n\nOf others.\n")
    extraction.main(tmp_path, tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz") as found:
        assert found["pictures"].shape == (2, 8, 8) and found["names"].tolist() == [13, 0]
        assert found["pictures"][0, 1].tolist() == [8, 9, 10, 11, 12, 13, 14, 15]
    text = (tmp_path / "digits.LICENSE").read_text()
    assert "Free." in text.splitlines() and "Of others." not in text
    assert capsys.readouterr().out.startswith("2 digits, ")
