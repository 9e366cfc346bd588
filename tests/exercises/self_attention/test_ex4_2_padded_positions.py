import math

import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_2_padded_positions import EXERCISE, positions
from minattn.positions import sinusoidal

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def by_loop(tokens, d):
    out = np.zeros((*tokens.shape, d))
    for b, row in enumerate(tokens.tolist()):
        t = 0
        for place, is_token in enumerate(row):
            if not is_token:
                continue
            for j in range(d):
                angle = t / 10000 ** (2 * (j // 2) / d)
                out[b, place, j] = math.cos(angle) if j % 2 else math.sin(angle)
            t += 1
    return out


def rows_of_the_table(tokens, d):
    """Make the table of the page once, and look every place up in it."""
    table = torch.cat([sinusoidal(tokens.shape[1], d), torch.zeros(1, d)])
    return table[torch.where(tokens, tokens.cumsum(1) - 1, -1)]


def moved_right(tokens, d):
    table = sinusoidal(tokens.shape[1], d)
    out = torch.zeros(*tokens.shape, d)
    for row, length in zip(out, tokens.sum(1).tolist(), strict=True):
        row[-length:] = table[:length]
    return out


def by_exponential(tokens, d):
    n_padding = (~tokens).sum(dim=1, keepdim=True)
    place = (torch.arange(tokens.size(1)) - n_padding).float()
    rates = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    pe = torch.zeros(*tokens.shape, d)
    pe[..., 0::2] = torch.sin(place.unsqueeze(-1) * rates)
    pe[..., 1::2] = torch.cos(place.unsqueeze(-1) * rates)
    return pe.masked_fill(~tokens.unsqueeze(-1), 0.0)


def by_turning(tokens, d):
    """Turn the pairs on by one step from token to token."""
    step = torch.polar(torch.ones(d // 2), 10000 ** (-torch.arange(0, d, 2) / d))
    place = (tokens.cumsum(1) - 1)[..., None]
    pairs = step**place
    return torch.stack([pairs.imag, pairs.real], -1).flatten(2) * tokens[..., None]


OTHER_WAYS = [by_loop, rows_of_the_table, moved_right, by_exponential, by_turning]


# Wrong ways, written as a learner writes them.


def by_pairs(exponents, lay=lambda s, c: torch.stack([s, c], -1).flatten(2)):
    def answer(tokens, d):
        place = torch.cumsum(tokens, dim=1) - 1
        angles = place[..., None] / 10000 ** exponents(torch.arange(d // 2), d)
        return lay(torch.sin(angles), torch.cos(angles)) * tokens[..., None]

    return answer


def by_features(exponent):
    def answer(tokens, d):
        out = torch.zeros(*tokens.shape, d)
        for b in range(len(tokens)):
            start = int((~tokens[b]).sum())
            for t in range(start, tokens.shape[1]):
                for j in range(d):
                    angle = (t - start) / 10000 ** exponent(j, d)
                    out[b, t, j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
        return out

    return answer


def the_same_table(tokens, d):
    return sinusoidal(tokens.shape[1], d).expand(len(tokens), -1, -1)


def the_table_masked(tokens, d):
    return the_same_table(tokens, d) * tokens[..., None]


def looked_up_after(tokens, d):
    return sinusoidal(tokens.shape[1] + 1, d)[tokens.cumsum(1)]


def padding_at_zero(tokens, d):
    place = tokens.long().cumsum(-1) - 1
    return sinusoidal(tokens.shape[1], d)[place.masked_fill(place < 0, 0)]


def first_row_for_all(tokens, d):
    place = np.arange(tokens.shape[1]) - int((~tokens[0]).sum())
    angles = place[:, None] / 10000 ** (np.arange(0, d, 2) / d)
    table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(-1, d)
    return table * tokens[..., None].numpy()


NEAR_MISSES = [
    ("counted_from_the_edge", the_same_table),
    ("counted_from_the_edge", the_table_masked),
    ("counted_from_one", looked_up_after),
    ("one_start_for_all", first_row_for_all),
    ("padding_not_zero", padding_at_zero),
    ("exponent_doubled", by_features(lambda j, d: 2 * j / d)),
    ("exponent_doubled", by_pairs(lambda i, d: 2 * i / (d // 2))),
    ("exponent_not_doubled", by_pairs(lambda i, d: i / d)),
    ("cosine_shifted", by_features(lambda j, d: j / d)),
    ("sines_before_cosines", by_pairs(lambda i, d: 2 * i / d, lambda *a: torch.cat(a, dim=-1))),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("extra", [1, 4])
def test_more_padding_moves_a_row_and_changes_nothing(extra):
    tokens = torch.tensor([[False, True, True], [True, True, True]])
    wider = torch.cat([torch.zeros(2, extra, dtype=torch.bool), tokens], 1)
    torch.testing.assert_close(positions(wider, 6)[:, extra:], positions(tokens, 6))
    torch.testing.assert_close(positions(tokens, 6)[1].float(), sinusoidal(3, 6))


def test_a_table_without_a_batch_is_told_by_its_shape():
    verdict = judge(EXERCISE, lambda tokens, d: sinusoidal(tokens.shape[1], d))
    assert verdict.message.startswith("The result has shape (3, 4), it should have (2, 3, 4).")


@pytest.mark.parametrize(
    ("answer", "law"),
    [
        (lambda tokens, d: positions(tokens, d) * 2, "the first token of every row"),
        (lambda tokens, d: torch.where(tokens[..., None], positions(tokens, d), 1), "gets zeros"),
    ],
)
def test_a_broken_law_is_named(answer, law):
    assert law in judge(EXERCISE, answer).message
