"""Numbers of chapters, links to what is smaller than a section, and the menu of folds."""

import os
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from book.tools.browsing import CHROMIUM, MISSING, PHONE, ROOT, watch
from book.tools.contents import chapters_in_order

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

CHAPTERS = chapters_in_order(ROOT)
CHAPTER = "notebooks/05_multi_head"


def soup(site: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{page}.html").read_text("utf-8"), "lxml")


def said(part: object) -> str:
    return " ".join(part.get_text().removesuffix("#").split())


# numbers ------------------------------------------------------------------------------------------


def test_every_chapter_has_its_number_wherever_it_is_named(site: Path) -> None:
    headings = [chapter.heading for chapter in CHAPTERS.values()]
    assert headings[5] == "5. Multi-head attention"
    landing = soup(site, "book/index")
    assert [said(link) for link in landing.select("nav.bd-links a[href*=notebooks]")] == headings
    (listed,) = landing.select("article ol")
    numbers = enumerate(listed.find_all("li", recursive=False), int(listed.get("start", 1)))
    assert [f"{number}. {said(item.a)}" for number, item in numbers] == headings
    mapped = landing.select(".reading-map a")
    assert [". ".join(said(part) for part in link.find_all("text")) for link in mapped] == headings
    for place, (stem, heading) in enumerate(zip(CHAPTERS, headings, strict=True)):
        page = soup(site, f"notebooks/{stem}")
        assert said(page.select_one("article h1")) == heading
        assert said(page.title).startswith(f"{heading} ")
        before, after = (said(title) for title in page.select(".prev-next-title"))
        assert before == (headings[place - 1] if place else said(landing.select_one("article h1")))
        assert after == [*headings, "Cheat sheet"][place + 1]


def test_pages_that_are_no_chapters_have_no_number(site: Path) -> None:
    pages = [f"book/{path.stem}" for path in site.glob("book/*.html")]
    assert [page for page in pages if soup(site, page).select("article .chapter-number")] == []
    assert len(pages) > 5


def test_claims_and_modules_name_their_chapters_with_numbers(site: Path) -> None:
    headings = {chapter.heading for chapter in CHAPTERS.values()}
    there = {said(heading) for heading in soup(site, "book/claims").select("article h2")}
    assert len(there) > 10
    assert there <= headings
    for page in ("api", "api_language", "api_sound", "api_inside"):
        links = soup(site, f"book/{page}").select("section > h2 + p > a[href*=notebooks]")
        assert links, page
        assert {said(link) for link in links} <= headings


# places -------------------------------------------------------------------------------------------


def test_every_claim_of_the_page_of_claims_leads_to_one_of_its_chapter(site: Path) -> None:
    links = soup(site, "book/claims").select("article td a")
    ids: dict[str, set[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    for stem in CHAPTERS:
        parts = soup(site, f"notebooks/{stem}").select("[id^=claim-]")
        ids[stem] = {str(part["id"]) for part in parts}
        assert len(ids[stem]) == len(parts), stem
        texts |= {(stem, str(part["id"])): said(part) for part in parts}
    for link in links:
        stem, anchor = re.fullmatch(r"\.\./notebooks/(\w+)\.html#(.+)", link["href"]).groups()
        words = re.findall(r"\w+", said(link))
        assert re.findall(r"\w+", texts[stem, anchor])[: len(words)] == words
    assert len(links) == sum(map(len, ids.values())) > 300


def test_every_displayed_formula_has_an_address(site: Path) -> None:
    for path in [*site.glob("notebooks/*.html"), *site.glob("book/*.html")]:
        formulas = BeautifulSoup(path.read_text("utf-8"), "lxml").select("article div.math")
        ids = [formula.get("id") for formula in formulas]
        assert None not in ids
        assert len(ids) == len(set(ids)), path.name
        assert [f.select_one(".place-link")["href"] for f in formulas] == [f"#{i}" for i in ids]


def test_a_link_into_closed_checks_opens_them(browser: Browser, address: str, site: Path) -> None:
    line = soup(site, CHAPTER).select_one(".checks li[id^=claim-]")
    page = browser.new_page()
    page.goto(f"{address}/{CHAPTER}.html#{line['id']}")
    target = page.locator(":target")
    target.wait_for(state="visible")
    assert 0 < target.bounding_box()["y"] < 800
    assert page.locator("details.checks[open]").count() == 1
    # Chromium opens it by itself; another browser has our script alone.
    page.evaluate("document.querySelector('details.checks[open]').open = false")
    page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
    assert target.is_visible()
    page.close()


def test_an_address_with_a_lone_percent_sign_is_no_fault(browser: Browser, address: str) -> None:
    faults: list[str] = []
    page = watch(browser.new_context(), faults, address)
    page.goto(f"{address}/{CHAPTER}.html#100%", wait_until="networkidle")
    page.context.close()
    assert faults == []


def test_the_list_of_chapters_shows_the_chapter_that_is_open(
    browser: Browser, address: str
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    for chapter in ("01_context_vector", "22_efficient_attention", "00_ten_minute_check"):
        page.goto(f"{address}/notebooks/{chapter}.html", wait_until="networkidle")
        box = page.locator(".bd-sidebar-primary a.current").bounding_box()
        assert box is not None and 0 <= box["y"] <= 900 - box["height"], chapter
    page.close()


@pytest.mark.parametrize("place", [".claim", "div.math"])
def test_the_sign_is_seen_by_mouse_by_keyboard_and_always_by_finger(
    place: str, browser: Browser, address: str
) -> None:
    seen = "element => getComputedStyle(element).opacity"
    page = browser.new_page()
    page.goto(f"{address}/{CHAPTER}.html", wait_until="networkidle")
    sign = page.locator(f"{place} > .place-link").first
    assert sign.evaluate(seen) == "0"
    page.locator(place).first.hover()
    assert sign.evaluate(seen) == "1"
    page.mouse.move(0, 0)
    assert sign.evaluate(seen) == "0"
    page.keyboard.press("Tab")  # from now on the keyboard is used
    sign.focus()
    assert sign.evaluate(seen) == "1"
    sign.press("Enter")
    assert page.url.endswith(str(sign.get_attribute("href")))
    page.close()
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}.html")
    assert page.locator(f"{place} > .place-link").first.evaluate(seen) == "1"
    context.close()


# folds --------------------------------------------------------------------------------------------

OPEN = """kind => [...document.querySelectorAll(FOLDS[kind])].filter(fold => fold.open).length"""
ALL = """kind => document.querySelectorAll(FOLDS[kind]).length"""


def test_all_folds_of_a_kind_open_and_close_by_keyboard(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{CHAPTER}.html", wait_until="networkidle")
    kinds = {kind: page.evaluate(ALL, kind) for kind in ("code", "answers")}
    choices = page.locator(".choice > details").count()
    assert min(*kinds.values(), choices) > 5
    assert sum(kinds.values()) + choices == page.locator("article details").count()
    menu = page.locator(".dropdown-folds-buttons .dropdown-toggle")
    for kind, other, words in (
        ("code", "answers", "all code and checks"),
        ("answers", "code", "all hints and solutions"),
    ):
        before = page.evaluate(OPEN, other)
        for verb, wanted in (("Open", kinds[kind]), ("Close", 0)):
            menu.focus()
            page.keyboard.press("Enter")
            entry = page.locator(f".btn-folds-{kind}")
            entry.wait_for(state="visible")
            assert entry.inner_text().strip() == f"{verb} {words}"
            entry.press("Enter")
            assert page.evaluate(OPEN, kind) == wanted
        assert page.evaluate(OPEN, other) == before
    assert page.locator(".choice > details[open]").count() == 0
    page.close()


def test_what_the_reader_looks_at_stays_when_folds_open(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{CHAPTER}.html", wait_until="networkidle")
    heading = page.locator("article h2").nth(3)
    heading.evaluate("part => scrollTo({ top: part.offsetTop - 100, behavior: 'instant' })")
    before = heading.bounding_box()["y"]
    page.evaluate("toggleFolds('code')")
    assert abs(heading.bounding_box()["y"] - before) < 3
    page.close()


def test_a_kind_of_folds_that_a_page_lacks_is_not_offered(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/notebooks/00_ten_minute_check.html")
    page.locator(".dropdown-folds-buttons .dropdown-toggle").click()
    page.locator(".btn-folds-answers").wait_for(state="visible")
    assert page.evaluate(ALL, "code") == 0
    assert not page.locator(".btn-folds-code").is_visible()
    page.goto(f"{address}/book/glossary.html")
    assert page.locator(".dropdown-folds-buttons").count() == 0
    page.close()
