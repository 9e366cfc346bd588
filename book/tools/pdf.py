"""Print the built book as one PDF, _build/minattn.pdf, with Chromium.

    python -m book.tools.pdf        with solutions
    python -m book.tools.pdf 0      without: _build/minattn-without-solutions.pdf, for a class

The articles of all built pages are joined into one page, _build/book.html, in the order of _toc.yml.
Links between chapters become links inside that page, and so inside the PDF. What a reader of the
pages may unfold is printed open, for nobody can unfold paper. Without solutions, the hints are still there,
and the questions in the text with what there is to choose from, but without the replies. The book is printed twice:
once to learn on which page each heading falls, and once with these numbers in the contents.
"""

from __future__ import annotations

import io
import posixpath
import re
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Page
from pypdf import PdfReader

from book.tools.alone import alone
from book.tools.browsing import CHROMIUM, FORMULAS_SET, MISSING, OPEN_ALL, ROOT, chromium
from book.tools.build_book import no_book
from book.tools.contents import contents
from book.tools.writing import aside

# Attributes that name other parts of the page by their ids.
NAMING = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "headers")
NO_TWIN = ".live:not(:has(> p:first-child))"
LEFT_OUT = f"script, .headerlink, .place-link, .viewcode-link, .copybtn, {NO_TWIN}, a.start"
SOLUTIONS = "div.cell.tag_hide-cell"
CHOICES = "div.choice > details"
# A4 less its margins, in CSS pixels: 210 mm - 2 x 18 mm.
PRINTED_WIDTH = 657

STYLE = """
@page { size: A4; margin: 22mm 18mm 20mm; }
@page { @bottom-center { content: counter(page); font: 9pt sans-serif; color: #555; } }
@page :first { @bottom-center { content: none; } }
.title-page { break-after: page; padding-top: 75mm; text-align: center; }
.title-page :is(h1, p) { max-width: none; }
.title-page h1 { margin: 0 0 1rem; font-size: 44pt; }
.title-page p { font-size: 14pt; }
.title-page .small { margin-top: 90mm; font-size: 9.5pt; color: #555; }
.whole-contents ol { max-width: none; margin: 0; padding: 0; line-height: 1.3; list-style: none; }
.whole-contents li { break-inside: avoid; margin: 0.1rem 0; padding: 0; }
.whole-contents a { display: flex; gap: 0.5rem; align-items: baseline; color: #000; text-decoration: none; }
.whole-contents a::before { order: 1; flex: 1; border-bottom: 1px dotted #999; content: ""; }
.whole-contents .number { order: 2; min-width: 2.2rem; text-align: right; }
.whole-contents .name { max-width: 85%; }
.whole-contents li.part { break-after: avoid; margin-top: 0.7rem; font: 600 9.5pt sans-serif; color: #555; }
.whole-contents li.chapter { break-after: avoid; margin-top: 0.35rem; font-weight: 600; }
.whole-contents li.section { padding-left: 1.4rem; font-size: 0.92em; }
.part-of { margin: 0 0 0.4rem; font: 600 10pt sans-serif; color: #555; }
"""

# Wrapping mends code. What cannot wrap, a formula or a table, is made as small as it has to be.
SHRINK = """() => {
    for (const box of document.querySelectorAll('mjx-container, table, .sig')) {
        const room = box.closest('td, li, dd, section, .cell_output, .bd-article');
        const edge = room.getBoundingClientRect().right;
        const inside = [box, ...box.querySelectorAll('mjx-math, tr')];
        const right = Math.max(...inside.map(part => part.getBoundingClientRect().right));
        const left = box.getBoundingClientRect().left;
        if (right > edge + 1) box.style.zoom = Math.floor(98 * (edge - left) / (right - left)) / 100;
    }
}"""


@dataclass(frozen=True)
class Chapter:
    """One page of the book: its name, as in notebooks/01_context_vector, and its place."""

    name: str
    part: str | None  # the caption of the part that it opens, if it opens one

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.name)


def chapters(toc: dict) -> list[Chapter]:
    found = [Chapter(toc["root"], None)]
    for part in toc["parts"]:
        for number, entry in enumerate(part["chapters"]):
            found.append(Chapter(entry["file"], None if number else part["caption"]))
    return found


def prepare(article: Tag, chapter: Chapter, known: dict[str, Chapter]) -> None:
    """Make an article a part of the one page: no two ids alike, and links that stay inside."""
    for part in article.select(LEFT_OUT):
        part.decompose()
    for part in article.find_all(id=True):
        part["id"] = f"{part['id']}--{chapter.anchor}"
    for attribute in NAMING:
        for part in article.find_all(attrs={attribute: True}):
            named = part[attribute]
            names = named if isinstance(named, list) else named.split()
            part[attribute] = " ".join(f"{name}--{chapter.anchor}" for name in names)
    for picture in article.find_all("img", src=True):
        picture["src"] = "html/" + from_root(picture["src"], chapter)
        picture.attrs.pop("loading", None)  # what waits until it is seen is not printed
    for link in article.find_all("a", href=True):
        if not re.match(r"[a-z]+:", link["href"]):
            inside = inside_link(link["href"], chapter, known)
            if inside:
                link["href"] = inside
            else:  # a listing of source or the index: not in this PDF
                link.unwrap()


def leave_solutions_out(article: Tag) -> None:
    """Take away what answers an exercise, or says which choice is right and why."""
    for part in article.select(SOLUTIONS):
        part.decompose()
    for fold in article.select(CHOICES):
        fold.attrs.pop("class", None)
        for part in list(fold.contents):
            if getattr(part, "name", None) != "summary":
                part.extract()


def from_root(address: str, chapter: Chapter) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(chapter.name), address))


def inside_link(address: str, chapter: Chapter, known: dict[str, Chapter]) -> str | None:
    """Where a link from page to page leads inside the one page; None if it leads out of it."""
    path, _, target = address.partition("#")
    page = from_root(path, chapter) if path else f"{chapter.name}.html"
    if page not in known:
        return None
    anchor = known[page].anchor
    return f"#{unquote(target)}--{anchor}" if target else f"#{anchor}"


def join(site: Path, toc: dict, title: str, holder: str, solutions: bool = True) -> str:
    """The whole book as one page, to lie beside the folder of the built pages."""
    book = chapters(toc)
    known = {f"{chapter.name}.html": chapter for chapter in book}
    head, rules, contents, body = [], [], [], []
    for number, chapter in enumerate(book):
        soup = BeautifulSoup((site / f"{chapter.name}.html").read_text("utf-8"), "html.parser")
        for part in soup.head.select("link[rel=stylesheet], script"):
            if part.name == "link" or "mathjax" in f"{part.get('src')}{part.string}".lower():
                for attribute in ("href", "src"):
                    if part.get(attribute):
                        part[attribute] = "html/" + from_root(part[attribute], chapter)
                head.append(str(part))
        article = soup.select_one("article.bd-article")
        if article is None:
            raise ValueError(f"a page of the book has an article, got none in {chapter.name}.html")
        if not solutions:
            leave_solutions_out(article)
        prepare(article, chapter, known)
        name = article.h1.get_text().strip() if article.h1 else chapter.name
        if chapter.part:
            contents.append(f'<li class="part">{escape(chapter.part)}</li>')
        contents.append(entry("chapter", chapter.anchor, name))
        if chapter.name.startswith("notebooks/"):
            contents += [
                entry("section", str(heading.parent["id"]), heading.get_text().strip())
                for heading in article.select("section > section > h2")
            ]
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        rules.append(
            f".chapter-{number} {{ page: chapter-{number}; }}\n@page chapter-{number} {{ "
            f'@top-right {{ content: "{quoted}"; font: 9pt sans-serif; color: #555; }} }}'
        )
        above = f'<p class="part-of">{escape(chapter.part)}</p>' if chapter.part else ""
        body.append(f'<div id="{chapter.anchor}" class="chapter-{number}">{above}{article}</div>')
    return PAGE.format(
        title=escape(title),
        holder=escape(holder),
        told=TOLD if solutions else NOT_TOLD,
        head="\n".join(dict.fromkeys(head)),
        style=STYLE + "\n".join(rules),
        contents="\n".join(contents),
        body="\n".join(body),
    )


def entry(kind: str, anchor: str, name: str) -> str:
    text = f'<span class="name">{escape(name)}</span><span class="number"></span>'
    return f'<li class="{kind}"><a href="#{anchor}">{text}</a></li>'


TOLD = "Hints, answers and solutions, folded in the pages of the book, are printed open."
NOT_TOLD = (
    "Hints are printed open. Solutions, and the answers to choices, are in the pages of the book."
)
PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light" data-content_root="html/">
<head>
<meta charset="utf-8">
<title>{title}: attention, built and measured</title>
{head}
<style>{style}</style>
</head>
<body class="whole-book">
<div class="bd-article title-page">
<h1>{title}</h1>
<p>Attention, built and measured</p>
<p class="small">{holder}<br>Words under CC BY 4.0, code under the MIT licence.<br>
{told}</p>
</div>
<nav class="bd-article whole-contents"><h1>Contents</h1><ol>
{contents}
</ol></nav>
<main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{body}
</div></div></main>
</body>
</html>
"""


def pages_of_headings(pdf: bytes) -> dict[str, int]:
    """On which page of the PDF each linked place stands, by its id."""
    reader = PdfReader(io.BytesIO(pdf))
    numbers = {}
    for name, place in reader.named_destinations.items():
        found = reader.get_destination_page_number(place)
        if found is not None:
            numbers[unquote(name.lstrip("/"))] = found + 1
    return numbers


def lay_out(page: Page, source: Path) -> None:
    """Open the joined book as it will be printed: formulas set, everything open, nothing too wide."""
    page.set_viewport_size({"width": PRINTED_WIDTH, "height": 1000})
    page.emulate_media(media="print", color_scheme="light")
    page.goto(source.as_uri(), wait_until="load")
    page.evaluate(OPEN_ALL)
    page.evaluate(FORMULAS_SET)
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    page.evaluate(SHRINK)


def print_book(page: Page) -> bytes:
    def once() -> bytes:
        return page.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)

    numbers = pages_of_headings(once())
    page.evaluate(
        """numbers => { for (const link of document.querySelectorAll('.whole-contents a')) {
            const place = decodeURIComponent(link.hash.slice(1));
            link.querySelector('.number').textContent = numbers[place] ?? '';
        } }""",
        numbers,
    )
    return once()


def main(arguments: list[str], root: Path = ROOT) -> int:
    with_solutions = arguments[0] if arguments else "1"
    if with_solutions not in ("0", "1"):
        print(f"minattn: SOLUTIONS is 0 or 1, got {with_solutions!r}", file=sys.stderr)
        return 2
    if not CHROMIUM:
        print(f"minattn: {MISSING}; the PDF is printed with it", file=sys.stderr)
        return 1
    if no_book(root / "_build" / "html"):
        return 1
    with alone("book", root):
        return print_into(root / "_build", root, solutions=with_solutions == "1")


def print_into(out: Path, root: Path, solutions: bool) -> int:
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    holder = f"© {config['copyright']} {config['author']}"
    print("Printing the book: about a minute.", flush=True)
    source = out / "book.html"
    whole = join(out / "html", contents(root), config["title"], holder, solutions)
    source.write_text(whole, "utf-8")
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(300_000)
        lay_out(page, source)
        pdf = print_book(page)
    target = out / ("minattn.pdf" if solutions else "minattn-without-solutions.pdf")
    with aside(target) as half:
        half.write_bytes(pdf)
    count = len(PdfReader(io.BytesIO(pdf)).pages)
    print(f"The PDF is at {target.as_uri()} ({count} pages)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
