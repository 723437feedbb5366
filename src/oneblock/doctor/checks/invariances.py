"""P1, P2, B1, R0, E1, E2: what must change nothing, and the order, which must."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch

from oneblock.doctor.checks.check import BAD, EQUALITY, GOOD, judged, said, skip
from oneblock.doctor.checks.positions import is_relative
from oneblock.doctor.finding import Finding
from oneblock.doctor.locate import events, line_of, parting
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target


def padding(patient: Patient) -> Finding:
    """P1: pads on either side change nothing at real tokens, whatever stands at them."""
    model = patient.stirred
    if patient.target.calling.source and patient.target.source_mask:
        return _source_padding(patient)
    if not patient.target.masks:
        return skip("it takes no padding")
    length = min(7, patient.target.max_len // 2)
    x, worst, faults, shifted = model.sample(2, length, patient.seed), 0.0, [], 0.0
    alone = model(x)
    for count in {1, min(32, patient.target.max_len - length)}:
        fill = [model.sample(2, count, patient.seed + n) for n in (1, 2)]
        pads = torch.cat([torch.ones(2, count, dtype=torch.bool), torch.zeros(2, length, dtype=torch.bool)], dim=1)
        left = [_at(model(torch.cat([f, x], dim=1), pads), pads) for f in fill]
        right = [_at(model(torch.cat([x, f], dim=1), pads.flip(1)), pads.flip(1)) for f in fill]
        found = {
            f"what stands at {count} left pads is seen": difference(left[1], left[0]),
            f"what stands at {count} right pads is seen": difference(right[1], right[0]),
            f"{count} right pads change real tokens": difference(right[0], alone),
        }
        one = torch.zeros_like(pads)
        one[0] = pads.flip(1)[0]
        text = torch.cat([x, fill[0]], dim=1)
        found[f"{count} pads of one row reach another"] = difference(model(text, one)[1], model(text)[1])
        faults += [name for name, value in found.items() if not value <= BAD]
        worst = max(worst, *found.values())
        shifted = max(shifted, difference(left[0], alone))
    if faults and alone.shape[1] != length and all("left pads" in name for name in faults):
        note = "right padding only: it answers from the first place, where a pad on the left would stand"
        return said("WARN", note, value=worst, threshold=BAD, source=EQUALITY, repair="pad on the right")
    if worst <= GOOD and shifted > BAD and is_relative(patient):
        note = f"pads on the left change real tokens (difference {shifted:.1e}) though positions are relative"
        repair = "mask pads as keys: vectors of zeros still take a share of the softmax"
        return said("FAIL", note, value=shifted, threshold=BAD, source=EQUALITY, where="padding mask", repair=repair)
    if worst <= GOOD < shifted:
        note = "pads are not seen; with pads on the left the positions of real tokens shift"
        return said("INFO", f"{note} (difference {shifted:.1e}): give positions with left-padded rows", value=shifted)
    repair = "mask pads as keys (not only as queries), before the softmax"
    return judged(
        worst, "pads change nothing", "; ".join(faults) or "pads are seen", where="padding mask", repair=repair
    )


def _at(answer: torch.Tensor, pads: torch.Tensor) -> torch.Tensor:
    """The answers at real tokens; all of one that is for the whole text."""
    if answer.dim() < 3 or answer.shape[1] != pads.shape[1]:
        return answer
    return answer[:, ~pads[0]]


def _source_padding(patient: Patient) -> Finding:
    """Of a sequence-to-sequence model: pads behind the source."""
    model, target = patient.stirred, patient.target
    x, source = model.sample(2, min(5, target.max_len), patient.seed), model.source()
    pads = torch.cat([torch.zeros_like(source, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)], dim=1)
    fills = [(source[:, :3] + n) % (target.source_vocab or target.vocab_size) for n in (1, 2)]
    padded = [model.replace_source(torch.cat([source, fill], dim=1))(x, pads.expand(2, -1)) for fill in fills]
    seen, changed = difference(padded[1], padded[0]), difference(padded[0], model(x))
    wrong = "what stands at pads of the source is seen" if seen > BAD else "pads of the source change the answer"
    repair = "mask the source's pads as keys, in the encoder and in cross-attention"
    well = "pads of the source change nothing"
    return judged(max(seen, changed), well, wrong, where="padding mask of the source", repair=repair)


def all_padded(patient: Patient) -> Finding:
    """P2: a row of pads alone, and left pads, give finite numbers and finite gradients."""
    if not patient.target.masks:
        return skip("it takes no padding")
    model, length = patient.stirred.on(copy.deepcopy(patient.stirred.thing)), min(7, patient.target.max_len)
    pads = torch.zeros(3, length, dtype=torch.bool)
    pads[0], pads[1, :2] = True, True
    logits = model(model.sample(3, length, patient.seed), pads)
    where = "the softmax over a row that is masked everywhere"
    repair = "give a fully masked row zeros or uniform weights; masked_fill with the dtype's minimum, not −∞"
    if not bool(torch.isfinite(logits[1:][~pads[1:]]).all()):
        return said("FAIL", "with pads in the batch logits of real tokens are not finite", where=where, repair=repair)
    if not bool(torch.isfinite(logits).all()):
        return said("FAIL", "a row that is masked everywhere gives NaN or infinity", where=where, repair=repair)
    logits[1:][~pads[1:]].square().sum().backward()
    wrong = [n for n, p in model.module.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    if wrong:
        return said("FAIL", f"pads make gradients NaN, first of {wrong[0]}", where=wrong[0], repair=repair)
    return said("PASS", "a fully masked row is finite, and so are gradients")


def batch(patient: Patient) -> Finding:
    """B1: a row alone = the same row among others; another row changed changes nothing."""
    model, length = patient.stirred, min(9, patient.target.max_len)
    x = model.sample(3, length, patient.seed)
    broken = _sizes_that_break(model, x)
    if broken:
        repair = "no squeeze() without a dimension, no size written down; view after transpose needs contiguous()"
        return said("FAIL", broken, where="forward", repair=repair)
    # Each row over a source of its own, where there is one.
    sources = _sources(model)
    together = _over(model, sources, slice(None))(x)
    alone = max(difference(_over(model, sources, [i])(x[i : i + 1])[0], together[i]) for i in range(3))
    order = [2, 0, 1]
    value = max(alone, difference(_over(model, sources, order)(x[order]), together[order]))
    wrong = "rows of a batch see one another"
    repair = "look for batch and tokens swapped (batch_first, a reshape without transpose), or a batch norm"
    if value > BAD:
        where = _meeting(model, x, sources)
        return judged(value, "", wrong, where=where or "eval", repair=repair)
    train = model.on(copy.deepcopy(model.thing))
    train.module.train()
    changed = x.clone()
    changed[1:] = model.sample(3, length, patient.seed + 1)[1:]
    torch.manual_seed(patient.seed)
    before = train(x)[0]
    torch.manual_seed(patient.seed)
    in_training = difference(train(changed)[0], before)
    if in_training > BAD:
        return said(
            "WARN",
            f"in train mode rows of a batch change one another (difference {in_training:.1e}): batch norm or places "
            f"at experts",
            value=in_training,
            threshold=BAD,
            source=EQUALITY,
        )
    return judged(max(value, in_training), "rows of a batch are independent", wrong, repair=repair)


def _sources(model: Target) -> torch.Tensor | None:
    """Three source texts, None where there is no such thing."""
    if not model.calling.source:
        return None
    return (model.source() + torch.arange(3)[:, None]) % (model.source_vocab or model.vocab_size)


def _over(model: Target, sources: torch.Tensor | None, rows: Any) -> Target:
    return model if sources is None else model.replace_source(sources[rows])


def _meeting(model: Target, x: torch.Tensor, sources: torch.Tensor | None) -> str:
    """The first module that lets another row into the first."""
    other, turned = model.different(x, 1), None if sources is None else sources.flip(1)
    other[0] = x[0]
    if turned is not None and sources is not None:
        turned[0] = sources[0]

    def first_row(tensor: torch.Tensor) -> torch.Tensor | None:
        return tensor[0] if tensor.dim() >= 3 and tensor.shape[0] == 3 else None

    try:
        asked = ((_over(model, sources, slice(None)), x), (_over(model, turned, slice(None)), other))
        one, two = (events(each.module, partial(each, ids)) for each, ids in asked)
    except Exception:
        return ""
    name = parting(one, two, first_row)
    return "" if name is None else line_of(model.module, name)


def _sizes_that_break(model: Target, x: torch.Tensor) -> str:
    """A batch or a length it cannot run on, though it runs on others."""
    shapes = {"3 rows": x, "1 row": x[:1]} | ({"1 row of 1 token": x[:1, :1]} if model.takes == "tokens" else {})
    for name, part in shapes.items():
        try:
            answer = model(part)
        except Exception as error:
            return f"it does not run on {name}: {type(error).__name__}: {str(error).strip().splitlines()[-1][:120]}"
        if answer.shape[0] != part.shape[0]:
            return f"of {name} it answers for {answer.shape[0]}"
    return ""


def order(patient: Patient) -> Finding:
    """R0: other order, other answer. Causal: the last token's; an encoder: more than the same answers reordered."""
    model, target = patient.stirred, patient.target
    if target.takes == "images":
        return skip("not asked of images")
    length = min(7, target.max_len)
    x = model.sample(1, length, patient.seed)
    moved = torch.cat([x[:, :-1].flip(1), x[:, -1:]], dim=1)
    before, after = model(x), model(moved)
    value = difference(after[:, -1], before[:, -1])
    if value > GOOD:
        return said("PASS", f"the order of tokens matters (difference {value:.1e})", value=value, threshold=GOOD)
    if bool((x[:, :-1] == x[:, :-1].flip(1)).all()):
        return skip("too few different tokens to tell")
    if "nope" in patient.expect or (target.kind == "unknown" and not target.says_tokens):
        return said("INFO", "the order of tokens changes nothing", value=value)
    return said(
        "FAIL",
        "the order of tokens changes nothing: the last token answers the same whatever the order before it",
        value=value,
        threshold=GOOD,
        source="float64 rounding is below 1e-12; 1e-5 leaves room for islands of float32",
        where="positions",
        repair="add the position embedding to the stream, or rotate queries and keys; if there is none: --expect nope",
    )


def repeats(patient: Patient) -> Finding:
    """E1: in eval mode the same input gives the same answer, whatever came between, and is left as it was."""
    model, length = patient.stirred, min(9, patient.target.max_len)
    x, y = (model.sample(2, length, patient.seed + n) for n in range(2))
    kept = x.clone()
    torch.manual_seed(1)
    first = model(x)
    torch.manual_seed(2)
    again = difference(model(x), first)
    if not torch.equal(kept, x):
        return said("FAIL", "the forward pass changes its input", repair="no in-place operation on what came in")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    model(y)
    drawn = not torch.equal(state, torch.get_rng_state())
    stale = difference(model(x), first)
    if again <= GOOD < stale:
        repair = "keep nothing between calls, or reset it"
        return said(
            "FAIL",
            "what was asked before changes the answer",
            value=stale,
            threshold=BAD,
            source=EQUALITY,
            repair=repair,
        )
    if again <= GOOD and _seeds_itself(model, x):
        repair = "no torch.manual_seed in a forward: every step then draws the same dropout"
        return said("FAIL", "a forward pass sets the random generator", where="forward", repair=repair)
    if again <= GOOD and drawn:
        note = "in eval mode random numbers are drawn, though the answer does not show them"
        return said("WARN", note, where="forward", repair="draw only where self.training")
    wrong = "in eval mode two calls with the same input differ"
    repair = "dropout must ask self.training: F.dropout(x, p, self.training); no noise in eval"
    return judged(max(again, stale), "eval mode is deterministic", wrong, repair=repair, where="eval mode")


def _seeds_itself(model: Target, x: torch.Tensor) -> bool:
    """Whether after a forward in train mode the generator stands where it stood after another seed."""
    train = model.on(copy.deepcopy(model.thing))
    train.module.train()
    states = []
    for seed in (11, 12):
        torch.manual_seed(seed)
        train(x)
        states.append(torch.get_rng_state())
    return torch.equal(*states)


def modes(patient: Patient) -> Finding:
    """E2: eval and train reach every part, no forward changes the mode, and eval after training is eval again."""
    model = patient.copy(patient.dtype)
    x = model.sample(2, min(9, patient.target.max_len), patient.seed)
    before = model(x)
    for wanted in (True, False):
        model.module.train(wanted)
        model(x)
        stuck = [name or "the model" for name, each in model.module.named_modules() if each.training is not wanted]
        if stuck:
            word = "train" if wanted else "eval"
            return said(
                "FAIL",
                f"after {word}() and a forward pass {len(stuck)} parts are not in {word} mode, first {stuck[0]}",
                where=stuck[0],
                repair="no eval() or train() inside a forward; an own train() must return super().train(mode)",
            )
    value = difference(model(x), before)
    if value > GOOD:
        return said("WARN", f"a forward pass in train mode changed what eval answers ({value:.1e})", value=value)
    parts = [(n, m.p) for n, m in model.module.named_modules() if isinstance(m, torch.nn.Dropout) and m.p > 0.5]
    if parts:
        note = f"in train mode {parts[0][1]:.0%} of what {parts[0][0]} is given are dropped"
        repair = "p is the share that is dropped, not the one that is kept"
        return said("WARN", note, value=parts[0][1], threshold=0.5, where=parts[0][0], repair=repair)
    return said("PASS", "eval, train, eval: the same answer", value=value, threshold=GOOD, source=EQUALITY)
