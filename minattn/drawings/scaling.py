"""The drawings of chapters 22 and 23: keys that come block by block, in one process and round a ring of them."""

from itertools import pairwise

from minattn.drawing import Drawing


def online_softmax(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw who feeds whom where a query looks at a few keys at a time.

    Args:
        lit: "query", "blocks" or "memory", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Above, three blocks, each with keys and values of its own. Below each stands a memory of three things: the "
        "largest score m, the sum of powers l and the sum of values o. The query goes to all blocks. Each block and "
        "the memory before it make the next memory; what was there before is made smaller if a larger score appears. "
        "After the last block, o divided by l is the output."
    )
    d = Drawing(424, 250, alt, lit, small)
    xs = (76, 194, 312)
    with d.part("query"):
        query = d.box(194, 24, "query", 60)
    with d.part("blocks"):
        blocks = [d.box(x, 98, f"keys, values\nblock {n}", 108) for n, x in enumerate(xs, 1)]
    with d.part("query"):
        for block in blocks:
            d.arrow(query, block, [] if block is blocks[1] else [(block.at(0.5, 0)[0], 24)])
    with d.part("memory"):
        memory = [d.box(x, 176, "m, l, o", 70) for x in xs]
        for block, kept in zip(blocks, memory, strict=True):
            d.arrow(block, kept)
        for before, after in pairwise(memory):
            d.arrow(before, after)
        output = d.box(312, 230, "o / l", 54)
        d.arrow(memory[2], output)
        d.text(280, 230, "output", "end")
    return d


def ring(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw four processes that pass keys and values round, while the queries stay.

    Args:
        lit: "queries" or "keys", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Four processes in a ring. Each holds a quarter of the queries, which stay, and a quarter of the keys and "
        "values, which go on to the next process: 0 to 1, 1 to 2, 2 to 3 and 3 to 0. So process 0 sees keys 0 first, "
        "then 3, 2 and 1."
    )
    d = Drawing(418, 250, alt, lit, small)
    places = ((84, 50), (334, 50), (334, 196), (84, 196))
    with d.part("queries"):
        boxes = [
            d.box(
                x,
                y,
                f"process {r}\nqueries {r}\nkeys {', '.join(str((r - t) % 4) for t in range(4))}",
                130,
            )
            for r, (x, y) in enumerate(places)
        ]
    with d.part("keys"):
        for r, box in enumerate(boxes):
            d.arrow(box, boxes[(r + 1) % 4])
        for x, y, anchor in (
            (209, 38, "middle"),
            (324, 123, "end"),
            (209, 184, "middle"),
            (94, 123, "start"),
        ):
            d.text(x, y, "keys, values", anchor)
    return d
