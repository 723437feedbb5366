"""Every exercise: each wrong variant dies by a check meant for it, each right one passes, the stub has the names."""

import ast
import dataclasses

import pytest

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import NAMES, exercise_named, text_of
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISES = {name: exercise_named(name) for name in NAMES}
ARGUMENTS = {
    "lists": {"softmax": "x", "attention": "q k v", "layer_norm": "x eps", "residual": "x f"},
    "softmax": {"softmax": "x dim"},
    "attention": {"attention": "q k v mask"},
    "causal_mask": {"causal_mask": "num_queries num_keys"},
    "multi_head": {
        "MultiHeadAttention.__init__": "width num_heads num_kv_heads",
        "MultiHeadAttention.forward": "x mask",
    },
    "norms": {"layer_norm": "x weight bias eps", "rms_norm": "x weight eps"},
    "block": {
        "FeedForward.__init__": "width hidden",
        "FeedForward.forward": "x",
        "Block.__init__": "width num_heads hidden",
        "Block.forward": "x",
    },
    "loss": {"next_token_loss": "logits tokens pad"},
    "tiny_gpt": {
        "TinyGPT.__init__": "vocab_size width num_heads num_layers context",
        "TinyGPT.forward": "tokens",
    },
    "fit": {"fit": "model batches steps"},
    "sample": {"sample": "logits temperature top_k top_p generator"},
    "cache": {"attend_with_cache": "attention x cache position"},
    "llama": {
        "rope": "x positions base style",
        "SwiGLU.__init__": "width hidden",
        "SwiGLU.forward": "x",
        "alibi": "num_heads num_queries num_keys",
        "MultiHeadAttention.__init__": "width num_heads num_kv_heads",
        "MultiHeadAttention.forward": "x mask",
    },
    "experts": {
        "route": "logits k capacity",
        "MixtureOfExperts.__init__": "width hidden num_experts k",
        "MixtureOfExperts.forward": "x",
        "load_balancing_loss": "probabilities chosen",
    },
    "cross_attention": {
        "CrossAttention.__init__": "width num_heads",
        "CrossAttention.forward": "x memory memory_mask",
        "EncoderDecoder.__init__": "source_vocab target_vocab width num_heads num_layers context",
        "EncoderDecoder.encode": "source source_mask",
        "EncoderDecoder.decode": "target memory memory_mask",
        "EncoderDecoder.forward": "source target source_mask",
    },
    "dit": {
        "patchify": "images patch",
        "unpatchify": "tokens patch height width",
        "modulate": "x shift scale",
        "DiTBlock.__init__": "width num_heads",
        "DiTBlock.forward": "x c",
    },
    "hunt": {"test": "implementation"},
}
"""What others rely on, in this order."""
QUICKLY_NAMED = ("multi_head", "norms", "block", "loss")
"""Whose wrong variants are named here too; to name those of the others takes minutes."""


def each(kind, names=NAMES):
    """Every variant of that kind, with the exercise it belongs to."""
    return [
        pytest.param(EXERCISES[name], variant, id=f"{name}-{variant.name}")
        for name in names
        for variant in getattr(EXERCISES[name], kind)
    ]


def up_to_its_death(exercise, wrong):
    """The exercise with the checks before, and those that the variant is to fail: what follows changes nothing."""
    ids = [check.id for check in exercise.checks]
    if not set(wrong.dies) <= set(ids):  # one that is asked in all of them
        return exercise
    return dataclasses.replace(exercise, checks=exercise.checks[: max(map(ids.index, wrong.dies)) + 1])


@pytest.mark.parametrize(("exercise", "wrong"), each("wrong", [name for name in NAMES if name not in QUICKLY_NAMED]))
def test_a_wrong_one_dies_by_a_check_meant_for_it(exercise, wrong):
    outcome = judge(up_to_its_death(exercise, wrong), Desk(exercise.make(**wrong.switches)).answer, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies


def named(exercise, wrong):
    """Dead by a check meant for it, and told by its name."""
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize(("exercise", "wrong"), each("wrong", QUICKLY_NAMED))
def test_a_wrong_one_dies_and_is_named(exercise, wrong):
    named(exercise, wrong)


@pytest.mark.slow
@pytest.mark.parametrize(("exercise", "wrong"), each("wrong", [name for name in NAMES if name not in QUICKLY_NAMED]))
def test_one_of_the_others_is_named(exercise, wrong):
    named(exercise, wrong)


@pytest.mark.parametrize(("exercise", "right"), each("right"))
def test_a_right_one_passes(exercise, right):
    outcome, _ = here(exercise, right.switches, seed=0)
    assert outcome.passed, outcome.root


@pytest.mark.parametrize("name", NAMES)
def test_the_twin_and_the_reference_pass(name):
    written: dict = {}
    exec(text_of(name, "reference"), written)
    for made, seed in ((EXERCISES[name].make(), 0), (written, 1)):
        outcome = judge(EXERCISES[name], Desk(made).answer, seed=seed)
        assert outcome.passed, outcome.root


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_has_the_names_and_their_arguments(name):
    found = {}
    for node in ast.parse(text_of(name, "stub")).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = " ".join(argument.arg for argument in node.args.args)
        elif isinstance(node, ast.ClassDef):
            methods = (entry for entry in node.body if isinstance(entry, ast.FunctionDef))
            found |= {f"{node.name}.{m.name}": " ".join(a.arg for a in m.args.args[1:]) for m in methods}
    assert found == ARGUMENTS[name]
