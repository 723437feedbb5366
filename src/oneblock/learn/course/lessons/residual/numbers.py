"""The numbers of the lesson on the residual connection."""

from math import floor, log10, prod

from oneblock.learn.course.figures import belt, columns, lines

Vector = list[float]
WEAK, STRONG, DEPTH = 0.6, 1.4, 12
MIXED = [0.8, 1.1, 0.7, 1.3, 0.9, 1.2, 0.6, 1.4]
SLOPES = [0.05, 0.4, -0.4]
START, SLIPS = 4.0, [0.5, -0.2, 0.3]
TOKEN = [2.0, -1.0, 3.0]
FROM_ATTENTION = [0.4, 0.2, -0.1]
FROM_FEED_FORWARD = [-0.3, 0.5, 0.1]
REWRITE = 0.9
TRIAL, HALVES = [1.0, -2.0, 0.5], [0.2, 0.3, -0.5]


def chain(slope: float, depth: int = DEPTH) -> float:
    """One slope, multiplied with itself once for each layer."""
    return slope**depth


def partials(slopes: list[float] = MIXED) -> list[float]:
    """What is left of a gradient after one layer, after two, after three."""
    return [prod(slopes[: count + 1]) for count in range(len(slopes))]


def updates(x: float = START, slips: list[float] = SLIPS) -> list[float]:
    """The stream before the first slip, and after each."""
    seen = [x]
    for slip in slips:
        x = x + slip
        seen.append(x)
    return seen


def residual(x: Vector = TOKEN, slip: Vector = FROM_ATTENTION) -> Vector:
    return [a + b for a, b in zip(x, slip, strict=True)]


def mini_block() -> list[list[float]]:
    """The token as it comes, after attention's slip, after the feed-forward's slip."""
    middle = residual(TOKEN, FROM_ATTENTION)
    return [TOKEN, middle, residual(middle, FROM_FEED_FORWARD)]


def measured_slope(x: float = 3.0, step: float = 0.001) -> float:
    def y(x: float) -> float:
        return x + 0.05 * x

    return (y(x + step) - y(x)) / step


def routes(depth: int = DEPTH) -> int:
    """Ways through `depth` layers, each of which is walked over the bench or over the bypass."""
    return int(2**depth)


def power_of_ten(value: float) -> int:
    return floor(log10(value))


def chain_rows() -> list[tuple[float, float]]:
    """Each slope of the mixed chain, and what is left of the gradient behind it."""
    return list(zip(MIXED, partials(), strict=True))


def slope_rows() -> list[tuple[float, str]]:
    return list(zip(SLOPES, ["weak", "positive", "negative"], strict=True))


def figure_chains() -> str:
    """What is left of a gradient after each layer, on a scale of powers of ten. Only the mixed chain, by luck, and the
    weak layers with a bypass stay near one."""
    depths = range(DEPTH + 1)
    return lines(
        "A gradient on its way down twelve layers",
        {
            f"slope {WEAK}": [chain(WEAK, depth) for depth in depths],
            f"slope {STRONG}": [chain(STRONG, depth) for depth in depths],
            "mixed slopes": [1.0, *partials()],
            f"bypass, 1 + {SLOPES[0]}": [chain(1 + SLOPES[0], depth) for depth in depths],
        },
        x="layers passed",
        y="left of the gradient",
        log=True,
        marks=False,
    )


def figure_belt() -> str:
    """One sublayer. A copy is lifted off the belt and inspected, the worker writes a slip, and the slip is added. The
    parcel stays on the belt."""
    return belt("The parcel stays on the belt", stations=["sublayer"], parcel="x", after="x + f(x)", slips=["f(x)"])


def figure_updates() -> str:
    """Three slips move the stream. None of them makes it begin anew."""
    return lines("Three updates", {"": updates()}, x="slips added", y="the stream", y_range=(3.5, 5.0))


def figure_token() -> str:
    """The token as it comes in, after the first addition and after the second: each time a little changed."""
    return columns("A token in a mini-block", dict(zip(["comes in", "after 1", "after 2"], mini_block(), strict=True)))
