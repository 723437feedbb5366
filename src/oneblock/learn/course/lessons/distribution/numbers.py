"""Numbers of the lesson `distribution`: gradients that add up, rings, shards, and a small all-to-all."""

from __future__ import annotations

from functools import cache
from typing import Any

INPUTS, WANTED, WEIGHT = (1.0, 2.0, 3.0, 4.0), (2.0, 3.0, 5.0, 9.0), 1.0
ALL, HALVES = (0, 1, 2, 3), ((0, 1), (2, 3))
UNEVEN = ((0,), (1, 2, 3))
RING = ((1, 2, 3), (10, 20, 30), (100, 200, 300))
PROCESSES = 4
BYTES = 16
X = (1.0, 2.0)
UP = ((1.0, 0.0, 2.0, -1.0), (0.0, 1.0, -1.0, 3.0))
DOWN = ((1.0, 0.0), (0.0, 1.0), (2.0, 1.0), (1.0, -1.0))
TOKENS = (("a1", "a2", "a3", "a4"), ("b1", "b2", "b3", "b4"))
ROUTES = ((0, 2, 3, 0), (1, 1, 3, 1))
EXPERTS_EACH = 2

# Measured, with the commands of docs/results/distribution.md: largest relative differences from one process.
MEASURED = (
    ("2", "gradients added up (DDP)", 1.4e-7, 1.2e-7),
    ("2", "parameters sharded (FSDP2)", 1.9e-7, 1.5e-7),
    ("4", "parameters sharded", 1.9e-7, 2.1e-7),
    ("4", "experts sharded", 1.9e-7, 2.2e-7),
    ("4", "both sharded", 1.9e-7, 2.2e-7),
    ("2, then 4", "both sharded, resumed", 1.1e-7, 2.3e-7),
)


# Gradients


def gradient_of(example: int) -> float:
    """The slope of (w·x − y)² / 2 at one example: (w·x − y)·x."""
    return (WEIGHT * INPUTS[example] - WANTED[example]) * INPUTS[example]


def gradient(part: Any = ALL) -> float:
    """The mean of the slopes over some examples: the gradient of their mean loss."""
    return sum(gradient_of(example) for example in part) / len(part)


def mean_of_means(parts: Any = UNEVEN) -> float:
    """What the processes get if each takes the mean of its own part and these are averaged."""
    return sum(gradient(part) for part in parts) / len(parts)


def weighted(parts: Any = UNEVEN) -> float:
    """Each process's mean weighted by its share of all examples, then added up."""
    return sum(len(part) / len(INPUTS) * gradient(part) for part in parts)


@cache
def model_gradients() -> dict[str, float]:
    """A decoder of this package on four rows at once, and on two halves whose losses are weighted and added up."""
    import torch

    from oneblock import override, presets
    from oneblock.models.build import build
    from oneblock.train.loss import cross_entropy

    config = override(presets.nano(), "width=16", "num_layers=2", "vocab_size=11", "context=8",
                      "block.attention.num_heads=2", "block.dropout=0", "embedding_dropout=0")  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(config).double()
    tokens = torch.randint(0, 11, (4, 9), generator=torch.Generator().manual_seed(1))

    def gradients(parts: list[Any]) -> Any:
        model.zero_grad()
        for part in parts:
            loss = cross_entropy(model(part[:, :-1]), part[:, 1:])
            (loss * len(part) / len(tokens)).backward()
        return torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None])

    whole = gradients([tokens])
    halves, uneven = gradients([tokens[:2], tokens[2:]]), gradients([tokens[:1], tokens[1:]])
    largest = whole.abs().max()
    return {
        "halves": float((halves - whole).abs().max() / largest),
        "uneven": float((uneven - whole).abs().max() / largest),
        "norm": float(whole.norm()),
    }


def rows_of(world: int) -> list[list[int]]:
    """The windows that each process reads of one batch of eight: where each begins. 200 tokens, windows of 4."""
    import numpy as np

    from oneblock.data.batches import sample_batch

    return [
        [
            int(row[0])
            for row in sample_batch(np.arange(200), seed=0, step=0, batch_size=8, context=4, rank=rank, world=world)[0]
        ]
        for rank in range(world)
    ]


# The ring


def ring() -> list[dict[str, Any]]:
    """Three processes and three pieces: pieces travel round and are added up, then the sums travel round."""
    count = len(RING)
    held = [list(row) for row in RING]
    rows: list[dict[str, Any]] = [{"what": "start", "held": [list(row) for row in held]}]
    for step in range(count - 1):
        before = [list(row) for row in held]
        for process in range(count):
            piece = (process - 1 - step) % count
            held[process][piece] += before[(process - 1) % count][piece]
        rows.append({"what": f"add, step {step + 1}", "held": [list(row) for row in held]})
    for step in range(count - 1):
        before = [list(row) for row in held]
        for process in range(count):
            piece = (process - step) % count
            held[process][piece] = before[(process - 1) % count][piece]
        rows.append({"what": f"pass on, step {step + 1}", "held": [list(row) for row in held]})
    return rows


def ring_share(processes: int) -> float:
    """What each process sends in a ring, as a multiple of the gradient's size: 2·(n − 1)/n."""
    return 2 * (processes - 1) / processes


# Shards


def parameters_of(name: str) -> int:
    """All that is learned in a preset."""
    from oneblock.config.presets import preset
    from oneblock.inspect.statistics import parameters

    return sum(parameters(preset(name)).values())


def block_of(name: str) -> int:
    """The parameters of one block of a preset."""
    from oneblock.config.decoder import Decoder
    from oneblock.config.presets import preset
    from oneblock.inspect.statistics import parameters

    counts, model = parameters(preset(name)), preset(name).model
    assert isinstance(model, Decoder)
    outside = counts["embedding"] + counts["position"] + counts["head"]
    return (sum(counts.values()) - outside) // model.num_layers


def gigabytes(numbers: float, each: float = BYTES) -> float:
    """Numbers of so many bytes each, in 10⁹ bytes."""
    return numbers * each / 1e9


def held(name: str, processes: int) -> dict[str, float]:
    """Gigabytes in each process for weights, gradients and two moments in float32: whole, or sharded."""
    whole = parameters_of(name)
    return {"replicated": gigabytes(whole), "sharded": gigabytes(whole / processes + block_of(name) * 4 / BYTES)}


def feed_forward(up: Any = UP, down: Any = DOWN) -> list[float]:
    """x through `up`, ReLU, `down`."""
    hidden = [max(0.0, sum(x * row[f] for x, row in zip(X, up, strict=True))) for f in range(len(up[0]))]
    return [sum(h * row[d] for h, row in zip(hidden, down, strict=True)) for d in range(len(down[0]))]


def tensor_parts() -> list[list[float]]:
    """Two processes with half of the inner features each: columns of `up` and the same rows of `down`."""
    return [feed_forward([row[first : first + 2] for row in UP], DOWN[first : first + 2]) for first in (0, 2)]


def wrong_cut() -> list[float]:
    """The same with `up` cut by rows: each process has a half of the sum, and ReLU of halves is not ReLU of the sum."""
    hidden = [max(0.0, X[row] * UP[row][f]) for row in (0, 1) for f in range(4)]
    joined = [hidden[f] + hidden[4 + f] for f in range(4)]
    return [sum(h * row[d] for h, row in zip(joined, DOWN, strict=True)) for d in range(2)]


# Experts


def sent() -> list[list[list[str]]]:
    """What each process sends to each: its tokens, by the process that holds their expert."""
    return [
        [[t for t, e in zip(tokens, routes, strict=True) if e // EXPERTS_EACH == to] for to in range(len(TOKENS))]
        for tokens, routes in zip(TOKENS, ROUTES, strict=True)
    ]


def received() -> list[list[list[str]]]:
    """What each process receives from each: the table of what was sent, turned over."""
    return [[row[to] for row in sent()] for to in range(len(TOKENS))]


def counts() -> list[list[int]]:
    """How many tokens go from each process to each."""
    return [[len(tokens) for tokens in row] for row in sent()]


def by_expert() -> list[list[str]]:
    """The tokens of each expert, in the order of the batch."""
    found: list[list[str]] = [[] for _ in range(EXPERTS_EACH * len(TOKENS))]
    for tokens, routes in zip(TOKENS, ROUTES, strict=True):
        for token, expert in zip(tokens, routes, strict=True):
            found[expert].append(token)
    return found


def words(tokens: Any) -> str:
    """Tokens in a cell of a table."""
    return " ".join(tokens) or "–"


def figure_parts() -> str:
    """Data parallel: each process takes its rows, gradients are added up, and all make the same step."""
    from oneblock.learn.course.figures import Arrow, Box, flow

    return flow(
        "Two processes of one training step",
        [
            Box(id="batch", text="batch of 8 rows", at=(1, 0), kind="end"),
            Box(id="left", text="rows 0 to 3\nforward, backward", at=(0, 1), kind="plain"),
            Box(id="right", text="rows 4 to 7\nforward, backward", at=(2, 1), kind="plain"),
            Box(id="sum", text="gradients\nadded up", at=(1, 2), kind="add"),
            Box(id="step", text="the same step in both", at=(1, 3), kind="end"),
        ],
        [
            Arrow(start="batch", to="left"),
            Arrow(start="batch", to="right"),
            Arrow(start="left", to="sum"),
            Arrow(start="right", to="sum"),
            Arrow(start="sum", to="step"),
        ],
    )
