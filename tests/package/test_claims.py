import json
import math

import numpy as np
import pytest
import torch

from minattn import claims
from minattn.claims import (
    Results,
    checks,
    claim,
    ranged,
    results,
    show_results,
    stored_model,
)

DATA = {
    "made": {"seeds": [0, 1, 2]},
    "arms": {
        "fixed": [
            {"seed": seed, "loss": 0.5 + seed, "accuracy": {"3": 0.75, "12": 0.25 * seed}}
            for seed in range(3)
        ],
        "additive": [
            {"seed": seed, "loss": 0.25, "accuracy": {"3": 1.0, "12": 1.0}} for seed in range(3)
        ],
    },
}


@pytest.mark.parametrize(
    ("value", "bars", "line"),
    [
        (0.95, {"at_least": 0.95}, "✓ it works (at least 0.95)"),
        (0.15, {"at_most": 0.15}, "✓ it works (at most 0.15)"),
        (0.5, {"at_least": 0.25, "at_most": 0.75}, "✓ it works (at least 0.25 and at most 0.75)"),
        (7, {"at_least": 7, "at_most": 7}, "✓ it works (at least 7 and at most 7)"),
        (torch.tensor(0.96), {"at_least": 0.95}, "✓ it works (at least 0.95)"),
        (np.float32(0.96), {"at_least": 0.95}, "✓ it works (at least 0.95)"),
        (True, {}, "✓ it works"),
        (np.True_, {}, "✓ it works"),
        (0.95, {"at_least": 0.9, "spread": [0.9, 0.99]}, "✓ it works (at least 0.9; 2 runs 0.9 to 0.99)"),
        (0, {"at_most": 1, "spread": [0, 0.12345, 0.1, 1, 0]}, "✓ it works (at most 1; five seeds 0 to 1)"),
        (0, {"at_most": 1, "spread": [0.0] * 5}, "✓ it works (at most 1; five seeds all 0)"),
        (0.5, {"at_most": 1, "of": "median of five seeds"}, "✓ it works (at most 1)"),
        (True, {"spread": [True] * 5}, "✓ it works"),
    ],
)  # fmt: skip
def test_a_claim_that_holds_is_written_down_with_its_bar_and_without_its_value(
    value, bars, line, capsys
):
    claim("it works", value, **bars)
    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize(
    ("value", "bars", "message"),
    [
        (0.94, {"at_least": 0.95}, r"it works \(at least 0.95\); measured 0.94"),
        (0.16, {"at_most": 0.15}, r"it works \(at most 0.15\); measured 0.16"),
        (
            0.8,
            {"at_least": 0.25, "at_most": 0.75},
            r"at least 0.25 and at most 0.75\); measured 0.8",
        ),
        (
            0.2,
            {"at_least": 0.25, "at_most": 0.75},
            r"at least 0.25 and at most 0.75\); measured 0.2",
        ),
        (math.nan, {"at_least": 0.0}, "measured nan"),
        (math.nan, {"at_most": 1.0}, "measured nan"),
        (False, {}, "it works .*measured False"),
        (
            0.95,
            {"at_least": 0.9, "spread": [0.95, 0.89]},
            "one of the seeds: it works .* measured 0.89",
        ),
        (0.95, {"at_least": 0.9, "spread": [math.nan]}, "one of the seeds: .* measured nan"),
        (0.1, {"at_most": 0.15, "spread": [0.1, 0.2, 0.1]}, "one of the seeds: .* measured 0.2"),
    ],
)
def test_a_claim_that_falls_short_stops_the_chapter(value, bars, message, capsys):
    with pytest.raises(AssertionError, match=message):
        claim("it works", value, **bars)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "bars", "kept"),
    [
        (0.97, {"at_least": 0.9}, {"bar": "at least 0.9", "value": 0.97, "spread": None}),
        (torch.tensor(3), {"at_most": 5}, {"bar": "at most 5", "value": 3.0, "spread": None}),
        (0.97, {"at_least": 0.9, "spread": (0.95, 1)}, {"bar": "at least 0.9", "value": 0.97, "spread": [0.95, 1]}),
        (1, {"at_least": 1, "of": "worst"}, {"bar": "at least 1", "value": 1, "spread": None, "of": "worst"}),
        (True, {}, {"bar": "true", "value": True, "spread": None}),
        (np.True_, {}, {"bar": "true", "value": True, "spread": None}),
    ],
)  # fmt: skip
def test_a_notebook_keeps_the_value_beside_the_claim(value, bars, kept, notebook):
    claim("a < b & it works", value, **bars)
    (output,) = notebook.outputs
    assert json.loads(json.dumps(output["metadata"])) == {
        "minattn": {"claim": "a < b & it works", "of": "this run", **kept}
    }


def test_a_notebook_shows_the_claim_as_html_that_is_escaped(notebook):
    claim("a < b & it works", 0.97, at_least=0.9)
    data = notebook.outputs[0]["data"]
    assert data["text/plain"] == "✓ a < b & it works (at least 0.9)"
    assert "a &lt; b &amp; it works" in data["text/html"]
    assert '<span class="claim-bar">(at least 0.9)</span>' in data["text/html"]


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("text", "value", "bars", "message"),
    [
        ("it works", 0.9, {}, "needs at_least or at_most, got only the value 0.9"),
        ("it works", 1, {}, "needs at_least or at_most, got only the value 1"),
        ("it works", True, {"at_least": 0.5}, "true or false has no bar, got True with one"),
        ("it works", np.True_, {"at_least": 0.5}, "true or false has no bar, got True with one"),
        ("  ", True, {}, "needs a sentence, got an empty one"),
        (
            "it works",
            0.9,
            {"at_least": 0.5, "spread": []},
            "spread needs at least one value, got none",
        ),
        ("it works", 0.9, {"at_least": 0.5, "of": " "}, "of needs a word .* got an empty one"),
        (
            "it works",
            True,
            {"of": "best of five seeds"},
            "shows no value, got one of 'best of five",
        ),
    ],
)
def test_a_claim_rejects(text, value, bars, message):
    with pytest.raises(ValueError, match=message):
        claim(text, value, **bars)


# What stands behind the sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "this run 0.955; bar: at least 0.9"),
        ({"of": "median of five seeds"}, "median of five seeds 0.955; bar: at least 0.9"),
        (
            {"spread": [0.97, 0.935, 0.95, 0.94, 0.96]},
            "this run 0.955; five seeds 0.935 to 0.97; bar: at least 0.9",
        ),
        (
            {"spread": [0.97, 0.935, 0.95, 0.94, 0.96], "of": "median of five seeds"},
            "median of five seeds 0.955, all 0.935 to 0.97; bar: at least 0.9",
        ),
        ({"spread": [1] * 15}, "this run 0.955; 15 runs all 1; bar: at least 0.9"),
    ],
)
def test_somebody_who_runs_the_cell_sees_which_number_it_is(options, words, notebook, monkeypatch):
    monkeypatch.setattr(claims, "is_watched", lambda: True)
    claim("it works", 0.955, at_least=0.9, **options)
    claim("it is true", True)
    with checks("all"):
        claim("it works", 0.955, at_least=0.9, **options)
    shown, without, together = (output["data"]["text/html"] for output in notebook.outputs)
    assert f'it works <span class="claim-bar">({words})</span>' in shown
    assert "claim-bar" not in without
    assert f'<li>it works <span class="claim-bar">({words})</span></li>' in together


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765, "0.988"), (12.0, "12"), (12.34, "12.3"), (2400, "2,400"), (1234.5, "1,234"),
     (-3.0, "-3"), (0.0, "0"), (2.22e-16, "2.22e-16")],
)  # fmt: skip
def test_a_measured_number_is_written_short(value, text):
    assert claims.figure(value) == text


# Checks: claims in one closed line


def test_checks_are_one_closed_line_that_keeps_every_claim(notebook):
    with checks("a < b & the rest"):
        claim("a < b", True)
        claim("it works", 0.97, at_least=0.9, spread=[0.95] * 5, of="the median")
    claim("outside", True)
    together, outside = notebook.outputs
    assert together["data"] == {
        "text/plain": "✓ 2 checks passed: a < b & the rest",
        "text/html": '<details class="checks"><summary>✓ 2 checks passed: a &lt; b &amp; the rest</summary>'
        '<ul><li>a &lt; b</li><li>it works <span class="claim-bar">(at least 0.9; five seeds all 0.95)</span></li>'
        "</ul></details>",
    }
    assert json.loads(json.dumps(together["metadata"]))["minattn"] == {
        "checks": [
            {"claim": "a < b", "bar": "true", "value": True, "spread": None, "of": "this run"},
            {"claim": "it works", "bar": "at least 0.9", "value": 0.97, "spread": [0.95] * 5, "of": "the median"},
        ]
    }  # fmt: skip
    assert outside["metadata"]["minattn"]["claim"] == "outside"


def test_one_check_is_not_many(capsys):
    with checks("the sum"):
        claim("it works", True)
    assert capsys.readouterr().out == "✓ 1 check passed: the sum\n"


@pytest.mark.parametrize("failing", [0, 1])
def test_checks_of_which_one_fails_name_it_and_show_nothing(failing, capsys):
    values = [0.97, 0.97]
    values[failing] = 0.5
    with (
        pytest.raises(AssertionError, match=rf"claim {failing} \(at least 0.9\); measured 0.5"),
        checks("both"),
    ):
        for number, value in enumerate(values):
            claim(f"claim {number}", value, at_least=0.9)
    assert capsys.readouterr().out == ""
    claim("the next cell", True)
    assert capsys.readouterr().out == "✓ the next cell\n"


@pytest.mark.rejects
def test_checks_without_a_claim_or_a_title_are_rejected(capsys):
    with (
        pytest.raises(ValueError, match="at least one claim inside, got none in 'nothing'"),
        checks("nothing"),
    ):
        pass
    with pytest.raises(ValueError, match="need a title, got an empty one"), checks(" "):
        claim("it works", True)
    assert capsys.readouterr().out == ""


@pytest.mark.rejects
def test_checks_do_not_stand_inside_of_checks(capsys):
    with (
        pytest.raises(RuntimeError, match="inside of checks, got 'inner' inside others"),
        checks("outer"),
    ):
        claim("it works", True)
        with checks("inner"):
            claim("it works", True)
    assert capsys.readouterr().out == ""


# The results of the longer experiments


def test_results_are_read_by_arm_measure_and_length():
    found = Results(DATA)
    assert found.arms == ["fixed", "additive"]
    assert found.seeds == [0, 1, 2]
    assert found.runs("fixed") == DATA["arms"]["fixed"]
    assert found.runs("fixed", "accuracy", "12") == [0.0, 0.25, 0.5]
    assert found.values("fixed", "loss") == [0.5, 1.5, 2.5]
    assert found.values("fixed", "accuracy 12") == [0.0, 0.25, 0.5]
    assert found.curve("fixed", "accuracy") == {3: [0.75] * 3, 12: [0.0, 0.25, 0.5]}


def test_results_are_found_in_the_folder_or_by_going_up(tmp_path, monkeypatch):
    folder = tmp_path / "book" / "experiments" / "results"
    folder.mkdir(parents=True)
    (folder / "crossing.json").write_text(json.dumps(DATA), encoding="utf-8")
    below = tmp_path / "my" / "notes"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert results("crossing").data == results("crossing", folder).data == DATA


@pytest.mark.parametrize("installed", ["minattn/book", "book"])
def test_far_from_the_book_what_came_with_the_package_is_read(installed, tmp_path, monkeypatch):
    """A wheel brings a copy inside of the package; a package that is used where it was written has it beside it."""
    other = {"made": {"seeds": [1]}, "arms": {"other": [{"loss": 1.0}]}}
    for book, data in ((tmp_path / "lib" / installed, DATA), (tmp_path / "empty/book", other)):
        for part, file in (
            ("experiments/results", "crossing.json"),
            ("models", "small.safetensors"),
        ):
            (book / part).mkdir(parents=True)
            (book / part / file).write_text(json.dumps(data), encoding="utf-8")
    monkeypatch.setattr(claims, "__file__", str(tmp_path / "lib/minattn/claims.py"))
    monkeypatch.chdir(tmp_path)
    assert results("crossing").data == DATA
    assert stored_model("small").is_relative_to(tmp_path / "lib")
    # A folder that is called book and holds something else is in nobody's way, and a checkout comes first.
    monkeypatch.chdir(tmp_path / "empty")
    assert results("crossing").data == other
    (tmp_path / "empty/book/experiments/results/crossing.json").unlink()
    assert results("crossing").data == DATA


@pytest.mark.rejects
def test_results_that_there_are_not_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "__file__", str(tmp_path / "minattn/claims.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"with results are \[\], got 'crossing'"):
        results("crossing")
    with pytest.raises(FileNotFoundError, match=r"stored models are \[\], got 'small'"):
        stored_model("small")
    (tmp_path / "crossing.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"are \['crossing'\], got 'vision'"):
        results("vision", tmp_path)


@pytest.mark.rejects
@pytest.mark.parametrize("read", [Results.runs, Results.values, Results.curve])
def test_an_arm_that_there_is_not_is_named(read):
    arguments = () if read is Results.runs else ("accuracy",)
    with pytest.raises(ValueError, match=r"arms are \['fixed', 'additive'\], got 'hard'"):
        read(Results(DATA), "hard", *arguments)


@pytest.mark.rejects
@pytest.mark.parametrize("path", [("speed",), ("accuracy", "7"), ("loss", "3")])
def test_a_part_of_a_run_that_there_is_not_is_named(path):
    with pytest.raises(ValueError, match=f"fixed has .*, got '{path[-1]}' of "):
        Results(DATA).runs("fixed", *path)


def test_a_range_is_the_median_of_the_seeds_between_the_lowest_and_the_highest():
    assert ranged([0.9, 0.1, 0.25]) == "0.25 (0.10–0.90)"
    assert ranged((number for number in (3, 1)), digits=0) == "2 (1–3)"


@pytest.mark.rejects
def test_a_range_of_nothing_is_rejected():
    with pytest.raises(ValueError, match="at least one value, got none"):
        ranged([])


def test_results_are_shown_by_kind_of_cell(capsys):
    show_results(["arm", "a", "b", "c"], {"x": [[3.0, 1.0, 2.0], 0.126, "no"]}, digits=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| x | 2.00 (1.00–3.00) | 0.13 | no |"


def test_results_reject_a_cell_without_a_value():
    with pytest.raises(ValueError, match="a range needs at least one value"):
        show_results(["arm", "a"], {"x": [[]]})


@pytest.mark.rejects
@pytest.mark.parametrize("measure", ["speed", "accuracy 7", "loss 3", "accuracy"])
def test_a_measurement_that_there_is_not_is_named(measure):
    with pytest.raises(ValueError, match=rf"\['accuracy', 'loss', 'seed'\], got '{measure}'"):
        Results(DATA).values("fixed", measure)


@pytest.mark.rejects
@pytest.mark.parametrize("measure", ["speed", "loss"])
def test_a_curve_that_there_is_not_is_named(measure):
    with pytest.raises(ValueError, match=f"got '{measure}'"):
        Results(DATA).curve("fixed", measure)


@pytest.mark.rejects
@pytest.mark.parametrize(
    ("bars", "error", "message"),
    [
        ({"at_least": math.nan}, ValueError, "at_least must be a finite number, got nan"),
        ({"at_most": math.inf}, ValueError, "at_most must be a finite number, got inf"),
        ({"at_most": "1"}, TypeError, "at_most must be a finite number, got '1' of type str"),
        ({"at_least": 2, "at_most": 1}, ValueError, "must not be above at_most, got 2 and 1"),
    ],
)
def test_a_bar_that_nothing_reaches_or_everything_is_rejected(bars, error, message, capsys):
    with pytest.raises(error, match=message):
        claim("it works", 1.5, **bars)
    assert capsys.readouterr().out == ""


def test_a_spread_may_be_an_iterator(notebook):
    claim("it works", 0.97, at_least=0.9, spread=(x for x in (0.95, 0.99)))
    assert notebook.outputs[0]["metadata"]["minattn"]["spread"] == [0.95, 0.99]


@pytest.mark.rejects
def test_an_iterator_with_a_seed_that_falls_short_is_read_to_its_end():
    with pytest.raises(AssertionError, match=r"one of the seeds: it works .* measured 0\.5"):
        claim("it works", 0.97, at_least=0.9, spread=iter([0.95, 0.5]))
