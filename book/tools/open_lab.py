"""Lay out the reader's copies of the chapters in my/, and open them in JupyterLab.

    python -m book.tools.open_lab [OPTIONS OF JUPYTER LAB]

The first call opens the first chapter; a later one, what was open at the end of the last. Lab asks nothing and
fetches nothing, and what it remembers of the book's tabs stays in my/, apart from those of other work.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from book.tools import lab
from book.tools.contents import executed

ROOT = Path(__file__).resolve().parents[2]


def known(option: str) -> bool:
    """Tell whether JupyterLab has an option, or may have it: --no-browser, --port=8890, --ServerApp.token=..."""
    from jupyterlab.labapp import LabApp

    match = re.fullmatch(r"--?(?P<name>[\w-]+)(?P<trait>\.\w+)?(?P<value>=.*)?", option)
    if match is None:
        return False
    if match["trait"]:
        return match["value"] is not None
    return match["name"] in (LabApp.aliases if match["value"] else LabApp.flags)


def command(root: Path, first: str) -> list[str]:
    """JupyterLab with what the book wants of it."""
    workspaces = root / "my" / ".workspaces"
    place = "/lab" if any(workspaces.glob("*")) else f"/lab/tree/my/{first}"
    return [
        *(sys.executable, "-m", "jupyterlab", "--log-level=WARN"),
        "--allow-root",  # in a container there is nobody else; for others it changes nothing
        f"--ServerApp.root_dir={root}",  # people have set another one for their other work
        "--FileContentsManager.preferred_dir=my",
        f"--LabApp.default_url={place}",
        f"--LabApp.workspaces_dir={workspaces}",
        f"--LabApp.app_settings_dir={root / 'book' / 'tools' / 'lab_settings'}",
    ]


def main(options: list[str], root: Path = ROOT) -> int:
    for option in options:
        if not known(option):
            print(
                "minattn: what is handed to Lab must be options of jupyter lab, such as --no-browser or "
                f"--port=8890, got {option!r}",
                file=sys.stderr,
            )
            return 2
    if code := lab.main(root):
        return code
    first = executed(root)[0].name
    try:
        return subprocess.run([*command(root, first), *options], cwd=root, check=False).returncode
    except KeyboardInterrupt:  # Lab was asked to stop, and says so itself
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
