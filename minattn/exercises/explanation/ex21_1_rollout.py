"""Exercise 21.1: attention rollout."""

from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from minattn.exercises.exercise import Case, Exercise, Law, Mistake, numbers

Step = Callable[[Tensor], Tensor]
"""Changes the tables of all layers, or the heads of one."""


def rollout(weights: Tensor) -> Tensor:
    """Return how much of each token a position of the last layer holds, if half of it stays in every layer."""
    return _rolled(weights)


def _mean(weights: Tensor) -> Tensor:
    return weights.mean(1)


def _sum(weights: Tensor) -> Tensor:
    return weights.sum(1)


def _largest(weights: Tensor) -> Tensor:
    return weights.amax(1)


def _largest_as_shares(weights: Tensor) -> Tensor:
    largest = weights.amax(1)
    return largest / largest.sum(-1, keepdim=True)


def _same_size(tables: Tensor) -> Tensor:
    return torch.eye(tables.shape[-1])


def _half(tables: Tensor) -> Tensor:
    return (tables + _same_size(tables)) / 2


def _whole(tables: Tensor) -> Tensor:
    return tables + _same_size(tables)


def _nothing(tables: Tensor) -> Tensor:
    return tables


def _halved_alone(tables: Tensor) -> Tensor:
    return tables / 2


def _last_on_the_left(tables: Sequence[Tensor]) -> Tensor:
    return reduce(lambda below, table: table @ below, tables)


def _first_on_the_left(tables: Sequence[Tensor]) -> Tensor:
    return reduce(torch.matmul, tables)


def _element_by_element(tables: Sequence[Tensor]) -> Tensor:
    return reduce(torch.mul, tables)


def _element_by_element_as_shares(tables: Sequence[Tensor]) -> Tensor:
    product = _element_by_element(tables)
    return product / product.sum(-1, keepdim=True)


def _rolled(
    weights: Tensor,
    *,
    heads: Step = _mean,
    residual: Step = _half,
    product: Callable[[Sequence[Tensor]], Tensor] = _last_on_the_left,
) -> Tensor:
    """Multiply tables layer by layer, each step done in some way.

    Args:
        weights: (layers, heads, queries, keys), the first layer first.
        heads: makes one table of a layer's heads.
        residual: adds what stays where it is.
        product: makes one table of all layers'.
    """
    return product(list(residual(heads(weights))))


def _heads_apart(weights: Tensor, residual: Step = _half) -> Tensor:
    """Follow each head alone, and take the mean of what comes out."""
    return torch.stack(
        [_rolled(head[:, None], residual=residual) for head in weights.unbind(1)]
    ).mean(0)


def _last_layer(weights: Tensor) -> Tensor:
    return weights[-1].mean(0)


def _last_layer_with_half(weights: Tensor) -> Tensor:
    return _half(weights[-1].mean(0))


def _mean_of_layers(weights: Tensor) -> Tensor:
    return weights.mean((0, 1))


def _mean_of_layers_with_half(weights: Tensor) -> Tensor:
    return _half(weights.mean((0, 1)))


def _first_layer(weights: Tensor) -> Tensor:
    return weights[0].mean(0)


def _transposed(weights: Tensor) -> Tensor:
    return rollout(weights).T


def _transposed_tables(weights: Tensor) -> Tensor:
    """Multiply tables whose columns sum to 1."""
    return rollout(weights.mT)


def _case(seed: int, layers: int, heads: int, tokens: int, causal: bool = False) -> Case:
    scores = 1.5 * numbers(seed, layers, heads, tokens, tokens)
    if causal:
        seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1),)


def _cases() -> list[Case]:
    return [
        _case(2110, 2, 2, 3),
        _case(2111, 3, 2, 5, causal=True),
        _case(2112, 5, 3, 7),
        _case(2113, 1, 5, 3),
    ]


EXERCISE = Exercise(
    number="21.1",
    title="Attention rollout",
    solution=rollout,
    cases=_cases,
    mistakes=[
        Mistake(
            "wrong_order",
            partial(_rolled, product=_first_on_the_left),
            "The layers are multiplied in the wrong order. A row says where a query looks. So the table of the last "
            "layer stands on the left, and each of its columns is a row of the layer below: A_last @ ... @ A_first.",
        ),
        Mistake(
            "no_residual",
            partial(_rolled, residual=_nothing),
            "The residual connection is left out: you multiply the weights alone. In each layer a position keeps what "
            "it had, and the attention is added to that. Take the mean of the weights and the identity.",
            also=[
                partial(_rolled, residual=_nothing, product=_first_on_the_left),
                partial(_rolled, residual=_halved_alone),
            ],
        ),
        Mistake(
            "not_halved",
            partial(_rolled, residual=_whole),
            "Identity and weights are added and not divided by 2. Each row of a layer's table then sums to 2, "
            "and after L layers to 2 to the power of L. Shares sum to 1.",
        ),
        Mistake(
            "heads_apart",
            _heads_apart,
            "You follow each head through all layers alone and take the mean at the end. But the layers "
            "above read what all heads wrote together: average the heads in each layer first, then multiply.",
            also=[partial(_heads_apart, residual=_nothing)],
        ),
        Mistake(
            "element_by_element",
            partial(_rolled, product=_element_by_element),
            "The tables are multiplied element by element, so only the way that stays at one pair counts. "
            "What i has of j comes over every k in between: a sum over k, which is the product of matrices, @.",
            also=[
                partial(_rolled, product=_element_by_element_as_shares),
                partial(_rolled, product=_element_by_element, residual=_nothing),
            ],
        ),
        Mistake(
            "one_table",
            _last_layer,
            "The layers are not multiplied: you use one of them, or their mean. What the last layer looks at are no "
            "tokens but positions, and each of these is a mixture already, by the layers below.",
            also=[_last_layer_with_half, _mean_of_layers, _mean_of_layers_with_half, _first_layer],
        ),
        Mistake(
            "transposed",
            _transposed,
            "Rows and columns have changed places. Row i is to say what position i of the last layer is made of, so "
            "rows sum to 1, as they do in the weights.",
            also=[_transposed_tables],
        ),
        Mistake(
            "heads_not_averaged",
            partial(_rolled, heads=_sum),
            "The heads of a layer are summed, or the largest weight is taken. Then rows no longer sum to 1, or "
            "a head that is sure counts for all. In rollout as it was proposed, a layer's table is the mean of "
            "its heads.",
            also=[partial(_rolled, heads=_largest), partial(_rolled, heads=_largest_as_shares)],
        ),
    ],
    laws=[
        Law(
            "what a position is made of sums to 1",
            lambda out, weights: bool(((out.sum(-1) - 1).abs() < 1e-4).all()),
        ),
    ],
)
