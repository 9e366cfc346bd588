"""Draw the emoji of 32 things by six designers, small.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/emoji.npz; the
licences stand beside it in emoji.LICENSE. To do it again, in an empty folder:

    for set in noto fluent-emoji-flat noto-v1 emojione fxemoji twemoji; do
        mkdir $set && npm pack @iconify-json/$set && tar xzf iconify-json-$set-[0-9]*.tgz -C $set --strip-components=1
    done
    pip install resvg-py
    python -m book.tools.emoji FOLDER

Only this script needs resvg-py, which draws what the sets describe as lines and areas.
"""

import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

from minattn.tasks.emoji import CLASSES, DESIGNERS, SIDE, shares

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "emoji.npz"
FOLDERS = {"fluent": "fluent-emoji-flat", "noto_v1": "noto-v1"}
FREE = {"Apache-2.0", "MIT", "CC-BY-4.0"}
LARGE = 8 * SIDE

NAMES = {
    "apple": ["red-apple"],
    "cat": ["cat-face", "cat"],
    "dog": ["dog-face", "dog"],
    "panda": ["panda-face", "panda"],
    "cow": ["cow-face"],
    "pig": ["pig-face", "pig"],
    "frog": ["frog-face", "frog"],
    "bear": ["bear-face", "bear"],
    "bee": ["honeybee"],
    "car": ["automobile"],
    "heart": ["red-heart"],
    "umbrella": ["umbrella-with-rain-drops"],
    "house": ["house", "house-building"],
}
"""What the sets call a thing, if they do not call it as we do: the first name that a set has is taken."""


def drawing(icons: Mapping[str, Any], name: str) -> str:
    """Return the drawing of a thing in a set, as SVG."""
    known = {key.replace("-", ""): value for key, value in icons["icons"].items()}
    for key, alias in icons.get("aliases", {}).items():
        known.setdefault(key.replace("-", ""), icons["icons"].get(alias["parent"]))
    tried = (candidate.replace("-", "") for candidate in NAMES.get(name, [name]))
    icon = next(known[key] for key in tried if known.get(key))
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{LARGE}" '
        f'height="{LARGE}" viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
    )


def fitted(picture: np.ndarray) -> np.ndarray:
    """Cut away what is empty, scale the longer side to 24 pixels, and centre; colours times alpha.

    Args:
        picture: rows, columns and red, green, blue, alpha, from 0 to 1.
    """
    ink = picture[..., 3] > 1 / 16
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    cut[..., :3] *= cut[..., 3:]
    side = max(cut.shape[:2])
    covered = shares(side, SIDE)
    square = np.zeros((side, side, 4))
    top, left = ((side - n) // 2 for n in cut.shape[:2])
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    small = np.round(255 * np.einsum("Yy,Xx,yxc->YXc", covered, covered, square)).astype(np.uint8)
    return np.concatenate([np.minimum(small[..., :3], small[..., 3:]), small[..., 3:]], -1)


def drawn(folder: Path, render: Callable[[str], bytes]) -> np.ndarray:
    """Return all things of one set: things, colours, rows, columns."""
    licence = json.loads((folder / "info.json").read_text(encoding="utf-8"))["license"]["spdx"]
    if licence not in FREE:
        raise ValueError(f"the licence of {folder.name} must be one of {FREE}, got {licence!r}")
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    pictures = (
        matplotlib.image.imread(io.BytesIO(render(drawing(icons, name))), format="png")
        for name in CLASSES
    )
    return np.stack([fitted(picture).transpose(2, 0, 1) for picture in pictures])


def main(folder: Path, out: Path = OUT, render: Callable[[str], bytes] | None = None) -> None:
    """Write the emoji.

    Args:
        folder: where the sets were unpacked, each in a folder of its name.
        out: what to write.
        render: what draws SVG as PNG, if not resvg-py.
    """
    if render is None:
        import resvg_py

        def render(svg: str) -> bytes:
            return bytes(resvg_py.svg_to_bytes(svg_string=svg))

    sheets = {name: drawn(folder / FOLDERS.get(name, name), render) for name in DESIGNERS}
    np.savez_compressed(out, **sheets)  # type: ignore[arg-type]
    print(f"{len(sheets)} designers, {len(CLASSES)} things, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
