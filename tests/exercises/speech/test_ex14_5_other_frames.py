import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from minattn.exercises.speech.ex14_5_other_frames import EXERCISE
from minattn.exercises.speech.normaliser_toys import NormaliserToy, normaliser_toys

# Other right ways: padding that is no number, every place of the batch, NumPy, one change after the other.


def matters_by_nan(normalise, n_bands):
    own = torch.randn(5, n_bands)
    batch = torch.full((3, 8, n_bands), torch.nan)
    batch[1, :5] = own
    alone = normalise(own[None], torch.tensor([5]))[0]
    among = normalise(batch, torch.tensor([8, 5, 8]))[1, :5]
    return not torch.allclose(alone, among, atol=1e-6)


def matters_at_every_place(normalise, n_bands):
    lengths = torch.tensor([4, 6, 9])
    batch = 5 * torch.randn(3, 9, n_bands)
    together = normalise(batch, lengths)
    for i, n in enumerate(lengths.tolist()):
        alone = normalise(batch[i : i + 1, :n], lengths[i : i + 1])[0]
        if (alone - together[i, :n]).abs().max() > 1e-4:
            return True
    return False


def matters_numpy(normalise, n_bands):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(3, 12, n_bands)) * 30
    own = rng.normal(size=(7, n_bands))
    batch[1, :7] = own
    alone = normalise(own[None], np.array([7])).numpy()[0]
    among = normalise(batch, np.array([9, 7, 12])).numpy()[1][:7]
    return not np.allclose(alone, among, atol=1e-5)


def matters_one_by_one(normalise, n_bands):
    own, n = torch.randn(6, n_bands), 6
    other, short = 3 * torch.randn(10, n_bands), 3 * torch.randn(4, n_bands)
    expected = normalise(own[None], torch.tensor([n]))[0]
    found = []
    for utterances in ([own], [own, other], [other, own], [short, own, other]):
        (place,) = (i for i, one in enumerate(utterances) if one is own)
        lengths = torch.tensor([len(one) for one in utterances])
        for filler in (0.0, 7.0):
            batch = pad_sequence([*utterances, torch.zeros(10, n_bands)], True, filler)[:-1]
            found.append(normalise(batch, lengths)[place, :n])
    return any(not torch.allclose(expected, out, atol=1e-5) for out in found)


OTHER_WAYS = [matters_by_nan, matters_at_every_place, matters_numpy, matters_one_by_one]


# Wrong ways, written as a learner writes them.


def matters_in_place(normalise, n_bands):
    batch = torch.randn(2, 9, n_bands)
    changed = batch
    changed[0, 6:] = 100
    lengths = torch.tensor([6, 9])
    return not torch.allclose(normalise(batch, lengths), normalise(changed, lengths))


def matters_with_other_frames(normalise, n_bands):
    one, two = torch.randn(1, 7, n_bands), torch.randn(1, 9, n_bands)
    before = normalise(one, torch.tensor([7]))
    return not torch.allclose(before, normalise(two, torch.tensor([7]))[:, :7])


def matters_by_pad_sequence(normalise, n_bands):
    own, other = torch.randn(7, n_bands), torch.randn(12, n_bands)
    batch = pad_sequence([own, other], batch_first=True)
    alone = normalise(own[None], torch.tensor([7]))[0]
    return not torch.allclose(alone, normalise(batch, torch.tensor([7, 12]))[0, :7], atol=1e-5)


def matters_to_the_longest(normalise, n_bands):
    batch = torch.randn(3, 12, n_bands)
    together = normalise(batch, torch.tensor([5, 12, 9]))[1]
    alone = normalise(batch[1:2], torch.tensor([12]))[0]
    return not torch.allclose(alone, together, atol=1e-5)


def matters_to_a_whole_row(normalise, n_bands):
    batch = torch.randn(3, 12, n_bands)
    other = torch.randn(3, 12, n_bands)
    other[1, :7] = batch[1, :7]
    lengths = torch.tensor([12, 7, 9])
    return not torch.allclose(normalise(batch, lengths)[1], normalise(other, lengths)[1])


def matters_without_padding_alone(normalise, n_bands):
    own = torch.randn(1, 6, n_bands)
    padded = torch.cat([own, 50 * torch.ones(1, 4, n_bands)], dim=1)
    before, after = normalise(own, torch.tensor([6])), normalise(padded, torch.tensor([6]))
    return not torch.allclose(before, after[:, :6], atol=1e-5)


NEAR_MISSES = [
    ("always_false", matters_in_place),
    ("always_true", matters_with_other_frames),
    ("zeros_behind", matters_by_pad_sequence),
    ("only_company_tried", matters_to_the_longest),
    ("padding_compared", matters_to_a_whole_row),
    ("only_padding_tried", matters_without_padding_alone),
]


# What is said, and what the checker is tried on.


def test_ways_that_look_further_and_that_do_not_are_among_them():
    further = [toy.looks_further for toy in normaliser_toys()]
    assert 4 < sum(further) < len(further) - 4
    assert [EXERCISE.solution(*case) for case in EXERCISE.cases()] == further


@pytest.mark.parametrize("toy", normaliser_toys(), ids=repr)
def test_an_utterance_alone_gives_the_same_each_time(toy: NormaliserToy):
    frames = torch.randn(1, 7, toy.n_bands)
    lengths = torch.tensor([7])
    assert torch.equal(toy(frames, lengths), toy(frames.clone(), lengths))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("shape", "lengths", "match"),
    [((7, 3), [7], "frames"), ((1, 7, 4), [7], "frames"), ((1, 7, 3), [8], "lengths")],
)
def test_a_toy_says_what_it_takes(shape, lengths, match):
    with pytest.raises(ValueError, match=match):
        normaliser_toys()[0](torch.randn(shape), torch.tensor(lengths))
