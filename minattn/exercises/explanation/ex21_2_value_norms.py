"""Exercise 21.2: how much is added: weights times values, as lengths."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Step = Callable[[Tensor], Tensor]


def contributions(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    """Return the length of what each key adds to the output of each query, all heads together."""
    return _length(_added(weights, value, w_out))


def _length(x: Tensor) -> Tensor:
    """Return the length of each vector."""
    return x.square().sum(-1).sqrt()


def _by_heads(value: Tensor, w_out: Tensor) -> Tensor:
    """Cut the output projection into the rows of each head."""
    n_heads, _, d_head = value.shape
    return w_out.view(n_heads, d_head, -1)


def _interleaved(value: Tensor, w_out: Tensor) -> Tensor:
    """Give every n-th row to a head."""
    n_heads, _, d_head = value.shape
    return w_out.view(d_head, n_heads, -1).transpose(0, 1)


def _first_rows_for_all(value: Tensor, w_out: Tensor) -> Tensor:
    return w_out[: value.shape[-1]].expand(len(value), -1, -1)


def _added(
    weights: Tensor,
    value: Tensor,
    w_out: Tensor,
    cut: Callable[[Tensor, Tensor], Tensor] = _by_heads,
) -> Tensor:
    """Return what each key adds to the output of each query, (queries, keys, d_model)."""
    written = value @ cut(value, w_out)  # (heads, keys, d_model)
    return (weights[..., None] * written[:, None]).sum(0)


def _with_cut(cut: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda weights, value, w_out: _length(_added(weights, value, w_out, cut))


def _as(length: Step) -> Callable[..., Tensor]:
    return lambda weights, value, w_out: length(_added(weights, value, w_out))


def _weights_only(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    return weights.mean(0)


def _weights_summed(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    return weights.sum(0)


def _without_projection(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    """Take the length of the weighted values, the heads side by side."""
    return _length((weights[..., None] * value[:, None]).movedim(0, -1).flatten(-2))


def _values_summed(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    return _length((weights[..., None] * value[:, None]).sum(0))


def _values_lengths(weights: Tensor, value: Tensor, w_out: Tensor, total: Step) -> Tensor:
    return total(weights * _length(value)[:, None])


def _unweighted(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    return contributions(weights * 0 + 1, value, w_out)


def _unweighted_lengths(weights: Tensor, value: Tensor, w_out: Tensor, total: Step) -> Tensor:
    lengths = _length(value @ _by_heads(value, w_out))
    return total(lengths).expand_as(weights[0])


def _norms(weights: Tensor, value: Tensor, w_out: Tensor, total: Step) -> Tensor:
    """Take the length of what each head adds, and make one number of them."""
    written = value @ _by_heads(value, w_out)
    return total(weights * _length(written)[:, None])


def _sum(x: Tensor) -> Tensor:
    return x.sum(0)


def _mean(x: Tensor) -> Tensor:
    return x.mean(0)


def _largest(x: Tensor) -> Tensor:
    return x.amax(0)


def _root(x: Tensor) -> Tensor:
    return _length(x.movedim(0, -1))


def _mean_weights(weights: Tensor, value: Tensor, w_out: Tensor, total: Step = _mean) -> Tensor:
    """Weigh what all heads write by one weight."""
    written = (value @ _by_heads(value, w_out)).sum(0)
    return total(weights) * _length(written)


def _as_shares(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    lengths = contributions(weights, value, w_out)
    return lengths / lengths.sum(-1, keepdim=True)


def _by_the_largest(weights: Tensor, value: Tensor, w_out: Tensor) -> Tensor:
    lengths = contributions(weights, value, w_out)
    return lengths / lengths.amax(-1, keepdim=True)


def _case(seed: int, heads: int, queries: int, keys: int, d_head: int, d_model: int) -> Case:
    weights = (1.5 * numbers(seed, heads, queries, keys)).softmax(-1)
    value = numbers(seed + 1, heads, keys, d_head)
    value[:, 0] *= 0.1  # a key that may get weight, and adds next to nothing
    return weights, value, numbers(seed + 2, heads * d_head, d_model)


def _cases() -> list[Case]:
    return [
        _case(2120, 2, 2, 3, 3, 5),
        _case(2130, 3, 5, 7, 2, 11),
        _case(2140, 5, 3, 2, 7, 3),
    ]


EXERCISE = Exercise(
    number="21.2",
    title="Weights times values",
    solution=contributions,
    cases=_cases,
    mistakes=[
        Mistake(
            "weights_only",
            _weights_only,
            "This is the weights alone, all heads in one. A weight says which share of a value is taken, and not how "
            "large that is: much weight on a value near 0 adds next to nothing.",
            also=[_weights_summed],
        ),
        Mistake(
            "without_projection",
            _without_projection,
            "You measure the values before the output projection. What is added to the output has gone through w_out, "
            "which can blow up one direction and drop another. Multiply each head's values by its rows of "
            "w_out first.",
            also=[
                _values_summed,
                *(partial(_values_lengths, total=total) for total in (_sum, _mean, _largest)),
            ],
        ),
        Mistake(
            "unweighted",
            _unweighted,
            "The weights have no effect: every query gets the same lengths. Multiply what each head writes of a key "
            "by the weight that this head and query give to it.",
            also=[partial(_unweighted_lengths, total=total) for total in (_sum, _mean)],
        ),
        Mistake(
            "norms_of_heads",
            partial(_norms, total=_sum),
            "You take a length for each head and put the lengths together. Two heads may write the opposite of each "
            "other, and then their key adds nothing. First add the vectors of all heads, then take one length.",
            also=[partial(_norms, total=total) for total in (_mean, _largest, _root)],
        ),
        Mistake(
            "mean_weights",
            _mean_weights,
            "The weights of the heads are put together before they meet the values. Each head weighs its own "
            "values: multiply head by head, and add after that.",
            also=[partial(_mean_weights, total=_sum)],
        ),
        Mistake(
            "wrong_rows",
            _with_cut(_interleaved),
            "The heads get the wrong rows of w_out. The heads' values stand side by side before it, so the first "
            "d_head rows belong to head 0, the next ones to head 1: view(heads, d_head, d_model).",
            also=[_with_cut(_first_rows_for_all)],
        ),
        Mistake(
            "no_length",
            _as(lambda added: added.square().sum(-1)),
            "The vectors are right, and what you make of each is not its length. That is the square root of the "
            "sum of the squares: not the squares' sum or mean, nor a sum of amounts.",
            also=[
                _as(lambda added: added.abs().sum(-1)),
                _as(lambda added: added.square().mean(-1)),
                _as(lambda added: added.square().mean(-1).sqrt()),
                _as(lambda added: added.abs().mean(-1)),
                _as(lambda added: added.sum(-1)),
                _as(lambda added: added.mean(-1)),
            ],
        ),
        Mistake(
            "shared_out",
            _as_shares,
            "The lengths of each query are divided by their sum, or by the largest. That looks like weights, and "
            "hides how much is added in all. Here the lengths are asked for as they are.",
            also=[_by_the_largest],
        ),
    ],
    laws=[
        Law("a length is not below 0", lambda out, *case: bool((out >= 0).all())),
        Law(
            "values twice as large add twice as much",
            lambda out, weights, value, w_out: bool(
                ((2 * out - contributions(weights, 2 * value, w_out)).abs() < 1e-3).all()
            ),
        ),
    ],
)
