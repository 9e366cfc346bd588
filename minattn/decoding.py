"""Get sentences out of a trained model: search for a likely one, draw one, and read no token twice."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from minattn.checks import check_sizes
from minattn.transformer import BlockTranslator, TransformerTranslator
from minattn.translation import Memory, State, Translator, check_target, write
from minattn.vocabulary import EOS, PAD


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
    source: Shaped[Tensor, "batch source *features"],
    max_length: int = 50,
    *,
    n_beams: int = 4,
    alpha: float = 0.0,
    source_mask: Bool[Tensor, "batch source"] | None = None,
) -> Beams:
    """Keep a few unfinished targets at every step, and go on with each in every way.

    A finished target keeps its place among the few until something better takes it. So one beam is ``greedy``,
    and with as many beams as there are targets nothing is ever dropped and the best one is found.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: what the model reads: ids of the source, padded with ``PAD``, or vectors.
        max_length: cut a target after this many tokens.
        n_beams: how many are kept for each source.
        alpha: of ``length_penalty``, by which they are ranked at every step.
        source_mask: True where the source has something; ids need none.

    Raises:
        ValueError: if a number is out of range or a source is empty.

    References:
        Graves 2012, arXiv:1211.3711; Sutskever et al. 2014, arXiv:1409.3215, section 3.2.
    """
    check_sizes(max_length=max_length, n_beams=n_beams)
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha}")
    memory = model.memory_of(source, source_mask)
    batch = len(source)
    memory = Memory(*(part.repeat_interleave(n_beams, dim=0) for part in memory))
    state = model.start(memory)
    token = model.first_token(source, source_mask).repeat_interleave(n_beams)
    ids = token.new_zeros(batch, n_beams, 0)
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
    source: Shaped[Tensor, "batch source *features"],
    max_length: int = 50,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    source_mask: Bool[Tensor, "batch source"] | None = None,
) -> Int[Tensor, "batch target"]:
    """Draw every token from what the model says; inside ``seeded`` the draw can be repeated.

    Args:
        model: any translator; it is used in the mode it is in, so call ``model.eval()`` if it has dropout.
        source: what the model reads: ids of the source, padded with ``PAD``, or vectors.
        max_length: stop after this many tokens.
        temperature: the logits are divided by it first; below 1 likely tokens become likelier. Towards 0 this
            becomes ``greedy``, which is the one to call for 0.
        top_k: then draw only from this many tokens.
        top_p: then draw only from the likeliest tokens that together have at least this probability.
        source_mask: True where the source has something; ids need none.

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

    return write(model, source, choose, max_length, source_mask)


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
    model: Translator,
    source: Shaped[Tensor, "batch source *features"],
    target: Int[Tensor, "batch target"],
    source_mask: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, " batch"]:
    """Return the logarithm of the probability that a model gives to each target, in nats.

    Args:
        model: any translator, in evaluation mode.
        source: ids of the sources.
        target: ids of the targets as ``greedy`` returns them: without ``BOS``, padded with ``PAD``.
        source_mask: True where the source has something; ids need none.
    """
    check_target(target, source)
    first = model.first_token(source, source_mask)[:, None]
    target_in = torch.cat([first, target[:, :-1]], dim=1)
    more = () if source_mask is None else (source_mask,)
    logits = model(source, target_in, *more)
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
        model: a translator that writes with blocks; its weights are shared.

    Raises:
        TypeError: if it is no ``BlockTranslator``, or decodes in a way of its own.

    References:
        Shazeer 2019, arXiv:1911.02150, section 2.4.
    """

    def __init__(self, model: BlockTranslator) -> None:
        super().__init__()
        if not isinstance(model, BlockTranslator):
            raise TypeError(
                f"only a BlockTranslator has keys and values to keep, got {type(model).__name__}"
            )
        if type(model).decode not in (BlockTranslator.decode, TransformerTranslator.decode):
            raise TypeError(
                "a model is cached by its blocks, so it must decode as BlockTranslator does, "
                f"got {type(model).__name__} with a decode of its own"
            )
        self.model = model
        self.training = model.training

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Reject a source that the model cannot read."""
        self.model.check_source(source, source_mask)

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Encode as the model does."""
        return self.model.encode(source, source_mask)

    def first_token(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Int[Tensor, " batch"]:
        """Begin as the model does."""
        return self.model.first_token(source, source_mask)

    def forward(
        self,
        source: Shaped[Tensor, "batch source *features"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits under teacher forcing, all steps at once."""
        logits: Tensor = self.model(source, target_in, source_mask)
        return logits

    def start(self, memory: Memory) -> State:
        """Keep the keys and values of the memory for every block, and of no target token yet."""
        return self.model.decoder.start(memory)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; only this one goes through the blocks."""
        place = self.model.decoder.place(memory, state)
        x = self.model.embed_target(token[:, None], place)
        x, state = self.model.decoder.step(x, state, memory)
        logits: Tensor = self.model.readout(x)
        return logits[:, 0], state
