"""The checks of the diffusion transformer, in a graph."""

from oneblock.learn.exercise import Check
from oneblock.learn.exercises.dit import block, checks

CHECKS = (
    Check(
        id="patches",
        run=checks.patches,
        hints=(
            "Token n holds exactly the numbers of square n, counted row by row, in one order for all squares.",
            "Look at the axes: B, C, rows, patch, columns, patch; in which order do you join them?",
            "cut H into rows × patch and W into columns × patch; bring rows and columns to the front; join the rest",
        ),
    ),
    Check(
        id="divides",
        run=checks.divides,
        needs=("patches",),
        hints=(
            "A patch that does not divide height or width is a ValueError.",
            "Look at the beginning of patchify.",
            "if height % patch or width % patch: raise ValueError(…)",
        ),
    ),
    Check(
        id="round_trip",
        run=checks.round_trip,
        needs=("patches",),
        hints=(
            "unpatchify gives back the image, square or not.",
            "Undo patchify step by step, and look at what you do with height and width.",
            "rows = height / patch, columns = width / patch; cut the tokens apart; the same axes, in reverse",
        ),
    ),
    Check(
        id="there_again",
        run=checks.there_again,
        needs=("round_trip",),
        hints=(
            "patchify gives back the tokens too.",
            "Compare the order of axes in both.",
            "one permutation is the inverse of the other",
        ),
    ),
    Check(
        id="patch_gradient",
        run=checks.patch_gradient,
        needs=("there_again",),
        hints=(
            "The gradient goes back to the images.",
            "Look for detach, .data, item or numpy.",
            "reshape and permute alone",
        ),
    ),
    Check(
        id="modulation",
        run=checks.modulation,
        hints=(
            "x · (1 + scale) + shift, one shift and scale for each image.",
            "Look at the 1, at the order of the arguments, and at the axis of tokens.",
            "scale[:, None], shift[:, None] line up with B×T×D",
        ),
    ),
    Check(
        id="modulation_gradient",
        run=checks.modulation_gradient,
        needs=("modulation",),
        hints=(
            "Gradients reach x, shift and scale.",
            "Look for detach.",
            "torch operations on what comes in",
        ),
    ),
    Check(
        id="starts",
        run=block.starts,
        needs=("modulation",),
        hints=(
            "A fresh block gives back x, because weight and bias of modulation are 0.",
            "Look at the end of __init__, and at what a gate of 0 lets through.",
            "zero modulation.weight and modulation.bias; x + gate · contribution",
        ),
    ),
    Check(
        id="heads",
        run=block.heads,
        needs=("starts",),
        hints=(
            "Heads that do not divide the width are a ValueError.",
            "Look at the constructor of the attention.",
            "if width % num_heads: raise ValueError(…)",
        ),
    ),
    Check(
        id="inventory",
        run=block.inventory,
        needs=("starts",),
        hints=(
            "Only modulation has a bias; norms have no gain; the feed-forward is 4 · width wide.",
            "Look at how the norms and the linear layers are made.",
            "layer norms without gain and bias; bias=False everywhere but in modulation",
        ),
    ),
    Check(
        id="gates",
        run=block.gates,
        needs=("starts",),
        hints=(
            "Attention's shift, scale, gate, then the feed-forward's; a gate multiplies the contribution alone.",
            "Look at the order of the six parts, and at what the gates multiply.",
            "shift1, scale1, gate1, shift2, scale2, gate2 = six equal parts in this order; x = x + gate · contribution",
        ),
    ),
    Check(
        id="modulated",
        run=block.modulated,
        needs=("gates",),
        hints=(
            "A norm's output is scaled by 1 + scale and shifted, before attention and before the feed-forward.",
            "Look at which part is shift and which scale, and at where they act.",
            "attention(modulate(norm(x), shift1, scale1)), feed_forward(modulate(norm(x), shift2, scale2))",
        ),
    ),
    Check(
        id="norms",
        run=block.norms,
        needs=("modulated",),
        hints=(
            "Layer norm before each: the mean off, divided by √(variance + 1e-6).",
            "Look at eps, at the mean, at the variance (divided by D), and at whether both have a norm.",
            "(x − mean) / sqrt(var + 1e-6), over the last axis",
        ),
    ),
    Check(
        id="amounts",
        run=block.amounts,
        needs=("norms",),
        hints=(
            "Shift and scale act by their full amount: norm(x) · (1 + scale) + shift.",
            "Look for a clamp, a factor, or a function around shift or scale.",
            "modulate(norm(x), shift1, scale1), with the parts as chunk gives them",
        ),
    ),
    Check(
        id="first_branch",
        run=block.first_branch,
        needs=("gates",),
        hints=(
            "In attention every patch sees every other.",
            "Look for a mask.",
            "attention without a mask",
        ),
    ),
    Check(
        id="second_branch",
        run=block.second_branch,
        needs=("norms",),
        hints=(
            "feed_forward(h) = down(gelu(up(h))), token by token.",
            "Look at the function between up and down.",
            "down(gelu(up(h))), GELU exact or tanh",
        ),
    ),
    Check(
        id="attention",
        run=block.attention,
        needs=(
            "norms",
            "first_branch",
        ),
        hints=(
            "Attention as in exercise 4: rows q, k, v, heads, 1/√K, output.",
            "Compare with exercise 4.",
            "softmax(q kᵀ / √K) v in each head, heads side by side, output",
        ),
    ),
    Check(
        id="order",
        run=block.order,
        needs=("gates",),
        hints=(
            "First attention is added to x, then the feed-forward works on the sum.",
            "Look at what the second norm is given.",
            "x = x + gate1 · …(x); x = x + gate2 · …(x)",
        ),
    ),
    Check(
        id="condition",
        run=block.condition,
        needs=(
            "order",
            "modulated",
        ),
        hints=(
            "modulation works on silu(c), for each image by itself.",
            "Look at what stands between c and modulation, and at the axis of the batch.",
            "modulation(silu(c)).chunk(6, dim=-1)",
        ),
    ),
    Check(
        id="learns",
        run=block.learns,
        needs=("condition",),
        hints=(
            "A fresh block's modulation has a gradient, and once open every weight has one.",
            "Look for a layer that is not used, for detach, and for gates that can never open.",
            "all layers are used, nothing is cut off",
        ),
    ),
)
