"""Checkers of chapter 2: kernel regression, weights, scores, and attention that only looks like it."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.alignment import entropy, gaussian_scores, masked_softmax
from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers

SUM_TO_ONE = Law(
    "the weights of a query sum to 1",
    lambda out, *case: torch.allclose(out.sum(-1), torch.ones(out.shape[:-1]), atol=1e-4),
)
NOT_NEGATIVE = Law("no weight is negative", lambda out, *case: bool((out >= 0).all()))

# 2.1 -------------------------------------------------------------------------------------------------


def kernel_regression(query: Tensor, key: Tensor, value: Tensor, bandwidth: float) -> Tensor:
    """Predict at every query by an average of the values, nearer keys weighing more."""
    scores = gaussian_scores(query[:, None], key[:, None], bandwidth)
    return scores.softmax(dim=-1) @ value


def _kernel(query: Tensor, key: Tensor, bandwidth: float) -> Tensor:
    return (-(query[:, None] - key).square() / (2 * bandwidth**2)).exp()


def _average(kernel: Tensor, value: Tensor) -> Tensor:
    return (kernel @ value) / kernel.sum(1)


def _kernel_cases() -> list[Case]:
    query, key = torch.tensor([0.5, 1.5]), torch.tensor([0.0, 1.0, 2.5])
    return [
        (query, key, torch.tensor([1.0, 3.0, -2.0]), 0.8),
        (numbers(101, 3), numbers(102, 5), numbers(103, 5), 0.6),
        (numbers(104, 7), numbers(105, 2), numbers(106, 2), 1.7),
    ]


def _distance(query: Tensor, key: Tensor) -> Tensor:
    return query[:, None] - key


KERNEL = Exercise(
    number="2.1",
    title="Kernel regression",
    solution=kernel_regression,
    cases=_kernel_cases,
    mistakes=[
        Mistake(
            "not_normalised",
            lambda q, k, v, b: _kernel(q, k, b) @ v,
            "The weights are not divided by their sum. The prediction then grows with the number of "
            "known points that are near, whatever their values. An average of equal values must "
            "give that value.",
            also=[lambda q, k, v, b: _kernel(q, k, b) @ v / (b * math.sqrt(2 * math.pi))],
        ),
        Mistake(
            "normalised_over_queries",
            lambda q, k, v, b: (_kernel(q, k, b) / _kernel(q, k, b).sum(0)) @ v,
            "The weights sum to 1 over the queries. Then the prediction at one point changes when you ask "
            "about another one too. Each query shares out its own weight among the keys: which axis is "
            "that?",
        ),
        Mistake(
            "one_sum",
            lambda q, k, v, b: _kernel(q, k, b) @ v / _kernel(q, k, b).sum(),
            "All weights are divided by one sum over queries and keys. Asking for more predictions then "
            "makes each of them smaller. Give each query a sum of its own.",
        ),
        Mistake(
            "paired",
            lambda q, k, v, b: (-((q - k) ** 2) / (2 * b**2)).softmax(0) @ v,
            "This pairs the first query with the first key, the second with the second, and so on. "
            "Every query has to meet every key, in a table of (queries, keys). Give query a second axis "
            "first: what is the shape of query[:, None] - key?",
        ),
        Mistake(
            "distance_not_squared",
            lambda q, k, v, b: _average((-_distance(q, k).abs() / (2 * b**2)).exp(), v),
            "The distance is not squared. That is a kernel too, but with a sharp peak at every key; "
            "the Gaussian one is flat there. Compare your exponent with the formula.",
        ),
        Mistake(
            "sign",
            lambda q, k, v, b: _average((_distance(q, k).square() / (2 * b**2)).exp(), v),
            "The farthest key gets the largest weight: the minus in the exponent is missing. Try a query "
            "that lies right on a key and look at the weights.",
        ),
        Mistake(
            "signed_distance",
            lambda q, k, v, b: _average((-_distance(q, k) / (2 * b**2)).exp(), v),
            "The exponent has the difference with its sign, so a key on one side counts as nearer than "
            "the query itself. A distance is never negative. What does the formula do with the "
            "difference?",
            also=[lambda q, k, v, b: _average((_distance(q, k) / (2 * b**2)).exp(), v)],
        ),
        Mistake(
            "bandwidth_not_squared",
            lambda q, k, v, b: _average((-_distance(q, k).square() / (2 * b)).exp(), v),
            "The bandwidth is not squared. The distance is, so both have to be: the exponent must not "
            "change when query, key and bandwidth are all given in centimetres instead of metres.",
        ),
        Mistake(
            "no_two",
            lambda q, k, v, b: _average((-_distance(q, k).square() / b**2).exp(), v),
            "The factor 2 below the fraction is missing, so the kernel is narrower than the bandwidth "
            "says. Compare your exponent with the formula.",
        ),
        Mistake(
            "two_not_below",
            lambda q, k, v, b: _average((-_distance(q, k).square() / 2 * b**2).exp(), v),
            "A larger bandwidth makes your kernel narrower. In Python a / 2 * b**2 is (a / 2) * b**2: "
            "look at what is really divided.",
        ),
        Mistake(
            "nearest_only",
            lambda q, k, v, b: v[_distance(q, k).abs().argmin(1)],
            "This takes the value of the nearest key only. The prediction then jumps half-way between "
            "two keys, and the bandwidth plays no part. Every key should have its share.",
        ),
        Mistake(
            "keys_averaged",
            lambda q, k, v, b: _average(_kernel(q, k, b), k),
            "This averages the keys. A key is where something was observed; the value is what was. "
            "Which of them should come out?",
        ),
        Mistake(
            "weights_returned",
            lambda q, k, v, b: _kernel(q, k, b) / _kernel(q, k, b).sum(1, keepdim=True),
            "These are the weights, one row for each query, and they are right. The prediction is what "
            "one gets by averaging the values with them.",
        ),
    ],
    laws=[
        Law(
            "an average lies between the smallest and the largest value",
            lambda out, q, k, v, b: bool(((out >= v.min() - 1e-4) & (out <= v.max() + 1e-4)).all()),
        ),
    ],
)

# 2.2 -------------------------------------------------------------------------------------------------


def weights_from_scores(scores: Tensor) -> Tensor:
    """Turn scores, shape (batch, queries, keys), into weights."""
    return scores.softmax(dim=-1)


def _by_hand(scores: Tensor) -> Tensor:
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def _by_one_maximum(scores: Tensor, epsilon: float = 0.0) -> Tensor:
    powers = (scores - scores.max()).exp()
    return powers / (powers.sum(-1, keepdim=True) + epsilon)


AXIS = Exercise(
    number="2.2",
    title="The softmax axis",
    solution=weights_from_scores,
    cases=lambda: [
        (numbers(110, 1, 2, 3),),
        (numbers(111, 2, 3, 5),),
        (numbers(112, 3, 7, 2),),
        (numbers(113, 2, 3, 5) + 1000,),
        (torch.tensor([[[1000.0, 999.0], [0.0, 1.0]]]),),
    ],
    mistakes=[
        Mistake(
            "over_queries",
            lambda s: s.softmax(1),
            "The softmax runs over the queries: here the queries compete for a key. This trains without "
            "any error, which makes it hard to find. One query asks, and the keys compete for "
            "its weight. Which axis is that?",
        ),
        Mistake(
            "over_batch",
            lambda s: s.softmax(0),
            "The softmax runs over the batch, so the weights of one sentence depend on the others in its "
            "batch. F.softmax does this to a tensor of three axes if no dim is given.",
        ),
        Mistake(
            "over_queries_and_keys",
            lambda s: s.flatten(1).softmax(-1).view(s.shape),
            "Here all weights of a sentence sum to 1 together, so a query gets less when there are more "
            "queries. Each query has a whole weight of 1 to share out.",
        ),
        Mistake(
            "over_all",
            lambda s: s.flatten().softmax(0).view(s.shape),
            "One sum for the whole tensor: all weights of all sentences sum to 1 together. Look at the "
            "arguments of sum, and give each query a sum of its own.",
            also=[lambda s: s.exp() / s.exp().sum()],
        ),
        Mistake(
            "overflow",
            _by_hand,
            "The formula is right, but exp(1000) is infinite, and infinite by infinite is NaN. Only "
            "differences between scores matter. Which number can you subtract from all scores of a query, "
            "so that no exponent is above 0?",
        ),
        Mistake(
            "one_maximum",
            _by_one_maximum,
            "One number, the largest of all scores, is subtracted everywhere. If all scores of a query "
            "lie far below it, each of its exponentials is 0, and nothing is left to share out. Every "
            "query has a largest score of its own: look at the axis of max.",
            also=[lambda s: _by_one_maximum(s, 1e-9)],
        ),
        Mistake(
            "no_keepdim",
            lambda s: s.exp() / s.exp().sum(-1),
            "The sums have lost the axis of the keys, so they do not line up with the scores any more. "
            "Look up keepdim in the documentation of sum.",
        ),
        Mistake(
            "no_exp",
            lambda s: s / s.sum(-1, keepdim=True),
            "The scores are divided by their sum without an exponential. Scores may be negative, and then "
            "a weight is negative too.",
        ),
        Mistake(
            "sigmoid",
            lambda s: s.sigmoid(),
            "This is a sigmoid of each score by itself. The keys do not compete, and the weights of a "
            "query sum to anything. An average needs weights that sum to 1.",
        ),
        Mistake(
            "log",
            lambda s: s.log_softmax(-1),
            "These are the logarithms of the weights, as log_softmax gives them for a loss. Weights lie "
            "between 0 and 1.",
        ),
    ],
    laws=[
        NOT_NEGATIVE,
        SUM_TO_ONE,
        Law(
            "a larger score gets a larger weight",
            lambda out, s: torch.equal(out.argsort(-1), s.argsort(-1)),
        ),
    ],
)

# 2.3 -------------------------------------------------------------------------------------------------

INF = math.inf


def masked_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Turn scores into weights where the mask is True; a query with nothing allowed gets zeros."""
    return masked_softmax(scores, mask)


def _indexed(scores: Tensor, mask: Tensor) -> Tensor:
    filled = scores.clone()
    filled[~mask] = -INF
    return filled.softmax(-1).nan_to_num()


def _blind_by_index(scores: Tensor, mask: Tensor) -> Tensor:
    weights = scores.masked_fill(~mask, -INF).softmax(-1)
    weights[~mask.any(-1)] = 0.0
    return weights


def _masked_late(scores: Tensor, mask: Tensor, epsilon: float = 0.0) -> Tensor:
    weights = scores.softmax(-1) * mask
    return weights / (weights.sum(-1, keepdim=True) + epsilon)


def _masked_powers(scores: Tensor, mask: Tensor, epsilon: float = 0.0) -> Tensor:
    powers = scores.exp() * mask
    return powers / (powers.sum(-1, keepdim=True) + epsilon)


def _sees(mask: Tensor) -> Tensor:
    return mask.any(-1, keepdim=True)


def _mask_cases() -> list[Case]:
    t, f = True, False
    some = numbers(123, 2, 3, 5) > -0.5
    some[:, :, 1] = True
    large = torch.tensor([[[0.5, 200.0, -1.0], [1.0, -0.5, 0.0]]])
    blind = torch.tensor([[[f, f, f], [t, f, t]]])
    return [
        (numbers(120, 1, 2, 3), torch.tensor([[[t, f, t], [t, t, f]]])),
        (numbers(122, 2, 3, 5), some),
        (numbers(124, 2, 5, 3), torch.tensor([[[t, t, f]], [[f, t, t]]])),
        (large, torch.tensor([[[t, f, t], [t, t, f]]])),
        (numbers(126, 1, 2, 3), blind),
    ]


def _blind_rows_are_zero(out: Tensor, scores: Tensor, mask: Tensor) -> bool:
    blind = ~mask.any(-1).expand(out.shape[:-1])
    return bool((out[blind] == 0).all())


def _seeing_rows_sum_to_one(out: Tensor, scores: Tensor, mask: Tensor) -> bool:
    sees = mask.any(-1).expand(out.shape[:-1])
    return torch.allclose(out.sum(-1)[sees], torch.ones(int(sees.sum())), atol=1e-4)


MASKED = Exercise(
    number="2.3",
    title="Masked weights",
    solution=masked_weights,
    cases=_mask_cases,
    mistakes=[
        Mistake(
            "mask_inverted",
            lambda s, m: s.masked_fill(m, -INF).softmax(-1),
            "The mask is taken the wrong way round: what may be looked at gets nothing. Here True means "
            "that a query may look. masked_fill fills where its mask is True, which is not the same "
            "thing.",
            also=[
                lambda s, m: masked_softmax(s, ~m),
                lambda s, m: s.masked_fill(m, -1e9).softmax(-1),
                lambda s, m: s.softmax(-1) * ~m,
            ],
        ),
        Mistake(
            "scores_zeroed",
            lambda s, m: (s * m).softmax(-1),
            "The forbidden scores became 0. A score of 0 is not small: exp(0) is 1, and it may even beat "
            "an allowed score below 0. Which score gives exactly no weight? (Filling with 1e-9 instead "
            "of -1e9 looks the same.)",
            also=[lambda s, m: (s * m).softmax(-1) * m],
        ),
        Mistake(
            "not_renormalised",
            lambda s, m: s.softmax(-1) * m,
            "The mask comes after the softmax, and nothing is shared out again. The forbidden keys have "
            "already taken their part, so the weights of a query sum to less than 1. Let the mask act on "
            "the scores, before they compete.",
        ),
        Mistake(
            "masked_too_late",
            _masked_late,
            "The mask comes too late: a forbidden score of 200 spoils its row. After a softmax it has all "
            "the weight, and the others are 0 in single precision: nothing is left to share out. After "
            "exp alone it is infinite, and infinite times 0 is NaN. Let the mask act on the scores.",
            also=[
                lambda s, m: _masked_late(s, m, 1e-9),
                lambda s, m: torch.where(_sees(m), _masked_late(s, m), 0.0),
                lambda s, m: _masked_powers(s, m),
                lambda s, m: _masked_powers(s, m, 1e-9),
            ],
        ),
        Mistake(
            "nan_everywhere",
            lambda s, m: (s + ~m * -INF).softmax(-1),
            "Every weight is NaN: 0 times infinity is not 0 but NaN, so multiplying a mask with -inf "
            "spoils the allowed scores. Choose between two values instead of multiplying.",
        ),
        Mistake(
            "nan_for_blind_queries",
            lambda s, m: s.masked_fill(~m, -INF).softmax(-1),
            "All is right but for a query that may look at nothing: its row is NaN, 0 divided by 0. One "
            "such row makes the loss NaN, and then the whole model. In this book such a query gets "
            "zeros. How can you tell which queries those are?",
        ),
        Mistake(
            "uniform_for_blind_queries",
            lambda s, m: s.masked_fill(~m, -1e9).softmax(-1),
            "All is right but for a query that may look at nothing: it now spreads its weight over "
            "keys that are all forbidden. A large negative number is only small beside others. In "
            "this book such a query gets zeros.",
            also=[
                lambda s, m: (s + torch.where(m, 0.0, -1e9)).softmax(-1),
                lambda s, m: (s + torch.where(m, 0.0, -1e4)).softmax(-1),
                lambda s, m: masked_softmax(s, m | ~m.any(-1, keepdim=True)),
            ],
        ),
        Mistake(
            "mask_added",
            lambda s, m: (s + m.float()).softmax(-1),
            "The mask is added to the scores as it is: allowed keys get one more, and forbidden keys "
            "still get weight. What would have to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "not_masked",
            lambda s, m: s.softmax(-1),
            "The mask has no effect. Many operations return a new tensor and leave the old one as it "
            "was: is the result of masked_fill kept?",
        ),
        Mistake(
            "over_queries",
            lambda s, m: s.masked_fill(~m, -INF).softmax(1),
            "The softmax runs over the queries. The keys compete for the weight of one query: look at "
            "the axis.",
            also=[lambda s, m: s.masked_fill(~m, -INF).softmax(1).nan_to_num()],
        ),
        Mistake(
            "mask_as_index",
            _indexed,
            "It works until the mask has one row for all queries, shape (batch, 1, keys). Picking numbers "
            "with a mask in square brackets wants equal shapes. Functions such as masked_fill and where "
            "broadcast.",
            also=[_blind_by_index],
        ),
        Mistake(
            "no_keepdim",
            lambda s, m: torch.where(m.any(-1), s.masked_fill(~m, -INF).softmax(-1), 0.0),
            "The shapes do not meet: any (or sum) over the keys has dropped their axis, so that (batch, "
            "queries) meets (batch, queries, keys). With keepdim=True the axis stays, with length 1, "
            "and broadcasts.",
            also=[
                lambda s, m: s.masked_fill(~m, -INF).softmax(-1) * m.any(-1),
                lambda s, m: s.masked_fill(~m, -INF).softmax(-1).masked_fill(~m.any(-1), 0.0),
            ],
        ),
    ],
    laws=[
        Law("a forbidden key gets weight 0", lambda out, s, m: bool((out * ~m == 0).all())),
        Law("a query that may look at nothing gets only zeros", _blind_rows_are_zero),
        Law("the weights of every other query sum to 1", _seeing_rows_sum_to_one),
    ],
)

# 2.4 -------------------------------------------------------------------------------------------------


def additive(query: Tensor, key: Tensor, w_q: Tensor, w_k: Tensor, v: Tensor) -> Tensor:
    """Score every query against every key with a small network."""
    q, k = query @ w_q.T, key @ w_k.T
    return torch.tanh(q[:, None] + k[None]) @ v


def _sums(query: Tensor, key: Tensor, w_q: Tensor, w_k: Tensor) -> Tensor:
    return (query @ w_q.T)[:, None] + (key @ w_k.T)[None]


def _additive_case(
    seed: int, n_queries: int, n_keys: int, d_query: int, d_key: int, d_hidden: int
) -> Case:
    return (
        numbers(seed, n_queries, d_query),
        numbers(seed + 1, n_keys, d_key),
        numbers(seed + 2, d_hidden, d_query),
        numbers(seed + 3, d_hidden, d_key),
        numbers(seed + 4, d_hidden),
    )


ADDITIVE = Exercise(
    number="2.4",
    title="Additive scores",
    solution=additive,
    cases=lambda: [
        _additive_case(130, 2, 3, 1, 2, 5),
        _additive_case(140, 5, 2, 3, 7, 3),
        _additive_case(150, 3, 7, 5, 2, 11),
    ],
    mistakes=[
        Mistake(
            "no_tanh",
            lambda q, k, w, u, v: _sums(q, k, w, u) @ v,
            "The tanh is missing. Then the score falls apart into one part from the query and one "
            "from the key. The query's part is the same for all keys, so it cancels in the softmax: all "
            "queries would get the same weights.",
        ),
        Mistake(
            "tanh_outside",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u) @ v),
            "The tanh stands outside, around the finished score. What it squashes is a sum of a query's "
            "part and a key's part, so all queries rank the keys alike. Where are the brackets in the "
            "formula?",
        ),
        Mistake(
            "tanh_of_each",
            lambda q, k, w, u, v: (torch.tanh(q @ w.T)[:, None] + torch.tanh(k @ u.T)) @ v,
            "The tanh acts on query and key apart, and then they are added. They never meet inside "
            "something that bends, so the query's part is the same for all keys and cancels in the "
            "softmax. Add first.",
        ),
        Mistake(
            "paired",
            lambda q, k, w, u, v: torch.tanh(q @ w.T + k @ u.T) @ v,
            "Query i is added to key i only. Every query has to meet every key, in a table of "
            "(queries, keys). Think of the shapes that two tensors need for broadcasting to make "
            "such a table.",
            also=[
                lambda q, k, w, u, v: torch.stack(
                    [torch.tanh(w @ a + u @ b) @ v for a, b in zip(q, k, strict=False)]
                )
            ],
        ),
        Mistake(
            "keys_not_seen",
            lambda q, k, w, u, v: (torch.tanh(q @ w.T) @ v)[:, None].expand(-1, len(k)),
            "This is fake attention: the score never sees the keys, so all keys get the same. It runs "
            "without any error, which makes it hard to find. Change a key and see whether anything "
            "moves.",
        ),
        Mistake(
            "queries_not_seen",
            lambda q, k, w, u, v: (torch.tanh(k @ u.T) @ v)[None].expand(len(q), -1),
            "The score never sees the query: every query gets the same scores, and with them the same "
            "context vector. That is one fixed vector again, as in chapter 1.",
        ),
        Mistake(
            "transposed",
            lambda q, k, w, u, v: (torch.tanh(_sums(q, k, w, u)) @ v).T,
            "The numbers are right, but the table is (keys, queries). A row belongs to a query, and the "
            "keys lie along the last axis.",
        ),
        Mistake(
            "no_v",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)).sum(-1),
            "The hidden units are added up as they are, so each counts the same and v is not used. v "
            "says how much each one counts, and in which direction.",
            also=[lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)).mean(-1)],
        ),
        Mistake(
            "v_inside",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u) * v).sum(-1),
            "v is multiplied in before the tanh. It belongs after it: first every hidden unit is "
            "squashed, then v weighs the results.",
        ),
        Mistake(
            "scaled",
            lambda q, k, w, u, v: torch.tanh(_sums(q, k, w, u)) @ v / math.sqrt(len(v)),
            "The scores are divided by a square root. That belongs to dot products, where sums of "
            "products grow with the width; the formula of the additive score has no such factor.",
        ),
        Mistake(
            "softmax_too",
            lambda q, k, w, u, v: (torch.tanh(_sums(q, k, w, u)) @ v).softmax(-1),
            "These are the weights, after the softmax. The task asks for the scores before it. Keeping "
            "the two apart is worth it: a mask goes between them.",
        ),
        Mistake(
            "not_transposed",
            lambda q, k, w, u, v: torch.tanh((q @ w)[:, None] + k @ u) @ v,
            "The shapes do not meet: weights are stored (out, in), as in torch.nn.Linear. With the "
            "queries in rows, W q becomes query @ w_q.T, and the same holds for the keys.",
            also=[
                lambda q, k, w, u, v: torch.tanh((q @ w)[:, None] + k @ u.T) @ v,
                lambda q, k, w, u, v: torch.tanh((q @ w.T)[:, None] + k @ u) @ v,
                lambda q, k, w, u, v: torch.tanh((w @ q)[:, None] + u @ k) @ v,
            ],
        ),
    ],
    laws=[
        Law(
            "no score is larger than the sum of the sizes in v",
            lambda out, q, k, w, u, v: bool((out.abs() <= v.abs().sum() + 1e-4).all()),
        ),
    ],
)

# 2.5 -------------------------------------------------------------------------------------------------


def change_temperature(weights: Tensor, temperature: float) -> Tensor:
    """Return the weights that scores divided by the temperature would have given."""
    return _share(weights.pow(1 / temperature))


def _temperature_cases() -> list[Case]:
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), 0.5),
        (numbers(160, 3, 5).softmax(-1), 3.0),
        (numbers(161, 5, 2).softmax(-1), 0.8),
        (torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]), 2.0),
        (torch.tensor([[0.9, 0.0, 0.1], [0.3, 0.5, 0.2]]), 10.0),
    ]


def _lifted(epsilon: float) -> Callable[[Tensor, float], Tensor]:
    """Make an answer that puts a tiny number in the place of a weight of 0."""
    return lambda weights, tau: (weights.clamp(min=epsilon).log() / tau).softmax(-1)


_TINY = [10.0**-i for i in range(5, 31)] + [torch.finfo(torch.float32).tiny]


def _share(x: Tensor, axis: int = -1) -> Tensor:
    return x / x.sum(axis, keepdim=True)


TEMPERATURE = Exercise(
    number="2.5",
    title="Another temperature",
    solution=change_temperature,
    cases=_temperature_cases,
    mistakes=[
        Mistake(
            "multiplied",
            lambda w, tau: _share(w**tau),
            "It goes the wrong way: a low temperature should sharpen the weights, and yours makes them "
            "flatter. This is what scores multiplied by the temperature give. Try a temperature near 0.",
        ),
        Mistake(
            "weights_divided",
            lambda w, tau: w / tau,
            "The weights themselves are divided. They no longer sum to 1, and their proportions are what "
            "they were. The temperature divides the scores, before the exponential.",
        ),
        Mistake(
            "nothing_changed",
            lambda w, tau: w,
            "Nothing changed. Dividing all weights of a query by one number cancels as soon as they are "
            "divided by their sum. What happens to a weight when its score is divided?",
        ),
        Mistake(
            "softmax_of_weights",
            lambda w, tau: (w / tau).softmax(-1),
            "The weights went into a softmax as if they were scores. They have been through one already: "
            "all lie between 0 and 1, so a second one flattens them. Even weights of exactly 0 come out "
            "above 0. Which scores would have given these weights?",
            also=[lambda w, tau: (w * tau).softmax(-1), lambda w, tau: w.softmax(-1)],
        ),
        Mistake(
            "not_renormalised",
            lambda w, tau: w ** (1 / tau),
            "The proportions are right, but the weights of a query do not sum to 1. Scores give weights "
            "only after being divided by a sum, and the old sum no longer fits.",
        ),
        Mistake(
            "over_queries",
            lambda w, tau: _share(w ** (1 / tau), 0),
            "The sum runs over the queries. Each query shares out its own weight among the keys: look at "
            "the axis.",
            also=[lambda w, tau: (w.log() / tau).softmax(0)],
        ),
        Mistake(
            "scores_returned",
            lambda w, tau: w.log() / tau,
            "These are scores that fit, divided by the temperature. You are one step from the weights.",
        ),
        Mistake(
            "nan_at_zero",
            lambda w, tau: _share((w.log() / tau).exp() + 0 * w.log()),
            "A weight of exactly 0, as a mask makes it, came out as NaN. log(0) is minus infinity; "
            "that times 0, or minus itself, is NaN.",
        ),
        Mistake(
            "zero_lifted",
            _lifted(1e-12),
            "A weight of exactly 0 came out above 0, because a tiny number was put in its place. A high "
            "temperature lifts tiny numbers: at 10, a weight of 1e-12 becomes one of about 0.06, before "
            "sharing out. Is there any need to avoid log(0)? What is exp of minus infinity?",
            also=[_lifted(epsilon) for epsilon in _TINY],
        ),
    ],
    laws=[
        NOT_NEGATIVE,
        SUM_TO_ONE,
        Law("a weight of 0 stays 0", lambda out, w, tau: bool((out[w == 0] == 0).all())),
        Law(
            "the largest weight stays the largest",
            lambda out, w, tau: torch.equal(out.argmax(-1), w.argmax(-1)),
        ),
    ],
)

# 2.6 -------------------------------------------------------------------------------------------------


def entropy_in_nats(weights: Tensor) -> Tensor:
    """Return the entropy of every query's weights."""
    return entropy(weights)


def _terms(weights: Tensor) -> Tensor:
    return torch.where(weights > 0, -weights * weights.log(), 0.0)


ENTROPY = Exercise(
    number="2.6",
    title="Entropy",
    solution=entropy_in_nats,
    cases=lambda: [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]),),
        (numbers(170, 3, 5).softmax(-1),),
        (numbers(171, 7, 2).softmax(-1),),
        (torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]),),
        (torch.tensor([[0.25, 0.0, 0.75], [0.5, 0.3, 0.2]]),),
    ],
    mistakes=[
        Mistake(
            "other_logarithm",
            lambda w: _terms(w).sum(-1) / math.log(2),
            "This uses another logarithm: log2 gives bits, log10 something else again. These are good "
            "measures, but the task and the book use nats, where n equal weights give ln(n).",
            also=[lambda w: _terms(w).sum(-1) / math.log(10)],
        ),
        Mistake(
            "sign",
            lambda w: -_terms(w).sum(-1),
            "The sign is wrong. The logarithm of a weight below 1 is negative, and entropy is never "
            "below 0. Look at the front of the formula.",
        ),
        Mistake(
            "nan_at_zero",
            lambda w: -(w * w.log()).sum(-1),
            "A weight of exactly 0 gives NaN: log(0) is minus infinity, and 0 times that is NaN. A key "
            "with no weight should add nothing. As a weight goes to 0, where does its term go?",
        ),
        Mistake(
            "nan_replaced_late",
            lambda w: (-(w * w.log()).sum(-1)).nan_to_num(),
            "The NaN is replaced after the sum, so one weight of 0 wipes out its whole row: the entropy "
            "comes out as 0, whatever the other weights are. The other terms are still good before the "
            "sum. Where does the NaN arise?",
        ),
        Mistake(
            "over_queries",
            lambda w: _terms(w).sum(0),
            "The sum runs over the queries, so there is one number for each key. How spread a query's "
            "weights are is a question about one row.",
        ),
        Mistake(
            "mean_over_keys",
            lambda w: _terms(w).mean(-1),
            "This is the mean over the keys and not the sum. n equal weights should give ln(n), which "
            "grows with n; yours would shrink.",
        ),
        Mistake(
            "one_number",
            lambda w: _terms(w).sum(),
            "All queries are thrown together into one number. Each query has an entropy of its own.",
            also=[lambda w: _terms(w).sum(-1).mean(), lambda w: _terms(w).mean()],
        ),
        Mistake(
            "not_weighted",
            lambda w: -w.log().sum(-1),
            "The logarithms are added up without their weights, so the smallest weights count most. "
            "Entropy is an average of -ln(weight), and in an average every term is weighed.",
            also=[lambda w: -w.log().mean(-1)],
        ),
        Mistake(
            "relative",
            lambda w: _terms(w).sum(-1) / math.log(w.shape[-1]),
            "This is the entropy divided by its largest value, ln(keys). It is handy for comparing "
            "sentences of different lengths, but the task asks for nats.",
        ),
        Mistake(
            "perplexity",
            lambda w: _terms(w).sum(-1).exp(),
            "This is the exponential of the entropy: among how many keys the weight is spread, in effect. "
            "The task asks for the entropy itself.",
        ),
        Mistake(
            "softmax_again",
            lambda w: _terms(w.softmax(-1)).sum(-1),
            "The weights went through a softmax once more, as if they were scores. That makes them nearly "
            "equal, and the entropy too large. They are weights already.",
        ),
        Mistake(
            "terms",
            _terms,
            "These are the terms, one for each key. The entropy is their sum.",
        ),
    ],
    laws=[
        Law("no entropy is below 0", lambda out, w: bool((out >= -1e-6).all())),
        Law(
            "no entropy is above ln(keys)",
            lambda out, w: bool((out <= math.log(w.shape[-1]) + 1e-4).all()),
        ),
    ],
)

# 2.7 -------------------------------------------------------------------------------------------------

Weigh = Callable[[Tensor, Tensor], Tensor]


class Weights:
    """A way to turn query and key into weights, with a name to show.

    Args:
        name: what it is.
        scores: turns query and key into scores of shape (queries, keys).
    """

    def __init__(self, name: str, scores: Weigh) -> None:
        self.name = name
        self.scores = scores

    def __repr__(self) -> str:
        return self.name

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        """Return weights of shape (queries, keys)."""
        return self.scores(query, key).softmax(-1)


def _dot(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.T


def _cosine(query: Tensor, key: Tensor) -> Tensor:
    return F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T


def _masked_at(position: int) -> Weigh:
    """Make dot scores with one key masked."""
    return lambda query, key: _dot(query, key).masked_fill(torch.arange(len(key)) == position, -INF)


def depends_on_keys(weights: Weigh, query: Tensor, key: Tensor) -> bool:
    """Tell whether the weights depend on the keys."""
    other = numbers(184, *key.shape)
    return not torch.allclose(weights(query, key), weights(query, other))


def _moves(
    change_query: Weigh | None = None, change_key: Weigh | None = None
) -> Callable[..., bool]:
    """Make a detector that changes something and looks whether the weights move."""

    def detector(weights: Weigh, query: Tensor, key: Tensor) -> bool:
        new_query = query if change_query is None else change_query(query, query)
        new_key = key if change_key is None else change_key(key, key)
        return not torch.allclose(weights(query, key), weights(new_query, new_key), atol=1e-5)

    return detector


def _outputs_move(weights: Weigh, query: Tensor, key: Tensor) -> bool:
    turned = key.flip(0)
    return not torch.allclose(weights(query, key) @ key, weights(query, turned) @ turned, atol=1e-5)


def _follows(order: list[int]) -> Callable[..., bool]:
    """Make a detector that looks whether the weights follow the keys into a new order."""

    def detector(weights: Weigh, query: Tensor, key: Tensor) -> bool:
        before, after = weights(query, key), weights(query, key[order])
        return torch.allclose(after, before[:, order], atol=1e-5)

    return detector


def _moves_with(position: int) -> Callable[..., bool]:
    """Make a detector that changes one key."""

    def changed(key: Tensor, _: Tensor) -> Tensor:
        step = torch.linspace(1, 2, key.shape[1])
        return key + step * (torch.arange(len(key)) == position)[:, None]

    return _moves(change_key=changed)


_ORDERS = [[2, 1, 0], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1]]


def _fake_cases() -> list[Case]:
    query, key = numbers(180, 2, 5), numbers(181, 3, 5)
    table, v = numbers(182, 5, 3), numbers(183, 5)
    places = ["first", "second", "last"]
    ways = [
        Weights("dot scores", _dot),
        Weights("scores from the query alone", lambda q, k: torch.tanh(q) @ table),
        Weights("additive scores", lambda q, k: torch.tanh(q[:, None] + k) @ v),
        Weights("uniform weights", lambda q, k: torch.zeros(len(q), len(k))),
        Weights(
            "scores from the position alone",
            lambda q, k: (torch.arange(len(k)) * 0.7).expand(len(q), -1),
        ),
        Weights("cosine scores", _cosine),
        Weights("minus the squared distance", lambda q, k: -(q[:, None] - k).square().sum(-1) / 8),
        *(
            Weights(f"dot scores with the {place} key masked", _masked_at(i))
            for i, place in enumerate(places)
        ),
        Weights("scores from the sum of all keys", lambda q, k: torch.tanh(q + k.sum(0)) @ table),
    ]
    return [(way, query, key) for way in ways]


FAKE = Exercise(
    number="2.7",
    title="Fake attention",
    solution=depends_on_keys,
    cases=_fake_cases,
    mistakes=[
        Mistake(
            "always_true",
            lambda weights, query, key: True,
            "Your function says True to everything, also to weights that never see a key. If it compares "
            "outputs, such as weights @ key, that is why: those move with the keys even if the weights "
            "stand still. If it compares weights, can the comparison ever find them equal?",
        ),
        Mistake(
            "always_false",
            lambda weights, query, key: False,
            "Your function says False to everything, also to real attention. Print the keys before and "
            "after your change: did they change at all? A random order of three keys is the old order "
            "once in six times, and sorting the weights or undoing the order hides the move.",
        ),
        Mistake(
            "outputs_compared",
            _outputs_move,
            "Your function takes fixed weights for attention as soon as they are uneven. This happens if "
            "the outputs weights @ key are compared: they move with the keys, whatever the weights do. It "
            "also happens if only the unevenness is looked at. Ask whether the weights themselves move.",
        ),
        Mistake(
            "answer_inverted",
            lambda weights, query, key: not depends_on_keys(weights, query, key),
            "Every answer is the wrong way round. True should mean that the weights depend on the keys: "
            "what does it mean if two results are close?",
        ),
        Mistake(
            "query_changed",
            _moves(change_query=lambda q, _: q.flip(0) + 0.5),
            "Your function finds out whether the weights depend on the query. Fake attention often does: "
            "the query is all it looks at. What has to change, and what has to stay, to see whether the "
            "keys matter?",
        ),
        Mistake(
            "constant_added",
            _moves(change_key=lambda k, _: k + 1.0),
            "Adding one constant to all keys misses dot scores. Every score of a query then grows by the "
            "same amount, and the softmax does not see that. Change the keys against each other.",
        ),
        Mistake(
            "keys_scaled",
            _moves(change_key=lambda k, _: 2.0 * k),
            "Stretching the keys misses cosine scores, which look at directions only. Change the keys in a "
            "way that no sensible score can overlook.",
        ),
        Mistake(
            "weights_must_follow",
            _follows(_ORDERS[0]),
            "You test whether the weights follow the keys to their new places, as the chapter does. That "
            "catches the chapter's fake, but uniform weights pass it without seeing a key, and attention "
            "with a mask on one position fails it. Ask only whether the weights stay as they were.",
            also=[_follows(order) for order in _ORDERS[1:]],
        ),
        Mistake(
            "one_key_changed",
            _moves_with(0),
            "You change one key only. One of the functions does not look at that one, because it is "
            "masked, as padding is, but looks at all the others. Change every key.",
            also=[_moves_with(1), _moves_with(2)],
        ),
        Mistake(
            "keys_reordered",
            _moves(change_key=lambda k, _: k.flip(0)),
            "You give the same keys in another order. One of the functions looks at the sum of the keys: "
            "that depends on them, but not on their order. Try keys that have nothing to do with the "
            "old ones.",
        ),
    ],
    show_case=lambda weights, query, key: (
        f"weights = {weights!r}, query of shape {tuple(query.shape)}, key of shape {tuple(key.shape)}"
    ),
)

# 2.8 -------------------------------------------------------------------------------------------------


def local_weights(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    """Weigh only the keys near a given position, as Luong's local attention."""
    return masked_softmax(scores, _window(scores, center, reach) & mask)


def _window(scores: Tensor, center: Tensor, reach: int) -> Tensor:
    return (torch.arange(scores.shape[1]) - center[:, None]).abs() <= reach


def _half_open(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    offset = torch.arange(scores.shape[1]) - center[:, None]
    return masked_softmax(scores, (-reach <= offset) & (offset < reach) & mask)


def _sliced(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    for row, position in enumerate(center.tolist()):
        allowed[row, position - reach : position + reach + 1] = True
    return masked_softmax(scores, allowed & mask)


def _wrapped(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    for row, position in enumerate(center.tolist()):
        near = torch.arange(position - reach, position + reach + 1) % scores.shape[1]
        allowed[row, near] = True
    return masked_softmax(scores, allowed & mask)


def _pushed_inside(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    inside = center.clamp(reach, max(reach, scores.shape[1] - 1 - reach))
    return local_weights(scores, inside, reach, mask)


def _local_p(scores: Tensor, center: Tensor, reach: int, mask: Tensor) -> Tensor:
    offset = torch.arange(scores.shape[1]) - center[:, None]
    bell = (-offset.square() / (2 * (reach / 2) ** 2)).exp()
    return local_weights(scores, center, reach, mask) * bell


def _local_cases() -> list[Case]:
    return [
        (numbers(190, 2, 5), torch.tensor([2, 3]), 1, _until(5, 5)),
        (numbers(191, 3, 7), torch.tensor([0, 4, 6]), 2, _until(7, 7)),
        (numbers(192, 2, 11), torch.tensor([5, 1]), 3, _until(7, 11)),
        (numbers(193, 3, 7), torch.tensor([3, 6, 1]), 1, _until(4, 7)),
    ]


def _until(length: int, n: int) -> Tensor:
    return torch.arange(n) < length


LOCAL = Exercise(
    number="2.8",
    title="Local attention",
    solution=local_weights,
    cases=_local_cases,
    mistakes=[
        Mistake(
            "half_open",
            _half_open,
            "Your window ends one key early: it has the keys before the centre, the centre, and one key "
            "too few after it. A range in Python leaves out its end. How many keys does a window with "
            "reach 1 have?",
        ),
        Mistake(
            "reach_is_total",
            lambda s, c, r, m: local_weights(s, c, r // 2, m),
            "Your window is about half as wide as it should be. The reach counts keys on each side of the "
            "centre, not of the whole window.",
        ),
        Mistake(
            "not_renormalised",
            lambda s, c, r, m: masked_softmax(s, m.expand(s.shape)) * _window(s, c, r),
            "The softmax runs over all keys, and then the window is cut out. The keys outside have "
            "already taken their part, so what is left does not sum to 1.",
        ),
        Mistake(
            "ends_left_out",
            lambda s, c, r, m: local_weights(s, c, r - 1, m),
            "Your window lacks its two ends. A key at a distance of exactly the reach still belongs to "
            "it: is your comparison strict?",
        ),
        Mistake(
            "padding_removed_late",
            lambda s, c, r, m: masked_softmax(s, _window(s, c, r)) * m,
            "Padding gets no weight in the end, but it took part in the softmax. What it took is lost, "
            "and the weights of such a query sum to less than 1.",
        ),
        Mistake(
            "no_window",
            lambda s, c, r, m: masked_softmax(s, m.expand(s.shape)),
            "Keys outside the window get weight: the window has no effect on your result.",
        ),
        Mistake(
            "padding_counted",
            lambda s, c, r, m: masked_softmax(s, _window(s, c, r)),
            "Padding inside the window gets weight. A key has to be in the window and to be a real "
            "token.",
        ),
        Mistake(
            "negative_index",
            _sliced,
            "At the start of a sentence your window is empty or wrong. A slice that begins below 0 "
            "counts from the end in Python. The part of the window before the sentence should simply "
            "be left out.",
        ),
        Mistake(
            "wrapped",
            _wrapped,
            "At the borders your window goes round to the other end of the sentence. The part of the "
            "window outside the sentence should simply be left out.",
        ),
        Mistake(
            "pushed_inside",
            _pushed_inside,
            "At the borders your window is pushed inside, so that it keeps its width. It should stay "
            "where it is and lose the part outside the sentence.",
        ),
        Mistake(
            "centred_on_query",
            lambda s, c, r, m: local_weights(s, torch.arange(len(s)), r, m),
            "Your window is centred on the number of the query. That would be right if source and target "
            "went in step; here the centre of each query is given.",
        ),
        Mistake(
            "local_p",
            _local_p,
            "Your weights fall off with the distance from the centre, by a Gaussian. That is Luong's "
            "local-p, whose centre is predicted. The task is the plain form: a softmax over the window.",
        ),
        Mistake(
            "scores_zeroed",
            lambda s, c, r, m: (s * (_window(s, c, r) & m)).softmax(-1),
            "Scores outside the window became 0. A score of 0 is not small: exp(0) is 1. Exercise 2.3 has "
            "the same trap.",
        ),
        Mistake(
            "inverted",
            lambda s, c, r, m: masked_softmax(s, ~_window(s, c, r) & m),
            "The window is taken the wrong way round: keys near the centre get nothing.",
            also=[lambda s, c, r, m: s.masked_fill(_window(s, c, r) & m, -INF).softmax(-1)],
        ),
        Mistake(
            "nan_for_blind_queries",
            lambda s, c, r, m: s.masked_fill(~(_window(s, c, r) & m), -INF).softmax(-1),
            "All is right but for a query whose window holds only padding: its row is NaN. Such a query "
            "may look at nothing. Exercise 2.3 has the same case.",
        ),
        Mistake(
            "uniform_for_blind_queries",
            lambda s, c, r, m: s.masked_fill(~(_window(s, c, r) & m), -1e9).softmax(-1),
            "All is right but for a query whose window holds only padding: it spreads its weight over "
            "keys that are all forbidden. Such a query may look at nothing.",
        ),
        Mistake(
            "centre_as_row",
            lambda s, c, r, m: torch.arange(s.shape[1]) - c,
            "The shapes do not meet: (keys,) and (queries,) are paired one to one. Every query needs "
            "a row of its own. What is the shape of center[:, None]?",
            also=[lambda s, c, r, m: c - torch.arange(s.shape[1])],
        ),
    ],
    laws=[
        Law(
            "a key farther than the reach gets weight 0",
            lambda out, s, c, r, m: bool((out[~_window(s, c, r)] == 0).all()),
        ),
        Law("padding gets weight 0", lambda out, s, c, r, m: bool((out[:, ~m] == 0).all())),
        Law(
            "the weights of a query sum to 1 if its window holds a token",
            lambda out, s, c, r, m: torch.allclose(
                out.sum(-1), (_window(s, c, r) & m).any(-1).float(), atol=1e-4
            ),
        ),
    ],
)

EXERCISES = (KERNEL, AXIS, MASKED, ADDITIVE, TEMPERATURE, ENTROPY, FAKE, LOCAL)
"""The exercises of chapter 2."""
