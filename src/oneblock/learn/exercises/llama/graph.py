"""The checks of the four swaps, in a graph."""

from oneblock.learn.exercise import Check
from oneblock.learn.exercises.llama import checks

CHECKS = (
    Check(
        id="half",
        run=checks.half,
        hints=(
            "Pair i is (x[i], x[i + K/2]), turned by position · base^(−2i/K), and stands where it stood.",
            "Look at the pairs, at the exponent (i = 0 … K/2 − 1), at the signs, and at the positions that are given.",
            "a, b = first half, second half; result = a cos − b sin, then b cos + a sin, side by side",
        ),
    ),
    Check(
        id="interleaved",
        run=checks.interleaved,
        needs=("half",),
        hints=(
            "Pair i is (x[2i], x[2i + 1]); what comes out is interleaved too.",
            "Look at how you take the pairs apart and how you put them together again.",
            "a, b = x[..., 0::2], x[..., 1::2]; put a cos − b sin and b cos + a sin back in turn",
        ),
    ),
    Check(
        id="rows",
        run=checks.rows,
        needs=("interleaved",),
        hints=(
            "positions B×T give each entry of x's first axis its own row, the same for all heads.",
            "Look at the axes of the angles: B×T×K/2 must line up with B×H×T×K/2.",
            "where positions have two axes, give the angles axes of size 1 between the first and T",
        ),
    ),
    Check(
        id="far",
        run=checks.far,
        needs=("rows",),
        hints=(
            "Places are any whole numbers, such as 3,000 or 131,072: there is no last one.",
            "Look for a table of fixed length, for a clamp or a remainder, and for places in half precision.",
            "angle = positions[..., None] · frequencies, of the positions that are given, in x's dtype",
        ),
    ),
    Check(
        id="distance",
        run=checks.distance,
        needs=("interleaved",),
        hints=(
            "q · k after turning depends on the distance of their places alone.",
            "Look at whether every pair is turned by its full angle, without a part that grows or shrinks.",
            "angle = position · frequency, nothing added",
        ),
    ),
    Check(
        id="rope_gradient",
        run=checks.rope_gradient,
        needs=("interleaved",),
        hints=(
            "The gradient flows back through the turning.",
            "Look for detach, .data, item or numpy.",
            "compute everything with torch operations on x",
        ),
    ),
    Check(
        id="swiglu",
        run=checks.swiglu,
        hints=(
            "down(silu(gate(x)) · up(x)), without biases.",
            "Look at which of the two has the silu, and at what joins them.",
            "g = gate(x); return down(g · sigmoid(g) · up(x))",
        ),
    ),
    Check(
        id="swiglu_gradient",
        run=checks.swiglu_gradient,
        needs=("swiglu",),
        hints=(
            "Gradients reach x and all three layers.",
            "Look for detach, or a layer that is not used.",
            "compute everything with torch operations on x",
        ),
    ),
    Check(
        id="alibi_square",
        run=checks.alibi_square,
        hints=(
            "Head h adds −slope[h] · distance; for H = 8 the slopes are 1/2, 1/4, … 1/256.",
            "Look at the sign, at the first slope, at the order of the axes H×T×S.",
            "bias[h, i, j] = −2^(−8 (h + 1) / H) · (i − j)",
        ),
    ),
    Check(
        id="alibi_more_keys",
        run=checks.alibi_more_keys,
        needs=("alibi_square",),
        hints=(
            "The last query belongs to the last key.",
            "Look at where the distance is 0 when there are more keys than queries.",
            "distance = i + num_keys − num_queries − j",
        ),
    ),
    Check(
        id="alibi_heads",
        run=checks.alibi_heads,
        needs=("alibi_square",),
        hints=(
            "For 6 heads: the four slopes for 4, then the first and third of those for 8.",
            "Look at what you do where the number of heads is no power of two.",
            "n = largest power of two ≤ H; slopes(n), then every other of slopes(2n), H − n of them",
        ),
    ),
    Check(
        id="heads_plain",
        run=checks.heads_plain,
        hints=(
            "Without groups it is the attention of exercise 4, also under a mask.",
            "Compare with exercise 4: rows of qkv, heads as an axis, division by the root of the head width.",
            "q, k, v = H, G and G heads out of qkv(x); softmax(q kᵀ / √K) v; heads side by side; output",
        ),
    ),
    Check(
        id="heads_groups",
        run=checks.heads_groups,
        needs=("heads_plain",),
        hints=(
            "Query head i reads group i // (H/G): neighbours share a group.",
            "Look at the order in which groups are repeated, and at how many rows of qkv belong to k and v.",
            "repeat each group H/G times before the next: 0, 0, 1, 1, 2, 2 for H = 6, G = 3",
        ),
    ),
    Check(
        id="heads_told",
        run=checks.heads_told,
        needs=("heads_groups",),
        hints=(
            "num_heads and num_kv_heads can be read; left out, num_kv_heads is num_heads.",
            "Look at what __init__ stores.",
            "self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads",
        ),
    ),
    Check(
        id="heads_divide",
        run=checks.heads_divide,
        needs=("heads_groups",),
        hints=(
            "ValueError where the heads do not divide the width, or the groups not the heads.",
            "Look at the constructor.",
            "if width % H or H % G: raise ValueError(…)",
        ),
    ),
    Check(
        id="heads_gradient",
        run=checks.heads_gradient,
        needs=("heads_groups",),
        hints=(
            "Gradients reach x and both layers.",
            "Look for detach.",
            "compute everything with torch operations on x",
        ),
    ),
    Check(
        id="float32",
        run=checks.float32,
        needs=("rows",),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for tables of a dtype of their own.",
            "result.to(x.dtype)",
        ),
    ),
)
