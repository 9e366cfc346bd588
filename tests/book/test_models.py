"""Stored models are written whole, with a card, and not above their weight."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import minattn.claims
from book.tools import freshness, models
from minattn.checkpoints import load_model
from minattn.claims import stored_model
from minattn.training import seeded


def small():
    with seeded(0):
        return nn.Linear(3, 2)


def train(model):
    with torch.no_grad():
        model.weight.fill_(2.0)
    return {"accuracy": 0.5}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "book" / "models"
    place.mkdir(parents=True)
    script = SimpleNamespace(build=small, train=train)
    monkeypatch.setitem(sys.modules, "book.models.small", script)
    return place


def test_a_model_is_stored_with_its_card_and_loaded_again(folder, monkeypatch):
    models.make("small", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["small.json", "small.safetensors"]
    monkeypatch.chdir(folder.parent)
    model = small()
    load_model(stored_model("small"), model)
    assert (model.weight == 2).all()
    card = json.loads((folder / "small.json").read_text())
    assert card["measured"] == {"accuracy": 0.5} and card["parameters"] == 8
    assert card["bytes"] == (folder / "small.safetensors").stat().st_size
    assert "torch" in card["stamp"]["pins"] and "minattn/checkpoints.py" in card["stamp"]["uses"]
    assert freshness.why_stale(card["stamp"]) is None


def test_who_loads_a_stored_model_depends_on_it(folder, monkeypatch):
    models.make("small", folder)
    monkeypatch.chdir(folder.parent)
    report = freshness.watch()
    load_model(stored_model("small"), small())
    assert str(folder / "small.safetensors") in report()["files"]


def test_a_model_that_is_too_large_leaves_what_was_there(folder, monkeypatch):
    models.make("small", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(models, "MOST_BYTES", 100)
    with pytest.raises(models.TooLarge, match="at most 100 bytes, got"):
        models.make("small", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_unknown_model_is_refused(capsys):
    assert models.main(["nobody"]) == 2
    assert "no stored model 'nobody'" in capsys.readouterr().err


@pytest.mark.rejects
def test_a_model_that_is_not_stored_is_told(folder, monkeypatch):
    models.make("small", folder)
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(minattn.claims, "__file__", str(folder / "claims.py"))
    with pytest.raises(FileNotFoundError, match=r"stored models are \['small'\], got 'large'"):
        stored_model("large")
