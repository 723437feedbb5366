"""The checks of training, in a graph."""

from oneblock.learn.exercise import Check
from oneblock.learn.exercises.fit import checks

CHECKS = (
    Check(
        id="first",
        run=checks.first,
        hints=(
            "The first loss is that of the model as it came, the mean over all predicted tokens.",
            "Look at the shift by one, at the mean, and at what you put into the list.",
            "logits[:, :-1] against tokens[:, 1:], cross-entropy, mean; append loss.item()",
        ),
    ),
    Check(
        id="order",
        run=checks.order,
        needs=("first",),
        hints=(
            "There is a raw loss for each of `steps` steps; batches come in order, and a list from its start again.",
            "Look at how often the loop runs, and at what comes after the last batch.",
            "for step in range(steps): batch = the next one; if there is none, begin the list again",
        ),
    ),
    Check(
        id="iterator",
        run=checks.iterator,
        needs=("order",),
        hints=(
            "batches may be an iterator that has no length and no end.",
            "Look for len, for an index, for list(batches), and for iter(batches) in every step.",
            "source = iter(batches) once; next(source); on StopIteration source = iter(batches)",
        ),
    ),
    Check(
        id="gradients",
        run=checks.gradients,
        needs=("order",),
        hints=(
            "Each step's gradients are those of its own batch's loss.",
            "Look at where gradients are cleared.",
            "optimizer.zero_grad(); loss.backward(); optimizer.step()",
        ),
    ),
    Check(
        id="updates",
        run=checks.updates,
        needs=("order", "gradients"),
        hints=(
            "Each step changes every parameter once, against its gradient, after its loss was taken.",
            "Look at the order of zero_grad, backward and step, and at which parameters the optimiser has.",
            "one optimiser over model.parameters() before the loop; zero_grad, backward, step in it",
        ),
    ),
    Check(
        id="mode",
        run=checks.mode,
        needs=("order",),
        hints=(
            "A model that comes in train mode learns in train mode and is left in it.",
            "Look for eval().",
            "model.train() before the loop, and nothing after it",
        ),
    ),
    Check(
        id="learns",
        run=checks.learns,
        needs=("updates",),
        hints=(
            "In 200 steps the loss on a text that repeats falls below 0.7 times what it was.",
            "Look at the size of the steps.",
            "torch.optim.AdamW(model.parameters(), lr=1e-3)",
        ),
    ),
)
