"""The experiments of chapter 18 compare what they say they compare, and change nothing else."""

import pytest
import torch

from book.experiments.image_to_image_measures import (
    NEAR,
    SIDE,
    coloured,
    mean_decibels,
    mirrored,
    mirrored_by,
    no_such_dot,
    one_half,
    outlined,
    photo_crops,
    pointed,
    turned_well,
)
from book.experiments.image_to_image_models import (
    ConvolvedDots,
    ConvolvedPictures,
    FoldedAcross,
    make_colourer,
    make_turner,
)
from minattn.pictures.colouring import KernelColourer
from minattn.tasks.coloured_dots import at, coloured_dots
from minattn.tasks.turned_pictures import COMMANDS, sources, turned, turned_pictures
from minattn.training import seeded

TASK = turned_pictures(n_train=5, n_validation=3, n_held_out=16)
CROPS = coloured_dots("validation", 3, seed=2)


def exact():
    """A router that looks where it should, with nothing learned."""
    model = make_turner("attention")
    model.queries = lambda: 100 * torch.nn.functional.one_hot(sources(), 36).float()
    model.k_proj, model.place = torch.nn.Identity(), torch.nn.Parameter(torch.eye(36))
    numbered = torch.arange(16).reshape(1, 4, 4).expand(8, -1, -1)
    moves = turned(numbered, torch.arange(8)).flatten(1)
    model.within = torch.nn.Parameter(
        torch.nn.functional.one_hot(moves, 16).float().mT.contiguous()
    )
    return model


def test_a_router_that_looks_where_it_should_gets_full_marks():
    found = turned_well(exact(), TASK.held_out)
    assert found["inside"] == 1 and found["mass"] > 0.999 and found["hard"] == 100
    assert found["decibels"] > 80 and set(found["commands"]) == set(COMMANDS)


def test_photos_are_crops_with_every_command():
    batch = photo_crops(33)
    assert batch.picture.shape == (33, 24, 24) and len(set(batch.command.tolist())) == 8
    assert batch.picture.min() >= 0 and batch.picture.max() <= 1
    assert batch.picture.flatten(1).std(1).min() > 0


def test_pictures_and_answers_are_mirrored_each_by_its_own_coin():
    batch = turned_pictures(n_train=5, n_validation=3, n_held_out=200).held_out
    (found,) = mirrored_by("apart", [batch], seed=0)
    mirror = torch.ones(len(batch.picture), dtype=torch.int64)
    changed = []
    for was, now in ((batch.picture, found.picture), (batch.answer, found.answer)):
        same = (was == now).all((1, 2))
        assert torch.equal(now[~same], turned(was, mirror)[~same])
        changed.append(~same)
    counts = [
        int((changed[0] == a).logical_and(changed[1] == b).sum()) for a in (0, 1) for b in (0, 1)
    ]
    assert min(counts) > 30


@pytest.mark.parametrize("coins", ["together", "command"])
def test_one_coin_mirrors_both_and_only_a_changed_command_is_obeyed(coins):
    batch = turned_pictures(n_train=5, n_validation=3, n_held_out=200).held_out
    (found,) = mirrored_by(coins, [batch], seed=0)
    moved = (found.picture != batch.picture).any((1, 2))
    assert 60 < int(moved.sum()) < 140
    obeyed = (turned(found.picture, found.command) == found.answer).all((1, 2))
    quarter = torch.isin(batch.command, torch.tensor([4, 5, 6, 7]))
    if coins == "command":
        assert bool(obeyed.all())
    else:
        assert torch.equal(found.command, batch.command)
        assert bool(obeyed[~(quarter & moved)].all()) and not bool(obeyed[quarter & moved].all())


def test_outlines_are_the_distance_from_the_mean_of_nine_pixels():
    (found,) = outlined([TASK.held_out])
    picture = TASK.held_out.picture[3]
    mean = picture[4:7, 9:12].mean()
    assert float(found.answer[3, 5, 10]) == pytest.approx(float((picture[5, 10] - mean).abs()))
    assert torch.equal(found.picture, TASK.held_out.picture)


def test_mirrored_sources_are_those_of_the_mirrored_answer():
    """Mirroring after a command is another command, whose sources are known."""
    mirror_of = {0: 1, 2: 3, 4: 5}
    for one, other in mirror_of.items():
        assert torch.equal(mirrored(torch.tensor([one]))[0].int().argmax(-1), sources()[other])


def test_a_router_that_folds_across_has_the_same_weights_and_swaps_rows_and_columns_of_patches():
    with seeded(0):
        plain = make_turner("attention")
    with seeded(0):
        across = make_turner("folded across")
    assert isinstance(across, FoldedAcross)
    batch = TASK.held_out
    cells = plain(batch.picture, batch.command).reshape(-1, 6, 4, 6, 4)
    found = across(batch.picture, batch.command).reshape(-1, 6, 4, 6, 4)
    torch.testing.assert_close(found, cells.transpose(1, 3))


def reach(model, inputs, grey):
    """How far from the middle a change is seen, in pixels."""
    y, x = (n // 2 for n in grey.shape[1:])
    grey.requires_grad_()
    out = model(*inputs)[0, y, x].sum()
    (grad,) = torch.autograd.grad(out, grey)
    rows = grad[0].abs().sum(1).nonzero().flatten()
    return int(rows.min()) - y, int(rows.max()) - y


def test_dilated_convolutions_see_everything():
    with seeded(0):
        pictures, dots = ConvolvedPictures(5, (1, 2, 4, 8, 8)), ConvolvedDots(5)
    picture = torch.rand(1, 24, 24)
    assert reach(pictures, (picture, torch.tensor([3])), picture) == (-12, 11)
    grey = torch.rand(1, 64, 64)
    assert reach(dots, (grey, torch.tensor([[5]]), torch.rand(1, 1, 2)), grey) == (-32, 31)  # all


def test_the_convolution_gets_the_dots_where_they_are():
    with seeded(0):
        model = ConvolvedDots(3, ())
    moved = CROPS._replace(place=CROPS.place.roll(1, 1), dots=CROPS.dots.roll(1, 1))
    torch.testing.assert_close(coloured(model, moved), coloured(model, CROPS))
    other = CROPS._replace(place=(CROPS.place + 200) % SIDE**2)
    assert (coloured(model, other) - coloured(model, CROPS)).abs().max() > 0.01


def test_the_nearest_dot_and_the_mean_of_all_are_what_they_say():
    found = coloured(make_colourer("mean of the dots"), CROPS)
    torch.testing.assert_close(
        found, CROPS.dots.mean(1)[:, None, None].expand_as(found), atol=1e-4, rtol=0
    )
    found = coloured(make_colourer("nearest dot"), CROPS).flatten(1, 2)
    grid = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).float()
    distance = torch.cdist(grid, grid[CROPS.place])
    two = distance.topk(2, largest=False)
    clear = two.values[..., 1] - two.values[..., 0] > 0.1
    expected = at(CROPS.dots[:, :, None], two.indices[..., 0])
    torch.testing.assert_close(found[clear], expected[clear])


class Knows:
    """Answers with the right colours, or with one that is wrong."""

    def __init__(self, wrong=0.0):
        self.wrong = wrong

    def __call__(self, grey, place, dots):
        whole = {
            tuple(g.flatten()[:9].tolist()): c
            for g, c in zip(CROPS.grey, CROPS.colour, strict=True)
        }
        right = [whole[tuple(g.flatten()[:9].tolist())] for g in grey]
        return torch.stack(right) + self.wrong


@pytest.mark.parametrize("measure", [one_half, no_such_dot])
def test_where_dots_lie_changes_no_answer_that_does_not_ask_them(measure):
    found = measure(Knows(0.1), CROPS, CROPS.colour + 0.1, 0)
    scores = [value for name, value in found.items() if name != "crops"]
    assert all(abs(score - 20) < 1e-3 for score in scores)
    assert mean_decibels(Knows(0.1), CROPS) == pytest.approx(20, abs=1e-3)


class Asked(KernelColourer):
    """Remembers the dots that it is given."""

    def forward(self, grey, place, dots):
        self.seen = place, dots
        return super().forward(grey, place, dots)


def test_dots_of_one_half_lie_there_and_dots_of_no_such_colour_have_another():
    model = Asked()
    one_half(model, CROPS, CROPS.colour, 0)
    place, dots = model.seen
    assert bool((place % SIDE < SIDE // 2).all()) and torch.equal(dots, at(CROPS.colour, place))
    no_such_dot(model, CROPS, CROPS.colour, 0)
    place, dots = model.seen
    assert torch.equal(dots, at(CROPS.colour, place))
    generator = torch.Generator().manual_seed(0)
    pixel = torch.randint(SIDE**2, (3, 1), generator=generator)
    asked = at(CROPS.colour, pixel)
    alike = (CROPS.colour.flatten(1, 2) - asked).norm(dim=-1) < NEAR
    room = (~alike).sum(1) >= place.shape[1]
    assert bool(((dots - asked).norm(dim=-1) >= NEAR)[room].all()) and bool(room.any())


def test_the_best_dot_is_better_than_any_kernel():
    found = pointed(KernelColourer(), CROPS)
    assert found["best dot"] > mean_decibels(KernelColourer(), CROPS)
    assert found["chance"] < found["inside"] < 1


def test_convolutions_over_the_nearest_dots_begin_with_those():
    model = make_colourer("over nearest dots")
    for weight in model.near[-1].parameters():
        torch.nn.init.zeros_(weight)
    expected = coloured(make_colourer("nearest dot"), CROPS)
    torch.testing.assert_close(coloured(model, CROPS), expected)
    planes = model.laid_out(*CROPS[:3])
    torch.testing.assert_close(planes[:, :2].movedim(1, -1), expected)
    assert torch.equal(
        planes[:, 2].flatten(1).nonzero()[:, 1].view(3, -1), CROPS.place.sort().values
    )
