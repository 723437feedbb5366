"""Wrong ways to put a mask before the softmax of several heads."""

from oneblock.learn.exercise import Wrong

BEFORE = "Put a very negative number in the place of the scores that the mask hides, before the softmax."
LINES = "A mask B×T×T needs an axis for the heads, mask[:, None]; the others line up by themselves."

MASKS = (
    Wrong(
        name="mask_ignored",
        says="heads without their mask",
        dies=("mask",),
        switches={"mask_as": "ignored"},
        repair=BEFORE,
    ),
    Wrong(
        name="inverted",
        says="heads with the mask the wrong way round (True hides)",
        dies=("mask",),
        switches={"polarity": "hides"},
        repair="True means may attend: fill where ~mask.",
    ),
    Wrong(
        name="text_for_head",
        says="heads that take a mask B×T×T as it comes, its texts for heads",
        dies=("mask",),
        switches={"mask_as": "text for head"},
        repair=LINES,
    ),
    Wrong(
        name="first_head",
        says="heads that all use the first head's mask",
        dies=("mask",),
        switches={"mask_as": "first head"},
        repair=LINES,
    ),
    Wrong(
        name="first_text",
        says="heads that use the first text's mask for all texts",
        dies=("mask",),
        switches={"mask_as": "first text"},
        repair=LINES,
    ),
    Wrong(
        name="turned_mask",
        says="heads with the mask's last two axes swapped",
        dies=("mask",),
        switches={"mask_as": "turned"},
        repair="The mask is queries × keys as the scores are.",
    ),
    Wrong(
        name="mask_after",
        says="heads with weights set to 0 after the softmax",
        dies=("mask",),
        switches={"masked": "after"},
        repair=f"The rest no longer adds up to 1. {BEFORE}",
    ),
    Wrong(
        name="zero_score",
        says="heads with a score of 0 for masked keys",
        dies=("mask",),
        switches={"masked": "zero"},
        repair=f"exp(0) is 1, so a masked key still has a share. {BEFORE}",
    ),
    Wrong(
        name="minus_ten",
        says="heads with a score of −10 for masked keys",
        dies=("mask",),
        switches={"masked": "ten"},
        repair=f"A share of e^−10 still leaks. {BEFORE}",
    ),
    Wrong(
        name="added_mask",
        says="heads that add the mask's 0 and 1 to the scores",
        dies=("mask",),
        switches={"masked": "added as numbers"},
        repair=f"The mask is boolean. {BEFORE}",
    ),
    Wrong(
        name="kept_mask",
        says="heads that go on using the last mask they were given",
        dies=("mask",),
        switches={"kept": True},
        repair="Nothing is kept between calls: without a mask all attend to all.",
    ),
    Wrong(
        name="minus_ten_thousand",
        says="heads with −10⁴ in the place of −∞, which scores can be below",
        dies=("hidden",),
        switches={"masked": "ten thousand"},
        repair=BEFORE,
    ),
    Wrong(
        name="less_a_hundred",
        says="heads that take 100 from hidden scores",
        dies=("hidden",),
        switches={"masked": "less a hundred"},
        repair=BEFORE,
    ),
    Wrong(
        name="window",
        says="heads that attend to the last 64 tokens alone",
        dies=("long",),
        switches={"window": 64},
        repair="Every token attends to all that the mask shows.",
    ),
)
