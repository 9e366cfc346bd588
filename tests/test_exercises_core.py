import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.exercises.core import Exercise, Law, Mistake, Verdict, judge, same, show_verdict

SCORES = torch.tensor([[0.0, 1.0]])
LARGER = torch.tensor([[0.5, -1.0, 2.0], [1.0, 1.0, 0.25]])


def softmax(scores):
    return scores.softmax(-1)


def sums_to_one(out, scores):
    return torch.allclose(out.sum(-1), torch.ones(len(out)))


SOFTMAX = Exercise(
    number="2.1",
    title="the softmax over the keys",
    solution=softmax,
    cases=lambda: [(SCORES,), (LARGER,)],
    mistakes=[
        Mistake("axis", lambda scores: scores.softmax(0), "This is over the queries."),
        Mistake("log", lambda scores: scores.log_softmax(-1), "These are logarithms."),
    ],
    laws=[
        Law("weights are not negative", lambda out, scores: bool((out >= 0).all())),
        Law("the weights of a query sum to 1", sums_to_one),
    ],
)


def verdict_on(answer, **changes):
    return judge(dataclasses.replace(SOFTMAX, **changes), answer)


# Right


@pytest.mark.parametrize(
    "answer",
    [
        softmax,
        lambda scores: scores.exp() / scores.exp().sum(-1, keepdim=True),
        lambda scores: scores.double().softmax(-1),
        lambda scores: scores.softmax(-1).numpy(),
        lambda scores: scores.clone().requires_grad_().softmax(-1),
    ],
    ids=["the solution", "another way", "more digits", "an array", "with a gradient"],
)
def test_every_way_of_writing_the_right_answer_is_correct(answer):
    assert verdict_on(answer) == Verdict("correct", "Correct.")


def test_a_right_answer_within_the_tolerance_is_correct_and_beyond_it_is_not():
    def off_by(error):
        return lambda scores: scores.softmax(-1) + error

    assert verdict_on(off_by(1e-4), tolerance=1e-3).kind == "correct"
    assert verdict_on(off_by(1e-4), tolerance=1e-5).kind == "wrong"


# Not attempted


def ellipsis(scores): ...  # fmt: skip


def ellipsis_with_words(scores):
    """Return the weights."""
    ...  # fmt: skip


def returned_ellipsis(scores):
    return ...


def stub(scores):
    raise NotImplementedError


def stub_with_words(scores):
    raise NotImplementedError("your code here")


@pytest.mark.parametrize(
    "answer", [ellipsis, ellipsis_with_words, returned_ellipsis, stub, stub_with_words]
)
def test_an_untouched_stub_is_open(answer):
    assert verdict_on(answer) == Verdict("open", "Not attempted yet.")


def test_an_answer_on_which_torch_says_not_implemented_was_attempted():
    def answer(counts):
        return counts.softmax(-1)  # torch: not implemented for 'Long'

    verdict = verdict_on(
        answer, cases=lambda: [(torch.tensor([[1, 2]]),)], solution=lambda x: x / 1
    )
    assert verdict.kind == "error"
    assert "NotImplementedError" in verdict.message


# A known mistake


@pytest.mark.parametrize(
    ("name", "axis_or_log"), [("axis", torch.softmax), ("log", torch.log_softmax)]
)
def test_a_known_mistake_is_named_with_its_message(name, axis_or_log):
    verdict = verdict_on(lambda scores: axis_or_log(scores, 0 if name == "axis" else -1))
    known = {mistake.name: mistake.message for mistake in SOFTMAX.mistakes}
    assert verdict == Verdict("mistake", known[name], name)


def test_the_first_of_two_mistakes_that_fit_is_named():
    twice = [Mistake("one", torch.exp, "The first."), Mistake("two", torch.exp, "The second.")]
    assert verdict_on(torch.exp, mistakes=twice).mistake == "one"


def test_a_mistake_that_ends_in_an_error_is_known_by_its_error():
    broken = Mistake("shape", lambda scores: scores @ scores, "The inner sizes differ.")
    assert verdict_on(lambda scores: scores @ scores, mistakes=[broken]).mistake == "shape"
    assert verdict_on(lambda scores: scores.weights, mistakes=[broken]).kind == "error"


def test_a_mistake_that_changes_its_input_is_known():
    def in_place(scores):
        scores[0, 0] = 9.0
        return scores

    known = [Mistake("in place", in_place, "The input was changed.")]
    assert verdict_on(lambda scores: in_place(scores), mistakes=known).mistake == "in place"


# Wrong in no known way


def test_an_unknown_wrong_answer_gets_the_smallest_input_that_fails_and_what_was_expected_and_got():
    verdict = verdict_on(lambda scores: torch.full_like(scores, 1 / scores.shape[-1]), laws=[])
    assert (verdict.kind, verdict.mistake) == ("wrong", None)
    first, *where = verdict.message.split("\n")
    assert first == "Not yet."
    assert where == [
        "Input: scores = [[0., 1.]]",
        "Expected: [[0.269, 0.731]]",
        "Got: [[0.5, 0.5]]",
    ]


def test_the_smallest_input_that_fails_is_shown_and_not_one_that_passes():
    def right_on_small_inputs(scores):
        return scores.softmax(-1) if scores.numel() < 3 else scores.softmax(-1).flip(0)

    def in_words(scores):
        return str(scores.tolist())

    message = verdict_on(right_on_small_inputs, laws=[], show_case=in_words).message
    assert f"\nInput: {LARGER.tolist()}\n" in message


@pytest.mark.parametrize(
    ("answer", "law"),
    [
        (lambda scores: scores.softmax(-1) * 2, "the weights of a query sum to 1"),
        (lambda scores: scores.softmax(-1) * 2 - 1, "weights are not negative"),
    ],
)
def test_the_first_law_that_is_broken_is_named(answer, law):
    verdict = verdict_on(answer)
    assert verdict.kind == "wrong"
    assert verdict.message.startswith(f"This breaks a law: {law}.\nInput: ")


def test_a_wrong_answer_that_obeys_every_law_is_shown_without_one():
    assert verdict_on(lambda scores: scores.softmax(-1).flip(-1)).message.startswith("Not yet.\n")


def test_a_law_that_cannot_be_tried_is_passed_over():
    def impossible(out, scores):
        raise ZeroDivisionError

    verdict = verdict_on(
        lambda scores: scores.softmax(-1) * 2, laws=[Law("impossible", impossible)]
    )
    assert verdict.message.startswith("Not yet.\n")


def test_an_answer_of_another_shape_is_told_both_shapes():
    verdict = verdict_on(lambda scores: scores.softmax(-1).T)
    assert verdict.kind == "wrong"
    assert "shape (2, 1), it should have (1, 2)" in verdict.message


def test_an_answer_that_returns_nothing_is_asked_for_its_return():
    def forgetful(scores):
        scores.softmax(-1)

    verdict = verdict_on(forgetful)
    assert verdict.kind == "wrong"
    assert verdict.message.startswith("Your function returned None: is a return missing?\n")


def test_an_answer_that_stops_with_an_error_is_shown_the_error_and_the_input():
    def broken(scores):
        raise KeyError("weights\nand a second line")

    verdict = verdict_on(broken)
    assert verdict.kind == "error"
    assert verdict.message.startswith("Your code stopped with an error on this input.\nInput: ")
    assert "KeyError" in verdict.message
    assert "[[0., 1.]]" in verdict.message


def test_an_answer_with_other_arguments_is_an_error_and_not_a_crash():
    verdict = verdict_on(lambda query, key: query)
    assert verdict.kind == "error"
    assert "TypeError" in verdict.message


@pytest.mark.parametrize("answer", [SCORES, 3, "softmax", None])
def test_something_that_is_no_function_is_an_error(answer):
    verdict = verdict_on(answer)
    assert verdict.kind == "error"
    assert "needs a function, got" in verdict.message


def test_a_right_answer_that_changes_its_input_is_told_so():
    def in_place(scores):
        scores.exp_()
        return scores / scores.sum(-1, keepdim=True)

    verdict = verdict_on(in_place)
    assert verdict.kind == "wrong"
    assert "the input was changed" in verdict.message
    assert "shape" not in verdict.message


def test_the_cases_are_the_same_for_the_answer_whatever_an_earlier_call_did():
    seen = []

    def greedy_answer(scores):
        seen.append(scores.clone())
        scores.zero_()
        return scores

    shared = [(SCORES.clone(),), (LARGER.clone(),)]
    verdict_on(greedy_answer, cases=lambda: shared)
    assert torch.equal(shared[0][0], SCORES)
    assert torch.equal(seen[0], SCORES)
    assert torch.equal(seen[1], LARGER)


def test_arguments_that_cannot_be_compared_do_not_look_changed():
    class Handle:
        weight = 2.0

    cases = [(SCORES, Handle(), torch.relu)]
    solution = lambda scores, handle, act: act(scores) * handle.weight  # noqa: E731
    same_thing = lambda s, h, a: a(s * h.weight)  # noqa: E731
    verdict = verdict_on(same_thing, cases=lambda: cases, solution=solution, mistakes=[], laws=[])
    assert verdict.kind == "correct"


@pytest.mark.parametrize(
    ("error", "expected", "got"),
    [
        (0.1, "[[0., 1.]]", "[[0.1, 1.]]"),
        (3e-5, "[[0., 1.]]", "[[0.00003, 1.]]"),
        (4e-8, "[[0., 1.]]", "[[0.00000004, 1.]]"),
    ],
)
def test_a_small_difference_is_written_with_enough_digits(error, expected, got):
    def answer(scores):
        return scores + torch.tensor([[error, 0.0]])

    verdict = verdict_on(
        answer,
        cases=lambda: [(SCORES,)],
        solution=lambda scores: scores * 1,
        mistakes=[],
        laws=[],
        tolerance=1e-9,
    )
    assert verdict.message.split("\n")[2:] == [f"Expected: {expected}", f"Got: {got}"]


def test_a_large_tensor_shows_its_first_small_difference():
    many = torch.ones(7, 11, dtype=torch.float64)
    verdict = verdict_on(
        lambda x: x + 3e-5, cases=lambda: [(many,)], solution=lambda x: x, mistakes=[], laws=[]
    )
    assert verdict.message.endswith("First difference at [0, 0]: expected 1, got 1.00003")


def test_every_number_that_differs_is_written_so():
    def answer(scores):
        return scores + torch.tensor([[3e-5, 0.5]])

    verdict = verdict_on(
        answer, cases=lambda: [(SCORES,)], solution=lambda x: x * 1, mistakes=[], laws=[]
    )
    assert verdict.message.endswith("Expected: [[0., 1.]]\nGot: [[0.00003, 1.5]]")


# Where it goes wrong


class Halver:
    """Counts how often it is asked, and what it was given."""

    def __init__(self):
        self.given = []

    def __call__(self, x):
        self.given.append(x)
        return x / 2


def locate_first(answer, case):
    """Say what the first call of the halver was given, if that is not right."""
    halver = Halver()
    try:
        answer(halver, case[1])
    except Exception:
        return f"given {halver.given}", "It stopped."
    first = halver.given[0] if halver.given else None
    return ("" if first == case[1] + 1 else f"First it was given {first}."), "So much for that."


def twice(halver, x):
    return halver(halver(x + 1) + 1)


STEPS = Exercise(
    number="2.2",
    title="two steps",
    solution=twice,
    cases=lambda: [(Halver(), 4), (Halver(), 10)],
    mistakes=[
        Mistake("first", lambda halver, x: halver(halver(x) + 1), "No 1 at first."),
        Mistake("second", lambda halver, x: halver(halver(x + 1)), "No 1 at last."),
        Mistake("stops", lambda halver, x: halver([x]), "It wants a number."),
    ],
    locate=locate_first,
)


def test_a_wrong_answer_is_told_where_it_goes_wrong():
    verdict = judge(STEPS, lambda halver, x: halver(halver(x + 3) + 1))
    assert (verdict.kind, verdict.mistake) == ("wrong", None)
    assert verdict.where == "First it was given 7.\nSo much for that."
    assert "First" not in verdict.message


def test_where_no_step_is_wrong_there_is_only_the_rest_to_say():
    assert judge(STEPS, lambda halver, x: 3 * twice(halver, x)).where == "So much for that."


def test_a_right_answer_is_not_located():
    assert judge(STEPS, twice) == Verdict("correct", "Correct.")


def test_a_mistake_is_known_by_its_step_when_something_else_is_wrong():
    verdict = judge(STEPS, lambda halver, x: halver(halver(x)))
    assert verdict.mistake == "first"
    assert verdict.message == "No 1 at first. There is something else besides; mend this first."
    assert verdict.where.startswith("First it was given 4.")


def test_a_known_mistake_is_told_where_too():
    verdict = judge(STEPS, lambda halver, x: halver(halver(x) + 1))
    assert verdict.message == "No 1 at first."
    assert verdict.where.startswith("First it was given 4.")


def test_two_errors_that_read_the_same_but_come_at_other_steps_are_not_the_same_mistake():
    exact = judge(STEPS, lambda halver, x: halver([x]))
    assert (exact.mistake, exact.message) == ("stops", "It wants a number.")
    later = judge(STEPS, lambda halver, x: halver([halver(x + 1)]))
    assert (later.kind, later.mistake) == ("error", None)


def test_a_known_mistake_is_worked_out_once_for_each_case():
    calls = []

    def wrong(scores):
        calls.append(scores.shape)
        return scores * 2

    known = dataclasses.replace(SOFTMAX, mistakes=[Mistake("doubled", wrong, "Doubled.")])
    for _ in range(3):
        assert judge(known, lambda scores: scores + scores).mistake == "doubled"
    assert calls == [(1, 2), (2, 3)]


# Comparing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.0 + 1e-9),
        (1, 1.0),
        (torch.tensor(2.0), 2.0),
        (2, torch.tensor(2)),
        (np.float64(2.0), 2.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.True_, True),
        (torch.tensor([1.0, 2.0]), np.array([1.0, 2.0])),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0])),
        ([1, 2.0], (1, 2)),
        ((torch.ones(3), "a"), (torch.ones(3), "a")),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        (None, None),
    ],
)
def test_what_is_the_same_however_it_is_written(one, other):
    assert same(one, other, 1e-6)
    assert same(other, one, 1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.001),
        (1.0, math.nan),
        (True, 1),
        (torch.ones(3), torch.ones(3, 1)),
        (torch.ones(1, 3), torch.ones(3, 1)),
        (torch.tensor([1.0, 0.0]), torch.tensor([True, False])),
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, 0.0])),
        ([1, 2], [1, 2, 3]),
        ("a", "b"),
        (None, 0.0),
        ((torch.ones(2),), (torch.zeros(2),)),
    ],
)
def test_what_is_not_the_same(one, other):
    assert not same(one, other, 1e-6)
    assert not same(other, one, 1e-6)


@given(st.floats(-100, 100), st.floats(0, 1e-2))
def test_a_number_is_the_same_within_the_tolerance(number, tolerance):
    assert same(number, number, tolerance)
    assert same(number + 0.9 * tolerance, number, tolerance)
    assert not same(number + 1 + 200 * tolerance, number, tolerance)


# Saying it


@pytest.mark.parametrize(
    ("kind", "mark", "css"),
    [
        ("correct", "✓", "check-correct"),
        ("open", "○", "check-open"),
        ("mistake", "✗", "check-mistake"),
        ("wrong", "✗", "check-mistake"),
        ("error", "✗", "check-mistake"),
    ],
)
def test_a_verdict_is_shown_with_its_mark(kind, mark, css, notebook):
    show_verdict(SOFTMAX, Verdict(kind, "Look at a < b.\nGot: <x>"))
    data = notebook.outputs[0]["data"]
    assert data["text/plain"] == f"{mark} Exercise 2.1: Look at a < b.\nGot: <x>"
    assert css in data["text/html"]
    assert "Look at a &lt; b." in data["text/html"]
    assert "<code>Got: &lt;x&gt;</code>" in data["text/html"]


def test_where_an_answer_goes_wrong_is_shown_after_the_message(notebook):
    show_verdict(SOFTMAX, Verdict("mistake", "Halved.", "half", "First: <x>\nThen it stopped."))
    data = notebook.outputs[0]["data"]
    assert data["text/plain"] == "✗ Exercise 2.1: Halved.\nFirst: <x>\nThen it stopped."
    assert "<code>First: &lt;x&gt;</code><br><code>Then it stopped.</code>" in data["text/html"]


def test_a_case_can_be_written_in_its_own_way():
    verdict = verdict_on(torch.exp, laws=[], show_case=lambda scores: f"{scores.numel()} scores")
    assert "\nInput: 2 scores\n" in verdict.message
