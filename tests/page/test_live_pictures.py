"""The live places of chapters 19 and 20: their models say what the package says, and a reader can play with them."""

import base64
import gzip
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from book.experiments import clip as clip_experiment
from book.experiments import text_to_image
from book.experiments.text_to_image_two import hidden
from book.models import digit_clip, two_digits
from book.tools import live_pictures
from book.tools.browsing import (
    CHROMIUM,
    DESK,
    MISSING,
    OPEN_ALL,
    PHONE,
    ROOT,
    VIOLATIONS,
    axe_script,
)
from minattn.decoding import Cached
from minattn.language.gpt import GPT
from minattn.pictures.clip import CLIP
from minattn.pictures.codebook import Codebook, learn_codebook
from minattn.pictures.drawing import Guided
from minattn.recording import attending, recording
from minattn.tasks.digits import digits
from minattn.tasks.emoji import CLASSES, DESIGNERS, TRAINED, UNSEEN, sprite
from minattn.tasks.placed_emoji import (
    COLOURS,
    PLACES,
    SIDE,
    draw,
    encode,
    every,
    never_trained,
    sentence,
)
from minattn.tasks.told_digits import NUMBERS, STROKES, caption
from minattn.translation import greedy
from tests.page.live_page import engine_of, engine_page, place_pages, stored, with_stored

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
FILES = {"clip": ["clip"], "drawing": ["drawing_one", "drawing_two", "drawing_clip"]}
INVITES = {"clip": "Find pictures", "drawing": "Let it draw"}
LARGEST = 400_000  # bytes, packed
WITHIN = 1e-3
N = 200
READY = "() => document.querySelector('.result:not([hidden]):not([aria-busy])')"
SMALL = """parts => parts.filter(part => part.getClientRects().length)
    .map(part => [part.textContent || part.id, part.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([name]) => name)"""
BYTES = "Uint8Array.from(atob(pictures), (sign) => sign.charCodeAt(0))"
SEE = f"""async ([name, pictures, n]) => {{
    const model = await minattn.loadModel(name);
    const bytes = {BYTES};
    const size = bytes.length / n;
    return Array.from({{length: n}}, (_, i) => {{
        const start = performance.now();
        const {{vector, weights}} = model.see(bytes.subarray(i * size, (i + 1) * size));
        return {{vector: [...vector], weights: [...weights], time: performance.now() - start}};
    }});
}}"""
READ = """async ([name, sentences]) => {
    const model = await minattn.loadModel(name);
    return sentences.map((words) => model.read(words));
}"""
# Greedy drawings, and of the first few all logits and weights.
DRAW = """async ([name, asked, few]) => {
    const model = await minattn.loadModel(name);
    return asked.map(({words, scale, hide}, i) => {
        const start = performance.now();
        const hidden = new Set(hide);
        const n = model.cells(words.length);
        let at = model.begin(words, hidden);
        const [codes, logits, weights] = [[], [], []];
        for (let k = 0; k < n; k++) {
            const now = model.guided(at, scale);
            codes.push(minattn.choose(now, 0));
            if (i < few) { logits.push(now); weights.push(at.told.weights); }
            if (k < n - 1) at = model.next(at, codes.at(-1), hidden);
        }
        return {codes, logits, weights, pixels: [...model.pixels(codes)], time: performance.now() - start};
    });
}"""

Open = Callable[..., Page]


# --- the package, with the weights that stand in the files ------------------------------------------------


@pytest.fixture(scope="module")
def emoji() -> CLIP:
    return with_stored("clip", clip_experiment.make_model(1))


@pytest.fixture(scope="module")
def chooser() -> CLIP:
    return with_stored("drawing_clip", digit_clip.build())


@pytest.fixture(scope="module")
def book() -> Codebook:
    return Codebook(torch.tensor(stored("drawing_one")["codebook"]).double() / 255)


@pytest.fixture(scope="module")
def drawers() -> dict[str, GPT]:
    one = text_to_image.make_model(live_pictures.language(), 1)
    return {
        "drawing_one": with_stored("drawing_one", one).double(),
        "drawing_two": with_stored("drawing_two", two_digits.build()).double(),
    }


def near(theirs: Any, ours: torch.Tensor) -> None:
    np.testing.assert_allclose(np.array(theirs, dtype=float), ours.double().numpy(), atol=WITHIN)


def packed(pictures: torch.Tensor) -> str:
    return base64.b64encode(pictures.numpy().tobytes()).decode()


# --- pages -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    files = dict.fromkeys([*engine_of("clip"), *engine_of("drawing")])
    with engine_page(browser, tmp_path_factory.mktemp("blank"), files) as page:
        yield page


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page with a place, as minattn.js does after a click; what goes wrong in it fails the test."""
    with place_pages(browser, tmp_path, "Live") as start:

        def opened(
            kind: str, size: dict = DESK, click: bool = True, query: str = "", **how: Any
        ) -> Page:
            place = f'<div class="live" data-live="{kind}"><p>What it shows.</p></div>'
            page = start(place, size, query, **how)
            if click:
                page.get_by_role("button", name=INVITES[kind]).click()
            if click or query:
                page.wait_for_function(READY)
            return page

        yield opened


def say(page: Page, text: str) -> None:
    field = page.locator("form input")
    field.fill(text)
    field.dispatch_event("change")


def settled(page: Page) -> None:
    page.wait_for_timeout(30)
    page.wait_for_function(READY)


def codes_of(page: Page) -> list[str]:
    """What the drawings of the gallery look like."""
    page.wait_for_function(READY)
    return page.locator(".gallery canvas").evaluate_all("all => all.map(one => one.toDataURL())")


# --- the numbers -----------------------------------------------------------------------------------------


def test_pictures_of_emoji_get_the_vectors_and_weights_of_the_package(
    emoji: CLIP, engine: Page
) -> None:
    """200 held-out pictures, three quarters of known designers; and each chooses the same of 200 sentences."""
    chosen = every()[torch.randperm(1728, generator=torch.Generator().manual_seed(1))[:N]]
    pictures = torch.cat(
        [
            draw(chosen[:150], TRAINED, seed=1_000_003).pictures,
            draw(chosen[150:], UNSEEN, seed=1_000_003).pictures,
        ]
    )
    said = [sentence(*triple) for triple in chosen.tolist()]
    with recording(emoji) as record:
        vectors, texts = emoji.picture_vectors(pictures), emoji.text_vectors(encode(said))
    theirs = engine.evaluate(SEE, ["clip", packed(pictures), N])
    read = engine.evaluate(READ, ["clip", [text.split() for text in said]])
    near([one["vector"] for one in theirs], vectors)
    near(
        [one["weights"] for one in theirs], record.weights("pictures.pool.attention").mean(1)[:, 0]
    )
    near([one["vector"] for one in read], texts)
    near([one["weights"] for one in read], record.weights("texts.pool.attention").mean(1)[:, 0])
    cosines = (
        np.array([one["vector"] for one in theirs]) @ np.array([one["vector"] for one in read]).T
    )
    assert cosines.argmax(1).tolist() == (vectors @ texts.T).argmax(1).tolist()
    scale = engine.evaluate("async () => (await minattn.loadModel('clip')).scale")
    assert scale == pytest.approx(emoji.scale.item(), abs=WITHIN)
    times = sorted(one["time"] for one in theirs)
    print(f"a picture: {times[N // 2]:.1f} ms, at most {times[-1]:.1f}")


@pytest.mark.parametrize("words", ["cat", "on yellow", "yellow on cat a", "a pig left of a car"])
def test_any_words_are_read_as_the_package_reads_them(
    words: str, emoji: CLIP, engine: Page
) -> None:
    ((theirs),) = engine.evaluate(READ, ["clip", [words.split()]])
    near(theirs["vector"], emoji.text_vectors(encode([words]))[0])


def test_emoji_are_painted_as_in_training_without_light_and_noise(engine: Page) -> None:
    asked = [
        (designer, thing, place, colour)
        for (designer, thing), place, colour in zip(
            itertools.product(DESIGNERS, range(0, 32, 3)),
            itertools.cycle(range(9)),
            itertools.cycle(COLOURS),
        )
    ]
    found = engine.evaluate(
        """async (asked) => {
            const {sets, classes} = await minattn.loadSprites();
            const {colours} = (await minattn.loadModel('clip')).entry;
            return asked.map(([designer, thing, place, colour]) => {
                const sheet = minattn.scenes.sheet(sets.find(({name}) => name === designer), classes);
                return [...minattn.placedEmoji.placed(sheet[classes[thing]], place, colours[colour])];
            });
        }""",
        asked,
    )
    for (designer, thing, place, colour), theirs in zip(asked, found, strict=True):
        one = sprite(designer, CLASSES[thing], 14).astype(float)
        picture = np.tile(np.array(COLOURS[colour], dtype=float), (SIDE, SIDE, 1))
        high, wide = one.shape[:2]
        x, y = (
            round((SIDE - n) * third / 2) for n, third in ((wide, place % 3), (high, place // 3))
        )
        part = picture[y : y + high, x : x + wide]
        part *= 1 - one[..., 3:] / 255
        part += one[..., :3]
        np.testing.assert_allclose(np.array(theirs).reshape(SIDE, SIDE, 3), picture, atol=0.501)


def asked_for(name: str) -> list[dict[str, Any]]:
    """What is drawn: all captions with three scales; all pairs, and some with a word hidden."""
    if name == "drawing_one":
        captions = [caption([label], stroke) for label in range(10) for stroke in range(3)]
        return [
            {"words": list(words), "scale": scale, "hide": []}
            for scale in (2.0, 0.0, 1.0)
            for words in captions
        ]
    pairs = [list(caption(pair)) for pair in itertools.product(range(10), repeat=2)]
    hides = [{"words": pairs[37], "scale": 2.0, "hide": [place]} for place in (2, 5)]
    return [*hides, *({"words": words, "scale": 2.0, "hide": []} for words in pairs)] + [
        {"words": words, "scale": 4.0, "hide": [2]} for words in pairs[:8]
    ]


def greedily(model: GPT, one: dict[str, Any]) -> torch.Tensor:
    language = live_pictures.language()
    prompt = language.prompts([one["words"]])
    n = 16 if len(one["words"]) == 3 else 32
    place = one["hide"][0] if one["hide"] else 99
    with attending(model, partial(hidden, place)):
        return greedy(Guided(Cached(model), language, one["scale"]), prompt, n)[0]


@pytest.mark.parametrize("name", ["drawing_one", "drawing_two"])
def test_the_likeliest_drawings_are_those_of_the_package(
    name: str, drawers: dict[str, GPT], book: Codebook, engine: Page
) -> None:
    """200 drawings in both tests together: every code; of the first four every logit and every weight."""
    model, language, asked, few = drawers[name], live_pictures.language(), asked_for(name), 4
    theirs = engine.evaluate(DRAW, [name, asked, few])
    for i, (one, found) in enumerate(zip(asked, theirs, strict=True)):
        ids = greedily(model, one)
        assert (ids - language.first).tolist() == found["codes"], one
        pixels = book.decode(language.codes(ids[None]), columns=len(ids) // 4)
        assert pixels.flatten().tolist() == found["pixels"]
        if i >= few:
            continue
        told = torch.cat([language.prompts([one["words"]])[0], ids])[None, :-1]
        empty = torch.cat([language.nothing(1, len(one["words"]))[0], ids])[None, :-1]
        place = one["hide"][0] if one["hide"] else 99
        first = len(one["words"]) + 1
        with attending(model, partial(hidden, place)), recording(model) as record:
            heard = model(told[:, :1], told)[0, first:, language.first :]
        with attending(model, partial(hidden, place)):
            unheard = model(empty[:, :1], empty)[0, first:, language.first :]
        near(found["logits"], unheard + one["scale"] * (heard - unheard))
        for block in range(2):
            ours = record.weights(f"decoder.blocks.{block}.self_attention")[0]
            for k, row in enumerate(found["weights"]):
                near(row[block], ours[:, first + k, : first + k + 1])
    times = sorted(one["time"] for one in theirs)
    print(f"a drawing of {name}: {times[len(times) // 2]:.1f} ms, at most {times[-1]:.1f}")


def test_the_small_clip_chooses_as_in_the_package(chooser: CLIP, engine: Page) -> None:
    known = digits("test")
    pictures = known.pictures[:N]
    captions = [caption([label], stroke) for label in range(10) for stroke in range(3)]
    texts = torch.tensor([digit_clip.WORD_IDS.encode(words) for words in captions])
    theirs = engine.evaluate(SEE, ["drawing_clip", packed(pictures), N])
    read = engine.evaluate(READ, ["drawing_clip", [list(words) for words in captions]])
    near([one["vector"] for one in theirs], chooser.picture_vectors(pictures))
    near([one["vector"] for one in read], chooser.text_vectors(texts))


def test_chance_is_the_same_for_the_same_seed_and_spread_evenly(engine: Page) -> None:
    one, same, other = (
        engine.evaluate(
            f"(() => {{ const next = minattn.seeded({seed});"
            " return Array.from({length: 4000}, next); })()"
        )
        for seed in (1, 1, 2)
    )
    assert one == same and one != other and min(one) >= 0 and max(one) < 1
    np.testing.assert_allclose(np.histogram(one, 10, (0, 1))[0] / 4000, 0.1, atol=0.02)


# --- the files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", FILES)
def test_files_are_small_and_their_card_tells_of_them(place: str) -> None:
    card = json.loads((LIVE / "weights" / f"{place}.json").read_text("utf-8"))
    assert sorted(card["files"]) == sorted(f"{name}.js" for name in FILES[place])
    for file, size in card["files"].items():
        text = (LIVE / "weights" / file).read_bytes()
        assert len(text) == size and len(gzip.compress(text)) <= LARGEST
    assert card["held_out_after_rounding"].keys() == card["held_out_before_rounding"].keys()


def test_the_codebook_and_the_stored_models_are_those_of_the_chapters(
    book: Codebook, chooser: CLIP
) -> None:
    centres = learn_codebook(digits("train").pictures, 128).centres
    assert torch.equal((centres * 255).round(), (book.centres * 255).round())
    assert stored("drawing_two")["codebook"] == stored("drawing_one")["codebook"]
    right = digit_clip.measure(chooser, text_to_image.one_digit("test"))
    assert right["digit"] > 0.9


def test_the_files_can_be_made_again_with_any_models(tmp_path: Path, book: Codebook) -> None:
    one = text_to_image.make_model(live_pictures.language(), 2)
    made = live_pictures.Models(
        clip_experiment.make_model(2), one, two_digits.build(), digit_clip.build(), book
    )
    live_pictures.write(made, tmp_path, measure=lambda _: {"clip": {}, "drawing": {}})
    for place, files in FILES.items():
        for name in files:
            ours, known = (
                json.loads(text[text.index("= {") + 2 : text.rindex(";")])
                for text in (
                    (folder / f"{name}.js").read_text("utf-8")
                    for folder in (tmp_path, LIVE / "weights")
                )
            )
            assert {k: v for k, v in ours.items() if k not in ("data", "crc32")} == {
                k: v for k, v in known.items() if k not in ("data", "crc32")
            }
        assert "MIT" in json.loads((tmp_path / f"{place}.json").read_text("utf-8"))["licence"]


# --- pictures that are found -----------------------------------------------------------------------------


def ranking(page: Page) -> list[tuple[str, float, float]]:
    page.wait_for_function(READY)
    return [
        tuple(row)
        for row in page.locator(".gallery button").evaluate_all(
            "all => all.map(({dataset: d}) => [d.name, Number(d.cosine), Number(d.chance)])"
        )
    ]


@pytest.mark.parametrize("designer", ["noto", "twemoji"])
def test_the_gallery_is_ranked_as_the_package_ranks_it(
    designer: str, emoji: CLIP, open_page: Open
) -> None:
    page = open_page(
        "clip", query=f"?live=clip&designer={designer}&sentence=a+key+on+white", click=False
    )
    found = ranking(page)
    assert len({name for name, *_ in found}) == 36
    assert all(name.startswith(f"{designer},") for name, *_ in found)
    pixels = page.locator(".gallery canvas").evaluate_all(
        "all => all.map(one => [...one.getContext('2d').getImageData(0, 0, 32, 32).data])"
    )
    seen = torch.tensor(pixels, dtype=torch.uint8).view(-1, 32, 32, 4)[..., :3]
    with recording(emoji) as record:
        vectors = emoji.picture_vectors(seen)
    cosines = vectors @ emoji.text_vectors(encode(["a key on white"]))[0]
    near([cosine for _, cosine, _ in found], cosines)
    near([chance for *_, chance in found], (emoji.scale * cosines).softmax(0))
    assert cosines.tolist() == sorted(cosines.tolist(), reverse=True)
    weights = page.locator(".numbers td").evaluate_all(
        "all => all.map(one => Number(one.dataset.value))"
    )
    near(weights, record.weights("pictures.pool.attention").mean(1)[0, 0])
    _, thing, place, colour = found[0][0].split(",")
    parts = {"thing": CLASSES, "place": PLACES, "colour": COLOURS}
    for row, (part, words) in zip(
        page.locator(".reads tbody tr").all(), parts.items(), strict=True
    ):
        own = {"thing": thing, "place": place, "colour": colour}
        said = [{**own, part: word} for word in words]
        texts = [
            sentence(
                CLASSES.index(one["thing"]),
                PLACES.index(one["place"]),
                [*COLOURS].index(one["colour"]),
            )
            for one in said
        ]
        chances = (emoji.scale * emoji.text_vectors(encode(texts)) @ vectors[0]).softmax(0)
        best = chances.topk(3)
        shown = row.locator("small").evaluate_all(
            "all => all.map(one => Number(one.dataset.value))"
        )
        near(shown, best.values)
        for cell, i in zip(row.locator("td").all(), best.indices, strict=True):
            assert cell.inner_text().startswith([*words][i])


def test_a_sentence_finds_its_picture_and_the_menus_say_sentences(open_page: Open) -> None:
    page = open_page("clip")
    assert ranking(page)[0][0] == "noto,cat,top left,yellow"
    assert "Its own picture comes first of 36." in page.locator(".verdict").inner_text()
    page.get_by_label("thing", exact=True).select_option("umbrella")
    page.get_by_label("place", exact=True).select_option("bottom right")
    page.get_by_label("colour", exact=True).select_option("white")
    assert page.locator("form input").input_value() == "an umbrella at the bottom right on white"
    names = [name for name, *_ in ranking(page)]
    assert "noto,umbrella,bottom right,white" in names and len(names) == 36
    assert page.locator(".gallery .own").count() == 1
    say(page, "A tulip, in")  # nothing moves while something is typed that it does not know
    assert [name for name, *_ in ranking(page)] == names
    page.get_by_role("button", name="Other pictures").click()
    settled(page)
    others = [name for name, *_ in ranking(page)]
    assert "noto,umbrella,bottom right,white" in others and set(others) != set(names)


def test_pairs_that_were_never_trained_are_told(open_page: Open) -> None:
    page = open_page("clip")
    unknown = every()[never_trained(every())][::48]
    known = every()[~never_trained(every())][::240]
    for triple in [*unknown.tolist(), *known.tolist()]:
        thing, place, colour = triple
        say(page, sentence(thing, place, colour))
        settled(page)
        told = "never stood on this colour" in page.locator(".verdict").inner_text()
        assert told == (colour == thing % 6)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Type at least one word"),
        ("a tiger on yellow", "has never read “tiger”"),
        ("<pad>", "has never read “<pad>”"),
        ("a cat at the top left on yellow on", "reads 8 words at most, and these are 9"),
        ("x" * 300, "has never read"),
    ],
)
def test_what_cannot_be_read_gets_a_kind_sentence(text: str, told: str, open_page: Open) -> None:
    page = open_page("clip", size=PHONE)
    before = ranking(page)
    say(page, text)
    message = page.locator(".message")
    expect(message).to_contain_text(told)
    assert "Below is still “a cat at the top left on yellow”." in message.inner_text()
    assert page.locator("form input").get_attribute("aria-invalid") == "true"
    assert ranking(page) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    say(page, "A BANANA, on pink!")
    settled(page)
    assert page.locator("form input").get_attribute("aria-invalid") is None
    assert ranking(page)[0][0].split(",")[1:] != before[0][0].split(",")[1:]


def test_the_designer_is_changed_and_named(open_page: Open) -> None:
    page = open_page("clip")
    menu = page.get_by_label("designer")
    for set_ in json.loads(
        (LIVE / "weights" / "sprites_scene.js").read_text("utf-8").split("= ", 1)[1].rstrip(";\n")
    )["sets"]:
        menu.select_option(set_["name"])
        settled(page)
        credit = page.locator(".credit").inner_text()
        assert set_["credit"]["who"] in credit and set_["credit"]["licence"] in credit
        assert all(name.startswith(set_["name"] + ",") for name, *_ in ranking(page))
        option = menu.locator(f"option[value={set_['name']}]").inner_text()
        assert ("never seen" in option) == (set_["name"] not in TRAINED)


def test_a_picture_is_chosen_by_keyboard_and_by_touch(open_page: Open) -> None:
    page = open_page("clip", size=PHONE, has_touch=True)
    told = page.locator(".told")
    fourth, fifth = (page.locator(".gallery button").nth(i) for i in (3, 4))
    fourth.focus()
    page.keyboard.press("Enter")
    _, thing, place, colour = (fourth.get_attribute("data-name") or "").split(",")
    assert f"{thing} at the {place} on {colour}" in told.inner_text()
    assert fourth.get_attribute("aria-pressed") == "true"
    fifth.tap()
    _, thing, place, colour = (fifth.get_attribute("data-name") or "").split(",")
    assert f"{thing} at the {place} on {colour}" in told.inner_text()
    assert page.locator(".gallery [aria-pressed=true]").count() == 1


# --- digits that are drawn -------------------------------------------------------------------------------


def test_eight_are_drawn_and_more_are_others(chooser: CLIP, open_page: Open) -> None:
    page = open_page("drawing")
    first = codes_of(page)
    assert len(first) == 8 and len(set(first)) > 1
    pixels = page.locator(".gallery canvas").evaluate_all(
        "all => all.map(one => [...one.getContext('2d').getImageData(0, 0, 8, 8).data])"
    )
    ink = 255 - torch.tensor(pixels, dtype=torch.uint8).view(-1, 8, 8, 4)[..., :1]
    words = torch.tensor([digit_clip.WORD_IDS.encode(("a", "bold", "seven"))])
    fits = (chooser.picture_vectors(ink) @ chooser.text_vectors(words).T)[:, 0]
    shown = page.locator(".gallery button").evaluate_all(
        "all => all.map(one => Number(one.dataset.value))"
    )
    near(shown, fits)
    assert "✓" in page.locator(".gallery button").nth(int(fits.argmax())).inner_text()
    page.get_by_role("button", name="Draw eight more").click()
    settled(page)
    assert codes_of(page) != first
    page.get_by_label("temperature").select_option("0")
    settled(page)
    assert len(set(codes_of(page))) == 1
    assert "All eight are the same." in page.locator(".verdict").inner_text()


def test_a_hidden_word_changes_the_drawings_and_comes_back(open_page: Open) -> None:
    page = open_page("drawing", query="?live=drawing&words=a+three+and+a+seven", click=False)
    first = codes_of(page)
    box = page.get_by_label("three", exact=True)
    box.check()
    settled(page)
    assert "No query sees “three”." in page.locator(".verdict").inner_text()
    hidden_now = codes_of(page)
    assert hidden_now != first
    weights = page.locator(".looks button").evaluate_all(
        "all => all.map(one => Number(one.dataset.value))"
    )
    assert weights[1] == 0 and weights[4] > 0
    box.uncheck()
    settled(page)
    assert codes_of(page) == first  # the same chance, so that what changed is the word's doing


def test_each_half_asks_its_own_word(open_page: Open) -> None:
    page = open_page("drawing", query="?live=drawing&words=a+three+and+a+seven", click=False)
    slider = page.get_by_label("code", exact=True)
    assert slider.get_attribute("max") == "32"
    own = []
    for code in range(32):
        slider.fill(str(code + 1))
        shown = page.locator(".looks :is(button, .other)")
        assert shown.count() == 8
        total = sum(float(text.split()[-1]) for text in shown.all_inner_texts())
        assert total == pytest.approx(1, abs=0.05)
        three, seven = page.locator(".looks button").evaluate_all(
            "all => [1, 4].map(i => Number(all[i].dataset.value))"
        )
        own.append((three > seven) == (code % 8 < 4))
    assert np.mean(own) > 0.9
    page.get_by_role("button", name=re.compile("^seven: weight")).click()
    assert "asked “seven”" in page.locator(".close").inner_text()
    page.locator("summary").click()
    expect(page.locator("table.numbers tbody tr")).to_have_count(32)


def test_a_patch_is_chosen_by_touch_and_a_code_by_keyboard(open_page: Open) -> None:
    page = open_page("drawing", size=PHONE, has_touch=True)
    where = page.locator("output")
    stage = page.locator(".stage")
    box = stage.bounding_box()
    assert box
    stage.tap(position={"x": box["width"] * 0.6, "y": box["height"] * 0.9})
    assert where.inner_text() == "15 of 16"
    slider = page.get_by_label("code", exact=True)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert where.inner_text() == "14 of 16"
    assert slider.get_attribute("aria-valuetext") == "14 of 16: row 4, column 2"
    page.locator(".gallery button").nth(5).tap()
    assert page.locator(".gallery [aria-pressed=true]").count() == 1
    assert "Drawing 6" in (page.locator(".stage canvas").get_attribute("aria-label") or "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "these are 0"),
        ("a seven", "these are 2"),
        ("a red seven", "has never read “red”. It knows a, and, thin, plain, bold, zero"),
        ("a <pad> seven", "has never read “<pad>”"),
        ("a three and a " + "x" * 200, "has never read"),
    ],
)
def test_what_cannot_be_drawn_gets_a_kind_sentence(text: str, told: str, open_page: Open) -> None:
    page = open_page("drawing", size=PHONE)
    before = codes_of(page)
    say(page, text)
    message = page.locator(".message")
    expect(message).to_contain_text(told)
    assert "Below is still “a bold seven”." in message.inner_text()
    assert page.locator("form input").get_attribute("aria-invalid") == "true"
    assert codes_of(page) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.parametrize(
    ("kind", "begin"),
    [
        (
            "clip",
            "select => { select.value = 'twemoji'; select.dispatchEvent(new Event('change')) }",
        ),
        ("drawing", "() => document.querySelector('form').requestSubmit()"),
    ],
)
def test_wrong_words_while_it_works_let_it_finish(kind: str, begin: str, open_page: Open) -> None:
    page = open_page(kind)
    before = codes_of(page)
    field = page.locator("form input")
    page.locator("select").last.evaluate(begin)
    field.evaluate(
        "field => { field.value = 'a wombat seven';"
        "for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind)) }"
    )
    page.wait_for_function(READY)
    after = codes_of(page)
    assert len(after) == len(before) and after != before
    assert "has never read “wombat”" in page.locator(".message").inner_text()
    assert field.get_attribute("aria-invalid") == "true"


@pytest.mark.parametrize(
    ("kind", "menu", "value"), [("clip", "designer", "twemoji"), ("drawing", "temperature", "0")]
)
def test_beside_wrong_words_a_menu_changes_what_is_shown(
    kind: str, menu: str, value: str, open_page: Open
) -> None:
    page = open_page(kind)
    before = codes_of(page)
    say(page, "a wombat seven")
    expect(page.locator(".message")).to_contain_text("never read “wombat”")
    page.get_by_label(menu).select_option(value)
    settled(page)
    after = codes_of(page)
    assert len(after) == len(before) and after != before
    assert "never read “wombat”" in page.locator(".message").inner_text()


def test_links_bring_back_what_is_shown(open_page: Open) -> None:
    page = open_page("drawing")
    page.get_by_label("temperature").select_option("0.5")
    page.get_by_label("guidance").select_option("0")
    settled(page)
    assert "At guidance 0 nothing of this reaches" in page.locator(".looks").inner_text()
    page.get_by_role("checkbox", name="bold").check()
    page.get_by_role("button", name="Draw eight more").click()
    settled(page)
    href = page.get_by_role("link", name="A link to this").get_attribute("href") or ""
    assert "seed=2" in href and "hidden=2" in href
    again = open_page("drawing", click=False, query=f"?{urlsplit(href).query}")
    assert again.get_by_role("checkbox", name="bold").is_checked()
    assert codes_of(again) == codes_of(page)

    page = open_page("clip")
    say(page, "a dog on pink")
    page.get_by_label("designer").select_option("twemoji")
    settled(page)
    href = page.get_by_role("link", name="A link to this").get_attribute("href") or ""
    again = open_page("clip", click=False, query=f"?{urlsplit(href).query}")
    assert ranking(again) == ranking(page)


def test_drawings_grow_unless_a_reader_wants_no_motion(open_page: Open) -> None:
    grown = {}
    for motion in ("no-preference", "reduce"):
        page = open_page("drawing", reduced_motion=motion)
        page.evaluate(
            "window.seen = new Set(); const canvas = document.querySelector('.gallery canvas');"
            "const put = CanvasRenderingContext2D.prototype.putImageData;"
            "CanvasRenderingContext2D.prototype.putImageData = function (...all) {"
            "  put.apply(this, all); if (this.canvas === canvas) window.seen.add(canvas.toDataURL()); }; 0"
        )
        page.get_by_role("button", name="Draw eight more").click()
        settled(page)
        grown[motion] = page.evaluate("window.seen.size")
    assert grown["reduce"] == 1 < grown["no-preference"]


def test_every_word_is_known(drawers: dict[str, GPT]) -> None:
    words = stored("drawing_one")["tokens"]
    assert {*STROKES, *NUMBERS} < set(words) and words.index("<bos>") == 1


# --- both ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("width", [320, 375, 1440])
def test_nothing_is_wider_than_the_screen_and_the_place_is_as_high_as_was_said(
    kind: str, width: int, open_page: Open
) -> None:
    page = open_page(kind, size={"width": width, "height": 900}, click=False)
    height = "document.querySelector('.live').offsetHeight"
    page.evaluate("document.querySelector('.live').classList.add('opened')")
    before = page.evaluate(height)
    page.evaluate("document.querySelector('.live').classList.remove('opened')")
    page.get_by_role("button", name=INVITES[kind]).click()
    page.wait_for_function(READY)
    if width >= 375:
        assert page.evaluate(height) == before
    if kind == "drawing":
        say(page, "a three and a seven")
        settled(page)
    page.evaluate(OPEN_ALL)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    controls = page.locator(".live :is(button, select, summary, input[type=text], .hides label)")
    assert controls.evaluate_all(SMALL) == []


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(kind: str, theme: str, open_page: Open) -> None:
    page = open_page(kind, size=PHONE if theme == "dark" else DESK)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(OPEN_ALL)
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
    say(page, "nonsense")
    assert page.locator(".message.wrong").count() == 1
    assert page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize("kind", FILES)
def test_missing_weights_are_told_kindly(kind: str, open_page: Open) -> None:
    page = open_page(kind, click=False)
    page.evaluate("document.querySelector('.live').classList.add('x')")
    page.add_script_tag(url=(LIVE / "elements.js").as_uri())
    for name in (*engine_of(kind)[1:], f"{kind}.js"):
        page.add_script_tag(url=(LIVE / name).as_uri())
    page.evaluate(
        "minattn.loadModel = () => Promise.reject(new Error('The file could not be loaded.')); 0"
    )
    page.evaluate(f"minattn.widgets.{kind}(document.querySelector('.live'))")
    expect(page.locator(".live [role=status]").first).to_contain_text("could not be loaded")


@pytest.mark.parametrize("kind", FILES)
def test_the_chapter_has_its_place_and_words_for_paper(kind: str, open_page: Open) -> None:
    chapter = {"clip": "19_clip", "drawing": "20_text_to_image"}[kind]
    text = (ROOT / "book" / "chapters" / f"{chapter}.md").read_text("utf-8")
    (found,) = re.findall(
        rf'<div class="live" data-live="{kind}"[^>]*>\n\n(.+?)\n\n</div>', text, re.S
    )
    assert len(found.split()) > 15
    page = open_page(kind)
    assert not page.locator(".live-paper").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".live-paper").is_visible()
