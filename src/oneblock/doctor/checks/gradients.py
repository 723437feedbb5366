"""W2: every parameter gets a gradient, all of it, and it is the slope of what the model computes."""

from __future__ import annotations

import copy
import time

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import seeded
from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.linear import maps_in_a_row
from oneblock.doctor.look import narrowed
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

PART, SLOPE, SECONDS = 1 / 8, 0.05, 3.0
FEEDS = ("mlp", "ffn", "feed", "ff", "fc", "dense")


def dead(patient: Patient) -> Finding:
    """W2: over three batches every parameter that is trained gets a gradient, of all its rows, and the right one."""
    model = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    trained = {name: p for name, p in model.module.named_parameters() if p.requires_grad and p.numel()}
    if not trained:
        return skip("no parameter is trained")
    alive: dict[str, Tensor] = {}
    for batch in range(3):
        x = model.sample(4, min(33, patient.target.max_len), patient.seed + batch)
        for p in trained.values():
            p.grad = None
        value = _answer(model, x, batch)
        if not value.requires_grad:
            return said("FAIL", "no answer has a gradient", repair="look for detach(), no_grad(), argmax or .data")
        value.backward()
        for name, p in trained.items():
            if p.grad is not None:
                alive[name] = (p.grad != 0) | alive.get(name, torch.zeros_like(p, dtype=torch.bool))
    lost = [name for name in trained if name not in alive or not bool(alive[name].any())]
    if lost:
        return _lost(lost, len(trained))
    idle = _idle_part(model.module, alive)
    if idle:
        name, words = idle
        repair = "look for a slice taken twice (q for k, k for v), or a width that is written down"
        source = "no gradient over three batches of random tokens, for neighbouring rows or columns"
        return said("FAIL", f"{words} of {name} never get a gradient", where=name, repair=repair, source=source)
    silent = _silent_slices(model.module, alive)
    if silent:
        return _lost(silent, len(trained))
    same = _same_tokens(model, patient.seed)
    if same:
        repair = "look up the token's own row: no clamp, no remainder, no wrong vocabulary"
        return said("FAIL", same, where="embedding", repair=repair)
    linear = _without_activation(model.module, patient)
    if linear:
        note = f"{linear} is one linear map: its matrices in a row could be a single one"
        return said("FAIL", note, where=linear, repair="put the activation between up and down")
    row = maps_in_a_row(patient.stirred, patient.seed)
    if row:
        note = f"nothing stands between {row[0]} and {row[1]}: two linear maps in a row could be a single one"
        return said("FAIL", note, where=row[1], repair="put the activation between up and down")
    wrong = _slopes(model, trained, patient)
    if wrong:
        name, gap = wrong
        note = f"the gradient of {name} is not the slope of what the model computes (off by {gap:.0%})"
        repair = "look for detach(), .data, no_grad() on one of several paths, or a backward() of one's own"
        source = "central differences along a random direction, two step lengths"
        return said("FAIL", note, value=gap, threshold=SLOPE, source=source, where=name, repair=repair)
    return said("PASS", f"all {len(trained)} parameters get a gradient, and it is their slope", value=0.0)


def _answer(model: Target, x: Tensor, seed: int) -> Tensor:
    """Everything it answers, weighed at random."""
    total: Tensor = torch.zeros((), dtype=model.dtype)
    for answer in model.answers(x):
        weights = torch.randn(answer.shape, generator=seeded(seed + 11), dtype=torch.float64)
        total = total + (answer * weights.to(answer.dtype)).sum().to(total.dtype)
    return total


def _lost(lost: list[str], count: int) -> Finding:
    share = f"{len(lost)} of {count} parameters never get a gradient: {', '.join(lost[:4])}"
    if all("expert" in name.lower() for name in lost):
        slices = any("[" in name for name in lost)
        share = f"{len(lost)} slices of experts never get a gradient: {', '.join(lost[:4])}" if slices else share
        return said("WARN", f"{share} (experts that no token chose?)", value=float(len(lost)), where=lost[0])
    if all("mask_token" in name.lower() for name in lost):
        return said("WARN", f"{share} (for inputs that are partly hidden?)", value=float(len(lost)), where=lost[0])
    return said(
        "FAIL",
        share,
        value=float(len(lost)),
        threshold=0.0,
        source="a parameter that no answer depends on cannot be meant to be trained",
        where=", ".join(lost[:8]),
        repair="use it in the forward pass, remove it, or set requires_grad=False; look for detach() and no_grad()",
    )


def _idle_part(module: nn.Module, alive: dict[str, Tensor]) -> tuple[str, str] | None:
    """A matrix an eighth of whose neighbouring rows or columns never get a gradient."""
    for name, each in alive.items():
        owner, moved = module.get_submodule(name.rpartition(".")[0]), each
        if moved.dim() == 3 and "expert" in f"{name} {type(owner).__name__}".lower() and bool(moved.any()):
            # Experts that are slices of one tensor: what is idle in all of them.
            for axis, word in ((2, "rows"), (1, "columns")):
                longest = _longest_run(~moved.any(0).any(axis - 1))
                if longest >= max(2, PART * moved.shape[3 - axis]):
                    return name, f"{longest} of {moved.shape[3 - axis]} {word} of every expert"
            continue
        linear = isinstance(owner, nn.MultiheadAttention) or "linear" in type(owner).__name__.lower()
        # Tables of positions and buckets have rows that no short text comes to.
        if moved.dim() != 2 or not (linear or type(owner).__name__ == "Conv1D") or "expert" in name.lower():
            continue
        for axis, word in ((1, "rows"), (0, "columns")):
            still = ~moved.any(axis)
            longest = _longest_run(still)
            if longest >= max(2, PART * len(still)):
                return name, f"{longest} of {len(still)} {word}"
    return None


def _longest_run(still: Tensor) -> int:
    """How many neighbours in a row are True."""
    run = longest = 0
    for each in still.tolist():
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


def _silent_slices(module: nn.Module, alive: dict[str, Tensor]) -> list[str]:
    """Experts, as slices of one tensor, that no gradient reaches."""
    found = []
    for name, moved in alive.items():
        owner = module.get_submodule(name.rpartition(".")[0])
        if moved.dim() == 3 and "expert" in f"{name} {type(owner).__name__}".lower():
            found += [f"{name}[{n}]" for n, each in enumerate(moved.flatten(1).any(1).tolist()) if not each]
    return found


def _same_tokens(model: Target, seed: int) -> str:
    """Whether two tokens, each alone, are answered alike."""
    if model.takes != "tokens" or model.vocab_size < 4:
        return ""
    ids = torch.randperm(model.vocab_size, generator=seeded(seed))[:256].unsqueeze(1)
    with torch.no_grad():
        answers = model(ids).flatten(1).double()
    line = answers @ torch.randn(answers.shape[1], generator=seeded(seed), dtype=torch.float64)
    order = line.argsort()
    gaps = (line[order][1:] - line[order][:-1]).abs() <= 1e-9 * float(line.abs().max())
    alike = [(order[i], order[i + 1]) for i in gaps.nonzero().flatten().tolist()]
    pairs = [(int(ids[a]), int(ids[b])) for a, b in alike if difference(answers[a], answers[b]) <= 1e-9]
    return f"{len(pairs)} pairs of tokens are answered alike, first {pairs[0][0]} and {pairs[0][1]}" if pairs else ""


def _without_activation(module: nn.Module, patient: Patient) -> str:
    """A feed-forward that is linear."""
    for name, each in module.named_modules():
        last = name.rpartition(".")[2].lower()
        inside = [p for n, p in each.named_parameters() if p.dim() == 2 and "lora" not in n.lower()]
        if not any(word in last for word in FEEDS) or not 2 <= len(inside) <= 3 or "expert" in name.lower():
            continue
        for width in dict.fromkeys(size for p in inside for size in p.shape):
            a, b = (
                torch.randn(2, 3, width, generator=seeded(patient.seed + n), dtype=torch.float64).to(patient.dtype)
                for n in range(2)
            )
            try:
                with torch.no_grad():
                    parts = each(a) + each(b), each(a + b) + each(torch.zeros_like(a))
            except Exception:
                continue
            if isinstance(parts[0], Tensor) and difference(*parts) <= 1e-9:
                return name
    return ""


def _slopes(model: Target, trained: dict[str, nn.Parameter], patient: Patient) -> tuple[str, float] | None:
    """The parameter whose gradient is furthest from the slope along a random direction, if it is far."""
    if patient.dtype != torch.float64 or model.takes == "images" or narrowed(patient.copy(torch.float32), patient.seed):
        return None
    x = model.sample(2, min(9, model.max_len), patient.seed)
    for p in trained.values():
        p.grad = None
    _answer(model, x, 0).backward()
    directions = {
        name: torch.randn(p.shape, generator=seeded(n), dtype=torch.float64)
        for n, (name, p) in enumerate(trained.items())
    }
    for name, each in model.module.named_modules():
        if isinstance(each, nn.Embedding) and each.padding_idx is not None and f"{name}.weight" in directions:
            # That row is kept from its gradient by design.
            directions[f"{name}.weight"][each.padding_idx] = 0
    told = {n: float((p.grad * directions[n]).sum()) if p.grad is not None else 0.0 for n, p in trained.items()}
    scale, end = max(abs(value) for value in told.values()), time.monotonic() + SECONDS
    worst: tuple[str, float] | None = None
    for name, p in trained.items():
        if time.monotonic() > end:
            break
        first = _slope(model, x, p, directions[name], 1e-3)
        if _apart(first, told[name], scale) <= SLOPE:
            continue
        second = _slope(model, x, p, directions[name], 1e-4)
        gap = _apart(second, told[name], scale)
        # Two step lengths that agree: smooth there, no kink, no token that has changed its expert.
        if gap > 2 * SLOPE and _apart(first, second, scale) <= gap / 4:
            worst = max(worst, (name, gap), key=lambda pair: pair[1]) if worst else (name, gap)
    return worst


@torch.no_grad()
def _slope(model: Target, x: Tensor, p: nn.Parameter, direction: Tensor, step: float) -> float:
    values = []
    for sign in (1, -1):
        p.add_(direction, alpha=sign * step)
        values.append(float(_answer(model, x, 0)))
        p.sub_(direction, alpha=sign * step)
    return (values[0] - values[1]) / (2 * step)


def _apart(one: float, other: float, scale: float) -> float:
    return abs(one - other) / max(abs(one), abs(other), 0.02 * scale, 1e-30)
