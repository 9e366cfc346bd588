import json
import math
import os
import pickle
import secrets
import stat
import struct
import threading
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn
from torch.testing import assert_close

from minattn.alignment import hard
from minattn.checkpoints import (
    FORMAT,
    check_names,
    described,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
)
from minattn.dot_product import attend
from minattn.recording import attending, recording
from minattn.transformer import FeedForward, Residual, TransformerTranslator
from tests.package.strategies import EXACT, built, normal
from tests.package.test_training import identical, weights

TENSORS = {"x": normal(2, 3), "y": torch.arange(5)}
OTHERS = {"z": torch.zeros(7)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.checkpoint"


def small(target_vocab_size=11, d_model=6, tied=True, n_layers=1):
    return built(
        lambda: TransformerTranslator(
            7, target_vocab_size, d_model=d_model, n_heads=2, n_layers=n_layers, tied=tied
        )
    )


def same(one, other):
    """Compare tensors by name: values, shapes and dtypes."""
    assert one.keys() == other.keys()
    for name in one:
        assert_close(one[name], other[name], **EXACT, equal_nan=True)
    return True


def alone(path):
    """Say whether a file is the only one in its folder."""
    return list(path.parent.iterdir()) == [path]


# Round trips


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int8, torch.uint8, torch.bool,
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 5), (2, 0, 3)])
def test_tensors_come_back_with_their_shape_and_dtype(path, dtype, shape):
    x = (normal(math.prod(shape)) * 7).reshape(shape).to(dtype)
    save_checkpoint(path, {"some.name/x": x}, {})
    assert same(load_checkpoint(path)[0], {"some.name/x": x})


def test_numbers_that_are_not_finite_come_back_bit_for_bit(path):
    x = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 5e-324], dtype=torch.float64)
    save_checkpoint(path, {"x": x}, {})
    found = load_checkpoint(path)[0]["x"]
    assert torch.equal(found.view(torch.int64), x.view(torch.int64))


def test_tensors_that_share_memory_are_each_written_out(path):
    x = normal(5, 7)
    views = {
        "x": x, "again": x, "row": x[2], "column": x[:, 3], "turned": x.T, "spread": x[:1].expand(3, 7),
    }  # fmt: skip
    save_checkpoint(path, views, {})
    assert same(load_checkpoint(path)[0], views)


def test_a_parameter_is_written_without_its_gradient_and_is_left_as_it_was(path):
    parameter = nn.Parameter(normal(2, 3))
    parameter.grad = normal(2, 3, seed=1)
    save_checkpoint(path, {"x": parameter}, {})
    found = load_checkpoint(path)[0]["x"]
    assert not found.requires_grad
    assert_close(found, normal(2, 3), **EXACT)
    assert_close(parameter.data, normal(2, 3), **EXACT)
    assert_close(parameter.grad, normal(2, 3, seed=1), **EXACT)


def test_a_checkpoint_may_hold_no_tensor_and_no_facts(path):
    save_checkpoint(path, {}, {})
    assert load_checkpoint(path) == ({}, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(about=st.dictionaries(st.text(), JSON, max_size=4))
def test_facts_come_back(tmp_path_factory, about):
    path = tmp_path_factory.mktemp("facts") / "a"
    save_checkpoint(path, TENSORS, about)
    tensors, found = load_checkpoint(path)
    assert found == about
    assert same(tensors, TENSORS)


def test_the_path_may_be_a_string_and_the_name_may_have_spaces(tmp_path):
    path = str(tmp_path / "ein schönes Modell")
    save_checkpoint(path, TENSORS, {"a": 1})
    assert same(load_checkpoint(path)[0], TENSORS)
    assert os.listdir(tmp_path) == ["ein schönes Modell"]


def test_tensors_that_were_read_can_be_changed_and_the_file_stays(path):
    save_checkpoint(path, TENSORS, {})
    tensors, _ = load_checkpoint(path)
    for x in tensors.values():
        x.zero_()
    assert same(load_checkpoint(path)[0], TENSORS)


def test_tensors_that_were_read_stay_when_another_checkpoint_takes_the_place(path):
    save_checkpoint(path, TENSORS, {})
    tensors, _ = load_checkpoint(path)
    save_checkpoint(path, OTHERS, {})
    assert same(tensors, TENSORS)
    assert same(load_checkpoint(path)[0], OTHERS)


def test_tensors_that_were_read_need_the_file_no_longer(path):
    save_checkpoint(path, TENSORS, {})
    tensors, _ = load_checkpoint(path)
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert same(tensors, TENSORS)


# The old file or the new one


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_beside_it(path):
    save_checkpoint(path, TENSORS, {"step": 1})
    assert alone(path)
    save_checkpoint(path, OTHERS, {"step": 2})
    assert alone(path)
    tensors, about = load_checkpoint(path)
    assert same(tensors, OTHERS)
    assert about == {"step": 2}


@pytest.mark.rejects
@pytest.mark.parametrize("name", ["os.replace", "os.fsync", "builtins.open"])
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", [True, False])
def test_an_error_while_writing_leaves_the_old_file_whole_and_nothing_else(
    path, monkeypatch, name, error, old
):
    if old:
        save_checkpoint(path, TENSORS, {"step": 1})
    before = {p: p.read_bytes() for p in path.parent.iterdir()}

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(name, fails)
    with pytest.raises(type(error)):
        save_checkpoint(path, OTHERS, {})
    monkeypatch.undo()
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
    assert len(before) == old


def test_the_whole_file_is_on_the_disk_before_it_gets_its_name(path, monkeypatch):
    save_checkpoint(path, OTHERS, {})
    old = path.read_bytes()
    happened = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle):
        happened.append(("fsync", os.fstat(handle).st_size, path.read_bytes() == old))
        fsync(handle)

    def watched_replace(source, target):
        happened.append(("replace", os.stat(source).st_size, path.read_bytes() == old))
        assert os.path.dirname(source) == str(path.parent)  # or it would not be one step
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    save_checkpoint(path, TENSORS, {})
    size = path.stat().st_size
    assert happened == [("fsync", size, True), ("replace", size, True)]


@pytest.mark.rejects
@pytest.mark.parametrize("about", [{"a": {1, 2}}, {"a": normal(2)}, {"a": object()}])
def test_facts_that_json_cannot_hold_are_rejected_and_nothing_is_written(path, about):
    save_checkpoint(path, TENSORS, {})
    before = path.read_bytes()
    with pytest.raises(TypeError, match="JSON"):
        save_checkpoint(path, OTHERS, about)
    assert path.read_bytes() == before
    assert alone(path)


@pytest.mark.rejects
def test_a_place_that_cannot_be_written_is_rejected(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_checkpoint(tmp_path / "nowhere" / "a", TENSORS, {})
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        save_checkpoint(folder, TENSORS, {})
    assert alone(folder)
    assert not list(folder.iterdir())


# Broken and foreign files


@pytest.mark.rejects
def test_a_file_that_is_cut_short_anywhere_or_too_long_is_rejected(path):
    save_checkpoint(path, {"x": normal(2, 3), "y": torch.arange(5)}, {"a": 1})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(
            ValueError, match=r"must be a whole safetensors file, got .*a\.checkpoint"
        ):
            load_checkpoint(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        load_checkpoint(path)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def pickled(tmp_path):
    return pickle.dumps({"x": Trap(tmp_path / "sprung")})


def pickled_by_torch(tmp_path):
    torch.save({"x": Trap(tmp_path / "sprung")}, tmp_path / "torch")
    return (tmp_path / "torch").read_bytes()


@pytest.mark.rejects
@pytest.mark.parametrize(
    "content",
    [
        lambda tmp_path: b"",
        lambda tmp_path: b"\0" * 8,
        lambda tmp_path: b"\xff" * 64,
        lambda tmp_path: b"an ordinary text that is long enough to have a header",
        lambda tmp_path: struct.pack("<Q", 2) + b"[]",
        lambda tmp_path: struct.pack("<Q", 10) + b'{"x": {}} ',
        lambda tmp_path: struct.pack("<Q", 10) + b"{not json}",
        pickled,
        pickled_by_torch,
    ],
)
def test_a_file_of_another_kind_is_rejected_and_never_executed(path, tmp_path, content):
    path.write_bytes(content(tmp_path))
    with pytest.raises(ValueError, match=r"must be a whole safetensors file, got .*a\.checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


def test_the_trap_of_these_tests_works(tmp_path):
    pickle.loads(pickled(tmp_path))["x"].close()
    assert (tmp_path / "sprung").exists()


@pytest.mark.rejects
def test_a_folder_is_rejected(tmp_path):
    with pytest.raises(ValueError, match=f"whole safetensors file, got {tmp_path}"):
        load_checkpoint(tmp_path)


@pytest.mark.rejects
def test_a_file_that_is_not_there_is_said_to_be_missing(path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*a\.checkpoint"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*a\.checkpoint"):
        load_model(path, small())
    assert not list(path.parent.iterdir())


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "None"),
        ({}, "None"),
        ({"about": "{}"}, "None"),
        ({"format": "pt"}, "'pt'"),
        ({"format": FORMAT + "0", "about": "{}"}, "'minattn checkpoint 10'"),
    ],
)
def test_a_safetensors_file_that_is_none_of_ours_is_rejected(path, header, said):
    path.write_bytes(save(TENSORS, header))
    with pytest.raises(ValueError, match=f"says 'minattn checkpoint 1' of itself, .* says {said}"):
        load_checkpoint(path)


@pytest.mark.rejects
@pytest.mark.parametrize("facts", [None, "", "{", '{"a": 1', "[1]", "3", "null"])
def test_facts_that_are_broken_are_rejected(path, facts):
    about = {} if facts is None else {"about": facts}
    path.write_bytes(save(TENSORS, {"format": FORMAT, **about}))
    with pytest.raises(ValueError, match=r"a\.checkpoint"):
        load_checkpoint(path)


def test_the_facts_are_json_in_the_header_where_other_programs_find_them(path):
    save_checkpoint(path, TENSORS, {"a": [1, "ü"]})
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    assert header["format"] == FORMAT == "minattn checkpoint 1"
    assert json.loads(header["about"]) == {"a": [1, "ü"]}


# Models


def test_a_tensor_with_two_names_is_written_once(path):
    save_model(path, small(tied=True))
    tensors, _ = load_checkpoint(path)
    assert "readout.weight" in tensors
    assert set(small().state_dict()) - set(tensors) == {"target_embedding.weight"}


def test_a_file_that_has_it_under_both_names_is_read_as_before(path):
    model = small(tied=True)
    save_checkpoint(path, model.state_dict(), {"__model__": described(model)})
    twin = small(tied=True)
    load_model(path, twin)
    assert torch.equal(twin.readout.weight, model.readout.weight)


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_comes_back_with_its_weights_and_facts(path, tied):
    model = small(tied=tied)
    save_model(path, model, {"steps": 13})
    twin = small(tied=tied)
    for parameter in twin.parameters():
        nn.init.normal_(parameter)
    assert not identical(weights(twin), weights(model))
    assert load_model(path, twin) == {"steps": 13}
    assert identical(weights(twin), weights(model))
    assert (twin.readout.weight is twin.target_embedding.weight) == tied
    ids = torch.tensor([[3, 4, 2]]), torch.tensor([[1, 5]])
    assert_close(twin(*ids), model(*ids), **EXACT)


def test_a_model_may_be_stored_without_facts_and_with_buffers(path):
    model = nn.BatchNorm1d(3)
    model(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    save_model(path, model)
    twin = nn.BatchNorm1d(3)
    assert load_model(path, twin) == {}
    assert same(twin.state_dict(), model.state_dict())
    assert twin.num_batches_tracked == 1


def test_the_mode_of_a_model_and_whether_it_learns_are_not_changed_by_loading(path):
    save_model(path, small().eval())
    model = small().train()
    model.readout.weight.requires_grad_(False)
    parameters = list(model.parameters())
    load_model(path, model)
    assert model.training
    assert not model.readout.weight.requires_grad
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: small(target_vocab_size=13),
            r"got .*\(13, 6\) for target_embedding.weight, where the model has .*\(11, 6\)",
        ),
        (lambda: small(d_model=10), r"got .*\(10, 10\) for .*, where the model has .*\(6, 6\)"),
        (
            lambda: small(n_layers=2),
            r"got .* for \w+\.blocks\.1.*, where the model has nothing of that name",
        ),
        (
            lambda: nn.Linear(3, 5),
            r"got nothing of that name for encoder.* where the model has .*\(6, 6\)",
        ),
    ],
)
def test_the_weights_of_another_model_are_rejected_and_change_nothing(path, other, message):
    save_model(path, other())
    model = small()
    before = weights(model)
    with pytest.raises(ValueError, match=f"the tensors of .*a.checkpoint must be .*{message}"):
        load_model(path, model)
    assert identical(weights(model), before)


@pytest.mark.rejects
@pytest.mark.parametrize("change", ["one is missing", "one too many", "another shape"])
def test_a_single_wrong_tensor_at_the_end_changes_nothing(path, change):
    tensors = {name: torch.zeros_like(x) for name, x in small().state_dict().items()}
    *_, last = tensors
    if change == "one is missing":
        del tensors[last]
    elif change == "one too many":
        tensors["more"] = torch.zeros(2)
    else:
        tensors[last] = tensors[last][:, :-1]
    save_checkpoint(path, tensors, {})
    model = small()
    before = weights(model)
    with pytest.raises(ValueError, match=r"must be those of the model, got .* for (more|readout)"):
        load_model(path, model)
    assert identical(weights(model), before)


@pytest.mark.rejects
def test_a_broken_file_leaves_the_model_as_it_was(path):
    save_model(path, small())
    path.write_bytes(path.read_bytes()[:-1])
    model = small()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    before = weights(model)
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        load_model(path, model)
    assert identical(weights(model), before)


@pytest.mark.rejects
def test_names_are_compared_both_ways_and_the_first_that_differs_is_named():
    x, y = torch.zeros(2, 3), torch.zeros(3, 2)
    check_names("f", {"a": x, "b": y}, {"b": y, "a": x})
    check_names("f", {}, {})
    start = "^the tensors of f must be those of the model, got "
    with pytest.raises(
        ValueError, match=start + r"nothing .* for b, where the model has .*\(3, 2\)$"
    ):
        check_names("f", {"a": x}, {"a": x, "b": y})
    with pytest.raises(ValueError, match=start + r".*\(3, 2\) for b, .* has nothing of that name$"):
        check_names("f", {"a": x, "b": y}, {"a": x})
    with pytest.raises(
        ValueError, match=start + r".*\(2, 3\) for a, where the model has .*\(3, 2\)$"
    ):
        check_names("f", {"a": x}, {"a": y})


# How a model was made


class Keeps(nn.Module):
    """Keeps whatever it is given."""

    def __init__(self, **kept):
        super().__init__()
        vars(self).update(kept)


def one_made_in_another(x, y=3):
    def inner(z, w=y):
        return x + w + z

    return inner


def holds_itself():
    def inner(z):
        return inner(z)

    return inner


class Callable:
    def __init__(self, **kept):
        vars(self).update(kept)

    def __call__(self, x):
        return x


def transformer(**settings):
    sizes = {"d_model": 12, "n_heads": 2} | settings
    return lambda: built(lambda: TransformerTranslator(7, 11, **sizes))


MADE = {
    "heads": (
        transformer(), transformer(n_heads=4),
        "n_heads of encoder.blocks.0.self_attention: 2 in the file, 4 in the model",
    ),
    "dropout": (
        transformer(dropout=0.1), transformer(dropout=0.2),
        "p of encoder.blocks.0.add_self_attention.dropout: 0.1 in the file, 0.2 in the model",
    ),
    "positions": (
        transformer(), transformer(positions=nn.Identity()),
        "class of positions: minattn.positions.SinusoidalPositions in the file, torch.Identity in",
    ),
    "positions of a function": (
        transformer(positions=lambda x: x), transformer(),
        "class of positions: no such part in the file, minattn.positions.SinusoidalPositions",
    ),
    "tying": (
        transformer(tied=True), transformer(tied=False),
        r"shared weights: \[\['readout.weight', 'target_embedding.weight'\]\] in the file, none in",
    ),
    "the place of the norm": (
        lambda: built(lambda: Residual(6, norm="pre")), lambda: built(lambda: Residual(6, norm="post")),
        "place: pre in the file, post in",
    ),
    "the attend": (
        transformer(), transformer(attend=attend),
        r"attend of .*: minattn.dot_product.fused_attend in the file, minattn.dot_product.attend in",
    ),
    "the scale of an attend": (
        transformer(attend=partial(attend, scale=0.5)), transformer(attend=partial(attend, scale=1.0)),
        "attend of .*: .*'scale': 0.5.* in the file, .*'scale': 1.0.* in the model",
    ),
    "the activation": (
        lambda: built(lambda: FeedForward(6, 7)),
        lambda: built(lambda: FeedForward(6, 7, activation=nn.functional.gelu)),
        "activation: torch.relu in the file, torch.gelu in the model",
    ),
    "the scale of the embedding": (
        transformer(embedding_scale=1.0), transformer(embedding_scale=2.0),
        "embedding_scale: 1.0 in the file, 2.0 in the model",
    ),
    "a number of numpy's": (
        lambda: Keeps(n=np.int64(2)), lambda: Keeps(n=np.int64(3)), "n: 2 in the file, 3 in the model",
    ),
    "truth": (lambda: Keeps(causal=True), lambda: Keeps(causal=False), "causal: True in the file, False"),
    "nothing": (lambda: Keeps(n=None), lambda: Keeps(n=0), "n: None in the file, 0 in the model"),
    "infinity": (lambda: Keeps(n=math.inf), lambda: Keeps(n=1.0), "n: inf in the file, 1.0 in the model"),
    "a tuple": (
        lambda: Keeps(n=(1, (2, 3))), lambda: Keeps(n=(1, (2, 4))), r"n: \[1, \[2, 3\]\] in the file",
    ),
    "a dtype": (
        lambda: Keeps(n=torch.float32), lambda: Keeps(n=torch.float64), "n: torch.float32 in the file",
    ),
    "a function from a function": (
        lambda: Keeps(n=one_made_in_another(1)), lambda: Keeps(n=one_made_in_another(2)),
        "n: {.*'x': 1.*} in the file, {.*'x': 2.*} in the model",
    ),
    "a default of a function from a function": (
        lambda: Keeps(n=one_made_in_another(1, 5)), lambda: Keeps(n=one_made_in_another(1, 6)),
        "n: {.*'w': 5.*} in the file, {.*'w': 6.*} in the model",
    ),
    "a default of a lambda": (
        lambda: Keeps(n=lambda x, tau=1: x), lambda: Keeps(n=lambda x, tau=2: x), "n: {.*'tau': 1.*}",
    ),
    "an object that can be called": (
        lambda: Keeps(n=Callable(type=1)), lambda: Keeps(n=Callable(type=2)), "n: {.*'type': 1.*}",
    ),
    "an attribute called type": (lambda: Keeps(type=1), lambda: Keeps(type=2), "type: 1 in the file"),
    "one part more": (
        nn.Sequential, lambda: nn.Sequential(nn.ReLU()),
        "class of 0: no such part in the file, torch.ReLU in the model",
    ),
    "one part fewer": (
        lambda: nn.Sequential(nn.ReLU()), nn.Sequential,
        "class of 0: torch.ReLU in the file, no such part in the model",
    ),
}  # fmt: skip


@pytest.mark.rejects
@pytest.mark.parametrize(("stored", "other", "message"), MADE.values(), ids=MADE)
def test_a_model_that_was_made_otherwise_is_rejected_by_name_and_left_as_it_was(
    path, stored, other, message
):
    save_model(path, stored(), {"a": 1})
    assert load_model(path, stored()) == {"a": 1}
    model = other()
    before = weights(model)
    with pytest.raises(ValueError, match=f"must have been made like this one.* in {message}"):
        load_model(path, model)
    assert identical(weights(model), before)


@pytest.mark.parametrize(
    ("stored", "other"),
    [
        (lambda: Keeps(n=holds_itself()), lambda: Keeps(n=holds_itself())),
        (lambda: Keeps(seen=[1], x=torch.ones(2)), lambda: Keeps(seen=[], x=torch.ones(3))),
        (lambda: Keeps(_cache=3), lambda: Keeps(_cache=4)),
        (lambda: Keeps(n=2), lambda: Keeps(n=2, new=1)),  # of another edition
        (lambda: Keeps(n=2, old=1), lambda: Keeps(n=np.int32(2))),
        (lambda: nn.Dropout(0.1).eval(), lambda: nn.Dropout(0.1).train()),
        (lambda: nn.Linear(2, 3).requires_grad_(False), lambda: nn.Linear(2, 3)),
    ],
)
def test_what_does_not_make_a_model_may_differ(path, stored, other):
    save_model(path, stored())
    assert load_model(path, other()) == {}


def test_the_description_holds_no_address_and_is_plain_json():
    for stored, *_ in MADE.values():
        said = json.dumps(described(stored()), allow_nan=False)
        assert " at 0x" not in said
        assert json.loads(said) == described(stored())


def test_a_model_is_described_inside_a_block_as_outside():
    model = transformer()()
    outside = described(model)
    with recording(model), attending(model, hard):
        assert described(model) == outside


def test_a_script_that_is_run_and_imported_makes_the_same_model(monkeypatch):
    before = described(Keeps(n=one_made_in_another))
    monkeypatch.setattr(Keeps, "__module__", "__main__")
    monkeypatch.setattr(one_made_in_another, "__module__", "__main__")
    assert described(Keeps(n=one_made_in_another)) == before


def test_a_file_of_an_edition_without_descriptions_is_loaded(path):
    model, twin = transformer(n_heads=4)(), transformer(n_heads=2)()
    save_checkpoint(path, model.state_dict(), {"a": 1})
    assert load_model(path, twin) == {"a": 1}
    assert identical(weights(twin), weights(model))


@pytest.mark.rejects
@pytest.mark.parametrize("said", [3, "x", {}, {"parts": [], "shared": []}])
def test_a_description_that_is_none_is_rejected(path, said):
    save_checkpoint(path, nn.Linear(2, 3).state_dict(), {"__model__": said})
    with pytest.raises(ValueError, match=r"__model__ in .* must say how a model was made, got"):
        load_model(path, nn.Linear(2, 3))


@pytest.mark.rejects
def test_the_name_of_the_description_is_not_free(path):
    with pytest.raises(ValueError, match="about must leave __model__ to save_model, got 3"):
        save_model(path, nn.Linear(2, 3), {"__model__": 3})
    assert not path.exists()


# What a file cannot hold

DENSE = torch.ones(2, 3)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ({"__metadata__": DENSE}, ValueError, "neither empty nor __metadata__, .* got '__metadata__'"),
        ({"": DENSE}, ValueError, "neither empty nor __metadata__, .* got ''"),
        ({3: DENSE}, TypeError, "name of a tensor must be a string, got 3"),
        ({None: DENSE}, TypeError, "name of a tensor must be a string, got None"),
        ({"x": [1.0]}, TypeError, "x must be a tensor, got list"),
        ({"x": np.ones(2)}, TypeError, "x must be a tensor, got ndarray"),
        ({"x": None}, TypeError, "x must be a tensor, got NoneType"),
        ({"x": DENSE.to_sparse()}, ValueError, "x must be a dense tensor .* got a sparse_coo one"),
        ({"x": DENSE.to("meta")}, ValueError, "x must be a dense tensor .* got a meta one"),
        ({"x": DENSE.to(torch.complex128)}, ValueError, "dtype of safetensors, got torch.complex128"),
        ({"\ud800": DENSE}, ValueError, "surrogates"),
    ],
)  # fmt: skip
def test_tensors_that_no_file_can_hold_are_rejected_before_anything_is_written(
    path, tensors, error, message
):
    save_checkpoint(path, TENSORS, {})
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        save_checkpoint(path, OTHERS | tensors, {})
    assert path.read_bytes() == before
    assert alone(path)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({"a": math.nan}, ValueError, "about must hold what JSON can hold, got .*nan"),
        ({"a": [{"b": (1, math.nan)}]}, ValueError, "about must hold what JSON can hold, got nan"),
        ({1: "a"}, TypeError, "a name in about must be a string, for JSON has no other, got 1"),
        ({"a": {None: 1}}, TypeError, "a name in about must be a string, .* got None"),
        ({"a": [{True: 1}]}, TypeError, "a name in about must be a string, .* got True"),
        ({"a": ({0.5: 1},)}, TypeError, "a name in about must be a string, .* got 0.5"),
    ],
)  # fmt: skip
def test_facts_that_would_come_back_as_others_are_rejected_and_nothing_is_written(
    path, about, error, message
):
    with pytest.raises(error, match=message):
        save_checkpoint(path, TENSORS, about)
    assert not list(path.parent.iterdir())


def test_a_tuple_comes_back_as_a_list(path):
    save_checkpoint(path, {}, {"a": (1, (2,))})
    assert load_checkpoint(path)[1] == {"a": [1, [2]]}


def test_views_that_are_turned_only_when_they_are_read_are_written_as_they_read(path):
    x = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex64)
    save_checkpoint(path, {"conj": x.conj(), "neg": x.conj().imag}, {})
    found = load_checkpoint(path)[0]
    assert found["conj"].tolist() == [1 - 2j, 3 + 1j]
    assert found["neg"].tolist() == [-2.0, 1.0]


# The place of a file


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@posix
@pytest.mark.parametrize("old", [0o600, 0o644, 0o664, 0o444])
def test_a_file_keeps_its_permissions_and_a_new_one_has_the_usual_ones(path, umask, old):
    save_checkpoint(path, TENSORS, {})
    assert mode(path) == 0o640
    path.chmod(old)
    save_checkpoint(path, OTHERS, {})
    assert mode(path) == old
    assert same(load_checkpoint(path)[0], OTHERS)


@posix
def test_a_secret_file_is_never_seen_by_others_while_it_is_written(path, monkeypatch):
    save_checkpoint(path, TENSORS, {})
    path.chmod(0o600)
    seen = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append(os.fstat(file).st_mode & 0o777))
    save_checkpoint(path, OTHERS, {})
    assert seen == [0o600]


@posix
def test_a_link_that_was_planted_where_a_file_is_begun_is_not_followed(path, tmp_path, monkeypatch):
    victim = tmp_path / "elsewhere" / "victim"
    victim.parent.mkdir()
    victim.write_text("precious")
    monkeypatch.setattr(secrets, "token_hex", lambda n: "guessed")
    for name in (f".{path.name}.part", f".{path.name}.guessed.part"):
        os.symlink(victim, path.with_name(name))
    with pytest.raises(FileExistsError):
        save_checkpoint(path, TENSORS, {})
    assert victim.read_text() == "precious"
    save_checkpoint(path, TENSORS, {})
    assert victim.read_text() == "precious"
    assert same(load_checkpoint(path)[0], TENSORS)


@posix
def test_a_link_at_the_place_of_a_file_is_replaced_and_not_followed(path, tmp_path, umask):
    other = tmp_path / "other"
    other.write_text("precious")
    other.chmod(0o666)
    os.symlink(other, path)
    save_checkpoint(path, TENSORS, {})
    assert other.read_text() == "precious"
    assert not path.is_symlink()
    assert mode(path) == 0o640


@posix
@pytest.mark.rejects
def test_what_is_neither_a_file_nor_a_link_is_not_replaced(path):
    os.mkfifo(path)
    with pytest.raises(
        OSError, match=r"must be written to a file, got .*a\.checkpoint, which is none"
    ):
        save_checkpoint(path, TENSORS, {})
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert alone(path)


def test_of_several_that_write_at_once_one_wins_and_the_file_is_always_whole(path):
    save_checkpoint(path, {"x": torch.full((9999,), 0.0)}, {})
    errors = []

    def write(i):
        try:
            for _ in range(30):
                save_checkpoint(path, {"x": torch.full((9999,), float(i))}, {})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(load_checkpoint(path)[0]["x"].unique()) == 1
    assert errors == []
    assert alone(path)


def test_what_killed_processes_left_is_cleared_and_what_is_being_written_is_not(path):
    old, new = (path.with_name(f".{path.name}.{name}.part") for name in ("0123", "4567"))
    others = path.with_name(".b.checkpoint.0123.part")
    for left in (old, new, others):
        left.write_bytes(b"half")
    for left in (old, others):
        os.utime(left, (1e9, 1e9))
    save_checkpoint(path, TENSORS, {})
    assert set(path.parent.iterdir()) == {path, new, others}
