"""Pages and depth reports of classes of `transformers`, where it is installed."""

import pytest

from oneblock.doctor.depth import depth_report
from oneblock.doctor.examine import examine
from oneblock.doctor.pages import page, view

transformers = pytest.importorskip("transformers")

HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 48}
SIZES = {"vocab_size": 53, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, **HEADS}
CLASSES = {
    "GPT2LMHeadModel": {"vocab_size": 53, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 48},
    "LlamaForCausalLM": SIZES,
    "Gemma3ForCausalLM": SIZES | {"head_dim": 6, "sliding_window": 8},
    "MixtralForCausalLM": SIZES | {"num_local_experts": 4},
    "BertForMaskedLM": SIZES,
    "T5ForConditionalGeneration": {
        "vocab_size": 53,
        "d_model": 24,
        "d_kv": 6,
        "d_ff": 40,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
}


@pytest.mark.parametrize("name", CLASSES)
def test_drawn_and_rebuilt(name):
    kind = getattr(transformers, name)
    model, met = kind(kind.config_class(**CLASSES[name])), []
    report = examine(model, only=["N1"], meet=met.append)
    views = view(met[0], report)
    (block,) = views.flow.blocks
    mixers = [box.kind for step in block.steps for branch in step.branches for box in branch if box.kind != "norm"]
    assert mixers == ["attention", *["cross_attention"] * (name[0] == "T"), "feed_forward"]
    assert len(views.stream) == 3 and views.entropy and page(report, views).count("</svg>") > 3
    deep = depth_report(met[0], (3, 5))
    assert not deep.refused and [len(each.gradients) for each in deep.depths] == [3, 5]
    assert model.config.num_hidden_layers == 2
