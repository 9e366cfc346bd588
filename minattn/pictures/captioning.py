"""A captioner: chapter 2's decoder on a picture, whose memory is a grid of cells (chapter 15)."""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.checks import check_sizes
from minattn.dot_product import attend as scaled_dot_product
from minattn.masks import Mask
from minattn.pictures.patches import Places
from minattn.recording import attending
from minattn.seam import Attend
from minattn.translation import Memory, State, Table, Translator, check_vectors


class CellMemory(Memory):
    """A memory of cells that also holds their keys: what a cell offers and what it delivers are two things.

    Args:
        states: the values of the cells; else as in ``Memory``, and so is the mask.
        mask: see ``Memory``.
        keys: of the cells.
    """

    keys: Float[Tensor, "batch source d_key"]

    def __new__(
        cls,
        states: Float[Tensor, "batch source d_memory"],
        mask: Bool[Tensor, "batch source"],
        keys: Float[Tensor, "batch source d_key"],
    ) -> "CellMemory":
        """Make a memory of two parts, and keep the keys beside them."""
        memory = super().__new__(cls, states, mask)
        memory.keys = keys
        return memory

    def repeat(self, n: int) -> "CellMemory":
        """Return one in which each row stands n times, as beams need it."""
        return CellMemory(*super().repeat(n), self.keys.repeat_interleave(n, dim=0))


class Captioner(Translator):
    r"""Read the cells of a picture, and write what is in it, looking at some of them for each word.

    .. math:: \begin{aligned} h_t &= \operatorname{GRU}([e(y_{t-1}); c_{t-1}], h_{t-1}) \\
        c_t &= \operatorname{attend}(W_q h_t,\; W_k x + p_k,\; W_v x + p_v) \\
        g_t &= \operatorname{GRU}(e(y_{t-1}), g_{t-1}) \\
        \text{logits}_t &= W c_t + U g_t + b \end{aligned}

    The x are the cells, and the p say where each stands. The state h decides where to look and has no other way to a
    word. The state g has read the words so far and nothing of the picture: it knows that a name comes next, and not
    which. So whatever is said of the picture comes from where the model looks.

    Args:
        d_source: width of a cell.
        vocab_size: how many target ids there are.
        n_rows: rows of the grid.
        n_columns: cells in a row.
        d_model: width of the state that looks.
        d_words: width of what is read of a word, and of the state that reads words alone.
        d_head: width of a query, a key, a value and the context.
        attend: ``attend(query, key, value, mask) -> output``.

    Raises:
        ValueError: if a size is below 1.

    References:
        Xu et al. 2015 (Show, Attend and Tell), arXiv:1502.03044, section 3.1. There one state looks and speaks.
    """

    def __init__(
        self,
        d_source: int,
        vocab_size: int,
        *,
        n_rows: int = 10,
        n_columns: int = 10,
        d_model: int = 128,
        d_words: int = 64,
        d_head: int = 64,
        attend: Attend = scaled_dot_product,
    ) -> None:
        super().__init__()
        check_sizes(d_source=d_source, vocab_size=vocab_size, d_model=d_model)
        check_sizes(d_words=d_words, d_head=d_head)
        self.d_source, self.n_cells = d_source, n_rows * n_columns
        self.norm = nn.LayerNorm(d_source)
        self.k_proj = nn.Linear(d_source, d_head)
        self.v_proj = nn.Linear(d_source, d_head)
        self.key_places = Places(n_rows, n_columns, d_head)
        self.value_places = Places(n_rows, n_columns, d_head)
        self.embedding = Table(vocab_size, d_words, "target_in")
        self.gru = nn.GRUCell(d_words + d_head, d_model)
        self.q_proj = nn.Linear(d_model, d_head)
        self.attend = attend
        self.words = nn.GRUCell(d_words, d_words)
        self.out_proj = nn.Linear(d_head, vocab_size)
        self.words_proj = nn.Linear(d_words, vocab_size, bias=False)

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Reject what is not one vector for each cell; see ``check_vectors``."""
        check_vectors(source, self.d_source, source_mask)
        if source.shape[1] != self.n_cells:
            raise ValueError(
                f"source must have a vector for each of {self.n_cells} cells, got {source.shape[1]}"
            )

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> CellMemory:
        """Make a key and a value of every cell, once for all words."""
        everywhere = torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)
        cells = self.norm(source.to(self.norm.weight.dtype))
        return CellMemory(
            states=self.value_places(self.v_proj(cells)),
            mask=everywhere if source_mask is None else source_mask,
            keys=self.key_places(self.k_proj(cells)),
        )

    def start(self, memory: Memory) -> State:
        """Return two states and a context that know nothing of the picture."""
        widths = self.gru.hidden_size, memory.states.shape[-1], self.words.hidden_size
        return tuple(memory.states.new_zeros(len(memory.states), width) for width in widths)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; return the logits of the next one and the new state."""
        if not isinstance(memory, CellMemory):
            raise TypeError(f"a captioner needs the CellMemory of its encode, got {type(memory)}")
        before, context, said = state
        word = self.embedding(token)
        after = self.gru(torch.cat([word, context], dim=-1), before)
        query = self.q_proj(after)[:, None]
        context = self.attend(query, memory.keys, memory.states, memory.mask[:, None])[:, 0]
        said = self.words(word, said)
        return self.out_proj(context) + self.words_proj(said), (after, context, said)


def looking(weights: Float[Tensor, "batch keys"]) -> Attend:
    """Make an attend that looks where it is told, whatever is asked.

    Args:
        weights: of every key; they sum to 1.

    >>> attend, value = looking(torch.tensor([[0.0, 1.0]])), torch.tensor([[[3.0], [5.0]]])
    >>> attend(torch.zeros(1, 1, 7), torch.zeros(1, 2, 7), value)
    tensor([[[5.]]])
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Mask = None) -> Tensor:
        return (weights.to(value.dtype)[:, None] @ value).expand(-1, query.shape[1], -1)

    return attend


@torch.no_grad()
def steered(
    model: Translator,
    source: Shaped[Tensor, "batch source *features"],
    target_in: Int[Tensor, "batch target"],
    weights: Float[Tensor, "batch target source"],
) -> Float[Tensor, "batch target vocab"]:
    """Return what a model would say at each step, if in that step alone it looked elsewhere.

    Args:
        model: attends once in every step.
        source: what it reads.
        target_in: the right tokens before each step.
        weights: where to look in each step.

    Returns:
        The logits of every step. In the steps before, the model looks where it likes.

    Raises:
        ValueError: if there are not weights for each step and each place of the source.
    """
    memory = model.memory_of(source, None, target_in)
    shape = *target_in.shape, memory.states.shape[1]
    if weights.shape != shape:
        raise ValueError(
            f"weights must have shape (batch, target, source) = {shape}, got {tuple(weights.shape)}"
        )
    state = model.start(memory)
    logits = []
    for token, there in zip(target_in.unbind(1), weights.unbind(1), strict=True):
        with attending(model, partial(_instead, there)):
            logits.append(model.step(token, state, memory)[0])
        state = model.step(token, state, memory)[1]
    return torch.stack(logits, dim=1)


def _instead(weights: Tensor, attend: Attend) -> Attend:
    return looking(weights)
