import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minattn.exercises.summarization.ex13_1_target_log_probs import EXERCISE

# Other right ways: loops, NumPy, torch's own, and what a careful learner might do differently.


def mixture_of_whole_vocabulary(logits, weights, gate, source, targets):
    """Write out the distribution over the extended vocabulary, in logarithms."""
    n = max(logits.shape[-1], int(source.max()) + 1)
    written = F.pad(
        logits.log_softmax(-1), (0, n - logits.shape[-1]), value=-torch.inf
    ) + F.logsigmoid(gate[..., None])
    copied = torch.zeros(*weights.shape[:2], n)
    copied = copied.scatter_add(-1, source[:, None].expand_as(weights), weights)
    copied = copied.log() + F.logsigmoid(-gate[..., None])
    return torch.logaddexp(written, copied).gather(-1, targets[..., None]).squeeze(-1)


def mixture_in_double(logits, weights, gate, source, targets):
    """Mix probabilities in float64, which reaches far enough."""
    shares, logits = gate.double(), logits.double()
    total = torch.zeros_like(shares)
    for b, ids in enumerate(targets.tolist()):
        for t, target in enumerate(ids):
            if target < logits.shape[-1]:
                total[b, t] += shares[b, t].sigmoid() * logits[b, t].softmax(-1)[target]
            for place, word in enumerate(source[b].tolist()):
                if word == target:
                    total[b, t] += (-shares[b, t]).sigmoid() * weights[b, t, place]
    return total.log()


def mixture_numpy(logits, weights, gate, source, targets):
    z, w, g, s, t = (x.numpy() for x in (logits, weights, gate, source, targets))
    z = z.astype(float)
    z = z - z.max(-1, keepdims=True)
    z = z - np.log(np.exp(z).sum(-1, keepdims=True))
    batch, time = np.indices(t.shape)
    written = np.where(
        t < z.shape[-1], z[batch, time, np.minimum(t, z.shape[-1] - 1)], -np.inf
    ) - np.logaddexp(0, -g)
    with np.errstate(divide="ignore"):
        copied = np.log((w * (s[:, None] == t[..., None])).sum(-1)) - np.logaddexp(0, g)
    return np.logaddexp(written, copied)


def mixture_by_logsumexp(logits, weights, gate, source, targets):
    """Take every place of the source as a way of its own."""
    ways = [
        (weights.log() + F.logsigmoid(-gate)[..., None]).masked_fill(
            source[:, None] != targets[..., None], -torch.inf
        )
    ]
    known = F.pad(logits.log_softmax(-1), (0, weights.shape[-1]), value=-torch.inf)
    ways.append(known.gather(-1, targets[..., None]) + F.logsigmoid(gate)[..., None])
    return torch.cat(ways, -1).logsumexp(-1)


def mixture_of_one_softmax(logits, weights, gate, source, targets):
    """Weigh both ways against each other as log weights, the gate as log odds."""
    zero = torch.zeros_like(gate)
    shares = torch.stack([gate, zero], -1).log_softmax(-1)
    one_hot = F.one_hot(targets, int(max(targets.max(), logits.shape[-1])) + 1)
    known = one_hot[..., : logits.shape[-1]].bool()
    written = logits.log_softmax(-1).masked_fill(~known, -torch.inf).amax(-1)
    copied = torch.einsum("bts,bts->bt", weights, (source[:, None] == targets[..., None]).float())
    return torch.stack([shares[..., 0] + written, shares[..., 1] + copied.log()]).logsumexp(0)


OTHER_WAYS = [
    mixture_of_whole_vocabulary,
    mixture_in_double,
    mixture_numpy,
    mixture_by_logsumexp,
    mixture_of_one_softmax,
]


# Wrong ways, written as a learner writes them.

RIGHT = """
def answer(logits, weights, gate, source, targets):
    vocab = logits.shape[-1]
    n = max(vocab, int(source.max()) + 1)
    log_vocab = F.pad(logits.log_softmax(-1), (0, n - vocab), value=-torch.inf)
    ids = source[:, None].expand_as(weights)
    p_copy = torch.zeros(*weights.shape[:2], n).scatter_add(-1, ids, weights)
    log_gen, log_rest = F.logsigmoid(gate)[..., None], F.logsigmoid(-gate)[..., None]
    log_p = torch.logaddexp(log_gen + log_vocab, log_rest + p_copy.log())
    return log_p.gather(-1, targets[..., None])[..., 0]
"""

PLAIN = """
def answer(logits, weights, gate, source, targets):
    vocab = logits.shape[-1]
    p_gen = gate.sigmoid()
    p_vocab = logits.softmax(-1).gather(-1, targets.clamp(max=vocab - 1)[..., None])[..., 0]
    p_vocab = p_vocab * (targets < vocab)
    p_copy = (weights * (source[:, None] == targets[..., None])).sum(-1)
    return (p_gen * p_vocab + (1 - p_gen) * p_copy).log()
"""


def changed(*pairs, text=RIGHT):
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    names = {"torch": torch, "F": F}
    exec(text, names)
    return names["answer"]


ADDED = "torch.logaddexp(log_gen + log_vocab, log_rest + p_copy.log())"
GUARDED = "p_gen * (p_vocab + 1e-12).log() + (1 - p_gen) * (p_copy + 1e-12).log()"

NEAR_MISSES = [
    ("log_of_zero", changed(text=PLAIN)),
    ("log_of_zero", changed((".log()", ".add(1e-12).log()"), text=PLAIN)),
    ("log_of_zero", changed((".log()", ".clamp(min=1e-10).log()"), text=PLAIN)),
    ("log_of_zero", changed(("(1 - p_gen)", "(-gate).sigmoid()"), text=PLAIN)),
    (
        "sum_of_logs",
        changed(("(p_gen * p_vocab + (1 - p_gen) * p_copy).log()", GUARDED), text=PLAIN),
    ),
    ("sum_of_logs", changed((ADDED, "log_gen + log_vocab + log_rest + p_copy.log()"))),
    ("gate_turned", changed(("log_gen, log_rest =", "log_rest, log_gen ="))),
    ("one_place_only", changed(("scatter_add", "scatter"))),
    ("softmax_missing", changed(("log_softmax(-1)", "log_softmax(1)"))),
    ("softmax_missing", changed((".log_softmax(-1)", ""))),
    (
        "clamped",
        changed(("(0, n - vocab), value=-torch.inf)", "(0, n - vocab), mode='replicate')")),
    ),
    ("either_or", changed((ADDED, ADDED.replace("logaddexp", "maximum")))),
]


# What is said, and what the checker is tried on.


@pytest.mark.parametrize("case", EXERCISE.cases(), ids=lambda case: str(tuple(case[0].shape)))
def test_weights_are_shares_and_none_lies_on_padding(case):
    _, weights, _, source, _ = case
    assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert not weights[(source == 0)[:, None].expand_as(weights)].any()


def test_every_target_has_a_way_and_each_kind_of_word_occurs():
    kinds = set()
    for logits, _, _, source, targets in EXERCISE.cases():
        times = (source[:, None] == targets[..., None]).sum(-1)
        known = targets < logits.shape[-1]
        assert (known | (times > 0)).all()
        kinds |= set(
            zip(known.flatten().tolist(), times.clamp(max=2).flatten().tolist(), strict=True)
        )
    assert kinds == {(True, 0), (True, 1), (True, 2), (False, 1), (False, 2)}


def test_one_can_train_on_the_solution():
    for logits, weights, gate, source, targets in EXERCISE.cases():
        learned = [x.clone().requires_grad_() for x in (logits, weights, gate)]
        EXERCISE.solution(*learned, source, targets).sum().backward()
        assert all(x.grad.isfinite().all() for x in learned)


def test_probabilities_of_all_words_sum_to_one():
    logits, weights, gate, source, targets = EXERCISE.cases()[1]
    n = int(source.max()) + 1
    everything = [
        EXERCISE.solution(logits, weights, gate, source, torch.full_like(targets, i)).exp()
        for i in range(n)
    ]
    assert torch.allclose(sum(everything), torch.ones_like(gate), atol=1e-6)
