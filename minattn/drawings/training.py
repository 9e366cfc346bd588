"""The drawing of chapter 7: one step of training, from a batch to new weights."""

from minattn.drawing import Drawing


def training_step(lit: str | None = None, small: bool = False) -> Drawing:
    """Draw one step of training as a cycle, numbered in the order of time.

    Args:
        lit: "forward", "loss", "backward", "clipping", "optimizer" or "schedule", the part that stands out.
        small: draw it small, to say where the reader is.
    """
    alt = (
        "A cycle of boxes, with numbers on the arrows in the order of time. 1, a batch goes into the "
        "model as source and target in. 2, the model makes logits. 3, logits and target out make the "
        "loss, the mean over real tokens; padding is left out. 4, backward makes the gradient of "
        "every weight. 5, the gradient is clipped: its norm is at most 1. 6, AdamW takes it, and "
        "from below also the rate of this step, rate(step), which the schedule says. 7, AdamW "
        "changes the weights of the model. Then comes the next batch."
    )
    d = Drawing(418, 326, alt, lit, small)
    with d.part("forward"):
        batch = d.box(37, 96, "batch", 60, dashed=True)
        model = d.box(149, 96, "model:\nweights", 72)
        logits = d.box(253, 96, "logits", 52, dashed=True)
        d.arrow(batch, model, label="1")
        d.arrow(model, logits, label="2")
        d.text(8, 136, "source and\ntarget in", "start")
    with d.part("loss"):
        loss = d.box(367, 96, "loss: mean\nover tokens", 94)
        d.arrow(logits, loss, label="3")
        d.arrow(batch, loss, [(37, 36), (367, 36)])
        d.text(207, 20, "target out, without its padding")
    with d.part("backward"):
        gradient = d.box(367, 206, "gradient", 72, dashed=True)
        d.arrow(loss, gradient, label="4")
        d.text(351, 160, "backward", "end")
    with d.part("clipping"):
        clip = d.box(256, 206, "clip:\nnorm ≤ 1", 68)
        d.arrow(gradient, clip, label="5")
    with d.part("optimizer"):
        adam = d.box(149, 206, "AdamW", 66)
        d.arrow(clip, adam, label="6")
        d.arrow(adam, model, label="7")
        d.text(133, 160, "step", "end")
    with d.part("schedule"):
        d.arrow(d.box(149, 280, "rate(step)", 88, dashed=True), adam)
        d.text(203, 280, "up, then down:\nthe schedule", "start")
    return d
