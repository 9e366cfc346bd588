import torch
import torch.nn.functional as F

from minattn.exercises.decoding.ex8_1_sentence_scores import EXERCISE
from minattn.vocabulary import PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def scores_torch(logits, target_out):
    nats = F.cross_entropy(logits.transpose(1, 2), target_out, ignore_index=PAD, reduction="none")
    return -nats.sum(-1)


def scores_loop(logits, target_out):
    scores = []
    for z, ids in zip(logits, target_out, strict=True):
        length = (ids != PAD).sum()
        scores.append(z.log_softmax(-1)[range(length), ids[:length]].sum())
    return torch.stack(scores)


def scores_indexed(logits, target_out):
    rows, places = torch.meshgrid(*map(torch.arange, target_out.shape), indexing="ij")
    terms = logits[rows, places, target_out] - logits.logsumexp(-1)
    return torch.where(target_out != PAD, terms, 0.0).sum(1)


def scores_one_hot(logits, target_out):
    """Leave padding out of the one-hot table, and take the logarithm of the softmax."""
    table = F.one_hot(target_out, logits.shape[-1]).double()
    table[..., PAD] = 0
    return torch.einsum("btv,btv->b", logits.double().softmax(-1).log(), table)


def scores_padding_certain(logits, target_out):
    """Let padding have probability 1, and use doubles, which the others fit into."""
    p = logits.double().softmax(-1).gather(-1, target_out[..., None]).squeeze(-1)
    return p.masked_fill(target_out == PAD, 1.0).log().sum(-1)


OTHER_WAYS = [
    scores_torch,
    scores_loop,
    scores_indexed,
    scores_one_hot,
    scores_padding_certain,
]


# Wrong ways, written as a learner writes them.


def scores_of_softmax(logits, target_out):
    p = torch.softmax(logits, dim=2)
    logs = torch.log(p)[torch.arange(len(p))[:, None], torch.arange(p.shape[1]), target_out]
    return logs.masked_fill(target_out == PAD, 0).sum(1)


def scores_with_epsilon(logits, target_out):
    p = F.softmax(logits, dim=-1).gather(2, target_out.unsqueeze(2)).squeeze(2)
    return (torch.log(p + 1e-9) * (target_out != PAD)).sum(dim=1)


NEAR_MISSES = [
    ("underflow", scores_of_softmax),
    ("underflow", scores_with_epsilon),
]


# What is said, and what the checker is tried on.


def test_every_target_of_one_batch_has_a_token_whose_probability_is_rounded_to_0():
    logits, target_out = EXERCISE.cases()[3]
    p = logits.softmax(-1).gather(-1, target_out[..., None])[..., 0]
    assert (p == 0).any(1).all()
