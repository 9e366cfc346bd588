import copy

import numpy as np
import pytest
import torch
from torch import nn

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_7_seeing_the_future import (
    EXERCISE,
    FAINTLY,
    FAVOURITE,
    SHIFTED,
)

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def future_forked(model, source, target_in):
    """Keep the random numbers of whoever calls, and remember the mode of every part."""
    flags = [part.training for part in model.modules()]
    leaking = []
    for mode, switch in (("train", model.train), ("eval", model.eval)):
        switch()
        if any(moved_at(model, source, target_in, t) for t in range(1, target_in.shape[1])):
            leaking.append(mode)
    for part, flag in zip(model.modules(), flags, strict=True):
        part.training = flag
    return leaking


def moved_at(model, source, target_in, t):
    changed = target_in.clone()
    changed[:, t:] = 0
    results = []
    for ids in (target_in, changed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            results.append(model(source, ids))
    return (results[0] - results[1])[:, :t].abs().max().item() > 1e-6


def future_of_a_copy(model, source, target_in):
    """Work on a copy, change one token at a time, and go through the rows one by one."""
    model = copy.deepcopy(model)
    found = set()
    for mode in ("eval", "train"):
        model.train(mode == "train")
        for t in range(target_in.shape[1]):
            other = target_in.clone()
            for row in other:
                row[t] = row[t] - 1 if row[t] > 0 else 1
            torch.manual_seed(0)
            before = model(source, target_in)
            torch.manual_seed(0)
            after = model(source, other)
            for i in range(len(source)):
                if not np.allclose(before[i, :t].detach().numpy(), after[i, :t].detach().numpy()):
                    found.add(mode)
    return [mode for mode in ("train", "eval") if mode in found]


def future_without_dropout(model, source, target_in):
    """Turn every dropout off by its rate, and compare each beginning with the whole."""
    model = copy.deepcopy(model)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    leaking = []
    for mode in ("train", "eval"):
        model.train(mode == "train")
        whole = model(source, target_in)
        parts = [model(source, target_in[:, :t])[:, -1] for t in range(1, whole.shape[1] + 1)]
        if not torch.allclose(torch.stack(parts, dim=1), whole, atol=1e-6):
            leaking += [mode]
    return leaking


def future_random(model, source, target_in):
    was = model.training
    state = torch.get_rng_state()
    leaking = []
    generator = torch.Generator().manual_seed(3)
    for mode in ("train", "eval"):
        model.train(mode == "train")
        leaks = False
        for _ in range(3):
            for t in range(1, target_in.shape[1]):
                tail = torch.randint(11, target_in[:, t:].shape, generator=generator)
                other = torch.cat([target_in[:, :t], tail], dim=1)
                torch.set_rng_state(state)
                a = model(source, target_in).log_softmax(-1)
                torch.set_rng_state(state)
                b = model(source, other).log_softmax(-1)
                leaks |= bool((a - b)[:, :t].abs().amax() > 1e-6)
        if leaks:
            leaking.append(mode)
    model.train(was)
    return leaking


OTHER_WAYS = [future_forked, future_of_a_copy, future_without_dropout, future_random]


# Wrong ways, written as a learner writes them.

RIGHT = """
def answer(model, source, target_in):
    was = model.training
    modes = []
    for mode in ["train", "eval"]:
        model.train(mode == "train")
        leaks = False
        for t in range(1, target_in.shape[1]):
            changed = target_in.clone()
            changed[:, t:] = (changed[:, t:] + 1) % 11
            torch.manual_seed(0)
            before = model(source, target_in)
            torch.manual_seed(0)
            after = model(source, changed)
            if not torch.allclose(before[:, :t], after[:, :t]):
                leaks = True
        if leaks:
            modes.append(mode)
    model.train(was)
    return modes
"""


def changed(*pairs):
    text = RIGHT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {"torch": torch}
    exec(text, names)
    return names["answer"]


SEED = ("            torch.manual_seed(0)\n", "")
CHANGE = "changed[:, t:] = (changed[:, t:] + 1) % 11"
SWITCH = 'model.train(mode == "train")'
ALL, SOME = "range(1, target_in.shape[1])", "before[:, :t], after[:, :t]"

NEAR_MISSES = [
    ("always_none", changed((".clone()", ""))),
    ("always_none", changed((CHANGE, "changed[:, t:] + 1"))),
    ("always_both", changed((SOME, "before, after"))),
    ("always_both", changed((SOME, "before[:, : t + 1], after[:, : t + 1]"))),
    ("always_both", changed((SOME, "before[:, t], after[:, t]"))),
    ("always_both", changed(("(source, changed)", "((source + 1) % 11, changed)"))),
    ("dropout_taken_for_a_leak", changed(SEED)),
    (
        "dropout_taken_for_a_leak",
        changed(SEED, ("    modes = []", "    modes = []; torch.manual_seed(0)")),
    ),
    (
        "dropout_taken_for_a_leak",
        changed(
            (SOME, "before[:, :t], after"),
            ("model(source, changed)", "model(source, target_in[:, :t])"),
        ),
    ),
    (
        "dropout_taken_for_a_leak",
        changed(
            (
                "after = model(source, changed)",
                "both = model(source.repeat(2, 1), torch.cat([target_in, changed]))",
            ),
            (SOME, "*[z[:, :t] for z in both.chunk(2)]"),
        ),
    ),
    ("one_mode_only", changed(('["train", "eval"]', '["eval"]'))),
    ("one_mode_only", changed(('["train", "eval"]', '["train"]'))),
    (
        "given_mode_only",
        changed(('["train", "eval"]', '["train" if was else "eval"]'), (SWITCH, "pass")),
    ),
    ("mode_does_not_arrive", changed((SWITCH, "pass"))),
    ("mode_does_not_arrive", changed((SWITCH, 'model.training = mode == "train"'))),
    ("mode_does_not_arrive", changed((SWITCH, "model.train()"))),
    ("mode_does_not_arrive", changed((SWITCH, "model.eval()"))),
    ("modes_swapped", changed((SWITCH, 'model.train(mode == "eval")'))),
    ("other_order", changed(('["train", "eval"]', '["eval", "train"]'))),
    ("a_truth_value", changed(("return modes", "return len(modes) > 0"))),
    ("inverted", changed(("if leaks", "if not leaks"))),
    ("next_left_out", changed((SOME, "before[:, : t - 1], after[:, : t - 1]"))),
    (
        "neighbour_only",
        changed((CHANGE, CHANGE.replace("t:", "t")), (SOME, "before[:, t - 1], after[:, t - 1]")),
    ),
    ("one_place", changed((ALL, "[target_in.shape[1] - 1]"))),
    ("one_place", changed((ALL, "[1]"))),
    ("one_place", changed((ALL, "[target_in.shape[1] // 2]"))),
    ("one_place", changed((ALL, "[target_in.shape[1] - 1]"), (SOME, "before[:, 0], after[:, 0]"))),
    ("one_place", changed((CHANGE, CHANGE.replace("t:", "-1")))),
    ("one_place", changed((SOME, "before[:, 0], after[:, 0]"))),
    ("end_left_out", changed((ALL, "range(1, target_in.shape[1] - 1)"))),
    ("end_left_out", changed((ALL, "range(2, target_in.shape[1])"))),
    ("end_left_out", changed((CHANGE, "changed[:, t:] = changed[:, t:].flip(1)"))),
    ("first_row_only", changed((SOME, "before[0, :t], after[0, :t]"))),
    ("best_guess_only", changed((SOME, "before[:, :t].argmax(-1), after[:, :t].argmax(-1)"))),
    ("too_rough", changed((SOME, f"{SOME}, atol=0.1"))),
    ("exactly_equal", changed(("torch.allclose", "torch.equal"))),
    ("no_such_token", changed((" % 11", ""))),
]


# What is said, and what the checker is tried on.

DECODERS = [case[0] for case in EXERCISE.cases()]
ONE_SIDED = [m for m in DECODERS if (m.habits.train is None) != (m.habits.evaluate is None)]


@torch.no_grad()
def most_moved(model, source, target_in, seed):
    """Return the largest move of a logit before a change, wherever the change begins."""
    most = 0.0
    for t in range(1, target_in.shape[1]):
        changed = target_in.clone()
        changed[:, t:] = (changed[:, t:] + 1) % 11
        results = []
        for ids in (target_in, changed):
            torch.manual_seed(seed)
            results.append(model(source, ids)[:, :t])
        most = max(most, float((results[0] - results[1]).abs().max()))
    return most


@pytest.mark.parametrize("i", range(len(DECODERS)))
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_decoder_leaks_clearly_or_not_at_all(i, mode):
    model, source, target_in = copy.deepcopy(EXERCISE.cases()[i])
    model.train(mode == "train")
    leak = model.habits.train if mode == "train" else model.habits.evaluate
    with torch.random.fork_rng(devices=[]):
        moved = [most_moved(model, source, target_in, seed) for seed in range(5)]
    least = 1e-3 if model.name == FAINTLY else 0.03
    assert all(m > least for m in moved) if leak else all(m < 1e-8 for m in moved)


def test_whatever_the_mode_some_decoders_leak_only_in_the_other():
    pairs = {(m.habits.train is not None, m.training) for m in ONE_SIDED}
    assert pairs == {(leaks, given) for leaks in (True, False) for given in (True, False)}


def test_the_favourite_is_always_the_best_guess():
    ((model, source, target_in),) = [c for c in EXERCISE.cases() if c[0].name == FAVOURITE]
    assert (model.eval()(source, target_in).argmax(-1) == model.habits.favourite).all()


def test_rounding_moves_the_logits_of_a_sound_decoder():
    ((model, source, target_in),) = [c for c in EXERCISE.cases() if c[0].name == SHIFTED]
    assert 0 < most_moved(model.eval(), source, target_in, 0) < 1e-8


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_to_be_what_it_was(mode):
    verdict = judge(EXERCISE, changed(("model.train(was)", f"model.train({mode})")))
    assert verdict.kind == "wrong" and "mode (train or eval)" in verdict.message


def test_the_target_is_to_be_what_it_was():
    def in_place(model, source, target_in):
        modes = changed()(model, source, target_in)
        target_in += 1
        return modes

    verdict = judge(EXERCISE, in_place)
    assert verdict.kind == "wrong" and "input was changed" in verdict.message


def test_a_word_that_is_no_mode_is_shown_what_was_expected():
    verdict = judge(EXERCISE, changed(("return modes", "return ', '.join(modes)")))
    assert verdict.kind == "wrong" and "it should be a list" in verdict.message
