"""The drawing of chapter 10: who feeds whom in a decoder alone, whose keys know the token before them."""

from minattn.drawing import Drawing

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
