import numpy as np
import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_7_seeing_the_future import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def future_one_by_one(model, vocab_size, length):
    ids = torch.zeros(1, length, dtype=torch.long)
    before = model(ids)
    for i in range(length):
        changed = ids.clone()
        changed[0, i] = 1
        if (model(changed) - before)[0, :i].abs().sum() > 1e-4:
            return True
    return False


def future_exactly(model, vocab_size, length):
    """Compare the first logits of a text with those of its beginning alone."""
    ids = torch.arange(length)[None] % vocab_size
    parts = [model(ids[:, : t + 1])[:, -1] for t in range(length)]
    return not torch.allclose(torch.stack(parts, dim=1), model(ids), atol=1e-5)


def future_random(model, vocab_size, length):
    for _ in range(20):
        ids = torch.randint(vocab_size, (5, length))
        for t in range(1, length):
            other = torch.cat([ids[:, :t], torch.randint(vocab_size, (5, length - t))], dim=1)
            if not torch.allclose(model(ids)[:, :t], model(other)[:, :t], atol=1e-5):
                return True
    return False


def future_numpy(model, vocab_size, length):
    ids = torch.full((2, length), vocab_size - 1)
    moved = np.zeros((length, length), dtype=bool)
    for place in range(length):
        changed = ids.clone()
        changed[:, place] = 0
        moved[:, place] = np.abs((model(changed) - model(ids)).numpy()).max(axis=(0, 2)) > 1e-4
    return np.triu(moved, 1).any()


def future_probabilities(model, vocab_size, length):
    ids = torch.arange(length)[None] % vocab_size
    for t in range(1, length):
        other = ids.clone()
        other[:, t:] = vocab_size - 1 - other[:, t:]
        if vocab_size > 2:
            other[:, t:] = (other[:, t:] + 1) % vocab_size
        difference = model(ids).softmax(-1)[:, :t] - model(other).softmax(-1)[:, :t]
        if difference.abs().max() > 1e-8:
            return True
    return False


OTHER_WAYS = [
    future_one_by_one,
    future_exactly,
    future_random,
    future_numpy,
    future_probabilities,
]


# Wrong ways, written as a learner writes them.


def future_by(change, look=lambda logits, t: logits[:, :t], places=lambda n: range(1, n)):
    """Make a test that begins with random ids and changes them at some places."""

    def answer(model, vocab_size, length):
        ids = torch.randint(vocab_size, (1, length))
        for t in places(length):
            changed = ids.clone()
            change(changed, t, vocab_size)
            if not torch.allclose(look(model(ids), t), look(model(changed), t)):
                return True
        return False

    return answer


def later_moved(ids, t, vocab_size):
    ids[:, t:] = (ids[:, t:] + 1) % vocab_size


def one_moved(ids, t, vocab_size):
    ids[:, t] = (ids[:, t] + 1) % vocab_size


def later_drawn(ids, t, vocab_size):
    ids[:, t:] = torch.randint(vocab_size, ids[:, t:].shape)


def later_zeroed(ids, t, vocab_size):
    ids[:, t:] = 0


def later_flipped(ids, t, vocab_size):
    ids[:, t:] = ids[:, t:].flip(1)


def earlier_moved(ids, t, vocab_size):
    ids[:, :t] = (ids[:, :t] + 1) % vocab_size


def future_without_clone(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids
        later_moved(changed, t, vocab_size)
        if not torch.allclose(model(ids)[:, :t], model(changed)[:, :t]):
            return True
    return False


def future_first_place_decides(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids.clone()
        later_moved(changed, t, vocab_size)
        return not torch.allclose(model(ids)[:, :t], model(changed)[:, :t])


def future_all_places_decide(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids.clone()
        later_moved(changed, t, vocab_size)
        if torch.allclose(model(ids)[:, :t], model(changed)[:, :t]):
            return False
    return True


def future_in_one_batch(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    rows = ids.repeat(length, 1)
    for t in range(1, length):
        later_moved(rows[t : t + 1], t, vocab_size)
    moved = (model(rows) - model(ids)).abs().amax(dim=-1) > 1e-5
    return any(moved[t, :t].any() for t in range(1, length))


def future_of_embedded(model, vocab_size, length):
    ids = torch.rand(1, length, requires_grad=True)
    model(ids)[:, 0].sum().backward()
    return bool(ids.grad[:, 1:].any())


NEAR_MISSES = [
    ("own_token", future_by(later_moved, lambda z, t: z[:, -1], lambda n: [n - 1])),
    ("own_token", future_by(later_moved, lambda z, t: z[:, : t + 1])),
    ("own_token", future_by(one_moved, lambda z, t: z)),
    ("past_changed", future_by(earlier_moved, lambda z, t: z[:, t:])),
    ("one_place", future_by(later_moved, places=lambda n: [n // 2])),
    ("one_place", future_by(one_moved, places=lambda n: [n - 1])),
    ("one_place", future_by(one_moved, lambda z, t: z[:, 0], lambda n: [n - 1])),
    ("one_place", future_first_place_decides),
    ("end_left_out", future_by(later_moved, places=lambda n: range(1, n - 1))),
    ("end_left_out", future_by(one_moved, places=lambda n: range(2, n))),
    ("next_left_out", future_by(later_moved, lambda z, t: z[:, : t - 1])),
    ("neighbour_only", future_by(one_moved, lambda z, t: z[:, t - 1])),
    ("order_changed", future_by(later_flipped)),
    ("same_by_chance", future_by(later_drawn)),
    ("same_by_chance", future_by(later_zeroed)),
    ("always_false", future_without_clone),
    ("all_must_leak", future_all_places_decide),
    ("other_sequences_changed", future_in_one_batch),
    ("one_axis", future_of_embedded),
    ("length_ignored", lambda model, v, n: future_numpy(model, v, 7)),
    ("length_ignored", lambda model, v, n: future_numpy(model, v, 10)),
    ("no_such_token", lambda model, v, n: bool(model(torch.arange(1, n + 1)[None] + v).any())),
]


# What is said, and what the checker is tried on.


def test_whoever_looks_at_the_best_guess_only_is_shown_the_model_that_hides_its_leak():
    best = future_by(later_moved, lambda logits, t: logits[:, :t].argmax(-1).double())
    verdict = judge(EXERCISE, best)
    assert verdict.kind == "wrong"
    assert "always guesses the same token" in verdict.message


TOYS = [case[0] for case in EXERCISE.cases()]


@pytest.mark.parametrize("toy", TOYS, ids=repr)
def test_a_toy_leaks_clearly_or_not_at_all(toy):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(toy.vocab_size, (50, 1, toy.length), generator=generator)
    most = torch.zeros(50)
    for t in range(1, toy.length):
        later = torch.arange(toy.length) >= t
        changed = torch.where(later, (ids + 1) % toy.vocab_size, ids)
        pairs = zip(ids, changed, strict=True)
        moved = [(toy(a) - toy(b))[:, :t].abs().max() for a, b in pairs]
        most = torch.maximum(most, torch.stack(moved))
    assert (most > 0.03).all() if toy.leaks else (most == 0).all()


def test_the_favourite_is_always_the_best_guess():
    (toy,) = [toy for toy in TOYS if toy.always is not None]
    ids = torch.randint(toy.vocab_size, (500, 7), generator=torch.Generator().manual_seed(0))
    assert (toy(ids).argmax(-1) == toy.always).all()


@pytest.mark.rejects
def test_a_toy_rejects_what_is_no_batch_of_ids():
    model = TOYS[0]
    narrow = torch.ones(1, 2, dtype=torch.uint8)  # no embedding takes that
    for ids in (torch.tensor([1, 2]), torch.ones(1, 2), [[1, 2]], narrow, narrow.bool()):
        with pytest.raises(ValueError, match=r"whole numbers .* of shape \(batch, seq\)"):
            model(ids)
    for token in (-1, 101):
        with pytest.raises(ValueError, match="ids must be from 0 to"):
            model(torch.tensor([[token]]))


@pytest.mark.rejects
def test_a_toy_reads_no_more_tokens_than_its_length():
    with pytest.raises(ValueError, match="ids must not be longer than length"):
        TOYS[0](torch.zeros(1, 8, dtype=torch.long))


@pytest.mark.parametrize("length", [3, 6])
def test_a_shorter_length_than_the_given_one_misses_a_leak(length):
    verdict = judge(EXERCISE, lambda model, v, n: OTHER_WAYS[0](model, v, min(n, length)))
    assert verdict.kind != "correct"


def test_a_model_may_be_told_to_evaluate():
    def careful(model, vocab_size, length):
        return OTHER_WAYS[0](model.eval(), vocab_size, length)

    assert judge(EXERCISE, careful).kind == "correct"
