"""Pack the built book into _build/minattn-book.zip, to be read without a network.

    python -m book.tools.zip_book

The same build gives the same bytes: files in order, all with the date of the build. A later edition has a later
date, which programs that unpack and servers of files go by. In the archive, one folder holds everything; open
index.html in it.
"""

from __future__ import annotations

import sys
import time
import zipfile
from pathlib import Path

from book.tools.alone import alone
from book.tools.build_book import no_book
from book.tools.writing import aside

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "minattn-book"
LEFT_OUT = {".buildinfo", "objects.inv"}  # for Sphinx, not for readers
FOR_SERVERS = {".nojekyll", "404.html", "sitemap.xml"}
MOST_PACKED, MOST_UNPACKED = 25e6, 60e6  # bytes: what one sends to a friend, and keeps on a phone


def pack(site: Path, archive: Path) -> int:
    """Write the archive; return how many files it holds."""
    files = sorted(
        (path.relative_to(site).as_posix(), path)
        for path in site.rglob("*")
        if path.is_file() and path.name not in LEFT_OUT | FOR_SERVERS
    )
    built = time.gmtime((site / "index.html").stat().st_mtime)[:6]  # the build writes it last
    with aside(archive) as half, zipfile.ZipFile(half, "w") as packed:
        for name, path in files:
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", built)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return len(files)


def too_large(packed: float, unpacked: float) -> list[str]:
    """The bars that are missed, each in a sentence."""
    sizes = (
        ("the archive", packed, MOST_PACKED),
        ("the book unpacked", unpacked, MOST_UNPACKED),
    )
    return [
        f"{what} may have {most / 1e6:.0f} MB, got {size / 1e6:.1f}"
        for what, size, most in sizes
        if size > most
    ]


def main(root: Path = ROOT) -> int:
    site, archive = root / "_build" / "html", root / "_build" / "minattn-book.zip"
    if no_book(site):
        return 1
    with alone("book", root):
        count = pack(site, archive)
    packed = archive.stat().st_size
    unpacked = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(
        f"The book to take along is at {archive.as_uri()}"
        f" ({count} files, {packed / 1e6:.1f} MB; unpacked {unpacked / 1e6:.1f} MB)"
    )
    print(f"Unpack it anywhere and open {FOLDER}/index.html.")
    for fault in too_large(packed, unpacked):
        print(f"minattn: {fault}", file=sys.stderr)
    return 1 if too_large(packed, unpacked) else 0


if __name__ == "__main__":
    sys.exit(main())
