"""Pack the built book into _build/minattn-book.zip, to be read without a network.

    python -m book.tools.zip_book

The same build gives the same bytes: files in order, all with one date. In the archive, one folder
holds everything; open index.html in it.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "minattn-book"
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell
LEFT_OUT = {".buildinfo", "objects.inv"}  # for Sphinx, not for readers


def pack(site: Path, archive: Path) -> int:
    """Write the archive; return how many files it holds."""
    files = sorted(
        (path.relative_to(site).as_posix(), path)
        for path in site.rglob("*")
        if path.is_file() and path.name not in LEFT_OUT
    )
    with zipfile.ZipFile(archive, "w") as packed:
        for name, path in files:
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", DATE)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return len(files)


def main(root: Path = ROOT) -> int:
    archive = root / "_build" / "minattn-book.zip"
    count = pack(root / "_build" / "html", archive)
    size = archive.stat().st_size / 1e6
    print(f"The book to take along is at {archive.as_uri()} ({count} files, {size:.1f} MB)")
    print(f"Unpack it anywhere and open {FOLDER}/index.html.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
