"""A person's block beside a run: copied whole, held against what was there, and run only by name."""

import json
import sys

import pytest

from oneblock.runs import own_block
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run


@pytest.fixture
def folder(tmp_path):
    return package(tmp_path / "one" / "mine", 1)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    return Run(tmp_path / "run")


def package(folder, number):
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "parts.py").write_text(f"NUMBER = {number}\n")
    (folder / "block.py").write_text("from .parts import NUMBER\n\n\nclass Block:\n    number = NUMBER\n")
    return folder


def test_files_are_kept_as_they_were_with_their_sums(folder, run):
    own_block.keep(run, folder / "block.py", [folder / "parts.py"])
    record = json.loads((run.path / "block.json").read_text())
    assert record["folder"] == "mine" and record["file"] == "block.py"
    assert set(record["files"]) == {"__init__.py", "block.py", "parts.py"}
    copy = run.path / "block" / "mine"
    assert all((copy / name).read_bytes() == (folder / name).read_bytes() for name in record["files"])
    assert own_block.check_same(run.path, copy) == copy / "block.py"
    assert own_block.check_same(run.path, folder / "block.py") == folder / "block.py"


def test_nothing_runs_unasked_or_changed(folder, run):
    own_block.refuse_unasked(run.path)  # a run of ours
    with pytest.raises(RunError, match="leave --block out"):
        own_block.check_same(run.path, folder)
    own_block.keep(run, folder / "block.py", [folder / "parts.py"])
    with pytest.raises(RunError, match=r"block/mine/block.py, sha256 [0-9a-f]{12}….*Nothing of it was run.*--block"):
        own_block.refuse_unasked(run.path)
    (folder / "parts.py").unlink()
    with pytest.raises(RunError, match="parts.py is not what .* was trained with .sha256 missing"):
        own_block.check_same(run.path, folder)
    (run.path / "block.json").write_text("{}")
    with pytest.raises(RunError, match="is not what was written"):
        own_block.refuse_unasked(run.path)


def test_folders_of_one_name_do_not_meet(folder, tmp_path):
    other = package(tmp_path / "two" / "mine", 2)
    before = list(sys.path)
    found = [own_block.block_class(own_block.file_of(each)).number for each in (folder, other, folder)]
    assert found == [1, 2, 1] and sys.path == before


def test_a_file_by_itself(tmp_path):
    path = tmp_path / "block.py"
    path.write_text("class Block:\n    pass\n")
    assert own_block.block_class(own_block.file_of(path)).__name__ == "Block"


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = (", "cannot be loaded: SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("Block = 3", "has no class Block")],
)
def test_what_is_no_block_is_told(tmp_path, text, words):
    (tmp_path / "block.py").write_text(text)
    with pytest.raises(RunError, match=words):
        own_block.block_class(tmp_path / "block.py")
    with pytest.raises(RunError, match="is not there"):
        own_block.file_of(tmp_path / "nothing")
