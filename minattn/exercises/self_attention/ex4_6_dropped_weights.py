"""Exercise 4.6: dropped weights."""

import math
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.alignment import masked_softmax
from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers


def drop(weights: Tensor, keep: Tensor, p: float) -> Tensor:
    """Drop weights as dropout does in training: scale up what stays."""
    return weights * keep / (1 - p)


def _renormalised(weights: Tensor, keep: Tensor, epsilon: float = 0.0) -> Tensor:
    kept = weights * keep
    return kept / (kept.sum(-1, keepdim=True) + epsilon)


def _drop_cases() -> list[Case]:
    def case(seed: int, queries: int, keys: int, p: float) -> Case:
        keep = numbers(seed + 1, queries, keys) > NormalDist().inv_cdf(p)
        return numbers(seed, queries, keys).softmax(-1), keep, p

    t, f = True, False
    first = torch.tensor([[t, f, t], [t, t, f]])
    blind = torch.tensor([[t, t, f, t, t], [f, f, f, f, f], [t, t, f, t, f]])
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), first, 0.2),
        case(460, 3, 5, 0.4),
        case(462, 5, 7, 0.1),
        ((2 * numbers(464, 3, 5)).softmax(-1), blind, 0.4),  # one weight is above 1 - p
    ]


EXERCISE = Exercise(
    number="4.6",
    title="Dropped weights",
    solution=drop,
    cases=_drop_cases,
    mistakes=[
        Mistake(
            "not_scaled",
            lambda w, k, p: w * k,
            "What stays is not scaled up. Then the output is smaller in training, by 1 - p on average, than "
            "in evaluation, where nothing is dropped, and the layers above meet numbers they have never "
            "seen. Which factor makes up for that?",
        ),
        Mistake(
            "scaled_by_p",
            lambda w, k, p: w * k / p,
            "You divide by p, the share that is dropped. The share that stays is what the average shrinks "
            "by, so that is what has to be made up for. With p = 0 nothing is dropped, and you would "
            "divide by 0.",
        ),
        Mistake(
            "one_plus_p",
            lambda w, k, p: w * k * (1 + p),
            "What stays is made larger by the share p. That does not make up for the loss: a price that "
            "falls by a fifth and rises by a fifth is not the old one. Which number times 1 - p is 1?",
        ),
        Mistake(
            "brackets",
            lambda w, k, p: w * k / 1 - p,
            "In Python a / 1 - p is (a / 1) - p, so p is taken off every weight. The number below the line "
            "needs brackets.",
        ),
        Mistake(
            "scaled_down",
            lambda w, k, p: w * k * (1 - p),
            "The weights that stay are made smaller. Dropout was first described so that weights are "
            "multiplied by 1 - p, but in evaluation. If you scale in training, it has to go the other "
            "way.",
            also=[lambda w, k, p: w * (1 - p), lambda w, k, p: w * k * p],
        ),
        Mistake(
            "renormalised",
            lambda w, k, p: _renormalised(w, k),
            "The rows are made to sum to 1 again. That is another method: a small weight that stays alone "
            "becomes 1, the average over many draws is no longer the weight itself, and a row with nothing "
            "left is 0 by 0. Dropout scales all by one number.",
            also=[
                lambda w, k, p: _renormalised(w, k, 1e-9),
                lambda w, k, p: _renormalised(w, k).nan_to_num(),
                lambda w, k, p: _renormalised(w, k) / (1 - p),
                lambda w, k, p: masked_softmax(w.log(), k) / (1 - p),
            ],
        ),
        Mistake(
            "counted",
            lambda w, k, p: w * k / k.float().mean(),
            "You divide by the share that happened to stay this time. Dropout divides by 1 - p, the share "
            "that stays on average: then one draw does not change the scale of another, and a row that "
            "loses everything is no problem.",
            also=[
                lambda w, k, p: w * k / k.float().mean(-1, keepdim=True),
                lambda w, k, p: (w * k / k.float().mean(-1, keepdim=True)).nan_to_num(),
            ],
        ),
        Mistake(
            "inverted",
            lambda w, k, p: w * ~k / (1 - p),
            "What should stay is dropped, and the other way round. keep is True where a weight stays; "
            "masked_fill fills where its mask is True.",
            also=[
                lambda w, k, p: w * ~k,
                lambda w, k, p: w * ~k / p,
            ],
        ),
        Mistake(
            "keys_dropped",
            lambda w, k, p: w * k[0] / (1 - p),
            "A key is dropped for all queries or for none. Every weight of the table is drawn by itself: "
            "one query may lose a key that another one keeps.",
            also=[
                lambda w, k, p: w * k.all(0) / (1 - p),
            ],
        ),
        Mistake(
            "queries_dropped",
            lambda w, k, p: w * k[:, :1] / (1 - p),
            "A query loses all its weights or none. Every weight of the table is drawn by itself.",
            also=[lambda w, k, p: w * k.all(1, keepdim=True) / (1 - p)],
        ),
        Mistake(
            "before_the_softmax",
            lambda w, k, p: w.masked_fill(~k, -math.inf).softmax(-1),
            "There is a softmax after the drop. Then dropping acts like a mask: the other weights take over "
            "what is lost. These are weights already, and dropout comes after the softmax.",
            also=[
                lambda w, k, p: masked_softmax(w, k),
                lambda w, k, p: masked_softmax(w, k) / (1 - p),
                lambda w, k, p: masked_softmax(w / (1 - p), k),
                lambda w, k, p: (w / (1 - p)).masked_fill(~k, -math.inf).softmax(-1),
                lambda w, k, p: w.masked_fill(~k, -math.inf).softmax(-1) / (1 - p),
                lambda w, k, p: w.masked_fill(~k, -1e9).softmax(-1),
                lambda w, k, p: w.masked_fill(~k, -1e9).softmax(-1) / (1 - p),
                lambda w, k, p: (w * k).softmax(-1),
                lambda w, k, p: (w * k / (1 - p)).softmax(-1),
            ],
        ),
        Mistake(
            "drawn_anew",
            lambda w, k, p: F.dropout(w, p),
            "The scale is right, but you draw a mask of your own. What stays has been drawn already and is "
            "given: keep.",
            also=[lambda w, k, p: F.dropout(w * k, p), lambda w, k, p: F.dropout(w, 1 - p)],
        ),
        Mistake(
            "nothing_dropped",
            lambda w, k, p: w / (1 - p),
            "All weights are scaled up, but none is dropped. Is the result of masking kept? masked_fill "
            "returns a new tensor.",
            also=[lambda w, k, p: w],
        ),
        Mistake(
            "all_scaled_late",
            lambda w, k, p: torch.where(k, w, w / (1 - p)),
            "The scale went to the weights that should be dropped. Those become 0; the ones that stay are "
            "divided by 1 - p.",
        ),
        Mistake(
            "minus_infinity",
            lambda w, k, p: w.masked_fill(~k, -math.inf) / (1 - p),
            "Dropped weights are minus infinity. That is right for scores, before a softmax. A weight that "
            "is dropped is 0.",
            also=[
                lambda w, k, p: w.masked_fill(~k, -math.inf),
                lambda w, k, p: w.masked_fill(~k, -1e9) / (1 - p),
            ],
        ),
    ],
    laws=[
        Law("a dropped weight is 0", lambda out, w, k, p: bool((out[~k] == 0).all())),
        Law(
            "all weights that stay grow by one factor",
            lambda out, w, k, p: torch.allclose(out[k] / w[k], (out[k] / w[k])[:1], atol=1e-4),
        ),
    ],
)
