"""Short texts made by rule, about people and places whose names nobody has ever heard, and a headline for each.

    the baker Pomvek had stayed in Dulg since 1804 . in 1912 the painter Molvar from Tisk moved to Orbane .
    -> art : Molvar of Tisk moves to Orbane , 1912

A headline names who, from where, to where and when, so these words can be copied. Its first word and its verb are to
be found by what a text means: a painter belongs to art, "moved to" and "left for" are both "moves to".
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product

from minattn.checks import check_sizes, check_whole
from minattn.tasks.base import Example
from minattn.tasks.summaries import SummaryTask, summary_vocabulary
from minattn.vocabulary import Vocabulary

FIELDS = {
    "art": ("painter", "sculptor"),
    "food": ("baker", "cook"),
    "health": ("surgeon", "nurse"),
    "land": ("farmer", "shepherd"),
    "school": ("teacher", "tutor"),
    "sea": ("sailor", "captain"),
}
"""The first word of a headline, and the jobs that it stands for."""

EVENTS = {
    "moves to": ("moved to", "left for"),
    "opens shop in": ("opened a shop in", "began to trade in"),
    "buys house in": ("bought a house in", "paid for a house in"),
    "weds in": ("was married in", "had a wedding in"),
    "dies in": ("died in", "was buried in"),
}
"""What a headline says, and what a text says for it."""

FACTS = (
    "in {year} the {job} {name} from {home} {event} {place} .",
    "the {job} {name} from {home} {event} {place} in {year} .",
    "{name} , a {job} from {home} , {event} {place} in {year} .",
    "{year} : {name} of {home} , a {job} , {event} {place} .",
    "it was in {year} that {name} , the {job} from {home} , {event} {place} .",
    "from {home} came the {job} {name} , who {event} {place} in {year} .",
)
"""What is to be told, in six orders."""

BESIDE = (
    "the {job} {other} had stayed in {there} since {then} .",
    "nobody in {there} knew {other} , a {job} .",
    "snow fell on {there} in {then} .",
    "{name} had a sister , {other} .",
    "{home} lies near {there} , and {there} near {elsewhere} .",
    "{other} the {job} wrote to {name} from {there} .",
)
"""What is to be left out."""

HEADLINE = "{field} : {name} of {home} {event} {place} , {year}"

YEARS = 1700, 1999
N_COMMON = 60
"""Names that many texts to learn from have; these are in the vocabulary."""

_JOBS = {job: name for name, jobs in FIELDS.items() for job in jobs}
_EVENTS = {text: headline for headline, texts in EVENTS.items() for text in texts}
_SYLLABLES = tuple(map("".join, product("bdfgklmnprstvz", "aeiou", ("", "l", "n", "r", "s", "k"))))


def fact_example(names: Iterator[str], rng: random.Random) -> Example:
    """Make one text of two or three sentences, of which one is to be told, and its headline.

    Args:
        names: where the names of people and places come from, all different; nine are taken at most.
        rng: where all else comes from.
    """
    found = {"job": rng.choice(list(_JOBS)), "event": rng.choice(list(_EVENTS))}
    found |= {slot: next(names) for slot in ("name", "home", "place")}
    found["year"], *others = map(str, rng.sample(range(YEARS[0], YEARS[1] + 1), 3))
    told = found | {"field": _JOBS[found["job"]], "event": _EVENTS[found["event"]]}
    sentences = [rng.choice(FACTS).format(**found)]
    for pattern in rng.sample(BESIDE, rng.choice((1, 2))):
        beside = found | {"job": rng.choice(list(_JOBS)), "then": others.pop()}
        beside |= {slot: next(names) for slot in ("other", "there", "elsewhere")}
        sentences.append(pattern.format(**beside))
    rng.shuffle(sentences)
    text = tuple(" ".join(sentences).split())
    headline = tuple(HEADLINE.format(**told).split())
    copied = {found[slot] for slot in ("name", "home", "place", "year")}
    alignment = tuple(text.index(word) if word in copied else None for word in headline)
    return Example(text, headline, alignment, length=len(sentences))


def facts(
    n_train: int = 3000, n_validation: int = 300, n_held_out: int = 1000, seed: int = 0
) -> SummaryTask:
    """Make texts to learn from, to choose by and to be tested on; the names of each part have syllables of their own.

    In texts to learn from, half of the names are common ones, which are in the vocabulary, and the others are new in
    every text. In the other texts all names are new.

    Raises:
        ValueError: if a count is below 1 or the seed below 0.

    >>> task = facts(n_train=100, n_validation=10, n_held_out=10)
    >>> " ".join(task.held_out[3].source)
    'the shepherd Katok from Nusak left for Zekan in 1954 . snow fell on Segurges in 1952 .'
    >>> " ".join(task.held_out[3].target)
    'land : Katok of Nusak moves to Zekan , 1954'
    """
    check_sizes(n_train=n_train, n_validation=n_validation, n_held_out=n_held_out)
    check_whole(0, seed=seed)
    rng = random.Random(int(seed))
    syllables = rng.sample(_SYLLABLES, len(_SYLLABLES))
    to_learn, to_choose, to_test = (_new_names(syllables[part::3], rng) for part in range(3))
    common = list(islice(to_learn, N_COMMON))
    return SummaryTask(
        "facts",
        vocabulary := fact_vocabulary(common),
        vocabulary,
        train=tuple(fact_example(_mixed(common, to_learn, rng), rng) for _ in range(n_train)),
        held_out=tuple(fact_example(to_test, rng) for _ in range(n_held_out)),
        validation=tuple(fact_example(to_choose, rng) for _ in range(n_validation)),
    )


def fact_vocabulary(common: Iterable[str]) -> Vocabulary:
    """Gather the words of all patterns, the years, and common names."""
    words = " ".join((*FACTS, *BESIDE, HEADLINE, *_JOBS, *FIELDS, *_EVENTS, *EVENTS)).split()
    ordinary = (word for word in words if not word.startswith("{"))
    return summary_vocabulary([*ordinary, *map(str, range(YEARS[0], YEARS[1] + 1)), *common])


def _new_names(syllables: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Make names of two or three syllables, none of them twice."""
    made: set[str] = set()
    while True:
        name = "".join(rng.choices(syllables, k=rng.choice((2, 2, 3)))).capitalize()
        if name not in made:
            made.add(name)
            yield name


def _mixed(common: Sequence[str], new: Iterator[str], rng: random.Random) -> Iterator[str]:
    """Take a common name or a new one, each as likely, and none twice."""
    for name in rng.sample(common, len(common)):
        yield name if rng.random() < 0.5 else next(new)
