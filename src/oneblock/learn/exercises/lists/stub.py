"""Exercise 0: a transformer's four computations on plain lists.

Before any tensor: lists of floats, loops, and `math`. A list is one token's numbers; a list of lists is several
tokens. Nothing else is needed, and torch, numpy and statistics are not allowed here.

1. softmax(x) makes shares of scores. Each share is exp of its score over the sum of all the exponentials; together
   they are 1. exp(1000) is more than a float holds and raises OverflowError. The same number taken from every score
   changes no share: take away the largest first.

       softmax([0, ln 2, ln 3])  ->  [1/6, 2/6, 3/6]

2. attention(q, k, v): q holds queries, k keys, v values, each a list of lists; there are as many keys as values. For
   each query: its score for a key is the sum of the products, number by number, divided by the root of the query's
   length. softmax of its scores gives weights, one for each key. The output for this query is the values added up,
   each times its weight. It is as long as a value, which need not be as long as a key.

       attention([[0, 0]], [[1, 2], [3, 4]], [[2, 4, 6], [4, 8, 10]])  ->  [[3, 6, 8]]       (equal scores: the mean)

3. layer_norm(x, eps) brings one token to a standard size: take its mean away, then divide by the root of
   (variance + eps). The variance is the mean of the squares of what is left: divided by the number of features.

       layer_norm([1, 3], 0)  ->  [-1, 1]

4. residual(x, f) keeps what was there and adds what f says of it: x + f(x), number by number. f takes a list and
   gives one of the same length.

       residual([2, -1, 3], f)  ->  [6, 1, 2]       where f gives [4, 2, -1]

Two things that lists do in their own way: + joins two lists and does not add their numbers, and a list that you change
is changed for everybody who holds it. What comes in must stay as it is; give new lists.
"""

import math  # noqa: F401 - exp and sqrt
from collections.abc import Callable


def softmax(x: list[float]) -> list[float]:
    """Shares of scores, which may be as large as ±10,000."""
    raise NotImplementedError("softmax is yours to write")


def attention(q: list[list[float]], k: list[list[float]], v: list[list[float]]) -> list[list[float]]:
    """For each query a mix of the values."""
    raise NotImplementedError("attention is yours to write")


def layer_norm(x: list[float], eps: float) -> list[float]:
    """One token at a standard size; no gain and no bias."""
    raise NotImplementedError("layer_norm is yours to write")


def residual(x: list[float], f: Callable[[list[float]], list[float]]) -> list[float]:
    """x + f(x), number by number."""
    raise NotImplementedError("residual is yours to write")
