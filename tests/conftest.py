"""Settings of every test: the same examples everywhere, one thread, no window."""

from itertools import combinations
from pathlib import Path

import hypothesis
import matplotlib
import pytest
import torch

ROOT = Path(__file__).parents[1]

matplotlib.use("Agg")
torch.set_num_threads(1)

# Derandomised: a law that breaks for somebody breaks for everybody.
hypothesis.settings.register_profile(
    "book", deadline=None, derandomize=True, max_examples=40, database=None
)
hypothesis.settings.load_profile("book")


def pytest_collection_modifyitems(config, items):
    """Sort the cases of a run: what is tried with whom, which pass it belongs to, and what comes first."""
    chosen = set(map(id, covering(items)))
    left_out = [item for item in items if id(item) not in chosen]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if id(item) in chosen]
    for item in items:
        if is_plain(item):
            item.add_marker("plain")
    # Long tests come first, so that no worker is left alone with one at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def is_plain(item):
    """Tell whether a test runs without shapes checked at run time.

    Only the package has shapes. The checker speaks before the package rejects, and makes long trainings longer.
    """
    shaped = item.path.is_relative_to(ROOT / "tests/package") or item.path.is_relative_to(
        ROOT / "minattn"
    )
    marks = {mark.name for mark in item.iter_markers()}
    return (
        not shaped
        or bool(marks & {"rejects", "slow"})
        or "unchecked" in getattr(item, "fixturenames", ())
    )


def covering(items):
    """Leave out cases of a test marked pairwise: every pair of values of two parameters stays in one.

    A fault nearly always takes one value or two; all combinations of five parameters take an hour to say no more.
    """
    groups = {}
    for item in items:
        if item.get_closest_marker("pairwise"):
            groups.setdefault(item.function, []).append(item)
        else:
            yield item
    for group in groups.values():
        # A value is known by its identity: not all can be compared, and a mark holds each of them once.
        values = {
            id(item): [(name, id(value)) for name, value in item.callspec.params.items()]
            for item in group
        }
        pairs = {item: set(combinations(found, 2)) for item, found in values.items()}
        missing = set().union(*pairs.values())
        while missing:
            best = max(group, key=lambda item: len(pairs[id(item)] & missing))
            missing -= pairs[id(best)]
            yield best


@pytest.fixture
def unchecked(request):
    """Leave a test out where types are checked at run time.

    The checker speaks before the package does, and draws global random numbers of its own.
    """
    if request.config.getoption("--jaxtyping-packages", default=None):
        pytest.skip("the run-time checker gets in the way of this one")


@pytest.fixture
def notebook():
    """Run a test inside a notebook's shell; what the cell shows is in `notebook.outputs`."""
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.display_pub = CapturingDisplayPublisher(parent=shell)
    shell.outputs = shell.display_pub.outputs
    yield shell
    InteractiveShell.clear_instance()
