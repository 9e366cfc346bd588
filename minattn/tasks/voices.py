"""Human voices that say French number words, one recording a word.

The recordings of June Wallack are of the Asterisk core sounds (CC BY-SA 3.0), those of Armelle Desjardins of
asterisk-prompt-fr-armelle (a licence like BSD's). The licences lie beside them in ``voices.LICENSE``, and
``book/tools/voices.py`` is how they were extracted: cut where the word begins and ends, without what is below 60 Hz,
all as loud, in eight bits a sample.
"""

from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int

RATE = 8000
"""Samples in a second."""

WORDS = tuple(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "vingt trente quarante cinquante soixante".split()
)
"""0 to 16, and 20, 30, 40, 50, 60: the numbers that are one word and have no other in them."""

VOICES = "june", "armelle", "june_gsm"
"""Two speakers; and the first one again, through the telephone codec that the second was stored in."""

_MU = 255


def compress(sound: Float[np.ndarray, " samples"]) -> Int[np.ndarray, " samples"]:
    r"""Write samples from -1 to 1 in eight bits, with finer steps near zero (mu-law).

    .. math:: y = \operatorname{sign}(x) \, \ln(1 + 255 |x|) / \ln 256

    References:
        ITU-T G.711, whose steps are those of this curve in pieces.
    """
    level = np.log1p(_MU * np.abs(sound)) / np.log1p(_MU)
    code: Any = np.round(127 * np.sign(sound) * level)
    return np.asarray(code, dtype=np.int8)


def expand(code: Int[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """Undo ``compress``, to within half a step: 2 per cent of a loud sample, a few millionths of a faint one.

    >>> sound = np.array([-1.0, -0.01, 0.0, 0.5])
    >>> [round(float(x), 2) for x in expand(compress(sound))]
    [-1.0, -0.01, 0.0, 0.5]
    """
    level = code.astype(np.float32) / 127
    sound: Any = np.sign(level) * np.expm1(np.abs(level) * np.log1p(np.float32(_MU))) / _MU
    return np.asarray(sound, dtype=np.float32)


@cache
def recordings(voice: str) -> MappingProxyType[str, Any]:
    """Return one recording for each of the 22 words, samples from -1 to 1.

    Raises:
        ValueError: if there is no such voice.

    >>> june = recordings("june")
    >>> len(june), june["dix"].dtype, round(sum(map(len, june.values())) / RATE)
    (22, dtype('float32'), 13)
    """
    if voice not in VOICES:
        raise ValueError(f"voice must be one of {', '.join(VOICES)}, got {voice!r}")
    with np.load(resources.files("minattn.tasks") / "voices.npz") as stored:  # type: ignore[arg-type]
        codes, lengths = stored["codes"], stored["lengths"]
    ends = lengths.cumsum()
    found = {}
    for place, word in enumerate(WORDS, VOICES.index(voice) * len(WORDS)):
        found[word] = expand(codes[ends[place] - lengths[place] : ends[place]])
        found[word].flags.writeable = False
    return MappingProxyType(found)
