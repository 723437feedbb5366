"""C3, C4, C5: whether kinds of masks and kernels agree, what a window holds, whether packed documents stay apart."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from oneblock.doctor.checks.check import BAD, EQUALITY, judged, said, skip
from oneblock.doctor.checks.leaks import kernels
from oneblock.doctor.finding import Finding
from oneblock.doctor.layers import blocks
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

LONG = 140


def kinds(patient: Patient) -> Finding:
    """C3: none = ones = bool = int = float, padded bool = padded int = added −∞, one kernel = the other."""
    model, target = patient.stirred, patient.target
    worst = 0.0
    faults: list[str] = []
    notes: list[str] = []
    asked: list[str] = []
    if target.masks:
        length = min(7, target.max_len)
        x, pads = model.sample(2, length, patient.seed), torch.zeros(2, length, dtype=torch.bool)
        worst, faults = _agree({"none": model(x), "ones": model(x, pads)}, faults, ~pads, worst)
        asked += ["none", "ones"]
        pads[1, -2:] = True
        usual = model(x, pads)
        for name, mask in _forms(pads, target.calling.mask_says_real, patient.dtype).items():
            try:
                found = model(x) if mask is None else _asked(model, x, mask)
            except Exception:
                continue
            asked.append(name)
            if name == "float" and not _close(found, usual, ~pads):
                added = _asked(model, x, torch.zeros(pads.shape, dtype=patient.dtype).masked_fill(pads, -torch.inf))
                if _close(added, usual, ~pads):
                    notes.append("a float mask is added to scores: 0 and −∞, not 1 and 0")
                    continue
            worst, faults = _agree({"as it is called": usual, name: found}, faults, ~pads, worst)
    others = kernels(patient)
    if others:
        length = min(LONG, target.max_len)
        x = model.sample(2, length, patient.seed)
        plain = model(x)
        for name, other in others:
            worst, faults = _agree({"the usual kernel": plain, name: other(x)}, faults, None, worst)
            if target.masks and length > 3:
                pads = torch.zeros(2, length, dtype=torch.bool)
                pads[0, -2:] = True
                pair = {"the usual kernel, padded": model(x, pads), f"{name}, padded": other(x, pads)}
                worst, faults = _agree(pair, faults, ~pads, worst)
            asked.append(name)
    if not asked:
        return skip("it takes no mask and has one kernel")
    return judged(
        worst,
        f"these agree: {', '.join(asked)}" + "".join(f"; {note}" for note in notes),
        "; ".join(faults) or "kinds of masks differ",
        where="the mask",
        repair="turn every kind into one boolean mask at the door: mask.bool(), or mask == 0 for pads",
    )


def _forms(pads: Tensor, says_real: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    given = ~pads if says_real else pads
    return {"bool": given, "int": given.long(), "float": given.to(dtype)}


def _asked(model: Target, x: Tensor, mask: Tensor) -> Tensor:
    from oneblock.doctor.calling import logits_of

    return logits_of(model.ask(x, **{model.calling.mask: mask}))


def _close(found: Tensor, wanted: Tensor, real: Tensor) -> bool:
    return difference(found[real], wanted[real]) <= BAD


def _agree(answers: dict[str, Tensor], faults: list[str], real: Tensor | None, worst: float) -> tuple[float, list[str]]:
    (first, wanted), (second, found) = answers.items()
    if found.shape[:2] != wanted.shape[:2]:
        return worst, faults
    value = difference(found, wanted) if real is None else difference(found[real], wanted[real])
    return max(worst, value), faults if value <= BAD else [*faults, f"{second} answers otherwise than {first}"]


def window(patient: Patient) -> Finding:
    """C4: how many tokens, itself among them, the last one sees in each block, by the gradient; against declared."""
    target, model = patient.target, patient.stirred
    if target.takes == "images":
        return skip("images have no order of reading")
    length = min(LONG, target.max_len)
    calls = blocks(model, model.sample(1, length, patient.seed))
    if not calls:
        return _by_weights(patient, length)
    seen = []
    for call in calls:
        x = call.given[:1].detach().requires_grad_()
        with torch.enable_grad():
            out = call.run(x)
            weights = torch.randn(out.shape[-1], dtype=out.dtype, generator=torch.Generator().manual_seed(patient.seed))
            (grad,) = torch.autograd.grad((out[0, -1] * weights).sum(), x)
        moved = grad[0].abs().amax(-1) > 0
        first = int(moved.nonzero()[0]) if bool(moved.any()) else length - 1
        seen.append(length - first)
    blind = _blind_to_itself(patient, length)
    if blind:
        note = "a token does not attend to itself: the mask takes the diagonal away"
        repair = "tril(), not tril(-1): a query at t sees keys s ≤ t"
        return said("FAIL", note, where=blind, repair=repair, source="attention weights on the diagonal are all 0")
    wanted = declared_windows(patient, len(calls))
    note = f"the last of {length} tokens sees {_counted(seen, length, 'block')}"
    for call, found, declared in zip(calls, seen, wanted, strict=True):
        should = length if declared is None else min(declared, length)
        if declared == 0 or found == should:
            continue
        if declared is None and patient.expect.get("window") is None:
            return said(
                "FAIL",
                f"a token sees {found} of {length} before it, and no window was declared for this block",
                value=float(found),
                threshold=float(should),
                source="the gradient of the last token's output with respect to the block's input",
                where=call.name,
                repair="attend to all earlier tokens, or declare the window: --expect window=N",
            )
        off = "one too many" if found == should + 1 else "one too few" if found == should - 1 else f"{found}"
        return said(
            "FAIL",
            f"a window of {declared} was declared and {found} tokens are seen ({off})",
            value=float(found),
            threshold=float(should),
            source="the declared window counts the token itself",
            where=call.name,
            repair="let a query at t see keys s with t − N < s ≤ t",
        )
    if any(declared and declared >= length for declared in wanted):
        return said("INFO", f"{note}; the declared window is not shorter than that", value=float(min(seen)))
    if target.kind == "causal" and any(n < length for n, d in zip(seen, wanted, strict=True) if d == 0):
        block = next(call.name for call, n in zip(calls, seen, strict=True) if n < length)
        repair = "if a window is meant, declare it: --expect window=N; else attend to all earlier tokens"
        return said("WARN", f"{note}; no window was declared", value=float(min(seen)), where=block, repair=repair)
    status = "PASS" if all(declared is None or declared > 0 for declared in wanted) else "INFO"
    return said(status, note, value=float(min(seen)), threshold=float(min(seen)))


def _blind_to_itself(patient: Patient, length: int) -> str:
    """Where no token gives itself any weight, though it gives others some."""
    model = patient.stirred
    for each in attentions(model, model.sample(1, length, patient.seed)):
        weights = each.weights
        if patient.target.kind == "seq2seq" or weights.shape[-2:] != (length, length):
            continue
        if not bool(weights.diagonal(dim1=-2, dim2=-1)[..., 1:].any()) and bool(weights[..., 1:, :].any()):
            return each.place
    return ""


def _counted(seen: list[int], length: int, part: str) -> str:
    """How many tokens, itself counted, in how many blocks."""
    parts = [
        f"{'all' if size >= length else f'{size}, itself counted'} ({n} {part}{'' if n == 1 else 's'})"
        for size, n in Counter(seen).items()
    ]
    return "; ".join(parts)


def _by_weights(patient: Patient, length: int) -> Finding:
    """Without blocks to ask one by one: how many keys the last query has a weight on, in every attention seen."""
    model, declared = patient.stirred, patient.expect.get("window")
    found = [each for each in attentions(model, model.sample(1, length, patient.seed)) if each.weights.dim() == 4]
    square = [each for each in found if each.weights.shape[-2:] == (length, length)]
    if not square:
        return skip("no list of blocks that map B × T × D, and no attention weights, were found")
    seen = [int((each.weights[0, :, -1] > 0).any(0).sum()) for each in square]
    note = f"the last of {length} tokens gives a weight to {_counted(seen, length, 'attention')}"
    where = next((each.place for each, size in zip(square, seen, strict=True) if size < length), "")
    more = {"value": float(min(seen)), "threshold": float(min(length, int(declared or length))), "where": where}
    if declared is not None and any(size != min(length, int(declared)) for size in seen):
        return said("FAIL", f"a window of {declared} was declared; {note}", **more)
    if declared is None and min(seen) < length and patient.target.kind != "encoder":
        repair = "if a window is meant, declare it: --expect window=N; else attend to all earlier tokens"
        return said("WARN", f"{note}; no window was declared", repair=repair, **more)
    return said("INFO" if declared is None else "PASS", note, **more)


def declared_windows(patient: Patient, count: int) -> list[int | None]:
    """Per block: the window that was declared, None where all earlier tokens are, 0 where nothing is known."""
    if "window" in patient.expect:
        return [int(patient.expect["window"])] * count
    config = getattr(patient.target.thing, "config", None)
    if patient.target.kind not in ("causal", "seq2seq"):
        return [0] * count
    pattern = getattr(config, "blocks", None)
    if type(patient.target.thing).__module__.startswith("oneblock.models") and pattern:
        return [pattern[i % len(pattern)].attention.window for i in range(count)]
    size = getattr(config, "sliding_window", None)
    kinds_of = getattr(config, "layer_types", None)
    if isinstance(kinds_of, list | tuple) and len(kinds_of) == count and isinstance(size, int):
        return [size if "sliding" in kind else None if kind == "full_attention" else 0 for kind in kinds_of]
    if isinstance(size, int) and getattr(config, "use_sliding_window", True):
        return [size] * count
    return [0] * count


def documents(patient: Patient) -> Finding:
    """C5: two texts in one row, A then B: does another A move B, and is B as it is alone?"""
    target, model = patient.target, patient.stirred
    if target.takes != "tokens" or target.kind != "causal" or target.max_len < 11:
        return skip("asked of causal models of tokens only")
    first, second = model.sample(1, 5, patient.seed), model.sample(1, 6, patient.seed + 1)
    other = model.different(first, patient.seed + 2)
    ids = torch.tensor([[0] * 5 + [1] * 6])
    restarted = torch.cat([torch.arange(5), torch.arange(6)]).unsqueeze(0)
    ways = {target.calling.documents: ids, target.calling.positions: restarted}
    given = {name: value for name, value in ways.items() if name}
    try:
        from oneblock.doctor.calling import logits_of

        packed, changed = (logits_of(model.ask(torch.cat([a, second], dim=1), **given))[:, 5:] for a in (first, other))
        alone = model(second)
    except Exception as error:
        return skip(f"it cannot be given {' and '.join(given) or 'two texts'}: {error}")
    moved, apart = difference(changed, packed), difference(packed, alone)
    more = {"value": moved, "threshold": BAD, "source": EQUALITY}
    asked = f"with {' and '.join(given)} " if given else "with nothing that tells them apart "
    if moved <= BAD:
        same = "as alone" if apart <= BAD else f"other than alone ({apart:.1e}): positions do not begin anew"
        status = "PASS" if apart <= BAD else "INFO"
        return said(status, f"{asked}packed texts do not see one another, and the second is {same}", **more)
    if target.calling.documents or "packed" in patient.expect:
        repair = "attend only where the documents of query and key are the same, in every kernel"
        return said("FAIL", f"{asked}a packed text sees the one before it", where="the mask", repair=repair, **more)
    return said("INFO", f"{asked}a packed text sees the one before it; if it must not: --expect packed", **more)
