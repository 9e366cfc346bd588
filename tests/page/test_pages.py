"""Every page of the built book, seen by a browser: by day on a desk, by night on a phone."""

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from book.tools.audit import FIRST_VIEW, OBSERVE, SHIFT
from book.tools.browsing import (
    CHROMIUM,
    DESK,
    FORMULAS_SET,
    MISSING,
    OPEN_ALL,
    PHONE,
    ROOT,
    THIN_OUT,
    VIOLATIONS,
    axe_script,
    open_live,
    pages,
    sizes,
    violations,
    watch,
)
from tests.page import live_page

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

LAPTOPS = (1200, 1440)
LANDING = "book/index.html"
CHAPTER = "notebooks/01_context_vector.html"  # one live place, and mathematics
FILE_NAME = re.compile(r"_images/|\.(png|svg|jpe?g|gif)\s*$|[0-9a-f]{32}", re.IGNORECASE)

LIVE_PLACE = re.compile(r'<div class="live" data-live="(\w+)"')

BAD_FORMULAS = """[...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
    .map(formula => `formula: ${formula.dataset.mjxError || formula.textContent}`)"""
BLANK_ICONS = """[...document.querySelectorAll('i[class*="fa-"], span[class*="fa-"]')]
    .filter(icon => icon.checkVisibility() && (
        getComputedStyle(icon).maskImage === 'none' || !icon.getBoundingClientRect().width))
    .map(icon => icon.className)"""
NEXT_FRAMES = """() => new Promise(done =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"""
CUT = """[...document.querySelectorAll(
        'article :is(pre, .pst-scrollable-table-container, .output.text_html)')]
    .filter(part => part.scrollWidth > part.clientWidth + 1)
    .map(part => `at ${innerWidth}, ${part.scrollWidth - part.clientWidth} pixels too wide: `
        + part.textContent.trim().slice(0, 60))"""
CONTENTS_CUT = """[...document.querySelectorAll('.bd-sidebar-secondary a')].filter(link => {
    const words = document.createRange();
    words.selectNodeContents(link);
    return [...words.getClientRects()].some(part => part.right > innerWidth);
}).map(link => `at ${innerWidth}: ${link.textContent.trim()}`)"""
TOO_WIDE = """document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll('body *')]
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.tagName + '.' + part.className).slice(0, 5)"""

# A Tab stop that does nothing, or what scrolls and is none.
REACH = """[...document.querySelectorAll('article *')].flatMap(part => {
    const {overflowX, overflowY} = getComputedStyle(part);
    const may = (overflow) => overflow === 'auto' || overflow === 'scroll';
    const scrolls = (may(overflowX) && part.scrollWidth > part.clientWidth + 1)
        || (may(overflowY) && part.scrollHeight > part.clientHeight + 1);
    const does = part.matches('a, button, input, select, textarea, summary, audio, [role=slider]');
    const stop = part.getAttribute('tabindex') === '0';
    const within = scrolls && part.querySelector('a[href], button, input, select, summary, [tabindex="0"]');
    if (does || stop === scrolls || (within && !stop) || !part.checkVisibility()) return [];
    return [`at ${innerWidth}, ${stop ? 'stops, and does not scroll' : 'scrolls, and is no stop'}: `
        + part.outerHTML.slice(0, 80)];
})"""
# Code that is cut inside of a word, though the word would fit into a line.
BROKEN = """[...document.querySelectorAll('article :not(pre) > code .pre')].filter(word => {
    if (!word.checkVisibility() || !/^\\S*\\w\\S*$/.test(word.textContent.trim())) return false;
    const parts = [...word.getClientRects()];
    const whole = parts.reduce((sum, part) => sum + part.width, 0);
    const room = word.closest('p, li, td, th, dd, dt, figcaption, h1, h2, h3').clientWidth;
    return parts.length > 1 && whole + 12 < room; // 12: padding
}).map(word => word.textContent)"""

PAGES = pages() or [LANDING]  # a site that is not built is reported by its fixture
every_page = pytest.mark.parametrize("page", PAGES)


@dataclass
class Visit:
    """What was seen of one page; by day and by night where it may differ."""

    faults: list[str] = field(default_factory=list)
    weight: int = 0
    live: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    contents_cut: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    reach: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    blank_icons: list[str] = field(default_factory=list)


Look = Callable[[str], Visit]


@pytest.fixture(scope="session")
def visit(browser: Browser, address: str) -> Look:
    """Load each page once, look at it by day and by night; the tests below read what was noted."""

    @functools.cache
    def look(name: str) -> Visit:
        seen, answers = Visit(), []
        context = browser.new_context(viewport=DESK, color_scheme="light", reduced_motion="reduce")
        page = watch(context, seen.faults, address)
        page.on("response", lambda answer: answers.append(answer))
        page.goto(f"{address}/{name}", wait_until="networkidle")
        seen.weight = sum(sizes(answers).values())
        seen.faults += page.evaluate(BAD_FORMULAS)
        seen.blank_icons = page.evaluate(BLANK_ICONS)
        seen.live = open_live(page)
        page.evaluate(OPEN_ALL)
        for width in LAPTOPS:
            page.set_viewport_size(DESK | {"width": width})
            seen.cut += page.evaluate(CUT)
            seen.contents_cut += page.evaluate(CONTENTS_CUT)
            page.evaluate(NEXT_FRAMES)
            seen.reach += page.evaluate(REACH)
        page.set_viewport_size(PHONE)
        page.evaluate(NEXT_FRAMES)  # live places follow the window a frame later
        seen.too_wide = page.evaluate(TOO_WIDE)
        seen.reach += page.evaluate(REACH)
        seen.broken = page.evaluate(BROKEN)
        seen.blank_icons += page.evaluate(BLANK_ICONS)

        seen.violations = violations(page)
        context.close()
        return seen

    return look


@every_page
def test_a_page_loads_without_a_fault_or_an_outside_request(page: str, visit: Look) -> None:
    assert visit(page).faults == []


@every_page
@pytest.mark.parametrize("time", ["day", "night"])
def test_axe_finds_no_violation(page: str, time: str, visit: Look) -> None:
    assert visit(page).violations[time] == []


def test_axe_sees_a_pale_word_in_code_that_was_thinned_out(browser: Browser) -> None:
    word = '<span class="k">if</span> <span class="k">else</span>'
    code = f'<div class="highlight-python"><div class="highlight"><pre>{word}</pre></div></div>'
    box = f'<div class="admonition">{code}</div>'
    context = browser.new_context()
    page = context.new_page()
    pale = "<style>.admonition .k { color: #ddd } body { background: white }</style>"
    start = '<!DOCTYPE html><html lang="en" data-theme="light"><title>code</title>'
    page.set_content(f"{start}{pale}<main><h1>code</h1>{code * 2}{box * 2}</main>")
    page.evaluate(THIN_OUT)
    assert page.locator("span.k").count() == 2, "the first of each kind of block"
    page.evaluate(axe_script())
    (found,) = page.evaluate(VIOLATIONS)
    assert "color-contrast" in found and found.count("<span") == 1
    context.close()


@every_page
def test_a_phone_need_not_scroll_sideways(page: str, visit: Look) -> None:
    assert visit(page).too_wide == []


@every_page
def test_what_scrolls_is_a_tab_stop_and_nothing_else_that_does_nothing(
    page: str, visit: Look
) -> None:
    assert visit(page).reach == []


@every_page
def test_a_phone_breaks_no_word_of_code_that_fits(page: str, visit: Look) -> None:
    assert visit(page).broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("notebooks/")])
def test_a_chapter_cuts_no_code_and_no_table_on_a_laptop(page: str, visit: Look) -> None:
    assert visit(page).cut == []


@every_page
def test_the_contents_of_a_page_are_not_cut_on_a_laptop(page: str, visit: Look) -> None:
    assert visit(page).contents_cut == []


@every_page
def test_the_first_view_is_light(page: str, visit: Look) -> None:
    assert visit(page).weight <= FIRST_VIEW


def test_formulas_that_are_set_move_little_on_a_phone(browser: Browser, address: str) -> None:
    """Where the most stand in the first view."""
    context = browser.new_context(viewport=PHONE, reduced_motion="reduce")
    page = context.new_page()
    page.add_init_script(OBSERVE)
    page.goto(f"{address}/book/cheat_sheet.html", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    page.evaluate(NEXT_FRAMES)
    assert page.evaluate("seen.shift") <= SHIFT
    context.close()


@every_page
def test_every_icon_is_drawn(page: str, visit: Look) -> None:
    assert visit(page).blank_icons == []


@every_page
def test_every_live_place_opens(page: str, visit: Look, site: Path) -> None:
    assert visit(page).live == live_places(site, page)


def live_places(site: Path, page: str) -> list[str]:
    return LIVE_PLACE.findall((site / page).read_text("utf-8"))


def test_the_book_has_live_places_of_every_kind(site: Path) -> None:
    kinds = {page: live_places(site, page) for page in PAGES}
    assert kinds[LANDING] == ["translator"]
    assert {kind for found in kinds.values() for kind in found} == set(live_page.kinds())
    written = {
        f"notebooks/{path.stem}.html"
        for path in (ROOT / "book" / "chapters").glob("*.md")
        if 'class="live"' in path.read_text("utf-8")
    }
    assert [page for page, found in kinds.items() if found] == [
        LANDING,
        *(page for page in PAGES if page in written),
    ]


def test_every_image_says_what_it_shows(site: Path) -> None:
    """A real text: a phrase, no file name, and no two different images with the same one."""
    images = {
        (image["src"].rsplit("/", 1)[-1], image.get("alt", ""))
        for page in PAGES
        for image in BeautifulSoup((site / page).read_text("utf-8"), "lxml").select(
            "img:not(.navbar-brand img, .gallery img)"  # a gallery shows what its chapters show
        )
    }
    poor = [image for image in images if len(image[1].split()) < 3 or FILE_NAME.search(image[1])]
    texts = [alt for _, alt in images]
    assert poor == []
    assert sorted(alt for alt in set(texts) if texts.count(alt) > 1) == []
    assert images, "the book has figures, but none was found"


@pytest.mark.parametrize("file", ["translator.js", "layers.js"])
def test_a_live_place_whose_files_are_missing_says_so_and_can_be_tried_again(
    file: str, browser: Browser, address: str
) -> None:
    """Also one that others need, which ran without it."""
    context = browser.new_context()
    page = context.new_page()
    page.route(f"**/live/{file}*", lambda route: route.abort())
    page.goto(f"{address}/{CHAPTER}")
    place = page.locator(".live")
    place.locator("button").click()
    place.get_by_text(f"The file {file} is missing.").wait_for()
    page.unroute(f"**/live/{file}*")
    place.locator("button").click()
    place.locator("input").first.wait_for()
    context.close()


def test_without_scripts_a_live_place_takes_no_room(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}")
    assert page.locator(".live").count() == 1
    assert not page.locator(".live").is_visible()
    context.close()


def test_the_search_finds_alignment(browser: Browser, address: str) -> None:
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, address)
    page.goto(f"{address}/search.html?q=alignment")
    page.locator("#search-results li a").first.wait_for(timeout=5000)
    page.locator("#search-results li a").first.click()
    page.wait_for_load_state("networkidle")
    assert "alignment" in page.locator("article").inner_text().lower()
    assert faults == []
    context.close()


@pytest.mark.parametrize("by", ["http", "file"])
def test_index_opens_the_landing_page(by: str, browser: Browser, address: str, site: Path) -> None:
    root = address if by == "http" else site.as_uri()
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, root)
    page.goto(f"{root}/index.html")
    page.wait_for_url(f"{root}/{LANDING}*", timeout=5000)
    assert page.locator("article h1").is_visible()
    assert faults == []
    context.close()


def test_a_chapter_opened_as_a_file_has_its_mathematics(browser: Browser, site: Path) -> None:
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, site.as_uri())
    page.goto(f"{site.as_uri()}/{CHAPTER}", wait_until="networkidle")
    page.locator("mjx-container").first.wait_for(timeout=5000)
    left_raw = page.locator("article .math").filter(has_not=page.locator("mjx-container")).count()
    assert left_raw == 0
    assert faults == []
    context.close()
