"""T5 (chapter 12): text to text, with an encoder and a decoder whose attention knows distances."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_dropout, check_sizes
from minattn.decoding import Cached
from minattn.dot_product import fused_attend
from minattn.language.text_to_text import TextExample, TextToText
from minattn.masks import Mask, Padding
from minattn.seam import Attend
from minattn.transformer import (
    BlockTranslator,
    DecoderBlock,
    EncoderBlock,
    TransformerDecoder,
    TransformerEncoder,
)
from minattn.translation import Memory, Table, Translator, greedy, tokens_of, translate


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

    .. math:: \begin{aligned} b(n) &= n \qquad (n < E) \\
        b(n) &= \min(B - 1,\; E + \lfloor r\,(B - E) \rfloor) \\
        r &= \ln(n / E) / \ln(M / E) \end{aligned}

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

    .. math:: \begin{aligned} O &= \operatorname{softmax}(Q K^\top / \sqrt{d_k} + B)\, V \\
        B_{h,ij} &= t_{b(i - j),\,h} \end{aligned}

    Hand the same one to all blocks of a stack, as T5 does: they share the table t. It is for self-attention alone.

    Args:
        n_heads: of the attention.
        both_sides: as in ``relative_buckets``: True for an encoder, False for a decoder.
        n_buckets: as in ``relative_buckets``.
        max_distance: as in ``relative_buckets``.
        attend: takes ``bias``, as ``attend`` and ``fused_attend`` do. T5's scores are not divided by
            :math:`\sqrt{d_k}`: for this, hand in ``partial(fused_attend, scale=1.0)``.

    Raises:
        ValueError: if there is no head, or the buckets do not fit.

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
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(n_heads=n_heads)
        _bucket_sizes(n_buckets, max_distance, both_sides)
        self.both_sides, self.max_distance = both_sides, max_distance
        self.table = nn.Parameter(torch.empty(n_buckets, n_heads))
        nn.init.normal_(self.table, std=2.0)  # from the start, each head looks somewhere else
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
        return self.inner(query, key, value, mask, bias=bias)


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
        nn.init.normal_(self.table.weight, std=d_model**-0.5)
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
        x: Tensor = self.dropout(self.table(target))
        return x


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
    cross-attention has none, for source and target have no distance. No map or norm has a bias of its own. Scores are
    divided by :math:`\sqrt{d_k}`, as everywhere in this book; T5 begins with smaller queries instead, which is the same
    at the start but not for Adam, whose steps are then larger for the scores.

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
    block: dict[str, Any] = {"dropout": float(dropout), "bias": False}
    buckets: dict[str, Any] = {"n_buckets": n_buckets, "max_distance": max_distance}
    around = RelativeBias(n_heads, both_sides=True, **buckets)
    before = RelativeBias(n_heads, both_sides=False, **buckets)
    reading = [EncoderBlock(d_model, n_heads, d_ff, **block) for _ in range(n_layers)]
    writing = [DecoderBlock(d_model, n_heads, d_ff, **block) for _ in range(n_layers)]
    for blocks, attend in ((reading, around), (writing, before)):
        for made in blocks:
            made.self_attention.attend = attend
    return (
        TransformerEncoder(reading, nn.LayerNorm(d_model, bias=False)),
        TransformerDecoder(writing, nn.LayerNorm(d_model, bias=False)),
    )


def _width(stack: TransformerEncoder | TransformerDecoder) -> int:
    first: Any = stack.blocks[0]
    width: int = first.self_attention.d_model
    return width


def answers(model: Translator, task: TextToText, texts: Iterable[str], n: int = 40) -> list[str]:
    """Read texts that begin with a task word, such as ``sort: 3 1 2``, and write the answers greedily.

    Args:
        model: any translator of the task.
        task: says how texts are cut.
        texts: what is asked.
        n: cut an answer after this many tokens.

    Raises:
        ValueError: if there is no text, or a character is in no text of the task.
    """
    ids = greedy(model, task.sources(texts), n)
    return [task.text(task.target.decode(row)) for row in ids.tolist()]


def exact_by_task(
    model: Translator, task: TextToText, examples: Iterable[TextExample]
) -> dict[str, float]:
    """Write answers greedily, and count those that are right in every token.

    Args:
        model: any translator of the task; one that writes with blocks is cached.
        task: whose vocabulary to use.
        examples: of any tasks.

    Returns:
        For each task, in the order in which they come, the share that is right.

    Raises:
        ValueError: if there is no example.
    """
    groups: dict[str, list[TextExample]] = {}
    for example in examples:
        groups.setdefault(example.task, []).append(example)
    check_sizes(examples=len(groups))
    writer = Cached(model) if isinstance(model, BlockTranslator) else model
    found: dict[str, float] = {}
    for name, group in groups.items():
        longest = max(len(example.target) for example in group) + 2
        said = translate(writer, task, group, longest)
        hits = [a == list(e.target) for a, e in zip(said, group, strict=True)]
        found[name] = sum(hits) / len(hits)
    return found
