"""Take the handwritten digits out of scikit-learn, which has them from the UCI Machine Learning Repository.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/digits.npz, with the
licence beside it. To do it again:

    pip install --no-deps --target digits scikit-learn==1.9.1
    python -m book.tools.digits digits
"""

import gzip
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "digits.npz"
TABLE = "sklearn/datasets/data/digits.csv.gz"
LICENCE = "scikit_learn-1.9.1.dist-info/licenses/COPYING"


def read(table: Path) -> dict[str, np.ndarray]:
    """Read the table: in each row the 64 pixels of a picture, from 0 to 16, and which digit it is."""
    with gzip.open(table, "rt") as rows:
        numbers = np.loadtxt(rows, delimiter=",").astype(np.uint8)
    return {"pictures": numbers[:, :64].reshape(-1, 8, 8), "names": numbers[:, 64]}


def notice(licence: str) -> str:
    """Say whose digits these are, under which licence, and what was changed."""
    own = licence.split("\n----", 1)[0]  # then come those of libraries that lie in the same wheel
    return (
        "The digits in digits.npz are the test set of the Optical Recognition of Handwritten Digits by E. Alpaydin\n"
        "and C. Kaynak, 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, under the Creative\n"
        "Commons licence Attribution 4.0 International (CC BY 4.0):\n"
        "https://creativecommons.org/licenses/by/4.0/legalcode\n"
        "They were taken from scikit-learn 1.9.1, which has them under the licence below, and stored in another\n"
        "form; no number was changed. The authors have nothing to do with this package.\n"
        "\n" + own.strip() + "\n"
    )


def main(folder: Path, out: Path = OUT) -> None:
    """Write the digits and their licence.

    Args:
        folder: where scikit-learn was unpacked.
        out: what to write.
    """
    found = read(folder / TABLE)
    np.savez_compressed(out, **found)  # type: ignore[arg-type]
    licence = (folder / LICENCE).read_text(encoding="utf-8")
    out.with_name("digits.LICENSE").write_text(notice(licence), encoding="utf-8")
    print(f"{len(found['names'])} digits, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
