"""E18: from GPT to Llama, one swap at a time."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

GPT = ("block.norm=layer", "position=learned", "block.feed_forward=gelu")
RMS = ("block.norm=rms", *GPT[1:])
ROTARY = (RMS[0], "position=rope", GPT[2])
GATED = (*ROTARY[:2], "block.feed_forward=swiglu")
GROUPED = (*GATED, "block.attention.num_kv_heads=2")

EXPERIMENT = Experiment(
    name="to-llama",
    row="E18",
    claim="Four swaps, RMSNorm, rotary positions, SwiGLU and grouped queries, make a GPT a Llama, with a lower loss at "
    "equal parameters and half the cache.",
    source="the course's modern parts; Touvron et al. 2023, section 2.2",
    base=("block.attention.num_heads=4",),
    variants={
        "GPT": GPT,
        "+ RMSNorm": RMS,
        "+ rotary": ROTARY,
        "+ SwiGLU": GATED,
        "+ groups: Llama": GROUPED,
    },
    equal="parameters",
    measures=("val_loss", "train_loss", "cache_bytes", "step_seconds"),
    rule=(
        Lower(a="+ groups: Llama", b="GPT"),
        Lower(a="+ groups: Llama", b="GPT", measure="cache_bytes"),
    ),
    says=Sayings(
        supported="Four settings changed turn the GPT into a Llama, which at equal parameters ends lower by more than "
        "seeds explain ({a} minus {b}: {difference} nats, 99 %: {low} to {high}) and keeps half the cache.",
        refuted="At this size the four swaps did not lower the loss: {a} minus {b} is {difference} (99 %: {low} to "
        "{high}).",
    ),
    budgets=with_steps(BUDGETS, quick=300, standard=300),
)
