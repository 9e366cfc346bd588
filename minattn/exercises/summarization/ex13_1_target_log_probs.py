"""Exercise 13.1: how likely each target word is, written or copied."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.vocabulary import EOS, PAD

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
Log = Callable[[Tensor], Tensor]


def target_log_probs(
    logits: Tensor, weights: Tensor, gate: Tensor, source: Tensor, targets: Tensor
) -> Tensor:
    """Return the log probability of each target word: that it is written, or copied from anywhere."""
    return _answer()(logits, weights, gate, source, targets)


def _only_known(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Return log probabilities of the vocabulary; it cannot write what it does not have."""
    told = _clamped(log_probs, targets)
    return told.masked_fill(targets >= log_probs.shape[-1], -torch.inf)


def _clamped(log_probs: Tensor, targets: Tensor) -> Tensor:
    ids = targets.clamp(max=log_probs.shape[-1] - 1)
    return log_probs.gather(-1, ids[..., None])[..., 0]


def _remainder(log_probs: Tensor, targets: Tensor) -> Tensor:
    return _clamped(log_probs, targets % log_probs.shape[-1])


def _everywhere(at_word: Tensor) -> Tensor:
    return at_word.sum(-1)


def _at_last(at_word: Tensor) -> Tensor:
    """Return the last of some weights of which all others are 0."""
    places = (at_word > 0) * torch.arange(at_word.shape[-1])
    return at_word.gather(-1, places.argmax(-1, keepdim=True))[..., 0]


def _logarithm(mass: Tensor) -> Tensor:
    """Return the logarithm, and no NaN as its gradient where there is nothing."""
    nothing = mass <= 0
    return mass.masked_fill(nothing, 1.0).log().masked_fill(nothing, -torch.inf)


def _log_of_sum(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    return torch.logaddexp(F.logsigmoid(gate) + written, F.logsigmoid(-gate) + copied)


def _answer(
    *,
    normed: Log = lambda logits: logits.log_softmax(-1),
    of_vocabulary: Callable[[Tensor, Tensor], Tensor] = _only_known,
    mass: Log = _everywhere,
    mix: Mix = _log_of_sum,
) -> Callable[..., Tensor]:
    """Make an answer that finds or mixes the two ways otherwise; `mix` takes both logarithms and the gate."""

    def answer(
        logits: Tensor, weights: Tensor, gate: Tensor, source: Tensor, targets: Tensor
    ) -> Tensor:
        same = source[:, None] == targets[..., None]  # (batch, target, source)
        written = of_vocabulary(normed(logits), targets)
        return mix(written, _logarithm(mass(weights * same)), gate)

    return answer


def _in_numbers(
    log: Log = torch.log, rest: Callable[[Tensor], Tensor] = lambda gate: 1 - gate.sigmoid()
) -> Callable[..., Tensor]:
    """Make an answer that mixes probabilities, and takes the logarithm at the end."""
    return _answer(
        mix=lambda written, copied, gate: log(
            gate.sigmoid() * written.exp() + rest(gate) * copied.exp()
        )
    )


def _rest_by_subtraction(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    return torch.logaddexp(F.logsigmoid(gate) + written, (1 - gate.sigmoid()).log() + copied)


def _gate_in_numbers(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    share = gate.sigmoid()
    return torch.logaddexp(share.log() + written, (1 - share).log() + copied)


def _added(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    return F.logsigmoid(gate) + written + F.logsigmoid(-gate) + copied


def _averaged(written: Tensor, copied: Tensor, gate: Tensor, *, log: Log = torch.log) -> Tensor:
    share = gate.sigmoid()
    return share * log(written.exp()) + (1 - share) * log(copied.exp())


def _averaged_if_there(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    share = gate.sigmoid()
    terms = share * written, (1 - share) * copied
    return sum((x.masked_fill(~x.isfinite(), 0.0) for x in terms), torch.zeros_like(gate))


def _guards() -> list[Log]:
    """Make the usual logarithms that are kept away from 0."""
    tiny = [1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-20, 1e-30]
    plus: list[Log] = [partial(lambda p, eps: (p + eps).log(), eps=eps) for eps in tiny]
    return plus + [partial(lambda p, eps: p.clamp(min=eps).log(), eps=eps) for eps in tiny]


def _either_or(gates: bool, copied_first: bool) -> Mix:
    """Make a mix that takes one way only: the first that is possible."""

    def mix(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
        if gates:
            written, copied = F.logsigmoid(gate) + written, F.logsigmoid(-gate) + copied
        first, second = (copied, written) if copied_first else (written, copied)
        return torch.where(first.isfinite(), first, second)

    return mix


def _cases() -> list[Case]:
    small = (
        numbers(1300, 1, 4, 5),
        torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.1, 0.4, 0.5]]]),
        torch.tensor([[1.0, -0.5, 0.4, 2.0]]),
        torch.tensor([[4, 5, 4]]),
        torch.tensor([[3, 5, 4, EOS]]),
    )
    return [
        small,
        _case(1303, 7, 5, 11, 7),
        _case(1306, 13, 11, 17, 5, 13),
        _nearly_impossible(),
    ]


def _case(seed: int, vocab: int, n_targets: int, *lengths: int) -> Case:
    """Make sources of some lengths, with three new words at most; every other target is from its source."""
    batch, n = len(lengths), max(lengths)
    drawn = (numbers(seed, batch, n + 2 * n_targets).abs() * 997).long()
    inside = torch.arange(n) < torch.tensor(lengths)[:, None]
    source = (EOS + 1 + drawn[:, :n] % vocab).masked_fill(~inside, PAD)
    places = drawn[:, n : n + n_targets] % torch.tensor(lengths)[:, None]
    known = EOS + 1 + drawn[:, n + n_targets :] % (vocab - EOS - 1)
    even = torch.arange(n_targets) % 2 == 0
    scores = numbers(seed + 1, batch, n_targets, n).masked_fill(~inside[:, None], -torch.inf)
    return (
        3 * numbers(seed + 2, batch, n_targets, vocab),
        scores.softmax(-1),
        2 * numbers(seed + 3, batch, n_targets),
        source,
        torch.where(even, source.gather(1, places), known),
    )


def _nearly_impossible() -> Case:
    """Make words that are all but impossible: the gate is shut, or the vocabulary is sure of another."""
    logits, weights, _, source, _ = _case(1309, 5, 5, 4)
    logits[0, 2, 3] = -200.0
    source[:] = torch.tensor([4, 5, 4, 5])
    gate = torch.tensor([[150.0, -150.0, 0.5, 150.0, -150.0]])
    return logits, weights, gate, source, torch.tensor([[5, 3, 3, 4, 5]])


EXERCISE = Exercise(
    number="13.1",
    title="Written or copied",
    solution=target_log_probs,
    cases=_cases,
    mistakes=[
        Mistake(
            "sum_of_logs",
            _answer(mix=_averaged),
            "You add the logarithms of the two ways. Then a word that only one way can give has log(0) in its "
            "sum. A word is written or copied, so the probabilities add up, and the logarithm comes after.",
            also=[
                _answer(mix=_added),
                _answer(mix=_averaged_if_there),
                *(_answer(mix=partial(_averaged, log=log)) for log in _guards()),
            ],
        ),
        Mistake(
            "gate_turned",
            _answer(mix=lambda written, copied, gate: _log_of_sum(written, copied, -gate)),
            "The gate is the wrong way round. Its sigmoid is the probability that the word is written from the "
            "vocabulary; what is left of 1 is for copying.",
            also=[_answer(mix=lambda written, copied, gate: _log_of_sum(copied, written, gate))],
        ),
        Mistake(
            "gate_not_squashed",
            _answer(
                mix=lambda written, copied, gate: (
                    gate * written.exp() + (1 - gate) * copied.exp()
                ).log()
            ),
            "You use the gate as a probability. It is a logit, any number at all, and its sigmoid is the "
            "probability of writing.",
        ),
        Mistake(
            "one_place_only",
            _answer(mass=_at_last),
            "A word that stands twice in the source gets the weight of one place only. Writing into a tensor "
            "by ids overwrites: use scatter_add. A word may be copied from every place, so add its weights up.",
            also=[
                _answer(mass=lambda at_word: at_word.amax(-1)),
                _answer(mass=lambda at_word: _at_last(at_word.flip(-1))),
            ],
        ),
        Mistake(
            "clamped",
            _answer(of_vocabulary=_clamped),
            "A new word gets the probability of another word of the vocabulary: clamp or % makes an id of it "
            "that belongs to someone else. The vocabulary cannot write it, so that way counts 0.",
            also=[_answer(of_vocabulary=_remainder)],
        ),
        Mistake(
            "either_or",
            _answer(mix=_either_or(gates=True, copied_first=False)),
            "You take one of the two ways for each word. A known word that stands in the source can be written "
            "and copied as well: add both.",
            also=[
                _answer(mix=_either_or(gates=True, copied_first=True)),
                _answer(mix=_either_or(gates=False, copied_first=False)),
                _answer(mix=_either_or(gates=False, copied_first=True)),
                _answer(
                    mix=lambda written, copied, gate: torch.maximum(
                        F.logsigmoid(gate) + written, F.logsigmoid(-gate) + copied
                    )
                ),
            ],
        ),
        Mistake(
            "softmax_missing",
            _answer(normed=lambda logits: logits),
            "The logits are no log probabilities yet: take log_softmax over the vocabulary, the last axis.",
            also=[
                _answer(normed=lambda logits: logits.log_softmax(1)),
                _answer(normed=lambda logits: logits.log_softmax(0)),
                _answer(normed=lambda logits: logits.softmax(-1)),
            ],
        ),
        Mistake(
            "log_of_zero",
            _in_numbers(),
            "Some small probability has become 0, and its logarithm is lost, or is that of the number you add. "
            "With a gate of 150, 1 - sigmoid(gate) is 0. Stay with logarithms: logsigmoid(-gate), log_softmax, "
            "and logaddexp to add.",
            also=[
                _answer(mix=_rest_by_subtraction),
                _answer(mix=_gate_in_numbers),
                _answer(normed=lambda logits: logits.softmax(-1).log()),
                *map(_in_numbers, _guards()),
                *(_in_numbers(log, lambda gate: torch.sigmoid(-gate)) for log in _guards()),
            ],
        ),
    ],
    laws=[Law("no log probability is above 0", lambda out, *case: bool((out <= 1e-6).all()))],
)
