"""Chapter 11: a model of the size of BERT that reads from both sides without attention fills the same gaps."""

import random
import time
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from book.experiments.bert import (
    BATCH_SIZE,
    D_MODEL,
    LABELS,
    SHARE,
    STEPS,
    WARM_UP,
    make_model,
)
from book.experiments.bert_measures import (
    check_without_labels,
    fill_gaps,
    fine_tune,
    recipe,
    says,
    share,
    write_tests,
)
from book.experiments.measuring import n_weights
from book.experiments.running import run_all
from minattn.language.bert import BERT, hidden_batches, masked_loss
from minattn.learning import Recipe, learn
from minattn.masks import Mask
from minattn.tasks.two_notations import TwoNotations, labelled, two_notations
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import token_mask

LEARNING_RATE = 1.6e-2
"""Chosen, with the number of layers, by the loss on the validation part."""

N_TIMED = 40
"""Steps by which the time of BERT is measured beside that of the recurrent model."""

N_LABELS = 200

ARMS: dict[str, dict[str, Any]] = {"GRU": {"d_state": 92, "n_layers": 1}}


class RecurrentBERT(BERT):
    """Has gated recurrent units in both directions in the place of its blocks."""

    def __init__(self, vocab_size: int, d_state: int, n_layers: int) -> None:
        super().__init__(vocab_size, TransformerEncoder([EncoderBlock(D_MODEL, 1, 1)]))
        del self.encoder
        self.gru = nn.GRU(D_MODEL, d_state, n_layers, batch_first=True, bidirectional=True)
        self.narrow = nn.Linear(2 * d_state, D_MODEL)

    def states(self, ids: Tensor, mask: Mask = None) -> Tensor:
        """Read from the left and from the right, padding never."""
        lengths = token_mask(ids).sum(1)
        x = self.table(ids) * self.embedding_scale
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        read = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=ids.shape[1])
        return self.narrow(read[0])


def pretrain(model: BERT, task: TwoNotations, how: Recipe) -> tuple[list[float], float]:
    """Train a model to fill gaps; return its losses, and how long the processor took."""
    drawn = hidden_batches(
        task.numbers(task.train),
        BATCH_SIZE,
        how.seed,
        SHARE,
        mask_id=task.mask_id,
        ordinary=task.ordinary,
    )
    begin = time.process_time()
    losses = learn(model, drawn, masked_loss, how, progress=False)
    return losses, time.process_time() - begin


def run(seed: int, d_state: int, n_layers: int) -> dict[str, Any]:
    """Train one model and measure it as BERT was."""
    task = two_notations()
    bert = make_model(task, seed, "rotary", "both")
    with seeded(seed):
        model = RecurrentBERT(len(task.vocabulary), d_state, n_layers)
    losses, took = pretrain(
        model, task, recipe(STEPS, LEARNING_RATE, WARM_UP, batch_size=BATCH_SIZE, seed=seed)
    )
    timed = recipe(N_TIMED, LEARNING_RATE, 1, batch_size=BATCH_SIZE, seed=seed)
    tests = write_tests(task)
    numbers = random.Random(100 + seed).sample(task.train, max(LABELS))[:N_LABELS]  # as BERT's
    texts, agree = labelled(numbers, 200 + seed)
    tuned = fine_tune(model, task.encode(texts), agree, seed)
    asked, right = tests["changed"]
    last = losses[-50:]
    return {
        "loss": sum(last) / len(last),
        "validation": fill_gaps(model, task, task.validation),
        "gaps": fill_gaps(model, task, task.held_out),
        "without labels": {
            name: check_without_labels(model, task, *test) for name, test in tests.items()
        },
        "fine-tuned": share(says(tuned, task.encode(asked)) == right),
        "weights": n_weights(model),
        "weights of BERT": n_weights(bert),
        "seconds": took,
        "seconds of BERT": pretrain(bert, task, timed)[1] / N_TIMED * STEPS,
    }


def main() -> None:
    """Run all arms."""
    run_all("bert_recurrent", ARMS, run)


if __name__ == "__main__":
    main()
