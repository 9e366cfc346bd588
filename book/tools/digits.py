"""Take the handwritten digits out of scikit-learn.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/digits.npz, with the
licences beside it. To do it again:

    pip download --no-deps scikit-learn==1.7.2
    unzip scikit_learn-*.whl -d FOLDER
    python -m book.tools.digits FOLDER
"""

import gzip
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "digits.npz"
DATA = "sklearn/datasets/data/digits.csv.gz"
LICENCE = "*.dist-info/licenses/COPYING"


def notice(licence: str) -> str:
    """Say whose digits these are, under which licences, and what was changed."""
    return (
        "The digits in digits.npz are the test part of this data set, as scikit-learn has it:\n\n"
        "E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998.\n"
        "https://doi.org/10.24432/C50P49\n\n"
        "It is under the Creative Commons licence Attribution 4.0 International,\n"
        "https://creativecommons.org/licenses/by/4.0/legalcode. Nothing was changed but how the numbers are stored.\n"
        "Its authors have nothing to do with this package.\n\n"
        "The licence of scikit-learn:\n\n" + licence.strip() + "\n"
    )


def main(folder: Path, out: Path = OUT) -> None:
    """Write the digits and the licences.

    Args:
        folder: where the wheel was unpacked.
        out: what to write.
    """
    with gzip.open(folder / DATA, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",").astype(np.uint8)
    np.savez_compressed(out, ink=table[:, :64].reshape(-1, 8, 8), labels=table[:, 64])
    (licence,) = folder.glob(LICENCE)
    text = notice(licence.read_text(encoding="utf-8"))
    out.with_name("digits.LICENSE").write_text(text, encoding="utf-8")
    print(f"{len(table)} digits, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
