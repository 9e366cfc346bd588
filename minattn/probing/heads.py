"""What a head does, and what is lost without it (chapter 21)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_floats, check_integers, check_sizes
from minattn.masks import Mask, to_bool
from minattn.pointing import pointing
from minattn.recording import attending
from minattn.seam import Attend


def places(
    ids: Int[Tensor, "batch seq"], special: Iterable[int] = ()
) -> dict[str, Bool[Tensor, "batch seq seq"]]:
    """Say for the roles that heads are known for at which keys each query would look.

    Args:
        ids: texts that attend to themselves.
        special: ids of tokens that stand for nothing, such as separators.

    Returns:
        "itself", "previous", "next" and "first" tokens; "same token": the same one at other places; "after same
        token": what stands behind the same one elsewhere, where a text that repeats itself goes on; "special" ones.

    References:
        Clark et al. 2019, arXiv:1906.04341, section 3; after the same token: Olsson et al. 2022, arXiv:2209.11895.

    >>> found = places(torch.tensor([[5, 7, 5]]))
    >>> found["same token"].int()
    tensor([[[0, 0, 1],
             [0, 0, 0],
             [1, 0, 0]]], dtype=torch.int32)
    """
    n = ids.shape[1]
    at = torch.arange(n, device=ids.device)
    apart = at[:, None] - at  # how far a key stands before a query
    same = (ids[:, :, None] == ids[:, None]) & (apart != 0)
    after = torch.zeros_like(same)
    after[:, :, 1:] = same[:, :, :-1]
    stand_for_nothing = torch.tensor(sorted(special), dtype=ids.dtype, device=ids.device)

    def spread(found: Tensor) -> Tensor:
        return found.expand(len(ids), n, n)

    return {
        "itself": spread(apart == 0),
        "previous": spread(apart == 1),
        "next": spread(apart == -1),
        "first": spread(at[None] == 0),
        "same token": same,
        "after same token": after,
        "special": spread(torch.isin(ids, stand_for_nothing)[:, None]),
    }


class Role(NamedTuple):
    """How much weight heads have where a role has it.

    Args:
        weight: of each head, mean over the queries that have such a key.
        uniform: what it would be if all keys that may be looked at had the same.
    """

    weight: Float[Tensor, " heads"]
    uniform: float


def roles(
    weights: Float[Tensor, "batch heads queries keys"],
    known: Mapping[str, Bool[Tensor, "batch queries keys"]],
    allowed: Bool[Tensor, "batch queries keys"],
    counted: Bool[Tensor, "batch queries"],
) -> dict[str, Role]:
    """Measure how much weight each head has where each role has it.

    Args:
        weights: of one place that attends.
        known: the keys of each role; see ``places``.
        allowed: where a query may look.
        counted: which queries count, padding aside.

    Returns:
        The roles for which some query has a key.

    >>> weights = torch.tensor([[[[1.0, 0.0], [0.3, 0.7]]]])
    >>> allowed = torch.tensor([[[True, False], [True, True]]])
    >>> found = roles(weights, places(torch.tensor([[5, 7]])), allowed, torch.ones(1, 2).bool())
    >>> found["previous"]
    Role(weight=tensor([0.3000]), uniform=0.5)
    """
    check_floats(weights=weights)
    found = {}
    for name, keys in known.items():
        there = counted & (keys & allowed).any(-1)
        if bool(there.any()):
            score = pointing(weights, keys, there, allowed)
            found[name] = Role(score.mass.to(weights.dtype), score.chance)
    return found


@contextmanager
def without_heads(part: nn.Module, heads: Iterable[int]) -> Iterator[None]:
    """Let some heads of a place find zeros while the block runs.

    Args:
        part: one place that attends in several heads.
        heads: which of them, counted from 0.

    Raises:
        ValueError: if the place has no such head.

    References:
        Michel et al. 2019, arXiv:1905.10650; Voita et al. 2019, arXiv:1905.09418.
    """
    silent = sorted(set(heads))
    for head in silent:
        check_integers(head=head)

    def change(attend: Attend) -> Attend:
        def some(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
            found = attend(query, key, value, mask)
            n = found.shape[1] if found.ndim == 4 else 0
            if silent and not 0 <= silent[0] <= silent[-1] < n:
                raise ValueError(f"heads must be among the {n} that there are, got {silent}")
            return found.index_fill(1, torch.tensor(silent, dtype=torch.long), 0.0)

        return some

    with attending(part, change):
        yield


class NullKey(nn.Module):
    r"""An attend with one more key, at which nothing is to be found: its value is zero.

    .. math:: \alpha_{ij} = \frac{\exp e_{ij}}{\exp e_{i0} + \sum_k \exp e_{ik}}

    A query that has nothing to look for can look there, where it would look at the first token without. The weights
    of the others sum to less than 1.

    Args:
        attend: what is handed the longer list of keys.
        n_heads: of the attention.
        d_head: width of a key.
        learned: whether the key of each head is learned; else it is zero, and its score too.

    Raises:
        ValueError: if a size is below 1.

    References:
        torch's ``add_zero_attn`` has a zero key and value; a learned score without a value: OpenAI 2025,
        arXiv:2508.10925; sinks: Xiao et al. 2024, arXiv:2309.17453.

    >>> from minattn.dot_product import attend
    >>> x = torch.ones(1, 1, 1, 2)
    >>> NullKey(attend, n_heads=1, d_head=2, learned=False)(0 * x, x, x)  # two keys alike, one with nothing
    tensor([[[[0.5000, 0.5000]]]])
    """

    def __init__(self, attend: Attend, n_heads: int, d_head: int, learned: bool = True) -> None:
        super().__init__()
        check_sizes(n_heads=n_heads, d_head=d_head)
        self.inner = attend
        self.null = nn.Parameter(torch.zeros(n_heads, 1, d_head), requires_grad=learned)

    def forward(
        self,
        query: Float[Tensor, "batch heads queries d_head"],
        key: Float[Tensor, "batch heads keys d_head"],
        value: Float[Tensor, "batch heads keys d_value"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch heads queries d_value"]:
        """Attend to one key more, behind the others."""
        key = torch.cat([key, self.null.expand(len(key), -1, -1, -1)], dim=-2)
        shape = (*query.shape[:-1], key.shape[-2] - 1)
        if mask is not None:
            mask = F.pad(to_bool(mask, shape, key.device), (0, 1), value=True)
        return self.inner(query, key, F.pad(value, (0, 0, 0, 1)), mask)
