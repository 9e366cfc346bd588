"""The checkers of chapter 4: right answers however written, and wrong ones as learners write them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.dot_product import DotProductAttention, attend
from minattn.exercises.core import judge
from minattn.exercises.self_attention import EXERCISES as CHAPTER
from minattn.exercises.self_attention import ToyLanguageModel
from minattn.positions import rotary, sinusoidal

EXERCISES = {exercise.number: exercise for exercise in CHAPTER}


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def attention_loop(x, w_q, w_k, w_v):
    out = torch.zeros(*x.shape[:2], w_v.shape[1], dtype=torch.float64)
    for b, tokens in enumerate(x.double()):
        for i, asking in enumerate(tokens):
            query = asking @ w_q.double()
            scores = [query @ (token @ w_k.double()) / w_k.shape[1] ** 0.5 for token in tokens]
            shares = torch.stack(scores).softmax(0)
            for share, token in zip(shares, tokens, strict=True):
                out[b, i] += share * (token @ w_v.double())
    return out


def attention_einsum(x, w_q, w_k, w_v):
    scores = torch.einsum("bqm,mk,bsn,nk->bqs", x, w_q, x, w_k) / math.sqrt(w_k.shape[-1])
    return torch.einsum("bqs,bsm,mv->bqv", scores.softmax(-1), x, w_v)


def attention_values_last(x, w_q, w_k, w_v):
    q, k = torch.matmul(x, w_q), torch.matmul(x, w_k)
    weights = F.softmax(torch.bmm(q / w_k.shape[1] ** 0.25, k.mT / w_k.shape[1] ** 0.25), dim=2)
    return (weights @ x) @ w_v


def attention_layer(x, w_q, w_k, w_v):
    d_model, d_k = w_q.shape
    layer = DotProductAttention(d_query=d_model, d_key=d_model, d_k=d_k, d_v=w_v.shape[1])
    for projection, w in ((layer.q_proj, w_q), (layer.k_proj, w_k), (layer.v_proj, w_v)):
        projection.weight = nn.Parameter(w.T.contiguous())
    return layer(x, x, x)


def positions_loop(n, d):
    out = np.zeros((n, d))
    for t in range(n):
        for j in range(d):
            angle = t / 10000 ** (2 * (j // 2) / d)
            out[t, j] = math.cos(angle) if j % 2 else math.sin(angle)
    return out


def positions_exp(n, d):
    pe = torch.zeros(n, d)
    position = torch.arange(0, n, dtype=torch.float).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def positions_by_turning(n, d):
    """Get each row from the one before by turning its pairs."""
    step = torch.polar(torch.ones(d // 2), 10000 ** (-torch.arange(0, d, 2) / d))
    pairs = torch.stack([step**t for t in range(n)])
    return torch.stack([pairs.imag, pairs.real], -1).reshape(n, d)


def rotate_complex(x, base=10000.0):
    seq, d = x.shape
    angles = torch.outer(torch.arange(seq), base ** (-torch.arange(0, d, 2) / d))
    pairs = torch.view_as_complex(x.reshape(seq, d // 2, 2))
    turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles))
    return turned.flatten(1)


def rotate_matrices(x, base=10000.0):
    out = torch.empty_like(x, dtype=torch.float64)
    for t in range(x.shape[0]):
        for i in range(x.shape[1] // 2):
            phi = t / base ** (2 * i / x.shape[1])
            c, s = math.cos(phi), math.sin(phi)
            turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
            out[t, 2 * i : 2 * i + 2] = turn @ x[t, 2 * i : 2 * i + 2].double()
    return out


def rotate_quarter(x, base=10000.0):
    angles = torch.arange(len(x))[:, None] / base ** (torch.arange(0, x.shape[1], 2) / x.shape[1])
    angles = angles.repeat_interleave(2, dim=1)
    quarter = torch.empty_like(x)
    quarter[:, 0::2], quarter[:, 1::2] = -x[:, 1::2], x[:, 0::2]
    return x * angles.cos() + quarter * angles.sin()


def joined_expanded(x, p, w):
    """Concatenate after all: it cannot be told from the result."""
    return F.linear(torch.cat([x, p.expand(len(x), -1, -1)], dim=-1), w)


def joined_split(x, p, w):
    w_x, w_p = w.split([x.shape[2], p.shape[1]], dim=1)
    return F.linear(x, w_x) + F.linear(p, w_p)[None]


def joined_loop(x, p, w):
    out = torch.zeros(*x.shape[:2], len(w))
    for j in range(w.shape[1]):
        column = w[:, j]
        feature = x[..., j] if j < x.shape[-1] else p[:, j - x.shape[-1]].expand(x.shape[:2])
        out += feature[..., None] * column
    return out


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


def drop_loop(weights, keep, p):
    rows = zip(weights.tolist(), keep.tolist(), strict=True)
    return np.array([[w / (1 - p) if k else 0.0 for w, k in zip(*r, strict=True)] for r in rows])


def future_one_by_one(model, vocab_size, length):
    ids = torch.zeros(1, length, dtype=torch.long)
    before = model(ids)
    for i in range(length):
        changed = ids.clone()
        changed[0, i] = 1
        if (model(changed) - before)[0, :i].abs().sum() > 1e-4:
            return True
    return False


def future_exactly(model, vocab_size, length):
    """Compare the first logits of a text with those of its beginning alone."""
    ids = torch.arange(length)[None] % vocab_size
    parts = [model(ids[:, : t + 1])[:, -1] for t in range(length)]
    return not torch.allclose(torch.stack(parts, dim=1), model(ids), atol=1e-5)


def future_random(model, vocab_size, length):
    for _ in range(20):
        ids = torch.randint(vocab_size, (5, length))
        for t in range(1, length):
            other = torch.cat([ids[:, :t], torch.randint(vocab_size, (5, length - t))], dim=1)
            if not torch.allclose(model(ids)[:, :t], model(other)[:, :t], atol=1e-5):
                return True
    return False


def future_numpy(model, vocab_size, length):
    ids = torch.full((2, length), vocab_size - 1)
    moved = np.zeros((length, length), dtype=bool)
    for place in range(length):
        changed = ids.clone()
        changed[:, place] = 0
        moved[:, place] = np.abs((model(changed) - model(ids)).numpy()).max(axis=(0, 2)) > 1e-4
    return np.triu(moved, 1).any()


def future_probabilities(model, vocab_size, length):
    ids = torch.arange(length)[None] % vocab_size
    for t in range(1, length):
        other = ids.clone()
        other[:, t:] = vocab_size - 1 - other[:, t:]
        if vocab_size > 2:
            other[:, t:] = (other[:, t:] + 1) % vocab_size
        difference = model(ids).softmax(-1)[:, :t] - model(other).softmax(-1)[:, :t]
        if difference.abs().max() > 1e-8:
            return True
    return False


def grid_loop(height, width, d):
    rows, columns = sinusoidal(height, d // 2), sinusoidal(width, d // 2)
    patches = [torch.cat([rows[i], columns[j]]) for i in range(height) for j in range(width)]
    return torch.stack(patches)


def grid_repeated(height, width, d):
    rows = sinusoidal(height, d // 2).repeat_interleave(width, dim=0)
    return torch.hstack([rows, sinusoidal(width, d // 2).repeat(height, 1)])


def grid_numpy(height, width, d):
    i, j = np.divmod(np.arange(height * width), width)
    frequency = 10000.0 ** (-np.arange(0, d // 2, 2) / (d // 2))
    out = np.empty((height * width, d))
    for start, place in ((0, i), (d // 2, j)):
        out[:, start : start + d // 2 : 2] = np.sin(place[:, None] * frequency)
        out[:, start + 1 : start + d // 2 : 2] = np.cos(place[:, None] * frequency)
    return out


def grid_meshed(height, width, d):
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    table = sinusoidal(max(height, width), d // 2)
    return table[places].flatten(1)


OTHER_WAYS = {
    "4.1": [
        attention_loop,
        attention_einsum,
        attention_values_last,
        attention_layer,
        lambda x, q, k, v: F.scaled_dot_product_attention(x @ q, x @ k, x @ v),
        lambda x, *w: attend(*(x.double() @ m.double() for m in w)),
        lambda x, *w: torch.stack([F.scaled_dot_product_attention(*(a @ m for m in w)) for a in x]),
    ],
    "4.2": [positions_loop, positions_exp, positions_by_turning, sinusoidal],
    "4.3": [rotate_complex, rotate_matrices, rotate_quarter, lambda x, b: rotary(x, base=b)],
    "4.4": [
        joined_expanded,
        joined_split,
        joined_loop,
        lambda x, p, w: (
            np.einsum("bsx,ox->bso", x, w[:, : x.shape[2]])
            + np.einsum("sp,op->so", p, w[:, x.shape[2] :])
        ),
        lambda x, p, w: x @ w[:, : -p.shape[1]].T + p @ w[:, -p.shape[1] :].T,
    ],
    "4.5": [write_lists, write_table, write_padded, write_recursive],
    "4.6": [
        drop_loop,
        lambda w, k, p: torch.where(k, w / (1 - p), 0.0),
        lambda w, k, p: w.masked_fill(~k, 0.0) * (1 / (1 - p)),
        lambda w, k, p: w.double() * k.double() / (1 - p),
    ],
    "4.7": [
        future_one_by_one,
        future_exactly,
        future_random,
        future_numpy,
        future_probabilities,
    ],
    "4.8": [grid_loop, grid_repeated, grid_numpy, grid_meshed],
}


# Written as a learner writes them: wrong answers that stop with an error, or come in another disguise.


def attention_of(scale=lambda x, w_k, w_v: w_k.shape[-1], turn=lambda k: k.mT, axis=-1):
    def answer(x, w_q, w_k, w_v):
        q, k, v = torch.matmul(x, w_q), torch.matmul(x, w_k), torch.matmul(x, w_v)
        scores = torch.matmul(q, turn(k)) / math.sqrt(scale(x, w_k, w_v))
        return torch.matmul(F.softmax(scores, dim=axis), v)

    return answer


def attention_over_batch(x, w_q, w_k, w_v):
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    weights = (torch.einsum("bsd,csd->bcs", q, k) / w_k.shape[1] ** 0.5).softmax(dim=1)
    return torch.einsum("bcs,csv->bsv", weights, v)


def attention_linear(x, w_q, w_k, w_v):
    q, k, v = (F.linear(x, w) for w in (w_q, w_k, w_v))
    return F.scaled_dot_product_attention(q, k, v)


def attention_by_elements(x, w_q, w_k, w_v):
    scores = ((x @ w_q) * (x @ w_k)).sum(dim=-1) / math.sqrt(w_k.shape[1])
    return scores.softmax(dim=-1)[..., None] * (x @ w_v)


def attention_scaled_last(x, w_q, w_k, w_v):
    return F.softmax((x @ w_q) @ (x @ w_k).mT, dim=-1) / math.sqrt(w_k.shape[1]) @ (x @ w_v)


def attention_causal(x, w_q, w_k, w_v):
    return F.scaled_dot_product_attention(x @ w_q, x @ w_k, x @ w_v, is_causal=True)


def positions_by_pairs(exponents, lay=lambda s, c: torch.stack([s, c], -1).flatten(1)):
    def answer(n, d):
        angles = torch.arange(n)[:, None] / 10000 ** exponents(torch.arange(d // 2), d)
        return lay(torch.sin(angles), torch.cos(angles))

    return answer


def positions_by_features(exponent):
    def answer(n, d):
        out = torch.zeros(n, d)
        for t in range(n):
            for j in range(d):
                angle = t / 10000 ** exponent(j, d)
                out[t, j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
        return out

    return answer


def positions_exponential(sign):
    def answer(n, d):
        out = torch.zeros(n, d)
        rates = torch.exp(torch.arange(0, d, 2) * (sign * math.log(10000.0) / d))
        out[:, 0::2], out[:, 1::2] = (
            f(torch.arange(n)[:, None] * rates) for f in (torch.sin, torch.cos)
        )
        return out

    return answer


def positions_without_brackets(n, d):
    angles = torch.arange(n)[:, None] / 10000**2 * torch.arange(d // 2) / d
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def rotary_angles(x, base):
    return torch.arange(len(x))[:, None] / base ** (torch.arange(0, x.shape[1], 2) / x.shape[1])


def rotate_half(x, base=10000.0):
    angles = torch.cat([rotary_angles(x, base)] * 2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def rotate_half_of_neighbours(x, base=10000.0):
    angles = rotary_angles(x, base).repeat_interleave(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def rotate_in_place(x, base=10000.0):
    out, angles = x.clone(), rotary_angles(x, base)
    even, odd = out[:, 0::2], out[:, 1::2]
    out[:, 0::2] = even * angles.cos() - odd * angles.sin()
    out[:, 1::2] = even * angles.sin() + odd * angles.cos()
    return out


def rotate_complex_halves(x, base=10000.0):
    pairs = torch.complex(*x.chunk(2, dim=1)) * torch.exp(1j * rotary_angles(x, base))
    return torch.view_as_real(pairs).flatten(1)


def rotate_stacked(x, base=10000.0):
    even, odd = x[:, 0::2], x[:, 1::2]
    cos, sin = rotary_angles(x, base).cos(), rotary_angles(x, base).sin()
    turned = [even * cos - odd * sin, even * sin + odd * cos]
    return torch.stack(turned, dim=1).flatten(1)


def joined_cut(axis, where, turn=lambda block: block.T):
    def answer(x, p, w):
        w_x, w_p = w.tensor_split([where(x, w)], dim=axis)
        return x @ turn(w_x) + p @ turn(w_p)

    return answer


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


def future_by(change, look=lambda logits, t: logits[:, :t], places=lambda n: range(1, n)):
    """Make a test that begins with random ids and changes them at some places."""

    def answer(model, vocab_size, length):
        ids = torch.randint(vocab_size, (1, length))
        for t in places(length):
            changed = ids.clone()
            change(changed, t, vocab_size)
            if not torch.allclose(look(model(ids), t), look(model(changed), t)):
                return True
        return False

    return answer


def later_moved(ids, t, vocab_size):
    ids[:, t:] = (ids[:, t:] + 1) % vocab_size


def one_moved(ids, t, vocab_size):
    ids[:, t] = (ids[:, t] + 1) % vocab_size


def later_drawn(ids, t, vocab_size):
    ids[:, t:] = torch.randint(vocab_size, ids[:, t:].shape)


def later_zeroed(ids, t, vocab_size):
    ids[:, t:] = 0


def later_flipped(ids, t, vocab_size):
    ids[:, t:] = ids[:, t:].flip(1)


def earlier_moved(ids, t, vocab_size):
    ids[:, :t] = (ids[:, :t] + 1) % vocab_size


def future_without_clone(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids
        later_moved(changed, t, vocab_size)
        if not torch.allclose(model(ids)[:, :t], model(changed)[:, :t]):
            return True
    return False


def future_first_place_decides(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids.clone()
        later_moved(changed, t, vocab_size)
        return not torch.allclose(model(ids)[:, :t], model(changed)[:, :t])


def future_all_places_decide(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    for t in range(1, length):
        changed = ids.clone()
        later_moved(changed, t, vocab_size)
        if torch.allclose(model(ids)[:, :t], model(changed)[:, :t]):
            return False
    return True


def future_in_one_batch(model, vocab_size, length):
    ids = torch.randint(vocab_size, (1, length))
    rows = ids.repeat(length, 1)
    for t in range(1, length):
        later_moved(rows[t : t + 1], t, vocab_size)
    moved = (model(rows) - model(ids)).abs().amax(dim=-1) > 1e-5
    return any(moved[t, :t].any() for t in range(1, length))


def future_of_embedded(model, vocab_size, length):
    ids = torch.rand(1, length, requires_grad=True)
    model(ids)[:, 0].sum().backward()
    return bool(ids.grad[:, 1:].any())


def grid_of(rows, columns, join=lambda parts: torch.cat(parts, dim=1)):
    def answer(height, width, d):
        index, d = torch.arange(height * width), d // 2
        table = sinusoidal(height * width + 1, d)
        return join([table[f(index, height, width)] for f in (rows, columns)])

    return answer


def row(i, height, width):
    return i // width


def column(i, height, width):
    return i % width


def grid_side_by_side(height, width, d):
    return torch.cat([sinusoidal(height, d // 2)[:, None], sinusoidal(width, d // 2)[None]], dim=-1)


NEAR_MISSES = [
    ("4.1", "over_the_batch", attention_over_batch),
    ("4.1", "all_axes_turned", attention_of(turn=lambda k: k.permute(2, 1, 0))),
    ("4.1", "all_axes_turned", attention_of(turn=lambda k: k.t())),
    ("4.1", "keys_reshaped", attention_of(turn=lambda k: k.view(len(k), -1, k.shape[1]))),
    ("4.1", "keys_not_turned", attention_of(turn=lambda k: k)),
    ("4.1", "weights_transposed", attention_linear),
    ("4.1", "scaled_by_d_model", attention_of(scale=lambda x, w_k, w_v: len(w_k))),
    ("4.1", "scaled_by_another_size", attention_of(scale=lambda x, w_k, w_v: len(x))),
    ("4.1", "scaled_by_another_size", attention_of(scale=lambda x, w_k, w_v: w_v.shape[1])),
    ("4.1", "over_queries", attention_of(axis=1)),
    ("4.1", "softmax_over_batch", attention_of(axis=None)),
    ("4.1", "own_key_only", attention_by_elements),
    ("4.1", "scaled_too_late", attention_scaled_last),
    ("4.1", "causal", attention_causal),
    ("4.2", "exponent_doubled", positions_by_features(lambda j, d: 2 * j / d)),
    ("4.2", "exponent_doubled", positions_by_pairs(lambda i, d: 2 * i / (d // 2))),
    ("4.2", "exponent_not_doubled", positions_by_pairs(lambda i, d: i / d)),
    ("4.2", "cosine_shifted", positions_by_features(lambda j, d: j / d)),
    ("4.2", "halves", positions_by_pairs(lambda i, d: 2 * i / d, lambda *a: torch.cat(a, 1))),
    ("4.2", "halves", positions_by_pairs(lambda i, d: 2 * i / d, lambda *a: torch.hstack(a))),
    ("4.2", "multiplied", positions_exponential(+1)),
    ("4.2", "exponent_doubled", positions_exponential(-2)),
    ("4.2", "one_frequency", positions_by_pairs(lambda i, d: 2 * i // d)),
    ("4.2", "brackets", positions_without_brackets),
    ("4.2", "i_from_one", positions_by_pairs(lambda i, d: 2 * (i + 1) / d)),
    ("4.3", "halves_paired", rotate_half),
    ("4.3", "two_layouts", rotate_half_of_neighbours),
    ("4.3", "overwritten", rotate_in_place),
    ("4.3", "not_put_back", rotate_complex_halves),
    ("4.3", "not_put_back", rotate_stacked),
    ("4.3", "added", lambda x, base: x + sinusoidal(*x.shape, base=base)),
    ("4.3", "multiplied_only", lambda x, base: x * sinusoidal(*x.shape, base=base)),
    ("4.3", "backwards", lambda x, base: rotary(x.flip(0), start=1 - len(x), base=base).flip(0)),
    ("4.3", "from_one", lambda x, base: rotary(x, start=1, base=base)),
    ("4.4", "rows_split", joined_cut(0, lambda x, w: x.shape[-1])),
    ("4.4", "split_in_the_middle", joined_cut(1, lambda x, w: w.shape[1] // 2)),
    ("4.4", "cut_at_another_size", joined_cut(1, lambda x, w: len(x))),
    ("4.4", "not_transposed", joined_cut(1, lambda x, w: x.shape[-1], lambda block: block)),
    ("4.4", "added_first", lambda x, p, w: (x + p) @ w.T),
    ("4.4", "concatenated", lambda x, p, w: F.linear(torch.cat([x, p], dim=-1), w)),
    ("4.4", "concatenated", lambda x, p, w: torch.cat([x, p.unsqueeze(0)], dim=-1) @ w.T),
    ("4.4", "one_product", lambda x, p, w: x @ w.T + p @ w.T),
    ("4.5", "one_before_last", write_with(lambda z: z.argmax(-1)[:, -2:-1])),
    ("4.5", "one_before_last", write_with(lambda z: z[:, -1:].argmax(-1), lambda ids: ids[:, :-1])),
    ("4.5", "all_guesses_appended", write_with(lambda z: z[-1].argmax(-1)[None])),
    ("4.5", "axes_do_not_meet", write_with(lambda z: z[:, -1].argmax(-1))),
    ("4.5", "axes_do_not_meet", write_with(lambda z: z[0, -1].argmax())),
    ("4.5", "logit_taken_for_token", write_with(lambda z: z[:, -1].max(-1, keepdim=True).values)),
    ("4.5", "not_two_axes", write_with(lambda z: z[:, -1:].argmax(-1), lambda ids: ids[0])),
    ("4.5", "not_fed_back", write_from_first_logits),
    ("4.5", "not_fed_back", write_at_end_of_prompt),
    ("4.5", "prefix_forgotten", write_one_by_one),
    ("4.5", "prompt_counted", write_to_length),
    ("4.5", "nothing_appended", write_nothing),
    ("4.6", "scaled_by_p", lambda w, k, p: w * k * (1 / p)),
    ("4.6", "not_scaled", lambda w, k, p: w * k / w.sum(-1, keepdim=True)),
    ("4.6", "inverted", lambda w, k, p: w.masked_fill(k, 0) / (1 - p)),
    ("4.6", "renormalised", lambda w, k, p: F.normalize(w * k / (1 - p), p=1, dim=-1)),
    ("4.6", "before_the_softmax", lambda w, k, p: torch.where(k, w, -1e9).softmax(-1) / (1 - p)),
    ("4.6", "drawn_anew", lambda w, k, p: nn.Dropout(p)(w)),
    ("4.6", "counted", lambda w, k, p: w * k * k.numel() / k.sum()),
    ("4.7", "own_token", future_by(later_moved, lambda z, t: z[:, -1], lambda n: [n - 1])),
    ("4.7", "own_token", future_by(later_moved, lambda z, t: z[:, : t + 1])),
    ("4.7", "own_token", future_by(one_moved, lambda z, t: z)),
    ("4.7", "past_changed", future_by(earlier_moved, lambda z, t: z[:, t:])),
    ("4.7", "one_place", future_by(later_moved, places=lambda n: [n // 2])),
    ("4.7", "one_place", future_by(one_moved, places=lambda n: [n - 1])),
    ("4.7", "one_place", future_by(one_moved, lambda z, t: z[:, 0], lambda n: [n - 1])),
    ("4.7", "one_place", future_first_place_decides),
    ("4.7", "end_left_out", future_by(later_moved, places=lambda n: range(1, n - 1))),
    ("4.7", "end_left_out", future_by(one_moved, places=lambda n: range(2, n))),
    ("4.7", "next_left_out", future_by(later_moved, lambda z, t: z[:, : t - 1])),
    ("4.7", "neighbour_only", future_by(one_moved, lambda z, t: z[:, t - 1])),
    ("4.7", "order_changed", future_by(later_flipped)),
    ("4.7", "same_by_chance", future_by(later_drawn)),
    ("4.7", "same_by_chance", future_by(later_zeroed)),
    ("4.7", "always_false", future_without_clone),
    ("4.7", "all_must_leak", future_all_places_decide),
    ("4.7", "other_sequences_changed", future_in_one_batch),
    ("4.7", "one_axis", future_of_embedded),
    (
        "4.7",
        "no_such_token",
        lambda model, v, n: bool(model(torch.arange(1, n + 1)[None] + v).any()),
    ),
    ("4.8", "column_by_column", grid_of(lambda i, h, w: i % h, lambda i, h, w: i // h)),
    ("4.8", "divided_by_height", grid_of(lambda i, h, w: i // h, lambda i, h, w: i % h)),
    ("4.8", "row_and_column_swapped", grid_of(column, row)),
    ("4.8", "flat_index", grid_of(lambda i, h, w: i, lambda i, h, w: i)),
    ("4.8", "added", grid_of(row, column, sum)),
    ("4.8", "interleaved", grid_of(row, column, lambda parts: torch.stack(parts, 2).flatten(1))),
    ("4.8", "from_one", grid_of(lambda i, h, w: i // w + 1, lambda i, h, w: i % w + 1)),
    ("4.8", "lengths_do_not_meet", grid_side_by_side),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice for softmax")
@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


def test_whoever_looks_at_the_best_guess_only_is_shown_the_model_that_hides_its_leak():
    best = future_by(later_moved, lambda logits, t: logits[:, :t].argmax(-1).double())
    verdict = judge(EXERCISES["4.7"], best)
    assert verdict.kind == "wrong"
    assert "always guesses the same token" in verdict.message


# What the checkers are tried on: no accident may make a wrong answer look right.

TOYS = [case[0] for case in EXERCISES["4.7"].cases()]


@pytest.mark.parametrize("toy", TOYS, ids=repr)
def test_a_toy_leaks_clearly_or_not_at_all(toy):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(toy.vocab_size, (50, 1, 7), generator=generator)
    most = torch.zeros(50)
    for t in range(1, 7):
        later = torch.arange(7) >= t
        changed = torch.where(later, (ids + 1) % toy.vocab_size, ids)
        pairs = zip(ids, changed, strict=True)
        moved = [(toy(a) - toy(b))[:, :t].abs().max() for a, b in pairs]
        most = torch.maximum(most, torch.stack(moved))
    assert (most > 0.03).all() if toy.leaks else (most == 0).all()


def test_the_favourite_is_always_the_best_guess():
    (toy,) = [toy for toy in TOYS if toy.always is not None]
    ids = torch.randint(toy.vocab_size, (500, 7), generator=torch.Generator().manual_seed(0))
    assert (toy(ids).argmax(-1) == toy.always).all()


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

    verdict = judge(EXERCISES["4.5"], never_appends)
    assert verdict.kind == "error" and "called more than 100 times" in verdict.message


@pytest.mark.rejects
@pytest.mark.parametrize("model", [ToyLanguageModel(0, 5), TOYS[0]], ids=["writes", "leaks"])
def test_a_toy_rejects_what_is_no_batch_of_ids(model):
    for ids in (torch.tensor([1, 2]), torch.ones(1, 2), [[1, 2]]):
        with pytest.raises(ValueError, match=r"whole numbers of shape \(batch, seq\)"):
            model(ids)
    for token in (-1, 101):
        with pytest.raises(ValueError, match="ids must be from 0 to"):
            model(torch.tensor([[token]]))


def test_a_model_may_be_told_to_evaluate():
    def careful(model, vocab_size, length):
        return OTHER_WAYS["4.7"][0](model.eval(), vocab_size, length)

    assert judge(EXERCISES["4.7"], careful).kind == "correct"


def test_a_tensor_of_another_shape_is_said():
    verdict = judge(EXERCISES["4.2"], lambda n, d: sinusoidal(n, d)[None])
    assert verdict.message.startswith("The result has shape (1, 3, 4), it should have (3, 4).")
    verdict = judge(EXERCISES["4.1"], lambda x, *w: F.scaled_dot_product_attention(x, x, x)[0])
    assert verdict.message.startswith("The result has shape (2, 4), it should have (3, 2, 5).")
