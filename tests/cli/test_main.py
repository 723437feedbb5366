"""Verbs, exit statuses, and what goes where."""

import argparse
import json
import math
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from oneblock.cli import main as command
from oneblock.cli.common import Verb, above_zero, at_least, say
from oneblock.config.errors import ConfigError, OneblockError


@pytest.fixture
def verb(monkeypatch):
    """`verb(run)` makes `oneblock fake --number N` do `run(args)`."""

    def made(run):
        def options(parser):
            parser.add_argument("--number", type=at_least(2))

        module = types.ModuleType("oneblock.cli.fake")
        module.VERB = Verb(name="fake", summary="does as told", options=options, run=run)
        monkeypatch.setitem(sys.modules, "oneblock.cli.fake", module)
        monkeypatch.setitem(command.VERBS, "fake", "does as told")
        return lambda *arguments: command.main(["fake", *arguments])

    return made


def fails(error):
    def run(args):
        raise error

    return run


def test_json_is_the_last_line_and_holds_what_json_can(verb, capsys):
    def run(args):
        say("working")
        print("words")
        return {"loss": math.nan, "deep": [{"x": -math.inf, 3: (1, "é")}], "path": Path("a/b"), "found_wrong": False}

    assert verb(run)("--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == {"loss": None, "deep": [{"x": None, "3": [1, "é"]}], "path": "a/b"}
    assert err == "working\n"
    assert verb(run)() == 0 and capsys.readouterr().out == "words\n"


def test_of_several_processes_one_says_what_is_wrong(verb, capsys, monkeypatch):
    wrong = verb(fails(OneblockError("x=3 is wrong")))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, known, said in (
        ("0", False, "oneblock fake: x=3 is wrong\n"),
        ("1", True, ""),
        ("1", False, "oneblock fake (process 1): x=3 is wrong\n"),
    ):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setattr("oneblock.train.processes.first_says", lambda words, known=known: known and "x=3" in words)
        assert wrong() == 2
        assert capsys.readouterr().err == said


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_several_processes_one_says_what_argparse_says(verb, capsys, monkeypatch, rank, speaks):
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit) as ended:
        verb(lambda args: {})("--number", "1")
    assert ended.value.code == 2 and ("1 is below 2" in capsys.readouterr().err) is speaks


@pytest.mark.parametrize(("result", "status"), [({}, 0), ({"found_wrong": False}, 0), ({"found_wrong": True}, 1)])
def test_status_of_a_result(verb, result, status):
    assert verb(lambda args: result)() == status


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OneblockError("no such text"), 2, "oneblock fake: no such text\n"),
        (ConfigError("width", 3, "is odd", (2, 4)), 2, "oneblock fake: width=3 is odd; try 2, 4\n"),
        (KeyboardInterrupt(), 130, "\nstopped\n"),
    ],
)
def test_status_of_errors(verb, capsys, error, status, words):
    assert verb(fails(error))("--json") == status
    assert capsys.readouterr() == ("", words)


def test_a_mistake_of_ours_is_not_hidden(verb):
    with pytest.raises(ZeroDivisionError):
        verb(fails(ZeroDivisionError()))()


@pytest.mark.parametrize(
    "arguments", [["fake", "--number", "1"], ["fake", "--nonsense"], ["nonsense"], ["fake", "more"]]
)
def test_arguments_that_are_not_understood(verb, capsys, arguments):
    verb(lambda args: {})
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2 and capsys.readouterr().err.startswith("usage: oneblock")


def test_settings_are_gathered_in_order(verb):
    seen = []
    run = verb(lambda args: seen.append((args.settings, args.json, args.number)) or {})
    run("--set", "a=1", "--number", "7", "--set", "b=2")
    assert seen == [(["a=1", "b=2"], False, 7)]


def test_without_a_verb_there_is_help(capsys):
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out and summary in out for name, summary in command.VERBS.items())


@pytest.mark.parametrize("name", list(command.VERBS))
def test_every_verb_has_its_file(name):
    module = __import__(f"oneblock.cli.{name}", fromlist=["VERB"])
    assert module.VERB.name == name and module.VERB.summary == command.VERBS[name]


def test_numbers_from_the_command_line():
    assert at_least(3)("3") == 3 and above_zero("0.5") == 0.5
    for parse, text in (
        (at_least(3), "2"),
        (at_least(0), "1.5"),
        (above_zero, "0"),
        (above_zero, "inf"),
        (above_zero, "x"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=text.replace(".", r"\.")):
            parse(text)


def test_help_is_quick_and_loads_no_torch():
    resource = pytest.importorskip("resource")
    code = "import sys; from oneblock.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    took = []
    for arguments in (["--help"], ["train", "--help"], ["--version"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert done.stdout.splitlines()[-1] == "False"
    # Of the processor's time, which other programs on a busy machine do not lengthen much.
    assert min(took) < 0.3


def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys, types\nfrom oneblock.cli import main, common\n"
        "def run(args):\n    for _ in range(10**6): print('y' * 99)\n    return {}\n"
        "fake = types.ModuleType('oneblock.cli.fake')\n"
        "fake.VERB = common.Verb(name='fake', summary='x', options=lambda parser: None, run=run)\n"
        "sys.modules['oneblock.cli.fake'] = fake; main.VERBS['fake'] = 'x'\n"
        "sys.exit(main.main(['fake']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.read(process.stdout.fileno(), 100)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 0 and err == b""
