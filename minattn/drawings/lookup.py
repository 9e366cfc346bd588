"""The drawing of queries, keys and values: which side makes what, who meets whom, and what arrives."""

from minattn.drawing import Drawing


def queries_meet_keys(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw one vector that asks three others, through three projections; matrices are to scale.

    Args:
        lit: "queries", "keys" or "values", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "What asks, one vector on the left, goes through W_q and becomes a query. What is asked, three vectors "
        "on the right, goes through W_k and becomes three keys, and through W_v and becomes three values. "
        "The query and the keys go into a box, dot products and softmax, which gives three weights. The weights "
        "and the values go into a box, weighted sum, which gives the output, one vector as wide as a value. "
        "The keys go no further than the weights."
    )
    d = Drawing(418, 420, alt, lit, small)
    with d.part("queries"):
        d.matrix(70, 44, 1, 5, "what asks")
        query = d.matrix(70, 150, 1, 3, "query")
        d.arrow((70, 74), query)
        d.text(78, 106, "W_q", "start")
    with d.part("keys"):
        key = d.matrix(200, 150, 3, 3, "key")
        d.arrow((270, 92), key.at(0.5, 0), [(200, 92)])
        d.text(208, 112, "W_k", "start")
    with d.part("values"):
        value = d.matrix(350, 150, 3, 4, "value")
        d.arrow((322, 92), value.at(0.5, 0), [(350, 92)])
        d.text(358, 112, "W_v", "start")
    d.matrix(296, 44, 3, 5, "what is asked")
    with d.part("queries", "keys"):
        compare = d.box(135, 252, "dot products,\nsoftmax", 124)
        weights = d.matrix(135, 334, 1, 3, "weights")
        d.arrow((70, 182), (95, compare.top), [(70, 206), (95, 206)])
        d.arrow((200, 194), (175, compare.top), [(200, 210), (175, 210)])
        d.arrow(compare, weights)
    with d.part("values"):
        add = d.box(316, 334, "weighted sum", 112)
        output = d.matrix(316, 392, 1, 4, "output")
        d.arrow((350, 194), (350, add.top))
        d.arrow(weights, add)
        d.arrow(add, output)
    return d
