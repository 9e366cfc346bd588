"""An encoder alone that fills gaps (chapter 11): hidden tokens, their loss, the model, a head for labels."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_finite, check_ids, check_shares, check_sizes
from minattn.masks import Mask, Padding
from minattn.seam import Positions
from minattn.training import check_targets
from minattn.transformer import TransformerEncoder
from minattn.translation import Table
from minattn.vocabulary import token_mask


class Hidden(NamedTuple):
    """Texts with gaps.

    Args:
        read: what the model reads.
        ids: what stood there.
        chosen: True for the tokens that are to be told.
    """

    read: Int[Tensor, "batch seq"]
    ids: Int[Tensor, "batch seq"]
    chosen: Bool[Tensor, "batch seq"]


def hide(
    ids: Int[Tensor, "batch seq"],
    share: float,
    generator: torch.Generator,
    *,
    mask_id: int,
    ordinary: range,
    masked: float = 0.8,
    replaced: float = 0.1,
) -> Hidden:
    """Choose some of the tokens, and hide them.

    Each ordinary token is chosen with the same probability, whatever happens to the others. Of the chosen ones
    most become ``mask_id``, some another token, and the rest stay as they are: the model has to tell them all.

    Args:
        ids: texts.
        share: probability that an ordinary token is chosen.
        generator: where the draws come from; each call draws anew.
        mask_id: what stands for a hidden token.
        ordinary: the ids that may be chosen, and that a token may be replaced by; neither padding nor what else is
            special.
        masked: share of the chosen tokens that become ``mask_id``.
        replaced: share of the chosen tokens that become any ordinary token.

    Raises:
        ValueError: if a share is not in [0, 1], ``masked`` and ``replaced`` are more than 1 together, or
            ``ordinary`` is empty or contains ``mask_id``.

    References:
        Devlin et al. 2019, arXiv:1810.04805, section 3.1 (80 %, 10 %, 10 %); they choose 15 % of a text exactly.

    >>> ids = torch.tensor([[1, 7, 8, 9, 2, 0]])
    >>> hide(ids, 1.0, torch.Generator(), mask_id=3, ordinary=range(4, 10), masked=1.0, replaced=0.0).read
    tensor([[1, 3, 3, 3, 2, 0]])
    """
    check_shares(share=share, masked=masked, replaced=replaced)
    if masked + replaced > 1 + 1e-9:
        raise ValueError(
            f"masked and replaced must be at most 1 together, got {masked} and {replaced}"
        )
    if not len(ordinary) or mask_id in ordinary:
        raise ValueError(
            f"ordinary must hold at least one id and not that of the mask, {mask_id}, got {ordinary}"
        )
    may = (ids >= ordinary.start) & (ids < ordinary.stop)
    chosen = may & (torch.rand(ids.shape, generator=generator) < share)
    fate = torch.rand(ids.shape, generator=generator)
    other = torch.randint(ordinary.start, ordinary.stop, ids.shape, generator=generator)
    read = ids.masked_fill(chosen & (fate < masked), mask_id)
    read = torch.where(chosen & (fate >= masked) & (fate < masked + replaced), other, read)
    return Hidden(read, ids, chosen)


def hidden_batches(
    ids: Int[Tensor, "texts seq"],
    batch_size: int,
    seed: int,
    share: float,
    *,
    mask_id: int,
    ordinary: range,
    masked: float = 0.8,
    replaced: float = 0.1,
) -> Iterator[Hidden]:
    """Draw texts and hide some of their tokens, for ever; a text that comes again has other gaps.

    Args:
        ids: the texts to draw from.
        batch_size: how many texts at a time.
        seed: decides all draws.
        share: as in ``hide``, and so are the others.
        mask_id: see ``hide``.
        ordinary: see ``hide``.
        masked: see ``hide``.
        replaced: see ``hide``.

    Raises:
        ValueError: see ``hide``; or if the batch size is below 1.
    """
    check_sizes(batch_size=batch_size, texts=len(ids))
    generator = torch.Generator().manual_seed(seed)
    while True:
        rows = torch.randint(len(ids), (batch_size,), generator=generator)
        yield hide(
            ids[rows],
            share,
            generator,
            mask_id=mask_id,
            ordinary=ordinary,
            masked=masked,
            replaced=replaced,
        )


def masked_loss(model: nn.Module, batch: Hidden) -> Float[Tensor, ""]:
    """Average the cross-entropy over the chosen tokens, in nats; what was not chosen does not count.

    Raises:
        ValueError: if no token was chosen.
    """
    if not bool(batch.chosen.any()):
        raise ValueError("a loss needs at least one chosen token, got none")
    logits = check_targets(model(batch.read), batch.ids)
    return F.cross_entropy(logits[batch.chosen], batch.ids[batch.chosen])


class BERT(nn.Module):
    """An encoder alone, with a readout that says for every place which token stands there.

    Args:
        vocab_size: how many ids there are.
        encoder: its blocks. To give positions to attention (``with_rotary``), hand them to the blocks.
        positions: marks the places of the embedded tokens; ``nn.Identity()`` if not given.
        embedding_scale: by how much embeddings are multiplied before positions are added. The table starts with
            variance ``1 / d_model``.

    Raises:
        ValueError: if the vocabulary is empty.

    References:
        Devlin et al. 2019, arXiv:1810.04805; rotary positions instead of learned ones: Su et al. 2024,
        arXiv:2104.09864.

    >>> from minattn.transformer import EncoderBlock
    >>> model = BERT(9, TransformerEncoder([EncoderBlock(8, 2, 16)], nn.LayerNorm(8)))
    >>> model(torch.tensor([[1, 5, 3, 2]])).shape
    torch.Size([1, 4, 9])
    """

    def __init__(
        self,
        vocab_size: int,
        encoder: TransformerEncoder,
        positions: Positions | None = None,
        *,
        embedding_scale: float = 2.0,
    ) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size)
        check_finite(embedding_scale=embedding_scale)
        self.embedding_scale = embedding_scale
        first: Any = encoder.blocks[0]
        self.d_model: int = first.self_attention.d_model
        self.table = Table(vocab_size, self.d_model, "ids")
        nn.init.normal_(self.table.weight, std=self.d_model**-0.5)
        self.positions = nn.Identity() if positions is None else positions
        self.encoder = encoder
        self.readout = nn.Linear(self.d_model, vocab_size)
        self.readout.weight = self.table.weight  # one table to read and to write

    def states(
        self, ids: Int[Tensor, "batch seq"], mask: Mask = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return one vector for each token, made of all tokens on both sides.

        Args:
            ids: texts, padded.
            mask: True where a token may attend; everywhere but at padding if not given.
        """
        x = self.positions(self.table(ids) * self.embedding_scale)
        states: Tensor = self.encoder(x, Padding(token_mask(ids)) if mask is None else mask)
        return states

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab"]:
        """Return logits of the token at every place."""
        logits: Tensor = self.readout(self.states(ids))
        return logits


class BERTClassifier(nn.Module):
    """A BERT whose states are averaged over the tokens of a text, and a new head that says the label.

    Args:
        bert: is fine-tuned with the head, in place; hand in a copy to keep it.
        n_labels: how many labels there are.

    Raises:
        ValueError: if there is no label.
    """

    def __init__(self, bert: BERT, n_labels: int) -> None:
        super().__init__()
        check_sizes(n_labels=n_labels)
        self.bert = bert
        self.head = nn.Linear(bert.d_model, n_labels)

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch labels"]:
        """Return logits of the label of every text."""
        tokens = token_mask(ids)[..., None]
        states = self.bert.states(ids)
        mean = (states * tokens).sum(1) / tokens.sum(1)
        logits: Tensor = self.head(mean)
        return logits


def ask_each(
    model: BERT, ids: Int[Tensor, "batch seq"], asked: Bool[Tensor, "batch seq"], mask_id: int
) -> Float[Tensor, "asked vocab"]:
    """Hide one token at a time and ask what stands there.

    Args:
        model: is asked once for each token.
        ids: texts.
        asked: True for the tokens to ask about.
        mask_id: what stands for the hidden token.

    Returns:
        Logits, a row for each token asked about, in the order of ``asked.nonzero()``.

    References:
        Salazar et al. 2020, arXiv:1910.14659, section 2.
    """
    rows, places = asked.nonzero(as_tuple=True)
    one_hidden = ids[rows]
    one_hidden[torch.arange(len(rows)), places] = mask_id
    logits: Tensor = model(one_hidden)
    return logits[torch.arange(len(rows)), places]


def neighbour_counts(
    train: Int[Tensor, "texts seq"],
    ids: Int[Tensor, "batch seq"],
    vocab_size: int,
    neighbours: Sequence[int] = (),
    unigrams: float = 1.0,
) -> Float[Tensor, "batch seq vocab"]:
    """Guess every token by counting which ones stood between the same neighbours in training.

    Args:
        train: the texts that are counted.
        ids: the texts whose tokens are guessed; all neighbours are seen.
        vocab_size: how many ids there are.
        neighbours: where they stand: -1 is the one on the left, 1 the one on the right; none for unigrams.
        unigrams: how many tokens are added to each count, shared out as they occur everywhere.

    Returns:
        Log-probabilities, in place of a model's logits.
    """
    check_ids(vocab_size, train=train, ids=ids)

    def contexts(texts: Tensor) -> Tensor:
        found = torch.zeros_like(texts)
        for offset in neighbours:
            shifted = texts.roll(-offset, dims=1)  # what comes round stands beside BOS or padding
            found = found * vocab_size + shifted
        return found

    tokens = token_mask(train)
    once = train[tokens].bincount(minlength=vocab_size).double()
    counts = (once * unigrams / once.sum()).repeat(vocab_size ** len(neighbours), 1)
    pairs = contexts(train)[tokens], train[tokens]
    counts.index_put_(pairs, torch.ones(1, dtype=counts.dtype), accumulate=True)
    found = counts[contexts(ids)]
    return (found / found.sum(-1, keepdim=True)).log().to(torch.get_default_dtype())
