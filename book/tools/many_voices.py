"""Let a synthesiser say the ten digits in French with all its voices, and keep the spectrograms.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/many_voices.npz. To do
it again:

    pip install espeakng-loader
    python -m book.tools.many_voices

Only this script needs eSpeak NG, whose program is under the GPL; neither the program nor its data are in the package.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from book.tools.voices import clean
from minattn.tasks.many_voices import DIGITS, coded
from minattn.tasks.voices import RATE

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "many_voices.npz"
SPEED = 110
"""Words a minute; a digit then takes about as long as when June says it."""
SHARES = {"unseen": 18, "validation": 12}
"""How many voices are in these parts, or one or two more; the others are for training."""
SPEED_KEY, UTF8, RETRIEVAL = 1, 1, 1  # of speak_lib.h


class Espeak:
    """The library, through its C interface."""

    def __init__(self, library: str, data: str) -> None:
        self.lib = ctypes.CDLL(library)
        self.lib.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        self.rate = self.lib.espeak_Initialize(RETRIEVAL, 0, data.encode(), 0)
        if self.rate <= 0:
            raise RuntimeError(f"eSpeak NG did not find its data in {data}")
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.heard: list[np.ndarray] = []
        self.callback = kind(self._keep)
        self.lib.espeak_SetSynthCallback(self.callback)

    def _keep(self, samples: Any, n: int, _: Any) -> int:
        if samples and n > 0:
            self.heard.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    def say(self, word: str, voice: str) -> np.ndarray:
        """Return the samples, from -1 to 1."""
        if self.lib.espeak_SetVoiceByName(f"fr+{voice}".encode()):
            raise RuntimeError(f"eSpeak NG has no French voice {voice}")
        self.lib.espeak_SetParameter(SPEED_KEY, SPEED, 0)
        self.heard.clear()
        text = word.encode()
        self.lib.espeak_Synth(
            ctypes.c_char_p(text), ctypes.c_size_t(len(text) + 1), 0, 1, 0, UTF8, None, None
        )
        self.lib.espeak_Synchronize()
        return np.concatenate(self.heard) / 32768


def resampled(sound: np.ndarray, rate: int) -> np.ndarray:
    """Bring a sound to the rate of the recordings, without what is above half of it."""
    n = round(len(sound) * RATE / rate)
    spectrum = np.fft.rfft(sound)[: n // 2 + 1]
    return np.fft.irfft(spectrum, n) * (n / len(sound))


def family(voice: str) -> str:
    """Return what voices that were made from one another have in common: the name up to a figure or "Robot".

    >>> family("RicishayMax3"), family("whisperf"), family("m8"), family("anikaRobot")
    ('ricishaymax', 'whisper', 'm8', 'anika')
    """
    if re.fullmatch(r"[fm]\d", voice):  # women and men, each a voice of its own
        return voice
    short = (
        re.sub(r"(\d+|Robot|(?<=whisper)f|^Anxious)", "", voice) if voice != "UniRobot" else voice
    )
    return short.lower()


def parted(voices: Iterable[str]) -> dict[str, list[str]]:
    """Put whole families into the parts, drawn at random."""
    families: dict[str, list[str]] = {}
    for voice in sorted(voices):
        families.setdefault(family(voice), []).append(voice)
    order = np.random.default_rng(0).permutation(sorted(families))
    parts: dict[str, list[str]] = {"training": [], "validation": [], "unseen": []}
    for name in order:
        short = (part for part, n in SHARES.items() if len(parts[part]) < n)
        parts[next(short, "training")] += families[name]
    return parts


def pack(
    parts: dict[str, list[str]], say: Callable[[str, str], np.ndarray], rate: int
) -> dict[str, np.ndarray]:
    """Put the spectrograms of all digits by all voices behind one another, in the order of the parts."""
    voices = [voice for part in parts.values() for voice in part]
    clips = [
        clean(resampled(say(word, voice), rate), "june") for voice in voices for word in DIGITS
    ]
    codes = [coded(clip.astype(np.float32)) for clip in clips]
    return {
        "codes": np.concatenate(codes),
        "lengths": np.array([len(x) for x in codes], dtype=np.uint8),
        "powers": np.array([(clip**2).mean() for clip in clips], dtype=np.float16),
        "voices": np.array(voices),
        "parts": np.array([part for part, found in parts.items() for _ in found]),
    }


def main(out: Path = OUT) -> None:
    """Write the spectrograms of all voices that the library has."""
    import espeakng_loader as loader  # type: ignore[import-not-found]

    data = Path(loader.get_data_path())
    espeak = Espeak(loader.get_library_path(), str(data))
    parts = parted(path.name for path in (data / "voices" / "!v").iterdir())
    np.savez_compressed(out, **pack(parts, espeak.say, espeak.rate))  # type: ignore[arg-type]
    print(", ".join(f"{part}: {len(found)} voices" for part, found in parts.items()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
