"""T5 (chapter 12): text to text with an encoder and a decoder whose attention knows distances, and gaps to fill."""

import math
import random
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_dropout, check_finite, check_shares, check_sizes, check_whole
from minattn.dot_product import fused_attend
from minattn.masks import Mask, Padding
from minattn.multihead import MultiHeadAttention
from minattn.seam import Attend
from minattn.transformer import (
    BlockTranslator,
    DecoderBlock,
    EncoderBlock,
    TransformerDecoder,
    TransformerEncoder,
)
from minattn.translation import Memory, Table, tokens_of


def relative_buckets(
    queries: int,
    keys: int,
    *,
    both_sides: bool,
    n_buckets: int = 32,
    max_distance: int = 128,
    device: torch.device | None = None,
) -> Int[Tensor, "queries keys"]:
    r"""Sort the distances between queries and keys into buckets: near ones exactly, far ones together.

    With B buckets for a side and :math:`E = \lfloor B / 2 \rfloor`, a key n places before its query gets

    .. math:: b(n) = \begin{cases} n & n < E \\
        \min\left(B - 1,\; E + \left\lfloor \frac{\ln(n / E)}{\ln(M / E)} (B - E) \right\rfloor\right)
        & n \geq E \end{cases}

    where M is ``max_distance``. On both sides, each has half of the buckets, and B is added for a key that comes
    after its query. On one side such a key, which no decoder may look at, counts as distance 0.

    Args:
        queries: how many. Where there are fewer than keys, they are the last positions, as in ``masks``.
        keys: how many.
        both_sides: whether keys after the query have buckets too, as in an encoder.
        n_buckets: of both sides together.
        max_distance: from here on all distances are in one bucket.
        device: where to make the tensor.

    Raises:
        ValueError: if a number is below 1, there are fewer than two buckets for a side, their number is odd where
            there are two sides, or ``max_distance`` is not above E.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 2.1, with 32 buckets up to distance 128; the formula stands
        in their code, not in the paper.

    >>> relative_buckets(1, 6, both_sides=False, n_buckets=4, max_distance=6)
    tensor([[3, 3, 2, 2, 1, 0]])
    """
    check_sizes(queries=queries, keys=keys)
    side, exact = _bucket_sizes(n_buckets, max_distance, both_sides)
    key_place = torch.arange(keys, device=device)
    back = torch.arange(keys - queries, keys, device=device)[:, None] - key_place
    n = back.abs() if both_sides else back.clamp(min=0)
    far = (n.double() / exact).clamp(min=1).log() / math.log(max_distance / exact)
    # A distance where a bucket begins must not fall into the one before by rounding.
    far = exact + (far * (side - exact) + 1e-9).floor().long()
    bucket = torch.where(n < exact, n, far.clamp(max=side - 1))
    return bucket + side * (back < 0) if both_sides else bucket


def _bucket_sizes(n_buckets: int, max_distance: int, both_sides: bool) -> tuple[int, int]:
    """Return how many buckets a side has, and how many of them hold one distance each."""
    check_sizes(n_buckets=n_buckets, max_distance=max_distance)
    if n_buckets < (4 if both_sides else 2) or (both_sides and n_buckets % 2):
        rule = "an even number of at least 4" if both_sides else "at least 2"
        raise ValueError(f"n_buckets must be {rule}, got {n_buckets}")
    side = n_buckets // 2 if both_sides else n_buckets
    exact = side // 2
    if max_distance <= exact:
        raise ValueError(
            f"max_distance must be above {exact}, up to where every distance has its bucket, got {max_distance}"
        )
    return side, exact


class RelativeBias(nn.Module):
    r"""An attend with a learned number for each head and bucket of distances, which is added to the scores.

    .. math:: O = \operatorname{softmax}(s\, Q K^\top + B)\, V, \qquad B_{h,ij} = t_{b(i - j),\,h}

    Hand the same one to all blocks of a stack, as T5 does: they share the table t. It is for self-attention alone.

    Args:
        n_heads: of the attention.
        both_sides: as in ``relative_buckets``: True for an encoder, False for a decoder.
        n_buckets: as in ``relative_buckets``.
        max_distance: as in ``relative_buckets``.
        scale: s, the factor of the scores. T5 has 1 and not :math:`1 / \sqrt{d_k}`, and begins with smaller
            queries instead.
        attend: takes ``bias`` and ``scale``, as ``attend`` and ``fused_attend`` do.

    Raises:
        ValueError: if there is no head, the buckets do not fit, or the scale is not finite.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 2.1; Shaw et al. 2018, arXiv:1803.02155.

    >>> attend = RelativeBias(2, both_sides=False)
    >>> x = torch.zeros(1, 2, 3, 4)
    >>> attend(x, x, x).shape, attend.bias(1, 3).shape
    (torch.Size([1, 2, 3, 4]), torch.Size([2, 1, 3]))
    """

    def __init__(
        self,
        n_heads: int,
        *,
        both_sides: bool,
        n_buckets: int = 32,
        max_distance: int = 128,
        scale: float | int | None = 1.0,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(n_heads=n_heads)
        _bucket_sizes(n_buckets, max_distance, both_sides)
        if scale is not None:
            check_finite(scale=scale)
        self.both_sides, self.max_distance, self.scale = both_sides, max_distance, scale
        self.table = nn.Parameter(torch.zeros(n_buckets, n_heads))
        self.inner = attend  # under this name it is no part that attends by itself

    def bias(self, queries: int, keys: int) -> Float[Tensor, "heads queries keys"]:
        """Look up what is added to the scores; fewer queries than keys are the last positions."""
        buckets = relative_buckets(
            queries,
            keys,
            both_sides=self.both_sides,
            n_buckets=len(self.table),
            max_distance=self.max_distance,
            device=self.table.device,
        )
        return self.table[buckets].permute(2, 0, 1)

    def forward(
        self,
        query: Float[Tensor, "batch heads queries d_head"],
        key: Float[Tensor, "batch heads keys d_head"],
        value: Float[Tensor, "batch heads keys d_v"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch heads queries d_v"]:
        """Attend with the bias."""
        bias = self.bias(query.shape[-2], key.shape[-2])
        return self.inner(query, key, value, mask, bias=bias, scale=self.scale)


class T5(BlockTranslator):
    """Encoder and decoder with one table of tokens: every task is a text that is answered by a text.

    Args:
        vocab_size: how many ids there are, for what is read and what is written.
        encoder: its blocks, and the last norm.
        decoder: its blocks, and the last norm. Nothing marks places but the blocks' own attention, so hand them
            ``RelativeBias``, and leave cross-attention without: ``t5_stacks`` makes both stacks so.
        dropout: share that is dropped in training of the embedded tokens.

    Raises:
        ValueError: if there is no id, the widths of the stacks differ, or the dropout is not in [0, 1).

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 2.1. Here the norms are layer norms without a bias; theirs do
        not subtract the mean.

    >>> model = T5(40, *t5_stacks(d_model=8, n_heads=2, d_ff=16, n_layers=1))
    >>> model(torch.tensor([[5, 6, 2]]), torch.tensor([[1, 7]])).shape
    torch.Size([1, 2, 40])
    """

    decoder: TransformerDecoder

    def __init__(
        self,
        vocab_size: int,
        encoder: TransformerEncoder,
        decoder: TransformerDecoder,
        *,
        dropout: float | int = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size)
        check_dropout(dropout=dropout)
        widths = [_width(stack) for stack in (encoder, decoder)]
        if widths[0] != widths[1]:
            raise ValueError(f"both stacks must have one width, got {widths[0]} and {widths[1]}")
        d_model = widths[0]
        self.table = Table(vocab_size, d_model, "ids")
        self.scale = math.sqrt(d_model)
        nn.init.normal_(self.table.weight, std=1 / self.scale)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder
        self.decoder = decoder
        self.readout = nn.Linear(d_model, vocab_size, bias=False)
        self.readout.weight = self.table.weight  # one table to read and to write

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Let the source attend to itself, on both sides."""
        tokens = tokens_of(source, source_mask)
        return Memory(self.encoder(self.embed_target(source), Padding(tokens)), tokens)

    def embed_target(
        self, target: Int[Tensor, "batch target"], place: int | Int[Tensor, " batch"] = 0
    ) -> Float[Tensor, "batch target d_model"]:
        """Turn tokens into vectors, the same ones wherever they stand."""
        x: Tensor = self.dropout(self.table(target) * self.scale)
        return x


undivided: Attend = partial(fused_attend, scale=1.0)
"""Attention whose scores are dot products and no more."""


def t5_stacks(
    *,
    d_model: int,
    n_heads: int,
    d_ff: int,
    n_layers: int,
    n_buckets: int = 32,
    max_distance: int = 128,
    dropout: float | int = 0.0,
) -> tuple[TransformerEncoder, TransformerDecoder]:
    r"""Make encoder and decoder as T5 has them: a relative bias for each stack, no other positions.

    The bias is both-sided in the encoder and one-sided in the decoder; all blocks of a stack share it, and
    cross-attention has none, for source and target have no distance. No map or norm has a bias, and no score is
    divided: the queries begin smaller by :math:`\sqrt{d_k}` instead, so the first scores are the same.

    Args:
        d_model: width of a token.
        n_heads: heads of every attention.
        d_ff: width inside every feed-forward.
        n_layers: blocks of each stack.
        n_buckets: as in ``relative_buckets``.
        max_distance: as in ``relative_buckets``.
        dropout: share of what each sub-layer finds that is dropped in training.

    Raises:
        ValueError: if a number is out of range.
    """
    check_sizes(n_layers=n_layers)
    block: dict[str, Any] = {"dropout": float(dropout), "bias": False, "attend": undivided}
    buckets: dict[str, Any] = {"n_buckets": n_buckets, "max_distance": max_distance}
    around = RelativeBias(n_heads, both_sides=True, **buckets)
    before = RelativeBias(n_heads, both_sides=False, **buckets)
    reading = [EncoderBlock(d_model, n_heads, d_ff, **block) for _ in range(n_layers)]
    writing = [DecoderBlock(d_model, n_heads, d_ff, **block) for _ in range(n_layers)]
    for blocks, attend in ((reading, around), (writing, before)):
        for made in blocks:
            made.self_attention.attend = attend
            for part in made.modules():
                if isinstance(part, MultiHeadAttention):
                    part.q_proj.weight.data /= math.sqrt(part.d_head)
    return (
        TransformerEncoder(reading, nn.LayerNorm(d_model, bias=False)),
        TransformerDecoder(writing, nn.LayerNorm(d_model, bias=False)),
    )


def _width(stack: TransformerEncoder | TransformerDecoder) -> int:
    first: Any = stack.blocks[0]
    width: int = first.self_attention.d_model
    return width


Span = tuple[int, int]
"""Where a gap begins, and where it has ended."""


def corrupt_spans(
    tokens: Sequence[str], spans: Iterable[Span], sentinels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Cut spans out of a text: each leaves a sentinel, and the target says what stood there.

    The target ends with one more sentinel, so that the last span has an end too.

    Args:
        tokens: the text.
        spans: beginning and end of each, from left to right; between two is at least one token.
        sentinels: one more than there are spans, all different.

    Returns:
        Source and target.

    Raises:
        ValueError: if there is no span or an empty one, two of them touch, one leads out of the text, or there are
            not enough sentinels.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 3.1.4 and figure 2.

    >>> text = "thank you for inviting me to your party last week".split()
    >>> source, target = corrupt_spans(text, [(2, 4), (8, 9)], ["<x>", "<y>", "<z>"])
    >>> " ".join(source)
    'thank you <x> me to your party <y> week'
    >>> " ".join(target)
    '<x> for inviting <y> last <z>'
    """
    spans = list(spans)
    if not spans or len(set(sentinels)) != len(sentinels) or len(sentinels) <= len(spans):
        raise ValueError(
            "there must be at least one span, and one sentinel more than spans, no two alike, "
            f"got {len(spans)} spans and the sentinels {list(sentinels)}"
        )
    source: list[str] = []
    target: list[str] = []
    done = -1
    for (start, end), sentinel in zip(spans, sentinels, strict=False):
        if not done < start < end <= len(tokens):
            raise ValueError(
                f"spans must hold tokens of the {len(tokens)}, in order, with one between two, got {spans}"
            )
        source += [*tokens[max(done, 0) : start], sentinel]
        target += [sentinel, *tokens[start:end]]
        done = end
    return [*source, *tokens[done:]], [*target, sentinels[len(spans)]]


def draw_spans(
    n_tokens: int, rng: random.Random, share: float | int = 0.15, mean_length: float | int = 3.0
) -> list[Span]:
    """Draw which spans of a text are cut out: so many tokens together, in so many spans.

    How many tokens and how many spans is decided by the length of the text alone, rounded; where they lie is drawn,
    each way to share out the tokens as likely.

    Args:
        n_tokens: length of the text, at least 2.
        rng: where the draws come from.
        share: of the tokens that are cut out; at least one is, and one stays.
        mean_length: of a span.

    Raises:
        ValueError: if the text has fewer than two tokens, the share is not in [0, 1], or the mean is below 1.

    References:
        Raffel et al. 2020, arXiv:1910.10683, section 3.1.4: 15 % in spans of 3 tokens on average.

    >>> draw_spans(10, random.Random(0), share=0.5, mean_length=2)
    [(0, 4), (7, 8)]
    """
    check_whole(2, n_tokens=n_tokens)
    check_shares(share=share)
    check_finite(mean_length=mean_length)
    if mean_length < 1:
        raise ValueError(f"mean_length must be at least 1, got {mean_length}")
    cut = min(max(round(n_tokens * share), 1), n_tokens - 1)
    kept = n_tokens - cut
    n_spans = min(max(round(cut / mean_length), 1), kept)
    lengths = _shared_out(cut, n_spans, rng)
    gaps = _shared_out(kept + 2, n_spans + 1, rng)  # two more: a text may begin and end with a span
    spans, place = [], -1
    for gap, length in zip(gaps, lengths, strict=False):
        place += gap
        spans.append((place, place + length))
        place += length
    return spans


def _shared_out(total: int, parts: int, rng: random.Random) -> list[int]:
    """Share a number out into parts of at least 1."""
    cuts = sorted(rng.sample(range(1, total), parts - 1))
    return [b - a for a, b in pairwise([0, *cuts, total])]
