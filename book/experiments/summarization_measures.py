"""Chapter 13: what is measured of summaries, whoever made them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from minattn.language.pointer import PointerGenerator, copied
from minattn.language.rouge import Rouge, faithful, lead, most_similar, rouge
from minattn.pointing import pointing
from minattn.tasks.base import Example
from minattn.tasks.facts import EVENTS, FIELDS
from minattn.tasks.persons import word_counts
from minattn.tasks.summaries import UNK, SummaryTask
from minattn.translation import Translator, write
from minattn.vocabulary import token_mask

MAX_LENGTH = 24
PATTERNS = {
    "facts": r"(?P<field>\S+) : (?P<name>\S+) of (?P<home>\S+) (?P<event>.+) (?P<place>\S+) , (?P<year>\S+)",
    "persons": r"(?P<name>.+) , (?P<job>\S+) from (?P<country>.+) , (?P<years>(?:lived|born) .+)",
}
FRAME = "of from the lived to born in".split()
RARITY = {"never": 0, "1 to 9 times": 9, "10 to 99 times": 99, "100 times or more": 10**9}
"""How often a word comes in what is learned from, at most."""

Words = Sequence[str]


def forbid_unknown(model: Translator, source: Tensor, max_length: int) -> Tensor:
    """Write greedily, but never the token for all other words."""

    def choose(logits: Tensor) -> Tensor:
        return logits.index_fill(-1, torch.tensor([UNK]), -torch.inf).argmax(-1)

    return write(model, source, choose, max_length)


def parts(task: SummaryTask, words: Words) -> dict[str, str]:
    """Take a headline apart; nothing of one that is not in order."""
    found = re.fullmatch(PATTERNS[task.name], " ".join(words))
    return found.groupdict() if found else {}


def ordinary(task: SummaryTask) -> set[str]:
    """Gather the words that a headline may have and its text need not: they are meant, or part of the frame."""
    if task.name == "facts":
        return {*FRAME, *FIELDS, *" ".join(EVENTS).split()}
    countries = (parts(task, one.target)["country"] for one in task.train)
    return {*FRAME, *" ".join(countries).split()}


def score(task: SummaryTask, examples: Sequence[Example], said: Sequence[Words]) -> dict[str, Any]:
    """Score headlines against the right ones: exactly, part by part, by ROUGE, and against the texts."""
    pairs = [(one, list(words)) for one, words in zip(examples, said, strict=True)]
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for one, words in pairs:
        found = parts(task, words)
        for part, wanted in parts(task, one.target).items():
            right[part].append(found.get(part) == wanted)
    rouges = [rouge(words, one.target) for one, words in pairs]
    allowed = ordinary(task)
    return {
        "exact": fmean(list(one.target) == words for one, words in pairs),
        "parts": {part: fmean(hits) for part, hits in right.items()},
        "rouge": dict(zip(Rouge._fields, map(fmean, zip(*rouges, strict=True)), strict=True)),
        "faithful": fmean(faithful(words, one.source, allowed) for one, words in pairs),
    }


def by_rarity(
    task: SummaryTask, examples: Sequence[Example], said: Sequence[Words]
) -> dict[str, dict[str, float]]:
    """Find how many words of the right headlines were said, by how often training has them."""
    counts = word_counts(task.train)
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    for one, words in zip(examples, said, strict=True):
        for word in filter(str.isalnum, one.target):
            hits[rarity(counts[word])].append(word in words)
    return {
        kind: {"said": fmean(found), "words": len(found)} for kind, found in sorted(hits.items())
    }


def rarity(count: int) -> str:
    """Name a count."""
    return next(name for name, most in RARITY.items() if count <= most)


@torch.no_grad()
def pointed(
    model: PointerGenerator, task: SummaryTask, examples: Sequence[Example]
) -> dict[str, Any]:
    """Find where a model looks, and how much of the probability of a right word comes from pointing."""
    batch = task.batch(examples)
    log_probs, weights, gate = model.said(batch.source, batch.target_in)
    right = batch.target_out[..., None]
    share = copied(weights, batch.source, log_probs.shape[-1]).gather(-1, right)[..., 0]
    share = (1 - gate) * share / log_probs.exp().gather(-1, right)[..., 0]
    tokens = token_mask(batch.target_out)
    found = pointing(weights, task.truth(batch), allowed=token_mask(batch.source))
    counts = word_counts(task.train)
    copies: defaultdict[str, list[float]] = defaultdict(list)
    for one, row in zip(examples, share.tolist(), strict=True):
        for word, value in zip(one.target, row, strict=False):
            if word.isalnum():
                copies[rarity(counts[word])].append(value)
    return {
        "inside": found.inside.item(),
        "chance": found.chance,
        "gate": gate[tokens].mean().item(),
        "copied": {kind: fmean(values) for kind, values in sorted(copies.items())},
        "nats": -log_probs.gather(-1, right)[..., 0][tokens].mean().item(),
    }


def rules(task: SummaryTask) -> dict[str, dict[str, Any]]:
    """Score what needs no model: the beginning of a text, the headline of the most similar text, a rule of hand."""
    texts = [one.source for one in task.train]
    length = round(fmean(len(one.target) for one in task.train))
    by_hand = {"facts": fact_by_hand, "persons": person_by_hand}[task.name]
    tried: dict[str, list[Words]] = {
        "lead": [lead(one.source, length) for one in task.held_out],
        "most similar": [
            task.train[most_similar(one.source, texts)].target for one in task.held_out
        ],
        "by hand": [by_hand(one.source) for one in task.held_out],
    }
    return {name: score(task, task.held_out, said) for name, said in tried.items()}


def fact_by_hand(text: Words) -> list[str]:
    """Take the first three names and the first year, and the likeliest of all else."""
    names = [word for word in text if word[:1].isupper()] + ["?"] * 3
    year = next((word for word in text if word.isdigit()), "?")
    return f"art : {names[0]} of {names[1]} moves to {names[2]} , {year}".split()


def person_by_hand(text: Words) -> list[str]:
    """Take the second of the names, the last word before "who" or a bracket as the job, and the last years."""
    names, _, tells = " ".join(text).partition(" : ")
    each = names.split(" , ")
    job = re.split(r" who | noted | \(|;| and ", tells)[0].split()[-1]
    years = re.findall(r"\b\d{3,4}\b", tells) or ["?"]
    life = f"lived {years[-2]} to {years[-1]}" if len(years) > 1 else f"born in {years[-1]}"
    country = "the United States" if "United States" in tells else "England"
    return f"{each[min(1, len(each) - 1)]} , {job} from {country} , {life}".split()


def drawn(said: Iterable[Words], wanted: Sequence[Example], n: int = 5) -> list[list[str]]:
    """Keep the first few, beside what is right: the examples come in no order that was chosen."""
    return [
        [" ".join(one.target), " ".join(words)]
        for one, words in zip(wanted[:n], said, strict=False)
    ]
