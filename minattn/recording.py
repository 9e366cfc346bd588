"""Keep the attention weights of any model, or change how it attends, without the model knowing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minattn.alignment import attention_weights
from minattn.masks import Mask, to_bool
from minattn.seam import Attend


class Recording:
    """The weights that were recorded.

    ``calls`` holds, for each submodule that attends ("" is the model itself), the weights of every call in
    order, each of shape (..., queries, keys).
    """

    def __init__(self) -> None:
        self.calls: dict[str, list[Tensor]] = {}

    def weights(self, name: str | None = None) -> Float[Tensor, "*batch queries keys"]:
        """Return the weights of one submodule, its calls joined along the queries.

        Args:
            name: the submodule's name; may be left out where only one attends.

        Raises:
            RuntimeError: if nothing was recorded under that name, the name is needed, or the calls do not fit
                together (a model that writes sees one key more in every call; ``calls`` has them one by one).
        """
        if not self.calls:
            raise RuntimeError("nothing was recorded: run the model inside the with block")
        if name is None and len(self.calls) > 1:
            raise RuntimeError(f"several submodules attend: name one of {sorted(self.calls)}")
        name = next(iter(self.calls)) if name is None else name
        if name not in self.calls:
            raise RuntimeError(
                f"the submodules that attended are {sorted(self.calls)}, got {name!r}"
            )
        keys = sorted({weights.shape[-1] for weights in self.calls[name]})
        if len(keys) > 1:
            raise RuntimeError(
                f"calls with one number of keys can be joined, got {keys}: see calls"
            )
        return torch.cat(self.calls[name], dim=-2)


@contextmanager
def recording(model: nn.Module) -> Iterator[Recording]:
    """Record the attention weights of a model while the block runs.

    The weights are found with ``attention_weights``, so any attend can be recorded. Call ``model.eval()``
    first where there is dropout: in training the weights that are kept would be drawn anew.

    Blocks may stand within each other and end in any order. Each recording has every call once, with the weights
    that the model attends with, be ``attending`` within or around it. A block is about its own thread: what another
    thread does with the model is neither recorded nor changed. In the block the model has the submodules, weights
    and modes that it has outside; a copy that is made there is a copy of the model outside.

    Args:
        model: any model whose parts call ``self.attend(query, key, value, mask)``.

    Raises:
        ValueError: if no part of the model attends.
    """
    record = Recording()

    def made(name: str, below: Attend) -> _Block:
        return _Block(keep=record.calls.setdefault, name=name)

    with _opened(model, made):
        yield record


@contextmanager
def attending(model: nn.Module, change: Callable[[Attend], Attend]) -> Iterator[None]:
    """Change how a trained model attends while the block runs; see ``recording`` for blocks within blocks.

    Args:
        model: any model whose parts call ``self.attend(query, key, value, mask)``.
        change: takes the attend of a part and returns the one to use instead, such as ``hard``. A module that it
            makes is in training mode when its part is, and stays outside of the model.

    Raises:
        ValueError: if no part of the model attends.
    """
    before = set(model.modules())

    def made(name: str, below: Attend) -> _Block:
        changed = change(below)
        new = () if not isinstance(changed, nn.Module) else set(changed.modules()) - before
        return _Block(change=changed, new=tuple(new), name=name)

    with _opened(model, made):
        yield


def _bool_mask(mask: Mask, query: Tensor, key: Tensor) -> Tensor | None:
    """Turn a description into a tensor, for attends that know only tensors."""
    if mask is None:
        return None
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    shape = (*batch, query.shape[-2], key.shape[-2])
    return to_bool(mask, shape, query.device).expand(shape)


class _Block:
    """What one open block does at one place: keep the weights, or attend in another way.

    Args:
        name: of the place.
        keep: takes the name and an empty list, and returns the list to put the weights in.
        change: the attend to use instead.
        new: the modules of the change that are none of the model's.
    """

    def __init__(
        self,
        name: str,
        keep: Callable[[str, list[Tensor]], list[Tensor]] | None = None,
        change: Attend | None = None,
        new: tuple[nn.Module, ...] = (),
    ) -> None:
        self.name, self.keep, self.change, self.new = name, keep, change, new
        self.thread = get_ident()


class _Hook:
    """Stands in for the attend of a part while blocks are open, and attends as they say.

    It is no module and lies beside the part's submodules, so that the tree stays what it is.

    Args:
        part: whose attend it stands in for.
    """

    def __init__(self, part: nn.Module) -> None:
        self.part, self.own = part, "attend" in vars(part)
        self.__wrapped__: Attend = part.attend  # type: ignore[assignment]
        self.blocks: tuple[_Block, ...] = ()  # replaced, never changed: a call sees one state of it

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        blocks = [block for block in self.blocks if block.thread == get_ident()]
        for block in blocks:
            if block.keep is not None:
                with torch.no_grad():
                    bool_mask = _bool_mask(mask, query, key)
                    weights = attention_weights(self.attend_of(blocks), query, key, bool_mask)
                block.keep(block.name, []).append(weights)
        return self.attend_of(blocks)(query, key, value, mask)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.__wrapped__,)  # so copies and pickles hold the attend that is outside

    def attend_of(self, blocks: list[_Block]) -> Attend:
        """Return the attend after the changes of some blocks, the last of which stands above the others."""
        change = next((block for block in reversed(blocks) if block.change is not None), None)
        if change is None:
            return self.__wrapped__

        def changed(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            for module in change.new:
                module.training = self.part.training
            assert change.change is not None
            return change.change(query, key, value, _bool_mask(mask, query, key))

        return changed

    def below(self) -> Attend:
        """Return what a change has to work with, which is itself changed where changes are open already."""
        thread = get_ident()
        lower = [b for b in self.blocks if b.thread == thread and b.change is not None]
        if not lower:
            return self.__wrapped__

        def attend(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            # Of the lower ones, those that are still open: blocks end in any order.
            still = [block for block in lower if block in self.blocks]
            return self.attend_of(still)(query, key, value, mask)

        return attend


def _itself(attend: Attend) -> Attend:
    return attend


_LOCK = RLock()
"""Held while blocks are opened and closed, not while a model runs."""


@contextmanager
def _opened(model: nn.Module, make: Callable[[str, Attend], _Block]) -> Iterator[None]:
    """Open a block at every place of a model that attends, and close it whatever happens."""
    with _LOCK:
        places = list(_places(model))
        if not places:
            raise ValueError(
                f"the model must have an attend somewhere, got {type(model).__name__} without"
            )
        hooks = [_hook(part) or _Hook(part) for _, part in places]
        blocks = [make(name, hook.below()) for (name, _), hook in zip(places, hooks, strict=True)]
        for hook, block in zip(hooks, blocks, strict=True):
            vars(hook.part)["attend"] = hook
            hook.blocks = (*hook.blocks, block)
    try:
        yield
    finally:
        with _LOCK:
            for hook, block in zip(hooks, blocks, strict=True):
                hook.blocks = tuple(other for other in hook.blocks if other is not block)
                if not hook.blocks and _hook(hook.part) is hook:
                    if hook.own:
                        vars(hook.part)["attend"] = hook.__wrapped__
                    else:
                        del vars(hook.part)["attend"]


def _places(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Find the parts that attend, and not through a layer that attends itself."""
    for name, part in model.named_modules(prefix=prefix):
        hook = _hook(part)
        attend = getattr(part, "attend", None) if hook is None else hook.__wrapped__
        if not callable(attend) or _attends_within(attend):
            continue
        changes = [b.change for b in hook.blocks if b.thread == get_ident()] if hook else []
        change = next((c for c in reversed(changes) if c is not None), None)
        if isinstance(change, nn.Module) and _attends_within(change):
            yield from _places(change, f"{name}.attend" if name else "attend")
        else:
            yield name, part


def _hook(part: nn.Module) -> _Hook | None:
    found = vars(part).get("attend")
    return found if isinstance(found, _Hook) else None


def _attends_within(attend: object) -> bool:
    """Say whether an attend is a layer that projects and hands on to an attend of its own."""
    return isinstance(attend, nn.Module) and any(
        callable(getattr(part, "attend", None)) for part in attend.modules()
    )
