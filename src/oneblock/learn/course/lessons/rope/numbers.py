"""The numbers of the lesson rope."""

import math

import torch

from oneblock.config.position import Learned, LinearScaling, NTKScaling, Rope, Sinusoidal, YarnScaling
from oneblock.learn.course.figures import lines
from oneblock.nn.cache import ContextOverflow
from oneblock.nn.context import Context
from oneblock.nn.position import alibi_slopes, stack_position
from oneblock.nn.rope import frequencies

VECTOR = [1.0, 2.0, 3.0, 4.0]
QUERY = [1.0, 0.0, 0.5, -1.0]
KEY = [0.3, 1.0, -0.2, 0.7]
BASE = 10_000.0


def turn(x=VECTOR, position=1, base=BASE) -> list[float]:
    """Neighbours (a, b) become (a·cos − b·sin, a·sin + b·cos)."""
    out = []
    for i in range(0, len(x), 2):
        angle = position * base ** (-i / len(x))
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = x[i], x[i + 1]
        out += [a * cos - b * sin, a * sin + b * cos]
    return out


def turn_half(x: list[float], position: int, base: float = BASE) -> list[float]:
    """The same with pairs (i, i + r/2): reordered, turned, put back."""
    half = len(x) // 2
    turned = turn([x[half * (j % 2) + j // 2] for j in range(len(x))], position, base)
    return turned[::2] + turned[1::2]


def dot(q: list[float], k: list[float]) -> float:
    return sum(a * b for a, b in zip(q, k, strict=True))


def score(m: int, n: int, turned=turn) -> float:
    """The turned query at m against the turned key at n."""
    return dot(turned(QUERY, m), turned(KEY, n))


PAIRS = ((3, 1), (7, 5), (102, 100), (4, 1))
mixed = dot(turn(QUERY, 3), turn_half(KEY, 1))

# Added instead of turned.
add = stack_position(Sinusoidal(), context=8, width=4, num_heads=1)


def wave(position: int, width: int = 4) -> list[float]:
    """Sines and cosines of one position, neighbours."""
    angles = [position * BASE ** (-i / width) for i in range(0, width, 2)]
    return [part for angle in angles for part in (math.sin(angle), math.cos(angle))]


def added_score(m: int, n: int) -> float:
    query = [a + b for a, b in zip(QUERY, wave(m), strict=True)]
    key = [a + b for a, b in zip(KEY, wave(n), strict=True)]
    return dot(query, key)


def terms(m: int, n: int) -> list[float]:
    """What the added score is made of: q·k, q·p_n, p_m·k, p_m·p_n."""
    return [dot(QUERY, KEY), dot(QUERY, wave(n)), dot(wave(m), KEY), dot(wave(m), wave(n))]


def beyond_table(context: int = 8) -> str:
    """What our package says to one token more than its table has rows."""
    table = stack_position(Learned(), context=context, width=4, num_heads=1)
    tokens = torch.zeros(1, context + 1, 4)
    where = Context(context + 1, tokens.device, position=table)
    try:
        table.embed(tokens, where)
    except ContextOverflow as error:
        return str(error)
    return ""


# Frequencies of a head of 128, as Llama's.
HEAD, TRAINED = 128, 2048
theta = frequencies(Rope(), HEAD)[0].tolist()
theta_llama3 = frequencies(Rope(theta=500_000.0), HEAD)[0].tolist()
SHOWN = (0, 16, 32, 48, 63)


def wavelength(i: int, thetas: list[float] = theta) -> float:
    """After how many tokens a pair has made one whole turn."""
    return 2 * math.pi / thetas[i]


def unfinished(trained: int = TRAINED) -> int:
    """Pairs that have not made one whole turn within the trained length."""
    return sum(2 * math.pi / angle > trained for angle in theta)


def alike(distance: int) -> float:
    """The score of two equal vectors, every pair of length 1, at a distance, as a share of that at 0."""
    return sum(math.cos(distance * angle) for angle in theta) / len(theta)


FACTOR = 4.0
interpolated = frequencies(Rope(scaling=LinearScaling(factor=FACTOR)), HEAD)[0].tolist()
ntk = frequencies(Rope(scaling=NTKScaling(factor=FACTOR)), HEAD)[0].tolist()
ntk_base = BASE * FACTOR ** (HEAD / (HEAD - 2))
yarn_theta, yarn_factor = frequencies(Rope(scaling=YarnScaling(factor=FACTOR)), HEAD)
yarn = yarn_theta.tolist()

# ALiBi.
slopes8 = alibi_slopes(8)
slopes12 = alibi_slopes(12)


def alibi_row(slope: float = 0.5, tokens: int = 5) -> list[float]:
    """What the last of some tokens adds to its scores."""
    return [-slope * (tokens - 1 - j) for j in range(tokens)]


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def shifted_row(slope: float = 0.5, tokens: int = 5) -> list[float]:
    """The short form: slope · j, without the query's place."""
    return [slope * j for j in range(tokens)]


def half_distance(slope: float) -> float:
    """How far back a key of the same score weighs half as much."""
    return math.log(2) / slope


# The mean context of a token, where a text is cut into pieces of L and each piece begins anew.
def mean_context(length: int) -> float:
    return (length + 1) / 2


# Perplexities on WikiText-103 after training on 512 tokens, at 512, 1012, 3512, 15512 (Press et al. 2022).
LENGTHS = (512, 1012, 3512, 15512)
PERPLEXITIES = {
    "sinusoidal": (20.05, 43.54, 178.97, 406.01),
    "RoPE": (20.07, 21.37, 35.54, 79.25),
    "ALiBi": (19.73, 18.73, 18.40, 18.31),
}


def slopes_of(heads: int) -> list[float]:
    """Our package's slopes for any number of heads."""
    return alibi_slopes(heads)


def figure_beyond() -> str:
    """Perplexity on longer texts than those of training (512 tokens), as [published](source:alibi). Sinusoids break
    at once, RoPE after some hundred tokens, ALiBi does not.
    """
    return lines("Perplexity beyond the trained length", PERPLEXITIES, x="tokens", y="perplexity", xs=LENGTHS, log=True)


def figure_slopes() -> str:
    """How much a key weighs beside the query's own, by its distance, in four of eight ALiBi heads: equal scores."""
    far = range(65)
    shown = {f"slope 1/{round(1 / slopes8[head])}": slopes8[head] for head in (0, 2, 4, 7)}
    return lines(
        "Weight by distance under ALiBi",
        {name: [math.exp(-slope * distance) for distance in far] for name, slope in shown.items()},
        x="distance in tokens",
        y="weight",
        marks=False,
    )


def figure_alike() -> str:
    """The score of two equal vectors by distance, as a share of that at distance 0: a head of 128 features under RoPE.
    It falls in waves.
    """
    far = list(range(0, 513, 2))
    return lines(
        "A score by distance under RoPE", {"": [alike(d) for d in far]}, x="distance in tokens", xs=far, marks=False
    )
