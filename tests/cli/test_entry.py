"""Ctrl-C while the command begins: a word, status 130, and nothing of Python's own."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.SIG_IGN if "IGNORED" in os.environ else signal.default_int_handler)
"""
"""Python loads it before anything of ours: a Ctrl-C comes at the moment at which a module is asked for."""
SCRIPT = "import sys; from oneblock.cli.entry import main; sys.exit(main())"
"""What an installed `oneblock` is."""


def begun(folder, at, *words, installed=False, **environment):
    (folder / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    command = ["-c", SCRIPT] if installed else ["-m", "oneblock"]
    return subprocess.run(
        [sys.executable, *command, *words],
        env=os.environ | {"PYTHONPATH": path, "INTERRUPT_AT": at} | environment,
        capture_output=True, text=True, timeout=60, cwd=folder,
    )  # fmt: skip


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("at", ["oneblock.cli.main", "argparse", "oneblock.config.block", "oneblock.cli.learn", "rich"])
def test_however_early_it_comes(tmp_path, at, installed):
    done = begun(tmp_path, at, "learn", "lessons", installed=installed)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nstopped\n")


def test_when_torch_is_loaded(tmp_path):
    done = begun(tmp_path, "torch.nn", "show", "nano")
    assert (done.returncode, done.stderr) == (130, "\nstopped\n")


def test_where_a_shell_has_it_ignored_it_stays_so(tmp_path):
    done = begun(tmp_path, "argparse", "--version", IGNORED="1")
    assert (done.returncode, done.stdout[:9], done.stderr) == (0, "oneblock ", "")


def test_without_one_all_is_as_ever(tmp_path):
    assert begun(tmp_path, "", "--version").stdout.startswith("oneblock ")
    wrong = begun(tmp_path, "", "learn", "nonsense")
    assert wrong.returncode == 2 and wrong.stderr.startswith("oneblock learn: nonsense is not something to learn")


def test_the_installed_command_begins_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["oneblock"].partition(":")
    assert f"from {module} import {name}" in SCRIPT


def test_nothing_is_loaded_before_it_listens():
    code = "import sys; had = set(sys.modules); import oneblock.cli.entry; print(*sorted(set(sys.modules) - had))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__future__", "oneblock", "oneblock.cli", "oneblock.cli.entry"]


def test_the_handler_is_given_back_to_the_verb(monkeypatch):
    from oneblock.cli import entry, main

    handlers = []

    def command(ready):
        handlers.append(signal.getsignal(signal.SIGINT))
        ready()
        handlers.append(signal.getsignal(signal.SIGINT))
        return 7

    monkeypatch.setattr(main, "main", command)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert entry.main() == 7
        assert handlers == [entry._leave, signal.default_int_handler]
        assert signal.getsignal(signal.SIGINT) is entry._leave
    finally:
        signal.signal(signal.SIGINT, before)
