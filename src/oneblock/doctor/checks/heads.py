"""G1, A5: which key/value head feeds which query head, and whether anything but attention mixes tokens."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from oneblock.doctor.checks.check import BAD, EQUALITY, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.locate import events, line_of, parting
from oneblock.doctor.look import Seen, Watch, attentions, names_of
from oneblock.doctor.patient import Patient, difference


def groups(patient: Patient) -> Finding:
    """G1: query heads that are given the same keys, and the same values; the two maps must be one."""
    found = [(place, *map_of(k, v, heads)) for place, k, v, heads in _given(patient) if heads > 1]
    if not found:
        return skip("no keys and values of several heads were seen")
    config = getattr(patient.target.thing, "config", None)
    for place, keys, values in found:
        more = {"value": _said(keys), "source": "query heads whose keys, and whose values, are equal", "where": place}
        if keys != values:
            note = f"query heads share keys as {_said(keys)} and values as {_said(values)}"
            repair = "repeat keys and values alike: repeat_interleave(heads // groups, dim=1) on both"
            return said("FAIL", note, repair=repair, **more)
        counts = {keys.count(each) for each in keys}
        if len(counts) > 1:
            note = f"key/value heads feed unequal numbers of query heads: {_said(keys)}"
            return said("FAIL", note, repair="every key/value head feeds heads // groups query heads", **more)
        declared = getattr(config, "num_key_value_heads", None)
        if isinstance(declared, int) and declared != len(set(keys)) and len(keys) % declared == 0:
            note = f"{declared} key/value heads were declared and {len(set(keys))} are there: {_said(keys)}"
            return said("FAIL", note, repair="size the key and value projections by the number of groups", **more)
    place, keys, _ = found[0]
    note, more = _order(keys), {"value": _said(keys)}
    # An encoder and a decoder may have other numbers of heads.
    if len({tuple(keys) for _, keys, _ in found}) > len({(len(keys), len(set(keys))) for _, keys, _ in found}):
        return said("WARN", "layers share keys in different orders", where=place, **more)
    return said("INFO" if len(set(keys)) < len(keys) else "PASS", note, **more)


def map_of(k: Tensor, v: Tensor, heads: int) -> tuple[list[int], list[int]]:
    """For every query head the first head whose keys are the same; the same of values."""
    return _classes(k, heads), _classes(v, heads)


def _classes(part: Tensor, heads: int) -> list[int]:
    own = part.shape[1]
    if own < heads and heads % own == 0:
        return [i // (heads // own) * (heads // own) for i in range(heads)]
    return [next(j for j in range(i + 1) if torch.equal(part[:, j], part[:, i])) for i in range(own)]


def _order(keys: list[int]) -> str:
    if len(set(keys)) == len(keys):
        return f"each of {len(keys)} query heads has keys and values of its own"
    if keys == sorted(keys):
        return f"neighbouring query heads share keys and values: {_said(keys)}"
    return f"query heads share keys and values in turns (tiled): {_said(keys)}; weights of others are in blocks"


def _said(keys: list[int]) -> str:
    names = {head: i for i, head in enumerate(dict.fromkeys(keys))}
    return " ".join(str(names[each]) for each in keys)


def _given(patient: Patient) -> list[tuple[str, Tensor, Tensor, int]]:
    """(where, keys, values, number of query heads) of every attention."""
    model = patient.stirred
    x = model.sample(2, min(11, patient.target.max_len), patient.seed)
    if model.adapter and callable(getattr(model.thing, "qkv", None)):
        return [(f"attention {i}", k, v, q.shape[1]) for i, (q, k, v) in enumerate(model.thing.qkv(x))]
    seen = [each for each in attentions(model, x) if _four(each)]
    return [(each.place, each.k, each.v, each.q.shape[1]) for each in seen]  # type: ignore[misc, union-attr]


def _four(each: Seen) -> bool:
    return all(part is not None and part.dim() == 4 for part in (each.q, each.k, each.v))


def mixing(patient: Patient) -> Finding:
    """A5: every token made to attend to itself alone; another token is changed, and nothing may move."""
    target, model = patient.target, patient.stirred
    if target.takes == "images" or target.kind == "seq2seq":
        return skip("not asked of images, nor of models with a second text")
    length = min(7, target.max_len)
    x = model.sample(1, length, patient.seed)
    seen = attentions(model, x)
    if not seen:
        return skip("no softmax over scores was seen")
    if any(each.whole for each in seen):
        return skip("its attention is one function of PyTorch's, whose weights cannot be replaced")
    other, kept = x.clone(), length // 2
    other[:, kept] = model.different(x, patient.seed + 1)[:, kept]
    rest = torch.arange(length) != kept

    def alone(ids: Tensor) -> Tensor:
        with Watch(names=names_of(model.module), alone=True):
            return model(ids)

    value = difference(alone(other)[:, rest], alone(x)[:, rest])
    more = {"value": value, "threshold": BAD, "source": EQUALITY}
    if value <= BAD:
        return said("PASS", "tokens meet in attention only", **more)

    def keep(tensor: Tensor) -> Tensor | None:
        return tensor[:, rest] if tensor.dim() >= 3 and tensor.shape[:2] == (1, length) else None

    first, second = (events(model.module, partial(alone, ids)) for ids in (x, other))
    name = parting(first, second, keep)
    inside = name is not None and any(each.place.split(" ")[0] == name for each in attentions(model, x))
    where = line_of(model.module, name) if name is not None else "outside every module"
    if any(isinstance(each, nn.Conv1d) for each in model.module.modules()):
        return said("INFO", "a convolution mixes tokens besides attention", where=where, **more)
    repair = "split and merge heads with transpose(1, 2): B × T × H × K ↔ B × H × T × K, never by reshape alone"
    if inside:
        note = "attention mixes tokens apart from its weights: a reshape without transpose"
        return said("FAIL", note, where=where, repair=repair, **more)
    note = "something besides attention mixes tokens"
    return said("WARN", note, where=where, repair="if it is meant, fine; else look for a wrong axis", **more)
