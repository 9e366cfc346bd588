import torch

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def gradient_autograd(w, x, y):
    w = w.clone().requires_grad_()
    ((w * x).sum() - y).pow(2).backward()
    return w.grad


def gradient_differences(w, x, y):
    def loss(w):
        return (w.double() @ x.double() - y) ** 2

    bumps = 1e-6 * torch.eye(len(w)).double()
    return torch.stack([(loss(w + b) - loss(w - b)) / 2e-6 for b in bumps])


OTHER_WAYS = [gradient_autograd, gradient_differences]
