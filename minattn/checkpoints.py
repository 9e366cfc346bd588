"""Keep what was trained: one file, written as a whole or not at all."""

import inspect
import json
import math
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from stat import S_IMODE, S_ISLNK, S_ISREG
from types import FunctionType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from minattn.checks import check_tensors

FORMAT = "minattn checkpoint 1"
"""What every file of ours says of itself."""

MODEL = "__model__"
"""The fact that says how a model was made."""


def save_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and a few facts into one file.

    The file is written beside its place, forced to the disk and then renamed. So at every moment there is the
    old file or the new one, whole, and a reader never sees a part; of two that write at once, the last one wins.
    A file that is replaced hands on its permissions. A link is replaced, and not followed.

    Args:
        path: where; its folder must exist.
        tensors: by name. Those that share memory are each written out.
        about: anything that JSON can hold; it stands in the header of the file. A tuple comes back as a list.

    Raises:
        ValueError: if a name is empty or ``__metadata__``, which the format keeps for itself; if a tensor is sparse,
            quantized, on the meta device or of a dtype that safetensors lacks; if ``about`` holds NaN. Nothing is
            written then.
        TypeError: if a name is no string, what it names is no tensor, or ``about`` has something that JSON cannot
            hold; nothing is written then.
        OSError: if the file cannot be written; what was there before is still there.
    """
    path = Path(path)
    header = {"format": FORMAT, "about": facts_in_json(about)}
    for name, x in tensors.items():
        _check_tensor(name, x)
    try:
        content = save(
            {name: x.detach().contiguous().clone() for name, x in tensors.items()}, header
        )
    except KeyError as error:  # that is how safetensors says that it does not know a dtype
        raise ValueError(f"a tensor must have a dtype of safetensors, got {error}") from None
    there = path.lstat().st_mode if path.is_symlink() or path.exists() else None
    if there is not None and not (S_ISREG(there) or S_ISLNK(there)):
        raise OSError(f"a checkpoint must be written to a file, got {path}, which is none")
    _clear(path)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        # A new file: neither a link nor that of another writer.
        with open(unfinished, "xb") as file:
            if there is not None and S_ISREG(there) and there != os.fstat(file.fileno()).st_mode:
                unfinished.chmod(S_IMODE(there))  # before anything stands in it
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def facts_in_json(about: Mapping[str, Any]) -> str:
    """Write facts as JSON, if they come back as they were (but for tuples, which become lists).

    Raises:
        ValueError: if a number is NaN.
        TypeError: if a name is no string, or JSON cannot hold something.
    """
    about = dict(about)
    _check_facts(about)
    return json.dumps(about, sort_keys=True)


def _check_facts(facts: Any) -> None:
    """Check what JSON takes without a word: names that it turns into strings, and NaN, which equals nothing."""
    if isinstance(facts, float) and math.isnan(facts):
        raise ValueError(f"about must hold what JSON can hold, got {facts}")
    for name in facts if isinstance(facts, dict) else ():
        if not isinstance(name, str):
            raise TypeError(
                f"a name in about must be a string, for JSON has no other, got {name!r}"
            )
    if isinstance(facts, dict | list | tuple):
        for fact in facts.values() if isinstance(facts, dict) else facts:
            _check_facts(fact)


def _check_tensor(name: str, x: Tensor) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a tensor must be a string, got {name!r}")
    if name in ("", "__metadata__"):
        raise ValueError(
            f"the name of a tensor must be neither empty nor __metadata__, which is the header's, got {name!r}"
        )
    check_tensors(**{name: x})
    kind = "quantized" if x.is_quantized else str(x.layout).removeprefix("torch.")
    kind = "nested" if x.is_nested else "meta" if x.is_meta else kind
    if kind != "strided":
        raise ValueError(f"{name} must be a dense tensor that holds numbers, got a {kind} one")


def _clear(path: Path) -> None:
    """Remove what killed processes left beside a file: nobody takes an hour from one byte to the next."""
    with suppress(OSError):
        for left in path.parent.iterdir():
            if left.name.startswith(f".{path.name}.") and left.name.endswith(".part"):
                of_an_old_edition = left.name == f".{path.name}.part"
                if of_an_old_edition or time.time() - left.lstat().st_mtime > 3600:
                    left.unlink()


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
    """Write the weights of a model, and how it was made; see ``save_checkpoint`` and ``described``.

    A tensor that has several names is written once, under the first of them.

    Raises:
        ValueError: if ``about`` has the name ``__model__``, and as ``save_checkpoint`` does.
    """
    about = {} if about is None else dict(about)
    if MODEL in about:
        raise ValueError(f"about must leave {MODEL} to save_model, got {about[MODEL]!r}")
    made = described(model)
    again = {name for _, *others in made["shared"] for name in others}
    tensors = {name: x for name, x in model.state_dict().items() if name not in again}
    save_checkpoint(path, tensors, about | {MODEL: made})


def load_model(path: str | os.PathLike[str], model: nn.Module) -> dict[str, Any]:
    """Put the weights of a file into a model that was made like the one they are from.

    A file of an edition that did not write down how the model was made is compared by its weights alone.

    Args:
        path: of ``save_model``.
        model: is changed in place, or, after an error, not at all.

    Returns:
        The facts that were stored beside the weights.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file is broken, its weights have other names, shapes or dtypes than the model's, or its
            model was made in another way.
    """
    tensors, about = load_checkpoint(path)
    said = about.pop(MODEL, None)
    groups = said.get("shared", []) if isinstance(said, dict) else []
    for first, *others in groups:
        if first in tensors:
            tensors = dict.fromkeys(others, tensors[first]) | tensors
    check_names(path, tensors, model.state_dict())
    check_model(path, said, described(model))
    model.load_state_dict(tensors)
    return about


def described(model: nn.Module) -> dict[str, Any]:
    """Say how a model was made: what the names and shapes of its weights do not say.

    Of every submodule that is its type, and of its public attributes the numbers, texts, truth values, functions,
    and tuples of these: heads, shares of dropout, where the norm stands, how it attends. Lists, tensors and buffers
    are what a module keeps while it runs, and do not count; nor does the mode, nor what learns. A function is told
    by its name; one that was made in another, also by the numbers, texts and functions that it has from there.

    Returns:
        For each submodule ("" is the model itself) what it is; under "shared" the names of each tensor that has
        several. JSON can hold it all.

    >>> described(nn.Dropout(0.5))
    {'parts': {'': {'class': 'torch.Dropout', 'p': 0.5, 'inplace': False}}, 'shared': []}
    """
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    parts = {
        name: {"class": _name(type(part))} | _told(vars(part))
        for name, part in model.named_modules()
    }
    return {
        "parts": parts,
        "shared": sorted(sorted(same) for same in names.values() if len(same) > 1),
    }


def check_model(
    path: str | os.PathLike[str], found: dict[str, Any] | None, here: dict[str, Any]
) -> None:
    """Check that the model of a file was made like the one here; see ``described``.

    An attribute that only one of two parts of a type has is let pass: editions differ in that.

    Raises:
        ValueError: naming the first difference.
    """
    if found is None:
        return
    if not (isinstance(found, dict) and all(isinstance(found.get(k), t) for k, t in _KINDS)):
        raise ValueError(f"{MODEL} in {path} must say how a model was made, got {found!r}")
    ours, theirs = here["parts"], found["parts"]
    said = []
    for part in (*ours, *(name for name in theirs if name not in ours)):
        of = f" of {part}" if part else ""
        one, other = theirs.get(part, {}), ours.get(part, {})
        if not (one and other):
            said.append(("class" + of, *(x.get("class", "no such part") for x in (one, other))))
        said += [(name + of, one[name], other[name]) for name in other if name in one]
    said.append(("shared weights", found["shared"] or "none", here["shared"] or "none"))
    for what, one, other in said:
        if one != other:
            raise ValueError(
                f"the model of {path} must have been made like this one, which differs in {what}: "
                f"{one} in the file, {other} in the model"
            )


_KINDS = (("parts", dict), ("shared", list))

_LEFT_OUT = object()


def _told(attributes: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Tell what counts of some attributes."""
    told = {
        name: _tell(x, depth)
        for name, x in attributes.items()
        if not name.startswith("_") and name != "training"
    }
    return {name: x for name, x in told.items() if x is not _LEFT_OUT}


def _tell(x: Any, depth: int = 0) -> Any:
    """Tell a number, a text, a function or a tuple of these in what JSON can hold, without an address.

    The words under which types and functions stand are Python's own, so no attribute has their name.
    """
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, Integral):
        return int(x)
    if isinstance(x, Real):
        return float(x) if math.isfinite(x) else str(float(x))
    if isinstance(x, torch.dtype):
        return str(x)
    if isinstance(x, tuple):
        told = [_tell(one, depth + 1) for one in x]
        return [one for one in told if one is not _LEFT_OUT]
    if not callable(x):
        return _LEFT_OUT
    x = inspect.unwrap(x)
    if isinstance(x, nn.Module):  # it is told at its place in the tree
        return _LEFT_OUT
    if depth > _DEEPEST:  # a function may hold itself
        return _name(x)
    if isinstance(x, partial):
        given = {"def": _tell(x.func, depth + 1), "in": _tell(x.args, depth + 1)}
        return given | _told(x.keywords, depth + 1)
    if inspect.isfunction(x):
        outside = _told(_from_outside(x), depth + 1)
        return {"def": _name(x), **outside} if outside else _name(x)
    if inspect.isroutine(x) or inspect.isclass(x) or not hasattr(x, "__dict__"):
        return _name(x)
    return {"class": _name(type(x)), **_told(vars(x), depth + 1)}


_DEEPEST = 4
"""How many functions within functions are told."""


def _from_outside(function: FunctionType) -> dict[str, Any]:
    """Return what a function that was made in another one has from there, and a lambda as its defaults."""
    if "<" not in function.__qualname__:
        return {}
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing is in it yet
            found[name] = cell.cell_contents
    defaults = inspect.signature(function).parameters.values()
    return found | {p.name: p.default for p in defaults if p.default is not p.empty}


def _name(x: Any) -> str:
    """Name a type or function; where it stands counts only in a package, for a script has two names."""
    name = getattr(x, "__qualname__", None) or type(x).__qualname__
    module = getattr(x, "__module__", None) or ""
    package = module.partition(".")[0]
    where = {"torch": "torch.", "minattn": f"{module}."}.get(package, "")
    return f"{where}{name}"


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
