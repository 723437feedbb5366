"""softmax, right: the largest score is subtracted first, which changes no share and keeps every exponential below 1."""

from torch import Tensor


def softmax(x: Tensor, dim: int) -> Tensor:
    shifted = x - x.amax(dim=dim, keepdim=True)
    exponentials = shifted.exp()
    return exponentials / exponentials.sum(dim=dim, keepdim=True)
