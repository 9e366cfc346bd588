import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.many_machines.ex23_4_mean_of_means import EXERCISE, loss_of_process

# Other right ways: the mean of the tokens first, in 64 bits, called twice, weighted means, the empty one called apart.


def by_the_mean_number(loss_sum, n_tokens, world, all_reduce):
    return loss_sum / (all_reduce(n_tokens) / world)


def in_64_bits(loss_sum, n_tokens, world, all_reduce):
    total = all_reduce(torch.tensor(float(n_tokens), dtype=torch.float64))
    return loss_sum.double() * (world / total)


def with_world_counted(loss_sum, n_tokens, world, all_reduce):
    processes = all_reduce(1)
    return processes * (loss_sum / all_reduce(n_tokens))


def by_weighted_means(loss_sum, n_tokens, world, all_reduce):
    share = n_tokens / all_reduce(n_tokens)
    return world * share * (loss_sum / max(n_tokens, 1))


def an_empty_one_gives_0(loss_sum, n_tokens, world, all_reduce):
    if n_tokens == 0:
        all_reduce(0)
        return loss_sum * 0
    return loss_sum / all_reduce(n_tokens) * world


OTHER_WAYS = [
    by_the_mean_number,
    in_64_bits,
    with_world_counted,
    by_weighted_means,
    an_empty_one_gives_0,
]


# Wrong ways, written as a learner writes them.


def mean_here(loss_sum, n_tokens, world, all_reduce):
    total = all_reduce(n_tokens)
    return loss_sum / n_tokens if n_tokens and total else loss_sum


def mean_of_all(loss_sum, n_tokens, world, all_reduce):
    total = all_reduce(torch.tensor(n_tokens))
    return loss_sum / total


def early_return(loss_sum, n_tokens, world, all_reduce):
    if n_tokens:
        return world * loss_sum / all_reduce(n_tokens)
    return 0.0 * loss_sum


def both_reduced(loss_sum, n_tokens, world, all_reduce):
    total_loss, total = all_reduce(loss_sum), all_reduce(n_tokens)
    return world * total_loss / total


NEAR_MISSES = [
    ("local_mean", mean_here),
    ("world_forgotten", mean_of_all),
    ("world_forgotten", lambda loss_sum, n, world, all_reduce: loss_sum / all_reduce(n) / world),
    ("not_divided", lambda loss_sum, n, world, all_reduce: loss_sum),
    ("loss_reduced", both_reduced),
    ("some_do_not_call", early_return),
]


# What is said, and what the checker is tried on.


def test_the_numbers_of_the_task():
    def all_reduce(x):
        return 8

    losses = [loss_of_process(torch.tensor(x), n, 2, all_reduce) for x, n in ((4.0, 2), (6.0, 6))]
    assert [float(loss) for loss in losses] == [1.0, 1.5]
    assert sum(losses) / 2 == (4 + 6) / 8


def test_a_plain_local_mean_is_named_though_it_gives_nan_besides():
    verdict = judge(EXERCISE, lambda loss_sum, n, world, all_reduce: loss_sum / n)
    assert verdict.mistake == "local_mean"


def test_nan_of_a_process_without_tokens_is_no_named_mistake():
    def answer(loss_sum, n_tokens, world, all_reduce):
        return loss_sum / n_tokens * n_tokens * world / all_reduce(n_tokens)

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and verdict.mistake is None
    assert verdict.message.startswith("Your result has NaN"), verdict.message
    assert "3 processes with these numbers of tokens: [2, 0, 5]" in verdict.message


def test_the_right_answer_is_the_gradient_of_the_large_batch():
    for x, n_tokens in EXERCISE.cases():
        tokens = torch.cat([own[:n] for own, n in zip(x, n_tokens, strict=True)])
        gradient = EXERCISE.trial(EXERCISE.solution, x, n_tokens)
        torch.testing.assert_close(gradient, tokens.mean(0))


@pytest.mark.parametrize("answer", [lambda *case: None, lambda *case: 1.0])
def test_what_is_no_tensor_is_no_loss(answer):
    verdict = judge(EXERCISE, lambda *case: answer(*case) if case[1] > -1 else case[0])
    assert verdict.kind == "wrong" and verdict.mistake is None


def test_whoever_does_not_call_is_named():
    def answer(loss_sum, n_tokens, world, all_reduce):
        return loss_sum * world / all_reduce(n_tokens) if n_tokens > 1 else loss_sum

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "error"
    assert "all_reduce is not called by process 0, and the others wait there" in verdict.message
