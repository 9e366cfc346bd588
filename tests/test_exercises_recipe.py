"""The checkers of chapter 7, training: right answers however written."""

import math
import re
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minattn.recipe import smoothed_loss
from minattn.subwords import START, Subwords
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


def accumulated_in_place(w, parts, mean_loss, clip):
    n_tokens = sum(len(y) for _, y in parts)
    w.grad = None
    for x, y in parts:
        (mean_loss(w, x, y) * len(y) / n_tokens).backward()
    nn.utils.clip_grad_norm_([w], clip)
    return w.grad


def accumulated_sum(w, parts, mean_loss, clip):
    """Add the gradients of the sums, and divide before the clip."""
    total, n_tokens = torch.zeros_like(w), 0
    for x, y in parts:
        copy = w.detach().clone().requires_grad_()
        mean_loss(copy, x, y).backward()
        total += len(y) * copy.grad
        n_tokens += y.numel()
    grad = total / n_tokens
    return clip * grad / grad.norm() if grad.norm() > clip else grad


def accumulated_token_by_token(w, parts, mean_loss, clip):
    losses = [mean_loss(w, x[i, None], y[i, None]) for x, y in parts for i in range(len(y))]
    (grad,) = torch.autograd.grad(torch.stack(losses).mean(), w)
    return grad / max(1.0, grad.square().sum().sqrt().item() / clip)


def accumulated_by_hand(w, parts, mean_loss, clip):
    """Go without autograd: the gradient of the logits is softmax minus one-hot."""
    w = w.detach().numpy().astype(float)
    total = np.zeros_like(w)
    for x, y in ((x.numpy(), y.numpy()) for x, y in parts):
        e = np.exp(x @ w.T)
        total += (e / e.sum(1, keepdims=True) - np.eye(len(w))[y]).T @ x
    grad = total / sum(len(y) for _, y in parts)
    return grad * min(1, clip / np.linalg.norm(grad))


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
    """Let padding have probability 1."""
    p = logits.softmax(-1).gather(-1, target_out[..., None]).squeeze(-1)
    return p.masked_fill(target_out == PAD, 1.0).log().sum(-1)


def cut_by_package(word, merges):
    return Subwords((START, *sorted(set(word))), tuple(merges)).encode(word)[1:]


def cut_in_order(word, merges):
    """Replay the learning: every merge once, in order."""
    pieces = list(word)
    for first, second in merges:
        out, i = [], 0
        while i < len(pieces):
            if i + 1 < len(pieces) and pieces[i] == first and pieces[i + 1] == second:
                out.append(first + second)
                i += 2
            else:
                out.append(pieces[i])
                i += 1
        pieces = out
    return pieces


def cut_one_at_a_time(word, merges):
    """Join one place only, the leftmost of the best pair, and look again."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    pieces = list(word)
    while len(pieces) > 1:
        found = [ranks.get(pair, math.inf) for pair in pairwise(pieces)]
        i = found.index(min(found))
        if found[i] == math.inf:
            break
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return tuple(pieces)


def cut_again(word, merges):
    """Let the function call itself with the pieces."""
    pieces = list(word)
    for first, second in merges:
        for i, pair in enumerate(pairwise(pieces)):
            if pair == (first, second):
                return cut_again([*pieces[:i], first + second, *pieces[i + 2 :]], merges)
    return pieces


def cut_by_text(word, merges):
    """Look up what two pieces make together, and not the pair."""
    ranks = {first + second: rank for rank, (first, second) in enumerate(merges)}
    pieces = list(word)
    while True:
        made = [first + second for first, second in pairwise(pieces)]
        known = [i for i, text in enumerate(made) if text in ranks]
        if not known:
            return pieces
        i = min(known, key=lambda i: ranks[made[i]])
        pieces[i : i + 2] = [made[i]]


def cut_by_pattern(word, merges):
    text = " ".join(word)
    for first, second in merges:
        text = re.sub(rf"(?<!\S){first} {second}(?!\S)", first + second, text)
    return text.split(" ")


OTHER_WAYS = {
    "7.1": [
        smoothed_loss,
        smoothed_torch,
        smoothed_flat,
        smoothed_loop,
        smoothed_in_two_parts,
        smoothed_numpy,
        smoothed_by_kl,
    ],
    "7.2": [
        accumulated_in_place,
        accumulated_sum,
        accumulated_token_by_token,
        accumulated_by_hand,
    ],
    "7.3": [
        scores_torch,
        scores_loop,
        scores_indexed,
        scores_one_hot,
        scores_padding_certain,
    ],
    "7.4": [
        cut_by_package,
        cut_in_order,
        cut_one_at_a_time,
        cut_again,
        cut_by_text,
        cut_by_pattern,
    ],
}
