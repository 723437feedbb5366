"""The kernels of one token: built when asked for, tried before they are used, and done without."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

from oneblock.nn import native, one_token

KINDS = [torch.float32, torch.bfloat16, torch.int8]
needs_kernel = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))) or "ONEBLOCK_NO_KERNELS" in os.environ, reason="needs a compiler"
)


def test_the_trial_notices_a_wrong_kernel():
    def right(x_D, weight_ED):
        return (x_D * weight_ED.float()).sum(-1)

    def only(kind, wrong):
        return lambda x_D, weight_ED: (wrong if weight_ED.dtype == kind else right)(x_D, weight_ED)

    assert one_token.row_error(right) < one_token.TOLERANCE / 10
    for kind in KINDS:
        assert (
            one_token.row_error(only(kind, lambda x_D, w_ED: right(x_D[:-1], w_ED[:, :-1]))) > 10 * one_token.TOLERANCE
        )
        assert one_token.row_error(only(kind, lambda x_D, w_ED: right(x_D, w_ED) * 1.01)) > 10 * one_token.TOLERANCE
        assert one_token.row_error(only(kind, lambda x_D, w_ED: right(x_D, w_ED) * torch.nan)) == float("inf")


def test_the_trial_notices_a_wrong_attention():
    def right(q, k, v, seen, scale):
        shared = q.shape[1] // k.shape[1]
        k, v = (x.float().repeat_interleave(shared, 1) for x in (k, v))
        return ((q @ k.mT * scale).masked_fill(~seen, -torch.inf)).softmax(-1) @ v

    assert one_token.query_error(right) < one_token.TOLERANCE / 10
    wrongs = [
        lambda q, k, v, seen, scale: right(q, k, v, seen, scale * 1.01),
        lambda q, k, v, seen, scale: right(q, k, v, torch.ones_like(seen), scale),
        lambda q, k, v, seen, scale: right(q.roll(1, 1), k, v, seen, scale),
        lambda q, k, v, seen, scale: right(q, k[..., :-1, :], v[..., :-1, :], seen[:-1], scale),
        lambda q, k, v, seen, scale: right(q, k, v.roll(1, -1), seen, scale),
    ]
    for wrong in wrongs:
        assert one_token.query_error(wrong) > 10 * one_token.TOLERANCE
    assert one_token.query_error(lambda q, *others: right(q, *others) * torch.nan) == float("inf")


def test_the_trial_depends_on_no_default():
    torch.set_default_dtype(torch.float64)
    try:
        assert one_token.row_error(lambda x_D, weight_ED: weight_ED.float() @ x_D) < one_token.TOLERANCE
    finally:
        torch.set_default_dtype(torch.float32)


def run(program, *arguments, **environment):
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


BUILT = """
    import sys, torch, pathlib
    from oneblock.nn import one_token
    from oneblock.nn.linear import linear
    torch.compiler.is_compiling = lambda: True
    x, weight = torch.ones(1, 35), torch.ones(2, 35).bfloat16()
    with torch.no_grad():
        assert linear(x, weight).tolist() == [[35, 35]]
    # Neither an import nor a trace has made it.
    print(hasattr(torch.ops.oneblock, "one_row"))
    one_token.SOURCE = pathlib.Path(sys.argv[1])
    print(one_token.prepare())
    with torch.no_grad():
        print(linear(x, weight)[0, 0].item())
"""


@needs_kernel
def test_it_is_made_when_asked_for_and_kept(tmp_path):
    assert run(BUILT, str(one_token.SOURCE), XDG_CACHE_HOME=str(tmp_path)) == ["False", "True", "35.0"]
    (built,) = (tmp_path / "oneblock").iterdir()
    assert built.name.startswith("one_token-")


@needs_kernel
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("one_row.h", "for (; d < D; ++d)", "for (; d < D - 1; ++d)"),
        ("one_token.h", "<< 16;", "<< 15;"),
        ("one_query.h", "/= sum;", "/= sum + 1;"),
        ("one_token.cpp", '"one_row"', '"two"'),
    ],
)
def test_a_broken_kernel_is_not_used(tmp_path, file, right, wrong):
    folder = tmp_path / "kernels"
    folder.mkdir()
    for path in one_token.SOURCE.parent.glob("one_*.[ch]*"):
        shutil.copy(path, folder)
    text = (folder / file).read_text()
    assert right in text
    (folder / file).write_text(text.replace(right, wrong))
    # As it is quicker to build: this is about what it computes.
    made = run(BUILT, str(folder / "one_token.cpp"), XDG_CACHE_HOME=str(tmp_path), CXX="g++ -O0")
    assert made == ["False", "False", "35.0"]


@needs_kernel
def test_what_is_kept_is_a_copy(monkeypatch):
    assert one_token.prepare()
    x = torch.arange(24).view(2, 3, 4).mT
    with torch.no_grad():
        assert one_token.kept(x) is x, "not compiled"
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        own = one_token.kept(x)
        assert torch.equal(own, x) and own.data_ptr() != x.data_ptr()
    assert one_token.kept(x) is x, "where gradients are asked for"
    for given in (x, x > 3, x.double()[:0]):
        torch.library.opcheck(torch.ops.oneblock.kept.default, (given,), test_utils=("test_schema", "test_faketensor"))


@needs_kernel
def test_compiled_code_is_told_the_c_functions():
    """By declarations that say what the operators' schemas say; filed under what they say."""
    assert one_token.prepare()
    direct = one_token.Direct(one_token.OPERATORS)
    handle, last = "AtenTensorHandle", "AtenTensorHandle*"
    assert {str(operator): declared for operator, declared in direct.items()} == {
        "oneblock.one_row.default": [f"AOTITorchError aoti_torch_cpu_one_row({handle}, {handle}, {last})"],
        "oneblock.one_query.default": [
            f"AOTITorchError aoti_torch_cpu_one_query({handle}, {handle}, {handle}, {handle}, double, {last})"
        ],
        "oneblock.kept.default": [f"AOTITorchError aoti_torch_cpu_kept({handle}, {last})"],
    }
    assert pickle.loads(pickle.dumps(direct)) == direct == copy.deepcopy(direct)
    assert pickle.dumps(direct) != pickle.dumps(one_token.Direct({"kept": one_token.OPERATORS["kept"]}))


def test_without_compiler_or_wish_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(one_token, "_ready", False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ONEBLOCK_NO_KERNELS", raising=False)
    for name, value in (("CXX", str(tmp_path / "missing")), ("ONEBLOCK_NO_KERNELS", "1")):
        monkeypatch.setenv(name, value)
        monkeypatch.setattr(one_token, "_tried", False)
        assert not one_token.prepare()
    assert native.load(tmp_path / "no.cpp") is None
