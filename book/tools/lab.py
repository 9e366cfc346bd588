"""Lay out the reader's own copies of the chapters in my/, and never overwrite their work.

    python -m book.tools.lab

A copy starts without outputs, and with what only the book shows made plain: its title has the number
of the chapter, citations are written out, boxes are quotations, captions stand below their figures, code
that the book folds is folded.

my/.origin.json remembers, for each copy, what its cells said when it was made. A copy whose cells
still say that is unedited (having run it changes nothing) and is refreshed when the chapter changes.
Beside an edited one, the newer chapter is laid as NN_name.new.ipynb, then NN_name.new2.ipynb and so
on. A file nobody remembers counts as edited.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from pybtex.database import parse_file

from book.tools.alone import alone
from book.tools.contents import executed, number_title
from book.tools.writing import write_whole

ROOT = Path(__file__).resolve().parents[2]
ADMONITION = re.compile(
    r"(?ms)^:::\{admonition\} (?P<title>[^\n]+)\n(?::class:[^\n]*\n)?(?P<body>.*?)^:::$"
)
CITATION = re.compile(r"\{cite:(?P<kind>[tp])\}`(?P<keys>[^`]+)`")


def words(notebook: dict) -> str:
    """A digest of what the cells say, without outputs and whatever Jupyter adds on saving."""
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def words_of_file(path: Path) -> str | None:
    try:
        return words(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):  # not a notebook any more: the reader's own affair
        return None


def emptied(notebook: dict, name: str) -> dict:
    """The chapter as a reader starts it: nothing has been run, and nothing is left to Sphinx."""
    number_title(notebook, name)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            if "hide-input" in cell["metadata"].get("tags", []):
                cell["metadata"]["jupyter"] = {"source_hidden": True}
        else:
            text = ADMONITION.sub(quoted, "".join(cell["source"]))
            text = CITATION.sub(written_out, text)
            cell["source"] = text.splitlines(keepends=True)
    notebook["cells"] = [part for cell in notebook["cells"] for part in with_caption(cell)]
    notebook["metadata"].pop("minattn", None)
    return notebook


def with_caption(cell: dict) -> list[dict]:
    """A figure's caption stands in its cell's metadata, where only the book shows it: give it a cell."""
    caption = cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption")
    if caption is None:
        return [cell]
    below = {"cell_type": "markdown", "id": f"{cell['id']}-caption", "metadata": {}}
    return [cell, below | {"source": [f"**Figure.** {caption}"]}]


def quoted(box: re.Match[str]) -> str:
    """A box as a quotation, its title in bold: JupyterLab knows no boxes."""
    lines = [f"**{box['title']}**", "", *box["body"].strip().splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"


def written_out(citation: re.Match[str]) -> str:
    """Cho et al. (2014a) for {cite:t}, (Cho et al., 2014a) for {cite:p}."""
    works = [authors_and_year(key.strip()) for key in citation["keys"].split(",")]
    if citation["kind"] == "t":
        return "; ".join(f"{authors} ({year})" for authors, year in works)
    return "(" + "; ".join(f"{authors}, {year}" for authors, year in works) + ")"


@cache
def authors_and_year(key: str) -> tuple[str, str]:
    work = parse_file(ROOT / "book" / "references.bib").entries[key]
    last = [" ".join([*p.prelast_names, *p.last_names]) for p in work.persons["author"]]
    authors = f"{last[0]} et al." if len(last) > 2 else " and ".join(last)
    return authors, work.fields["year"]


def write(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def names(stem: str) -> Iterator[str]:
    yield f"{stem}.ipynb"
    yield f"{stem}.new.ipynb"
    for number in count(2):
        yield f"{stem}.new{number}.ipynb"


def lay_out(chapter: Path, mine: Path, origin: dict[str, str]) -> str | None:
    """Give the reader today's chapter if no copy holds it; return what was done, in words."""
    notebook = emptied(json.loads(chapter.read_text(encoding="utf-8")), chapter.stem)
    today = words(notebook)
    for name in names(chapter.stem):
        copy = mine / name
        now = words_of_file(copy) if copy.exists() else None
        known = origin.get(name)
        if copy.exists() and today in (known, now):
            return None
        if not copy.exists() or (now is not None and now == known):
            # The record comes last: interrupted before it, the copy looks edited, which is safe.
            existed = copy.exists()
            write(copy, notebook)
            origin[name] = today
            write(mine / ".origin.json", origin)
            if name != f"{chapter.stem}.ipynb":
                return f"my/{name}: a newer chapter, beside the one you edited"
            return f"my/{name}: " + ("refreshed, you had not edited it" if existed else "new")
    raise AssertionError("there is always another name")


def main(root: Path = ROOT) -> int:
    with alone(
        "my", root
    ):  # of two at once, one would take the copies of the other for edited ones
        return lay_out_all(root)


def lay_out_all(root: Path) -> int:
    mine = root / "my"
    mine.mkdir(exist_ok=True)
    try:
        origin = json.loads((mine / ".origin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        origin = {}
    chapters = executed(root)
    if not chapters:
        print("minattn: no chapters in notebooks/; run make notebooks", file=sys.stderr)
        return 1
    for chapter in chapters:
        done = lay_out(chapter, mine, origin)
        if done:
            print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
