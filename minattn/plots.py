"""The figures of the book. Functions take tensors and Axes and return Axes; nothing is shown or saved here."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor

from minattn.checks import check_shares, check_sizes

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#4A2060", "#5C6770")
"""Line colours, told apart also by colour-blind readers; curves differ in marker and dash as well."""

INK = "#22272e"
_SCENE = 40  # pixels of a scene
_MARKERS = ("o", "s", "^", "D", "v")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))


def use_style() -> None:
    """Set matplotlib to the style of the book: quiet axes, a light background, sharp on dense screens."""
    plt.rcParams.update(
        {
            "figure.dpi": 192,
            "savefig.dpi": 192,
            "figure.figsize": (6.4, 3.6),
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.edgecolor": "#8b949e",
            "axes.labelcolor": INK,
            "axes.titlesize": 10.5,
            "axes.titleweight": "normal",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=PALETTE),
            "xtick.color": INK,
            "ytick.color": INK,
            "text.color": INK,
            "grid.color": "#e3e7eb",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
        }
    )


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def weights_map(
    weights: Float[Tensor, "queries keys"],
    queries: Sequence[str],
    keys: Sequence[str],
    ax: Axes | None = None,
    *,
    gold: Sequence[int | None] | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw attention weights: one row for each query, one column for each key.

    Args:
        weights: from 0 to 1.
        queries: a label for each row.
        keys: a label for each column.
        ax: where to draw; a new figure if not given.
        gold: for each query the key that is right, marked by a ring; None where there is none.
        colorbar: draw the scale.

    Raises:
        ValueError: if the labels do not fit the weights.
    """
    ax = _map(
        weights,
        queries,
        keys,
        ax,
        {"cmap": "viridis", "vmin": 0.0, "vmax": 1.0},
        "weight",
        colorbar,
    )
    rings = [(key, query) for query, key in enumerate(gold or []) if key is not None]
    if rings:
        x, y = zip(*rings, strict=True)
        ax.scatter(
            x, y, s=70, facecolors="none", edgecolors="#ff4fa3", linewidths=1.6, label="gold"
        )
    return ax


def scores_map(
    scores: Float[Tensor, "queries keys"],
    queries: Sequence[str],
    keys: Sequence[str],
    ax: Axes | None = None,
    *,
    colorbar: bool = True,
) -> Axes:
    """Draw scores: blue above 0, red below; see ``weights_map`` for the arguments."""
    largest = float(scores.detach().abs().max()) or 1.0
    return _map(
        scores,
        queries,
        keys,
        ax,
        {"cmap": "RdBu", "vmin": -largest, "vmax": largest},
        "score",
        colorbar,
    )


def _map(
    matrix: Tensor,
    queries: Sequence[str],
    keys: Sequence[str],
    ax: Axes | None,
    colours: dict[str, Any],
    label: str,
    colorbar: bool,
) -> Axes:
    if tuple(matrix.shape) != (len(queries), len(keys)):
        raise ValueError(
            f"labels must fit the matrix, got {len(queries)} queries and {len(keys)} keys "
            f"for shape {tuple(matrix.shape)}"
        )
    ax = _axes(ax)
    image = ax.imshow(matrix.detach().numpy(), aspect="auto", **colours)
    ax.set_xticks(range(len(keys)), keys, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(queries)), queries)
    ax.set_xlabel("key")
    ax.set_ylabel("query")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if colorbar:
        bar = ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
        bar.set_label(label)
        bar.outline.set_visible(False)
    return ax


def picture(
    pixels: ArrayLike,
    ax: Axes | None = None,
    *,
    boxes: ArrayLike = (),
    names: Sequence[str] = (),
    frame: str = "",
    title: str = "",
) -> Axes:
    """Show a picture, or a map over one, with boxes round what is in it.

    Args:
        pixels: of shape (height, width, 3) or (height, width). Drawn 40 wide and high, as large as a scene.
        ax: where to draw; a new figure if not given.
        boxes: x0, y0, x1, y1 of each, in pixels of a scene.
        names: one for each box, or none.
        frame: "" for what is true, solid; "white" for that on a dark map; "found" for what a model says, dashed.
        title: above the picture.

    Raises:
        ValueError: if there are names, and not one for each box, or the frame is unknown.
    """
    frames = {"": ("-", PALETTE[0]), "white": ("-", "white"), "found": ("--", PALETTE[1])}
    corners = np.asarray(boxes, dtype=float).reshape(-1, 4)
    if names and len(names) != len(corners):
        raise ValueError(f"there must be a name for each box, got {len(names)} for {len(corners)}")
    if frame not in frames:
        raise ValueError(f"frame must be one of {sorted(frames)}, got {frame!r}")
    ax = _axes(ax)
    style, color = frames[frame]
    ax.imshow(np.asarray(pixels), extent=(0, _SCENE, _SCENE, 0))
    for number, (x0, y0, x1, y1) in enumerate(corners):
        ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ls=style, ec=color, lw=1.4))
        if names:
            below = frame == "found"
            y, va = (y1 + 0.4, "top") if below else (y0 - 0.4, "bottom")
            ax.text(x0, y, names[number], size=8, color=color, va=va)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, _SCENE + 0.5), ylim=(_SCENE + 2, -3))
    ax.spines[:].set(visible=frame != "white", color="#c8ccd1")
    ax.set_title(title)
    return ax


def pictures(
    shown: Sequence[ArrayLike],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float | int = 9.6,
) -> list[Axes]:
    """Show pictures of one size side by side, grey or in colour.

    Args:
        shown: each of shape (height, width), from 0 (black) to 1 (white), or (height, width, 3).
        titles: above the first pictures; the others have none.
        columns: how many stand in a row; all if not given.
        width: of the figure, in inches.

    Returns:
        The axes of each picture, in order.

    Raises:
        ValueError: if there is no picture, or more titles than pictures.
    """
    if not len(shown) or len(titles) > len(shown):
        raise ValueError(
            f"there must be pictures, and at least as many as titles, got {len(shown)} and {len(titles)}"
        )
    check_sizes(columns=columns or len(shown))
    columns = columns or len(shown)
    rows = -(-len(shown) // columns)
    high, wide = np.shape(shown[0])[:2]
    height = rows * (width / columns * high / wide + (0.3 if titles else 0.05))
    _, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for ax, pixels, title in zip(axes.flat, shown, [*titles, *[""] * len(shown)], strict=False):
        ax.imshow(np.asarray(pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[], title=title)
        ax.spines[:].set(visible=True, color="#c8ccd1")
    return list(axes.flat[: len(shown)])


def numbers(
    matrix: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    ax: Axes | None = None,
    *,
    kind: str = "scores",
    title: str = "",
) -> Axes:
    """Draw a small matrix with the number in every cell, for an example worked by hand.

    Args:
        matrix: the numbers.
        rows: a label for each row.
        columns: a label for each column.
        ax: where to draw; a new figure if not given.
        kind: "scores" colours around 0, "weights" from 0 to 1.
        title: what the numbers are.

    Raises:
        ValueError: if the labels do not fit or the kind is unknown.
    """
    table = np.asarray(matrix, dtype=float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(
            f"labels must fit the matrix, got {len(rows)} rows and {len(columns)} columns for shape {table.shape}"
        )
    if kind not in ("scores", "weights"):
        raise ValueError(f"kind must be 'scores' or 'weights', got {kind!r}")
    ax = _axes(ax)
    largest = max(1.0, float(np.abs(table).max()))
    low, high, cmap = (
        (-2 * largest, 2 * largest, "RdBu") if kind == "scores" else (-0.25, 2.0, "Blues")
    )
    ax.imshow(table, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        text = f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
        text = text.replace("-", "−" if float(text) else "")
        ax.text(column, row, text, ha="center", va="center")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(length=0, which="both")
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left")
    return ax


def curves(
    measured: Mapping[str, Mapping[int, float | Sequence[float]]],
    ax: Axes | None = None,
    *,
    xlabel: str = "digits of the number",
    ylabel: str = "exact match",
    colours: Sequence[int] | None = None,
) -> Axes:
    """Draw measurements against length: the median over seeds as a line, the whole range as a band.

    Args:
        measured: for each curve and length, one value, or one value per seed.
        ax: where to draw; a new figure if not given.
        xlabel: what the lengths count.
        ylabel: what was measured, from 0 to 1.
        colours: for each curve its place in the palette, which also gives marker and dash; in order if not
            given.

    Raises:
        ValueError: if there are no curves, more than can be told apart, or not a colour for each.
    """
    if not 1 <= len(measured) <= len(PALETTE):
        raise ValueError(f"the number of curves must be in 1..{len(PALETTE)}, got {len(measured)}")
    places = list(range(len(measured)) if colours is None else colours)
    if len(places) != len(measured):
        raise ValueError(
            f"every curve needs a colour, got {len(places)} colours for {len(measured)} curves"
        )
    ax = _axes(ax)
    for (label, points), place in zip(measured.items(), places, strict=True):
        colour, marker, dash = PALETTE[place], _MARKERS[place], _DASHES[place]
        lengths = sorted(points)
        values = [np.atleast_1d(np.asarray(points[length], dtype=float)) for length in lengths]
        middle = [float(np.median(value)) for value in values]
        ax.plot(
            lengths,
            middle,
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=4.5,
            label=label,
        )
        if max(map(len, values)) > 1:
            low, high = [float(v.min()) for v in values], [float(v.max()) for v in values]
            ax.fill_between(lengths, low, high, color=colour, alpha=0.18, linewidth=0)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.set_ylim(-0.03, 1.03)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=11, integer=True))
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.legend()
    return ax


def links(
    weights: Float[Tensor, "queries keys"],
    queries: Sequence[str],
    keys: Sequence[str],
    ax: Axes | None = None,
    *,
    least: float = 0.04,
    colours: Mapping[int, str] | None = None,
) -> Axes:
    """Draw attention as lines from the keys above to the queries below, as thick as the weights.

    Args:
        weights: from 0 to 1.
        queries: the words below.
        keys: the words above.
        ax: where to draw; a new figure if not given.
        least: weights below this are left out.
        colours: another colour for some queries, by position.

    Raises:
        ValueError: if the labels do not fit the weights, one is NaN, or ``least`` is not in [0, 1].
        TypeError: if ``least`` is no number.
    """
    check_shares(least=least)
    if tuple(weights.shape) != (len(queries), len(keys)):
        raise ValueError(
            f"labels must fit the matrix, got {len(queries)} queries and {len(keys)} keys "
            f"for shape {tuple(weights.shape)}"
        )
    if bool(weights.isnan().any()):
        raise ValueError("weights must be from 0 to 1, got nan")
    ax = _axes(ax)
    x_keys, x_queries = _word_centres(keys), _word_centres(queries)
    t = np.linspace(0, 1, 40)
    ease = 3 * t**2 - 2 * t**3
    for query, row in enumerate(weights.detach().tolist()):
        colour = (colours or {}).get(query, PALETTE[0])
        for key, weight in enumerate(row):
            if weight >= least:
                x = x_keys[key] + (x_queries[query] - x_keys[key]) * ease
                ax.plot(x, 1 - t, color=colour, linewidth=5 * weight, alpha=0.25 + 0.6 * weight)
    for words, centres, y, align in (
        (keys, x_keys, 1.05, "bottom"),
        (queries, x_queries, -0.05, "top"),
    ):
        for position, (word, x_word) in enumerate(zip(words, centres, strict=True)):
            colour = (colours or {}).get(position, INK) if y < 0 else INK
            ax.text(x_word, y, word, ha="center", va=align, color=colour)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.3, 1.3)
    ax.axis("off")
    return ax


def _word_centres(words: Sequence[str]) -> list[float]:
    """Place words on a line of length 1, each with the room it needs."""
    room = np.array([len(word) + 2.0 for word in words])
    ends = np.cumsum(room)
    return [float(x) for x in (ends - room / 2) / ends[-1]]
