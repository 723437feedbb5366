"""Vision encoders: the sizes they are compared in."""

import torch

COMMON = {"hidden_size": 21, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 15, "patch_size": 5}
VIT = {**COMMON, "intermediate_size": 31, "num_channels": 2}
DINOV2 = {**COMMON, "mlp_ratio": 2, "num_channels": 3}


def images(height, width):
    def made(case):
        drawn = torch.Generator().manual_seed(1)
        shape = (2, case["fields"]["num_channels"], height, width)
        return torch.randn(shape, generator=drawn, dtype=torch.float64)

    return made


def theirs(model, pixels, padding=None):
    pixels = pixels.to(next(model.parameters()).dtype)
    out = model(pixel_values=pixels, output_hidden_states=True)
    answer = out.logits if hasattr(out, "logits") else out.last_hidden_state
    return answer, list(out.hidden_states)


def ours(model, pixels, padding=None):
    seen = []
    handles = [block.register_forward_hook(lambda module, args, out: seen.append(out)) for block in model.blocks]
    answer = model(pixels.to(model.embedding.weight.dtype))
    for handle in handles:
        handle.remove()
    return answer, [None, *seen]


def case(config, auto, fields, height=15, width=15):
    return {
        "config": config, "auto": auto, "fields": fields, "kind": "vision",
        "call": (theirs, ours), "inputs": images(height, width), "padded": (),
    }  # fmt: skip


CASES = {
    "vit": case("ViTConfig", "AutoModel", VIT),
    "vit, no query bias": case("ViTConfig", "AutoModel", VIT | {"qkv_bias": False, "hidden_act": "gelu_new"}),
    "vit, classes": case("ViTConfig", "AutoModelForImageClassification", VIT | {"num_labels": 7}),
    "dinov2": case("Dinov2Config", "AutoModel", DINOV2),
    "dinov2, another size": case("Dinov2Config", "AutoModel", DINOV2, 25, 10),
    "dinov2, as many patches": case("Dinov2Config", "AutoModel", DINOV2 | {"image_size": 20}, 40, 10),
    "dinov2, gated": case("Dinov2Config", "AutoModel", DINOV2 | {"use_swiglu_ffn": True}),
    "dinov2, classes": case("Dinov2Config", "AutoModelForImageClassification", DINOV2 | {"num_labels": 7}, 20, 15),
}
