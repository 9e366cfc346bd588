"""Figures: their size on the page, and when they are fetched."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import imagesize
from sphinx.application import Sphinx

CSS_INCH = 96  # pixels
IMAGE = re.compile(r'<img [^>]*?src="[^"]*_images/(?P<name>[^"]+)"')
TAG = re.compile(r"<[^>]*>")
FIRST_SCREEN = 1000  # letters of text before an image that is seen at once


def settle_images(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Give figures their size, so that nothing jumps, and let those further down wait until needed.

    An inch of matplotlib becomes an inch of the page whatever the density it was drawn at, so
    letters have one size in all figures.
    """
    sources = {quote(name): Path(app.srcdir) / path for path, name in app.builder.images.items()}

    def settle(match: re.Match[str]) -> str:
        before = TAG.sub("", match.string[: match.start()])
        attributes = "" if len(before) < FIRST_SCREEN else ' loading="lazy"'
        source = sources.get(match["name"])
        if source and source.suffix == ".png":
            (width, height), (dpi, _) = imagesize.get(source), imagesize.getDPI(source)
            scale = CSS_INCH / dpi if dpi > 0 else 1
            attributes += f' width="{width * scale:.0f}" height="{height * scale:.0f}"'
        return match[0] + attributes

    context["body"] = IMAGE.sub(settle, context.get("body", ""))
