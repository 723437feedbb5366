"""Wrong and right ways to write a GPT."""

from oneblock.learn.exercise import Right, Wrong
from oneblock.learn.exercises.tiny_gpt.decoder_variants import DECODER_RIGHT, DECODER_WRONG
from oneblock.learn.exercises.tiny_gpt.stack_variants import MORE

WRONG = (
    Wrong(
        name="leaks",
        says="a GPT without a causal mask",
        dies=("causal",),
        switches={"mask": "none"},
        repair="Each place sees itself and what is before it.",
    ),
    Wrong(
        name="one_ahead",
        says="a GPT that sees one token ahead",
        dies=("causal",),
        switches={"mask": "one ahead"},
        repair="Key j is seen by query i where j <= i: that is the token it has to predict.",
    ),
    Wrong(
        name="not_itself",
        says="a GPT in which no token attends to itself",
        dies=("values",),
        switches={"mask": "not itself"},
        repair="j <= i, not j < i.",
    ),
    Wrong(
        name="last_only",
        says="logits for the last place alone",
        dies=("layout",),
        switches={"gives": "last"},
        repair="Every place has logits: training needs all of them.",
    ),
    Wrong(
        name="turned",
        says="logits of shape B×V×T",
        dies=("layout",),
        switches={"gives": "B×V×T"},
        repair="B×T×V.",
    ),
    Wrong(
        name="shares",
        says="softmax of the logits",
        dies=("values",),
        switches={"gives": "shares"},
        repair="Logits are asked; the loss and sampling do the rest.",
    ),
    Wrong(
        name="log_shares",
        says="log softmax of the logits",
        dies=("values",),
        switches={"gives": "log shares"},
        repair="Logits are asked; the loss and sampling do the rest.",
    ),
    Wrong(
        name="no_positions",
        says="a GPT without positions",
        dies=("values",),
        switches={"position": "none"},
        repair="Add position_embedding of 0 … T−1.",
    ),
    Wrong(
        name="one_position",
        says="a GPT in which every token is at place 0",
        dies=("values",),
        switches={"position": "first"},
        repair="torch.arange(T): each place has a row of its own.",
    ),
    Wrong(
        name="backwards",
        says="a GPT whose positions count backwards",
        dies=("values",),
        switches={"position": "reversed"},
        repair="The first token is at place 0.",
    ),
    Wrong(
        name="one_on",
        says="a GPT whose positions start at 1",
        dies=("values",),
        switches={"position": "one on"},
        repair="torch.arange(T) starts at 0.",
    ),
    Wrong(
        name="by_text",
        says="a GPT whose positions are the places in the batch",
        dies=("values",),
        switches={"position": "by text"},
        repair="Positions go along T, not along B.",
    ),
    Wrong(
        name="by_token",
        says="a GPT that looks positions up by token",
        dies=("values",),
        switches={"position": "by token"},
        repair="position_embedding(torch.arange(T)), not of the tokens.",
    ),
    Wrong(
        name="multiplied",
        says="a GPT that multiplies tokens and positions",
        dies=("values",),
        switches={"position": "multiplied"},
        repair="Add them.",
    ),
    Wrong(
        name="late_positions",
        says="a GPT that adds positions after the blocks",
        dies=("values",),
        switches={"position": "after"},
        repair="They come before the first block, whose attention needs them.",
    ),
    Wrong(
        name="scaled",
        says="a GPT whose token embeddings are multiplied by √D",
        dies=("values",),
        switches={"token": "times root"},
        repair="They are added as they are.",
    ),
    *MORE,
    *DECODER_WRONG,
)

RIGHT = (
    Right(
        name="tanh",
        says="GELU in its tanh form",
        switches={"active": "tanh"},
    ),
    Right(
        name="tied",
        says="a head tied to the token embedding, from small numbers",
        switches={"tied": True},
    ),
    Right(
        name="torchs_start",
        says="torch's own first weights, with a head of its own",
        switches={"start": "default"},
    ),
    Right(
        name="zero_head",
        says="a head that starts from zeros",
        switches={"start": "zero head"},
    ),
    Right(
        name="zero_branches",
        says="branches that start from zeros",
        switches={"start": "zero branches"},
    ),
    Right(
        name="their_names",
        says="GPT-2's names, told by mapping()",
        switches={"names": "theirs"},
    ),
    Right(
        name="trained_dropout",
        says="dropout, in train mode alone",
        switches={"block": "trained dropout"},
    ),
    *DECODER_RIGHT,
)
