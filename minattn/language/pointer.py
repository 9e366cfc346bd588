"""Attention as an output distribution (chapter 13): a model that says words of its source which it does not know."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.alignment import MultiplicativeAttention
from minattn.checks import check_sizes
from minattn.recurrent import RecurrentTranslator
from minattn.seam import Attend
from minattn.tasks.summaries import UNK
from minattn.translation import Memory, State, Table


def copied(
    weights: Float[Tensor, "batch queries keys"], ids: Int[Tensor, "batch keys"], n_words: int
) -> Float[Tensor, "batch queries words"]:
    r"""Turn attention into a distribution over words: a word has all the weight of the places where it stands.

    .. math:: P(w) = \sum_{j : x_j = w} \alpha_j

    Args:
        weights: of every place of the source; they sum to 1.
        ids: the words of the source.
        n_words: how many words there are, those of the extended vocabulary included.

    References:
        Vinyals et al. 2015, arXiv:1506.03134 (places); Gulcehre et al. 2016, arXiv:1603.08148, and See et al. 2017,
        arXiv:1704.04368, equation 9 (words).

    >>> copied(torch.tensor([[[0.5, 0.2, 0.3]]]), torch.tensor([[4, 3, 4]]), 5)
    tensor([[[0.0000, 0.0000, 0.0000, 0.2000, 0.8000]]])
    """
    words = weights.new_zeros(*weights.shape[:-1], n_words)
    return words.scatter_add(-1, ids[:, None].expand_as(weights), weights)


def mixture(
    logits: Float[Tensor, "batch queries vocab"],
    gate: Float[Tensor, "batch queries"],
    weights: Float[Tensor, "batch queries keys"],
    ids: Int[Tensor, "batch keys"],
) -> Float[Tensor, "batch queries words"]:
    r"""Mix a distribution over the vocabulary with the one that attention makes; return logarithms.

    .. math:: \begin{aligned} P(w) &= p \, P_\text{vocab}(w) + (1 - p) \sum_{j : x_j = w} \alpha_j \\
        p &= \sigma(\text{gate}) \end{aligned}

    What comes out is the logarithm of this sum, found without leaving logarithms. A word that is neither in the
    vocabulary nor in the source is impossible and gets minus infinity; one that is in the source never does.

    Args:
        logits: of the words of the vocabulary.
        gate: above 0 for a word of the vocabulary, below 0 for one of the source.
        weights: attention over the places of the source.
        ids: the words of the source, with ids beyond the vocabulary for those that are not in it.

    Returns:
        Log-probabilities of the words of the vocabulary and, behind them, of the ids beyond it.

    References:
        See et al. 2017, arXiv:1704.04368, section 2.2.

    >>> logits, gate = torch.zeros(1, 1, 4), torch.zeros(1, 1)
    >>> mixture(logits, gate, torch.tensor([[[0.6, 0.4]]]), torch.tensor([[3, 4]])).exp()
    tensor([[[0.1250, 0.1250, 0.1250, 0.4250, 0.2000]]])
    """
    n_words = max(logits.shape[-1], int(ids.max()) + 1)
    generated = F.logsigmoid(gate)[..., None] + logits.log_softmax(-1)
    generated = F.pad(generated, (0, n_words - logits.shape[-1]), value=-torch.inf)
    share = copied(weights, ids, n_words)
    there = copied(torch.ones_like(weights), ids, n_words) > 0
    least = torch.finfo(share.dtype).tiny  # attention that was rounded to 0
    pointed = F.logsigmoid(-gate)[..., None] + share.clamp_min(least).log()
    # Where both are minus infinity their gradient is NaN, and goes into what was filled in, not into the inputs.
    return torch.logaddexp(generated, pointed.masked_fill(~there, -torch.inf))


def coverage_loss(
    weights: Float[Tensor, "batch queries keys"], tokens: Bool[Tensor, "batch queries"]
) -> Float[Tensor, ""]:
    r"""Measure how much attention goes to places that have had some already; to be added to a loss, times a factor.

    .. math:: \frac{1}{n} \sum_t \sum_j \min\Bigl(\alpha_{tj}, \sum_{t' < t} \alpha_{t'j}\Bigr)

    Args:
        weights: attention over the places of the source.
        tokens: True where the summary has a word; n is their number.

    Returns:
        Between 0, where no place is looked at twice, and 1.

    Raises:
        ValueError: if there is no word.

    References:
        See et al. 2017, arXiv:1704.04368, equation 12. There attention also reads what it has covered.

    >>> twice = torch.tensor([[[0.9, 0.1], [0.9, 0.1]]])
    >>> coverage_loss(twice, torch.ones(1, 2, dtype=torch.bool))
    tensor(0.5000)
    """
    check_sizes(tokens=int(tokens.sum()))
    before = weights.cumsum(1) - weights
    return torch.minimum(weights, before).sum(-1)[tokens].mean()


class KnownWords(Table):
    """A table of embeddings that reads every id beyond the vocabulary as ``UNK``.

    Such an id is another word in every text, so no row could be right for it.

    Args:
        n_ids: how many ids the vocabulary has.
        d_model: width of a row.

    Raises:
        ValueError: if the vocabulary has no ``UNK``.

    >>> table = KnownWords(5, 2)
    >>> bool((table(torch.tensor([9])) == table(torch.tensor([UNK]))).all())
    True
    """

    def __init__(self, n_ids: int, d_model: int) -> None:
        if n_ids <= UNK:
            raise ValueError(f"a vocabulary needs an id {UNK} for other words, got {n_ids} ids")
        super().__init__(n_ids, d_model, "ids")
        nn.init.normal_(self.weight, std=d_model**-0.5)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Look ids up."""
        return super().forward(ids.masked_fill(ids >= self.num_embeddings, UNK))


class WordMemory(Memory):
    """A memory that also holds the ids that were read, for a decoder that says words of the source again.

    Args:
        states: as in ``Memory``, and so is the mask.
        mask: see ``Memory``.
        ids: the source itself.
    """

    ids: Int[Tensor, "batch source"]

    def __new__(
        cls,
        states: Float[Tensor, "batch source d_memory"],
        mask: Bool[Tensor, "batch source"],
        ids: Int[Tensor, "batch source"],
    ) -> "WordMemory":
        """Make a memory of two parts, and keep the ids beside them."""
        memory = super().__new__(cls, states, mask)
        memory.ids = ids
        return memory

    def repeat(self, n: int) -> "WordMemory":
        """Return one in which each row stands n times, as beams need it."""
        return WordMemory(*super().repeat(n), self.ids.repeat_interleave(n, dim=0))


class Summarizer(RecurrentTranslator):
    """A recurrent encoder and decoder with attention, and one table of embeddings to read and to write.

    It reads words that are not in the vocabulary as ``UNK``, and can say none of them.

    Args:
        vocab_size: how many ids the vocabulary has.
        d_model: width of embeddings, states and context.
        attend: how the decoder looks at the source; multiplicative attention if not given.

    Raises:
        ValueError: if the vocabulary has no ``UNK``, or ``d_model`` is odd or below 1.

    References:
        See et al. 2017, arXiv:1704.04368, section 2.1.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 64,
        *,
        attend: Attend | None = None,
    ) -> None:
        super().__init__(
            vocab_size,
            vocab_size,
            d_model=d_model,
            attend=MultiplicativeAttention(d_model, d_model) if attend is None else attend,
            bidirectional=True,
        )
        self.embedding = self.encoder.embedding = KnownWords(vocab_size, d_model)
        self.out_proj.weight = self.embedding.weight

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> WordMemory:
        """Read the source; add to each state the embedding of its word, and keep the ids."""
        states, mask = super().encode(source, source_mask)
        return WordMemory(states + self.embedding(source) * mask[..., None], mask, source)


class Said(NamedTuple):
    """What a pointer-generator says at every place of a summary, and how it came to it.

    Args:
        log_probs: of all words, those beyond the vocabulary included.
        weights: where it looked.
        gate: the probability that a word comes from the vocabulary and not from the source.
    """

    log_probs: Float[Tensor, "batch target words"]
    weights: Float[Tensor, "batch target source"]
    gate: Float[Tensor, "batch target"]


class PointerGenerator(Summarizer):
    """A summarizer that can also point: it says a word of the source because it stands there.

    A gate decides at every step how much the two ways count, see ``mixture``. What it returns as logits are
    log-probabilities; there are more of them than ids in the vocabulary if a source of the batch has other words.

    Args:
        vocab_size: as for ``Summarizer``, and so are the others.
        d_model: see ``Summarizer``.
        attend: see ``Summarizer``; its weights are both where the decoder looks and what is copied.

    Raises:
        ValueError: see ``Summarizer``.

    References:
        See et al. 2017, arXiv:1704.04368, section 2.2. Unlike theirs, the decoder is a gated recurrent unit and its
        first state is made of both directions of the encoder; attention is multiplicative, which learns to point in
        fewer steps than theirs.

    >>> model = PointerGenerator(vocab_size=7, d_model=4)
    >>> model(torch.tensor([[5, 7, 8, 2]]), torch.tensor([[1, 7]])).shape
    torch.Size([1, 2, 9])
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 64,
        *,
        attend: Attend | None = None,
    ) -> None:
        super().__init__(vocab_size, d_model, attend=attend)
        self.gate = nn.Linear(3 * d_model, 1)

    mix = staticmethod(mixture)
    """How the two ways become one."""

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch words"], State]:
        """Read one token of the summary; return the log-probabilities of the next one and the new state."""
        x = self.embedding(token)
        after = self._gru_step(x, state[0])
        return self._say(x[:, None], after[:, None], memory).log_probs[:, 0], (after,)

    def said(
        self,
        source: Int[Tensor, "batch source"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Said:
        """Return everything that is known of the steps under teacher forcing."""
        memory = self.memory_of(source, source_mask, target_in)
        x = self.embedding(target_in)
        states, _ = self.gru(x, self.start(memory)[0][None])
        return self._say(x, states, memory)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target_in: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch target words"]:
        """Return the log-probabilities under teacher forcing, all steps at once."""
        return self.said(source, target_in, source_mask).log_probs

    def _say(
        self,
        x: Float[Tensor, "batch target d_model"],
        states: Float[Tensor, "batch target d_model"],
        memory: Memory,
    ) -> Said:
        if not isinstance(memory, WordMemory):
            raise TypeError(f"a pointer needs the WordMemory of its encode, got {type(memory)}")
        n = memory.mask.shape[1]
        places = torch.eye(n, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        # With the identity beside the states as values, one call returns the context and the weights.
        value = torch.cat([memory.states, places], dim=-1)
        found = self.attend(states, memory.states, value, memory.mask[:, None])
        context, weights = found[..., :-n], found[..., -n:]
        gate = self.gate(torch.cat([states, context, x], dim=-1))[..., 0]
        log_probs = self.mix(self._logits(states, context), gate, weights, memory.ids)
        return Said(log_probs, weights, gate.sigmoid())
