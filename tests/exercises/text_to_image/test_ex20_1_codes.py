import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.text_to_image.ex20_1_codes import EXERCISE, there_and_back

# Other right ways: unfold and fold, slices in loops, cdist, NumPy.


def codes_by_unfold(pictures, centres):
    side = round(centres.shape[1] ** 0.5)
    patches = F.unfold(pictures[:, None], side, stride=side).mT
    codes = torch.cdist(patches, centres.expand(len(patches), -1, -1)).argmin(-1)
    drawn = F.fold(centres[codes].mT, pictures.shape[1:], side, stride=side)
    return codes, drawn[:, 0]


def codes_by_loops(pictures, centres):
    side = round(centres.shape[1] ** 0.5)
    drawn, all_codes = torch.zeros_like(pictures), []
    for picture, canvas in zip(pictures, drawn, strict=True):
        codes = []
        for top in range(0, picture.shape[0], side):
            for left in range(0, picture.shape[1], side):
                rows, columns = slice(top, top + side), slice(left, left + side)
                off = [float((picture[rows, columns].flatten() - c).norm()) for c in centres]
                codes.append(min(range(len(off)), key=off.__getitem__))
                canvas[rows, columns] = centres[codes[-1]].view(side, side)
        all_codes.append(codes)
    return torch.tensor(all_codes), drawn


def codes_without_differences(pictures, centres):
    """|a - b|^2 is |a|^2 - 2 a b + |b|^2, and the first is the same for all centres."""
    side = round(centres.shape[1] ** 0.5)
    n, height, width = pictures.shape
    rows, columns = height // side, width // side
    patches = pictures.view(n, rows, side, columns, side).transpose(2, 3)
    codes = (centres.square().sum(1) - 2 * patches.reshape(n, -1, side**2) @ centres.T).argmin(-1)
    drawn = centres[codes].view(n, rows, columns, side, side).transpose(2, 3)
    return codes, drawn.reshape(n, height, width)


def codes_numpy(pictures, centres):
    x, c = pictures.numpy(), centres.numpy()
    side = round(c.shape[1] ** 0.5)
    n, height, width = x.shape
    grid = x.reshape(n, height // side, side, width // side, side).swapaxes(2, 3)
    patches = grid.reshape(n, -1, 1, side * side)
    codes = ((patches - c) ** 2).mean(-1).argmin(-1)
    drawn = c[codes].reshape(grid.shape).swapaxes(2, 3).reshape(n, height, width)
    return codes, drawn


OTHER_WAYS = [codes_by_unfold, codes_by_loops, codes_without_differences, codes_numpy]


# Wrong ways, written as a learner writes them.


def written(order=(0, 1, 3, 2, 4), choose=None, back=(0, 1, 3, 2, 4), draw=True):
    def answer(pictures, centres):
        side = int(centres.shape[1] ** 0.5)
        n, height, width = pictures.shape
        rows, columns = height // side, width // side
        grid = pictures.view(n, rows, side, columns, side).permute(*order)
        patches = grid.reshape(n, rows * columns, side * side)
        off = patches[:, :, None] - centres[None, None]
        codes = off.square().sum(-1).argmin(-1) if choose is None else choose(patches, centres, off)
        if not draw:
            return codes, centres[codes].reshape(n, height, width)
        drawn = centres[codes].view(n, rows, columns, side, side).permute(*back)
        return codes, drawn.reshape(n, height, width)

    return answer


def strips(pictures, centres):
    patches = pictures.view(len(pictures), -1, centres.shape[1])
    codes = torch.cdist(patches, centres).argmin(-1)
    return codes, centres[codes].view_as(pictures)


def by_columns(pictures, centres):
    codes, drawn = there_and_back(pictures.mT, centres)
    return codes, drawn.mT


NEAR_MISSES = [
    ("strips", strips),
    ("columns_first", by_columns),
    ("pixels_by_columns", written(order=(0, 1, 3, 4, 2))),
    ("farthest", written(choose=lambda patches, centres, off: off.square().sum(-1).argmax(-1))),
    (
        "largest_product",
        written(choose=lambda patches, centres, off: (patches @ centres.T).argmax(-1)),
    ),
    ("other_distance", written(choose=lambda patches, centres, off: off.abs().sum(-1).argmin(-1))),
    ("other_distance", written(choose=lambda patches, centres, off: off.sum(-1).abs().argmin(-1))),
    ("drawn_in_strips", written(draw=False)),
    ("not_drawn", lambda p, c: (there_and_back(p, c)[0], c[there_and_back(p, c)[0]])),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    picture = torch.tensor([[[0, 1, 8, 9], [1, 0, 9, 9], [0, 9, 1, 1], [0, 8, 0, 0]]]).float()
    centres = torch.tensor([[0.0, 0, 0, 0], [9, 9, 9, 9], [0, 9, 0, 9]])
    codes, drawn = there_and_back(picture, centres)
    assert codes.tolist() == [[0, 1, 2, 0]]
    assert drawn[0].tolist() == [[0, 0, 9, 9], [0, 0, 9, 9], [0, 9, 0, 0], [0, 9, 0, 0]]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_what_is_drawn_has_the_same_codes_and_is_drawn_again_alike(case):
    codes, drawn = there_and_back(*case)
    again, drawn_again = there_and_back(drawn, case[1])
    assert torch.equal(again, codes) and torch.equal(drawn_again, drawn)


def test_no_two_centres_are_nearly_as_near():
    for pictures, centres in EXERCISE.cases():
        side = round(centres.shape[1] ** 0.5)
        patches = F.unfold(pictures[:, None], side, stride=side).mT
        off = (patches[:, :, None] - centres).norm(dim=-1).sort(-1).values
        assert float((off[..., 1] - off[..., 0]).min()) > 1e-3


def test_codes_alone_are_told_so():
    verdict = judge(EXERCISE, lambda *case: there_and_back(*case)[0])
    assert verdict.kind == "wrong" and "should be a tuple" in verdict.message
