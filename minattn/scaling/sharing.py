"""Less to keep for each token: heads that share keys and values, or make them from one small vector."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from minattn.checks import check_sizes
from minattn.dot_product import fused_attend
from minattn.masks import Mask, to_bool
from minattn.multihead import merge_heads, split_heads
from minattn.seam import Attend, check_lookup


def grouped_attend(
    query: Float[Tensor, "batch heads queries d_k"],
    key: Float[Tensor, "batch kv_heads keys d_k"],
    value: Float[Tensor, "batch kv_heads keys d_v"],
    mask: Mask = None,
    *,
    attend: Attend = fused_attend,
) -> Float[Tensor, "batch heads queries d_v"]:
    """Attend in many heads to the keys and values of few, without a copy of these for every head.

    Heads that share keys are as good as more queries of one head, so their queries are put one after the other.
    ``MultiHeadAttention(n_kv_heads=...)`` says the same by copying keys and values.

    Args:
        query: of all heads; ``heads / kv_heads`` neighbours share keys and values.
        key: of each group; of one group, multi-query attention.
        value: of each group.
        mask: as for ``attend``; it is spread over the heads as a tensor, unless there is one query and it is None.
        attend: how to attend.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if query, key and value are not of one floating-point type, or the mask is not bool.

    References:
        Shazeer 2019, arXiv:1911.02150, section 3; Ainslie et al. 2023, arXiv:2305.13245, section 2.2.

    >>> import torch
    >>> query, key = torch.zeros(1, 6, 4, 5), torch.zeros(1, 2, 3, 5)
    >>> grouped_attend(query, key, torch.zeros(1, 2, 3, 7)).shape
    torch.Size([1, 6, 4, 7])
    """
    if query.ndim != 4 or key.ndim != 4 or not key.shape[1] or query.shape[1] % key.shape[1]:
        raise ValueError(
            "query and key must have shapes (batch, heads, queries, d_k) and "
            "(batch, kv_heads, keys, d_k), where kv_heads divides heads, "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    batch, heads, queries, _ = query.shape
    groups, keys = key.shape[1:3]
    folded = query.reshape(batch, groups, -1, query.shape[-1])
    check_lookup(folded, key, value)
    if mask is not None:
        allowed = to_bool(mask, (batch, heads, queries, keys), query.device)
        allowed = allowed.expand(batch, heads, queries, keys)
        mask = allowed.reshape(batch, groups, -1, keys)
    output = attend(folded, key, value, mask)
    return output.reshape(batch, heads, queries, value.shape[-1])


class LatentAttention(nn.Module):
    r"""Multi-head attention whose keys and values are made of one small vector for each token.

    .. math:: c_j = x_j W_c, \qquad k_{j,h} = c_j U_h, \qquad v_{j,h} = c_j V_h

    A cache keeps :math:`c_j` alone. To attend, the keys need not be made: with
    :math:`q\, (c\, U_h)^\top = (q\, U_h^\top)\, c^\top` every head asks with a query of the width of c, and all heads
    share the same keys and values, c itself. What was found is then turned by :math:`V_h`.

    Args:
        d_model: width of the tokens, and of all heads together.
        n_heads: how many heads.
        d_latent: width of what is kept.
        attend: how every head attends, with scaled dot products.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the width.

    References:
        DeepSeek-AI 2024 (DeepSeek-V2), arXiv:2405.04434, section 2.1. There queries too come from a small vector, and
        rotary positions, which would stand between q and U, have a small key of their own beside c.

    >>> import torch
    >>> layer, x = LatentAttention(d_model=6, n_heads=2, d_latent=4), torch.zeros(1, 5, 6)
    >>> layer(x[:, :3], x).shape, layer.latents(x).shape
    (torch.Size([1, 3, 6]), torch.Size([1, 5, 4]))
    """

    def __init__(
        self, d_model: int, n_heads: int, d_latent: int, *, attend: Attend = fused_attend
    ) -> None:
        super().__init__()
        check_sizes(d_model=d_model, n_heads=n_heads, d_latent=d_latent)
        if d_model % n_heads:
            raise ValueError(
                f"n_heads must divide the width, got {n_heads} heads for width {d_model}"
            )
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.latent_proj = nn.Linear(d_model, d_latent, bias=False)
        self.k_proj = nn.Linear(d_latent, d_model, bias=False)
        self.v_proj = nn.Linear(d_latent, d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)
        self.attend = attend

    def forward(
        self,
        query: Float[Tensor, "batch queries d_model"],
        tokens: Float[Tensor, "batch keys d_model"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Make keys and values of all heads, and attend to them.

        Args:
            query: the tokens that ask.
            tokens: the tokens that are offered and delivered.
            mask: as for ``attend``, over (batch, heads, queries, keys).
        """
        kept = self.latents(tokens)
        q, k, v = (
            split_heads(x, self.n_heads)
            for x in (self.q_proj(query), self.k_proj(kept), self.v_proj(kept))
        )
        output: Tensor = self.out_proj(merge_heads(self.attend(q, k, v, mask)))
        return output

    def latents(
        self, tokens: Float[Tensor, "batch keys d_model"]
    ) -> Float[Tensor, "batch keys d_latent"]:
        """Return the small vectors: a cache keeps these, and no more than these."""
        kept: Tensor = self.latent_proj(tokens)
        return kept

    def attend_to(
        self,
        query: Float[Tensor, "batch queries d_model"],
        kept: Float[Tensor, "batch keys d_latent"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Attend to small vectors as they are kept; the same as ``forward``, and no key is made."""
        up, down = (
            proj.weight.view(self.n_heads, self.d_head, -1) for proj in (self.k_proj, self.v_proj)
        )  # (heads, d_head, d_latent)
        q = split_heads(self.q_proj(query), self.n_heads) @ up
        c = kept.unsqueeze(1)
        # An attend divides by the root of the width of the latents, and ought to by that of the heads.
        q = q * math.sqrt(kept.shape[-1] / self.d_head)
        found = grouped_attend(q, c, c, mask, attend=self.attend)
        output: Tensor = self.out_proj(merge_heads(found @ down.mT))
        return output
