"""Chapter 11: BERT on real words, where little can be looked up: hidden letters of German words, hidden words."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments.bert import D_MODEL, N_HEADS, N_LAYERS, SCALE, SHARE, WARM_UP
from book.experiments.bert_measures import recipe, share
from book.experiments.gpt_recurrent import n_weights
from book.experiments.running import run_all
from minattn.language.bert import BERT, Hidden, ask_each, hidden_batches, hide, masked_loss
from minattn.learning import learn
from minattn.positions import with_rotary
from minattn.tasks import message_pairs
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import BOS, EOS, Vocabulary, pad

SEEDS = (0, 1, 2)
BATCH_SIZE = 32
LETTERS = range(3, 17)
"""How long words are: few are longer."""

BEGINNING = 5
"""Words with so many first letters in common are on one side of the split: most inflected forms of a word."""

MASK, RARE = "<mask>", "<rare>"
ADDED = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""What is tried for how many guesses of a shorter context are added to the counts of a longer one."""

WORD = r"\w+|{}|[^\w\s]"
MANY = 4096
"""More than there are tokens."""

N_DRAWS = 5

ARMS: dict[str, dict[str, Any]] = {
    "letters, counting": {"of": "letters"},
    "words, counting": {"of": "words"},
    "letters": {"of": "letters", "steps": 2000, "dropout": 0.1},
    "words": {"of": "words", "steps": 1500, "dropout": 0.1},
}


@dataclass(frozen=True)
class Parts:
    """Sequences of tokens to learn from, to choose by, and to be tested on; and the tokens."""

    train: Sequence[Sequence[str]] = field(repr=False)
    validation: Sequence[Sequence[str]] = field(repr=False)
    test: Sequence[Sequence[str]] = field(repr=False)
    vocabulary: Vocabulary = field(compare=False)

    @property
    def mask_id(self) -> int:
        """The id of what stands for a hidden token."""
        return self.vocabulary.encode([MASK])[0]

    @property
    def ordinary(self) -> range:
        """The ids of the tokens that may be hidden."""
        return range(self.vocabulary.encode([RARE])[0] + 1, len(self.vocabulary))

    def ids(self, texts: Iterable[Sequence[str]]) -> Tensor:
        """Turn texts into ids, what is not known into ``RARE``."""
        known = set(self.vocabulary.tokens)
        return pad(
            [BOS, *self.vocabulary.encode(t if t in known else RARE for t in text), EOS]
            for text in texts
        )


def with_vocabulary(parts: Sequence[Sequence[Sequence[str]]], least: int) -> Parts:
    """Know the tokens that are said often enough in what is learned from."""
    said = Counter(token for text in parts[0] for token in text)
    known = sorted(token for token, times in said.items() if times >= least)
    return Parts(*parts, Vocabulary([MASK, RARE, *known]))


def letters() -> Parts:
    """Split the German words of the messages."""
    messages = message_pairs()
    every = " ".join(pair.german for pair in (*messages.train, *messages.held_out)).lower()
    words = sorted({word for word in re.findall(r"[a-zäöüß]+", every) if len(word) in LETTERS})
    beginnings = sorted({word[:BEGINNING] for word in words})
    random.Random(0).shuffle(beginnings)
    tenth = len(beginnings) // 10
    held_out = {b: 1 + (place >= tenth) for place, b in enumerate(beginnings[: 3 * tenth])}
    parts: tuple[list[str], ...] = ([], [], [])
    for word in words:
        parts[held_out.get(word[:BEGINNING], 0)].append(word)
    return with_vocabulary(parts, 1)


def words() -> Parts:
    """Split the English sentences of the messages; groups of near copies stay together."""
    test, validation = message_pairs(seed=0), message_pairs(seed=1)
    left = set(test.train)
    pairs = (
        [pair for pair in validation.train if pair in left],
        [pair for pair in validation.held_out if pair in left],
        test.held_out,
    )
    parts = [
        list(dict.fromkeys(tuple(re.findall(WORD, pair.english.lower())) for pair in part))
        for part in pairs
    ]
    return with_vocabulary(parts, 2)


# --- counting


@dataclass(frozen=True)
class Counting:
    """Guesses every token of some texts from what stood between the same neighbours in others.

    A guess is a list: probabilities for the validation part, and for the test part, (texts, seq, vocab) each.
    """

    parts: Parts

    @cached_property
    def ids(self) -> list[Tensor]:
        """The ids of all three parts."""
        return [
            self.parts.ids(p) for p in (self.parts.train, self.parts.validation, self.parts.test)
        ]

    def guesses(self) -> dict[str, list[Tensor]]:
        """Guess from more and more neighbours."""
        chances = torch.zeros(len(self.parts.vocabulary), dtype=torch.double)
        chances[self.parts.ordinary.start :] = 1 / len(self.parts.ordinary)
        once = self.counted((), [chances.expand(*ids.shape, -1) for ids in self.ids[1:]])
        left, right = self.counted((-1,), once), self.counted((1,), once)
        both = self.counted((-1, 1), both_hold(left, right, once))
        more = self.counted((-2, -1, 1), both), self.counted((-1, 1, 2), both)
        return {
            "unigram": once,
            "left neighbour": left,
            "both neighbours": self.counted((-1, 1), once),
            "both neighbours, backed off": both,
            "two on each side, backed off": self.counted((-2, -1, 1, 2), both_hold(*more, both)),
        }

    def counted(self, neighbours: Sequence[int], shorter: list[Tensor]) -> list[Tensor]:
        """Count what stands between neighbours; add as many shorter guesses as are best for the validation part."""
        train, *others = self.ids
        may = train >= self.parts.ordinary.start
        seen, rows = contexts(train, neighbours)[may].unique(return_inverse=True)
        counts = torch.zeros(len(seen) + 1, len(self.parts.vocabulary), dtype=torch.double)
        counts.index_put_((rows, train[may]), torch.ones((), dtype=torch.double), accumulate=True)
        found = []
        for ids in others:
            asked = contexts(ids, neighbours)
            place = torch.searchsorted(seen, asked).clamp(max=len(seen) - 1)
            found.append(counts[torch.where(seen[place] == asked, place, len(seen))])

        def guess(part: int, added: float) -> Tensor:
            total = found[part].sum(-1, keepdim=True)
            return (found[part] + added * shorter[part]) / (total + added)

        def loss(added: float) -> float:
            return scored(
                guess(0, added).log(), others[0], self.parts, asked_about(self.parts, others[0])
            )["loss"]

        best = min(ADDED, key=loss)
        return [guess(part, best) for part in range(len(others))]


def contexts(ids: Tensor, neighbours: Sequence[int]) -> Tensor:
    """Give every set of neighbours a number."""
    found = torch.zeros_like(ids)
    for offset in neighbours:
        shifted = F.pad(ids, (2, 2))[:, 2 + offset : 2 + offset + ids.shape[1]]
        found = found * MANY + shifted
    return found


def both_hold(left: list[Tensor], right: list[Tensor], shared: list[Tensor]) -> list[Tensor]:
    """Put two guesses together that have what they know in common in a third one."""
    made = [(a * b / c.clamp(min=1e-30)) for a, b, c in zip(left, right, shared, strict=True)]
    return [p / p.sum(-1, keepdim=True) for p in made]


# --- measures


def asked_about(parts: Parts, ids: Tensor) -> Tensor:
    """Say which tokens may be hidden."""
    return ids >= parts.ordinary.start


def scored(logits: Tensor, ids: Tensor, parts: Parts, chosen: Tensor) -> dict[str, float]:
    """Score guesses of the chosen tokens; a special one is never guessed."""
    logits = logits[chosen][:, parts.ordinary.start :]
    gold = ids[chosen] - parts.ordinary.start
    return {
        "right": share(logits.argmax(-1) == gold),
        "loss": F.cross_entropy(logits, gold).item(),
    }


def gaps(parts: Parts, ids: Tensor) -> Hidden:
    """Hide tokens for a test, every text with several draws."""
    generator = torch.Generator().manual_seed(9)
    how: dict[str, Any] = {"mask_id": parts.mask_id, "ordinary": parts.ordinary}
    many = ids.repeat(N_DRAWS, 1)
    return hide(many, SHARE, generator, masked=1.0, replaced=0.0, **how)


@torch.no_grad()
def fill(model: BERT, parts: Parts, ids: Tensor) -> dict[str, dict[str, float]]:
    """Let a model tell tokens of which several are hidden, or one at a time."""
    batch, asked = gaps(parts, ids), asked_about(parts, ids)
    logits = torch.zeros(*ids.shape, len(parts.vocabulary))
    logits[asked] = ask_each(model, ids, asked, parts.mask_id)
    return {
        "gaps": scored(model(batch.read), batch.ids, parts, batch.chosen),
        "one hidden": scored(logits, ids, parts, asked),
    }


def count(parts: Parts) -> dict[str, Any]:
    """Score counts on the same tokens; all neighbours are seen, also those that are hidden."""
    counting = Counting(parts)
    guesses = counting.guesses()
    found: dict[str, Any] = {}
    for place, part in enumerate(("validation", "test")):
        ids = counting.ids[1 + place]
        chosen = gaps(parts, ids).chosen
        found[part] = {}
        for name, p in guesses.items():
            logits = p[place].log()
            found[part][name] = {
                "gaps": scored(logits.repeat(N_DRAWS, 1, 1), ids.repeat(N_DRAWS, 1), parts, chosen),
                "one hidden": scored(logits, ids, parts, asked_about(parts, ids)),
            }
    return found


def make_bert(parts: Parts, seed: int, dropout: float) -> BERT:
    """Make the model of the experiment ``bert`` for other tokens."""
    with seeded(seed):
        blocks = [
            EncoderBlock(
                D_MODEL,
                N_HEADS,
                4 * D_MODEL,
                dropout=dropout,
                activation=F.gelu,
                attend=with_rotary(),
            )
            for _ in range(N_LAYERS)
        ]
        encoder = TransformerEncoder(blocks, nn.LayerNorm(D_MODEL))
        return BERT(len(parts.vocabulary), encoder, nn.Dropout(dropout), embedding_scale=SCALE)


def run(
    seed: int,
    of: str,
    steps: int = 0,
    learning_rate: float = 3e-3,
    dropout: float = 0.0,
    hidden: float = SHARE,
) -> dict[str, Any]:
    """Train one model, or count, and measure it on words or sentences that nothing was chosen by."""
    parts = {"letters": letters, "words": words}[of]()
    sizes = {part: len(getattr(parts, part)) for part in ("train", "validation", "test")}
    about = {"texts": sizes, "tokens": len(parts.ordinary)}
    if not steps:
        return about | count(parts)
    model = make_bert(parts, seed, dropout)
    drawn = hidden_batches(
        parts.ids(parts.train),
        BATCH_SIZE,
        seed,
        hidden,
        mask_id=parts.mask_id,
        ordinary=parts.ordinary,
    )
    how = recipe(steps, learning_rate, WARM_UP, batch_size=BATCH_SIZE, seed=seed)
    losses = learn(model, drawn, masked_loss, how, progress=False)
    last = losses[-50:]
    return about | {
        "loss": sum(last) / len(last),
        "validation": fill(model, parts, parts.ids(parts.validation)),
        "test": fill(model, parts, parts.ids(parts.test)),
        "weights": n_weights(model),
    }


def main() -> None:
    """Run all arms."""
    run_all("bert_real_words", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
