import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import minattn.exercises
from minattn.exercises import EXERCISES, check, find

FOLDER = Path(minattn.exercises.__file__).parent
FILES = sorted(FOLDER.glob("*/ex*.py"))
TESTS = Path(__file__).parent


def softmax_rows(scores):
    return scores.softmax(dim=1)


def test_a_verdict_is_shown(capsys):
    check("0.3", softmax_rows)
    assert "Exercise 0.3: Correct." in capsys.readouterr().out


def test_a_folded_solution_is_not_taken_for_the_readers_answer(capsys):
    def solution_softmax_rows(scores):
        return scores.softmax(dim=1)

    check("0.3", solution_softmax_rows)
    assert "The solution passes." in capsys.readouterr().out
    check("0.3", softmax_rows)
    assert "Correct." in capsys.readouterr().out


@pytest.mark.rejects
@pytest.mark.parametrize("number", ["9.9", "0.10", "01.1", ""])
def test_an_unknown_number_is_rejected(number):
    for look in (find, lambda number: check(number, softmax_rows)):
        with pytest.raises(ValueError, match=rf"exercises are 0\.1, .*got {number!r}"):
            look(number)


@pytest.mark.rejects
def test_a_number_without_quotes_is_rejected(unchecked):
    with pytest.raises(ValueError, match=r"exercises are 0\.1, .*got 0\.3"):
        check(0.3, softmax_rows)


# Where exercises are found.


def test_exercises_are_a_mapping_that_cannot_be_written():
    assert isinstance(EXERCISES, Mapping) and not hasattr(EXERCISES, "__setitem__")
    assert list(EXERCISES)[:2] == ["0.1", "0.2"] and len(EXERCISES) == len(FILES)
    assert "0.1" in EXERCISES and "0.9" not in EXERCISES and EXERCISES.get("0.9") is None
    assert EXERCISES["0.1"] is find("0.1")
    with pytest.raises(KeyError):
        EXERCISES["0.9"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_by_the_number_of_its_exercise_and_has_its_tests(path):
    numbers = re.fullmatch(r"ex(\d+)_(\d+)_[a-z_]+", path.stem).groups()
    exercise = find(".".join(numbers))
    assert exercise.number == ".".join(numbers)
    assert exercise is sys.modules[f"minattn.exercises.{path.parent.name}.{path.stem}"].EXERCISE
    assert (TESTS / path.parent.name / f"test_{path.name}").exists()


def test_no_file_of_tests_has_lost_its_exercise():
    for path in TESTS.glob("*/test_ex*.py"):
        assert (FOLDER / path.parent.name / path.name.removeprefix("test_")).exists(), path.name


def test_no_file_is_long():
    for path in FOLDER.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.name


LAZY = r"""
import re
import sys

opened = set()
sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)

from minattn.exercises import EXERCISES, check

def loaded():
    return [name for name in sys.modules if re.match(r"minattn\.exercises\.\w+\.", name)]

assert len(EXERCISES) > 40 and list(EXERCISES)[0] == "0.1" and "9.4" in EXERCISES
assert not loaded(), loaded()
check("0.1", lambda a, b: a[:, None] - b)
assert loaded() == ["minattn.exercises.ten_minute_check.ex0_1_table_from_two_lists"], loaded()
read = [path for path in opened if re.search(r"\Wex\d+_\d+_\w+\.", path)]
assert all("ex0_1_table_from_two_lists" in path for path in read), read
"""


def test_checking_an_exercise_reads_no_other_one():
    done = subprocess.run(
        [sys.executable, "-c", LAZY],
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exercise 0.1: Correct." in done.stdout
