"""The learner's process: whatever it does, the answer is words for the learner, and it comes soon."""

import os
import re
from pathlib import Path

import pytest
import torch

from oneblock.learn.process import Child, Ended, Limits
from oneblock.learn.pulse import Pulse, innermost, state
from oneblock.learn.sandbox import HIDDEN, NO_SANDBOX, bubblewrap, command

FILE = """
import ctypes, os, random, signal, sys, time
import torch

def double(x): return 2 * x
def shout(): print("hello", flush=True)
def fork(): os.fork()
def program(): __import__("subprocess").run(["true"])
def network(): __import__("socket").create_connection(("192.0.2.1", 80))
def write(path): open(path, "w")
def remove(path): os.remove(path)
def read(path): return open(path).read()
def scratch():
    import tempfile
    with tempfile.TemporaryDirectory() as folder: open(folder + "/a", "w").write("b")
    return "fine"
def bring(name): return __import__(name).__name__
def leave(): sys.exit(0)
def hog(): return [torch.empty(2**26) for _ in range(10**4)]  # never written to: refused as quickly anywhere
def long(): return [0] * 10**12
def huge(): return torch.zeros(1).expand(10**9)
def sparse(): return torch.eye(2).to_sparse()
def odd(): return torch.ones(2, device="meta"), {1, 2}, double
def deep():
    inside = []
    inside.append(inside)
    return inside
def seeded(): random.seed(1)
def around():
    import gc, inspect
    seen = [m for m in sys.modules if m.startswith("oneblock")]
    for frame in inspect.stack():
        for name, value in frame.frame.f_locals.items():
            seen += [name] if "oneblock" in getattr(type(value), "__module__", "") else []
    code = [o for o in gc.get_objects() if inspect.isfunction(o) and "exercises" in o.__code__.co_filename]
    return seen + [o.__qualname__ for o in code]
def listed(path): return sorted(os.listdir(path))
def optimise():
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return "fine"
def flood():
    while True: print("x" * 1000)

def crash(): ctypes.string_at(0)
def end(): os._exit(0)
def fake():
    for descriptor in range(3, 500):
        try: os.write(descriptor, b"PASS" * 100)
        except OSError: pass
def close(): os.closerange(3, 500)
def spin():
    while True: pass
def stubborn():
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    while True: pass
def sleep(): time.sleep(1000)
"""


def line_of(text):
    return next(at for at, line in enumerate(FILE.splitlines(), 1) if text in line)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("learner") / "mine.py"
    path.write_text(FILE)
    return path


def opened(file):
    # Torch's compiler, which an optimiser loads, takes seconds on a slow machine.
    child = Child(Limits(seconds=20.0))
    child.open(file, ("softmax",))
    return child


@pytest.fixture(scope="module")
def children(file):
    """One for all tests that leave it alive."""
    kept = [opened(file)]
    yield kept
    for child in kept:
        child.close()


@pytest.fixture
def child(children, file):
    if children[-1].ended:
        children.append(opened(file))
    return children[-1]


def call(child, name, *args):
    return child.ask({"do": "call", "target": name, "method": "", "args": args, "kwargs": {}})


def test_it_computes_and_what_it_prints_is_kept_apart(child):
    assert torch.equal(call(child, "double", torch.ones(3))["value"], 2 * torch.ones(3))
    call(child, "shout")
    assert child.printed() == "hello\n"


@pytest.mark.parametrize(
    ("name", "args", "kind", "message"),
    [
        ("fork", (), "NotAllowed", "it starts a process"),
        ("program", (), "NotAllowed", "it starts a program"),
        ("network", (), "NotAllowed", "it asks the network"),
        ("write", (str(Path.home() / "x.txt"),), "NotAllowed", "it writes the file"),
        ("remove", (__file__,), "NotAllowed", "it removes .*test_process"),
        (
            "read",
            (str(HIDDEN / "learn" / "exercises" / "softmax" / "reference.py"),),
            "NotAllowed|FileNotFoundError",
            "own files|No such file",
        ),
        ("bring", ("oneblock",), "ImportError", "oneblock may not be used here"),
        ("bring", ("transformers",), "ImportError", "transformers may not be used here"),
        ("leave", (), "SystemExit", "it ends Python"),
        ("hog", (), "RuntimeError", "more memory than an exercise may have"),
        ("long", (), "MemoryError", "more memory than an exercise may have"),
        ("huge", (), "Unfit", "a tensor of 1,000,000,000 numbers; 64 MB are allowed"),
        ("deep", (), "RecursionError", "recursion"),
    ],
)
def test_what_no_exercise_needs_is_an_error_and_the_process_goes_on(child, name, args, kind, message):
    error = call(child, name, *args)["error"]
    assert error["type"] in kind.split("|")
    assert re.search(message, error["message"])
    assert error["line"] in (0, line_of(f"def {name}"))
    assert "value" in call(child, "double", torch.ones(1))


def test_what_is_no_plain_value_stays_there(child):
    assert call(child, "sparse")["value"].kind == "Tensor (torch.sparse_coo, cpu)"
    assert [entry.kind for entry in call(child, "odd")["value"]] == ["Tensor (torch.strided, meta)", "set", "function"]


def test_what_is_needed_is_allowed(child):
    assert call(child, "scratch")["value"] == "fine"
    # torch loads its compiler here, which tries out a folder, wraps functions of its own and draws from Python's chance.
    answer = call(child, "optimise")
    assert answer["value"] == "fine" and not answer["after"].keys() - {"drew"}


def test_nothing_of_the_answer_is_anywhere_around(child):
    assert call(child, "around")["value"] == []


@pytest.mark.skipif(bubblewrap() is None, reason="no bubblewrap here")
def test_in_a_sandbox_the_answers_are_not_even_there(child):
    assert child.shut_in
    assert call(child, "listed", str(HIDDEN))["value"] == ["learn"]
    assert "eth" not in call(child, "read", "/proc/net/dev")["value"]


def test_seeding_of_python_s_generator_is_seen(child):
    assert call(child, "seeded")["after"] == {"seeded": ["random.seed"]}


def test_a_flood_of_output_ends(child):
    assert "prints or writes more than an exercise may" in call(child, "flood")["error"]["message"]
    assert len(child.printed()) <= 2**20
    assert "value" in call(child, "double", torch.ones(1))


@pytest.mark.parametrize(
    ("name", "message", "knows_line"),
    [
        ("crash", "crashed Python itself", True),
        ("end", r"ended its process \(exit status 0\) instead of returning", False),
        ("fake", "no answer came through the channel", False),
        ("close", "closed file descriptors", False),
        ("spin", "no answer after 0.3 s of computing: a loop that does not end", True),
        ("stubborn", "no answer after 0.6 s of computing: a loop that does not end", None),
        ("sleep", "it has done nothing for 1 s", None),
    ],
)
def test_a_process_that_is_lost_is_told(file, name, message, knows_line):
    with Child(Limits(seconds=0.3, idle=1.0)) as child:
        child.open(file, ())
        with pytest.raises(Ended, match=message) as end:
            call(child, name)
        lines = range(line_of(f"def {name}"), line_of(f"def {name}") + 4)
        assert knows_line is None or (end.value.line in lines) == knows_line
        with pytest.raises(Ended, match=message):
            call(child, "double", torch.ones(1))


def test_a_file_is_part_of_its_package(tmp_path):
    folder = tmp_path / "my_own"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("def f(x):\n    return x[5]\n")
    (folder / "two.py").write_text("from .one import f\ndef g(x): return f(x)\n")
    with Child() as child:
        assert set(child.open(folder / "two.py", ())["value"]) == {"f", "g"}
        error = call(child, "g", torch.ones(2))["error"]
        assert (error["file"], error["line"]) == ("one.py", 2)


def test_where_there_is_no_bubblewrap_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.cache_clear()
    try:
        words, shut_in = command(str(tmp_path), (5, 6, 7))
        assert not shut_in and words[1] == "-I" and words[-4:] == ["5", "6", "7", ""]
    finally:
        bubblewrap.cache_clear()
    assert "no sandbox" in NO_SANDBOX and "bubblewrap" in NO_SANDBOX


def test_the_pulse_of_a_process():
    assert innermost(os.getpid()) and state(os.getpid())[0] == "R"
    assert state(2**22 + 1) is None
    pulse = Pulse(os.getpid(), idle=0.0, busy=0.05)
    # Not one that another test has started.
    pulse.inner = os.getpid()
    assert pulse.wrong() == ""
    until = sum(os.times()[:2]) + 0.2
    while sum(os.times()[:2]) < until:
        pass
    assert "of computing" in pulse.wrong()
