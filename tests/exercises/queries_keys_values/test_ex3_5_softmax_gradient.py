import numpy as np
import torch

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def gradient_autograd(weights, grad_weights):
    scores = weights.log().requires_grad_()
    scores.softmax(-1).backward(grad_weights)
    return scores.grad


def gradient_jacobian(weights, grad_weights):
    jacobian = torch.diag_embed(weights) - torch.einsum("qi,qj->qij", weights, weights)
    return torch.einsum("qij,qj->qi", jacobian, grad_weights)


def gradient_numpy(weights, grad_weights):
    w, g = weights.numpy().astype(float), grad_weights.numpy().astype(float)
    return np.stack([a * b - a * (a @ b) for a, b in zip(w, g, strict=True)])


def gradient_differences(weights, grad_weights):
    scores = weights.double().clamp(min=1e-30).log()
    out = torch.zeros_like(scores)
    for j in range(scores.shape[1]):
        bump = 1e-6 * torch.eye(scores.shape[1]).double()[j]
        rise = (scores + bump).softmax(-1) - (scores - bump).softmax(-1)
        out[:, j] = (rise * grad_weights).sum(-1) / 2e-6
    return out


OTHER_WAYS = [gradient_autograd, gradient_jacobian, gradient_numpy, gradient_differences]


# Wrong ways, written as a learner writes them.


def gradient_loop_without_others(weights, grad_weights):
    out = torch.zeros_like(weights)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            out[i, j] = grad_weights[i, j] * weights[i, j] * (1 - weights[i, j])
    return out


def gradient_through_weights(weights, grad_weights):
    w = weights.clone().requires_grad_()
    w.softmax(dim=-1).backward(grad_weights)
    return w.grad


NEAR_MISSES = [
    ("diagonal_only", gradient_loop_without_others),
    ("softmax_again", gradient_through_weights),
    ("no_keepdim", lambda w, g: w * (g - torch.diag(w @ g.T))),
    (
        "mean_added",
        lambda w, g: ((torch.diag_embed(w) + w[:, :, None] * w[:, None]) @ g[..., None])[..., 0],
    ),
]
