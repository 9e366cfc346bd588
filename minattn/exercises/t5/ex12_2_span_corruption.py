"""Exercise 12.2: span corruption."""

from collections.abc import Callable, Sequence
from functools import partial

from minattn.exercises.exercise import Case, Exercise, Law, Mistake

Ids = list[int]
Spans = Sequence[tuple[int, int]]


def corrupt_spans(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    """Put a sentinel in the place of each span; return the source, and the target that tells the spans."""
    return _corrupt(ids, spans, sentinels)


def _once(sentinel: int, taken: Ids) -> Ids:
    return [sentinel]


def _told(sentinel: int, taken: Ids) -> Ids:
    return [sentinel, *taken]


def _corrupt(
    ids: Ids,
    spans: Spans,
    sentinels: Ids,
    *,
    left: Callable[[int, Ids], Ids] = _once,
    told: Callable[[int, Ids], Ids] = _told,
    end: int | None = 1,
) -> tuple[Ids, Ids]:
    """Corrupt spans; what is left of each, and what is told of it, may be something else.

    Args:
        ids: the text.
        spans: start and length of each, in order.
        sentinels: the ids of the sentinels, in order.
        left: what stands in the source for a span.
        told: what stands in the target for a span.
        end: how many sentinels are told at the end.
    """
    source, target, place = Ids(), Ids(), 0
    for (start, length), sentinel in zip(spans, sentinels, strict=False):
        taken = ids[start : start + length]
        source += ids[place:start] + left(sentinel, taken)
        target += told(sentinel, taken)
        place = start + length
    return source + ids[place:], target + sentinels[len(spans) :][:end]


def _merged(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    """Make one span of two that touch, as marks for each token do."""
    marks = [any(s <= i < s + n for s, n in spans) for i in range(len(ids))]
    starts = [i for i, mark in enumerate(marks) if mark and not (i and marks[i - 1])]
    ends = [i + 1 for i, mark in enumerate(marks) if mark and not any(marks[i + 1 : i + 2])]
    together = [(start, end - start) for start, end in zip(starts, ends, strict=True)]
    return _corrupt(ids, together, sentinels)


def _shifted(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    source, target = list(ids), Ids()
    for (start, length), sentinel in zip(spans, sentinels, strict=False):
        target += [sentinel, *ids[start : start + length]]
        source[start : start + length] = [sentinel]
    return source, [*target, sentinels[len(spans)]]


def _shifted_in_both(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    source, target = list(ids), Ids()
    for (start, length), sentinel in zip(spans, sentinels, strict=False):
        target += [sentinel, *source[start : start + length]]
        source[start : start + length] = [sentinel]
    return source, [*target, sentinels[len(spans)]]


def _new_for_each_token(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    single = [(start + i, 1) for start, length in spans for i in range(length)]
    return _corrupt(ids, single, sentinels)


def _always_first(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    return _corrupt(ids, spans, sentinels[:1] * (len(spans) + 1))


def _first_but_at_the_end(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    return _corrupt(ids, spans, sentinels[:1] * len(spans) + sentinels[len(spans) :])


def _again_at_the_end(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    source, target = corrupt_spans(ids, spans, sentinels)
    return source, [*target[:-1], *sentinels[: len(spans)][-1:]]


def _to_the_end(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    return _corrupt(ids, [(start, max(end - start, 0)) for start, end in spans], sentinels)


def _one_more(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    return _corrupt(ids, [(start, length + 1) for start, length in spans], sentinels)


def _whole(ids: Ids, spans: Spans, sentinels: Ids) -> tuple[Ids, Ids]:
    return corrupt_spans(ids, spans, sentinels)[0], list(ids)


def _cases() -> list[Case]:
    return [
        ([10, 11, 12, 13, 14, 15, 16], [(1, 2), (5, 1)], [99, 98, 97, 96]),
        # The first span at the very start, the last at the very end; tokens come again.
        ([7, 8, 7, 7, 9, 8, 6, 7, 8, 5], [(0, 3), (4, 1), (7, 3)], list(range(59, 50, -1))),
        # Two spans touch.
        ([24, 23, 22, 21, 20, 19, 18, 17], [(1, 2), (3, 3)], [31, 37, 35, 33, 39, 34]),
        ([5, 6, 7], [], [91, 90]),
        ([4, 4, 4, 4, 4, 4, 4, 4, 4], [(2, 4)], [60, 63, 61, 62, 64]),
    ]


EXERCISE = Exercise(
    number="12.2",
    title="Span corruption",
    solution=corrupt_spans,
    cases=_cases,
    mistakes=[
        Mistake(
            "sentinel_per_token",
            partial(_corrupt, left=lambda sentinel, taken: [sentinel] * len(taken)),
            "Each token of a span leaves a sentinel. One stands for the whole span, however long: the model has "
            "to find the length too, and the source gets shorter.",
            also=[
                partial(
                    _corrupt,
                    left=lambda sentinel, taken: [sentinel] * len(taken),
                    told=lambda sentinel, taken: [x for token in taken for x in (sentinel, token)],
                ),
                _new_for_each_token,
            ],
        ),
        Mistake(
            "same_sentinel",
            _always_first,
            "The same sentinel comes again. Nobody can tell then which span is which: the first span has "
            "sentinels[0], the next one sentinels[1], and the end of the target the next after all these.",
            also=[_first_but_at_the_end, _again_at_the_end],
        ),
        Mistake(
            "no_sentinels_told",
            partial(_corrupt, told=lambda sentinel, taken: taken, end=0),
            "The target has the tokens of the spans, and no sentinels before them. They say where each span goes, "
            "and where it ends.",
            also=[partial(_corrupt, told=lambda sentinel, taken: taken)],
        ),
        Mistake(
            "no_last_sentinel",
            partial(_corrupt, end=0),
            "The last sentinel of the target is missing. It says that the last span has come to its end. After "
            "two spans it is sentinels[2].",
        ),
        Mistake(
            "all_sentinels_told",
            partial(_corrupt, end=None),
            "All sentinels that are left stand at the end of the target. One is enough: the first that was not "
            "used, sentinels[len(spans)].",
        ),
        Mistake(
            "whole_text_told",
            _whole,
            "The target is the whole text. Most of it stands in the source, so the model would mostly copy. Only "
            "what was taken out is told, each span behind its sentinel.",
            also=[
                lambda ids, spans, sentinels: (
                    _whole(ids, spans, sentinels)[0],
                    [*ids, sentinels[len(spans)]],
                )
            ],
        ),
        Mistake(
            "merged",
            _merged,
            "Two spans that touch became one. Marks of True and False for each token cannot tell where the second "
            "begins. Go by the list of spans: each has a sentinel.",
        ),
        Mistake(
            "shifted",
            _shifted,
            "The first span is right, and the next ones are taken from the wrong places. A span of 2 that becomes "
            "1 sentinel moves all behind it, and start counts in the old text. Begin at the last span, or "
            "build a new list.",
            also=[_shifted_in_both],
        ),
        Mistake(
            "length_not_meant",
            _to_the_end,
            "The spans have other lengths than they should. (start, length) covers ids[start : start + length].",
            also=[_one_more],
        ),
    ],
    laws=[
        Law(
            "source and target together have each token once, and two sentinels for each span, and one more",
            lambda out, ids, spans, sentinels: (
                len(out[0]) + len(out[1]) == len(ids) + 2 * len(spans) + 1
            ),
        ),
    ],
)
