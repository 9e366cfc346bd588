"""Exercise 5.3: one head out of all."""

from collections.abc import Callable

import torch
from torch import Tensor

from minattn.exercises.exercise import Exercise, Law, Mistake
from minattn.exercises.multi_head.cutting import numbered_tokens


def head_weight(weight: Tensor, n_heads: int, head: int) -> Tensor:
    """Return the rows of a Linear's weight that make one head."""
    return weight.view(n_heads, -1, weight.shape[1])[head]


def _rows(
    start: Callable[[int, int, int], int], stop: Callable[[int, int, int], int]
) -> Callable[[Tensor, int, int], Tensor]:
    """Make an answer that takes other rows; both ends may look at head, d_head and n_heads."""

    def answer(weight: Tensor, n_heads: int, head: int) -> Tensor:
        sizes = head, len(weight) // n_heads, n_heads
        return weight[start(*sizes) : stop(*sizes)]

    return answer


def _columns(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = weight.shape[1] // n_heads
    return weight[:, head * d_head : (head + 1) * d_head]


def _columns_by_rows(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = len(weight) // n_heads
    return weight[:, head * d_head : (head + 1) * d_head]


def _rows_by_columns(weight: Tensor, n_heads: int, head: int) -> Tensor:
    d_head = weight.shape[1] // n_heads
    return weight[head * d_head : (head + 1) * d_head]


def _others_zeroed(weight: Tensor, n_heads: int, head: int) -> Tensor:
    own = torch.arange(len(weight)) // (len(weight) // n_heads) == head
    return weight * own[:, None]


EXERCISE = Exercise(
    number="5.3",
    title="One head out of all",
    solution=head_weight,
    cases=lambda: [
        (numbered_tokens(1, 6, 4)[0], 2, 1),
        (numbered_tokens(1, 6, 5)[0], 3, 0),
        (numbered_tokens(1, 8, 8)[0], 2, 1),
        (numbered_tokens(1, 10, 7)[0], 5, 4),
        (numbered_tokens(1, 10, 10)[0], 5, 2),
        (numbered_tokens(1, 3, 2)[0], 1, 0),
    ],
    mistakes=[
        Mistake(
            "columns",
            _columns,
            "You take columns, so your head reads a slice of each token and not the whole of it. A column "
            "belongs to a feature that comes in, and every head needs them all. What comes out is cut "
            "into heads, and nn.Linear has a row for each feature that comes out.",
            also=[
                _columns_by_rows,
                lambda w, n, i: _columns(w, n, i).T,
                lambda w, n, i: _columns_by_rows(w, n, i).T,
                lambda w, n, i: _columns(head_weight(w, n, i), n, i),
                lambda w, n, i: w.chunk(n, dim=1)[i],
                lambda w, n, i: w.reshape(len(w), n, -1)[:, i],
            ],
        ),
        Mistake(
            "interleaved",
            lambda w, n, i: w[i::n],
            "You take every n_heads-th row. A head is a block of neighbours: head 0 has the first d_head "
            "rows, head 1 the next d_head. When you cut the rows by a view, the slow index comes first: "
            "(n_heads, d_head).",
        ),
        Mistake(
            "stride_of_d_head",
            lambda w, n, i: w[i :: len(w) // n],
            "You take every d_head-th row, and as many of them as there are heads. A head has d_head rows "
            "side by side.",
        ),
        Mistake(
            "transposed",
            lambda w, n, i: head_weight(w, n, i).T,
            "These are the right numbers, transposed. nn.Linear keeps its weight as (out, in), one row for "
            "each feature that comes out, and your result should be the weight of such a layer.",
        ),
        Mistake(
            "lines_broken",
            lambda w, n, i: w.reshape(n, w.shape[1], -1)[i],
            "view and reshape only break the lines elsewhere; they do not turn a table. The rows of the "
            "weight are already where they should be: cut the first axis, and leave the last one alone.",
            also=[
                lambda w, n, i: w.T.reshape(n, -1, w.shape[1])[i],
                lambda w, n, i: w.reshape(len(w) // n, w.shape[1], n)[..., i],
            ],
        ),
        Mistake(
            "n_heads_rows",
            _rows(lambda i, d, n: i * n, lambda i, d, n: (i + 1) * n),
            "You take n_heads rows, but a head has d_head of them: the rows of the weight divided by "
            "n_heads. (torch.split wants to be told the length of a part, chunk the number of parts.)",
            also=[lambda w, n, i: w.split(n)[i]],
        ),
        Mistake(
            "width_of_the_input",
            _rows_by_columns,
            "You take d_head from the number of columns. Those are the features that come in, and they are "
            "not shared out. The rows are: d_head is their number divided by n_heads.",
        ),
        Mistake(
            "from_one",
            _rows(lambda i, d, n: (i - 1) * d, lambda i, d, n: i * d),
            "This is the head before. They are counted from 0, so the rows of head 0 begin at row 0.",
            also=[lambda w, n, i: head_weight(w, n, i - 1)],
        ),
        Mistake(
            "next_head",
            lambda w, n, i: w[(i + 1) * (len(w) // n) : (i + 2) * (len(w) // n)],
            "This is the head after. They are counted from 0, so the rows of head 0 begin at row 0.",
            also=[lambda w, n, i: w.chunk(n)[i + 1]],
        ),
        Mistake(
            "start_not_multiplied",
            _rows(lambda i, d, n: i, lambda i, d, n: i + d),
            "Your slice begins at row head. Each head before this one has d_head rows, so that is what "
            "head has to be multiplied by.",
            also=[_rows(lambda i, d, n: i, lambda i, d, n: (i + 1) * d)],
        ),
        Mistake(
            "end_is_no_length",
            _rows(lambda i, d, n: i * d, lambda i, d, n: d),
            "A slice ends at a place, not after a length: weight[start:d_head] is empty if start is not "
            "smaller than d_head. The end is start + d_head.",
        ),
        Mistake(
            "no_end",
            _rows(lambda i, d, n: i * d, lambda i, d, n: n * d),
            "The slice begins where it should and never ends, so all later heads are in it too. It ends "
            "d_head rows after its start.",
        ),
        Mistake(
            "first_head",
            _rows(lambda i, d, n: 0, lambda i, d, n: d),
            "This is always head 0. The argument head says which one is wanted.",
        ),
        Mistake(
            "one_row_short",
            _rows(lambda i, d, n: i * d, lambda i, d, n: (i + 1) * d - 1),
            "The last row is missing. A slice already ends before its end, so nothing has to be taken off.",
        ),
        Mistake(
            "one_row",
            lambda w, n, i: w[i],
            "This is one row: it makes one feature. A head has d_head features, and as many rows.",
            also=[lambda w, n, i: w[i][None], lambda w, n, i: w[i * (len(w) // n)]],
        ),
        Mistake(
            "others_zeroed",
            _others_zeroed,
            "The rows are right, but the others are still there, as zeros. The other heads do not make "
            "zeros here, they are gone: a layer for one head has d_head outputs.",
        ),
        Mistake(
            "one_line",
            lambda w, n, i: w.reshape(n, -1)[i],
            "These are the right numbers in one long line. Keep the columns as an axis: "
            "(n_heads, d_head, d_in) has a table for each head.",
        ),
        Mistake(
            "not_whole",
            lambda w, n, i: w[i * (len(w) / n) : (i + 1) * (len(w) / n)],
            "In Python 6 / 2 is 3.0, and a slice wants whole numbers. Divide by //.",
        ),
        Mistake(
            "all_heads",
            lambda w, n, i: w.chunk(n),
            "These are all the heads. Return the one that was asked for.",
            also=[
                lambda w, n, i: w.view(n, -1, w.shape[1]),
                lambda w, n, i: w,
            ],
        ),
    ],
    laws=[
        Law(
            "a head reads all the features of a token, so no column is missing",
            lambda out, w, n, i: out.shape[-1] == w.shape[1],
        ),
    ],
)
