"""The learner's folder: one growing package, a file for each exercise, and how far one has come, in plain files."""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from oneblock.learn.course.drawings import desk
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import GRADUATION, NAMES, ORDER, text_of, title_of
from oneblock.learn.grade import Grade
from oneblock.learn.process import FOREIGN
from oneblock.runs.durable import replace

PROGRESS = "progress.json"
EARLIER = {
    "attention": ("softmax.softmax",),
    "multi_head": ("attention.attention",),
    "block": ("norms.layer_norm", "multi_head.MultiHeadAttention", "causal_mask.causal_mask"),
    "tiny_gpt": ("block.Block", "norms.layer_norm"),
    "fit": ("loss.next_token_loss",),
    "sample": ("softmax.softmax",),
    "cache": ("multi_head.MultiHeadAttention", "attention.attention", "causal_mask.causal_mask"),
    "llama": ("multi_head.MultiHeadAttention",),
    "experts": ("softmax.softmax", "block.FeedForward"),
    "cross_attention": ("attention.attention", "block.FeedForward", "multi_head.MultiHeadAttention"),
    "dit": ("multi_head.MultiHeadAttention", "block.FeedForward", "norms.layer_norm"),
    GRADUATION: ("attention.attention", "causal_mask.causal_mask", "norms.rms_norm", "llama.rope", "llama.SwiGLU"),
}
"""What an exercise may take from the files before it; told in its file, never needed."""
STATES = {
    "right": "right",
    "changed": "right once, changed since",
    "begun": "begun",
    "new": "not begun",
    "gone": "gone",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One exercise as the list shows it. number: 0 is the one on plain lists; state: a key of STATES; since: when it
    was first right; hints: how many."""

    number: int
    name: str
    title: str
    state: str
    since: str = ""
    hints: int = 0


class Lab:
    """A folder of exercises. Files are made where they are not there, and never overwritten."""

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES) -> None:
        self.folder, self.names = folder, names
        self.progress = _read(folder / PROGRESS)

    def path(self, name: str) -> Path:
        """The learner's file."""
        return self.folder / f"{name}.py"

    def text(self, name: str) -> str | None:
        """What the file holds; None where it is not there."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def make(self) -> list[str]:
        """Make the folder, and every file that is not there yet; the names of those. LearnError where it cannot be."""
        _fit(self.folder, self.names)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            made = [name for name in self.names if _new(self.path(name), stub(name))]
            _new(self.folder / "__init__.py", cover(self.folder.absolute().name, self.names))
            _new(self.path(GRADUATION), stub(GRADUATION))
            desk.make(self.folder)
        except OSError as error:
            raise LearnError(
                f"{self.folder} cannot be made or written ({error.strerror or error}); give another with --dir"
            ) from None
        self.progress |= {name: self.progress.get(name, {}) | {"made": _hash(stub(name))} for name in made}
        if made or not (self.folder / PROGRESS).exists():
            self._write()
        return made

    def state(self, name: str) -> str:
        """How an exercise stands, by its file and by what was graded."""
        text, known = self.text(name), self.progress.get(name, {})
        if text is None:
            return "gone"
        if known.get("right"):
            return "right" if known.get("sha256") == _hash(text) else "changed"
        # A newer version has other stubs: what an older one made, and nobody touched, is not begun.
        return "new" if text == stub(name) or known.get("made") == _hash(text) else "begun"

    def steps(self) -> list[Step]:
        """All of them, in order."""
        return [
            Step(
                number=ORDER.index(name),
                name=name,
                title=title_of(name),
                state=self.state(name),
                since=str(self.progress.get(name, {}).get("right", "")),
                hints=int(self.progress.get(name, {}).get("hints", 0)),
            )
            for name in self.names
        ]

    def first(self, after: str = "") -> str:
        """The first that is not right, after a name and then from the start; the last where all are right."""
        at = self.names.index(after) + 1 if after in self.names else 0
        order = (*self.names[at:], *self.names[:at])
        return next((name for name in order if self.state(name) != "right"), order[0] if after else self.names[-1])

    def graded(self, grade: Grade, text: str) -> None:
        """Keep what came of a grading; `text` is what was graded."""
        known = self.progress.setdefault(grade.exercise, {})
        known["tries"] = int(known.get("tries", 0)) + 1
        if grade.passed:
            known["right"] = known.get("right") or _now()
            known["sha256"] = _hash(text)
        elif known.get("sha256") == _hash(text):
            del known["sha256"]
        self.noted(grade)

    def noted(self, grade: Grade) -> None:
        """Keep which wrong variants the grader has named, when last and how often: `recall` asks for them again."""
        named = self.named(grade.exercise)
        for variant in grade.named:
            before = named.get(variant, {})
            named[variant] = {"times": int(before.get("times", 0)) + 1, "last": _now()}
        if named:
            self.progress.setdefault(grade.exercise, {})["named"] = named
        self._write()

    def named(self, name: str) -> dict[str, dict[str, Any]]:
        """The wrong variants that the grader has named in an exercise: name -> {times, last}."""
        found = self.progress.get(name, {}).get("named", {})
        entries = found.items() if isinstance(found, dict) else ()
        return {key: entry for key, entry in entries if isinstance(entry, dict)}

    def hinted(self, name: str) -> None:
        """One hint more was read."""
        known = self.progress.setdefault(name, {})
        known["hints"] = int(known.get("hints", 0)) + 1
        self._write()

    def reset(self, name: str) -> Path | None:
        """The stub again. What was there is kept beside it; gives where, None where nothing was there."""
        path = self.path(name)
        kept: Path | None = None
        if path.exists():
            number = 1
            while path.with_name(f"{path.name}.bak{number}").exists():
                number += 1
            kept = path.with_name(f"{path.name}.bak{number}")
        try:
            if kept is not None:
                path.rename(kept)
            _new(path, stub(name))
        except OSError as error:
            raise LearnError(f"{path} cannot be begun anew ({error.strerror or error})") from None
        known = self.progress.get(name, {})
        known.pop("right", None)
        known.pop("sha256", None)
        self._write()
        return kept

    def diff(self, name: str) -> str:
        """From the learner's file to the reference, without the lesson. To be shown only where it is right."""
        one, two = (code(text).splitlines() for text in (self.text(name) or "", text_of(name, "reference")))
        return "\n".join(difflib.unified_diff(one, two, f"{name}.py (yours)", "the reference", lineterm="", n=2))

    def _write(self) -> None:
        try:
            replace(self.folder / PROGRESS, (json.dumps(self.progress, indent=1) + "\n").encode())
        except OSError as error:
            raise LearnError(
                f"{self.folder / PROGRESS} cannot be written ({error.strerror or error}): what you reached is not kept"
            ) from None


def keep(grade: Grade) -> None:
    """Keep what came of a grading, where the file lies in a folder of exercises."""
    folder = Path(grade.folder)
    if grade.folder and (folder / PROGRESS).is_file() and grade.file == f"{grade.exercise}.py":
        lab = Lab(folder)
        lab.graded(grade, lab.text(grade.exercise) or "")


def here(given: Path | None, default: Path) -> Path:
    """The folder that is meant: the given one, this one where it is one of exercises, else the default."""
    if given is not None:
        return given
    return Path() if (Path() / PROGRESS).is_file() else default


@functools.cache
def stub(name: str) -> str:
    """An exercise's file as the learner gets it."""
    text = text_of(name, "stub")
    earlier = [entry.partition(".")[::2] for entry in EARLIER.get(name, ()) if entry.partition(".")[0] in NAMES]
    if not earlier:
        return text
    note = "".join(f"#     from .{file} import {what}\n" for file, what in earlier)
    told = f"# This folder is a package: what you have written before is at hand, if you like to use it.\n{note}"
    lines = text.splitlines(keepends=True)
    at = ast.parse(text).body[0].end_lineno or 0
    return "".join([*lines[:at], "\n", told, *lines[at:]])


def cover(package: str, names: tuple[str, ...]) -> str:
    """The folder's own `__init__.py`: what is in it, and how to go on."""
    rows = "\n".join(f"{ORDER.index(name):4}  {name + '.py':20} {title_of(name)}" for name in names)
    return f'''"""A transformer, built by hand: a file for each exercise, in this order, each with its lesson on top.

{rows}
      {GRADUATION + ".py":20} {title_of(GRADUATION)}: `oneblock check {GRADUATION}`

`oneblock learn` in this folder grades a file whenever it is saved, and says what is wrong; `oneblock check NAME` does
it once. Later files may import earlier ones: `from .softmax import softmax`. For trials of your own, put them under
`if __name__ == "__main__":` and run `python -m {package}.softmax` in the folder above.
"""
'''


def _fit(folder: Path, names: tuple[str, ...]) -> None:
    """LearnError where a folder cannot be the package."""
    name = folder.absolute().name
    if folder.exists() and not folder.is_dir():
        raise LearnError(f"{folder} is a file; give another name with --dir")
    if not name.isidentifier() or name in {*sys.stdlib_module_names, *FOREIGN, "torch", "numpy", *names}:
        raise LearnError(
            f"{name!r} cannot be the folder's name, for it becomes a Python package: letters, digits and _ only, and "
            "not the name of another package; give another with --dir"
        )
    if folder.is_dir() and not (folder / PROGRESS).exists():
        held = sorted(path.name for path in folder.iterdir())
        if held and not any(f"{each}.py" in held for each in names):
            raise LearnError(f"{folder} has other things in it ({', '.join(held[:3])}, …); give another with --dir")


def _new(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise LearnError(
            f"{path} cannot be read ({error}); put it right, or remove it to begin its list anew"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise LearnError(f"{path} is not what was written; put it right, or remove it to begin its list anew")
    return found


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def code(text: str) -> str:
    """A file without its opening docstring."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return text
    first = body[0] if body else None
    if not (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    ):
        return text
    return "\n".join(text.splitlines()[first.end_lineno or 0 :]).strip() + "\n"
