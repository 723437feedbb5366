"""Short real trainings of a tiny decoder, each with one fault planted at a known step, and what their logs say.

`LOGS`: name -> (cause as the doctor names it, step it is planted at, function of a seed that gives rows). The loop is
written out here, on its own: a fault is put where somebody else would have it, between batch and step.
"""

import math

import numpy as np
import torch
from torch import nn

import oneblock
from oneblock.nn.attend import Fused, WrittenOut
from oneblock.train.look import sharpness

LETTERS, CONTEXT, BATCH = 23, 16, 12


def model(seed):
    settings = ("width=32", "num_layers=2", "block.attention.num_heads=2", f"context={CONTEXT}", "block.dropout=0")
    config = oneblock.override(oneblock.presets.nano(), *settings, "embedding_dropout=0", f"vocab_size={LETTERS}")
    return oneblock.build(config, seed=seed)


class Text:
    """A chain in which a letter depends on the one `lag` before it; each topic has its own, few ways to go on."""

    def __init__(self, seed, topics=3, lag=1):
        draw = np.random.default_rng(seed)
        self.tables = draw.dirichlet(np.full(LETTERS, 0.04), size=(topics, LETTERS))
        self.ends, self.lag = self.tables.cumsum(-1), lag

    def rows(self, draw, count, topic=None):
        topics = draw.integers(0, len(self.tables), count) if topic is None else np.full(count, topic)
        rows = np.zeros((count, CONTEXT + 1), dtype=np.int64)
        rows[:, : self.lag] = draw.integers(0, LETTERS, (count, self.lag))
        for place in range(self.lag, CONTEXT + 1):
            chance = draw.random(count)[:, None]
            rows[:, place] = (chance > self.ends[topics, rows[:, place - self.lag]]).sum(1).clip(0, LETTERS - 1)
        return torch.from_numpy(rows)


class Training:
    """A plain AdamW loop that logs loss, gradient norm, rate and, every few steps, the largest attention logit."""

    def __init__(self, seed, *, lr=3e-3, clip=1.0, looks=5, warmup=20, beta2=0.99, **text):
        torch.manual_seed(seed)
        self.lr, self.clip, self.looks, self.warmup = lr, clip, looks, warmup
        self.text, self.draw = Text(seed, **text), np.random.default_rng(seed + 1)
        self.model = model(seed)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, betas=(0.9, beta2))
        self.rows, self.clock, self.scale = [], 0.0, None
        self.largest = []
        for module in self.model.modules():
            if isinstance(module, Fused | WrittenOut):
                module.register_forward_pre_hook(self._see)

    def _see(self, module, given):
        if self.looking:
            soft_cap = getattr(module, "soft_cap", None)
            self.largest.append(sharpness(*given, scale=module.scale, soft_cap=soft_cap)[0].item())

    def step(self, number, *, batch=None, rate=1.0, spoil=None, targets=None):
        """One step, logged; `spoil(model)` between the gradients and the step."""
        lr = self.lr * rate * min(1.0, (number + 1) / self.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.text.rows(self.draw, BATCH) if batch is None else batch
        self.looking = number % self.looks == 0
        self.largest.clear()
        logits = self.model(batch[:, :-1])
        wanted = batch[:, 1:] if targets is None else targets
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        if spoil is not None:
            spoil(self.model)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.clip or math.inf))
        self.clock += 0.01 * (1 + 0.05 * self.draw.random())
        row = {"step": number, "loss": float(loss.detach()), "grad_norm": norm, "lr": lr, "time": round(self.clock, 4)}
        if self.looking and self.largest:
            row["max_attn_logit"] = max(self.largest)
        if self.scale is not None:
            row["loss_scale"] = self.scale
        self.rows.append(row)
        return row

    def update(self):
        self.optimizer.step()


def healthy(seed, steps=300, **options):
    """Nothing is planted."""
    training = Training(seed, **options)
    for number in range(steps):
        training.step(number)
        training.update()
    return training.rows


def rate_jumps(seed, steps=300, at=200, factor=40.0):
    """The learning rate is `factor` times as high from step `at` on."""
    training = Training(seed)
    for number in range(steps):
        training.step(number, rate=factor if number >= at else 1.0)
        training.update()
    return training.rows


def rate_too_high(seed, steps=240, lr=0.3):
    """The learning rate is far too high from the start; it shows as the warm-up ends."""
    training = Training(seed, lr=lr, warmup=120)
    for number in range(steps):
        training.step(number)
        training.update()
    return training.rows


def bad_batch(seed, steps=300, at=200, length=1):
    """At step `at` the batch is noise over other letters."""
    training = Training(seed, clip=None)
    for number in range(steps):
        noise = torch.randint(0, LETTERS, (BATCH, CONTEXT + 1)) if at <= number < at + length else None
        training.step(number, batch=noise)
        training.update()
    return training.rows


def wrong_labels(seed, steps=300, at=200):
    """At step `at` the labels are all one letter."""
    training = Training(seed)
    for number in range(steps):
        targets = torch.full((BATCH, CONTEXT), 7) if number == at else None
        training.step(number, targets=targets)
        training.update()
    return training.rows


def resume(seed, steps=300, at=200, wait=3600.0, back=0, lr=0.03):
    """Stopped at step `at` and resumed with weights and step count but zero moments; `back` steps are logged again."""
    training = Training(seed, lr=lr, beta2=0.999, topics=1)
    number = 0
    done = False
    while number < steps:
        if number == at and not done:
            for state in training.optimizer.state.values():
                state["exp_avg"].zero_()
                state["exp_avg_sq"].zero_()
            training.clock += wait
            done = True
            number -= back
        training.step(number)
        training.update()
        number += 1
    return training.rows


def loss_scale(seed, steps=300, at=200, told=True, careful=True):
    """Half precision's overflow at step `at`: gradients are infinite. A careful loop skips the step, halves the scale."""
    training = Training(seed)
    training.scale = 65536.0 if told else None

    def overflow(model):
        for parameter in model.parameters():
            parameter.grad.mul_(math.inf)

    for number in range(steps):
        bad = at <= number < at + (3 if careful else 1)
        training.step(number, spoil=overflow if bad else None)
        if not (bad and careful):
            training.update()
        elif told:
            training.scale /= 2
    return training.rows


def underflow(seed, steps=300, at=200):
    """Gradients vanish under a scale that has gone to the bottom: from step `at` on they are 0."""
    training = Training(seed)
    training.scale = 65536.0

    def vanish(model):
        for parameter in model.parameters():
            parameter.grad.zero_()

    for number in range(steps):
        if at <= number < at + 16:
            training.scale /= 2
        training.step(number, spoil=vanish if number >= at + 16 else None)
        training.update()
    return training.rows


def sorted_data(seed, steps=300, at=150, stretch=30):
    """From step `at` on the data are sorted by topic, `stretch` steps each."""
    training = Training(seed)
    for number in range(steps):
        topic = None if number < at else (number - at) // stretch % 3
        training.step(number, batch=training.text.rows(training.draw, BATCH, topic))
        training.update()
    return training.rows


def same_order(seed, steps=360, epoch=60):
    """The same sorted epoch again and again, from the start."""
    training = Training(seed)
    for number in range(steps):
        topic = number % epoch * 3 // epoch
        training.step(number, batch=training.text.rows(training.draw, BATCH, topic))
        training.update()
    return training.rows


def blow_up(seed, steps=300, at=180, push=40.0, looks=5):
    """From step `at` on queries and keys move `push` times as far as the rest, until the softmax is a choice of one."""
    training = Training(seed, looks=looks, topics=1, lag=2)
    weights = [(p, 2 * len(p) // 3) for name, p in training.model.named_parameters() if name.endswith("qkv.weight")]
    for number in range(steps):
        training.step(number)
        before = [weight[:rows].detach().clone() for weight, rows in weights]
        training.update()
        if number >= at:
            with torch.no_grad():
                for (weight, rows), old in zip(weights, before, strict=True):
                    weight[:rows] += (push - 1) * (weight[:rows] - old)
    return training.rows


LOGS = {
    "rate jumps 40-fold": ("learning rate", 200, rate_jumps),
    "rate jumps tenfold": ("learning rate", 200, lambda seed: rate_jumps(seed, factor=12.0)),
    "rate too high from the start": ("learning rate", None, rate_too_high),
    "a batch of noise": ("bad batch", 200, bad_batch),
    "three batches of noise": ("bad batch", 200, lambda seed: bad_batch(seed, length=3)),
    "labels of one letter": ("bad batch", 200, wrong_labels),
    "resumed after an hour": ("resume without optimiser state", 200, resume),
    "resumed, steps logged twice": ("resume without optimiser state", 180, lambda seed: resume(seed, wait=0, back=20)),
    "resumed, nothing said": ("resume without optimiser state", 200, lambda seed: resume(seed, wait=0)),
    "overflow, careful loop": ("loss scale", 200, loss_scale),
    "overflow, scale not logged": ("loss scale", 200, lambda seed: loss_scale(seed, told=False)),
    "overflow, step taken": ("loss scale", 200, lambda seed: loss_scale(seed, told=False, careful=False)),
    "underflow": ("loss scale", 200, underflow),
    "sorted by topic": ("data order", 150, sorted_data),
    "the same epoch again": ("data order", None, same_order),
    "queries and keys grow": ("attention blow-up", 180, blow_up),
    "queries and keys grow slowly": ("attention blow-up", 180, lambda seed: blow_up(seed, push=20.0)),
}
