"""A page with nothing on it but live places, for the tests of what they show."""

import re
from collections.abc import Iterable

from book.tools.browsing import ROOT

BOX = """* { box-sizing: border-box }
body { margin: 0 auto; padding: 0 1rem; max-width: 52rem; background: var(--paper); color: var(--ink) }"""


def kinds() -> list[str]:
    """Say of which kinds live places are, as minattn.js has them."""
    script = (ROOT / "book" / "_static" / "minattn.js").read_text("utf-8")
    return re.findall(r"^  (\w+): {\n    invite:", script, re.MULTILINE)


def engine_of(kind: str) -> tuple[str, ...]:
    """Say which files of book/_static/live a kind of place needs before its own, in order, as minattn.js has it."""
    script = (ROOT / "book" / "_static" / "minattn.js").read_text("utf-8")
    table = re.search(rf"^  {kind}: {{\n[^}}]*needs: \[([^]]*)\]", script, re.MULTILINE)
    assert table, f"minattn.js names no files for {kind}"
    return ("elements.js", *re.findall(r'"([\w.]+\.js)"', table[1]))  # sheets may stand among them


def live_page(title: str, sheets: Iterable[str], places: str, scripts: Iterable[str]) -> str:
    """Write the page; sheets and scripts are addresses, places is what stands under the heading."""
    styles = "".join(f'<link rel="stylesheet" href="{sheet}">' for sheet in sheets)
    code = "".join(f'<script src="{script}"></script>' for script in scripts)
    return (
        '<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>{styles}<style>{BOX}</style></head>"
        f"<body><main class='bd-article'><h1>{title}</h1>{places}</main>{code}</body></html>"
    )
