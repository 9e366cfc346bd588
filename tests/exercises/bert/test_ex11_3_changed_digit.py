import numpy as np
import torch
import torch.nn.functional as F

from minattn.exercises.bert.ex11_3_changed_digit import EXERCISE
from minattn.exercises.bert.toy_filler import ToyFiller
from minattn.exercises.judging import judge
from minattn.vocabulary import BOS, EOS

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def digit_loop(log_probs_of, ids, places, mask_id):
    told = []
    for place in places.tolist():
        text = ids.clone()
        text[place] = mask_id
        told.append(log_probs_of(text[None])[0, place, ids[place]].item())
    return torch.tensor(told), places[told.index(min(told))].item()


def digit_put_back(log_probs_of, ids, places, mask_id):
    """Write into the text, and put back what stood there."""
    told = torch.empty(len(places))
    for i, place in enumerate(places):
        digit = ids[place].item()
        ids[place] = mask_id
        told[i] = log_probs_of(ids.unsqueeze(0))[0][place][digit]
        ids[place] = digit
    return told, places[torch.argmin(told)]


def digit_by_one_hot(log_probs_of, ids, places, mask_id):
    at = F.one_hot(places, len(ids)).bool()
    losses = F.cross_entropy(
        log_probs_of(ids.masked_fill(at, mask_id))[at], ids[places], reduction="none"
    )
    return -losses, places[losses.argmax()]


def digit_numpy(log_probs_of, ids, places, mask_id):
    n, where = np.arange(len(places)), places.numpy()
    texts = np.tile(ids.numpy(), (len(n), 1))
    texts[n, where] = mask_id
    told = log_probs_of(torch.from_numpy(texts)).numpy()[n, where, ids.numpy()[where]]
    return told, where[np.argsort(told)[0]]


OTHER_WAYS = [digit_loop, digit_put_back, digit_by_one_hot, digit_numpy]


# Wrong ways, written as a learner writes them.


def digit_without_clone(log_probs_of, ids, places, mask_id):
    told = []
    for place in places:
        text, digit = ids, ids[place].item()
        text[place] = mask_id
        told.append(log_probs_of(text[None])[0, place, digit])
    return torch.stack(told), places[torch.stack(told).argmin()]


def digit_read_too_late(log_probs_of, ids, places, mask_id):
    told = []
    for place in places:
        text = ids.clone()
        text[place] = mask_id
        told.append(log_probs_of(text[None])[0, place, text[place]])
    return torch.stack(told), places[torch.stack(told).argmin()]


def digit_hidden_in_one_text(log_probs_of, ids, places, mask_id):
    text = ids.clone()
    text[places] = mask_id
    told = log_probs_of(text[None])[0, places, ids[places]]
    return told, places[told.argmin()]


def digit_of_a_text_alone(log_probs_of, ids, places, mask_id):
    text = ids.clone()
    text[places[0]] = mask_id
    return log_probs_of(text)[places[0]], places[0]


NEAR_MISSES = [
    ("stays_hidden", digit_without_clone),
    ("mask_asked", digit_read_too_late),
    ("all_hidden", digit_hidden_in_one_text),
    ("not_a_batch", digit_of_a_text_alone),
]


# What is said, and what the checker is tried on.


def test_a_right_result_that_leaves_a_gap_in_the_text_is_told_so():
    def answer(log_probs_of, ids, places, mask_id):
        found = EXERCISE.solution(log_probs_of, ids, places, mask_id)
        ids[places[0]] = mask_id
        return found

    assert "was changed" in judge(EXERCISE, answer).message


def test_the_least_likely_digit_is_clear_and_not_always_the_same_one():
    found = set()
    for case in EXERCISE.cases():
        told, place = EXERCISE.solution(*case)
        least = told.sort().values
        assert least[1] - least[0] > 0.1
        found.add(case[2].tolist().index(int(place)))
    assert len(found) > 2


def test_a_filler_copies_what_it_reads_and_tells_a_gap_from_both_sides():
    filler = ToyFiller(7, vocab_size=23, mask_id=3)
    text = torch.tensor([[BOS, 20, 19, 5, 8, 3, EOS]])
    before = filler(text)
    assert before.exp().sum(-1).allclose(torch.ones(1, 7))
    assert (before.argmax(-1) == text).float().mean() > 0.5
    for place in (1, 4, 6):
        other = text.clone()
        other[0, place] = 9
        assert (filler(other) - before)[0, 5].abs().max() > 0.1
