"""The catalogue of sources: complete, each source once, and what it says of coverage follows from what sources cover."""

import json
import subprocess
import sys

import pytest

from oneblock.learn.course import sources
from oneblock.learn.course.addresses import same
from oneblock.learn.course.lesson import ALL
from oneblock.learn.course.sources import TEACHING, catalogue, source
from oneblock.learn.errors import LearnError

START = {
    # id: kind, a part of its title, of its address, its level
    "karpathy-gpt": ("video", "Let's build GPT: from scratch, in code, spelled out", "kCc8FmEb1nY", "intermediate"),
    "3b1b-transformers": ("video", "Transformers", "wjZofJX0v4M", "beginner"),
    "3b1b-attention": ("video", "Attention in transformers", "eMlx5fFNoYc", "beginner"),
    "illustrated-transformer": (
        "written",
        "The Illustrated Transformer",
        "jalammar.github.io/illustrated-transformer",
        "beginner",
    ),
    "attention-attention": (
        "deep dive",
        "Attention? Attention!",
        "lilianweng.github.io/posts/2018-06-24-attention",
        "intermediate",
    ),
    "vaswani": ("paper", "Attention Is All You Need", "1706.03762", "intermediate"),
    "nanogpt": ("code", "nanoGPT", "github.com/karpathy/nanoGPT", "intermediate"),
    "minimind": ("code", "MiniMind", "github.com/jingyaogong/minimind", "intermediate"),
    "glu": ("paper", "GLU Variants", "2002.05202", "advanced"),
    "gshard": ("paper", "GShard", "2006.16668", "advanced"),
    "switch": ("paper", "Switch Transformers", "2101.03961", "advanced"),
    "peri-ln": ("paper", "Peri-LN", "2502.02732", "advanced"),
    "rmsnorm": ("paper", "Root Mean Square", "1910.07467", "advanced"),
    "dit": ("paper", "Diffusion Models with Transformers", "2212.09748", "advanced"),
    "flash-attention": ("paper", "FlashAttention", "2205.14135", "advanced"),
    "torch-layer": ("reference", "TransformerEncoderLayer", "TransformerEncoderLayer", "intermediate"),
}
BEYOND = {
    "layernorm": (2016, "1607.06450"), "resnet": (2016, "1512.03385"), "xiong": (2020, "2002.04745"),
    "rope": (2021, "2104.09864"), "alibi": (2022, "2108.12409"), "position-interpolation": (2023, "2306.15595"),
    "gpt2": (2019, "language_models_are_unsupervised"), "llama3": (2024, "2407.21783"), "gqa": (2023, "2305.13245"),
    "mqa": (2019, "1911.02150"), "adamw": (2019, "1711.05101"), "muon": (2024, "muon"), "ddpm": (2020, "2006.11239"),
    "rectified-flow": (2022, "2209.03003"), "bpe": (2016, "1508.07909"), "dropout": (2014, "srivastava14a"),
    "scaling-laws": (2020, "2001.08361"), "chinchilla": (2022, "2203.15556"), "megatron": (2019, "1909.08053"),
    "zero": (2020, "1910.02054"), "nucleus": (2020, "1904.09751"), "rank-collapse": (2021, "2103.03404"),
}  # fmt: skip
ROLES = {
    "language": {"karpathy-gpt": "core", "illustrated-transformer": "core", "attention-attention": "advanced",
                 "vaswani": "primary", "nanogpt": "core"},
    "multimodal": {"karpathy-gpt": "partial", "illustrated-transformer": "background", "attention-attention": "advanced",
                   "vaswani": "background", "nanogpt": "partial"},
    "engineering": {"karpathy-gpt": "core", "illustrated-transformer": "core", "attention-attention": "core",
                    "vaswani": "reference", "nanogpt": "core"},
}  # fmt: skip
STRONG = {"block", "multi-head", "residual", "norm", "sinusoidal", "feed-forward"}
WEAK = {"rope", "alibi", "rmsnorm"}
GAPS = {
    "positions-compared": "rope",
    "experts": "experts",
    "swiglu": "swiglu",
    "dit": "diffusion",
    "efficient-attention": "efficient_attention",
}

SMALL = """
[[course]]
id = "language"
title = "A course"

[[topic]]
id = "block"
title = "The block"
standing = "strong"

[[topic]]
id = "rope"
title = "RoPE"
standing = "weak"
lesson = "rope"
missing = "All but a paper."

[[source]]
id = "one"
topic = "block"
kind = "video"
title = "One"
author = "A"
year = 2020
address = "https://www.youtube.com/watch?v=kCc8FmEb1nY"
level = "beginner"
why = "It is good."
covers = ["block"]
checked = false
role = {language = "core"}

[[source]]
id = "two"
topic = "rope"
kind = "paper"
title = "Two"
author = "B"
year = 2021
address = "https://arxiv.org/abs/2104.09864"
level = "advanced"
why = "It is long."
covers = ["rope"]
checked = true
"""


def small(tmp_path, old="", new=""):
    assert old in SMALL
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", START)
def test_the_list_that_people_start_from_is_there(name):
    kind, title, address, level = START[name]
    found = source(name)
    assert (found.kind, title in found.title, address in found.address) == (kind, True, True)
    assert found.level.startswith(level) and len(found.why) > 30 and not found.why.startswith("Read section 0")


def test_one_entry_for_three_versions_of_the_reference():
    assert source("torch-layer").versions == ("2.8", "2.9", "stable")
    assert sum("TransformerEncoderLayer" in each.address for each in catalogue().sources) == 1


@pytest.mark.parametrize("name", BEYOND)
def test_each_of_the_others_says_what_it_is_read_for(name):
    year, address = BEYOND[name]
    found = source(name)
    assert found.year == year and address in found.address and found.why.startswith("Read ")


def test_what_a_source_lacks_is_said():
    assert "SwiGLU" in source("karpathy-gpt").lacks and source("3b1b-attention").lacks == "code"
    assert source("nanogpt").lacks.startswith("a key/value cache") and source("minimind").lacks == "tests"
    assert all("modern" in source(name).lacks for name in ("illustrated-transformer", "attention-attention", "nanogpt"))
    assert "359 to 380" in source("minimind").why and "430 to 520" in source("minimind").why


@pytest.mark.parametrize("course", ROLES)
def test_the_courses_have_their_sources(course):
    table = sources.told()["table"]
    assert {name: table[name][course] for name in ROLES[course]} == ROLES[course]
    assert table["dit"]["language"] is None


def test_what_is_strong_weak_and_missing():
    made = {topic.id: topic for topic in catalogue().topics}
    assert {name for name, topic in made.items() if topic.standing == "strong"} == STRONG
    assert {name for name, topic in made.items() if topic.standing == "weak"} >= WEAK
    assert {name: made[name].lesson for name in GAPS} == GAPS
    assert all(made[name].standing == "gap" for name in GAPS)


def test_standing_follows_from_what_sources_cover():
    """Strong is what two teach to those who do not know it; below that a lesson of ours fills it."""
    for topic in catalogue().topics:
        teach = [each for each in catalogue().covering(topic.id) if each.kind in TEACHING]
        assert (len(teach) >= 2) == (topic.standing == "strong"), (topic.id, [each.id for each in teach])
        assert topic.standing == "strong" or (topic.lesson in ALL and topic.missing)


SAME = [
    "https://www.youtube.com/watch?v=kCc8FmEb1nY",
    "https://youtu.be/kCc8FmEb1nY?si=abc&t=30",
    "http://m.youtube.com/watch?feature=share&v=kCc8FmEb1nY#here",
    "https://www.youtube.com/embed/kCc8FmEb1nY",
    "https://www.youtube-nocookie.com/embed/kCc8FmEb1nY?rel=0",
    "youtube.com/live/kCc8FmEb1nY/",
]
PAPER = [
    "https://arxiv.org/abs/2104.09864",
    "https://arxiv.org/abs/2104.09864v5",
    "http://www.arxiv.org/pdf/2104.09864v2.pdf",
    "https://export.arxiv.org/html/2104.09864v5/",
    "arXiv:2104.09864",
    "https://doi.org/10.48550/arXiv.2104.09864",
]
PAGE = [
    "https://jalammar.github.io/illustrated-transformer/",
    "http://www.jalammar.github.io/illustrated-transformer#top",
    "https://jalammar.github.io/illustrated-transformer/index.html?utm_source=x",
]
CODE = [
    "https://github.com/karpathy/nanoGPT",
    "https://github.com/Karpathy/nanogpt.git",
    "github.com/karpathy/nanoGPT/",
]
DOCS = [
    "https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html",
    "https://pytorch.org/docs/2.8/generated/torch.nn.TransformerEncoderLayer.html",
]


@pytest.mark.parametrize("group", [SAME, PAPER, PAGE, CODE, DOCS])
def test_one_source_however_it_is_written(group):
    assert len({same(address) for address in group}) == 1


def test_different_sources_stay_apart():
    found = [*(group[0] for group in (SAME, PAPER, PAGE, CODE, DOCS)), "https://youtu.be/KCc8FmEb1nY",
             "https://arxiv.org/abs/2104.09863", "https://arxiv.org/abs/hep-th/9901001", "https://github.com/karpathy/nanochat",
             "https://www.youtube.com/@karpathy", "https://example.org/page?id=1", "https://example.org/page?id=2"]  # fmt: skip
    assert len({same(address) for address in found}) == len(found)


@pytest.mark.parametrize("address", [*SAME, *PAPER])
def test_a_duplicate_is_refused(tmp_path, address):
    old = "https://arxiv.org/abs/2104.09864" if address in SAME else SAME[0]
    path = small(tmp_path, old, address)
    with pytest.raises(LearnError, match="the same source"):
        catalogue(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('topic = "rope"', 'topic = "rop"', "rope"),
        ('covers = ["rope"]', 'covers = ["ropes"]', "try rope"),
        ('kind = "paper"', 'kind = "papers"', "try paper"),
        ('language = "core"', 'language = "cor"', "try core"),
        ("role = {language", "role = {languages", "try language"),
        ('standing = "weak"', 'standing = "so so"', "weak"),
        ('lesson = "rope"', 'lesson = "ropes"', "try rope"),
        ('missing = "All but a paper."\n', "", "missing is empty"),
        ('why = "It is long."', 'why = ""', "is empty"),
        ('why = "It is long."\n', "", "why is missing"),
        ('why = "It is long."', 'wy = "It is long."', "wy is not a field; try why"),
        ("year = 2021", 'year = "2021"', "should be a int"),
        ("checked = true", "checked = 1", "should be a bool"),
        ('covers = ["rope"]', 'covers = "rope"', "should be a tuple"),
        ('id = "two"', 'id = "one"', "there twice"),
        ('[[source]]\nid = "two"', '[[sources]]\nid = "two"', "there are course, topic and source"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path, old, new, said):
    with pytest.raises(LearnError, match=said):
        catalogue(small(tmp_path, old, new))


def test_the_small_one_is_right(tmp_path):
    assert [each.id for each in catalogue(small(tmp_path)).sources] == ["one", "two"]


def test_a_file_that_is_no_toml_is_told(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("a = ")
    with pytest.raises(LearnError, match=r"broken.toml"):
        catalogue(path)


def test_an_unknown_id_is_told_with_near_ones():
    with pytest.raises(LearnError, match="vaswani"):
        source("vaswany")


def test_the_terminal_says_title_kind_level_why_and_what_is_unchecked():
    text = "\n".join(sources.lines(width=80))
    assert all(len(line) <= 80 for line in text.splitlines() if "://" not in line)
    for each in catalogue().sources:
        assert " ".join(each.title.split()) in " ".join(text.split()) and each.why in " ".join(text.split())
    assert "In the course multimodal: no diffusion transformer." in " ".join(text.split())
    part = text[text.index("vaswani: ") :][:400]
    assert "paper, intermediate to advanced. https://arxiv.org/abs/1706.03762 (not checked)" in part
    assert "https://github.com/karpathy/nanoGPT\n" in text, "what was looked at is not marked"
    assert "Gaps, and the lesson here that fills each:" in text and "-> efficient_attention" in text
    row = next(line for line in text.splitlines() if line.startswith("karpathy-gpt "))
    assert row.split() == ["karpathy-gpt", "core", "partial", "core"]


def test_gaps_alone():
    text = "\n".join(sources.lines(gaps=True))
    assert "Karpathy" not in text and "-> swiglu" in text and "engineering" in text.lower()
    found = sources.told(gaps=True)
    assert set(found) == {"weak", "gaps", "courses_lack"}
    assert {"swiglu", "dit"} <= {gap["topic"] for gap in found["gaps"]}
    assert any("efficient attention" in entry["lacks"] for entry in found["courses_lack"])


def test_json_has_every_field_and_needs_no_torch():
    program = "import sys, json\nfrom oneblock.learn.course import sources, cards\nprint(json.dumps(sources.told()))\ncards.told()\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"courses", "sources", "table", "strong", "weak", "gaps", "courses_lack"}
    first = found["sources"][0]
    assert {
        "id",
        "topic",
        "kind",
        "title",
        "author",
        "year",
        "address",
        "level",
        "why",
        "covers",
        "lacks",
        "checked",
    } <= set(first)
    assert sum(each["checked"] is False for each in found["sources"]) > 10
