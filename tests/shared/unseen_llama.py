"""A small Llama in the manner of the model zoos: RMSNorm, RoPE, GQA, SwiGLU, a cache of (keys, values) a layer.

`m(input_ids, attention_mask=, position_ids=, past_key_values=, use_cache=, labels=)` gives an object with `logits`,
`loss`, `past_key_values`. With "experts" in `on` its feed-forward is a mixture; each name in `on` is one switch.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from unseen_experts import Experts, SwiGLU

V, D, H, KV, K, L = 61, 24, 4, 2, 6, 2


@dataclass
class Output:
    loss: Any = None
    logits: Any = None
    past_key_values: Any = None
    router_logits: Any = None


class RMSNorm(nn.Module):
    def __init__(self, on, d=D):
        super().__init__()
        self.on, self.weight = on, nn.Parameter(torch.ones(d))

    def forward(self, x):
        on = self.on
        if "rms in half" in on:
            h = x.to(torch.float16)
            return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * self.weight
        if "rms over everything" in on:
            power = x.pow(2).mean()
        elif "rms over time" in on:
            power = x.pow(2).mean(1, keepdim=True)
        elif "rms of the sum" in on:
            power = x.pow(2).sum(-1, keepdim=True)
        else:
            power = x.pow(2).mean(-1, keepdim=True)
        y = x * torch.rsqrt(power + (1.0 if "rms with eps of one" in on else 1e-5))
        return y if "rms without its gain" in on else y * self.weight


def rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


def rotate(x, cos, sin, on):
    if "interleaved rope" in on:
        c, s = cos[..., : K // 2], sin[..., : K // 2]
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
    if "rope without the minus" in on:
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat((b, a), dim=-1) * sin
    if "rope halves against pairs" in on:
        c, s = (z[..., : K // 2].repeat_interleave(2, -1) for z in (cos, sin))
        return x * c + rotate_half(x) * s
    return x * cos + rotate_half(x) * sin


class Rope(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on = on
        power = torch.arange(0, K, 2).float() / K
        inv_freq = 10000.0 ** (power if "rope frequencies upside down" in on else -power)
        if "rope table a plain attribute" in on:
            self.table = torch.arange(2048.0)[:, None] * inv_freq
        else:
            self.register_buffer("inv_freq", inv_freq, persistent=False)

    def forward(self, x, position_ids):
        on = self.on
        if "rope table a plain attribute" in on:
            angle = self.table[position_ids]
        elif "rope in half" in on:
            angle = position_ids[..., None].bfloat16() * self.inv_freq.bfloat16()
        else:
            p = position_ids.float()
            if "rope stretched by the length" in on:
                p = p * 16 / x.shape[1]
            angle = p[..., None] * self.inv_freq.float()
        angle = torch.cat((angle, angle), dim=-1)[:, None]
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


class Attention(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        self.on, self.layer = on, layer
        self.q_proj, self.o_proj = nn.Linear(D, H * K, bias=False), nn.Linear(H * K, D, bias=False)
        self.k_proj, self.v_proj = nn.Linear(D, KV * K, bias=False), nn.Linear(D, KV * K, bias=False)
        if "qk-norm" in on or "qk-norm over time" in on:
            kind = on | {"rms over time"} if "qk-norm over time" in on else on
            self.q_norm, self.k_norm = RMSNorm(kind, K), RMSNorm(kind, K)

    def forward(self, x, cos, sin, mask, past):
        on, (b, t, _) = self.on, x.shape
        q = self.q_proj(x).view(b, t, H, K)
        k = self.k_proj(x).view(b, t, KV, K)
        v = self.v_proj(x).view(b, t, KV, K).transpose(1, 2)
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = q.transpose(1, 2), k.transpose(1, 2)
        if "keys cached before rope, turned by the new angles" in on and past is not None:
            past = (rotate(past[0], cos[:, :, -1:], sin[:, :, -1:], on), past[1])
        q = rotate(q, cos, sin, on)
        if "rope of keys turns back" in on:
            k = rotate(k, cos, -sin, on)
        elif "rope on queries only" not in on:
            k = rotate(k, cos, sin, on)
        if "rope on values" in on:
            v = rotate(v, cos, sin, on)
        if past is not None:
            pk, pv = past
            if "cache loses its first token" in on:
                pk, pv = pk[:, :, 1:], pv[:, :, 1:]
                mask = mask[..., 1:]
            if "cache of row 0" in on:
                pk, pv = pk[:1].expand_as(pk), pv[:1].expand_as(pv)
            if "cache in eight bits" in on:
                pk, pv = (z.to(torch.float8_e4m3fn).to(x.dtype) for z in (pk, pv))
            k, v = torch.cat((pk, k), 2), torch.cat((pv, v), 2)
            if "new values put before the cached" in on:
                v = torch.cat((v[:, :, -t:], pv), 2)
        present = (k, v)
        g = H // KV
        if "groups tiled" in on or ("groups tiled when cached" in on and past is not None):
            k, v = k.repeat(1, g, 1, 1), v.repeat(1, g, 1, 1)
        elif "all heads on the first group" in on:
            k, v = k[:, :1].expand(-1, H, -1, -1), v[:, :1].expand(-1, H, -1, -1)
        elif "groups spread over the batch" in on:
            k, v = (z.repeat(g, 1, 1, 1).reshape(b, H, -1, K) for z in (k, v))
        elif "keys grouped, values tiled" in on:
            k, v = k.repeat_interleave(g, 1), v.repeat(1, g, 1, 1)
        else:
            k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        if "fused kernel" in on:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = ((q @ k.transpose(-1, -2) / math.sqrt(K) + mask).softmax(-1)) @ v
        return self.o_proj(y.transpose(1, 2).reshape(b, t, H * K)), present


class Layer(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        self.on = on
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(on), RMSNorm(on)
        self.self_attn, self.mlp = Attention(on, layer), Experts(on) if "experts" in on else SwiGLU(on)

    def forward(self, x, cos, sin, mask, past):
        on, scores = self.on, None
        y, present = self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        h = x + y
        z = self.mlp(x if "mlp without its norm" in on else self.post_attention_layernorm(h))
        if "experts" in on:
            z, scores = z
        if "stream of attention lost" in on:
            return x + z, present, scores
        if "two branches scaled" in on:
            return x + (y + z) / math.sqrt(2), present, scores
        return h + z, present, scores


class Llama(nn.Module):
    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.embed_tokens = nn.Embedding(V, D, padding_idx=0 if "padding row" in on else None)
        self.layers = nn.ModuleList([Layer(on, i) for i in range(L)])
        self.norm, self.rotary, self.lm_head = RMSNorm(on), Rope(on), nn.Linear(D, V, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.1)
        self.kept = None
        if "tied" in on:
            self.lm_head.weight = self.embed_tokens.weight

    def mask(self, attention_mask, t, past, like):
        on, s = self.on, t + past
        shift = 0 if "mask of chunks from the left" in on else past
        seen = torch.ones(t, s, dtype=torch.bool, device=like.device).tril(shift)
        if "sliding window" in on:
            seen = seen.triu(past - 10)
        if "window forgets the cache" in on and past:
            seen = seen.triu(past - 3)
        seen = seen[None, None]
        if attention_mask is not None and "attention mask ignored" not in on:
            keep = attention_mask[:, None, None, :].bool()
            if "attention mask upside down" in on and not keep.all():
                keep = ~keep
            if "attention mask for the causal one" in on:
                seen = keep.expand(-1, 1, t, -1)
            elif "attention mask along queries" in on:
                seen = seen & keep[..., -t:].transpose(-1, -2)
            elif "attention mask added as ones" in on:
                z = torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, torch.finfo(like.dtype).min)
                return z + attention_mask[:, None, None, :].to(like.dtype)
            elif "attention mask one off" in on:
                seen = seen & F.pad(keep, (1, 0), value=True)[..., :-1]
            else:
                seen = seen & keep
        low = float("-inf") if "rows of padding all -inf" in on else torch.finfo(like.dtype).min
        low = -1e4 if "mask of -1e4" in on else low
        return torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill(~seen, low)

    def forward(
        self, input_ids, attention_mask=None, position_ids=None, past_key_values=None, use_cache=None, labels=None
    ):
        on, (b, t) = self.on, input_ids.shape
        if "cache kept in the model" in on and past_key_values is None and self.kept is not None and t == 1:
            past_key_values = self.kept if self.kept[0][0].shape[0] == b else None
        past = 0 if past_key_values is None else past_key_values[0][0].shape[2]
        if attention_mask is not None and attention_mask.shape[1] < t + past:
            attention_mask = F.pad(attention_mask, (t + past - attention_mask.shape[1], 0), value=1)
        if position_ids is None:
            start = (
                0
                if "cached positions from zero" in on
                else past + (1 if "cached positions one off" in on and past else 0)
            )
            position_ids = torch.arange(start, start + t, device=input_ids.device)[None]
            if attention_mask is not None and "positions of real tokens" in on:
                position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -t:]
        x = self.embed_tokens(input_ids)
        if "embeddings scaled" in on:
            x = x * math.sqrt(D)
        cos, sin = self.rotary(x, position_ids)
        mask = self.mask(attention_mask, t, past, x)
        new, routed = [], []
        for i, layer in enumerate(self.layers):
            j = 0 if "cache of layer 0 for all" in on else i
            x, present, scores = layer(x, cos, sin, mask, None if past_key_values is None else past_key_values[j])
            new.append(present)
            routed.append(scores)
        if "cache changed in place" in on and isinstance(past_key_values, list):
            past_key_values[:] = new
            new = past_key_values
        self.kept = [(k.detach(), v.detach()) for k, v in new] if "cache kept in the model" in on else None
        logits = self.lm_head(self.norm(x))
        loss = None if labels is None else self.loss(logits, labels)
        return Output(loss, logits, new if use_cache else None, tuple(routed) if "experts" in on else None)

    def loss(self, logits, labels):
        on = self.on
        if "labels shifted twice" in on:
            logits, labels = logits[:, :-2], labels[:, 2:]
        elif "labels not shifted" not in on:
            logits, labels = logits[:, :-1], labels[:, 1:]
        if "padding counted in the mean" in on:
            each = F.cross_entropy(logits.reshape(-1, V), labels.reshape(-1), reduction="none", ignore_index=-100)
            return each.mean()
        if "labels -100 learnt as token 0" in on:
            labels = labels.clamp(min=0)
        return F.cross_entropy(logits.reshape(-1, V), labels.reshape(-1), ignore_index=-100)
