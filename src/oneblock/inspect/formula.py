"""A block's formula, read off the block itself: the assembly that builds a model, run on words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from oneblock.config.block import Block as BlockConfig
from oneblock.config.config import Model
from oneblock.config.dit import DiT
from oneblock.config.encoder import NoHead, TransformedHead
from oneblock.config.images import Images, Sinusoidal2D
from oneblock.config.modulation import AdaLNZero, Modulation, NoModulation
from oneblock.config.norm import LayerNorm, NoNorm, Norm, PartialRMSNorm, RMSNorm
from oneblock.config.position import Learned, Sinusoidal
from oneblock.config.vision import Vision
from oneblock.inspect.columns import Column, columns
from oneblock.inspect.words import ACTIVATION_NAMES, FEED_FORWARD_NAMES
from oneblock.nn.block import Block, assemble
from oneblock.nn.branch import Branch, Residual
from oneblock.nn.modulation import PLAIN, Modulated, Unmodulated

NORM_NAMES: dict[type, str] = {
    NoNorm: "",
    LayerNorm: "LayerNorm",
    RMSNorm: "RMSNorm",
    PartialRMSNorm: "pRMSNorm",
}
BRANCH_NAMES = {"attention": "Attention", "cross_attention": "CrossAttention", "feed_forward": "FFN"}
READS = {"cross_attention": ", memory"}
POSITION_NAMES: dict[type, str] = {Learned: "Learned", Sinusoidal: "Sinusoidal", Sinusoidal2D: "Sinusoidal"}


@dataclass(frozen=True)
class Symbol:
    """A value written as text; what a block does with tensors it can do with these."""

    text: str
    is_sum: bool = False

    def __add__(self, other: Symbol) -> Symbol:
        return Symbol(f"{self.text} + {other.text}", is_sum=True)

    def __radd__(self, number: float) -> Symbol:
        return Symbol(f"{number:g} + {self.text}", is_sum=True)

    def __mul__(self, factor: float | torch.Tensor | Symbol) -> Symbol:
        inner = f"({self.text})" if self.is_sum else self.text
        if isinstance(factor, Symbol):
            return Symbol(f"{inner} ⊙ ({factor})" if factor.is_sum else f"{inner} ⊙ {factor}")
        if isinstance(factor, torch.Tensor):
            return Symbol(f"α·{inner}" if factor.numel() == 1 else f"λ ⊙ {inner}")
        return Symbol(f"{factor:g}·{inner}")

    def __str__(self) -> str:
        return self.text


class Applied(nn.Module):
    """name(x)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Symbol) -> Symbol:
        return Symbol(f"{self.name}({x})") if self.name else x


class NamedBranch(Branch):
    """A branch whose mixer is its name."""

    def __init__(self, name: str, norm_in: nn.Module | None, norm_out: nn.Module | None, reads: str = "") -> None:
        super().__init__(norm_in, norm_out)
        self.name, self.reads = name, reads

    def mix(self, x_BTD: Symbol, ctx: None) -> Symbol:  # type: ignore[override]
        return Symbol(f"{self.name}({x_BTD}{self.reads})")


class NamedModulation(nn.Module):
    """Shift β, scale γ and gate α of each branch, numbered; `unmodulated` ones have none."""

    def __init__(self, option: Modulation, branches: Sequence[str]) -> None:
        super().__init__()
        self.made: dict[str, Unmodulated | Modulated] = dict.fromkeys(branches, PLAIN)
        if not isinstance(option, NoModulation):
            for index, name in enumerate(branches, start=1):
                digit = "₀₁₂₃₄₅₆₇₈₉"[index % 10]
                shift, scale, gate = (Symbol(f"{letter}{digit}") for letter in "βγα")
                self.made[name] = Modulated(shift, scale, gate if isinstance(option, AdaLNZero) else None)  # type: ignore[arg-type]

    def forward(self, ctx: None) -> dict[str, Unmodulated | Modulated]:
        return self.made


def formula(option: BlockConfig) -> list[str]:
    """The update of each step of a block, in order: `["x = x + Attention(RMSNorm(x))", …]`.

    α is a learned number and λ a learned vector; two norms that read the same stream are numbered. β, γ and α with
    numbers are vectors from a condition. Dropout is left out.
    """

    def fill(name: str, norm_in: nn.Module | None, norm_out: nn.Module | None, dropout: float) -> Branch:
        mixture = FEED_FORWARD_NAMES.get(type(option.feed_forward)) if name == "feed_forward" else None
        return NamedBranch(mixture or BRANCH_NAMES[name], norm_in, norm_out, READS.get(name, ""))

    # Width 2, so that a learned vector is told from a learned number by its size.
    block = assemble(
        option,
        2,
        fill,
        lambda norm, width: Applied(NORM_NAMES[type(norm)]),
        lambda modulation, branches, width: NamedModulation(modulation, branches),
    )
    _number_parallel_norms(block)
    lines: list[str] = []

    def next_line(module: nn.Module, inputs: object, output: Symbol) -> Symbol:
        lines.append(f"x = {output}")
        return Symbol("x")

    for module in block.modules():
        if isinstance(module, Residual):
            module.register_forward_hook(next_line)
    block(Symbol("x"), None)
    return lines


def _number_parallel_norms(block: Block) -> None:
    for names, _, _ in block.steps:
        norms = [getattr(block, name).norm_in for name in names]
        named = [norm for norm in norms if isinstance(norm, Applied) and norm.name]
        for number, norm in enumerate(named if len(named) > 1 else [], start=1):
            norm.name += "₀₁₂₃₄₅₆₇₈₉"[number]


def formula_text(model: Model) -> str:
    """The whole model, one update to a line: embedding, each block of the pattern with its layers, head."""
    return "\n".join(map(_text, (model,) if isinstance(model, Images) else columns(model)))


def _text(model: Column | Images) -> str:
    lines = [f"x = {_embedding(model)}"]
    if isinstance(model, DiT):
        lines.insert(0, f"c = Time(t){' + Class(y)' if model.num_classes else ''}; every α, β, γ = W·SiLU(c) + b")
    period = len(model.blocks)
    for index, block in enumerate(model.blocks):
        layers = list(range(index + 1, model.num_layers + 1, period))
        lines.append(f"for {_layers(layers)} of {model.num_layers}:")
        lines += [f"    {line}" for line in formula(block)]
    return "\n".join([*lines, f"{_answer(model)} = {_head(model)}"])


def _answer(model: Column | Images) -> str:
    match model:
        case Column():
            return model.answer
        case Vision():
            return "vectors" if model.num_classes is None else "logits"
        case _:
            return "answer"


def _layers(layers: list[int]) -> str:
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if layers[1] == layers[0] + 1:
        return f"layers {layers[0]}–{layers[-1]}"
    shown = layers if len(layers) <= 4 else [*layers[:2], "…", layers[-1]]
    return f"layers {', '.join(map(str, shown))}"


def _embedding(model: Column | Images) -> str:
    position = POSITION_NAMES.get(type(model.position))
    match model:
        case Column():
            return _token_embedding(model, position)
        case Vision():
            return f"[class | Embedding(patches)]{f' + {position}(places)' if position else ''}"
        case _:
            return f"Embedding(patches){f' + {position}(columns, rows)' if position else ''}"


def _token_embedding(model: Column, position: str | None) -> str:
    text = f"Embedding({model.tokens})"
    text = f"√{model.width}·{text}" if model.embedding_scale else text
    if model.num_segments:
        text += " + Segment(segments)"
    if position:
        text += f" + {position}(positions)"
    return _normed(model.embedding_norm, text)


def _head(model: Column | Images) -> str:
    match model:
        case Column():
            return _token_head(model)
        case Vision():
            text = _normed(model.final_norm, "x")
            mean = ", mean of the patches" if model.head_reads == "class_and_mean" else ""
            return text if model.num_classes is None else f"Head({text} of class{mean})"
        case _:
            return f"unpatchify(Head({_normed(model.final_norm, 'x')} ⊙ (1 + γ) + β))"


def _token_head(model: Column) -> str:
    text, head = _normed(model.last_norm, "x"), model.head
    if isinstance(head, NoHead):
        return text
    if isinstance(head, TransformedHead):
        text = _normed(head.norm, f"{ACTIVATION_NAMES[head.activation]}(Dense({text}))")
    text = f"{text}/√{model.width}" if model.head_scale else text
    text = f"{text} · Embeddingᵀ" if model.tied else f"Head({text})"
    if head.bias and model.tied:
        text += " + b"
    cap = model.logit_soft_cap
    return text if cap is None else f"{cap:g}·tanh(({text}) / {cap:g})"


def _normed(norm: Norm, text: str) -> str:
    name = NORM_NAMES[type(norm)]
    return f"{name}({text})" if name else text
