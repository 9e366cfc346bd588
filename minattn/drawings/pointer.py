"""The drawing of chapter 13: two ways to a word, from the vocabulary and from the source, and what they make."""

from minattn.drawing import Drawing

KNOWN = {"to": 0.3, "moves": 0.6, "left": 0.1}
"""Words of the vocabulary and the probability that each has there."""

WEIGHTS = {"Molvar": 0.1, "left": 0.1, "Tisk": 0.8}
"""Words of a source and the attention that each gets; two of them are not in the vocabulary."""

GATE = 0.2
"""The probability that a word comes from the vocabulary."""

_WIDE = {"to": 44, "moves": 60, "left": 50, "Molvar": 66, "Tisk": 50}
_GAP = 12
_HIGH = 45


def pointer_generator(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where a model says a word of its source that no vocabulary has.

    Args:
        lit: "vocabulary", "pointer" or "mixture", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    mixed = {
        word: GATE * KNOWN.get(word, 0) + (1 - GATE) * WEIGHTS.get(word, 0)
        for word in (KNOWN | WEIGHTS)
    }
    alt = (
        "Above, a box for the state of the decoder. From it arrows lead down to three words of the vocabulary, to, "
        "moves and left, with probabilities 0.3, 0.6 and 0.1, and from these to the same words of the output, in the "
        "middle. Below, the source, Molvar left Tisk, with attention 0.1, 0.1 and 0.8; a long line brings each of "
        "them the query from the state. Arrows lead up from its words to the same words of the output. So left is "
        "fed from both sides. Molvar and Tisk are dashed and fed from below alone. The vocabulary counts times 0.2, "
        "the source times 0.8, so the output has "
        + ", ".join(f"{word} {p:.2f}" for word, p in mixed.items())
        + "."
    )
    d = Drawing(400, 330, alt, lit, small)
    centres, left = {}, 12
    for word in mixed:
        centres[word] = left + _WIDE[word] / 2
        left += _WIDE[word] + _GAP
    with d.part("vocabulary"):
        state = d.box(centres["moves"], 22, "state", 60)
        known = {
            w: d.box(centres[w], 98, f"{w}\n{p}", _WIDE[w], height=_HIGH) for w, p in KNOWN.items()
        }
        for box in known.values():
            d.arrow(state, box)
        d.text(204, 98, "vocabulary, times 0.2", "start")
    with d.part("mixture"):
        out = {
            w: d.box(centres[w], 184, f"{w}\n{p:.2f}", _WIDE[w], w not in KNOWN, _HIGH)
            for w, p in mixed.items()
        }
        for word, box in known.items():
            d.arrow(box, out[word])
    with d.part("pointer"):
        read = {
            word: d.box(x, 282, f"{word}\n{WEIGHTS[word]}", _WIDE[word], word not in KNOWN, _HIGH)
            for word, x in zip(WEIGHTS, (144, 214, 284), strict=True)
        }
        for word, box in read.items():
            d.arrow(box.at(0.5, 0), out[word].at(0.5, 1))
            x, foot = box.at(0.5, 1)
            d.arrow((x, foot + 18), (x, foot))
        d.arrow(state, (144, foot + 18), via=[(384, 22), (384, foot + 18)], head=False)
        d.text(376, 40, "query", "end")
        d.text(12, 275, "source,\ntimes 0.8", "start")
    return d
