"""What other people call the columns of their logs, as one table."""

from __future__ import annotations

import re

NAMES: dict[str, tuple[str, ...]] = {
    "loss": (
        *(
            "loss",
            "train_loss",
            "training_loss",
            "loss_train",
            "lm_loss",
            "ce_loss",
            "nll",
            "nll_loss",
            "cross_entropy",
        ),
        *(
            "total_loss",
            "loss_total",
            "loss_step",
            "batch_loss",
            "train_loss_step",
            "mlm_loss",
            "avg_loss",
            "mean_loss",
        ),
        *("loss_avg", "loss_mean", "running_loss", "ce", "xent"),
    ),
    "val_loss": (
        *("val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "loss_val", "loss_valid", "dev_loss"),
        *("loss_eval", "selection_loss", "loss_validation", "loss_test", "held_out_loss"),
    ),
    "learning_rate": (
        *("learning_rate", "lr", "rate_factor", "lr_0", "lr_group_0", "lr_adamw", "lr_adam", "lr_pg1", "lr_factor"),
        *("current_lr", "learningrate", "optim_lr", "schedule_lr"),
    ),
    "grad_norm": (
        *("grad_norm", "gradient_norm", "gnorm", "gradnorm", "norm_grad", "grad_norm_total", "global_grad_norm", "gn"),
        *("total_norm", "global_norm", "grad_norm_2_0_total", "grads_norm", "total_grad_norm", "norm_grads", "grad"),
    ),
    "max_logit": (
        *("max_logit", "max_attention_logit", "max_attn_logit", "attn_logit_max", "attention_logit_max", "qk_max"),
        *("max_attn_logits", "max_attention_logits", "max_qk", "attn_max_logit", "attention_max_logit", "max_logits"),
        *("attn_max", "max_score", "attn_logits_max", "max_attention_score", "max_attn_score", "qk_logit_max"),
    ),
    "entropy": (
        *(
            "attention_entropy",
            "attn_entropy",
            "entropy_attention",
            "mean_attention_entropy",
            "entropy_attn",
            "entropy",
        ),
    ),
    "stream": (
        *("stream", "stream_norm", "residual_norm", "activation_norm", "act_norm", "hidden_norm", "resid_norm"),
        *("hidden_state_norm", "residual_stream_norm", "activation_rms", "stream_rms", "act_rms", "residual_rms"),
        *("hidden_norms", "final_norm", "activations_norm"),
    ),
    "weight_norm": ("weight_norm", "param_norm", "parameter_norm", "params_norm", "pnorm", "norm_params"),
    "updates": ("updates", "update_ratio", "update_to_weight", "update_norm", "update_weight_ratio", "updates_norm"),
    "grad_norms": ("grad_norms", "layer_grad_norm"),
    "loss_scale": (
        *("loss_scale", "lossscale", "grad_scale", "scale", "scaler_scale", "amp_scale", "scaler", "loss_scaling"),
        *("amp_loss_scale", "fp16_loss_scale", "grad_scaler"),
    ),
    "router_entropy": ("router_entropy", "gate_entropy", "routing_entropy", "moe_entropy"),
    "router_load": ("router_load", "max_load", "expert_load_max", "load_max", "max_expert_load", "expert_load"),
    "epoch": ("epoch", "epochs", "current_epoch", "train_epoch", "data_epoch"),
    "seconds": (
        *("seconds", "time", "elapsed", "runtime", "wall_time", "timestamp", "elapsed_time", "relative_time", "wall"),
        *("walltime", "elapsed_seconds", "time_s", "total_time"),
    ),
    "skipped": ("skipped", "skipped_steps", "overflow", "found_inf", "skip", "num_skipped", "skipped_iterations"),
}
"""Quantity -> names, likelier ones first, as `plain` writes them."""

STEPS = (
    *("step", "global_step", "trainer_global_step", "iteration", "iter", "iterations", "it", "steps", "num_updates"),
    *("update", "n_iter", "train_step", "train_global_step", "batch_step", "optimizer_step", "training_step", "i"),
    *("iters", "step_num", "batch", "train_iter", "batch_idx", "num_steps"),
)
"""Names of the column that counts steps."""

PREFIXES = ("train", "training", "optim", "optimizer", "metrics", "stats", "debug", "perf", "model", "trainer", "amp")
HELD_OUT = ("val", "valid", "validation", "eval", "test", "dev", "heldout")
_LAYER = re.compile(r"(?:^|_)(?:layers?|blocks?|h|l)_?(\d+)(?:_|$)")
_KNOWN = {name: quantity for quantity, names in NAMES.items() for name in names}
NOT_THE_LOSS = ("scale", "aux", "balanc", "z_loss", "router", "weight", "delta", "min", "max", "ema", "best", "std")


def plain(name: str) -> str:
    """A column's name in lower case with one underscore between words; a W&B chart's "RUN - " is left out."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", name.rsplit(" - ", 1)[-1]).lower()).strip("_")


def quantity_of(name: str) -> tuple[str, int | None] | None:
    """What a column is, and of which layer (None: of the whole model); None where nobody can say."""
    words = plain(name)
    if words.endswith(("_min", "_max")) and "__" in name:
        return None  # W&B's chart exports carry the range beside each column
    layer = _LAYER.search(words)
    if layer is not None:
        rest = (words[: layer.start()] + "_" + words[layer.end() :]).strip("_")
        found = _quantity(rest)
        return None if found is None or found in ("loss", "val_loss", "learning_rate") else (found, int(layer[1]))
    found = _quantity(words)
    return None if found is None else (found, None)


def _quantity(words: str) -> str | None:
    if words in _KNOWN:
        return _KNOWN[words]
    first, _, rest = words.partition("_")
    if first == "lr":
        return "learning_rate"
    if first in HELD_OUT and _KNOWN.get(rest) == "loss":
        return "val_loss"
    if first in HELD_OUT:
        return None
    if first in PREFIXES and rest:
        return _quantity(rest)
    return None


def looks_like_loss(name: str) -> bool:
    """Whether a column that the table does not know may be the training loss."""
    words = plain(name)
    return "loss" in words and not any(word in words for word in (*NOT_THE_LOSS, *HELD_OUT))


def rank(name: str) -> int:
    """How likely a name is the one meant, of several for one quantity: 0 the likeliest."""
    words = plain(name)
    for _ in range(3):
        for names in NAMES.values():
            if words in names:
                return names.index(words)
        words = words.partition("_")[2]
    return 999
