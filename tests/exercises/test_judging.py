import dataclasses

import pytest
import torch

from minattn.exercises import limiting
from minattn.exercises.exercise import Exercise, Law, Mistake, Verdict
from minattn.exercises.judging import judge
from tests.exercises.softmax_exercise import LARGER, SCORES, SOFTMAX, softmax, verdict_on

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


def test_another_number_besides_a_mistake_is_not_said_to_be_something_else():
    """Half of the answer may be the same mistake, written in another way."""
    verdict = verdict_on(lambda s: s.softmax(0) if len(s) == 1 else 2 * s.softmax(0))
    assert (verdict.mistake, verdict.message) == (
        "axis",
        "This is over the queries. Mend this first.",
    )


@pytest.mark.parametrize("fault", [lambda s: s.softmax(-1) * torch.nan, lambda s: s.weights])
def test_what_no_writing_of_a_mistake_does_is_something_else(fault):
    verdict = verdict_on(lambda s: s.softmax(0) if len(s) == 1 else fault(s))
    assert verdict.mistake == "axis"
    assert verdict.message.endswith("There is something else besides; mend this first.")


def test_a_wrong_result_where_a_mistake_would_be_right_is_something_else():
    square = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # either axis gives the same
    verdict = verdict_on(
        lambda s: s.softmax(0) if len(s) == 1 else 2 * s.softmax(0),
        cases=lambda: [(SCORES,), (square,)],
    )
    assert verdict.message.endswith("There is something else besides; mend this first.")


# Numbers that are none


@pytest.mark.parametrize(
    ("bad", "start"),
    [
        (torch.nan, "Your result has NaN (not a number) at [0, 1]. It comes from 0 divided by 0,"),
        (torch.inf, "Your result has infinity at [0, 1], where a finite number should be."),
        (-torch.inf, "Your result has infinity at [0, 1], where a finite number should be."),
    ],
)
def test_a_number_that_is_none_is_told_before_any_law(bad, start):
    def answer(scores):
        weights = scores.softmax(-1)
        weights[0, 1] = bad
        return weights

    verdict = verdict_on(answer)
    assert verdict.kind == "wrong" and verdict.message.startswith(start)


def test_nan_of_a_plain_number_and_inside_a_pair_is_told():
    number = verdict_on(lambda s: float("nan"), solution=lambda s: float(s.sum()), mistakes=[])
    assert number.message.startswith("Your result has NaN (not a number). It")
    pair = verdict_on(lambda s: (s, s * torch.nan), solution=lambda s: (s, s), mistakes=[], laws=[])
    assert pair.message.startswith("Your result has NaN (not a number) at [0, 0].")


def test_where_infinity_is_right_no_number_is_blamed_for_it():
    verdict = verdict_on(lambda s: s.log() + 1, solution=lambda s: s.log(), mistakes=[], laws=[])
    assert "Your result has" not in verdict.message


def test_a_known_mistake_that_gives_the_same_nan_is_named():
    known = [Mistake("zero", lambda s: s * torch.nan, "0 by 0.")]
    assert verdict_on(lambda s: s - torch.nan, mistakes=known).mistake == "zero"


# An answer that never ends


def test_an_answer_that_never_ends_is_stopped_and_told_so(monkeypatch):
    def forever(scores):
        while len(scores) > 1:
            scores = scores.clone()
        return scores.softmax(-1)

    monkeypatch.setattr(limiting, "LIMIT_S", 0.2)
    verdict = verdict_on(forever, cases=lambda: [(SCORES[:1],), (SCORES.repeat(2, 1),)])
    assert verdict.kind == "error"
    assert verdict.message.startswith("Your code did not come to an end after 0.2 seconds.")
    assert "Input: scores = [[" in verdict.message


# A model that is changed


class Scale(torch.nn.Module):
    """Multiplies by a parameter and adds a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))
        self.register_buffer("offset", torch.tensor(1.0))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x):
        return self.weight * x + self.offset


def model_verdict(change):
    def answer(model, x):
        out = model(x).detach()
        change(model)
        return out

    return verdict_on(
        answer,
        cases=lambda: [(Scale(), SCORES)],
        solution=lambda model, x: model(x),
        mistakes=[],
        laws=[],
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m.weight.data.add_(1), "parameters"),
        (lambda m: m.offset.add_(1), "buffers"),
        (lambda m: m.eval(), "mode (train or eval)"),
        (lambda m: m.dropout.eval(), "mode (train or eval)"),
        (lambda m: m.requires_grad_(False), "requires_grad"),
        (lambda m: m(SCORES).sum().backward(), "gradients"),
        (lambda m: m.register_buffer("more", SCORES), "buffers"),
    ],
)
def test_an_answer_that_changes_its_model_is_told_what(change, what):
    verdict = model_verdict(change)
    assert verdict.kind == "wrong"
    assert verdict.message.startswith(
        f"The result is right, but the model was changed: its {what}. Leave it as it was."
    )


def test_an_answer_that_leaves_its_model_alone_is_correct():
    assert model_verdict(lambda m: m.zero_grad()).kind == "correct"


def test_what_the_solution_changes_may_be_changed():
    def with_gradients(model, x):
        model(x).sum().backward()
        return model.weight.grad.clone()

    changes = {"cases": lambda: [(Scale(), SCORES)], "mistakes": [], "laws": []}
    verdict = verdict_on(lambda m, x: with_gradients(m, x), solution=with_gradients, **changes)
    assert verdict.kind == "correct"


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
