import hashlib
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.tasks.emoji import CLASSES, DESIGNERS, TRAINED, UNSEEN, sheet
from minattn.tasks.scenes import NOTHING, Scenes, cells_inside, crops, scenes


def arrays(found):
    return {
        part.name: getattr(found, part.name)
        for part in fields(found)
        if getattr(found, part.name) is not None
    }


def digest(found):
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays(found).values())).hexdigest()[:16]


def drawn(number=53, designers=TRAINED, seed=3, **settings):
    return scenes(number, designers, seed=seed, **settings)


def test_the_same_seed_gives_the_scenes_that_everything_was_measured_on():
    assert digest(scenes(101, DESIGNERS, seed=7)) == "242b7ccccdf9e8e8"
    free = scenes(
        101, DESIGNERS, seed=7, layout="free", overlap=4, background="gradient", masks=True
    )
    assert digest(free) == "e6de7c61d00e8296"
    assert digest(crops(101, DESIGNERS, seed=7)) == "c3475bdf1cc8db17"
    assert digest(drawn(seed=4)) != digest(drawn(seed=5))


@given(
    seed=st.integers(0, 1000),
    largest=st.integers(1, 4),
    layout=st.sampled_from(["rows", "free"]),
    background=st.sampled_from(["white", "plain", "gradient"]),
)
@settings(max_examples=20, deadline=None)
def test_every_scene_has_one_thing_at_least_and_boxes_that_fit(seed, largest, layout, background):
    found = drawn(19, seed=seed, largest=largest, layout=layout, background=background)
    there = found.classes >= 0
    assert found.pictures.shape == (19, 40, 40, 3) and found.classes.shape == (19, largest)
    assert there[:, 0].all() and (there[:, 1:] <= there[:, :-1]).all()
    assert (found.designers[~there] == -1).all() and (found.classes[~there] == -1).all()
    assert (found.boxes[~there] == 0).all()
    assert set(found.designers[there]) <= {DESIGNERS.index(name) for name in TRAINED}
    assert (found.classes < len(CLASSES)).all()
    x0, y0, x1, y1 = found.boxes[there].T
    assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 <= 40).all() and (y1 <= 40).all()
    longer, shorter = np.maximum(x1 - x0, y1 - y0), np.minimum(x1 - x0, y1 - y0)
    assert (longer >= 12).all() and (longer <= 16).all() and (shorter >= 6).all()


def overlaps(found):
    """By how much each two boxes of a scene overlap, in the direction where it is less."""
    for boxes, classes in zip(found.boxes, found.classes, strict=True):
        some = boxes[classes >= 0]
        for i, one in enumerate(some):
            for other in some[:i]:
                both = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
                yield both.min()


def test_boxes_overlap_by_no_more_than_allowed_and_by_that_much_now_and_then():
    assert max(overlaps(drawn(301))) <= 0
    assert max(overlaps(drawn(301, layout="free"))) <= 0
    assert max(overlaps(drawn(301, layout="free", overlap=3))) == 3


def test_rows_are_read_from_the_upper_left():
    found = drawn(401, largest=4)
    rows = []
    for boxes, classes in zip(found.boxes, found.classes, strict=True):
        some = boxes[classes >= 0]
        upper = some[:, 3] <= 20
        assert (upper | (some[:, 1] >= 20)).all()
        order = np.lexsort([some[:, 0], ~upper])
        assert order.tolist() == list(range(len(some)))
        rows.append((int(upper.sum()), int((~upper).sum())))
    every = {(u, v) for u in range(3) for v in range(3) if u + v}
    assert set(rows) == every


def test_things_anywhere_are_in_order_of_their_upper_edges():
    found = drawn(301, layout="free")
    for boxes, classes in zip(found.boxes, found.classes, strict=True):
        upper = boxes[classes >= 0, 1]
        assert (np.diff(upper) >= 0).all()
    assert np.bincount((found.classes >= 0).sum(1)).tolist()[0] == 0
    assert np.bincount((found.classes >= 0).sum(1), minlength=4)[1:].min() > 60


def test_outside_of_the_boxes_a_white_picture_is_white_and_each_box_is_full():
    found = drawn(101)
    for picture, boxes, classes in zip(found.pictures, found.boxes, found.classes, strict=True):
        ink = (picture < 255).any(-1)
        for x0, y0, x1, y1 in boxes[classes >= 0].astype(int):
            part = ink[y0:y1, x0:x1]
            assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
            ink[y0:y1, x0:x1] = False
        assert not ink.any()


def test_a_thing_looks_like_its_emoji():
    """The picture in its box is nearest to the right one of the sheet, of all 32."""
    found, right, count = drawn(101, UNSEEN), 0, 0
    emoji = sheet("twemoji").astype(float)
    emoji = emoji[..., :3] + 255 - emoji[..., 3:]
    means = emoji.reshape(32, 3, 8, 3, 8, 3).mean((2, 4))
    for picture, boxes, classes in zip(found.pictures, found.boxes, found.classes, strict=True):
        for (x0, y0, x1, y1), name in zip(boxes.astype(int), classes, strict=True):
            if name < 0:
                continue
            side = max(x1 - x0, y1 - y0)
            square = np.full((side, side, 3), 255.0)
            top, left = (side - (y1 - y0)) // 2, (side - (x1 - x0)) // 2
            square[top : top + y1 - y0, left : left + x1 - x0] = picture[y0:y1, x0:x1]
            at = np.arange(3 * side) // 3
            large = square[at][:, at].reshape(3, side, 3, side, 3).mean((1, 3))
            right += np.abs(means - large).mean((1, 2, 3)).argmin() == name
            count += 1
    assert right > 0.9 * count


def test_masks_show_what_is_in_front():
    found = drawn(301, layout="free", overlap=5, masks=True)
    there = found.classes >= 0
    assert found.masks.shape == (301, 3, 40, 40) and not found.masks[~there].any()
    assert (found.masks.sum(1) <= 1).all()  # one pixel shows one thing
    rows, columns = np.mgrid[:40, :40] + 0.5
    x0, y0, x1, y1 = (found.boxes[..., i, None, None] for i in range(4))
    inside = (x0 < columns) & (columns < x1) & (y0 < rows) & (rows < y1)
    assert (found.masks <= inside).all()
    first = [  # of two whose boxes overlap, sometimes the first is in front, sometimes the second
        found.masks[i, 0][inside[i, 0] & inside[i, 1]].sum()
        > found.masks[i, 1][inside[i, 0] & inside[i, 1]].sum()
        for i in range(301)
        if there[i, 1] and (inside[i, 0] & inside[i, 1]).sum() > 8
    ]
    assert 0.2 < np.mean(first) < 0.8 and len(first) > 20


def test_masks_change_nothing_else():
    one, other = drawn(layout="free"), drawn(layout="free", masks=True)
    for name, found in arrays(one).items():
        np.testing.assert_array_equal(found, getattr(other, name))
    assert one.masks is None


def test_colours_vary_from_one_to_the_next():
    found = drawn(301, ["noto"], largest=1)
    hearts = found.pictures[found.classes[:, 0] == CLASSES.index("heart")]
    assert len(hearts) > 3
    reddest = [int(p[..., 1][p[..., 1] < 250].min()) for p in hearts]
    assert len(set(reddest)) > 2


def test_backgrounds():
    plain = drawn(7, background="plain", largest=1).pictures
    corners = plain[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert all(len({tuple(c) for c in one}) <= 2 for one in corners.tolist())  # one may be hidden
    assert len({tuple(one[0]) for one in corners.tolist()}) > 4
    gradient = drawn(7, background="gradient", largest=1).pictures
    corners = gradient[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert all(len({tuple(c) for c in one}) >= 3 for one in corners.tolist())


def test_some_of_the_scenes():
    found = drawn(11, masks=True)
    some = found[2:5]
    assert isinstance(some, Scenes) and len(some) == 3 and len(found) == 11
    for name, part in arrays(some).items():
        np.testing.assert_array_equal(part, getattr(found, name)[2:5])
    assert drawn(11)[found.classes[:, 1] < 0].masks is None


def test_crops_show_a_thing_in_the_middle_or_none():
    found = crops(2003, TRAINED, seed=1)
    assert found.pictures.shape == (2003, 16, 16, 3) and len(found) == 2003
    empty = found.classes == NOTHING
    assert abs(empty.mean() - 0.2) < 0.03
    middle = (found.pictures[:, 7:9, 7:9] < 240).any((1, 2, 3))
    assert middle[~empty].mean() > 0.99 and not middle[empty].any()
    beside = (found.pictures[empty] < 240).any((1, 2, 3)).mean()
    assert 0.25 < beside < 0.5  # half of them have something beside, if it reaches in
    assert (np.bincount(found.classes)[:NOTHING] > 25).all()


def test_all_crops_or_none_show_nothing():
    assert (crops(101, TRAINED, seed=1, nothing=1).classes == NOTHING).all()
    assert (crops(101, TRAINED, seed=1, nothing=0).classes < NOTHING).all()


@given(x0=st.integers(0, 30), y0=st.integers(0, 30), w=st.integers(1, 10), h=st.integers(1, 10))
def test_cells_whose_centre_is_inside(x0, y0, w, h):
    inside = cells_inside(np.array([x0, y0, x0 + w, y0 + h], dtype=float)).reshape(10, 10)
    for row in range(10):
        for column in range(10):
            x, y = 4 * column + 2, 4 * row + 2
            assert inside[row, column] == (x0 <= x < x0 + w and y0 <= y < y0 + h)


def test_cells_of_many_boxes_and_of_none():
    found = drawn(11)
    inside = cells_inside(found.boxes)
    assert inside.shape == (11, 3, 100)
    assert inside.any(-1).tolist() == (found.classes >= 0).tolist()
    assert cells_inside(np.array([0.0, 0, 7, 7]), cells=7, size=7).sum() == 49


@pytest.mark.rejects
def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="number must be at least 1, got 0"):
        drawn(0)
    with pytest.raises(ValueError, match="designers must be at least one, got none"):
        drawn(designers=[])
    with pytest.raises(ValueError, match=r"designer must be one of .*, got 'nobody'"):
        crops(3, ["noto", "nobody"], seed=1)
    with pytest.raises(ValueError, match="layout must be one of rows, free, got 'grid'"):
        drawn(layout="grid")
    with pytest.raises(ValueError, match="background must be one of white, plain, gradient, got"):
        drawn(background="black")
    with pytest.raises(ValueError, match="largest must be at most 4, got 5"):
        drawn(largest=5)
    with pytest.raises(ValueError, match='overlap must be 0 where the layout is "rows", got 2'):
        drawn(overlap=2)
    with pytest.raises(ValueError, match="overlap must be at least 0, got -1"):
        drawn(overlap=-1, layout="free")
    with pytest.raises(ValueError, match=r"nothing must be in \[0, 1\], got 2"):
        crops(3, TRAINED, seed=1, nothing=2)
