"""Faults planted into classes of transformers: tiny configurations with random weights, one fault each.

The list is in doctor_peer_list; `ill(name, fault, planting, where)` makes the model. Planting: a class of
doctor_peer_parts or doctor_peer_kernel that stands before the module's own, or a function of this file.
"""

import warnings

import doctor_peer_kernel
import doctor_peer_parts as parts
import torch
import torch.nn.functional as F
from doctor_peer_list import FAULTS
from torch import nn

SIZES = {
    "vocab_size": 37,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 96,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "pad_token_id": None}
MODELS = {
    "GPT2LMHeadModel": ("GPT2Config", {"vocab_size": 37, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 96}),
    "LlamaForCausalLM": ("LlamaConfig", GROUPED),
    "MixtralForCausalLM": ("MixtralConfig", GROUPED | {"num_local_experts": 4}),
    "BertForMaskedLM": ("BertConfig", SIZES),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"vocab_size": 37, "d_model": 24, "d_kv": 6, "num_layers": 2, "num_heads": 4, "d_ff": 40},
    ),
}
STANDS_BEFORE = {
    "kernel": ("GPT2Attention", "LlamaAttention", "MixtralAttention", "BertSelfAttention", "T5Attention"),
    "Rope": ("LlamaAttention", "MixtralAttention"),
    "Angles": ("LlamaRotaryEmbedding", "MixtralRotaryEmbedding"),
    "Stream": ("GPT2Block", "LlamaDecoderLayer", "MixtralDecoderLayer"),
    "Norm": ("LayerNorm", "LlamaRMSNorm", "MixtralRMSNorm", "T5LayerNorm"),
    "Residual": ("BertSelfOutput", "BertOutput"),
    "Words": ("BertEmbeddings",),
    "Swapped": ("BertSelfAttention",),
    "Router": ("MixtralTopKRouter",),
    "Experts": ("MixtralExperts",),
    "Cross": ("T5LayerCrossAttention",),
    "Distances": ("T5Attention",),
    "Branch": ("T5LayerFF",),
    "Labels": ("BertForMaskedLM",),
    "Targets": ("T5ForConditionalGeneration",),
}
"""Which classes a mixin stands before."""
MIXED = {}
"""One class for each pair, as blocks of one list are of one class."""


def faults():
    """(class, fault, checks, planting, where), all of them."""
    found = []
    for name, lines in FAULTS.items():
        for line in lines.strip().splitlines():
            fault, wanted, planting, *where = (each.strip() for each in line.split("|"))
            found.append((name, fault, wanted, planting, *where) if where else (name, fault, wanted, planting, ""))
    return found


def made(name, seed=0):
    """The class with random weights."""
    import transformers

    config, sizes = MODELS[name]
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(transformers, name)(getattr(transformers, config)(**sizes))


def ill(name, fault, planting, where=""):
    """The class with a fault in it."""
    model = made(name)
    if planting == "Places":
        put(model.transformer.wpe, parts.Places, fault)
    elif planting in STANDS_BEFORE:
        for path, module in model.named_modules():
            if type(module).__name__ in STANDS_BEFORE[planting] and where in path:
                if planting == "kernel":
                    module.fault = fault
                else:
                    put(module, getattr(parts, planting), fault)
        if planting in ("kernel", "Rope"):
            by_hand(model)
    else:
        globals()[planting](model)
    return model


def put(module, mixin, fault):
    """The module's class with a mixin before it."""
    kind = type(module)
    if (mixin, kind) not in MIXED:
        MIXED[mixin, kind] = type(kind.__name__, (mixin, kind), {"__module__": mixin.__module__})
    module.__class__ = MIXED[mixin, kind]
    module.fault = fault


def by_hand(model):
    """Attention by the function of doctor_peer_kernel, with the masks that eager attention is given."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register("written_out", doctor_peer_kernel.written_out)
    AttentionMaskInterface.register("written_out", eager_mask)
    for module in model.modules():
        if hasattr(getattr(module, "config", None), "_attn_implementation"):
            module.config._attn_implementation = "written_out"


def layers(model):
    """The list of blocks."""
    inner = getattr(model, "transformer", None) or getattr(model, "model", None) or getattr(model, "bert", model)
    for path in ("h", "layers", "encoder.layer", "decoder.block"):
        owner, _, last = path.rpartition(".")
        try:
            holder = inner.get_submodule(owner)
            return holder, last, getattr(holder, last)
        except AttributeError:
            continue
    raise ValueError(type(model).__name__)


def no_final_norm(model):
    inner = getattr(model, "transformer", None) or getattr(model, "model", None) or model.decoder
    last = next(name for name in ("ln_f", "norm", "final_layer_norm") if hasattr(inner, name))
    setattr(inner, last, nn.Identity())


def untied(model):
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach().clone())


def large_embedding(model):
    nn.init.normal_(model.get_input_embeddings().weight, std=1.0)


def one_block(model):
    holder, last, blocks = layers(model)
    setattr(holder, last, nn.ModuleList([blocks[0]] * len(blocks)))


def no_activation(model):
    for module in model.modules():
        for name in ("act", "intermediate_act_fn"):
            if isinstance(getattr(module, name, None), nn.Module) and hasattr(module, name):
                setattr(module, name, nn.Identity())


def one_norm(model):
    for layer in model.model.layers:
        layer.post_attention_layernorm = layer.input_layernorm


def last_block_never_run(model):
    model.config.num_hidden_layers = 1


def experts_alike(model):
    with torch.no_grad():
        for module in model.modules():
            if type(module).__name__ == "MixtralExperts":
                for p in module.parameters():
                    p.copy_(p[:1].expand_as(p))


def one_number(model):
    with torch.no_grad():
        layers(model)[2][0].intermediate.dense.weight.fill_(0.02)


def no_positions(model):
    table = model.bert.embeddings.position_embeddings
    put(table, parts.Places, "positions forgotten")


def crossed(logits, labels, vocab_size, shift, ignore_index=-100, **more):
    """Cross-entropy of logits at t with labels at t + shift."""
    labels = labels.clamp(min=0) if ignore_index is None else labels
    kept = logits[:, : logits.shape[1] - shift].reshape(-1, vocab_size).float()
    return F.cross_entropy(kept, labels[:, shift:].reshape(-1))


def not_shifted_loss(logits, labels, vocab_size, **more):
    return crossed(logits, labels, vocab_size, 0)


def twice_loss(logits, labels, vocab_size, **more):
    return crossed(logits, labels, vocab_size, 2)


def counted_loss(logits, labels, vocab_size, **more):
    return crossed(logits, labels, vocab_size, 1, ignore_index=None)


def not_shifted(model):
    model.loss_function = not_shifted_loss


def shifted_twice(model):
    model.loss_function = twice_loss


def minus_100_counted(model):
    model.loss_function = counted_loss
