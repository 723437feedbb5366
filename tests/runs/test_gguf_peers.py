"""GGUF files against `transformers`, which reads them by itself: the same logits, tokens, texts."""

import runpy
from pathlib import Path

import pytest
import torch
from small_gguf import write
from small_tokenizers import SAMPLE

import oneblock
from oneblock.config import Attention, Block, Decoder, Gated, RMSNorm, Rope
from oneblock.data.errors import DataError
from oneblock.data.known_models import locate_model
from oneblock.runs.convert import to_hugging_face
from oneblock.runs.load import load, load_tokenizer

pytestmark = pytest.mark.peers
PARITY = Path(__file__).parents[1] / "weights" / "families" / "parity.py"


def test_a_small_model(tmp_path):
    pytest.importorskip("accelerate", reason="transformers reads GGUF files with accelerate only")
    from transformers import AutoModelForCausalLM

    config = Decoder(
        vocab_size=300, context=50, width=24, num_layers=3, tied=False, position=Rope(theta=77.0),
        blocks=(
            Block(
                norm=RMSNorm(eps=1e-5), attention=Attention(num_heads=6, num_kv_heads=2, head_width=4),
                feed_forward=Gated(hidden=37),
            ),
        ),
    )  # fmt: skip
    model = oneblock.build(config, seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    path = write(tmp_path / "m.gguf", config, model.state_dict(), fields={"general.file_type": 0})
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", attn_implementation="eager").eval()
    state = theirs.state_dict()
    tokens = torch.randint(300, (2, 11))
    lifted = runpy.run_path(str(PARITY))["Lifted"]
    with torch.no_grad():
        torch.testing.assert_close(load(path)(tokens), theirs(tokens).logits, rtol=1e-5, atol=1e-5)
        with lifted():
            theirs = type(theirs)(theirs.config).double().eval()  # its rotary table too is made anew, in float64
            theirs.load_state_dict(state)
            right = theirs(tokens).logits
        torch.testing.assert_close(load(path).double()(tokens), right, rtol=0, atol=1e-10)


@pytest.fixture(scope="module")
def smol():
    try:
        return locate_model("smollm2-135m")
    except DataError as reason:
        pytest.skip(str(reason))


def test_smollm2_says_the_same(smol, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    to_hugging_face(smol, tmp_path / "hf")
    ours, tokenizer = load(smol), load_tokenizer(smol)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.chat(question)
    assert asked == their_tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    for text in (asked, "The capital of France is", SAMPLE, "def f(x):\n\treturn x ** 2  # 12345\n"):
        ids = tokenizer.encode_with_specials(text).tolist()
        assert ids == their_tokenizer(text).input_ids and tokenizer.decode(ids) == their_tokenizer.decode(ids) == text
    tokens = torch.tensor(tokenizer.encode(asked))[None]
    made = oneblock.generate(ours, tokens, 24, temperature=0, stop=tokenizer.ends)
    assert torch.equal(made, theirs.generate(tokens, max_new_tokens=24, do_sample=False))
    assert tokenizer.decode(made[0, tokens.shape[1] :]) == "The capital of France is Paris.<|im_end|>"
    with torch.no_grad():
        torch.testing.assert_close(ours(made), theirs(made).logits, rtol=1e-4, atol=1e-4)
