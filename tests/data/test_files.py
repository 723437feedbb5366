import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneblock.data import files
from oneblock.data.errors import DataError
from oneblock.data.files import Source, cache_folder, decode, write_atomically


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\ufeff")))
def test_decoding_undoes_encoding(text):
    assert decode(text.encode(), "here") == text
    assert decode(text.encode("utf-8-sig"), "here") == text
    assert decode(text.replace("\n", "\r\n").encode(), "here") == text


def test_line_ends_become_newlines_and_only_the_first_mark_goes():
    assert decode("\ufeffa\r\nb\rc\n\r\nd\ufeff".encode(), "here") == "a\nb\nc\n\nd\ufeff"


def test_binary_is_refused_with_the_offset():
    with pytest.raises(DataError, match=r"here is a binary file: a NUL byte at offset 3\. .*UTF-8"):
        decode(b"abc\0def\0", "here")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_called_by_its_name(codec):
    raw = "\ufeffabc".encode(codec)
    with pytest.raises(DataError, match=r"UTF-16.*iconv -f utf-16"):
        decode(raw, "here")


def test_the_first_bad_byte_is_named():
    raw = "one\ntwo é\n".encode() + "thrée é".encode("latin-1")
    with pytest.raises(DataError, match=r"byte 0xe9 at offset 14 \(line 3\).*iconv -f latin1 -t utf-8 here"):
        decode(raw, "here")


def test_a_character_cut_at_the_end_is_an_error():
    with pytest.raises(DataError, match="byte 0xf0 at offset 2"):
        decode(b"ab" + "🎈".encode()[:3], "here")


def test_sha256_is_of_the_raw_bytes_joined_by_newlines(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\n")
    source = Source(name="it", origin="there", parts=(tmp_path / "a", b"two"))
    expected = hashlib.sha256(b"\xef\xbb\xbfone\r\n\ntwo").hexdigest()
    text = source.read()
    assert (text.name, text.origin, text.text) == ("it", "there", "one\n\ntwo")
    assert source.sha256() == text.sha256 == expected
    assert source.size == 11


def test_sha256_of_a_file_longer_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNK", 7)
    (tmp_path / "a").write_bytes(bytes(range(1, 100)))
    source = Source(name="it", origin="", parts=(tmp_path / "a",))
    assert source.sha256() == hashlib.sha256(bytes(range(1, 100))).hexdigest()


@pytest.mark.parametrize("raw", [b"", b"\xef\xbb\xbf", b" \r\n\t\n"])
def test_an_empty_text_is_refused(raw):
    with pytest.raises(DataError, match="it is empty"):
        Source(name="it", origin="", parts=(raw,)).read()


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    def refuse(self, *arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.txt"
    path.write_text("abc")
    source = Source(name="it", origin="", parts=(path,))
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    for use in (source.read, source.sha256):
        with pytest.raises(DataError, match=r"a\.txt cannot be read: Permission denied.*permissions"):
            use()


def test_a_file_that_went_away_is_refused(tmp_path):
    source = Source(name="it", origin="", parts=(tmp_path / "gone",))
    for use in (source.read, source.sha256, lambda: source.size):
        with pytest.raises(DataError, match="gone cannot be read: No such file"):
            use()


def test_the_cache_is_where_the_desktop_says(cache, monkeypatch):
    assert cache_folder() == cache
    # The specification: a path that is not absolute is to be ignored.
    for setting in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", setting)
        monkeypatch.setattr(Path, "home", lambda: Path("/home/of/a/reader"))
        assert cache_folder() == Path("/home/of/a/reader/.cache/oneblock")


def test_no_home_is_said(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        cache_folder()


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch, before, broken):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    path = tmp_path / "folder" / "file"
    if before is not None:
        write_atomically(path, before)
    monkeypatch.setattr(broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert [p.read_bytes() for p in path.parent.iterdir()] == ([] if before is None else [before])


def test_a_whole_write(tmp_path):
    path = tmp_path / "deep" / "er" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and [p.name for p in path.parent.iterdir()] == ["file"]
