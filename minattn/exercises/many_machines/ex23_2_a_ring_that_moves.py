"""Exercise 23.2: blocks go round a ring of processes, and nobody waits for ever."""

from collections.abc import Callable
from functools import partial
from typing import Any

from minattn.exercises.exercise import Answer, Case, Exercise, Mistake
from minattn.exercises.many_machines.processes import Steps, run_all

Place = Callable[[int, int], int]
"""Names a process as another one sees it, of its rank and the number of all."""


def ring(rank: int, world: int, block: Any) -> Steps:
    """Pass on the block that one holds, until all have been here; return them as they came."""
    return _ring(rank, world, block)


def _ring(
    rank: int,
    world: int,
    block: Any,
    *,
    sends_first: Callable[[int], bool] = lambda rank: rank % 2 == 0,
    rounds: int = -1,
    to: Place = lambda rank, world: (rank + 1) % world,
    source: Place = lambda rank, world: (rank - 1) % world,
    sent: str = "held",
) -> Steps:
    """Go round in some way.

    Args:
        rank: which process this is.
        world: how many there are.
        block: what it holds at first.
        sends_first: which ones do.
        rounds: how many there are more than processes.
        to: to whom a block is sent.
        source: from whom one is received.
        sent: "held", "own" (what it held at first) or "received" (just now, where it received first).
    """
    seen = [block]
    for _ in range(world + rounds):
        sends = "send", to(rank, world), seen[0] if sent == "own" else seen[-1]
        if sends_first(rank):
            yield sends
            seen.append((yield "receive", source(rank, world)))
        else:
            seen.append((yield "receive", source(rank, world)))
            yield (*sends[:2], seen[-1]) if sent == "received" else sends
    return seen


def _first(rank: int) -> bool:
    return rank == 0


def _all(rank: int) -> bool:
    return True


def _none(rank: int) -> bool:
    return False


def _partner(rank: int, world: int) -> int:
    return rank ^ 1


def _next(rank: int, world: int) -> int:
    return (rank + 1) % world


def _locate(answer: Answer, case: Case) -> tuple[str, str]:
    outcome = run_all(answer, *case)
    return "", "" if outcome.ended else outcome.text


EXERCISE = Exercise(
    number="23.2",
    title="A ring that moves",
    solution=ring,
    cases=lambda: [(world,) for world in range(1, 6)],
    trial=run_all,
    show_case=lambda world: f"world = {world}",
    locate=_locate,
    mistakes=[
        Mistake(
            "all_send_first",
            partial(_ring, sends_first=_all),
            "Every process begins by sending. A send lasts until the other one receives, and nobody comes to that: "
            "all wait for ever. Let at least one process receive before it sends.",
        ),
        Mistake(
            "all_receive_first",
            partial(_ring, sends_first=_none),
            "Every process begins by receiving, and nobody sends: all wait for ever. Let at least one process send "
            "before it receives.",
        ),
        Mistake(
            "passed_on_too_early",
            partial(_ring, sent="received"),
            "A process that receives first sends on what it has just received. The block that it held is lost to all "
            "the others. Keep the new one under another name until the old one is sent.",
            also=[
                partial(_ring, sent="received", sends_first=_first),
                partial(_ring, sent="received", sends_first=lambda rank: rank % 2 == 1),
                partial(_ring, sent="received", sends_first=lambda rank: rank > 0),
            ],
        ),
        Mistake(
            "own_block_again",
            partial(_ring, sent="own"),
            "A process sends its own block in every round. Its neighbour gets the same one again and again, and "
            "never sees those further away. Send on what you received in the round before.",
        ),
        Mistake(
            "in_pairs",
            partial(_ring, to=_partner, source=_partner),
            "You exchange with one partner only. With two processes that is a ring. With four, the blocks go "
            "back and forth in each pair, and with three, one has no partner. Send to rank + 1, receive from rank - 1.",
            also=[partial(_ring, to=_partner, source=_partner, sends_first=_first)],
        ),
        Mistake(
            "one_neighbour",
            partial(_ring, source=_next),
            "You receive from the process that you send to. With two, there is only one other. With more, each "
            "waits for a block that nobody sends it. Send to one side, and receive from the other.",
            also=[
                partial(_ring, source=_next, sends_first=_first),
                partial(_ring, to=lambda rank, world: (rank - 1) % world),
            ],
        ),
        Mistake(
            "one_round_too_many",
            partial(_ring, rounds=0),
            "There is a round too many. After world - 1 rounds every block has been everywhere, and the next one "
            "brings back the own block, which is then attended to twice. A process alone would wait for itself.",
            also=[partial(_ring, rounds=0, sends_first=first) for first in (_first, _none)],
        ),
        Mistake(
            "one_round_too_few",
            partial(_ring, rounds=-2),
            "There is a round too few: one block is missing everywhere. Each process begins with one of the world "
            "blocks, and each round brings it one more.",
        ),
    ],
)
