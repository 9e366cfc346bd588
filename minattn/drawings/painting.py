"""The drawing of chapter 20: from words to codes, one after the other, and from codes to a picture."""

from minattn.drawing import Drawing

_CODES = ("41", "7", "7", "90")
_PITCH = 52


def words_to_picture(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where a decoder writes the codes of a picture after the words.

    Args:
        lit: "words", "codes" or "picture", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "In the lower row stands what the decoder reads, from left to right: the words a, bold and seven, then the "
        "codes 41, 7 and 7. Over all of them lies a wide box, the decoder, in which each place "
        "looks at all places before it. Above, it says the next code, 90. A code book turns each code into a patch of "
        "two by two pixels, and four by four patches are a picture."
    )
    d = Drawing(432, 334, alt, lit, small)
    xs = 36, 88, 158, *(224 + _PITCH * n for n in range(3))
    with d.part("words"):
        words = [d.token(x, 300, word) for x, word in zip(xs, ("a", "bold", "seven"), strict=False)]
        d.text(xs[1], 322, "words")
    with d.part("codes"):
        codes = [d.box(x, 300, code, 34) for x, code in zip(xs[3:], _CODES[:3], strict=False)]
        d.text(xs[4], 322, "codes so far")
        decoder = d.box(200, 232, "decoder: each place looks at all before it", 356)
        for box in [*words, *codes]:
            d.arrow(box.at(0.5, 0), (box.at(0.5, 0)[0], decoder.at(0, 1)[1]))
        said = d.box(xs[5], 160, _CODES[3], 34)
        d.arrow((xs[5], decoder.at(0, 0)[1]), said)
        d.text(xs[5] + 24, 160, "next code", "start")
    with d.part("picture"):
        book = d.box(xs[5], 96, "code book", 90)
        d.arrow(said, book)
        picture = d.matrix(120, 72, 4, 4, "4 × 4 patches", 26)
        d.arrow(book, (picture.at(1, 0)[0], 96))
    return d
