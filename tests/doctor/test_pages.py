"""The page of an examination and its words for a terminal: what is shown, where faults are marked, nothing loaded."""

import math
import re
from html.parser import HTMLParser

import doctor_zoo as zoo
import pytest
import torch

from oneblock.doctor.deep_answers import answers
from oneblock.doctor.depth import depth_report
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.examine import examine
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.pages import as_text, deep_text, page, view, write_report
from oneblock.doctor.pages.deep import deep_section
from oneblock.doctor.pages.marks import draw_patient, place_of
from oneblock.doctor.pages.views import Views, influence, shares
from oneblock.doctor.restore import fingerprint
from oneblock.train.report.frame import POLICY


class Reader(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.loads, self.tags, self.attributes = [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.loads += [value for key, value in attributes if key in ("src", "href") and not value.startswith("#")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def examined(model, only=("C1", "N1", "A3", "H1", "B1", "C2"), **more):
    met = []
    return examine(model, only=list(only), meet=met.append, **more), met[0]


@pytest.mark.parametrize(("fault", "healthy"), [("", True), ("no mask", False)])
def test_the_page_is_whole_and_loads_nothing(fault, healthy):
    report, patient = examined(zoo.ill("Gpt", fault))
    before = fingerprint(patient.target.module)
    views = view(patient, report)
    assert fingerprint(patient.target.module) == before
    html = page(report, views, command="oneblock doctor gpt.py:make --html page.html")
    reader = Reader(html)
    text = " ".join(reader.text)
    assert not reader.open and not reader.loads and "script" not in reader.tags
    assert ("content", POLICY) in reader.attributes and "http:" not in html.replace("http://www.w3.org/2000/svg", "")
    shown = ["Healthy." if healthy else "1 fault.", "The patient", "How far each head", "How large the stream is"]
    for expected in (*shown, "Which token moves which answer", "gpt.py:make", "could not be asked" if fault else "C1"):
        assert expected in text
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert ("What is wrong" in text) == (not healthy)
    # Worst first, and the evidence of a fault in sight.
    if not healthy:
        assert text.index("tokens see the future") < text.index("The patient") < text.index("What is well")
        assert "mask scores with −∞" in text and report.failed[0].reproduce in text


def test_what_comes_from_outside_is_no_markup():
    finding = Finding(id="C1", status="FAIL", message="<b>bold</b>", where="<i>", repair="<script>", reproduce="<u>")
    report = Report(target="<b>model</b>", called="<i>", kind="causal", checks=(finding,))
    reader = Reader(page(report, Views(), command="<script>"))
    assert not {"b", "i", "script", "u"} & set(reader.tags) - {"b"}
    assert "<b>bold</b>" in " ".join(reader.text) and reader.tags.count("b") == 2  # the verdict's, and the id's


def test_who_sees_whom():
    healthy, ahead = (examined(zoo.ill("Gpt", fault), only=["C1"]) for fault in ("", "mask two too far"))
    for report, patient in (healthy, ahead):
        (seen,) = view(patient, report).sees
        reach = 2 if report.failed else 0
        for t in range(len(seen.places)):
            for s in range(len(seen.places)):
                # Two blocks, each of which sees so many tokens ahead.
                assert (seen.moves[t][s] > 1e-5) == (s <= t + 2 * reach), (t, s)
        assert seen.forbidden == bool(reach)
    html = page(ahead[0], view(ahead[1], ahead[0]))
    assert "It does here." in html and 'class="bad" fill-opacity="1' not in page(
        healthy[0], view(healthy[1], healthy[0])
    )


def test_the_path_that_leaks_is_shown():
    report, patient = examined(zoo.ill("Gpt", "no mask in training"), only=["C1"])
    plain, train = view(patient, report).sees
    assert not plain.forbidden and train.forbidden and train.path == "train"
    report, patient = examined(zoo.ill("Gpt", "no mask beyond 64"), only=["C1"])
    sees = view(patient, report).sees
    assert sees[-1].forbidden and max(sees[-1].places) > 63 and len(sees[-1].places) <= 34


def test_entropy_and_stream():
    report, patient = examined(zoo.ill("Gpt", ""))
    views = view(patient, report)
    assert [name for name, _ in views.stream] == ["in", "1", "2"] and len(views.stream[0][1]) == 16
    assert len(views.entropy) == 2 and len(views.entropy[0]) == 3
    assert all(0 < value <= 1 for row in views.entropy for value in row)


def test_shares_of_known_weights():
    class Seen:
        def __init__(self, weights):
            self.weights = weights

    uniform = torch.ones(4, 4, dtype=torch.float64).tril()
    uniform = uniform / uniform.sum(-1, keepdim=True)
    one = torch.full((4, 4), 1e-9, dtype=torch.float64).tril()
    one[:, 0] = 1.0
    (row,) = shares([Seen(torch.stack([uniform, one]).unsqueeze(0))], 1)
    assert row[0] == pytest.approx(1.0) and row[1] < 1e-6
    # Heads folded into the batch, as some modules have them.
    (folded,) = shares([Seen(torch.stack([uniform, one, uniform, one]))], 2)
    assert folded == pytest.approx(row)


def test_influence_asks_places_evenly_where_there_are_many():
    _, patient = examined(zoo.ill("Gpt", ""), only=["E1"])
    seen = influence(patient.stirred, patient.stirred, 70, 0)
    assert seen.places[0] == 0 and seen.places[-1] == 69 and len(seen.places) == 34 == len(seen.moves)


@pytest.mark.parametrize(
    ("name", "where", "message", "kind"),
    [
        ("C1", "blocks.0.norm (norm.py:3)", "", "attention"),
        ("W2", "blocks.1.mlp.up.weight (/home/attention/model.py:7)", "", "feed_forward"),
        ("I1", "blocks.0.attn.qkv.weight", "", "attention"),
        ("N2", "blocks.0.norm1", "", "norm"),
        ("N1", "blocks.0", "a block without residual", "join"),
        ("N1", "the head", "pre-norm blocks, and no norm before the head", "head"),
        ("K3", "positions", "", "position"),
        ("E1", "", "", "block"),
        ("W4", "wte", "", "embedding"),
    ],
)
def test_where_a_fault_is_marked(name, where, message, kind):
    assert place_of(Finding(id=name, status="FAIL", where=where, message=message)) == kind


@pytest.mark.parametrize(
    "make", [lambda: zoo.ill("Gpt", ""), lambda: zoo.preset("seq2seq-nano"), lambda: zoo.preset("dit-nano")]
)
def test_every_kind_of_place_is_drawn(make):
    report, patient = examined(make(), only=["N1"])
    flow = view(patient, report).flow
    findings = [
        Finding(id=name, status="FAIL", message=name) for name in ("C1", "K3", "N2", "N1", "I2", "E1", "M1", "H1")
    ]
    drawn = draw_patient(flow, [*findings, Finding(id="A3", status="PASS", message="")], "a model")
    ids = {word for words in re.findall(r'font-weight="700">([^<]+)<', drawn) for word in words.split()}
    assert ids == {each.id for each in findings}
    assert draw_patient(flow, [], "a model").count('class="mark"') == 0
    warned = draw_patient(flow, [Finding(id="C1", status="WARN", message="")], "a model")
    assert "#c62828" not in warned and "#b4650a" in warned


def test_other_peoples_blocks_are_drawn_as_found():
    for fault, norms in (("", "in"), ("post-norm", "stream"), ("no residual around attention", "in")):
        report, patient = examined(zoo.ill("Gpt", fault), only=["N1"])
        (block,) = view(patient, report).flow.blocks
        assert block.title == "Block × 2" and all(step.keeps for step in block.steps)
        kinds = [box.kind for box in block.steps[0].branches[0]]
        assert (kinds == ["norm", "attention"]) == (norms == "in") and bool(block.steps[0].stream) == (
            norms == "stream"
        )
        assert "3 heads × 8" in block.steps[0].branches[0][-1].details
        assert block.steps[1].branches[0][-1].details == ("24 → 96",)
    flow = view(*reversed(examined(zoo.ill("Nano", ""), only=["N1"]))).flow
    assert [box.details for box in flow.after if box.kind == "head"] == [("lm_head", "24 × 23", "tied: the embedding")]
    assert [box.kind for box in flow.before] == ["end", "embedding", "position"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal(width):
    report, _ = examined(zoo.ill("Gpt", "no mask"))
    text = as_text(report, width=width, color=False)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines if "ask again" not in line)
    assert lines[0] == "Gpt: 1 fault (causal)"
    order = [line[:4] for line in lines if re.match("(FAIL|WARN|INFO|PASS|SKIP)  ", line)]
    assert order == sorted(order, key=("FAIL", "WARN", "INFO", "PASS", "SKIP").index) and order[0] == "FAIL"
    assert f"           ask again: {report.failed[0].reproduce}" in lines
    colored = as_text(report, width=width, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text != colored


def test_the_depth_report_on_the_page_and_in_the_terminal():
    report, patient = examined(zoo.preset("nano"), only=["N1"])
    deep = depth_report(patient, (2, 4))
    html = page(report, view(patient, report), deep_section(deep))
    reader = Reader(html)
    text = " ".join(reader.text)
    assert not reader.open and "At other depths" in text and "2 layers" in text and "4 layers" in text
    for each in answers(deep):
        assert each.message in text
    said = deep_text(deep, width=80, color=False)
    assert all(len(line) <= 80 for line in said.splitlines()) and said.startswith("layers")
    report, patient = examined(zoo.ill("Gpt", ""), only=["N1"])
    refused = depth_report(patient)
    assert "file.py:factory" in deep_text(refused) and "file.py:factory" in str(deep_section(refused))


def test_values_that_are_no_numbers_are_drawn():
    views = Views(stream=(("in", (1.0, 2.0)), ("1", (math.nan, math.inf))), entropy=((math.nan, 0.5), (0.1,)))
    report = Report(target="m", called="m(ids)", kind="causal", checks=())
    reader = Reader(page(report, views))
    assert not reader.open and "Not examined." in " ".join(reader.text)


def test_a_page_that_cannot_be_written(tmp_path):
    report, patient = examined(zoo.ill("Gpt", ""), only=["E1"])
    with pytest.raises(DoctorError, match="cannot be written"):
        write_report(tmp_path, report, patient)
    write_report(tmp_path / "page.html", report, patient)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
