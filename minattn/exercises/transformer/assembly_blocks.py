"""What goes wrong in the blocks of a translator, and after them."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Mistake
from minattn.exercises.transformer.assembly import Assembly, last_norm, own_norm, read_logits
from minattn.exercises.transformer.sublayers import (
    Place,
    no_norm,
    norm_twice,
    post_norm,
    pre_norm,
    pre_norm_alone,
    pre_norm_carried,
)


def _place_at(place: Place, *where: str) -> Assembly:
    """Make an assembly that puts some sub-layers together in another way; all if none is named."""
    return Assembly(
        place=lambda side, name: place if not where or f"{side} {name}" in where else pre_norm
    )


_SUBLAYERS = (
    "encoder self_attention",
    "encoder feed_forward",
    "decoder self_attention",
    "decoder cross_attention",
    "decoder feed_forward",
)


def _each(place: Place) -> list[Assembly]:
    """Make assemblies that put one kind of sub-layer, or those of one side, together in another way."""
    return [
        *(_place_at(place, name) for name in _SUBLAYERS),
        _place_at(place, *_SUBLAYERS[:2]),
        _place_at(place, *_SUBLAYERS[2:]),
    ]


def _look_with(change: Callable[..., Tensor]) -> Assembly:
    """Make an assembly whose decoder looks at the memory in another way."""
    return Assembly(look=change)


def _read_with(change: Callable[[Any, Tensor], Tensor]) -> Assembly:
    """Make an assembly that makes the logits in another way."""
    return Assembly(read=change)


def _blocks_as(change: Callable[[list[Any]], list[Any]]) -> Assembly:
    """Make an assembly that uses other blocks."""
    return Assembly(blocks=lambda side, blocks: change(blocks))


def _blocks_on_either(change: Callable[[list[Any]], list[Any]]) -> list[Assembly]:
    """Make assemblies that use other blocks on one side only."""

    def on(which: str) -> Assembly:
        return Assembly(blocks=lambda side, blocks: change(blocks) if side == which else blocks)

    return [on("encoder"), on("decoder")]


def _norm_named(swap: dict[str, str]) -> Assembly:
    """Make an assembly that takes one norm of a block for another."""
    return Assembly(norm=lambda block, name: own_norm(block, swap.get(name, name)))


def _plain_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


BLOCK_MISTAKES = [
    Mistake(
        "no_residual",
        _place_at(pre_norm_alone),
        "A residual is missing: what a sub-layer finds replaces the tokens. It is to be added to what "
        "was there before, x = x + ...",
        also=_each(pre_norm_alone),
    ),
    Mistake(
        "normed_carried_on",
        _place_at(pre_norm_carried),
        "The normed tokens are carried on: x = norm(x), and then x + ... The norm is only for what the "
        "sub-layer reads. The sum goes on from the x before the norm, so give the normed one a name "
        "of its own.",
        also=_each(pre_norm_carried),
    ),
    Mistake(
        "not_normed",
        _place_at(no_norm),
        "A sub-layer reads the tokens as they are. In a pre-norm block each sub-layer has a norm in "
        "front: that of add_self_attention for the self-attention, and so on.",
        also=_each(no_norm),
    ),
    Mistake(
        "post_norm",
        _place_at(post_norm),
        "The norms stand after the sums. That is post-norm, as in the paper; this model is pre-norm, "
        "and its sub-layers read the normed tokens: x + f(norm(x)).",
        also=_each(post_norm),
    ),
    Mistake(
        "normed_twice",
        _place_at(norm_twice),
        "There is a norm in front of the sub-layer and the same one again after the sum. Here only the "
        "first is right.",
        also=_each(norm_twice),
    ),
    Mistake(
        "wrong_norm",
        _norm_named({"feed_forward": "self_attention"}),
        "A sub-layer has the norm of another one. Each has its own, in the add_... module of its name. "
        "Did you copy a line?",
        also=[
            _norm_named({"cross_attention": "self_attention"}),
            _norm_named({"cross_attention": "feed_forward"}),
            _norm_named({"feed_forward": "self_attention", "cross_attention": "self_attention"}),
            _norm_named({"feed_forward": "self_attention", "self_attention": "feed_forward"}),
        ],
    ),
    Mistake(
        "norm_without_weights",
        Assembly(norm=lambda block, name: _plain_norm),
        "You norm the tokens without the weights of the model. Each norm has learned a gain and a bias "
        "for every feature.",
    ),
    Mistake(
        "no_last_norm_in_encoder",
        Assembly(remember=lambda model, sums: sums[-1]),
        "The last norm of the encoder is missing. The blocks of a pre-norm model leave a sum that no "
        "norm has seen, so encoder and decoder both end with one more.",
    ),
    Mistake(
        "no_last_norm_in_decoder",
        _read_with(lambda model, y: model.readout(y)),
        "The last norm of the decoder is missing: the readout gets a sum that no norm has seen.",
    ),
    Mistake(
        "no_last_norms",
        Assembly(remember=lambda model, sums: sums[-1], read=lambda model, y: model.readout(y)),
        "Both last norms are missing, encoder.norm and decoder.norm. The blocks of a pre-norm model "
        "leave sums that no norm has seen.",
    ),
    Mistake(
        "other_last_norm",
        Assembly(remember=lambda model, sums: model.decoder.norm(sums[-1])),
        "Encoder and decoder have a last norm each, with weights of its own. You take one for the "
        "other.",
        also=[
            _read_with(lambda model, y: model.readout(model.encoder.norm(y))),
            Assembly(
                remember=lambda model, sums: model.decoder.norm(sums[-1]),
                read=lambda model, y: model.readout(model.encoder.norm(y)),
            ),
        ],
    ),
    Mistake(
        "keys_of_the_target",
        _look_with(lambda block, h, memory, mask: block.cross_attention(h, h, h, mask)),
        "The second attention of the decoder looks at the target again. The target asks, and the source "
        "is asked: keys and values are the memory, which the encoder left.",
        also=[
            _look_with(lambda block, h, memory, mask: block.cross_attention(h, h, h)),
            _look_with(lambda block, h, memory, mask: block.self_attention(h, h, h)),
        ],
    ),
    Mistake(
        "values_of_the_target",
        _look_with(lambda block, h, memory, mask: block.cross_attention(h, memory, h, mask)),
        "Keys and values of the attention to the source come from two sequences. Both are the memory: a "
        "weight says how much of that source token is delivered.",
        also=[
            _look_with(lambda block, h, memory, mask: block.cross_attention(h, h, memory, mask)),
        ],
    ),
    Mistake(
        "source_asks",
        _look_with(lambda block, h, memory, mask: block.cross_attention(memory, h, h)),
        "In the attention to the source the source asks. Who asks, gets one answer for each of its "
        "tokens, and it is the target that needs them: its tokens are the queries, the memory is keys "
        "and values.",
        also=[
            _look_with(lambda block, h, memory, mask: block.cross_attention(memory, h, h, mask)),
            _look_with(lambda block, h, memory, mask: block.cross_attention(*[memory] * 3)),
            _look_with(lambda block, h, memory, mask: block.cross_attention(*[memory] * 3, mask)),
        ],
    ),
    Mistake(
        "self_attention_for_cross",
        _look_with(lambda block, h, memory, mask: block.self_attention(h, memory, memory, mask)),
        "The decoder looks at the source with its self-attention. For that it has another one, with "
        "weights of its own: cross_attention.",
    ),
    Mistake(
        "memory_normed_again",
        _look_with(
            lambda block, h, memory, mask: block.cross_attention(
                h,
                own_norm(block, "cross_attention")(memory),
                own_norm(block, "cross_attention")(memory),
                mask,
            )
        ),
        "The norm of the decoder block is put on the memory too. It is for the target only: the memory "
        "has had its norm at the end of the encoder.",
        also=[
            Assembly(
                remember=lambda model, sums: sums[-1],
                look=lambda block, h, memory, mask: block.cross_attention(
                    h,
                    own_norm(block, "cross_attention")(memory),
                    own_norm(block, "cross_attention")(memory),
                    mask,
                ),
            ),
        ],
    ),
    Mistake(
        "memory_of_another_block",
        Assembly(memory_of=lambda i, memory, sums: sums[i + 1]),
        "Decoder block i looks at what encoder block i left. In the Transformer all decoder blocks look "
        "at the same memory, the one that the whole encoder left.",
        also=[
            Assembly(memory_of=lambda i, memory, sums: memory if i else sums[1]),
        ],
    ),
    Mistake(
        "encoder_left_out",
        Assembly(remember=lambda model, sums: sums[0]),
        "The decoder looks at the embedded source. The encoder has to come between: its blocks, and its "
        "last norm.",
        also=[
            Assembly(remember=lambda model, sums: last_norm(model, sums[:1])),
        ],
    ),
    Mistake(
        "blocks_left_out",
        _blocks_as(lambda blocks: blocks[:1]),
        "Not all blocks are used, on one side or on both. Each block reads what the one before it left. "
        "Is everything of a block inside your loop? A slice such as [:-1] leaves the last one out.",
        also=[
            _blocks_as(lambda blocks: blocks[-1:]),
            *_blocks_on_either(lambda blocks: blocks[:1]),
            *_blocks_on_either(lambda blocks: blocks[:-1]),
            *_blocks_on_either(lambda blocks: blocks[1:]),
        ],
    ),
    Mistake(
        "one_block_again",
        _blocks_as(lambda blocks: [blocks[0]] * len(blocks)),
        "The same block is used again and again. The blocks are made alike, but each has its own "
        "weights: go through model.encoder.blocks and model.decoder.blocks.",
        also=[
            _blocks_as(lambda blocks: [blocks[-1]] * len(blocks)),
            *_blocks_on_either(lambda blocks: [blocks[0]] * len(blocks)),
        ],
    ),
    Mistake(
        "blocks_reversed",
        _blocks_as(lambda blocks: blocks[::-1]),
        "The blocks come in reverse order. The first one of the list reads the embedded tokens.",
        also=_blocks_on_either(lambda blocks: blocks[::-1]),
    ),
    Mistake(
        "no_feed_forward",
        Assembly(
            encoder_steps=("self_attention",),
            decoder_steps=("self_attention", "cross_attention"),
        ),
        "A feed-forward is missing. It is the last sub-layer of every block, in the encoder and in the "
        "decoder.",
        also=[
            Assembly(encoder_steps=("self_attention",)),
            Assembly(decoder_steps=("self_attention", "cross_attention")),
        ],
    ),
    Mistake(
        "no_cross_attention",
        Assembly(decoder_steps=("self_attention", "feed_forward")),
        "The decoder never looks at the source: its block has two sub-layers where it should have "
        "three. Between the self-attention and the feed-forward comes cross_attention.",
    ),
    Mistake(
        "no_self_attention_in_decoder",
        Assembly(decoder_steps=("cross_attention", "feed_forward")),
        "The decoder does not look at what it has written. Its first sub-layer is a self-attention, "
        "with a causal mask.",
    ),
    Mistake(
        "other_order",
        Assembly(decoder_steps=("cross_attention", "self_attention", "feed_forward")),
        "The sub-layers come in another order. A block attends first and thinks afterwards; in the "
        "decoder the self-attention comes before the attention to the source.",
        also=[
            Assembly(encoder_steps=("feed_forward", "self_attention")),
            Assembly(decoder_steps=("feed_forward", "self_attention", "cross_attention")),
            Assembly(decoder_steps=("self_attention", "feed_forward", "cross_attention")),
        ],
    ),
    Mistake(
        "no_readout",
        _read_with(lambda model, y: model.decoder.norm(y)),
        "These are the last vectors of the decoder. The readout makes a logit for every word of them.",
        also=[_read_with(lambda model, y: y)],
    ),
    Mistake(
        "read_with_the_embedding",
        _read_with(lambda model, y: model.decoder.norm(y) @ model.target_embedding.weight.T),
        "The logits are made with the table of embeddings. That is right in a model with tied tables; "
        "this one is not tied, and has a readout of its own.",
    ),
    Mistake(
        "probabilities",
        _read_with(lambda model, y: read_logits(model, y).softmax(-1)),
        "There is a softmax at the end. Logits are asked for: the loss takes the softmax itself.",
        also=[_read_with(lambda model, y: read_logits(model, y).log_softmax(-1))],
    ),
    Mistake(
        "best_token",
        _read_with(lambda model, y: read_logits(model, y).argmax(-1)),
        "These are the best tokens. The logits of all of them are asked for, shape "
        "(batch, target, vocab).",
    ),
    Mistake(
        "last_place_only",
        _read_with(lambda model, y: read_logits(model, y)[:, -1]),
        "These are the logits of the last place. All places are asked for, as in training.",
        also=[_read_with(lambda model, y: read_logits(model, y)[:, -1:])],
    ),
]
