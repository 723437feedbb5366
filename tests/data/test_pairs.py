import numpy as np
import pytest

from oneblock.data import pairs
from oneblock.data.errors import DataError
from oneblock.data.pairs import CMUDICT, load_pairs, parse_cmudict, parse_tsv, split_of
from oneblock.data.symbols import END, START

LINES = [f"word{number}\tW ER{number % 3} D" for number in range(211)]


@pytest.fixture
def write(tmp_path):
    def make(text: str | bytes) -> str:
        path = tmp_path / "pairs.tsv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return make


def test_a_file_is_split_by_a_hash_of_the_source(write):
    made = load_pairs(write("\n".join(LINES) + "\n"))
    assert made.name == "pairs.tsv" and "pairs.tsv" in made.origin and len(made.sha256) == 64
    together = [pair for split in made.splits.values() for pair in split.pairs]
    assert sorted(together) == sorted(tuple(line.split("\t")) for line in LINES)
    for name, split in made.splits.items():
        assert len(split) and all(split_of(source, 0.1, 0.05) == name for source, _ in split.pairs)
    # Neither order nor company changes a pair's split.
    again = load_pairs(write("\n".join([*LINES[::-1], "new\tN"])))
    assert set(made.validation.pairs) <= set(again.validation.pairs) | {("new", "N")}


def test_the_ids_are_the_pairs(write):
    made = load_pairs(write("\n".join(LINES)), target_unit="words")
    assert made.source_tokenizer.unit == "characters" and made.target_tokenizer.unit == "words"
    assert made.target_tokenizer.alphabet == ["D", "ER0", "ER1", "ER2", "W"]
    for split in made.splits.values():
        assert not split.sources.flags.writeable and not split.targets.flags.writeable
        for row, (source, target) in enumerate(split.pairs):
            length = split.target_lengths[row]
            assert made.source_tokenizer.decode(split.sources[row][: split.source_lengths[row]]) == source
            assert made.target_tokenizer.decode(split.targets[row]) == target
            assert split.targets[row][0] == START and split.targets[row][length - 1] == END
            assert not split.targets[row][length:].any() and not split.sources[row][split.source_lengths[row] :].any()
    assert made.longest == (len("word210"), 5)


def test_characters_are_the_unit_of_a_file_that_is_not_told_otherwise(write):
    assert load_pairs(write("\n".join(LINES))).target_tokenizer.alphabet == list(" 012DERW")


def test_the_shares_are_near_what_was_asked():
    words = [f"word{number}" for number in range(20_000)]
    splits = [split_of(word, 0.1, 0.05) for word in words]
    assert splits.count("validation") == pytest.approx(2000, abs=150)
    assert splits.count("selection") == pytest.approx(1000, abs=110)
    # These must not move: a run of another version is compared on the same words.
    assert "".join(split_of(word, 0.1, 0.05)[0] for word in map(str, range(40))) == FROZEN


FROZEN = "ttstttsttttttttttsvttttttttttvtttttttttt"


def test_all_targets_of_a_source_fall_into_one_split_once_each(write):
    text = "\n".join(f"w{number}\t{target}" for number in range(150) for target in ("A", "B", "A", "C"))
    made = load_pairs(write(text))
    for split in made.splits.values():
        assert len(split) == 3 * len(split.answers) and all(
            right == ["A", "B", "C"] for right in split.answers.values()
        )
    sources = [source for split in made.splits.values() for source in split.answers]
    assert len(sources) == len(set(sources)) == 150


def test_blank_lines_marks_and_line_ends_do_not_matter(write):
    plain = load_pairs(write("\n".join(LINES)))
    dressed = load_pairs(write("\ufeff" + "\r\n\r\n".join(LINES) + "\r\n  \r\n"))
    assert plain.train.pairs == dressed.train.pairs and plain.source_tokenizer == dressed.source_tokenizer


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no tab here", r"pairs\.tsv, line 3: 'no tab here' has no tab; write source, one tab, target"),
        ("a\tb\tc", r"line 3: 'a\\tb\\tc' has 2 tabs"),
        ("\tb", r"line 3: '\\tb' has an empty source"),
        ("a\t  ", r"line 3: .* has an empty target"),
        ("a\t" + "b" * 300, r"line 3: its target has 300 characters, and max_length=256.*bbb…'$"),
        ("x" * 257 + "\tb", r"line 3: its source has 257 characters"),
    ],
)
def test_a_bad_line_is_named_by_its_number(write, line, words):
    with pytest.raises(DataError, match=words):
        load_pairs(write("\n".join(["a\tb", "", line, *LINES])))


def test_a_longer_line_can_be_allowed(write):
    assert load_pairs(write("\n".join([*LINES, "a\t" + "b" * 300])), max_length=300).longest[1] == 302


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a\tb\nc\0d\te\n", "binary file: a NUL byte at offset 5"),
        ("a\tb\ncaf\xe9\td\n".encode("latin-1"), r"not UTF-8: byte 0xe9 at offset 7 \(line 2\)"),
        ("a\tb".encode("utf-16"), "UTF-16"),
        (b"", "is empty"),
        (b"a\tb\n", "too few pairs: of 1, none falls into .* and .*100 or more"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(write, raw, words):
    with pytest.raises(DataError, match=words):
        load_pairs(write(raw))


def test_a_path_that_is_none_says_what_is_allowed(tmp_path):
    for source, what in ((str(tmp_path / "gone"), "is no file"), (str(tmp_path), "is a folder"), ("", "is no file")):
        with pytest.raises(DataError, match=f"it {what}. Allowed: cmudict, or the path"):
            load_pairs(source)


@pytest.mark.parametrize("share", [0, 0.5, -0.1, float("nan")])
@pytest.mark.parametrize("name", ["validation_share", "selection_share"])
def test_a_share_is_a_share(name, share):
    with pytest.raises(DataError, match=f"{name}={share} "):
        load_pairs("cmudict", **{name: share})


def test_the_dictionary_s_form():
    text = "'bout B AW1 T\na AH0\na(2) EY1\naalborg AO1 L # place, danish\n\na.m. EY2 EH1 M\n"
    assert parse_cmudict(text, "it") == {
        1: ("'bout", "B AW1 T"),
        2: ("a", "AH0"),
        3: ("a", "EY1"),
        4: ("aalborg", "AO1 L"),
        6: ("a.m.", "EY2 EH1 M"),
    }
    with pytest.raises(DataError, match=r"it, line 2: 'word # remark' has no phonemes"):
        parse_cmudict("a AH0\nword # remark", "it")
    assert parse_tsv("a\tb c\n", "it") == {1: ("a", "b c")}


def test_cmudict_by_name(tmp_path, monkeypatch):
    text = "\n".join(f"word{'x' * (number % 7)}{number}({2 + number % 2}) W ER1 D" for number in range(200))
    (tmp_path / "cmudict.dict").write_text(text)
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    made = load_pairs("cmudict")
    assert made.name == "cmudict" and "of your own" in made.origin
    assert made.target_tokenizer.alphabet == ["D", "ER1", "W"] and "(" not in made.source_tokenizer.alphabet


def test_the_real_dictionary(real):
    text = real(CMUDICT).read_text()
    found = parse_cmudict(text, "it")
    assert len(found) == 135_166 and len({word for word, _ in found.values()}) == 126_052
    assert "".join(sorted({letter for word, _ in found.values() for letter in word})) == "'-.abcdefghijklmnopqrstuvwxyz"
    assert len({phoneme for _, phonemes in found.values() for phoneme in phonemes.split()}) == 69
    shares = [split_of(word, 0.1, 0.05) for word in {word for word, _ in found.values()}]
    assert shares.count("validation") / len(shares) == pytest.approx(0.1, abs=0.003)
    assert pairs.NAMES == ("cmudict",) and np.mean([len(word) for word, _ in found.values()]) < 9
