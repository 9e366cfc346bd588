"""Chapter 20: "a three and a seven" becomes two digits side by side: does each ask its own word?"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from book.experiments.measuring import averaged, n_weights
from book.experiments.running import run_all
from book.experiments.text_to_image import N_CODES, recipe
from book.experiments.text_to_image_measures import OTHERS, written
from minattn.decoding import Cached
from minattn.language.gpt import GPT
from minattn.learning import learn
from minattn.masks import Mask
from minattn.pictures.codebook import Codebook, learn_codebook
from minattn.pictures.drawing import (
    Language,
    draw_batches,
    drawing_loss,
    make_drawer,
    own_word_share,
    truth,
)
from minattn.pointing import pointing
from minattn.recording import attending, recording
from minattn.seam import Attend
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import NUMBERS, WORDS, caption, is_held_out, judge, two_digits
from minattn.training import seeded
from minattn.translation import Translator

N_CELLS, COLUMNS, LENGTH = 32, 8, 38
FIRST, SECOND = 2, 5
"""Where the numbers stand: behind the beginning and "a", and behind "and" and "a"."""
N_TRAIN, TRAIN_SEED = 4000, 1
N_TEST, TEST_SEED = 200, 3
STEPS, BATCH_SIZE, LEARNING_RATE, DROPOUT = 900, 32, 3e-3, 0.1
N_SEEN, N_HELD_OUT = 4, 30
"""Pictures of each pair that was trained, and of each that was not."""

ARMS: dict[str, dict[str, Any]] = {"two digits": {}}


def pairs() -> Tensor:
    """Return which digits to ask for."""
    every = torch.cartesian_prod(torch.arange(10), torch.arange(10))
    held_out = is_held_out(every)
    seen = every[~held_out].repeat_interleave(N_SEEN, 0)
    return torch.cat([seen, every[held_out].repeat_interleave(N_HELD_OUT, 0)])


def judged(
    model: Translator, language: Language, book: Codebook, seed: int, parts: tuple[str, ...] = ()
) -> Callable[..., dict[str, float]]:
    """Return what draws pairs and says whether both digits are right, the left one, the right one, or crossed."""
    labels = pairs()
    held_out = is_held_out(labels)

    def draw(**how: Any) -> dict[str, float]:
        captions = [caption(pair) for pair in labels.tolist()]
        pictures = book.decode(
            written(model, language, captions, N_CELLS, seed=seed, **how), COLUMNS
        )
        said = torch.stack([judge(*parts)(half) for half in pictures.split(8, dim=2)], 1)
        hit, crossed = said == labels, (said == labels.flip(1)).all(1)
        differ = labels[:, 0] != labels[:, 1]
        shares = {
            "left": hit[~held_out, 0],
            "right": hit[~held_out, 1],
            "both": hit[~held_out].all(1),
            "both, pairs never trained": hit[held_out].all(1),
            "each, pairs never trained": hit[held_out],
            "crossed": (crossed & ~hit.all(1))[differ],
        }
        return {name: share.double().mean().item() for name, share in shares.items()}

    return draw


def hidden(place: int, attend: Attend) -> Attend:
    """Make an attend that does not see one key."""

    def blind(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        seen = (torch.arange(key.shape[-2]) != place)[None]
        return attend(query, key, value, seen if mask is None else mask & seen)  # type: ignore[operator]

    return blind


@torch.no_grad()
def looks(model: GPT, language: Language, book: Codebook) -> dict[str, dict[str, Any]]:
    """Measure for every block how much of the weight on the two numbers lies on the right one."""
    told = two_digits("test", N_TEST, TEST_SEED)
    sequences = language.sequences(told.captions, book.encode(told.pictures))
    right = truth(language, sequences, NUMBERS, COLUMNS)
    with recording(model) as record:
        model(sequences[:, :1], sequences[:, :-1])
    seen = {}
    for name in record.calls:
        weights = record.weights(name)
        pointed = pointing(weights, right)
        seen[name] = {
            "own-word share": own_word_share(weights, right).item(),
            "by head": [own_word_share(head[:, None], right).item() for head in weights.unbind(1)],
            "mass": pointed.mass.tolist(),
            "inside": pointed.inside.tolist(),
            "chance": pointed.chance,
            "prompt": weights[:, :, 6:].mean((0, 1, 2))[:7].tolist(),
        }
    return seen


def run(seed: int) -> dict[str, Any]:
    """Train one model on pairs, and let it draw; then hide one number, and the other."""
    book = learn_codebook(digits("train").pictures, N_CODES, seed=seed)
    language = Language(WORDS, N_CODES)
    told = two_digits("train", N_TRAIN, TRAIN_SEED)
    with seeded(seed):
        model = make_drawer(language, LENGTH, dropout=DROPOUT)
    how = recipe(seed, STEPS, BATCH_SIZE, LEARNING_RATE)
    drawn = draw_batches(language, told.captions, book.encode(told.pictures), how)
    losses = learn(model, drawn, partial(drawing_loss, n_codes=N_CODES), how, progress=False)
    fast = Cached(model)
    draw = judged(fast, language, book, seed)
    found: dict[str, Any] = {
        "temperature 1": draw(),
        "temperature 1, judge of others": judged(fast, language, book, seed, OTHERS)(),
        "guidance 2": draw(scale=2.0),
    }
    for name, place in {"first": FIRST, "second": SECOND}.items():
        with attending(model, partial(hidden, place)):
            found[f"{name} hidden"] = draw()
    return {
        **found,
        "looks": looks(model, language, book),
        "weights": n_weights(model),
        "losses": [round(loss, 4) for loss in averaged(losses, 25)],
    }


def main() -> None:
    """Run the arm of two digits."""
    run_all("text_to_image_two", ARMS, run)


if __name__ == "__main__":
    main()
