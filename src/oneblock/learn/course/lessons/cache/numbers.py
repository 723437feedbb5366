"""The numbers of the lesson on the key/value cache."""

from math import exp, sqrt

from oneblock.learn.course.figures import bars, lines

WORDS = ["The", "sky", "is", "blue"]
TOKENS = [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, 1.0]]
"""One vector a token; in this toy it is query, key and value at once."""
CANDIDATES = {"blue": [1.0, 2.0], "green": [1.0, 1.0], "loud": [2.0, -1.0]}
PROMPT, REPLY = 1000, 500
MILLISECONDS = 0.5
LAYERS, WIDTH = 8, 512
GPT2 = {"layers": 12, "groups": 12, "head": 64}
LLAMA3 = {"layers": 32, "groups": 8, "head": 128}
LLAMA3_HEADS = 32
BYTES = 2
CONTEXT, TEXTS = 8192, 32
TRY_PROMPT, TRY_REPLY = 10, 4
Vector = list[float]
Vectors = list[Vector]
Cache = list[Vector]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def attend(query: Vector, keys: Vectors, values: Vectors) -> Vector:
    scores = [dot(query, key) / sqrt(len(query)) for key in keys]
    shares = [exp(score) for score in scores]
    weights = [share / sum(shares) for share in shares]
    columns = [list(column) for column in zip(*values, strict=True)]
    return [dot(weights, column) for column in columns]


def scores(tokens: list[Vector]) -> Vector:
    """The last token's scores, over √2."""
    return [dot(tokens[-1], key) / sqrt(2) for key in tokens]


def weights(tokens: list[Vector]) -> Vector:
    """Their softmax."""
    shares = [exp(score) for score in scores(tokens)]
    return [share / sum(shares) for share in shares]


def full(tokens: list[Vector] = TOKENS) -> Vector:
    keys, values = list(tokens), list(tokens)
    return attend(tokens[-1], keys, values)


def step(token: Vector, cache: Cache) -> tuple[Vector, Cache]:
    cache = [*cache, token]
    return attend(token, cache, cache), cache


def cached(tokens: list[Vector] = TOKENS) -> Vector:
    cache: Cache = []
    for token in tokens:
        output, cache = step(token, cache)
    return output


def logits() -> dict[str, float]:
    """What the third token's output says about the next word."""
    output = full(TOKENS[:3])
    return {word: dot(output, row) for word, row in CANDIDATES.items()}


def chances() -> dict[str, float]:
    """The softmax of the logits."""
    shares = {word: exp(logit) for word, logit in logits().items()}
    return {word: share / sum(shares.values()) for word, share in shares.items()}


def without(prompt: int = PROMPT, reply: int = REPLY) -> int:
    return sum(prompt + written for written in range(reply))


def with_cache(prompt: int = PROMPT, reply: int = REPLY) -> int:
    return prompt + (reply - 1)


def seconds(passes: float) -> float:
    """On a machine that takes so many milliseconds for each token that it computes."""
    return passes * MILLISECONDS / 1000


def table() -> list[tuple[int, float, float]]:
    """The n-th token of the reply: milliseconds without a cache, and with."""
    return [(n, (PROMPT + n - 1) * MILLISECONDS, MILLISECONDS) for n in (2, 100, 500)]


def bytes_per_token(layers: int, groups: int, head: int) -> int:
    return 2 * layers * groups * head * BYTES


def gpt2_bytes() -> int:
    return bytes_per_token(**GPT2)


def llama3_bytes(groups: int = LLAMA3["groups"]) -> int:
    return bytes_per_token(LLAMA3["layers"], groups, LLAMA3["head"])


def gib(number: float) -> float:
    """Bytes in units of 2³⁰."""
    return number / 2**30


def even_length(width: int = WIDTH) -> int:
    """How many tokens must stand in the cache until attention's own work equals that of the block's matrices."""
    matrices, for_each = 2 * 12 * width * width, 4 * width
    return matrices // for_each


def figure_cost() -> str:
    """Tokens that have to be computed until so many are written, after a prompt of {{ n.PROMPT }}. Without a cache the
    curve bends upwards; with one it is nearly flat."""
    lengths = list(range(0, REPLY + 1, 50))
    return lines(
        "Tokens computed for a reply",
        {
            "without a cache": [without(PROMPT, length) for length in lengths],
            "with a cache": [with_cache(PROMPT, max(length, 1)) for length in lengths],
        },
        x="tokens of the reply",
        y="tokens computed",
        xs=lengths,
    )


def figure_bytes() -> str:
    """Kibibytes that one token takes in the cache, in 16 bits. The last has the second one's layers and heads, and each
    head with keys and values of its own."""
    return bars(
        "Bytes of the cache for one token",
        {
            "GPT-2": gpt2_bytes() / 1024,
            "Llama 3 8B, 8 groups": llama3_bytes() / 1024,
            "the same, 32 groups": llama3_bytes(LLAMA3_HEADS) / 1024,
        },
        y="KiB a token",
        digits=0,
    )
