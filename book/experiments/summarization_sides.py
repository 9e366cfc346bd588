"""Chapter 13: one change to the pointer of the experiment `summarization` in each arm, with three seeds."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from book.experiments.running import run_all
from book.experiments.summarization import make_model, make_task, measure, recipe
from minattn.alignment import AdditiveAttention
from minattn.language.pointer import (
    KnownWords,
    PointerGenerator,
    WordMemory,
    copied,
    coverage_loss,
    mixture,
)
from minattn.learning import learn
from minattn.recipe import smoothed_loss
from minattn.tasks.summaries import SummaryTask
from minattn.training import batches, seeded
from minattn.translation import Table
from minattn.vocabulary import Batch, token_mask

SEEDS = (0, 1, 2)
LATE = 0.8
"""The share of the steps after which coverage counts, where it comes late."""

ARMS: dict[str, dict[str, Any]] = {
    "clamped ids": {"fault": "clamped ids"},
    "ids modulo": {"fault": "ids modulo"},
    "sum of logs": {"fault": "sum of logs"},
    "repeated words not added": {"fault": "repeated words not added"},
    "additive attention": {"change": "additive"},
    "states without their words": {"change": "bare states"},
    "coverage from the start": {"covered_from": 0.0},
    "coverage at the end": {"covered_from": LATE},
}


class Clamped(KnownWords):
    """Reads every id beyond the vocabulary as the last word of the vocabulary."""

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up."""
        return Table.forward(self, ids.clamp(max=self.num_embeddings - 1))


class Modulo(KnownWords):
    """Begins again at the first row: the first other word is read as padding, the second as BOS, the third as EOS."""

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up."""
        return Table.forward(self, ids % self.num_embeddings)


def sum_of_logs(logits: Tensor, gate: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
    """Average two logarithms, where the logarithm of an average is meant."""
    n_words = max(logits.shape[-1], int(ids.max()) + 1)
    generated = F.pad(logits.softmax(-1), (0, n_words - logits.shape[-1]))
    pointed = copied(weights, ids, n_words)
    share, least = gate.sigmoid()[..., None], 1e-9
    return share * (generated + least).log() + (1 - share) * (pointed + least).log()


def last_place_only(logits: Tensor, gate: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
    """Give a word the weight of the last place where it stands: scatter, where scatter_add is meant."""
    later = ids[:, :, None] == ids[:, None, :]
    last = ~later.triu(1).any(-1)
    return mixture(logits, gate, weights * last[:, None], ids)


def changed(
    task: SummaryTask, seed: int, fault: str | None = None, change: str | None = None
) -> PointerGenerator:
    """Make a model with one fault or one change."""
    model = make_model(task, seed)
    assert isinstance(model, PointerGenerator)
    tables = {"clamped ids": Clamped, "ids modulo": Modulo}
    if fault in tables:
        table = tables[fault](*model.embedding.weight.shape)
        table.weight = model.embedding.weight
        model.embedding = model.encoder.embedding = table
    mixes: dict[str, Callable[..., Tensor]] = {
        "sum of logs": sum_of_logs,
        "repeated words not added": last_place_only,
    }
    if fault in mixes:
        model.mix = mixes[fault]
    if change == "additive":
        d_model = model.embedding.weight.shape[1]
        with seeded(seed):
            model.attend = AdditiveAttention(d_model, d_model, d_model)
    if change == "bare states":

        def encode(source: Tensor, source_mask: Tensor | None = None) -> WordMemory:
            return WordMemory(*model.encoder(source, source_mask), source)

        model.encode = encode  # type: ignore[method-assign]
    return model


def run(seed: int, covered_from: float = 1.0, **settings: Any) -> dict[str, Any]:
    """Train one model and measure it on texts whose names nobody has seen."""
    task = make_task("facts")
    model = changed(task, seed, **settings)
    how = recipe("facts", seed)
    data = task.batch(task.train)
    step = 0

    def loss(model: PointerGenerator, batch: Batch) -> Tensor:
        nonlocal step
        said = model.said(batch.source, batch.target_in)
        step += 1
        found = smoothed_loss(said.log_probs, batch.target_out)
        if step > covered_from * how.steps:
            found = found + coverage_loss(said.weights, token_mask(batch.target_out))
        return found

    generator = torch.Generator().manual_seed(seed)
    rows = batches(len(data), how.batch_size, data.lengths(), generator)
    losses = learn(model, map(data.select, rows), loss, how, progress=False)
    with torch.no_grad():
        batch = task.batch(task.held_out)
        weights = model.said(batch.source, batch.target_in).weights
    found = measure(model, task)
    found.pop("examples")
    looked = coverage_loss(weights, token_mask(batch.target_out)).item()
    return {"loss": sum(losses[-50:]) / len(losses[-50:]), "coverage": looked, **found}


def main() -> None:
    """Run all arms."""
    run_all("summarization_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
