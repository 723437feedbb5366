"""Exercise 16: the hunt.

You have been graded fifteen times. Now you write the grader: a test that tells right attention from wrong.

    test(implementation)     raises AssertionError if the implementation is wrong, and returns if it is right

`implementation` is somebody's attention(q, k, v, mask=None) -> (output, weights), by the rules of exercise 2. Your test
is run with many of them, in no particular order. Wrong ones each have one mistake: in the scores, the softmax, the
mask, what is returned, in numbers that are very large, in a row with nothing to attend to. Right ones look different:
an einsum, another way to hide, zeros or equal weights where a query may attend to nothing. All wrong ones have to
fail, and no right one may.

A test that hunts has

    inputs that hide nothing   random numbers, and sizes that all differ: with T = S = K a transposed axis is not seen
    every rule once            with and without a mask, axes in front, masks that spread over them, scores of 10,000
    a tolerance                two right ways to compute differ by 1e-15 or so; == is too strict, 0.1 lets mistakes by
    shapes first               compare them before the numbers: subtracting spreads a wrong shape until it fits
    no way round NaN           `assert error < 1e-6` fails for NaN, `assert not error > 1e-6` does not
    freedom                    where the rules leave a choice, any choice is right

For example: assert implementation(q, k, v)[0].shape == (5, 7) for a q of 5 rows and a v of width 7.

Make your inputs torch.float64. What the implementation gives are numbers only: gradients do not pass through it. Your
own attention from exercise 2 is a good thing to compare with; so are properties (weights add up to 1, output equals
weights @ v, a hidden key's value does not matter).

You may hunt another exercise: set EXERCISE to "softmax", then implementation is softmax(x, dim), or to "causal_mask",
then it is causal_mask(num_queries, num_keys).
"""

from collections.abc import Callable
from typing import Any

EXERCISE = "attention"


def test(implementation: Callable[..., Any]) -> None:
    """AssertionError for a wrong implementation of EXERCISE; nothing for a right one."""
    raise NotImplementedError("test is yours to write")
