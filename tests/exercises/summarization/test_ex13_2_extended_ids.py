from itertools import count

from minattn.exercises.judging import judge
from minattn.exercises.summarization.ex13_2_extended_ids import EXERCISE

# Other right ways: loops, a default, lists to look up, and what a careful learner might do differently.


def ids_by_list(sources, targets, vocabulary):
    read, told = [], []
    for source, target in zip(sources, targets, strict=True):
        new = []
        for word in source:
            if word not in vocabulary and word not in new:
                new.append(word)
        every = sorted(vocabulary, key=vocabulary.get) + new
        read.append([every.index(word) for word in source])
        told.append([every.index(word if word in every else "<unk>") for word in target])
    return read, told


def ids_by_copy(sources, targets, vocabulary):
    """Write the new words into a copy of the vocabulary."""
    copies = []
    for source in sources:
        ids = dict(vocabulary)
        for word in source:
            ids.setdefault(word, len(ids))
        copies.append(ids)
    read = [[ids[word] for word in source] for ids, source in zip(copies, sources, strict=True)]
    pairs = zip(copies, targets, strict=True)
    return read, [[ids.get(word, ids["<unk>"]) for word in target] for ids, target in pairs]


def ids_by_counter(sources, targets, vocabulary):
    read, told = (), ()
    for source, target in zip(sources, targets, strict=True):
        free, new = count(len(vocabulary)), {}
        row = []
        for word in source:
            if word in vocabulary:
                row.append(vocabulary[word])
            elif word in new:
                row.append(new[word])
            else:
                new[word] = next(free)
                row.append(new[word])
        read += (tuple(row),)
        both = {**new, **vocabulary}
        told += (tuple(both[w] if w in both else vocabulary["<unk>"] for w in target),)
    return read, told


def ids_by_first_place(sources, targets, vocabulary):
    """Count the different new words before the first occurrence."""

    def number(word, source):
        if word in vocabulary:
            return vocabulary[word]
        if word not in source:
            return vocabulary["<unk>"]
        return len(vocabulary) + len(set(source[: source.index(word)]) - set(vocabulary))

    read = [[number(word, source) for word in source] for source in sources]
    pairs = zip(sources, targets, strict=True)
    return read, [[number(word, source) for word in target] for source, target in pairs]


OTHER_WAYS = [ids_by_list, ids_by_copy, ids_by_counter, ids_by_first_place]


# Wrong ways, written as a learner writes them.

RIGHT = """
def answer(sources, targets, vocabulary):
    read, told = [], []
    for source, target in zip(sources, targets):
        new = {}
        row = []
        for word in source:
            if word in vocabulary:
                row.append(vocabulary[word])
            else:
                if word not in new:
                    new[word] = len(vocabulary) + len(new)
                row.append(new[word])
        read.append(row)
        row = []
        for word in target:
            if word in vocabulary:
                row.append(vocabulary[word])
            else:
                row.append(new.get(word, vocabulary["<unk>"]))
        told.append(row)
    return read, told
"""


def changed(*pairs):
    text = RIGHT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {}
    exec(text, names)
    return names["answer"]


CLEARED = "        read.append(row)\n        row = []"
LOOKED_UP = 'new.get(word, vocabulary["<unk>"])'
INVENTED = "new.setdefault(word, len(vocabulary) + len(new))"
ONE_BY_ONE = """new[word] = len(vocabulary) + n
                n += 1"""

NEAR_MISSES = [
    (
        "whole_batch",
        changed(("        new = {}\n", ""), ("told = [], []", "told, new = [], [], {}")),
    ),
    (
        "new_id_each_time",
        changed(
            ("new = {}", "new, n = {}, 0"),
            ("if word not in new:\n", "if True:\n"),
            ("new[word] = len(vocabulary) + len(new)", ONE_BY_ONE),
        ),
    ),
    ("all_unk", changed(("row.append(new[word])", 'row.append(vocabulary["<unk>"])'))),
    ("all_unk", changed((LOOKED_UP, 'vocabulary["<unk>"]'))),
    ("target_invents", changed((LOOKED_UP, INVENTED))),
    (
        "target_anew",
        changed((CLEARED, CLEARED + "\n        new = {}"), (LOOKED_UP, INVENTED)),
    ),
    ("id_0_lost", changed(("if word in vocabulary:", "if vocabulary.get(word):"))),
    ("numbered_by_place", changed(("+ len(new)", "+ source.index(word)"))),
]


# What is said, and what the checker is tried on.


def test_new_words_written_into_the_vocabulary_are_told():
    def answer(sources, targets, vocabulary):
        read, told = EXERCISE.solution(sources, targets, vocabulary)
        for source in sources:
            for word in source:
                vocabulary.setdefault(word, len(vocabulary))
        return read, told

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_sources_repeat_new_words_and_targets_have_each_kind():
    for *_, vocabulary in EXERCISE.cases():
        assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    sources, targets, vocabulary = EXERCISE.cases()[-1]
    new = [[word for word in source if word not in vocabulary] for source in sources]
    assert any(len(words) > len(set(words)) for words in new)
    kinds = {
        (word in vocabulary, word in source)
        for source, target in zip(sources, targets, strict=True)
        for word in target
    }
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_the_first_case_by_hand():
    (sources, targets, vocabulary), *_ = EXERCISE.cases()
    assert (sources, targets) == ([["open", "the", "zip"]], [["zip", "file"]])
    assert EXERCISE.solution(sources, targets, vocabulary) == ([[4, 2, 5]], [[5, 3]])
