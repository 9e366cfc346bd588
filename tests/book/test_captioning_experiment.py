"""The experiments of chapter 15 measure what they say they measure, and change nothing else."""

from functools import cache

import pytest
import torch
from torch import nn

from book.experiments import captioning_measures as measures
from book.experiments.captioning_fault import Tagged, moves
from book.experiments.captioning_sides import FromScratch, OneVector, StateSpeaks, of_pixels
from minattn.learning import Recipe
from minattn.pictures.captioning import Captioner
from minattn.recipe import train
from minattn.tasks.captions import captioned, captions, middle
from minattn.tasks.emoji import TRAINED, names
from minattn.tasks.scenes import NOTHING, scenes
from minattn.training import seeded

D = 7
ARTICLES = {"a", "an", "ein", "eine"}


@cache
def task(language="en"):
    found = scenes(61, TRAINED, seed=3)
    cells = torch.randn(61, 100, D, generator=torch.Generator().manual_seed(0))
    told = captioned(found, cells, language)
    return captions(told[:8], told[8:10], told, language)


def made(kind, *arguments):
    with seeded(0):
        return kind(*arguments).eval()


def test_what_is_said_is_scored(monkeypatch):
    examples = task().held_out[:3]
    cat_dog = "a cat left of a dog".split()
    right = [["bee"], ["cat", "cow"], ["dog", "fish", "star"]]
    written = [["a", "bee"], cat_dog, "a fish above a dog".split()]
    monkeypatch.setattr(measures, "translate", lambda *arguments: written)
    for one, source in zip(examples, right, strict=True):
        target = ("a", "bee") if source == ["bee"] else tuple(source)
        object.__setattr__(one, "target", target)
        object.__setattr__(one, "length", len(source))
    found = measures.said(None, task(), examples)
    task.cache_clear()
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["names"] == pytest.approx(2 / 6)  # bee, cat; fish and dog stand in other places
    assert found["invented"] == pytest.approx(1 / 5)  # a dog for a cow
    assert found["left out"] == pytest.approx(2 / 6)  # cow, star
    assert (found["exact, 1"], found["exact, 2"], found["exact, 3"]) == (1, 0, 0)


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_it_is_made_to_look_at_another_thing_and_to_say_its_words(language):
    examples = task(language).held_out
    weights, kinds = measures.elsewhere(task(language), examples)
    vocabulary, known = task(language).target, set(names(language))
    counts = dict.fromkeys(kinds, 0)
    for kind, (places, gold) in kinds.items():
        for row, place in places.nonzero().tolist():
            one, counts[kind] = examples[row], counts[kind] + 1
            at = place if one.target[place] in known else place + 1
            thing = one.alignment[at]
            other = (thing + 1) % one.length
            near = torch.from_numpy(middle(one.boxes)[other])
            assert other != thing and torch.equal(weights[row, place] > 0, near)
            its = one.alignment.index(other)
            word = vocabulary.tokens[gold[row, place]]
            assert word == one.target[its - (at - place)]
            pair = [one.target[p - 1] if p else "" for p in (at, its)]
            pair = [article if article in ARTICLES else "" for article in pair]
            assert (pair[0] == pair[1]) == (kind == "steered")
            assert (word in ARTICLES) == (kind == "article")
    assert counts["steered"] > 20
    assert (counts["article"] > 0) == (counts["other article"] > 0) == (language != "zh")


def test_where_words_look():
    model = made(Captioner, D, len(task().target))
    found = measures.looks(model, task(), task().held_out)
    assert {"name", "<eos>", "above", "left", "of", "a"} <= set(found)
    assert found["name"]["count"] == sum(one.length for one in task().held_out)
    assert found["<eos>"]["next"] == 0
    for where in found.values():
        assert 0 <= where["next"] <= where["any"] <= 1 and 0 < where["entropy"] < 4.7
    weights = measures.weights_of(model, task(), task().held_out)
    truth = task().truth(task().held_out)
    mass = (weights * truth).sum(-1)[truth.any(-1)].mean().item()
    assert found["name"]["next"] == pytest.approx(mass, rel=1e-4)


@pytest.mark.parametrize("kind", [OneVector, StateSpeaks, Captioner])
def test_every_kind_can_be_scored(kind):
    model = made(kind, D, len(task().target))
    found = measures.score(model, task(), task().held_out, cells=kind is not OneVector)
    assert found["exact"] == 0 and ("inside" in found) == (kind is not OneVector)


def test_one_vector_is_one_place():
    model = made(OneVector, D, len(task().target))
    assert model.encode(task().batch(task().train).source).states.shape == (8, 1, 64)


def test_from_scratch_the_stem_learns_too():
    pixels = of_pixels(task())
    assert pixels.train[0].features.shape == (1600, 3)
    model = made(FromScratch, len(task().target))
    before = [weight.clone() for weight in model.stem.convolutions.parameters()]
    train(model, pixels, Recipe(steps=1, batch_size=4), progress=False)
    after = model.stem.convolutions.parameters()
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    own = model.eval().stem.cells(torch.from_numpy(pixels.train[0].picture)[None])
    memory = model.encode(pixels.batch(pixels.train[:1]).source)
    expected = Captioner.encode(model, own)
    torch.testing.assert_close(memory.states, expected.states, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("gradient", [True, False])
def test_without_a_gradient_it_does_not_learn_where_to_look(gradient):
    model = made(Tagged, nn.Linear(D, NOTHING + 1), len(task().target), gradient)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    train(model, task(), Recipe(steps=2, batch_size=4), progress=False)
    moved = {
        name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])
    }
    where = {"q_proj.weight", "k_proj.weight", "key_places.rows", "key_places.columns"}
    assert where <= moved if gradient else not where & moved
    assert not {"readout.weight", "readout.bias"} & moved
    assert {"v_proj.weight", "tags_proj.weight", "first.weight", "state_proj.weight"} <= moved
    assert 0 < moves(model, task()) < 1
