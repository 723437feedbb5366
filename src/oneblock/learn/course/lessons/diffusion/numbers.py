"""The numbers of the lesson diffusion."""

import math

import torch

from oneblock.config import diffusion as config
from oneblock.config.dit import DiT as DiTConfig
from oneblock.config.dit import dit_block
from oneblock.config.presets_images import dit_nano
from oneblock.inspect.statistics import forward_flops_per_image, parameters
from oneblock.learn.course.figures import Arrow, Box, flow, lines
from oneblock.models.ddpm import DDPM
from oneblock.models.dit import DiT
from oneblock.nn.condition import TimeEmbedding
from oneblock.nn.patches import patchify, waves_2d

# Two images of two pixels: all there are.
IMAGES = [[1.0, -1.0], [-1.0, 1.0]]
average = [sum(column) / 2 for column in zip(*IMAGES, strict=True)]
loss_of_average = sum((a - b) ** 2 for image in IMAGES for a, b in zip(image, average, strict=True)) / 4

# One image and one noise, in all examples.
IMAGE = [1.0, -1.0]
NOISE = [0.5, 2.0]
ddpm = DDPM(config.DDPM(variance="beta"))
alpha_bar = ddpm.schedule.alpha_bar.tolist()
STEPS = (0, 249, 499, 749, 999)


def noised(step: int = 499) -> list[float]:
    """√ᾱ · image + √(1 − ᾱ) · noise"""
    keep = alpha_bar[step]
    return [math.sqrt(keep) * x + math.sqrt(1 - keep) * e for x, e in zip(IMAGE, NOISE, strict=True)]


def foreseen(step: int = 499, error: float = 0.0) -> list[float]:
    """The image again, from x_t and a guess of the noise that is off by an error."""
    keep = alpha_bar[step]
    guess = [e + error for e in NOISE]
    return [(x - math.sqrt(1 - keep) * e) / math.sqrt(keep) for x, e in zip(noised(step), guess, strict=True)]


def squared(answer: list[float], target: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(answer, target, strict=True)) / len(target)


GUESS = [0.4, 1.8]
noise_loss = squared(GUESS, NOISE)
zero_loss = squared([0.0, 0.0], NOISE)

# The straight line.
TIME = 0.25


def on_line(t: float = TIME) -> list[float]:
    """t · image + (1 − t) · noise"""
    return [t * x + (1 - t) * e for x, e in zip(IMAGE, NOISE, strict=True)]


velocity = [x - e for x, e in zip(IMAGE, NOISE, strict=True)]
backwards = [-v for v in velocity]
reached = [x + (1 - TIME) * v for x, v in zip(on_line(), velocity, strict=True)]
VELOCITY_GUESS = [0.7, -2.5]
flow_loss = squared(VELOCITY_GUESS, velocity)

# Patches.
PIXELS = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]]


def patches(patch: int = 2) -> list[list[float]]:
    """Squares in the order of reading."""
    return patchify(torch.tensor(PIXELS)[None, None], patch)[0].tolist()


def reshaped(patch: int = 2) -> list[list[float]]:
    """What a reshape alone gives: the right shape, the wrong squares."""
    return torch.tensor(PIXELS).reshape(-1, patch * patch).tolist()


def tokens(side: int, patch: int) -> int:
    return (side // patch) ** 2


places = waves_2d((2, 2), 8).tolist()
time_waves = TimeEmbedding(4, 4).waves(torch.tensor([1])).tolist()[0]

# A worked modulate.
TOKEN = [3.0, 5.0, 7.0]
SHIFT = [0.0, 0.1, 0.2]
SCALE = [1.0, 0.0, -0.5]
GATE = [0.0, 0.5, 1.0]
CONTRIBUTION = [2.0, 2.0, 2.0]


def normed(x: list[float] = TOKEN) -> list[float]:
    mean = sum(x) / len(x)
    std = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x))
    return [(value - mean) / std for value in x]


def modulate(x: list[float] = TOKEN) -> list[float]:
    """norm(x) · (1 + scale) + shift"""
    parts = zip(normed(x), SCALE, SHIFT, strict=True)
    return [value * (1 + scale) + shift for value, scale, shift in parts]


def without_one() -> list[float]:
    """The same with `scale` in place of 1 + scale."""
    return [value * scale + shift for value, scale, shift in zip(normed(), SCALE, SHIFT, strict=True)]


gated = [x + gate * c for x, gate, c in zip(TOKEN, GATE, CONTRIBUTION, strict=True)]

# A small DiT of the package, fresh.
_small = DiTConfig(
    channels=1, image_height=4, patch=2, width=8, num_layers=2, blocks=(dit_block(2),), num_classes=3,
    process=config.RectifiedFlow(),
)  # fmt: skip


def fresh() -> tuple[float, list[str]]:
    """The largest answer of a fresh model, and which parameters its first loss reaches."""
    torch.manual_seed(0)
    model = DiT(_small)
    answer = model(torch.randn(2, 1, 4, 4), torch.tensor([0.2, 0.8]), torch.tensor([0, 2]))
    (answer - torch.ones_like(answer)).square().mean().backward()
    reached = [name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)]
    return float(answer.detach().abs().max()), reached


fresh_answer, fresh_reached = fresh()

# Guidance.
WITHOUT = [1.0, 2.0]
WITH = [2.0, 1.0]


def guided(strength: float = 4.0) -> list[float]:
    """without class + s · (with class − without class)"""
    return [u + strength * (c - u) for u, c in zip(WITHOUT, WITH, strict=True)]


# Sizes.
nano = dit_nano()
nano_parameters = sum(parameters(nano).values())
assert isinstance(nano.model, DiTConfig)
nano_flops = forward_flops_per_image(nano.model)

SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}


def size(name: str) -> tuple[int, float]:
    """Parameters and multiply-adds of a DiT with patches of 2 on latents of 32 × 32 × 4, 1000 classes."""
    layers, width, heads = SIZES[name]
    model = DiTConfig(
        channels=4, image_height=32, patch=2, width=width, num_layers=layers, blocks=(dit_block(heads),),
        num_classes=1000,
    )  # fmt: skip
    return sum(parameters(model).values()), forward_flops_per_image(model) / 2


modulation_share = 6 / 18


def figure_block() -> str:
    """One branch of a DiT block. The condition gives a shift and a scale behind the norm, and a gate before the
    addition; the stream itself is not touched."""
    boxes = [
        Box(id="x", text="x", at=(0, 0), kind="end"),
        Box(id="dot", at=(0, 1), kind="dot"),
        Box(id="norm", text="norm", at=(1, 1), kind="norm"),
        Box(id="mod", text="· (1 + scale) + shift", at=(1, 2), kind="other"),
        Box(id="f", text="attention or\nfeed-forward", at=(1, 3), kind="attention"),
        Box(id="gate", text="· gate", at=(1, 4), kind="other"),
        Box(id="add", at=(0, 4), kind="add"),
        Box(id="y", text="new x", at=(0, 5), kind="end"),
        Box(id="c", text="condition c:\ntime + class", at=(2, 1), kind="end"),
        Box(id="w", text="W·SiLU(c) + b,\n0 at the start", at=(2, 2), kind="plain"),
    ]
    arrows = [
        Arrow(start="x", to="add"),
        Arrow(start="dot", to="norm"),
        Arrow(start="norm", to="mod"),
        Arrow(start="mod", to="f"),
        Arrow(start="f", to="gate"),
        Arrow(start="gate", to="add"),
        Arrow(start="add", to="y"),
        Arrow(start="c", to="w"),
        Arrow(start="w", to="mod"),
        Arrow(start="w", to="gate", bend=1),
    ]
    return flow("One branch of a DiT block", boxes, arrows)


def figure_shares() -> str:
    """How much of the image is in the mixture, by how far one has gone from image to noise. DDPM's is the root of ᾱ,
    the flow's a straight line.
    """
    way = [step / 50 for step in range(51)]
    steps = [min(999, round(999 * share)) for share in way]
    return lines(
        "The image's share of the mixture",
        {"DDPM": [math.sqrt(alpha_bar[step]) for step in steps], "flow": [1 - share for share in way]},
        x="way from image (0) to noise (1)",
        y="factor",
        xs=way,
        marks=False,
    )
