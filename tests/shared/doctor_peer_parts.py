"""Parts of transformers' classes with one fault each: mixins that a module's class is given.

A mixin stands before the class in `type(name, (Mixin, Class), {})` and reads `self.fault`; models stay copyable, and the
line of a fault is a line of this file.
"""

import torch
import torch.nn.functional as F
from doctor_peer_kernel import written_out


class Rope:
    """Attention of Llama's kind, written anew: rotation and cache."""

    def forward(self, hidden_states, position_embeddings=None, attention_mask=None, past_key_values=None, **more):
        fault, shape = self.fault, (*hidden_states.shape[:-1], -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        if fault == "values from the keys' matrix":
            v = k
        if fault == "keys normed over tokens":
            k = k / k.norm(dim=2, keepdim=True)
        cos, sin = (part.unsqueeze(1) for part in position_embeddings)

        def turned(x, sign=1):
            a, b = x.chunk(2, -1)
            return x * cos + torch.cat([-b, a], -1) * sin * sign

        q = q if fault == "only keys rotated" else turned(q)
        k = k if fault == "only queries rotated" else turned(k, -1 if fault == "keys rotated the other way" else 1)
        v = turned(v) if fault == "values rotated too" else v
        if past_key_values is not None:
            kept = past_key_values.update(k, v, self.layer_idx)
            k, v = (k, v) if fault == "cache is filled and not read" else kept
            if fault == "cached values one behind":
                v = v.roll(1, 2)
            if fault == "cache of 32 tokens":
                k, v = k[:, :, -32:], v[:, :, -32:]
                attention_mask = None if attention_mask is None else attention_mask[..., -32:]
        y, w = written_out(self, q, k, v, attention_mask, self.scaling)
        return self.o_proj(y.reshape(*hidden_states.shape[:-1], -1)), w


class Angles:
    """A table of angles."""

    def forward(self, x, position_ids):
        fault = self.fault
        if fault == "positions start at 0 with a cache":
            position_ids = position_ids - position_ids.min()
        if fault == "positions one behind with a cache":
            position_ids = position_ids - int(position_ids.min() > 0)
        if fault == "positions halved":
            position_ids = position_ids // 2
        if fault == "positions end at 32":
            position_ids = position_ids.clamp(max=32)
        if fault == "positions stretched by the length":
            position_ids = position_ids * (20 / (position_ids.max() + 1))
        if fault == "angles in half precision":
            angles = position_ids[..., None].bfloat16() * self.inv_freq.bfloat16()
            both = torch.cat([angles, angles], -1).to(x.dtype)
            return both.cos(), both.sin()
        return super().forward(x, position_ids)


class Places:
    """GPT-2's table of positions."""

    def forward(self, ids):
        if self.fault == "positions one behind with a cache":
            ids = ids - int(ids.min() > 0)
        if self.fault == "positions start at 0 with a cache":
            ids = ids - ids.min()
        if self.fault == "positions from one":
            ids = ids + 1
        if self.fault == "positions counted from the end":
            ids = ids.max() - ids
        if self.fault == "positions end at 32":
            ids = ids.clamp(max=32)
        places = super().forward(ids)
        return torch.zeros_like(places) if self.fault == "positions forgotten" else places


class Stream:
    """A pre-norm block of GPT-2's, Llama's or Mixtral's kind: where its branches are read and written."""

    def forward(self, hidden_states, past_key_values=None, attention_mask=None, *rest, **more):
        fault, x = self.fault, hidden_states
        named = hasattr(self, "ln_1")
        first, second = (self.ln_1, self.ln_2) if named else (self.input_layernorm, self.post_attention_layernorm)
        attention = self.attn if named else self.self_attn
        more = {k: v for k, v in more.items() if k != "encoder_attention_mask"}
        x = first(x) if fault == "residual after the norm" else x
        read = x if fault in ("residual after the norm", "attention reads the stream unnormed") else first(x)
        y = attention(read, past_key_values=past_key_values, attention_mask=attention_mask, **more)[0]
        y = y.detach() if fault == "attention detached" else y
        y = F.relu(y) if fault == "relu on what attention gives" else y
        h = y if fault == "no residual around attention" else x + y
        if fault == "attention thrown away":
            h = x
        if fault == "residual twice":
            h = h + x
        f = self.mlp(h if fault == "feed-forward reads the stream unnormed" else second(h))
        if fault == "feed-forward of the next token":
            f = f.roll(-1, 1)
        if fault == "stream of attention lost":
            return x + f
        return f if fault == "no residual around the feed-forward" else h + f


class Norm:
    """A norm of any of the classes."""

    def forward(self, x):
        fault = self.fault
        bias = getattr(self, "bias", None)
        if fault == "norm over tokens":
            y = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        elif fault == "norm over the batch":
            y = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        elif fault == "norm divides by the variance":
            y = x / (x.square().mean(-1, keepdim=True) + 1e-5)
        elif fault == "norm in half precision":
            y = (x.half() * (x.half().square().mean(-1, keepdim=True) + 1e-5).rsqrt()).to(x.dtype)
        else:
            y = x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        if fault == "gain of the norms not used":
            return y
        return y * self.weight + (0 if bias is None else bias)


class Residual:
    """BERT's output of a branch: dense, residual, norm."""

    def forward(self, hidden_states, input_tensor):
        y = self.dense(hidden_states)
        if self.fault == "dropout of the branch in eval":
            y = F.dropout(y, 0.1)
        if self.fault == "dropout without rescaling" and self.training:
            y = y * (torch.rand_like(y) > 0.2)
        if self.fault == "norm forgotten":
            return y + input_tensor
        return self.LayerNorm(y if self.fault == "residual lost" else y + input_tensor)


class Words:
    """BERT's embeddings, and its attention over the wrong axis."""

    def forward(self, *args, **kwargs):
        x = super().forward(*args, **kwargs)
        if self.fault == "embeddings centred over the text":
            return x - x.mean(1, keepdim=True)
        if self.fault == "noise in eval":
            return x + 0.01 * torch.randn_like(x)
        return x


class Swapped:
    """An attention that takes tokens for rows."""

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        y, w = super().forward(hidden_states.transpose(0, 1), None, **kwargs)
        return y.transpose(0, 1), w


class Router:
    """Mixtral's router."""

    def forward(self, hidden_states):
        fault, x = self.fault, hidden_states.reshape(-1, self.hidden_dim)
        logits = F.linear(x, self.weight)
        if fault == "router in half precision":
            logits = F.linear(x.bfloat16(), self.weight.bfloat16()).to(x.dtype)
        if fault == "noise of the router in eval":
            logits = logits + 0.3 * torch.randn_like(logits)
        share = logits.softmax(0 if fault == "router over tokens" else -1)
        value, chosen = share.topk(self.top_k, dim=-1)
        if fault == "always the first experts":
            chosen = torch.arange(self.top_k, device=x.device).expand_as(chosen)
            value = share.gather(-1, chosen)
        if fault == "one expert of weight one":
            value, chosen = value[:, :1], chosen[:, :1]
        value = value / value.sum(-1, keepdim=True)
        if fault == "router detached":
            value = value.detach()
        if fault == "weight of the first for both":
            value = value[:, :1].expand_as(value)
        return logits, value, chosen


class Experts:
    """Mixtral's experts, one after another."""

    def forward(self, hidden_states, top_k_index, top_k_weights):
        fault, y = self.fault, torch.zeros_like(hidden_states)
        for e in range(self.num_experts):
            token, slot = torch.where(top_k_index == e)
            if fault == "full experts drop later rows":
                token, slot = token[:3], slot[:3]
            matrix = 0 if fault == "the first expert for all" else e
            gate, up = F.linear(hidden_states[token], self.gate_up_proj[matrix]).chunk(2, -1)
            gate = up if fault == "gate not used" else self.act_fn(gate)
            out = F.linear(gate * up, self.down_proj[matrix]) * top_k_weights[token, slot, None]
            if fault == "second expert overwrites":
                y[token] = out
            else:
                y = y.index_add(0, token, out)
        return y.roll(1, 0) if fault == "answers at the next token" else y


class Cross:
    """T5's cross-attention."""

    def forward(self, hidden_states, key_value_states, attention_mask=None, **kwargs):
        fault, memory, mask = self.fault, key_value_states, attention_mask
        if fault == "memory of the first row for all":
            memory = memory[:1].expand_as(memory)
        if fault == "memory detached":
            memory = memory.detach()
        if fault == "memory of one place":
            memory, mask = memory[:, :1], None if mask is None else mask[..., :1]
        if fault == "cross-attention on itself":
            memory, mask = hidden_states, None
        if fault == "cross-attention thrown away":
            return hidden_states, None, None
        if fault == "mask of the source ignored":
            mask = None
        return super().forward(hidden_states, memory, attention_mask=mask, **kwargs)


class Distances:
    """T5's relative bias."""

    def compute_bias(self, query_length, key_length, device=None, past_seen_tokens=0):
        if self.fault == "distances start anew with a cache":
            past_seen_tokens = 0
        found = super().compute_bias(query_length, key_length, device, past_seen_tokens)
        if self.fault == "distances turned":
            return found.flip(-1)
        if self.fault == "one distance for all":
            return found.mean((-1, -2), keepdim=True).expand_as(found)
        return found


class Branch:
    """T5's feed-forward with its residual."""

    def forward(self, hidden_states):
        fault, x = self.fault, hidden_states
        y = self.DenseReluDense(x if fault == "feed-forward reads the stream unnormed" else self.layer_norm(x))
        y = F.dropout(y, 0.1) if fault == "dropout of the branch in eval" else self.dropout(y)
        return y if fault == "no residual around the feed-forward" else x + y


class Labels:
    """BERT's own loss, one token late."""

    def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        out = super().forward(input_ids, attention_mask=attention_mask, **kwargs)
        if labels is not None:
            out.loss = F.cross_entropy(out.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return out


class Targets:
    """T5's own loss, one token late."""

    def forward(
        self, input_ids=None, attention_mask=None, decoder_input_ids=None, labels=None, past_key_values=None, **kwargs
    ):
        ids = self._shift_right(labels) if decoder_input_ids is None else decoder_input_ids
        more = {"past_key_values": past_key_values, **kwargs}
        out = super().forward(input_ids, attention_mask=attention_mask, decoder_input_ids=ids, **more)
        if labels is not None:
            out.loss = F.cross_entropy(out.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return out
