import pytest

from minattn.exercises.judging import judge
from minattn.exercises.many_machines.ex23_2_a_ring_that_moves import EXERCISE, ring

# Other right ways: who begins by sending is told otherwise, the other way round, straight to everybody, counted down.


def one_receives_first(rank, world, block):
    seen = [block]
    while len(seen) < world:
        if rank == world - 1:
            received = yield "receive", rank - 1
            yield "send", 0, block
        else:
            yield "send", rank + 1, block
            received = yield ("receive", (rank - 1) % world)
        block = received
        seen.append(block)
    return seen


def one_sends_first(rank, world, block):
    after, before = (rank + 1) % world, (rank + world - 1) % world
    seen = [block]
    for _ in range(1, world):
        if rank == 0:
            yield ["send", after, seen[-1]]
            seen.append((yield ["receive", before]))
        else:
            new = yield ["receive", before]
            yield ["send", after, seen[-1]]
            seen.append(new)
    return seen


def one_sends_first_and_others_by_turns(rank, world, block):
    """Let the first to send change from round to round."""
    seen = [block]
    for turn in range(world - 1):
        if rank == turn:
            yield "send", (rank + 1) % world, seen[turn]
        new = yield "receive", (rank - 1) % world
        if rank != turn:
            yield "send", (rank + 1) % world, seen[turn]
        seen.append(new)
    return tuple(seen)


def straight_to_everybody(rank, world, block):
    """Send one's own block to each other process; of every pair, the lower one sends first."""
    held = {rank: block}
    for other in range(world):
        if rank < other:
            yield "send", other, block
        if rank != other:
            held[other] = yield "receive", other
        if rank > other:
            yield "send", other, block
    return [held[(rank - distance) % world] for distance in range(world)]


def in_two_functions(rank, world, block):
    return ring(rank, world, block)


OTHER_WAYS = [
    one_receives_first,
    one_sends_first,
    one_sends_first_and_others_by_turns,
    straight_to_everybody,
    in_two_functions,
]


# Wrong ways, written as a learner writes them.


def send_and_receive(rank, world, block):
    seen = [block]
    for _ in range(world - 1):
        yield "send", (rank + 1) % world, block
        block = yield "receive", (rank - 1) % world
        seen.append(block)
    return seen


def receive_and_send(rank, world, block):
    seen = [block]
    for _ in range(world - 1):
        received = yield "receive", (rank - 1) % world
        yield "send", (rank + 1) % world, block
        block = received
        seen.append(block)
    return seen


def overwritten(rank, world, block):
    seen = [block]
    for _ in range(world - 1):
        if rank == 0:
            yield "send", (rank + 1) % world, block
            block = yield "receive", (rank - 1) % world
        else:
            block = yield "receive", (rank - 1) % world
            yield "send", (rank + 1) % world, block
        seen.append(block)
    return seen


def always_its_own(rank, world, block):
    seen = [block]
    for _ in range(world - 1):
        if rank % 2:
            seen.append((yield "receive", (rank - 1) % world))
        yield "send", (rank + 1) % world, block
        if not rank % 2:
            seen.append((yield "receive", (rank - 1) % world))
    return seen


def with_the_neighbour(rank, world, block):
    seen = [block]
    for _ in range(world - 1):
        if rank % 2 == 0:
            yield "send", rank + 1, block
            block = yield "receive", rank + 1
        else:
            received = yield "receive", rank - 1
            yield "send", rank - 1, block
            block = received
        seen.append(block)
    return seen


def as_often_as_there_are(rank, world, block):
    seen = [block]
    for _ in range(world):
        if rank == 0:
            yield "send", (rank + 1) % world, seen[-1]
        received = yield "receive", (rank - 1) % world
        if rank != 0:
            yield "send", (rank + 1) % world, seen[-1]
        seen.append(received)
    return seen


def shortened(rank, world, block):
    seen = [block]
    for _ in range(world - 2):
        if rank % 2 == 0:
            yield "send", (rank + 1) % world, seen[-1]
            received = yield "receive", (rank - 1) % world
        else:
            received = yield "receive", (rank - 1) % world
            yield "send", (rank + 1) % world, seen[-1]
        seen.append(received)
    return seen


NEAR_MISSES = [
    ("all_send_first", send_and_receive),
    ("all_receive_first", receive_and_send),
    ("passed_on_too_early", overwritten),
    ("own_block_again", always_its_own),
    ("in_pairs", with_the_neighbour),
    ("one_round_too_many", as_often_as_there_are),
    ("one_round_too_few", shortened),
]


# What is said: who waits for whom, and what else goes wrong.


@pytest.mark.parametrize("world", range(1, 6))
def test_in_the_right_ring_each_has_its_own_block_and_those_from_the_left(world):
    said = "; ".join(
        f"process {rank} returned {' '.join('ABCDE'[(rank - i) % world] for i in range(world))}"
        for rank in range(world)
    )
    assert repr(EXERCISE.trial(ring, world)) == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (send_and_receive, "process 0 waits to send to 1; process 1 waits to send to 0."),
        (receive_and_send, "process 0 waits to receive from 1; process 1 waits to receive from 0."),
        (as_often_as_there_are, "With world = 1: process 0 waits to send to 0."),
    ],
)
def test_who_waits_for_whom_is_said(answer, said):
    assert judge(EXERCISE, answer).where.endswith(said)


def leaves(rank, world, block):
    if rank == 0:
        return [block]
    return (yield from ring(rank, world, block))


def stops(rank, world, block):
    return (yield from ring(rank, world, [block][rank]))


def misspelt(rank, world, block):
    yield "sent", (rank + 1) % world, block


def only_steps(rank, world, block):
    return [("send", (rank + 1) % world, block)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (leaves, "process 1 waits to receive from 0, which has ended"),
        (stops, "process 1 stopped with IndexError: list index out of range"),
        (misspelt, """process 0 yielded ('sent', 0, 'A'), and not ("send", to, block) or"""),
        (only_steps, "With world = 1: process 0 waits to send to 0"),
    ],
)
def test_what_keeps_a_process_from_its_end_is_said(answer, said):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind in ("wrong", "mistake") and said in verdict.where, verdict


def test_a_forgotten_return_is_seen():
    def answer(rank, world, block):
        yield from ring(rank, world, block)

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and verdict.where == ""
    assert verdict.message.endswith("Got: process 0 returned None")


def test_blocks_in_another_order_are_told():
    def answer(rank, world, block):
        return sorted((yield from ring(rank, world, block)))

    verdict = judge(EXERCISE, answer)
    assert verdict.message.split("\n")[1:] == [
        "Input: world = 2",
        "Expected: process 0 returned A B; process 1 returned B A",
        "Got: process 0 returned A B; process 1 returned A B",
    ]


def test_a_ring_wrong_at_five_only_is_found():
    def answer(rank, world, block):
        seen = yield from ring(rank, world, block)
        return seen[::-1] if world == 5 else seen

    assert judge(EXERCISE, answer).kind == "wrong"
