"""What the pages need beyond Sphinx and the theme: offline mathematics, low weight, an API page."""

import json
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import imagesize
from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
CSS_INCH = 96  # pixels
CLAIM_BAR = re.compile(r'(<span class="claim-bar">\()(at (?:least|most) )')
IMAGE = re.compile(r'<img [^>]*?src="[^"]*_images/(?P<name>[^"]+)"')
TAG = re.compile(r"<[^>]*>")
FIRST_SCREEN = 1000  # letters of text before an image that is seen at once

# Parts of code that minattn.css leaves in the colour of ink.
PLAIN_SPAN = re.compile(r'<span class="(?:bp|fm|m[bfhi]|n|n[abnv]|o|p|v[mi]|w)">([^<]*)</span>')

INLINE_FORMULA = re.compile(r'<span class="math notranslate nohighlight">\\\((.*?)\\\)', re.DOTALL)
TEX_COMMAND = re.compile(r"\\[A-Za-z]+|\\.|&\w+;")
TEX_MARKS = re.compile(r"[{}_^\s]")

# The theme's two large style sheets, of which the book needs a third.
LARGE_STYLES = ("styles/bootstrap.css", "styles/pydata-sphinx-theme.css")
CLASS_NAME = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
COMMA = re.compile(r",(?![^(]*\))")  # between selectors, not inside of :is(...)

# The pages are published on this branch of the repository; Colab opens the copies that lie there.
PAGES_BRANCH = "gh-pages"
COLAB = "https://colab.research.google.com/github"
REPOSITORY = re.compile(r"https://github\.com/(?P<path>[\w.-]+/[\w.-]+?)(?:\.git)?/?")
RELATIVE_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s]+)(?=\))")
# The whole repository, because the notebooks read stored results of the book's experiments. The
# last two are what the notebooks need beyond the package.
INSTALL = """\
# Colab starts without the book: fetch it, and work inside of it.
!git clone --quiet --depth 1 {repository} minattn-book
%cd minattn-book
%pip install --quiet . babel sacrebleu"""

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
        lighten_images(Path(app.outdir) / "_images")
        lighten_styles(Path(app.outdir))
        write_colab_copies(app)
        # 3 MB that no page refers to: minattn.css draws the icons.
        shutil.rmtree(Path(app.outdir) / "_static" / "vendor", ignore_errors=True)


def lighten_images(folder: Path) -> None:
    """Store figures with at most 256 colours: a third of the bytes, and no difference to be seen."""
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            opaque = "A" not in image.mode or image.getextrema()[-1] == (255, 255)
            if image.mode == "P" or not opaque:
                continue
            few = image.convert("RGB").quantize(
                256, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE
            )
            few.save(path, optimize=True, dpi=image.info.get("dpi", (CSS_INCH, CSS_INCH)))


def lighten_styles(site: Path) -> None:
    """Leave out the rules for classes that no page and no script of the book so much as mentions."""
    sources = [*site.rglob("*.html"), *site.glob("_static/*.js"), *site.glob("_static/*/*.js")]
    words = {
        word
        for path in sources
        if "mathjax" not in path.parts
        for word in re.findall(r"[\w-]+", path.read_text("utf-8"))
    }
    for name in LARGE_STYLES:
        path = site / "_static" / name
        path.write_text(used_rules(path.read_text("utf-8"), words), "utf-8")


def used_rules(css: str, words: set[str]) -> str:
    """The rules of a style sheet whose classes are all among `words`."""
    kept, start = [], 0
    while (opening := css.find("{", start)) >= 0:
        depth, end = 1, opening + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        head, inside = css[start:opening].strip(), css[opening + 1 : end - 1]
        if head.startswith(("@media", "@supports")):
            inside = used_rules(inside, words)
        elif not head.startswith("@"):
            selectors = COMMA.split(head)
            head = ",".join(s for s in selectors if set(CLASS_NAME.findall(s)) <= words)
        if head and inside:
            kept.append(f"{head}{{{inside}}}")
        start = end
    return "".join(kept)


def repository_path(repository: str) -> str:
    """owner/name, from the address of the repository; an empty text if there is none yet."""
    if not repository:
        return ""
    match = REPOSITORY.fullmatch(repository)
    if match is None:
        raise ExtensionError(
            f"minattn_repository is https://github.com/owner/name or empty, got {repository!r}"
        )
    return match["path"]


def colab_address(repository: str, pagename: str) -> str | None:
    """Where Colab opens the copy of a notebook; None without a repository."""
    path = repository_path(repository)
    name = Path(pagename).name
    return f"{COLAB}/{path}/blob/{PAGES_BRANCH}/colab/{name}.ipynb" if path else None


def colab_copy(notebook: dict[str, Any], repository: str) -> dict[str, Any]:
    """A chapter for Colab: as `make lab` gives it, with a first cell that fetches what it needs."""
    sys.path.insert(0, str(HERE.parent / "tools"))
    import lab  # only here: without a repository the tools are not needed

    address = f"https://github.com/{repository_path(repository)}"
    inside = f"{address}/blob/HEAD/notebooks/"  # nothing lies beside a notebook in Colab
    copy = lab.emptied(notebook)
    for cell in copy["cells"]:
        if cell["cell_type"] == "markdown":
            text = RELATIVE_LINK.sub(lambda m: urljoin(inside, m[1]), "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    install = INSTALL.format(repository=address).splitlines(keepends=True)
    first = {"cell_type": "code", "id": "install", "metadata": {}, "source": install}
    copy["cells"].insert(0, first | {"outputs": [], "execution_count": None})
    return copy


def write_colab_copies(app: Sphinx) -> None:
    repository = app.config.minattn_repository
    if not repository:
        return
    folder = Path(app.outdir) / "colab"
    folder.mkdir(exist_ok=True)
    for docname in sorted(app.env.found_docs):
        source = Path(app.srcdir) / f"{docname}.ipynb"
        if source.exists():
            copy = colab_copy(json.loads(source.read_text("utf-8")), repository)
            text = json.dumps(copy, indent=1, ensure_ascii=False) + "\n"
            (folder / source.name).write_text(text, "utf-8")


def name_buttons(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Say what the theme's download buttons do, and offer Colab if there is a repository."""
    words = {
        "download-source-button": "Download {text}",
        "download-pdf-button": "Print, or save as PDF",
    }
    for group in context.get("header_buttons", []):
        if group.get("label") != "download-buttons":
            continue
        for button in group["buttons"]:
            text = words.get(button["label"], "{text}").format(text=button["text"])
            # A tooltip that repeats the words would only be read out twice.
            button |= {"text": text, "tooltip": None}
        address = colab_address(app.config.minattn_repository, pagename)
        if address and str(context.get("page_source_suffix")) == ".ipynb":
            colab = {"type": "link", "url": address, "text": "Open in Colab"}
            group["buttons"].insert(1, colab | {"icon": "fas fa-code", "label": "colab-button"})


def settle_formulas(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Tell minattn.css how many letters wide an inline formula will be, so that no line moves."""

    def settle(match: re.Match[str]) -> str:
        letters = len(TEX_MARKS.sub("", TEX_COMMAND.sub("x", match[1])))
        return match[0].replace(">", f' style="--letters: {letters}">', 1)

    context["body"] = INLINE_FORMULA.sub(settle, context.get("body", ""))


def drop_plain_spans(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave out the marks of code that are not coloured: most of the elements of a chapter."""
    context["body"] = PLAIN_SPAN.sub(r"\1", context.get("body", ""))


def settle_images(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Give figures their size, so that nothing jumps, and let those further down wait until needed.

    An inch of matplotlib becomes an inch of the page whatever the density it was drawn at, so
    letters have one size in all figures.
    """
    sources = {quote(name): Path(app.srcdir) / path for path, name in app.builder.images.items()}

    def settle(match: re.Match[str]) -> str:
        before = TAG.sub("", match.string[: match.start()])
        attributes = "" if len(before) < FIRST_SCREEN else ' loading="lazy"'
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
    app.add_config_value("minattn_repository", "", "html", [str])
    app.add_directive("api-modules", ApiModules)
    app.connect("autodoc-skip-member", skip_noise)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon comes at 500
    app.connect("env-get-outdated", always_finish)
    app.connect("html-page-context", settle_images)
    app.connect("html-page-context", show_measured_values)
    app.connect("html-page-context", mend_lists)
    app.connect("html-page-context", drop_plain_spans)
    app.connect("html-page-context", settle_formulas)
    app.connect("html-page-context", name_buttons, priority=600)  # the theme adds them at 501
    # Once MathJax has been added, and before the table of contents writes a redirect of its own.
    app.connect("html-page-context", drop_unused_mathjax, priority=900)
    app.connect("build-finished", finish, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
