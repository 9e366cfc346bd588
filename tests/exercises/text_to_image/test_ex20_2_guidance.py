import numpy as np
import pytest
import torch

from minattn.decoding import keep_top_p
from minattn.exercises.text_to_image.ex20_2_guidance import EXERCISE, guided

# Other right ways: the book's nucleus, powers of a ratio, loops, NumPy.


def guided_by_the_book(with_words, without, scale, p):
    logits = scale * with_words + (1 - scale) * without
    return torch.stack([keep_top_p(row, p).softmax(-1) for row in logits])


def guided_by_log_probabilities(with_words, without, scale, p):
    ours, theirs = with_words.log_softmax(-1), without.log_softmax(-1)
    probabilities = (theirs + scale * (ours - theirs)).softmax(-1)
    ordered, order = probabilities.sort(descending=True)
    ordered = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    ordered = ordered / ordered.sum(-1, keepdim=True)
    return ordered.gather(-1, order.argsort(-1))


def guided_by_powers(with_words, without, scale, p):
    odds = without.exp() * (with_words.exp() / without.exp()) ** scale
    probabilities = odds / odds.sum(-1, keepdim=True)
    larger = probabilities[:, None, :] > probabilities[:, :, None]
    before = (larger * probabilities[:, None, :]).sum(-1)  # what is likelier than each
    kept = probabilities.masked_fill(before >= p, 0)
    return kept / kept.sum(-1, keepdim=True)


def guided_by_loops(with_words, without, scale, p):
    rows = []
    for a, b in zip(with_words, without, strict=True):
        probabilities = (b + scale * (a - b)).softmax(0)
        kept, total = torch.zeros_like(probabilities), 0.0
        for code in probabilities.argsort(descending=True):
            kept[code] = probabilities[code]
            total += float(probabilities[code])
            if total >= p:
                break
        rows.append(kept / total)
    return torch.stack(rows)


def guided_numpy(with_words, without, scale, p):
    a, b = with_words.double().numpy(), without.double().numpy()
    odds = np.exp(b + scale * (a - b))
    probabilities = odds / odds.sum(1, keepdims=True)
    order = np.argsort(-probabilities, axis=1)
    ordered = np.take_along_axis(probabilities, order, 1)
    keep = np.cumsum(ordered, 1) - ordered < p
    np.put_along_axis(probabilities, order, ordered * keep, 1)
    return probabilities / probabilities.sum(1, keepdims=True)


OTHER_WAYS = [
    guided_by_the_book,
    guided_by_log_probabilities,
    guided_by_powers,
    guided_by_loops,
    guided_numpy,
]


# Wrong ways, written as a learner writes them.


def nucleus(logits, p):
    return torch.stack([keep_top_p(row, p) for row in logits])


def written(logits):
    return lambda a, b, scale, p: nucleus(logits(a, b, scale), p).softmax(-1)


def guided_probabilities(with_words, without, scale, p):
    a, b = with_words.softmax(-1), without.softmax(-1)
    mixed = (b + scale * (a - b)).clamp(min=0)
    return nucleus(mixed.log(), p).softmax(-1)


def cut_and_guided(with_words, without, scale, p):
    a, b = nucleus(with_words, p), nucleus(without, p)
    return (b + scale * (a - b)).softmax(-1)


def cut_by_words(with_words, without, scale, p):
    a = nucleus(with_words, p)
    return torch.where(a.isinf(), a, without + scale * (with_words - without)).softmax(-1)


def guided_without_a_nucleus(with_words, without, scale, p):
    return (without + scale * (with_words - without)).softmax(-1)


def guided_and_not_made_whole(with_words, without, scale, p):
    probabilities = guided_without_a_nucleus(with_words, without, scale, p)
    return torch.where(guided(with_words, without, scale, p) > 0, probabilities, 0)


NEAR_MISSES = [
    ("away_from_words", written(lambda a, b, w: b + w * (b - a))),
    ("swapped", written(lambda a, b, w: a + w * (b - a))),
    ("from_words_on", written(lambda a, b, w: (1 + w) * a - w * b)),
    ("one_part_unused", written(lambda a, b, w: a * w)),
    ("one_part_unused", written(lambda a, b, w: a)),
    ("probabilities_mixed", guided_probabilities),
    ("nucleus_first", cut_and_guided),
    ("nucleus_first", cut_by_words),
    ("wrong_nucleus", guided_without_a_nucleus),
    ("not_made_whole", guided_and_not_made_whole),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    without = torch.tensor([[0.5, 0.4, 0.1]])
    with_words = torch.tensor([[0.5, 0.2, 0.3]])
    all_codes = guided(with_words.log(), without.log(), 2.0, 0.9999)
    torch.testing.assert_close(all_codes, torch.tensor([[0.5, 0.1, 0.9]]) / 1.5)
    cut = guided(with_words.log(), without.log(), 2.0, 0.9)
    torch.testing.assert_close(cut, torch.tensor([[0.5, 0, 0.9]]) / 1.4)
    assert [round(float(x), 2) for x in all_codes[0]] == [0.33, 0.07, 0.6]
    assert [round(float(x), 2) for x in cut[0]] == [0.36, 0, 0.64]


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=range(len(EXERCISE.cases())))
def test_a_scale_of_0_or_1_is_one_model(case):
    with_words, without, _, p = case
    other = torch.zeros_like(without)
    torch.testing.assert_close(
        guided(with_words, without, 1.0, p), guided(with_words, other, 1.0, p)
    )
    torch.testing.assert_close(guided(with_words, without, 0.0, p), guided(other, without, 0.0, p))


def test_no_sum_is_at_p_itself_and_something_is_cut():
    for with_words, without, scale, p in EXERCISE.cases():
        probabilities = (without + scale * (with_words - without)).softmax(-1)
        sums = probabilities.sort(-1, descending=True).values.cumsum(-1)
        assert float((sums - p).abs().min()) > 1e-3
        assert bool((guided(with_words, without, scale, p) == 0).any())
