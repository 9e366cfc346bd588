"""Exercise 4.1: a set and not a sentence."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.exercises.self_attention.scores import scaled_scores
from minattn.positions import sinusoidal

Answer = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Pool = Callable[[Tensor, Tensor], Tensor]


def hand_vectors(x: Tensor, present: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """Let every card look at the cards of its hand, and take the mean of what they found."""
    return _hands()(x, present, w_q, w_k, w_v)


def _masked(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return _filled(scaled_scores(q, k), present[:, None, :], -math.inf) @ v


def _filled(scores: Tensor, allowed: Tensor, number: float) -> Tensor:
    """Return the weights, with a number in the place of the scores that are not allowed."""
    return scores.masked_fill(~allowed, number).softmax(-1)


def _mean_of_cards(found: Tensor, present: Tensor) -> Tensor:
    return torch.where(present[..., None], found, 0.0).sum(1) / present.sum(1, keepdim=True)


def _mean_of_rows(found: Tensor, present: Tensor) -> Tensor:
    return found.mean(1)


def _multiplied(found: Tensor, present: Tensor) -> Tensor:
    """Multiply the rows of padding by 0, which leaves NaN as it is."""
    return (found * present[..., None]).sum(1) / present.sum(1, keepdim=True)


def _hands(attend: Attend = _masked, pool: Pool = _mean_of_cards) -> Answer:
    """Make an answer that attends or takes the mean in another way."""
    return lambda x, present, w_q, w_k, w_v: pool(
        attend(x @ w_q, x @ w_k, x @ w_v, present), present
    )


def _no_mask(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return scaled_scores(q, k).softmax(-1) @ v


def _late(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return (scaled_scores(q, k).softmax(-1) * present[:, None, :]) @ v


def _scores_of_zero(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return _filled(scaled_scores(q, k), present[:, None, :], 0.0) @ v


def _blind(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    both = present[:, None, :] & present[:, :, None]
    return _filled(scaled_scores(q, k), both, -math.inf) @ v


def _rows_blind(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return _filled(scaled_scores(q, k), present[:, :, None], -math.inf) @ v


def _padding_only(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    return _filled(scaled_scores(q, k), ~present[:, None, :], -math.inf) @ v


def _with_zeros(pool: Pool) -> Answer:
    def answer(x: Tensor, present: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
        return _hands(_no_mask, pool)(x * present[..., None], present, w_q, w_k, w_v)

    return answer


def _with_positions(pool: Pool) -> Answer:
    def answer(x: Tensor, present: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
        return _hands(pool=pool)(x + sinusoidal(*x.shape[1:]), present, w_q, w_k, w_v)

    return answer


def _cards_case(seed: int, hands: list[list[str]], d_model: int, d_k: int, d_v: int) -> Case:
    """Make hands of cards, each a letter; a dash is padding, with numbers in it that mean nothing."""
    rng = np.random.default_rng(seed)
    card = {name: rng.normal(size=d_model).round(2) for name in "ABCDEFGH"}
    rows = [[card.get(name, 3 * rng.normal(size=d_model).round(2)) for name in h] for h in hands]
    weights = (numbers(seed + 1 + i, d_model, d) / 2 for i, d in enumerate((d_k, d_k, d_v)))
    present = torch.tensor([[name in card for name in hand] for hand in hands])
    return torch.tensor(np.array(rows), dtype=torch.float32), present, *weights


def _set_cases() -> list[Case]:
    return [
        _cards_case(401, [["A", "B", "-"], ["-", "B", "A"]], 4, 3, 5),
        _cards_case(411, [list("ABCDE"), list("E-CA-"), list("--D--")], 6, 7, 2),
        _cards_case(421, [list("CA-B---"), list("ABC----"), list("DEFGHAB")], 2, 5, 3),
    ]


def _one_vector_for_a_hand(out: Tensor, x: Tensor, present: Tensor, *weights: Tensor) -> bool:
    hands = [sorted(x[i][present[i]].tolist()) for i in range(len(x))]
    return all(
        torch.allclose(out[i], out[j], atol=1e-4)
        for i in range(len(x))
        for j in range(i)
        if hands[i] == hands[j]
    )


EXERCISE = Exercise(
    number="4.1",
    title="A set and not a sentence",
    solution=hand_vectors,
    cases=_set_cases,
    mistakes=[
        Mistake(
            "positions_added",
            _with_positions(_mean_of_cards),
            "You added positions. Then a card is another one if it is held further to the left, and a hand "
            "has as many vectors as there are orders to hold it in. A set has no order, so here nothing may "
            "tell the places.",
            also=[_with_positions(_mean_of_rows)],
        ),
        Mistake(
            "padding_in_the_mean",
            _hands(pool=_mean_of_rows),
            "No card looks at padding, but the mean counts it: a mask on the keys rules out columns, and the "
            "rows of padding still get an answer. Take the sum over the rows of cards, and divide by the "
            "number of cards of that hand.",
            also=[
                _hands(pool=lambda found, present: (found * present[..., None]).mean(1)),
                _hands(pool=lambda found, present: found.sum(1) / present.sum(1, keepdim=True)),
            ],
        ),
        Mistake(
            "padding_is_seen",
            _hands(_no_mask),
            "The cards look at padding: it takes part in the softmax and gets weight, and its value comes "
            "through. More padding makes another vector. The scores need a mask, with a column left out for "
            "each place of padding.",
            also=[_hands(_no_mask, _mean_of_rows), _hands(_rows_blind)],
        ),
        Mistake(
            "masked_after_the_softmax",
            _hands(_late),
            "The mask comes after the softmax. Padding has taken its share of the weight by then, so the "
            "weights of the cards sum to less than 1, and to less with more padding. Mask the scores.",
            also=[_hands(_late, _mean_of_rows)],
        ),
        Mistake(
            "zeros_for_padding",
            _with_zeros(_mean_of_cards),
            "Padding was made zero, in the cards or in the scores. A score of 0 is no missing score: exp(0) "
            "is 1, and 1 is counted in the sum below the fraction. Which score gives a weight of exactly 0?",
            also=[_with_zeros(_mean_of_rows), _hands(_scores_of_zero)],
        ),
        Mistake(
            "blind_rows",
            _hands(_blind, _multiplied),
            "Rows of padding may look at nothing here, so all their scores are minus infinity and their "
            "softmax is NaN, and 0 times NaN is NaN. Mask columns only: what a row of padding finds is "
            "harmless, if the mean leaves the row out.",
            also=[_hands(_blind, _mean_of_rows), _hands(_rows_blind, _multiplied)],
        ),
        Mistake(
            "mask_inverted",
            _hands(_padding_only),
            "The cards look at padding and at nothing else. masked_fill fills where its mask is True, and "
            "present is True for what is to stay. A ~ turns it round.",
            also=[_hands(_padding_only, _mean_of_rows), _hands(_padding_only, _multiplied)],
        ),
        Mistake(
            "one_place_speaks",
            _hands(pool=lambda found, present: found[:, 0]),
            "You return what one place found. Which card lies there depends on the order of the hand, and it "
            "may be padding. Every card of the hand has found something: take the mean of them all.",
            also=[_hands(pool=lambda found, present: found[:, -1])],
        ),
    ],
    laws=[
        Law("a hand has one vector, in any order and with any padding", _one_vector_for_a_hand),
    ],
)
