"""Every page of the built book, seen by a browser: by day on a desk, by night on a phone."""

import functools
import gzip
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, Route, sync_playwright

SITE = Path(__file__).parents[2] / "_build" / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    reason = "page tests left out: no chromium found (Debian: apt-get install chromium; make page)"
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.page

LANDING = "book/index.html"
CHAPTER = "notebooks/01_context_vector.html"
FIRST_VIEW = 600_000  # bytes, text gzipped
PACKED = (".woff", ".woff2", ".png", ".jpg", ".ico")  # gzip would gain nothing
FILE_NAME = re.compile(r"_images/|\.(png|svg|jpe?g|gif)\s*$|[0-9a-f]{32}", re.IGNORECASE)

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 812}

BAD_FORMULAS = """[...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
    .map(formula => `formula: ${formula.dataset.mjxError || formula.textContent}`)"""
OPEN_ALL = "document.querySelectorAll('details').forEach(fold => { fold.open = true })"
IMAGES = """[...document.images].filter(image => !image.matches('.navbar-brand img'))
    .map(image => [image.getAttribute('src'), image.getAttribute('alt') || ''])"""
BLANK_ICONS = """[...document.querySelectorAll('i[class*="fa-"], span[class*="fa-"]')]
    .filter(icon => icon.checkVisibility() && (
        getComputedStyle(icon).maskImage === 'none' || !icon.getBoundingClientRect().width))
    .map(icon => icon.className)"""
TOO_WIDE = """document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll('body *')]
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.tagName + '.' + part.className).slice(0, 5)"""
# Of the definitions on the API page, all of one make, the first of each module is enough for axe.
THIN_OUT = "document.querySelectorAll('dl.py ~ dl.py').forEach(entry => entry.remove())"
VIOLATIONS = """axe.run({preload: false, resultTypes: ['violations']})
    .then(found => found.violations.map(rule => [
        rule.id, rule.help, ...rule.nodes.slice(0, 3).map(node => node.html.slice(0, 160))
    ].join(' | ')))"""


def pages() -> list[str]:
    """List the pages to visit; the longest listing of package source stands for the others."""
    found = [path for path in SITE.rglob("*.html") if path.relative_to(SITE).parts[0] != "_static"]
    source = sorted(
        (path for path in found if "_modules" in path.parts), key=lambda path: path.stat().st_size
    )
    return sorted(
        str(path.relative_to(SITE))
        for path in set(found) - set(source[:-1]) - {SITE / "index.html"}
    )


PAGES = pages() or [LANDING]  # a site that is not built is reported by its fixture
every_page = pytest.mark.parametrize("page", PAGES)


@dataclass
class Visit:
    """What was seen of one page; by day and by night where it may differ."""

    faults: list[str] = field(default_factory=list)
    weight: int = 0
    images: list[tuple[str, str]] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    blank_icons: list[str] = field(default_factory=list)


Look = Callable[[str], Visit]


def watch(context: BrowserContext, faults: list[str], allowed: str) -> Page:
    """Open an empty page that may fetch from one place only, and note all that goes wrong in it."""

    def stay_inside(route: Route) -> None:
        if route.request.url.startswith(allowed):
            route.continue_()
        else:
            faults.append(f"request to the outside: {route.request.url}")
            route.abort()

    context.route("**/*", stay_inside)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on(
        "console",
        lambda line: faults.append(f"console: {line.text}") if line.type == "error" else None,
    )
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda answer: (
            faults.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        ),
    )
    return page


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.fail(
            f"the book is not built: no {SITE / 'index.html'}; run make book", pytrace=False
        )
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.fail("MINATTN_REQUIRE_CHROMIUM=1, but no chromium is on the path", pytrace=False)
    # no-sandbox: containers run as root. The rest keeps the browser itself from calling home.
    quiet = (
        "background-networking",
        "component-update",
        "default-apps",
        "domain-reliability",
        "sync",
    )
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in quiet)]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def weigh(answers: list[Response]) -> int:
    return sum(
        len(a.body() if a.url.endswith(PACKED) else gzip.compress(a.body()))
        for a in answers
        if a.status == 200
    )


@functools.cache
def axe_script() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")


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
        seen.weight = weigh(answers)
        seen.images = [tuple(pair) for pair in page.evaluate(IMAGES)]
        seen.faults += page.evaluate(BAD_FORMULAS)
        seen.blank_icons = page.evaluate(BLANK_ICONS)
        page.evaluate(OPEN_ALL)
        page.set_viewport_size(PHONE)
        seen.too_wide = page.evaluate(TOO_WIDE)
        seen.blank_icons += page.evaluate(BLANK_ICONS)

        page.evaluate(THIN_OUT)
        page.evaluate(axe_script())
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        seen.violations["night"] = page.evaluate(VIOLATIONS)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(DESK)
        page.wait_for_function("document.documentElement.dataset.theme === 'light'")
        seen.violations["day"] = page.evaluate(VIOLATIONS)
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


@every_page
def test_a_phone_need_not_scroll_sideways(page: str, visit: Look) -> None:
    assert visit(page).too_wide == []


@every_page
def test_the_first_view_is_light(page: str, visit: Look) -> None:
    assert visit(page).weight <= FIRST_VIEW


@every_page
def test_every_icon_is_drawn(page: str, visit: Look) -> None:
    assert visit(page).blank_icons == []


def test_every_image_says_what_it_shows(visit: Look) -> None:
    """A real text: a phrase, no file name, and no two different images with the same one."""
    images = {
        (source.rsplit("/", 1)[-1], alt) for page in PAGES for source, alt in visit(page).images
    }
    poor = [image for image in images if len(image[1].split()) < 3 or FILE_NAME.search(image[1])]
    texts = [alt for _, alt in images]
    assert poor == []
    assert sorted(alt for alt in set(texts) if texts.count(alt) > 1) == []
    assert images, "the book has figures, but none was found"


def test_the_search_finds_alignment(browser: Browser, address: str) -> None:
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, address)
    page.goto(f"{address}/search.html?q=alignment")
    page.locator("#search-results li a").first.wait_for(timeout=5000)
    # The search reads every page it found for an excerpt; leaving before that breaks those requests off.
    page.wait_for_load_state("networkidle")
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
