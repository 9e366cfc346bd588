"""What the search reads: the text of every finished page, section by section, as a script.

Sphinx's own index knows words and pages. This one keeps the text, so that a result leads to a section, says in
what sentence the words stand, and works for pages that are opened as files. No table of words comes with it:
search.js reads the whole book through for each question, which takes some hundredths of a second.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, NavigableString, Tag
from sphinx.application import Sphinx

from .messages import messages

TEXT = "_static/search-text.js"
HIGHLIGHT = "sphinx_highlight.js"  # like the two other files below, of Sphinx's search
LEFT_OUT = "script, style, button, .headerlink, .place-link, .viewcode-link, .label, .live, .hide > summary"
# A place begins with each of these: a section, a word of the glossary, a name of the package, a reference.
PLACE = "section[id], dt[id], div.citation[id]"
# What a reader has not opened yet is found, but not told: of its text, the words alone are kept.
FOLDED = ".tag_hide-cell, details:not(.hide, .checks)"
BLOCKS = {"p", "li", "tr", "td", "th", "dt", "dd", "div", "h1", "h2", "h3", "h4", "pre", "summary"}

Piece = tuple[str, str, str]  # its kind, its text, its address if it has one of its own


@dataclass
class Place:
    """A part of a page that a result can lead to: its words, and what is something else than words."""

    anchor: str
    heading: str
    words: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def record(self) -> list[Any]:
        pieces = list(dict.fromkeys(piece for piece in self.pieces if piece[1]))
        told = " ".join([self.heading, *self.words, *(text for _, text, _ in pieces)])
        untold = words_of("".join(self.folded)) - words_of(told)
        if kept := sorted(word for word in untold if not word[0].isdigit()):
            pieces.append(("folded", " ".join(kept), ""))
        shown = [list(piece if piece[2] else piece[:2]) for piece in pieces]
        return [self.anchor, self.heading, squeezed("".join(self.words)), *shown]


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+(?:[.,]\d+)*", text.lower()))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def in_letters(formula: str) -> str:
    """A formula as one would type it, such as softmax(QK^T/sqrt(d_k))V."""
    text = formula.replace(r"\\", "; ").replace(r"\top", "T")
    text = re.sub(r"\\[()\[\],;!: ]|\\(begin|end)\{\w+\*?\}|&", " ", text)
    text = re.sub(r"\\(left|right|[bB]igg?[lr]?|limits|displaystyle|q?quad)\b", " ", text)
    names = r"\\(?:text|math\w+|operatorname|hat|tilde|bar|vec|boldsymbol)\*?\s*\{([^{}]*)\}"
    text = re.sub(names, r"\1", text)
    for _ in range(3):  # one inside the other
        text = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"(\1)/(\2)", text)
        text = re.sub(r"\\sqrt\s*\{([^{}]*)\}", r"sqrt(\1)", text)
        text = re.sub(r"([_^])\{([^{}]*)\}", r"\1\2", text)
    text = re.sub(r"\\(?=[a-zA-Z])|[{}\\]", "", text)
    return re.sub(r"(?<![a-zA-Z]{2}) +(?![a-zA-Z]{2})|(?<=\W) +| +(?=\W)", "", squeezed(text))


def places_of(article: Tag) -> list[Place]:
    """All places of a page, in its order; the first stands for the top of the page."""
    for part in article.select(LEFT_OUT):
        part.decompose()
    for part in article.select("span.math"):
        part.replace_with(in_letters(part.get_text()))
    found: list[Place] = []
    read(article, Place("", ""), found)
    return [place for place in found if place.heading]


def read(part: Tag, place: Place, found: list[Place], folded: bool = False) -> None:
    """Put the text of an element into the place that it belongs to."""
    heading = heading_of(part) if part.name == "section" else None
    for child in part.children:
        text = place.folded if folded else place.words
        if type(child) is NavigableString:
            text.append(child)
        elif not isinstance(child, Tag) or child is heading:
            continue
        elif child.css.match(PLACE):
            inner = opened(child)
            found.append(inner)
            if child.name == "section" or "sig" in child.get("class", []):
                read(child, inner, found)
                inner.words.append(" ")
            if child.name == "dt":  # its description comes beside it
                place = inner
        elif (piece := special(child)) is None:
            read(child, place, found, folded or child.css.match(FOLDED))
            text.append(" " if child.name in BLOCKS else "")
        elif folded:
            text.append(f" {piece[1]} ")
        else:
            place.pieces.append(piece)


def heading_of(part: Tag) -> Tag | None:
    found = part.find(re.compile("^h[1-6]$"), recursive=False)
    return found if isinstance(found, Tag) else None


def opened(part: Tag) -> Place:
    """The place that an element begins, under its heading, name, or first author and title."""
    anchor = str(part["id"])
    if part.name == "section":
        heading = heading_of(part)
        return Place(anchor, squeezed(heading.get_text()) if heading else "")
    if "sig" in part.get("class", []):
        name = re.search(r"[A-Z]\w*\.\w+$|\w+$", anchor)  # of a method, with its class
        return Place(anchor, name[0] if name else anchor)
    if part.name == "dt":
        return Place(anchor, squeezed(part.get_text()))
    text = squeezed(part.get_text())
    authors, title, *_ = [*re.split(r"(?<!\b[A-Z])\. |(?<=\?) (?=In )", text), "", ""]
    names = [name.split()[-1] for name in re.split(r",? and |, ", authors)]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    # An article is known, too, by the year in which it was first to be read: its number on arXiv begins with it.
    years = [f"20{year}" for year in re.findall(r"arXiv:(\d\d)\d\d\.", text)]
    years += re.findall(r"(?<= )(?:19|20)\d\d(?=\. |\.$)", text)
    return Place(anchor, f"{who} ({', '.join(dict.fromkeys(years))}): {title}", [text])


def special(part: Tag) -> Piece | None:
    """What is no running text: its kind, what it says, and its address."""
    classes, anchor = part.get("class", []), str(part.get("id", ""))
    if part.name == "img":
        return "picture", squeezed(str(part.get("alt", ""))), ""
    if part.name == "figcaption":
        return "picture", squeezed(part.get_text()), ""
    if part.name == "svg":
        return "picture", squeezed(str(part.get("aria-label", ""))), ""
    if "math" in classes:
        return "formula", in_letters(part.get_text()), anchor
    if anchor.startswith("claim-"):
        return "claim", squeezed(part.get_text()).removeprefix("✓ "), anchor
    printed = part.find_parent(class_=["stream", "text_plain"]) or part.name == "table"
    if printed and part.find_parent(class_="cell_output") and part.name in ("pre", "table"):
        return "output", squeezed(part.get_text(" ")), ""
    if "highlight" in classes and not printed:
        return "code", squeezed(part.get_text()), ""
    return None


def write_search_text(app: Sphinx) -> None:
    site = Path(app.outdir)
    pages: list[list[Any]] = []
    by_name: dict[str, Place] = {}
    for docname in sorted(app.env.found_docs):
        soup = BeautifulSoup((site / f"{docname}.html").read_text("utf-8"), "lxml")
        article = soup.select_one("article.bd-article")
        # The sentences of the page of claims are found where they are checked.
        if article is not None and docname != "book/claims":
            places = places_of(article)
            by_name |= {place.anchor.removeprefix("module-"): place for place in places}
            pages.append([docname, places])
    for name, message in messages(Path(app.srcdir)):
        while name not in by_name and "." in name:  # of a helper that is not documented: its module
            name = name.rpartition(".")[0]
        if name in by_name:
            by_name[name].pieces.append(("error", message, ""))
    records = [[docname, *(place.record() for place in places)] for docname, places in pages]
    text = json.dumps(records, ensure_ascii=False, separators=(",", ":"))
    (site / TEXT).write_text(f"minattnSearch({text});\n", "utf-8")
    for name in (HIGHLIGHT, "searchtools.js", "language_data.js"):
        (site / "_static" / name).unlink(missing_ok=True)


def without_sphinx_s_index(app: Sphinx) -> None:
    """Sphinx makes no index of its own; the page of the search is then ours to add."""
    app.builder.search = False


def drop_sphinx_s_marks(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave out the script that marks words on every page: it fails where a drawing has one of them."""
    scripts = context.get("script_files", [])
    scripts[:] = [script for script in scripts if HIGHLIGHT not in str(vars(script))]


def search_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    yield "search", {}, "search.html"
