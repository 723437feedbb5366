"""Builds and loads the kernels of `causal.cpp`: compiled once on the user's machine, kept in the user's cache.

Where there is no compiler, no bfloat16 dot product or anything else is amiss, there is no library, and PyTorch's own
kernels are used. ONEBLOCK_NO_KERNELS=1 asks for that.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("causal.cpp")
FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fno-finite-math-only"),
    # now: a symbol that this PyTorch lacks is noticed when the library is loaded, not when it is first called.
    *("-fopenmp", "-fPIC", "-shared", "-Wl,-z,now"),
)


class View(ctypes.Structure):
    """A B × H × T × K tensor as the kernels see it: address and strides; K's stride is 1."""

    _fields_ = [(name, ctypes.c_void_p if name == "data" else ctypes.c_int64) for name in ("data", "b", "h", "t")]


class Shape(ctypes.Structure):
    """B, H, T, K."""

    _fields_ = [(name, ctypes.c_int64) for name in "BHTK"]


def view(x_BHTK: Tensor) -> View:
    """The tensor's address and strides."""
    return View(x_BHTK.data_ptr(), *x_BHTK.stride()[:3])


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where this machine cannot make or run them."""
    if os.environ.get("ONEBLOCK_NO_KERNELS") or not _multiplies_bfloat16():
        return None
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None or not SOURCE.is_file():
        return None
    try:
        return _declared(ctypes.CDLL(str(_built(compiler))))
    except (OSError, AttributeError, subprocess.SubprocessError):
        return None


def _multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


def _built(compiler: str) -> Path:
    """The shared library for this source, compiler, PyTorch and processor; made if it is not there yet."""
    root = Path(torch.__file__).parent
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    made_of = "\n".join([SOURCE.read_text(), compiler, torch.__version__, *FLAGS, _processor()])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oneblock"
    built = cache / f"causal-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    if built.exists():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        fresh = Path(folder) / "fresh.so"
        torch_parts = (f"-I{root / 'include'}", str(SOURCE), f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10")
        subprocess.run(
            [compiler, *FLAGS, abi, *torch_parts, "-o", str(fresh)], check=True, capture_output=True, timeout=300
        )
        # In one step: two processes may be building at once.
        fresh.replace(built)
    return built


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
