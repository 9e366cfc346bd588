"""The drawings of chapters 10 and 12: who feeds whom in a decoder alone with smeared keys, and in T5."""

from collections.abc import Sequence
from itertools import pairwise

from minattn.drawing import Box, Drawing, token_width

_TOKENS = ("wom", "bat", "=", "-", "wom")


def decoder_alone(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw how one token of a text is guessed from those before it, with smeared keys.

    Args:
        lit: "keys", "query" or "guess", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "A text of five tokens, wom, bat, =, - and wom, read from below. Above each token stands "
        "its key, which an arrow from its own token feeds, and a dotted one from the token before; "
        "the first key has none. Arrows go from the keys of all five tokens, but of none that comes later, to "
        "the query of the last one, which looks for a key whose token before is wom. That is the second "
        "key, at bat. So the guess for what comes next is bat."
    )
    d = Drawing(416, 300, alt, lit, small)
    columns = [40 + 80 * i for i in range(len(_TOKENS))]
    words = [d.token(x, 272, word) for x, word in zip(columns, _TOKENS, strict=True)]
    with d.part("keys"):
        keys = [d.box(x, 190, "key", 52) for x in columns]
        for word, key in zip(words, keys, strict=True):
            d.arrow(word, key)
        for word, key in zip(words, keys[1:], strict=False):
            d.arrow(word, key, dotted=True)
    with d.part("query"):
        query = d.box(columns[-1], 92, "query", 64)
        for key in keys:
            d.arrow(key, query)
    with d.part("guess"):
        d.arrow(query, d.token(columns[-1], 30, "bat", dashed=True))
    d.text(4, 26, "dotted: the token before", "start")
    d.text(4, 48, "what fits the query: the key at bat,\nfor wom stands before it", "start")
    return d


def text_to_text(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw a task as a text that is answered by a text, and which attention gets a relative bias.

    Args:
        lit: "biases", "encoder" or "decoder", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Two columns, read from below. Left, the encoder: the tokens sort:, 3, 1 and 2 go into "
        "self-attention of block 1, then into that of block 2, which makes the memory. Right, the decoder: "
        "the tokens <bos>, 1 and 2 go into self-attention of block 1, then cross-attention of block 1, then the "
        "same two of block 2, which gives 1, 2 and 3. The memory goes into both cross-attentions. One table of "
        "biases, for both sides, feeds the two self-attentions of the encoder; another, for one side, those "
        "of the decoder. None feeds cross-attention."
    )
    d = Drawing(416, 366, alt, lit, small)
    with d.part("encoder"):
        read = _words(d, ("sort:", "3", "1", "2"), 128, 346)
        around = [d.box(128, y, f"self-attention {n}", 120) for n, y in ((1, 262), (2, 178))]
        memory = d.box(128, 104, "memory", 120)
        _upwards(d, read, [*around, memory])
    with d.part("decoder"):
        written = _words(d, ("<bos>", "1", "2"), 290, 346)
        names = "self-attention 1", "cross-attention 1", "self-attention 2", "cross-attention 2"
        writing = [
            d.box(290, y, name, 132) for name, y in zip(names, (286, 226, 164, 104), strict=True)
        ]
        answer = _words(d, ("1", "2", "3"), 290, 44)
        _upwards(d, written, [*writing, answer])
        for cross in writing[1::2]:
            d.arrow(memory.at(1, 0.5), cross.at(0, 0.5))
    with d.part("biases"):
        both = d.box(27, 220, "bias:\nboth\nsides", 50)
        one = d.box(390, 226, "bias:\none\nside", 50)
        for table, side, blocks in ((both, 0, around), (one, 1, writing[::2])):
            for block in blocks:
                d.arrow(
                    table.at(0.5, 0 if block.top < table.top else 1),
                    block.at(side, 0.5),
                    dotted=True,
                )
    return d


def _words(d: Drawing, words: Sequence[str], x: float | int, y: float | int) -> Box:
    """Draw tokens side by side, and return the one in the middle, to draw an arrow from."""
    left: float | int = x - (sum(map(token_width, words)) + 6 * (len(words) - 1)) / 2
    boxes = []
    for word in words:
        boxes.append(d.token(left + token_width(word) / 2, y, word))
        left += token_width(word) + 6
    return Box(x - 8, boxes[0].top, 16, boxes[0].height)


def _upwards(d: Drawing, start: Box, boxes: Sequence[Box]) -> None:
    for below, above in pairwise([start, *boxes]):
        d.arrow(below, above)
