import pytest
from small_tokenizers import CHAT

from oneblock.data.chat import render_chat
from oneblock.data.errors import DataError

ASK = [{"role": "user", "content": "Is <b> & 'c' é?"}]


def test_the_prompt_of_the_answer_is_left_out_on_request():
    with_, without = (render_chat(CHAT, ASK, {}, add_generation_prompt=add) for add in (True, False))
    assert with_ == without + "<|start|>assistant\n"


def test_special_tokens_and_blocks():
    template = (
        "{{ bos_token }}\n{% if true %}\n  {% for m in messages %}\n{{ m.content }}|\n  {% endfor %}\n{% endif %}"
    )
    assert render_chat(template, ASK, {"bos_token": "<s>"}) == "<s>\nIs <b> & 'c' é?|\n"
    assert render_chat("{{ sep_token }}.", ASK, {}) == "."


def test_json_is_not_escaped_for_web_pages():
    assert render_chat("{{ messages[0] | tojson }}", ASK, {}) == '{"role": "user", "content": "Is <b> & \'c\' é?"}'
    assert render_chat("{{ {'b': 1, 'a': 2} | tojson(indent=1) }}", ASK, {}) == '{\n "b": 1,\n "a": 2\n}'


def test_what_templates_of_models_use():
    loop = "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}"
    assert render_chat(loop, ASK * 3, {}) == "user"
    marked = "{% for m in messages %}{% generation %}{{ m.role }}!{% endgeneration %}{% endfor %}"
    assert render_chat(marked, ASK * 2, {}) == "user!user!"
    assert render_chat("{{ strftime_now('%Y') | length }}", ASK, {}) == "4"
    assert render_chat("{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}", ASK, {}) == "2"
    assert render_chat("{{ tools is none }}", ASK, {}) == "True"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "Roles must alternate"),
        ("{% for %}", "Expected"),
        ("{{ messages[0].content + 1 }}", "str"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ messages[0].update({'role': 'x'}) }}", "unsafe"),
    ],
)
def test_a_template_that_fails_or_reaches_out_is_refused(template, words):
    with pytest.raises(DataError, match=r"chat template failed") as caught:
        render_chat(template, ASK, {})
    assert words in str(caught.value)
    assert ASK == [{"role": "user", "content": "Is <b> & 'c' é?"}]
