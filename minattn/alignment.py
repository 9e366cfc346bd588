"""Soft attention (chapter 2): scores, weights, one context vector for each query, and reading alignments."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minattn.checks import check_dropout, check_floats, check_sizes
from minattn.masks import Mask, to_bool
from minattn.pointing import one_right_key, pointing
from minattn.seam import Attend, check_divisor, check_one_type, name_of, widened


def masked_softmax(
    scores: Float[Tensor, "*batch queries keys"],
    mask: Mask = None,
) -> Float[Tensor, "*batch queries keys"]:
    r"""Turn scores into weights that are positive and sum to one over the keys.

    .. math:: \alpha_{ij} = \frac{\exp e_{ij}}{\sum_{k \text{ allowed}} \exp e_{ik}}

    Args:
        scores: any real numbers; the last axis is the keys.
        mask: True where a query may attend.

    Returns:
        The weights; exactly zero where not allowed. A query that may attend to no key gets only zeros, with
        zero gradient. A score that is NaN or plus infinity makes its row NaN, also where it is masked.

    Raises:
        ValueError: if the mask does not fit.
        TypeError: if the scores are not floating-point numbers, or the mask is not bool.

    >>> masked_softmax(torch.tensor([[0.0, math.log(3.0), 5.0]]), torch.tensor([[True, True, False]]))
    tensor([[0.2500, 0.7500, 0.0000]])
    """
    check_floats(scores=scores)
    if mask is None:
        return scores.softmax(dim=-1)
    allowed = to_bool(mask, scores.shape, scores.device)
    blind = ~allowed.any(dim=-1, keepdim=True)
    bias = torch.zeros(allowed.shape, dtype=scores.dtype, device=scores.device)
    bias = bias.masked_fill(~allowed & ~blind, -math.inf)  # a row of only -inf would be NaN
    return (scores + bias).softmax(dim=-1) * ~blind


def weighted_sum(
    weights: Float[Tensor, "*batch queries keys"], value: Float[Tensor, "*batch keys d_value"]
) -> Float[Tensor, "*batch queries d_value"]:
    r"""Mix the values: :math:`c_i = \sum_j \alpha_{ij} v_j`, one context vector for each query.

    Weights of another type are rounded to that of the values.

    Raises:
        TypeError: if one of the two does not hold floating-point numbers.
    """
    check_floats(weights=weights, value=value)
    return weights.to(value.dtype) @ value


def gaussian_scores(
    query: Float[Tensor, "*batch queries d"],
    key: Float[Tensor, "*batch keys d"],
    bandwidth: float = 1.0,
) -> Float[Tensor, "*batch queries keys"]:
    r"""Score by nearness: :math:`e_{ij} = -\lVert q_i - k_j \rVert^2 / 2 b^2`. It has nothing to learn.

    With a softmax over the keys this is kernel regression.

    Args:
        query: where to predict.
        key: where something was observed.
        bandwidth: how far an observation reaches, in the units of query and key; from 1e-100 to 1e100.

    Returns:
        The scores; of narrow types in float32, and of a bandwidth below 1e-6 or above 1e6 in float64.

    Raises:
        ValueError: if the bandwidth is out of range.
        TypeError: if query and key are not of one floating-point type.

    References:
        Nadaraya 1964; Watson 1964.

    >>> gaussian_scores(torch.tensor([[0.0]]), torch.tensor([[0.0], [2.0]]))
    tensor([[-0., -2.]])
    """
    check_divisor(bandwidth=bandwidth)
    check_one_type(query=query, key=key)
    query, key = widened(query, bandwidth), widened(key, bandwidth)
    return -(query.unsqueeze(-2) - key.unsqueeze(-3)).square().sum(-1) / (2 * bandwidth**2)


def dot_scores(
    query: Float[Tensor, "*batch queries d"], key: Float[Tensor, "*batch keys d"]
) -> Float[Tensor, "*batch queries keys"]:
    r"""Score by the dot product: :math:`e_{ij} = q_i \cdot k_j` (Luong's "dot").

    Returns:
        The scores; of narrow types in float32, as their own has no room for large sums.

    Raises:
        TypeError: if query and key are not of one floating-point type.

    References:
        Luong et al. 2015, arXiv:1508.04025, section 3.1.
    """
    check_one_type(query=query, key=key)
    return widened(query) @ widened(key).transpose(-2, -1)


def additive_scores(
    query: Float[Tensor, "*batch queries d_hidden"],
    key: Float[Tensor, "*batch keys d_hidden"],
    v: Float[Tensor, " d_hidden"],
) -> Float[Tensor, "*batch queries keys"]:
    r"""Score a projected query and a projected key: :math:`e_{ij} = v^\top \tanh(q_i + k_j)`.

    Every query meets every key in the sum, so the result has both axes.

    Raises:
        TypeError: if the three are not of one floating-point type.

    References:
        Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.

    >>> additive_scores(torch.zeros(2, 5), torch.zeros(3, 5), torch.ones(5)).shape
    torch.Size([2, 3])
    """
    check_one_type(query=query, key=key, v=v)
    return (
        torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3)) @ v
    )  # (*batch, queries, keys, d_hidden) @ v


class SoftAttention(nn.Module, ABC):
    """Attention with scores of any kind: what comes after the score is always the same."""

    @abstractmethod
    def scores(
        self, query: Float[Tensor, "batch queries d_query"], key: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch queries keys"]:
        """Return the scores before the softmax."""

    def forward(
        self,
        query: Float[Tensor, "batch queries d_query"],
        key: Float[Tensor, "batch keys d_key"],
        value: Float[Tensor, "batch keys d_value"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_value"]:
        """Attend: score, softmax over the keys, mix the values."""
        check_one_type(query=query, key=key, value=value)
        return weighted_sum(masked_softmax(self.scores(query, key), mask), value)


class AdditiveAttention(SoftAttention):
    r"""Attention with additive scores: :math:`e_{ij} = v^\top \tanh(W q_i + U k_j + b)`.

    Args:
        d_query: width of a query.
        d_key: width of a key.
        d_hidden: width of the sum inside the tanh.

    References:
        Bahdanau et al. 2015, arXiv:1409.0473, section 3.1 and appendix A.1.2.

    >>> attend = AdditiveAttention(d_query=3, d_key=5, d_hidden=7)
    >>> attend(torch.zeros(1, 2, 3), torch.zeros(1, 4, 5), torch.zeros(1, 4, 6)).shape
    torch.Size([1, 2, 6])
    """

    def __init__(self, d_query: int, d_key: int, d_hidden: int) -> None:
        super().__init__()
        check_sizes(d_query=d_query, d_key=d_key, d_hidden=d_hidden)
        self.q_proj = nn.Linear(d_query, d_hidden, bias=False)
        self.k_proj = nn.Linear(d_key, d_hidden)
        self.v = nn.Parameter(torch.empty(d_hidden).uniform_(-1, 1) / math.sqrt(d_hidden))

    def scores(
        self, query: Float[Tensor, "batch queries d_query"], key: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch queries keys"]:
        """Return the scores before the softmax."""
        return additive_scores(self.q_proj(query), self.k_proj(key), self.v)

    def over(
        self,
        key: Float[Tensor, "batch keys d_key"],
        value: Float[Tensor, "batch keys d_value"],
        mask: Mask = None,
    ) -> Callable[[Tensor], Tensor]:
        """Project the keys once, for queries that come one after the other; return ``query -> output``.

        >>> attend = AdditiveAttention(d_query=3, d_key=5, d_hidden=7)
        >>> query, key, value = torch.ones(1, 2, 3), torch.ones(1, 4, 5), torch.ones(1, 4, 6)
        >>> torch.equal(attend.over(key, value)(query), attend(query, key, value))
        True
        """
        if type(self) is not AdditiveAttention:  # it may score in another way
            return lambda query: self(query, key, value, mask)
        projected = self.k_proj(key)

        def attend(query: Tensor) -> Tensor:
            scores = additive_scores(self.q_proj(query), projected, self.v)
            return weighted_sum(masked_softmax(scores, mask), value)

        return attend


class MultiplicativeAttention(SoftAttention):
    r"""Attention with multiplicative scores: :math:`e_{ij} = q_i^\top W k_j / \tau` (Luong's "general").

    Args:
        d_query: width of a query.
        d_key: width of a key.
        temperature: what the scores are divided by, from 1e-100 to 1e100; 1 is Luong's score.

    Raises:
        ValueError: if a width is below 1 or the temperature is out of range.

    References:
        Luong et al. 2015, arXiv:1508.04025, section 3.1.

    >>> attend = MultiplicativeAttention(d_query=3, d_key=5)
    >>> attend(torch.zeros(1, 2, 3), torch.zeros(1, 4, 5), torch.zeros(1, 4, 6)).shape
    torch.Size([1, 2, 6])
    """

    def __init__(self, d_query: int, d_key: int, temperature: float = 1.0) -> None:
        super().__init__()
        check_sizes(d_query=d_query, d_key=d_key)
        check_divisor(temperature=temperature)
        self.temperature = temperature
        self.k_proj = nn.Linear(d_key, d_query, bias=False)

    def scores(
        self, query: Float[Tensor, "batch queries d_query"], key: Float[Tensor, "batch keys d_key"]
    ) -> Float[Tensor, "batch queries keys"]:
        """Return the scores before the softmax; in float64 if the temperature is below 1e-6 or above 1e6."""
        return widened(dot_scores(query, self.k_proj(key)), self.temperature) / self.temperature


def uniform_attention(
    query: Float[Tensor, "*batch queries d_query"],
    key: Float[Tensor, "*batch keys d_key"],
    value: Float[Tensor, "*batch keys d_value"],
    mask: Mask = None,
) -> Float[Tensor, "*batch queries d_value"]:
    """Attend to every allowed position alike: the mean of the values, whatever the query.

    Raises:
        ValueError: if the mask does not fit.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    >>> value = torch.tensor([[[1.0], [2.0], [6.0]]])
    >>> uniform_attention(torch.zeros(1, 1, 4), value, value)
    tensor([[[3.]]])
    """
    check_one_type(query=query, key=key, value=value)
    scores = value.new_zeros(*query.shape[:-1], value.shape[-2])
    return weighted_sum(masked_softmax(scores, mask), value)


def attention_weights(
    attend: Attend,
    query: Float[Tensor, "*#batch queries d_query"],
    key: Float[Tensor, "*#batch keys d_key"],
    mask: Mask = None,
) -> Float[Tensor, "*#batch queries keys"]:
    """Find the weights of any attend by handing it the identity matrix as values.

    The output is weights times values, so with the identity as values the output is the weights. This works
    for every attend whose weights do not depend on the values, and that has one set of weights for a query
    (``FinalStates`` has two, one for each half of the value).

    >>> attention_weights(uniform_attention, torch.zeros(1, 1, 3), torch.zeros(1, 4, 3))
    tensor([[[0.2500, 0.2500, 0.2500, 0.2500]]])
    """
    identity = torch.eye(key.shape[-2], dtype=key.dtype, device=key.device)
    return attend(query, key, identity.expand(*key.shape[:-2], -1, -1), mask)


def with_temperature(attend: Attend, temperature: float) -> Attend:
    r"""Make an attend whose scores are divided by a temperature.

    Dividing scores by :math:`\tau` is the same as raising weights to the power :math:`1 / \tau` and dividing
    by their sum, so no attend needs to know of it.

    Args:
        attend: any attend.
        temperature: 1 changes nothing; towards 0 the largest weight takes all; towards infinity all are equal.
            From 1e-100 to 1e100.

    Returns:
        An attend that can be pickled if the one it is made of can.

    Raises:
        ValueError: if the temperature is out of range.
    """
    check_divisor(temperature=temperature)
    return _Tempered(attend, temperature)


@dataclass(frozen=True, repr=False)
class _Tempered:
    attend: Attend
    temperature: float

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        check_one_type(query=query, key=key, value=value)
        weights = attention_weights(self.attend, query, key, mask)
        log_weights = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
        scores = widened(log_weights, self.temperature) / self.temperature
        return weighted_sum(masked_softmax(scores, mask), value)

    def __repr__(self) -> str:
        return f"with_temperature({name_of(self.attend)}, {self.temperature!r})"


def hard(attend: Attend) -> Attend:
    """Make an attend that gives all weight to the key with the largest one; the first of several.

    The choice has no gradient, so it is for trained weights, not for training. Where weights are NaN, it is NaN.

    Returns:
        An attend that can be pickled if the one it is made of can.

    References:
        Xu et al. 2015, arXiv:1502.03044, sections 4.1 and 4.2, on hard and soft attention.
    """
    return _Hard(attend)


@dataclass(frozen=True, repr=False)
class _Hard:
    attend: Attend

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        check_one_type(query=query, key=key, value=value)
        weights = attention_weights(self.attend, query, key, mask)
        one_hot = torch.zeros_like(weights).scatter(-1, weights.argmax(-1, keepdim=True), 1.0)
        total = weights.detach().sum(-1, keepdim=True)  # 0 if there is nothing to attend to
        return weighted_sum(one_hot * torch.where(total.isnan(), total, total > 0), value)

    def __repr__(self) -> str:
        return f"hard({name_of(self.attend)})"


class WeightDropout(nn.Module):
    """Make an attend that drops attention weights in training, and scales up the ones that stay.

    In training the weights of a query no longer sum to 1, but do so on average. In evaluation nothing changes.

    Args:
        attend: any attend.
        p: share of the weights that is dropped.

    Raises:
        ValueError: if p is not in [0, 1).

    References:
        Srivastava et al. 2014, JMLR 15(56).
    """

    def __init__(self, attend: Attend, p: float) -> None:
        super().__init__()
        check_dropout(p=p)
        self.inner = attend
        self.dropout = nn.Dropout(p)

    def forward(
        self,
        query: Float[Tensor, "*batch queries d_query"],
        key: Float[Tensor, "*batch keys d_key"],
        value: Float[Tensor, "*batch keys d_value"],
        mask: Mask = None,
    ) -> Float[Tensor, "*batch queries d_value"]:
        """Attend with some weights dropped."""
        check_one_type(query=query, key=key, value=value)
        return weighted_sum(self.dropout(attention_weights(self.inner, query, key, mask)), value)


def entropy(weights: Float[Tensor, "*batch queries keys"]) -> Float[Tensor, "*batch queries"]:
    r"""Measure how spread weights are: :math:`H_i = -\sum_j \alpha_{ij} \ln \alpha_{ij}`.

    Returns:
        Nats: 0 where one key has all the weight, ln(keys) where all have the same.

    Raises:
        TypeError: if the weights are not floating-point numbers.

    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    tensor([0.0000, 0.6931])
    """
    check_floats(weights=weights)
    terms: Tensor = torch.special.entr(weights)
    return terms.sum(-1)


def alignment_accuracy(
    weights: Float[Tensor, "batch queries keys"], gold: Int[Tensor, "batch target"]
) -> float:
    """Score an alignment: how often the largest weight sits on the gold source position.

    Args:
        weights: one row for each target position; rows beyond the gold's length (the end of sequence) are
            not scored.
        gold: the right source position, -1 where there is none; those are not scored.

    Returns:
        The share of scored target tokens, from 0 to 1.

    Raises:
        ValueError: if shapes do not fit or nothing has a gold position.
    """
    if weights.shape[0] != gold.shape[0] or weights.shape[1] < gold.shape[1]:
        raise ValueError(
            "weights need the gold's batch and at least its target length, "
            f"got {tuple(weights.shape)} and {tuple(gold.shape)}"
        )
    if not bool((gold >= 0).any()):
        raise ValueError(
            "an alignment needs at least one target token with a gold position, got none"
        )
    truth = one_right_key(gold, weights.shape[2])
    found = pointing(weights[:, : gold.shape[1]], truth, counted=gold >= 0)
    return found.inside.item()
