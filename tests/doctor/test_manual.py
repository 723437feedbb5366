"""docs/doctor.md: every check is explained, every picture is there, every figure in it is right."""

import math
import re
from pathlib import Path

from oneblock.doctor import alarms, deep_answers, watch
from oneblock.doctor.checks import CHECKS
from oneblock.doctor.depth import LAYERS
from oneblock.doctor.examine import GROUPS

DOCS = Path(__file__).resolve().parents[2] / "docs"
MANUAL = (DOCS / "doctor.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+) · (.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL))


def test_every_check_is_explained_under_its_question():
    assert not set(CHECKS) - set(SECTIONS)
    for name, check in CHECKS.items():
        assert SECTIONS[name].splitlines()[0] == check.question


def test_pictures_and_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", MANUAL)
    assert len(links) > 8 and all((DOCS / link).exists() for link in links)
    anchors = {
        re.sub(r"[^\w -]", "", line).replace(" ", "-") for line in re.findall(r"^## (.*)$", MANUAL.lower(), re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", MANUAL)) <= anchors
    for picture in (DOCS / "doctor").glob("*.svg"):
        assert f"doctor/{picture.name}" in MANUAL and "<script" not in picture.read_text()


def test_words_for_only_are_words():
    said = re.search(r"Words for `only`: (.*?)…", MANUAL, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said[1])) <= set(GROUPS)


def test_figures():
    said = SECTIONS["C2"]
    assert f"e^−8  = {math.exp(-8):.4f}" in said and f"e^+5  = {math.exp(5):.0f} times" in said
    assert f"V = 65: {math.log(65):.2f}" in SECTIONS["I2"] and f"V = 50257: {math.log(50257):.2f}" in SECTIONS["I2"]
    assert "2 a block is 4096 over 12" in SECTIONS["H1"] and 2**12 == 4096
    table = MANUAL.partition("It warns")[2].partition("Under `GradScaler`")[0]
    for value in (
        f"| {alarms.LOGIT:g} |",
        f"{alarms.SHARP:.0%}".replace("%", " %"),
        f"| {alarms.GREW:g} × its largest",
    ):
        assert value in table
    assert f"| {alarms.BURST:g} × its median" in table and f"| {alarms.MOVED:.0%}".replace("%", " %") in table
    assert alarms.FEW == 5 and "after five looks" in table
    assert "12, 24 and 36 layers" in MANUAL and LAYERS == (12, 24, 36)
    depth = MANUAL.partition("## At other depths")[2].partition("## The checks")[0]
    for value in (
        f"× {deep_answers.STREAM:g}",
        f"| above {deep_answers.START:g} |",
        f"smallest above {deep_answers.UNEVEN:g}",
    ):
        assert value in depth
    assert "at most 256 tokens" in MANUAL and watch.__globals__["TOKENS"] == 256
