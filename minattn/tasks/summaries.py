"""Texts with words that are in no vocabulary, and a short text for each that says some of these words again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from minattn.tasks.base import Example, Task
from minattn.vocabulary import BOS, EOS, SPECIALS, Batch, Vocabulary, pad

UNKNOWN = "<unk>"
"""What stands for every word that is not in the vocabulary."""

UNK = len(SPECIALS)
"""Its id, the first after those of the special tokens."""


def summary_vocabulary(words: Iterable[str]) -> Vocabulary:
    """Make one vocabulary for texts and summaries, with a token for all other words.

    >>> summary_vocabulary(["moved", "to"]).encode(["<unk>", "moved"])
    [3, 4]
    """
    return Vocabulary([UNKNOWN, *words])


@dataclass(frozen=True)
class SummaryTask(Task):
    """Summaries of texts, where a word that the vocabulary lacks has a number of its own in its text.

    The vocabulary has V ids. In each text the first other word gets the id V, the next one V + 1, and so on: the
    extended vocabulary of this text. In another text the same ids are other words. So no table of embeddings can have
    a row for them, but a model can say them: by pointing at where they stand.

    Args:
        validation: examples to make choices by.
        extended: whether other words have ids of their own; else all of them are ``UNKNOWN``.

    References:
        See et al. 2017, arXiv:1704.04368, section 2.2.

    >>> words = summary_vocabulary(["moved", "to"])
    >>> one = Example(("Molvar", "moved", "to", "Tisk"), ("Tisk", ":", "Molvar"), (3, None, 0), 4)
    >>> task = SummaryTask("moves", words, words, (one,), (one,), (one,))
    >>> task.batch([one]).source, task.batch([one]).target_out
    (tensor([[6, 4, 5, 7, 2]]), tensor([[7, 3, 6, 2]]))
    >>> task.words([7, 6, 2], one)
    ['Tisk', 'Molvar']
    """

    validation: tuple[Example, ...] = field(repr=False)
    extended: bool = True

    def batch(self, examples: Iterable[Example]) -> Batch:
        """Encode and pad examples, each with the extended vocabulary of its text.

        Raises:
            ValueError: if there is no example, a text is empty, or holds a special token.
        """
        sources: list[list[int]] = []
        targets: list[list[int]] = []
        for example in examples:
            here = self.vocabulary_of(example.source)
            for tokens, rows in ((example.source, sources), (example.target, targets)):
                special = next((token for token in tokens if token in SPECIALS), None)
                if special is not None:
                    raise ValueError(f"a text must hold no special token, got {special!r}")
                rows.append(here.encode(t if t in here else UNKNOWN for t in tokens))
        return Batch(
            source=pad([*ids, EOS] for ids in sources),
            target_in=pad([BOS, *ids] for ids in targets),
            target_out=pad([*ids, EOS] for ids in targets),
        )

    def vocabulary_of(self, source: Sequence[str]) -> Vocabulary:
        """Return the vocabulary with the other words of a text behind it, in the order in which they come."""
        if not self.extended:
            return self.source
        other = [token for token in source if token not in self.source]
        return Vocabulary([*self.source.tokens[len(SPECIALS) :], *other])

    def words(self, ids: Iterable[int], example: Example) -> list[str]:
        """Turn what a model wrote into tokens; ids beyond the vocabulary are words of this example's text."""
        return self.vocabulary_of(example.source).decode(ids)

    def truth(self, batch: Batch) -> Bool[Tensor, "batch queries keys"]:
        """Say where each word of a summary that is in no vocabulary stands in its text.

        Other words, which a model can say without pointing, have no right key.
        """
        other = (batch.target_out >= len(self.source))[..., None]
        return other & (batch.target_out[..., None] == batch.source[:, None])
