import copy
import itertools
import math
from collections import Counter

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
from minattn.transformer import TransformerTranslator
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
    ids, log_probs, scores = beam_search(model, SOURCE, max_length, n_beams=n_beams, alpha=alpha)
    assert ids.shape[:2] == log_probs.shape == scores.shape == (3, n_beams)
    assert ids.dtype == torch.int64
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
    scores = torch.zeros(2, 2)
    assert Beams(ids, scores, scores).best.tolist() == [[5, 3, EOS], [EOS, PAD, PAD]]
    cut = ids.flip(1)
    assert torch.equal(Beams(cut, scores, scores).best, cut[:, 0])


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
    assert_close(log_probability(model, SOURCE, wider), found, **ROUNDING)


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
    message = rf"temperature must be a finite number above 0 .*greedy\), got {temperature}"
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
@pytest.mark.parametrize("p", [0.0, -0.5, 1.01, math.nan])
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
