"""The live place of chapters 15 and 16: its models say what the package says, and a reader can play with them."""

import base64
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page

from book.tools import live_scene
from book.tools.browsing import (
    CHROMIUM,
    DESK,
    MISSING,
    OPEN_ALL,
    PHONE,
    VIOLATIONS,
    axe_script,
    watch,
)
from minattn.pictures.captioning import Captioner, steered
from minattn.pictures.patches import Stem
from minattn.pictures.queries import ObjectQueries, detections
from minattn.recording import recording
from minattn.tasks.captions import caption, middle, vocabulary
from minattn.tasks.emoji import CLASSES, DESIGNERS, TRAINED, UNSEEN, sprite
from minattn.tasks.scenes import SIZE, SIZES, cells_inside, scenes
from minattn.vocabulary import BOS, EOS
from tests.page.live_page import engine_of, live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
LIVE = STATIC / "live"
SCRIPTS = tuple(LIVE / name for name in (*engine_of("scene"), "scene.js"))
SHEETS = tuple(STATIC / name for name in ("minattn.css", "live/live.css", "live/scene.css"))
LOAD = "document.querySelectorAll('.live').forEach(minattn.widgets.scene)"
READY = "() => !document.querySelector('[aria-busy]') && document.querySelector('.scene .answer .verdict')"
WITHIN = 1e-3
N = 200
NARROWEST = {"width": 320, "height": 700}

# Everything that the page shows of many pictures, which come as one long row of bytes.
SAY = """async ([pictures, n, off]) => {
    const [stem, captioner, queries] = await Promise.all(
        ['scene_stem', 'scene_captioner', 'scene_queries'].map((name) => minattn.loadModel(name)));
    const bytes = Uint8Array.from(atob(pictures), (sign) => sign.charCodeAt(0));
    const [times, found] = [[], []];
    for (let i = 0; i < n; i++) {
        const before = performance.now();
        const cells = stem.cells(bytes.subarray(i * 4800, (i + 1) * 4800));
        const seen = performance.now();
        const words = captioner.write(cells);
        const written = performance.now();
        const answers = queries.ask(cells);
        times.push([seen - before, written - seen, performance.now() - written]);
        const on = [...queries.queries.keys()].filter((query) => query !== off);
        found.push({words, answers, others: queries.ask(cells, on)});
    }
    return {found, times};
}"""

Open = Callable[..., Page]


# --- the package, with the weights that stand in the files ------------------------------------------------


def entry(name: str) -> dict[str, Any]:
    text = (LIVE / "weights" / f"{name}.js").read_text("utf-8")
    return json.loads(text[text.index("= {") + 2 : text.rindex(";")])


def loaded(name: str, model: torch.nn.Module) -> Any:
    found = entry(name)
    numbers = np.frombuffer(base64.b64decode(found["data"], validate=True), "<f2").astype("f4")
    state = {
        key: torch.from_numpy(numbers[start : start + math.prod(shape)].reshape(shape).copy())
        for key, (start, shape) in found["table"].items()
    }
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def stem() -> Stem:
    return loaded("scene_stem", Stem())


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return loaded("scene_captioner", Captioner(96, len(vocabulary())))


@pytest.fixture(scope="module")
def queries() -> ObjectQueries:
    return loaded("scene_queries", ObjectQueries(96, len(CLASSES)))


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Held-out scenes: in rows as chapter 15 has them, anywhere as chapter 16, and by a designer never seen."""
    parts = [
        scenes(N // 2, TRAINED, seed=3),
        scenes(N // 4, TRAINED, seed=16, layout="free"),
        scenes(N // 4, UNSEEN, seed=6),
    ]
    return torch.from_numpy(np.concatenate([part.pictures for part in parts]))


def written(
    model: Captioner, cells: torch.Tensor, looks: dict[int, torch.Tensor], most: int = 24
) -> list[tuple[int, float, torch.Tensor]]:
    """Write the likeliest word each time: its id, its probability, and the weights; one picture at a time."""
    memory = model.encode(cells[None])
    token, state, found = torch.tensor([BOS]), model.start(memory), []
    while len(found) < most:
        with recording(model) as record:
            logits, after = model.step(token, state, memory)
        weights = record.weights()[0, 0]
        if len(found) in looks:  # where it looks is given, and the value of what it reads follows
            weights = looks[len(found)]
            context = (weights[None, None] @ memory.states)[:, 0]
            logits = model.out_proj(context) + model.words_proj(after[2])
            after = after[0], context, after[2]
        state, likely = after, logits.softmax(-1)[0]
        token = likely.argmax(keepdim=True)
        if token.item() == EOS:
            break
        found.append((token.item(), likely.max().item(), weights))
    return found


# --- the engine -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An empty page, opened as a file, with the engine."""
    blank = tmp_path_factory.mktemp("blank") / "blank.html"
    blank.write_text("<!DOCTYPE html><meta charset='utf-8'><title>blank</title>", "utf-8")
    page = browser.new_page()
    page.goto(blank.as_uri())
    for script in SCRIPTS[:-1]:
        page.add_script_tag(url=script.as_uri())
    yield page
    page.close()


@pytest.fixture(scope="module")
def told(engine: Page, pictures: torch.Tensor) -> dict[str, Any]:
    """What the page says of all pictures, and how long it took; query 2 is off where others answer alone."""
    data = base64.b64encode(pictures.numpy().tobytes()).decode()
    return engine.evaluate(SAY, [data, len(pictures), 2])


def test_captions_and_their_weights_are_those_of_the_package(
    told: dict[str, Any], stem: Stem, captioner: Captioner, pictures: torch.Tensor
) -> None:
    words = vocabulary().tokens
    for found, cells in zip(told["found"], stem.cells(pictures), strict=True):
        ours = written(captioner, cells, {})
        assert [one["word"] for one in found["words"]] == [words[token] for token, *_ in ours]
        for theirs, (_, chance, weights) in zip(found["words"], ours, strict=True):
            assert theirs["chance"] == pytest.approx(chance, abs=WITHIN)
            np.testing.assert_allclose(theirs["weights"], weights, atol=WITHIN)


def test_queries_answer_as_those_of_the_package_all_and_without_one(
    told: dict[str, Any], stem: Stem, queries: ObjectQueries, pictures: torch.Tensor
) -> None:
    cells = stem.cells(pictures)
    for key, on in (("answers", [0, 1, 2, 3, 4, 5]), ("others", [0, 1, 3, 4, 5])):
        with recording(queries) as record:
            answers = queries(cells, queries.queries[on])
        weights = record.weights("blocks.0.cross_attention")[:, 0]
        boxes = SIZE * detections(answers).boxes
        chances = answers.classes.softmax(-1)
        for i, found in enumerate(told["found"]):
            assert [one["query"] for one in found[key]] == on
            for q, one in enumerate(found[key]):
                np.testing.assert_allclose(one["weights"], weights[i, q], atol=WITHIN)
                np.testing.assert_allclose(one["chances"], chances[i, q], atol=WITHIN)
                np.testing.assert_allclose(one["box"], boxes[i, q], atol=WITHIN)
                assert np.argmax(one["chances"]) == chances[i, q].argmax().item()


def test_a_steered_word_is_that_of_the_package(
    engine: Page, stem: Stem, captioner: Captioner
) -> None:
    drawn = scenes(60, TRAINED, seed=3)
    steer = """async ([bytes, place, box]) => {
        const [stem, captioner] = await Promise.all(
            ['scene_stem', 'scene_captioner'].map((name) => minattn.loadModel(name)));
        const { shared, middle } = minattn.scenes;
        return captioner.write(stem.cells(bytes), {steered: new Map([[place, shared(middle(box))]])});
    }"""
    several = [i for i in range(60) if (drawn.classes[i] >= 0).sum() > 1]
    moved = 0
    for i in several[:20]:
        cells = stem.cells(torch.from_numpy(drawn.pictures[i : i + 1]))
        near = torch.from_numpy(middle(drawn.boxes[i, 1])).float()
        plain = written(captioner, cells[0], {})
        ours = written(captioner, cells[0], {1: near / near.sum()})
        box = drawn.boxes[i, 1].tolist()
        theirs = engine.evaluate(steer, [drawn.pictures[i].ravel().tolist(), 1, box])
        words = vocabulary().tokens
        assert [one["word"] for one in theirs] == [words[token] for token, *_ in ours]
        moved += ours[1][0] != plain[1][0]
        # The word itself is what minattn.pictures.captioning.steered says at that step.
        target_in = torch.tensor([[BOS, ours[0][0]]])
        weights = torch.zeros(1, 2, 100)
        weights[0, :, 0] = 1
        weights[0, 1] = near / near.sum()
        assert steered(captioner, cells, target_in, weights)[0, 1].argmax().item() == ours[1][0]
    assert moved >= 10


def test_emoji_are_those_of_the_package_in_every_size(engine: Page) -> None:
    found = engine.evaluate(
        """async (sizes) => {
            const { classes, sets } = await minattn.loadSprites();
            const { sheet, sprite } = minattn.scenes;
            return sets.map((one) => [one.name, one.trained, Object.entries(sheet(one, classes)).map(([name, whole]) =>
                [name, sizes.map((size) => {
                    const { width, height, pixels } = sprite(whole, size);
                    return [height, width, [...pixels]];
                })])]);
        }""",
        list(SIZES),
    )
    assert [name for name, *_ in found] == list(DESIGNERS)
    for designer, trained, emoji in found:
        assert trained == (designer in TRAINED)
        assert [name for name, _ in emoji] == list(CLASSES)
        for name, drawn in emoji:
            for size, (height, width, pixels) in zip(SIZES, drawn, strict=True):
                ours = sprite(designer, name, size)
                theirs = np.array(pixels).reshape(height, width, 4)
                assert theirs.tolist() == ours.tolist(), (designer, name, size)


def painted(things: list[tuple[str, str, int, int, int]], ground: Any) -> np.ndarray:
    """What the chapters' my_scene paints, on any ground."""
    picture = np.array([[ground(x, y) for x in range(SIZE)] for y in range(SIZE)], dtype=float)
    for designer, name, size, x, y in things:
        emoji = sprite(designer, name, size).astype(float)  # colours times alpha
        part = picture[y : y + emoji.shape[0], x : x + emoji.shape[1]]
        part *= 1 - emoji[..., 3:] / 255
        part += emoji[..., :3]
    return picture.round().astype(np.uint8)


def test_a_scene_is_painted_as_in_the_chapters(engine: Page) -> None:
    things = [
        ("noto", "cat", 14, 3, 2),
        ("twemoji", "car", 16, 10, 5),
        ("fxemoji", "bee", 12, 27, 27),
    ]
    found = engine.evaluate(
        """async ([things, plain]) => {
            const { classes, sets } = await minattn.loadSprites();
            const { sheet, sprite, paint } = minattn.scenes;
            const made = things.map(([designer, name, size, x, y]) => {
                const set = sets.find((one) => one.name === designer);
                return {x, y, sprite: sprite(sheet(set, classes)[name], size)};
            });
            return [[...paint(made)], [...paint(made, (x, y) => [10 + x, 150, 255 - 2 * y])]];
        }""",
        [things, True],
    )
    for theirs, ground in zip(
        found, (lambda x, y: (255, 255, 255), lambda x, y: (10 + x, 150, 255 - 2 * y)), strict=True
    ):
        assert np.array_equal(np.array(theirs).reshape(SIZE, SIZE, 3), painted(things, ground))


def test_captions_boxes_and_cells_are_those_of_the_package(engine: Page) -> None:
    drawn = scenes(N, TRAINED, seed=3)
    cases, wanted = [], []
    for classes, boxes in zip(drawn.classes, drawn.boxes, strict=True):
        own, there = classes[classes >= 0], boxes[classes >= 0]
        rows = (there[:, 1] + there[:, 3] >= SIZE).astype(int).tolist()
        cases.append([[CLASSES[c], box.tolist()] for c, box in zip(own, there, strict=True)])
        wanted.append(list(caption(own.tolist(), rows).words))
    found = engine.evaluate(
        """(cases) => cases.map((things) => {
            const turned = things.map(([name, box]) => ({name, box})).reverse();
            const { words, things: named } = minattn.scenes.caption(turned);
            return [words, named.map((i) => i === null ? null : turned[i].name),
                    turned.map(({ box }) => minattn.scenes.cellsInside(box))];
        })""",
        cases,
    )
    assert [words for words, *_ in found] == wanted
    for (words, named, inside), case in zip(found, cases, strict=True):
        assert [name for name in named if name] == [w for w in words if w in CLASSES]
        ours = cells_inside(np.array([box for _, box in reversed(case)]))
        assert inside == ours.tolist()


def test_a_convolution_is_torchs(engine: Page) -> None:
    generator = torch.Generator().manual_seed(0)
    for stride, side in itertools.product((1, 2), (2, 3)):
        plain = torch.nn.Conv2d(3, 5, side, stride=stride).double()
        picture = torch.randn(1, 3, 7, 11, generator=generator, dtype=torch.float64)
        found = engine.evaluate(
            """([weight, bias, stride, width, cells]) => {
                const own = new minattn.Parameters(new Map([['weight', weight], ['bias', bias]]));
                return new minattn.Conv2d(own, {stride}).forward(minattn.padded({width, cells}, 1, [1, 2, 3]));
            }""",
            [
                plain.weight.tolist(),
                plain.bias.tolist(),
                stride,
                11,
                picture[0].flatten(1).T.tolist(),
            ],
        )
        around = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[None, :, None, None]
        around = around.expand(1, 3, 9, 13).clone()
        around[:, :, 1:-1, 1:-1] = picture
        ours = plain(around)[0]
        assert found["width"] == ours.shape[2]
        theirs = torch.tensor(
            [list(cell.values()) if isinstance(cell, dict) else cell for cell in found["cells"]]
        )
        torch.testing.assert_close(theirs.double(), ours.flatten(1).T.detach(), atol=1e-6, rtol=0)
