"""Exercise 2: attention.

Each token asks a question, its query q. Each token also carries a label, its key k, and something to give, its value v.
A query is held against every key by their dot product, the score. Softmax makes weights of the scores, and what
the query's token gets is the weighted mean of the values:

    scores  = q kᵀ / √K            K: the width of queries and keys
    weights = softmax(scores)      over the keys: one query's weights add up to 1
    output  = weights v

Why / √K: a dot product of K random numbers has a variance of K. Without the root the scores of wide heads are large,
softmax gives nearly everything to one key, and its gradient is nearly nothing.

Shapes (… are any number of axes in front, such as batch and head; the last two are what counts):

    q …×T×K    T queries            output  …×T×W
    k …×S×K    S keys               weights …×T×S
    v …×S×W    their values, whose width W may be another than K

`mask` is boolean, and lines up with the scores …×T×S as torch lines up shapes (T×S serves all batches and heads).
True: this query may attend to this key. Where it is False the score becomes −∞ *before* the softmax, whose share is
then exactly 0 and the others still add up to 1. A query that may attend to nothing has only −∞, and 0/0 is NaN, in the
output or in the gradient: give such a row zeros or equal weights (a very negative number instead of −∞ does it).

Return both output and weights. No input may be changed. You may use your own softmax or torch's.
"""

from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(output, weights); mask True = may attend."""
    raise NotImplementedError("attention is yours to write")
