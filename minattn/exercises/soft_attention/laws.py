"""What weights obey, whatever the scores."""

import torch

from minattn.exercises.exercise import Law

SUM_TO_ONE = Law(
    "the weights of a query sum to 1",
    lambda out, *case: torch.allclose(out.sum(-1), torch.ones(out.shape[:-1]), atol=1e-4),
)
NOT_NEGATIVE = Law("no weight is negative", lambda out, *case: bool((out >= 0).all()))
