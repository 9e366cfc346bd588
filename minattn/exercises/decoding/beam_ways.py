"""Ways to search with beams, right and wrong, for exercise 8.5."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer
from minattn.vocabulary import BOS, EOS

Model = Callable[[list[int]], Tensor]
Targets = list[tuple[list[int], float]]


def search(log_probs_after: Model, n_beams: int, max_length: int) -> Targets:
    """Return the targets that a beam search keeps, with their log probabilities, the best first."""
    beams = [([BOS], 0.0)]
    for _ in range(max_length):
        ways = []
        for ids, total in beams:
            if ids[-1] == EOS:
                ways.append((ids, total))
            else:
                steps = log_probs_after(ids).tolist()
                ways += [([*ids, token], total + step) for token, step in enumerate(steps)]
        beams = sorted(ways, key=lambda way: -way[1])[:n_beams]
        if all(ids[-1] == EOS for ids, _ in beams):
            break
    return [(ids[1:], total) for ids, total in beams]


class Way(NamedTuple):
    """A target so far, and where it comes from.

    Args:
        ids: its tokens, ``BOS`` included.
        total: what it is worth.
        step: the log probability of its last token.
        parent: the number of the beam that it comes from.
    """

    ids: list[int]
    total: float
    step: float = 0.0
    parent: int = 0

    @property
    def ended(self) -> bool:
        """Whether its last token is the end."""
        return self.ids[-1] == EOS

    @property
    def mean(self) -> float:
        """What it is worth for each token."""
        return self.total / max(1, len(self.ids) - 1)


Beams = list[Way]


def children(way: Way, model: Model) -> Beams:
    """Let a target go on with every token."""
    steps = model(way.ids).tolist()
    return [Way([*way.ids, i], way.total + step, step) for i, step in enumerate(steps)]


def added(
    add: Callable[[float, float], float],
) -> Callable[[Way, Model], Beams]:
    """Let targets go on, and reckon their worth in another way."""
    return lambda way, model: [
        child._replace(total=add(way.total, child.step)) for child in children(way, model)
    ]


def best(ways: Sequence[Way], n: int, beams: Sequence[Way] = ()) -> Beams:
    """Keep the best of all, the best first."""
    return sorted(ways, key=lambda way: -way.total)[:n]


def ranked_by(score: Callable[[Way], float]) -> Callable[[Sequence[Way], int, Beams], Beams]:
    """Keep those that are best by something else."""
    return lambda ways, n, beams: sorted(ways, key=lambda way: -score(way))[:n]


def all_ended(beams: Beams) -> bool:
    """Say whether all targets have ended."""
    return all(way.ended for way in beams)


def plain(beams: Sequence[Way], n: int = 0) -> Targets:
    """Return the targets without ``BOS``, and their worth."""
    return [(way.ids[1:], way.total) for way in beams]


def searched(
    *,
    begin: Callable[[int], Beams] = lambda n: [Way([BOS], 0.0)],
    grow: Callable[[Way, Model], Beams] = children,
    ended: Callable[[Way, Model], Beams] = lambda way, model: [way],
    keep: Callable[[Sequence[Way], int, Beams], Beams] = best,
    enough: Callable[[Beams], bool] = all_ended,
    steps: Callable[[int], int] = lambda max_length: max_length,
    give: Callable[[Beams, int], Any] = plain,
) -> Answer:
    """Make an answer that goes another way in some place.

    Args:
        begin: the beams at first.
        grow: how a target goes on.
        ended: what becomes of one that has ended.
        keep: chooses from all ways to go on, when there are so many beams; it is given the old beams too.
        enough: tells whether to stop.
        steps: how many steps there are at most.
        give: what is returned.
    """

    def answer(log_probs_after: Model, n_beams: int, max_length: int) -> Any:
        beams = begin(n_beams)
        for _ in range(steps(max_length)):
            ways = []
            for i, way in enumerate(beams):
                new = (ended if way.ended else grow)(way, log_probs_after)
                ways += [child._replace(parent=i) for child in new]
            beams = keep(ways, n_beams, beams)
            if not beams or enough(beams):
                break
        return give(beams, n_beams)

    return answer


def moved_out(
    *,
    take: Callable[[Beams, int, Beams], Beams] = lambda ways, n, out: ways[:n],
    enough: Callable[[Beams, int], bool] = lambda out, n: False,
    give: Callable[[Beams, Beams], Beams] = lambda out, beams: out + beams,
    order: Callable[[Beams], Beams] = lambda ways: best(ways, len(ways)),
) -> Answer:
    """Make an answer that moves what has ended to a list of its own.

    Args:
        take: which of the ways to go on, best first, are looked at; it is given what was moved out before.
        enough: tells from what was moved out whether to stop.
        give: which targets are candidates for the result.
        order: how they are ordered.
    """

    def answer(log_probs_after: Model, n_beams: int, max_length: int) -> Targets:
        out: Beams = []
        beams = [Way([BOS], 0.0)]
        for _ in range(max_length):
            ways = [child for way in beams for child in children(way, log_probs_after)]
            taken = take(best(ways, len(ways)), n_beams, out)
            out = out + [way for way in taken if way.ended]
            beams = [way for way in taken if not way.ended][:n_beams]
            if not beams or enough(out, n_beams):
                break
        return plain(order(give(out, beams))[:n_beams])

    return answer


def until_refilled(ways: Beams, n: int, out: Beams) -> Beams:
    """Take the best ways to go on, until there are as many unfinished ones as beams."""
    n_unfinished, taken = 0, []
    for way in ways:
        if n_unfinished == n:
            break
        taken.append(way)
        n_unfinished += not way.ended
    return taken


def best_child_of_each(ways: Sequence[Way], n: int, beams: Beams) -> Beams:
    """Keep the best child of each parent, once there are as many beams as there should be."""
    if len(beams) == 1:
        return best(ways, n)
    families = [[way for way in ways if way.parent == i] for i in range(len(beams))]
    return best([family[0] for family in (best(f, 1) for f in families)], n)


def best_of_each(ways: Sequence[Way], n: int, beams: Beams) -> Beams:
    """Keep the best children of each parent, and never choose between parents."""
    families = [[way for way in ways if way.parent == i] for i in range(len(beams))]
    return [way for family in families for way in best(family, n)]


def with_parent(
    which: Callable[[int], int],
) -> Callable[[Sequence[Way], int, Beams], Beams]:
    """Keep the best, and put the new token of each behind the tokens of another beam."""

    def keep(ways: Sequence[Way], n: int, beams: Beams) -> Beams:
        kept = []
        for i, way in enumerate(best(ways, n)):
            other = beams[min(which(i), len(beams) - 1)]
            stays = beams[way.parent].ended
            kept.append(way if stays else way._replace(ids=[*other.ids, way.ids[-1]]))
        return kept

    return keep


def topk_of_all(ways: Sequence[Way], n: int, beams: Beams) -> Beams:
    """Keep as many as there are beams, even where there are not so many."""
    chosen = torch.tensor([way.total for way in ways]).topk(n).indices.tolist()
    return [ways[i] for i in chosen]


def children_in_one_list(way: Way, model: Model) -> Beams:
    """Let a target go on, with one list for all of its children."""
    ids, grown = way.ids, []
    for i, step in enumerate(model(ids).tolist()):
        ids.append(i)
        grown.append(Way(ids, way.total + step, step))
    return grown


def chosen_in_one_list(ways: Sequence[Way], n: int, beams: Beams) -> Beams:
    """Keep the best, and put the new token of each into the list of its parent."""
    grows = [not way.ended for way in beams]
    kept = []
    for way in best(ways, n):
        ids = beams[way.parent].ids
        if grows[way.parent]:
            ids.append(way.ids[-1])
        kept.append(way._replace(ids=ids))
    return kept
