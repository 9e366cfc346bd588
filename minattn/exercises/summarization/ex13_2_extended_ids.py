"""Exercise 13.2: ids for words that the vocabulary does not have."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from minattn.exercises.exercise import Case, Exercise, Mistake

Words = Sequence[str]
Ids = list[int]
OfOne = Callable[[Words, Words, Mapping[str, int]], tuple[Ids, Ids]]
Batch = tuple[list[Ids], list[Ids]]

UNK = "<unk>"


def extended_ids(
    sources: Sequence[Words], targets: Sequence[Words], vocabulary: Mapping[str, int]
) -> Batch:
    """Give the new words of each source ids of their own, and use them in its target."""
    return _of_each(_ids())(sources, targets, vocabulary)


def _of_each(one: OfOne) -> Callable[..., Batch]:
    """Make an answer of what is done with one source and its target."""

    def answer(
        sources: Sequence[Words], targets: Sequence[Words], vocabulary: Mapping[str, int]
    ) -> Batch:
        pairs = [one(s, t, vocabulary) for s, t in zip(sources, targets, strict=True)]
        return [source for source, _ in pairs], [target for _, target in pairs]

    return answer


def _new(words: Words, vocabulary: Mapping[str, int]) -> list[str]:
    return [word for word in words if word not in vocabulary]


def _ids(
    *,
    order: Callable[[list[str]], Iterable[str]] = dict.fromkeys,
    in_source: bool = True,
    in_target: bool = True,
    invents: bool = False,
) -> OfOne:
    """Make a way to number the new words of one source.

    Args:
        order: takes the new words, each as often as it occurs, and puts them in order.
        in_source: whether the source has the new ids.
        in_target: whether the target has them.
        invents: whether new words of the target get further ids.
    """

    def one(source: Words, target: Words, vocabulary: Mapping[str, int]) -> tuple[Ids, Ids]:
        new = [*source, *target] if invents else source
        ordered = order(_new(new, vocabulary))
        ids = {word: len(vocabulary) + i for i, word in enumerate(ordered)}
        unk = vocabulary[UNK]

        def looked_up(words: Words, extended: bool) -> Ids:
            return [vocabulary.get(w, ids.get(w, unk) if extended else unk) for w in words]

        return looked_up(source, in_source), looked_up(target, in_target)

    return one


def _each_occurrence(keeps_first: bool) -> OfOne:
    """Make a way that gives each occurrence a new id; the target has the first or the last one."""

    def one(source: Words, target: Words, vocabulary: Mapping[str, int]) -> tuple[Ids, Ids]:
        ids, found = {}, []
        for word in source:
            if word in vocabulary:
                found.append(vocabulary[word])
                continue
            found.append(len(vocabulary) + sum(i >= len(vocabulary) for i in found))
            if not (keeps_first and word in ids):
                ids[word] = found[-1]
        unk = vocabulary[UNK]
        return found, [vocabulary.get(word, ids.get(word, unk)) for word in target]

    return one


def _by_place(own: bool) -> OfOne:
    """Make a way in which a new word's number is its place, its own or that of its first occurrence."""

    def one(source: Words, target: Words, vocabulary: Mapping[str, int]) -> tuple[Ids, Ids]:
        def at(i: int, word: str) -> int:
            return len(vocabulary) + (i if own else source.index(word))

        found = [vocabulary.get(word, at(i, word)) for i, word in enumerate(source)]
        ids = {word: len(vocabulary) + source.index(word) for word in source}
        return found, [vocabulary.get(word, ids.get(word, vocabulary[UNK])) for word in target]

    return one


def _target_anew(source: Words, target: Words, vocabulary: Mapping[str, int]) -> tuple[Ids, Ids]:
    numbered = _ids()
    return numbered(source, [], vocabulary)[0], numbered(target, [], vocabulary)[0]


def _target_anew_if_there(
    source: Words, target: Words, vocabulary: Mapping[str, int]
) -> tuple[Ids, Ids]:
    there = [word for word in target if word in source]
    return _ids()(source, [], vocabulary)[0], _ids()(there, target, vocabulary)[1]


def _id_0_lost(source: Words, target: Words, vocabulary: Mapping[str, int]) -> tuple[Ids, Ids]:
    """Take the word with the id 0 for a new one."""
    left = {word if i else "": i for word, i in vocabulary.items()}
    return _ids()(source, target, left)


def _one_for_all(
    sources: Sequence[Words], targets: Sequence[Words], vocabulary: Mapping[str, int]
) -> Batch:
    """Number the new words of all sources together."""
    everything = [word for source in sources for word in source]
    both = [_ids()(everything, words, vocabulary)[1] for words in [*sources, *targets]]
    return both[: len(sources)], both[len(sources) :]


def _one_after_another(
    sources: Sequence[Words], targets: Sequence[Words], vocabulary: Mapping[str, int]
) -> Batch:
    """Go on numbering in the next source; a target knows the words of the sources before it, too."""
    read, told, before = [], [], list[str]()
    for source, target in zip(sources, targets, strict=True):
        before += source
        read.append(_ids()(before, source, vocabulary)[1])
        told.append(_ids()(before, target, vocabulary)[1])
    return read, told


def _one_for_all_but_unk(
    sources: Sequence[Words], targets: Sequence[Words], vocabulary: Mapping[str, int]
) -> Batch:
    """Number the new words of all sources together; a target has those of its own only."""
    read, told = _one_for_all(sources, targets, vocabulary)
    unk = vocabulary[UNK]
    kept = [
        [i if i < len(vocabulary) or i in ids else unk for i in target]
        for ids, target in zip(read, told, strict=True)
    ]
    return read, kept


def _cases() -> list[Case]:
    small = {"<pad>": 0, UNK: 1, "the": 2, "file": 3, "open": 4}
    # The ids are 0 to 6, in no order, and "open" has the id 0.
    other = {"a": 5, UNK: 3, "open": 0, "call": 6, "list": 1, "from": 2, "name": 4}
    texts = [
        ("open the zip", "zip file"),
        ("load yaml the yaml tar the file", "open tar yaml"),
        ("open yaml call load open yaml from tar", "load a json name from tar"),
        ("open a list name", "call open xml"),
        ("zip from csv zip a zip call tar", "tar csv tar json zip open"),
    ]
    pairs = [(source.split(), target.split()) for source, target in texts]
    return [
        *(([s], [t], small) for s, t in pairs[:2]),
        ([pairs[2][0]], [pairs[2][1]], other),
        ([s for s, _ in pairs[1:4]], [t for _, t in pairs[1:4]], small),
        ([s for s, _ in pairs[2:]], [t for _, t in pairs[2:]], other),
    ]


def _by_count(words: list[str]) -> list[str]:
    return [word for word, _ in Counter(words).most_common()]


EXERCISE = Exercise(
    number="13.2",
    title="Ids for new words",
    solution=extended_ids,
    cases=_cases,
    mistakes=[
        Mistake(
            "new_id_each_time",
            _of_each(_each_occurrence(keeps_first=True)),
            "A new word that occurs twice has two ids. Then the attention to its two places is not added up. "
            "The same word has the same id: look whether it already has one.",
            also=[
                _of_each(_each_occurrence(keeps_first=False)),
                _of_each(_ids(order=list)),
            ],
        ),
        Mistake(
            "numbered_by_place",
            _of_each(_by_place(own=True)),
            "You number a new word by its place in the source, known words included. Count the new words "
            "alone: the first has the id len(vocabulary), the next one that number plus 1.",
            also=[_of_each(_by_place(own=False))],
        ),
        Mistake(
            "target_anew",
            _of_each(_target_anew),
            "The target has ids of its own. An id beyond the vocabulary means a word of this source, so the "
            "target must look its words up in what the source has numbered.",
            also=[_of_each(_target_anew_if_there)],
        ),
        Mistake(
            "target_invents",
            _of_each(_ids(invents=True)),
            "A word of the target that is neither known nor in its source has got an id. Nothing can write or "
            "copy it: its probability would be 0. Such a word is UNK.",
        ),
        Mistake(
            "all_unk",
            _of_each(_ids(in_source=False, in_target=False)),
            "New words of the source have become UNK. Then nobody can tell which one is meant. Only a word of "
            "the target may be UNK, if its source does not have it either.",
            also=[_of_each(_ids(in_target=False)), _of_each(_ids(in_source=False))],
        ),
        Mistake(
            "whole_batch",
            _one_for_all,
            "You number the new words of the whole batch together. Each source begins again at "
            "len(vocabulary), and its target knows the words of this source alone.",
            also=[_one_for_all_but_unk, _one_after_another],
        ),
        Mistake(
            "wrong_order",
            _of_each(_ids(order=lambda words: sorted(set(words)))),
            "The new words are numbered in another order. It is the one in which they first occur in the "
            "source. A set forgets it, a dict does not.",
            also=[
                _of_each(_ids(order=lambda words: dict.fromkeys(reversed(words)))),
                _of_each(_ids(order=_by_count)),
            ],
        ),
        Mistake(
            "id_0_lost",
            _of_each(_id_0_lost),
            "The known word with the id 0 counts as new. 0 is False in Python: ask `word in vocabulary`, not "
            "whether its id is true.",
        ),
    ],
)
