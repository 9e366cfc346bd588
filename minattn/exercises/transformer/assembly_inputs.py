"""What goes wrong in a translator before its blocks: embeddings and masks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from minattn.exercises.exercise import Mistake
from minattn.exercises.transformer.assembly import Assembly, embed_ids, hide_padding
from minattn.masks import Causal, Mask, Padding
from minattn.vocabulary import token_mask


def _hide_nothing(source: Tensor, target_in: Tensor) -> Mask:
    return None


def _embed_with(change: Callable[[Any, Any, Tensor], Tensor], who: str = "both") -> Assembly:
    """Make an assembly that embeds source, target or both in another way."""
    return Assembly(
        embed_source=embed_ids if who == "target" else change,
        embed_target=embed_ids if who == "source" else change,
    )


def _unscaled(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids))
    return x


def _scaled_late(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids)) * model.embedding_scale
    return x


def _scaled_down(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids) / model.embedding_scale)
    return x


def _scaled_by_width(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = model.positions(table(ids) * table.embedding_dim)
    return x


def _placed_twice(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x = table(ids) * model.embedding_scale
    twice: Tensor = x + model.positions(x)
    return twice


def _positions_as_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids) * model.embedding_scale + model.positions
    return x


def _placeless(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids) * model.embedding_scale
    return x


def _placeless_and_unscaled(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    x: Tensor = table(ids)
    return x


def _other_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    source = table is model.source_embedding
    return embed_ids(model, model.target_embedding if source else model.source_embedding, ids)


def _source_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    return embed_ids(model, model.source_embedding, ids)


def _target_table(model: Any, table: nn.Embedding, ids: Tensor) -> Tensor:
    return embed_ids(model, model.target_embedding, ids)


def _hide_tokens(source: Tensor, target_in: Tensor) -> Mask:
    return Padding(~token_mask(source))


def _hide_past(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).triu()


def _hide_past_and_self(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).triu(1)


def _hide_self_too(source: Tensor, target_in: Tensor) -> Mask:
    n = target_in.shape[1]
    return torch.ones(n, n, dtype=torch.bool).tril(-1)


def _two_axes(source: Tensor, target_in: Tensor) -> Mask:
    return token_mask(source)


def _masks_of_source(change: Callable[[Tensor], Tensor]) -> Assembly:
    """Make an assembly that hides the padding of the source by another tensor."""

    def mask(source: Tensor, target_in: Tensor) -> Any:
        return change(token_mask(source))

    return Assembly(encoder_mask=mask, cross_mask=mask)


def _source_future(source: Tensor, target_in: Tensor) -> Mask:
    return Causal() & hide_padding(source, target_in)


INPUT_MISTAKES = [
    Mistake(
        "not_scaled",
        _embed_with(_unscaled),
        "The embeddings are not multiplied by embedding_scale. Their numbers are of size "
        "1/sqrt(d_model), those of the positions of size 1, so the words would drown.",
        also=[_embed_with(_unscaled, "source"), _embed_with(_unscaled, "target")],
    ),
    Mistake(
        "scaled_late",
        _embed_with(_scaled_late),
        "The positions are multiplied as well. First the embeddings are multiplied by embedding_scale, "
        "then the positions come on top.",
        also=[_embed_with(_scaled_late, "source"), _embed_with(_scaled_late, "target")],
    ),
    Mistake(
        "scaled_the_wrong_way",
        _embed_with(_scaled_by_width),
        "The embeddings are multiplied by another number. It is the root of d_model, and the model has "
        "it in embedding_scale.",
        also=[_embed_with(_scaled_down)],
    ),
    Mistake(
        "positions_added_twice",
        _embed_with(_placed_twice),
        "model.positions is called with the embedded tokens and returns them with the positions added. "
        "Take what it returns: x = model.positions(x).",
        also=[
            _embed_with(_placed_twice, "source"),
            _embed_with(_placed_twice, "target"),
            _embed_with(_positions_as_table),
        ],
    ),
    Mistake(
        "no_positions",
        _embed_with(_placeless),
        "There are no positions. Attention finds tokens by what they are; where they stand it has to be "
        "told. model.positions(x) returns a new tensor and leaves x alone.",
        also=[_embed_with(_placeless, "source"), _embed_with(_placeless, "target")],
    ),
    Mistake(
        "only_looked_up",
        _embed_with(_placeless_and_unscaled),
        "The embeddings go into the blocks as they come from the table. Two things are missing: the "
        "factor embedding_scale, and then the positions.",
        also=[
            _embed_with(_placeless_and_unscaled, "source"),
            _embed_with(_placeless_and_unscaled, "target"),
        ],
    ),
    Mistake(
        "one_table_for_both",
        Assembly(embed_source=_target_table),
        "Source and target are embedded with the same table, or with each other's. This model has two "
        "vocabularies, and an id means another word in each.",
        also=[
            Assembly(embed_target=_source_table),
            Assembly(embed_source=_other_table, embed_target=_other_table),
        ],
    ),
    Mistake(
        "no_causal_mask",
        Assembly(decoder_mask=_hide_nothing),
        "The decoder's self-attention has no causal mask. Then each place sees the word that it is to "
        "guess: in training the loss goes to 0, and in use there is no such word to look at.",
    ),
    Mistake(
        "padding_seen",
        Assembly(encoder_mask=_hide_nothing, cross_mask=_hide_nothing),
        "Nothing hides the padding of the source, neither in the encoder nor from the decoder. So a "
        "sentence gives something else next to a longer one than alone. PAD is an id like any other, "
        "and has an embedding.",
    ),
    Mistake(
        "padding_seen_by_encoder",
        Assembly(encoder_mask=_hide_nothing),
        "In the encoder the tokens of the source attend to padding. The padding mask belongs there too: "
        "a sentence must give the same alone as next to a longer one.",
    ),
    Mistake(
        "padding_seen_by_decoder",
        Assembly(cross_mask=_hide_nothing),
        "The decoder attends to the padding of the source. The encoder made vectors for it too, and "
        "they look like any others. The padding mask belongs to the attention to the source as well.",
    ),
    Mistake(
        "padding_mask_inverted",
        Assembly(encoder_mask=_hide_tokens, cross_mask=_hide_tokens),
        "The padding mask is the wrong way round. Here True means that one may look: source != PAD. "
        "The layers of torch want it the other way in nn.MultiheadAttention.",
        also=[Assembly(encoder_mask=_hide_tokens), Assembly(cross_mask=_hide_tokens)],
    ),
    Mistake(
        "causal_mask_inverted",
        Assembly(decoder_mask=_hide_past_and_self),
        "The causal mask is the wrong way round: a token sees what comes later. True means that one may "
        "look, so it is the lower triangle, with the diagonal.",
        also=[Assembly(decoder_mask=_hide_past)],
    ),
    Mistake(
        "own_token_hidden",
        Assembly(decoder_mask=_hide_self_too),
        "The causal mask hides the token itself too, so the first one sees nothing. The target was "
        "shifted when the batch was made: place t holds the word before the one it guesses, and may "
        "see it.",
    ),
    Mistake(
        "encoder_is_causal",
        Assembly(encoder_mask=_source_future),
        "The encoder has a causal mask. The source is there as a whole before the first word is "
        "written, so all of its tokens may look in both directions.",
        also=[Assembly(encoder_mask=lambda source, target_in: Causal())],
    ),
    Mistake(
        "causal_to_the_source",
        Assembly(cross_mask=_source_future),
        "The attention to the source has a causal mask. All of the source may be seen from the first "
        "word on: the last word of a German sentence may be the first in English.",
        also=[Assembly(cross_mask=lambda source, target_in: Causal())],
    ),
    Mistake(
        "mask_of_other_axes",
        _masks_of_source(lambda tokens: tokens),
        "The padding mask has the wrong axes. The last one is that of the keys, and the one before that "
        "of the queries, so (batch, keys) will not do. Give it an axis for the queries, "
        "tokens[:, None], or wrap it in Padding(tokens).",
        also=[
            Assembly(cross_mask=_two_axes),
            _masks_of_source(lambda tokens: tokens[:, :, None]),
            _masks_of_source(lambda tokens: tokens[None]),
            _masks_of_source(lambda tokens: tokens[..., None, None]),
        ],
    ),
    Mistake(
        "padding_of_the_target",
        Assembly(cross_mask=lambda source, target_in: Padding(token_mask(target_in))),
        "In the attention to the source you hide the padding of the target. What is to be hidden are "
        "keys, and the keys are the source.",
        also=[
            Assembly(cross_mask=lambda source, target_in: token_mask(target_in)[:, None]),
            Assembly(cross_mask=lambda source, target_in: token_mask(target_in)[:, None, None]),
        ],
    ),
    Mistake(
        "mask_is_not_bool",
        _masks_of_source(lambda tokens: tokens[:, None].float()),
        "A mask holds numbers. In this package masks are bool, True where one may look; numbers that "
        "are added to the scores would be a bias. torch.ones needs dtype=torch.bool.",
        also=[
            *(
                _masks_of_source(change)
                for change in (
                    lambda tokens: tokens.float(),
                    lambda tokens: tokens[:, None, None].float(),
                    lambda tokens: tokens[:, None].long(),
                    lambda tokens: tokens[:, None, None].long(),
                )
            ),
            Assembly(decoder_mask=lambda source, y: torch.ones(y.shape[1], y.shape[1]).tril()),
            Assembly(decoder_mask=lambda source, y: torch.ones(1, y.shape[1], y.shape[1]).tril()),
        ],
    ),
]
