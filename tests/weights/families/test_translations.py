"""Encoder-decoders of other libraries write on as their own `generate` does: greedily, from padded sources."""

import importlib.util
from pathlib import Path

import pytest
import torch

import oneblock
from oneblock.decoding.translate import translate

pytestmark = pytest.mark.peers
HERE = Path(__file__).parent
NEW, ROWS, LENGTH = 9, 6, 11


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity, cases = load("parity"), load("cases_encoder_decoders")


@torch.no_grad()
def livelier(model):
    """Random weights repeat one token: a norm's bias outweighs what it norms, and a tied head the last token's own."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.LayerNorm):
            norm.bias *= 0.1
            norm.weight += 1
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias *= 0.1
        for table in {stack.embed_tokens.weight for stack in (model.model.encoder, model.model.decoder)}:
            table *= 0.15


def sources():
    ids = torch.randint(3, 29, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    padding = torch.arange(LENGTH) >= torch.tensor([11, 7, 9, 11, 4, 10])[:, None]
    return ids, padding


@pytest.mark.parametrize("name", cases.CASES)
@torch.no_grad()
def test_the_same_continuation(name, tmp_path):
    case = cases.CASES[name]
    case = case | {"spread": 0.6, "prepare": [*case.get("prepare", []), livelier]}
    theirs = parity.reference(case)
    ours = oneblock.load(parity.saved(theirs, case, tmp_path))
    source, padding = sources()
    start, stop = theirs.config.decoder_start_token_id, theirs.config.eos_token_id
    theirs.generation_config.forced_eos_token_id = None
    with parity.Lifted():
        written = theirs.generate(
            input_ids=source, attention_mask=(~padding).long(), max_new_tokens=NEW, do_sample=False, num_beams=1
        )
    rows = written[:, 1:].tolist()
    assert len({tuple(row) for row in rows}) >= 3
    for use_cache in (True, False)[: 1 + case.get("cached", True)]:
        found = translate(
            ours, source, start=start, stop=stop, max_new_tokens=NEW, padding=padding, use_cache=use_cache
        )
        for row, hypothesis in zip(rows, found, strict=True):
            assert hypothesis.tokens == (row[: row.index(stop)] if stop in row else row)
