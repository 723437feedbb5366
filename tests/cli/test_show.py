"""`oneblock show` from end to end."""

import io
import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from oneblock import override, presets, to_dict
from oneblock.cli.main import main
from oneblock.runs.folder import Run


def call(capsys, *arguments):
    status = main(["show", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def figures(capsys, *arguments):
    status, out, _ = call(capsys, *arguments, "--json")
    assert status == 0 and out.count("\n") == 1
    return json.loads(out)


def test_json(capsys):
    result = figures(capsys, "gpt2")
    assert result["parameters"] == 124_439_808 == sum(result["parts"].values())
    assert result["formula"] == "x = x + Attention(LayerNorm(x))\nx = x + FFN(LayerNorm(x))"
    assert result["flops_per_token"] == 855_166_464
    assert result["forward_flops_per_token"] == 284_812_800
    assert (result["cache_bytes_per_token"], result["cache_bytes_per_number"]) == (36 * 1024, 2)
    assert result["parts"]["position"] == 1024 * 768 and result["parts"]["head"] == 0
    assert result["context"] == 1024


def test_context_and_settings(capsys):
    result = figures(capsys, "nano", "--context", 17, "--set", "num_layers=3", "--set", "block.placement=peri")
    assert result["flops_per_token"] == 6 * result["parameters"] + 12 * 3 * 256 * 17
    assert result["formula"].splitlines()[0] == "x = x + RMSNorm(Attention(RMSNorm(x)))"


@pytest.mark.parametrize("name", ["run", "config"])
def test_runs_and_files_are_shown(capsys, tmp_path, name):
    config = override(presets.llama_nano(), "width=48", "num_layers=3")
    run = Run.create(tmp_path / "some-run", "nano")
    path = run.write_json("config.json", to_dict(config))
    shown = figures(capsys, run.path if name == "run" else path)
    assert shown == figures(capsys, "llama-nano", "--set", "width=48", "--set", "num_layers=3")


def test_a_model_known_by_name_is_shown(capsys, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "fetched", "nano")
    run.write_json("config.json", to_dict(override(presets.llama_nano(), "width=48")))
    places = {"smollm2-135m": run.path}
    monkeypatch.setattr("oneblock.data.known_models.locate_model", lambda name: places[name])
    assert figures(capsys, "smollm2-135m") == figures(capsys, "llama-nano", "--set", "width=48")


def test_a_person_sees_drawing_and_figures(capsys):
    status, out, _ = call(capsys, "gpt2")
    assert status == 0 and "\x1b" not in out
    for words in ("block × 12", "⊕◄", "x = x + FFN(LayerNorm(x))", "124,439,808", "855,166,464", "36 KiB"):
        assert words in out, words
    assert max(map(len, out.splitlines())) <= 80


def test_svg_is_written(capsys, tmp_path):
    path = tmp_path / "model.svg"
    path.write_text("old")
    result = figures(capsys, "nano", "--svg", path)
    assert result["svg"] == str(path)
    assert ElementTree.fromstring(path.read_text("utf-8")).tag.endswith("svg")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.svg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nanoo"], ["nanoo", "decoder-8x512", "vaswani-decoder", "minilm"]),
        (["{tmp}/none.gguf"], ["none.gguf", "neither"]),
        (["nano", "--set", "block.placement=before"], ["before", "peri"]),
        (["nano", "--svg", "{tmp}/none/x.svg"], ["none", "no folder"]),
        (["nano", "--svg", "{tmp}"], ["is a folder"]),
        (["{tmp}"], ["config.json is missing"]),
        (["{tmp}/broken.json"], ["broken.json", "JSON"]),
        (["{tmp}/other.json"], ["other.json", "hidden_size"]),
        (["{tmp}/list.json"], ["list.json", "object"]),
    ],
)
def test_bad_input_is_exit_2_with_words(capsys, tmp_path, arguments, words):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"hidden_size": 7}')
    (tmp_path / "list.json").write_text("[1]")
    status, out, err = call(capsys, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert (status, out) == (2, "")
    assert all(word in err for word in words), err


def test_a_failed_svg_leaves_the_old_one(capsys, tmp_path, monkeypatch):
    path = tmp_path / "model.svg"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oneblock.runs.durable.write_new", full)
    status, _, err = call(capsys, "nano", "--svg", path)
    assert status == 2 and "No space left" in err and path.read_text() == "old"


def test_context_below_one_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["show", "nano", "--context", "0"])
    assert end.value.code == 2 and "below 1" in capsys.readouterr().err


def test_help_loads_no_torch():
    program = (
        "import sys\nfrom oneblock.cli.main import main\n"
        "try: main(['show', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_output_that_knows_no_box_characters(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert main(["show", "nano"]) == 0
    assert b"token embedding" in raw.getvalue()
