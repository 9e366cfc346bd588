import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from minattn.alignment import dot_scores, masked_softmax, weighted_sum
from minattn.masks import (
    Both,
    Causal,
    Padding,
    Window,
    blind_rows,
    from_multihead,
    from_sdpa,
    to_bool,
    to_multihead,
    to_sdpa,
)
from tests.package.strategies import EXACT, ROUNDING, built, normal, spelt_out

# Distinct primes: rows of a batch, heads, the shorter and the longer of queries and keys, width.
B, H, SHORT, LONG, D = 2, 3, 5, 7, 11
LEADING = [(), (B,), (B, H), (B, H, 1), (B, H, 5)]
LENGTHS = {
    "fewer queries than keys": (SHORT, LONG),
    "as many": (LONG, LONG),
    "more queries than keys": (LONG, SHORT),
    "one query": (1, LONG),
    "one key": (LONG, 1),
    "one of each": (1, 1),
    "no query": (0, LONG),
    "no key": (SHORT, 0),
}

leading_axes = pytest.mark.parametrize("leading", LEADING, ids=lambda axes: f"{len(axes) + 2}-D")
lengths = pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
sizes = st.integers(1, 8)
reaches = st.integers(0, 9)


def random_mask(*shape, seed=0):
    """Draw a mask in which every query has the first key: torch's own layer gives NaN where it has none."""
    mask = normal(*shape, seed=seed) > 0
    mask[..., 0] = True
    return mask


def tokens(keys, *leading):
    """Make sequences of different lengths; the first token is always there."""
    rows = normal(*leading, keys, seed=keys) > -0.5
    rows[..., :1] = True
    return rows


def reference_mask(allows, shape):
    """Ask for every place of the scores; `allows` takes the leading indices, the query and the key."""
    mask = torch.empty(shape, dtype=torch.bool)
    for *row, i, j in torch.cartesian_prod(*map(torch.arange, (1, *shape))).tolist():
        mask[(*row[1:], i, j)] = allows(row[1:], i, j)
    return mask


def steps_back(shape, i, j):
    """Say how far key j lies before query i, counted from the end, where the last of both stand together."""
    queries_after, keys_after = shape[-2] - 1 - i, shape[-1] - 1 - j
    return keys_after - queries_after


# Twins: descriptions


@lengths
@leading_axes
def test_a_causal_mask_is_the_loop_over_queries_and_keys(leading, length):
    shape = (*leading, *length)
    expected = reference_mask(lambda row, i, j: steps_back(shape, i, j) >= 0, shape)
    assert_close(spelt_out(Causal(), shape), expected, **EXACT)


@lengths
@leading_axes
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 2), (3, 1), (50, 50)])
def test_a_window_is_the_loop_over_queries_and_keys(leading, length, before, after):
    shape = (*leading, *length)
    expected = reference_mask(lambda row, i, j: -after <= steps_back(shape, i, j) <= before, shape)
    assert_close(spelt_out(Window(before, after), shape), expected, **EXACT)


@lengths
@pytest.mark.parametrize(
    ("axes", "leading"),
    [((), ()), ((), (B,)), ((B,), (B,)), ((B,), (B, H)), ((B, H), (B, H)), ((B,), (B, H, 5))],
    ids=str,
)
def test_padding_is_the_loop_over_queries_and_keys(axes, leading, length):
    shape = (*leading, *length)
    rows = tokens(length[1], *axes)
    expected = reference_mask(lambda row, i, j: rows[(*row[: len(axes)], j)], shape)
    assert_close(spelt_out(Padding(rows), shape), expected, **EXACT)


@lengths
@pytest.mark.parametrize("leading", [(B,), (B, H), (B, H, 5)], ids=str)
def test_both_is_the_loop_over_queries_and_keys(leading, length):
    shape = (*leading, *length)
    rows = tokens(length[1], B)
    expected = reference_mask(
        lambda row, i, j: steps_back(shape, i, j) >= 0 and rows[row[0], j], shape
    )
    assert_close(spelt_out(Causal() & Padding(rows), shape), expected, **EXACT)


def test_what_a_mask_of_three_tokens_looks_like():
    # Written down by hand: rows are queries, columns are keys.
    assert spelt_out(Causal(), (3, 3)).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert spelt_out(Causal(), (2, 3)).tolist() == [[True, True, False], [True, True, True]]
    # The first of three queries stands before the first of two keys, and may look at none.
    assert spelt_out(Causal(), (3, 2)).tolist() == [[False, False], [True, False], [True, True]]
    assert spelt_out(Window(before=0, after=1), (3, 3)).tolist() == [
        [True, True, False],
        [False, True, True],
        [False, False, True],
    ]
    padding = Padding(torch.tensor([[True, True, False], [True, False, False]]))
    assert spelt_out(padding, (2, 2, 3)).tolist() == [
        [[True, True, False], [True, True, False]],
        [[True, False, False], [True, False, False]],
    ]


def test_a_description_makes_no_more_numbers_than_it_needs():
    assert Causal().to_bool((B, H, SHORT, LONG)).shape == (SHORT, LONG)
    assert Window(1, 1).to_bool((B, H, SHORT, LONG)).shape == (SHORT, LONG)
    assert Padding(tokens(LONG, B)).to_bool((B, H, SHORT, LONG)).shape == (B, 1, 1, LONG)


@pytest.mark.parametrize(
    "mask",
    [
        Causal(),
        Window(2, 1),
        Padding(tokens(LONG, B)),
        Causal() & Padding(tokens(LONG, B)),
        torch.ones(SHORT, LONG).bool(),
    ],
    ids=["Causal", "Window", "Padding", "Both", "a tensor"],
)
def test_a_mask_is_made_where_the_scores_are(mask):
    # The device "meta" keeps shapes without numbers, and every machine has it.
    made = to_bool(mask, (B, SHORT, LONG), torch.device("meta"))
    assert made.device.type == "meta"
    assert to_bool(mask, (B, SHORT, LONG)).device.type == "cpu"
    assert to_sdpa(mask, (B, SHORT, LONG), torch.device("meta"))[0].device.type == "meta"


# Laws of descriptions


@given(queries=sizes, keys=sizes, n=sizes)
def test_the_last_queries_get_the_last_rows(queries, keys, n):
    # What a cache of keys relies on: a query alone sees what it saw among those before it.
    n = min(n, queries)
    for mask in (Causal(), Window(2, 1)):
        whole = mask.to_bool((queries, keys))
        assert_close(mask.to_bool((n, keys)), whole[queries - n :], **EXACT)


@given(queries=sizes, keys=sizes, before=reaches, after=reaches)
def test_a_window_is_causal_when_nothing_after_is_seen(queries, keys, before, after):
    shape = (queries, keys)
    window = spelt_out(Window(before, after), shape)
    causal = spelt_out(Causal(), shape)
    assert_close(spelt_out(Window(before, 0), shape), window & causal, **EXACT)
    assert_close(spelt_out(Window(queries + keys, 0), shape), causal, **EXACT)


@given(queries=sizes, keys=sizes, before=reaches, after=reaches)
def test_a_window_turned_round_is_the_window_of_keys_over_queries(queries, keys, before, after):
    turned = spelt_out(Window(after, before), (keys, queries))
    assert_close(spelt_out(Window(before, after), (queries, keys)), turned.mT, **EXACT)


@given(queries=sizes, keys=sizes, reach=st.tuples(reaches, reaches, reaches, reaches))
def test_two_windows_allow_what_the_narrower_one_allows_on_each_side(queries, keys, reach):
    first, second = Window(*reach[:2]), Window(*reach[2:])
    narrow = Window(min(reach[0], reach[2]), min(reach[1], reach[3]))
    shape = (queries, keys)
    assert_close(spelt_out(first & second, shape), spelt_out(narrow, shape), **EXACT)


def test_whatever_is_joined_by_and_is_both_in_any_order_and_grouping():
    shape = (B, H, SHORT, LONG)
    tensor = random_mask(B, 1, SHORT, LONG)
    padding = Padding(tokens(LONG, B))
    expected = spelt_out(tensor, shape) & spelt_out(padding, shape) & spelt_out(Causal(), shape)
    assert not torch.equal(expected, spelt_out(tensor & padding, shape))
    for mask in (
        tensor & padding & Causal(),
        padding & tensor & Causal(),
        Causal() & (padding & tensor),
        (Causal() & tensor) & (tensor & padding),
        tensor & (Causal() & padding),
    ):
        assert isinstance(mask, Both)
        assert_close(spelt_out(mask, shape), expected, **EXACT)


def test_joining_and_spelling_out_change_no_tensor():
    tensor, rows = random_mask(SHORT, LONG), tokens(LONG, B)
    kept = tensor.clone(), rows.clone()
    spelt_out(tensor & Causal() & Padding(rows), (B, SHORT, LONG))
    to_multihead(tensor, (B, H, SHORT, LONG))
    assert_close((tensor, rows), kept, **EXACT)


def test_descriptions_with_the_same_numbers_are_the_same():
    assert Causal() == Causal()
    assert Window(1, 0) == Window(before=1, after=0)
    assert Window(1, 0) != Window(0, 1)
    assert len({Causal(), Causal(), Window(1, 0), Window(1, 0)}) == 2


# Tensors as masks


@pytest.mark.parametrize(
    "shape", [(SHORT, LONG), (1, LONG), (H, SHORT, LONG), (1, 1, LONG), (B, 1, 1, LONG)], ids=str
)
def test_a_tensor_that_broadcasts_to_the_scores_is_a_mask(shape):
    mask = random_mask(*shape)
    assert to_bool(mask, (B, H, SHORT, LONG)) is mask


def test_blind_rows_are_those_without_a_key():
    mask = normal(B, H, SHORT, LONG) > 0.8
    expected = [
        [[sum(row) == 0 for row in rows] for rows in heads] for heads in mask.int().tolist()
    ]
    assert blind_rows(mask).tolist() == expected
    assert blind_rows(mask).any() and not blind_rows(mask).all()
    assert blind_rows(torch.ones(SHORT, 0).bool()).all()


@given(queries=sizes, keys=sizes)
def test_the_blind_rows_of_a_causal_mask_are_the_queries_before_the_first_key(queries, keys):
    blind = blind_rows(Causal().to_bool((queries, keys)))
    assert blind.tolist() == [i < queries - keys for i in range(queries)]


# Torch's scaled_dot_product_attention

SDPA_SHAPES = {
    "2-D": (SHORT, LONG),
    "3-D": (B, SHORT, LONG),
    "4-D": (B, H, SHORT, LONG),
    "more queries": (B, H, LONG, SHORT),
    "as many": (B, H, LONG, LONG),
}
sdpa_shapes = pytest.mark.parametrize("shape", SDPA_SHAPES.values(), ids=SDPA_SHAPES)


def lookup(shape, seed=0):
    """Draw query, key and value for scores of a shape."""
    *leading, queries, keys = shape
    return [normal(*leading, n, D, seed=seed + i) for i, n in enumerate((queries, keys, keys))]


def reference_attention(query, key, value, mask):
    """Attend as chapter 2 does, with scaled scores; a mask that is None allows all."""
    scores = dot_scores(query, key) / math.sqrt(D)
    return weighted_sum(masked_softmax(scores, mask), value)


def masks_for(shape):
    *leading, _, keys = shape
    masks = {
        "none": None,
        "causal": Causal(),
        "window": Window(1, 2),
        "a tensor": random_mask(*shape),
        "one row": random_mask(1, keys),
    }
    if leading:
        padding = Padding(tokens(keys, leading[0]))
        masks |= {"padding": padding, "both": Causal() & padding}
    return masks


@sdpa_shapes
def test_torch_attends_alike_under_what_to_sdpa_says(shape):
    inputs = lookup(shape)
    for name, mask in masks_for(shape).items():
        attn_mask, is_causal = to_sdpa(mask, shape)
        output = F.scaled_dot_product_attention(*inputs, attn_mask=attn_mask, is_causal=is_causal)
        expected = reference_attention(*inputs, spelt_out(mask, shape))
        assert_close(output, expected, **ROUNDING, msg=lambda text, name=name: f"{name}: {text}")


def test_a_causal_mask_is_torchs_flag_only_where_there_are_as_many_queries_as_keys():
    assert to_sdpa(None, (SHORT, LONG)) == (None, False)
    assert to_sdpa(Causal(), (B, LONG, LONG)) == (None, True)
    for shape in ((SHORT, LONG), (LONG, SHORT)):
        attn_mask, is_causal = to_sdpa(Causal(), shape)
        assert not is_causal
        assert_close(attn_mask, Causal().to_bool(shape), **EXACT)
    # A mask that only contains a causal one is no flag.
    assert to_sdpa(Causal() & Window(1, 1), (LONG, LONG))[1] is False


@sdpa_shapes
def test_from_sdpa_reads_what_torch_does(shape):
    inputs = lookup(shape)
    spelt = random_mask(*shape)
    numbers = torch.zeros(shape, dtype=torch.float64).masked_fill(~spelt, -math.inf)
    for arguments in (
        {"attn_mask": None, "is_causal": False},
        {"attn_mask": None, "is_causal": True},
        {"attn_mask": spelt, "is_causal": False},
        {"attn_mask": numbers, "is_causal": False},
        {"attn_mask": spelt.reshape(-1, *shape[-2:])[0], "is_causal": False},
        {"attn_mask": numbers.reshape(-1, *shape[-2:])[0], "is_causal": False},
    ):
        output = F.scaled_dot_product_attention(*inputs, **arguments)
        mask = from_sdpa(**arguments, shape=shape)
        assert_close(output, reference_attention(*inputs, mask), **ROUNDING)


def test_torchs_flag_starts_in_the_first_corner_and_a_causal_mask_ends_in_the_last():
    shape = (B, H, 2, 3)  # one triangle for all rows and heads
    assert from_sdpa(None, True, shape).tolist() == [[True, False, False], [True, True, False]]
    assert Causal().to_bool(shape).tolist() == [[True, True, False], [True, True, True]]


@sdpa_shapes
def test_masks_come_back_from_sdpa_as_they_went(shape):
    for mask in masks_for(shape).values():
        back = from_sdpa(*to_sdpa(mask, shape), shape)
        assert (back is None) == (mask is None)
        assert_close(spelt_out(back, shape), spelt_out(mask, shape), **EXACT)


# Torch's nn.MultiheadAttention

D_HEAD = 13
MULTIHEAD = (B, H, SHORT, LONG)


def multihead():
    return built(lambda: nn.MultiheadAttention(H * D_HEAD, H, batch_first=True)).eval()


def multihead_output(layer, query, key, mask):
    """Do what the layer does with its own weights, head by head, under one of our masks."""
    w_q, w_k, w_v = layer.in_proj_weight.chunk(3)
    b_q, b_k, b_v = layer.in_proj_bias.chunk(3)
    allowed = spelt_out(mask, MULTIHEAD)
    heads, weights = [], []
    for h in range(H):
        part = slice(h * D_HEAD, (h + 1) * D_HEAD)
        q, k, v = (
            x @ w[part].T + b[part]
            for x, w, b in ((query, w_q, b_q), (key, w_k, b_k), (key, w_v, b_v))
        )
        weights.append(masked_softmax(dot_scores(q, k) / math.sqrt(D_HEAD), allowed[:, h]))
        heads.append(weighted_sum(weights[-1], v))
    return layer.out_proj(torch.cat(heads, dim=-1)), torch.stack(weights, dim=1)


def assert_multihead_agrees(arguments, mask):
    layer = multihead()
    query, key = normal(B, SHORT, H * D_HEAD, seed=1), normal(B, LONG, H * D_HEAD, seed=2)
    output, weights = layer(query, key, key, **arguments, average_attn_weights=False)
    expected, expected_weights = multihead_output(layer, query, key, mask)
    assert_close(weights, expected_weights, **ROUNDING)
    assert_close(output, expected, **ROUNDING)


@pytest.mark.parametrize(
    "mask",
    [
        Causal(),
        Window(before=3, after=1),
        Padding(tokens(LONG, B)),
        Causal() & Padding(tokens(LONG, B)),
        random_mask(SHORT, LONG),
        random_mask(H, 1, LONG),
        random_mask(*MULTIHEAD),
    ],
    ids=[
        "causal",
        "window",
        "padding",
        "both",
        "for all",
        "for each head",
        "for each row and head",
    ],
)
def test_multihead_attention_attends_alike_under_what_to_multihead_says(mask):
    attn_mask = to_multihead(mask, MULTIHEAD)
    assert attn_mask.shape == (B * H, SHORT, LONG)
    assert_multihead_agrees({"attn_mask": attn_mask}, spelt_out(mask, MULTIHEAD))


def blocked(mask, kind):
    """Say a mask in torch's way: True, or minus infinity, where attending is not allowed."""
    if mask is None or kind == "bool":
        return None if mask is None else ~mask
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -math.inf)


@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("padded", [False, True], ids=["no padding", "padding"])
@pytest.mark.parametrize(
    "mask",
    [None, random_mask(SHORT, LONG), random_mask(B * H, SHORT, LONG)],
    ids=["no mask", "one for all", "one for each row and head"],
)
def test_from_multihead_reads_what_the_layer_does(mask, padded, kind):
    rows = tokens(LONG, B) if padded else None
    arguments = {"attn_mask": blocked(mask, kind), "key_padding_mask": blocked(rows, kind)}
    assert_multihead_agrees(arguments, from_multihead(**arguments, shape=MULTIHEAD))


def test_no_mask_is_read_as_none():
    assert from_multihead(None, None, MULTIHEAD) is None
    assert from_sdpa(None, False, MULTIHEAD) is None


def test_masks_come_back_from_multihead_as_they_went():
    for mask in masks_for(MULTIHEAD).values():
        if mask is not None:
            back = from_multihead(to_multihead(mask, MULTIHEAD), None, MULTIHEAD)
            assert_close(back, spelt_out(mask, MULTIHEAD), **EXACT)


def test_the_two_conventions_of_torch_are_opposite():
    mask = random_mask(SHORT, LONG)
    ours, _ = to_sdpa(mask, (1, 1, SHORT, LONG))
    assert_close(to_multihead(mask, (1, 1, SHORT, LONG))[0], ~ours, **EXACT)
    # A blind row is zeros for the one, and NaN for the other.
    mask[2] = False
    inputs = lookup((SHORT, LONG))
    assert F.scaled_dot_product_attention(*inputs, attn_mask=mask)[2].tolist() == [0.0] * D
    query, key = normal(1, SHORT, H * D_HEAD), normal(1, LONG, H * D_HEAD)
    output, _ = multihead()(query, key, key, attn_mask=to_multihead(mask, (1, H, SHORT, LONG)))
    assert output.isnan().any(-1).tolist() == [[False, False, True, False, False]]


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("reach", "message"),
    [((-1, 0), "before must be at least 0, got -1"), ((2, -3), "after must be at least 0, got -3")],
)
def test_a_window_cannot_reach_less_far_than_its_own_position(reach, message):
    with pytest.raises(ValueError, match=message):
        Window(*reach)


@pytest.mark.rejects
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_mask_that_is_not_bool_is_rejected(dtype, unchecked):
    numbers = torch.ones(SHORT, LONG, dtype=dtype)
    message = rf"a mask must be bool, True where a query may attend, got {dtype}; .* are a bias"
    for use in (
        lambda: to_bool(numbers, (SHORT, LONG)),
        lambda: Padding(numbers),
        lambda: to_bool(Causal() & numbers, (SHORT, LONG)),
        lambda: to_bool(numbers & Causal(), (SHORT, LONG)),
        lambda: to_sdpa(numbers, (SHORT, LONG)),
        lambda: to_multihead(numbers, (B, H, SHORT, LONG)),
    ):
        with pytest.raises(TypeError, match=message):
            use()


@pytest.mark.rejects
@pytest.mark.parametrize(
    "shape",
    [(LONG,), (SHORT, 1), (LONG, SHORT), (2, LONG), (2, SHORT, LONG), (B, B, H, SHORT, LONG), ()],
    ids=str,
)
def test_a_mask_that_does_not_broadcast_to_the_scores_is_rejected(shape):
    mask = torch.ones(shape).bool()
    got = rf"got \({', '.join(map(str, shape))},?\) for scores of shape \(2, 3, 5, 7\)"
    message = rf"must have shape \(\.\.\., queries or 1, keys\) and broadcast to the scores, {got}"
    with pytest.raises(ValueError, match=message):
        to_bool(mask, (B, H, SHORT, LONG))
    with pytest.raises(ValueError, match=message):
        to_bool(Causal() & mask, (B, H, SHORT, LONG))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        ((3, 7), (2, 5, 7)),
        ((2, 5), (2, 5, 7)),
        ((1, 7), (2, 5, 7)),
        ((2, 7), (5, 7)),
        ((2, 3, 7), (2, 3, 7)),
        ((3, 2, 7), (2, 3, 5, 7)),
    ],
)
def test_padding_that_does_not_fit_the_scores_is_rejected(rows, shape):
    got = rf"got \({', '.join(map(str, rows))}\) and \({', '.join(map(str, shape))}\)"
    message = (
        r"padding of shape \(batch, keys\) needs scores of shape \(batch, \.\.\., queries, keys\)"
    )
    with pytest.raises(ValueError, match=f"{message}, {got}"):
        Padding(torch.ones(rows).bool()).to_bool(shape)


@pytest.mark.rejects
def test_a_mask_and_the_causal_flag_together_are_rejected():
    message = r"exclude each other, got a mask of shape \(5, 7\) and True"
    with pytest.raises(ValueError, match=message):
        from_sdpa(torch.ones(SHORT, LONG).bool(), True, (SHORT, LONG))


@pytest.mark.rejects
@pytest.mark.parametrize("number", [-1e9, 1.0, math.inf, math.nan])
def test_a_float_mask_that_holds_other_numbers_is_a_bias_and_rejected(number):
    mask = torch.zeros(SHORT, LONG)
    mask[3, 2] = number
    message = rf"must hold 0 and minus infinity only \(other .* a bias\), got {number:g}".replace(
        "+", r"\+"
    )
    with pytest.raises(ValueError, match=message):
        from_sdpa(mask, False, (SHORT, LONG))
    with pytest.raises(ValueError, match=message):
        from_multihead(mask, None, MULTIHEAD)
    with pytest.raises(ValueError, match=message):
        from_multihead(None, mask[2:4], MULTIHEAD)


@pytest.mark.rejects
def test_multihead_masks_need_all_four_axes():
    mask = torch.ones(SHORT, LONG).bool()
    message = r"shape must be \(batch, heads, queries, keys\), got \(2, 5, 7\)"
    with pytest.raises(ValueError, match=message):
        to_multihead(mask, (B, SHORT, LONG))
    with pytest.raises(ValueError, match=message):
        from_multihead(mask, None, (B, SHORT, LONG))


@pytest.mark.rejects
@pytest.mark.parametrize("shape", [(7, 5), (2, 5, 7), (3, 5, 7), (6, 7, 5), (2, 3, 5, 7)])
def test_a_multihead_mask_that_does_not_fit_is_rejected(shape):
    got = rf"got \({', '.join(map(str, shape))}\) for \(2, 3, 5, 7\)"
    message = rf"must have shape \(queries, keys\) or \(batch \* heads, queries, keys\), {got}"
    with pytest.raises(ValueError, match=message):
        from_multihead(torch.ones(shape).bool(), None, MULTIHEAD)


@pytest.mark.rejects
def test_padding_of_multihead_that_does_not_fit_is_rejected():
    with pytest.raises(ValueError, match=r"padding of shape .*, got \(3, 7\) and \(2, 3, 5, 7\)"):
        from_multihead(None, torch.ones(H, LONG).bool(), MULTIHEAD)


@pytest.mark.rejects
def test_a_mask_that_does_not_fit_is_rejected_by_the_adapters_too():
    mask, message = (
        torch.ones(LONG, SHORT).bool(),
        r"got \(7, 5\) for scores of shape \(2, 3, 5, 7\)",
    )
    for use in (
        lambda: to_sdpa(mask, MULTIHEAD),
        lambda: from_sdpa(mask, False, MULTIHEAD),
        lambda: from_sdpa(torch.zeros(LONG, SHORT), False, MULTIHEAD),
        lambda: to_multihead(mask, MULTIHEAD),
    ):
        with pytest.raises(ValueError, match=message):
            use()
