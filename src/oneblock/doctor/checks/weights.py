"""W1, W3, W4: what is saved is what runs; nothing doubled or forgotten among the parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from oneblock.doctor.checks.check import judged, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient, difference, stir


def round_trip(patient: Patient) -> Finding:
    """W1: weights saved and loaded into another one with other weights give the same logits; ties as declared."""
    wrong_tie = _tie(patient)
    if wrong_tie is not None:
        return wrong_tie
    model = patient.plain
    x = model.sample(2, min(9, patient.target.max_len), patient.seed)
    saved = {name: t.detach().clone() for name, t in model.module.state_dict().items() if isinstance(t, Tensor)}
    if not saved:
        return skip("it has no state dict")
    other, how = patient.fresh(), "a fresh model"
    if other is None or other.module.state_dict().keys() != saved.keys():
        other, how = patient.copy(patient.dtype), "a copy with other weights"
        stir(other.module, patient.seed + 3)
    # A module's `to` does not reach what is not registered; that is what this asks.
    other.module.to(patient.dtype)
    other.module.load_state_dict(saved)
    other.module.eval()
    try:
        value = difference(other(x), model(x))
    except RuntimeError as error:
        return said(
            "FAIL",
            f"{how} with the saved weights does not run: {str(error)[:120]}",
            repair="hold every weight as nn.Parameter or buffer, modules in nn.ModuleList",
        )
    repair = "hold every weight as nn.Parameter or buffer, modules in nn.ModuleList; tie weights after loading too"
    wrong = f"saved and loaded into {how}, the weights give other logits: something is not in the state dict"
    return judged(value, f"saved and loaded into {how}: the same logits", wrong, where="state_dict", repair=repair)


def _tie(patient: Patient) -> Finding | None:
    """Where the table and the head are declared one and are two."""
    module, config = patient.target.module, getattr(patient.target.thing, "config", None)
    if "untied" in patient.expect:
        return _one_though_two(patient)
    declared = "tied" in patient.expect or bool(
        getattr(config, "tie_word_embeddings", False) and hasattr(module, "get_output_embeddings")
    )
    if not declared:
        return None
    tables = [m.weight for m in module.modules() if isinstance(m, nn.Embedding)]
    sizes = {table.shape for table in tables if table.shape[0] == patient.target.vocab_size}
    linear = [
        (n, m.weight)
        for n, m in module.named_modules()
        if isinstance(m, nn.Linear) and m.weight.shape in sizes and "head" in n
    ]
    loose = [n for n, weight in linear if all(weight.data_ptr() != table.data_ptr() for table in tables)]
    if not loose:
        return None
    return said(
        "FAIL",
        f"the head ({loose[0]}) is declared tied to the embedding and has weights of its own",
        where=loose[0],
        repair="head.weight = embedding.weight, after loading",
    )


def _one_though_two(patient: Patient) -> Finding | None:
    module = patient.target.module
    tables = {m.weight.data_ptr(): n for n, m in module.named_modules() if isinstance(m, nn.Embedding)}
    heads = [(n, m.weight.data_ptr()) for n, m in module.named_modules() if isinstance(m, nn.Linear)]
    tied = next(((n, tables[where]) for n, where in heads if where in tables), None)
    if tied is None:
        return None
    note = f"{tied[0]} and {tied[1]} are one tensor, and were declared untied"
    return said("FAIL", note, where=tied[0], repair="give the head weights of its own")


def doubled(patient: Patient) -> Finding:
    """W3: one module under several names, or matrices that start as copies of one another."""
    module, seen = patient.target.module, defaultdict(list)
    for name, each in module.named_modules(remove_duplicate=False):
        own = [p for p in each.parameters(recurse=False) if p.dim() >= 1]
        if own and not isinstance(each, nn.Embedding) and type(each).__name__ not in ("SharedEmbedding",):
            seen[id(each)].append(name)
    shared = [names for names in seen.values() if len(names) > 1]
    if shared and "shared" not in patient.expect:
        names = shared[0]
        return said(
            "FAIL",
            f"{len(shared)} modules are registered under several names: {names[0]} is {names[1]}",
            value=float(len(shared)),
            threshold=0.0,
            where=" = ".join(names[:4]),
            repair="[Block() for _ in range(n)] instead of [Block()] * n; if it is meant: --expect shared",
        )
    same = defaultdict(list)
    for name, p in module.named_parameters():
        if p.dim() >= 2 and p.numel() >= 16 and p.is_floating_point() and float(p.detach().double().std()) > 0:
            value = p.detach().double()
            same[(tuple(p.shape), float(value.sum()), float(value.square().sum()))].append(name)
    twins = [names for names in same.values() if len(names) > 1]
    if twins:
        return said(
            "WARN",
            f"{len(twins)} groups of matrices have equal numbers, first {' and '.join(twins[0][:3])}: layers made by "
            "copying start alike",
            value=float(len(twins)),
            threshold=0.0,
            where=", ".join(twins[0][:4]),
            repair="initialise each layer anew after copying",
        )
    return said("PASS", "no parameter is shared or copied unawares", value=0.0)


def unregistered(patient: Patient) -> Finding:
    """W4: weights and modules in lists, dicts or plain attributes, which .to(), state_dict and optimisers miss."""
    module = patient.target.module
    known = {id(p) for p in module.parameters()} | {id(b) for b in module.buffers()} | {id(m) for m in module.modules()}
    lost = []
    for path, each in module.named_modules():
        for name, value in vars(each).items():
            if name.startswith("_") and name in vars(nn.Module()):
                continue
            for where, found in _walk(value, f"{path}.{name}".lstrip(".")):
                if isinstance(found, nn.Module):
                    if id(found) not in known and any(id(p) not in known for p in found.parameters()):
                        lost.append(where)
                elif found.requires_grad and found.is_leaf and id(found) not in known:
                    lost.append(where)
    stays = next((name for name in plain_tables(patient) if _stays(patient, name)), "") if not lost else ""
    if stays:
        note = f"{stays} is a tensor that the model computes with and does not know: .to() leaves it where it is"
        return said("WARN", note, where=stays, repair="register_buffer(name, tensor, persistent=False)")
    if not lost:
        return said("PASS", "no weight hides in a plain attribute, list or dict", value=0.0)
    return said(
        "FAIL",
        f"{len(lost)} weights or modules are not registered, first {lost[0]}",
        value=float(len(lost)),
        threshold=0.0,
        source="what nn.Module does not know is not trained, not saved and not moved",
        where=", ".join(lost[:6]),
        repair="nn.ModuleList, nn.ParameterList or nn.Parameter instead of a plain list or tensor",
    )


def plain_tables(patient: Patient) -> list[str]:
    """Names of floating tensors that are plain attributes of modules."""
    module, found = patient.target.module, []
    known = {id(p) for p in module.parameters()} | {id(b) for b in module.buffers()}
    for path, each in module.named_modules():
        for name, value in vars(each).items():
            table = isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1 and value.is_leaf
            if table and id(value) not in known:
                found.append(f"{path}.{name}".lstrip("."))
    return found


def _stays(patient: Patient, name: str) -> bool:
    """Whether a copy runs on another device (that of shapes alone) only with a plain tensor made a buffer.

    What a forward moves by itself, or writes anew, runs either way.
    """
    owner, _, last = name.rpartition(".")

    def runs(buffer: bool) -> bool:
        model = patient.copy()
        place = model.module.get_submodule(owner)
        if buffer:
            table = getattr(place, last)
            delattr(place, last)
            place.register_buffer(last, table, persistent=False)
        model.module.to("meta")
        try:
            model.ask(model.sample(2, min(9, model.max_len), patient.seed).to("meta"))
        except Exception:
            return False
        return True

    return runs(True) and not runs(False)


def _walk(value: Any, where: str, depth: int = 3) -> Iterator[tuple[str, Tensor | nn.Module]]:
    if isinstance(value, Tensor | nn.Module):
        yield where, value
    elif isinstance(value, dict) and depth:
        for key, entry in value.items():
            yield from _walk(entry, f"{where}[{key!r}]", depth - 1)
    elif isinstance(value, list | tuple) and depth:
        for number, entry in enumerate(value):
            yield from _walk(entry, f"{where}[{number}]", depth - 1)
