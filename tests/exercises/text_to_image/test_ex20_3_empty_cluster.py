import numpy as np
import pytest
import torch

from minattn.exercises.text_to_image.ex20_3_empty_cluster import EXERCISE, kmeans_step

# Other right ways: cdist and topk, loops, index_add, NumPy.


def step_by_loops(patches, centres):
    off, codes = torch.cdist(patches, centres).min(1)
    badly_served = iter(off.argsort(descending=True))
    new = []
    for code in range(len(centres)):
        own = patches[codes == code]
        new.append(own.mean(0) if len(own) else patches[next(badly_served)])
    return torch.stack(new)


def step_by_index_add(patches, centres):
    off, codes = (patches[:, None] - centres).square().sum(-1).min(1)
    counts = codes.bincount(minlength=len(centres))
    new = torch.zeros_like(centres).index_add(0, codes, patches) / counts[:, None]
    (empty,) = torch.where(counts == 0)
    new[empty] = patches[off.topk(len(empty)).indices]
    return new


def step_with_copies(patches, centres):
    """The worst patch is taken out of a copy of the distances each time."""
    off, codes = torch.cdist(patches, centres).min(1)
    off, new = off.clone(), centres.clone()
    for code in range(len(centres)):
        if (codes == code).any():
            new[code] = patches[codes == code].mean(0)
        else:
            worst = off.argmax()
            new[code] = patches[worst]
            off[worst] = -1
    return new


def step_numpy(patches, centres):
    x, c = patches.double().numpy(), centres.double().numpy()
    off = ((x[:, None] - c) ** 2).sum(-1)
    codes = off.argmin(1)
    new, worst = np.empty_like(c), list(np.argsort(off.min(1)))
    for code in range(len(c)):
        new[code] = x[codes == code].mean(0) if (codes == code).any() else x[worst.pop()]
    return new


OTHER_WAYS = [step_by_loops, step_by_index_add, step_with_copies, step_numpy]


# Wrong ways, written as a learner writes them.


def written(empty=None, mean=lambda own: own.mean(0)):
    def answer(patches, centres):
        off, codes = torch.cdist(patches, centres).min(1)
        new = centres.clone()
        for code in range(len(centres)):
            own = patches[codes == code]
            if len(own) or empty is None:
                new[code] = mean(own)
            else:
                new[code] = empty(patches, centres, code, off)
        return new

    return answer


def dropped(patches, centres):
    codes = torch.cdist(patches, centres).argmin(1)
    return torch.stack([patches[codes == c].mean(0) for c in range(len(centres)) if c in codes])


def measured_afterwards(patches, centres):
    codes = torch.cdist(patches, centres).argmin(1)
    counts = codes.bincount(minlength=len(centres))
    new = torch.zeros_like(centres).index_add(0, codes, patches) / counts[:, None].clamp(min=1)
    off = (patches - new[codes]).norm(dim=1)
    empty = counts == 0
    new[empty] = patches[off.topk(int(empty.sum())).indices]
    return new


def divided_by_all(patches, centres):
    right = kmeans_step(patches, centres)
    counts = torch.cdist(patches, centres).argmin(1).bincount(minlength=len(centres))[:, None]
    return torch.where(counts > 0, right * counts / len(patches), right)


def far_from_it(patches, centres, code, off):
    return patches[(patches - centres[code]).norm(dim=1).argmax()]


NEAR_MISSES = [
    ("nan", written()),
    ("zero", written(empty=lambda patches, centres, code, off: torch.zeros_like(centres[code]))),
    ("stays", written(empty=lambda patches, centres, code, off: centres[code])),
    ("stays", dropped),
    ("not_a_mean", divided_by_all),
    ("wrong_patch", written(empty=far_from_it)),
    ("one_patch_for_all", written(empty=lambda patches, centres, code, off: patches[off.argmax()])),
    ("measured_after_the_move", measured_afterwards),
    ("centres_choose", lambda patches, centres: patches[torch.cdist(patches, centres).argmin(0)]),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    patches = torch.tensor([[0.0, 0], [2, 0], [9, 1], [8, 5]])
    centres = torch.tensor([[1.0, 0], [20, 20], [9, 2]])
    assert kmeans_step(patches, centres).tolist() == [[1, 0], [8, 5], [8.5, 3]]


def test_two_empty_centres_go_to_the_two_patches_that_are_served_worst():
    patches = torch.tensor([[0.0], [1], [3], [7]])
    centres = torch.tensor([[50.0], [0], [-50]])
    assert kmeans_step(patches, centres).tolist() == [[7], [2.75], [3]]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_a_step_never_makes_things_worse(case):
    patches, centres = case
    before = torch.cdist(patches, centres).min(1).values.square().sum()
    after = torch.cdist(patches, kmeans_step(*case)).min(1).values.square().sum()
    assert float(after) < float(before)


def test_no_none_one_and_several_centres_are_empty():
    n_empty = set()
    for patches, centres in EXERCISE.cases():
        off = torch.cdist(patches, centres)
        n_empty.add(len(centres) - len(off.argmin(1).unique()))
        served = off.min(1).values.sort().values
        assert float(served.diff().abs().min()) > 1e-4  # nobody is served as badly as another
    assert {0, 1} < n_empty and max(n_empty) > 1
