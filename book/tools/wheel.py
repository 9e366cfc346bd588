"""Build the package as flit does; a wheel also brings the stored results and models that the notebooks read.

pip calls this, as pyproject.toml says. In the project they lie where they are made, under book/; in a wheel
under minattn/book/, where `minattn.claims` finds them without the project.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from flit_core import buildapi
from flit_core.buildapi import build_sdist

__all__ = ["build_editable", "build_sdist", "build_wheel"]

PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "minattn")
STORED = ("book/experiments/results/*.json", "book/models/*.safetensors")


@contextmanager
def one_date() -> Iterator[None]:
    """Date all files in a wheel as pyproject.toml, unless told otherwise.

    A wheel knows no date before 1980, which is what files have that were unpacked without dates.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH")
    date = int(min(Path("pyproject.toml").stat().st_mtime, time.time()))
    os.environ["SOURCE_DATE_EPOCH"] = told or str(date)
    try:
        yield
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
        if told is not None:
            os.environ["SOURCE_DATE_EPOCH"] = told


def build_editable(
    wheel_directory: str, config_settings: object = None, metadata_directory: object = None
) -> str:
    """Build what leads from an environment to the project; return its name."""
    with one_date():
        return buildapi.build_editable(wheel_directory)


def build_wheel(
    wheel_directory: str, config_settings: object = None, metadata_directory: object = None
) -> str:
    """Build a wheel of the project in the current folder; return its name."""
    project, target = Path.cwd(), Path(wheel_directory).resolve()
    with tempfile.TemporaryDirectory() as aside:
        for name in PACKAGE:
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy2
            copy(name, Path(aside, name))
        for file in sorted(file for pattern in STORED for file in project.glob(pattern)):
            place = Path(aside, "minattn", file.relative_to(project))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
        with chdir(aside), one_date():
            return buildapi.build_wheel(str(target))
