"""W1, W3, W4: what is saved is what runs; nothing doubled or forgotten among the parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from oneblock.doctor.checks.check import GOOD, judged, said, skip
from oneblock.doctor.checks.unsaved import drawn, otherwise
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient, difference, stir
from oneblock.doctor.target import Target


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
    if other is not None and other.module.state_dict().keys() == saved.keys() and patient.guessed:
        # One that was changed since its class made it is no fault of what is saved; two of that class that differ are.
        twin = patient.fresh(1)
        try:
            alike = (
                twin is None or difference(_loaded(twin, saved, patient)(x), _loaded(other, saved, patient)(x)) <= GOOD
            )
            other = None if alike and difference(other(x), model(x)) > GOOD else other
        except Exception:
            other = None
    if other is None or other.module.state_dict().keys() != saved.keys():
        other, how = patient.copy(patient.dtype), "a copy with other weights"
        stir(other.module, patient.seed + 3)
    try:
        value = difference(_loaded(other, saved, patient)(x), model(x))
    except RuntimeError as error:
        return said(
            "FAIL",
            f"{how} with the saved weights does not run: {str(error)[:120]}",
            repair="hold every weight as nn.Parameter or buffer, modules in nn.ModuleList",
        )
    repair = "hold every weight as nn.Parameter or buffer, modules in nn.ModuleList; tie weights after loading too"
    wrong = f"saved and loaded into {how}, the weights give other logits: something is not in the state dict"
    lost = otherwise(model.module, other.module) if value > GOOD else []
    if lost:
        wrong += f", {lost[0]} for one, which another model has otherwise"
    where = ", ".join(lost[:4]) or "state_dict"
    random = drawn(patient) if value <= GOOD and how.startswith("a copy") else ""
    if random:
        note = f"{random} is not in the state dict and looks drawn at random: loaded elsewhere, it is another one"
        return said(
            "WARN", note, where=random, repair="register_buffer(name, tensor), persistent; or draw it by a seed"
        )
    return judged(value, f"saved and loaded into {how}: the same logits", wrong, where=where, repair=repair)


def _loaded(other: Target, saved: dict[str, Tensor], patient: Patient) -> Target:
    """Another one with the saved weights, in eval mode. A module's `to` does not reach what is not registered; that is
    what W1 asks."""
    other.module.to(patient.dtype)
    other.module.load_state_dict(saved)
    other.module.eval()
    return other


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
    getter: Any = getattr(module, "get_output_embeddings", None)
    said_head = getter() if callable(getter) else None
    sizes = {table.shape for table in tables if table.shape[0] == patient.target.vocab_size}
    linear = [
        (n, m.weight)
        for n, m in module.named_modules()
        if isinstance(m, nn.Linear) and m.weight.shape in sizes and ("head" in n or m is said_head)
    ]
    loose = [n for n, weight in linear if all(weight.data_ptr() != table.data_ptr() for table in tables)]
    other = patient.fresh() if loose and "tied" not in patient.expect else None
    if not loose or (other is not None and not _one_tensor(other.module, loose[0])):
        # Of some classes the configuration says so and the class does not.
        return None
    return said(
        "FAIL",
        f"the head ({loose[0]}) is declared tied to the embedding and has weights of its own",
        where=loose[0],
        repair="head.weight = embedding.weight, after loading",
    )


def _one_tensor(module: nn.Module, head: str) -> bool:
    tables = {m.weight.data_ptr() for m in module.modules() if isinstance(m, nn.Embedding)}
    return module.get_parameter(f"{head}.weight").data_ptr() in tables


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
    same: dict[Any, list[str]] = defaultdict(list)
    for name, p in module.named_parameters():
        # Tables of sines that are no buffers are frozen, and alike.
        if (
            p.dim() >= 2
            and p.numel() >= 16
            and p.requires_grad
            and p.is_floating_point()
            and float(p.detach().double().std()) > 0
        ):
            value = p.detach().double()
            same[(tuple(p.shape), float(value.sum()), float(value.square().sum()))].append(name)
        if p.dim() == 3 and len(p) > 1 and "expert" in name.lower():
            slices = p.detach().double().flatten(1)
            pairs = (slices[1:] == slices[:1]).all(1).nonzero().flatten().tolist()
            same[name, *pairs] += [f"{name}[{n}]" for n in (0, *(n + 1 for n in pairs))] if pairs else []
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
