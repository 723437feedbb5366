"""N1, N2, H1: where the norms are, what they mix, and how the stream grows. By intervention."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from oneblock.doctor.checks.branches import normed_along_heads, only_positive
from oneblock.doctor.checks.check import BAD, EQUALITY, said, skip
from oneblock.doctor.checks.normed import oddity
from oneblock.doctor.finding import Finding
from oneblock.doctor.layers import Called, blocks, norms, silenced
from oneblock.doctor.locate import events
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

LARGE, LARGER = 1e4, 1e7
GROWS = 2.0
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
SOURCE = "a branch behind a norm gives the same for x and c·x; one without a norm gives c times as much"
SIGNED = "what a branch adds to the stream is nowhere below zero: an activation stands behind its last matrix"
SAME = {"pre": "pre", "peri": "pre", "out": "pre", "post": "post", "none": "none"}


def placement(patient: Patient) -> Finding:
    """N1: each block silenced, and given c·x: pre (or peri, out), post, none; residuals missing or wrong."""
    model = patient.stirred
    calls = _calls(patient)
    if not calls:
        signed = only_positive(model, patient.seed)
        if signed:
            return said("WARN", SIGNED, where=signed, repair="no activation behind the last matrix of a branch")
        return skip("no list of blocks that map B × T × D was found")
    found = [(each.name, *kind_of_block(each)) for each in calls]
    if len(found) > 1 and found[0][1].startswith("a branch reads") and _normed_before(model, found[0][0], patient.seed):
        # A norm behind the embedding is the first block's own.
        found[0] = found[1]
    wrong = [(name, kind, repair) for name, kind, repair in found if repair]
    more = {"source": SOURCE, "value": found[0][1]}
    wanted = patient.expect.get("norm", "")
    if wrong and not (wanted == "none" and wrong[0][1].startswith("a branch")):
        name, kind, repair = wrong[0]
        return said("FAIL", f"{kind} ({len(wrong)} of {len(found)} blocks)", where=name, repair=repair, **more)
    kinds = sorted({kind for _, kind, _ in found})
    if wanted and any(SAME[wanted] != kind for kind in kinds):
        return said("FAIL", f"the norms are {', '.join(kinds)}; {wanted} was declared", where=found[0][0], **more)
    if kinds == ["pre"] and patient.target.says_tokens and not _last_norm(model, calls, patient.seed):
        repair = "a norm on the stream before the head"
        return said("FAIL", "pre-norm blocks, and no norm before the head", where="the head", repair=repair, **more)
    lost = next((each for each in calls if attention_lost(model, each, patient.seed)), None)
    if lost is not None:
        note = "attention reaches the stream through the feed-forward alone: what it writes itself is lost"
        return said("WARN", note, where=lost.name, repair="h = x + attention(norm(x)); h + mlp(norm(h))", **more)
    signed = only_positive(model, patient.seed)
    if signed:
        return said("WARN", SIGNED, where=signed, repair="no activation behind the last matrix of a branch", **more)
    words = {"pre": "pre-norm (or norm on the branch's output)", "post": "post-norm"}
    return said("INFO", f"{', '.join(words.get(kind, kind) for kind in kinds)} in {len(found)} blocks", **more)


def attention_lost(model: Target, call: Called, seed: int) -> bool:
    """Whether one part of a block, which is not its attention, gives 0 and then nothing at all is added, though that
    part adds something without attention."""
    x = call.given
    places = {each.place.split(" ")[0] for each in attentions(model, model.sample(2, min(7, model.max_len), seed))}
    parts = [(n, m) for n, m in call.block.named_children() if any(p.dim() > 1 for p in m.parameters())]
    asks = [n for n, _ in parts if any(place.startswith(f"{call.name}.{n}") for place in places)]
    if len(asks) != 1 or len(parts) < 2:
        return False
    rest = call.run(x.clone(), _part_silenced(call.block, asks[0])) - x
    if not float((rest - rest[:, :1]).abs().max()) > 1e-6:
        return False
    # What makes gates of a condition is silent without being behind attention.
    others = [n for n, _ in parts if n not in asks and _behind(call, n, asks[0])]
    return any(difference(call.run(x.clone(), _part_silenced(call.block, n)), x) < 1e-9 for n in others)


def _behind(call: Called, part: str, attention: str) -> bool:
    """Whether what a part is given comes of attention."""
    given = [
        next((e.given for e in events(block, partial(call.run, call.given.clone(), block)) if e.name == part), [])
        for block in (copy.deepcopy(call.block), _part_silenced(call.block, attention))
    ]
    return bool(given[0] and given[1]) and difference(given[1][0], given[0][0]) > BAD


def _part_silenced(block: nn.Module, part: str) -> nn.Module:
    bare = copy.deepcopy(block)
    setattr(bare, part, silenced(bare.get_submodule(part)))
    return bare


def _normed_before(model: Target, first: str, seed: int) -> bool:
    """Whether a norm runs before the first block."""
    of_norms = {name for name, _ in norms(model.module)}
    x = model.sample(1, min(5, model.max_len), seed)
    for event in events(model.module, lambda: model(x)):
        if event.name.startswith(f"{first}."):
            return False
        if event.name in of_norms:
            return True
    return False


def kind_of_block(call: Called) -> tuple[str, str]:
    """(what it is, the repair if it is a fault)."""
    x = call.given / call.given.square().mean().sqrt()
    given = x.clone()
    silent, plain = call.run(x.clone(), silenced(call.block)), call.run(x)
    if not torch.equal(x, given):
        return "a block writes into the stream that it is given", "no in-place operation on x; work on a copy"
    size = float(silent.abs().max())
    if size < 1e-9:
        return "a block without residual: with silent branches nothing is left", "x = x + branch(norm(x))"
    ratio = float((silent * x).sum() / x.square().sum())
    if difference(silent, ratio * x) < 1e-6:
        if ratio < -0.5:
            return "the residual is subtracted", "x = x + branch(norm(x))"
        if ratio > 1.5 and not _learned_scale(call.block):
            return f"the residual is added {ratio:.3g} times", "x = x + branch(norm(x)), once"
        near, far = (float((call.run(c * x) - ratio * c * x).norm()) for c in (LARGE, LARGER))
        if math.isfinite(far) and far <= 3 * near + 1e-3 * far:
            return "pre", ""
        if _gates(call.block) or not float((plain - ratio * x).abs().max()) > 0:
            return "none", ""
        bare = _without_convolutions(call.block)
        if bare is not None and kind_of_block(replace(call, block=bare))[0] == "pre":
            return "pre, with a convolution that reads the stream without a norm", ""
        return (
            "a branch reads the stream without a norm",
            "x = x + branch(norm(x)); if none is meant: --expect norm=none",
        )
    if difference(call.run(LARGER * x), call.run(LARGE * x)) < 1e-3:
        bare = copy.deepcopy(call.block)
        _reset_norms(bare)
        sizes = call.run(LARGE * x, bare).square().mean(-1).sqrt()
        if float(sizes.std() / sizes.mean()) < 1e-3:
            if _silent_part(call, x):
                return "a block without one of its residuals", "x = norm(x + branch(x)) around each branch"
            return "post", ""
        return "the residual is taken after the norm, so the stream is normed away", "x = x + branch(norm(x))"
    return "mixed", ""


def _without_convolutions(block: nn.Module) -> nn.Module | None:
    """A copy whose convolutions give 0; None where it has none."""
    if not any(isinstance(each, CONVOLUTIONS) for each in block.modules()):
        return None
    bare = copy.deepcopy(block)
    with torch.no_grad():
        for each in bare.modules():
            for p in each.parameters(recurse=False) if isinstance(each, CONVOLUTIONS) else ():
                p.zero_()
    return bare


def _silent_part(call: Called, x: Tensor) -> bool:
    """Post-norm: whether what comes out forgets what went in when branches are silent. x and its silent answer
    then point elsewhere."""
    bare = silenced(call.block)
    _reset_norms(bare)
    silent = call.run(x, bare)
    if float(silent.abs().max()) < 1e-6:
        return True
    centred = x - x.mean(-1, keepdim=True)
    return float(torch.cosine_similarity(silent, centred, dim=-1).abs().min()) < 0.5 and (
        float(torch.cosine_similarity(silent, x, dim=-1).abs().min()) < 0.5
    )


def _reset_norms(block: nn.Module) -> None:
    with torch.no_grad():
        for _, norm in norms(block):
            for name, p in norm.named_parameters():
                p.fill_(0.0 if "bias" in name or name == "beta" else 1.0)


def _gates(block: nn.Module) -> bool:
    return any(p.numel() == 1 for p in block.parameters())


def _learned_scale(block: nn.Module) -> bool:
    return type(block).__module__.startswith("oneblock.") or _gates(block)


def _last_norm(model: Target, calls: list[Called], seed: int) -> bool:
    """Whether the logits forget how large the stream is after the last block."""
    last = calls[-1].block
    x = model.sample(2, min(7, model.max_len), seed)

    def answer(times: float) -> Tensor:
        def grow(module: nn.Module, args: object, out: object) -> object:
            if isinstance(out, Tensor):
                return out * times
            assert isinstance(out, tuple)
            return (out[0] * times, *out[1:])

        handle = last.register_forward_hook(grow)
        try:
            return model(x)
        finally:
            handle.remove()

    return difference(answer(LARGER), answer(LARGE)) < 1e-2


def mixing(patient: Patient) -> Finding:
    """N2: a norm works on one token: another token, another row changed, and it gives the same."""
    asked = 0
    for name, norm in norms(patient.stirred.module):
        width = max(p.numel() for p in norm.parameters())
        x = torch.randn(2, 5, width, dtype=patient.dtype, generator=torch.Generator().manual_seed(patient.seed))
        other, kept = x.clone(), x.clone()
        other[1, 3] += 1.0
        try:
            before, after = norm(x), norm(other)
        except Exception:
            continue
        if before.shape != x.shape:
            continue
        asked += 1
        if not torch.equal(x, kept):
            return said("FAIL", "a norm writes into the stream that it is given", where=name, repair="work on a copy")
        gap = (after - before).abs()
        gap[1, 3] = 0
        if float(gap.max()) > BAD:
            return said(
                "FAIL",
                "a norm mixes tokens: another token changes what it gives",
                value=float(gap.max()),
                threshold=BAD,
                source=EQUALITY,
                where=name,
                repair="mean and variance over the last axis only",
            )
    odd = oddity(patient) or _along_heads(patient)
    if odd is not None:
        return odd
    if not asked:
        return skip("no norm that can be called alone was found")
    return said("PASS", f"{asked} norms work on each token alone", value=0.0, threshold=BAD, source=EQUALITY)


def _along_heads(patient: Patient) -> Finding | None:
    where = normed_along_heads(patient.stirred, patient.seed)
    if not where:
        return None
    word, _, place = where.partition(" at ")
    note = f"{word} are normed along the heads, not along the features of a head: heads share out one length"
    return said("WARN", note, where=place, repair="norm over the last axis of B × H × T × K")


def depth(patient: Patient) -> Finding:
    """H1: how large the stream is after each block, and by what each block multiplies it."""
    model = patient.plain
    calls = blocks(model, model.sample(2, min(11, patient.target.max_len), patient.seed))
    if len(calls) < 2:
        return skip("no list of blocks was found")
    sizes = [float(each.out.double().square().mean().sqrt()) for each in calls]
    if not all(math.isfinite(size) for size in sizes):
        first = next(each.name for each, size in zip(calls, sizes, strict=True) if not math.isfinite(size))
        return said("FAIL", "the stream is not finite", where=first, repair="look for a missing norm or scale")
    steps = [b / a if a else 1.0 for a, b in itertools.pairwise(sizes)]
    # The first blocks write into a small stream, so it is the second half that tells.
    later = sorted(steps[len(steps) // 2 :])
    middle = later[len(later) // 2]
    note = f"root mean square of the stream after each block: {', '.join(f'{size:.3g}' for size in sizes[:12])}"
    more = {
        "value": middle,
        "threshold": GROWS,
        "source": "the median factor of the second half; 2 a block is 4096 over 12 blocks",
    }
    if len(steps) > 2 and not 1 / GROWS <= middle <= GROWS:
        return said("WARN", f"each block multiplies the stream by {middle:.3g}: {note}", where=calls[0].name, **more)
    return said("INFO", note, **more)


def _calls(patient: Patient) -> list[Called]:
    model = patient.stirred
    return blocks(model, model.sample(2, min(7, patient.target.max_len), patient.seed))
