import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.judging import judge
from minattn.exercises.self_attention.ex4_5_write_on import EXERCISE
from minattn.exercises.self_attention.toy_language_model import ToyLanguageModel

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def write_lists(logits_of, ids, n_new):
    tokens = ids[0].tolist()
    for _ in range(n_new):
        tokens.append(int(logits_of(torch.tensor([tokens]))[0, -1].argmax()))
    return torch.tensor([tokens])


def write_table(logits_of, ids, n_new):
    t = ids.shape[1]
    out = torch.cat([ids, torch.zeros(1, n_new, dtype=torch.long)], dim=1)
    for i in range(t, t + n_new):
        out[:, i] = torch.softmax(logits_of(out[:, :i])[:, i - 1], dim=-1).argmax(dim=-1)
    return out


def write_padded(logits_of, ids, n_new):
    """Give the model the whole table every time: it is causal, so what comes later does not matter."""
    t = ids.shape[1]
    out = F.pad(ids, (0, n_new))
    for i in range(t, t + n_new):
        out[0, i] = logits_of(out)[0, i - 1].argmax()
    return out


def write_recursive(logits_of, ids, n_new):
    if n_new == 0:
        return ids
    token = logits_of(ids)[:, -1].topk(1).indices
    return write_recursive(logits_of, torch.hstack([ids, token]), n_new - 1)


def write_int32(logits_of, ids, n_new):
    """Give the model the other type that an embedding takes."""
    for _ in range(n_new):
        ids = torch.cat([ids, logits_of(ids.int())[:, -1:].argmax(dim=-1)], dim=1)
    return ids


OTHER_WAYS = [write_lists, write_table, write_padded, write_recursive, write_int32]


# Wrong ways, written as a learner writes them.


def write_with(choose, read=lambda ids: ids):
    def answer(logits_of, ids, n_new):
        for _ in range(n_new):
            ids = torch.cat([ids, choose(logits_of(read(ids)))], dim=1)
        return ids

    return answer


def write_from_first_logits(logits_of, ids, n_new):
    logits = logits_of(ids)
    for _ in range(n_new):
        ids = torch.cat([ids, logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids


def write_at_end_of_prompt(logits_of, ids, n_new):
    t = ids.shape[1]
    for _ in range(n_new):
        ids = torch.cat([ids, logits_of(ids)[:, t - 1].argmax(dim=-1, keepdim=True)], dim=1)
    return ids


def write_one_by_one(logits_of, ids, n_new):
    token = ids
    for _ in range(n_new):
        token = logits_of(token)[:, -1:].argmax(dim=-1)
        ids = torch.cat([ids, token], dim=1)
    return ids


def write_to_length(logits_of, ids, n_new):
    while ids.shape[1] < n_new:
        ids = torch.cat([ids, logits_of(ids)[:, -1:].argmax(dim=-1)], dim=1)
    return ids


def write_nothing(logits_of, ids, n_new):
    for _ in range(n_new):
        torch.cat([ids, logits_of(ids)[:, -1:].argmax(dim=-1)], dim=1)
    return ids


def write_and_count_after(logits_of, ids, n_new):
    while True:
        ids = torch.cat([ids, logits_of(ids)[:, -1:].argmax(dim=-1)], dim=1)
        n_new -= 1
        if n_new <= 0:
            return ids


NEAR_MISSES = [
    ("writes_before_it_counts", write_and_count_after),
    ("one_before_last", write_with(lambda z: z.argmax(-1)[:, -2:-1])),
    ("one_before_last", write_with(lambda z: z[:, -1:].argmax(-1), lambda ids: ids[:, :-1])),
    ("all_guesses_appended", write_with(lambda z: z[-1].argmax(-1)[None])),
    ("axes_do_not_meet", write_with(lambda z: z[:, -1].argmax(-1))),
    ("axes_do_not_meet", write_with(lambda z: z[0, -1].argmax())),
    ("logit_taken_for_token", write_with(lambda z: z[:, -1].max(-1, keepdim=True).values)),
    ("not_two_axes", write_with(lambda z: z[:, -1:].argmax(-1), lambda ids: ids[0])),
    ("not_fed_back", write_from_first_logits),
    ("not_fed_back", write_at_end_of_prompt),
    ("prefix_forgotten", write_one_by_one),
    ("prompt_counted", write_to_length),
    ("nothing_appended", write_nothing),
]


# What is said, and what the checker is tried on.


def test_the_model_that_writes_is_causal_and_reads_every_token():
    model = ToyLanguageModel(494, 7)
    ids = torch.tensor([[3, 5, 4, 1, 6]])
    for i in range(5):
        changed = ids.clone()
        changed[0, i] = 0
        assert (model(changed) != model(ids)).any(-1)[0].tolist() == [t >= i for t in range(5)]
    assert (model(ids).topk(2).values.diff() < 0).all()  # the best guess is one


def test_the_model_that_writes_does_not_wait_for_ever():
    def never_appends(logits_of, ids, n_new):
        while ids.shape[1] < 100:
            logits_of(ids)

    verdict = judge(EXERCISE, never_appends)
    assert verdict.kind == "error" and "called more than 100 times" in verdict.message


@pytest.mark.rejects
def test_a_toy_rejects_what_is_no_batch_of_ids():
    model = ToyLanguageModel(0, 5)
    narrow = torch.ones(1, 2, dtype=torch.uint8)  # no embedding takes that
    for ids in (torch.tensor([1, 2]), torch.ones(1, 2), [[1, 2]], narrow, narrow.bool()):
        with pytest.raises(ValueError, match=r"whole numbers .* of shape \(batch, seq\)"):
            model(ids)
    for token in (-1, 101):
        with pytest.raises(ValueError, match="ids must be from 0 to"):
            model(torch.tensor([[token]]))
