"""A small GPT as one file of a course has it: `m(idx, targets=None) -> (logits, loss)`; each name in `on` is one switch.

The faults and the healthy variants by name are in doctor_unseen.py.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from unseen_attention import CONTEXT, Attention, D, Norm

V, L = 61, 2


class Block(nn.Module):
    def __init__(self, on, layer):
        super().__init__()
        self.on, bias = on, "no bias" not in on
        self.ln_1, self.attn = Norm(on), Attention(on, layer)
        self.ln_2 = self.ln_1 if "one norm for both branches" in on else Norm(on)
        self.fc, self.proj = nn.Linear(D, 4 * D, bias=bias), nn.Linear(4 * D, D, bias=bias)
        if "norms after too" in on:
            self.ln_3, self.ln_4 = Norm(on), Norm(on)
        if "symmetric convolution" in on or "causal convolution" in on:
            self.conv = nn.Conv1d(D, D, 3, groups=D)
        if "rezero" in on:
            self.gate = nn.Parameter(torch.tensor(0.1))

    def mlp(self, x):
        on = self.on
        h = self.fc(x)
        if "no activation" not in on:
            h = F.relu(h).square() if "relu squared" in on else F.gelu(h)
        if "half the hidden units dead" in on:
            h = torch.cat([h[..., : 2 * D], torch.zeros_like(h[..., 2 * D :])], -1)
        y = self.proj(h)
        return F.dropout(y, 0.1, training="mlp dropout always on" in on or self.training)

    def forward(self, x):
        on = self.on
        if "symmetric convolution" in on:
            x = x + self.conv(F.pad(x.transpose(1, 2), (1, 1))).transpose(1, 2)
        if "causal convolution" in on:
            x = x + self.conv(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)
        if "token shift wraps round" in on:
            x = x + 0.3 * torch.roll(x, 1, dims=1)
        if "token shift" in on:
            x = x + 0.3 * F.pad(x, (0, 0, 1, 0))[:, :-1]
        if "shift along the batch" in on:
            x = x + 0.3 * torch.roll(x, 1, dims=0)
        if "mean of all tokens added" in on:
            x = x + 0.1 * x.mean(1, keepdim=True)
        if "mean of the past added" in on:
            x = x + 0.1 * x.cumsum(1) / torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        if "activations clipped by the largest" in on:
            x = x / x.abs().amax(dim=(1, 2), keepdim=True)
        if "post-norm" in on:
            x = self.ln_1(x + self.attn(x))
            return self.ln_2(x + self.mlp(x))
        if "norms after too" in on:
            x = x + self.ln_3(self.attn(self.ln_1(x)))
            return x + self.ln_4(self.mlp(self.ln_2(x)))
        if "parallel branches" in on:
            return x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))
        if "residual from the normed" in on:
            x = self.ln_1(x)
            x = x + self.attn(x)
            x = self.ln_2(x)
            return x + self.mlp(x)
        if "no residual round the mlp" in on:
            return self.mlp(self.ln_2(x + self.attn(self.ln_1(x))))
        if "no residual round attention" in on:
            x = self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))
        if "residual added twice" in on:
            x = x + (x + self.attn(self.ln_1(x)))
            return x + (x + self.mlp(self.ln_2(x)))
        if "residual subtracted" in on:
            x = self.attn(self.ln_1(x)) - x
            return self.mlp(self.ln_2(x)) - x
        if "attention thrown away" in on:
            self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))
        gate = self.gate if "rezero" in on else 1
        x = x + gate * self.attn(self.ln_1(x))
        if "mlp without gradient" in on:
            with torch.no_grad():
                y = self.mlp(self.ln_2(x))
            return x + y
        return x + gate * self.mlp(self.ln_2(x))


def sinusoids(n, d):
    angle = torch.arange(n)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


class Gpt(nn.Module):
    def __init__(self, on=frozenset()):
        super().__init__()
        self.on = on
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(CONTEXT, D)
        if "sinusoids" in on:
            del self.wpe
            self.register_buffer("table", sinusoids(CONTEXT, D), persistent=False)
        if "alibi" in on or "no positions" in on:
            del self.wpe
        self.drop = nn.Dropout(0.9 if "dropout of what is kept" in on else 0.1)
        blocks = [Block(on, i) for i in range(L)]
        if "one block twice" in on:
            blocks = [blocks[0]] * L
        self.h = blocks if "blocks in a list" in on else nn.ModuleList(blocks)
        self.ln_f, self.lm_head = Norm(on), nn.Linear(D, V, bias=False)
        self.init()
        if "tied" in on:
            self.lm_head.weight = self.wte.weight
        if "tied by a copy" in on:
            self.lm_head.weight = nn.Parameter(self.wte.weight.detach().clone())
        if "tied by .data" in on:
            self.lm_head.weight.data = self.wte.weight.data
        self.calls, self.memory = 0, None

    def init(self):
        std = 1.0 if "init of one" in self.on else 0.0 if "init of zero" in self.on else 0.02
        std = 1e-5 if "init of 1e-5" in self.on else std
        blocks = [m for b in self.h for m in b.modules()]
        for m in dict.fromkeys([*self.modules(), *blocks]):
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=std)
                if getattr(m, "bias", None) is not None:
                    nn.init.zeros_(m.bias)
        if "scaled residual" in self.on:
            for b in self.h:
                for p in (b.proj.weight, b.attn.c_proj.weight):
                    nn.init.normal_(p, std=0.02 / math.sqrt(2 * L))

    def forward(self, idx, targets=None):
        on, (b, t) = self.on, idx.shape
        if t > CONTEXT:
            raise ValueError(f"{t} tokens do not go into {CONTEXT}")
        if "seed set in forward" in on:
            torch.manual_seed(1337)
        if "ids changed in place" in on:
            idx[:, 0] = 0
        pos = torch.arange(t, device=idx.device)
        pos = pos + 1 if "positions from one" in on else pos
        pos = pos.flip(0) if "positions from the end" in on else pos
        pos = (
            (torch.arange(b, device=idx.device) % CONTEXT)[:, None].expand(b, t)
            if "positions of the row" in on
            else pos
        )
        pos = pos.clamp(max=15) if "positions stop at 15" in on else pos
        x = self.wte(idx)
        if "sinusoids" in on:
            x = x * math.sqrt(D) + self.table[:t]
        elif hasattr(self, "wpe"):
            x = x + self.wpe(pos)
        x = self.drop(x)
        if "noise always added" in on:
            x = x + 0.01 * torch.randn_like(x)
        if "memory of the last call" in on:
            mean = x.detach().mean(dim=(0, 1))
            x = x if self.memory is None else x + 0.1 * self.memory.to(x)
            self.memory = mean
        for i, block in enumerate(self.h):
            x = block(x)
            if "detached between blocks" in on and i == 0:
                x = x.detach()
        if "no last norm" not in on:
            x = self.ln_f(x)
        if "last token for all" in on:
            x = x[:, -1:].expand_as(x)
        if "weights renormed in forward" in on:
            with torch.no_grad():
                self.lm_head.weight.mul_(0.999)
        logits = self.lm_head(x)
        if "logit softcap" in on:
            logits = 30 * torch.tanh(logits / 30)
        if "logit scale" in on:
            logits = logits * 0.5
        if "probabilities for logits" in on:
            logits = logits.softmax(-1)
        if "logits in half" in on:
            logits = logits.bfloat16().to(x.dtype)
        return logits, None if targets is None else self.loss(logits, targets)

    def loss(self, logits, targets):
        on = self.on
        if "labels two ahead" in on:
            logits, targets = logits[:, :-2], targets[:, 2:]
        if "labels shifted backwards" in on:
            logits, targets = logits[:, 1:], targets[:, :-1]
        if "loss of the last token only" in on:
            logits, targets = logits[:, -1:], targets[:, -1:]
        kw: dict[str, Any] = {"reduction": "sum"} if "loss summed" in on else {}
        kw = {"ignore_index": 0} if "token 0 ignored" in on else kw
        kw = {"label_smoothing": 0.1} if "label smoothing" in on else kw
        if "loss over the wrong axis" in on:
            return F.cross_entropy(logits.transpose(1, 2).reshape(-1, V), targets.reshape(-1), **kw)
        loss = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), **kw)
        return loss.detach().requires_grad_() if "loss detached" in on else loss
