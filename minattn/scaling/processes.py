"""Run a function of a notebook on several processes of one machine, and say what went wrong where."""

import contextlib
import faulthandler
import linecache
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from minattn.checks import check_positive, check_sizes

START = 300.0
"""Seconds that the processes may take to start: generous, for a machine that does much else."""


def run_on(
    n: int, function: Callable[..., Any], *arguments: Any, timeout: float | int = 60.0
) -> list[Any]:
    """Call a function on several processes at once, which may talk by ``torch.distributed``.

    Each process is an interpreter of its own, with one thread of torch. The function may be typed in a notebook: it
    is sent by value, and so is what it uses of the notebook. The processes find one another by a file and talk over
    the loopback of this machine (gloo), so no port has to be chosen. What the function prints is dropped, unless it
    fails. No process is left behind, whatever happens to this one.

    Args:
        n: how many processes; each knows its number from ``dist.get_rank()``.
        function: what each calls.
        arguments: what each calls it with, the same for all.
        timeout: how many seconds the function may take; the start of the processes does not count.

    Returns:
        What each process returned, by number.

    Raises:
        RuntimeError: if the function failed in a process, or a process died. It names the process; the traceback
            from there, and what was printed there, are notes of the error. The other processes are ended.
        TimeoutError: if some processes had not ended in time. It says at which line of the function, or of another
            function of its notebook that it called, each of them waits.
        ValueError: if ``n`` is below 1, or the time not above 0.
        TypeError: if the function or an argument cannot be sent to another process.

    >>> run_on(2, pow, 3, 2)
    [9, 9]
    """
    check_sizes(n=n)
    check_positive(timeout=timeout)
    timeout = float(timeout)
    job = _packed(function, arguments, timeout)
    # On Windows a file that was open a moment ago may not be removable yet.
    with tempfile.TemporaryDirectory(prefix="minattn-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "job").write_bytes(job)
        processes: list[_Process] = []
        try:
            for rank in range(n):
                processes.append(_Process(folder, rank, n))
            _wait_for_all(processes, timeout)
            results = [pickle.loads(process.read("result")) for process in processes]
            for process in processes:
                process.let_go()
            for process in processes:
                process.end()
            return results
        finally:
            for process in processes:
                process.end(patience=0.0)


def _packed(function: Any, arguments: tuple[Any, ...], timeout: float) -> bytes:
    """Write down what the processes have to do, with the cells of the notebook for their tracebacks."""
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    names = ["function", *(f"argument {i}" for i in range(1, len(arguments) + 1))]
    for name, x in zip(names, (function, *arguments), strict=True):
        _sendable(name, x)
    # What has no time of change is not of a file.
    cells = {name: x for name, x in linecache.cache.items() if len(x) == 4 and x[1] is None}
    return _sendable("job", (function, arguments, timeout, cells))


def _sendable(name: str, x: Any) -> bytes:
    """Write something down by value."""
    import cloudpickle  # of all modules of the package this one alone needs it

    try:
        written: bytes = cloudpickle.dumps(x)
    except Exception as error:
        raise TypeError(
            "function, arguments and result must be such that they can be sent to another process, "
            f"got as {name} {x!r}: {error}"
        ) from error
    return written


# In the process that asks


class _Process:
    """One of the processes, as seen from the one that started it; they leave each other files in a folder."""

    def __init__(self, folder: Path, rank: int, n: int) -> None:
        self.folder, self.rank, self.n = folder, rank, n
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from minattn.scaling.processes import _serve; _serve({str(folder)!r}, {rank}, {n})"
        )
        with (folder / f"{rank}.output").open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-u", "-c", code],  # what was printed before a crash is not lost
                stdin=subprocess.PIPE,  # it watches this end, and ends with it
                stdout=output,
                stderr=subprocess.STDOUT,
                bufsize=0,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    def has(self, name: str) -> bool:
        """Tell whether it left a file of this name."""
        return (self.folder / f"{self.rank}.{name}").exists()

    def read(self, name: str) -> bytes:
        """Return what it left there."""
        return (self.folder / f"{self.rank}.{name}").read_bytes()

    def died(self) -> bool:
        """Tell whether it ended by itself; one that is done, or failed, waits to be ended."""
        return self.popen.poll() is not None

    def failure(self) -> RuntimeError:
        """Say what went wrong in it."""
        notes = []
        if self.died():
            code = self.popen.returncode
            line = (
                f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            )
        else:
            line, trace = pickle.loads(self.read("error"))
            notes.append(trace.rstrip())
        error = RuntimeError(f"process {self.rank} of {self.n}: {line}")
        if output := self.read("output").decode(errors="replace").rstrip():
            notes.append(f"process {self.rank} had printed:\n{output}")
        for note in notes:
            error.add_note(note)
        return error

    def ask_where(self) -> None:
        """Ask at which line it is."""
        if self.popen.stdin is not None:
            with contextlib.suppress(OSError):  # it has just died
                self.popen.stdin.write(b"?")

    def let_go(self) -> None:
        """Tell it that it may end."""
        if self.popen.stdin is not None:
            self.popen.stdin.close()

    def end(self, patience: float = 10.0) -> None:
        """Wait until it has ended, but not for long."""
        self.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(patience)
        self.popen.kill()
        self.popen.wait()


def _wait_for_all(processes: list[_Process], timeout: float) -> None:
    """Wait until all have a result.

    Raises:
        RuntimeError: if one failed.
        TimeoutError: if not all are done in time.
    """
    started, deadline = False, time.monotonic() + START
    while not all(process.has("result") for process in processes):
        if any(process.died() or process.has("error") for process in processes):
            # Of one that died the others learn by errors of their own, which say less.
            time.sleep(0.1)
            first = min(processes, key=lambda x: (not x.died(), not x.has("error"), x.rank))
            raise first.failure()
        if not started and all(process.has("started") for process in processes):
            started, deadline = True, time.monotonic() + timeout
        if time.monotonic() > deadline:
            raise _late(processes, timeout if started else START)
        time.sleep(0.01)


def _late(processes: list[_Process], timeout: float) -> TimeoutError:
    """Say where each process is that has not ended."""
    late = [process for process in processes if not process.has("result")]
    for process in late:
        process.ask_where()
    answer_by = time.monotonic() + 5
    while time.monotonic() < answer_by and not all(process.has("where") for process in late):
        time.sleep(0.01)
    which = " and ".join(str(process.rank) for process in late)
    lines = [f"after {timeout:g} s, of {len(processes)} processes {which} had not ended"]
    for process in late:
        where = process.read("where").decode() if process.has("where") else "its start"
        lines.append(f"process {process.rank} waits at: {where}")
    return TimeoutError("\n".join(lines))


# In each of the others


def _serve(folder: str, rank: int, n: int) -> None:
    """Do the job, leave what came of it, and wait: until all are done, the others may still be talking to this one."""
    faulthandler.enable()  # so that a crash of torch says where
    desk = _Desk(Path(folder), rank)
    threading.Thread(target=desk.watch, daemon=True).start()
    try:
        torch.set_num_threads(1)
        function, arguments, timeout, cells = pickle.loads((desk.folder / "job").read_bytes())
        linecache.cache.update(cells)
        _join(folder, rank, n, timeout)
        desk.function = function
        desk.leave("started", b"")
        desk.leave("result", _sendable("result", function(*arguments)))
    except BaseException as error:  # also of sys.exit the others must be told
        line = ": ".join(filter(None, (type(error).__name__, str(error))))
        below = error.__traceback__.tb_next if error.__traceback__ else None
        trace = "".join(traceback.format_exception(type(error), error, below))
        desk.leave("error", pickle.dumps((line, trace)))
    desk.dismissed.wait()
    if dist.is_initialized():
        dist.destroy_process_group()


def _join(folder: str, rank: int, n: int, timeout: float) -> None:
    """Find the others."""
    if sys.platform != "win32":
        # Else gloo asks for the address of this machine's name, which a laptop without a network may not have.
        loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        if loopback:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(os.path.join(folder, "store"), n),  # type: ignore[attr-defined]
        rank=rank,
        world_size=n,
        timeout=timedelta(seconds=START + timeout),
    )


class _Desk:
    """What a process leaves in the folder, and a thread that looks whether anybody is still there to read it."""

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.rank = folder, rank
        self.function: Any = None
        self.dismissed = threading.Event()
        self.done = False

    def leave(self, name: str, content: bytes) -> None:
        """Write a file that is there whole or not at all."""
        unfinished = self.folder / f"{self.rank}.{name}.unfinished"
        unfinished.write_bytes(content)
        self.done = self.done or name in ("result", "error")
        unfinished.replace(unfinished.with_suffix(""))

    def watch(self) -> None:
        """Answer where this process is; end it when the one that started it has gone or wants no more."""
        while os.read(sys.stdin.fileno(), 1):
            self.leave("where", self._where().encode())
        if not self.done:
            os._exit(1)
        self.dismissed.set()

    def _where(self) -> str:
        """The innermost line of the module of the function; all cells of a notebook are one."""
        module = getattr(self.function, "__globals__", {}).get("__name__")
        frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
        while frame is not None and frame.f_globals.get("__name__") != module:
            frame = frame.f_back
        if frame is None:
            return "its start" if self.function is None else repr(self.function)
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        return line or f"line {frame.f_lineno} of {frame.f_code.co_name}"
