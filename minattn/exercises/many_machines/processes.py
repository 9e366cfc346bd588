"""Processes that take turns in one, so that it can be seen when all of them wait."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from minattn.exercises.exercise import Answer

Steps = Generator[tuple[Any, ...], Any, list[Any]]
"""The steps of one process: what it wants to do next; it is sent what it receives."""


@dataclass(frozen=True)
class Outcome:
    """What became of the processes: what each returned, or else what each still waits for."""

    text: str
    ended: bool

    def __repr__(self) -> str:
        return self.text if self.ended else "not every process comes to an end"


def run_all(answer: Answer, world: int) -> Outcome:
    """Run all processes in one: a message passes when one is at its send, and the other at its receive.

    Args:
        answer: makes the steps of a process, of its rank, the number of all, and the block it begins with.
        world: how many there are, 5 at most.
    """
    steps = [_steps(answer, rank, world) for rank in range(world)]
    wants: dict[int, Any] = {}
    returned: dict[int, Any] = {}

    def go_on(rank: int, received: Any = None) -> None:
        try:
            wants[rank] = steps[rank].send(received)
        except StopIteration as end:
            wants.pop(rank, None)
            returned[rank] = end.value
        except (Exception, SystemExit) as error:
            wants[rank] = error

    for rank in range(world):
        go_on(rank)
    while pair := next(filter(None, (_meeting(rank, wants) for rank in wants)), None):
        block = wants[pair[0]][2]
        go_on(pair[0])
        go_on(pair[1], block)
    if not wants:
        told = (f"process {rank} returned {_tell(returned[rank])}" for rank in range(world))
        return Outcome("; ".join(told), ended=True)
    waiting = (_tell_want(rank, wants[rank], returned) for rank in sorted(wants))
    return Outcome(f"With world = {world}: {'; '.join(waiting)}.", ended=False)


def _steps(answer: Answer, rank: int, world: int) -> Steps:
    """Begin one process; an error of its first line is an error of its first step."""
    result: list[Any] = yield from answer(rank, world, "ABCDE"[rank])
    return result


def _meeting(rank: int, wants: dict[int, Any]) -> tuple[int, int] | None:
    """Return sender and receiver, if a process wants to send and the other one to receive from it."""
    match wants[rank]:
        case ("send", to, _):
            match wants.get(to):
                case ("receive", source) if source == rank:
                    return rank, to
    return None


def _tell(result: Any) -> str:
    return " ".join(map(str, result)) if isinstance(result, list | tuple) else repr(result)


def _tell_want(rank: int, want: Any, returned: dict[int, Any]) -> str:
    """Say what a process waits for, or why it is not able to go on."""
    match want:
        case ("send", other, _) | ("receive", other):
            ended = ", which has ended" if other in returned else ""
            return f"process {rank} waits to {'send to' if len(want) == 3 else 'receive from'} {other}{ended}"
        case Exception() | SystemExit():
            return f"process {rank} stopped with {type(want).__name__}: {want}"
    return f'process {rank} yielded {want!r}, and not ("send", to, block) or ("receive", from)'


class Hangs(Exception):
    """Some processes wait for others that do not come."""


class _Waits(BaseException):
    """A process has come to a sum that is not known yet."""


def with_sums(work: Callable[[int, Answer], Any], world: int) -> Sequence[Any]:
    """Return what each process returns, where all may add up numbers of all with `all_reduce`.

    They run one after the other, up to the next sum; then all begin again, and are told it.

    Args:
        work: what a process does, of its rank and `all_reduce`.
        world: how many there are.

    Raises:
        Hangs: if some wait for a sum that others do not come to.
    """
    sums: list[Any] = []
    while True:
        given: dict[int, Any] = {}
        results = [_up_to_next_sum(work, rank, sums, given) for rank in range(world)]
        if not given:
            return results
        if len(given) < world:
            absent = ", ".join(str(rank) for rank in range(world) if rank not in given)
            raise Hangs(f"all_reduce is not called by process {absent}, and the others wait there")
        sums.append(sum(given.values()))


def _up_to_next_sum(
    work: Callable[[int, Answer], Any], rank: int, sums: Sequence[Any], given: dict[int, Any]
) -> Any:
    """Run a process; if it comes to a sum that is not known yet, note what it gives to it."""
    known = iter(sums)

    def all_reduce(x: Any) -> Any:
        for total in known:
            return total
        given[rank] = x.detach() if isinstance(x, Tensor) else x
        raise _Waits

    try:
        return work(rank, all_reduce)
    except _Waits:
        return None
