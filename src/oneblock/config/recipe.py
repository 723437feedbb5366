"""A recipe: how a model is trained, and on what."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.distribution import Distribution
from oneblock.config.errors import ConfigError
from oneblock.config.objective import OBJECTIVES, NextToken, Objective
from oneblock.config.part import Part, choice, count, flag, non_negative, option, positive, share


@dataclass(frozen=True, kw_only=True)
class AdamW(Part):
    """Adam with decoupled weight decay on matrices (tables too, if `decay_embeddings`), none on gains and biases."""

    learning_rate: float = positive(1e-3)
    beta1: float = share(0.9)
    beta2: float = share(0.99)
    eps: float = positive(1e-8)
    weight_decay: float = non_negative(0.1)
    decay_embeddings: bool = flag(True)


@dataclass(frozen=True, kw_only=True)
class Muon(Part):
    """Momentum, orthogonalised, for the blocks' matrices; AdamW for embeddings, head, gains and biases.

    `split_qkv`: queries, keys and values are orthogonalised apart, not as the one fused matrix.
    """

    learning_rate: float = positive(0.02)
    momentum: float = share(0.95)
    nesterov: bool = flag(True)
    ns_steps: int = count(5)
    weight_decay: float = non_negative(0.1)
    adjust: str = choice("original", "original", "match_rms_adamw")
    split_qkv: bool = flag(True)
    rest: AdamW = field(default_factory=AdamW)


OPTIMIZERS = {"adamw": AdamW, "muon": Muon}
Optimizer = AdamW | Muon


@dataclass(frozen=True, kw_only=True)
class Constant(Part):
    """The full learning rate after a linear warm-up of `warmup` steps."""

    warmup: int = count(0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class Cosine(Part):
    """Linear warm-up, then half a cosine from 1 down to `final` (a share of the learning rate)."""

    warmup: int = count(100, minimum=0)
    final: float = share(0.1, inclusive=True)


@dataclass(frozen=True, kw_only=True)
class WSD(Part):
    """Warm-up, stable, decay: constant until the last `decay` share of the steps, then down to `final`."""

    warmup: int = count(100, minimum=0)
    decay: float = share(0.2, inclusive=True)
    final: float = share(0.0, inclusive=True)
    shape: str = choice("linear", "linear", "one-minus-sqrt")


SCHEDULES = {"constant": Constant, "cosine": Cosine, "wsd": WSD}
Schedule = Constant | Cosine | WSD


@dataclass(frozen=True, kw_only=True)
class Recipe(Part):
    """How a model is trained.

    objective:        what the model is trained to say
    data, tokenizer:  a name or a path; chars, bytes or bpe:SIZE
    steps, minutes:   how long; exactly one of them
    batch_size:       sequences in one optimiser step, over all accumulation steps and processes
    accumulation:     pieces the batch is taken in; the gradient is that of the whole batch
    clip:             largest gradient norm; None: unbounded
    average:          decay of the weight average kept beside the weights; None: no average
    refit:            the last share of the steps learns the held-out end of the training split too; until then the best
                      weights are judged on it, from then on the last ones are kept
    input_noise:      share of input tokens replaced by random ones (a regulariser)
    evaluate_every, sample_every, checkpoint_every: steps; None: about 20, 5 and 10 times in a run
    distribution:     who holds what, where several processes train
    guard:            skip steps with a NaN or a 6σ spike, roll back after several
    """

    objective: Objective = option(OBJECTIVES, NextToken())
    data: str = field(default="shakespeare")
    tokenizer: str = field(default="chars")
    steps: int | None = count(None)
    minutes: float | None = positive(None)
    batch_size: int = count(16)
    accumulation: int = count(1)
    optimizer: Optimizer = option(OPTIMIZERS, AdamW())
    schedule: Schedule = option(SCHEDULES, Cosine())
    clip: float | None = positive(1.0)
    average: float | None = share(None)
    refit: float = share(0.0, inclusive=True)
    input_noise: float = share(0.0)
    seed: int = count(0, minimum=0)
    precision: str = choice("auto", "auto", "float32", "bfloat16")
    compile: str = choice("auto", "auto", "on", "off")
    distribution: Distribution = field(default=Distribution())
    guard: bool = flag(True)
    evaluate_every: int | None = count(None)
    sample_every: int | None = count(None)
    checkpoint_every: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.steps is None) == (self.minutes is None):
            given = "neither" if self.steps is None else "both"
            raise ConfigError(
                "steps", given, "of steps and minutes; exactly one says how long", ("steps=2000", "minutes=5")
            )
        if self.batch_size % self.accumulation:
            options = [n for n in range(1, self.batch_size + 1) if self.batch_size % n == 0]
            raise ConfigError("accumulation", self.accumulation, f"must divide batch_size={self.batch_size}", options)
