"""Make small grey photographs out of those that come with scikit-image, SciPy 1.9 and matplotlib.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/photos.npz, with who
took them beside it. To do it again:

    pip download --no-deps scikit-image==0.26.0 scipy==1.9.3 matplotlib==3.11.2
    for wheel in *.whl; do unzip -q $wheel -d photos; done
    python -m book.tools.photos photos

Colours become the grey that ITU-R BT.601 weighs them to; then blocks of 2 x 2 or 3 x 3 pixels become their mean, since
what a camera's lens and its compression have blurred is no detail to be found again.
"""

import bz2
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from minattn.tasks.photos import PHOTOS, differences

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "photos.npz"
GREY = np.array([0.299, 0.587, 0.114])


class Source(NamedTuple):
    """Where a photograph lies in the wheels, what is done to it, and what is known of it.

    Args:
        path: of the file.
        shrink: side of the blocks that become one pixel.
        rows: how many rows of the small photograph are kept.
        about: who took it, and under what terms it may be used.
    """

    path: str
    shrink: int
    rows: int
    about: str


SK = "skimage/data/"
SOURCES = {
    "astronaut": Source(
        f"{SK}astronaut.png",
        2,
        256,
        "Eileen Collins, by NASA: public domain. Great Images in NASA.",
    ),
    "brick": Source(
        f"{SK}brick.png", 2, 256, "A brick wall, from CC0Textures (Bricks25): CC0 1.0."
    ),
    "camera": Source(
        f"{SK}camera.png",
        2,
        256,
        "A man with a camera, by Lav Varshney, the photographer: CC0 1.0.",
    ),
    "coffee": Source(
        f"{SK}coffee.png",
        2,
        200,
        "A cup of coffee, by Rachel Michetti, courtesy of Pikolo Espresso Bar: CC0 1.0.",
    ),
    "grass": Source(f"{SK}grass.png", 2, 160, "Grass, by linolafett on DeviantArt: CC0 1.0."),
    "gravel": Source(f"{SK}gravel.png", 2, 160, "Gravel, from CC0Textures (Gravel04): CC0 1.0."),
    "hopper": Source(
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        2,
        300,
        "Grace Hopper, by the United States Navy: public domain.",
    ),
    "rocket": Source(
        f"{SK}rocket.jpg", 2, 213, "A Falcon 9 before its start, by SpaceX: public domain."
    ),
    "ascent": Source(
        "scipy/misc/ascent.dat",
        2,
        256,
        "People on stairs, from public-domain-image.com: public domain.",
    ),
    "chelsea": Source(
        f"{SK}chelsea.png",
        2,
        150,
        "Chelsea the cat, by Stefan van der Walt, the photographer: CC0 1.0.",
    ),
    "raccoon": Source(
        "scipy/misc/face.dat", 3, 256, "A raccoon, from public-domain-image.com: public domain."
    ),
    "coins": Source(
        f"{SK}coins.png",
        1,
        150,
        "Greek coins from Pompeii, Brooklyn Museum Collection: no known copyright restrictions.",
    ),
}


def read(path: Path) -> np.ndarray:
    """Read a photograph from a picture, or from one of the two files of numbers."""
    if path.name == "ascent.dat":
        return np.array(pickle.loads(path.read_bytes()), dtype=np.uint8)
    if path.name == "face.dat":
        return np.frombuffer(bz2.decompress(path.read_bytes()), dtype=np.uint8).reshape(
            768, 1024, 3
        )
    return np.asarray(Image.open(path))


def small(photo: np.ndarray, shrink: int, rows: int) -> np.ndarray:
    """Make a photograph grey, give each block its mean, and keep the upper rows."""
    grey = photo[..., :3] @ GREY if photo.ndim == 3 else photo.astype(np.float64)
    height, width = (size // shrink for size in grey.shape)
    blocks = grey[: height * shrink, : width * shrink].reshape(height, shrink, width, shrink)
    return blocks.mean((1, 3)).round().astype(np.uint8)[:rows, :384]


def notice() -> str:
    """Say of each photograph who took it and how it may be used, and what was changed."""
    return (
        "The photographs in photos.npz are in the public domain, under Creative Commons CC0 1.0\n"
        "(https://creativecommons.org/publicdomain/zero/1.0/legalcode), or without known copyright restrictions, as\n"
        "scikit-image 0.26.0, SciPy 1.9.3 and matplotlib say, with which they come. They were made grey and small.\n"
        "The people and the institutions have nothing to do with this package.\n\n"
        + "".join(f"{name}: {SOURCES[name].about}\n" for part in PHOTOS.values() for name in part)
    )


def main(folder: Path, out: Path = OUT, load: Callable[[Path], Any] = read) -> None:
    """Write the photographs and what is known of them.

    Args:
        folder: where the wheels were unpacked.
        out: what to write.
        load: reads one photograph.
    """
    found = {
        name: small(load(folder / source.path), source.shrink, source.rows)
        for name, source in SOURCES.items()
    }
    np.savez_compressed(out, **{name: differences(photo) for name, photo in found.items()})  # type: ignore[arg-type]
    out.with_name("photos.LICENSE").write_text(notice(), encoding="utf-8")
    print(", ".join(f"{name} {photo.shape}" for name, photo in found.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
