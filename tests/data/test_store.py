import os
import time

import numpy as np
import pytest

from oneblock.data.errors import DataError
from oneblock.data.store import load_tokenizer, load_tokens, store_tokenizer, store_tokens, token_type
from oneblock.data.tokenizer import ByteTokenizer, CharTokenizer

TEXT = "abcdefg" * 11
BOUNDS = {"train": (0, 53), "selection": (53, 53), "validation": (53, 77)}


def store(folder, tokenizer=None, text=TEXT):
    store_tokens(folder, text, tokenizer or ByteTokenizer(), BOUNDS)


@pytest.mark.parametrize(
    "vocab_size, name",
    [(0, "uint8"), (1, "uint8"), (256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")],
)
def test_the_smallest_type_that_fits(vocab_size, name):
    assert token_type(vocab_size).name == name


def test_tokens_come_back_memory_mapped(tmp_path):
    store(tmp_path / "it")
    splits, characters = load_tokens(tmp_path / "it")
    assert characters == {"train": 53, "selection": 0, "validation": 24}
    for name, (start, stop) in BOUNDS.items():
        assert bytes(splits[name]) == TEXT[start:stop].encode() and splits[name].dtype == np.uint8
    assert isinstance(splits["train"], np.memmap) and not splits["train"].flags.writeable


@pytest.mark.parametrize("failure", [KeyboardInterrupt, DataError, MemoryError])
def test_an_interrupted_write_leaves_nothing(tmp_path, failure):
    class Stops(ByteTokenizer):
        def encode_pieces(self, text, start=0, stop=None):
            yield self._encode(text[:5])
            raise failure

    with pytest.raises(failure):
        store(tmp_path / "it", Stops())
    assert list(tmp_path.iterdir()) == [] and load_tokens(tmp_path / "it") is None


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*XDG_CACHE_HOME"):
        store(tmp_path / "it")
    with pytest.raises(DataError, match=r"No space left on device.*XDG_CACHE_HOME"):
        store_tokenizer(tmp_path / "it.json", ByteTokenizer())
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        store(tmp_path / "file" / "it")


@pytest.mark.parametrize("damage", ["cut", "missing", "no description", "half a description"])
def test_a_damaged_folder_is_not_read_and_is_replaced(tmp_path, damage):
    folder = tmp_path / "it"
    store(folder)
    match damage:
        case "cut":
            (folder / "train.bin").write_bytes(b"abc")
        case "missing":
            (folder / "validation.bin").unlink()
        case "no description":
            (folder / "tokens.json").unlink()
        case _:
            (folder / "tokens.json").write_text('{"dtype": "uint8"')
    assert load_tokens(folder) is None
    store(folder)
    assert load_tokens(folder) is not None and [path.name for path in tmp_path.iterdir()] == ["it"]


def test_of_two_processes_the_first_one_wins(tmp_path):
    folder = tmp_path / "it"

    class OvertakenTokenizer(ByteTokenizer):
        def encode_pieces(self, text, start=0, stop=None):
            if not folder.exists():
                store(folder)
            return super().encode_pieces(text, start, stop)

    store(folder, OvertakenTokenizer())
    assert bytes(load_tokens(folder)[0]["train"]) == TEXT[:53].encode()
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_only_old_leftovers_are_swept(tmp_path):
    old, young, other = (tmp_path / name for name in ("it.tmp-old", "it.tmp-young", "other.tmp-old"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "train.bin").write_bytes(b"abc")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    store(tmp_path / "it")
    assert not old.exists() and young.exists() and other.exists()


def test_a_tokenizer_comes_back_or_is_none(tmp_path):
    path = tmp_path / "it.json"
    assert load_tokenizer(path) is None
    store_tokenizer(path, CharTokenizer("abc"))
    assert load_tokenizer(path) == CharTokenizer("abc")
    for damage in ('{"kind": "chars"', '{"kind": "chars"}', "[]", "\xff"):
        path.write_bytes(damage.encode("latin-1"))
        assert load_tokenizer(path) is None
