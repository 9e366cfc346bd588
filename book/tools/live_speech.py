"""Make the files of the live place of chapter 14: its listener, and the words that the page says.

    python -m book.tools.live_speech                    into book/_static/live/weights
    python -m book.tools.live_speech --into FOLDER      elsewhere

The listener is trained as in the chapter and rounded to half precision. Its encoder is one file, the rest of it
another. A third holds one recording for each word and each of two voices; the page glues them together.
"""

import argparse
import base64
import sys
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from book.experiments import speech
from book.experiments.speech_measures import heard
from book.tools.live import SEED, WEIGHTS, rounded, script, write_card
from book.tools.writing import write_whole
from minattn.live_export import pack
from minattn.speech.listening import Listener
from minattn.tasks.spoken_numbers import SpokenNumbers, spoken_numbers
from minattn.tasks.voices import RATE, WORDS, compress, recordings

TITLE = "The listener of chapter 14, 96 wide, taught by one voice"
SOUNDS = "French number words, a recording for each word of each voice"
CHAPTER = "14_speech"
VOICES = {
    "june": {
        "name": "June Wallack",
        "source": "Asterisk core sounds 1.6.1, French (Canada)",
        "licence": "CC BY-SA 3.0",
        "address": "https://creativecommons.org/licenses/by-sa/3.0/",
    },
    "armelle": {
        "name": "Armelle Desjardins",
        "source": "asterisk-prompt-fr-armelle 20070613, copyright 2006 Michel Gutierrez",
        "licence": "a licence like BSD's",
    },
}


def taught(task: SpokenNumbers) -> Listener:
    """Train the listener of the chapter, as its experiment does."""
    model = speech.make_model(task, SEED, "attention")
    speech.teach(model, task, SEED)
    return model


def accuracy(model: Listener, task: SpokenNumbers) -> dict[str, float]:
    """Say how many words are wrong, and for how many the largest weight lies inside the right one."""
    held_out: Any = task.held_out
    found = heard(model, task, held_out)
    return {name: round(found[name], 4) for name in ("word error", "inside")}


def weights(model: Listener, task: SpokenNumbers) -> dict[str, dict[str, Any]]:
    """Make what stands in the files of the model: the encoder in one, the decoder in another."""
    state = model.state_dict()
    encoder = {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}
    decoder = {name: tensor for name, tensor in state.items() if name not in encoder}
    first = {
        "model": {"kind": "speech", "d_model": model.embedding.embedding_dim},
        "target": list(task.target.tokens),
        "parts": ["speech_decoder"],
    }
    return {
        "speech": {**first, **pack(encoder, "float16")},
        "speech_decoder": pack(decoder, "float16"),
    }


def sounds() -> dict[str, Any]:
    """Make what stands in the file of recordings: eight bits a sample, as ``compress`` writes them."""
    voices = {}
    for voice, about in VOICES.items():
        clips = [compress(recordings(voice)[word]) for word in WORDS]
        voices[voice] = {
            **about,
            "lengths": [len(clip) for clip in clips],
            "codes": base64.b64encode(np.concatenate(clips).tobytes()).decode("ascii"),
        }
    licences = (resources.files("minattn.tasks") / "voices.LICENSE").read_text("utf-8")
    return {"rate": RATE, "words": list(WORDS), "voices": voices, "licences": licences}


def write(model: Listener, task: SpokenNumbers, folder: Path) -> None:
    """Round the model, and write the files and their card."""
    before = accuracy(model, task)
    rounded(model)  # in place
    after = accuracy(model, task)
    texts = {
        f"{name}.js": script("weights", name, TITLE, made)
        for name, made in weights(model, task).items()
    }
    texts["clips_speech.js"] = script("clips", "speech", SOUNDS, sounds())
    for file, text in texts.items():
        write_whole(folder / file, text)
    card = {
        "name": "speech",
        "title": TITLE,
        "task": task.name,
        "chapter": CHAPTER,
        "command": "make live ONLY=speech",
        "seed": SEED,
        "steps": [speech.SINGLE, speech.STEPS],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "precision": "half (IEEE 754 binary16), rounded after training",
        "held_out_utterances": len(task.held_out),
        "accuracy_before_rounding": before,
        "accuracy_after_rounding": after,
        "files": {file: len(text.encode()) for file, text in texts.items()},
        "licence": "The models: MIT. The sounds: "
        + "; ".join("{name}, {source}, {licence}".format(**about) for about in VOICES.values())
        + "; all changed.",
        "torch": version("torch"),
    }
    write_card(folder, "speech", card)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=WEIGHTS, help="the folder to write to")
    folder = parser.parse_args().into
    torch.set_num_threads(1)  # sums in one order: the same machine gives the same files again
    print("training speech", file=sys.stderr, flush=True)
    task = spoken_numbers(seed=speech.TASK_SEED)
    write(taught(task), task, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
