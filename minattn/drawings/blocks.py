"""The drawings of chapter 6: the whole Transformer, and where a sub-layer has its norm."""

from itertools import pairwise

from minattn.drawing import ROW, Box, Drawing

_GAP = 18  # between a norm and its sub-layer


def transformer(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw the encoder-decoder Transformer with a norm before every sub-layer; it is read from below.

    Args:
        lit: "embedding", "encoder block", "decoder block", "self-attention", "cross-attention",
            "feed-forward", "norms", "residuals", "memory" or "readout", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "Two columns, read from below. Left, the encoder: the source is embedded and gets positions; "
        "then come N blocks, of which one is drawn. A block has two sub-layers, self-attention with "
        "the padding mask, and feed-forward. In front of each stands a norm; what the sub-layer "
        "finds is added to a line that runs past it, the residual. A last norm above the blocks "
        "makes the memory. Right, the decoder: the target so far is embedded and gets positions; a "
        "block has three sub-layers, self-attention with the causal mask, cross-attention and "
        "feed-forward, each with a norm in front and a residual. Self-attention takes query, key and "
        "value from its own line. Cross-attention takes only the query from it; key and value come "
        "from the memory, which goes into every decoder block, with the padding mask of the source. "
        "Above the blocks a last norm, then the readout, which makes logits."
    )
    d = Drawing(418, 546, alt, lit, small)
    d.text(6, 12, "three arrows into a box:\nquery, key and value", "start")
    d.text(6, 56, "dotted: one block of N;\nthe memory goes to all", "start")
    d.text(6, 100, "the line with +: residual", "start")
    with d.part("embedding"):
        source = d.box(56, 478, "embedding\n+ positions", 100)
        target = d.box(362, 478, "embedding\n+ positions", 100)
        d.arrow(d.box(56, 530, "source", 100, dashed=True), source)
        d.arrow(d.box(362, 530, "target so far", 100, dashed=True), target)
    encoder = ("self-attention\nmask: padding", "feed-forward")
    decoder = ("self-attention\nmask: causal", "cross-attention\nmask: padding", "feed-forward")
    last, _ = _stack(d, "encoder block", 114, 30, encoder, source)
    top, (_, cross, _) = _stack(d, "decoder block", 304, 388, decoder, target)
    with d.part("memory"):
        (_, y), x = last.at(1, 0.5), 208
        d.text(112, y - 32, "memory:\nkey and value", "start")
        d.arrow(last, (x, cross.at(0, 0.7)[1]), [(x, y)], head=False)
        for share in (0.3, 0.7):
            d.arrow((x, cross.at(0, share)[1]), cross)
    with d.part("readout"):
        readout = d.box(362, top.top - 30, "readout", 100)
        d.arrow(top, readout)
        d.arrow(readout, d.box(266, readout.at(0, 0.5)[1], "logits", 54, dashed=True))
    return d


def _stack(
    d: Drawing,
    part: str,
    x: float | int,
    stream: float | int,
    sublayers: tuple[str, ...],
    below: Box,
) -> tuple[Box, list[Box]]:
    """Draw one block from its foot to the last norm above; return this norm, and the sub-layers."""
    foot = y = below.top - 14
    boxes, sums = [], [below]
    for label in sublayers:
        name = label.split("\n")[0]
        y -= 12 + ROW / 2
        with d.part(part, "norms"):
            norm = d.box(x, y, "norm", 60)
            d.arrow((stream, y), norm)
        height = ROW + 17 * label.count("\n")
        y -= ROW / 2 + _GAP + height / 2
        with d.part(part, name):
            boxes.append(d.box(x, y, label, 118))
            for shift in (-18, 0, 18) if name == "self-attention" else (0,):
                d.arrow((x + shift, norm.top), boxes[-1])
            if name == "cross-attention":
                d.text(x + 8, norm.top - _GAP / 2, "query", "start")
        with d.part(part, "residuals"):
            sums.append(d.token(stream, y, "+"))
            d.arrow(boxes[-1], sums[-1])
        y -= height / 2
    y -= 32
    with d.part(part):
        d.text(x - 59, y + 15, part, "start", bold=True)
        left, right = sorted(
            (stream + (24 if x < stream else -24), x + (-68 if x < stream else 68))
        )
        corners = [(right, y), (right, foot), (left, foot)]
        d.arrow((left, y), (left, y), corners, dotted=True, head=False)
    with d.part("norms"):
        last = d.box(below.at(0.5, 0)[0], y - 14 - ROW / 2, "last norm", below.width)
    with d.part(part, "residuals"):
        for before, after in pairwise([*sums, last]):
            d.arrow(before, after)
    return last, boxes


def pre_and_post(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw one sub-layer with its residual twice: with the norm before it, and with the norm after the sum.

    Args:
        lit: "pre-norm" or "post-norm", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "One sub-layer f with its residual, drawn twice and read from below, with numbers on the "
        "arrows in the order of time. Pre-norm: 1, x goes aside into a norm; 2, the norm goes into "
        "f; 3, what f finds is added to x, which came straight up. The result is x + f(norm(x)): "
        "on the line from x to the result stands only the sum. Post-norm: 1, x goes aside into f; "
        "2, what f finds is added to x; 3, the sum goes through a norm. The result is "
        "norm(x + f(x)): whatever goes up goes through the norm."
    )
    d = Drawing(416, 326, alt, lit, small)
    with d.part("pre-norm"):
        d.text(4, 12, "pre-norm", "start", bold=True)
        x, result = d.box(60, 262, "x"), d.box(60, 44, "x + f(norm(x))", 112)
        norm, f = d.box(154, 216, "norm", 60), d.box(154, 152, "f", 60)
        add = d.token(60, 152, "+")
        d.arrow((60, 216), norm, label="1")
        d.arrow(norm, f, label="2")
        d.arrow(f, add, label="3")
        d.arrow(x, add)
        d.arrow(add, result)
        d.text(4, 296, "only sums on the line\nfrom x to the result", "start")
    with d.part("post-norm"):
        d.text(224, 12, "post-norm", "start", bold=True)
        x, result = d.box(280, 262, "x"), d.box(280, 44, "norm(x + f(x))", 112)
        norm, f = d.box(280, 90, "norm", 60), d.box(374, 152, "f", 60)
        add = d.token(280, 152, "+")
        d.arrow((280, 216), f, [(374, 216)], label="1")
        d.arrow(f, add, label="2")
        d.arrow(x, add)
        d.arrow(add, norm, label="3")
        d.arrow(norm, result)
        d.text(224, 296, "a norm on the line\nfrom x to the result", "start")
    return d
