"""Exercise 4.2: positions of padded rows."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.exercises.self_attention.waves import exponents_of, interleave, waves

Answer = Callable[[Tensor, int], Tensor]
Places = Callable[[Tensor], Tensor]
"""Takes tokens, (batch, seq), and returns a whole number for each."""


def positions(tokens: Tensor, d: int) -> Tensor:
    """Give every token sines and cosines of its place in its row, and zeros to padding."""
    return _with_waves(exponents_of)(tokens, d)


def _tokens_before(tokens: Tensor) -> Tensor:
    return tokens.cumsum(1) - 1


def _from_the_edge(tokens: Tensor) -> Tensor:
    return torch.arange(tokens.shape[1]).expand(tokens.shape)


def _from_one(tokens: Tensor) -> Tensor:
    return tokens.cumsum(1)


def _as_in_the_first_row(tokens: Tensor) -> Tensor:
    return _from_the_edge(tokens) - (~tokens[0]).sum()


def _below_zero(tokens: Tensor) -> Tensor:
    return _from_the_edge(tokens) - (~tokens).sum(1, keepdim=True)


def _held_at_zero(tokens: Tensor) -> Tensor:
    return _tokens_before(tokens).clamp(min=0)


def _angles(places: Tensor, exponents: Tensor) -> Tensor:
    return places[..., None] * 10_000.0**-exponents


def _placed(places: Places, zeros: bool = True) -> Answer:
    """Make an answer that counts in another way."""

    def answer(tokens: Tensor, d: int) -> Tensor:
        out = waves(_angles(places(tokens), exponents_of(d)))
        return out * tokens[..., None] if zeros else out

    return answer


def _with_waves(
    of_sines: Callable[[int], Tensor],
    of_cosines: Callable[[int], Tensor] | None = None,
    lay: Callable[[Tensor, Tensor], Tensor] = interleave,
) -> Answer:
    """Make an answer whose features have other exponents, or lie in another order."""

    def answer(tokens: Tensor, d: int) -> Tensor:
        sines, cosines = (
            _angles(_tokens_before(tokens), exponents(d))
            for exponents in (of_sines, of_cosines or of_sines)
        )
        return lay(sines.sin(), cosines.cos()) * tokens[..., None]

    return answer


def _padded(seq: int, *lengths: int) -> Tensor:
    """Return rows that end at the same place."""
    return torch.arange(seq) >= seq - torch.tensor(lengths)[:, None]


def _padded_cases() -> list[Case]:
    return [(_padded(3, 2, 3), 4), (_padded(5, 4, 1, 5), 6), (_padded(7, 3, 7, 6, 2), 10)]


def _first_token_is_at_zero(out: Tensor, tokens: Tensor, d: int) -> bool:
    first = torch.as_tensor(out).double()[torch.arange(len(tokens)), tokens.int().argmax(1)]
    return torch.allclose(first, torch.tensor([0.0, 1.0]).double().repeat(d // 2), atol=1e-4)


EXERCISE = Exercise(
    number="4.2",
    title="Positions of padded rows",
    solution=positions,
    cases=_padded_cases,
    tolerance=1e-3,  # angles in single precision, if somebody makes them large
    mistakes=[
        Mistake(
            "counted_from_the_edge",
            _placed(_from_the_edge),
            "The places are counted from the left edge of the batch, padding included. A sentence then gets "
            "other positions if a longer one stands beside it. Its first token should be at 0, in whichever "
            "column that lies.",
            also=[_placed(_from_the_edge, zeros=False)],
        ),
        Mistake(
            "counted_from_one",
            _placed(_from_one),
            "Your first token is at position 1. Its position is the number of tokens before it, itself not "
            "counted: what does cumsum give at the first token?",
            also=[_placed(_from_one, zeros=False)],
        ),
        Mistake(
            "one_start_for_all",
            _placed(_as_in_the_first_row),
            "Every row is counted as the first row is. The rows have padding of different lengths, so each "
            "begins to count at a place of its own: the positions need a batch axis, (batch, seq).",
            also=[_placed(_as_in_the_first_row, zeros=False)],
        ),
        Mistake(
            "padding_not_zero",
            _placed(_below_zero, zeros=False),
            "The tokens are right, and padding has a vector too: that of a negative position, or of position "
            "0, which is 0, 1, 0, 1 and not zero. The task wants zeros there. Where does the mask come in?",
            also=[_placed(_tokens_before, zeros=False), _placed(_held_at_zero, zeros=False)],
        ),
        Mistake(
            "exponent_doubled",
            _with_waves(lambda d: 2 * exponents_of(d)),
            "The exponent is doubled: the slow half of the waves hardly moves. In the formula i counts "
            "pairs, and 2i is the number of the even feature. If your i already goes 0, 2, 4 and so on, "
            "it is the 2i of the formula.",
            also=[
                _with_waves(lambda d: 2 * exponents_of(d), lambda d: 2 * exponents_of(d) + 2 / d)
            ],
        ),
        Mistake(
            "exponent_not_doubled",
            _with_waves(lambda d: exponents_of(d) / 2),
            "The exponent is i/d where i counts pairs; it should be 2i/d. With yours the slowest wave is "
            "only about a hundred times as long as the fastest, not nearly ten thousand times.",
        ),
        Mistake(
            "cosine_shifted",
            _with_waves(exponents_of, lambda d: exponents_of(d) + 1 / d),
            "The sines are right, but each cosine has a frequency of its own. The two features of a pair "
            "share one, 2i for both, or else moving on by k positions is no turn of the pair. Watch the "
            "exponent in the odd features.",
            also=[_with_waves(exponents_of, lambda d: exponents_of(d) + 2 / d)],
        ),
        Mistake(
            "sines_before_cosines",
            _with_waves(exponents_of, lay=lambda sines, cosines: torch.cat([sines, cosines], -1)),
            "First all sines, then all cosines. Many programs do it so, and a model would not mind; but "
            "the formula, and whoever wants to use your vectors with other code, has them in turn: sine "
            "in feature 0, its cosine in feature 1.",
        ),
    ],
    laws=[
        Law("the first token of every row is at position 0: 0, 1, 0, 1", _first_token_is_at_zero),
        Law(
            "padding gets zeros",
            lambda out, tokens, d: bool((torch.as_tensor(out)[~tokens] == 0).all()),
        ),
    ],
)
