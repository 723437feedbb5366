"""Wrong and right ways to write the loss."""

from oneblock.learn.exercise import Right, Wrong
from oneblock.learn.exercises.loss.pad_variants import PADS

SHIFT = "logits[:, :-1] against tokens[:, 1:], each text by itself: what is said at t is about the token at t + 1."
LOGITS = (
    "Take the logarithm of softmax in one piece, of the logits: log_softmax, or cross_entropy, which has it inside."
)
MEAN = "The sum of the losses divided by their number, which is B·(T − 1) where there are no pads."

WRONG = (
    Wrong(
        name="no_shift",
        says="a loss without the shift: each token against the logits of its own place",
        dies=("shift",),
        switches={"shift": "none"},
        repair=SHIFT,
    ),
    Wrong(
        name="two_shifts",
        says="a loss shifted by two: in the data and in the model",
        dies=("shift",),
        switches={"shift": "two"},
        repair=SHIFT,
    ),
    Wrong(
        name="backwards",
        says="a loss shifted the wrong way: each token against the logits behind it",
        dies=("shift",),
        switches={"shift": "backwards"},
        repair=SHIFT,
    ),
    Wrong(
        name="by_batch",
        says="a loss shifted along the batch",
        dies=("shift",),
        switches={"shift": "by batch"},
        repair=SHIFT,
    ),
    Wrong(
        name="rolled",
        says="a loss with tokens rolled by one: the last logits are held against the first token",
        dies=("shift",),
        switches={"shift": "rolled"},
        repair=SHIFT,
    ),
    Wrong(
        name="joined",
        says="a loss with all texts joined before the shift, so that one ends in the next",
        dies=("shift",),
        switches={"shift": "joined"},
        repair=SHIFT,
    ),
    Wrong(
        name="turned_wrong",
        says="a loss of logits that are reshaped to B×V×T, not transposed",
        dies=("shift",),
        switches={"form": "turned wrong"},
        repair="cross_entropy takes B×V×T: transpose(1, 2); or flatten(0, 1) on both.",
    ),
    Wrong(
        name="softmax_first",
        says="cross-entropy of shares, softmax being taken twice",
        dies=("shift",),
        switches={"shares": "softmax first"},
        repair=LOGITS,
    ),
    Wrong(
        name="no_softmax",
        says="a loss of the logits themselves, without softmax",
        dies=("shift",),
        switches={"shares": "none"},
        repair=LOGITS,
    ),
    Wrong(
        name="sigmoid",
        says="a loss with a sigmoid of each logit, not a softmax of all",
        dies=("shift",),
        switches={"shares": "sigmoid"},
        repair=LOGITS,
    ),
    Wrong(
        name="over_time",
        says="a loss with the softmax taken over the places, not over the vocabulary",
        dies=("shift",),
        switches={"shares": "over time"},
        repair="The softmax goes over V, the last axis.",
    ),
    Wrong(
        name="share",
        says="minus the target’s share, not the logarithm of it",
        dies=("shift",),
        switches={"shares": "shares"},
        repair="The loss is −log of the share.",
    ),
    Wrong(
        name="base_two",
        says="a loss in bits, with logarithms of base 2",
        dies=("shift", "values"),
        switches={"shares": "base 2"},
        repair="The natural logarithm: torch.log, or cross_entropy.",
    ),
    Wrong(
        name="no_minus",
        says="the logarithm without its minus",
        dies=("shift",),
        switches={"sign": 1},
        repair="A loss is −log: it is never negative.",
    ),
    Wrong(
        name="largest",
        says="a loss of the likeliest token, whatever the target is",
        dies=("shift",),
        switches={"form": "largest"},
        repair="Take the logarithm at tokens[:, 1:], with gather.",
    ),
    Wrong(
        name="all_words",
        says="a loss of all words alike, not of the target",
        dies=("shift",),
        switches={"form": "all"},
        repair="Take the logarithm at tokens[:, 1:], with gather.",
    ),
    Wrong(
        name="smoothed",
        says="a loss with label smoothing of 0.1",
        dies=("shift",),
        switches={"smoothing": 0.1},
        repair="The target alone counts here.",
    ),
    Wrong(
        name="perplexity",
        says="the perplexity, exp of the loss",
        dies=("shift",),
        switches={"gives": "perplexity"},
        repair="Return the mean itself.",
    ),
    Wrong(
        name="float",
        says="a loss that is a Python number",
        dies=("shift",),
        switches={"gives": "float"},
        repair="Return the tensor: .item() cuts the gradient off.",
    ),
    Wrong(
        name="one_axis",
        says="a loss of shape [1]",
        dies=("shift",),
        switches={"gives": "one axis"},
        repair="A scalar has no axis: .mean() gives one.",
    ),
    Wrong(
        name="each",
        says="the loss of each target, not their mean",
        dies=("shift",),
        switches={"gives": "each"},
        repair=MEAN,
    ),
    Wrong(
        name="summed",
        says="the sum of the losses, not their mean",
        dies=("shift",),
        switches={"divide": "none"},
        repair=MEAN,
    ),
    Wrong(
        name="over_texts",
        says="the sum of the losses divided by the number of texts",
        dies=("shift",),
        switches={"divide": "texts"},
        repair=MEAN,
    ),
    Wrong(
        name="over_tokens",
        says="the sum of the losses divided by B·T, though there are B·(T − 1) targets",
        dies=("shift", "values"),
        switches={"divide": "tokens"},
        repair=MEAN,
    ),
    Wrong(
        name="plus_one",
        says="the sum of the losses divided by their number + 1",
        dies=("shift", "values"),
        switches={"divide": "plus one"},
        repair=MEAN,
    ),
    Wrong(
        name="last_only",
        says="the loss of the last target alone",
        dies=("shift", "values"),
        switches={"divide": "last"},
        repair=MEAN,
    ),
    *PADS,
    Wrong(
        name="overflow",
        says="a loss with exp of the logits as they are",
        dies=("large",),
        switches={"shares": "no shift"},
        repair=LOGITS,
    ),
    Wrong(
        name="log_of_softmax",
        says="a loss with softmax first and the logarithm then",
        dies=("large",),
        switches={"shares": "log of softmax"},
        repair=LOGITS,
    ),
    Wrong(
        name="log_of_more",
        says="a loss with 1e-9 added to the shares before the logarithm",
        dies=("shift", "values", "large"),
        switches={"shares": "log of softmax + 1e-9"},
        repair=LOGITS,
    ),
    Wrong(
        name="cut_off",
        says="a loss that no gradient comes through",
        dies=("gradient",),
        switches={"detached": True},
        repair="Stay with torch operations: numpy, item, detach and no_grad cut the gradient off.",
    ),
    Wrong(
        name="tokens_in_place",
        says="a loss that writes −100 into the caller’s tokens",
        dies=("inputs",),
        switches={"in_place": "tokens"},
        repair="tokens[:, 1:] is a window into the caller’s tensor: clone it, or use ignore_index=pad.",
    ),
    Wrong(
        name="logits_in_place",
        says="a loss that subtracts the largest from the caller’s logits",
        dies=("inputs",),
        switches={"in_place": "logits"},
        repair="x -= … changes the caller’s tensor; write x - … .",
    ),
    Wrong(
        name="float32",
        says="a loss in float32, whatever comes in",
        dies=("shift",),
        switches={"dtype": "float32"},
        repair="What comes in as float64 goes out as float64.",
        dtype="float64",
    ),
)

RIGHT = (
    Right(
        name="cross_entropy",
        says="cross_entropy of logits B×V×T with ignore_index=pad",
        switches={"form": "cross_entropy"},
    ),
    Right(name="one_hot", says="the target picked by a one-hot vector", switches={"form": "one-hot"}),
    Right(
        name="twice",
        says="log_softmax before cross_entropy: done twice it is the same",
        switches={"shares": "twice"},
    ),
    Right(
        name="chosen", says="the losses that count chosen by a boolean mask, then mean", switches={"divide": "chosen"}
    ),
    Right(
        name="upcast",
        says="computing in float64 and going back to the dtype of the logits",
        switches={"dtype": "float64, and back"},
    ),
)
