"""Exercise 23.5: the gradients of one block of keys, where the softmax went over all blocks."""

import math
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Gradients = tuple[Tensor, Tensor, Tensor]
"""Those of query, key and value."""


def block_gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    log_total: Tensor,
    grad_output: Tensor,
    allowed: Tensor,
) -> Gradients:
    """Return what this block adds to the gradient of the queries, and the gradients of its keys and values."""
    return _gradients(query, key, value, output, log_total, grad_output, allowed)


def _gradients(
    *case: Tensor,
    over: str = "all",
    mean: str = "all",
    masked: bool = True,
    scaled: bool = True,
    scaled_back: bool = True,
) -> Gradients:
    """Go back through one block in some way.

    Args:
        case: what the answer is given.
        over: what the weights sum to 1 over, "all" or "block".
        mean: what is subtracted: over "all", the part of it in the "block", over the "block alone", or "no".
        masked: whether keys that are not allowed get no weight.
        scaled: whether scores are divided by the root of d_k.
        scaled_back: whether their gradients are.
    """
    query, key, value, output, log_total, grad_output, allowed = case
    scale = 1 / math.sqrt(query.shape[1])
    scores = query @ key.T * (scale if scaled else 1.0)
    seen = allowed if masked else torch.ones_like(allowed)
    if over == "block":
        log_total = scores.masked_fill(~seen, -torch.inf).logsumexp(-1)
    weights = (scores - log_total[:, None]).exp().masked_fill(~seen, 0.0)
    grad_weights = grad_output @ value.T
    means = {
        "all": (grad_output * output).sum(-1),
        "block": (weights * grad_weights).sum(-1),
        "block alone": (weights * grad_weights).sum(-1) / weights.sum(-1).clamp(min=1e-30),
        "no": torch.zeros(len(query)),
    }
    grad_scores = weights * (grad_weights - means[mean][:, None])
    grad_scores = grad_scores * (scale if scaled_back else 1.0)
    return grad_scores @ key, grad_scores.T @ query, weights.T @ grad_output


def _case(seed: int, queries: int, keys: int, d_k: int, d_v: int, far: float = 0.0) -> Case:
    """Make three blocks and hand over the second; `far` is added to all scores.

    The first query sees one key of the block less, the second none of it, and the last of five nothing at all.
    """
    query, key = numbers(seed, queries, d_k), numbers(seed + 1, 3 * keys, d_k)
    value, grad_output = numbers(seed + 2, 3 * keys, d_v), numbers(seed + 3, queries, d_v)
    query[:, 0], key[:, 0] = far * math.sqrt(d_k) or query[:, 0], 1.0 if far else key[:, 0]
    allowed = torch.ones(queries, 3 * keys, dtype=torch.bool)
    allowed[0, keys] = False
    if queries > 2:
        allowed[1, keys : 2 * keys] = False
    allowed[4:5] = False
    scores = (query @ key.T / math.sqrt(d_k)).masked_fill(~allowed, -torch.inf)
    log_total = scores.logsumexp(-1)
    output = scores.softmax(-1).nan_to_num() @ value
    block = slice(keys, 2 * keys)
    return query, key[block], value[block], output, log_total, grad_output, allowed[:, block]


EXERCISE = Exercise(
    number="23.5",
    title="The way back",
    solution=block_gradients,
    cases=lambda: [
        _case(2360, 2, 3, 2, 5),
        _case(2365, 3, 2, 5, 2),
        _case(2370, 3, 2, 3, 5, far=200.0),
        _case(2375, 5, 7, 3, 2),
    ],
    tolerance=1e-3,  # near 200, scores of 32 bits lie 2e-5 apart
    mistakes=[
        Mistake(
            "softmax_of_block",
            partial(_gradients, over="block"),
            "Your weights sum to 1 over this block alone. The output was made with a softmax over the keys of all "
            "blocks, and log_total remembers it: the weights are exp(scores - log_total).",
            also=[partial(_gradients, over="block", mean=mean) for mean in ("block", "no")],
        ),
        Mistake(
            "mean_forgotten",
            partial(_gradients, mean="no"),
            "You go back through the softmax as if each weight depended on its own score. A higher score takes weight "
            "from all other keys: subtract from each row its (grad_output * output).sum(-1).",
        ),
        Mistake(
            "mean_of_block",
            partial(_gradients, mean="block"),
            "You subtract the mean over the keys of this block. The softmax went over all blocks, and so does the "
            "mean: (grad_output * output).sum(-1), where output is the one of all blocks.",
            also=[partial(_gradients, mean="block alone")],
        ),
        Mistake(
            "scale_forgotten",
            partial(_gradients, scaled_back=False),
            "The gradients of queries and keys lack the scale. The scores were divided by the square root of d_k, and "
            "what goes back through a division is divided too.",
        ),
        Mistake(
            "scores_not_scaled",
            partial(_gradients, scaled=False),
            "Your scores are not divided by the square root of d_k. The log_total is of scores that are, so your "
            "weights are not those that made the output.",
            also=[partial(_gradients, scaled=False, scaled_back=False)],
        ),
        Mistake(
            "mask_forgotten",
            partial(_gradients, masked=False),
            "Keys that a query may not see get gradients from it. They were no part of the output. Their weights "
            "are 0: set them so where `allowed` is False.",
        ),
    ],
    laws=[
        Law(
            "a query that may see no key of the block gets a gradient of 0 from it",
            lambda out, *case: bool((out[0][~case[-1].any(-1)] == 0).all()),
        )
    ],
)
