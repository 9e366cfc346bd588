import ast
import io
import sys
from types import SimpleNamespace

import pytest

from minattn import recurrent, translation
from minattn.claims import checks, claim, show_results
from minattn.display import Progress, show, show_code, show_source, show_table


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    seen = SimpleNamespace(
        stderr=stream, modules=sys.modules
    )  # pytest keeps the real one to itself
    monkeypatch.setattr("minattn.display.sys", seen)
    return stream


@pytest.fixture
def watched(notebook, monkeypatch):
    """Be a notebook with a person before it: only such a one allows input."""
    parent = {"content": {"allow_stdin": True}}
    monkeypatch.setattr(type(notebook), "get_parent", lambda self: parent, raising=False)
    return notebook


def documented(x):
    """Say what it does.

    And more.
    """
    y = """not a docstring"""
    return x, y


class Documented:
    """Say what it is."""

    size = 3

    def method(self):
        """Say what it does."""
        return self.size


# Showing


def test_outside_a_notebook_the_text_is_printed(capsys):
    show("a < b", html="<b>a</b>", metadata={"minattn": 1})
    assert capsys.readouterr().out == "a < b\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_an_output_that_lacks_a_sign_gets_a_plainer_one(encoding, monkeypatch):
    """Whatever the book prints may be piped into a file of any encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setattr(err, "isatty", lambda: True)
    claim("a 2 × 2 table → one number", 0.5, at_least=0.1, spread=[0.2, 0.3])
    with checks("it is true"):
        claim("it is", True)
    show_results(["model", "right"], {"Čapek's ☃": [[0.5, 0.2, 0.3]]})
    show_code("x = '✓'")
    line = Progress()
    line.update("step 1 …")
    line.done("steps 1 – 3")
    said = out.buffer.getvalue().decode(encoding)
    assert said.count("\n") == 7
    assert "a 2 × 2 table" in said or "a 2 x 2 table" in said
    assert ("✓ 1 check" in said) == (encoding == "utf-8") == ("ok: 1 check" not in said)
    assert b"step 1" in err.buffer.getvalue()


def test_in_a_notebook_text_html_and_metadata_are_kept(notebook):
    show("a < b", html="<b>a &lt; b</b>", metadata={"minattn": {"claim": "a"}})
    (output,) = notebook.outputs
    assert output["data"] == {"text/plain": "a < b", "text/html": "<b>a &lt; b</b>"}
    assert output["metadata"] == {"minattn": {"claim": "a"}}


def test_in_a_notebook_a_text_alone_stays_a_text(notebook):
    show("only text")
    assert notebook.outputs[0]["data"] == {"text/plain": "only text"}


def test_a_table_is_markdown_in_a_notebook_and_text_elsewhere(notebook, capsys):
    show_table(["model", "right"], [["ours", "0.9"], ["theirs", "0.8"]])
    (output,) = notebook.outputs
    lines = ["| model | right |", "| :-- | :-- |", "| ours | 0.9 |", "| theirs | 0.8 |"]
    assert output["data"] == dict.fromkeys(("text/plain", "text/markdown"), "\n".join(lines))
    assert capsys.readouterr().out == ""


def test_a_table_is_printed_in_a_terminal(capsys):
    show_table(["model"], [["ours"]])
    assert capsys.readouterr().out == "| model |\n| :-- |\n| ours |\n"


@pytest.mark.rejects
def test_a_table_rejects():
    with pytest.raises(ValueError, match=r"every column must have a name, got \['', 'right'\]"):
        show_table(["", "right"], [])
    with pytest.raises(ValueError, match=r"rows must have 2 cells, got \[2, 1\]"):
        show_table(["model", "right"], [["a", "b"], ["c"]])


# Source code


def test_source_is_shown_without_its_docstring(capsys):
    show_source(documented)
    assert capsys.readouterr().out == (
        'def documented(x):\n    y = """not a docstring"""\n    return x, y\n'
    )


def test_source_of_a_class_is_shown_without_any_docstring(capsys):
    show_source(Documented)
    assert capsys.readouterr().out == (
        "class Documented:\n    size = 3\n\n    def method(self):\n        return self.size\n"
    )


def test_source_of_a_method_is_moved_to_the_margin(capsys):
    show_source(Documented.method)
    assert capsys.readouterr().out == "def method(self):\n    return self.size\n"


@pytest.mark.parametrize(
    "thing",
    [
        recurrent.gru_step,
        recurrent.RecurrentTranslator,
        translation.Translator,
        translation.Memory,
        recurrent,
    ],
    ids=["function", "class", "abstract class", "tuple", "module"],
)
def test_what_is_shown_is_python_that_does_the_same(thing, capsys):
    show_source(thing)
    shown = ast.parse(capsys.readouterr().out)
    assert shown.body
    for node in ast.walk(shown):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert node.body
            assert ast.get_docstring(node) is None


def test_in_a_notebook_source_is_coloured_and_kept_as_text_too(notebook):
    show_source(documented)
    (output,) = notebook.outputs
    assert output["data"]["text/plain"].startswith("def documented(x):\n")
    assert '<div class="package-source"><div class="highlight">' in output["data"]["text/html"]


# Progress


def test_where_nobody_watches_only_the_last_line_is_written(capsys):
    line = Progress()
    line.update("step 1")
    line.update("step 2")
    line.done("done")
    assert capsys.readouterr() == ("done\n", "")


def test_in_a_terminal_the_line_lives_and_the_last_one_stays(terminal, capsys):
    line = Progress()
    line.update("step 1")
    line.update("step 2")
    assert terminal.getvalue() == "\r\x1b[Kstep 1\r\x1b[Kstep 2"
    line.done("done")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert capsys.readouterr().out == "done\n"


def test_progress_that_is_not_wanted_live_is_not_live(terminal, capsys):
    line = Progress(live=False)
    line.update("step 1")
    line.done("done")
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out == "done\n"


def test_a_notebook_that_is_only_executed_keeps_one_line(notebook):
    line = Progress()
    line.update("step 1")
    line.update("step 2")
    line.done("done")
    assert [output["data"] for output in notebook.outputs] == [{"text/plain": "done"}]


def test_a_notebook_that_is_watched_keeps_one_line_and_changes_it(watched):
    line = Progress()
    line.update("step 1")
    line.update("step 2")
    line.done("done")
    assert [output["data"]["text/plain"] for output in watched.outputs] == [
        "step 1",
        "step 2",
        "done",
    ]
    first, *changes = watched.outputs
    assert not first.get("update")
    assert all(output["update"] for output in changes)
    assert len({output["transient"]["display_id"] for output in watched.outputs}) == 1


def test_a_short_run_in_a_watched_notebook_keeps_its_last_line(watched):
    Progress().done("done")
    assert [output["data"] for output in watched.outputs] == [{"text/plain": "done"}]
