import math

import numpy as np
import pytest
import torch

from minattn.exercises.text_to_image.ex20_4_one_vocabulary import EXERCISE, examples
from minattn.training import seeded

# Other right ways: parts put together, the targets looked at, loops, NumPy.


def examples_from_parts(words, codes, n_words):
    separator, codes = torch.full_like(words[:, :1], n_words), codes + (n_words + 1)
    inputs = torch.hstack([words, separator, codes[:, :-1]])
    targets = torch.hstack([words[:, 1:], separator, codes])
    counted = torch.hstack([torch.zeros_like(words), torch.ones_like(codes)]).bool()
    return inputs, targets, counted


def examples_by_targets(words, codes, n_words):
    separator = words.new_full((len(words), 1), n_words)
    sequence = torch.cat([words, separator, codes + n_words + 1], dim=1)
    targets = sequence[:, 1:]
    return sequence[:, :-1], targets, targets > n_words


def examples_by_loops(words, codes, n_words):
    rows = [
        [*text, n_words, *(code + n_words + 1 for code in picture)]
        for text, picture in zip(words.tolist(), codes.tolist(), strict=True)
    ]
    inputs, targets = (
        torch.tensor([row[cut] for row in rows]) for cut in (slice(0, -1), slice(1, None))
    )
    counted = torch.zeros(targets.shape, dtype=torch.bool)
    counted[:, -codes.shape[1] :] = True
    return inputs, targets, counted


def examples_numpy(words, codes, n_words):
    w, c = words.numpy(), codes.numpy()
    sequence = np.concatenate([w, np.full((len(w), 1), n_words), c + n_words + 1], axis=1)
    return sequence[:, :-1], sequence[:, 1:], sequence[:, 1:] > n_words


OTHER_WAYS = [examples_from_parts, examples_by_targets, examples_by_loops, examples_numpy]


# Wrong ways, written as a learner writes them: the broken function, and ways to mend a part of it.


def broken_examples(words, codes, n_words):
    separator = torch.full((len(words), 1), n_words)
    sequence = torch.cat([words, separator, codes], dim=1)
    inputs, targets = sequence[:, :-1], sequence[:, :-1]
    counted = torch.ones_like(targets, dtype=torch.bool)
    return inputs, targets, counted


def written(offset=1, separator=True, counted=None, inputs=slice(0, -1), targets=slice(1, None)):
    def answer(words, codes, n_words):
        parts = [words, torch.full_like(words[:, :1], n_words), codes + n_words + offset]
        sequence = torch.cat(parts if separator else parts[::2], dim=1)
        said = sequence[:, targets]
        counts = said >= n_words + offset if counted is None else counted(said, n_words)
        return sequence[:, inputs], said, counts

    return answer


def everything(targets, n_words):
    return torch.ones_like(targets).bool()


def with_codes_as_they_are(words, codes, n_words):
    separator = torch.full((len(words), 1), n_words)
    sequence = torch.cat([words, separator, codes], dim=1)
    counted = torch.arange(sequence.shape[1] - 1) >= words.shape[1]
    return sequence[:, :-1], sequence[:, 1:], counted.expand(len(words), -1)


def the_last_codes(targets, n_words):
    """Count what stands behind the separator, which is the first token that is no word."""
    return (targets >= n_words).cumsum(1) > 1


NEAR_MISSES = [
    ("not_shifted", broken_examples),
    ("not_shifted", written(targets=slice(0, -1))),
    ("not_shifted", written(inputs=slice(0, None), targets=slice(0, None))),
    ("codes_are_words", with_codes_as_they_are),
    ("code_0_is_the_separator", written(offset=0, counted=the_last_codes)),
    ("separator_dropped", written(separator=False)),
    ("words_count", written(counted=everything)),
    ("words_count", written(counted=lambda said, n_words: said >= n_words)),
    ("first_code_left_out", lambda *case: (*examples(*case)[:2], examples(*case)[0] > case[2])),
    ("shifted_too_far", written(inputs=slice(0, -2), targets=slice(2, None))),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    inputs, targets, counted = examples(torch.tensor([[3, 1]]), torch.tensor([[2, 0, 2]]), 5)
    assert inputs.tolist() == [[3, 1, 5, 8, 6]]
    assert targets.tolist() == [[1, 5, 8, 6, 8]]
    assert counted.tolist() == [[False, False, True, True, True]]


def best_loss(make, seed):
    """Count what follows what among random codes: the least loss of who sees one token only."""
    with seeded(seed):
        words, codes = torch.randint(5, (2000, 2)), torch.randint(7, (2000, 6))
    inputs, targets, counted = make(words, codes, 5)
    pairs = torch.zeros(13, 13)
    pairs.index_put_((inputs[counted], targets[counted]), torch.tensor(1.0), accumulate=True)
    shares = pairs / pairs.sum(1, keepdim=True)
    return -float(shares[inputs[counted], targets[counted]].log().mean())


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_what_cannot_be_guessed_has_no_loss_if_it_is_not_shifted(seed):
    assert best_loss(broken_examples, seed) == 0
    assert best_loss(examples, seed) == pytest.approx(math.log(7), abs=0.01)


def test_ids_of_words_separator_and_codes_do_not_meet():
    for words, codes, n_words in EXERCISE.cases():
        inputs, targets, counted = examples(words, codes, n_words)
        assert int(targets[counted].min()) == n_words + 1 + int(codes.min())
        assert int(words.max()) < n_words and int(codes.min()) == 0
        assert inputs.shape == targets.shape == counted.shape
