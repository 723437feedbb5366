"""`oneblock bench`: arguments, errors, exit status, the JSON line; the measuring itself is replaced."""

import json

import pytest

from oneblock.bench import measure as measuring
from oneblock.bench.job import Arm
from oneblock.bench.measure import Entry, Measured
from oneblock.cli.main import main

WHERE = {"precision": "bfloat16", "machine": {"processor": "abacus", "threads": 2, "torch": "2"}}
KEYS = {"tokens_per_second", "peak", "bandwidth", "share", "against", "ratio_default", "ratio_best"}


@pytest.fixture
def jobs(monkeypatch):
    """Every measurement gives the same; the jobs that were asked for are kept."""
    asked = []

    def measured(job, against, **settings):
        asked.append((job, against, settings))
        facts = {"flops_per_token": 2e6, "bytes_per_step": 3e6}
        entries = [Entry(Arm(rival="oneblock", name="eager"), facts, [11.0])]
        if against:
            entries.append(Entry(Arm(rival="hf", name="as it comes", default=True), facts, [5.5]))
        if "wrong" in against:
            entries[-1].out("gone", wrong=True)
        return Measured(job, WHERE, entries, [1e9], [1e9])

    monkeypatch.setattr(measuring, "measure", measured)
    return asked


def test_one_object_is_the_last_line(jobs, capsys, tmp_path):
    assert main(["bench", "train", "--against", "hf", "--rounds", "1", "--json", "--out", str(tmp_path / "new")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) >= KEYS and "found_wrong" not in result
    assert result["ratio_best"] == result["ratio_default"] == 2.0
    assert json.loads((tmp_path / "new" / "bench.json").read_text())["ratio_best"] == 2.0


def test_a_person_gets_a_table(jobs, capsys):
    assert main(["bench", "generate"]) == 0
    assert "memory bandwidth" in capsys.readouterr().out


def test_the_job_is_what_was_asked(jobs):
    main(
        [
            "bench",
            "train",
            "--set",
            "num_layers=3",
            "--batch",
            "5",
            "--context",
            "17",
            "--threads",
            "1",
            "--seed",
            "7",
        ]
    )
    job, against, settings = jobs[0]
    assert (job.config.model.num_layers, job.config.model.context) == (3, 17)
    assert (job.batch, job.threads, job.seed, against) == (5, 1, 7, [])
    assert settings["rounds"] == 5 and job.config.model.blocks[0].dropout == 0
    main(["bench", "generate"])
    job = jobs[1][0]
    assert (job.batch, job.prompt, job.new) == (1, 32, 200)


def test_what_is_wrong_gives_status_1(jobs, capsys):
    assert main(["bench", "train", "--against", "wrong"]) == 1
    assert "gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--preset", "nono"], "nono is not a preset"),
        (["train", "--against", "no-such-folder"], "give hf, x-transformers, a preset, or the folder"),
        (["train", "--tokens", "5"], "are for `bench generate`"),
        (["generate", "--tokens", "900"], "beyond the context of 256"),
        (["train", "--set", "width=255"], "width"),
    ],
)
def test_bad_input_gives_status_2(arguments, words, capsys):
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err
