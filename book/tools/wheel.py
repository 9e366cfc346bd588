"""Build the package as flit does; a wheel also brings the stored results and models that the notebooks read.

pip calls this, as pyproject.toml says. In the project they lie where they are made, under book/; in a wheel
under minattn/book/, where `minattn.claims` finds them without the project.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

from flit_core import buildapi
from flit_core.buildapi import build_editable, build_sdist

__all__ = ["build_editable", "build_sdist", "build_wheel"]

PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "minattn")
STORED = ("book/experiments/results/*.json", "book/models/*.safetensors")


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
        with chdir(aside):
            return buildapi.build_wheel(str(target))
