"""Write the second part of requirements.txt anew: every library that the first part brings along.

    make lock

The first part is kept by hand. To move to new versions, edit it and delete the second part, delete
.venv, then `make lock`.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BORDER = "# What these bring along. Made by `make lock`: do not edit below this line.\n"
# The installer, the package itself, and what only torch's CUDA build needs.
LEFT_OUT = re.compile(r"pip|minattn|triton|nvidia-.*|cuda-.*")
ONLY_ON = {
    "pexpect": 'sys_platform != "win32"',
    "ptyprocess": 'sys_platform != "win32"',
}
# Wanted on other systems than the one this was made on.
ELSEWHERE = [
    'appnope==0.1.4; sys_platform == "darwin"',
    'pywinpty==3.1.2; os_name == "nt"',
]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lock(first_part: str, installed: dict[str, str]) -> str:
    direct = {normal(line.split("==")[0]) for line in first_part.splitlines() if "==" in line}
    missing = direct - installed.keys()
    if missing:
        raise SystemExit(f"minattn: not installed: {', '.join(sorted(missing))}")
    pins = list(ELSEWHERE)
    for name, version in installed.items():
        if name not in direct and not LEFT_OUT.fullmatch(name):
            public = version.split("+")[0]  # "2.13.0+cpu" names a build, not a release
            pins.append(f"{name}=={public}" + (f"; {ONLY_ON[name]}" if name in ONLY_ON else ""))
    return first_part + BORDER + "\n".join(sorted(pins)) + "\n"


def main(root: Path = ROOT) -> int:
    path = root / "requirements.txt"
    first_part = path.read_text(encoding="utf-8").split(BORDER)[0]
    installed = {normal(d.metadata["Name"]): d.version for d in distributions()}
    path.write_text(lock(first_part, installed), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
