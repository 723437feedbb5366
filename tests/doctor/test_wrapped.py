"""A model inside something else is examined like the bare one, or refused with a reason."""

import doctor_zoo as zoo
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from oneblock.doctor import examine
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.restore import fingerprint

ONLY = ["C1", "K1", "P1", "B1", "N1", "E1", "E2", "W1", "W4"]


def told(model, only=ONLY, **more):
    report = examine(model, only=only, **more)
    return {each.id: each.status for each in report.checks}, report


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def bare():
    return {fault: told(zoo.ill("Gpt", fault))[0] for fault in ("", "no mask")}


def whole(model):
    """compile() of the module itself: its copies run without."""
    model.compile(backend="eager")
    return model


def parts(model):
    """Each block compiled, the model not."""
    for block in model.h if hasattr(model, "h") else model.blocks:
        block.compile(backend="eager")
    return model


class Shell(nn.Module):
    """A class of one's own around a model, that hands on what it is called with."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, ids, attention_mask=None, past_key_values=None, use_cache=False, labels=None):
        given = {"past_key_values": past_key_values, "use_cache": use_cache, "labels": labels}
        return self.inner(ids, attention_mask=attention_mask, **given)


def hooked(model):
    """Hooks of one's own that look, one that changes the answer, and a state dict hook."""
    model.seen = []
    for each in list(model.modules()):
        each.register_forward_pre_hook(lambda module, args: None)
    model.register_forward_hook(lambda module, args, out: model.seen.append(1))
    model.register_full_backward_hook(lambda module, grad_in, grad_out: None)
    return model


WRAPPERS = {
    "compiled": (lambda m: torch.compile(m, backend="eager"), "taken out of OptimizedModule"),
    "compile()": (whole, "compile() left out"),
    "blocks compiled": (parts, "compile() left out"),
    "data parallel": (nn.DataParallel, "taken out of DataParallel"),
    "bfloat16": (lambda m: m.bfloat16(), ""),
    "float16": (lambda m: m.half(), ""),
    "hooks": (hooked, ""),
    "shell": (Shell, ""),
}


@pytest.mark.parametrize("fault", ["", "no mask"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_examined_like_the_bare_one(name, fault, bare):
    wrap, note = WRAPPERS[name]
    model = wrap(zoo.ill("Gpt", fault))
    before = fingerprint(model)
    found, report = told(model, expect=["causal"] if name == "shell" else [])
    assert found == bare[fault], report
    assert note in report.called and ("(" in report.called.removeprefix("model(")) == bool(note)
    assert fingerprint(model) == before


@pytest.mark.parametrize("fault", ["", "no mask"])
def test_distributed_data_parallel(fault, bare, group):
    wrapped = DistributedDataParallel(zoo.ill("Gpt", fault))
    for model in (wrapped, torch.compile(wrapped, backend="eager")):
        found, report = told(model)
        assert found == bare[fault] and "DistributedDataParallel" in report.called


def test_shards_are_refused(group):
    model = zoo.ill("Gpt", "")
    fully_shard(model)
    with pytest.raises(DoctorError, match=r"sharded DTensor \(fully_shard.*gather a full state dict"):
        examine(model, only=["C1"])
    with pytest.raises(DoctorError, match="meta device"), torch.device("meta"):
        examine(zoo.ill("Gpt", ""), only=["C1"])


def test_half_precision_models_are_examined_wide():
    """What 16 bits round is no fault of the code: a float64 copy is asked; but a float16 model's norms are told."""

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.weight, self.head = nn.Embedding(31, 8), nn.Parameter(torch.ones(8)), nn.Linear(8, 31)
            self.norm = SquaresInHalf()

        def forward(self, ids):
            return self.head(self.norm(self.table(ids)))

    assert told(Norm(), ["D2"])[0] == {"D2": "INFO"} == told(Norm().bfloat16(), ["D2"])[0]
    found, report = told(Norm().half(), ["D2"])
    assert found == {"D2": "WARN"} and "squares overflow" in report.checks[0].message


class SquaresInHalf(nn.Module):
    """RMSNorm in whatever format it is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


@pytest.mark.peers
@pytest.mark.parametrize("broken", [False, True])
def test_peft(broken):
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=37, n_embd=24, n_layer=2, n_head=4, n_positions=96)
    model = transformers.GPT2LMHeadModel(config)
    only = ["C1", "K1", "B1", "W1", "W2", "E1", "E2", "L1"]
    plain, _ = told(model, only)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=["c_attn"], task_type="CAUSAL_LM"))
    if broken:
        for block in wrapped.base_model.model.transformer.h:
            block.attn.c_attn.lora_A["default"].register_forward_hook(lambda m, a, out: out.flip(1))
    before = fingerprint(wrapped)
    found, report = told(wrapped, only)
    assert report.called.endswith("(taken out of PeftModelForCausalLM)") and fingerprint(wrapped) == before
    if broken:
        assert found["C1"] == "FAIL" and "lora_A" in next(c.where for c in report.checks if c.id == "C1")
    else:
        assert found == plain and report.healthy, report
