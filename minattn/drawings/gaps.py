"""The drawing of chapter 11: which tokens tell a hidden one, from the left alone and from both sides."""

from collections.abc import Sequence

from minattn.drawing import Box, Drawing, token_width

_GAP = 10  # between two tokens
_ROW = 118  # from one half of the drawing to the other


def both_sides(
    tokens: Sequence[str], hidden: int, lit: str | None = None, small: bool = False
) -> Drawing:
    """Draw who feeds whom where one token is to be told: those before it, or all others.

    Args:
        tokens: the text.
        hidden: place of the token that is to be told.
        lit: "left alone" or "both sides", the half that stands out.
        small: draw it small, to say where the reader is.

    Raises:
        ValueError: if no token stands on one of its two sides.
    """
    if not 0 < hidden < len(tokens) - 1:
        raise ValueError(
            f"hidden must be a place between the first and the last, 1 to {len(tokens) - 2}, got {hidden}"
        )
    gap = "<mask>"
    wide = sum(map(token_width, [*tokens, gap])) - token_width(tokens[hidden])
    told = (
        f"Twice the text {' '.join(tokens)}. Above, the decoder alone: arrows lead from the {hidden} tokens on "
        f"the left to a box that tells {tokens[hidden]}. Below, the encoder alone: {tokens[hidden]} has become "
        f"{gap}, and arrows lead to its box from all {len(tokens)} places, on both sides."
    )
    d = Drawing(wide + _GAP * (len(tokens) + 1), 2 * _ROW + 4, told, lit, small)
    for half, name in enumerate(("left alone", "both sides")):
        with d.part(name):
            top = 14 + half * _ROW
            d.text(_GAP, top, f"{name}: which token stands here?", "start", bold=True)
            shown = list(tokens)
            shown[hidden] = gap if half else "?"
            boxes = _row(d, top + 84, shown, dashed=hidden)
            centre = boxes[hidden].at(0.5, 0)[0]
            told_box = d.token(centre, top + 34, tokens[hidden])
            for box in boxes if half else boxes[:hidden]:
                d.arrow(box.at(0.5, 0), told_box.at(0.5, 1))
    return d


def _row(d: Drawing, y: float | int, tokens: Sequence[str], dashed: int) -> list[Box]:
    """Draw tokens side by side."""
    left: float | int = _GAP
    boxes = []
    for place, token in enumerate(tokens):
        wide = token_width(token)
        boxes.append(d.token(left + wide / 2, y, token, dashed=place == dashed))
        left += wide + _GAP
    return boxes
