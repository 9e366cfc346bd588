"""What makes the book: each module is run as `python -m book.tools.NAME`."""

import errno
import sys
from types import TracebackType

# A pipe or a file may lack a letter of what is printed, which is no reason to stop.
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


# What the machine does not let anybody do, such as to write into a folder that root has made.
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line what is no fault: Ctrl-C, and what that left, or that the machine refused."""
    if issubclass(kind, KeyboardInterrupt):
        left = f"; {error}" if error.args else ""
        print(f"\nminattn: interrupted{left}", file=sys.stderr)
    elif isinstance(error, OSError) and error.errno in REFUSED:
        where = f": {error.filename}" if error.filename else ""
        print(f"minattn: {error.strerror}{where}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = say
