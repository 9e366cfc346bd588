"""Chapter 21: ways of explaining a decision, on models that are trained in seconds, beside what is known."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from book.experiments import head_roles, self_attention
from book.experiments.explanation_measures import Case, explained
from book.experiments.running import run_all
from book.experiments.soft_attention import BATCH_SIZE, D_MODEL, STEPS, make_attend
from minattn.masks import CAUSAL
from minattn.pointing import one_right_key
from minattn.probing.attribution import log_odds
from minattn.recurrent import RecurrentTranslator
from minattn.self_attention import InPlaceTranslator, LanguageModel
from minattn.tasks import Example, Task, gold_alignment, number_words, repetition, reversal
from minattn.training import fit, seeded
from minattn.translation import Translator
from minattn.vocabulary import token_mask

N_EXPLAINED = 24
"""Examples whose decisions are explained; a head is chosen by as many others."""

ARMS: dict[str, dict[str, Any]] = {
    "number words, recurrent": {"kind": "recurrent"},
    "reversal, 2 layers": {"kind": "reversal"},
    "repetition, 4 heads": {"kind": "repetition"},
}


def parts_of(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Take two parts of some examples, of all lengths: to choose by, and to measure on."""
    n = max(1, len(examples) // (2 * N_EXPLAINED))
    return tuple(examples[::n][::2][:N_EXPLAINED]), tuple(examples[::n][1::2][:N_EXPLAINED])


def translated(model: Translator, task: Task, examples: Sequence[Example], **places: Any) -> Case:
    """Make a case of a translator that reads a source and says a target, given the right words before."""
    batch, gold = task.batch(examples), gold_alignment(examples)
    n_queries, n_keys = batch.target_out.shape[1], batch.source.shape[1]
    padded = torch.full((len(gold), n_queries), -1)
    padded[:, : gold.shape[1]] = gold

    def logits() -> Tensor:
        found: Tensor = model(batch.source, batch.target_in)
        return found

    with torch.no_grad():
        right = (logits().argmax(-1) == batch.target_out) & token_mask(batch.target_out)
    return Case(
        decide=lambda: log_odds(logits(), batch.target_out),
        right=right,
        truth=one_right_key(padded, n_keys),
        allowed=token_mask(batch.source)[:, None],
        **places,
    )


def recurrent(seed: int) -> tuple[Translator, Task, dict[str, Any]]:
    """Train chapter 2's translator."""
    task = number_words()
    with seeded(seed):
        model = RecurrentTranslator(
            len(task.source),
            len(task.target),
            d_model=D_MODEL,
            attend=make_attend("multiplicative", True, 8.0, 0.0),
            bidirectional=True,
        )
    fit(model, task, steps=STEPS, seed=seed, batch_size=BATCH_SIZE, progress=False)
    return model, task, {"parts": [model], "inputs": model.encoder.embedding}


def reversed_(seed: int) -> tuple[Translator, Task, dict[str, Any]]:
    """Train chapter 4's two layers to say letters in reverse order."""
    task = reversal()
    model: InPlaceTranslator = self_attention.make_model(task, seed)
    fit(
        model,
        task,
        steps=self_attention.STEPS,
        seed=seed,
        learning_rate=self_attention.LEARNING_RATE,
        progress=False,
    )
    stack = model.stack
    places = {"parts": list(stack.layers), "inputs": stack.embedding, "stack": stack}
    return model, task, places


def repeated(seed: int) -> tuple[LanguageModel, Task, dict[str, Any]]:
    """Train chapter 5's language model to say a list again."""
    task = repetition()
    model = head_roles.make_model(task, seed, 4)
    fit(model, task, steps=head_roles.STEPS, seed=seed, progress=False)
    stack = model.stack
    return model, task, {"parts": list(stack.layers), "inputs": stack.embedding, "stack": stack}


def repetition_case(
    model: nn.Module, task: Task, examples: Sequence[Example], **places: Any
) -> Case:
    """Make a case of a second round: the letter to be said stands in the first."""
    batch = task.batch(examples)
    length = torch.tensor([[example.length] for example in examples])
    n = batch.target_in.shape[1]
    place = torch.arange(n)
    second = (place > length) & (place < 2 * length)

    def logits() -> Tensor:
        found: Tensor = model(None, batch.target_in)
        return found

    with torch.no_grad():
        right = logits().argmax(-1) == batch.target_out
    return Case(
        decide=lambda: log_odds(logits(), batch.target_out),
        right=right,
        truth=one_right_key((place - length + 1).masked_fill(~second, -1), n),
        allowed=CAUSAL.to_bool((n, n)).expand(len(examples), n, n),
        **places,
    )


Trained = Callable[[int], tuple[Any, Task, dict[str, Any]]]
KINDS: dict[str, tuple[Trained, Callable[..., Case]]] = {
    "recurrent": (recurrent, translated),
    "reversal": (reversed_, translated),
    "repetition": (repeated, repetition_case),
}


def run(seed: int, kind: str) -> dict[str, Any]:
    """Train one model, and explain what it decides in every way."""
    make, case = KINDS[kind]
    model, task, places = make(seed)
    model.eval()
    chosen_by, shown = (case(model, task, part, **places) for part in parts_of(task.held_out))
    return explained(chosen_by, shown)


def main() -> None:
    """Run all arms."""
    run_all("explanation", ARMS, run)


if __name__ == "__main__":
    main()
