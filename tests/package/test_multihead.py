import copy
import functools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from minattn.alignment import hard, masked_softmax, uniform_attention, with_temperature
from minattn.dot_product import DotProductAttention, attend, fused_attend
from minattn.masks import Both, Causal, Mask, Padding, Window, blind_rows, to_multihead
from minattn.multihead import MultiHeadAttention, merge_heads, split_heads
from minattn.positions import rotary, with_rotary
from minattn.recording import attending, recording
from minattn.recurrent import RecurrentTranslator
from minattn.vocabulary import pad
from tests.package.strategies import EXACT, ROUNDING, built, normal, spelt_out

# Distinct primes, but for the width of a head: rotary positions turn pairs of features.
B, H, Q, K, D_HEAD = 2, 3, 5, 7, 4
D = H * D_HEAD
GROUPS = {"a head each": 6, "three groups": 3, "two groups": 2, "one for all": 1}
"""How many of six heads have keys and values of their own."""

attends = pytest.mark.parametrize("inner", [attend, fused_attend], ids=["attend", "fused"])
groups = pytest.mark.parametrize("n_kv_heads", GROUPS.values(), ids=GROUPS)
biases = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
batches = pytest.mark.parametrize("batch", [B, H], ids=["batch < heads", "batch = heads"])
"""With as many rows as heads, a mask for each row fits where one for each head would go."""


def randomised(make, seed=0):
    """Make a module whose every number is random: torch starts its biases with zeros."""
    module = built(make, seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.4 * normal(*parameter.shape, seed=seed))
            seed += 1
    return module


def layer(n_heads=H, n_kv_heads=None, d_head=D_HEAD, seed=0, **settings):
    return randomised(
        lambda: MultiHeadAttention(n_heads * d_head, n_heads, n_kv_heads, **settings), seed
    )


def tokens(batch=B, d_model=D, seed=50):
    """Draw a query, a key and a value."""
    return [normal(batch, n, d_model, seed=seed + i) for i, n in enumerate((Q, K, K))]


def one_head(proj, i, d_head):
    """Cut one head's own Linear out of a projection."""
    own = nn.Linear(proj.in_features, d_head, bias=proj.bias is not None).double()
    with torch.no_grad():
        for whole, part in zip(proj.parameters(), own.parameters(), strict=True):
            part.copy_(whole[i * d_head : (i + 1) * d_head])
    return own


def reference_attention(layer, query, key, value, allowed=None, turn=lambda q, k: (q, k)):
    """Ask head after head, each with three Linears of its own; return output and weights."""
    n_heads, d_head = layer.n_heads, layer.d_head
    output, weights = layer.out_proj.bias, []
    for i in range(n_heads):
        own = i * layer.n_kv_heads // n_heads
        q, k = turn(
            one_head(layer.q_proj, i, d_head)(query), one_head(layer.k_proj, own, d_head)(key)
        )
        v = one_head(layer.v_proj, own, d_head)(value)
        scores = q @ k.mT / math.sqrt(d_head)
        weights.append(masked_softmax(scores, None if allowed is None else allowed[:, i]))
        found = (weights[i] @ v) @ layer.out_proj.weight[:, i * d_head : (i + 1) * d_head].T
        output = found if output is None else output + found
    return output.detach(), torch.stack(weights, dim=1).detach()


def masks_for(batch, n_heads=H):
    """Make masks of every kind; beside each, what it allows to (batch, heads, queries, keys)."""
    scores = (batch, n_heads, Q, K)
    each_head = normal(*scores, seed=5) > 0
    each_row, pairs = normal(batch, Q, K, seed=6) > 0, normal(Q, K, seed=7) > 0
    for allowed in (each_head, each_row, pairs):
        allowed[..., :2] = True  # no query is left without a key
    real = torch.arange(K) < torch.tensor([4, 6, 5])[:batch, None]
    past, near, rows = spelt_out(Causal(), scores), Window(before=5, after=1), each_row[:, None]
    table = {
        "no mask": (None, torch.tensor(True)),
        "one row for all": (pairs[:1], pairs[:1]),
        "pairs": (pairs, pairs),
        "pairs of each row": (each_row, rows),
        "keys of each row": (real[:, None], real[:, None, None]),
        "pairs of one row": (each_row[:1], each_row[0]),
        "pairs of each head": (each_head, each_head),
        "pairs of each head, all rows alike": (each_head[:1], each_head[:1]),
        "pairs of each row, four axes": (each_head[:, :1], each_head[:, :1]),
        "causal": (Causal(), past),
        "window": (near, spelt_out(near, scores)),
        "padding": (Padding(real), real[:, None, None]),
        "causal and padding": (Causal() & Padding(real), past & real[:, None, None]),
        "causal and pairs of each row": (Causal() & each_row, past & rows),
        "pairs of each row and causal": (each_row & Causal(), rows & past),
        "pairs of each row and padding": (each_row & Padding(real), rows & real[:, None, None]),
        "both of both": (
            (Causal() & each_row) & (each_head & Padding(real)),
            past & rows & each_head & real[:, None, None],
        ),
        "all of it": (
            (Causal() & pairs) & near & each_row & real[:, None],
            past & pairs & spelt_out(near, scores) & rows & real[:, None, None],
        ),
    }
    return {name: (mask, allowed.expand(scores)) for name, (mask, allowed) in table.items()}


masks = pytest.mark.parametrize("name", masks_for(B))


# Splitting and merging


def test_every_head_gets_its_own_features_of_every_token():
    x = normal(B, Q, D)
    split = split_heads(x, H)
    assert split.shape == (B, H, Q, D_HEAD)
    for head in range(H):
        assert_close(split[:, head], x[:, :, head * D_HEAD : (head + 1) * D_HEAD], **EXACT)


LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other feature": lambda x: torch.stack([x, x + 1], dim=-1)[..., 0],
    "one token for all": lambda x: x[..., :1, :].expand_as(x),
}
layouts = pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS)
leadings = st.lists(st.integers(0, 3), max_size=3)


@layouts
@given(leading=leadings, sizes=st.tuples(*[st.integers(1, 4)] * 3))
def test_merging_puts_together_what_splitting_cut(lay_out, leading, sizes):
    seq, n_heads, d_head = sizes
    x = lay_out(normal(*leading, seq, n_heads * d_head))
    split = split_heads(x, n_heads)
    assert split.shape == (*leading, n_heads, seq, d_head)
    assert_close(merge_heads(split), x, **EXACT)


@layouts
@given(leading=leadings, sizes=st.tuples(*[st.integers(1, 4)] * 3))
def test_splitting_cuts_what_merging_put_together(lay_out, leading, sizes):
    n_heads, seq, d_head = sizes
    x = lay_out(normal(*leading, n_heads, seq, d_head))
    merged = merge_heads(x)
    assert merged.shape == (*leading, seq, n_heads * d_head)
    assert_close(split_heads(merged, n_heads), x, **EXACT)


@given(leading=leadings, data=st.data())
def test_leading_axes_are_split_and_merged_one_by_one(leading, data):
    x = normal(*(n + 1 for n in leading), Q, D)
    index = tuple(data.draw(st.integers(0, n)) for n in leading)
    assert_close(split_heads(x, H)[index], split_heads(x[index], H), **EXACT)
    assert_close(merge_heads(split_heads(x, H))[index], x[index], **EXACT)


@pytest.mark.rejects
@pytest.mark.parametrize("n_heads", [0, -2, 5, 24])
def test_a_width_that_cannot_be_cut_is_rejected(n_heads):
    rule = "n_heads must be at least 1 and divide the width"
    message = f"{rule}, got {n_heads} heads for width 12"
    with pytest.raises(ValueError, match=message):
        split_heads(normal(Q, 12), n_heads)
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(12, n_heads)


@pytest.mark.rejects
@pytest.mark.parametrize("d_model", [0, -6])
def test_there_must_be_a_width(d_model):
    with pytest.raises(ValueError, match=f"the width, got 3 heads for width {d_model}"):
        MultiHeadAttention(d_model, 3)


@pytest.mark.rejects
@pytest.mark.parametrize("n_kv_heads", [0, -3, 4, 12])
def test_groups_must_divide_the_heads(n_kv_heads):
    message = f"at least 1 and divide n_heads, got {n_kv_heads} for 6 heads"
    with pytest.raises(ValueError, match=f"n_kv_heads must be {message}"):
        MultiHeadAttention(24, 6, n_kv_heads)


# Twins


@masks
@attends
@batches
def test_the_layer_is_a_loop_over_heads_with_linears_of_their_own(inner, batch, name):
    mask, allowed = masks_for(batch)[name]
    for seed in (0, 10):
        ours, inputs = layer(attend=inner, seed=seed), tokens(batch)
        expected, _ = reference_attention(ours, *inputs, allowed)
        assert_close(ours(*inputs, mask), expected, **ROUNDING)


@attends
@biases
@pytest.mark.parametrize("n_heads", [1, 2, 3, 5])
def test_one_sequence_attends_to_itself(inner, bias, n_heads):
    ours, x = layer(n_heads, bias=bias, attend=inner), normal(B, Q, n_heads * D_HEAD)
    pairs = normal(B, Q, Q, seed=1) > 0
    for mask, allowed in ((None, None), (pairs, pairs), (Causal(), Causal().to_bool((Q, Q)))):
        allowed = None if allowed is None else allowed.expand(n_heads, B, Q, Q).transpose(0, 1)
        expected, _ = reference_attention(ours, x, x, x, allowed)
        assert_close(ours(x, x, x, mask), expected, **ROUNDING)


@masks
@groups
@attends
def test_heads_that_share_keys_and_values_are_a_loop_over_heads(inner, n_kv_heads, name):
    mask, allowed = masks_for(B, 6)[name]
    ours, inputs = layer(6, n_kv_heads, attend=inner), tokens(d_model=24)
    expected, _ = reference_attention(ours, *inputs, allowed)
    assert_close(ours(*inputs, mask), expected, **ROUNDING)


@groups
@biases
def test_sharing_is_having_copies_there_and_back(n_kv_heads, bias):
    ours, copies = layer(6, n_kv_heads, bias=bias), layer(6, bias=bias)
    copied = {"k_proj": [], "v_proj": []}
    with torch.no_grad():
        for name, own in ours.named_parameters():
            if name.split(".")[0] in copied:
                heads = own.unflatten(0, (n_kv_heads, D_HEAD))
                own = torch.cat([heads[i * n_kv_heads // 6] for i in range(6)])
            copies.get_parameter(name).copy_(own)
    inputs, mask = tokens(d_model=24), masks_for(B)["pairs of each row"][0]
    outputs = [module(*inputs, mask) for module in (ours, copies)]
    assert_close(outputs[0], outputs[1], **ROUNDING)
    for output in outputs:
        output.square().sum().backward()
    for name, own in ours.named_parameters():
        grad = copies.get_parameter(name).grad
        if name.split(".")[0] in copied:  # what is shared hears from all who share it
            grad = grad.unflatten(0, (n_kv_heads, -1, D_HEAD)).sum(1).flatten(0, 1)
        assert_close(own.grad, grad, **ROUNDING)


def test_one_head_is_one_lookup():
    ours = layer(1, bias=False)
    one = built(lambda: DotProductAttention(d_query=D_HEAD, d_key=D_HEAD, d_k=D_HEAD, d_v=D_HEAD))
    one.load_state_dict(ours.state_dict(), strict=False)
    inputs = tokens(d_model=D_HEAD)
    for name in ("causal", "pairs of each row"):
        mask, _ = masks_for(B, 1)[name]
        expected = ours.out_proj(one(*inputs, mask))
        assert_close(ours(*inputs, mask), expected, **ROUNDING)


@groups
@biases
def test_the_layer_has_four_matrices_and_those_of_shared_heads_are_narrower(n_kv_heads, bias):
    ours = layer(6, n_kv_heads, bias=bias)
    width = n_kv_heads * D_HEAD
    expected = {"q_proj": (24, 24), "k_proj": (width, 24), "v_proj": (width, 24)}
    expected["out_proj"] = (24, 24)
    shapes = {f"{name}.weight": shape for name, shape in expected.items()}
    if bias:
        shapes |= {f"{name}.bias": shape[:1] for name, shape in expected.items()}
    assert {name: tuple(p.shape) for name, p in ours.named_parameters()} == shapes
    sizes = (ours.d_model, ours.n_heads, ours.n_kv_heads, ours.d_head)
    assert sizes == (24, 6, n_kv_heads, D_HEAD)


def test_unless_told_otherwise_no_head_shares_and_all_attend_in_one_operation_with_a_bias():
    ours = MultiHeadAttention(D, H)
    assert ours.n_kv_heads == H
    assert ours.attend is fused_attend
    assert all(
        proj.bias is not None for proj in (ours.q_proj, ours.k_proj, ours.v_proj, ours.out_proj)
    )


# Torch's own layer


@pytest.fixture
def no_fast_path():
    """Let torch's layer take the same way in evaluation as in training."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def torchs(bias=True, batch_first=True, **settings):
    return randomised(
        lambda: nn.MultiheadAttention(D, H, bias=bias, batch_first=batch_first, **settings)
    ).eval()


def as_ours(theirs, gradients):
    """Sort gradients of torch's parameters under the names that ours have."""
    found = {}
    for name, gradient in zip(dict(theirs.named_parameters()), gradients, strict=True):
        if name.startswith("in_proj"):
            for proj, part in zip(("q_proj", "k_proj", "v_proj"), gradient.chunk(3), strict=True):
                found[name.replace("in_proj_", f"{proj}.")] = part
        else:
            found[name] = gradient
    return found


@pytest.mark.pairwise
@masks
@biases
@batches
@attends
def test_the_layer_is_torchs_own_there_and_back(no_fast_path, inner, batch, bias, name):
    mask, allowed = masks_for(batch)[name]
    theirs = torchs(bias)
    ours = MultiHeadAttention.from_torch(theirs)
    ours.attend = inner
    inputs = [x.requires_grad_() for x in tokens(batch)]
    expected, expected_weights = theirs(
        *inputs, attn_mask=to_multihead(allowed, allowed.shape), average_attn_weights=False
    )
    with recording(ours) as record:
        output = ours(*inputs, mask)
    assert_close(output, expected, **ROUNDING)
    assert_close(record.weights(), expected_weights, **ROUNDING)
    grad_output = normal(*output.shape, seed=9)
    names, parameters = zip(*ours.named_parameters(), strict=True)
    found = torch.autograd.grad(output, [*inputs, *parameters], grad_output)
    wanted = torch.autograd.grad(expected, [*inputs, *theirs.parameters()], grad_output)
    assert_close(found[:3], wanted[:3], **ROUNDING)
    assert_close(dict(zip(names, found[3:], strict=True)), as_ours(theirs, wanted[3:]), **ROUNDING)


@pytest.mark.parametrize("batch_first", [True, False])
def test_torchs_masks_for_keys_and_for_pairs_say_the_same(no_fast_path, batch_first):
    theirs, inputs = torchs(batch_first=batch_first), tokens()
    ours = MultiHeadAttention.from_torch(theirs)
    real = torch.arange(K) < torch.tensor([[3], [6]])
    turned = inputs if batch_first else [x.transpose(0, 1) for x in inputs]
    past = Causal().to_bool((Q, K))
    expected, _ = theirs(*turned, key_padding_mask=~real, attn_mask=~past)
    expected = expected if batch_first else expected.transpose(0, 1)
    assert_close(ours(*inputs, Causal() & Padding(real)), expected, **ROUNDING)


def test_a_query_that_one_head_leaves_without_a_key_is_all_that_torchs_layer_gives_up(
    no_fast_path,
):
    theirs, inputs = torchs(), tokens()
    allowed = normal(B, H, Q, K) > 0
    allowed[1, 2, 3] = False
    expected, _ = theirs(*inputs, attn_mask=to_multihead(allowed, allowed.shape))
    blind = blind_rows(allowed).any(1)
    assert int(blind.sum()) == 1
    assert bool(expected[blind].isnan().all())
    output = MultiHeadAttention.from_torch(theirs)(*inputs, allowed)
    assert_close(output[~blind], expected[~blind], **ROUNDING)


@pytest.mark.pairwise
@biases
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_there_and_back_again_nothing_has_changed(bias, dtype, training, batch_first):
    theirs = torchs(bias, batch_first).to(dtype).train(training)
    ours = MultiHeadAttention.from_torch(theirs)
    again = ours.to_torch()
    assert_close(dict(again.state_dict()), dict(theirs.state_dict()), **EXACT)
    assert (again.num_heads, again.batch_first) == (H, True)
    ours_again = MultiHeadAttention.from_torch(again)
    assert_close(dict(ours_again.state_dict()), dict(ours.state_dict()), **EXACT)
    assert {p.dtype for p in (*ours.parameters(), *again.parameters())} == {dtype}
    for module in (ours, again):
        assert {part.training for part in module.modules()} == {training}


@attends
@biases
def test_a_layer_handed_to_torch_does_what_it_did(no_fast_path, inner, bias):
    ours, inputs = layer(bias=bias, attend=inner), tokens()
    assert_close(ours.to_torch()(*inputs)[0], ours(*inputs), **ROUNDING)


@pytest.mark.parametrize("to_torch", [True, False])
def test_the_two_layers_share_no_number(to_torch):
    one = layer() if to_torch else torchs()
    other = one.to_torch() if to_torch else MultiHeadAttention.from_torch(one)
    for changed, kept in ((one, other), (other, one)):
        before = copy.deepcopy(kept.state_dict())
        with torch.no_grad():
            for parameter in changed.parameters():
                parameter.add_(1)
        assert_close(dict(kept.state_dict()), dict(before), **EXACT)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_taking_over_is_no_step_to_differentiate(bias):
    theirs = torchs(bias)
    ours = MultiHeadAttention.from_torch(theirs)
    for module in (theirs, ours, ours.to_torch()):
        assert all(p.is_leaf and p.requires_grad for p in module.parameters())


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("settings", "got"),
    [
        ({"kdim": 5}, "kdim 5, vdim 12, add_bias_kv False, add_zero_attn False"),
        ({"vdim": 5}, "kdim 12, vdim 5, add_bias_kv False, add_zero_attn False"),
        ({"add_bias_kv": True}, "kdim 12, vdim 12, add_bias_kv True, add_zero_attn False"),
        ({"add_zero_attn": True}, "kdim 12, vdim 12, add_bias_kv False, add_zero_attn True"),
    ],
)
def test_what_ours_has_not_is_not_taken_over(settings, got):
    rule = "only a layer without kdim, vdim, add_bias_kv and add_zero_attn can be taken over"
    with pytest.raises(ValueError, match=f"{rule}, got {got} for embed_dim 12"):
        MultiHeadAttention.from_torch(torchs(**settings))


@pytest.mark.rejects
def test_what_torch_has_not_is_not_handed_over():
    with pytest.raises(ValueError, match="keys and values for every head, got 2 for 6 heads"):
        layer(6, 2).to_torch()
    for other in (with_rotary(), functools.partial(fused_attend, scale=1.0), uniform_attention):
        ours = layer(attend=other)
        message = re.escape(f"attends only as fused_attend, got {other!r}")
        with pytest.raises(ValueError, match=message):
            ours.to_torch()


# The seam


def spied(seen):
    def attends(query, key, value, mask=None):
        seen.append((query.shape, key.shape, value.shape, mask))
        return attend(query, key, value, mask)

    return attends


@groups
def test_every_attend_gets_an_axis_of_heads(n_kv_heads):
    seen = []
    layer(6, n_kv_heads, attend=spied(seen))(*tokens(d_model=24))
    query, key = (B, 6, Q, D_HEAD), (B, 6, K, D_HEAD)
    assert seen == [(query, key, key, None)]


@masks
def test_a_description_stays_one_and_a_tensor_of_four_axes_is_handed_on(name):
    seen, (mask, allowed) = [], masks_for(B)[name]
    layer(attend=spied(seen))(*tokens(), mask)
    handed = seen[0][3]
    if isinstance(mask, (Causal, Window, Padding)) or mask is None:
        assert handed is mask  # a description costs less than a tensor
    elif isinstance(mask, Both):
        assert isinstance(handed, Both)
    elif mask.ndim != 3:
        assert handed is mask
    else:
        assert handed.shape == (len(mask), 1, *mask.shape[1:])
    assert_close(spelt_out(handed, allowed.shape), allowed, **EXACT)


@masks
@groups
def test_the_two_halves_are_the_whole(n_kv_heads, name):
    mask, _ = masks_for(B, 6)[name]
    ours, (query, key, value) = layer(6, n_kv_heads), tokens(d_model=24)
    k, v = ours.keys_values(key, value)
    assert k.shape == v.shape == (B, n_kv_heads, K, D_HEAD)
    for i in range(n_kv_heads):
        assert_close(k[:, i], one_head(ours.k_proj, i, D_HEAD)(key), **ROUNDING)
        assert_close(v[:, i], one_head(ours.v_proj, i, D_HEAD)(value), **ROUNDING)
    whole = ours(query, key, value, mask)
    assert_close(ours.attend_to(query, k, v, mask), whole, **EXACT)


def step_by_step(layer, x, sizes, mask):
    """Attend as a model that writes does: keep keys and values, and project only what is new."""
    outputs, kept = [], None
    for new in x.split(sizes, dim=1):
        projected = layer.keys_values(new, new)
        kept = (
            projected
            if kept is None
            else [torch.cat(pair, dim=2) for pair in zip(kept, projected, strict=True)]
        )
        outputs.append(layer.attend_to(new, *kept, mask(kept[0].shape[2])))
    return torch.cat(outputs, dim=1)


PADDED = torch.arange(K) >= torch.tensor([[2], [0]])  # padding before the tokens
STEPS = {
    "causal": lambda n: Causal(),
    "window": lambda n: Window(before=2, after=0),
    "padding before": lambda n: Causal() & Padding(PADDED[:, :n]),
}


@pytest.mark.parametrize("mask", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("sizes", [[1] * K, [3, 1, 1, 2], [K]], ids=str)
@pytest.mark.parametrize("inner", [fused_attend, with_rotary()], ids=["fused", "rotary"])
@groups
def test_with_keys_and_values_kept_one_step_at_a_time_is_all_at_once(
    n_kv_heads, inner, sizes, mask
):
    ours, x = layer(6, n_kv_heads, attend=inner), normal(B, K, 24)
    expected = ours(x, x, x, mask(K))
    assert_close(step_by_step(ours, x, sizes, mask), expected, **ROUNDING)


@pytest.mark.parametrize("name", ["no mask", "causal", "pairs of each row"])
@groups
def test_rotary_positions_turn_the_queries_and_keys_of_every_head(n_kv_heads, name):
    mask, allowed = masks_for(B, 6)[name]
    ours, inputs = layer(6, n_kv_heads, attend=with_rotary()), tokens(d_model=24)
    expected, _ = reference_attention(
        ours, *inputs, allowed, turn=lambda q, k: (rotary(q, K - Q), rotary(k))
    )
    assert_close(ours(*inputs, mask), expected, **ROUNDING)
    plain, _ = reference_attention(ours, *inputs, allowed)
    assert (plain - expected).abs().max() > 0.01


@masks
@groups
def test_the_recorded_weights_are_those_of_every_head(n_kv_heads, name):
    mask, allowed = masks_for(B, 6)[name]
    model, inputs = nn.Sequential(layer(6, n_kv_heads)), tokens(d_model=24)
    with recording(model) as record:
        output = model[0](*inputs, mask)
    expected_output, expected = reference_attention(model[0], *inputs, allowed)
    assert list(record.calls) == ["0"]
    assert_close(record.weights(), expected, **ROUNDING)
    assert_close(record.weights().sum(-1), torch.ones(B, 6, Q).double(), **ROUNDING)
    assert_close(output, expected_output, **ROUNDING)


@pytest.mark.parametrize("name", ["no mask", "causal", "pairs of each row", "both of both"])
def test_all_heads_attend_otherwise_while_they_are_told_to(name):
    mask, allowed = masks_for(B)[name]
    ours, inputs = layer(), tokens()
    before = ours(*inputs, mask)
    _, weights = reference_attention(ours, *inputs, allowed)
    v = torch.stack([one_head(ours.v_proj, i, D_HEAD)(inputs[2]) for i in range(H)], dim=1)
    squared = weights.square()
    changes = {
        hard: nn.functional.one_hot(weights.argmax(-1), K).double(),
        lambda inner: functools.partial(inner, scale=0.0): allowed.double()
        / allowed.sum(-1, keepdim=True),
        lambda inner: with_temperature(inner, 0.5): squared / squared.sum(-1, keepdim=True),
    }
    for change, expected in changes.items():
        with attending(ours, change):
            output = ours(*inputs, mask)
        mixed = torch.cat(list((expected @ v).unbind(1)), dim=-1)
        # A temperature takes a logarithm of the weights: some digits are lost.
        assert_close(output, ours.out_proj(mixed), rtol=1e-8, atol=1e-10)
    assert_close(ours(*inputs, mask), before, **EXACT)


def test_the_layer_goes_between_a_recurrent_encoder_and_decoder():
    source = pad([[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]])
    target = pad([[1, 8, 12, 3, 5, 6, 11], [1, 4], [1, 3, 3, 7]])
    model = built(lambda: RecurrentTranslator(11, 13, d_model=D, attend=MultiHeadAttention(D, H)))
    expected, seen, inside = model(source, target), [], model.attend

    def slowly(query, key, value, mask):
        allowed = mask[:, None].expand(-1, H, query.shape[1], -1)
        output, weights = reference_attention(inside, query, key, value, allowed)
        seen.append(weights)
        return output

    with recording(model) as record:
        assert_close(model(source, target), expected, **EXACT)
    with attending(model, lambda inner: inner):
        assert_close(model(source, target), expected, **EXACT)
    del model.attend
    model.attend = slowly
    assert_close(model(source, target), expected, **ROUNDING)
    assert list(record.calls) == ["attend"]
    assert record.weights().shape == (3, H, 7, 5)
    assert_close(record.weights(), torch.cat(seen, dim=2), **ROUNDING)


# A query that may attend to nothing


@attends
@biases
def test_a_query_without_a_key_brings_zeros_to_the_last_projection(inner, bias):
    ours, inputs = layer(bias=bias, attend=inner), [x.requires_grad_() for x in tokens()]
    allowed = normal(B, Q, K) > 0
    allowed[1, 3] = False
    output = ours(*inputs, allowed)
    expected = ours.out_proj.bias if bias else torch.zeros(D).double()
    assert_close(output[1, 3], expected, **EXACT)
    parameters = dict(ours.named_parameters())
    gradients = torch.autograd.grad(output[1, 3].sum(), [*inputs, *parameters.values()])
    for name, gradient in zip(["query", "key", "value", *parameters], gradients, strict=True):
        expected = torch.full_like(gradient, float(name == "out_proj.bias"))
        assert_close(gradient, expected, **EXACT)


@attends
def test_a_head_without_a_key_leaves_the_answer_to_the_others(inner):
    ours, inputs = layer(attend=inner), tokens()
    allowed = normal(B, H, Q, K) > 0
    allowed[1, 2, 3] = allowed[0, 0] = False
    expected, _ = reference_attention(ours, *inputs, allowed)
    assert bool(expected.isfinite().all())
    assert_close(ours(*inputs, allowed), expected, **ROUNDING)


@pytest.mark.parametrize("name", ["no mask", "pairs of each row"])
def test_nan_is_not_hidden_and_stays_in_its_row(name):
    mask, _ = masks_for(B)[name]
    ours, inputs = layer(attend=attend), tokens()
    expected = ours(*inputs, mask)
    for which, spread in ((0, [3]), (1, range(Q)), (2, range(Q))):
        spoilt = [x.clone() for x in inputs]
        spoilt[which][1, 3, 5] = math.nan
        output = ours(*spoilt, mask)
        lost = torch.zeros(B, Q).bool()
        lost[1, list(spread)] = True
        assert bool(output[lost].isnan().all())
        assert_close(output[~lost], expected[~lost], **ROUNDING)


# Laws


class Sizes(NamedTuple):
    n_kv_heads: int
    shared: int
    d_head: int
    batch: int
    queries: int
    keys: int
    bias: bool
    inner: Callable[..., Tensor]
    kinds: list[str]
    seed: int


small = st.integers(1, 3)
KINDS = ["pairs", "row", "pairs of each row", "row of each row", "of each head", "of all heads"]
KINDS += ["causal", "window", "padding"]
every_size = st.builds(
    Sizes,
    *[small] * 4,
    *[st.integers(1, 5)] * 2,
    st.booleans(),
    st.sampled_from([attend, fused_attend]),
    st.lists(st.sampled_from(KINDS), max_size=3, unique=True),
    st.integers(0, 999),
)


class Lookup(NamedTuple):
    layer: MultiHeadAttention
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask
    allowed: Tensor
    """The mask as a tensor (batch, heads, queries, keys)."""


def lookup(sizes, itself=False):
    """Make a layer, its tokens and a mask; with `itself`, for a sequence that attends to itself."""
    n_kv_heads, shared, d_head, batch, queries, keys, bias, inner, kinds, seed = sizes
    n_heads, keys = n_kv_heads * shared, queries if itself else keys
    ours = layer(n_heads, n_kv_heads, d_head, seed, bias=bias, attend=inner)
    inputs = [
        normal(batch, n, ours.d_model, seed=seed + i)
        for i, n in enumerate((queries, keys, keys), start=20)
    ]
    scores = (batch, n_heads, queries, keys)
    shapes = [scores[2:], (1, keys), (batch, *scores[2:]), (batch, 1, keys), scores]
    shapes += [(batch, 1, *scores[2:])]
    every = [normal(*shape, seed=seed + 30) > -0.7 for shape in shapes]
    every += [Causal(), Window(before=1, after=1)]
    every += [Padding(normal(batch, keys, seed=seed + 31) > -0.7)]
    parts = [part for kind, part in zip(KINDS, every, strict=True) if kind in kinds]
    allowed = torch.ones(scores).bool()
    for part in parts:
        rows = part[:, None] if isinstance(part, Tensor) and part.ndim == 3 else part
        allowed = allowed & spelt_out(rows, scores)
    mask = functools.reduce(Both, parts) if parts else None
    return Lookup(ours, *(inputs[:1] * 3 if itself else inputs), mask, allowed)


@given(sizes=every_size)
def test_layers_of_every_size_are_the_loop_over_heads(sizes):
    ours, *inputs, mask, allowed = lookup(sizes)
    expected, _ = reference_attention(ours, *inputs, allowed)
    assert_close(ours(*inputs, mask), expected, **ROUNDING)


@given(sizes=every_size, data=st.data())
def test_under_a_causal_mask_the_future_does_not_matter(sizes, data):
    ours, x, _, _, mask, _ = lookup(sizes, itself=True)
    mask = Causal() if mask is None else mask & Causal()
    now = data.draw(st.integers(0, x.shape[1] - 1))
    other = torch.cat([x[:, : now + 1], 100 * normal(*x.shape, seed=40)[:, now + 1 :]], dim=1)
    before, after = ours(x, x, x, mask), ours(other, other, other, mask)
    assert_close(after[:, : now + 1], before[:, : now + 1], **ROUNDING)


@given(sizes=every_size, n_more=st.integers(1, 3))
def test_padding_with_any_content_changes_nothing(sizes, n_more):
    ours, query, key, value, _, allowed = lookup(sizes)
    more = 100 * normal(len(key), n_more, key.shape[-1], seed=41)
    longer = torch.cat([allowed, allowed.new_zeros(*allowed.shape[:-1], n_more)], dim=-1)
    padded = [torch.cat([x, more], dim=1) for x in (key, value)]
    assert_close(ours(query, *padded, longer), ours(query, key, value, allowed), **ROUNDING)
    real = (torch.arange(key.shape[1] + n_more) < key.shape[1]).expand(len(key), -1)
    assert_close(ours(query, *padded, Padding(real)), ours(query, key, value), **ROUNDING)


@given(sizes=every_size, data=st.data())
def test_the_order_of_queries_is_that_of_the_output_and_the_order_of_keys_does_not_matter(
    sizes, data
):
    ours, query, key, value, mask, allowed = lookup(sizes)
    rows, columns = (
        torch.tensor(data.draw(st.permutations(range(x.shape[1])))) for x in (query, key)
    )
    moved = allowed[:, :, rows][..., columns]
    output = ours(query[:, rows], key[:, columns], value[:, columns], moved)
    assert_close(output, ours(query, key, value, mask)[:, rows], **ROUNDING)


@given(sizes=every_size, data=st.data())
def test_tokens_in_another_order_give_the_outputs_in_that_order(sizes, data):
    ours, x, _, _, mask, allowed = lookup(sizes, itself=True)
    order = torch.tensor(data.draw(st.permutations(range(x.shape[1]))))
    moved = x[:, order]
    output = ours(moved, moved, moved, allowed[:, :, order][..., order])
    assert_close(output, ours(x, x, x, mask)[:, order], **ROUNDING)


@given(sizes=every_size, data=st.data())
def test_each_row_of_a_batch_is_what_it_is_alone(sizes, data):
    ours, query, key, value, mask, allowed = lookup(sizes)
    row = data.draw(st.integers(0, len(query) - 1))
    alone = ours(*(x[row : row + 1] for x in (query, key, value, allowed)))
    assert_close(ours(query, key, value, mask)[row : row + 1], alone, **ROUNDING)


@given(sizes=every_size, data=st.data())
def test_the_order_of_heads_is_nobodys_business(sizes, data):
    ours, query, key, value, _, allowed = lookup(sizes)
    shared, d_head = ours.n_heads // ours.n_kv_heads, ours.d_head
    kv_order = data.draw(st.permutations(range(ours.n_kv_heads)))
    order = [
        kv * shared + within
        for kv in kv_order
        for within in data.draw(st.permutations(range(shared)))
    ]
    features, kv_features = (
        torch.tensor([head * d_head + i for head in heads for i in range(d_head)])
        for heads in (order, kv_order)
    )
    other = copy.deepcopy(ours)
    with torch.no_grad():
        for proj, rows in (
            (other.q_proj, features),
            (other.k_proj, kv_features),
            (other.v_proj, kv_features),
        ):
            for parameter in proj.parameters():
                parameter.copy_(parameter[rows])
        other.out_proj.weight.copy_(ours.out_proj.weight[:, features])
    output = other(query, key, value, allowed[:, order])
    assert_close(output, ours(query, key, value, allowed), **ROUNDING)


@given(sizes=every_size)
def test_nothing_that_is_given_is_changed(sizes):
    ours, *inputs, mask, allowed = lookup(sizes)
    kept = [x.clone() for x in (*inputs, allowed)]
    ours(*inputs, mask)
    ours(*inputs, allowed)
    assert_close([*inputs, allowed], kept, **EXACT)


@pytest.mark.parametrize("name", ["no mask", "causal", "pairs of each row"])
@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@attends
@biases
def test_gradients_are_those_of_finite_differences(inner, bias, n_kv_heads, name):
    mask, _ = masks_for(B, 4)[name]
    ours = layer(4, n_kv_heads, d_head=1, bias=bias, attend=inner)
    inputs = [x.requires_grad_() for x in tokens(d_model=4)]
    names, weights = zip(*ours.named_parameters(), strict=True)

    def run(query, key, value, *weights):
        parameters = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(ours, parameters, (query, key, value, mask))

    # Along random directions: all numbers one by one would take a minute.
    assert torch.autograd.gradcheck(run, (*inputs, *weights), fast_mode=True)


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("shape", [(Q, D), (B, K, D - 1), (B, H, K, D), (B, K, D_HEAD)], ids=str)
def test_tokens_of_another_shape_are_named(which, shape, unchecked):
    inputs = tokens()
    inputs[which] = torch.zeros(shape).double()
    name = ("query", "key", "value")[which]
    got = re.escape(f"{name} must have shape (batch, seq, {D}), got {shape}")
    with pytest.raises(ValueError, match=got):
        layer()(*inputs)


@pytest.mark.rejects
def test_tokens_that_do_not_fit_each_other_are_rejected(unchecked):
    query, key, value = tokens()
    with pytest.raises(ValueError, match=r"one value for each key, got .*7, 4\) and .*6, 4\)"):
        layer()(query, key, value[:, :6])
    with pytest.raises(ValueError, match=r"= \(2, 3\), got \(3, 3"):
        layer()(query, *tokens(batch=3)[1:])


@pytest.mark.rejects
def test_a_mask_that_is_not_bool_is_rejected(unchecked):
    for mask in (torch.ones(B, Q, K), torch.ones(Q, K).int()):
        with pytest.raises(TypeError, match=r"a mask must be bool, .* got torch\.(float|int)32"):
            layer()(*tokens(), mask)


@pytest.mark.rejects
@pytest.mark.parametrize(
    "shape", [(K,), (Q, Q), (H, Q, K), (B, K, Q), (B, B, Q, K), (1, B, H, Q, K)], ids=str
)
def test_a_mask_that_does_not_fit_is_rejected(shape):
    mask = torch.ones(shape).bool()
    for rejected in (mask, Causal() & mask, mask & (Padding(torch.ones(B, K).bool()) & Causal())):
        with pytest.raises(ValueError, match=r"a mask must .*, got .* shape \(2, 3, 5, 7\)"):
            layer()(*tokens(), rejected)


@pytest.mark.rejects
def test_keys_of_another_batch_or_with_other_heads_are_rejected(unchecked):
    layer = built(lambda: MultiHeadAttention(12, 4, n_kv_heads=2))
    query, key = normal(3, 5, 12), normal(3, 7, 12, seed=1)
    k, v = layer.keys_values(key, key)
    with pytest.raises(ValueError, match=r"\(batch, kv_heads\) = \(3, 2\), got \(1, 2, 7, 3\)"):
        layer.attend_to(query, k[:1], v)
    with pytest.raises(ValueError, match=r"\(batch, kv_heads\) = \(3, 2\).*and \(3, 1, 7, 3\)"):
        layer.attend_to(query, k, v[:, :1])
