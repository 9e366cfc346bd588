import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from minattn.exercises.gpt.ex10_3_left_padding import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def left_written_in(prompts, pad):
    n = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), n), pad)
    mask = torch.zeros(len(prompts), n, dtype=torch.bool)
    positions = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        start = n - len(prompt)
        ids[i, start:] = torch.tensor(prompt)
        mask[i, start:] = True
        positions[i, start:] = torch.arange(len(prompt))
    return ids, mask, positions


def left_by_lengths(prompts, pad):
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    places = torch.arange(int(lengths.max())) - (lengths.max() - lengths)[:, None]
    rows = [
        F.pad(torch.tensor(prompt), (places.shape[1] - len(prompt), 0), value=pad)
        for prompt in prompts
    ]
    return torch.stack(rows), places >= 0, places.relu()


def left_turned_twice(prompts, pad):
    backwards = [torch.tensor(prompt[::-1]) for prompt in prompts]
    ids = pad_sequence(backwards, batch_first=True, padding_value=pad).flip(1)
    mask = ids != pad
    return ids, mask, mask.long().cumsum(1).sub(1).masked_fill(~mask, 0)


def left_in_numpy(prompts, pad):
    n = max(map(len, prompts))
    ids = np.array([[pad] * (n - len(row)) + row for row in prompts])
    mask = ids != pad
    return ids, mask, np.maximum(mask.cumsum(1) - 1, 0)


def left_in_a_list(prompts, pad):
    n = max(map(len, prompts))
    rows = [(n - len(row), row) for row in prompts]
    return [
        torch.tensor([[pad] * k + row for k, row in rows]),
        torch.tensor([[False] * k + [True] * len(row) for k, row in rows]),
        torch.tensor([[0] * k + list(range(len(row))) for k, row in rows]),
    ]


OTHER_WAYS = [
    left_written_in,
    left_by_lengths,
    left_turned_twice,
    left_in_numpy,
    left_in_a_list,
]


# Wrong ways, written as a learner writes them.


def left_at_the_right(prompts, pad):
    ids = pad_sequence([torch.tensor(p) for p in prompts], batch_first=True, padding_value=pad)
    mask = ids != pad
    return ids, mask, torch.arange(ids.shape[1]).repeat(len(ids), 1)


def left_arange(prompts, pad):
    ids, mask, _ = left_written_in(prompts, pad)
    return ids, mask, torch.arange(ids.shape[1]).expand_as(ids)


def left_cumsum(prompts, pad):
    ids, mask, _ = left_written_in(prompts, pad)
    return ids, mask, mask.cumsum(1)


def left_with_ones(prompts, pad):
    ids, mask, _ = left_written_in(prompts, pad)
    return ids, mask, (mask.long().cumsum(-1) - 1).masked_fill(mask == 0, 1)


def left_turned_once(prompts, pad):
    ids = pad_sequence([torch.tensor(p) for p in prompts], batch_first=True, padding_value=pad)
    ids = ids.flip(1)
    mask = ids != pad
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def left_zipped(prompts, pad):
    ids = torch.tensor(list(zip(*prompts, strict=False))).T
    mask = ids != pad
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


NEAR_MISSES = [
    ("right_padded", left_at_the_right),
    ("positions_count_padding", left_arange),
    ("positions_from_one", left_cumsum),
    ("padding_at_another_place", left_with_ones),
    ("tokens_backwards", left_turned_once),
    ("cut_to_the_shortest", left_zipped),
]


# What is said, and what the checker is tried on.


def test_padding_is_no_token_of_a_prompt_and_zero_may_be_one():
    cases = EXERCISE.cases()
    assert all(pad not in row for prompts, pad in cases for row in prompts)
    assert any(0 in row for prompts, pad in cases for row in prompts)


def test_no_prompt_reads_the_same_backwards_but_one_of_a_single_token():
    rows = [row for prompts, _ in EXERCISE.cases() for row in prompts]
    assert [row for row in rows if row == row[::-1]] == [[0]]


def test_one_batch_needs_no_padding():
    masks = [EXERCISE.solution(*case)[1] for case in EXERCISE.cases()]
    assert [bool(mask.all()) for mask in masks] == [False, False, True, False]


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (lambda ids, mask, places: (ids.roll(1, 1), mask, places), "in the last column"),
        (lambda ids, mask, places: (ids, mask | True, places), "as many places are marked"),
        (lambda ids, mask, places: (ids, mask, places * 2), "is its length less 1"),
    ],
)
def test_a_broken_law_is_named(change, law):
    verdict = judge(EXERCISE, lambda *case: change(*EXERCISE.solution(*case)))
    assert verdict.kind == "wrong" and law in verdict.message
