"""`oneblock learn WORD`: the course at the command line."""

import json
import subprocess
import sys

import pytest

from oneblock.cli.main import main
from oneblock.learn.course.lesson import lesson
from oneblock.learn.lab import Lab


def result(capsys):
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 1
    return json.loads(out[0])


def test_lessons(capsys):
    assert main(["learn", "lessons"]) == 0
    assert lesson("norm").title in capsys.readouterr().out
    assert main(["learn", "lessons", "--json"]) == 0
    found = result(capsys)
    assert [tier["tier"] for tier in found["tiers"]] == ["foundation", "architecture", "training", "modern"]
    (norm,) = [each for tier in found["tiers"] for each in tier["lessons"] if each["lesson"] == "norm"]
    assert set(norm) == {"lesson", "title", "tier", "minutes", "goal", "needs", "exercises", "experiments", "checks"}


def test_read(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "read", "norm"]) == 0
    text = capsys.readouterr().out
    assert text.rstrip().endswith("next lesson: oneblock learn read positions")
    assert lesson("norm").title in text and "answers: oneblock learn read norm --questions --answers" in text
    assert main(["learn", "read", "norm", "--reference"]) == 0
    assert len(capsys.readouterr().out) < len(text)
    assert main(["learn", "read", "norm", "--questions", "--answers", "--json"]) == 0
    found = result(capsys)
    assert found["lesson"] == "norm" and found["title"] == lesson("norm").title
    assert {"body", "reference", "questions", "figures", "next"} <= set(found)
    assert {"id", "kind", "prompt", "answer", "number", "choices", "right", "graded_by"} <= set(found["questions"][0])
    # Reading leaves nothing behind where no folder of exercises is.
    assert not list(tmp_path.iterdir())


def test_words_and_options_in_any_order(capsys):
    assert main(["learn", "read", "norm", "--reference"]) == 0
    told = capsys.readouterr().out
    assert main(["learn", "read", "--reference", "norm"]) == 0
    assert capsys.readouterr().out == told
    for words in (["learn", "read", "--reference", "norm", "--bogus"], ["show", "nano", "more"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 2 and f"unrecognized arguments: {words[-1]}" in capsys.readouterr().err


def test_sources_cards_failures(capsys):
    from oneblock.learn.course import cards, failures, sources

    for words, told, some in (
        (["sources"], sources.told(), "Vaswani"),
        (["sources", "--gaps"], sources.told(gaps=True), "Gaps"),
        (["cards"], cards.told(), "SwiGLU"),
        (["cards", "swiglu"], cards.told("swiglu"), "SwiGLU"),
        (["failures"], failures.told(), "\n  oneblock learn read residual\n"),
    ):
        assert main(["learn", *words]) == 0
        assert some in capsys.readouterr().out, words
        assert main(["learn", *words, "--json"]) == 0
        assert result(capsys) == json.loads(json.dumps(told)), words


def test_the_site_of_one_lesson(capsys, tmp_path):
    folder = tmp_path / "site"
    assert main(["learn", "--html", str(folder), "--only", "norm", "--json"]) == 0
    found = result(capsys)
    assert found["lessons"] == ["norm"] and list(folder.rglob("*.html"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reed", "norm"], "reed is not something to learn; try oneblock learn read"),
        (["read"], "oneblock learn read takes one name, and was given none; `oneblock learn lessons` has them all"),
        (["block"], "block is not something to learn; try oneblock learn read block"),
        (["failure"], "try oneblock learn read failure, oneblock learn failures"),
        (["read", "norm", "mask"], "takes one name"),
        (["read", "nrom"], "nrom is not a lesson; try norm"),
        (["lessons", "norm"], "takes no more words"),
        (["cards", "a", "b"], "takes at most one name"),
        (["cards", "swigluu"], "try swiglu"),
        (["lessons", "--reference"], "--reference belongs to `oneblock learn read`; leave it out"),
        (["--answers"], "--answers belongs to `oneblock learn read`"),
        (["read", "norm", "--gaps"], "--gaps belongs to `oneblock learn sources`"),
        (["--only", "norm"], "--only belongs to `oneblock learn --html`"),
        (["read", "norm", "--html", "x"], "--html writes the whole course; leave read out"),
        (["read", "norm", "--progress"], "--progress says how the exercises stand"),
        (["--html", "x", "--only", "nrom"], "nrom is not a lesson; try norm"),
        (["read", "norm", "--set", "a=1"], "leave it out"),
    ],
)
def test_bad_input_is_2_with_a_word(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["learn", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_progress_tells_of_lessons_and_cards_too(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["learn"]) == 0
    capsys.readouterr()
    assert main(["learn", "--progress", "--json"]) == 0
    found = result(capsys)
    assert found["done"] == 0 and found["lessons"]["read"] == 0 and found["cards"]["known"] == 0 and found["tiers"]


def test_a_reader_who_goes_away_is_no_error():
    command = f"{sys.executable} -m oneblock learn read norm; echo $? >&2"
    done = subprocess.run(["bash", "-c", f"{{ {command}; }} | head -1"], capture_output=True, text=True, check=True)
    assert done.stderr == "0\n"


def test_in_a_terminal_no_word_is_cut_in_two(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["learn"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 80, "a script's lines are whole"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["learn", "--progress"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    assert "oneblock recall --revision foundation" in " ".join(said.split())


def test_lists_of_the_course_load_no_torch():
    program = (
        "import sys\nfrom oneblock.cli.main import main\n"
        "for words in (['lessons'], ['sources'], ['cards']):\n    assert main(['learn', *words]) == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_reading_says_where_it_cannot_be_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("oneblock.learn.terminal.is_terminal", lambda: True)

    def read(*more):
        assert main(["learn", "read", "norm", *more]) == 0
        return " ".join(capsys.readouterr().out.split())

    told = "not kept as read: my_transformer is not here; once `oneblock learn` has made it, `oneblock recall --lesson "
    assert f"{told}norm` begins its cards" in read() and not (tmp_path / "my_transformer").exists()
    assert "not kept" not in read("--questions")
    Lab(tmp_path / "my_transformer").make()
    assert "not kept" not in read()
    journal = tmp_path / "my_transformer" / "recall.jsonl"
    assert '"do": "read", "of": "norm"' in journal.read_text()
    journal.write_text("something else\n")
    assert "not kept as read: my_transformer/recall.jsonl is not what `oneblock recall` writes" in read()
