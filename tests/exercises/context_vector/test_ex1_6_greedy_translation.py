import numpy as np
import torch

from minattn.exercises.context_vector.ex1_6_greedy_translation import EXERCISE
from minattn.exercises.judging import judge

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def greedy_tensors(model, source, max_length):
    memory = model.encode(source)
    state, token, out = model.start(memory), torch.tensor([1]), []
    for _ in range(max_length):
        logits, state = model.step(token, state, memory)
        token = logits.softmax(-1).argmax(-1)
        out.append(token[0])
        if token == 2:
            return out
    return out


def greedy_loop(model, source, max_length):
    memory = model.encode(source)
    state, out = model.start(memory), []
    while len(out) < max_length and 2 not in out:
        token = torch.tensor([out[-1] if out else 1])
        logits, state = model.step(token, state, memory)
        numbers = logits[0].tolist()
        out.append(numbers.index(max(numbers)))
    return out


def greedy_numpy(model, source, max_length):
    memory = model.encode(source)
    state, ids = model.start(memory), np.array([1])
    for _ in range(max_length):
        logits, state = model.step(torch.from_numpy(ids[-1:]), state, memory)
        ids = np.append(ids, logits.numpy().argmax())
        if ids[-1] == 2:
            break
    return ids[1:].tolist()


OTHER_WAYS = [greedy_tensors, greedy_loop, greedy_numpy]


# Wrong ways, written as a learner writes them.


def greedy_raw_tokens(model, source, max_length):
    memory = model.encode(source)
    state, token, out = model.start(memory), torch.tensor([1]), []
    while len(out) < max_length and int(token) != 2:
        logits, state = model.step(token, state, memory)
        token = logits.argmax(-1)
        out.append(token)
    return out


def greedy_from(start, first=lambda memory, source: memory):
    """Make an answer that starts from something else, or hands something else to the steps."""

    def answer(model, source, max_length):
        memory = model.encode(source)
        state, ids = start(model, memory, source), [1]
        for _ in range(max_length):
            logits, state = model.step(torch.tensor(ids[-1:]), state, first(memory, source))
            ids.append(int(logits.argmax()))
            if ids[-1] == 2:
                break
        return ids[1:]

    return answer


def greedy_limit_last(model, source, max_length):
    memory = model.encode(source)
    state, out = model.start(memory), [1]
    while True:
        logits, state = model.step(torch.tensor(out[-1:]), state, memory)
        out.append(int(logits.argmax()))
        if out[-1] == 2 or len(out) > max_length:
            return out[1:]


NEAR_MISSES = [
    ("start_without_memory", greedy_from(lambda model, memory, source: model.start(None))),
    ("source_not_encoded", greedy_from(lambda model, memory, source: model.start(source))),
    ("limit_of_zero", greedy_limit_last),
    ("ids_are_tensors", greedy_raw_tokens),
]


# What is said, and what the checker is tried on.


def test_what_a_model_of_the_book_refuses_is_refused_by_the_toy():
    own_state = greedy_from(lambda model, memory, source: (torch.zeros(1, dtype=torch.long),))
    source_for_memory = greedy_from(
        lambda model, memory, source: model.start(memory), first=lambda memory, source: source
    )
    for answer in (own_state, source_for_memory):
        verdict = judge(EXERCISE, answer)
        assert verdict.kind == "error" and "got" in verdict.message
