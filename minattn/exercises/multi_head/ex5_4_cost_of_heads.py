"""Exercise 5.4: what heads cost."""

from collections.abc import Callable, Sequence
from typing import Any

from minattn.exercises.exercise import Case, Exercise, Mistake


def count(d_model: int, n_heads: int, n_kv_heads: int, n: int) -> tuple[int, int]:
    """Count the weights of the four projections, and the products for a sequence of n tokens."""
    weights = _weights(d_model, n_heads, n_kv_heads)
    return weights, n * weights + _tables(d_model, n_heads, n_kv_heads, n)


def _weights(d: int, h: int, g: int) -> int:
    return 2 * d * d + 2 * d * g * (d // h)


def _tables(d: int, h: int, g: int, n: int) -> int:
    return 2 * n * n * d


Count = Callable[[int, int, int, int], tuple[int, int]]


def _other_weights(*ways: Callable[[int, int, int], int]) -> list[Count]:
    """Make answers that count other weights: the products follow from them, or are right all the same."""

    def answer(weights: Callable[[int, int, int], int], follow: bool) -> Count:
        return lambda d, h, g, n: (
            weights(d, h, g),
            n * (weights if follow else _weights)(d, h, g) + _tables(d, h, g, n),
        )

    return [answer(weights, follow) for weights in ways for follow in (True, False)]


def _other_tables(*ways: Callable[[int, int, int, int], int]) -> list[Count]:
    """Make answers that count other products for the scores and the averages."""

    def answer(tables: Callable[[int, int, int, int], int]) -> Count:
        return lambda d, h, g, n: (_weights(d, h, g), n * _weights(d, h, g) + tables(d, h, g, n))

    return [answer(tables) for tables in ways]


def _one_of(name: str, message: str, answers: Sequence[Count]) -> Mistake:
    return Mistake(name, answers[0], message, answers[1:])


def _weights_off(answer: Callable[..., Any], case: Case) -> tuple[str, str]:
    """Tell the first number by itself if it is wrong, whatever the second one is."""
    d, h, g = case[:3]
    right = _weights(d, h, g)
    try:
        weights, products = map(float, answer(*case))
    except (Exception, SystemExit):  # an error, or no two numbers
        return "", ""
    if right in (weights, products):  # right, or in the place of the products
        return "", ""
    sizes = f"d_model = {d}, n_heads = {h} and n_kv_heads = {g}"
    return f"With {sizes} there are {right} weights, and you count {weights:.10g}.", ""


EXERCISE = Exercise(
    number="5.4",
    title="What heads cost",
    solution=count,
    # On the first case no two mistakes count the same number of weights, or of products.
    cases=lambda: [(60, 12, 4, 7), (24, 6, 2, 7), (30, 6, 3, 5), (14, 2, 2, 3), (21, 3, 1, 11)],
    locate=_weights_off,
    mistakes=[
        _one_of(
            "full_matrix_for_each_head",
            "You count a matrix of d_model x d_model for every head. A head has d_model / n_heads "
            "features, so its matrix is d_model x d_head, and those of all n_heads heads side by side are "
            "d_model x d_model. That is why more heads do not cost more.",
            _other_weights(
                lambda d, h, g: 2 * (h + g) * d * d,
                lambda d, h, g: (h + 2 * g + 1) * d * d,
                lambda d, h, g: 4 * h * d * d,
                lambda d, h, g: (3 * h + 1) * d * d,
            ),
        ),
        _one_of(
            "full_matrix_for_each_shared_head",
            "You count a matrix of d_model x d_model for each head of keys or values. Such a head is as "
            "wide as any other: d_model features come in, and d_model / n_heads come out.",
            _other_weights(lambda d, h, g: 2 * d * d + 2 * d * d * g),
        ),
        _one_of(
            "input_sliced",
            "You count matrices of d_head x d_head, as if every head read a slice of the token. It reads "
            "the whole token: d_model features come in, and d_head come out.",
            _other_weights(
                lambda d, h, g: 2 * (h + g) * (d // h) ** 2,
                lambda d, h, g: (h + 2 * g) * (d // h) ** 2 + d * d,
            ),
        ),
        _one_of(
            "w_o_forgotten",
            "One projection is missing. There are four: for queries, keys, values, and the one that mixes "
            "what the heads found.",
            _other_weights(
                lambda d, h, g: d * d + 2 * d * g * (d // h),
                lambda d, h, g: 3 * d * d,
            ),
        ),
        _one_of(
            "one_head_counted",
            "You count the matrices of one head, d_model x d_head. There are n_heads of them for the "
            "queries, and n_kv_heads each for keys and values.",
            _other_weights(
                lambda d, h, g: 3 * d * (d // h) + d * d,
                lambda d, h, g: 4 * d * (d // h),
                lambda d, h, g: 2 * d * (d // h) + 2 * d * d,
            ),
        ),
        _one_of(
            "not_shared",
            "You count keys and values for all n_heads heads. There are n_kv_heads of them, each as wide "
            "as any other head, d_model / n_heads: so the two projections have n_kv_heads times d_head "
            "outputs.",
            _other_weights(lambda d, h, g: 4 * d * d),
        ),
        _one_of(
            "everything_shared",
            "You let the heads share their queries too, or the last projection is too small. Every head "
            "asks for itself and finds something of its own; only keys and values are shared.",
            _other_weights(
                lambda d, h, g: d * d + 3 * d * g * (d // h),
                lambda d, h, g: 4 * d * g * (d // h),
            ),
        ),
        _one_of(
            "one_of_two_shared",
            "You let the heads share the keys or the values, but not both. Both have n_kv_heads heads.",
            _other_weights(lambda d, h, g: 3 * d * d + d * g * (d // h)),
        ),
        _one_of(
            "one_counted_for_both",
            "You count one projection for keys and values together. Even where heads share them, keys and "
            "values are two: what a token can be found by, and what it hands over.",
            _other_weights(lambda d, h, g: 2 * d * d + d * g * (d // h)),
        ),
        _one_of(
            "group_size",
            "You take n_heads / n_kv_heads for the number of heads with keys and values. That is how many "
            "heads share one of them; the number itself is n_kv_heads.",
            _other_weights(lambda d, h, g: 2 * d * d + 2 * d * (h // g) * (d // h)),
        ),
        _one_of(
            "biases",
            "You count the biases too. They are few, and were not asked for.",
            _other_weights(lambda d, h, g: _weights(d, h, g) + 2 * d + 2 * g * (d // h)),
        ),
        _one_of(
            "tables_of_full_width",
            "The weights are right, the products are too many: you count d_model products for each score "
            "of each head. A score of a head takes d_head products, so all n_heads scores of a pair of "
            "tokens take d_model together.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * d * h, lambda d, h, g, n: n * n * d * (h + 1)
            ),
        ),
        _one_of(
            "one_table",
            "The weights are right, but something is missing in the products. Each pair of tokens takes "
            "d_model products for its scores, and as many once more when the values are averaged.",
            _other_tables(lambda d, h, g, n: n * n * d),
        ),
        _one_of(
            "sharing_saves_products",
            "The weights are right. In the products you take the number of shared keys for the number of "
            "tables. Every head still compares its own queries with the keys: sharing saves weights, and "
            "memory, but no score.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * g * (d // h),
                lambda d, h, g, n: n * n * (d + g * (d // h)),
            ),
        ),
        _one_of(
            "causal_pairs",
            "The weights are right. In the products you count only the pairs that a causal mask leaves. "
            "There is no mask here: each of the n tokens attends to all n.",
            _other_tables(lambda d, h, g, n: n * (n + 1) * d, lambda d, h, g, n: n * (n - 1) * d),
        ),
        _one_of(
            "one_head_in_tables",
            "The weights are right. In the products you count the scores and averages of one head. There "
            "are n_heads of them, each with d_head products for a pair of tokens.",
            _other_tables(lambda d, h, g, n: 2 * n * n * (d // h)),
        ),
        _one_of(
            "not_squared",
            "The weights are right. In the products every token should meet every token: n times n pairs "
            "for the scores, and again for the averages.",
            _other_tables(lambda d, h, g, n: 2 * n * d),
        ),
        _one_of(
            "no_width",
            "The weights are right. In the products you count the scores and not what they take. A score "
            "of a head is a sum of d_head products, and adding one value to an average takes d_head of "
            "them again.",
            _other_tables(
                lambda d, h, g, n: 2 * h * n * n,
                lambda d, h, g, n: h * n * n,
                lambda d, h, g, n: 2 * n * n,
                lambda d, h, g, n: n * n,
            ),
        ),
        _one_of(
            "no_tables",
            "The weights are right. The products are those of the projections only. The scores take some "
            "too, and so do the averages of the values: both grow with n times n.",
            _other_tables(lambda d, h, g, n: 0),
        ),
        _one_of(
            "softmax_counted",
            "The weights are right. You count the softmax or the scale as well, one for each score. They "
            "were not asked for: only the matrix products.",
            _other_tables(
                lambda d, h, g, n: 2 * n * n * d + h * n * n,
                lambda d, h, g, n: 2 * n * n * d + 2 * h * n * n,
            ),
        ),
        Mistake(
            "one_token_projected",
            lambda d, h, g, n: (_weights(d, h, g), _weights(d, h, g) + _tables(d, h, g, n)),
            "The weights are right. In the products you count the projections for one token: every weight "
            "is used once for each of the n tokens.",
        ),
        Mistake(
            "projections_forgotten",
            lambda d, h, g, n: (_weights(d, h, g), _tables(d, h, g, n)),
            "The weights are right. The products are those of scores and averages only. The four "
            "projections take some too: every weight is used once for each token.",
        ),
        Mistake(
            "w_o_left_out_of_the_products",
            lambda d, h, g, n: (_weights(d, h, g), count(d, h, g, n)[1] - n * d * d),
            "The weights are right. In the products one projection is missing: mixing what the heads "
            "found, by w_o, takes d_model times d_model products for each token.",
        ),
        Mistake(
            "sharing_ignored_in_products",
            lambda d, h, g, n: (_weights(d, h, g), 4 * n * d * d + _tables(d, h, g, n)),
            "The weights are right. In the products you project keys and values for all n_heads heads. "
            "There are n_kv_heads of them, so the smaller matrices take fewer products as well.",
        ),
        Mistake(
            "sums_counted",
            lambda d, h, g, n: (_weights(d, h, g), 2 * count(d, h, g, n)[1]),
            "The weights are right, and your second number is twice what was asked for, or partly so. If "
            "you count each product and its sum, that is what programs report as FLOP. Here only products "
            "count.",
            also=_other_tables(lambda d, h, g, n: 4 * n * n * d),
        ),
        Mistake(
            "order",
            lambda d, h, g, n: count(d, h, g, n)[::-1],
            "Both numbers are right and in the wrong order. The weights come first.",
        ),
        Mistake(
            "added",
            lambda d, h, g, n: sum(count(d, h, g, n)),
            "You added the two numbers. Return both, separated by a comma.",
        ),
        Mistake(
            "weights_only",
            lambda d, h, g, n: _weights(d, h, g),
            "The weights are right. The products are asked for as well: return both, separated by a comma.",
        ),
    ],
)
