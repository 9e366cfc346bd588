import math

import torch
import torch.nn.functional as F

from minattn.exercises.decoding.ex8_2_nucleus import EXERCISE, next_token_probabilities

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def nucleus_loop(logits, temperature, top_p):
    out = torch.zeros(len(logits))
    if temperature == 0:
        out[logits.argmax()] = 1
        return out
    p = [math.exp(z / temperature) for z in logits.tolist()]
    p = [q / sum(p) for q in p]
    together = 0.0
    for token in sorted(range(len(p)), key=lambda token: -p[token]):
        if together >= top_p:
            break
        out[token] = p[token]
        together += p[token]
    return out / together


def nucleus_shifted(logits, temperature, top_p):
    """Mark what is to go, and shift the marks by one."""
    logits = logits.clone()
    if temperature == 0:
        return torch.eye(len(logits))[logits.argmax()]
    logits /= temperature
    ordered, order = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) >= top_p
    remove[1:] = remove[:-1].clone()
    remove[0] = False
    logits[order[remove]] = -math.inf
    return logits.softmax(-1)


def nucleus_upwards(logits, temperature, top_p):
    """Drop the unlikely ones, as long as they have no more than 1 - p together."""
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits))
    p, order = (logits / temperature).softmax(-1).sort()
    keep = p.cumsum(-1) > 1 - top_p
    out = torch.zeros_like(p).scatter(0, order, p * keep)
    return out / out.sum()


def nucleus_very_cold(logits, temperature, top_p):
    return next_token_probabilities(logits, max(temperature, 1e-6), top_p)


def nucleus_powers(logits, temperature, top_p):
    """Raise probabilities to a power, which is the same as dividing logits."""
    if not temperature:
        return (logits == logits.max()).float()
    p = logits.double().softmax(-1) ** (1 / temperature)
    p /= p.sum()
    before = torch.stack([p[p > q].sum() for q in p])
    return torch.where(before < top_p, p, 0.0) / p[before < top_p].sum()


OTHER_WAYS = [nucleus_loop, nucleus_shifted, nucleus_upwards, nucleus_very_cold, nucleus_powers]


# Wrong ways, written as a learner writes them.


def nucleus_masked(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    ordered, order = (logits / temperature).sort(descending=True)
    ordered[ordered.softmax(-1).cumsum(-1) > top_p] = -math.inf
    return torch.zeros_like(logits).scatter(0, order, ordered.softmax(-1))


def nucleus_filled(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    ordered, order = (logits / temperature).sort(descending=True)
    p = ordered.softmax(-1)
    ordered = ordered.masked_fill(p.cumsum(-1) - p >= top_p, -100.0)
    return ordered.softmax(-1)[order.argsort()]


def nucleus_naive(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    e = torch.exp(logits / temperature)
    p, order = (e / e.sum()).sort(descending=True)
    p = p.masked_fill(p.cumsum(-1) - p >= top_p, 0)
    return (p / p.sum())[order.argsort()]


def nucleus_gathered(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    p, order = (logits / temperature).softmax(-1).sort(descending=True)
    p = torch.where(p.cumsum(-1) - p < top_p, p, 0)
    return (p / p.sum()).gather(0, order)


NEAR_MISSES = [
    ("filled_too_high", nucleus_filled),
    ("exp_rounded_to_zero", nucleus_naive),
    ("nothing_left", nucleus_masked),
    ("put_back_the_wrong_way", nucleus_gathered),
]


# What is said, and what the checker is tried on.


def test_no_sum_of_probabilities_is_close_to_p():
    n_kept = []
    for logits, temperature, p in EXERCISE.cases():
        if temperature:
            sums = (logits / temperature).softmax(-1).sort(descending=True).values.cumsum(-1)
            assert (sums[:-1] - p).abs().min() > 0.01
            n_kept.append(int((sums < p).sum()) + 1 if p < 1 else len(logits))
    assert 1 in n_kept and len(set(n_kept)) > 3
