"""Gather the claims of all notebooks on one page, book/claims.md.

    python book/tools/claims_page.py            write it
    python book/tools/claims_page.py --check    fail if it is out of date

A claim is an output whose metadata holds {"minattn": {"claim", "bar", "value", "spread"}}, as
minattn.claims.claim leaves it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

INTRO = """\
# Claims

A claim is a sentence of the book about how attention behaves, bound to a cell that checks it. The
cell fails if the measurement falls short of the bar, so in a chapter that runs to its end every bar
was met. *Measured* is the value when this page was made; *spread* is the range over several runs,
most often five seeds, whose results are stored with the scripts that made them in
`book/experiments`. A claim that compares such runs reads the stored results.

To check them all, run `make nbval`; to check one, run its chapter. This page is made from the
notebooks by `make notebooks`.
"""


def files_in_order(toc: object) -> Iterator[str]:
    """Every `file:` and `root:` of a table of contents, in reading order."""
    if isinstance(toc, dict):
        for key in ("root", "file"):
            if key in toc:
                yield toc[key]
        for key in ("parts", "chapters", "sections"):
            yield from files_in_order(toc.get(key, []))
    elif isinstance(toc, list):
        for entry in toc:
            yield from files_in_order(entry)


def notebooks_in_order(root: Path) -> list[Path]:
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    names = [name for name in files_in_order(toc) if name.startswith("notebooks/")]
    return [root / f"{name}.ipynb" for name in names]


def claims_of(notebook: dict) -> list[dict]:
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            ours = output.get("metadata", {}).get("minattn", {})
            if "claim" in ours:
                found.append(ours)
    return found


def title_of(notebook: dict) -> str:
    for cell in notebook["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    raise ValueError("a notebook without a title")


def figure(value: float | bool | None) -> str:
    """A measured figure: whole numbers as they are, others to three significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.3g}"


def row(claim: dict) -> str:
    spread = claim.get("spread") or []
    if spread:
        low, high = figure(min(spread)), figure(max(spread))
        spread_text = f"{low} to {high}, {len(spread)} runs"
    else:
        spread_text = ""
    cells = [claim["claim"], claim["bar"], figure(claim.get("value")), spread_text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render(root: Path) -> str:
    parts = [INTRO]
    for path in notebooks_in_order(root):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        claims = claims_of(notebook)
        if claims:
            link = f"[{title_of(notebook)}](../notebooks/{path.name})"
            table = ["| claim | bar | measured | spread |", "|---|---|---|---|", *map(row, claims)]
            parts.append(
                f"## {title_of(notebook)}\n\nChecked in {link}.\n\n" + "\n".join(table) + "\n"
            )
    return "\n".join(parts)


def write_page(page: Path, text: str, arguments: list[str]) -> int:
    """Write a generated page, or with --check say whether it is out of date."""
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        print(f"book/{page.name} is out of date; run make notebooks", file=sys.stderr)
        return 1
    half = page.with_suffix(".md.tmp")
    half.write_text(text, encoding="utf-8", newline="\n")
    os.replace(half, page)
    print(f"book/{page.name}: written")
    return 0


def main(arguments: list[str], root: Path = ROOT) -> int:
    return write_page(root / "book" / "claims.md", render(root), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
