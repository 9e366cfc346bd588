"""Pages by keyboard: real Tab presses through whole pages, by day, by night and in the system's own colours."""

import os

import pytest
from playwright.sync_api import Browser, Page

from book.tools.browsing import (
    CHROMIUM,
    DESK,
    FORMULAS_SET,
    MISSING,
    PHONE,
    open_live,
)

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

LANDING = "book/index.html"
NOTATION = "book/notation.html"  # tables full of formulas
PLAYGROUND = "notebooks/03_queries_keys_values.html"
MAPS = "notebooks/04_self_attention.html"
LISTENER = "notebooks/14_speech.html"

# What is wrong with the element that has the focus; null at the end of the page. Its look is that of itself, of its
# label and of what it holds, as far as that is seen; the same is looked at again without the focus.
STOP = """() => {
    const stop = document.activeElement;
    if (!stop || stop === document.body) return null;
    if (stop.matches('audio')) return []; // the browser's own: several stops inside of one
    const seen = (part) => {
        let opacity = 1;
        for (let p = part; p; p = p.parentElement) opacity *= getComputedStyle(p).opacity;
        return opacity > 0.5 && part.checkVisibility({visibilityProperty: true});
    };
    const look = () => [stop, stop.closest('label'), ...[...stop.querySelectorAll('*')].slice(0, 20)]
        .filter(part => part && seen(part)).map(part => {
            const s = getComputedStyle(part);
            const ring = s.outlineStyle === 'none' ? '' : s.outlineWidth + s.outlineColor;
            return [ring, s.stroke, s.strokeWidth].join(' ');
        }).join();
    const moves = (way) => {
        const before = stop[way];
        stop[way] = before + 9;
        const most = stop[way];
        stop[way] = before - 9;
        const least = stop[way];
        stop[way] = before;
        return most - least > 1;
    };
    const faults = [];
    const does = 'a[href], button, input, select, textarea, summary, audio, [role=slider]';
    if (!stop.matches(does) && !moves('scrollLeft') && !moves('scrollTop')) faults.push('does nothing');
    const {right, bottom, left, top} = stop.getBoundingClientRect();
    if (right <= 0 || bottom <= 0 || left >= innerWidth || top >= innerHeight) faults.push('out of sight');
    const focused = look();
    stop.blur();
    if (look() === focused) faults.push('looks the same');
    stop.focus({preventScroll: true});
    const name = stop.tagName + ' ' + (stop.className.baseVal ?? stop.className) + ' ' +
        stop.textContent.trim().slice(0, 30);
    return faults.map(fault => fault + ': ' + name);
}"""


def walk(page: Page) -> tuple[int, list[str]]:
    """Press Tab to the end of the page: how many stops there are, and what is wrong with them."""
    faults: list[str] = []
    for stops in range(1500):
        page.keyboard.press("Tab")
        found = page.evaluate(STOP)
        if found is None:
            return stops, faults
        faults += found
    raise AssertionError("no end")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (PLAYGROUND, {"color_scheme": "light"}),
        (NOTATION, {"color_scheme": "dark"}),
        (NOTATION, {"color_scheme": "light", "viewport": PHONE}),
        (MAPS, {"forced_colors": "active", "color_scheme": "dark"}),
        (LISTENER, {"color_scheme": "dark"}),
        (LANDING, {"color_scheme": "light", "viewport": PHONE}),
        (LANDING, {"forced_colors": "active"}),
        ("search.html", {"color_scheme": "light"}),
    ],
)
def test_every_tab_stop_does_something_and_is_seen(
    name: str, settings: dict, browser: Browser, address: str
) -> None:
    context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce"} | settings)
    page = context.new_page()
    page.goto(f"{address}/{name}", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    open_live(page)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.locator("#pst-skip-link a").evaluate("link => { link.focus(); link.blur() }")
    page.wait_for_timeout(400)  # the theme looks for what scrolls a while after the last change
    stops, faults = walk(page)
    assert faults == []
    assert stops > 10
    context.close()


@pytest.mark.parametrize("width", [800, 970, 1280])
def test_the_button_of_the_contents_shows_and_hides_them(
    width: int, browser: Browser, address: str
) -> None:
    page = browser.new_page(viewport=DESK | {"width": width}, reduced_motion="reduce")
    page.goto(f"{address}/{NOTATION}")
    contents = page.locator(".bd-sidebar-primary a").nth(1)
    begins = contents.is_visible()
    assert begins == (width > 960)
    page.locator(".primary-toggle").press("Enter")
    page.wait_for_timeout(400)
    assert contents.is_visible() != begins
    page.close()


@pytest.mark.parametrize("by", ["button", "keys"])
@pytest.mark.parametrize("closing", ["Escape", "Control+k"])
def test_a_search_that_is_closed_gives_the_focus_back(
    by: str, closing: str, browser: Browser, address: str
) -> None:
    page = browser.new_page(viewport=DESK, reduced_motion="reduce")
    page.goto(f"{address}/{NOTATION}", wait_until="networkidle")
    field = page.locator(".search-button__wrapper input")
    opener = page.locator(
        ".search-button__button:visible" if by == "button" else "article a[href*='.html']"
    ).first
    has_focus = "part => part === document.activeElement"
    for _ in range(2):
        opener.focus()
        page.keyboard.press("Enter" if by == "button" else "Control+k")
        field.wait_for()
        assert field.evaluate(has_focus)
        page.keyboard.type("key")
        page.keyboard.press(closing)
        field.wait_for(state="hidden")
        assert opener.evaluate(has_focus)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body"), "nothing had it"
    page.close()


def test_escape_takes_a_tooltip_away_and_nothing_else(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport=DESK, reduced_motion="reduce")
    page.goto(f"{address}/{NOTATION}", wait_until="networkidle")
    for selector in (".theme-switch-button", ".search-button__button"):
        button = page.locator(f"{selector}:visible").first
        button.hover()
        tip = page.get_by_role("tooltip")
        tip.wait_for()
        button.focus()
        page.keyboard.press("Escape")
        tip.wait_for(state="detached")
        assert button.evaluate("button => button === document.activeElement")
        assert page.locator("#pst-primary-sidebar-checkbox").is_checked() is False
    page.close()
