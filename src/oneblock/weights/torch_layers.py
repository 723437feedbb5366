"""PyTorch's own attention and transformer layers, converted into ours: `convert(module)`.

nn.MultiheadAttention          Attention (to itself), or CrossAttention (cross=True)
nn.TransformerEncoderLayer     Block of attention, feed_forward
nn.TransformerDecoderLayer     Block of attention, cross_attention, feed_forward
nn.TransformerEncoder/Decoder  Blocks
nn.Transformer                 EncoderDecoderBlocks
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.config.attention import Attention as AttentionConfig
from oneblock.config.block import Block as BlockConfig
from oneblock.config.block import Only
from oneblock.config.dense import Dense
from oneblock.config.errors import OneblockError
from oneblock.config.norm import LayerNorm as NormConfig
from oneblock.config.position import NoPosition
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.attention import Attention
from oneblock.nn.block import Block, make_block
from oneblock.nn.context import Context
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.norm import make_norm
from oneblock.nn.position import ModelPosition
from oneblock.weights.torch_masks import torch_context


class ConversionError(OneblockError):
    """A module that has no equal on the other side: what it is, and what can be converted."""


class Blocks(nn.Module):
    """norm(block_L(… block_1(x))), B × T × D -> B × T × D: a stack without embedding."""

    def __init__(self, blocks: list[Block], norm: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm or nn.Identity()

    def forward(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        for block in self.blocks:
            x_BTD = block(x_BTD, ctx)
        return self.norm(x_BTD)


class EncoderDecoderBlocks(nn.Module):
    """What nn.Transformer is: source B × S × D and target B × T × D, both embedded already, -> B × T × D.

    The masks are PyTorch's: boolean True = blocked, float added (`torch_context`). Nothing is causal by itself.
    """

    def __init__(self, encoder: Blocks, decoder: Blocks) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self,
        source_BSD: Tensor,
        target_BTD: Tensor,
        *,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        reading = torch_context(source_BSD, mask=src_mask, key_padding_mask=src_key_padding_mask)
        memory_BSD = self.encoder(source_BSD, reading)
        writing = torch_context(
            target_BTD,
            mask=tgt_mask,
            key_padding_mask=tgt_key_padding_mask,
            memory_BSD=memory_BSD,
            memory_mask=memory_mask,
            memory_key_padding_mask=memory_key_padding_mask,
        )
        return self.decoder(target_BTD, writing)


@torch.no_grad()
def convert(module: nn.Module, *, cross: bool = False, fused: bool = True) -> nn.Module:
    """One of PyTorch's layers as ours, with a copy of its weights: equal outputs for equal inputs.

    Ours are always batch first: transpose what a `batch_first=False` layer is given and gives. Positions are left to
    the caller, as there; masks come in by `torch_context`. `cross`: an nn.MultiheadAttention reads a memory. Equal
    to their exact path: without gradients theirs takes nn.GELU(approximate="tanh") for the exact GELU.
    Raises ConversionError for a layer, a subclass or an option that has no equal here.
    """
    if cross and type(module) is not nn.MultiheadAttention:
        raise ConversionError(f"cross=True is for nn.MultiheadAttention, and this is {_name(module)}")
    if type(module) is nn.MultiheadAttention and cross:
        made: nn.Module = _cross_attention(module, fused)
    elif type(module) in CONVERTERS:
        made = CONVERTERS[type(module)](module, fused)
    else:
        raise ConversionError(
            f"{_name(module)} cannot be converted; allowed: {', '.join('nn.' + kind.__name__ for kind in CONVERTERS)}"
            " (no subclasses: their forward may be another)"
        )
    return made.train(module.training)


def _name(module: object) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _attention_option(module: nn.MultiheadAttention) -> AttentionConfig:
    if module.bias_k is not None or module.add_zero_attn:
        raise ConversionError(
            "nn.MultiheadAttention with add_bias_kv or add_zero_attn attends to a key that is no token's, and "
            "no attention here does"
        )
    if module.in_proj_weight is None:
        raise ConversionError(
            f"nn.MultiheadAttention with kdim={module.kdim}, vdim={module.vdim}: keys and values must come from "
            f"vectors as wide as the queries' (embed_dim={module.embed_dim})"
        )
    return AttentionConfig(
        num_heads=module.num_heads,
        bias=module.in_proj_bias is not None,
        output_bias=module.out_proj.bias is not None,
        dropout=module.dropout,
    )


def _attention(module: nn.MultiheadAttention, fused: bool) -> Attention:
    # A float mask is a bias on the scores: it comes in where a position scheme's would.
    made = Attention(_attention_option(module), module.embed_dim, position=ModelPosition(), fused=fused)
    _fill_attention(made, module)
    return made


def _cross_attention(module: nn.MultiheadAttention, fused: bool) -> CrossAttention:
    made = CrossAttention(_attention_option(module), module.embed_dim, fused=fused)
    _fill_cross_attention(made, module)
    return made


def _fill_attention(made: Attention, module: nn.MultiheadAttention) -> None:
    _copy(made.qkv, module.in_proj_weight, module.in_proj_bias)
    _copy(made.output, module.out_proj.weight, module.out_proj.bias)


def _fill_cross_attention(made: CrossAttention, module: nn.MultiheadAttention) -> None:
    width, bias = module.embed_dim, module.in_proj_bias
    _copy(made.query, module.in_proj_weight[:width], None if bias is None else bias[:width])
    _copy(made.key_value, module.in_proj_weight[width:], None if bias is None else bias[width:])
    _copy(made.output, module.out_proj.weight, module.out_proj.bias)


def _copy(made: Any, weight: Tensor | None, bias: Tensor | None) -> None:
    # New parameters in the old ones' precision and place: a copy into float32 would round.
    made.weight = None if weight is None else nn.Parameter(weight.detach().clone())
    made.bias = None if bias is None else nn.Parameter(bias.detach().clone())


def _block(module: Any, fused: bool) -> Block:
    decoder = isinstance(module, nn.TransformerDecoderLayer)
    steps = ("attention", "cross_attention", "feed_forward") if decoder else ("attention", "feed_forward")
    norms = [module.norm1, module.norm2, *([module.norm3] if decoder else [])]
    drops = [module.dropout1, module.dropout2, *([module.dropout3] if decoder else [])]
    onlys: dict[str, Any] = {
        f"{step}_only": Only(norm=_norm_option(norm), dropout=drop.p)
        for step, norm, drop in zip(steps, norms, drops, strict=True)
    }
    width = module.linear1.in_features
    option = BlockConfig(
        steps=steps,
        attention=_attention_option(module.self_attn),
        cross_attention=_attention_option(module.multihead_attn) if decoder else AttentionConfig(),
        feed_forward=Dense(
            activation=_activation(module.activation),
            hidden=module.linear1.out_features,
            bias=module.linear1.bias is not None,
            dropout=module.dropout.p,
        ),
        placement="pre" if module.norm_first else "post",
        **onlys,
    )
    made: Any = make_block(option, width, position=NoPosition(), first_slot=0, fused=fused)
    made.attention.position = ModelPosition()
    _fill_attention(made.attention, module.self_attn)
    if decoder:
        _fill_cross_attention(made.cross_attention, module.multihead_attn)
    _copy(made.feed_forward.up, module.linear1.weight, module.linear1.bias)
    _copy(made.feed_forward.down, module.linear2.weight, module.linear2.bias)
    for step, norm in zip(steps, norms, strict=True):
        place = getattr(made, step).norm_in if module.norm_first else getattr(made, f"{step}_residual").norm
        _copy(place, norm.weight, norm.bias)
    return made


def _blocks(module: Any, fused: bool) -> Blocks:
    blocks: list[Any] = [convert(layer, fused=fused) for layer in module.layers]
    if module.norm is None:
        return Blocks(blocks, None)
    norm = make_norm(_norm_option(module.norm), module.norm.normalized_shape[0])
    _copy(norm, module.norm.weight, module.norm.bias)
    return Blocks(blocks, norm)


def _encoder_decoder(module: Any, fused: bool) -> EncoderDecoderBlocks:
    halves: list[Any] = [convert(half, fused=fused) for half in (module.encoder, module.decoder)]
    return EncoderDecoderBlocks(*halves)


def _norm_option(norm: Any) -> NormConfig:
    if type(norm) is not nn.LayerNorm or len(norm.normalized_shape) != 1:
        raise ConversionError(f"the norm {norm} cannot be converted; allowed: nn.LayerNorm over one dimension")
    return NormConfig(eps=norm.eps, gain=norm.weight is not None, bias=norm.bias is not None)


def _activation(activation: Callable[[Tensor], Tensor]) -> str:
    """Our name of an activation given as a function or as a module."""
    if isinstance(activation, nn.GELU):
        return "gelu" if activation.approximate == "none" else "gelu_tanh"
    name = ACTIVATION_MODULES.get(type(activation)) or ACTIVATION_FUNCTIONS.get(activation)
    if name:
        return name
    raise ConversionError(
        f"the activation {activation!r} cannot be converted; allowed: relu, gelu, silu and sigmoid, as functions of "
        "torch.nn.functional or as modules"
    )


ACTIVATION_MODULES: dict[type, str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Identity: "identity",
}
ACTIVATION_FUNCTIONS: dict[Callable[[Tensor], Tensor], str] = {
    **{function: name for name, function in ACTIVATIONS.items()},
    torch.relu: "relu",
    F.sigmoid: "sigmoid",
}

CONVERTERS: dict[type, Callable[..., nn.Module]] = {
    nn.MultiheadAttention: _attention,
    nn.TransformerEncoderLayer: _block,
    nn.TransformerDecoderLayer: _block,
    nn.TransformerEncoder: _blocks,
    nn.TransformerDecoder: _blocks,
    nn.Transformer: _encoder_decoder,
}
