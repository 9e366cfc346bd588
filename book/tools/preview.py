"""Make the picture that is shown beside a link to the book, book/_static/preview.png, with Chromium.

    python -m book.tools.preview            make it
    python -m book.tools.preview --check    fail if the figure of the landing page has changed since

It is the figure of the landing page under the name of the book. README.md shows it too.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import yaml
from PIL import Image, PngImagePlugin

from book.tools.browsing import CHROMIUM, MISSING, ROOT, chromium

WIDTH, HEIGHT = 1200, 630
COLOURS = 64  # enough for lines and letters; a third of the bytes
PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><style>
body {{ width: 1200px; height: 630px; margin: 0; background: #fff; color: #1a1a1a; text-align: center; }}
h1 {{ margin: 0; padding-top: 38px; font: 700 64px sans-serif; }}
p {{ margin: 6px 0 22px; font: 32px sans-serif; }}
svg {{ width: 1140px; height: auto; }}
</style><h1>{title}</h1><p>Attention, built and measured</p>{figure}</html>"""


def paths(root: Path) -> tuple[Path, Path]:
    static = root / "book" / "_static"
    return static / "landing_crossing.svg", static / "preview.png"


def page_of(root: Path) -> str:
    svg = paths(root)[0].read_text(encoding="utf-8")
    title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
    return PAGE.format(title=title, figure=svg[svg.index("<svg") :])


def digest(root: Path) -> str:
    return hashlib.sha256(page_of(root).encode()).hexdigest()


def up_to_date(root: Path) -> bool:
    picture = paths(root)[1]
    if not picture.exists():
        return False
    with Image.open(picture) as made:
        return made.info.get("made-from") == digest(root)


def main(arguments: list[str], root: Path = ROOT) -> int:
    if up_to_date(root):
        return 0
    if "--check" in arguments:
        print(
            "book/_static/preview.png is out of date; run python -m book.tools.preview",
            file=sys.stderr,
        )
        return 1
    if not CHROMIUM:
        print(f"minattn: {MISSING}; the preview is drawn with it", file=sys.stderr)
        return 1
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_content(page_of(root))
        shot = Image.open(io.BytesIO(page.screenshot()))
    about = PngImagePlugin.PngInfo()
    about.add_text("made-from", digest(root))
    picture = paths(root)[1]
    shot.convert("RGB").quantize(COLOURS).save(picture, optimize=True, pnginfo=about)
    print(f"book/_static/preview.png: written ({picture.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
