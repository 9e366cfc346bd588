import numpy as np
import torch

from minattn.exercises.judging import judge
from minattn.exercises.object_queries.ex16_1_boxes import EXERCISE, iou

# Other right ways: loops, NumPy, in parts of the picture, by centres, by counting small squares.


def iou_by_loops(predicted, true, height, width):
    out = torch.zeros(len(predicted), len(true))
    for i, (cx, cy, w, h) in enumerate(predicted.tolist()):
        left, right = (cx - w / 2) * width, (cx + w / 2) * width
        top, bottom = (cy - h / 2) * height, (cy + h / 2) * height
        for j, (x0, y0, x1, y1) in enumerate(true.tolist()):
            across = max(0.0, min(right, x1) - max(left, x0))
            down = max(0.0, min(bottom, y1) - max(top, y0))
            both = (right - left) * (bottom - top) + (x1 - x0) * (y1 - y0)
            out[i, j] = across * down / (both - across * down)
    return out


def iou_numpy(predicted, true, height, width):
    cx, cy, w, h = (predicted.numpy() * [width, height, width, height]).T[:, :, None]
    x0, y0, x1, y1 = true.numpy().T
    across = np.minimum(cx + w / 2, x1) - np.maximum(cx - w / 2, x0)
    down = np.minimum(cy + h / 2, y1) - np.maximum(cy - h / 2, y0)
    shared = np.where((across > 0) & (down > 0), across * down, 0.0)
    return shared / (w * h + (x1 - x0) * (y1 - y0) - shared)


def iou_in_parts(predicted, true, height, width):
    """Shrink the true boxes: the share is the same in any unit."""
    cx, cy, w, h = predicted.unbind(1)
    a = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=1).unsqueeze(1)
    b = (true / torch.tensor([width, height, width, height])).unsqueeze(0)
    first = torch.max(a[..., :2], b[..., :2])
    last = torch.min(a[..., 2:], b[..., 2:])
    across, down = torch.relu(last - first).unbind(-1)
    areas = [(box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b)]
    return across * down / (areas[0] + areas[1] - across * down)


def iou_by_centres(predicted, true, height, width):
    """Turn the true boxes into centres, and find the sides of the overlap from distances."""
    scale = torch.tensor([width, height], dtype=torch.float32)
    centre, size = predicted[:, None, :2] * scale, predicted[:, None, 2:] * scale
    other, other_size = (true[:, :2] + true[:, 2:]) / 2, true[:, 2:] - true[:, :2]
    reach = (size + other_size) / 2 - (centre - other).abs()
    sides = torch.minimum(reach, torch.minimum(size, other_size)).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (size.prod(-1) + other_size.prod(-1) - shared)


OTHER_WAYS = [iou_by_loops, iou_numpy, iou_in_parts, iou_by_centres]


# Wrong ways, written as a learner writes them.


def of_corners(a, b):
    first, last = torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])
    across, down = (last - first).clamp(min=0).unbind(-1)
    areas = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (a, b)]
    return across * down / (areas[0][:, None] + areas[1] - across * down)


def iou_from_a_corner(predicted, true, height, width):
    x, y, w, h = (predicted * torch.tensor([width, height, width, height])).unbind(1)
    return of_corners(torch.stack([x, y, x + w, y + h], 1), true)


def iou_with_x_times_height(predicted, true, height, width):
    cx, cy, w, h = predicted.unbind(1)
    cx, w, cy, h = cx * height, w * height, cy * width, h * width
    return of_corners(torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1), true)


def iou_of_parts_and_pixels(predicted, true, height, width):
    cx, cy, w, h = predicted.unbind(1)
    return of_corners(torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1), true)


def iou_without_clamp(predicted, true, height, width):
    cx, cy, w, h = (predicted * torch.tensor([width, height, width, height])).T[..., None]
    x0, y0, x1, y1 = true.T
    across = torch.minimum(cx + w / 2, x1) - torch.maximum(cx - w / 2, x0)
    down = torch.minimum(cy + h / 2, y1) - torch.maximum(cy - h / 2, y0)
    return across * down / (w * h + (x1 - x0) * (y1 - y0) - across * down)


def iou_with_last_pixels(predicted, true, height, width):
    cx, cy, w, h = (predicted * torch.tensor([width, height, width, height])).T[..., None]
    left, top, right, bottom = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    x0, y0, x1, y1 = true.T
    across = (torch.minimum(right, x1) - torch.maximum(left, x0) + 1).clamp(min=0)
    down = (torch.minimum(bottom, y1) - torch.maximum(top, y0) + 1).clamp(min=0)
    area = (right - left + 1) * (bottom - top + 1)
    return across * down / (area + (x1 - x0 + 1) * (y1 - y0 + 1) - across * down)


def iou_by_the_sum(predicted, true, height, width):
    share = iou(predicted, true, height, width)
    return share / (1 + share)  # what the sum of both areas gives


def iou_by_the_true_area(predicted, true, height, width):
    cx, cy, w, h = (predicted * torch.tensor([width, height, width, height])).T[..., None]
    x0, y0, x1, y1 = true.T
    across = (torch.minimum(cx + w / 2, x1) - torch.maximum(cx - w / 2, x0)).clamp(min=0)
    down = (torch.minimum(cy + h / 2, y1) - torch.maximum(cy - h / 2, y0)).clamp(min=0)
    return across * down / ((x1 - x0) * (y1 - y0))


NEAR_MISSES = [
    ("centres_as_corners", iou_from_a_corner),
    ("height_for_width", iou_with_x_times_height),
    ("parts_against_pixels", iou_of_parts_and_pixels),
    ("negative_overlap", iou_without_clamp),
    ("plus_one", iou_with_last_pixels),
    ("union_not_subtracted", iou_by_the_sum),
    ("other_divisor", iou_by_the_true_area),
]


# What is said, and what the checker is tried on.


def test_boxes_overlap_are_beside_each_other_and_diagonal():
    kinds = set()
    for predicted, true, height, width in EXERCISE.cases():
        corners = predicted * torch.tensor([width, height, width, height])
        centre, size = corners[:, None, :2], corners[:, None, 2:]
        last = torch.minimum(centre + size / 2, true[:, 2:])
        sides = last - torch.maximum(centre - size / 2, true[:, :2])
        kinds |= {int(n) for n in (sides < 0).sum(-1).flatten()}
    assert kinds == {0, 1, 2}
    assert all(height != width for *_, height, width in EXERCISE.cases())


def test_counting_small_squares_gives_nearly_the_same():
    n = 40  # squares for a pixel
    for predicted, true, height, width in EXERCISE.cases()[:3]:
        x, y = (torch.arange(n * size) / n + 0.5 / n for size in (width, height))
        scaled = predicted * torch.tensor([width, height, width, height])
        for i, (cx, cy, w, h) in enumerate(scaled):
            own = ((x - cx).abs() < w / 2) & ((y - cy).abs() < h / 2)[:, None]
            for j, (x0, y0, x1, y1) in enumerate(true):
                other = (x > x0) & (x < x1) & ((y > y0) & (y < y1))[:, None]
                share = (own & other).sum() / (own | other).sum()
                assert abs(float(iou(predicted, true, height, width)[i, j] - share)) < 0.01


def test_the_numbers_of_the_task():
    predicted = torch.tensor([[0.25, 0.5, 0.2, 0.4]])
    true = torch.tensor([[10.0, 6.0, 18.0, 14.0]])
    torch.testing.assert_close(iou(predicted, true, 20, 40), torch.tensor([[1 / 3]]))


def test_rows_and_columns_exchanged_are_told_by_their_shape():
    verdict = judge(EXERCISE, lambda *case: iou(*case).T)
    assert verdict.kind == "wrong" and "has shape (2, 3), it should have (3, 2)" in verdict.message
