"""Get sentences out of a trained model: search for a likely one, draw one, and read no token twice."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.checks import (
    check_finite,
    check_floats,
    check_ids,
    check_not_negative,
    check_positive,
    check_sizes,
)
from minattn.multihead import MultiHeadAttention
from minattn.transformer import BlockTranslator, TransformerTranslator
from minattn.translation import (
    Memory,
    State,
    Translator,
    check_logits,
    check_target,
    definer,
    is_hooked,
    write,
)
from minattn.vocabulary import EOS, PAD


class Beams(NamedTuple):
    """What a beam search found for each source, the best first.

    Args:
        ids: the targets without ``BOS``, each ended by ``EOS`` and filled up with ``PAD``; one that was cut at
            the greatest length has no ``EOS``.
        log_probs: the logarithm of each target's probability, in nats. Where there are fewer targets than
            beams, the rest has minus infinity, only ``PAD`` and no length.
        scores: what they are ranked by: ``log_probs`` over the length penalty. A penalty that is too large for
            the numbers of the model makes them all zero, and the targets are in the right order all the same.
        lengths: tokens of each target with its ``EOS``; a ``PAD`` that the model said is one of them.
    """

    ids: Int[Tensor, "batch beams target"]
    log_probs: Float[Tensor, "batch beams"]
    scores: Float[Tensor, "batch beams"]
    lengths: Int[Tensor, "batch beams"]

    @property
    def best(self) -> Int[Tensor, "batch target"]:
        """The best target of each source, in the form that ``greedy`` returns."""
        return self.ids[:, 0, : int(self.lengths[:, 0].max())]


def length_penalty(length: Float[Tensor, "*batch"], alpha: float) -> Float[Tensor, "*batch"]:
    r"""Return what the logarithm of a target's probability is divided by.

    .. math:: \left(\frac{5 + n}{6}\right)^\alpha

    A log probability is negative and falls with every token. Divided by more it is closer to zero, so the
    larger :math:`\alpha`, the better long targets do.

    Args:
        length: n, the tokens of a target with its ``EOS``.
        alpha: at least 0, which changes nothing; the paper takes 0.2.

    Raises:
        ValueError: if alpha is below 0 or not finite, or a penalty is too large for the lengths' dtype.

    References:
        Wu et al. 2016, arXiv:1609.08144, section 7.

    >>> length_penalty(torch.tensor([1.0, 7.0]), alpha=1.0)
    tensor([1., 2.])
    """
    check_not_negative(alpha=alpha)
    penalty = ((5 + length) / 6) ** alpha
    if bool((penalty.isinf() & length.isfinite()).any()):
        raise ValueError(
            f"a length penalty must fit {penalty.dtype}, got alpha {alpha} for length {length.max():g}"
        )
    return penalty


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
        ValueError: if a number is out of range, a source is empty, or the model says NaN, plus infinity or
            nothing but minus infinity.

    References:
        Graves 2012, arXiv:1211.3711; Sutskever et al. 2014, arXiv:1409.3215, section 3.2.
    """
    check_sizes(max_length=max_length, n_beams=n_beams)
    check_not_negative(alpha=alpha)
    memory = model.memory_of(source, source_mask).repeat(n_beams)
    batch = len(source)
    state = model.start(memory)
    token = model.first_token(source, source_mask).repeat_interleave(n_beams)
    ids = token.new_zeros(batch, n_beams, 0)
    log_probs = torch.full((batch, n_beams), -math.inf, device=token.device)
    log_probs[:, 0] = 0.0  # all beams begin alike: one of them is enough
    lengths = torch.zeros_like(log_probs, dtype=torch.long)
    ended = torch.zeros_like(log_probs, dtype=torch.bool)
    first_row = torch.arange(0, batch * n_beams, n_beams, device=token.device)[:, None]
    for n in range(1, max_length + 1):
        logits, state = model.step(token, state, memory)
        logits = logits.view(batch, n_beams, -1)
        unread = ended | log_probs.isneginf()
        check_logits(logits, f" at step {n}", unread, ("row", "beam"))
        steps = logits.log_softmax(-1, dtype=_wide(logits.dtype))
        steps = torch.where(ended[..., None], _only_padding(steps), steps)
        totals = log_probs[..., None].to(steps.dtype) + steps
        totals = totals.masked_fill(log_probs.isneginf()[..., None], -math.inf)
        lengths = lengths + ~ended
        scores, chosen = _best(totals, lengths, alpha, n)  # (batch, beams)
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
    none = log_probs.isneginf()
    return Beams(
        ids.masked_fill(none[..., None], PAD), log_probs, scores, lengths.masked_fill(none, 0)
    )


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Say in what type logarithms are summed: bfloat16 takes no more tokens after minus 256."""
    return torch.promote_types(dtype, torch.float32)


def _best(
    totals: Float[Tensor, "batch beams vocab"],
    lengths: Int[Tensor, "batch beams"],
    alpha: float,
    longest: int,
) -> tuple[Float[Tensor, "batch beams"], Int[Tensor, "batch beams"]]:
    """Choose as many ways to go on as there are beams; return their scores and their places among all."""
    n_beams = totals.shape[1]
    if alpha * math.log((5 + longest) / 6) < _LOG_OF_A_LARGE_PENALTY:
        scores = totals / length_penalty(lengths.to(totals.dtype), alpha)[..., None]
        return scores.flatten(1).topk(n_beams)
    # Here scores become zero together: compare their logarithms, over alpha so that these stay finite too.
    growth = (5 + lengths.double())[..., None].expand_as(totals).flatten(1) / 6
    totals = totals.flatten(1)
    costs = (-totals.double()).log() / alpha - growth.log()
    order = totals.argsort(descending=True, stable=True)  # decides where two costs are equal
    again = costs.gather(1, order).argsort(stable=True)
    chosen = order.gather(1, again[:, :n_beams])
    found = totals.gather(1, chosen)
    scores = (found / growth.gather(1, chosen) ** alpha).to(found.dtype)
    return scores.masked_fill(found.isneginf(), -math.inf), chosen


_LOG_OF_A_LARGE_PENALTY = math.log(1e18)
"""Up to here a score in float32 keeps its digits: it is larger than 1e-38 if the log probability is than 1e-20."""


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
        ValueError: if a number is out of range, a source is empty, or the model says NaN, plus infinity or
            nothing but minus infinity.
    """
    if temperature == 0:
        raise ValueError(
            "temperature must be a finite number above 0 (for 0 there is greedy), got 0"
        )
    check_positive(temperature=temperature)
    if top_k is not None:
        check_sizes(top_k=top_k)
    if top_p is not None:
        _check_share(top_p=top_p)

    def choose(logits: Tensor) -> Tensor:
        logits = logits.to(_wide(logits.dtype))
        limits = torch.finfo(logits.dtype)
        divisor = min(max(temperature, limits.tiny), limits.max)  # what is rounded to 0 makes NaN
        logits = (logits - logits.amax(-1, keepdim=True)) / divisor  # at most 0: no overflow
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
        ValueError: if k is below 1, a logit is NaN or plus infinity, or a row has nothing but minus infinity.
        TypeError: if the logits are no floating-point numbers.

    References:
        Fan et al. 2018, arXiv:1805.04833, section 5.4.

    >>> keep_top_k(torch.tensor([0.5, 2.0, 1.0]), 2)
    tensor([-inf, 2., 1.])
    """
    check_sizes(k=k)
    check_floats(logits=logits)
    check_logits(logits)
    kept = logits.topk(min(k, logits.shape[-1])).indices
    return torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept))


def keep_top_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    """Keep the likeliest tokens, as few as have the probability p together; the others become minus infinity.

    Args:
        logits: any.
        p: above 0 and at most 1; the likeliest token is always kept.

    Raises:
        ValueError: if p is out of range, a logit is NaN or plus infinity, or a row has nothing but minus infinity.
        TypeError: if the logits are no floating-point numbers.

    References:
        Holtzman et al. 2020, arXiv:1904.09751, section 3.1.

    >>> keep_top_p(torch.tensor([0.5, 0.3, 0.2]).log(), 0.7).exp()
    tensor([0.5000, 0.3000, 0.0000])
    """
    _check_share(p=p)
    check_floats(logits=logits)
    check_logits(logits)
    if p == 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.double().softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # what the likelier ones have together
    ordered = ordered.masked_fill(before >= p, -math.inf)
    return torch.empty_like(logits).scatter(-1, order, ordered)


def _check_share(**shares: float) -> None:
    for name, share in shares.items():
        check_finite(**{name: share})
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, got {share}")


@torch.no_grad()
def log_probability(
    model: Translator,
    source: Shaped[Tensor, "batch source *features"],
    target: Int[Tensor, "batch target"],
    source_mask: Bool[Tensor, "batch source"] | None = None,
    lengths: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, " batch"]:
    """Return the logarithm of the probability that a model gives to each target, in nats.

    Args:
        model: any translator, in evaluation mode.
        source: ids of the sources.
        target: ids of the targets as ``greedy`` returns them: without ``BOS``, and with ``PAD`` after ``EOS``. In a
            target without ``EOS``, which was cut, every ``PAD`` counts as said.
        source_mask: True where the source has something; ids need none.
        lengths: how many tokens of each target count, as in ``Beams``. Give them where targets without ``EOS``
            are padded.

    Raises:
        ValueError: if the target does not go with the source, an id or a length is out of range, or the model says
            NaN, plus infinity or nothing but minus infinity.
        TypeError: if ids or lengths are not whole numbers of dtype int64.
    """
    check_target(target, source, "target")
    n = target.shape[1]
    said = _said(target) if lengths is None else _up_to(lengths, target)
    first = model.first_token(source, source_mask)[:, None]
    target_in = torch.cat([first, target[:, :-1]], dim=1)
    more = () if source_mask is None else (source_mask,)
    logits = model(source, target_in, *more)
    check_ids(logits.shape[-1], target=target)
    for step in range(n):
        check_logits(logits[:, step], f" at step {step + 1}", ~said[:, step])
    log_probs = logits.log_softmax(-1, dtype=_wide(logits.dtype))
    log_probs = log_probs.gather(-1, target[..., None])[..., 0]
    total: Tensor = log_probs.masked_fill(~said, 0.0).sum(1)
    return total


def _said(ids: Int[Tensor, "batch target"]) -> Bool[Tensor, "batch target"]:
    """Tell what a model said from the padding behind it; there is padding only behind an ``EOS``."""
    has_more = (ids != PAD).flip(-1).cumsum(-1).flip(-1) > 0
    return has_more | ~(ids == EOS).any(-1, keepdim=True)


def _up_to(
    lengths: Int[Tensor, " batch"], ids: Int[Tensor, "batch target"]
) -> Bool[Tensor, "batch target"]:
    n = ids.shape[1]
    check_ids(n + 1, lengths=lengths)
    if lengths.shape != ids.shape[:1]:
        raise ValueError(
            f"lengths must have shape (batch,), ({len(ids)},), got {tuple(lengths.shape)}"
        )
    return torch.arange(n, device=ids.device) < lengths[:, None]


class Cached(Translator):
    """The same translator, which reads every target token only once.

    Under a causal mask the keys and values of a token depend on nothing that comes later, so they can be kept:
    those of the target so far, which grow by one in every step, and those of the source, which never change.
    Any way of writing works with it: ``greedy(Cached(model), source)``.

    Args:
        model: a translator that writes with blocks; its weights are shared.

    Raises:
        TypeError: if it is no ``BlockTranslator``; or if it, its decoder, a block or an attention has a way of its own
            to read all tokens at once (``decode``, ``step``, ``forward``, ``follow``, a hook), which a cache would
            not see. A block with a ``forward`` of its own may have a ``step`` of its own too, made for a cache.

    References:
        Shazeer 2019, arXiv:1911.02150, section 2.4.
    """

    def __init__(self, model: BlockTranslator) -> None:
        super().__init__()
        if not isinstance(model, BlockTranslator):
            raise TypeError(
                f"only a BlockTranslator has keys and values to keep, got {type(model).__name__}"
            )
        _check_cacheable(model)
        self.model = model
        self.training = model.training

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Reject a source that the model cannot read."""
        self.model.check_source(source, source_mask)

    def memory_of(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
        target_in: Int[Tensor, "batch target"] | None = None,
    ) -> Memory:
        """Check and encode as the model does."""
        return self.model.memory_of(source, source_mask, target_in)

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
        """Keep the keys and values of the memory for every block, and of no target token yet.

        Raises:
            TypeError: if the model has been given a way of its own since, see ``Cached``.
        """
        _check_cacheable(self.model)
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


def _check_cacheable(model: BlockTranslator) -> None:
    """Check that a model says the same token by token as all at once: nobody has changed only one of the two."""
    name = type(model).__name__

    def has(method: str, *kinds: type) -> bool:
        found = getattr(model, method)
        return getattr(found, "__func__", found) in [getattr(kind, method) for kind in kinds]

    if not has("decode", BlockTranslator, TransformerTranslator):
        raise TypeError(
            "a model is cached by its blocks, so it must decode as BlockTranslator does, "
            f"got {name} with a decode of its own"
        )
    of_its_own = [method for method in ("start", "step") if not has(method, BlockTranslator)]
    if has("decode", TransformerTranslator):  # it embeds without embed_target
        of_its_own += [m for m in ("_embed", "embed_target") if not has(m, TransformerTranslator)]
    if of_its_own:
        raise TypeError(
            "a model is cached by its blocks, so it must read one token as BlockTranslator does, "
            f"got {name} with {' and '.join(of_its_own)} of its own"
        )
    _check_twins("decoder", model.decoder, ("follow", "forward"))
    for block in model.decoder.blocks:
        _check_twins("block", block, ("forward",))
        for attention in ("self_attention", "cross_attention"):
            part = getattr(block, attention, None)
            if part is not None and (
                definer(part, "forward") is not MultiHeadAttention or is_hooked(part)
            ):
                raise TypeError(
                    f"the {attention} of a cached model must have the forward of MultiHeadAttention, and no hook: "
                    f"a cache calls its parts; got {type(part).__name__}"
                )


def _check_twins(what: str, part: nn.Module, at_once: tuple[str, ...]) -> None:
    """Check that who says last how all tokens are read also says last how one is."""
    if definer(part, *at_once) is not definer(part, "start", "step") or is_hooked(part):
        raise TypeError(
            f"each {what} of a cached model must read one token as it reads all: a {' or '.join(at_once)} of its own "
            f"needs a step of its own, and there must be no hook; got {type(part).__name__}"
        )
