"""The drawing of chapter 15: who feeds whom from a picture to a word of its caption."""

from minattn.drawing import Drawing


def captioner(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw one step of a captioner: two states read the word before, and one of them looks at the cells.

    Args:
        lit: "cells", "looking" or "words", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Below on the left, a picture goes through a frozen stem and becomes a grid of cells, to which places are "
        "added. On the right, the word before, above, goes into two states. The state h t also gets the state and the "
        "context of the step before; it gives the query to attention. The cells give keys and values to attention. "
        "Attention gives the context c t. The state g t has read nothing but words. Context and g t together "
        "make the next word, a."
    )
    d = Drawing(418, 400, alt, lit, small)
    with d.part("cells"):
        picture = d.box(66, 378, "picture", 84)
        stem = d.box(66, 322, "frozen stem", 106)
        cells = d.matrix(66, 242, 5, 5)
        d.text(66, 192, "cells and places")
        d.arrow(picture, stem)
        d.arrow(stem, cells)
    with d.part("looking"):
        state = d.box(246, 310, "h_t", 44)
        attention = d.box(246, 200, "attention", 92)
        context = d.box(246, 120, "c_t", 44)
        d.arrow(state, attention)
        d.text(254, 258, "query", "start")
        d.arrow(cells, attention, [(150, 242), (150, 200)])
        d.text(158, 222, "keys,", "start")
        d.text(158, 240, "values", "start")
        d.arrow(attention, context)
        d.text(134, 310, "h_{t-1}, c_{t-1}", "start")
        d.arrow((204, 310), state)
    with d.part("words"):
        before = d.token(310, 378, "above")
        said = d.box(374, 310, "g_t", 44)
        after = d.token(310, 32, "a")
        d.arrow(before, state, [(246, 378)])
        d.arrow(before, said, [(374, 378)])
        d.arrow(context, after, [(246, 32)])
        d.arrow(said, after, [(374, 32)])
    return d
