"""Exercise 1: softmax.

A head of attention gives every token a score. Scores are any numbers; what is needed are shares: none
negative, and all of them together 1. Softmax makes shares of scores:

                      exp(x[i])
    softmax(x)[i] = --------------          the sum goes over all j along `dim`
                     sum of exp(x[j])

Three things to know before you begin:

1. Only differences count. Adding the same number to all scores multiplies numerator and denominator by the
   same factor. So you may subtract whatever you like from x first, as long as it is the same along `dim`.
2. exp(1000) is infinite in a computer, and infinite / infinite is NaN. exp of something that is at most 0 is never
   infinite. (1. says how to get there.)
3. `dim` says along which axis the shares add up to 1. Everything else about x, its shape and its dtype, stays.
   `keepdim=True` in torch's reductions leaves an axis of size 1, which then lines up with x.

    softmax(tensor([0, ln 2, ln 3]), 0)  ->  tensor([1/6, 2/6, 3/6])

Write it with exp, sum and the like. torch's own softmax and log_softmax are what you are building, so they are not
allowed here. x itself must stay as it is.
"""

from torch import Tensor


def softmax(x: Tensor, dim: int) -> Tensor:
    """Shares along `dim`: x of any shape, safe for scores as large as ±10,000."""
    raise NotImplementedError("softmax is yours to write")
