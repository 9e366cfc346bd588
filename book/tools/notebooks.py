"""Turn book/chapters/*.md into executed notebooks/*.ipynb.

    python -m book.tools.notebooks                 chapters that need it
    python -m book.tools.notebooks --all           every chapter
    python -m book.tools.notebooks 01_context_vector
    python -m book.tools.notebooks --check         say what is out of date, execute nothing

A notebook is a function of its chapter, of the files its kernel read, of the libraries it imported, and
of nothing else: running this twice on one machine gives the same bytes. Its metadata carries a stamp of
those (see freshness.py), so that the next call knows whether there is anything to do.

The kernel runs in notebooks/, as it does under nbval, with one thread and a clean IPython profile.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import jupytext
import nbformat
import yaml
from jupytext.myst import MystMetadataParsingError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import run_sync

from book.tools import freshness
from book.tools.alone import alone
from book.tools.contents import executed
from book.tools.pictures import lighten
from book.tools.writing import write_whole

ROOT = Path(__file__).resolve().parents[2]
CELL_TIMEOUT = 300
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}

# Run in the kernel before and after the chapter, outside its history.
WATCH = f"""\
import sys as _sys
_known = set(_sys.modules)
{inspect.getsource(freshness.watch)}
_report = watch(_known)
"""
REPORT = "import json as _json\nprint(_json.dumps(_report()))"


class ChapterError(Exception):
    """A chapter could not be executed; the message is for the author."""


def read_text(path: Path) -> str:
    """Text with plain newlines, and without the mark that some editors put before it."""
    return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")


def from_source(chapter: Path) -> nbformat.NotebookNode:
    """The notebook a chapter describes, not executed."""
    try:
        notebook = jupytext.reads(read_text(chapter), fmt="md:myst")
    except (UnicodeDecodeError, yaml.YAMLError, MystMetadataParsingError) as error:
        raise ChapterError(f"{chapter.stem}: its chapter cannot be read\n\n{error}") from error
    ours = notebook.metadata.get("minattn", {})
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}, "minattn": ours}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    # Ids come from content alone: no history is needed to get the same ones again.
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        name = freshness.digest_of(f"{chapter.stem}\n{cell.cell_type}\n{cell.source}".encode())[:8]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return notebook


def execute(chapter: Path, root: Path) -> nbformat.NotebookNode:
    notebook = from_source(chapter)
    with tempfile.TemporaryDirectory() as profile:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,  # on a busy machine what is printed comes in pieces
            extra_arguments=["--log-level=ERROR"],
        )
        # Who has made a kernel of that name with another Python would get that one.
        client.create_kernel_manager()
        client.km.kernel_spec_manager.kernel_dirs = [
            os.path.join(sys.prefix, "share/jupyter/kernels")
        ]
        try:
            settings = kernel_settings(profile)
            with client.setup_kernel(cwd=str(root / "notebooks"), env=settings):
                ask(client, WATCH)
                for index, cell in enumerate(notebook.cells):
                    run_cell(client, cell, index, chapter)
                read = json.loads(ask(client, REPORT))
        except DeadKernelError as error:
            raise ChapterError(f"{chapter.stem}: the kernel died") from error
    read["files"].append(str(chapter))
    notebook.metadata.minattn |= freshness.stamp(read, root, root / "notebooks")
    lighten_pictures(notebook)
    return notebook


def kernel_settings(profile: str) -> dict[str, str]:
    """Settings of a kernel: what a person has set for figures and notebooks of their own does not reach the book."""
    theirs = ("MPLBACKEND", "MKL_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(theirs)}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": profile,
        "MATPLOTLIBRC": os.devnull,  # no style but matplotlib's own
    }


def lighten_pictures(notebook: nbformat.NotebookNode) -> None:
    """Store pictures with few colours: a third of the bytes, and no difference to be seen."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                light = lighten(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(light).decode("ascii")


def ask(client: NotebookClient, code: str) -> str:
    """What `code` prints, leaving no trace in the notebook or in the kernel's history."""
    printed: list[str] = []
    run_sync(client.kc.execute_interactive)(
        code,
        store_history=False,
        output_hook=lambda message: printed.append(message["content"].get("text", "")),
    )
    return "".join(printed)


def run_cell(client, cell, index: int, chapter: Path) -> None:
    try:
        client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
    except CellExecutionError as error:
        reason = re.sub(r"\x1b\[[0-9;]*m", "", f"{error.ename}: {error.evalue}")
    except CellTimeoutError:
        reason = f"took longer than {CELL_TIMEOUT} seconds"
    else:
        return
    place = f"book/chapters/{chapter.name}, line {line_of(index, client.nb.cells, chapter)}"
    raise ChapterError(
        f"{chapter.stem}: this cell failed ({place})\n\n{indent(cell.source)}\n\n{reason}"
    )


def line_of(index: int, cells: list[nbformat.NotebookNode], chapter: Path) -> int:
    """The line of a chapter where a cell begins."""
    text, end = read_text(chapter), 0
    for cell in cells[: index + 1]:  # in their order, for two may say the same
        start = max(text.find(cell.source, end), end)
        end = start + len(cell.source)
    return text.count("\n", 0, start) + 1


def indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def why_stale(chapter: Path, root: Path) -> str | None:
    """What a notebook lacks to be today's, in words; None if it is."""
    path = root / "notebooks" / f"{chapter.stem}.ipynb"
    if not path.exists():
        return "no notebook yet"
    try:
        ours = json.loads(read_text(path))["metadata"].get("minattn", {})
    except (ValueError, KeyError):
        return "its notebook cannot be read"
    return freshness.why_stale(ours, root)


def chapters(root: Path) -> list[Path]:
    return sorted((root / "book" / "chapters").glob("[0-9]*.md"))


def orphans(root: Path) -> list[Path]:
    """Notebooks that no chapter describes."""
    names = {chapter.stem for chapter in chapters(root)}
    return [n for n in executed(root) if n.stem not in names]


def make(chapter: Path, root: Path) -> str:
    start = time.monotonic()
    notebook = execute(chapter, root)
    write_whole(root / "notebooks" / f"{chapter.stem}.ipynb", nbformat.writes(notebook) + "\n")
    return f"{chapter.stem}: executed in {time.monotonic() - start:.0f} s"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters, such as 01_context_vector")
    parser.add_argument("--all", action="store_true", help="execute every chapter")
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    options = parser.parse_args(arguments)

    known = {chapter.stem: chapter for chapter in chapters(root)}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        print(f"no such chapter: {', '.join(unknown)} (there are: {', '.join(known)})")
        return 1
    with nullcontext() if options.check else alone("notebooks", root):
        return make_those_that_need_it(options, known, root)


def make_those_that_need_it(options: argparse.Namespace, known: dict[str, Path], root: Path) -> int:
    todo = {}
    for name, chapter in known.items():
        reason = why_stale(chapter, root)
        if name in options.names or options.all or (reason and not options.names):
            todo[chapter] = reason or "asked for"
    for chapter, reason in todo.items():
        print(f"{chapter.stem}: {reason}", flush=True)
    for notebook in orphans(root):
        print(f"{notebook.stem}: no chapter describes notebooks/{notebook.name}; remove it")
    if options.check:
        return 1 if todo or orphans(root) else 0
    if not todo:
        print("all notebooks are up to date")

    (root / "notebooks").mkdir(exist_ok=True)
    failed = False
    with ThreadPoolExecutor(max_workers=2) as pool:
        for future in [pool.submit(make, chapter, root) for chapter in todo]:
            try:
                print(future.result(), flush=True)
            except ChapterError as error:
                failed = True
                print(f"\n{error}\n\nnotebooks/ keeps the last good version.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
