"""E2: how much of the loss's gradient comes down to each layer, with and without residuals, by norm placement."""

from math import log

from oneblock.compare.experiment import Below, Budget, Experiment, Figure, Lower, Sayings

SIZES = ("context=32", "width=64", "num_layers=24", "block.attention.num_heads=4")

EXPERIMENT = Experiment(
    name="gradient-flow",
    row="E2",
    claim="At the start a residual stream carries the gradient to every layer: under pre- and peri-norm its norm "
    "differs by less than 30 times over 24 layers and over 48. Without residuals and norms it dies, and under "
    "post-norm the last block's weights get more than under pre- or peri-norm.",
    source="He et al. 2016, section 3.1 (identity mappings); Xiong et al. 2020, theorem 1: with depth L "
    "the last layer's gradient falls by 1/√L under pre-norm, and not under post-norm",
    # Each matrix keeps the variance of what it is given, the embedding too: no stack shall die of its start alone.
    base=("init=fan_in", "init.output=full", "tied=false", "block.feed_forward=gelu"),
    variants={
        "pre": ("block.placement=pre",),
        "peri": ("block.placement=peri",),
        "post": ("block.placement=post",),
        "pre, no residuals": ("block.placement=pre", "block.residual=off"),
        "no norms, no residuals": ("block.placement=none", "block.residual=off"),
    },
    measures=("gradient_spread", "last_gradient", "gradient", "growth"),
    rule=(
        Below(a="pre", bound=log(30), measure="gradient_spread"),
        Below(a="peri", bound=log(30), measure="gradient_spread"),
        Lower(a="pre", b="no norms, no residuals", measure="gradient_spread"),
        Lower(a="pre", b="post", measure="last_gradient"),
        Lower(a="peri", b="post", measure="last_gradient"),
    ),
    says=Sayings(
        supported="Untrained, with residuals and the norms off the stream, the gradient's norm differs by less than "
        "30 times over all layers of a deep stack; without residuals and norms by many powers of ten. Under post-norm "
        "the last block's weights get a larger gradient than under pre- and peri-norm.",
        refuted="Untrained, the gradient did not flow as claimed: {a}, {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="Gradient on the stream", curves=("gradient by layer",)),
        Figure(title="Gradient of the weights", curves=("weights' gradient by layer",)),
        Figure(title="The stream", curves=("stream by layer",)),
    ),
    budgets={
        "quick": Budget(settings=SIZES, seeds=8),
        "standard": Budget(settings=(*SIZES, "num_layers=48"), seeds=16),
        "full": Budget(
            settings=(*SIZES, "num_layers=48", "context=256", "width=512", "block.attention.num_heads=8"), seeds=16
        ),
    },
    trains=False,
    decides=True,
)
