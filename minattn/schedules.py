"""How the learning rate changes while a model is trained: warm-up, cosine, Noam, one cycle."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from minattn.checks import check_shares, check_sizes, check_whole

Schedule = Callable[[int], float]
"""Takes the number of steps already done and returns the share of the highest learning rate, 0 to 1.

Those of this module reject a number that is not whole or below 0.
"""


@dataclass(frozen=True)
class Constant:
    """Always the highest learning rate.

    >>> Constant()(0), Constant()(999)
    (1.0, 1.0)
    """

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        return 1.0


@dataclass(frozen=True)
class HoldAndFall:
    """The highest learning rate for half of the steps, then down to zero in a straight line.

    This is the schedule of ``fit``.

    Args:
        steps: how many there will be.

    >>> schedule = HoldAndFall(8)
    >>> [schedule(step) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    steps: int

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        return max(0.0, min(1.0, 2 * (self.steps - step) / self.steps))


@dataclass(frozen=True)
class Cosine:
    """From the highest learning rate down to ``end``, along half a period of the cosine.

    Args:
        steps: how many there will be.
        end: share that the rate comes down to, 0 to 1.

    References:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.

    >>> schedule = Cosine(4)
    >>> [round(schedule(step), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)
        check_shares(end=self.end)

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        return _along_cosine(1.0, self.end, step / self.steps)


@dataclass(frozen=True)
class WarmUp:
    """Up from nearly zero in a straight line, then what another schedule says.

    Args:
        steps: how many steps the way up takes; its last one has the highest rate.
        then: the schedule afterwards, whose first step is the one after the warm-up.

    >>> schedule = WarmUp(4, then=Cosine(4))
    >>> [round(schedule(step), 3) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    steps: int
    then: Schedule

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)
        if not callable(self.then):
            raise TypeError(f"then must be a schedule, got {self.then!r}")

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        return (step + 1) / self.steps if step < self.steps else self.then(step - self.steps)


@dataclass(frozen=True)
class Noam:
    r"""Up in a straight line, then down as one over the root of the steps, as in the Transformer's paper.

    With n the number of the step, from 1, and w the warm-up, the share is
    :math:`\min(n / w, \sqrt{w / n})`. The paper's rate is :math:`d^{-1/2}_\text{model}\, w^{-1/2}` times that.

    Args:
        warm_up: w, steps of the way up.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, equation 3.

    >>> schedule = Noam(warm_up=2)
    >>> [round(schedule(step), 3) for step in (0, 1, 7)]
    [0.5, 1.0, 0.5]
    """

    warm_up: int

    def __post_init__(self) -> None:
        check_sizes(warm_up=self.warm_up)

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        n = step + 1
        return min(n / self.warm_up, math.sqrt(self.warm_up / n))


@dataclass(frozen=True)
class OneCycle:
    """Up along a cosine, and down along a longer one.

    Args:
        steps: how many there will be.
        warm_up: share of the steps that the way up takes, more than one and not all.
        start: share of the highest rate at the first step.
        end: share of the highest rate at the last step.

    References:
        Smith and Topin 2018, arXiv:1708.07120, in the form of torch's ``OneCycleLR``.

    >>> schedule = OneCycle(10, warm_up=0.4)
    >>> [round(schedule(step), 2) for step in (0, 3, 9)]
    [0.04, 1.0, 0.0]
    """

    steps: int
    warm_up: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 250_000

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)
        if not (isinstance(self.warm_up, Real) and 1 < self.warm_up * self.steps < self.steps):
            raise ValueError(
                "warm_up must be a share below 1 that is more than one step, "
                f"got {self.warm_up!r} of {self.steps} steps"
            )
        check_shares(start=self.start)
        check_shares(end=self.end)

    def __call__(self, step: int) -> float:
        """Return the share at one step."""
        check_whole(0, step=step)
        top = self.warm_up * self.steps - 1  # the step with the highest rate
        if step <= top:
            return _along_cosine(self.start, 1.0, step / top)
        return _along_cosine(1.0, self.end, (step - top) / (self.steps - 1 - top))


def _along_cosine(start: float, end: float, way: float) -> float:
    """Go from one value to another along half a period of the cosine; ``way`` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, way))) / 2
