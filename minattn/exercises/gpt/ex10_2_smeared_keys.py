"""Exercise 10.2: smeared keys."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers


def smear(k: Tensor, gate: Tensor) -> Tensor:
    """Mix every key with the key before it, each head by a share of its own; the first key stays as it is."""
    return _mixed(k, _shares(gate), _before(k))


def rolled(k: Tensor, gate: Tensor) -> Tensor:
    """Let the last key stand before the first one."""
    share = gate.sigmoid()[:, None, None]
    return (1 - share) * k + share * k.roll(1, dims=2)


def _mixed(k: Tensor, share: Tensor, others: Tensor) -> Tensor:
    return (1 - share) * k + share * others


def _shares(gate: Tensor) -> Tensor:
    return gate.sigmoid()[:, None, None]  # (heads, 1, 1)


def _before(k: Tensor, axis: int = 2, steps: int = 1) -> Tensor:
    """Return what stands before, along an axis; the first one has itself."""
    n = k.shape[axis]
    return k.index_select(axis, (torch.arange(n) - steps).clamp(min=0))


def _behind(k: Tensor) -> Tensor:
    return _before(k.flip(2)).flip(2)


def _with(others: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer that mixes in something else."""
    return lambda k, gate: _mixed(k, _shares(gate), others(k))


def _by(share: Callable[[Tensor], Tensor]) -> Answer:
    """Make an answer with other shares; the first key stays as it is."""
    return lambda k, gate: _mixed(k, share(gate), _before(k))


def _first(k: Tensor, gate: Tensor, first: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the right result, but for the first key."""
    return torch.cat([first(k[:, :, :1], _shares(gate)), smear(k, gate)[:, :, 1:]], dim=2)


def _but_first(first: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    return lambda k, gate: _first(k, gate, first)


def _zeros_before(k: Tensor) -> Tensor:
    return F.pad(k, (0, 0, 1, 0))[:, :, :-1]


def _chained(k: Tensor, gate: Tensor) -> Tensor:
    """Mix in the key before after it was mixed itself."""
    keys, share = [k[:, :, 0]], gate.sigmoid()[:, None]
    for place in range(1, k.shape[2]):
        keys.append(_mixed(k[:, :, place], share, keys[-1]))
    return torch.stack(keys, dim=2)


def _by_plain_gate(k: Tensor, gate: Tensor) -> Tensor:
    return _mixed(k, gate.sigmoid(), _before(k))


def _by_gate_of_places(k: Tensor, gate: Tensor) -> Tensor:
    return _mixed(k, gate.sigmoid()[:, None], _before(k))


def _cases() -> list[Case]:
    return [
        (numbers(1330, 1, 2, 3, 1), torch.tensor([0.8, -1.3])),
        (numbers(1333, 2, 3, 4, 3), torch.tensor([-0.6, 2.1, 0.3])),
        (numbers(1336, 3, 2, 1, 4), torch.tensor([1.4, -0.9])),
        (numbers(1339, 2, 4, 4, 5), torch.tensor([0.5, -2.2, 1.7, -0.4])),
    ]


EXERCISE = Exercise(
    number="10.2",
    title="Smeared keys",
    solution=smear,
    cases=_cases,
    mistakes=[
        Mistake(
            "rolled",
            rolled,
            "The last key is mixed into the first one. roll goes round in a circle, so the first token gets a "
            "share of the end of the text, which it must not know. It has no key before it, and stays as it is.",
        ),
        Mistake(
            "first_faded",
            _with(_zeros_before),
            "The first key has shrunk to its own share: it was mixed with zeros. There is no token before it, so "
            "it keeps all of itself.",
        ),
        Mistake(
            "first_mixed_by_half",
            _but_first(lambda k, share: 0.5 * k),
            "The first key is not what it was. It has no token before it, so it comes back unchanged.",
            also=[
                _but_first(lambda k, share: share * k),
                _but_first(lambda k, share: (1 + share) * k),
                _but_first(lambda k, share: (2 - share) * k),
            ],
        ),
        Mistake(
            "first_is_zero",
            _but_first(lambda k, share: 0 * k),
            "The first key is gone: there are zeros in its place. It has no token before it, so it comes back "
            "unchanged.",
        ),
        Mistake(
            "first_left_out",
            lambda k, gate: smear(k, gate)[:, :, 1:],
            "The first key is missing, so there are fewer keys than tokens. Mix from the second one on, and put "
            "the first in front as it was.",
        ),
        Mistake(
            "next_one",
            _with(_behind),
            "Every key is mixed with the one behind it. That is the future: a token would know of the next one, "
            "which is to be guessed from it. Mix in the key of the token before.",
            also=[
                _with(lambda k: k.roll(-1, 2)),
                _with(lambda k: _zeros_before(k.flip(2)).flip(2)),
                lambda k, gate: torch.cat(
                    [k[:, :, :1], _mixed(k, _shares(gate), _behind(k))[:, :, 1:]], dim=2
                ),
            ],
        ),
        Mistake(
            "both_neighbours",
            _with(lambda k: (_before(k) + _behind(k)) / 2),
            "Every key is mixed with both of its neighbours. The one behind it is the future. Mix in the key of "
            "the token before, and nothing else.",
        ),
        Mistake(
            "two_before",
            _with(lambda k: _before(k, steps=2)),
            "The key that is mixed in stands two places before. Take the one right before.",
        ),
        Mistake(
            "along_heads",
            _with(lambda k: _before(k, axis=1)),
            "You mix each head with the head before it. The axes are (batch, heads, seq, d_head): the tokens "
            "stand along axis 2.",
            also=[
                _with(lambda k: k.roll(1, 1)),
                _with(lambda k: F.pad(k, (0, 0, 0, 0, 1, 0))[:, :-1]),
            ],
        ),
        Mistake(
            "along_features",
            _with(lambda k: _before(k, axis=3)),
            "You mix each feature with the feature before it. The axes are (batch, heads, seq, d_head): the "
            "tokens stand along axis 2.",
            also=[_with(lambda k: k.roll(1, 3)), _with(lambda k: F.pad(k, (1, 0))[..., :-1])],
        ),
        Mistake(
            "along_batch",
            _with(lambda k: _before(k, axis=0)),
            "You mix each text with another text of the batch. The axes are (batch, heads, seq, d_head): the "
            "tokens stand along axis 2.",
            also=[_with(lambda k: k.roll(1, 0)), _with(lambda k: k.flatten().roll(1).view_as(k))],
        ),
        Mistake(
            "no_sigmoid",
            _by(lambda gate: gate[:, None, None]),
            "gate is used as it is. It may be any number, and a share lies between 0 and 1: gate.sigmoid().",
            also=[
                _by(lambda gate: gate.clamp(0, 1)[:, None, None]),
                _by(lambda gate: gate.tanh()[:, None, None]),
                _by(lambda gate: gate.exp()[:, None, None]),
            ],
        ),
        Mistake(
            "softmax_over_heads",
            _by(lambda gate: gate.softmax(0)[:, None, None]),
            "The shares of all heads sum to 1. No head takes anything from another: each has its own share, by a "
            "sigmoid of its own number.",
        ),
        Mistake(
            "swapped",
            _by(lambda gate: 1 - _shares(gate)),
            "The two shares have changed places. The key of the token before gets sigmoid(gate), the token's own "
            "gets the rest.",
        ),
        Mistake(
            "swapped_at_the_first_too",
            lambda k, gate: _mixed(k, 1 - _shares(gate), _zeros_before(k)),
            "The two shares have changed places, and the first key has shrunk. The key before gets sigmoid(gate), "
            "the token's own gets the rest; the first key stays as it is.",
        ),
        Mistake(
            "added",
            lambda k, gate: k + _shares(gate) * _zeros_before(k),
            "The key before is added, and the token's own key keeps all of itself. The two shares sum to 1: "
            "a token's own key gets 1 - sigmoid(gate). Only the first keeps all.",
        ),
        Mistake(
            "one_share_for_all",
            _by(lambda gate: gate.mean().sigmoid()),
            "All heads have the same share. Each has its own: gate has one number for each of them.",
            also=[
                _by(lambda gate: gate[0].sigmoid()),
                _by(lambda gate: gate[-1].sigmoid()),
                _by(lambda gate: gate.sigmoid().mean()),
            ],
        ),
        Mistake(
            "gate_ignored",
            lambda k, gate: (k + _before(k)) / 2,
            "gate is not used: every key is half its own and half the one before. The share of the one before is "
            "sigmoid(gate), and each head has its own.",
        ),
        Mistake(
            "chained",
            _chained,
            "Each key is mixed with the one before after that one was mixed itself, so all earlier keys trickle "
            "through. Mix in the key as it was given. (Do you write into k in a loop?)",
        ),
        Mistake(
            "gate_along_features",
            _by_plain_gate,
            "The shares meet the wrong axis. gate has shape (heads,), and broadcasting lines up the last axes, "
            "here d_head. Give it the shape (heads, 1, 1).",
            also=[_by_gate_of_places],
        ),
        Mistake(
            "not_mixed",
            lambda k, gate: k.clone(),
            "The keys come back as they were. (1 - share) times the key itself, plus share times the one before.",
        ),
        Mistake(
            "moved_only",
            lambda k, gate: _before(k),
            "The keys were moved on by one place, and not mixed. A key keeps a share of itself.",
            also=[
                lambda k, gate: _shares(gate) * _before(k),
                lambda k, gate: _shares(gate) * _zeros_before(k),
                lambda k, gate: _zeros_before(k),
            ],
        ),
    ],
    laws=[
        Law(
            "the first key stays as it is",
            lambda out, k, gate: torch.allclose(out[:, :, :1], k[:, :, :1]),
        ),
    ],
)
