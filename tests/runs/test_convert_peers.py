"""What goes out is loaded by transformers itself, by name alone, with equal logits; its tokenizer too."""

import pytest
import torch

import oneblock
from oneblock.config import to_dict
from oneblock.data.bpe import BPETokenizer
from oneblock.data.tokenizer import ByteTokenizer, CharTokenizer
from oneblock.runs.convert import to_hugging_face
from oneblock.runs.folder import Run
from oneblock.runs.weights import save_weights

pytestmark = pytest.mark.peers

TEXT = "To be, or not\nto be: that is the question.  \t é"
SMALL = ("width=24", "num_layers=3", "block.attention.num_heads=2", "context=32")
SETTINGS = {
    "arcee": ("nano",),
    "gemma": (
        "llama_nano",
        "block.norm.one_plus=true",
        "embedding_scale=true",
        "block.feed_forward.activation=gelu_tanh",
    ),
    "llama": ("llama_nano", "block.feed_forward.hidden=29"),
    "llama, untied": ("llama_nano", "block.feed_forward.hidden=29", "tied=false"),
    "llama 3": ("llama_nano", "position.scaling=llama3", "position.scaling.original_context=16"),
    "mistral": ("llama_nano", "block.attention.window=7"),
    "qwen3": ("llama_nano", "block.attention.qk_norm=rms"),
    "mixtral": ("llama_nano", "block.feed_forward=top_k", "block.feed_forward.expert.hidden=19"),
    "olmo2": (
        "llama_nano",
        "block.placement=out",
        "block.attention.qk_norm=rms",
        "block.attention.qk_norm_over=all_heads",
    ),
    "gpt2": ("gpt2", "block.feed_forward.hidden=31"),
    "gpt2, no biases": (
        "gpt2",
        "block.attention.bias=false",
        "block.attention.output_bias=false",
        "block.norm.bias=false",
    ),
    "gpt_neox": ("gpt2", "position=rope", "tied=false", "block.steps=attention+feed_forward"),
    "gptj": (
        "gpt2",
        "position=rope",
        "position.style=interleaved",
        "position.fraction=0.5",
        "tied=false",
        "head_bias=true",
        "block.attention.bias=false",
        "block.attention.output_bias=false",
        "block.steps=attention+feed_forward",
        "block.shared_norm=true",
    ),
}


def run(folder, config, tokenizer):
    made = Run.create(folder, "run")
    made.write_json("config.json", to_dict(config))
    made.write_json("tokenizer.json", tokenizer.to_dict())
    model = oneblock.build(config, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    save_weights(made.path, "kept", model.state_dict(), {})
    return made.path


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_auto_model_gives_equal_logits(name, dtype, tmp_path):
    import transformers

    preset, *changes = SETTINGS[name]
    tokenizer = CharTokenizer(TEXT)
    settings = (*SMALL, f"vocab_size={tokenizer.vocab_size}", *changes)
    config = oneblock.override(getattr(oneblock.presets, preset)(), *settings)
    begun = run(tmp_path / "run", config, tokenizer)
    out = to_hugging_face(begun, tmp_path / "hf", dtype=dtype)
    assert out.family == name.split(",")[0].split(" ")[0]
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(out.path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert theirs.dtype == dtype
    theirs.config._experts_implementation = "eager"
    ids = torch.randint(0, tokenizer.vocab_size, (2, 13), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        right = theirs.eval()(ids).logits
        ours = oneblock.load(begun).to(dtype)(ids)
    # Theirs computes norms and phases in float32 also where the rest is float64.
    assert (ours - right).abs().max() < 1e-5 * max(1.0, float(right.abs().max()))


@pytest.mark.parametrize(
    "tokenizer", [CharTokenizer(TEXT), ByteTokenizer(), BPETokenizer.train(TEXT * 2, 270)], ids=lambda each: each.kind
)
def test_auto_tokenizer_gives_the_same_ids(tokenizer, tmp_path):
    import transformers

    config = oneblock.override(oneblock.presets.llama_nano(), *SMALL, f"vocab_size={tokenizer.vocab_size}")
    out = to_hugging_face(run(tmp_path / "run", config, tokenizer), tmp_path / "hf").path
    theirs = transformers.AutoTokenizer.from_pretrained(out)
    ids = [int(token) for token in tokenizer.encode(TEXT)]
    assert theirs(TEXT)["input_ids"] == ids
    assert theirs.decode(ids) == TEXT
    assert theirs.model_max_length == 32


def test_their_generate_continues_as_ours(tmp_path):
    import transformers

    tokenizer = CharTokenizer(TEXT)
    config = oneblock.override(oneblock.presets.llama_nano(), *SMALL, f"vocab_size={tokenizer.vocab_size}")
    begun = run(tmp_path / "run", config, tokenizer)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(to_hugging_face(begun, tmp_path / "hf").path)
    prompt = torch.from_numpy(tokenizer.encode("To be")).unsqueeze(0)
    made = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=9, do_sample=False)
    ours = oneblock.generate(oneblock.load(begun), prompt, max_new_tokens=9, temperature=0)
    assert made.tolist() == ours.tolist()
