"""The drawing in characters."""

import io

import pytest
from rich.console import Console

from oneblock import override
from oneblock.config import PRESETS, EncoderDecoder, preset
from oneblock.inspect.draw import draw

NANO = """\
        tokens
           │ B × T
  ┌────────┴────────┐
  │ token embedding │
  │    65 × 256     │
  └────────┬────────┘
           │ B × T × 256
┌──────────┼── block × 4 ────────────────┐
│          │                             │
│          ├─ B × T × 256 ──┐            │
│          │      ┌─────────┴─────────┐  │
│          │      │      RMSNorm      │  │
│          │      ├───────────────────┤  │
│          │      │     attention     │  │
│          │      │   4 heads × 64    │  │
│          │      │  RoPE, θ 10,000   │  │
│          │      └─────────┬─────────┘  │
│          ⊕◄───────────────┘            │
│          │                             │
│          └─ B × T × 256 ──┐            │
│                 ┌─────────┴─────────┐  │"""


def test_a_drawing_as_it_is_seen(plain):
    lines = draw(plain).plain.splitlines()
    assert lines[:19] == NANO.splitlines()[:19]
    assert lines[-1].strip() == "logits"


def test_the_stream_is_cut_where_it_is_dropped(plain):
    lines = draw(override(plain, "block.residual=off")).plain.splitlines()
    below = lines[next(number for number, line in enumerate(lines) if "✕ dropped" in line) + 1 :]
    column = lines[1].index("│")
    assert below[0][column] == " "
    assert "⊕" not in "".join(lines)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_into_80_columns(name):
    parallel = ["block.steps=attention+feed_forward", "block.placement=peri"]
    if isinstance(preset(name).model, EncoderDecoder):
        steps = "decoder.block.steps=attention+cross_attention,feed_forward"
        parallel = [*(f"encoder.{setting}" for setting in parallel), steps]
    for settings in ([], parallel):
        assert max(map(len, draw(override(preset(name), *settings)).plain.splitlines())) <= 80


def test_all_fit_into_80_columns(models):
    for model in models:
        assert max(map(len, draw(model).plain.splitlines())) <= 80


def test_every_line_of_every_box_is_there(models):
    from oneblock.inspect.dataflow import dataflow
    from oneblock.inspect.layout import wrapped

    for model in models:
        drawing = draw(model).plain
        for box in dataflow(model).boxes():
            assert box.name in drawing and all(line in drawing for line in wrapped(box))


def test_colours_only_in_a_terminal(plain):
    for terminal in (True, False):
        out = io.StringIO()
        Console(file=out, force_terminal=terminal, _environ={"TERM": "xterm"}).print(draw(plain))
        assert ("\x1b[" in out.getvalue()) == terminal
