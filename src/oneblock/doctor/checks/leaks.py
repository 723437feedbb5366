"""C1, C2: does a token see what comes after it? Asked of logits alone, on every path that a mask can be missing on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from oneblock.doctor.checks import exact
from oneblock.doctor.checks.check import BAD, EQUALITY, GOOD, judged, said, skip
from oneblock.doctor.checks.reach import ALL, one_by_one, reach
from oneblock.doctor.checks.sources import labels_read, narrowed_source, unread_source
from oneblock.doctor.finding import Finding
from oneblock.doctor.lines import at_places, parting_line
from oneblock.doctor.locate import events, line_of, parting
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

Call = Callable[[Tensor], Tensor]
EXPERTS = ("expert", "router", "moe")
LENGTHS = (5, 11, 33, 66, 130)
REPAIR = (
    "mask scores with −∞ above the diagonal (keys later than the query) before the softmax, on this path too; "
    "if every token is meant to see all, declare --expect encoder"
)


def future(patient: Patient) -> Finding:
    """C1: tokens after t drawn anew; logits up to t must stay. Over copies, modes, masks, lengths and prefill."""
    target = patient.target
    if target.takes == "images":
        return skip("images have no order of reading")
    if target.kind == "encoder":
        return _encoder(patient)
    unread = unread_source(patient)
    if unread:
        return said("FAIL", unread, where="cross-attention", repair="no causal mask over the source's tokens")
    worst, faults = 0.0, []
    for name, length, call in paths(patient):
        try:
            value = leak(target, call, length, patient.seed)
        except Exception as error:
            if name == "eval":
                return skip(f"cannot run on {length} tokens: {error}")
            continue
        worst = max(worst, value)
        if value > BAD:
            faults.append(f"{name}, {length} tokens")
    cut = _cut_short(patient) if worst <= BAD and target.kind != "unknown" else 0.0
    if cut > BAD and not dynamic(patient):
        note = f"what a token answers depends on how many tokens follow: a text cut short answers otherwise ({cut:.1e})"
        repair = "positions counted from the first token; nothing scaled by the text's length"
        return said("FAIL", note, value=cut, threshold=BAD, source=EQUALITY, where="positions", repair=repair)
    read = labels_read(patient) if worst <= BAD else 0.0
    if read > BAD:
        note = "called with labels= alone it reads the label that it is to say: labels are not shifted right"
        repair = "decoder_input_ids = labels moved right by one, behind the start token"
        return said("FAIL", note, value=read, threshold=BAD, source=EQUALITY, where="labels", repair=repair)
    narrow = narrowed_source(patient) if worst <= BAD else ""
    if narrow:
        return said("WARN", narrow, where="the source", repair="encoder: no causal mask; cross-attention: all of it")
    if worst <= GOOD:
        return _to_the_last_bit(patient, worst)
    if worst <= BAD:
        return judged(worst, "no token sees a later one", "a token may see a later one", where="eval")
    plain = any(fault.startswith("eval,") for fault in faults)
    pattern = reach(patient.stirred, patient.seed) if plain else "the plain path is well: only these are not"
    pattern += one_by_one(patient) if pattern.startswith("up to") else ""
    seen_by_all = pattern == ALL
    if target.kind == "unknown" and seen_by_all and not target.says_tokens:
        return said("INFO", "every token sees every other, as in an encoder; to have it checked: --expect causal")
    with_experts = any(word in name.lower() for name, _ in target.module.named_modules() for word in EXPERTS)
    if with_experts and all(fault.startswith("train") for fault in faults):
        return said("WARN", "in train mode later tokens move earlier ones: places at experts?", value=worst)
    culprit, paths_told = _culprit(patient, plain), "; ".join(_shortest(faults))
    return said(
        "FAIL",
        f"tokens see the future: {pattern}; logits up to t move by {worst:.1e} when tokens after t change",
        value=worst,
        threshold=BAD,
        source=EQUALITY,
        # Of each path the shortest text that shows it.
        where=f"{culprit}on {paths_told}" if culprit else paths_told,
        repair=REPAIR,
    )


def _shortest(faults: list[str]) -> list[str]:
    """The first of each path: lengths rise."""
    first: dict[str, str] = {}
    for fault in faults:
        first.setdefault(fault.rpartition(",")[0], fault)
    return list(first.values())


def _to_the_last_bit(patient: Patient, worst: float) -> Finding:
    """No answer moves; whether later embeddings have exactly no gradient either."""
    odd = exact.adapter_at_odds(patient)
    if odd:
        repair = "logits_from_embeds takes what embed gives, and adds positions as logits does"
        return said("WARN", f"no token sees a later one; {odd}", where="adapter", repair=repair)
    share = exact.later(patient)
    if share is None or share <= exact.EXACT:
        more = "" if share is None else ", nor has its embedding a gradient"
        return judged(worst, f"no token sees a later one{more}", "a token may see a later one", where="eval")
    note = (
        f"no answer moves by more than rounding, but later tokens weigh {share:.1e} in the gradient of earlier answers"
    )
    repair = "mask with −∞ or the dtype's minimum, behind everything that bounds the scores (a tanh, a clamp)"
    source = "under a mask that is one the gradient is 0; 1e-12 leaves room for rounding in float64"
    return said(
        "WARN", note, value=share, threshold=exact.EXACT, source=source, where="the mask's value", repair=repair
    )


def _cut_short(patient: Patient) -> float:
    """How far the answers to a text move when its end is left out."""
    length = min(33, patient.target.max_len)
    x, kept = patient.stirred.sample(1, length, patient.seed), length // 2
    if kept < 2:
        return 0.0
    whole, part = patient.stirred(x), patient.stirred(x[:, :kept])
    return difference(part, whole[:, :kept]) if whole.shape[1] == length and part.shape[1] == kept else 0.0


def dynamic(patient: Patient) -> bool:
    """Whether its configuration makes positions depend on the length, as dynamic RoPE scaling does."""
    config = getattr(patient.target.thing, "config", None)
    return "dynamic" in str(getattr(config, "rope_scaling", "")) + str(getattr(config, "rope_parameters", ""))


def _culprit(patient: Patient, plain: bool) -> str:
    """The first module that lets the future through, with the line of its softmax."""
    if not plain:
        return ""
    model, length = patient.stirred, min(11, patient.target.max_len)
    t = length // 2
    x = model.sample(1, length, patient.seed)
    changed = x.clone()
    changed[:, t + 1 :] = model.different(x, patient.seed + 1)[:, t + 1 :]

    def keep(tensor: Tensor) -> Tensor | None:
        return tensor[:, : t + 1] if tensor.dim() >= 3 and tensor.shape[:2] == (1, length) else None

    try:
        first, second = (events(model.module, partial(model, ids)) for ids in (x, changed))
    except Exception:
        return ""
    name = parting(first, second, keep)
    seen = torch.arange(t + 1)
    if name is None:
        return ""
    softmax = next((each.place for each in attentions(model, x) if each.place.split(" ")[0] == name), "")
    line = softmax.partition("(")[2].rstrip(")")
    if not line:
        runs = [partial(model, ids) for ids in (x, changed)]
        at = parting_line(model.module, runs, at_places(length, seen))
        return f"{at or line_of(model.module, name)}, "
    return line_of(model.module, name) + (f", its softmax {line}, " if line else ", ")


def strength(patient: Patient) -> Finding:
    """C2: the same with scores in the tens, where a mask of −10 instead of −∞ lets the future through."""
    if patient.target.kind in ("encoder", "images"):
        return skip("nothing is masked")
    quiet = leak(patient.target, patient.stirred, min(11, patient.target.max_len), patient.seed)
    if not quiet <= BAD:
        return skip("the future is seen at any strength of the scores: see C1")
    value = leak(patient.target, patient.loud, min(11, patient.target.max_len), patient.seed)
    if value == float("inf"):
        return skip("with weights so large the logits are not finite")
    wrong = "the mask is too weak: with large scores later tokens show through"
    return judged(value, "the mask holds with large scores too", wrong, where="the mask's value", repair=REPAIR)


def paths(patient: Patient) -> Iterator[tuple[str, int, Call]]:
    """(name, length, call) of every path."""
    target, most = patient.target, patient.target.max_len
    lengths = sorted({min(length, most) for length in (*LENGTHS, most)} - {1})
    short = min(11, most)
    for length in lengths:
        yield "eval", length, patient.stirred
    yield "eval, weights as they are", min(33, most), patient.plain
    yield "eval, float32", min(33, most), patient.copy(torch.float32)
    train = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    train.module.train()
    yield "train", min(33, most), train
    if target.masks:
        yield "mask of ones", short, lambda x: patient.stirred(x, torch.zeros_like(x, dtype=torch.bool))
        yield "train, mask of ones", short, lambda x: train(x, torch.zeros_like(x, dtype=torch.bool))
        yield "padded", short, lambda x: patient.stirred(x, _first_two(x))[:, 2:]
    if target.caches:
        for length in {short, min(66, most)}:
            yield "prefill with cache", length, lambda x: patient.stirred.cached([x])
    for name, other in kernels(patient):
        yield name, min(33, most), other


def kernels(patient: Patient) -> list[tuple[str, Target]]:
    """The same weights through other attention kernels, where a model has a switch for them."""
    stirred, found = patient.stirred, []
    config = getattr(stirred.thing, "config", None)
    if type(stirred.thing).__module__.startswith("oneblock.models"):
        from oneblock.models.build import build

        other = build(config, seed=0, fused=False).to(patient.dtype)  # type: ignore[arg-type]
        other.load_state_dict(stirred.module.state_dict())
        found.append(("written-out attention", stirred.on(other.eval())))
    if hasattr(stirred.thing, "set_attn_implementation"):
        for kernel in ("eager", "sdpa"):
            try:
                other = copy.deepcopy(stirred.thing)
                other.set_attn_implementation(kernel)
            except Exception:
                continue
            found.append((f"attention {kernel}", stirred.on(other)))
    if stirred.adapter:
        found += [(f"variant {name}", stirred.on(_Variant(ask))) for name, ask in variants(stirred.thing).items()]
    return found


class _Variant:
    """Another way to the same logits, as an adapter names it."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self.ask = ask

    def logits(self, ids: Tensor, **more: Any) -> Any:
        """By this way."""
        return self.ask(ids, **more)


def variants(adapter: Any) -> dict[str, Callable[..., Any]]:
    """Name -> `logits` of every variant: a dict, or a method that gives one; of functions or of adapters."""
    given: Any = getattr(adapter, "variants", None) or {}
    named: dict[str, Any] = dict(given() if callable(given) else given)
    return {name: getattr(each, "logits", each) for name, each in named.items()}


def leak(target: Target, call: Call, length: int, seed: int) -> float:
    """How far logits up to t move when all after t is drawn anew; the worst t of four.

    Rows of one batch ask for different t; what they find is asked again of each row alone, so that a model that
    mixes rows is not taken for one that leaks.
    """
    splits = sorted({0, length // 3, max(0, length - 3), length - 2})
    x = target.sample(1, length, seed).repeat(len(splits), *[1] * (target.sample(1, 2, 0).dim() - 1))
    other, changed = target.different(x, seed + 1), x.clone()
    for row, t in enumerate(splits):
        changed[row, t + 1 :] = other[row, t + 1 :]
    if _moved(call, x, changed, splits, seed) <= GOOD:
        return 0.0
    return max(_moved(call, x[r : r + 1], changed[r : r + 1], [t], seed) for r, t in enumerate(splits))


def _moved(call: Call, x: Tensor, changed: Tensor, splits: list[int], seed: int) -> float:
    torch.manual_seed(seed)
    before = call(x)
    torch.manual_seed(seed)
    after = call(changed)
    cut = x.shape[1] - before.shape[1]
    pairs = [(before[r, : t + 1 - cut], after[r, : t + 1 - cut]) for r, t in enumerate(splits) if t + 1 > cut]
    return max((difference(found, wanted) for wanted, found in pairs), default=0.0)


def _encoder(patient: Patient) -> Finding:
    value = leak(patient.target, patient.stirred, min(11, patient.target.max_len), patient.seed)
    if value > BAD:
        return said("INFO", "an encoder: every token sees later ones, as it is meant to", value=value)
    return said(
        "WARN",
        "taken for an encoder, but no token sees a later one",
        value=value,
        repair="if it is causal, declare --expect causal; else remove the causal mask",
    )


def _first_two(x: Tensor) -> Tensor:
    pads = torch.zeros_like(x, dtype=torch.bool)
    pads[:, :2] = True
    return pads
