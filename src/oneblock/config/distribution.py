"""Where the weights are when several processes train one model."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part, choice


@dataclass(frozen=True, kw_only=True)
class Distribution(Part):
    """Who holds what, of several processes that `torchrun` started; one process alone holds everything.

    parameters: replicated: all of them in every process, gradients added up (DistributedDataParallel); sharded: each
                process some rows of each, with their gradients and moments, gathered block by block (FSDP2)
    experts:    replicated: as the other parameters; sharded: each process some experts whole, and tokens travel to them
    """

    parameters: str = choice("replicated", "replicated", "sharded")
    experts: str = choice("replicated", "replicated", "sharded")
