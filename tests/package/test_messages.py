import random
import re
import string
import zipfile
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from book.tools import messages as extraction
from minattn.tasks.messages import MAX_HELD_OUT, Messages, Sentence, message_pairs

FOLDER = resources.files("minattn.tasks")
ROWS = [
    line.split("\t")
    for line in FOLDER.joinpath("messages.tsv").read_text(encoding="utf-8").split("\n")
]
LETTERS = string.ascii_letters + "ÄÖÜßäöü"
SIGNS = " !\"'()+,-./:;?{}’“”„…"


def bare(text):
    """Leave case and signs away."""
    return " ".join(re.findall(r"\w+", text.lower()))


def numbered():
    return {Sentence(german, english): int(number) for number, german, english in ROWS[1:-1]}


def test_the_file_is_a_table_with_a_line_for_every_german_sentence():
    assert ROWS[0] == ["group", "German", "English"]
    assert ROWS[-1] == [""]
    assert len(numbered()) == len(ROWS) - 2 == 2217
    assert set(numbered().values()) == set(range(1249))
    assert len({sentence.german.lower() for sentence in numbered()}) == 2217


@pytest.mark.parametrize("side", [0, 1], ids=["German", "English"])
def test_sentences_are_short_and_made_of_known_characters_and_no_code_is_left(side):
    for sentence in numbered():
        text = sentence[side]
        assert set(text) <= set(LETTERS + SIGNS + "012345678")
        assert text == " ".join(text.split())
        assert re.search("[A-Za-zÄÖÜßäöü]{2}", text)
        assert len(text.split()) <= 14
        assert side == 0 or not set(text) & set("ÄÖÜßäöü„")
        assert not re.search(r"[{}]", text.replace("{}", ""))
        assert not re.search("nbsp|YYYY|HH:|://", text)


def test_both_languages_have_the_same_gaps_and_are_not_the_same():
    for german, english in numbered():
        assert german.count("{}") == english.count("{}")
        assert german != english


def test_every_sentence_is_on_one_side_of_the_split():
    train, held_out = message_pairs()
    assert sorted(train + held_out) == sorted(numbered())
    assert all(isinstance(sentence, Sentence) for sentence in train + held_out)
    assert (len(train), len(held_out)) == (2012, 205)


@pytest.mark.parametrize(("n_groups", "seed"), [(150, 0), (150, 1), (1, 2), (602, 3)])
def test_whole_groups_are_held_out_and_only_small_ones(n_groups, seed):
    train, held_out = message_pairs(n_groups, seed)
    number = numbered()
    size = Counter(number.values())
    groups = {number[sentence] for sentence in held_out}
    assert len(groups) == n_groups
    assert not groups & {number[sentence] for sentence in train}
    assert max(size[group] for group in groups) <= MAX_HELD_OUT == 5


def test_groups_of_every_size_up_to_five_are_held_out_now_and_then():
    number = numbered()
    size = Counter(number.values())
    sizes = {size[number[s]] for seed in range(5) for s in message_pairs(seed=seed).held_out}
    assert sizes == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", [0, 1], ids=["German", "English"])
def test_no_held_out_sentence_is_trained_on_in_either_language(side, seed):
    train, held_out = message_pairs(600, seed)
    assert not {bare(s[side]) for s in train} & {bare(s[side]) for s in held_out}


@pytest.mark.parametrize("side", [0, 1], ids=["German", "English"])
def test_near_copies_are_never_on_both_sides_of_the_split(side):
    train, held_out = message_pairs()
    texts = [sentence[side] for sentence in train + held_out]
    sides = {(i < len(train), j < len(train)) for i, j in extraction.near_copies(texts)}
    assert sides == {(True, True), (False, False)}


def test_the_groups_of_the_file_are_those_of_the_script():
    sentences = [(german, english) for _, german, english in ROWS[1:-1]]
    assert sentences == sorted(sentences)
    assert extraction.group(sentences) == list(numbered().values())
    assert all(extraction.is_language(*sentence) for sentence in sentences)
    assert all(extraction.clean(text) == text for sentence in sentences for text in sentence)


def test_a_seed_makes_the_same_split_again_and_another_seed_another_one():
    before = random.getstate()
    assert message_pairs(seed=3) == message_pairs(seed=3) != message_pairs(seed=4)
    assert isinstance(message_pairs(), Messages)
    assert random.getstate() == before


def test_the_licences_of_both_programs_lie_beside_the_sentences():
    text = FOLDER.joinpath("messages.LICENSE").read_text(encoding="utf-8")
    for line in [
        "django 5.2.19",
        "wagtail 8.0.1",
        "Copyright (c) Django Software Foundation and individual contributors.",
        "Copyright (c) 2014-present Torchbox Ltd and individual contributors.",
    ]:
        assert line in text.splitlines()
    words = " ".join(text.split())
    for clause in [
        "Redistributions of source code must retain the above copyright notice",
        "Redistributions in binary form must reproduce the above copyright notice",
        "to endorse or promote products derived from this software without",
        "EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.",
    ]:
        assert words.count(clause) == 2


def test_the_sentences_and_their_licences_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    wheel = flit.make_wheel_in(project, tmp_path).file
    with zipfile.ZipFile(wheel) as archive:
        for name in ["messages.tsv", "messages.LICENSE"]:
            assert (
                archive.read(f"minattn/tasks/{name}").decode() == FOLDER.joinpath(name).read_text()
            )


@pytest.mark.rejects
@pytest.mark.parametrize("n_groups", [0, -1, 603])
def test_a_number_of_groups_out_of_range_is_named(n_groups):
    with pytest.raises(
        ValueError, match=rf"in 1\.\.602 \(half of the 1205 groups .* 5 .*got {n_groups}$"
    ):
        message_pairs(n_groups)


# The script that extracts the sentences -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello %(name)s, %d of\n  %s", "Hello {}, {} of {}"),
        ("{count} of {max_length}: <b class='x'>bold</b>", "{} of {}: bold"),
        ("a&nbsp;b soft\xadhyphen", "a b softhyphen"),
    ],
)
def test_markup_is_taken_out_and_gaps_have_one_sign(text, expected):
    assert extraction.clean(text) == expected


@pytest.mark.parametrize(
    ("german", "english", "good"),
    [
        ("Seite löschen", "Delete page", True),
        ("Die Seite ist gesperrt.", "The page is locked.", True),  # a full stop before a capital
        ("{} ist gesperrt", "{} is locked", True),
        ("{}-Objekt", "{} object", True),
        ("Design", "Design", False),
        ("{} ist gesperrt", "locked", False),
        ("Seite%", "Page", False),
        ("Datei a.txt", "File", False),
        ("Siehe https:", "See https:", False),
        ("ja,nein", "yes,no", False),
        ("Format YYYY-MM", "Format YYYY-MM here", False),
        ("Neue{} Seite", "New {} page", False),
        ("{}Seite", "{} page", False),
        ("Version: .", "The version: .", False),
        ("Größe: 3×5", "Size: 3×5 cm", False),
        ("a b", "c d", False),
        ("Wort " * 14, "word", True),
        ("Wort " * 15, "word", False),
        ("Wort", "word " * 15, False),
    ],
)
def test_sentences_are_told_from_codes(german, english, good):
    assert extraction.is_language(german, english) == good


def test_sentences_are_cut_into_three_letters_and_neither_case_nor_signs_count():
    assert extraction.grams("Ab, „Z{}“!") == {" ab", "ab ", "b z", " z "}
    assert extraction.grams("ab z") == extraction.grams("AB-Z.")


@pytest.mark.parametrize("side", [0, 1], ids=["German", "English"])
def test_near_copies_are_those_that_a_double_loop_finds(side):
    texts = [sentence[side] for sentence in message_pairs().held_out]
    expected = set()
    for j, other in enumerate(map(extraction.grams, texts)):
        for i, one in enumerate(map(extraction.grams, texts[:j])):
            if 5 * len(one & other) >= 3 * len(one | other):
                expected.add((i, j))
    found = list(extraction.near_copies(texts))
    assert len(found) == len(set(found)) > 7
    assert set(found) == expected


@pytest.mark.parametrize(("longer", "near"), [("abcdefghi", True), ("abcdefghij", False)])
def test_near_copies_share_at_least_three_fifths_of_their_pieces(longer, near):
    # They share 6 pieces of 10, and 6 of 11: "fg " is in the shorter alone.
    assert list(extraction.near_copies(["abcdefg", longer])) == ([(0, 1)] if near else [])


def test_near_copies_in_either_language_are_in_one_group_and_so_are_theirs():
    sentences = [
        ("Neues Bild jetzt löschen", "Delete new image"),
        ("Völlig anders", "Something else"),
        ("Neue Bilder jetzt löschen", "Remove all the pictures"),  # near the first in German
        ("Fotos entfernen", "Remove all pictures"),  # near the third in English
    ]
    assert extraction.group(sentences) == [0, 1, 0, 0]
    assert extraction.group(sentences[::-1]) == [0, 0, 1, 0]


def catalogue(*messages):
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    head += '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
    return "\n".join([head, *messages])


def test_catalogues_are_read_and_written_with_their_licences(tmp_path, capsys):
    plural = 'msgid "Page %d"\nmsgid_plural "Pages %d"\nmsgstr[0] "Meine Seite %d"\nmsgstr[1] "Meine Seiten %d"\n'
    files = {
        "p/locale/de/LC_MESSAGES/django.po": catalogue(
            'msgid "Locked at"\nmsgstr "Gesperrt"\n',
            'msgid "Not yet"\nmsgstr ""\n',
            '#, fuzzy\nmsgid "Guess"\nmsgstr "Vermutung"\n',
            'msgid "Url %x"\nmsgstr "Adresse %x"\n',
            plural,
        ),
        "q/locale/de/LC_MESSAGES/django.po": catalogue('msgid "Locked"\nmsgstr "Gesperrt"\n'),
        "r/locale/de/LC_MESSAGES/django.po": catalogue('msgid "Locked"\nmsgstr "Gesperrt"\n'),
        "p/locale/fr/LC_MESSAGES/django.po": catalogue('msgid "Page"\nmsgstr "Feuille"\n'),
        "thing-1.2.dist-info/licenses/LICENSE": "Copyright (c) Somebody\n",
    }
    wheel = tmp_path / "thing-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    extraction.main([wheel], tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == (
        "group\tGerman\tEnglish\n0\tGesperrt\tLocked\n"
        "1\tMeine Seite {}\tPage {}\n1\tMeine Seiten {}\tPages {}\n"
    )
    assert (
        (tmp_path / "out.LICENSE").read_text().endswith("\nthing 1.2\n\nCopyright (c) Somebody\n")
    )
    assert capsys.readouterr().out == "3 sentences in 2 groups\n"
