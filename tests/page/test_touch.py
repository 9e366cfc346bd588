"""Pages by finger, on a phone: real touches through the browser's protocol."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from book.tools.browsing import (
    CHROMIUM,
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

CHAPTER = "notebooks/02_soft_attention.html"  # the translator
PLAYGROUND = "notebooks/03_queries_keys_values.html"
MAPS = "notebooks/04_self_attention.html"
PACKAGE = "book/api_support.html"

# In the middle of what is seen, or something else would be hit.
CENTRE = "part => part.scrollIntoView({block: 'center', behavior: 'instant'})"
SEEN = """part => {
    let opacity = 1;
    for (let p = part; p; p = p.parentElement) opacity *= getComputedStyle(p).opacity;
    const {width, height} = part.getBoundingClientRect();
    const seen = part.checkVisibility({visibilityProperty: true}) && opacity > 0.9;
    return seen && width >= 24 && height >= 24;
}"""


@pytest.fixture
def phone(browser: Browser, address: str) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce", base_url=address
    )
    yield context
    context.close()


@pytest.fixture
def page(phone: BrowserContext, address: str) -> Iterator[Page]:
    faults: list[str] = []
    yield watch(phone, faults, address)
    assert faults == []


def live(page: Page, name: str) -> Locator:
    page.goto(f"/{name}", wait_until="networkidle")
    open_live(page)
    return page.locator(".live").first


def centre(part: Locator) -> tuple[float, float]:
    part.evaluate(CENTRE)
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def swipe(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    """Put a finger down, move it in ten steps, and lift it."""
    protocol = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    (x, y), (dx, dy) = start, by
    send("touchStart", start)
    for step in range(1, 11):
        send("touchMove", (x + dx * step / 10, y + dy * step / 10))
        page.wait_for_timeout(16)
    send("touchEnd")
    page.wait_for_timeout(100)


@pytest.mark.parametrize("name", ["query of twenty", "query of three", "key of und"])
def test_a_finger_drags_a_handle_and_not_the_page(name: str, page: Page) -> None:
    place = live(page, PLAYGROUND)
    handle = place.get_by_role("slider", name=name)
    start = centre(handle.locator(".mark"))
    box = place.locator("svg.plane").bounding_box()
    assert box is not None
    unit = box["width"] * 54 / 380
    scrolled = page.evaluate("scrollY")
    before = [float(part.split()[-1]) for part in told(handle)]
    swipe(page, start, (-unit, -unit))
    after = [float(part.split()[-1]) for part in told(handle)]
    assert after == pytest.approx([before[0] - 1, min(before[1] + 1, 3)], abs=0.11)
    assert page.evaluate("scrollY") == scrolled


def told(handle: Locator) -> list[str]:
    return (handle.get_attribute("aria-valuetext") or "").replace("−", "-").split(",")


def test_a_finger_beside_the_handles_scrolls_the_page(page: Page) -> None:
    place = live(page, PLAYGROUND)
    x, y = centre(place.locator("svg.plane"))
    scrolled = page.evaluate("scrollY")
    swipe(page, (x - 100, y + 60), (0, -150))
    assert page.evaluate("scrollY") > scrolled + 50


def test_a_weight_is_forbidden_by_a_tap(page: Page) -> None:
    place = live(page, PLAYGROUND)
    cell = place.get_by_role("button", name="twenty may look at zwanzig")
    cell.tap()
    assert cell.get_attribute("aria-pressed") == "false"


def test_a_word_of_the_translator_is_looked_at_by_a_tap(page: Page) -> None:
    place = live(page, CHAPTER)
    word = place.locator(".target button", has_text="forty")
    word.tap()
    assert word.get_attribute("aria-pressed") == "true"
    assert "forty" in place.locator("caption").first.inner_text()


def test_a_token_and_a_row_of_a_map_are_chosen_by_a_tap(page: Page) -> None:
    place = live(page, MAPS)
    place.locator(".tokens label").nth(3).tap()
    assert "position 4," in place.locator("caption").first.inner_text()
    row = place.locator("svg.map .query").nth(1)
    page.touchscreen.tap(*centre(row))
    assert "position 2," in place.locator("caption").first.inner_text()


@pytest.mark.parametrize(
    ("side", "entry"), [("secondary", "Exercises"), ("primary", "2. Soft attention")]
)
def test_a_drawer_closes_once_an_entry_is_chosen(side: str, entry: str, page: Page) -> None:
    page.goto(f"/{CHAPTER}", wait_until="networkidle")
    drawer = page.locator(f".bd-sidebar-{side}")
    page.locator(f".{side}-toggle").tap()
    link = drawer.get_by_role("link", name=entry, exact=True)
    link.tap()
    link.wait_for(state="hidden")
    if side == "secondary":
        top = page.locator("#exercises h2").first.evaluate("h => h.getBoundingClientRect().top")
        assert 0 <= top < 200


@pytest.mark.parametrize("name", [CHAPTER, PACKAGE])
def test_copy_buttons_and_links_of_headings_are_seen_and_hit_by_a_finger(
    name: str, page: Page
) -> None:
    page.goto(f"/{name}", wait_until="networkidle")
    for kind in ("article .copybtn", "article :is(h1, h2, h3, dt) > a.headerlink"):
        parts = page.locator(kind)
        assert parts.count() > 3
        unseen = [
            part.get_attribute("href") or part.get_attribute("data-clipboard-target")
            for part in parts.all()
            if not part.evaluate("part => Boolean(part.closest('details:not([open])'))")
            and not part.evaluate(SEEN)
        ]
        assert unseen == [], kind
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_finger_hits_one_link_of_the_package_and_not_its_neighbour(page: Page) -> None:
    """By two rules of axe, one of which is off as it comes."""
    page.goto(f"/{PACKAGE}", wait_until="networkidle")
    page.evaluate(axe_script())
    rules = "axe.run({runOnly: ['target-size', 'link-in-text-block'], "
    assert page.evaluate(VIOLATIONS.replace("axe.run({", rules)) == []


def test_the_link_to_the_source_stands_in_the_box_of_its_entry(page: Page) -> None:
    page.goto(f"/{PACKAGE}", wait_until="networkidle")
    below = """links => links.filter(link =>
        link.getBoundingClientRect().bottom > link.closest('dt').getBoundingClientRect().bottom + 0.5
    ).map(link => link.getAttribute('href'))"""
    links = page.locator("dt.sig > a.reference:has(.viewcode-link)")
    assert links.count() > 3
    assert links.evaluate_all(below) == []


# Where the sign behind a caption once hung out of the page.
CAPTIONS = [MAPS, PLAYGROUND, "book/index.html", "notebooks/05_multi_head.html"]


@pytest.mark.parametrize("name", CAPTIONS)
def test_no_page_scrolls_sideways_under_a_finger(name: str, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/{name}", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
