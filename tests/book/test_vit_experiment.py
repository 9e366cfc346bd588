"""What the experiment on handwritten digits learns with, blanks and measures."""

import pytest
import torch
from torch import nn

from book.experiments import vit
from minattn.tasks.digits import Digits, digits
from minattn.training import seeded


def test_every_kind_learns_from_few_and_from_many_forms():
    assert len(vit.ARMS) == 12
    assert vit.ARMS["patches"] == {"kind": "patches", "n_forms": 9}
    assert vit.ARMS["kernel, 2 forms"] == {"kind": "kernel", "n_forms": 2}


def test_networks_with_and_without_attention_have_as_many_weights():
    counts = [vit.n_weights(vit.make_model(kind, 0)) for kind in vit.KINDS[:3]]
    assert max(counts) < 1.3 * min(counts)
    assert abs(counts[0] - counts[2]) < 0.03 * counts[0]


@pytest.mark.parametrize("kind", vit.KINDS[:3])
def test_a_network_learns_digits(kind):
    known = digits("train", 1)
    model = vit.make_model(kind, seed=0)
    vit.fit(model, known, vit.recipe(seed=0, steps=60))
    assert vit.accuracy(model, known.pictures, known.labels) > 0.5


def test_a_kernel_knows_what_it_has_learned_and_says_the_class_of_the_nearest():
    known = digits("train", 2)
    kernel = vit.Kernel(known)
    assert vit.accuracy(kernel, known.pictures, known.labels) == 1
    assert torch.allclose(kernel.likeness(known.pictures).diagonal(), torch.ones(1).double())
    one = Digits(known.pictures[:1], known.labels[:1], known.forms[:1])
    scores = vit.Kernel(one)(one.pictures)[0]
    expected = (2.0 * (torch.arange(10) == one.labels) - 1).double() / (1 + vit.RIDGE)
    torch.testing.assert_close(scores, expected)


def test_blanking_takes_away_a_patch_of_two_by_two_pixels_and_nothing_else():
    pictures = torch.full((3, 8, 8, 1), 7, dtype=torch.uint8)
    patches = torch.zeros(3, 16, dtype=torch.bool)
    patches[1, 4 * 2 + 3] = True  # third row, last column
    found = vit.blank(pictures, patches)
    assert (found[1, 4:6, 6:8] == 0).all() and (found == 0).sum() == 4
    assert (pictures == 7).all()


def test_the_largest_scores_of_each_row():
    found = vit.largest(torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]]), 2)
    assert found.tolist() == [[False, True, True], [True, False, True]]


class Corner(nn.Module):
    """Says 1 where the upper left patch has ink, and looks at nothing else in its only block."""

    def forward(self, pictures):
        ink = (pictures[:, :2, :2] > 0).flatten(1).any(1)
        return torch.stack([~ink, ink], -1).float()


def test_what_is_looked_at_most_is_what_is_missed(monkeypatch):
    model = Corner()
    weights = torch.full((5, 1, 17, 17), 0.01)
    weights[..., 1] = 0.84

    class Record:
        calls = ("first", "last")

        def weights(self, name):
            assert name == "last"
            return weights

    class Recording:
        def __enter__(self):
            return Record()

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(vit, "recording", lambda _: Recording())
    with seeded(0):
        pictures = torch.randint(1, 256, (5, 8, 8, 1), dtype=torch.uint8)
    pictures[:, 6:] = 0  # a quarter is paper
    shown = Digits(pictures, torch.ones(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64))
    found = vit.looked_at(model, shown, seed=0)
    assert found["without most"] == 0 and found["without least"] == 1
    assert found["patches with ink"] == 0.75
    assert found["weight on ink"] == pytest.approx((0.84 + 11 * 0.01) / (0.84 + 15 * 0.01))


def test_a_run_measures_all(monkeypatch):
    monkeypatch.setattr(vit, "STEPS", 6)
    monkeypatch.setattr(vit, "recipe", lambda seed: how(seed, 6))
    found = vit.run(seed=0, kind="patches", n_forms=9)
    assert found["digits"] == 1151 and set(found["class token"]) > {"weight on ink"}
    assert 0 <= found["test"] <= 1
    kernel = vit.run(seed=0, kind="kernel", n_forms=2)
    assert kernel["train"] == 1 and kernel["digits"] < 300 and "class token" not in kernel


how = vit.recipe
