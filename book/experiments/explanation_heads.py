"""Chapter 21: what every head does in models of chapters 10 to 12, and what is lost without it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from book.experiments import bert, gpt, t5
from book.experiments.bert_measures import gaps
from book.experiments.explanation_stored import stored
from book.experiments.running import run_all
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.language import text_to_text
from minattn.masks import CAUSAL
from minattn.probing.attribution import head_weights
from minattn.probing.heads import places, roles, without_heads
from minattn.tasks.functions import python_functions
from minattn.tasks.two_notations import two_notations
from minattn.vocabulary import BOS, EOS, PAD, Vocabulary, token_mask

SEEDS = (0,)
N_TEXTS, N_LONGEST = 40, 100
ARMS: dict[str, dict[str, Any]] = {
    "GPT": {"kind": "gpt"},
    "BERT": {"kind": "bert"},
    "T5": {"kind": "t5"},
}
BLIND = (PAD, BOS, EOS)


class Probed:
    """A model, what it reads, and its loss.

    Args:
        loss: in nats, mean over the tokens that are asked.
        selves: places where a text attends to itself, by name, with the text and where it may look.
        cross: places where a target looks at a source, with the right keys.
        special: ids that stand for nothing.
    """

    def __init__(
        self,
        loss: Callable[[], Tensor],
        selves: dict[str, tuple[nn.Module, Tensor, Tensor]],
        cross: dict[str, tuple[nn.Module, Tensor, Tensor, Tensor]] | None = None,
        special: tuple[int, ...] = BLIND,
    ) -> None:
        self.loss, self.selves, self.cross, self.special = loss, selves, cross or {}, special


def causal(ids: Tensor) -> Tensor:
    """Return where each token may look that sees nothing behind it."""
    n = ids.shape[1]
    return CAUSAL.to_bool((n, n)).expand(len(ids), n, n)


def both(ids: Tensor) -> Tensor:
    """Return where each token may look that sees all but padding."""
    return token_mask(ids)[:, None].expand(-1, ids.shape[1], -1)


def of_gpt(seed: int) -> Probed:
    """Read functions that the stored model has not learned from; a new line is special, too."""
    functions = python_functions()
    words = Vocabulary(gpt.pieces(functions).tokens)
    model = gpt.make_model(len(words), seed=0).eval()
    load_model(stored_model("gpt"), model)
    texts = gpt.encoded(functions.test[:N_TEXTS], functions, words)
    batch = gpt.batch_of([text[:N_LONGEST] for text in texts])

    def loss() -> Tensor:
        logits = model(batch.source, batch.target_in)
        return F.cross_entropy(logits.mT, batch.target_out, ignore_index=PAD)

    ids = batch.target_in
    selves = {
        f"layer {n}": (block.self_attention, ids, causal(ids))
        for n, block in enumerate(model.decoder.blocks, 1)
    }
    lines = tuple(i for i, piece in enumerate(words.tokens) if "\n" in piece)
    return Probed(loss, selves, special=(*BLIND, *lines))


def of_bert(seed: int) -> Probed:
    """Fill gaps of numbers that the model has not learned from."""
    task = two_notations()
    model = bert.pretrain(task, seed)[0].eval()
    batch = gaps(task, task.numbers(task.held_out[: 4 * N_TEXTS]))

    def loss() -> Tensor:
        return F.cross_entropy(model(batch.read)[batch.chosen], batch.ids[batch.chosen])

    selves = {
        f"layer {n}": (block.self_attention, batch.read, both(batch.read))
        for n, block in enumerate(model.encoder.blocks, 1)
    }
    equals = task.vocabulary.encode(["="])
    return Probed(loss, selves, special=(*BLIND, *equals))


def of_t5(seed: int) -> Probed:
    """Answer what the stored model was taught, on numbers that it has not seen."""
    model, task = stored("t5"), t5.task_of()
    said = [one for one in task.held_out if isinstance(one, text_to_text.TextExample)]
    step = max(1, len(said) // (2 * N_TEXTS))
    some = said[::step][: 2 * N_TEXTS]
    batch = task.batch(some)

    def loss() -> Tensor:
        logits = model(batch.source, batch.target_in)
        return F.cross_entropy(logits.mT, batch.target_out, ignore_index=PAD)

    selves = {
        f"encoder {n}": (block.self_attention, batch.source, both(batch.source))
        for n, block in enumerate(model.encoder.blocks, 1)
    } | {
        f"decoder {n}": (block.self_attention, batch.target_in, causal(batch.target_in))
        for n, block in enumerate(model.decoder.blocks, 1)
    }
    seen = token_mask(batch.source)[:, None].expand(-1, batch.target_in.shape[1], -1)
    cross = {
        f"cross {n}": (block.cross_attention, batch.target_in, seen, text_to_text.truth(some))
        for n, block in enumerate(model.decoder.blocks, 1)
    }
    return Probed(loss, selves, cross)


KINDS = {"gpt": of_gpt, "bert": of_bert, "t5": of_t5}


@torch.no_grad()
def measured(probed: Probed) -> dict[str, Any]:
    """Measure the roles of every head, and the loss without it."""
    whole = probed.loss().item()
    parts: dict[str, Any] = {}
    every = probed.selves | {name: found[:3] for name, found in probed.cross.items()}
    for name, (part, ids, allowed) in every.items():
        weights = head_weights(probed.loss, part)
        counted = token_mask(ids)
        cross = probed.cross.get(name)
        known = {"right key": cross[3]} if cross else places(ids, probed.special)
        alone = {}
        n_heads = weights.shape[1]
        for head in range(n_heads):
            with without_heads(part, [head]):
                alone[head] = probed.loss().item() - whole
        with without_heads(part, range(n_heads)):
            without_all = probed.loss().item() - whole
        parts[name] = {
            "roles": {
                role: {"weight": found.weight.tolist(), "uniform": found.uniform}
                for role, found in roles(weights, known, allowed, counted).items()
            },
            "lost without": list(alone.values()),
            "lost without all": without_all,
        }
    return {"loss": whole, "parts": parts}


def run(seed: int, kind: str) -> dict[str, Any]:
    """Measure one model."""
    return measured(KINDS[kind](seed))


def main() -> None:
    """Run all arms."""
    run_all("explanation_heads", ARMS, run, SEEDS)


if __name__ == "__main__":
    main()
