"""The numbers of the lesson experts."""

import math

import torch

from oneblock.config import experts as config
from oneblock.config.dense import Dense
from oneblock.config.presets import nano, switch_nano
from oneblock.inspect.statistics import active_parameters, forward_flops_per_token, parameters
from oneblock.learn.course.figures import heat
from oneblock.nn.context import Context
from oneblock.nn.experts.losses import gshard_loss, switch_loss, z_loss
from oneblock.nn.experts.mixture import Switch
from oneblock.nn.experts.routing import Routing, gshard_routing
from oneblock.nn.position import Position

# Six tokens, three experts: the router's logits.
LOGITS = [[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [0.5, 0.0, 1.0], [2.0, 1.5, 1.0], [0.0, 0.0, 1.0]]
TOKENS, EXPERTS = len(LOGITS), len(LOGITS[0])


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(value) for value in logits]
    return [power / sum(powers) for power in powers]


probabilities = [softmax(row) for row in LOGITS]
chosen = [row.index(max(row)) for row in probabilities]
gates = [max(row) for row in probabilities]


def switch(capacity: int = 2) -> list[float]:
    """The weight of each token's expert; 0 where it found no place."""
    taken = [0] * EXPERTS
    weights = []
    for gate, expert in zip(gates, chosen, strict=True):
        taken[expert] += 1
        weights.append(gate if taken[expert] <= capacity else 0.0)
    return weights


def capacity(tokens: int = TOKENS, experts: int = EXPERTS, factor: float = 1.0) -> int:
    """How many places an expert has."""
    return int(factor * tokens / experts)


def dropped(places: int) -> int:
    return sum(weight == 0 for weight in switch(places))


# The router's gradient from the task: the output is gate · 1.
def router_gradient(normalised: bool) -> list[float]:
    logits = torch.tensor(LOGITS[0], dtype=torch.float64, requires_grad=True)
    gate = logits.softmax(0)[0]
    ((gate / gate) if normalised else gate).backward()
    assert logits.grad is not None
    return logits.grad.tolist()


# Balance.
f = [chosen.count(expert) / TOKENS for expert in range(EXPERTS)]
P = [sum(row[expert] for row in probabilities) / TOKENS for expert in range(EXPERTS)]


def balance() -> float:
    """E · Σ f·P"""
    pairs = zip(f, P, strict=True)
    return EXPERTS * sum(share * mean for share, mean in pairs)


ALPHA = 0.01
_gse = torch.tensor([LOGITS], dtype=torch.float64)
_best = torch.tensor(chosen).view(1, -1, 1)
ours_switch = float(switch_loss(_gse.softmax(-1), _best))
ours_gshard = float(gshard_loss(_gse.softmax(-1), _best))
ours_z = float(z_loss(_gse))


def balance_gradient(token: int = 0) -> list[float]:
    """Of α · E · Σ f·P, by one token's logits: α · E/T · p·(f − Σ f·p)."""
    p = probabilities[token]
    mean = sum(share * value for share, value in zip(f, p, strict=True))
    return [ALPHA * EXPERTS / TOKENS * value * (share - mean) for share, value in zip(f, p, strict=True)]


DISAGREE = [[0.51, 0.49], [0.51, 0.49], [0.0, 1.0]]


def below_one() -> float:
    """The loss where choices and probabilities disagree."""
    shares = [2 / 3, 1 / 3]
    means = [sum(row[e] for row in DISAGREE) / 3 for e in range(2)]
    return 2 * sum(share * mean for share, mean in zip(shares, means, strict=True))


# Precision.
CLOSE = [2.001, 2.004]
rounded = torch.tensor(CLOSE).bfloat16().tolist()
counted = float(torch.tensor(256.0).bfloat16() + torch.tensor(1.0).bfloat16())


def sigma(scale: float, fan_in: int = 768) -> float:
    """σ = √(s / n)"""
    return math.sqrt(scale / fan_in)


# GShard.
def routed(places: int | None) -> Routing:
    """Algorithm 1 without the random draw."""
    return gshard_routing(_gse.softmax(-1), capacity=places)


pairs = routed(None).weights[0].tolist()
second = routed(None).experts[0, :, 1].tolist()


def kept(places: int) -> list[float]:
    """What is left of each token's two weights."""
    return routed(places).weights[0].sum(-1).tolist()


def gshard_capacity(tokens: int, groups: int, experts: int = EXPERTS) -> float:
    return 2 * tokens / (groups * experts)


# The einsum form, with experts that multiply by 1, 10, 100, on tokens 1 … 6.
FACTORS = (1.0, 10.0, 100.0)


def combine_mask(places: int = 2) -> torch.Tensor:
    """S × E × C: a token's weight at its expert and its place there, else 0."""
    place = [chosen[:token].count(expert) for token, expert in enumerate(chosen)]
    combine = torch.zeros(TOKENS, EXPERTS, places)
    for token, (expert, gate) in enumerate(zip(chosen, gates, strict=True)):
        if place[token] < places:
            combine[token, expert, place[token]] = gate
    return combine


def einsum_form(places: int = 2) -> list[float]:
    """The tokens carried in by one mask and out by the other."""
    combine = combine_mask(places)
    dispatch = (combine != 0).float()
    x = torch.arange(1.0, TOKENS + 1)
    inside = torch.einsum("sec,s->ec", dispatch, x)
    outside = inside * torch.tensor(FACTORS)[:, None]
    return torch.einsum("sec,ec->s", combine, outside).tolist()


def forms_differ() -> float:
    """The largest difference between our two forms of dispatch, on random weights."""
    ys = []
    for form in ("einsum", "sorted"):
        torch.manual_seed(0)
        option = config.Switch(
            num_experts=3, expert=Dense(hidden=7), capacity_factor=1.0, eval_capacity_factor=1.0, dispatch=form
        )
        layer = Switch(option, 5).double().eval()
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.randn(1, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            ys.append(layer.mix(x, Context(6, x.device, position=Position())))
    assert ys[0].abs().max() > 0.1
    return float((ys[0] - ys[1]).abs().max())


# Masks' cost: groups of 1024 tokens, 64 experts, factor 1.25.
GROUP, MANY, MASK_FACTOR, D, F = 1024, 64, 1.25, 1024, 4096
mask_places = int(MASK_FACTOR * GROUP / MANY)
mask_size = GROUP * MANY * mask_places
mask_flops = 4 * MANY * mask_places * D
expert_flops = 4 * D * F

# Three devices with two tokens each, expert e on device e.
sent = [[chosen[2 * device : 2 * device + 2].count(expert) for expert in range(3)] for device in range(3)]
received = [list(column) for column in zip(*sent, strict=True)]
expert_bytes = 2 * 2 * D * F
token_bytes = 2 * D
core_years = 2048 * 4 / 365.25

dense, sparse = nano(), switch_nano()
dense_parameters, sparse_parameters = sum(parameters(dense).values()), sum(parameters(sparse).values())
sparse_active = active_parameters(sparse)
dense_flops, sparse_flops = forward_flops_per_token(dense), forward_flops_per_token(sparse)


def figure_mask() -> str:
    """The mask `combine` for the six tokens, three experts with two places each. A row is a token, a column a place.
    Token 5 has an empty row: it found no place.
    """
    rows = combine_mask().flatten(1).tolist()
    heads = [f"{expert}, place {place + 1}" for expert in range(EXPERTS) for place in range(2)]
    sides = [f"token {token + 1}" for token in range(TOKENS)]
    return heat("Who goes where", rows, sides=sides, heads=heads, x="expert and place")
