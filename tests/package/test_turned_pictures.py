import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minattn.tasks.digits import digits
from minattn.tasks.turned_pictures import (
    COMMANDS,
    DIGIT,
    PATCH,
    SIDE,
    canvases,
    sources,
    truth,
    turned,
    turned_pictures,
    with_commands,
)

BY_NUMPY = {
    "leave it": lambda x: x,
    "mirror left and right": np.fliplr,
    "mirror top and bottom": np.flipud,
    "half turn": lambda x: np.rot90(x, 2),
    "swap rows and columns": np.transpose,
    "quarter turn right": lambda x: np.rot90(x, -1),
    "quarter turn left": np.rot90,
    "half turn, then swap": lambda x: np.rot90(x, 2).T,
}
EACH = torch.arange(len(COMMANDS))


def test_commands_do_what_they_say():
    assert tuple(BY_NUMPY) == COMMANDS
    pictures = torch.rand(8, 5, 5)
    found = turned(pictures, EACH)
    for i, name in enumerate(COMMANDS):
        assert np.array_equal(found[i].numpy(), BY_NUMPY[name](pictures[i].numpy())), name


@given(commands=st.lists(st.integers(0, 7), min_size=1, max_size=11), side=st.integers(1, 7))
def test_a_picture_is_turned_alone_as_in_a_batch(commands, side):
    command = torch.tensor(commands)
    pictures = torch.rand(len(command), side, side)
    before = pictures.clone()
    found = turned(pictures, command)
    assert torch.equal(pictures, before)
    for i in range(len(command)):
        assert torch.equal(found[i : i + 1], turned(pictures[i : i + 1], command[i : i + 1]))


def test_patches_come_from_where_the_sources_say():
    n = SIDE // PATCH
    pictures = torch.rand(8, SIDE, SIDE)
    answers = turned(pictures, EACH)

    def patch(picture, number):
        y, x = divmod(number, n)
        return picture[PATCH * y : PATCH * y + PATCH, PATCH * x : PATCH * x + PATCH]

    for command, rows in enumerate(sources().tolist()):
        assert sorted(rows) == list(range(n * n))
        for to, source in enumerate(rows):
            moved = turned(patch(pictures[command], source)[None], EACH[command : command + 1])[0]
            assert torch.equal(patch(answers[command], to), moved)


def test_every_command_has_another_map_and_the_truth_is_the_map():
    assert len({tuple(row) for row in sources(5).tolist()}) == 8
    command = torch.tensor([6, 0, 5])
    found = truth(command)
    assert found.dtype == torch.bool and bool((found.sum(-1) == 1).all())
    assert torch.equal(found.int().argmax(-1), sources()[command])


def test_digits_lie_anywhere_and_cover_none():
    one = torch.ones(1, DIGIT, DIGIT)
    found = canvases(one, 997, torch.Generator().manual_seed(0))
    counts = found.sum((1, 2)) / DIGIT**2
    assert set(counts.tolist()) == {1.0, 2.0, 3.0, 4.0}  # whole digits: none is cut or covered
    assert bool((found.sum(0) > 0).all())  # every pixel is somewhere covered


def test_parts_have_digits_of_their_own():
    """The pixels of a canvas with one digit are those of a digit of its part."""

    def of(part):
        return digits(part).pictures.float() / 255

    task = turned_pictures(n_train=97, n_validation=89, n_held_out=83, seed=1)
    for part, pictures in {
        "train": task.train,
        "validation": task.validation.picture,
        "test": task.held_out.picture,
    }.items():
        known = {tuple(sorted(x[x > 0].tolist())) for x in of(part)}
        seen = [tuple(sorted(x[x > 0].tolist())) for x in pictures]
        assert sum(one in known for one in seen) > 10
        for other in {"train", "validation", "test"} - {part}:
            foreign = {tuple(sorted(x[x > 0].tolist())) for x in of(other)}
            assert sum(one in foreign - known for one in seen) == 0


def test_a_seed_decides_everything():
    one, same, other = (turned_pictures(5, 3, 2, seed=seed) for seed in (4, 4, 7))
    assert torch.equal(one.train, same.train) and not torch.equal(one.train, other.train)
    batches = one.batches(11, seed=2)
    first, second = next(batches), next(batches)
    assert torch.equal(first.answer, turned(first.picture, first.command))
    assert not torch.equal(first.command, second.command)
    again = next(one.batches(11, seed=2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_without_a_generator_commands_come_one_after_the_other():
    batch = with_commands(torch.rand(11, 3, 3))
    assert batch.command.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2]


@pytest.mark.rejects
@pytest.mark.plain
def test_what_is_no_square_or_no_command_is_refused():
    square = torch.zeros(2, 3, 3)
    with pytest.raises(ValueError, match=r"squares, got shape \(2, 3, 5\)"):
        turned(torch.zeros(2, 3, 5), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match=r"one command for each of 2 pictures, got \(1,\)"):
        turned(square, torch.tensor([0]))
    with pytest.raises(ValueError, match="ids from 0 to 7, got 8"):
        turned(square, torch.tensor([0, 8]))
    with pytest.raises(TypeError, match=r"torch.int64, got torch.int32"):
        turned(square, torch.tensor([0, 1], dtype=torch.int32))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        canvases(torch.zeros(1, 8, 8), 0, torch.Generator())
    with pytest.raises(ValueError, match="n_rows must be at least 1, got 0"):
        sources(0)
