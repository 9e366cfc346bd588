"""Keep a model that several processes train (chapter 23): a folder, written as a whole or not at all."""

import json
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from minattn.checkpoints import check_names, facts_in_json

T = TypeVar("T")
Folder = str | os.PathLike[str]

FACTS = "about.json"
_ADAM = ("step", "exp_avg", "exp_avg_sq")


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Gather the weights of a model that is replicated, sharded or split; every process has to call it.

    Returns:
        They have the names of the model itself, so that a plain one of its kind can load them, and
        ``minattn.checkpoints.save_model`` can write that. The way back is ``load_model`` before the model is
        replicated, sharded or split.
    """
    return {
        name: x.full_tensor() if isinstance(x, DTensor) else x
        for name, x in _bare(model).state_dict().items()
    }


def save_sharded(
    folder: Folder,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write what the processes hold, each its part; every process has to call it.

    The state is written beside its place and then renamed, so at every moment the folder holds the last state or the
    new one, whole. What killed processes left half-written is removed by the next that writes.

    Args:
        folder: is made if it is not there. All processes must see the same one, so on several hosts it lies on a
            shared file system.
        model: replicated, sharded, split or plain.
        optimizer: Adam or AdamW, of the weights of the model.
        about: anything that JSON can hold.

    Raises:
        OSError: if something cannot be written, or not all processes write to the same folder; what was there before
            is still there.
        TypeError: if ``about`` has something that JSON cannot hold.
    """
    folder = Path(folder)
    facts = facts_in_json({} if about is None else about)
    unfinished, after = _by_first(lambda: _make_room(folder))
    try:
        with _alone_or_not():
            written = save(_state(model, optimizer), checkpoint_id=unfinished)
    except CheckpointException as error:
        raise OSError(f"a checkpoint must be written to {folder}, got {_cause(error)}") from None
    _by_first(lambda: _finish(unfinished, after, _files(written), facts))


def load_sharded(
    folder: Folder,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    same: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put the last state of a folder into a model; every process has to call it.

    It may have been written by another number of processes, and in another way: replicated, sharded or plain. torch
    stores the list of its parts by pickle, so load no folder of somebody you do not trust.

    Args:
        folder: of ``save_sharded``.
        model: made like the one that was saved.
        optimizer: of the weights of the model; without one, only the weights are read.
        same: what must have been said about the state, by name.

    Returns:
        What was said about the state.

    Raises:
        FileNotFoundError: if there is no state.
        ValueError: if a file is broken or missing, the weights have other names, shapes or dtypes, or something else
            was said about the state.
    """
    last = _by_first(lambda: _last(Path(folder)))
    if last is None:
        raise FileNotFoundError(f"there is no checkpoint in {folder}")
    state = _state(model, optimizer)
    try:
        listed = FileSystemReader(last).read_metadata().state_dict_metadata
        facts: dict[str, Any] = json.loads((last / FACTS).read_text("utf-8"))
    except Exception as error:  # whatever pickle finds
        raise ValueError(f"a checkpoint must be whole, got {last}: {error}") from None
    for what, expected in (same or {}).items():
        if facts.get(what) != expected:
            raise ValueError(
                f"{folder} must have been made with the same {what}, {expected}, got {facts.get(what)}"
            )
    found = {
        name: torch.empty(x.size, dtype=x.properties.dtype, device="meta")
        for name, x in listed.items()
        if isinstance(x, TensorStorageMetadata) and (optimizer or name.startswith("model/"))
    }
    check_names(last, found, state)
    try:
        with _alone_or_not():
            load(state, checkpoint_id=last)
    except CheckpointException as error:
        raise ValueError(f"a checkpoint must be whole, got {last}: {_cause(error)}") from None
    return facts


def _state(model: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """Name all tensors as the files of chapter 7 do. They are the model's own: what is loaded is loaded into them."""
    model = _bare(model)
    tensors = {f"model/{name}": x.detach() for name, x in model.state_dict().items()}
    if optimizer is None:
        return tensors
    for name, weight in model.named_parameters():
        remembered = optimizer.state[weight]
        if not remembered:  # before the first step, or without a gradient
            zeros = (torch.zeros(()), torch.zeros_like(weight), torch.zeros_like(weight))
            remembered |= dict(zip(_ADAM, zeros, strict=True))
        tensors |= {f"{kind}/{name}": remembered[kind] for kind in _ADAM}
    return tensors


def _bare(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, DistributedDataParallel) else model


def _make_room(folder: Path) -> tuple[Path, Path]:
    """Remove what is half-written; say where to write, and what it will be called."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*.part"):
        shutil.rmtree(left, ignore_errors=True)
    last = _last(folder)
    after = folder / f"{1 + int(last.name) if last else 1:06}"
    return folder / f".{secrets.token_hex(8)}.part", after


def _last(folder: Path) -> Path | None:
    return max((path for path in folder.glob("[0-9]*") if path.name.isdigit()), default=None)


def _files(written: Metadata) -> set[str]:
    return {place.relative_path for place in (written.storage_data or {}).values()}


def _finish(unfinished: Path, after: Path, files: set[str], facts: str) -> None:
    missing = [name for name in sorted(files) if not (unfinished / name).exists()]
    if missing:
        raise OSError(
            f"all processes must write to the same folder, got none of {missing[0]} in {unfinished}: "
            "on several hosts it must lie on a shared file system"
        )
    with open(unfinished / FACTS, "w", encoding="utf-8") as file:
        file.write(facts)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(after)
    for old in after.parent.glob("[0-9]*"):
        if old.name.isdigit() and old != after:
            # First away from its name: half of it must never be taken for a checkpoint.
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.part")), ignore_errors=True)


def _by_first(work: Callable[[], T]) -> T:
    """Let process 0 do what one alone must do; give all processes its result, or its error."""
    said: list[Any] = [None, None]
    several = dist.is_initialized()
    if not several or dist.get_rank() == 0:
        try:
            said[0] = work()
        except OSError as error:
            said[1] = error
    if several:
        dist.broadcast_object_list(said)
    if said[1] is not None:
        raise said[1]
    result: T = said[0]
    return result


@contextmanager
def _alone_or_not() -> Iterator[None]:
    """Let one process do without a group: torch warns of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _cause(error: CheckpointException) -> str:
    """Say the first thing that went wrong, and in which process."""
    rank, (cause, _) = min(error.failures.items())
    return f"{cause} (process {rank})"
