"""Write the second part of requirements.txt anew: every library that the first part brings along.

    make lock

The first part is kept by hand. uv resolves the second, for every system and for Python 3.11 and
newer. It keeps the versions that stand there: delete lines, or all, to move to newer ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from book.tools.writing import write_whole

ROOT = Path(__file__).resolve().parents[2]
BORDER = "# What these bring along. Made by `make lock`: do not edit below this line.\n"
# What only torch's CUDA build needs.
LEFT_OUT = re.compile(r"triton|nvidia-.*|cuda-.*")
RESOLVE = "uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate"


def name(pin: str) -> str:
    return re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower()


def lock(first_part: str, resolved: str) -> str:
    direct = {name(line) for line in first_part.splitlines() if "==" in line}
    pins = [pin for pin in resolved.splitlines() if name(pin) not in direct]
    kept = [pin for pin in pins if not LEFT_OUT.fullmatch(name(pin))]
    return first_part + BORDER + "\n".join(kept) + "\n"


def main(root: Path = ROOT) -> int:
    path = root / "requirements.txt"
    first_part, _, second_part = path.read_text(encoding="utf-8").partition(BORDER)
    with tempfile.TemporaryDirectory() as folder:
        wanted, resolved = Path(folder, "wanted.in"), Path(folder, "resolved.txt")
        wanted.write_text(first_part, encoding="utf-8")
        resolved.write_text(second_part, encoding="utf-8")  # uv keeps to what it finds there
        command = [sys.executable, "-m", *RESOLVE.split(), str(wanted), "-o", str(resolved)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
        if done.returncode == 0:
            text = lock(first_part, resolved.read_text(encoding="utf-8"))
            write_whole(path, text)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
