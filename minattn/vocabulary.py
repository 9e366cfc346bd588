"""Tokens and ids: a vocabulary, padding, and batches of sentence pairs."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from minattn.checks import check_sizes, check_tensors

PAD, BOS, EOS = 0, 1, 2
"""Ids of the three special tokens, the same in every vocabulary."""

SPECIALS = ("<pad>", "<bos>", "<eos>")
"""The special tokens themselves, in the order of their ids."""


class Vocabulary:
    """Map tokens to ids and back.

    The ids 0, 1, 2 are padding, beginning and end of sequence. There is no token for unknown words: the tasks
    of this book are closed, so a word nobody has seen is a mistake and is reported as one.

    Args:
        tokens: the ordinary tokens; duplicates are kept once, order is kept.

    Raises:
        ValueError: if there is no token, or if one is empty or has the name of a special token.
        TypeError: if one is no string.

    >>> vocabulary = Vocabulary(["drei", "und", "zwanzig"])
    >>> vocabulary.encode(["drei", "zwanzig"])
    [3, 5]
    >>> vocabulary.decode([3, 5, 2, 0])
    ['drei', 'zwanzig']
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        tokens = list(tokens)
        if not tokens:
            raise ValueError("a vocabulary needs at least one token, got none")
        for token in tokens:
            if not isinstance(token, str):
                raise TypeError(
                    f"a token is a non-empty string that is none of {SPECIALS}, got {token!r} "
                    f"of type {type(token).__name__}"
                )
        ordinary = list(dict.fromkeys(tokens))
        for token in ordinary:
            if not token or token in SPECIALS:
                raise ValueError(
                    f"a token is a non-empty string that is none of {SPECIALS}, got {token!r}"
                )
        self.tokens: tuple[str, ...] = (*SPECIALS, *ordinary)
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens: {' '.join(self.tokens[3:7])} ...)"

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Turn tokens into ids; no special token is added.

        Raises:
            ValueError: if a token is not in the vocabulary, or a string is given instead of its tokens.
        """
        if isinstance(tokens, str):
            raise ValueError(
                f"encode takes a list of tokens, got the string {tokens!r}; split it first"
            )
        tokens = list(tokens)  # it is gone through twice, and an iterator can be read once
        unknown = [t for t in tokens if not isinstance(t, str) or t not in self._ids]
        if unknown:
            raise ValueError(
                f"every token must be in the vocabulary of {len(self)} tokens, got {unknown[0]!r}"
            )
        return [self._ids[token] for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Turn ids into tokens, up to the first end of sequence.

        A beginning in front and padding at the end are left out. Anywhere else they are kept as tokens, for
        there a model has said something that it should not. So is padding before an end of sequence.

        Raises:
            ValueError: if an id is outside the vocabulary.
            TypeError: if an id is no whole number.
        """
        ids = _whole(ids)
        for index in ids:
            if not 0 <= index < len(self):
                raise ValueError(f"an id must be in 0..{len(self) - 1}, got {index}")
        if EOS in ids:
            ids = ids[: ids.index(EOS)]
        else:
            while ids and ids[-1] == PAD:
                ids.pop()
        return [self.tokens[index] for index in (ids[1:] if ids[:1] == [BOS] else ids)]


def pad(sequences: Iterable[Iterable[int]]) -> Int[Tensor, "batch seq"]:
    """Put sequences of ids into one rectangle, filled up at the end with ``PAD``.

    Args:
        sequences: one list of ids per row, none of them empty.

    Returns:
        The ids, as long as the longest sequence.

    Raises:
        ValueError: if there is no sequence, an empty one, or an id below 0.
        TypeError: if an id is no whole number.

    >>> pad([[5, 6, 7], [8]])
    tensor([[5, 6, 7],
            [8, 0, 0]])
    """
    listed = [_whole(sequence) for sequence in sequences]
    if not listed:
        raise ValueError("a batch needs at least one sequence, got none")
    lengths = [len(ids) for ids in listed]
    if min(lengths) == 0:
        raise ValueError(
            f"a sequence needs at least one id, got length 0 in row {lengths.index(0)}"
        )
    least = min(map(min, listed))
    if least < 0:
        raise ValueError(f"an id must be at least 0, got {least}")
    longest = max(lengths)
    rows = [[*ids, *[PAD] * (longest - len(ids))] for ids in listed]
    return torch.tensor(rows, dtype=torch.long)


def token_mask(ids: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"]:
    """Say where the real tokens are: True for a token, False for padding.

    Raises:
        TypeError: if the ids are no tensor of whole numbers.

    >>> token_mask(torch.tensor([[5, 2, 0]]))
    tensor([[ True,  True, False]])
    """
    check_tensors(ids=ids)
    if ids.is_floating_point():
        raise TypeError(f"ids must be whole numbers, got {ids.dtype}")
    return ids != PAD


def _whole(ids: Iterable[int]) -> list[int]:
    """List ids, and hold that they are whole numbers: a float would be cut, and True is no id."""
    found: list[Any] = ids.tolist() if isinstance(ids, Tensor) else list(ids)
    for place, index in enumerate(found):
        if type(index) is int:
            continue
        try:
            if isinstance(index, bool) or (isinstance(index, Tensor) and index.dtype == torch.bool):
                raise TypeError
            found[place] = operator.index(index)
        except TypeError:
            raise TypeError(
                f"an id must be a whole number, got {index!r} of type {type(index).__name__}"
            ) from None
    return found


@runtime_checkable
class SentencePair(Protocol):
    """Anything with a sentence and its translation, as tokens."""

    @property
    def source(self) -> Sequence[str]:
        """The tokens of the source."""

    @property
    def target(self) -> Sequence[str]:
        """The tokens of the target."""


class Pair(NamedTuple):
    """One sentence and its translation, as tokens."""

    source: Sequence[str]
    target: Sequence[str]


@dataclass(frozen=True)
class Batch:
    """Padded sentence pairs, ready for a model.

    The target stands here twice, shifted by one: at position t the model reads ``target_in[:, t]`` and is to
    answer ``target_out[:, t]``, the token that comes next.

    Args:
        source: ids of the source, each row ended by ``EOS``; or what else a model reads, such as one vector for
            each frame of a sound or patch of a picture.
        target_in: ids of the target, each row begun by ``BOS``.
        target_out: ids of the target, each row ended by ``EOS``.
        source_mask: True where the source has something, False where it is padding. Ids need none: their padding
            is ``PAD``.
    """

    source: Shaped[Tensor, "batch source *features"]
    target_in: Int[Tensor, "batch target"]
    target_out: Int[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def lengths(self) -> Int[Tensor, " batch"]:
        """Count what stands in each row, source and target together."""
        return self._read().sum(1) + token_mask(self.target_in).sum(1)

    def parts(self, n: int) -> list[tuple["Batch", float]]:
        """Cut into at most n parts; return each with its share of the target tokens.

        Raises:
            ValueError: if n is below 1.
        """
        check_sizes(n=n)
        rows = torch.arange(len(self), device=self.source.device).chunk(n)
        counts = [int(token_mask(self.target_out[part]).sum()) for part in rows]
        return [
            (self.select(r), count / sum(counts)) for r, count in zip(rows, counts, strict=True)
        ]

    def _read(self) -> Bool[Tensor, "batch source"]:
        return token_mask(self.source) if self.source_mask is None else self.source_mask

    def select(self, rows: Int[Tensor, " rows"]) -> "Batch":
        """Take some rows and drop the columns that are padding in all of them."""
        source, target_in, target_out = (
            self.source[rows],
            self.target_in[rows],
            self.target_out[rows],
        )
        n_target = int((target_in != PAD).sum(1).max())
        target_in, target_out = target_in[:, :n_target], target_out[:, :n_target]
        if self.source_mask is None:
            return Batch(source[:, : int((source != PAD).sum(1).max())], target_in, target_out)
        mask = self.source_mask[rows]
        n_source = int(mask.any(0).nonzero().max()) + 1
        return Batch(source[:, :n_source], target_in, target_out, mask[:, :n_source])


def make_batch(pairs: Iterable[SentencePair], source: Vocabulary, target: Vocabulary) -> Batch:
    """Encode and pad sentence pairs.

    Args:
        pairs: anything with a ``source`` and a ``target`` list of tokens.
        source: the vocabulary of the source language.
        target: the vocabulary of the target language.

    Raises:
        ValueError: if there is no pair, a sentence is empty, or a token is unknown or a special one.

    >>> german, english = Vocabulary(["drei", "und", "zwanzig"]), Vocabulary(["twenty", "three"])
    >>> batch = make_batch([Pair(["drei", "und", "zwanzig"], ["twenty", "three"])], german, english)
    >>> batch.source, batch.target_in, batch.target_out
    (tensor([[3, 4, 5, 2]]), tensor([[1, 3, 4]]), tensor([[3, 4, 2]]))
    """
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    for row, pair in enumerate(pairs):
        for side, tokens, vocabulary, rows in (
            ("source", pair.source, source, sources),
            ("target", pair.target, target, targets),
        ):
            rows.append(vocabulary.encode(tokens))
            if not rows[-1]:
                raise ValueError(
                    f"a sentence needs at least one token, got length 0 as {side} of pair {row}"
                )
            special = next((i for i in rows[-1] if i < len(SPECIALS)), None)
            if special is not None:  # padding inside would be taken for the end
                raise ValueError(
                    "a sentence must hold none of the special tokens, "
                    f"got {SPECIALS[special]!r} in {side} of pair {row}"
                )
    return Batch(
        source=pad([[*ids, EOS] for ids in sources]),
        target_in=pad([[BOS, *ids] for ids in targets]),
        target_out=pad([[*ids, EOS] for ids in targets]),
    )
