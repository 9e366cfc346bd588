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

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "minattn-book"
LEFT_OUT = {".buildinfo", "objects.inv"}  # for Sphinx, not for readers


def pack(site: Path, archive: Path) -> int:
    """Write the archive; return how many files it holds."""
    files = sorted(
        (path.relative_to(site).as_posix(), path)
        for path in site.rglob("*")
        if path.is_file() and path.name not in LEFT_OUT
    )
    built = time.gmtime((site / "index.html").stat().st_mtime)[:6]  # the build writes it last
    with zipfile.ZipFile(archive, "w") as packed:
        for name, path in files:
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", built)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return len(files)


def main(root: Path = ROOT) -> int:
    archive = root / "_build" / "minattn-book.zip"
    with alone("book", root):
        count = pack(root / "_build" / "html", archive)
    size = archive.stat().st_size / 1e6
    print(f"The book to take along is at {archive.as_uri()} ({count} files, {size:.1f} MB)")
    print(f"Unpack it anywhere and open {FOLDER}/index.html.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
