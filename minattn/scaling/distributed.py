"""One model on several processes (chapter 23): torch's own tools, on the blocks of this book.

``replicate`` gives each process all weights and a part of every batch, ``shard`` a part of the weights as well, and
``split_heads_over`` a part of the heads. What runs on several processes is here, what starts them is ``torchrun``.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn.parallel import DistributedDataParallel

from minattn.checks import check_sizes, check_whole
from minattn.multihead import MultiHeadAttention
from minattn.transformer import DecoderBlock, EncoderBlock, FeedForward
from minattn.vocabulary import Batch, token_mask


def part_of(batch: Batch, rank: int, world: int) -> tuple[Batch, int]:
    """Take the rows of one process, and count their target tokens.

    Each row goes to one process. The numbers of rows differ by at most one; the numbers of tokens may differ by much.
    A process without a row still has to take part, for the others wait for its gradient: it gets the first row, of
    which no token counts.

    Args:
        batch: the same in every process.
        rank: number of this process, from 0.
        world: how many processes.

    Returns:
        The rows, and how many of their target tokens count; see ``share_of_loss``.

    Raises:
        ValueError: if there is no such process.

    >>> ids = torch.tensor([[5, 2], [6, 2], [7, 2]])
    >>> part_of(Batch(ids, ids, ids), rank=1, world=2)[0].source
    tensor([[7, 2]])
    """
    check_sizes(world=world)
    check_whole(0, rank=rank)
    if rank >= world:
        raise ValueError(f"rank must be below the number of processes, {world}, got {rank}")
    rows = torch.arange(len(batch), device=batch.source.device)
    own = rows.tensor_split(world)[rank]
    if not len(own):
        return batch.select(rows[:1]), 0
    part = batch.select(own)
    return part, int(token_mask(part.target_out).sum())


def share_of_loss(loss: Float[Tensor, ""], n_tokens: int, group: Any = None) -> Float[Tensor, ""]:
    r"""Weigh the mean loss of one process, so that the mean over the processes is that over all tokens.

    .. math:: \ell'_r = \ell_r\, \frac{n_r\, R}{\sum_s n_s}, \qquad
        \frac{1}{R} \sum_r \ell'_r = \frac{\sum_r n_r \ell_r}{\sum_r n_r}

    The gradients that ``replicate`` and ``shard`` average are then those of the one large batch. Every process has
    to call it.

    Args:
        loss: the mean over the tokens of this process.
        n_tokens: how many they are; 0 if the process only takes part.
        group: of processes; all, if not given.
    """
    check_whole(0, n_tokens=n_tokens)
    all_tokens = torch.tensor(n_tokens, device=loss.device)
    dist.all_reduce(all_tokens, group=group)
    return loss * (n_tokens * dist.get_world_size(group) / all_tokens.item())


def replicate(model: nn.Module, group: Any = None) -> DistributedDataParallel:
    """Give each process the whole model: the weights of process 0. Every backward pass averages the gradients.

    The model itself is kept as ``.module``. Its dropout must be 0 for results that do not depend on the number of
    processes, for each of them draws its own numbers.

    Args:
        model: the same in every process.
        group: of processes; all, if not given.

    References:
        Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training",
        arXiv:2006.15704.
    """
    return DistributedDataParallel(model, process_group=group)


@dataclass
class HandedOver:
    """How many bytes of gradients one process handed to all-reduce."""

    bytes: int = 0


def count_bytes(model: DistributedDataParallel) -> HandedOver:
    """Count from now on what a replicated model hands over: its gradients, once in each backward pass.

    It can be asked for once.

    Returns:
        A count that grows. What then goes over the wire depends on the algorithm: with a ring of R processes each
        sends :math:`2 (R - 1) / R` of it.
    """
    handed = HandedOver()

    def hook(group: dist.ProcessGroup, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        handed.bytes += bucket.buffer().nbytes
        return allreduce_hook(group, bucket)

    model.register_comm_hook(model.process_group, hook)
    return handed


def shard(model: nn.Module, mesh: DeviceMesh | None = None) -> nn.Module:
    """Give each process a part of every weight: of each block by itself, then of what is left.

    A block's weights are gathered when it is called and let go after it, so no process ever holds them all. Gradients
    are averaged, and each process keeps and updates its own part: make the optimizer afterwards.

    Args:
        model: is changed in place. Weights that it has from a file are loaded before.
        mesh: the processes; all of them if not given.

    Returns:
        The model.

    References:
        Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054, stage 3; Zhao et al. 2023, "PyTorch FSDP",
        arXiv:2304.11277.
    """
    if mesh is None:
        device = next(model.parameters()).device.type
        mesh = init_device_mesh(device, (dist.get_world_size(),))
    for part in model.modules():
        if isinstance(part, EncoderBlock | DecoderBlock):
            fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def split_heads_over(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Give each process some heads of every attention, and some of the inner width of every feed-forward.

    Queries, keys, values and ``up_proj`` are split by columns, ``out_proj`` and ``down_proj`` by rows, so a sub-layer
    needs one sum over the processes. All else (tables, norms, the readout) is the same everywhere, and every process
    reads the same batch.

    Args:
        module: a block, a stack or a model of them; is changed in place.
        mesh: the processes, on one axis.

    Returns:
        The module. Its ``n_heads`` are those of one process; a mask with an axis for heads must have as many.

    Raises:
        ValueError: if the heads, those with keys and values, or the inner width cannot be dealt out evenly; or if an
            attend has weights of its own, which belong to heads. Nothing is changed then.
        RuntimeError: if the module is split already.

    References:
        Shoeybi et al. 2019, "Megatron-LM", arXiv:1909.08053, section 3.
    """
    plan: dict[str, ColwiseParallel | RowwiseParallel] = {}
    found = [(name, part) for name, part in module.named_modules() if isinstance(part, _SPLIT)]
    for name, part in found:
        _check_split(name, part, mesh.size())
        columns, rows = _SPLIT_AS[type(part)]
        start = f"{name}." if name else ""
        plan |= {start + column: ColwiseParallel() for column in columns}
        plan |= {start + row: RowwiseParallel() for row in rows}
    parallelize_module(module, mesh, plan)  # type: ignore[arg-type]
    for _, part in found:
        if isinstance(part, MultiHeadAttention):
            part.n_heads //= mesh.size()
            part.n_kv_heads //= mesh.size()
    return module


_SPLIT = (MultiHeadAttention, FeedForward)
_SPLIT_AS = {
    MultiHeadAttention: (("q_proj", "k_proj", "v_proj"), ("out_proj",)),
    FeedForward: (("up_proj",), ("down_proj",)),
}


def _check_split(name: str, part: nn.Module, n: int) -> None:
    if any(isinstance(weight, DTensor) for weight in part.parameters()):
        raise RuntimeError(f"a module is split once, got {name} split already")
    if isinstance(part, FeedForward):
        sizes = {"the inner width": part.up_proj.out_features}
    else:
        assert isinstance(part, MultiHeadAttention)
        sizes = {"n_heads": part.n_heads, "n_kv_heads": part.n_kv_heads}
        if isinstance(part.attend, nn.Module) and any(True for _ in part.attend.parameters()):
            raise ValueError(
                f"heads can be split if attend has no weights, got {type(part.attend).__name__} in {name}"
            )
    for what, size in sizes.items():
        if size % n:
            raise ValueError(
                f"the number of processes must divide {what}, got {n} processes for {size} in {name}"
            )
