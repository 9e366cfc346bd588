"""Keep what was trained: one file, written as a whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

FORMAT = "minattn checkpoint 1"
"""What every file of ours says of itself."""


def save_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and a few facts into one file.

    The file is written beside its place, forced to the disk and then renamed. So at every moment there is the
    old file or the new one, whole, and a reader never sees a part. Two programs must not write one file.

    Args:
        path: where; its folder must exist.
        tensors: by name. Those that share memory are each written out.
        about: anything that JSON can hold; it stands in the header of the file.

    Raises:
        TypeError: if ``about`` has something that JSON cannot hold; nothing is written then.
        OSError: if the file cannot be written; what was there before is still there.
    """
    path = Path(path)
    header = {"format": FORMAT, "about": json.dumps(dict(about), sort_keys=True)}
    content = save({name: x.detach().contiguous().clone() for name, x in tensors.items()}, header)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of ``save_checkpoint``: tensors and facts. Nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is broken, cut short, or none of ours.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # Copies: what the file holds is only mapped into memory, and would change with it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"a checkpoint must be a whole safetensors file, got {path}, which cannot be read: {error}"
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"a checkpoint says {FORMAT!r} of itself, got {path}, which says {header.get('format')!r}"
        )
    try:
        about = json.loads(header.get("about", ""))
    except json.JSONDecodeError:
        about = None
    if not isinstance(about, dict):
        raise ValueError(
            f"the header of a checkpoint must hold an object in JSON, got {header.get('about')!r} in {path}"
        )
    return tensors, about


def save_model(
    path: str | os.PathLike[str], model: nn.Module, about: Mapping[str, Any] | None = None
) -> None:
    """Write the weights of a model; see ``save_checkpoint``."""
    save_checkpoint(path, model.state_dict(), {} if about is None else about)


def load_model(path: str | os.PathLike[str], model: nn.Module) -> dict[str, Any]:
    """Put the weights of a file into a model that was made like the one they are from.

    Args:
        path: of ``save_model``.
        model: is changed in place, or, after an error, not at all.

    Returns:
        The facts that were stored beside the weights.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file is broken, or its weights have other names, shapes or dtypes than the model's.
    """
    tensors, about = load_checkpoint(path)
    check_names(path, tensors, model.state_dict())
    model.load_state_dict(tensors)
    return about


def check_names(
    path: str | os.PathLike[str], found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Check that a file has the tensors that a model needs, and no others.

    Raises:
        ValueError: naming the first that is missing, unknown, or of another shape or dtype.
    """
    for name in (*wanted, *found):
        here, there = (
            f"{x[name].dtype} {tuple(x[name].shape)}" if name in x else "nothing of that name"
            for x in (wanted, found)
        )
        if here != there:
            raise ValueError(
                f"the tensors of {path} must be those of the model, "
                f"got {there} for {name}, where the model has {here}"
            )
