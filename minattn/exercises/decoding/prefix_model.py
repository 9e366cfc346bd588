"""A toy that says what comes next after a prefix, for exercise 8.5."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from minattn.exercises.exercise import numbers
from minattn.vocabulary import BOS, EOS, PAD


@dataclass(frozen=True)
class ToyModel:
    """A model of the targets of one source: log probabilities of the next token after any prefix.

    They depend on all tokens so far. Asked what follows an ``EOS``, the toy talks on, as a trained model does. It
    keeps nothing of what it is given.

    Args:
        seed: another number is another model.
        vocab_size: the three special tokens included.
        end: is added to the logit of ``EOS``.
    """

    seed: int
    vocab_size: int
    end: float = 0.0

    def __call__(self, prefix: Sequence[int]) -> Tensor:
        """Return the log probabilities of the next token, with shape (vocab,)."""
        ids = [int(i) for i in prefix]
        if ids[:1] != [BOS]:
            raise ValueError(f"prefix must begin with BOS, got {ids[:4]}")
        place = self.seed
        for i in ids:
            place = (31 * place + 7 * i + 1) % 1_000_003
        logits = 1.3 * numbers(place, self.vocab_size)
        logits[EOS] += self.end
        if EOS not in ids:
            logits[[PAD, BOS]] -= 6.0
        return logits.log_softmax(0)


def show_search(log_probs_after: ToyModel, n_beams: int, max_length: int) -> str:
    """Write a case: what the toy says first, and after its likeliest first tokens."""
    likely = log_probs_after([BOS]).topk(min(n_beams + 1, 4)).indices.tolist()
    prefixes = [[BOS], *([BOS, i] for i in likely if i != EOS)]
    rows = [f"log_probs_after({ids}) = {_row(log_probs_after(ids))}" for ids in prefixes]
    return "\n".join([f"n_beams = {n_beams}, max_length = {max_length}", *rows, "..."])


def _row(log_probs: Tensor) -> str:
    return f"[{', '.join(f'{x:.2f}' for x in log_probs.tolist())}]"
