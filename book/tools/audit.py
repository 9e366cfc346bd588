"""Measure every page of the built book against the bars it promises to keep.

    python -m book.tools.audit [PAGE ...]      a table; exit status 1 if a hard bar is missed

Hard: bytes and requests of the first view, layout shift, what axe finds in both themes, and
Lighthouse's scores for accessibility and best practices. Reported only, for three pages: when the
largest part is painted and how long scripts block, on a processor slowed down four times.
Lighthouse comes from npm, into _build/audit; it needs node, and nothing else of the book does. It
goes through the pages in a browser of its own (lighthouse.mjs), while this one looks at them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page

from book.tools.alone import alone
from book.tools.browsing import (
    ARGUMENTS,
    CHROMIUM,
    DESK,
    FORMULAS_SET,
    MISSING,
    PHONE,
    ROOT,
    SITE,
    chromium,
    open_live,
    pages,
    served,
    sizes,
    violations,
)

FIRST_VIEW = 400_000  # bytes, text gzipped
REQUESTS = 30
SHIFT = 0.05
SCORE = 95

LIGHTHOUSE = "lighthouse@12.8.2"
DRIVER = Path(__file__).with_name("lighthouse.mjs")
UNKNOWN: tuple[dict[str, int], list[str]] = {}, ["see _build/audit/lighthouse.log"]
CATEGORIES = ("accessibility", "best-practices")
NO_NODE = (
    "minattn: the audit runs Lighthouse, which needs node and npm; install them (Debian: "
    "apt-get install nodejs npm). Everything else of the book does without."
)

SLOWDOWN, RUNS = 4, 3
TRANSLATORS = ("notebooks/02_soft_attention.html", "notebooks/06_transformer.html")
TIMED = ("book/index.html", "notebooks/03_queries_keys_values.html", "book/api.html")

Scores = dict[str, tuple[dict[str, int], list[str]]]

# Before anything else in the page. What the reader causes is not counted as a shift.
OBSERVE = """
window.seen = {shift: 0, painted: 0, blocked: 0};
const observe = (type, note) => new PerformanceObserver(list => list.getEntries().forEach(note))
    .observe({type, buffered: true});
observe('layout-shift', entry => { if (!entry.hadRecentInput) seen.shift += entry.value });
observe('largest-contentful-paint', entry => { seen.painted = entry.startTime });
observe('longtask', entry => { seen.blocked += entry.duration - 50 });
"""

FIRST_WEIGHTS = """async () => {
    const start = performance.now(), place = document.querySelector('.live[data-live=translator]');
    const drawn = new Promise(done => new MutationObserver((_, watcher) => {
        if (place.querySelector('.links > *')) { watcher.disconnect(); done(); }
    }).observe(place, {subtree: true, childList: true}));
    place.querySelector('.live-invite').click();
    await drawn;
    await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""


@dataclass
class Measured:
    """What was measured of one page."""

    page: str
    weight: int
    requests: int
    shift: float
    violations: dict[str, list[str]]
    scores: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)  # of Lighthouse, where a score is not full

    def missed(self) -> list[str]:
        """The hard bars that this page misses, in words."""
        said = []
        if self.weight > FIRST_VIEW:
            said.append(f"{self.weight} bytes in the first view, at most {FIRST_VIEW}")
        if self.requests > REQUESTS:
            said.append(f"{self.requests} requests, at most {REQUESTS}")
        if self.shift > SHIFT:
            said.append(f"layout shift {self.shift:.3f}, at most {SHIFT}")
        for time, found in self.violations.items():
            said += [f"axe, by {time}: {rule}" for rule in found]
        for category in CATEGORIES:
            score = self.scores.get(category, 0)
            if score < SCORE:
                why = "; ".join(self.remarks) or "no more is known"
                said.append(f"Lighthouse, {category} {score}, at least {SCORE}: {why}")
        return said


def settled(page: Page, address: str) -> None:
    page.goto(address, wait_until="networkidle")
    page.evaluate(FORMULAS_SET)


def look(browser: Browser, address: str, name: str) -> Measured:
    """Open a page on a desk and on a phone; the heavier and the more restless of both counts."""
    weight = requests = 0
    shift = 0.0
    found: dict[str, list[str]] = {}
    for size in (PHONE, DESK):
        context = browser.new_context(viewport=size, color_scheme="light", reduced_motion="reduce")
        context.add_init_script(OBSERVE)
        page, answers = context.new_page(), []
        page.on("response", lambda answer, answers=answers: answers.append(answer))
        settled(page, f"{address}/{name}")
        page.wait_for_timeout(200)  # a shift is told after the frame it happened in
        weight = max(weight, sum(sizes(answers).values()))
        requests = max(requests, len(answers))
        shift = max(shift, page.evaluate("seen.shift"))
        if size is DESK:  # axe looks at both sizes from here
            open_live(page)
            found = violations(page)
        context.close()
    return Measured(name, weight, requests, shift, found)


def clocked(browser: Browser, address: str, name: str) -> tuple[float, float]:
    """Milliseconds to the largest paint and of blocking, each the median of some runs."""
    painted, blocked = [], []
    for _ in range(RUNS):
        context = browser.new_context(viewport=PHONE)
        context.add_init_script(OBSERVE)
        page = context.new_page()
        slow = context.new_cdp_session(page)
        slow.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        settled(page, f"{address}/{name}")
        page.wait_for_function("seen.painted > 0")
        painted.append(page.evaluate("seen.painted"))
        blocked.append(page.evaluate("seen.blocked"))
        context.close()
    return statistics.median(painted), statistics.median(blocked)


def to_first_weights(browser: Browser, address: str, name: str) -> float:
    """Milliseconds from the click on a live translator to the first lines it draws, median of some runs."""
    waited = []
    for _ in range(RUNS):
        context = browser.new_context(viewport=PHONE)
        page = context.new_page()
        slow = context.new_cdp_session(page)
        settled(page, f"{address}/{name}")
        slow.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        waited.append(page.evaluate(FIRST_WEIGHTS))
        context.close()
    return statistics.median(waited)


def install_lighthouse(folder: Path) -> None:
    """Let npm fetch Lighthouse on the first call."""
    if not (folder / "node_modules" / ".bin" / "lighthouse").exists():
        print("Installing Lighthouse into _build/audit: less than a minute.", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix"]
        subprocess.run([*command, str(folder), LIGHTHOUSE], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def lighthouse(folder: Path, addresses: list[str]) -> Iterator[Callable[[], Scores]]:
    """Let Lighthouse go through the pages beside what is done here; give what waits for its scores.

    One process and one browser for all pages: to start both takes longer than to look at a page.
    """
    flags = ["--headless=new", *ARGUMENTS]
    lists = [",".join(entries) for entries in (CATEGORIES, addresses, flags)]
    with (folder / "lighthouse.log").open("w", encoding="utf-8") as log:
        running = subprocess.Popen(
            ["node", str(DRIVER), str(folder.resolve()), *lists],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"CHROME_PATH": str(CHROMIUM)},
        )
    try:
        yield lambda: read_scores(running.communicate()[0])
    finally:
        running.send_signal(signal.SIGINT)  # upon which it ends its browser too
        running.wait()


def read_scores(lines: str) -> Scores:
    """The scores of each page by category and what Lighthouse holds against it, by address."""
    pages_seen = map(json.loads, lines.splitlines())
    return {address: (scores, remarks) for address, scores, remarks in pages_seen}


def table(rows: Iterable[Measured]) -> list[str]:
    head = f"{'page':42} {'KB':>5} {'requests':>8} {'shift':>6} {'axe':>4} {'a11y':>5} {'practices':>9}"
    bars = (
        f"{'bar':42} {FIRST_VIEW / 1000:5.0f} {REQUESTS:8} {SHIFT:6.3f} {0:4} {SCORE:5} {SCORE:9}"
    )
    lines = [head, bars]
    for row in rows:
        scores = [row.scores.get(category, 0) for category in CATEGORIES]
        axe = sum(map(len, row.violations.values()))
        lines.append(
            f"{row.page:42} {row.weight / 1000:5.0f} {row.requests:8} {row.shift:6.3f} {axe:4} "
            f"{scores[0]:5} {scores[1]:9}{'   missed' if row.missed() else ''}"
        )
    return lines


def main(names: list[str], root: Path = ROOT) -> int:
    if not CHROMIUM:
        print(f"minattn: {MISSING}; the audit needs it", file=sys.stderr)
        return 1
    if not (shutil.which("node") and shutil.which("npm")):
        print(NO_NODE, file=sys.stderr)
        return 1
    with alone("book", root):
        return look_at_all(names or pages(), root / "_build" / "audit")


def look_at_all(names: list[str], folder: Path) -> int:
    install_lighthouse(folder)
    print(f"Looking at {len(names)} pages: some minutes.", flush=True)
    with chromium() as browser, served(SITE) as address:
        with lighthouse(folder, [f"{address}/{name}" for name in names]) as scores:
            rows = []
            for name in names:
                print(f"  {name}", flush=True)
                rows.append(look(browser, address, name))
            print("  what Lighthouse says of them", flush=True)
            found = scores()
            for row in rows:
                row.scores, row.remarks = found.get(f"{address}/{row.page}", UNKNOWN)
        # Alone and one after the other, so that no page is slowed down by the measuring of another.
        times = {name: clocked(browser, address, name) for name in TIMED if name in names}
        waits = {
            name: to_first_weights(browser, address, name) for name in TRANSLATORS if name in names
        }

    print("\n".join(table(rows)))
    if times:
        print(f"\nNot a bar: on a processor {SLOWDOWN} times slower, median of {RUNS}")
    for name, (painted, blocked) in times.items():
        print(f"{name:42} largest paint {painted:5.0f} ms, blocked {blocked:5.0f} ms")
    for name, wait in waits.items():
        print(f"{name:42} {wait:5.0f} ms from the click to the first weights")
    missed = [f"{row.page}: {said}" for row in rows for said in row.missed()]
    if missed:
        print("\n" + "\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
