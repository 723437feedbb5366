"""What a training shows: plain lines in a file, one live line in a terminal, and the numbers in them."""

import io
import re

import pytest
from rich.console import Console

from oneblock.cli import progress
from oneblock.cli.progress import Display

START = {
    "event": "start", "name": "nano", "parameters": 3_160_000, "flops_per_token": 20_000_000, "peak_flops": 1e12,
    "machine": {"processor": "Abacus 9", "threads": 2, "accelerator": None}, "precision": "bfloat16", "compiled": True,
    "data": "the file plays.txt", "run": "runs/nano-1", "horizon": {"steps": 1000}, "tokens_a_step": 4096, "step": 0,
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = lambda: clock.now  # noqa: E731
    clock.now = 5.0
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def taken(display, clock, first, last, seconds=0.5, loss=2.0):
    for step in range(first, last + 1):
        clock.now += seconds
        display({"event": "step", "step": step, "tokens": 4096 * step, "loss": loss})


def test_the_head(clock):
    display = Display(stream := io.StringIO())
    display(START)
    for words in (
        "nano: 3,160,000 parameters, 20.0 MFLOP a token",
        "Abacus 9, 2 threads; bfloat16, compiled; matrix peak 1.00 TFLOP/s",
        "data: the file plays.txt",
        "run: runs/nano-1",
    ):
        assert words in stream.getvalue()
    display(START | {"machine": START["machine"] | {"accelerator": "Comptometer"}, "compiled": False, "horizon": None})
    assert "machine: Comptometer; bfloat16;" in stream.getvalue() and display.total == 1000


def test_plain_lines_where_there_is_no_terminal(clock):
    """A line every 10 s and one at the end, without colours, bars or carriage returns."""
    with Display(stream := io.StringIO()) as display:
        display(START)
        taken(display, clock, 1, 60)
        taken(display, clock, 1000, 1000)
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("step ")]
    steps = [int(re.match(r"step (\d+)/1000  loss 2\.000", line)[1]) for line in lines]
    assert steps == [1, 22, 43, 1000]
    # 4096 tokens in half a second; × 20 MFLOP of 1 TFLOP/s; 957 steps of half a second to go.
    assert lines[2] == "step 43/1000  loss 2.000  8,192 tokens/s  16% of peak  7:58 left"
    assert lines[0] == "step 1/1000  loss 2.000", "one stamp is no speed"
    assert not re.search(r"[\x1b\r━]", stream.getvalue())


def test_the_speed_leaves_out_looking_up_and_stays_known(clock):
    display = Display(io.StringIO())
    display(START)
    taken(display, clock, 1, 9)
    clock.now += 500
    display({"event": "evaluate", "step": 9, "averaged": True, "kept": True, "val_loss": 1.5})
    taken(display, clock, 10, 10)
    assert "8,192 tokens/s" in display._words({"step": 10, "tokens": 10 * 4096, "loss": 2.0})
    taken(display, clock, 11, 13, seconds=0.25)
    assert "16,384 tokens/s" in display._words({"step": 13, "tokens": 13 * 4096, "loss": 2.0})


def test_the_loss_is_the_mean_of_the_last_fifty(clock):
    display = Display(io.StringIO())
    display(START)
    taken(display, clock, 1, 50, loss=9.0)
    taken(display, clock, 51, 75, loss=1.0)
    assert display._words({"step": 75, "tokens": 75 * 4096, "loss": 1.0}).startswith("loss 5.000")


def test_what_happens_is_told(clock):
    display = Display(stream := io.StringIO())
    display(START)
    for event, words in (
        ({"event": "evaluate", "step": 7, "averaged": True, "kept": True, "val_loss": 1.23456},
         "step 7  validation 1.2346 (averaged weights)  best so far, kept"),
        ({"event": "evaluate", "step": 8, "averaged": False, "kept": False, "val_loss": 1.3},
         "step 8  validation 1.3000 (plain weights)\n"),
        ({"event": "sample", "step": 8, "text": "\n[bold]O![/bold] that\n\n2 b\n" + "x\n" * 9}, "    [bold]O![/bold] that\n    \n    2 b"),
        ({"event": "skip", "step": 9, "reason": "the loss is nan"}, "step 9 skipped: the loss is nan"),
        ({"event": "rollback", "step": 5, "to_step": 5, "reason": "many"}, "back to step 5: many"),
        ({"event": "compiling", "step": 0, "words": "compiling: a minute"}, "compiling: a minute"),
        ({"event": "resume", "step": 5, "from_step": 5, "skipped": ["step-00000009: torn"]},
         "not whole, left out: step-00000009: torn\ngoing on from step 5"),
        ({"event": "horizon", "step": 20, "steps": 1234, "step_seconds": 0.0815}, "82 ms a step, so 1,234 steps in the time given"),
        ({"event": "an event of a later day", "step": 3}, ""),
    ):  # fmt: skip
        before = len(stream.getvalue())
        display(event)
        assert words in stream.getvalue()[before:], event
    assert display.total == 1234 and stream.getvalue().count("    x") == 3, "six lines of a sample at most"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_one_live_line_that_fits(monkeypatch, clock, width):
    monkeypatch.setenv("COLUMNS", str(width))
    with Display(stream := Terminal()) as display:
        assert display.live and display.console.width == width
        display(START | {"horizon": {"steps": 99_999}})
        taken(display, clock, 12_345, 12_350)
        page = Console(file=io.StringIO(), width=width)
        page.print(display.progress.make_tasks_table(display.progress.tasks))
        (line,) = page.file.getvalue().splitlines()
        assert line.startswith("step 12350 ━") and len(line) <= width
        assert "loss 2.000  8,192 tokens/s  16% of peak  12:10:24 left" in line
        display({"event": "evaluate", "step": 12_350, "averaged": False, "kept": True, "val_loss": 1.5})
    assert "validation 1.5000 (plain weights)  best so far, kept" in stream.getvalue()


def test_clock():
    assert [progress._clock(s) for s in (0, 0.6, 59.4, 59.6, 61, 3599.7, 3661)] == [
        "0:00", "0:01", "0:59", "1:00", "1:01", "1:00:00", "1:01:01",
    ]  # fmt: skip
