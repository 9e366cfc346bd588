import _thread
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cloudpickle
import psutil
import pytest
import torch
import torch.distributed as dist

from minattn.scaling.processes import run_on

# As from a notebook: the processes cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

starts_processes = pytest.mark.slow
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")


def wait_for(condition, seconds=120.0):
    """Wait until something holds; generously, for a machine that does much else."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def note_pid(folder):
    """Leave the number of this process."""
    path = Path(folder, str(dist.get_rank()))
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)


def sleep_on(folder):
    note_pid(folder)
    time.sleep(1000)


def noted(folder, n=2):
    """The numbers that all processes left, or nothing as long as one is missing."""
    paths = [Path(folder, str(rank)) for rank in range(n)]
    return [int(path.read_text()) for path in paths] if all(p.exists() for p in paths) else []


def gone(pids):
    """Tell whether no process of these is alive; one that nobody has asked for its end is not."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return len(pids) > 0


# What it does


@starts_processes
def test_each_process_is_called_and_they_can_talk(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    factor = 10  # of the cell around

    def work(x, more):
        print("this is dropped")
        rank, n = dist.get_rank(), dist.get_world_size()
        total = torch.tensor(rank + 1)
        dist.all_reduce(total)
        own = dist.get_backend(), torch.get_num_threads(), os.getpid()
        return rank, n, total.item(), factor * x + more[0], own

    found = run_on(3, work, torch.tensor([2.0]), [1])
    assert [x[:3] for x in found] == [(0, 3, 6), (1, 3, 6), (2, 3, 6)]
    assert all(torch.equal(x[3], torch.tensor([21.0])) for x in found)
    assert {x[4][:2] for x in found} == {("gloo", 1)}
    pids = {x[4][2] for x in found}
    assert len(pids | {os.getpid()}) == 4
    assert gone(pids)
    assert tuple(capfd.readouterr()) == ("", "")
    assert list(tmp_path.iterdir()) == []


# What it says of an error


@starts_processes
def test_an_error_names_its_process_and_ends_the_others(tmp_path):
    def fail(folder):
        note_pid(folder)
        x = torch.zeros(1)
        if dist.get_rank() == 0:
            dist.recv(x, 1)  # never comes
        print("just before")
        if dist.get_rank() == 1:
            helper(folder)
        dist.recv(x, 1)

    def helper(folder):
        while not noted(folder, 3):
            time.sleep(0.01)
        error = ValueError("seven is too many\nand eight, too")
        error.add_note("a note of its own")
        raise error

    with pytest.raises(RuntimeError, match=r"^process 1 of 3: ValueError: seven is too") as caught:
        run_on(3, fail, str(tmp_path))
    assert gone(noted(tmp_path, 3))
    trace, printed = caught.value.__notes__
    assert re.match(r"Traceback.*\n.*in fail\n(.*\n)*.*in helper\n", trace)
    assert "\n    raise error\n" in trace and "_serve" not in trace
    assert trace.endswith("and eight, too\na note of its own")
    assert printed == "process 1 had printed:\njust before"


@starts_processes
def test_in_a_notebook_the_lines_of_its_cells_are_shown(notebook):
    cells = [
        "import torch, torch.distributed as dist\nfrom minattn.scaling.processes import run_on",
        "def pass_on(x):\n    other = 1 - dist.get_rank()\n    dist.send(x, other)  # first\n"
        "    dist.recv(x, other)",
        "def swap():\n    pass_on(torch.zeros(1))",
        "def late():\n    if dist.get_rank() == 1:\n        dist.recv(\n            torch.zeros(1), 0\n        )",
        "def divide(x):\n    return 1 / x",
    ]
    for cell in cells:
        notebook.run_cell(cell).raise_error()
    error = notebook.run_cell("run_on(2, swap, timeout=0.5)").error_in_exec
    assert type(error) is TimeoutError
    assert str(error) == (
        "after 0.5 s, of 2 processes 0 and 1 had not ended\n"
        "process 0 waits at: dist.send(x, other)  # first\n"
        "process 1 waits at: dist.send(x, other)  # first"
    )
    error = notebook.run_cell("run_on(2, late, timeout=0.5)").error_in_exec
    assert str(error) == (
        "after 0.5 s, of 2 processes 1 had not ended\nprocess 1 waits at: dist.recv("
    )
    error = notebook.run_cell("run_on(1, divide, 0)").error_in_exec
    assert str(error) == "process 0 of 1: ZeroDivisionError: division by zero"
    (trace,) = error.__notes__  # nothing was printed, no warning either
    assert "    return 1 / x\n" in trace


@starts_processes
@posix
def test_a_process_that_died_is_named_with_its_signal():
    def die():
        if dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.recv(torch.zeros(1), 1)  # an error, once the other has gone

    with pytest.raises(RuntimeError, match=r"^process 1 of 2: died of SIGKILL$"):
        run_on(2, die)


@starts_processes
def test_a_process_that_left_is_named_with_its_code():
    def leave():
        os._exit(7)

    with pytest.raises(RuntimeError, match=r"^process 0 of 1: ended with code 7$"):
        run_on(1, leave)
    with pytest.raises(RuntimeError, match=r"^process 0 of 1: SystemExit: 3\n"):
        run_on(1, sys.exit, 3)


@starts_processes
def test_a_result_that_cannot_be_sent_is_an_error_of_its_process():
    with pytest.raises(
        RuntimeError, match=r"process 0 of 1: TypeError: .* got as result <.*lock.*>: cannot pickle"
    ):
        run_on(1, threading.Lock)


# No process is left


@starts_processes
def test_none_is_left_after_too_long_a_time(tmp_path):
    with pytest.raises(TimeoutError, match=r"process 0 waits at: time\.sleep\(1000\)"):
        run_on(2, sleep_on, str(tmp_path), timeout=3)
    assert gone(noted(tmp_path))


@starts_processes
def test_none_is_left_after_an_interrupt(tmp_path):
    def interrupt():
        if wait_for(lambda: noted(tmp_path)):
            _thread.interrupt_main()

    # What a shell starts in the background takes no interrupt.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run_on(2, sleep_on, str(tmp_path), timeout=200)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert gone(noted(tmp_path))


@starts_processes
def test_none_is_left_if_the_one_that_asked_is_killed(tmp_path):
    code = f"""
import sys, os, time, torch.distributed as dist
sys.path[:] = {sys.path!r}
from pathlib import Path
from minattn.scaling.processes import run_on
def sleep_on(folder):
    path = Path(folder, str(dist.get_rank()))
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    while dist.get_rank() == 1:
        pass  # one is busy, one waits for it
    dist.barrier()
run_on(2, sleep_on, {str(tmp_path)!r}, timeout=300)
"""
    asking = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert wait_for(lambda: noted(tmp_path))
        assert not gone(noted(tmp_path))
    finally:
        asking.kill()
        asking.wait()
    assert wait_for(lambda: gone(noted(tmp_path)))


# What it refuses


@pytest.mark.rejects
@pytest.mark.parametrize("n", [0, -1, 1.5])
def test_there_must_be_a_process(n):
    with pytest.raises(ValueError, match=rf"n must be .*at least 1, got {n}"):
        run_on(n, pow, 2, 3)


@pytest.mark.rejects
@pytest.mark.parametrize("timeout", [0, -1.0, float("inf")])
def test_the_time_must_be_above_zero(timeout):
    with pytest.raises(ValueError, match=f"timeout must be a finite number above 0, got {timeout}"):
        run_on(1, pow, 2, 3, timeout=timeout)


@pytest.mark.rejects
def test_what_cannot_be_sent_is_named():
    lock = threading.Lock()

    def closed_over():
        return lock

    with pytest.raises(TypeError, match="function must be callable, got int"):
        run_on(1, 7)
    with pytest.raises(TypeError, match=r"got as function <function .*closed_over.*lock"):
        run_on(1, closed_over)
    with pytest.raises(TypeError, match=r"got as argument 2 <.*lock.*: cannot pickle"):
        run_on(1, pow, 2, lock)
