"""Gather the claims of all notebooks on one page, book/claims.md.

    python -m book.tools.claims_page            write it
    python -m book.tools.claims_page --check    fail if it is out of date

A claim is an output whose metadata holds {"minattn": {"claim", "bar", "value", "spread", "of"}}, as
minattn.claims.claim leaves it; minattn.claims.checks leaves {"minattn": {"checks": [a claim, ...]}}.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

from book.tools.contents import notebooks_in_order, number_of, numbered
from book.tools.pages import text, write_page
from minattn import claims as measured

ROOT = Path(__file__).resolve().parents[2]


def claims_of(notebook: dict) -> list[dict]:
    """All claims, those of closed checks too, in the order of their outputs."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            ours = output.get("metadata", {}).get("minattn", {})
            found += ours.get("checks", [ours] if "claim" in ours else [])
    return found


def anchors(claims: list[dict]) -> list[str]:
    """An address for each claim of a page: made of its sentence, so that another claim changes none."""
    slugs = [
        "claim-" + re.sub(r"[^a-z0-9]+", "-", claim["claim"].lower()).strip("-") for claim in claims
    ]
    seen: Counter[str] = Counter()
    found = []
    for slug in slugs:
        seen[slug] += 1
        found.append(slug if seen[slug] == 1 else f"{slug}-{seen[slug]}")
    return found


def title_of(notebook: dict) -> str:
    for cell in notebook["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    raise ValueError("a notebook without a title")


def figure(value: float | bool | None) -> str:
    """What was measured, in a cell of the table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return measured.figure(value)


def row(claim: dict, address: str) -> str:
    """A line of the table; its sentence leads to the box, or the line of checks, in the chapter."""
    spread = claim.get("spread") or []
    if spread:
        low, high = figure(min(spread)), figure(max(spread))
        spread_text = f"{low} to {high}, {len(spread)} runs"
    else:
        spread_text = ""
    value, of = figure(claim.get("value")), claim.get("of", measured.THIS_RUN)
    if of != measured.THIS_RUN:
        value += f" ({of})"
    sentence = f'<a href="{address}">{claim["claim"]}</a>'
    cells = [sentence, claim["bar"], value, spread_text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render(root: Path) -> str:
    chapters = []
    for path in notebooks_in_order(root):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        claims = claims_of(notebook)
        if claims:
            link = f"[chapter {number_of(path.stem)}](../notebooks/{path.name})"
            page = f"../notebooks/{path.stem}.html"
            rows = [
                row(claim, f"{page}#{anchor}")
                for claim, anchor in zip(claims, anchors(claims), strict=True)
            ]
            table = ["| claim | bar | measured | spread |", "|---|---|---|---|", *rows]
            heading = f"## {numbered(path.stem, title_of(notebook))}"
            chapters.append(f"{heading}\n\nChecked in {link}.\n\n" + "\n".join(table) + "\n")
    return text("claims").format(chapters="\n".join(chapters))


def main(arguments: list[str], root: Path = ROOT) -> int:
    return write_page(root / "book" / "claims.md", render(root), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
