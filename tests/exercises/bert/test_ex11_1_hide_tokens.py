import numpy as np
import torch

from minattn.exercises.bert.ex11_1_hide_tokens import EXERCISE, hide_tokens
from minattn.exercises.judging import judge
from minattn.vocabulary import BOS, EOS, PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def hide_loop(ids, chosen, roll, random_ids, mask_id):
    read, targets = ids.tolist(), [[-100] * ids.shape[1] for _ in ids]
    for b, row in enumerate(ids.tolist()):
        for i, token in enumerate(row):
            if not chosen[b, i] or token in (PAD, BOS, EOS):
                continue
            targets[b][i] = token
            if roll[b, i] < 0.8:
                read[b][i] = mask_id
            elif roll[b, i] < 0.9:
                read[b][i] = random_ids[b, i].item()
    return torch.tensor(read), torch.tensor(targets)


def hide_by_index(ids, chosen, roll, random_ids, mask_id):
    read, targets = ids.clone(), torch.full_like(ids, -100)
    at = chosen & (ids != PAD) & (ids != BOS) & (ids != EOS)
    targets[at] = ids[at]
    read[at & (roll < 0.8)] = mask_id
    swap = at & (roll >= 0.8) & (roll < 0.9)
    read[swap] = random_ids[swap]
    return read, targets


def hide_numpy(ids, chosen, roll, random_ids, mask_id):
    ids, roll, random_ids = ids.numpy(), roll.numpy(), random_ids.numpy()
    at = chosen.numpy() & ~np.isin(ids, [PAD, BOS, EOS])
    fate = np.select([roll < 0.8, roll < 0.9], [np.full_like(ids, mask_id), random_ids], ids)
    return [np.where(at, fate, ids), np.where(at, ids, -100)]


def hide_by_products(ids, chosen, roll, random_ids, mask_id):
    at = (chosen & (ids > EOS)).long()
    masked, left = at * (roll < 0.8), at * (roll >= 0.9)
    read = masked * mask_id + (at - masked - left) * random_ids + (1 - at + left) * ids
    return read, at * ids - 100 * (1 - at)


OTHER_WAYS = [hide_loop, hide_by_index, hide_numpy, hide_by_products]


# Wrong ways, written as a learner writes them.


def hide_in_place(ids, chosen, roll, random_ids, mask_id):
    at = chosen & (ids > EOS)
    ids[at & (roll < 0.8)] = mask_id
    swap = at & (roll >= 0.8) & (roll < 0.9)
    ids[swap] = random_ids[swap]
    return ids, torch.where(at, ids, -100)


def hide_looking_at_the_signs(ids, chosen, roll, random_ids, mask_id):
    read, _ = hide_tokens(ids, chosen, roll, random_ids, mask_id)
    return read, torch.where(read == mask_id, ids, -100)


def hide_looking_at_changes(ids, chosen, roll, random_ids, mask_id):
    read, _ = hide_tokens(ids, chosen, roll, random_ids, mask_id)
    return read, torch.where(read != ids, ids, -100)


def hide_all_that_were_marked(ids, chosen, roll, random_ids, mask_id):
    read, targets = ids.clone(), ids.clone()
    targets[~chosen] = -100
    read[chosen & (roll < 0.8)] = mask_id
    swap = chosen & (roll >= 0.8) & (roll < 0.9)
    read[swap] = random_ids[swap]
    return read, targets


NEAR_MISSES = [
    ("target_is_what_is_read", hide_in_place),
    ("only_masked_told", hide_looking_at_the_signs),
    ("only_masked_told", hide_looking_at_changes),
    ("specials_hidden", hide_all_that_were_marked),
]


# What is said, and what the checker is tried on.


def test_a_right_result_written_into_ids_is_told_so():
    def answer(ids, *rest):
        read, targets = hide_tokens(ids, *rest)
        return ids.copy_(read), targets

    assert "was changed" in judge(EXERCISE, answer).message


def test_every_fate_befalls_chosen_unchosen_and_special_places():
    for ids, chosen, roll, _, _ in EXERCISE.cases()[1:]:
        for places in (chosen & (ids > EOS), ~chosen & (ids > EOS), chosen & (ids <= EOS)):
            fates = set(torch.bucketize(roll[places], torch.tensor([0.8, 0.9])).tolist())
            assert fates == {0, 1, 2}
        assert {PAD, BOS, EOS} == set(ids[chosen & (ids <= EOS)].tolist())


def test_a_random_id_is_ordinary_and_another_one():
    for ids, _, roll, random_ids, mask_id in EXERCISE.cases():
        assert (random_ids > mask_id).all() and (random_ids != ids).all()
        assert mask_id not in ids
        assert ((roll - torch.tensor([[[0.8]], [[0.9]]])).abs() > 0.001).all()
