"""How wrong sequences are: edit distance against the right ones, as phoneme and word error rates. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Symbols = Sequence[object]


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """edits / length, summed over all hypotheses; `chosen` is the reference each one was held against.

    word_error_rate: share of the hypotheses that are not exactly one of their references
    """

    edits: int
    length: int
    word_error_rate: float
    chosen: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Edits for each symbol of the references; above 1 where hypotheses are far too long."""
        return self.edits / self.length


def error_rate(hypotheses: Sequence[Symbols], references: Sequence[Sequence[Symbols]]) -> ErrorRate:
    """Σ edits / Σ reference length, each hypothesis held against the best of its references.

    The best is the one with the fewest edits, and of those the longest, then the first; its length is the one that
    counts. Sums are taken over all words before the division, so long words count more than short ones.
    Raises ValueError where a hypothesis has no reference, a reference is empty, or there is nothing to compare.
    People get wrong: to take the mean of the words' own rates, or to count a word's other pronunciations as errors.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(f"{len(hypotheses)} hypotheses and {len(references)} lists of references: give one list each")
    edits = length = wrong = 0
    chosen = []
    for place, (hypothesis, right) in enumerate(zip(hypotheses, references, strict=True)):
        if not right or not all(right):
            raise ValueError(f"hypothesis {place} has {'an empty' if right else 'no'} reference: nothing to compare")
        distances = [edit_distance(hypothesis, reference) for reference in right]
        best = min(range(len(right)), key=lambda which: (distances[which], -len(right[which])))
        chosen.append(best)
        edits += distances[best]
        length += len(right[best])
        wrong += distances[best] > 0
    return ErrorRate(edits=edits, length=length, word_error_rate=wrong / len(hypotheses), chosen=tuple(chosen))


def phoneme_error_rate(hypotheses: Sequence[Symbols], references: Sequence[Sequence[Symbols]]) -> float:
    """`error_rate(…).rate`: hypotheses as lists of phonemes, for each the list of its right pronunciations."""
    return error_rate(hypotheses, references).rate


def edit_distance(a: Symbols, b: Symbols) -> int:
    """The fewest insertions, deletions and substitutions that make b of a (Levenshtein 1966). Time |a|·|b|."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def without_stress(phonemes: Symbols) -> list[str]:
    """ARPAbet phonemes without their stress, AH0 -> AH: 69 symbols become the field's 39."""
    return [str(phoneme).rstrip("012") for phoneme in phonemes]
