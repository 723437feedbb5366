"""`--against --html`: where two models part, drawn and in a table of modules, and what explains it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from oneblock.doctor.checks import CHECKS
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.pages.anatomy import flow_of
from oneblock.doctor.pages.marks import draw_patient
from oneblock.doctor.pages.style import RULES
from oneblock.doctor.parity import Parity
from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.walk import Walked
from oneblock.doctor.patient import Patient
from oneblock.doctor.restore import left_as_found
from oneblock.inspect.dataflow import Dataflow
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.pieces import section, table

HOW = (
    "Both models were copied, given the same tokens and left as they were. Tensors are matched by their numbers, "
    "sorted: another name, layout, split or view hides nothing."
)
AROUND = 12
"""Modules of the walk that are shown at once on each side of the first difference; the others can be unfolded."""


def parity_page(found: Parity, flow: Dataflow | None, *, command: str = "") -> str:
    """The page as HTML. flow: of the reference, where it could be read."""
    return framed(
        f"{found.target} against {found.reference}",
        _lead(found),
        tiles(_figures(found)),
        _explained(found),
        _drawn(found, flow),
        _walk(found),
        section(
            "How it was compared",
            element("pre", command) if command else None,
            element("p", HOW),
        ),
        style=RULES,
    )


def flow_seen(patient: Patient) -> Dataflow | None:
    """A model's dataflow with its norms where they were found; None where it has no list of blocks."""
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), left_as_found(patient.target.module):
            warnings.simplefilter("ignore")
            norms = CHECKS["N1"].run(patient)
            checks = (Finding(id="N1", status=norms.status, message=norms.message, value=norms.value),)
            return flow_of(patient, Report(target="", called="", kind="", checks=checks))
    except Exception:
        return None


def _lead(found: Parity) -> Markup:
    if found.agree:
        return element("div", element("p", element("b", "They agree.")), class_="verdict")
    first = found.first_difference
    words = [element("p", element("b", "They differ."))]
    words += [element("p", f"First difference: {first}.")] if first is not None else []
    words += [element("p", f"{change}.") for change in found.explanation[:2]]
    return element("div", *words, class_="verdict sick")


def _figures(found: Parity) -> list[tuple[str, str, str]]:
    agreeing = sum(each.gives for each in found.walked)
    figures = [
        ("answers", "agree" if found.agree else "differ", f"over {found.tokens} tokens"),
        ("difference", f"{found.difference:.2g}", f"of the largest logit; threshold {found.threshold:.1g}"),
    ]
    if found.walked:
        figures.append(("modules", f"{agreeing} of {len(found.walked)}", "of the reference give what the target has"))
    if not found.agree:
        figures.append(("explained by", _count(found.explanation), "proved by making the change"))
    return figures


def _count(changes: Sequence[Change]) -> str:
    return "nothing" if not changes else "1 change" if len(changes) == 1 else f"{len(changes)} changes"


def _explained(found: Parity) -> Markup | None:
    if found.agree:
        return None
    title = "What explains it"
    if not found.explanation:
        why = [element("p", f"The {side} could not be read: {why}.") for side, why in found.unread.items()]
        return section(title, element("p", "None of the changes that are known makes them agree."), *why)
    rows = [
        (each.what, _said(each.target), _said(each.reference), _where(each), ", ".join(each.parameters[:3]))
        for each in found.explanation
    ]
    told = "The fewest changes that turn the reference into the target; its answers were then the target's."
    names = ("change", "target", "reference", "where", "parameters")
    return section(title, element("p", told, class_="soft"), element("div", table(names, rows), class_="wide"))


def _where(change: Change) -> str:
    layers = f"layers {', '.join(map(str, change.layers))}" if change.layers else ""
    return "; ".join(part for part in (layers, ", ".join(change.places)) if part)


def _drawn(found: Parity, flow: Dataflow | None) -> Markup | None:
    first = found.first_difference
    if flow is None or first is None:
        return None
    where = first.reference or first.seen_at
    mark = Finding(id="X1", status="FAIL", message=str(first), where=f"{where} {first.reference_class}")
    drawing = element(
        "div",
        draw_patient(flow, [mark], found.reference),
        class_="wide model",
        tabindex=0,
        role="group",
        aria_label="The reference drawn",
    )
    entry = element("li", element("span", "X1", class_="badge FAIL"), element("span", str(first)))
    return section(
        "Where they part, in the reference",
        element("div", drawing, element("div", element("ul", entry, class_="legend")), class_="patient"),
    )


def _walk(found: Parity) -> Markup | None:
    if not found.walked:
        return None
    first = found.first_difference
    place = next((n for n, each in enumerate(found.walked) if first and each.reference == first.reference), 0)
    low, high = max(0, place - AROUND), place + AROUND + 1
    told = (
        "Every module of the reference in the order they were called: whether what it is given, and what it gives, is "
        "among the target's tensors. After the first difference all that depends on it differs too."
    )
    parts = [element("p", told, class_="soft")]
    parts += [_folded(found.walked[:low], "before")] if low else []
    parts.append(_rows(found.walked[low:high], place - low))
    parts += [_folded(found.walked[high:], "after")] if high < len(found.walked) else []
    return section("Modules walked", *parts)


def _folded(walked: Sequence[Walked], words: str) -> Markup:
    return element("details", element("summary", f"{len(walked)} more {words}"), _rows(walked, -1))


def _rows(walked: Sequence[Walked], place: int) -> Markup:
    head = element(
        "tr", *(element("th", name, scope="col") for name in ("module", "class", "given", "gives", "nearest is off by"))
    )
    lines = [
        element(
            "tr",
            element("td", join(element("b", each.reference or "the model"), " ← here" if n == place else "")),
            element("td", each.reference_class),
            element("td", _badge(each.given)),
            element("td", _badge(each.gives)),
            element("td", "" if each.gives else f"{each.difference:.2g}"),
            class_="first" if n == place else None,
        )
        for n, each in enumerate(walked)
    ]
    return element(
        "div", element("table", element("thead", head), element("tbody", *lines), class_="walk"), class_="wide"
    )


def _badge(same: bool) -> Markup:
    return element("span", "same", class_="badge PASS") if same else element("span", "differs", class_="badge WARN")


def _said(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
