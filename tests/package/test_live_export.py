import base64
import json
import math
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minattn.alignment import AdditiveAttention, MultiplicativeAttention
from minattn.dot_product import DotProductAttention, attend
from minattn.live_export import DTYPES, export_live, pack, settings
from minattn.multihead import MultiHeadAttention
from minattn.positions import LearnedPositions, SinusoidalPositions
from minattn.recurrent import RecurrentTranslator
from minattn.self_attention import InPlaceTranslator
from minattn.tasks import Task, reversal
from minattn.transformer import Residual, TransformerTranslator


@pytest.fixture(scope="module")
def task() -> Task:
    return reversal(n_train=1)


def transformer(task: Task, **options: Any) -> TransformerTranslator:
    sizes = {"d_model": 10, "n_heads": 5, "d_ff": 17, "n_layers": 3}
    return TransformerTranslator(len(task.source), len(task.target), **sizes | options)


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The name of a file's entry and the entry, which is JSON but for what stands around it."""
    text = path.read_text("utf-8")
    name, _, entry = text[text.index('["') + 1 :].partition("] = ")
    return json.loads(name), json.loads(entry.rstrip().rstrip(";"))


def unpacked(entry: dict[str, Any]) -> dict[str, torch.Tensor]:
    buffer = base64.b64decode(entry["data"], validate=True)
    assert (len(buffer), zlib.crc32(buffer)) == (entry["bytes"], entry["crc32"])
    numbers = np.frombuffer(buffer, DTYPES[entry["dtype"]]).astype("f4")
    return {
        name: torch.from_numpy(numbers[start : start + math.prod(shape)].reshape(shape).copy())
        for name, (start, shape) in entry["table"].items()
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", [False, True])
def test_a_file_holds_the_whole_model(dtype: str, tied: bool, task: Task, tmp_path: Path) -> None:
    model = transformer(task, tied=tied)
    export_live(model, task, tmp_path / "mine.js", dtype=dtype)
    name, entry = read(tmp_path / "mine.js")
    assert name == "mine"
    assert (entry["source"], entry["target"]) == (
        list(task.source.tokens),
        list(task.target.tokens),
    )
    assert entry["parts"] == []
    wanted = model.state_dict()
    found = unpacked(entry)
    assert list(found) == list(wanted)
    precision = getattr(torch, dtype)
    for key, tensor in found.items():
        assert torch.equal(tensor, wanted[key].to(precision).float())


def test_the_settings_of_a_transformer(task: Task) -> None:
    positions = SinusoidalPositions(10, base=70.0)
    model = transformer(task, embedding_scale=1.7, positions=positions, attend=attend)
    assert settings(model) == {
        "kind": "transformer",
        "d_model": 10,
        "n_heads": 5,
        "n_layers": 3,
        "embedding_scale": 1.7,
        "base": 70.0,
    }


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AdditiveAttention(10, 10, 7), {"kind": "additive"}),
        (
            lambda: MultiplicativeAttention(10, 10, temperature=3.0),
            {"kind": "multiplicative", "temperature": 3.0},
        ),
        (lambda: DotProductAttention(d_query=10, d_key=10, d_k=7, d_v=10), {"kind": "dot_product"}),
        (None, {"kind": "final_state"}),
    ],
)
def test_the_settings_of_a_recurrent_translator(
    make: Callable[[], Any] | None, says: dict[str, Any]
) -> None:
    options = {} if make is None else {"attend": make()}
    model = RecurrentTranslator(11, 13, d_model=10, bidirectional=True, **options)
    assert settings(model) == {
        "kind": "recurrent",
        "d_model": 10,
        "attends": "after",
        "bidirectional": True,
        "attend": says,
    }


def test_a_file_is_replaced_and_is_the_same_again(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "mine.js"
    path.write_text("what was there before, and is longer" * 1000, "utf-8")
    model = RecurrentTranslator(len(task.source), len(task.target), d_model=4)
    export_live(model, task, path)
    first = path.read_bytes()
    export_live(model, task, str(path))
    assert path.read_bytes() == first
    assert b"before" not in first


# What a page cannot run.


def changed(change: Callable[[TransformerTranslator], Any]) -> Callable[[Task], Any]:
    def make(task: Task) -> TransformerTranslator:
        model = transformer(task)
        change(model)
        return model

    return make


def shared_heads(model: TransformerTranslator) -> None:
    model.decoder.blocks[2].cross_attention = MultiHeadAttention(10, 5, n_kv_heads=1)


def another_activation(model: TransformerTranslator) -> None:
    model.encoder.blocks[1].feed_forward.activation = F.gelu


def another_attend(model: TransformerTranslator) -> None:
    model.encoder.blocks[0].self_attention.attend = partial(attend, scale=2.0)


def norm_after(model: TransformerTranslator) -> None:
    model.decoder.blocks[1].add_feed_forward = Residual(10, norm="post")


def norm_without_bias(model: TransformerTranslator) -> None:
    model.encoder.norm = nn.LayerNorm(10, bias=False)


class OwnTransformer(TransformerTranslator):
    """May do anything."""


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda task: transformer(task, positions=LearnedPositions(50, 10)), "sinusoidal.*Learned"),
        (lambda task: transformer(task, norm="post"), "norms before the sub-layers, got 'post'"),
        (changed(norm_after), "norms before the sub-layers, got 'post'"),
        (changed(norm_without_bias), "norms with a bias, got encoder.norm"),
        (changed(another_activation), "relu, got .*gelu"),
        (changed(another_attend), "plain attention, got .*encoder.blocks.0"),
        (changed(shared_heads), "1 for 5 heads in decoder.blocks.2"),
        (lambda task: OwnTransformer(len(task.source), len(task.target)), "no OwnTransformer"),
        (lambda task: InPlaceTranslator(len(task.source), len(task.target)), "InPlaceTranslator"),
        (
            lambda task: RecurrentTranslator(len(task.source), len(task.target), attend=attend),
            "knows no <function attend",
        ),
    ],
)
def test_a_model_that_no_page_runs_is_named(
    make: Callable[[Task], Any], says: str, task: Task, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=says):
        export_live(make(task), task, tmp_path / "mine.js")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rejects
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_task_of_other_words_is_named(side: str, task: Task, tmp_path: Path) -> None:
    sizes = {"source": len(task.source), "target": len(task.target)}
    sizes[side] += 3
    model = RecurrentTranslator(*sizes.values(), d_model=4)
    with pytest.raises(ValueError, match=rf"{sizes[side] - 3} {side} tokens, got {sizes[side]}"):
        export_live(model, task, tmp_path / "mine.js")


@pytest.mark.rejects
def test_a_weight_that_does_not_fit_is_named(task: Task, tmp_path: Path) -> None:
    model = RecurrentTranslator(len(task.source), len(task.target), d_model=4)
    with torch.no_grad():
        model.bridge.weight[2, 1] = 1e6
    with pytest.raises(ValueError, match=r"finite in float16, got 1e\+06 in bridge\.weight"):
        export_live(model, task, tmp_path / "mine.js")
    export_live(model, task, tmp_path / "mine.js", dtype="float32")
    with torch.no_grad():
        model.bridge.weight[2, 1] = math.nan
    with pytest.raises(ValueError, match=r"finite in float32, got nan in bridge\.weight"):
        export_live(model, task, tmp_path / "mine.js", dtype="float32")


@pytest.mark.rejects
def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(ValueError, match=r"one of \['float16', 'float32'\], got 'bfloat16'"):
        pack({"one": torch.ones(1)}, "bfloat16")
