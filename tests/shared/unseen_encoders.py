"""A small BERT with padding and segments, and a small encoder-decoder in the manner of T5 and BART; switches in `on`.

`Bert`: `m(input_ids, attention_mask=, token_type_ids=) -> logits`; with "classifier", one row of scores a text.
`Seq2Seq`: `m(input_ids, attention_mask=, decoder_input_ids=, labels=)` gives an object with `logits` and `loss`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

V, D, H, K, L, CONTEXT, PAD, START = 61, 24, 3, 8, 2, 37, 0, 1


@dataclass
class Output:
    loss: Any = None
    logits: Any = None


class Attention(nn.Module):
    """query (B, T, D) over memory (B, S, D); mask is added to the scores."""

    def __init__(self, on):
        super().__init__()
        self.on = on
        self.query, self.key, self.value, self.out = (nn.Linear(D, D) for _ in range(4))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, memory, mask=None, bias=None):
        on, (b, t, _) = self.on, x.shape
        q, k, v = (
            f(z).view(b, -1, H, K).transpose(1, 2)
            for f, z in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        scores = q @ k.transpose(-1, -2)
        if "unscaled scores" not in on:
            scores = scores / math.sqrt(K)
        scores = scores if bias is None else scores + bias
        scores = scores if mask is None else scores + mask
        if "softmax over queries" in on:
            p = scores.softmax(-2)
        elif "softmax of the last layer missing" in on:
            p = scores.clamp(min=0) / 10
        else:
            p = scores.softmax(-1)
        return self.out((self.dropout(p) @ v).transpose(1, 2).reshape(b, t, D))


def added(mask, like, on=frozenset()):
    """(B, T) of ones and zeros as (B, 1, 1, T) to add to scores."""
    m = mask[:, None, None, :].to(like.dtype)
    if "mask upside down" in on:
        return m * -1e4
    if "mask of minus one" in on:
        return m - 1
    if "mask along queries" in on:
        m = m.transpose(-1, -2).expand(-1, -1, -1, mask.shape[1])
    if "mask multiplied" in on:
        return m
    return (1 - m) * (torch.finfo(like.dtype).min if "mask of the least number" in on else -1e4)


class BertLayer(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on = on
        self.attention, self.norm1, self.norm2 = Attention(on), nn.LayerNorm(D), nn.LayerNorm(D)
        self.inner, self.outer, self.dropout = nn.Linear(D, 4 * D), nn.Linear(4 * D, D), nn.Dropout(0.1)
        if "batch norm" in on:
            self.norm2 = nn.BatchNorm1d(D)

    def forward(self, x, mask):
        on = self.on
        y = self.dropout(self.attention(x, x, mask))
        x = self.norm1(y) if "norm without residual" in on else self.norm1(x + y)
        y = self.dropout(self.outer(F.gelu(self.inner(x))))
        if "batch norm" in on:
            return self.norm2((x + y).transpose(1, 2)).transpose(1, 2)
        return self.norm2(x + y)


class Bert(nn.Module):
    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.words = nn.Embedding(V, D, padding_idx=PAD)
        self.positions, self.segments = nn.Embedding(CONTEXT + 2, D), nn.Embedding(2, D)
        self.norm, self.dropout = nn.LayerNorm(D), nn.Dropout(0.1)
        self.layers = nn.ModuleList([BertLayer(on) for _ in range(L)])
        self.dense, self.head_norm, self.bias = nn.Linear(D, D), nn.LayerNorm(D), nn.Parameter(torch.zeros(V))
        if any("classifier" in name for name in on):
            del self.head_norm, self.bias
            self.classifier = nn.Linear(D, 3)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        on, t = self.on, input_ids.shape[1]
        if attention_mask is None:
            attention_mask = input_ids != PAD if "padding found in the ids" in on else torch.ones_like(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        pos = torch.arange(t, device=input_ids.device)[None]
        if "positions count real tokens" in on:
            pos = attention_mask.long().cumsum(-1) * attention_mask.long() + 1
        if "positions shrink with the padding" in on:
            pos = (pos - (attention_mask == 0).sum(-1, keepdim=True)).clamp(min=0)
        x = self.words(input_ids) + self.segments(token_type_ids)
        x = x if "positions left out" in on else x + self.positions(pos)
        x = F.layer_norm(x, x.shape[1:]) if "embeddings normed over the text" in on else self.norm(x)
        x = F.dropout(x, 0.1) if "embedding dropout always on" in on else self.dropout(x)
        mask = added(attention_mask, x, on)
        if "mask left out" in on:
            mask = None
        if "mask left out after the first layer" in on:
            masks = [mask, None]
        else:
            masks = [mask] * L
        if "causal mask in an encoder" in on:
            masks = [m + torch.full((t, t), -1e4).to(x).triu(1) for m in masks]
        for layer, m in zip(self.layers, masks, strict=True):
            x = layer(x, m)
        if hasattr(self, "classifier"):
            keep = attention_mask[..., None].to(x.dtype)
            if "classifier of the mean, padding too" in on:
                x = x.mean(1)
            elif "classifier of the last place" in on:
                x = x[:, -1]
            elif "classifier of the sum" in on:
                x = (x * keep).sum(1) / t
            elif "classifier of the mean" in on:
                x = (x * keep).sum(1) / keep.sum(1)
            else:
                x = x[:, 0]
            return self.classifier(torch.tanh(self.dense(x)))
        weight = self.words.weight.detach() if "head of detached words" in on else self.words.weight
        return self.head_norm(F.gelu(self.dense(x))) @ weight.T + self.bias


def buckets(t, s, both):
    """T5's distances in buckets, here one a distance up to 7."""
    d = torch.arange(s)[None] - torch.arange(t)[:, None]
    return d.clamp(-7, 7) + 7 if both else (-d).clamp(0, 14)


class Stack(nn.Module):
    def __init__(self, on, decoder):
        super().__init__()
        self.on, self.decoder = on, decoder
        self.selfs = nn.ModuleList([Attention(on) for _ in range(L)])
        self.crosses = nn.ModuleList([Attention(on) for _ in range(L if decoder else 0)])
        self.mlps = nn.ModuleList([nn.Sequential(nn.Linear(D, 48), nn.ReLU(), nn.Linear(48, D)) for _ in range(L)])
        self.norms = nn.ModuleList([nn.LayerNorm(D) for _ in range(3 * L + 1)])
        self.distance, self.dropout = nn.Embedding(15, H), nn.Dropout(0.1)

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        on, t = self.on, x.shape[1]
        bias = self.distance(buckets(t, t, not self.decoder).to(x.device)).permute(2, 0, 1)[None]
        causal = torch.full((t, t), -1e4, device=x.device, dtype=x.dtype).triu(1)
        if self.decoder:
            mask = None if "decoder sees ahead" in on else causal
            if "decoder one too far" in on:
                mask = torch.full_like(causal, -1e4).triu(2)
        elif "encoder causal" in on:
            mask = causal if mask is None else mask + causal
        x = self.dropout(x)
        for i in range(L):
            n = self.norms[3 * i : 3 * i + 3]
            h = n[0](x)
            x = x + self.dropout(self.selfs[i](h, h, mask, bias))
            if self.decoder and "no cross attention" not in on:
                h, m = n[1](x), memory_mask
                if "cross attention causal" in on:
                    gone = torch.ones(t, memory.shape[1], device=x.device).triu(1) * -1e4
                    m = gone.to(x.dtype) if m is None else m + gone.to(x.dtype)
                if "cross attention on itself" in on:
                    x = x + self.crosses[i](h, h, mask)
                elif "cross attention turned round" in on:
                    s = min(t, memory.shape[1])
                    x = x + F.pad(self.crosses[i](memory[:, :s], h), (0, 0, 0, t - s))
                elif "memory of row 0" in on:
                    x = x + self.crosses[i](h, memory[:1].expand_as(memory), m)
                elif "memory of one place" in on:
                    x = x + self.crosses[i](h, memory[:, :1], None)
                else:
                    x = x + self.dropout(self.crosses[i](h, memory, m))
            x = x + self.dropout(self.mlps[i](n[2](x)))
        return self.norms[-1](x)


class Seq2Seq(nn.Module):
    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.shared, self.encoder, self.decoder = nn.Embedding(V, D), Stack(on, False), Stack(on, True)
        if "one stack for both" in on:
            self.decoder.selfs, self.decoder.mlps = self.encoder.selfs, self.encoder.mlps
        self.lm_head = nn.Linear(D, V, bias=False)
        if "tied and scaled" in on:
            self.lm_head.weight = self.shared.weight

    def forward(self, input_ids, attention_mask=None, decoder_input_ids=None, labels=None):
        on = self.on
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("give decoder_input_ids or labels")
            decoder_input_ids = labels.clamp(min=0)
            if "labels not shifted right" not in on:
                decoder_input_ids = F.pad(decoder_input_ids, (1, 0), value=START)[:, :-1]
        x = self.shared(input_ids)
        mask = None if attention_mask is None else added(attention_mask, x, on)
        memory = self.encoder(x, None if "encoder mask left out" in on else mask)
        if "memory detached" in on:
            memory = memory.detach()
        if "memory averaged over the batch" in on:
            memory = memory - memory.mean(0)
        y = self.decoder(self.shared(decoder_input_ids), None, memory, None if "cross mask left out" in on else mask)
        logits = self.lm_head(y * D**-0.5 if "tied and scaled" in on else y)
        loss = None
        if labels is not None:
            z, w = (logits[:, :-1], labels[:, 1:]) if "labels shifted again in the loss" in on else (logits, labels)
            loss = F.cross_entropy(z.reshape(-1, V), w.reshape(-1), ignore_index=-100)
        return Output(loss, logits)
