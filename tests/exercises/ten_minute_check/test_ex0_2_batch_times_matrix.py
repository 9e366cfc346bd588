import numpy as np
import torch
from torch import nn

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def linear_loop(x, w):
    rows = [[sum(a * b for a, b in zip(row, line, strict=True)) for line in w] for row in x]
    return torch.tensor(rows)


OTHER_WAYS = [linear_loop, lambda x, w: np.einsum("bi,oi->bo", x, w), nn.functional.linear]
