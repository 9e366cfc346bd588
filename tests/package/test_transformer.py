import copy
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from minattn.dot_product import attend, fused_attend
from minattn.masks import Causal, Padding, Window, to_multihead
from minattn.multihead import MultiHeadAttention
from minattn.positions import LearnedPositions, sinusoidal, with_rotary
from minattn.recording import recording
from minattn.tasks import copying
from minattn.training import evaluate, fit, mean_accuracy, seeded
from minattn.transformer import (
    BlockTranslator,
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    PromptTranslator,
    Residual,
    TransformerDecoder,
    TransformerEncoder,
    TransformerTranslator,
)
from minattn.translation import Translator, greedy
from minattn.vocabulary import BOS, EOS, PAD, pad, token_mask
from tests.package.strategies import EXACT, ROUNDING, built, normal

# Distinct primes for the twins: batch, heads, target, source; heads are 5 wide.
B, H, T, S, D, D_FF = 2, 3, 7, 11, 15, 13
X, MEMORY = normal(B, T, D, seed=1), normal(B, S, D, seed=2)
TARGET_TOKENS = torch.tensor([[1] * 7, [1] * 3 + [0] * 4]).bool()
SOURCE_TOKENS = torch.tensor([[1] * 5 + [0] * 6, [1] * 11]).bool()
ROWS, COLUMNS = normal(B, T, T, seed=3) > 0, normal(B, T, S, seed=4) > 0
ROWS[..., 0] = COLUMNS[..., 0] = True  # torch gives NaN to a query without a key

BLOCKS = {
    "encoder": (EncoderBlock, nn.TransformerEncoderLayer),
    "decoder": (DecoderBlock, nn.TransformerDecoderLayer),
}
STACKS = {
    "encoder": (TransformerEncoder, nn.TransformerEncoder),
    "decoder": (TransformerDecoder, nn.TransformerDecoder),
}
PADDED = Causal() & Padding(TARGET_TOKENS)
MASKS = {
    "encoder": [(None,), (Causal(),), (Padding(TARGET_TOKENS),), (PADDED,), (ROWS,)],
    "decoder": [
        (None, None),
        (Causal(), None),
        (PADDED, Padding(SOURCE_TOKENS)),
        (ROWS, COLUMNS),
        (Window(before=1, after=0), COLUMNS[0]),
    ],
}
"""For the encoder where its tokens may attend; for the decoder the same, and where they may in the memory."""

ACTIVATIONS = {
    "relu": ("relu", F.relu),
    "gelu": ("gelu", F.gelu),
    "function": (F.silu, F.silu),
    "module": (gelu := nn.GELU(approximate="tanh"), gelu),
}
"""What torch is told, and what it makes of it."""

norms = pytest.mark.parametrize("norm", ["pre", "post"])
biases = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
activations = pytest.mark.parametrize("activation", ACTIVATIONS)
sides = pytest.mark.parametrize("side", ["encoder", "decoder"])
last_norms = pytest.mark.parametrize("last", [True, False], ids=["last norm", "no last norm"])
ties = pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
orders = pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "batch second"])

# For the translator other sizes, distinct again: batch 3, source 5, target 7; heads are 11 wide.
SOURCES = [[5, 9, 3, 10, 2], [7, 2], [4, 4, 2]]
TARGETS = [[1, 8, 12, 3, 5, 6, 11], [1, 4], [1, 3, 3, 17]]
SOURCE, TARGET = pad(SOURCES), pad(TARGETS)


@pytest.fixture(scope="module", autouse=True)
def no_fast_path():
    """Let torch's layers compute step by step, also where no gradient is asked for."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def drawn(make, seed=0):
    """Make a float64 module for use, every weight drawn anew: no norm is left with ones, no bias with zeros."""
    module = built(make).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(std=0.5, generator=generator)
    return module


def of_torch(side, norm="pre", bias=True, activation="relu", batch_first=True, **settings):
    """Make a layer of torch's."""
    sizes = (D, H, D_FF)
    return BLOCKS[side][1](
        *sizes,
        norm_first=norm == "pre",
        bias=bias,
        activation=ACTIVATIONS[activation][0],
        batch_first=batch_first,
        **settings,
    )


def of_ours(side, activation="relu", **settings):
    """Make a block of ours."""
    return BLOCKS[side][0](D, H, D_FF, activation=ACTIVATIONS[activation][1], **settings)


def stack_of_torch(side, last=True, **settings):
    """Make three layers of torch's; it copies the first one, so that they differ only once they are drawn."""
    norm = nn.LayerNorm(D) if last else None
    more = {"enable_nested_tensor": False} if side == "encoder" else {}
    return STACKS[side][1](of_torch(side, **settings), 3, norm, **more)


def stack_of_ours(side, last=True, **settings):
    """Make three blocks of ours."""
    norm = nn.LayerNorm(D) if last else None
    return STACKS[side][0]((of_ours(side, **settings) for _ in range(3)), norm)


def blocked(mask, queries, keys):
    """Say a mask as torch wants it."""
    if isinstance(mask, Tensor) and mask.ndim == 3:
        mask = mask[:, None]
    return None if mask is None else to_multihead(mask, (B, H, queries, keys))


def assert_twins(ours, theirs, *masks, batch_first=True):
    """Hold two modules to the same outputs, and to the same gradients of inputs and weights."""

    def their_call(*inputs):
        inputs = [x if batch_first else x.transpose(0, 1) for x in inputs]
        their_masks = [blocked(mask, T, n) for mask, n in zip(masks, (T, S), strict=False)]
        output = theirs(*inputs, *their_masks)
        return output if batch_first else output.transpose(0, 1)

    found = []
    for call in (lambda *inputs: ours(*inputs, *masks), their_call):
        inputs = [x.clone().requires_grad_() for x in (X, MEMORY)[: len(masks)]]
        output = call(*inputs)
        output.backward(normal(B, T, D, seed=9))
        found.append([output, *(x.grad for x in inputs)])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, **ROUNDING)
    # Torch keeps three projections in one weight: gradients are brought there as weights are.
    gradients = copy.deepcopy(ours)
    with torch.no_grad():
        for place, weight in zip(gradients.parameters(), ours.parameters(), strict=True):
            place.copy_(weight.grad)
    gradients = gradients.to_torch().state_dict()
    for name, weight in theirs.named_parameters():
        assert_close(gradients[name], weight.grad, **ROUNDING)


# The feed-forward


@activations
def test_a_feed_forward_is_two_maps_with_an_activation_between(activation):
    function = ACTIVATIONS[activation][1]
    layer = drawn(lambda: FeedForward(5, 7, activation=function))
    (w_1, b_1), (w_2, b_2) = layer.up_proj.parameters(), layer.down_proj.parameters()
    assert (w_1.shape, w_2.shape) == ((7, 5), (5, 7))
    x = normal(2, 3, 5)
    assert_close(layer(x), function(x @ w_1.T + b_1) @ w_2.T + b_2, **ROUNDING)


def test_a_feed_forward_bends_at_zero_unless_told_otherwise():
    with_default = drawn(lambda: FeedForward(5, 7))
    with_relu = drawn(lambda: FeedForward(5, 7, activation=F.relu))
    assert_close(with_default(X[..., :5]), with_relu(X[..., :5]), **EXACT)


def test_a_feed_forward_without_bias_has_two_weights_and_leaves_zeros_zero():
    layer = drawn(lambda: FeedForward(5, 7, bias=False))
    assert [name for name, _ in layer.named_parameters()] == ["up_proj.weight", "down_proj.weight"]
    assert not layer(torch.zeros(2, 5).double()).any()


@given(order=st.permutations(range(T)))
def test_a_feed_forward_treats_every_token_by_itself(order):
    layer = drawn(lambda: FeedForward(D, D_FF))
    assert_close(layer(X[:, order]), layer(X)[:, order], **ROUNDING)
    assert_close(layer(X[1, order[0]]), layer(X)[1, order[0]], **ROUNDING)


# The residual connection


def bent(x):
    """Stand in for a sub-layer."""
    return torch.tanh(x * 3 + 1)


@biases
@norms
def test_a_residual_adds_what_the_sublayer_finds(norm, bias):
    layer = drawn(lambda: Residual(D, norm=norm, bias=bias))

    def normed(x):
        return F.layer_norm(x, (D,), layer.norm.weight, layer.norm.bias)

    expected = X + bent(normed(X)) if norm == "pre" else normed(X + bent(X))
    assert_close(layer(X, bent), expected, **ROUNDING)
    assert (layer.norm.bias is None) != bias


def test_a_residual_has_its_norm_before_the_sublayer_unless_told_otherwise():
    assert_close(
        drawn(lambda: Residual(D))(X, bent), drawn(lambda: Residual(D, norm="pre"))(X, bent)
    )


@pytest.mark.parametrize("share", [0.25, 0.75])
@norms
def test_dropout_falls_on_what_the_sublayer_finds_and_not_on_what_was_there(norm, share):
    layer = built(lambda: Residual(D, norm=norm, dropout=share))
    layer.norm = nn.Identity()
    x = normal(500, D)
    with seeded(0):
        found = layer.train()(x, bent) - x
    dropped = found.abs() < 1e-12
    # 7500 draws: the share has a standard error of 0.005.
    assert dropped.double().mean() == pytest.approx(share, abs=0.02)
    assert_close(found[~dropped], (bent(x) / (1 - share))[~dropped], **ROUNDING)
    assert_close(layer.eval()(x, bent), x + bent(x), **EXACT)


@norms
def test_the_norm_comes_last_or_first_also_in_training(norm, unchecked):
    layer = drawn(lambda: Residual(D, norm=norm, dropout=0.5)).train()
    with seeded(3):
        output = layer(X, bent)
    with seeded(3):
        kept = F.dropout(torch.ones_like(X), 0.5)
    normed = layer.norm
    expected = X + kept * bent(normed(X)) if norm == "pre" else normed(X + kept * bent(X))
    assert_close(output, expected, **ROUNDING)


# Blocks and stacks are torch's


@pytest.mark.pairwise
@orders
@activations
@biases
@norms
@sides
def test_a_block_taken_over_is_torchs(side, norm, bias, activation, batch_first):
    theirs = drawn(lambda: of_torch(side, norm, bias, activation, batch_first))
    ours = BLOCKS[side][0].from_torch(theirs)
    assert_twins(ours, theirs, *MASKS[side][2], batch_first=batch_first)


@pytest.mark.pairwise
@activations
@biases
@norms
@sides
def test_a_block_made_from_the_same_numbers_is_torchs(side, norm, bias, activation):
    ours = drawn(lambda: of_ours(side, norm=norm, bias=bias, activation=activation))
    theirs = drawn(lambda: of_torch(side, norm, bias, activation))
    theirs.load_state_dict(ours.to_torch().state_dict())
    assert_twins(ours, theirs, *MASKS[side][2])


@last_norms
@norms
@sides
def test_a_stack_taken_over_is_torchs(side, norm, last):
    theirs = drawn(lambda: stack_of_torch(side, last, norm=norm))
    ours = STACKS[side][0].from_torch(theirs)
    for masks in MASKS[side]:
        assert_twins(ours, theirs, *masks)


@pytest.mark.pairwise
@pytest.mark.parametrize("inner", [attend, fused_attend], ids=["attend", "fused_attend"])
@activations
@last_norms
@norms
@sides
def test_a_stack_given_to_torch_is_ours(side, norm, last, activation, inner):
    ours = drawn(lambda: stack_of_ours(side, last, norm=norm, activation=activation, attend=inner))
    assert_twins(ours, ours.to_torch(), *MASKS[side][2])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@orders
@biases
@norms
def test_an_encoder_and_a_decoder_are_torchs_transformer(norm, bias, batch_first):
    theirs = drawn(
        lambda: nn.Transformer(
            *(D, H, 2, 3, D_FF),
            activation="gelu",
            norm_first=norm == "pre",
            bias=bias,
            batch_first=batch_first,
        )
    )
    encoder = TransformerEncoder.from_torch(theirs.encoder)
    decoder = TransformerDecoder.from_torch(theirs.decoder)
    memory = encoder(MEMORY, Padding(SOURCE_TOKENS))
    ours = decoder(X, memory, PADDED, Padding(SOURCE_TOKENS))
    turned = [x if batch_first else x.transpose(0, 1) for x in (MEMORY, X)]
    expected = theirs(
        *turned,
        tgt_mask=torch.ones(T, T).triu(1).bool(),
        src_key_padding_mask=~SOURCE_TOKENS,
        tgt_key_padding_mask=~TARGET_TOKENS,
        memory_key_padding_mask=~SOURCE_TOKENS,
    )
    assert_close(ours, expected if batch_first else expected.transpose(0, 1), **ROUNDING)


def test_a_block_given_to_torch_is_ours_on_its_fast_path_too():
    # There torch does not call the activation: it remembers which one it was made with.
    block = drawn(lambda: EncoderBlock(14, 2, D_FF, activation=F.gelu))
    x = normal(B, T, 14)
    torch.backends.mha.set_fastpath_enabled(True)
    try:
        with torch.no_grad():
            assert_close(block.to_torch()(x), block(x), **ROUNDING)
    finally:
        torch.backends.mha.set_fastpath_enabled(False)


# Blocks and stacks by themselves


def test_a_decoder_sees_no_future_unless_told_otherwise():
    stack = drawn(lambda: stack_of_ours("decoder"))
    for part in (stack, stack.blocks[0]):
        assert_close(part(X, MEMORY), part(X, MEMORY, Causal()), **EXACT)
        assert (part(X, MEMORY) - part(X, MEMORY, None)).abs().max() > 1e-4


def test_an_encoder_sees_everything_unless_told_otherwise():
    stack = drawn(lambda: stack_of_ours("encoder"))
    for part in (stack, stack.blocks[0]):
        assert_close(part(X), part(X, torch.ones(T, T).bool()), **ROUNDING)


@given(order=st.permutations(range(S)), norm=st.sampled_from(["pre", "post"]))
def test_an_encoder_and_a_decoder_do_not_know_the_order_of_the_source(order, norm):
    encoder, decoder = (drawn(lambda side=side: of_ours(side, norm=norm)) for side in BLOCKS)
    mask, moved = Padding(SOURCE_TOKENS), Padding(SOURCE_TOKENS[:, order])
    memory = encoder(MEMORY, mask)
    assert_close(encoder(MEMORY[:, order], moved), memory[:, order], **ROUNDING)
    expected = decoder(X, memory, Causal(), mask)
    assert_close(decoder(X, memory[:, order], Causal(), moved), expected, **ROUNDING)


@sides
def test_every_block_attends_as_it_was_told(side):
    asked = []

    def counted(query, key, value, mask=None):
        asked.append((query.shape[-2], key.shape[-2]))
        return attend(query, key, value, mask)

    ours, plain = (
        drawn(lambda inner=inner: stack_of_ours(side, attend=inner))
        for inner in (counted, fused_attend)
    )
    inputs = (X,) if side == "encoder" else (X, MEMORY)
    assert_close(ours(*inputs), plain(*inputs), **ROUNDING)
    assert asked == [(T, T), (T, S)][: len(inputs)] * 3


@pytest.mark.parametrize(("side", "n_residuals"), [("encoder", 2), ("decoder", 3)])
def test_a_block_drops_at_every_residual_and_nowhere_else(side, n_residuals):
    for settings, share in (({"dropout": 0.3}, 0.3), ({}, 0.0)):
        parts = of_ours(side, **settings).modules()
        assert [p.p for p in parts if isinstance(p, nn.Dropout)] == [share] * n_residuals


@sides
def test_a_block_has_the_norm_first_biases_and_relu_unless_told_otherwise(side):
    block = BLOCKS[side][0](D, H, D_FF)
    assert settings_of(block) == settings_of(of_ours(side, "relu", norm="pre", bias=True))


# There and back


def settings_of(part):
    """Collect what the weights do not tell; the text of a module has sizes, dropout, eps and activations."""
    kinds = (EncoderBlock, DecoderBlock, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    names = ("place", "norm_first", "n_heads", "num_heads", "activation", "training")
    return str(part), [
        (name, str(getattr(module, name)))
        for block in part.modules()
        if isinstance(block, kinds)
        for module in block.modules()
        for name in names
        if hasattr(module, name)
    ]


def assert_same_module(one, other):
    assert settings_of(one) == settings_of(other)
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, weight in other.state_dict().items():
        assert_close(one.state_dict()[name], weight, **EXACT)


modes = pytest.mark.parametrize(
    ("training", "dtype"), [(True, torch.float32), (False, torch.float64)], ids=["train", "eval"]
)


@pytest.mark.pairwise
@modes
@activations
@biases
@last_norms
@norms
@sides
def test_what_went_to_torch_comes_back_the_same(
    side, norm, last, bias, activation, training, dtype
):
    settings = {"norm": norm, "bias": bias, "activation": activation, "dropout": 0.3}
    ours = drawn(lambda: stack_of_ours(side, last, **settings)).to(dtype).train(training)
    for number, block in enumerate(ours.blocks, start=2):
        block.add_feed_forward.norm.eps = 0.1**number
    for part in (ours, ours.blocks[1]):
        assert_same_module(type(part).from_torch(part.to_torch()), part)


@pytest.mark.pairwise
@modes
@activations
@biases
@norms
@sides
def test_what_came_from_torch_goes_back_the_same(side, norm, bias, activation, training, dtype):
    settings = {"norm": norm, "bias": bias, "dropout": 0.3, "layer_norm_eps": 0.01}
    theirs = of_torch(side, activation=activation, **settings).to(dtype).train(training)
    assert_same_module(BLOCKS[side][0].from_torch(theirs).to_torch(), theirs)
    # With functions only: a decoder of torch's makes relu of a module when it copies its layer.
    theirs = drawn(lambda: stack_of_torch(side, **settings)).to(dtype).train(training)
    assert_same_module(STACKS[side][0].from_torch(theirs).to_torch(), theirs)


@sides
def test_copies_share_no_weights(side):
    ours = stack_of_ours(side)
    theirs = ours.to_torch()
    again = type(ours).from_torch(theirs)
    places = [w.data_ptr() for part in (ours, theirs, again) for w in part.parameters()]
    assert len(set(places)) == len(places)


@sides
def test_giving_to_torch_warns_of_nothing(side):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack_of_ours(side).to_torch()


# The translator

PLACES = {
    "sinusoidal": lambda: None,
    "learned": lambda: LearnedPositions(13, 22),
    "no positions": nn.Identity,
}
"""Every way to tell a translator where tokens stand, for width 22."""

places = pytest.mark.parametrize("where", PLACES)


def translator(seed=0, where="sinusoidal", **settings):
    """Make a translator of two layers, or of other sizes."""

    def make():
        sizes = {"d_model": 22, "n_heads": 2, "d_ff": 17, "n_layers": 2}
        return TransformerTranslator(13, 19, positions=PLACES[where](), **{**sizes, **settings})

    return drawn(make, seed)


def numbers_to_torch(model, norm, n_layers):
    """Make an encoder and a decoder of torch's from numbers, with the weights of a translator."""
    settings = {"norm_first": norm == "pre", "batch_first": True}
    sides = []
    for ours, stack, layer in (
        (model.encoder, nn.TransformerEncoder, nn.TransformerEncoderLayer),
        (model.decoder, nn.TransformerDecoder, nn.TransformerDecoderLayer),
    ):
        last = nn.LayerNorm(22) if norm == "pre" else None
        theirs = stack(layer(22, 2, 17, **settings), n_layers, last).double().eval()
        theirs.load_state_dict(ours.to_torch().state_dict())
        sides.append(theirs)
    return sides


def around(model, encoder, decoder, source, target_in):
    """Embed, encode, decode and read out, with an encoder and a decoder of torch's."""

    def embedded(table, ids):
        return table.weight[ids] * math.sqrt(22) + sinusoidal(ids.shape[1], 22).double()

    memory = encoder(embedded(model.source_embedding, source), src_key_padding_mask=source == PAD)
    states = decoder(
        embedded(model.target_embedding, target_in),
        memory,
        tgt_mask=torch.ones(target_in.shape[1], target_in.shape[1]).triu(1).bool(),
        memory_key_padding_mask=source == PAD,
    )
    return states @ model.readout.weight.T


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@ties
@pytest.mark.parametrize("n_layers", [1, 3])
@norms
def test_a_translator_is_torchs_layers_between_tables(norm, n_layers, tied):
    model = translator(norm=norm, n_layers=n_layers, tied=tied)
    theirs = numbers_to_torch(model, norm, n_layers)
    logits, expected = model(SOURCE, TARGET), around(model, *theirs, SOURCE, TARGET)
    assert logits.shape == (3, 7, 19)
    assert_close(logits, expected, **ROUNDING)
    tables = [p for p in model.parameters() if len(p) in (13, 19)]
    assert len(tables) == (2 if tied else 3)
    slope = normal(3, 7, 19)
    for gradient, twin in zip(
        torch.autograd.grad(logits, tables, slope),
        torch.autograd.grad(expected, tables, slope),
        strict=True,
    ):
        assert_close(gradient, twin, **ROUNDING)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@norms
def test_torchs_transformer_fits_between_the_tables_of_a_translator(norm):
    # Torch's has a last norm in either case.
    theirs = drawn(
        lambda: nn.Transformer(22, 2, 2, 2, 17, norm_first=norm == "pre", batch_first=True), seed=1
    )
    model = translator(norm=norm)
    model.encoder = TransformerEncoder.from_torch(theirs.encoder)
    model.decoder = TransformerDecoder.from_torch(theirs.decoder)
    expected = around(model, theirs.encoder, theirs.decoder, SOURCE, TARGET)
    assert_close(model(SOURCE, TARGET), expected, **ROUNDING)


@places
@norms
def test_all_steps_at_once_are_the_steps_one_after_the_other(norm, where):
    model = translator(norm=norm, where=where)
    at_once = model(SOURCE, TARGET)
    assert_close(at_once, Translator.forward(model, SOURCE, TARGET), **ROUNDING)
    assert_close(model(SOURCE, TARGET[:, :2]), at_once[:, :2], **ROUNDING)


@places
@norms
def test_greedy_translation_takes_the_likeliest_token_after_all_those_before(norm, where):
    lengths = []
    for seed in range(5):
        model = translator(seed, where, norm=norm)
        written = torch.full((3, 1), BOS)
        with torch.no_grad():
            for _ in range(7):
                likeliest = model(SOURCE, written)[:, -1].argmax(-1)
                likeliest = likeliest.masked_fill((written == EOS).any(1), PAD)
                written = torch.cat([written, likeliest[:, None]], dim=1)
        said = greedy(model, SOURCE, max_length=7)
        assert torch.equal(said, written[:, 1 : 1 + said.shape[1]])
        lengths.append(said.shape[1])
    assert max(lengths) > 2


def test_rows_of_a_state_can_be_picked_and_keep_what_they_have_read():
    model, rows = translator(), torch.tensor([2, 0, 0])
    memory = model.encode(SOURCE)
    state = model.start(memory)
    for token in TARGET[:, :3].unbind(1):
        before = state[0].clone()
        _, after = model.step(token, state, memory)
        assert torch.equal(state[0], before)
        state = after
    picked = type(memory)(memory.states[rows], memory.mask[rows])
    logits, _ = model.step(TARGET[rows, 3], (state[0][rows],), picked)
    assert_close(logits, model(SOURCE, TARGET)[rows, 3], **ROUNDING)


@places
@norms
@given(position=st.integers(1, 6), token=st.integers(3, 18))
def test_later_target_tokens_do_not_change_earlier_logits(norm, where, position, token):
    model = translator(norm=norm, where=where)
    other = TARGET.clone()
    other[:, position:] = token
    before, after = model(SOURCE, TARGET), model(SOURCE, other)
    assert_close(after[:, :position], before[:, :position], **ROUNDING)


@places
@norms
def test_every_source_token_and_every_target_token_so_far_matters(norm, where):
    model = translator(norm=norm, where=where)
    logits = model(SOURCE, TARGET)
    for position in range(5):
        other = SOURCE.clone()
        other[0, position] = 6
        moved = (model(other, TARGET) - logits)[0].abs().amax(-1)
        assert bool((moved > 1e-6).all())
    for position in range(7):
        other = TARGET.clone()
        other[0, position] = 13
        moved = (model(SOURCE, other) - logits)[0].abs().amax(-1)
        assert bool((moved[position:] > 1e-6).all())


@places
@norms
@given(n_more=st.integers(1, 4))
def test_longer_padding_changes_nothing(norm, where, n_more):
    model = translator(norm=norm, where=where)
    wider = torch.cat([SOURCE, torch.full((3, n_more), PAD)], dim=1)
    assert_close(model(wider, TARGET), model(SOURCE, TARGET), **ROUNDING)


@places
@norms
def test_a_row_alone_is_the_row_in_its_batch(norm, where):
    model = translator(norm=norm, where=where)
    together = model(SOURCE, TARGET)
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone = model(torch.tensor([source]), torch.tensor([target]))
        assert_close(alone[0], together[row, : len(target)], **ROUNDING)


@given(order=st.permutations(range(5)), norm=st.sampled_from(["pre", "post"]))
def test_without_positions_the_order_of_the_source_does_not_matter(order, norm):
    model = translator(norm=norm, where="no positions")
    assert_close(model(SOURCE[:1, order], TARGET[:1]), model(SOURCE[:1], TARGET[:1]), **ROUNDING)


@places
def test_with_positions_order_matters_in_source_and_target(where):
    # One layer: without positions, a second would know from the causal mask what came before what.
    model = translator(where=where, n_layers=1)
    last = model(SOURCE[:1], TARGET[:1])[:, -1]
    other_source = model(SOURCE[:1, [3, 1, 0, 2, 4]], TARGET[:1])[:, -1]
    other_target = model(SOURCE[:1], TARGET[:1, [0, 4, 1, 5, 2, 3, 6]])[:, -1]
    for other in (other_source, other_target):
        assert ((other - last).abs().max() > 0.01) == (where != "no positions")


@places
@norms
def test_gradients_reach_every_weight(norm, where):
    model = translator(norm=norm, where=where)
    model(SOURCE, TARGET).square().sum().backward()
    for name, weight in model.named_parameters():
        # A bias added to all keys changes no weight of attention.
        if not name.endswith("k_proj.bias"):
            assert weight.grad is not None and bool((weight.grad.abs() > 1e-9).any()), name


# Tables


def test_a_tied_readout_is_the_table_and_its_gradient_is_that_of_both_uses():
    tied, untied = translator(tied=True), translator()
    untied.load_state_dict(tied.state_dict())
    assert tied.readout.weight is tied.target_embedding.weight
    assert untied.readout.weight is not untied.target_embedding.weight
    slope = normal(3, 7, 19)
    for model in (tied, untied):
        model(SOURCE, TARGET).backward(slope)
    assert_close(tied(SOURCE, TARGET), untied(SOURCE, TARGET), **EXACT)
    both = untied.readout.weight.grad + untied.target_embedding.weight.grad
    assert_close(tied.target_embedding.weight.grad, both, **ROUNDING)


def test_embeddings_are_scaled_before_positions_are_added():
    three, one = translator(embedding_scale=3.0), translator(embedding_scale=1.0)
    with torch.no_grad():
        one.source_embedding.weight.mul_(3)
        one.target_embedding.weight.mul_(3)
    assert_close(three(SOURCE, TARGET), one(SOURCE, TARGET), **ROUNDING)
    root = translator(embedding_scale=math.sqrt(22))
    assert_close(root(SOURCE, TARGET), translator()(SOURCE, TARGET), **EXACT)


def test_with_a_scale_of_zero_no_token_is_told_from_another():
    model = translator(embedding_scale=0.0)
    other = torch.where(SOURCE == PAD, PAD, 7), torch.full_like(TARGET, 11)
    assert_close(model(*other), model(SOURCE, TARGET), **EXACT)


@ties
def test_tables_start_with_a_variance_of_one_over_the_width(tied):
    model = built(lambda: TransformerTranslator(700, 900, d_model=64, tied=tied))
    for table in (model.source_embedding, model.target_embedding):
        # At least 44,800 draws: the variance has a relative standard error below 0.7 %.
        assert table.weight.var().item() * 64 == pytest.approx(1, abs=0.03)
        assert abs(table.weight.mean().item()) * 8 < 0.02


# Sizes


@pytest.mark.parametrize("n_layers", [1, 3])
@ties
@norms
def test_the_weights_are_as_many_as_the_formula_says(norm, tied, n_layers):
    model = TransformerTranslator(
        13, 19, d_model=22, n_heads=2, d_ff=17, n_layers=n_layers, norm=norm, tied=tied
    )
    attention, feed_forward = 4 * (22 * 22 + 22), (22 * 17 + 17) + (17 * 22 + 22)
    layer_norm = 2 * 22
    encoder = n_layers * (attention + feed_forward + 2 * layer_norm)
    decoder = n_layers * (2 * attention + feed_forward + 3 * layer_norm)
    last = 2 * layer_norm if norm == "pre" else 0
    tables = 13 * 22 + 19 * 22 + (0 if tied else 19 * 22)
    expected = encoder + decoder + last + tables
    assert sum(p.numel() for p in model.parameters()) == expected


def test_a_translator_has_the_usual_sizes_unless_told_otherwise():
    usual = {"d_model": 64, "n_heads": 4, "d_ff": 256, "n_layers": 1}
    settings = {"norm": "pre", "dropout": 0.0, "tied": False}
    ours, told = TransformerTranslator(13, 19), TransformerTranslator(13, 19, **usual, **settings)
    assert settings_of(ours) == settings_of(told)
    assert len(list(ours.parameters())) == len(list(told.parameters()))


def test_only_pre_has_last_norms():
    for norm, kind in (("pre", nn.LayerNorm), ("post", type(None))):
        model = translator(norm=norm)
        assert isinstance(model.encoder.norm, kind)
        assert isinstance(model.decoder.norm, kind)
    assert isinstance(translator().encoder.norm, nn.LayerNorm)


# Dropout


@norms
def test_dropout_acts_in_training_only(norm):
    model, plain = translator(norm=norm, dropout=0.5), translator(norm=norm)
    still = plain(SOURCE, TARGET)
    assert_close(model(SOURCE, TARGET), still, **EXACT)
    model.train()
    with seeded(0):
        assert not torch.allclose(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.eval()
    assert_close(model(SOURCE, TARGET), still, **EXACT)


def test_dropout_stands_at_every_residual_and_behind_the_embedded_tokens():
    model = translator(dropout=0.25)
    drops = [part for part in model.modules() if isinstance(part, nn.Dropout)]
    assert [part.p for part in drops] == [0.25] * (2 * 2 + 2 * 3 + 1)
    seen = {}
    for name in ("encoder", "decoder"):
        part = getattr(model, name)
        part.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    source, target = SOURCE[:1].repeat(97, 1), TARGET[:1].repeat(97, 1)
    model(source, target)
    whole = dict(seen)
    with seeded(0):
        model.train()(source, target)
    for name, x in seen.items():
        # At least 10,670 draws: the share has a standard error below 0.005.
        dropped = x == 0
        assert dropped.double().mean() == pytest.approx(0.25, abs=0.02)
        assert_close(x[~dropped], whole[name][~dropped] / 0.75, **ROUNDING)


# Attention


def test_a_translator_attends_as_it_was_told_in_every_head():
    asked = []

    def counted(query, key, value, mask=None):
        asked.append((tuple(query.shape), key.shape[-2]))
        return attend(query, key, value, mask)

    logits = translator(attend=counted)(SOURCE, TARGET)
    assert_close(logits, translator()(SOURCE, TARGET), **ROUNDING)
    in_encoder, in_decoder = ((3, 2, 5, 11), 5), [((3, 2, 7, 11), 7), ((3, 2, 7, 11), 5)]
    assert asked == [in_encoder] * 2 + in_decoder * 2


NAMES = [
    *(f"encoder.blocks.{i}.self_attention" for i in range(2)),
    *(f"decoder.blocks.{i}.{kind}_attention" for i in range(2) for kind in ("self", "cross")),
]


@pytest.mark.parametrize("inner", [attend, fused_attend], ids=["attend", "fused_attend"])
@norms
def test_the_recorded_weights_are_those_of_torchs_attention(norm, inner):
    model = translator(norm=norm, attend=inner)
    plain, seen = model(SOURCE, TARGET), {}
    for name in NAMES:
        part = model.get_submodule(name)
        part.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs}))
    with recording(model) as record:
        recorded = model(SOURCE, TARGET)
    assert_close(recorded, plain, **EXACT)
    assert list(record.calls) == NAMES
    for name in NAMES:
        query, key, value, _ = seen[name]
        within_decoder = name.startswith("decoder") and "self" in name
        mask = Causal() if within_decoder else Padding(token_mask(SOURCE))
        shape = (3, 2, 7 if name.startswith("decoder") else 5, 7 if within_decoder else 5)
        layer = model.get_submodule(name).to_torch()
        blind = to_multihead(mask, shape)
        _, weights = layer(query, key, value, attn_mask=blind, average_attn_weights=False)
        assert weights.shape == shape
        assert_close(record.weights(name), weights, **ROUNDING)


def test_steps_are_recorded_with_one_query_more_in_each():
    model = translator()
    with recording(model) as record:
        memory = model.encode(SOURCE)
        state = model.start(memory)
        for token in TARGET.unbind(1):
            _, state = model.step(token, state, memory)
    with recording(model) as forced:
        model(SOURCE, TARGET)
    for name in NAMES[:2]:
        assert [call.shape for call in record.calls[name]] == [(3, 2, 5, 5)]
    for name in NAMES[2:]:
        at_once = forced.weights(name)
        for n, call in enumerate(record.calls[name], start=1):
            n_keys = n if "self" in name else 5
            assert call.shape == (3, 2, n, n_keys)
            assert_close(call, at_once[:, :, :n, :n_keys], **ROUNDING)
        assert n == 7


# Training


@pytest.mark.parametrize(("norm", "tied"), [("pre", False), ("post", True)])
def test_a_translator_learns_to_copy(norm, tied):
    task = copying(300, 5, min_length=2, max_length=4, n_symbols=5)
    with seeded(0):
        model = TransformerTranslator(
            len(task.source), len(task.target), d_model=32, norm=norm, tied=tied
        )
    losses = fit(model, task, steps=150, learning_rate=0.01, progress=False)
    assert losses[0] > 1.5 and losses[-1] < 0.1
    accuracy = evaluate(model, task)
    assert sorted(accuracy) == [2, 3, 4]
    assert mean_accuracy(accuracy) > 0.8  # at worst 0.93 with four seeds each


# Rejects


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("sizes", "message"),
    [((0, 7), "d_model must be at least 1, got 0"), ((5, -1), "d_ff must be at least 1, got -1")],
)
def test_a_feed_forward_rejects_widths(sizes, message):
    with pytest.raises(ValueError, match=message):
        FeedForward(*sizes)


@pytest.mark.rejects
@pytest.mark.parametrize("share", [1.0, -0.1, math.nan])
def test_a_share_that_is_none_is_rejected(share):
    for make in (
        lambda: Residual(5, dropout=share),
        lambda: EncoderBlock(15, 3, 7, dropout=share),
        lambda: DecoderBlock(15, 3, 7, dropout=share),
        lambda: TransformerTranslator(13, 19, dropout=share),
    ):
        with pytest.raises(ValueError, match=rf"dropout must be in \[0, 1\), got {share}"):
            make()


@pytest.mark.rejects
def test_a_place_for_the_norm_that_there_is_not_is_rejected(unchecked):
    for make in (
        lambda: Residual(5, norm="within"),
        lambda: EncoderBlock(15, 3, 7, norm="within"),
        lambda: DecoderBlock(15, 3, 7, norm="within"),
        lambda: TransformerTranslator(13, 19, norm="within"),
    ):
        with pytest.raises(ValueError, match="norm must be 'pre' or 'post', got 'within'"):
            make()


@pytest.mark.rejects
@pytest.mark.parametrize("block", [EncoderBlock, DecoderBlock])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((15, 4, 7), "divide the width, got 4 heads for width 15"),
        ((15, 0, 7), "at least 1 .* got 0 heads for width 15"),
        ((0, 3, 7), "got 3 heads for width 0"),
        ((15, 3, 0), "d_ff must be at least 1, got 0"),
    ],
)
def test_a_block_rejects_sizes(block, sizes, message):
    with pytest.raises(ValueError, match=message):
        block(*sizes)


@pytest.mark.rejects
@pytest.mark.parametrize("stack", [TransformerEncoder, TransformerDecoder])
def test_a_stack_needs_a_block(stack):
    with pytest.raises(ValueError, match="blocks must be at least 1, got 0"):
        stack([])


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((0, 19), {}, "source_vocab_size must be at least 1, got 0"),
        ((13, -2), {}, "target_vocab_size must be at least 1, got -2"),
        ((13, 19), {"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ((13, 19), {"d_ff": 0}, "d_ff must be at least 1, got 0"),
        ((13, 19), {"d_model": 0}, "got 4 heads for width 0"),
        ((13, 19), {"d_model": 22}, "divide the width, got 4 heads for width 22"),
        ((13, 19), {"d_model": 15, "n_heads": 3}, "the width must be even, got 15"),
    ],
)
def test_a_translator_rejects(sizes, settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerTranslator(*sizes, **settings)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE[:0], TARGET[:0], r"neither 0, got \(0, 5\)"),
        (SOURCE, TARGET[:, :0], r"target_in .* neither 0, got \(3, 0\)"),
        (SOURCE * 0, TARGET, "at least one token, got only padding in row 0"),
        (SOURCE.flip(1), TARGET, r"padding must stand behind the tokens, got \[0, 0, 0, 2, 7\]"),
    ],
)
def test_ids_that_no_model_can_read_are_rejected(source, target, message):
    with pytest.raises(ValueError, match=message):
        translator()(source, target)


@pytest.mark.rejects
def test_batches_that_differ_and_ids_that_are_no_whole_numbers_are_rejected(unchecked):
    with pytest.raises(ValueError, match=r"same batch size, got \(3, 5\) and \(2, 7\)"):
        translator()(SOURCE, TARGET[:2])
    with pytest.raises(TypeError, match=r"source .* got torch\.float64"):
        translator()(SOURCE.double(), TARGET)
    with pytest.raises(TypeError, match=r"target_in .* got torch\.int32"):
        translator()(SOURCE, TARGET.int())


@pytest.mark.rejects
@sides
def test_torch_is_not_given_what_it_cannot_do(side):
    ours = stack_of_ours(side)
    for name in ("self_attention", "cross_attention")[: len(MASKS[side][0])]:
        for attention, message in (
            (
                MultiHeadAttention(D, H, attend=with_rotary()),
                "attends only as fused_attend, got with_rotary",
            ),
            (MultiHeadAttention(D, H, 1), "keys and values for every head, got 1 for 3 heads"),
        ):
            other = copy.deepcopy(ours)
            setattr(other.blocks[2], name, attention)
            for part in (other, other.blocks[2]):
                with pytest.raises(ValueError, match=message):
                    part.to_torch()


@pytest.mark.rejects
@sides
def test_what_ours_cannot_do_is_not_taken_over(side):
    theirs = stack_of_torch(side)
    for name in ("self_attn", "multihead_attn")[: len(MASKS[side][0])]:
        other = copy.deepcopy(theirs)
        setattr(other.layers[2], name, nn.MultiheadAttention(D, H, add_zero_attn=True))
        with pytest.raises(ValueError, match="add_zero_attn True for embed_dim 15"):
            STACKS[side][0].from_torch(other)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("block", "other"),
    [
        (EncoderBlock, nn.TransformerDecoderLayer),
        (DecoderBlock, nn.TransformerEncoderLayer),
    ],
)
def test_a_layer_of_the_other_side_is_refused(block, other, unchecked):
    with pytest.raises(TypeError, match=rf"must be a torch\.nn\.Tr.*got {other.__name__}"):
        block.from_torch(other(12, 3, 17))


def test_an_activation_with_weights_is_copied_too():
    theirs = nn.TransformerEncoderLayer(12, 3, 17, activation=nn.PReLU())
    ours = EncoderBlock.from_torch(theirs)
    again = ours.to_torch()
    assert ours.feed_forward.activation is not theirs.activation
    assert again.activation is not ours.feed_forward.activation
    assert_close(ours.feed_forward.activation.weight, theirs.activation.weight)


def test_a_residual_has_a_bias_in_its_norm_unless_told_otherwise():
    assert Residual(5).norm.bias is not None
    assert Residual(5, bias=False).norm.bias is None


def test_a_translator_starts_with_no_token_for_every_row():
    model = TransformerTranslator(11, 13, d_model=12, n_heads=3)
    (tokens,) = model.start(model.encode(torch.tensor([[5, 6, 2], [7, 2, 0]])))
    assert tokens.shape == (2, 0)
    assert tokens.dtype == torch.long


# Whoever changes how targets are embedded, or a step, is listened to


@pytest.mark.parametrize("positions", [None, nn.Identity(), LearnedPositions(9, 22)])
def test_an_embedding_of_its_own_is_the_one_that_is_used(positions):
    class Louder(TransformerTranslator):
        def embed_target(self, target, place=0):
            return 2 * super().embed_target(target, place)

    class Loudest(TransformerTranslator):
        def embed_target(self, target, place=0):
            return 2 * super().embed_target(target, place)

        def decode(self, target_in, memory):
            return 3 * BlockTranslator.decode(self, target_in, memory)

    def made(kind):
        return drawn(lambda: kind(13, 19, d_model=22, n_heads=2, d_ff=7, positions=positions))

    plain, louder, loudest = made(TransformerTranslator), made(Louder), made(Loudest)
    memory = plain.encode(SOURCE)
    x = 2 * plain.embed_target(TARGET)
    expected = plain.readout(plain.decoder(x, memory.states, Causal(), Padding(memory.mask)))
    assert_close(louder(SOURCE, TARGET), expected, **ROUNDING)
    assert_close(loudest(SOURCE, TARGET), 3 * expected, **ROUNDING)
    assert_close(Translator.forward(louder, SOURCE, TARGET), expected, **ROUNDING)
    assert not torch.allclose(plain(SOURCE, TARGET), expected)


class Writer(PromptTranslator):
    """A decoder alone."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 8)
        self.decoder = TransformerEncoder([EncoderBlock(8, 2, 7)])
        self.readout = nn.Linear(8, 13)

    def embed_target(self, target, place=0):
        return self.embedding(target)


class OppositeWriter(Writer):
    def step(self, token, state, memory):
        logits, state = super().step(token, state, memory)
        return -logits, state


def test_a_step_of_its_own_is_taken_behind_a_prompt_too():
    own, plain = drawn(OppositeWriter), drawn(Writer)
    target = TARGET.clamp(max=12)
    assert_close(own(SOURCE, target), -plain(SOURCE, target), **ROUNDING)


# Ids, masks and numbers


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [19, 99, -1])
def test_an_id_that_there_is_not_is_named(wrong):
    model = translator()
    source, target = SOURCE.clone(), TARGET.clone()
    source[1, 1] = target[2, 1] = wrong
    memory = model.encode(SOURCE)
    for call, message in (
        (lambda: model(source, TARGET), f"source must hold ids from 0 to 12, got {wrong}"),
        (lambda: model.encode(source), f"source must hold ids from 0 to 12, got {wrong}"),
        (lambda: model(SOURCE, target), f"target_in must hold ids from 0 to 18, got {wrong}"),
        (lambda: model.embed_target(target), f"target_in .* got {wrong}"),
        (lambda: model.decode(target, memory), f"target_in .* got {wrong}"),
        (
            lambda: model.step(target[:, 1], model.start(memory), memory),
            f"target_in .* got {wrong}",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [13, 99, -1])
def test_an_id_that_a_table_of_others_does_not_know_is_named_too(wrong):
    model = drawn(Writer)
    prompt, target = SOURCE.clone(), SOURCE.clone()
    prompt[0, 1] = target[0, 2] = wrong
    for call, name in (
        (lambda: model(prompt, SOURCE), "source"),
        (lambda: greedy(model, prompt, 3), "source"),
        (lambda: model(SOURCE, target), "target_in"),
    ):
        with pytest.raises(
            ValueError, match=f"{name} must hold ids that embed_target knows, .*{wrong}"
        ):
            call()


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, 4.5, True, "4"], ids=repr)
def test_a_size_is_a_whole_number(wrong):
    for name, make in (
        ("d_model", lambda: FeedForward(wrong, 4)),
        ("d_ff", lambda: FeedForward(4, wrong)),
        ("d_model", lambda: Residual(wrong)),
        ("source_vocab_size", lambda: TransformerTranslator(wrong, 4)),
        ("target_vocab_size", lambda: TransformerTranslator(4, wrong)),
        ("n_layers", lambda: TransformerTranslator(4, 4, n_layers=wrong)),
        ("d_ff", lambda: TransformerTranslator(4, 4, d_ff=wrong)),
    ):
        with pytest.raises((ValueError, TypeError), match=f"{name} must be a whole number"):
            make()


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [math.nan, math.inf, True, "4"], ids=repr)
def test_a_scale_of_embeddings_is_a_finite_number(wrong):
    with pytest.raises((ValueError, TypeError), match="embedding_scale must be a finite number"):
        TransformerTranslator(4, 4, embedding_scale=wrong)


@pytest.mark.rejects
@pytest.mark.parametrize("wrong", [True, None, "0.1"], ids=repr)
def test_a_share_that_is_no_number_is_rejected(wrong):
    for make in (Residual, lambda d, dropout: TransformerTranslator(4, 4, dropout=dropout)):
        with pytest.raises(TypeError, match=r"dropout must be in \[0, 1\), got"):
            make(5, dropout=wrong)


@pytest.mark.rejects
@pytest.mark.parametrize("model", ["translator", "prompt"])
@pytest.mark.parametrize(
    "mask",
    [[[True] * 5] * 3, torch.ones(3, 5), torch.ones(3, 5).long()],
    ids=["list", "float", "int"],
)
def test_a_source_mask_of_another_kind_is_told(model, mask):
    model = translator() if model == "translator" else drawn(Writer)
    for call in (
        lambda: model.encode(SOURCE, mask),
        lambda: greedy(model, SOURCE, 3, source_mask=mask),
        lambda: model(SOURCE, SOURCE, mask),
    ):
        with pytest.raises(TypeError, match="source_mask must be bool"):
            call()
