"""What a training shows while it runs: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_EVERY = 10.0
RECENT = 50


class Display:
    """Listens to a loop's events. `with Display(sys.stderr) as display: …(listen=display)`."""

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            expand=True,
        )
        self.task = self.progress.add_task("", total=None, words="starting", visible=self.live)
        self.started: dict[str, Any] = {}
        self.total: int | None = None
        self.stamps: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.losses: deque[float] = deque(maxlen=RECENT)
        self.rate = 0.0
        self.last_plain = float("-inf")

    def __enter__(self) -> Display:
        if self.live:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.progress.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        handler = getattr(self, f"on_{event['event']}", None)
        if handler:
            handler(event)

    def say(self, words: str, style: str | None = None) -> None:
        """A line that stays."""
        self.console.print(words, style=style, markup=False)

    def on_start(self, event: Mapping[str, Any]) -> None:
        self.started = dict(event)
        machine = event["machine"]
        where = machine.get("accelerator") or f"{machine.get('processor')}, {machine.get('threads')} threads"
        how = f"{event['precision']}{', compiled' if event['compiled'] else ''}"
        size, work = event["parameters"], event["flops_per_token"] / 1e6
        self.say(f"{event['name']}: {size:,} parameters, {work:.1f} MFLOP a token")
        self.say(f"machine: {where}; {how}; matrix peak {event['peak_flops'] / 1e12:.2f} TFLOP/s")
        self.say(f"data: {event['data']}")
        self.say(f"run: {event['run']}")
        if event["horizon"]:
            self.total = event["horizon"]["steps"]

    def on_compiling(self, event: Mapping[str, Any]) -> None:
        self.say(event["words"])

    def on_horizon(self, event: Mapping[str, Any]) -> None:
        self.total = event["steps"]
        self.say(f"{event['step_seconds'] * 1e3:.0f} ms a step, so {event['steps']:,} steps in the time given")

    def on_resume(self, event: Mapping[str, Any]) -> None:
        for reason in event["skipped"]:
            self.say(f"not whole, left out: {reason}", style="yellow")
        self.say(f"going on from step {event['from_step']}")

    def on_step(self, event: Mapping[str, Any]) -> None:
        self.stamps.append((time.perf_counter(), event["tokens"]))
        self.losses.append(event["loss"])
        words = self._words(event)
        if self.live:
            description = f"step {event['step']}"
            self.progress.update(
                self.task, completed=event["step"], total=self.total, description=description, words=words
            )
        elif time.perf_counter() - self.last_plain > PLAIN_EVERY or event["step"] == self.total:
            self.last_plain = time.perf_counter()
            self.say(f"step {event['step']}{f'/{self.total}' if self.total else ''}  {words}")

    def _words(self, event: Mapping[str, Any]) -> str:
        (then, before), (now, tokens) = self.stamps[0], self.stamps[-1]
        # After a look-up there is one stamp alone: the speed is what it was before.
        self.rate = (tokens - before) / (now - then) if tokens > before and now > then else self.rate
        words = f"loss {sum(self.losses) / len(self.losses):.3f}"
        if not self.rate:
            return words
        share = self.rate * self.started.get("flops_per_token", 0) / self.started.get("peak_flops", 1)
        words += f"  {self.rate:,.0f} tokens/s  {share:.0%} of peak"
        if self.total:
            left = (self.total - event["step"]) * self.started.get("tokens_a_step", 0) / self.rate
            words += f"  {_clock(left)} left"
        return words

    def on_evaluate(self, event: Mapping[str, Any]) -> None:
        which = "averaged" if event["averaged"] else "plain"
        mark = "  best so far, kept" if event["kept"] else ""
        self.stamps.clear()
        self.say(f"step {event['step']}  validation {event['val_loss']:.4f} ({which} weights){mark}", style="bold")

    def on_sample(self, event: Mapping[str, Any]) -> None:
        self.stamps.clear()
        lines = event["text"].strip().splitlines()[:6]
        for line in lines:
            self.say(f"    {line}", style="cyan")

    def on_skip(self, event: Mapping[str, Any]) -> None:
        self.say(f"step {event['step']} skipped: {event['reason']}", style="yellow")

    def on_rollback(self, event: Mapping[str, Any]) -> None:
        self.stamps.clear()
        self.losses.clear()
        self.say(f"back to step {event['to_step']}: {event['reason']}", style="red")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
