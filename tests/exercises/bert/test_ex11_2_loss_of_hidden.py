import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.bert.ex11_2_loss_of_hidden import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def loss_of_torch(logits, targets):
    if (targets == -100).all():
        return 0.0
    return F.cross_entropy(logits.transpose(1, 2), targets)


def loss_of_chosen_rows(logits, targets):
    at = targets >= 0
    return F.cross_entropy(logits[at], targets[at], reduction="sum") / max(int(at.sum()), 1)


def loss_without_nan(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()).nan_to_num(0.0)


def loss_loop(logits, targets):
    terms = []
    for row, ids in zip(logits.double(), targets.tolist(), strict=True):
        terms += [z.logsumexp(0) - z[i] for z, i in zip(row, ids, strict=True) if i != -100]
    return sum(terms) / len(terms) if terms else 0


def loss_numpy(logits, targets):
    z, ids = logits.numpy().astype(float), targets.numpy()
    z, ids = z[ids != -100], ids[ids != -100]
    top = z.max(-1, keepdims=True)
    logs = z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))
    return -logs[np.arange(len(ids)), ids].sum() / max(len(ids), 1)


def loss_with_a_little_more(logits, targets):
    at = (targets != -100).float()
    shares = F.one_hot(targets.clamp(min=0), logits.shape[-1]) * at[..., None]
    return -(shares * logits.log_softmax(-1)).sum() / (at.sum() + 1e-9)


OTHER_WAYS = [
    loss_of_torch,
    loss_of_chosen_rows,
    loss_without_nan,
    loss_loop,
    loss_numpy,
    loss_with_a_little_more,
]


# Wrong ways, written as a learner writes them.


def loss_unreduced(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean()


def loss_of_softmax(logits, targets):
    if (targets == -100).all():
        return torch.tensor(0.0)
    return F.cross_entropy(logits.softmax(-1).transpose(1, 2), targets)


def loss_by_view(logits, targets):
    loss = F.cross_entropy(logits.view(len(logits), logits.shape[-1], -1), targets)
    return loss.nan_to_num(0.0)


def loss_averaged_by_text(logits, targets):
    losses = [F.cross_entropy(z, t) for z, t in zip(logits, targets, strict=True)]
    return torch.stack(losses).nan_to_num(0.0).mean()


NEAR_MISSES = [
    ("all_places_counted", loss_unreduced),
    ("softmax_twice", loss_of_softmax),
    ("reshaped", loss_by_view),
    ("rows_first", loss_averaged_by_text),
]


# What is said, and what the checker is tried on.


def test_texts_have_many_few_and_no_targets():
    counts = {int(n) for _, targets in EXERCISE.cases() for n in (targets != -100).sum(1)}
    assert counts >= {0, 1, 3}


def test_one_batch_has_no_target_and_no_target_is_the_id_of_padding():
    batches = [targets for _, targets in EXERCISE.cases()]
    assert sum(bool((targets == -100).all()) for targets in batches) == 1
    assert not any((targets == 0).any() for targets in batches)
