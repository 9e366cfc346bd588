import numpy as np
import torch
import torch.nn.functional as F

from minattn.dot_product import attend
from minattn.exercises.image_to_image.ex18_3_colours_from_dots import EXERCISE, colour_of_pixels
from minattn.exercises.judging import judge

# Other right ways: loops, kernels, dot products by the book's attention, NumPy, picture by picture.


def colours_by_loops(grey, place, colour, real, place_width, grey_width):
    out = torch.zeros(*grey.shape, 2)
    batch, height, width = grey.shape
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                total = 0.0
                for d in real[b].nonzero()[:, 0].tolist():
                    y, x = place[b, d].tolist()
                    apart = ((row - y) ** 2 + (column - x) ** 2) / place_width**2
                    lighter = ((grey[b, row, column] - grey[b, y, x]) / grey_width) ** 2
                    kernel = torch.exp(-(apart + lighter) / 2)
                    out[b, row, column] += kernel * colour[b, d]
                    total = total + kernel
                if total:
                    out[b, row, column] /= total
    return out


def colours_by_kernels(grey, place, colour, real, place_width, grey_width):
    """A product of two bells, one for each width, divided by its sum."""
    rows = torch.arange(grey.shape[1])[:, None, None] - place[:, None, None, :, 0]
    columns = torch.arange(grey.shape[2])[:, None] - place[:, None, None, :, 1]
    light = torch.stack([g[p[:, 0], p[:, 1]] for g, p in zip(grey, place, strict=True)])
    lighter = grey[..., None] - light[:, None, None]
    near = torch.exp(-(rows**2 + columns**2) / (2 * place_width**2))
    kernel = near * torch.exp(-(lighter**2) / (2 * grey_width**2)) * real[:, None, None]
    weights = kernel / kernel.sum(-1, keepdim=True).clamp(min=1e-30)
    return torch.einsum("brcd,bdk->brck", weights, colour)


def colours_by_the_book(grey, place, colour, real, place_width, grey_width):
    """Nearness as dot products: what the query alone has is the same for all keys."""
    height, width = grey.shape[1:]
    where = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float() / place_width
    pixels = torch.cat(
        [where.expand(len(grey), -1, -1), grey.flatten(1)[..., None] / grey_width], 2
    )
    index = place[..., 0] * width + place[..., 1]
    key = torch.stack([one[i] for one, i in zip(pixels, index, strict=True)])
    key = torch.cat([key, -(key**2).sum(-1, keepdim=True) / 2], -1)
    found = attend(F.pad(pixels, (0, 1), value=1.0), key, colour, real[:, None], scale=1.0)
    return found.view(*grey.shape, 2)


def colours_numpy(grey, place, colour, real, place_width, grey_width):
    grey, place, colour, real = (x.numpy() for x in (grey, place, colour, real))
    batch, height, width = grey.shape
    grid = np.stack(np.mgrid[:height, :width], -1)
    apart = ((grid[None, :, :, None] - place[:, None, None]) ** 2).sum(-1)
    light = grey[np.arange(batch)[:, None], place[..., 0], place[..., 1]]
    lighter = (grey[..., None] - light[:, None, None]) ** 2
    scores = -apart / (2 * place_width**2) - lighter / (2 * grey_width**2)
    powers = np.where(real[:, None, None], np.exp(scores - scores.max(-1, keepdims=True)), 0)
    total = powers.sum(-1, keepdims=True)
    weights = powers / np.where(total == 0, 1, total)
    return (weights[..., None] * colour[:, None, None]).sum(-2)


def colours_of_each(grey, place, colour, real, place_width, grey_width):
    """Take away the dots that are missing, picture by picture."""
    found = []
    for one, where, value, there in zip(grey, place, colour, real, strict=True):
        where, value = where[there], value[there]
        pixels = torch.nonzero(torch.ones_like(one)).float()
        distance = torch.cdist(pixels, where.float(), compute_mode="donot_use_mm_for_euclid_dist")
        lighter = one.reshape(-1, 1) - one[where[:, 0], where[:, 1]]
        scores = (distance / place_width) ** 2 + (lighter / grey_width) ** 2
        found.append((F.softmax(-scores / 2, dim=1) @ value).view(*one.shape, 2))
    return torch.stack(found)


OTHER_WAYS = [
    colours_by_loops,
    colours_by_kernels,
    colours_by_the_book,
    colours_numpy,
    colours_of_each,
]


# Wrong ways, written as a learner writes them: one function with a line of it changed.


def squares(grey, place, pixels=None):
    height, width = grey.shape[1:]
    if pixels is None:
        pixels = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    distance = (pixels[:, None] - place[:, None]).float().norm(dim=-1)
    light = grey.flatten(1).gather(1, place[..., 0] * width + place[..., 1])
    return distance, (grey.flatten(1)[..., None] - light[:, None]).abs()


def colours_over_pixels(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = -((distance / place_width) ** 2) / 2 - (lighter / grey_width) ** 2 / 2
    weights = scores.masked_fill(~real[:, None], float("-inf")).softmax(dim=1)
    return (weights @ colour).view(*grey.shape, 2)


def colours_by_meshgrid(grey, place, colour, real, place_width, grey_width):
    axes = torch.arange(grey.shape[2]), torch.arange(grey.shape[1])
    x, y = torch.meshgrid(*axes, indexing="xy")
    distance, lighter = squares(grey, place, torch.stack([x, y], -1).reshape(-1, 2))
    scores = -((distance / place_width) ** 2) / 2 - (lighter / grey_width) ** 2 / 2
    weights = scores.masked_fill(~real[:, None], float("-inf")).softmax(-1).nan_to_num()
    return (weights @ colour).view(*grey.shape, 2)


def colours_with_widths_as_they_are(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = -(distance**2) / (2 * place_width) - lighter**2 / (2 * grey_width)
    weights = scores.masked_fill(~real[:, None], float("-inf")).softmax(-1).nan_to_num()
    return (weights @ colour).view(*grey.shape, 2)


def colours_by_the_sum(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = -(distance**2 + lighter**2) / (2 * (place_width**2 + grey_width**2))
    weights = scores.masked_fill(~real[:, None], float("-inf")).softmax(-1).nan_to_num()
    return (weights @ colour).view(*grey.shape, 2)


def colours_without_minus(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = ((distance / place_width) ** 2 + (lighter / grey_width) ** 2) / 2
    weights = scores.masked_fill(~real[:, None], float("-inf")).softmax(-1).nan_to_num()
    return (weights @ colour).view(*grey.shape, 2)


def colours_and_grey(grey, *rest):
    return grey.unsqueeze(-1) + colours_of_each(grey, *rest)


def colours_times_real(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = -((distance / place_width) ** 2 + (lighter / grey_width) ** 2) / 2
    return (scores.softmax(-1) @ (colour * real[..., None])).view(*grey.shape, 2)


def colours_without_a_look_at_nan(grey, place, colour, real, place_width, grey_width):
    distance, lighter = squares(grey, place)
    scores = -((distance / place_width) ** 2 + (lighter / grey_width) ** 2) / 2
    scores[~real[:, None].expand_as(scores)] = -1e9
    return (scores.softmax(-1) @ colour).view(*grey.shape, 2)


NEAR_MISSES = [
    ("softmax_over_pixels", colours_over_pixels),
    ("rows_and_columns_exchanged", colours_by_meshgrid),
    ("width_misused", colours_with_widths_as_they_are),
    ("summed_before_divided", colours_by_the_sum),
    ("farthest_first", colours_without_minus),
    ("grey_added", colours_and_grey),
    ("missing_dots_counted", colours_times_real),
    ("none_to_ask", colours_without_a_look_at_nan),
]


# What is said, and what the checker is tried on.


def test_no_softmax_is_saturated_and_each_width_matters():
    for grey, place, _, real, place_width, grey_width in EXERCISE.cases():
        distance, lighter = squares(grey, place)
        near, alike = (distance / place_width) ** 2 / 2, (lighter / grey_width) ** 2 / 2
        weights = (-near - alike).masked_fill(~real[:, None], -1e9).softmax(-1)
        assert float(weights.amax(-1)[real.sum(1) > 1].median()) < 0.95
        assert min(float(near.std()), float(alike.std())) > 0.2


def test_the_first_case_misses_no_dot_and_a_later_picture_has_none():
    first, *others = [case[3] for case in EXERCISE.cases()]
    assert bool(first.all()) and all(not real.all() for real in others)
    assert any(not row.any() for real in others for row in real)
    assert any(real[i, 0] != real[i, -1] for real in others for i in range(len(real)))


def test_the_numbers_of_the_task():
    grey = torch.tensor([[[0.5, 0.5, 0.7]]])
    place, colour = torch.tensor([[[0, 0], [0, 2]]]), torch.tensor([[[0.2, -0.1], [-0.2, 0.1]]])
    found = colour_of_pixels(grey, place, colour, torch.ones(1, 2).bool(), 1.0, 0.2)
    weight = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(found[0, 0, 1, 0], 0.2 * (2 * weight - 1), rtol=1e-5)
    np.testing.assert_allclose(weight, 0.62, atol=0.005)


def test_a_picture_without_dots_that_gets_a_colour_is_told_so():
    def always_a_third(grey, *rest):
        found = colour_of_pixels(grey, *rest)
        found[~rest[2].any(1)] = 1 / 3
        return found

    verdict = judge(EXERCISE, always_a_third)
    assert verdict.kind == "wrong" and "without a dot" in verdict.message
