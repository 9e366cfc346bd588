"""What the experiment of chapter 11 measures: gaps, where attention looks, labels, a check without labels."""

import copy
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minattn.language.bert import BERT, BERTClassifier, Hidden, ask_each, hide, neighbour_counts
from minattn.learning import Recipe, learn
from minattn.pointing import one_right_key, pointing
from minattn.recording import recording
from minattn.schedules import Cosine, WarmUp
from minattn.tasks.two_notations import (
    Text,
    TwoNotations,
    labelled,
    swap_two_digits,
    truth,
    two_notations_text,
)
from minattn.training import seeded
from minattn.vocabulary import token_mask

ASKED = 0.15
"""Share of the tokens that are hidden in the test, whatever share was hidden in training; all by the mask."""

N_TEXTS = 500
LAYERS = ("encoder.blocks.0.self_attention", "encoder.blocks.1.self_attention")


def recipe(steps: int, learning_rate: float, warm_up: int, **settings: Any) -> Recipe:
    """Make a recipe with a warm-up and a cosine, as all trainings here have."""
    return Recipe(
        steps=steps,
        learning_rate=learning_rate,
        schedule=WarmUp(warm_up, Cosine(max(1, steps - warm_up), end=0.05)),
        betas=(0.9, 0.98),
        weight_decay=0.01,
        **settings,
    )


def gaps(task: TwoNotations, ids: Tensor) -> Hidden:
    """Hide tokens for a test, the same ones for every model."""
    generator = torch.Generator().manual_seed(9)
    how: dict[str, Any] = {"mask_id": task.mask_id, "ordinary": task.ordinary}
    return hide(ids, ASKED, generator, masked=1.0, replaced=0.0, **how)


def score(task: TwoNotations, logits: Tensor, batch: Hidden) -> dict[str, float]:
    """Say how many of the chosen digits and words are told right, and the loss over all chosen tokens."""
    right = logits.argmax(-1) == batch.ids
    digit = batch.chosen & (batch.ids < task.digits.stop)
    word = batch.chosen & ~digit
    loss = F.cross_entropy(logits[batch.chosen], batch.ids[batch.chosen])
    return {
        "all": share(right[batch.chosen]),
        "digits": share(right[digit]),
        "words": share(right[word]),
        "loss": loss.item(),
    }


def share(hits: Tensor) -> float:
    """Return the share of True."""
    return hits.double().mean().item()


@torch.no_grad()
def fill_gaps(
    model: BERT, task: TwoNotations, numbers: Sequence[int], left: bool = False
) -> dict[str, float]:
    """Score a model on hidden tokens of numbers; one that looks left alone reads all that stands there."""
    batch = gaps(task, task.numbers(numbers))
    return score(task, model(batch.ids if left else batch.read), batch)


def count_gaps(task: TwoNotations, numbers: Sequence[int]) -> dict[str, Any]:
    """Score counts on the same hidden tokens; all neighbours are seen, also those that are hidden."""
    train = task.numbers(task.train)
    batch = gaps(task, task.numbers(numbers))
    found: dict[str, Any] = {}
    sides = {"unigram": (), "left": (-1,), "right": (1,), "both neighbours": (-1, 1)}
    for name, neighbours in sides.items():
        logits = neighbour_counts(train, batch.ids, len(task.vocabulary), neighbours)
        special = torch.ones(len(task.vocabulary), dtype=torch.bool)
        special[task.ordinary.start :] = False  # a gap is never one of these
        found[name] = score(task, logits.masked_fill(special, -1e9).log_softmax(-1), batch)
    found["uniform"] = {"loss": math.log(len(task.ordinary))}
    return found


def digit_gaps(task: TwoNotations, texts: Sequence[Text]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hide every digit that a word says, one at a time.

    Returns:
        Ids with one digit hidden; its place; the right word for it, as bool (rows, 1, seq); where there are words.
    """
    ids, right = task.encode(texts), truth(texts)
    rows, places = right.any(-1).nonzero(as_tuple=True)
    read = ids[rows]
    read[torch.arange(len(rows)), places] = task.mask_id
    words = ids[rows] >= task.digits.stop
    return read, places, right[rows, places][:, None], words


@torch.no_grad()
def alignment(
    model: BERT, task: TwoNotations, numbers: Sequence[int], left: bool = False
) -> dict[str, Any]:
    """Score where attention looks from a hidden digit: at the word that says it?

    One that looks left alone tells a digit at the place before it.
    """
    texts = [two_notations_text(number) for number in numbers]
    read, places, right, words = digit_gaps(task, texts)
    with recording(model) as record:
        model(read)
    rows = torch.arange(len(read))
    found: dict[str, Any] = {}
    for layer, name in enumerate(LAYERS, 1):
        weights = record.weights(name)[rows, :, places - int(left)][
            :, :, None
        ]  # (rows, heads, 1, seq)
        mean = weights.mean(1)
        found[f"layer {layer}"] = {
            "mean of heads": pointing(mean, right).inside.item(),
            "mean of heads, weight": pointing(mean, right).mass.item(),
            "mean of heads, among words": pointing(mean * words[:, None], right).inside.item(),
            "heads": pointing(weights, right).inside.tolist(),
        }
    found["uniform"] = pointing(mean, right, allowed=words).chance
    found["straight"] = pointing(straight(task, read, places), right).inside.item()
    return found


def straight(task: TwoNotations, read: Tensor, places: Tensor) -> Tensor:
    """Look from a digit at the word as far along its side as the digit is along the other one."""
    n_words = (read >= task.digits.stop).sum(1)
    n_digits = token_mask(read).sum(1) - n_words - 3  # BOS, =, EOS
    along = (places - n_words - 2) / (n_digits - 1)
    word = 1 + (along * (n_words - 1)).round().long()
    return one_right_key(word[:, None], read.shape[1]).double()


# --- labels


def labelled_batches(
    ids: Tensor, labels: Tensor, seed: int, size: int = 32
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw texts with their labels, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        rows = torch.randint(len(ids), (size,), generator=generator)
        yield ids[rows], labels[rows]


def label_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss of a classifier."""
    return F.cross_entropy(model(batch[0]), batch[1])


def fine_tune(
    bert: BERT, ids: Tensor, agree: Tensor, seed: int, steps: int = 150, rate: float = 1e-3
) -> BERTClassifier:
    """Put a head on a copy of a model, and train both on labels."""
    with seeded(1000 + seed):
        model = BERTClassifier(copy.deepcopy(bert), 2)
    how = recipe(steps, rate, warm_up=max(1, steps // 10), seed=seed)
    learn(model, labelled_batches(ids, agree.long(), seed), label_loss, how, progress=False)
    return model


@torch.no_grad()
def says(model: nn.Module, ids: Tensor) -> Tensor:
    """Say of which texts a classifier thinks that they agree."""
    return torch.cat([model(part).argmax(-1) == 1 for part in ids.split(500)])


@torch.no_grad()
def check_without_labels(
    bert: BERT, task: TwoNotations, texts: Sequence[Text], agree: Tensor
) -> dict[str, float]:
    """Hide each digit in turn: a text agrees if the model would have written every digit itself."""
    ids = task.encode(texts)
    asked = (ids >= task.digits.start) & (ids < task.digits.stop)
    logits = ask_each(bert, ids, asked, task.mask_id)[:, task.digits.start : task.digits.stop]
    digits = ids[asked] - task.digits.start
    as_written = torch.ones_like(asked)
    as_written[asked] = logits.argmax(-1) == digits
    chance = torch.zeros(ids.shape)
    chance[asked] = logits.log_softmax(-1).gather(1, digits[:, None])[:, 0]
    least = chance.argmin(-1)  # of all digits the one that the model would least have written
    says_agree = as_written.all(1)
    wrong = ids != task.numbers(tuple(text.number for text in texts))
    return {
        "right": share(says_agree == agree),
        "found": share(~says_agree[~agree]),
        "false alarms": share(~says_agree[agree]),
        "place found": share(wrong[torch.arange(len(ids)), least][~agree]),
    }


Tests = dict[str, tuple[tuple[Text, ...], Tensor]]


def write_tests(task: TwoNotations) -> Tests:
    """Write held-out texts, half of them wrong in one of three ways; with each whether it agrees."""
    return {
        "changed": labelled(task.held_out, 6),
        "swapped": labelled(task.held_out, 7, swap_two_digits),
        "shuffled": labelled(task.held_out, 8, shuffle_digits),
    }


def label_measures(
    bert: BERT, fresh: BERT, task: TwoNotations, seed: int, sizes: Sequence[int]
) -> dict[str, Any]:
    """Fine-tune with more and more labels; with several sizes, beside all that it is compared with."""
    tests, whole = write_tests(task), len(sizes) > 1
    numbers = random.Random(100 + seed).sample(task.train, max(sizes))
    found: dict[str, Any] = {}
    for n in sizes:
        few = labelled(numbers[:n], 200 + seed)
        found[str(n)] = tuned_on(bert, task, few, tests, seed)
        if whole:
            found[str(n)] |= compared(fresh, task, few, tests["changed"], seed)
    if whole:
        swapped = labelled(numbers, 300 + seed, swap_two_digits)
        told = tuned_on(bert, task, swapped, {"changed": tests["swapped"]}, seed)
        found["labels of swapped digits"] = told["fine-tuned"]
    found["without labels"] = {
        name: check_without_labels(
            bert, task, *(test if whole else (part[:N_TEXTS] for part in test))
        )
        for name, test in tests.items()
        if whole or name != "shuffled"
    }
    found["same counts"] = {
        name: share(same_counts(texts) == agree) for name, (texts, agree) in tests.items()
    }
    return found


def tuned_on(
    bert: BERT, task: TwoNotations, few: tuple[Sequence[Text], Tensor], tests: Tests, seed: int
) -> dict[str, float]:
    """Fine-tune on texts with labels, and see what the model then takes for right."""
    tuned = fine_tune(bert, task.encode(few[0]), few[1], seed)
    found: dict[str, float] = {}
    for name, (texts, agree) in tests.items():
        said = says(tuned, task.encode(texts))
        if name == "changed":
            found["fine-tuned"] = share(said == agree)
        else:
            found |= {
                f"{name}: fine-tuned": share(said == agree),
                f"{name}: wrong taken for right": share(said[~agree]),
                f"{name}: right taken for right": share(said[agree]),
            }
    return found


def compared(
    fresh: BERT,
    task: TwoNotations,
    few: tuple[Sequence[Text], Tensor],
    test: tuple[Sequence[Text], Tensor],
    seed: int,
) -> dict[str, float]:
    """Learn from the same labels without having filled gaps before."""
    (texts, labels), (ids, agree) = few, (task.encode(test[0]), test[1])
    scratch = fine_tune(fresh, task.encode(texts), labels, seed)
    found = {"from scratch": share(says(scratch, ids) == agree)}
    return found | logistic_regressions(task, (task.encode(texts), labels), (ids, agree))


def shuffle_digits(digits: str, rng: random.Random) -> str | None:
    """Put the digits into an order in which none but equal ones stay; None if there is none among a few tries."""
    for _ in range(50):
        other = "".join(rng.sample(digits, len(digits)))
        if other[0] != "0" and all(a != b for a, b in zip(digits, other, strict=True)):
            return other
    return None


def same_counts(texts: Sequence[Text]) -> Tensor:
    """Say which texts have as many of each digit as the words say: what a rule finds that counts."""
    return torch.tensor(
        [
            sorted(text.tokens[text.tokens.index("=") + 1 :]) == sorted(str(text.number))
            for text in texts
        ]
    )


# --- models that count


def features(task: TwoNotations, ids: Tensor) -> dict[str, Tensor]:
    """Make the features of three models: words, pairs of neighbours, and each digit with each word."""
    size = len(task.vocabulary)
    once = F.one_hot(ids, size).sum(1).float()
    once[:, 0] = 0
    pairs = torch.zeros(len(ids), size * size)
    pairs.scatter_add_(1, ids[:, :-1] * size + ids[:, 1:], (ids[:, 1:] > 0).float())
    digits, words = once[:, task.digits.start : task.digits.stop], once[:, task.digits.stop :]
    crossed = (digits[:, :, None] * words[:, None]).flatten(1)
    return {
        "words": once,
        "pairs": torch.cat([once, pairs], 1),
        "digit by word": torch.cat([once, crossed], 1),
    }


def logistic_regressions(
    task: TwoNotations, few: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """Fit each model with labels; how strongly weights are held back is chosen on the validation part."""
    texts, agree = labelled(task.validation[: 2 * N_TEXTS], 5)
    parts = few, (task.encode(texts), agree), test
    made = [features(task, ids) for ids, _ in parts]
    found: dict[str, float] = {}
    for name in made[0]:
        mean, spread = made[0][name].mean(0), made[0][name].std(0)
        seen = spread > 0
        x = [((part[name] - mean) / spread)[:, seen] for part in made]
        fits = [logistic_regression(x[0], few[1], held_back) for held_back in (0.01, 0.1, 1.0)]
        scores = [
            [share((part @ w + b > 0) == y) for part, (_, y) in zip(x, parts, strict=True)]
            for w, b in fits
        ]
        found[name] = max(scores, key=lambda score: score[1])[2]
    return found


def logistic_regression(x: Tensor, y: Tensor, held_back: float) -> tuple[Tensor, Tensor]:
    """Fit weights and a bias; large weights are held back."""
    w, b = torch.zeros(x.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ w + b, y.float())
        loss = loss + held_back * (w**2).sum() / x.shape[1] ** 0.5
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    return w.detach(), b.detach()
