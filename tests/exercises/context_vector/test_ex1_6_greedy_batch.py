from functools import partial

import numpy as np
import pytest
import torch

from minattn.exercises.context_vector.ex1_6_greedy_batch import EXERCISE, ToyTranslator
from minattn.exercises.judging import judge

# Other right ways: a mask, cutting afterwards, NumPy, and what a careful learner might do differently.


def mask_of_finished_rows(model, source, max_length):
    memory = model.encode(source)
    state, word = model.start(memory), torch.ones(len(source), dtype=torch.long)
    finished = torch.zeros(len(source), dtype=torch.bool)
    rows = [[] for _ in range(len(source))]
    while max_length > 0 and not finished.all():
        logits, state = model.step(word, state, memory)
        word = logits.softmax(-1).argmax(-1).masked_fill(finished, 0)  # an ended row reads PAD
        for i in range(len(source)):
            if not finished[i]:
                rows[i].append(word[i])
        finished = finished | (word == 2)
        max_length -= 1
    return rows


def cut_afterwards(model, source, max_length):
    if max_length == 0:
        return [[] for _ in source]
    memory = model.encode(source)
    state, words = model.start(memory), [torch.full((len(source),), 1)]
    for _ in range(max_length):
        logits, state = model.step(words[-1], state, memory)
        words.append(logits.argmax(-1))
        if (torch.stack(words) == 2).any(0).all():
            break
    out = []
    for row in torch.stack(words[1:], dim=1):
        ends = (row == 2).nonzero()
        out.append(row[: ends[0, 0] + 1].tolist() if len(ends) else row.tolist())
    return out


def with_numpy(model, source, max_length):
    memory = model.encode(source)
    state, ids = model.start(memory), np.ones((len(source), 1), dtype=np.int64)
    while ids.shape[1] <= max_length and not (ids == 2).any(1).all():
        logits, state = model.step(torch.from_numpy(ids[:, -1].copy()), state, memory)
        ids = np.append(ids, logits.numpy().argmax(1)[:, None], axis=1)
    said = ids[:, 1:]
    before = np.cumsum(said == 2, axis=1) - (said == 2)
    return [row[n == 0].tolist() for row, n in zip(said, before, strict=True)]


def looking_at_the_lists(model, source, max_length):
    memory = model.encode(source)
    state, rows = model.start(memory), [[1] for _ in source]
    for _ in range(max_length):
        tokens = torch.tensor([row[-1] for row in rows])
        if tokens.eq(2).all():
            break
        logits, state = model.step(tokens, state, memory)
        for row, numbers in zip(rows, logits.tolist(), strict=True):
            if row[-1] != 2:
                row.append(numbers.index(max(numbers)))
    return [row[1:] for row in rows]


OTHER_WAYS = [mask_of_finished_rows, cut_afterwards, with_numpy, looking_at_the_lists]


# Wrong ways, written as a learner writes them.


def loop_of_the_page(model, source, longest):
    context = model.encode(source)
    state, word, written = model.start(context), torch.tensor([1]), []
    while len(written) < longest:
        logits, state = model.step(word, state, context)
        word = logits.argmax(dim=-1)
        if word.item() == 2:
            break
        written.append(word.item())
    return written


def loop_of_the_page_with_more_bos(model, source, longest):
    context = model.encode(source)
    state, word, written = model.start(context), torch.ones(len(source), dtype=torch.long), []
    while len(written) < longest:
        logits, state = model.step(word, state, context)
        word = logits.argmax(dim=-1)
        if word.item() == 2:
            break
        written.append(word.item())
    return written


def stop_where_any(model, source, max_length, stop=torch.any):
    memory = model.encode(source)
    state, word, rows = model.start(memory), torch.full((len(source),), 1), [[] for _ in source]
    for _ in range(max_length):
        logits, state = model.step(word, state, memory)
        word = logits.argmax(-1)
        for row, new in zip(rows, word.tolist(), strict=True):
            row.append(new)
        if stop(word == 2):
            break
    return rows


def skip_ended_now(model, source, max_length):
    memory = model.encode(source)
    state, word, rows = model.start(memory), torch.full((len(source),), 1), [[] for _ in source]
    ended = torch.zeros(len(source), dtype=torch.bool)
    for _ in range(max_length):
        logits, state = model.step(word, state, memory)
        word = logits.argmax(-1)
        for i, row in enumerate(rows):
            if not ended[i]:
                row.append(word[i].item())
        ended = word == 2  # of this step alone
        if ended.all():
            break
    return rows


def without_eos(model, source, max_length):
    memory = model.encode(source)
    state, word, rows = model.start(memory), torch.full((len(source),), 1), [[] for _ in source]
    ended = torch.zeros(len(source), dtype=torch.bool)
    for _ in range(max_length):
        logits, state = model.step(word, state, memory)
        word = logits.argmax(-1)
        ended |= word == 2
        for i, row in enumerate(rows):
            if not ended[i]:
                row.append(word[i].item())
        if ended.all():
            break
    return rows


def one_after_the_other(model, source, max_length):
    out = []
    for row in source:
        memory = model.encode(row[None])
        state, ids = model.start(memory), [1]
        while ids[-1] != 2 and len(ids) <= max_length:
            logits, state = model.step(torch.tensor(ids[-1:]), state, memory)
            ids.append(int(logits.argmax()))
        out.append(ids[1:])
    return out


def padded_with_a_mask(model, source, max_length):
    memory = model.encode(source)
    state, word, words = model.start(memory), torch.full((len(source),), 1), []
    ended = torch.zeros(len(source), dtype=torch.bool)
    while len(words) < max_length and not ended.all():
        logits, state = model.step(word, state, memory)
        word = logits.argmax(-1).masked_fill(ended, 0)
        words.append(word)
        ended |= word == 2
    return [[int(word[i]) for word in words] for i in range(len(source))]


def step_before_the_check(model, source, max_length):
    memory = model.encode(source)
    state, word, rows = model.start(memory), torch.full((len(source),), 1), [[] for _ in source]
    while True:
        logits, state = model.step(word, state, memory)
        if all(2 in row or len(row) == max_length for row in rows):
            return rows
        word = logits.argmax(-1)
        for row, new in zip(rows, word.tolist(), strict=True):
            if 2 not in row:
                row.append(new)


def limit_last(model, source, max_length):
    memory = model.encode(source)
    state, rows = model.start(memory), [[1] for _ in source]
    while True:
        tokens = torch.tensor([row[-1] for row in rows])
        logits, state = model.step(tokens, state, memory)
        for row, new in zip(rows, logits.argmax(-1).tolist(), strict=True):
            if row[-1] != 2:
                row.append(new)
        if all(row[-1] == 2 or len(row) > max_length for row in rows):
            return [row[1:] for row in rows]


def stacked_at_the_end(model, source, max_length):
    memory = model.encode(source)
    state, word, words = model.start(memory), torch.full((len(source),), 1), []
    ended = torch.zeros(len(source), dtype=torch.bool)
    while len(words) < max_length and not ended.all():
        logits, state = model.step(word, state, memory)
        word = logits.argmax(-1)
        words.append(word)
        ended |= word == 2
    rows = torch.stack(words, dim=1).tolist()
    return [row[: row.index(2) + 1] if 2 in row else row for row in rows]


def start_from(start):
    """Make an answer that hands something else to start."""

    def answer(model, source, max_length):
        memory = model.encode(source)
        model.start(start(source))
        return model.step(torch.ones(len(source)), None, memory)

    return answer


NEAR_MISSES = [
    ("loop_for_one_sentence", loop_of_the_page),
    ("number_of_a_batch", loop_of_the_page_with_more_bos),
    ("stops_with_the_first", stop_where_any),
    ("stops_with_the_first", partial(stop_where_any, stop=lambda ends: ends[0])),
    ("goes_on_after_eos", partial(stop_where_any, stop=lambda ends: False)),
    ("goes_on_after_eos", partial(stop_where_any, stop=torch.all)),
    ("ending_forgotten", skip_ended_now),
    ("eos_dropped", without_eos),
    ("row_by_row", one_after_the_other),
    ("filled_up", padded_with_a_mask),
    ("asked_on", step_before_the_check),
    ("limit_of_zero", limit_last),
    ("no_lists_for_zero", stacked_at_the_end),
    ("start_without_memory", start_from(lambda source: None)),
    ("source_not_encoded", start_from(lambda source: source)),
]


# What is said, and what the checker is tried on.


def test_what_a_model_of_the_book_refuses_is_refused_by_the_toy():
    def own_state(model, source, max_length):
        memory = model.encode(source)
        return model.step(torch.ones(len(source), dtype=torch.long), (torch.zeros(1),), memory)

    def source_for_memory(model, source, max_length):
        state = model.start(model.encode(source))
        return model.step(torch.ones(len(source), dtype=torch.long), state, source)

    def row_of_the_state(model, source, max_length):
        model.encode(source[0])

    for answer in (own_state, source_for_memory, row_of_the_state):
        verdict = judge(EXERCISE, answer)
        assert verdict.kind == "error" and "got" in verdict.message


def test_a_row_alone_and_a_row_with_padding_are_told_the_same():
    source = torch.tensor([[6, 5, 2], [5, 2, 0]])
    both = EXERCISE.solution(ToyTranslator(), source, 9)
    for i, row in enumerate((source[:1], source[1:, :2])):
        assert EXERCISE.solution(ToyTranslator(), row, 9) == [both[i]]


@pytest.mark.parametrize("said", [lambda rows: rows[:1], lambda rows: [*rows, []]])
def test_too_few_and_too_many_lists_are_told_apart(said):
    verdict = judge(EXERCISE, lambda *case: said(EXERCISE.solution(*case)))
    assert verdict.kind == "wrong" and "it should have 2." in verdict.message


def test_a_right_answer_that_fills_the_source_is_told_so():
    def answer(model, source, max_length):
        rows = EXERCISE.solution(model, source, max_length)
        source.zero_()
        return rows

    verdict = judge(EXERCISE, answer)
    assert verdict.kind == "wrong" and "input was changed" in verdict.message


def test_a_tensor_is_no_list_of_lists():
    verdict = judge(EXERCISE, lambda *case: torch.tensor(stop_where_any(*case)))
    assert verdict.message.startswith(
        "The result is a tensor of whole numbers, it should be a list"
    )
