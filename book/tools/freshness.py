"""Stamp what is made by running, and tell what is stale.

    python -m book.tools.freshness      a line for each stale thing, with the command that makes it again

A stamp names what a run depended on: the project's files that it read, with their digests, and the pins of
the libraries that it imported. Notebooks carry theirs in their metadata, the weights of the live pages in the
card beside them, the figure of the landing page in a file of its own.

Results of experiments have no stamp: hours of training are not thrown away for a moved function. They carry
a fingerprint of behaviour instead; see book/experiments/fingerprint.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from book.tools.contents import executed
from book.tools.lock import BORDER

ROOT = Path(__file__).resolve().parents[2]
OURS = re.compile(r"(minattn|book)/(?!.*__pycache__)")
PIN = re.compile(r"(?m)^([\w.-]+)==([^\s;]+)")
# How a stamp is made and a file is written has no say in what stands in it.
NO_SAY = {
    f"book/tools/{name}.py"
    for name in ("__init__", "alone", "asking", "freshness", "lock", "writing")
}
# What is shown while something runs has a say in what keeps it, the notebooks, and in no weight and no figure.
SHOWS = {"minattn/display.py"}

Stamp = dict[str, Any]


def watch(known=()):
    """Note from now on what this process reads; call what is returned to learn it.

    Modules may come from a .pyc, so they are asked for by name and only other files are watched being
    opened. This function is also sent to kernels as text, so it stands alone.

    Args:
        known: modules that have no say; a kernel brings some of its own.
    """
    import sys

    opened = set()

    def note(event, args):
        if event == "open" and "w" not in (args[1] or ""):  # what it writes itself is no input
            opened.add(args[0])

    sys.addaudithook(note)

    def report() -> dict[str, list[str]]:
        modules = dict(sys.modules)
        files = {getattr(module, "__file__", None) for module in modules.values()} | opened
        libraries = {name.partition(".")[0] for name in modules.keys() - set(known)}
        return {
            "files": sorted({file for file in files if isinstance(file, str)}),
            "libraries": sorted(libraries),
        }

    return report


def stamp(read: dict[str, list[str]], root: Path = ROOT, folder: Path | None = None) -> Stamp:
    """Make the stamp of a run from what it read.

    Args:
        read: what `watch` reports.
        root: the project.
        folder: where the run took place, for names of files that are relative.
    """
    return {
        "uses": digests(read["files"], root, folder or Path.cwd()),
        "pins": used_pins(read["libraries"], root),
    }


def digests(files: Iterable[str], root: Path, folder: Path) -> dict[str, str]:
    """Digests of the project's own files among some, by name relative to the project."""
    found = {}
    for path in files:
        file = Path(os.path.abspath(folder / path))
        if file.is_relative_to(root) and file.is_file():
            name = file.relative_to(root).as_posix()
            if OURS.match(name) and name not in NO_SAY:
                found[name] = digest(file)
    return dict(sorted(found.items()))


def digest(file: Path) -> str:
    """A digest that agrees between systems: of a text with plain newlines."""
    return digest_of(file.read_bytes().replace(b"\r\n", b"\n"))


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def used_pins(libraries: Iterable[str], root: Path) -> dict[str, str]:
    """The pins of imported libraries that we ask for ourselves; what these bring along has no say."""
    asked_for = pins((root / "requirements.txt").read_text("utf-8").split(BORDER)[0])
    distributions = packages_distributions()
    used = {normal(name) for library in libraries for name in distributions.get(library, [])}
    return {name: pin for name, pin in sorted(asked_for.items()) if name in used}


def pins(requirements: str) -> dict[str, str]:
    return {normal(name): pin for name, pin in PIN.findall(requirements)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def why_stale(made: Stamp, root: Path = ROOT) -> str | None:
    """What is not any more as it was when something was made, in words; None if all is."""
    if not made.get("uses"):
        return "it carries no stamp"
    for name, known in made["uses"].items():
        file = root / name
        if not file.is_file():
            return f"{name} is gone"
        if digest(file) != known:
            return f"{name} changed"
    today = pins((root / "requirements.txt").read_text("utf-8")) if made.get("pins") else {}
    for name, pin in made.get("pins", {}).items():
        if today.get(name) != pin:
            return f"{name} is {today.get(name, 'not pinned')} and was {pin}"
    return None


@dataclass(frozen=True)
class Made:
    """Something that was made by running: what it is, its stamp, and the command that makes it again."""

    name: str
    stamp: Stamp
    command: str


def everything(root: Path = ROOT) -> Iterator[Made]:
    """All that carries a stamp."""
    for path in executed(root):
        try:
            found = json.loads(path.read_text("utf-8"))["metadata"].get("minattn", {})
        except (ValueError, KeyError):  # half of a merge, say
            found = {}
        yield Made(f"notebooks/{path.name}", found, "make notebooks")
    static = root / "book" / "_static"
    folders = (static / "live" / "weights", static, root / "book" / "models")
    for path in [path for folder in folders for path in sorted(folder.glob("[!.]*.json"))]:
        card = json.loads(path.read_text("utf-8"))
        found = card.get("stamp", {})
        uses = {name: known for name, known in found.get("uses", {}).items() if name not in SHOWS}
        name = path.relative_to(root).as_posix()
        yield Made(name, found | {"uses": uses}, card["command"])


def main(root: Path = ROOT) -> int:
    stale = [(made, why) for made in everything(root) if (why := why_stale(made.stamp, root))]
    for made, why in stale:
        print(f"{made.name} is stale: {why}; run {made.command}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
