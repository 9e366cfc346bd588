"""What is asked for on a command line: a wrong word gets one line that says the rule and what there is."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; a rule of ours says by itself what it is about."""

    def error(self, message: str) -> NoReturn:
        print("minattn: " + re.sub(r"^argument \S+: (?=.* must be )", "", message), file=sys.stderr)
        sys.exit(2)


def whole(what: str, least: int, most: int) -> Callable[[str], int]:
    """Read a whole number between two others."""

    def read(text: str) -> int:
        # More digits than the limit has would only be a long way to say no.
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not digits or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{what} must be a whole number from {least} to {most}, got {text!r}"
            )
        return int(text)

    return read


def one_of(what: str, known: Collection[str]) -> Callable[[str], str]:
    """Read a name among those that there are."""

    def read(text: str) -> str:
        if text not in known:
            there = "; ".join(known) or "there is none yet"
            raise argparse.ArgumentTypeError(f"{what} must be one of: {there}; got {text!r}")
        return text

    return read
