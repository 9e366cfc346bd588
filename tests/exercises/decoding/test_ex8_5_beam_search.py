import copy
import heapq

import numpy as np
import pytest
import torch

from minattn.decoding import beam_search
from minattn.exercises.comparing import same
from minattn.exercises.decoding.ex8_5_beam_search import EXERCISE
from minattn.exercises.judging import judge
from minattn.translation import Memory, Translator
from minattn.vocabulary import BOS, EOS, PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def table_of_all(log_probs_after, n_beams, max_length):
    """Make one table of all ways to go on; an ended target goes on with padding, which is taken off again."""
    ids, totals = [[]], torch.zeros(1)
    for _ in range(max_length):
        rows = []
        for target in ids:
            row = log_probs_after([BOS, *target])
            if EOS in target:
                row = torch.full_like(row, -torch.inf)
                row[PAD] = 0.0
            rows.append(row)
        table = totals[:, None] + torch.stack(rows)
        totals, chosen = table.flatten().topk(min(n_beams, table.numel()))
        ids = [[*ids[c // table.shape[1]], int(c % table.shape[1])] for c in chosen]
        if all(EOS in target for target in ids):
            break
    cut = [target[: target.index(EOS) + 1] if EOS in target else target for target in ids]
    return list(zip(cut, totals, strict=True))


def ended_in_a_list_that_competes(log_probs_after, n_beams, max_length):
    going, ended = [(0.0, (BOS,))], []
    while going and len(going[0][1]) <= max_length:
        ways = [(total, ids, True) for total, ids in ended]
        for total, ids in going:
            for token, step in enumerate(log_probs_after(ids).numpy()):
                ways.append((total + step, (*ids, token), token == EOS))
        kept = heapq.nlargest(n_beams, ways)
        ended = [(total, ids) for total, ids, is_ended in kept if is_ended]
        going = [(total, ids) for total, ids, is_ended in kept if not is_ended]
    return [(list(ids[1:]), total) for total, ids in sorted(going + ended, reverse=True)]


def few_children_of_each(log_probs_after, n_beams, max_length):
    """Look at the n_beams best children of each beam only: no beam can have more."""
    beams = [([BOS], 0.0)]
    for _ in range(max_length):
        ways = [beam for beam in beams if beam[0][-1] == EOS]
        for ids, total in beams:
            if ids[-1] == EOS:
                continue
            steps = log_probs_after(torch.tensor(ids)).numpy().astype(float)
            ways += [([*ids, int(i)], total + steps[i]) for i in np.argsort(-steps)[:n_beams]]
        ways.sort(key=lambda way: way[1], reverse=True)
        beams = ways[:n_beams]
    return tuple((ids[1:], total) for ids, total in beams)


def by_recursion(log_probs_after, n_beams, max_length, beams=None):
    """Never write padding or BOS, which no model should."""
    beams = beams or [([], 0.0)]
    if max_length == 0 or all(ids[-1:] == [EOS] for ids, _ in beams):
        return beams
    ways = []
    for ids, total in beams:
        if ids[-1:] == [EOS]:
            ways.append([ids, total])
            continue
        steps = log_probs_after([BOS, *ids])
        ways += [[[*ids, i], total + steps[i].item()] for i in range(EOS, len(steps))]
    beams = sorted(ways, key=lambda way: way[1])[::-1][:n_beams]
    return by_recursion(log_probs_after, n_beams, max_length - 1, beams)


OTHER_WAYS = [table_of_all, ended_in_a_list_that_competes, few_children_of_each, by_recursion]


# Wrong ways, written as a learner writes them.


def finished_apart(log_probs_after, n_beams, max_length):
    beams, finished = [([BOS], 0.0)], []
    for _ in range(max_length):
        ways = []
        for ids, total in beams:
            log_probs = log_probs_after(ids)
            for token in range(len(log_probs)):
                ways.append(([*ids, token], total + log_probs[token].item()))
        ways.sort(key=lambda way: way[1], reverse=True)
        beams = []
        for ids, total in ways[:n_beams]:
            (finished if ids[-1] == EOS else beams).append((ids, total))
        if len(finished) >= n_beams or not beams:
            break
    found = sorted(finished + beams, key=lambda way: way[1], reverse=True)
    return [(ids[1:], total) for ids, total in found[:n_beams]]


def appended(log_probs_after, n_beams, max_length):
    beams = [([BOS], 0.0)]
    for _ in range(max_length):
        ways = []
        for ids, total in beams:
            if ids[-1] == EOS:
                ways.append((ids, total))
                continue
            for token, step in enumerate(log_probs_after(ids).tolist()):
                ids.append(token)
                ways.append((ids, total + step))
        ways.sort(key=lambda way: way[1], reverse=True)
        beams = ways[:n_beams]
        if all(ids[-1] == EOS for ids, _ in beams):
            break
    return [(ids[1:], total) for ids, total in beams]


def in_tensors(log_probs_after, n_beams, max_length):
    """Keep all beams in tensors from the first step on, and forget the minus infinity of the copies."""
    ids = torch.full((n_beams, 1), BOS)
    totals = torch.zeros(n_beams)
    for _ in range(max_length):
        steps = torch.stack([log_probs_after(row.tolist()) for row in ids])
        ended = ids[:, -1] == EOS
        steps[ended] = -torch.inf
        steps[ended, EOS] = 0.0
        totals, chosen = (totals[:, None] + steps).flatten().topk(n_beams)
        ids = torch.cat([ids[chosen // steps.shape[1]], chosen[:, None] % steps.shape[1]], 1)
        if (ids[:, -1] == EOS).all():
            break
    return [(row.tolist()[1:], float(t)) for row, t in zip(ids, totals, strict=True)]


def flat_topk(log_probs_after, n_beams, max_length):
    beams = [([BOS], 0.0)]
    for _ in range(max_length):
        ways = []
        for ids, total in beams:
            if ids[-1] == EOS:
                ways.append((ids, total))
            else:
                steps = log_probs_after(ids).tolist()
                ways += [([*ids, i], total + step) for i, step in enumerate(steps)]
        chosen = torch.topk(torch.tensor([total for _, total in ways]), n_beams).indices
        beams = [ways[i] for i in chosen]
    return [(ids[1:], total) for ids, total in beams]


def stopped_by_the_best(log_probs_after, n_beams, max_length):
    beams = EXERCISE.solution(log_probs_after, n_beams, 1)
    for n in range(2, max_length + 1):
        if beams[0][0][-1] == EOS:
            break
        beams = EXERCISE.solution(log_probs_after, n_beams, n)
    return beams


def only_those_that_ended(*case):
    return [pair for pair in EXERCISE.solution(*case) if EOS in pair[0]]


NEAR_MISSES = [
    ("refilled", finished_apart),
    ("one_list_for_all", appended),
    ("begins_with_copies", in_tensors),
    ("too_many_wanted", flat_topk),
    ("stops_at_first_end", stopped_by_the_best),
    ("unfinished_left_out", only_those_that_ended),
]


# What is said, and what the checker is tried on.


class Prefixes(Translator):
    """A translator that says what a toy says; its state is the prefix."""

    def __init__(self, toy):
        super().__init__()
        self.toy = toy

    def encode(self, source):
        return Memory(source[..., None].float(), source != PAD)

    def start(self, memory):
        return (torch.zeros(len(memory.states), 0, dtype=torch.long),)

    def step(self, token, state, memory):
        prefixes = torch.cat([state[0], token[:, None]], dim=1)
        return torch.stack([self.toy(row) for row in prefixes.tolist()]), (prefixes,)


def test_the_package_finds_the_same():
    for toy, n_beams, max_length in EXERCISE.cases():
        found = beam_search(Prefixes(toy), torch.tensor([[3, EOS]]), max_length, n_beams=n_beams)
        targets = [ids[:n].tolist() for ids, n in zip(found.ids[0], found.lengths[0], strict=True)]
        pairs = list(zip(targets, found.log_probs[0].tolist(), strict=True))
        assert same(pairs, EXERCISE.solution(toy, n_beams, max_length), 1e-5)


def kept_at_each_step(toy, n_beams, max_length):
    return [EXERCISE.solution(toy, n_beams, n) for n in range(1, max_length + 1)]


def test_totals_differ_by_more_than_rounding():
    for toy, n_beams, max_length in EXERCISE.cases():
        beams = [([BOS], 0.0)]
        for _ in range(max_length):
            ways = [beam for beam in beams if beam[0][-1] == EOS]
            for ids, total in beams:
                if ids[-1] != EOS:
                    steps = enumerate(toy(ids).tolist())
                    ways += [([*ids, i], total + step) for i, step in steps]
            ways.sort(key=lambda way: -way[1])
            totals = [total for _, total in ways[: n_beams + 1]]
            assert np.diff(totals).max() < -0.03
            beams = ways[:n_beams]


def test_cases_have_what_they_are_for():
    first, second, third, fourth, fifth, last = EXERCISE.cases()
    for case in (first, third, fourth, fifth):
        assert EXERCISE.solution(*case)[0][0] != EXERCISE.solution(case[0], 1, case[2])[0][0]
    early, *_ = EXERCISE.solution(*second)[0]
    assert early[-1] == EOS and len(early) < max(len(ids) for ids, _ in EXERCISE.solution(*second))
    for case in (first, second, third, fourth):
        steps = kept_at_each_step(*case)
        ended = {tuple(ids) for beams in steps for ids, _ in beams if ids[-1] == EOS}
        assert ended - {tuple(ids) for ids, _ in steps[-1]}  # some were overtaken
    for case in (third, fourth, fifth):
        assert {ids[-1] == EOS for ids, _ in EXERCISE.solution(*case)} == {True, False}
    assert fifth[1] > fifth[0].vocab_size and last[1] == 1


def test_no_target_has_padding_or_bos():
    for case in EXERCISE.cases():
        for ids, _ in EXERCISE.solution(*case):
            assert not {PAD, BOS} & set(ids)


@pytest.mark.parametrize("prefix", [[], [3], [EOS, BOS]])
def test_the_toy_refuses_a_prefix_without_bos(prefix):
    with pytest.raises(ValueError, match="must begin with BOS, got"):
        EXERCISE.cases()[0][0](prefix)


def test_the_toy_may_be_given_other_sequences_and_keeps_nothing():
    toy, *_ = EXERCISE.cases()[0]
    out = toy([BOS, 3])
    expected = out.clone()
    out += 1
    for prefix in ((BOS, 3), torch.tensor([BOS, 3]), np.array([BOS, 3])):
        assert torch.equal(toy(prefix), expected)


def test_what_the_model_says_first_is_shown():
    verdict = judge(EXERCISE, lambda *case: [([9], -1.0), ([8], -2.0)])
    assert "n_beams = 2, max_length = 4" in verdict.message
    assert "log_probs_after([1]) = [" in verdict.message


def test_mistakes_are_told_apart_by_more_than_rounding():
    cases = EXERCISE.cases()
    for mistake in EXERCISE.mistakes:
        for wrong in mistake.answers:
            alike = []
            for case in cases:
                try:
                    found = wrong(*copy.deepcopy(case))
                except (ValueError, RuntimeError, IndexError):
                    found = None
                alike.append(same(found, EXERCISE.solution(*case), 30 * EXERCISE.tolerance))
            assert not all(alike), mistake.name
