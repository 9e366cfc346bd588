"""Addresses that change with what they lead to, so that a new edition is seen wherever the book is served.

A browser keeps a file for as long as the server lets it, or for as long as it guesses. So the address of every
file that is no page ends in a digest of what it holds: another edition is another address. A server and a folder
ignore what follows the question mark.
"""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx

# An address inside of the book, and what may follow it: an older version.
IN_PAGE = re.compile(r'(?<=\s)((?:src|href)=")([^"?#:]+)(\?[^"#]*)?(?=["#])')
IN_SHEET = re.compile(r"""(url\(\s*["']?|@import\s+["'])([^"')?#:]+)(\?[^"')#]*)?""")
# What a script loads by itself it asks for with its own version (see minattn.js), which must change with all of that.
LOADED_BY = {"_static/minattn.js": "_static/live"}


def give_versions(site: Path) -> None:
    """Write the version of every file behind its address, in all pages and style sheets of a built book."""

    @cache
    def version(path: Path) -> str:
        if path.suffix == ".css":
            settle(path, IN_SHEET)
        folder = LOADED_BY.get(path.relative_to(site).as_posix())
        others = sorted((site / folder).rglob("*")) if folder else []
        total = hashlib.sha256()
        for file in [path, *(other for other in others if other.is_file())]:
            total.update(hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()[:8]

    def settle(path: Path, address: re.Pattern[str]) -> None:
        text = path.read_text("utf-8")
        settled = address.sub(with_version(path.parent), text)
        if settled != text:
            path.write_text(settled, "utf-8", newline="\n")

    def with_version(folder: Path) -> Callable[[re.Match[str]], str]:
        def replaced(match: re.Match[str]) -> str:
            file = (folder / unquote(match[2])).resolve()
            if not file.is_file() or file.suffix == ".html" or not file.is_relative_to(site):
                return match[0]
            return f"{match[1]}{match[2]}?v={version(file)}"

        return replaced

    site = site.resolve()
    for page in sorted(site.rglob("*.html")):
        settle(page, IN_PAGE)


def write_versions(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        give_versions(Path(app.outdir))
