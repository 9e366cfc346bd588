"""A translator put together from its pieces; each piece can be put in otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from minattn.exercises.transformer.sublayers import Map, Place, pre_norm
from minattn.masks import Causal, Mask, Padding
from minattn.transformer import TransformerTranslator
from minattn.vocabulary import token_mask

Embed = Callable[[TransformerTranslator, nn.Embedding, Tensor], Tensor]
MakeMask = Callable[[Tensor, Tensor], Any]


def embed_ids(model: TransformerTranslator, table: nn.Embedding, ids: Tensor) -> Tensor:
    """Embed as the model does: look up, scale, add the positions."""
    x: Tensor = model.positions(table(ids) * model.embedding_scale)
    return x


def hide_padding(source: Tensor, target_in: Tensor) -> Mask:
    """Make the mask that hides the padding of the source."""
    return Padding(token_mask(source))


def _hide_future(source: Tensor, target_in: Tensor) -> Mask:
    return Causal()


def own_norm(block: Any, name: str) -> Map:
    """Return the norm that stands before a sub-layer."""
    norm: Map = getattr(block, f"add_{name}").norm
    return norm


def last_norm(model: Any, sums: list[Tensor]) -> Tensor:
    """Make the memory: the last norm of the encoder, on the last sum."""
    memory: Tensor = model.encoder.norm(sums[-1])
    return memory


def _asks_itself(block: Any, mask: Any) -> Map:
    return lambda h: block.self_attention(h, h, h, mask)


def _look_at(block: Any, h: Tensor, memory: Tensor, mask: Any) -> Tensor:
    found: Tensor = block.cross_attention(h, memory, memory, mask)
    return found


def read_logits(model: Any, y: Tensor) -> Tensor:
    """Make the logits: the last norm of the decoder, and the readout."""
    logits: Tensor = model.readout(model.decoder.norm(y))
    return logits


@dataclass(frozen=True)
class Assembly:
    """A pre-norm translator, put together from its pieces; every default is right.

    Args:
        embed_source: embeds the source.
        embed_target: embeds the target.
        encoder_mask: made for the self-attention of the encoder.
        decoder_mask: made for the self-attention of the decoder.
        cross_mask: made for the attention to the source.
        place: how a sub-layer and its norm are put together, for "encoder" or "decoder" and its name.
        norm: the norm of a sub-layer, for a block and its name.
        encoder_steps: the sub-layers of an encoder block, in order.
        decoder_steps: the sub-layers of a decoder block, in order.
        blocks: which blocks are used, for "encoder" or "decoder" and all of them.
        remember: makes the memory, from the sums after every encoder block (the first one stands before it).
        memory_of: the memory that a decoder block sees, from its number, the memory and those sums.
        look: the attention of a decoder block to the memory.
        read: makes the logits from the last sum.
    """

    embed_source: Embed = embed_ids
    embed_target: Embed = embed_ids
    encoder_mask: MakeMask = hide_padding
    decoder_mask: MakeMask = _hide_future
    cross_mask: MakeMask = hide_padding
    place: Callable[[str, str], Place] = lambda side, name: pre_norm
    norm: Callable[[Any, str], Map] = own_norm
    encoder_steps: tuple[str, ...] = ("self_attention", "feed_forward")
    decoder_steps: tuple[str, ...] = ("self_attention", "cross_attention", "feed_forward")
    blocks: Callable[[str, list[Any]], list[Any]] = lambda side, blocks: blocks
    remember: Callable[[Any, list[Tensor]], Tensor] = last_norm
    memory_of: Callable[[int, Tensor, list[Tensor]], Tensor] = lambda i, memory, sums: memory
    look: Callable[..., Tensor] = _look_at
    read: Callable[[Any, Tensor], Tensor] = read_logits

    def __call__(self, model: TransformerTranslator, source: Tensor, target_in: Tensor) -> Tensor:
        """Return the logits."""
        mask = self.encoder_mask(source, target_in)
        sums = [self.embed_source(model, model.source_embedding, source)]
        for block in self.blocks("encoder", list(model.encoder.blocks)):
            steps = {
                "self_attention": _asks_itself(block, mask),
                "feed_forward": block.feed_forward,
            }
            sums.append(self._run("encoder", block, steps, self.encoder_steps, sums[-1]))
        last = self.remember(model, sums)
        y = self.embed_target(model, model.target_embedding, target_in)
        mask_y = self.decoder_mask(source, target_in)
        cross_mask = self.cross_mask(source, target_in)
        for i, block in enumerate(self.blocks("decoder", list(model.decoder.blocks))):
            memory = self.memory_of(i, last, sums)
            steps = {
                "self_attention": _asks_itself(block, mask_y),
                "cross_attention": partial(self.look, block, memory=memory, mask=cross_mask),
                "feed_forward": block.feed_forward,
            }
            y = self._run("decoder", block, steps, self.decoder_steps, y)
        return self.read(model, y)

    def _run(
        self, side: str, block: Any, steps: dict[str, Map], order: tuple[str, ...], x: Tensor
    ) -> Tensor:
        for name in order:
            x = self.place(side, name)(x, steps[name], self.norm(block, name))
        return x
