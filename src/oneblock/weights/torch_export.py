"""Our blocks as PyTorch's own layers: `to_torch(module)`, the way back of `convert`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.attention import Attention
from oneblock.nn.block import Block
from oneblock.nn.branch import Branch
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.dense import Dense
from oneblock.nn.dropout import Dropout
from oneblock.nn.modulation import NoModulation
from oneblock.nn.norm import LayerNorm, NoNorm
from oneblock.nn.position import ModelPosition, Position
from oneblock.weights.torch_layers import Blocks, ConversionError, EncoderDecoderBlocks

ENCODER = [["attention"], ["feed_forward"]]
DECODER = [["attention"], ["cross_attention"], ["feed_forward"]]
PLAIN = (nn.Identity, NoNorm)


@torch.no_grad()
def to_torch(module: nn.Module, *, batch_first: bool = True) -> nn.Module:
    """One of our attentions, blocks or stacks as PyTorch's layer, with a copy of its weights: equal outputs.

    PyTorch's layers have biases everywhere or nowhere: where only some are here, the others become zeros. A causal
    mask is no part of a layer there: give it as `mask`. Raises ConversionError for what such a layer cannot say:
    rotary positions, fewer key/value heads, gates, other norms or places of norms, scaled residuals.
    """
    for kind, export in EXPORTS.items():
        if type(module) is kind:
            made = export(module, batch_first)
            return made.train(module.training)
    raise ConversionError(
        f"{type(module).__name__} has no equal in torch.nn; allowed: {', '.join(kind.__name__ for kind in EXPORTS)}"
    )


def _attention(module: Any, batch_first: bool) -> nn.MultiheadAttention:
    _check_attention(module)
    _need(not _norms(module), "a norm of its own", "take the attention out of its block without it")
    return _multihead(module, batch_first, bias=bool(_biases(module)))


def _multihead(module: Any, batch_first: bool, bias: bool) -> nn.MultiheadAttention:
    if isinstance(module, Attention):
        weight: Tensor = module.qkv.weight
        biases: list[Tensor] = [module.qkv.bias]
    else:
        weight = torch.cat([module.query.weight, module.key_value.weight])
        biases = [module.query.bias, module.key_value.bias]
    made: Any = nn.MultiheadAttention(
        module.output.out_features,
        module.num_heads,
        dropout=_rate(module.attend),
        bias=bias,
        batch_first=batch_first,
        device=weight.device,
        dtype=weight.dtype,
    )
    made.in_proj_weight.copy_(weight)
    made.out_proj.weight.copy_(module.output.weight)
    if bias:
        # Query, key and value have their biases together or not at all.
        made.in_proj_bias.copy_(torch.zeros(len(weight)) if biases[0] is None else torch.cat(biases))
        _fill_bias(made.out_proj, module.output.bias)
    return made


def _block(module: Any, batch_first: bool) -> nn.Module:
    steps = [names for names, _, _ in module.steps]
    _need(steps in (ENCODER, DECODER), f"the steps {steps}", f"{ENCODER} or {DECODER}")
    _need(type(module.modulation) is NoModulation, "a modulation", "none")
    names = [name for step in steps for name in step]
    branches: list[Any] = [getattr(module, name) for name in names]
    residuals = [getattr(module, f"{name}_residual") for name in names]
    feed_forward = branches[-1]
    _need(type(feed_forward) is Dense, f"a {type(feed_forward).__name__} feed-forward", "Dense")
    for name, branch, residual in zip(names, branches, residuals, strict=True):
        if name != "feed_forward":
            _check_attention(branch)
        plain = type(residual.skip) is nn.Identity and type(residual.scale) is nn.Identity
        _need(plain, f"the residual of {name}, scaled or off", "x + contribution")
        _need(type(branch.norm_out) in PLAIN, f"a norm behind {name}", "placement pre or post")
    before = [branch.norm_in for branch in branches]
    after = [residual.norm for residual in residuals]
    pre = all(type(norm) is LayerNorm for norm in before) and all(type(norm) in PLAIN for norm in after)
    post = all(type(norm) is LayerNorm for norm in after) and all(type(norm) in PLAIN for norm in before)
    _need(
        pre or post,
        "norms that are no LayerNorms all in front or all on the stream",
        "norm=layer, placement pre or post",
    )
    return _layer(module, feed_forward, before if pre else after, pre, batch_first)


def _layer(module: Any, feed_forward: Any, norms: list[Any], pre: bool, batch_first: bool) -> nn.Module:
    decoder = len(norms) == 3
    make: Callable[..., Any] = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    bias = bool(_biases(module))
    made = make(
        module.attention.output.out_features,
        module.attention.num_heads,
        dim_feedforward=feed_forward.up.out_features,
        activation=feed_forward.activation,
        batch_first=batch_first,
        norm_first=pre,
        bias=bias,
        device=feed_forward.up.weight.device,
        dtype=feed_forward.up.weight.dtype,
    )
    made.self_attn = _multihead(module.attention, batch_first, bias)
    if decoder:
        made.multihead_attn = _multihead(module.cross_attention, batch_first, bias)
    for linear, own in ((made.linear1, feed_forward.up), (made.linear2, feed_forward.down)):
        linear.weight.copy_(own.weight)
        _fill_bias(linear, own.bias)
    made.dropout.p = _rate(feed_forward.drop_hidden)
    places = ["attention", "cross_attention", "feed_forward"] if decoder else ["attention", "feed_forward"]
    for number, (name, norm) in enumerate(zip(places, norms, strict=True), start=1):
        _fill_norm(getattr(made, f"norm{number}"), norm)
        getattr(made, f"dropout{number}").p = _rate(getattr(module, name).drop)
    return made


def _blocks(module: Any, batch_first: bool) -> nn.Module:
    layers: list[Any] = [to_torch(block, batch_first=batch_first) for block in module.blocks]
    kinds = {type(layer) for layer in layers}
    _need(
        len(kinds) == 1, f"{len(layers)} blocks of {len(kinds)} kinds", "one or more, all with cross-attention or none"
    )
    norm: Any = None
    if type(module.norm) not in PLAIN:
        _need(type(module.norm) is LayerNorm, f"the last norm {type(module.norm).__name__}", "LayerNorm or none")
        like = layers[0].linear1.weight
        wanted = module.norm.bias is not None
        norm = nn.LayerNorm(module.norm.width, bias=wanted, device=like.device, dtype=like.dtype)
        _fill_norm(norm, module.norm)
    if kinds == {nn.TransformerDecoderLayer}:
        made: Any = nn.TransformerDecoder(layers[0], 0, norm)
    else:
        made = nn.TransformerEncoder(layers[0], 0, norm, enable_nested_tensor=False)
    made.layers, made.num_layers = nn.ModuleList(layers), len(layers)
    return made


def _encoder_decoder(module: Any, batch_first: bool) -> nn.Module:
    encoder, decoder = (to_torch(half, batch_first=batch_first) for half in (module.encoder, module.decoder))
    _need(isinstance(encoder, nn.TransformerEncoder), "an encoder with cross-attention", "one without")
    _need(isinstance(decoder, nn.TransformerDecoder), "a decoder without cross-attention", "one with it")
    attention = module.encoder.blocks[0].attention
    made = nn.Transformer(
        attention.output.out_features,
        attention.num_heads,
        custom_encoder=nn.Identity(),
        custom_decoder=nn.Identity(),
        batch_first=batch_first,
    )
    # Afterwards, since its constructor draws all weights anew, those of a custom encoder too.
    made.encoder, made.decoder = encoder, decoder
    return made


def _check_attention(module: Any) -> None:
    width, heads, head_width = module.output.out_features, module.num_heads, module.head_width
    _need(module.num_kv_heads == heads, f"{module.num_kv_heads} key/value heads for {heads} heads", "as many")
    _need(heads * head_width == width, f"heads of {head_width} in a width of {width}", "width / num_heads")
    _need(type(module.q_norm) in PLAIN and type(module.k_norm) in PLAIN, "norms on queries and keys", "none")
    _need(getattr(module.attend, "soft_cap", None) is None, "a soft cap", "none")
    _need(abs(module.attend.scale * head_width**0.5 - 1) < 1e-12, f"the scale {module.attend.scale}", "1/√head_width")
    if isinstance(module, Attention):
        _need(module.window is None, f"a window of {module.window}", "a mask, given to the layer")
        where = type(module.position).__name__
        _need(type(module.position) in (Position, ModelPosition), f"positions inside attention ({where})", "none")


def _need(fits: bool, has: str, wanted: str) -> None:
    if not fits:
        raise ConversionError(f"PyTorch's layers have no equal of {has}; wanted: {wanted}")


def _norms(module: Branch) -> list[nn.Module]:
    return [norm for norm in (module.norm_in, module.norm_out) if type(norm) not in PLAIN]


def _biases(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters() if name.rpartition(".")[2] == "bias"]


def _fill_bias(made: Any, bias: Tensor | None) -> None:
    if made.bias is not None:
        made.bias.zero_() if bias is None else made.bias.copy_(bias)


def _fill_norm(made: nn.LayerNorm, norm: Any) -> None:
    made.eps = norm.eps
    made.weight.fill_(1.0) if norm.weight is None else made.weight.copy_(norm.weight)
    _fill_bias(made, norm.bias)


def _rate(module: Any) -> float:
    if isinstance(module, Fused | Dropout):
        return module.p
    return _rate(module.dropout) if isinstance(module, WrittenOut) else 0.0


EXPORTS: dict[type, Callable[..., nn.Module]] = {
    Attention: _attention,
    CrossAttention: _attention,
    Block: _block,
    Blocks: _blocks,
    EncoderDecoderBlocks: _encoder_decoder,
}
