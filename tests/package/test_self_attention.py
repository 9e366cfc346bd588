import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import Causal, Window
from minattn.positions import LearnedPositions, SinusoidalPositions, with_rotary
from minattn.recording import recording
from minattn.self_attention import InPlaceTranslator, LanguageModel, SelfAttentionStack
from minattn.tasks import Example, Task
from minattn.training import evaluate, fit
from minattn.translation import Translator, greedy
from minattn.vocabulary import BOS, EOS, PAD, Vocabulary, pad
from tests.package.strategies import EXACT, ROUNDING, built, normal

SOURCES = [[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]]
TARGETS = [[1, 8, 12, 3, 5], [1, 4], [1, 3, 3]]
SOURCE, TARGET = pad(SOURCES), pad(TARGETS)

PLACES = {
    "no positions": {},
    "sinusoidal": {"positions": SinusoidalPositions(10)},
    "learned": {"positions": built(lambda: LearnedPositions(11, 10))},
    "rotary": {"attend": with_rotary()},
}
"""Every way to tell a model where tokens stand, as settings."""

places = pytest.mark.parametrize("settings", PLACES.values(), ids=PLACES)
attends = pytest.mark.parametrize("inner", [attend, fused_attend], ids=["attend", "fused_attend"])


def stack(n_layers=2, **settings):
    return built(lambda: SelfAttentionStack(11, d_model=10, n_layers=n_layers, **settings))


def in_place(**settings):
    return built(lambda: InPlaceTranslator(11, 13, d_model=10, n_layers=2, **settings))


def language_model(n_layers=2, **settings):
    return built(lambda: LanguageModel(13, d_model=10, n_layers=n_layers, **settings))


def reference_layer(layer, x, allowed):
    """Let one row of token vectors attend to itself, one pair of tokens at a time; return weights too."""
    w_q, w_k, w_v = (p.weight.detach() for p in (layer.q_proj, layer.k_proj, layer.v_proj))
    n = len(x)
    weights, output = torch.zeros(n, n).double(), torch.zeros_like(x)
    for i in range(n):
        scores = {j: float((w_q @ x[i]) @ (w_k @ x[j])) for j in range(n) if allowed(i, j)}
        powers = {j: math.exp(score / math.sqrt(len(w_k))) for j, score in scores.items()}
        for j, power in powers.items():
            weights[i, j] = power / sum(powers.values())
            output[i] += weights[i, j] * (w_v @ x[j])
    return weights, output


def reference_stack(model, ids, allowed=lambda i, j: True):
    """Compute the vectors of one sentence and the weights of every layer."""
    x, weights = model.embedding.weight.detach()[ids], []
    if model.positions is not None:
        x = model.positions(x).detach()
    for layer in model.layers:
        found, output = reference_layer(layer, x, allowed)
        weights.append(found)
        x = x + output
    return x, weights


# The stack


@attends
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("where", ["no positions", "sinusoidal", "learned"])
def test_a_stack_is_its_layers_one_after_the_other_written_out(inner, n_layers, where):
    model = stack(n_layers, attend=inner, **PLACES[where])
    assert len(model.layers) == n_layers
    expected, _ = reference_stack(model, SOURCES[0])
    assert_close(model(SOURCE[:1])[0], expected, **ROUNDING)


def test_every_layer_of_a_stack_keeps_to_the_mask():
    model = stack(3)
    expected, _ = reference_stack(model, SOURCES[0], lambda i, j: i - 1 <= j <= i)
    assert_close(model(SOURCE[:1], Window(before=1, after=0))[0], expected, **ROUNDING)


def test_every_layer_of_a_stack_attends_as_it_was_told():
    calls = []

    def counted(query, key, value, mask=None):
        calls.append(query.shape)
        return attend(query, key, value, mask)

    stack(3, attend=counted)(SOURCE)
    assert calls == [(3, 5, 10)] * 3


@given(
    order=st.permutations(range(7)),
    seed=st.integers(0, 1000),
    n_layers=st.integers(1, 3),
    masked=st.booleans(),
)
def test_without_positions_tokens_in_another_order_give_the_outputs_in_that_order(
    order, seed, n_layers, masked
):
    model, order = stack(n_layers), torch.tensor(order)
    ids = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(seed))
    mask = normal(2, 7, 7, seed=seed) > 0 if masked else None
    moved = mask if mask is None else mask[:, order][:, :, order]
    assert_close(model(ids[:, order], moved), model(ids, mask)[:, order], **ROUNDING)


@pytest.mark.parametrize("where", ["sinusoidal", "learned", "rotary"])
def test_with_positions_order_matters(where):
    model = stack(**PLACES[where])
    difference = model(SOURCE.flip(1)) - model(SOURCE).flip(1)
    assert difference.abs().max() > 0.01


def test_only_rotary_lets_all_tokens_move_on_together():
    longer = torch.cat([torch.full((3, 2), 6), SOURCE], dim=1)
    seen = (torch.arange(7) >= 2).expand(3, 1, 7)
    for where, same in (("rotary", True), ("sinusoidal", False), ("learned", False)):
        model = stack(**PLACES[where])
        assert torch.allclose(model(longer, seen)[:, 2:], model(SOURCE), atol=1e-9) == same


@places
def test_gradients_reach_every_weight(settings):
    model = language_model(**settings)
    model(None, TARGET).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and bool((weight.grad != 0).any()), name


@pytest.mark.parametrize("where", ["sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize("make", [in_place, language_model], ids=["in place", "language"])
def test_a_model_hands_its_settings_to_its_stack(make, where):
    # The seed is the same, and so are the weights.
    difference = make(**PLACES[where])(SOURCE, TARGET) - make()(SOURCE, TARGET)
    assert difference.abs().max() > 0.01


# What answers in place


@places
def test_all_places_at_once_are_the_places_one_by_one(settings):
    model = in_place(**settings)
    at_once = model(SOURCE, TARGET)
    assert at_once.shape == (3, 5, 13)
    assert_close(at_once, Translator.forward(model, SOURCE, TARGET), **ROUNDING)
    assert_close(model(SOURCE, TARGET[:, :2]), at_once[:, :2], **ROUNDING)


@places
def test_an_answer_in_place_is_the_readout_of_the_stack_without_padding(settings):
    model = in_place(**settings)
    for row, ids in enumerate(SOURCES):
        n = len(ids)
        expected = model.readout(model.stack(torch.tensor([ids])))
        assert_close(model(SOURCE, TARGET)[row, :n], expected[0], **ROUNDING)


@places
@given(n_more=st.integers(1, 4))
def test_longer_padding_changes_no_answer_in_place(settings, n_more):
    model = in_place(**settings)
    wider = torch.cat([SOURCE, torch.full((3, n_more), PAD)], dim=1)
    assert_close(model(wider, TARGET), model(SOURCE, TARGET), **ROUNDING)


@places
def test_a_row_alone_is_the_row_in_its_batch(settings):
    for model in (in_place(**settings), language_model(**settings)):
        together = model(SOURCE, TARGET)
        for row in range(3):
            alone = model(SOURCE[row : row + 1], TARGET[row : row + 1])
            assert_close(alone[0], together[row], **ROUNDING)


@given(st.integers(0, 1000))
def test_an_answer_in_place_does_not_read_what_was_answered_before(seed):
    model = in_place()
    other = torch.randint(13, (3, 5), generator=torch.Generator().manual_seed(seed))
    assert_close(model(SOURCE, other), model(SOURCE, TARGET), **EXACT)
    memory = model.encode(SOURCE)
    logits, _ = model.step(other[:, 0], model.start(memory), memory)
    assert_close(logits, model(SOURCE, TARGET)[:, 0], **ROUNDING)


def test_every_answer_in_place_sees_every_source_token():
    model, logits = in_place(), in_place()(SOURCE, TARGET)
    for position in range(5):
        other = SOURCE.clone()
        other[0, position] = 6
        moved = (model(other, TARGET) - logits)[0].abs().amax(-1)
        assert bool((moved > 1e-6).all())


def copyist():
    """Make a model whose answer in each place is the token that stands there."""
    model = built(lambda: InPlaceTranslator(13, 13, d_model=13))
    with torch.no_grad():
        model.stack.embedding.weight.copy_(torch.eye(13))
        model.stack.layers[0].v_proj.weight.zero_()
        model.readout.weight.copy_(torch.eye(13))
        model.readout.bias.zero_()
    return model


def test_a_greedy_translation_in_place_stops_at_the_end_of_the_source():
    assert greedy(copyist(), SOURCE, max_length=9).tolist() == SOURCE.tolist()


def test_beyond_the_last_place_the_last_answer_is_given_again():
    assert greedy(copyist(), torch.tensor([[5, 9, 3]]), max_length=6).tolist() == [
        [5, 9, 3, 3, 3, 3]
    ]


# What goes on writing


@places
@given(position=st.integers(1, 4), token=st.integers(3, 12))
def test_later_tokens_do_not_change_earlier_logits(settings, position, token):
    model = language_model(**settings)
    other = TARGET.clone()
    other[:, position:] = token
    before, after = model(SOURCE, TARGET), model(SOURCE, other)
    assert_close(after[:, :position], before[:, :position], **ROUNDING)


@places
def test_every_token_so_far_matters(settings):
    model = language_model(**settings)
    for position in range(5):
        other = TARGET.clone()
        other[0, position] = 6
        moved = (model(None, other) - model(None, TARGET))[0].abs().amax(-1)
        assert bool((moved[position:] > 1e-6).all())


@places
def test_without_a_mask_the_model_sees_what_it_is_to_guess(settings):
    model = language_model(mask=None, **settings)
    for position in range(1, 5):
        other = TARGET.clone()
        other[0, position] = 6
        moved = (model(None, other) - model(None, TARGET))[0].abs().amax(-1)
        assert bool((moved[:position] > 1e-6).all())


@places
def test_all_steps_at_once_are_the_steps_one_after_the_other(settings):
    model = language_model(**settings)
    at_once = model(SOURCE, TARGET)
    assert at_once.shape == (3, 5, 13)
    assert_close(at_once, Translator.forward(model, SOURCE, TARGET), **ROUNDING)


def test_without_a_mask_all_steps_at_once_are_not_the_steps_one_after_the_other():
    model = language_model(mask=None)
    one_by_one = Translator.forward(model, SOURCE, TARGET)
    difference = (model(SOURCE, TARGET) - one_by_one).abs().amax(-1)
    assert bool((difference[:, :-1] > 1e-6).all())
    # The last token has nothing after it, so there is nothing to leak.
    assert_close(model(SOURCE, TARGET)[:, -1], one_by_one[:, -1], **ROUNDING)


@places
def test_logits_are_the_readout_of_a_stack_under_the_mask_of_the_model(settings):
    for mask in (Causal(), Window(before=1, after=0)):
        model = language_model(mask=mask, **settings)
        expected = model.readout(model.stack(TARGET, mask))
        assert_close(model(None, TARGET), expected, **EXACT)
        assert_close(Translator.forward(model, SOURCE, TARGET), expected, **ROUNDING)


@places
def test_a_language_model_does_not_read_the_source(settings):
    model = language_model(**settings)
    logits = model(SOURCE, TARGET)
    for source in (None, SOURCE.flip(0), torch.full((3, 2), 7), TARGET):
        assert_close(model(source, TARGET), logits, **EXACT)
    assert torch.equal(greedy(model, SOURCE, 7), greedy(model, torch.full((3, 2), 7), 7))


@places
def test_greedy_writing_takes_the_likeliest_token_after_all_those_before(settings):
    model = language_model(**settings)
    written = torch.full((3, 1), BOS)
    with torch.no_grad():
        for _ in range(7):
            likeliest = model(SOURCE, written)[:, -1].argmax(-1)
            ended = (written == EOS).any(1)
            likeliest = likeliest.masked_fill(ended, PAD)
            written = torch.cat([written, likeliest[:, None]], dim=1)
    said = greedy(model, SOURCE, max_length=7)
    assert torch.equal(said, written[:, 1 : 1 + said.shape[1]])
    assert len(set(said[0].tolist())) > 1


# Weights


@attends
@pytest.mark.parametrize("where", ["no positions", "sinusoidal", "learned"])
@pytest.mark.parametrize(
    ("make", "sentences", "allowed"),
    [(in_place, SOURCES, lambda i, j: True), (language_model, TARGETS, lambda i, j: j <= i)],
    ids=["in place", "language"],
)
def test_the_recorded_weights_of_each_layer_are_the_softmax_by_hand(
    inner, where, make, sentences, allowed
):
    model = make(attend=inner, **PLACES[where])
    plain = model(SOURCE, TARGET)
    with recording(model) as record:
        recorded = model(SOURCE, TARGET)
    assert_close(recorded, plain, **EXACT)
    assert list(record.calls) == ["stack.layers.0", "stack.layers.1"]
    for row, ids in enumerate(sentences):
        n = len(ids)
        _, expected = reference_stack(model.stack, ids, allowed)
        for number in range(2):
            weights = record.weights(f"stack.layers.{number}")
            assert weights.shape == (3, 5, 5)
            assert_close(weights.sum(-1), torch.ones(3, 5).double(), **ROUNDING)
            assert_close(weights[row, :n, :n], expected[number], **ROUNDING)
            assert_close(weights[row, :n, n:], torch.zeros(n, 5 - n).double(), **EXACT)


def test_greedy_writing_is_recorded_with_one_query_more_in_every_step():
    model = language_model(positions=SinusoidalPositions(10))
    with recording(model) as record:
        said = greedy(model, SOURCE, max_length=4)
    with recording(model) as forced:
        model(None, torch.cat([torch.full((3, 1), BOS), said[:, :-1]], dim=1))
    for name, calls in record.calls.items():
        assert [call.shape for call in calls] == [(3, n, n) for n in range(1, 5)]
        for n, call in enumerate(calls, start=1):
            assert_close(call, forced.weights(name)[:, :n, :n], **ROUNDING)


# Training

LETTERS = Vocabulary("a b c d e".split())
NEXT = dict(zip("abcde", "bcdea", strict=True))


def task(answer):
    """Make a task of all words of two and three letters, every fourth of them held out."""
    words = [(a, b, *c) for a in "abcde" for b in "abcde" for c in ("", "a", "d")]
    examples = []
    for word in words:
        places = [place if place < len(word) else None for place in range(len(answer(word)))]
        examples.append(Example(word, answer(word), tuple(places), len(word)))
    held_out = tuple(examples[::4])
    train = tuple(example for example in examples if example not in held_out)
    return Task("words", LETTERS, LETTERS, train, held_out)


def cipher(word):
    return tuple(NEXT[letter] for letter in word)


def test_what_answers_in_place_learns_a_cipher():
    model = built(lambda: InPlaceTranslator(8, 8, d_model=16)).float()
    losses = fit(model, task(cipher), steps=60, learning_rate=0.03, progress=False)
    assert losses[0] > 1.5 and losses[-1] < 0.1
    assert evaluate(model, task(cipher)) == {2: 1.0, 3: 1.0}


def test_what_goes_on_writing_learns_the_one_sentence_there_is():
    sentence = tuple("abcabd")  # a letter alone does not tell what comes after it
    model = built(lambda: LanguageModel(8, d_model=16, positions=SinusoidalPositions(16))).float()
    losses = fit(model, task(lambda word: sentence), steps=60, learning_rate=0.03, progress=False)
    assert losses[0] > 1.5 and losses[-1] < 0.1
    assert evaluate(model, task(lambda word: sentence)) == {2: 1.0, 3: 1.0}


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"vocab_size": 11, "d_model": 0}, "d_model must be at least 1, got 0"),
        ({"vocab_size": 11, "n_layers": -1}, "n_layers must be at least 1, got -1"),
    ],
)
def test_a_stack_rejects_sizes(settings, message):
    with pytest.raises(ValueError, match=message):
        SelfAttentionStack(**settings)


@pytest.mark.rejects
def test_an_answer_in_place_that_is_longer_than_its_source_is_rejected():
    with pytest.raises(ValueError, match=r"cannot be longer .* got 3 target and 2 source tokens"):
        in_place()(SOURCE[1:2, :2], TARGET[:1, :3])


@pytest.mark.rejects
@pytest.mark.parametrize("make", [in_place, language_model], ids=["in place", "language"])
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE[:0], TARGET[:0], r"neither 0, got \(0, 5\)"),
        (SOURCE, TARGET[:, :0], r"target_in .* neither 0, got \(3, 0\)"),
        (SOURCE * 0, TARGET, "at least one token, got only padding in row 0"),
        (SOURCE.flip(1), TARGET, r"padding must stand behind the tokens, got \[0, 0, 0, 2, 7\]"),
    ],
)
def test_ids_that_no_model_can_read_are_rejected(make, source, target, message):
    with pytest.raises(ValueError, match=message):
        make()(source, target)


@pytest.mark.rejects
def test_a_language_model_without_a_source_rejects_no_targets():
    with pytest.raises(ValueError, match=r"neither 0, got \(0, 5\)"):
        language_model()(None, TARGET[:0])


@pytest.mark.rejects
@pytest.mark.parametrize("make", [in_place, language_model], ids=["in place", "language"])
def test_two_batches_of_different_size_are_rejected(make, unchecked):
    with pytest.raises(ValueError, match=r"same batch size, got \(3, 5\) and \(2, 5\)"):
        make()(SOURCE, TARGET[:2])


def test_beyond_its_end_a_row_of_a_batch_is_answered_as_alone():
    model = built(lambda: InPlaceTranslator(12, 13, d_model=6)).eval()
    source = pad([[5, 9, 3, 10, 2], [7, 4]])
    together = greedy(model, source, max_length=7)[1]
    alone = greedy(model, source[1:, :2], max_length=7)[0]
    n = min(len(together), len(alone))
    assert n > 2
    assert together[:n].tolist() == alone[:n].tolist()


@pytest.mark.rejects
def test_a_target_vocabulary_needs_a_token():
    with pytest.raises(ValueError, match="target_vocab_size must be at least 1, got 0"):
        InPlaceTranslator(12, 0)
