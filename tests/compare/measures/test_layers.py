"""Gradients by layer, against autograd on the parts by hand."""

import math

import pytest
import torch

from oneblock.compare.measures import layers


def test_the_gradient_of_the_embedding_is_that_of_its_output(subject):
    made = subject("position=none", "tied=false")
    found = layers.measure(made)
    model, tokens = made.model, made.windows(8, layers.ROWS)
    model.eval()
    x = model.embedding.weight[tokens].detach().requires_grad_()
    logits = model(tokens.clone())  # the same, to see that the hand-made way below gives them
    stream, kept = x, [x]
    context = model._context(tokens, None, None)
    for block in model.blocks:
        stream = block(stream, context)
        kept.append(stream)
    ours = model.head(model.norm(stream))
    assert torch.allclose(ours, logits)
    loss = torch.nn.functional.cross_entropy(ours[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    norms = [float(grad.norm()) for grad in torch.autograd.grad(loss, kept, retain_graph=True)]
    assert [y for _, y in found.curves["gradient by layer"]] == pytest.approx(norms)
    assert [x for x, _ in found.curves["gradient by layer"]] == [0.0, 1.0, 2.0, 3.0]
    last = list(model.blocks[-1].parameters())
    of_last = sum(float(g.square().sum()) for g in torch.autograd.grad(loss, last)) ** 0.5
    curve = found.curves["weights' gradient by layer"]
    assert len(curve) == 3 and curve[-1] == pytest.approx([3.0, of_last])
    assert found.measures["last_gradient"] == pytest.approx(math.log(of_last))
    assert found.measures["gradient_spread"] == pytest.approx(math.log(max(norms) / min(norms)))
    assert found.curves["stream by layer"][0][1] == pytest.approx(float(x.detach().square().mean().sqrt()))
