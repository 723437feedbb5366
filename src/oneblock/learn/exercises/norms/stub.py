"""Exercise 5: the two norms.

Every layer of a transformer adds to what a token carries, and the numbers drift: they grow, they shrink, or all of
them move to one side. A norm brings a token back to a standard size before the next layer reads it. LayerNorm does it
in three moves, RMSNorm leaves the first and the last out:

    mean     = (x[1] + … + x[D]) / D
    variance = ((x[1] − mean)² + … + (x[D] − mean)²) / D         D, not D − 1

                                 x − mean
    layer_norm(x) = weight · --------------------- + bias
                              √(variance + eps)

                                  x
    rms_norm(x)   = weight · ---------------------    where mean square = (x[1]² + … + x[D]²) / D
                              √(mean square + eps)

RMSNorm takes no mean away and has no bias: it only sets the length. That is cheaper and works as well in practice, so
Llama and most models after it have it.

Shapes: x is …×D with any number of axes in front (none, batch, batch and time). weight and bias have D numbers, one
for each feature. The answer has the shape and the dtype of x.

    layer_norm(tensor([1., 3.]), tensor([2., 3.]), tensor([10., 20.]), 0.0)   ->  tensor([ 8., 23.])
    rms_norm(tensor([1., 7.]), tensor([5., 10.]), 0.0)                        ->  tensor([ 1., 14.])

What goes wrong most often:

1. The axis. A token is normalised over its own D features and knows nothing of other tokens or of the batch.
   `keepdim=True` leaves an axis of size 1, so that mean and variance line up with x.
2. eps. It stands under the root, added to the variance. √variance + eps is another number, and where a token's
   numbers are nearly equal it is a very different one. eps comes as an argument: use that one.
3. D − 1. torch's `var` and `std` divide by D − 1 if you say nothing; `correction=0` makes them divide by D.
4. x belongs to the caller, who adds your answer to it: make new tensors, change none. Gradients flow through mean and
   variance too, and are finite also where all numbers of a token are equal.

torch's own norms are what you are building, so they are not allowed here; mean, var, sqrt and the like are.
"""

from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x …×D, weight and bias D: mean 0 and variance 1 over the last axis, then weight and bias."""
    raise NotImplementedError("layer_norm is yours to write")


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x …×D, weight D: mean square 1 over the last axis, then weight."""
    raise NotImplementedError("rms_norm is yours to write")
