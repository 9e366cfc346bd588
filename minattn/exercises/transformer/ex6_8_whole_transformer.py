"""Exercise 6.8: the whole Transformer."""

from collections.abc import Sequence
from functools import cache, partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake
from minattn.exercises.transformer.assembly import Assembly, embed_ids
from minattn.exercises.transformer.assembly_blocks import BLOCK_MISTAKES
from minattn.exercises.transformer.assembly_inputs import INPUT_MISTAKES
from minattn.exercises.transformer.small_translator import in_pieces, small_translator
from minattn.exercises.watching import locate_in_translator
from minattn.transformer import TransformerTranslator


def my_transformer(model: TransformerTranslator, source: Tensor, target_in: Tensor) -> Tensor:
    """Return the logits of a pre-norm translator, using only its pieces."""
    return Assembly()(model, source, target_in)


@cache
def _assembly_cases() -> Sequence[Case]:
    """Make the cases once; everybody works on a copy."""
    return [
        (
            in_pieces(small_translator(800, d_model=8, n_heads=4, d_ff=7, n_layers=1)),
            torch.tensor([[5, 9, 2], [4, 7, 2]]),
            torch.tensor([[1, 3, 6, 5, 10], [1, 8, 4, 3, 7]]),
        ),
        (
            in_pieces(small_translator(860, d_model=6, n_heads=2, d_ff=11, n_layers=2)),
            torch.tensor([[5, 9, 3, 7, 2], [6, 2, 0, 0, 0], [10, 8, 4, 2, 0]]),
            torch.tensor([[1, 3, 6, 5], [1, 8, 4, 3], [1, 9, 9, 10]]),
        ),
    ]


def _show_assembly(model: TransformerTranslator, source: Tensor, target_in: Tensor) -> str:
    d_model, n = model.target_embedding.embedding_dim, len(model.encoder.blocks)
    blocks = "1 block" if n == 1 else f"{n} blocks"
    return (
        f"{blocks} on each side, d_model = {d_model}\n"
        f"source = {source.tolist()}\ntarget_in = {target_in.tolist()}"
    )


EXERCISE = Exercise(
    number="6.8",
    title="The whole Transformer",
    solution=my_transformer,
    cases=_assembly_cases,
    show_case=_show_assembly,
    locate=partial(locate_in_translator, my_transformer),
    tolerance=1e-3,
    mistakes=[
        Mistake(
            "called_as_a_whole",
            lambda model, source, target_in: model(source, target_in),
            "You call a part that you are to build here: the model or a method of it, an encoder, a decoder, "
            "a block or one of its add_... modules. Use what is inside it. Of add_self_attention take the "
            "norm; the sum you write yourself.",
            also=[
                lambda model, source, target_in: model.encode(source),
                lambda model, source, target_in: model.decoder(
                    embed_ids(model, model.target_embedding, target_in), None
                ),
            ],
        ),
        *INPUT_MISTAKES,
        *BLOCK_MISTAKES,
    ],
)
