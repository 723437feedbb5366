import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from oneblock.runs.errors import RunError
from oneblock.runs.metrics import MetricsLog


@pytest.fixture
def log(tmp_path: Path) -> MetricsLog:
    return MetricsLog(tmp_path / "metrics.jsonl")


def test_what_is_appended_is_read(log: MetricsLog) -> None:
    assert log.read() == []
    lines = [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "sample": "två\nrader\u2028"}, {"event": "saved"}]
    for line in lines:
        log.append(line)
        # In the system's hands at once: another process reads it while this one goes on.
        assert MetricsLog(log.path).read()[-1] == line
    assert log.read() == lines
    assert len(log.path.read_text().split("\n")) == 4


def test_every_line_is_valid_json(log: MetricsLog) -> None:
    log.append({"loss": math.nan, "up": math.inf, "down": [-math.inf, 1.5]})
    log.append({"loss": torch.tensor(float("nan")), "norm": np.float32(0.5), "count": torch.tensor(7)})

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in log.path.read_text().splitlines()]
    assert lines[0] == {"loss": "NaN", "up": "Infinity", "down": ["-Infinity", 1.5]}
    assert lines[1] == {"loss": "NaN", "norm": 0.5, "count": 7}
    first, second = log.read()
    assert math.isnan(first["loss"]) and first["up"] == math.inf and first["down"] == [-math.inf, 1.5]
    assert math.isnan(second["loss"])


@pytest.mark.parametrize("torn", [b'{"step": 3, "lo', b'{"step": 3}', b"\0\0\0\n\0\0", b"\xff\n"])
def test_a_torn_end_is_left_out_and_cut_away(log: MetricsLog, torn: bytes) -> None:
    for step in (1, 2):
        log.append({"step": step})
    log.close()
    with log.path.open("ab") as file:
        file.write(torn)
    assert [line["step"] for line in log.read()] == [1, 2]
    log.append({"step": 3})
    assert [line["step"] for line in log.read()] == [1, 2, 3]
    assert log.path.read_bytes() == b'{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_damage_in_the_middle_is_an_error(log: MetricsLog) -> None:
    log.path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunError, match=r"line 2 of .*metrics.jsonl is damaged"):
        log.read()


def test_rewind(log: MetricsLog) -> None:
    log.append({"event": "start"})
    for step in (1, 2, 3, 5):
        log.append({"step": step, "loss": 1.0 / step})
        log.append({"event": f"after {step}"})
    before = log.path.read_bytes().splitlines(keepends=True)
    log.rewind(3)
    assert log.path.read_bytes() == b"".join(before[:7])
    log.append({"step": 4})
    assert log.read()[-2:] == [{"event": "after 3"}, {"step": 4}]
    log.rewind(0)
    assert log.read() == [{"event": "start"}]
    log.rewind(-1)
    assert log.read() == []
    MetricsLog(log.path.with_name("none.jsonl")).rewind(3)
    assert not log.path.with_name("none.jsonl").exists()


def test_rewind_cut_off_at_every_operation(tmp_path: Path, cut_off) -> None:
    for last in range(50):
        log = MetricsLog(tmp_path / f"{last}.jsonl")
        for step in (1, 2, 3):
            log.append({"step": step})
        with cut_off(last) as operations:
            log.rewind(2)
        assert [line["step"] for line in log.read()] in ([1, 2, 3], [1, 2])
        if "cut" not in operations:
            assert len(log.read()) == 2
            return
    pytest.fail("never came to an end")


@pytest.mark.parametrize("room", [0, 1, 11])
def test_no_space_left(log: MetricsLog, full_after, room: int) -> None:
    log.append({"step": 1})
    with full_after(room), pytest.raises(RunError, match=r"No space left on device"):
        log.append({"step": 2})
    assert log.path.read_bytes() == b'{"step": 1}\n'
    log.append({"step": 3})
    assert [line["step"] for line in log.read()] == [1, 3]


def test_sync_needs_no_open_file(log: MetricsLog) -> None:
    log.sync()
    log.append({"step": 1})
    log.sync()
    log.close()
    log.close()
