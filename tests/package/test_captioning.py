import pytest
import torch

from minattn.alignment import attention_weights, uniform_attention
from minattn.decoding import beam_search, log_probability, sample
from minattn.dot_product import attend as scaled_dot_product
from minattn.pictures.captioning import Captioner, CellMemory, looking, steered
from minattn.recipe import Recipe, train
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator
from minattn.tasks.captions import captioned, captions
from minattn.tasks.emoji import TRAINED
from minattn.tasks.scenes import scenes
from minattn.training import evaluate, seeded
from minattn.translation import Memory, greedy, translate
from minattn.vocabulary import BOS
from tests.package.strategies import EXACT, ROUNDING, built, normal

D_SOURCE, V, ROWS, COLUMNS, D, HEAD, WORD = 7, 13, 3, 5, 11, 2, 17
B, T = 4, 6
SIZES = {"n_rows": ROWS, "n_columns": COLUMNS, "d_model": D, "d_head": HEAD, "d_words": WORD}


def drawn(**settings):
    model = built(lambda: Captioner(D_SOURCE, V, **SIZES, **settings)).eval()
    with seeded(1), torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


SOURCE = normal(B, ROWS * COLUMNS, D_SOURCE)
TARGET = torch.randint(3, V, (B, T), generator=torch.Generator().manual_seed(2))
TARGET[:, 0] = BOS


def slow(model, source, target):
    """The formulas as they are written, one picture and one cell after the other."""
    w = dict(model.named_parameters())
    found = torch.zeros(len(source), target.shape[1], V, dtype=torch.float64)
    for b, cells in enumerate(source):
        keys, values = [], []
        for i, cell in enumerate(cells):
            x = (cell - cell.mean()) / (cell.var(unbiased=False) + 1e-5).sqrt()
            x = x * w["norm.weight"] + w["norm.bias"]
            for kind, out in (("k", keys), ("v", values)):
                name = {"k": "key", "v": "value"}[kind]
                place = (
                    w[f"{name}_places.rows"][i // COLUMNS]
                    + w[f"{name}_places.columns"][i % COLUMNS]
                )
                out.append(w[f"{kind}_proj.weight"] @ x + w[f"{kind}_proj.bias"] + place)
        h, c, g = (torch.zeros(n).double() for n in (D, HEAD, WORD))
        for t, token in enumerate(target[b]):
            word = w["embedding.weight"][token]
            h = model.gru(torch.cat([word, c])[None], h[None])[0]
            g = model.words(word[None], g[None])[0]
            q = w["q_proj.weight"] @ h + w["q_proj.bias"]
            scores = torch.stack([q @ k for k in keys]) / HEAD**0.5
            weights = scores.exp() / scores.exp().sum()
            c = sum(a * v for a, v in zip(weights, values, strict=True))
            found[b, t] = w["out_proj.weight"] @ c + w["out_proj.bias"]
            found[b, t] += w["words_proj.weight"] @ g
    return found


def test_the_logits_are_the_formulas():
    model = drawn()
    torch.testing.assert_close(model(SOURCE, TARGET), slow(model, SOURCE, TARGET), **ROUNDING)


def test_nothing_of_the_picture_reaches_a_word_but_by_where_it_looks():
    """Made to look at cells that are alike, it says the same of two pictures, whatever it saw before."""
    model = drawn()
    other = normal(B, ROWS * COLUMNS, D_SOURCE, seed=9)
    other[:, 4] = SOURCE[:, 4]
    at = torch.zeros(B, T, ROWS * COLUMNS).double()
    at[..., 4] = 1
    one, two = (steered(model, source, TARGET, at) for source in (SOURCE, other))
    torch.testing.assert_close(one, two, **ROUNDING)
    assert not torch.allclose(model(SOURCE, TARGET), model(other, TARGET))


def test_it_reads_half_precision_and_does_not_change_what_it_read():
    model = drawn()
    half = SOURCE.half()
    torch.testing.assert_close(model(half, TARGET), model(half.double(), TARGET), **EXACT)


def test_every_way_of_writing_works():
    model = drawn()
    mask = torch.ones(SOURCE.shape[:2]).bool()
    words = greedy(model, SOURCE, 5, source_mask=mask)
    one = beam_search(model, SOURCE, 5, n_beams=1, source_mask=mask)
    assert torch.equal(one.ids[:, 0], words)
    wide = beam_search(model, SOURCE, 5, n_beams=3, source_mask=mask)
    for beam in range(3):
        scored = log_probability(model, SOURCE, wide.ids[:, beam], mask)
        torch.testing.assert_close(wide.log_probs[:, beam], scored, **ROUNDING)
    with seeded(0):
        assert len(sample(model, SOURCE, 5, source_mask=mask)) == B


def test_a_memory_is_repeated_with_its_keys():
    memory = drawn().encode(SOURCE)
    twice = memory.repeat(2)
    assert isinstance(twice, CellMemory)
    for name in ("states", "mask", "keys"):
        assert torch.equal(getattr(twice, name), getattr(memory, name).repeat_interleave(2, 0))


# Looking where it is told -------------------------------------------------------------------------


def test_looking_has_the_weights_it_was_given():
    weights = normal(B, 5).softmax(-1)
    query, key = normal(B, 3, 2), normal(B, 5, 2)
    found = attention_weights(looking(weights), query, key)
    torch.testing.assert_close(found, weights[:, None].expand(-1, 3, -1), **ROUNDING)


def test_steered_to_where_it_looks_it_says_the_same():
    model = drawn()
    with recording(model) as record:
        logits = model(SOURCE, TARGET)
    torch.testing.assert_close(steered(model, SOURCE, TARGET, record.weights()), logits, **ROUNDING)


def test_steering_one_step_is_forcing_its_weights_alone():
    model = drawn()
    weights = normal(B, T, ROWS * COLUMNS, seed=5).softmax(-1)
    found = steered(model, SOURCE, TARGET, weights)
    memory = model.encode(SOURCE)
    for t in range(T):
        state = model.start(memory)
        for token in TARGET[:, :t].unbind(1):
            state = model.step(token, state, memory)[1]
        context = (weights[:, t, None] @ memory.states)[:, 0]
        said = model.step(TARGET[:, t], state, memory)[1][2]
        expected = model.out_proj(context) + model.words_proj(said)
        torch.testing.assert_close(found[:, t], expected, **ROUNDING)


def test_before_a_step_is_steered_the_model_looks_where_it_likes():
    """In a model whose state, which has read what was seen, has a say."""
    model = built(lambda: RecurrentTranslator(9, V, d_model=D, attend=scaled_dot_product)).eval()
    source = torch.randint(3, 9, (B, 5), generator=torch.Generator().manual_seed(3))
    weights = normal(B, T, 5, seed=5).softmax(-1)
    found = steered(model, source, TARGET, weights)
    memory = model.encode(source)
    for t in range(T):
        state = model.start(memory)
        for token in TARGET[:, :t].unbind(1):
            state = model.step(token, state, memory)[1]
        with attending(model, lambda attend, there=weights[:, t]: looking(there)):
            expected = model.step(TARGET[:, t], state, memory)[0]
        torch.testing.assert_close(found[:, t], expected, **ROUNDING)


def test_steering_leaves_the_model_alone():
    model = drawn()
    before = model.attend
    steered(model, SOURCE, TARGET, normal(B, T, ROWS * COLUMNS).softmax(-1))
    assert model.attend is before


# Learning -----------------------------------------------------------------------------------------


def test_it_learns_captions_by_heart():
    told = captioned(scenes(5, TRAINED, seed=3), normal(5, 100, D_SOURCE))
    task = captions(told, told, told)
    with seeded(0):
        model = Captioner(D_SOURCE, len(task.target), d_model=32).double()
    recipe = Recipe(steps=150, batch_size=5, learning_rate=1e-2)
    train(model, task, recipe, progress=False)
    assert set(evaluate(model, task).values()) == {1}
    assert translate(model, task, told, 20) == [list(one.target) for one in told]


@pytest.mark.rejects
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: Captioner(0, V), ValueError, "d_source must be at least 1, got 0"),
        (lambda: Captioner(D_SOURCE, V, d_head=0), ValueError, "d_head must be at least 1"),
        (lambda: Captioner(D_SOURCE, V, n_rows=0), ValueError, "at least 1, got 0"),
        (lambda: drawn()(SOURCE[:, 1:], TARGET), ValueError, "each of 15 cells, got 14"),
        (lambda: drawn()(SOURCE[..., 1:], TARGET), ValueError, r"length, 7\).* got \(4, 15, 6\)"),
        (lambda: drawn()(TARGET, TARGET), TypeError, "source must hold floating-point numbers"),
        (
            lambda: drawn().step(TARGET[:, 0], (), Memory(SOURCE, SOURCE[..., 0] > 9)),
            TypeError,
            "needs the CellMemory of its encode",
        ),
        (
            lambda: steered(drawn(), SOURCE, TARGET, torch.ones(B, T, 3)),
            ValueError,
            r"\(4, 6, 15\), got \(4, 6, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_attend_can_be_changed():
    model = drawn()
    with attending(model, lambda attend: uniform_attention):
        inside = model(SOURCE, TARGET)
    assert not torch.allclose(inside, model(SOURCE, TARGET))
