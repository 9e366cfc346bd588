"""Keep the attention weights of any model, or change how it attends, without the model knowing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    Args:
        model: any model whose parts call ``self.attend(query, key, value, mask)``.

    Raises:
        ValueError: if no part of the model attends.
    """
    record = Recording()

    def recorder(attend: Attend, name: str) -> Attend:
        def recorded(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            with torch.no_grad():
                weights = attention_weights(attend, query, key, _bool_mask(mask, query, key))
            record.calls.setdefault(name, []).append(weights)
            return attend(query, key, value, mask)

        return recorded

    with _rewired(model, recorder):
        yield record


@contextmanager
def attending(model: nn.Module, change: Callable[[Attend], Attend]) -> Iterator[None]:
    """Change how a trained model attends while the block runs.

    Args:
        model: any model whose parts call ``self.attend(query, key, value, mask)``.
        change: takes the attend of a part and returns the one to use instead, such as ``hard``.

    Raises:
        ValueError: if no part of the model attends.
    """
    with _rewired(model, lambda attend, name: _WithBoolMask(change(attend))):
        yield


class _WithBoolMask(nn.Module):
    """Hand a mask to an attend as a tensor."""

    def __init__(self, inner: Attend) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        output: Tensor = self.inner(query, key, value, _bool_mask(mask, query, key))
        return output


def _bool_mask(mask: Mask, query: Tensor, key: Tensor) -> Tensor | None:
    """Turn a description into a tensor, for attends that know only tensors."""
    if mask is None:
        return None
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    shape = (*batch, query.shape[-2], key.shape[-2])
    return to_bool(mask, shape, query.device).expand(shape)


@contextmanager
def _rewired(model: nn.Module, rewire: Callable[[Attend, str], Attend]) -> Iterator[None]:
    """Replace every ``attend`` in a model, and put the old ones back whatever happens."""
    owners = [
        (name, part)
        for name, part in model.named_modules()
        if callable(getattr(part, "attend", None)) and not _attends_within(part.attend)
    ]
    if not owners:
        raise ValueError(
            f"the model must have an attend somewhere, got {type(model).__name__} without"
        )
    before = [(part, part.attend, list(part._modules)) for _, part in owners]
    try:
        for name, part in owners:
            _set_attend(part, rewire(part.attend, name))
        yield
    finally:
        for part, attend, order in before:
            _set_attend(part, attend)
            # In their old order: an optimizer made later sees the same parameters in the same places.
            part._modules = {name: part._modules[name] for name in order}


def _attends_within(attend: object) -> bool:
    """Say whether an attend is a layer that projects and hands on to an attend of its own."""
    return isinstance(attend, nn.Module) and any(
        callable(getattr(part, "attend", None)) for part in attend.modules()
    )


def _set_attend(part: nn.Module, attend: Attend) -> None:
    """Set ``part.attend``, past the rule that only a module may take a module's place."""
    part._modules.pop("attend", None)
    part.__dict__.pop("attend", None)
    if isinstance(attend, nn.Module):
        part.add_module("attend", attend)
    else:
        object.__setattr__(part, "attend", attend)
