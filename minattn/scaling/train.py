"""Train on any number of processes (chapter 23), with the same result.

    python -m minattn.scaling.train --steps 200
    torchrun --nproc-per-node 2 -m minattn.scaling.train --steps 200
    torchrun --nnodes 2 --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint HOST:29400 -m minattn.scaling.train

The first is one process, the second two on this machine, the third is typed on each of two hosts.

``python -m minattn.scaling.launch`` in place of ``torchrun`` says in one line what went wrong. On several hosts only it
lets processes find together again after a restart.

All processes draw the same batches, and each takes its rows, so the number of processes changes sums by no more than
rounding. Training enlarges that: a ReLU at 0 turns either way, and Adam makes steps of the rounding of gradients that
are 0. With ``--dtype float64`` the weights are still equal to ten places after 50 steps. The models have no dropout:
with it, each process would draw other numbers, and the result would depend on how many there are.

With ``--checkpoint FOLDER`` the state is kept, and the same command goes on where it stopped: by hand, or after a
process was lost if ``torchrun`` has ``--max-restarts``. On as many processes as before, it ends with the same weights,
bit for bit. Several hosts need a folder on a file system that all of them see.

Proved on Linux with gloo on CPUs. Unproved: nccl on GPUs, and macOS and Windows, for which torch has gloo too (on
Windows ``torchrun`` may need the environment variable ``USE_LIBUV=0``). Where gloo picks the wrong network, name it:
``GLOO_SOCKET_IFNAME=eth0``, or ``lo0`` on one Mac.
"""

import argparse
import copy
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import HashStore, PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from minattn.checkpoints import described, facts_in_json, save_model
from minattn.checks import check_positive, check_sizes
from minattn.display import show
from minattn.language.gpt import GPT, Smeared, text_task
from minattn.learning import make_optimizer
from minattn.positions import with_rotary
from minattn.recipe import Recipe, smoothed_loss
from minattn.scaling.distributed import part_of, replicate, shard, share_of_loss
from minattn.scaling.sharded_checkpoints import load_sharded, save_sharded, whole_weights
from minattn.schedules import HoldAndFall, OneCycle
from minattn.subwords import START, Subwords
from minattn.tasks import number_words
from minattn.tasks.base import Task
from minattn.tasks.functions import ALPHABET, python_functions
from minattn.training import Losses, batches, seeded
from minattn.transformer import EncoderBlock, TransformerEncoder, TransformerTranslator
from minattn.translation import Translator
from minattn.vocabulary import Batch

WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {"replicate": replicate, "shard": shard}
GRACE = 2.0
"""Seconds in which processes that wait for another tell each other that it is not them."""


def transformer(steps: int, seed: int) -> tuple[Translator, Task, Recipe]:
    """Make chapter 7's model of number words, its task and its recipe."""
    task = number_words()
    with seeded(seed):
        model = TransformerTranslator(len(task.source), len(task.target), d_ff=128, n_layers=2)
    recipe = Recipe(
        steps=steps,
        schedule=OneCycle(steps, warm_up=0.2),
        betas=(0.9, 0.98),
        by_length=False,
        seed=seed,
    )
    return model, task, recipe


def gpt(steps: int, seed: int) -> tuple[Translator, Task, Recipe]:
    """Make chapter 10's GPT of one layer, its task and its recipe."""
    functions = python_functions()
    pieces = Subwords((*ALPHABET, START), functions.merges[:400])
    task = text_task("functions", functions.train, functions.validation, pieces)
    with seeded(seed):
        block = EncoderBlock(64, 2, 256, attend=Smeared(2, with_rotary()))
        decoder = TransformerEncoder([block], nn.LayerNorm(64))
        model = GPT(len(task.target), decoder, tied=True)
    recipe = Recipe(
        steps=steps,
        batch_size=8,
        learning_rate=4e-3,
        schedule=HoldAndFall(steps),
        weight_decay=0.05,
        betas=(0.9, 0.98),
        seed=seed,
    )
    return model, task, recipe


MODELS = {"transformer": transformer, "gpt": gpt}


def train_together(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    *,
    way: str = "replicate",
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 100,
    progress: bool = True,
) -> tuple[nn.Module, Losses]:
    """Train a translator with all processes of the group; each of them calls this alike.

    Args:
        model: the same in every process, without dropout.
        task: its training examples are drawn as ``minattn.recipe.train`` draws them.
        recipe: how; a batch is cut for the processes, and no further.
        way: "replicate" or "shard", see ``minattn.scaling.distributed``.
        checkpoint: a folder to keep the state in, and to go on from; see ``save_sharded``.
        every: steps from one time that it is written to the next; it is also written at the end.
        progress: let process 0 say now and then how far it is.

    Returns:
        The replicated or sharded model, and the loss of every step over the whole batch, also of the steps before an
        interruption.

    Raises:
        ValueError: if the processes differ in model, recipe, data or way, or the checkpoint is of another model,
            recipe or data.
        OSError: if the checkpoint cannot be written.
        RuntimeError: if the loss or the gradient is not finite, or another process is lost.
    """
    check_sizes(every=every)
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}, got {way!r}")
    device = next(model.parameters()).device
    data = _on(device, task.batch(task.train))
    about = {"model": _described(model), "recipe": repr(recipe), "data": _fingerprint(data)}
    _check_agreed(about | {"way": way})
    learner = WAYS[way](model)
    optimizer = make_optimizer(learner, recipe)
    losses = Losses()
    if checkpoint is not None:
        losses += _restore(checkpoint, learner, optimizer, about)
    first, world = dist.get_rank() == 0, dist.get_world_size()
    learner.train()
    if way == "replicate":
        # After its first backward pass, torch puts the gradients of a replicated model in another order, and three
        # numbers added in another order differ in the last bit. So the first pass is one that counts for nothing:
        # a training that goes on adds as one that was never interrupted.
        _backward(learner, data.select(torch.arange(1)), recipe, len(losses))
    for batch in islice(_batches(data, recipe), len(losses), recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * recipe.schedule(len(losses))
        optimizer.zero_grad()
        losses.append(_backward(learner, batch, recipe, len(losses)))
        nn.utils.clip_grad_norm_(learner.parameters(), recipe.clip, error_if_nonfinite=True)
        optimizer.step()
        done = len(losses)
        if checkpoint is not None and (done % every == 0 or done == recipe.steps):
            save_sharded(checkpoint, learner, optimizer, about | {"losses": list(losses)})
        if first and progress and done % 20 == 0:
            show(f"step {done} of {recipe.steps}, loss {losses[-1]:.3f}, {world} processes")
    learner.eval()
    return learner, losses


def _backward(learner: nn.Module, batch: Batch, recipe: Recipe, done: int) -> float:
    """Compute the gradient of a batch, each process its rows; return the loss of all rows."""
    part, n_tokens = part_of(batch, dist.get_rank(), dist.get_world_size())
    masks = () if part.source_mask is None else (part.source_mask,)
    logits = learner(part.source, part.target_in, *masks)
    loss = share_of_loss(smoothed_loss(logits, part.target_out, recipe.smoothing), n_tokens)
    whole = loss.detach().clone()
    dist.all_reduce(whole)
    value = whole.item() / dist.get_world_size()
    if not torch.isfinite(whole):  # in all processes alike
        raise RuntimeError(
            f"the loss must stay finite, got {value} at step {done + 1} of {recipe.steps}"
        )
    loss.backward()  # type: ignore[no-untyped-call]
    return value


def _batches(data: Batch, recipe: Recipe) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(recipe.seed)
    lengths = data.lengths().cpu() if recipe.by_length else None
    return map(data.select, batches(len(data), recipe.batch_size, lengths, generator))


def _on(device: torch.device, data: Batch) -> Batch:
    mask = None if data.source_mask is None else data.source_mask.to(device)
    return Batch(
        data.source.to(device), data.target_in.to(device), data.target_out.to(device), mask
    )


def _described(model: nn.Module) -> str:
    """Tell a model from others in one line."""
    made = hashlib.sha256(facts_in_json(described(model)).encode()).hexdigest()[:8]
    weights = list(model.parameters())
    kind = f"{type(model).__name__} of {sum(weight.numel() for weight in weights):,} weights"
    return f"{kind} in {weights[0].dtype}, made as {made}"


def _fingerprint(data: Batch) -> str:
    summary = hashlib.sha256()
    for x in (data.source, data.target_out):
        summary.update(x.cpu().numpy().tobytes())
    return f"{len(data):,} examples, {summary.hexdigest()[:8]}"


def _check_agreed(about: dict[str, str]) -> None:
    """Check that all processes were given the same; every one of them finds the same difference."""
    found: list[dict[str, str]] = [{}] * dist.get_world_size()
    dist.all_gather_object(found, about)
    for rank, other in enumerate(found):
        for what, expected in found[0].items():
            if other[what] != expected:
                raise ValueError(
                    f"all processes must have the same {what}, got {expected} in process 0 "
                    f"and {other[what]} in process {rank}"
                )


def _restore(
    checkpoint: str | os.PathLike[str],
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    about: dict[str, str],
) -> list[float]:
    try:
        losses: list[float] = load_sharded(checkpoint, learner, optimizer, about)["losses"]
    except FileNotFoundError:
        return []
    return losses


def chosen_device(name: str) -> torch.device:
    """Choose where this process computes: "auto" is a GPU of its own where there is one, else the CPU.

    Raises:
        ValueError: if a GPU is asked for, and there is none for this process, or torch has no nccl.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    local, n_gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local >= n_gpus:
        raise ValueError(
            f"device {name} needs a GPU for each process of a host, got {n_gpus} for process {local}; "
            "take --device cpu"
        )
    if not dist.is_nccl_available():
        raise ValueError(f"device {name} needs a torch with nccl, got {torch.__version__}")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def meet(timeout: float) -> tuple[Store, int, int]:
    """Meet the other processes, as the environment says that ``torchrun`` sets; without it there is one process.

    Returns:
        The store that they share, the number of this process, and how many there are.

    Raises:
        ValueError: if only a part of the environment is there.
        RuntimeError: if the port is taken, or not all processes come in time.
    """
    named = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    found = {name: os.environ[name] for name in named if name in os.environ}
    if not {"RANK", "WORLD_SIZE"} & set(found):
        return HashStore(), 0, 1
    missing = [name for name in named if name not in found]
    if missing:
        raise ValueError(
            f"several processes need {', '.join(named)} in the environment, got no {missing[0]}: "
            "start them with torchrun"
        )
    where = f"{found['MASTER_ADDR']}:{found['MASTER_PORT']}"
    try:
        store, rank, world = next(rendezvous("env://", timeout=timedelta(seconds=timeout)))
    except dist.DistError as error:
        said = str(error)
        if "EADDRINUSE" in said:
            rule = f"port {found['MASTER_PORT']} is taken by another program: name another one"
        elif found["RANK"] == "0":
            rule = f"not all of {found['WORLD_SIZE']} processes came to {where} in {timeout:g} s"
        else:
            rule = f"there was no process 0 at {where} in {timeout:g} s"
        raise RuntimeError(rule) from error
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        # One launcher may keep its store for all attempts, and in it the addresses of dead processes.
        store = PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    return store, rank, world


def who_is_lost(store: Store, rank: int, world: int) -> list[int]:
    """Find the processes that are dead or stuck, when this one has waited in vain: those that do not say the same."""
    silent = []
    try:
        store.set(f"waits/{rank}", "1")
        time.sleep(GRACE)
        silent = [other for other in range(world) if not store.check([f"waits/{other}"])]
    except dist.DistError:  # process 0 has the store, or the launcher beside it
        silent = [0]
    return silent


def _exit_with_launcher() -> None:
    """End this process if ``torchrun`` is killed: nobody else would."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="minattn.scaling.train", description="Train on any number of processes."
    )
    parser.add_argument("--model", choices=MODELS, default="transformer")
    parser.add_argument("--steps", type=int, default=600, help="updates of the weights")
    parser.add_argument("--way", choices=WAYS, default="replicate", help="what each process holds")
    parser.add_argument("--checkpoint", type=Path, help="a folder to keep the state in")
    parser.add_argument("--every", type=int, default=100, help="steps from one state to the next")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--timeout", type=float, default=300, help="longest wait, in seconds")
    return parser.parse_args(arguments)


def train_as_told(options: argparse.Namespace, device: torch.device) -> None:
    """Train, store the weights of the trained model, and say in one line what was done."""
    model, task, recipe = MODELS[options.model](options.steps, options.seed)
    model.to(device, getattr(torch, options.dtype))
    plain = copy.deepcopy(model)  # one that can be stored: sharding changes a model
    learner, losses = train_together(
        model,
        task,
        recipe,
        way=options.way,
        checkpoint=options.checkpoint,
        every=options.every,
    )
    weights = whole_weights(learner)
    if dist.get_rank() == 0:
        if options.checkpoint is not None:
            plain.load_state_dict(weights)
            save_model(options.checkpoint / "model.safetensors", plain)
        show(
            f"trained {recipe.steps} steps of {recipe.batch_size} examples, loss {losses[-1]:.3f}, "
            f"{dist.get_world_size()} processes ({options.way}, {device.type})"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says; after an error, say it in one line."""
    options = options_of(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _exit_with_launcher()
    store, rank, world = None, int(os.environ.get("RANK", 0)), 1
    try:
        check_positive(timeout=options.timeout)
        device = chosen_device(options.device)
        store, rank, world = meet(options.timeout)
        dist.init_process_group(
            "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",
            store=store,
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=options.timeout),
        )
        train_as_told(options, device)
        dist.destroy_process_group()
        return 0
    except (ValueError, OSError) as error:
        said = str(error)
    except RuntimeError as error:
        said = str(error)
        if store is not None and (isinstance(error, dist.DistError) or "gloo" in said):
            lost = " and ".join(map(str, who_is_lost(store, rank, world)))
            said = f"waited for process {lost or 'unknown'}, which is dead or stuck: {said}"
    print(f"process {rank}: {said.splitlines()[0]}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads of a group that has lost a process must not keep this one
