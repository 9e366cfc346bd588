"""GPT (chapter 10): a decoder alone, which is asked for nothing but the next token."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minattn.checks import check_dropout, check_sizes
from minattn.dot_product import fused_attend
from minattn.masks import Mask, to_bool
from minattn.positions import placed
from minattn.seam import Attend, Positions
from minattn.subwords import Subwords
from minattn.tasks.base import Example, Task
from minattn.training import teacher_forcing
from minattn.transformer import EncoderBlock, PromptTranslator, TransformerEncoder
from minattn.translation import Table, Translator
from minattn.vocabulary import BOS, Batch, Vocabulary, pad, token_mask


class GPT(PromptTranslator):
    """A table of tokens, blocks under a causal mask, a readout: go on with a prompt, token by token.

    It is chapter 4's language model with chapter 6's blocks. The source is a prompt, which may be nothing but
    ``BOS``; the target goes on with it.

    Args:
        vocab_size: how many different tokens.
        decoder: the blocks, and the last norm. Each token attends to itself and those before it, whatever the
            mask that a block has by default.
        positions: marks the places of the tokens, which are multiplied by the root of their width before, as in
            chapter 6; None if ``attend`` of the blocks does it (``with_rotary``).
        dropout: share that is dropped in training of the embedded tokens.
        tied: whether the readout is the table of tokens.

    Raises:
        ValueError: if there is no token, or the dropout is not in [0, 1).

    References:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1;
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3, where the norms
        stand before the sub-layers and after the last block, as here.

    >>> gpt = GPT(30, TransformerEncoder([EncoderBlock(8, 2, 32)], nn.LayerNorm(8)))
    >>> gpt(torch.tensor([[1]]), torch.tensor([[1, 7, 9]])).shape
    torch.Size([1, 3, 30])
    """

    def __init__(
        self,
        vocab_size: int,
        decoder: TransformerEncoder,
        *,
        positions: Positions | None = None,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(vocab_size=vocab_size)
        check_dropout(dropout=dropout)
        block: EncoderBlock = decoder.blocks[0]  # type: ignore[assignment]
        d_model = block.self_attention.d_model
        self.embedding = Table(vocab_size, d_model, "target_in")
        self.scale = math.sqrt(d_model)
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.decoder = decoder
        self.readout = nn.Linear(d_model, vocab_size, bias=False)
        if tied:
            self.readout.weight = self.embedding.weight

    def embed_target(
        self, target: Int[Tensor, "batch target"], place: int | Int[Tensor, " batch"] = 0
    ) -> Float[Tensor, "batch target d_model"]:
        """Turn tokens into vectors, the first of which stands at a place."""
        x: Tensor = self.embedding(target)
        if self.positions is not None:
            x = placed(x * self.scale, place, self.positions)
        output: Tensor = self.dropout(x)
        return output


class Smeared(nn.Module):
    r"""An attend whose keys also know the token before them: a query can look for what came next.

    .. math:: k'_j = (1 - \alpha)\, k_j + \alpha\, k_{j-1}, \qquad \alpha = \sigma(a)

    Each head has its own :math:`\alpha`, which is learned. The first key is left alone, and so is one behind padding.

    Args:
        n_heads: of the attention.
        attend: what the new keys are handed to.

    Raises:
        ValueError: if there is no head.

    References:
        Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv:2209.11895, on smeared keys.
    """

    def __init__(self, n_heads: int, attend: Attend = fused_attend) -> None:
        super().__init__()
        check_sizes(n_heads=n_heads)
        self.mix = nn.Parameter(torch.linspace(-2, 2, n_heads)[:, None, None])
        self.inner = attend  # under this name it is no part that attends by itself

    def forward(
        self,
        query: Float[Tensor, "batch heads queries d_head"],
        key: Float[Tensor, "batch heads keys d_head"],
        value: Float[Tensor, "batch heads keys d_v"],
        mask: Mask = None,
    ) -> Float[Tensor, "batch heads queries d_v"]:
        """Mix every key with the one before, and attend."""
        share = self.mix.sigmoid()
        if mask is not None:  # what the last query may not look at is padding
            scores = (*query.shape[:-1], key.shape[-2])
            seen = to_bool(mask, scores, key.device)[..., -1:, :].mT  # (..., keys, 1)
            share = share * F.pad(seen, (0, 0, 1, 0))[..., :-1, :]
        before = F.pad(key, (0, 0, 1, 0))[..., :-1, :]
        first = torch.arange(key.shape[-2], device=key.device)[:, None] == 0
        share = share.masked_fill(first, 0.0)
        return self.inner(query, key + share * (before - key), value, mask)


def text_task(
    name: str, train: Iterable[str], held_out: Iterable[str], pieces: Subwords
) -> "TextTask":
    """Make a task of texts: to go on with nothing, up to the end.

    Args:
        name: of the task.
        train: texts to learn from.
        held_out: others.
        pieces: cuts the texts; its pieces are the vocabulary.

    Raises:
        ValueError: if a text is empty, or a character is in no alphabet.

    >>> from minattn.subwords import learn_subwords
    >>> task = text_task("toy", ["ab ab"], ["ab"], learn_subwords(["ab ab"], 2))
    >>> task.batch(task.train).target_in
    tensor([[1, 7, 7]])
    """

    def cut(text: str) -> Example:
        tokens = tuple(pieces.encode(text))
        return Example(tokens[:1], tokens, (None,) * len(tokens), len(tokens))

    words = Vocabulary(pieces.tokens)
    return TextTask(name, words, words, tuple(map(cut, train)), tuple(map(cut, held_out)))


class TextTask(Task):
    """A task without a source: each text is a target, and ``BOS`` is the prompt that it goes on with."""

    def batch(self, examples: Iterable[Example]) -> Batch:
        """Encode and pad texts."""
        made = super().batch(examples)
        return replace(made, source=made.target_in[:, :1])


def prompts(
    texts: Sequence[str], pieces: Subwords, vocabulary: Vocabulary
) -> Int[Tensor, "batch source"]:
    """Encode beginnings of texts, which a model is to go on with; they may be of different length.

    Raises:
        ValueError: if there is no text, or a character is in no alphabet.
    """
    return pad([[BOS, *vocabulary.encode(pieces.encode(text))] for text in texts])


@torch.no_grad()
def token_bits(model: Translator, batch: Batch) -> Float[Tensor, "batch target"]:
    r"""Return for every token how many bits it takes to say it, if the model is asked what comes next.

    .. math:: -\log_2 p(t_i \mid t_1, \dots, t_{i-1})

    Padding takes none. All bits of a text, over its characters, are its bits per character; the end of the text is
    among what has to be said.

    Args:
        model: any translator, in evaluation mode.
        batch: texts.
    """
    logits = teacher_forcing(model, batch)
    nats = F.cross_entropy(logits.transpose(1, 2), batch.target_out, reduction="none")
    return nats.masked_fill(~token_mask(batch.target_out), 0.0) / math.log(2)


def truth(batch: Batch, run: int = 2) -> Bool[Tensor, "batch queries keys"]:
    """Say where a token that is to be guessed stands already, behind the same tokens as now.

    Key j is right for query i if the token at j is the one that follows i, and the ``run`` tokens before j are the
    last ones up to i. A query without such a key has nothing to copy.

    Args:
        batch: texts.
        run: how many tokens must be the same.

    Raises:
        ValueError: if ``run`` is below 1.
    """
    check_sizes(run=run)
    read, asked = batch.target_in, batch.target_out
    n = read.shape[1]
    places = torch.arange(n, device=read.device)
    right = (read[:, None, :] == asked[:, :, None]) & token_mask(asked)[:, :, None]
    right &= places <= places[:, None]
    for back in range(run):
        query = F.pad(read, (back, 0))[:, :n]  # the token that many places before i
        key = F.pad(read, (back + 1, 0))[:, :n]  # and before the one in front of j
        right &= query[:, :, None] == key[:, None, :]
    return right
