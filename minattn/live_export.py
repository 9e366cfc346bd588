"""Write a translator into a file that the live places of the web pages can run."""

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.dot_product import DotProductAttention, fused_attend
from minattn.dot_product import attend as plain_attend
from minattn.multihead import MultiHeadAttention
from minattn.positions import SinusoidalPositions
from minattn.recurrent import RecurrentTranslator, final_state
from minattn.tasks.base import Task
from minattn.transformer import Residual, TransformerTranslator
from minattn.translation import Translator

DTYPES = {"float16": "<f2", "float32": "<f4"}
"""What a file may hold its weights in, and how NumPy calls that in little endian."""


def export_live(
    model: Translator,
    task: Task,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float16", "float32"] = "float16",
) -> None:
    """Write a trained translator into one file, which the translator of the web pages opens.

    The file holds JSON and runs nothing of its own. Its last part is the weights, in base64, with a checksum.

    Args:
        model: a ``RecurrentTranslator``, or a ``TransformerTranslator`` with norms before the sub-layers.
        task: whose vocabularies it reads and writes.
        path: where, such as ``my_model.js``; a file that is there is replaced.
        dtype: half precision makes the file half as large, and rounds every weight to three digits.

    Raises:
        TypeError: if a page cannot run such a model.
        ValueError: if the model has other vocabularies than the task, a weight does not fit the dtype, or the
            dtype is neither of the two.
        OSError: if the file cannot be written.

    >>> import tempfile
    >>> from minattn.tasks import reversal
    >>> task = reversal(n_train=1)
    >>> model = RecurrentTranslator(len(task.source), len(task.target), d_model=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_live(model, task, Path(folder, "mine.js"))
    ...     Path(folder, "mine.js").read_text("utf-8").splitlines()[:2]
    ['// A translator, for the live places of the book. Made by minattn.live_export.', 'minattn.weights["mine"] = {']
    """
    path = Path(path)
    (entry,) = entries(
        path.stem, model, task.source.tokens, task.target.tokens, dtype=dtype
    ).values()
    made_by = "A translator, for the live places of the book. Made by minattn.live_export."
    path.write_text(script("weights", path.stem, made_by, entry), encoding="utf-8", newline="\n")


def settings(model: Translator) -> dict[str, Any]:
    """Say what a page must know to run a model, beside its weights.

    Raises:
        TypeError: if the engine of the live pages does not know this kind.
    """
    if type(model) is TransformerTranslator:
        positions = model.positions
        if not isinstance(positions, SinusoidalPositions):
            raise TypeError(f"the engine knows sinusoidal positions, got {positions!r}")
        _check_parts(model)
        block: Any = model.decoder.blocks[0]
        return {
            "kind": "transformer",
            "d_model": model.readout.in_features,
            "n_heads": block.self_attention.n_heads,
            "n_layers": len(model.decoder.blocks),
            "embedding_scale": model.embedding_scale,
            "base": positions.base,
        }
    if type(model) is RecurrentTranslator:
        return {
            "kind": "recurrent",
            "d_model": model.embedding.embedding_dim,
            "attends": model.attends,
            "bidirectional": model.bidirectional,
            "attend": _attend_settings(model.attend),
        }
    raise TypeError(f"the engine knows no {type(model).__name__}")


def _check_parts(model: nn.Module) -> None:
    """Reject a Transformer with a part that the engine has not."""
    for name, part in model.named_modules():
        if isinstance(part, Residual) and part.place != "pre":
            raise TypeError(f"the engine knows norms before the sub-layers, got {part.place!r}")
        if isinstance(part, nn.LayerNorm) and part.bias is None:
            raise TypeError(f"the engine knows norms with a bias, got {name} without")
        activation = getattr(part, "activation", F.relu)
        if activation is not F.relu:
            raise TypeError(f"the engine knows a feed-forward with relu, got {activation!r}")
        if isinstance(part, MultiHeadAttention):
            if part.attend not in (fused_attend, plain_attend):
                raise TypeError(f"the engine knows plain attention, got {part.attend!r} in {name}")
            if part.n_kv_heads != part.n_heads:
                raise TypeError(
                    "the engine knows heads with keys and values of their own, "
                    f"got {part.n_kv_heads} for {part.n_heads} heads in {name}"
                )


def _attend_settings(attend: Any) -> dict[str, Any]:
    if attend is final_state:
        return {"kind": "final_state"}
    if isinstance(attend, AdditiveAttention):
        return {"kind": "additive"}
    if isinstance(attend, MultiplicativeAttention):
        return {"kind": "multiplicative", "temperature": attend.temperature}
    if isinstance(attend, DotProductAttention):
        return {"kind": "dot_product"}
    raise TypeError(f"the engine knows no {attend!r}")


def entries(
    name: str,
    model: Translator,
    source: Sequence[str],
    target: Sequence[str],
    *,
    dtype: str = "float16",
    parts: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Make what stands in the files of a model, by name of the file.

    Args:
        name: of the model, and of its first file.
        model: the translator.
        source: all tokens of the source vocabulary, the special ones first.
        target: the same of the target.
        dtype: "float16" or "float32".
        parts: for a model too large for one file, what the second is called: everything but the
            encoder goes there.

    Raises:
        TypeError: if a page cannot run such a model.
        ValueError: if a vocabulary has another size than the model's, or a weight does not fit.
    """
    known = settings(model)
    state = model.state_dict()
    for side, words in (("source", source), ("target", target)):
        table = state[_TABLES[known["kind"]][side]]
        if len(table) != len(words):
            raise ValueError(
                f"the model must have one row for each of {len(words)} {side} tokens, got {len(table)}"
            )
    first = {
        key: tensor
        for key, tensor in state.items()
        if not parts or key.startswith(("encoder.", "source_embedding."))
    }
    others = {key: tensor for key, tensor in state.items() if key not in first}
    made = {
        name: {
            "model": known,
            "source": list(source),
            "target": list(target),
            "parts": [f"{name}_{part}" for part in parts],
            **pack(first, dtype),
        }
    }
    made.update({f"{name}_{part}": pack(others, dtype) for part in parts})
    return made


_TABLES = {
    "transformer": {"source": "source_embedding.weight", "target": "target_embedding.weight"},
    "recurrent": {"source": "encoder.embedding.weight", "target": "embedding.weight"},
}


def pack(tensors: Mapping[str, Tensor], dtype: str) -> dict[str, Any]:
    """Put tensors one behind the other; the table says where each begins, in numbers, and its shape.

    Raises:
        ValueError: if the dtype is neither "float16" nor "float32", or a number is not finite in it.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {list(DTYPES)}, got {dtype!r}")
    table, rows, offset = {}, [], 0
    for name, tensor in tensors.items():
        table[name] = [offset, list(tensor.shape)]
        numbers = tensor.detach().cpu().double().numpy()
        with np.errstate(over="ignore"):
            rows.append(numbers.astype(DTYPES[dtype]).ravel())
        if not np.isfinite(rows[-1]).all():
            worst = numbers.ravel()[~np.isfinite(rows[-1])][0]
            raise ValueError(f"every weight must be finite in {dtype}, got {worst:g} in {name}")
        offset += tensor.numel()
    buffer = np.concatenate(rows).tobytes()
    return {
        "dtype": dtype,
        "bytes": len(buffer),
        "crc32": zlib.crc32(buffer),
        "table": table,
        "data": base64.b64encode(buffer).decode("ascii"),
    }


def script(place: str, name: str, about: str, entry: Mapping[str, Any]) -> str:
    """Write an entry as a script: JSON, one part a line, so that a reader sees what there is.

    Args:
        place: which table of ``minattn`` in the page it goes into, such as "weights".
        name: under which name.
        about: the comment above it.
        entry: anything that JSON can hold.
    """
    lines = ",\n".join(f"{json.dumps(key)}: {_dense(part)}" for key, part in entry.items())
    return f"// {about}\nminattn.{place}[{json.dumps(name)}] = {{\n{lines}\n}};\n"


def _dense(part: Any) -> str:
    return json.dumps(part, separators=(",", ":"), ensure_ascii=False)
