import pytest
import torch

from minattn.exercises.exercise import Verdict
from minattn.exercises.telling import show_verdict
from tests.exercises.softmax_exercise import SCORES, SOFTMAX, verdict_on

# Verdicts


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


# Inputs and values


def test_a_case_can_be_written_in_its_own_way():
    verdict = verdict_on(torch.exp, laws=[], show_case=lambda scores: f"{scores.numel()} scores")
    assert "\nInput: 2 scores\n" in verdict.message


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
