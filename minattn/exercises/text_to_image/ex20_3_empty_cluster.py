"""Exercise 20.3: one step of k-means, and a centre that nobody chose."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Refill = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Says where empty centres go, of patches, old centres, new ones, and which of them are empty."""
Mean = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes new centres of patches, of the codes that they have as ones and zeros, and of old centres."""


def kmeans_step(patches: Tensor, centres: Tensor) -> Tensor:
    """Move each centre to the mean of its patches, and empty ones to the patches that are served worst."""
    return _step(patches, centres)


def _distances(patches: Tensor, centres: Tensor) -> Tensor:
    return (patches[:, None] - centres).square().sum(-1)


def _mean(patches: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    return member.T @ patches / member.sum(0)[:, None].clamp(min=1)


def _sum(patches: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    return member.T @ patches


def _mean_of_all(patches: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    return member.T @ patches / len(patches)


def _with_itself(patches: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    return (member.T @ patches + centres) / (member.sum(0)[:, None] + 1)


def _half_way(patches: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    return (_mean(patches, member, centres) + centres) / 2


def _worst_served(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    off = _distances(patches, old).min(1).values
    return patches[off.argsort(descending=True)[: int(empty.sum())]]


def _worst_by_new_centres(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    """Measure from the centres after they have moved, each patch with the one that it had chosen."""
    own = new[_distances(patches, old).argmin(1)]
    off = (patches - own).square().sum(1)
    return patches[off.argsort(descending=True)[: int(empty.sum())]]


def _worst_by_nearest_new_centre(
    patches: Tensor, old: Tensor, new: Tensor, empty: Tensor
) -> Tensor:
    return _worst_served(patches, new[~empty], new, empty)


def _one_for_all(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches[_distances(patches, old).min(1).values.argmax()]


def _far_from_the_empty_one(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches[_distances(patches, old[empty]).argmax(0)]


def _near_to_the_empty_one(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches[_distances(patches, old[empty]).argmin(0)]


def _far_from_all(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    off = _distances(patches, old).sum(1)
    return patches[off.argsort(descending=True)[: int(empty.sum())]]


def _best_served(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches[_distances(patches, old).min(1).values.argsort()[: int(empty.sum())]]


def _first_patches(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches[: int(empty.sum())]


def _stays(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return old[empty]


def _zero(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return torch.zeros_like(old[empty])


def _mean_of_the_others(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return patches.mean(0)


def _nan(patches: Tensor, old: Tensor, new: Tensor, empty: Tensor) -> Tensor:
    return torch.full_like(old[empty], torch.nan)


def _step(
    patches: Tensor, centres: Tensor, *, mean: Mean = _mean, refill: Refill = _worst_served
) -> Tensor:
    """Move the centres in some way, and those that nobody chose in some other."""
    codes = _distances(patches, centres).argmin(1)
    member = torch.nn.functional.one_hot(codes, len(centres)).to(patches.dtype)
    new = mean(patches, member, centres)
    empty = member.sum(0) == 0
    new[empty] = refill(patches, centres, new, empty)
    return new


def _dropped(patches: Tensor, centres: Tensor) -> Tensor:
    """Return the centres that somebody chose, and no others."""
    codes = _distances(patches, centres).argmin(1)
    return _step(patches, centres)[torch.bincount(codes, minlength=len(centres)) > 0]


def _to_the_nearest_patch(patches: Tensor, centres: Tensor) -> Tensor:
    return patches[_distances(patches, centres).argmin(0)]


def _case(seed: int, n_patches: int, d: int, far: list[list[float]], n_centres: int) -> Case:
    """Make a case in which the centres far away serve nobody."""
    centres = numbers(seed + 1, n_centres, d)
    for i, place in enumerate(far):
        centres[2 * i + 1] = torch.tensor(place)
    return numbers(seed, n_patches, d) * 1.5 + 0.4, centres


def _cases() -> list[Case]:
    return [
        _case(2030, 7, 2, [[9.0, -8.0]], 3),
        _case(2032, 11, 3, [[-7.0, 9.0, 8.0], [8.0, 7.0, -9.0]], 5),
        _case(2034, 13, 2, [], 2),
        _case(2036, 17, 5, [[9.0, 9.0, -7.0, 8.0, 7.0], [-9.0, 7.0, 8.0, -8.0, 9.0]], 7),
    ]


EXERCISE = Exercise(
    number="20.3",
    title="A centre that nobody chose",
    solution=kmeans_step,
    cases=_cases,
    mistakes=[
        Mistake(
            "nan",
            partial(_step, refill=_nan),
            "A centre that nobody chose is NaN (not a number): the mean of no patches is 0 divided by 0. No distance "
            "to it is ever the least, so it is lost for good. Look for it before you divide.",
        ),
        Mistake(
            "zero",
            partial(_step, refill=_zero),
            "A centre that nobody chose goes to 0, or to the mean of everything. Zero is a patch too, a grey or "
            "black one, and two empty centres would both be there. Move each to a patch that is served badly.",
            also=[partial(_step, refill=_mean_of_the_others)],
        ),
        Mistake(
            "stays",
            partial(_step, refill=_stays),
            "A centre that nobody chose stays where it was, or is gone. It will hardly be chosen next time, and you "
            "pay for a code that is never used. Move it to a patch that is served badly.",
            also=[_dropped],
        ),
        Mistake(
            "not_a_mean",
            partial(_step, mean=_sum),
            "The centres are not the means of their patches. Add the patches that chose a centre, and divide by how "
            "many they are: not by all patches, and the old centre itself is none of them.",
            also=[
                partial(_step, mean=_mean_of_all),
                partial(_step, mean=_with_itself),
                partial(_step, mean=_half_way),
            ],
        ),
        Mistake(
            "wrong_patch",
            partial(_step, refill=_far_from_the_empty_one),
            "An empty centre goes to a patch, but not to the one that is served worst. For each patch, take the "
            "distance to its own centre, the least in its row; the largest of these says which patch needs one.",
            also=[
                partial(_step, refill=_near_to_the_empty_one),
                partial(_step, refill=_far_from_all),
                partial(_step, refill=_best_served),
                partial(_step, refill=_first_patches),
            ],
        ),
        Mistake(
            "one_patch_for_all",
            partial(_step, refill=_one_for_all),
            "All empty centres go to the same patch. From then on one of them gets everything, and the others are "
            "empty again. The first goes to the patch that is served worst, the second to the next.",
        ),
        Mistake(
            "measured_after_the_move",
            partial(_step, refill=_worst_by_new_centres),
            "You look for the patches that are served worst after the other centres have moved. Asked for is how they "
            "are served now: one table of distances, from the old centres, is enough for the whole step.",
            also=[partial(_step, refill=_worst_by_nearest_new_centre)],
        ),
        Mistake(
            "centres_choose",
            _to_the_nearest_patch,
            "Here every centre chooses a patch. It is the other way round: every patch chooses its nearest centre (an "
            "argmin over the centres), and a centre is the mean of all that chose it.",
        ),
    ],
    laws=[
        Law(
            "no centre leaves the range of the patches",
            lambda out, patches, centres: bool(
                ((out >= patches.amin(0) - 1e-4) & (out <= patches.amax(0) + 1e-4)).all()
            ),
        ),
        Law(
            "no two centres are at the same place",
            lambda out, patches, centres: len(out.unique(dim=0)) == len(out),
        ),
    ],
)
