"""A listener that writes down spoken words: chapter 2's decoder over an encoder of sound."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from minattn.alignment import AdditiveAttention, attention_weights
from minattn.checks import check_floats, check_sizes
from minattn.recurrent import RecurrentTranslator
from minattn.seam import Attend
from minattn.translation import Memory, State, check_source_mask, check_vectors

N_HALVINGS = 3
STRIDE = 2**N_HALVINGS
"""How many frames become one step of the memory: a step stands for 80 ms where a frame stands for 10."""


def normalise(
    frames: Float[Tensor, "batch frames mels"], mask: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames mels"]:
    r"""Give the frames of every row mean 0 and deviation 1; padding is not counted, and becomes 0.

    .. math:: x' = \frac{x - \mu}{\sigma}

    The mean and the deviation are those of all numbers of a row: how loud it is no longer matters, and which bands
    are louder than others still does.

    Args:
        frames: a spectrogram for each row.
        mask: True where there is a frame.

    Raises:
        ValueError: if the mask does not fit, or a row has no frame.
        TypeError: if the mask is not bool, or the frames are no floating-point numbers.

    >>> frames = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> normalise(frames, torch.tensor([[True, True, False]])).flatten()
    tensor([-1.,  1.,  0.])
    """
    check_floats(frames=frames)
    check_source_mask(frames, mask)
    there = mask[..., None]
    count = there.sum((1, 2), keepdim=True) * frames.shape[-1]
    mean = (frames * there).sum((1, 2), keepdim=True) / count
    centred = (frames - mean) * there
    deviation = (centred.square().sum((1, 2), keepdim=True) / count).sqrt()
    return centred / deviation.clamp_min(1e-5)


def step_mask(
    mask: Bool[Tensor, "batch frames"], stride: int = STRIDE
) -> Bool[Tensor, "batch steps"]:
    """Say which steps there are: step k stands for the frames around frame k * stride.

    >>> step_mask(torch.tensor([[True] * 5 + [False] * 4]), 4)
    tensor([[ True,  True, False]])
    """
    check_sizes(stride=stride)
    return mask[:, ::stride]


def whole(source: Float[Tensor, "batch frames mels"]) -> Bool[Tensor, "batch frames"]:
    """Return the mask of frames without padding."""
    return torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)


class SoundEncoder(nn.Module):
    """Read frames: three convolutions, each of which halves their number, and a recurrent layer in both directions.

    What the recurrent layer says is added to what it reads. Nothing of a row depends on the rows beside it: before
    each convolution padding is made zero, which is what a row alone has behind its end, and no mean is taken over
    a batch.

    Args:
        n_mels: width of a frame.
        d_model: width of a step; half of it for each direction.

    Raises:
        ValueError: if a size is below 1 or ``d_model`` is odd.

    References:
        Chan et al. 2016 (Listen, Attend and Spell), arXiv:1508.01211, section 3.1, where the steps are joined in
        pairs between recurrent layers.

    >>> memory = SoundEncoder(n_mels=40, d_model=6)(torch.zeros(1, 9, 40))
    >>> memory.states.shape, memory.mask
    (torch.Size([1, 2, 6]), tensor([[True, True]]))
    """

    def __init__(self, n_mels: int, d_model: int) -> None:
        super().__init__()
        check_sizes(n_mels=n_mels, d_model=d_model)
        if d_model % 2:
            raise ValueError(
                f"two directions share d_model evenly, so it must be even, got {d_model}"
            )
        self.halve = nn.ModuleList(
            nn.Conv1d(width, d_model, kernel_size=5, stride=2, padding=2)
            for width in (n_mels, *[d_model] * (N_HALVINGS - 1))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in self.halve)
        self.gru = nn.GRU(d_model, d_model // 2, batch_first=True, bidirectional=True)

    def forward(
        self,
        source: Float[Tensor, "batch frames mels"],
        source_mask: Bool[Tensor, "batch frames"] | None = None,
    ) -> Memory:
        """Encode frames; states of steps that are padding are zero.

        Raises:
            ValueError: if the mask does not fit, or a frame comes behind padding.
            TypeError: if the mask is not bool.
        """
        mask = whole(source) if source_mask is None else source_mask
        check_source_mask(source, mask)
        behind = (mask[:, 1:] & ~mask[:, :-1]).any(1)
        if bool(behind.any()):
            row = int(behind.int().argmax())
            raise ValueError(
                f"padding must stand behind the frames, got frames after it in row {row}"
            )
        x = source * mask[..., None]
        for convolve, norm in zip(self.halve, self.norms, strict=True):
            mask = step_mask(mask, 2)
            x = F.gelu(norm(convolve(x.mT).mT)) * mask[..., None]
        packed = nn.utils.rnn.pack_padded_sequence(
            x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return Memory(x + states, mask)


class Listener(RecurrentTranslator):
    """Chapter 2's translator with another encoder: it reads frames of sound and writes words.

    Args:
        n_mels: width of a frame.
        vocab_size: how many target ids there are.
        d_model: width of steps, embeddings, states and context.
        attend: ``attend(query, key, value, mask) -> output``; additive attention if not given.

    Raises:
        ValueError: as in ``RecurrentTranslator`` and ``SoundEncoder``.

    References:
        Chan et al. 2016 (Listen, Attend and Spell), arXiv:1508.01211. The decoder is that of Bahdanau et al. 2015,
        arXiv:1409.0473.
    """

    def __init__(
        self,
        n_mels: int,
        vocab_size: int,
        *,
        d_model: int = 128,
        attend: Attend | None = None,
    ) -> None:
        super().__init__(
            1,  # there are no ids to read: the encoder is replaced
            vocab_size,
            d_model=d_model,
            attend=AdditiveAttention(d_model, d_model, d_model) if attend is None else attend,
            attends="before",
            bidirectional=True,
        )
        self.n_mels = n_mels
        self.encoder = SoundEncoder(n_mels, d_model)  # type: ignore[assignment]

    def check_source(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> None:
        """Reject what is no spectrogram of this width; see ``check_vectors``."""
        check_vectors(source, self.n_mels, source_mask)

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Normalise the frames of every row and read them; one state for each step."""
        mask = whole(source) if source_mask is None else source_mask
        return super().encode(normalise(source, mask), mask)


class LocationAwareListener(Listener):
    r"""A listener that also sees where it attended at the step before.

    .. math:: \begin{aligned} e_{ij} &= v^\top \tanh(W s_{i-1} + U h_j + V f_{ij} + b) \\
        f_i &= F * \alpha_{i-1} \end{aligned}

    The weights of the step before go through a convolution, and what comes out at a step j is put beside the key of
    j. So the attention is chapter 2's additive one, whose keys have become wider.

    Args:
        n_mels: width of a frame.
        vocab_size: how many target ids there are.
        d_model: width of steps, embeddings, states and context.
        n_filters: how many numbers are put beside a key.
        width: how many steps the convolution looks at; odd.

    Raises:
        ValueError: if a size is out of range, or ``width`` is even.

    References:
        Chorowski et al. 2015, arXiv:1506.07503, section 2.2.
    """

    def __init__(
        self,
        n_mels: int,
        vocab_size: int,
        *,
        d_model: int = 128,
        n_filters: int = 8,
        width: int = 31,
    ) -> None:
        check_sizes(n_filters=n_filters, width=width)
        if width % 2 == 0:
            raise ValueError(f"width must be odd, so that a filter has a middle, got {width}")
        attend = AdditiveAttention(d_model, d_model + n_filters, d_model)
        super().__init__(n_mels, vocab_size, d_model=d_model, attend=attend)
        self.filters = nn.Conv1d(1, n_filters, width, padding=width // 2, bias=False)

    def start(self, memory: Memory) -> State:
        """Return the first state, and weights that have looked nowhere yet."""
        return (*super().start(memory), torch.zeros_like(memory.states[..., 0]))

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read one target token; return the logits of the next one and the new state."""
        before, last = state
        key = torch.cat([memory.states, self.filters(last[:, None]).mT], dim=-1)
        weights = attention_weights(self.attend, before[:, None], key, memory.mask[:, None])
        context = (weights @ memory.states)[:, 0]
        after = self._gru_step(torch.cat([self.embedding(token), context], dim=-1), before)
        return self._logits(after, context), (after, weights[:, 0])


def edit_distance(found: Sequence[object], right: Sequence[object]) -> int:
    """Count how many things must be put in, taken out or replaced to make one sequence the other.

    >>> edit_distance("un six dix".split(), "un dix trois".split())
    2
    """
    row = list(range(len(right) + 1))  # of nothing
    for i, one in enumerate(found, 1):
        above, row = row, [i]
        for j, other in enumerate(right, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (one != other)))
    return row[-1]


def word_error(found: Sequence[Sequence[object]], right: Sequence[Sequence[object]]) -> float:
    """Return the word error rate: all edits by all words that were said. With words too many it can be above 1.

    Raises:
        ValueError: if there is not one writing for each utterance, or no word was said.

    >>> word_error([["un", "deux"], []], [["un"], ["dix"]])
    1.0
    """
    if len(found) != len(right):
        raise ValueError(
            f"there must be one writing for each utterance, got {len(found)} for {len(right)}"
        )
    n_words = sum(map(len, right))
    if n_words == 0:
        raise ValueError("a word error rate needs at least one word that was said, got none")
    return sum(map(edit_distance, found, right)) / n_words
