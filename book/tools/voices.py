"""Cut number words by two French speakers out of Debian's packages of telephone prompts.

Nothing of this is needed to build or to test the book: what comes out is stored in minattn/tasks/voices.npz, with the
licences beside it. To do it again:

    apt-get download asterisk-core-sounds-fr-wav asterisk-prompt-fr-armelle
    for package in asterisk-*.deb; do dpkg-deb -x $package voices; done
    pip install soundfile
    python -m book.tools.voices voices

Only this script needs soundfile, which decodes the telephone codec (GSM 06.10) of the second speaker, and sends the
first one through it too, so that what the codec does can be told from what the speaker does.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minattn.tasks.voices import RATE, VOICES, WORDS, compress

OUT = Path(__file__).resolve().parents[2] / "minattn" / "tasks" / "voices.npz"
NUMBERS = (*range(17), 20, 30, 40, 50, 60)
JUNE = "usr/share/asterisk/sounds/fr_CA_f_June/digits"
ARMELLE = "usr/share/asterisk/sounds/fr/digits"
COPYRIGHT = "usr/share/doc/{}/copyright"

WINDOW = RATE // 100
LOWEST = 60
"""Hertz; below there is no voice. Armelle's recordings begin with a step that takes 300 ms to fade."""
QUIET = {"june": -32.0, "armelle": -24.0}
"""Decibels below the loudest window at which a word begins and ends; Armelle's recordings hiss."""
GUARD = {"june": 0, "armelle": 5}
"""Windows at both ends in which no word begins or ends: there stand clicks."""


def without_rumble(sound: np.ndarray) -> np.ndarray:
    """Take out what is below the lowest frequency, and fade in what is within 40 Hz above it."""
    n = 2 * len(sound)  # room behind it, for what is filtered goes round in a circle
    spectrum = np.fft.rfft(sound, n)
    spectrum *= np.clip((np.fft.rfftfreq(n, 1 / RATE) - LOWEST) / 40, 0, 1)
    return np.fft.irfft(spectrum)[: len(sound)]


def trimmed(sound: np.ndarray, quiet: float, guard: int) -> np.ndarray:
    """Cut a recording where the word begins and ends, and leave a window at each end.

    The differences of samples are looked at: they raise the high frequencies, without which an s is silence.
    """
    n = len(sound) // WINDOW
    steps = np.diff(sound, prepend=sound[0])[: n * WINDOW].reshape(n, WINDOW)
    power = (steps**2).mean(1)
    power[:guard] = power[n - guard :] = 0
    loud = np.flatnonzero(power > power.max() * 10 ** (quiet / 10))
    return sound[max(0, loud[0] - 1) * WINDOW : (loud[-1] + 2) * WINDOW]


def clean(sound: np.ndarray, voice: str) -> np.ndarray:
    """Filter, cut, and make the loudest sample 1."""
    cut = trimmed(without_rumble(sound), QUIET[voice], GUARD[voice])
    return cut / np.abs(cut).max()


def through_gsm(sound: np.ndarray, soundfile: Any) -> np.ndarray:
    """Send a sound through the codec; it works on frames of 160 samples, and gives back so many as came in."""
    stream = io.BytesIO()
    soundfile.write(stream, 0.9 * sound, RATE, format="WAV", subtype="GSM610")
    stream.seek(0)
    found = soundfile.read(stream)[0][: len(sound)]
    return found / np.abs(found).max()


def pack(clips: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Put the words of all voices behind one another, in the order of the package."""
    ordered = [clip for voice in VOICES for clip in clips[voice]]
    return {
        "codes": np.concatenate([compress(clip) for clip in ordered]),
        "lengths": np.array([len(clip) for clip in ordered], dtype=np.int32),
    }


def notice(core: str, armelle: str) -> str:
    """Say whose voices these are, under which licences, and what was changed.

    Args:
        core: Debian's copyright file of the core sounds; the paragraph of the French ones is taken.
        armelle: that of the second speaker; what it says of Debian's own packaging is left out.
    """
    (june,) = (part for part in core.split("\n\n") if part.startswith("Files: fr-*"))
    about = [line.removeprefix(" ").replace("\t", " ") for line in june.split("\n")[1:]]
    licence = armelle.split("Upstream:\n", 1)[1].split("The Debian packaging is", 1)[0]
    return (
        "The recordings in voices.npz come from two sets of prompts for the telephone exchange Asterisk, and stay\n"
        "under the licences of these. They were changed: number words were chosen, filtered below 60 Hz, cut where\n"
        "the word begins and ends, made equally loud and coded in eight bits; those of June are there a second time,\n"
        "through the codec GSM 06.10. The speakers and authors have nothing to do with this package.\n"
        "\njune and june_gsm: Asterisk core sounds 1.6.1, French (Canada)\n\n"
        + "\n".join(line if line != "." else "" for line in about)
        + "\n\nThis is the Creative Commons licence Attribution-ShareAlike 3.0 Unported: these recordings, changed or\n"
        "not, may be shared under it, and under no other licence than it allows. It is about them alone, not about\n"
        "programs or texts that use them. Its text: https://creativecommons.org/licenses/by-sa/3.0/legalcode\n"
        "\narmelle: asterisk-prompt-fr-armelle 20070613\n\n" + licence.strip() + "\n"
    )


def main(folder: Path, out: Path = OUT, soundfile: Any = None) -> None:
    """Write the recordings and the licences.

    Args:
        folder: where the packages were unpacked.
        out: what to write.
        soundfile: the library of that name, if it is not to be imported.
    """
    if soundfile is None:
        import soundfile  # type: ignore[no-redef]
    raw = {"samplerate": RATE, "channels": 1, "subtype": "GSM610", "format": "RAW"}
    read: dict[str, Callable[[int], np.ndarray]] = {
        "june": lambda number: soundfile.read(folder / JUNE / f"{number}.wav")[0],
        "armelle": lambda number: soundfile.read(folder / ARMELLE / f"{number}.gsm", **raw)[0],
    }
    clips = {
        voice: [clean(load(number), voice) for number in NUMBERS] for voice, load in read.items()
    }
    clips["june_gsm"] = [through_gsm(clip, soundfile) for clip in clips["june"]]
    np.savez_compressed(out, **pack(clips))  # type: ignore[arg-type]
    packages = "asterisk-core-sounds-fr-wav", "asterisk-prompt-fr-armelle"
    texts = [(folder / COPYRIGHT.format(name)).read_text(encoding="utf-8") for name in packages]
    out.with_name("voices.LICENSE").write_text(notice(*texts), encoding="utf-8")
    seconds = {voice: sum(map(len, found)) / RATE for voice, found in clips.items()}
    print(", ".join(f"{voice}: {len(WORDS)} words, {s:.1f} s" for voice, s in seconds.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
