"""Code that does not come to an end is stopped."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

LIMIT_S = 20.0
"""Seconds that an answer has for one case; right ones need well below one."""


class TooLong(BaseException):
    """Code did not come to an end; no Exception, so that `except Exception` lets it through."""


def stopped_after(seconds: float, work: Callable[[], Any]) -> Any:
    """Return what some work returns, if it comes to an end in time.

    It runs in the thread that calls, as in a notebook's; another thread watches the clock. What waits inside
    compiled code, as time.sleep does, is stopped when it comes back from there.

    Args:
        seconds: how long it may take.
        work: what is to be done.

    Raises:
        TooLong: if it takes longer.
    """
    thread, ended, one_at_a_time = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        if ended.wait(seconds):
            return
        with one_at_a_time:
            if not ended.is_set():
                _raise_in(thread, TooLong)

    threading.Thread(target=watch, daemon=True).start()
    try:
        return work()
    finally:
        with one_at_a_time:
            ended.set()
            _raise_in(thread, None)  # what was sent as the work ended would come to whoever called


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise something in another thread, at its next step; None takes back what has not arrived."""
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
