import heapq
import math

import numpy as np
import torch

from minattn.exercises.decoding.ex8_3_beam_step import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def beams_loop(log_probs, steps):
    found = [
        (log_probs[b] + steps[b, t], b, t)
        for b in range(steps.shape[0])
        for t in range(steps.shape[1])
    ]
    found.sort(key=lambda triple: -triple[0])
    totals, parents, tokens = zip(*found[: len(log_probs)], strict=True)
    return torch.stack(totals), torch.tensor(parents), torch.tensor(tokens)


def beams_numpy(log_probs, steps):
    totals = log_probs.numpy()[:, None] + steps.numpy()
    chosen = np.argsort(-totals, axis=None)[: len(log_probs)]
    parents, tokens = np.unravel_index(chosen, totals.shape)
    return totals[parents, tokens], parents, tokens


def beams_two_stages(log_probs, steps):
    """Take the best tokens of every beam first: no beam can have more than that many children."""
    n = len(log_probs)
    best, tokens = steps.log_softmax(-1).topk(min(n, steps.shape[1]))
    totals, chosen = torch.topk((best + log_probs.unsqueeze(1)).view(-1), n)
    parents = torch.div(chosen, best.shape[1], rounding_mode="floor")
    return [totals, parents, tokens.view(-1)[chosen]]


def beams_heap(log_probs, steps):
    totals = (log_probs[:, None] + steps).tolist()
    pairs = [(b, t) for b, row in enumerate(totals) for t in range(len(row))]
    best = heapq.nlargest(len(totals), pairs, key=lambda pair: totals[pair[0]][pair[1]])
    parents, tokens = torch.tensor(best).T
    return torch.tensor([totals[b][t] for b, t in best]), parents, tokens


OTHER_WAYS = [beams_loop, beams_numpy, beams_two_stages, beams_heap]


# Wrong ways, written as a learner writes them.


def beams_per_row(log_probs, steps):
    values, tokens = steps.max(dim=-1)
    return log_probs + values, torch.arange(len(log_probs)), tokens


def beams_row_by_row(log_probs, steps):
    n = len(log_probs)
    values, _ = (log_probs[:, None] + steps).topk(min(n, steps.shape[1]), dim=1)
    totals, chosen = values.flatten().topk(n)
    return totals, chosen // values.shape[1], chosen % values.shape[1]


def beams_sorted_rows(log_probs, steps):
    """Sort all rows, and take the numbers of the sorted table."""
    table = (log_probs[:, None] + steps).sort(dim=1, descending=True).values
    totals, chosen = table.flatten().topk(len(log_probs))
    return totals, chosen // steps.shape[1], chosen % steps.shape[1]


def beams_in_columns(log_probs, steps):
    table = log_probs + steps.T
    totals, chosen = table.reshape(-1).topk(len(log_probs))
    return totals, chosen // steps.shape[1], chosen % steps.shape[1]


def beams_of_the_first(log_probs, steps):
    totals, chosen = (log_probs + steps.T).T.flatten().sort(descending=True)
    n = len(log_probs)
    return totals[:n], chosen[:n] % steps.shape[1], chosen[:n] // steps.shape[1]


NEAR_MISSES = [
    ("one_child_each", beams_per_row),
    ("swapped", beams_of_the_first),
    ("column_taken_for_token", beams_row_by_row),
    ("column_taken_for_token", beams_sorted_rows),
    ("transposed_table", beams_in_columns),
]


# What is said, and what the checker is tried on.


def test_totals_differ_by_more_than_rounding():
    for log_probs, steps in EXERCISE.cases():
        totals = (log_probs[:, None] + steps).flatten().sort(descending=True).values
        totals = totals[totals > -math.inf]
        assert totals[: len(log_probs) + 1].diff().max() < -1e-3


def test_some_parent_has_two_children_and_some_has_none():
    for case in EXERCISE.cases():
        _, parents, _ = EXERCISE.solution(*case)
        assert len(parents.unique()) < len(parents) or len(parents) == 1


def test_a_single_beam_keeps_its_axis():
    verdict = judge(EXERCISE, lambda *case: tuple(x.squeeze() for x in EXERCISE.solution(*case)))
    assert verdict.kind != "correct"
