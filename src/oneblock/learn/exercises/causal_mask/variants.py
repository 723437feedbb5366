"""Wrong and right ways to write the causal mask."""

from oneblock.learn.exercise import Right, Wrong

CORNER = "The last query belongs to the last key: shift by num_keys − num_queries."

WRONG = (
    Wrong(
        name="top_left",
        says="a mask aligned at its upper left corner",
        dies=("more_keys",),
        switches={"align": "left"},
        repair=f"With a cache a new token would see the first key only. {CORNER}",
    ),
    Wrong(
        name="absolute",
        says="a mask shifted by the difference of the counts without its sign",
        dies=("more_queries",),
        switches={"align": "absolute"},
        repair=CORNER,
    ),
    Wrong(
        name="clamped",
        says="a mask aligned at the lower right only where there are more keys than queries",
        dies=("more_queries",),
        switches={"align": "clamped"},
        repair=CORNER,
    ),
    Wrong(
        name="reversed",
        says="a mask shifted the wrong way",
        dies=("more_keys",),
        switches={"align": "reversed"},
        repair=CORNER,
    ),
    Wrong(
        name="leaks_one",
        says="a mask by which each token sees the next one (the diagonal moved up by one)",
        dies=("square",),
        switches={"offset": 1},
        repair="The last key a query sees is its own.",
    ),
    Wrong(
        name="leaks_two",
        says="a mask by which each token sees the next two",
        dies=("square",),
        switches={"offset": 2},
        repair="The last key a query sees is its own.",
    ),
    Wrong(
        name="not_itself",
        says="a mask by which no token sees itself",
        dies=("square",),
        switches={"own": False},
        repair="A token may see itself, or the first one would have nothing at all.",
    ),
    Wrong(
        name="late",
        says="a mask by which each token sees only what is at least two places back",
        dies=("square",),
        switches={"offset": -2},
        repair="The last key a query sees is its own.",
    ),
    Wrong(
        name="inverted",
        says="a mask the wrong way round (True hides)",
        dies=("square",),
        switches={"polarity": "hides"},
        repair="True means may attend.",
    ),
    Wrong(
        name="future",
        says="a mask that shows each token itself and what comes after it",
        dies=("square",),
        switches={"direction": "future"},
        repair="A token sees what came before: the lower triangle.",
    ),
    Wrong(
        name="float",
        says="a mask of 0.0 and 1.0",
        dies=("square",),
        switches={"gives": "float"},
        repair="Boolean is asked: dtype=torch.bool.",
    ),
    Wrong(
        name="integer",
        says="a mask of whole numbers 0 and 1",
        dies=("square",),
        switches={"gives": "integer"},
        repair="Boolean is asked: ~ of a whole number is not its opposite.",
    ),
    Wrong(
        name="added",
        says="a mask of 0 and −∞, to be added",
        dies=("square",),
        switches={"gives": "added"},
        repair="Boolean is asked, True = may attend.",
    ),
    Wrong(
        name="keys_first",
        says="a mask of keys × queries",
        dies=("more_keys",),
        switches={"shape": "S×T"},
        repair="Rows are queries, columns are keys.",
    ),
    Wrong(
        name="square_of_queries",
        says="a square mask of queries × queries",
        dies=("more_keys",),
        switches={"shape": "T×T"},
        repair="Its shape is num_queries × num_keys.",
    ),
    Wrong(
        name="square_of_keys",
        says="a square mask of keys × keys",
        dies=("more_keys",),
        switches={"shape": "S×S"},
        repair="Only num_queries of its rows are asked, the last ones.",
    ),
    Wrong(
        name="four_axes",
        says="a mask with two more axes in front",
        dies=("square",),
        switches={"shape": "1×1×T×S"},
        repair="Two axes are enough: they line up with any number in front.",
    ),
    Wrong(
        name="window",
        says="a mask by which each token sees the last four only",
        dies=("square",),
        switches={"window": 4},
        repair="All earlier tokens may be seen.",
    ),
    Wrong(
        name="always_first",
        says="a mask that lets every query see the first key",
        dies=("more_queries",),
        switches={"first": True},
        repair="A query that stands before every key sees none; exercise 2 gives such a row something finite.",
    ),
    Wrong(
        name="table_of_64",
        says="a mask out of a table of 64 × 64",
        dies=("long",),
        switches={"most": 64},
        repair="Make it as large as the arguments say.",
    ),
    Wrong(
        name="window_128",
        says="a mask by which each token sees the last 128 only",
        dies=("long",),
        switches={"window": 128},
        repair="All earlier tokens may be seen.",
    ),
    Wrong(
        name="small_numbers",
        says="a mask made of places in int8, which end at 127",
        dies=("long",),
        switches={"small": True},
        repair="Leave torch.arange its own dtype.",
    ),
)

RIGHT = (
    Right(name="tril", says="torch.ones(…).tril(num_keys − num_queries)", switches={"form": "tril"}),
    Right(name="triu", says="the opposite of triu(num_keys − num_queries + 1)", switches={"form": "triu"}),
    Right(name="loop", says="a loop over the rows", switches={"form": "loop"}),
    Right(name="square", says="the last rows of a square triangle", switches={"form": "square"}),
)
