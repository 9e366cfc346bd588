import json
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minattn.subwords import START, Subwords, cut_task, join, learn_subwords, split_words
from minattn.tasks.messages import message_pairs

# Few different letters, so that many pairs occur equally often and stand in a row.
dense = st.lists(st.text("ab c", max_size=20), min_size=1, max_size=7)
dull = st.lists(st.text("a", max_size=23), min_size=1, max_size=5)
prose = st.text("abÄß09 _.,-„“{}'", max_size=30)
lines = st.text(st.characters(blacklist_characters=START, blacklist_categories=["Cs"]), max_size=30)


def reference_join(pieces, pair):
    """Go from the left with an index, and step over two pieces where the pair is found."""
    out, i = [], 0
    while i < len(pieces):
        width = 2 if tuple(pieces[i : i + 2]) == pair else 1
        out.append("".join(pieces[i : i + width]))
        i += width
    return out


def reference_merges(texts, n_merges):
    """Count all pairs of all words anew for every merge."""
    words = [list(word) for text in texts for word in split_words(text)]
    known = sorted({START, *(letter for word in words for letter in word)})
    merges = []
    while len(merges) < n_merges:
        total = Counter(pair for word in words for pair in pairwise(word))
        if not total:
            break
        most = max(total.values())
        _, best = min(
            ((known.index(a), known.index(b)), (a, b)) for (a, b), n in total.items() if n == most
        )
        merges.append(best)
        if "".join(best) not in known:
            known.append("".join(best))
        words = [reference_join(word, best) for word in words]
    return tuple(merges)


def reference_encode(merges, text):
    """Join all pairs in the order in which they were learned."""
    out = []
    for word in split_words(text):
        pieces = list(word)
        for pair in merges:
            pieces = reference_join(pieces, pair)
        out += pieces
    return out


def library(pieces, texts, n_merges):
    """Learn with the library *tokenizers* from words that are split already."""
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.Split("\n", "removed")
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=len(pieces.alphabet) + n_merges,
        initial_alphabet=list(pieces.alphabet),
        show_progress=False,
    )
    model.train_from_iterator(["\n".join(split_words(text)) for text in texts], trainer)
    return model


def library_merges(model):
    return tuple(map(tuple, json.loads(model.to_str())["model"]["merges"]))


def library_encode(model, text):
    return model.encode("\n".join(split_words(text))).tokens


@pytest.mark.parametrize("side", [0, 1], ids=["German", "English"])
def test_messages_are_learned_and_cut_as_by_the_library_tokenizers(side):
    train, held_out = message_pairs()
    texts = [sentence[side] for sentence in train]
    alphabet = {letter for pair in train + held_out for text in pair for letter in text} - {" "}
    pieces = learn_subwords(texts, 400, alphabet)
    model = library(pieces, texts, 400)
    assert pieces.merges == library_merges(model)
    for text in [*texts, *(sentence[side] for sentence in held_out)]:
        assert pieces.encode(text) == library_encode(model, text)


@given(dense | dull, st.integers(1, 23), st.text("ab c", max_size=20))
def test_whatever_is_learned_is_learned_as_by_the_library_tokenizers(texts, n_merges, other):
    pieces = learn_subwords(texts, n_merges, "abc")
    model = library(pieces, texts, n_merges)
    assert pieces.merges == library_merges(model)
    for text in [*texts, other]:
        assert pieces.encode(text) == library_encode(model, text)


@given(dense | dull, st.integers(1, 23), st.text("ab c", max_size=20))
def test_counting_only_what_changes_is_counting_everything_anew(texts, n_merges, other):
    pieces = learn_subwords(texts, n_merges, "abc")
    assert pieces.merges == reference_merges(texts, n_merges)
    for text in [*texts, other]:
        assert pieces.encode(text) == reference_encode(pieces.merges, text)


@given(dense | dull, st.integers(1, 23), st.integers(1, 23))
def test_a_longer_run_begins_as_a_shorter_one(texts, n, more):
    short, long = learn_subwords(texts, n), learn_subwords(texts, n + more)
    assert short.merges == long.merges[:n]
    assert short.alphabet == long.alphabet


def test_a_text_is_learned_by_hand():
    # ▁aab twice, ▁ab once: (a, b) 3 times; then (▁, a) and (a, ab) twice; of these ▁a has the younger first piece.
    pieces = learn_subwords(["aab aab ab"], 3)
    assert pieces.alphabet == ("a", "b", START)
    assert pieces.merges == (("a", "b"), ("a", "ab"), (START, "aab"))
    assert pieces.tokens == ("a", "b", "▁", "ab", "aab", "▁aab")
    assert pieces.encode("ab aab b") == ["▁", "ab", "▁aab", "▁", "b"]


@pytest.mark.parametrize(
    ("text", "merge"),
    [
        ("ab cd", ("a", "b")),  # both pieces decide; all pairs occur once
        ("ba ab", ("a", "b")),
        ("xac yab", ("a", "b")),  # the second piece decides
        ("ba ca ca", ("c", "a")),  # the count comes before the age
    ],
)
def test_of_pairs_that_occur_equally_often_the_older_pieces_are_joined(text, merge):
    assert learn_subwords([text], 1).merges == (merge,)


def test_the_age_of_a_piece_is_not_its_place_in_the_alphabet():
    # Once joined, bc is younger than d, though it stands before it in a dictionary.
    merges = learn_subwords(["!bc !bc !bcd !dd"], 9).merges
    assert merges == ((START, "!"), ("b", "c"), ("d", "d"), ("bc", "d"))


def test_pairs_are_counted_within_words_and_as_often_as_the_word_occurs():
    assert learn_subwords(["a! b", "a! b", "ab"], 9).merges == (
        (START, "a"),
        (START, "b"),
        ("▁a", "b"),
    )


def test_learning_stops_when_no_pair_is_left():
    pieces = learn_subwords(["ab", "ab c"], n_merges=1000)
    assert pieces.merges == (("a", "b"), (START, "ab"), (START, "c"))
    assert pieces.encode("ab c") == ["▁ab", "▁c"]
    assert learn_subwords([], 5) == Subwords((START,), ())
    assert learn_subwords(["  "], 5).merges == ()


@given(dense)
def test_with_enough_merges_every_word_is_one_piece(texts):
    pieces = learn_subwords(texts, 1000)
    for text in texts:
        assert pieces.encode(text) == split_words(text)


@given(dense | dull, st.integers(1, 40))
def test_every_merge_makes_a_new_piece_and_nothing_else_is_ever_said(texts, n_merges):
    pieces = learn_subwords(texts, n_merges)
    made = tuple(a + b for a, b in pieces.merges)
    assert pieces.tokens == pieces.alphabet + made
    assert len(set(pieces.tokens)) == len(pieces.tokens)
    for text in texts:
        assert set(pieces.encode(text)) <= set(pieces.tokens)


def test_two_merges_that_make_the_same_piece_make_one_token():
    pieces = Subwords(("a", "b", "c"), (("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")))
    assert pieces.tokens == ("a", "b", "c", "ab", "bc", "abc")


@given(prose, st.integers(1, 7))
def test_pieces_put_together_again_are_the_text(text, n_merges):
    pieces = learn_subwords(["ab.  „{}“ ß0_9, a", "Äb-'a"], n_merges)
    assert pieces.decode(pieces.encode(text)) == text


@given(lines)
def test_any_text_comes_back(text):
    pieces = learn_subwords([text], 3)
    assert pieces.decode(pieces.encode(text)) == text


@pytest.mark.parametrize(
    "text", ["", " ", "  ab ", "\tab\n", "\u00a0ab\u2003", "e\u0301", "\u0301 a", "ab  c", "\u2029"]
)
def test_no_blank_and_no_accent_is_lost_at_the_ends(text):
    pieces = learn_subwords([text, "ab"], 3)
    assert pieces.decode(pieces.encode(text)) == text


@given(lines)
def test_words_are_the_whole_text_and_a_mark_stands_only_at_their_beginning(text):
    words = split_words(text)
    assert "".join(words) == (START + text).replace(" ", START)
    assert all(words)
    assert not any(START in word[1:] for word in words)
    for word in words:
        plain = [c for c in word.lstrip(START) if unicodedata.category(c)[0] != "M"]
        assert len({letter == "_" or letter.isalnum() for letter in plain}) <= 1


@given(st.text("ab\u0301\u0939\u094d\ufe0f! ", max_size=20) | lines)
def test_a_combining_sign_goes_with_what_it_stands_on(text):
    assert not any(unicodedata.category(word[0])[0] == "M" for word in split_words(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["▁"]),
        ("ab", ["▁ab"]),
        ("ab  c", ["▁ab", "▁", "▁c"]),
        (" ab ", ["▁", "▁ab", "▁"]),
        ("E-Mail: {}.", ["▁E", "-", "Mail", ":", "▁{}."]),
        ("„{}“ a_1", ["▁„{}“", "▁a_1"]),
        ("a\tb\nc", ["▁a", "\t", "b", "\n", "c"]),
        ("cafe\u0301s!", ["▁cafe\u0301s", "!"]),  # an accent of its own
        ("\u0939\u093f\u0928\u094d\u0926\u0940 x", ["▁\u0939\u093f\u0928\u094d\u0926\u0940", "▁x"]),
        ("a\u2764\ufe0fb", ["▁a", "\u2764\ufe0f", "b"]),  # of a sign, not of a letter
        ("a \u0301b", ["▁a", "▁\u0301", "b"]),  # of a blank
    ],
)
def test_texts_are_cut_at_blanks_and_between_letters_and_signs(text, words):
    assert split_words(text) == words


def test_a_text_beside_a_mark_of_its_own_would_be_another_text():
    pieces = Subwords(("a", "b", START), ())
    assert pieces.decode(["▁", "a", "▁", "b"]) == "a b"


def test_pieces_that_no_text_has_are_put_together_too():
    pieces = learn_subwords(["ab"], 1)
    assert pieces.decode([]) == ""
    assert pieces.decode(["b", "▁", "▁a", "b"]) == "b  ab"


@given(st.lists(st.sampled_from("aab"), max_size=13), st.sampled_from(["aa", "ab", "ba"]))
def test_joining_is_the_loop_with_an_index(pieces, pair):
    before = list(pieces)
    assert join(pieces, tuple(pair)) == reference_join(pieces, tuple(pair))
    assert pieces == before


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["a"] * 3, ["aa", "a"]),
        (["a"] * 4, ["aa", "aa"]),
        (["b", "a", "a", "a", "a", "a"], ["b", "aa", "aa", "a"]),
        (["aa", "a", "a"], ["aa", "aa"]),
        (["a", "aa", "a"], ["a", "aa", "a"]),
        (["a"], ["a"]),
        ([], []),
    ],
)
def test_a_pair_is_joined_from_the_left_and_what_is_made_is_not_joined_again(pieces, joined):
    assert join(pieces, ("a", "a")) == joined


def test_a_given_alphabet_is_known_beside_the_letters_of_the_texts():
    plain, wider = learn_subwords(["ba"], 1), learn_subwords(["ba"], 1, alphabet="zaÄ")
    assert plain.alphabet == ("a", "b", START)
    assert wider.alphabet == ("a", "b", "z", "Ä", START)
    assert wider.encode("zÄ") == ["▁", "z", "Ä"]


def test_the_order_of_texts_and_alphabet_changes_nothing():
    texts = ["ab ab", "cab", "bca bc"]
    assert learn_subwords(texts, 7, "xyz") == learn_subwords(texts[::-1], 7, iter("zyx"))


@pytest.mark.rejects
def test_a_character_that_is_not_in_the_alphabet_is_named():
    pieces = learn_subwords(["ab"], 1, "ß")
    for text, character in [("aXb", "X"), ("a!", "!"), ("a\n", r"\\n"), ("bß ä", "ä")]:
        with pytest.raises(ValueError, match=f"in the alphabet of 4, got '{character}'"):
            pieces.encode(text)


@pytest.mark.rejects
@pytest.mark.parametrize("n_merges", [0, -3])
def test_no_merges_are_rejected(n_merges):
    with pytest.raises(ValueError, match=f"n_merges must be at least 1, got {n_merges}"):
        learn_subwords(["ab"], n_merges)


@pytest.mark.rejects
def test_the_mark_of_a_word_in_a_text_is_rejected():
    pieces = Subwords(("a", "b", START), ())
    for call in (
        lambda: split_words("a▁b"),
        lambda: pieces.encode("a▁b"),
        lambda: learn_subwords(["a▁b"], 1),
    ):
        with pytest.raises(
            ValueError, match=r"must not hold '▁', which stands for a blank .* 'a▁b'"
        ):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize("text", [None, 7, b"ab", ["ab"]])
def test_what_is_no_text_is_not_cut(text):
    pieces = Subwords(("a", "b", START), ())
    for call in (
        lambda: split_words(text),
        lambda: pieces.encode(text),
        lambda: learn_subwords([text], 1),
    ):
        with pytest.raises(TypeError, match="a text must be a string, got "):
            call()


@pytest.mark.rejects
def test_one_string_is_not_taken_for_several_texts():
    with pytest.raises(TypeError, match="several texts, got the string 'ab ab'"):
        learn_subwords("ab ab", 1)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("alphabet", "merges", "error", "message"),
    [
        (["ab"], [], ValueError, "single characters, got 'ab'"),
        ([""], [], ValueError, "single characters, got ''"),
        ([7], [], TypeError, "a character must be a string, got 7 of type int"),
        (["a"], [("a",)], ValueError, r"pair of pieces, got \('a',\)"),
        (["a"], [("a", "")], ValueError, r"pair of pieces, got \('a', ''\)"),
        (["a"], [("a", 1)], TypeError, "a merge must be a string, got 1 of type int"),
    ],
)
def test_subwords_of_other_things_are_rejected(alphabet, merges, error, message):
    with pytest.raises(error, match=message):
        Subwords(alphabet, merges)


@pytest.mark.rejects
def test_pieces_that_are_no_strings_are_not_put_together():
    with pytest.raises(TypeError, match="a piece must be a string, got 3 of type int"):
        Subwords(("a", START), ()).decode(["a", 3])


@pytest.mark.rejects
@pytest.mark.parametrize("n_merges", [1.5, float("nan"), True])
def test_a_number_of_merges_that_is_not_whole_is_rejected(n_merges):
    with pytest.raises((ValueError, TypeError), match="n_merges must be a whole number"):
        learn_subwords(["ab"], n_merges)


@pytest.mark.rejects  # iterators and lists are no tuples for the checker
def test_iterators_and_lists_are_read_once_and_kept():
    pieces = Subwords(iter(["a", "b", START]), iter([["a", "b"]]))
    assert pieces == Subwords(("a", "b", START), (("a", "b"),))
    assert pieces.encode("ab ba") == pieces.encode("ab ba") == ["▁", "ab", "▁", "b", "a"]
    assert pieces.decode(iter(["▁", "ab"])) == "ab"
    assert join(iter(["a", "b", "a"]), ["a", "b"]) == ["ab", "a"]
    assert learn_subwords(iter(["ab", "ab"]), 1, iter("xy")) == learn_subwords(["ab"] * 2, 1, "xy")
    sentences = [("ab", "ba"), ("a", "b")]
    task = cut_task("cut", iter(sentences), iter(sentences), pieces, pieces)
    assert [example.source for example in task.train] == [("▁", "ab"), ("▁", "a")]
    assert task.held_out == task.train
