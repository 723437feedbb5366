"""Attention as transformers' `AttentionInterface` takes it, written out, with one fault each by `module.fault`."""

import torch
import torch.nn.functional as F


def written_out(module, query, key, value, attention_mask, scaling=None, dropout=0.0, position_bias=None, **more):
    """Attention as `AttentionInterface` has it, in five lines, with the faults between."""
    fault, (b, h, t, d), s = getattr(module, "fault", ""), query.shape, key.shape[2]
    groups = key.shape[1]
    if fault == "keys of the next row":
        key = key.roll(1, 0)
    if fault == "all heads on the first group":
        key, value = key[:, :1].expand_as(key), value[:, :1].expand_as(value)
    key = key.repeat_interleave(h // groups, 1)
    tiled = fault == "values tiled, keys in blocks"
    value = value.repeat(1, h // groups, 1, 1) if tiled else value.repeat_interleave(h // groups, 1)
    scale = d**-0.5 if scaling is None else scaling
    scale = {"no scale": 1.0, "multiplied by the root": d**0.5, "scaled by the width": (h * d) ** -0.5}.get(
        fault, scale
    )
    scores = query @ key.transpose(-1, -2) * scale
    if position_bias is not None and fault != "bias left out":
        scores = scores + position_bias
    mask, least = attention_mask, torch.finfo(scores.dtype).min
    triangle = torch.ones(t, s, dtype=torch.bool, device=scores.device)
    if fault == "no mask" or (fault == "no mask in training" and module.training):
        mask = None
    if fault == "mask from the top left":
        mask = torch.zeros_like(scores).masked_fill(~triangle.tril(), least)
    if fault == "own mask, pads forgotten":
        mask = torch.zeros_like(scores).masked_fill(~triangle.tril(s - t), least)
    if fault == "mask one too far":
        mask = torch.zeros_like(scores).masked_fill(~triangle.tril(s - t + 1), least)
    if fault == "causal in an encoder":
        mask = torch.zeros_like(scores).masked_fill(~triangle.tril(s - t), least) + (0 if mask is None else mask)
    if fault == "weights without the token itself" and t == s:
        mask = torch.zeros_like(scores).masked_fill(~triangle.tril(-1), least)
    if mask is not None:
        if fault == "mask of -15":
            mask = mask.clamp(min=-15.0)
        if fault == "pads masked by -1":
            mask = mask.clamp(min=-1.0)
        if fault == "mask added as ones":
            mask = (mask == 0).to(scores.dtype)
        if fault == "mask upside down" and bool((mask != 0).any()):
            mask = torch.where(mask == 0, least, 0.0)
        if fault == "mask of the first row for all":
            mask = mask[:1]
        if fault == "pads masked as queries":
            mask = mask.transpose(-1, -2).expand(mask.shape[0], 1, s, t)
        if fault != "mask after the softmax":
            scores = scores + mask
    weights = scores.softmax(-2 if fault == "softmax over queries" else -1)
    if fault == "softmax over heads":
        weights = scores.softmax(1)
    if fault == "softmax in half precision":
        weights = scores.bfloat16().softmax(-1).to(value.dtype)
    if fault == "mask after the softmax" and mask is not None:
        weights = weights * (mask == 0)
    if fault == "dropout in eval":
        weights = F.dropout(weights, 0.1)
    if fault == "dropout without rescaling" and module.training:
        weights = weights * (torch.rand_like(weights) > 0.3)
    out = weights @ value
    if fault == "a dead head":
        out = out * (torch.arange(h, device=out.device) != 1)[:, None, None]
    if fault == "merged without a transpose":
        return out.reshape(b, t, h, d), weights
    return out.transpose(1, 2).contiguous(), weights
