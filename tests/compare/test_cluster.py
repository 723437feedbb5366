"""A cluster as hands: what is sent, kept and said. With a stand-in of Ray's interface; with Ray itself where it is."""

import importlib.util
import sqlite3
import sys
import types
from dataclasses import replace

import pytest

from oneblock.compare import cluster as module
from oneblock.compare.cluster import cluster, elsewhere
from oneblock.compare.engine import compare
from oneblock.compare.plan import plan
from oneblock.compare.store import Store
from oneblock.config.errors import OneblockError

has_ray = importlib.util.find_spec("ray") is not None


@pytest.fixture
def made(experiment, tiny):
    return plan(experiment({"pre": (), "post": ("block.placement=post",)}), replace(tiny, rates=(1.0,)), seeds=3)


class RayTaskError(Exception):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class StandIn(types.ModuleType):
    """Ray's names that are used. Tasks run when they are waited for, the last one sent first."""

    def __init__(self, cpus):
        super().__init__("ray")
        self.cpus, self.up, self.queue, self.most, self.asked, self.cancelled = cpus, False, {}, 0, [], []
        self.exceptions = types.SimpleNamespace(RayTaskError=RayTaskError)
        self.fails = None

    def is_initialized(self):
        return self.up

    def init(self, **given):
        self.up = True

    def shutdown(self):
        self.up = False

    def cluster_resources(self):
        return {"CPU": float(self.cpus), "GPU": 1.0}

    def remote(self, **given):
        self.asked.append(given)

        def wrap(function):
            def send(cell):
                reference = object()
                self.queue[reference] = (function, cell)
                self.most = max(self.most, len(self.queue))
                return reference

            return types.SimpleNamespace(remote=send)

        return wrap

    def wait(self, references, num_returns, timeout):
        assert set(references) == set(self.queue)
        return references[-1:], references[:-1]

    def get(self, reference):
        function, cell = self.queue.pop(reference)
        if self.fails:
            raise self.fails
        return function(cell)

    def cancel(self, reference, force):
        self.cancelled.append(reference)


@pytest.fixture
def ray(monkeypatch):
    stand_in = StandIn(cpus=2)
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    return stand_in


def test_cells_are_sent_out_and_their_results_kept_here(made, tmp_path, ray):
    told, store = [], Store(tmp_path / "out")
    with cluster() as hands:
        assert ray.up
        spread = compare(made, store, tell=told.append, hands=hands)
    assert not ray.up and not ray.queue and ray.most == 2
    assert all(given == {"num_cpus": 1} for given in ray.asked) and len(ray.asked) == 6
    assert sum(words.startswith("seeds ") for words in told) == 6
    assert (tmp_path / "out" / "results.jsonl").read_text().count("\n") == 6
    alone = compare(made, Store(tmp_path / "alone"))
    assert spread.values["val_loss"] == alone.values["val_loss"]


def test_a_cluster_that_was_begun_elsewhere_is_left_up(made, tmp_path, ray):
    ray.up = True
    with cluster():
        pass
    assert ray.up


def test_of_a_gpu_there_is_one_for_each_cell(made, tmp_path, ray, monkeypatch):
    monkeypatch.setattr(
        module, "elsewhere", lambda cell: {"measures": {"val_loss": 1.0}, "diverged": False, "curve": []}
    )
    with cluster() as hands:
        compare(made, Store(tmp_path), device="cuda", hands=hands)
    assert ray.most == 1 and ray.asked[0] == {"num_cpus": 1, "num_gpus": 1}


def test_what_goes_wrong_there_is_said_here_and_gives_the_cells_back(made, tmp_path, ray):
    store = Store(tmp_path)
    ray.fails = RayTaskError(OneblockError("no such text"))
    # What was raised keeps everything alive that it came through, so nothing is given back by chance.
    with pytest.raises(OneblockError, match="on the cluster: no such text") as raised, cluster() as hands:
        compare(made, store, hands=hands)
    assert len(ray.cancelled) == 1 and raised.tb
    lines = sqlite3.connect(store.path).execute("select state from cells").fetchall()
    assert lines == [("open",)] * 6
    ray.fails, ray.queue = None, {}
    with cluster() as hands:
        compare(made, store, hands=hands)


def test_ctrl_c_cancels_what_is_under_way(made, tmp_path, ray):
    ray.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), cluster() as hands:
        compare(made, Store(tmp_path), hands=hands)
    assert len(ray.cancelled) == 1 and not ray.up


def test_another_text_there_is_refused(made):
    from oneblock.compare.cell import Cell

    cell = Cell(config=made.variants[0].config, seed=0, data_sha256="0" * 64)
    with pytest.raises(OneblockError, match="is another text on this machine"):
        elsewhere(cell)


def test_without_ray_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OneblockError, match=r"pip install 'oneblock\[ray\]'.*--workers N"), cluster():
        pass


@pytest.mark.slow
@pytest.mark.skipif(not has_ray, reason="Ray is not installed")
def test_on_a_local_cluster_the_results_are_those_of_one_process(made, tmp_path):
    import ray

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        with cluster() as hands:
            spread = compare(made, Store(tmp_path / "out"), hands=hands)
    finally:
        ray.shutdown()
    assert spread.values["val_loss"] == compare(made, Store(tmp_path / "alone")).values["val_loss"]
