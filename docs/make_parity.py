"""Writes docs/results/parity.md: every family against its own class. `python docs/make_parity.py` (needs transformers).

With names it measures those and prints the table instead: `python docs/make_parity.py gpt2 llama`.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "parity.md"
COLUMNS = ("float64", "hidden", "cached", "padded left", "padded right", "float32")
SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "depth"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"),
    "kv heads": ("num_key_value_heads",),
    "vocabulary": ("vocab_size",),
}
"""What a column of sizes is called in the configurations of different classes."""

INTRODUCTION = """# Parity

```sh
pip install 'oneblock[peers]'
python docs/make_parity.py
```

Each family's own class in transformers {version}, made from a small configuration with odd sizes, every parameter drawn
at random (gains, biases, tables and gates too), saved with `save_pretrained` and read by `oneblock.load`. Texts of 11
tokens, two at a time. The figures are the largest difference of any number, ours against theirs.

* **float64**: the answer (logits; vectors where there is no head). Theirs computes norms, phases and softmax in float32
  even then; in the reference those islands are computed in float64 too.
* **hidden**: the residual stream after each layer, the last one after the last norm.
* **cached**: ours with a key/value cache, a chunk and then token by token, against theirs without one.
* **padded left, right**: one of the two texts padded with 4 tokens on that side; pads themselves are left out.
* **float32**: the answer of both as they are.

A dash: it has no such form (an encoder no cache, images no pads), or its class counts the pads in front, where here
positions count from a text's first token (BART, Marian; BERT where it is given no positions). MiniMind's own class is
no part of transformers; Qwen3's has the same equations, and the folder has MiniMind's names. DiT and nanoGPT have no
class there; tests/weights holds them to their equations written out, in float64.

torch {torch}, CPU.
"""


def parity() -> Any:
    """The module with the cases and the measure, which the tests use too."""
    path = ROOT / "tests" / "weights" / "families" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sizes(fields: dict[str, Any]) -> str:
    """The sizes of a configuration in a few words."""
    found = {word: next((fields[name] for name in names if name in fields), None) for word, names in SIZES.items()}
    return ", ".join(f"{word} {value}" for word, value in found.items() if value is not None)


def line(name: str, case: dict[str, Any], found: dict[str, float]) -> str:
    """A row of the table."""
    figures = " | ".join(f"{found[column]:.0e}" if column in found else "–" for column in COLUMNS)
    return f"| {name} | `{case['config']}` | {sizes(case['fields'])} | {found['parameters']:,} | {figures} |"


def table(names: list[str]) -> list[str]:
    """The lines of the table, measured."""
    module = parity()
    lines = [f"| family | configuration | sizes | parameters | {' | '.join(COLUMNS)} |", "|---|---|---|" + "---:|" * 7]
    for name, case in module.cases().items():
        if not names or name in names:
            with tempfile.TemporaryDirectory() as folder:
                lines.append(line(name, case, module.measure(case, Path(folder))))
            print(lines[-1], flush=True)
    return lines


def main(names: list[str]) -> None:
    """Measure, and write the page where all were measured."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    lines = table(names)
    if not names:
        begin = INTRODUCTION.format(version=transformers.__version__, torch=torch.__version__.split("+")[0])
        TABLE.write_text("\n".join([begin, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
