"""What the second list showed, and a cold reading: each mended kind of fault, and its healthy neighbour."""

import re

import doctor_unseen
import doctor_zoo as zoo
import pytest
import torch
from torch import nn
from unseen_late import Late, Tutorial

from oneblock.cli.main import main
from oneblock.doctor import examine
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.pages import as_text

FOUND = [
    (Late, "softcap over the mask", "C1", "WARN", "in the gradient of earlier answers"),
    (Tutorial, "only its own block of eight", "C4", "WARN", "gives a weight to 8, itself counted (3 attentions)"),
    (Tutorial, "embedding of max_norm", "E1", "WARN", "changes embedding.weight: rows that are read are cut"),
    (Tutorial, "one token squeezed", "B1", "FAIL", "of 3 rows of 1 token it answers for 1"),
    (Tutorial, "padding zeroes the embeddings alone", "P1", "FAIL", "are attended to with up to"),
]


def case(made, *on):
    torch.manual_seed(0)
    return made(frozenset(on)).eval()


@pytest.mark.parametrize(("made", "name", "check", "status", "words"), FOUND)
def test_it_is_told_and_its_host_is_not(made, name, check, status, words):
    (found,) = examine(case(made, name), only=[check], expect=["causal"]).checks
    assert found.status == status and words in found.message, found
    (well,) = examine(case(made), only=[check], expect=["causal"]).checks
    assert well.status in ("PASS", "INFO"), well


@pytest.mark.parametrize("name", ["learned sink", "softcap", "linear attention"])
def test_healthy_kinds_of_attention(name):
    report = examine(case(Late, name), only=["A5", "C1", "K1", "R3", "D2"])
    assert not [each for each in report.checks if each.status in ("FAIL", "WARN")], report


def test_slopes_of_three_heads_are_the_papers_or_said_whose_they_are():
    (found,) = examine(doctor_unseen.Case(host="gpt", name="alibi", says="").model(), only=["R3"]).checks
    assert found.status == "WARN" and "these are the first 3 of 4 heads'" in found.message
    assert "the paper's are 0.0625, 0.003906, 0.25" in found.message and "needs them" in found.message
    (five,) = examine(case(Late), only=["R3"]).checks
    assert five.status == "PASS"


def test_a_sink_in_front_is_none_either():
    class Front(nn.Module):
        """One attention whose sink is the first column."""

        def __init__(self, wrong):
            super().__init__()
            self.table, self.qkv, self.sink, self.wrong = (
                nn.Embedding(13, 6),
                nn.Linear(6, 18),
                nn.Parameter(torch.ones(1)),
                wrong,
            )

        def forward(self, ids):
            x = self.table(ids)
            q, k, v = (z[:, None] for z in self.qkv(x).chunk(3, -1))
            scores = (q @ k.transpose(-1, -2) / 6**0.5).masked_fill(
                ~torch.ones(ids.shape[1], ids.shape[1]).tril().bool(), -1e9
            )
            w = torch.cat([self.sink.expand(*scores.shape[:-1], 1), scores], -1).softmax(-1)[..., 1:]
            y = (w @ v)[:, 0]
            return (x + (y.roll(1, 1) if self.wrong else y)) @ self.table.weight.T

    for wrong in (False, True):
        (found,) = examine(Front(wrong), only=["A5"], expect=["causal"]).checks
        assert (found.status == "PASS") is not wrong, found


def test_rows_of_one_token_each():
    class Mixed(nn.Module):
        """Decodes one token of several rows as if it were one row of several tokens."""

        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(13, 6), nn.Linear(6, 13)

        def forward(self, ids):
            x = self.table(ids)
            x = x.transpose(0, 1) if ids.shape[1] == 1 else x
            x = x.cumsum(1)
            return self.head(x.transpose(0, 1) if ids.shape[1] == 1 else x)

    (found,) = examine(Mixed(), only=["B1"], expect=["causal"]).checks
    assert found.status == "FAIL" and "rows of one token each see one another" in found.message


def test_a_weight_that_a_call_changes():
    class Drifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.count = nn.Embedding(13, 6), nn.Parameter(torch.zeros(1))

        def forward(self, ids):
            with torch.no_grad():
                self.count += 1
            return self.table(ids) @ self.table.weight.T

    (found,) = examine(Drifts(), only=["E1"]).checks
    assert found.status == "FAIL" and "changes count" in found.message


def test_labels_that_are_viewed_flat():
    """nanoGPT's loss views targets, which a slice does not bear: I3 must be asked all the same."""

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(13, 6), nn.Linear(6, 13)

        def forward(self, idx, targets=None):
            logits = self.head(self.table(idx))
            loss = None if targets is None else nn.functional.cross_entropy(logits.view(-1, 13), targets.view(-1))
            return logits, loss

    (found,) = examine(Flat(), only=["I3"], expect=["causal"]).checks
    assert found.status == "PASS", found


def test_a_leak_is_told_once_a_path_and_as_far_as_one_attention_reaches():
    (found,) = examine(zoo.ill("Gpt", "mask one too far"), only=["C1"]).checks
    assert "up to 2 ahead in all, 1 in one attention" in found.message
    paths = re.findall(r"(?:on |; )([^;]+), \d+ tokens", found.where)
    assert len(paths) == len(set(paths)) > 3 and paths[0] == "eval" and " on eval, 5 tokens; " in found.where


def finding(name, status, message):
    return Finding(id=name, status=status, message=message)


@pytest.mark.parametrize("width", [50, 80, 120])
def test_words_keep_within_the_window_with_colours_too(width):
    long = "a sentence of many words that goes on and on, " * 6
    checks = [finding("C1", "FAIL", long), finding("K1", "SKIP", "it has no cache"), finding("N2", "PASS", long)]
    checks += [finding("K2", "SKIP", "it has no cache"), finding("A1", "SKIP", long)]
    report = Report(target="t", called="model(ids)", kind="causal", checks=tuple(checks))
    plain, painted = (as_text(report, width=width, color=color) for color in (False, True))
    assert re.sub("\x1b\\[[0-9;]*m", "", painted) == plain and "\x1b[1;31mFAIL\x1b[0m  C1" in painted
    assert max(map(len, plain.splitlines())) <= width
    # What could not be asked stands by its reason, behind everything else.
    assert "SKIP  K1 K2: it has no cache" in plain and plain.index("PASS") < plain.index("SKIP")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "TARGET is empty"),
        ("text.txt", "text.txt is a file, and none that holds a model"),
        ("m.py", "m.py is a file of Python; say which function gives the model: "),
        ("m.py:", "m.py is a file of Python; say which function gives the model: "),
        ("folder", "config.json is missing"),
        ("broken.pt", "neither a GGUF file nor a checkpoint"),
    ],
)
def test_targets_that_are_none(tmp_path, monkeypatch, capsys, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "broken.pt").write_text("hello")
    (tmp_path / "m.py").write_text("def make(): ...")
    (tmp_path / "folder").mkdir()
    assert main(["doctor", name]) == 2
    assert says in capsys.readouterr().err


def test_a_factory_with_a_seed_of_its_own_is_made_to_draw_anew():
    """Two models with one seed have one random table too, saved or not."""
    made = "random features not saved"
    (found,) = examine(case(Tutorial, made), only=["W1"], again=lambda: case(Tutorial, made)).checks
    assert found.status == "FAIL" and "something is not in the state dict" in found.message
    (well,) = examine(case(Tutorial), only=["W1"], again=lambda: case(Tutorial)).checks
    assert well.status == "PASS"
