"""Hands: a cluster of machines, by Ray. Cells are sent out from here and their results kept here, in the one store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from oneblock.compare import reversal
from oneblock.compare.cell import Cell
from oneblock.compare.hands import Done, Hands, Wait, here
from oneblock.compare.store import Store
from oneblock.config.errors import OneblockError
from oneblock.data.corpus import prepare

LOOK = 0.5
"""Seconds between looks at what the cluster has done."""


@contextmanager
def cluster() -> Iterator[Hands]:
    """Hands that are the cluster of RAY_ADDRESS, or, without one, all cores of this machine.

    Each cell is a task of one core, or of one GPU where its device is one; no more are sent than the cluster has room
    for. A machine that is lost has its tasks run on another. OneblockError where Ray is not installed.
    """
    ray = _ray()
    began = not ray.is_initialized()
    if began:
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            raise OneblockError(f"--engine ray: no cluster could be had ({error}); see RAY_ADDRESS") from error
    try:
        yield lambda cells, store, done, wait: _spread(ray, cells, store, done, wait)
    finally:
        if began:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise OneblockError(
            "--engine ray needs Ray, which is not installed: pip install 'oneblock[ray]'; without it --workers N "
            "spreads the runs over this machine's cores"
        ) from None
    return ray


def _spread(ray: Any, cells: Mapping[str, Cell], store: Store, done: Done, wait: Wait) -> None:
    flying: dict[Any, tuple[str, ExitStack]] = {}
    try:
        while True:
            missing = [key for key in cells if key not in store.results([key])]
            while len(flying) < _room(ray, cells) and (key := store.take(missing)):
                kept = ExitStack()
                kept.enter_context(store.working(key))
                flying[_task(ray, cells[key]).remote(cells[key])] = (key, kept)
            if not flying:
                # Nothing is left, or the rest is in the hands of other processes.
                return here(cells, store, done, wait)
            finished, _ = ray.wait(list(flying), num_returns=1, timeout=LOOK)
            for reference in finished:
                key, kept = flying.pop(reference)
                with kept:
                    result = _result(ray, reference)
                    store.finish(key, result)
                done(key, result, result.get("seconds"))
    finally:
        for reference, (_, kept) in flying.items():
            ray.cancel(reference, force=True)
            kept.close()


def _room(ray: Any, cells: Mapping[str, Cell]) -> int:
    """Tasks that the cluster can run at once, now: machines come and go."""
    on_gpu = any(cell.device.startswith("cuda") for cell in cells.values())
    return max(1, int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1)))


def _task(ray: Any, cell: Cell) -> Any:
    if cell.device.startswith("cuda"):
        return ray.remote(num_cpus=1, num_gpus=1)(elsewhere)
    return ray.remote(num_cpus=1)(elsewhere)


def _result(ray: Any, reference: Any) -> dict[str, Any]:
    try:
        result: dict[str, Any] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OneblockError):
            raise OneblockError(f"on the cluster: {error.cause}") from error
        raise
    return result


def elsewhere(cell: Cell) -> dict[str, Any]:
    """A cell run on whatever machine this is; OneblockError where it has other data than the plan was made for."""
    import torch

    torch.set_num_threads(1)
    recipe = cell.config.recipe
    if cell.trains and not reversal.named(recipe.data):
        found = prepare(recipe.data, recipe.tokenizer).sha256
        if found != cell.data_sha256:
            raise OneblockError(f"recipe.data={recipe.data} is another text on this machine ({found[:12]}…)")
    return cell.run()
