"""Chapter 9: real sentences. Data, pieces, dropout, beams; the model's own mistakes; verbs that change their place."""

import random
from collections.abc import Sequence
from typing import Any

import sacrebleu
import torch

from book.experiments.running import run_all
from minattn.decoding import Cached, beam_search, log_probability
from minattn.recipe import Recipe, smoothed_loss, train
from minattn.recording import recording
from minattn.schedules import OneCycle
from minattn.subwords import START, cut_task, learn_subwords
from minattn.tasks import Task, message_pairs
from minattn.tasks.messages import Sentence
from minattn.training import seeded
from minattn.transformer import TransformerTranslator
from minattn.translation import Translator, greedy, translate
from minattn.vocabulary import EOS

STEPS = 1000
LONGEST = 60
VERBS = {"ändern": "Change", "löschen": "Delete", "hinzufügen": "Add", "anzeigen": "Show"}
ARMS: dict[str, dict[str, Any]] = {
    "as it is": {
        "beams": [(2, 0.0), (5, 0.0), (5, 1.0), (20, 0.0), (20, 1.0)],
        "look_closer": True,
    },
    "half of the data": {"share": 0.5},
    "a quarter of the data": {"share": 0.25},
    "an eighth of the data": {"share": 0.125},
    "characters": {"n_merges": 1},
    "200 merges": {"n_merges": 200},
    "3,000 merges": {"n_merges": 3000},
    "no dropout": {"dropout": 0.0},
    "dropout 0.3": {"dropout": 0.3},
    "smoothing": {"smoothing": 0.1},
    "two blocks": {"n_layers": 2},
    "twice as many steps": {"steps": 2 * STEPS},
}


@torch.no_grad()
def after_own_mistakes(model: Translator, task: Task) -> dict[str, float]:
    """Put the model's own mistakes into the right prefix, one at a time, and count what it gets right after them.

    Returns:
        The share of right guesses with right pieces before them, at any place; and one, two and three pieces
        after a mistake, with the right piece in its place and with the wrong one.
    """
    right: dict[str, list[bool]] = {"any piece": []}
    for example in task.held_out:
        batch = task.batch([example])
        target = batch.target_out[0]
        guess = model(batch.source, batch.target_in)[0].argmax(-1)
        right["any piece"] += (guess == target).tolist()
        places = ((guess != target) & (guess != EOS)).nonzero()[:, 0].tolist()
        for place in places:
            if place + 1 == len(target):
                continue
            changed = batch.target_in.clone()
            changed[0, place + 1] = guess[place]
            other = model(batch.source, changed)[0].argmax(-1)
            for later in range(1, min(4, len(target) - place)):
                for name, said in (("right", guess), ("wrong", other)):
                    there = right.setdefault(f"{later} after a {name} piece", [])
                    there.append(bool(said[place + later] == target[place + later]))
    return {name: sum(hits) / len(hits) for name, hits in right.items()}


@torch.no_grad()
def likelier(model: Translator, task: Task) -> dict[str, float]:
    """Compare how likely greedy, the best of 20 beams and the reference are, as shares of the held-out sentences."""
    batch = task.batch(task.held_out)
    first = log_probability(model, batch.source, greedy(model, batch.source, LONGEST))
    best = beam_search(model, batch.source, LONGEST, n_beams=20).log_probs[:, 0]
    reference = log_probability(model, batch.source, batch.target_out)
    return {
        "20 beams than greedy": (best > first + 1e-4).double().mean().item(),
        "reference than greedy": (reference > first + 1e-4).double().mean().item(),
        "reference than 20 beams": (reference > best + 1e-4).double().mean().item(),
    }


@torch.no_grad()
def loss_without_dropout(model: Translator, task: Task) -> float:
    """Average the loss over all training examples, in nats per piece."""
    batch = task.batch(task.train)
    return smoothed_loss(model(batch.source, batch.target_in), batch.target_out).item()


@torch.no_grad()
def on_the_verb(model: Translator, task: Task, sentences: Sequence[Sentence]) -> dict[str, float]:
    """Measure how much commands look at the German verb, at the end, for the English one, at the beginning.

    Returns:
        The weight on the German verb, mean over heads and commands, at the first English piece and at the others;
        and the share of commands whose first piece is right.
    """
    first, others, begun = [], [], []
    for example, pair in zip(task.held_out, sentences, strict=True):
        *before, last = pair.german.split()
        if not (before and pair.english.startswith(VERBS.get(last, "never"))):
            continue
        batch = task.batch([example])
        with recording(model) as record:
            logits = model(batch.source, batch.target_in)
        begun.append(bool(logits[0, 0].argmax() == batch.target_out[0, 0]))
        weights = record.weights("decoder.blocks.0.cross_attention")[0].mean(0)
        verb = max(i for i, piece in enumerate(example.source) if piece.startswith(START))
        looks = weights[: len(example.target), verb : len(example.source)].sum(1).tolist()
        first.append(looks[0])
        others += looks[1:]
    return {
        "first piece": sum(first) / len(first),
        "other pieces": sum(others) / len(others),
        "begun right": sum(begun) / len(begun),
    }


def run(
    seed: int,
    share: float = 1.0,
    n_merges: int = 1000,
    dropout: float = 0.1,
    smoothing: float = 0.0,
    n_layers: int = 1,
    steps: int = STEPS,
    beams: list[tuple[int, float]] | None = None,
    look_closer: bool = False,
) -> dict[str, Any]:
    """Train one model on real sentences and score what it writes."""
    sentences = message_pairs()
    pairs = random.Random(seed).sample(list(sentences.train), round(share * len(sentences.train)))
    alphabet = [
        {c for pair in (*sentences.train, *sentences.held_out) for c in pair[side]} - {" "}
        for side in (0, 1)
    ]
    german, english = (
        learn_subwords([pair[side] for pair in pairs], n_merges, alphabet[side]) for side in (0, 1)
    )
    task = cut_task("messages", pairs, sentences.held_out, german, english)
    with seeded(seed):
        model = TransformerTranslator(
            len(task.source), len(task.target), d_ff=128, n_layers=n_layers, dropout=dropout
        )
    recipe = Recipe(
        steps=steps,
        seed=seed,
        betas=(0.9, 0.98),
        smoothing=smoothing,
        schedule=OneCycle(steps, warm_up=0.2),
    )
    losses = train(model, task, recipe, progress=False)
    references = [[pair.english for pair in sentences.held_out]]

    def score(**settings: Any) -> dict[str, float]:
        written = [
            english.decode(pieces).replace(START, "")
            for pieces in translate(
                Cached(model),
                task,
                task.held_out,
                LONGEST,
                lambda m, s, n: beam_search(m, s, n, **settings).best,
            )
        ]
        bleu = sacrebleu.corpus_bleu(written, references)
        return {
            "chrF": sacrebleu.corpus_chrf(written, references).score,
            "BLEU": bleu.score,
            "precision": bleu.precisions[0],
            "right": sum(map(str.__eq__, written, references[0])) / len(written),
            "characters": sum(map(len, written)) / sum(map(len, references[0])),
        }

    greedy = score(n_beams=1)
    return {
        **greedy,
        "loss": sum(losses[-50:]) / 50,
        "beams": {f"{n}, alpha {a:g}": score(n_beams=n, alpha=a) for n, a in beams or ()},
        "mistakes": after_own_mistakes(model, task) if look_closer else {},
        "likelier": likelier(Cached(model), task) if look_closer else {},
        "loss without dropout": loss_without_dropout(model, task),
        "verb": on_the_verb(model, task, sentences.held_out) if look_closer else {},
    }


def main() -> None:
    """Run all arms."""
    run_all("real_sentences", ARMS, run)


if __name__ == "__main__":
    main()
