import itertools

import torch

from minattn.exercises.judging import judge
from minattn.exercises.t5.ex12_2_span_corruption import EXERCISE, corrupt_spans

# Other right ways: from the last span on, token by token, by cutting, and by tensors.


def corrupt_backwards(ids, spans, sentinels):
    source, target = list(ids), [sentinels[len(spans)]]
    for i in reversed(range(len(spans))):
        start, length = spans[i]
        target = [sentinels[i], *source[start : start + length], *target]
        source[start : start + length] = [sentinels[i]]
    return source, target


def corrupt_token_by_token(ids, spans, sentinels):
    starts = {start: i for i, (start, _) in enumerate(spans)}
    source, target, until = [], [], 0
    for place, token in enumerate(ids):
        if place in starts:
            sentinel = sentinels[starts[place]]
            source.append(sentinel)
            target.append(sentinel)
            until = place + spans[starts[place]][1]
        (target if place < until else source).append(token)
    target.append(sentinels[len(spans)])
    return source, target


def corrupt_with_a_shift(ids, spans, sentinels):
    source, target, shift = ids.copy(), [], 0
    for (start, length), sentinel in zip(spans, sentinels, strict=False):
        target.extend([sentinel, *ids[start : start + length]])
        source[start - shift : start - shift + length] = [sentinel]
        shift += length - 1
    return [source, [*target, sentinels[len(spans)]]]


def corrupt_by_bounds(ids, spans, sentinels):
    bounds = [0, *itertools.chain.from_iterable((s, s + n) for s, n in spans), len(ids)]
    pieces = [ids[a:b] for a, b in itertools.pairwise(bounds)]
    source, target = list(pieces[0]), []
    for i in range(len(spans)):
        target += [sentinels[i]] + pieces[2 * i + 1]
        source += [sentinels[i]] + pieces[2 * i + 2]
    return source, [*target, sentinels[len(spans)]]


def corrupt_by_tensors(ids, spans, sentinels):
    text, source, target, place = torch.tensor(ids), [], [], 0
    for i, (start, length) in enumerate(spans):
        sign = torch.tensor([sentinels[i]])
        source += [text[place:start], sign]
        target += [sign, text[start : start + length]]
        place = start + length
    source, target = [*source, text[place:]], [*target, torch.tensor([sentinels[len(spans)]])]
    return torch.cat(source).tolist(), torch.cat(target).tolist()


OTHER_WAYS = [
    corrupt_backwards,
    corrupt_token_by_token,
    corrupt_with_a_shift,
    corrupt_by_bounds,
    corrupt_by_tensors,
]


# Wrong ways, written as a learner writes them.


def corrupt_by_marks(ids, spans, sentinels):
    hidden = {i for start, length in spans for i in range(start, start + length)}
    source, target, n = [], [], 0
    for i, token in enumerate(ids):
        if i not in hidden:
            source.append(token)
            continue
        if i - 1 not in hidden:
            source.append(sentinels[n])
            target.append(sentinels[n])
            n += 1
        target.append(token)
    return source, [*target, sentinels[n]]


def corrupt_forwards_in_a_copy(ids, spans, sentinels):
    source, target = ids[:], []
    for i, (start, length) in enumerate(spans):
        target += [sentinels[i], *source[start : start + length]]
        source[start : start + length] = [sentinels[i]]
    return source, [*target, sentinels[len(spans)]]


def corrupt_each_token(ids, spans, sentinels):
    source, target = list(ids), []
    for i, (start, length) in enumerate(spans):
        target += [sentinels[i], *ids[start : start + length]]
        for place in range(start, start + length):
            source[place] = sentinels[i]
    return source, [*target, sentinels[len(spans)]]


def corrupt_without_an_end(ids, spans, sentinels):
    source, target = corrupt_spans(ids, spans, sentinels)
    return source, target[:-1]


NEAR_MISSES = [
    ("merged", corrupt_by_marks),
    ("shifted", corrupt_forwards_in_a_copy),
    ("sentinel_per_token", corrupt_each_token),
    ("no_last_sentinel", corrupt_without_an_end),
]


# What is said, and what the checker is tried on.


def test_a_right_result_written_into_ids_is_told_so():
    def answer(ids, spans, sentinels):
        source, target = corrupt_spans(ids, spans, sentinels)
        ids[:] = source
        return ids, target

    assert "was changed" in judge(EXERCISE, answer).message


def test_spans_touch_stand_at_both_ends_and_are_missing():
    spans = [spans for _, spans, _ in EXERCISE.cases()]
    assert [] in spans
    assert any(a + n == b for case in spans for (a, n), (b, _) in itertools.pairwise(case))
    assert any(case and case[0][0] == 0 for case in spans)
    assert any(case and sum(case[-1]) == len(ids) for ids, case, _ in EXERCISE.cases())


def test_there_are_enough_sentinels_for_every_token_that_is_taken():
    for _, spans, sentinels in EXERCISE.cases():
        assert len(sentinels) > sum(length for _, length in spans)
        assert len(set(sentinels)) == len(sentinels)
