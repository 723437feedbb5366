"""The five questions of a depth report, answered from its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from oneblock.doctor.depth import Depth, DepthReport

STREAM, UNEVEN, LOGIT, START, NEAR = 100.0, 100.0, 100.0, 5.0, 0.1


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One of the five: a status as a check's, a sentence, a number for each depth, and what it is held against."""

    id: str
    question: str
    status: str
    message: str
    values: tuple[float, ...] = ()
    threshold: float | None = None
    source: str = ""


def answers(report: DepthReport) -> list[Answer]:
    """All five, in the order in which one asks them; none where the report was refused."""
    depths = report.depths
    if not depths:
        return []
    return [_stream(depths), _placement(report), _start(depths), _logits(depths), _gradients(depths)]


def _stream(depths: Sequence[Depth]) -> Answer:
    values = tuple(each.growth for each in depths)
    rate = math.log(values[-1]) / max(1, depths[-1].layers - 1) if 0 < values[-1] < math.inf else math.nan
    said = f"the blocks multiply it by {_list(values)}"
    if not all(map(math.isfinite, values)):
        status, said = "FAIL", f"it is not finite at {_at(depths, values)} layers"
    elif max(values) > STREAM or min(values) < 1 / STREAM:
        status = "WARN"
        said += f": {'explodes' if values[-1] > 1 else 'collapses'}, by a factor of {math.exp(rate):.2f} a block"
    else:
        status = "PASS"
        said += f"; independent contributions would give up to {math.sqrt(depths[-1].layers):.1f}"
    return Answer(
        id="H1",
        question="does the stream explode or collapse with depth?",
        status=status,
        message=said,
        values=values,
        threshold=STREAM,
        source="contributions of one size grow by √L, which is 6 at 36; two powers of ten are no such sum",
    )


def _placement(report: DepthReport) -> Answer:
    words, status = report.placement, "INFO"
    if words.startswith("post"):
        words += "; at this depth it needs a warm-up, or a scaled residual (Xiong et al. 2020; Wang et al. 2022)"
    if "without a norm" in words or words.startswith("none"):
        words, status = f"{words}; nothing holds the stream", "WARN"
    return Answer(id="N1", question="where are the norms?", status=status, message=words)


def _start(depths: Sequence[Depth]) -> Answer:
    values = tuple(max(each.spread.values(), default=0.0) for each in depths)
    first, last = depths[0], depths[-1]
    wanted = math.sqrt(last.layers / first.layers)
    shrinks = [
        name.removesuffix(".weight")
        for name, value in first.spread.items()
        if last.spread.get(name) and abs(value / last.spread[name] / wanted - 1) < NEAR
    ]
    said = f"std·√inputs up to {_list(values)}; "
    if len(depths) > 1 and shrinks and wanted > 1 + NEAR:
        said += f"smaller in a deeper model, by 1/√L: {', '.join(shrinks)}"
    else:
        said += "no matrix starts smaller in a deeper model"
    return Answer(
        id="I1",
        question="do weights start at a scale that fits the depth?",
        status="WARN" if max(values) > START else "PASS",
        message=said,
        values=values,
        threshold=START,
        source="an activation grows by this factor in one matrix; GPT-2 starts what writes to the stream at 1/√(2L)",
    )


def _logits(depths: Sequence[Depth]) -> Answer:
    values = tuple(max(each.logits, default=math.nan) for each in depths)
    question = "does the largest attention logit grow with depth?"
    if all(map(math.isnan, values)):
        return Answer(id="A3", question=question, status="SKIP", message="no softmax over scores was seen")
    layer = max(range(len(depths[-1].logits)), key=lambda n: depths[-1].logits[n])
    return Answer(
        id="A3",
        question=question,
        status="PASS" if max(values) <= LOGIT else "WARN",
        message=f"largest: {_list(values)}; at {depths[-1].layers} layers in attention {layer}",
        values=values,
        threshold=LOGIT,
        source="convention; that logits grow: Dehghani et al. 2023",
    )


def _gradients(depths: Sequence[Depth]) -> Answer:
    values = tuple(each.unevenness for each in depths)
    last = depths[-1].gradients
    question = "does every layer get a gradient of its size?"
    if not any(last):
        said = "it is 0 in every block with these weights: a head or gates that start at 0; train a few steps first"
        return Answer(id="gradient", question=question, status="INFO", message=said, values=values)
    said = f"the largest is {_list(values)} times the smallest"
    status = "PASS" if max(values) <= UNEVEN else "WARN"
    if not all(map(math.isfinite, last)):
        status, said = "FAIL", "it is not finite"
    elif status == "WARN":
        where = "vanishes towards the first" if last[0] < last[-1] else "grows towards the first"
        said += f": it {where} block ({last[0]:.2g} there, {last[-1]:.2g} in the last)"
    return Answer(
        id="gradient",
        question=question,
        status=status,
        message=said,
        values=values,
        threshold=UNEVEN,
        source="two powers of ten: one learning rate cannot fit both (Adam hides it until it meets its ε)",
    )


def _list(values: Sequence[float]) -> str:
    """Numbers for each depth, as "1.2, 1.4, 1.7"."""
    return ", ".join(f"{value:.3g}" for value in values)


def _at(depths: Sequence[Depth], values: Sequence[float]) -> str:
    return ", ".join(str(each.layers) for each, value in zip(depths, values, strict=True) if not math.isfinite(value))
