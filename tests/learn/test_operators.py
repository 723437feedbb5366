"""The watch beneath Python: what switches off the one above is seen, and what anybody may use is not."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from toy_exercise import make_exercise

from oneblock.learn.child.desk import Desk
from oneblock.learn.child.operators import Operators
from oneblock.learn.grading import check
from oneblock.learn.judge import judge

off = getattr(torch._C, "Disable" + "TorchFunction")
WATCHED = ("softmax", "_softmax", "scaled_dot_product_attention")


with warnings.catch_warnings():
    # Newer torch says that there are better ways.
    warnings.simplefilter("ignore")
    scripted = torch.jit.trace(lambda x: x.softmax(-1), torch.ones(1, 2, 2))


def unwatched(x):
    with off():
        return x.softmax(-1)


def attends(x):
    with off():
        return F.scaled_dot_product_attention(x, x, x)


def by_another_name(x):
    return getattr(torch.special, "soft" + "max")(x, -1)


@pytest.mark.parametrize("call", [scripted, unwatched, attends, by_another_name])
def test_what_runs_beneath_is_seen(call):
    desk = Desk({"f": call}, folder=__file__, watched=WATCHED)
    order = {"do": "call", "target": "f", "method": "", "args": (torch.ones(1, 2, 2),), "kwargs": {}}
    assert "shortcuts" not in desk.answer(order)["after"]
    assert desk.answer(order | {"below": True})["after"]["shortcuts"][0]["name"].startswith("torch.ops.aten.")


def test_others_are_left_alone():
    with Operators(WATCHED) as seen:
        (torch.ones(2, 2, requires_grad=True).exp() @ torch.ones(2, 2)).logsumexp(-1).sum().backward()
    assert seen.seen == [] and not seen.disturbed


def test_a_right_answer_by_a_shortcut_out_of_sight_fails():
    def line(x):
        with off():
            return 2 * x + 1 + 0 * x.softmax(-1)

    desk = Desk({"line": line}, folder=__file__, watched=WATCHED)
    outcome = judge(make_exercise(), desk.answer, seed=5)
    assert outcome.root.id == "own_work" and "softmax" in outcome.root.message


def test_who_touches_the_profiler_is_told():
    def line(x):
        if torch._C._autograd._profiler_enabled():
            torch._C._autograd._disable_profiler_legacy()
        return 2 * x + 1

    desk = Desk({"line": line}, folder=__file__, watched=WATCHED)
    outcome = judge(make_exercise(), desk.answer, seed=5)
    assert outcome.root.id == "world" and "profiler" in outcome.root.message
    torch._C._autograd._enable_profiler_legacy(torch.autograd.profiler.ProfilerConfig(
        torch.autograd.profiler.ProfilerState.CPU, False, False, False, False, False,
        torch.autograd.profiler._ExperimentalConfig(),
    ))  # fmt: skip
    with Operators(WATCHED) as seen:
        pass
    torch._C._autograd._disable_profiler_legacy()
    assert seen.disturbed


MULTI_HEAD = """
import torch
from torch import nn
off = getattr(torch._C, "Disable" + "TorchFunction")
whole = getattr(nn.functional, "multi_head" + "_attention_forward")


class MultiHeadAttention(nn.Module):
    def __init__(self, width, num_heads, num_kv_heads=None):
        super().__init__()
        self.num_heads = self.num_kv_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x, mask=None):
        x = x.transpose(0, 1)
        with off():
            got = whole(
                x, x, x, x.shape[-1], self.num_heads, self.qkv.weight, None, None, None, False, 0.0,
                self.output.weight, None, training=False,
            )
        return got[0].transpose(0, 1)
"""


def test_torchs_multi_head_attention_is_seen_in_a_process_with_its_line(tmp_path):
    (tmp_path / "multi_head.py").write_text(MULTI_HEAD)
    grade = check("multi_head", tmp_path / "multi_head.py", seed=0)
    assert grade.root == "own_work" and grade.line == 18
