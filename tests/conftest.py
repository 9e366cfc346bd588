"""Settings of every test: the same examples everywhere, one thread, no window."""

import importlib
import sys
from pathlib import Path

import hypothesis
import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)

# Derandomised: a law that breaks for somebody breaks for everybody.
hypothesis.settings.register_profile(
    "book", deadline=None, derandomize=True, max_examples=40, database=None
)
hypothesis.settings.load_profile("book")


def pytest_collection_modifyitems(items):
    """Long tests come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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


@pytest.fixture
def import_script(monkeypatch):
    """Import a script as its own folder sees it, ``import_script(folder, name)``; nothing of it stays."""
    root = Path(__file__).parents[1]
    folders = [str(root / "book" / "experiments"), str(root / "benchmarks")]
    before = set(sys.modules)

    def call(folder, name):
        monkeypatch.syspath_prepend(str(folder))
        return importlib.import_module(name)

    yield call
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if any(folder in file for folder in folders):
            del sys.modules[name]
