"""Run the experiments, which write book/experiments/results.

python -m book.tools.experiments [NAME]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from book.tools.asking import Parser, one_of

ROOT = Path(__file__).resolve().parents[2]


def names(root: Path = ROOT) -> list[str]:
    """The scripts among the modules of the experiments."""
    scripts = sorted((root / "book" / "experiments").glob("[a-z]*.py"))
    return [path.stem for path in scripts if "__main__" in path.read_text("utf-8")]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = Parser(description="Run the experiments, or one.")
    parser.add_argument("name", nargs="?", type=one_of("an experiment", names(root)))
    asked = parser.parse_args(arguments).name
    for name in [asked] if asked else names(root):
        print(f"book/experiments/{name}.py", flush=True)
        command = [sys.executable, "-m", f"book.experiments.{name}"]
        code = subprocess.run(command, cwd=root, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
