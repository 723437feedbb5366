"""Muon: momentum whose matrices are orthogonalised before the step, all of one shape in one product."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.sharding import full, joined, local, rows

_ADJUST_LR = ("original", "match_rms_adamw")
COEFFICIENTS = (3.4445, -4.775, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by Newton-Schulz, for the 2-D matrices inside the blocks.

    B ← B + (1 - μ)(g - B);  u = g + μ(B - g) with `nesterov`, else B;  W ← W(1 - lr·wd) - lr·s·NS(u)
    s = √max(1, rows/cols) ("original") or 0.2·√max(rows, cols) ("match_rms_adamw": AdamW's lr and wd fit).

    `splits` gives for a fused matrix the rows of its parts, each then orthogonalised by itself: a fused qkv
    otherwise counts as one matrix. `ns_dtype` None: bfloat16 where the device multiplies it, else float32.
    Raises OneblockError for parameters that are not 2-D. Embeddings, heads and norms belong to AdamW. Of a sharded
    matrix each process keeps its rows of W and B; u is gathered, for NS needs all of it.
    Jordan et al. 2024; Liu et al. 2025 (arXiv 2502.16982) for the second scale.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        eps: float = 1e-7,
        adjust_lr: str = "original",
        splits: Mapping[Tensor, Sequence[int]] | None = None,
        ns_dtype: torch.dtype | None = None,
    ) -> None:
        for path, value in {"lr": lr, "weight_decay": weight_decay, "eps": eps}.items():
            if not value >= 0:
                raise ConfigError(path, value, "must be 0 or more")
        if not 0 <= momentum < 1:
            raise ConfigError("momentum", momentum, "must be at least 0 and less than 1")
        if ns_steps < 1:
            raise ConfigError("ns_steps", ns_steps, "must be at least 1")
        if adjust_lr not in _ADJUST_LR:
            raise ConfigError("adjust_lr", adjust_lr, "is no known scale", _ADJUST_LR)
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "eps": eps,
            "adjust_lr": adjust_lr,
        }
        super().__init__(params, defaults)
        self.splits = {parameter: list(rows) for parameter, rows in (splits or {}).items()}
        self.ns_dtype = ns_dtype
        self._check_parameters()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with the gradients that are there; parameters without one stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._step_group(group, parameters)
        return loss

    def _step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        grads = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
        buffers = [local(self._momentum_buffer(parameter)) for parameter in parameters]
        torch._foreach_lerp_(buffers, grads, 1.0 - group["momentum"])
        updates: Sequence[Tensor] = buffers
        if group["nesterov"]:
            updates = torch._foreach_lerp(grads, buffers, group["momentum"])
        torch._foreach_mul_([local(parameter) for parameter in parameters], 1.0 - group["lr"] * group["weight_decay"])

        # Matrices of one shape, lying or standing, are stacked: few large products instead of many small.
        stacks: dict[tuple[Any, ...], list[tuple[Tensor, int, Tensor]]] = defaultdict(list)
        for parameter, update in zip(parameters, updates, strict=True):
            split, start = self.splits.get(parameter, [parameter.shape[0]]), 0
            for part in torch.split(full(joined(update, parameter)), split):
                stacks[(*sorted(part.shape), part.device, part.dtype)].append((parameter, start, part))
                start += part.shape[0]
        for parts in stacks.values():
            stack = torch.stack([_lying(part) for _, _, part in parts])
            dtype = self.ns_dtype or newton_schulz_dtype(stack.device)
            orthogonal = newton_schulz(stack, group["ns_steps"], group["eps"], dtype)
            for (parameter, start, part), lying in zip(parts, orthogonal.unbind(), strict=True):
                rate = group["lr"] * _scale(group["adjust_lr"], *part.shape)
                change = lying.mT if part.shape[0] > part.shape[1] else lying
                first, last = (min(max(row - start, 0), len(part)) for row in rows(parameter))
                begin = start + first - rows(parameter)[0]
                local(parameter)[begin : begin + last - first].add_(change[first:last], alpha=-rate)

    def _momentum_buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        buffer: Tensor = state["momentum_buffer"]
        return buffer

    def _check_parameters(self) -> None:
        mine = set()
        for group in self.param_groups:
            names = group.get("param_names") or ["a parameter"] * len(group["params"])
            for name, parameter in zip(names, group["params"], strict=True):
                mine.add(parameter)
                if parameter.ndim != 2 or not parameter.is_floating_point():
                    raise OneblockError(
                        f"Muon takes real 2-D matrices, but {name} is {parameter.dtype} of shape "
                        f"{tuple(parameter.shape)}; give it to AdamW"
                    )
        for parameter, split in self.splits.items():
            if parameter not in mine:
                raise OneblockError("splits has a matrix that is not among the parameters; take it out")
            if sum(split) != parameter.shape[0] or min(split) < 1:
                raise OneblockError(
                    f"splits {split} must be positive and add up to the matrix's {parameter.shape[0]} rows"
                )


def newton_schulz(stack_NRC: Tensor, steps: int = 5, eps: float = 1e-7, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring the singular values of each matrix near 1 and keep its singular vectors.

    X ← U / max(‖U‖_F, eps);  `steps` times:  A = X·Xᵀ,  X ← a·X + (b·A + c·A²)·X,  (a, b, c) = COEFFICIENTS

    A stack of N matrices of R ≤ C rows and columns, to the same shape in `dtype`. The singular values land
    in about [0.7, 1.2], not at 1: these coefficients are chosen for speed. Jordan et al. 2024.
    """
    a, b, c = COEFFICIENTS
    wide = stack_NRC if stack_NRC.dtype == torch.float64 else stack_NRC.float()
    norm_N: Tensor = torch.linalg.vector_norm(wide, dim=(-2, -1), keepdim=True).clamp(min=eps)
    x_NRC = (wide / norm_N).to(dtype)
    for _ in range(steps):
        gram_NRR = x_NRC @ x_NRC.mT
        gram_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, gram_NRR, x_NRC, beta=a)
    return x_NRC


def newton_schulz_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device has instructions for its products, else float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


def _lying(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _scale(adjust_lr: str, rows: int, cols: int) -> float:
    return math.sqrt(max(1.0, rows / cols)) if adjust_lr == "original" else 0.2 * math.sqrt(max(rows, cols))
