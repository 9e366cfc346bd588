"""Make the clips of the live place of chapter 14: sounds, their spectrograms, and where the listener attended.

    python -m book.tools.live_listener                    into book/_static/live/weights
    python -m book.tools.live_listener --into FOLDER      elsewhere

The listener is trained as in the chapter. It writes what it hears by itself; nothing is computed in the browser.
"""

import argparse
import base64
import dataclasses
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from book.experiments import speech
from book.tools.live import SEED, WEIGHTS, digits, script, write_card
from book.tools.writing import write_whole
from minattn.recording import recording
from minattn.speech.listening import STRIDE, Listener
from minattn.tasks.spoken_numbers import (
    HOP,
    SpokenNumbers,
    Utterance,
    log_mel,
    speak,
    spoken_numbers,
    utterances,
)
from minattn.tasks.voices import RATE
from minattn.translation import translate
from minattn.vocabulary import BOS

TITLE = "Utterances by June Wallack, and where the listener of chapter 14 attended"
CHAPTER = "14_speech"
CREDIT = {
    "voice": "June Wallack",
    "source": "Asterisk core sounds 1.6.1, French (Canada)",
    "licence": "CC BY-SA 3.0",
    "address": "https://creativecommons.org/licenses/by-sa/3.0/",
}
LEVELS = 16
COARSE = 2
"""Every second frame is drawn."""


def taught(task: SpokenNumbers) -> Listener:
    """Train the listener of the chapter, as its experiment does."""
    model = speech.make_model(task, SEED, "attention")
    speech.teach(model, task, SEED)
    return model


def chosen(task: Any) -> dict[str, Utterance]:
    """Return the first utterance of each kind that no choice was made by."""
    four = next(u for u in task.held_out if u.length == 4 and u.snr > 30)
    return {
        "four words": four,
        "the same, in as much noise as speech": dataclasses.replace(four, snr=0.0),
        "seven words, more than in training": utterances(1, (7,), seed=107, snr=(30.0, 40.0))[0],
    }


def mu_law(sound: np.ndarray) -> bytes:
    """Code a sound as a WAV file of eight bits a sample, in the mu-law of telephones (ITU-T G.711)."""
    level = np.minimum(np.round(np.abs(sound) / np.abs(sound).max() * 32_000), 32_635).astype(int)
    level += 132
    exponent = np.floor(np.log2(level)).astype(int) - 7
    mantissa = (level >> (exponent + 3)) & 15
    code = ~((sound < 0) * 128 | exponent << 4 | mantissa) & 255
    data = code.astype(np.uint8).tobytes() + b"\xff" * (len(code) % 2)
    about = struct.pack("<HHIIHHH", 7, 1, RATE, RATE, 1, 8, 0)
    fact = struct.pack("<I", len(code))
    parts = ((b"fmt ", about), (b"fact", fact), (b"data", data))
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def levels(sound: np.ndarray) -> list[str]:
    """Return a row of sixteen levels, as hexadecimal figures, for each band, the lowest first."""
    frames = log_mel(sound).numpy()[::COARSE]
    low, high = np.quantile(frames, [0.02, 0.995])
    scaled = np.clip((frames - low) / (high - low), 0, 1) * (LEVELS - 1)
    return ["".join(f"{level:x}" for level in band) for band in scaled.round().astype(int).T]


@torch.no_grad()
def clip(name: str, model: Listener, task: SpokenNumbers, utterance: Utterance) -> dict[str, Any]:
    """Let the model write an utterance down, and note where it attended before each word."""
    (written,) = translate(model, task, [utterance], utterance.length + 5)
    sounds = task.batch([utterance])
    target_in = torch.tensor([[BOS, *task.target.encode(written)]])
    with recording(model) as record:
        model(sounds.source, target_in, sounds.source_mask)
    weights = record.weights()[0, : len(written)]  # what would come next is left out
    sound, spans = speak(utterance)
    return {
        "name": name,
        "seconds": round(len(sound) / RATE, 3),
        "step": STRIDE * HOP / RATE,
        "said": [
            [word, round(start / RATE, 3), round(end / RATE, 3)]
            for word, (start, end) in zip(utterance.target, spans, strict=True)
        ],
        "written": written,
        "weights": digits(weights),
        "bands": levels(sound),
        "sound": base64.b64encode(mu_law(sound)).decode(),
    }


def entry(model: Listener, task: SpokenNumbers) -> dict[str, Any]:
    """Make what stands in the file."""
    clips = [clip(name, model, task, u) for name, u in chosen(task).items()]
    return {"title": TITLE, "chapter": CHAPTER, "credit": CREDIT, "clips": clips}


def write(made: dict[str, Any], folder: Path) -> None:
    """Write the file and its card."""
    text = script("clips", "listener", made["title"], made)
    write_whole(folder / "clips_listener.js", text)
    card = {
        "name": "clips_listener",
        "title": made["title"],
        "chapter": made["chapter"],
        "command": "make live ONLY=listener",
        "licence": "The sounds: {voice}, {source}, {licence}; changed.".format(**made["credit"]),
        "files": {"clips_listener.js": len(text.encode())},
    }
    write_card(folder, "clips_listener", card)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same file again
    print("training listener", file=sys.stderr, flush=True)
    task = spoken_numbers(seed=speech.TASK_SEED)
    write(entry(taught(task), task), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
