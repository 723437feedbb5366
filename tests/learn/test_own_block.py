"""`oneblock train --block`: a learner's block in a run like any other, and code that runs only where it is asked for."""

import json

import pytest
import torch

import oneblock
from oneblock.cli.main import main
from oneblock.config import presets
from oneblock.config.config import Config
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import text_of
from oneblock.learn.own_block import in_form, maker, passed
from oneblock.models.build import build
from oneblock.runs.errors import RunError

SMALL = ("width=24", "num_layers=2", "context=16", "block.attention.num_heads=3")
MORE = """

class Mine(Block):
    pass
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my_transformer"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    text = text_of("block", "reference").replace("self.down", "self.back")
    text = text.replace("import math\n", "import math\n\nfrom .softmax import softmax\n")
    (folder / "softmax.py").write_text(text_of("softmax", "reference"))
    (folder / "block.py").write_text(
        text + '\n\ndef mapping():\n    return {"feed_forward.down": "feed_forward.back", "down": "back"}\n'
    )
    return folder


def config(*settings):
    return in_form(presets.nano(), *SMALL, *settings)


def test_a_learners_block_starts_with_our_weights_and_computes_the_same(folder):
    file, more = passed(folder)
    assert file == folder / "block.py" and [path.name for path in more] == ["softmax.py"]
    mine, ours = maker(file)(config()).eval(), build(config(), seed=config().recipe.seed).eval()
    tokens = torch.randint(65, (2, 11))
    assert type(mine.blocks[0].own).__name__ == "Block" and "blocks.1.own.feed_forward.back.weight" in dict(
        mine.named_parameters()
    )
    assert torch.allclose(mine(tokens), ours(tokens), atol=1e-5)
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in ours.parameters())


def test_a_block_that_is_not_right_yet_is_refused_with_the_graders_words(folder):
    path = folder / "block.py"
    path.write_text(path.read_text().replace("x = x + self.attention", "x = self.attention"))
    with pytest.raises(
        LearnError, match="does not pass `oneblock check block` yet: your answer equals a block without the bypass"
    ):
        passed(folder)
    with pytest.raises(RunError, match="has no block.py"):
        passed(folder.parent)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("block.norm=rms",), "this model has no such parameter"),
        (("block.attention.bias=true",), r"this model has attention.qkv.bias, yours has no such parameter"),
        (
            ("block.attention.num_kv_heads=1",),
            r"attention.qkv.weight is \[72, 24\] in yours and \[40, 24\] in this model",
        ),
        (("block.feed_forward.activation=relu",), "apart: the configuration has another form"),
        (("position=rope",), "apart: the configuration has another form"),
        (("block.dropout=0.5",), "apart: the configuration has another form"),
        (("block.placement=post",), "this model has attention_residual.norm.weight, yours has no such parameter"),
    ],
)
def test_another_form_is_told_both_ways(folder, settings, words):
    with pytest.raises(LearnError, match=words):
        maker(folder / "block.py")(config(*settings))


def test_only_a_decoder_has_such_blocks():
    with pytest.raises(LearnError, match="dit-nano is none"):
        in_form(presets.preset("dit-nano"))
    assert isinstance(in_form(presets.preset("gpt2")), Config)


def test_a_run_is_made_resumed_read_and_generates(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question\n" * 40)
    words = ["--data", "text.txt", "--batch", "2", "--out", "run", "--device", "cpu"]
    sets = [part for setting in SMALL for part in ("--set", setting)]
    assert main(["train", "nano", "--block", "my_transformer", "--steps", "2", *sets, *words, "--json"]) == 0
    record = json.loads((tmp_path / "run" / "block.json").read_text())
    assert set(record["files"]) == {"__init__.py", "block.py", "softmax.py"} and record["folder"] == "my_transformer"
    assert (tmp_path / "run/block/my_transformer/block.py").read_text() == (folder / "block.py").read_text()
    resume = ["train", "--resume", "--out", "run", "--steps", "3", "--device", "cpu"]
    capsys.readouterr()
    assert main(resume) == 2 and "Nothing of it was run" in capsys.readouterr().err
    assert main([*resume, "--block", "my_transformer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 3
    with pytest.raises(RunError, match="Nothing of it was run. If you trust it, say so: --block run/block/my_trans"):
        oneblock.load("run")
    model = oneblock.load("run", block="run/block/my_transformer")
    assert not model.training and model(torch.zeros(1, 4).long()).shape[:2] == (1, 4)
    assert main(["generate", "run", "--tokens", "3", "--prompt", "to"]) == 2
    assert main(["generate", "run", "--tokens", "3", "--prompt", "to", "--block", "my_transformer", "--json"]) == 0
    assert main(["convert", "run", "other"]) == 2
    (folder / "softmax.py").write_text("raise SystemExit('run after all')\n")
    with pytest.raises(RunError, match="softmax.py is not what run was trained with"):
        oneblock.load("run", block=folder)
    assert main([*resume, "--block", "my_transformer"]) == 2
    assert "is not what run was trained with" in capsys.readouterr().err


def test_a_run_of_our_own_blocks_takes_none(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"model": {}}))
    with pytest.raises(RunError, match="leave --block out"):
        oneblock.load(tmp_path / "run", block=folder)
