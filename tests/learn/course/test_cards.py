"""Formula cards: complete, each formula true of our own package, figures as published."""

import json

import pytest
import torch

from oneblock.learn.course import cards as module
from oneblock.learn.course import rules
from oneblock.learn.course.cards import TOPICS, cards, lines, markdown, of, told, written
from oneblock.learn.course.proof import holds
from oneblock.learn.errors import LearnError
from oneblock.nn.activation import ACTIVATIONS

ASKED = [
    "ffn-relu",
    "glu",
    "reglu",
    "geglu",
    "swiglu",
    "two-thirds",
    "glu-scores",
    "gshard-gating",
    "gshard-algorithm-1",
    "gshard-algorithm-2",
    "gshard-sharding",
    "switch-router",
    "switch-capacity",
    "switch-loss",
    "switch-precision",
    "switch-init",
    "switch-dropout",
    "switch-speed",
    "peri-placements",
    "peri-growth",
    "peri-sizes",
    "rmsnorm",
    "rmsnorm-invariance",
    "prmsnorm",
    "rmsnorm-speed",
    "layernorm",
    "residual",
    "attention",
    "multi-head",
    "cross-entropy",
    "perplexity",
    "sinusoidal",
    "rope",
    "alibi",
    "adaln-zero",
    "ddpm-loss",
    "flow-loss",
    "guidance",
    "adamw",
    "muon",
]
WITHOUT = {"glu-scores", "rmsnorm-speed", "peri-sizes", "switch-dropout", "switch-speed", "gshard-sharding"}
"""Figures alone, and what takes several devices: nothing to compute here."""
FIGURES = {
    "glu-scores": [1.677, 1.679, 1.683, 1.663, 1.648, 1.633, 1.636, 1.645, 1.997, 1.942, 1.944],
    "two-thirds": [2048, 14336],
    "gshard-sharding": [600e9, 4, 22.4, 44.3, 6.1],
    "switch-loss": [0.01],
    "switch-precision": [-1.718, -3.780, -1.716],
    "switch-init": [-2.72, -3.60],
    "switch-dropout": [85.2, 84.7],
    "switch-speed": [1000, 860, 62.8, 68.7, 131.1],
    "peri-sizes": [49.69, 51.57, 53.71, 56.55, 56.69, 58.56, 3.43, 3.34, 1, 0.002, 1e-5],
    "prmsnorm": [6.25],
    "rmsnorm-speed": [7, 6.9, 9.3, 26.6, 26.8],
    "guidance": [1.5],
}
WHERE = {
    "ffn-relu": ("vaswani", "equation 2"), "glu": ("glu", "equation 4"), "reglu": ("glu", "equations 5"),
    "geglu": ("glu", "equations 5"), "swiglu": ("glu", "equations 5"), "glu-scores": ("glu", "table 1"),
    "gshard-gating": ("gshard", "equations 1 to 3"), "gshard-algorithm-1": ("gshard", "algorithm 1"),
    "gshard-algorithm-2": ("gshard", "algorithm 2"), "switch-router": ("switch", "equations 1 and 2"),
    "switch-capacity": ("switch", "equation 3"), "switch-loss": ("switch", "equations 4 to 6"),
    "rmsnorm": ("rmsnorm", "equation 4"), "rmsnorm-invariance": ("rmsnorm", "equations 5 to 7"),
    "attention": ("vaswani", "equation 1"), "multi-head": ("vaswani", "section 3.2.2"), "sinusoidal": ("vaswani", "section 3.5"),
    "rope": ("rope", "equation 15"), "alibi": ("alibi", "section 3"), "guidance": ("guidance", "equation 6"),
    "peri-growth": ("peri-ln", "proposition 3.1"), "layernorm": ("layernorm", "equation 4"),
}  # fmt: skip
MUTATIONS = [
    ("ffn-relu", "clamp(min=0)", "clamp(min=-1)"),
    ("swiglu", ".up.weight.T, ours.down.weight.T, 1", ".up.weight.T, ours.down.weight.T, 1.702"),
    ("geglu", "torch.erf", "torch.tanh"),
    ("two-thirds", "multiple_of=1", "multiple_of=500"),
    ("switch-loss", "N * (f * P)", "(f * P)"),
    ("switch-loss", "below < 1", "below >= 1"),
    ("switch-router", "p[0, t, i] * (", "1.0 * ("),
    ("gshard-gating", "gates = gates / gates.sum(-1, keepdim=True)", "gates = gates * 1"),
    ("gshard-algorithm-1", "E**2 *", "E *"),
    ("gshard-algorithm-2", "dispatched, wi).clamp(min=0)", "dispatched, wi)"),
    ("layernorm", "/ 5\nvariance", "/ 4\nvariance"),
    ("rmsnorm", "square().mean", "abs().mean"),
    ("prmsnorm", "a[:, :k]", "a[:, : k + 1]"),
    ("attention", "math.sqrt(7)", "7"),
    ("multi-head", "slice(3 * i, 3 * i + 3)", "slice(i, 6, 2)"),
    ("sinusoidal", "10000 **", "1000 **"),
    ("rope", "s + 2 * c", "s - 2 * c"),
    ("rope", "Q[0, 0, 7]", "Q[0, 0, 6]"),
    ("alibi", "-8 * h / H", "-8 * h / (H + 1)"),
    ("peri-placements", "close(ours(\"peri\"), x + N(f(N(x))))", "close(ours(\"peri\"), N(x + f(N(x))))"),
    ("adaln-zero", "(1 + gamma)", "gamma"),
    ("ddpm-loss", "beta[: n + 1]", "beta[:n]"),
    ("flow-loss", "[0.5, -3.0]", "[-0.5, 3.0]"),
    ("guidance", "Model(), c, 1 + w", "Model(), c, w"),
    ("adamw", "+ decay * mine", "+ 0 * mine"),
    ("muon", "(b * A + c * A @ A)", "(c * A + b * A @ A)"),
    ("cross-entropy", "targets[b, t]])", "targets[b, t - 1]])"),
    ("perplexity", ", 7)", ", 6)"),
    ("residual", "1 + 0.4 * torch.cos(x)", "0.4 * torch.cos(x)"),
    ("rmsnorm-invariance", "W @ x + 1), ours", "W @ x), ours"),
]  # fmt: skip


def test_every_card_asked_for_is_there():
    assert set(ASKED) <= set(cards()) and len(ASKED) == 40
    assert {card.topic for card in of()} == set(TOPICS)


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_is_whole(name):
    card = cards()[name]
    assert card.says.endswith(".") and len(card.says.split()) > 8 and len(card.trap.split()) > 8
    assert card.where and "§" not in card.where
    assert card.symbols or card.values
    assert bool(card.check) is (name not in WITHOUT)


@pytest.mark.parametrize("name", sorted(name for name in cards() if cards()[name].check))
@pytest.mark.parametrize("seed", [0, 1])
def test_the_formula_is_true_of_our_package(name, seed):
    assert holds(cards()[name], seed=seed)


@pytest.mark.parametrize(("name", "old", "new"), MUTATIONS)
def test_a_wrong_formula_is_noticed(name, old, new):
    card = cards()[name]
    assert old in card.check and old != new
    try:
        assert not holds(card, card.check.replace(old, new))
    except (RuntimeError, IndexError):
        pass


def test_enough_wrong_formulas_were_tried():
    assert len({name for name, _, _ in MUTATIONS}) >= 28


def test_a_wrong_package_is_noticed(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "silu", torch.nn.functional.gelu)
    assert not holds(cards()["swiglu"]) and holds(cards()["reglu"])


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_published(name):
    assert [value.number for value in cards()[name].values] == FIGURES[name]


def test_only_listed_cards_have_figures():
    assert {card.id for card in of() if card.values} == set(FIGURES)


@pytest.mark.parametrize("name", WHERE)
def test_where_it_stands(name):
    source, where = WHERE[name]
    assert cards()[name].source == source and where in cards()[name].where


def test_where_sources_disagree_both_are_said():
    text = markdown("peri-sizes")
    for label in ("125M", "350M", "1.3B", "400M", "1.5B", "3.2B", "1e-5 to 3e-4", "2e-3"):
        assert label in text
    assert all(value.known == "transcribed" for value in cards()["peri-sizes"].values)
    assert "0.1 to 0.00001" in markdown("switch-loss")


def test_formulas_become_mathml():
    convert = pytest.importorskip("latex2mathml.converter").convert
    for card in of():
        for formula in (card.formula, *card.symbols):
            assert "\\" not in convert(formula), (card.id, formula)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_as_markdown_links_to_what_is_there(topic):
    text = markdown(topic)
    rules.linked(topic, text, ())
    assert text.count("> **Trap.**") == len(of(topic)) == text.count("\nSource: [")


def test_one_card_by_its_id():
    assert [card.id for card in of("swiglu")] == ["swiglu"] and markdown("swiglu").startswith("**SwiGLU.**")


def test_the_terminal_shows_a_card():
    text = "\n".join(lines("swiglu", width=80))
    assert "SwiGLU (swiglu)" in text and "Trap: " in text and "Shazeer 2020, equations 5 and 6" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("word", ["swigloo", "feedforward"])
def test_an_unknown_word_is_told_with_near_ones(word):
    with pytest.raises(LearnError, match="swiglu|feed_forward"):
        of(word)


def test_json_is_whole():
    found = json.loads(json.dumps(told("switch")))
    assert found["topics"] == list(TOPICS) and {card["topic"] for card in found["cards"]} == {"switch"}
    card = next(card for card in found["cards"] if card["id"] == "switch-loss")
    assert set(card) == {
        "id",
        "topic",
        "title",
        "formula",
        "says",
        "trap",
        "source",
        "where",
        "symbols",
        "values",
        "check",
    }
    assert set(card["values"][0]) == {"what", "number", "to", "unit", "note", "source", "known"}
    assert len(told()["cards"]) == len(cards())


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.677, "1.677"),
        (-3.78, "−3.78"),
        (600e9, "600 billion"),
        (14336.0, "14,336"),
        (1e-5, "1e−5"),
        (4.0, "4"),
        (0.002, "0.002"),
    ],
)
def test_figures_are_written_as_published(number, text):
    assert written(number) == text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "resnet"', 'source = "resnt"', "resnet"),
        ('topic = "residual"', 'topic = "residuals"', "residual.toml begins with topic"),
        ("[card.symbols]", "[card.symbol]", "symbol is not a field; try symbols"),
        ('id = "residual"', 'id = "rope"', "rope is there twice"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, old, new, said):
    for path in module.FOLDER.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        if path.stem == "residual":
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(LearnError, match=said):
        cards(tmp_path)
