"""The drawings of chapters 1 and 2: the recurrent encoder-decoder, and its attention."""

from collections.abc import Sequence
from itertools import pairwise

from minattn.drawing import Box, Drawing, token_width


def encoder_decoder(
    source: Sequence[str], target: Sequence[str], lit: str | None = None, small: bool = False
) -> Drawing:
    """Draw the encoder-decoder: all that passes between its halves is one vector.

    Args:
        source: the words that the encoder reads, one after the other, at least one.
        target: the words that the decoder writes, at least one.
        lit: "encoder", "context" or "decoder", the part that stands out.
        small: draw it small, to say where the reader is.

    Raises:
        ValueError: if there are no words.
    """
    for name, words in (("source", source), ("target", target)):
        if isinstance(words, str) or not words:
            raise ValueError(f"{name} must be a list of at least one word, got {words!r}")
    read = ["<bos>", *target[:-1]]
    pitch = max(60, *(token_width(word) + 12 for word in source))
    step = max(104, *(token_width(word) + 44 for word in (*read, *target)))
    count, steps = len(source), len(target)
    width = max(330, pitch * count + 44, 136 + step * (steps - 0.5))
    alt = (
        f"Two rows. Above, the encoder: the states h1 to h{count}, joined by arrows from left to "
        f"right; each reads the word below it, {' '.join(source)}. The last one, h{count}, is the "
        "context vector c. Below, the decoder: an arrow from c, labelled a linear layer and tanh, "
        "makes its first state s0, and arrows from c lead into every later state too, s1 to "
        f"s{steps}. Each of these reads the word below it, {' '.join(read)}, and writes the word "
        f"above it, {' '.join(target)}. A dotted arrow leads from each word written to the place "
        "where it is read next when the model writes alone."
    )
    d = Drawing(width, 316, alt, lit, small)
    places = [4 + pitch * (n + 0.5) for n in range(count)]
    with d.part("encoder", "context"):
        last = d.box(places[-1], 44, f"h_{count} = c", 58)
    with d.part("encoder"):
        d.text(4, 12, "encoder", "start", bold=True)
        _chain(d, [d.box(x, 44, f"h_{n}") for n, x in enumerate(places[:-1], 1)] + [last])
        for x, word in zip(places, source, strict=True):
            d.arrow(d.token(x, 92, word), (x, 58))
    with d.part("decoder"):
        d.text(4, 272, "decoder", "start", bold=True)
        first = d.box(30, 224, "s_0", 40)
        states = _decoder(d, first, read, target, step)
    with d.part("context"):
        bus, x = 126, width - 12
        d.arrow(last, first, [(x, 44), (x, bus), (30, bus)])
        d.text(x - 12, bus - 14, "c", bold=True)
        d.text(36, 144, "a linear\nlayer\nand tanh", "start")
        for state in states:
            x = state.left + 12
            d.arrow((x, bus), state)
    d.text(4, 305, "dotted: what it reads when it writes alone", "start")
    return d


def _chain(d: Drawing, boxes: Sequence[Box]) -> None:
    for before, after in pairwise(boxes):
        d.arrow(before, after)


def _decoder(
    d: Drawing, first: Box, read: Sequence[str], target: Sequence[str], step: float | int
) -> list[Box]:
    """Draw the steps after the first state: what is read below, what is written above."""
    places = [130 + step * n for n in range(len(target))]
    states = [d.box(x, 224, f"s_{n}", 76) for n, x in enumerate(places, 1)]
    _chain(d, [first, *states])
    before: Box | None = None
    for state, x, word, answer in zip(states, places, read, target, strict=True):
        below = d.token(x, 272, word)
        d.arrow(below, state)
        if before is not None:
            turn = x - step / 2
            corners = [(turn, before.at(1, 0.5)[1]), (turn, 272)]
            d.arrow(before, below, corners, dotted=True)
        before = d.token(x + 14, 170, answer)
        d.arrow(state, before)
    return states


def before_and_after(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw the two places where a recurrent decoder can ask: before its step, and after it.

    Args:
        lit: "before the step" or "after the step", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Two drawings of one decoder step, with numbers on the arrows in the order of time. Before "
        "the step (Bahdanau): 1, the state s t-1 is the query of attention over the encoder's "
        "states; 2, attention gives the context c t; 3, the context goes into the recurrent step, "
        "which reads s t-1 and the word before as well; 4, the step makes the state s t; 5, s t and "
        "c t together give the word. After the step (Luong): 1, the recurrent step reads s t-1 and "
        "the word before; 2, it makes the state s t; 3, s t is the query of attention over the "
        "encoder's states; 4, attention gives c t; 5, s t and c t together give the word."
    )
    d = Drawing(410, 500, alt, lit, small)
    with d.part("before the step"):
        d.text(4, 12, "before the step (Bahdanau)", "start", bold=True)
        state, step, after, word = _recurrence(d, 176)
        attention = _attention(d, 47, 92)
        context = d.box(160, 92, "c_t")
        d.arrow(state, attention, label="1")
        d.text(62, 134, "query", "start")
        d.arrow(attention, context, label="2")
        d.arrow(context, step, label="3")
        d.arrow(state, step)
        d.arrow(step, after, label="4")
        d.arrow(after, word, label="5")
        d.arrow(context, word, [(word.at(0.5, 0)[0], 92)], label="5")
    with d.part("after the step"):
        d.text(4, 264, "after the step (Luong)", "start", bold=True)
        state, step, after, word = _recurrence(d, 430)
        attention = _attention(d, 258, 346)
        context = d.box(370, 346, "c_t")
        d.arrow(state, step, label="1")
        d.arrow(step, after, label="2")
        d.arrow(after, attention, label="3")
        d.text(273, 388, "query", "start")
        d.arrow(attention, context, label="4")
        d.arrow(after, word, label="5")
        d.arrow(context, word, label="5")
    return d


def _recurrence(d: Drawing, y: float | int) -> tuple[Box, Box, Box, Box]:
    state, step = d.box(47, y, "s_{t-1}"), d.box(160, y, "step", 50)
    after, word = d.box(258, y, "s_t"), d.box(370, y, "word\nwritten", 66)
    below = d.box(160, y + 52, "word before", 96, dashed=True)
    d.arrow(below, step)
    return state, step, after, word


def _attention(d: Drawing, x: float | int, y: float | int) -> Box:
    attention = d.box(x, y, "attention", 78)
    for number, name in enumerate(("h_1", "...", "h_n")):
        place = x + 28 * (number - 1)
        if name == "...":
            d.text(place, y - 52, name)
        else:
            d.arrow(d.box(place, y - 52, name, 26), attention)
    return attention


def alone_and_taught(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw what one call of attention fills, in training and in writing, before the step and after it.

    Args:
        lit: "teacher forcing" or "writing alone", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Four matrices of weights with three rows, one for each target word, and four columns, one "
        "for each source word; what one call of attention fills is one frame with a number. After "
        "the step, with teacher forcing: one frame of three rows, number 1; all states come from "
        "one call of the recurrence, which goes word by word inside. The three others are three "
        "frames of one row, numbered 1, 2 and 3, each waiting for the state before: before the "
        "step with teacher forcing, and before as well as after the step when the model writes "
        "alone."
    )
    d = Drawing(410, 366, alt, lit, small)
    d.text(4, 42, "after the step", "start")
    d.text(4, 206, "before the step", "start")
    d.text(4, 350, "rows: target words; columns: source words", "start")
    for x, part in ((112, "teacher forcing"), (310, "writing alone")):
        with d.part(part):
            d.text(x, 12, part, bold=True)
            for y, place in ((96, "after"), (258, "before")):
                at_once = (part, place) == ("teacher forcing", "after")
                _filled(d, x, y, at_once)
                said = (
                    "1 call of attention\n1 call of the recurrence\n(inside, word by word)"
                    if at_once
                    else "3 calls of attention\none state at a time"
                )
                d.text(x, y + 46, said)
    return d


def _filled(d: Drawing, x: float | int, y: float | int, at_once: bool) -> None:
    rows, gap = (3, 0) if at_once else (1, 22)
    frames = [d.matrix(x, y + gap * n, rows, 4, cell=16) for n in ((0,) if at_once else (-1, 0, 1))]
    for number, frame in enumerate(frames, 1):
        d.text(frame.left - 12, frame.at(0, 0.5)[1], str(number))


def soft_lookup(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw attention as a lookup: 2 queries ask 5 keys, and every matrix is drawn to scale.

    Args:
        lit: "scores", "weights" or "output", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Matrices to scale, for 2 queries and 5 keys. The query, of shape (queries, d), and the "
        "key, of shape (keys, d), go into a box: compare every query with every key. It gives the "
        "scores, (queries, keys). A softmax over each row makes them weights of the same shape. "
        "The weights and the value, of shape (keys, d_v), go into a box, weighted sum, which gives "
        "the output, (queries, d_v): one row for each query."
    )
    d = Drawing(418, 408, alt, lit, small)
    with d.part("scores"):
        query = d.matrix(66, 50, 2, 3, "query\n(queries, d)")
        key = d.matrix(344, 50, 5, 3, "key\n(keys, d)")
        compare = d.box(205, 50, "compare each\nwith each", 124)
        scores = d.matrix(66, 190, 2, 5, "scores\n(queries, keys)")
        d.arrow(query, compare)
        d.arrow(key, compare)
        d.arrow(compare, scores, [(205, 140), (66, 140)])
    with d.part("weights"):
        softmax = d.box(205, 190, "softmax over\neach row", 124)
        weights = d.matrix(344, 190, 2, 5, "weights\n(queries, keys)")
        d.arrow(scores, softmax)
        d.arrow(softmax, weights)
    with d.part("output"):
        value = d.matrix(66, 334, 5, 4, "value\n(keys, d_v)")
        add = d.box(205, 334, "weighted\nsum", 124)
        output = d.matrix(344, 334, 2, 4, "output\n(queries, d_v)")
        d.arrow(weights, add, [(410, 190), (410, 272), (205, 272)])
        d.arrow(value, add)
        d.arrow(add, output)
    return d
