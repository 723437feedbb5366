"""I1, I2, I3, O1: how weights start, what the first loss is, what must not be learnt, and that a step works."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.doctor.calling import seeded
from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.checks.loss import cross_entropy, shifts_of
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient
from oneblock.doctor.target import Target

SYMBOLS, STEPS, SECONDS = 11, 40, 4.0
HIGH, MAYBE, UNLEARNT = 1.5, 0.5, 0.1
TINY = 1e-2


def untouched(module: nn.Module) -> bool:
    """Whether a model looks untrained: every vector of its norms is one number (all gains 1, all biases 0)."""
    of_norms = [p for m in module.modules() if "norm" in type(m).__name__.lower() for p in m.parameters(recurse=False)]
    return bool(of_norms) and all(float(p.detach().max()) == float(p.detach().min()) for p in of_norms if p.numel())


def _started(patient: Patient) -> Target:
    """As training begins: what a factory makes; else itself where it looks untrained, and its class anew where not."""
    if patient.guessed and untouched(patient.target.module):
        return patient.plain
    return patient.fresh() or patient.plain


def audit(patient: Patient) -> Finding:
    """I1: the standard deviation of every matrix times √inputs; matrices that are one number cannot learn apart."""
    module = _started(patient).module
    spread = {}
    for name, p in module.named_parameters():
        if p.dim() != 2 or min(p.shape) < 2 or not p.is_floating_point():
            continue
        value = p.detach().double()
        table = isinstance(module.get_submodule(name.rpartition(".")[0]), nn.Embedding)
        of_tokens = table and len(value) == patient.target.vocab_size and patient.target.takes == "tokens"
        if float(value.std()) == 0 and (float(value[0, 0]) != 0 or of_tokens):
            return said(
                "FAIL",
                f"{name} is {float(value[0, 0]):g} everywhere: its units get the same gradients and stay alike",
                where=name,
                repair="draw its weights at random",
            )
        if not isinstance(module.get_submodule(name.rpartition(".")[0]), nn.Embedding):
            spread[name] = float(value.std()) * p.shape[1] ** 0.5
    if not spread:
        return skip("it has no matrices")
    low, high = min(spread, key=lambda n: spread[n]), max(spread, key=lambda n: spread[n])
    note = f"std·√inputs of {len(spread)} matrices: {spread[low]:.2g} ({low}) to {spread[high]:.2g} ({high})"
    if untouched(module) and spread[high] > 5:
        source = "an activation grows by this factor in one matrix; Xavier and He start at 1 and √2"
        return said(
            "WARN", f"weights start large: {note}", value=spread[high], threshold=5.0, source=source, where=high
        )
    if untouched(module) and spread[high] < TINY:
        source = "an activation shrinks by this factor in each matrix, and its gradient with it"
        repair = "0.02, or 1/√inputs"
        more = {"value": spread[high], "threshold": TINY, "source": source, "where": high, "repair": repair}
        return said("WARN", f"weights start vanishingly small: {note}", **more)
    return said("INFO", note, value=spread[high])


def first_loss(patient: Patient) -> Finding:
    """I2: random tokens, random labels: an untrained model is as sure as chance, ln V."""
    target = patient.target
    if not target.says_tokens:
        return skip("it answers no tokens")
    model = _started(patient)
    is_fresh = "fresh" in patient.expect or untouched(model.module)
    loss, chance, spread = _first(model, patient.seed)
    excess = loss - chance
    note = f"first loss {loss:.3f}, ln V = {chance:.3f}, logits of standard deviation {spread:.2g}"
    more = {"value": loss, "threshold": chance + HIGH, "source": "ln V + σ²/2 for logits of standard deviation σ"}
    if not is_fresh and excess > MAYBE:
        return said("INFO", f"{note}; it does not look untrained", **more)
    if not excess <= HIGH and _as_published(patient, excess):
        return said("WARN", f"its class starts sure and wrong, as transformers has it: {note}", **more)
    if not excess <= HIGH:
        repair = "start the embedding and the head smaller (0.02), or scale a tied head by 1/√width"
        return said(
            "FAIL", f"an untrained model is sure and wrong: {note}", where=_largest(model), repair=repair, **more
        )
    if excess > MAYBE:
        source = f"ln V + {MAYBE}: above it a start is large, above ln V + {HIGH} it is a fault"
        return said(
            "WARN",
            f"an untrained model is surer than chance: {note}",
            **more | {"threshold": chance + MAYBE, "source": source},
        )
    return said("PASS", note, **more)


def _first(model: Target, seed: int) -> tuple[float, float, float]:
    """(loss of random tokens against random labels, ln V, standard deviation of the logits)."""
    model.module.eval()
    with torch.no_grad():
        x = model.sample(4, min(33, model.max_len), seed)
        logits = model(x).double()
    labels = torch.randint(0, model.vocab_size, x.shape, generator=seeded(seed + 1))
    return float(cross_entropy(logits, labels, 0)), math.log(model.vocab_size), float(logits.std(-1).mean())


def _largest(model: Target) -> str:
    """Which of the tables of tokens and heads starts largest."""
    spread = {
        n: float(p.detach().std())
        for n, p in model.module.named_parameters()
        if p.dim() == 2 and len(p) == model.vocab_size
    }
    name = max(spread, key=lambda n: spread[n], default="")
    return f"embedding, head: {name} has a standard deviation of {spread[name]:.2g}" if name else "embedding, head"


def _as_published(patient: Patient, excess: float) -> bool:
    """Whether a class of transformers itself, made anew, starts as far above chance."""
    known = type(patient.target.thing).__module__.startswith("transformers.models.")
    fresh = patient.fresh() if known else None
    if fresh is None:
        return False
    loss, chance, _ = _first(fresh, patient.seed)
    return loss - chance > excess / 2


def unlearnable(patient: Patient) -> Finding:
    """I3: trained for a moment on random tokens, never the same twice, the loss may not fall below ln(symbols)."""
    target = patient.target
    if not target.says_tokens or target.kind in ("encoder", "images"):
        return skip("it predicts no next token")
    if not patient.small:
        return skip("too large to train for a moment")
    symbols, length = min(SYMBOLS, target.vocab_size), min(17, target.max_len)
    model = patient.copy(torch.float32, train=True)
    by_own, in_data = bool(target.calling.labels) and target.kind != "seq2seq", False
    if by_own:
        with torch.no_grad():
            shift, note = shifts_of(patient.plain, patient.seed)
        hugging_face = target.calling.labels == "labels" and target.calling.ids == "input_ids"
        in_data, by_own = not hugging_face and shift == 0, not note

    def loss_of(batch: int) -> Tensor:
        ids = torch.randint(0, symbols, (16, length), generator=seeded(7919 * patient.seed + batch))
        if not by_own:
            return cross_entropy(model(ids), ids, 1)
        # Many a loss views its labels flat, which a slice does not bear.
        own = model.loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous()) if in_data else model.loss(ids, ids)
        assert own is not None
        return own

    steps = _train(model, loss_of, STEPS)
    with torch.no_grad():
        torch.manual_seed(patient.seed)
        held_out = sum(float(loss_of(10_000 + n)) for n in range(4)) / 4
    floor = math.log(symbols)
    note = f"after {steps} steps on random tokens the loss on others is {held_out:.3f}; chance is {floor:.3f}"
    more = {"value": held_out, "threshold": floor - UNLEARNT, "source": "the entropy of uniform symbols, less 0.1"}
    if held_out != held_out:
        return said("FAIL", f"the loss became NaN within {steps} steps", **more)
    if held_out < floor - UNLEARNT:
        repair = "it sees what it is to predict: a mask that leaks, or labels that are not shifted"
        return said("FAIL", f"it learns what cannot be learnt: {note}", repair=repair, where="mask or labels", **more)
    return said("PASS", note, **more)


def step(patient: Patient) -> Finding:
    """O1: on one small batch, again and again, the loss falls, every number stays finite and every part moves."""
    target = patient.target
    if not patient.small:
        return skip("too large to train for a moment")
    model = patient.copy(torch.float32, train=True)
    if not any(p.requires_grad for p in model.module.parameters()):
        return skip("no parameter is trained")
    x = model.sample(2, min(8, target.max_len), patient.seed)
    answer = model(x)
    wanted = torch.randn(answer.shape, generator=seeded(3))
    labels = torch.randint(0, answer.shape[-1], answer.shape[:-1], generator=seeded(4))

    def loss_of(_: int) -> Tensor:
        said_now = model(x)
        if target.says_tokens:
            return F.cross_entropy(said_now.flatten(0, -2), labels.flatten())
        return F.mse_loss(said_now, wanted)

    model.module.eval()
    first = float(loss_of(0).detach())
    model.module.train()
    steps = _train(model, loss_of, STEPS)
    model.module.eval()
    last = float(loss_of(0).detach())
    note = f"one batch, {steps} steps of AdamW (3e-3): loss {first:.3f} → {last:.3f}"
    more = {"value": last, "threshold": 0.98 * first, "source": "a model that cannot fall by 2 % on one batch is stuck"}
    wrong = [name for name, p in model.module.named_parameters() if not bool(p.isfinite().all())]
    if wrong or not math.isfinite(last):
        return said("FAIL", f"training breaks numbers: {note}", where=", ".join(wrong[:4]), **more)
    if not last < 0.98 * first:
        repair = "look for detach(), no_grad(), a saturated softmax, or a residual that is missing"
        return said("FAIL", f"it does not learn one batch by heart: {note}", repair=repair, **more)
    return said("PASS", note, **more)


def _train(model: Target, loss_of: Callable[[int], Tensor], most: int) -> int:
    """AdamW for some steps or seconds; gives the number of steps."""
    parameters = [p for p in model.module.parameters() if p.requires_grad]
    optimizer, end = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.0), time.monotonic() + SECONDS
    for number in range(most):
        loss = loss_of(number)
        if not bool(loss.isfinite()):
            return number
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if time.monotonic() > end:
            return number + 1
    return most
