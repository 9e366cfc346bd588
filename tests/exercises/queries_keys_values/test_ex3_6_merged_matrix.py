import math

import numpy as np
import torch

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def merged_words(w_q, w_k):
    words = torch.eye(len(w_q))
    return (words @ w_q) @ (words @ w_k).T / math.sqrt(w_q.shape[1])


def merged_roots(w_q, w_k):
    root = w_q.shape[1] ** 0.25
    return np.einsum("ia,ja->ij", w_q.numpy() / root, w_k.numpy() / root)


OTHER_WAYS = [merged_words, merged_roots]


NEAR_MISSES = [
    ("divided_by_width", lambda q, k: (q / q.shape[1] ** 0.5) @ (k / k.shape[1] ** 0.5).T),
    ("wrong_way_round", lambda q, k: torch.einsum("ik,il->kl", q, k)),
]
