"""Code that does not come to an end is stopped."""

import ctypes
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import torch

LIMIT_S = 20.0
"""Seconds that an answer has for one case; right ones need well below one."""

PAUSE_S = 0.05
"""Seconds before code that takes no notice is stopped once more."""

T = TypeVar("T")


class TooLong(BaseException):
    """Code did not come to an end; no Exception, so that `except Exception` lets it through."""


class _StillTooLong(TooLong):
    """The code took the first one and went on: now its next line raises too, also in its handler."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not stopped_after.__code__:
            frame.f_trace = _raise_at_line
            frame = frame.f_back
        sys.settrace(_leave_alone)


def _raise_at_line(frame: FrameType, event: str, arg: Any) -> Any:
    if event == "line":
        raise TooLong
    return _raise_at_line


def _leave_alone(frame: FrameType, event: str, arg: Any) -> None:
    """Trace no function that begins now: what is left on the way out cleans up after itself."""


def stopped_after(seconds: float, work: Callable[[], T]) -> T:
    """Return what some work returns, if it comes to an end in time.

    It runs in the thread that calls, as in a notebook's; another thread watches the clock. What waits inside
    compiled code, as time.sleep does, is stopped when it comes back from there.

    Args:
        seconds: how long it may take.
        work: what is to be done.

    Raises:
        TooLong: if it takes longer; where a handler takes everything, it is raised again and again.
    """
    thread, trace, grad = threading.get_ident(), sys.gettrace(), torch.is_grad_enabled()
    late, ended, one_at_a_time = threading.Event(), threading.Event(), threading.Lock()

    def watch() -> None:
        pause, kind = seconds, TooLong
        while not ended.wait(pause):
            with one_at_a_time:
                if not ended.is_set():
                    late.set()
                    _raise_in(thread, kind)
            pause, kind = PAUSE_S, _StillTooLong

    def stop() -> None:
        ended.set()
        with one_at_a_time:
            _raise_in(thread, None)  # what has been sent and has not arrived

    threading.Thread(target=watch, daemon=True).start()
    try:
        try:
            return work()
        finally:
            stop()
            if late.is_set():  # a handler may have made something else of it
                raise TooLong
    except TooLong:
        stop()  # it may have come while the work was ending
        sys.settrace(trace)
        torch.set_grad_enabled(grad)
        raise


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise something in another thread, or take back what it has not noticed yet."""
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
