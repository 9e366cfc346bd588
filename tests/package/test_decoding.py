import copy
import itertools
import math
import sys
from collections import Counter
from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from minattn.decoding import (
    Beams,
    Cached,
    beam_search,
    keep_top_k,
    keep_top_p,
    length_penalty,
    log_probability,
    sample,
)
from minattn.dot_product import fused_attend
from minattn.multihead import MultiHeadAttention
from minattn.positions import LearnedPositions, with_rotary
from minattn.recurrent import RecurrentTranslator
from minattn.training import seeded
from minattn.transformer import (
    BlockTranslator,
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    PromptTranslator,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)
from minattn.translation import Memory, Translator, greedy
from minattn.vocabulary import BOS, EOS, PAD, pad, token_mask
from tests.package.strategies import EXACT, ROUNDING, Phrasebook, built, normal

A, B = 3, 4
# Batch 3, source 5, target 7; heads are 2 wide.
SOURCES = [[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]]
TARGETS = [[1, 8, 4, 3, 5, 6, 9], [1, 4], [1, 3, 3, 7]]
SOURCE, TARGET = pad(SOURCES), pad(TARGETS)
TINY = {"rtol": 1e-12, "atol": 1e-12}
"""The same sums in the same order, but for the shape of a matrix: some units in the last of 16 digits."""


def lively(make, seed=0):
    """Make a model that is sure of itself: every weight is drawn anew, and none is small."""

    def redrawn():
        model = make()
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.5)
        return model

    return built(redrawn, seed).eval()


def well_spoken(model, readout):
    """Let a model end now and then, and say no BOS and no PAD, as it would learn."""
    shift = torch.zeros(readout.out_features, dtype=torch.float64)
    shift[EOS] = 2.0
    shift[[PAD, BOS]] = -math.inf
    readout.register_forward_hook(lambda _, inputs, logits: logits + shift)
    return model


def transformer(seed=0, vocab_size=11, positions=None, **settings):
    sizes = {"d_model": 10, "n_heads": 5, "d_ff": 7, "n_layers": 2}

    def make():
        return TransformerTranslator(13, vocab_size, positions=positions, **{**sizes, **settings})

    model = lively(make, seed)
    return well_spoken(model, model.readout)


def recurrent(seed=0, vocab_size=11):
    model = lively(
        lambda: RecurrentTranslator(13, vocab_size, d_model=10, attend=fused_attend), seed
    )
    return well_spoken(model, model.out_proj)


MODELS = {
    "transformer": transformer,
    "cached": lambda *sizes: Cached(transformer(*sizes)),
    "recurrent": recurrent,
}
models = pytest.mark.parametrize("kind", MODELS)


class Chain(Translator):
    """A translator whose next token depends on nothing but the token before it, by a table."""

    def __init__(self, table, vocab_size):
        super().__init__()
        # After the end it goes on talking, as a trained model would: whoever listens must stop.
        rows = torch.full((vocab_size, vocab_size), 1.0, dtype=torch.float64)
        for token, probabilities in table.items():
            rows[token] = 0.0
            for after, probability in probabilities.items():
                rows[token, after] = probability
        self.logits = rows.log()

    def encode(self, source):
        return Memory(source[..., None].double(), token_mask(source))

    def start(self, memory):
        return ()

    def step(self, token, state, memory):
        return self.logits[token], state


# The likeliest first token leads to nothing likely.
GARDEN_PATH = Chain(
    {
        BOS: {A: 0.6, B: 0.4},
        A: {A: 0.4, B: 0.25, EOS: 0.35},
        B: {A: 0.1, EOS: 0.9},
    },
    vocab_size=5,
)


def reference_penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def reference_search(model, source, max_length, n_beams, alpha):
    """Search for the targets of one sentence with lists; with None for the beams, try all targets there are."""

    def score(way):
        target, log_prob = way
        return log_prob / reference_penalty(len(target), alpha)

    kept = [((), 0.0)]
    for _ in range(max_length):
        ways = []
        for target, log_prob in kept:
            if target[-1:] == (EOS,):
                ways.append((target, log_prob))
                continue
            logits = model(torch.tensor([source]), torch.tensor([[BOS, *target]]))[0, -1]
            for token, more in enumerate(logits.log_softmax(-1).tolist()):
                if more > -math.inf:
                    ways.append(((*target, token), log_prob + more))
        kept = sorted(ways, key=score, reverse=True)[:n_beams]
    return [(target, log_prob, score((target, log_prob))) for target, log_prob in kept]


def assert_found(beams, row, expected):
    """Hold what was found for one source to a list of targets, log probabilities and scores."""
    targets, log_probs, scores = zip(*expected, strict=True)
    longest = beams.ids.shape[-1]
    assert beams.ids[row].tolist() == [[*t, *[PAD] * (longest - len(t))] for t in targets]
    assert_close(beams.log_probs[row], torch.tensor(log_probs, dtype=torch.float64), **ROUNDING)
    assert_close(beams.scores[row], torch.tensor(scores, dtype=torch.float64), **ROUNDING)


def length(ids):
    """Count the tokens of a target, with its EOS if it has one."""
    return ids.index(EOS) + 1 if EOS in ids else len(ids)


# The length penalty


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
def test_the_length_penalty_is_the_formula_and_one_token_has_none(alpha):
    lengths = torch.tensor([[1, 2, 3], [5, 11, 97]]).double()
    expected = [[reference_penalty(n, alpha) for n in row] for row in lengths.tolist()]
    penalty = length_penalty(lengths, alpha)
    assert_close(penalty, torch.tensor(expected, dtype=torch.float64), **ROUNDING)
    assert penalty[0, 0] == 1.0
    assert bool((penalty == 1.0).all()) == (alpha == 0.0)


# Beam search


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 3.0])
@models
def test_with_as_many_beams_as_targets_all_are_found_in_order(kind, alpha):
    # Two words: 1 + 2 + 4 + 8 targets that end within 4 tokens, and 16 that are cut.
    model = MODELS[kind](0, 5)
    beams = beam_search(model, SOURCE, max_length=4, n_beams=31, alpha=alpha)
    assert beams.ids.shape == (3, 31, 4)
    for row, source in enumerate(SOURCES):
        expected = reference_search(model, source, 4, None, alpha)
        assert len(expected) == 31
        assert_found(beams, row, expected)
    # Every target is one of them.
    assert_close(beams.log_probs.exp().sum(1), torch.ones(3, dtype=torch.float64), **ROUNDING)


@pytest.mark.parametrize(("n_beams", "alpha"), [(1, 0.6), (2, 0.0), (2, 1.0), (3, 0.6), (5, 3.0)])
@models
def test_a_few_beams_are_the_loop_over_lists(kind, n_beams, alpha):
    endings = set()
    for seed in range(2):
        model = MODELS[kind](seed)
        beams = beam_search(model, SOURCE, max_length=5, n_beams=n_beams, alpha=alpha)
        for row, source in enumerate(SOURCES):
            assert_found(beams, row, reference_search(model, source, 5, n_beams, alpha))
        endings |= {length(ids) for ids in beams.ids.flatten(0, 1).tolist()}
    assert len(endings) > 1  # or this test would not see what happens after the end


@models
def test_a_larger_alpha_makes_targets_longer(kind):
    # So it is when nothing is dropped: a longer target gains more from a larger alpha.
    gained = 0
    for seed in range(5):
        model = MODELS[kind](seed, 5)
        winners = [
            beam_search(model, SOURCE, 4, n_beams=31, alpha=alpha).best for alpha in (0.0, 1.0, 9.0)
        ]
        lengths = [[length(ids) for ids in best.tolist()] for best in winners]
        for short, middle, long in zip(*lengths, strict=True):
            assert short <= middle <= long
            gained += long > short
    assert gained > 0


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@models
def test_one_beam_is_greedy(kind, alpha):
    longest = set()
    for seed in range(10):
        model = MODELS[kind](seed)
        expected = greedy(model, SOURCE, 7)
        beams = beam_search(model, SOURCE, 7, n_beams=1, alpha=alpha)
        assert torch.equal(beams.ids[:, 0], expected)
        assert torch.equal(beams.best, expected)
        longest.add(expected.shape[1])
    assert len(longest) > 1


def test_two_beams_leave_the_garden_path():
    assert greedy(GARDEN_PATH, SOURCE[:1], 2).tolist() == [[A, A]]
    beams = beam_search(GARDEN_PATH, SOURCE[:1], 2, n_beams=2)
    assert beams.ids.tolist() == [[[B, EOS], [A, A]]]
    found = torch.tensor([[0.36, 0.24]], dtype=torch.float64)
    assert_close(beams.log_probs.exp(), found, **ROUNDING)
    assert_close(beams.scores, beams.log_probs, **EXACT)


def test_a_finished_target_keeps_its_place_and_pays_nothing_for_padding():
    beams = beam_search(GARDEN_PATH, SOURCE[:1], 4, n_beams=2, alpha=1.0)
    assert beams.ids.tolist() == [[[B, EOS, PAD, PAD], [A, A, A, A]]]
    found = torch.tensor([[0.36, 0.6 * 0.4**3]], dtype=torch.float64)
    assert_close(beams.log_probs.exp(), found, **ROUNDING)
    penalty = torch.tensor([[7 / 6, 9 / 6]], dtype=torch.float64)
    assert_close(beams.scores, found.log() / penalty, **ROUNDING)


def test_a_finished_target_is_dropped_when_something_better_comes():
    # After two steps the two kept are "B A" (0.76) and "A EOS" (0.13); both ways on from the first are better.
    chain = Chain({BOS: {A: 0.24, B: 0.76}, A: {EOS: 0.55, B: 0.45}, B: {A: 1.0}}, vocab_size=5)
    beams = beam_search(chain, SOURCE[:1], 3, n_beams=2)
    assert beams.ids.tolist() == [[[B, A, EOS], [B, A, B]]]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@models
def test_within_two_tokens_wider_beams_never_find_worse(kind, alpha):
    # The first tokens that few beams keep are among those that more keep. Later this is not so.
    gained = 0
    for seed in range(10):
        model = MODELS[kind](seed)
        best = [
            beam_search(model, SOURCE, 2, n_beams=n, alpha=alpha).scores[:, 0] for n in range(1, 10)
        ]
        for fewer, more in itertools.pairwise(best):
            assert bool((more >= fewer - 1e-12).all())
        gained += int((best[-1] > best[0] + 1e-12).sum())
    assert gained > 0


@models
@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    max_length=st.integers(1, 7),
    n_beams=st.integers(1, 9),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 3.0]),
)
def test_beams_are_different_targets_in_order_with_their_probabilities(
    kind, seed, max_length, n_beams, alpha
):
    model = MODELS[kind](seed)
    ids, log_probs, scores, counts = beam_search(
        model, SOURCE, max_length, n_beams=n_beams, alpha=alpha
    )
    assert ids.shape[:2] == log_probs.shape == scores.shape == counts.shape == (3, n_beams)
    assert ids.dtype == counts.dtype == torch.int64
    assert 1 <= ids.shape[2] <= max_length
    assert bool((scores[:, :-1] >= scores[:, 1:]).all())
    for row in ids.tolist():
        assert len({tuple(target) for target in row}) == n_beams
        for target in row:
            n = length(target)
            assert all(token > EOS for token in target[: n - 1])
            assert target[n - 1] == EOS or n == max_length
            assert target[n:] == [PAD] * (ids.shape[2] - n)
    for beam in range(n_beams):
        assert_close(log_probs[:, beam], log_probability(model, SOURCE, ids[:, beam]), **ROUNDING)
    lengths = [[length(target) for target in row] for row in ids.tolist()]
    assert counts.tolist() == lengths
    penalty = log_probs.new_tensor([[reference_penalty(n, alpha) for n in row] for row in lengths])
    assert_close(scores, log_probs / penalty, **ROUNDING)


@pytest.mark.parametrize("n_beams", [1, 3])
@models
def test_a_search_for_a_source_alone_is_the_search_in_its_batch(kind, n_beams):
    model = MODELS[kind](3)
    wider = torch.cat([SOURCE, torch.full((3, 2), PAD)], dim=1)
    together = beam_search(model, wider, 7, n_beams=n_beams, alpha=0.6)
    for row, source in enumerate(SOURCES):
        alone = beam_search(model, torch.tensor([source]), 7, n_beams=n_beams, alpha=0.6)
        longest = alone.ids.shape[2]
        assert torch.equal(alone.ids[0], together.ids[row, :, :longest])
        assert bool((together.ids[row, :, longest:] == PAD).all())
        assert_close(alone.log_probs[0], together.log_probs[row], **ROUNDING)
        assert_close(alone.scores[0], together.scores[row], **ROUNDING)


def test_a_search_ends_with_the_longest_of_all_targets():
    phrasebook = Phrasebook({(5, 9, 3, 10): (4,), (7,): (3, 6, 5)}, vocab_size=7)
    beams = beam_search(phrasebook, SOURCE, n_beams=1)
    assert beams.ids.tolist() == [[[4, EOS, PAD, PAD]], [[3, 6, 5, EOS]], [[EOS, PAD, PAD, PAD]]]
    assert phrasebook.read[0] == [BOS] * 3
    assert len(phrasebook.read) == 4


def test_four_beams_are_kept_unless_told_otherwise_and_ranked_by_probability():
    model = transformer()
    usual = beam_search(model, SOURCE)
    told = beam_search(model, SOURCE, 50, n_beams=4, alpha=0.0)
    for one, other in zip(usual, told, strict=True):
        assert_close(one, other, **EXACT)


def test_decoding_stops_after_fifty_tokens_unless_told_otherwise():
    endless = Chain({BOS: {A: 1.0}, A: {A: 0.5, B: 0.5}, B: {A: 1.0}}, vocab_size=5)
    assert beam_search(endless, SOURCE).ids.shape == (3, 4, 50)
    assert sample(endless, SOURCE).shape == (3, 50)


def test_the_best_targets_have_no_more_padding_than_they_need():
    ids = torch.tensor(
        [[[5, 3, EOS, PAD, PAD], [7, 7, 7, 7, EOS]], [[EOS, PAD, PAD, PAD, PAD], [4, 4, 4, 4, 4]]]
    )
    scores, lengths = torch.zeros(2, 2), torch.tensor([[3, 5], [1, 5]])
    assert Beams(ids, scores, scores, lengths).best.tolist() == [[5, 3, EOS], [EOS, PAD, PAD]]
    cut = ids.flip(1)
    assert torch.equal(Beams(cut, scores, scores, lengths.flip(1)).best, cut[:, 0])


@pytest.mark.parametrize("training", [True, False])
@models
def test_decoding_builds_no_graph_changes_no_source_and_keeps_the_mode(kind, training):
    model, source, seen = MODELS[kind]().train(training), SOURCE.clone(), []
    for part in model.modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda _, inputs, output: seen.append(output.requires_grad))
    best = beam_search(model, source, 3).best
    log_probability(model, source, best)
    sample(model, source, 3)
    assert seen
    assert not any(seen)
    assert torch.equal(source, SOURCE)
    assert model.training == training


# Drawing

DRAWN = {
    BOS: {A: 0.41, B: 0.24, 5: 0.17, 6: 0.11, EOS: 0.07},
    A: {6: 0.52, A: 0.2, EOS: 0.28},
    B: {5: 0.3, B: 0.36, EOS: 0.34},
    5: {EOS: 0.83, A: 0.17},
    6: {A: 0.19, B: 0.21, 5: 0.27, 6: 0.33},
}


def reference_probabilities(row, temperature=1.0, top_k=None, top_p=1.0):
    """Turn the probabilities of some tokens into those they are drawn with."""

    def shares(weights):
        return {token: weight / sum(weights.values()) for token, weight in weights.items()}

    row = shares({token: p ** (1 / temperature) for token, p in row.items()})
    order = sorted(row, key=row.__getitem__, reverse=True)[:top_k]
    row = shares({token: row[token] for token in order})
    kept, total = {}, 0.0
    for token in order:
        if total < top_p:
            kept[token] = row[token]
            total += row[token]
    return shares(kept)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 2},
        {"top_p": 0.6},
        {"temperature": 2.0, "top_k": 3},
        {"temperature": 0.5, "top_p": 0.75},
        {"top_k": 3, "top_p": 0.7},
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_they_are_likely(settings):
    n = 20_011
    with seeded(0):
        pairs = sample(Chain(DRAWN, 7), SOURCE[:1].expand(n, -1), 2, **settings)
    counts = Counter((first, second) for first, second in pairs.tolist())
    expected = {}
    for first, p in reference_probabilities(DRAWN[BOS], **settings).items():
        row = {PAD: 1.0} if first == EOS else reference_probabilities(DRAWN[first], **settings)
        expected |= {(first, second): p * q for second, q in row.items()}
    assert set(counts) <= set(expected)
    for pair, p in expected.items():
        # A count of n draws has variance n p (1 - p): five standard deviations.
        assert abs(counts[pair] - n * p) <= 5 * math.sqrt(n * p * (1 - p))


def test_a_drawn_target_ends_as_a_greedy_one_does():
    with seeded(0):
        ids = sample(Chain(DRAWN, 7), SOURCE[:1].expand(97, -1))
    ends = [target.index(EOS) for target in ids.tolist()]
    assert len(set(ends)) > 3
    assert max(ends) == ids.shape[1] - 1  # no step after the last row has ended
    for target, end in zip(ids.tolist(), ends, strict=True):
        assert all(token > EOS for token in target[:end])
        assert target[end + 1 :] == [PAD] * (ids.shape[1] - end - 1)
    with seeded(0):
        assert torch.equal(sample(Chain(DRAWN, 7), SOURCE[:1].expand(97, -1), 3), ids[:, :3])


@models
def test_a_draw_can_be_repeated_and_leaves_the_random_numbers_outside_alone(kind):
    model = MODELS[kind]()
    before = torch.get_rng_state()
    found = []
    for seed in (0, 0, 1):
        with seeded(seed):
            found.append(sample(model, SOURCE.repeat(7, 1), 5, temperature=3.0))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found[0], found[1])
    assert found[0].shape != found[2].shape or not torch.equal(found[0], found[2])
    rows = {tuple(row) for row in found[0][::3].tolist()}
    assert len(rows) > 1  # rows of the same source are drawn each by itself


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1e-6},
        {"top_k": 1},
        {"top_p": 1e-9},
        {"temperature": 3.0, "top_k": 1, "top_p": 0.9},
        {"temperature": 3.0, "top_k": 7, "top_p": 1e-9},
    ],
    ids=str,
)
@models
def test_a_draw_that_leaves_no_choice_is_greedy(kind, settings):
    for seed in range(5):
        model = MODELS[kind](seed)
        with seeded(seed):
            assert torch.equal(sample(model, SOURCE, 7, **settings), greedy(model, SOURCE, 7))


class Uneven(Chain):
    """Says the same as a chain, with logits whose size depends on the row of the batch."""

    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        return logits + torch.logspace(0, 6, len(token), dtype=torch.float64)[:, None], state


def test_at_a_tiny_temperature_a_draw_is_greedy_for_logits_of_any_size():
    model, source = Uneven(DRAWN, 7), SOURCE[:1].expand(5, -1)
    with seeded(0):
        drawn = sample(model, source, 7, temperature=1e-307)
    assert torch.equal(drawn, greedy(model, source, 7))


@pytest.mark.parametrize("settings", [{"top_k": 11}, {"top_k": 99}, {"top_p": 1.0}], ids=str)
def test_a_draw_from_all_tokens_is_the_plain_draw(settings):
    model = recurrent()
    found = []
    for settings_now in ({}, settings):
        with seeded(0):
            found.append(sample(model, SOURCE.repeat(7, 1), 5, **settings_now))
    assert torch.equal(*found)


# Fewer logits

some_logits = st.builds(
    lambda shape, seed, tied: (
        normal(*shape, seed=seed).round() if tied else normal(*shape, seed=seed)
    ),
    st.sampled_from([(7,), (3, 5), (2, 3, 11), (2, 1)]),
    st.integers(0, 1000),
    st.booleans(),
)
"""Logits of any number of axes, with many equal ones or with none."""


def assert_kept(kept, logits):
    """Hold that logits either stay as they are or become minus infinity, the smallest first."""
    stay = kept > -math.inf
    assert_close(kept[stay], logits[stay], **EXACT)
    least = logits.masked_fill(~stay, math.inf).amin(-1)
    most = logits.masked_fill(stay, -math.inf).amax(-1)
    assert bool((least >= most).all())
    assert bool(stay.any(-1).all())
    return stay


@given(logits=some_logits, k=st.integers(1, 13))
def test_the_k_largest_logits_stay_and_no_more_even_if_some_are_equal(logits, k):
    before = logits.clone()
    stay = assert_kept(keep_top_k(logits, k), logits)
    assert bool((stay.sum(-1) == min(k, logits.shape[-1])).all())
    assert_close(logits, before, **EXACT)


@given(logits=some_logits, p=st.floats(0.001, 1.0))
def test_the_likeliest_tokens_stay_as_few_as_have_the_probability(logits, p):
    before = logits.clone()
    stay = assert_kept(keep_top_p(logits, p), logits)
    probabilities = logits.softmax(-1)
    together = (probabilities * stay).sum(-1)
    least = probabilities.masked_fill(~stay, math.inf).amin(-1)
    assert bool((together >= p - 1e-12).all())
    assert bool((together - least < p + 1e-12).all())
    assert_close(logits, before, **EXACT)


@given(logits=some_logits, p=st.floats(0.001, 1.0), q=st.floats(0.001, 1.0))
def test_more_probability_keeps_more(logits, p, q):
    fewer, more = (keep_top_p(logits, share) > -math.inf for share in sorted([p, q]))
    assert bool((more | ~fewer).all())


@given(logits=some_logits)
def test_the_whole_probability_keeps_all_tokens(logits):
    assert_close(keep_top_p(logits, 1.0), logits, **EXACT)


def test_the_whole_probability_keeps_a_token_that_is_too_unlikely_to_count():
    logits = torch.tensor([0.0, -60.0], dtype=torch.float64)
    assert_close(keep_top_p(logits, 1.0), logits, **EXACT)


@given(logits=some_logits, p=st.sampled_from([1e-300, 1e-12]))
def test_the_likeliest_token_is_always_kept(logits, p):
    stay = assert_kept(keep_top_p(logits, p), logits)
    assert bool((stay.sum(-1) == 1).all())


@pytest.mark.parametrize(
    ("p", "n"), [(0.2, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3), (0.76, 4), (1.0, 4)]
)
def test_of_equal_tokens_the_first_are_kept_until_they_have_the_probability(p, n):
    kept = keep_top_p(torch.zeros(2, 4, dtype=torch.float64), p)  # a quarter each, without rounding
    assert kept.tolist() == [[0.0] * n + [-math.inf] * (4 - n)] * 2


def test_a_token_that_was_forbidden_stays_so():
    logits = torch.tensor([-math.inf, 2.0, -math.inf, 1.0], dtype=torch.float64)
    assert_close(keep_top_k(logits, 3), logits, **EXACT)
    assert_close(keep_top_p(logits, 1.0), logits, **EXACT)


# The probability of a target


@models
def test_the_log_probability_is_the_sum_over_the_steps_up_to_the_end(kind):
    model = MODELS[kind]()
    targets = [[8, A, 5, 6, 9, EOS], [EOS], [A, A, B, 7, 7, 7, 10]]
    expected = []
    for source, target in zip(SOURCES, targets, strict=True):
        memory = model.encode(torch.tensor([source]))
        state, total = model.start(memory), 0.0
        for before, token in itertools.pairwise([BOS, *target]):
            logits, state = model.step(torch.tensor([before]), state, memory)
            (row,) = logits.tolist()
            total += row[token] - math.log(sum(math.exp(logit) for logit in row))
        expected.append(total)
    found = log_probability(model, SOURCE, pad(targets))
    assert_close(found, torch.tensor(expected, dtype=torch.float64), **ROUNDING)
    wider = torch.cat([pad(targets), torch.full((3, 2), PAD)], dim=1)
    # The third was cut: its padding would count as said.
    counts = torch.tensor([6, 1, 7])
    assert_close(log_probability(model, SOURCE, wider, lengths=counts), found, **ROUNDING)
    assert_close(log_probability(model, SOURCE, wider)[:2], found[:2], **ROUNDING)


@models
def test_all_targets_together_have_probability_one(kind):
    model = MODELS[kind](1, 5)
    words = [A, B]
    targets = [
        [*said, *end]
        for n in range(4)
        for said in itertools.product(words, repeat=n)
        for end in ([[EOS]] if n < 3 else [[EOS], [A], [B]])
    ]
    assert len(targets) == 1 + 2 + 4 + 3 * 8
    log_probs = log_probability(model, SOURCE[:1].expand(31, -1), pad(targets))
    assert log_probs.exp().sum().item() == pytest.approx(1.0, abs=1e-12)


# A model that says padding

PADDER = Chain(
    {BOS: {PAD: 0.6, A: 0.4}, PAD: {PAD: 0.7, EOS: 0.3}, A: {EOS: 0.8, PAD: 0.2}}, vocab_size=5
)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_padding_that_a_model_says_is_one_of_its_tokens(alpha):
    source = SOURCE[:1]
    said = greedy(PADDER, source, 2)
    assert said.tolist() == [[PAD, PAD]]
    one = beam_search(PADDER, source, 2, n_beams=1, alpha=alpha)
    assert torch.equal(one.best, said)
    assert one.lengths.tolist() == [[2]]
    assert one.log_probs.exp().item() == pytest.approx(0.6 * 0.7)
    assert log_probability(PADDER, source, said).exp().item() == pytest.approx(0.6 * 0.7)


def test_all_targets_with_padding_inside_have_their_lengths_and_probability_one():
    beams = beam_search(PADDER, SOURCE[:1], 3, n_beams=9)
    found = {
        tuple(ids[:n]): p
        for ids, n, p in zip(
            beams.ids[0].tolist(),
            beams.lengths[0].tolist(),
            beams.log_probs[0].exp().tolist(),
            strict=True,
        )
        if n
    }
    expected = {
        (PAD, PAD, PAD): 0.6 * 0.7 * 0.7,
        (PAD, PAD, EOS): 0.6 * 0.7 * 0.3,
        (PAD, EOS): 0.6 * 0.3,
        (A, EOS): 0.4 * 0.8,
        (A, PAD, PAD): 0.4 * 0.2 * 0.7,
        (A, PAD, EOS): 0.4 * 0.2 * 0.3,
    }
    assert found == pytest.approx(expected)
    # Where there are no more targets there is nothing, and no length.
    assert beams.lengths[0, 6:].tolist() == [0] * 3
    assert beams.log_probs[0, 6:].tolist() == beams.scores[0, 6:].tolist() == [-math.inf] * 3
    again = log_probability(PADDER, SOURCE[:1].expand(6, -1), beams.ids[0, :6])
    assert_close(again, beams.log_probs[0, :6], **ROUNDING)
    counted = log_probability(
        PADDER, SOURCE[:1].expand(9, -1), beams.ids[0], lengths=beams.lengths[0]
    )
    assert_close(counted[:6], beams.log_probs[0, :6], **ROUNDING)
    assert counted[6:].tolist() == [0.0] * 3  # of no token


@models
def test_without_a_length_a_cut_target_is_said_in_whole(kind):
    model = MODELS[kind]()
    target = torch.tensor([[5, 6, PAD], [5, EOS, PAD], [PAD, 5, 6]])
    whole = log_probability(model, SOURCE, target)
    each = [[5, 6], [5, EOS], [PAD, 5, 6]]
    assert whole[0].item() == whole[2].item() == -math.inf  # these models never say padding
    shorter = log_probability(model, SOURCE, target, lengths=torch.tensor([2, 2, 0]))
    for row in (0, 1):
        alone = log_probability(model, SOURCE[row : row + 1], torch.tensor([each[row]]))
        assert_close(shorter[row], alone[0], **ROUNDING)
    assert shorter[2] == 0.0
    assert_close(whole[1], shorter[1], **EXACT)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([2, 2, 2], TypeError, "lengths must be a tensor, got list"),
        (torch.tensor([2.0, 2.0, 2.0]), TypeError, r"lengths .* got torch\.float32"),
        (torch.tensor([2, 2]), ValueError, r"shape \(batch,\), \(3,\), got \(2,\)"),
        (torch.tensor([2, 8, 2]), ValueError, "lengths must hold ids from 0 to 7, got 8"),
        (torch.tensor([2, -1, 2]), ValueError, "got -1"),
    ],
)
def test_lengths_that_targets_cannot_have_are_rejected(lengths, error, message):
    with pytest.raises(error, match=message):
        log_probability(transformer(), SOURCE, TARGET, lengths=lengths)


# Penalties without measure

FORKS = Chain(
    {
        BOS: {A: 0.5, B: 0.3, EOS: 0.2},
        A: {A: 0.61, EOS: 0.39},
        B: {B: 0.67, A: 0.22, EOS: 0.11},
    },
    vocab_size=5,
)


def narrow(chain, dtype):
    """Make the same chain with logits of another type."""
    other = copy.deepcopy(chain)
    other.logits = chain.logits.to(dtype)
    return other


def reference_order(model, max_length, alpha):
    """Try all targets, and rank them by numbers of four hundred digits."""
    probabilities = model.logits.double().softmax(-1).tolist()
    ways, done = [((), 0.0)], []
    for _ in range(max_length):
        further = []
        for target, log_prob in ways:
            row = probabilities[target[-1] if target else BOS]
            more = [((*target, i), log_prob + math.log(p)) for i, p in enumerate(row) if p > 0]
            done += [way for way in more if way[0][-1] == EOS]
            further += [way for way in more if way[0][-1] != EOS]
        ways = further

    def cost(way):
        target, log_prob = way
        return Decimal(-log_prob).ln() - Decimal(alpha) * (Decimal(5 + len(target)) / 6).ln()

    with localcontext() as context:
        context.prec = 400
        return [list(target) for target, _ in sorted(done + ways, key=cost)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("alpha", [1.0, 9.0, 17.0, 30.0, 100.0, 1e4, 1e300])
def test_targets_are_in_order_at_any_penalty(alpha, dtype):
    model = narrow(FORKS, dtype)
    expected = reference_order(model, 7, alpha)
    beams = beam_search(model, SOURCE[:1], 7, n_beams=64, alpha=alpha)
    n = len(expected)
    assert 20 < n < 64
    said = [
        ids[:length]
        for ids, length in zip(beams.ids[0].tolist(), beams.lengths[0].tolist(), strict=True)
    ]
    assert said == expected + [[]] * (64 - n)
    assert bool(beams.scores[0, :n].isfinite().all())
    assert bool((beams.scores[0, n:] == -math.inf).all())
    assert bool((beams.scores[:, :-1] >= beams.scores[:, 1:]).all())
    assert beams.log_probs.dtype == beams.scores.dtype == dtype


def test_at_the_largest_penalty_there_is_longer_targets_come_first():
    chain = Chain({BOS: {A: 0.9, EOS: 0.1}, A: {A: 0.9, EOS: 0.1}}, vocab_size=5)
    beams = beam_search(chain, SOURCE[:1], 14, n_beams=15, alpha=sys.float_info.max)
    assert beams.lengths[0].tolist() == [14, 14, *range(13, 0, -1)]
    assert beams.ids[0, 0].tolist() == [A] * 14  # nine times as likely as to end there


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n_beams", [1, 2, 4])
def test_a_penalty_that_overflows_ranks_as_the_loop_over_lists(n_beams, dtype):
    model = narrow(FORKS, dtype)
    beams = beam_search(model, SOURCE[:1], 10, n_beams=n_beams, alpha=100.0)
    expected = reference_search(narrow(FORKS, torch.float64), SOURCES[0], 10, n_beams, 100.0)
    assert beams.ids[0].tolist() == [list(target) for target, _, _ in expected]
    assert beams.log_probs[0].tolist() == pytest.approx([p for _, p, _ in expected], rel=1e-5)
    # Ten tokens are the longest there are: the same is found without the penalty's help.
    assert len(expected[0][0]) == 10


def test_a_sure_target_is_the_best_at_any_penalty():
    sure = Chain({BOS: {EOS: 1.0}}, vocab_size=5)
    beams = beam_search(sure, SOURCE[:1], 50, n_beams=2, alpha=100.0)
    assert beams.best.tolist() == [[EOS]]
    assert beams.scores[0].tolist() == [0.0, -math.inf]


@pytest.mark.rejects
def test_a_penalty_that_no_number_holds_is_rejected():
    with pytest.raises(ValueError, match=r"must fit torch\.float32, got alpha 100.0 for length 10"):
        length_penalty(torch.tensor([1.0, 10.0]), 100.0)
    assert length_penalty(torch.tensor([10.0]).double(), 100.0).item() == pytest.approx(2.5**100)


# Sums in a wide type

ONE_OF_TWO = Chain({BOS: {A: 0.576, B: 0.424}, A: {A: 0.576, B: 0.424}}, vocab_size=5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_log_probabilities_of_narrow_logits_are_summed_in_float32(dtype):
    model = narrow(ONE_OF_TWO, dtype)
    said = greedy(model, SOURCE[:1], 400)
    assert said.tolist() == [[A] * 400]
    first, after = model.logits.double()[[BOS, A]].log_softmax(-1)[:, A].tolist()
    expected = first + 399 * after
    beams = beam_search(model, SOURCE[:1], 400, n_beams=1)
    assert beams.log_probs.dtype == torch.float32
    assert beams.log_probs.item() == pytest.approx(expected, rel=1e-5)
    again = log_probability(model, SOURCE[:1], said)
    assert again.dtype == torch.float32
    assert again.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_tokens_of_a_narrow_model_are_drawn_with_its_probabilities(dtype):
    n = 20_011
    model = narrow(Chain({BOS: dict.fromkeys(range(3, 100), 1 / 97)}, 100), dtype)
    with seeded(0):
        counts = Counter(sample(model, SOURCE[:1].expand(n, -1), 1)[:, 0].tolist())
    for token, p in enumerate(model.logits.double()[BOS].softmax(-1).tolist()):
        assert abs(counts[token] - n * p) <= 5 * math.sqrt(n * p * (1 - p))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_narrow_model_draws_with_probabilities_of_float32(dtype, monkeypatch):
    seen, draw = [], torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda p, n: seen.append(p) or draw(p, n))
    model = narrow(DRAWN_CHAIN, dtype)
    sample(model, SOURCE[:1], 1, temperature=1.7)
    expected = (model.logits[BOS].double() / 1.7).softmax(-1)
    assert seen[0].dtype == torch.float32
    assert_close(seen[0][0].double(), expected, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("temperature", [1e-307, 1e-45, 1e39, 1e300])
def test_temperatures_that_a_narrow_type_rounds_away_are_temperatures(temperature):
    model = narrow(DRAWN_CHAIN, torch.float32)
    source = SOURCE[:1].expand(500, -1)
    with seeded(0):
        drawn = sample(model, source, 1, temperature=temperature)[:, 0]
    if temperature < 1:
        assert set(drawn.tolist()) == {A}
    else:  # all alike, and what is forbidden stays so
        assert set(drawn.tolist()) == {A, B, 5, 6, EOS}


DRAWN_CHAIN = Chain(DRAWN, 7)


# On another device


@pytest.mark.rejects  # the checker makes tensors of its own
@pytest.mark.parametrize("kind", ["transformer", "cached", "recurrent", "prompt"])
def test_every_tensor_is_made_where_the_source_is(kind):
    """Let tensors be made on a device of no memory unless they are told where: none may be."""
    model = {
        "transformer": lambda: transformer(positions=nn.Identity()),
        "cached": lambda: Cached(transformer(positions=nn.Identity())),
        "recurrent": recurrent,
        "prompt": lambda: Cached(prompted()),
    }[kind]()
    mask = token_mask(SOURCE)
    expected = [call(model, mask) for call in WAYS]
    with torch.device("meta"):
        found = [call(model, mask) for call in WAYS]
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, **EXACT)


def drawn_first(model, mask):
    with seeded(0):
        return sample(model, SOURCE, 4, temperature=2.0, top_k=5, top_p=0.9)


WAYS = [
    lambda model, mask: greedy(model, SOURCE, 4),
    lambda model, mask: greedy(model, SOURCE, 4, source_mask=mask),
    lambda model, mask: beam_search(model, SOURCE, 4, n_beams=3, alpha=0.6).ids,
    lambda model, mask: beam_search(model, SOURCE, 4, n_beams=3, alpha=100.0).scores,
    lambda model, mask: beam_search(model, SOURCE, 4, source_mask=mask).best,
    drawn_first,
    lambda model, mask: log_probability(model, SOURCE, TARGET),
    lambda model, mask: log_probability(model, SOURCE, TARGET, lengths=(TARGET != PAD).sum(1)),
    lambda model, mask: model(SOURCE, TARGET),
]


class Prompted(PromptTranslator):
    """A decoder alone, without positions."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 10)
        self.decoder = TransformerEncoder([EncoderBlock(10, 5, 7) for _ in range(2)])
        self.readout = nn.Linear(10, 11)

    def embed_target(self, target, place=0):
        return self.embedding(target)


def prompted():
    model = lively(Prompted)
    return well_spoken(model, model.readout)


# Reading no token twice

PLACES = {
    "sinusoidal": lambda norm: transformer(norm=norm),
    # As many positions as the longest target has tokens: one more would be too many.
    "learned": lambda norm: transformer(norm=norm, positions=LearnedPositions(7, 10)),
    "no positions": lambda norm: transformer(norm=norm, positions=nn.Identity()),
    "positions of another kind": lambda norm: transformer(norm=norm, positions=fading),
    "rotary": lambda norm: rotated(transformer(norm=norm, positions=nn.Identity())),
    "shared keys": lambda norm: sharing(transformer(norm=norm, n_layers=3)),
    "tied and scaled": lambda norm: transformer(norm=norm, tied=True, embedding_scale=0.7),
}
"""Every way in which a translator can be told where tokens stand, and some more."""

places = pytest.mark.parametrize("where", PLACES)
norms = pytest.mark.parametrize("norm", ["pre", "post"])


def fading(x):
    """Mark places in a way of one's own, which knows no start: every token is weaker than the one before it."""
    return x * 0.9 ** torch.arange(x.shape[1], dtype=x.dtype)[:, None]


def rotated(model):
    """Tell self-attention where tokens stand, in every block."""
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.self_attention.attend = with_rotary()
    return model


def sharing(model):
    """Let all heads share one key and one value."""
    for block in model.decoder.blocks:
        block.self_attention = lively(lambda: MultiHeadAttention(10, 5, 1), 1)
        block.cross_attention = lively(lambda: MultiHeadAttention(10, 5, 1), 2)
    return model


def steps(model, source, target):
    """Read a target; yield the logits and the state after every token."""
    memory = model.encode(source)
    state = model.start(memory)
    for token in target.unbind(1):
        logits, state = model.step(token, state, memory)
        yield logits, state


@places
@norms
def test_with_a_cache_every_step_says_the_same(norm, where):
    model = PLACES[where](norm)
    plain, cached = steps(model, SOURCE, TARGET), steps(Cached(model), SOURCE, TARGET)
    at_once = model(SOURCE, TARGET)
    for n, ((expected, _), (logits, _)) in enumerate(zip(plain, cached, strict=True)):
        assert_close(logits, expected, **TINY)
        assert_close(logits, at_once[:, n], **TINY)
    assert n == 6


@places
@norms
def test_with_a_cache_decoding_finds_the_same(norm, where):
    model = PLACES[where](norm)
    cached = Cached(model)
    assert torch.equal(greedy(cached, SOURCE, 7), greedy(model, SOURCE, 7))
    for n_beams in (1, 3, 7):
        found, expected = (
            beam_search(one, SOURCE, 7, n_beams=n_beams, alpha=0.6) for one in (cached, model)
        )
        assert torch.equal(found.ids, expected.ids)
        assert_close(found.log_probs, expected.log_probs, **ROUNDING)
        assert_close(found.scores, expected.scores, **ROUNDING)
    with seeded(0):
        drawn = sample(cached, SOURCE, 7)
    with seeded(0):
        assert torch.equal(drawn, sample(model, SOURCE, 7))


@places
def test_a_row_alone_is_the_row_in_its_batch_with_a_cache_too(where):
    cached = Cached(PLACES[where]("pre"))
    together = [logits for logits, _ in steps(cached, SOURCE, TARGET)]
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone = steps(cached, torch.tensor([source]), torch.tensor([target]))
        for (logits, _), expected in zip(alone, together[: len(target)], strict=True):
            assert_close(logits[0], expected[row], **TINY)


@pytest.mark.parametrize(
    ("where", "n_heads", "n_layers"), [("rotary", 5, 2), ("shared keys", 1, 3)]
)
def test_the_cache_grows_by_one_token_behind_those_it_has(where, n_heads, n_layers):
    cached = Cached(PLACES[where]("pre"))
    before = cached.start(cached.encode(SOURCE))
    kept = [tuple(part.clone() for part in before)]
    for n, (_, state) in enumerate(steps(cached, SOURCE, TARGET)):
        target, source = (3, n_heads, n, 2), (3, n_heads, 5, 2)
        assert [tuple(part.shape) for part in kept[-1]] == [
            target, target, source, source
        ] * n_layers  # fmt: skip
        for i, (old, new) in enumerate(zip(kept[-1], state, strict=True)):
            assert_close(new[:, :, :n] if i % 4 < 2 else new, old, **EXACT)
        kept.append(state)
    assert kept[-1][0].shape == (3, n_heads, 7, 2)


def test_rows_of_a_cache_can_be_picked_and_keep_what_they_have_read():
    model, rows = PLACES["rotary"]("pre"), torch.tensor([2, 0, 0, 1])
    cached = Cached(model)
    memory = cached.encode(SOURCE)
    state = cached.start(memory)
    for token in TARGET[:, :3].unbind(1):
        before = [part.clone() for part in state]
        _, after = cached.step(token, state, memory)
        for part, was in zip(state, before, strict=True):
            assert_close(part, was, **EXACT)
        state = after
    picked = Memory(memory.states[rows], memory.mask[rows])
    logits, _ = cached.step(TARGET[rows, 3], tuple(part[rows] for part in state), picked)
    assert_close(logits, model(SOURCE, TARGET)[rows, 3], **TINY)


@places
def test_two_steps_from_one_state_do_not_see_each_other(where):
    model = PLACES[where]("pre")
    cached = Cached(model)
    memory = cached.encode(SOURCE)
    (*_, (_, state)) = steps(cached, SOURCE, TARGET[:, :3])
    ways = [torch.tensor([[first, second]] * 3) for first, second in [(5, 6), (7, 8)]]
    states = [cached.step(way[:, 0], state, memory)[1] for way in ways]
    # The second token of the first way comes after the first token of the second.
    for way, after in zip(ways, states, strict=True):
        logits, _ = cached.step(way[:, 1], after, memory)
        whole = torch.cat([TARGET[:, :3], way], dim=1)
        assert_close(logits, model(SOURCE, whole)[:, -1], **TINY)


@pytest.mark.parametrize(("source", "masked"), [(SOURCE, True), (SOURCE[:1], False)])
def test_only_a_source_with_padding_needs_a_mask(source, masked):
    masks = []

    def attend(query, key, value, mask=None):
        masks.append(mask)
        return fused_attend(query, key, value, mask)

    cached = Cached(transformer(attend=attend))
    memory = cached.encode(source)
    state = cached.start(memory)
    masks.clear()
    cached.step(TARGET[: len(source), 0], state, memory)
    assert [mask is not None for mask in masks] == [False, masked] * 2


@pytest.mark.parametrize("where", ["sinusoidal", "learned"])
def test_only_the_new_token_is_marked_with_its_place(where):
    model = PLACES[where]("pre")
    cached, marked = Cached(model), []
    memory = cached.encode(SOURCE)
    state = cached.start(memory)
    model.positions.register_forward_hook(lambda _, inputs, output: marked.append(output.shape))
    for token in TARGET.unbind(1):
        _, state = cached.step(token, state, memory)
    assert marked == [(3, 1, 10)] * 7


def test_only_the_new_token_goes_through_the_projections():
    model = transformer()
    read = Counter()
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear | nn.LayerNorm) and not name.startswith("encoder"):
            part.register_forward_hook(
                lambda _, inputs, output, name=name: read.update({name: output[0, ..., 0].numel()})
            )
    cached = Cached(model)
    memory = cached.encode(SOURCE)
    assert not read
    of_source = {
        f"decoder.blocks.{i}.cross_attention.{proj}"
        for i in range(2)
        for proj in ("k_proj", "v_proj")
    }
    state = cached.start(memory)
    assert {name: count for name, count in read.items() if count} == dict.fromkeys(of_source, 5)
    for token in TARGET.unbind(1):
        read.clear()
        _, state = cached.step(token, state, memory)
        # In a block 8 projections, 2 maps and 3 norms, without those of the source; a last norm, the readout.
        assert len(read) == 2 * (8 + 2 + 3 - 2) + 2
        assert set(read.values()) == {1}
        assert not of_source & set(read)
    # Without a cache all are read again.
    state = model.start(memory)
    for n, token in enumerate(TARGET.unbind(1), start=1):
        read.clear()
        _, state = model.step(token, state, memory)
        assert {read[name] for name in of_source} == {5}
        assert {count for name, count in read.items() if name not in of_source} == {n}


@norms
def test_teacher_forcing_is_that_of_the_model_and_reaches_its_weights(norm):
    model = transformer(norm=norm)
    twin = copy.deepcopy(model)
    cached = Cached(model)
    assert_close(cached(SOURCE, TARGET), twin(SOURCE, TARGET), **EXACT)
    assert_close(cached(SOURCE, TARGET), Translator.forward(cached, SOURCE, TARGET), **TINY)
    for one, other in zip(cached.parameters(), model.parameters(), strict=True):
        assert one is other
    slope = normal(3, 7, 9)
    for one in (cached, twin):
        one(SOURCE, TARGET)[..., EOS:].backward(slope)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert_close(one.grad, other.grad, **EXACT)


def test_the_encoder_is_that_of_the_model():
    model = transformer()
    for one, other in zip(Cached(model).encode(SOURCE), model.encode(SOURCE), strict=True):
        assert_close(one, other, **EXACT)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_that_of_the_model_and_is_passed_on(training):
    model = transformer().train(training)
    cached = Cached(model)
    assert cached.training == model.training == training
    cached.train(not training)
    assert all(part.training != training for part in model.modules())


@norms
def test_with_a_cache_dropout_stands_where_it_stood(norm):
    model = transformer(norm=norm, dropout=0.5)
    cached = Cached(model)
    memory = model.encode(SOURCE)
    first = TARGET[:, 0]
    still, _ = cached.step(first, cached.start(memory), memory)
    model.train()
    found = []
    for one in (cached, model):
        # For the first token both draw the same numbers in the same order.
        with seeded(0):
            found.append(one.step(first, one.start(memory), memory)[0])
    assert_close(*found, **TINY)
    assert not torch.allclose(found[0], still)


# Rejects

READERS = {
    "beam_search": lambda source, **settings: beam_search(GARDEN_PATH, source, **settings),
    "sample": lambda source, **settings: sample(GARDEN_PATH, source, **settings),
}
readers = pytest.mark.parametrize("reader", READERS)


@pytest.mark.rejects
@readers
@pytest.mark.parametrize("max_length", [0, -3])
def test_a_longest_length_below_one_is_rejected(reader, max_length):
    with pytest.raises(ValueError, match=f"max_length must be at least 1, got {max_length}"):
        READERS[reader](SOURCE, max_length=max_length)


@pytest.mark.rejects
@readers
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SOURCE[:, :0], r"source must have shape .* neither 0, got \(3, 0\)"),
        (SOURCE[:0], r"neither 0, got \(0, 5\)"),
        (SOURCE * torch.tensor([[1], [0], [1]]), "at least one token, got only padding in row 1"),
        (SOURCE.flip(1), r"padding must stand behind the tokens, got \[0, 0, 0, 2, 7\] in row 1"),
    ],
)
def test_a_source_that_no_model_can_read_is_rejected(reader, source, message):
    with pytest.raises(ValueError, match=message):
        READERS[reader](source)


@pytest.mark.rejects
@readers
def test_a_source_of_other_numbers_is_rejected(reader):
    with pytest.raises(TypeError, match=r"dtype torch\.int64, got torch\.int32"):
        READERS[reader](SOURCE.int())


@pytest.mark.rejects
@pytest.mark.parametrize("n_beams", [0, -2])
def test_fewer_than_one_beam_are_rejected(n_beams):
    with pytest.raises(ValueError, match=f"n_beams must be at least 1, got {n_beams}"):
        beam_search(GARDEN_PATH, SOURCE, n_beams=n_beams)


@pytest.mark.rejects
@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
def test_an_alpha_that_ranks_nothing_is_rejected(alpha):
    message = f"alpha must be a finite number of at least 0, got {alpha}"
    with pytest.raises(ValueError, match=message):
        beam_search(GARDEN_PATH, SOURCE, alpha=alpha)


@pytest.mark.rejects
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_rejected(temperature):
    hint = r" \(for 0 there is greedy\)" if temperature == 0 else ""
    message = rf"temperature must be a finite number above 0{hint}, got {temperature:g}"
    with pytest.raises(ValueError, match=message):
        sample(GARDEN_PATH, SOURCE, temperature=temperature)


@pytest.mark.rejects
@pytest.mark.parametrize("k", [0, -2])
def test_fewer_than_one_token_to_choose_from_are_rejected(k):
    for call in (
        lambda: keep_top_k(normal(3, 5), k),
        lambda: sample(GARDEN_PATH, SOURCE, top_k=k),
    ):
        with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize("p", [0.0, -0.5, 1.01])
def test_a_probability_that_is_none_is_rejected(p):
    for call in (
        lambda: keep_top_p(normal(3, 5), p),
        lambda: sample(GARDEN_PATH, SOURCE, top_p=p),
    ):
        with pytest.raises(ValueError, match=f"p must be above 0 and at most 1, got {p}"):
            call()


@pytest.mark.rejects
@models
def test_targets_for_other_sources_are_rejected(kind, unchecked):
    with pytest.raises(ValueError, match=r"same batch size, got \(3, 5\) and \(2, 7\)"):
        log_probability(MODELS[kind](), SOURCE, TARGET[:2])


@pytest.mark.rejects
def test_a_cache_reads_no_further_than_there_are_positions():
    cached = Cached(transformer(positions=LearnedPositions(2, 10)))
    with pytest.raises(ValueError, match="there are vectors for the positions 0 to 1, got 2 to 2"):
        list(steps(cached, SOURCE[1:2, :2], TARGET[:1]))


# Logits that say nothing


class Spoiled(Chain):
    """A chain that says one wrong number at one step, in the row of one source."""

    def __init__(self, wrong, step, row):
        super().__init__(DRAWN, 7)
        self.wrong, self.at, self.row, self.taken = wrong, step, row, 0

    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        self.taken += 1
        if self.taken == self.at:
            logits = logits.clone()
            logits.view(3, -1, 7)[self.row] = self.wrong
        return logits, state


WRONG = {
    "NaN": (torch.tensor([0.0] * 6 + [math.nan]).double(), "not be NaN .* got NaN"),
    "infinity": (torch.tensor([0.0] * 6 + [math.inf]).double(), "plus infinity, got infinity"),
    "nothing": (torch.full((7,), -math.inf).double(), "at least one .* got only minus infinity"),
}
wrongs = pytest.mark.parametrize("wrong", WRONG)


@pytest.mark.rejects
@wrongs
@pytest.mark.parametrize(("step", "row"), [(1, 0), (3, 2)])
def test_logits_that_say_nothing_are_told(wrong, step, row):
    logits, message = WRONG[wrong]
    for call, where in (
        (lambda model: beam_search(model, SOURCE, 5, n_beams=2), f"{row}, beam 0"),
        (lambda model: sample(model, SOURCE, 5, top_k=1), str(row)),
        (lambda model: log_probability(model, SOURCE, TARGET.clamp(max=6)), str(row)),
    ):
        model = Spoiled(logits, step, row)
        with pytest.raises(ValueError, match=rf"{message} at step {step} in row {where}$"):
            call(model)


@wrongs
def test_a_beam_that_is_over_may_say_anything(wrong):
    # Both beams of the source end, or there is but one way: what the others say is not read.
    logits, _ = WRONG[wrong]

    class AfterTheEnd(Chain):
        def step(self, token, state, memory):
            said, state = super().step(token, state, memory)
            return torch.where((token <= PAD)[:, None], logits, said), state

    table = {BOS: {A: 0.7, EOS: 0.3}, A: {A: 0.6, EOS: 0.4}}
    for n_beams in (1, 2, 4):
        found, expected = (
            beam_search(kind({**table}, 7), SOURCE, 5, n_beams=n_beams)
            for kind in (AfterTheEnd, Chain)
        )
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, **EXACT)


@wrongs
def test_a_beam_that_there_is_not_may_say_anything(wrong):
    logits, _ = WRONG[wrong]

    class AfterWhatIsNeverSaid(Chain):
        def step(self, token, state, memory):
            said, state = super().step(token, state, memory)
            never = (token != BOS) & (token != A)
            return torch.where(never[:, None], logits, said), state

    # One way only: the other beams have tokens that were forbidden.
    table = {BOS: {A: 1.0}, A: {A: 0.6, EOS: 0.4}}
    found, expected = (
        beam_search(kind(table, 7), SOURCE, 5, n_beams=4) for kind in (AfterWhatIsNeverSaid, Chain)
    )
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, **EXACT)


@wrongs
def test_padding_of_a_target_is_not_looked_at(wrong):
    logits, _ = WRONG[wrong]
    target = torch.tensor([[A, EOS, PAD]] * 3)
    expected = log_probability(Chain(DRAWN, 7), SOURCE, target)
    assert_close(log_probability(Spoiled(logits, 3, 1), SOURCE, target), expected, **EXACT)


@pytest.mark.rejects
@wrongs
def test_fewer_logits_are_not_taken_from_those_that_say_nothing(wrong):
    logits, message = WRONG[wrong]
    for call in (
        lambda: keep_top_k(logits, 2),
        lambda: keep_top_p(logits, 0.5),
        lambda: keep_top_p(logits, 1.0),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.rejects
def test_fewer_logits_are_taken_from_floats_only():
    for call in (lambda x: keep_top_k(x, 2), lambda x: keep_top_p(x, 0.5)):
        with pytest.raises(
            TypeError, match=r"logits must hold floating-point numbers, got torch\.int"
        ):
            call(torch.tensor([1, 2, 3]))
        with pytest.raises(TypeError, match="logits must be a tensor, got list"):
            call([1.0, 2.0])


@pytest.mark.rejects
@models
@pytest.mark.parametrize("kind_of_weight", [math.nan, math.inf])
def test_a_model_of_broken_weights_writes_nothing(kind, kind_of_weight):
    model = MODELS[kind]()
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(kind_of_weight)
    for call in (
        lambda: greedy(model, SOURCE),
        lambda: beam_search(model, SOURCE),
        lambda: sample(model, SOURCE),
        lambda: log_probability(model, SOURCE, TARGET),
    ):
        with pytest.raises(ValueError, match=r"the logits must not be NaN .* at step 1 in row"):
            call()


# Numbers that are none


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, "1", True, None, 1 + 0j, torch.tensor(1.0)], ids=repr)
def test_a_setting_that_is_no_number_is_named(wrong):
    kinds = (ValueError, TypeError)
    logits = normal(3, 5)
    for name, call in {
        "max_length": lambda: beam_search(GARDEN_PATH, SOURCE, wrong),
        "n_beams": lambda: beam_search(GARDEN_PATH, SOURCE, n_beams=wrong),
        "alpha": lambda: beam_search(GARDEN_PATH, SOURCE, alpha=wrong),
        "alpha must": lambda: length_penalty(torch.tensor([1.0]), wrong),
        "temperature": lambda: sample(GARDEN_PATH, SOURCE, temperature=wrong),
        "k": lambda: keep_top_k(logits, wrong),
        "p": lambda: keep_top_p(logits, wrong),
        **(
            {}
            if wrong is None
            else {
                "top_k": lambda: sample(GARDEN_PATH, SOURCE, top_k=wrong),
                "top_p": lambda: sample(GARDEN_PATH, SOURCE, top_p=wrong),
            }
        ),
    }.items():
        with pytest.raises(kinds, match=rf"^{name.split()[0]} must be "):
            call()


# Ids that there are not


@pytest.mark.rejects
@models
@pytest.mark.parametrize("wrong", [11, 13, 99, -1])
def test_an_id_of_a_target_that_there_is_not_is_named(kind, wrong):
    model = MODELS[kind]()
    for place in (1, 6):
        target = TARGET.clone()
        target[0, place] = wrong
        with pytest.raises(
            ValueError, match=f"target(_in)? must hold ids from 0 to 10, got {wrong}"
        ):
            log_probability(model, SOURCE, target)
    with pytest.raises(ValueError, match=f"target_in must hold ids from 0 to 10, got {wrong}"):
        model(SOURCE, target)


@pytest.mark.rejects
@models
@pytest.mark.parametrize("wrong", [13, -1])
def test_an_id_of_a_source_that_there_is_not_is_named(kind, wrong):
    source = SOURCE.clone()
    source[2, 1] = wrong
    model = MODELS[kind]()
    for call in (
        lambda: greedy(model, source),
        lambda: beam_search(model, source),
        lambda: model(source, TARGET),
    ):
        with pytest.raises(ValueError, match=f"source must hold ids from 0 to 12, got {wrong}"):
            call()


# What a cache would not see


class OwnStep(TransformerTranslator):
    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        return -logits, state


class OwnStart(TransformerTranslator):
    def start(self, memory):
        return tuple(part.flip(0) for part in super().start(memory))


class OwnPrivateEmbedding(TransformerTranslator):
    def _embed(self, table, ids):
        return -super()._embed(table, ids)


class OwnForwardOfBlocks(DecoderBlock):
    def forward(self, x, memory, mask=None, memory_mask=None):
        return -super().forward(x, memory, mask, memory_mask)


class OwnStepOfBlocks(DecoderBlock):
    def step(self, x, kept, mask=None, memory_mask=None):
        x, kept = super().step(x, kept, mask, memory_mask)
        return -x, kept


class OwnFollow(TransformerDecoder):
    def follow(self, x, memory):
        return -super().follow(x, memory)


class OwnForwardOfAll(TransformerDecoder):
    def forward(self, *inputs):
        return -super().forward(*inputs)


class OwnAttention(MultiHeadAttention):
    def forward(self, query, key, value, mask=None):
        return -super().forward(query, key, value, mask)


def with_blocks(kind):
    def make():
        model = transformer()
        model.decoder.blocks[1] = lively(lambda: kind(10, 5, 7))
        return model

    return make


def with_decoder(kind):
    def make():
        model = transformer()
        model.decoder = kind(model.decoder.blocks, model.decoder.norm)
        return model

    return make


def with_attention(name):
    def make():
        model = transformer()
        setattr(model.decoder.blocks[1], name, lively(lambda: OwnAttention(10, 5)))
        return model

    return make


def of_class(kind):
    def make():
        model = lively(lambda: kind(13, 11, d_model=10, n_heads=5, d_ff=7, n_layers=2))
        return well_spoken(model, model.readout)

    return make


def patched(change):
    def make():
        model = transformer()
        change(model)
        return model

    return make


def hook(*call):
    """Change nothing: that there is one is enough."""


UNSEEN = {
    "step": of_class(OwnStep),
    "start": of_class(OwnStart),
    "_embed": of_class(OwnPrivateEmbedding),
    "decode of the instance": patched(lambda m: setattr(m, "decode", lambda *x: None)),
    "step of the instance": patched(lambda m: setattr(m, "step", lambda *x: None)),
    "embed_target of the instance": patched(lambda m: setattr(m, "embed_target", lambda *x: None)),
    "forward of a block": with_blocks(OwnForwardOfBlocks),
    "step of a block": with_blocks(OwnStepOfBlocks),
    "forward of a block's instance": patched(
        lambda m: setattr(m.decoder.blocks[1], "forward", lambda *x: x[0])
    ),
    "follow of the decoder": with_decoder(OwnFollow),
    "forward of the decoder": with_decoder(OwnForwardOfAll),
    "self-attention": with_attention("self_attention"),
    "cross-attention": with_attention("cross_attention"),
    "a hook of a block": patched(lambda m: m.decoder.blocks[1].register_forward_hook(hook)),
    "a hook before a block": patched(lambda m: m.decoder.blocks[0].register_forward_pre_hook(hook)),
    "a hook of the decoder": patched(lambda m: m.decoder.register_forward_hook(hook)),
    "a hook of an attention": patched(
        lambda m: m.decoder.blocks[1].self_attention.register_forward_hook(hook)
    ),
}


@pytest.mark.rejects
@pytest.mark.parametrize("what", UNSEEN)
def test_what_a_cache_would_not_see_is_refused(what):
    model = UNSEEN[what]()
    with pytest.raises(TypeError, match="cached"):
        Cached(model)


@pytest.mark.rejects
@pytest.mark.parametrize("name", ["forward of a block's instance", "a hook of a block"])
def test_what_is_changed_after_the_cache_was_made_is_refused_too(name):
    model = transformer()
    cached = Cached(model)
    greedy(cached, SOURCE, 3)
    changed = UNSEEN[name]()
    model.decoder = changed.decoder
    with pytest.raises(TypeError, match="each block of a cached model must read one token"):
        greedy(cached, SOURCE, 3)


class OwnEmbedding(TransformerTranslator):
    def embed_target(self, target, place=0):
        return 2 * super().embed_target(target, place)


class OwnEncoder(TransformerTranslator):
    def encode(self, source, source_mask=None):
        memory = super().encode(source, *[] if source_mask is None else [source_mask])
        return Memory(memory.states.flip(2), memory.mask)


class OwnMemory(TransformerTranslator):
    def memory_of(self, source, source_mask=None, target_in=None):
        memory = super().memory_of(source, source_mask, target_in)
        return Memory(memory.states.flip(2), memory.mask)


class OwnFirstToken(TransformerTranslator):
    def first_token(self, source, source_mask=None):
        return source[:, 0]


class OwnForward(TransformerTranslator):
    def forward(self, source, target_in, source_mask=None):
        return -super().forward(source, target_in, source_mask)


class OwnBoth(DecoderBlock):
    """Does the same otherwise in both ways."""

    def forward(self, x, memory, mask=None, memory_mask=None):
        return -super().forward(x, memory, mask, memory_mask)

    def step(self, x, kept, mask=None, memory_mask=None):
        x, kept = super().step(x, kept, mask, memory_mask)
        return -x, kept


class OwnFeedForward(FeedForward):
    def forward(self, x):
        return x.sin()


class OwnKeys(MultiHeadAttention):
    def keys_values(self, key, value):
        return tuple(-part for part in super().keys_values(key, value))


def with_feed_forward():
    model = transformer()
    model.decoder.blocks[1].feed_forward = lively(lambda: OwnFeedForward(10, 7))
    return model


def with_keys():
    model = transformer()
    model.decoder.blocks[1].self_attention = lively(lambda: OwnKeys(10, 5))
    model.decoder.blocks[0].cross_attention = lively(lambda: OwnKeys(10, 5))
    return model


SEEN = {
    "embed_target": of_class(OwnEmbedding),
    "encode": of_class(OwnEncoder),
    "memory_of": of_class(OwnMemory),
    "first_token": of_class(OwnFirstToken),
    "forward": of_class(OwnForward),
    "forward and step of a block": with_blocks(OwnBoth),
    "feed-forward": with_feed_forward,
    "keys and values": with_keys,
}


@pytest.mark.parametrize("what", SEEN)
def test_what_a_cache_sees_is_the_same_with_it_and_is_not_that_of_the_plain_model(what):
    model = SEEN[what]()
    plain = transformer()
    plain.load_state_dict(model.state_dict())
    cached = Cached(model)
    found, expected, other = (
        beam_search(one, SOURCE, 7, n_beams=3) for one in (cached, model, plain)
    )
    assert torch.equal(found.ids, expected.ids)
    assert_close(found.log_probs, expected.log_probs, **ROUNDING)
    assert_close(cached(SOURCE, TARGET), model(SOURCE, TARGET), **EXACT)
    if what == "forward":
        assert not torch.equal(model(SOURCE, TARGET), plain(SOURCE, TARGET))
    else:
        assert not torch.allclose(found.log_probs, other.log_probs)


@pytest.mark.parametrize("kind", [OwnStep, OwnStart])
def test_a_step_of_its_own_is_taken_under_teacher_forcing_too(kind):
    model = of_class(kind)()
    forced = torch.stack([logits for logits, _ in steps(model, SOURCE, TARGET)], dim=1)
    assert_close(model(SOURCE, TARGET), forced, **EXACT)
    if kind is OwnStep:
        assert_close(forced, -BlockTranslator.decode(model, TARGET, model.encode(SOURCE)), **TINY)
