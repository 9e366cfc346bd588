"""The experiments of chapter 21 measure what they say they measure."""

from dataclasses import replace

import pytest
import torch

from book.experiments import explanation_alternatives as alternatives
from book.experiments.explanation import parts_of
from book.experiments.explanation_measures import (
    Case,
    among_others,
    best_head,
    explained,
    methods,
)
from minattn.multihead import MultiHeadAttention
from minattn.training import seeded


class Told(torch.nn.Module):
    """Tokens look where they are told, in two heads, and say one number of what they find."""

    def __init__(self, weights):
        super().__init__()
        with seeded(0):
            self.table = torch.nn.Embedding(9, 4).double()
            self.part = MultiHeadAttention(4, 2, bias=False, attend=self.look).double()
        self.weights = weights

    def look(self, query, key, value, mask=None):
        return self.weights @ value

    def forward(self, ids):
        x = self.table(ids)
        return self.part(x, x, x).sum(-1)


def case(**changes):
    weights = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    weights[0, 0] = torch.eye(3)  # the first head looks at itself, the second at the next one
    weights[0, 1] = torch.eye(3).roll(1, 1)
    model = Told(weights)
    ids = torch.tensor([[5, 7, 8]])
    found = Case(
        decide=lambda: model(ids),
        right=torch.tensor([[True, True, False]]),
        truth=torch.eye(3).roll(1, 1).bool()[None],
        allowed=torch.ones(1, 1, 3, dtype=torch.bool),
        parts=[model.part],
        inputs=model.table,
        stack=model.part,
    )
    return replace(found, **changes)


def test_the_head_is_chosen_that_looks_where_it_should():
    assert best_head(case()) == (0, 1)
    assert best_head(case(truth=torch.eye(3).bool()[None])) == (0, 0)
    scores = methods(case(), (0, 1))["best head"]()
    torch.testing.assert_close(scores[0], torch.eye(3, dtype=torch.float64).roll(1, 1))


def test_only_what_is_right_and_known_is_counted_unless_nothing_is_right():
    assert case().counted.tolist() == [[True, True, False]]
    assert case(right=torch.zeros(1, 3).bool()).counted.tolist() == [[True] * 3]
    unknown = case().truth.clone()
    unknown[0, 0] = False
    assert case(truth=unknown).counted.tolist() == [[False, True, False]]


def test_every_way_is_scored():
    found = explained(case(), case())
    assert found["decisions"] == 2
    assert found["right"] == pytest.approx(2 / 3)
    assert found["chance"] == pytest.approx(1 / 3)
    assert found["best head"] == [0, 1]
    assert found["ways"]["best head"]["inside"] == found["ways"]["best head"]["mass"] == 1
    assert found["ways"]["weights"]["mass"] == pytest.approx(0.5)
    assert found["ways"]["leave one out"]["rank"] == pytest.approx(1)
    assert found["ways"]["leave one out"]["top"] == 1
    assert found["ways"]["leave out a key"]["rank, key"] == pytest.approx(1)


def test_without_itself_the_next_one_is_first():
    itself_first = torch.tensor([[[9.0, 2.0, 1.0], [0.0, 9.0, 2.0], [2.0, 1.0, 9.0]]]).double()
    found = among_others(case(), itself_first, itself_first)
    assert found == {"inside, others": 1.0, "top, others": 1.0}
    assert among_others(case(stack=None), itself_first, itself_first) == {}
    assert among_others(case(crossing=True), itself_first, itself_first) == {}


@pytest.mark.parametrize("n", [4, 120, 1000])
def test_two_parts_share_no_example(n):
    one, other = parts_of(list(range(n)))
    assert not set(one) & set(other)
    assert 2 <= len(one) <= 24


@pytest.mark.parametrize("draw", [alternatives.one_digit, alternatives.topic])
def test_what_is_drawn_says_the_answer_where_it_is_said_to(draw):
    ids, answer, there = draw(50, torch.Generator().manual_seed(0))
    assert there.shape == (50, 1, alternatives.LENGTH)
    letters = alternatives.N_LETTERS
    for row, label, where in zip(ids, answer, there[:, 0], strict=True):
        if draw is alternatives.one_digit:
            assert row[where].tolist() == [letters + label]
            assert (row[~where] < letters).all()
        else:
            assert {i // 2 for i in row[where].tolist()} <= {label.item()}
            assert not (row[~where] // 2 == label).any()
