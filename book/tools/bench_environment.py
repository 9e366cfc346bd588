"""Make .venv-bench: the libraries that are compared with, on top of .venv, into which they never get.

python -m book.tools.bench_environment
"""

from __future__ import annotations

import hashlib
import shutil
import site
import subprocess
import sys
from pathlib import Path

from book.tools import environment
from book.tools.alone import alone

ROOT = Path(__file__).resolve().parents[2]
WHERE = "import site; print(site.getsitepackages()[0])"


def make(root: Path = ROOT) -> None:
    """Make it, unless it was made for these requirements and this .venv."""
    venv = root / ".venv-bench"
    needed = (root / "benchmarks" / "requirements.txt", root / ".venv" / "minattn-stamp")
    wanted = hashlib.sha256(b"\n".join(path.read_bytes() for path in needed)).hexdigest()
    stamp = venv / "minattn-stamp"
    with alone("bench", root):
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        print("Making .venv-bench.", flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        with (root / "_build" / "install-bench.log").open("w", encoding="utf-8") as log:
            plain = environment.settings_without("PYTHON", "PIP_")
            make_venv = [sys.executable, "-m", "venv", str(venv)]
            environment.run(make_venv, log, str(root), "python -m venv .venv-bench", plain)
            python = environment.python_of(str(venv))
            folder = subprocess.check_output([python, "-c", WHERE], env=plain, text=True).strip()
            below = f"import site; site.addsitedir({site.getsitepackages()[0]!r})"
            Path(folder, "minattn.pth").write_text(below + "\n", "utf-8")
            install = [python, "-m", "pip", "install", "--no-input", "-r", str(needed[0])]
            settings = environment.settings_for_pip(python)
            environment.run(install, log, str(root), "pip install for the benchmarks", settings)
        stamp.write_text(wanted, "utf-8")


if __name__ == "__main__":
    environment.main(make)
