import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.vocabulary import (
    BOS,
    EOS,
    PAD,
    SPECIALS,
    Batch,
    Pair,
    Vocabulary,
    make_batch,
    pad,
    token_mask,
)

GERMAN = Vocabulary(["drei", "und", "zwanzig", "sieben", "hundert"])
ENGLISH = Vocabulary(["twenty", "three", "seven"])
PAIRS = [
    Pair(["drei", "und", "zwanzig"], ["twenty", "three"]),
    Pair(["sieben"], ["seven"]),
    Pair(["drei", "hundert", "und", "sieben"], ["three"]),
]
sentences = st.lists(st.sampled_from(GERMAN.tokens[3:]), min_size=1, max_size=6)
ids = st.lists(st.integers(3, 50), min_size=1, max_size=7)


def test_the_special_tokens_have_their_ids_in_every_vocabulary():
    assert (PAD, BOS, EOS) == (0, 1, 2)
    assert GERMAN.tokens[:3] == ENGLISH.tokens[:3] == SPECIALS


def test_tokens_keep_their_order_and_duplicates_are_kept_once():
    vocabulary = Vocabulary(["b", "a", "b", "c", "a"])
    assert vocabulary.tokens == (*SPECIALS, "b", "a", "c")
    assert len(vocabulary) == 6
    assert vocabulary.encode(["c", "a", "b"]) == [5, 4, 3]


def test_a_vocabulary_knows_what_it_contains():
    assert "und" in GERMAN
    assert "<eos>" in GERMAN
    assert "and" not in GERMAN
    assert repr(GERMAN) == "Vocabulary(8 tokens: drei und zwanzig sieben ...)"


@given(sentences)
def test_decode_undoes_encode(sentence):
    assert GERMAN.decode(GERMAN.encode(sentence)) == sentence


@given(sentences, sentences)
def test_decode_stops_at_the_first_end_and_leaves_out_the_frame(sentence, rest):
    assert (
        GERMAN.decode([BOS, *GERMAN.encode(sentence), EOS, *GERMAN.encode(rest), EOS]) == sentence
    )
    assert GERMAN.decode([*GERMAN.encode(sentence), PAD, PAD]) == sentence


def test_decode_keeps_special_tokens_that_a_model_should_not_have_said():
    drei, und = GERMAN.encode(["drei", "und"])
    assert GERMAN.decode([drei, PAD, und, BOS, EOS]) == ["drei", "<pad>", "und", "<bos>"]


@given(st.lists(ids, min_size=1, max_size=5))
def test_padding_fills_a_rectangle_at_the_end(sequences):
    width = max(map(len, sequences))
    expected = [sequence + [PAD] * (width - len(sequence)) for sequence in sequences]
    assert pad(sequences).dtype == torch.int64
    assert pad(sequences).tolist() == expected


@given(st.lists(ids, min_size=1, max_size=5))
def test_the_token_mask_is_true_for_tokens_and_false_for_padding(sequences):
    mask = token_mask(pad(sequences))
    width = max(map(len, sequences))
    assert mask.tolist() == [[i < len(s) for i in range(width)] for s in sequences]


def test_a_batch_has_the_target_twice_shifted_by_one():
    batch = make_batch(PAIRS, GERMAN, ENGLISH)
    assert batch.source.tolist() == [[3, 4, 5, EOS, 0], [6, EOS, 0, 0, 0], [3, 7, 4, 6, EOS]]
    assert batch.target_in.tolist() == [[BOS, 3, 4], [BOS, 5, 0], [BOS, 4, 0]]
    assert batch.target_out.tolist() == [[3, 4, EOS], [5, EOS, 0], [4, EOS, 0]]
    assert len(batch) == 3


@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=4))
def test_what_the_model_answers_is_what_it_reads_next(pairs):
    batch = make_batch([Pair(*pair) for pair in pairs], GERMAN, GERMAN)
    for read, answer, (_, target) in zip(batch.target_in, batch.target_out, pairs, strict=True):
        n = len(target)
        assert read[0] == BOS
        assert torch.equal(read[1 : n + 1], answer[:n])
        assert answer[n] == EOS


@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=5), st.data())
def test_selected_rows_are_the_batch_that_these_pairs_alone_would_make(pairs, data):
    pairs = [Pair(*pair) for pair in pairs]
    rows = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=5))
    batch = make_batch(pairs, GERMAN, GERMAN)
    selected = batch.select(torch.tensor(rows))
    alone = make_batch([pairs[row] for row in rows], GERMAN, GERMAN)
    assert torch.equal(selected.source, alone.source)
    assert torch.equal(selected.target_in, alone.target_in)
    assert torch.equal(selected.target_out, alone.target_out)


def test_a_batch_cannot_be_changed_by_assignment():
    batch = make_batch(PAIRS, GERMAN, ENGLISH)
    with pytest.raises(AttributeError):
        batch.source = batch.target_in
    assert isinstance(batch, Batch)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "at least one token, got none"),
        (["drei", ""], "non-empty string .* got ''"),
        (["drei", "<eos>"], "none of .* got '<eos>'"),
    ],
)
def test_a_vocabulary_rejects(tokens, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens)


@pytest.mark.rejects
def test_an_unknown_token_is_named():
    with pytest.raises(ValueError, match="vocabulary of 8 tokens, got 'vier'"):
        GERMAN.encode(["drei", "vier", "elf"])


@pytest.mark.rejects
def test_a_string_is_not_taken_for_a_list_of_tokens():
    with pytest.raises(ValueError, match="list of tokens, got the string 'drei'; split it first"):
        GERMAN.encode("drei")


@pytest.mark.rejects
@pytest.mark.parametrize("index", [-1, 8])
def test_an_id_outside_the_vocabulary_is_named(index):
    with pytest.raises(ValueError, match=rf"in 0\.\.7, got {index}"):
        GERMAN.decode([3, index])


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "at least one sequence, got none"),
        ([[3], []], "at least one id, got length 0 in row 1"),
    ],
)
def test_padding_rejects(sequences, message):
    with pytest.raises(ValueError, match=message):
        pad(sequences)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "at least one sequence, got none"),
        ([PAIRS[0], Pair([], ["three"])], "at least one token, got length 0 as source of pair 1"),
        ([Pair(["drei"], [])], "at least one token, got length 0 as target of pair 0"),
        ([Pair(["drei"], ["drei"])], "vocabulary of 6 tokens, got 'drei'"),
    ],
)
def test_a_batch_rejects(pairs, message):
    with pytest.raises(ValueError, match=message):
        make_batch(pairs, GERMAN, ENGLISH)


# Read once, and held to be what it says


@pytest.mark.rejects
def test_iterators_are_read_once():
    vocabulary = Vocabulary(token for token in ["a", "b", "a"])
    assert vocabulary.tokens[3:] == ("a", "b")
    assert vocabulary.encode(token for token in ["b", "a"]) == [4, 3]
    assert vocabulary.decode(index for index in [BOS, 4, 3, EOS]) == ["b", "a"]
    assert pad(iter(row) for row in [[5, 6], [7]]).tolist() == [[5, 6], [7, 0]]
    pairs = [Pair(("drei", "und"), ("three",)), Pair(("und",), ("twenty", "three"))]
    lazy = (Pair(iter(pair.source), iter(pair.target)) for pair in pairs)
    one, other = make_batch(lazy, GERMAN, ENGLISH), make_batch(pairs, GERMAN, ENGLISH)
    assert torch.equal(one.source, other.source)
    assert torch.equal(one.target_in, other.target_in)
    assert torch.equal(one.target_out, other.target_out)


def test_tensors_and_numpys_numbers_are_ids(unchecked):
    assert GERMAN.decode(torch.tensor([3, 4, EOS])) == ["drei", "und"]
    assert GERMAN.decode(np.array([3, 4])) == ["drei", "und"]
    assert pad([np.array([3, 4]), torch.tensor([5])]).tolist() == [[3, 4], [5, 0]]


def test_padding_before_the_end_of_a_sequence_was_said():
    assert GERMAN.decode([3, PAD, EOS]) == ["drei", "<pad>"]
    assert GERMAN.decode([PAD, EOS, PAD]) == ["<pad>"]
    assert GERMAN.decode([3, PAD, PAD]) == ["drei"]


@pytest.mark.rejects
@pytest.mark.parametrize(
    "ids",
    [
        [3.0],
        [math.nan],
        [True],
        ["3"],
        [None],
        [[3]],
        "34",
        torch.tensor([3.0]),
        torch.tensor([True]),
        np.array([3.5]),
        [torch.tensor(True)],
    ],
    ids=repr,
)
def test_ids_that_are_no_whole_numbers_are_rejected(ids):
    for call in (lambda: GERMAN.decode(ids), lambda: pad([ids])):
        with pytest.raises(TypeError, match="an id must be a whole number, got "):
            call()


@pytest.mark.rejects
def test_an_id_below_zero_is_not_padded():
    with pytest.raises(ValueError, match="an id must be at least 0, got -1"):
        pad([[3, -1]])


@pytest.mark.rejects
@pytest.mark.parametrize("token", [7, None, b"a", ["a"], math.nan], ids=repr)
def test_a_token_that_is_no_string_is_named(token):
    with pytest.raises(TypeError, match=r"a token is a non-empty string .* of type"):
        Vocabulary(["a", token])
    with pytest.raises(ValueError, match="every token must be in the vocabulary of 8 tokens, got"):
        GERMAN.encode(["drei", token])


@pytest.mark.rejects
@pytest.mark.parametrize("special", SPECIALS)
def test_a_sentence_with_a_special_token_is_rejected(special):
    for side, pair in (
        ("source", Pair(("drei", special), ("three",))),
        ("target", Pair(("drei",), ("three", special))),
    ):
        with pytest.raises(
            ValueError, match=f"special tokens, got '{special}' in {side} of pair 1"
        ):
            make_batch([PAIRS[0], pair], GERMAN, ENGLISH)


@pytest.mark.rejects
@pytest.mark.parametrize("ids", [[[3, 0]], np.array([[3, 0]]), torch.tensor([[3.0, 0.0]])])
def test_a_mask_is_made_of_a_tensor_of_ids_only(ids):
    with pytest.raises(TypeError, match=r"ids must be (a tensor|whole numbers), got"):
        token_mask(ids)


@pytest.mark.rejects
@pytest.mark.parametrize("n", [0, -1, math.nan, 1.5])
def test_a_batch_is_cut_into_at_least_one_part(n):
    with pytest.raises(ValueError, match="n must be "):
        make_batch(PAIRS, GERMAN, ENGLISH).parts(n)
