"""A decoder as people write it today, with a switch for one fault: RoPE or ALiBi, grouped heads, RMSNorm, SwiGLU.

`Modern(fault="", position="rope", experts=0, window=0)` is healthy. `Pair(fault="")` is a small encoder-decoder.
"""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

V, D, H, G, K, L, CONTEXT = 31, 24, 6, 3, 4, 2, 96


class RMSNorm(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.weight = fault, nn.Parameter(torch.ones(D))

    def forward(self, x):
        if self.fault == "norm's gain is cut off":
            return F.rms_norm(x, (D,), self.weight.data, 1e-6)
        if self.fault == "half precision inside":
            return F.rms_norm(x.bfloat16(), (D,), self.weight.bfloat16(), 1e-6).to(x.dtype)
        return F.rms_norm(x, (D,), self.weight, 1e-6)


class Rotary(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault = fault
        self.register_buffer("inv_freq", 10000.0 ** (-torch.arange(0, K, 2).float() / K), persistent=False)

    def forward(self, x, places, sign=1):
        """x is B × heads × T × K."""
        fault = self.fault
        if fault == "positions halved":
            places = places // 2
        if fault == "positions end at 32":
            places = places.clamp(max=32)
        if fault == "angles in half precision":
            angles = places[:, None].to(x.dtype) * self.inv_freq.to(x.dtype)
        else:
            angles = places[:, None].double() * self.inv_freq.double()
        if fault == "angles by head":
            angles = torch.arange(x.shape[1])[:, None, None].double() * self.inv_freq.double()
        cos, sin = (torch.cat([f(sign * angles)] * 2, dim=-1).to(x.dtype) for f in (torch.cos, torch.sin))
        a, b = x.chunk(2, dim=-1)
        return x * cos + torch.cat([-b, a], dim=-1) * sin


def slopes(fault=""):
    below = 2 ** math.floor(math.log2(H))
    found = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    found += [2 ** (-4 * (2 * i + 1) / below) for i in range(H - below)]
    if fault == "slopes all alike":
        found = [0.5] * H
    if fault == "slopes as if a power of two":
        found = [2 ** (-8 * (i + 1) / H) for i in range(H)]
    return torch.tensor(found, dtype=torch.float64) * (-1 if fault == "slopes with the wrong sign" else 1)


class Attention(nn.Module):
    def __init__(self, fault, position, window, layer):
        super().__init__()
        self.fault, self.position, self.window, self.layer = fault, position, window, layer
        self.q, self.k, self.v = nn.Linear(D, H * K, bias=False), nn.Linear(D, G * K, bias=False), nn.Linear(D, G * K)
        self.out = nn.Linear(H * K, D, bias=False)
        if position == "rope":
            self.rotary = Rotary(fault)
        if fault == "key norm over tokens":
            self.gain = nn.Parameter(torch.ones(K))

    def forward(self, x, real=None, past=None):
        fault, (b, t, _) = self.fault, x.shape
        q = self.q(x).view(b, t, H, K).transpose(1, 2)
        k = self.k(x).view(b, t, G, K).transpose(1, 2)
        v = (self.k if fault == "values from the keys' matrix" else self.v)(x).view(b, t, G, K).transpose(1, 2)
        start = 0 if past is None else past[0].shape[2]
        places = torch.arange(start, start + t)
        if fault == "heads merged wrongly before":
            q = self.q(x).view(b, H, t, K)
        if fault == "key norm over tokens":
            k = k / (k.square().mean(2, keepdim=True) + 1e-6).sqrt() * self.gain
        if self.position == "rope":
            if fault == "places counted from the end":
                places = (start + t - 1) - places
            if fault != "only keys rotated":
                q = self.rotary(q, places)
            if fault == "keys rotated the other way":
                k = self.rotary(k, places, -1)
            elif fault == "keys begin anew with a cache":
                k = self.rotary(k, torch.arange(t))
            elif fault not in ("only queries rotated", "cached keys rotated again"):
                k = self.rotary(k, places)
            if fault == "values rotated too":
                v = self.rotary(v, places)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        if fault == "cached keys rotated again" and self.position == "rope":
            k = self.rotary(k, torch.arange(k.shape[2]))
        if fault == "ring buffer of 32":
            k, v = k[:, :, -32:], v[:, :, -32:]
        kept, s = (k, v), k.shape[2]
        if fault == "cache follows the first row":
            kept = (k[:1].expand_as(k), v[:1].expand_as(v))
        repeats = H // G
        wide_k, wide_v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        if fault == "values tiled, keys in blocks":
            wide_v = v.repeat(1, repeats, 1, 1)
        if fault == "last group unused":
            order = (torch.arange(H) // repeats).clamp(max=G - 2)
            wide_k, wide_v = k[:, order], v[:, order]
        far = torch.arange(s - t, s)[:, None] - torch.arange(s)
        seen = far >= (1 if fault == "a token is blind to itself" else 0)
        if fault == "a token is blind to itself":
            seen[0, 0] = True if s == t else seen[0, 0]
        if fault == "strict behind a cache" and past is not None and t > 1:
            seen = far >= 1
        window = self.window
        if fault == "window one too wide":
            window += 1
        if fault == "window missing in one layer" and self.layer == 1:
            window = 0
        if fault == "window forgotten with a cache" and past is not None:
            window = 0
        if window:
            seen = seen & (far < window)
        if fault == "attention within pieces of 8":
            seen = seen & (torch.arange(s - t, s)[:, None] // 8 == torch.arange(s) // 8)
        if fault == "mask of the first call kept":
            if not hasattr(self, "first"):
                self.first = s
            seen = seen if s <= self.first else torch.ones_like(seen)
        scores = q @ wide_k.transpose(-2, -1) * (K**-0.5)
        if self.position == "alibi":
            bias = -slopes(fault)[:, None, None] * far.double()
            if fault == "bias before the scale":
                bias = bias * K**-0.5
            if fault == "bias from chunk's start":
                bias = -slopes(fault)[:, None, None] * (torch.arange(t)[:, None] - torch.arange(s)).abs().double()
            scores = scores + bias.to(scores.dtype)
        seen = seen[None, None]
        if real is not None and not (fault == "first layer ignores pads" and self.layer == 0):
            mine = real[:1] if fault == "pads of the first row for all" else real
            mine = F.pad(mine, (s - mine.shape[1], 0), value=True) if mine.shape[1] < s else mine[:, -s:]
            seen = seen & mine[:, None, None, :]
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        w = scores.softmax(1 if fault == "softmax over heads" else -1)
        if fault == "softmax over heads":
            w = w * seen
        if fault == "weights dropped and not rescaled":
            w = torch.where(w < 0.05, 0.0, w)
        y = (w @ wide_v).transpose(1, 2).reshape(b, t, H * K)
        return self.out(y), kept


class Gated(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault = fault
        self.gate, self.up = nn.Linear(D, 40, bias=False), nn.Linear(D, 40, bias=False)
        self.down = nn.Linear(40, D, bias=False)

    def forward(self, x):
        if self.fault == "no activation":
            return self.down(self.gate(x) + self.up(x))
        if self.fault == "gate cut off":
            return self.down(F.silu(self.gate(x)).detach() * self.up(x))
        if self.fault == "gate twice, no up":
            return self.down(F.silu(self.gate(x)) * self.gate(x))
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Mixture(nn.Module):
    """Two of E experts."""

    def __init__(self, experts, fault=""):
        super().__init__()
        self.fault, self.router = fault, nn.Linear(D, experts, bias=False)
        self.experts = nn.ModuleList([Gated() for _ in range(experts)])

    def forward(self, x):
        fault, flat = self.fault, x.reshape(-1, D)
        logits = self.router(flat)
        share = logits.softmax(0 if fault == "router over tokens" else -1)
        weights, chosen = share.topk(2, dim=-1)
        if fault == "router over the wrong axis":
            chosen = logits.argmax(0)[:2].clamp(max=len(self.experts) - 1).expand_as(chosen)
        weights = weights / weights.sum(-1, keepdim=True)
        if fault == "weights of the router cut off":
            weights = weights.detach()
        if fault == "one expert, weight always one":
            chosen, weights = logits.argmax(-1, keepdim=True), torch.ones_like(weights[:, :1])
        if fault == "every token to one expert":
            chosen = torch.zeros_like(chosen)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            token, slot = torch.where(chosen == e)
            if not len(token):
                continue
            if fault == "later tokens evict earlier":
                token, slot = token[-4:], slot[-4:]
            to = (token + 1) % len(flat) if fault == "answers at the next token" else token
            out = out.index_add(0, to, expert(flat[token]) * weights[token, slot, None])
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, fault, position, experts, window, layer):
        super().__init__()
        self.fault, self.layer = fault, layer
        self.norm1, self.norm2 = RMSNorm(fault), RMSNorm(fault)
        self.attn = Attention(fault, position, window, layer)
        self.mlp = Mixture(experts, fault) if experts else Gated(fault)

    def forward(self, x, real=None, past=None):
        fault = self.fault
        a, kept = self.attn(self.norm1(x), real, past)
        x = x + a
        if fault == "one block without gradients" and self.layer == 1:
            with torch.no_grad():
                return x + self.mlp(self.norm2(x)), kept
        if fault == "shift by one token":
            x = x + 0.1 * F.pad(x[:, :-1], (0, 0, 1, 0))
        if fault == "skips go round the norm" and self.layer == 1:
            return self.norm2(x) + self.mlp(self.norm2(x)), kept
        return x + self.mlp(self.norm2(x)), kept


class Modern(nn.Module):
    def __init__(self, fault="", position="rope", experts=0, window=0):
        super().__init__()
        self.fault, self.vocab_size = fault, V
        self.config = SimpleNamespace(sliding_window=window or None, vocab_size=V)
        self.embed = nn.Embedding(V, D)
        self.blocks = nn.ModuleList([Block(fault, position, experts, window, i) for i in range(L)])
        self.norm, self.head = RMSNorm(), nn.Linear(D, V, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.05)
        if fault == "one block is a copy":
            self.blocks[1].load_state_dict(self.blocks[0].state_dict())
        if fault == "embedding all zero":
            nn.init.zeros_(self.embed.weight)
        if fault == "residual projections far too large":
            for block in self.blocks:
                nn.init.normal_(block.attn.out.weight, std=3.0)
        if fault == "a table that is not saved":
            self.register_buffer("table", torch.randn(CONTEXT, D) * 0.02, persistent=False)
        if fault == "head is a copy made once":
            self.turned = self.embed.weight.detach().t().clone()
        self.count = 0

    def train(self, mode=True):
        if self.fault == "train mode stops at the top":
            self.training = mode
            return self
        return super().train(mode)

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False, labels=None):
        fault, t = self.fault, input_ids.shape[1]
        if fault == "large ids are cut":
            input_ids = input_ids.clamp(max=V - 6)
        if fault == "seed set in the forward":
            torch.manual_seed(7)
        x = self.embed(input_ids)
        if fault == "squeezed":
            x = x.squeeze()
            x = x if x.dim() == 3 else x.unsqueeze(0)
        if fault == "a table that is not saved":
            start = 0 if past_key_values is None else past_key_values[0][0].shape[2]
            x = x + self.table[start : start + t].to(x.dtype)
        if fault == "scaled by the length":
            x = x * t**-0.5 * 3
        if fault == "counts its calls":
            self.count += 1
            x = x * (1 + 0.01 * self.count)
        real = None
        if attention_mask is not None:
            if fault == "mask turned by ~":
                real = ~(~attention_mask).bool()
            elif fault == "pads are zeroed, not masked":
                x = x * attention_mask[:, -t:, None].to(x.dtype)
            else:
                real = attention_mask.bool()
        if fault == "dropout on the stream always":
            x = x + 0.0 * F.dropout(x, 0.1)
        kept = []
        for i, block in enumerate(self.blocks):
            each = self.blocks[0] if fault == "the first block every time" else block
            x, now = each(x, real, None if past_key_values is None else past_key_values[i])
            kept.append(now)
        before = x
        x = self.norm(x)
        if fault == "last block left out of the head":
            x = self.norm(before.detach())
        logits = x @ self.turned.to(x.dtype) if fault == "head is a copy made once" else self.head(x)
        if fault == "batch mean in the logits":
            logits = logits - logits.mean((0, 1), keepdim=True)
        loss = None
        if labels is not None:
            wanted = labels[:, 1:]
            flat = logits[:, :-1].flatten(0, 1)
            if fault == "loss from the wrong end":
                wanted, flat = labels[:, :-1], logits[:, 1:].flatten(0, 1)
            loss = F.cross_entropy(flat, wanted.flatten())
            if fault == "mean over ignored labels too":
                loss = F.cross_entropy(flat, wanted.flatten(), reduction="sum") / wanted.numel()
            if fault == "loss of the last token":
                loss = F.cross_entropy(logits[:, -2], labels[:, -1])
            if fault == "probabilities in the loss":
                loss = F.nll_loss(flat.softmax(-1), wanted.flatten())
        return SimpleNamespace(logits=logits, loss=loss, past_key_values=kept if use_cache else None)


class Pair(nn.Module):
    """PyTorch's own encoder-decoder layers."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault = fault
        self.embed, self.places = nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        first = fault != "batch_first forgotten in the encoder"
        self.encoder = nn.ModuleList(
            [nn.TransformerEncoderLayer(D, 3, 40, 0.0, batch_first=first, norm_first=True) for _ in range(L)]
        )
        self.decoder = nn.ModuleList(
            [nn.TransformerDecoderLayer(D, 3, 40, 0.0, batch_first=True, norm_first=True) for _ in range(L)]
        )
        self.norm, self.last, self.head = nn.LayerNorm(D), nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, input_ids, attention_mask=None, decoder_input_ids=None):
        fault, s, t = self.fault, input_ids.shape[1], decoder_input_ids.shape[1]
        memory = self.embed(input_ids) + self.places(torch.arange(s))
        pads = None if attention_mask is None else attention_mask == 0
        for layer in self.encoder:
            memory = layer(memory, src_key_padding_mask=None if fault == "encoder sees pads" else pads)
        memory = self.norm(memory)
        x = self.embed(decoder_input_ids) + self.places(torch.arange(t))
        if fault == "memory is the target":
            memory, pads = x, None
        triangle = torch.ones(t, t, dtype=torch.bool).triu(1)
        across = torch.ones(t, memory.shape[1], dtype=torch.bool).triu(1) if fault == "memory masked causally" else None
        for layer in self.decoder:
            x = layer(
                x,
                memory,
                tgt_mask=None if fault == "decoder without mask" else triangle,
                memory_mask=across,
                memory_key_padding_mask=None if fault == "decoder sees the source's pads" else pads,
            )
        return self.head(self.last(x))
