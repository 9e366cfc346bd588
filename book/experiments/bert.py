"""Chapter 11: an encoder alone fills gaps in texts that hold one number in words and in digits."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments.bert_measures import (
    alignment,
    count_gaps,
    fill_gaps,
    fine_tune,
    label_measures,
    recipe,
    says,
    share,
)
from book.experiments.measuring import averaged
from book.experiments.running import run_all
from minattn.dot_product import fused_attend
from minattn.language.bert import BERT, Hidden, hidden_batches, hide, masked_loss
from minattn.learning import learn
from minattn.masks import CAUSAL, Mask, Padding
from minattn.positions import LearnedPositions, SinusoidalPositions, with_rotary
from minattn.tasks.two_notations import TwoNotations, labelled, two_notations
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import token_mask

STEPS, BATCH_SIZE, LEARNING_RATE, WARM_UP = 1500, 32, 3e-3, 100
D_MODEL, N_HEADS, N_LAYERS = 64, 4, 2
SHARE = 0.15
SCALE = 2.0
PADDED_TO = 40
LABELS = (100, 200, 500, 1000)

ARMS: dict[str, dict[str, Any]] = {"BERT": {"labels": LABELS}}


class LeftOnly(BERT):
    """Tells every token from those on its left: trained on all of them, it is a language model."""

    def states(self, ids: Tensor, mask: Mask = None) -> Tensor:
        """Let no token see what comes after it."""
        return super().states(ids, CAUSAL & Padding(token_mask(ids)))

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits of every token, told by the state before it."""
        return F.pad(super().forward(ids)[:, :-1], (0, 0, 1, 0))


class WrongWayRound(BERT):
    """Has a mask that is True at padding, as torch's key_padding_mask is and ours is not."""

    def states(self, ids: Tensor, mask: Mask = None) -> Tensor:
        """Attend to padding alone."""
        return super().states(ids, Padding(~token_mask(ids)))


def make_model(
    task: TwoNotations, seed: int, positions: str, sides: str, scale: float = SCALE
) -> BERT:
    """Make a model with fresh weights."""
    attend = with_rotary() if positions == "rotary" else fused_attend
    added: dict[str, Any] = {
        "sinusoidal": lambda: SinusoidalPositions(D_MODEL),
        "learned": lambda: LearnedPositions(PADDED_TO, D_MODEL),
    }
    kind = {"both": BERT, "left": LeftOnly, "padding": WrongWayRound}[sides]
    with seeded(seed):
        blocks = [
            EncoderBlock(D_MODEL, N_HEADS, 4 * D_MODEL, activation=F.gelu, attend=attend)
            for _ in range(N_LAYERS)
        ]
        encoder = TransformerEncoder(blocks, nn.LayerNorm(D_MODEL))
        return kind(
            len(task.vocabulary),
            encoder,
            added.get(positions, nn.Identity)(),
            embedding_scale=scale,
        )


def with_fault(
    fault: str | None, task: TwoNotations, ids: Tensor, seed: int, how: dict[str, Any]
) -> Iterator[Hidden]:
    """Draw batches as they should be drawn, or with one of the faults that are told in the chapter."""
    if fault == "padding":
        ids = F.pad(ids, (0, PADDED_TO - ids.shape[1]))
    batches = hidden_batches(ids, BATCH_SIZE, seed, **how)
    generator = torch.Generator().manual_seed(seed)
    if fault == "drawn once":
        once = hide(ids, generator=generator, **how)
    for batch in batches:
        if fault == "loss over all":
            batch = batch._replace(chosen=token_mask(batch.ids))
        elif fault == "padding":
            also = (batch.ids == 0) & (torch.rand(batch.ids.shape, generator=generator) < SHARE)
            batch = Hidden(
                batch.read.masked_fill(also, task.mask_id), batch.ids, batch.chosen | also
            )
        elif fault == "drawn once":
            rows = torch.randint(len(ids), (BATCH_SIZE,), generator=generator)
            batch = Hidden(*(part[rows] for part in once))
        yield batch


def language_batches(ids: Tensor, task: TwoNotations, seed: int) -> Iterator[Hidden]:
    """Draw whole texts, of which every ordinary token is to be told."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        rows = ids[torch.randint(len(ids), (BATCH_SIZE,), generator=generator)]
        yield Hidden(rows, rows, rows >= task.ordinary.start)


@torch.no_grad()
def reported(model: BERT, batches: Iterator[Hidden]) -> float:
    """Say how many tokens are right of those that the loss counts: what a log of the training shows."""
    seen = list(islice(batches, 30))
    hits = [(model(batch.read).argmax(-1) == batch.ids)[batch.chosen] for batch in seen]
    return share(torch.cat(hits))


def pretrain(
    task: TwoNotations,
    seed: int,
    positions: str = "rotary",
    sides: str = "both",
    fault: str | None = None,
    scale: float = SCALE,
    share: float = SHARE,
    masked: float = 0.8,
    replaced: float = 0.1,
) -> tuple[BERT, dict[str, Any]]:
    """Train one model; return it with what a log of its training shows."""
    model = make_model(task, seed, positions, sides, scale)
    how = {"share": share, "mask_id": task.mask_id, "ordinary": task.ordinary}
    how |= {"masked": masked, "replaced": replaced}

    def batches(numbers: tuple[int, ...], seed: int) -> Iterator[Hidden]:
        ids = task.numbers(numbers)
        if sides == "left":
            return language_batches(ids, task, seed)
        return with_fault(fault, task, ids, seed, how)

    train = batches(task.train, seed)
    losses = learn(
        model,
        train,
        masked_loss,
        recipe(STEPS, LEARNING_RATE, WARM_UP, batch_size=BATCH_SIZE, seed=seed),
        progress=False,
    )
    told = reported(model, batches(task.validation, 1000 + seed))
    return model, {"reported": told, "losses": [round(loss, 4) for loss in averaged(losses, 50)]}


def labels_only(task: TwoNotations, seed: int) -> dict[str, Any]:
    """Train from scratch with a label for every text."""
    texts, agree = labelled(task.train, 200 + seed)
    fresh = make_model(task, 50 + seed, "rotary", "both")
    model = fine_tune(fresh, task.encode(texts), agree, seed, steps=STEPS, rate=2e-3)
    tests, right = labelled(task.held_out, 6)
    return {"from scratch": share(says(model, task.encode(tests)) == right)}


def run(
    seed: int, kind: str = "BERT", labels: tuple[int, ...] = (200,), **settings: Any
) -> dict[str, Any]:
    """Train one model and measure it on numbers that nothing was chosen by."""
    task = two_notations()
    if kind == "labels only":
        return labels_only(task, seed)
    model, found = pretrain(task, seed, **settings)
    fresh = make_model(task, 50 + seed, "rotary", "both")
    left = settings.get("sides") == "left"
    found["gaps"] = fill_gaps(model, task, task.held_out, left)
    found["alignment"] = alignment(model, task, task.held_out[:300], left)
    found["labels"] = label_measures(model, fresh, task, seed, labels)
    if len(labels) > 1:
        found["counts"] = count_gaps(task, task.held_out)
    return found


def main() -> None:
    """Run the arm that the chapter trains."""
    run_all("bert", ARMS, run)


if __name__ == "__main__":
    main()
