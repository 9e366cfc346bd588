import numpy as np
import torch
import torch.nn.functional as F

from minattn.recipe import smoothed_loss
from minattn.vocabulary import PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def smoothed_torch(logits, target_out, eps):
    return F.cross_entropy(
        logits.transpose(1, 2), target_out, ignore_index=PAD, label_smoothing=eps
    )


def smoothed_flat(logits, target_out, eps):
    """Take the softmax of log probabilities: it changes nothing."""
    tokens = target_out.flatten() != PAD
    flat = logits.log_softmax(-1).flatten(0, 1)[tokens]
    return F.cross_entropy(flat, target_out.flatten()[tokens], label_smoothing=eps)


def smoothed_loop(logits, target_out, eps):
    terms = []
    for row, ids in zip(logits.double(), target_out.tolist(), strict=True):
        for z, token in zip(row, ids, strict=True):
            if token == PAD:
                continue
            shares = [eps / len(z)] * len(z)
            shares[token] += 1 - eps
            terms.append(sum(q * (z.logsumexp(0) - a) for q, a in zip(shares, z, strict=True)))
    return sum(terms) / len(terms)


def smoothed_in_two_parts(logits, target_out, eps):
    tokens = (target_out != PAD).float()
    logs = logits.log_softmax(-1)
    right = -logs.gather(-1, target_out.unsqueeze(-1)).squeeze(-1)
    mean = ((1 - eps) * right * tokens).sum() - (eps * logs.mean(-1) * tokens).sum()
    return mean / tokens.sum()


def smoothed_numpy(logits, target_out, eps):
    z, ids = logits.numpy().astype(float), target_out.numpy()
    logs = z - z.max(-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(-1, keepdims=True))
    labels = (1 - eps) * np.eye(z.shape[-1])[ids] + eps / z.shape[-1]
    return -(labels * logs).sum(-1)[ids != 0].mean()


def smoothed_by_kl(logits, target_out, eps):
    """Add the entropy of the labels to the KL divergence."""
    v = logits.shape[-1]
    labels = (1 - eps) * F.one_hot(target_out, v) + eps / v
    tokens = target_out != PAD
    kl = F.kl_div(logits.log_softmax(-1), labels, reduction="none")[tokens].sum()
    return (kl + torch.special.entr(labels)[tokens].sum()) / tokens.sum()


OTHER_WAYS = [
    smoothed_loss,
    smoothed_torch,
    smoothed_flat,
    smoothed_loop,
    smoothed_in_two_parts,
    smoothed_numpy,
    smoothed_by_kl,
]
