"""The drawing of chapter 16: six queries ask a picture, and a matching tells what each should have said."""

from minattn.drawing import Drawing

_PITCH = 44  # from one query to the next
_LEFT = 24
_ANSWERS = ("–", "cat", "–", "key", "car", "–")
_THINGS = (("car", 4), ("cat", 1), ("key", 3))


def object_queries(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw six learned queries, the cells that they ask, their answers, and the things that these are matched with.

    Args:
        lit: "queries", "picture", "answers" or "matching", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Below on the left, six queries in a row, q 0 to q 5. Below on the right, a picture goes through a frozen "
        "stem and becomes a grid of cells. Queries and cells go into cross-attention. Above it are six answers, one "
        "for each query: nothing, cat, nothing, key, car, nothing. At the top are the three things of the picture, "
        "car, cat and key, in an order of their own. Dotted lines match each with the answer that says it: car with "
        "that of query 4, cat with 1, key with 3."
    )
    d = Drawing(418, 388, alt, lit, small)
    places = [_LEFT + _PITCH * n for n in range(len(_ANSWERS))]
    with d.part("queries"):
        queries = [d.box(x, 364, f"q_{n}", 34) for n, x in enumerate(places)]
        look = d.box(134, 238, "cross-attention", 254)
        for query in queries:
            d.arrow(query, (query.at(0.5, 0)[0], look.at(0, 1)[1]))
    with d.part("picture"):
        picture = d.box(362, 364, "picture", 76)
        stem = d.box(362, 310, "frozen stem", 104)
        cells = d.matrix(362, 238, 4, 4, cell=13)
        d.text(362, 192, "cells")
        d.arrow(picture, stem)
        d.arrow(stem, cells)
        d.arrow(cells, look)
    with d.part("answers"):
        answers = [d.token(x, 142, word) for x, word in zip(places, _ANSWERS, strict=True)]
        d.text(286, 142, "answers", "start")
        for answer in answers:
            d.arrow((answer.at(0.5, 0)[0], look.top), answer)
    with d.part("matching"):
        things = [d.token(68 + 88 * n, 34, word) for n, (word, _) in enumerate(_THINGS)]
        d.text(316, 34, "things", "start")
        for thing, (_, own) in zip(things, _THINGS, strict=True):
            d.arrow(thing.at(0.5, 1), answers[own].at(0.5, 0), dotted=True, head=False)
    return d
