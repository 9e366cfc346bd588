"""Pictures from words (chapter 20): the decoder that writes texts in chapter 10 writes a picture, token by token."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor, nn

from minattn.checks import check_dropout, check_finite, check_not_negative, check_sizes
from minattn.dot_product import fused_attend
from minattn.language.gpt import GPT
from minattn.learning import Recipe
from minattn.pictures.clip import CLIP, PictureEncoder, TextEncoder
from minattn.pictures.vit import ConvPatches
from minattn.pointing import pointing
from minattn.positions import LearnedPositions
from minattn.seam import Attend
from minattn.transformer import EncoderBlock, TransformerEncoder
from minattn.translation import Memory, State, Translator
from minattn.vocabulary import BOS, Vocabulary

Captions = Sequence[Sequence[str]]


class Language:
    """Words and codes in one vocabulary: a picture is what comes after a sentence and a stroke.

    Args:
        words: that a caption may say.
        n_codes: of the codebook; the codes have the last ids.

    Raises:
        ValueError: if there is no word or no code.

    >>> language = Language(["a", "one"], n_codes=3)
    >>> language.prompts([["a", "one"]]), language.nothing(1, 2)
    (tensor([[1, 3, 4, 6]]), tensor([[1, 5, 5, 6]]))
    >>> language.sequences([["a", "one"]], torch.tensor([[0, 2]]))
    tensor([[1, 3, 4, 6, 7, 9]])
    """

    def __init__(self, words: Iterable[str], n_codes: int) -> None:
        check_sizes(n_codes=n_codes)
        codes = (f"#{code}" for code in range(n_codes))
        self.vocabulary = Vocabulary([*words, "anything", "|", *codes])
        self.n_codes, self.first = n_codes, len(self.vocabulary) - n_codes

    def __len__(self) -> int:
        return len(self.vocabulary)

    def prompts(self, captions: Captions) -> Int[Tensor, "batch prompt"]:
        """Return what a picture goes on with: the words of a caption, and the stroke.

        Raises:
            ValueError: if captions are of different length, or say a word that is none.
        """
        lengths = {len(words) for words in captions}
        if len(lengths) != 1:
            raise ValueError(f"captions must be of one length, got {sorted(lengths)}")
        return torch.tensor([[BOS, *self.vocabulary.encode([*words, "|"])] for words in captions])

    def nothing(self, batch: int, n_words: int) -> Int[Tensor, "batch prompt"]:
        """Return prompts that leave open what is to be drawn."""
        return self.prompts([["anything"] * n_words] * batch)

    def sequences(
        self, captions: Captions, codes: Int[Tensor, "batch cells"]
    ) -> Int[Tensor, "batch seq"]:
        """Return captions and pictures, one behind the other."""
        return torch.cat([self.prompts(captions), codes + self.first], dim=1)

    def codes(self, ids: Int[Tensor, "batch cells"]) -> Int[Tensor, "batch cells"]:
        """Return the codes that a model has written.

        Raises:
            ValueError: if an id is none of a code.
        """
        if bool((ids < self.first).any()):
            raise ValueError(f"ids of codes begin at {self.first}, got {int(ids.min())}")
        return ids - self.first


def make_drawer(
    language: Language,
    length: int,
    *,
    d_model: int = 64,
    n_heads: int = 4,
    n_layers: int = 2,
    dropout: float = 0.1,
    attend: Attend = fused_attend,
) -> GPT:
    """Make chapter 10's decoder for words and codes.

    Args:
        language: what it reads and writes.
        length: most tokens of a sequence.
        d_model: width of a token.
        n_heads: heads of every attention.
        n_layers: blocks.
        dropout: share that is dropped in training.
        attend: how every head attends.

    Raises:
        ValueError: if a number is out of range.

    References:
        Ramesh et al. 2021 (DALL-E), arXiv:2102.12092, section 2.

    >>> language = Language(["a", "one"], n_codes=3)
    >>> drawer = make_drawer(language, length=6)
    >>> drawer(language.prompts([["a", "one"]]), torch.tensor([[1, 7]])).shape
    torch.Size([1, 2, 10])
    """
    blocks = [
        EncoderBlock(d_model, n_heads, 4 * d_model, dropout=dropout, attend=attend)
        for _ in range(n_layers)
    ]
    decoder = TransformerEncoder(blocks, nn.LayerNorm(d_model))
    positions = LearnedPositions(length, d_model)
    return GPT(len(language), decoder, positions=positions, dropout=dropout)


def draw_batches(
    language: Language,
    captions: Captions,
    codes: Int[Tensor, "pictures cells"],
    recipe: Recipe,
    *,
    dropped: float | int = 0.1,
) -> Iterator[Int[Tensor, "batch seq"]]:
    """Draw sequences for every step of a training; of some, all words are replaced by "anything".

    Args:
        language: of words and codes.
        captions: one for each picture.
        codes: of the pictures.
        recipe: says how many steps, how many sequences for each, and the seed.
        dropped: share of the sequences that lose their words, so that a model also learns to draw when told nothing.

    Raises:
        ValueError: if there is not a caption for each picture, or the share is not in [0, 1).

    References:
        Ho and Salimans 2022, arXiv:2207.12598, algorithm 1.

    >>> language = Language(["a", "one"], n_codes=3)
    >>> known = draw_batches(language, [["a", "one"]], torch.tensor([[0, 2]]), Recipe(steps=2, batch_size=1))
    >>> [len(batch) for batch in known]
    [1, 1]
    """
    check_dropout(dropped=dropped)
    if len(captions) != len(codes):
        raise ValueError(
            f"there must be a caption for each of {len(codes)} pictures, got {len(captions)}"
        )
    known = language.sequences(captions, codes)
    n_words = known.shape[1] - codes.shape[1] - 2
    empty = language.nothing(recipe.batch_size, n_words)
    rng = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.steps):
        batch = known[torch.randint(len(known), (recipe.batch_size,), generator=rng)]
        lost = torch.rand(recipe.batch_size, generator=rng) < dropped
        batch[lost, : empty.shape[1]] = empty[lost]
        yield batch


def drawing_loss(
    model: Translator,
    sequences: Int[Tensor, "batch seq"],
    n_codes: int,
    word_weight: float | int = 0.0,
) -> Float[Tensor, ""]:
    r"""Compare what a model expects next with what comes, where a code comes.

    .. math:: -\frac{\sum_i w_i \log p(t_i \mid t_1, \dots, t_{i-1})}{\sum_i w_i}

    Args:
        model: of words and codes.
        sequences: as ``draw_batches`` gives them.
        n_codes: the last ids of the vocabulary are codes, and count 1.
        word_weight: what a word counts.

    Raises:
        ValueError: if the weight is below 0.
    """
    check_not_negative(word_weight=word_weight)
    logits = model(sequences[:, :1], sequences[:, :-1])
    asked = sequences[:, 1:]
    weights = torch.where(asked >= logits.shape[-1] - n_codes, 1.0, float(word_weight))
    nats = F.cross_entropy(logits.transpose(1, 2), asked, reduction="none")
    return (nats * weights).sum() / weights.sum()


class Guided(Translator):
    r"""A model that says codes alone, and is pushed away from what it would draw if it were told nothing.

    .. math:: \text{logits} = \text{logits}_\text{nothing}
        + w\, (\text{logits}_\text{words} - \text{logits}_\text{nothing})

    Args:
        model: of words and codes; ``Cached`` reads each token only once.
        language: of the model.
        scale: w. With 1, the words say what they say; with 0 they are not heard; above 1 they are exaggerated.

    Raises:
        ValueError: if the scale is not finite.

    References:
        Ho and Salimans 2022, arXiv:2207.12598, equation 6, where the scale is our w less 1.
    """

    def __init__(self, model: Translator, language: Language, scale: float | int = 1.0) -> None:
        super().__init__()
        check_finite(scale=scale)
        self.model, self.language, self.scale = model, language, scale
        self.training = model.training

    def encode(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Memory:
        """Read a prompt, and beside it one that says nothing."""
        empty = self.language.nothing(len(source), source.shape[1] - 2)
        both = self.model.encode(source), self.model.encode(empty)
        return Memory(*(torch.cat(parts, dim=1) for parts in zip(*both, strict=True)))

    def start(self, memory: Memory) -> State:
        """Start twice."""
        return tuple(part for half in _halves(memory) for part in self.model.start(half))

    def first_token(
        self,
        source: Shaped[Tensor, "batch source *features"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> Int[Tensor, " batch"]:
        """Return the last token of every prompt."""
        return self.model.first_token(source, source_mask)

    def step(
        self, token: Int[Tensor, " batch"], state: State, memory: Memory
    ) -> tuple[Float[Tensor, "batch vocab"], State]:
        """Read a code twice, and push the logits; what is no code cannot be said."""
        n = len(state) // 2
        told, nothing = _halves(memory)
        logits, one = self.model.step(token, state[:n], told)
        without, two = self.model.step(token, state[n:], nothing)
        pushed = without + self.scale * (logits - without)
        pushed[:, : self.language.first] = -math.inf
        return pushed, (*one, *two)


def _halves(memory: Memory) -> tuple[Memory, Memory]:
    one, two = zip(*(part.chunk(2, dim=1) for part in memory), strict=True)
    return Memory(*one), Memory(*two)


def truth(
    language: Language,
    sequences: Int[Tensor, "batch seq"],
    names: Sequence[str],
    columns: int = 4,
) -> Bool[Tensor, "batch queries keys"]:
    """Say which word a query should look at that asks for a code: the one that names what stands there.

    Pictures are made of things side by side, of the same width, and the sentence names them from left to right.

    Args:
        language: of words and codes.
        sequences: captions and pictures, as ``language.sequences`` gives them.
        names: words that name things.
        columns: patches in a row of a picture.

    Returns:
        True at one word for each query before a code; the last token of a sequence asks for nothing.

    Raises:
        ValueError: if captions name different numbers of things, or these do not divide the columns.

    >>> language = Language(["one", "two"], n_codes=3)
    >>> found = truth(language, language.sequences([["one", "two"]], torch.tensor([[0, 2]])), ["one", "two"], 2)
    >>> found[0].int()
    tensor([[0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0],
            [0, 0, 1, 0, 0]], dtype=torch.int32)
    """
    named = torch.isin(sequences, torch.tensor(language.vocabulary.encode(names)))
    n_things = int(named[0].sum())
    if bool((named.sum(1) != n_things).any()) or n_things < 1 or columns % n_things:
        raise ValueError(
            f"every caption must name as many things, a divisor of {columns}, got {sorted({*named.sum(1).tolist()})}"
        )
    places = named.nonzero()[:, 1].view(-1, n_things)  # of the names
    first = int((sequences[0] >= language.first).int().argmax())
    n = sequences.shape[1] - 1
    found = torch.zeros(len(sequences), n, n, dtype=torch.bool)
    for query in range(first - 1, n):
        thing = (query - first + 1) % columns // (columns // n_things)
        found[torch.arange(len(found)), query, places[:, thing]] = True
    return found


def own_word_share(
    weights: Float[Tensor, "batch heads queries keys"], right: Bool[Tensor, "batch queries keys"]
) -> Float[Tensor, ""]:
    r"""Of the weight that lies on names of things, return the share on the name of one's own thing.

    Args:
        weights: of one block.
        right: as ``truth`` says.

    Raises:
        ValueError: as in ``pointing``.

    >>> right = torch.tensor([[[True, False, False], [False, True, False]]])
    >>> own_word_share(torch.tensor([[[[0.3, 0.1, 0.6], [0.0, 0.4, 0.6]]]]), right)
    tensor(0.8750, dtype=torch.float64)
    """
    name = right.any(1, keepdim=True).expand_as(right) & right.any(-1, keepdim=True)
    counted = right.any(-1)
    own = pointing(weights, right, counted).mass.mean()
    return own / pointing(weights, name, counted).mass.mean()


def make_digit_clip(vocab_size: int) -> CLIP:
    """Make chapter 19's model, untrained, in the size that grey digits of eight by eight pixels need.

    Args:
        vocab_size: words that a caption may say, with the special tokens.

    >>> make_digit_clip(18)(torch.zeros(2, 8, 8, 1, dtype=torch.uint8), torch.tensor([[3, 7, 15]])).shape
    torch.Size([2, 1])
    """
    pictures = PictureEncoder(8, 2, 32, d_model=48, n_blocks=2, patches=ConvPatches(48, channels=1))
    return CLIP(pictures, TextEncoder(vocab_size, 3, 32, d_model=48))


@torch.no_grad()
def best_of(
    clip: CLIP,
    pictures: UInt8[Tensor, "drawn 8 8 1"],
    texts: Int[Tensor, "asked words"],
) -> Int[Tensor, " asked"]:
    """Choose for every caption one of the pictures that were drawn for it: the one that fits best.

    Args:
        clip: compares pictures with captions.
        pictures: the same number for each caption, one after the other.
        texts: the captions, as the model reads them.

    Returns:
        The numbers of the chosen pictures.

    Raises:
        ValueError: if there are not equally many pictures for each caption.

    References:
        Ramesh et al. 2021, arXiv:2102.12092, section 2.6, which chooses among 512.
    """
    n, rest = divmod(len(pictures), len(texts))
    if rest or not n:
        raise ValueError(
            f"there must be as many pictures for each of {len(texts)} captions, got {len(pictures)}"
        )
    drawn = clip.picture_vectors(pictures).view(len(texts), n, -1)
    fits = (drawn * clip.text_vectors(texts)[:, None]).sum(-1)
    return fits.argmax(1) + n * torch.arange(len(texts))
