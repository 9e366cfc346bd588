"""What several tests share: tensors from a seed, every kind of attend, and inputs drawn for laws."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from minattn import alignment, dot_product, recurrent
from minattn.masks import Mask, to_bool
from minattn.translation import Memory, State, Translator
from minattn.vocabulary import BOS, EOS, PAD, token_mask

Attend = Callable[..., Tensor]

EXACT = {"rtol": 0.0, "atol": 0.0}
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}
"""The same sums in another order: float64 has 16 digits, and a sum here has at most some hundred terms."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Draw float64 numbers that depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def built(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Make a module with float64 weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().double()


def gaussian_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bandwidth: float = 0.7
) -> Tensor:
    scores = alignment.gaussian_scores(query, key, bandwidth)
    return alignment.weighted_sum(alignment.masked_softmax(scores, mask), value)


def dot_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = alignment.dot_scores(query, key)
    return alignment.weighted_sum(alignment.masked_softmax(scores, mask), value)


WEIGHTED: dict[str, Callable[[int], Attend]] = {
    "additive": lambda d: built(lambda: alignment.AdditiveAttention(d, d, 7)),
    "multiplicative": lambda d: built(lambda: alignment.MultiplicativeAttention(d, d)),
    "gaussian": lambda d: gaussian_attention,
    "dot": lambda d: dot_attention,
    "scaled dot": lambda d: dot_product.attend,
    "fused": lambda d: dot_product.fused_attend,
    "uniform": lambda d: alignment.uniform_attention,
    "tempered": lambda d: alignment.with_temperature(dot_attention, 0.5),
    "hard": lambda d: alignment.hard(dot_attention),
    "dropped": lambda d: alignment.WeightDropout(dot_attention, 0.5).eval(),
}
"""Every attend that mixes the values by weights, made for queries and keys of width d."""

EVERY: dict[str, Callable[[int], Attend]] = {
    **WEIGHTED,
    "final_state": lambda d: recurrent.final_state,
    "FinalStates": lambda d: recurrent.FinalStates(),
}
"""Every attend there is."""


def spelt_out(mask: Mask, shape: Sequence[int]) -> Tensor:
    """Turn any mask into a tensor with an answer for every place of the scores."""
    if mask is None:
        return torch.ones(shape, dtype=torch.bool)
    return to_bool(mask, shape).expand(shape)


class Inputs(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None


@st.composite
def attention_inputs(draw: st.DrawFn, blind: bool = True, mask: bool | None = None) -> Inputs:
    """Draw query, key, value (of even width) and perhaps a mask; with `blind`, a query may have no key."""
    batch, queries, keys, d = (draw(st.integers(1, 5)) for _ in range(4))
    d_value = 2 * draw(st.integers(1, 3))
    seed = draw(st.integers(0, 10_000))
    tensors = (
        normal(batch, queries, d, seed=seed),
        normal(batch, keys, d, seed=seed + 1),
        normal(batch, keys, d_value, seed=seed + 2),
    )
    if not (draw(st.booleans()) if mask is None else mask):
        return Inputs(*tensors, None)
    rows = draw(st.sampled_from([1, queries]))
    allowed = normal(batch, rows, keys, seed=seed + 3) > 0
    if not blind:
        allowed[..., draw(st.integers(0, keys - 1))] = True
    return Inputs(*tensors, allowed)


class Phrasebook(Translator):
    """A translator that knows some sentences by heart, and says nothing but EOS to all others."""

    def __init__(self, phrases: dict[tuple[int, ...], tuple[int, ...]], vocab_size: int) -> None:
        super().__init__()
        self.phrases = phrases
        self.vocab_size = vocab_size
        self.read: list[list[int]] = []
        self.modes: list[bool] = []

    def encode(self, source: Tensor) -> Memory:
        self.modes.append(self.training)
        return Memory(source[..., None].double(), token_mask(source))

    def start(self, memory: Memory) -> State:
        return (torch.zeros(len(memory.states), dtype=torch.long),)

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        self.read.append(token.tolist())
        (position,) = state
        logits = torch.zeros(len(token), self.vocab_size, dtype=torch.float64)
        for row, ids in enumerate(memory.states[..., 0].long().tolist()):
            phrase = (*self.phrases.get(tuple(i for i in ids if i not in (PAD, EOS)), ()), EOS)
            # After the end it goes on talking, as a trained model would: whoever listens must stop.
            logits[row, phrase[position[row]] if position[row] < len(phrase) else BOS] = 1.0
        return logits, (position + 1,)
