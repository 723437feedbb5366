"""Several processes that train one model together, as `torchrun` starts them; or one alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from oneblock.config.errors import OneblockError

Value = TypeVar("Value")

TIMEOUT = timedelta(minutes=10)
"""So long a process waits for the others; evaluation and compiling are within it."""


PATIENCE = timedelta(seconds=10)
"""So long a process that ends with an error waits for the first one's words."""


class ProcessError(OneblockError):
    """The processes cannot work together, or one of them is gone."""


@dataclass(frozen=True)
class Processes:
    """Which one this is, and how many there are. The first writes and speaks; all compute the same decisions."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """This process's rows of a whole batch: the rows of all, in order, are the batch of one process."""
        rows = len(batch[0])
        if rows % self.world:
            raise ProcessError(
                f"a batch of {rows} cannot be shared by {self.world} processes; take a batch_size that is a "
                f"multiple of {self.world}, or another number of processes"
            )
        each = rows // self.world
        return tuple(tensor[self.rank * each : (self.rank + 1) * each] for tensor in batch)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            with _others():
                dist.all_reduce(tensor)
        return tensor

    def meet(self) -> None:
        """Wait until all are here: what the first has written is then there for the others."""
        if self.world > 1:
            with _others():
                dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process: so that all stop together."""
        return flag if self.world == 1 else int(self.sum(torch.tensor(int(flag), device=self.device))) > 0

    def agree(self, value: Value) -> Value:
        """The first process's value, in all of them; picklable."""
        if self.world == 1:
            return value
        box = [value]
        with _others():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, in their order, in all of them; picklable."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        with _others():
            dist.all_gather_object(found, value)
        return found

    def each_does(self, work: Callable[[], Value]) -> Value:
        """What every process makes for itself, the first before the others; what one cannot make stops all of them.

        So the first may fetch what the others then find.
        """
        made: Value | None = None
        failed: OneblockError | None = None
        for turn in (True, False):
            if self.first is turn:
                try:
                    made = work()
                except OneblockError as error:
                    failed = error
            said = self.gather(str(failed) if failed else None)
            for rank, words in enumerate(said):
                if words:
                    raise failed or ProcessError(f"process {rank} stopped: {words}")
        return made  # type: ignore[return-value]

    def first_does(self, work: Callable[[], Value]) -> Value:
        """What the first process makes, in all of them; what it cannot make stops all of them."""
        made: Value | None = None
        failed: OneblockError | None = None
        if self.first:
            try:
                made = work()
            except OneblockError as error:
                failed = error
        words = self.agree(str(failed) if failed else None)
        if failed is not None:
            raise failed
        if words is not None:
            raise ProcessError(f"the first process stopped: {words}")
        return self.agree(made)  # type: ignore[return-value]


ALONE = Processes()


def started_by_torchrun() -> bool:
    """Whether the environment says that there are others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first_says(words: str) -> bool:
    """Whether the first process ends with these words too, or with some that hold them; in the first itself False.

    The first leaves its words in the store where `torchrun` lets processes meet, and the others wait there a moment
    for them: so it is also told what went wrong before the processes were joined, or after they parted.
    """
    key = f"oneblock/last words/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=PATIENCE)
        if os.environ["RANK"] == "0":
            store.set(key, words)
            return False
        first = store.get(key).decode()
    except (KeyError, RuntimeError):
        # Nobody is there, or the first has nothing to say.
        return False
    return words in first or first in words


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes `torchrun` started, for a `with`: gloo on CPUs, NCCL on GPUs; without torchrun, one alone."""
    if not started_by_torchrun():
        yield Processes()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise ProcessError(f"the processes did not find one another: {_line(error)}; start them by torchrun") from error
    try:
        with _others(is_of_others):
            yield Processes(dist.get_rank(), dist.get_world_size(), device)
    except BaseException:
        # NCCL would wait here for processes that are gone; when this one has ended the others are told.
        if backend == "gloo":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """On a machine of several GPUs each process takes its own."""
    if device.type == "cuda" and started_by_torchrun():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def is_of_others(error: RuntimeError) -> bool:
    """Whether an error, of a forward or backward pass where others end too, says that another process is gone."""
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in _GONE)


_GONE = ("gloo", "nccl", "connection", "peer", "process group", "processgroup", "timed out", "timeout")
"""Words of the messages with which a collective ends."""


@contextmanager
def _others(of_them: Callable[[RuntimeError], bool] = lambda error: True) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not of_them(error):
            raise
        raise ProcessError(
            f"another process is gone or does not answer ({_line(error)}); see what it said. "
            "Go on from the last checkpoint with --resume"
        ) from error


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
