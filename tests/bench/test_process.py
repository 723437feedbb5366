"""A worker's process as its parent sees it: orders and answers, errors, deaths. Workers of a few lines."""

import sys

import pytest

from oneblock.bench import process
from oneblock.bench.process import DeadWorkerError, OrderError, Process

ECHO = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "die":
        print("three last words", file=sys.stderr)
        sys.exit(7)
    if order["do"] == "fail":
        order = {"error": "cannot", "refused": order["refused"]}
    print(json.dumps(order), flush=True)
"""


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setattr(process, "COMMAND", [sys.executable, "-c", ECHO])
    with Process(threads=1) as worker:
        yield worker


def test_an_order_and_its_answer(echo):
    assert echo.ask("turn", seconds=3) == {"do": "turn", "seconds": 3}


@pytest.mark.parametrize("refused", [True, False])
def test_a_failure_leaves_it_alive(echo, refused):
    with pytest.raises(OrderError, match="cannot") as failure:
        echo.ask("fail", refused=refused)
    assert failure.value.refused is refused
    assert echo.ask("turn")


def test_a_death_is_told_with_its_last_words(echo):
    for _ in range(2):
        with pytest.raises(DeadWorkerError, match=r"exit status 7[\s\S]*three last words"):
            echo.ask("die")


def test_it_ends_when_it_is_closed(echo):
    echo.close()
    assert echo.process.returncode == 0
