import numpy as np
import pytest
import torch

from minattn.exercises.gpt.ex10_4_wrong_cache import EXERCISE, FAINTLY, FAVOURITE, ROUNDED
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def cache_at_once(all_logits, start, step, ids):
    state, rows = start(), []
    for token in ids:
        logits, state = step(token, state)
        rows.append(logits)
    close = torch.isclose(torch.stack(rows), all_logits(ids), rtol=1e-4, atol=1e-4).all(dim=1)
    return None if close.all() else int((~close).nonzero()[0, 0])


def cache_by_beginnings(all_logits, start, step, ids):
    """Ask without the cache for each beginning of the text, as greedy decoding would."""
    state = start()
    for i in range(len(ids)):
        logits, state = step(ids[i], state)
        alone = all_logits(ids[: i + 1])[-1]
        if not np.allclose(logits.numpy(), alone.numpy(), atol=1e-6):
            return i


def cache_from_the_end(all_logits, start, step, ids):
    """Read everything anew for each place, and remember the earliest that differs."""
    first = None
    for i in reversed(range(len(ids))):
        state = start()
        for token in ids[: i + 1]:
            logits, state = step(token, state)
        if not (logits - all_logits(ids)[i]).abs().max() < 1e-5:
            first = i
    return first


def cache_by_worst(all_logits, start, step, ids):
    state = start()
    for i, wanted in enumerate(all_logits(ids).tolist()):
        logits, state = step(ids[i], state)
        worst = max(
            abs(x - y) if x == x else 1.0 for x, y in zip(logits.tolist(), wanted, strict=True)
        )
        if worst > 1e-5:
            return torch.tensor(i)
    return None


OTHER_WAYS = [cache_at_once, cache_by_beginnings, cache_from_the_end, cache_by_worst]


# Wrong ways, written as a learner writes them.

RIGHT = """
def answer(all_logits, start, step, ids):
    ids = list(ids)
    whole = all_logits(ids)
    state = start()
    for i, token in enumerate(ids):
        logits, state = step(token, state)
        if not torch.allclose(logits, whole[i]):
            return i
    return None
"""


def changed(*pairs):
    text = RIGHT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {"torch": torch}
    exec(text, names)
    return names["answer"]


CLOSE = "not torch.allclose(logits, whole[i])"

NEAR_MISSES = [
    (
        "own_text",
        changed(("if not", "ids[i + 1 : i + 2] = [int(logits.argmax())]\n        if not")),
    ),
    ("always_none", changed(("logits, state = step(token, state)", "logits = whole[i]"))),
    ("state_dropped", changed(("logits, state =", "logits, _ ="))),
    ("state_dropped", changed(("step(token, state)", "step(token, start())"))),
    ("state_dropped", changed(("whole[i]", "all_logits([token])[0]"))),
    ("last_place_only", changed(("if not", "if i == len(ids) - 1 and not"))),
    ("counted_from_one", changed(("return i", "return i + 1"))),
    ("the_token", changed(("return i", "return token"))),
    ("number_for_none", changed(("return None", "return -1"))),
    ("first_left_out", changed(("if not", "if i and not"))),
    ("end_left_out", changed(("enumerate(ids)", "enumerate(ids[:-1])"))),
    ("exactly_equal", changed((CLOSE, "(logits != whole[i]).any()"))),
    ("too_rough", changed(("whole[i])", "whole[i], atol=0.01)"))),
    ("best_guess_only", changed((CLOSE, "logits.argmax() != whole[i].argmax()"))),
    ("no_absolute_value", changed((CLOSE, "not (logits - whole[i]).max() < 1e-5"))),
    ("nan_overlooked", changed((CLOSE, "(logits - whole[i]).abs().max() > 1e-5"))),
]


# What is said, and what the checker is tried on.

MODELS = [case[0].__self__ for case in EXERCISE.cases()]


def moves(model, ids):
    """Return by how much the logits of each place move at most."""
    state, most = model.start(), []
    for token, wanted in zip(ids, model.all_logits(ids), strict=True):
        logits, state = model.step(token, state)
        most.append(float((logits - wanted).abs().max()))
    return most


@pytest.mark.parametrize("i", range(len(MODELS)), ids=map(repr, MODELS))
def test_logits_move_clearly_or_not_at_all(i):
    *_, ids = case = EXERCISE.cases()[i]
    place, most = EXERCISE.solution(*case), moves(MODELS[i], ids)
    assert all(m < 1e-6 for m in most[:place])
    if place is not None:
        assert not most[place] < (9e-4 if MODELS[i].name == FAINTLY else 0.3)


def test_every_place_is_somewhere_the_first():
    places = {EXERCISE.solution(*case) for case in EXERCISE.cases()}
    assert places == {None, *range(7)}


def test_the_favourite_is_always_the_best_guess():
    ((all_logits, *_, ids),) = [c for c in EXERCISE.cases() if c[0].__self__.name == FAVOURITE]
    assert set(all_logits(ids).argmax(1).tolist()) == {5}


def test_rounding_moves_the_logits_of_a_sound_cache():
    (case,) = [c for c in EXERCISE.cases() if c[0].__self__.name == ROUNDED]
    assert 0 < max(moves(case[0].__self__, case[3])) < 1e-6


def test_a_place_where_there_is_none_is_told_so():
    def answer(*case):
        place = EXERCISE.solution(*case)
        return 3 if place is None else place

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong", verdict
    assert verdict.message.startswith(
        "The result is one number, it should be None.\nInput: a sound"
    )
