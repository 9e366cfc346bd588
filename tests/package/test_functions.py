import hashlib
import json
import lzma
import re
import zipfile
from importlib import resources
from itertools import combinations
from pathlib import Path

import pytest

from book.tools import functions as extraction
from minattn.subwords import START, Subwords, learn_subwords
from minattn.tasks.functions import ALPHABET, python_functions

FOLDER = resources.files("minattn.tasks")
PARTS = python_functions()._asdict()
MERGES = PARTS.pop("merges")
WORD = re.compile(r"\w+")


def eights(code):
    words = WORD.findall(code)
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}


def test_the_file_is_the_one_that_everything_was_measured_on():
    packed = FOLDER.joinpath("functions.json.xz").read_bytes()
    assert len(packed) < 700_000
    digest = hashlib.sha256(lzma.decompress(packed)).hexdigest()
    assert digest[:16] == "d1510cb9cb5afeae"


def test_no_function_comes_twice():
    every = [code for part in PARTS.values() for code in part]
    assert len(every) == len(set(every)) == 2321


@pytest.mark.parametrize(("one", "other"), list(combinations(PARTS, 2)))
def test_no_two_parts_have_eight_words_in_a_row_in_common(one, other):
    runs = [set().union(*map(eights, PARTS[part])) for part in (one, other)]
    assert min(map(len, runs)) > 4000
    assert not runs[0] & runs[1]


@pytest.mark.parametrize("part", PARTS)
def test_functions_are_short_and_made_of_plain_characters(part):
    for code in PARTS[part]:
        lines = code.split("\n")
        assert lines[0].startswith("def ")
        assert 3 <= len(lines) <= 25
        assert len(code) <= 800
        assert set(code) <= {*ALPHABET, " "}
        assert all(line.startswith("\t") and line.strip() for line in lines[1:])
        compile(code, "function", "exec")


def test_the_pieces_are_those_that_are_learned_from_the_part_to_learn_from():
    found = learn_subwords(PARTS["train"], 30)
    assert found.merges == MERGES[:30]
    assert len(set(MERGES)) == len(MERGES) == 1000


def test_every_function_can_be_cut_into_pieces_and_put_together_again():
    pieces = Subwords((*ALPHABET, START), MERGES[:400])
    for code in PARTS["validation"]:
        assert pieces.decode(pieces.encode(code)) == code


def test_the_licences_of_both_libraries_lie_beside_the_functions():
    text = FOLDER.joinpath("functions.LICENSE").read_text(encoding="utf-8")
    for line in [
        "networkx 3.6.1",
        "scikit-learn 1.9.1",
        "   Copyright (c) 2004-2025, NetworkX Developers",
        "Copyright (c) 2007-2026 The scikit-learn developers.",
    ]:
        assert line in text.splitlines()
    words = " ".join(text.split())
    for clause in [
        "Redistributions of source code must retain the above copyright notice",
        "Redistributions in binary form must reproduce the above copyright notice",
        "endorse or promote products derived from this software without",
        "EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.",
    ]:
        assert words.count(clause) == 2


def test_the_functions_and_their_licences_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["functions.json.xz", "functions.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()


# The script that extracts the functions -----------------------------------------------------------

SOURCE = '''
class Thing:
    """A thing."""

    @property
    def size(self, a: int = 1):
        """Return it."""
        # why
        def inner(b):
            """Add."""
            return (b
                    + a)

        return [inner(b) for b in self]

    def two(self):
        return 'two lines'

    def nothing(self):
        "Only words."

async def later(x):
    x = 1
    return x
'''
SIZE = "def size(self, a: int=1):\n\tdef inner(b):\n\t\treturn b + a\n\treturn [inner(b) for b in self]"


def test_functions_are_written_anew_without_words_for_people():
    assert list(extraction.functions_of(SOURCE)) == [SIZE]


@pytest.mark.parametrize(
    ("code", "short"),
    [
        ("a\nb\nc", True),
        ("a\nb", False),
        ("\n".join("a" * 25), True),
        ("\n".join("a" * 26), False),
        ("a\nb\n" + "c" * 100, True),
        ("a\nb\n" + "c" * 101, False),
        ("a\nb\nä", False),
        ("\n".join(["c" * 79] * 10), True),
        ("\n".join(["c" * 79] * 9 + ["c" * 81]), False),
    ],
)
def test_short_functions_are_told_from_others(code, short):
    assert extraction.is_short(code) == short


def files():
    """40 files of 3 functions; the first of each shares a run of eight words with that of another file."""
    words = [f"w{n}" for n in range(1000)]
    shared = " ".join(words[:8])
    return {
        f"f{n}.py": [f"{shared} {words[8 + n]}", f"{words[100 + n]} " * 9, f"{words[200 + n]} b"]
        for n in range(40)
    }


def test_whole_files_are_held_out_and_what_is_in_another_part_is_dropped():
    found = files()
    parts = extraction.split(found)
    file_of = {code: name for name in found for code in found[name]}
    held = {part: {file_of[code] for code in parts[part]} for part in parts}
    assert not held["train"] & held["validation"] and not held["test"] & held["validation"]
    assert [len(parts[part]) for part in parts] == [3 * 30, 2 * 5, 2 * 5]
    assert sum(code.startswith("w0") for code in parts["train"]) == 30


def test_a_function_that_stands_in_two_files_is_kept_once():
    found = {"a.py": ["one two", "b c"], "b.py": ["one two", "d e"]}
    parts = extraction.split(found)
    assert sorted(code for part in parts.values() for code in part) == ["b c", "d e", "one two"]


def test_wheels_are_read_and_functions_written_with_their_licences(tmp_path, capsys):
    wheel = tmp_path / "thing-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/a.py", SOURCE)
        archive.writestr("thing/tests/b.py", SOURCE.replace("inner", "other"))
        archive.writestr("thing/externals/c.py", SOURCE.replace("inner", "third"))
        archive.writestr("thing-1.2.dist-info/licenses/COPYING", "(c) Somebody\n\n----\n\nmore")
    extraction.main([wheel], tmp_path / "out.json.xz")
    found = json.loads(lzma.decompress((tmp_path / "out.json.xz").read_bytes()))
    assert found["validation"] == [SIZE]
    assert (tmp_path / "functions.LICENSE").read_text().endswith("\nthing 1.2\n\n(c) Somebody\n")
    assert capsys.readouterr().out == "0 train, 1 validation, 0 test, 0 merges\n"
