"""The protocol of an adapter, name by name: with each of them something is found that is not found without."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oneblock.doctor import examine

V, D, H, CONTEXT = 13, 12, 3, 11


class Block(nn.Module):
    def __init__(self, on):
        super().__init__()
        self.on, self.qkv, self.out = on, nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.norm, self.up, self.down = nn.LayerNorm(D), nn.Linear(D, 30), nn.Linear(30, D)

    def heads(self, x):
        return (z.transpose(1, 2) for z in self.qkv(self.norm(x)).view(*x.shape[:2], 3, H, D // H).unbind(2))

    def forward(self, x):
        q, k, v = self.heads(x)
        i = torch.arange(x.shape[1])
        scores = q @ k.transpose(-1, -2) / math.sqrt(D // H)
        if "cap over the mask" in self.on:
            scores = 20 * torch.tanh((scores / 20).masked_fill(i > i[:, None], -1e9))
        else:
            scores = scores.masked_fill(i > i[:, None], -1e9)
        if "window" in self.on:
            scores = scores.masked_fill(i <= i[:, None] - 4, -1e9)
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Inner(nn.Module):
    def __init__(self, on=""):
        super().__init__()
        self.on, self.table, self.place = on, nn.Embedding(V, D), nn.Parameter(0.1 * torch.randn(CONTEXT, D))
        self.one, self.two, self.norm, self.head = Block(on), Block(on), nn.LayerNorm(D), nn.Linear(D, V)

    def after(self, e):
        return self.head(self.norm(self.two(self.one(e + self.place[: e.shape[1]]))))


class Least:
    """`logits` and nothing else; what it is asked of stands where no check finds it by itself."""

    def __init__(self, on=""):
        torch.manual_seed(1)
        self.module, self.on = Inner(on).eval(), on

    def logits(self, ids, mask=None, positions=None, cache=None):
        if ids.shape[1] > CONTEXT:
            raise ValueError("too long")
        # One function of all weights, without a module that is handed ids or hands on the stream.
        return self.module.after(F.embedding(ids, self.module.table.weight))


class Embeds(Least):
    def embed(self, ids):
        return F.embedding(ids, self.module.table.weight)

    def logits_from_embeds(self, e):
        return self.module.after(e * (1.01 if "other" in self.on else 1))


def one(thing, check, **more):
    (found,) = examine(thing, only=[check], **more).checks
    return found


def test_embed_and_logits_from_embeds():
    expect = {"expect": ["causal"]}
    # One part in 10⁹ of the future: answers do not show it, the gradient of an embedding does.
    assert one(Least("cap over the mask"), "C1", **expect).status == "PASS"
    found = one(Embeds("cap over the mask"), "C1", **expect)
    assert found.status == "WARN" and 1e-11 < found.value < 1e-7 and "gradient" in found.message
    assert found.threshold == 1e-12
    well = one(Embeds(), "C1", **expect)
    assert well.status == "PASS" and "nor has its embedding a gradient" in well.message
    odd = one(Embeds("other"), "C1", **expect)
    assert odd.status == "WARN" and "logits_from_embeds(embed(ids)) is not logits(ids)" in odd.message


def test_gradients_tell_rows_apart():
    class Crossed(Embeds):
        def logits(self, ids, mask=None, positions=None, cache=None):
            return self.logits_from_embeds(self.embed(ids))

        def logits_from_embeds(self, e):
            return self.module.after(e + 1e-10 * e.mean(0, keepdim=True))

    assert one(Embeds(), "B1").status == "PASS"
    found = one(Crossed(), "B1")
    assert found.status == "WARN" and 1e-12 < found.value < 1e-8 and "other rows" in found.message


def test_blocks():
    class Blocks(Least):
        def blocks(self):
            return [self.module.one, self.module.two]

    assert one(Least(), "H1").status == "SKIP"
    found = one(Blocks(), "H1")
    assert found.status == "INFO" and "after each block" in found.message
    assert "sees 4, itself counted (2 blocks)" in one(Blocks("window"), "C4", expect=["causal"]).message
    assert one(Blocks("window"), "C4", expect=["causal", "window=4"]).status == "PASS"
    assert one(Blocks("window"), "C4", expect=["causal", "window=5"]).status == "FAIL"


def test_qkv():
    class Heads(Least):
        def qkv(self, ids):
            q, k, v = self.module.one.heads(F.embedding(ids, self.module.table.weight))
            return [(q, k[:, [0, 0, 2]], v[:, [0, 1, 2]] if "apart" in self.on else v[:, [0, 0, 2]])]

    assert "of its own" in one(Least(), "G1").message
    assert one(Heads("apart"), "G1").status == "FAIL" and "share keys as 0 0 1" in one(Heads("apart"), "G1").message
    assert "unequal numbers of query heads" in one(Heads(), "G1").message


def test_router():
    class Routed(Least):
        def router(self, ids):
            scores = torch.randn(ids.numel(), 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            return [scores + (torch.tensor([9.0, 0, 0, 0]) if "crowded" in self.on else 0)]

    assert one(Least(), "M1").status == "SKIP"
    assert one(Routed(), "M1").status == "PASS" and "of 4, entropy" in one(Routed(), "M1").message
    assert one(Routed("crowded"), "M1").status == "WARN"


@pytest.mark.parametrize("as_method", [False, True])
def test_variants(as_method):
    class Varied(Least):
        def other(self, ids, **more):
            return self.logits(ids) * (1.01 if "apart" in self.on else 1)

        @property
        def variants(self):
            given = {"fast": self.other}
            return (lambda: given) if as_method else given

    assert "fast" in one(Varied("apart"), "C3").message and one(Varied("apart"), "C3").status == "FAIL"
    assert one(Varied(), "C3").status == "PASS"


def test_fresh():
    class Again(Least):
        def fresh(self):
            made = Again(self.on)
            with torch.no_grad():
                made.module.head.weight.mul_(30)
            return made

    # Of the model itself the first loss is well; of what fresh() makes it is not.
    assert one(Least(), "I2", expect=["fresh"]).status == "PASS"
    assert one(Again(), "I2", expect=["fresh"]).status == "FAIL"


def test_loss():
    class Learns(Least):
        def loss(self, ids, labels):
            ahead = 2 if "two ahead" in self.on else 1
            return F.cross_entropy(self.logits(ids)[:, :-ahead].reshape(-1, V), labels[:, ahead:].reshape(-1))

    assert one(Least(), "L1").status == "SKIP"
    assert one(Learns(), "L1").status == "PASS" and one(Learns("two ahead"), "L1").status == "FAIL"


def test_train_step():
    class Steps(Least):
        def train_step(self, ids):
            logits = self.logits(ids)
            loss = F.cross_entropy(logits[:, :-1].reshape(-1, V), ids[:, 1:].reshape(-1))
            grads = torch.autograd.grad(loss, list(self.module.parameters()))
            with torch.no_grad():
                for p, grad in zip(self.module.parameters(), grads, strict=True):
                    p.sub_(grad, alpha=-0.02 if "uphill" in self.on else 0.02)
            return loss

    assert one(Least(), "O2").status == "SKIP" and one(Steps(), "O2").status == "PASS"
    assert one(Steps("uphill"), "O2").status == "FAIL"


def test_vocab_size_and_max_len():
    seen = []

    class Sized(Least):
        vocab_size, max_len = 5, 7

        def logits(self, ids, mask=None, positions=None, cache=None):
            seen.append((int(ids.max()), ids.shape[1]))
            return super().logits(ids)

    one(Sized(), "C1", expect=["causal"])
    assert max(size for size, _ in seen) == 4 and max(length for _, length in seen) == 7
    del Sized.vocab_size, Sized.max_len
    seen.clear()
    one(Sized(), "C1", expect=["causal"])
    # Found by trying: the width of the answer, and the longest of a few lengths that runs.
    assert max(size for size, _ in seen) == V - 1 and max(length for _, length in seen) > 7


@pytest.mark.parametrize("expects", [["encoder"], "encoder", ("encoder",)])
def test_expects(expects):
    class Says(Least):
        pass

    Says.expects = expects
    found = one(Says(), "C1")
    assert found.status == "WARN" and "taken for an encoder" in found.message
    assert one(Least(), "C1").status == "PASS"
