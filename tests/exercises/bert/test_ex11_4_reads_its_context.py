import numpy as np
import torch

from minattn.exercises.bert.context_toys import context_toys
from minattn.exercises.bert.ex11_4_reads_its_context import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def context_one_by_one(model, vocab_size, length, place):
    ids = torch.zeros(1, length, dtype=torch.long)
    ids[0, place] = 3
    before = model(ids)[0, place]
    for other in range(length):
        if other == place:
            continue
        changed = ids.clone()
        changed[0, other] = 1
        if (model(changed)[0, place] - before).abs().max() > 1e-6:
            return True
    return False


def context_random(model, vocab_size, length, place):
    seen = []
    for _ in range(20):
        ids = torch.randint(vocab_size, (1, length))
        ids[:, place] = 3
        seen.append(model(ids)[0, place])
    return any(not torch.allclose(seen[0], logits) for logits in seen)


def context_numpy(model, vocab_size, length, place):
    texts = np.full((2, 1, length), 4)
    texts[1] = 1
    texts[:, :, place] = 3
    before, after = (model(torch.from_numpy(text)).numpy()[0, place] for text in texts)
    return not np.allclose(before, after)


def context_by_probabilities(model, vocab_size, length, place):
    ids = torch.arange(length)[None] % vocab_size
    ids[0, place] = 3
    other = vocab_size - 1 - ids
    other[0, place] = 3
    difference = model(ids).log_softmax(-1) - model(other).log_softmax(-1)
    return (difference[:, place].abs() > 1e-7).any()


OTHER_WAYS = [context_one_by_one, context_random, context_numpy, context_by_probabilities]


# Wrong ways, written as a learner writes them.


def context_in_place(model, vocab_size, length, place):
    ids = torch.arange(length)[None] % vocab_size
    changed = ids
    changed[:, :] = (changed + 1) % vocab_size
    ids[0, place] = 3
    return not torch.allclose(model(ids)[0, place], model(changed)[0, place])


def context_flipped(model, vocab_size, length, place):
    ids = torch.arange(length)[None] % vocab_size
    ids[0, place] = 3
    other = ids.flip(1)
    other[0, length - 1 - place], other[0, place] = other[0, place].item(), 3
    return not torch.allclose(model(ids)[0, place], model(other)[0, place])


def context_in_one_batch(model, vocab_size, length, place):
    ids = torch.stack([torch.zeros(length), torch.ones(length)]).long()
    ids[:, place] = 3
    first, second = model(ids)[:, place]
    return not torch.allclose(first, second)


NEAR_MISSES = [
    ("always_false", context_in_place),
    ("order_changed", context_flipped),
    ("other_texts_changed", context_in_one_batch),
]


# What is said, and what the checker is tried on.


def test_models_that_read_and_that_do_not_are_among_them():
    reads = [toy.reads for toy in context_toys()]
    assert 4 < sum(reads) < len(reads) - 4
    assert [EXERCISE.solution(*case) for case in EXERCISE.cases()] == reads
