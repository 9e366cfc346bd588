"""The drawing of chapter 19: two encoders, one space, and a table of which sentence fits which picture."""

from minattn.drawing import Drawing

_PITCH = 34


def two_towers(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where pictures and sentences are compared.

    Args:
        lit: "pictures", "sentences" or "scores", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "On the left, from below: four pictures go through the picture encoder, where a learned query asks all cells, "
        "and become four vectors, u 1 to u 4. Above on the right, four sentences go through the text encoder, where "
        "another learned query asks all words, and become four vectors, v 1 to v 4. Between them a table of four by "
        "four scores, one for each picture and sentence. The four on the diagonal are marked: they shall be the "
        "largest of their rows and of their columns."
    )
    d = Drawing(418, 356, alt, lit, small)
    left, top = 196, 150  # middle of the first score
    places = [_PITCH * n for n in range(4)]
    with d.part("pictures"):
        for n, y in enumerate(places):
            d.box(left - 50, top + y, f"u_{n + 1}", 34)
        encoder = d.box(66, top + 34, "picture\nencoder", 88)
        pictures = d.box(66, 326, "4 pictures", 94)
        d.arrow(pictures, encoder)
        d.arrow(encoder, (left - 50 - 17, top + 34))
        d.text(66, top - 21, "query asks\nall cells")
    with d.part("sentences"):
        for n, x in enumerate(places):
            d.box(left + x, top - 48, f"v_{n + 1}", 30)
        encoder = d.box(left + 34, 44, "text\nencoder", 88)
        sentences = d.box(360, 44, "4 sentences", 100)
        d.arrow(sentences, encoder)
        d.arrow(encoder, (left + 34, top - 48 - 14))
        d.text(114, 36, "query asks\nall words")
    with d.part("scores"):
        for row, y in enumerate(places):
            for column, x in enumerate(places):
                d.box(left + x, top + y, "1" if row == column else "", 30, row != column)
        d.text(left + 51, top + 136, "scores: which sentence\nfits which picture?")
    return d
