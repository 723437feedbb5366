"""Decoders with experts: what the sweep of every configuration does not ask, and other people's models."""

import pytest
import torch
import torch.nn.functional as F

from oneblock import build, override, presets
from oneblock.config import Attention, Block, Decoder, Dense, Gated, GShard, RMSNorm, Switch, TopK
from oneblock.nn.experts.balance import balance
from oneblock.nn.record import Record

V, D, T, B = 11, 24, 10, 3
EXPERT = Dense(activation="relu", hidden=9)
MIXTURES = {
    "switch": Switch(num_experts=5, expert=EXPERT),
    "switch einsum": Switch(num_experts=5, expert=EXPERT, dispatch="einsum", group_size=5),
    "gshard": GShard(num_experts=5, expert=EXPERT),
    "top k": TopK(num_experts=5, expert=Gated(hidden=7), k=3, shared_experts=1, bias_rate=0.01),
}


def decoder(mixture, **changes):
    dense = Block(attention=Attention(num_heads=3), norm=RMSNorm())
    experts = Block(attention=Attention(num_heads=3), norm=RMSNorm(), feed_forward=mixture)
    settings = {"vocab_size": V, "context": T, "width": D, "num_layers": 4, "blocks": (dense, experts)}
    model = build(Decoder(**settings | changes), seed=0).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def tokens(*shape, seed=0):
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MIXTURES)
def test_in_training_the_future_is_not_seen_whatever_is_dropped(name):
    model, ids, record = decoder(MIXTURES[name]), tokens(B, T), Record()
    later = torch.cat([ids[:, :6], (ids[:, 6:] + 1 + tokens(B, 4, seed=1) % (V - 1)) % V], 1)
    torch.manual_seed(1)
    one = model(ids, record=record)
    torch.manual_seed(1)
    other = model(later)
    assert (name == "top k") == all(layer.dropped == 0 for layer in record.layers)
    torch.testing.assert_close(one[:, :6], other[:, :6], rtol=0, atol=1e-12)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", MIXTURES)
def test_the_tasks_loss_alone_teaches_every_router(name):
    model, ids = decoder(MIXTURES[name]), tokens(B, T)
    F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    grads = [module.router.weight.grad for module in model.modules() if hasattr(module, "router")]
    assert len(grads) == 2 and all(grad.abs().max() > 1e-5 for grad in grads)


@pytest.mark.parametrize("name", MIXTURES)
def test_a_record_has_every_mixture_in_order_and_changes_nothing(name):
    model, ids, record = decoder(MIXTURES[name]).eval(), tokens(B, T), Record()
    with torch.no_grad():
        assert torch.equal(model(ids, record=record), model(ids))
    assert len(record.layers) == 2
    seen = []
    for module in model.modules():
        if hasattr(module, "router"):
            module.router.register_forward_hook(lambda m, i, logits: seen.append(logits.softmax(-1)))
    with torch.no_grad():
        model(ids)
    for told, p in zip(record.layers, seen, strict=True):
        torch.testing.assert_close(told.entropy, torch.special.entr(p).sum(-1).mean())
        assert told.load.sum().item() == pytest.approx(1) and told.dropped == 0
    assert record.loss().item() == pytest.approx(sum(float(told.loss) for told in record.layers))


def test_a_model_without_experts_has_nothing_to_tell():
    model, record = build(presets.nano(), seed=0), Record()
    model(torch.zeros(1, 4, dtype=torch.long), record=record)
    assert record.layers == [] and record.loss() == 0
    balance(model, record)


@torch.no_grad()
def test_with_a_capacity_in_evaluation_rows_of_one_group_are_still_apart():
    """Dropping then depends on the row alone, where a row is a group; it depends on the batch where that is one."""
    for group_size, apart in ((T, True), (None, False)):
        option = Switch(num_experts=5, expert=EXPERT, eval_capacity_factor=0.6, group_size=group_size)
        model, ids = decoder(option).eval(), tokens(B, T)
        alone = torch.cat([model(ids[b : b + 1]) for b in range(B)])
        assert torch.allclose(model(ids), alone) == apart


def test_autocast_trains():
    model = build(override(presets.switch_nano(), "width=48", "num_layers=2"), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.randint(0, 65, (2, 9))).float().logsumexp(-1).mean()
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters())


def test_dense_and_experts_of_one_are_the_same_model():
    """One expert, probability 1: the dense feed-forward with that expert's weights."""
    mixture, dense = decoder(Switch(num_experts=1, expert=EXPERT)).eval(), decoder(EXPERT).eval()
    weights = {name.replace(".experts", ""): value for name, value in mixture.state_dict().items()}
    weights = {name: value.squeeze(0) if value.dim() == 3 else value for name, value in weights.items()}
    dense.load_state_dict({name: value for name, value in weights.items() if "router" not in name})
    torch.testing.assert_close(mixture(tokens(B, T)), dense(tokens(B, T)))


def mixtral(transformers, **changes):
    config = transformers.MixtralConfig(
        vocab_size=V, hidden_size=D, intermediate_size=14, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, num_local_experts=5, num_experts_per_tok=2,
        rms_norm_eps=1e-5, tie_word_embeddings=False, attn_implementation="eager", **changes,
    )  # fmt: skip
    config._experts_implementation = "eager"
    torch.manual_seed(0)
    theirs = transformers.MixtralForCausalLM(config).double().eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return theirs


@pytest.mark.peers
@torch.no_grad()
def test_mixtral_is_hugging_faces():
    transformers = pytest.importorskip("transformers")
    theirs = mixtral(transformers)
    block = Block(
        attention=Attention(num_heads=4, num_kv_heads=2),
        feed_forward=TopK(num_experts=5, k=2, expert=Gated(hidden=14)),
        norm=RMSNorm(eps=1e-5),
    )
    theta = theirs.config.rope_parameters["rope_theta"]
    ours = build(
        override(
            Decoder(vocab_size=V, context=32, width=D, num_layers=2, blocks=(block,), tied=False),
            f"position.theta={theta}",
        )
    )
    ours = ours.double().eval()
    state = {
        "embedding.weight": theirs.model.embed_tokens.weight,
        "norm.weight": theirs.model.norm.weight,
        "head.weight": theirs.lm_head.weight,
    }
    for layer, theirs_layer in enumerate(theirs.model.layers):
        attention, mlp, at = theirs_layer.self_attn, theirs_layer.mlp, f"blocks.{layer}"
        gate, up = mlp.experts.gate_up_proj.chunk(2, dim=1)
        state |= {
            f"{at}.attention.norm_in.weight": theirs_layer.input_layernorm.weight,
            f"{at}.feed_forward.norm_in.weight": theirs_layer.post_attention_layernorm.weight,
            f"{at}.attention.qkv.weight": torch.cat(
                [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
            ),
            f"{at}.attention.output.weight": attention.o_proj.weight,
            f"{at}.feed_forward.router.weight": mlp.gate.weight,
            f"{at}.feed_forward.experts.gate.weight": gate,
            f"{at}.feed_forward.experts.up.weight": up,
            f"{at}.feed_forward.experts.down.weight": mlp.experts.down_proj,
        }
    ours.load_state_dict(state)
    ids = tokens(B, T)
    # Their router's softmax is float32 whatever the model is in; ours is float64 here.
    torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=1e-4, atol=1e-6)


@pytest.mark.peers
def test_losses_are_hugging_faces_where_these_are_per_layer():
    pytest.importorskip("transformers")
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func
    from transformers.models.switch_transformers.modeling_switch_transformers import (
        load_balancing_loss_func as of_switch,
    )
    from transformers.models.switch_transformers.modeling_switch_transformers import router_z_loss_func

    from oneblock.nn.experts.losses import switch_loss, top_k_loss, z_loss
    from oneblock.nn.experts.routing import best

    logits = torch.randn(2, 17, 5)
    p = logits.softmax(-1)
    for k in (1, 2, 3):
        pooled = load_balancing_loss_func((logits.flatten(0, 1),), num_experts=5, top_k=k)
        together = p.flatten(0, 1).unsqueeze(0)
        torch.testing.assert_close(top_k_loss(together, best(together, k)), pooled)
    torch.testing.assert_close(switch_loss(p, best(p, 1)), of_switch(p, best(p, 1).squeeze(-1)))
    torch.testing.assert_close(z_loss(logits), router_z_loss_func(logits))
