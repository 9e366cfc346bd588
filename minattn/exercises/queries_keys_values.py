"""Checkers of chapter 3: scaled dot products, masks, who asks, the gradient, and a law that finds a bug."""

import math
from collections.abc import Callable
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from minattn.dot_product import attend
from minattn.exercises.core import Case, Exercise, Law, Mistake, numbers
from minattn.masks import Causal, Padding

INF = math.inf

# 3.1 -------------------------------------------------------------------------------------------------


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by the scaled dot product."""
    return attend(query, key, value)


def _softmax(query: Tensor, key: Tensor, scale: float = 1.0, axis: int = -1) -> Tensor:
    return (query @ key.T * scale).softmax(axis)


def _root(x: Tensor, axis: int = -1) -> float:
    return math.sqrt(x.shape[axis])


def _mix(scale: Callable[[Tensor, Tensor, Tensor], float]) -> Callable[..., Tensor]:
    """Make an attention whose scores are multiplied by something else."""
    return lambda q, k, v: _softmax(q, k, scale(q, k, v)) @ v


def _over_all(query: Tensor, key: Tensor, scale: float) -> Tensor:
    scores = query @ key.T * scale
    return scores.flatten().softmax(0).view(scores.shape)


def _without_keepdim(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    powers = (query @ key.T / _root(query)).exp()
    return (powers / powers.sum(-1)) @ value


def _attention_case(seed: int, n_queries: int, n_keys: int, d_k: int, d_v: int) -> Case:
    return (
        numbers(seed, n_queries, d_k),
        numbers(seed + 1, n_keys, d_k),
        numbers(seed + 2, n_keys, d_v),
    )


def _between_the_values(out: Tensor, value: Tensor) -> bool:
    low, high = value.amin(0) - 1e-4, value.amax(0) + 1e-4
    return bool(((out >= low) & (out <= high)).all())


ATTENTION = Exercise(
    number="3.1",
    title="Scaled dot-product attention",
    solution=attention,
    cases=lambda: [
        _attention_case(200, 2, 3, 5, 7),
        _attention_case(203, 7, 5, 3, 2),
        _attention_case(206, 5, 11, 7, 3),
    ],
    mistakes=[
        Mistake(
            "not_scaled",
            lambda q, k, v: _softmax(q, k) @ v,
            "The scores are not scaled. A dot product is a sum of d_k terms, so it grows with the width, "
            "and the softmax of large scores is nearly a choice of one key. What has the standard "
            "deviation of a sum of d_k independent terms to be divided by?",
        ),
        Mistake(
            "divided_by_width",
            _mix(lambda q, k, v: 1 / q.shape[-1]),
            "The scores are divided by d_k itself (or twice by its square root). The variance of a dot "
            "product grows like d_k, its standard deviation like the square root. Yours shrink as "
            "the width grows, and the weights become uniform.",
        ),
        Mistake(
            "multiplied",
            _mix(lambda q, k, v: _root(q)),
            "The scores are multiplied by the square root of d_k instead of divided by it. That makes "
            "large scores larger still. Look at the sign of the exponent, or at what stands below "
            "the fraction.",
        ),
        Mistake(
            "scaled_by_values",
            _mix(lambda q, k, v: 1 / _root(v)),
            "The square root is that of d_v. The values take no part in the scores. The sum that has to "
            "be tamed runs over the numbers of a query and a key: how many are there?",
            also=[_mix(lambda q, k, v: 1 / v.shape[-1])],
        ),
        Mistake(
            "scaled_by_length",
            _mix(lambda q, k, v: 1 / _root(k, 0)),
            "The square root is that of the number of keys or queries. A score does not become larger "
            "because there are more keys; it does if query and key are wider. Which axis of the shape "
            "did you take?",
            also=[_mix(lambda q, k, v: 1 / _root(q, 0))],
        ),
        Mistake(
            "over_queries",
            lambda q, k, v: _softmax(q, k, 1 / _root(q), 0) @ v,
            "The softmax runs over the queries, so they compete for a key. The shapes do not complain. "
            "Each query has a whole weight of 1 to share out among the keys: which axis is that?",
            also=[lambda q, k, v: _softmax(q, k, 1.0, 0) @ v],
        ),
        Mistake(
            "over_all",
            lambda q, k, v: _over_all(q, k, 1 / _root(q)) @ v,
            "All weights sum to 1 together, so a query gets less when more queries are asked. Each query "
            "has a whole weight of 1. Look at the axis of the softmax or of the sum.",
            also=[lambda q, k, v: _over_all(q, k, 1.0) @ v],
        ),
        Mistake(
            "scaled_after_softmax",
            lambda q, k, v: _softmax(q, k) @ v / _root(q),
            "The scale comes after the softmax. There it makes every output smaller, and the weights of "
            "a query no longer sum to 1. It should keep the scores small before the exponential.",
            also=[lambda q, k, v: _softmax(q, k, 1 / _root(q)) @ v / _root(q)],
        ),
        Mistake(
            "no_softmax",
            lambda q, k, v: q @ k.T / _root(q) @ v,
            "There is no softmax: the values are weighed by the scores themselves. These may be negative, "
            "and they sum to anything. A query should get a mean of the values.",
            also=[lambda q, k, v: q @ k.T @ v],
        ),
        Mistake(
            "not_divided",
            lambda q, k, v: (q @ k.T / _root(q)).exp() @ v,
            "The exponentials are not divided by their sum. The output then grows with the number of "
            "keys, whatever their values are. A mean of equal values must give that value.",
            also=[lambda q, k, v: (q @ k.T).exp() @ v],
        ),
        Mistake(
            "no_exp",
            lambda q, k, v: (q @ k.T / (q @ k.T).sum(-1, keepdim=True)) @ v,
            "The scores are divided by their sum without an exponential. A score may be negative, and "
            "then so is its weight. The scale cancels too, which should have made you wonder.",
        ),
        Mistake(
            "sigmoid",
            lambda q, k, v: (q @ k.T / _root(q)).sigmoid() @ v,
            "This is a sigmoid of each score by itself. The keys do not compete, and the weights of a "
            "query sum to anything. A mean needs weights that sum to 1.",
        ),
        Mistake(
            "cosine",
            lambda q, k, v: _softmax(F.normalize(q, dim=-1), F.normalize(k, dim=-1)) @ v,
            "Queries and keys are divided by their own lengths. That is a cosine: how long a query or a "
            "key is no longer counts, and no score is above 1. The task has one factor, the same for "
            "all pairs.",
            also=[
                lambda q, k, v: (
                    _softmax(F.normalize(q, dim=-1), F.normalize(k, dim=-1), 1 / _root(q)) @ v
                )
            ],
        ),
        Mistake(
            "weights_returned",
            lambda q, k, v: _softmax(q, k, 1 / _root(q)),
            "These are the weights, one row for each query, and they are right. Attention delivers what "
            "one gets by mixing the values with them.",
        ),
        Mistake(
            "keys_mixed",
            lambda q, k, v: _softmax(q, k, 1 / _root(q)) @ k,
            "The weights are right, but they mix the keys. A key says what is offered and serves to be "
            "compared; what is delivered is the value.",
            also=[lambda q, k, v: _softmax(q, k) @ k],
        ),
        Mistake(
            "key_not_transposed",
            lambda q, k, v: q @ k,
            "The shapes do not meet: query and key both have their width as last axis. To get every query "
            "times every key, one of them has to be transposed. Which one gives (queries, keys)?",
            also=[lambda q, k, v: q.T @ k, lambda q, k, v: q @ v],
        ),
        Mistake(
            "table_transposed",
            lambda q, k, v: _softmax(k, q, 1 / _root(q)) @ v,
            "The shapes do not meet: your table of scores is (keys, queries). A row should belong to a "
            "query, so that it can mix the values.",
        ),
        Mistake(
            "no_keepdim",
            _without_keepdim,
            "The shapes do not meet: the sums over the keys have lost their axis, so (queries, keys) meets "
            "(queries,). With keepdim=True the axis stays, with length 1, and broadcasts.",
        ),
    ],
    laws=[
        Law(
            "a mean lies between the smallest and the largest of the values",
            lambda out, q, k, v: _between_the_values(out, v),
        ),
    ],
)

# 3.2 -------------------------------------------------------------------------------------------------


def causal_and_padding(tokens: Tensor) -> Tensor:
    """Allow what is not in the future and not padding; (batch, seq) gives (batch, seq, seq)."""
    batch, seq = tokens.shape
    return (Causal() & Padding(tokens)).to_bool((batch, seq, seq))


def _lower(tokens: Tensor, diagonal: int = 0) -> Tensor:
    seq = tokens.shape[1]
    return torch.ones(seq, seq, dtype=torch.bool).tril(diagonal)


def _columns(tokens: Tensor) -> Tensor:
    return tokens[:, None, :]


def _rows(tokens: Tensor) -> Tensor:
    return tokens[:, :, None]


def _square(mask: Tensor, tokens: Tensor) -> Tensor:
    return mask.expand(*tokens.shape, tokens.shape[1])


def _by_length(tokens: Tensor) -> Tensor:
    position = torch.arange(tokens.shape[1])
    return _lower(tokens) & (position < tokens.sum(1, keepdim=True))[:, None]


def _token_cases() -> list[Case]:
    t, f = True, False
    return [
        (torch.tensor([[t, t, t], [t, t, t]]),),
        (torch.tensor([[t, t, t, t, t], [t, t, t, f, f]]),),
        (torch.tensor([[t, t, t, t, t, t, f], [f, f, t, t, t, t, t], [t, t, f, f, f, f, f]]),),
    ]


MASKS = Exercise(
    number="3.2",
    title="Two masks in one",
    solution=causal_and_padding,
    cases=_token_cases,
    mistakes=[
        Mistake(
            "inverted",
            lambda t: ~(_lower(t) & _columns(t)),
            "Everything is the wrong way round: your True marks what is forbidden. Here, and in torch's "
            "scaled_dot_product_attention, True means that a query may attend. nn.MultiheadAttention "
            "reads a mask as yours.",
            also=[lambda t: ~_lower(t) & ~_columns(t), lambda t: ~_lower(t) | _columns(t)],
        ),
        Mistake(
            "causal_inverted",
            lambda t: ~_lower(t) & _columns(t),
            "A query sees only the future: the causal part is the wrong way round. triu(1) marks what is "
            "forbidden. Look at row 0, the first token: which keys may it see?",
        ),
        Mistake(
            "upper_triangle",
            lambda t: _lower(t).T & _columns(t),
            "This is the upper triangle: a query sees itself and the future. Rows are queries, so row 0 "
            "belongs to the first token and has the fewest keys. Print a mask of three tokens.",
        ),
        Mistake(
            "strict_triangle",
            lambda t: _lower(t, -1) & _columns(t),
            "A token cannot see itself: your triangle leaves out the diagonal. The first token then sees "
            "nothing at all. Position i has been read when the next one is predicted, so it is not the "
            "future.",
        ),
        Mistake(
            "one_too_far",
            lambda t: _lower(t, 1) & _columns(t),
            "Every token sees one token of the future, and in training that is the very one it should "
            "predict. The loss would fall to almost nothing. Look at the diagonal that you gave to tril, "
            "or at a <= that should be stricter.",
        ),
        Mistake(
            "padding_inverted",
            lambda t: _lower(t) & ~_columns(t),
            "The triangle is right, but the padding is the wrong way round: only padding may be seen. "
            "tokens is True for a token already.",
        ),
        Mistake(
            "padding_on_rows",
            lambda t: _lower(t) & _rows(t),
            "The padding is applied to the rows. A row is a query, so this stops padding from asking, "
            "which harms nobody; but tokens may still look at padding. Which axis holds what is looked "
            "at?",
        ),
        Mistake(
            "padding_on_both",
            lambda t: _lower(t) & _rows(t) & _columns(t),
            "Rows and columns of padding are both forbidden. The columns are enough: what padding asks is "
            "never used. The rows only make queries that may see nothing, and a plain softmax gives "
            "NaN for those.",
        ),
        Mistake(
            "or",
            lambda t: _lower(t) | _columns(t),
            "Your two parts are joined by or, so a key is seen if either part allows it: the future, if it "
            "is no padding, and padding, if it is past. Both have to allow it. (With masks where True "
            "forbids, or is right.)",
        ),
        Mistake(
            "causal_only",
            lambda t: _square(_lower(t), t),
            "The future is hidden, but padding may be seen. If it stands at the end, no real token is "
            "harmed, for it is in the future; padded on the left, every token sees it.",
            also=[_lower],
        ),
        Mistake(
            "padding_only",
            lambda t: _square(_columns(t), t),
            "Padding is hidden, but the future may be seen. A model that is to predict the next token "
            "would simply read it.",
            also=[lambda t: _rows(t) & _columns(t), lambda t: _square(_rows(t), t)],
        ),
        Mistake(
            "tokens_counted",
            _by_length,
            "You count the tokens of a sentence and allow so many positions from the start. That is right "
            "only if the padding stands at the end. tokens tells for each position whether it is padding; "
            "there is no need to count.",
        ),
        Mistake(
            "transposed",
            lambda t: (_lower(t) & _columns(t)).transpose(1, 2),
            "The mask is transposed: your rows are keys. A row belongs to a query, and the keys lie along "
            "the last axis, as in the scores.",
        ),
        Mistake(
            "numbers",
            lambda t: (_lower(t) & _columns(t)).float(),
            "These are the right places, but as numbers. A mask has to be bool: torch takes a mask of "
            "floats as something to add to the scores, and a 1 for a key would hardly matter. Start from "
            "torch.ones(..., dtype=torch.bool), or compare.",
            also=[lambda t: _lower(t).float() + _columns(t).float()],
        ),
        Mistake(
            "bias",
            lambda t: torch.where(_lower(t) & _columns(t), 0.0, -INF),
            "This is a bias, to be added to the scores: 0 where a query may attend, minus infinity where "
            "not. It says the same, but the task asks for a bool mask. The next exercise turns one into "
            "the other.",
        ),
        Mistake(
            "no_new_axis",
            lambda t: _lower(t) & t,
            "The shapes do not line up: (seq, seq) meets (batch, seq), and each row of the batch is taken "
            "for a query. Every sentence needs a table of its own. What is the shape of "
            "tokens[:, None, :]?",
            also=[lambda t: t & _lower(t)],
        ),
        Mistake(
            "numbers_joined",
            lambda t: _lower(t).float() & _columns(t),
            "The operator & wants truth values on both sides, and torch.ones makes numbers. Make the "
            "triangle with dtype=torch.bool, or compare: torch.ones(seq, seq).tril() == 1.",
        ),
    ],
    laws=[
        Law(
            "no query sees the future",
            lambda out, t: not bool((out & ~_lower(t)).any()),
        ),
        Law(
            "no query sees padding",
            lambda out, t: not bool((out & ~_columns(t)).any()),
        ),
        Law(
            "every token sees itself",
            lambda out, t: torch.equal(out.diagonal(dim1=1, dim2=2) & t, t),
        ),
    ],
)

# 3.3 -------------------------------------------------------------------------------------------------


def as_bias(allowed: Tensor) -> Tensor:
    """Turn a mask, True where a query may attend, into numbers to add to the scores."""
    return torch.where(allowed, 0.0, -INF)


def _bias_cases() -> list[Case]:
    t, f = True, False
    blind = torch.tensor([[[t, f, t, t, f]], [[f, f, f, f, f]]])
    return [
        (torch.tensor([[t, f, t], [t, t, f]]),),
        (torch.ones(5, 5, dtype=torch.bool).tril(),),
        (blind,),
    ]


def _filled(fill: float) -> Callable[[Tensor], Tensor]:
    return lambda allowed: torch.where(allowed, 0.0, fill)


def _ones_kept(fill: float) -> Callable[[Tensor], Tensor]:
    return lambda allowed: torch.where(allowed, 1.0, fill)


_FILLS = [-(10.0**i) for i in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20, 30)]
_LOWEST = [-65504.0, torch.finfo(torch.float32).min]
_LOGARITHMS = [math.log(10.0**-i) for i in range(6, 13)]

BIAS = Exercise(
    number="3.3",
    title="From a mask to a bias",
    solution=as_bias,
    cases=_bias_cases,
    mistakes=[
        Mistake(
            "inverted",
            lambda m: torch.where(m, -INF, 0.0),
            "The mask is taken the wrong way round: what may be seen is forbidden. Here True means may "
            "attend. nn.MultiheadAttention reads True as forbidden, and masked_fill fills where its "
            "mask is True.",
            also=[
                lambda m: torch.where(m, -1e9, 0.0),
                lambda m: torch.where(m, -1e4, 0.0),
                lambda m: torch.where(m, torch.finfo(torch.float32).min, 0.0),
            ],
        ),
        Mistake(
            "nan",
            lambda m: (~m).float() * -INF,
            "There is NaN in the result: 0 times infinity is not 0 but NaN. So a mask cannot be multiplied "
            "with minus infinity. Choose between two values instead, or fill.",
            also=[
                lambda m: (~m).float() * INF,
                lambda m: m.float() * -INF,
                lambda m: m.float() * INF,
            ],
        ),
        Mistake(
            "ones_and_zeros",
            lambda m: m.float(),
            "These are ones and zeros, as one would multiply with. Added to the scores, a 1 for the "
            "allowed keys hardly matters, and the forbidden ones keep a good part of the weight. What "
            "has to be added so that exp gives exactly 0?",
            also=[lambda m: (~m).float()],
        ),
        Mistake(
            "minus_one",
            lambda m: m.float() - 1,
            "A forbidden score becomes smaller by 1. Its weight is then divided by e, about 2.7, and "
            "is far from 0. What has to be added so that exp gives exactly 0?",
        ),
        Mistake(
            "finite",
            _filled(-1e9),
            "Forbidden keys get a number, not minus infinity. -10000 fails where scores are as large. "
            "Larger ones fail where a query may see nothing: all its scores then go down alike, and it "
            "spreads its weight over forbidden keys. Only minus infinity forbids.",
            also=[*map(_filled, _FILLS), *map(_filled, _LOWEST), *map(_filled, _LOGARITHMS)],
        ),
        Mistake(
            "nothing_filled",
            lambda m: torch.zeros(m.shape),
            "Your numbers are 0, or next to 0, everywhere: nothing is forbidden. masked_fill returns a new "
            "tensor and leaves the old one as it was. And 1e-9 is a tiny number; -1e9 is a large "
            "negative one.",
        ),
        Mistake(
            "plus_infinity",
            lambda m: torch.where(m, 0.0, INF),
            "The sign is wrong: forbidden keys get something large added, so they win every softmax (with "
            "plus infinity it is NaN). What is exp of minus infinity?",
            also=[lambda m: torch.where(m, 0.0, 1e9)],
        ),
        Mistake(
            "allowed_not_zero",
            lambda m: torch.where(m, 1.0, -INF),
            "Allowed keys get 1 added to their scores. The softmax does not notice, for it is the same "
            "for all of them. But a bias should leave alone what it allows: add two of yours, "
            "and some keys have 2. The number that changes nothing is another one.",
            also=[_ones_kept(fill) for fill in (-1e9, -1e4)],
        ),
        Mistake(
            "still_bool",
            lambda m: m,
            "The result is still True and False. zeros_like and clone keep the type, and a bool "
            "tensor cannot hold minus infinity: it becomes True. Start from numbers, for example with "
            "torch.zeros(allowed.shape).",
            also=[lambda m: ~m, lambda m: m | True],
        ),
        Mistake(
            "bool_arithmetic",
            lambda m: 1 - m,
            "torch does not subtract truth values. Write ~allowed for the opposite, or turn the mask "
            "into numbers with .float() first. (And mind that 0 times infinity is NaN.)",
            also=[lambda m: m - True, lambda m: -m],
        ),
    ],
    laws=[
        Law("an allowed key gets 0", lambda out, m: bool((out[m] == 0).all())),
        Law("a forbidden key gets minus infinity", lambda out, m: bool((out[~m] == -INF).all())),
    ],
)

# 3.4 -------------------------------------------------------------------------------------------------


def cross_attention(
    decoder: Tensor, encoder: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor
) -> Tensor:
    """Let the decoder ask the encoder."""
    return attend(decoder @ w_q, encoder @ w_k, encoder @ w_v)


def _mixed(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, axis: int = -1) -> Tensor:
    """Attend without any check of shapes, as a learner writes it."""
    return _softmax(q, k, 1 / _root(q) if scale is None else scale, axis) @ v


def _cross_case(seed: int, n_target: int, n_source: int, d: int, d_k: int) -> Case:
    return (
        numbers(seed, n_target, d),
        numbers(seed + 1, n_source, d),
        *(numbers(seed + 2 + i, d, d_k) / 2 for i in range(3)),
    )


CROSS = Exercise(
    number="3.4",
    title="Who asks?",
    solution=cross_attention,
    cases=lambda: [
        _cross_case(210, 2, 2, 5, 3),  # as many words on both sides: no shape complains
        _cross_case(220, 2, 3, 7, 5),
        _cross_case(230, 7, 5, 2, 3),
    ],
    mistakes=[
        Mistake(
            "encoder_asks",
            lambda d, e, q, k, v: _mixed(e @ q, d @ k, d @ v),
            "The encoder asks, and the decoder is asked. The output then has one row for each source "
            "word. The decoder wants to know something at each of its steps, so it has to ask. Which "
            "length must the output have?",
            also=[lambda d, e, q, k, v: _mixed(e @ q, d @ k, d @ v, 1.0)],
        ),
        Mistake(
            "decoder_alone",
            lambda d, e, q, k, v: _mixed(d @ q, d @ k, d @ v),
            "The decoder looks at itself only: the encoder is not used. That is self-attention. "
            "What is offered and delivered should come from the source.",
            also=[lambda d, e, q, k, v: _mixed(d @ q, d @ k, d @ v, 1.0)],
        ),
        Mistake(
            "encoder_alone",
            lambda d, e, q, k, v: _mixed(e @ q, e @ k, e @ v),
            "The encoder looks at itself only: the decoder is not used. That is self-attention, and what "
            "comes out is the same at every step of the decoder. Who wants to know something?",
            also=[lambda d, e, q, k, v: _mixed(e @ q, e @ k, e @ v, 1.0)],
        ),
        Mistake(
            "keys_from_decoder",
            lambda d, e, q, k, v: _mixed(d @ q, d @ k, e @ v),
            "The keys come from the decoder and the values from the encoder. A key tells what its value is "
            "about, so both have to come from the same words. With unequal lengths the shapes complain; "
            "with equal ones nothing does.",
            also=[lambda d, e, q, k, v: _mixed(e @ q, d @ k, e @ v)],
        ),
        Mistake(
            "values_from_decoder",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, d @ v),
            "The values come from the decoder, so nothing of the source is delivered: the decoder finds "
            "the right source word and gets a word of its own. A value belongs to the key beside it.",
            also=[lambda d, e, q, k, v: _mixed(e @ q, e @ k, d @ v)],
        ),
        Mistake(
            "key_and_value_weights_swapped",
            lambda d, e, q, k, v: _mixed(d @ q, e @ v, e @ k),
            "The weights of keys and values are swapped. Both have the same shape, so nothing complains. "
            "w_k makes what is compared with the query; w_v makes what is delivered.",
        ),
        Mistake(
            "query_and_key_weights_swapped",
            lambda d, e, q, k, v: _mixed(d @ k, e @ q, e @ v),
            "The weights of queries and keys are swapped. Both have the same shape, so nothing complains, "
            "and training from the start would not mind. These weights, though, were made for the other "
            "part: w_q belongs to who asks.",
        ),
        Mistake(
            "key_projected_as_query",
            lambda d, e, q, k, v: _mixed(d @ q, e @ q, e @ v),
            "The keys are made with w_q, and w_k is not used. Asking and offering have a projection each: "
            "which of the three weights is missing in your code?",
            also=[lambda d, e, q, k, v: _mixed(d @ k, e @ k, e @ v)],
        ),
        Mistake(
            "key_serves_as_value",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ k),
            "The keys are delivered, and w_v is not used. What a word is found by and what it delivers are "
            "two things: that is why there are two projections of the encoder.",
        ),
        Mistake(
            "value_not_projected",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e),
            "The encoder is delivered as it is, and w_v is not used. Three projections: who asks, what is "
            "offered, what is delivered. Which one is missing?",
        ),
        Mistake(
            "nothing_projected",
            lambda d, e, q, k, v: _mixed(d, e, e),
            "No weights are used: decoder and encoder are compared as they are. Each of the three parts "
            "has a projection of its own.",
            also=[lambda d, e, q, k, v: _mixed(d, e, e @ v)],
        ),
        Mistake(
            "not_scaled",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1.0),
            "The scores are not scaled. They are sums of d_k products, so they have to be divided by the "
            "square root of d_k, as in exercise 3.1.",
        ),
        Mistake(
            "scaled_by_model_width",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1 / _root(d)),
            "The scale is made from the width before the projection. The sum in a score runs over the "
            "projected queries and keys: how many numbers have those?",
        ),
        Mistake(
            "divided_by_width",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1 / q.shape[1]),
            "The scores are divided by d_k (or twice by its square root). Once by the square root is "
            "enough.",
        ),
        Mistake(
            "over_queries",
            lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, axis=0),
            "The softmax runs over the decoder's steps, so they compete for a source word. Each step has "
            "a whole weight of 1 to share out over the source.",
            also=[lambda d, e, q, k, v: _mixed(d @ q, e @ k, e @ v, 1.0, axis=0)],
        ),
        Mistake(
            "table_transposed",
            lambda d, e, q, k, v: _softmax(e @ k, d @ q, 1 / _root(q)) @ (e @ v),
            "Your table of scores is (source, target): each source word shares out its weight among the "
            "steps of the decoder. A row should belong to who asks. With equal lengths no shape complains.",
        ),
        Mistake(
            "weights_returned",
            lambda d, e, q, k, v: _softmax(d @ q, e @ k, 1 / _root(q)),
            "These are the weights, one row for each step of the decoder, and they are right. What do they "
            "have to be applied to?",
        ),
        Mistake(
            "not_as_stored",
            lambda d, e, q, k, v: d @ q.T,
            "The shapes do not meet: the weights here are (d, d_k), ready for x @ w. torch.nn.Linear "
            "stores them the other way round, and there one needs the transpose.",
            also=[lambda d, e, q, k, v: q @ d, lambda d, e, q, k, v: q.T @ d],
        ),
    ],
    laws=[
        Law("the output has one row for each query", lambda out, d, e, *w: len(out) == len(d)),
        Law(
            "what comes out lies between the smallest and the largest of the values",
            lambda out, d, e, q, k, v: _between_the_values(out, e @ v),
        ),
    ],
)

# 3.5 -------------------------------------------------------------------------------------------------


def grad_scores(weights: Tensor, grad_weights: Tensor) -> Tensor:
    """Carry the gradient back through the softmax."""
    return _centred(weights, grad_weights, _mean(weights, grad_weights))


def _centred(weights: Tensor, grad: Tensor, mean: Tensor) -> Tensor:
    return weights * (grad - mean)


def _mean(weights: Tensor, grad: Tensor) -> Tensor:
    return (weights * grad).sum(-1, keepdim=True)


def _gradient_cases() -> list[Case]:
    masked = torch.tensor([[0.5, 0.3, 0.2, 0.0, 0.0], [0.1, 0.2, 0.4, 0.3, 0.0]])
    return [
        (torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), numbers(240, 2, 3)),
        (numbers(241, 5, 7).softmax(-1), numbers(242, 5, 7)),
        (numbers(243, 7, 2).softmax(-1), numbers(244, 7, 2)),
        (masked, numbers(245, 2, 5)),
    ]


GRADIENT = Exercise(
    number="3.5",
    title="The gradient of a softmax",
    solution=grad_scores,
    cases=_gradient_cases,
    mistakes=[
        Mistake(
            "mean_forgotten",
            lambda w, g: w * g,
            "A term is missing. This treats the weights as if they were free, but they sum to 1: raising "
            "one score takes from all the other weights. Add the same number to a row of grad_weights: "
            "the result should not change, for the weights cannot all grow.",
        ),
        Mistake(
            "diagonal_only",
            lambda w, g: w * (1 - w) * g,
            "This is how a weight depends on its own score, as with a sigmoid. But a score also moves all "
            "other weights of its query, through the sum below the fraction. The Jacobian has entries "
            "off its diagonal.",
        ),
        Mistake(
            "mean_not_weighted",
            lambda w, g: _centred(w, g, g.mean(-1, keepdim=True)),
            "The mean that you subtract counts every key alike. It has to be the mean under the weights: a "
            "key with hardly any weight hardly matters. Check: the result has to sum to 0 over the keys.",
            also=[lambda w, g: _centred(w, g, g.sum(-1, keepdim=True))],
        ),
        Mistake(
            "mean_of_products",
            lambda w, g: _centred(w, g, (w * g).mean(-1, keepdim=True)),
            "You take the mean of weight times gradient. The weights already sum to 1, so their sum is "
            "the weighted mean; dividing by the number of keys once more makes it too small.",
        ),
        Mistake(
            "own_score_twice",
            lambda w, g: w * (1 - w) * g - w * _mean(w, g),
            "A weight's dependence on its own score is counted twice. Either write a_i (1 - a_i) g_i and sum "
            "over the other keys only, or write a_i g_i and sum over all of them.",
        ),
        Mistake(
            "over_queries",
            lambda w, g: _centred(w, g, (w * g).sum(0, keepdim=True)),
            "The sum runs over the queries. The softmax of a query knows nothing of the other queries, "
            "and so should its gradient. Look at the axis.",
        ),
        Mistake(
            "over_all",
            lambda w, g: _centred(w, g, (w * g).sum()),
            "One sum for all queries. The softmax of a query knows nothing of the other queries, so each "
            "row needs a sum of its own. Look at the arguments of sum.",
        ),
        Mistake(
            "sign",
            lambda w, g: -_centred(w, g, _mean(w, g)),
            "The sign is turned round. A larger score gives a key a larger weight, so where the gradient of "
            "a weight lies above the mean, that of its score is positive.",
        ),
        Mistake(
            "mean_added",
            lambda w, g: _centred(w, g, -_mean(w, g)),
            "The mean is added instead of subtracted. What one key gains the others lose, so the result "
            "has to sum to 0 over the keys. Yours does not.",
        ),
        Mistake(
            "weight_missing",
            lambda w, g: g - _mean(w, g),
            "The weight in front is missing. A key with no weight has a gradient of 0: a small change of "
            "its score moves nothing, for exp is flat there.",
        ),
        Mistake(
            "weight_on_one_term",
            lambda w, g: w * g - _mean(w, g),
            "The weight multiplies the first term only. Every key loses in proportion to its own weight, "
            "so the mean has to be multiplied by it too. Check your brackets.",
        ),
        Mistake(
            "log_softmax",
            lambda w, g: g - w * g.sum(-1, keepdim=True),
            "This is the gradient of log_softmax: it would be right if grad_weights belonged to the "
            "logarithms of the weights. Here it belongs to the weights themselves.",
        ),
        Mistake(
            "cross_entropy",
            lambda w, g: w - g,
            "Weights minus something is the gradient of softmax and cross-entropy in one, where the second "
            "is the right answer. Here grad_weights is a gradient that comes from above, and the softmax "
            "stands alone.",
            also=[lambda w, g: g - w],
        ),
        Mistake(
            "twice",
            lambda w, g: w * _centred(w, g, _mean(w, g)),
            "The weights are multiplied in once too often. Count how often w stands before the bracket, or "
            "whether you go through the softmax twice.",
            also=[lambda w, g: grad_scores(w, grad_scores(w, g))],
        ),
        Mistake(
            "softmax_again",
            lambda w, g: grad_scores(w.softmax(-1), g),
            "The weights went through a softmax once more, as if they were scores. They are what the "
            "softmax gave; its gradient can be written with them alone.",
        ),
        Mistake(
            "jacobian",
            lambda w, g: torch.diag_embed(w) - w[:, :, None] * w[:, None, :],
            "This is the Jacobian, one table of (keys, keys) for each query, and it is right. It still has "
            "to be multiplied with the gradient. (Then look whether the table is needed at all.)",
        ),
        Mistake(
            "no_keepdim",
            lambda w, g: w * (g - (w * g).sum(-1)),
            "The shapes do not meet. What is subtracted has to be one number for each query, in shape "
            "(queries, 1). A sum over the keys loses its axis; with keepdim=True it stays, with length 1. "
            "In a square table nothing would have complained.",
        ),
    ],
    laws=[
        Law(
            "the gradient of a query's scores sums to 0, for adding one number to all changes nothing",
            lambda out, w, g: torch.allclose(out.sum(-1), torch.zeros(len(w)), atol=1e-4),
        ),
        Law("a weight of 0 has gradient 0", lambda out, w, g: bool((out[w == 0] == 0).all())),
    ],
)

# 3.6 -------------------------------------------------------------------------------------------------


def merged(w_q: Tensor, w_k: Tensor) -> Tensor:
    """Return the one matrix between two inputs that gives their scaled score."""
    return w_q @ w_k.T / math.sqrt(w_q.shape[1])


def _projection_case(seed: int, d_model: int, d_k: int) -> Case:
    return numbers(seed, d_model, d_k), numbers(seed + 1, d_model, d_k)


MERGED = Exercise(
    number="3.6",
    title="One merged matrix",
    solution=merged,
    cases=lambda: [
        _projection_case(250, 3, 2),
        _projection_case(252, 5, 3),
        _projection_case(254, 11, 5),
    ],
    mistakes=[
        Mistake(
            "wrong_way_round",
            lambda q, k: q.T @ k / _root(q),
            "Your matrix is (d_k, d_k). It has to stand between two inputs of width d_model. Write the "
            "score as (x W_q)(x' W_k)^T and open the second bracket: which matrix is transposed?",
            also=[
                lambda q, k: q.T @ k,
                lambda q, k: k.T @ q,
                lambda q, k: k.T @ q / _root(q),
                lambda q, k: q.T @ k / _root(q, 0),
            ],
        ),
        Mistake(
            "transposed",
            lambda q, k: k @ q.T / _root(q),
            "Your matrix is transposed, so who asks and who is asked have changed places. The "
            "score of the first word for the second is not that of the second for the first. Which of "
            "the two stands on the left of M?",
            also=[lambda q, k: k @ q.T, lambda q, k: k @ q.T / _root(q, 0)],
        ),
        Mistake(
            "not_scaled",
            lambda q, k: q @ k.T,
            "The scale is missing. The merged matrix has to give the scores as they go into the softmax, "
            "so the factor belongs into it. Nothing after it knows what d_k was.",
        ),
        Mistake(
            "scaled_by_model_width",
            lambda q, k: q @ k.T / _root(q, 0),
            "The scale is made from d_model. The scores to be matched were sums over d_k products. "
            "The merged matrix is wider, but it has to give the same scores.",
            also=[lambda q, k: q @ k.T / len(q)],
        ),
        Mistake(
            "divided_by_width",
            lambda q, k: q @ k.T / q.shape[1],
            "The matrix is divided by d_k itself (or each factor by its square root). One square root of "
            "d_k is enough for the two together.",
        ),
        Mistake(
            "multiplied",
            lambda q, k: q @ k.T * _root(q),
            "The matrix is multiplied by the square root of d_k. The scores have to be divided by it.",
        ),
        Mistake(
            "symmetric",
            lambda q, k: (q @ k.T + k @ q.T) / 2 / _root(q),
            "Your matrix is symmetric: any two words give each other the same score. The point of two "
            "projections is that they need not. A word can look for the one before it without being "
            "looked for by that one.",
            also=[
                lambda q, k: (q @ k.T + k @ q.T) / 2,
                lambda q, k: (q @ k.T + k @ q.T) / _root(q),
                lambda q, k: q @ k.T + k @ q.T,
            ],
        ),
        Mistake(
            "one_projection",
            lambda q, k: q @ q.T / _root(q),
            "Only one of the two projections is used, so the matrix is symmetric: any two words give each "
            "other the same score, and each word scores itself with no less than 0.",
            also=[
                lambda q, k: k @ k.T / _root(q),
                lambda q, k: q @ q.T,
                lambda q, k: k @ k.T,
            ],
        ),
        Mistake(
            "elementwise",
            lambda q, k: q * k / _root(q),
            "The two are multiplied number by number. A score is a sum over d_k, and so is every entry of "
            "the merged matrix: that is a matrix product.",
            also=[lambda q, k: q * k],
        ),
        Mistake(
            "added",
            lambda q, k: q + k,
            "The two are added. The score has a product of the two projections: write it out and move the "
            "brackets.",
            also=[lambda q, k: (q + k) / _root(q)],
        ),
        Mistake(
            "not_transposed",
            lambda q, k: q @ k,
            "The shapes do not meet: both are (d_model, d_k). Write the score as (x W_q)(x' W_k)^T and "
            "open the second bracket: which of the two is transposed?",
            also=[lambda q, k: k @ q],
        ),
    ],
    laws=[
        Law("the matrix is (d_model, d_model)", lambda out, q, k: out.shape == (len(q), len(q))),
        Law(
            "its rank is at most d_k",
            lambda out, q, k: bool(torch.linalg.matrix_rank(out.double(), rtol=1e-4) <= q.shape[1]),
        ),
    ],
)

# 3.7 -------------------------------------------------------------------------------------------------

Weigh = Callable[[Tensor, Tensor], Tensor]


class BlackBox:
    """Something that maps query, key and value to an output, with a name to show.

    Args:
        name: what it is.
        weigh: turns query and key into weights of shape (queries, keys), right or wrong.
    """

    def __init__(self, name: str, weigh: Weigh) -> None:
        self.name = name
        self.weigh = weigh

    def __repr__(self) -> str:
        return self.name

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix the values."""
        return self.weigh(query, key) @ value


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def _weights(query: Tensor, key: Tensor) -> Tensor:
    return _scores(query, key).softmax(-1)


def _causal(scores: Tensor) -> Tensor:
    return scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -INF)


def _together(query: Tensor, key: Tensor) -> Tensor:
    scores = _scores(query, key)
    return scores.flatten(-2).softmax(-1).view(scores.shape)


def _uneven(query: Tensor, key: Tensor) -> Tensor:
    """Give the first queries too little and the last too much, so that the mean over queries is right."""
    share = torch.linspace(0.5, 1.5, query.shape[-2], dtype=query.dtype)
    return _weights(query, key) * share[:, None]


def _by_distance(query: Tensor, key: Tensor) -> Tensor:
    return -(query[..., :, None, :] - key[..., None, :, :]).square().sum(-1)


def _best_only(query: Tensor, key: Tensor) -> Tensor:
    scores = _scores(query, key)
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


SCALED = BlackBox("scaled dot-product attention", _weights)
UNSCALED = BlackBox("attention without a scale", lambda q, k: (q @ k.transpose(-2, -1)).softmax(-1))
WARM = BlackBox("attention at a high temperature", lambda q, k: (_scores(q, k) / 10).softmax(-1))
UNIFORM = BlackBox("a uniform mean", lambda q, k: torch.zeros_like(_scores(q, k)).softmax(-1))
CAUSAL = BlackBox("causal attention", lambda q, k: _causal(_scores(q, k)).softmax(-1))
DISTANCE = BlackBox(
    "attention by the squared distance", lambda q, k: _by_distance(q, k).softmax(-1)
)
BEST_ONLY = BlackBox("all weight on the best key", _best_only)
SOUND = [SCALED, UNSCALED, WARM, UNIFORM, CAUSAL, DISTANCE, BEST_ONLY]
WRONG_AXIS = BlackBox("softmax over the queries", lambda q, k: _scores(q, k).softmax(-2))
WRONG_AXES = BlackBox("softmax over queries and keys together", _together)
NOT_DIVIDED = BlackBox("exponentials that nothing divides", lambda q, k: _scores(q, k).exp())
SIGMOID = BlackBox("a sigmoid of each score", lambda q, k: _scores(q, k).sigmoid())
MASKED_LATE = BlackBox("a causal mask after the softmax", lambda q, k: _weights(q, k).tril())
TOO_SMALL = BlackBox("weights times 0.9", lambda q, k: _weights(q, k) * 0.9)
ON_AVERAGE = BlackBox("weights that sum to 1 only on average over the queries", _uneven)
BROKEN = [WRONG_AXIS, WRONG_AXES, NOT_DIVIDED, SIGMOID, MASKED_LATE, TOO_SMALL, ON_AVERAGE]


def obeys(attend: Callable[..., Tensor]) -> bool:
    """Tell whether the weights of every query sum to 1: equal values have to come back as they are."""
    same = torch.tensor([2.0, -1.0, 5.0])
    output = attend(numbers(260, 5, 3), numbers(261, 7, 3), same.expand(7, 3))
    return torch.allclose(output, same.expand(5, 3), atol=1e-4)


def _asked(
    n_queries: int, n_keys: int, tolerance: float = 1e-4, axis: int = 1
) -> Callable[..., bool]:
    """Make a test that reads the weights off and looks at their sums."""

    def test(attend: BlackBox) -> bool:
        weights = attend(numbers(262, n_queries, 3), numbers(263, n_keys, 3), torch.eye(n_keys))
        sums = weights.sum(axis)
        return torch.allclose(sums, torch.ones_like(sums), atol=tolerance)

    return test


def _says_true_to(*attends: BlackBox) -> Callable[..., bool]:
    """Make a test by its verdicts, for those that depend on the numbers it draws."""
    names = {attend.name for attend in attends}
    return lambda attend: repr(attend) in names


def _subsets(attends: list[BlackBox]) -> list[tuple[BlackBox, ...]]:
    return [some for n in range(len(attends) + 1) for some in combinations(attends, n)]


def _within(attend: BlackBox) -> bool:
    value = numbers(264, 7, 2)
    output = attend(numbers(262, 5, 3), numbers(263, 7, 3), value)
    return bool(((output <= value.max() + 1e-4) & (output >= value.min() - 1e-4)).all())


def _alone(place: int) -> Callable[..., bool]:
    """Make a test that asks one query with the others and by itself."""

    def test(attend: BlackBox) -> bool:
        query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
        together, alone = attend(query, key, value)[place], attend(query[[place]], key, value)[0]
        return torch.allclose(together, alone, atol=1e-4)

    return test


def _reordered(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    before, after = attend(query, key, value), attend(query, key.flip(0), value.flip(0))
    return torch.allclose(before, after, atol=1e-4)


def _queries_reordered(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    before, after = attend(query, key, value), attend(query.flip(0), key, value).flip(0)
    return torch.allclose(before, after, atol=1e-4)


def _moves(attend: BlackBox) -> bool:
    query, key, value = numbers(262, 5, 3), numbers(263, 7, 3), numbers(264, 7, 2)
    return not torch.allclose(attend(query, key, value), attend(query, 2 * key.flip(0), value))


LAW = Exercise(
    number="3.7",
    title="Find the bug",
    solution=obeys,
    cases=lambda: [(attend,) for attend in (*SOUND, *BROKEN)],
    mistakes=[
        Mistake(
            "always_true",
            lambda attend: True,
            "Your function says True to everything that is broken too. Shapes and finite numbers are never "
            "wrong here; values of 0 come back as 0 from any weights, and doubled values come back "
            "doubled. Which values would show that the weights do not sum to 1?",
        ),
        Mistake(
            "always_false",
            lambda attend: False,
            "Your function says False to everything, also to attention as in the chapter. Print what you "
            "compare: are the two of one shape, and is a difference in the last digit allowed?",
        ),
        Mistake(
            "answer_inverted",
            lambda attend: not obeys(attend),
            "Every answer is the wrong way round. True should mean that the weights of every query sum "
            "to 1.",
        ),
        Mistake(
            "one_formula",
            _says_true_to(SCALED),
            "Your function knows one formula and calls everything else broken: another scale, a mask, "
            "another score. All of these are sound, for their weights sum to 1. Test what they have in "
            "common.",
            also=[_says_true_to(one) for one in SOUND if one not in (SCALED, BEST_ONLY)],
        ),
        Mistake(
            "exactly_equal",
            _says_true_to(BEST_ONLY, UNIFORM),
            "All that is broken is caught, but some sound ones are rejected too. Do you compare for exact "
            "equality? In single precision weights sum to 1 but for the last digit. torch.allclose "
            "allows for that.",
            also=[  # which of them rounding spares depends on the numbers and the processor
                _says_true_to(BEST_ONLY),
                _says_true_to(BEST_ONLY, CAUSAL),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL),
                _says_true_to(BEST_ONLY, UNIFORM, DISTANCE),
                _says_true_to(BEST_ONLY, UNIFORM, UNSCALED),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL, WARM),
                _says_true_to(BEST_ONLY, UNIFORM, CAUSAL, DISTANCE),
            ],
        ),
        Mistake(
            "too_loose",
            _asked(5, 7, tolerance=0.2),
            "Weights that sum to 0.9 pass. Your comparison is too loose: rounding changes the sums in the "
            "sixth or seventh digit, not in the first.",
            also=[_says_true_to(*SOUND, TOO_SMALL, WRONG_AXIS)],
        ),
        Mistake(
            "range_only",
            _within,
            "Sums below 1 pass. If you test whether the output lies between the smallest and the "
            "largest value: that holds for every mean, but also for many outputs that are too small. "
            "Choose values for which you know the output exactly.",
            also=[
                _says_true_to(*SOUND, TOO_SMALL, *some)
                for some in _subsets([WRONG_AXIS, WRONG_AXES, SIGMOID, MASKED_LATE, ON_AVERAGE])
                if {*some} not in (set(), {WRONG_AXIS})
            ],
        ),
        Mistake(
            "column_sums",
            _asked(5, 7, axis=0),
            "You call the wrong axis sound and the right one broken. Do you sum over the queries? With "
            "the identity as values the output is the weights: a row for each query, and it is the row "
            "that has to sum to 1.",
            also=[_asked(7, 7, axis=0)],
        ),
        Mistake(
            "wrong_axis_hidden",
            lambda attend: bool(
                (attend(torch.eye(3), torch.eye(3), torch.eye(3)).sum(1) - 1).abs().max() < 1e-4
            ),
            "Only the softmax over the queries slips through. With as many queries as keys its weights "
            "sum to 1 if the queries are all alike or if the scores are symmetric. Ask different things.",
        ),
        Mistake(
            "on_average",
            _says_true_to(*SOUND, ON_AVERAGE),
            "You look at the mean over the queries. The weights of one query may sum to a half and those of "
            "another to one and a half, and the mean is 1. Look at each query.",
            also=[_says_true_to(*SOUND, ON_AVERAGE, WRONG_AXIS)],
        ),
        Mistake(
            "one_query",
            _asked(1, 7),
            "Only the softmax over queries and keys together slips through. With one query it "
            "is the same as the right one. Ask at least two.",
        ),
        Mistake(
            "one_key",
            _asked(5, 1),
            "Only the mask after the softmax slips through. Its first queries have too little "
            "weight, and its last has all. Do you look at the last query only, or give a single key?",
        ),
        Mistake(
            "one_of_each",
            _asked(1, 1),
            "One query and one key are too few: a single weight is 1 whichever axis the softmax runs "
            "over. Take several of each, and not as many of one as of the other.",
        ),
        Mistake(
            "query_alone",
            _alone(0),
            "You test whether a query gets the same when others are asked beside it. That is a law too, and "
            "it catches a softmax over the wrong axis. But weights that nothing divides obey it, and a "
            "causal mask may break it. The task asks for the sum of the weights.",
            also=[_alone(-1)],
        ),
        Mistake(
            "reordered",
            _reordered,
            "You test whether the order of the keys (or of the queries) matters. That is a law of attention "
            "without positions, but a causal mask breaks it and wrong sums obey it. The task asks for "
            "the sum of the weights.",
            also=[_queries_reordered],
        ),
        Mistake(
            "depends_on_keys",
            _moves,
            "You test whether the output depends on the keys, as in exercise 2.7. Broken attention may do "
            "that too, and a uniform mean does not, though its weights sum to 1. Keep the keys and choose "
            "the values.",
        ),
    ],
    show_case=lambda attend: (
        f"attend = {attend!r}; its weights "
        + (
            "sum to 1, but for rounding"
            if attend.name in {x.name for x in SOUND}
            else "do not sum to 1"
        )
    ),
)

# 3.8 -------------------------------------------------------------------------------------------------


def regression_by_attention(
    attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
) -> Tensor:
    """Average the values by a Gaussian kernel, with nothing but attention."""
    return _by_attention()(attend, query, key, value, bandwidth)


def _by_attention(
    scale: Callable[[int, float], float] = lambda d, b: math.sqrt(d + 1) / b**2,
    feature: Callable[[Tensor], Tensor] = lambda key: -key.square().sum(-1, keepdim=True) / 2,
    one: Callable[[int, float], float] | None = None,
) -> Callable[..., Tensor]:
    """Make an answer that widens query and key by one number.

    Args:
        scale: the factor of the queries, from the width and the bandwidth.
        feature: the number that is put beside each key.
        one: the number beside each query; the factor if not given.
    """

    def answer(
        attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
    ) -> Tensor:
        factor = scale(query.shape[1], bandwidth)
        beside = factor if one is None else one(query.shape[1], bandwidth)
        queries = torch.cat([query * factor, torch.full((len(query), 1), beside)], dim=1)
        return attend(queries, torch.cat([key, feature(key)], dim=1), value)

    return answer


def _narrow(scale: Callable[[int, float], float]) -> Callable[..., Tensor]:
    """Make an answer that only scales the queries."""
    return lambda attend, q, k, v, b: attend(q * scale(q.shape[1], b), k, v)


def _lengths_multiplied(
    attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, bandwidth: float
) -> Tensor:
    queries, keys = (torch.cat([x, -x.square().sum(1, keepdim=True) / 2], 1) for x in (query, key))
    return attend(queries * math.sqrt(queries.shape[1]) / bandwidth**2, keys, value)


def _first_masked(query: Tensor, key: Tensor) -> Tensor:
    return _scores(query, key).masked_fill(torch.arange(len(key)) == 0, -INF).softmax(-1)


def _directly(query: Tensor, key: Tensor, value: Tensor, bandwidth: float) -> Tensor:
    return (_by_distance(query, key) / (2 * bandwidth**2)).softmax(-1) @ value


def _regression_case(
    attend: BlackBox, seed: int, n_queries: int, n_keys: int, d: int, d_v: int, bandwidth: float
) -> Case:
    query, key = numbers(seed, n_queries, d), numbers(seed + 1, n_keys, d)
    return attend, query, key, numbers(seed + 2, n_keys, d_v), bandwidth


REGRESSION = Exercise(
    number="3.8",
    title="Kernel regression by attention",
    solution=regression_by_attention,
    cases=lambda: [
        _regression_case(SCALED, 270, 3, 5, 2, 1, 0.8),
        _regression_case(SCALED, 273, 2, 7, 3, 5, 1.5),
        _regression_case(SCALED, 276, 7, 3, 5, 2, 1.2),
        _regression_case(
            BlackBox("scaled dot-product attention with the first key masked", _first_masked),
            279,
            2,
            5,
            3,
            1,
            1.3,
        ),
    ],
    mistakes=[
        Mistake(
            "length_forgotten",
            _narrow(lambda d, b: math.sqrt(d) / b**2),
            "A dot product alone is not a distance: keys far from the origin win, wherever the query is. "
            "Open the square: one part is the dot product, one depends on the query alone and cancels, "
            "and one differs from key to key. Where is that one in yours?",
            also=[
                _narrow(lambda d, b: 1.0),
                _narrow(lambda d, b: 1 / b),
                _narrow(lambda d, b: 1 / b**2),
                _narrow(lambda d, b: math.sqrt(d)),
                _narrow(lambda d, b: math.sqrt(d) / b),
                _narrow(lambda d, b: math.sqrt(d) / (2 * b**2)),
                _narrow(lambda d, b: 1 / (2 * b**2)),
            ],
        ),
        Mistake(
            "sign",
            _by_attention(feature=lambda key: key.square().sum(-1, keepdim=True) / 2),
            "The extra number has the wrong sign: keys far from the origin are preferred where they should "
            "be held back. The exponent has a minus in front of the whole square.",
            also=[_by_attention(feature=lambda key: key.square().sum(-1, keepdim=True))],
        ),
        Mistake(
            "not_halved",
            _by_attention(feature=lambda key: -key.square().sum(-1, keepdim=True)),
            "The squared length of the key counts twice as much as it should. Opening the square gives "
            "the dot product a factor of 2, and dividing all by it leaves one half before the length.",
        ),
        Mistake(
            "length_not_squared",
            _by_attention(feature=lambda key: -key.norm(dim=-1, keepdim=True) / 2),
            "The length of the key is not squared. Norms are square roots: what stands in the opened "
            "square is the sum of the squares.",
            also=[_by_attention(feature=lambda key: -key.norm(dim=-1, keepdim=True))],
        ),
        Mistake(
            "bandwidth_not_squared",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / b),
            "The bandwidth is not squared. The distance is, so both have to be: the exponent must not "
            "change when everything is given in centimetres instead of metres.",
            also=[
                _by_attention(scale=lambda d, b: math.sqrt(d) / b),
                _by_attention(scale=lambda d, b: 1 / b),
            ],
        ),
        Mistake(
            "bandwidth_twice",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / b**4),
            "The bandwidth acts twice, in the queries and again in the keys: in the product it comes to the "
            "fourth power. Once by its square, or each side by itself, is enough.",
        ),
        Mistake(
            "bandwidth_forgotten",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1)),
            "The bandwidth plays no part: your kernel has the same width whatever it is.",
            also=[
                _by_attention(scale=lambda d, b: math.sqrt(d)),
                _by_attention(scale=lambda d, b: 1.0),
            ],
        ),
        Mistake(
            "bandwidth_multiplied",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) * b**2),
            "A larger bandwidth makes your kernel narrower. It stands below the fraction, so scores "
            "become smaller as it grows.",
            also=[_by_attention(scale=lambda d, b: math.sqrt(d + 1) * b)],
        ),
        Mistake(
            "two_forgotten",
            _by_attention(scale=lambda d, b: 2 * math.sqrt(d + 1) / b**2),
            "Your kernel is too narrow: the factor 2 below the fraction is missing. Compare your exponent "
            "with the formula.",
        ),
        Mistake(
            "two_counted_twice",
            _by_attention(scale=lambda d, b: math.sqrt(d + 1) / (2 * b**2)),
            "Your kernel is too wide: scores are half of what they should be. If the dot product and half "
            "the squared length are your features, the 2 below the fraction is used up.",
        ),
        Mistake(
            "old_width",
            _by_attention(scale=lambda d, b: math.sqrt(d) / b**2),
            "You undo the scale of the old width. What is handed over is wider than that, and attend "
            "divides by the square root of the width that it is given.",
        ),
        Mistake(
            "scale_not_undone",
            _by_attention(scale=lambda d, b: 1 / b**2),
            "All is right but for one factor: attend divides by the square root of the width, and you did "
            "not undo it. Your kernel is wider than the bandwidth says.",
        ),
        Mistake(
            "scale_twice",
            _by_attention(scale=lambda d, b: 1 / (b**2 * math.sqrt(d + 1))),
            "The scale is applied once more instead of undone. attend divides by the square root of the "
            "width, so you have to multiply.",
        ),
        Mistake(
            "undone_without_root",
            _by_attention(scale=lambda d, b: (d + 1) / b**2),
            "You undo too much. attend divides by the square root of the width, not by the width. (Perhaps "
            "you undo it in the queries and again in the keys.)",
        ),
        Mistake(
            "length_not_scaled",
            _by_attention(one=lambda d, b: 1.0),
            "The dot product has all its factors, the squared length has not. Bandwidth and scale act on "
            "the whole exponent, so the number that meets the extra feature needs them too.",
            also=[
                _by_attention(one=lambda d, b: math.sqrt(d + 1)),
                _by_attention(one=lambda d, b: 1 / b**2),
            ],
        ),
        Mistake(
            "lengths_multiplied",
            _lengths_multiplied,
            "Query and key both have their squared length in the extra place, so the two lengths are "
            "multiplied. The exponent has a sum. What must stand beside the query, so that the product "
            "is the length of the key alone?",
        ),
        Mistake(
            "query_not_widened",
            lambda attend, q, k, v, b: attend(q, torch.cat([k, k[:, :1]], dim=1), v),
            "The keys are wider than the queries, so they cannot be multiplied. What must stand beside "
            "each query, so that the new number of the key goes into the score as it is?",
        ),
        Mistake(
            "attend_not_used",
            lambda attend, *rest: _directly(*rest),
            "The formula is right, but attend is not used for the result. One attend of the checker has its "
            "first key masked, and its prediction has to leave that one out. Build other "
            "queries and keys, and let attend do the rest.",
        ),
    ],
    laws=[
        Law(
            "a mean lies between the smallest and the largest of the values",
            lambda out, attend, q, k, v, b: _between_the_values(out, v),
        ),
    ],
)

EXERCISES = (ATTENTION, MASKS, BIAS, CROSS, GRADIENT, MERGED, LAW, REGRESSION)
"""The exercises of chapter 3."""
