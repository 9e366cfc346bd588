"""Draw every matrix of a model to scale, with its shape, as it is read from the model itself.

A matrix is drawn as torch keeps it: as many rows as numbers come out, as many columns as go in.
The kernels of a convolution are one matrix, a row for each channel that comes out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor, nn

from book.experiments import (
    bert,
    clip,
    efficient_recall,
    image_to_image_models,
    multi_head,
    object_queries,
    self_attention,
    speech,
    super_resolution,
    timeline,
)
from book.models import gpt, persons, stem, t5, two_digits
from minattn import tasks
from minattn.pictures.captioning import Captioner
from minattn.recording import recording
from minattn.subwords import cut_task, learn_subwords
from minattn.tasks.captions import vocabulary
from minattn.tasks.spoken_numbers import spoken_numbers
from minattn.tasks.two_notations import two_notations
from minattn.transformer import TransformerTranslator

WIDTH = 330.0  # of a drawing, in units of its own; the letters are 7 of them high
LONGEST = 30.0  # the longest side of all its matrices
LETTER, GAP, LINE = 3.6, 7.0, 8.0


@dataclass(frozen=True)
class Matrix:
    """The matrices of one name and one shape."""

    name: str
    shape: tuple[int, ...]
    count: int

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def columns(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def label(self) -> str:
        return f"{self.name} ×{self.count}" if self.count > 1 else self.name

    @property
    def size(self) -> str:
        return f"{self.rows} × {'·'.join(str(n) for n in self.shape[1:])}"


def matrices(model: nn.Module) -> list[Matrix]:
    """All that a model learns and that has rows and columns; what it shares counts once."""
    found: dict[tuple[str, tuple[int, ...]], int] = {}
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape[:1]) + tuple(n for n in parameter.shape[1:] if n > 1)
        if len(shape) < 2:
            continue
        parts = [part for part in name.removesuffix(".weight").split(".") if not part.isdigit()]
        key = re.sub(r"_l\d+(_reverse)?$", "", parts[-1]), shape
        found[key] = found.get(key, 0) + 1
    return [Matrix(*key, count) for key, count in found.items()]


def draw(drawn: Sequence[Matrix]) -> str:
    """All matrices of one model at one scale, as an inline SVG in the colour of the text."""
    scale = LONGEST / max(max(one.rows, one.columns) for one in drawn)
    rows: list[list[tuple[float, Matrix]]] = [[]]
    x = 0.0
    for one in drawn:
        letters = LETTER * max(len(one.label), len(one.size))
        room = max(letters, scale * one.columns) + GAP
        if x + room - GAP > WIDTH and rows[-1]:
            rows.append([])
            x = 0.0
        rows[-1].append((x, one))
        x += room
    parts, top = [], 0.0
    for row in rows:
        tallest = max(scale * one.rows for _, one in row)
        for x, one in row:
            width, height = scale * one.columns, scale * one.rows
            parts.append(
                f'<rect x="{x:.1f}" y="{top + tallest - height:.1f}"'
                f' width="{width:.2f}" height="{height:.2f}"/>'
                f'<text x="{x:.1f}" y="{top + tallest + LINE:.1f}">{escape(one.label)}</text>'
                f'<text x="{x:.1f}" y="{top + tallest + 2 * LINE - 0.5:.1f}">{one.size}</text>'
            )
        top += tallest + 2 * LINE + 4
    said = ", ".join(f"{one.label} {one.size}" for one in drawn)
    return (
        f'<svg class="matrices" viewBox="0 0 {WIDTH:.0f} {top:.0f}" role="img"'
        f' aria-label="Matrices: {escape(said, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )


def translator_of_messages() -> nn.Module:
    """As chapter 9 builds it: no experiment makes this model without training it."""
    sentences = tasks.message_pairs()
    every = (*sentences.train, *sentences.held_out)
    german, english = (
        learn_subwords(
            [pair[side] for pair in sentences.train],
            1000,
            {letter for pair in every for letter in pair[side]} - {" "},
        )
        for side in (0, 1)
    )
    task = cut_task("messages", sentences.train, sentences.held_out, german, english)
    return TransformerTranslator(len(task.source), len(task.target), d_ff=128)


def captioner() -> nn.Module:
    """The stem of chapter 15, and the captioner that reads what it sees."""
    classifier = stem.build()
    width = classifier.readout.in_features
    return nn.ModuleDict(
        {"stem": classifier.stem, "captioner": Captioner(width, len(vocabulary()))}
    )


def of_numbers(name: str) -> Callable[[], nn.Module]:
    return lambda: timeline.make_model(few(tasks.number_words), name)


def few(make: Callable[..., tasks.Task]) -> tasks.Task:
    """A task with hardly an example: the vocabularies, and so the shapes, are the same."""
    return make(n_train=1, n_held_out_per_length=1)


def lookup() -> list[Matrix]:
    """What one layer of chapter 4 makes while it reads its longest list."""
    task = few(tasks.reversal)
    model = MODELS["04_self_attention"][1]()
    batch = task.batch(task.held_out_of(max(example.length for example in task.held_out))[:1])
    layer = model.get_submodule("stack.layers.0")
    seen: dict[str, Tensor] = {}
    for part in ("q_proj", "k_proj", "v_proj"):
        layer.get_submodule(part).register_forward_hook(
            lambda module, inputs, output, name=part: seen.update({name: output[0]})
        )
    layer.register_forward_hook(
        lambda module, inputs, output: seen.update(x=inputs[0][0], output=output[0])
    )
    with torch.no_grad(), recording(model) as found:
        model(batch.source, batch.target_in)
    weights = found.weights("stack.layers.0")[0]
    named = {
        "x": seen["x"],
        "query": seen["q_proj"],
        "key": seen["k_proj"],
        "value": seen["v_proj"],
        "scores": weights,
        "weights": weights,
        "output": seen["output"],
    }
    return [Matrix(name, tuple(tensor.shape), 1) for name, tensor in named.items()]


# Where a chapter shows what it builds, and that model, made as its experiments make it.
MODELS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "01_context_vector": (
        "Encoder and decoder: writing from one vector",
        of_numbers("fixed vector"),
    ),
    "02_soft_attention": (
        "Additive and multiplicative scores",
        of_numbers("multiplicative attention"),
    ),
    "03_queries_keys_values": ("Who is the query?", of_numbers("three projections")),
    "04_self_attention": (
        "What takes one look, and what takes two",
        lambda: self_attention.make_model(few(tasks.reversal), 0),
    ),
    "05_multi_head": (
        "From an empty file: multi-head attention",
        lambda: multi_head.make_model(few(tasks.slopes), 0, n_heads=4),
    ),
    "06_transformer": (
        "From an empty file: the whole Transformer",
        of_numbers("Transformer"),
    ),
    "07_training": (
        "From an empty file: the training loop",
        of_numbers("Transformer, chapter 7"),
    ),
    "08_decoding": (
        "Two trained models",
        lambda: timeline.make_model(few(tasks.two_languages), "Transformer"),
    ),
    "09_real_sentences": ("The same kind of Transformer", translator_of_messages),
    "10_gpt": ("From an empty file: GPT", gpt.build),
    "11_bert": (
        "The encoder alone",
        lambda: bert.make_model(two_notations(), 0, "rotary", "both"),
    ),
    "12_t5": ("The model: one bias for all blocks", t5.build),
    "13_summarization": ("From an empty file: a pointer-generator", persons.build),
    "14_speech": (
        "Listen, attend, spell",
        lambda: speech.make_model(spoken_numbers(20, 3, 3), 0, "attention"),
    ),
    "15_captioning": ("Chapter 2's decoder on a picture", captioner),
    "16_object_queries": ("Six queries ask the cells", lambda: object_queries.make_model(0)),
    "17_super_resolution": (
        "A row asks a row",
        lambda: super_resolution.make_model(0, "attention"),
    ),
    "18_image_to_image": (
        "Where and what go separate ways",
        lambda: image_to_image_models.make_turner("attention"),
    ),
    "19_clip": ("Two encoders, one space", lambda: clip.make_model(0)),
    "20_text_to_image": ("Words, a bar, and codes", two_digits.build),
    "21_explanation": (
        "A decision, and what would change it",
        of_numbers("multiplicative attention"),
    ),
    "22_efficient_attention": (
        "Or change the form",
        lambda: efficient_recall.make_model(few(tasks.repetition), 0, "linear", 4),
    ),
}

# Chapters that build no model of their own.
WITHOUT_MODEL = {"23_many_machines"}
