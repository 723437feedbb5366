import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oneblock.runs.errors import RunError, in_words
from oneblock.runs.folder import Run


def make(path: Path) -> Run:
    run = Run.create(path, "nano")
    run.write_json("config.json", {"width": 7})
    return run


def test_names_count_up_and_skip_what_is_there(in_tmp: Path) -> None:
    assert Run.create(None, "nano").path == Path("runs/nano-1")
    Path("runs/nano-2").write_text("in the way")
    assert Run.create(None, "nano").path == Path("runs/nano-3")
    assert Run.create(None, "gpt2").path == Path("runs/gpt2-1")
    with pytest.raises(ValueError, match=r"plain file name"):
        Run.create(None, "../nano")


def test_several_that_start_at_once_get_different_folders(in_tmp: Path) -> None:
    code = "from oneblock.runs.folder import Run\nfor _ in range(41): print(Run.create(None, 'nano').path)"
    command, environment = (
        [sys.executable, "-c", code],
        {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    paths = [line for process in started for line in process.communicate()[0].splitlines()]
    assert len(paths) == len(set(paths)) == 3 * 41
    assert {Path(path).name for path in paths} == {f"nano-{number}" for number in range(1, 124)}


def test_out_must_be_new_or_empty(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    assert make(out).path == out
    with pytest.raises(RunError, match=r"holds a run already; go on with it by --resume, or choose another --out"):
        Run.create(out, "nano")
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"is not empty \(it has deep\); choose another --out"):
        Run.create(tmp_path, "nano")
    with pytest.raises(RunError, match=r"is a file"):
        Run.create(tmp_path / "thesis.txt", "nano")
    with pytest.raises(RunError, match=r"cannot make a run's folder at .*Not a directory"):
        Run.create(tmp_path / "thesis.txt" / "run", "nano")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "run.lock").touch()
    assert Run.create(empty, "nano").path == empty


def test_open_finds_a_run_or_says_what_is_there(in_tmp: Path) -> None:
    assert Run.open(make(Path("runs/a")).path).path == Path("runs/a")
    with pytest.raises(RunError, match=r"none does not exist; there are runs/a$"):
        Run.open(Path("none"))
    make(Path("runs/b"))
    os.utime("runs/a/config.json", (1, 1))
    with pytest.raises(RunError, match=r"runs/c does not exist; there are runs/b, runs/a$"):
        Run.open(Path("runs/c"))
    with pytest.raises(RunError, match=r"runs is not a run: config.json is missing in it; there are runs/b, runs/a$"):
        Run.open(Path("runs"))
    Path("text").touch()
    with pytest.raises(RunError, match=r"text is a file, and a run is a folder"):
        Run.open(Path("text"))


def test_open_where_there_are_no_runs(in_tmp: Path) -> None:
    with pytest.raises(RunError, match=r"x/y does not exist; make one with `oneblock train`"):
        Run.open(Path("x/y"))


def test_json_and_text(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    value = {"loss": 0.1, "text": "é", "list": [1, None, "NaN"]}
    run.write_json("result.json", value)
    assert run.read_json("result.json") == value
    run.write_json("result.json", {"loss": math.inf})
    json.loads((run.path / "result.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert run.read_json("result.json") == {"loss": "Infinity"}
    run.write_text("samples/3.txt", "a\r\nb\n")
    assert run.read_text("samples/3.txt") == "a\r\nb\n"
    assert (run.path / "samples/3.txt").read_bytes() == b"a\r\nb\n"
    assert sorted(entry.name for entry in run.path.iterdir()) == ["config.json", "result.json", "samples"]
    for outside in ("../x", "/x", ""):
        with pytest.raises(ValueError, match=r"inside the run"):
            run.write_text(outside, "")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    with pytest.raises(RunError, match=r"tokenizer.json is missing in .*run; "):
        run.read_json("tokenizer.json")
    (run.path / "config.json").write_text('{"width": ')
    with pytest.raises(RunError, match=r"config.json is not valid JSON: "):
        run.read_json("config.json")
    (run.path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match=r"config.json cannot be read: "):
        run.read_json("config.json")


def test_a_file_cut_off_at_every_operation(tmp_path: Path, cut_off) -> None:
    for last in range(50):
        run = make(tmp_path / str(last))
        with cut_off(last) as operations:
            run.write_json("config.json", {"width": 11})
        width = run.read_json("config.json")["width"]
        assert width in (7, 11)
        if "cut" not in operations:
            assert width == 11
            return
    pytest.fail("never came to an end")


def test_no_space_left(tmp_path: Path, full_after) -> None:
    run = make(tmp_path / "run")
    with full_after(5), pytest.raises(RunError, match=r"cannot save config.json at .* as it was before"):
        run.write_json("config.json", {"width": 11})
    assert run.read_json("config.json") == {"width": 7}
    assert [entry.name for entry in run.path.iterdir()] == ["config.json"]


def test_lock_is_of_this_run(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    run, other = make(tmp_path / "run"), make(tmp_path / "other")
    with run.lock(), other.lock(), pytest.raises(RunError, match=r"run is being written by process"):
        Run.open(run.path).lock().__enter__()


def test_bytes_in_words() -> None:
    assert [in_words(value) for value in (0, 999, 1000, 528_700, 3_141_592, 10**10, 2 * 10**12)] == [
        "0 bytes", "999 bytes", "1.0 kB", "528.7 kB", "3.1 MB", "10.0 GB", "2.0 TB",
    ]  # fmt: skip
