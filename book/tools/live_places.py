"""Make what the live places load: the models and maps of live.py, and what each live_NAME.py makes.

python -m book.tools.live_places [NAME]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from book.tools.asking import Parser, one_of

ROOT = Path(__file__).resolve().parents[2]


def commands(root: Path = ROOT) -> dict[str, list[str]]:
    """By name of what is made, the module that makes it and its arguments."""
    from book.tools.live import MAPS, MODELS

    found = {name: ["book.tools.live", name] for name in (*MODELS, *MAPS)}
    for path in sorted((root / "book" / "tools").glob("live_*.py")):
        if path.stem != Path(__file__).stem:
            found[path.stem.removeprefix("live_")] = [f"book.tools.{path.stem}"]
    return found


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    known = commands(root)
    parser = Parser(description="Make what the live places load, or one of it.")
    parser.add_argument("name", nargs="?", type=one_of("what a live place loads", known))
    asked = parser.parse_args(arguments).name
    for command in [known[asked]] if asked else known.values():
        code = subprocess.run([sys.executable, "-m", *command], cwd=root, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
