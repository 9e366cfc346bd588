"""Chapter 10: a recurrent model of the size of the GPT, on the same texts and in about its time: no attention."""

import math
import time
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from book.experiments.gpt import (
    D_MODEL,
    STEPS,
    encoded,
    make_model,
    make_task,
    recipe,
    sorted_bits,
    sorted_test,
    surprise,
)
from book.experiments.measuring import n_weights
from book.experiments.running import run_all
from minattn.learning import Recipe
from minattn.recipe import train
from minattn.tasks.base import Task
from minattn.tasks.functions import python_functions
from minattn.training import seeded
from minattn.translation import Memory, State, Table, Translator, tokens_of

LEARNING_RATE, DROPOUT = 3e-2, 0.1
"""Chosen, with the number of layers, by the loss on the validation part."""

N_TIMED = 40
"""Steps by which the time of the GPT is measured beside that of the recurrent model."""

ARMS: dict[str, dict[str, Any]] = {"GRU": {"d_state": 144, "n_layers": 1}}


class RecurrentLanguageModel(Translator):
    """A table of tokens, gated recurrent units, and the table once more as readout; its source is ``BOS``."""

    def __init__(self, vocab_size: int, d_state: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.table = Table(vocab_size, D_MODEL, "target_in")
        nn.init.normal_(self.table.weight, std=D_MODEL**-0.5)
        self.gru = nn.GRU(D_MODEL, d_state, n_layers, batch_first=True)
        self.narrow = nn.Linear(d_state, D_MODEL)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Memory:
        """Remember nothing of the source but where it is."""
        return Memory(self.table(source), tokens_of(source, source_mask))

    def start(self, memory: Memory) -> State:
        """Begin with zeros."""
        return (
            memory.states.new_zeros(len(memory.states), self.gru.num_layers, self.gru.hidden_size),
        )

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Read one token."""
        read, after = self.gru(
            self.dropout(self.table(token[:, None])), state[0].transpose(0, 1).contiguous()
        )
        return self.logits(read)[:, 0], (after.transpose(0, 1),)

    def forward(
        self, source: Tensor, target_in: Tensor, source_mask: Tensor | None = None
    ) -> Tensor:
        """Read all tokens in one go."""
        return self.logits(self.gru(self.dropout(self.table(target_in)))[0])

    def logits(self, states: Tensor) -> Tensor:
        """Compare states with the table."""
        return self.narrow(self.dropout(states)) @ self.table.weight.T


def seconds_a_step(model: Translator, task: Task, how: Recipe) -> float:
    """Measure how long the processor takes for a step of training."""
    begin = time.process_time()
    train(model, task, how, progress=False)
    return (time.process_time() - begin) / how.steps


def run(seed: int, d_state: int, n_layers: int) -> dict[str, Any]:
    """Train one model and measure it as the GPT was."""
    functions = python_functions()
    task = make_task(functions)
    words = task.target
    gpt = make_model(len(words), seed)
    with seeded(seed):
        model = RecurrentLanguageModel(len(words), d_state, n_layers, DROPOUT)
    begin = time.process_time()
    how = replace(recipe(seed), learning_rate=LEARNING_RATE)
    losses = train(model, task, how, progress=False)
    took = time.process_time() - begin
    test, of = sorted_test(functions, words)
    bits = surprise(model, encoded(functions.validation, functions, words))
    return {
        "loss": sum(losses[-50:]) / 50 / math.log(2),
        "validation": float(bits.mean()),
        "test": sorted_bits(surprise(model, test), of, sum(map(len, functions.test))),
        "weights": n_weights(model),
        "weights of GPT": n_weights(gpt),
        "seconds": took,
        "seconds of GPT": STEPS * seconds_a_step(gpt, task, recipe(seed, N_TIMED)),
    }


def main() -> None:
    """Run all arms."""
    run_all("gpt_recurrent", ARMS, run)


if __name__ == "__main__":
    main()
