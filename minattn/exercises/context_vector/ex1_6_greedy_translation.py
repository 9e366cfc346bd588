"""Exercise 1.6: greedy translation."""

from typing import Any

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.vocabulary import BOS, EOS, PAD


class ToyMemory:
    """What the toy keeps of a source, for itself to open."""

    def __init__(self, source: Tensor) -> None:
        self.source = source


class ToyTranslator:
    """A translator that anybody can follow by hand, with the interface of the real ones.

    What it says next depends on the source, on the step (its state) and on the token it has read, so a
    decoder that loses one of them says something else. It is as strict as they are: it takes what it has made
    itself for memory and state, and nothing else.

    Args:
        n_words: how many words it says before it says EOS.
    """

    vocab_size = 11
    patience = 100

    def __init__(self, n_words: int) -> None:
        self.n_words = n_words
        self.n_calls = 0

    def __repr__(self) -> str:
        return f"ToyTranslator(n_words={self.n_words})"

    def encode(self, source: Tensor) -> ToyMemory:
        """Read the source."""
        if not isinstance(source, Tensor) or source.ndim != 2 or source.dtype != torch.long:
            raise ValueError(f"encode takes ids of shape (1, n), got {source!r}")
        return ToyMemory(source)

    def start(self, memory: ToyMemory) -> tuple[Tensor, ...]:
        """Return the state before the first step: how many there were, and what the source adds to all."""
        return torch.zeros(1, dtype=torch.long), self._source_of(memory, "start").sum(1) % 5

    @staticmethod
    def _source_of(memory: ToyMemory, method: str) -> Tensor:
        if not isinstance(memory, ToyMemory):
            raise TypeError(f"{method} takes the memory that encode returned, got {memory!r}")
        return memory.source

    def step(
        self, token: Tensor, state: tuple[Tensor, ...], memory: ToyMemory
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token, and return logits of shape (1, vocab_size) and the new state."""
        self.n_calls += 1
        if self.n_calls > self.patience:
            raise RuntimeError(f"step was called more than {self.patience} times")
        if not isinstance(token, Tensor) or token.shape != (1,):
            got = tuple(token.shape) if isinstance(token, Tensor) else repr(token)
            raise ValueError(f"a token for step is a tensor of shape (1,), got {got}")
        if token.dtype not in (torch.long, torch.int):
            raise ValueError(f"a token for step is a whole number, got {token.dtype}")
        if not isinstance(state, tuple) or len(state) != 2:
            raise TypeError(f"step takes the state that start or step returned, got {state!r}")
        source, position = self._source_of(memory, "step"), int(state[0])
        word = (
            int(source[0, position % source.shape[1]]) + 2 * int(token) + position + int(state[1])
        )
        best = EOS if position == self.n_words else 3 + word % (self.vocab_size - 3)
        logits = -0.5 - 0.25 * (torch.arange(self.vocab_size) - best)[None].square()
        return logits, (state[0] + 1, state[1])


def greedy_ids(model: Any, source: Tensor, max_length: int) -> list[int]:
    """Translate one source, taking the likeliest token at every step."""
    memory = model.encode(source)
    state = model.start(memory)
    ids = [BOS]
    while ids[-1] != EOS and len(ids) <= max_length:
        logits, state = model.step(torch.tensor([ids[-1]]), state, memory)
        ids.append(int(logits.argmax()))
    return ids[1:]


def _decode(
    model: Any,
    source: Tensor,
    max_length: int,
    *,
    feed: bool = True,
    carry: bool = True,
    stop: bool = True,
    first_token: int = BOS,
) -> list[int]:
    memory = model.encode(source)
    state = first = model.start(memory)
    ids = [first_token]
    for _ in range(max_length):
        logits, state = model.step(torch.tensor([ids[-1] if feed else BOS]), state, memory)
        state = state if carry else first
        ids.append(int(logits.argmax()))
        if stop and ids[-1] == EOS:
            break
    return ids[1:]


EXERCISE = Exercise(
    number="1.6",
    title="Greedy translation",
    solution=greedy_ids,
    cases=lambda: [
        (ToyTranslator(2), torch.tensor([[6, 2]]), 7),
        (ToyTranslator(4), torch.tensor([[7, 4, 2]]), 11),
        (ToyTranslator(50), torch.tensor([[3, 9, 6, 2]]), 5),
        (ToyTranslator(3), torch.tensor([[8, 3, 5, 2]]), 4),
        (ToyTranslator(0), torch.tensor([[5, 2]]), 3),
        (ToyTranslator(3), torch.tensor([[4, 2]]), 1),
        (ToyTranslator(3), torch.tensor([[4, 2]]), 0),
    ],
    mistakes=[
        Mistake(
            "bos_every_step",
            lambda model, source, n: _decode(model, source, n, feed=False),
            "It looks as if BOS is fed at every step. The model is never told what it has just said, and "
            "each step starts a sentence anew. Which token should the second step read?",
        ),
        Mistake(
            "goes_on_after_eos",
            lambda model, source, n: _decode(model, source, n, stop=False),
            "It goes on after EOS until the limit is reached. What a model says after EOS means nothing: "
            "it was never trained on it. Look at what ends your loop.",
        ),
        Mistake(
            "state_not_carried",
            lambda model, source, n: _decode(model, source, n, carry=False),
            "Every step starts from the first state. The state is all that the decoder remembers of the "
            "steps before. What does step return beside the logits, and where does it go?",
        ),
        Mistake(
            "state_and_token_lost",
            lambda model, source, n: _decode(model, source, n, carry=False, feed=False),
            "Every step gets the same token and the same state, so every step gives the same answer. "
            "Two things have to go from one step to the next. Which?",
        ),
        Mistake(
            "other_start",
            lambda model, source, n: _decode(model, source, n, first_token=PAD),
            "The first token that the model reads is not BOS. It was trained to begin after BOS, which "
            "is 1, and after nothing else.",
            also=[lambda model, source, n: _decode(model, source, n, first_token=EOS)],
        ),
        Mistake(
            "eos_dropped",
            lambda model, source, n: [i for i in greedy_ids(model, source, n) if i != EOS],
            "The words are right, but EOS is missing at the end. The task wants it kept: without it, one "
            "cannot tell a sentence that has ended from one that was cut off at the limit.",
        ),
        Mistake(
            "ids_are_tensors",
            lambda model, source, n: [torch.tensor([i]) for i in greedy_ids(model, source, n)],
            "The ids are right, but each is still a tensor of shape (1,), as step wants it. The task asks "
            "for whole numbers: int(token) makes a number.",
        ),
        Mistake(
            "bos_kept",
            lambda model, source, n: [BOS, *greedy_ids(model, source, n)],
            "BOS stands at the front of the result. It was given to the model; the model did not say it.",
            also=[lambda model, source, n: [BOS, *greedy_ids(model, source, n - 1)]],
        ),
        Mistake(
            "start_without_memory",
            lambda model, source, n: model.start(None),
            "The first state was asked for without the memory. What the decoder knows at the start comes from "
            "the source: hand start what encode returned. (A model of the book needs it too.)",
        ),
        Mistake(
            "source_not_encoded",
            lambda model, source, n: model.start(source),
            "The source itself was given where the memory should be. encode reads the source and returns the "
            "memory; start and step want that.",
        ),
        Mistake(
            "limit_of_zero",
            lambda model, source, n: _decode(model, source, max(n, 1)),
            "A limit of 0 still gets a token: your loop looks at the limit only after it has written one. "
            "max_length may be 0, and then there is nothing to say.",
            also=[lambda model, source, n: _decode(model, source, n or 10**6)],
        ),
        Mistake(
            "one_step_too_many",
            lambda model, source, n: greedy_ids(model, source, n + 1),
            "A sentence that does not end by itself gets one token too many. Count how many tokens "
            "your loop has written when it checks the limit.",
        ),
        Mistake(
            "one_step_too_few",
            lambda model, source, n: greedy_ids(model, source, n - 1),
            "A sentence that does not end by itself gets one token too few. The result may have "
            "max_length tokens, EOS counted; BOS is not part of it.",
        ),
        Mistake(
            "no_limit",
            lambda model, source, n: greedy_ids(model, source, 10**6),
            "One of the models never says EOS early, and your loop waits for it. A badly trained model "
            "does this too. That is what max_length is for.",
        ),
    ],
    laws=[
        Law("there are at most max_length tokens", lambda out, model, source, n: len(out) <= n),
        Law(
            "EOS stands at the end or nowhere",
            lambda out, model, source, n: EOS not in [int(i) for i in out[:-1]],
        ),
    ],
)
