"""Train an experiment's arms again, to the end, and compare with the stored results.

    python -m book.tools.prove NAME [--arm ARM ...] [--seeds N]

A fingerprint sees the first few steps of an arm; this sees all of them, and takes as long as the experiment
itself. On the processor that stored the results every number is the same to the last digit. On another one
the last digits of a sum differ, training magnifies that, and the run is one more seed: it may leave the
range of the stored seeds by that range again.
"""

import sys
from typing import Any

import torch

from book.experiments.fingerprint import load_experiment, numbers
from book.experiments.running import RESULTS
from book.tools.asking import Parser, one_of, whole
from minattn.claims import Results, results

LEAST_ROOM = 0.02
"""Five seeds that agree by chance are no proof that a sixth one must."""


def compare(stored: Results, arm: str, place: int, again: dict[str, Any]) -> tuple[bool, list[str]]:
    """Compare a run with the stored one of the same seed.

    Returns:
        Whether all numbers are the same, and those that lie outside of the stored spread, in words.
    """
    runs = [numbers(run) for run in stored.runs(arm)]
    found = numbers(again)
    equal = all(found.get(name) == value for name, value in runs[place].items() if name != "seed")
    outside = []
    for name, value in found.items():
        values = [run[name] for run in runs if name in run]
        if not values:
            outside.append(f"{name} is new")
            continue
        room = max(values) - min(values) + LEAST_ROOM
        if not min(values) - room <= value <= max(values) + room and value == value:
            outside.append(f"{name} {value:.4g} (stored {min(values):.4g} to {max(values):.4g})")
    return equal, outside


def main(arguments: list[str] | None = None) -> int:
    """Prove one experiment."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    known = sorted(path.stem for path in RESULTS.glob("*.json"))
    read = one_of("the experiment to prove", known)
    # Nothing is no name, and gets the same answer.
    parser.add_argument("name", nargs="?", default="", type=read, help=", ".join(known))
    parser.add_argument("--arm", action="append", help="only this arm; may be given several times")
    seeds = whole("the number of seeds", 1, 99)
    parser.add_argument("--seeds", type=seeds, help="only the first so many seeds")
    options = parser.parse_args(arguments)
    script, stored = load_experiment(options.name), results(options.name, RESULTS)
    for arm in options.arm or ():
        if arm not in stored.arms:
            there = "; ".join(stored.arms)
            parser.error(f"an arm of {options.name} must be one of: {there}; got {arm!r}")
    torch.set_num_threads(1)
    counts = {"the same": 0, "within the stored spread": 0, "outside of it": 0}
    for arm in options.arm or stored.arms:
        for place, seed in enumerate(stored.seeds[: options.seeds]):
            again = script.run(seed=seed, **script.ARMS[arm])
            equal, outside = compare(stored, arm, place, again)
            verdict = list(counts)[0 if equal else 2 if outside else 1]
            counts[verdict] += 1
            print(f"{arm} | seed {seed} | {'; '.join([verdict, *outside])}", flush=True)
    print(f"{options.name}: " + ", ".join(f"{n} runs {what}" for what, n in counts.items()))
    return 1 if counts["outside of it"] else 0


if __name__ == "__main__":
    sys.exit(main())
