"""To take a chapter along: the download buttons, what they give, and copies that Colab can open."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# The pages are published on this branch of the repository; Colab opens the copies that lie there.
PAGES_BRANCH = "gh-pages"
COLAB = "https://colab.research.google.com/github"
REPOSITORY = re.compile(r"https://github\.com/(?P<path>[\w.-]+/[\w.-]+?)(?:\.git)?/?")
RELATIVE_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s]+)(?=\))")
# A link to a page of the book that is no chapter: its words, and nothing that lies beside a notebook.
PAGE_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#|[\w-]+\.ipynb[#)])[^)\s]+\)")
NOTE = """\
*This is a copy of a chapter of the book minattn, for you to run and to change. It needs Python 3.11 or newer and
the package, with what the chapters use beside it: {install} Links to other chapters
work once their files lie beside this one.*"""
# The whole repository, so that the notebooks read its newest results, and with the package what single chapters
# use beyond it.
INSTALL = """\
# Colab starts without the book: fetch it, and work inside of it.
!git clone --quiet --depth 1 {repository} minattn-book
%cd minattn-book
%pip install --quiet .[book]"""


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


def colab_copy(notebook: dict[str, Any], name: str, repository: str) -> dict[str, Any]:
    """A chapter for Colab: as `make lab` gives it, with a first cell that fetches what it needs."""
    from book.tools import lab

    address = f"https://github.com/{repository_path(repository)}"
    inside = f"{address}/blob/HEAD/notebooks/"  # nothing lies beside a notebook in Colab
    copy = lab.emptied(notebook, name)
    for cell in copy["cells"]:
        if cell["cell_type"] == "markdown":
            text = RELATIVE_LINK.sub(lambda m: urljoin(inside, m[1]), "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    install = INSTALL.format(repository=address).splitlines(keepends=True)
    first = {"cell_type": "code", "id": "install", "metadata": {}, "source": install}
    copy["cells"].insert(0, first | {"outputs": [], "execution_count": None})
    return copy


def download_copy(notebook: dict[str, Any], name: str, repository: str) -> dict[str, Any]:
    """A chapter to take along: as `make lab` gives it, with a first cell that says what it needs."""
    from book.tools import lab

    path = repository_path(repository)
    install = (
        f'`pip install "minattn[book] @ git+https://github.com/{path}"`.'
        if path
        else '`pip install ".[book]"`, run in the folder of the book\'s source.'
    )
    copy = lab.emptied(notebook, name)
    for cell in copy["cells"]:
        if cell["cell_type"] == "markdown":
            text = PAGE_LINK.sub(r"\1", "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    note = NOTE.format(install=install).splitlines(keepends=True)
    copy["cells"].insert(0, {"cell_type": "markdown", "id": "copy", "metadata": {}, "source": note})
    return copy


def write_copies(app: Sphinx) -> None:
    """Write what the download buttons give, over Sphinx's copies, and with a repository what Colab opens."""
    repository, out = app.config.minattn_repository, Path(app.outdir)
    for docname in sorted(app.env.found_docs):
        source = Path(app.srcdir) / f"{docname}.ipynb"
        if not source.exists():
            continue
        text = source.read_text("utf-8")
        taken = download_copy(json.loads(text), docname, repository)
        write_notebook(out / "_sources" / f"{docname}.ipynb", taken)
        if repository:
            opened = colab_copy(json.loads(text), docname, repository)
            write_notebook(out / "colab" / source.name, opened)


def write_notebook(path: Path, notebook: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


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
