"""Do one thing at a time: of two makes at work in one folder, the second waits for the first.

python -m book.tools.alone WHAT -- COMMAND ...
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def take(file: IO[str]) -> None:
        file.seek(1000)  # behind the number of the holder, which others read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def take(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


ROOT = Path(__file__).resolve().parents[2]
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
PAUSE = 0.1  # seconds between two tries


@contextmanager
def alone(what: str, root: Path) -> Iterator[None]:
    """Hold a lock while something is made, and say so if that means to wait.

    The system frees a lock when its holder ends, however it ends.

    Args:
        what: what is made, in a word: each has a lock of its own, _build/WHAT.lock.
        root: the project.
    """
    path = root / "_build" / f"{what}.lock"
    said = False
    while (file := locked(path)) is None:
        if not said:
            print(f"minattn: another make is at work here{holder(path)}; waiting", flush=True)
            said = True
        time.sleep(PAUSE)
    with file:
        yield


def locked(path: Path) -> IO[str] | None:
    """The lock, which holds as long as the file is open; None if another process has it."""
    path.parent.resolve().mkdir(exist_ok=True)  # it may be a link to what is gone
    file = path.open("a+", encoding="utf-8")
    try:
        take(file)
    except OSError as error:
        if error.errno in TAKEN:
            file.close()
            return None
        # Some file systems know no locks: there it has to go without.
    try:
        same = os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        same = False
    if not same:  # `make clean` removed it a moment ago, so others may hold another one
        file.close()
        return None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def holder(path: Path) -> str:
    try:
        number = path.read_text("utf-8").strip()
    except OSError:
        number = ""
    return f" (pid {number})" if number else ""


def main(arguments: list[str]) -> int:
    what, _, *command = arguments
    with alone(what, ROOT):
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
