import pytest
from hypothesis import given
from hypothesis import strategies as st

from minattn.language.rouge import faithful, lead, most_similar, rouge

WORDS = st.lists(st.sampled_from("the cat sat on a Mat , - 1912".split()), max_size=9)


@pytest.mark.parametrize(
    ("summary", "reference", "expected"),  # the values of rouge-score 0.1.2, without stemming
    [
        (
            "the cat sat on the mat",
            "the cat was on the mat",
            (0.8333333333333334, 0.6, 0.8333333333333334),
        ),
        ("the the the", "the cat", (0.4, 0.0, 0.4)),
        ("police killed the gunman", "the gunman police killed", (1.0, 0.6666666666666666, 0.5)),
        ("Molvar , of Tisk", "Molvar from Tisk !", (0.6666666666666666, 0.0, 0.6666666666666666)),
    ],
)
def test_the_scores_are_those_of_the_package_that_everybody_uses(summary, reference, expected):
    assert rouge(summary.split(), reference.split()) == pytest.approx(expected, abs=1e-12)


@given(WORDS, WORDS)
def test_scores_are_shares_and_the_same_the_other_way_round(one, two):
    found = rouge(one, two)
    assert found == rouge(two, one)
    assert all(0 <= value <= 1 for value in found)
    assert found.longest <= found.one


@given(WORDS.filter(lambda words: sum(word not in ",-" for word in words) > 1))
def test_a_text_is_like_itself(words):
    assert rouge(words, words) == (1, 1, 1)


def test_nothing_scores_nothing():
    assert rouge([], ["a"]) == rouge(["a"], [","]) == (0, 0, 0)


def test_the_longest_row_may_have_gaps_but_keeps_the_order():
    assert rouge("a b c d".split(), "a x c d y".split()).longest == 2 * 3 / 9
    assert rouge("a b".split(), "b a".split()).longest == 0.5


def test_what_a_summary_invents_is_counted_and_ordinary_words_are_not():
    source = "in 1912 Molvar came".split()
    assert faithful("Molvar of Tisk , 1912".split(), source) == 2 / 4
    assert faithful("Molvar of Tisk , 1912".split(), source, {"of"}) == 2 / 3
    assert faithful(["of", ","], source, {"of"}) == 1


def test_the_lead_is_the_beginning():
    assert lead("a b c".split(), 2) == ["a", "b"]
    assert lead(["a"], 2) == ["a"]


def test_the_most_similar_text_shares_most_words_for_its_length():
    others = [["a", "x", "y"], ["a", "b"], ["a", "b"], list("abcdefgh")]
    assert most_similar(["a", "b", "c"], others) == 1


@pytest.mark.rejects
def test_a_lead_has_a_word_and_there_is_a_text_to_choose():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        lead(["a"], 0)
    with pytest.raises(ValueError, match="others must be at least 1, got 0"):
        most_similar(["a"], [])
