"""Around the book: on paper, in an archive, to run, and the bars it is held to."""

import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from book.tools import audit, pdf, zip_book
from book.tools.browsing import CHROMIUM, FORMULAS_SET, MISSING, ROOT, watch

if not CHROMIUM and os.environ.get("MINATTN_REQUIRE_CHROMIUM") != "1":
    pytest.skip(f"page tests left out: {MISSING}; make page", allow_module_level=True)

pytestmark = pytest.mark.page

CHAPTER = "notebooks/02_soft_attention"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
# A landing page, a chapter with everything in it, and pages that it refers to.
SHORT = {
    "root": "book/index",
    "parts": [
        {"caption": "Part one", "chapters": [{"file": CHAPTER}]},
        {
            "caption": "Reference",
            "chapters": [
                {"file": name} for name in ("book/cheat_sheet", "book/models", "book/glossary")
            ],
        },
    ],
}
CUT_OFF = """[...document.querySelectorAll('pre, table, img, mjx-container')]
    .filter(part => part.checkVisibility()
        && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(part => part.tagName + ' ' + part.textContent.slice(0, 60))"""


# the book as a PDF --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def joined(site: Path) -> BeautifulSoup:
    return BeautifulSoup(pdf.join(site, TOC, "minattn", "© us"), "html.parser")


def test_the_joined_book_has_every_page_in_order(joined: BeautifulSoup) -> None:
    names = [chapter.anchor for chapter in pdf.chapters(TOC)]
    there = [part["id"] for part in joined.select("main .bd-article-container > div")]
    assert there == names
    assert len(names) > 10


def test_no_two_parts_of_the_joined_book_have_one_id(joined: BeautifulSoup) -> None:
    ids = [part["id"] for part in joined.find_all(id=True)]
    assert sorted(ids) == sorted(set(ids))


def test_links_of_the_joined_book_stay_inside_and_arrive(joined: BeautifulSoup) -> None:
    ids = {part["id"] for part in joined.find_all(id=True)}
    links = [link["href"] for link in joined.select("a[href]")]
    inside = [link for link in links if not link.startswith(("https:", "http:", "mailto:"))]
    assert [link for link in inside if link.removeprefix("#") not in ids] == []
    assert len(inside) > 300


def test_pictures_of_the_joined_book_are_there(joined: BeautifulSoup, site: Path) -> None:
    pictures = joined.select("main img")
    files = {p["src"].partition("?")[0] for p in pictures}  # the rest of an address is the version
    assert [name for name in files if not (site.parent / name).exists()] == []
    assert [p["src"] for p in pictures if p.get("loading")] == []
    assert len(pictures) > 20


def test_without_solutions_there_are_hints_and_choices_but_no_answers(site: Path) -> None:
    told, untold = (
        BeautifulSoup(pdf.join(site, SHORT, "minattn", "© us", solutions), "html.parser")
        for solutions in (True, False)
    )
    assert "# Solution" in told.get_text()
    assert "# Solution" not in untold.get_text()
    asked = [summary.get_text() for summary in untold.select(".choice > details > summary")]
    assert asked == [summary.get_text() for summary in told.select(".choice > details > summary")]
    assert len(asked) > 3
    for fold in untold.select(".choice > details"):
        assert fold.get_text() == fold.summary.get_text(), "the choice, and no reply"
        assert not fold.get("class"), "nothing says which is right"

    def hints(book: BeautifulSoup) -> list[str]:
        return [f.get_text() for f in book.select("details") if "Hint" in f.summary.get_text()]

    assert hints(untold) == hints(told) != []
    for book, words in ((told, "solutions, folded"), (untold, "Solutions, and the answers")):
        assert words in book.select_one(".title-page").get_text()


def test_the_pdf_is_printed_with_solutions_or_without(capsys) -> None:
    assert pdf.main(["no"]) == 2
    assert capsys.readouterr().err == "minattn: SOLUTIONS is 0 or 1, got 'no'\n"


@pytest.fixture(scope="module")
def printed(site: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory):
    """Three pages of the book, printed; and what would have been cut off at the edge of the paper."""
    folder = tmp_path_factory.mktemp("pdf")
    (folder / "html").symlink_to(site)
    source = folder / "book.html"
    source.write_text(pdf.join(site, SHORT, "minattn", "© us"), "utf-8")
    page = browser.new_page()
    page.set_default_timeout(120_000)
    pdf.lay_out(page, source)
    cut_off = page.evaluate(CUT_OFF)
    folded = page.locator("details:not([open])").count()
    raw = page.locator(".math").filter(has_not=page.locator("mjx-container")).count()
    content = pdf.print_book(page)
    page.close()
    return SimpleNamespace(content=content, cut_off=cut_off, folded=folded, raw=raw)


def test_nothing_is_cut_off_folded_or_left_raw_on_paper(printed: SimpleNamespace) -> None:
    assert printed.cut_off == []
    assert printed.folded == 0
    assert printed.raw == 0


def test_the_contents_tell_the_pages_on_which_chapters_begin(printed: SimpleNamespace) -> None:
    reader = pdf.PdfReader(io.BytesIO(printed.content))
    numbers = pdf.pages_of_headings(printed.content)
    contents = "".join(page.extract_text() for page in reader.pages[1:4]).replace("\n", "")
    for name, title in ((CHAPTER, "Soft attention"), ("book/glossary", "Glossary")):
        number = numbers[pdf.Chapter(name, None).anchor]
        assert title in reader.pages[number - 1].extract_text()
        assert f"{title}{number}" in contents.replace(" ", "").replace("Softa", "Soft a")


def test_the_pdf_has_an_outline_and_links_that_arrive(printed: SimpleNamespace) -> None:
    reader = pdf.PdfReader(io.BytesIO(printed.content))
    titles = [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert titles[:2] == ["minattn", "Contents"]
    assert "2. Soft attention" in titles
    places = set(reader.named_destinations)
    inside = [
        mark.get_object()
        for page in reader.pages
        for mark in page.get("/Annots", [])
        if "/Dest" in mark.get_object()
    ]
    assert len(inside) > 40
    assert {str(mark["/Dest"]) for mark in inside} - {str(place) for place in places} == set()


# one chapter, printed from the browser ------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_printed_chapter_is_ink_on_white_and_nothing_else(
    scheme: str, browser: Browser, address: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}.html", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    page.evaluate("document.querySelector('article h1').after(document.createElement('div'))")
    page.evaluate("document.querySelector('article h1 + div').className = 'live'")
    page.evaluate("document.querySelector('.live').textContent = 'a live place'")
    page.set_viewport_size({"width": pdf.PRINTED_WIDTH, "height": 1000})
    page.emulate_media(media="print")
    for around in (
        ".bd-sidebar-primary",
        ".bd-sidebar-secondary",
        ".bd-header-article",
        ".prev-next-footer",
        ".headerlink",
        ".copybtn",
        ".live",
        "details.hide > summary",
    ):
        assert page.locator(f"{around}:visible").count() == 0, around
    assert page.locator("article h1").is_visible()
    assert page.evaluate(CUT_OFF) == []
    style = "element => { const s = getComputedStyle(element); return [%s] }"
    colours = page.locator("article p").first.evaluate(style % "s.color")
    assert colours == ["rgb(0, 0, 0)"]
    assert page.locator("body").evaluate(style % "s.backgroundColor") == ["rgb(255, 255, 255)"]
    assert page.locator("article figure").first.evaluate(style % "s.breakInside") == ["avoid"]
    assert page.locator("article h2").first.evaluate(style % "s.breakAfter") == ["avoid"]
    assert page.locator("article p a").first.evaluate(style % "s.color") == ["rgb(0, 0, 0)"]
    assert page.locator("article pre").first.evaluate(style % "s.whiteSpace") in (
        ["pre-wrap"],
        ["preserve wrap"],
    )
    context.close()


# the archive --------------------------------------------------------------------------------------


def test_the_same_book_gives_the_same_archive(site: Path, tmp_path: Path) -> None:
    some = tmp_path / "html"
    (some / "book").mkdir(parents=True)
    for name in ("index.html", "search.html", "book/index.html"):
        (some / name).write_bytes((site / name).read_bytes())
    zip_book.pack(some, tmp_path / "one.zip")
    built = (some / "index.html").stat()  # its date is that of the archive
    for path in some.rglob("*.html"):
        os.utime(path, (0, 1_000_000_000))
        path.chmod(0o600)
    os.utime(some / "index.html", (0, built.st_mtime))
    zip_book.pack(some, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_unpacked_archive_is_a_whole_book(site: Path, tmp_path: Path, browser: Browser) -> None:
    zip_book.pack(site, tmp_path / "book.zip")
    unpacked = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert zip_book.too_large((tmp_path / "book.zip").stat().st_size, unpacked) == []
    with zipfile.ZipFile(tmp_path / "book.zip") as packed:
        packed.extractall(tmp_path)
    root = (tmp_path / zip_book.FOLDER).as_uri()
    faults: list[str] = []
    context = browser.new_context()
    page = watch(context, faults, root)
    page.goto(f"{root}/index.html")
    page.wait_for_url(f"{root}/book/index.html", timeout=5000)
    page.wait_for_load_state("networkidle")  # leaving before breaks off what is still being fetched
    page.locator(".start").first.click()
    page.wait_for_url(f"{root}/notebooks/*")
    page.wait_for_load_state("networkidle")
    page.goto(f"{root}/{CHAPTER}.html", wait_until="networkidle")
    page.evaluate(FORMULAS_SET)
    assert page.locator("article .math").count() > 10
    assert page.locator("article .math").filter(has_not=page.locator("mjx-container")).count() == 0
    assert faults == []

    page.goto(f"{root}/search.html?q=alignment")
    first = page.locator("#search-results li a").first
    first.wait_for(timeout=5000)
    first.click()
    page.wait_for_url(f"{root}/*/*.html*")
    assert "alignment" in page.locator("article").inner_text().lower()
    assert faults == []
    context.close()


# to run a chapter ---------------------------------------------------------------------------------


def test_without_a_repository_no_page_names_colab(site: Path) -> None:
    setting = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["sphinx"]["config"]
    if not setting["minattn_repository"]:
        for path in site.glob("notebooks/*.html"):
            assert "colab.research" not in path.read_text("utf-8")
        assert not (site / "colab").exists()


def test_every_chapter_offers_its_notebook(site: Path) -> None:
    for path in sorted(site.glob("notebooks/*.html")):
        soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        (link,) = soup.select("a.btn-download-source-button")
        assert link.get_text().strip() == "Download .ipynb"
        notebook = (path.parent / link["href"].partition("?")[0]).resolve()
        assert json.loads(notebook.read_text("utf-8"))["cells"]


# the audit ----------------------------------------------------------------------------------------


def test_the_audit_names_each_bar_that_is_missed() -> None:
    full = {"accessibility": 100, "best-practices": 95}
    fine = audit.Measured("a.html", 400_000, 30, 0.05, {"day": [], "night": []}, full)
    assert fine.missed() == []
    poor = audit.Measured(
        "b.html", 400_001, 31, 0.06, {"day": [], "night": ["contrast"]}, {"accessibility": 94}
    )
    said = "\n".join(poor.missed())
    for word in ("400001 bytes", "31 requests", "0.060", "night: contrast", "accessibility 94"):
        assert word in said
    assert "best-practices 0" in said
    table = audit.table([fine, poor])
    assert [line.endswith("missed") for line in table] == [False, False, False, True]


def test_what_lighthouse_says_is_told_page_by_page() -> None:
    scores = {"accessibility": 94, "best-practices": 100}
    lines = [["http://x/a.html", scores, ["No contrast"]], ["http://x/b.html", {}, ["It crashed"]]]
    found = audit.read_scores("".join(f"{json.dumps(line)}\n" for line in lines))
    assert found == {
        "http://x/a.html": (scores, ["No contrast"]),
        "http://x/b.html": ({}, ["It crashed"]),
    }
    assert audit.read_scores("") == {}
    unknown = audit.Measured("c.html", 1, 1, 0, {}, *audit.UNKNOWN)
    assert "see _build/audit/lighthouse.log" in unknown.missed()[0]


def test_the_audit_says_what_it_lacks(monkeypatch, capsys) -> None:
    monkeypatch.setattr(audit.shutil, "which", lambda name: None)
    assert audit.main([]) == 1
    assert "needs node and npm" in capsys.readouterr().err
