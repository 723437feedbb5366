"""`check(exercise)`: a learner's file graded, in a process of its own. Loads torch only after that has been started."""

from __future__ import annotations

import contextlib
import difflib
import re
import secrets
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import GRADUATION, NAMES, exercise_named, text_of
from oneblock.learn.grade import Grade, Line
from oneblock.learn.process import Child, Ended
from oneblock.learn.sandbox import NO_SANDBOX
from oneblock.learn.source import ALWAYS, neighbours, shortcuts

if TYPE_CHECKING:
    from oneblock.learn.exercise import Exercise

FOLDER = Path("my_transformer")
"""Where `oneblock learn` puts the exercises."""
PRELOAD = {"fit": "torch._dynamo"}
"""What an exercise makes torch load late: the first optimiser in a process, its compiler."""


def check(
    exercise: str | None = None, file: str | Path | None = None, *, seed: int | None = None, child: Child | None = None
) -> Grade:
    """Grade one exercise.

    exercise: its name; can be left out where the file is called after it. file: default NAME.py here or in
    my_transformer/. seed: of the random inputs; drawn where not given, and told. child: a process that has been
    started already (it is used up). LearnError where there is no such exercise or file.
    """
    name, path = named(exercise, file)
    began = time.monotonic()
    seed = secrets.randbelow(2**31) if seed is None else seed
    with child or Child() as process, _one_thread():
        return _graded(exercise_named(name), path, seed, process, began)


def check_all(folder: str | Path | None = None, *, seed: int | None = None) -> Iterator[Grade]:
    """Grade every exercise whose file is there, in their order. LearnError where there is none."""
    where = [Path(folder)] if folder is not None else [Path(), FOLDER]
    found = {name: path / f"{name}.py" for path in reversed(where) for name in NAMES if (path / f"{name}.py").is_file()}
    if not found:
        places = " and ".join(str(path.absolute()) for path in where)
        raise LearnError(
            f"no exercise's file is in {places}: `oneblock learn` makes them; they are called NAME.py, NAME one of "
            f"{', '.join(NAMES)}"
        )
    for name in NAMES:
        if name in found:
            yield check(name, found[name], seed=seed)


def named(exercise: str | None, file: str | Path | None) -> tuple[str, Path]:
    """The exercise's name and the learner's file. LearnError with all names where one is not there."""
    offered = ", ".join((*NAMES, GRADUATION))
    if exercise is None:
        if file is None:
            raise LearnError(f"which exercise? One of {offered}; or --file F, called after one")
        exercise = re.sub(r"^\d+[_-]", "", Path(file).stem)
    if exercise not in (*NAMES, GRADUATION):
        raise LearnError(f"there is no exercise {exercise!r}; {_meant(exercise)}")
    if file is not None:
        path = Path(file)
        if not path.is_file():
            raise LearnError(f"{path} is not there, or is no file")
        return exercise, path.absolute()
    for path in (Path(f"{exercise}.py"), FOLDER / f"{exercise}.py"):
        if path.is_file():
            return exercise, path.absolute()
    raise LearnError(
        f"neither {exercise}.py nor {FOLDER}/{exercise}.py is here: `oneblock learn` makes it, or give --file F"
    )


def _meant(given: str) -> str:
    """What to write instead; a file's name is one of `--file`."""
    near = difflib.get_close_matches(given.lower().removesuffix(".py"), (*NAMES, GRADUATION), n=2)
    if near and given.endswith(".py"):
        return f"try oneblock check {near[0]}, or --file {given}"
    return f"try {', '.join(near)}" if near else f"there are {', '.join(NAMES)}"


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads on tensors this small wait for one another most of the time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _graded(exercise: Exercise, path: Path, seed: int, child: Child, began: float) -> Grade:
    import torch

    from oneblock.learn.diagnose import diagnose
    from oneblock.learn.judge import judge

    child.limits = exercise.limits
    watched = (*ALWAYS, *exercise.forbids)
    try:
        opened = child.open(path, watched)
    except Ended as end:
        error = {"type": "Ended", "message": str(end), "line": end.line, "text": "", "kinds": []}
        opened = {"error": error, "after": {}}
    seen = seen_in_source(path, exercise.forbids, exercise.packages)
    outcome = judge(exercise, child.ask, seed=seed, shortcuts=seen, opened=opened)
    with warnings.catch_warnings():
        # Wrong variants do what torch warns of; the learner has not asked for it.
        warnings.simplefilter("ignore")
        found = diagnose(exercise, outcome, child.ask, dtype=torch.float64)
    root = outcome.root
    return Grade(
        exercise=exercise.name,
        passed=outcome.passed,
        checks=tuple(Line(id=v.id, status=v.status, message=v.message) for v in outcome.verdicts),
        diagnosis=found.sentence if found else None,
        root=root.id if root else "",
        named=found.named if found else (),
        line=found.line if found else 0,
        worked=found.worked if found else "",
        hints=root.hints if root else (),
        reference=text_of(exercise.name, "reference") if outcome.passed else "",
        also=tuple(right.says for right in exercise.right) if outcome.passed else (),
        printed=child.printed(),
        file=path.name,
        folder=str(path.parent),
        seed=seed,
        seconds=time.monotonic() - began,
        note="" if child.shut_in else NO_SANDBOX,
    )


def seen_in_source(path: Path, forbids: tuple[str, ...], packages: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """Shortcuts in the file, and in those beside it that it imports; these with their `file`."""
    found: list[dict[str, object]] = []
    for file in (path, *neighbours(path)):
        text = file.read_text(encoding="utf-8", errors="replace")
        if file == path:
            found += shortcuts(text, forbids, packages)
        else:
            found += [entry | {"file": file.name} for entry in shortcuts(text, (), packages)]
    return found
