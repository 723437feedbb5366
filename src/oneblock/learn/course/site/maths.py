"""LaTeX to MathML, which browsers draw themselves."""

from __future__ import annotations

import functools
import re

from latex2mathml.converter import convert

from oneblock.learn.errors import LearnError

_SPELLED = re.compile(r'<mrow>((?:<mi mathvariant="normal">[A-Za-z]</mi>){2,})</mrow>')
_LETTER = re.compile(r">([A-Za-z])<")
_BELOW = re.compile(r"<msub>(<mo>(?:max|min|lim|sup|inf)</mo>(?:(?!</?msub>).)*)</msub>")
_PRIMED = re.compile(r"<msup>(<mi>[^<]+</mi>)<mi>&#x02032;</mi></msup>")
_TOKENS = re.compile(r"\\[A-Za-z]+|\\.|[^\\]", re.DOTALL)
_NAMED = r"(?:sin|cos|tan|tanh|log|ln|exp)"
_OPENS = r"(?:<mrow>)?<mo[^>]*>&#x00028;"
_BEFORE = re.compile(rf"(?<=</m[in]>)(<mi>{_NAMED}</mi>)")
_AFTER = re.compile(rf"(<mi>{_NAMED}</mi>)(?!{_OPENS}|</)")
_CALLED = re.compile(rf"<mo>([a-z]{{2,}})</mo>(?={_OPENS})")
THIN = '<mspace width="0.167em"/>'
PRIME = '<mo lspace="0" rspace="0">&#x02032;</mo>'
_UNKNOWN = re.compile(r"<mi>(\\[A-Za-z]+)</mi>")
OTHERWISE = {r"\arg": r"\operatorname{arg}", r"{aligned}": "{split}"}
"""What the converter does not know, in words that it does."""


@functools.cache
def mathml(latex: str, *, block: bool = False) -> str:
    """One `<math>`. LearnError for what cannot be drawn: better no page than one that shows a backslash."""
    known = latex.strip()
    for word, other in OTHERWISE.items():
        known = known.replace(word, other)
    try:
        made = convert(known, display="block" if block else "inline")
    except Exception as error:
        raise LearnError(f"the formula {latex.strip()!r} is not LaTeX that can be drawn: {error!r}") from None
    if found := _UNKNOWN.search(made):
        raise LearnError(f"the formula {latex.strip()!r}: {found[1]} is not known; write it another way")
    if "<mi>&</mi>" in made:
        raise LearnError(f"the formula {latex.strip()!r}: & outside a matrix; write several formulas, or pmatrix")
    # Names of functions: a thin space before what they are of, none before a bracket.
    made = _CALLED.sub(r"<mi>\1</mi>", _AFTER.sub(rf"\1{THIN}", _BEFORE.sub(rf"{THIN}\1", made)))
    # The prime of a font is raised already.
    made = _PRIMED.sub(rf"<mrow>\1{PRIME}</mrow>", made).replace("<mi>&#x02032;</mi>", PRIME)
    # A bar of which only one side grows is no pair.
    made = made.replace("<mo>&#x02016;</mo>", '<mo fence="true" stretchy="false">&#x02016;</mo>')
    if block:
        made = _BELOW.sub(r"<munder>\1</munder>", made)
    # \mathrm{softmax} comes as seven letters; as one name it is spaced and read aloud as a word.
    return _SPELLED.sub(lambda match: f"<mi>{''.join(_LETTER.findall(match[1]))}</mi>", made)


def displayed(latex: str) -> str:
    """A formula on lines of its own. Where \\quad parts it, the parts may stand below one another on a narrow page."""
    return "".join(mathml(part, block=True) for part in parted(latex))


def parted(latex: str) -> list[str]:
    """The parts of a formula between \\quad and \\qquad, but for those inside braces or between \\begin and \\end."""
    parts, depth = [""], 0
    for token in _TOKENS.findall(latex.strip()):
        depth += (token in ("{", r"\begin", r"\left")) - (token in ("}", r"\end", r"\right"))
        if token in (r"\quad", r"\qquad") and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts if part.strip()]
