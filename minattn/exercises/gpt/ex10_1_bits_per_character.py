"""Exercise 10.1: bits per character."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers
from minattn.exercises.training.padded_targets import padded_targets
from minattn.exercises.training.underflow import UNDERFLOWING
from minattn.vocabulary import EOS, PAD


def bits_per_character(logits: Tensor, target_out: Tensor, n_characters: Tensor) -> Tensor:
    """Add the bits of all tokens of all texts, and divide by the number of all characters."""
    return _ratio(logits, target_out, n_characters)


Share = Callable[[Tensor, Tensor, Tensor], Tensor]


def _over_all(bits: Tensor, said: Tensor, characters: Tensor) -> Tensor:
    return (bits * said).sum() / characters.sum()


def _ratio(
    logits: Tensor,
    target_out: Tensor,
    n_characters: Tensor,
    *,
    logs: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    unit: float = math.log(2),
    last_special: int = PAD,
    share: Share = _over_all,
) -> Tensor:
    """Take what the tokens cost, in some unit, and divide it in some way.

    Args:
        logits: of every place.
        target_out: the tokens that are to be said.
        n_characters: of every text.
        logs: makes logarithms of the logits.
        unit: nats in one unit.
        last_special: ids up to this one cost nothing.
        share: makes the result of costs, of what is to be said, and of the characters.
    """
    costs = -logs(logits).gather(-1, target_out[..., None])[..., 0] / unit  # (batch, target)
    return share(costs, target_out > last_special, n_characters)


def _shared(share: Share) -> Answer:
    """Make an answer with the right bits, which are divided otherwise."""
    return partial(_ratio, share=share)


def _rates(bits: Tensor, said: Tensor, characters: Tensor) -> Tensor:
    return (bits * said).sum(1) / characters


def _per_token(bits: Tensor, said: Tensor) -> Tensor:
    return (bits * said).sum() / said.sum()


def _no_ends(bits: Tensor, said: Tensor, characters: Tensor) -> Tensor:
    return (bits * said)[:, :-1].sum() / characters.sum()


def _one_later(logits: Tensor, target_out: Tensor, n_characters: Tensor) -> Tensor:
    return _ratio(logits[:, :-1], target_out[:, 1:], n_characters)


def _one_earlier(logits: Tensor, target_out: Tensor, n_characters: Tensor) -> Tensor:
    return _ratio(logits[:, 1:], target_out[:, :-1], n_characters)


def _of_mean_probability(bits: Tensor, said: Tensor, characters: Tensor) -> Tensor:
    mean = (2**-bits * said).sum() / said.sum()
    return -mean.log2() * said.sum() / characters.sum()


def _cases() -> list[Case]:
    return [
        (numbers(1300, 2, 3, 5), padded_targets(1303, 5, 3, 3, 2), torch.tensor([7, 2])),
        (2 * numbers(1306, 3, 5, 7), padded_targets(1309, 7, 5, 2, 5, 3), torch.tensor([3, 13, 4])),
        (2 * numbers(1312, 1, 4, 11), padded_targets(1315, 11, 4, 4), torch.tensor([9])),
        # Here some of the tokens are all but ruled out.
        (60 * numbers(1318, 2, 5, 7), padded_targets(1321, 7, 5, 5, 4), torch.tensor([11, 8])),
        (
            numbers(1324, 3, 17, 23),
            padded_targets(1327, 23, 17, 17, 4, 9),
            torch.tensor([41, 9, 5]),
        ),
    ]


EXERCISE = Exercise(
    number="10.1",
    title="Bits per character",
    solution=bits_per_character,
    cases=_cases,
    mistakes=[
        Mistake(
            "nats",
            partial(_ratio, unit=1.0),
            "The result is in nats. log_softmax and cross_entropy take the natural logarithm; one bit is log(2) "
            "= 0.693 nats. Divide by it.",
        ),
        Mistake(
            "times_log_2",
            partial(_ratio, unit=1 / math.log(2)),
            "You multiply by log(2). A bit is less than a nat, so there must be more bits than nats: divide.",
        ),
        Mistake(
            "base_10",
            partial(_ratio, unit=math.log(10)),
            "The logarithm has base 10. A bit needs base 2: one bit tells two equally likely tokens apart.",
        ),
        Mistake(
            "negative",
            _shared(lambda bits, said, n: -_over_all(bits, said, n)),
            "The sign is wrong: these are log probabilities. A token of probability 1/8 costs log2(8) = 3 bits, a "
            "positive number.",
        ),
        Mistake(
            "per_token",
            _shared(lambda bits, said, n: _per_token(bits, said)),
            "You divide by the number of tokens: bits per token. A vocabulary of longer pieces has fewer tokens, "
            "so that number cannot be compared with that of another vocabulary. Divide by the characters.",
        ),
        Mistake(
            "per_place",
            _shared(lambda bits, said, n: bits.mean()),
            "This is a mean over all places, padding too. Padding is never said, and the number is asked for by "
            "character: add the bits of the real tokens and divide by the characters.",
            also=[_shared(lambda bits, said, n: (bits * said).mean())],
        ),
        Mistake(
            "padding_counted",
            _shared(lambda bits, said, n: bits.sum() / n.sum()),
            "Padding is counted as if it had to be said. Then a text costs more because another one in its batch "
            "is longer. Leave out the places where target_out is PAD.",
        ),
        Mistake(
            "eos_left_out",
            partial(_ratio, last_special=EOS),
            "EOS costs nothing here. That the text ends at this place has to be said as well, so its bits count, "
            "though it has no character.",
            also=[_shared(_no_ends)],
        ),
        Mistake(
            "eos_as_character",
            _shared(lambda bits, said, n: (bits * said).sum() / (n + 1).sum()),
            "You add one character for the end of every text. The bits of EOS count, but EOS is no character: "
            "divide by n_characters as it is.",
            also=[_shared(lambda bits, said, n: (bits * said).sum() / (n.sum() + 1))],
        ),
        Mistake(
            "mean_of_texts",
            _shared(lambda bits, said, n: _rates(bits, said, n).mean()),
            "You take the mean of what the texts have each. Then a character of a short text counts for more than "
            "one of a long text. Add the bits of all texts first, then divide once.",
        ),
        Mistake(
            "one_for_each_text",
            _shared(_rates),
            "You return a number for each text. One number is asked for: the bits of all texts together, over all "
            "their characters.",
            also=[_shared(lambda bits, said, n: (bits * said).sum(1) / n.sum())],
        ),
        Mistake(
            "tokens_over_text",
            _shared(lambda bits, said, n: _per_token(bits, said) / n.float().mean()),
            "You divide the bits of a mean token by the characters of a mean text. Above and below the line must "
            "stand the same: all bits, and all characters.",
            also=[
                _shared(lambda bits, said, n: _per_token(bits, said) / n.sum()),
                _shared(lambda bits, said, n: bits.mean() / n.float().mean()),
                _shared(lambda bits, said, n: bits.mean() / n.sum()),
            ],
        ),
        Mistake(
            "sum_over_mean",
            _shared(lambda bits, said, n: (bits * said).sum() / n.float().mean()),
            "You divide the bits of all texts by the characters of a mean text. Divide by those of all texts, "
            "n_characters.sum().",
        ),
        Mistake(
            "mean_text_over_sum",
            _shared(lambda bits, said, n: (bits * said).sum(1).mean() / n.sum()),
            "You divide the bits of a mean text by the characters of all texts. Add the bits of all texts.",
        ),
        Mistake(
            "not_divided",
            _shared(lambda bits, said, n: (bits * said).sum()),
            "These are all the bits. They still have to be divided by the number of characters.",
        ),
        Mistake(
            "per_text",
            _shared(lambda bits, said, n: (bits * said).sum() / len(n)),
            "You divide by the number of texts: these are bits per text. Divide by the characters of all of them.",
        ),
        Mistake(
            "upside_down",
            _shared(lambda bits, said, n: 1 / _over_all(bits, said, n)),
            "The fraction is upside down: these are characters per bit.",
        ),
        Mistake(
            "perplexity",
            _shared(lambda bits, said, n: 2 ** _over_all(bits, said, n)),
            "You raise 2, or e, to the result. That is a perplexity: between how many equally likely ones the "
            "model chooses. The bits are its logarithm.",
            also=[
                _shared(lambda bits, said, n: 2 ** _per_token(bits, said)),
                _shared(lambda bits, said, n: _over_all(bits, said, n).exp()),
            ],
        ),
        Mistake(
            "no_softmax",
            partial(_ratio, logs=lambda logits: logits),
            "The logits are used as if they were logarithms of probabilities. They become so by log_softmax over "
            "the vocabulary.",
        ),
        Mistake(
            "wrong_axis",
            partial(_ratio, logs=lambda logits: logits.log_softmax(1)),
            "The softmax runs over the places. The probabilities of all tokens at one place sum to 1: it runs "
            "over the last axis.",
            also=[partial(_ratio, logs=lambda logits: logits.log_softmax(0))],
        ),
        Mistake(
            "underflow",
            partial(_ratio, logs=UNDERFLOWING[0]),
            "Your result is right until a probability is rounded to 0. log_softmax works out the logarithm "
            "without the probability, so nothing is rounded away.",
            also=[partial(_ratio, logs=logs) for logs in UNDERFLOWING[1:]],
        ),
        Mistake(
            "mean_of_probabilities",
            _shared(_of_mean_probability),
            "You take the mean of the probabilities and then its logarithm. Each token has its own cost, and a "
            "single unlikely one costs much: take the logarithm of each first, then add.",
        ),
        Mistake(
            "shifted_once_more",
            _one_later,
            "Logits and tokens are shifted against each other. target_out[:, i] is what logits[:, i] is about: "
            "it is shifted already.",
            also=[_one_earlier],
        ),
        Mistake(
            "first_text_only",
            _shared(lambda bits, said, n: _rates(bits, said, n)[0]),
            "Only the first text of the batch counts here. Add the bits of all of them.",
        ),
    ],
    laws=[
        Law("bits cannot be negative", lambda out, *case: float(out) >= 0),
    ],
)
