"""Builds and loads our C++ kernels: compiled once on the user's machine, kept in the user's cache.

Where there is no compiler, no bfloat16 dot product (for `causal.cpp`) or anything else is amiss, there is no library,
and PyTorch's own kernels are used. ONEBLOCK_NO_KERNELS=1 asks for that. Each process first tries a library on a small
problem (`trial.py`, `one_token.py`): what it calls is PyTorch's own, and another PyTorch may have changed it.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from oneblock.nn.trial import Shape, View, error

HERE = Path(__file__).parent
SOURCE = HERE / "causal.cpp"
FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512"),
    # What lets loops be vectorised. Not -ffast-math: linking with it flushes tiny numbers to zero in the whole process.
    *("-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros", "-freciprocal-math"),
    # now: a symbol that this PyTorch lacks is noticed when the library is loaded, not when it is first called.
    *("-fopenmp", "-fPIC", "-shared", "-Wl,-z,now"),
)
TOLERANCE = 0.02
"""Largest error in the trial, relative to the largest number of each answer; bfloat16 rounds to 0.004."""


def view(x_BHTK: Tensor) -> View:
    """The tensor's address and strides."""
    return View(x_BHTK.data_ptr(), *x_BHTK.stride()[:3])


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels of `causal.cpp`, or None where this machine cannot make or run them."""
    loaded = load(SOURCE) if _multiplies_bfloat16() else None
    if loaded is None:
        return None
    try:
        declared = _declared(loaded)
    except AttributeError:
        return None
    return declared if error(declared) < TOLERANCE else None


def load(source: Path, *, everywhere: bool = False) -> ctypes.CDLL | None:
    """This source, compiled and loaded; None without a compiler, where it fails, or with ONEBLOCK_NO_KERNELS=1.

    everywhere: what is compiled and loaded later may call its functions by name
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if os.environ.get("ONEBLOCK_NO_KERNELS") or compiler is None or not source.is_file():
        return None
    try:
        return ctypes.CDLL(str(_built(compiler, source)), ctypes.RTLD_GLOBAL if everywhere else ctypes.RTLD_LOCAL)
    except (OSError, AttributeError, RuntimeError, subprocess.SubprocessError):
        return None


def _multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


def _built(compiler: str, source: Path = SOURCE) -> Path:
    """The shared library for this source, compiler, PyTorch and processor; made if it is not there yet."""
    root = Path(torch.__file__).parent
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    texts = [path.read_text() for path in (source, *sorted(source.parent.glob("*.h")))]
    made_of = "\n".join([*texts, compiler, torch.__version__, *FLAGS, _processor()])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oneblock"
    built = cache / f"{source.stem}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    if _whole(built):
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        fresh = Path(folder) / "fresh.so"
        torch_parts = (f"-I{root / 'include'}", str(source), f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10")
        subprocess.run(
            [*shlex.split(compiler), *FLAGS, abi, *torch_parts, "-o", str(fresh)],
            check=True,
            capture_output=True,
            timeout=300,
        )
        # Sealed: a file cut off by a full disk would end the process when it is loaded, not raise.
        with fresh.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.write(digest)
        # In one step: two processes may be building at once.
        fresh.replace(built)
    return built


def _whole(built: Path) -> bool:
    content = built.read_bytes() if built.is_file() else b""
    return len(content) > 32 and hashlib.sha256(content[:-32]).digest() == content[-32:]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    loaded.attention_forward.argtypes = [Shape, ctypes.c_float, *[View] * 4, ctypes.c_void_p]
    loaded.attention_backward.argtypes = [Shape, ctypes.c_float, *[View] * 5, ctypes.c_void_p, *[View] * 3]
    loaded.attention_forward.restype = loaded.attention_backward.restype = None
    return loaded
