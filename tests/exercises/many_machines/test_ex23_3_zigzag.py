import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.many_machines.ex23_3_zigzag import EXERCISE, zigzag

# Other right ways: tensors, NumPy, bounds of the pieces, dealt out position by position, counted in a mask.


def by_tensors(length, world):
    pieces = torch.arange(length).tensor_split(2 * world)
    positions = [torch.cat([pieces[r], pieces[-r - 1]]) for r in range(world)]
    return positions, torch.stack([(p + 1).sum() for p in positions])


def by_numpy(length, world):
    pieces = np.array_split(np.arange(length), 2 * world)
    positions = [np.concatenate([a, b]) for a, b in zip(pieces, pieces[::-1], strict=True)][:world]
    return positions, [p.sum() + p.size for p in positions]


def by_bounds(length, world):
    n, more = divmod(length, 2 * world)
    starts = [i * n + min(i, more) for i in range(2 * world + 1)]
    positions, work = [], []
    for r in range(world):
        own = [*range(starts[r], starts[r + 1]), *range(starts[~r - 1], starts[~r])]
        positions.append(own)
        work.append(sum(own) + len(own))
    return positions, work


def by_a_mask(length, world):
    positions, _ = zigzag(length, world)
    causal = torch.ones(length, length, dtype=torch.int64).tril()
    return tuple(map(tuple, positions)), [int(causal[own].sum()) for own in positions]


OTHER_WAYS = [by_tensors, by_numpy, by_bounds, by_a_mask]


# Wrong ways, written as a learner writes them.


def counted(positions):
    return positions, [sum(p + 1 for p in own) for own in positions]


def one_stretch(length, world):
    pieces = torch.arange(length).tensor_split(2 * world)
    return counted([torch.cat(pieces[2 * r : 2 * r + 2]).tolist() for r in range(world)])


def dealt_out(length, world):
    return counted([list(range(length))[r::world] for r in range(world)])


def dealt_out_from_1(length, world):
    return counted([list(range(r + 1, length, world)) for r in range(world)])


def halves(length, world):
    pieces = [piece.tolist() for piece in torch.arange(length).tensor_split(2 * world)]
    return counted([pieces[r] + pieces[r + world] for r in range(world)])


def from_the_back(length, world):
    pieces = [piece.tolist() for piece in torch.arange(length).tensor_split(2 * world)]
    return counted([pieces[r] + pieces[-r] for r in range(world)])


def whole_pieces_only(length, world):
    n = length // (2 * world)
    pieces = [list(range(i * n, (i + 1) * n)) for i in range(2 * world)]
    return counted([pieces[r] + pieces[2 * world - 1 - r] for r in range(world)])


def with_chunk(length, world):
    pieces = torch.arange(length).chunk(2 * world)
    return counted(
        [torch.cat([pieces[r], pieces[2 * world - 1 - r]]).tolist() for r in range(world)]
    )


def with_work(count):
    def answer(length, world):
        positions, _ = zigzag(length, world)
        return positions, [count(own, length) for own in positions]

    return answer


NEAR_MISSES = [
    ("in_order", one_stretch),
    ("striped", dealt_out),
    ("striped", dealt_out_from_1),
    ("both_from_the_front", halves),
    ("mirror_off_by_one", from_the_back),
    ("remainder", whole_pieces_only),
    ("remainder", with_chunk),
    ("own_keys_only", with_work(lambda own, n: sum(range(1, len(own) + 1)))),
    ("every_key", with_work(lambda own, n: n * len(own))),
    ("not_itself", with_work(lambda own, n: sum(own))),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    assert zigzag(8, 2) == ([[0, 1, 6, 7], [2, 3, 4, 5]], [18, 18])
    assert one_stretch(8, 2)[1] == [10, 26]
    assert zigzag(7, 2) == ([[0, 1, 6], [2, 3, 4, 5]], [10, 18])


def test_all_do_the_same_where_the_pieces_are_equal():
    for length, world in EXERCISE.cases():
        work = zigzag(length, world)[1]
        assert (len(set(work)) == 1) == (length % (2 * world) == 0)


@pytest.mark.parametrize("spoil", [lambda own: own[:-1], lambda own: [*own, 0]])
def test_a_position_lost_or_doubled_breaks_the_law(spoil):
    def answer(length, world):
        positions, work = zigzag(length, world)
        return [*positions[:-1], spoil(positions[-1])], work

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "each position belongs to one process" in verdict.message


def test_work_that_is_too_much_breaks_the_law():
    verdict = judge(EXERCISE, with_work(lambda own, n: sum(own) + 2 * len(own)))
    assert verdict.kind == "wrong" and "all work together is" in verdict.message
