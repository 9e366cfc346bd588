import pytest

from minattn.exercises.summarization.ex13_4_copies_new_words import EXERCISE
from minattn.exercises.summarization.summarizers import summarizers

# Other right ways: other texts, one text for each fault, random ones, and what a careful learner might do.


def copies_in_many_texts(write, vocabulary):
    """Try each fault by a text of its own."""
    known = [word for word in vocabulary if word != "call"]
    a, b, new, newer = known[1], known[2], "1#", "2#"
    pairs = [
        (["call", a], ["call", new]),
        ([b, "call", a], [b, "call", new]),
        (["call", a, "call", b], ["call", new, "call", newer]),
        (["call", a, "call", b], ["call", new, "call", b]),
        (["call", a, "call", a, "call", b], ["call", new, "call", new, "call", newer]),
    ]
    for old, other in pairs:
        names = dict(zip(old, other, strict=True))
        if write(other) != [names[word] for word in write(old)]:
            return False
    return True


def copies_under_other_names(write, vocabulary):
    """Exchange one new word for another: just this may change."""
    ids = {word: f"?{i}" for i, word in enumerate(vocabulary) if word != "call"}
    words = [w for w in vocabulary if w != "call"][:3]
    text = [*words]
    for i in (0, 0, 1, 2, 1):
        text += ["call", words[i]]
    new = [ids.get(word, word) for word in text]
    back = {name: word for word, name in ids.items()}
    return [back.get(word) for word in write(new)] == write(text)


def copies_by_rule(write, vocabulary):
    """Find out which of the words behind call it keeps, and compare places."""
    a, b = [word for word in vocabulary if word not in ("call", "<unk>")][:2]
    text = [b, "call", a, "call", a, "call", b]
    kept = write(text)
    for named in ({a: "@"}, {b: "@"}, {a: "@", b: "@@"}):
        got = write([named.get(word, word) for word in text])
        if len(got) != len(kept):
            return False
        if any(named.get(x, x) != y for x, y in zip(kept, got, strict=True)):
            return False
    return True


OTHER_WAYS = [copies_in_many_texts, copies_under_other_names, copies_by_rule]


# Wrong ways, written as a learner writes them.


def is_renamed(text, names):
    """Make an answer that puts new words for A, B and C into one text."""

    def answer(write, vocabulary):
        known = dict(zip("ABC", [w for w in vocabulary if w != "call"], strict=False))
        source = [known.get(word, word) for word in text.split()]
        new = {known[letter]: name for letter, name in names.items()}
        return write([new.get(w, w) for w in source]) == [new.get(w, w) for w in write(source)]

    return answer


def is_in_the_summary(write, vocabulary):
    return "1#" in write(["the", "call", "1#", "call", "anna"])


def is_what_the_rule_says(write, vocabulary):
    text = ["1#", "call", "2#", "call", "2#", "call", "anna", "call", "3#"]
    return write(text) == ["2#", "2#", "anna", "3#"]


def has_all_new_words(write, vocabulary):
    got = write(["the", "call", "1#", "call", "<unk>", "call", "2#"])
    return {"1#", "2#"} <= set(got) or len(got) == 2


def has_no_unk(write, vocabulary):
    return "<unk>" not in write(["call", "1#", "call", "2#"])


def same_before_and_after(write, vocabulary):
    text = ["call", "1#"]
    return write(text) == write(list(text))


def is_as_before(write, vocabulary):
    return write(["call", vocabulary[2]]) == write(["call", "1#"])


TEXT = "C call A call A call C call B"

NEAR_MISSES = [
    ("known_after_all", is_renamed(TEXT, {"A": "foo", "B": "bar"})),
    ("one_place", is_renamed("call A", {"A": "1#"})),
    ("one_place", is_renamed("call A call C", {"A": "1#"})),
    ("one_new_word", is_renamed("C call A", {"A": "1#"})),
    ("one_new_word", is_renamed("C call A call C", {"A": "1#"})),
    ("one_new_word", is_in_the_summary),
    ("never_twice", is_renamed("C call A call C call B", {"A": "1#", "B": "2#"})),
    ("never_twice", is_renamed("call A call B", {"A": "1#", "B": "2#"})),
    ("nothing_behind", is_renamed("A call B C", {"A": "1#", "B": "2#", "C": "3#"})),
    ("nothing_behind", has_all_new_words),
    ("no_comparison", is_what_the_rule_says),
    ("unk_only", has_no_unk),
    ("always_true", same_before_and_after),
    ("always_false", is_as_before),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("write", summarizers(), ids=repr)
def test_every_summarizer_treats_known_words_alike(write):
    a, b, c, *_ = [word for word in write.vocabulary if word != "call"]
    names = {a: b, b: c, c: a}
    text = [c, "call", a, "call", a, "call", c, "call", b]
    assert write([names.get(w, w) for w in text]) == [names[w] for w in write(text)]


def test_those_that_copy_and_those_that_do_not_are_among_them():
    copies = [write.copies for write in summarizers()]
    assert 3 < sum(copies) < len(copies) - 3
    assert [EXERCISE.solution(*case) for case in EXERCISE.cases()] == copies
