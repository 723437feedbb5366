import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneblock.data import corpus as corpus_file
from oneblock.data.corpus import prepare
from oneblock.data.errors import DataError
from oneblock.data.tokenizer import ByteTokenizer, CharTokenizer, train_tokenizer

TEXT = "".join(f"line {number} of the naïve café — 東京 🎈\n" for number in range(211))
SPECS = pytest.mark.parametrize("spec", ["chars", "bytes", "bpe:271", "bpe:263"])


@pytest.fixture
def path(tmp_path) -> str:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return str(tmp_path / "text.txt")


@SPECS
def test_the_splits_are_the_text_in_order(path, spec):
    made = prepare(path, spec)
    training = int(0.9 * len(TEXT))
    selection = int(0.95 * training)
    wanted = {"train": TEXT[:selection], "selection": TEXT[selection:training], "validation": TEXT[training:]}
    assert made.tokenizer.kind == spec.partition(":")[0]
    for name, text in wanted.items():
        ids = made.splits[name]
        assert made.tokenizer.decode(ids) == text
        assert ids.ndim == 1 and not ids.flags.writeable
        assert ids.dtype == (np.uint16 if spec.startswith("bpe") else np.uint8)
        assert made.characters_per_token[name] == pytest.approx(len(text) / len(ids))
    assert made.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert made.name == "text.txt" and path in made.origin


def test_bpe_is_trained_on_the_training_split_only(tmp_path):
    head, tail = "ab cd ab cd ab\n" * 90, "xyz xyz xyz xyz\n" * 10
    (tmp_path / "text.txt").write_text(head + tail)
    tokens = prepare(str(tmp_path / "text.txt"), "bpe:300").tokenizer.to_dict()["tokens"]
    assert any("ab" in token for token in tokens) and not any("xy" in token or "yz" in token for token in tokens)
    assert any("xyz" in token for token in train_tokenizer("bpe:300", head + tail).to_dict()["tokens"])


def test_characters_take_their_alphabet_from_the_whole_text(tmp_path):
    (tmp_path / "text.txt").write_text("ab" * 50 + "z")
    made = prepare(str(tmp_path / "text.txt"))
    assert made.tokenizer == CharTokenizer("abz") and 2 in made.validation and 2 not in made.train


def test_a_given_tokenizer_is_used_as_it_is(path):
    given_tokenizer = CharTokenizer(TEXT + "!?ß")
    made = prepare(path, given_tokenizer)
    assert made.tokenizer is given_tokenizer
    assert made.tokenizer.decode(made.train) == TEXT[: len(made.train)]
    with pytest.raises(DataError, match=r"U\+6771"):
        prepare(path, CharTokenizer(TEXT.replace("東", "")))


def test_more_than_65536_characters_need_four_bytes(tmp_path):
    alphabet = "".join(map(chr, [*range(0x4E00, 0x9F00), *range(0x20000, 0x2B000)]))
    (tmp_path / "text.txt").write_text(alphabet, encoding="utf-8")
    made = prepare(str(tmp_path / "text.txt"))
    assert made.train.dtype == np.uint32 and made.validation[-1] == len(alphabet) - 1 > 2**16


@given(
    length=st.integers(1, 400),
    validation=st.sampled_from([0, 0.1, 0.25, 0.5]),
    selection=st.sampled_from([0, 0.05, 0.3]),
)
def test_shares_lose_no_character(tmp_path_factory, length, validation, selection):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT[:length], encoding="utf-8")
    made = prepare(str(path), validation_share=validation, selection_share=selection)
    assert sum(made.characters.values()) == length == sum(map(len, made.splits.values()))
    assert made.characters["train"] + made.characters["selection"] == int((1 - validation) * length)
    if not validation:
        assert not len(made.validation)
    if not selection:
        assert not len(made.selection)


@pytest.mark.parametrize("name", ["validation_share", "selection_share"])
@pytest.mark.parametrize("share", [-0.1, 1, 1.5, math.nan])
def test_a_share_is_a_share(path, name, share):
    with pytest.raises(DataError, match=f"{name}={share} "):
        prepare(path, **{name: share})


def test_a_bad_spec_is_noticed_before_the_text_is_read(tmp_path):
    with pytest.raises(DataError, match="no tokenizer 'words'"):
        prepare(str(tmp_path / "not there"), "words")


def test_check_asks_each_split_for_one_window(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abcdefg\n" * 100)
    made = prepare(str(path))
    assert {name: len(ids) for name, ids in made.splits.items()} == {
        "train": 684,
        "selection": 36,
        "validation": 80,
    }
    made.check(35)
    with pytest.raises(DataError) as caught:
        made.check(36)
    message = str(caught.value)
    assert "each split needs 37 tokens, selection has 36." in message
    assert "longer text than these 800 characters" in message and "a context of at most 35" in message
    with pytest.raises(DataError, match="selection has 36, validation has 80"):
        made.check(80)
    # What the message calls enough is enough.
    with pytest.raises(DataError, match=r"\(about [0-9],[0-9]{3} are enough\)") as caught:
        made.check(211)
    enough = int(str(caught.value).split("(about ")[1].split()[0].replace(",", ""))
    path.write_text(("abcdefg\n" * 1000)[:enough])
    prepare(str(path)).check(211)


def test_a_split_that_was_left_out_is_not_asked_for(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abcdefg\n" * 10)
    prepare(str(path), validation_share=0, selection_share=0).check(79)
    with pytest.raises(DataError, match="train has 80"):
        prepare(str(path), validation_share=0, selection_share=0).check(80)
    with pytest.raises(DataError, match="validation has 8"):
        prepare(str(path), selection_share=0).check(8)


def test_a_text_of_one_character_is_too_short_for_anything(tmp_path):
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(DataError, match="train has 0, selection has 0, validation has 1"):
        prepare(str(tmp_path / "text.txt")).check(1)


def test_the_pattern_is_long_enough_for_a_long_context():
    prepare("pattern").check(1024)


@SPECS
def test_a_large_text_is_memory_mapped_and_the_same(path, spec, cache, monkeypatch):
    small = prepare(path, spec)
    monkeypatch.setattr("oneblock.data.pieces.PIECE", 97)
    large = prepare(path, spec, memory_map_above=1000)
    assert large.tokenizer == small.tokenizer and large.sha256 == small.sha256
    assert large.characters_per_token == small.characters_per_token and large.origin == small.origin
    for name, ids in small.splits.items():
        assert isinstance(large.splits[name], np.memmap) and large.splits[name].dtype == ids.dtype
        np.testing.assert_array_equal(large.splits[name], ids)
    assert list((cache / "tokens").iterdir())


def test_at_the_limit_a_text_stays_in_memory(path, cache):
    size = Path(path).stat().st_size
    assert not isinstance(prepare(path, memory_map_above=size).train, np.memmap)
    assert not cache.exists()
    assert isinstance(prepare(path, memory_map_above=size - 1).train, np.memmap)


@SPECS
def test_the_second_start_reads_only_the_cache(path, spec, tmp_path, monkeypatch):
    settings = {"memory_map_above": 0, "cache": tmp_path / "cache"}
    first = prepare(path, spec, **settings)
    reads = []
    monkeypatch.setattr("oneblock.data.files.Source.read", lambda self: reads.append(self))
    monkeypatch.setattr(corpus_file, "train_tokenizer", lambda *arguments: reads.append(arguments))
    again = prepare(path, spec, **settings)
    resumed = prepare(path, first.tokenizer, **settings)
    moved = Path(path).rename(tmp_path / "elsewhere.txt")
    renamed = prepare(str(moved), spec, **settings)
    for other in (again, resumed, renamed):
        assert other.tokenizer == first.tokenizer and other.sha256 == first.sha256
        np.testing.assert_array_equal(other.validation, first.validation)
    assert reads == [] and renamed.name == "elsewhere.txt"


def test_another_text_tokenizer_or_share_is_another_entry(path, tmp_path):
    settings = {"memory_map_above": 0, "cache": tmp_path / "cache"}
    first = prepare(path, "bytes", **settings)
    assert prepare(path, "chars", **settings).train.max() < first.train.max()
    assert len(prepare(path, "bytes", validation_share=0.3, **settings).train) < len(first.train)
    Path(path).write_text(TEXT.replace("line", "LINE"), encoding="utf-8")
    changed = prepare(path, "bytes", **settings)
    assert ByteTokenizer().decode(changed.train[:4]) == "LINE"


def test_a_text_that_changes_while_it_is_read_is_not_kept(path, tmp_path, monkeypatch):
    monkeypatch.setattr("oneblock.data.files.Source.sha256", lambda self: "0" * 64)
    with pytest.raises(DataError, match="changed while it was being read"):
        prepare(path, memory_map_above=0, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_tiny_shakespeare_has_the_splits_of_the_literature():
    if not Path(os.environ.get("ONEBLOCK_DATA", ""), "tinyshakespeare.txt").is_file():
        pytest.skip("ONEBLOCK_DATA names no folder with tinyshakespeare.txt")
    made = prepare("shakespeare")
    assert len(made.train) + len(made.selection) == 1_003_854 and len(made.validation) == 111_540
    assert (len(made.train), len(made.selection)) == (953_661, 50_193)
    assert made.tokenizer.vocab_size == 65 and made.train.dtype == np.uint8
    assert made.tokenizer.decode(made.train[:14]) == "First Citizen:"
    made.check(1024)
