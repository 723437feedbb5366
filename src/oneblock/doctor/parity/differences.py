"""Where two readings differ, as changes: choices first, then what is left between their tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.tensors import tensor_changes, where
from oneblock.doctor.parity.twin import Choices, Reading

ATTENTION = {
    "layout": "order of queries, keys and values",
    "theta": "rope base",
    "fraction": "rope fraction",
    "turned": "rope turns",
    "direction": "rope direction",
    "mask": "mask",
    "kv_heads": "key/value head of a query head",
    "cap": "attention cap",
    "alibi": "alibi",
    "merge": "merging of heads",
    "split": "splitting into heads",
    "softmax": "softmax over",
}
OTHER = {"activation": "activation", "gate": "activated half", "halves": "halves of gate and up"}
NORM = {"kind": "norm", "eps": "norm eps", "form": "norm gain", "variance": "norm variance", "eps_place": "eps stands"}
OF_ROPE = ("theta", "fraction", "turned", "direction")
Moves = list[tuple[str, str]]


def changes(reference: Reading, target: Reading) -> list[Change]:
    """Every difference of two readings, those of one kind over all layers as one."""
    found = [*_layers(reference, target), *_placements(reference, target)]
    moved = {place for change in found for place, _ in change.moves}
    found += _choices(reference, target, moved)
    taken = {role for change in found for role, part in change.moves if not part}
    return found + tensor_changes(reference, target, taken)


def _layers(a: Reading, b: Reading) -> list[Change]:
    if a.num_layers == b.num_layers:
        return []
    extra = [f"layers.{i}" for i in range(min(a.num_layers, b.num_layers), max(a.num_layers, b.num_layers))]
    moves = [(p, "") for p in [*b.choices, *b.tensors] for each in extra if p == each or p.startswith(each + ".")]
    return [Change(what="layers", reference=a.num_layers, target=b.num_layers, moves=(*moves, ("num_layers", "")))]


def placement(reading: Reading, branch: str) -> str:
    """pre, post, peri, out or none; "pre and post" for a norm in front and one on the stream."""
    before = reading.choices[f"{branch}.before"]["kind"] != "none"
    after = reading.choices[f"{branch}.after"].get("place", "")
    names = {(True, ""): "pre", (True, "out"): "peri", (True, "stream"): "pre and post", (False, ""): "none"}
    return names.get((before, after)) or {"out": "out", "stream": "post"}[after]


def _placements(a: Reading, b: Reading) -> list[Change]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for i in range(min(a.num_layers, b.num_layers)):
        for branch in (f"layers.{i}.attention", f"layers.{i}.feed_forward"):
            pair = placement(a, branch), placement(b, branch)
            if pair[0] != pair[1]:
                groups[pair].append(branch)
    found = []
    for (first, second), branches in groups.items():
        places = [f"{branch}.{side}" for branch in branches for side in ("before", "after")]
        found.append(_placed("norm placement", first, second, places, a, b, branches))
    for what, place in (("final norm", "final"), ("query norm", ""), ("embedding norm", "embedding")):
        if place:
            kinds = [_final(each, place)["kind"] for each in (a, b)]
            if "none" in kinds and kinds[0] != kinds[1]:
                found.append(_placed(what, kinds[0], kinds[1], [place], a, b, []))
    return found


def _final(reading: Reading, place: str) -> Choices:
    choices: Choices = reading.choices["final"] if place == "final" else reading.choices["embedding"]["norm"]
    return choices


def _placed(
    what: str, first: str, second: str, places: list[str], a: Reading, b: Reading, branches: list[str]
) -> Change:
    roots = [f"{place}.norm" if place == "embedding" else place for place in places]
    roles = [f"{root}.{vector}" for root in roots for vector in ("gain", "bias")]
    moves = [(place, "norm" if place == "embedding" else "") for place in places]
    moves += [(role, "") for role in roles if role in a.tensors or role in b.tensors]
    layers, at = where(branches, b)
    return Change(what=what, reference=first, target=second, layers=layers, places=at, moves=tuple(moves))


def _choices(a: Reading, b: Reading, moved: set[str]) -> list[Change]:
    groups: dict[tuple[str, Any, Any], Moves] = defaultdict(list)
    for place, own in a.choices.items():
        if place not in b.choices or place in moved:
            continue
        for what, first, second, names in _pairs(place, own, b.choices[place]):
            groups[what, first, second] += [(place, name) for name in names]
    found = []
    for (what, first, second), moves in groups.items():
        places = [place for place, _ in moves]
        layers, at = where(places, b)
        if what in NORM.values():
            layers, at = (), _norms_named(places, b)
        roles = _missing(a, b, places) if what == "norm" else []
        moves = [*moves, *((role, "") for role in roles)]
        found.append(Change(what=what, reference=first, target=second, layers=layers, places=at, moves=tuple(moves)))
    return found


def _norms_named(places: list[str], b: Reading) -> tuple[str, ...]:
    """Which norms, () where it is every norm of the stream."""
    norms = {place for place, c in b.choices.items() if c.get("kind", "none") != "none"}
    return () if norms <= set(places) else tuple(sorted({place.replace("layers.", "") for place in places}))


def _missing(a: Reading, b: Reading, places: list[str]) -> list[str]:
    """Biases that come or go with the kind of a norm."""
    roles = [f"{place}.bias" for place in places]
    return [role for role in roles if (a.tensors.get(role) is None) != (b.tensors.get(role) is None)]


def _pairs(place: str, a: Choices, b: Choices) -> list[tuple[str, Any, Any, list[str]]]:
    """What differs at one place: (what, in a, in b, fields)."""
    if place.endswith(".residual"):
        both = [each["from"] if each["from"] == "norm" else (each["skip"], each["branch"]) for each in (a, b)]
        said = [_residual(each) for each in (a, b)]
        return [("residual", said[0], said[1], list(a))] if both[0] != both[1] or a != b else []
    if "kind" in a:
        if a["kind"] == "none" or b["kind"] == "none":
            return []
        return [(word, a[f], b[f], [f]) for f, word in NORM.items() if f in a and f in b and a[f] != b[f]]
    if place == "embedding":
        return [("embedding scale", a["scale"], b["scale"], ["scale"])] if a["scale"] != b["scale"] else []
    if place == "logits":
        names = {"scale": "logit scale", "cap": "logit cap"}
        return [(names[f], a[f], b[f], [f]) for f in names if a[f] != b[f]]
    if "parallel" in a:
        return [("parallel", a["parallel"], b["parallel"], ["parallel"])] if a != b else []
    if "activation" in a:
        return [(word, a[f], b[f], [f]) for f, word in OTHER.items() if a[f] != b[f]]
    return _of_attention(a, b)


def _residual(c: Choices) -> str:
    base = "norm(x)" if c["from"] == "norm" else "x"
    left = {0.0: "", 1.0: base}.get(c["skip"], f"{c['skip']:g}·{base}")
    right = "branch" if c["branch"] == 1 else f"{c['branch']:g}·branch"
    return f"{left} + {right}" if left else right


def _of_attention(a: Choices, b: Choices) -> list[tuple[str, Any, Any, list[str]]]:
    found: list[tuple[str, Any, Any, list[str]]] = []
    sizes = ("heads", "groups", "head_width")
    if any(a[f] != b[f] for f in sizes):
        said = [f"{c['heads']} heads of {c['head_width']}, {c['groups']} for keys and values" for c in (a, b)]
        found.append(("heads", said[0], said[1], [*sizes, "scale", "layout"]))
    elif abs(a["scale"] - b["scale"]) > 1e-6 * abs(a["scale"]):
        found.append(("attention scale", scale_named(a), scale_named(b), ["scale"]))
    if a["rope"] != b["rope"]:
        fields = ["rope", *(OF_ROPE if "none" in (a["rope"], b["rope"]) else ())]
        found.append(("rope", a["rope"], b["rope"], fields))
    for name, word in ATTENTION.items():
        if a[name] != b[name] and not (name in OF_ROPE and "none" in (a["rope"], b["rope"])):
            found.append((word, a[name], b[name], [name]))
    for name in ("q_norm", "k_norm"):
        first, second = a.get(name), b.get(name)
        if first is None or second is None or first["over"] != second["over"]:
            both = _inner(first), _inner(second)
            found += [("query and key norm", *both, [name])] if first != second else []
        else:
            found += [(word, first[f], second[f], [name]) for f, word in NORM.items() if first[f] != second[f]]
    return found


def _inner(c: Choices | None) -> str:
    return "none" if c is None else f"{c['kind']} over each {c['over'].replace('all heads', 'token')}, eps {c['eps']:g}"


def scale_named(c: Choices) -> str:
    """A scale as a formula, where it is one that people write."""
    value, width = c["scale"], c["head_width"]
    names = {1.0: "1", width**-0.5: "1/√K", 1 / width: "1/K", width**0.5: "√K", c["heads"] ** -0.5: "1/√H"}
    names |= {(c["heads"] * width) ** -0.5: "1/√D", 1 / (c["heads"] * width): "1/D"}
    for number, name in names.items():
        if math.isclose(number, value, rel_tol=1e-5):
            return name
    return f"{value:.6g}"
