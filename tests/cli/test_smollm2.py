"""SmolLM2-135M from a newcomer's command line: fetched by name, converted, generated from."""

import json

import pytest

from oneblock.cli.main import main
from oneblock.data.errors import DataError
from oneblock.data.known_models import locate_model

pytestmark = pytest.mark.slow
ASKED = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("gguf", reason="the gguf package is not installed")
    try:
        locate_model("smollm2-135m")
    except DataError as reason:
        pytest.skip(str(reason))
    target = tmp_path_factory.mktemp("smol") / "smollm2"
    assert main(["convert", "smollm2-135m", str(target), "--dtype", "bfloat16", "--json"]) == 0
    return target


def call(capsys, *arguments):
    assert main(["generate", *map(str, arguments), "--temperature", "0", "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_it_goes_on(folder, capsys):
    result = call(capsys, folder, "--prompt", "The capital of France is", "--tokens", "2")
    assert result["text"] == "The capital of France is Paris."


def test_it_answers_and_stops(folder, capsys):
    result = call(capsys, folder, "--chat", "--prompt", "What is the capital of France?", "--tokens", "30")
    assert result["answer"] == "The capital of France is Paris."
    assert result["text"] == ASKED + result["answer"] and result["tokens"] == 8
