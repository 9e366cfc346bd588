"""The drawings of decoding: the cache of keys and values, beams, and greedy decoding in frames."""

from minattn.drawing import FONT, Drawing

_CELL = 13
_APART = 4  # between the rows that are kept and the new one


def growing_cache(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw three steps of decoding with kept keys and values; matrices of one head, to scale.

    Args:
        lit: "query", "new rows" or "kept rows", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Three steps side by side, with matrices to scale. Step 1 reads <bos>, step 2 reads twenty, "
        "step 3 reads three. In every step the query is a single row, of shape (1, d_head). Key and "
        "value grow: in step 1 each has one new row; in step 2 the row of step 1 is kept, as an "
        "arrow shows, and one new row is appended below it, so that the shape is (2, d_head); in "
        "step 3 two rows are kept and one is new, (3, d_head). A row that is kept is not computed "
        "again."
    )
    d = Drawing(418, 424, alt, lit, small)
    d.text(
        4,
        380,
        "new: made of the token just read, and appended\nkept: not computed again\none head of one block is drawn",
        "start",
    )
    for step, word in enumerate(("<bos>", "twenty", "three"), 1):
        x = 70 + 140 * (step - 1)
        d.text(x, 12, f"step {step}", bold=True)
        with d.part("query"):
            query = d.matrix(x, 88, 1, 3, "query\n(1, d_{head})", _CELL)
            d.arrow(d.token(x, 42, word), query)
        for top, name in ((156, "key"), (266, "value")):
            _grown(d, x, top, step)
            d.text(x, top + 59, f"{name}\n({step}, d_{{head}})")
    return d


def _grown(d: Drawing, x: float, top: float, step: int) -> None:
    """Draw the rows of one step: the new one below those of the steps before, which come from the left."""
    kept = (step - 1) * _CELL
    y = top + kept + _CELL / 2 + (_APART if kept else 0)
    if kept:
        with d.part("kept rows"):
            rows = d.matrix(x, top + kept / 2, step - 1, 3, cell=_CELL)
            middle = top + _CELL / 2 if step == 2 else top + kept / 2 + _APART / 2
            d.arrow((rows.left - 98, middle), rows)
            d.text(rows.left - 52, middle - FONT, "kept")
    with d.part("new rows"):
        row = d.matrix(x, y, 1, 3, cell=_CELL)
        d.text(row.left - 5, y, "new", "end")
