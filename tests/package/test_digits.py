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
from minattn.tasks.digits import PARTS, STARTS, digits

FOLDER = resources.files("minattn.tasks")


def everything():
    with np.load(FOLDER / "digits.npz") as found:
        return found["ink"], found["labels"]


def test_the_file_is_the_one_that_everything_was_measured_on():
    ink, labels = everything()
    digest = hashlib.sha256(ink.tobytes() + labels.tobytes()).hexdigest()
    assert digest[:16] == "87ff0c9e40dc7e2c"
    assert ink.shape == (1797, 8, 8) and ink.max() == 16 and set(labels) == set(range(10))
    assert len(FOLDER.joinpath("digits.npz").read_bytes()) < 100_000


def edits(one, other):
    """How many characters must be put in, taken out or changed to make one text of the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def test_every_form_has_the_same_digits_but_a_few():
    """Where a form begins is told by the labels alone: all forms ask for the same 130 digits."""
    labels = "".join(map(str, everything()[1]))
    forms = [labels[a:b] for a, b in zip(STARTS, (*STARTS[1:], len(labels)), strict=True)]
    assert len(forms[0]) == 130
    for form in forms:
        assert 130 - len(form) <= edits(form, forms[0]) <= 130 - len(form) + 2
    one_off = labels[STARTS[4] + 5 : STARTS[5] + 5]
    assert edits(one_off, forms[0]) > 5  # a form that begins elsewhere does not fit


def test_no_form_is_in_two_parts_and_none_is_left_out():
    seen = [set(digits(part).forms.tolist()) for part in PARTS]
    assert [len(forms) for forms in seen] == [3, 2, 9]
    assert set.union(*seen) == set(range(14))
    assert sum(len(digits(part).labels) for part in PARTS) == 1797


def test_pictures_are_those_that_are_stored():
    ink, labels = everything()
    found = digits("validation")
    first = STARTS[3]
    assert found.pictures.dtype == torch.uint8 and found.pictures.shape == (260, 8, 8, 1)
    torch.testing.assert_close(
        found.pictures[7, ..., 0].double(),
        torch.from_numpy(ink[first + 7].astype(float) * 255 / 16).round(),
    )
    assert found.labels.tolist() == labels[first : first + 260].tolist()
    assert found.pictures.max() == 255 and found.pictures.min() == 0


def test_fewer_forms_are_the_first_ones():
    some, whole = digits("train", 4), digits("train")
    assert set(some.forms.tolist()) == {5, 6, 7, 8}
    for part, all_of_it in zip(some, whole, strict=True):
        assert torch.equal(part, all_of_it[: len(part)])
    assert torch.equal(digits("train", 9).labels, whole.labels)


@pytest.mark.rejects
def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="part must be one of test, validation, train, got 'held'"):
        digits("held")
    with pytest.raises(ValueError, match="n_forms must be at most 9 of train, got 10"):
        digits("train", 10)
    with pytest.raises(ValueError, match="n_forms must be at least 1, got 0"):
        digits("train", 0)


def test_the_licences_lie_beside_the_digits_and_are_in_the_wheel(tmp_path):
    words = " ".join(FOLDER.joinpath("digits.LICENSE").read_text(encoding="utf-8").split())
    for part in [
        "E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits.",
        "https://creativecommons.org/licenses/by/4.0/legalcode",
        "Nothing was changed but how the numbers are stored",
        "The scikit-learn developers. All rights reserved. Redistribution and use",
    ]:
        assert part.lower() in words.lower()
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["digits.npz", "digits.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        (about,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        metadata = archive.read(about).decode()
        (licence,) = re.findall("License-Expression: (.*)", metadata)
        assert {"BSD-3-Clause", "CC-BY-4.0"} <= set(licence.split(" AND "))
        assert "License-File: minattn/tasks/digits.LICENSE" in metadata


def test_the_script_takes_digits_out_of_the_wheel(tmp_path, capsys):
    table = np.arange(3 * 65).reshape(3, 65) % 17
    path = tmp_path / extraction.DATA
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt") as lines:
        np.savetxt(lines, table, delimiter=",")
    licence = tmp_path / "some.dist-info" / "licenses" / "COPYING"
    licence.parent.mkdir(parents=True)
    licence.write_text("Copyright: somebody")
    extraction.main(tmp_path, tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz") as found:
        assert (found["ink"].reshape(3, 64) == table[:, :64]).all()
        assert (found["labels"] == table[:, 64]).all()
    assert "Copyright: somebody" in (tmp_path / "digits.LICENSE").read_text()
    assert "3 digits" in capsys.readouterr().out
