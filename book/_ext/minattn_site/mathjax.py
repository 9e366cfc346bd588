"""Mathematics without a network, on the pages that have some, in lines that do not move."""

import json
import re
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# MathJax fetches its fonts by itself: with another version of it, they have another address.
MATHJAX = f"mathjax-{version('sphinx-mathjax-offline')}"
MATHJAX_PATH = f"{MATHJAX}/mathjax.js"
# MathJax's own bundle is half as large again, for a context menu that would miss its parts offline.
# Start-up comes first: it waits, as a promise does, until the rest of this one file has run.
MATHJAX_PARTS = (
    "startup",
    "core",
    "input/tex",
    "output/chtml",
    "output/chtml/fonts/tex",
    "a11y/assistive-mml",  # hidden MathML: what a screen reader reads
)
# Fetched piece by piece, when a formula needs them.
MATHJAX_FOLDERS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")

INLINE_FORMULA = re.compile(r'<span class="math notranslate nohighlight">\\\((.*?)\\\)', re.DOTALL)
TEX_NAME = re.compile(r"\\(arg|cos|det|dim|exp|ln|log|max|min|sin|sup|tanh)(?![A-Za-z])")
TEX_COMMAND = re.compile(r"\\[A-Za-z]+|\\.|&\w+;")
TEX_MARKS = re.compile(r"[{}_^\s]")


def mathjax_source() -> Path:
    """Find MathJax in the Python package that carries it (dashes in its name: no import)."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError("the book needs sphinx-mathjax-offline; see requirements.txt")
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx) -> None:
    source, target = mathjax_source(), Path(app.outdir) / "_static" / MATHJAX
    target.mkdir(parents=True, exist_ok=True)
    startup, *others = ((source / f"{part}.js").read_text("utf-8") for part in MATHJAX_PARTS)
    # Told that they are here, the loader does not fetch them again when a formula needs more.
    here = f"MathJax.loader.preLoad(...{json.dumps(MATHJAX_PARTS)});"
    bundle = "\n".join((startup, here, *others))
    (target / "mathjax.js").write_text(bundle, "utf-8")
    for folder in MATHJAX_FOLDERS:
        shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)


def settle_formulas(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Tell minattn.css how many letters wide an inline formula will be, so that no line moves."""

    def settle(match: re.Match[str]) -> str:
        named = TEX_NAME.sub(r"\1", match[1])  # these are printed as they are spelled
        letters = len(TEX_MARKS.sub("", TEX_COMMAND.sub("x", named)))
        return match[0].replace(">", f' style="--letters: {letters}">', 1)

    context["body"] = INLINE_FORMULA.sub(settle, context.get("body", ""))


def drop_unused_mathjax(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Keep MathJax off the landing page, which Sphinx credits with the chapters' mathematics."""
    if not app.env.get_domain("math").data["has_equations"].get(pagename):
        marks = (MATHJAX_PATH, "window.MathJax")
        scripts = context.get("script_files", [])
        scripts[:] = [s for s in scripts if not any(mark in str(vars(s)) for mark in marks)]
