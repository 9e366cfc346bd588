"""Chapter 10: what a decoder alone learns of short functions, beside all that counting can know."""

import math
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from book.experiments.counting import NGrams, Texts, bits, longest_copy, mixed, written
from book.experiments.running import run_all
from minattn.decoding import Cached, sample
from minattn.dot_product import fused_attend
from minattn.language.gpt import GPT, Smeared, TextTask, text_task, token_bits, truth
from minattn.learning import Recipe
from minattn.masks import CAUSAL, Mask, Window
from minattn.pointing import pointing
from minattn.positions import SinusoidalPositions, with_rotary
from minattn.recipe import train
from minattn.recording import recording
from minattn.schedules import HoldAndFall
from minattn.seam import Attend
from minattn.subwords import START, Subwords
from minattn.tasks.functions import ALPHABET, Functions, python_functions
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.vocabulary import BOS, EOS, Batch, Vocabulary, pad

N_MERGES = 400
D_MODEL, N_HEADS = 64, 2
STEPS, BATCH_SIZE, LEARNING_RATE = 1200, 8, 4e-3
SHORT = 800
ORDERS = (1, 2, 3, 4, 5, 6, 8, 10)
PLACES = (1, 16, 32, 64, 128, 512)
N_LOOKED_AT = 40
WINDOWS = (2, 8, 32, 128)
PROMPTS = (1, 8, 32)
N_WRITTEN, MAX_WRITTEN = 100, 80

ARMS: dict[str, dict[str, Any]] = {
    "counting": {"n_layers": 0},
    "GPT": {},
    "GPT, plain keys": {"smeared": False},
    "1 layer": {"n_layers": 1, "steps": SHORT},
    "1 layer, plain keys": {"n_layers": 1, "steps": SHORT, "smeared": False},
    "1 layer, sinusoidal": {"n_layers": 1, "steps": SHORT, "rotary": False},
    **{f"1 layer, last {n}": {"n_layers": 1, "steps": SHORT, "window": n} for n in WINDOWS},
}


@cache
def pieces(functions: Functions) -> Subwords:
    """Say how texts are cut."""
    return Subwords((*ALPHABET, START), functions.merges[:N_MERGES])


def make_task(functions: Functions) -> TextTask:
    """Make the task; what is held out is for validation."""
    return text_task("functions", functions.train, functions.validation, pieces(functions))


@dataclass(frozen=True)
class Near:
    """An attend that looks at no more than the last few keys."""

    attend: Attend
    size: int

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        near = Window(before=self.size - 1, after=0)
        return self.attend(query, key, value, near if mask is None else mask & near)


def make_model(
    vocab_size: int,
    seed: int,
    n_layers: int = 2,
    smeared: bool = True,
    rotary: bool = True,
    window: int | None = None,
) -> GPT:
    """Make a small GPT."""
    attend = fused_attend if window is None else Near(fused_attend, window)
    attend = with_rotary(attend) if rotary else attend
    with seeded(seed):
        blocks = [
            EncoderBlock(
                D_MODEL,
                N_HEADS,
                4 * D_MODEL,
                attend=Smeared(N_HEADS, attend) if smeared else attend,
            )
            for _ in range(n_layers)
        ]
        positions = None if rotary else SinusoidalPositions(D_MODEL)
        decoder = TransformerEncoder(blocks, nn.LayerNorm(D_MODEL))
        return GPT(vocab_size, decoder, positions=positions, tied=True)


def recipe(seed: int, steps: int = STEPS) -> Recipe:
    """Say how a model is trained."""
    return Recipe(
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        schedule=HoldAndFall(steps),
        weight_decay=0.05,
        betas=(0.9, 0.98),
        seed=seed,
    )


def encoded(texts: tuple[str, ...], functions: Functions, words: Vocabulary) -> list[list[int]]:
    """Turn texts into ids."""
    return [words.encode(pieces(functions).encode(text)) for text in texts]


def batch_of(texts: Texts) -> Batch:
    """Put texts into a batch, as the task does."""
    read, asked = pad([[BOS, *text] for text in texts]), pad([[*text, EOS] for text in texts])
    return Batch(read[:, :1], read, asked)


def surprise(model: GPT, texts: Texts) -> np.ndarray:
    """Return the bits of every token, one text after the other."""
    found: list[np.ndarray] = []
    for begin in range(0, len(texts), 16):
        part = texts[begin : begin + 16]
        rows = token_bits(model, batch_of(part)).double().numpy()
        found += [row[: len(text) + 1] for row, text in zip(rows, part, strict=True)]
    return np.concatenate(found)


def kinds(texts: Texts, names: list[list[bool]]) -> dict[str, np.ndarray]:
    """Sort the tokens of texts: by place, by whether they could be copied, and new names said again."""
    place = np.concatenate([np.arange(1, len(text) + 2) for text in texts])
    copied = [truth(batch_of([text])).any(-1)[0].numpy() for text in texts]
    found = {"all": place > 0, "copied": np.concatenate(copied)}
    found["not copied"] = ~found["copied"]
    found["new name again"] = np.concatenate([[*flags, False] for flags in names])
    for low, high in pairwise(PLACES):
        found[f"place {low}"] = (place >= low) & (place < high)
    return found


def new_names(text: str, known: set[str], cut: Subwords) -> list[bool]:
    """Mark the tokens of words that no text to learn from has, where this text had them before."""
    spans, seen = [], set()
    for word in re.finditer(r"\w+", text):
        if word[0] in seen:
            spans.append(word.span())
        elif word[0] not in known:
            seen.add(word[0])
    marked, end = [], -1  # the first piece has a mark for a blank that is not there
    for piece in cut.encode(text):
        begin, end = max(0, end), end + len(piece)
        inside = piece.strip(START)
        marked.append(
            bool(re.fullmatch(r"\w+", inside)) and any(a < end and begin < b for a, b in spans)
        )
    return marked


def sorted_test(functions: Functions, words: Vocabulary) -> tuple[Texts, dict[str, np.ndarray]]:
    """Encode the test texts, and sort their tokens."""
    known = {word for text in functions.train for word in re.findall(r"\w+", text)}
    names = [new_names(text, known, pieces(functions)) for text in functions.test]
    test = encoded(functions.test, functions, words)
    return test, kinds(test, names)


def sorted_bits(found: np.ndarray, of: dict[str, np.ndarray], characters: int) -> dict[str, float]:
    """Average the bits of each kind of token."""
    means = {kind: float(found[chosen].mean()) for kind, chosen in of.items() if chosen.any()}
    return means | {"per character": float(found.sum() / characters)}


def memory(model: GPT, texts: Texts, train_text: str, seed: int) -> dict[str, dict[str, float]]:
    """Let a model go on with prompts, and find the longest run that stands so in what it has learned from."""
    found = {}
    texts = [text for text in texts if len(text) > max(PROMPTS)][:N_WRITTEN]
    for size in PROMPTS:
        prompts = torch.tensor([[BOS, *text[:size]] for text in texts])
        with seeded(seed):
            ids = sample(Cached(model), prompts, MAX_WRITTEN, top_p=0.95).tolist()
        ends = [[i for i in row if i > 2] for row in ids]
        runs = [longest_copy(text, train_text) for text in ends]
        real = [longest_copy(text[size : size + MAX_WRITTEN], train_text) for text in texts]
        found[str(size)] = {
            "longest": max(runs),
            "median": float(np.median(runs)),
            "median of real ones": float(np.median(real)),
        }
    return found


@torch.no_grad()
def looked_at(model: GPT, texts: Texts) -> dict[str, float]:
    """Score the best head of every layer against the places that could be copied from."""
    batch = batch_of(texts)
    with recording(model) as record:
        model(batch.source, batch.target_in)
    right = truth(batch)
    n = right.shape[1]
    allowed = CAUSAL.to_bool((n, n)).expand_as(right)
    found = {}
    for layer, name in enumerate(record.calls, 1):
        score = pointing(record.weights(name), right, allowed=allowed)
        found |= {f"inside {layer}": score.inside.max().item(), f"chance {layer}": score.chance}
    return found


def count(functions: Functions, words: Vocabulary, of: dict[str, np.ndarray]) -> dict[str, Any]:
    """Measure all n-grams, and the best one with what each text itself has had."""
    train_ids = encoded(functions.train, functions, words)
    parts = {
        part: encoded(getattr(functions, part), functions, words) for part in ("validation", "test")
    }
    grams = {p: NGrams(train_ids, ids, len(words), max(ORDERS)) for p, ids in parts.items()}
    said = {p: {n: grams[p].probabilities(n) for n in ORDERS} for p in parts}
    best = min(ORDERS, key=lambda n: bits(said["validation"][n]).mean())
    own = mixed(said["test"][best], parts["test"], (said["validation"][best], parts["validation"]))
    tried = {f"order {n}": said["test"][n] for n in ORDERS} | {"best order": said["test"][best]}
    characters = sum(map(len, functions.test))
    return {
        "chosen order": best,
        "validation": {f"order {n}": float(bits(said["validation"][n]).mean()) for n in ORDERS},
        "test": {name: sorted_bits(bits(p), of, characters) for name, p in (tried | own).items()},
    }


def run(seed: int, n_layers: int = 2, steps: int = STEPS, **settings: Any) -> dict[str, Any]:
    """Train one model, or count, and measure it on texts of other files."""
    functions = python_functions()
    task = make_task(functions)
    words = task.target
    test, of = sorted_test(functions, words)
    if not n_layers:
        return count(functions, words, of)
    model = make_model(len(words), seed, n_layers, **settings)
    losses = train(model, task, recipe(seed, steps), progress=False)
    characters = sum(map(len, functions.test))
    train_text = written(encoded(functions.train, functions, words))
    return {
        "loss": sum(losses[-50:]) / 50 / math.log(2),
        "validation": float(
            surprise(model, encoded(functions.validation, functions, words)).mean()
        ),
        "test": sorted_bits(surprise(model, test), of, characters),
        "memory": memory(model, test, train_text, seed),
        "looked at": looked_at(model, test[:N_LOOKED_AT]),
    }


def main() -> None:
    """Run all arms."""
    run_all("gpt", ARMS, run)


if __name__ == "__main__":
    main()
