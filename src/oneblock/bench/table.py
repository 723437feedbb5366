"""The result as a person reads it: a table, the ratios, and how it was measured."""

from __future__ import annotations

from statistics import median
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any], stream: TextIO) -> None:
    """Print a result of `summarise`."""
    # Not narrower than the table where it is not a terminal.
    console = Console(file=stream, highlight=False, soft_wrap=True, width=None if stream.isatty() else 120)
    table = Table(title=f"{result['kind']} {result['preset']}, tokens/s", title_justify="left")
    table.add_column("model")
    table.add_column("how")
    table.add_column("median", justify="right")
    table.add_column("lowest – highest", justify="right")
    table.add_column("error", justify="right")
    table.add_column(f"of the {result['share_of']}", justify="right")
    for of in [result | {"name": "oneblock"}, *result["against"]]:
        for arm in of["arms"]:
            style = "bold" if arm["name"] == of["best_arm"] else None
            table.add_row(of["name"], arm["name"], *_figures(arm), style=style)
    console.print(table)
    for line in _lines(result):
        console.print(line, markup=False)


def _figures(arm: dict[str, Any]) -> tuple[str, str, str, str]:
    if arm["tokens_per_second"] is None:
        why = (arm["left_out"] or "not measured").splitlines()[0]
        return "left out", why[:60], "", ""
    rates = arm["each_round"]
    error = arm.get("gradient_error", arm.get("logit_error"))
    spread = f"{min(rates):,.0f} – {max(rates):,.0f}"
    share = arm.get("share")
    words = "" if error is None else f"{error:.1e}", "" if share is None else f"{share:.1%}"
    return f"{arm['tokens_per_second']:,.0f}", spread, *words


def _lines(result: dict[str, Any]) -> list[str]:
    lines = []
    if result["share"] is not None:
        if result["share_of"] == "peak":
            limit = f"measured {result['precision']} matrix peak of {result['peak'] / 1e12:.3g} TFLOP/s"
        else:
            limit = f"measured memory bandwidth of {result['bandwidth'] / 1e9:.3g} GB/s"
        later = result["later_per_second"]
        lines.append(
            f"oneblock, {result['best_arm']}: {result['tokens_per_second']:,.0f} tokens/s"
            f"{f' ({later:,.0f} after the first token)' if later else ''}, {result['share']:.1%} of the {limit}"
            f"{_within(result)}"
        )
    flops = [f"oneblock {result['flops_per_token'] / 1e6:.2f}"]
    for rival in result["against"]:
        for words, key in (("as it comes", "default"), ("at its best", "best")):
            ratio = rival[f"ratio_{key}"]
            if ratio is not None:
                low, high = rival[f"ratio_{key}_range"]
                lines.append(f"{ratio:.2f} × {rival['name']} {words} ({low:.2f} – {high:.2f})")
        if rival["flops_per_token"]:
            flops.append(f"{rival['name']} {rival['version']} {rival['flops_per_token'] / 1e6:.2f}")
    lines.append(f"training MFLOP a token: {', '.join(flops)}")
    lines.append(_how(result))
    machine = result["machine"]
    where = machine.get("accelerator") or f"{machine['processor']}, {result['threads']} threads"
    lines.append(f"machine: {where}, torch {machine['torch']}")
    return lines


def _within(result: dict[str, Any]) -> str:
    shares = result["share_each_round"]
    if len(shares) < 2:
        return ""
    own = "each round's own" if result["share_of"] == "peak" else "what was read beside each turn"
    return (
        f", {result['share_best']:.1%} in the fastest round; "
        f"of {own}: {median(shares):.1%} ({min(shares):.1%} – {max(shares):.1%})"
    )


def _how(result: dict[str, Any]) -> str:
    if result["kind"] == "generate":
        what = (
            f"batch {result['batch']}, {result['prompt_tokens']} tokens read, {result['new_tokens']} made, "
            "greedy (nanoGPT draws); error: the worst logits against the whole text's in float32, written out; "
            "of the bandwidth: bytes of weights and cache that a token after the first must read, at the best reading "
            "of 1 GiB by all cores in any round"
        )
    else:
        what = (
            f"batch {result['batch']} × {result['context']}, no dropout; forward, backward, clipping, "
            f"optimizer (ours {_optimizer(result)}); "
            "error: the worst gradient against the model's own eager float32 one"
        )
    return (
        f"measured: {what}. Each arm a process of its own, one at a time, {result['rounds']} rounds of all "
        "in turn, one step dropped in each turn; ratios within a round, then their median (lowest – highest)."
    )


def _optimizer(result: dict[str, Any]) -> str:
    return next((arm["optimizer"] for arm in result["arms"] if "optimizer" in arm), "none")
