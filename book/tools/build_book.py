"""Build the book into _build/html, warnings as errors; do nothing if nothing changed.

    python -m book.tools.build_book

Each build starts from nothing: Sphinx repeats no warning for a page that it has read before, so a
second try after a failed one would pass.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

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
    out = root / "_build"
    index, stamp, log = out / "html" / "index.html", out / "built-from", out / "build.log"
    inputs = digest(root)
    if index.exists() and stamp.exists() and stamp.read_text() == inputs:
        print(f"The book is up to date: {index.as_uri()}")
        return 0

    print("Building the book: less than a minute.", flush=True)
    start = time.monotonic()
    out.mkdir(exist_ok=True)
    stamp.unlink(missing_ok=True)
    for old in ("html", ".doctrees", ".jupyter_cache"):
        shutil.rmtree(out / old, ignore_errors=True)
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    command = [jupyter_book, "build", str(root), "-W", "-n", "--keep-going"]
    with log.open("w", encoding="utf-8") as file:
        # The extension of the pages uses these tools.
        settings = os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(root)}
        done = subprocess.run(
            command, cwd=root, stdout=file, stderr=subprocess.STDOUT, env=settings
        )
    if done.returncode != 0 or not index.exists():
        lines = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8")).splitlines()
        said = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
        print("\n".join(dict.fromkeys(said or lines[-20:])), file=sys.stderr)
        print(f"minattn: the book was not built; all that was said is in {log}", file=sys.stderr)
        return 1
    stamp.write_text(inputs)
    print(f"The book is at {index.as_uri()} (built in {time.monotonic() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(build())
