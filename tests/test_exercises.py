"""Every checker accepts right answers, whatever their writing, and names each known wrong one."""

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_exercises_decoding import OTHER_WAYS as OTHER_WAYS_OF_7B
from test_exercises_multi_head import OTHER_WAYS as OTHER_WAYS_OF_5
from test_exercises_queries_keys_values import OTHER_WAYS as OTHER_WAYS_OF_3
from test_exercises_recipe import OTHER_WAYS as OTHER_WAYS_OF_7A
from test_exercises_self_attention import OTHER_WAYS as OTHER_WAYS_OF_4
from test_exercises_transformer import OTHER_WAYS as OTHER_WAYS_OF_6
from torch import nn

from minattn.exercises import EXERCISES, check
from minattn.exercises.core import judge
from minattn.tasks import Task

CHAPTERS = Path(__file__).parents[1] / "book" / "chapters"
MISTAKES = [(number, mistake) for number, e in EXERCISES.items() for mistake in e.mistakes]
WRITINGS = [
    pytest.param(number, mistake, answer, id=f"{number}-{mistake.name}-{i}")
    for number, mistake in MISTAKES
    for i, answer in enumerate(mistake.answers)
]

# With types other than the package's, which work all the same, but not where types are checked.
LOOSE = {"7.9-1", "7.9-alignment_length-2"}


@pytest.fixture
def loose(request):
    if request.node.callspec.id in LOOSE:
        request.getfixturevalue("unchecked")


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def linear_loop(x, w):
    rows = [[sum(a * b for a, b in zip(row, line, strict=True)) for line in w] for row in x]
    return torch.tensor(rows)


def softmax_numpy(scores):
    e = np.exp(scores.numpy())
    return e / e.sum(axis=1, keepdims=True)


def gradient_autograd(w, x, y):
    w = w.clone().requires_grad_()
    ((w * x).sum() - y).pow(2).backward()
    return w.grad


def gradient_differences(w, x, y):
    def loss(w):
        return (w.double() @ x.double() - y) ** 2

    bumps = 1e-6 * torch.eye(len(w)).double()
    return torch.stack([(loss(w + b) - loss(w - b)) / 2e-6 for b in bumps])


def pad_torch(sequences):
    rows = [torch.tensor(ids) for ids in sequences]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(ids.shape[1])[None] < lengths[:, None]


def pad_loop(sequences):
    longest = max(len(ids) for ids in sequences)
    ids = np.array([list(row) + [0] * (longest - len(row)) for row in sequences])
    mask = np.array([[j < len(row) for j in range(longest)] for row in sequences])
    return [ids, mask]


def paper_numpy(x, h, w_x, w_h, b_x, b_h):
    x, h, w_x, w_h, b_x, b_h = (a.numpy().astype(float) for a in (x, h, w_x, w_h, b_x, b_h))
    d = h.shape[1]

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    blocks = [slice(i * d, (i + 1) * d) for i in range(3)]
    of_x, of_h = ([a @ w[b].T + c[b] for b in blocks] for a, w, c in ((x, w_x, b_x), (h, w_h, b_h)))
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    n = np.tanh(of_x[2] + (r * h) @ w_h[blocks[2]].T + b_h[blocks[2]])
    return n + z * (h - n)


def paper_blocks(x, h, w_x, w_h, b_x, b_h):
    (w_r, w_z, w_n), (u_r, u_z, u_n) = w_x.chunk(3), w_h.chunk(3)
    b_r, b_z, b_n = (b_x + b_h).chunk(3)
    r = F.sigmoid(F.linear(x, w_r) + F.linear(h, u_r) + b_r)
    z = F.sigmoid(F.linear(x, w_z) + F.linear(h, u_z) + b_z)
    return torch.lerp(torch.tanh(F.linear(x, w_n) + F.linear(r * h, u_n) + b_n), h, z)


def shift_sliced(target):
    whole = [1, *target, 2]
    return whole[:-1], whole[1:]


def loss_ignore_index(logits, target_out):
    return F.cross_entropy(logits.transpose(1, 2), target_out, ignore_index=0)


def loss_loop(logits, target_out):
    terms = [
        logits[i, t].logsumexp(0) - logits[i, t, token]
        for i, row in enumerate(target_out)
        for t, token in enumerate(row)
        if token != 0
    ]
    return float(sum(terms)) / len(terms)


def last_gather(states, mask):
    index = (mask.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, index).squeeze(1)


def last_loop(states, mask):
    return torch.stack([row[keep][-1] for row, keep in zip(states, mask, strict=True)])


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


def backward_rows(step, x, mask, h):
    out = []
    for i in range(len(x)):
        state = h[i : i + 1]
        for t in range(int(mask[i].sum()) - 1, -1, -1):
            state = step(x[i : i + 1, t], state)
        out.append(state)
    return torch.cat(out)


def backward_flipped(step, x, mask, h):
    x, keep = x.flip(1), mask.flip(1)[..., None].float()
    for t in range(x.shape[1]):
        h = keep[:, t] * step(x[:, t], h) + (1 - keep[:, t]) * h
    return h


def kernel_loop(query, key, value, bandwidth):
    out = []
    for q in query.tolist():
        w = [math.exp(-((q - k) ** 2) / (2 * bandwidth**2)) for k in key.tolist()]
        out.append(sum(a * b for a, b in zip(w, value.tolist(), strict=True)) / sum(w))
    return torch.tensor(out)


def kernel_literal(query, key, value, bandwidth):
    w = torch.exp(-((query[:, None] - key) ** 2) / (2 * bandwidth**2))
    return (w * value).sum(1) / w.sum(1)


def weights_shifted(scores):
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def masked_nan_to_num(scores, mask):
    return torch.nan_to_num(scores.masked_fill(~mask, -math.inf).softmax(-1))


def masked_largest_first(scores, mask):
    filled = scores.masked_fill(~mask, -1e30)
    e = (filled - filled.amax(-1, keepdim=True)).exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-9)


def masked_exp(scores, mask):
    e = torch.where(mask, scores.exp(), 0.0)
    total = e.sum(-1, keepdim=True)
    return torch.where(total > 0, e / total.clamp(min=1e-30), 0.0)


def additive_loop(query, key, w_q, w_k, v):
    out = torch.empty(len(query), len(key))
    for i, q in enumerate(query):
        for j, k in enumerate(key):
            out[i, j] = v @ torch.tanh(w_q @ q + w_k @ k)
    return out


def additive_concat(query, key, w_q, w_k, v):
    n_queries, n_keys = len(query), len(key)
    pairs = torch.cat(
        [query[:, None].expand(-1, n_keys, -1), key[None].expand(n_queries, -1, -1)], dim=-1
    )
    return torch.einsum("qkh,h->qk", torch.tanh(pairs @ torch.cat([w_q, w_k], dim=1).T), v)


def temperature_log(weights, temperature):
    return (weights.log() / temperature).softmax(-1)


def entropy_where(weights):
    logs = torch.where(weights > 0, weights, 1.0).log()
    return -(weights * logs).sum(-1)


def entropy_eps(weights):
    return -(weights * (weights + 1e-12).log()).sum(-1)


def fake_random(weights, query, key):
    other = torch.randn(key.shape, generator=torch.Generator().manual_seed(1))
    return bool((weights(query, key) != weights(query, other)).any())


def fake_numpy(weights, query, key):
    other = torch.tensor([[3.0, -1.0, 2.0, 0.5, 1.0], [0.0] * 5, [-2.0, 1.0, 1.0, 2.0, -1.0]])
    return not np.allclose(weights(query, key).numpy(), weights(query, other).numpy())


def fake_each_key(weights, query, key):
    """Change the keys one after the other."""
    before = weights(query, key)
    for j in range(len(key)):
        changed = key.clone()
        changed[j] = torch.linspace(-1, 2, key.shape[1])
        if not torch.allclose(before, weights(query, changed)):
            return True
    return False


def local_loop(scores, center, reach, mask):
    out = torch.zeros_like(scores)
    for i, p in enumerate(center.tolist()):
        near = [j for j in range(scores.shape[1]) if abs(j - p) <= reach and mask[j]]
        if near:
            out[i, near] = scores[i, near].softmax(0)
    return out


def local_slices(scores, center, reach, mask):
    out = torch.zeros_like(scores)
    n = int(mask.sum())
    for i, p in enumerate(center):
        low, high = max(0, p - reach), min(n, p + reach + 1)
        if low < high:
            out[i, low:high] = scores[i, low:high].softmax(0)
    return out


OTHER_WAYS = {
    "0.1": [lambda a, b: a.reshape(-1, 1) - b, lambda a, b: torch.stack([x - b for x in a])],
    "0.2": [linear_loop, lambda x, w: np.einsum("bi,oi->bo", x, w), nn.functional.linear],
    "0.3": [softmax_numpy, lambda s: s.double().softmax(1), lambda s: s.T.softmax(0).T],
    "0.4": [gradient_autograd, gradient_differences],
    "1.1": [pad_torch, pad_loop],
    "1.2": [paper_blocks, paper_numpy],
    "1.3": [shift_sliced, lambda t: [(1, *t), (*t, 2)]],
    "1.4": [loss_ignore_index, loss_loop],
    "1.5": [last_gather, last_loop],
    "1.6": [greedy_tensors],
    "1.7": [backward_rows, backward_flipped],
    "2.1": [kernel_loop, kernel_literal],
    "2.2": [weights_shifted, lambda s: s.transpose(1, 2).softmax(1).transpose(1, 2)],
    "2.3": [masked_nan_to_num, masked_largest_first, masked_exp],
    "2.4": [additive_loop, additive_concat],
    "2.5": [temperature_log],
    "2.6": [entropy_where, entropy_eps, lambda w: torch.nan_to_num(-w * w.log()).sum(-1)],
    "2.7": [fake_random, fake_numpy, fake_each_key],
    "2.8": [local_loop, local_slices],
    **OTHER_WAYS_OF_3,
    **OTHER_WAYS_OF_4,
    **OTHER_WAYS_OF_5,
    **OTHER_WAYS_OF_6,
    **OTHER_WAYS_OF_7A,
    **OTHER_WAYS_OF_7B,
}


def test_every_exercise_has_another_right_way():
    assert OTHER_WAYS.keys() == EXERCISES.keys()


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_accepted(number):
    assert judge(EXERCISES[number], EXERCISES[number].solution).kind == "correct"


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize(
    ("number", "answer"),
    [
        pytest.param(number, answer, id=f"{number}-{i}")
        for number, answers in OTHER_WAYS.items()
        for i, answer in enumerate(answers)
    ],
)
def test_another_right_way_is_accepted(number, answer):
    verdict = judge(EXERCISES[number], answer)
    assert verdict.kind == "correct", verdict.message


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize(("number", "mistake", "answer"), WRITINGS)
def test_a_known_mistake_is_named(number, mistake, answer):
    verdict = judge(EXERCISES[number], answer)
    assert (verdict.kind, verdict.mistake, verdict.message) == (
        "mistake",
        mistake.name,
        mistake.message,
    )


# Written as a learner writes them: wrong answers that are right on most inputs, or stop with an error.


def paper_transposed_twice(x, h, w_x, w_h, b_x, b_h):
    u_r, u_z, u_n = w_h.chunk(3)
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    c_r, c_z, c_n = b_h.chunk(3)
    r, z = torch.sigmoid(x_r + h @ u_r.T + c_r), torch.sigmoid(x_z + h @ u_z.T + c_z)
    return (1 - z) * torch.tanh(x_n + (r * h) @ u_n + c_n) + z * h


def paper_without_c_n(x, h, w_x, w_h, b_x, b_h):
    d = h.shape[1]
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    h_r, h_z = (h @ w_h[: 2 * d].T + b_h[: 2 * d]).chunk(2, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - z) * torch.tanh(x_n + (r * h) @ w_h[2 * d :].T) + z * h


def paper_w_x_as_stored(x, h, w_x, w_h, b_x, b_h):
    w_r, *_ = w_x.chunk(3)
    return torch.sigmoid(x @ w_r + b_x[: h.shape[1]])


def greedy_raw_tokens(model, source, max_length):
    memory = model.encode(source)
    state, token, out = model.start(memory), torch.tensor([1]), []
    while len(out) < max_length and int(token) != 2:
        logits, state = model.step(token, state, memory)
        token = logits.argmax(-1)
        out.append(token)
    return out


def weights_one_maximum(scores):
    e = torch.exp(scores - torch.max(scores))
    return e / torch.sum(e, dim=-1, keepdim=True)


def masked_after(scores, mask):
    weights = torch.softmax(scores, dim=-1) * mask.float()
    return weights / (weights.sum(dim=-1, keepdim=True) + 1e-9)


def masked_after_bare(scores, mask):
    weights = torch.softmax(scores, dim=-1) * mask.float()
    return weights / weights.sum(dim=-1, keepdim=True)


def masked_any_without_keepdim(scores, mask):
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return torch.where(mask.any(dim=-1), weights, torch.zeros_like(weights))


def additive_as_stored(query, key, w_q, w_k, v):
    q, k = query @ w_q, key @ w_k
    return torch.tanh(q[:, None] + k[None]) @ v


def additive_reversed(query, key, w_q, w_k, v):
    q, k = torch.matmul(w_q, query), torch.matmul(w_k, key)
    return torch.tanh(q[:, None] + k[None]) @ v


def temperature_clamped(weights, temperature):
    scores = weights.clamp(min=1e-12).log() / temperature
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def temperature_epsilon(weights, temperature):
    return ((weights + 1e-9).log() / temperature).softmax(-1)


def entropy_late(weights):
    return (-(weights * weights.log()).sum(-1)).nan_to_num()


def fake_flipped(weights, query, key):
    return not torch.allclose(weights(query, key), weights(query, key.flip(0)))


def fake_turned(weights, query, key):
    return not torch.equal(weights(query, key), weights(query, key[[2, 0, 1]]))


def fake_changed_at(position):
    def detector(weights, query, key):
        changed = key.clone()
        changed[position] = torch.linspace(3, -1, key.shape[1])
        return not torch.allclose(weights(query, key), weights(query, changed))

    return detector


def local_without_new_axis(scores, center, reach, mask):
    positions = torch.arange(scores.shape[1])
    near = (positions >= center - reach) & (positions <= center + reach)
    return scores.masked_fill(~(near & mask), -math.inf).softmax(-1)


def local_from_center(scores, center, reach, mask):
    near = (center - torch.arange(scores.shape[1])).abs() <= reach
    return scores.masked_fill(~(near & mask), -math.inf).softmax(-1).nan_to_num()


NEAR_MISSES = [
    ("1.2", "state_not_transposed", paper_transposed_twice),
    ("1.2", "no_candidate_bias", paper_without_c_n),
    ("1.2", "not_transposed", paper_w_x_as_stored),
    ("1.6", "ids_are_tensors", greedy_raw_tokens),
    ("2.2", "one_maximum", weights_one_maximum),
    ("2.3", "masked_too_late", masked_after),
    ("2.3", "masked_too_late", masked_after_bare),
    ("2.3", "masked_too_late", lambda s, m: masked_after_bare(s, m).nan_to_num()),
    ("2.3", "masked_too_late", lambda s, m: (s.exp() * m) / (s.exp() * m).sum(-1, keepdim=True)),
    ("2.3", "no_keepdim", masked_any_without_keepdim),
    ("2.4", "not_transposed", additive_as_stored),
    ("2.4", "not_transposed", additive_reversed),
    ("2.5", "zero_lifted", temperature_clamped),
    ("2.5", "zero_lifted", temperature_epsilon),
    ("2.6", "nan_replaced_late", entropy_late),
    ("2.7", "keys_reordered", fake_flipped),
    ("2.7", "keys_reordered", fake_turned),
    ("2.7", "one_key_changed", fake_changed_at(0)),
    ("2.7", "one_key_changed", fake_changed_at(1)),
    ("2.7", "one_key_changed", fake_changed_at(-1)),
    ("2.8", "centre_as_row", local_without_new_axis),
    ("2.8", "centre_as_row", local_from_center),
]


@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


def test_one_row_far_below_the_others_is_seen():
    """A NaN in one row is an own mistake, and not the overflow of every row."""
    rows = EXERCISES["2.2"].cases()[-1][0]
    assert weights_one_maximum(rows).isnan().any(-1).tolist() == [[False, True]]


def test_recurrent_steps_are_told_apart_by_more_than_rounding():
    exercise = EXERCISES["1.2"]
    case = exercise.cases()[0]
    right = exercise.solution(*case)
    for mistake in exercise.mistakes:
        if mistake.name != "not_transposed":
            assert (mistake.answer(*case) - right).abs().max() > 0.01, mistake.name


@pytest.mark.parametrize("number", EXERCISES)
def test_names_and_messages_are_unique(number):
    mistakes = EXERCISES[number].mistakes
    assert len({m.name for m in mistakes}) == len({m.message for m in mistakes}) == len(mistakes)


@pytest.mark.parametrize(("number", "mistake"), MISTAKES, ids=lambda x: getattr(x, "name", x))
def test_a_message_is_short_and_whole(number, mistake):
    assert 40 < len(mistake.message) < 330
    assert (
        mistake.message[-1] in ".?)" and "\n" not in mistake.message and "  " not in mistake.message
    )


@pytest.mark.parametrize("number", EXERCISES)
def test_an_untouched_stub_is_open(number):
    def stub(*args):
        """Say what to do."""
        ...

    def passing(*args):
        pass

    def raising(*args):
        raise NotImplementedError

    for answer in (stub, passing, raising, lambda *args: ...):
        verdict = judge(EXERCISES[number], answer)
        assert (verdict.kind, verdict.message) == ("open", "Not attempted yet.")


@pytest.mark.parametrize("number", EXERCISES)
def test_an_unknown_wrong_answer_sees_where_it_fails(number):
    exercise = EXERCISES[number]

    def wrong(*case):
        out = exercise.solution(*case)
        if isinstance(out, bool):
            return out != (case == exercise.cases()[0] or "squared" in repr(case[0]))
        if isinstance(out, torch.Tensor):
            return out * 1.37 - 0.11
        if isinstance(out, list):
            return [7, *out[:0:-1]]
        if isinstance(out, Task):
            return out.train
        return (out[0], out[1][:0]) if isinstance(out[1], list) else (out[0] + 1, out[1])

    verdict = judge(exercise, wrong)
    assert verdict.kind == "wrong" and verdict.mistake is None, verdict.message
    lines = verdict.message.split("\n")
    assert lines[1].startswith("Input: ")
    assert [line.split(":")[0] for line in lines if line[:3] in ("Exp", "Got")] == [
        "Expected",
        "Got",
    ]


def raises(*case):
    raise KeyError("no such thing")


def divides_by_zero(*case):
    return 1 / 0


def leaves(*case):
    raise SystemExit(1)


class Awkward:
    def __eq__(self, other):
        raise TypeError("not comparable")

    def __repr__(self):
        raise TypeError("not printable")

    __hash__ = None


HOSTILE = {
    "raises": raises,
    "divides": divides_by_zero,
    "leaves": leaves,
    "wrong signature": lambda: 1,
    "text": lambda *case: "right",
    "nested": lambda *case: [[1.0, [2.0, "x"]]],
    "complex": lambda *case: torch.ones(2, 3, dtype=torch.complex64),
    "objects": lambda *case: np.array([None, "a"], dtype=object),
    "empty": lambda *case: torch.empty(0),
    "brain": lambda *case: torch.ones(2, 3, dtype=torch.bfloat16),
    "sparse": lambda *case: torch.eye(3).to_sparse(),
    "meta": lambda *case: torch.ones(2, 3, device="meta"),
    "generator": lambda *case: (x for x in case),
    "awkward": lambda *case: Awkward(),
    "function": lambda *case: raises,
    "long": lambda *case: list(range(10**5)),
    "NaN": lambda *case: float("nan"),
    "input": lambda *case: case,
    "a class": Awkward,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_survived(name):
    for exercise in EXERCISES.values():
        verdict = judge(exercise, HOSTILE[name])
        assert verdict.kind in ("wrong", "error")
        assert len(verdict.message) < 2000


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize(
    "answer", [None, 3.0, "f", torch.ones(2)], ids=["None", "3", "f", "tensor"]
)
def test_a_result_is_not_taken_for_a_function(number, answer):
    verdict = judge(EXERCISES[number], answer)
    assert verdict.kind == "error" and "without brackets" in verdict.message


def test_a_changed_input_is_noticed():
    def filled_in_place(scores, mask):
        scores.masked_fill_(~mask, -math.inf)
        return scores.softmax(-1).nan_to_num()

    def appended(target):
        target.append(2)
        return [1, *target[:-1]], target

    for number, answer in (("2.3", filled_in_place), ("1.3", appended)):
        verdict = judge(EXERCISES[number], answer)
        assert verdict.kind == "wrong" and "the input was changed" in verdict.message


def test_a_changed_input_does_not_hide_a_known_mistake():
    def filled_in_place(scores, mask):
        return scores.masked_fill_(mask, -math.inf).softmax(-1)

    assert judge(EXERCISES["2.3"], filled_in_place).mistake == "mask_inverted"


def test_two_mistakes_at_once_name_the_first():
    def bits_and_nan(weights):
        return -(weights * weights.log2()).sum(-1)

    verdict = judge(EXERCISES["2.6"], bits_and_nan)
    assert verdict.mistake == "other_logarithm" and "something else" in verdict.message


@pytest.mark.parametrize("number", EXERCISES)
def test_cases_are_the_same_every_time_and_grow(number):
    exercise = EXERCISES[number]
    first, second = exercise.cases(), exercise.cases()
    assert [exercise.describe(c) for c in first] == [exercise.describe(c) for c in second]
    random_state = torch.random.get_rng_state()
    judge(exercise, exercise.solution)
    assert torch.equal(torch.random.get_rng_state(), random_state)


@pytest.mark.parametrize("number", EXERCISES)
def test_laws_hold_for_the_solution(number):
    exercise = EXERCISES[number]
    for law in exercise.laws:
        assert all(law.holds(exercise.solution(*c), *c) for c in exercise.cases()), law.statement


def test_numbers_are_in_order():
    places = [tuple(map(int, number.split("."))) for number in EXERCISES]
    assert all(a < b for a, b in pairwise(places))
    assert [n for n, e in EXERCISES.items() if e.number != n] == []


@pytest.mark.rejects
def test_an_unknown_number_is_rejected():
    with pytest.raises(ValueError, match=r"exercises are 0\.1, .*got '9\.9'"):
        check("9.9", linear_loop)


def test_chapters_and_checkers_have_the_same_exercises():
    calls: Counter[str] = Counter()
    for chapter in sorted(CHAPTERS.glob("*.md")):
        found = re.findall(r'^check\("(\d+\.\d+)", ', chapter.read_text(encoding="utf-8"), re.M)
        assert {number.split(".")[0] for number in found} <= {str(int(chapter.name[:2]))}
        calls.update(found)
    # Each exercise is checked twice: the reader's own answer, and the solution.
    assert calls == dict.fromkeys(EXERCISES, 2)


def test_a_folded_solution_is_not_taken_for_the_readers_answer(capsys):
    def solution_softmax_rows(scores):
        return scores.softmax(dim=1)

    def softmax_rows(scores):
        return scores.softmax(dim=1)

    check("0.3", solution_softmax_rows)
    assert "The solution passes." in capsys.readouterr().out
    check("0.3", softmax_rows)
    assert "Correct." in capsys.readouterr().out


def test_an_answer_that_draws_random_numbers_gets_the_same_verdict_every_time():
    def depends_on_keys(weights, query, key):
        turned = key[torch.randperm(len(key))]
        return not torch.allclose(weights(query, key), weights(query, turned))

    verdicts = {judge(EXERCISES["2.7"], depends_on_keys).message for _ in range(5)}
    assert len(verdicts) == 1
