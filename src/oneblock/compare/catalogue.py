"""Every measure and every figure by name: what it says, its unit, and the probe that gives it. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something a cell gives for each run. `loss`: a run that diverged counts as having learned nothing.

    by: the file in `measures/` that gives it, run only where an experiment asks; "" is measured in any case.
    less: two measures of which it is the first less the second, made of what is kept of a run
    """

    unit: str
    words: str
    loss: bool = False
    by: str = ""
    less: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Numbers over something, for each run: `x` in a word or two, and what the numbers are.

    by: the probe that gives them; "" is made of what every cell has
    """

    x: str
    words: str
    by: str = ""
    log: bool = False


NATS = "nats per token"
MEASURES = {
    "val_loss": Measure(unit=NATS, words="loss on the whole validation split", loss=True),
    "train_loss": Measure(unit=NATS, words="mean training loss of the last tenth of the steps", loss=True),
    "told": Measure(unit="share", words="target tokens told right, the beginning of the target given"),
    "far_loss": Measure(
        unit=NATS, words="loss of the last tokens of texts four times the trained length", loss=True, by="far"
    ),
    "near_loss": Measure(
        unit=NATS,
        words="loss of those same tokens inside the trained length",
        loss=True,
        by="far",
        less=("far_loss", "stretch"),
    ),
    "stretch": Measure(
        unit=NATS, words="loss far beyond the trained length, less that of the same tokens inside it", by="far"
    ),
    "naive_stretch": Measure(
        unit=NATS,
        words="mean loss in windows four times the trained length, less that in windows of it: early tokens decide too",
        by="reach",
    ),
    "naive_change": Measure(
        unit=NATS,
        words="loss in texts four times the trained length, less that of the same tokens in such windows side by side",
        by="sliding",
    ),
    "fixed_change": Measure(
        unit=NATS,
        words="loss in such texts, less that of the same tokens in windows that slide: each has 7/8 of one before it",
        by="sliding",
    ),
    "early_cost": Measure(
        unit=NATS,
        words="loss in windows side by side, less that in windows that slide: what standing early costs a token",
        by="sliding",
    ),
    "grad_norm": Measure(unit="", words="largest gradient norm after the first tenth of the steps"),
    "growth": Measure(unit="ln", words="ln of how much larger the stream leaves the blocks than it enters them"),
    "flips": Measure(unit="share", words="share of layers that turn the stream's sign"),
    "gradient": Measure(unit="ln", words="ln of how much larger a gradient comes out below the blocks than it entered"),
    "token_mean": Measure(unit="", words="how far from 0 the mean of a token's features leaves the blocks", by="drift"),
    "deviation": Measure(
        unit="ln", words="ln of the deviation of a token's features from their mean, after the blocks", by="drift"
    ),
    "gradient_spread": Measure(
        unit="ln",
        words="ln of the loss's largest gradient on the stream over its smallest, over the layers",
        by="layers",
    ),
    "peak": Measure(unit="log10", words="log10 of the largest number in the stream; float16 ends at 4.8", by="layers"),
    "start_spread": Measure(
        unit="ln", words="ln of the largest gradient on the stream over its smallest, before training", by="start"
    ),
    "bf16_loss": Measure(
        unit="log10",
        words="log10 of what bfloat16 would round off the stream, as a share of what a block adds, at the worst layer",
        by="rounding",
    ),
    "fp16_over": Measure(unit="share", words="runs whose stream passes 65504, float16's largest number", by="rounding"),
    "spikes": Measure(
        unit="per 1000 steps", words="gradients of more than four times the median of the 50 steps before", by="spikes"
    ),
    "last_gradient": Measure(
        unit="ln", words="ln of the norm of the loss's gradient on the last block's weights", by="layers"
    ),
    "probe_last": Measure(
        unit="share", words="input tokens that a linear probe tells from the stream after the last block", by="probe"
    ),
    "probe_first": Measure(unit="share", words="the same after the first block", by="probe"),
    "score_variance": Measure(unit="ln", words="ln of the variance of the attention scores", by="attention"),
    "softmax_slope": Measure(
        unit="share", words="slope of the softmax, 1 − Σp², as a share of that of even weights", by="attention"
    ),
    "leak": Measure(
        unit="log10",
        words="log10 of the largest change of a logit when a later token is changed (−16: none)",
        by="leak",
    ),
    "blocked_gradient": Measure(
        unit="log10", words="log10 of the share of the scores' gradient at blocked places (−16: none)", by="leak"
    ),
    "leak_gap": Measure(
        unit=NATS, words="loss given only what stands before, as in generation, less the teacher-forced one", by="leak"
    ),
    "cache_error": Measure(
        unit="log10", words="log10 of the largest difference of logits, cached and not, in float64", by="latency"
    ),
    "uncached_growth": Measure(
        unit="ln", words="ln of how much longer a token takes at the full length than at an eighth of it", by="latency"
    ),
    "cached_growth": Measure(
        unit="ln",
        words="ln of how much longer a token with a cache takes at the full length than at an eighth of it",
        by="latency",
    ),
    "cache_gain": Measure(
        unit="ln", words="ln of how much longer a token takes without a cache, at the full length", by="latency"
    ),
    "one_pass_gain": Measure(
        unit="ln",
        words="ln of how much longer all tokens take one by one with a cache than in one pass, as in training",
        by="latency",
    ),
    "cached_training_gain": Measure(
        unit="ln",
        words="ln of how much longer forward and backward take token by token with a cache than in one pass",
        by="cached_training",
    ),
    "imbalance": Measure(unit="×", words="the fullest expert's share of the tokens, times their number", by="experts"),
    "dropped": Measure(unit="share", words="choices that found no place in training", by="experts"),
    "moved": Measure(
        unit="share", words="tokens that bfloat16 would send to another expert than float32", by="precision"
    ),
    "norm_gain": Measure(
        unit="ln", words="ln of how much longer LayerNorm takes alone, forward and backward, by its kernel", by="norms"
    ),
    "written_norm_gain": Measure(
        unit="ln", words="ln of how much longer LayerNorm takes, both norms written out by operations", by="norms"
    ),
    "norm_step_gain": Measure(
        unit="ln", words="ln of how much longer a step of training takes with LayerNorm", by="norms"
    ),
    "projection_gain": Measure(
        unit="ln", words="ln of how much longer three projections take than a fused one, forward", by="projections"
    ),
    "projection_training_gain": Measure(
        unit="ln", words="ln of how much longer three projections take, forward and backward", by="projections"
    ),
    "projection_token_gain": Measure(
        unit="ln", words="ln of how much longer three projections take for a single token", by="projections"
    ),
    "projection_step_gain": Measure(
        unit="ln", words="ln of how much longer a step of training takes with three projections", by="projections"
    ),
    "cache_bytes": Measure(unit="bytes per token", words="keys and values kept for a token, 16 bit"),
    "step_seconds": Measure(unit="s", words="median seconds of a step, on a machine that may have been busy"),
}
CURVES = {
    "gradient by layer": Curve(x="layer", words="norm of the loss's gradient on the stream", by="layers", log=True),
    "weights' gradient by layer": Curve(
        x="layer", words="norm of the gradient of a block's weights", by="layers", log=True
    ),
    "gradient norm by step": Curve(x="step", words="norm of the gradient before clipping", by="spikes", log=True),
    "stream by layer": Curve(x="layer", words="root mean square of the stream", by="layers", log=True),
    "stream at the start by layer": Curve(x="layer", words="root mean square of the stream", by="start", log=True),
    "gradient at the start by layer": Curve(
        x="layer", words="norm of the loss's gradient on the stream", by="start", log=True
    ),
    "mean by layer": Curve(x="layer", words="mean of a token's features, root mean square over tokens", by="drift"),
    "deviation by layer": Curve(
        x="layer", words="deviation of a token's features from their mean", by="drift", log=True
    ),
    "rounding by layer": Curve(
        x="layer", words="bfloat16's rounding over what the block adds", by="rounding", log=True
    ),
    "probe by layer": Curve(x="layer", words="share of input tokens that a linear probe tells", by="probe"),
    "score variance by layer": Curve(x="layer", words="variance of the attention scores", by="attention", log=True),
    "slope by layer": Curve(x="layer", words="slope of the softmax, a share of that of even weights", by="attention"),
    "loss by position": Curve(x="position", words="loss, nats per token", by="reach"),
    "cached latency": Curve(x="length", words="ms for a token, with a cache", by="latency", log=True),
    "uncached latency": Curve(x="length", words="ms for a token, all computed anew", by="latency", log=True),
    "tokens by expert": Curve(x="expert, fullest first", words="share of the tokens, times the experts", by="experts"),
    "norm by width": Curve(x="width", words="µs forward and backward, of all tokens of a batch", by="norms", log=True),
    "loss by second": Curve(x="second of training at the quickest seed's pace", words="training loss, nats per token"),
    "loss by FLOPs": Curve(x="10⁹ FLOPs of training", words="training loss, nats per token"),
}
