"""Get sentences out of a trained model: search for a likely one, draw one, and read no token twice."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minattn.masks import Mask, Padding
from minattn.positions import LearnedPositions, SinusoidalPositions
from minattn.seam import Positions, check_sizes
from minattn.transformer import TransformerTranslator
from minattn.translation import Memory, State, Translator, check_ids, write
from minattn.vocabulary import BOS, EOS, PAD


class Beams(NamedTuple):
    """What a beam search found for each source, the best first.

    Args:
        ids: the targets without ``BOS``, each ended by ``EOS`` and filled up with ``PAD``; one that was cut at
            the greatest length has no ``EOS``.
        log_probs: the logarithm of each target's probability, in nats. Where there are fewer targets than
            beams, the rest has minus infinity and only ``PAD``.
        scores: what they are ranked by: ``log_probs`` over the length penalty.
    """

    ids: Int[Tensor, "batch beams target"]
    log_probs: Float[Tensor, "batch beams"]
    scores: Float[Tensor, "batch beams"]

    @property
    def best(self) -> Int[Tensor, "batch target"]:
        """The best target of each source, in the form that ``greedy`` returns."""
        best = self.ids[:, 0]
        return best[:, : int(_said(best).sum(1).max())]


def length_penalty(length: Float[Tensor, "*batch"], alpha: float) -> Float[Tensor, "*batch"]:
    r"""Return what the logarithm of a target's probability is divided by.

    .. math:: \left(\frac{5 + n}{6}\right)^\alpha

    A log probability is negative and falls with every token. Divided by more it is closer to zero, so the
    larger :math:`\alpha`, the better long targets do.

    Args:
        length: n, the tokens of a target with its ``EOS``.
        alpha: at least 0, which changes nothing; the paper takes 0.2.

    References:
        Wu et al. 2016, arXiv:1609.08144, section 7.

    >>> length_penalty(torch.tensor([1.0, 7.0]), alpha=1.0)
    tensor([1., 2.])
    """
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def beam_search(
    model: Translator,
    source: Int[Tensor, "batch source"],
    max_length: int = 50,
    *,
    n_beams: int = 4,
    alpha: float = 0.0,
) -> Beams:
    """Keep a few unfinished targets at every step, and go on with each in every way.

    A finished target keeps its place among the few until something better takes it. So one beam is ``greedy``,
    and with as many beams as there are targets nothing is ever dropped and the best one is found.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: ids of the source, padded with ``PAD``.
        max_length: cut a target after this many tokens.
        n_beams: how many are kept for each source.
        alpha: of ``length_penalty``, by which they are ranked at every step.

    Raises:
        ValueError: if a number is out of range or a source is empty.

    References:
        Graves 2012, arXiv:1211.3711; Sutskever et al. 2014, arXiv:1409.3215, section 3.2.
    """
    check_sizes(max_length=max_length, n_beams=n_beams)
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha}")
    check_ids(source)
    batch = len(source)
    memory = Memory(*(part.repeat_interleave(n_beams, dim=0) for part in model.encode(source)))
    state = model.start(memory)
    token = source.new_full((batch * n_beams,), BOS)
    ids = source.new_zeros(batch, n_beams, 0)
    log_probs = memory.states.new_full((batch, n_beams), -math.inf)
    log_probs[:, 0] = 0.0  # all beams begin alike: one of them is enough
    lengths = torch.zeros_like(log_probs)
    ended = torch.zeros_like(log_probs, dtype=torch.bool)
    first_row = torch.arange(0, batch * n_beams, n_beams)[:, None]
    for _ in range(max_length):
        logits, state = model.step(token, state, memory)
        steps = logits.log_softmax(-1).view(batch, n_beams, -1)  # (batch, beams, vocab)
        steps = torch.where(ended[..., None], _only_padding(steps), steps)
        totals = log_probs[..., None] + steps
        lengths = lengths + ~ended
        ranks = (totals / length_penalty(lengths, alpha)[..., None]).flatten(1)
        scores, chosen = ranks.topk(n_beams)  # (batch, beams)
        parent, next_token = chosen // steps.shape[-1], chosen % steps.shape[-1]
        log_probs = totals.flatten(1).gather(1, chosen)
        lengths, ended = lengths.gather(1, parent), ended.gather(1, parent)
        ids = ids.gather(1, parent[..., None].expand(-1, -1, ids.shape[-1]))
        ids = torch.cat([ids, next_token[..., None]], dim=-1)
        ended = ended | (next_token == EOS)
        if bool(ended.all()):
            break
        token = next_token.flatten()
        rows = (first_row + parent).flatten()
        state = tuple(part.index_select(0, rows) for part in state)
    ids = ids.masked_fill(log_probs[..., None].isneginf(), PAD)
    return Beams(ids, log_probs, scores)


def _only_padding(log_probs: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch vocab"]:
    """Make the one way in which a finished target goes on, and which costs nothing."""
    out = torch.full_like(log_probs, -math.inf)
    out[..., PAD] = 0.0
    return out


def sample(
    model: Translator,
    source: Int[Tensor, "batch source"],
    max_length: int = 50,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int[Tensor, "batch target"]:
    """Draw every token from what the model says; inside ``seeded`` the draw can be repeated.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: ids of the source, padded with ``PAD``.
        max_length: stop after this many tokens.
        temperature: the logits are divided by it first; below 1 likely tokens become likelier. Towards 0 this
            becomes ``greedy``, which is the one to call for 0.
        top_k: then draw only from this many tokens.
        top_p: then draw only from the likeliest tokens that together have at least this probability.

    Returns:
        The ids of the target, as from ``greedy``.

    Raises:
        ValueError: if a number is out of range or a source is empty.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(
            f"temperature must be a finite number above 0 (for 0 there is greedy), got {temperature}"
        )

    def choose(logits: Tensor) -> Tensor:
        logits = (logits - logits.amax(-1, keepdim=True)) / temperature  # at most 0: no overflow
        if top_k is not None:
            logits = keep_top_k(logits, top_k)
        if top_p is not None:
            logits = keep_top_p(logits, top_p)
        return torch.multinomial(logits.softmax(-1), 1)[:, 0]

    return write(model, source, choose, max_length)


def keep_top_k(logits: Float[Tensor, "*batch vocab"], k: int) -> Float[Tensor, "*batch vocab"]:
    """Keep the k largest logits of each row and set the others to minus infinity.

    Args:
        logits: any.
        k: at least 1; all are kept if there are no more than k.

    Raises:
        ValueError: if k is below 1.

    References:
        Fan et al. 2018, arXiv:1805.04833, section 5.4.

    >>> keep_top_k(torch.tensor([0.5, 2.0, 1.0]), 2)
    tensor([-inf, 2., 1.])
    """
    check_sizes(k=k)
    kept = logits.topk(min(k, logits.shape[-1])).indices
    return torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept))


def keep_top_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    """Keep the likeliest tokens, as few as have the probability p together; the others become minus infinity.

    Args:
        logits: any.
        p: above 0 and at most 1; the likeliest token is always kept.

    Raises:
        ValueError: if p is out of range.

    References:
        Holtzman et al. 2020, arXiv:1904.09751, section 3.1.

    >>> keep_top_p(torch.tensor([0.5, 0.3, 0.2]).log(), 0.7).exp()
    tensor([0.5000, 0.3000, 0.0000])
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, got {p}")
    if p == 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.double().softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # what the likelier ones have together
    ordered = ordered.masked_fill(before >= p, -math.inf)
    return torch.empty_like(logits).scatter(-1, order, ordered)


@torch.no_grad()
def log_probability(
    model: Translator, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
) -> Float[Tensor, " batch"]:
    """Return the logarithm of the probability that a model gives to each target, in nats.

    Args:
        model: any translator, in evaluation mode.
        source: ids of the sources.
        target: ids of the targets as ``greedy`` returns them: without ``BOS``, padded with ``PAD``.
    """
    first = target.new_full((len(target), 1), BOS)
    logits = model(source, torch.cat([first, target[:, :-1]], dim=1))
    log_probs: Tensor = logits.log_softmax(-1).gather(-1, target[..., None])[..., 0]
    return log_probs.masked_fill(~_said(target), 0.0).sum(1)


def _said(ids: Int[Tensor, "*batch target"]) -> Bool[Tensor, "*batch target"]:
    """Tell what a model said from the padding behind it; a ``PAD`` with something behind it was said."""
    return (ids != PAD).flip(-1).cumsum(-1).flip(-1) > 0


class Cached(Translator):
    """The same translator, which reads every target token only once.

    Under a causal mask the keys and values of a token depend on nothing that comes later, so they can be kept:
    those of the target so far, which grow by one in every step, and those of the source, which never change.
    Any way of writing works with it: ``greedy(Cached(model), source)``.

    Args:
        model: the translator; its weights are shared.

    Raises:
        TypeError: if it is no ``TransformerTranslator``.

    References:
        Shazeer 2019, arXiv:1911.02150, section 2.4.
    """

    def __init__(self, model: TransformerTranslator) -> None:
        super().__init__()
        if not isinstance(model, TransformerTranslator):
            raise TypeError(
                f"only a TransformerTranslator has keys and values to keep, got {type(model).__name__}"
            )
        self.model = model
        self.training = model.training

    def encode(self, source: Int[Tensor, "batch source"]) -> Memory:
        """Let the source attend to itself."""
        memory: Memory = self.model.encode(source)
        return memory

    def forward(
        self, source: Int[Tensor, "batch source"], target_in: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits under teacher forcing, all steps at once."""
        logits: Tensor = self.model(source, target_in)
        return logits

    def start(self, memory: Memory) -> State:
        """Project the memory once for every block, and keep room for no target token yet.

        The state has four tensors for each block: keys and values of the target, then of the source.
        """
        blocks: Any = self.model.decoder.blocks
        nothing = memory.states[:, :0]
        return tuple(
            kept
            for block in blocks
            for kept in (
                *block.self_attention.keys_values(nothing, nothing),
                *block.cross_attention.keys_values(memory.states, memory.states),
            )
        )

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; only this one goes through the blocks."""
        model = self.model
        x = model.target_embedding(token[:, None]) * model.embedding_scale
        x = model.dropout(_put(x, state[0].shape[2], model.positions))
        padding = None if bool(memory.mask.all()) else Padding(memory.mask)
        after: list[Tensor] = []
        for i, block in enumerate(model.decoder.blocks):
            x, kept = _block_step(block, x, state[4 * i : 4 * i + 4], padding)
            after += kept
        norm = model.decoder.norm
        logits: Tensor = model.readout(x if norm is None else norm(x))
        return logits[:, 0], tuple(after)


def _put(x: Tensor, place: int, positions: Positions) -> Tensor:
    """Mark one token with its place."""
    if isinstance(positions, SinusoidalPositions | LearnedPositions):
        marked: Tensor = positions(x, place)
        return marked
    # Others take a whole sequence: put the token at its place and nothing before it.
    return positions(F.pad(x, (0, 0, place, 0)))[:, -1:]


def _block_step(
    block: Any, x: Tensor, state: Sequence[Tensor], padding: Mask
) -> tuple[Tensor, Sequence[Tensor]]:
    """Take one token through a decoder block; return it and what is kept for the next one."""
    k, v, source_k, source_v = state

    def look_back(x: Tensor) -> Tensor:
        nonlocal k, v
        new_k, new_v = block.self_attention.keys_values(x, x)
        k, v = torch.cat([k, new_k], dim=2), torch.cat([v, new_v], dim=2)
        output: Tensor = block.self_attention.attend_to(x, k, v)
        return output

    def look_at_source(x: Tensor) -> Tensor:
        output: Tensor = block.cross_attention.attend_to(x, source_k, source_v, padding)
        return output

    x = block.add_self_attention(x, look_back)
    x = block.add_cross_attention(x, look_at_source)
    x = block.add_feed_forward(x, block.feed_forward)
    return x, (k, v, source_k, source_v)
