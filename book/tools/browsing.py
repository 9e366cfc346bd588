"""Chromium, as pdf.py, audit.py and the page tests use it: how to find it, start it and watch a page."""

from __future__ import annotations

import functools
import gzip
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Response, Route, sync_playwright

from book.tools import serve

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
# The shell is the same browser without windows, which spares each test a second of building some.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = "no chromium found (Debian: apt-get install chromium-headless-shell)"

# no-sandbox: containers run as root. The rest keeps the browser itself from calling home.
ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
]

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 812}
PACKED = (".woff", ".woff2", ".png", ".jpg", ".ico")  # gzip would gain nothing

OPEN_ALL = "document.querySelectorAll('details').forEach(fold => { fold.open = true })"
# Of what is all of one make, the first is enough for axe: of the definitions on the API page one a
# module, of coloured words in code one a colour and kind of block. Contrast is nearly all of its work.
THIN_OUT = """() => {
    document.querySelectorAll('dl.py ~ dl.py').forEach(entry => entry.remove());
    const seen = new Set();
    document.querySelectorAll('.highlight span[class]:not([id], :has(*))').forEach(word => {
        const block = word.closest('.highlight').parentNode, around = block.closest('details, .admonition');
        const kind = [word, block, around].map(part => part?.className).join(' in ');
        if (seen.has(kind)) word.replaceWith(word.textContent);
        seen.add(kind);
    });
}"""
VIOLATIONS = """axe.run({preload: false, resultTypes: ['violations']})
    .then(found => found.violations.map(rule => [
        rule.id, rule.help, ...rule.nodes.slice(0, 3).map(node => node.html.slice(0, 160))
    ].join(' | ')))"""
FORMULAS_SET = "async () => { await window.MathJax?.startup?.promise }"


def pages(site: Path = SITE) -> list[str]:
    """List the pages to visit; the longest listing of package source stands for the others."""
    found = [path for path in site.rglob("*.html") if path.relative_to(site).parts[0] != "_static"]
    source = sorted(
        (path for path in found if "_modules" in path.parts), key=lambda path: path.stat().st_size
    )
    return sorted(
        str(path.relative_to(site))
        for path in set(found) - set(source[:-1]) - {site / "index.html", site / "404.html"}
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@contextmanager
def served(site: Path = SITE) -> Iterator[str]:
    """Serve the built book on any free port; give the address."""
    with serve.server(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


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


def sizes(answers: list[Response]) -> dict[str, int]:
    """The bytes of what was fetched, text gzipped, by address."""
    return {
        a.url: len(a.body() if a.url.endswith(PACKED) else gzip.compress(a.body()))
        for a in answers
        if a.status == 200
    }


@functools.cache
def axe_script() -> str:
    spec = find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")


def open_live(page: Page) -> list[str]:
    """Let every live place of a page load what it holds; say of which kind they are."""
    places = page.locator(".live[data-live]").all()
    for place in places:
        invite = place.locator(".live-invite")
        invite.click()
        invite.wait_for(state="detached", timeout=15_000)
    if places:
        page.wait_for_load_state("networkidle")
    return [str(place.get_attribute("data-live")) for place in places]


def violations(page: Page) -> dict[str, list[str]]:
    """What axe finds on a page: at night on a phone, then by day on a desk, everything unfolded."""
    found = {}
    page.evaluate(OPEN_ALL)
    page.evaluate(THIN_OUT)
    page.evaluate(axe_script())
    for time, scheme, size in (("night", "dark", PHONE), ("day", "light", DESK)):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        found[time] = page.evaluate(VIOLATIONS)
    return found
