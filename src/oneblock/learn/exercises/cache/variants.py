"""Wrong and right ways to use a key/value cache."""

from oneblock.learn.exercise import Right, Wrong
from oneblock.learn.exercises.cache.store_variants import MORE

WRONG = (
    Wrong(
        name="no_mask",
        says="cached attention without a causal mask",
        dies=("first",),
        switches={"mask": "none"},
        repair="New token i may attend to keys up to place position + i.",
    ),
    Wrong(
        name="mask_skipped",
        says="cached attention that masks the first chunk only",
        dies=("chunks",),
        switches={"mask": "first chunk only"},
        repair="Several new tokens need a mask after a cache too: it may be left out for T = 1 alone.",
    ),
    Wrong(
        name="top_left",
        says="cached attention whose mask counts the new tokens from place 0",
        dies=("one_by_one",),
        switches={"mask": "top left"},
        repair="The queries are the last ones: key j is seen by token i where j <= position + i.",
    ),
    Wrong(
        name="past_only",
        says="cached attention in which no token attends to itself",
        dies=("first",),
        switches={"mask": "past only"},
        repair="A token sees itself too: <=, not <.",
    ),
    Wrong(
        name="one_ahead",
        says="cached attention that sees one token ahead",
        dies=("first",),
        switches={"mask": "one ahead"},
        repair="key <= position + i, not + 1.",
    ),
    Wrong(
        name="to_position",
        says="cached attention in which all new tokens see the keys up to the first new one",
        dies=("first",),
        switches={"mask": "position"},
        repair="Token i of the chunk sits at position + i.",
    ),
    Wrong(
        name="only_itself",
        says="cached attention in which new tokens see the cache and themselves, but not one another",
        dies=("first",),
        switches={"mask": "itself"},
        repair="They also see the new tokens before them.",
    ),
    Wrong(
        name="after_softmax",
        says="cached attention that hides later tokens after the softmax",
        dies=("first",),
        switches={"mask": "after"},
        repair="Hide before the softmax, so that the rest adds up to 1.",
    ),
    Wrong(
        name="over_queries",
        says="cached attention with the softmax over the queries",
        dies=("first",),
        switches={"mask": "queries"},
        repair="Softmax over the keys, the last axis.",
    ),
    *MORE,
)

RIGHT = (
    Right(
        name="dict",
        says="a new dict each time",
        switches={"form": "dict"},
    ),
    Right(
        name="object",
        says="an object",
        switches={"form": "object"},
    ),
    Right(
        name="stacked",
        says="keys and values in one tensor",
        switches={"form": "stacked"},
    ),
    Right(
        name="buffer",
        says="a buffer that is written at position, and made longer where it is full",
        switches={"form": "buffer"},
    ),
    Right(
        name="tokens",
        says="a list of tokens",
        switches={"form": "tokens"},
    ),
    Right(
        name="not_for_one",
        says="no mask for a single query",
        switches={"mask": "not for one"},
    ),
    Right(
        name="by_position",
        says="a mask of positions rather than of lengths",
        switches={"mask": "by position"},
    ),
    Right(
        name="finite",
        says="hidden scores at −10⁹ rather than −∞",
        switches={"fill": -1000000000.0},
    ),
    Right(
        name="early",
        says="keys and values kept for all heads, after the groups are spread",
        switches={"early": True},
    ),
    Right(
        name="loop",
        says="a chunk taken token by token",
        switches={"loop": True},
    ),
    Right(
        name="separate",
        says="three layers for q, k and v, told by mapping()",
        switches={"layout": "separate"},
    ),
)
