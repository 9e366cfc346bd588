"""Chapter 22: stored models with a smaller cache: fewer bits, or fewer keys.

Nothing is trained here. What counts as seeds are five parts of the test texts.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import torch

from book.experiments import gpt, t5
from book.experiments.efficient_recall import masked
from book.experiments.running import SEEDS, run_all
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.dot_product import fused_attend
from minattn.language.gpt import GPT, Smeared
from minattn.language.t5 import T5, exact_by_task
from minattn.language.text_to_text import TextExample
from minattn.masks import Window
from minattn.positions import with_rotary
from minattn.recording import attending
from minattn.scaling.caches import HeavyHitters, LowBits
from minattn.scaling.patterns import SinkWindow
from minattn.seam import Attend
from minattn.tasks.functions import python_functions
from minattn.training import teacher_forcing
from minattn.translation import Translator
from minattn.vocabulary import token_mask

BUDGETS = (128, 64, 32, 16, 8)
SINKS = 4
N_TEXTS, N_QUESTIONS = 40, 200
"""At most so many in each of the five parts."""

ARMS: dict[str, dict[str, Any]] = {
    **{f"{model}, {bits} bits": {"model": model, "bits": bits} for model in ("gpt", "t5") for bits in (32, 8, 4)},
    **{f"gpt, heavy hitters {n}": {"kept": "heavy hitters", "n": n} for n in BUDGETS},
    **{f"gpt, window {n}": {"kept": "window", "n": n} for n in BUDGETS},
    **{f"gpt, window with sinks {n}": {"kept": "sinks", "n": n} for n in BUDGETS},
}  # fmt: skip


@cache
def loaded(name: str) -> Translator:
    """Load a stored model."""
    if name == "t5":
        model: Translator = t5.make_model(len(t5.task_of().source), seed=0)
    else:
        model = gpt.make_model(len(gpt.make_task(python_functions()).target), seed=0)
    load_model(stored_model(name), model)
    return model.eval()


def keeping(kept: str, n: int) -> Attend:
    """Return an attend by which a query sees at most n keys, its own among them."""
    if kept == "heavy hitters":
        return HeavyHitters(heavy=n // 2, recent=n - n // 2)
    before = n - 1 - SINKS if kept == "sinks" else n - 1
    pattern = SinkWindow(SINKS, before) if kept == "sinks" else Window(before=before, after=0)
    return partial(masked, pattern=pattern)


def with_inner(model: GPT, attend: Attend) -> None:
    """Give every block of a GPT an attend, behind the smeared keys and the rotary positions."""
    for block in model.decoder.blocks:
        smeared = block.self_attention.attend
        assert isinstance(smeared, Smeared)
        smeared.inner = with_rotary(attend)


def measure_gpt(model: GPT, seed: int) -> dict[str, float]:
    """Return the bits a token, and how often the next token is the likeliest, in one part of the test texts."""
    functions = python_functions()
    words = gpt.make_task(functions).target
    texts = gpt.encoded(functions.test, functions, words)[seed :: len(SEEDS)][:N_TEXTS]
    nats = right = tokens = 0.0
    for text in texts:
        batch = gpt.batch_of([text])
        with torch.no_grad():
            logits = teacher_forcing(model, batch)
        said = token_mask(batch.target_out)
        chosen = logits.log_softmax(-1).gather(-1, batch.target_out[..., None])[..., 0]
        nats -= float(chosen[said].sum())
        right += float((logits.argmax(-1) == batch.target_out)[said].sum())
        tokens += float(said.sum())
    bits = nats / tokens / torch.tensor(2.0).log().item()
    return {"bits a token": bits, "accuracy": right / tokens, "tokens": tokens / len(texts)}


def measure_t5(model: T5, seed: int) -> dict[str, float]:
    """Write the answers to one part of the test questions with a cache; return how many are right."""
    task = t5.task_of()
    test = [e for e in task.held_out if isinstance(e, TextExample)][seed :: len(SEEDS)]
    step = max(1, len(test) // N_QUESTIONS)
    found = exact_by_task(model, task, test[::step])
    return {"accuracy": sum(found.values()) / len(found), "questions": len(test[::step])}


def run(
    seed: int, model: str = "gpt", bits: int = 32, kept: str | None = None, n: int = 0
) -> dict[str, Any]:
    """Measure one model with one kind of cache, in one part of the test."""
    found = loaded(model)
    change: AbstractContextManager[None] = nullcontext()
    if bits < 32:
        change = attending(found, partial(LowBits, bits=bits))
    with change:
        if isinstance(found, T5):
            return measure_t5(found, seed)
        assert isinstance(found, GPT)
        if kept is None:
            return measure_gpt(found, seed)
        with_inner(found, keeping(kept, n))
        try:
            return measure_gpt(found, seed)
        finally:
            with_inner(found, fused_attend)


def main() -> None:
    """Run all arms."""
    run_all("efficient_cache", ARMS, run)


if __name__ == "__main__":
    main()
