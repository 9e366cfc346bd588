"""The drawing of chapter 14: who feeds whom from frames of sound to a word."""

from itertools import pairwise

from minattn.drawing import Box, Drawing

_FRAME = 15  # from one frame to the next
_LEFT = 30  # middle of the first one
_ROWS = ((24, 344), (12, 284), (6, 224), (3, 164))  # how many there are, and their height
_CENTRE = 8  # the frame that what is shown is centred on
_REACH = 2  # how many a convolution reads on each side


def listener(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw how frames become steps, and how a decoder attends to these and writes a word.

    Args:
        lit: "frames", "convolutions", "steps" or "decoder", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Below, a row of 24 frames, one for each 10 ms. Above it three rows of convolutions, each with half as "
        "many, 12, 6 and 3. Arrows show for one of each row that it is fed by five of the row below; those "
        "shown are all centred on frame 8. The three of the last row are the steps h 0, h 1 and h 2, joined "
        "by arrows in both directions. The state s t-1 and the three steps go into attention. It gives the "
        "context, which goes with s t-1 and the word before, trois, into the state s t. State and context together "
        "write soixante."
    )
    d = Drawing(416, 370, alt, lit, small)
    with d.part("frames"):
        rows = [_row(d, 0)]
        d.text(404, 318, "frames, 10 ms each", "end")
    with d.part("convolutions"):
        rows += [_row(d, 1), _row(d, 2)]
    with d.part("steps"):
        steps = _row(d, 3, ["h_0", "h_1", "h_2"])
        rows.append(steps)
        d.text(404, 164, "steps, 80 ms", "end")
        for left, right in pairwise(steps):
            d.arrow(left.at(1, 0.3), right.at(0, 0.3))
            d.arrow(right.at(0, 0.7), left.at(1, 0.7))
    with d.part("convolutions"):
        for halvings, (below, above) in enumerate(pairwise(rows)):
            _fan(d, below, above[_CENTRE >> (halvings + 1)], _CENTRE >> halvings)
    with d.part("decoder"):
        _decoder(d, steps)
    return d


def _row(d: Drawing, halvings: int, names: list[str] | None = None) -> list[Box]:
    """Draw a row, each of which stands above the frame that it is centred on."""
    count, y = _ROWS[halvings]
    width = (11, 20, 32, 44)[halvings]
    places = [_LEFT + _FRAME * 2**halvings * n for n in range(count)]
    labels = names or [""] * count
    return [d.box(x, y, label, width) for x, label in zip(places, labels, strict=True)]


def _fan(d: Drawing, below: list[Box], above: Box, centre: int) -> None:
    """Let those around a centre feed the one above it, each from its own side."""
    for shift in range(-_REACH, _REACH + 1):
        share = 0.5 + shift / 4.6
        d.arrow(below[centre + shift].at(0.5, 0), above.at(share, 1))


def _decoder(d: Drawing, steps: list[Box]) -> None:
    attention = d.box(steps[1].at(0.5, 0)[0], 88, "attention", 84)
    for share, step in zip((0.2, 0.5, 0.8), steps, strict=True):
        d.arrow(step.at(0.5, 0), attention.at(share, 1))
    before, after = d.box(34, 88, "s_{t-1}", 52), d.box(286, 88, "s_t", 52)
    d.arrow(before, attention)
    d.arrow(attention, after, label="c_t")
    d.arrow(before, after.at(0.25, 0), [(34, 48), (after.at(0.25, 0)[0], 48)])
    d.arrow(d.token(376, 88, "trois"), after)
    word = d.token(286, 22, "soixante", dashed=True)
    d.arrow(after, word)
    x, _ = attention.at(0.75, 0)
    d.arrow(attention.at(0.75, 0), word, [(x, 22)], label="c_t")
    d.text(4, 22, "decoder", "start", bold=True)
