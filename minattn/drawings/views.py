"""The drawing of chapter 17: what the left eye's blurred view fetches from the right eye's sharp one."""

from minattn.drawing import Drawing


def two_eyes(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where a row of one view asks the same row of another.

    Args:
        lit: "asking", "answering" or "painting", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Below on the left, the left view, blurred. It goes through look, three convolutions, and gives the queries of "
        "attention along a row. Below on the right, the right view, sharp. It is blurred too, goes through the same "
        "look, and gives the keys; what blurring it took away, called missing, gives the values. What attention "
        "fetches goes, with what look has seen on the left, to paint, three more convolutions. What paint says is "
        "added to the left view, blurred, and that is the left view, sharp."
    )
    d = Drawing(418, 412, alt, lit, small)
    with d.part("asking"):
        left = d.box(78, 388, "left, blurred", 108)
        look = d.box(78, 274, "look", 60)
        attention = d.box(240, 194, "attention along a row", 172)
        d.arrow(left, look)
        d.arrow(look, attention, [(78, 194)])
        d.text(84, 180, "queries", "start")
    with d.part("answering"):
        right = d.box(304, 388, "right, sharp", 104)
        blurred = d.box(240, 332, "blurred", 74)
        missing = d.box(368, 332, "missing", 76)
        same = d.box(240, 274, "look", 60)
        d.arrow(right, blurred, [(240, 388)])
        d.arrow(right, missing, [(368, 388)])
        d.arrow(blurred, same)
        d.arrow(same, attention)
        d.text(248, 234, "keys", "start")
        d.arrow(missing, attention, [(368, 194)])
        d.text(362, 234, "values", "end")
    with d.part("painting"):
        paint = d.box(240, 112, "paint", 64)
        added = d.box(240, 46, "+", 32)
        sharp = d.box(352, 46, "left, sharp", 98)
        d.arrow(attention, paint)
        d.text(248, 154, "fetched", "start")
        d.arrow((78, 194), paint, [(78, 112)])
        d.arrow(paint, added)
        d.arrow((left.at(0, 0.5)[0], 388), added, [(10, 388), (10, 46)])
        d.arrow(added, sharp)
    return d
