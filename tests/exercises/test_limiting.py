"""Code that does not come to an end is stopped."""

import threading
import time

import pytest

from minattn.exercises import limiting
from minattn.exercises.limiting import TooLong, stopped_after


def test_work_that_ends_returns_what_it_returns():
    assert stopped_after(60.0, lambda: 7) == 7


def test_an_endless_loop_is_stopped():
    def forever():
        while True:
            pass

    with pytest.raises(TooLong):
        stopped_after(0.1, forever)


def test_a_handler_of_every_exception_does_not_hold_it():
    def forever():
        while True:
            try:
                sum(range(100))
            except Exception:
                continue

    with pytest.raises(TooLong):
        stopped_after(0.1, forever)


def test_what_was_sent_as_the_work_ended_is_taken_back(monkeypatch):
    """No work can be made to end at that moment, so what is sent is looked at."""
    sent = []
    monkeypatch.setattr(limiting, "_raise_in", lambda thread, kind: sent.append((thread, kind)))
    stopped_after(60.0, lambda: 7)
    assert sent == [(threading.get_ident(), None)]
    stopped_after(0.01, lambda: time.sleep(0.5))
    assert [kind for _, kind in sent[1:]] == [TooLong, None]
