"""Every kind of log that people have, whole and damaged, and what is said of one that cannot be read."""

import csv
import io
import json
import math
import struct

import numpy as np
import pytest

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.names import quantity_of
from oneblock.doctor.logs.reading import read_log

STEPS = 23
ROWS = [{"step": n, "train/loss": 3.0 - 0.05 * n, "lr": 1e-3, "train/grad_norm": 0.7 + 0.01 * n} for n in range(STEPS)]


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_csv(rows, mark=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def renamed(**names):
    return [{names.get(key.replace("/", "_"), key): value for key, value in row.items()} for row in ROWS]


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, kind, data):
    return varint(number << 3 | kind) + (varint(len(data)) if kind == 2 else b"") + data


def record(data):
    return struct.pack("<Q", len(data)) + b"crc0" + data + b"crc1"


def events(rows, tensors=False):
    """An event file, written by hand from the format's description."""
    out = record(field(1, 1, struct.pack("<d", 1.7e9)) + field(3, 2, b"brain.Event:2"))
    for row in rows:
        for tag, value in row.items():
            if tag == "step":
                continue
            inner = field(2, 5, struct.pack("<f", value))
            if tensors:
                inner = field(8, 2, field(1, 0, varint(1)) + field(4, 2, struct.pack("<f", value)))
            message = field(1, 2, field(1, 2, tag.encode()) + inner)
            wall = struct.pack("<d", 1.7e9 + row["step"])
            out += record(field(1, 1, wall) + field(2, 0, varint(row["step"])) + field(5, 2, message))
    return out


def is_right(log):
    loss, norm = log.series["loss"], log.series["grad_norm"]
    assert loss.steps.tolist() == list(range(STEPS))
    assert loss.values == pytest.approx([row["train/loss"] for row in ROWS], rel=1e-6)
    assert norm.values == pytest.approx([row["train/grad_norm"] for row in ROWS], rel=1e-6)
    assert set(log.series["learning_rate"].values.tolist()) <= {1e-3, float(np.float32(1e-3))}


WRITTEN = {
    "lines.jsonl": as_lines(ROWS),
    "commas.csv": as_csv(ROWS),
    "semicolons.csv": as_csv(ROWS, ";"),
    "tabs.tsv": as_csv(ROWS, "\t"),
    "blanks.log": as_csv(ROWS).replace(",", "  "),
    "marked.csv": "\ufeff" + as_csv(ROWS).replace("\n", "\r\n"),
    "list.json": json.dumps(ROWS),
    "trainer_state.json": json.dumps({"best": None, "log_history": renamed(train_loss="loss", lr="learning_rate")}),
    "columns.json": json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}),
    "wandb.jsonl": as_lines(renamed(step="_step", train_loss="train/loss", lr="optim/lr", train_grad_norm="gnorm")),
    "chart.csv": as_csv(
        [
            {
                "Step": row["step"],
                "run-1 - train/loss": row["train/loss"],
                "run-1 - train/loss__MIN": 0.0,
                "run-1 - train/loss__MAX": 9.0,
                "run-1 - lr": row["lr"],
                "run-1 - gradient_norm": row["train/grad_norm"],
            }
            for row in ROWS
        ]
    ),
    "nested.jsonl": as_lines([{"iteration": r["step"], "train": {"loss": r["train/loss"], "lr": r["lr"], "grad_norm": r["train/grad_norm"]}} for r in ROWS]),
    "two rows a step.jsonl": as_lines(
        [part for row in ROWS for part in ({"step": row["step"], "loss": row["train/loss"], "lr": row["lr"]}, {"step": row["step"], "grad_norm": row["train/grad_norm"], "val/loss": 9.0})]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_kinds(tmp_path, name):
    path = tmp_path / name
    path.write_text(WRITTEN[name], encoding="utf-8", newline="")
    log = read_log(path)
    is_right(log)
    assert not log.restarts
    if "two rows" in name:
        assert set(log.series["val_loss"].values.tolist()) == {9.0}


@pytest.mark.parametrize("tensors", [False, True])
def test_tensorboard(tmp_path, tensors):
    path = tmp_path / "runs" / "events.out.tfevents.1700000000.host"
    path.parent.mkdir()
    path.write_bytes(events(ROWS, tensors))
    is_right(read_log(path))
    is_right(read_log(path.parent))
    path.write_bytes(events(ROWS)[:-7])
    log = read_log(path)
    assert len(log.series["grad_norm"]) == STEPS - 1 and "torn" in log.notes[0]


@pytest.mark.parametrize("name", ["lines.jsonl", "commas.csv"])
def test_a_torn_last_line_is_left_out(tmp_path, name):
    path = tmp_path / name
    path.write_text(WRITTEN[name].rpartition(",")[0])
    log = read_log(path)
    assert len(log.series["loss"]) == STEPS - 1 and "torn" in log.notes[0]


def test_words_for_what_is_no_number(tmp_path):
    rows = [dict(row) for row in ROWS]
    rows[7]["train/loss"], rows[8]["train/loss"], rows[9]["train/loss"] = "NaN", "Infinity", None
    path = tmp_path / "log.jsonl"
    path.write_text(as_lines(rows) + '{"step": 23, "train/loss": NaN}\n')
    loss = read_log(path).series["loss"]
    assert math.isnan(loss.at(7)) and loss.at(8) == math.inf and 9 not in loss.steps and math.isnan(loss.at(23))


def test_steps_that_come_again_stand_as_they_came_last(tmp_path):
    again = [{**row, "train/loss": 9.0} for row in ROWS[11:]]
    path = tmp_path / "log.jsonl"
    path.write_text(as_lines([*ROWS[:17], *again]))
    log = read_log(path)
    assert log.restarts == [11] and len(log.series["loss"]) == STEPS and log.series["loss"].at(13) == 9.0
    path = tmp_path / "log.csv"
    path.write_text(as_csv(ROWS[:10]) + as_csv(ROWS[10:]))
    log = read_log(path)
    is_right(log)
    assert log.restarts == [10]


def test_missing_steps_are_noted(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(as_lines([*ROWS[:9], *ROWS[17:]]))
    assert "nothing is logged between steps 8 and 17" in read_log(path).notes


def test_steps_that_nobody_counts(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("loss\n" + "\n".join(str(3 - 0.1 * n) for n in range(12)))
    log = read_log(path)
    assert log.series["loss"].steps.tolist() == list(range(12)) and "rows are counted" in log.notes[0]


def test_layers(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"step": n, "loss": 1.0, "layers.0.max_logit": n, "layers.1.max_logit": 2 * n} for n in range(9)]
    path.write_text(as_lines(rows))
    log = read_log(path)
    assert log.series["max_logit"].values.tolist() == [2.0 * n for n in range(9)] and set(log.layers["max_logit"]) == {
        0,
        1,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is binary"),
        (b"PK\x03\x04" + bytes(99), "is binary"),
        (b'{"step": 1, "accuracy": 2}\n{"step": 2, "accuracy": 2}\n', "no column for the loss (it has step, accuracy)"),
        (b"step,accuracy\n1,2\n2,3\n", "no column for the loss"),
        (b"1,2\n2,3\n", "has no header"),
        (b"step,loss\n", "has no rows"),
        (b"Dear all,\nhere is no log.\n", "no numbers"),
        (b"[1, 2, 3]", "without rows"),
        (b'{"a": 1', "no line"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, said):
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(DoctorError) as raised:
        read_log(path)
    assert said in str(raised.value) and str(path) in str(raised.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(DoctorError, match="not there"):
        read_log(tmp_path / "none")
    with pytest.raises(DoctorError, match="without metrics.jsonl"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("train/loss", ("loss", None)),
        ("Loss", ("loss", None)),
        ("eval/loss", ("val_loss", None)),
        ("lr-AdamW", ("learning_rate", None)),
        ("train/learning_rate", ("learning_rate", None)),
        ("gnorm", ("grad_norm", None)),
        ("gradNorm", ("grad_norm", None)),
        ("lossScale", ("loss_scale", None)),
        ("blocks.3.max_logit", ("max_logit", 3)),
        ("trainer/global_step", None),
        ("eval/accuracy", None),
        ("a - train/loss__MIN", None),
    ],
)
def test_names(name, quantity):
    assert quantity_of(name) == quantity
