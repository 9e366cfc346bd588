"""The error messages of the package, for the search: a reader pastes one, and wants to know whose it is."""

import ast
from collections.abc import Iterator
from pathlib import Path


def messages(root: Path) -> Iterator[tuple[str, str]]:
    """Every error message of the package, with gaps, and the address of the name in whose code it stands."""
    for path in sorted((root / "minattn").rglob("[!.]*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if "exercises" not in path.parts:
            yield from messages_in(ast.parse(path.read_text("utf-8")), module)


def messages_in(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}"
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
            for argument in child.exc.args[:1]:
                if text := said(argument):
                    yield name, text
        yield from messages_in(child, inner)


def said(argument: ast.expr) -> str:
    """The words of a message, with … for each value in it; nothing if it is made elsewhere."""
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    words = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
    return "" if words == ["…"] else " ".join("".join(map(str, words)).split())
