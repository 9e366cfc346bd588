"""A new edition is seen at once, whichever way the book is served or unpacked."""

import functools
import os
import re
import shutil
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser

from book._ext.minattn_site import editions
from book._ext.minattn_site.mathjax import MATHJAX
from book.tools import serve, zip_book
from book.tools.browsing import ROOT, open_live, pages, watch

pytestmark = pytest.mark.page

STATIC = ROOT / "book" / "_static"
DAY = 86_400
NAMED = re.compile(r'<(a|img|link|script|source|iframe)\b[^>]*?\s(?:src|href)="([^"]{1,999})"')
VERSION = re.compile(r"v=[0-9a-f]{8}")


class Plain(SimpleHTTPRequestHandler):
    """A server as one finds it: it says when a file was made, and leaves the rest to the browser."""

    def log_message(self, format: str, *words: object) -> None:
        pass


class Patient(Plain):
    """A server that lets pages and files be kept for ten minutes, as GitHub Pages does."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()


@contextmanager
def served_by(handler: type[SimpleHTTPRequestHandler], folder: Path):
    made = functools.partial(handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def edition(folder: Path, name: str, age: int) -> None:
    """Write a small book of which every file says the name of the edition."""
    shutil.rmtree(folder, ignore_errors=True)
    static = folder / "_static"
    live = static / "live"
    (live / "weights").mkdir(parents=True)
    for file in ("minattn.js", "live/loading.js", "live/elements.js", "live/live.css"):
        shutil.copy(STATIC / file, static / file)
    # A kind of live place: its own files, and the maps that it loads.
    for file in ("maps.css", "maps.js"):
        (live / file).write_text("")
    (live / "maps.css").write_text(f":root {{ --live-sheet: {name} }}")
    (live / "maps.js").write_text(
        f"minattn.widgets = {{ maps: async (place) => {{ const found = await minattn.loadMaps('small');"
        f" place.textContent = 'live {name}, weights ' + found; }} }};"
    )
    (live / "weights" / "maps_small.js").write_text(f"minattn.maps.small = '{name}';")
    (static / "inner.css").write_text(f":root {{ --inner: {name} }}")
    (static / "sheet.css").write_text(f"@import 'inner.css'; :root {{ --sheet: {name} }}")
    (folder / "searchindex.js").write_text(f"window.index = '{name}';")
    width = {"first": 10, "second": 20}[name]
    (static / "picture.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="5"/>'
    )
    (folder / "page.html").write_text(
        '<!DOCTYPE html><html><head><meta charset="utf-8">'
        '<link rel="stylesheet" href="_static/sheet.css?v=old"/>'
        '<script src="searchindex.js"></script><script src="_static/minattn.js?v=00"></script></head>'
        f'<body><h1>{name}</h1><img src="_static/picture.svg"/>'
        '<a href="page.html">here</a><div class="live" data-live="maps"></div></body></html>'
    )
    editions.give_versions(folder)
    for path in folder.rglob("*"):
        moment = path.stat().st_mtime - age * DAY  # a browser guesses by the age how long to keep
        os.utime(path, (moment, moment))


SEEN = """() => [
    document.querySelector('h1').textContent, window.index,
    getComputedStyle(document.documentElement).getPropertyValue('--sheet').trim(),
    getComputedStyle(document.documentElement).getPropertyValue('--inner').trim(),
    getComputedStyle(document.documentElement).getPropertyValue('--live-sheet').trim(),
    String(document.querySelector('img').naturalWidth), document.querySelector('.live').textContent,
]"""


def seen(page) -> list[str]:
    page.locator(".live-invite").click()
    page.locator(".live", has_text="weights").wait_for()
    return page.evaluate(SEEN)


def all_of(name: str, width: int) -> list[str]:
    return [*[name] * 5, str(width), f"live {name}, weights {name}"]


@pytest.mark.parametrize(
    ("handler", "again"),
    [
        # Ours has every page asked for again; elsewhere, a page is new when the browser asks for it.
        (serve.Handler, "link"),
        (Plain, "reload"),
        (Patient, "reload"),
    ],
)
def test_a_new_edition_is_seen_where_the_book_is_served(
    handler: type[SimpleHTTPRequestHandler], again: str, tmp_path: Path, browser: Browser
) -> None:
    edition(tmp_path / "site", "first", age=40)
    with served_by(handler, tmp_path / "site") as address:
        page = browser.new_context().new_page()
        page.goto(f"{address}/page.html")
        assert seen(page) == all_of("first", 10)
        # Older by its date than what the browser has: where ours serves, even that is seen.
        edition(tmp_path / "site", "second", age=50 if again == "link" else 30)
        if again == "link":
            with page.expect_navigation():
                page.get_by_role("link").click()
        else:
            page.reload()
        assert seen(page) == all_of("second", 20)


def test_a_new_edition_unpacked_over_the_old_one_is_seen(tmp_path: Path, browser: Browser) -> None:
    page = browser.new_context().new_page()
    for name, width in (("first", 10), ("second", 20)):
        edition(tmp_path / "site", name, age=0)
        (tmp_path / "site/index.html").touch()
        zip_book.pack(tmp_path / "site", tmp_path / "book.zip")
        shutil.unpack_archive(tmp_path / "book.zip", tmp_path / "unpacked")
        page.goto((tmp_path / "unpacked" / zip_book.FOLDER / "page.html").as_uri())
        assert seen(page) == all_of(name, width)


def test_a_later_archive_has_a_later_date(tmp_path: Path) -> None:
    """Programs that unpack leave alone what seems as old, and a server calls it unchanged."""
    dates = []
    for moment in (1_700_000_000, 1_700_100_000):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site/index.html").write_text("same")
        os.utime(tmp_path / "site/index.html", (moment, moment))
        zip_book.pack(tmp_path / "site", tmp_path / "book.zip")
        with zip_book.zipfile.ZipFile(tmp_path / "book.zip") as packed:
            dates += [entry.date_time for entry in packed.infolist()]
    assert dates[0] == (2023, 11, 14, 22, 13, 20) and dates[1] > dates[0]


def test_every_file_that_a_page_names_has_its_version_in_the_address(site: Path) -> None:
    for path in site.rglob("*.html"):
        if "_static" in path.relative_to(site).parts:  # templates of the theme
            continue
        for element, address in NAMED.findall(path.read_text("utf-8")):
            place = urlsplit(address)
            if place.scheme or not place.path or place.path.endswith(".html"):
                continue
            assert VERSION.fullmatch(place.query), (path.name, element, address)
            file = (path.parent / unquote(place.path)).resolve()
            assert file.is_file(), (path.name, address)


@pytest.mark.parametrize("kind", ["translator", "playground", "maps", "speech"])
def test_whatever_a_page_loads_by_itself_has_a_version_too(
    kind: str, site: Path, address: str, browser: Browser
) -> None:
    name = next(
        name for name in pages(site) if f'data-live="{kind}"' in (site / name).read_text("utf-8")
    )
    faults: list[str] = []
    asked: list[str] = []
    page = watch(browser.new_context(), faults, address)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/{name}", wait_until="networkidle")
    assert kind in open_live(page)
    # A folder that is called by the version of what is in it does as well.
    bare = [
        url
        for url in asked
        if url.startswith("http")
        and not urlsplit(url).path.endswith(".html")
        and not VERSION.fullmatch(urlsplit(url).query)
        and f"/{MATHJAX}/" not in url
    ]
    assert bare == [] and faults == []
    assert any("/live/" in url for url in asked)
