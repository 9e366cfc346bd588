"""Pictures from words: the codebook, the sequences, guidance, and who asks which word."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.decoding import Cached, sample
from minattn.learning import Recipe, learn
from minattn.pictures.codebook import Codebook, learn_codebook, nearest, patches, usage
from minattn.pictures.drawing import (
    Guided,
    Language,
    best_of,
    draw_batches,
    drawing_loss,
    make_digit_clip,
    make_drawer,
    own_word_share,
    truth,
)
from minattn.recording import recording
from minattn.training import seeded
from minattn.translation import greedy

WORDS, CODES, CELLS = ("a", "one", "two"), 7, 6
CAPTIONS = [("a", "one"), ("a", "two")]


@pytest.fixture
def language():
    return Language(WORDS, CODES)


@pytest.fixture
def drawer(language):
    with seeded(1):
        return make_drawer(language, 3 + CELLS, d_model=8, n_heads=2).double().eval()


def pictures(seed=0, number=5, height=4, width=6):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (number, height, width, 1), generator=rng).to(torch.uint8)


@given(st.integers(0, 99))
def test_a_picture_of_typical_patches_comes_back(seed):
    book = learn_codebook(pictures(seed), 11, seed=seed)
    codes = torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(seed))
    shown = book.decode(codes, columns=3)
    assert shown.shape == (3, 4, 6, 1)
    cut = (patches(shown) * 255).round()
    torch.testing.assert_close(cut, (book.centres[codes] * 255).round())
    same = (book.centres[book.encode(shown)] * 255 - cut).abs().max()
    assert same <= 1  # two typical patches may be rounded to the same pixels


def test_patches_are_cut_row_by_row():
    one = pictures(number=1)
    cut = patches(one)[0] * 255
    for row in range(2):
        for column in range(3):
            there = one[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, 0]
            torch.testing.assert_close(cut[3 * row + column], there.flatten().double())


def test_every_code_is_used_and_each_centre_is_the_mean_of_its_own():
    known = pictures(number=40)
    book = learn_codebook(known, 23, rounds=60)
    codes, points = book.encode(known).flatten(), patches(known).flatten(0, 1)
    assert usage(codes[None], 23).in_use == 23
    for code in range(23):
        torch.testing.assert_close(book.centres[code], points[codes == code].mean(0))
    worse = learn_codebook(known, 23, rounds=1)
    assert nearest(points, book.centres)[1].mean() < nearest(points, worse.centres)[1].mean()


def test_a_code_without_patches_begins_anew():
    # From where it begins here, one of four codes has lost all its patches after a round.
    points = [[1, 3], [4, 6], [4, 7], [5, 0], [5, 1], [5, 2], [6, 2]]
    known = torch.tensor([[30 * x, 30 * y, 0, 0] for x, y in points], dtype=torch.uint8)
    known = known.view(-1, 2, 2, 1)
    assert usage(learn_codebook(known, 4).encode(known), 4).in_use == 4


def test_a_patch_counts_as_often_as_it_is_there():
    known = torch.tensor([0, 200, 200, 200], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 2, 2, 1)
    book = learn_codebook(known.contiguous(), 1)
    torch.testing.assert_close(book.centres, torch.full((1, 4), 150 / 255).double())


def test_a_codebook_depends_on_its_seed_alone():
    known = pictures(number=20)
    assert torch.equal(learn_codebook(known, 9).centres, learn_codebook(known, 9).centres)
    assert not torch.equal(
        learn_codebook(known, 9).centres, learn_codebook(known, 9, seed=1).centres
    )


def test_as_many_codes_as_patches_leave_nothing_out():
    known = pictures(number=2)
    n = len({tuple(one) for one in patches(known).flatten(0, 1).tolist()})
    book = learn_codebook(known, n)
    assert torch.equal(book.decode(book.encode(known), columns=3), known)
    with pytest.raises(ValueError, match=f"n_codes must be at most the {n}"):
        learn_codebook(known, n + 1)


@given(st.integers(1, 9))
def test_codes_used_alike_are_all_effective(n):
    found = usage(torch.arange(n).repeat(3)[None], 11)
    assert found.in_use == n and found.effective == pytest.approx(n)


def test_words_come_first_and_codes_have_the_last_ids(language):
    codes = torch.tensor([[0, 6, 1], [2, 3, 4]])
    found = language.sequences(CAPTIONS, codes)
    assert language.vocabulary.decode(found[0].tolist()) == ["a", "one", "|", "#0", "#6", "#1"]
    assert torch.equal(language.codes(found[:, 4:]), codes)
    assert language.vocabulary.decode(language.nothing(2, 2)[1].tolist()) == [
        *["anything"] * 2,
        "|",
    ]
    with pytest.raises(ValueError, match="one length"):
        language.prompts([("a",), ("a", "one")])
    with pytest.raises(ValueError, match="begin at"):
        language.codes(found)


def test_some_sequences_lose_their_words_and_nothing_else(language):
    codes = torch.arange(2 * CELLS).view(2, CELLS) % CODES
    how = Recipe(steps=20, batch_size=50, seed=3)
    drawn = torch.cat(list(draw_batches(language, CAPTIONS, codes, how, dropped=0.3)))
    known, empty = language.sequences(CAPTIONS, codes), language.nothing(1, 2)[0]
    lost = (drawn[:, :4] == empty).all(1)
    assert 0.25 < lost.double().mean() < 0.35
    assert all(bool((row == known).all(1).any()) for row in drawn[~lost])
    assert all(bool((row[4:] == known[:, 4:]).all(1).any()) for row in drawn[lost])
    assert torch.equal(
        known, language.sequences(CAPTIONS, codes)
    )  # those that are known keep theirs
    kept = torch.cat(list(draw_batches(language, CAPTIONS, codes, how, dropped=0.0)))
    assert not (kept[:, :4] == empty).all(1).any()
    again = torch.cat(list(draw_batches(language, CAPTIONS, codes, how, dropped=0.3)))
    assert torch.equal(drawn, again)


def test_the_loss_is_that_of_the_codes(language, drawer):
    sequences = language.sequences(CAPTIONS, torch.arange(2 * CELLS).view(2, CELLS) % CODES)
    log_probs = drawer(sequences[:, :1], sequences[:, :-1]).log_softmax(-1)
    nats = -log_probs.gather(-1, sequences[:, 1:, None])[..., 0]
    codes, words = nats[:, 3:], nats[:, :3]
    torch.testing.assert_close(drawing_loss(drawer, sequences, CODES), codes.mean())
    weighed = (codes.sum() + 0.5 * words.sum()) / (codes.numel() + 0.5 * words.numel())
    torch.testing.assert_close(drawing_loss(drawer, sequences, CODES, 0.5), weighed)


def test_a_prompt_and_the_whole_sequence_say_the_same(language, drawer):
    sequences = language.sequences(CAPTIONS, torch.arange(2 * CELLS).view(2, CELLS) % CODES)
    whole = drawer(sequences[:, :1], sequences[:, :-1])[:, 3:]
    prompted = drawer(sequences[:, :4], sequences[:, 3:-1])
    torch.testing.assert_close(whole, prompted)


@pytest.mark.parametrize("scale", [0, 1, 2.5])
def test_guidance_pushes_away_from_what_is_drawn_without_words(language, drawer, scale):
    prompts, empty = language.prompts(CAPTIONS), language.nothing(2, 2)
    codes = torch.tensor([[8, 9], [10, 11]])
    guided = Guided(drawer, language, scale)
    found = guided(prompts, torch.cat([prompts[:, -1:], codes], 1))
    told, nothing = (drawer(x, torch.cat([x[:, -1:], codes], 1)) for x in (prompts, empty))
    expected = (nothing + scale * (told - nothing))[..., language.first :]
    torch.testing.assert_close(found[..., language.first :], expected)
    assert (found[..., : language.first] == -math.inf).all()


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_written_are_codes(language, drawer, kept):
    model = Cached(drawer) if kept else drawer
    with seeded(5):
        found = sample(
            Guided(model, language, 3), language.prompts(CAPTIONS * 20), CELLS, temperature=2.0
        )
    assert found.shape == (40, CELLS) and language.codes(found).max() < CODES
    torch.testing.assert_close(
        greedy(Guided(drawer, language, 2), language.prompts(CAPTIONS), CELLS),
        greedy(Guided(Cached(drawer), language, 2), language.prompts(CAPTIONS), CELLS),
    )


def test_it_learns_what_words_mean(language):
    codes = torch.stack([torch.zeros(CELLS), torch.arange(CELLS)]).long()
    with seeded(2):
        model = make_drawer(language, 3 + CELLS, d_model=16, n_heads=2, dropout=0.0)
    how = Recipe(steps=80, batch_size=16, learning_rate=1e-2)
    learn(
        model,
        draw_batches(language, CAPTIONS, codes, how),
        lambda model, batch: drawing_loss(model, batch, CODES),
        how,
        progress=False,
    )
    drawn = greedy(Guided(model, language), language.prompts(CAPTIONS), CELLS)
    assert torch.equal(language.codes(drawn), codes)


@pytest.mark.parametrize("columns", [2, 4])
def test_the_right_word_is_the_one_that_names_the_half(language, columns):
    captions = [("one", "a", "two"), ("two", "a", "a"), ("two", "a", "one")]
    with pytest.raises(ValueError, match="as many things"):
        truth(language, language.sequences(captions, torch.zeros(3, 8).long()), WORDS[1:], columns)
    captions[1] = ("two", "two", "a")
    sequences = language.sequences(captions, torch.zeros(3, 8).long())
    found = truth(language, sequences, WORDS[1:], columns)
    named = [(1, 3), (1, 2), (1, 3)]
    for row, places in enumerate(named):
        for query in range(found.shape[1]):
            asks = query - 4  # the query at the stroke asks for the first code
            right = [] if asks < 0 else [places[asks % columns >= columns // 2]]
            assert found[row, query].nonzero().flatten().tolist() == right
    with pytest.raises(ValueError, match="divisor"):
        truth(language, sequences, WORDS[1:], 3)


def test_the_share_of_the_own_word(language):
    sequences = language.sequences([("one", "a", "two")] * 2, torch.zeros(2, 8).long())
    right = truth(language, sequences, WORDS[1:], 4)
    n = right.shape[-1]
    assert own_word_share(torch.full((2, 3, n, n), 1 / n), right) == 0.5
    assert own_word_share(right[:, None].double(), right) == 1
    wrong = torch.zeros(2, 1, n, n)
    wrong[..., 1], wrong[..., 3] = 0.6, 0.2  # the first name, whatever is asked
    assert own_word_share(wrong, right) == pytest.approx(0.5)


def test_weights_are_recorded_through_the_seam(language, drawer):
    sequences = language.sequences(CAPTIONS, torch.zeros(2, CELLS).long())
    with recording(drawer) as record:
        drawer(sequences[:, :1], sequences[:, :-1])
    weights = record.weights("decoder.blocks.0.self_attention")
    assert weights.shape == (2, 2, 3 + CELLS, 3 + CELLS)
    assert (weights.triu(1) == 0).all()


def test_the_best_is_the_one_that_fits():
    with seeded(3):
        clip = make_digit_clip(9).eval()
    shown, texts = pictures(number=10, height=8, width=8), torch.tensor([[3, 4, 5], [3, 4, 6]])
    scores = clip(shown, texts).detach()
    expected = [scores[:5, 0].argmax().item(), 5 + scores[5:, 1].argmax().item()]
    assert best_of(clip, shown, texts).tolist() == expected
    with pytest.raises(ValueError, match="as many pictures"):
        best_of(clip, shown[:9], texts)


def test_what_cannot_be(language, drawer):
    book = Codebook(torch.zeros(2, 4).double())
    with pytest.raises(ValueError, match="columns"):
        book.decode(torch.zeros(1, 6).long(), columns=4)
    with pytest.raises(ValueError, match="codes"):
        book.decode(torch.full((1, 4), 2))
    with pytest.raises(ValueError, match="even sides"):
        patches(torch.zeros(1, 3, 4, 1, dtype=torch.uint8))
    with pytest.raises(ValueError, match="a caption for each"):
        next(draw_batches(language, CAPTIONS, torch.zeros(3, 6).long(), Recipe(steps=1)))
    with pytest.raises(ValueError, match="dropped"):
        next(
            draw_batches(language, CAPTIONS, torch.zeros(2, 6).long(), Recipe(steps=1), dropped=1.0)
        )
    with pytest.raises(ValueError, match="word_weight"):
        drawing_loss(drawer, language.sequences(CAPTIONS, torch.zeros(2, 6).long()), CODES, -1)
    with pytest.raises(ValueError, match="scale"):
        Guided(drawer, language, math.inf)
