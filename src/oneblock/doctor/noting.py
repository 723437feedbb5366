"""What looks at every function of torch's that a model calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.overrides import TorchFunctionMode


@dataclass
class Noting(TorchFunctionMode):
    """Keeps places while it is entered: each kind says which functions. `names`: of modules, by their id."""

    names: dict[int, str]
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
