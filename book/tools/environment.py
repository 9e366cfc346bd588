"""Make .venv: a Python environment with what requirements.txt pins, and minattn itself.

    python3 book/tools/environment.py

A stamp inside .venv, written last, says which requirements it was made for, by which Python, and
where. Without a stamp the environment is half-made (pip takes a half-copied library for an
installed one), so it is made anew. With an outdated stamp it is completed. With the right stamp
there is nothing to do.

What a person has set for pip or for Python elsewhere has no say in where things go: of pip's settings, those
are kept that say where packages come from and how they are fetched.

Whatever goes wrong ends in one line. This file needs no library, and reads under any Python since
2.7, far enough to say that it is too old.
"""

from __future__ import print_function

import sys

OLDEST = (3, 11)


def fail(message):
    print("minattn: " + message, file=sys.stderr)
    sys.exit(1)


if sys.version_info < OLDEST:
    fail(
        "%s is Python %d.%d; the book needs %d.%d or newer. Name one: make PYTHON=python3.12 ..."
        % ((sys.executable,) + tuple(sys.version_info[:2]) + OLDEST)
    )

import configparser
import contextlib
import errno
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from pathlib import Path

from book.tools.alone import alone
from book.tools.clean import remove

NEEDED_GB = 2.5
# Parts of Python that are left out where it was built without the libraries for them.
PARTS = "_ctypes _lzma _sqlite3 _ssl zlib".split()
# The settings of pip that are kept.
KEPT = (
    "index-url extra-index-url find-links trusted-host proxy cert client-cert cache-dir no-cache-dir timeout "
    "default-timeout retries keyring-provider no-index"
).split()
# The kinds of files that it reads, the weightiest last.
KINDS = ("global", "user", "site", "env")
# What pip says when it came to no index, and what that means.
UNREACHED = re.compile(
    r"Failed to establish a new connection|Connection refused|Name or service not known|"
    r"name resolution|Network is unreachable|ProxyError|ReadTimeout|ConnectTimeout|CERTIFICATE_VERIFY_FAILED"
)

STAMP = {"encoding": "utf-8", "errors": "surrogateescape"}


class Failed(Exception):
    pass


def wanted_stamp(root):
    """What a finished environment says of itself, line by line."""
    # The name of a folder is bytes, of any encoding, and the same whatever this call takes text for.
    place = os.fsencode(root).decode("utf-8", "surrogateescape")
    lines = ["python %d.%d" % sys.version_info[:2], "at " + place]
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            text = file.read().replace(b"\r\n", b"\n")
        lines.append(name + " " + hashlib.sha256(text).hexdigest())
    return "\n".join(lines) + "\n"


def found_stamp(venv):
    """The stamp of an environment that still has its Python, or an empty text."""
    try:
        with open(os.path.join(venv, "minattn-stamp"), **STAMP) as file:
            stamp = file.read()
    except (OSError, UnicodeDecodeError):
        return ""
    return stamp if os.path.exists(python_of(venv)) else ""


def maker():
    """The Python that makes environments: this one, and if it is one of an environment, the one that made that."""
    inside = sys.prefix != sys.base_prefix
    return os.path.realpath(getattr(sys, "_base_executable", "") if inside else sys.executable)


def made_by(venv):
    """The Python that made an environment, as that says of itself; an empty text if it does not."""
    try:
        with open(os.path.join(venv, "pyvenv.cfg"), encoding="utf-8") as file:
            found = re.search(r"(?m)^executable *= *(.+)$", file.read())
    except (OSError, UnicodeDecodeError):
        return ""
    return found.group(1).strip() if found else ""


def python_of(venv):
    if platform.system() == "Windows":
        return os.path.join(venv, "Scripts", "python.exe")
    return os.path.join(venv, "bin", "python")


def settings_without(*prefixes):
    """The settings of this process without those whose names begin in some way; text is in English, as looked for."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(prefixes)}
    return dict(kept, LC_ALL="C", PYTHONIOENCODING="utf-8")


def settings_for_pip(python):
    """Settings under which pip installs into its own environment, whatever is set for it in files or beside them."""
    # pip itself says which files it would read. What it lists as set in them depends on what is set.
    said = subprocess.run(
        [python, "-m", "pip", "config", "debug"],
        env=settings_without("PYTHON"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    ).stdout.decode("utf-8", "replace")
    kind, files = "", []
    for heading, file in re.findall(r"(?m)^(\w+):$|^  (\S.*), exists: True$", said):
        kind = heading or kind
        if file and kind in KINDS:
            files.append((KINDS.index(kind), file))
    found = {"global": {}, "install": {}, "set": {}}
    for _, file in sorted(files, key=lambda entry: entry[0]):  # in their order within a kind
        config = configparser.RawConfigParser()
        with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
            config.read(file, encoding="utf-8")
        for section in set(config.sections()) & set(found):
            for name, text in config.items(section):
                found[section][name.replace("_", "-")] = text
    for name, text in os.environ.items():
        if name.startswith("PIP_"):
            found["set"][name[4:].lower().replace("_", "-")] = text
    merged = dict(found["global"], **found["install"])
    merged.update(found["set"])
    kept = {name: text for name, text in merged.items() if name in KEPT}
    if not kept.get("find-links"):
        kept.pop("no-index", None)  # nowhere at all is no place to install from
    settings = settings_without("PYTHON", "PIP_")
    settings.update(("PIP_" + name.upper().replace("-", "_"), text) for name, text in kept.items())
    # None of the files is read again.
    return dict(settings, PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1")


def run(command, log, root, what, settings):
    """Run `command` with all it says in `log`; of that, show only the large downloads."""
    process = subprocess.Popen(
        command, cwd=root, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = []
    with process.stdout:
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            lines.append(line)
            log.write(line + "\n")
            if re.match(r" *Downloading .*\((\d{2,}\.\d MB|.* GB)\)", line):
                print("  " + line.strip(), flush=True)
    if process.wait() != 0:
        if any("No space left" in line for line in lines):
            raise Failed("the disk is full: %s did not finish. See %s" % (what, log.name))
        if any("ensurepip is not available" in line for line in lines):
            raise Failed("%s lacks venv (Debian: apt-get install python3-venv)." % sys.executable)
        unreached = [line for line in lines if UNREACHED.search(line)]
        if unreached and any("No matching distribution" in line for line in lines):
            raise Failed(
                "%s reached no index of packages: %s. Is there a network, do proxy and PIP_INDEX_URL fit? See %s"
                % (what, UNREACHED.search(unreached[-1]).group(), log.name)
            )
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["no message"]
        raise Failed("%s failed: %s See %s" % (what, errors[-1].strip()[:200], log.name))


def make(root=ROOT):
    venv = os.path.join(root, ".venv")
    if is_made(root, venv):
        return
    with alone("environment", Path(root)):
        if not is_made(root, venv):  # by the one that was waited for
            make_now(root, venv)


def is_made(root, venv):
    return found_stamp(venv) == wanted_stamp(root) and made_by(venv) in ("", maker())


def make_now(root, venv):
    lacking = [name.strip("_") for name in PARTS if not importlib.util.find_spec(name)]
    if lacking:
        raise Failed(
            "%s must have %s, and was built without: build it anew where their libraries are (Debian: apt-get "
            "install libffi-dev liblzma-dev libsqlite3-dev libssl-dev zlib1g-dev), or name another: "
            "make PYTHON=python3.12 ..." % (maker(), ", ".join(lacking))
        )
    stamp_file = os.path.join(venv, "minattn-stamp")
    wanted, found = wanted_stamp(root), found_stamp(venv)
    # Completing is safe only where a finished environment of this Python stands in this place.
    same = made_by(venv) in ("", maker())
    complete = same and found.splitlines()[:2] == wanted.splitlines()[:2]
    if complete:
        print("The requirements changed: bringing .venv up to date.", flush=True)
        os.remove(stamp_file)
    else:
        place = root
        if os.path.exists(venv):
            print("Clearing away an unfinished or foreign .venv.", flush=True)
        # A link, to a larger disk say, stays, and may lead to what is gone.
        if os.path.islink(venv):
            place = os.path.realpath(venv)
            remove(Path(venv))
            os.makedirs(place, exist_ok=True)
        elif os.path.exists(venv):
            shutil.rmtree(venv)
        free = shutil.disk_usage(place).free / 1e9
        if free < NEEDED_GB:
            raise Failed(
                "%.1f GB free in %s; the environment needs %.1f GB." % (free, place, NEEDED_GB)
            )
        print("Making .venv: a minute or more, depending on the network.", flush=True)

    log_name = os.path.join("_build", "install.log")
    with open(os.path.join(root, log_name), "w", encoding="utf-8") as log:
        if not complete:
            plain = settings_without("PYTHON", "PIP_")
            run([maker(), "-m", "venv", venv], log, root, "python -m venv .venv", plain)
        settings = settings_for_pip(python_of(venv))
        install = [python_of(venv), "-m", "pip", "install", "--no-input"]
        needed = ["-r", "requirements.txt"]
        run(install + needed, log, root, "pip install -r requirements.txt", settings)
        # The build backend is among the pins: nothing more is fetched.
        here = ["--no-deps", "--no-build-isolation", "--editable", "."]
        run(install + here, log, root, "pip install --editable .", settings)
    with open(stamp_file, "w", **STAMP) as file:
        file.write(wanted)


def main(make_what=None):
    try:
        (make_what or make)()
    except Failed as reason:
        fail(str(reason))
    except KeyboardInterrupt:
        fail("interrupted; the next call starts the environment anew.")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail("the disk is full: the environment was not finished.")
        fail("the environment was not finished: %s" % error)


if __name__ == "__main__":
    main()
