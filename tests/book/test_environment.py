"""How .venv is made: what it says when something goes wrong, and what it never does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book.tools import (
    environment,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A project whose requirements cannot be installed, so that no network is needed to fail."""
    (tmp_path / "requirements.txt").write_text("./no-such-folder\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'nothing'\n")
    return tmp_path


@pytest.fixture
def fake_python(project, monkeypatch):
    """A Python that only notes how it was called, for the project's own and for that of its .venv.

    It fails when told to in the file `fail`, and makes .venv as `python -m venv` would.
    """
    script = project / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {project}/calls\n'
        f"if [ -e {project}/fail ]; then cat {project}/fail; exit 1; fi\n"
        f'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(environment, "maker", lambda: str(script))
    return script


def calls(project):
    """The calls made since this was last asked, the first one of pip for what is set for it."""
    file = project / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def error_line(capsys, function, *arguments):
    with pytest.raises(SystemExit) as stop:
        function(*arguments)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def run_main(project):
    """What `make env` runs, in another project."""
    make = environment.make
    environment.make = lambda: make(str(project))
    try:
        environment.main()
    finally:
        environment.make = make


def test_old_python_is_told_so_in_one_line():
    code = "import sys; sys.version_info = (3, 10, 1); exec(open(sys.argv[1]).read())"
    command = [sys.executable, "-c", code, str(ROOT / "book/tools/environment.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is Python 3.10; the book needs 3.11 or newer" in done.stderr


def test_no_python_is_told_so_in_one_line(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "book", "PYTHON=python9"], cwd=tmp_path, capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(ours) == 1
    assert "no python9 found" in ours[0]


def test_a_finished_environment_is_left_alone(project, fake_python):
    environment.make(str(project))
    made = calls(project)
    assert [call.split()[1] for call in made] == ["venv", "pip", "pip", "pip"]
    environment.make(str(project))
    assert calls(project) == []


def test_a_failed_install_is_one_line_and_is_not_taken_for_done(project, fake_python, capsys):
    (project / "fail").write_text("Collecting things\nERROR: No matching distribution for x\n")
    line = error_line(capsys, run_main, project)
    assert "ERROR: No matching distribution for x" in line
    log = Path(line.rsplit(" ", 1)[1])
    assert "Collecting things" in log.read_text()

    (project / "fail").unlink()
    calls(project)
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")


@pytest.mark.slow
def test_the_real_pip_failing_is_one_line(project, capsys):
    line = error_line(capsys, run_main, project)
    assert "pip install -r requirements.txt failed: ERROR: Invalid requirement" in line
    assert not (project / ".venv/minattn-stamp").exists()


NO_INDEX = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(": Failed to establish a new
 connection: [Errno -2] Name or service not known")': /simple/numpy/
ERROR: Could not find a version that satisfies the requirement numpy==2.4.6 (from versions: none)
ERROR: No matching distribution found for numpy==2.4.6
"""


def test_no_index_is_told_as_what_it_is(project, fake_python, capsys):
    (project / "fail").write_text(NO_INDEX)
    line = error_line(capsys, run_main, project)
    assert "reached no index of packages: Name or service not known. Is there a network" in line


def test_a_folder_that_cannot_be_written_is_told_in_one_line(project, fake_python, capsys):
    (project / "_build").write_text("in the way")  # whatever the reason; a test may run as root
    assert f"'{project / '_build'}" in error_line(capsys, run_main, project)


def test_a_full_disk_during_the_install(project, fake_python, capsys):
    (project / "fail").write_text("ERROR: Could not install: [Errno 28] No space left on device\n")
    assert "the disk is full" in error_line(capsys, run_main, project)


def test_a_python_without_venv_is_told_how_to_have_it(project, fake_python, capsys):
    (project / "fail").write_text("not created successfully because ensurepip is not available.\n")
    assert "apt-get install python3-venv" in error_line(capsys, run_main, project)


def test_a_python_built_without_a_part_is_told_which(project, monkeypatch, capsys):
    find = environment.importlib.util.find_spec
    monkeypatch.setattr(
        environment.importlib.util,
        "find_spec",
        lambda name: None if name == "_lzma" else find(name),
    )
    line = error_line(capsys, run_main, project)
    assert "must have lzma, and was built without" in line
    assert not (project / ".venv").exists()


def test_too_little_disk_is_said_before_anything_is_made(project, monkeypatch, capsys):
    usage = shutil.disk_usage(project)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "1.0 GB free" in error_line(capsys, run_main, project)
    assert not (project / ".venv").exists()


def test_a_half_made_environment_is_made_anew(project, fake_python):
    environment.make(str(project))
    (project / ".venv/minattn-stamp").unlink()
    (project / ".venv/half-copied-library").touch()
    calls(project)
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")
    assert not (project / ".venv/half-copied-library").exists()


def test_new_requirements_complete_a_finished_environment(project, fake_python, capsys):
    environment.make(str(project))
    calls(project)
    (project / "requirements.txt").write_text("./another-folder\n")
    (project / "fail").write_text("ERROR: no\n")
    error_line(capsys, run_main, project)
    assert calls(project)[1].startswith("-m pip install")

    # That was interrupted half-way: from here on, nothing in it can be trusted.
    (project / "fail").unlink()
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")


def test_a_moved_project_does_not_keep_the_old_place_s_environment(project, fake_python, tmp_path):
    environment.make(str(project))
    calls(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (".venv", "requirements.txt", "pyproject.toml"):
        (project / name).rename(elsewhere / name)
    environment.make(str(elsewhere))
    assert calls(project)[0].startswith("-m venv")


@pytest.mark.parametrize("name", ["größe".encode(), b"gr\xf6\xdfe"])  # the second is not UTF-8
def test_a_folder_of_any_name_keeps_its_environment_in_every_locale(name, project):
    root = project / os.fsdecode(name)
    try:
        root.mkdir()
    except OSError:
        pytest.skip("no folder is called so on this system")
    for file in ("requirements.txt", "pyproject.toml"):
        shutil.copy(project / file, root)
    code = (
        "import os; from book.tools import environment\n"
        "def run(command, *_):\n"
        "    print('called'); os.makedirs('.venv/bin', exist_ok=True); open('.venv/bin/python', 'w')\n"
        "environment.run, environment.settings_for_pip = run, lambda python: {}\n"
        "environment.make(os.getcwd())"
    )
    found = []
    for utf8 in "101":
        theirs = {"PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
        settings = {**os.environ, **theirs, "PYTHONUTF8": utf8}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True)
        found.append((done.returncode, done.stdout.count("called")))
    assert found == [(0, 3), (0, 0), (0, 0)]


@pytest.mark.parametrize("filled", [True, False])
def test_an_environment_that_is_a_link_to_another_disk_is_made_there(filled, project, fake_python):
    """In a small home, say; and what is on a scratch disk may be gone one day."""
    (project / ".venv").symlink_to("scratch/venv")
    if filled:
        (project / "scratch/venv/lib").mkdir(parents=True)
        (project / "scratch/venv/lib64").symlink_to("lib")
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")
    assert (project / ".venv").is_symlink()
    made = {path.name for path in (project / "scratch/venv").iterdir()}
    assert made == {"bin", "minattn-stamp"}


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "make", interrupted)
    assert "interrupted" in error_line(capsys, environment.main)


# Settings from elsewhere ---------------------------------------------------------------------------

BACKEND = """
import zipfile
from pathlib import Path

def build(folder, name):
    wheel = f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{file},,\\n" for file in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(Path(folder, wheel), "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return wheel

def build_editable(folder, config_settings=None, metadata_directory=None):
    return build(folder, "ours")
"""


@pytest.fixture
def installable(tmp_path):
    """A project whose one requirement is a wheel beside it, which is found by a name."""
    (tmp_path / "backend.py").write_text(BACKEND)
    code = {}
    exec(BACKEND, code)
    (tmp_path / "wheels").mkdir()
    code["build"](tmp_path / "wheels", "theirs")
    (tmp_path / "requirements.txt").write_text("theirs==1.0\n")
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'ours'\nversion = '1.0'\n"
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    return tmp_path


@pytest.mark.slow
def test_whatever_is_set_for_pip_and_python_things_go_into_the_environment(
    installable, monkeypatch
):
    elsewhere = installable / "elsewhere"
    for (
        name
    ) in "USER REQUIRE_VIRTUALENV NO_DEPS DRY_RUN REQUIRE_HASHES BREAK_SYSTEM_PACKAGES".split():
        monkeypatch.setenv(f"PIP_{name}", "1")
    monkeypatch.setenv("PIP_TARGET", str(elsewhere / "target"))
    monkeypatch.setenv("PIP_PREFIX", str(elsewhere / "prefix"))
    monkeypatch.setenv("PIP_CONSTRAINT", str(elsewhere / "nowhere.txt"))
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    for name in "HOME PATH USERBASE".split():
        monkeypatch.setenv(f"PYTHON{name}", str(elsewhere))
    # In its files the same, and what has to be kept: where the packages are.
    config = installable / "pip.conf"
    config.write_text(
        f"[global]\nno-index = true\nfind-links =\n  {installable}/nowhere\n  {installable}/wheels\n"
        f"user = true\n[install]\nroot = {elsewhere}/root\nignore-installed = maybe\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    environment.make(str(installable))
    (place,) = (installable / ".venv").glob("lib/python3*/site-packages")
    assert (place / "theirs.py").exists() and (place / "ours.py").exists()
    assert not elsewhere.exists()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """What pip is told of what is set in files and beside them."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)

    def told(texts=(), **settings):
        said = "env_var:\n"
        for kind, text in dict(texts).items():
            (tmp_path / f"{kind} pip.conf").write_text(text)
            said += f"{kind}:\n  /nowhere/pip.conf, exists: False\n  {tmp_path}/{kind} pip.conf, exists: True\n"
        done = subprocess.CompletedProcess([], 0, stdout=said.encode())
        monkeypatch.setattr(subprocess, "run", lambda *words, **others: done)
        for name, text in settings.items():
            monkeypatch.setenv(name, text)
        found = environment.settings_for_pip("python")
        assert found.pop("PIP_CONFIG_FILE") == os.devnull
        del found["PIP_DISABLE_PIP_VERSION_CHECK"]
        return {name[4:]: text for name, text in found.items() if name.startswith("PIP_")}

    return told


def test_what_says_where_packages_come_from_is_kept_and_the_weightiest_wins(kept):
    one = (
        "[global]\nindex-url = https://one\nproxy = http://one\ncert = /one.pem\ntarget = /there\n"
    )
    two = (
        "[global]\nindex_url = https://two\n[install]\nproxy = http://two\nuser = true\n"
        "[download]\ntimeout = 3\n"
    )
    files = {"env": "[global]\ncert = /three.pem", "global": one, "site": "no [ file", "user": two}
    assert kept(files, PIP_TARGET="/there", PIP_EXTRA_INDEX_URL="https://a b") == {
        "INDEX_URL": "https://two",
        "PROXY": "http://two",
        "CERT": "/three.pem",
        "EXTRA_INDEX_URL": "https://a b",
    }
    assert kept(files, PIP_PROXY="http://four")["PROXY"] == "http://four"


def test_no_index_is_kept_only_where_there_is_another_place_to_install_from(kept):
    assert kept(PIP_NO_INDEX="1") == {}
    with_links = {"user": "[global]\nfind-links = /wheels\n"}
    assert kept(with_links, PIP_NO_INDEX="1") == {"NO_INDEX": "1", "FIND_LINKS": "/wheels"}


# Which Python --------------------------------------------------------------------------------------


def test_another_python_of_the_same_version_makes_the_environment_anew(project, fake_python):
    environment.make(str(project))
    calls(project)
    config = project / ".venv/pyvenv.cfg"
    config.write_text(f"home = /x\nexecutable = {fake_python}\n")
    environment.make(str(project))
    assert calls(project) == []
    config.write_text("home = /x\nexecutable = /opt/python3.11\n")
    environment.make(str(project))
    assert calls(project)[0].startswith("-m venv")


def test_an_environment_s_own_python_makes_it_anew_with_the_one_behind(monkeypatch):
    """Python may be that of .venv, which is activated, and is about to be cleared away."""
    monkeypatch.setattr(sys, "prefix", "/project/.venv")
    monkeypatch.setattr(sys, "executable", "/project/.venv/bin/python")
    monkeypatch.setattr(sys, "_base_executable", "/usr/bin/a-python", raising=False)
    assert environment.maker() == "/usr/bin/a-python"
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert environment.maker() == "/project/.venv/bin/python"
