"""Two decoders as people write them, each with switches that make it differ: what the parity debugger must name.

`Gpt(…)` is in nanoGPT's manner, `Llama(…)` in Llama's; the same seed gives the same weights whatever is switched, so
that two of them differ by the named things alone. `opaque(…)` is a Gpt whose attention cannot be looked into.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

V, D, L, CONTEXT = 23, 24, 2, 48


def drawn(module, seed=0):
    """Every weight awake: matrices at 1.5/√inputs, gains around 1, biases and tables at 0.3."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 2 and "wte" not in name and "wpe" not in name:
                p.copy_(1.5 * noise / math.sqrt(p.shape[-1]))
            else:
                p.copy_(0.3 * noise)
    return module


class LayerNorm(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.weight, self.bias = on, nn.Parameter(torch.ones(D)), nn.Parameter(torch.zeros(D))

    def forward(self, x):
        on, eps = self.on, self.on.get("eps", 1e-3)
        if "sample variance" in on:
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * self.weight + self.bias
        if "eps outside the root" in on:
            centred = x - x.mean(-1, keepdim=True)
            return centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps) * self.weight + self.bias
        if "rms" in on:
            return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * self.weight + self.bias
        if "one plus" in on:
            return F.layer_norm(x, (D,), 1 + self.weight, self.bias, eps)
        if "no norm bias" in on:
            return F.layer_norm(x, (D,), self.weight, None, eps)
        return F.layer_norm(x, (D,), self.weight, self.bias, eps)


class GptAttention(nn.Module):
    H = 3

    def __init__(self, on):
        super().__init__()
        self.on, self.c_attn, self.c_proj = on, nn.Linear(D, 3 * D), nn.Linear(D, D)

    def forward(self, x):
        on, (b, t, _), h = self.on, x.shape, self.on.get("heads", self.H)
        k_ = D // h
        raw = F.linear(x, self.c_attn.weight, None if "no qkv bias" in on else self.c_attn.bias)
        if "interleaved per head" in on:
            q, k, v = raw.view(b, t, h, 3, k_).transpose(1, 2).unbind(3)
        else:
            parts = raw.split(D, dim=2)
            if "keys first" in on:
                parts = (parts[1], parts[0], parts[2])
            if "heads without transpose" in on:
                q, k, v = (z.reshape(b, h, t, k_) for z in parts)
            else:
                q, k, v = (z.view(b, t, h, k_).transpose(1, 2) for z in parts)
        scores = q @ k.transpose(-2, -1) * on.get("scale", k_**-0.5)
        if "cap" in on:
            scores = on["cap"] * torch.tanh(scores / on["cap"])
        distance = torch.arange(t)[:, None] - torch.arange(t)
        seen = distance >= -on.get("ahead", 0)
        if "window" in on:
            seen = seen & (distance < on["window"])
        if "no mask" in on:
            seen = torch.ones_like(seen)
        if "softmax over queries" in on:
            w = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-2)
        else:
            w = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        y = w @ v
        y = y.reshape(b, t, D) if "merged without transpose" in on else y.transpose(1, 2).reshape(b, t, D)
        if "transposed output" in on:
            return y @ self.c_proj.weight + self.c_proj.bias
        return self.c_proj(y)


class Mlp(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.c_fc, self.c_proj = on, nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        on = self.on
        act = {
            "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
            "gelu_sigmoid": lambda z: z * torch.sigmoid(1.702 * z),
            "relu": F.relu,
            "silu": F.silu,
        }.get(on.get("act"), F.gelu)
        return F.linear(act(self.c_fc(x)), self.c_proj.weight, None if "no down bias" in on else self.c_proj.bias)


class GptBlock(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        if on.get("only layer", layer) != layer:
            on = {}
        self.on = on
        self.norm1, self.attn, self.norm2, self.mlp = LayerNorm(on), GptAttention(on), LayerNorm(on), Mlp(on)

    def forward(self, x):
        on = self.on
        if "post" in on:
            x = self.norm1(x + self.attn(x))
            return self.norm2(x + self.mlp(x))
        if "out" in on:
            x = x + self.norm1(self.attn(x))
            return x + self.norm2(self.mlp(x))
        if "parallel" in on:
            return x + self.attn(self.norm1(x)) + self.mlp(self.norm2(x))
        if "residual after norm" in on:
            n = self.norm1(x)
            x = n + self.attn(n)
            n = self.norm2(x)
            return n + self.mlp(n)
        branch = on.get("branch", 1.0)
        a = self.attn(self.norm1(x)) * branch
        x = a if "no residual" in on else x + a
        return x + self.mlp(x if "no norm before mlp" in on else self.norm2(x)) * branch


class Gpt(nn.Module):
    def __init__(self, **on):
        super().__init__()
        self.on, layers = on, on.get("layers", L)
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        self.norm_f = LayerNorm(on if "only layer" not in on else {})
        self.head = nn.Linear(D, V, bias=False)
        self.blocks = nn.ModuleList(GptBlock(on, i) for i in range(layers))
        drawn(self, on.get("seed", 0))
        with torch.no_grad():
            if "untied" in on:
                torch.manual_seed(9)
                self.head.weight.copy_(0.3 * torch.randn(V, D))
            else:
                self.head.weight = self.wte.weight
            if "one weight" in on:
                self.blocks[1].mlp.c_fc.weight[3, 5] += 0.5
            if "half" in on:
                for p in self.parameters():
                    p.copy_(p.bfloat16())

    def forward(self, ids):
        on, t = self.on, ids.shape[1]
        places = torch.arange(t) + on.get("offset", 0)
        x = self.wte(ids)
        if "embedding scale" in on:
            x = x * math.sqrt(D)
        if "no positions" not in on:
            x = x + self.wpe(places)
        for block in self.blocks:
            x = block(x)
        x = x if "no final norm" in on else self.norm_f(x)
        logits = self.head(x)
        if "logit cap" in on:
            logits = on["logit cap"] * torch.tanh(logits / on["logit cap"])
        return logits * on.get("logit scale", 1.0)


class RMSNorm(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.weight = on, nn.Parameter(torch.ones(D))

    def forward(self, x):
        on, eps = self.on, self.on.get("eps", 1e-5)
        if "layer" in on:
            x = x - x.mean(-1, keepdim=True)
        y = x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()
        return y + y * self.weight if "one plus" in on else y * self.weight


class LlamaAttention(nn.Module):
    H, G, K = 6, 3, 4

    def __init__(self, on):
        super().__init__()
        h, g, k = self.H, self.G, self.K
        self.on, self.q_proj = on, nn.Linear(D, h * k, bias=False)
        self.k_proj, self.v_proj = (nn.Linear(D, g * k, bias=False) for _ in "kv")
        self.o_proj = nn.Linear(h * k, D, bias=False)

    def turned(self, x):
        on, t = self.on, x.shape[2]
        half = self.K // 2
        phase = torch.arange(t)[:, None] * on.get("theta", 1e4) ** (-torch.arange(half, dtype=torch.float64) / half)
        cos, sin = phase.cos().to(x.dtype), phase.sin().to(x.dtype)
        if "backwards" in on:
            sin = -sin
        if "interleaved" in on:
            a, b = x[..., ::2], x[..., 1::2]
            return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def forward(self, x):
        on, (b, t, _) = self.on, x.shape
        w_q = self.q_proj.weight.T if "transposed queries" in on else self.q_proj.weight
        q = F.linear(x, w_q).view(b, t, self.H, self.K).transpose(1, 2)
        k, v = (f(x).view(b, t, self.G, self.K).transpose(1, 2) for f in (self.k_proj, self.v_proj))
        if "no rope" not in on:
            q = self.turned(q)
            k = k if "queries turned alone" in on else self.turned(k)
        r = self.H // self.G
        if "strided" in on:
            k, v = k.repeat(1, r, 1, 1), v.repeat(1, r, 1, 1)
        else:
            k, v = k.repeat_interleave(r, 1), v.repeat_interleave(r, 1)
        mask = torch.ones(t, t, dtype=torch.bool).tril()
        if "window" in on:
            mask = mask.triu(1 - on["window"])
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=on.get("scale"))
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Swiglu(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on = on
        self.gate_proj, self.up_proj = (nn.Linear(D, 40, bias=False) for _ in "gu")
        self.down_proj = nn.Linear(40, D, bias=False)

    def forward(self, x):
        act = {"gelu": F.gelu, "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"), "relu": F.relu}.get(
            self.on.get("act"), F.silu
        )
        gate, up = self.gate_proj(x), self.up_proj(x)
        return self.down_proj(gate * act(up) if "up activated" in self.on else act(gate) * up)


class LlamaBlock(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        if on.get("only layer", layer) != layer:
            on = {}
        self.on = on
        self.norm1, self.attn, self.norm2, self.mlp = RMSNorm(on), LlamaAttention(on), RMSNorm(on), Swiglu(on)

    def forward(self, x):
        on = self.on
        if "post" in on:
            x = self.norm1(x + self.attn(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attn(self.norm1(x)) * on.get("branch", 1.0)
        return x + self.mlp(self.norm2(x)) * on.get("branch", 1.0)


class Llama(nn.Module):
    def __init__(self, **on):
        super().__init__()
        self.on, self.embed_wte, self.head = on, nn.Embedding(V, D), nn.Linear(D, V, bias=False)
        self.blocks = nn.ModuleList(LlamaBlock(on, i) for i in range(L))
        self.norm_f = RMSNorm(on if "only layer" not in on else {})
        drawn(self, on.get("seed", 0))
        if "one weight" in on:
            with torch.no_grad():
                self.blocks[0].attn.k_proj.weight[2, 7] += 0.5

    def forward(self, input_ids):
        x = self.embed_wte(input_ids)
        if "embedding scale" in self.on:
            x = x * D**0.5
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm_f(x))
        return 30 * torch.tanh(logits / 30) if "logit cap" in self.on else logits


class PlainAttention(GptAttention):
    """Runs where no function mode sees it, as a kernel of one's own does."""

    def forward(self, x):
        with torch._C.DisableTorchFunction():
            return GptAttention.forward(self, x)


def opaque(**on):
    """A Gpt whose attention nothing can look into."""
    made = Gpt(**on)
    for block in made.blocks:
        block.attn.__class__ = PlainAttention
    return made
