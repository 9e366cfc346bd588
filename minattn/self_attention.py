"""Models of self-attention and little else (chapter 4): one answers in place, one goes on writing."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_sizes
from minattn.dot_product import DotProductAttention, fused_attend
from minattn.masks import CAUSAL, Mask, Padding
from minattn.seam import Attend, Positions
from minattn.translation import Memory, State, Table, Translator, check_ids, definer, tokens_of


class SelfAttentionStack(nn.Module):
    """Layers in which a sequence attends to itself; each adds what it found to what was there.

    Args:
        vocab_size: how many different tokens.
        d_model: width of a token's vector, and of the one head of each layer.
        n_layers: how many layers.
        positions: marks the places of the tokens, before the first layer; None leaves them out.
        attend: how every layer attends.

    Raises:
        ValueError: if a number is below 1.

    >>> stack = SelfAttentionStack(vocab_size=7, d_model=4, n_layers=2)
    >>> stack(torch.tensor([[3, 5, 6]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        d_model: int = 64,
        n_layers: int = 1,
        positions: Positions | None = None,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size, d_model=d_model, n_layers=n_layers)
        self.embedding = Table(vocab_size, d_model, "ids")
        self.positions = positions
        self.layers = nn.ModuleList(
            DotProductAttention(
                d_query=d_model, d_key=d_model, d_k=d_model, d_v=d_model, attend=attend
            )
            for _ in range(n_layers)
        )

    def forward(
        self, ids: Int[Tensor, "batch seq"], mask: Mask = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return one vector for each token.

        Args:
            ids: the tokens.
            mask: who may look where, for every layer.

        Raises:
            ValueError: if there is no vector for an id, or the mask does not fit.
            TypeError: if the ids are not whole numbers of dtype int64, or the mask is not bool.
        """
        x: Tensor = self.embedding(ids)
        if self.positions is not None:
            x = self.positions(x)
        for layer in self.layers:
            x = x + layer(x, x, x, mask)
        return x


class InPlaceTranslator(Translator):
    """Answer every source token in its own place, all at once.

    The target must be as long as the source. What was answered before is not read, so teacher forcing makes
    no difference, and the end of the target is whatever the model answers to the end of the source.

    Args:
        source_vocab_size: how many different source tokens.
        target_vocab_size: how many different target tokens.
        d_model: see ``SelfAttentionStack``; so are the others.
        n_layers: how many layers.
        positions: marks the places of the tokens.
        attend: how every layer attends.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        *,
        d_model: int = 64,
        n_layers: int = 1,
        positions: Positions | None = None,
        attend: Attend = fused_attend,
    ) -> None:
        super().__init__()
        self.stack = SelfAttentionStack(
            source_vocab_size,
            d_model=d_model,
            n_layers=n_layers,
            positions=positions,
            attend=attend,
        )
        check_sizes(target_vocab_size=target_vocab_size)
        self.readout = nn.Linear(d_model, target_vocab_size)

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Let the source attend to itself."""
        tokens = tokens_of(source, source_mask)
        return Memory(self.stack(source, Padding(tokens)), tokens)

    def start(self, memory: Memory) -> State:
        """Start at the first place."""
        return (torch.zeros(len(memory.states), dtype=torch.long, device=memory.states.device),)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Answer one place; beyond the end of a source, its last answer is given again."""
        (place,) = state
        return self._answer(memory, place[:, None])[:, 0], (place + 1,)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Answer all places at once; a subclass with a ``start`` or ``step`` of its own is asked step by step.

        Raises:
            ValueError: if the target is longer than the source, or as for every translator.
            TypeError: as for every translator.
        """
        if definer(self, "start", "step") is not InPlaceTranslator:
            return super().forward(source, target_in, source_mask)
        memory = self.memory_of(source, source_mask, target_in)
        if target_in.shape[1] > source.shape[1]:
            raise ValueError(
                "an answer in place cannot be longer than its source, "
                f"got {target_in.shape[1]} target and {source.shape[1]} source tokens"
            )
        places = torch.arange(target_in.shape[1], device=source.device)
        return self._answer(memory, places.expand(len(source), -1))

    def _answer(
        self, memory: Memory, places: Int[Tensor, "batch places"]
    ) -> Float[Tensor, "batch places vocab"]:
        last = memory.mask.sum(1, keepdim=True) - 1
        rows = torch.arange(len(places), device=places.device)[:, None]
        logits: Tensor = self.readout(memory.states[rows, places.minimum(last)])
        return logits


class LanguageModel(Translator):
    """Guess the next token from those before it: a decoder alone, under a causal mask.

    It is trained on targets only; the source of an example is not read.

    Args:
        vocab_size: how many different tokens.
        d_model: see ``SelfAttentionStack``; so are the others.
        n_layers: how many layers.
        positions: marks the places of the tokens.
        attend: how every layer attends.
        mask: who may look where; anything but a causal mask lets the model see what it is to guess.

    Raises:
        ValueError: if a number is below 1.

    References:
        Liu et al. 2018, arXiv:1801.10198, section 4.2.3, on a decoder alone.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        d_model: int = 64,
        n_layers: int = 1,
        positions: Positions | None = None,
        attend: Attend = fused_attend,
        mask: Mask = CAUSAL,
    ) -> None:
        super().__init__()
        self.stack = SelfAttentionStack(
            vocab_size, d_model=d_model, n_layers=n_layers, positions=positions, attend=attend
        )
        self.readout = nn.Linear(d_model, vocab_size)
        self.mask = mask

    def forward(
        self,
        source: Int[Tensor, "batch source"] | None,
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits of every token, each given those before it.

        A subclass with a ``start`` or ``step`` of its own is asked step by step.

        Raises:
            ValueError: if the batch or a sequence is empty, or there is no vector for an id.
            TypeError: if the ids are not whole numbers of dtype int64.
        """
        read = target_in if source is None else source
        check_ids(read, target_in, source_mask)
        if definer(self, "start", "step") is not LanguageModel:
            return super().forward(read, target_in, source_mask)
        logits: Tensor = self.readout(self.stack(target_in, self.mask))
        return logits

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Keep nothing of the source."""
        tokens = tokens_of(source, source_mask)
        return Memory(torch.zeros(*source.shape, 0, device=source.device), tokens)

    def start(self, memory: Memory) -> State:
        """Start with no token read."""
        return (memory.mask.new_zeros(len(memory.mask), 0, dtype=torch.long),)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one more token, and all those before it again."""
        tokens = torch.cat([state[0], token[:, None]], dim=1)
        return self.readout(self.stack(tokens, self.mask)[:, -1]), (tokens,)
