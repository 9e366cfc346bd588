import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.gpt.ex10_1_bits_per_character import EXERCISE
from minattn.exercises.judging import judge
from minattn.vocabulary import EOS, PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def bits_torch(logits, target_out, n_characters):
    nats = F.cross_entropy(
        logits.flatten(0, 1), target_out.flatten(), ignore_index=PAD, reduction="sum"
    )
    return nats / math.log(2) / n_characters.sum()


def bits_loop(logits, target_out, n_characters):
    bits = 0.0
    for z, ids in zip(logits, target_out, strict=True):
        for z_t, token in zip(z.double(), ids, strict=True):
            if token != PAD:
                bits += float(z_t.logsumexp(0) - z_t[token]) * math.log2(math.e)
    return bits / sum(n_characters.tolist())


def bits_from_the_mean(logits, target_out, n_characters):
    """Bits per token, times tokens per character."""
    mean = F.cross_entropy(logits.transpose(1, 2), target_out, ignore_index=PAD)
    return mean / np.log(2) * (target_out != PAD).sum() / n_characters.sum()


def bits_weighted(logits, target_out, n_characters):
    """The mean of the texts, where each counts by its characters."""
    nats = F.cross_entropy(logits.mT, target_out, ignore_index=PAD, reduction="none").sum(1)
    rates = nats / n_characters / math.log(2)
    return np.average(rates.numpy(), weights=n_characters.numpy())


def bits_in_doubles(logits, target_out, n_characters):
    p = logits.double().softmax(-1).gather(-1, target_out.unsqueeze(-1)).squeeze(-1)
    return -torch.log2(p[target_out != PAD]).sum() / n_characters.sum()


OTHER_WAYS = [bits_torch, bits_loop, bits_from_the_mean, bits_weighted, bits_in_doubles]


# Wrong ways, written as a learner writes them.


def bits_of_cross_entropy(logits, target_out, n_characters):
    return F.cross_entropy(logits.transpose(1, 2), target_out) / math.log(2)


def bits_with_padding(logits, target_out, n_characters):
    total = F.cross_entropy(logits.transpose(1, 2), target_out, reduction="sum")
    return total / math.log(2) / n_characters.sum()


def bits_of_tokens(logits, target_out, n_characters):
    return F.cross_entropy(logits.mT, target_out, ignore_index=PAD) / math.log(2)


def bits_without_ends(logits, target_out, n_characters):
    said = (target_out != PAD) & (target_out != EOS)
    logs = logits.log_softmax(-1).gather(2, target_out[..., None]).squeeze(2)
    return -logs[said].sum() / math.log(2) / n_characters.sum()


def bits_of_a_text(logits, target_out, n_characters):
    nats = F.cross_entropy(logits.mT, target_out, ignore_index=PAD, reduction="none")
    return nats.sum(1).mean() / math.log(2)


NEAR_MISSES = [
    ("per_text", bits_of_a_text),
    ("per_place", bits_of_cross_entropy),
    ("padding_counted", bits_with_padding),
    ("per_token", bits_of_tokens),
    ("eos_left_out", bits_without_ends),
]


# What is said, and what the checker is tried on.


def test_some_texts_have_fewer_characters_than_tokens_and_some_have_more():
    longer = [n > (ids != PAD).sum(1) for _, ids, n in EXERCISE.cases()]
    assert {True, False} <= set(torch.cat(longer).tolist())


def test_a_certain_model_needs_no_bits_and_a_model_that_knows_nothing_the_logarithm():
    target_out, n_characters = torch.tensor([[5, 6, EOS], [7, EOS, PAD]]), torch.tensor([4, 1])
    certain = 1000.0 * F.one_hot(target_out, 8)
    assert EXERCISE.solution(certain, target_out, n_characters) == 0
    bits = EXERCISE.solution(torch.zeros(2, 3, 8), target_out, n_characters)
    assert bits.item() == pytest.approx(3.0)  # five tokens of log2(8) bits, over five characters


def test_a_negative_number_of_bits_breaks_a_law():
    verdict = judge(EXERCISE, lambda *case: torch.tensor(-0.7))
    assert verdict.kind == "wrong" and "bits cannot be negative" in verdict.message
