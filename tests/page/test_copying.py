"""What the copy buttons copy: code as it stands, and of doctests what one would type."""

import doctest
import os

import pytest
from playwright.sync_api import Browser

from book.tools.browsing import CHROMIUM, FORMULAS_SET, MISSING, SITE, pages

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

CHAPTER = "notebooks/02_soft_attention.html"
WITH_DOCTESTS = [
    page
    for page in pages()
    if page.startswith(("book/", "notebooks/"))  # a listing of source is copied as it stands
    and "&gt;&gt;&gt; " in (SITE / page).read_text("utf-8")
]

# Press every button; what would go to the clipboard is selected in a field of its own.
PRESS = """() => {
    let copied;
    document.execCommand = () => { copied = document.activeElement.value; return true; };
    return [...document.querySelectorAll('.copybtn')].map(button => {
        copied = null;
        button.click();
        return [button.previousElementSibling.textContent, copied];
    });
}"""


@pytest.mark.parametrize("name", [CHAPTER, *WITH_DOCTESTS])
def test_every_button_copies_what_one_would_type(name: str, browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{name}", wait_until="networkidle")
    page.locator(".copybtn").first.wait_for(state="attached")
    blocks = page.evaluate(PRESS)
    assert len(blocks) > 3
    for shown, copied in blocks:
        examples = doctest.DocTestParser().get_examples(shown) if ">>> " in shown else []
        typed = "".join(example.source for example in examples) or shown
        assert copied == typed.removesuffix("\n")
    page.close()


# Copy what is in a part of the page, as Ctrl+C does.
COPY = """part => {
    getSelection().selectAllChildren(part);
    const copied = new DataTransfer();
    const how = {clipboardData: copied, bubbles: true, cancelable: true};
    document.dispatchEvent(new ClipboardEvent('copy', how));
    return copied.getData('text/plain');
}"""


def test_formulas_are_copied_as_they_are_written_and_signs_of_links_are_not(
    browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.goto(f"{address}/notebooks/06_transformer.html", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    place = page.locator("p", has_text="is added to what was there").first
    place.scroll_into_view_if_needed()  # a formula is drawn when it is near
    place.locator("mjx-math").first.wait_for()
    said = place.evaluate(COPY)
    assert "is added to what was there: $x + f(x)$, the" in said
    inside = place.locator("mjx-container").first
    assert inside.evaluate(COPY).startswith("$")
    formula = page.locator("section:has(> div.math)").last
    formula.scroll_into_view_if_needed()
    formula.locator("div.math mjx-math").first.wait_for()
    section = formula.evaluate(COPY)
    assert "$$y = \\frac" in section and "#" not in section.partition("Easy")[0]
    page.close()


def test_the_pages_of_the_package_have_doctests() -> None:
    assert len(WITH_DOCTESTS) >= 4


def test_a_press_fills_the_clipboard(browser: Browser, address: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/{WITH_DOCTESTS[0]}", wait_until="networkidle")
    block = page.locator(".highlight", has_text=">>> ").first
    block.hover()
    block.locator(".copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied and ">>>" not in copied
    context.close()
