"""Several processes at one comparison: the same results, whoever dies."""

import multiprocessing
import os
import signal
from dataclasses import replace

import pytest
import torch

from oneblock.compare.engine import compare
from oneblock.compare.plan import plan
from oneblock.compare.processes import workers
from oneblock.compare.store import Store
from oneblock.config.errors import OneblockError


@pytest.fixture
def made(experiment, tiny):
    variants = {"pre": (), "post": ("block.placement=post",), "peri": ("block.placement=peri",)}
    return plan(experiment(variants), replace(tiny, rates=(1.0,)), seeds=3)


def children():
    return multiprocessing.active_children()


def test_workers_do_what_one_does_and_one_that_is_killed_is_made_up_for(made, tmp_path):
    store, told, killed = Store(tmp_path / "several"), [], []

    def tell(words):
        told.append(words)
        if not killed and children():
            victim = children()[0]
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    with workers(2, tmp_path / "several") as hands:
        several = compare(made, store, tell=tell, hands=hands)
    assert killed and not children()
    store.close()
    assert [words.split()[1] for words in told if words.startswith("seeds ")][-1] == "9/9"
    alone = compare(made, Store(tmp_path / "alone"))
    assert several.values["val_loss"] == alone.values["val_loss"] and several.verdict == alone.verdict


def test_where_all_workers_die_the_rest_is_done_here(made, tmp_path, monkeypatch):
    monkeypatch.setattr("multiprocessing.context.ForkServerProcess._Popen", staticmethod(_dies))
    store = Store(tmp_path)
    with workers(2, tmp_path) as hands:
        outcome = compare(made, store, hands=hands)
    assert len(outcome.runs["pre"]) == 3


class _Dead:
    pid, sentinel, returncode = 2**22 + 7, -1, 1

    def poll(self, flag=0):
        return 1

    def wait(self, timeout=None):
        return 1

    def terminate(self):
        pass

    kill = close = terminate


def _dies(process):
    return _Dead()


def test_what_no_worker_can_run_is_said_here(made, tmp_path):
    gone = replace(made.variants[0].config, recipe=replace(made.variants[0].config.recipe, data="gone.txt"))
    broken = replace(
        made, variants=tuple(replace(v, config=replace(gone, model=v.config.model)) for v in made.variants)
    )
    with pytest.raises(OneblockError, match="gone.txt"), workers(2, tmp_path) as hands:
        compare(broken, Store(tmp_path), hands=hands)
    assert not children()


def test_nothing_is_started_where_nothing_is_left(made, tmp_path, monkeypatch):
    store = Store(tmp_path)
    first = compare(made, store)
    monkeypatch.setattr("oneblock.compare.processes._context", lambda: pytest.fail("a process was made"))
    with workers(2, tmp_path) as hands:
        assert compare(made, store, hands=hands).values == first.values


def test_threads_are_shared_out(monkeypatch, tmp_path):
    made = []

    class Context:
        def Process(self, target, args, daemon):
            made.append(args[2])
            raise KeyboardInterrupt

    monkeypatch.setattr("oneblock.compare.processes._context", Context)
    monkeypatch.setattr("oneblock.compare.processes.usable_cores", lambda: 7)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.raises(KeyboardInterrupt), workers(3, tmp_path) as hands:
        hands({"key": None}, Store(tmp_path), None, None)
    assert made == [2]
