"""The feed-forward parts of unseen_llama.py: SwiGLU, and a mixture of them with a router; each name in `on` is a switch."""

import torch
import torch.nn.functional as F
from torch import nn

D, EXPERTS, TOP = 24, 5, 2


class SwiGLU(nn.Module):
    def __init__(self, on, hidden=64):
        super().__init__()
        self.on = on
        self.gate_proj, self.up_proj = nn.Linear(D, hidden, bias=False), nn.Linear(D, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, D, bias=False)

    def forward(self, x):
        if "up projection unused" in self.on:
            g = self.gate_proj(x)
            return self.down_proj(F.silu(g) * g)
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.gate = on, nn.Linear(D, EXPERTS, bias=False)
        one = SwiGLU(on, 16)
        same = "one expert many times" in on
        self.experts = nn.ModuleList([one if same else SwiGLU(on, 16) for _ in range(EXPERTS)])

    def forward(self, x):
        on, (b, t, _) = self.on, x.shape
        flat = x.transpose(0, 1).reshape(-1, D) if "tokens flattened crosswise" in on else x.reshape(-1, D)
        scores = self.gate(flat)
        if "router noise always on" in on:
            scores = scores + torch.randn_like(scores)
        p = scores.softmax(0 if "router softmax over tokens" in on else -1)
        p = scores.sigmoid() if "sigmoid router" in on else p
        w, chosen = p.topk(TOP, dim=-1)
        if "router always the first experts" in on:
            chosen = torch.arange(TOP, device=x.device).expand_as(chosen)
        if "weights not normed" not in on:
            w = w / w.sum(-1, keepdim=True)
        if "router detached" in on:
            w = w.detach()
        if "one expert of weight one" in on:
            w, chosen = torch.ones_like(w[:, :1]), chosen[:, :1]
        y = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            at, slot = (chosen == e).nonzero(as_tuple=True)
            if "capacity over the batch" in on:
                room = max(1, TOP * flat.shape[0] // EXPERTS)
                at, slot = at[:room], slot[:room]
            if "experts choose tokens" in on:
                at = p[:, e].topk(max(1, TOP * flat.shape[0] // EXPERTS)).indices
                y = y.index_add(0, at, p[at, e][:, None] * expert(flat[at]))
                continue
            if at.numel() == 0:
                continue
            slot = torch.zeros_like(slot) if "weight of the first slot for both" in on else slot
            out = w[at, slot][:, None] * expert(flat[at])
            if "second expert overwrites" in on:
                y = y.index_put((at,), out)
            elif "outputs put back in order of experts" in on:
                y = y.index_add(0, (at + e) % flat.shape[0], out)
            else:
                y = y.index_add(0, at, out)
        return y.view(b, t, D), scores
