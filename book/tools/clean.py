"""Remove what was made, except .venv, .venv-bench and the reader's copies in my/.

    python -m book.tools.clean

What is at work here is waited for. This needs no library, and any Python will do.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from book.tools.alone import alone

ROOT = Path(__file__).resolve().parents[2]
MADE = [
    *("_build", "dist", "mutants", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".import_linter_cache", ".hypothesis"),
]
KEPT = {".git", ".venv", ".venv-bench", "my"}


def main(root: Path = ROOT) -> int:
    with ExitStack() as held:
        for lock in sorted((root / "_build").glob("*.lock")):
            held.enter_context(alone(lock.stem, root))
        for name in MADE:
            shutil.rmtree(root / name, ignore_errors=True)
    for folder in [path for path in root.iterdir() if path.is_dir() and path.name not in KEPT]:
        for cache in [folder, *folder.rglob("__pycache__")]:
            if cache.name == "__pycache__":
                shutil.rmtree(cache, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
