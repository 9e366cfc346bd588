"""Every notebook is its chapter, executed by today's code; what nbval cannot see is looked at here."""

import re
from pathlib import Path

import nbformat
import pytest

from book.tools import claims_page, models_page, notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = notebooks.chapters(ROOT)
COLUMNS = 88  # of code fit in a chapter on a laptop; the sheet makes the room
NO_ALT_TEXT = re.compile(r"(figure|image|plot|picture|\S+\.(png|svg))?", re.IGNORECASE)

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


def read(chapter):
    path = ROOT / "notebooks" / f"{chapter.stem}.ipynb"
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def test_there_are_chapters_and_each_notebook_has_one():
    assert CHAPTERS
    assert notebooks.orphans(ROOT) == []


@every_chapter
def test_the_notebook_says_what_the_chapter_says(chapter):
    said = [(c.cell_type, c.source, c.metadata, c.id) for c in read(chapter).cells]
    wanted = [
        (c.cell_type, c.source, c.metadata, c.id) for c in notebooks.from_source(chapter).cells
    ]
    assert said == wanted


def lines_of(cell):
    """The lines that a reader sees in the letters of code: the code, and what it shows as such."""
    yield from cell.source.splitlines()
    for output in cell.outputs:
        shown = output.get("data", {})
        html = shown.get("text/html", "")
        if output.output_type == "stream":
            yield from output.text.splitlines()
        elif "package-source" in html or not shown.keys() - {"text/plain"}:
            yield from shown.get("text/plain", "").splitlines()


@every_chapter
def test_every_line_fits_on_a_laptop(chapter):
    lines = [line for cell in code_cells(read(chapter)) for line in lines_of(cell)]
    assert [line for line in lines if len(line) > COLUMNS] == []


# nbval does not compare pictures: that they are today's is known only from what drew them.
@every_chapter
def test_the_notebook_was_executed_with_today_s_files(chapter):
    assert notebooks.why_stale(chapter, ROOT) is None, "run make notebooks"


@every_chapter
def test_every_code_cell_was_executed_once_from_top_to_bottom(chapter):
    cells = code_cells(read(chapter))
    assert cells
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_chapter
def test_no_cell_failed_unless_it_is_meant_to(chapter):
    for cell in code_cells(read(chapter)):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source


# A warning on stderr differs between machines, and a reader should not have to wonder about it.
@every_chapter
def test_no_cell_writes_to_stderr(chapter):
    for cell in code_cells(read(chapter)):
        assert not [o.text for o in cell.outputs if o.get("name") == "stderr"], cell.source


# IPython looks for it in a history that nbval does not keep: there, the value would be shown.
@every_chapter
def test_no_cell_hides_its_value_by_a_semicolon(chapter):
    for cell in code_cells(read(chapter)):
        assert not cell.source.rstrip().endswith(";"), f"write `_ = ...` instead:\n{cell.source}"


@every_chapter
def test_nothing_of_the_machine_is_in_the_metadata(chapter):
    notebook = read(chapter)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "minattn"}
    assert notebook.metadata.kernelspec == notebooks.KERNELSPEC
    assert notebook.metadata.language_info == {"name": "python"}
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert not [cell.source for cell in notebook.cells if "execution" in cell.metadata]


@every_chapter
def test_outputs_name_no_folder_and_no_address_in_memory(chapter):
    for cell in code_cells(read(chapter)):
        for output in cell.outputs:
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            for text in texts:
                text = str(text)
                assert str(ROOT) not in text, cell.source
                assert not re.search(r" at 0x[0-9a-f]{6,}", text), cell.source


@every_chapter
def test_every_picture_has_alt_text(chapter):
    for cell in code_cells(read(chapter)):
        kinds = {
            kind for o in cell.outputs for kind in o.get("data", {}) if kind.startswith("image/")
        }
        if kinds:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert not NO_ALT_TEXT.fullmatch(alt.strip()), f"no alt text for:\n{cell.source}"


@every_chapter
def test_solutions_are_folded_away(chapter):
    for cell in code_cells(read(chapter)):
        says_so = cell.source.startswith("# Solution")
        folded = "hide-cell" in tags(cell) and cell.metadata.get("jupyter", {}).get("source_hidden")
        assert not says_so or folded, f"not folded:\n{cell.source}"
        assert says_so or "hide-cell" not in tags(cell), f"no solution, yet folded:\n{cell.source}"


def test_the_claims_page_is_in_step():
    page = ROOT / "book" / "claims.md"
    assert page.read_text(encoding="utf-8") == claims_page.render(ROOT), "run make notebooks"


def test_the_models_page_is_in_step():
    page = ROOT / "book" / "models.md"
    assert page.read_text(encoding="utf-8") == models_page.render(ROOT), "run make notebooks"
