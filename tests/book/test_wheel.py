"""What a wheel brings along, so that a notebook runs where there is no checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from book.tools import wheel

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def build(project, folder):
    """Build a wheel as pip does; return it, open."""
    here = os.getcwd()
    os.chdir(project)
    try:
        return zipfile.ZipFile(folder / wheel.build_wheel(str(folder)))
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with build(ROOT, tmp_path_factory.mktemp("wheel")) as made:
        yield made


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_that_a_notebook_read_is_in_the_wheel(notebook, archive):
    uses = json.loads(notebook.read_text("utf-8"))["metadata"]["minattn"]["uses"]
    names = set(archive.namelist())
    for used in uses:
        if not used.startswith("book/chapters/"):  # the notebook itself
            assert used in names or f"minattn/{used}" in names, used


def test_a_wheel_records_all_its_files_and_has_the_licences_of_its_data(archive):
    (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    recorded = {line.split(",")[0] for line in archive.read(record).decode().splitlines()}
    assert recorded == set(archive.namelist())
    for licence in (ROOT / "minattn" / "tasks").glob("*.LICENSE"):
        assert any(name.endswith(f"licenses/minattn/tasks/{licence.name}") for name in recorded)
    assert not any("__pycache__" in name for name in recorded)


def test_the_same_wheel_comes_out_of_the_archive_of_the_source(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / wheel.build_sdist(str(tmp_path))) as source:
        source.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        source.extractall(tmp_path)
    (project,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert (project / "book/tools/wheel.py").is_file()
    with build(project, tmp_path) as again:
        assert set(again.namelist()) == set(archive.namelist())


@pytest.mark.parametrize("date", [0, 7_300_000_000])
def test_a_wheel_is_built_from_files_of_whatever_date(date, tmp_path, monkeypatch):
    """Who unpacks an archive without dates has files of 1970; clocks go wrong in the other direction, too."""
    project, out = tmp_path / "project", tmp_path / "out"
    (project / "minattn").mkdir(parents=True)
    out.mkdir()
    files = ("pyproject.toml", "README.md", "LICENSE", "minattn/__init__.py")
    licences = [str(path.relative_to(ROOT)) for path in ROOT.glob("minattn/tasks/*.LICENSE")]
    for name in (*files, *licences):
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
        os.utime(project / name, (date, date))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.chdir(project)
    for make in (wheel.build_wheel, wheel.build_editable):
        with zipfile.ZipFile(out / make(str(out))) as made:
            assert len({entry.date_time for entry in made.infolist()}) == 1
    assert "SOURCE_DATE_EPOCH" not in os.environ


def test_an_installed_package_finds_results_and_models_in_an_empty_folder(archive, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    archive.extractall(installed)
    empty.mkdir()
    code = "from minattn.claims import results, stored_model; results('bert'); print(stored_model('t5'))"
    settings = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.strip())
    assert found == installed / "minattn/book/models/t5.safetensors" and found.is_file()
