"""M1, D3: whether experts are used and their router learns, and whether half precision sends tokens elsewhere."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.checks.mixture import idle, unequal, unequal_slices
from oneblock.doctor.finding import Finding
from oneblock.doctor.locate import with_line
from oneblock.doctor.patient import Patient
from oneblock.doctor.target import Target

EXPERTS = ("expert", "moe", "mixture", "sparsemlp")
ROUTERS = ("router", "gate", "gating", "switch")
FLIPS, BUSY, IDLE = 0.02, 4.0, 0.05


@dataclass
class Choices(TorchFunctionMode):
    """Records what chooses one or more of E entries: topk, argmax, max and sort along the last axis."""

    sizes: frozenset[int]
    found: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out, name = func(*args, **(kwargs or {})), getattr(func, "__name__", "")
        if name in ("topk", "argmax", "max") and args and isinstance(args[0], Tensor) and args[0].dim() >= 2:
            scores = args[0]
            chosen = out if isinstance(out, Tensor) else getattr(out, "indices", None)
            floating = scores.is_floating_point() and scores.shape[-1] in self.sizes
            if floating and isinstance(chosen, Tensor) and not chosen.is_floating_point():
                many = chosen if name == "topk" or chosen.dim() == scores.dim() else chosen.unsqueeze(-1)
                if many.shape[:-1] == scores.shape[:-1]:
                    flat = (scores.detach().reshape(-1, scores.shape[-1]), many.reshape(-1, many.shape[-1]))
                    self.found.append(flat)
        return out


def routers(module: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> weight of every router: a matrix of few rows in a module named so, where there are experts."""
    if not any(word in f"{name} {type(m).__name__}".lower() for name, m in module.named_modules() for word in EXPERTS):
        return {}
    found = {}
    for name, p in module.named_parameters():
        path = name.lower().split(".")
        owner = f"{'.'.join(path[-3:-1])} {type(module.get_submodule(name.rpartition('.')[0])).__name__}".lower()
        of_router = any(word in owner for word in ROUTERS) and "gate_proj" not in owner
        if p.dim() == 2 and of_router and "experts" not in path and min(p.shape) <= 512:
            found[name] = p
    return found


def _chosen(model: Target, x: Tensor, sizes: frozenset[int]) -> list[tuple[Tensor, Tensor]]:
    if model.adapter and callable(getattr(model.thing, "router", None)):
        return [(logits, logits.argmax(-1, keepdim=True)) for logits in model.thing.router(x)]
    with Choices(sizes) as choices:
        model(x)
    return choices.found


def _sizes(patient: Patient) -> tuple[dict[str, nn.Parameter], frozenset[int]]:
    found = routers(patient.target.module)
    return found, frozenset(min(p.shape) for p in found.values())


def balance(patient: Patient) -> Finding:
    """M1: what share of the choices each expert gets, the router's entropy, and whether a gradient reaches it."""
    found, sizes = _sizes(patient)
    by_adapter = patient.target.adapter and callable(getattr(patient.target.thing, "router", None))
    if not found and not by_adapter:
        return skip("it has no experts")
    model = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    x = model.sample(8, min(33, patient.target.max_len), patient.seed)
    plain = patient.plain
    with torch.no_grad():
        chosen = _chosen(plain, x, sizes)
    if not chosen:
        return skip("no choice among experts was seen")
    words, crowded, silent = [], "", ""
    for layer, (scores, picked) in enumerate(chosen):
        count = scores.shape[-1]
        share = torch.bincount(picked.flatten(), minlength=count).double() / picked.numel()
        probabilities = scores.double() if _sums(scores) else scores.double().softmax(-1)
        entropy = float(-(probabilities * probabilities.clamp(min=1e-30).log()).sum(-1).mean()) / math.log(count)
        words.append(f"{float(share.min()):.0%} to {float(share.max()):.0%} of {count}, entropy {entropy:.0%}")
        if float(share.max()) * count > BUSY and count > 2 and float(share.max()) > 0.5:
            crowded = crowded or f"mixture {layer}"
        if int((share == 0).sum()) > count // 2:
            silent = silent or f"mixture {layer}"
    note = f"load and router: {'; '.join(words[:4])}"
    lost = _routers_without_gradient(model, found, x)
    if lost:
        return said(
            "FAIL",
            f"the router never learns: no gradient of the answer reaches {lost[0]}",
            value=float(len(lost)),
            threshold=0.0,
            source="the gradient of the logits with respect to the router's weights",
            where=with_line(model.module, lost[0]),
            repair="weigh each expert's output with its probability; for one expert softmax before choosing, not after",
        )
    alive = _auxiliary(patient, found)
    if alive:
        return said("FAIL", f"{alive}; {note}", where=next(iter(found), ""), repair="add the loss, with a gradient")
    by_hand = (lambda m, ids: _chosen(m, ids, sizes)) if not by_adapter else None
    with torch.no_grad():
        unused = idle(model, x, by_hand) if by_hand else ""
        uneven = (unequal(plain, x, by_hand) or unequal_slices(plain, x, by_hand)) if by_hand and not unused else ""
    if unused:
        repair = "each chosen expert once, its answer added: y = y + weight · expert(x)"
        return said("FAIL", unused, where=next(iter(found), ""), repair=repair)
    if uneven:
        repair = "the weight of slot k with the expert of slot k, and answers added, not written over"
        return said("WARN", uneven, where=next(iter(found), ""), repair=repair)
    if crowded or silent:
        which = crowded or silent
        return said("WARN", f"experts are used unevenly: {note}", where=which, repair="an auxiliary loss of balance")
    return said("PASS", note, value=words[0])


def _sums(scores: Tensor) -> bool:
    return bool((scores >= 0).all()) and float((scores.sum(-1) - 1).abs().max()) < 1e-3


def _routers_without_gradient(model: Target, found: dict[str, nn.Parameter], x: Tensor) -> list[str]:
    model.module.requires_grad_(True)
    model.module.zero_grad(set_to_none=True)
    answer = model(x)
    if not answer.requires_grad:
        return list(found)
    generator = torch.Generator().manual_seed(5)
    (answer * torch.randn(answer.shape, generator=generator, dtype=torch.float64).to(answer.dtype)).sum().backward()
    now = dict(model.module.named_parameters())
    sizes = {n: float(now[n].grad.abs().max()) if now[n].grad is not None else 0.0 for n in found}  # type: ignore[union-attr]
    largest = max((float(p.grad.abs().max()) for p in now.values() if p.grad is not None), default=0.0)
    # w / w is 1 with a gradient of nothing but rounding.
    rounding = max(1e-9, 30 * torch.finfo(answer.dtype).eps)
    return [name for name, size in sizes.items() if not size > rounding * largest]


def _auxiliary(patient: Patient, found: dict[str, nn.Parameter]) -> str:
    """What is wrong with an auxiliary loss that is declared: it is not there, or has no gradient."""
    thing, config = patient.target.thing, getattr(patient.target.thing, "config", None)
    model = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    model.module.train()
    x = model.sample(4, min(17, patient.target.max_len), patient.seed)
    loss: Any = None
    if type(thing).__module__.startswith("oneblock.models.decoder"):
        from oneblock.nn.record import Record

        record = Record()
        model.thing(x, record=record)
        loss = record.loss() if record.layers and any(p.requires_grad for p in found.values()) else None
    elif getattr(config, "output_router_logits", False) and model.calling.labels:
        answer = model.ask(x, **{model.calling.labels: x})
        loss = getattr(answer, "aux_loss", None)
        if loss is None:
            return "an auxiliary loss is declared (output_router_logits) and none is given"
    if not isinstance(loss, Tensor) or not float(loss.detach()):
        return ""
    if not loss.requires_grad:
        return "the auxiliary loss has no gradient"
    model.module.zero_grad(set_to_none=True)
    loss.backward()
    now = dict(model.module.named_parameters())
    if all(now[name].grad is None or not bool(now[name].grad.any()) for name in found):  # type: ignore[union-attr]
        return "the auxiliary loss does not reach the router"
    return ""


def flips(patient: Patient) -> Finding:
    """D3: the share of tokens whose experts are others when the model computes in bfloat16."""
    _, sizes = _sizes(patient)
    if not sizes:
        return skip("it has no experts")
    wide, half = patient.copy(torch.bfloat16), patient.copy(torch.bfloat16)
    wide.module.to(torch.float32)
    x = wide.sample(8, min(33, patient.target.max_len), patient.seed)
    try:
        exact, rounded = _chosen(wide, x, sizes), _chosen(half, x, sizes)
    except Exception as error:
        return skip(f"it does not run in bfloat16 here: {type(error).__name__}")
    if not exact or len(exact) != len(rounded):
        return skip("no choice among experts was seen")
    # Of the first mixture alone: behind it streams differ for other reasons too.
    (_, first), (narrow, second) = exact[0], rounded[0]
    share = float((first.sort(-1).values != second.sort(-1).values).any(-1).double().mean())
    said_dtype = str(narrow.dtype).removeprefix("torch.")
    note = f"in bfloat16 {share:.1%} of tokens go to other experts at the first mixture; its router gives {said_dtype}"
    more = {"value": share, "threshold": FLIPS, "source": "float32 with the same weights, rounded to bfloat16"}
    if narrow.dtype in (torch.bfloat16, torch.float16) and share > FLIPS:
        repair = "compute the router's logits and softmax in float32"
        return said("WARN", note, where="router", repair=repair, **more)
    return said("PASS" if share <= FLIPS else "INFO", note, **more)
