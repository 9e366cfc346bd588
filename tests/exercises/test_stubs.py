import pytest

from minattn.exercises.exercise import Verdict
from minattn.exercises.stubs import is_stub
from tests.exercises.softmax_exercise import verdict_on


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


def words(scores):
    """Return the weights."""


def returned_none(scores):
    return None


def bare_return(scores):
    """Return the weights."""
    return


def annotated(scores, mask=None):
    weights: list[float]  # noqa: F842
    ...


def several_lines(scores, *, axis=-1):
    """Return the weights.

    They sum to 1.
    """
    # your code here
    ...

    "and here"
    pass


def stub_called(scores):
    """Return the weights."""
    raise NotImplementedError()


STUBS = [
    stub_called,
    ellipsis,
    ellipsis_with_words,
    returned_ellipsis,
    stub,
    stub_with_words,
    words,
    returned_none,
    bare_return,
    annotated,
    several_lines,
    lambda *case: ...,
    lambda: None,
]


@pytest.mark.parametrize("answer", STUBS)
def test_an_untouched_stub_is_open(answer):
    assert is_stub(answer)
    assert verdict_on(answer) == Verdict("open", "Not attempted yet.")


def zero(scores):
    return 0


def true(scores):
    return True


def text(scores):
    """Return the weights."""
    return "the weights"


def argument(scores):
    return scores


def both(scores):
    return ..., None


def deletes(scores):
    del scores


def assigns(scores):
    weights = None  # noqa: F841


def yields(scores):
    yield


async def waits(scores): ...  # fmt: skip


def raises_sometimes(scores):
    if scores.ndim > 2:
        raise NotImplementedError("no batch here")
    return scores.softmax(-1)


def catches(scores):
    try:
        return scores.softmax(-1)
    except NotImplementedError:
        return None


def raises_after_work(scores):
    scores.softmax(-1)
    raise NotImplementedError


def names_it(scores):
    return "NotImplementedError"


class Answer:
    def __call__(self, scores): ...  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        raises_sometimes,
        catches,
        raises_after_work,
        names_it,
        zero,
        true,
        text,
        argument,
        both,
        deletes,
        assigns,
        yields,
        waits,
        len,
        Answer,
        lambda x: x.T,
    ],
)
def test_what_does_anything_at_all_is_no_stub(answer):
    assert not is_stub(answer)


@pytest.mark.parametrize("answer", [raises_sometimes, catches])
def test_a_right_answer_that_mentions_what_a_stub_raises_is_judged(answer):
    assert verdict_on(answer) == Verdict("correct", "Correct.")
