"""Wrong and right ways to sample."""

from oneblock.learn.exercise import Right, Wrong
from oneblock.learn.exercises.sample.top_p_variants import MORE

WRONG = (
    Wrong(
        name="times_temperature",
        says="sampling with the logits multiplied by the temperature",
        dies=("temperature",),
        switches={"heat": "multiply"},
        repair="Divide: a temperature above 1 makes shares more alike.",
    ),
    Wrong(
        name="no_temperature",
        says="sampling without the temperature",
        dies=("temperature",),
        switches={"heat": "none"},
        repair="Divide the logits by it.",
    ),
    Wrong(
        name="root_temperature",
        says="sampling with the logits divided by the square root of the temperature",
        dies=("temperature",),
        switches={"heat": "root"},
        repair="Divide by the temperature itself.",
    ),
    Wrong(
        name="squared_temperature",
        says="sampling with the logits divided by the temperature squared",
        dies=("temperature",),
        switches={"heat": "square"},
        repair="Divide by the temperature itself.",
    ),
    Wrong(
        name="heated_shares",
        says="sampling by softmax(softmax(logits) / temperature)",
        dies=("plain",),
        switches={"heat": "shares"},
        repair="The temperature divides the logits, and there is one softmax.",
    ),
    Wrong(
        name="zero_divides",
        says="sampling that divides by a temperature of 0",
        dies=("greedy",),
        switches={"zero": "divide"},
        repair="0/0 and ∞ − ∞ are NaN: ask for temperature 0 first, and return argmax.",
    ),
    Wrong(
        name="zero_is_one",
        says="sampling that takes temperature 0 for 1",
        dies=("greedy",),
        switches={"zero": "one"},
        repair="At 0 nothing is left to chance: return argmax.",
    ),
    Wrong(
        name="zero_is_small",
        says="sampling that takes temperature 0 for 0.5",
        dies=("greedy",),
        switches={"zero": "small"},
        repair="At 0 nothing is left to chance: return argmax.",
    ),
    Wrong(
        name="heat_last",
        says="sampling that divides by the temperature after the filters",
        dies=("heat_first",),
        switches={"order": "k p T"},
        repair="Divide first: top_p looks at shares after the temperature.",
    ),
    Wrong(
        name="one_more",
        says="sampling from the k + 1 best tokens",
        dies=("shapes", "top_k"),
        switches={"k_how": "more"},
        repair="Keep exactly k: the threshold is the k-th largest logit, at index k − 1.",
    ),
    Wrong(
        name="one_fewer",
        says="sampling from the k − 1 best tokens",
        dies=("top_k",),
        switches={"k_how": "fewer"},
        repair="The k-th largest is kept too: compare with <, not with <=.",
    ),
    Wrong(
        name="worst_k",
        says="sampling from the k worst tokens",
        dies=("shapes", "top_k"),
        switches={"k_how": "lowest"},
        repair="Take the largest logits.",
    ),
    Wrong(
        name="first_k",
        says="sampling from the first k ids, as if logits were sorted",
        dies=("shapes", "top_k"),
        switches={"k_how": "first ids"},
        repair="The vocabulary is in no order: look for the k largest.",
    ),
    Wrong(
        name="batch_k",
        says="sampling with one threshold for the whole batch",
        dies=("shapes", "top_k"),
        switches={"k_how": "batch"},
        repair="Each row has a k-th largest of its own: take it along the last axis and keep that axis.",
    ),
    Wrong(
        name="no_top_k",
        says="sampling without top_k",
        dies=("shapes", "top_k"),
        switches={"k_how": "off"},
        repair="Logits below the k-th largest become −∞.",
    ),
    Wrong(
        name="zeroed",
        says="sampling where top_k sets the other logits to 0",
        dies=("shapes", "top_k"),
        switches={"k_fill": "zero"},
        repair="exp(0) is 1, not 0: −∞ is the logit of what cannot be drawn.",
    ),
    *MORE,
)

RIGHT = (
    Right(
        name="gumbel",
        says="argmax of logits plus Gumbel noise, which draws by softmax",
        switches={"draw": "gumbel"},
    ),
    Right(
        name="race",
        says="an exponential race: the largest share / waiting time",
        switches={"draw": "race"},
    ),
    Right(
        name="inverse",
        says="where a uniform number falls among the cumulated shares",
        switches={"draw": "inverse"},
    ),
    Right(
        name="rows",
        says="a loop over rows",
        switches={"draw": "rows"},
    ),
    Right(
        name="ranked",
        says="drawing a rank and turning it into an id",
        switches={"draw": "ranked"},
    ),
    Right(
        name="scattered",
        says="top_k as a mask scattered from topk's indices",
        switches={"k_how": "scatter"},
    ),
    Right(
        name="sorted",
        says="top_k by sorting",
        switches={"k_how": "sorted"},
    ),
    Right(
        name="finite",
        says="top_k with a large negative number for −∞",
        switches={"k_fill": "big"},
    ),
    Right(
        name="lowest",
        says="top_k with the lowest number of the dtype for −∞",
        switches={"k_fill": "lowest"},
    ),
    Right(
        name="ascending_threshold",
        says="top_p on ascending shares, out where the sum is at most 1 − p",
        switches={"p_how": "ascending threshold"},
    ),
    Right(
        name="argsort",
        says="top_p's filter put back by the ranks of all tokens",
        switches={"p_how": "argsort"},
    ),
    Right(
        name="loop",
        says="top_p as a loop",
        switches={"p_how": "loop"},
    ),
    Right(
        name="tiny",
        says="temperature 0 as a division by something tiny, after the largest is subtracted",
        switches={"zero": "tiny"},
    ),
    Right(
        name="int32",
        says="ids as int32",
        switches={"gives": "int32"},
    ),
)
