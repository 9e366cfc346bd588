"""The live place of chapters 15 and 16: its models say what the package says, and a reader can play with them."""

import base64
import gzip
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

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
from tests.page.live_page import engine_of, engine_page, live_page, with_stored

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = Path(__file__).parents[2] / "book" / "_static"
LIVE = STATIC / "live"
SCRIPTS = tuple(LIVE / name for name in (*engine_of("scene"), "scene.js"))
SHEETS = tuple(STATIC / name for name in ("minattn.css", "live/live.css", "live/scene.css"))
LOAD = "document.querySelectorAll('.live').forEach((place) => minattn.widgets.scene(place))"
READY = "() => !document.querySelector('[aria-busy]') && document.querySelector('.scene .answer .verdict')"
WITHIN = 1e-3
N = 200
LARGEST = 400_000  # bytes, packed
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


@pytest.fixture(scope="module")
def stem() -> Stem:
    return with_stored("scene_stem", Stem())


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return with_stored("scene_captioner", Captioner(96, len(vocabulary())))


@pytest.fixture(scope="module")
def queries() -> ObjectQueries:
    return with_stored("scene_queries", ObjectQueries(96, len(CLASSES)))


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
        found.append((token.item(), likely.max().item(), weights))
        if token.item() == EOS:
            break
    return found


def sentence(found: list[tuple[int, float, torch.Tensor]]) -> str:
    return " ".join(vocabulary().tokens[token] for token, *_ in found if token != EOS)


# --- the engine -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An empty page, opened as a file, with the engine."""
    with engine_page(browser, tmp_path_factory.mktemp("blank"), engine_of("scene")) as page:
        yield page


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


# --- the files --------------------------------------------------------------------------------------------


def test_the_files_are_small_and_can_be_made_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = live_scene.Models(
        Stem(), Captioner(96, len(vocabulary())), ObjectQueries(96, len(CLASSES))
    )
    live_scene.write(models, tmp_path, measure=lambda made: {"weights": len(list(made.each()))})
    card = json.loads((tmp_path / "scene.json").read_text("utf-8"))
    stored = json.loads((LIVE / "weights" / "scene.json").read_text("utf-8"))
    assert card["files"].keys() == stored["files"].keys()
    assert card["accuracy_after_rounding"] == {"weights": 3}
    for file, size in stored["files"].items():
        content = (LIVE / "weights" / file).read_bytes()
        assert len(content) == size and len(gzip.compress(content)) <= LARGEST
    made = (tmp_path / "sprites_scene.js").read_text("utf-8")
    assert made == (LIVE / "weights" / "sprites_scene.js").read_text("utf-8")
    after = stored["accuracy_after_rounding"]
    assert after["captioner"]["exact"] >= 0.85 and after["queries"]["AP50"] >= 0.93
    for kind, before in stored["accuracy_before_rounding"].items():
        assert after[kind] == pytest.approx(before, abs=0.01)


# --- the place --------------------------------------------------------------------------------------------

THREE = [("cat", 3, 2), ("car", 22, 3), ("banana", 12, 24)]
APPLE = "apple.noto.14.3.2,car.noto.14.22.3,cat.noto.14.12.24"  # as chapter 15 has it
WORDS = ".word:not(.end)"
JOINED = "buttons => buttons.map(button => button.querySelector('.token').textContent).join(' ')"
WEIGHTS = "cells => cells.map(cell => Number(cell.dataset.value))"


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with the place; whatever goes wrong in it fails the test at its end."""
    contexts, faults = [], []

    def start(
        mode: str = "captions", size: dict = DESK, search: str = "", more: str = "", **settings: Any
    ) -> Page:
        file = tmp_path / "scene.html"
        place = f'<div class="live" data-live="scene" data-mode="{mode}" {more}></div>'
        sheets, code = ([part.as_uri() for part in parts] for parts in (SHEETS, SCRIPTS))
        file.write_text(live_page("Scene", sheets, place, code), encoding="utf-8")
        context = browser.new_context(viewport=size, **settings)
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri() + search)
        page.evaluate(LOAD)
        settled(page)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def settled(page: Page) -> None:
    page.wait_for_function(READY)


def caption_of(page: Page) -> str:
    settled(page)
    return page.eval_on_selector_all(WORDS, JOINED)


def thing(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def centre(part: Locator) -> tuple[float, float]:
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pixels(page: Page, number: float) -> float:
    """How wide so many pixels of the scene are on the screen."""
    box = page.locator(".stage").bounding_box()
    assert box is not None
    return number * box["width"] / SIZE


def cells_of(
    stem: Stem, things: list[tuple[str, int, int]], designer: str = "noto"
) -> torch.Tensor:
    picture = painted(
        [(designer, name, 14, x, y) for name, x, y in things], lambda x, y: (255,) * 3
    )
    return stem.cells(torch.from_numpy(picture)[None])


def test_a_thing_can_be_dragged_and_the_caption_follows(open_page: Open) -> None:
    page = open_page()
    assert caption_of(page) == "a cat left of a car above a banana"
    assert "right, word by word" in page.locator(".verdict").inner_text()
    x, y = centre(thing(page, "cat"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels(page, 10), y + pixels(page, 20), steps=4)
    page.mouse.up()
    assert thing(page, "cat").get_attribute("aria-valuetext") == "x 13, y 22"
    settled(page)
    assert "none of" not in page.locator(".notice").inner_text()
    assert "no two that overlapped" in page.locator(".notice").inner_text()  # on the banana
    assert "cat" in page.locator(".verdict").inner_text()


def test_escape_gives_a_drag_up(open_page: Open) -> None:
    page = open_page()
    x, y = centre(thing(page, "cat"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels(page, 10), y + pixels(page, 20))
    page.keyboard.press("Escape")
    page.mouse.move(x + pixels(page, 5), y + pixels(page, 5))
    assert thing(page, "cat").get_attribute("aria-valuetext") == "x 3, y 2"
    page.mouse.up()


def test_a_second_finger_on_a_thing_moves_nothing(open_page: Open) -> None:
    page = open_page(size=PHONE, has_touch=True)
    x, y = centre(thing(page, "car"))
    touch = page.context.new_cdp_session(page)
    by = pixels(page, 4)
    for kind, *points in (
        ("touchStart", (x, y)),
        ("touchMove", (x, y + by)),
        ("touchStart", (x, y + by), (x, y + 2 * by)),
        ("touchMove", (x, y + by), (x - 3 * by, y + 3 * by)),
        ("touchMove", (x, y + 2 * by), (x - 3 * by, y + 3 * by)),
    ):
        touched = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})
    expect(thing(page, "car")).to_have_attribute("aria-valuetext", "x 22, y 11")


def test_a_finger_can_drag_and_the_page_still_scrolls(open_page: Open) -> None:
    page = open_page(size=PHONE, has_touch=True)
    style = "part => getComputedStyle(part).touchAction"
    assert page.locator(".stage svg").evaluate(style) == "auto"
    assert thing(page, "car").evaluate(style) == "none"
    x, y = centre(thing(page, "car"))
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touched = [{"x": x, "y": y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    send("touchStart", (x, y))
    for share in (0.5, 1):
        send("touchMove", (x, y + share * pixels(page, 20)))
    send("touchEnd")
    expect(thing(page, "car")).to_have_attribute("aria-valuetext", "x 22, y 23")
    assert "car" in caption_of(page).split(" above ")[1]
    page.get_by_role("button", name="dog", exact=True).tap()
    expect(page.locator(".thing")).to_have_count(4)
    assert "dog" in caption_of(page)


def test_the_keys_move_and_remove_and_the_table_does_too(open_page: Open) -> None:
    page = open_page()
    thing(page, "cat").focus()
    for key in ("ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert thing(page, "cat").get_attribute("aria-valuetext") == "x 4, y 5"
    page.keyboard.press("Delete")
    assert caption_of(page) == "a car above a banana"
    page.locator("summary").click()
    field = page.get_by_label("x of car")
    field.fill("90")
    field.press("Enter")
    settled(page)
    assert thing(page, "car").get_attribute("aria-valuetext") == "x 26, y 3"
    assert "fits from x 0 to x 26" in page.locator(".notice").inner_text()
    page.get_by_label("designer of car").select_option("twemoji")
    settled(page)
    assert "none by Twemoji" in page.locator(".notice").inner_text()
    for name in ("Take away: car", "Take away: banana"):
        page.get_by_role("button", name=name).click()
    settled(page)
    assert "nothing on the picture" in page.locator(".verdict").inner_text()
    for _ in range(7):
        page.get_by_role("button", name="bee", exact=True).click()
    settled(page)
    assert page.locator(".thing").count() == 6
    assert "Take one away first" in page.locator(".notice").inner_text()


def test_a_word_shows_the_weights_that_the_package_has(
    open_page: Open, stem: Stem, captioner: Captioner
) -> None:
    page = open_page()
    ours = written(captioner, cells_of(stem, THREE)[0], {})
    page.locator("summary").click()
    for place in (1, 5, 6):
        page.locator(".word").nth(place).click()
        settled(page)
        _, chance, weights = ours[place]
        for found in (".cells rect", "table.weights td"):
            shown = page.locator(found).evaluate_all(WEIGHTS)
            np.testing.assert_allclose(shown, weights, atol=WITHIN)
        assert float(page.locator(".word .chance").nth(place).inner_text()) == pytest.approx(
            chance, abs=0.006
        )
    name, x, y = THREE[1]
    height, width = sprite("noto", name, 14).shape[:2]
    inside = cells_inside(np.array([x, y, x + width, y + height], dtype=float))
    page.locator(".word").nth(5).click()
    share = ours[5][2][torch.from_numpy(inside)].sum().item()
    assert f"the car {share:.2f}" in page.locator(".about").inner_text()
    page.locator(".word").nth(5).click()  # once more: none is chosen
    page.mouse.move(0, 0)
    assert page.locator(".cells rect").count() == 0
    page.locator(".word").nth(1).hover()
    shown = page.locator(".cells rect").evaluate_all(WEIGHTS)
    np.testing.assert_allclose(shown, ours[1][2], atol=WITHIN)


def test_a_word_can_be_made_to_look_elsewhere_as_chapter_15_says(open_page: Open) -> None:
    page = open_page(more=f'data-things="{APPLE}"')
    assert caption_of(page) == "an apple left of a car above a cat"
    page.locator(".word").first.click()
    page.get_by_role("button", name="the car", exact=True).click()
    assert caption_of(page) == "a strawberry left of a car above a cat"
    assert page.locator(".word .chance").first.inner_text() == "steered"
    assert "made to look: the car 1.00" in page.locator(".about").inner_text()
    link = page.get_by_role("link", name="A link to this scene").evaluate("link => link.search")
    page.get_by_role("button", name="what it likes").click()
    assert caption_of(page) == "an apple left of a car above a cat"
    page.locator(".word").nth(1).click()
    page.get_by_role("button", name="the car", exact=True).click()
    assert caption_of(page).startswith("an apple")
    assert "It has read “an” before" in page.locator(".about").inner_text()
    again = open_page(search=link)
    again.evaluate(
        "minattn.widgets.scene(document.querySelector('.live'), new URLSearchParams(location.search))"
    )
    again.wait_for_function("document.querySelector('.word .chance')?.textContent === 'steered'")
    assert caption_of(again) == "a strawberry left of a car above a cat"


def test_where_it_has_to_look_can_be_moved_by_hand_and_by_keys(
    open_page: Open, stem: Stem, captioner: Captioner
) -> None:
    page = open_page()
    page.locator(".word").nth(1).click()
    page.get_by_role("button", name="an empty place").click()
    settled(page)
    frame = page.get_by_role("slider", name="Where word 2 looks")
    x, y = centre(thing(page, "car"))
    page.mouse.move(*centre(frame))
    page.mouse.down()
    page.mouse.move(x, y, steps=5)
    page.mouse.up()
    assert caption_of(page) == "a car above a banana"
    frame.focus()
    before = frame.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    settled(page)
    assert (before, frame.get_attribute("aria-valuetext")) == (
        "around x 28, y 8",
        "around x 24, y 8",
    )
    near = torch.from_numpy(middle(np.array([24.0, 8.0, 24.0, 8.0]))).float()
    ours = written(captioner, cells_of(stem, THREE)[0], {1: near / near.sum()})
    assert caption_of(page) == sentence(ours)
    assert page.evaluate("document.activeElement.classList.contains('frame')")
    page.keyboard.press("Delete")
    assert caption_of(page) == "a cat left of a car above a banana"


def test_another_designer_is_named_and_may_be_mistaken(open_page: Open) -> None:
    page = open_page(more=f'data-things="{APPLE}"')
    page.get_by_label("drawn by", exact=True).select_option("fxemoji")
    assert caption_of(page) == "an octopus left of a car above a pig"
    assert "none by Firefox OS" in page.locator(".notice").inner_text()
    verdict = page.locator(".verdict").inner_text()
    assert verdict == "By the rules of the chapter it is: an apple left of a car above a cat."
    assert page.locator(".word.wrong").count() == 2
    page.get_by_label("drawn by", exact=True).select_option("fluent")
    page.get_by_label("on", exact=True).select_option("blue")
    settled(page)
    assert page.locator(".notice").inner_text().endswith("nothing but white behind them.")
    page.get_by_role("button", name="Another scene").click()
    settled(page)
    assert 1 <= page.locator(".thing").count() <= 3


def test_boxes_follow_and_nobody_stands_in_for_a_query(
    open_page: Open, stem: Stem, queries: ObjectQueries
) -> None:
    page = open_page("queries")
    answers = queries(cells_of(stem, THREE))
    finds, boxes = detections(answers), SIZE * detections(answers).boxes[0]
    for query in range(6):
        row = page.locator(".answers tbody tr").nth(query).inner_text()
        said = CLASSES[finds.classes[0, query]] if finds.said[0, query] else "nothing"
        assert said in row
        drawn = page.locator(f".box[data-query='{query}']")
        assert drawn.count() == int(finds.said[0, query])
        if drawn.count():
            sides = [
                float(drawn.get_attribute(name) or "") for name in ("x", "y", "width", "height")
            ]
            x0, y0, x1, y1 = boxes[query].tolist()
            np.testing.assert_allclose(sides, [x0, y0, x1 - x0, y1 - y0], atol=WITHIN)
    assert "the car by query 3" in page.locator(".verdict").inner_text()
    page.get_by_label("query 3 is on").uncheck()
    settled(page)
    page.wait_for_function("document.querySelector('.about').textContent.startsWith('Without')")
    assert "Without query 3, nobody finds the car." in page.locator(".about").inner_text()
    assert "Nobody finds the car" in page.locator(".verdict").inner_text()
    page.get_by_label("query 3 is on").check()
    page.get_by_role("button", name="Take away: banana").click()
    thing(page, "car").focus()
    for key in (*5 * ("Shift+ArrowLeft",), *5 * ("Shift+ArrowDown",)):
        page.keyboard.press(key)
    settled(page)
    moved = re.search(r"the car (?:twice, )?by query (\d)", page.locator(".verdict").inner_text())
    assert moved and moved[1] != "3"
    page.get_by_role("button", name="query 0").click()
    settled(page)
    assert "Where query 0 looked:" in page.locator(".about").inner_text()
    assert page.locator(".cells rect").count() == 100
    page.get_by_role("button", name="in words").click()
    assert "car" in caption_of(page)
    assert page.locator(".box").count() == 0


def test_a_link_that_asks_for_what_is_not_here_is_answered_kindly(open_page: Open) -> None:
    page = open_page()
    asked = "live=scene&mode=queries&ground=lava&things=dragon.noto.14.3.3,cat.noto.14.3.3&off=9"
    page.evaluate(
        f"minattn.widgets.scene(document.querySelector('.live'), new URLSearchParams('{asked}'))"
    )
    page.wait_for_function("document.querySelector('.answers')")
    settled(page)
    notice = page.locator(".notice").inner_text()
    assert notice == "The link asks for what is not here: “dragon.noto.14.3.3” and “lava”."
    assert page.locator(".thing").count() == 1


def test_it_says_when_it_needs_longer(open_page: Open) -> None:
    page = open_page()
    page.evaluate("""() => {
        const cells = minattn.kinds.stem.prototype.cells;
        minattn.kinds.stem.prototype.cells = function (picture) {
            const start = performance.now();
            while (performance.now() - start < 150);
            return cells.call(this, picture);
        };
        window.seen = [];
        const busy = document.querySelector('.busy');
        new MutationObserver(() => seen.push(busy.textContent)).observe(busy, {childList: true});
    }""")
    thing(page, "cat").focus()
    for _ in range(2):  # the first tells it that it is slow
        page.keyboard.press("ArrowRight")
        settled(page)
    page.wait_for_function("seen.includes('The model is looking …')")
    assert page.locator(".busy").inner_text() == ""


def test_all_who_drew_the_emoji_are_named(open_page: Open) -> None:
    credit = open_page().locator(".credit")
    for title, _, licence, address in live_scene.CREDITS.values():
        assert f"{title} ({licence})" in credit.inner_text()
        assert credit.locator(f"a[href='{address}']").count() >= 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["captions", "queries"])
def test_axe_finds_no_violation(open_page: Open, theme: str, mode: str) -> None:
    page = open_page(mode, size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.locator("[data-at]").nth(1).click()
    settled(page)
    if mode == "captions":
        page.get_by_role("button", name="the banana").click()
        settled(page)
    page.evaluate(OPEN_ALL)
    page.locator("table.weights").wait_for()
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("mode", ["captions", "queries"])
def test_it_fits_a_phone_and_a_finger(open_page: Open, mode: str) -> None:
    page = open_page(mode, size=NARROWEST)
    page.get_by_label("drawn by", exact=True).select_option("twemoji")
    page.get_by_label("on", exact=True).select_option("sand")  # long captions
    for name in ("octopus", "bicycle", "airplane"):
        page.get_by_role("button", name=name, exact=True).click()
    settled(page)
    page.locator("[data-at]").first.click()
    page.evaluate(OPEN_ALL)
    for size in (NARROWEST, PHONE):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        small = page.locator(".scene").evaluate(
            """scene => [...scene.querySelectorAll('button, select, .answers label, .things input, .thing')]
                .map(part => [part.textContent || part.tagName, part.getBoundingClientRect()])
                .filter(([, {width, height}]) => width && Math.min(width, height) < 43.9).map(([name]) => name)"""
        )
        assert small == []


@pytest.mark.parametrize("size", [PHONE, DESK], ids=lambda s: str(s["width"]))
@pytest.mark.parametrize("mode", ["captions", "queries"])
def test_nothing_below_moves_when_it_is_opened(open_page: Open, mode: str, size: dict) -> None:
    page = open_page(mode, size=size)
    height = "document.querySelector('.live').offsetHeight"
    needed = page.evaluate(height)
    page.locator(".live").evaluate("place => place.classList.add('opened')")
    assert needed <= page.evaluate(height)
    before = page.evaluate(height)
    page.locator("[data-at]").first.click()
    settled(page)
    assert page.evaluate(height) == before


def test_a_click_opens_it_and_its_words_stay_for_paper(browser: Browser, tmp_path: Path) -> None:
    place = (
        '<div class="live" data-live="scene" data-mode="captions">\n<p>Told on paper.</p>\n</div>'
    )
    file = tmp_path / "scene.html"
    script = (STATIC / "minattn.js").as_uri()
    file.write_text(live_page("Scene", [SHEETS[0].as_uri()], place, [script]), encoding="utf-8")
    for scripting in (True, False):
        context = browser.new_context(java_script_enabled=scripting)
        page = context.new_page()
        page.goto(file.as_uri())
        told = page.get_by_text("Told on paper.")
        assert told.is_visible() == (not scripting)
        page.emulate_media(media="print")
        assert told.is_visible()
        if scripting:
            assert not page.locator(".live-invite").is_visible()
            page.emulate_media(media="screen")
            page.get_by_role("button", name="Make a scene").press("Enter")
            settled(page)
            assert page.evaluate("document.activeElement.textContent") == "in words"
        context.close()


def test_a_missing_file_is_told_kindly_and_may_be_tried_again(
    browser: Browser, tmp_path: Path
) -> None:
    static = tmp_path / "static"
    shutil.copytree(LIVE, static / "live")
    lost = static / "live" / "weights" / "scene_stem.js"
    lost.rename(tmp_path / "away.js")
    file = static / "scene.html"
    scripts = [f"live/{script.name}" for script in SCRIPTS]
    place = '<div class="live" data-live="scene"></div>'
    file.write_text(live_page("Scene", [], place, scripts), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.evaluate(LOAD)
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "scene_stem.js could not be loaded" in page.locator(".live").inner_text()
    (tmp_path / "away.js").rename(lost)
    again.click()
    settled(page)
    page.close()
