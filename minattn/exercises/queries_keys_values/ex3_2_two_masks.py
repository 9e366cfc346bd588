"""Exercise 3.2: two masks in one."""

import math

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake
from minattn.masks import Causal, Padding

INF = math.inf


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


EXERCISE = Exercise(
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
        ),
        Mistake(
            "both_forbidden",
            lambda t: ~_lower(t) & ~_columns(t),
            "Your True marks what is in the future and padding too. Turned round, that would forbid only "
            "what is both. Here True means that a query may attend: no future, and no padding.",
        ),
        Mistake(
            "future_or_token",
            lambda t: ~_lower(t) | _columns(t),
            "Your two parts speak different languages, and or joins them: in the first True marks the "
            "future, in the second a token. Let True mean in both that a query may attend, and ask for both.",
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
            also=[lambda t: _rows(t) & _columns(t)],
        ),
        Mistake(
            "rows_only",
            lambda t: _square(_rows(t), t),
            "The future may be seen, and padding too: only the rows of padding are hidden, and a row is a "
            "query. Columns are what is looked at; and a triangle is missing.",
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
