"""Write what the benchmarks measured as a page, book/benchmarks.md, with its figures.

    python -m book.tools.benchmarks_page            write it
    python -m book.tools.benchmarks_page --check    fail if it is out of date

The numbers come from benchmarks/results/*.json. Only ratios are shown: seconds are of one machine.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import PARTS
from book.tools.pages import spread, text, write_page
from book.tools.pages import table as pages_table

ROOT = Path(__file__).resolve().parents[2]
EARLY, FIRST = 1000, 600  # steps after which the changes to the two recipes are looked at
FIGURE = "_static/benchmarks/attention.svg"

Case = dict[str, Any]

ALT = (
    "Two panels, forward and forward with backward, against lengths from 128 to 4,096. fused_attend stays at 1, "
    "blockwise_attend close to it; a table of all weights begins near 1 and rises to {highest}."
)


def load(root: Path) -> dict[str, dict[str, Any]]:
    folder = root / "benchmarks" / "results"
    return {part: json.loads((folder / f"{part}.json").read_text("utf-8")) for part in PARTS}


table = partial(pages_table, others=":--")


def ratio(case: Case, contestant: str, interval: bool = True) -> str:
    """The median of a contestant's ratio, and the interval if it says anything."""
    if contestant not in case["ratios"]:
        return "–"
    found = case["ratios"][contestant]
    return spread(found) if interval else f"{found[1]:.2f}"


def contestants(cases: Iterable[Case]) -> list[str]:
    """All but the references, in the order in which they come."""
    return list(dict.fromkeys(name for case in cases for name in case["ratios"]))


def where(cases: Iterable[Case], **settings: Any) -> list[Case]:
    return [case for case in cases if settings.items() <= case["settings"].items()]


def grid(cases: list[Case], rows: list[str], column: str, interval: bool = True) -> str:
    """A row for each contestant under each of some settings, a column for each value of one more."""
    values = list(dict.fromkeys(case["settings"][column] for case in cases))
    names = contestants(cases)
    lines = []
    for setting in dict.fromkeys(tuple(case["settings"][row] for row in rows) for case in cases):
        found = where(cases, **dict(zip(rows, setting, strict=True)))
        for name in names:
            own = [name] if len(names) > 1 else []
            lines.append([*map(say, setting), *own, *(ratio(c, name, interval) for c in found)])
    own = ["form"] if len(names) > 1 else []
    return table([*rows, *own, *map(say, values)], lines)


def by_contestant(cases: list[Case], rows: list[str]) -> str:
    """A row for each case, a column for each contestant."""
    names = contestants(cases)
    lines = [
        [*(say(case["settings"][row]) for row in rows), *(ratio(case, name) for name in names)]
        for case in cases
    ]
    return table([*rows, *names], lines)


def say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def goals(parts: dict[str, dict[str, Any]]) -> str:
    """Every bar that was set: how often it was met, and how far it was missed at worst."""
    found: dict[tuple[str, str, str], list[tuple[float, bool]]] = {}
    for part, stored in parts.items():
        for case in stored["cases"]:
            for goal in case["goals"]:
                least, most = goal["at_least"], goal["at_most"]
                middle = case["ratios"][goal["contestant"]][1]
                bar = f"at most {most}" if least is None else f"at least {least}"
                met = middle <= most if least is None else middle >= least
                name = ", ".join(filter(None, [part, case["settings"].get("pass")]))
                key = (name, f"{goal['contestant']} against {case['reference']}", bar)
                found.setdefault(key, []).append((middle, met))
    lines = []
    for (part, what, bar), measured in found.items():
        middles = [middle for middle, _ in measured]
        met = sum(met for _, met in measured)
        lines.append([part, what, bar, spread(middles), f"{met} of {len(measured)}"])
    return table(["part", "ratio of", "bar", "median (range)", "met"], lines)


def attention_tables(cases: list[Case]) -> str:
    time, rows = where(cases, measured="time"), ["causal", "padding"]
    return "\n\n".join(
        f"*{kind.capitalize()}, by length.*\n\n"
        + grid(where(time, **{"pass": kind}), rows, "length", False)
        for kind in dict.fromkeys(case["settings"]["pass"] for case in time)
    )


def memory_table(cases: list[Case]) -> str:
    found = where(cases, measured="memory")
    lines = []
    for name in found[0]["more"]:
        sizes = [case["more"].get(name, {}).get("bytes") for case in found]
        lines.append([name, *("–" if size is None else f"{size / 2**20:,.0f}" for size in sizes)])
    return table(["MiB at length", *(say(case["settings"]["length"]) for case in found)], lines)


def steps_table(cases: list[Case]) -> str:
    """Steps to 99 %, what a step takes, and the product."""
    whole = where(cases, what="seconds to 99 %")[0]
    single = where(cases, what="one step of training", threads=whole["settings"]["threads"])[0]
    lines = []
    for name in [whole["reference"], *whole["ratios"]]:
        found = whole["more"][name]
        steps = (
            f"more than {say(found['steps'])}" if found.get("more than") else say(found["steps"])
        )
        own = name == whole["reference"]
        lines.append(
            [name, steps, *("1" if own else ratio(case, name) for case in (single, whole))]
        )
    return table(["trained with", "steps to 99 %", "time of a step", "time to 99 %"], lines)


def changes_table(case: Case) -> str:
    """What one change to a step costs, as predicted and as measured."""
    lines = [
        [name, case["more"][name]["predicted"], ratio(case, name), case["more"][name]["because"]]
        for name in case["ratios"]
    ]
    return table(["change", "predicted", "measured", "why it was predicted"], lines)


def accuracies_table(case: Case) -> str:
    """What one change does to the accuracy after so many steps."""
    base = statistics.median(case["more"][case["reference"]]["accuracy"])
    lines = []
    for name, found in case["more"].items():
        middle = statistics.median(found["accuracy"])
        change = "" if name == case["reference"] else f"{middle - base:+.3f}"
        seeds = f"{spread(found['accuracy'], 3)}, {len(found['accuracy'])}"
        lines.append([name, found.get("predicted", ""), change, seeds])
    return table(["change", "predicted", "measured", "right (range), seeds"], lines)


def chapters_measured(cases: list[Case]) -> Case:
    """The case of the chapters; how many they were, its settings say."""
    return next(case for case in cases if case["settings"]["measured"].startswith("chapters"))


def course_table(cases: list[Case]) -> str:
    chapters = chapters_measured(cases)
    parts = sorted(chapters["more"].items(), key=lambda item: -item[1]["seconds"])
    total = sum(part["seconds"] for _, part in parts)
    lines = [
        [
            f"[{name}](../notebooks/{name}.ipynb)",
            f"{part['seconds'] / total:.2f}",
            f"{part['bytes'] / 2**20:,.0f}",
        ]
        for name, part in parts
    ]
    return table(["chapter", "share of the time", "peak memory, MiB"], lines)


def suite_table(cases: list[Case]) -> str:
    parts = where(cases, measured="make test")[0]["more"]
    total = sum(part["seconds"] for part in parts.values())
    lines = [[f"`make {name}`", f"{part['seconds'] / total:.2f}"] for name, part in parts.items()]
    return table(["part", "share of the time"], lines)


def shown(cases: list[Case]) -> list[Case]:
    """What the figure shows."""
    return where(cases, measured="time", causal=True, padding=False)


def attention_figure(cases: list[Case], path: Path) -> None:
    import matplotlib.pyplot as plt

    from minattn import plots

    plots.use_style()
    plt.rcParams.update({"svg.hashsalt": "minattn", "font.size": 11})
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), sharey=True)
    for ax, kind in zip(axes, ("forward", "forward and backward"), strict=True):
        found = where(shown(cases), **{"pass": kind})
        lengths = [case["settings"]["length"] for case in found]
        for (name, label), dash, marker in zip(
            LABELS.items(), ("-", "--", ":"), "os^", strict=True
        ):
            low, middle, high = zip(*(case["ratios"][name] for case in found), strict=True)
            errors = [
                [m - a for m, a in zip(middle, low, strict=True)],
                [b - m for m, b in zip(middle, high, strict=True)],
            ]
            ax.errorbar(lengths, middle, errors, ls=dash, marker=marker, capsize=2, label=label)
        ax.axhline(1, color="#8b949e", linewidth=0.8)
        ax.set(xscale="log", yscale="log", xlabel="length", title=kind)
        ax.set_xticks(lengths, [str(n) for n in lengths])
        ax.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        ax.minorticks_off()
    axes[0].set_ylabel("time over that of torch's")
    axes[0].legend()
    path.parent.mkdir(exist_ok=True)
    fig.savefig(path, metadata={"Date": None, "Description": mark(cases)})


TRIED = [
    ["blocks: powers of 2 instead of powers of e, for the weights of a block", "0.22", "yes"],
    ["blocks: minus infinity added where not allowed, instead of filled in", "0.02", "yes"],
    ["blocks: one room for the scores of all blocks", "0.92 to 1.00", "yes"],
    ["blocks: the sum as one more column of the values, product and sum", "1.17", "no"],
    ["blocks: torch's softmax for each block, in place of four operations", "1.5", "no"],
    ["blocks: heads copied to lie together", "1.03", "no"],
    ["blocks of 128 or 512 instead of 256", "1.0 to 1.1", "no"],
    ["masks: a causal one cut from ones in place, at length 1,024", "0.04", "yes"],
    ["masks: not spread over the heads, causal and padding at length 512", "0.89", "yes"],
    ["recurrent: keys of additive attention projected once, logits made at once", "0.75", "yes"],
    ["recurrent: one call for the decoder, where the context is one vector", "0.76", "yes"],
    ["recurrent: a padded instead of a packed encoder", "0.96 to 1.00", "no"],
    ["recurrent: gates and their gradient written by hand, batch 32 and 64", "0.90, 1.33", "no"],
    [
        "writing: positions of one token, no mask without padding, 64 and 1,024 tokens",
        "0.95, 0.77",
        "yes",
    ],
    ["writing: shapes that fit already are not spread", "0.90 to 0.97", "yes"],
    ["writing: room for the cache to grow into, greedy and 4 beams", "1.02, 1.13", "no"],
    ["writing: torch's inference mode; what is made in it cannot be trained with", "0.92", "no"],
    ["training: Adam on all weights laid end to end, the same bits; a hundred lines", "0.91", "no"],
    ["training: one projection for queries, keys and values", "1.01", "no"],
    ["training: attention with a table", "1.07", "no"],
    ["training: no mask where a batch has no padding", "1.02", "no"],
    ["training: sinusoids kept, or no check of the ids", "1.00", "no"],
]

LABELS = {
    "minattn": "fused_attend",
    "blockwise": "blockwise_attend",
    "textbook": "a table of all weights",
}


def mark(cases: list[Case]) -> str:
    """Tell the numbers of a figure from others."""
    return hashlib.sha256(json.dumps(cases, sort_keys=True).encode()).hexdigest()[:16]


def render(root: Path) -> str:
    parts = load(root)
    cases = {part: stored["cases"] for part, stored in parts.items()}
    made = parts["attention"]["made"]
    training = cases["training"]
    after = next(case for case in cases["recurrent"] if case["goals"])["ratios"]
    loop, alone = after["loop"][1], after["recurrence alone"][1]
    table_of_all = [case["ratios"].get("textbook", [0])[-1] for case in shown(cases["attention"])]
    changed = where(training, what="one step of training, one change")[0]
    start_up = changed["more"]["torch.compile"]["seconds of start-up"]
    chapters, suite = (
        chapters_measured(cases["course"]),
        where(cases["course"], measured="make test")[0],
    )
    return text("benchmarks").format(
        processor=made["processor"],
        versions=", ".join(f"{name} {version}" for name, version in made["versions"].items()),
        goals=goals(parts),
        figure=FIGURE,
        alt=ALT.format(highest=f"{max(table_of_all):.0f}"),
        attention=attention_tables(cases["attention"]),
        memory=memory_table(cases["attention"]),
        forms_processor=parts["forms"]["made"]["processor"],
        forms=by_contestant(where(cases["forms"], measured="forms"), ["length"]),
        steps_forms=by_contestant(
            where(cases["forms"], measured="a step with a cache"), ["length"]
        ),
        machines_processor=parts["machines"]["made"]["processor"],
        cores=where(cases["machines"], measured="a ring")[0]["settings"]["cores"],
        machine_steps=by_contestant(
            [case for case in cases["machines"] if "step" in case["settings"]["measured"]],
            ["measured"],
        ),
        machine_rings=by_contestant(where(cases["machines"], measured="a ring"), ["length"]),
        layers=grid(cases["layers"], ["size", "mode", "padding", "threads"], "layer"),
        recurrent=by_contestant(cases["recurrent"], ["model", "batch", "threads"]),
        alone=f"{alone:.2f}",
        most=f"{loop / alone:.1f}",
        decoding=by_contestant(cases["decoding"], ["d_model", "batch", "beams", "target"]),
        training=steps_table(training),
        two=ratio(where(training, what="one step of training", threads=2)[0], "nn.Transformer"),
        compile=f"{start_up / where(training, what='seconds to 99 %')[0]['seconds']['minattn']:.0f}",
        import_=ratio(where(cases["course"], measured="import")[0], "minattn"),
        changes=changes_table(changed),
        early=say(EARLY),
        first=say(FIRST),
        from_2017=accuracies_table(training[-2]),
        from_minattn=accuracies_table(training[-1]),
        chapters=chapters["settings"]["measured"].capitalize(),
        arc=f"{chapters['ratios']['minattn'][1]:.2f}",
        suite_share=f"{suite['ratios']['minattn'][1]:.2f}",
        course=course_table(cases["course"]),
        suite=suite_table(cases["course"]),
        tried=table(["what", "time", "kept"], TRIED),
    )


def main(arguments: list[str], root: Path = ROOT) -> int:
    figure, attention = root / "book" / FIGURE, load(root)["attention"]["cases"]
    if not figure.exists() or mark(attention) not in figure.read_text(encoding="utf-8"):
        if "--check" in arguments:
            print(f"book/{FIGURE} is out of date; run make notebooks", file=sys.stderr)
            return 1
        attention_figure(attention, figure)
    return write_page(root / "book" / "benchmarks.md", render(root), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
