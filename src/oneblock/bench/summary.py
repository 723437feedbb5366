"""From what was measured to what is reported: medians, shares of the machine's limits, ratios. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from oneblock.bench.job import GENERATE, OURS, Job
from oneblock.bench.measure import Entry, Measured
from oneblock.inspect.statistics import flops_per_token


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float] | None:
    """Ours over theirs, round by round: the median, with the smallest and the largest; None without both.

    Taken within a round, so that a machine that slows down for a while slows both.
    """
    each = [a / b for a, b in zip(ours, theirs, strict=False)]
    return {"median": median(each), "min": min(each), "max": max(each)} if each else None


def fastest(entries: Sequence[Entry]) -> Entry | None:
    """The entry with the highest median rate; None where none was measured."""
    timed = (entry for entry in entries if entry.rates)
    return max(timed, key=lambda entry: median(entry.rates), default=None)


def summarise(measured: Measured, rounds: int) -> dict[str, Any]:
    """The result: `oneblock bench --json`. Rates in tokens/s, `peak` in FLOP/s, `bandwidth` in bytes/s.

    share: tokens/s · FLOPs per token, of the peak (`train`); bytes/s that must be read, of the bandwidth
    (`generate`): of our fastest arm, and of each. peak and bandwidth are the best of all rounds. In `generate` a share
    is of the tokens after each text's first, which waits for the prompt to be read; later_per_second: how many a
    second. share_best: the fastest round instead of the median; share_each_round: of what was measured in that round,
    of the bandwidth just before and after each turn. ratio_default, ratio_best: our fastest arm against the
    rival as it comes, and at its best; a number, a dict by rival for several, None for none. Weights of 8 bits are
    another model, and never our fastest arm.
    """
    best = fastest([entry for entry in measured.of(OURS) if entry.arm.precision != "int8"])
    peak, bandwidth = max(measured.peaks, default=0.0), max(measured.bandwidths, default=0.0)
    rivals = list(dict.fromkeys(entry.arm.rival for entry in measured.entries if entry.arm.rival != OURS))
    against = [_rival(measured, rival, best) for rival in rivals]
    job = measured.job
    limits = measured.bandwidths if job.kind == GENERATE else measured.peaks
    limit = max(limits, default=0.0)
    return {
        "kind": job.kind,
        "preset": job.config.name,
        "tokens_per_second": median(best.rates) if best else None,
        "best_arm": best.arm.name if best else None,
        "peak": peak,
        "peak_median": median(measured.peaks) if measured.peaks else None,
        "bandwidth": bandwidth,
        "bandwidth_median": median(measured.bandwidths) if measured.bandwidths else None,
        "precision": measured.where["precision"],
        "share": _share(job, best, limit) if best else None,
        "share_best": _share(job, best, limit, max) if best else None,
        "share_each_round": _each_share(job, best) if best else [],
        "later_per_second": median(best.later) if best and best.later else None,
        "share_of": "bandwidth" if job.kind == GENERATE else "peak",
        "flops_per_token": flops_per_token(job.config),
        "batch": job.batch,
        "context": job.model.context,
        "prompt_tokens": job.prompt if job.kind == GENERATE else None,
        "new_tokens": job.new if job.kind == GENERATE else None,
        "threads": job.threads or measured.where["machine"].get("threads"),
        "arms": [_arm(entry) | {"share": _share(job, entry, limit)} for entry in measured.of(OURS)],
        "against": against,
        "ratio_default": _single({rival["name"]: rival["ratio_default"] for rival in against}),
        "ratio_best": _single({rival["name"]: rival["ratio_best"] for rival in against}),
        "rounds": rounds,
        "machine": measured.where["machine"],
        "found_wrong": best is None or any(entry.wrong for entry in measured.entries),
    }


def _share(job: Job, entry: Entry, limit: float, of: Callable[[list[float]], float] = median) -> float | None:
    if not limit or not entry.rates:
        return None
    return of(entry.later or entry.rates) * _of_a_token(job, entry) / limit


def _each_share(job: Job, entry: Entry) -> list[float]:
    """The share of what was measured at the same time: a machine that others share is another one in each round."""
    rates = entry.later or entry.rates
    if len(entry.limits) != len(rates) or not all(entry.limits):
        return []
    return [rate * _of_a_token(job, entry) / limit for rate, limit in zip(rates, entry.limits, strict=True)]


def _of_a_token(job: Job, entry: Entry) -> float:
    """Bytes that are read for a token, or its FLOPs in training."""
    if job.kind == GENERATE:
        return float(entry.facts["bytes_per_step"]) / job.batch
    return float(entry.facts["flops_per_token"])


def _rival(measured: Measured, rival: str, best: Entry | None) -> dict[str, Any]:
    entries = measured.of(rival)
    as_it_comes = next((entry for entry in entries if entry.arm.default), None)
    quickest = fastest(entries)
    ours = best.rates if best else []
    default = ratio(ours, as_it_comes.rates if as_it_comes else [])
    at_best = ratio(ours, quickest.rates if quickest else [])
    facts = next((entry.facts for entry in entries if entry.facts), {})
    return {
        "name": rival,
        "version": facts.get("version"),
        "flops_per_token": facts.get("flops_per_token"),
        "arms": [_arm(entry) for entry in entries],
        "best_arm": quickest.arm.name if quickest else None,
        "ratio_default": default["median"] if default else None,
        "ratio_default_range": [default["min"], default["max"]] if default else None,
        "ratio_best": at_best["median"] if at_best else None,
        "ratio_best_range": [at_best["min"], at_best["max"]] if at_best else None,
    }


def _arm(entry: Entry) -> dict[str, Any]:
    facts = {key: value for key, value in entry.facts.items() if key not in ("version", "flops_per_token")}
    return {
        "name": entry.arm.name,
        "default": entry.arm.default,
        "tokens_per_second": median(entry.rates) if entry.rates else None,
        "each_round": list(entry.rates),
        "left_out": entry.why,
        **facts,
    }


def _single(by_rival: dict[str, float | None]) -> float | dict[str, float | None] | None:
    if len(by_rival) > 1:
        return by_rival
    return next(iter(by_rival.values()), None)
