"""Training on several processes: the same result, through lost processes too, and errors in one line."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import psutil
import pytest
import torch
import torch.distributed as dist

from minattn.checkpoints import load_checkpoint, load_model
from minattn.learning import Recipe
from minattn.scaling import launch, train
from minattn.scaling.processes import run_on
from minattn.scaling.sharded_checkpoints import whole_weights
from minattn.tasks.letters import reversal
from minattn.training import seeded
from minattn.transformer import TransformerTranslator

cloudpickle.register_pickle_by_value(sys.modules[__name__])

ROOT = Path(__file__).parents[2]
NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")


def small(steps, seed):
    """A model and a task that are soon made."""
    task = reversal(n_train=60, n_held_out_per_length=1, max_length=7)
    with seeded(seed):
        model = TransformerTranslator(len(task.source), len(task.target), d_model=12, n_heads=2)
    recipe = Recipe(steps=steps, batch_size=11, weight_decay=0.1, smoothing=0.1, seed=seed)
    return model, task, recipe


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def group_of(world, folder, name):
    """Be one of so many processes, or none."""
    if dist.is_initialized():
        dist.destroy_process_group()
    rank = RANK if world > RANK else None
    if rank is not None:
        store = dist.FileStore(str(Path(folder, name)), world)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    return rank is not None


RANK = 0
STEPS = 50


def trained(dtype=torch.float64, steps=STEPS, **settings):
    model, task, recipe = small(steps, seed=0)
    learner, losses = train.train_together(
        model.to(dtype), task, recipe, progress=False, **settings
    )
    return {name: x.clone() for name, x in whole_weights(learner).items()}, list(losses)


def interrupted(folder):
    """Train to the end; break off while the second state is written, and go on; on floats of the usual size."""
    whole = trained(torch.float32, 14)
    save, calls = train.save_sharded, []

    def fail_at_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("no space left")
        save(*arguments)

    train.save_sharded = fail_at_second
    with contextlib.suppress(OSError):
        trained(torch.float32, 14, checkpoint=folder, every=4)
    train.save_sharded = save
    gone_on = trained(torch.float32, 14, checkpoint=folder, every=4)
    return whole, gone_on, len(calls)


def told(port, *arguments):
    """Run the script as one of two processes that no launcher has started; return its exit code and its words."""
    os.environ.update(
        RANK=str(RANK), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = train.main(["--steps", "5", *arguments])
    if dist.is_initialized():
        dist.destroy_process_group()
    return code, said.getvalue()


def stuck(port):
    """Let the second process sleep in its third step."""
    backward = train._backward

    def sleepy(learner, batch, recipe, done):
        if RANK == 1 and done == 2:
            time.sleep(4 + train.GRACE + 3)
        return backward(learner, batch, recipe, done)

    train._backward = sleepy
    return told(port, "--timeout", "4")


def on_each(folder, ports):
    """Everything that is tried with two to four processes, which are started once."""
    global RANK
    RANK = dist.get_rank()
    train.MODELS["transformer"] = small
    found = {}
    for world in (2, 3, 4):
        for way in train.WAYS:
            if group_of(world, folder, f"{world} {way}"):
                found[world, way] = trained(way=way)
    if group_of(3, folder, "interrupted"):
        found["interrupted"] = interrupted(Path(folder, "states"))
    if dist.is_initialized():
        dist.destroy_process_group()
    if RANK < 2:
        found["disagree"] = told(ports[0], "--seed", str(RANK))
        found["stuck"] = stuck(ports[1])
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return run_on(4, on_each, str(folder), [free_port(), free_port()], timeout=900)


@pytest.fixture
def alone():
    """Be a group of one process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def apart(found, expected):
    return max((found[name] - expected[name]).abs().max().item() for name in expected)


@pytest.mark.slow
def test_any_number_of_processes_ends_with_the_same_weights(found, alone):
    weights, losses = trained()
    for world in (2, 3, 4):
        for way in train.WAYS:
            for one in found[:world]:
                mine, its_losses = one[world, way]
                assert apart(mine, weights) < 1e-10  # float64, and 50 steps that enlarge roundings
                assert torch.tensor(its_losses).sub(torch.tensor(losses)).abs().max() < 1e-10
    assert len(losses) == STEPS and losses[-1] < losses[0]


@pytest.mark.slow
def test_three_processes_go_on_with_the_same_bits(found):
    for one in found[:3]:
        (weights, losses), (again, all_losses), n_states = one["interrupted"]
        assert n_states == 2
        assert losses == all_losses
        assert apart(again, weights) == 0


@pytest.mark.slow
def test_processes_that_were_told_different_things_say_so(found):
    for rank, one in enumerate(found[:2]):
        code, said = one["disagree"]
        assert code == 1 and said.count("\n") == 1
        # The seed decides the recipe and, before that, what the weights are; of both the recipe is said.
        assert said.startswith(
            f"process {rank}: all processes must have the same recipe, got Recipe("
        )
        assert "seed=0" in said and "seed=1" in said and said.endswith("in process 1\n")


@pytest.mark.slow
def test_who_waits_too_long_names_the_one_that_is_stuck(found):
    code, said = found[0]["stuck"]
    assert code == 1 and said.count("\n") == 1
    assert said.startswith("process 0: waited for process 1, which is dead or stuck")
    assert found[1]["stuck"][0] == 1


# The script as people start it


def on_two(restarts=0):
    command = [sys.executable, "-m", "minattn.scaling.launch", "--nproc-per-node", "2"]
    command += ["--max-restarts", str(restarts), "-m", "minattn.scaling.train"]
    return [*command, "--steps", "80", "--every", "15"]


class Running:
    """A launcher and its processes, read line by line; nothing of it is left behind."""

    def __init__(self, folder, command, env=None):
        self.popen = subprocess.Popen(
            [*command, "--checkpoint", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | (env or {}),
            cwd=ROOT,
            start_new_session=True,
        )
        self.workers = []
        self.limit = threading.Timer(500, self.kill)  # reading a line has no limit of its own
        self.limit.start()

    def wait_for(self, text):
        for line in self.popen.stdout:
            if text in line:
                self.workers += psutil.Process(self.popen.pid).children(recursive=True)
                return line
        raise AssertionError(f"it ended without {text!r}: {self.popen.stderr.read()}")

    def kill_one(self):
        """Kill the process that trains and was started last."""
        trainers = []
        for process in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):  # of an attempt before
                trainers += [process] * ("-u" in process.cmdline())
        max(trainers, key=lambda process: process.pid).kill()

    def end(self):
        """Wait for the end; return exit code, and what it said."""
        out, err = self.popen.communicate(timeout=400)
        return self.popen.returncode, out, err

    def all_gone(self):
        _, alive = psutil.wait_procs(self.workers, timeout=60)
        return len(self.workers) >= 2 and not alive

    def kill(self):
        for process in [*self.workers, self.popen]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, 9)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.limit.cancel()
        self.kill()
        self.popen.communicate(timeout=60)


@posix
@pytest.mark.slow
def test_a_training_that_loses_processes_ends_with_the_weights_of_one_that_lost_none(tmp_path):
    with Running(tmp_path / "whole", on_two()) as whole:
        whole.wait_for("step 20 of 80")
        code, out, err = whole.end()
        assert code == 0, err
        assert out.splitlines()[-1].startswith("trained 80 steps of 32 examples, loss ")
        assert out.splitlines()[-1].endswith("2 processes (replicate, cpu)")
        assert out.count("step 80 of 80") == 1  # of process 0 alone
        assert whole.all_gone()

    broken = tmp_path / "broken"
    with Running(broken, on_two(restarts=1)) as first:
        first.wait_for("step 40 of 80")
        first.kill_one()
        first.wait_for("step 40 of 80")  # again, from the state of step 30
        first.kill_one()
        code, _, err = first.end()
        assert code == 1
        last = err.splitlines()[-1]
        assert last.startswith("launch: process") and "was killed by SIGKILL" in last
        assert "no restart is left" in last and "Traceback" not in err
        assert first.all_gone()
    with Running(broken, on_two()) as second:
        second.wait_for("step 60 of 80")
        second.popen.kill()  # the launcher itself
        second.popen.wait(60)
        assert second.all_gone()
    with Running(broken, on_two()) as third:
        assert "step 80" in third.wait_for("step ")  # not from the beginning
        assert third.end()[0] == 0

    names = [folder / "model.safetensors" for folder in (tmp_path / "whole", broken)]
    (weights, _), (again, _) = map(load_checkpoint, names)
    assert apart(again, weights) == 0
    assert len(list(broken.iterdir())) == 2  # the last state and the weights


SRUN = """#!/usr/bin/env bash
shift
for host in 1 2; do "$@" & jobs+=($!); done
for job in "${jobs[@]}"; do wait "$job"; done
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = "show hostnames both" ] && printf '127.0.0.1\\nother\\n'
"""


@posix
@pytest.mark.slow
def test_the_job_of_a_cluster_starts_a_launcher_on_each_host_and_they_meet(tmp_path):
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    of_slurm = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "both",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_JOB_ID": "7",
        "PORT": str(free_port()),
        "PYTHON": sys.executable,
    }
    command = ["book/jobs/slurm.sh", "--steps", "60", "--every", "10"]
    with Running(tmp_path / "run", command, env=of_slurm) as job:
        job.wait_for("step 20 of 60")
        job.kill_one()  # both launchers start anew
        code, out, err = job.end()
        assert code == 0, err
        assert out.splitlines()[-1].endswith("2 processes (replicate, cpu)")
        assert job.all_gone()
    model, _, _ = train.transformer(60, 0)
    load_model(tmp_path / "run" / "model.safetensors", model)


# What one process says


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(train.MODELS, "transformer", small)
    for name in (*NAMES, "TORCHELASTIC_RUN_ID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    if dist.is_initialized():
        dist.destroy_process_group()


def said_of(capfd, *arguments):
    code = train.main(["--steps", "3", *arguments])
    out, err = capfd.readouterr()
    assert (code == 0) == (not err)
    return err or out


@pytest.mark.slow
@pytest.mark.parametrize("way", train.WAYS)
def test_one_process_needs_no_launcher(quick, capfd, tmp_path, way):
    said = said_of(capfd, "--checkpoint", str(tmp_path), "--way", way)
    assert said.endswith(f"1 processes ({way}, cpu)\n") and said.startswith("trained 3 steps of 11")
    model, _, _ = small(3, 0)
    load_model(tmp_path / "model.safetensors", model)
    again = said_of(capfd, "--checkpoint", str(tmp_path), "--way", way)
    assert again == said  # there was nothing left to do


@pytest.mark.slow
def test_a_state_of_another_training_is_an_error_in_one_line(quick, capfd, tmp_path):
    said_of(capfd, "--checkpoint", str(tmp_path))
    said = said_of(capfd, "--checkpoint", str(tmp_path), "--seed", "1")
    assert said.startswith(f"process 0: {tmp_path} must have been made with the same recipe")
    assert said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("missing", NAMES)
def test_half_an_environment_is_named(quick, capfd, missing):
    for name in NAMES:
        if name != missing:
            quick.setenv(name, "1")
    said = said_of(capfd)
    assert f"got no {missing}: start them with torchrun\n" in said and said.count("\n") == 1


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(quick, capfd):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = str(other.getsockname()[1])
        for name, value in zip(NAMES, ("0", "2", "127.0.0.1", port), strict=True):
            quick.setenv(name, value)
        said = said_of(capfd, "--timeout", "5")
        assert said == f"process 0: port {port} is taken by another program: name another one\n"
        for name in NAMES:
            quick.delenv(name)
        command = ["--rdzv-backend", "static", "--nnodes", "1", "--nproc-per-node", "1"]
        code = launch.main([*command, "--rdzv-endpoint", f"127.0.0.1:{port}", "-m", "minattn.none"])
        assert code == 1
        assert "launch: the port is taken by another program" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "said"),
    [
        ("0", "not all of 2 processes came to 127.0.0.1:"),
        ("1", "there was no process 0 at 127.0.0.1:"),
    ],
)
def test_a_process_that_nobody_comes_to_says_so(quick, capfd, rank, said):
    for name, value in zip(NAMES, (rank, "2", "127.0.0.1", str(free_port())), strict=True):
        quick.setenv(name, value)
    last = said_of(capfd, "--timeout", "1").splitlines()[-1]  # torch's own log may come before
    assert last.startswith(f"process {rank}: {said}")


@pytest.mark.slow
def test_a_gpu_that_is_not_there_and_a_torch_without_nccl_are_named(quick, capfd):
    quick.setattr(torch.cuda, "device_count", lambda: 0)
    said = said_of(capfd, "--device", "cuda")
    assert said.startswith("process 0: device cuda needs a GPU for each process of a host, got 0")
    quick.setattr(torch.cuda, "device_count", lambda: 1)
    quick.setattr(dist, "is_nccl_available", lambda: False)
    assert "needs a torch with nccl" in said_of(capfd, "--device", "cuda")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_training(quick, capfd):
    def broken(steps, seed):
        model, task, recipe = small(steps, seed)
        model.readout.weight.data.fill_(float("nan"))
        return model, task, recipe

    quick.setitem(train.MODELS, "transformer", broken)
    assert said_of(capfd) == "process 0: the loss must stay finite, got nan at step 1 of 3\n"


@pytest.mark.rejects
def test_a_way_must_be_one_of_two(alone):
    with pytest.raises(ValueError, match="way must be one of replicate, shard, got 'split'"):
        trained(way="split")
