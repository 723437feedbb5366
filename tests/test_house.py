"""The house rules: which room may import which, what loads no torch, how long a file is."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import oneblock

SOURCE = Path(oneblock.__file__).parent
ROOT = SOURCE.parents[1]
FLOORS = (
    ("config",),
    ("nn",),
    ("models",),
    ("weights", "data", "machine"),
    ("runs", "inspect"),
    ("decoding",),
    ("train",),
    ("compare", "doctor", "learn", "bench"),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(text: str, package: list[str]) -> set[str]:
    """The rooms a file imports anywhere in it: at its top, inside functions, and for type checkers only."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module or ""]).rstrip(".")
            names += [f"{base}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {name[1] for name in parts if name[0] == "oneblock" and len(name) > 1} & set(FLOOR)


def wrong_imports(room: str, text: str, package: list[str]) -> set[str]:
    return {other for other in imported_rooms(text, package) if other != room and FLOOR[other] >= FLOOR[room]}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def test_every_folder_is_a_room():
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert {"config", "nn", "models", "inspect"} <= rooms <= set(FLOOR)


def test_rooms_import_downward_only():
    wrong = {}
    for path in files():
        room, *below = path.relative_to(SOURCE).parts
        if below:
            found = wrong_imports(room, path.read_text(), ["oneblock", room])
            if found:
                wrong[str(path.relative_to(SOURCE))] = found
    assert not wrong, f"imports against the direction of the house: {wrong}"


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("nn", "from oneblock.models.build import build"),
        ("data", "import oneblock.machine.device"),
        ("runs", "from oneblock import inspect"),
        ("config", "def late():\n    from oneblock.nn.norm import make_norm"),
        ("nn", "from ..models import build"),
        (
            "machine",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from oneblock.train import loop",
        ),
    ],
)
def test_a_wrong_import_is_noticed(room, text):
    assert wrong_imports(room, text, ["oneblock", room])


@pytest.mark.parametrize("text", ["from oneblock.config import Block", "from . import norm", "import torch.nn"])
def test_a_right_import_is_let_through(text):
    assert not wrong_imports("nn", text, ["oneblock", "nn"])


def torch_is_loaded_by(program: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {"True": True, "False": False}[done.stdout.splitlines()[-1]]


HELP = """
import runpy
sys.argv = ["oneblock", "--help"]
try:
    runpy.run_module("oneblock", run_name="__main__")
except SystemExit as end:
    assert end.code in (0, None)
"""


@pytest.mark.parametrize(
    "program", ["import oneblock", "import oneblock.config", HELP, "import oneblock; oneblock.presets.nano()"]
)
def test_no_torch_is_loaded(program):
    assert not torch_is_loaded_by(program)


def test_the_torch_test_can_fail():
    assert torch_is_loaded_by("import oneblock; oneblock.build")


def test_help_names_the_verbs():
    done = subprocess.run([sys.executable, "-m", "oneblock", "--help"], capture_output=True, text=True, check=True)
    for verb in ("train", "generate", "show", "bench"):
        assert verb in done.stdout


def test_no_file_is_over_300_lines():
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in files()}
    assert not {name: length for name, length in lengths.items() if length > 300}
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


def test_the_map_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_map", ROOT / "docs" / "make_map.py")
    assert spec is not None and spec.loader is not None
    make_map = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_map)
    assert make_map.MAP.read_text(encoding="utf-8") == make_map.made(), "run python docs/make_map.py"
