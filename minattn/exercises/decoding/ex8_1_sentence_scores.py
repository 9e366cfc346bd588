"""Exercise 8.1: what does padding cost the score?"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Answer, Case, Exercise, Law, Mistake, numbers
from minattn.exercises.training.padded_targets import padded_targets
from minattn.exercises.training.underflow import UNDERFLOWING
from minattn.vocabulary import EOS, PAD


def sentence_scores(logits: Tensor, target_out: Tensor) -> Tensor:
    """Add the log probabilities of the tokens of every target; padding costs nothing."""
    return _scores(logits, target_out)


def _scores(
    logits: Tensor,
    target_out: Tensor,
    *,
    logs: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    add: Callable[[Tensor, Tensor], Tensor] = lambda terms, tokens: (terms * tokens).sum(1),
    last_special: int = PAD,
) -> Tensor:
    terms = logs(logits).gather(-1, target_out[..., None])[..., 0]  # (batch, target)
    return add(terms, target_out > last_special)


def _of_products(product: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    """Make an answer from the probabilities of the tokens."""
    return partial(_scores, logs=lambda logits: logits.softmax(-1), add=product)


def _product(p: Tensor, tokens: Tensor) -> Tensor:
    return p.where(tokens, torch.ones(())).prod(1)


def _crosswise(logits: Tensor, target_out: Tensor) -> Tensor:
    places = torch.arange(target_out.shape[1])
    terms = logits.log_softmax(-1)[:, places, target_out]  # (batch, batch, target)
    return (terms * (target_out != PAD)).sum(-1)


def _score_cases() -> list[Case]:
    return [
        (numbers(1100, 2, 3, 5), padded_targets(1103, 5, 3, 3, 3)),
        (2 * numbers(1106, 3, 5, 7), padded_targets(1109, 7, 5, 2, 5, 3)),
        (2 * numbers(1112, 1, 4, 11), padded_targets(1115, 11, 4, 4)),
        # Here some of the tokens are all but ruled out.
        (60 * numbers(1124, 2, 5, 7), padded_targets(1127, 7, 5, 5, 5)),
        # These scores are so low that even a double has no place for their exp.
        (2 * numbers(1118, 2, 401, 11), padded_targets(1121, 11, 401, 401, 397)),
    ]


EXERCISE = Exercise(
    number="8.1",
    title="What does padding cost the score?",
    solution=sentence_scores,
    cases=_score_cases,
    mistakes=[
        Mistake(
            "padding_counted",
            partial(_scores, add=lambda terms, tokens: terms.sum(1)),
            "Padding is counted as if it had to be said. Then a sentence loses score because another one in "
            "its batch is longer. Take the places where target_out is PAD out of the sum.",
        ),
        Mistake(
            "masked_too_early",
            _of_products(lambda p, tokens: (p * tokens).log().sum(1)),
            "The probabilities of padding are set to 0, and the logarithm of 0 is minus infinity. Take the "
            "logarithm first and put the 0 there: a logarithm of 0 is a probability of 1, which changes "
            "nothing.",
        ),
        Mistake(
            "eos_left_out",
            partial(_scores, last_special=EOS),
            "EOS is left out. That the sentence ends here is something that the model says, and it has its "
            "price. Without it a sentence that breaks off in the middle would have the best score.",
            also=[
                partial(
                    _scores,
                    add=lambda terms, tokens: (terms * tokens)[:, :-1].sum(1),
                ),
            ],
        ),
        Mistake(
            "mean",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1) / tokens.sum(1)),
            "This is the mean over the tokens. It is a fair way to compare sentences of different length, "
            "but it is not the log probability of the whole one: probabilities are multiplied, so their "
            "logarithms are added.",
            also=[
                partial(_scores, add=lambda terms, tokens: (terms * tokens).mean(1)),
                partial(_scores, add=lambda terms, tokens: terms.mean(1)),
            ],
        ),
        Mistake(
            "shifted",
            lambda logits, target_out: _scores(logits[:, :-1], target_out[:, 1:]),
            "The logits are compared with the token one place later. The shift is made already: target_in "
            "begins with BOS and target_out does not, so logits at place t guess target_out at place t.",
            also=[lambda logits, target_out: _scores(logits[:, 1:], target_out[:, :-1])],
        ),
        Mistake(
            "probability",
            _of_products(_product),
            "This is the probability itself. Of a long sentence it is so small that it is rounded to 0. The "
            "task asks for its logarithm, in which the product is a sum.",
            also=[partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1).exp())],
        ),
        Mistake(
            "product_underflows",
            _of_products(lambda p, tokens: _product(p, tokens).log()),
            "You multiply the probabilities and take the logarithm of the product. For short sentences that "
            "is right. The product of a long one is rounded to 0, and its logarithm is minus infinity. Add "
            "the logarithms.",
            also=[
                _of_products(lambda p, tokens: _product(p.double(), tokens).log()),
                _of_products(lambda p, tokens: (_product(p, tokens) + 1e-9).log()),
                _of_products(lambda p, tokens: (_product(p, tokens) + 1e-12).log()),
                _of_products(lambda p, tokens: _product(p, tokens).clamp(min=1e-9).log()),
                _of_products(lambda p, tokens: _product(p, tokens).clamp(min=1e-12).log()),
                partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1).exp().log()),
            ],
        ),
        Mistake(
            "underflow",
            partial(_scores, logs=UNDERFLOWING[0]),
            "You take the logarithm of the softmax. Where the model all but rules a token out, its "
            "probability is rounded to 0, and the logarithm of that is minus infinity or what you put there "
            "instead. log_softmax never forms the small number.",
            also=[partial(_scores, logs=logs) for logs in UNDERFLOWING[1:]],
        ),
        Mistake(
            "probabilities_added",
            _of_products(lambda p, tokens: (p * tokens).sum(1)),
            "Probabilities are added. All tokens have to be said, one after the other, so their "
            "probabilities are multiplied, and the logarithms are added.",
            also=[_of_products(lambda p, tokens: (p * tokens).sum(1).log())],
        ),
        Mistake(
            "raw_logits",
            partial(_scores, logs=lambda logits: logits),
            "The logits are added as they are. They are no log probabilities: raise all of them by 1, and "
            "the model says the same, but your score changes. First log_softmax over the vocabulary.",
        ),
        Mistake(
            "wrong_axis",
            partial(_scores, logs=lambda logits: logits.log_softmax(1)),
            "The softmax runs over the places or over the batch. At every place the words of the vocabulary "
            "share the probability, so it runs over the last axis.",
            also=[partial(_scores, logs=lambda logits: logits.log_softmax(0))],
        ),
        Mistake(
            "summed_over_batch",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum()),
            "This is one number for the whole batch. Every sentence has a score of its own: sum over the "
            "places only.",
            also=[partial(_scores, add=lambda terms, tokens: terms.sum())],
        ),
        Mistake(
            "the_loss",
            partial(_scores, add=lambda terms, tokens: -terms[tokens].mean()),
            "This is the loss: one positive number for the whole batch, the mean over its tokens. A score is "
            "a sum, one for every sentence, and below 0.",
            also=[partial(_scores, add=lambda terms, tokens: -terms.mean())],
        ),
        Mistake(
            "sign",
            partial(_scores, add=lambda terms, tokens: -(terms * tokens).sum(1)),
            "The sign is that of a loss, where small is good. A log probability is never above 0.",
        ),
        Mistake(
            "bits",
            partial(_scores, add=lambda terms, tokens: (terms * tokens).sum(1) / math.log(2)),
            "These are bits: a logarithm to the base 2. The task asks for nats, the natural logarithm.",
        ),
        Mistake(
            "best_tokens",
            lambda logits, target_out: (logits.log_softmax(-1).amax(-1) * (target_out != PAD)).sum(
                1
            ),
            "You add the largest log probability of each place. That is what the model likes best there, "
            "whatever the target says. Take the one of the target's token: gather.",
        ),
        Mistake(
            "crosswise",
            _crosswise,
            "The result is a table: every sentence is scored with the targets of all sentences. In an index "
            "the batch needs a number for each row too, not a colon. gather does it in one go.",
        ),
        Mistake(
            "vocabulary_not_second",
            lambda logits, target_out: F.cross_entropy(logits, target_out, reduction="none"),
            "F.cross_entropy expects the vocabulary as second axis, and here it is the last. Turn it with "
            "logits.transpose(1, 2), and mind the sign.",
        ),
    ],
    laws=[
        Law("a score is a finite number", lambda out, *case: bool(out.isfinite().all())),
        Law("a log probability is never above 0", lambda out, *case: bool((out <= 0).all())),
    ],
)
