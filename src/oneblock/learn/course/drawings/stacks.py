"""A stack without a bypass and what becomes of a number in it; and the same stack with its residual wires."""

from __future__ import annotations

from oneblock.learn.course.drawings import catalogue
from oneblock.learn.course.drawings.drawing import Check, Drawing, Finding, Given, Wrong
from oneblock.learn.course.drawings.graph import read
from oneblock.learn.course.drawings.sheet import Sheet
from oneblock.learn.course.drawings.wires import graph_of, wired

FRESH = ("f",)
PLAIN = "x -> f -> f -> f -> y"
VERDICTS = {1.8: "explodes", 0.2: "collapses", -1.2: "oscillates"}
UNSTABLE_TASK = """
Draw the plain stack that the course begins with, and what becomes of a number in it.

Three layers one after another, no bypass, no norm: x -> … -> y. Call each layer f. Every one multiplies by `factor`.
Then put numbers for the question marks, with their signs, right to two places; the verdict is one of
explodes, collapses, oscillates.

Lines that begin with // are not read. `oneblock check draw_unstable_stack` says whether it is right.
Take this file away, and `oneblock learn` makes a new one with other numbers.
"""
UNSTABLE_WRONG = catalogue.drawn("unstable_stack")


def sizes(given: Given) -> list[float]:
    """The number after each layer."""
    return [given["start"] * given["factor"] ** layer for layer in (1, 2, 3)]


def unstable(values: list[float], verdict: str, text: str = PLAIN) -> str:
    """A drawing with its numbers."""
    numbers = "\n".join(f"after_{layer} = {value:.6g}" for layer, value in enumerate(values, 1))
    return f"{text}\n\n{numbers}\nverdict = {verdict}"


def wrong_stacks(given: Given) -> tuple[Wrong, ...]:
    """Other stacks with the right numbers, and the right stack with other numbers."""
    start, factor, verdict = given["start"], given["factor"], VERDICTS[given["factor"]]
    found = [
        Wrong(name=each.name, says=each.says, text=unstable(sizes(given), verdict, each.text))
        for each in UNSTABLE_WRONG
    ]
    for name, says, values in _wrong_sizes(start, factor):
        found.append(Wrong(name=name, says=says, text=unstable(values, verdict)))
    others = [each for each in VERDICTS.values() if each != verdict]
    found += [Wrong(name="verdict", says="another verdict", text=unstable(sizes(given), other)) for other in others]
    return tuple(found)


def _wrong_sizes(start: float, factor: float) -> list[tuple[str, str, list[float]]]:
    right = [start * factor**layer for layer in (1, 2, 3)]
    values = {
        "sign_lost": [abs(value) for value in right],
        "added": [start + layer * factor for layer in (1, 2, 3)],
        "times_layer": [start * factor * layer for layer in (1, 2, 3)],
        "one_early": [start, *right[:2]],
        "once": [right[0]] * 3,
        "bypass": [start * (1 + factor) ** layer for layer in (1, 2, 3)],
    }
    says = catalogue.says("sizes")
    return [(name, says[name], numbers) for name, numbers in values.items() if numbers != right]


def _stack_reads(sheet: Sheet, given: Given) -> Finding | None:
    found = graph_of(sheet, FRESH, FRESH)
    return found if isinstance(found, Finding) else None


def _stack(sheet: Sheet, given: Given) -> Finding | None:
    return wired(read(sheet.lines, FRESH, FRESH), PLAIN, UNSTABLE_WRONG, FRESH, FRESH)


def _sizes(sheet: Sheet, given: Given) -> Finding | None:
    right = sizes(given)
    typed = [sheet.setting(f"after_{layer}") for layer in (1, 2, 3)]
    for layer, found in enumerate(typed, 1):
        if found is None or found.number is None:
            line = found.line if found else 0
            return Finding(message=f"after_{layer} = … wants the number that layer {layer} gives", line=line)
    given_numbers = [found.number for found in typed if found and found.number is not None]
    if all(_near(got, wanted) for got, wanted in zip(given_numbers, right, strict=True)):
        return None
    at = next(index for index, got in enumerate(given_numbers) if not _near(got, right[index]))
    line = typed[at].line  # type: ignore[union-attr]
    for name, says, values in _wrong_sizes(given["start"], given["factor"]):
        if all(_near(got, value) for got, value in zip(given_numbers, values, strict=True)):
            return Finding(message=f"you have written {says}", line=line, named=name)
    before = "x" if at == 0 else f"after_{at}"
    return Finding(message=f"after_{at + 1} = {given_numbers[at]:g} is not factor times {before}", line=line)


def _verdict(sheet: Sheet, given: Given) -> Finding | None:
    typed, right = sheet.setting("verdict"), VERDICTS[given["factor"]]
    if typed is None:
        return Finding(message=f"verdict = … wants one of {', '.join(VERDICTS.values())}")
    if typed.value.lower().strip(" .") == right:
        return None
    why = {
        "explodes": "each number is larger than the one before, and of the same sign",
        "collapses": "each number is smaller than the one before",
        "oscillates": "the sign turns at each layer (and it grows while it does)",
    }
    return Finding(message=f"verdict = {typed.value}: {why[right]}", line=typed.line, named="verdict")


def _near(got: float, wanted: float) -> bool:
    # Two places of a small number are two of its digits.
    return abs(got - wanted) <= max(0.006 if abs(wanted) >= 0.5 else 0.0006, 1e-4 * abs(wanted))


UNSTABLE_STACK = Drawing(
    name="unstable_stack",
    title="The plain stack, and what becomes of a number in it",
    task=UNSTABLE_TASK,
    given={"start": (2, 3, 4, 5), "factor": (1.8, 0.2, -1.2)},
    begun=lambda given: "\n\nafter_1 = ?\nafter_2 = ?\nafter_3 = ?\nverdict = ?\n",
    checks=(
        Check(id="reads", run=_stack_reads),
        Check(id="wires", run=_stack),
        Check(id="numbers", run=_sizes),
        Check(id="verdict", run=_verdict),
    ),
    right=lambda given: unstable(sizes(given), VERDICTS[given["factor"]]),
    wrong=wrong_stacks,
    words=("verdict",),
)

WIRES_TASK = """
Wire the residual graph. Below, `layers` layers f1, f2, … stand in a row without a bypass: each overwrites what came in.
Take those lines out and draw the same layers so that each one adds its contribution to the stream:

    x + f1 -> h1              a sum has a name; norms are left out here

Then count the paths from x to y: at each layer a signal may go through it or past it. Put the number at `paths`.
Lines that begin with // are not read. `oneblock check draw_residual_wires` says whether it is right.
Take this file away, and `oneblock learn` makes a new one with other numbers.
"""


def layers_of(given: Given) -> tuple[str, ...]:
    """f1, f2, …"""
    return tuple(f"f{layer}" for layer in range(1, int(given["layers"]) + 1))


def stream(given: Given, *, reads: str = "h", adds: str = "h", without: int = 0) -> str:
    """The stream: layer k reads h_(k−1) and is added to it; or reads and adds something else, or one adds nothing."""
    names, lines, h = layers_of(given), [], "x"
    for number, f in enumerate(names, 1):
        before = f"f{number - 1}" if reads == "f" and number > 1 else "x" if reads == "x" else h
        after = "y" if number == len(names) else f"h{number}"
        lines.append(f"{before} -> {f}")
        lines.append(f"{f} -> {after}" if number == without else f"{'x' if adds == 'x' else h} + {f} -> {after}")
        h = after
    return "\n".join(lines)


def wrong_streams(given: Given) -> tuple[Wrong, ...]:
    """Other wirings of the same layers, without the number of paths."""
    names = layers_of(given)
    chain = " -> ".join(names)
    texts = {
        "no_bypass": f"x -> {chain} -> y",
        "around_all": f"x -> {chain}\nx + {names[-1]} -> y",
        "adds_to_x": stream(given, adds="x"),
        "reads_x": stream(given, reads="x"),
        "reads_contribution": stream(given, reads="f"),
        "backwards": _renamed(stream(given), names),
    }
    words = catalogue.says("residual_wires")
    found = [Wrong(name=name, says=words[name], text=text) for name, text in texts.items()]
    for number, f in enumerate(names, 1):
        says = f"no bypass around {f}: there the stream is overwritten"
        found.append(Wrong(name=f"missing_{number}", says=says, text=stream(given, without=number)))
    return tuple(found)


def _renamed(text: str, names: tuple[str, ...]) -> str:
    for number, name in enumerate(names, 1):
        text = text.replace(name, f"g{number}")
    for number, name in enumerate(reversed(names), 1):
        text = text.replace(f"g{number}", name)
    return text


def _wires_read(sheet: Sheet, given: Given) -> Finding | None:
    found = graph_of(sheet, layers_of(given))
    return found if isinstance(found, Finding) else None


def _wires(sheet: Sheet, given: Given) -> Finding | None:
    boxes = layers_of(given)
    return wired(read(sheet.lines, boxes), stream(given), wrong_streams(given), boxes)


def wrong_paths(given: Given) -> dict[int, str]:
    """Numbers of paths that people count instead of 2ⁿ."""
    n, says = int(given["layers"]), catalogue.says("paths")
    counts = {"n + 1": n + 1, "2n": 2 * n, "n": n, "1": 1, "2": 2, "2^n - 1": 2**n - 1, "n^2": n * n}
    return {count: says[name] for name, count in counts.items() if count != 2**n}


def _paths(sheet: Sheet, given: Given) -> Finding | None:
    typed, right = sheet.setting("paths"), 2 ** int(given["layers"])
    if typed is None or typed.number is None:
        return Finding(
            message="paths = … wants a number: how many ways lead from x to y?", line=typed.line if typed else 0
        )
    if typed.number == right:
        return None
    count = wrong_paths(given).get(int(typed.number), "at each layer there are two ways, through it and past it")
    return Finding(message=f"paths = {typed.value}: {count}", line=typed.line, named="paths")


def residual(given: Given, text: str = "", paths: int = 0) -> str:
    """A wiring with its number of paths."""
    return f"{text or stream(given)}\n\npaths = {paths or 2 ** int(given['layers'])}"


def wrong_wires(given: Given) -> tuple[Wrong, ...]:
    """Other wirings with the right number of paths, and the right one with other numbers."""
    found = [Wrong(name=each.name, says=each.says, text=residual(given, each.text)) for each in wrong_streams(given)]
    for count, says in wrong_paths(given).items():
        found.append(Wrong(name="paths", says=says, text=residual(given, paths=count)))
    return tuple(found)


RESIDUAL_WIRES = Drawing(
    name="residual_wires",
    title="The residual graph: every layer adds to the stream",
    task=WIRES_TASK,
    given={"layers": (3, 4, 5)},
    begun=lambda given: f"x -> {' -> '.join(layers_of(given))} -> y\n\npaths = ?\n",
    checks=(
        Check(id="reads", run=_wires_read),
        Check(id="wires", run=_wires),
        Check(id="paths", run=_paths),
    ),
    right=residual,
    wrong=wrong_wires,
)
