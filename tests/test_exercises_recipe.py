"""The checkers of chapter 7, training: right answers however written, and wrong ones as learners write them."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.core import judge
from minattn.exercises.recipe import EXERCISES as CHAPTER
from minattn.exercises.recipe import MeanLoss
from minattn.recipe import smoothed_loss
from minattn.subwords import START, Subwords
from minattn.vocabulary import PAD

EXERCISES = {exercise.number: exercise for exercise in CHAPTER}


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
    """Keep the losses of all tokens of a part: as many fit."""
    grad, n_tokens = 0, 0
    for x, y in parts:
        losses = [mean_loss(w, x[i, None], y[i, None]) for i in range(len(y))]
        grad = grad + torch.autograd.grad(torch.stack(losses).sum(), w)[0]
        n_tokens += len(y)
    grad = grad / n_tokens
    return grad / max(1.0, grad.square().sum().sqrt().item() / clip)


def accumulated_list(w, parts, mean_loss, clip):
    """Keep all gradients and the losses, whose backward has run, and add at the end."""
    losses = [mean_loss(w, *parts[0])]
    grads = [torch.autograd.grad(losses[0], w)[0] * len(parts[0][1])]
    for x, y in parts[1:]:
        losses.append(mean_loss(w, x, y))
        grads.append(torch.autograd.grad(losses[-1], w)[0] * len(y))
    grad = sum(grads) / sum(len(y) for _, y in parts)
    return grad * torch.clamp(clip / torch.linalg.norm(grad), max=1.0)


def accumulated_by_function(w, parts, mean_loss, clip):
    """Let a function take the gradient; look at the loss of every part first."""
    n_tokens = sum(len(y) for _, y in parts)
    grad = torch.zeros_like(w)
    for x, y in parts:
        with torch.no_grad():
            total = mean_loss(w, x, y) * len(y)
        assert total >= 0
        grad += torch.func.grad(mean_loss)(w.detach(), x, y) * len(y) / n_tokens
    return grad * min(1.0, clip / grad.norm().item())


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
    """Let padding have probability 1, and use doubles, which the others fit into."""
    p = logits.double().softmax(-1).gather(-1, target_out[..., None]).squeeze(-1)
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
        accumulated_list,
        accumulated_by_function,
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


# Written as a learner writes them.


def kept_in_a_sum(w, parts, mean_loss, clip):
    n = sum(len(y) for _, y in parts)
    w.grad = None
    loss = sum(mean_loss(w, x, y) * len(y) / n for x, y in parts)
    loss.backward()
    return w.grad * min(1.0, clip / w.grad.norm())


def kept_in_a_list(w, parts, mean_loss, clip):
    """Call backward for each part, but compute all of the losses before."""
    n = sum(len(y) for _, y in parts)
    w.grad = None
    for (_, y), loss in zip(parts, [mean_loss(w, x, y) for x, y in parts], strict=True):
        (loss * len(y) / n).backward()
    return w.grad * min(1.0, clip / w.grad.norm())


def kept_token_by_token(w, parts, mean_loss, clip):
    losses = [mean_loss(w, x[i, None], y[i, None]) for x, y in parts for i in range(len(y))]
    (grad,) = torch.autograd.grad(torch.stack(losses).mean(), w)
    return grad * min(1.0, clip / grad.norm())


def kept_and_not_weighed(w, parts, mean_loss, clip):
    loss = 0
    for x, y in parts:
        loss += mean_loss(w, x, y)
    loss.backward()
    return w.grad


def old_gradient_kept(w, parts, mean_loss, clip):
    n = sum(len(y) for _, y in parts)
    for x, y in parts:
        (mean_loss(w, x, y) * len(y) / n).backward()
    nn.utils.clip_grad_norm_([w], clip)
    return w.grad


def old_gradient_divided(w, parts, mean_loss, clip):
    for x, y in parts:
        (mean_loss(w, x, y) * len(y)).backward()
    w.grad /= sum(len(y) for _, y in parts)
    return w.grad * min(1.0, clip / w.grad.norm())


def clipped_by_clip(w, parts, mean_loss, clip):
    n = sum(len(y) for _, y in parts)
    w.grad = None
    for x, y in parts:
        (mean_loss(w, x, y) * len(y) / n).backward()
    if w.grad.norm() > clip:
        w.grad *= clip
    return w.grad


def scores_of_softmax(logits, target_out):
    p = torch.softmax(logits, dim=2)
    logs = torch.log(p)[torch.arange(len(p))[:, None], torch.arange(p.shape[1]), target_out]
    return logs.masked_fill(target_out == PAD, 0).sum(1)


def scores_with_epsilon(logits, target_out):
    p = F.softmax(logits, dim=-1).gather(2, target_out.unsqueeze(2)).squeeze(2)
    return (torch.log(p + 1e-9) * (target_out != PAD)).sum(dim=1)


def cut_with_blanks(word, merges):
    for a, b in merges:
        word = word.replace(a + b, " " + a + b + " ")
    return word.split()


def cut_behind_every_pair(word, merges):
    for a, b in merges:
        word = word.replace(a + b, a + b + "|")
    return [piece for piece in word.split("|") if piece]


def cut_by_index(word, merges):
    pieces = list(word)
    while True:
        best = min(zip(pieces, pieces[1:]), key=merges.index)  # noqa: B905, RUF007
        i = 0
        while i < len(pieces) - 1:
            if (pieces[i], pieces[i + 1]) == best:
                pieces[i : i + 2] = ["".join(best)]
            i += 1


def cut_by_rank(word, merges):
    ranks = {pair: i for i, pair in enumerate(merges)}
    pieces = list(word)
    while len(pieces) > 1:
        i = min(range(len(pieces) - 1), key=lambda i: ranks[pieces[i], pieces[i + 1]])
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


NEAR_MISSES = [
    ("7.2", "backward_at_the_end", kept_in_a_sum),
    ("7.2", "backward_at_the_end", kept_in_a_list),
    ("7.2", "backward_at_the_end", kept_token_by_token),
    ("7.2", "backward_at_the_end", kept_and_not_weighed),
    ("7.2", "old_gradient", old_gradient_kept),
    ("7.2", "old_gradient", old_gradient_divided),
    ("7.2", "multiplied_by_clip", clipped_by_clip),
    ("7.3", "underflow", scores_of_softmax),
    ("7.3", "underflow", scores_with_epsilon),
    ("7.4", "text_replaced", cut_with_blanks),
    ("7.4", "text_replaced", cut_behind_every_pair),
    ("7.4", "no_pair_left", cut_by_index),
    ("7.4", "no_pair_left", cut_by_rank),
]


@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


# What the checkers are tried on: no accident may make a wrong answer look right.


def test_a_loss_is_forgotten_when_its_backward_has_run_or_nobody_needs_it():
    w, [(x, y), *_], _, _ = EXERCISES["7.2"].cases()[0]
    mean_loss = MeanLoss(len(y))
    loss = mean_loss(w, x, y)
    with pytest.raises(RuntimeError, match="memory for one part only"):
        mean_loss(w, x, y)
    loss.backward()
    mean_loss(w, x, y)  # the result is dropped
    other = mean_loss(w, x, y)
    del other
    with torch.no_grad():
        losses = [mean_loss(w, x, y) for _ in range(3)]
    assert torch.stack(losses).eq(loss).all()


def test_only_in_the_last_batch_there_is_an_old_gradient_and_it_would_be_seen():
    exercise = EXERCISES["7.2"]
    cases = exercise.cases()
    assert [case[0].grad is None for case in cases] == [True, True, True, False]
    assert ["from before" in exercise.describe(case) for case in cases] == [
        False,
        False,
        False,
        True,
    ]
    grad = exercise.solution(*cases[-1])
    angle = F.cosine_similarity(grad.flatten(), (grad + cases[-1][0].grad).flatten(), dim=0)
    assert angle < 0.9


def test_every_target_of_one_batch_has_a_token_whose_probability_is_rounded_to_0():
    logits, target_out = EXERCISES["7.3"].cases()[3]
    p = logits.softmax(-1).gather(-1, target_out[..., None])[..., 0]
    assert (p == 0).any(1).all()
