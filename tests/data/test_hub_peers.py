"""Tokenizers of models against `transformers`: the same ids, the same text, the same conversation."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import CHAT, SAMPLE, added, byte_level, folder_of, sentencepiece, word_pieces

from oneblock.data.hub_folder import read_hub_tokenizer

pytestmark = pytest.mark.peers

NAMES = {"bos_token": "<|start|>", "eos_token": "<|end|>"}
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
KINDS = {
    "byte-level": (byte_level, NAMES | {"chat_template": CHAT}),
    "with tokens beside it": (
        byte_level,
        NAMES
        | {"added_tokens_decoder": {"300": added("<|new|>", special=True), "301": added("the end", special=False)}},
    ),
    "sentencepiece": (sentencepiece, LLAMA),
    "with an end": (sentencepiece, LLAMA | {"add_bos_token": True, "add_eos_token": True}),
    "without a start": (sentencepiece, LLAMA | {"add_bos_token": False}),
    "wordpiece": (word_pieces, {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}),
}
TEXTS = st.text(alphabet=sorted({*SAMPLE, "é", "京", "x", "<", "|", ">"})) | st.sampled_from(
    ["<|new|>the end <|end|> ", "<s>the</s> end", "[MASK] the [SEP]", SAMPLE]
)


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    from transformers import AutoTokenizer

    make, config = KINDS[request.param]
    config = config | {"tokenizer_class": "PreTrainedTokenizerFast"}
    folder = folder_of(tmp_path_factory.mktemp("tokenizer"), make(), config)
    return read_hub_tokenizer(folder), AutoTokenizer.from_pretrained(folder)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(text=TEXTS)
def test_ids_and_text(pair, text):
    ours, theirs = pair
    ids = theirs(text).input_ids
    assert ours.encode_with_specials(text).tolist() == ids
    assert ours.encode(text).tolist() == theirs(text, add_special_tokens=False).input_ids
    assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False)


CONVERSATION = [
    {"role": "system", "content": "Be <brief> & 'kind'."},
    {"role": "user", "content": "Wer ist Käthe? 東京\n"},
    {"role": "assistant", "content": "Someone."},
    {"role": "user", "content": "Who?"},
]
TEMPLATES = {
    "smollm": CHAT,
    "special tokens": "{{ bos_token }}{% for m in messages %}\n  {{ m['role'] | upper }}: {{ m['content'].strip() }}\n  {% endfor %}{{ eos_token }}{{ pad_token }}",
    "json": "{% for m in messages %}{{ m | tojson }}{% if not loop.last %},\n{% else %}{% break %}{% endif %}{% endfor %}",
    "namespace": "{% set n = namespace(last='') %}{% for m in messages %}{% set n.last = m.role %}{% endfor %}{{ n.last }}{{ tools is none }}{{ documents is none }}",
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}{% if add_generation_prompt %}>{% endif %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("messages", [CONVERSATION, CONVERSATION[1:2]], ids=["four", "one"])
def test_conversations(tmp_path, name, messages):
    from transformers import AutoTokenizer

    config = NAMES | {"tokenizer_class": "PreTrainedTokenizerFast"}
    folder = folder_of(tmp_path, byte_level(), config)
    (folder / "chat_template.jinja").write_text(TEMPLATES[name], encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert read_hub_tokenizer(folder).chat(messages) == theirs
