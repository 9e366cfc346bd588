import pytest

from minattn.exercises.many_machines.processes import Hangs, with_sums


def test_every_sum_is_of_all_processes():
    def work(rank, all_reduce):
        first = all_reduce(rank)
        return first, all_reduce(first + rank)

    assert with_sums(work, 3) == [(3, 12)] * 3


def test_without_a_sum_each_returns_what_it_has():
    assert with_sums(lambda rank, all_reduce: rank, 2) == [0, 1]


@pytest.mark.rejects
def test_a_sum_that_some_do_not_come_to_hangs():
    def work(rank, all_reduce):
        all_reduce(1)
        if rank % 2:
            all_reduce(1)

    with pytest.raises(Hangs, match="not called by process 0, 2, and the others wait"):
        with_sums(work, 3)
