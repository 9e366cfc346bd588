"""The Transformer (chapter 6): blocks, encoder, decoder, and the translator made of them."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.checks import check_dropout, check_finite, check_sizes
from minattn.dot_product import fused_attend
from minattn.masks import CAUSAL, Mask, Padding
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions, placed
from minattn.seam import Attend, Positions
from minattn.torch_twins import (
    DECODER_NORMS,
    ENCODER_NORMS,
    check_type,
    copied_norm,
    copy_from_torch,
    copy_to_torch,
    settings_for_torch,
    settings_of_torch,
)
from minattn.translation import Memory, State, Table, Translator, definer, tokens_of

Activation = Callable[[Tensor], Tensor]
Norm = Literal["pre", "post"]
Kept = tuple[Tensor, ...]
"""Keys and values of the tokens that a block has read, each (batch, heads, tokens, d_head)."""


class FeedForward(nn.Module):
    r"""Two linear maps with an activation between them, for every token by itself.

    .. math:: \operatorname{FFN}(x) = f(x W_1 + b_1)\, W_2 + b_2

    Args:
        d_model: width of a token.
        d_ff: width between the two maps.
        bias: whether the maps have a bias.
        activation: f.

    Raises:
        ValueError: if a width is below 1.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, equation 2.

    >>> FeedForward(d_model=4, d_ff=16)(torch.zeros(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self, d_model: int, d_ff: int, *, bias: bool = True, activation: Activation = F.relu
    ) -> None:
        super().__init__()
        check_sizes(d_model=d_model, d_ff=d_ff)
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)
        self.activation = activation

    def forward(
        self,
        x: Float[Tensor, "*batch d_model"],
    ) -> Float[Tensor, "*batch d_model"]:
        """Transform every token by itself."""
        output: Tensor = self.down_proj(self.activation(self.up_proj(x)))
        return output


class Residual(nn.Module):
    r"""Add what a sub-layer finds to what was there, with a layer norm before the sub-layer or after the sum.

    .. math:: \text{pre:}\; x + f(\operatorname{norm}(x)), \qquad \text{post:}\; \operatorname{norm}(x + f(x))

    Args:
        d_model: width of a token.
        norm: "pre" or "post".
        dropout: share of what the sub-layer finds that is dropped in training.
        bias: whether the norm has a bias.

    Raises:
        ValueError: if the width is below 1, the norm is neither word, or the dropout is not in [0, 1).

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.1 (post); Xiong et al. 2020, arXiv:2002.04745 (both,
        compared); Ba et al. 2016, arXiv:1607.06450 (layer norm).

    >>> Residual(4)(torch.ones(1, 4), lambda x: x)  # the norm of equal features is zero
    tensor([[1., 1., 1., 1.]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self, d_model: int, *, norm: Norm = "pre", dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        check_sizes(d_model=d_model)
        if norm not in ("pre", "post"):
            raise ValueError(f"norm must be 'pre' or 'post', got {norm!r}")
        check_dropout(dropout=dropout)
        self.place = norm
        self.norm = nn.LayerNorm(d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "*batch d_model"], sublayer: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "*batch d_model"]:
        """Apply a sub-layer and add what it finds.

        Args:
            x: the tokens.
            sublayer: takes tokens and returns as many of the same width.
        """
        if self.place == "pre":
            x = x + self.dropout(sublayer(self.norm(x)))
        else:
            x = self.norm(x + self.dropout(sublayer(x)))
        return x


class EncoderBlock(nn.Module):
    """Let every token attend to its own sequence, then think about what it found.

    Args:
        d_model: width of a token.
        n_heads: heads of the attention.
        d_ff: width inside the feed-forward.
        norm: "pre" or "post", see ``Residual``.
        dropout: share of what each of the two sub-layers finds that is dropped in training.
        bias: whether maps and norms have a bias.
        activation: of the feed-forward.
        attend: how every head attends.

    Raises:
        ValueError: if a number is out of range, or the norm is neither word.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.1.

    >>> EncoderBlock(d_model=4, n_heads=2, d_ff=16)(torch.zeros(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        norm: Norm = "pre",
        dropout: float = 0.0,
        bias: bool = True,
        activation: Activation = F.relu,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, n_heads, bias=bias, attend=attend)
        self.feed_forward = FeedForward(d_model, d_ff, bias=bias, activation=activation)
        self.add_self_attention = Residual(d_model, norm=norm, dropout=dropout, bias=bias)
        self.add_feed_forward = Residual(d_model, norm=norm, dropout=dropout, bias=bias)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Mask = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return one new vector for each token.

        Args:
            x: the tokens.
            mask: True where a token may attend; with a causal one, the block serves a decoder alone.
        """
        x = self.add_self_attention(x, lambda x: self.self_attention(x, x, x, mask))
        x = self.add_feed_forward(x, self.feed_forward)
        return x

    def start(self, x: Float[Tensor, "batch seq d_model"]) -> Kept:
        """Return the keys and values of no token yet, for rows like those of ``x``."""
        return self.self_attention.keys_values(x[:, :0], x[:, :0])

    def step(
        self, x: Float[Tensor, "batch new d_model"], kept: Kept, mask: Mask = CAUSAL
    ) -> tuple[Float[Tensor, "batch new d_model"], Kept]:
        """Return one new vector for each new token, and what is to be kept for the next ones.

        Args:
            x: new tokens, which come behind those that were read before.
            kept: keys and values of the tokens before, as ``start`` or the last step returned them.
            mask: where a new token may attend, among all tokens so far; None if there is nothing to hide.
        """
        look_back, after = _looking_back(self.self_attention, kept, mask)
        x = self.add_self_attention(x, look_back)
        x = self.add_feed_forward(x, self.feed_forward)
        return x, tuple(after)

    @classmethod
    def from_torch(cls, layer: nn.TransformerEncoderLayer) -> "EncoderBlock":
        """Make a block with the weights of torch's.

        The two give the same in ``eval()``, but for queries that may attend to nothing. In training torch drops
        also inside the feed-forward and in the attention weights.

        Raises:
            ValueError: if its attention has what ours has not.
            TypeError: if it is another kind of layer.
        """
        check_type(layer, nn.TransformerEncoderLayer)
        block = cls(**settings_of_torch(layer))
        copy_from_torch(layer, block, ENCODER_NORMS)
        return block

    def to_torch(self) -> nn.TransformerEncoderLayer:
        """Make a layer of torch's, ``batch_first``, with the weights of this block.

        In training it drops also inside the feed-forward and in the attention weights.

        Raises:
            ValueError: if torch's attention cannot do what ours does.
        """
        layer = nn.TransformerEncoderLayer(**settings_for_torch(self))
        copy_to_torch(self, layer, ENCODER_NORMS)
        return layer


class DecoderBlock(nn.Module):
    """Let every target token attend to those before it, then to the source, then think about what it found.

    The arguments are those of ``EncoderBlock``.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.1.

    >>> x, memory = torch.zeros(1, 3, 4), torch.zeros(1, 5, 4)
    >>> DecoderBlock(d_model=4, n_heads=2, d_ff=16)(x, memory).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        norm: Norm = "pre",
        dropout: float = 0.0,
        bias: bool = True,
        activation: Activation = F.relu,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, n_heads, bias=bias, attend=attend)
        self.cross_attention = MultiHeadAttention(d_model, n_heads, bias=bias, attend=attend)
        self.feed_forward = FeedForward(d_model, d_ff, bias=bias, activation=activation)
        self.add_self_attention = Residual(d_model, norm=norm, dropout=dropout, bias=bias)
        self.add_cross_attention = Residual(d_model, norm=norm, dropout=dropout, bias=bias)
        self.add_feed_forward = Residual(d_model, norm=norm, dropout=dropout, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "batch target d_model"],
        memory: Float[Tensor, "batch source d_model"],
        mask: Mask = CAUSAL,
        memory_mask: Mask = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Return one new vector for each target token.

        Args:
            x: the target tokens.
            memory: what the encoder left, one vector for each source token.
            mask: where a target token may attend among the target tokens.
            memory_mask: where a target token may attend among the source tokens.
        """
        x = self.add_self_attention(x, lambda x: self.self_attention(x, x, x, mask))
        x = self.add_cross_attention(
            x, lambda x: self.cross_attention(x, memory, memory, memory_mask)
        )
        x = self.add_feed_forward(x, self.feed_forward)
        return x

    def start(self, memory: Float[Tensor, "batch source d_model"]) -> State:
        """Return keys and values of no target token yet, and those of the memory, which never change."""
        return (
            *self.self_attention.keys_values(memory[:, :0], memory[:, :0]),
            *self.cross_attention.keys_values(memory, memory),
        )

    def step(
        self,
        x: Float[Tensor, "batch new d_model"],
        kept: State,
        mask: Mask = CAUSAL,
        memory_mask: Mask = None,
    ) -> tuple[Float[Tensor, "batch new d_model"], State]:
        """Return one new vector for each new target token, and what is to be kept; see ``EncoderBlock.step``."""
        k, v, memory_k, memory_v = kept
        look_back, after = _looking_back(self.self_attention, (k, v), mask)
        x = self.add_self_attention(x, look_back)
        x = self.add_cross_attention(
            x, lambda x: self.cross_attention.attend_to(x, memory_k, memory_v, memory_mask)
        )
        x = self.add_feed_forward(x, self.feed_forward)
        return x, (*after, memory_k, memory_v)

    @classmethod
    def from_torch(cls, layer: nn.TransformerDecoderLayer) -> "DecoderBlock":
        """Make a block with the weights of torch's; see ``EncoderBlock.from_torch``.

        Give torch's layer a causal ``tgt_mask``; ours has one if none is given.
        """
        check_type(layer, nn.TransformerDecoderLayer)
        block = cls(**settings_of_torch(layer))
        copy_from_torch(layer, block, DECODER_NORMS)
        block.cross_attention = MultiHeadAttention.from_torch(layer.multihead_attn)
        return block

    def to_torch(self) -> nn.TransformerDecoderLayer:
        """Make a layer of torch's, ``batch_first``, with the weights of this block.

        Raises:
            ValueError: if torch's attention cannot do what ours does.
        """
        layer = nn.TransformerDecoderLayer(**settings_for_torch(self))
        copy_to_torch(self, layer, DECODER_NORMS)
        layer.multihead_attn = self.cross_attention.to_torch()
        return layer


class TransformerEncoder(nn.Module):
    """Blocks, one after the other.

    Args:
        blocks: at least one.
        norm: a last layer norm; blocks with ``norm="pre"`` leave their sum as it is, and need one.

    Raises:
        ValueError: if there is no block.

    >>> encoder = TransformerEncoder([EncoderBlock(4, 2, 16) for _ in range(2)], nn.LayerNorm(4))
    >>> encoder(torch.zeros(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, blocks: Iterable[EncoderBlock], norm: nn.LayerNorm | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        check_sizes(blocks=len(self.blocks))
        self.norm = norm

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Mask = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return one new vector for each token; the mask serves every block."""
        for block in self.blocks:
            x = block(x, mask)
        return x if self.norm is None else self.norm(x)

    def place(self, memory: Memory, state: State = ()) -> Int[Tensor, " batch"]:
        """Say where the next target token stands: behind the memory, and what was written since."""
        written = state[0].shape[2] - memory.states.shape[1] if state else 0
        return memory.mask.sum(1) + written

    def follow(
        self, x: Float[Tensor, "batch target d_model"], memory: Memory
    ) -> Float[Tensor, "batch target d_model"]:
        """Return one new vector for each target token, all at once; the memory stands before them."""
        n = memory.states.shape[1]
        x = torch.cat([memory.states, x], dim=1)
        output: Tensor = self(x, _past(memory, x.shape[1], x.shape[1]))[:, n:]
        return output

    def start(self, memory: Memory) -> State:
        """Read the memory, and keep its keys and values: the state has two tensors for each block."""
        x = memory.states
        state = tuple(kept for block in self._blocks() for kept in block.start(x))
        return self.step(x, state, memory)[1] if x.shape[1] else state

    def step(
        self, x: Float[Tensor, "batch new d_model"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch new d_model"], State]:
        """Return one new vector for each new token, and the new state; nothing old is read again."""
        new = x.shape[1]
        mask = _past(memory, new, state[0].shape[2] + new)
        after: list[Tensor] = []
        for i, block in enumerate(self._blocks()):
            x, kept = block.step(x, (state[2 * i], state[2 * i + 1]), mask)
            after += kept
        return x if self.norm is None else self.norm(x), tuple(after)

    def _blocks(self) -> list[EncoderBlock]:
        return list(self.blocks)  # type: ignore[arg-type]

    @classmethod
    def from_torch(cls, encoder: nn.TransformerEncoder) -> "TransformerEncoder":
        """Make an encoder with the weights of torch's; see ``EncoderBlock.from_torch``."""
        layers: Any = encoder.layers
        blocks = [EncoderBlock.from_torch(layer) for layer in layers]
        return cls(blocks, copied_norm(encoder)).train(encoder.training)

    def to_torch(self) -> nn.TransformerEncoder:
        """Make an encoder of torch's with the weights of this one; see ``EncoderBlock.to_torch``."""
        blocks: Any = self.blocks
        layers = [block.to_torch() for block in blocks]
        theirs = nn.TransformerEncoder(
            layers[0], len(layers), copied_norm(self), enable_nested_tensor=False
        )
        theirs.layers = nn.ModuleList(layers)
        return theirs.train(self.training)


class TransformerDecoder(nn.Module):
    """Blocks, one after the other, which all look at the same memory.

    Args:
        blocks: at least one.
        norm: a last layer norm, as in ``TransformerEncoder``.

    Raises:
        ValueError: if there is no block.
    """

    def __init__(self, blocks: Iterable[DecoderBlock], norm: nn.LayerNorm | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        check_sizes(blocks=len(self.blocks))
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "batch target d_model"],
        memory: Float[Tensor, "batch source d_model"],
        mask: Mask = CAUSAL,
        memory_mask: Mask = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Return one new vector for each target token; see ``DecoderBlock`` for the arguments."""
        for block in self.blocks:
            x = block(x, memory, mask, memory_mask)
        return x if self.norm is None else self.norm(x)

    def place(self, memory: Memory, state: State = ()) -> int:
        """Say where the next target token stands: the memory has places of its own."""
        return state[0].shape[2] if state else 0

    def follow(
        self, x: Float[Tensor, "batch target d_model"], memory: Memory
    ) -> Float[Tensor, "batch target d_model"]:
        """Return one new vector for each target token, all at once; the memory is looked at."""
        output: Tensor = self(x, memory.states, CAUSAL, Padding(memory.mask))
        return output

    def start(self, memory: Memory) -> State:
        """Project the memory once for every block.

        The state has four tensors for each block: keys and values of the target, then of the memory.
        """
        return tuple(kept for block in self._blocks() for kept in block.start(memory.states))

    def step(
        self, x: Float[Tensor, "batch new d_model"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch new d_model"], State]:
        """Return one new vector for each new token, and the new state; nothing old is read again."""
        mask = None if x.shape[1] == 1 else CAUSAL  # one new token may look at all before it
        padding = None if bool(memory.mask.all()) else Padding(memory.mask)
        after: list[Tensor] = []
        for i, block in enumerate(self._blocks()):
            x, kept = block.step(x, state[4 * i : 4 * i + 4], mask, padding)
            after += kept
        return x if self.norm is None else self.norm(x), tuple(after)

    def _blocks(self) -> list[DecoderBlock]:
        return list(self.blocks)  # type: ignore[arg-type]

    @classmethod
    def from_torch(cls, decoder: nn.TransformerDecoder) -> "TransformerDecoder":
        """Make a decoder with the weights of torch's; see ``DecoderBlock.from_torch``."""
        layers: Any = decoder.layers
        blocks = [DecoderBlock.from_torch(layer) for layer in layers]
        return cls(blocks, copied_norm(decoder)).train(decoder.training)

    def to_torch(self) -> nn.TransformerDecoder:
        """Make a decoder of torch's with the weights of this one; see ``DecoderBlock.to_torch``."""
        blocks: Any = self.blocks
        layers = [block.to_torch() for block in blocks]
        theirs = nn.TransformerDecoder(layers[0], len(layers), copied_norm(self))
        theirs.layers = nn.ModuleList(layers)
        return theirs.train(self.training)


class BlockTranslator(Translator):
    """A translator that writes with a stack of blocks; it can be cached (``minattn.decoding.Cached``).

    A subclass says how a source becomes a memory (``encode``) and how target tokens are embedded, and has

    - ``decoder``: a ``TransformerDecoder``, whose blocks look at the memory; or a ``TransformerEncoder``, before
      whose target tokens the memory stands, as a prompt does;
    - ``readout``: makes logits.

    Without a cache, a step reads the whole target so far again.
    """

    decoder: TransformerEncoder | TransformerDecoder
    readout: nn.Module

    @abstractmethod
    def embed_target(
        self, target: Int[Tensor, "batch target"], place: int | Int[Tensor, " batch"] = 0
    ) -> Float[Tensor, "batch target d_model"]:
        """Turn target tokens into vectors, the first of which stands at a place."""

    def decode(
        self, target_in: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits after every target token, each given those before it and the memory."""
        x = self._embedded("target_in", target_in, self.decoder.place(memory))
        logits: Tensor = self.readout(self.decoder.follow(x, memory))
        return logits

    def forward(
        self,
        source: Shaped[Tensor, "batch source *features"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits under teacher forcing, all steps at once.

        A subclass with a ``start`` or ``step`` of its own is asked step by step.

        Raises:
            ValueError: if the batch or a sequence is empty, or the two batches differ.
            TypeError: if the target is not of whole numbers of dtype int64.
        """
        if definer(self, "start", "step") is not BlockTranslator:
            return super().forward(source, target_in, source_mask)
        return self.decode(target_in, self.memory_of(source, source_mask, target_in))

    def start(self, memory: Memory) -> State:
        """Start with no token read."""
        return (memory.mask.new_zeros(len(memory.mask), 0, dtype=torch.long),)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one more token, and all those before it again."""
        tokens = torch.cat([state[0], token[:, None]], dim=1)
        return self.decode(tokens, memory)[:, -1], (tokens,)

    def _embedded(
        self, name: str, ids: Int[Tensor, "batch seq"], place: int | Int[Tensor, " batch"] = 0
    ) -> Float[Tensor, "batch seq d_model"]:
        """Embed, and name the ids if a subclass's own table has no row for one."""
        try:
            return self.embed_target(ids, place)
        except IndexError as error:
            raise ValueError(
                f"{name} must hold ids that embed_target knows, got {int(ids.min())} to {int(ids.max())}"
            ) from error


class PromptTranslator(BlockTranslator):
    """A decoder alone: its source is a prompt, and what it writes goes on with it.

    All of the prompt but its last token becomes the memory, which stands before the target; the last one is read
    first, also in teacher forcing, where tasks put ``BOS``.
    """

    decoder: TransformerEncoder

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Embed the prompt without its last token; padding comes to stand before the tokens."""
        tokens = tokens_of(source, source_mask)
        n = tokens.sum(1, keepdim=True) - 1  # of each row
        columns = torch.arange(source.shape[1] - 1, device=source.device)
        # The last of them stands right before the target, as distances between tokens ask for.
        order = (columns + n) % max(1, len(columns))
        x = self._embedded("source", source[:, :-1])
        x = x.gather(1, order[..., None].expand_as(x))
        return Memory(x, (columns < n).gather(1, order))

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits under teacher forcing; whatever the target begins with, the prompt's last token is read.

        Raises:
            ValueError: if the batch or a sequence is empty, or the two batches differ.
            TypeError: if ids are not whole numbers of dtype int64.
        """
        if definer(self, "start", "step") is not BlockTranslator:
            first = self.first_token(source, source_mask)[:, None]
            target_in = torch.cat([first, target_in[:, 1:]], dim=1)
            return Translator.forward(self, source, target_in, source_mask)
        memory = self.memory_of(source, source_mask, target_in)
        first = self.first_token(source, source_mask)[:, None]
        return self.decode(torch.cat([first, target_in[:, 1:]], dim=1), memory)

    def first_token(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Int[Tensor, " batch"]:
        """Return the last token of every prompt."""
        tokens = tokens_of(source, source_mask)
        return source.gather(1, tokens.sum(1, keepdim=True) - 1)[:, 0]


class TransformerTranslator(BlockTranslator):
    """Encoder and decoder of the Transformer, with embeddings, positions and a readout.

    Args:
        source_vocab_size: how many source ids there are.
        target_vocab_size: how many target ids there are.
        d_model: width of a token.
        n_heads: heads of every attention.
        d_ff: width inside every feed-forward; four times ``d_model`` if not given, as in the paper.
        n_layers: blocks of the encoder, and of the decoder.
        norm: "pre" or "post"; with "pre", encoder and decoder end with one more norm.
        dropout: share that is dropped in training of each sub-layer's output, and of the embedded tokens.
        tied: whether the readout is the target's table of embeddings, as in the paper (which has one vocabulary
            for both languages, and shares three tables).
        embedding_scale: by how much embeddings are multiplied before positions are added; the root of
            ``d_model`` if not given, as in the paper. The tables start with variance ``1 / d_model``.
        positions: marks the places of source and target tokens; sinusoidal if not given, and ``nn.Identity()``
            leaves them out.
        attend: how every head attends, also in cross-attention. To give positions to one that knows them
            (``with_rotary``), set it in ``self_attention`` of every block: source and target have no distance.

    Raises:
        ValueError: if a number is out of range, or the norm is neither word.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3; tied tables: Press and Wolf 2017, arXiv:1608.05859.

    >>> model = TransformerTranslator(30, 40)
    >>> model(torch.tensor([[5, 6, 2]]), torch.tensor([[1, 7]])).shape
    torch.Size([1, 2, 40])
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        """Let a subclass with an ``embed_target`` of its own decode by it; ``decode`` here embeds without."""
        super().__init_subclass__(**settings)
        if "embed_target" in vars(cls) and cls.decode is TransformerTranslator.decode:
            cls.decode = BlockTranslator.decode  # type: ignore[method-assign]

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        *,
        d_model: int = 64,
        n_heads: int = 4,
        d_ff: int | None = None,
        n_layers: int = 1,
        norm: Norm = "pre",
        dropout: float = 0.0,
        tied: bool = False,
        embedding_scale: float | None = None,
        positions: Positions | None = None,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            n_layers=n_layers,
        )
        if embedding_scale is not None:
            check_finite(embedding_scale=embedding_scale)
        block: dict[str, Any] = {
            "d_model": d_model,
            "n_heads": n_heads,
            "d_ff": 4 * d_model if d_ff is None else d_ff,
            "norm": norm,
            "dropout": dropout,
            "attend": attend,
        }

        def last_norm() -> nn.LayerNorm | None:
            return nn.LayerNorm(d_model) if norm == "pre" else None

        self.encoder = TransformerEncoder(
            (EncoderBlock(**block) for _ in range(n_layers)), last_norm()
        )
        self.decoder = TransformerDecoder(
            (DecoderBlock(**block) for _ in range(n_layers)), last_norm()
        )
        self.source_embedding = Table(source_vocab_size, d_model, "source")
        self.target_embedding = Table(target_vocab_size, d_model, "target_in")
        for table in (self.source_embedding, self.target_embedding):
            nn.init.normal_(table.weight, std=1 / math.sqrt(d_model))
        self.embedding_scale = math.sqrt(d_model) if embedding_scale is None else embedding_scale
        self.positions = SinusoidalPositions(d_model) if positions is None else positions
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(d_model, target_vocab_size, bias=False)
        if tied:
            self.readout.weight = self.target_embedding.weight

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Let the source attend to itself."""
        tokens = tokens_of(source, source_mask)
        x = self._embed(self.source_embedding, source)
        return Memory(self.encoder(x, Padding(tokens)), tokens)

    def decode(
        self, target_in: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits after every target token, each given those before it and the memory."""
        x = self._embed(self.target_embedding, target_in)
        x = self.decoder(x, memory.states, CAUSAL, Padding(memory.mask))
        logits: Tensor = self.readout(x)
        return logits

    def embed_target(
        self, target: Int[Tensor, "batch target"], place: int | Int[Tensor, " batch"] = 0
    ) -> Float[Tensor, "batch target d_model"]:
        """Turn target tokens into vectors, the first of which stands at a place."""
        x = self.target_embedding(target) * self.embedding_scale
        output: Tensor = self.dropout(placed(x, place, self.positions))
        return output

    def _embed(
        self, table: nn.Embedding, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq d_model"]:
        x: Tensor = self.dropout(self.positions(table(ids) * self.embedding_scale))
        return x


def _looking_back(
    attention: MultiHeadAttention, kept: Kept, mask: Mask
) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    """Make a sub-layer that attends to kept keys and values and to its own, and the list that will hold all."""
    after: list[Tensor] = []

    def look_back(x: Tensor) -> Tensor:
        new = attention.keys_values(x, x)
        after[:] = [torch.cat(pair, dim=2) for pair in zip(kept, new, strict=True)]
        return attention.attend_to(x, after[0], after[1], mask)

    return look_back, after


def _past(memory: Memory, n_queries: int, n_keys: int) -> Mask:
    """Say where tokens behind a memory may attend: to what stands before them and is no padding."""
    past = None if n_queries == 1 else CAUSAL  # one new token may look at all before it
    if bool(memory.mask.all()):
        return past
    padding = Padding(F.pad(memory.mask, (0, n_keys - memory.mask.shape[1]), value=True))
    return padding if past is None else past & padding
