"""Live places without the book around them, for the tests of what they show: their pages, engines and weights."""

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from playwright.sync_api import Browser, Page

from book.tools.browsing import DESK, ROOT, watch
from minattn import live_export

STATIC = ROOT / "book" / "_static"
LIVE = STATIC / "live"
Model = TypeVar("Model", bound=torch.nn.Module)

BOX = """* { box-sizing: border-box }
body { margin: 0 auto; padding: 0 1rem; max-width: 52rem; background: var(--paper); color: var(--ink) }"""


def kinds() -> list[str]:
    """Say of which kinds live places are, as minattn.js has them."""
    script = (ROOT / "book" / "_static" / "minattn.js").read_text("utf-8")
    return re.findall(r"^  (\w+): {\n    invite:", script, re.MULTILINE)


def engine_of(kind: str) -> tuple[str, ...]:
    """Say which files of book/_static/live a kind of place needs before its own, in order, as minattn.js has it."""
    script = (ROOT / "book" / "_static" / "minattn.js").read_text("utf-8")
    table = re.search(rf"^  {kind}: {{\n[^}}]*needs: \[([^]]*)\]", script, re.MULTILINE)
    assert table, f"minattn.js names no files for {kind}"
    return ("elements.js", *re.findall(r'"([\w.]+\.js)"', table[1]))  # sheets may stand among them


def live_page(title: str, sheets: Iterable[str], places: str, scripts: Iterable[str]) -> str:
    """Write the page; sheets and scripts are addresses, places is what stands under the heading."""
    styles = "".join(f'<link rel="stylesheet" href="{sheet}">' for sheet in sheets)
    code = "".join(f'<script src="{script}"></script>' for script in scripts)
    return (
        '<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>{styles}<style>{BOX}</style></head>"
        f"<body><main class='bd-article'><h1>{title}</h1>{places}</main>{code}</body></html>"
    )


@contextmanager
def engine_page(browser: Browser, folder: Path, files: Iterable[str]) -> Iterator[Page]:
    """Open an empty page, as a file, with these files of the engine."""
    blank = folder / "blank.html"
    blank.write_text("<!DOCTYPE html><meta charset='utf-8'><title>blank</title>", "utf-8")
    page = browser.new_page()
    page.goto(blank.as_uri())
    for name in files:
        page.add_script_tag(url=(LIVE / name).as_uri())
    yield page
    page.close()


@contextmanager
def place_pages(browser: Browser, folder: Path, title: str) -> Iterator[Callable[..., Page]]:
    """Open pages with a place that minattn.js opens after a click; what goes wrong in them fails at the end.

    What is given takes the place, the size of the window, what the address asks, and what a context is made with.
    """
    faults: list[str] = []
    contexts = []

    def start(place: str, size: dict = DESK, asked: str = "", **how: Any) -> Page:
        file = folder / "place.html"
        sheet, script = ((STATIC / name).as_uri() for name in ("minattn.css", "minattn.js"))
        file.write_text(live_page(title, [sheet], place, [script]), encoding="utf-8")
        context = browser.new_context(viewport=size, **how)
        contexts.append(context)
        page = watch(context, faults, "file://")
        page.goto(file.as_uri() + asked)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def read_script(path: Path) -> dict[str, Any]:
    """Read what a script file sets, which is JSON but for the assignment."""
    text = path.read_text("utf-8")
    return json.loads(text[text.index("= {") + 2 : text.rindex(";")])


def stored(name: str) -> dict[str, Any]:
    """Read a file of weights."""
    return read_script(LIVE / "weights" / f"{name}.js")


def tensors(entry: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Unpack the weights that stand in a file."""
    buffer = base64.b64decode(entry["data"], validate=True)
    numbers = np.frombuffer(buffer, live_export.DTYPES[entry["dtype"]]).astype("f4")
    return {
        name: torch.from_numpy(numbers[start : start + math.prod(shape)].reshape(shape).copy())
        for name, (start, shape) in entry["table"].items()
    }


def with_stored(name: str, model: Model) -> Model:
    """Put the weights of a file into a model of the package."""
    model.load_state_dict(tensors(stored(name)))
    return model.eval().requires_grad_(False)
