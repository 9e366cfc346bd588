"""Small grey photographs that anyone may use, in three parts that share no photograph.

They are in the public domain or under CC0: ``photos.LICENSE``, beside them, says for each who took it and where it was
found, and ``book/tools/photos.py`` is how they were made small and grey.
"""

from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import UInt8

PHOTOS = MappingProxyType(
    {
        "train": ("astronaut", "brick", "camera", "coffee", "grass", "gravel", "hopper", "rocket"),
        "validation": ("ascent", "chelsea"),
        "test": ("raccoon", "coins"),
    }
)
"""Which photograph is in which part."""


def differences(photo: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Write each pixel as its difference from the one on its left, modulo 256: that compresses better."""
    return np.diff(photo, axis=1, prepend=np.uint8(0))


def photo_of(
    difference: UInt8[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width"]:
    """Undo ``differences``.

    >>> photo = np.array([[250, 3, 100]], dtype=np.uint8)
    >>> photo_of(differences(photo))
    array([[250,   3, 100]], dtype=uint8)
    """
    return difference.cumsum(axis=1, dtype=np.uint8)


@cache
def photos(part: str) -> MappingProxyType[str, Any]:
    """Return the photographs of a part by name: grey, in whole numbers from 0 (black) to 255 (white).

    Raises:
        ValueError: if there is no such part.

    >>> {name: photo.shape for name, photo in photos("test").items()}
    {'raccoon': (256, 341), 'coins': (150, 384)}
    """
    if part not in PHOTOS:
        raise ValueError(f"part must be one of {', '.join(PHOTOS)}, got {part!r}")
    found = {}
    with np.load(resources.files("minattn.tasks") / "photos.npz") as stored:  # type: ignore[arg-type]
        for name in PHOTOS[part]:
            found[name] = photo_of(stored[name])
            found[name].flags.writeable = False
    return MappingProxyType(found)
