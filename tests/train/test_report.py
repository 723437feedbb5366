import json
import math
import re
import shutil
import time
from html.parser import HTMLParser

import pytest

from oneblock.config.override import override
from oneblock.config.presets import PRESETS, nano
from oneblock.config.serial import to_dict
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.runs.jsonform import to_words
from oneblock.train.report import write_report
from oneblock.train.report.frame import POLICY

VOID = {"meta", "br", "link", "img", "input", "hr"}
TOKENS = 4096
START = {
    "event": "start",
    "step": 0,
    "seconds": 0.5,
    "name": "nano",
    "parameters": 3_157_376,
    "flops_per_token": 22_060_032,
    "peak_flops": 178.6e9,
    "precision": "bfloat16",
    "compiled": False,
    "machine": {
        "processor": "Some CPU",
        "cores": 2,
        "threads": 2,
        "memory": 2**34,
        "torch": "2.11.0",
        "accelerator": None,
    },
    "data": "a text",
    "horizon": {"steps": 300, "evaluate_every": 10, "sample_every": 10, "checkpoint_every": 10},
    "run": "runs/nano-7",
    "command": "oneblock train nano --seed 5",
}
RESULT = {
    "val_loss": 1.4321,
    "train_loss": 1.1234,
    "kept_step": 23,
    "kept_weights": "averaged",
    "tokens_per_second": 66_812.4,
    "peak_share": 0.637,
    "tokens": 29 * TOKENS,
    "steps": 29,
    "seconds": 131.0,
    "compile_seconds": 0.0,
    "parameters": 3_157_376,
    "finished": True,
}


class Page(HTMLParser):
    """Balanced or an AssertionError; keeps texts, attributes and how often each element is there."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.attributes, self.elements = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def step(number, loss=2.0, grad_norm=0.7):
    return {
        "event": "step",
        "step": number,
        "seconds": number / 10,
        "loss": loss,
        "grad_norm": grad_norm,
        "rate_factor": 0.5,
        "tokens": number * TOKENS,
    }


def evaluation(number, selection=1.9, averaged=1.8, val=1.85, kept=True):
    return {
        "event": "evaluate",
        "step": number,
        "seconds": number / 10,
        "selection_loss": selection,
        "averaged_selection_loss": averaged,
        "averaged": True,
        "val_loss": val,
        "kept": kept,
    }


@pytest.fixture
def make(tmp_path):
    """Writes a run's folder and its report; gives the page, and its source as `.source`."""

    def write(events, result=None, config=None, data=None, settings=()):
        config = config or override(nano(), *settings)
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        run = Run.create(folder, "nano")
        run.write_json("config.json", to_dict(config))
        if data != {}:
            run.write_json("data.json", data or {"name": "prose", "origin": "a file", "sha256": "ab" * 32})
        if result is not None:
            run.write_json("result.json", result)
        run.write_text("metrics.jsonl", "".join(json.dumps(to_words(event)) + "\n" for event in events))
        path = write_report(run, config)
        assert path == folder / "report.html"
        page = Page(path.read_text(encoding="utf-8"))
        page.source = path.read_text(encoding="utf-8")
        return page

    return write


def whole_run():
    events = [START]
    for number in range(1, 30):
        events.append(step(number, 4 * math.exp(-number / 9) + 1))
        if number % 5 == 0:
            events.append(evaluation(number, 2.5 - number / 29, 2.4 - number / 29, 2.45 - number / 29))
    return [
        *events,
        {"event": "sample", "step": 29, "seconds": 3.0, "text": "Once more"},
        {**RESULT, "event": "end", "step": 29},
    ]


def test_a_whole_run_shows_its_numbers_commands_and_charts(make):
    page = make(whole_run(), RESULT, settings=["block.placement=peri"])
    for words in (
        "nano on prose",
        "Finished: 29 steps in 2 min 11 s.",
        "1.4321",
        f"{math.exp(1.4321):.3f}",
        f"Bits per character {1.4321 / math.log(2):.3f}",
        "1.1234",
        "Kept step 23 averaged weights",
        "66,812",
        "63.7 %",
        "of 179 GFLOP/s measured, bfloat16",
        "3,157,376",
        "oneblock train nano --seed 5",
        "oneblock generate runs/nano-7 --prompt 'Once more'",
        "oneblock train --resume --out runs/nano-7 --steps 58",
        "model.blocks.0.placement pre peri",
        "Some CPU",
        "2.11.0",
        "ab" * 32,
        "kept: step 23",
    ):
        assert words in page.words, words
    titles = [
        "Loss, nats per token",
        "The same, later and closer",
        "Learning rate",
        "Gradient norm before clipping",
    ]
    assert [title for title in titles if title in page.words] == titles
    assert ("class", "chart") in page.attributes


def test_the_page_needs_nothing_from_elsewhere(make):
    page = make(whole_run(), RESULT)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.elements)
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src", "xlink:href"))
    assert "url(" not in page.source
    assert "@import" not in page.source
    # The name of SVG's namespace is the one address allowed; nothing is loaded from it.
    assert set(re.findall(r"https?://[^\"' <]*", page.source)) <= {"http://www.w3.org/2000/svg"}
    assert ("content", POLICY) in page.attributes
    assert POLICY.startswith("default-src 'none'")


def test_every_chart_is_described_and_every_id_unique(make):
    page = make(whole_run(), RESULT)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labelled = [value for name, value in page.attributes if name == "aria-labelledby"]
    assert len(labelled) == 4
    assert {one for value in labelled for one in value.split()} <= set(ids)
    used = {value for name, value in page.attributes if name == "href"}
    assert used <= {f"#{one}" for one in ids}


HOSTILE = '</pre><script>alert("x")</script>&amp;\x00\x1b[31m\ud800\''


def test_text_from_outside_stays_text(make):
    events = whole_run()
    events[0] = START | {
        "command": HOSTILE,
        "run": HOSTILE,
        "machine": START["machine"] | {"processor": HOSTILE},
    }
    events.insert(3, {"event": "skip", "step": 2, "seconds": 0.2, "reason": HOSTILE, "loss": 9.0, "grad_norm": 3.0})
    events.append({"event": "sample", "step": 29, "seconds": 3.0, "text": HOSTILE})
    config = override(nano(), "recipe.data=<b>&", "name=<i>")
    page = make(events, RESULT, config, data={"name": HOSTILE, "origin": HOSTILE, "sha256": HOSTILE})
    assert "script" not in page.elements
    assert "<script" not in page.source
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page.source)
    shown = '</pre><script>alert("x")</script>&amp;␀␛[31m?\''
    assert page.words.count(shown) >= 6
    assert "<i> is no preset" in page.words


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [START, step(1)],
        [START, step(1, math.nan, math.nan)],
        [START, step(1, math.inf, 0.0), step(2, 1e30, 1e30)],
        [START, step(1), evaluation(1, math.nan, math.nan, math.nan)],
        [START, step(1), evaluation(1, averaged=None)],
        [
            START,
            *(step(n, math.nan, math.inf) for n in range(1, 40)),
            evaluation(39, math.nan, math.nan, math.nan),
        ],
        [START, *(step(n, 2.0, 0.7) for n in range(1, 40)), *(evaluation(39) for _ in range(5))],
        [
            START,
            {
                "event": "skip",
                "step": 1,
                "seconds": 0.1,
                "reason": "",
                "loss": math.nan,
                "grad_norm": math.nan,
            },
        ],
        [START, step(1), {"event": "stopped", "step": 1, "seconds": 0.2}],
        [
            {
                "event": "step",
                "step": 1,
                "seconds": 0.1,
                "loss": 2.0,
                "grad_norm": 1.0,
                "rate_factor": 0.0,
                "tokens": 7,
            }
        ],
    ],
)
def test_a_run_in_any_state_has_a_page(make, events):
    page = make(events, data={})
    svg_numbers = " ".join(str(value) for name, value in page.attributes if name in ("d", "x", "y", "x1", "y1"))
    assert "nan" not in svg_numbers
    assert "inf" not in svg_numbers
    assert "The model" in page.words


def test_a_stopped_run_says_what_it_has_and_how_to_go_on(make):
    page = make(
        [
            START,
            *(step(n) for n in range(1, 8)),
            evaluation(7),
            {"event": "stopped", "step": 7, "seconds": 0.9},
        ]
    )
    assert "Not finished: 7 steps" in page.words
    assert "of 300 planned" in page.words
    assert "1.8500 nats per token, whole split, kept weights, when they were kept" in page.words
    assert "oneblock train --resume --out runs/nano-7 Curves" in page.words
    assert "stopped on request" in page.words


def test_without_an_evaluation_it_says_so(make):
    page = make([START, step(1), step(2)])
    assert "Validation loss – no evaluation yet" in page.words
    assert "2.0000 mean of the last 2 steps" in page.words


def test_losses_that_are_no_number_are_marked_and_said(make):
    page = make(
        [START, *(step(n, math.nan if n > 20 else 2.0) for n in range(1, 31))],
        RESULT | {"val_loss": math.nan, "steps": 30},
    )
    assert "loss that is no number" in page.words
    assert "Validation loss not a number" in page.words
    assert page.source.count('href="#mark-cross"') == 10 + 1


def test_a_result_from_before_the_newest_steps_is_not_shown(make):
    page = make([START, *(step(n) for n in range(1, 32)), evaluation(31)], RESULT)
    assert "1.4321" not in page.words
    assert "Not finished: 31 steps" in page.words


def test_skips_rollbacks_and_resumes_are_told(make):
    events = [START, *(step(n) for n in range(1, 9))]
    events.append(
        {
            "event": "skip",
            "step": 9,
            "seconds": 1.0,
            "reason": "the loss is nan",
            "loss": math.nan,
            "grad_norm": 1.0,
        }
    )
    events.append(
        {
            "event": "rollback",
            "step": 5,
            "seconds": 1.1,
            "reason": "five spikes",
            "to_step": 5,
            "rollbacks": 1,
        }
    )
    events.append({"event": "resume", "step": 5, "seconds": 1.2, "from_step": 5, "skipped": ["step-9: torn"]})
    events.append(START | {"step": 5, "seconds": 1.3, "command": "oneblock train --resume"})
    page = make([*events, *(step(n) for n in range(6, 9))])
    for words in (
        "1 step skipped, 1 rollback.",
        "skipped: the loss is nan",
        "went back to step 5: five spikes",
        "resumed from step 5; not whole, left out: step-9: torn",
        "started again at step 5",
        "oneblock train nano --seed 5 oneblock train --resume",
        "undone by going back",
    ):
        assert words in page.words, words


def test_a_long_log_keeps_its_beginning_and_its_end(make):
    skips = [
        {"event": "skip", "step": n, "seconds": 1.0, "reason": f"reason {n}.", "loss": 9.0, "grad_norm": 1.0}
        for n in range(1, 500)
    ]
    page = make([START, *skips])
    assert "reason 1." in page.words
    assert "reason 499." in page.words
    assert "440 more entries" in page.words
    assert page.source.count("reason ") < 70


def test_without_characters_per_token_bits_are_per_token(make):
    settings = ["recipe.tokenizer=bpe:512"]
    page = make(whole_run(), RESULT, settings=settings)
    assert f"Bits per token {1.4321 / math.log(2):.3f}" in page.words
    page = make(whole_run(), RESULT, settings=settings, data={"characters_per_token": {"validation": 3.1}})
    assert f"Bits per character {1.4321 / math.log(2) / 3.1:.3f}" in page.words


def test_a_damaged_log_is_refused_and_the_old_page_stays(make, tmp_path):
    make(whole_run(), RESULT)
    before = (tmp_path / "run" / "report.html").read_bytes()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"event": "step"\n{"event": "end", "step": 1}\n')
    with pytest.raises(RunError, match="line 1"):
        write_report(Run(tmp_path / "run"), nano())
    assert (tmp_path / "run" / "report.html").read_bytes() == before


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_page(make, name):
    page = make([START, step(1), evaluation(1)], config=PRESETS[name]())
    assert f"As the preset {name} has it." in page.words


def test_muon_names_both_learning_rates(make):
    page = make(whole_run(), settings=["recipe.optimizer=muon", "recipe.optimizer.learning_rate=0.02"])
    assert "learning rate of Muon (AdamW's, for the rest, is 0.05 times it)" in page.words


def test_a_hundred_thousand_steps_stay_small_and_fast(make, tmp_path):
    events = [START]
    for number in range(1, 100_001):
        events.append(
            step(number, 4 * math.exp(-number / 9000) + 1 + number * 7919 % 101 / 500, 0.5 + number % 13 / 10)
        )
        if number % 25 == 0:
            events.append(evaluation(number))
        if number % 50 == 0:
            events.append({"event": "sample", "step": number, "seconds": 1.0, "text": "long text " * 500})
    page = make(events, RESULT | {"steps": 100_000})
    began = time.process_time()
    write_report(Run(tmp_path / "run"), nano())
    assert time.process_time() - began < 4
    assert len(page.source.encode()) < 300_000
    assert "Step 100,000" in page.words
