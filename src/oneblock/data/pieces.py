"""Cutting a long text where no BPE pre-token spans the cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE = 1 << 18

# A pre-token may begin with white space but never holds some after another character,
# so a cut between the two changes no token.
CUT = re.compile(r"(?<=\S)[ \n]")


def pieces(text: str, start: int = 0, stop: int | None = None, size: int | None = None) -> Iterator[str]:
    """`text[start:stop]` in order, in pieces of `size` to twice `size` characters.

    Cuts lie before a blank or newline that follows another character, so the tokens of the pieces
    are the tokens of the whole; only where `size` characters hold no such place is a cut made anyhow.
    """
    size = size or PIECE
    stop = len(text) if stop is None else min(stop, len(text))
    while start < stop:
        end = start + size
        if end < stop:
            found = CUT.search(text, end, min(end + size, stop))
            if found:
                end = found.start()
            elif end + size >= stop:
                end = stop
        end = min(end, stop)
        yield text[start:end]
        start = end
