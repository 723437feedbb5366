"""R2: whether the last place of the context can be used, and whether every row of a table of positions is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient
from oneblock.doctor.target import Target

MOST = 1100
SPARE = 1 / 8
DECLARED = ("max_position_embeddings", "n_positions", "block_size", "context", "context_length", "max_seq_len")


def whole(patient: Patient) -> Finding:
    """R2: one call as long as the declared context, or as the table of positions, and the rows it reads."""
    target = patient.target
    if target.takes != "tokens":
        return skip("asked of models of tokens only")
    model = patient.copy(torch.float32)
    tables, declared = tables_of(model), declared_length(target)
    lengths = sorted({n for n in (declared, *tables.values()) if n and 2 < n <= MOST})
    if not lengths:
        return skip(f"neither a context nor a table of positions, of at most {MOST}, was found")
    repair = "positions from 0 to the context less one; a table of as many rows"
    for length in lengths:
        broken = _breaks(model, length)
        if not broken:
            continue
        shorter, named = _breaks(model, length - 1), [name for name, rows in tables.items() if rows == length]
        if length == declared:
            note = f"{length} tokens are declared as its context, and it does not run on them: {broken}"
            return said("FAIL", note, value=float(length), where=", ".join(named), repair=repair)
        if not shorter and "index" in broken and not declared:
            # Its own refusal of one token more says that it meant to take this many.
            refuses = "index" not in (_breaks(model, length + 1) or "index")
            note = f"on {length} tokens, as many as {named[0]} has rows, it breaks ({broken}); on {length - 1} it runs"
            status = "FAIL" if refuses else "WARN"
            return said(status, note, value=float(length), where=named[0], repair=repair)
    for name, rows in tables.items():
        idle = _idle(model, name, rows, patient.seed)
        if idle > max(2, SPARE * rows):
            note = f"{idle} of {rows} rows of {name} get no gradient from a text of {rows} tokens"
            repair = "look for a clamp or a remainder on positions"
            return said("WARN", note, value=float(idle), threshold=max(2.0, SPARE * rows), where=name, repair=repair)
    return said("PASS", f"it runs on {', '.join(map(str, lengths))} tokens: no place is out of reach")


def declared_length(target: Target) -> int:
    """The context that its configuration declares; 0 where it has none."""
    places = (getattr(target.thing, "config", None), target.thing)
    found = (getattr(place, name, None) for place in places for name in DECLARED)
    return next((n for n in found if isinstance(n, int) and not isinstance(n, bool)), 0)


def tables_of(target: Target) -> dict[str, int]:
    """Name -> rows of every table that may be one of positions: not of tokens, and named so or read as long as texts
    are."""
    sizes = (target.vocab_size, target.source_vocab)
    found = {}
    for name, each in target.module.named_modules():
        words = name.rpartition(".")[2].lower()
        named = "pos" in words or words in ("wpe", "embed_positions")
        table = isinstance(each, nn.Embedding) and each.padding_idx is None
        # A class of its own, that says nothing of positions, may be a table of anything.
        plain = type(each) is nn.Embedding
        if table and (named or (plain and each.num_embeddings not in sizes and each.num_embeddings >= target.max_len)):
            found[f"{name}.weight"] = each.num_embeddings
    return found


def _breaks(model: Target, length: int) -> str:
    """What it raises on so many tokens; "" where it runs."""
    try:
        with torch.no_grad():
            model(model.sample(1, length, 0))
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:80]}"
    return ""


def _idle(model: Target, name: str, rows: int, seed: int) -> int:
    """How many rows of a table get no gradient from as many tokens; 0 where it does not run on them."""
    trial = model.on(copy.deepcopy(model.thing))
    table: Tensor = trial.module.get_parameter(name).requires_grad_(True)
    try:
        with torch.enable_grad():
            answer = trial(trial.sample(2, rows, seed))
            noise = torch.randn(answer.shape, generator=torch.Generator().manual_seed(seed))
            (grad,) = torch.autograd.grad((answer * noise.to(answer.dtype)).sum(), table, allow_unused=True)
    except Exception:
        return 0
    return 0 if grad is None else int((grad.abs().amax(-1) == 0).sum())
