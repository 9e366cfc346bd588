import re

import numpy as np
import pytest
import torch

from minattn.exercises.context_vector.ex1_5_final_state import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def last_gather(states, mask):
    index = torch.arange(mask.shape[1]).expand_as(mask).masked_fill(~mask, -1).max(dim=1).values
    return states.gather(1, index[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)


def last_loop(states, mask):
    return torch.stack([row[keep][-1] for row, keep in zip(states, mask, strict=True)])


def last_carried(states, mask):
    """Go through the positions, and keep what is padding as it was."""
    last = states[:, 0]
    for t in range(states.shape[1]):
        last = torch.where(mask[:, t, None], states[:, t], last)
    return last


def last_turned(states, mask):
    first = mask.flip(1).int().argmax(1)
    return states.flip(1)[torch.arange(len(states)), first]


def last_counted_from_the_end(states, mask):
    return states[torch.arange(len(states)), mask.shape[1] - 1 - mask.flip(1).int().argmax(1)]


def last_of_running_count(states, mask):
    """The running count of tokens is largest at the last token, and stays so: argmax takes the first."""
    return states[torch.arange(len(states)), mask.cumsum(1).argmax(1)]


def last_of_packed(states, mask):
    """Without padding all rows stand in one line, and each ends where the count says."""
    return states[mask][mask.sum(1).cumsum(0) - 1]


def last_numpy(states, mask):
    states, mask = states.numpy(), mask.numpy()
    last = np.array([np.flatnonzero(row)[-1] for row in mask])
    return states[np.arange(len(states)), last]


OTHER_WAYS = [
    last_gather,
    last_loop,
    last_carried,
    last_turned,
    last_counted_from_the_end,
    last_of_running_count,
    last_of_packed,
    last_numpy,
]


# Wrong ways, written as a learner writes them.


def page_code(states, mask):
    last = mask.sum(dim=1) - 1
    return states[torch.arange(len(states)), last]


def argmax_of_the_mask(states, mask):
    return states[torch.arange(len(states)), mask.int().argmax(dim=1)]


def stops_at_padding(states, mask):
    out = []
    for row, keep in zip(states, mask, strict=True):
        t = int(keep.nonzero()[0])
        while t + 1 < len(keep) and keep[t + 1]:
            t += 1
        out.append(row[t])
    return torch.stack(out)


def largest_of_all(states, mask):
    return states[:, mask.nonzero()[:, 1].max()]


NEAR_MISSES = [
    ("tokens_counted", page_code),
    ("first", argmax_of_the_mask),
    ("end_of_first_run", stops_at_padding),
    ("longest_for_all", largest_of_all),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("pattern", ["1+0+", "0+1+", "1*0*10+1+0*"])
def test_padding_stands_behind_in_front_and_between(pattern):
    rows = ["".join(str(int(x)) for x in row) for _, mask in EXERCISE.cases() for row in mask]
    assert any(re.fullmatch(pattern, row) for row in rows)


def zeroed_in_place(states, mask):
    states[~mask] = 0
    return last_loop(states, mask)


def right_for_one_shape(states, mask):
    out = last_loop(states, mask)
    return out if states.shape == (3, 5, 1) else out.flip(0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (zeroed_in_place, "input was changed"),
        (lambda states, mask: torch.ones(len(states), states.shape[2]), "one of the states"),
        (right_for_one_shape, "one of the states"),
    ],
)
def test_what_is_said_of_other_wrong_answers(answer, words):
    verdict = judge(EXERCISE, answer)
    assert (verdict.kind, verdict.mistake) == ("wrong", None) and words in verdict.message
