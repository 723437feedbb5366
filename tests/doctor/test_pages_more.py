"""The pages of `--against` and `--log`: what they show, where the first difference is marked, nothing loaded."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import parity_zoo
import pytest

from oneblock.cli.main import main
from oneblock.doctor.logs.examine import examine_log
from oneblock.doctor.pages import write_log, write_parity
from oneblock.doctor.parity import against


class Reader(HTMLParser):
    """Text, and for each SVG the words inside elements of class `mark`."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.loads, self.marks = [], [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.loads += [value for key, value in attributes if key in ("src", "href") and not value.startswith("#")]
        self.marks += ("class", "mark") in attributes or ("class", "mark bad") in attributes
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    html = path.read_text()
    reader = Reader(html)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) and not reader.open and not reader.loads and "<script" not in html
    return html, " ".join(reader.text), reader


def rows(text, module):
    return re.findall(rf"{re.escape(module)}(?: +← here)? +\w+ +(same|differs) +(same|differs)", text)


def test_two_that_differ(tmp_path):
    met = []
    found = against(*parity_zoo.pair("Llama", {"interleaved": True}), meet=lambda *both: met.extend(both))
    first = found.first_difference
    write_parity(tmp_path / "a.html", found, met[1])
    html, text, reader = read(tmp_path / "a.html")
    assert "They differ." in text and str(first) in text and str(found.explanation[0]) in text
    # The rings of the drawing: one on attention, none elsewhere.
    assert reader.marks == 1 and re.search(r"marked: X1", html)
    assert rows(text, first.reference) == [("same", "differs")] and f"{first.reference}  ← here" in text
    walked = {each.reference: each for each in found.walked}
    assert walked["blocks.0.norm1"].gives and walked["blocks.0.norm1"].given and not walked["head"].gives
    assert walked["blocks.0.norm1"].difference <= found.threshold < walked["head"].difference
    assert f"{sum(each.gives for each in found.walked)} of {len(found.walked)}" in text
    assert json.loads(json.dumps(found.to_dict()))["walked"][0]["gives"] is True


def test_two_that_agree(tmp_path):
    met = []
    found = against(*parity_zoo.pair("Llama", {}), meet=lambda *both: met.extend(both))
    write_parity(tmp_path / "a.html", found, met[1])
    _, text, reader = read(tmp_path / "a.html")
    assert "They agree." in text and not reader.marks and "Modules walked" not in text and not found.walked


def log(path, factor):
    draw, n = np.random.default_rng(3), np.arange(400)
    loss = 2.2 + 2 * np.exp(-n / 80) + 0.04 * draw.standard_normal(400)
    rate = np.full(400, 3e-4)
    rate[250:] *= factor
    loss[251:300] += np.linspace(2, 0.1, 49) * (factor > 1)
    lines = [json.dumps({"step": int(i), "loss": float(loss[i]), "lr": float(rate[i])}) for i in n]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("factor", [10, 1])
def test_a_log(tmp_path, factor, capsys):
    file, page = log(tmp_path / "<b>.jsonl", factor), tmp_path / "log.html"
    status = main(["doctor", "--log", str(file), "--html", str(page)])
    out, err = capsys.readouterr()
    assert status == (1 if factor > 1 else 0) and str(page) in err
    html, text, reader = read(page)
    report = examine_log(file)
    for entry in (*report.observed, *report.consistent_with, *report.ruled_out, *report.not_logged):
        assert entry in text and entry in out
    for question, answer in report.questions.items():
        assert f"{question}?" in text and answer in text
    assert [title in text for title in ("observed", "consistent with", "ruled out", "not logged")] == [True] * 4
    assert "<b>.jsonl" in text and "<b>.jsonl" not in html
    if factor == 1:
        assert "Nothing begins that should not." in text and not reader.marks
    else:
        assert reader.marks == len(report.timeline) and "Trouble begins at step 251" in text
        # The mark of the onset stands under its step.
        (x,) = {float(found) for found in re.findall(r'<line x1="([\d.]+)"[^>]*class="onset"', html)}
        assert x == pytest.approx(150 + (900 - 150 - 16) * 251 / 399, abs=0.1)
        assert html.count('id="log-loss-title"') == 1 and "learning rate (lr)" in text


def test_a_log_without_a_curve(tmp_path):
    """All but three losses are no numbers: a page all the same."""
    lines = [json.dumps({"step": i, "loss": 3.0 if i < 3 else float("nan")}) for i in range(20)]
    file = tmp_path / "m.jsonl"
    file.write_text("\n".join(lines))
    write_log(tmp_path / "p.html", examine_log(file))
    assert "Trouble begins at step 3" in read(tmp_path / "p.html")[1]


def test_where_the_page_cannot_be(tmp_path, capsys):
    file = log(tmp_path / "m.jsonl", 1)
    assert main(["doctor", "--log", str(file), "--html", str(tmp_path / "no" / "p.html")]) == 2
    assert "its folder is not there" in capsys.readouterr().err
