"""LaTeX as readable Unicode, for a terminal: `\\frac{1}{\\sqrt{d}}` becomes 1/√d."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "sum": "Σ", "prod": "Π",
    "int": "∫", "partial": "∂", "nabla": "∇", "infty": "∞", "cdot": " · ", "times": " × ", "odot": " ⊙ ",
    "oplus": " ⊕ ", "otimes": " ⊗ ", "pm": " ± ", "le": " ≤ ", "leq": " ≤ ", "ge": " ≥ ", "geq": " ≥ ", "ne": " ≠ ",
    "neq": " ≠ ", "approx": " ≈ ", "equiv": " ≡ ", "sim": " ~ ", "propto": " ∝ ", "in": " ∈ ", "notin": " ∉ ",
    "ll": " ≪ ", "gg": " ≫ ", "to": " → ", "rightarrow": " → ", "mapsto": " ↦ ", "leftarrow": " ← ",
    "Rightarrow": " ⇒ ", "iff": " ⇔ ", "mid": " | ", "cup": " ∪ ", "cap": " ∩ ", "subset": " ⊂ ",
    "forall": "∀", "exists": "∃",
    "ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "ddots": "⋱", "quad": "  ", "qquad": "    ",
    "top": "ᵀ", "ell": "ℓ",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "lVert": "‖", "rVert": "‖",
    "lvert": "|", "rvert": "|", "Vert": "‖", "vert": "|", "prime": "′", "circ": "∘", "bullet": "•", "star": "⋆",
    "log": "log", "ln": "ln", "exp": "exp", "max": "max", "min": "min", "sin": "sin", "cos": "cos", "tanh": "tanh",
    "det": "det", "arg": "arg", "Pr": "Pr", "lim": "lim", "operatorname": "", "displaystyle": "", "limits": "",
    "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "", "nolimits": "", "{": "{", "}": "}", ",": " ",
    ";": " ", ":": " ", "!": "", " ": " ", "|": "‖", "%": "%", "_": "_", "&": "&", "#": "#", "$": "$",
}  # fmt: skip
WORDS = ("text", "mathrm", "operatorname", "textbf", "mathbf", "boldsymbol", "mathit", "textit", "mathsf", "mathcal",
         "underline", "texttt", "mathtt")  # fmt: skip
"""Commands whose argument is set as it is."""
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "overline": "\u0304", "vec": "\u20d7",
           "widehat": "\u0302"}  # fmt: skip
DOUBLE = {"R": "ℝ", "E": "𝔼", "N": "ℕ", "Z": "ℤ", "P": "ℙ", "1": "𝟙"}
NAMED = {"log", "ln", "exp", "max", "min", "sin", "cos", "tanh", "det", "arg", "Pr", "lim"}
RAISED = dict(zip("0123456789+-−=()aAbBcdDeEfgGhHiIjJkKlLmMnNoOpPrRsTtuUvVwWxyzαβγδεθφ′ᵀ",
                  "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᴬᵇᴮᶜᵈᴰᵉᴱᶠᵍᴳʰᴴⁱᴵʲᴶᵏᴷˡᴸᵐᴹⁿᴺᵒᴼᵖᴾʳᴿˢᵀᵗᵘᵁᵛⱽʷᵂˣʸᶻᵅᵝᵞᵟᵋᶿᵠ′ᵀ", strict=True))  # fmt: skip
LOWERED = dict(zip("0123456789+-−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}_^&]|\s+|[^\\]", re.DOTALL)


def readable(latex: str) -> str:
    """The formula in one line, or in a line for each that it has (aligned, cases); matrices as rows in brackets."""
    parts = _Reader(_TOKEN.findall(latex.strip())).until()
    lines = [re.sub(r" *([=<>≤≥≈≠∝⇒]) *", r" \1 ", line) for line in parts.split("\n")]
    return "\n".join(
        re.sub(r"(?<=\S) {2,3}(?=\S)|(?<=[∂∇]) +", lambda gap: " " if len(gap[0]) > 1 else "", line).strip()
        for line in lines
        if line.strip()
    )


@dataclass
class _Reader:
    """A formula's tokens, read from the left."""

    tokens: list[str]
    at: int = 0

    def until(self, *ends: str) -> str:
        """Everything up to one of these tokens, which is passed over."""
        out = ""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token in ends:
                self.at += 1
                break
            if token == "\\end":
                break
            out += self.one(out)
        return out

    def one(self, before: str) -> str:
        """The next part: a sign, a group, a command with its arguments."""
        token = self.next()
        if token in "_^":
            part = self.argument()
            table, mark = (LOWERED, "_") if token == "_" else (RAISED, "^")
            if part == "ᵀ" or (token == "^" and part in ("⊤", "′")):
                return part
            small = part.replace(" ", "")
            # A whole word in small letters is hard to read.
            if all(letter in table for letter in small) and not (len(small) > 2 and small.isalpha()):
                return "".join(table[letter] for letter in small)
            return f"{mark}{part}" if re.fullmatch(r"\w+", part) else f"{mark}({part.strip()})"
        if token == "{":
            return self.until("}")
        if token == "&":
            return " "
        if token.isspace():
            # LaTeX takes no notice of gaps; here one on the page stays one.
            closing = self.peek() in ("\\right", "\\rfloor", "\\rceil", "\\rangle", ")", "]", "|")
            opened = before[-1:].isspace() or before[-1:] in ("", "(", "[", "⌊", "⌈", "⟨")
            return "" if opened or closing else " "
        if not token.startswith("\\"):
            return {"-": "−", "*": "∗", "'": "′", "~": " "}.get(token, token)
        return self.command(token[1:], before)

    def command(self, name: str, before: str) -> str:
        if name in ("frac", "dfrac", "tfrac"):
            above, below = self.argument(), self.argument()
            return f"{_held(above)}/{_held(below, below=True)}"
        if name == "sqrt":
            if self.peek() == "[":
                self.next()
                root = self.until("]")
                return f"{''.join(RAISED.get(letter, letter) for letter in root)}√{_held(self.argument(), below=True)}"
            return f"√{_held(self.argument(), below=True)}"
        if name in WORDS:
            return self.words()
        if name == "mathbb":
            letter = self.argument()
            return DOUBLE.get(letter, letter)
        if name in ACCENTS:
            return unicodedata.normalize("NFC", "".join(letter + ACCENTS[name] for letter in self.argument()))
        if name == "begin":
            return self.environment(self.words())
        if name in ("xrightarrow", "xleftarrow"):
            return f" {'—' if name[1] == 'r' else '←'}{self.argument()}{'→' if name[1] == 'r' else '—'} "
        if name in ("underbrace", "overbrace"):
            return self.argument()
        if name == "\\":
            return "\n"
        sign = SIGNS.get(name)
        if sign is None:
            return f"\\{name}"
        if name in NAMED:
            # `\log x` keeps its gap, `\log(x)` needs none; a letter before it is parted from it.
            gap = " " if before and before[-1].isalnum() else ""
            return gap + sign + (" " if self.peek(skip=True)[:1].isalnum() or self.peek(skip=True)[:1] == "\\" else "")
        if name in ("left", "right", "big", "Big", "bigl", "bigr") and self.peek(skip=True) == ".":
            self.argument()
        return sign

    def environment(self, name: str) -> str:
        """A matrix as [a b; c d], cases and aligned a line each."""
        if name == "array":
            self.argument()
        inside = self.until()
        self.next()
        self.words()
        rows = [re.sub(r"\s+", " ", row).strip() for row in inside.split("\n")]
        if name.endswith("matrix") or name == "array":
            return "[" + "; ".join(row for row in rows if row) + "]"
        return ("{ " if name == "cases" else "") + "\n".join(row for row in rows if row)

    def argument(self) -> str:
        """A group, or the one sign that stands in its place."""
        while self.peek().isspace():
            self.next()
        return self.one("").strip() if self.at < len(self.tokens) else ""

    def words(self) -> str:
        """A group as it was written."""
        while self.peek().isspace():
            self.next()
        if self.peek() != "{":
            return self.argument()
        self.next()
        out, depth = "", 1
        while self.at < len(self.tokens):
            token = self.next()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                break
            out += SIGNS.get(token[1:], token) if token.startswith("\\") else token
        return out

    def next(self) -> str:
        """The token here; one goes on."""
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def peek(self, skip: bool = False) -> str:
        """The token here, or the first after a gap."""
        at = self.at
        while skip and at < len(self.tokens) and self.tokens[at].isspace():
            at += 1
        return self.tokens[at] if at < len(self.tokens) else ""


def _held(part: str, below: bool = False) -> str:
    """In brackets where it would not hold together next to a sign."""
    part = part.strip()
    loose = r"[\w.,′ᵀ⁰-ₜ\u0302-\u0304]+" if below else r"[\w.,′ᵀ⁰-ₜ\u0302-\u0304∂]+"
    whole = (
        re.fullmatch(loose, part) or re.fullmatch(r"√[\w.⁰-ₜ]+", part) or re.fullmatch(r"[‖|][^‖|]+[‖|][⁰-ₜ]*", part)
    )
    return part if whole else f"({part})"
