"""The fast causal kernel against attention written out in float64, its edges in memory, and the ways it may be missing."""

import ctypes
import mmap
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from oneblock.nn import causal, native, trial
from oneblock.nn.causal import HEAD_WIDTHS, causal_attention, has_kernel
from oneblock.nn.trial import Shape

needs_kernel = pytest.mark.skipif(not has_kernel(), reason="no kernel here: no compiler, or no bfloat16 dot product")
B, H = 2, 3
# bfloat16 keeps 8 bits: rounding the answer alone errs by 2⁻⁹ of it, and probabilities are rounded on the way.
OUT, GRADIENT = 0.008, 0.016


def test_where_there_is_all_it_needs_there_is_a_kernel():
    """A kernel that does not build or fails its trial is passed over in silence: here that is an error."""
    able = native._multiplies_bfloat16() and any(map(shutil.which, ("g++", "clang++")))
    if not able or os.environ.get("ONEBLOCK_NO_KERNELS"):
        pytest.skip("no compiler, no bfloat16 dot product, or not wanted")
    assert has_kernel()


def drawn(T, K, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [size * torch.randn(B, H, T, K, generator=generator) for _ in range(4)]


def written_out(q, k, v, grad, scale):
    """Output and gradients in float64."""
    q, k, v, grad = (x.double().detach() for x in (q, k, v, grad))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    allowed = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
    out = (q @ k.mT * scale).masked_fill(~allowed, -torch.inf).softmax(-1) @ v
    return [out.detach(), *torch.autograd.grad(out, inputs, grad)]


def found(q, k, v, grad, scale):
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    out = causal_attention(*inputs, scale)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad)]


def check(q, k, v, grad, scale):
    for answer, right, allowed in zip(
        found(q, k, v, grad, scale), written_out(q, k, v, grad, scale), (OUT, *[GRADIENT] * 3), strict=True
    ):
        assert answer.dtype == torch.bfloat16 and answer.shape == right.shape and answer.isfinite().all()
        error = (answer.double() - right).norm() / right.norm()
        # Of one key alone nothing depends on the scores: their gradients are 0 but for rounding.
        assert error < allowed or (answer.double() - right).abs().max() < 0.02, float(error)


@needs_kernel
@pytest.mark.parametrize("K", HEAD_WIDTHS)
@pytest.mark.parametrize("T", [1, 2, 7, 32, 33, 64, 65, 100, 257])
def test_against_attention_written_out(T, K):
    q, k, v, grad = (x.bfloat16() for x in drawn(T, K))
    check(q, k, v, grad, K**-0.5)


@needs_kernel
def test_above_512_where_the_blocks_are_smaller():
    q, k, v, grad = (x[:1, :1].bfloat16() for x in drawn(577, 64))
    check(q, k, v, grad, 0.125)


@needs_kernel
@pytest.mark.parametrize("size", [0.01, 5.0])
def test_flat_and_peaked_rows(size):
    q, k, v, grad = (x.bfloat16() for x in drawn(100, 64))
    check(size * q, size * k, v, grad, 0.3)


def layouts(x):
    """The same numbers, lying otherwise in memory."""
    wide = torch.full((B, H, x.shape[2], x.shape[3] + 3), 9.0).bfloat16()
    wide[..., :-3] = x
    apart = torch.full((B, H, 2 * x.shape[2], x.shape[3]), 9.0).bfloat16()
    apart[:, :, ::2] = x
    shifted = torch.full((x.numel() + 1,), 9.0).bfloat16()
    shifted[1:] = x.flatten()
    return {
        "heads after positions": x.transpose(1, 2).contiguous().transpose(1, 2),
        "heads first": x.transpose(0, 1).contiguous().transpose(0, 1),
        "rows of odd length": wide[..., :-3],
        "every second row": apart[:, :, ::2],
        "an odd address": shifted[1:].view(x.shape),
        "columns first": x.mT.contiguous().mT,
    }


@needs_kernel
@pytest.mark.parametrize("layout", list(layouts(torch.zeros(B, H, 33, 32))))
@pytest.mark.parametrize("place", ["q", "k", "v", "grad", "all"])
def test_any_strides(layout, place):
    """Bit for bit the answer of contiguous tensors."""
    plain = [x.bfloat16() for x in drawn(33, 32)]
    turned = [
        layouts(x)[layout] if place in (name, "all") else x
        for name, x in zip(("q", "k", "v", "grad"), plain, strict=True)
    ]
    for one, other in zip(found(*plain, 0.2), found(*turned, 0.2), strict=True):
        assert torch.equal(one, other)


@needs_kernel
@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_expanded_tensors(dim):
    """One row for all positions has stride 0, which no matrix product can read as a matrix."""
    plain = [x.bfloat16() for x in drawn(33, 32)]
    expanded = [x.narrow(dim, 0, 1).expand(x.shape) for x in plain]
    for one, other in zip(found(*expanded, 0.2), found(*[x.contiguous() for x in expanded], 0.2), strict=True):
        assert torch.equal(one, other)
    overlapping = torch.zeros(999).bfloat16().as_strided((1, 1, 33, 32), (0, 0, 2, 1))
    for x in (expanded[0], overlapping):
        assert causal._in_place(x).is_contiguous() or (dim < 2 and x is expanded[0])
    # What `out.sum()` and `out.mean(2)` send back.
    inputs = [x.requires_grad_() for x in plain[:3]]
    mine = torch.autograd.grad(causal_attention(*inputs, 0.2).sum(dim).square().sum(), inputs)
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in mine)


@needs_kernel
def test_one_tensor_as_queries_keys_and_values():
    x = drawn(33, 32)[0].bfloat16().requires_grad_()
    causal_attention(x, x, x, 0.2).sum().backward()
    twin = x.detach().double().requires_grad_()
    F.scaled_dot_product_attention(twin, twin, twin, is_causal=True, scale=0.2).sum().backward()
    assert (x.grad.double() - twin.grad).norm() < GRADIENT * twin.grad.norm()


@needs_kernel
@pytest.mark.parametrize("T", [7, 100])
def test_the_future_has_no_say(T):
    q, k, v, _ = (x.bfloat16() for x in drawn(T, 32))
    whole = causal_attention(q, k, v, 0.2)
    for cut in range(1, T, 13):
        k2, v2 = k.clone(), v.clone()
        k2[:, :, cut:], v2[:, :, cut:] = 1e4, -1e4
        assert torch.equal(causal_attention(q, k2, v2, 0.2)[:, :, :cut], whole[:, :, :cut])


@needs_kernel
def test_what_is_no_number_is_seen():
    """A hidden NaN would train on: each query that sees it must say so, and no other."""
    for place in range(3):
        inputs = [x.bfloat16() for x in drawn(40, 32)[:3]]
        inputs[place][1, 2, 11, 5] = torch.nan
        out = causal_attention(*inputs, 0.2)
        rows = set(out[1, 2].isnan().any(-1).nonzero().flatten().tolist())
        # Of values even masked ones count, in the written-out form too: 0 · NaN is NaN.
        assert rows == {11} if place == 0 else rows >= set(range(11, 40))
        assert place != 1 or rows == set(range(11, 40))
        assert out[0].isfinite().all() and out[1, :2].isfinite().all()
    q = torch.full((1, 1, 33, 32), 3e19).bfloat16()
    assert causal_attention(q, -q, drawn(33, 32)[2][:1, :1].bfloat16(), 1.0).isnan().all(), "scores that overflow"


@needs_kernel
def test_scores_far_apart_stay_finite():
    q, k, v, grad = (x.bfloat16() for x in drawn(65, 64))
    assert all(x.isfinite().all() for x in found(1e3 * q, 1e3 * k, v, grad, 1.0))


@needs_kernel
def test_a_block_by_it_and_by_pytorchs_own(monkeypatch):
    q, k, v, grad = (x.bfloat16() for x in drawn(100, 64))
    mine = found(q, k, v, grad, 0.125)
    monkeypatch.setattr(causal, "has_kernel", lambda: False)
    for one, other in zip(mine, found(q, k, v, grad, 0.125), strict=True):
        assert (one.double() - other.double()).norm() < 0.01 * other.double().norm()


@pytest.mark.parametrize("case", ["float32", "head width 40", "no rows", "one short", "mixed"])
def test_what_it_does_not_suit_goes_to_pytorch(monkeypatch, case):
    monkeypatch.setattr(causal, "_forward", lambda *of: pytest.fail("the kernel was called"))
    q, k, v, _ = drawn(7, 40 if case == "head width 40" else 32)
    if case != "float32":
        q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
    if case == "no rows":
        q, k, v = q[:0], k[:0], v[:0]
    if case == "one short":
        k, v = k[:, :1], v[:, :1]
    if case == "mixed":
        with pytest.raises(RuntimeError, match="dtype"):
            causal_attention(q.float(), k, v, 0.2)
        return
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.2)
    assert torch.equal(causal_attention(q, k, v, 0.2), right)


PROGRAM = """
    import hashlib, sys, torch
    from oneblock.nn.causal import causal_attention, has_kernel
    assert has_kernel()
    for T, K in ((100, 64), (33, 96), (257, 32)):
        torch.manual_seed(T)
        q, k, v, grad = (torch.randn(2, 3, T, K).bfloat16() for _ in range(4))
        inputs = [x.requires_grad_() for x in (q, k, v)]
        for threads in map(int, sys.argv[1:]):
            torch.set_num_threads(threads)
            out = causal_attention(*inputs, 0.2)
            for x in (out, *torch.autograd.grad(out, inputs, grad)):
                print(threads, hashlib.sha256(x.detach().contiguous().view(torch.int16).numpy().tobytes()).hexdigest())
"""


def run(program, *arguments, **environment):
    environment = os.environ | environment
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_kernel
def test_the_same_bits_in_every_process_and_with_any_number_of_threads():
    lines = [line.split() for line in run(PROGRAM, "1", "2", "1", "3").splitlines()]
    other = [line.split() for line in run(PROGRAM, "2").splitlines()]
    bits = {}
    for index in range(0, len(lines), 16):
        for place in range(4):
            (one,) = {lines[index + 4 * turn + place][1] for turn in range(4)}
            bits[index // 16 * 4 + place] = one
    assert [bits[i] for i in range(12)] == [line[1] for line in other]


class Fenced:
    """A tensor whose last byte is followed by a page that may not be touched (or whose first byte follows one)."""

    def __init__(self, shape, dtype, at_end):
        size = (
            torch.empty(shape, dtype=dtype).numpy(force=True).nbytes if dtype != torch.bfloat16 else 2 * shape.numel()
        )
        page = mmap.PAGESIZE
        room = -(-size // page) * page
        self.memory = mmap.mmap(-1, room + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for fence in (start, start + page + room):
            assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
        offset = page + (room - size if at_end else 0)
        self.tensor = torch.frombuffer(self.memory, dtype=dtype, count=shape.numel(), offset=offset).view(shape)


FENCED = """
    import runpy, sys, torch
    parts = runpy.run_path(sys.argv[1])
    parts["within_fences"]()
"""


def within_fences():
    """Every shape, with inputs and outputs between forbidden pages: a touch outside ends the process.

    What is drawn is the same in every process: of two keys, where the softmax has settled for one, what bfloat16 rounds
    off is as large as the gradient, in one draw of some hundreds more than is allowed here.
    """
    kernels = native.library()
    torch.manual_seed(7)
    for K in HEAD_WIDTHS:
        for T in (1, 2, 7, 31, 33, 64, 65, 100, 129, 257, 513, 530):
            for at_end in (True, False):
                shape = torch.Size((1, 2, T, K))
                keep = [Fenced(shape, torch.bfloat16, at_end) for _ in range(8)]
                keep.append(Fenced(shape[:3], torch.float32, at_end))
                q, k, v, g, o, dq, dk, dv, logsum = (fenced.tensor for fenced in keep)
                for x in (q, k, v, g):
                    x.copy_(torch.randn(shape))
                n, view = Shape(*shape), native.view
                kernels.attention_forward(n, 0.2, *map(view, (q, k, v, o)), logsum.data_ptr())
                kernels.attention_backward(
                    n, 0.2, *map(view, (g, q, k, v, o)), logsum.data_ptr(), *map(view, (dq, dk, dv))
                )
                right = written_out(q, k, v, g, 0.2)
                for answer, wanted in zip((o, dq, dk, dv), right, strict=True):
                    assert (answer.double() - wanted).abs().max() < 0.03 * wanted.abs().max() + 0.02
    print("inside")


@needs_kernel
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fences are made by mprotect")
def test_nothing_is_read_or_written_outside():
    assert run(FENCED, __file__) == "inside\n"


@needs_kernel
def test_the_trial_notices_a_wrong_kernel():
    right = native.library()

    class Wrong:
        def __init__(self, **changed):
            self.changed = changed

        def __getattr__(self, name):
            return self.changed.get(name, getattr(right, name))

    def scaled(n, scale, *rest):
        right.attention_forward(n, scale.value * 1.1, *rest)

    def without(place):
        def backward(n, scale, *rest):
            right.attention_backward(n, scale, *rest)
            given = rest[6 + place]
            ctypes.memset(given.data, 0, 2 * n.B * n.H * n.T * n.K)

        return backward

    def nothing_but_nan(n, scale, *rest):
        ctypes.memset(rest[3].data, 0xFF, 2 * n.B * n.H * n.T * n.K)

    assert trial.error(right) < native.TOLERANCE / 2
    assert trial.error(Wrong(attention_forward=scaled)) > 2 * native.TOLERANCE
    assert trial.error(Wrong(attention_forward=nothing_but_nan)) == float("inf")
    for place in range(3):
        assert trial.error(Wrong(attention_backward=without(place))) > 0.5


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """`fresh()`: the library, looked for anew, in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ONEBLOCK_NO_KERNELS", raising=False)
    return native.library.__wrapped__


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture(scope="module")
def quick_compiler(tmp_path_factory):
    """A compiler for the impatient: what it "compiles" is the library of this process."""
    ready = native._built(os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++"))
    path = tmp_path_factory.mktemp("compiler") / "cxx"
    return str(script(path, f'for last; do :; done\nhead -c -32 "{ready}" > "$last"'))


@needs_kernel
def test_a_wrong_kernel_is_not_used(quick_compiler, fresh, monkeypatch):
    monkeypatch.setenv("CXX", quick_compiler)
    assert fresh() is not None
    monkeypatch.setattr(native, "error", lambda kernels: 0.3)
    assert fresh() is None
    monkeypatch.setattr(native, "error", lambda kernels: float("nan"))
    assert fresh() is None


@needs_kernel
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_file_is_made_again(quick_compiler, fresh, monkeypatch, tmp_path, damage):
    """A shared library that was cut off would end the process with a bus error."""
    monkeypatch.setenv("CXX", quick_compiler)
    assert fresh() is not None
    (built,) = (tmp_path / "oneblock").glob("*.so")
    whole = built.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    built.unlink()
    built.write_bytes(
        {"empty": b"", "cut": whole[: len(whole) // 2], "flipped": bytes(flipped), "text": b"x" * 999}[damage]
    )
    assert fresh() is not None and built.read_bytes() == whole
    assert sorted(path.name for path in (tmp_path / "oneblock").iterdir()) == [built.name]


@pytest.mark.parametrize(
    "compiler", ["exit 1", 'echo half > "$last"; exit 1', "kill -9 $$", ":", 'echo no library > "$last"']
)
def test_a_build_that_fails_leaves_nothing_and_no_library(fresh, monkeypatch, tmp_path, compiler):
    monkeypatch.setattr(native, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setenv("CXX", str(script(tmp_path / "cxx", f"for last; do :; done\n{compiler}")))
    assert fresh() is None
    left = [path.name for path in (tmp_path / "oneblock").iterdir()]
    # What a compiler calls a library is kept, sealed: it is tried and refused each time.
    assert len(left) == (1 if compiler.startswith("echo no") else 0), left


def test_no_compiler_no_cache_no_wish(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr(native, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setenv("CXX", str(tmp_path / "missing"))
    assert fresh() is None
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    assert fresh() is None
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert fresh() is None
    monkeypatch.setenv("ONEBLOCK_NO_KERNELS", "1")
    monkeypatch.setattr(native, "_built", lambda compiler: pytest.fail("it was asked not to be built"))
    assert fresh() is None


def test_without_the_kernel_everything_works():
    program = """
        import torch
        from oneblock.nn.causal import causal_attention, has_kernel
        assert not has_kernel()
        q = torch.randn(1, 2, 7, 32).bfloat16().requires_grad_()
        causal_attention(q, q, q, 0.2).sum().backward()
        print(q.grad.isfinite().all().item())
    """
    assert run(program, ONEBLOCK_NO_KERNELS="1") == "True\n"


@pytest.mark.slow
@needs_kernel
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_inside_one_compiled_graph():
    def block(x_BTD, weight):
        q, k, v = (part.unflatten(-1, (H, 32)).transpose(1, 2) for part in (x_BTD @ weight).chunk(3, -1))
        return causal_attention(q, k, v, 0.2).transpose(1, 2).flatten(2)

    torch.manual_seed(0)
    x = torch.randn(B, 33, 40).bfloat16().requires_grad_()
    weight = torch.randn(40, 3 * H * 32).bfloat16().requires_grad_()
    eager = block(x, weight)
    gradients = torch.autograd.grad(eager.square().sum(), (x, weight))
    compiled = torch.compile(block, fullgraph=True)(x, weight)
    assert (compiled - eager).norm() < 0.01 * eager.norm()
    for one, other in zip(torch.autograd.grad(compiled.square().sum(), (x, weight)), gradients, strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


@needs_kernel
def test_pytorchs_own_checks_of_an_operator():
    q, k, v, _ = (x.bfloat16().requires_grad_() for x in drawn(7, 32))
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(causal._forward, (q, k, v, 0.2), test_utils=tests)


@pytest.mark.slow
@needs_kernel
def test_built_with_an_address_checker(tmp_path):
    """The kernels' own arrays: every read and write inside them, by the compiler's own checker."""
    compiler = shutil.which("g++")
    checker = (
        compiler
        and subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    )
    if not checker or not Path(checker).is_file():
        pytest.skip("no address checker here")
    flags = f"{compiler} -fsanitize=address -fno-omit-frame-pointer"
    out = run(FENCED, __file__, CXX=flags, LD_PRELOAD=str(Path(checker).resolve()), XDG_CACHE_HOME=str(tmp_path),
              ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0", OMP_NUM_THREADS="1")  # fmt: skip
    assert out == "inside\n" and list(tmp_path.rglob("*.so"))
