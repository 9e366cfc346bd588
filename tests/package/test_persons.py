import hashlib
import json
import lzma
import re
from importlib import resources
from itertools import combinations

import pytest

from book.tools import persons as extraction
from minattn.tasks.persons import persons, word_counts

FOLDER = resources.files("minattn.tasks")
TASK = persons()
PARTS = {"train": TASK.train, "validation": TASK.validation, "test": TASK.held_out}
HEADLINE = re.compile(
    r"(.+) , ([a-z]+) from (.+) , (lived (\d{3,4}) to (\d{3,4})|born in (\d{3,4}))"
)
NOTICE = "  1 This software is free.  \n  2   \n  3 Copyright (c) Somebody\n"
ENTRY = "09000000 18 n 03 Molvar 0 Ada_Molvar 0 Ada_Lovely_Molvar 0 001 @i 1 n 0000 | {}\n"


def family(one):
    return " ".join(one.target).split(" , ")[0].split()[-1]


def test_the_file_is_the_one_that_everything_was_measured_on():
    packed = FOLDER.joinpath("persons.json.xz").read_bytes()
    assert len(packed) <= 150_000
    assert hashlib.sha256(lzma.decompress(packed)).hexdigest()[:16] == "ade3911791856c4b"


@pytest.mark.parametrize(("one", "other"), list(combinations(PARTS, 2)))
def test_no_two_parts_have_a_family_name_in_common(one, other):
    found = [{family(example) for example in PARTS[part]} for part in (one, other)]
    assert min(map(len, found)) > 200
    assert not found[0] & found[1]


@pytest.mark.parametrize("part", PARTS)
def test_every_headline_has_name_job_country_and_years_that_belong_to_its_text(part):
    assert len(set(PARTS[part])) == len(PARTS[part])
    for one in PARTS[part]:
        text = " ".join(one.source)
        name, job, country, _, *years = HEADLINE.fullmatch(" ".join(one.target)).groups()
        assert name in text.partition(" : ")[0].split(" , ")
        assert job in one.source
        assert any(word in text for word in extraction.COUNTRIES[country].split(","))
        assert all(year in one.source for year in years if year)
        assert len(one.source) <= 70


def test_the_alignment_leads_to_the_same_word():
    for one in TASK.train:
        for word, place in zip(one.target, one.alignment, strict=True):
            assert place is None or one.source[place] == word


def test_the_vocabulary_has_the_commonest_words_of_what_is_learned_from():
    small = persons(n_words=7)
    counts = word_counts(small.train)
    kept = small.source.tokens[4:]
    assert len(kept) == 7
    assert min(counts[word] for word in kept) >= max(
        count for word, count in counts.items() if word not in kept
    )


def test_most_names_of_the_test_are_in_no_vocabulary():
    unknown = [family(one) not in TASK.source for one in TASK.held_out]
    assert sum(unknown) / len(unknown) > 0.9


@pytest.mark.rejects
def test_a_vocabulary_without_a_word_is_refused():
    with pytest.raises(ValueError, match="n_words must be at least 1, got 0"):
        persons(0)


@pytest.mark.parametrize(
    ("definition", "headline"),
    [
        ("Scottish poet and painter (1728-1792)", "poet from Scotland , lived 1728 to 1792"),
        ("United States singer (born in Italy in 1900) (born in 1931)", "born in 1931"),
        (
            "a Danish author; once a baker (circa 805 - 875)",
            "author from Denmark , lived 805 to 875",
        ),
        ("New Zealand poet (1900-1950)", None),
        ("French baker (1900-1950)", None),
        ("French queen who met a poet (1900-1950)", None),
        ("French poet", None),
        ("French poet " + "very " * 70 + "(1900-1950)", None),
    ],
)
def test_a_headline_is_made_where_everything_is_found(definition, headline):
    ((names, text),) = extraction.entries(ENTRY.format(definition).splitlines())
    found = extraction.person(names, text)
    if headline is None:
        assert found is None
    else:
        assert found.headline.startswith("Ada Molvar , ")
        assert found.headline.endswith(headline)
        assert found.text.startswith("Molvar , Ada Molvar , Ada Lovely Molvar : ")
        assert found.family_name == "Molvar"


@pytest.mark.parametrize(
    "line", ["  1 a | French poet (1-2)", ENTRY.replace("@i", "@"), ENTRY.replace(" 18 n", " 17 n")]
)
def test_only_people_who_lived_are_read(line):
    assert not list(extraction.entries([line.format("French poet (1900-1950)")]))


def test_what_was_said_by_them_is_left_out():
    ((_, text),) = extraction.entries([ENTRY.format('poet; "a line"; "another" (1-2)')])
    assert text == "poet (1-2)"


def test_a_split_keeps_family_names_together_and_nobody_twice():
    people = [
        extraction.Person(f"{i}", f"{first} N{i} , poet") for i in range(50) for first in ("A", "B")
    ]
    parts = extraction.split([*people, *people])
    assert sorted(map(len, parts.values())) == [12, 12, 76]
    assert sorted(one for part in parts.values() for one in part) == sorted(people)
    families = [{one.family_name for one in part} for part in parts.values()]
    assert not any(a & b for a, b in combinations(families, 2))


def test_a_file_is_read_and_people_are_written_with_the_licence(tmp_path, capsys):
    nouns = tmp_path / "data.noun"
    nouns.write_text(NOTICE + ENTRY.format("French poet (1900-1950)"), encoding="utf-8")
    extraction.main(nouns, tmp_path / "out.json.xz")
    found = json.loads(lzma.decompress((tmp_path / "out.json.xz").read_bytes()))
    assert found["train"][0][1] == "Ada Molvar , poet from France , lived 1900 to 1950"
    licence = (tmp_path / "persons.LICENSE").read_text(encoding="utf-8")
    assert licence.endswith("\n\nThis software is free.\n\nCopyright (c) Somebody\n")
    assert capsys.readouterr().out == "1 train, 0 validation, 0 test\n"


def test_the_licence_of_wordnet_lies_beside_the_people():
    words = " ".join(FOLDER.joinpath("persons.LICENSE").read_text(encoding="utf-8").split())
    for clause in [
        "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.",
        "Permission to use, copy, modify and distribute this software and database",
        "Title to copyright in this software, database and any associated documentation",
    ]:
        assert clause in words
