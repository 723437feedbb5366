"""Code with few colours: keywords, names being defined, strings, numbers, comments."""

from __future__ import annotations

from html import escape

from pygments.lexer import Lexer
from pygments.lexers import BashLexer, PythonLexer
from pygments.token import Token

LEXERS: dict[str, type[Lexer]] = {"python": PythonLexer, "py": PythonLexer, "sh": BashLexer, "bash": BashLexer}
CLASSES = (
    (Token.Comment, "c"), (Token.Keyword, "k"), (Token.Operator.Word, "k"), (Token.Literal.String, "s"),
    (Token.Literal.Number, "n"), (Token.Name.Function, "f"), (Token.Name.Class, "f"),
)  # fmt: skip
NAMES = {"python": "Python", "py": "Python", "sh": "command", "bash": "command", "gives": "what it gives"}


def block(text: str, language: str) -> str:
    """A code block. `gives` is what the code above it has printed."""
    kind = " result" if language == "gives" else ""
    name = NAMES.get(language, "text")
    inside = f"<code>{coloured(text, language)}</code>"
    return f'<div class="code{kind}"><pre data-name="{name}, scrolls sideways">{inside}</pre></div>\n'


def coloured(text: str, language: str) -> str:
    """The text as HTML, with spans where the language is known."""
    if language not in LEXERS:
        return escape(text.rstrip("\n"), quote=False)
    made = ""
    # The shell's lexer knows a comment by the end of its line.
    for kind, words in LEXERS[language](stripnl=False, ensurenl=True).get_tokens(text.rstrip("\n")):
        name = next((name for token, name in CLASSES if kind in token), "")
        inside = words.rstrip("\n")
        safe, after = escape(inside, quote=False), words[len(inside) :]
        made += (f'<span class="{name}">{safe}</span>' if name and inside.strip() else safe) + after
    return made.rstrip("\n")
