"""Extract short functions from the source of networkx and scikit-learn, and split them into three parts.

Both libraries are BSD-3-licensed. They are not needed to build or to test the book: what comes out is stored in
minattn/tasks/functions.json.xz, with the licences beside it. To do it again:

    pip download --no-deps networkx==3.6.1 scikit-learn==1.9.1
    python -m book.tools.functions networkx-*.whl scikit_learn-*.whl
"""

import ast
import json
import lzma
import random
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from minattn.subwords import learn_subwords

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "functions.json.xz"
LINES = range(3, 26)
MAX_CHARACTERS = 800
MAX_LINE = 100
RUN = 8
"""No part has so many words in a row that another part has too."""
SHARE = 0.12
"""Of the functions, whose files are kept for validation; as many are kept for the test."""
N_MERGES = 1000

_SKIPPED = ("test", "externals", "conftest", "_build_utils")
_INDENT = re.compile(r"^(?: {4})+", re.MULTILINE)
_WORD = re.compile(r"\w+")


def tidy(function: ast.FunctionDef) -> str:
    """Write a function without docstrings, comments, decorators and empty lines, and with tabs for its levels."""
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = []
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    code = _INDENT.sub(lambda found: "\t" * (len(found[0]) // 4), ast.unparse(function))
    return re.sub(r"\n\s*\n", lambda found: found[0][found[0].rindex("\n") :], code)


def is_short(code: str) -> bool:
    """Tell functions of a few plain lines from others."""
    lines = code.split("\n")
    return (
        code.isascii()
        and len(lines) in LINES
        and len(code) <= MAX_CHARACTERS
        and max(map(len, lines)) <= MAX_LINE
    )


def functions_of(source: str) -> Iterator[str]:
    """Yield every short function and method of a file, but not those inside of others."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        for node in ast.iter_child_nodes(todo.pop(0)):
            if isinstance(node, ast.FunctionDef):
                code = tidy(node)
                if is_short(code):
                    yield code
            elif isinstance(node, ast.ClassDef):
                todo.append(node)


def functions_by_file(wheel: Path) -> dict[str, list[str]]:
    """Read the files of a wheel in order of their names, but those of tests and of other projects."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            parts = PurePosixPath(name).parts
            if name.endswith(".py") and not any(part.startswith(_SKIPPED) for part in parts):
                found[name] = list(functions_of(archive.read(name).decode()))
    return found


def runs(code: str) -> set[tuple[str, ...]]:
    """List all runs of eight words; signs between words do not count."""
    words = _WORD.findall(code)
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def split(files: dict[str, list[str]], seed: int = 0) -> dict[str, list[str]]:
    """Keep whole files for validation and for the test, and drop from them what shares a run with another part."""
    once = {code: name for name in reversed(files) for code in reversed(files[name])}
    names = sorted(files)
    random.Random(seed).shuffle(names)
    part_of, counted = {}, 0
    for name in names:
        share = counted / len(once)
        part_of[name] = "validation" if share < SHARE else "test" if share < 2 * SHARE else "train"
        counted += sum(once[code] == name for code in set(files[name]))
    parts: dict[str, list[str]] = {}
    seen: set[tuple[str, ...]] = set()
    for part in ("train", "validation", "test"):
        own = [code for code in reversed(once) if part_of[once[code]] == part]
        parts[part] = [code for code in own if not runs(code) & seen]
        seen |= set().union(*map(runs, parts[part]))
    return parts


def merges(texts: Iterable[str], n: int) -> list[tuple[str, str]]:
    """Learn which pieces are joined; a notebook has no time for it."""
    return list(learn_subwords(texts, n).merges)


def notice(wheels: list[Path]) -> str:
    """Say where the functions come from, and under which licences."""
    text = (
        "The functions in functions.json.xz come from the libraries below, and stay under their licences. They were\n"
        "chosen and changed: docstrings, comments and decorators were taken out, and the code is laid out anew. The\n"
        "authors of the libraries have nothing to do with this package.\n"
    )
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        with zipfile.ZipFile(wheel) as archive:
            (path,) = (n for n in archive.namelist() if re.search(r"dist-info/licenses/[^/]+$", n))
            licence = archive.read(path).decode()
        # What comes behind the line is about libraries that a wheel bundles, and of which nothing is taken.
        text += f"\n{name.replace('_', '-')} {version}\n\n{licence.split(chr(10) + '----' + chr(10))[0].strip()}\n"
    return text


def main(wheels: list[Path], out: Path = OUT) -> None:
    """Write the functions and the licences."""
    files: dict[str, list[str]] = {}
    for wheel in wheels:
        files |= functions_by_file(wheel)
    parts: dict[str, list[object]] = {**split(files)}
    found = parts | {"merges": merges(parts["train"], N_MERGES)}
    out.write_bytes(lzma.compress(json.dumps(found).encode(), preset=9))
    out.with_name("functions.LICENSE").write_text(notice(wheels), encoding="utf-8")
    print(", ".join(f"{len(texts)} {part}" for part, texts in found.items()))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
