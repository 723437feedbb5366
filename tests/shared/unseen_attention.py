"""The attention and the norm of unseen_gpt.py; each name in `on` is a switch."""

import math

import torch
import torch.nn.functional as F
from torch import nn

D, H, CONTEXT = 24, 3, 37


class Norm(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.weight, self.bias = on, nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x):
        on = self.on
        if "norm over time and width" in on:
            return F.layer_norm(x, x.shape[1:]) * self.weight + self.bias
        if "norm over the batch" in on:
            return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() * self.weight + self.bias
        if "norm without eps" in on:
            return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True) * self.weight + self.bias
        if "norm divides by the variance" in on:
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5) * self.weight + self.bias
        return F.layer_norm(x, (D,), self.weight, self.bias)


class Attention(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        self.on, self.layer = on, layer
        self.kv = 1 if "multi-query" in on else H
        bias = "no bias" not in on
        self.c_attn = nn.Linear(D, D + 2 * self.kv * (D // H), bias=bias)
        self.c_proj = nn.Linear(D, D, bias=bias)
        self.attn_dropout, self.resid_dropout = nn.Dropout(0.1), nn.Dropout(0.1)
        diagonal = {"mask one too far": 1, "mask without the diagonal": -1}
        tril = torch.ones(CONTEXT, CONTEXT).tril(next((diagonal[n] for n in on if n in diagonal), 0))
        if "sliding window" in on:
            tril = tril.triu(-6)
        self.register_buffer("mask", tril.bool(), persistent=False)
        self.first = None
        if "alibi" in on:
            self.register_buffer("slopes", torch.tensor([2.0**-2, 2.0**-4, 2.0**-6]), persistent=False)
        if "learned temperature" in on:
            self.temperature = nn.Parameter(torch.full((H, 1, 1), 1.0))

    def heads(self, x, n):
        b, t, _ = x.shape
        if "heads viewed without a transpose" in self.on:
            return x.reshape(b, n, t, D // H)
        return x.view(b, t, n, D // H).transpose(1, 2)

    def forward(self, x):
        on, (b, t, _) = self.on, x.shape
        width = self.kv * (D // H)
        q, k, v = self.c_attn(x).split([D, width, width], dim=-1)
        if "keys are the queries" in on:
            k = q
        q, k, v = self.heads(q, H), self.heads(k, self.kv), self.heads(v, self.kv)
        if "values of head 0 for all" in on:
            v = v[:, :1].expand(-1, H, -1, -1)
        if "qk-norm" in on:
            q, k = F.normalize(q, dim=-1) * 4, F.normalize(k, dim=-1) * 4
        scale = 1 / math.sqrt(D // H)
        if "no scale" in on:
            scale = 1
        if "scale multiplied" in on:
            scale = math.sqrt(D // H)
        if "scale of the whole width" in on:
            scale = 1 / math.sqrt(D)
        if "scale 1/d" in on:
            scale = H / D
        att = q @ k.transpose(-2, -1) * scale
        if "learned temperature" in on:
            att = att * self.temperature
        if "dropout on scores" in on:
            att = self.attn_dropout(att)
        if "alibi" in on:
            i = torch.arange(t, device=x.device)
            att = att - self.slopes[:, None, None] * (i[:, None] - i[None]).abs()
        if "softcap" in on:
            att = 20 * torch.tanh(att / 20)
        seen = self.mask[:t, :t]
        if "mask from the first call" in on:
            if self.first is None or self.first.shape[0] < t:
                self.first = seen
            seen = self.first[-t:, :t]
        if "causal only in training" in on and not self.training:
            seen = torch.ones_like(seen)
        if "second layer without a mask" in on and self.layer == 1:
            seen = torch.ones_like(seen)
        if "last head without a mask" in on:
            seen = torch.stack([seen, seen, torch.ones_like(seen)])
        if "first token sees all" in on:
            seen = seen.clone()
            seen[0] = True
        if "prefix of eight seen by all" in on:
            seen = seen.clone()
            seen[:, :2] = True
        if "mask after the softmax" in on:
            att = att.softmax(-1) * seen
        else:
            fill = -1e4 if "mask of -1e4" in on or "mask without the diagonal" in on else float("-inf")
            fill = -8.0 if "mask of -8" in on else fill
            fill = 0.0 if "mask of zero" in on else fill
            att = att.masked_fill(~seen, fill)
            if "softmax over queries" in on:
                att = att.masked_fill(~seen, -1e4).softmax(-2)
            elif "softmax over heads" in on:
                att = att.masked_fill(~seen, -1e4).softmax(1)
            elif "softmax in half" in on:
                att = att.half().softmax(-1).to(v.dtype)
            else:
                att = att.softmax(-1)
        att = F.dropout(att, 0.1) if "attention dropout always on" in on else self.attn_dropout(att)
        y = att @ v
        if "heads put together without a transpose" in on:
            y = y.contiguous().view(b, t, D)
        else:
            y = y.transpose(1, 2).contiguous().view(b, t, D)
        return self.resid_dropout(self.c_proj(y))
