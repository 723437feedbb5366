"""Wrong and right ways to write the four."""

from oneblock.learn.exercise import Right, Wrong

SUM = "Shares add up to 1: divide by the sum."
SCALE = "Divide by math.sqrt(len(query)): the number of products in a score."
ROOT = "math.sqrt(variance + eps), with the eps that comes in."
NEW = "Make a new list: [a + b for a, b in zip(x, y)]."


def _wrong(name: str, says: str, dies: str, repair: str, **switches: object) -> Wrong:
    return Wrong(name=name, says=says, dies=(dies,), switches=switches, repair=repair)


WRONG = (
    _wrong("no_shift", "softmax without the largest score taken away", "large",
           "exp of a large score overflows; take the largest from every score first.", shift="none"),
    _wrong("mean_shift", "softmax with the mean taken away, not the largest", "large",
           "A score far above the mean still overflows; take the largest.", shift="mean"),
    _wrong("min_shift", "softmax with the smallest score taken away, not the largest", "large",
           "That makes every exponential larger; take the largest.", shift="min"),
    _wrong("first_shift", "softmax with the first score taken away, not the largest", "large",
           "A score far above the first overflows; take the largest.", shift="first"),
    _wrong("base_two", "softmax with powers of 2 for powers of e", "softmax", "The base is e: math.exp.", base=2.0),
    _wrong("over_mean", "the exponentials divided by their mean, not by their sum", "softmax", SUM, divide="mean"),
    _wrong("unit_length", "the exponentials divided by their length, so that their squares add up to 1", "softmax",
           SUM, divide="length"),
    _wrong("not_divided", "the exponentials, not divided by their sum", "softmax", SUM, divide="none"),
    _wrong("tuple", "a tuple for a list", "softmax", "Give a list: [ … for … ].", kind="tuple"),
    _wrong("rounded", "shares rounded to four digits", "softmax", "Round when you print, not when you compute.",
           kind="rounded"),
    _wrong("softmax_in_place", "softmax that takes the largest away from the caller's own list", "inputs",
           "x[i] -= … changes the caller's list; make a new one.", softmax_in_place=True),
    _wrong("no_scale", "attention without 1/√d", "attention", SCALE, scale="none"),
    _wrong("scale_width", "attention with its scores divided by d, not by √d", "attention", SCALE, scale="width"),
    _wrong("scale_values", "attention with its scores divided by the root of a value's length", "attention", SCALE,
           scale="values"),
    _wrong("scale_keys", "attention with its scores divided by the root of the number of keys", "attention", SCALE,
           scale="keys"),
    _wrong("scale_times", "attention with its scores multiplied by √d", "attention", SCALE, scale="times"),
    _wrong("mixes_keys", "attention that mixes the keys, not the values", "attention",
           "Keys only give scores; what is added up are the values.", mixed="keys"),
    _wrong("first_value", "attention that adds up the first value again and again", "attention",
           "Each weight goes with the value at its own place.", mixed="first"),
    _wrong("over_queries", "softmax over the queries, not over the keys", "attention",
           "One softmax for each query, over its scores for all keys.", over="queries"),
    _wrong("over_all", "one softmax over all scores of all queries", "attention",
           "One softmax for each query, over its scores for all keys.", over="all"),
    _wrong("no_softmax", "attention without a softmax", "attention", "Weights are softmax of the scores.", over="none"),
    _wrong("hard", "attention that takes the value of the largest score alone", "attention",
           "Softmax is soft: every key has a share.", over="hard"),
    _wrong("causal", "attention that sees no later keys", "attention",
           "Nothing is hidden here: every query sees every key.", causal=True),
    _wrong("own_softmax", "attention with a softmax of its own, without the largest score taken away", "sharp",
           "Call the softmax that you have written.", inline=True),
    _wrong("shared_rows", "one output row under several names: [row] * n", "attention",
           "[[0.0] * n] * m holds one row m times; make a row for each query.", output="shared"),
    _wrong("one_row", "attention of the first query alone", "attention", "Every query gets an output: loop over q.",
           output="one"),
    _wrong("both", "the output and the weights, where the output alone is asked", "attention", "Give the output alone.",
           output="both"),
    _wrong("no_centre", "layer_norm that takes no mean away", "layer_norm", "Take the mean from every number first.",
           centre=False),
    _wrong("sample", "layer_norm with the variance divided by D − 1", "layer_norm",
           "Divide the squares by the number of features.", spread="sample"),
    _wrong("sum", "layer_norm with the sum of the squares, not their mean", "layer_norm",
           "Divide the squares by the number of features.", spread="sum"),
    _wrong("absolute", "layer_norm with the mean of the absolute differences", "layer_norm",
           "Square, mean, root: in this order.", spread="absolute"),
    _wrong("no_root", "layer_norm divided by variance + eps, without the root", "layer_norm", ROOT, at="no root"),
    _wrong("eps_outside", "layer_norm with eps added after the root", "eps", ROOT, at="outside"),
    _wrong("eps_ignored", "layer_norm without eps", "eps", ROOT, at="ignored"),
    _wrong("eps_fixed", "layer_norm with an eps of its own, 1e-5", "eps", ROOT, at="fixed"),
    _wrong("eps_floor", "layer_norm with eps as the least that the variance may be", "eps", ROOT, at="at least"),
    _wrong("norm_in_place", "layer_norm that writes its answer into the caller's list", "inputs",
           "The stream still needs x: make a new list.", norm_in_place=True),
    _wrong("joined", "x and f(x) joined to one longer list", "residual", NEW, joins="joined"),
    _wrong("longer", "x += f(x), which makes the caller's list longer", "inputs", NEW, joins="longer"),
    _wrong("changed", "f(x) added into the caller's list", "inputs", NEW, joins="changed"),
    _wrong("replaces", "f(x) without x: no residual", "residual", "x stays, and f(x) is added.", joins="replaces"),
    _wrong("subtracts", "x − f(x)", "residual", "f(x) is added.", joins="subtracts"),
    _wrong("halves", "the mean of x and f(x)", "residual", "Both whole: x + f(x).", joins="halves"),
    _wrong("one_by_one", "f called for each number by itself", "residual",
           "f sees the whole token: f(x), once.", joins="one by one"),
    _wrong("twice", "x + f(f(x))", "residual", "Call f once.", calls=2),
)  # fmt: skip

RIGHT = (
    Right(name="pairwise", says="each share as 1 / Σ exp of differences", switches={"form": "pairwise"}),
    Right(name="log", says="through the logarithm of the sum", switches={"form": "log"}),
    Right(name="sums", says="output rows that start at 0 and are added to", switches={"loops": "sums"}),
    Right(name="columns", says="values by columns, with zip(*v)", switches={"output": "columns"}),
    Right(name="moments", says="the variance as mean of x² − mean²", switches={"norm_form": "moments"}),
    Right(name="power", says="times (variance + eps) to the power −1/2", switches={"norm_form": "power"}),
    Right(name="map", says="list(map(sum, zip(x, y)))", switches={"joins": "map"}),
    Right(name="own_copy", says="changes in place of a copy of one's own", switches={"joins": "own copy"}),
)
