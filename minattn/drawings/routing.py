"""The drawing of chapter 18: where a patch of the answer comes from, and what it is, go separate ways."""

from minattn.drawing import Drawing


def where_and_what(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where every patch of an answer asks for the patch that it is made of.

    Args:
        lit: "where" or "what", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Below, from left to right: the command; the places of the answer's patches; the places of the picture's "
        "patches; the picture. Command and places of the answer give the queries of attention, places of the picture "
        "the keys. The picture is cut into patches, and these are the values. What attention fetches is turned inside, "
        "by a matrix that the command chooses, and is the answer."
    )
    d = Drawing(430, 346, alt, lit, small)
    with d.part("where"):
        command = d.box(58, 322, "command", 82)
        asked = d.box(164, 322, "places\nof the answer", 112)
        offered = d.box(290, 322, "places\nof the picture", 112)
        query = d.box(112, 236, "queries", 76)
        key = d.box(218, 236, "keys", 60)
        attention = d.box(218, 160, "attention", 92)
        d.arrow(command, query, [(58, 236)])
        d.arrow(asked, (query.at(1, 0)[0] - 12, query.at(0, 1)[1]), [(164, 280), (138, 280)])
        d.arrow(offered, key, [(290, 236)])
        d.arrow(query, attention, [(112, 160)])
        d.arrow(key, attention)
    with d.part("what"):
        picture = d.box(392, 322, "picture", 74)
        patches = d.box(392, 236, "patches", 74)
        turned = d.box(218, 92, "turn inside", 100)
        answer = d.box(218, 28, "answer", 76)
        d.arrow(picture, patches)
        d.arrow(patches, attention, [(392, 160)])
        d.text(384, 184, "values", "end")
        d.arrow(attention, turned)
        d.arrow(turned, answer)
        d.arrow((58, 236), turned, [(58, 92)])
    return d
