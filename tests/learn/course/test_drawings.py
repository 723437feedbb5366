"""Drawings: right ones pass however they are written, wrong ones are refused, by name and with the line."""

import json
import random
import re

import pytest

from oneblock.cli.main import main
from oneblock.learn.course.drawings import DRAWINGS, desk
from oneblock.learn.course.drawings.compare import differs, words
from oneblock.learn.course.drawings.graph import Unreadable, kind_of, read
from oneblock.learn.course.drawings.sheet import Typed
from oneblock.learn.course.drawings.sheet import read as sheet
from oneblock.learn.course.drawings.sublayers import STYLES, sublayer
from oneblock.learn.course.drawings.wires import term_of
from oneblock.learn.errors import LearnError
from oneblock.learn.lab import PROGRESS, Lab

CASES = [(name, index) for name, drawing in DRAWINGS.items() for index in range(len(drawing.every()))]
ASKED = {"unstable_stack", "block", "causal_mask", "dataflow", "residual_wires", "norm_places"}


def given_of(name, index):
    return DRAWINGS[name].every()[index]


def graded(name, text, **given):
    drawing = DRAWINGS[name]
    return drawing.grade(drawing.file(text, given or drawing.every()[0]))


def graph(text, *more):
    return read([Typed(number=n, text=line) for n, line in enumerate(text.splitlines(), 1) if line.strip()], *more)


def shuffled(text, seed):
    """The same drawing with its lines in another order, wires renamed, sums turned round, arrows otherwise."""
    chance = random.Random(seed)
    parts = re.split(r"(?m)^(\[\w+\])$", text)
    for at in range(0, len(parts), 2):
        lines = parts[at].strip("\n").splitlines()
        wires = sorted({w for line in lines for w in re.findall(r"\b(?:[a-e]|h\d?|z|c\d|sum)\b", line.split(":")[0])})
        fresh = {wire: f"w{n}_{seed}" for n, wire in enumerate(chance.sample(wires, len(wires)))}
        done = []
        for line in lines:
            drawn, colon, label = line.partition(":")
            drawn = re.sub(r"\b(?:[a-e]|h\d?|z|c\d|sum)\b", lambda found: fresh[found[0]], drawn)
            if "+" in drawn and "->" in drawn and chance.random() < 0.5:
                sources, arrow, rest = drawn.partition("->")
                drawn = " + ".join(reversed([s.strip() for s in sources.split("+")])) + f" {arrow}{rest}"
            done.append(drawn.replace("->", chance.choice(["->", "→", "-->", "=>"])) + colon + label)
        chance.shuffle(done)
        parts[at] = "\n" + "\n".join(done) + "\n"
    return "".join(parts)


def marked(text, yes, no, gap):
    return "\n".join(gap.join(yes if mark == "#" else no for mark in row) for row in text.splitlines())


def test_the_drawings_asked_for_are_there():
    assert set(DRAWINGS) == ASKED
    for drawing in DRAWINGS.values():
        assert all(len(drawing.wrong(given)) >= 6 for given in drawing.every())
        assert all(len(each) <= 120 for each in drawing.task.splitlines()) and f"draw_{drawing.name}" in drawing.task


@pytest.mark.parametrize(("name", "index"), CASES)
def test_the_right_one_passes(name, index):
    drawing, given = DRAWINGS[name], given_of(name, index)
    grade = drawing.grade(drawing.stub(given) + "\n" + drawing.right(given) if not drawing.begun(given).strip() else
                          drawing.file(drawing.right(given), given))  # fmt: skip
    assert grade.passed and all(line.status == "PASS" for line in grade.checks), str(grade)
    assert grade.reference == drawing.right(given) and grade.diagnosis is None


@pytest.mark.parametrize(("name", "index"), CASES)
def test_a_new_file_is_not_right(name, index):
    drawing, given = DRAWINGS[name], given_of(name, index)
    grade = drawing.grade(drawing.stub(given))
    assert not grade.passed and grade.diagnosis and grade.checks[0].id in ("square", "reads", "pre")


@pytest.mark.parametrize(("name", "index"), CASES)
def test_every_wrong_one_is_refused_by_name_and_line(name, index):
    drawing, given = DRAWINGS[name], given_of(name, index)
    for wrong in drawing.wrong(given):
        grade = drawing.grade(drawing.file(wrong.text, given))
        assert not grade.passed and grade.named == (wrong.name,), (wrong.name, str(grade))
        assert 0 < grade.line <= len(drawing.file(wrong.text, given).splitlines())
        assert grade.diagnosis.startswith(f"line {grade.line}: ") and f"line {grade.line})" in str(grade)


@pytest.mark.parametrize("name", sorted(ASKED - {"causal_mask"}))
@pytest.mark.parametrize("seed", range(4))
def test_order_names_and_arrows_change_nothing(name, seed):
    drawing = DRAWINGS[name]
    given = drawing.drawn(seed)
    # Three words and numbers for the stack stay as they are.
    right, _, numbers = (
        drawing.right(given).partition("\n\n") if "after_1" in drawing.right(given) else (drawing.right(given), "", "")
    )
    text = drawing.file(f"{shuffled(right, seed)}\n{numbers}", given)
    assert drawing.grade(text).passed, text
    for wrong in random.Random(seed).sample(drawing.wrong(given), 5):
        if "after_1" in wrong.text or "paths" in wrong.text:
            continue
        grade = drawing.grade(drawing.file(shuffled(wrong.text, seed), given))
        assert grade.named == (wrong.name,) and not grade.passed


@pytest.mark.parametrize("size", [5, 7, 11])
@pytest.mark.parametrize(
    ("yes", "no", "gap"), [("1", "0", " "), ("x", "_", ""), ("#", ".", " "), ("1", "0", ","), ("■", "□", "")]
)
def test_a_mask_in_other_marks(size, yes, no, gap):
    drawing, given = DRAWINGS["causal_mask"], {"T": size}
    assert graded("causal_mask", marked(drawing.right(given), yes, no, gap), T=size).passed
    for wrong in drawing.wrong(given):
        assert graded("causal_mask", marked(wrong.text, yes, no, gap), T=size).named == (wrong.name,)


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("#....\n##...\n###..\n####.\n####.", "row 5, column 5 is .", 7),
        ("#....\n##...\n##.#.\n####.\n#####", "row 3, column 4 is #: it comes later", 5),
        ("#....\n##...\n#.#..\n####.\n#####", "row 3, column 2 is .: it came before", 5),
        ("#...\n##..\n###.\n####", "4 marks and T is 5", 3),
        ("#....\n##...\n###..\n####.", "4 rows and T is 5", 6),
        ("#....\n##...\n###..\n####.\n####?", "'?' is no mark", 7),
        ("", "nothing is painted", 0),
    ],
)
def test_a_single_cell_is_told_by_its_place(text, said, line):
    grade = graded("causal_mask", text, T=5)
    assert said in grade.diagnosis and grade.line == line


@pytest.mark.parametrize(
    "text",
    [
        "x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> feed_forward\nh + feed_forward -> y",
        "x -> ln_1 -> attn\nh = attn + x\nh -> ln_2 -> mlp\nout = mlp + h",
        "x -> norm -> attention + x -> h -> norm_b -> ffn + h -> y",
        "x -> layer norm 1 -> self-attention\nx -> add1\nself-attention -> add1\nadd1 -> rmsnorm2 -> feed-forward\n"
        "feed-forward -> add2\nadd1 -> add2 -> block out",
        "in -> pre_norm -> normed\nnormed -> causal_attention -> found\nin + found -> h\nh -> post_attention_norm -> feed forward -> w\nh + w -> o",
        "h + ffn -> y // the second add\nh -> norm2 -> ffn\n// a comment\nx + attention -> h\nx -> norm1 -> attention",
    ],
)  # fmt: skip
def test_a_block_in_other_words(text):
    assert graded("block", text).passed, str(graded("block", text))


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("x -> norm -> attention\nx + attention -> h\nh -> norm -> ffn\nh + ffn -> y", "arrows in from lines 1 and 3", 3),
        ("x -> norm1 -> attention\nx + attention -> x\nx -> norm2 -> ffn\nx + ffn -> y", "give the sum a name of its own", 2),
        ("x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> ffn\nh + ffn -> h\nh -> y", "circle", 2),
        ("x -> norm(attention) -> y", "brackets", 1),
        ("x -> norm1 -> attntion\nx + attention -> h\nh -> norm2 -> ffn\nh + ffn -> y", "is it attention", 1),
        ("x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> ffn", "no bypass", 3),
        ("x attention y", "is no arrow", 1),
        ("x -> at!tention -> y", "is no name", 1),
        ("x -> norm1 -> attention + ffn -> y", "which of attention + ffn", 1),
        ("x -> norm1 -> attention\nx + attention -> y", "one feed-forward is asked for, and no feed-forward is drawn", 0),
        ("x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> ffn\nh + ffn -> y\ny -> norm3 -> norm4 -> z", "4 norms are drawn", 5),
        ("x -> attention\nq -> norm1 -> ffn\nx + ffn + attention -> y", "nothing goes into q", 2),
        ("x -> attention -> y\na -> b\nb -> a", "no way leads from a to y", 2),
        ("", "nothing is drawn yet", 0),
        ("x -> a0\n" + "\n".join(f"a{n} + a{n} + q{n} -> a{n + 1}\na{n} -> q{n}" for n in range(20)), "far more than", 0),
    ],
)  # fmt: skip
def test_what_is_no_block_is_told_with_its_line(text, said, line):
    grade = graded("block", text)
    assert not grade.passed and said in grade.diagnosis, grade.diagnosis
    assert grade.line == line


def test_the_common_errors_are_named():
    told = {wrong.name: wrong.says for name in ASKED for wrong in DRAWINGS[name].wrong(given_of(name, 0))}
    assert (
        "post-norm" in told["post+post"] and "off by one" in told["one_too_far"] and "diagonal" in told["no_diagonal"]
    )
    assert "transposed" in told["transposed"] and "no bypass" in told["pre+no_bypass"]
    assert "behind the norm" in told["bypass_behind_norm+pre"] and "third norm" in told["norm_at_the_end"]


def test_the_place_is_the_line_that_is_wrong():
    right = "x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> ffn\nh + ffn -> y"
    assert graded("block", right.replace("h + ffn", "x + ffn")).line == 4
    assert graded(
        "block",
        right.replace("x -> norm1 -> attention", "x -> attention -> norm1").replace("x + attention", "x + norm1"),
    ).line in (1, 2)
    assert graded("block", right.replace("h -> norm2 -> ffn", "x -> norm2 -> ffn")).line in (3, 4)
    whole = DRAWINGS["dataflow"].right({})
    lines = whole.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("c3 + feed_forward2"))
    lines[at] = lines[at].replace("c3 +", "c2 +")
    grade = graded("dataflow", "\n".join(lines))
    assert grade.line == at + 1 and "c4" in grade.diagnosis


def test_labels_of_the_whole_model():
    right = DRAWINGS["dataflow"].right({})
    bare = re.sub(r" : what attention found", "", right, count=1)
    grade = graded("dataflow", bare)
    assert (
        grade.root == "labels" and grade.named == ("no_label",) and "+ attention1" in bare.splitlines()[grade.line - 1]
    )
    swapped = right.replace("what attention found", "the feed-forward", 1)
    assert graded("dataflow", swapped).named == ("label",)
    post_softmax = right.replace("head -> logits", "head -> logits\nlogits -> softmax -> probabilities")
    assert graded("dataflow", post_softmax).named == ("softmax",)
    assert graded("dataflow", right.replace("position_embedding", "positions -> wpe", 0)).passed
    spelt = right.replace("token_embedding", "wte").replace("position_embedding", "wpe").replace("head", "lm_head")
    assert graded("dataflow", spelt).passed


def test_numbers_of_the_stack():
    text = "x -> f1 -> f2 -> f3 -> y\nafter_1 = 7.2\nafter_2 = 12.96\nafter_3 = 23.33\nverdict = Explodes."
    assert graded("unstable_stack", text, start=4, factor=1.8).passed
    assert (
        "is not factor times after_1"
        in graded("unstable_stack", text.replace("12.96", "13.5"), start=4, factor=1.8).diagnosis
    )
    small = "x -> f -> f -> f -> y\nafter_1 = .8\nafter_2 = 0.16\nafter_3 = 0.032\nverdict = collapses"
    assert graded("unstable_stack", small, start=4, factor=0.2).passed
    turned = "x -> f -> f -> f -> y\nafter_1 = −4.8\nafter_2 = 5.76\nafter_3 = -6.91\nverdict = oscillates"
    assert graded("unstable_stack", turned, start=4, factor=-1.2).passed
    assert "wants the number" in graded("unstable_stack", turned.replace("5.76", "?"), start=4, factor=-1.2).diagnosis


def test_paths_are_counted():
    for layers in (3, 4, 5):
        right = DRAWINGS["residual_wires"].right({"layers": layers})
        assert f"paths = {2**layers}" in right
        grade = graded("residual_wires", right.replace(f"paths = {2**layers}", "paths = 7"), layers=layers)
        assert grade.root == "paths" and not grade.passed
        assert "wants a number" in graded("residual_wires", right.replace(str(2**layers), "?"), layers=layers).diagnosis


@pytest.mark.parametrize(("text", "said"), [("T = 6\n", "it may be 5, 7, 11"), ("", "the line T = … is gone")])
def test_what_was_given_must_stay(text, said):
    grade = DRAWINGS["causal_mask"].grade(text + "#")
    assert said in grade.diagnosis and grade.checks[0].status == "FAIL"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("attention", "attention"), ("attn_1", "attention"), ("multi_head_attention", "attention"), ("b2_attention", "attention"),
        ("after_attention", ""), ("attention_out", ""), ("norm", "norm"), ("final_norm", "norm"), ("ln_f", "norm"), ("norm1", "norm"),
        ("prenorm", "norm"), ("normed", ""), ("normalised", ""), ("feed_forward2", "feed_forward"), ("ffn", "feed_forward"),
        ("mlp_1", "feed_forward"), ("h", ""), ("x2", ""), ("add1", ""), ("lm_head", "head"), ("wpe", "position"),
        ("position_embedding", "position"), ("token_embedding", "embedding"), ("tokens", ""), ("logits", ""), ("layer1", ""),
    ],
)  # fmt: skip
def test_what_a_name_stands_for(name, kind):
    assert kind_of(name) == kind


def test_boxes_of_a_drawing_have_their_own_names():
    assert kind_of("f2", ("f1", "f2")) == "f2" and kind_of("f_3", ("f",)) == "f" and kind_of("f", ("f",)) == "f"


def test_equal_up_to_names_and_sharing():
    one, two = graph("x -> f1 -> a\nx + a -> y", ("f",)), graph("x + f -> y\nx -> f", ("f",))
    assert one.term() == two.term() and words(one.term()) == "x + f(x)"
    assert graph("x -> f -> f -> y", ("f",), ("f",)).term() == ("f", ("f", ("in",)))
    assert differs(one, ("f", ("in",)))[0] == 2


def test_styles_are_all_different():
    terms = [term_of(sublayer(style, "x", "f", "y", "norm"), ("f",)) for style in STYLES]
    assert len(set(terms)) == len(STYLES)


def test_nothing_that_is_typed_breaks_the_grader():
    chance = random.Random(0)
    pieces = ["x", "y", "h", "norm1", "attention", "ffn", "f", "f1", "->", "+", "=", ":", "=>", "→", "//", "[pre]", "T = 7", "paths",
              "?", "#", ".", "1", "0", "-", "é", "(", "a b", "\t", "after_1 = 2", "verdict = up"]  # fmt: skip
    for _ in range(600):
        text = "\n".join(" ".join(chance.choices(pieces, k=chance.randint(0, 6))) for _ in range(chance.randint(0, 8)))
        for name, drawing in DRAWINGS.items():
            given = drawing.drawn(chance.randrange(99))
            for grade in (drawing.grade(text), drawing.grade(drawing.file(text, given))):
                assert grade.diagnosis or grade.passed, (name, text)


def test_long_drawings_are_refused_in_time():
    chain = " -> ".join(["x", *(f"a{n}" for n in range(5000)), "y"])
    assert "far more" in graded("block", chain).diagnosis


@pytest.mark.parametrize("text", ["a -> b\nb -> a", "x -> y -> x"])
def test_circles_are_no_drawing(text):
    with pytest.raises(Unreadable):
        graph(text)


def test_a_sheet_has_lines_settings_and_sections():
    found = sheet("// T = 3\nT = 7 // given\n[Pre]\na -> b\nn = ?\nverdict = up\nh = a + b\n", ("verdict",))
    assert found.settings["t"].number == 7 and found.setting("n") is None and found.setting("verdict").value == "up"
    assert [(line.number, line.text, line.section) for line in found.lines] == [
        (4, "a -> b", "pre"),
        (7, "h = a + b", "pre"),
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_transformer"
    Lab(folder).make()
    return folder


def answer(folder, name, text=None):
    drawing = DRAWINGS[name]
    path = folder / "drawings" / f"{name}.txt"
    setting = {
        key: found.number for key, found in ((key, sheet(path.read_text()).setting(key)) for key in drawing.given)
    }
    path.write_text(drawing.file(drawing.right(setting) if text is None else text, setting))
    return path


def test_learn_makes_the_files_and_leaves_them(folder):
    texts = {name: (folder / "drawings" / f"{name}.txt").read_text() for name in ASKED}
    assert all(text.startswith("// ") for text in texts.values())
    path = folder / "drawings" / "block.txt"
    path.write_text("mine")
    path.with_name("causal_mask.txt").unlink()
    assert (
        "block" not in desk.make(folder) and path.read_text() == "mine" and path.with_name("causal_mask.txt").exists()
    )


def test_numbers_are_given_anew():
    drawn = {DRAWINGS["causal_mask"].drawn(seed)["T"] for seed in range(30)}
    assert drawn == {5, 7, 11}


def test_check_tells_grades_and_keeps(folder, capsys):
    assert main(["check", "draw_causal_mask", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"exercise", "passed", "checks", "diagnosis"} <= set(told) and set(told["checks"][0]) == {
        "id",
        "status",
        "message",
    }
    assert told["exercise"] == "draw_causal_mask" and told["passed"] is False
    answer(folder, "causal_mask")
    assert main(["check", "draw_causal_mask"]) == 0
    out = capsys.readouterr().out
    assert "draw_causal_mask: right (4 of 4 checks pass)" in out and "a plain way to write it" in out
    kept = json.loads((folder / PROGRESS).read_text())["draw_causal_mask"]
    assert kept["tries"] == 2 and kept["right"] and kept["sha256"]
    assert desk.right_in(folder, "causal_mask") and not desk.right_in(folder, "block")


def test_check_takes_a_file_from_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "block.txt").write_text(DRAWINGS["block"].right({}))
    (tmp_path / "mine.txt").write_text(DRAWINGS["block"].right({}).replace("h + ", "x + "))
    assert main(["check", "draw_block"]) == 0
    assert main(["check", "--file", "block.txt", "--json"]) == 0
    assert main(["check", "draw_block", "--file", "mine.txt", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["named"] == ["first_contribution_lost"] and told["line"] == 4
    assert not (tmp_path / "my_transformer").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw_blok"], "try draw_block"),
        (["draw_dataflow"], "`oneblock learn` makes it"),
        (["draw_block", "--file", "nowhere.txt"], "nowhere.txt is not there"),
        (["draw_block", "--seed", "3"], "a drawing has none"),
        (["draw_block", "--all"], "leave EXERCISE"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_all_tells_drawings_apart(folder, monkeypatch, capsys):
    """Nobody fails who does not draw; who does is told, and it decides nothing."""
    from oneblock.learn import grading

    exercise = DRAWINGS["block"].grade(DRAWINGS["block"].right({}))
    monkeypatch.setattr(grading, "check_all", lambda **given: iter([exercise]))
    assert main(["check", "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["drawings"] == []
    answer(folder, "causal_mask")
    answer(folder, "norm_places", "[pre]\nx -> f\nx + f -> y")
    assert main(["check", "--all", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["passed"] and [(each["exercise"], each["passed"]) for each in told["drawings"]] == [
        ("draw_norm_places", False), ("draw_causal_mask", True)]  # fmt: skip
    assert [line["id"] for line in told["checks"]] == ["draw_block"]


def test_the_list_tells_how_drawings_stand(folder, capsys):
    answer(folder, "causal_mask")
    answer(folder, "block", "x -> y")
    assert main(["learn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    states = {each["drawing"]: each["state"] for each in told["drawings"]}
    assert states["causal_mask"] == "right" and states["block"] == "begun" and states["dataflow"] == "new"
    assert told["total"] == len(told["exercises"]), "drawings are told apart from exercises"


def test_the_loops_list_has_a_line_on_them(folder):
    from oneblock.learn.screen import listing

    answer(folder, "causal_mask")
    told = desk.summary(folder)
    steps = Lab(folder).steps()
    lines = [text for text, _ in listing(steps, 100, 40, "", told)]
    assert told == "drawings: 1 of 6 are right; `oneblock check draw_unstable_stack` grades the next"
    assert f" {told}" in lines
    assert len(listing(steps, 100, 10, "", told)) <= 10 and len(listing(steps, 100, 40)) == len(lines) - 2


def test_a_name_that_is_none_is_told():
    with pytest.raises(LearnError, match="draw_norm_places"):
        desk.named("draw_norm_place", None)
