"""The engine of the live pages says in a browser what minattn says here; its files are what they claim."""

import base64
import itertools
import json
import math
import os
import random
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from num2words import num2words
from playwright.sync_api import Browser, Page

from book.tools import live
from book.tools.browsing import CHROMIUM, MISSING, ROOT
from minattn import live_export
from minattn.alignment import AdditiveAttention, MultiplicativeAttention, attention_weights
from minattn.dot_product import DotProductAttention, attend
from minattn.positions import SinusoidalPositions
from minattn.probing.heads import without_heads
from minattn.recording import recording
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.tasks import Task, number_example, number_words
from minattn.training import evaluate
from minattn.transformer import DecoderBlock, EncoderBlock, TransformerTranslator
from minattn.translation import Translator, translate
from minattn.vocabulary import SPECIALS
from tests.page.live_page import engine_of, read_script, tensors

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

LIVE = ROOT / "book" / "_static" / "live"
NAMES = sorted(live.MODELS)
every_model = pytest.mark.parametrize("name", NAMES)

LARGEST_SCRIPT, LARGEST_MAPS = 400_000, 60_000  # bytes
ADVICE = "Type a whole number from 1 to 999,999,999,999"

# Every step of teacher forcing: what Translator.forward gives, and what was attended to.
FORCE = """async ([model, source, targets]) => {
    const run = typeof model === 'string' ? await minattn.loadModel(model) : minattn.makeModel(...model);
    const memory = run.encode(source);
    let state = run.start(memory);
    const steps = targets.map((token) => {
        const found = run.step(token, state, memory);
        state = found.state;
        return found;
    });
    return {tokens: memory.tokens, weights: memory.weights,
            steps: steps.map(({logits, weights, selfWeights}) => ({logits, weights, selfWeights}))};
}"""
GREEDY = """async ([name, sources]) => {
    const model = await minattn.loadModel(name);
    return sources.map((source) => model.greedy(source).target);
}"""
MESSAGE = """async ([code]) => {
    try { await (0, eval)(code); } catch (error) { return [error.name, error.message]; }
    return null;
}"""

Open = Callable[[Path], Page]


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Open an empty page from a folder, without a server, with the engine that lies in another."""
    blank = tmp_path_factory.mktemp("blank") / "blank.html"
    blank.write_text("<!DOCTYPE html><meta charset='utf-8'><title>blank</title>", "utf-8")
    context = browser.new_context()

    def open_with(live: Path) -> Page:
        page = context.new_page()
        page.goto(blank.as_uri())
        for name in engine_of("translator"):
            page.add_script_tag(url=(live / name).as_uri())
        return page

    yield open_with
    context.close()


@pytest.fixture(scope="module")
def page(opened: Open) -> Page:
    return opened(LIVE)


@pytest.fixture(scope="module")
def task() -> Task:
    return number_words(n_train=1)


def exported(name: str, task: Task) -> Translator:
    """Make a model of minattn with the weights that stand in its files."""
    files = json.loads((LIVE / "weights" / f"{name}.json").read_text("utf-8"))["files"]
    state: dict[str, torch.Tensor] = {}
    for file in files:
        state |= tensors(read_script(LIVE / "weights" / file))
    model = live.MODELS[name].make(len(task.source), len(task.target))
    model.load_state_dict(state)
    return model.eval()


def force(
    model: Translator, source: list[int], target: list[int]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Teacher forcing of one pair: logits, and the weights of all that attends, (heads, queries, keys)."""
    with torch.no_grad(), recording(model) as found:
        logits = model(torch.tensor([source]), torch.tensor([target]))[0]
    weights = {name: torch.cat(calls, dim=-2)[0] for name, calls in found.calls.items()}
    return logits, {name: w if w.ndim == 3 else w[None] for name, w in weights.items()}


def assert_same(
    answer: dict[str, Any], logits: torch.Tensor, weights: dict[str, torch.Tensor], within: float
) -> None:
    """Compare every logit and every weight; a step of the browser has one query."""

    def near(theirs: Any, ours: torch.Tensor) -> None:
        theirs = torch.tensor(theirs, dtype=torch.float64)
        torch.testing.assert_close(theirs, ours.double(), atol=within, rtol=0)

    seen = set()
    for t, step in enumerate(answer["steps"]):
        near(step["logits"], logits[t])
        for name, heads in {**step["weights"], **step["selfWeights"]}.items():
            name = name if name in weights else ""  # a model that attends itself, not by a part
            ours = weights[name]
            causal = name in step["selfWeights"]
            near(heads, ours[:, t, : t + 1] if causal else ours[:, t])
            seen.add(name)
    for name, heads in answer["weights"].items():
        near(heads, weights[name])
        seen.add(name)
    assert len(answer["steps"]) == len(logits)
    assert seen == set(weights)


# --- attention ---------------------------------------------------------------------------------------


def test_attend_is_that_of_minattn(page: Page) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((5, 3), (7, 3), (7, 2), (5, 7))
    )
    mask = torch.rand(5, 7, generator=generator) < 0.6
    mask[2] = False  # a query that may look nowhere
    bias[1, 4] = -math.inf
    for chosen in ({}, {"scale": 0.3}, {"mask": mask}, {"bias": bias, "mask": mask, "scale": 2.0}):
        plain = {k: v.tolist() if torch.is_tensor(v) else v for k, v in chosen.items()}
        found = page.evaluate(
            "([q, k, v, options]) => minattn.attend(q, k, v, options)",
            [query.tolist(), key.tolist(), value.tolist(), plain],
        )
        rest = {k: v for k, v in chosen.items() if k != "mask"}

        def ours(q: Any, k: Any, v: Any, m: Any = None, rest: Any = rest) -> torch.Tensor:
            return attend(q, k, v, m, **rest)

        weights = attention_weights(ours, query, key, chosen.get("mask"))
        output = ours(query, key, value, chosen.get("mask"))
        scores = query @ key.T * chosen.get("scale", 3**-0.5) + chosen.get("bias", 0)
        for name, wanted in (("weights", weights), ("output", output), ("scores", scores)):
            theirs = torch.tensor(found[name], dtype=torch.float64)
            torch.testing.assert_close(theirs, wanted, atol=1e-12, rtol=0, msg=name)


def test_softmax_bears_large_and_forbidden_scores(page: Page) -> None:
    rows = [[1000.0, 1000.0], [-math.inf, 0.0], [-math.inf, -math.inf], []]
    found = page.evaluate("(rows) => rows.map((row) => minattn.softmax(row))", rows)
    assert found == [[0.5, 0.5], [0, 1], [0, 0], []]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("minattn.attend([[1, 2]], [[1]], [[1]])", "one width"),
        ("minattn.attend([[1]], [[1], [2]], [[1]])", "one value for each key"),
        ("minattn.attend([[1]], [[1], [2]], [[1], [2]], {mask: [[true]]})", "The mask needs"),
        ("minattn.attend([[1]], [[1]], [[1]], {bias: [[1], [2]]})", "The bias needs"),
    ],
)
def test_attend_refuses_what_does_not_fit(call: str, says: str, page: Page) -> None:
    name, message = page.evaluate(MESSAGE, [call])
    assert name == "Error" and says in message


# --- layers ------------------------------------------------------------------------------------------

MAKE = "([tensors, heads]) => [new minattn.Parameters(new Map(Object.entries(tensors))), heads]"
ENCODE = f"""([parts, tokens, mask, silent]) => {{
    const block = new minattn.EncoderBlock(...({MAKE})(parts));
    return block.forward(tokens, {{mask, silent: silent && new Set(silent)}});
}}"""
DECODE = f"""([parts, tokens, memory, self, cross]) => {{
    const block = new minattn.DecoderBlock(...({MAKE})(parts));
    const options = ([mask, silent]) => ({{mask: mask && [mask], silent: silent && new Set(silent)}});
    let kept = {{
        target: block.selfAttention.keysValues([]), source: block.crossAttention.keysValues(memory)}};
    return tokens.map((token, t) => {{
        const mask = self[0]?.[t].slice(0, t + 1);
        const found = block.step(
            token, kept, {{self: options([mask, self[1]]), cross: options([cross[0]?.[t], cross[1]])}});
        kept = found.kept;
        return {{x: found.x, back: found.back, across: found.across}};
    }});
}}"""


def random_block(kind: type[torch.nn.Module]) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = kind(d_model=10, n_heads=5, d_ff=17).double().eval()
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return block


def parts_of(block: torch.nn.Module) -> list[Any]:
    """What the engine makes the same block of."""
    return [{name: tensor.tolist() for name, tensor in block.state_dict().items()}, 5]


def random_tokens(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, n, 10, generator=generator, dtype=torch.float64)


def random_mask(queries: int, keys: int) -> torch.Tensor:
    mask = torch.rand(queries, keys, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[2] = False  # a query that may look nowhere
    return mask


def near(theirs: Any, ours: torch.Tensor) -> None:
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(theirs, ours, atol=1e-12, rtol=0)


@pytest.mark.parametrize("silent", [None, [], [1], [0, 3], [0, 1, 2, 3, 4]], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_an_encoder_block_is_that_of_minattn(masked: bool, silent: Any, page: Page) -> None:
    """With its mask, and with heads that say nothing; their weights are told all the same."""
    block, tokens = random_block(EncoderBlock), random_tokens(7, seed=1)
    mask = random_mask(7, 7) if masked else None
    with torch.no_grad(), recording(block) as found:
        block(tokens, mask)  # what its heads look at, they look at silent too
        with without_heads(block.self_attention, silent or []):
            wanted = block(tokens, mask)
    theirs = page.evaluate(
        ENCODE, [parts_of(block), tokens[0].tolist(), mask.tolist() if masked else None, silent]
    )
    near(theirs["tokens"], wanted[0])
    near(theirs["weights"], found.calls["self_attention"][0][0])


@pytest.mark.parametrize("silent", [(None, None), ([2], None), (None, [0, 4])], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_a_decoder_block_is_that_of_minattn(masked: bool, silent: Any, page: Page) -> None:
    block = random_block(DecoderBlock)
    tokens, memory = random_tokens(5, seed=1), random_tokens(7, seed=3)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    back, across = (random_mask(5, 5) & causal, random_mask(5, 7)) if masked else (causal, None)
    with torch.no_grad(), recording(block) as found:
        block(tokens, memory, back, across)
        with without_heads(block.self_attention, silent[0] or []):
            block(tokens, memory, back, across)
            with without_heads(block.cross_attention, silent[1] or []):
                wanted = block(tokens, memory, back, across)
    looked_back, looked_across = (
        found.calls[name][call][0] for name, call in (("self_attention", 0), ("cross_attention", 1))
    )
    theirs = page.evaluate(
        DECODE,
        [
            parts_of(block),
            tokens[0].tolist(),
            memory[0].tolist(),
            [back.tolist() if masked else None, silent[0]],
            [across.tolist() if masked else None, silent[1]],
        ],
    )
    near([step["x"] for step in theirs], wanted[0])
    near(
        [[head[0] for head in step["across"]] for step in theirs],
        looked_across.transpose(0, 1),
    )
    for t, step in enumerate(theirs):
        near(step["back"], looked_back[:, t : t + 1, : t + 1])


# --- models ------------------------------------------------------------------------------------------

D_MODEL = 10
ATTENDS: dict[str, Callable[[], Any]] = {
    "final_state": lambda: final_state,
    "additive": lambda: AdditiveAttention(D_MODEL, D_MODEL, 7),
    "multiplicative": lambda: MultiplicativeAttention(D_MODEL, D_MODEL, temperature=3.0),
    "dot_product": lambda: DotProductAttention(d_query=D_MODEL, d_key=D_MODEL, d_k=7, d_v=D_MODEL),
}
SMALL: dict[str, Callable[[], Translator]] = {
    f"{kind}, {attends}, {'both ways' if both else 'one way'}": (
        lambda kind=kind, attends=attends, both=both: RecurrentTranslator(
            11, 13, d_model=D_MODEL, attend=ATTENDS[kind](), attends=attends, bidirectional=both
        )
    )
    for kind, attends, both in itertools.product(ATTENDS, ("before", "after"), (False, True))
}
SMALL["transformer"] = lambda: TransformerTranslator(
    11,
    13,
    d_model=D_MODEL,
    n_heads=5,
    d_ff=17,
    n_layers=3,
    embedding_scale=1.7,
    positions=SinusoidalPositions(D_MODEL, base=70.0),
)


def small_words(n: int) -> list[str]:
    return [*SPECIALS, *(f"w{i}" for i in range(len(SPECIALS), n))]


def small_model(kind: str) -> Translator:
    """Make a random model in which nothing is one or zero, also not the norms."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SMALL[kind]().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("kind", SMALL)
def test_a_small_random_model_gives_the_same_numbers(kind: str, page: Page) -> None:
    model = small_model(kind)
    source, target = small_words(11), small_words(13)
    parts = ("decoder",) if kind == "transformer" else ()
    entries = live_export.entries("small", model, source, target, dtype="float32", parts=parts)
    read, said = [5, 9, 3, 5, 10, 2], [1, 4, 12, 4, 7, 5, 8]
    words = [source[i] for i in read[:-1]], [target[i] for i in said]
    answer = page.evaluate(FORCE, [list(entries.values()), *words])
    assert answer["tokens"] == [*words[0], "<eos>"]
    assert_same(answer, *force(model.double(), read, said), within=1e-5)


CHANGED = """async ([entry, source, targets, silent, hidden]) => {
    const run = minattn.makeModel(entry);
    const changes = {
        silent: new Map(Object.entries(silent).map(([name, heads]) => [name, new Set(heads)])),
        hidden: new Set(hidden),
    };
    const memory = run.encode(source, changes);
    let state = run.start(memory);
    return targets.map((token) => {
        const found = run.step(token, state, memory);
        state = found.state;
        return found.logits;
    });
}"""


@pytest.mark.parametrize("kind", SMALL)
def test_hidden_words_are_masked_keys(kind: str, page: Page) -> None:
    """A recurrent encoder reads them all the same; in a Transformer no head looks at them."""
    model = small_model(kind).double()
    source, target = small_words(11), small_words(13)
    entries = live_export.entries("small", model, source, target, dtype="float32")
    read, said, hidden = [5, 9, 3, 5, 10, 2], [1, 4, 12, 4, 7, 5, 8], [0, 3]
    ids, mask = torch.tensor([read]), torch.ones(1, 6, dtype=torch.bool)
    mask[0, hidden] = False
    wanted = []
    with torch.no_grad():
        if kind == "transformer":
            memory = model.encode(ids, mask)
            state = model.start(memory)
        else:
            memory = model.encode(ids)
            state = model.start(memory)
            memory = memory._replace(mask=mask)
        for token in said:
            logits, state = model.step(torch.tensor([token]), state, memory)
            wanted.append(logits[0])
    words = [source[i] for i in read[:-1]], [target[i] for i in said]
    theirs = page.evaluate(CHANGED, [entries["small"], *words, {}, hidden])
    found = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-5, rtol=0)


@pytest.mark.parametrize("place", ["encoder", "decoder.self", "decoder.cross"])
@pytest.mark.parametrize("block", [0, 2])
def test_a_transformer_without_heads_is_that_of_minattn(block: int, place: str, page: Page) -> None:
    model = small_model("transformer").double()
    source, target = small_words(11), small_words(13)
    entries = live_export.entries("small", model, source, target, dtype="float32")
    side, _, kind = place.partition(".")
    name = f"{side}.blocks.{block}.{kind or 'self'}_attention"
    read, said = [5, 9, 3, 5, 10, 2], [1, 4, 12, 4, 7, 5, 8]
    with without_heads(model.get_submodule(name), [1, 4]):
        logits, _ = force(model, read, said)
    words = [source[i] for i in read[:-1]], [target[i] for i in said]
    theirs = page.evaluate(CHANGED, [entries["small"], *words, {name: [1, 4]}, []])
    found = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(found, logits.double(), atol=1e-5, rtol=0)
    untouched, _ = force(model, read, said)
    assert not torch.allclose(untouched, logits, atol=1e-3)


@pytest.mark.parametrize("temperature", [1e-9, 0.25, 1.0, 3.0, 1e9])
def test_a_temperature_divides_the_logits(temperature: float, page: Page) -> None:
    logits = torch.tensor([3.0, -1.0, 500.0, 499.5, -2.0], dtype=torch.float64)
    found = page.evaluate("([x, t]) => minattn.tempered(x, t)", [logits.tolist(), temperature])
    wanted = ((logits - logits.max()) / temperature).softmax(-1)
    assert found == pytest.approx(wanted.tolist(), abs=1e-12)


def test_words_are_drawn_as_often_as_their_probabilities_say(page: Page) -> None:
    """With an even spread of numbers for chance; and rounding leaves no number without a word."""
    p = [0.125, 0.0, 0.5, 0.375]
    draw = "([p, n]) => Array.from({length: n}, (_, i) => minattn.draw(p, () => (i + 0.5) / n))"
    found = page.evaluate(draw, [p, 800])
    assert [found.count(i) for i in range(4)] == [100, 0, 400, 300]
    assert page.evaluate("minattn.draw([0.2, 0.5, 0.1], () => 0.9999)") == 1


@every_model
def test_an_exported_model_gives_the_same_numbers(name: str, page: Page, task: Task) -> None:
    model = exported(name, task)
    for number in (7, 21, 723_045, 101_101_101, 987_654_321_012):
        example = number_example(number)
        batch = task.batch([example])
        logits, weights = force(model, batch.source[0].tolist(), batch.target_in[0].tolist())
        words = [list(example.source), ["<bos>", *example.target]]
        assert_same(page.evaluate(FORCE, [name, *words]), logits, weights, within=1e-3)


@every_model
def test_greedy_writes_the_same_words(name: str, page: Page, task: Task) -> None:
    """Of 500 held-out numbers: 50 for each length."""
    examples = [e for length in range(3, 13) for e in task.held_out_of(length)[:50]]
    ours = translate(exported(name, task), task, examples)
    theirs = page.evaluate(GREEDY, [name, [list(e.source) for e in examples]])
    assert len(ours) == 500
    assert theirs == ours


@pytest.mark.parametrize("name", ["additive", "transformer"])
def test_greedy_keeps_every_step_and_stops_in_time(name: str, page: Page) -> None:
    found = page.evaluate(
        """async ([name, words]) => {
            const model = await minattn.loadModel(name);
            const [whole, short] = [model.greedy(words), model.greedy(words, 3)];
            return {whole, short: {target: short.target, finished: short.finished}};
        }""",
        [name, list(number_example(723).source)],
    )
    whole, wanted = found["whole"], list(number_example(723).target)
    assert (whole["target"], whole["finished"]) == (wanted, True)
    assert [step["read"] for step in whole["steps"]] == ["<bos>", *wanted]
    assert [step["token"] for step in whole["steps"]] == [*wanted, "<eos>"]
    assert found["short"] == {"target": wanted[:3], "finished": False}
    for step in whole["steps"]:
        assert sum(step["probabilities"]) == pytest.approx(1)
        for heads in step["weights"].values():
            assert [sum(row) for row in heads] == pytest.approx([1] * len(heads))
            assert {len(row) for row in heads} == {len(whole["source"])}


@pytest.mark.parametrize("name", ["additive", "transformer"])
def test_a_step_leaves_the_old_state_as_it_was(name: str, page: Page) -> None:
    """So a page can go back and say another word."""
    first, again = page.evaluate(
        """async ([name, words]) => {
            const model = await minattn.loadModel(name);
            const memory = model.encode(words);
            const {state} = model.step("<bos>", model.start(memory), memory);
            const first = model.step("seven", state, memory);
            model.step("nine", first.state, memory);
            return [first.logits, model.step("seven", state, memory).logits];
        }""",
        [name, list(number_example(723).source)],
    )
    assert first == again


def test_every_half_precision_number_is_read_exactly(page: Page) -> None:
    bits = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = torch.from_numpy(bits[np.isfinite(bits)].astype("f4"))
    model = RecurrentTranslator(len(halves) // 16, 5, d_model=16)
    with torch.no_grad():
        model.encoder.embedding.weight.copy_(halves.view(-1, 16))
    entries = live_export.entries("halves", model, small_words(len(halves) // 16), small_words(5))
    found = page.evaluate(
        """(entry) => minattn.makeModel(entry).parameters.tensors.get('encoder.embedding.weight')
            .flatMap((row) => [...row])""",
        entries["halves"],
    )
    assert found == halves.tolist()


def test_tensors_of_any_number_of_axes_are_unpacked(page: Page) -> None:
    """A scalar, a vector, a matrix, and the kernels of a convolution."""
    tensors = {
        str(len(shape)): torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape) + 0.5
        for shape in ((), (5,), (2, 3), (3, 2, 7, 5))
    }
    entry = {"model": {"kind": "parts"}, **live_export.pack(tensors, "float32")}
    found = page.evaluate(
        """(entry) => {
            minattn.kinds.parts = class { constructor(parameters) { this.parameters = parameters; } };
            const listed = (part) => (part.map ? Array.from(part, listed) : part);
            const tensors = minattn.makeModel(entry).parameters.tensors;
            return Object.fromEntries([...tensors].map(([name, tensor]) => [name, listed(tensor)]));
        }""",
        entry,
    )
    assert found == {name: tensor.tolist() for name, tensor in tensors.items()}


@pytest.mark.parametrize("kind", ["nothing", "constructor"])
def test_a_kind_that_the_engine_does_not_know_is_named(kind: str, page: Page) -> None:
    entry = {"model": {"kind": kind}, **live_export.pack({"one": torch.ones(1)}, "float32")}
    name, message = page.evaluate(MESSAGE, [f"minattn.makeModel({json.dumps(entry)})"])
    assert name == "Error" and message == f"the engine knows no {kind}"


def test_a_word_that_no_model_knows_is_named(page: Page) -> None:
    call = "minattn.loadModel('fixed').then((model) => model.greedy(%s))"
    name, message = page.evaluate(MESSAGE, [call % "['vierzig', 'plunder']"])
    assert name == "Error" and "“plunder”" in message
    name, message = page.evaluate(MESSAGE, [call % "[]"])
    assert name == "Error" and "at least one word" in message


# --- number words ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def numbers() -> list[int]:
    """10,000 numbers of all lengths, and the ones at which something begins or ends."""
    rng = random.Random(0)
    drawn = [rng.randrange(10 ** (n % 12), 10 ** (n % 12 + 1)) for n in range(10_000)]
    ends = [10**n + d for n in range(13) for d in (-1, 0, 1) if 0 < 10**n + d < 10**12]
    ones = [101 * 1000**n for n in range(4)] + [21 * 1000**n for n in range(4)]
    return [*drawn, *range(1, 1000), *ends, *ones]


def test_numbers_are_spelled_as_the_models_read_them(page: Page, numbers: list[int]) -> None:
    found = page.evaluate(
        "(all) => all.map((n) => [minattn.germanWords(n), minattn.englishWords(n)])", numbers
    )
    for number, (german, english) in zip(numbers, found, strict=True):
        example = number_example(number)
        assert (german, english) == (list(example.source), list(example.target)), number


def spellings(number: int) -> list[str]:
    """Write a number in the ways that somebody may type it."""
    words = number_example(number).source
    apart, together = " ".join(words), "".join(words)
    thousands = f"{number:,}"
    swiss = together.replace("ß", "ss")
    return [
        apart,
        together,
        "-".join(words),
        f"  {apart.upper()}\u00a0",
        apart.replace("ü", "u\u0308"),
        swiss.replace("ü", "ue").replace("ö", "oe"),
        re.sub(r"eins(Mill|tausend)", r"ein\1", swiss.lower()),
        re.sub(r"\bein (hundert|tausend)", r"\1", apart),
        re.sub(r"hundert (?!und|tausend|Mill|$)", "hundert und ", apart),
        str(number),
        *(thousands.replace(",", sign) for sign in ",. '’_\u00a0\u202f"),
    ]


def test_numbers_are_read_in_many_spellings(page: Page, numbers: list[int]) -> None:
    typed = [(text, number) for number in numbers[::3] for text in spellings(number)]
    typed += [(num2words(number, lang="de"), number) for number in numbers[::20]]
    wrong = page.evaluate(
        """(typed) => typed.flatMap(([text, number]) => {
            let read;
            try { read = minattn.readGerman(text); } catch (error) { read = error.message; }
            return read === number ? [] : [[text, number, read]];
        })""",
        typed,
    )
    assert wrong == []


def test_freedoms_of_german_and_digits_of_any_script_are_granted(page: Page) -> None:
    typed = {
        "tausend": 1000,
        "hundert": 100,
        "hunderttausend": 100_000,
        "Hundertundeins": 101,
        "tausend und eins": 1001,
        "eine Million und tausend": 1_001_000,
        "zwei Millionen und drei": 2_000_003,
        "ein hundert ein tausend": 101_000,
        "fuenfunddreissig": 35,
        "FÜNFUNDDREISSIG": 35,
        "007": 7,
        "٧٢٣٬٠٤٥": 723_045,
        "۷۲۳": 723,
        "７２３，０４５": 723_045,
        "७२३": 723,
        "𝟟𝟚𝟛": 723,
        "\u200f٧٢٣": 723,
        "\u200b723,045\ufeff": 723_045,
    }
    assert page.evaluate("(all) => all.map(minattn.readGerman)", list(typed)) == list(
        typed.values()
    )


# One a line, empty ones too.
STRANGE = """

0
00
-5
+5
1.5
12,34
1,2345
1,234.567
1e3
3 Millionen
1000000000000
1,000,000,000,000
abc
seven hundred
siebenhundertx
null
drei zehn
drei und
und
und drei
zwanzig drei
drei drei
drei!
<b>
hundert hundert
hundert und
tausend tausend
tausend und
tausend eine Million
eine Million und
eine Millionen
zwei Million
Million
Milliarden
eins und zwanzig
eine und zwanzig
drei und zehn
zwei und hundert
١٢٫٥
³
"""


@pytest.mark.parametrize(
    "typed", [*STRANGE.splitlines(), "   ", "9" * 200, "und" * 50_000, "dreizehn" * 30 + "x"]
)
def test_anything_else_gets_a_kind_answer(typed: str, page: Page) -> None:
    name, message = page.evaluate(MESSAGE, [f"minattn.readGerman({json.dumps(typed)})"])
    assert name == "Error"
    assert ADVICE in message and message.endswith(".")
    assert len(message) < 300, "what was typed is quoted in part"


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e12", "'7'", "NaN", "undefined"])
def test_only_numbers_of_the_task_are_spelled(number: str, page: Page) -> None:
    for speller in ("germanWords", "englishWords"):
        name, message = page.evaluate(MESSAGE, [f"minattn.{speller}({number})"])
        assert name == "Error" and ADVICE in message


# --- files -------------------------------------------------------------------------------------------

CUT = "cut short or broken"


def flip(text: str) -> str:
    """Change one letter in the middle of the weights."""
    middle = text.index('"data":') + len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


BREAKS: dict[str, Callable[[str], str | None]] = {
    "missing": lambda text: None,
    "empty": lambda text: "",
    "cut in the weights": lambda text: text[: len(text) // 2],
    "cut in the table": lambda text: text[: text.index('"table":') + 200],
    "without its last letter": lambda text: text.rstrip()[:-2],
    "weights shorter": lambda text: re.sub(r'("data": ")....', r"\1", text),
    "one letter changed": flip,
    "not base64": lambda text: re.sub(r'("data": ")....', r"\1****", text),
    "a tensor gone": lambda text: re.sub(r'"[a-z0-9_.]*weight":\[0,', '"other":[0,', text),
    "an offset outside": lambda text: re.sub(r"\[0,\[", "[99999999,[", text),
}


@pytest.mark.parametrize("name", ["additive", "transformer"])
@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file_is_told_and_mended(
    name: str, how: str, opened: Open, tmp_path: Path
) -> None:
    live = Path(shutil.copytree(LIVE, tmp_path / "live"))
    file = "transformer_decoder.js" if name == "transformer" else f"{name}.js"
    path = live / "weights" / file
    whole = path.read_text("utf-8")
    damaged = BREAKS[how](whole)
    assert damaged != whole
    if damaged is None:
        path.unlink()
    else:
        path.write_text(damaged, "utf-8")

    page = opened(live)
    call = f"minattn.loadModel('{name}')"
    error, message = page.evaluate(MESSAGE, [call])
    assert error == "Error" and f"weights/{file}" in message
    assert ("could not be loaded" if damaged is None else CUT) in message

    path.write_text(whole, "utf-8")
    assert page.evaluate(MESSAGE, [call]) is None, "a second try loads the file anew"
    page.close()


def test_a_model_is_loaded_once(opened: Open) -> None:
    page = opened(LIVE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert page.evaluate("minattn.loadModel('fixed') === minattn.loadModel('fixed')")
    page.evaluate("minattn.loadModel('fixed').then(() => 1)")
    assert [Path(address).name for address in asked] == ["fixed.js"]
    page.close()


@pytest.mark.parametrize("name", ["nothing", "../fixed", "", "constructor"])
def test_a_model_that_there_is_not_is_named(name: str, page: Page) -> None:
    error, message = page.evaluate(MESSAGE, [f"minattn.loadModel({json.dumps(name)})"])
    assert error == "Error" and (f"“{name}”" in message or f"weights/{name}.js" in message)


@every_model
def test_a_card_agrees_with_its_files(name: str, task: Task) -> None:
    card = json.loads((LIVE / "weights" / f"{name}.json").read_text("utf-8"))
    recipe = live.MODELS[name]
    assert (card["name"], card["title"], card["steps"]) == (name, recipe.title, recipe.steps)
    assert (card["fit"], card["seed"], card["chapter"]) == (recipe.fit, 0, recipe.chapter)
    assert (ROOT / "book" / "chapters" / f"{card['chapter']}.md").exists()
    assert card["held_out_numbers"] == len(task.held_out)

    n_numbers = 0
    for file, size in card["files"].items():
        path = LIVE / "weights" / file
        assert path.stat().st_size == size <= LARGEST_SCRIPT
        entry = read_script(path)
        buffer = base64.b64decode(entry["data"], validate=True)
        assert (len(buffer), zlib.crc32(buffer)) == (entry["bytes"], entry["crc32"])
        offset = 0
        for start, shape in entry["table"].values():
            assert start == offset
            offset += math.prod(shape)
        assert 2 * offset == len(buffer)
        n_numbers += offset
    first = read_script(LIVE / "weights" / f"{name}.js")
    assert [*first["parts"], name] == [Path(file).stem for file in reversed(card["files"])]
    assert (first["source"], first["target"]) == (
        list(task.source.tokens),
        list(task.target.tokens),
    )

    model = exported(name, task)
    assert first["model"] == card["model"] == live_export.settings(model)
    assert n_numbers == card["parameters"] == sum(p.numel() for p in model.parameters())
    for when in ("before", "after"):
        accuracy = card[f"accuracy_{when}_rounding"]
        assert accuracy["mean"] == pytest.approx(np.mean(list(accuracy["by_length"].values())))
    measured = evaluate(model, task, task.held_out_of(9))[9]
    assert card["accuracy_after_rounding"]["by_length"]["9"] == pytest.approx(measured, abs=0.011)


@pytest.mark.parametrize(
    ("name", "n_layers", "n_heads", "causal"), [("reversal", 2, 1, False), ("heads", 2, 4, True)]
)
def test_recorded_maps_are_attention(
    name: str, n_layers: int, n_heads: int, causal: bool, page: Page
) -> None:
    assert (LIVE / "weights" / f"maps_{name}.js").stat().st_size <= LARGEST_MAPS
    found = page.evaluate(f"minattn.loadMaps('{name}')")
    assert found["title"] and found["causal"] == causal
    assert len(found["sequences"]) == 6
    for sequence in found["sequences"]:
        n = len(sequence["tokens"])
        assert len(sequence["answers"]) == n
        assert len(sequence["layers"]) == n_layers
        for layer in sequence["layers"]:
            weights = np.array(layer["heads"])
            assert weights.shape == (n_heads, n, n)
            np.testing.assert_allclose(weights.sum(-1), 1, atol=0.0005 * n + 1e-9)
            assert weights.min() >= 0
            assert not causal or not np.triu(weights, 1).any()


def test_an_export_can_be_made_again(tmp_path: Path) -> None:
    task = number_words(n_train=50, n_held_out_per_length=2)
    kind = live.MODELS["transformer"]
    small = live.LiveModel(kind.title, kind.chapter, kind.make, 5, kind.fit, kind.parts)
    for folder in ("one", "two"):
        live.export_model("small", small, tmp_path / folder, task)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "two")
    )
    assert sorted(one) == ["small.js", "small.json", "small_decoder.js"]
    assert one == two
