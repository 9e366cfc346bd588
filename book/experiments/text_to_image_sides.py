"""Chapter 20: one change to the model of the experiment `text_to_image` in each arm, with three seeds."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from book.experiments.measuring import n_weights
from book.experiments.running import run_all
from book.experiments.text_to_image import DROPOUT, N_CODES, make_model, surprise, teach
from book.experiments.text_to_image_measures import asked, found, written
from minattn.decoding import Cached
from minattn.pictures.codebook import Codebook, learn_codebook, nearest, patches, usage
from minattn.pictures.drawing import Language
from minattn.tasks.digits import digits
from minattn.tasks.told_digits import WORDS
from minattn.training import seeded
from minattn.translation import Memory, State, Translator

SEEDS = (0, 1, 2)
WIDTH, HIDDEN = 64, 140

ARMS: dict[str, dict[str, Any]] = {
    "GRU": {"kind": "GRU"},
    "32 codes": {"n_codes": 32},
    "512 codes": {"n_codes": 512},
    "512 codes, begun carelessly": {"n_codes": 512, "careless": True},
    "words weighed as codes": {"word_weight": 1.0},
}


class Recurrent(Translator):
    """A GRU that reads words and codes, with as many weights as the model that attends.

    Args:
        vocab_size: how many tokens.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, WIDTH)
        self.gru = nn.GRU(WIDTH, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.readout = nn.Linear(HIDDEN, vocab_size)

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Embed the prompt without its last token."""
        x = self.embedding(source[:, :-1])
        return Memory(x, torch.ones(x.shape[:2], dtype=torch.bool))

    def first_token(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Int[Tensor, " batch"]:
        """Return the last token of every prompt."""
        return source[:, -1]

    def start(self, memory: Memory) -> State:
        """Read the prompt."""
        return (self.gru(memory.states)[1][0],)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one more token."""
        x, after = self.gru(self.embedding(token)[:, None], state[0][None])
        return self.readout(x[:, 0]), (after[0],)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Read all tokens behind each other; the prompt is no more than the first of them."""
        x, _ = self.gru(self.dropout(self.embedding(target_in)))
        logits: Tensor = self.readout(self.dropout(x))
        return logits


def careless_codebook(pictures: Tensor, n_codes: int, seed: int, rounds: int = 20) -> Codebook:
    """Begin with any patches, many of them empty paper, and leave a code without patches as it is."""
    points = patches(pictures).flatten(0, 1)
    rng = torch.Generator().manual_seed(seed)
    centres = points[torch.randint(len(points), (n_codes,), generator=rng)]
    different, counts = points.unique(dim=0, return_counts=True)
    for _ in range(rounds):
        codes, _ = nearest(different, centres)
        n_own = torch.zeros(n_codes).double().index_add(0, codes, counts.double())
        sums = torch.zeros_like(centres).index_add(0, codes, different * counts[:, None])
        centres = torch.where(n_own[:, None] > 0, sums / n_own.clamp_min(1)[:, None], centres)
    return Codebook(centres)


def run(
    seed: int,
    kind: str = "attention",
    n_codes: int = N_CODES,
    careless: bool = False,
    word_weight: float = 0.0,
) -> dict[str, Any]:
    """Train one model, and judge what it draws."""
    pictures = digits("train").pictures
    make = careless_codebook if careless else learn_codebook
    book = make(pictures, n_codes, seed=seed)
    language = Language(WORDS, n_codes)
    if kind == "GRU":
        with seeded(seed):
            model: Translator = Recurrent(len(language))
    else:
        model = make_model(language, seed)
    teach(model, language, book, seed, word_weight)
    known, what = book.encode(pictures), asked()
    fast = model if kind == "GRU" else Cached(model)  # type: ignore[arg-type]
    cut = patches(digits("test").pictures).flatten(0, 1)
    return {
        **{
            name: found(
                written(fast, language, what.captions, seed=seed, scale=scale), book, known, what
            )
            for name, scale in {"temperature 1": 1.0, "guidance 2": 2.0}.items()
        },
        "surprise": surprise(model, language, book, "test"),
        "usage": usage(known, n_codes)._asdict(),
        "error": nearest(cut, book.centres)[1].mean().item(),
        "weights": n_weights(model),
    }


def main() -> None:
    """Run all arms."""
    run_all("text_to_image_sides", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
