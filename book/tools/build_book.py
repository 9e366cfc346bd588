"""Build the book into _build/html, warnings as errors; do nothing if nothing changed.

    python -m book.tools.build_book

Each build starts from nothing: Sphinx repeats no warning for a page that it has read before, so a
second try after a failed one would pass. The last good one stays until the next is whole, for those who read it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from book.tools.alone import alone
from book.tools.contents import executed

ROOT = Path(__file__).resolve().parents[2]
INPUTS = [
    *("_config.yml", "_toc.yml", "pyproject.toml", "requirements.txt"),
    *("book", "notebooks", "minattn"),
]
SKIPPED = {"__pycache__", ".ipynb_checkpoints", "experiments", "pages"}


def digest(root: Path) -> str:
    """One digest over the names and contents of all that the book is built from."""
    total = hashlib.sha256()
    for name in INPUTS:
        start = root / name
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not SKIPPED & set(relative.parts):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{relative.as_posix()} {content}\n".encode())
    return total.hexdigest()


def build(root: Path = ROOT) -> int:
    if is_built(root):
        return 0
    try:
        with alone("book", root):
            # The one waited for may have built it.
            return 0 if is_built(root) else build_anew(root)
    except KeyboardInterrupt:
        there = (root / "_build" / "html" / "index.html").exists()
        left = "the book of before is still there" if there else "there is no book yet"
        raise KeyboardInterrupt(left) from None


def is_built(root: Path) -> bool:
    """Say where the book is, if there is today's."""
    index, stamp = root / "_build" / "html" / "index.html", root / "_build" / "built-from"
    if not index.exists() or not stamp.exists() or stamp.read_text("utf-8") != digest(root):
        return False
    print(f"The book is up to date: {index.as_uri()}")
    return True


def no_book(site: Path) -> bool:
    """Say so where there is no book yet; make builds one first, but the tools may be called without it."""
    if (site / "index.html").exists():
        return False
    print("minattn: there is no book yet; run python -m book.tools.build_book", file=sys.stderr)
    return True


def build_anew(root: Path) -> int:
    """Build the book aside, and put it in the place of the old one once it is whole."""
    out, start = root / "_build", time.monotonic()
    aside, html, log = out / "next", out / "html", out / "build.log"
    inputs = digest(root)
    print("Building the book: less than a minute.", flush=True)
    shutil.rmtree(aside, ignore_errors=True)
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    command = [jupyter_book, "build", str(root), "-W", "-n", "--keep-going"]
    with log.open("w", encoding="utf-8") as file:
        # The extension of the pages uses these tools; the log is read as what it is written in.
        settings = {"NO_COLOR": "1", "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [*command, "--path-output", str(aside)],
            cwd=root,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | settings,
        )
    if done.returncode != 0 or not (aside / "_build" / "html" / "index.html").exists():
        shutil.rmtree(aside, ignore_errors=True)
        text = log.read_text(encoding="utf-8", errors="replace")
        if "No space left on device" in text:
            print(f"minattn: the disk is full: the book was not built. See {log}", file=sys.stderr)
            return 1
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        said = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
        said = unreadable(root) or [in_its_chapter(line, root) for line in said] or lines[-20:]
        print("\n".join(dict.fromkeys(said)), file=sys.stderr)
        print(f"minattn: the book was not built; all that was said is in {log}", file=sys.stderr)
        return 1
    (out / "built-from").unlink(missing_ok=True)
    if html.exists():
        html.rename(aside / "old")
    (aside / "_build" / "html").rename(html)
    shutil.rmtree(aside)
    (out / "built-from").write_text(inputs, "utf-8")
    index = html / "index.html"
    print(f"The book is at {index.as_uri()} (built in {time.monotonic() - start:.0f} s)")
    return 0


def unreadable(root: Path) -> list[str]:
    """What can be read neither as YAML nor as a notebook, of which Sphinx does not say the name."""
    said = []
    for path in filter(Path.exists, (root / "_config.yml", root / "_toc.yml")):
        try:
            yaml.safe_load(path.read_text("utf-8"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            said.append(f"{path}:{line}: ERROR: {error.problem}")
    for path in executed(root):
        try:
            json.loads(path.read_text("utf-8"))
        except ValueError as error:
            said.append(f"{path}: ERROR: this is no notebook any more: {error}; run make notebooks")
    return said


def in_its_chapter(line: str, root: Path) -> str:
    """Put the place in a chapter, which is what its author writes, for that in its notebook."""
    found = re.match(r"(?P<root>.*)notebooks/(?P<stem>\w+)\.ipynb:(?P<place>\d{5,}):", line)
    chapter = root / "book" / "chapters" / f"{found['stem'] if found else ''}.md"
    if found is None or not chapter.exists():
        return line
    # Not sooner: these are slow to import.
    import nbformat

    from book.tools.notebooks import line_of

    # myst_nb counts cells from 1, and the lines in them from 2.
    cell, row = divmod(int(found["place"]), 10_000)
    cells = nbformat.read(root / "notebooks" / f"{found['stem']}.ipynb", 4).cells
    number = line_of(cell - 1, cells, chapter) + row - 2
    return f"{found['root']}book/chapters/{chapter.name}:{number}:{line[found.end() :]}"


if __name__ == "__main__":
    sys.exit(build())
