"""A linear probe reads what is there, and cannot read what is not."""

import math

import torch
from torch import nn

from oneblock.compare.measures import probe


def test_embeddings_can_be_read_and_what_was_dropped_cannot(subject):
    made = subject("width=16", "block.residual=scaled", "block.residual.branch=0")
    curve = probe.measure(made).curves["probe by layer"]
    assert [y for _, y in curve] == [1.0] * 4, "16 features, 13 tokens, and nothing was added"

    class Forgets(nn.Module):
        def forward(self, x_BTD, ctx):
            return torch.ones_like(x_BTD)

    made.model.blocks[1] = Forgets()
    found = probe.measure(made)
    most_frequent = torch.bincount(torch.as_tensor(made.tokens)).max() / len(made.tokens)
    assert found.measures["probe_first"] == 1.0
    assert abs(found.measures["probe_last"] - float(most_frequent)) < 0.08


def test_a_stream_that_is_no_number_is_not_read(subject):
    made = subject()
    made.model.blocks[2].attention.output.weight.data[:] = math.nan
    found = probe.measure(made)
    assert found.measures["probe_first"] > 0.5 and math.isnan(found.measures["probe_last"])
