"""Where the tensors of two readings differ, as changes."""

from __future__ import annotations

from collections import defaultdict

from torch import Tensor

from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.compare import SAME, alike, rows_named
from oneblock.doctor.parity.norms import gap
from oneblock.doctor.parity.twin import Reading, split


def tensor_changes(a: Reading, b: Reading, taken: set[str]) -> list[Change]:
    """Those of one kind over all layers as one; taken: roles that another change moves."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for role in dict.fromkeys([*a.tensors, *b.tensors]):
        if role not in taken:
            suffix, said = _compared(role, a, b)
            if said != "equal":
                groups[suffix, said].append(role)
    if _tied(a) and _tied(b):
        # One table, told once.
        heads = [key for key in groups if key[0] == "head.weight"]
        tables = [key for key in groups if key[0] == "embedding.weight"]
        if heads and tables:
            groups[tables[0]] += groups.pop(heads[0])
    gains = [key for key in groups if key[1] in ("1 + weight", "weight, not 1 + weight")]
    found = [_gain(said, [r for key in gains if key[1] == said for r in groups[key]], b) for said in _unique(gains)]
    rest = {key: roles for key, roles in groups.items() if key not in gains}
    words = {said for _, said in rest}
    if len(rest) <= (8 if len(words) > 1 else 3):
        return found + [_tensor(suffix, said, roles, a, b) for (suffix, said), roles in rest.items()]
    roles = [role for each in rest.values() for role in each]
    return [*found, _tensor("parameters", words.pop() if len(words) == 1 else _many(len(roles)), roles, a, b)]


def _many(count: int) -> str:
    return f"{count} of them differ"


def _elsewhere(role: str, a: Reading, b: Reading) -> str:
    """Where else the reference has this tensor: in another layer, or under another name of the same one."""
    own, parts = b.tensors[role], role.split(".")
    if own is None or own.numel() == 1 or bool((own == own.flatten()[0]).all()):
        return ""
    for other, tensor in a.tensors.items():
        if tensor is not None and other != role and tensor.shape == own.shape and gap(own, tensor) <= SAME:
            theirs = other.split(".")
            if parts[0] == theirs[0] == "layers" and parts[2:] == theirs[2:]:
                return f"those of layer {theirs[1]}"
            if parts[:2] == theirs[:2] and other.count(".") > 1:
                return f"that of {'.'.join(theirs[2:])}"
    return ""


def _compared(role: str, a: Reading, b: Reading) -> tuple[str, str]:
    """What a tensor is called, the same in all layers, and what it is in b, seen from a."""
    first, second = a.tensors.get(role), b.tensors.get(role)
    suffix = ".".join(part for part in role.split(".") if part != "layers" and not part.isdigit())
    if role == "position.rows":
        return suffix, "equal" if first is None and second is None else rows_named(first, second)
    elsewhere = _elsewhere(role, a, b) if second is not None and alike(first, second) != "equal" else ""
    if elsewhere:
        return ("parameters" if elsewhere.startswith("those") else suffix), elsewhere
    if suffix.endswith((".gain", ".bias")) and suffix.split(".")[-2] in ("before", "after", "final", "norm"):
        return f"norm {suffix.rpartition('.')[2]}", alike(first, second)
    said = alike(first, second)
    pieces = _pieces(role, a, b) if said != "equal" and first is not None and second is not None else {}
    apart = {name: alike(*pair) for name, pair in pieces.items() if alike(*pair) != "equal"}
    if len(apart) == 1:
        name, said = next(iter(apart.items()))
        return f"{suffix.split('.')[0]}.{name}.{suffix.rpartition('.')[2]}", said
    if len(apart) == 2:
        (one, (x, y)), (two, (u, w)) = ((name, pieces[name]) for name in apart)
        if x.shape == w.shape and alike(x, w) == alike(u, y) == "equal":
            return suffix, f"{one} and {two} exchanged"
    return suffix, said


def _pieces(role: str, a: Reading, b: Reading) -> dict[str, tuple[Tensor, Tensor]]:
    """Queries, keys and values, or gate and up, out of one tensor; {} where the two models do not divide it alike."""
    place = role.rpartition(".")[0]
    root, _, name = place.rpartition(".")
    both = [each.tensors[role] for each in (a, b)]
    if root not in a.choices or root not in b.choices or both[0] is None or both[1] is None:
        return {}
    c, d = a.choices[root], b.choices[root]
    wide = [each if each.dim() == 2 else each[None] for each in both if each is not None]
    if name == "qkv" and all(c[f] == d[f] for f in ("layout", "heads", "groups", "head_width")):
        parts = [[each[0] for each in split(tensor[None], c)] for tensor in wide]
        return dict(zip(("queries", "keys", "values"), zip(*parts, strict=True), strict=True))
    if name == "up" and c["gate"] != "none" and c["halves"] == d["halves"] == "blocks":
        names = ("gate", "up") if c["gate"] == "first" else ("up", "gate")
        return dict(zip(names, zip(*(tensor.chunk(2, -1) for tensor in wide), strict=True), strict=True))
    return {}


def _unique(keys: list[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(said for _, said in keys))


def _gain(said: str, roles: list[str], b: Reading) -> Change:
    words = ("weight", "1 + weight") if said == "1 + weight" else ("1 + weight", "weight")
    names = tuple(dict.fromkeys(name for role in roles for name in b.names.get(role, ())))
    return Change(
        what="norm gain",
        reference=words[0],
        target=words[1],
        parameters=names,
        moves=tuple((role, "") for role in roles),
    )


def _called(role: str, suffix: str, a: Reading, b: Reading) -> tuple[str, ...]:
    """What a tensor is called in the target's file, else in the reference's; of one that was joined its own part."""
    names = b.names.get(role) or a.names.get(role, ())
    kind = role.rpartition(".")[2]
    own = [name for name in names if name.endswith("bias") == (kind == "bias")] or list(names)
    c, piece = b.choices.get(role.rsplit(".", 2)[0], {}), suffix.rpartition(".")[0].rpartition(".")[2]
    if piece in ("queries", "keys", "values") and len(own) == 3:
        own = [own[c["layout"].split(", ").index(piece[0])]]
    elif piece in ("gate", "up") and len(own) == 2 and suffix.split(".")[-2:] != role.split(".")[-2:]:
        own = [own[0 if (piece == "gate") == (c["gate"] == "first") else 1]]
    return tuple(own)


def _tensor(suffix: str, said: str, roles: list[str], a: Reading, b: Reading) -> Change:
    layers, _ = where(roles, b)
    names = tuple(dict.fromkeys(name for role in roles for name in _called(role, suffix, a, b)))
    moves = tuple((role, "") for role in roles)
    if suffix == "position.rows":
        first, _, second = said.partition(" | ")
        return Change(what="positions", reference=first, target=second, parameters=names, moves=moves)
    if suffix == "head.weight" and _tied(a) and not _tied(b):
        return Change(what="tying", reference="head is the embedding", target=said, parameters=names, moves=moves)
    return Change(what=suffix, reference="as it is", target=said, layers=layers, parameters=names, moves=moves)


def _tied(reading: Reading) -> bool:
    head, table = reading.tensors.get("head.weight"), reading.tensors.get("embedding.weight")
    return isinstance(head, Tensor) and isinstance(table, Tensor) and alike(head.T, table) == "equal"


def where(places: list[str], reading: Reading) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Layers and branches, () where it is all of them."""
    parts = [place.split(".") for place in places if place.startswith("layers.")]
    layers = sorted({int(part[1]) for part in parts})
    names = sorted({part[2].replace("_", "-") for part in parts if len(part) > 2})
    everywhere = layers == list(range(reading.num_layers))
    return (() if everywhere else tuple(layers)), (tuple(names) if len(names) == 1 and len(parts) else ())
