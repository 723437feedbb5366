import torch

from oneblock import build, override, presets
from oneblock.nn.record import Record, Routed


def told(loss, experts):
    return Routed(
        torch.tensor(loss), torch.full((experts,), 1 / experts), torch.tensor(0.25), torch.tensor(float(experts))
    )


def test_the_loss_is_the_sum_and_statistics_are_by_layer():
    record = Record()
    assert record.loss().item() == 0 and record.loss().shape == () and record.statistics() == {}
    record.layers += [told(0.5, 3), told(0.25, 7)]
    assert record.loss().item() == 0.75
    found = record.statistics()
    assert list(found) == ["0.load", "0.dropped", "0.entropy", "1.load", "1.dropped", "1.entropy"]
    assert found["1.load"].shape == (7,) and found["1.entropy"].item() == 7


def test_a_compiled_function_may_make_one_and_return_it():
    config = override(presets.switch_nano(), "width=24", "block.attention.num_heads=2", "context=8", "num_layers=2")
    model = build(config, seed=0)
    tokens = torch.randint(0, 65, (2, 8))

    def loss(tokens):
        record = Record()
        logits = model(tokens, record=record)
        return logits.logsumexp(-1).mean() + record.loss(), record

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=False)
    found = []
    for run in (loss, compiled):
        model.zero_grad()
        torch.manual_seed(0)
        value, record = run(tokens)
        value.backward()
        found.append((value.detach(), *record.layers[0], *(p.grad.clone() for p in model.parameters())))
    assert len(record.layers) == 1
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
