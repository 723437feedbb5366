"""The checks of the experts, in a graph."""

from oneblock.learn.exercise import Check
from oneblock.learn.exercises.experts import checks

CHECKS = (
    Check(
        id="top_one",
        run=checks.top_one,
        hints=(
            "For k = 1 the weight is the softmax probability of the largest logit, softmax being over all experts.",
            "Look at the axis of the softmax, at what topk is given, and at a division that does not belong here.",
            "p = softmax(logits, -1); weights, chosen = the k largest of p in each row",
        ),
    ),
    Check(
        id="several",
        run=checks.several,
        needs=("top_one",),
        hints=(
            "For k > 1 the weights of a token's chosen experts add up to 1.",
            "Look at what is done to the k probabilities after they have been picked.",
            "if k > 1: weights = weights / (their sum in each row)",
        ),
    ),
    Check(
        id="large",
        run=checks.large,
        needs=("several",),
        hints=(
            "Only differences of logits count.",
            "Look at your softmax.",
            "subtract each row's largest logit before exp, or use torch.softmax",
        ),
    ),
    Check(
        id="capacity_one",
        run=checks.capacity_one,
        needs=("top_one",),
        hints=(
            "An expert serves the first `capacity` tokens that choose it; later ones have weight 0, all else stays.",
            "Look at how you number those who choose one expert: from 0, in token order, each expert by itself.",
            "place = how many earlier tokens chose the same expert; weights = weights · (place < capacity)",
        ),
    ),
    Check(
        id="capacity_several",
        run=checks.capacity_several,
        needs=("several", "capacity_one"),
        hints=(
            "Places go token by token, each token's first choice before its second; the weights that stay are not "
            "divided again.",
            "Look at the order in which choices are numbered, and at where you divide by the sum.",
            "chosen row after row (token 0: 1st, 2nd; token 1: …), number each expert's rows, zero what is too late",
        ),
    ),
    Check(
        id="route_gradient",
        run=checks.route_gradient,
        needs=("several", "capacity_several"),
        hints=(
            "The weights carry a gradient back to the logits: that is how a router learns.",
            "Look for detach, for a weight that is always 1, for numbers taken out of a tensor.",
            "weights come from softmax(logits) by picking, dividing and multiplying with 0 or 1",
        ),
    ),
    Check(
        id="moe_one",
        run=checks.moe_one,
        needs=("top_one",),
        hints=(
            "With k = 1 each token's output is its probability times its expert's output.",
            "Follow one token: its logits, its expert, its weight, the row of the output it belongs to.",
            "for each expert e: rows = tokens that chose e; output[rows] += weight[rows] · e(tokens[rows])",
        ),
    ),
    Check(
        id="moe_several",
        run=checks.moe_several,
        needs=("moe_one", "several"),
        hints=(
            "With k > 1 the outputs of a token's experts are added, each times its weight.",
            "Look at which weight goes with which expert, and at whether the second choice overwrites the first.",
            "output[rows] += weights[rows, choice] · e(tokens[rows])",
        ),
    ),
    Check(
        id="few_tokens",
        run=checks.few_tokens,
        needs=("moe_several",),
        hints=(
            "Experts that nobody chose have nothing to do, and the others are not disturbed by it.",
            "Look at what happens where no token chose an expert.",
            "go on to the next expert where there are no rows",
        ),
    ),
    Check(
        id="crowded",
        run=checks.crowded,
        needs=("moe_one",),
        hints=(
            "The mixture has no capacity: an expert may be chosen by every token.",
            "Look for a capacity that is passed to route in forward.",
            "weights, chosen = route(self.router(tokens), k)",
        ),
    ),
    Check(
        id="moe_gradient",
        run=checks.moe_gradient,
        needs=("moe_several",),
        hints=(
            "Gradients reach x through experts and router, and every weight of both.",
            "Look for detach, and for a weight that does not come from the router.",
            "output = Σ weight · expert(token), with the weight as route gives it",
        ),
    ),
    Check(
        id="balance",
        run=checks.balance,
        hints=(
            "E · Σ f · P: f from chosen, P the mean of each column of probabilities; one number.",
            "Look at the factor E, at the mean over tokens, and at experts that nobody chose.",
            "f = E counts of the experts in chosen / all choices; P = probabilities.mean(0); E · (f · P).sum()",
        ),
    ),
    Check(
        id="balance_several",
        run=checks.balance_several,
        needs=("balance",),
        hints=(
            "f is the share of all N·k choices, so an even spread gives 1 for every k.",
            "Look at what the counts are divided by, and at whether second choices are counted.",
            "counts / chosen.numel()",
        ),
    ),
    Check(
        id="balance_gradient",
        run=checks.balance_gradient,
        needs=("balance_several",),
        hints=(
            "The gradient goes through P.",
            "Look for detach or item.",
            "P = probabilities.mean(0), nothing cut off",
        ),
    ),
    Check(
        id="float32",
        run=checks.float32,
        needs=("capacity_several", "moe_several", "balance_several"),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for tensors made with a dtype of their own.",
            "zeros_like(x), and .to(x.dtype) for counts",
        ),
    ),
)
