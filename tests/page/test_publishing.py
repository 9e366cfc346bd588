"""The book as it is published: found by others, lost by others, and its cheat sheet on paper."""

import io
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser
from pypdf import PdfReader

from book.tools.browsing import CHROMIUM, FORMULAS_SET, MISSING, VIOLATIONS, axe_script, pages

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

CHAPTER = "notebooks/02_soft_attention.html"
A4 = (595, 842)  # points


class Published(SimpleHTTPRequestHandler):
    """Serves a folder as GitHub Pages does: what is not there is answered by 404.html."""

    def send_error(self, code: int, *said: Any) -> None:
        page = Path(self.directory, "project", "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture
def published(site: Path, tmp_path: Path) -> Iterator[str]:
    """The book in a folder of a site, where a project's pages are."""
    (tmp_path / "project").symlink_to(site)
    handler = partial(Published, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/project"
        server.shutdown()


def test_every_page_is_two_clicks_from_the_landing_page_at_most(site: Path) -> None:
    written = {(site / page).resolve() for page in pages(site)}

    def leads_to(page: Path) -> set[Path]:
        links = BeautifulSoup(page.read_text("utf-8"), "html.parser").select("a[href]")
        return {(page.parent / str(link["href"]).partition("#")[0]).resolve() for link in links}

    landing = (site / "book/index.html").resolve()
    first = leads_to(landing) & written
    second = set().union(*map(leads_to, first))
    missed = written - first - second - {landing}
    # Two pages of the theme's: names by letter, and the search, which has a field on each page.
    assert {page.name for page in missed} == {"genindex.html", "search.html"}


@pytest.mark.parametrize("wrong", ["gone.html", "notebooks/gone.html", "a/b/c/gone"])
def test_a_wrong_address_leads_to_the_book_from_any_depth(
    wrong: str, browser: Browser, published: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"{published}/{wrong}", wait_until="networkidle")
    assert answer is not None and answer.status == 404
    places = [link.evaluate("link => link.href") for link in page.locator("a").all()]
    assert places == [f"{published}/book/index.html", f"{published}/search.html"]
    page.locator("a").first.click()
    page.wait_for_url(f"{published}/book/index.html")
    assert page.locator("article h1").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_page_for_wrong_addresses(
    scheme: str, browser: Browser, published: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{published}/gone.html", wait_until="networkidle")
    page.evaluate(axe_script())
    assert page.evaluate(VIOLATIONS) == []
    context.close()


def test_every_page_says_what_it_is_about_and_none_says_what_another_says(site: Path) -> None:
    said: dict[str, list[str]] = {}
    for name in pages(site):
        if name.startswith(("book/", "notebooks/")):
            head = BeautifulSoup((site / name).read_text("utf-8"), "lxml").head
            assert head is not None
            assert len(head.select('meta[property="og:title"]')) == 1, name
            (words,) = (tag["content"] for tag in head.select('meta[name="description"]'))
            said.setdefault(str(words), []).append(name)
    assert [names for names in said.values() if len(names) > 1] == []
    assert said["If the decoder may look back, where does it look?"] == [CHAPTER]
    assert (site / ".nojekyll").exists()


def test_beside_every_chapter_the_contents_say_which_page_is_open(site: Path) -> None:
    for path in sorted(site.glob("notebooks/*.html")):
        soup = BeautifulSoup(path.read_text("utf-8"), "lxml")
        (here,) = soup.select(".bd-sidebar-primary [aria-current]")
        assert soup.title is not None
        assert soup.title.get_text().startswith(here.get_text()), path.name
        assert here["aria-current"] == "page"


def test_the_cheat_sheet_is_two_pages_and_nothing_stands_out(
    browser: Browser, address: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/book/cheat_sheet.html", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    reader = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True, print_background=True)))
    assert len(reader.pages) == 2
    for printed in reader.pages:
        size = float(printed.mediabox.width), float(printed.mediabox.height)
        assert size == pytest.approx(A4, abs=1)
    assert "By default" in reader.pages[0].extract_text()
    assert "Matrices, to scale" in reader.pages[1].extract_text()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 726, "height": 1055})  # A4 less its margins of 9 mm
    wide = page.evaluate(
        """() => {
            const column = (document.querySelector('#cheat-sheet').clientWidth - 19) / 2;
            return [...document.querySelectorAll('#cheat-sheet :is(table, svg, p, mjx-container)')]
                .filter(part => [...part.getClientRects()].some(box => box.width > column + 1))
                .map(part => part.textContent.slice(0, 40));
        }"""
    )
    assert wide == []
    context.close()


def test_every_drawing_of_the_cheat_sheet_follows_the_colours_of_the_page(
    browser: Browser, address: str
) -> None:
    found = {}
    for scheme in "light", "dark":
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{address}/book/cheat_sheet.html", wait_until="networkidle")
        colours = (
            "svg => ['rect', 'text'].map(part => getComputedStyle(svg.querySelector(part)).fill)"
        )
        drawings = page.locator("svg.matrices")
        assert drawings.count() > 15
        found[scheme] = drawings.first.evaluate(colours)
        context.close()
    assert all(light != dark for light, dark in zip(found["light"], found["dark"], strict=True))
