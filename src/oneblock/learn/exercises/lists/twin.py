"""The four on lists with switches: without any they are right; each variant sets one or more."""

import functools
import math
from typing import Any


def softmax(x: list[float], *, shift: str = "max", base: float = math.e, divide: str = "sum", kind: str = "list",
            softmax_in_place: bool = False, form: str = "quotient") -> Any:  # fmt: skip
    taken = {"max": max(x), "none": 0.0, "mean": sum(x) / len(x), "min": min(x), "first": x[0]}[shift]
    if softmax_in_place:
        for i in range(len(x)):
            x[i] -= taken
        taken = 0.0
    if form == "pairwise":
        return [1 / sum(math.exp(min(other - number, 700)) for other in x) for number in x]
    if form == "log":
        total = math.log(sum(math.exp(number - taken) for number in x))
        return [math.exp(number - taken - total) for number in x]
    powers = [base ** (number - taken) if base != math.e else math.exp(number - taken) for number in x]
    total = {"sum": sum(powers), "mean": sum(powers) / len(x), "length": math.hypot(*powers), "none": 1.0}[divide]
    shares = [power / total for power in powers]
    return {"list": shares, "tuple": tuple(shares), "rounded": [round(share, 4) for share in shares]}[kind]


def attention(q: Any, k: Any, v: Any, *, scale: str = "root", mixed: str = "values", over: str = "keys",
              causal: bool = False, inline: bool = False, output: str = "new", loops: str = "queries",
              **switches: Any) -> Any:  # fmt: skip
    root = {"root": math.sqrt(len(q[0])), "none": 1.0, "width": len(q[0]), "values": math.sqrt(len(v[0])),
            "keys": math.sqrt(len(k)), "times": 1 / math.sqrt(len(q[0]))}[scale]  # fmt: skip
    scores = [[sum(a * b for a, b in zip(query, key, strict=True)) / root for key in k] for query in q]
    if causal:
        scores = [
            [s if at <= i + len(k) - len(q) else -1e9 for at, s in enumerate(row)] for i, row in enumerate(scores)
        ]
    own: Any = functools.partial(softmax, **switches | ({"shift": "none"} if inline else {}))
    if over == "keys":
        weights = [list(own(row)) for row in scores]
    elif over == "queries":
        columns = [list(own([row[s] for row in scores])) for s in range(len(k))]
        weights = [[column[t] for column in columns] for t in range(len(q))]
    elif over == "all":
        flat = list(own([score for row in scores for score in row]))
        weights = [flat[t * len(k) : (t + 1) * len(k)] for t in range(len(q))]
    else:
        weights = scores
    if over == "hard":
        weights = [[float(score == max(row)) for score in row] for row in scores]
    held = {"values": v, "keys": k, "first": v[:1] * len(v)}[mixed]
    if loops == "sums":
        made = [[0.0] * len(held[0]) for _ in q]
        for t, row in enumerate(weights):
            for weight, value in zip(row, held, strict=True):
                for i, number in enumerate(value):
                    made[t][i] += weight * number
        return made
    if output == "shared":
        rows = [[0.0] * len(held[0])] * len(q)
        for t, row in enumerate(weights):
            for i in range(len(held[0])):
                rows[t][i] = sum(weight * value[i] for weight, value in zip(row, held, strict=True))
        return rows
    if output == "columns":
        return [[sum(w * x for w, x in zip(row, column, strict=True)) for column in zip(*held, strict=True)]
                for row in weights]  # fmt: skip
    mixes = [[sum(w * value[i] for w, value in zip(row, held, strict=True)) for i in range(len(held[0]))]
             for row in weights]  # fmt: skip
    return (mixes, weights) if output == "both" else mixes[0] if output == "one" else mixes


def layer_norm(x: list[float], eps: float, *, centre: bool = True, spread: str = "variance", at: str = "inside",
               norm_in_place: bool = False, norm_form: str = "mean of squares") -> list[float]:  # fmt: skip
    mean = sum(x) / len(x) if centre else 0.0
    left = [number - mean for number in x]
    if norm_form == "moments":
        variance = math.fsum(number * number for number in x) / len(x) - mean * mean
    elif spread == "absolute":
        variance = (sum(map(abs, left)) / len(x)) ** 2
    else:
        number = {"variance": len(x), "sample": max(len(x) - 1, 1), "sum": 1}[spread]
        variance = sum(each * each for each in left) / number
    variance = max(variance, 0.0)
    by = {"inside": math.sqrt(variance + eps), "outside": math.sqrt(variance) + eps, "no root": variance + eps,
          "ignored": math.sqrt(variance) or 1.0, "fixed": math.sqrt(variance + 1e-5),
          "at least": math.sqrt(max(variance, eps))}[at]  # fmt: skip
    if norm_in_place:
        x[:] = [number / by for number in left]
        return x
    return [number * by**-1.0 for number in left] if norm_form == "power" else [number / by for number in left]


def residual(x: list[float], f: Any, *, joins: str = "adds", calls: int = 1) -> list[float]:
    if joins == "one by one":
        return [number + f([number])[0] for number in x]
    change = f(x)
    for _ in range(calls - 1):
        change = f(change)
    if joins == "joined":
        return x + change
    if joins == "longer":
        x += change
        return x
    if joins == "changed":
        for i, number in enumerate(change):
            x[i] += number
        return x
    if joins == "map":
        return list(map(sum, zip(x, change, strict=True)))
    if joins == "own copy":
        kept = x[:]
        for i, number in enumerate(change):
            kept[i] += number
        return kept
    sign = {"subtracts": -1, "replaces": 1, "halves": 1}.get(joins, 1)
    kept = [0.0 if joins == "replaces" else number for number in x]
    return [(a + sign * b) / (2 if joins == "halves" else 1) for a, b in zip(kept, change, strict=True)]


def make(**switches: Any) -> dict[str, object]:
    """The names a learner would write."""
    names = {
        "attention": ("scale", "mixed", "over", "causal", "inline", "output", "loops"),
        "layer_norm": ("centre", "spread", "at", "norm_in_place", "norm_form"),
        "residual": ("joins", "calls"),
    }
    mine = {name: {key: switches[key] for key in keys if key in switches} for name, keys in names.items()}
    rest = {key: value for key, value in switches.items() if not any(key in keys for keys in names.values())}
    return {
        "softmax": functools.partial(softmax, **rest),
        "attention": functools.partial(attention, **mine["attention"], **rest),
        "layer_norm": functools.partial(layer_norm, **mine["layer_norm"]),
        "residual": functools.partial(residual, **mine["residual"]),
    }
