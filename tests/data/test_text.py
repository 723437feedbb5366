import hashlib
import os
from pathlib import Path

import pytest

from oneblock.data.errors import DataError
from oneblock.data.text import CYCLE, find_text


def test_the_pattern_repeats_with_a_prime_period():
    found = find_text("pattern")
    period = len(CYCLE)
    assert period == 31 and len(found.text) == 31_000
    assert found.text[period:] == found.text[:-period]
    assert all(found.text[shift:] != found.text[:-shift] for shift in range(1, period))
    assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()
    assert found.name == "pattern" and "31 characters repeated 1000 times" in found.origin


def test_a_file(tmp_path):
    path = tmp_path / "song.csv"
    path.write_bytes(b"\xef\xbb\xbfla\r\nla")
    found = find_text(str(path))
    assert (found.name, found.text) == ("song.csv", "la\nla")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(path) in found.origin


def test_a_name_wins_over_a_file_that_is_called_the_same(tmp_path, monkeypatch):
    (tmp_path / "pattern").write_text("a file")
    monkeypatch.chdir(tmp_path)
    assert find_text("pattern").text.startswith(CYCLE)
    assert find_text("./pattern").text == "a file"


def test_the_home_folder_may_be_a_tilde(tmp_path, monkeypatch):
    (tmp_path / "song.txt").write_text("la")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_text("~/song.txt").text == "la"


def test_a_folder_is_its_visible_text_files_in_order(tmp_path):
    folder = tmp_path / "texts"
    for name, raw in {
        "b.txt": b"two\n",
        "a/z.MD": "é".encode(),
        "c": b"three",
        "d.py": b"four",
        ".hidden.txt": b"no",
        ".git/e.txt": b"no",
        "a/image.png": b"\x89PNG\0",
        "f.dat": "é".encode("latin-1"),
        "g.log": b"cut \xf0\x9f",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    found = find_text(str(folder))
    assert found.text == "é\ntwo\n\nthree\nfour"
    assert found.name == "texts"
    assert found.origin.startswith(f"4 text files of the folder {folder}; skipped as not UTF-8 text: ")
    assert found.origin.endswith(": a/image.png, f.dat, g.log")
    assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()


def test_of_many_skipped_files_a_few_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    for number in range(7):
        (tmp_path / f"{number}.bin").write_bytes(b"\0")
    assert find_text(str(tmp_path)).origin.endswith(": 0.bin, 1.bin, 2.bin, 3.bin, 4.bin and 2 more")


@pytest.mark.parametrize("raw, complaint", [(b"\xe9", "is not UTF-8"), (b"\0", "is a binary file")])
def test_what_calls_itself_text_and_is_not_is_an_error_in_a_folder(tmp_path, raw, complaint):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_bytes(raw)
    with pytest.raises(DataError, match=rf"b\.txt {complaint}"):
        find_text(str(tmp_path))


@pytest.mark.parametrize("names", [[], ["only.bin"], [".hidden.txt"], ["empty.txt"]])
def test_a_folder_without_text_is_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes({"only.bin": b"\0", "empty.txt": b""}.get(name, b"text"))
    with pytest.raises(DataError, match=r"holds no text.*\.txt, \.md.*shakespeare, pattern"):
        find_text(str(tmp_path))


def test_an_unreadable_file_in_a_folder_is_not_skipped_in_silence(tmp_path, monkeypatch):
    def refuse(self, *arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").write_text("text")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_text(str(tmp_path))


def test_an_unreadable_folder_is_refused(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_text(str(tmp_path))


def test_a_bad_file_is_refused_by_its_path(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"ab\xff")
    with pytest.raises(DataError, match=r"bad\.txt is not UTF-8: byte 0xff at offset 2 \(line 1\)"):
        find_text(str(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"bad\.txt is empty"):
        find_text(str(path))


@pytest.mark.parametrize(
    "source, hint",
    [
        ("shakespere", "Did you mean shakespeare?"),
        ("paterns", "Did you mean pattern?"),
        ("{}/sonng.txt", "Did you mean {}/song.txt?"),
        ("{}/nowhere/at/all", "no such file or folder. Allowed"),
        ("", "no text ''"),
        ("bad\0name", "no text 'bad"),
    ],
)
def test_a_missing_text_lists_the_options(tmp_path, source, hint):
    (tmp_path / "song.txt").write_text("la")
    with pytest.raises(DataError) as caught:
        find_text(source.format(tmp_path))
    assert hint.format(tmp_path) in str(caught.value)
    assert "shakespeare, pattern, the path of a UTF-8 text file" in str(caught.value)


@pytest.mark.skipif(not Path(os.devnull).is_char_device(), reason="this system has no device files")
def test_a_device_is_refused():
    with pytest.raises(DataError, match="neither a file nor a folder"):
        find_text(os.devnull)
