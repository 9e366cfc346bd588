import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.exercises.telling import describe
from minattn.exercises.training.ex7_3_batch_in_parts import EXERCISE, MeanLoss

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


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


OTHER_WAYS = [
    accumulated_in_place,
    accumulated_sum,
    accumulated_token_by_token,
    accumulated_list,
    accumulated_by_function,
    accumulated_by_hand,
]


# Wrong ways, written as a learner writes them.


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


NEAR_MISSES = [
    ("backward_at_the_end", kept_in_a_sum),
    ("backward_at_the_end", kept_in_a_list),
    ("backward_at_the_end", kept_token_by_token),
    ("backward_at_the_end", kept_and_not_weighed),
    ("old_gradient", old_gradient_kept),
    ("old_gradient", old_gradient_divided),
    ("multiplied_by_clip", clipped_by_clip),
]


# What is said, and what the checker is tried on.


def test_a_loss_is_forgotten_when_its_backward_has_run_or_nobody_needs_it():
    w, [(x, y), *_], _, _ = EXERCISE.cases()[0]
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
    exercise = EXERCISE
    cases = exercise.cases()
    assert [case[0].grad is None for case in cases] == [True, True, True, False]
    assert ["from before" in describe(exercise, case) for case in cases] == [
        False,
        False,
        False,
        True,
    ]
    grad = exercise.solution(*cases[-1])
    angle = F.cosine_similarity(grad.flatten(), (grad + cases[-1][0].grad).flatten(), dim=0)
    assert angle < 0.9
