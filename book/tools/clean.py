"""Remove what was made, except .venv, .venv-bench and the reader's copies in my/.

    python -m book.tools.clean

What is at work here is waited for. This needs no library, and any Python will do.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, suppress
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
        left = [name for name in MADE if not remove(root / name)]
    for folder in [path for path in root.iterdir() if path.is_dir() and path.name not in KEPT]:
        for cache in [folder, *folder.rglob("__pycache__")]:
            if cache.name == "__pycache__":
                shutil.rmtree(cache, ignore_errors=True)
    if left:
        print(f"minattn: not all of it could be removed: {', '.join(left)}", file=sys.stderr)
    return 1 if left else 0


def remove(folder: Path) -> bool:
    """Remove a folder; tell whether it is gone. A link to one, on a larger disk say, stays empty."""
    inside = list(folder.glob("*")) if folder.is_symlink() else [folder]
    for path in inside:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return not any(map(os.path.lexists, inside))


if __name__ == "__main__":
    sys.exit(main())
