"""Writes docs/results/int8.md: what weights of 8 bits cost in quality. `python docs/make_int8.py TEXT [MODEL]`.

TEXT is a file, MODEL what `oneblock.load` takes or a known name (smollm2-135m).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

from oneblock.data.known_models import model_path
from oneblock.nn.int8 import to_int8
from oneblock.runs.load import load, load_tokenizer
from oneblock.train.evaluate import evaluate

TABLE = Path(__file__).resolve().parent / "results" / "int8.md"
TOKENS, CONTEXT = 16_384, 512

PAGE = """# Weights of 8 bits

```sh
python docs/make_int8.py shakespeare.txt {model}
```

`{model}` on the last {tokens:,} tokens of a text, in windows of {context} without overlap; every linear map of the
blocks and the head in integers with one scale for each row (`oneblock.nn.int8`), nothing calibrated on any data.

| weights | loss, nats a token | perplexity | against float32 |
|---|---|---|---|
{rows}
"""


def measure(text: Path, model: str) -> str:
    """The page."""
    path = model_path(model)
    tokens = load_tokenizer(path).encode(text.read_text())[-TOKENS:]
    losses = {}
    for name in ("float32", "bfloat16", "int8"):
        network = load(path).to(torch.bfloat16 if name == "bfloat16" else torch.float32)
        if name == "int8":
            to_int8(network)
        losses[name] = evaluate(network, tokens, context=CONTEXT, batch_size=4)
        print(name, losses[name], file=sys.stderr)
    rows = (
        f"| {name} | {loss:.4f} | {math.exp(loss):.3f} | {loss - losses['float32']:+.4f} |"
        for name, loss in losses.items()
    )
    return PAGE.format(model=model, tokens=len(tokens), context=CONTEXT, rows="\n".join(rows))


if __name__ == "__main__":
    TABLE.write_text(measure(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "smollm2-135m"))
