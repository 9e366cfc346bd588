"""Run a part of the tests, unless it was proved here and nothing that it looks at has changed since.

    python -m book.tools.proved NAME INPUT ... -- COMMAND ...
    python -m book.tools.proved --each NAME NOTEBOOK ... -- COMMAND ...

An INPUT is a file or a folder of the project; one that begins with a minus is left out again. With --each,
every notebook is a part of its own: it looks at the files that its stamp names, and COMMAND is given those
that are still to be proved. What was proved is remembered in _build/proved. In CI nothing is skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from book.tools.writing import write_whole

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ("requirements.txt", "pyproject.toml", "Makefile")
FLAGS_OF_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "GNUMAKEFLAGS"}
SKIPPED = {"__pycache__", ".ipynb_checkpoints"}


def files(inputs: Iterable[str], root: Path) -> list[Path]:
    """All files of some inputs, but for those below an input that is left out.

    Raises:
        ValueError: if an input is not there: a part that looks at nothing would never be run again.
    """
    found: set[Path] = set()
    without = {root / name[1:] for name in inputs if name.startswith("-")}
    for name in [*ALWAYS, *(name for name in inputs if not name.startswith("-"))]:
        start = root / name
        below = [start] if start.is_file() else [p for p in start.rglob("*") if p.is_file()]
        if not below:
            raise ValueError(f"an input must be a file or a folder that holds some, got {name}")
        found.update(below)
    return sorted(
        path
        for path in found
        if not without & {path, *path.parents} and not SKIPPED & set(path.parts)
    )


def state(inputs: Iterable[str], root: Path) -> str:
    """One digest over the names and contents of all files, and the Python that runs."""
    total = hashlib.sha256(sys.version.encode())
    for path in files(inputs, root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()


def read_by(notebook: str, root: Path) -> list[str]:
    """What a notebook looks at."""
    metadata = json.loads((root / notebook).read_text("utf-8"))["metadata"]
    uses = metadata.get("minattn", {}).get("uses", {})
    return [notebook, *(name for name in uses if (root / name).is_file())]


def run(
    parts: dict[str, list[str]], command: list[str], root: Path = ROOT, each: bool = False
) -> int:
    """Run a command if one of the parts is still to be proved; remember them if it succeeds."""
    states = {name: state(inputs, root) for name, inputs in parts.items()}
    kept = {name: root / "_build" / "proved" / name for name in parts}
    todo = [
        name
        for name, path in kept.items()
        if os.environ.get("CI") == "true"
        or not path.exists()
        or path.read_text("utf-8") != states[name]
    ]
    for name in [name for name in parts if name not in todo]:
        print(f"{name}: proved before, and nothing of it has changed")
    if not todo:
        return 0
    more = [parts[name][0] for name in todo] if each else []
    # A make inside is not told how this one was called: it runs what it is to prove, and all of it.
    settings = {name: text for name, text in os.environ.items() if name not in FLAGS_OF_MAKE}
    code = subprocess.run([*command, *more], cwd=root, env=settings, check=False).returncode
    if code == 0:
        for name in todo:
            write_whole(kept[name], states[name])
    return code


def main(arguments: list[str]) -> int:
    each = arguments[0] == "--each"
    name, *inputs = arguments[each : arguments.index("--")]
    command = arguments[arguments.index("--") + 1 :]
    parts = {name: inputs}
    if each:
        parts = {f"{name}-{Path(book).stem}": read_by(book, ROOT) for book in inputs}
    return run(parts, command, each=each)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
