"""A release: one version everywhere, and archives that hold all data with their licences."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LICENCES = ["LICENSE", *sorted((ROOT / "minattn").rglob("*.LICENSE"))]
DATA = sorted(
    path
    for path in (ROOT / "minattn").rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc", ".LICENSE"}
)
STORED = sorted(
    [
        *(ROOT / "book" / "experiments" / "results").glob("*.json"),
        *(ROOT / "book" / "models").glob("*.safetensors"),
    ]
)


def relative(paths):
    return [(ROOT / path).relative_to(ROOT).as_posix() for path in paths]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """What `python -m build` makes, here without fetching a build backend."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def unpacked(archives, tmp_path_factory):
    """The folders of both, by name."""
    wheel, source = archives
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(folder / "wheel")
    with tarfile.open(source) as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        packed.extractall(folder / "source")
    (inside,) = (folder / "source").iterdir()
    return {"wheel": folder / "wheel", "sdist": inside}


def test_twine_finds_nothing_to_complain_of(archives):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_archive_holds_every_data_file_as_it_is(kind, unpacked):
    assert DATA
    for name in relative(DATA):
        found = unpacked[kind] / name
        assert found.is_file(), f"{name} is not in the {kind}"
        assert found.read_bytes() == (ROOT / name).read_bytes(), name


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_archive_holds_every_licence(kind, unpacked):
    (info,) = unpacked["wheel"].glob("*.dist-info")
    folder = info / "licenses" if kind == "wheel" else unpacked["sdist"]
    for name in relative(LICENCES):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes(), name
    said = (info / "METADATA").read_text(encoding="utf-8")
    assert re.findall("(?m)^License-File: (.*)$", said) == PROJECT["license-files"]
    assert sorted(PROJECT["license-files"]) == sorted(relative(LICENCES))


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_archive_holds_the_results_and_models_that_chapters_load(kind, unpacked):
    assert STORED
    folder = unpacked["wheel"] / "minattn" if kind == "wheel" else unpacked["sdist"]
    for name in relative(STORED):
        assert (folder / name).is_file(), f"{name} is not in the {kind}"


def test_an_archive_holds_nothing_that_was_only_lying_about(archives):
    names = zipfile.ZipFile(archives[0]).namelist()
    with tarfile.open(archives[1]) as packed:
        names += packed.getnames()
    assert [
        n for n in names if re.search(r"__pycache__|\.pyc$|\.ipynb_checkpoints|\.tmp$", n)
    ] == []
    assert max(path.stat().st_size for path in archives) <= 25e6


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"]) == version
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"(?m)^## \[(Unreleased|[\d.]+)\](?: - \d{4}-\d\d-\d\d)?$", changes)
    assert newest is not None, "the changelog begins with [Unreleased], or with [version] - date"
    coming = re.search(r"(?m)^To be (\S+)\.$", changes)
    named = newest[1] if newest[1] != "Unreleased" else coming and coming[1]
    assert named == version


def test_a_date_is_where_a_version_is_released():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^## (.*)$", changes)
    wrong = [h for h in heads[1:] if not re.fullmatch(r"\[[\d.]+\] - \d{4}-\d\d-\d\d", h)]
    assert wrong == []
