"""A small exercise, on which the tests of the machinery try it."""

import dataclasses

import torch

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.exercises.judging import judge

SCORES = torch.tensor([[0.0, 1.0]])
LARGER = torch.tensor([[0.5, -1.0, 2.0], [1.0, 1.0, 0.25]])


def softmax(scores):
    return scores.softmax(-1)


def sums_to_one(out, scores):
    return torch.allclose(out.sum(-1), torch.ones(len(out)))


SOFTMAX = Exercise(
    number="2.1",
    title="the softmax over the keys",
    solution=softmax,
    cases=lambda: [(SCORES,), (LARGER,)],
    mistakes=[
        Mistake("axis", lambda scores: scores.softmax(0), "This is over the queries."),
        Mistake("log", lambda scores: scores.log_softmax(-1), "These are logarithms."),
    ],
    laws=[
        Law("weights are not negative", lambda out, scores: bool((out >= 0).all())),
        Law("the weights of a query sum to 1", sums_to_one),
    ],
)


def verdict_on(answer, **changes):
    return judge(dataclasses.replace(SOFTMAX, **changes), answer)
