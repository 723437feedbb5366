"""B1, R0, E1, E2: what must change nothing, and the order, which must."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch

from oneblock.doctor.checks import exact
from oneblock.doctor.checks.check import BAD, EQUALITY, GOOD, judged, said, skip
from oneblock.doctor.checks.unscaled import unscaled
from oneblock.doctor.finding import Finding
from oneblock.doctor.lines import equal, one_of_rows, parting_line
from oneblock.doctor.locate import events, line_of, parting
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target


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
    single = _single_tokens(model, x, sources) if value <= BAD else 0.0
    if single > BAD:
        note = "rows of one token each see one another"
        mend = "squeeze(dim) for squeeze(): without a dimension it drops every axis of size 1"
        return judged(single, "", note, where="forward, 1 token", repair=mend)
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
    share = exact.other_rows(patient) if max(value, in_training) <= GOOD and sources is None else None
    if share is not None and share > exact.EXACT:
        note = (
            f"no answer moves by more than rounding, but other rows weigh {share:.1e} in the gradient of a row's answer"
        )
        return said("WARN", note, value=share, threshold=exact.EXACT, where="eval", repair=repair)
    return judged(max(value, in_training), "rows of a batch are independent", wrong, repair=repair)


def _single_tokens(model: Target, x: torch.Tensor, sources: torch.Tensor | None) -> float:
    """Rows of one token, as a batch has them that decodes: alone against together."""
    if model.takes != "tokens" or sources is not None:
        return 0.0
    together = model(x[:, :1])
    return max(difference(model(x[i : i + 1, :1])[0], together[i]) for i in range(len(x)))


def _sources(model: Target) -> torch.Tensor | None:
    """Three source texts, None where there is no such thing."""
    if not model.calling.source:
        return None
    return (model.source() + torch.arange(3)[:, None]) % (model.source_vocab or model.vocab_size)


def _over(model: Target, sources: torch.Tensor | None, rows: Any) -> Target:
    return model if sources is None else model.replace_source(sources[rows])


def _meeting(model: Target, x: torch.Tensor, sources: torch.Tensor | None) -> str:
    """The first line, or else the first module, that lets other rows into one."""
    for row in (0, 2):
        other, turned = model.different(x, 1), None if sources is None else sources.flip(1)
        other[row] = x[row]
        if turned is not None and sources is not None:
            turned[row] = sources[row]

        def one_row(tensor: torch.Tensor, row: int = row) -> torch.Tensor | None:
            return tensor[row] if tensor.dim() >= 3 and tensor.shape[0] == 3 else None

        runs = [partial(_over(model, each, slice(None)), ids) for each, ids in ((sources, x), (turned, other))]
        line = parting_line(model.module, runs, one_of_rows(3, row))
        try:
            name = None if line else parting(events(model.module, runs[0]), events(model.module, runs[1]), one_row)
        except Exception:
            return ""
        if line or name is not None:
            return line or line_of(model.module, name or "")
    return ""


def _sizes_that_break(model: Target, x: torch.Tensor) -> str:
    """A batch or a length it cannot run on, though it runs on others."""
    single = {"1 row of 1 token": x[:1, :1], "3 rows of 1 token": x[:, :1]} if model.takes == "tokens" else {}
    shapes = {"3 rows": x, "1 row": x[:1]} | single
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
            where=_kept_at(model, x, y),
            value=stale,
            threshold=BAD,
            source=EQUALITY,
            repair=repair,
        )
    changed = _changed_by_a_call(patient, x)
    if again <= GOOD and changed:
        table = model.module.get_submodule(changed.rpartition(".")[0])
        if getattr(table, "max_norm", None) is not None:
            note = f"a forward pass in eval mode changes {changed}: rows that are read are cut to max_norm, in place"
            return said("WARN", note, where=changed, repair="norm what the table gives, if weights are to stay")
        repair = "no in-place operation on weights in a forward; hold what changes as a buffer"
        return said("FAIL", f"a forward pass in eval mode changes {changed}", where=changed, repair=repair)
    if again <= GOOD and _seeds_itself(model, x):
        repair = "no torch.manual_seed in a forward: every step then draws the same dropout"
        return said("FAIL", "a forward pass sets the random generator", where="forward", repair=repair)
    if again <= GOOD and drawn:
        note = "in eval mode random numbers are drawn, though the answer does not show them"
        return said("WARN", note, where="forward", repair="draw only where self.training")
    wrong = "in eval mode two calls with the same input differ"
    repair = "dropout must ask self.training: F.dropout(x, p, self.training); no noise in eval"
    where = "eval mode"
    if max(again, stale) > GOOD:
        where = _drawn_at(model, x) or _kept_at(model, x, y) or where
    return judged(max(again, stale), "eval mode is deterministic", wrong, repair=repair, where=where)


def _drawn_at(model: Target, x: torch.Tensor) -> str:
    """The line at which two runs with other seeds part."""

    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return model(x)

    return parting_line(model.module, [partial(run, 1), partial(run, 2)], equal)


def _kept_at(model: Target, x: torch.Tensor, y: torch.Tensor) -> str:
    """The line at which the answer to x parts from that after another text."""
    trials = [model.on(copy.deepcopy(model.thing)) for _ in range(2)]
    trials[1](y)
    names = [{id(m): n for n, m in each.module.named_modules()} for each in trials]
    return parting_line(model.module, [partial(each, x) for each in trials], equal, names)


def _changed_by_a_call(patient: Patient, x: torch.Tensor) -> str:
    """The first weight that one forward pass of a copy changes; "" where none."""
    model = patient.copy(patient.dtype)
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    model(x)
    after = model.module.named_parameters()
    return next((name for name, p in after if not torch.equal(p.nan_to_num(), before[name].nan_to_num())), "")


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
    told = unscaled(patient)
    if told is not None:
        return told
    return said("PASS", "eval, train, eval: the same answer", value=value, threshold=GOOD, source=EQUALITY)
