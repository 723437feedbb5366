"""The words, the JSON object and the page of a comparison that has been run."""

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from oneblock.compare.catalogue import NATS
from oneblock.compare.engine import compare
from oneblock.compare.experiment import Above, Alike, Below, Lower
from oneblock.compare.markdown import as_markdown
from oneblock.compare.plan import plan
from oneblock.compare.power import outlooks
from oneblock.compare.report import page
from oneblock.compare.store import Store
from oneblock.compare.tables import about, claimed, results
from oneblock.compare.words import as_json, as_text, number, sentence
from oneblock.runs.jsonform import to_words


@pytest.fixture
def outcome(experiment, tiny, tmp_path):
    """Five variants (two charts), one of which diverges, and a label that must not become markup."""
    variants = {
        "pre": (),
        "post": ("block.placement=post",),
        "gated": ("block.feed_forward=swiglu", "block.attention.num_kv_heads=1"),
        "<b>wild": ("recipe.optimizer.learning_rate=1e30", "block.placement=none", "final_norm=none"),
        "out": ("block.placement=out",),
    }
    rule = (Lower(a="pre", b="post"), Alike(a="gated", b="pre", within=0.5))
    made = plan(experiment(variants, rule=rule, equal="parameters", tolerance=0.2), replace(tiny, rates=(1.0,)))
    store = Store(tmp_path / "out")
    yield compare(made, store)
    store.close()


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text, self.loads, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for key, value in attributes if key in ("src", "href") and not value.startswith("#")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_loads_nothing(outcome):
    reader = Reader()
    reader.feed(page(outcome, "oneblock compare made-here --seeds 2"))
    text = " ".join(reader.text)
    assert not reader.open and not reader.loads and "script" not in reader.tags and "b" not in reader.tags
    for expected in (
        outcome.verdict,
        outcome.verdict.capitalize() + ".",
        sentence(outcome),
        "A claim.",
        "oneblock compare made-here --seeds 2",
        "<b>wild",
        "noise floor",
        f"{outcome.plan.variants[0].parameters:,}",
        outcome.plan.data_sha256,
        "diverged",
    ):
        assert expected in text, expected
    assert text.count("Training loss, nats per token, by step") == 2 * 2, (
        "two charts, each with its name in the drawing too"
    )


def test_every_drawing_is_well_formed(outcome):
    html = page(outcome, "x")
    drawings = html.split("<svg")[1:]
    assert len(drawings) >= 5
    whole = html[html.index("<body") : html.index("</body>") + len("</body>")]
    body = ET.fromstring(whole)
    circles = list(body.iter("circle"))
    text = " ".join(body.itertext())
    assert text.index(sentence(outcome)) < text.index("A claim.") < text.index("What was compared")
    assert len(circles) == len(outcome.findings)
    for circle, finding in zip(circles, outcome.findings, strict=True):
        side = float(circle.get("cx")) - 300
        assert side == pytest.approx(0, abs=0.05) or (side > 0) == (finding.difference > 0)


def test_the_text_says_what_the_page_says_and_nothing_in_it_becomes_markup(outcome):
    rule = (Lower(a="pre", b="post", expects=1e-6), Lower(a="pre", b="out"))
    told = replace(outcome, outlooks=tuple(outlooks(rule, outcome.values, 5)))
    words = as_markdown(told, "oneblock compare made-here --seeds 2")
    assert words.startswith("# T1 made-here\n\n**" + outcome.verdict.capitalize() + ".** ")
    plain = words.replace("\\", "")
    for expected in (sentence(outcome), "Claim: A claim.", "oneblock compare made-here --seeds 2", "SHA-256", "a test"):
        assert expected in plain, expected
    assert words.index("A claim.") < words.index("## What was compared") < words.index("## Results")
    assert "\\<b\\>wild" in words and "<b>" not in words.replace("\\<", "")
    heads = ("### Training loss", "## Variants", "## What the seeds can tell", "## How it was run")
    assert sorted(heads, key=words.index) == list(heads)
    tables = [block.splitlines() for block in words.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 5
    for head, rule, *lines in tables:
        # Escaped bars are no edges of a cell.
        edges = {line.replace("\\|", "").count("|") for line in (head, rule, *lines)}
        assert len(edges) == 1 and lines
    assert len(tables[0]) - 2 == len(outcome.findings) and len(tables[3]) - 2 == len(outcome.plan.variants)
    assert "What the seeds can tell" not in as_markdown(outcome, "x")


def test_a_mean_has_as_many_decimals_as_its_spread_has_use_for():
    assert [about(values) for values in ([2.0, 2.1], [0.0, 0.0], [1.0, math.nan])] == ["2.050 ± 0.071", "0", "–"]
    assert about([-3.0, -3.4]) == "−3.20 ± 0.28" and about([2e7, 4e7]) == "3e+07 ± 1.4e+07"


def test_many_variants_stand_below_one_another(outcome):
    few = results(outcome)
    assert few.names == ["measure", *outcome.plan.labels] and len(few.lines) == len(outcome.plan.experiment.wanted)
    seven = replace(outcome.plan, variants=(*outcome.plan.variants, *outcome.plan.variants[:2]))
    many = results(replace(outcome, plan=seven))
    assert many.names[1] == "loss on the whole validation split, nats per token"
    assert [line[0] for line in many.lines] == list(seven.labels) and many.lines[0][1] == few.lines[0][1]


def test_a_bound_on_a_logarithm_says_of_what():
    assert claimed(Above(a="x", bound=math.log(2), measure="cache_gain")).startswith("x above 0.6931 (×2): ln of")
    assert claimed(Below(a="x", bound=-10, measure="cache_error")).startswith("x below −10: log10 of")
    assert (
        claimed(Alike(a="x", b="y", within=0.05)) == "x and y within 0.05: loss on the whole validation split, " + NATS
    )


def test_the_object_has_what_the_contract_names(outcome):
    result = as_json(outcome, "r.html", "c")
    assert {"experiment", "verdict", "sentence", "noise_floor", "variants", "report"} <= set(result)
    assert json.loads(json.dumps(to_words(result)))["verdict"] == outcome.verdict
    wild = result["variants"][3]
    assert wild["diverged"] == 2 and all(map(math.isfinite, wild["measures"]["val_loss"]))
    assert [len(variant["measures"]["val_loss"]) for variant in result["variants"]] == [2] * 5
    assert result["comparisons"][0]["difference"] == outcome.findings[0].difference


def test_the_words_of_a_terminal(outcome):
    words = as_text(outcome)
    assert f"verdict: {outcome.verdict}" in words and sentence(outcome) in words
    assert "equal: tokens, their order, and parameters (within 20%, by the feed-forwards' inner width)" in words
    assert "hidden=" in words and "2/2" in words and "not searched" in words
    assert "gated and pre within 0.5" in words


def test_numbers_are_short_and_have_a_true_minus():
    assert [number(x) for x in (-0.123456, 2.0, math.nan)] == ["−0.1235", "2", "–"]
    assert number(0.5, signed=True) == "+0.5"


def test_what_the_seeds_can_tell_is_on_the_page_in_the_object_and_in_the_terminal(outcome):
    rule = (Lower(a="pre", b="post", expects=1e-6), Lower(a="pre", b="post", expects=50.0), Lower(a="pre", b="out"))
    found = outlooks(rule, outcome.values, 5)
    told = replace(outcome, outlooks=tuple(found))
    reader = Reader()
    reader.feed(page(told, "x"))
    text = " ".join(reader.text)
    assert not reader.open and "What the seeds can tell" in text and "more than 1000" in text and "no size" in text
    assert "Said before the runs, of 5 seeds, from the spread of 2 known, which tells it roughly:" in text
    assert "What the seeds can tell" not in page(outcome, "x")
    power = as_json(told, "r", "c")["power"]
    assert [entry["too_few"] for entry in power] == [True, False, False]
    assert power[0]["enough_seeds"] is None and power[1]["enough_seeds"] == 2 and power[2]["expects"] is None
    assert as_json(outcome, "r", "c")["power"] == []
    assert as_text(told).count("WARNING: val_loss: pre lower than post") == 1 and "WARNING" not in as_text(outcome)
