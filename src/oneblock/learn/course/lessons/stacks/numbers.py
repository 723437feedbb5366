"""The numbers of the lesson on stacks: depth, three kinds of stack, cross-attention."""

from itertools import pairwise
from math import exp, log, sqrt

from oneblock.learn.course.figures import Arrow, Box, bars, flow

POINTERS = [0, 0, 1, 2]
LAYERS, WIDTH = 8, 512
SMALL_LAYERS, SMALL_WIDTH = 4, 256
VOCABULARY = 65
QUERY = [2.0, 0.0]
KEYS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
VALUES = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
TRY_QUERY = [0.0, 2.0]
TARGET, SOURCE = 5, 3


def follow(layers: int = 2) -> list[int]:
    known = list(POINTERS)
    for _ in range(layers - 1):
        known = [known[seen] for seen in known]
    return known


def softmax(scores: list[float]) -> list[float]:
    shares = [exp(score) for score in scores]
    return [share / sum(shares) for share in shares]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cross_scores(query: list[float] = QUERY) -> list[float]:
    return [dot(query, key) / sqrt(len(query)) for key in KEYS]


def cross_weights(query: list[float] = QUERY) -> list[float]:
    """The target token's weights over the source tokens."""
    return softmax(cross_scores(query))


def cross_attention(query: list[float] = QUERY) -> list[float]:
    weights = softmax(cross_scores(query))
    columns = [list(column) for column in zip(*VALUES, strict=True)]
    return [dot(weights, column) for column in columns]


def block_weights(layers: int = LAYERS, width: int = WIDTH) -> int:
    """Matrices of that many blocks: 4·D² for attention and 8·D² for the feed-forward of each."""
    return layers * 12 * width * width


def equal_width(layers: int, to_layers: int = LAYERS, to_width: int = WIDTH) -> float:
    """The width at which so many layers have as many weights as the other stack."""
    return sqrt(block_weights(to_layers, to_width) / (12 * layers))


def decoder_block_weights(width: int = WIDTH) -> int:
    """A block of an encoder-decoder's decoder: a third sublayer with four more square matrices."""
    return 16 * width * width


def chance() -> float:
    """The loss of a model that knows nothing but how many symbols there are."""
    return log(VOCABULARY)


def figure_kinds() -> str:
    """Three stacks of the same block. What differs is who may see whom, and whether a memory is read."""
    boxes = [
        Box(id="a0", text="one vector\nper token", at=(0, 1), kind="end"),
        Box(id="a1", text="blocks\nno mask", at=(0, 2), kind="attention"),
        Box(id="a2", text="tokens", at=(0, 3), kind="end"),
        Box(id="b0", text="next token", at=(1, 1), kind="end"),
        Box(id="b1", text="blocks\ncausal mask", at=(1, 2), kind="attention"),
        Box(id="b2", text="tokens", at=(1, 3), kind="end"),
        Box(id="c0", text="memory", at=(2, 1), kind="end"),
        Box(id="c1", text="blocks\nno mask", at=(2, 2), kind="attention"),
        Box(id="c2", text="source", at=(2, 3), kind="end"),
        Box(id="d0", text="next token", at=(3, 0), kind="end"),
        Box(id="d1", text="blocks\ncausal mask", at=(3, 2), kind="attention"),
        Box(id="d2", text="cross-attention\nin each block", at=(3, 1), kind="attention"),
        Box(id="d3", text="target so far", at=(3, 3), kind="end"),
    ]
    arrows = [
        Arrow(start="a2", to="a1"), Arrow(start="a1", to="a0"),
        Arrow(start="b2", to="b1"), Arrow(start="b1", to="b0"),
        Arrow(start="c2", to="c1"), Arrow(start="c1", to="c0"),
        Arrow(start="d3", to="d1"), Arrow(start="d1", to="d2"), Arrow(start="d2", to="d0"),
        Arrow(start="c0", to="d2", dashed=True),
    ]  # fmt: skip
    told = (
        "From left to right: an encoder, blocks without a mask; a decoder, blocks with a causal mask, giving the next "
        "token; an encoder-decoder, in which the encoder's memory is read by a cross-attention in each block."
    )
    return flow("Encoder, decoder, both", boxes, arrows, told=told)


def figure_flow() -> str:
    """The whole dataflow of a decoder, from bottom to top. The stream runs from the embedding to the head."""
    boxes = [
        Box(id="logits", text="logits", at=(0, 0), kind="end"),
        Box(id="head", text="head: D → V", at=(0, 1), kind="plain"),
        Box(id="norm", text="final norm", at=(0, 2), kind="norm"),
        Box(id="last", text="block L", at=(0, 3), kind="attention"),
        Box(id="more", text="…", at=(0, 4), kind="plain"),
        Box(id="first", text="block 1", at=(0, 5), kind="attention"),
        Box(id="add", at=(0, 6), kind="add"),
        Box(id="token", text="token embedding", at=(0, 7), kind="plain"),
        Box(id="position", text="position", at=(1, 7), kind="plain"),
        Box(id="tokens", text="tokens", at=(0, 8), kind="end"),
    ]
    order = ["tokens", "token", "add", "first", "more", "last", "norm", "head", "logits"]
    arrows = [Arrow(start=a, to=b, thick=True) for a, b in pairwise(order)]
    return flow("A decoder, whole", boxes, [*arrows, Arrow(start="position", to="add")])


def figure_cross() -> str:
    """One target token's weights over three source tokens."""
    named = {f"source {index + 1}": weight for index, weight in enumerate(cross_weights())}
    return bars("What one target token reads of the source", named, y="weight", digits=3)
