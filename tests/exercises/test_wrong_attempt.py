import re

import pytest
import torch

from minattn.exercises import EXERCISES, check, wrong_attempt
from minattn.exercises.telling import source_of

TITLE = "A wrong attempt, and what the checker says"


def in_their_order(fused, n_heads, layout):
    batch, seq, width = fused.shape
    return tuple(fused.view(3, batch, n_heads, seq, width // 3 // n_heads))


def test_a_known_mistake_is_shown_with_its_code_and_its_verdict(capsys):
    wrong_attempt("5.1", "bare_reshape")
    shown = capsys.readouterr().out
    first = "def split(fused: Tensor, n_heads: int, layout: str) -> tuple[Tensor, ...]:"
    assert shown.startswith(f"{TITLE}:\n{first}\n    batch,")
    check("5.1", in_their_order)
    assert shown.endswith(f"three[2]\n{capsys.readouterr().out}")


def test_in_a_notebook_the_verdict_is_the_html_of_check(notebook):
    check("5.1", in_their_order)
    (of_check,) = notebook.outputs
    notebook.outputs.clear()
    wrong_attempt("5.1", "bare_reshape")
    title, code, verdict = notebook.outputs
    assert TITLE in title["data"]["text/html"]
    assert '<span class="nf">split</span>' in code["data"]["text/html"]
    assert verdict["data"] == of_check["data"]


def test_an_answer_of_the_cell_is_judged_and_not_shown_again(capsys):
    wrong_attempt("5.1", "bare_reshape", answer=in_their_order)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{TITLE}:\n✗ Exercise 5.1: ") and "def" not in shown


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (in_their_order, "mistake bare_reshape: The shapes"),
        (EXERCISES["5.1"].solution, "correct: "),
    ],
)
def test_an_answer_that_makes_another_mistake_is_not_shown(answer, got, capsys):
    with pytest.raises(AssertionError, match=f"must be mistake layouts_exchanged, got {got}"):
        wrong_attempt("5.1", "layouts_exchanged", answer=answer)
    assert capsys.readouterr().out == ""


@pytest.mark.rejects
def test_an_unknown_exercise_or_mistake_is_rejected():
    with pytest.raises(ValueError, match=r"exercises are 0\.1, .*got '9\.9'"):
        wrong_attempt("9.9", "bare_reshape")
    with pytest.raises(ValueError, match=r"exercise 5\.1 are bare_reshape, .*got 'bare_reshapes'"):
        wrong_attempt("5.1", "bare_reshapes")


@pytest.mark.rejects
def test_a_mistake_whose_code_is_nothing_to_read_needs_an_answer():
    with pytest.raises(ValueError, match=r"no code to show for 'padding_counted': .*as answer"):
        wrong_attempt("1.4", "padding_counted")


# The code of a mistake


def _helper(x):
    return x


_helper.__module__ = "minattn.exercises.helpers"


def plain(x):
    """Say nothing."""
    return plain(x - 1) if x else torch.zeros(1)


def helped(x):
    return _helper(x)


@torch.no_grad()
def decorated_and_helped(x):
    return _helper(x)


def made():
    def inner(x):
        return x

    return inner


def test_code_is_shown_under_the_name_of_the_task_and_without_its_docstring():
    expected = "def mine(x):\n    return mine(x - 1) if x else torch.zeros(1)"
    assert source_of(plain, "mine") == expected


@pytest.mark.parametrize("answer", [lambda x: x, helped, decorated_and_helped, made(), torch.exp])
def test_code_that_no_learner_would_write_is_not_shown(answer):
    assert source_of(answer, "mine") is None


def test_code_that_is_shown_is_whole_python_without_names_of_the_checkers():
    shown = {
        (number, mistake.name): code
        for number, exercise in EXERCISES.items()
        for mistake in exercise.mistakes
        if (code := source_of(mistake.answer, exercise.solution.__name__))
    }
    assert len(shown) > 20
    for place, code in shown.items():
        compile(code, str(place), "exec")
        assert not re.search(r"\b_\w", code), place
