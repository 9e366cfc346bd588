"""The benchmarks compare what is equal, and the page says what they stored."""

import itertools
import json
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import PARTS, attention, forms, harness, layers
from book.tools import benchmarks_page

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
STORED = {path.stem: json.loads(path.read_text("utf-8")) for path in BENCHMARKS.glob("results/*")}


def test_another_result_is_found_before_anything_is_timed():
    calls = []

    def equal():
        one, other = torch.zeros(3), torch.tensor([0.0, 0.0, 1e-3])
        return harness.assert_equal({"a": [one], "b": [other]}, "a", 1e-4)

    with pytest.raises(AssertionError, match=r"b differs from a by 0\.001"):
        harness.compare(
            {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
            reference="a",
            settings={},
            effort=harness.QUICK,
            equal=equal,
        )
    assert not calls


def test_every_contestant_is_called_and_has_a_ratio(capsys):
    calls = []
    case = harness.compare(
        {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")},
        reference="b",
        settings={"length": 3},
        effort=harness.Effort(rounds=3, sample=1e-9),
        goals=[harness.Goal("a", at_most=0.0)],
    )
    assert set(case.ratios) == {"a", "c"}
    turns = [name for name, _ in itertools.groupby(calls)]
    assert "".join(turns) == "abcabcbabc"  # a first look, then there, back and there
    assert "MISSED: a <= 0.0" in capsys.readouterr().out


@pytest.mark.parametrize("n", [3, 5, 15, 101])
def test_an_interval_of_the_median_holds_it_in_95_of_100_cases(n):
    samples = torch.randn(2000, n, generator=torch.Generator().manual_seed(n)).tolist()
    found = [harness.interval(sample) for sample in samples]
    assert all(low <= middle <= high for low, middle, high in found)
    held = sum(low <= 0 <= high for low, _, high in found) / len(found)
    # Few values cannot do better than their range does; 0.01 for chance.
    assert held >= min(0.95, 1 - 2 * 0.5**n) - 0.01


def test_every_way_to_attend_gives_the_same():
    for causal in (False, True):
        for padding in (False, True):
            tensors = attention.inputs(40, backward=True)
            outputs = {
                name: attention.forward_backward(form, tensors)
                for name, form in attention.forms(40, causal, padding).items()
            }
            attention.assert_equal(outputs, "SDPA", 1e-4)


def test_the_new_forms_are_what_they_are_said_to_be():
    assert forms.equal_forms(300) < 1e-4
    found = {name: call() for name, call in forms.step_forms(50).items()}
    assert harness.assert_equal(found, "multi-head", 0.01) > 0  # 8 bits are near, and not the same


def test_every_layer_gives_what_torchs_does():
    size = layers.SIZES["the course's"]
    x = torch.randn(size["batch"], size["length"], size["d_model"])
    for padding in (False, True):
        for ours, our_call, theirs, their_call in layers.pairs(size, padding, True).values():
            layers.agreement(
                {
                    "torch": partial(layers.train, theirs, their_call, x),
                    "minattn": partial(layers.train, ours, our_call, x),
                }
            )


def test_the_page_is_in_step():
    page = ROOT / "book" / "benchmarks.md"
    assert page.read_text(encoding="utf-8") == benchmarks_page.render(ROOT), "run make notebooks"


def test_every_part_is_stored_and_shown():
    assert set(STORED) == set(PARTS)
    measures = {path.stem for path in BENCHMARKS.glob("*.py") if "def measure(" in path.read_text()}
    assert measures == set(PARTS)


@pytest.mark.parametrize("part", sorted(STORED))
def test_stored_cases_say_how_they_were_made_and_are_whole(part):
    stored = STORED[part]
    assert stored["made"]["versions"]["torch"] and stored["made"]["processor"]
    assert stored["cases"]
    for case in stored["cases"]:
        assert case["reference"] not in case["ratios"]
        for low, middle, high in case["ratios"].values():
            assert 0 < low <= middle <= high
        for goal in case["goals"]:
            assert goal["contestant"] in case["ratios"]
            assert (goal["at_most"] is None) != (goal["at_least"] is None)


def test_the_steps_that_the_text_names_are_those_that_were_counted():
    (whole,) = [
        case for case in STORED["training"]["cases"] if "seconds" in case["settings"]["what"]
    ]
    ours, paper = (whole["more"][name] for name in ("minattn", "nn.Transformer as in 2017"))
    book = (ROOT / "book/chapters/22_efficient_attention.md").read_text("utf-8")
    assert f"our recipe needs {ours['steps']:,} steps to get 99 of 100" in book
    assert paper["more than"] and f"not got there after {paper['steps']:,}." in book


def test_the_ratios_that_chapter_22_names_are_those_that_were_measured():
    book = (ROOT / "book/chapters/22_efficient_attention.md").read_text("utf-8")
    last = {case["settings"]["measured"]: case["ratios"] for case in STORED["forms"]["cases"]}
    window, linear = (last["forms"][n][1] for n in ("a window in blocks", "linear, running"))
    step = last["a step with a cache"]["multi-query"][1]
    assert f"a window of 256 takes {window:.2f} of the time" in book
    assert f"linear attention {linear:.2f};" in book
    assert f"one set of keys takes {step:.2f} of one with eight" in book
