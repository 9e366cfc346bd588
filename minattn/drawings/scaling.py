"""The drawing of chapter 22: one query goes through its keys block by block, and remembers three numbers."""

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
