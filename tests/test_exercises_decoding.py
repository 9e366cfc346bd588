"""The checkers of chapter 7, second half: right answers however written, and wrong ones as learners write them."""

import copy
import heapq
import math
import random
import re
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.core import judge
from minattn.exercises.decoding import EXERCISES as CHAPTER
from minattn.exercises.decoding import make_dates, next_token_probabilities
from minattn.tasks import Example, Task
from minattn.vocabulary import Vocabulary

EXERCISES = {exercise.number: exercise for exercise in CHAPTER}


# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def beams_loop(log_probs, steps):
    found = [
        (log_probs[b] + steps[b, t], b, t)
        for b in range(steps.shape[0])
        for t in range(steps.shape[1])
    ]
    found.sort(key=lambda triple: -triple[0])
    totals, parents, tokens = zip(*found[: len(log_probs)], strict=True)
    return torch.stack(totals), torch.tensor(parents), torch.tensor(tokens)


def beams_numpy(log_probs, steps):
    totals = log_probs.numpy()[:, None] + steps.numpy()
    chosen = np.argsort(-totals, axis=None)[: len(log_probs)]
    parents, tokens = np.unravel_index(chosen, totals.shape)
    return totals[parents, tokens], parents, tokens


def beams_two_stages(log_probs, steps):
    """Take the best tokens of every beam first: no beam can have more than that many children."""
    n = len(log_probs)
    best, tokens = steps.log_softmax(-1).topk(min(n, steps.shape[1]))
    totals, chosen = torch.topk((best + log_probs.unsqueeze(1)).view(-1), n)
    parents = torch.div(chosen, best.shape[1], rounding_mode="floor")
    return [totals, parents, tokens.view(-1)[chosen]]


def beams_heap(log_probs, steps):
    totals = (log_probs[:, None] + steps).tolist()
    pairs = [(b, t) for b, row in enumerate(totals) for t in range(len(row))]
    best = heapq.nlargest(len(totals), pairs, key=lambda pair: totals[pair[0]][pair[1]])
    parents, tokens = torch.tensor(best).T
    return torch.tensor([totals[b][t] for b, t in best]), parents, tokens


def penalty_loop(log_probs, lengths, alpha):
    scores = [
        float(p) / math.pow((5 + int(n)) / 6, alpha)
        for p, n in zip(log_probs, lengths, strict=True)
    ]
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return torch.tensor(scores), torch.tensor(order)


def penalty_as_in_the_paper(log_probs, lengths, alpha):
    penalty = (5 + lengths) ** alpha / (5 + 1) ** alpha
    scores = log_probs / penalty
    return scores, torch.argsort(-scores)


def penalty_multiplied_by_the_inverse(log_probs, lengths, alpha):
    scores = log_probs.numpy() * ((5 + lengths.numpy()) / 6) ** -alpha
    return scores, np.argsort(-scores)


def penalty_by_sort(log_probs, lengths, alpha):
    scores = log_probs / torch.exp(alpha * torch.log((5 + lengths) / 6))
    return [scores, scores.sort(descending=True).indices]


def nucleus_loop(logits, temperature, top_p):
    out = torch.zeros(len(logits))
    if temperature == 0:
        out[logits.argmax()] = 1
        return out
    p = [math.exp(z / temperature) for z in logits.tolist()]
    p = [q / sum(p) for q in p]
    together = 0.0
    for token in sorted(range(len(p)), key=lambda token: -p[token]):
        if together >= top_p:
            break
        out[token] = p[token]
        together += p[token]
    return out / together


def nucleus_shifted(logits, temperature, top_p):
    """Mark what is to go, and shift the marks by one."""
    logits = logits.clone()
    if temperature == 0:
        return torch.eye(len(logits))[logits.argmax()]
    logits /= temperature
    ordered, order = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) >= top_p
    remove[1:] = remove[:-1].clone()
    remove[0] = False
    logits[order[remove]] = -math.inf
    return logits.softmax(-1)


def nucleus_upwards(logits, temperature, top_p):
    """Drop the unlikely ones, as long as they have no more than 1 - p together."""
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits))
    p, order = (logits / temperature).softmax(-1).sort()
    keep = p.cumsum(-1) > 1 - top_p
    out = torch.zeros_like(p).scatter(0, order, p * keep)
    return out / out.sum()


def nucleus_very_cold(logits, temperature, top_p):
    return next_token_probabilities(logits, max(temperature, 1e-6), top_p)


def nucleus_powers(logits, temperature, top_p):
    """Raise probabilities to a power, which is the same as dividing logits."""
    if not temperature:
        return (logits == logits.max()).float()
    p = logits.double().softmax(-1) ** (1 / temperature)
    p /= p.sum()
    before = torch.stack([p[p > q].sum() for q in p])
    return torch.where(before < top_p, p, 0.0) / p[before < top_p].sum()


def cache_fused(x, k, v, w_q, w_k, w_v):
    k, v = torch.cat((k, x @ w_k), -2), torch.cat((v, x @ w_v), -2)
    return F.scaled_dot_product_attention(x @ w_q, k, v), k, v


def cache_whole(x, k, v, w_q, w_k, w_v):
    """Attend with a causal mask and a query for every token, and take the last row."""
    k, v = torch.cat([k, x @ w_k], dim=1), torch.cat([v, x @ w_v], dim=1)
    queries = F.pad(x @ w_q, (0, 0, k.shape[1] - 1, 0))
    return F.scaled_dot_product_attention(queries, k, v, is_causal=True)[:, -1:], k, v


def cache_loop(x, k, v, w_q, w_k, w_v):
    outputs, keys, values = [], [], []
    for x_i, k_i, v_i in zip(x, k, v, strict=True):
        k_i, v_i = torch.vstack([k_i, x_i @ w_k]), torch.vstack([v_i, x_i @ w_v])
        scores = torch.stack([(x_i[0] @ w_q) @ key for key in k_i]) / len(w_k) ** 0.5
        outputs.append((scores.softmax(0)[:, None] * v_i).sum(0, keepdim=True))
        keys.append(k_i)
        values.append(v_i)
    return torch.stack(outputs), torch.stack(keys), torch.stack(values)


def cache_einsum(x, k, v, w_q, w_k, w_v):
    k = torch.cat([k, torch.einsum("bsi,io->bso", x, w_k)], 1)
    v = torch.cat([v, torch.einsum("bsi,io->bso", x, w_v)], 1)
    scores = torch.einsum("bqd,bkd->bqk", x @ w_q, k) * k.size(-1) ** -0.5
    return torch.einsum("bqk,bkd->bqd", F.softmax(scores, -1), v), k, v


def cache_buffer(x, k, v, w_q, w_k, w_v):
    """Make room first and write the newest at its place."""
    n = k.shape[1]
    k, v = (F.pad(cache, (0, 0, 0, 1)) for cache in (k, v))
    k[:, n:], v[:, n:] = x @ w_k, x @ w_v
    mask = (torch.arange(n + 1) <= n)[None]
    return F.scaled_dot_product_attention(x @ w_q, k, v, attn_mask=mask), k, v


def all_days():
    first = date(1950, 1, 1)
    return [first + timedelta(days) for days in range((date(2050, 1, 1) - first).days)]


def dates_by_spaces(locale, n, seed):
    from babel.dates import format_date

    days = all_days()
    random.Random(seed).shuffle(days)
    pairs = [(format_date(day, format="full", locale=locale).split(), str(day)) for day in days]
    words = Vocabulary(sorted({word for source, _ in pairs for word in source}))
    examples = [
        Example(tuple(source), tuple(target), (None,) * 10, len(source))
        for source, target in pairs[: n + n // 10]
    ]
    return Task("dates", words, Vocabulary("0123456789-"), tuple(examples[:n]), tuple(examples[n:]))


def dates_in_characters(locale, n, seed):
    """Cut both sides into characters, with one vocabulary for the two."""
    from babel.dates import format_date

    generator = torch.Generator().manual_seed(seed)
    days = all_days()
    chosen = torch.randperm(len(days), generator=generator)[: n + n // 10]
    examples = []
    for i in chosen.tolist():
        text = format_date(days[i], "long", locale=locale).lower()
        examples.append(Example(list(text), list(days[i].isoformat()), [None] * 10, 1))
    tokens = Vocabulary(token for example in examples for token in example.source + example.target)
    return Task("dates", tokens, tokens, examples[: -(n // 10)], examples[-(n // 10) :])


def dates_in_both_styles(locale, n, seed):
    """Draw again whatever is there already; write dates now long, now full, without signs."""
    from babel.dates import format_date

    rng = np.random.default_rng(seed)
    days = {}
    while len(days) < n + n // 10:
        day = date(1950, 1, 1) + timedelta(int(rng.integers(36525)))
        days[day] = None
    examples = []
    for day in days:
        text = format_date(day, ["long", "full"][rng.integers(2)], locale)
        words = tuple(text.replace(",", " ").replace(".", " ").split())
        examples.append(Example(words, tuple(day.strftime("%Y-%m-%d")), (None,) * 10, len(words)))
    source = Vocabulary([token for example in examples for token in example.source])
    target = Vocabulary([token for example in examples for token in example.target])
    return Task(f"dates {locale}", source, target, tuple(examples[:n]), tuple(examples[n:]))


OTHER_WAYS = {
    "7.5": [beams_loop, beams_numpy, beams_two_stages, beams_heap],
    "7.6": [
        penalty_loop,
        penalty_as_in_the_paper,
        penalty_multiplied_by_the_inverse,
        penalty_by_sort,
    ],
    "7.7": [nucleus_loop, nucleus_shifted, nucleus_upwards, nucleus_very_cold, nucleus_powers],
    "7.8": [cache_fused, cache_whole, cache_loop, cache_einsum, cache_buffer],
    "7.9": [dates_by_spaces, dates_in_characters, dates_in_both_styles],
}


# Written as a learner writes them.


def beams_per_row(log_probs, steps):
    values, tokens = steps.max(dim=-1)
    return log_probs + values, torch.arange(len(log_probs)), tokens


def beams_row_by_row(log_probs, steps):
    n = len(log_probs)
    values, _ = (log_probs[:, None] + steps).topk(min(n, steps.shape[1]), dim=1)
    totals, chosen = values.flatten().topk(n)
    return totals, chosen // values.shape[1], chosen % values.shape[1]


def beams_sorted_rows(log_probs, steps):
    """Sort all rows, and take the numbers of the sorted table."""
    table = (log_probs[:, None] + steps).sort(dim=1, descending=True).values
    totals, chosen = table.flatten().topk(len(log_probs))
    return totals, chosen // steps.shape[1], chosen % steps.shape[1]


def beams_in_columns(log_probs, steps):
    table = log_probs + steps.T
    totals, chosen = table.reshape(-1).topk(len(log_probs))
    return totals, chosen // steps.shape[1], chosen % steps.shape[1]


def beams_of_the_first(log_probs, steps):
    totals, chosen = (log_probs + steps.T).T.flatten().sort(descending=True)
    n = len(log_probs)
    return totals[:n], chosen[:n] % steps.shape[1], chosen[:n] // steps.shape[1]


def nucleus_masked(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    ordered, order = (logits / temperature).sort(descending=True)
    ordered[ordered.softmax(-1).cumsum(-1) > top_p] = -math.inf
    return torch.zeros_like(logits).scatter(0, order, ordered.softmax(-1))


def nucleus_gathered(logits, temperature, top_p):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    p, order = (logits / temperature).softmax(-1).sort(descending=True)
    p = torch.where(p.cumsum(-1) - p < top_p, p, 0)
    return (p / p.sum()).gather(0, order)


def cache_attended_first(x, k, v, w_q, w_k, w_v):
    output = F.scaled_dot_product_attention(x @ w_q, k, v)
    return output, torch.cat([k, x @ w_k], 1), torch.cat([v, x @ w_v], 1)


def cache_in_a_pair(x, k, v, w_q, w_k, w_v):
    output, *cache = cache_fused(x, k, v, w_q, w_k, w_v)
    return output, tuple(cache)


def cache_tril(x, k, v, w_q, w_k, w_v):
    k, v = torch.cat([k, x @ w_k], 1), torch.cat([v, x @ w_v], 1)
    scores = x @ w_q @ k.mT / math.sqrt(k.shape[-1])
    mask = torch.ones(scores.shape[1:]).tril() == 0
    return scores.masked_fill(mask, -math.inf).softmax(-1) @ v, k, v


def changed_task(change):
    return lambda locale, n, seed: change(make_dates(locale, n, seed))


def with_alignment(task):
    first = replace(task.train[0], alignment=(0, *[None] * 9))
    return replace(task, train=(first, *task.train[1:]))


NEAR_MISSES = [
    ("7.5", "one_child_each", beams_per_row),
    ("7.5", "swapped", beams_of_the_first),
    ("7.5", "column_taken_for_token", beams_row_by_row),
    ("7.5", "column_taken_for_token", beams_sorted_rows),
    ("7.5", "transposed_table", beams_in_columns),
    ("7.7", "nothing_left", nucleus_masked),
    ("7.7", "put_back_the_wrong_way", nucleus_gathered),
    ("7.8", "cannot_see_itself", cache_attended_first),
    ("7.8", "mask_at_the_top_left", cache_tril),
    ("7.8", "nested", cache_in_a_pair),
    ("7.9", "nothing_held_out", changed_task(lambda task: replace(task, held_out=()))),
    ("7.9", "alignment_guessed", changed_task(with_alignment)),
    ("7.9", "seed_ignored", lambda locale, n, seed: make_dates(locale, n, 5)),
    ("7.9", "another_locale", lambda locale, n, seed: make_dates("fr", n, seed)),
    ("7.9", "english", lambda locale, n, seed: make_dates("en_GB", n, seed)),
    ("7.9", "other_counts", lambda locale, n, seed: make_dates(locale, n - 1, seed)),
    (
        "7.9",
        "seen_in_training",
        changed_task(lambda task: replace(task, held_out=(task.train[3], *task.held_out[1:]))),
    ),
]


@pytest.mark.parametrize(("number", "name", "answer"), NEAR_MISSES)
def test_a_near_miss_is_named(number, name, answer):
    verdict = judge(EXERCISES[number], answer)
    known = {mistake.name: mistake.message for mistake in EXERCISES[number].mistakes}
    assert (verdict.kind, verdict.mistake, verdict.message) == ("mistake", name, known[name])


# What the checkers are tried on: no accident may make a wrong answer look right.


def parts(result):
    """Return the tensors of a result."""
    results = result if isinstance(result, list | tuple) else [result]
    return [torch.as_tensor(part) for part in results]


@pytest.mark.parametrize("number", ["7.5", "7.6", "7.7", "7.8"])
def test_mistakes_are_told_apart_by_more_than_rounding(number):
    exercise = EXERCISES[number]
    cases = exercise.cases()
    for mistake in exercise.mistakes:
        for wrong in mistake.answers:
            most = 0.0
            for case in cases:
                right = parts(exercise.solution(*case))
                try:
                    got = parts(wrong(*copy.deepcopy(case)))
                except (ValueError, RuntimeError, TypeError, IndexError):
                    most = math.inf
                    continue
                alike = [part.shape for part in got] == [part.shape for part in right]
                for x, y in zip(got, right, strict=True) if alike else []:
                    apart = (x - y).double().abs().nan_to_num(posinf=math.inf)
                    most = max(
                        most, float(apart.masked_fill(x == y, 0).max()), float(x.isnan().any())
                    )
                most = most if alike else math.inf
            assert most > 30 * exercise.tolerance, mistake.name


def test_totals_and_scores_differ_by_more_than_rounding():
    for log_probs, steps in EXERCISES["7.5"].cases():
        totals = (log_probs[:, None] + steps).flatten().sort(descending=True).values
        totals = totals[totals > -math.inf]
        assert totals[: len(log_probs) + 1].diff().max() < -1e-3
    for case in EXERCISES["7.6"].cases():
        scores, order = EXERCISES["7.6"].solution(*case)
        assert scores[order].diff().max() < -0.01


def test_some_parent_has_two_children_and_some_has_none():
    for case in EXERCISES["7.5"].cases():
        _, parents, _ = EXERCISES["7.5"].solution(*case)
        assert len(parents.unique()) < len(parents)


def test_no_sum_of_probabilities_is_close_to_p():
    n_kept = []
    for logits, temperature, p in EXERCISES["7.7"].cases():
        if temperature:
            sums = (logits / temperature).softmax(-1).sort(descending=True).values.cumsum(-1)
            assert (sums[:-1] - p).abs().min() > 0.01
            n_kept.append(int((sums < p).sum()) + 1 if p < 1 else len(logits))
    assert 1 in n_kept and len(set(n_kept)) > 3


def test_a_cache_changed_in_place_is_noticed():
    def grown_in_place(x, k, v, w_q, w_k, w_v):
        output, keys, values = EXERCISES["7.8"].solution(x, k, v, w_q, w_k, w_v)
        k.set_(keys)
        v.set_(values)
        return output, k, v

    verdict = judge(EXERCISES["7.8"], grown_in_place)
    assert verdict.kind == "wrong" and "the input was changed" in verdict.message


# What is said of nested tensors.


@pytest.mark.parametrize(
    ("nest", "form"),
    [
        (lambda out, k, v: (out, (k, v)), "(tensor, (tensor, tensor))"),
        (lambda out, k, v: ((out + 1, [k, v]),), "((tensor, (tensor, tensor)))"),
        (lambda out, k, v: [[out], [k], [v]], "((tensor), (tensor), (tensor))"),
    ],
)
def test_nested_tensors_are_told_whatever_their_numbers(nest, form):
    verdict = judge(EXERCISES["7.8"], lambda *case: nest(*cache_fused(*case)))
    assert verdict.mistake == "nested"
    assert verdict.message.startswith(
        "You put tensors together in a tuple of their own. Return three tensors: the output, the keys, "
        "the values."
    )
    assert f"It is {form}, and should be (tensor, tensor, tensor)." in verdict.where


@pytest.mark.parametrize(
    "answer", [lambda *case: case[:2], lambda *case: (case[0], (case[1], 3)), lambda *case: case]
)
def test_what_is_not_three_tensors_is_not_called_nested(answer):
    verdict = judge(EXERCISES["7.8"], answer)
    assert (verdict.kind, verdict.where) == ("wrong", "")


# What is said of a task beyond the name of the mistake.

SPOILED = [
    (
        lambda task: replace(task, held_out=task.train[:6]),
        r"For instance \d{4}-\d\d-\d\d is in both\.",
    ),
    (
        lambda task: replace(task, source=Vocabulary("ab")),
        r"'[^']+' is in a source, and not in the vocabulary of the sources\.",
    ),
    (lambda task: replace(task, held_out=()), r"train has 60 examples, held_out 0\."),
]


@pytest.mark.parametrize(("spoil", "where"), SPOILED)
def test_an_example_of_what_is_wrong_with_a_task_is_shown(spoil, where):
    got = judge(EXERCISES["7.9"], changed_task(spoil)).where
    assert re.fullmatch(where, got), got


def first_replaced(**changes):
    return changed_task(
        lambda task: replace(task, train=(replace(task.train[0], **changes), *task.train[1:]))
    )


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (changed_task(lambda task: task.train), "no Task, but something of type tuple"),
        (changed_task(lambda task: replace(task, train=3)), "a Task that cannot be read"),
        (first_replaced(length=0), "a length that is no number of tokens: 0"),
        (
            first_replaced(source=("x",)),
            "an example that does not fit: The source 'x' does not say",
        ),
        (first_replaced(target=tuple("2026-02-30")), "'2026-02-30' is no ISO date."),
    ],
)
def test_an_unknown_fault_of_a_task_is_told(answer, got, unchecked):
    verdict = judge(EXERCISES["7.9"], answer)
    assert verdict.kind == "wrong" and got in verdict.message, verdict.message


@pytest.mark.rejects
def test_a_missing_babel_is_no_verdict(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package babel.*pip install babel"):
        judge(EXERCISES["7.9"], make_dates)
