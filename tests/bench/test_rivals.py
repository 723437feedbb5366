"""Which rivals are there, how they are run, and what they cannot express."""

from dataclasses import replace

import pytest

from oneblock.bench import rivals
from oneblock.bench.job import BenchError, without_chance
from oneblock.config import override, presets

PLAIN = without_chance(presets.preset("nano"))
NANO = PLAIN.model


@pytest.mark.parametrize("kind", ["train", "generate"])
@pytest.mark.parametrize("rival", [rivals.NANOGPT, rivals.HF, rivals.X_TRANSFORMERS])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_each_rival_runs_once_as_it_comes_and_at_its_best(rival, kind, device):
    arms = rivals.rival_arms(rival, kind, device)
    assert sum(arm.default for arm in arms) == 1
    assert len({arm.name for arm in arms}) == len(arms) > 1
    assert any(arm.precision != "float32" for arm in arms)


def test_nanogpt_comes_in_float32_on_a_cpu_and_fast_on_a_gpu():
    shipped = {d: next(a for a in rivals.rival_arms(rivals.NANOGPT, "train", d) if a.default) for d in ("cpu", "cuda")}
    assert (shipped["cpu"].precision, shipped["cpu"].compile) == ("float32", False)
    assert (shipped["cuda"].precision, shipped["cuda"].compile) == ("autocast", True)


def test_ours_are_eager_and_compiled():
    assert {arm.compile for arm in rivals.our_arms("train")} == {False, True}
    given_back = [arm for arm in rivals.our_arms("train", allocator=True) if arm.options]
    assert [arm.options for arm in given_back] == [{"keep_memory": False}] * 2


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"has no model\.py; give hf, x-transformers"):
        rivals.resolve(str(tmp_path))
    with pytest.raises(BenchError, match="is not a folder"):
        rivals.resolve("flash-attn")
    (tmp_path / "model.py").write_text("")
    assert rivals.resolve(str(tmp_path)) == (rivals.NANOGPT, str(tmp_path.resolve()))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(rivals.PACKAGES, "hf", "no-such-package-7919")
    with pytest.raises(BenchError, match=r"pip install 'oneblock\[peers\]'"):
        rivals.resolve("hf")


@pytest.mark.parametrize("rival", [rivals.NANOGPT, rivals.HF, rivals.X_TRANSFORMERS])
def test_the_plain_shapes_can_be_expressed(rival):
    rivals.check_expressible(rival, NANO)
    rivals.check_expressible(rival, presets.preset("gpt2").model)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("block.placement=peri", "block.placement=peri"),
        ("block.attention.window=7", "block.attention.window"),
        ("block.attention.qk_norm=rms", "block.attention.qk_norm"),
        ("block.steps=attention+feed_forward", r"block.steps=attention\+feed_forward"),
        ("block.dropout=0.1", "dropout"),
        ("position=alibi", "position=alibi"),
        ("blocks=2", "2 different blocks"),
    ],
)
def test_what_no_rival_has_is_named(setting, named):
    model = override(PLAIN, setting).model
    for rival in (rivals.NANOGPT, rivals.HF, rivals.X_TRANSFORMERS):
        with pytest.raises(BenchError, match=named):
            rivals.check_expressible(rival, model)


def test_grouped_queries_are_beyond_nanogpt_alone():
    model = presets.preset("llama-nano").model
    with pytest.raises(BenchError, match=r"num_kv_heads=2, block\.feed_forward=gated"):
        rivals.check_expressible(rivals.NANOGPT, model)
    rivals.check_expressible(rivals.HF, model)
    rivals.check_expressible(rivals.X_TRANSFORMERS, model)


def test_every_dropout_is_turned_off():
    wet = override(
        presets.preset("nano"),
        *("block.dropout=0.1", "block.attention.dropout=0.1", "block.feed_forward.dropout=0.1"),
        *("embedding_dropout=0.1", "block.attention_only.dropout=0.2", "block.feed_forward_only.dropout=0.3"),
    )
    with pytest.raises(BenchError, match="dropout"):
        rivals.check_expressible(rivals.HF, wet.model)
    dry = without_chance(wet).model
    rivals.check_expressible(rivals.HF, dry)
    assert {dry.blocks[0].only(name).dropout for name in ("attention", "feed_forward")} == {0}


def test_nothing_random_is_left_of_experts():
    for name in ("switch-nano", "gshard-nano"):
        mixture = without_chance(presets.preset(name)).model.blocks[1].feed_forward
        assert mixture.jitter == 0 and not getattr(mixture, "random_second", False)


@pytest.mark.parametrize("kind", ["train", "generate"])
def test_another_preset_is_raced_in_our_own_ways(kind):
    assert rivals.resolve("switch-nano") == ("switch-nano", None)
    rivals.check_expressible("switch-nano", override(PLAIN, "block.placement=peri").model)
    arms, ours = rivals.rival_arms("switch-nano", kind, "cpu"), rivals.our_arms(kind)
    assert [replace(arm, rival=rivals.OURS) for arm in arms] == ours and {arm.rival for arm in arms} == {"switch-nano"}
