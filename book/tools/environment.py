"""Make .venv: a Python environment with what requirements.txt pins, and minattn itself.

    python3 book/tools/environment.py

A stamp inside .venv, written last, says which requirements it was made for, by which Python, and
where. Without a stamp the environment is half-made (pip takes a half-copied library for an
installed one), so it is made anew. With an outdated stamp it is completed. With the right stamp
there is nothing to do.

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

import errno
import hashlib
import os
import platform
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEEDED_GB = 2.5


class Failed(Exception):
    pass


def wanted_stamp(root):
    """What a finished environment says of itself, line by line."""
    lines = ["python %d.%d" % sys.version_info[:2], "at " + root]
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            text = file.read().replace(b"\r\n", b"\n")
        lines.append(name + " " + hashlib.sha256(text).hexdigest())
    return "\n".join(lines) + "\n"


def found_stamp(venv):
    """The stamp of an environment that still has its Python, or an empty text."""
    try:
        with open(os.path.join(venv, "minattn-stamp")) as file:
            stamp = file.read()
    except (OSError, UnicodeDecodeError):
        return ""
    return stamp if os.path.exists(python_of(venv)) else ""


def python_of(venv):
    if platform.system() == "Windows":
        return os.path.join(venv, "Scripts", "python.exe")
    return os.path.join(venv, "bin", "python")


def run(command, log, root, what):
    """Run `command` with all it says in `log`; of that, show only the large downloads."""
    # Text in English, so that the lines looked for below are there.
    settings = dict(os.environ, LC_ALL="C", PIP_DISABLE_PIP_VERSION_CHECK="1")
    settings.pop("PYTHONPATH", None)
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
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["no message"]
        raise Failed("%s failed: %s See %s" % (what, errors[-1].strip()[:200], log.name))


def make(root=ROOT):
    venv = os.path.join(root, ".venv")
    stamp_file = os.path.join(venv, "minattn-stamp")
    wanted, found = wanted_stamp(root), found_stamp(venv)
    if found == wanted:
        return
    # Completing is safe only where a finished environment of this Python stands in this place.
    complete = found.splitlines()[:2] == wanted.splitlines()[:2]
    if complete:
        print("The requirements changed: bringing .venv up to date.", flush=True)
        os.remove(stamp_file)
    else:
        if os.path.exists(venv):
            print("Clearing away an unfinished or foreign .venv.", flush=True)
            shutil.rmtree(venv)
        free = shutil.disk_usage(root).free / 1e9
        if free < NEEDED_GB:
            raise Failed(
                "%.1f GB free in %s; the environment needs %.1f GB." % (free, root, NEEDED_GB)
            )
        print("Making .venv: a minute or more, depending on the network.", flush=True)

    if not os.path.isdir(os.path.join(root, "_build")):
        os.mkdir(os.path.join(root, "_build"))
    log_name = os.path.join("_build", "install.log")
    with open(os.path.join(root, log_name), "w", encoding="utf-8") as log:
        if not complete:
            run([sys.executable, "-m", "venv", venv], log, root, "python -m venv .venv")
        install = [python_of(venv), "-m", "pip", "install", "--no-input"]
        run(install + ["-r", "requirements.txt"], log, root, "pip install -r requirements.txt")
        # The build backend is among the pins: nothing more is fetched.
        here = ["--no-deps", "--no-build-isolation", "--editable", "."]
        run(install + here, log, root, "pip install --editable .")
    with open(stamp_file, "w") as file:
        file.write(wanted)


def main():
    try:
        make()
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
