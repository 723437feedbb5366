"""The numbers of the lesson on the causal mask."""

from math import exp, inf, log

from oneblock.learn.course.figures import heat

WORDS = ["The", "sky", "is", "blue"]
SCORES = [2.0, 1.0, 3.0, 0.0]
ROW, MOVED = 1, 5.0
CLOSED, LOW, HIGH = -10.0, 2.0, 15.0
VOCABULARY, FOLLOWERS = 4, 2
TRY = [0.0, 1.0, 2.0, 3.0]
CHUNK, KEYS = 2, 6
Table = list[list[int]]


def softmax(scores: list[float]) -> list[float]:
    shares = [exp(score) for score in scores]
    return [share / sum(shares) for share in shares]


def causal(queries: int = 4, keys: int = 4, ahead: int = 0) -> Table:
    offset = keys - queries + ahead
    lasts = [query + offset for query in range(queries)]
    return [[int(key <= last) for key in range(keys)] for last in lasts]


def masked(scores: list[float] = SCORES, row: int = ROW) -> list[float]:
    """Closed before the softmax: −∞ in place of a score."""
    seen = scores[: row + 1]
    return softmax(seen + [-inf] * (len(scores) - len(seen)))


def zeroed(scores: list[float] = SCORES, row: int = ROW) -> list[float]:
    """Closed behind the softmax: zero in place of a weight."""
    seen = softmax(scores)[: row + 1]
    return seen + [0.0] * (len(scores) - len(seen))


def moved() -> list[float]:
    """The scores after a later token has changed: the third is another."""
    return [*SCORES[:2], MOVED, SCORES[3]]


def even(ahead: int) -> list[list[float]]:
    """Weights where all scores are equal, under a mask that opens so many columns too many."""
    return [[open_ / sum(row) for open_ in row] for row in causal(ahead=ahead)]


def future(ahead: int) -> list[float]:
    """Of each row the weight that goes to later tokens."""
    return [sum(row[query + 1 :]) for query, row in enumerate(even(ahead))]


def leaks() -> list[tuple[str, int]]:
    return [("correct", 0), ("off by one", 1), ("none", 3)]


def honest_loss() -> float:
    """The best loss on a text where each symbol is followed by one of two, equally often."""
    return log(FOLLOWERS)


def copied_loss() -> float:
    """The loss of a model that reads the next symbol and repeats it."""
    return -log(1.0)


def lost_loss() -> float:
    """What the copier's loss is where there is nothing to copy: even chances over all symbols."""
    return log(VOCABULARY)


def too_weak(score: float) -> float:
    """Masked by adding −10: the share of a closed score against an open one of 0."""
    return exp(score + CLOSED)


def heat_of(title: str, ahead: int) -> str:
    rows = [[weight if weight else None for weight in row] for row in even(ahead)]
    leak = [(query, key) for query in range(4) for key in range(query + 1, 4) if rows[query][key] is not None]
    return heat(title, rows, sides=WORDS, heads=WORDS, x="key", y="query", mark=leak)


def figure_mask() -> str:
    """The causal mask of four tokens. Rows ask, columns answer. Crossed cells are closed."""
    rows = [["open" if open_ else None for open_ in row] for row in causal()]
    return heat("The 4×4 causal mask", rows, sides=WORDS, heads=WORDS, x="key", y="query")


def figure_correct() -> str:
    """Correct: with equal scores each token spreads its weight over itself and what came before."""
    return heat_of("Correct mask", 0)


def figure_off_by_one() -> str:
    """Off by one: each token also sees the next. The framed cells are the answers that it is asked for."""
    return heat_of("Off by one", 1)


def figure_none() -> str:
    """No mask: each token sees all. Only the last row is as it should be."""
    return heat_of("No mask", 3)
