"""Exercise 21.4: other weights, the same output."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def other_weights(weights: Tensor, value: Tensor) -> Tensor:
    """Return the weights furthest from the given ones that fetch the same, where one line has them all."""
    return _furthest(weights, _direction(value))


def _direction(value: Tensor) -> Tensor:
    """Return the one change of weights that moves neither the output nor the sum."""
    kept = torch.cat([value, torch.ones(len(value), 1)], dim=1).T
    direction: Tensor = torch.linalg.svd(kept).Vh[-1]
    return direction


def _sum_free(value: Tensor) -> Tensor:
    """Return a change of weights that keeps the output, and not the sum."""
    direction: Tensor = torch.linalg.svd(value.T).Vh[-1]
    return direction


def _step(weights: Tensor, direction: Tensor) -> Tensor:
    """Return how far one can go along a direction, until the first weight is 0."""
    ratios = torch.where(direction < 0, -weights / direction, torch.inf)
    return ratios.min()


def _ends(weights: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearer end and the further one."""
    forth, back = _step(weights, direction), _step(weights, -direction)
    ends = weights + forth * direction, weights - back * direction
    return ends if forth < back else ends[::-1]


def _nearer(weights: Tensor, direction: Tensor) -> Tensor:
    return _ends(weights, direction)[0]


def _furthest(weights: Tensor, direction: Tensor) -> Tensor:
    return _ends(weights, direction)[1]


def _shortened(weights: Tensor, direction: Tensor) -> Tensor:
    """Go towards the further end, as far as the nearer one is."""
    nearer, _ = _ends(weights, direction)
    return 2 * weights - nearer


def _beyond(weights: Tensor, direction: Tensor, length: float | None = 1.0) -> Tensor:
    """Go a fixed way towards the further end, or until the last weight is 0 and not the first."""
    way = _furthest(weights, direction) - weights
    way = way / way.square().sum().sqrt()
    if length is None:
        length = float(torch.where(way < 0, -weights / way, 0).max())
    return weights + length * way


def _beyond_the_other_way(weights: Tensor, direction: Tensor) -> Tensor:
    return 2 * weights - _beyond(weights, direction)


def _clamped(weights: Tensor, direction: Tensor, way: Callable[..., Tensor] = _beyond) -> Tensor:
    other = way(weights, direction).clamp(min=0)
    return other / other.sum()


def _along(
    weights: Tensor,
    value: Tensor,
    *,
    direction: Callable[[Tensor], Tensor] = _direction,
    go: Callable[[Tensor, Tensor], Tensor] = _furthest,
) -> Tensor:
    return go(weights, direction(value))


def _made_to_sum(weights: Tensor, value: Tensor) -> Tensor:
    other = _along(weights, value, direction=_sum_free)
    return other / other.sum()


def _unchanged(weights: Tensor, value: Tensor) -> Tensor:
    return weights.clone()


def _equal(weights: Tensor, value: Tensor) -> Tensor:
    return torch.full_like(weights, 1 / len(weights))


def _other_way_round(weights: Tensor, value: Tensor) -> Tensor:
    return weights.flip(0)


def _by_rank(weights: Tensor, value: Tensor) -> Tensor:
    """Give the largest weight to the key that had the least."""
    other = torch.empty_like(weights)
    other[weights.argsort()] = weights.sort(descending=True).values
    return other


def _on_one_key(weights: Tensor, value: Tensor) -> Tensor:
    """Put all weight on the key that had the least."""
    other = torch.zeros_like(weights)
    other[weights.argmin()] = 1.0
    return other


def _direction_alone(weights: Tensor, value: Tensor) -> Tensor:
    return _direction(value)


def _direction_the_other_way(weights: Tensor, value: Tensor) -> Tensor:
    return -_direction(value)


def _case(seed: int, d: int) -> Case:
    """Make values whose first numbers are above 0, so that every change of weights has both signs."""
    value = numbers(seed + 1, d + 2, d)
    value[:, 0] = value[:, 0].abs()
    return numbers(seed, d + 2).softmax(-1), value


def _cases() -> list[Case]:
    hand = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([[1.0], [3.0], [2.0]])
    return [hand, _case(2182, 2), _case(2184, 3), _case(2186, 5)]


EXERCISE = Exercise(
    number="21.4",
    title="Other weights, the same output",
    solution=other_weights,
    cases=_cases,
    mistakes=[
        Mistake(
            "nearer_end",
            partial(_along, go=_nearer),
            "The output is the same, and there are weights further away. A direction can be walked both ways. "
            "Try both, each until the first weight reaches 0, and keep the longer way.",
            also=[partial(_along, go=_shortened)],
        ),
        Mistake(
            "below_zero",
            partial(_along, go=_beyond),
            "Some weights are below 0. No softmax makes such weights, so this model could not have had them. Stop "
            "where the first weight reaches 0: of the ratios weight / fall, take the least.",
            also=[
                partial(_along, go=_beyond_the_other_way),
                partial(_along, go=partial(_beyond, length=None)),
                _direction_alone,
                _direction_the_other_way,
            ],
        ),
        Mistake(
            "clamped",
            partial(_along, go=_clamped),
            "You set weights below 0 to 0 and divide by the sum. That leaves the line, and the output is another one. "
            "Do not repair a step that was too long: make it shorter.",
            also=[
                partial(_along, go=partial(_clamped, way=way))
                for way in (_beyond_the_other_way, partial(_beyond, length=None))
            ],
        ),
        Mistake(
            "sum_forgotten",
            partial(_along, direction=_sum_free),
            "You keep the output and not the sum, or divide by the sum afterwards, which moves the output. "
            "Ask both of the direction at once: put a column of ones beside the values.",
            also=[_made_to_sum],
        ),
        Mistake(
            "unchanged",
            _unchanged,
            "These are the weights that were given. They fetch the same, of course. There is a line of others through "
            "them, for a key more than is needed can be made up for by the rest.",
        ),
        Mistake(
            "shuffled",
            _other_way_round,
            "You shuffle the weights, or make them equal. Then something else is fetched. To shuffle tests "
            "whether the model needs its weights; here others are sought that it could not tell from them.",
            also=[_by_rank, _equal, _on_one_key],
        ),
    ],
    laws=[
        Law(
            "weights sum to 1",
            lambda out, weights, value: abs(float(out.sum()) - 1) < 1e-4,
        ),
        Law(
            "no weight is below 0",
            lambda out, weights, value: float(out.min()) > -1e-4,
        ),
        Law(
            "the output stays as it was",
            lambda out, weights, value: torch.allclose(out @ value, weights @ value, atol=1e-4),
        ),
    ],
    tolerance=1e-4,
)
