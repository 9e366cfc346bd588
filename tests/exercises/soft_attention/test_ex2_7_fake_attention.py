import numpy as np
import torch

from minattn.exercises.judging import judge
from minattn.exercises.soft_attention.ex2_7_fake_attention import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def fake_random(weights, query, key):
    other = torch.randn(key.shape, generator=torch.Generator().manual_seed(1))
    return bool((weights(query, key) != weights(query, other)).any())


def fake_numpy(weights, query, key):
    other = torch.tensor([[3.0, -1.0, 2.0, 0.5, 1.0], [0.0] * 5, [-2.0, 1.0, 1.0, 2.0, -1.0]])
    return not np.allclose(weights(query, key).numpy(), weights(query, other).numpy())


def fake_each_key(weights, query, key):
    """Change the keys one after the other."""
    before = weights(query, key)
    for j in range(len(key)):
        changed = key.clone()
        changed[j] = torch.linspace(-1, 2, key.shape[1])
        if not torch.allclose(before, weights(query, changed)):
            return True
    return False


OTHER_WAYS = [fake_random, fake_numpy, fake_each_key]


# Wrong ways, written as a learner writes them.


def fake_flipped(weights, query, key):
    return not torch.allclose(weights(query, key), weights(query, key.flip(0)))


def fake_turned(weights, query, key):
    return not torch.equal(weights(query, key), weights(query, key[[2, 0, 1]]))


def fake_changed_at(position):
    def detector(weights, query, key):
        changed = key.clone()
        changed[position] = torch.linspace(3, -1, key.shape[1])
        return not torch.allclose(weights(query, key), weights(query, changed))

    return detector


NEAR_MISSES = [
    ("keys_as_long", lambda w, q, k: not torch.allclose(w(q, k), w(q, -k))),
    ("keys_as_long", lambda w, q, k: not torch.equal(w(q, k), w(q, k.flip(-1)))),
    ("keys_reordered", fake_flipped),
    ("keys_reordered", fake_turned),
    ("one_key_changed", fake_changed_at(0)),
    ("one_key_changed", fake_changed_at(1)),
    ("one_key_changed", fake_changed_at(-1)),
]


# What is said, and what the checker is tried on.


def test_an_answer_that_draws_random_numbers_gets_the_same_verdict_every_time():
    def depends_on_keys(weights, query, key):
        turned = key[torch.randperm(len(key))]
        return not torch.allclose(weights(query, key), weights(query, turned))

    verdicts = {judge(EXERCISE, depends_on_keys).message for _ in range(5)}
    assert len(verdicts) == 1
