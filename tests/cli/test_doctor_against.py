"""`oneblock doctor TARGET --against REF`: arguments in, the places and the changes out."""

import json
from pathlib import Path

import parity_hosts
import pytest

from oneblock.cli.main import main

FACTORIES = """
import sys
sys.path.insert(0, {folder!r})
import parity_hosts as hosts

def right():
    return hosts.Llama()

def wrong():
    return hosts.Llama(**{{"interleaved": True}})

def small():
    model = hosts.Llama()
    model.vocab_size = 11
    return model
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FACTORIES.format(folder=str(Path(parity_hosts.__file__).parent)))
    return path


def answer(capsys, *arguments):
    status = main(["doctor", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1]) if out else None, err


def test_two_that_differ(file, capsys):
    status, said, err = answer(capsys, f"{file}:wrong", "--against", f"{file}:right")
    assert (status, said["agree"]) == (1, False)
    assert said["first_difference"]["reference"] == said["first_difference"]["target"] == "blocks.0.attn"
    (change,) = said["explanation"]
    assert (change["change"], change["reference"], change["target"]) == ("rope", "half", "interleaved")
    assert change["path"] == "block.attention.position.style"
    assert "rope (attention): interleaved; the reference has half" in err


def test_two_that_agree(file, capsys):
    status, said, _ = answer(capsys, f"{file}:right", "--against", f"{file}:right", "--seed", "3")
    assert (status, said["agree"], said["explanation"], said["first_difference"]) == (0, True, [], None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("FILE:right", "--against", "FILE:small"), "knows 23 tokens and"),
        (("FILE:right", "--against", "nowhere"), "nowhere is not there"),
        (("FILE:right", "--against", "FILE:right", "--only", "leak"), "asks no checks"),
        (("--against", "FILE:right"), "give the other one as TARGET"),
    ],
)
def test_what_cannot_be_compared(file, capsys, arguments, says):
    status, said, err = answer(capsys, *(word.replace("FILE", str(file)) for word in arguments))
    assert (status, said) == (2, None) and says in err
