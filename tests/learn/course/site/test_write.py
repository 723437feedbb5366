"""A folder is written whole or not at all, and what is not ours stays."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from oneblock.learn.course.site.write import MARK, refuse, write
from oneblock.learn.errors import LearnError

FILES = {"index.html": b"one", "lessons/norm.html": b"two"}


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_and_the_same_anew(tmp_path):
    site = tmp_path / "a" / "site"
    write(site, {**FILES, "old.html": b"old"})
    write(site, FILES)
    assert set(held(site)) == {*FILES, MARK} and held(site)["index.html"] == b"one"
    assert [path.name for path in site.parent.iterdir()] == ["site"]
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", FILES)
    assert set(held(tmp_path / "empty")) == {*FILES, MARK}


def test_a_folder_can_be_read_by_others(tmp_path):
    write(tmp_path / "site", FILES)
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "site").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_foreign_folder_a_file_and_a_link_are_refused(tmp_path):
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(LearnError, match="no site of ours"):
        write(foreign, FILES)
    assert held(foreign) == {"thesis.txt": b"years of work"}
    with pytest.raises(LearnError, match="is not a folder"):
        refuse(foreign / "thesis.txt")
    (tmp_path / "link").symlink_to(foreign)
    with pytest.raises(LearnError, match="is not a folder"):
        refuse(tmp_path / "link")


@pytest.mark.parametrize(
    "number, words",
    [(errno.ENOSPC, "disk .* is full"), (errno.EACCES, "cannot be written"), (errno.EIO, "could not be made")],
)
def test_a_fault_midway_leaves_what_was_there(tmp_path, monkeypatch, number, words):
    site = tmp_path / "site"
    write(site, {"index.html": b"before"})
    plain = Path.write_bytes

    def failing(self: Path, data: bytes) -> int:
        if self.name == "norm.html":
            raise OSError(number, os.strerror(number))
        return plain(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(LearnError, match=words) as error:
        write(site, FILES)
    assert "nothing was changed" in str(error.value)
    assert held(site)["index.html"] == b"before" and list(tmp_path.iterdir()) == [site]


def test_a_move_that_fails_brings_the_old_one_back(tmp_path, monkeypatch):
    site = tmp_path / "site"
    write(site, {"index.html": b"before"})
    plain, seen = Path.rename, []

    def failing(self, target):
        seen.append(self)
        if len(seen) == 2:
            raise OSError(errno.EACCES, "no")
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(LearnError, match="cannot be written"):
        write(site, FILES)
    assert held(site)["index.html"] == b"before" and list(tmp_path.iterdir()) == [site]


def test_a_parent_that_takes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LearnError, match="file"):
        write(tmp_path / "file" / "site", FILES)

    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(LearnError, match="cannot be written here"):
        write(tmp_path / "site", FILES)
