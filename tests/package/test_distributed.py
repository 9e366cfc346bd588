"""One model on several processes is the same model: gradients, weights, outputs and what is kept of it."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from minattn.checkpoints import load_model, save_model
from minattn.language.gpt import GPT, Smeared
from minattn.learning import Recipe, make_optimizer
from minattn.positions import with_rotary
from minattn.scaling import sharded_checkpoints
from minattn.scaling.distributed import (
    count_bytes,
    part_of,
    replicate,
    shard,
    share_of_loss,
    split_heads_over,
)
from minattn.scaling.processes import run_on
from minattn.scaling.sharded_checkpoints import load_sharded, save_sharded, whole_weights
from minattn.training import seeded, token_loss
from minattn.transformer import (
    DecoderBlock,
    EncoderBlock,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)
from minattn.vocabulary import BOS, EOS, Batch, pad

cloudpickle.register_pickle_by_value(sys.modules[__name__])

VOCABULARY = 29
LENGTHS = (1, 23, 2, 19, 1, 3, 17, 1, 2)  # of targets: a mean of means is far from the mean
RECIPE = Recipe(steps=3, learning_rate=1e-2, weight_decay=0.1, betas=(0.9, 0.98))


def make_batch(lengths=LENGTHS):
    with seeded(3):
        rows = [torch.randint(3, VOCABULARY, (n,)).tolist() for n in lengths]
    return Batch(
        pad([[*row[::-1], EOS] for row in rows]),
        pad([[BOS, *row] for row in rows]),
        pad([[*row, EOS] for row in rows]),
    )


def make_translator(dtype=torch.float64, seed=0):
    with seeded(seed):
        model = TransformerTranslator(
            VOCABULARY, VOCABULARY, d_model=20, n_heads=4, d_ff=28, n_layers=2, tied=True
        )
    return model.to(dtype)


def make_gpt(dtype=torch.float64, smeared=True):
    with seeded(1):
        attends = [with_rotary(), Smeared(4, with_rotary()) if smeared else with_rotary()]
        blocks = [EncoderBlock(24, 4, 28, attend=attend) for attend in attends]
        return GPT(VOCABULARY, TransformerEncoder(blocks, nn.LayerNorm(24)), tied=True).to(dtype)


MODELS = {"translator": make_translator, "GPT": make_gpt}


def whole_loss(model, batch):
    return token_loss(model(batch.source, batch.target_in), batch.target_out)


def own_loss(model, batch, fair=True):
    """The loss of the rows of this process, weighed by their tokens or not."""
    part, n_tokens = part_of(batch, dist.get_rank(), dist.get_world_size())
    loss = whole_loss(model, part)
    return share_of_loss(loss, n_tokens) if fair else loss


def gradients(model):
    model = getattr(model, "module", model)
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    return {n: x.full_tensor() if isinstance(x, DTensor) else x for n, x in grads.items()}


def apart(found, expected):
    """The largest difference, over the largest number that is expected."""
    assert set(found) == set(expected)
    largest = max(x.abs().max().item() for x in expected.values())
    return max((found[n] - expected[n]).abs().max().item() for n in expected) / largest


def gradient_difference(wrap, make, dtype, fair=True, lengths=LENGTHS):
    plain, batch = make(dtype), make_batch(lengths)
    whole_loss(plain, batch).backward()
    learner = wrap(make(dtype))
    own_loss(learner, batch, fair).backward()
    return apart(gradients(learner), gradients(plain))


def take_steps(model, loss, n=3):
    optimizer = make_optimizer(model, RECIPE)
    for _ in range(n):
        optimizer.zero_grad()
        loss(model, make_batch()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    return optimizer


def weight_difference(wrap, make):
    plain, learner = make(), wrap(make())
    take_steps(plain, whole_loss)
    take_steps(learner, own_loss)
    return apart(whole_weights(learner), plain.state_dict())


def bytes_handed_over(n_steps):
    model = make_translator(torch.float32)
    model.source_embedding.weight.requires_grad = False
    learner = replicate(model)
    counted = count_bytes(learner)
    take_steps(learner, own_loss, n_steps)
    return counted.bytes


def split_difference(make, *inputs):
    """Outputs and gradients of a module whose heads are split, beside one that has them all."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    results = []
    for split in (False, True):
        with seeded(2):
            module = make()
        if split:
            split_heads_over(module, mesh)
        given = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
        output = module(*given)
        (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
        found = gradients(module) | {f"input {i}": x.grad for i, x in enumerate(given)}
        found = {name: x for name, x in found.items() if x is not None}
        results.append(({"output": output.detach()}, found))
    return max(apart(mine, all_) for mine, all_ in zip(results[1], results[0], strict=True))


def split_differences():
    with seeded(5):
        x, memory = torch.randn(3, 7, 24), torch.randn(3, 5, 24)
        ids = torch.randint(3, VOCABULARY, (3, 7))
    settings = {"d_model": 24, "n_heads": 4, "d_ff": 20}
    return {
        "encoder block": split_difference(lambda: EncoderBlock(**settings), x),
        "decoder block": split_difference(lambda: DecoderBlock(norm="post", **settings), x, memory),
        "encoder": split_difference(
            lambda: TransformerEncoder([EncoderBlock(**settings) for _ in range(2)]), x
        ),
        "decoder": split_difference(
            lambda: TransformerDecoder([DecoderBlock(**settings) for _ in range(2)]), x, memory
        ),
        "GPT": split_difference(lambda: make_gpt(torch.float32, smeared=False), ids[:, :1], ids),
    }


def error_of(call, *arguments):
    try:
        call(*arguments)
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def split_errors():
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    done = split_heads_over(EncoderBlock(8, 4, 8), mesh)
    odd = EncoderBlock(9, 3, 8)
    before = {name: x.clone() for name, x in odd.state_dict().items()}
    errors = {
        "heads": error_of(split_heads_over, odd, mesh),
        "width": error_of(split_heads_over, EncoderBlock(8, 4, 7), mesh),
        "attend": error_of(split_heads_over, make_gpt(), mesh),
        "twice": error_of(split_heads_over, done, mesh),
    }
    untouched = odd.self_attention.n_heads == 3 and apart(odd.state_dict(), before) == 0
    return errors, untouched


def goes_on_alike(folder, wrap, save_to=None):
    """Load what others wrote, take two more steps; compare with a training of all steps in one process."""
    model = wrap(make_translator(seed=9))
    optimizer = make_optimizer(model, RECIPE)
    about = load_sharded(folder, model, optimizer)
    if save_to is not None:
        save_sharded(save_to, model, optimizer, about)
    for _ in range(2):
        optimizer.zero_grad()
        loss = own_loss if dist.is_initialized() else whole_loss
        loss(model, make_batch()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    plain = make_translator()
    take_steps(plain, whole_loss, 5)
    return apart(whole_weights(model), plain.state_dict()), about


@dataclass
class Found:
    replicated: dict
    means: float
    sharded: dict
    weights: dict
    few_rows: float
    bytes: int
    split: dict
    errors: tuple
    kept: dict


def on_each(root):
    """Everything that is tried with a number of processes."""
    world, root = dist.get_world_size(), Path(root)
    dtypes = {"float32": torch.float32, "float64": torch.float64}
    kept = {}
    sources = ["1"] if world == 2 else ["2 replicated", "2 sharded"]
    for source in sources:
        for name, wrap in (("replicated", replicate), ("sharded", shard)):
            target = root / f"{world} {name}"
            kept[f"{source} to {world} {name}"] = goes_on_alike(root / source, wrap, target)
    whole = whole_weights(shard(make_gpt()))
    if dist.get_rank() == 0:
        plain = make_gpt()
        plain.load_state_dict(whole)
        save_model(root / f"weights {world}", plain)
    return Found(
        replicated={
            (kind, name): gradient_difference(replicate, make, dtype)
            for kind, make in MODELS.items()
            for name, dtype in dtypes.items()
        },
        means=gradient_difference(replicate, make_gpt, torch.float64, fair=False),
        sharded={
            (kind, name): gradient_difference(shard, make, dtype)
            for kind, make in MODELS.items()
            for name, dtype in dtypes.items()
        },
        weights={
            (kind, wrap.__name__): weight_difference(wrap, make)
            for kind, make in MODELS.items()
            for wrap in (replicate, shard)
        },
        few_rows=max(
            gradient_difference(wrap, make_gpt, torch.float64, lengths=(5, 2, 11)[: world - 1])
            for wrap in (replicate, shard)
        ),
        bytes=bytes_handed_over(n_steps=3),
        split=split_differences(),
        errors=split_errors(),
        kept=kept,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    plain = make_translator()
    optimizer = take_steps(plain, whole_loss)
    save_sharded(folder / "1", plain, optimizer, {"steps": 3})
    return folder


@pytest.fixture(scope="module")
def on_two(root):
    return run_on(2, on_each, str(root), timeout=300)


@pytest.fixture(scope="module")
def on_four(root, on_two):
    return run_on(4, on_each, str(root), timeout=300)


@pytest.fixture(params=["on_two", "on_four"])
def found(request):
    """What every process found, of two and of four."""
    return request.getfixturevalue(request.param)


TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
"""Sums in another order: some roundings, of numbers up to the largest gradient."""


@pytest.mark.slow
def test_the_gradients_of_all_processes_are_those_of_the_one_large_batch(found):
    for one in found:
        for (_, dtype), difference in (one.replicated | one.sharded).items():
            assert difference < TOLERANCE[dtype]


@pytest.mark.slow
def test_a_mean_of_means_is_another_gradient(found):
    assert all(one.means > 0.1 for one in found)


@pytest.mark.slow
def test_weights_after_steps_are_those_of_one_process(found):
    for one in found:
        for difference in one.weights.values():
            assert difference < 1e-11  # Adam divides by roots of small numbers


@pytest.mark.slow
def test_a_process_without_a_row_takes_part(found):
    assert all(one.few_rows < 1e-13 for one in found)


@pytest.mark.slow
def test_each_step_hands_over_four_bytes_for_each_weight_that_learns(found):
    model = make_translator()
    n = sum(x.numel() for x in model.parameters()) - model.source_embedding.weight.numel()
    assert [one.bytes for one in found] == [3 * 4 * n] * len(found)


@pytest.mark.slow
def test_heads_on_several_processes_give_what_one_gives(found):
    for one in found:
        for difference in one.split.values():
            assert difference < 1e-6


@pytest.mark.slow
def test_what_cannot_be_split_is_said_and_left_alone(found):
    n = len(found)
    for one in found:
        errors, untouched = one.errors
        start = "ValueError: the number of processes must divide"
        assert errors["heads"] == f"{start} n_heads, got {n} processes for 3 in self_attention"
        assert (
            errors["width"] == f"{start} the inner width, got {n} processes for 7 in feed_forward"
        )
        assert (
            "ValueError: heads can be split if attend has no weights, got Smeared"
            in errors["attend"]
        )
        assert "RuntimeError: a module is split once" in errors["twice"]
        assert untouched


@pytest.mark.slow
def test_what_some_processes_kept_others_go_on_with(found):
    for one in found:
        assert len(one.kept) == (2 if len(found) == 2 else 4)
        for difference, about in one.kept.values():
            assert difference < 1e-11
            assert about == {"steps": 3}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["2 replicated", "2 sharded", "4 sharded"])
def test_one_process_goes_on_with_what_several_kept(root, on_four, source):
    difference, about = goes_on_alike(root / source, lambda model: model)
    assert difference < 1e-11
    assert about == {"steps": 3}


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_whole_weights_of_a_sharded_model_fit_into_a_file_of_chapter_7(root, on_four, n):
    model = make_gpt()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    load_model(root / f"weights {n}", model)
    assert apart(model.state_dict(), before) == 0


# What needs no processes


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=11),
    world=st.integers(1, 13),
)
def test_each_row_goes_to_one_process_and_each_token_counts_once(lengths, world):
    batch = make_batch(lengths)
    batch.source[:, 0] = torch.arange(3, 3 + len(lengths))  # so that rows differ
    parts = [part_of(batch, rank, world) for rank in range(world)]
    rows = [part.source[:, 0] for part, n_tokens in parts if n_tokens]
    assert torch.equal(torch.cat(rows), batch.source[:, 0])
    assert sum(n_tokens for _, n_tokens in parts) == sum(lengths) + len(lengths)  # each has an end
    sizes = [len(part) if n_tokens else 0 for part, n_tokens in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(len(part) == 1 for part, n_tokens in parts if not n_tokens)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("rank", "world", "said"),
    [
        (2, 2, "rank must be below the number of processes, 2, got 2"),
        (-1, 2, "rank must be at least 0, got -1"),
        (0, 0, "world must be at least 1, got 0"),
    ],
)
def test_there_must_be_such_a_process(rank, world, said):
    with pytest.raises(ValueError, match=said):
        part_of(make_batch(), rank, world)


def saved(folder, n_steps=2, about=None):
    model = make_translator()
    optimizer = take_steps(model, whole_loss, n_steps)
    save_sharded(folder, model, optimizer, about)
    return model, optimizer


def test_the_last_state_is_kept_and_no_other(tmp_path):
    model, optimizer = saved(tmp_path, about={"steps": 2})
    (first,) = tmp_path.iterdir()
    with torch.no_grad():
        model.readout.weight.add_(1)
    save_sharded(tmp_path, model, optimizer, {"steps": 3})
    (second,) = tmp_path.iterdir()
    assert second != first
    other = make_translator(seed=8)
    assert load_sharded(tmp_path, other, same={"steps": 3}) == {"steps": 3}
    assert apart(other.state_dict(), model.state_dict()) == 0


def test_what_fails_while_it_is_written_leaves_the_old_state(tmp_path, monkeypatch):
    model, optimizer = saved(tmp_path)
    expected = {name: x.clone() for name, x in model.state_dict().items()}

    def fail(*arguments):
        raise OSError("no space left on device")

    for broken in ("_files", "_finish"):
        with monkeypatch.context() as patch:
            patch.setattr(sharded_checkpoints, broken, fail)
            with torch.no_grad():
                model.readout.weight.add_(1)
            with pytest.raises(OSError, match="no space left"):
                save_sharded(tmp_path, model, optimizer)
        other = make_translator(seed=8)
        load_sharded(tmp_path, other, make_optimizer(other, RECIPE))
        assert apart(other.state_dict(), expected) == 0
    save_sharded(tmp_path, model, optimizer)
    assert len(list(tmp_path.iterdir())) == 1  # what was half-written is gone, and the old state


def test_a_folder_that_not_all_processes_see_is_an_error(tmp_path, monkeypatch):
    model, _ = saved(tmp_path / "old")
    files = sharded_checkpoints._files
    monkeypatch.setattr(sharded_checkpoints, "_files", lambda x: files(x) | {"__1_0.distcp"})
    with pytest.raises(OSError, match=r"must write to the same folder, got none of __1_0.distcp"):
        save_sharded(tmp_path / "new", model)


KILLED = """
import os, signal, sys
from torch import nn
from minattn.scaling import sharded_checkpoints as kept
model = nn.Linear(2, 3)
nn.init.constant_(model.weight, 5.0)
kept.save_sharded(sys.argv[1], model)
nn.init.constant_(model.weight, 7.0)
kept._finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
kept.save_sharded(sys.argv[1], model)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal on Windows")
def test_a_process_that_is_killed_while_it_writes_leaves_the_old_state(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, timeout=300, check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the old one, and one that is no checkpoint yet
    model = nn.Linear(2, 3)
    load_sharded(tmp_path, model)
    assert (model.weight == 5).all()
    save_sharded(tmp_path, model)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.rejects
def test_a_folder_without_a_state_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        load_sharded(tmp_path / "none", make_translator())


@pytest.mark.rejects
def test_another_model_or_another_fact_changes_nothing(tmp_path):
    saved(tmp_path, about={"recipe": "a"})
    model = make_gpt()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"got nothing of that name for model/embedding.weight"):
        load_sharded(tmp_path, model)
    with pytest.raises(ValueError, match="must have been made with the same recipe, b, got a"):
        load_sharded(tmp_path, model, same={"recipe": "b"})
    assert apart(model.state_dict(), before) == 0
    with pytest.raises(ValueError, match=r"got torch.float64 \(20, 20\) .* torch.float32"):
        load_sharded(tmp_path, make_translator(torch.float32))


@pytest.mark.rejects
@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp", "about.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_broken_file_is_named(tmp_path, name, how):
    saved(tmp_path)
    (last,) = tmp_path.iterdir()
    if how == "gone":
        (last / name).unlink()
    else:
        content = (last / name).read_bytes()
        (last / name).write_bytes(content[: len(content) // 9])
    with pytest.raises(ValueError, match=r"a checkpoint must be whole, got .*000001"):
        load_sharded(tmp_path, make_translator())
