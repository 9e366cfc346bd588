"""The drawings of chapter 5: heads split and merged, their sum behind W_o, and the roles in a list said twice."""

from minattn.drawing import Box, Drawing

_CELL = 6  # of the matrices; a column stands for four features
_SEQ = 5  # rows: tokens
_PART = 4  # columns of one head: 16 features
_HEADS = 4
_FIRST, _STEP = 64, 97  # where the first head stands, and from a head to the next


def split_and_merge(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw queries of width 64 that are cut for four heads, and put together again; matrices are to scale.

    Args:
        lit: "split", "attend" or "merge", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Queries of shape (seq, 64), a wide matrix at the top, are cut into four narrow ones of shape (seq, 16), "
        "one for each head; every part has all rows. Each goes into a box of its own, attend, head 1 to head 4, "
        "with that head's part of the keys and the values, and comes out as what this head found, (seq, 16). "
        "Below, the four are put side by side and are one matrix again, (seq, 64)."
    )
    d = Drawing(419, 330, alt, lit, small)
    centre, places = 419 / 2, [_FIRST + _STEP * head for head in range(_HEADS)]
    queries = _matrix(d, centre, 22, _SEQ, _HEADS * _PART)
    d.text(queries.left - 10, 22, "queries (seq, 64)", "end")
    with d.part("split"):
        parts = [_matrix(d, x, 100, _SEQ, _PART) for x in places]
        for head, part in enumerate(parts):
            d.arrow(queries.at((head + 0.5) / _HEADS, 1), part.at(0.5, 0))
        d.text(415, 56, "split", "end", bold=True)
        d.text(4, 50, "(seq, 16) each", "start")
    with d.part("attend"):
        boxes = [d.box(x, 160, f"attend,\nhead {head}", 78) for head, x in enumerate(places, 1)]
        found = [_matrix(d, x, 222, _SEQ, _PART) for x in places]
        for part, box, output in zip(parts, boxes, found, strict=True):
            d.arrow(part, box)
            d.arrow(box, output)
    with d.part("merge"):
        output = _matrix(d, centre, 300, _SEQ, _HEADS * _PART)
        for head, part in enumerate(found):
            d.arrow(part.at(0.5, 1), output.at((head + 0.5) / _HEADS, 0))
        d.text(415, 266, "merge", "end", bold=True)
    d.text(output.left - 10, 300, "found (seq, 64)", "end")
    return d


def sum_of_heads(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw the output projection twice: as one product, and as a sum of four; matrices are to scale.

    Args:
        lit: "one product" or "a sum of four", the half that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Above, what the four heads found stands side by side, (seq, 64), and is multiplied by W_o, (64, 64), which "
        "is cut into four bands of 16 rows; the output is (seq, 64). Below, the same as a sum of four: each head's "
        "part, (seq, 16), is multiplied by its own band of W_o, (16, 64), which gives (seq, 64), and four arrows "
        "lead from these into a plus, and one from there to the output."
    )
    d = Drawing(419, 424, alt, lit, small)
    with d.part("one product"):
        for head in range(_HEADS):
            _matrix(d, 22 + 26 * head, 62, _SEQ, _PART)
        bands = [_matrix(d, 200, 23 + 26 * head, _PART, _HEADS * _PART) for head in range(_HEADS)]
        whole = _matrix(d, 362, 62, _SEQ, _HEADS * _PART)
        d.text(130, 62, "×")
        d.arrow((bands[0].at(1, 0)[0] + 8, 62), whole)
        d.text(61, 94, "found\n(seq, 64)")
        d.text(200, 126, "W_o (64, 64)")
        d.text(362, 94, "output\n(seq, 64)")
    with d.part("a sum of four"):
        add = d.box(387, 254, "+", 30, height=4 * 48)
        for head in range(_HEADS):
            y = 182 + 48 * head
            _matrix(d, 44, y, _SEQ, _PART)
            d.text(4, y, f"o_{head + 1}", "start")
            d.text(76, y, "×")
            band = _matrix(d, 146, y, _PART, _HEADS * _PART)
            written = _matrix(d, 284, y, _SEQ, _HEADS * _PART)
            d.arrow(band, written)
            d.arrow(written, add)
        d.text(44, 366, "(seq, 16)")
        d.text(146, 366, "W_{o,i} (16, 64)")
        d.text(284, 366, "(seq, 64)")
        output = _matrix(d, 355, 404, _SEQ, _HEADS * _PART)
        d.arrow(add, output)
        d.text(output.left - 10, 404, "output (seq, 64)", "end")
    return d


def roles_in_a_list(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw a list said twice, and where a head would look that has one of four roles.

    Args:
        lit: a role, such as "same letter", the arrow that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "The tokens <bos> x v e f and, after a bar, x v e f once more. Four arrows start at the e of the second "
        "round, whose next letter is f. The previous letter is the v before it. The same letter is the e of the "
        "first round. After the same letter stands the f of the first round, which is the answer. "
        "The first letter is the x of the first round."
    )
    d = Drawing(419, 202, alt, lit, small)
    places = [30, *(78 + 37 * n for n in range(4)), *(260 + 37 * n for n in range(4))]
    tokens = [d.token(x, 100, word) for x, word in zip(places, ["<bos>", *"xvefxvef"], strict=True)]
    asks = tokens[7]
    d.arrow((224, 84), (224, 116), head=False)
    _role(d, "previous letter", (asks, 0.3), tokens[6], 66)
    _role(d, "same letter", (asks, 0.7), tokens[3], 26)
    _role(d, "after the same letter", (asks, 0.3), tokens[4], 134)
    _role(d, "first letter", (asks, 0.7), tokens[1], 174)
    return d


def _matrix(d: Drawing, x: float | int, y: float | int, rows: int, columns: int) -> Box:
    return d.matrix(x, y, rows, columns, cell=_CELL)


def _role(
    d: Drawing, role: str, start: tuple[Box, float | int], end: Box, level: float | int
) -> None:
    """Draw one arrow of a role, above or below the row, with its name beside the level stretch."""
    box, share = start
    below = level > box.top
    leaves, (arrives, _) = box.at(share, below), end.at(0.5, below)
    with d.part(role):
        d.arrow(leaves, end.at(0.5, below), [(leaves[0], level), (arrives, level)])
        d.text(leaves[0] - 6, level + (12 if below else -12), role, "end")
