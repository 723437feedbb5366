"""Wrong ways to leave pads out of the loss."""

from oneblock.learn.exercise import Wrong

PAD = "keep = tokens[:, 1:] != pad; the sum of the losses kept divided by how many are kept, in all texts together."

PADS = (
    Wrong(
        name="pads_counted",
        says="a loss that counts pads",
        dies=("pad",),
        switches={"counted": "ignored"},
        repair=PAD,
    ),
    Wrong(
        name="over_all",
        says="a loss whose pads are 0 in the sum, and are counted in what it is divided by",
        dies=("pad",),
        switches={"divide": "all"},
        repair=PAD,
    ),
    Wrong(
        name="each_text",
        says="the mean of each text’s mean: tokens of short texts weigh more",
        dies=("pad",),
        switches={"divide": "each text"},
        repair=PAD,
    ),
    Wrong(
        name="by_read",
        says="a loss that leaves out places where the token read is pad, not those whose target is",
        dies=("pad",),
        switches={"counted": "read"},
        repair=PAD,
    ),
    Wrong(
        name="by_both",
        says="a loss that also leaves out targets that stand behind a pad",
        dies=("pad",),
        switches={"counted": "both"},
        repair=PAD,
    ),
    Wrong(
        name="to_first_pad",
        says="a loss that ends at each text’s first pad",
        dies=("pad",),
        switches={"counted": "up to the first"},
        repair=PAD,
    ),
    Wrong(
        name="pads_only",
        says="a loss of the pads alone",
        dies=("pad",),
        switches={"counted": "only"},
        repair=PAD,
    ),
    Wrong(
        name="not_a_word",
        says="a loss with the pad taken out of the vocabulary",
        dies=("pad",),
        switches={"counted": "not a token"},
        repair="Pads are left out as targets; in the softmax the pad is a word like others.",
    ),
    Wrong(
        name="pad_zero",
        says="a loss that takes pad=0 for no pad",
        dies=("pad_zero",),
        switches={"counted": "zero is none"},
        repair="0 is false in Python: write `if pad is not None`.",
    ),
    Wrong(
        name="always_zero",
        says="a loss that leaves out token 0, whatever pad says",
        dies=("shift", "values"),
        switches={"counted": "always zero"},
        repair=PAD,
    ),
    Wrong(
        name="pads_of_one",
        says="a loss that leaves pads out only where there is more than one text",
        dies=("pad",),
        switches={"counted": "of several"},
        repair="One text alone can hold pads too.",
    ),
)
