import sys
import threading
import time

import pytest
import torch

from minattn.exercises import limiting
from minattn.exercises.limiting import TooLong, stopped_after
from minattn.training import seeded
from tests.exercises.softmax_exercise import softmax, verdict_on


def for_ever(scores):
    while True:
        pass


def for_ever_without_exceptions(scores):
    while True:
        try:
            scores = scores.softmax(-1)
        except Exception:
            continue


def for_ever_whatever_comes(scores):
    while True:
        try:
            scores = scores + 1
        except:  # noqa: E722
            continue


def asleep_whatever_comes(scores):
    while True:
        try:
            time.sleep(0.01)
        except:  # noqa: E722
            continue


def for_ever_in_a_helper(scores):
    def reads():
        with torch.no_grad():
            for_ever_whatever_comes(scores)

    return reads()


def returns_when_stopped(scores):
    try:
        for_ever(scores)
    except:  # noqa: E722
        return scores


def fails_when_stopped(scores):
    try:
        for_ever(scores)
    finally:
        scores.weights  # noqa: B018


def for_ever_after_a_first_stop(scores):
    try:
        for_ever(scores)
    except BaseException:
        for_ever(scores)


def for_ever_without_gradients(scores):
    torch.set_grad_enabled(False)
    for_ever(scores)


LOOPS = [
    for_ever_after_a_first_stop,
    for_ever_without_gradients,
    returns_when_stopped,
    fails_when_stopped,
    for_ever,
    for_ever_without_exceptions,
    for_ever_whatever_comes,
    asleep_whatever_comes,
    for_ever_in_a_helper,
]


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(limiting, "LIMIT_S", 0.2)


@pytest.mark.parametrize("answer", LOOPS)
def test_an_answer_that_comes_to_no_end_is_told_so(answer, short):
    began = time.perf_counter()
    verdict = verdict_on(answer)
    assert time.perf_counter() - began < 10
    assert verdict.kind == "error"
    assert verdict.message.startswith(
        "Your code did not come to an end after 0.2 seconds. Look for a"
    )
    assert verdict.message.endswith("Input: scores = [[0., 1.]]")


@pytest.mark.parametrize("answer", LOOPS)
def test_what_was_stopped_leaves_nothing_behind(answer, short):
    """The next lines run as always: no exception is on its way, nothing is traced, gradients are on."""
    trace, threads = sys.gettrace(), threading.active_count()
    state = torch.get_rng_state()
    verdict_on(answer)
    for _ in range(10**5):
        pass
    time.sleep(0.2)
    assert sys.gettrace() is trace and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert threading.active_count() <= threads
    assert verdict_on(softmax).kind == "correct"


def test_a_loop_is_stopped_in_another_thread_too(short):
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(verdict_on(for_ever)))
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and verdicts[0].kind == "error"


def test_the_input_on_which_an_answer_comes_to_no_end_is_shown(short):
    verdict = verdict_on(lambda scores: softmax(scores) if len(scores) == 1 else for_ever(scores))
    assert "Input: scores = [[0.5, -1., 2.]," in verdict.message


def test_work_that_ends_is_returned_and_its_error_is_its_own():
    assert stopped_after(5.0, lambda: 3) == 3
    with pytest.raises(KeyError):
        stopped_after(5.0, lambda: {}["a"])
    with pytest.raises(TooLong):
        stopped_after(0.05, lambda: for_ever(None))


def test_what_ends_at_the_last_moment_is_returned_or_stopped_and_nothing_arrives_later():
    """Whenever the clock runs out, it is the work that hears of it, or nobody."""
    for i in range(200):
        try:
            with seeded(0):
                stopped_after(1e-4, lambda n=i: sum(range(20 * n)))
        except TooLong:
            pass
        for _ in range(100):
            pass


def test_right_answers_have_time_to_spare():
    assert limiting.LIMIT_S >= 10
