"""Measure minattn against what one would use instead.

make bench              everything; writes benchmarks/results/*.json and the page of the book
make bench ONLY=name    one part
make bench QUICK=1      a quick look at all but the course, which writes nothing
"""

import importlib

import torch

from benchmarks import PARTS
from benchmarks.harness import FULL, QUICK, THREADS, keep
from book.tools.asking import Parser, one_of


def main(words: list[str] | None = None) -> None:
    """Measure the parts that are asked for."""
    parser = Parser(description="Measure minattn against what one would use instead.")
    parser.add_argument("--only", type=one_of("a part", PARTS), help="one part")
    parser.add_argument("--quick", action="store_true", help="look less hard, and write nothing")
    arguments = parser.parse_args(words)
    effort = QUICK if arguments.quick else FULL
    torch.set_num_threads(THREADS)
    for name in [arguments.only] if arguments.only else PARTS:
        print(f"\n{name}", flush=True)
        keep(name, importlib.import_module(f"benchmarks.{name}").measure(effort), effort)


if __name__ == "__main__":
    main()
