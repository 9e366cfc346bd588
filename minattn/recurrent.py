"""A recurrent encoder and decoder (chapter 1), with a place for an ``attend`` between them (chapter 2)."""

from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.checks import check_dropout, check_sizes
from minattn.masks import Mask, to_bool
from minattn.seam import Attend
from minattn.translation import (
    Memory,
    State,
    Table,
    Translator,
    definer,
    is_hooked,
    tokens_of,
)


def gru_step(
    x: Float[Tensor, "batch d_in"],
    h: Float[Tensor, "batch d_hidden"],
    w_x: Float[Tensor, "three_d_hidden d_in"],
    w_h: Float[Tensor, "three_d_hidden d_hidden"],
    b_x: Float[Tensor, " three_d_hidden"],
    b_h: Float[Tensor, " three_d_hidden"],
) -> Float[Tensor, "batch d_hidden"]:
    r"""Take one step of a gated recurrent unit.

    With reset gate :math:`r`, update gate :math:`z` and candidate :math:`n`,

    .. math:: h' = (1 - z) \odot n + z \odot h, \qquad n = \tanh(W_n x + b_n + r \odot (U_n h + c_n)).

    Args:
        x: the input of this step.
        h: the state before it.
        w_x: the input weights of r, z and n, one block below the other, as torch keeps them.
        w_h: the state weights of r, z and n.
        b_x: the biases that go with ``w_x``.
        b_h: the biases that go with ``w_h``.

    Returns:
        The state after the step.

    References:
        Cho et al. 2014, arXiv:1406.1078. The reset gate acts after the matrix product, as in torch.

    >>> cell = nn.GRUCell(2, 3)
    >>> x, h = torch.ones(1, 2), torch.zeros(1, 3)
    >>> ours = gru_step(x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    >>> torch.allclose(ours, cell(x, h))
    True
    """
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    h_r, h_z, h_n = (h @ w_h.T + b_h).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


def final_state(
    query: Float[Tensor, "batch queries d_query"],
    key: Float[Tensor, "batch keys d_key"],
    value: Float[Tensor, "batch keys d_value"],
    mask: Mask = None,
) -> Float[Tensor, "batch queries d_value"]:
    """Give every query the value at the last allowed position: one fixed context vector.

    It has the signature of attention, and attends to nothing: the query is not looked at.

    Args:
        query: read for its length only.
        key: not read.
        value: the states of an encoder that reads forwards.
        mask: True where a position is allowed, or a description; a query that has none gets zeros.

    Raises:
        ValueError: if there are not three axes, or the mask does not fit.
        TypeError: if the mask is not bool.

    References:
        Cho et al. 2014, arXiv:1406.1078; Sutskever et al. 2014, arXiv:1409.3215.

    >>> value = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> mask = torch.tensor([[[True, True, False]]])
    >>> final_state(torch.zeros(1, 1, 5), value, value, mask)
    tensor([[[2.]]])
    """
    if query.ndim != 3 or value.ndim != 3:
        raise ValueError(
            "query and value need shapes (batch, queries, d_query) and (batch, keys, d_value), "
            f"got {tuple(query.shape)} and {tuple(value.shape)}"
        )
    batch, n_queries, n_keys = query.shape[0], query.shape[1], value.shape[1]
    if mask is None:
        return value[:, -1:].expand(batch, n_queries, -1)
    allowed = to_bool(mask, (batch, n_queries, n_keys), value.device)
    allowed = allowed.expand(batch, allowed.shape[-2], n_keys)
    positions = torch.arange(1, n_keys + 1, device=value.device) * allowed  # 0 where not allowed
    last, index = positions.max(dim=-1)  # (batch, queries or 1)
    picked = value.gather(1, index[..., None].expand(-1, -1, value.shape[-1]))
    return torch.where((last > 0)[..., None], picked, 0.0).expand(batch, n_queries, -1)


class FinalStates(nn.Module):
    """Give every query the last state of a forward encoder beside the first of a backward one.

    This is ``final_state`` for a bidirectional encoder: in each direction, the state that has read everything.
    """

    def forward(
        self,
        query: Float[Tensor, "batch queries d_query"],
        key: Float[Tensor, "batch keys d_key"],
        value: Float[Tensor, "batch keys d_value"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch queries d_value"]:
        """Read the two halves of the value where each is complete; see ``final_state``.

        Raises:
            ValueError: if the width of the value is odd, or as in ``final_state``.
            TypeError: if the mask is not bool.
        """
        if value.shape[-1] % 2:
            raise ValueError(
                f"two directions share d_value evenly, so it must be even, got {value.shape[-1]}"
            )
        forwards, backwards = value.chunk(2, dim=-1)
        if mask is not None:
            shape = (*query.shape[:-1], value.shape[-2])
            mask = to_bool(mask, shape, value.device)
        flipped = None if mask is None else mask.flip(-1)
        last = final_state(query, key, forwards, mask)
        first = final_state(query, key, backwards.flip(1), flipped)
        return torch.cat([last, first], dim=-1)


class Encoder(nn.Module):
    """Read a source with a gated recurrent unit; keep the state at every position.

    Args:
        vocab_size: how many different ids there are.
        d_model: width of the embeddings and of the states.
        bidirectional: read in both directions, each with half the width.

    Raises:
        ValueError: if a size is below 1, or ``d_model`` is odd and ``bidirectional`` is set.

    References:
        Cho et al. 2014, arXiv:1406.1078; in two directions, Bahdanau et al. 2015, arXiv:1409.0473, section 3.2.

    >>> memory = Encoder(vocab_size=30, d_model=8)(torch.tensor([[5, 6, 2]]))
    >>> memory.states.shape, memory.mask
    (torch.Size([1, 3, 8]), tensor([[True, True, True]]))
    """

    def __init__(self, vocab_size: int, d_model: int, bidirectional: bool = False) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size, d_model=d_model)
        if bidirectional and d_model % 2:
            raise ValueError(
                f"two directions share d_model evenly, so it must be even, got {d_model}"
            )
        self.embedding = Table(vocab_size, d_model, "source")
        self.gru = nn.GRU(
            d_model,
            d_model // 2 if bidirectional else d_model,
            batch_first=True,
            bidirectional=bidirectional,
        )

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Encode ids padded with ``PAD``; states at padded positions are zero."""
        mask = tokens_of(source, source_mask)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(source), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=source.shape[1]
        )
        return Memory(states, mask)


class RecurrentTranslator(Translator):
    """Encoder and decoder with gated recurrent units, and an ``attend`` between them.

    At step t the decoder has a state s, and attend turns the encoder's states into a context vector c:

    - attends="before": c comes from the state before the step and is read by it (Bahdanau),
      ``s_t = GRU([y_{t-1}; c_t], s_{t-1})`` with ``c_t = attend(s_{t-1}, h, h)``;
    - attends="after": c comes from the state after the step (Luong),
      ``s_t = GRU(y_{t-1}, s_{t-1})`` with ``c_t = attend(s_t, h, h)``.

    In both, ``logits = W tanh(V [s_t; c_t])``, and ``s_0 = tanh(U final)`` sees the source's final state.

    Args:
        source_vocab_size: how many source ids there are.
        target_vocab_size: how many target ids there are.
        d_model: width of embeddings, states and context.
        attend: ``attend(query, key, value, mask) -> output``; ``final_state`` is the fixed context vector.
        attends: where attend stands, "before" or "after" the recurrent step.
        bidirectional: whether the encoder reads in both directions.
        dropout: share of the context and state that is dropped in training, before the output layer.

    Raises:
        ValueError: if a size is below 1, ``attends`` is neither word or dropout is not in [0, 1).

    References:
        Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025. Simpler than both: one
        layer, one kind of output layer, no input feeding.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        *,
        d_model: int = 64,
        attend: Attend = final_state,
        attends: Literal["before", "after"] = "after",
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            d_model=d_model,
        )
        if attends not in ("before", "after"):
            raise ValueError(f"attends must be 'before' or 'after', got {attends!r}")
        check_dropout(dropout=dropout)
        self.encoder = Encoder(source_vocab_size, d_model, bidirectional)
        self.attend = attend
        self.attends = attends
        self.bidirectional = bidirectional
        self.embedding = Table(target_vocab_size, d_model, "target_in")
        self.bridge = nn.Linear(d_model, d_model)
        self.gru = nn.GRU(
            2 * d_model if attends == "before" else d_model, d_model, batch_first=True
        )
        self.combine = nn.Linear(2 * d_model, d_model)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(d_model, target_vocab_size)

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Read the source; one state for each position."""
        memory: Memory = self.encoder(source, source_mask)
        return memory

    def start(self, memory: Memory) -> State:
        """Make the decoder's first state from the encoder's final one."""
        final = FinalStates() if self.bidirectional else final_state
        summary = final(memory.states[:, :1], memory.states, memory.states, memory.mask[:, None])
        return (torch.tanh(self.bridge(summary[:, 0])),)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; return the logits of the next one and the new state."""
        (before,) = state
        x = self.embedding(token)
        if self.attends == "before":
            context = self._context(before[:, None], memory)[:, 0]
            after = self._gru_step(torch.cat([x, context], dim=-1), before)
        else:
            after = self._gru_step(x, before)
            context = self._context(after[:, None], memory)[:, 0]
        return self._logits(after, context), (after,)

    def forward(
        self,
        source: Shaped[Tensor, "batch source *features"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits under teacher forcing; all steps at once where no context waits for a state.

        A subclass with a ``step`` of its own is asked step by step.
        """
        if definer(self, "step") is not RecurrentTranslator:
            return super().forward(source, target_in, source_mask)
        memory = self.memory_of(source, source_mask, target_in)
        (first,) = self.start(memory)
        x = self.embedding(target_in)
        if self.attends == "after":
            states, _ = self.gru(x, first[None])
            context = self._context(states, memory)
        elif self.attend is final_state:  # the same context whatever the state, so no step waits
            context = self._context(x, memory)
            states, _ = self.gru(torch.cat([x, context], dim=-1), first[None])
        else:
            states, context = self._loop(x, first, memory)
        return self._logits(states, context)

    def _loop(
        self,
        x: Float[Tensor, "batch target d_model"],
        state: Float[Tensor, "batch d_model"],
        memory: Memory,
    ) -> tuple[Float[Tensor, "batch target d_model"], Float[Tensor, "batch target d_model"]]:
        """Attend before every step; return all states and all contexts."""
        attend = partial(self._context, memory=memory)
        over: Any = getattr(self.attend, "over", None)
        if over is not None and _is_its_own(self.attend):  # what the keys need is done once
            attend = over(memory.states, memory.states, memory.mask[:, None])
        states, contexts = [], []
        for token in x.unbind(1):
            contexts.append(attend(state[:, None])[:, 0])
            state = self._gru_step(torch.cat([token, contexts[-1]], dim=-1), state)
            states.append(state)
        return torch.stack(states, dim=1), torch.stack(contexts, dim=1)

    def _context(
        self, query: Float[Tensor, "batch queries d_model"], memory: Memory
    ) -> Float[Tensor, "batch queries d_model"]:
        return self.attend(query, memory.states, memory.states, memory.mask[:, None])

    def _gru_step(
        self, x: Float[Tensor, "batch d_in"], h: Float[Tensor, "batch d_model"]
    ) -> Float[Tensor, "batch d_model"]:
        w_x, w_h, b_x, b_h = self.gru.all_weights[0]
        return torch.gru_cell(x, h, w_x, w_h, b_x, b_h)

    def _logits(
        self, state: Float[Tensor, "*batch d_model"], context: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch vocab"]:
        combined = torch.tanh(self.combine(torch.cat([state, context], dim=-1)))
        logits: Tensor = self.out_proj(self.dropout(combined))
        return logits


def _is_its_own(attend: Attend) -> bool:
    """Say whether ``over`` does what a call does: it was not left behind when somebody changed the call."""
    if isinstance(attend, nn.Module) and is_hooked(attend):
        return False
    places = (attend, *type(attend).__mro__)
    called = definer(attend, "forward" if isinstance(attend, nn.Module) else "__call__")
    owner = definer(attend, "over")
    return owner is not None and places.index(owner) <= places.index(called)
