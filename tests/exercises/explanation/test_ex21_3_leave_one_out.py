import math

import numpy as np
import torch

from minattn.exercises.explanation.ex21_3_leave_one_out import EXERCISE, leave_one_out
from minattn.exercises.judging import judge

# Other right ways: a table of masks, rows taken out with their places, weights made to sum to 1 again, NumPy.


def with_a_table_of_masks(query, tokens, places, w_read, word):
    memory = tokens + places
    n = len(memory)
    scores = (memory @ query / math.sqrt(len(query))).expand(n + 1, n).clone()
    scores[range(n), range(n)] = -math.inf
    log_p = (scores.softmax(-1) @ memory @ w_read).log_softmax(-1)[:, word]
    return log_p[-1] - log_p[:-1]


def rows_taken_out(query, tokens, places, w_read, word):
    memory = tokens + places

    def log_p(memory):
        weights = (memory @ query / math.sqrt(len(query))).softmax(0)
        return torch.log_softmax(weights @ memory @ w_read, 0)[word].item()

    n = len(memory)
    rest = [memory[[i for i in range(n) if i != j]] for j in range(n)]
    return torch.tensor([log_p(memory) - log_p(kept) for kept in rest])


def made_to_sum_again(query, tokens, places, w_read, word):
    """Set a weight to 0 and divide by what is left: the same as a mask before the softmax."""
    memory = tokens + places
    weights = (memory @ query / math.sqrt(len(query))).softmax(0)
    kept = weights * (1 - torch.eye(len(weights)))
    kept = kept / kept.sum(-1, keepdim=True)
    p = torch.softmax(torch.cat([weights[None], kept]) @ memory @ w_read, -1)[:, word]
    return (p[0] / p[1:]).log()


def by_numpy(query, tokens, places, w_read, word):
    memory, w = (tokens + places).numpy(), w_read.numpy()
    scores = memory @ query.numpy() / np.sqrt(len(query))

    def log_p(kept):
        powers = np.exp(scores) * kept
        logits = (powers / powers.sum()) @ memory @ w
        return logits[word] - np.log(np.exp(logits).sum())

    all_kept = np.ones(len(memory))
    return log_p(all_kept) - np.array(
        [log_p(np.arange(len(memory)) != j) for j in range(len(memory))]
    )


OTHER_WAYS = [with_a_table_of_masks, rows_taken_out, made_to_sum_again, by_numpy]


# Wrong ways, written as a learner writes them.


def scored(query, memory, w_read, word):
    weights = (memory @ query / math.sqrt(len(query))).softmax(0)
    return (weights @ memory @ w_read).log_softmax(0)[word]


def without_their_values(query, tokens, places, w_read, word):
    memory = tokens + places
    weights = (memory @ query / math.sqrt(len(query))).softmax(0)
    base = (weights @ memory @ w_read).log_softmax(0)[word]
    out = []
    for j in range(len(tokens)):
        w = weights.clone()
        w[j] = 0
        out.append(base - (w @ memory @ w_read).log_softmax(0)[word])
    return torch.stack(out)


def with_zeros_for_tokens(query, tokens, places, w_read, word):
    out = []
    for j in range(len(tokens)):
        kept = tokens.clone()
        kept[j] = 0
        out.append(
            scored(query, tokens + places, w_read, word)
            - scored(query, kept + places, w_read, word)
        )
    return torch.stack(out)


def with_the_gap_closed(query, tokens, places, w_read, word):
    out = []
    for j in range(len(tokens)):
        kept = torch.cat([tokens[:j], tokens[j + 1 :]])
        memory = kept + places[:-1]
        out.append(
            scored(query, tokens + places, w_read, word) - scored(query, memory, w_read, word)
        )
    return torch.stack(out)


def of_probabilities(query, tokens, places, w_read, word):
    memory = tokens + places
    base = scored(query, memory, w_read, word).exp()
    keep = [[i for i in range(len(memory)) if i != j] for j in range(len(memory))]
    return torch.stack([base - scored(query, memory[k], w_read, word).exp() for k in keep])


NEAR_MISSES = [
    ("value_zeroed", without_their_values),
    ("another_token", with_zeros_for_tokens),
    ("cut_out", with_the_gap_closed),
    ("other_measure", of_probabilities),
    ("wrong_sign", lambda *case: -with_a_table_of_masks(*case)),
    ("wrong_sign", lambda *case: with_a_table_of_masks(*case).abs()),
]


# What is said, and what the checker is tried on.


def test_some_tokens_help_and_some_stand_in_the_way():
    out = torch.cat([leave_one_out(*case) for case in EXERCISE.cases()])
    assert bool((out > 0.05).any()) and bool((out < -0.05).any())


def test_the_most_weight_does_not_always_make_the_most_difference():
    differ = 0
    for case in EXERCISE.cases():
        query, tokens, places, *_ = case
        weights = (tokens + places) @ query
        differ += int(weights.argmax() != leave_one_out(*case).argmax())
    assert differ


def test_the_numbers_of_the_task():
    """Scores of 0: two keys, equal weights; the word's logit is what is fetched, that of the other 0."""
    tokens = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    w_read = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    out = leave_one_out(torch.zeros(2), tokens, torch.zeros(2, 2), w_read, 0)
    expected = [math.log1p(math.exp(-x)) - math.log1p(math.exp(-2)) for x in (1, 3)]
    torch.testing.assert_close(out, torch.tensor(expected))
    assert [round(x, 2) for x in out.tolist()] == [0.19, -0.08]


def test_tokens_in_the_wrong_order_break_the_law():
    verdict = judge(EXERCISE, lambda *case: leave_one_out(*case).roll(1))
    assert verdict.kind == "wrong" and "order" in verdict.message
