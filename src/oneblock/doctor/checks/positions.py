"""R1, R3: what positions do to scores, read off a text of one token: where only they differ, only they are seen."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.look import Seen, attentions
from oneblock.doctor.patient import Patient

TOEPLITZ = 1e-6
ROTARY = ("rotary", "rope")


def relative(patient: Patient) -> Finding:
    """R1: scores between equal tokens depend on their distance only, on nothing, or on where they stand."""
    found = _same_tokens(patient)
    if not found:
        return skip("no scores between tokens were seen")
    declared, spread = rotary(patient), max(_spread(scores) for _, scores in found)
    seen, scores = max(found, key=lambda pair: _slant(pair[1]))
    slant = _slant(scores)
    more = {"value": slant, "threshold": TOEPLITZ, "source": "scores of equal tokens at equal distances, relative"}
    if declared and spread <= TOEPLITZ:
        note = "it has rotary positions, and scores of equal tokens are the same at every distance: nothing is rotated"
        repair = "rotate queries and keys by their token's position; the angle's axis is the token's, not the head's"
        return said("FAIL", note, where=seen.place, repair=repair, **more)
    if declared and slant > 1e-4:
        note = "it has rotary positions, and scores do not depend on the distance alone"
        repair = "rotate queries and keys, both, by the same angle in the same direction"
        return said("FAIL", note, where=seen.place, repair=repair, **more)
    turned, seen = max(((_values_turned(each) or 0.0, each) for each, _ in found), key=lambda pair: pair[0])
    if (declared or slant <= TOEPLITZ) and turned > 1e-4:
        note = "equal tokens have unequal values at different places: values are rotated too"
        repair = "rotate queries and keys only, or turn the output back"
        return said("FAIL" if declared else "WARN", note, where=seen.place, repair=repair, **more)
    if "relative" in patient.expect and (slant > TOEPLITZ or spread <= TOEPLITZ):
        repair = "take the distance of query and key into the scores, nothing else of positions"
        note = "positions were declared relative, and scores do not depend on the distance alone"
        return said("FAIL", note, where=seen.place, repair=repair, **more)
    if spread <= TOEPLITZ:
        return said("INFO", "scores do not depend on positions", **more)
    if slant <= TOEPLITZ:
        return said("PASS", "positions are relative: scores depend on the distance only", **more)
    return said("INFO", "positions are absolute: scores depend on where tokens stand", **more)


def is_relative(patient: Patient) -> bool:
    """Whether scores depend on distances, and on nothing else of positions."""
    found = [scores for _, scores in _same_tokens(patient)]
    return bool(found) and all(_slant(scores) <= 1e-4 for scores in found)


def slopes(patient: Patient) -> Finding:
    """R3: ALiBi's slope of every head, as the line through the scores of equal tokens, against the paper's."""
    found = _same_tokens(patient)
    if not found:
        return skip("no scores between tokens were seen")
    seen, free = found[0]
    lines = _lines(free)
    if lines is None:
        return skip("scores do not fall in a line with the distance: no ALiBi")
    heads, wanted = len(lines), torch.tensor(of_paper(len(lines)), dtype=torch.float64)
    words = ", ".join(f"{value:.4g}" for value in lines.tolist()[:8])
    note = f"slopes of {heads} heads: {words}"
    more = {"value": words, "source": "Press et al. 2022: powers of 2^(-8/n), n the power of two below, then between"}
    repair = "bias −slope·(t − s), 2^(−8/n), 2^(−16/n), …; where heads are no power of two, the odd ones of 2n follow"
    learned = any("slope" in name.lower() for name, _ in patient.target.module.named_parameters())
    if bool((lines < -TOEPLITZ).any()) and not learned:
        return said(
            "FAIL", f"{note}: far tokens are favoured, the sign is wrong", where=seen.place, repair=repair, **more
        )
    if float((lines - wanted).abs().max()) <= 1e-4:
        return said("PASS", f"{note}, as in the paper", **more)
    if learned:
        return said("INFO", f"{note}; they are learned", **more)
    if heads > 1 and len({round(value, 6) for value in lines.tolist()}) == 1:
        return said("FAIL", f"{note}: all heads have one slope", where=seen.place, repair=repair, **more)
    above = 1 << (heads - 1).bit_length()
    first = lines.new_tensor(of_paper(above)[:heads])
    like = f" (these are the first {heads} of {above} heads')" if float((lines - first).abs().max()) <= 1e-4 else ""
    told = f"{note}{like}; the paper's are {_words(wanted)}; a model that has learnt with others needs them"
    return said("WARN", told, where=seen.place, repair=repair, **more)


def of_paper(heads: int) -> list[float]:
    """The slopes of n heads: 2^(−8i/n) for a power of two; else those of the power below, then every second of 2n."""
    below = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8.0 * (i + 1) / below) for i in range(below)]
    between = [2.0 ** (-4.0 * (2 * i + 1) / below) for i in range(heads - below)]
    return first + between


def rotary(patient: Patient) -> bool:
    """Whether a part of it is named rotary, or its configuration says so."""
    module, config = patient.target.module, getattr(patient.target.thing, "config", None)
    named = [f"{type(each).__name__} {name.rpartition('.')[2]}".lower() for name, each in module.named_modules()]
    buffers = [name.rpartition(".")[2].lower() for name, _ in module.named_buffers()]
    position = type(getattr(config, "position", None)).__name__.lower()
    if type(patient.target.thing).__module__.startswith("oneblock.models"):
        return position == "rope"
    return any(word in name for word in ROTARY for name in named) or "inv_freq" in buffers or "freqs_cis" in buffers


def _same_tokens(patient: Patient) -> list[tuple[Seen, Tensor]]:
    """Every self-attention on one token said many times, with its scores H × T × T, each row less its diagonal: what
    is the same for a whole row, no softmax sees.

    Where positions are relative the stream is then the same at every token, in all layers: equal values, weighed
    with what sums to 1.
    """
    target, model = patient.target, patient.stirred
    if target.takes != "tokens" or target.max_len < 6:
        return []
    length = min(70, target.max_len)
    seen = attentions(model, model.sample(1, 1, patient.seed).expand(1, length).contiguous())
    square = [each for each in seen if each.scores.dim() == 4 and each.scores.shape[-2:] == (length, length)]
    free = [each.scores[0].double() for each in square]
    return [(each, s - s.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)) for each, s in zip(square, free, strict=True)]


def _visible(scores: Tensor) -> Tensor:
    length = scores.shape[-1]
    shown = torch.ones(length, length, dtype=torch.bool).tril()
    return shown & torch.isfinite(scores).all(0) & (scores > -1e4).all(0)


def _spread(scores: Tensor) -> float:
    """How much scores vary at all."""
    return float(scores[:, _visible(scores)].abs().max())


def _slant(scores: Tensor) -> float:
    """How much scores vary along diagonals, as a share of how much they vary at all."""
    shown, worst = _visible(scores), 0.0
    for distance in range(scores.shape[-1]):
        line = scores.diagonal(-distance, dim1=-2, dim2=-1)[:, shown.diagonal(-distance)]
        if line.shape[-1] > 1:
            worst = max(worst, float((line - line[:, :1]).abs().max()))
    return worst / max(float(scores[:, shown].abs().max()), 1e-3)


def _lines(scores: Tensor) -> Tensor | None:
    """Minus the slope of every head's scores over the distance, if they are straight lines."""
    if _slant(scores) > TOEPLITZ:
        return None
    row = scores[:, -1].flip(-1)
    steps = row[:, 1:] - row[:, :-1]
    straight = float((steps - steps[:, :1]).abs().max()) <= 1e-6 * float(row.abs().max().clamp(min=1.0))
    found = -steps.mean(-1)
    return found if straight and float(found.abs().max()) > TOEPLITZ else None


def _values_turned(seen: Seen) -> float | None:
    """How unlike one another the values of equal tokens are."""
    if seen.v is None or seen.v.dim() != 4:
        return None
    values = seen.v[0].double()
    return float((values - values[:, :1]).abs().max() / values.abs().max().clamp(min=1e-30))


def _words(values: Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in values.tolist()[:8])
