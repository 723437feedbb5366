"""Small transformers as people write them, each with a switch for one fault: what the doctor must find.

`Gpt(fault="")` is healthy: pre-norm, written-out attention, learned positions, cache, padding, loss with the shift inside
(called as Hugging Face's classes are). `Nano(fault="")` is the same in nanoGPT's manner: fused attention, targets, and
without them logits of the last token only. `Bert(fault="")` is an encoder.
"""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

V, D, H, L, CONTEXT = 23, 24, 3, 2, 80


class Norm(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.weight, self.bias = fault, nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x):
        if self.fault == "norm over tokens":
            return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt() * self.weight
        if self.fault == "norm over tokens and features":
            return F.layer_norm(x, x.shape[1:]) * self.weight + self.bias
        if self.fault == "norm in place":
            x -= x.mean(-1, keepdim=True)
            x /= (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            return x * self.weight + self.bias
        if self.fault == "norm in half overflows":
            return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * self.weight + self.bias
        if self.fault == "norm over the batch":
            return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() * self.weight + self.bias
        return F.layer_norm(x, (D,), self.weight, self.bias)


class Attention(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.qkv, self.out = fault, nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.drop = 0.3 if fault == "dropout in eval" else 0.0

    def forward(self, x, pads=None, past=None):
        fault, (b, t, _) = self.fault, x.shape

        def split(z):
            return z.view(b, t, H, D // H).transpose(1, 2)

        if fault == "heads without transpose":

            def split(z):
                return z.reshape(b, H, t, D // H)

        if fault == "batch and tokens swapped":

            def split(z):
                return z.transpose(0, 1).reshape(t, b, H, D // H).transpose(1, 2)

        q, k, v = map(split, self.qkv(x).chunk(3, dim=-1))
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        now, s = (k, v), k.shape[2]
        ahead = {"mask one too far": 1, "mask two too far": 2}.get(fault, 0)
        triangle = torch.ones(q.shape[2], s, dtype=torch.bool).tril(s - q.shape[2] + ahead)
        if fault == "top-left mask with a cache":
            triangle = torch.ones(q.shape[2], s, dtype=torch.bool).tril()
        if fault == "mask upside down":
            triangle = triangle.T.clone() if past is None else triangle
        if fault == "no mask" or (fault == "no mask in training" and self.training):
            triangle[:] = True
        if fault == "no mask with a cache" and past is not None:
            triangle[:] = True
        if fault == "no mask beyond 64" and s > 64:
            triangle[:] = True
        if fault == "mean over blocks of four":
            triangle = triangle | (torch.arange(s)[:, None] // 4 == torch.arange(s) // 4)
        if fault == "no mask when padded" and pads is not None:
            triangle[:] = True
        allowed = triangle[None, None]
        if pads is not None and fault != "pads unmasked":
            over = pads[:, None, :, None] if fault == "pads masked as queries" else ~pads[:, None, None, :]
            allowed = allowed & over if fault != "pads masked as queries" else allowed & ~over[:, :, -q.shape[2] :]
        scores = q @ k.transpose(-2, -1)
        if fault == "no scale":
            pass
        elif fault == "scaled by the model's width":
            scores = scores / math.sqrt(D)
        elif fault == "multiplied by the root":
            scores = scores * math.sqrt(D // H)
        else:
            scores = scores / math.sqrt(D // H)
        if fault == "mask after softmax":
            w = scores.softmax(-1) * allowed
        elif fault == "mask as one added":
            w = (scores + allowed.to(scores.dtype)).softmax(-1)
        elif fault == "weak mask":
            w = scores.masked_fill(~allowed, -15.0).softmax(-1)
        elif fault == "softmax over queries":
            w = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-2) * allowed
        elif fault == "masked rows are NaN":
            w = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        elif fault == "weights halved":
            w = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * 0.5
        else:
            w = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
        w = F.dropout(w, self.drop)
        y = w @ v
        if fault == "a dead head":
            y = y * torch.tensor([1.0, 0.0, 1.0], dtype=y.dtype)[:, None, None]
        if fault == "heads merged without transpose":
            return self.out(y.reshape(b, t, D)), now
        if fault == "batch and tokens swapped":
            return self.out(y.transpose(1, 2).reshape(t, b, D).transpose(0, 1)), now
        return self.out(y.transpose(1, 2).reshape(b, t, D)), now


class Mlp(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.up, self.down = fault, nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.norm1, self.norm2 = fault, Norm(fault), Norm(fault)
        self.attn, self.mlp = Attention(fault), Mlp(fault)
        if fault == "one norm shared":
            self.norm2 = self.norm1
        if fault == "a norm never used":
            self.norm3 = Norm()

    def forward(self, x, pads=None, past=None):
        fault = self.fault
        if fault in ("post-norm", "post-norm, residual lost"):
            a, now = self.attn(x, pads, past)
            x = self.norm1(x + a)
            return self.norm2(self.mlp(x) + (0 if fault.endswith("lost") else x)), now
        if fault == "no norm in a branch":
            a, now = self.attn(x, pads, past)
            x = x + a
            return x + self.mlp(self.norm2(x)), now
        if fault == "residual after the norm":
            x = self.norm1(x)
            a, now = self.attn(x, pads, past)
            x = self.norm2(x + a)
            return x + self.mlp(x), now
        a, now = self.attn(self.norm1(x), pads, past)
        if fault == "detached":
            a = a.detach()
        x = a if fault == "no residual around attention" else x + a
        if fault == "residual twice":
            x = x + x
        f = self.mlp(self.norm2(x))
        return f if fault == "no residual around the feed-forward" else x + f, now


class Gpt(nn.Module):
    """Healthy where fault is ""."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.vocab_size = fault, V
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        if fault == "blocks in a list":
            self.blocks = [Block(fault) for _ in range(L)]
        elif fault == "one block many times":
            self.blocks = nn.ModuleList([Block(fault)] * L)
        else:
            self.blocks = nn.ModuleList([Block(fault) for _ in range(L)])
        self.norm, self.head = Norm(), nn.Linear(D, V, bias=False)
        if fault != "normal embedding, tied":
            nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.02)
        if fault in ("normal embedding, tied", "tied"):
            self.head.weight = self.wte.weight
        if fault == "weights are one number":
            nn.init.constant_(self.blocks[0].mlp.up.weight, 0.02)
        if fault == "head far too large":
            nn.init.normal_(self.head.weight, std=3.0)
        if fault == "a plain tensor learns":
            self.gain = torch.full((D,), 0.9, requires_grad=True)
        if fault == "positions in a plain tensor":
            self.table = torch.randn(CONTEXT, D)
        if fault == "stale state":
            self.last = None

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False, labels=None):
        fault, t = self.fault, input_ids.shape[1]
        if fault == "eval inside the forward":
            self.blocks.eval()
        start = 0 if past_key_values is None else past_key_values[0][0].shape[2]
        if fault == "positions start at 0 with a cache":
            start = 0
        if fault == "positions one behind with a cache":
            start = max(0, start - 1)
        place = torch.arange(start, start + t)
        x = self.wte(input_ids)
        if fault not in ("positions forgotten", "positions in a plain tensor"):
            x = x + self.wpe(place)
        if fault == "positions in a plain tensor":
            x = x + self.table[place].to(x.dtype)
        if fault == "a plain tensor learns":
            x = x * self.gain.to(x.dtype)
        if fault == "sees the mean of all":
            x = x + 0.1 * x.mean(1, keepdim=True)
        if fault == "sees the next embedding":
            x = x + 0.5 * F.pad(x[:, 1:], (0, 0, 0, 1))
        if fault == "stale state":
            previous, self.last = self.last, x.detach().mean((0, 1))
            x = x if previous is None else x + previous
        if fault == "noise in eval":
            x = x + 0.01 * torch.randn_like(x)
        pads = None if attention_mask is None else attention_mask == 0
        if fault == "polarity of pads inverted" and pads is not None and bool(pads.any()):
            pads = ~pads
        if pads is not None and fault == "pads mean over all":
            x = x + x.mean((0, 1))
        kept = []
        for i, block in enumerate(self.blocks):
            x, now = block(x, pads, None if past_key_values is None else past_key_values[i])
            kept.append(now)
        if fault == "cache keeps the new keys only" and past_key_values is not None:
            kept = [(k[:, :, -t:], v[:, :, -t:]) for k, v in kept]
        if fault == "values in the cache are one behind":
            kept = [(k, v.roll(1, dims=2)) for k, v in kept]
        x = x if fault == "no final norm" else self.norm(x)
        logits = self.head(x)
        if fault == "argmax logits":
            logits = logits.softmax(-1).detach()
        loss = None
        if labels is not None:
            shift = {"labels not shifted": 0, "labels shifted twice": 2}.get(fault, 1)
            kept_logits = logits[:, : t - shift] if shift else logits
            if fault == "softmax before the loss":
                kept_logits = kept_logits.softmax(-1)
            wanted = labels[:, shift:]
            if fault == "ignored labels counted":
                wanted = wanted.clamp(min=0)
            loss = F.cross_entropy(kept_logits.flatten(0, 1), wanted.flatten())
            if fault == "loss looks at the batch":
                loss = loss + 0.1 * logits.mean(0).square().sum()
        return SimpleNamespace(logits=logits, loss=loss, past_key_values=kept if use_cache else None)


class NanoAttention(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.qkv, self.out = fault, nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (z.view(b, t, H, D // H).transpose(1, 2) for z in self.qkv(x).chunk(3, dim=-1))
        p = 0.1 if self.training or self.fault == "dropout in eval" else 0.0
        scale = {"no scale": 1.0, "multiplied by the root": (D // H) ** 0.5}.get(self.fault)
        causal = self.fault != "no mask" and not (self.fault == "no mask in training" and self.training)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=p, scale=scale)
        return self.out(y.transpose(1, 2).reshape(b, t, D))


class NanoBlock(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.ln_1, self.ln_2 = fault, nn.LayerNorm(D, bias=False), nn.LayerNorm(D, bias=False)
        self.attn, self.mlp = NanoAttention(fault), Mlp(fault)

    def forward(self, x):
        if self.fault == "no residual":
            return self.mlp(self.ln_2(self.attn(self.ln_1(x))))
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Nano(nn.Module):
    """nanoGPT's manner: (idx, targets) -> (logits, loss); the shift is in the data."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault, layers = fault, 1 if fault == "no positions, one layer" else L
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        self.h = nn.ModuleList([NanoBlock(fault) for _ in range(layers)])
        self.ln_f, self.lm_head = nn.LayerNorm(D, bias=False), nn.Linear(D, V, bias=False)
        self.lm_head.weight = self.wte.weight
        if fault != "normal embedding, tied":
            nn.init.normal_(self.wte.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.wte(idx)
        if self.fault != "no positions, one layer":
            x = x + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        if targets is None:
            return self.lm_head(x[:, [-1]]), None
        logits, wanted = self.lm_head(x), targets
        if self.fault == "labels shifted twice":
            return logits, F.cross_entropy(logits[:, :-2].flatten(0, 1), wanted[:, 2:].flatten())
        return logits, F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-1)


class Bert(nn.Module):
    """An encoder with padding."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.wte, self.wpe = fault, nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        self.blocks = nn.ModuleList([Block("post-norm" if fault == "" else fault) for _ in range(L)])
        for block in self.blocks:
            block.attn.fault = fault or "no mask"
        self.head = nn.Linear(D, V)

    def forward(self, input_ids, attention_mask=None):
        x = self.wte(input_ids)
        if self.fault != "no positions":
            x = x + self.wpe(torch.arange(input_ids.shape[1]))
        for block in self.blocks:
            x, _ = block(x, None if attention_mask is None else attention_mask == 0)
        return self.head(x)
