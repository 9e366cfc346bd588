"""Exercise 2.7: fake attention."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Mistake, numbers

INF = math.inf

Weigh = Callable[[Tensor, Tensor], Tensor]


class Weights:
    """A way to turn query and key into weights, with a name to show.

    Args:
        name: what it is.
        scores: turns query and key into scores of shape (queries, keys).
    """

    def __init__(self, name: str, scores: Weigh) -> None:
        self.name = name
        self.scores = scores

    def __repr__(self) -> str:
        return self.name

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        """Return weights of shape (queries, keys)."""
        return self.scores(query, key).softmax(-1)


def _dot(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.T


def _cosine(query: Tensor, key: Tensor) -> Tensor:
    return F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T


def _masked_at(position: int) -> Weigh:
    """Make dot scores with one key masked."""
    return lambda query, key: _dot(query, key).masked_fill(torch.arange(len(key)) == position, -INF)


def depends_on_keys(weights: Weigh, query: Tensor, key: Tensor) -> bool:
    """Tell whether the weights depend on the keys."""
    other = numbers(184, *key.shape)
    return not torch.allclose(weights(query, key), weights(query, other))


def _moves(
    change_query: Weigh | None = None, change_key: Weigh | None = None
) -> Callable[..., bool]:
    """Make a detector that changes something and looks whether the weights move."""

    def detector(weights: Weigh, query: Tensor, key: Tensor) -> bool:
        new_query = query if change_query is None else change_query(query, query)
        new_key = key if change_key is None else change_key(key, key)
        return not torch.allclose(weights(query, key), weights(new_query, new_key), atol=1e-5)

    return detector


def _outputs_move(weights: Weigh, query: Tensor, key: Tensor) -> bool:
    turned = key.flip(0)
    return not torch.allclose(weights(query, key) @ key, weights(query, turned) @ turned, atol=1e-5)


def _follows(order: list[int]) -> Callable[..., bool]:
    """Make a detector that looks whether the weights follow the keys into a new order."""

    def detector(weights: Weigh, query: Tensor, key: Tensor) -> bool:
        before, after = weights(query, key), weights(query, key[order])
        return torch.allclose(after, before[:, order], atol=1e-5)

    return detector


def _moves_with(position: int) -> Callable[..., bool]:
    """Make a detector that changes one key."""

    def changed(key: Tensor, _: Tensor) -> Tensor:
        step = torch.linspace(1, 2, key.shape[1])
        return key + step * (torch.arange(len(key)) == position)[:, None]

    return _moves(change_key=changed)


_ORDERS = [[2, 1, 0], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1]]


def _fake_cases() -> list[Case]:
    query, key = numbers(180, 2, 5), numbers(181, 3, 5)
    table, v = numbers(182, 5, 3), numbers(183, 5)
    places = ["first", "second", "last"]
    ways = [
        Weights("dot scores", _dot),
        Weights("scores from the query alone", lambda q, k: torch.tanh(q) @ table),
        Weights("additive scores", lambda q, k: torch.tanh(q[:, None] + k) @ v),
        Weights("uniform weights", lambda q, k: torch.zeros(len(q), len(k))),
        Weights(
            "scores from the position alone",
            lambda q, k: (torch.arange(len(k)) * 0.7).expand(len(q), -1),
        ),
        Weights("cosine scores", _cosine),
        Weights("minus the squared distance", lambda q, k: -(q[:, None] - k).square().sum(-1) / 8),
        *(
            Weights(f"dot scores with the {place} key masked", _masked_at(i))
            for i, place in enumerate(places)
        ),
        Weights(
            "scores from the lengths of the keys", lambda q, k: k.norm(dim=-1).expand(len(q), -1)
        ),
        Weights("scores from the sum of all keys", lambda q, k: torch.tanh(q + k.sum(0)) @ table),
    ]
    return [(way, query, key) for way in ways]


EXERCISE = Exercise(
    number="2.7",
    title="Fake attention",
    solution=depends_on_keys,
    cases=_fake_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda weights, query, key: True,
            "Your function says True to everything, also to weights that never see a key. If it compares "
            "outputs, such as weights @ key, that is why: those move with the keys even if the weights "
            "stand still. If it compares weights, can the comparison ever find them equal?",
        ),
        Mistake(
            "always_false",
            lambda weights, query, key: False,
            "Your function says False to everything, also to real attention. Print the keys before and "
            "after your change: did they change at all? A random order of three keys is the old order "
            "once in six times, and sorting the weights or undoing the order hides the move.",
        ),
        Mistake(
            "outputs_compared",
            _outputs_move,
            "Your function takes fixed weights for attention as soon as they are uneven. This happens if "
            "the outputs weights @ key are compared: they move with the keys, whatever the weights do. It "
            "also happens if only the unevenness is looked at. Ask whether the weights themselves move.",
        ),
        Mistake(
            "answer_inverted",
            lambda weights, query, key: not depends_on_keys(weights, query, key),
            "Every answer is the wrong way round. True should mean that the weights depend on the keys: "
            "what does it mean if two results are close?",
        ),
        Mistake(
            "query_changed",
            _moves(change_query=lambda q, _: q.flip(0) + 0.5),
            "Your function finds out whether the weights depend on the query. Fake attention often does: "
            "the query is all it looks at. What has to change, and what has to stay, to see whether the "
            "keys matter?",
        ),
        Mistake(
            "constant_added",
            _moves(change_key=lambda k, _: k + 1.0),
            "Adding one constant to all keys misses dot scores. Every score of a query then grows by the "
            "same amount, and the softmax does not see that. Change the keys against each other.",
        ),
        Mistake(
            "keys_scaled",
            _moves(change_key=lambda k, _: 2.0 * k),
            "Stretching the keys misses cosine scores, which look at directions only. Change the keys in a "
            "way that no sensible score can overlook.",
        ),
        Mistake(
            "weights_must_follow",
            _follows(_ORDERS[0]),
            "You test whether the weights follow the keys to their new places, as the chapter does. That "
            "catches the chapter's fake, but uniform weights pass it without seeing a key, and attention "
            "with a mask on one position fails it. Ask only whether the weights stay as they were.",
            also=[_follows(order) for order in _ORDERS[1:]],
        ),
        Mistake(
            "one_key_changed",
            _moves_with(0),
            "You change one key only. One of the functions does not look at that one, because it is "
            "masked, as padding is, but looks at all the others. Change every key.",
            also=[_moves_with(1), _moves_with(2)],
        ),
        Mistake(
            "keys_as_long",
            _moves(change_key=lambda k, _: -k),
            "Each of your new keys is as long as the old one: only its signs or the order of its numbers "
            "changed. One of the functions looks at the lengths alone. Try keys that have nothing to do with "
            "the old ones.",
            also=[
                _moves(change_key=lambda k, _: k.abs()),
                _moves(change_key=lambda k, _: k.flip(1)),
                _moves(change_key=lambda k, _: k.roll(1, 1)),
            ],
        ),
        Mistake(
            "keys_reordered",
            _moves(change_key=lambda k, _: k.flip(0)),
            "You give the same keys in another order. One of the functions looks at the sum of the keys: "
            "that depends on them, but not on their order. Try keys that have nothing to do with the "
            "old ones.",
        ),
    ],
    show_case=lambda weights, query, key: (
        f"weights = {weights!r}, query of shape {tuple(query.shape)}, key of shape {tuple(key.shape)}"
    ),
)
