"""Multi-head attention (chapter 5): several lookups side by side, each with its own part of the width."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from minattn.checks import check_integers, check_tensors
from minattn.dot_product import attend as plain_attend
from minattn.dot_product import fused_attend
from minattn.masks import Both, Mask
from minattn.seam import Attend


def split_heads(
    x: Shaped[Tensor, "*batch seq d_model"], n_heads: int
) -> Shaped[Tensor, "*batch heads seq d_head"]:
    """Cut the vector of every token into one part for each head.

    Args:
        x: one vector for each token.
        n_heads: into how many parts; the first ``d_head`` features go to the first head.

    Raises:
        ValueError: if the width cannot be cut into that many equal parts.
        TypeError: if the number of heads is no number.

    >>> x = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])  # two tokens, four features
    >>> split_heads(x, 2)
    tensor([[[1, 2],
             [5, 6]],
    <BLANKLINE>
            [[3, 4],
             [7, 8]]])
    """
    _check_divides(x.shape[-1], n_heads)
    return x.reshape(*x.shape[:-1], n_heads, x.shape[-1] // n_heads).transpose(-3, -2)


def merge_heads(
    x: Shaped[Tensor, "*batch heads seq d_head"],
) -> Shaped[Tensor, "*batch seq d_model"]:
    """Put the parts of every token side by side again; the inverse of ``split_heads``.

    >>> merge_heads(torch.tensor([[[1, 2], [5, 6]], [[3, 4], [7, 8]]]))
    tensor([[1, 2, 3, 4],
            [5, 6, 7, 8]])
    """
    return x.transpose(-3, -2).flatten(-2)


class MultiHeadAttention(nn.Module):
    r"""Several lookups side by side, and one projection that mixes what they found.

    .. math:: \operatorname{concat}(o_1, \dots, o_h)\, W_o, \qquad
        o_i = \operatorname{attend}(x_q W_{q,i},\; x_k W_{k,i},\; x_v W_{v,i})

    The projections of all heads are columns of one matrix, so there is one ``q_proj`` and not h of them.
    ``attend`` gets query (batch, heads, queries, d_head), key and value (batch, heads, keys, d_head): rotary
    positions and biases are values of ``attend``.

    Args:
        d_model: width of the tokens, and of all heads together.
        n_heads: how many heads; each has width ``d_model / n_heads``.
        n_kv_heads: how many heads have keys and values of their own; ``n_heads / n_kv_heads`` neighbouring
            heads share them. As many as heads if not given.
        bias: whether the four projections have a bias, as torch's have; the paper writes none.
        attend: how every head attends.

    Raises:
        ValueError: if a number is below 1 or does not divide the one it must divide.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; shared keys and values: Shazeer 2019,
        arXiv:1911.02150 (one for all heads), Ainslie et al. 2023, arXiv:2305.13245 (one for each group).

    >>> layer = MultiHeadAttention(d_model=6, n_heads=2)
    >>> layer(torch.zeros(1, 4, 6), torch.zeros(1, 5, 6), torch.zeros(1, 5, 6)).shape
    torch.Size([1, 4, 6])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        *,
        bias: bool = True,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_divides(d_model, n_heads)
        check_integers(n_kv_heads=n_kv_heads)
        if n_kv_heads < 1 or n_heads % n_kv_heads:
            raise ValueError(
                "n_kv_heads must be at least 1 and divide n_heads, "
                f"got {n_kv_heads} for {n_heads} heads"
            )
        self.d_model, self.n_heads, self.n_kv_heads = d_model, n_heads, n_kv_heads
        self.d_head = d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.k_proj = nn.Linear(d_model, n_kv_heads * self.d_head, bias=bias)
        self.v_proj = nn.Linear(d_model, n_kv_heads * self.d_head, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)
        self.attend = attend

    def forward(
        self,
        query: Float[Tensor, "batch queries d_model"],
        key: Float[Tensor, "batch keys d_model"],
        value: Float[Tensor, "batch keys d_model"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Attend in every head, and mix what they found.

        Args:
            query: the tokens that ask.
            key: the tokens that are offered; the same as the query in self-attention.
            value: the tokens that are delivered.
            mask: True where a query may attend, (queries, keys), (batch, queries, keys) or
                (batch, heads, queries, keys); or a description. A query that may attend to nothing finds
                zeros in every head, and so gets the bias of ``out_proj``.

        Raises:
            ValueError: if the shapes do not fit.
            TypeError: if the mask is not bool.
        """
        return self.attend_to(query, *self.keys_values(key, value), mask)

    def keys_values(
        self, key: Float[Tensor, "batch keys d_model"], value: Float[Tensor, "batch keys d_model"]
    ) -> tuple[
        Float[Tensor, "batch kv_heads keys d_head"], Float[Tensor, "batch kv_heads keys d_head"]
    ]:
        """Project what is offered and delivered. A cache keeps these, and no more than these."""
        for name, x in (("key", key), ("value", value)):
            self._check_tokens(name, x)
        return (
            split_heads(self.k_proj(key), self.n_kv_heads),
            split_heads(self.v_proj(value), self.n_kv_heads),
        )

    def attend_to(
        self,
        query: Float[Tensor, "batch queries d_model"],
        k: Float[Tensor, "batch kv_heads keys d_head"],
        v: Float[Tensor, "batch kv_heads keys d_head"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Attend to keys and values that were projected before."""
        self._check_tokens("query", query)
        self._check_heads(len(query), k, v)
        q = split_heads(self.q_proj(query), self.n_heads)  # (batch, heads, queries, d_head)
        shared = self.n_heads // self.n_kv_heads
        if shared > 1:
            k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        output: Tensor = self.out_proj(merge_heads(self.attend(q, k, v, _over_heads(mask))))
        return output

    @classmethod
    def from_torch(cls, layer: nn.MultiheadAttention) -> "MultiHeadAttention":
        """Make a layer with the weights of torch's.

        Args:
            layer: with keys and values of the width of the queries, and none of torch's extra keys.

        Returns:
            A layer that gives the same for tokens of shape (batch, seq, d_model), whatever ``batch_first`` of
            torch's says, but for queries that may attend to nothing (torch's give NaN). Dropout on the weights
            is not taken over.

        Raises:
            ValueError: if torch's layer has what ours has not.
        """
        if layer.in_proj_weight is None or layer.bias_k is not None or layer.add_zero_attn:
            raise ValueError(
                "only a layer without kdim, vdim, add_bias_kv and add_zero_attn can be taken over, got "
                f"kdim {layer.kdim}, vdim {layer.vdim}, add_bias_kv {layer.bias_k is not None}, "
                f"add_zero_attn {layer.add_zero_attn} for embed_dim {layer.embed_dim}"
            )
        bias = layer.in_proj_bias is not None
        ours = cls(layer.embed_dim, layer.num_heads, bias=bias).to(layer.in_proj_weight)
        with torch.no_grad():
            for proj, weight in zip(ours._in_projs(), layer.in_proj_weight.chunk(3), strict=True):
                proj.weight.copy_(weight)
            if bias:
                for proj, part in zip(ours._in_projs(), layer.in_proj_bias.chunk(3), strict=True):
                    proj.bias.copy_(part)
        ours.out_proj.load_state_dict(layer.out_proj.state_dict())
        return ours.train(layer.training)

    def to_torch(self) -> nn.MultiheadAttention:
        """Make a layer of torch's, ``batch_first``, with the weights of this one.

        Raises:
            ValueError: if heads share keys and values, or attend is not plain attention: torch's layer has
                neither.
        """
        if self.n_kv_heads != self.n_heads:
            raise ValueError(
                "torch's layer has keys and values for every head, "
                f"got {self.n_kv_heads} for {self.n_heads} heads"
            )
        if self.attend not in (fused_attend, plain_attend):
            raise ValueError(f"torch's layer attends only as fused_attend, got {self.attend!r}")
        bias = self.q_proj.bias is not None
        theirs = nn.MultiheadAttention(self.d_model, self.n_heads, bias=bias, batch_first=True)
        theirs = theirs.to(self.q_proj.weight)
        with torch.no_grad():
            theirs.in_proj_weight.copy_(torch.cat([proj.weight for proj in self._in_projs()]))
            if bias:
                theirs.in_proj_bias.copy_(torch.cat([proj.bias for proj in self._in_projs()]))
        theirs.out_proj.load_state_dict(self.out_proj.state_dict())
        return theirs.train(self.training)

    def _check_heads(self, batch: int, k: Tensor, v: Tensor) -> None:
        wanted = (batch, self.n_kv_heads)
        if not tuple(k.shape[:2]) == tuple(v.shape[:2]) == wanted:
            raise ValueError(
                f"keys and values must begin with (batch, kv_heads) = {wanted}, "
                f"got {tuple(k.shape)} and {tuple(v.shape)}"
            )

    def _in_projs(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        return self.q_proj, self.k_proj, self.v_proj

    def _check_tokens(self, name: str, x: Tensor) -> None:
        check_tensors(**{name: x})
        if x.ndim != 3 or x.shape[-1] != self.d_model:
            raise ValueError(
                f"{name} must have shape (batch, seq, {self.d_model}), got {tuple(x.shape)}"
            )


def _over_heads(mask: Mask) -> Mask:
    """Give a tensor (batch, queries, keys) an axis for the heads, so that all heads have the same mask."""
    if isinstance(mask, Both):
        return Both(_over_heads(mask.first), _over_heads(mask.second))  # type: ignore[arg-type]
    if isinstance(mask, Tensor) and mask.ndim == 3:
        return mask.unsqueeze(1)
    return mask


def _check_divides(d_model: int, n_heads: int) -> None:
    check_integers(d_model=d_model, n_heads=n_heads)
    if n_heads < 1 or d_model < 1 or d_model % n_heads:
        raise ValueError(
            "n_heads must be at least 1 and divide the width, "
            f"got {n_heads} heads for width {d_model}"
        )
