"""Show things in a notebook, in a terminal, and in neither: the one place that prints."""

import inspect
import sys
from collections.abc import Iterable, Sequence
from typing import Any

# How signs of the book are written where an output knows none of them.
_PLAIN = str.maketrans({"✓": "ok:", "–": "-", "−": "-", "×": "x", "→": "->", "…": "..."})


def _shell() -> Any:
    """Return the running IPython shell, or None; IPython is never imported for the sake of asking."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def is_watched() -> bool:
    """Tell whether a person looks at the notebook: Lab allows input, the programs that run notebooks do not."""
    shell = _shell()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return bool(parent and parent.get("content", {}).get("allow_stdin"))


def _write(text: str, end: str = "\n", stream: Any = None) -> None:
    """Print a text, in plainer letters where the output cannot take all of them.

    A pipe or a file may be in ASCII or in a code page of Windows: a sign that it lacks is no reason to stop a run.

    >>> import io
    >>> ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> _write("✓ seven is prime; déjà vu", end="", stream=ascii_only)
    >>> ascii_only.buffer.getvalue()
    b'ok: seven is prime; d?j? vu'
    """
    try:
        print(text, end=end, file=stream, flush=True)
    except UnicodeEncodeError as error:  # nothing was written
        known = text.translate(_PLAIN).encode(error.encoding, "replace")
        print(known.decode(error.encoding), end=end, file=stream, flush=True)


def show(text: str, html: str | None = None, metadata: dict[str, Any] | None = None) -> None:
    """Show a text, in a notebook as HTML where given.

    Args:
        text: what a terminal shows, and what a notebook keeps beside the HTML.
        html: what a notebook shows.
        metadata: kept in the notebook beside the output and shown nowhere.
    """
    if _shell() is None:
        _write(text)
        return
    from IPython.display import display

    data = {"text/plain": text} | ({"text/html": html} if html else {})
    display(data, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table, whose cells may be Markdown; the first column is aligned to the left, as are all others.

    Args:
        head: a name for each column.
        rows: of as many cells.

    Raises:
        ValueError: if a row has another number of cells, or a column has no name.
    """
    lines = [list(head), *map(list, rows)]
    if not all(lines[0]):
        raise ValueError(f"every column must have a name, got {lines[0]}")
    if any(len(line) != len(lines[0]) for line in lines):
        raise ValueError(f"rows must have {len(lines[0])} cells, got {[len(x) for x in lines[1:]]}")
    lines.insert(1, [":--"] * len(lines[0]))
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if _shell() is None:
        _write(text)
        return
    from IPython.display import display

    display({"text/plain": text, "text/markdown": text}, raw=True)  # type: ignore[no-untyped-call]


def show_source(thing: Any) -> None:
    """Show the source code of a function or class of the package, so that text and package cannot drift.

    Args:
        thing: a function, class or module. Its docstring is left out: the API page has it.
    """
    show_code(without_docstring(thing))


def show_code(source: str) -> None:
    """Show Python code, in a notebook in colours."""
    if _shell() is None:
        _write(source)
        return
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(source, PythonLexer(), HtmlFormatter(cssclass="highlight"))
    show(source, html=f'<div class="package-source">{code}</div>')


def without_docstring(thing: Any) -> str:
    """Return the source of a thing without its own docstring; those of its methods go as well."""
    import ast

    source = inspect.getsource(thing)
    lines = source.splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    tree = ast.parse("\n".join(line[indent:] for line in lines))
    drop: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(
            node
        ):
            doc = node.body[0]
            drop.update(range(doc.lineno, (doc.end_lineno or doc.lineno) + 1))
            if len(node.body) == 1:  # an abstract method has nothing but its docstring
                lines[doc.lineno - 1] = " " * (indent + doc.col_offset) + "..."
                drop.remove(doc.lineno)
            after = (doc.end_lineno or doc.lineno) + 1
            if (
                isinstance(node, ast.ClassDef)
                and after <= len(lines)
                and not lines[after - 1].strip()
            ):
                drop.add(after)
    return "\n".join(line[indent:] for number, line in enumerate(lines, 1) if number not in drop)


class Progress:
    """One line that changes while something runs and stays when it is done.

    In a notebook that a person watches, and in a terminal, the line is live. Where nobody watches, only the
    last line is written, so that stored outputs are the same every time.
    """

    def __init__(self, live: bool = True) -> None:
        shell = _shell()
        self._handle: Any = None
        self._terminal = live and shell is None and sys.stderr.isatty()
        self._notebook = live and is_watched()

    def update(self, text: str) -> None:
        """Replace the line, where somebody is watching."""
        if self._terminal:
            _write(f"\r\x1b[K{text}", end="", stream=sys.stderr)
        elif self._notebook:
            if self._handle is None:
                from IPython.display import display

                self._handle = display(  # type: ignore[no-untyped-call]
                    {"text/plain": text}, raw=True, display_id=True
                )
            else:
                self._handle.update({"text/plain": text}, raw=True)

    def done(self, text: str) -> None:
        """Write the line that stays."""
        if self._terminal:
            _write("\r\x1b[K", end="", stream=sys.stderr)
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        else:
            show(text)
