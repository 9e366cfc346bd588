import math

import pytest
import torch
import torch.nn.functional as F

from minattn.exercises import wrong_attempt
from minattn.exercises.gpt.ex10_2_smeared_keys import EXERCISE
from minattn.exercises.judging import judge
from minattn.language.gpt import Smeared

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def smear_written_in(k, gate):
    share = torch.sigmoid(gate).view(1, -1, 1, 1)
    mixed = k.clone()
    mixed[:, :, 1:] = (1 - share) * k[:, :, 1:] + share * k[:, :, :-1]
    return mixed


def smear_joined(k, gate):
    before = torch.cat([k[:, :, :1], k[:, :, :-1]], dim=2)
    return torch.lerp(k, before, gate.sigmoid()[:, None, None])


def smear_loop(k, gate):
    keys = []
    for j in range(k.shape[2]):
        rows = []
        for head, number in enumerate(gate.tolist()):
            share = 1 / (1 + math.exp(-number)) if j > 0 else 0.0
            rows.append((1 - share) * k[:, head, j] + share * k[:, head, max(j - 1, 0)])
        keys.append(torch.stack(rows, dim=1))
    return torch.stack(keys, dim=2)


def smear_by_a_matrix(k, gate):
    """Mix by a matrix of places for each head, with two diagonals."""
    n = k.shape[2]
    share = gate.sigmoid()[:, None, None] * (torch.arange(n) > 0)[:, None]
    return (torch.eye(n) * (1 - share) + torch.eye(n).roll(-1, 1) * share) @ k


def smear_rolled_and_mended(k, gate):
    share = gate.sigmoid()[None, :, None, None]
    mixed = k + share * (k.roll(1, 2) - k)
    mixed[:, :, 0] = k[:, :, 0]
    return mixed


def smear_as_the_package(k, gate):
    mixing = Smeared(len(gate), lambda query, key, value, mask: key)
    mixing.mix.data = gate[:, None, None]
    return mixing(k, k, k)


OTHER_WAYS = [
    smear_written_in,
    smear_joined,
    smear_loop,
    smear_by_a_matrix,
    smear_rolled_and_mended,
    smear_as_the_package,
]


# Wrong ways, written as a learner writes them.


def smear_padded(k, gate):
    share = gate.sigmoid()[:, None, None]
    return (1 - share) * k + share * F.pad(k, (0, 0, 1, 0))[:, :, :-1]


def smear_padded_behind(k, gate):
    share = gate.sigmoid()[:, None, None]
    return (1 - share) * k + share * F.pad(k, (0, 0, 0, 1))[:, :, 1:]


def smear_in_a_loop(k, gate):
    k = k.clone()
    share = gate.sigmoid()[:, None]
    for j in range(1, k.shape[2]):
        k[:, :, j] = (1 - share) * k[:, :, j] + share * k[:, :, j - 1]
    return k


def smear_flat_gate(k, gate):
    share = torch.sigmoid(gate)
    before = torch.cat([k[:, :, :1], k[:, :, :-1]], dim=2)
    return (1 - share) * k + share * before


def smear_shorter(k, gate):
    share = gate.sigmoid()[:, None, None]
    return (1 - share) * k[:, :, 1:] + share * k[:, :, :-1]


NEAR_MISSES = [
    ("first_faded", smear_padded),
    ("next_one", smear_padded_behind),
    ("chained", smear_in_a_loop),
    ("gate_along_features", smear_flat_gate),
    ("first_left_out", smear_shorter),
]


# What is said, and what the checker is tried on.


def test_there_are_keys_without_any_before_them():
    assert any(k.shape[2] == 1 for k, _ in EXERCISE.cases())


@pytest.mark.parametrize("i", range(len(EXERCISE.cases())))
def test_the_package_agrees(i):
    k, gate = EXERCISE.cases()[i]
    assert torch.allclose(smear_as_the_package(k, gate), EXERCISE.solution(k, gate), atol=1e-6)


def test_a_first_key_that_changes_breaks_a_law():
    verdict = judge(EXERCISE, lambda k, gate: EXERCISE.solution(k, gate) + 0.3)
    assert verdict.kind == "wrong" and "the first key stays as it is" in verdict.message


def test_keys_changed_in_place_are_noticed():
    def in_place(k, gate):
        k.copy_(EXERCISE.solution(k, gate))
        return k

    verdict = judge(EXERCISE, in_place)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_a_wrong_attempt_can_be_shown(capsys):
    wrong_attempt("10.2", "rolled")
    assert "k.roll(1, dims=2)" in capsys.readouterr().out
