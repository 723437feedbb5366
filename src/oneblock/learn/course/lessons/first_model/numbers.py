"""Numbers of the lesson `first_model`: two projects, the thresholds, and what has been measured."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

TEXT = (
    "The belt carries a parcel to the first station. There a copy is lifted off, made to a standard size, and read. "
    "A worker looks at the parcels that came before and writes a slip. The slip is added to the parcel. "
    "The next station does the same with its own weights, and so do all the others. "
    "At the end the head reads the parcel and says which letter should come next. "
    "It is wrong at first, for nobody has told it anything. Each mistake is measured, "
    "and each weight is moved a little. "
    "After a thousand such steps the words look right; after ten thousand the lines do. "
)
LAYERS, WIDTH, VOCABULARY, CONTEXT = 4, 256, 65, 256
DEEP_LAYERS, DEEP_WIDTH = 8, 512
LEAST_STEPS, LAST, BELOW = 20, 5, 0.7
AIM = 2.5
LN_65 = math.log(VOCABULARY)
TEMPERATURE = 0.8
CLAIMED = 2.4
OTHERS = (1.52, 1.88)
EXAMPLE = (4.1, 3.9, 3.6, 3.5, 3.4, 3.3, 3.2, 3.1, 3.0, 2.9, 2.9, 2.8, 2.8, 2.7, 2.7, 2.6, 2.6, 2.6, 2.5, 2.5)

# Measured, with the commands of docs/results/quality.md.
MEASURED = (1.4299, 1.4209, 1.4439)
MEASURED_TRAINING = (1.095, 1.085, 1.093)
MEASURED_TOKENS, MEASURED_SECONDS, MEASURED_STEPS = 15.2e6, 1746, 3700
SHORT, SHORT_SECONDS = 1.4238, 352
MEMORISED_TRAINING, MEMORISED_STEP = 2.468, 4000
WITHOUT = ((800, 1.580), (1600, 1.502), (2400, 1.468), (2800, 1.483), (3200, 1.512), (3600, 1.558), (4000, 1.594))
LOWEST = min(loss for _, loss in WITHOUT)
BEST_OF_OTHERS = 1.46


def perplexity(loss: float) -> float:
    """The number of equally likely tokens that are as hard to guess."""
    return math.exp(loss)


def bits(loss: float) -> float:
    """A loss in nats, in bits."""
    return loss / math.log(2)


def ladder() -> dict[str, float]:
    """What a model of TEXT would reach that knows only this much: even chances, letters, pairs. In nats a character."""
    letters = Counter(TEXT)
    pairs = Counter(pairwise(TEXT))
    alone = -sum(count / len(TEXT) * math.log(count / len(TEXT)) for count in letters.values())
    before = Counter(TEXT[:-1])
    after = -sum(count * math.log(count / before[first]) for (first, _), count in pairs.items()) / (len(TEXT) - 1)
    return {"even chances": math.log(len(letters)), "letters": alone, "pairs": after}


def characters() -> int:
    """Different characters of TEXT."""
    return len(set(TEXT))


# Project one


def block_parameters(width: int) -> int:
    """Matrices of one block: 4 of width × width in attention, 2 of width × 4 width in the feed-forward."""
    return 4 * width * width + 2 * width * 4 * width


def deep_parameters() -> int:
    """Eight blocks of width 512, matrices only."""
    return DEEP_LAYERS * block_parameters(DEEP_WIDTH)


def deep_shapes() -> list[list[int]]:
    """The stream's shape: as it enters, and after each block."""
    import torch

    from oneblock import build, inspect, presets

    with torch.random.fork_rng(devices=[]):
        model = build(presets.decoder_8x512())
    tokens = torch.arange(10).view(2, 5)
    seen = inspect.capture(model, tokens)
    blocks = [f"blocks.{layer}" for layer in range(DEEP_LAYERS)]
    return [list(seen[name].shape) for name in ("embedding", *blocks)]


def preset_parameters(name: str) -> int:
    """All that is learned in a preset."""
    from oneblock.config.presets import preset
    from oneblock.inspect.statistics import parameters

    return sum(parameters(preset(name)).values())


# Project two


def nano_parameters() -> dict[str, int]:
    """The preset `nano`, counted by hand: matrices of the blocks, table of characters, gains of the norms."""
    return {
        "blocks": LAYERS * block_parameters(WIDTH),
        "table": VOCABULARY * WIDTH,
        "gains": (2 * LAYERS + 1) * WIDTH,
    }


def nano_total() -> int:
    """Their sum."""
    return sum(nano_parameters().values())


def flops() -> int:
    """What one token of training costs `nano`, in floating-point operations."""
    from oneblock.config.presets import preset
    from oneblock.inspect.statistics import flops_per_token

    return flops_per_token(preset("nano"))


def epochs() -> float:
    """How often a run of 3,700 steps reads each character of the training split."""
    return MEASURED_TOKENS / (0.9 * 1_115_394)


def loss_of_aim() -> float:
    """The loss at which the perplexity is 2.5."""
    return math.log(AIM)


def best() -> float:
    """The lowest loss on held-out text among our measured runs."""
    return min(*MEASURED, SHORT)


def middle() -> float:
    """The median of the three seeds."""
    return sorted(MEASURED)[1]


def figure_memorised() -> str:
    """Validation loss without dropout, decay and average. It turns upward while the training loss still falls."""
    from oneblock.learn.course.figures import lines

    return lines(
        "Validation loss without regularisation",
        {"validation": [loss for _, loss in WITHOUT]},
        xs=[step for step, _ in WITHOUT],
        x="step",
        y="nats a character",
    )


# The thresholds


def ratio(losses: Any = EXAMPLE) -> float:
    """The mean of the last five over the mean of the first five."""
    return (sum(losses[-LAST:]) / LAST) / (sum(losses[:LAST]) / LAST)


def passes(losses: Any = EXAMPLE, sample: str = "a") -> bool:
    """The three thresholds of the tiny GPT."""
    return len(losses) >= LEAST_STEPS and ratio(losses) < BELOW and len(sample) > 0


@cache
def lab() -> dict[str, Any]:
    """The lab's first three stations, asked of this package's own parts."""
    import torch

    from oneblock import override, presets
    from oneblock.inspect.capture import capture
    from oneblock.models.build import build

    config = override(presets.nano(), "width=16", "num_layers=1", "block.attention.num_heads=2", "context=8",
                      "block.dropout=0", "embedding_dropout=0")  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(config)
    tokens = torch.randint(0, VOCABULARY, (2, 8), generator=torch.Generator().manual_seed(0))
    seen = capture(model, tokens)
    weights = seen["blocks.0.attention.weights"]
    model(tokens).square().mean().backward()
    slope = next(model.parameters()).grad
    assert slope is not None
    return {
        "output": list(seen["blocks.0.attention"].shape),
        "above": float(torch.triu(weights, 1).abs().max()),
        "rows": float((weights.sum(-1) - 1).abs().max()),
        "heads": weights.shape[1],
        "block": list(seen["blocks.0"].shape),
        "slope": float(slope.abs().sum()) > 0,
    }


STEPS, EVERY, BATCH, LENGTH = 100, 4, 8, 32


@cache
def tiny() -> dict[str, Any]:
    """A model of two layers, width 32, trained on TEXT; the losses of every fourth step, and what it writes."""
    import numpy as np
    import torch

    from oneblock import override, presets
    from oneblock.config.recipe import Cosine
    from oneblock.data.batches import sample_batch
    from oneblock.data.tokenizer import CharTokenizer
    from oneblock.decoding.generate import generate
    from oneblock.models.build import build
    from oneblock.train.clip import clip_gradients
    from oneblock.train.loss import cross_entropy
    from oneblock.train.schedule import factor

    tokenizer = CharTokenizer(TEXT)
    tokens = np.asarray(tokenizer.encode(TEXT))
    config = override(presets.nano(), "width=32", "num_layers=2", "context=64", f"vocab_size={tokenizer.vocab_size}",
                      "block.attention.num_heads=2", "block.dropout=0", "embedding_dropout=0")  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.99))
    schedule = Cosine(warmup=10)
    losses = []
    for step in range(STEPS):
        inputs, targets = sample_batch(tokens, seed=0, step=step, batch_size=BATCH, context=LENGTH)
        loss = cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = 1e-2 * factor(schedule, step, STEPS)
        optimizer.step()
        if step % EVERY == 0:
            losses.append(float(loss.detach()))
    start = torch.from_numpy(tokenizer.encode("The ")).unsqueeze(0)
    written = generate(model.eval(), start, max_new_tokens=50, temperature=TEMPERATURE, seed=0)
    return {"losses": losses, "sample": tokenizer.decode(written[0].tolist()), "vocabulary": tokenizer.vocab_size}


def figure_tiny() -> str:
    """The loss of the small run on this page, and the level of even chances at which it begins."""
    from oneblock.learn.course.figures import lines

    losses = tiny()["losses"]
    return lines(
        "Loss of a model of two layers on one paragraph",
        {"loss": losses},
        xs=list(range(0, STEPS, EVERY)),
        x="step",
        y="nats a character",
        rule=(math.log(tiny()["vocabulary"]), "even chances"),
        marks=False,
    )
