"""A second list of faults and healthy variants over two more hosts, written before the checks were read.

`cases()` gives them all as doctor_unseen's does; `docs/make_doctor_unseen.py --list unseen_second` examines them.
"""

import torch
from doctor_unseen import Case
from unseen_late import Late, Tutorial

HOSTS = {"tutorial": (Tutorial, ()), "late": (Late, ()), "late experts": (Late, ("experts",))}
DECLARED = {"tutorial": ("causal",), "late": ("causal",), "late experts": ("causal",)}


class Second(Case):
    """A case whose host is one of this file."""

    def model(self, seed: int = 0) -> torch.nn.Module:
        torch.manual_seed(seed)
        made, always = HOSTS[self.host]
        return made(frozenset((*always, self.name))).eval()


FAULTS = {
    "tutorial": """
FAIL | batch first forgotten | the module takes the batch for time: rows see one another
FAIL | mask turned round | True hides, and True was given where a token may look
FAIL | mask as ones added | a float mask of 0 and 1 is added
FAIL | tokens of a block of eight see each other | the mask is made of blocks
WARN | only its own block of eight | what stands before the block is not seen
FAIL | window on the wrong side | seven tokens ahead are seen, none behind
FAIL | register at the end | a learnt token sees all, and all see it
FAIL | embedding of max_norm | forward changes the table's rows in place
FAIL | words renumbered by the text | the row of the table depends on what other words are there
FAIL | padded inside on the left | the text is padded to a multiple of 8 and the pads are seen
FAIL | one token squeezed | squeeze() drops the axis of one token or one row
FAIL | running mean kept in eval | a mean of past calls is taken off
WARN | own dropout without rescaling | training sees smaller numbers than eval
FAIL | random features not saved | a random matrix that is not in the state_dict
FAIL | padding turned round | real tokens are hidden
FAIL | padding zeroes the embeddings alone | attention still looks at pads
FAIL | last layer never run | its parameters are dead
WARN | layers are copies of one | all layers start the same
WARN | relu on what attention gives | a branch can add only what is positive
FAIL | backward of another activation | the gradient is not that of what is computed
WARN | stream kept in bfloat16 | the residual stream is rounded to bfloat16 after each block
FAIL | likelihood of probabilities | nll_loss without the logarithm
WARN | loss in bits | divided by ln 2
""",
    "late": """
FAIL | softcap over the mask | the cap makes -1e9 into -20: the future weighs in
FAIL | scale kept in the cached keys | keys are divided by √d again at each step
FAIL | single tokens not kept | one token behind a cache is not put into it
FAIL | alibi from zero behind a cache | distances are counted from the chunk's start
FAIL | padding and causality by or | with a mask, what either allows is seen
WARN | qk-norm over heads | queries and keys are normed along the heads
FAIL | weights dropped in eval | F.dropout(training=True) on attention's weights
WARN | largest weight alone in eval | hard attention in eval, soft in training
""",
    "late experts": """
FAIL | router reads the whole text | the choice of experts knows the future
FAIL | sorted and not put back | tokens are sorted by expert and stay so
WARN | experts read the stream unnormed | the feed-forward reads the stream unnormed
""",
}
HEALTHY = {
    "tutorial": "plain; register at the front; recomputed in training; log-softmax twice",
    "late": "plain; softcap; learned sink; linear attention; values of the first layer mixed in; sliding window of nine",
    "late experts": "plain; shared expert",
}


def cases() -> tuple[list[Case], list[Case]]:
    """All faults, and all healthy variants."""
    faults = [
        Second(host=host, told=told, name=name, says=says)
        for host, lines in FAULTS.items()
        for told, name, says in ([x.strip() for x in line.split("|")] for line in lines.strip().splitlines())
    ]
    healthy = [Second(host=host, name=n.strip(), says="") for host, names in HEALTHY.items() for n in names.split(";")]
    return faults, healthy
