import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minattn.tasks.captions import (
    PLURALS,
    Captioned,
    caption,
    captioned,
    captions,
    middle,
    sentence,
    vocabulary,
)
from minattn.tasks.emoji import CLASSES, GENDERS, TRAINED, names
from minattn.tasks.scenes import cells_inside, scenes
from minattn.vocabulary import BOS, EOS, PAD

LANGUAGES = "en", "de", "zh"
languages = pytest.mark.parametrize("language", LANGUAGES)
N, D = 23, 7
FOUND = scenes(N, TRAINED, seed=3)
FEATURES = torch.arange(N * 100 * D).reshape(N, 100, D) / 1000.0


def told(classes, rows, language):
    return sentence(caption([CLASSES.index(c) for c in classes], rows, language).words, language)


things = st.lists(st.integers(0, 31), min_size=1, max_size=4).flatmap(
    lambda c: st.tuples(
        st.just(c), st.integers(0, len(c)).map(lambda n: [0] * n + [1] * (len(c) - n))
    )
)


@pytest.mark.parametrize(
    "classes, rows, english, german, chinese",
    [
        (["octopus"], [1], "an octopus", "ein Oktopus", "图里有章鱼"),
        (
            ["cat", "grapes"],
            [1, 1],
            "a cat left of grapes",
            "eine Katze, rechts davon eine Traube",
            "图里有猫和葡萄",
        ),
        (
            ["star", "umbrella"],
            [0, 1],
            "a star above an umbrella",
            "ein Stern, darunter ein Regenschirm",
            "上面有星星，下面有雨伞",
        ),
        (
            ["apple", "house", "bee", "car"],
            [0, 0, 1, 1],
            "an apple left of a house above a bee left of a car",
            "ein Apfel, rechts davon ein Haus, darunter eine Biene, rechts davon ein Auto",
            "上面有苹果和房子，下面有蜜蜂和汽车",
        ),
    ],
)
def test_what_is_said(classes, rows, english, german, chinese):
    for language, expected in zip(LANGUAGES, (english, german, chinese), strict=True):
        assert told(classes, rows, language) == expected


@given(things=things, language=st.sampled_from(LANGUAGES))
def test_every_thing_is_named_once_and_in_order(things, language):
    classes, rows = things
    found = caption(classes, rows, language)
    naming = [(t, w) for t, w in zip(found.things, found.words, strict=True) if t is not None]
    assert naming == [(t, names(language)[which]) for t, which in enumerate(classes)]
    others = {w for t, w in zip(found.things, found.words, strict=True) if t is None}
    assert not others & {*names(language)}
    vocabulary(language).encode(found.words)


@languages
def test_a_caption_says_which_things_are_where(language):
    """Other things or other rows are told in other words, but for one row above or below."""
    every = {}
    for first in range(0, 32, 5):
        for second in range(1, 32, 5):
            for rows in ([0, 0], [0, 1]):
                every[first, second, *rows] = caption([first, second], rows, language).words
    assert len({*every.values()}) == len(every)
    assert caption([1, 2], [0, 0], language) == caption([1, 2], [1, 1], language)


def test_articles():
    for which, name in enumerate(CLASSES):
        english = caption([which], [0], "en").words
        vowel = name[0] in "aeiou"
        assert english == ((name,) if name in PLURALS else ("an" if vowel else "a", name))
        german = caption([which], [0], "de").words
        assert german == ({"m": "ein", "f": "eine", "n": "ein"}[GENDERS[which]], names("de")[which])


@languages
def test_the_vocabulary_has_what_captions_say_and_nothing_else(language):
    said = set()
    for which in range(32):
        for rows in ([0], [0, 0], [0, 1], [1, 1], [0, 0, 1]):
            said |= {*caption([which] * len(rows), rows, language).words}
    assert {*vocabulary(language).tokens[3:]} == said


def test_rows_are_halves_of_the_picture():
    told = captioned(FOUND, FEATURES)
    below = 0
    for which, one in zip(FOUND.classes, told, strict=True):
        middles = (one.boxes[:, 1] + one.boxes[:, 3]) / 2
        assert one.source == tuple(CLASSES[c] for c in which if c >= 0)
        assert ("above" in one.target) == (min(middles) < 20 <= max(middles))
        below += "above" in one.target
    assert 0 < below < N
    assert all(torch.equal(one.features, own) for one, own in zip(told, FEATURES, strict=True))


@settings(max_examples=5)
@given(language=st.sampled_from(LANGUAGES))
def test_the_truth_are_cells_in_the_box_of_what_a_word_names(language):
    told = captioned(FOUND, FEATURES, language)
    task = captions(told[:11], told[11:16], told[16:], language)
    truth = task.truth(task.train)
    batch = task.batch(task.train)
    assert truth.shape == (11, batch.target_out.shape[1], 100)
    for row, one in enumerate(task.train):
        for place in range(truth.shape[1]):
            thing = one.alignment[place] if place < len(one.alignment) else None
            for cell in range(100):
                y, x = 4 * (cell // 10) + 2, 4 * (cell % 10) + 2
                x0, y0, x1, y1 = (0, 0, 0, 0) if thing is None else one.boxes[thing]
                assert truth[row, place, cell].item() == (x0 <= x < x1 and y0 <= y < y1)
    finer = task.truth(task.train, cells=20)
    assert finer.shape == (*truth.shape[:2], 400) and torch.equal(finer.any(-1), truth.any(-1))


def test_the_middle_of_a_thing_are_cells_in_it():
    boxes = FOUND.boxes[FOUND.classes >= 0]
    near, inside = middle(boxes), cells_inside(boxes)
    assert (near <= inside).all() and set(near.sum(-1)) <= {1, 2, 4}
    for box, cells in zip(boxes, near, strict=True):
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        for cell in range(100):
            away = max(abs(4 * (cell % 10) + 2 - x), abs(4 * (cell // 10) + 2 - y))
            assert cells[cell] == (away <= 3.5) or away == 3.5


def test_a_batch():
    told = captioned(FOUND, FEATURES, "de")
    task = captions(told[:11], told[11:16], told[16:], "de")
    batch = task.batch(task.validation)
    assert torch.equal(batch.source, FEATURES[11:16]) and batch.source_mask.all()
    for row, one in enumerate(task.validation):
        ids = task.target.encode(one.target)
        n = len(ids)
        assert batch.target_in[row, : n + 1].tolist() == [BOS, *ids]
        assert batch.target_out[row, : n + 1].tolist() == [*ids, EOS]
        assert (batch.target_out[row, n + 1 :] == PAD).all()
        assert task.words(batch.target_out[row].tolist(), one) == list(one.target)


@pytest.mark.rejects
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: caption([], []), "things must be at least 1, got 0"),
        (lambda: caption([32], [0]), r"class must be in 0\.\.31, got \[32\]"),
        (lambda: caption([-1], [0]), r"class must be in 0\.\.31, got \[-1\]"),
        (lambda: caption([1, 2], [1, 0]), r"0 before 1, got \[1, 0\]"),
        (lambda: caption([1, 2], [1]), r"each of 2 things, 0 before 1, got \[1\]"),
        (lambda: caption([1], [2]), r"got \[2\]"),
        (lambda: caption([1], [0], "fr"), "language must be one of en, de, zh, got 'fr'"),
        (lambda: sentence(["un"], "fr"), "got 'fr'"),
        (lambda: captioned(FOUND, FEATURES[1:]), "features for each scene, got 22 for 23"),
        (lambda: captions([], [], []), "train must be at least 1, got 0"),
        (lambda: captions(*[captioned(FOUND, FEATURES)] * 3, "fr"), "got 'fr'"),
        (
            lambda: dataclasses.replace(captioned(FOUND, FEATURES)[0], boxes=np.zeros((5, 4))),
            "one box for each thing, got 5",
        ),
    ],
)
def test_what_cannot_be_said_is_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_example_shows_no_numbers():
    assert "tensor" not in repr(captioned(FOUND, FEATURES)[0])
    assert isinstance(captioned(FOUND, FEATURES)[0], Captioned)
