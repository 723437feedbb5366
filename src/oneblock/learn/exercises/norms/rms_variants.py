"""Wrong ways to write rms_norm."""

from oneblock.learn.exercise import Wrong

ROOT = "eps stands under the root: √(… + eps), with the eps that comes in."
AXIS = "Take every mean over the last axis, dim=-1, keepdim=True."

RMS = (
    Wrong(
        name="rms_centred",
        says="rms_norm that takes the mean away",
        dies=("rms_values",),
        switches={"rms_centre": "mean"},
        repair="RMSNorm takes no mean away: that is what it leaves out of LayerNorm.",
    ),
    Wrong(
        name="rms_variance",
        says="rms_norm divided by the root of the variance about the mean",
        dies=("rms_values",),
        switches={"rms_spread": "variance"},
        repair="The mean square is that of x itself.",
    ),
    Wrong(
        name="rms_sum",
        says="rms_norm with the sum of the squares, not their mean",
        dies=("rms_values",),
        switches={"rms_spread": "sum"},
        repair="Divide by D: a token then has the length √D, not 1.",
    ),
    Wrong(
        name="rms_absolute",
        says="rms_norm with the mean of the absolute numbers",
        dies=("rms_values",),
        switches={"rms_spread": "absolute"},
        repair="Root, mean, square: √(mean of x²).",
    ),
    Wrong(
        name="rms_square_of_mean",
        says="rms_norm with the square of the mean, not the mean of the squares",
        dies=("rms_values",),
        switches={"rms_spread": "square of mean"},
        repair="Square first, then the mean.",
    ),
    Wrong(
        name="rms_no_root",
        says="rms_norm divided by the mean square + eps, without the root",
        dies=("rms_values",),
        switches={"rms_power": 1.0},
        repair=ROOT,
    ),
    Wrong(
        name="rms_eps_outside",
        says="rms_norm with eps added after the root",
        dies=("rms_eps",),
        switches={"rms_eps_at": "outside"},
        repair=ROOT,
    ),
    Wrong(
        name="rms_eps_ignored",
        says="rms_norm without eps",
        dies=("rms_eps",),
        switches={"rms_eps_at": "ignored"},
        repair=ROOT,
    ),
    Wrong(
        name="rms_eps_clamped",
        says="rms_norm with eps as the smallest mean square, not added",
        dies=("rms_eps",),
        switches={"rms_eps_at": "clamped"},
        repair=ROOT,
    ),
    Wrong(
        name="rms_over_tokens",
        says="rms_norm over the tokens, not over the features",
        dies=("rms_values",),
        switches={"rms_axis": "tokens"},
        repair=AXIS,
    ),
    Wrong(
        name="rms_over_two",
        says="rms_norm over tokens and features together",
        dies=("rms_values",),
        switches={"rms_axis": "two"},
        repair=AXIS,
    ),
    Wrong(
        name="rms_no_weight",
        says="rms_norm without its weight",
        dies=("rms_values",),
        switches={"rms_gain": "none"},
        repair="Multiply by weight; it is 1 only at first.",
    ),
    Wrong(
        name="rms_one_plus",
        says="rms_norm with 1 + weight for weight",
        dies=("rms_values",),
        switches={"rms_gain": "one plus"},
        repair="Gemma keeps weight − 1; here weight is what is multiplied by.",
    ),
    Wrong(
        name="rms_detached",
        says="rms_norm whose mean square is cut off from the gradient",
        dies=("rms_gradient",),
        switches={"rms_detached": True},
        repair="A change of x changes its mean square too: leave out detach and no_grad.",
    ),
    Wrong(
        name="rms_in_place",
        says="rms_norm that scales the caller's x",
        dies=("inputs",),
        switches={"rms_in_place": True},
        repair="x *= … changes the residual stream itself; write x * … .",
    ),
    Wrong(
        name="rms_float32",
        says="rms_norm in float32, whatever comes in",
        dies=("rms_values",),
        switches={"rms_dtype": "float32"},
        repair="What comes in as float64 goes out as float64.",
        dtype="float64",
    ),
)
