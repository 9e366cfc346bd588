import numpy as np
import pytest
import torch

from minattn.tasks import placed_emoji as task
from minattn.tasks.emoji import CLASSES, DESIGNERS, TRAINED, UNSEEN
from minattn.tasks.placed_emoji import COLOURS, PLACES, SIDE, VOCABULARY
from minattn.vocabulary import PAD

EVERY = task.every()


def test_every_sentence_is_there_once_and_says_what_it_means():
    told = [VOCABULARY.decode(row) for row in task.all_ids().tolist()]
    assert len({tuple(words) for words in told}) == len(EVERY) == 32 * 9 * 6
    for words, (thing, place, colour) in zip(told, EVERY.tolist(), strict=True):
        article = "an" if CLASSES[thing][0] in "aeiou" else "a"
        expected = f"{article} {CLASSES[thing]} at the {PLACES[place]} on {list(COLOURS)[colour]}"
        assert " ".join(words) == expected
    assert torch.equal(task.numbers(EVERY), torch.arange(len(EVERY)))
    assert torch.equal(task.ids(EVERY[[3, 99]]), task.all_ids()[[3, 99]])


def test_every_thing_has_one_colour_that_is_never_trained():
    never = EVERY[task.never_trained(EVERY)]
    assert len(never) == 32 * 9
    assert [len(never[never[:, 0] == i, 2].unique()) for i in range(32)] == [1] * 32
    assert sorted(set(never[:, 2].tolist())) == list(range(6))
    for batch in task.batches(20, 30, TRAINED, seed=1):
        assert not task.never_trained(batch.triples).any()


def test_an_emoji_stands_where_its_sentence_says():
    drawn = task.draw(EVERY, DESIGNERS, seed=3)
    assert drawn.pictures.shape == (1728, SIDE, SIDE, 3)
    middle = (drawn.boxes[:, :2] + drawn.boxes[:, 2:]) / 2
    third = torch.bucketize(middle, torch.tensor([SIDE / 3, 2 * SIDE / 3]))
    assert torch.equal(third[:, 1] * 3 + third[:, 0], EVERY[:, 1])
    assert drawn.boxes.min() >= 0 and drawn.boxes.max() <= SIDE


def test_outside_of_the_box_there_is_the_colour_alone():
    drawn = task.draw(EVERY[::37], TRAINED, seed=4)
    grounds = np.array(list(COLOURS.values()))
    shares = []
    for picture, (_, _, colour), box in zip(*(part.numpy() for part in drawn), strict=True):
        x0, y0, x1, y1 = box.astype(int)
        outside = np.ones((SIDE, SIDE), dtype=bool)
        outside[y0:y1, x0:x1] = False
        spread = picture[outside].std(0)
        assert (spread < 12).all()
        shares.append(picture[outside].mean(0) / grounds[colour])
        assert (abs(picture[y0:y1, x0:x1].astype(float) - picture[outside].mean(0)) > 40).any()
    assert np.min(shares) > 0.83 and np.max(shares) < 1.12


def test_it_is_the_emoji_of_the_designer():
    told = torch.tensor([[7, 4, 5]]).expand(40, 3)
    pictures = {who: task.draw(told, [who], seed=5).pictures.float().mean(0) for who in DESIGNERS}
    for who in TRAINED:
        assert (pictures[who] - pictures[UNSEEN[0]]).abs().max() > 20


def test_a_seed_gives_the_same_pictures():
    one, again, other = (task.draw(EVERY[:5], TRAINED, seed=seed).pictures for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    drawn = [[b.triples for b in task.batches(3, 7, TRAINED, seed=s)] for s in (1, 1, 2)]
    assert all(map(torch.equal, drawn[0], drawn[1]))
    assert not all(map(torch.equal, drawn[0], drawn[2]))


def test_a_batch_has_no_sentence_twice_unless_it_may():
    batch = next(task.batches(1, 1440, TRAINED, seed=1))
    assert batch.same.sum() == 1440
    assert torch.equal(batch.texts, task.ids(batch.triples))
    twice = next(task.batches(1, 1440, TRAINED, seed=1, again=True))
    assert twice.same.sum() > 1440
    assert torch.equal(twice.same, (twice.texts[:, None] == twice.texts).all(-1))


def test_some_sentences_of_a_batch_differ_in_the_thing_alone():
    for batch in task.batches(5, 28, TRAINED, seed=1, alike=7):
        groups = batch.triples.view(4, 7, 3)
        assert (groups[:, :, 1:] == groups[:, :1, 1:]).all()
        assert all(len(group[:, 0].unique()) == 7 for group in groups)
        assert len(groups[:, 0, 1:].unique(dim=0)) == 4
        assert not task.never_trained(batch.triples).any()


def test_the_truth_is_the_box():
    drawn = task.draw(EVERY[::101], TRAINED, seed=6)
    right = task.truth(drawn)
    assert right.shape == (len(drawn.boxes), 1, 64)
    for found, (x0, y0, x1, y1) in zip(
        right[:, 0].view(-1, 8, 8), drawn.boxes.tolist(), strict=True
    ):
        for row in range(8):
            for column in range(8):
                inside = x0 <= 4 * column + 2 < x1 and y0 <= 4 * row + 2 < y1
                assert bool(found[row, column]) == inside


def test_two_stand_side_by_side():
    things = torch.tensor([[7, 31], [31, 7], [0, 7]])
    drawn = task.draw_pairs(things, ["noto"], seed=7)
    assert drawn.pictures.shape == (3, SIDE, SIDE, 3)
    told = [" ".join(VOCABULARY.decode(row)) for row in drawn.texts.tolist()]
    assert told == ["a cat left of a house", "a house left of a cat", "an apple left of a cat"]
    assert torch.equal(drawn.swapped.things, things.flip(1))
    assert torch.equal(drawn.swapped.pictures, drawn.pictures)


def test_the_left_one_is_left():
    cats, houses = torch.tensor([7, 7]), torch.tensor([31, 31])
    one = task.draw_pairs(torch.stack([cats, houses], 1).repeat(60, 1), ["noto"], seed=8)
    other = task.draw_pairs(torch.stack([cats, cats], 1).repeat(60, 1), ["noto"], seed=8)
    means = [x.pictures.float().mean(0) for x in (one, other)]
    left, right = (means[0] - means[1]).abs().mean((0, 2)).split(16)
    assert right.mean() > 3 * left.mean()


def test_shorter_sentences_are_filled_up():
    found = task.encode(["a cat", "a cat at the top left on pink"])
    assert found.shape == (2, 8) and (found[0, 2:] == PAD).all()


@pytest.mark.rejects
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="places must hold ids from 0 to 8, got 9"):
        task.draw(torch.tensor([[0, 9, 0]]), TRAINED, seed=1)
    with pytest.raises(ValueError, match="designer must be one of"):
        task.draw(torch.tensor([[0, 0, 0]]), ["nobody"], seed=1)
    with pytest.raises(ValueError, match="batch_size must be at most 1440, got 1441"):
        next(task.batches(1, 1441, TRAINED, seed=1))
    with pytest.raises(ValueError, match="batch_size must be at most 108, got 110"):
        next(task.batches(1, 110, TRAINED, seed=1, alike=2))
    with pytest.raises(ValueError, match="alike must divide batch_size 8 and be at most 26, got 3"):
        next(task.batches(1, 8, TRAINED, seed=1, alike=3))
    with pytest.raises(ValueError, match="alike must be 1 where sentences are drawn again, got 2"):
        next(task.batches(1, 8, TRAINED, seed=1, alike=2, again=True))
    with pytest.raises(ValueError, match="things must hold ids from 0 to 31, got 32"):
        task.draw_pairs(torch.tensor([[0, 32]]), TRAINED, seed=1)
    with pytest.raises(ValueError, match="sentences must be at least 1, got 0"):
        task.encode([])
