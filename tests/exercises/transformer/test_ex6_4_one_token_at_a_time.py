import pytest
import torch

from minattn.exercises.judging import judge
from minattn.exercises.transformer.ex6_4_one_token_at_a_time import EXERCISE, ToyDecoder
from minattn.vocabulary import BOS, EOS, PAD

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def decode_tensors(logits_of, max_length):
    ids = torch.tensor([BOS])
    for _ in range(max_length):
        token = logits_of(ids)[-1].softmax(-1).argmax()
        ids = torch.cat([ids, token[None]])
        if token == EOS:
            break
    return ids[1:].tolist()


def decode_buffer(logits_of, max_length):
    """Hand in the whole row every time: the decoder is causal, so what comes later does not matter."""
    ids = torch.full((max_length + 1,), PAD)
    ids[0] = BOS
    for i in range(max_length):
        ids[i + 1] = logits_of(ids)[i].argmax()
        if ids[i + 1] == EOS:
            return ids[1 : i + 2].tolist()
    return ids[1:].tolist()


def decode_all_again(logits_of, max_length):
    """Take all guesses anew every time: those of the earlier rows do not change."""
    ids = [BOS]
    while EOS not in ids and len(ids) <= max_length:
        ids = [BOS, *logits_of(torch.tensor(ids)).argmax(-1)]
    return ids[1:]


OTHER_WAYS = [decode_tensors, decode_buffer, decode_all_again]


# Wrong ways, written as a learner writes them.


def decode_with(choose=lambda z: int(z[-1].argmax()), read=lambda ids: torch.tensor(ids), limit=0):
    def answer(logits_of, max_length):
        ids = [BOS]
        while ids[-1] != EOS and len(ids) < max_length + 1 + limit:
            ids.append(choose(logits_of(read(ids))))
        return ids[1:]

    return answer


def decode_whole(logits_of, max_length):
    ids = [BOS]
    while ids[-1] != EOS and len(ids) < max_length:
        ids.append(int(logits_of(torch.tensor(ids))[-1].argmax()))
    return ids


def decode_for(logits_of, max_length):
    ids = torch.tensor([BOS])
    for _ in range(max_length):
        token = logits_of(ids)[-1].argmax()
        if token == EOS:
            break
        ids = torch.cat([ids, token[None]])
    return ids[1:].tolist()


def decode_and_count_after(logits_of, max_length):
    ids = [BOS]
    while True:
        ids.append(int(logits_of(torch.tensor(ids))[-1].argmax()))
        if ids[-1] == EOS or len(ids) > max_length:
            return ids[1:]


NEAR_MISSES = [
    ("limit_checked_late", decode_and_count_after),
    ("bos_kept", decode_whole),
    ("eos_dropped", decode_for),
    ("one_too_few", decode_with(limit=-1)),
    ("one_too_many", decode_with(limit=1)),
    ("not_one_axis", decode_with(read=lambda ids: torch.tensor([ids]))),
    ("not_one_axis", decode_with(read=lambda ids: ids)),
    ("not_one_axis", decode_with(read=lambda ids: ids[-1])),
    ("last_token_only", decode_with(read=lambda ids: torch.tensor([ids[-1]]))),
    ("always_the_first_word", decode_with(lambda z: int(z.argmax(-1)[0]))),
    ("logit_taken_for_token", decode_with(lambda z: z[-1].max().item())),
]


# What is said, and what the checker is tried on.


def test_the_decoder_that_writes_is_causal_and_reads_every_token():
    decoder = ToyDecoder(767, 7)
    ids = torch.tensor([1, 5, 3, 6, 4])
    for i in range(5):
        changed = ids.clone()
        changed[i] = 0
        assert (decoder(changed) != decoder(ids)).any(-1).tolist() == [t >= i for t in range(5)]
    assert (decoder(ids).argmax(-1) > BOS).all()


def test_decoders_end_early_in_time_and_never():
    cases = EXERCISE.cases()
    written = [(EXERCISE.solution(*case), case[1]) for case in cases]
    assert [(EOS in ids[-1:], len(ids) < limit) for ids, limit in written] == [
        (True, True),
        (True, True),
        (False, False),
        (True, False),
        (False, False),
        (False, False),
    ]
    assert [limit for _, limit in written[-2:]] == [1, 0]


@pytest.mark.rejects
def test_a_decoder_rejects_what_is_no_row_of_ids():
    decoder = ToyDecoder(767, 7)
    for ids in (torch.tensor([[1, 2]]), torch.tensor([]), torch.tensor(1), [1]):
        with pytest.raises(ValueError, match=r"a tensor of shape \(length,\)"):
            decoder(ids)
    for ids in (torch.tensor([1.0]), torch.tensor([1], dtype=torch.uint8), torch.tensor([True])):
        with pytest.raises(ValueError, match="whole numbers"):
            decoder(ids)
    with pytest.raises(ValueError, match="ids must be from 0 to"):
        decoder(torch.tensor([7]))


def test_a_decoder_does_not_wait_for_ever():
    def never_appends(logits_of, max_length):
        ids = [BOS]
        while len(ids) < 100:
            logits_of(torch.tensor(ids))

    verdict = judge(EXERCISE, never_appends)
    assert verdict.kind == "error" and "called more than 100 times" in verdict.message
