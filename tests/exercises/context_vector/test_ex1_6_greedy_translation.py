import torch

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


OTHER_WAYS = [greedy_tensors]


# Wrong ways, written as a learner writes them.


def greedy_raw_tokens(model, source, max_length):
    memory = model.encode(source)
    state, token, out = model.start(memory), torch.tensor([1]), []
    while len(out) < max_length and int(token) != 2:
        logits, state = model.step(token, state, memory)
        token = logits.argmax(-1)
        out.append(token)
    return out


NEAR_MISSES = [
    ("ids_are_tensors", greedy_raw_tokens),
]
