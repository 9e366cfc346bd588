import pytest
import torch
from torch import nn

from minattn.pictures.patches import Patches, Places
from minattn.pictures.vit import ConvPatches, VisionTransformer
from minattn.recording import recording
from minattn.training import seeded
from minattn.transformer import EncoderBlock, TransformerEncoder


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pictures(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def small():
    with seeded(0):
        encoder = TransformerEncoder([EncoderBlock(6, 2, 14) for _ in range(2)])
        return VisionTransformer(Patches(3, 6, channels=2), Places(2, 5, 6), encoder, n_classes=7)


def test_the_class_token_stands_first_and_is_read_out():
    model, seen = small(), pictures(3, 6, 15, 2)
    states = model.states(seen)
    assert states.shape == (3, 1 + 10, 6) and model(seen).shape == (3, 7)
    torch.testing.assert_close(model(seen), model.readout(states[:, 0]))
    tokens = torch.cat([model.class_token.expand(3, 1, 6), model.places(model.patches(seen))], 1)
    torch.testing.assert_close(states, model.encoder(tokens))


def test_without_places_the_order_of_patches_does_not_matter():
    model, seen = small(), pictures(3, 6, 15, 2)
    mixed = torch.cat([seen[:, :, 6:], seen[:, :, :6]], 2)  # whole patches change places
    assert not torch.allclose(model(seen), model(mixed))
    with torch.no_grad():
        model.places.rows.zero_()
        model.places.columns.zero_()
    torch.testing.assert_close(model(seen), model(mixed))


def test_weights_are_seen_from_outside():
    model = small()
    with recording(model) as record:
        model(pictures(3, 6, 15, 2))
    assert [record.weights(name).shape for name in record.calls] == [(3, 2, 11, 11)] * 2


def test_the_class_token_asks_the_same_of_every_picture_at_first():
    model, asked = small(), []
    for block in model.encoder.blocks:
        projection = block.self_attention.q_proj
        projection.register_forward_hook(lambda _, read, query: asked.append(query[:, 0]))
    model(pictures(3, 6, 15, 2))
    first, second = asked
    torch.testing.assert_close(first, first[:1].expand_as(first))
    assert not torch.allclose(second, second[:1].expand_as(second))


def test_convolved_patches_see_their_neighbours():
    with seeded(0):
        patches = ConvPatches(5, channels=2)
    seen = pictures(1, 8, 12, 2)
    assert patches(seen).shape == (1, 4 * 6, 5)
    reached = set()
    for value in (0, 128, 255):
        changed = seen.clone()
        changed[0, 4, 4] = value
        reached |= set((patches(changed) != patches(seen)).any(-1)[0].nonzero()[:, 0].tolist())
    rows = {i // 6 for i in reached}
    assert rows <= {1, 2, 3} and len(reached) > 1


@pytest.mark.rejects
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="n_classes must be at least 1, got 0"):
        VisionTransformer(nn.Identity(), Places(2, 2, 6), small().encoder, 0)
    with pytest.raises(ValueError, match=r"tokens must have shape \(batch, 10, 6\)"):
        small()(pictures(3, 6, 6, 2))
    with pytest.raises(ValueError, match="pictures must have 2 channels, got 3"):
        ConvPatches(5, channels=2)(pictures(1, 8, 8, 3))
