"""What a reader meets who sees the pages otherwise: in the system's own colours, without scripts, on a slow network."""

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route

from book.tools.browsing import (
    CHROMIUM,
    DESK,
    FORMULAS_SET,
    MISSING,
    PHONE,
    VIOLATIONS,
    axe_script,
    open_live,
    watch,
)

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

LANDING = "book/index.html"
CHAPTER = "notebooks/02_soft_attention.html"  # the translator
PLAYGROUND = "notebooks/03_queries_keys_values.html"
MAPS = "notebooks/04_self_attention.html"
BEAMS = "notebooks/08_decoding.html"
LISTENER = "notebooks/14_speech.html"

# The contrast of each word with the nearest ground that has a colour, where it is less than everyone can read.
PALE = """() => {
    const [canvas] = [document.createElement('canvas').getContext('2d', {willReadFrequently: true})];
    const paint = (colours) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => {
        const [r, g, b] = colour.map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pale = new Set();
    for (const part of document.querySelectorAll('body :is(p, a, li, th, td, h1, h2, pre, pre span, code, summary)')) {
        if (!part.checkVisibility({visibilityProperty: true}) || !part.textContent.trim()) continue;
        const grounds = [];
        for (let p = part; p; p = p.parentElement) grounds.unshift(getComputedStyle(p).backgroundColor);
        const ground = paint(grounds), ink = paint([...grounds, getComputedStyle(part).color]);
        const [less, more] = [light(ground), light(ink)].sort((a, b) => a - b);
        const contrast = (more + 0.05) / (less + 0.05);
        if (contrast < 4.5) pale.add(`${contrast.toFixed(1)}: ${ink} on ${ground}, ${part.tagName}`);
    }
    return [...pale].slice(0, 10);
}"""

SETTLED = ".result:not(.writing):not([aria-busy]) .verdict"  # the words are all there

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    contexts: list[BrowserContext] = []

    def start(name: str, **settings: object) -> Page:
        context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce"} | settings)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{address}/{name}", wait_until="networkidle")
        return page

    yield start
    for context in contexts:
        context.close()


def ground(part: Locator) -> tuple[int, ...]:
    """The colour of most of it."""
    seen = pixels(part)
    return max(seen.getcolors(seen.width * seen.height) or [])[1]


def pixels(part: Locator) -> Image.Image:
    return Image.open(io.BytesIO(part.screenshot())).convert("RGB")


# the system's own colours -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [PLAYGROUND, MAPS, LISTENER, CHAPTER])
def test_in_the_systems_colours_grounds_that_tell_something_are_kept(
    name: str, scheme: str, open_page: Open
) -> None:
    page = open_page(name, forced_colors="active", color_scheme=scheme)
    open_live(page)
    page.mouse.move(0, 0)  # what is under it would count as chosen
    page.wait_for_timeout(300)
    place = page.locator(".live").first
    telling = {
        PLAYGROUND: (".weights td:nth-of-type(3) button", 2),  # two weights that differ
        MAPS: (".scale .stop", 5),
        LISTENER: (".scale .stop", 5),
        CHAPTER: (".source li", 2),  # one is looked at, the others hardly
    }
    selector, least = telling[name]
    grounds = {pixels(part).getpixel((2, 5)) for part in place.locator(selector).all()}
    assert len(grounds) >= least
    chosen = {
        PLAYGROUND: ("[aria-pressed=true][data-preset]", "[aria-pressed=false][data-preset]"),
        MAPS: (".tokens .looking", ".tokens label:not(.looking)"),
        CHAPTER: (".target [aria-pressed=true]", ".target [aria-pressed=false]"),
    }
    if name in chosen:
        one, other = (ground(place.locator(kind).first) for kind in chosen[name])
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 150
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS.replace("axe.run(", "axe.run('.live', ")) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [LANDING, CHAPTER])
def test_in_the_systems_colours_figures_are_dark_on_white(
    name: str, scheme: str, open_page: Open
) -> None:
    page = open_page(name, forced_colors="active", color_scheme=scheme)
    figures = page.locator("article figure img, article .cell_output img")
    assert figures.count() > 0
    for figure in figures.all()[:3]:
        assert min(ground(figure)) > 240


# more contrast, and larger letters ----------------------------------------------------------------

# The contrast of two colours of ours with the paper.
CONTRASTS = """() => ['--quiet', '--line'].map(name => {
    const light = (colour) => {
        const part = document.body.appendChild(document.createElement('i'));
        part.style.color = `var(${colour})`;
        const [r, g, b] = getComputedStyle(part).color.match(/\\d+/g).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        part.remove();
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [less, more] = [light(name), light('--paper')].sort((a, b) => a - b);
    return (more + 0.05) / (less + 0.05);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_who_asks_for_more_contrast_gets_it(scheme: str, open_page: Open) -> None:
    usual = open_page(LANDING, color_scheme=scheme).evaluate(CONTRASTS)
    more = open_page(LANDING, color_scheme=scheme, contrast="more").evaluate(CONTRASTS)
    assert more[0] > max(7, usual[0] + 1)
    assert more[1] > max(3, usual[1] + 1)


def test_letters_twice_as_large_stay_in_the_button_of_the_search(open_page: Open) -> None:
    page = open_page(LANDING)
    page.add_style_tag(content="html { font-size: 200% }")
    standing_out = """button => [...button.querySelectorAll('*')].filter(part => {
        const [inner, outer] = [part.getBoundingClientRect(), button.getBoundingClientRect()];
        return inner.left < outer.left || inner.right > outer.right || inner.bottom > outer.bottom;
    }).map(part => part.outerHTML)"""
    assert page.locator(".search-button-field").evaluate(standing_out) == []


def test_letters_twice_as_large_leave_all_buttons_on_a_phone(open_page: Open) -> None:
    page = open_page(PLAYGROUND, viewport=PHONE)
    page.add_style_tag(content="html { font-size: 200% }")
    buttons = page.locator(".bd-header-article .btn:visible")
    assert buttons.count() == 6
    boxes = [button.bounding_box() for button in buttons.all()]
    assert [b for b in boxes if b is None or b["x"] + b["width"] > PHONE["width"]] == []


def test_no_title_of_the_next_chapter_is_cut(open_page: Open) -> None:
    page = open_page(LISTENER)
    cut = "links => links.filter(a => a.scrollWidth > a.clientWidth + 1).map(a => a.textContent)"
    for width, style in (
        (320, "* { letter-spacing: normal }"),
        (375, "* { letter-spacing: 0.12em !important; word-spacing: 0.16em !important }"),
        (1280, "html { font-size: 200% }"),
    ):
        page.set_viewport_size({"width": width, "height": 700})
        page.add_style_tag(content=style)
        assert page.locator(".prev-next-footer a").evaluate_all(cut) == [], width


@pytest.mark.parametrize("name", [PLAYGROUND, MAPS, "notebooks/17_super_resolution.html"])
def test_a_narrow_window_with_a_mouse_does_not_scroll_sideways(name: str, open_page: Open) -> None:
    page = open_page(name, viewport={"width": 360, "height": 740})
    page.evaluate(FORMULAS_SET)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


# sounds -------------------------------------------------------------------------------------------


def test_a_sound_that_is_started_stops_the_other(open_page: Open) -> None:
    page = open_page(LISTENER)
    open_live(page)
    sounds = page.locator("audio")
    sounds.nth(1).wait_for(state="attached")  # it is made of what the live place loads
    assert sounds.count() == 2
    for first, second in ((0, 1), (1, 0)):
        sounds.nth(first).evaluate("sound => { sound.loop = true; return sound.play() }")
        sounds.nth(second).evaluate("sound => { sound.loop = true; return sound.play() }")
        page.wait_for_timeout(50)
        paused = [sounds.nth(i).evaluate("sound => sound.paused") for i in (first, second)]
        assert paused == [True, False]


# without scripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", [LANDING, CHAPTER, "book/api_support.html"])
def test_without_scripts_a_page_can_be_read_and_has_no_dead_button(
    name: str, size: dict, scheme: str, open_page: Open
) -> None:
    page = open_page(name, java_script_enabled=False, color_scheme=scheme, viewport=size)
    assert page.evaluate(PALE) == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = max(map(int, re.findall(r"\d+", paper)[:3])) < 60
    assert dark == (scheme == "dark")
    assert page.locator("button:visible, .bd-header-article label:visible").count() == 0
    assert page.locator(".bd-sidebar-primary a", has_text="Self-attention").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


# on a slow network, and on none -------------------------------------------------------------------


@pytest.mark.parametrize("name", [LANDING, PLAYGROUND, MAPS, LISTENER])
def test_a_place_says_at_once_that_it_is_being_loaded(name: str, open_page: Open) -> None:
    page = open_page(name)
    held: list[Route] = []
    page.route("**/live/*.js*", lambda route: held.append(route))
    place = page.locator(".live").first
    button = place.locator(".live-invite")
    button.click()
    assert "Loading" in place.get_by_role("status").inner_text()
    button.click()  # an impatient reader
    page.locator(".navbar-brand").focus()  # who then goes elsewhere
    while held or place.locator(".live-invite").count():
        if held:
            held.pop(0).continue_()
        page.wait_for_timeout(20)
    assert place.locator(":scope > div").count() == 1
    assert page.locator(".navbar-brand").evaluate("link => link === document.activeElement")


@pytest.mark.parametrize(
    ("name", "file"),
    [(LANDING, "elements.js"), (PLAYGROUND, "playground.js"), (MAPS, "maps.js")],
)
def test_a_place_that_could_not_be_loaded_says_what_to_do(
    name: str, file: str, open_page: Open
) -> None:
    page = open_page(name)
    page.route(f"**/live/{file}*", lambda route: route.abort())
    place = page.locator(".live").first
    place.locator(".live-invite").click()
    told = place.get_by_role("status", name="").filter(has_text="press the button again")
    told.wait_for()
    assert file in told.inner_text() and "connected" in told.inner_text()
    assert place.locator(".live-invite").evaluate("button => button === document.activeElement")
    page.unroute(f"**/live/{file}*")
    page.keyboard.press("Enter")
    place.locator(".live-invite").wait_for(state="detached")


# what is remembered -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["http", "file"])
def test_contents_that_were_hidden_stay_hidden(
    by: str, browser: Browser, address: str, site: Path
) -> None:
    root = address if by == "http" else site.as_uri()
    context = browser.new_context(viewport=DESK, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{root}/{CHAPTER}", wait_until="networkidle")
    contents = page.locator(".bd-sidebar-primary .navbar-brand")
    page.locator(".primary-toggle").click()
    contents.wait_for(state="hidden")
    page.locator("a.right-next").click()
    page.wait_for_url("**/03_*")
    page.locator("a.right-next").wait_for()
    assert not contents.is_visible()
    page.go_back(wait_until="load")
    assert not contents.is_visible()
    page.set_viewport_size(PHONE)  # there it would be a drawer over the text
    page.wait_for_timeout(400)
    assert not contents.is_visible()
    page.set_viewport_size(DESK)
    page.wait_for_timeout(400)
    assert not contents.is_visible()
    page.locator(".primary-toggle").click()
    contents.wait_for()
    page.goto(f"{root}/{PLAYGROUND}", wait_until="networkidle")
    assert contents.is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_colours_are_the_systems_though_it_had_others_on_the_last_visit(
    scheme: str, browser: Browser, address: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.add_init_script(
        f"""localStorage.setItem('mode', 'auto');
        localStorage.setItem('theme', '{"dark" if scheme == "light" else "light"}');
        new MutationObserver(() => {{
            if (document.body) window.first ??= document.documentElement.dataset.theme;
        }}).observe(document, {{childList: true, subtree: true}});"""
    )
    page.goto(f"{address}/{CHAPTER}")
    assert page.evaluate("first") == scheme
    context.close()


def test_colours_that_are_chosen_in_one_window_hold_in_the_other(
    browser: Browser, address: str
) -> None:
    context = browser.new_context(viewport=DESK, color_scheme="light")
    one, other = context.new_page(), context.new_page()
    for page in (one, other):
        page.goto(f"{address}/{CHAPTER}", wait_until="networkidle")
    for theme in ("dark", "light"):
        one.locator(".theme-switch-button:visible").click()
        for page in (one, other):
            for kind in ("mode", "theme"):
                page.wait_for_function(f"document.documentElement.dataset.{kind} === '{theme}'")
    context.close()


@pytest.mark.parametrize(("by", "name"), [("http", CHAPTER), ("file", BEAMS)])
def test_who_goes_back_finds_the_live_place_as_it_was(
    by: str, name: str, browser: Browser, address: str, site: Path
) -> None:
    """The browser of the tests keeps no page as it was, as those who are short of memory."""
    root = address if by == "http" else site.as_uri()
    context = browser.new_context(viewport=DESK, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{root}/{name}", wait_until="networkidle")
    open_live(page)
    field, settled = page.get_by_label("A number"), page.locator(SETTLED)
    settled.wait_for()
    field.fill("111888")
    field.press("Enter")
    settled.wait_for()
    shown = page.locator(".live").inner_text(), page.evaluate("scrollY")
    page.goto(f"{root}/404.html")
    page.go_back(wait_until="networkidle")
    settled.wait_for()
    assert field.input_value().replace(",", "") == "111888"
    assert (page.locator(".live").inner_text(), page.evaluate("scrollY")) == shown
    assert page.evaluate("document.activeElement === document.body")
    page.reload(wait_until="networkidle")  # who loads a page anew begins anew
    assert page.locator(".live-invite").is_visible()
    context.close()


def test_a_page_that_was_saved_with_its_place_open_opens_it_again(
    browser: Browser, address: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}", wait_until="networkidle")
    open_live(page)
    saved = page.evaluate("document.documentElement.outerHTML")
    page.route(f"**/{CHAPTER}", lambda route: route.fulfill(body=saved, content_type="text/html"))
    page.goto(f"{address}/{CHAPTER}", wait_until="networkidle")
    assert page.locator(".live-paper").count() == page.locator(".live-invite").count() == 1
    open_live(page)
    context.close()


def test_where_nothing_may_be_kept_a_page_does_what_it_does(browser: Browser, address: str) -> None:
    """In a frame that may have no data of its own, as for a reader who blocks the data of sites."""
    faults: list[str] = []
    context = browser.new_context(viewport=DESK, color_scheme="light", reduced_motion="reduce")
    page = watch(context, faults, address)
    page.goto(f"{address}/{LANDING}", wait_until="networkidle")
    page.set_content(
        f'<iframe sandbox="allow-scripts" src="{address}/{CHAPTER}" width="1250" height="780">',
        wait_until="networkidle",
    )
    frame = page.frames[1]
    assert frame.evaluate("localStorage.getItem('mode')") is not None  # the stand-in's
    for theme in ("dark", "light"):
        frame.locator(".theme-switch-button:visible").click()
        frame.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
    contents = frame.locator(".bd-sidebar-primary .navbar-brand")
    frame.locator(".primary-toggle").click()
    contents.wait_for(state="hidden")
    # Such a frame gets no fonts either, which is another matter.
    assert [fault for fault in faults if fault.startswith("script")] == []
    context.close()
