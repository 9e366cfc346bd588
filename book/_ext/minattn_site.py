"""What the pages need beyond Sphinx and the theme: offline mathematics, low weight, an API page."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import imagesize
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
CSS_INCH = 96  # pixels
CLAIM_BAR = re.compile(r'(<span class="claim-bar">\()(at (?:least|most) )')
IMAGE = re.compile(r'<img [^>]*?src="[^"]*_images/(?P<name>[^"]+)"')

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

SIGNATURE_LINES = re.compile(r"<dl>\s*(?:<dd>.*?</dd>\s*)+</dl>", re.DOTALL)
MATHJAX_PATH = "mathjax/mathjax.js"

REDIRECT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={url}">
</head>
<body><main><h1>{title}</h1><p><a href="{url}">Open the book</a></p></main></body>
</html>
"""


class ApiModules(SphinxDirective):
    """Document one module a line, each under a heading that the table of contents can show."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for module in filter(None, map(str.strip, self.content)):
            lines += [f"## `{module}`", "", "```{eval-rst}"]
            lines += [f".. automodule:: {module}", "   :members:", "```", ""]
        source = StringList(lines, self.get_source_info()[0])
        holder = nodes.Element()
        self.state.nested_parse(source, self.content_offset, holder, match_titles=True)
        return holder.children


def keep_colons(
    app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading the words before a colon as the type of a variable."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment; an empty line is not enough


def skip_noise(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out tables, which would be printed whole, and Python's own words on a named field."""
    doc = getattr(member, "__doc__", None) or ""
    return True if isinstance(member, dict | list) or doc.startswith("Alias for field") else None


def mathjax_source() -> Path:
    """Find MathJax in the Python package that carries it (dashes in its name: no import)."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError("the book needs sphinx-mathjax-offline; see requirements.txt")
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx) -> None:
    source, target = mathjax_source(), Path(app.outdir) / "_static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    startup, *others = ((source / f"{part}.js").read_text("utf-8") for part in MATHJAX_PARTS)
    # Told that they are here, the loader does not fetch them again when a formula needs more.
    here = f"MathJax.loader.preLoad(...{json.dumps(MATHJAX_PARTS)});"
    bundle = "\n".join((startup, here, *others))
    (target / "mathjax.js").write_text(bundle, "utf-8")
    for folder in MATHJAX_FOLDERS:
        shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)


def write_redirect(app: Sphinx) -> None:
    """Send index.html to the landing page; the default has neither title nor language."""
    page = REDIRECT.format(title=app.config.html_title, url=f"{app.config.root_doc}.html")
    (Path(app.outdir) / "index.html").write_text(page, "utf-8")


def always_finish(
    app: Sphinx, env: object, added: object, changed: object, removed: object
) -> list[str]:
    """Build one page in any case: without one, Sphinx would not copy a changed style sheet."""
    return [app.config.root_doc]


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        copy_mathjax(app)
        write_redirect(app)
        # 3 MB that no page refers to: minattn.css draws the icons.
        shutil.rmtree(Path(app.outdir) / "_static" / "vendor", ignore_errors=True)


def settle_images(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Give figures their size, so that nothing jumps, and let all but the first wait until needed.

    An inch of matplotlib becomes an inch of the page whatever the density it was drawn at, so
    letters have one size in all figures.
    """
    sources = {quote(name): Path(app.srcdir) / path for path, name in app.builder.images.items()}
    seen = 0

    def settle(match: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        attributes = "" if seen == 1 else ' loading="lazy"'
        source = sources.get(match["name"])
        if source and source.suffix == ".png":
            (width, height), (dpi, _) = imagesize.get(source), imagesize.getDPI(source)
            scale = CSS_INCH / dpi if dpi > 0 else 1
            attributes += f' width="{width * scale:.0f}" height="{height * scale:.0f}"'
        return match[0] + attributes

    context["body"] = IMAGE.sub(settle, context.get("body", ""))


def mend_lists(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Mend two lists that a screen reader cannot read as such.

    References get a role that ARIA has withdrawn, and a signature of several lines is written as
    a list of definitions without terms.
    """

    def lines(match: re.Match[str]) -> str:
        return match[0].replace("dl>", "div>").replace("<dd>", "<div>").replace("</dd>", "</div>")

    body = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')
    context["body"] = SIGNATURE_LINES.sub(lines, body)


def show_measured_values(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the value that was measured into every claim box; the notebook keeps it beside the output."""
    notebook = Path(app.srcdir) / f"{pagename}.ipynb"
    if not notebook.exists():
        return
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    kept = [
        output["metadata"]["minattn"]
        for cell in cells
        for output in cell.get("outputs", [])
        if "minattn" in output.get("metadata", {})
    ]
    values = iter([claim["value"] for claim in kept if claim["bar"] != "true"])
    context["body"] = CLAIM_BAR.sub(
        lambda match: f"{match[1]}measured {next(values):.3g}, {match[2]}", context.get("body", "")
    )


def drop_unused_mathjax(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Keep MathJax off the landing page, which Sphinx credits with the chapters' mathematics."""
    if not app.env.get_domain("math").data["has_equations"].get(pagename):
        marks = (MATHJAX_PATH, "window.MathJax")
        scripts = context.get("script_files", [])
        scripts[:] = [s for s in scripts if not any(mark in str(vars(s)) for mark in marks)]


def setup(app: Sphinx) -> dict[str, object]:
    app.config.mathjax_path = MATHJAX_PATH
    app.config.templates_path.append(str(HERE / "templates"))
    app.add_directive("api-modules", ApiModules)
    app.connect("autodoc-skip-member", skip_noise)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon comes at 500
    app.connect("env-get-outdated", always_finish)
    app.connect("html-page-context", settle_images)
    app.connect("html-page-context", show_measured_values)
    app.connect("html-page-context", mend_lists)
    # Once MathJax has been added, and before the table of contents writes a redirect of its own.
    app.connect("html-page-context", drop_unused_mathjax, priority=900)
    app.connect("build-finished", finish, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
