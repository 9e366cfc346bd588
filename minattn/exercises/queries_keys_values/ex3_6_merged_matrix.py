"""Exercise 3.6: one merged matrix."""

import math

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.queries_keys_values.dot_products import root_of_width


def merged(w_q: Tensor, w_k: Tensor) -> Tensor:
    """Return the one matrix between two inputs that gives their scaled score."""
    return w_q @ w_k.T / math.sqrt(w_q.shape[1])


def _projection_case(seed: int, d_model: int, d_k: int) -> Case:
    return numbers(seed, d_model, d_k), numbers(seed + 1, d_model, d_k)


EXERCISE = Exercise(
    number="3.6",
    title="One merged matrix",
    solution=merged,
    cases=lambda: [
        _projection_case(250, 3, 2),
        _projection_case(252, 5, 3),
        _projection_case(254, 11, 5),
        _projection_case(256, 2, 7),  # projected to more numbers than there were
    ],
    mistakes=[
        Mistake(
            "wrong_way_round",
            lambda q, k: q.T @ k / root_of_width(q),
            "Your matrix is (d_k, d_k). It has to stand between two inputs of width d_model. Write the "
            "score as (x W_q)(x' W_k)^T and open the second bracket: which matrix is transposed?",
            also=[
                lambda q, k: q.T @ k,
                lambda q, k: k.T @ q,
                lambda q, k: k.T @ q / root_of_width(q),
                lambda q, k: q.T @ k / root_of_width(q, 0),
            ],
        ),
        Mistake(
            "transposed",
            lambda q, k: k @ q.T / root_of_width(q),
            "Your matrix is transposed, so who asks and who is asked have changed places. The "
            "score of the first word for the second is not that of the second for the first. Which of "
            "the two stands on the left of M?",
            also=[lambda q, k: k @ q.T, lambda q, k: k @ q.T / root_of_width(q, 0)],
        ),
        Mistake(
            "not_scaled",
            lambda q, k: q @ k.T,
            "The scale is missing. The merged matrix has to give the scores as they go into the softmax, "
            "so the factor belongs into it. Nothing after it knows what d_k was.",
        ),
        Mistake(
            "scaled_by_model_width",
            lambda q, k: q @ k.T / root_of_width(q, 0),
            "The scale is made from d_model. The scores to be matched were sums over d_k products. "
            "The merged matrix is wider, but it has to give the same scores.",
            also=[lambda q, k: q @ k.T / len(q)],
        ),
        Mistake(
            "divided_by_width",
            lambda q, k: q @ k.T / q.shape[1],
            "The matrix is divided by d_k itself (or each factor by its square root). One square root of "
            "d_k is enough for the two together.",
        ),
        Mistake(
            "multiplied",
            lambda q, k: q @ k.T * root_of_width(q),
            "The matrix is multiplied by the square root of d_k. The scores have to be divided by it.",
        ),
        Mistake(
            "symmetric",
            lambda q, k: (q @ k.T + k @ q.T) / 2 / root_of_width(q),
            "Your matrix is symmetric: any two words give each other the same score. The point of two "
            "projections is that they need not. A word can look for the one before it without being "
            "looked for by that one.",
            also=[
                lambda q, k: (q @ k.T + k @ q.T) / 2,
                lambda q, k: (q @ k.T + k @ q.T) / root_of_width(q),
                lambda q, k: q @ k.T + k @ q.T,
            ],
        ),
        Mistake(
            "one_projection",
            lambda q, k: q @ q.T / root_of_width(q),
            "Only one of the two projections is used, so the matrix is symmetric: any two words give each "
            "other the same score, and each word scores itself with no less than 0.",
            also=[
                lambda q, k: k @ k.T / root_of_width(q),
                lambda q, k: q @ q.T,
                lambda q, k: k @ k.T,
            ],
        ),
        Mistake(
            "elementwise",
            lambda q, k: q * k / root_of_width(q),
            "The two are multiplied number by number. A score is a sum over d_k, and so is every entry of "
            "the merged matrix: that is a matrix product.",
            also=[lambda q, k: q * k],
        ),
        Mistake(
            "added",
            lambda q, k: q + k,
            "The two are added. The score has a product of the two projections: write it out and move the "
            "brackets.",
            also=[lambda q, k: (q + k) / root_of_width(q)],
        ),
        Mistake(
            "not_transposed",
            lambda q, k: q @ k,
            "The shapes do not meet: both are (d_model, d_k). Write the score as (x W_q)(x' W_k)^T and "
            "open the second bracket: which of the two is transposed?",
            also=[lambda q, k: k @ q],
        ),
    ],
    laws=[
        Law("the matrix is (d_model, d_model)", lambda out, q, k: out.shape == (len(q), len(q))),
        Law(
            "its rank is at most d_k",
            lambda out, q, k: bool(torch.linalg.matrix_rank(out.double(), rtol=1e-4) <= q.shape[1]),
        ),
    ],
)
