from itertools import groupby, pairwise, product

import numpy as np
import torch

from minattn.exercises.speech.ex14_4_collapse import EXERCISE, collapse

# Other right ways: loops, groupby, torch's own, NumPy, a state.


def collapse_groups(scores, lengths, blank):
    out = []
    for row, n in zip(scores, lengths, strict=True):
        ids = row[:n].argmax(dim=-1).tolist()
        out.append([id_ for id_, _ in groupby(ids) if id_ != blank])
    return out


def collapse_torch(scores, lengths, blank):
    found = []
    for row, length in zip(scores, lengths, strict=True):
        ids = torch.unique_consecutive(row[: int(length)].argmax(-1))
        found.append(ids[ids != blank].tolist())
    return found


def collapse_numpy(scores, lengths, blank):
    ids = scores.numpy().argmax(-1)
    new = np.ones_like(ids, dtype=bool)
    new[:, 1:] = ids[:, 1:] != ids[:, :-1]
    keep = new & (ids != blank) & (np.arange(ids.shape[1]) < lengths.numpy()[:, None])
    return [row[kept].tolist() for row, kept in zip(ids, keep, strict=True)]


def collapse_with_a_state(scores, lengths, blank):
    words = []
    for i in range(len(scores)):
        before = None
        words.append([])
        for step in range(int(lengths[i])):
            best = int(scores[i, step].argmax())
            if best != before and best != blank:
                words[-1].append(best)
            before = best
    return words


OTHER_WAYS = [collapse_groups, collapse_torch, collapse_numpy, collapse_with_a_state]


# Wrong ways, written as a learner writes them.


def collapse_against_the_last_word(scores, lengths, blank):
    out = []
    for row, n in zip(scores.argmax(-1).tolist(), lengths.tolist(), strict=True):
        words = []
        for id_ in row[:n]:
            if id_ != blank and (not words or id_ != words[-1]):
                words.append(id_)
        out.append(words)
    return out


def collapse_blanks_only(scores, lengths, blank):
    best = scores.argmax(-1)
    return [row[:n][row[:n] != blank].tolist() for row, n in zip(best, lengths, strict=True)]


def collapse_unique(scores, lengths, blank):
    out = []
    for row, n in zip(scores.argmax(-1), lengths, strict=True):
        ids = torch.unique(row[:n])
        out.append(ids[ids != blank].tolist())
    return out


def collapse_whole_rows(scores, lengths, blank):
    return [[id_ for id_, _ in groupby(row) if id_ != blank] for row in scores.argmax(-1).tolist()]


def collapse_like_an_attention_decoder(scores, lengths, blank):
    out = []
    for row, n in zip(scores.argmax(-1).tolist(), lengths.tolist(), strict=True):
        words = []
        for id_ in row[:n]:
            if id_ == blank:
                break
            words.append(id_)
        out.append([id_ for id_, _ in groupby(words)])
    return out


def collapse_without_forgetting(scores, lengths, blank):
    before, out = -1, []
    for row, n in zip(scores.argmax(-1).tolist(), lengths.tolist(), strict=True):
        out.append([])
        for id_ in row[:n]:
            if id_ not in (before, blank):
                out[-1].append(id_)
            before = id_
    return out


NEAR_MISSES = [
    ("blanks_removed_first", collapse_against_the_last_word),
    ("not_merged", collapse_blanks_only),
    ("each_word_once", collapse_unique),
    ("padding_read", collapse_whole_rows),
    ("ends_at_a_blank", collapse_like_an_attention_decoder),
    ("edge_lost", collapse_without_forgetting),
]


# What is said, and what the checker is tried on.


def test_words_come_twice_with_a_blank_between_and_without_one():
    paths = [
        (row[:n].tolist(), blank)
        for scores, lengths, blank in EXERCISE.cases()
        for row, n in zip(scores.argmax(-1), lengths, strict=True)
    ]
    assert any(
        path[i] == path[i + 1] != blank for path, blank in paths for i in range(len(path) - 1)
    )
    found = [words for case in EXERCISE.cases() for words in collapse(*case)]
    assert any(a == b for words in found for a, b in pairwise(words))
    assert [] in found and {blank for _, blank in paths} > {0}


def test_each_best_id_is_clearly_the_best():
    for scores, *_ in EXERCISE.cases():
        first, second = scores.topk(2, -1).values.unbind(-1)
        assert float((first - second).min()) > 0.5


def test_the_paths_of_a_word_said_twice():
    """All paths of 4 steps that give [1, 1], found by trying each: there must be a blank between."""
    found = []
    for path in product((0, 1), repeat=4):
        scores = torch.eye(2)[list(path)][None]
        if collapse(scores, torch.tensor([4]), 0) == [[1, 1]]:
            found.append("".join(map(str, path)))
    assert found == ["0101", "1001", "1010", "1011", "1101"]
