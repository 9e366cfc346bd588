"""Right and wrong ways to compare two sentences by their runs of characters, for exercise 9.3."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from minattn.exercises.exercise import Answer

Text = str | tuple[str, ...]
Clean = Callable[[str], Text]
Cut = Callable[[Any, int], list[Any]]
Match = Callable[[list[Any], list[Any]], tuple[int, int]]


@dataclass(frozen=True)
class Found:
    """What was found for one order.

    Args:
        matched: runs of the hypothesis that are in the reference.
        recalled: runs of the reference that are in the hypothesis.
        n_written: runs of the hypothesis.
        n_wanted: runs of the reference.
    """

    matched: int
    recalled: int
    n_written: int
    n_wanted: int

    @property
    def precision(self) -> float:
        """Divide, and stop where there is nothing to divide by."""
        return self.matched / self.n_written

    @property
    def recall(self) -> float:
        """Divide, and stop where there is nothing to divide by."""
        return self.recalled / self.n_wanted


Average = Callable[[Sequence[Found]], tuple[float, float]]
Combine = Callable[[float, float, float], float]


def without_blanks(text: str) -> str:
    """Remove all blanks."""
    return "".join(text.split())


def runs(text: Text, order: int) -> list[Any]:
    """Return all runs of so many characters, or words."""
    return [text[i : i + order] for i in range(len(text) - order + 1)]


def runs_but_the_last(text: Text, order: int) -> list[Any]:
    """Stop one too early."""
    return [text[i : i + order] for i in range(len(text) - order)]


def runs_with_a_tail(text: Text, order: int) -> list[Any]:
    """Go on to the last character, where runs are shorter."""
    return [text[i : i + order] for i in range(len(text))]


def pieces_of(text: Text, order: int) -> list[Any]:
    """Cut the text into pieces that do not overlap."""
    return [text[i : i + order] for i in range(0, len(text), order)]


def runs_of_words(words: tuple[str, ...], order: int) -> list[str]:
    """Return the runs of characters within words."""
    return [run for word in words for run in runs(word, order)]


def different_runs(text: Text, order: int) -> list[Any]:
    """Return every run once."""
    return list(dict.fromkeys(runs(text, order)))


def clipped(written: list[Any], wanted: list[Any]) -> tuple[int, int]:
    """Count a run as often as both have it."""
    both = (Counter(written) & Counter(wanted)).total()
    return both, both


def different(written: list[Any], wanted: list[Any]) -> tuple[int, int]:
    """Count a run once, if both have it."""
    both = len(set(written) & set(wanted))
    return both, both


def unclipped(written: list[Any], wanted: list[Any]) -> tuple[int, int]:
    """Count every run of the one that is somewhere in the other."""
    return sum(run in wanted for run in written), sum(run in written for run in wanted)


def unclipped_by_one(written: list[Any], wanted: list[Any], of_hypothesis: bool) -> tuple[int, int]:
    """Count every run that is somewhere in the other, on one side, and use that for both."""
    found = unclipped(written, wanted)[not of_hypothesis]
    return found, found


def by_place(written: list[Any], wanted: list[Any]) -> tuple[int, int]:
    """Count the places at which both have the same run."""
    both = sum(a == b for a, b in zip(written, wanted, strict=False))
    return both, both


def mean_of_present(found: Sequence[Found]) -> tuple[float, float]:
    """Average over the orders of which both sentences have runs."""
    present = [one for one in found if one.n_written and one.n_wanted] or [Found(0, 0, 1, 1)]
    return mean_of_all(present)


def summed(found: Sequence[Found]) -> tuple[float, float]:
    """Add up precision and recall over the orders, and do not divide."""
    precision, recall = missing_as_zero(found)
    return precision * len(found), recall * len(found)


def mean_of_all(found: Sequence[Found]) -> tuple[float, float]:
    """Average over all orders, and stop where a sentence has no runs."""
    n = len(found)
    return sum(one.precision for one in found) / n, sum(one.recall for one in found) / n


def mean_of_some(found: Sequence[Found], mean: Callable[[Iterable[float]], float]) -> Any:
    """Average over the orders of which both have runs, whether there are any or not."""
    present = [one for one in found if one.n_written and one.n_wanted]
    return mean([one.precision for one in present]), mean([one.recall for one in present])


def missing_as_zero(found: Sequence[Found]) -> tuple[float, float]:
    """Count zero for an order of which a sentence has no runs."""
    return (
        sum(one.matched / max(one.n_written, 1) for one in found) / len(found),
        sum(one.recalled / max(one.n_wanted, 1) for one in found) / len(found),
    )


def each_its_own(found: Sequence[Found]) -> tuple[float, float]:
    """Average precision over the orders of the hypothesis, and recall over those of the reference."""
    n_written = sum(one.n_written > 0 for one in found)
    n_wanted = sum(one.n_wanted > 0 for one in found)
    precision, recall = missing_as_zero(found)
    return precision * len(found) / max(n_written, 1), recall * len(found) / max(n_wanted, 1)


def pooled(found: Sequence[Found]) -> tuple[float, float]:
    """Add up the runs of all orders, and divide once."""
    return (
        sum(one.matched for one in found) / max(sum(one.n_written for one in found), 1),
        sum(one.recalled for one in found) / max(sum(one.n_wanted for one in found), 1),
    )


def geometric(found: Sequence[Found]) -> tuple[float, float]:
    """Take the geometric mean over the orders, as BLEU does."""
    present = [one for one in found if one.n_written and one.n_wanted] or [Found(0, 0, 1, 1)]
    n = len(present)
    return (
        math.prod(one.precision for one in present) ** (1 / n),
        math.prod(one.recall for one in present) ** (1 / n),
    )


def f_beta(precision: float, recall: float, beta: float) -> float:
    """Combine both; recall is worth beta times as much."""
    if precision + recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def unguarded(precision: float, recall: float, beta: float) -> float:
    """Combine both, and stop where nothing was found."""
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def weighted(
    precision: float,
    recall: float,
    beta: float,
    above: Callable[[float], float],
    below: Callable[[float], float],
) -> float:
    """Combine both with other weights."""
    if precision + recall == 0:
        return 0.0
    return above(beta) * precision * recall / (below(beta) * precision + recall)


def score(
    hypothesis: str,
    reference: str,
    n: int,
    beta: float,
    *,
    clean: Clean = without_blanks,
    cut: Cut = runs,
    match: Match = clipped,
    orders: Callable[[int], Iterable[int]] = lambda n: range(1, n + 1),
    average: Average = mean_of_present,
    combine: Combine = f_beta,
    times: float = 100.0,
) -> float:
    """Compute chrF, with some of the steps done in another way."""
    written, wanted = clean(hypothesis), clean(reference)
    found = []
    for order in orders(n):
        ours, theirs = cut(written, order), cut(wanted, order)
        found.append(Found(*match(ours, theirs), len(ours), len(theirs)))
    return times * combine(*average(found), beta)


def f_of_each_order(
    hypothesis: str, reference: str, n: int, beta: float, missing: bool = False
) -> float:
    """Average F over the orders."""
    found = [
        score(hypothesis, reference, order, beta, orders=lambda n: [n]) for order in range(1, n + 1)
    ]
    shorter = min(len(without_blanks(hypothesis)), len(without_blanks(reference)))
    return sum(found) / max(n if missing else min(n, shorter), 1)


def combined(combine: Combine, **other: Any) -> Answer:
    """Make an answer that combines precision and recall in another way."""
    return partial(score, combine=combine, **other)


def averaged(average: Average, **other: Any) -> Answer:
    """Make an answer that averages over the orders in another way."""
    return partial(score, average=average, **other)


def without_guard(mean: Callable[[Iterable[float]], float]) -> Answer:
    """Make an answer that averages over no order at all, if there is none."""
    return averaged(partial(mean_of_some, mean=mean))


def divided(values: Iterable[float]) -> float:
    """Average by hand."""
    values = list(values)
    return sum(values) / len(values)


MEANS: tuple[Callable[[Any], float], ...] = (
    divided,
    statistics.mean,
    lambda values: statistics.mean(values) if values else math.nan,
)
