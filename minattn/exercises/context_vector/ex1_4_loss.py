"""Exercise 1.4: the loss over real tokens."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers
from minattn.training import token_loss
from minattn.vocabulary import EOS, PAD


def _nats(logits: Tensor, target_out: Tensor) -> Tensor:
    """Return the cross-entropy of every position, padding included."""
    return -logits.log_softmax(-1).gather(-1, target_out[..., None])[..., 0]


def _mean_of_means(logits: Tensor, target_out: Tensor) -> Tensor:
    real = target_out != PAD
    return ((_nats(logits, target_out) * real).sum(1) / real.sum(1)).mean()


def _loss_cases() -> list[Case]:
    return [
        (numbers(50, 2, 3, 5), torch.tensor([[3, 4, 2], [4, 2, 0]])),
        (numbers(51, 3, 5, 7), torch.tensor([[6, 2, 0, 0, 0], [3, 5, 4, 4, 2], [5, 6, 2, 0, 0]])),
        (numbers(52, 2, 2, 11), torch.tensor([[9, 2], [7, 2]])),
    ]


EXERCISE = Exercise(
    number="1.4",
    title="The loss over real tokens",
    solution=token_loss,
    cases=_loss_cases,
    mistakes=[
        Mistake(
            "padding_counted",
            lambda lo, t: _nats(lo, t).mean(),
            "This looks like the mean over every position, so the model is also trained to predict "
            "padding. That is easy, and the more padding a batch has, the better the loss looks. Which "
            "positions should count?",
        ),
        Mistake(
            "divided_by_all",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum() / t.numel(),
            "The sum is right: padding adds nothing to it. But it is divided by the number of all "
            "positions, so the same sentence gets a smaller loss in a wider batch. How many terms does "
            "your sum have?",
        ),
        Mistake(
            "mean_of_sentence_means",
            _mean_of_means,
            "This looks like the mean of each sentence, and then the mean of those. A token of a short "
            "sentence then counts more than one of a long sentence. The task asks for nats per token, "
            "each token counting the same.",
        ),
        Mistake(
            "sum",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum(),
            "This is the sum over the real tokens. Larger batches would have larger losses; a mean can be "
            "compared.",
        ),
        Mistake(
            "per_sentence",
            lambda lo, t: (_nats(lo, t) * (t != PAD)).sum() / len(t),
            "This is the sum over the real tokens, divided by the number of sentences. A long sentence "
            "would seem harder only because it is long. The task asks for nats per token.",
        ),
        Mistake(
            "softmax_over_positions",
            lambda lo, t: -lo.log_softmax(1).gather(-1, t[..., None])[..., 0][t != PAD].mean(),
            "The softmax runs over the positions. At every position the words of the vocabulary compete: "
            "which axis are they on?",
        ),
        Mistake(
            "softmax_over_batch",
            lambda lo, t: -lo.log_softmax(0).gather(-1, t[..., None])[..., 0][t != PAD].mean(),
            "The softmax runs over the batch, so sentences compete with each other. At every position the "
            "words of the vocabulary compete: which axis are they on?",
        ),
        Mistake(
            "bits",
            lambda lo, t: _nats(lo, t)[t != PAD].mean() / math.log(2),
            "This is the loss in bits, with a logarithm to base 2. The task asks for nats, the natural "
            "logarithm.",
        ),
        Mistake(
            "logits_as_log_probabilities",
            lambda lo, t: -(lo.gather(-1, t[..., None])[..., 0])[t != PAD].mean(),
            "This looks like the mean of the logits themselves. A logit alone says little: it counts "
            "against the other logits of its position. Turn logits into log-probabilities first.",
        ),
        Mistake(
            "softmax_twice",
            lambda lo, t: _nats(lo.softmax(-1), t)[t != PAD].mean(),
            "This looks like a softmax before a loss that has one inside. F.cross_entropy takes logits "
            "as they are. With two softmaxes the loss can never get near 0.",
        ),
        Mistake(
            "sign",
            lambda lo, t: -_nats(lo, t)[t != PAD].mean(),
            "The sign is wrong: this is the mean log-probability, which is never above 0. A loss is to "
            "be made small, and here small would mean that the right tokens get unlikely.",
        ),
        Mistake(
            "probability",
            lambda lo, t: -(-_nats(lo, t)[t != PAD]).exp().mean(),
            "This looks like the mean of the probabilities, without a logarithm. Cross-entropy is minus "
            "the logarithm of the probability of the right token.",
            also=[lambda lo, t: (-_nats(lo, t)[t != PAD]).exp().mean()],
        ),
        Mistake(
            "logarithm_of_the_mean",
            lambda lo, t: -(-_nats(lo, t)[t != PAD]).exp().mean().log(),
            "This is minus the logarithm of the mean probability. The loss is the mean of the logarithms: a "
            "token that is nearly impossible then costs a lot, whatever the others are. Which comes first?",
        ),
        Mistake(
            "eos_left_out",
            lambda lo, t: _nats(lo, t)[t > EOS].mean(),
            "The end of sequence is left out as well as padding. EOS is a real token: a decoder that is "
            "never trained on it never learns to stop.",
        ),
        Mistake(
            "reshaped",
            lambda lo, t: F.cross_entropy(
                lo.reshape(len(lo), lo.shape[2], lo.shape[1]), t, ignore_index=PAD
            ),
            "F.cross_entropy wants the classes on the second axis, and here they got there by reshape "
            "(or view). That keeps the numbers in their old order and cuts them differently, so logits "
            "of several positions are mixed. Which operation exchanges two axes?",
        ),
        Mistake(
            "classes_last",
            lambda lo, t: F.cross_entropy(lo, t, ignore_index=PAD),
            "F.cross_entropy wants the classes on the second axis, and your logits have them on the third. "
            "Either bring the axis there, or put batch and positions into one axis first.",
            also=[lambda lo, t: F.cross_entropy(lo, t)],
        ),
    ],
    laws=[
        Law("the loss of uncertain tokens is above 0", lambda out, lo, t: float(out) > 0),
        Law(
            "a mean lies between its smallest and its largest term",
            lambda out, lo, t: bool(
                _nats(lo, t)[t != PAD].min() <= float(out) <= _nats(lo, t)[t != PAD].max()
            ),
        ),
    ],
)
