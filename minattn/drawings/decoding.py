"""The drawings of decoding: the cache of keys and values, beams, and greedy decoding in frames."""

from collections.abc import Sequence

from minattn.drawing import FONT, ROW, Box, Drawing, token_width

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


def _grown(d: Drawing, x: float | int, top: float | int, step: int) -> None:
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


_BRANCHES = (  # of each step: row, target so far, log-probability of its last token
    ((0, "three", -0.6), (2, "twenty", -0.9), (3, "thirty", -3.5)),
    (
        (0, "three <eos>", -0.9),
        (1, "three hundred", -1.0),
        (2, "twenty three", -0.3),
        (3, "twenty <eos>", -1.6),
    ),
    ((0, "three <eos> <pad>", 0.0), (2, "twenty three <eos>", -0.1), (3, "twenty three and", -3.0)),
)


def beams(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw a beam search with two beams, where greedy decoding would miss the likelier target.

    Args:
        lit: "kept", "dropped" or "finished", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "A tree that grows to the right from <bos> in three steps. At each branch stands the "
        "log-probability of its token, and below each token the sum of all branches that lead to it. "
        "The two best sums of a step are kept, the others are dropped and have a dashed border. "
        "Step 1: three, -0.6, and twenty, -0.9, are kept; thirty, -3.5, is dropped. Step 2: twenty "
        "three, -1.2, and three <eos>, -1.5, are kept; three hundred, -1.6, and twenty <eos>, -2.5, "
        "are dropped. Step 3: three <eos> is finished and stays with its -1.5, for a <pad> adds 0.0; "
        "twenty three <eos>, -1.3, is kept and is now the best; twenty three and, -4.2, is dropped."
    )
    d = Drawing(408, 366, alt, lit, small)
    d.text(4, 337, "at a branch: log-probability; below a token: the sum", "start")
    d.text(4, 355, "<pad>: the target is finished and stays", "start")
    boxes, sums = {"": d.token(34, 50, "<bos>")}, {"": 0.0}
    for step, (left, branches) in enumerate(zip((114, 230, 342), _BRANCHES, strict=True), 1):
        d.text(left, 12, f"step {step}", "start", bold=True)
        for _, target, log_prob in branches:
            sums[target] = sums[target.rpartition(" ")[0]] + log_prob
        best = sorted(sums[target] for _, target, _ in branches)[-2:]
        for row, target, log_prob in branches:
            before, _, word = target.rpartition(" ")
            kept = sums[target] in best
            finished = ("finished",) if kept and "<eos>" in target else ()
            with d.part("kept" if kept else "dropped", *finished):
                x, y, parent = left + token_width(word) / 2, 50 + 72 * row, boxes[before]
                boxes[target] = d.token(x, y, word, dashed=not kept)
                corners = [(left - 44, parent.at(0, 0.5)[1]), (left - 44, y)]
                level = corners[0] == corners[1]
                d.arrow(parent, boxes[target], () if level else corners)
                d.text(left - 24, y - 11, _signed(log_prob))
                d.text(x, y + 22, f"{_signed(sums[target])}\n{'kept' if kept else 'dropped'}")
    return d


def _signed(number: float | int) -> str:
    return f"{number:.1f}".replace("-", "\N{MINUS SIGN}")


def greedy_frames(target: Sequence[str], lit: str | None = None, small: bool = False) -> Drawing:
    """Draw greedy decoding without a cache, one frame for each token that is written.

    Args:
        target: the tokens that the decoder writes, at least one. Four make four frames.
        lit: "read so far", "last row" or "appended", the part that stands out.
        small: draw it small, to say where the reader is.

    Raises:
        ValueError: if there are no tokens.
    """
    if isinstance(target, str) or not target:
        raise ValueError(f"target must be a list of at least one token, got {target!r}")
    read = ["<bos>", *target[:-1]]
    wide = max(64, *(token_width(word) for word in (*read, *target)))
    alt = (
        f"{len(target)} frames, one below the other. In each the decoder reads all tokens so far at "
        "once and gives one row of logits for each of them. Only the last row is used, the others "
        "are not: its largest logit is the next token, which is appended, as a dotted arrow shows, "
        "to what is read in the next frame. "
        + " ".join(
            f"Frame {n}: read {' '.join(read[:n])}; the last of {n} rows gives {word}."
            for n, word in enumerate(target, 1)
        )
    )
    heights = [ROW * n + 40 for n in range(1, len(target) + 1)]
    d = Drawing(2 * wide + 286, 48 + sum(heights), alt, lit, small)
    left, top, middle = 24 + wide / 2, 40, wide + 84
    right = d.width - 6 - wide / 2
    d.text(24, 12, "read so far", "start", bold=True)
    d.text(middle + 96, 12, "logits", bold=True)
    d.text(right, 12, "appended", bold=True)
    foot = "logits: one row for each token that is read\nthe memory is read as well, and not drawn"
    d.text(24, sum(heights) + 22, foot, "start")
    before: Box | None = None
    for n, word in enumerate(target, 1):
        ys = [top + ROW * (row + 0.5) for row in range(n)]
        decoder = d.box(middle, top + ROW * n / 2, "decoder", 72, height=ROW * n)
        for row, (y, known) in enumerate(zip(ys, read, strict=False), 1):
            with d.part("read so far"):
                token = d.token(left, y, known)
                d.arrow(token, decoder)
            with d.part(*("last row",) * (row == n)):
                logits = d.matrix(middle + 96, y, 1, 5, cell=_CELL)
                d.arrow((decoder.at(1, 0)[0], y), logits)
                if row < n:
                    d.text(logits.at(1, 0)[0] + 6, y, "not used", "start")
        with d.part("appended"):
            if before is not None:
                turn = top - 24
                corners = [(before.at(0.5, 0)[0], turn), (8, turn), (8, ys[-1])]
                d.arrow(before, token, corners, dotted=True)
            before = d.token(right, ys[-1], word)
            d.arrow(logits, before)
            d.text(middle + 160, ys[-1] - 10, "largest")
        top += heights[n - 1]
    return d
