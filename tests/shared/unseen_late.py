"""Two more hosts for the second list: one on torch's own MultiheadAttention, one in the manner of the newer decoders.

Each name in `on` is one switch; the faults and the healthy variants by name are in unseen_second.py.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

V, D, H, K, L, CONTEXT = 53, 20, 5, 4, 3, 96


class ReluForGelu(torch.autograd.Function):
    """GELU whose backward is ReLU's."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] > 0)


class Tutorial(nn.Module):
    """A language model on nn.MultiheadAttention: `m(tokens, key_padding_mask=None, labels=None)`."""

    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.embedding = nn.Embedding(V, D, max_norm=0.08 if "embedding of max_norm" in on else None)
        self.positions = nn.Parameter(0.02 * torch.randn(CONTEXT, D))
        first = self.layer()
        self.layers = nn.ModuleList([self.layer() for _ in range(L)])
        if "layers are copies of one" in on:
            for layer in self.layers:
                layer.load_state_dict(first.state_dict())
        self.register = nn.Parameter(0.02 * torch.randn(D))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, V)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)
        if "random features not saved" in on:
            self.register_buffer("features", torch.randn(D, D) / D**0.5, persistent=False)
        self.running = torch.zeros(D)
        if "register at the end" not in on and "register at the front" not in on:
            del self.register

    def layer(self):
        first = "batch first forgotten" not in self.on
        return nn.ModuleDict(
            {
                "attention": nn.MultiheadAttention(D, H, batch_first=first),
                "norm1": nn.LayerNorm(D),
                "norm2": nn.LayerNorm(D),
                "up": nn.Linear(D, 4 * D),
                "down": nn.Linear(4 * D, D),
            }
        )

    def mask(self, t, like):
        on = self.on
        i = torch.arange(t, device=like.device)
        hidden = i[None, :] > i[:, None]
        if "mask turned round" in on:
            hidden = ~hidden
        if "mask as ones added" in on:
            return hidden.to(like.dtype)
        if "tokens of a block of eight see each other" in on:
            hidden = i[None, :] // 8 > i[:, None] // 8
        if "only its own block of eight" in on:
            hidden = hidden | (i[None, :] // 8 != i[:, None] // 8)
        if "window on the wrong side" in on:
            hidden = (i[None, :] < i[:, None]) | (i[None, :] > i[:, None] + 7)
        if "register at the end" in on:
            hidden = hidden.clone()
            hidden[-1], hidden[:, -1] = False, False
        return hidden

    def block(self, layer, x, mask, padding):
        on = self.on
        h = layer["norm1"](x)
        y = layer["attention"](h, h, h, attn_mask=mask, key_padding_mask=padding, need_weights=False)[0]
        x = x + (F.relu(y) if "relu on what attention gives" in on else y)
        u = layer["up"](layer["norm2"](x))
        u = ReluForGelu.apply(u) if "backward of another activation" in on else F.gelu(u)
        x = x + layer["down"](u)
        return x.bfloat16().to(x.dtype) if "stream kept in bfloat16" in on else x

    def forward(self, tokens, key_padding_mask=None, labels=None):
        on, (b, t) = self.on, tokens.shape
        ids, padding = tokens, key_padding_mask
        if "words renumbered by the text" in on:
            ids = torch.unique(tokens, return_inverse=True)[1]
        x = self.embedding(ids)
        if "padded inside on the left" in on:
            more = -t % 8
            x = F.pad(x, (0, 0, more, 0))
        x = x + self.positions[: x.shape[1]]
        if "register at the end" in on:
            x = torch.cat([x, self.register.expand(b, 1, D)], 1)
        if "register at the front" in on:
            x = torch.cat([self.register.expand(b, 1, D), x], 1)
        if "one token squeezed" in on:
            x = x.squeeze()
            x = x if x.dim() == 3 else x.view(1, -1, D)
        if "running mean kept in eval" in on:
            with torch.no_grad():
                self.running = 0.9 * self.running.to(x) + 0.1 * x.mean((0, 1))
            x = x - self.running
        if "own dropout without rescaling" in on and self.training:
            x = x * (torch.rand_like(x) > 0.3)
        if "random features not saved" in on:
            x = x + torch.tanh(x @ self.features)
        if padding is not None and "padding turned round" in on:
            padding = ~padding
        if padding is not None and "padding zeroes the embeddings alone" in on:
            x, padding = x.masked_fill(padding[..., None], 0), None
        if padding is not None and "register at the front" in on:
            padding = F.pad(padding, (1, 0))
        mask = self.mask(x.shape[0 if "batch first forgotten" in on else 1], x)
        for layer in self.layers[:-1] if "last layer never run" in on else self.layers:
            if "recomputed in training" in on and self.training:
                x = checkpoint(self.block, layer, x, mask, padding, use_reentrant=False)
            else:
                x = self.block(layer, x, mask, padding)
        x = x[:, :-1] if "register at the end" in on else x
        x = x[:, -t:] if "padded inside on the left" in on or "register at the front" in on else x
        logits = self.head(self.norm(x))
        if labels is None:
            return logits
        flat, goal = logits[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1)
        if "likelihood of probabilities" in on:
            return logits, F.nll_loss(flat.softmax(-1), goal)
        if "log-softmax twice" in on:
            flat = flat.log_softmax(-1)
        loss = F.cross_entropy(flat, goal)
        return logits, loss / math.log(2) if "loss in bits" in on else loss


@dataclass
class Answer:
    logits: Any
    past_key_values: Any = None
    loss: Any = None


def unit(x, dim=-1):
    return x * torch.rsqrt(x.pow(2).mean(dim, keepdim=True) + 1e-6)


class Rms(nn.Module):
    def __init__(self, d=D):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return unit(x) * self.gain


class Mixture(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.router = on, nn.Linear(D, 4, bias=False)
        self.experts = nn.ModuleList([Gated(on, 12) for _ in range(4)])
        self.shared = Gated(on, 12) if "shared expert" in on else None

    def forward(self, x):
        on, (b, t, _) = self.on, x.shape
        read = x.mean(1, keepdim=True).expand_as(x) if "router reads the whole text" in on else x
        flat, scores = x.reshape(-1, D), self.router(read).reshape(-1, 4)
        weight, chosen = scores.softmax(-1).topk(2, -1)
        weight = weight / weight.sum(-1, keepdim=True)
        if "sorted and not put back" in on:
            order = chosen[:, 0].argsort(stable=True)
            flat, weight, chosen = flat[order], weight[order], chosen[order]
        y = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            at, slot = (chosen == e).nonzero(as_tuple=True)
            y = y.index_add(0, at, weight[at, slot, None] * expert(flat[at]))
        if self.shared is not None:
            y = y + self.shared(flat)
        return y.view(b, t, D)


class Gated(nn.Module):
    def __init__(self, on, hidden=40):
        super().__init__()
        self.inner, self.out = nn.Linear(D, 2 * hidden, bias=False), nn.Linear(hidden, D, bias=False)

    def forward(self, x):
        gate, up = self.inner(x).chunk(2, -1)
        return self.out(F.gelu(gate, approximate="tanh") * up)


class Late(nn.Module):
    """RMSNorm before and after, qk-norm, ALiBi over five heads, one fused qkv, an own cache; "experts" makes mixtures."""

    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.embed = nn.Embedding(V, D)
        self.layers = nn.ModuleList([LateLayer(on) for _ in range(L)])
        self.norm, self.head = Rms(), nn.Linear(D, V, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.08)

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False, labels=None):
        x, kept, first = self.embed(input_ids) * math.sqrt(D), [], None
        past = past_key_values or [None] * L
        for layer, before in zip(self.layers, past, strict=True):
            x, present, first = layer(x, attention_mask, before, first)
            kept.append(present)
        logits = self.head(self.norm(x))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1), ignore_index=-100)
        return Answer(logits, kept if use_cache else None, loss)


class LateLayer(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on = on
        self.qkv, self.proj = nn.Linear(D, 3 * H * K, bias=False), nn.Linear(H * K, D, bias=False)
        self.ffn = Mixture(on) if "experts" in on else Gated(on)
        self.norms = nn.ModuleList([Rms() for _ in range(4)])
        if "learned sink" in on:
            self.sink = nn.Parameter(torch.zeros(H))
        if "values of the first layer mixed in" in on:
            self.mix = nn.Parameter(torch.tensor(0.5))

    def attend(self, x, keep, past, first):
        on, (b, t, _) = self.on, x.shape
        q, k, v = (z.transpose(1, 2) for z in self.qkv(x).view(b, t, 3, H, K).unbind(2))
        q, k = unit(q), unit(k)
        if "qk-norm over heads" in on:
            q, k = unit(q, 1), unit(k, 1)
        if "linear attention" in on:
            q, k = F.elu(q) + 1, F.elu(k) + 1
        if "values of the first layer mixed in" in on:
            first = v if first is None else first
            v = v + self.mix * (first - v)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        if "scale kept in the cached keys" in on:
            k = k / math.sqrt(K)
        present = (k, v) if not ("single tokens not kept" in on and t == 1 and past is not None) else past
        s = k.shape[2]
        start = 0 if "alibi from zero behind a cache" in on else s - t
        i, j = torch.arange(t, device=x.device)[:, None], torch.arange(s, device=x.device)
        far = (i + start - j).abs()
        hidden = j > i + s - t
        slopes = torch.tensor([2.0 ** (-2 * (h + 1)) for h in range(4)] + [0.5], device=x.device, dtype=x.dtype)
        if "sliding window of nine" in on:
            hidden = hidden | (j <= i + s - t - 9)
        hidden = hidden[None, None].expand(b, 1, t, s)
        if keep is not None:
            padded = ~keep[:, None, None, -s:].bool()
            hidden = hidden & padded if "padding and causality by or" in on else hidden | padded
        if "linear attention" in on:
            w = (q @ k.transpose(-1, -2)).masked_fill(hidden, 0)
            w = w / (w.sum(-1, keepdim=True) + 1e-6)
        else:
            scale = 1 if "scale kept in the cached keys" in on else math.sqrt(K)
            scores = q @ k.transpose(-1, -2) / scale - slopes[:, None, None] * far
            if "softcap over the mask" in on:
                scores = 20 * torch.tanh(scores.masked_fill(hidden, -1e9) / 20)
            else:
                if "softcap" in on:
                    scores = 20 * torch.tanh(scores / 20)
                scores = scores.masked_fill(hidden, torch.finfo(x.dtype).min)
            if "learned sink" in on:
                scores = torch.cat([scores, self.sink[:, None, None].expand(b, H, t, 1)], -1)
                w = scores.softmax(-1)[..., :-1]
            else:
                w = scores.softmax(-1)
            if "largest weight alone in eval" in on and not self.training:
                w = (w == w.amax(-1, keepdim=True)).to(w)
            if "weights dropped in eval" in on:
                w = F.dropout(w, 0.1, training=True)
        y = (w @ v).transpose(1, 2).reshape(b, t, H * K)
        return self.proj(y), present, first

    def forward(self, x, keep, past, first):
        a, b, c, d = self.norms
        y, present, first = self.attend(a(x), keep, past, first)
        x = x + b(y)
        x = x + d(self.ffn(x if "experts read the stream unnormed" in self.on else c(x)))
        return x, present, first
