"""Exercise 15: the diffusion transformer.

A model that paints learns to take noise away. The transformer in it is one you know; three things are new: an image
comes as tokens, there is no causal mask, and every layer is told how noisy the image is, and of what it should be.

`patchify(images, patch)`: images B×C×H×W are cut into squares of patch × patch pixels, and each square's numbers, of
all channels, are laid out in a row: B×N×(patch · patch · C), N = (H/patch) · (W/patch). Squares come row by row, like
words on a page. In which order the numbers of one square stand is yours, the same for all squares. Where patch does not
divide height or width: ValueError.

    1  2 | 3  4
    5  6 | 7  8        patch 2, one channel: two tokens, such as (1 2 5 6) and (3 4 7 8)

`unpatchify(tokens, patch, height=None, width=None)` is its inverse, B×C×H×W. height and width are in pixels; without
them the image is square. A reshape alone gives the right shape and a scrambled image: cut the axes apart, bring them
into order, then join.

`modulate(x, shift, scale)` = x · (1 + scale) + shift, for x B×T×D and one shift and scale for each image, B×D, that all
of its tokens share. The 1 makes a scale of 0 leave x as it is.

`DiTBlock(width, num_heads)`, `forward(x, c)`, tokens x B×T×D and condition c B×D:

    shift1, scale1, gate1, shift2, scale2, gate2 = the six equal parts of modulation(silu(c)), in this order
    x = x + gate1 · attention(modulate(norm(x), shift1, scale1))
    x = x + gate2 · feed_forward(modulate(norm(x), shift2, scale2))

    modulation    one nn.Linear D→6·D with a bias; its weight and bias are 0 at first. So all gates are shut, a fresh
                  block gives back x exactly, and training opens it
    norm          layer norm over D, eps 1e-6, without gain and bias of its own: shift and scale do that here
    attention     exercise 4 without a mask, num_heads heads: every patch sees every other. `attention.qkv` and
                  `attention.output` if you use those names. Heads that do not divide the width: ValueError
    feed_forward  D→4·D, GELU (exact or tanh), 4·D→D
    no layer but modulation has a bias

Gates, shifts and scales are B×D and tokens B×T×D: mind the axis in between. What you return is the new x.
"""

from torch import Tensor, nn


def patchify(images: Tensor, patch: int) -> Tensor:
    """B×C×H×W → B×N×(patch·patch·C), rows first."""
    raise NotImplementedError("patchify is yours to write")


def unpatchify(tokens: Tensor, patch: int, height: int | None = None, width: int | None = None) -> Tensor:
    """B×N×(patch·patch·C) → B×C×H×W; sides in pixels, square if not given."""
    raise NotImplementedError("unpatchify is yours to write")


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x · (1 + scale) + shift; x B×T×D, shift and scale B×D."""
    raise NotImplementedError("modulate is yours to write")


class DiTBlock(nn.Module):
    """x B×T×D, c B×D → B×T×D; `modulation` is the layer that reads c."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        raise NotImplementedError("DiTBlock is yours to write")

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        raise NotImplementedError("DiTBlock.forward is yours to write")
