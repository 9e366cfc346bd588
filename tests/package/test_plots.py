import math
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

from minattn import plots

QUERIES = ["seven", "hundred", "and", "twenty", "three"]
KEYS = ["sieben", "hundert", "drei", "und", "zwanzig", "<eos>", "<pad>"]
WEIGHTS = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
SCORES = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def plain():
    """Leave no figure and no style behind."""
    with plt.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def words(labels):
    return [label.get_text() for label in labels]


DRAWINGS = {
    "weights_map": lambda ax: plots.weights_map(WEIGHTS, QUERIES, KEYS, ax),
    "scores_map": lambda ax: plots.scores_map(SCORES, QUERIES, KEYS, ax),
    "numbers": lambda ax: plots.numbers(SCORES, QUERIES, KEYS, ax),
    "picture": lambda ax: plots.picture(
        np.ones((40, 40, 3)), ax, boxes=[[1, 2, 9, 7]], names=["cat"]
    ),
    "curves": lambda ax: plots.curves({"fixed": {3: 0.9, 12: 0.1}}, ax),
    "links": lambda ax: plots.links(WEIGHTS, QUERIES, KEYS, ax),
}
drawings = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)


@drawings
def test_a_drawing_goes_where_it_is_asked_to_go_and_comes_back(draw, ax):
    assert draw(ax) is ax
    assert ax.has_data() or ax.texts
    assert len(plt.get_fignums()) == 1
    ax.figure.canvas.draw()


@drawings
def test_a_drawing_makes_its_own_figure_where_it_is_given_none(draw):
    drawn = draw(None)
    assert isinstance(drawn, Axes)
    assert len(plt.get_fignums()) == 1


@drawings
def test_a_drawing_can_be_made_in_the_style_of_the_book(draw):
    plots.use_style()
    draw(None).figure.canvas.draw()
    assert plt.rcParams["figure.facecolor"] == "white"


def test_tensors_with_a_gradient_can_be_drawn_and_are_not_changed(ax):
    weights = WEIGHTS.clone().requires_grad_()
    plots.weights_map(weights, QUERIES, KEYS, ax)
    plots.scores_map(weights, QUERIES, KEYS)
    plots.links(weights, QUERIES, KEYS)
    assert torch.equal(weights, WEIGHTS)


@pytest.mark.parametrize(
    ("draw", "matrix", "label", "colours", "low", "high"),
    [
        (plots.weights_map, WEIGHTS, "weight", "viridis", 0.0, 1.0),
        (
            plots.scores_map,
            SCORES,
            "score",
            "RdBu",
            -SCORES.abs().max().item(),
            SCORES.abs().max().item(),
        ),
    ],
    ids=["weights", "scores"],
)
def test_a_map_has_queries_as_rows_and_keys_as_columns(draw, matrix, label, colours, low, high, ax):
    draw(matrix, QUERIES, KEYS, ax)
    (image,) = ax.images
    assert torch.equal(torch.tensor(image.get_array()), matrix)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key", "query")
    assert words(ax.get_xticklabels()) == KEYS
    assert words(ax.get_yticklabels()) == QUERIES
    assert image.get_cmap().name == colours
    assert image.get_clim() == pytest.approx((low, high))
    assert ax.figure.axes[1].get_ylabel() == label


@pytest.mark.parametrize("draw", [plots.weights_map, plots.scores_map])
def test_a_map_can_do_without_its_scale(draw, ax):
    draw(WEIGHTS, QUERIES, KEYS, ax, colorbar=False)
    assert ax.figure.axes == [ax]


def test_scores_that_are_all_zero_can_be_drawn(ax):
    plots.scores_map(torch.zeros(5, 7), QUERIES, KEYS, ax)
    assert ax.images[0].get_clim() == (-1.0, 1.0)


def test_the_right_keys_are_ringed(ax):
    plots.weights_map(WEIGHTS, QUERIES, KEYS, ax, gold=[0, 1, None, 4, 2])
    (rings,) = ax.collections
    assert rings.get_offsets().tolist() == [[0, 0], [1, 1], [4, 3], [2, 4]]


@pytest.mark.parametrize("gold", [None, [], [None] * 5])
def test_where_no_key_is_right_there_is_no_ring(gold, ax):
    plots.weights_map(WEIGHTS, QUERIES, KEYS, ax, gold=gold)
    assert not ax.collections


def test_every_number_stands_in_its_cell(ax):
    plots.numbers(
        [[1.0, -0.25, 0.0], [10.0, 0.123, 100.0]], ["a", "b"], ["x", "y", "z"], ax, title="scores"
    )
    found = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}
    assert found == {
        (0, 0): "1",
        (1, 0): "−0.25",
        (2, 0): "0",
        (0, 1): "10",
        (1, 1): "0.12",
        (2, 1): "100",
    }
    assert (words(ax.get_xticklabels()), words(ax.get_yticklabels())) == (
        ["x", "y", "z"],
        ["a", "b"],
    )
    assert ax.get_title(loc="left") == "scores"


def test_a_number_that_rounds_to_zero_has_no_sign(ax):
    plots.numbers([[-0.001]], ["a"], ["x"], ax)
    assert float(ax.texts[0].get_text()) == 0
    assert ax.texts[0].get_text()[0] == "0"


def test_a_curve_is_the_median_over_seeds_with_the_whole_range_around_it(ax):
    plots.curves({"fixed": {12: [0.1, 0.5, 0.2], 3: [0.9, 1.0, 0.8]}, "additive": {3: 1.0}}, ax)
    fixed, additive = ax.lines
    assert (list(fixed.get_xdata()), list(fixed.get_ydata())) == ([3, 12], [0.9, 0.2])
    assert (list(additive.get_xdata()), list(additive.get_ydata())) == ([3], [1.0])
    (band,) = ax.collections
    corners = {tuple(map(float, corner)) for corner in band.get_paths()[0].vertices}
    assert corners == {(3.0, 0.8), (3.0, 1.0), (12.0, 0.1), (12.0, 0.5)}
    assert words(ax.get_legend().get_texts()) == ["fixed", "additive"]


def test_curves_are_not_told_apart_by_colour_alone(ax):
    plots.curves({str(n): {1: 0.5} for n in range(5)}, ax)
    for feature in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, feature)() for line in ax.lines}) >= 4
    assert len({(line.get_marker(), line.get_color()) for line in ax.lines}) == 5


def test_curves_name_their_axes(ax):
    plots.curves({"fixed": {3: 0.9}}, ax, xlabel="tokens", ylabel="entropy")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("tokens", "entropy")


def test_links_are_as_thick_as_their_weights_and_small_ones_are_left_out(ax):
    weights = torch.tensor([[0.75, 0.25], [0.01, 0.99]])
    plots.links(weights, ["q", "r"], ["k", "l"], ax, least=0.1)
    assert [line.get_linewidth() for line in ax.lines] == pytest.approx([3.75, 1.25, 4.95])
    assert sorted(text.get_text() for text in ax.texts) == ["k", "l", "q", "r"]


def test_links_begin_at_their_key_above_and_end_at_their_query_below(ax):
    plots.links(torch.tensor([[0.0, 1.0, 0.0]]), ["query"], ["a", "b", "c"], ax)
    (line,) = ax.lines
    place = {text.get_text(): text.get_position() for text in ax.texts}
    x, y = line.get_data()
    assert (x[0], x[-1]) == pytest.approx((place["b"][0], place["query"][0]))
    assert (y[0], y[-1]) == pytest.approx((1.0, 0.0))
    assert place["b"][1] > 1 > 0 > place["query"][1]


def test_some_queries_can_have_another_colour(ax):
    same = ["a", "b"]
    plots.links(torch.eye(2), same, same, ax, colours={1: "#ff0000"})
    assert [to_hex(line.get_color()) for line in ax.lines] == [plots.PALETTE[0].lower(), "#ff0000"]
    coloured = [text for text in ax.texts if to_hex(text.get_color()) == "#ff0000"]
    assert [text.get_text() for text in coloured] == ["b"]
    assert coloured[0].get_position()[1] < 0  # the query below, not the key of the same name


@pytest.mark.rejects
@pytest.mark.parametrize("draw", [plots.weights_map, plots.scores_map, plots.links])
def test_labels_that_do_not_fit_are_rejected(draw):
    message = r"got 7 queries and 5 keys for shape \(5, 7\)"
    with pytest.raises(ValueError, match=message):
        draw(WEIGHTS, KEYS, QUERIES)


def test_boxes_lie_round_what_is_there_and_round_what_was_found(ax):
    plots.picture(WEIGHTS, ax, boxes=torch.tensor([[1, 2, 9, 7], [20, 30, 34, 40]]), frame="white")
    plots.picture(WEIGHTS, ax, boxes=[[1, 2, 9, 7]], names=["cat"], frame="found")
    assert [patch.get_bbox().extents.tolist() for patch in ax.patches] == [
        [1, 2, 9, 7],
        [20, 30, 34, 40],
        [1, 2, 9, 7],
    ]
    assert [patch.get_linestyle() for patch in ax.patches] == ["-", "-", "--"]
    assert words(ax.texts) == ["cat"] and ax.texts[0].get_position()[1] > 7  # below its box
    assert ax.images[0].get_extent() == [0, 40, 40, 0]


@pytest.mark.rejects
def test_a_picture_rejects():
    with pytest.raises(ValueError, match="a name for each box, got 1 for 2"):
        plots.picture(WEIGHTS, boxes=[[1, 2, 9, 7]] * 2, names=["cat"])
    with pytest.raises(ValueError, match=r"frame must be one of .*, got 'dotted'"):
        plots.picture(WEIGHTS, frame="dotted")


@pytest.mark.rejects
def test_numbers_reject():
    with pytest.raises(ValueError, match=r"got 1 rows and 2 columns for shape \(2, 1\)"):
        plots.numbers([[1.0], [2.0]], ["a"], ["x", "y"])
    with pytest.raises(ValueError, match="kind must be 'scores' or 'weights', got 'output'"):
        plots.numbers([[1.0]], ["a"], ["x"], kind="output")


@pytest.mark.rejects
@pytest.mark.parametrize("n", [0, 6])
def test_as_many_curves_as_can_be_told_apart_are_drawn_and_no_more(n):
    with pytest.raises(ValueError, match=rf"must be in 1\.\.5, got {n}"):
        plots.curves({str(i): {1: 0.5} for i in range(n)})


# Colours and readers who see fewer of them

# Machado, Oliveira and Fernandes 2009, a physiologically-based model for simulation of colour vision deficiency, at
# full severity, for linear RGB.
SEEN_BY = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def seen_lab(colour, eyes):
    """Where a colour lies in CIELAB (D65) for somebody with these eyes."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SEEN_BY[eyes]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_simulation_knows_a_pair_that_red_green_blind_readers_cannot_tell_apart():
    apart = {
        eyes: np.linalg.norm(seen_lab("#a06a2c", eyes) - seen_lab("#6a7d24", eyes))
        for eyes in SEEN_BY
    }
    assert apart["deuteranopia"] < 12 < 30 < apart["all"]


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_the_colours_of_lines_are_told_apart_by_all_readers(eyes):
    for one, other in combinations(plots.PALETTE, 2):
        assert np.linalg.norm(seen_lab(one, eyes) - seen_lab(other, eyes)) > 15, (one, other)


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_a_larger_weight_is_lighter_for_all_readers(eyes):
    shades = plt.get_cmap("viridis")(np.linspace(0, 1, 33))
    lightness = [seen_lab(shade[:3], eyes)[0] for shade in shades]
    assert np.diff(lightness).min() > 0


@pytest.mark.rejects
@pytest.mark.parametrize("least", [math.nan, -0.1, 1.5])
def test_links_need_a_least_weight(least):
    with pytest.raises(ValueError, match=rf"least must be in \[0, 1\], got {least}"):
        plots.links(torch.eye(2), ["a", "b"], ["c", "d"], least=least)


@pytest.mark.rejects
def test_links_of_nan_are_not_drawn():
    with pytest.raises(ValueError, match="weights must be from 0 to 1, got nan"):
        plots.links(torch.full((2, 2), math.nan), ["a", "b"], ["c", "d"])


def test_pictures_stand_in_rows_with_their_titles():
    grey, colour = np.zeros((3, 5)), np.ones((3, 5, 3))
    axes = plots.pictures([grey, colour, grey], ["one", "two"], columns=2, width=4)
    assert [ax.get_title() for ax in axes] == ["one", "two", ""]
    assert [ax.images[0].get_array().shape for ax in axes] == [(3, 5), (3, 5, 3), (3, 5)]
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0, 0, 1]
    assert len(axes[0].figure.axes) == 4
    assert axes[0].images[0].get_clim() == (0, 1)
    assert axes[0].figure.get_size_inches()[0] == 4


def test_pictures_are_at_least_as_many_as_titles():
    with pytest.raises(ValueError, match="at least as many as titles, got 0 and 0"):
        plots.pictures([])
    with pytest.raises(ValueError, match="got 1 and 2"):
        plots.pictures([np.zeros((2, 2))], ["a", "b"])
