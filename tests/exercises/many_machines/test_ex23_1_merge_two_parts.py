import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.many_machines.ex23_1_merge_two_parts import EXERCISE, merge

# Other right ways: by hand, by sigmoids, stacked, in 64 bits, number by number.


def by_hand(output_a, log_total_a, output_b, log_total_b):
    larger = torch.maximum(log_total_a, log_total_b)
    shift = torch.where(larger.isinf(), 0.0, larger)
    power_a, power_b = (log_total_a - shift).exp(), (log_total_b - shift).exp()
    total = power_a + power_b
    mixture = power_a[:, None] * output_a + power_b[:, None] * output_b
    return mixture / total.clamp(min=1e-30)[:, None], shift + total.log()


def by_sigmoids(output_a, log_total_a, output_b, log_total_b):
    """Let the output of b stay where both allowed nothing; it is 0 there."""
    share = torch.sigmoid(log_total_a - log_total_b).nan_to_num(0.0)[:, None]
    return output_b + share * (output_a - output_b), torch.logaddexp(log_total_a, log_total_b)


def stacked(output_a, log_total_a, output_b, log_total_b):
    logs = torch.stack([log_total_a, log_total_b])
    weights = logs.softmax(0).nan_to_num()
    output = (weights[:, :, None] * torch.stack([output_a, output_b])).sum(0)
    return output, logs.logsumexp(0)


def in_64_bits(*case):
    output_a, log_total_a, output_b, log_total_b = (x.double() for x in case)
    low = torch.finfo(torch.float64).min
    log_total = torch.logaddexp(log_total_a, log_total_b)
    parts = ((output_a, log_total_a), (output_b, log_total_b))
    return sum((b - log_total.clamp(min=low)).exp()[:, None] * a for a, b in parts), log_total


def by_numpy(*case):
    output_a, log_a, output_b, log_b = (x.numpy() for x in case)
    log_total = np.logaddexp(log_a, log_b)
    output = np.zeros_like(output_a)
    for i, total in enumerate(log_total):
        if total > -math.inf:
            output[i] = math.exp(log_a[i] - total) * output_a[i]
            output[i] += math.exp(log_b[i] - total) * output_b[i]
    return output, log_total


OTHER_WAYS = [by_hand, by_sigmoids, stacked, in_64_bits, by_numpy]


# Wrong ways, written as a learner writes them.


def with_weights(weight, log_total=torch.logaddexp):
    def answer(output_a, a, output_b, b):
        w = weight(a, b)[:, None]
        return w * output_a + (1 - w) * output_b, log_total(a, b)

    return answer


def share(a, b):
    return torch.sigmoid(a - b).nan_to_num(0.0)


NEAR_MISSES = [
    ("mean_of_outputs", lambda oa, a, ob, b: ((oa + ob) / 2, torch.logaddexp(a, b))),
    ("mean_of_outputs", lambda oa, a, ob, b: (oa + ob, a + b)),
    ("log_totals_added", with_weights(share, log_total=lambda a, b: a + b)),
    ("larger_log_total", with_weights(share, log_total=torch.maximum)),
    ("weights_exchanged", with_weights(lambda a, b: torch.sigmoid(b - a).nan_to_num(0.0))),
]


# Right on small numbers, and NaN or infinity on others: no mistake is named, and what is said is said of the numbers.


def overflowing(output_a, a, output_b, b):
    return with_weights(share, log_total=lambda a, b: a + (1 + (b - a).exp()).log())(
        output_a, a, output_b, b
    )


def by_plain_powers(output_a, a, output_b, b):
    total = a.exp() + b.exp()
    output = (a.exp()[:, None] * output_a + b.exp()[:, None] * output_b) / total[:, None]
    return output, total.log()


def by_log_sigmoid(output_a, a, output_b, b):
    return with_weights(share, log_total=lambda a, b: a - F.logsigmoid(a - b))(
        output_a, a, output_b, b
    )


def by_softmax(output_a, a, output_b, b):
    weights = torch.stack([a, b]).softmax(0)[:, :, None]
    return weights[0] * output_a + weights[1] * output_b, torch.logaddexp(a, b)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (overflowing, "Your result has infinity at [2]"),
        (by_plain_powers, "Your result has NaN (not a number) at [0, 0]"),
        (by_log_sigmoid, "Your result has NaN (not a number) at [0]"),
        (by_softmax, "This breaks a law: where neither part allowed anything, the output is 0"),
    ],
)
def test_what_is_no_number_is_said_and_not_named(answer, said):
    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and verdict.mistake is None
    assert verdict.message.startswith(said), verdict.message


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    three, one = torch.tensor([3.0]).log(), torch.tensor([1.0]).log()
    output, log_total = merge(torch.tensor([[8.0]]), three, torch.tensor([[4.0]]), one)
    torch.testing.assert_close(output, torch.tensor([[7.0]]))
    torch.testing.assert_close(log_total, torch.tensor([4.0]).log())


def test_any_order_of_merging_gives_attention_over_all_keys():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 11, generator=generator, dtype=torch.float64)
    value = torch.randn(11, 2, generator=generator, dtype=torch.float64)
    parts = [
        (scores[:, own].softmax(-1) @ value[own], scores[:, own].logsumexp(-1))
        for own in (slice(0, 2), slice(2, 7), slice(7, 11))
    ]
    for first, second, third in ((0, 1, 2), (2, 0, 1)):
        output, log_total = merge(*merge(*parts[first], *parts[second]), *parts[third])
        torch.testing.assert_close(output, scores.softmax(-1) @ value)
        torch.testing.assert_close(log_total, scores.logsumexp(-1))


def test_each_part_alone_allows_nothing_somewhere_and_both_once():
    nothing = [(a.isinf(), b.isinf()) for _, a, _, b in EXERCISE.cases()]
    assert any(bool((a & ~b).any()) for a, b in nothing)
    assert any(bool((~a & b).any()) for a, b in nothing)
    assert sum(int((a & b).sum()) for a, b in nothing) == 1


def test_a_log_total_that_falls_breaks_the_law():
    def answer(*case):
        output, log_total = merge(*case)
        return output, log_total - 1

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "no less than that of either part" in verdict.message
