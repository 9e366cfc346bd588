"""Extract what WordNet says of people who lived, and make a headline for each of them by rule.

WordNet 3.0 may be copied and changed for any purpose if its notice is kept. It is not needed to build or to test the
book: what comes out is stored in minattn/tasks/persons.json.xz, with the licence beside it. To do it again, take the
file data.noun of WordNet 3.0 (in the package wordnet-base of Debian, say):

    python -m book.tools.persons data.noun
"""

import json
import lzma
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "persons.json.xz"
PERSON = 18
"""The number that WordNet has for files of nouns which denote people."""
LONGEST = 70
SHARE = 0.12
"""Of the family names, which are kept for validation; as many are kept for the test."""

COUNTRIES = {
    "the United States": "United States,American",
    "Argentina": "Argentine",
    "Australia": "Australian",
    "Austria": "Austrian",
    "Belgium": "Belgian",
    "Bohemia": "Czech",
    "Britain": "British",
    "Canada": "Canadian",
    "Chile": "Chilean",
    "China": "Chinese",
    "Denmark": "Danish",
    "Egypt": "Egyptian",
    "England": "English",
    "Finland": "Finnish",
    "Flanders": "Flemish",
    "France": "French",
    "Germany": "German",
    "Greece": "Greek",
    "Hungary": "Hungarian",
    "India": "Indian",
    "Ireland": "Irish",
    "Israel": "Israeli",
    "Italy": "Italian",
    "Japan": "Japanese",
    "Mexico": "Mexican",
    "the Netherlands": "Dutch",
    "Norway": "Norwegian",
    "Poland": "Polish",
    "Portugal": "Portuguese",
    "Rome": "Roman",
    "Russia": "Russian,Soviet",
    "Scotland": "Scottish",
    "South Africa": "South African",
    "Spain": "Spanish",
    "Sweden": "Swedish",
    "Switzerland": "Swiss",
    "Turkey": "Turkish",
    "Wales": "Welsh",
}
"""What a headline says, and the words that say so in a definition."""

JOBS = frozenset(
    "abolitionist actor actress admiral anarchist anatomist anthropologist archaeologist "
    "architect artist astronaut astronomer author aviator bacteriologist biochemist "
    "biologist botanist businessman cartoonist cellist chemist choreographer clergyman "
    "comedian composer conductor critic dancer diplomat dramatist economist editor "
    "educator engineer essayist evangelist explorer filmmaker financier frontiersman "
    "general geneticist geographer geologist golfer guitarist historian humorist "
    "industrialist inventor journalist jurist lawyer lexicographer linguist logician "
    "mathematician missionary musician mystic naturalist navigator neurologist novelist "
    "organist painter pathologist philanthropist philologist philosopher photographer "
    "physician physicist physiologist pianist pioneer playwright poet politician printer "
    "prizefighter psychiatrist psychoanalyst psychologist publisher reformer satirist "
    "scholar scientist sculptor singer sociologist soldier soprano statesman suffragist "
    "surgeon tenor theologian trumpeter violinist writer zoologist".split()
)

_MEANS = {word: country for country, words in COUNTRIES.items() for word in words.split(",")}
_WORDS = "|".join(sorted(_MEANS, key=len, reverse=True))
_FROM = re.compile(rf"(?:\w+ |[\w-]+ and )?({_WORDS})(?: |-born)")
_ABOUT = r"(?:born in |born |circa |c\. |about )?"
_LIVED = re.compile(rf"\({_ABOUT}(\d{{3,4}})\s*-\s*(?:circa )?(\d{{3,4}})\)")
_BORN = re.compile(r"\(born (?:in )?(\d{4})\)|\((?:circa )?(\d{3,4})\s*-\s*\)")
_END = re.compile(r"\(|;| who | noted ")
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Person(NamedTuple):
    """A text about a person and its headline, as tokens with blanks between them."""

    text: str
    headline: str

    @property
    def family_name(self) -> str:
        """The last word of the name in the headline."""
        return self.headline.split(" , ")[0].split()[-1]


def entries(lines: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yield names and definition of everybody who has one entry of their own in a file of nouns."""
    for line in lines:
        if line.startswith("  "):  # the notice at the beginning
            continue
        data, _, definition = line.partition("|")
        fields = data.split()
        n_names = int(fields[3], 16)
        names = [fields[4 + 2 * i].replace("_", " ") for i in range(n_names)]
        if int(fields[1]) == PERSON and "@i" in fields:  # an instance, not a kind of person
            yield names, re.sub(r'; "[^"]*"', "", definition.strip())


def person(names: list[str], definition: str) -> Person | None:
    """Make a text and a headline; None if name, job, country and years are not all found."""
    lived, born = _LIVED.search(definition), _BORN.search(definition)
    found = _FROM.match(definition)
    if found is None or (lived is None and born is None):
        return None
    begin = definition[found.start(1) :]
    jobs = [word for word in re.findall(r"[a-z]+", _END.split(begin)[0]) if word in JOBS]
    if not jobs:
        return None
    if lived:
        years = f"lived {lived[1]} to {lived[2]}"
    else:
        assert born is not None
        years = f"born in {born[1] or born[2]}"
    name = names[1] if len(names) > 1 and " " in names[1] else names[0]
    text = _tokens(f"{' , '.join(names)} : {definition}")[:LONGEST]
    headline = _tokens(f"{name} , {jobs[0]} from {_MEANS[found[1]]} , {years}")
    if not {word for word in headline if word.isdigit()} <= set(text):
        return None  # the text was cut before the years
    return Person(" ".join(text), " ".join(headline))


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def split(people: Iterable[Person], seed: int = 0) -> dict[str, list[Person]]:
    """Share people out by family names, so that none stands in two parts."""
    people = list(dict.fromkeys(people))
    names = sorted({one.family_name for one in people})
    random.Random(seed).shuffle(names)
    cut = round(SHARE * len(names))
    part_of = dict.fromkeys(names, "train")
    part_of |= dict.fromkeys(names[:cut], "validation") | dict.fromkeys(
        names[cut : 2 * cut], "test"
    )
    parts: dict[str, list[Person]] = {"train": [], "validation": [], "test": []}
    for one in people:
        parts[part_of[one.family_name]].append(one)
    return parts


def notice(lines: Iterable[str]) -> str:
    """Say where the people come from, and under which licence: it stands at the beginning of the file."""
    licence = [line.strip().partition(" ")[2] for line in lines if line.startswith("  ")]
    return (
        "The people in persons.json.xz come from the definitions in WordNet 3.0, and stay under its licence. They\n"
        "were chosen and changed: quotations were left out, long definitions cut, and headlines made by rule. The\n"
        "authors of WordNet have nothing to do with this package.\n\n"
        + "\n".join(licence).strip()
        + "\n"
    )


def main(path: Path, out: Path = OUT) -> None:
    """Write the people and the licence."""
    lines = path.read_text(encoding="utf-8", errors="ignore").splitlines()
    made = (person(names, definition) for names, definition in entries(lines))
    parts = split(one for one in made if one is not None)
    out.write_bytes(lzma.compress(json.dumps(parts).encode(), preset=9))
    out.with_name("persons.LICENSE").write_text(notice(lines), encoding="utf-8")
    print(", ".join(f"{len(people)} {part}" for part, people in parts.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
