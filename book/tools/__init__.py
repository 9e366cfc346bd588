"""What makes the book: each module is run as `python -m book.tools.NAME`."""

import sys
from types import TracebackType

# A pipe or a file may lack a letter of what is printed, which is no reason to stop.
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line that someone pressed Ctrl-C, and what that left; everything else is a fault."""
    if issubclass(kind, KeyboardInterrupt):
        left = f"; {error}" if error.args else ""
        print(f"\nminattn: interrupted{left}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = say
