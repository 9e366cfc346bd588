import math

import torch
import torch.nn.functional as F

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def local_loop(scores, center, reach, mask):
    out = torch.zeros_like(scores)
    for i, p in enumerate(center.tolist()):
        near = [j for j in range(scores.shape[1]) if abs(j - p) <= reach and mask[j]]
        if near:
            out[i, near] = scores[i, near].softmax(0)
    return out


def local_slices(scores, center, reach, mask):
    out = torch.zeros_like(scores)
    n = int(mask.sum())
    for i, p in enumerate(center):
        low, high = max(0, p - reach), min(n, p + reach + 1)
        if low < high:
            out[i, low:high] = scores[i, low:high].softmax(0)
    return out


def local_torch(scores, center, reach, mask):
    """Give the window to torch's own attention, and read the weights off the identity."""
    window = torch.stack([((torch.arange(len(mask)) - p).abs() <= reach) & mask for p in center])
    bias = scores.masked_fill(~window, -math.inf)
    zeros = torch.zeros(len(scores), 1), torch.zeros(len(mask), 1)
    return F.scaled_dot_product_attention(*zeros, torch.eye(len(mask)), bias).nan_to_num()


OTHER_WAYS = [local_loop, local_slices, local_torch]


# Wrong ways, written as a learner writes them.


def local_without_new_axis(scores, center, reach, mask):
    positions = torch.arange(scores.shape[1])
    near = (positions >= center - reach) & (positions <= center + reach)
    return scores.masked_fill(~(near & mask), -math.inf).softmax(-1)


def local_from_center(scores, center, reach, mask):
    near = (center - torch.arange(scores.shape[1])).abs() <= reach
    return scores.masked_fill(~(near & mask), -math.inf).softmax(-1).nan_to_num()


NEAR_MISSES = [
    ("nan_for_blind_queries", lambda s, c, r, m: local_loop(s, c, r, m).log().softmax(-1)),
    ("centre_as_row", local_without_new_axis),
    ("centre_as_row", local_from_center),
]
