"""`oneblock.generate`: its contract, and cached = uncached on every road, also beyond the context."""

import pytest
import torch

import oneblock
from oneblock.config.errors import OneblockError
from oneblock.decoding.errors import GenerateError
from oneblock.decoding.generate import generate, stream
from oneblock.decoding.window import window_start


def by_hand(model, row, count, context):
    """Greedy decoding of one row with nothing but the model."""
    row = row.clone()
    for _ in range(count):
        shown = row[window_start(len(row), context) :]
        row = torch.cat([row, model(shown[None])[0, -1].argmax()[None]])
    return row


def test_the_prompt_stands_in_front(tiny):
    model, tokens = tiny(), torch.tensor([[3, 1, 4], [1, 5, 9]])
    out = oneblock.generate(model, tokens, max_new_tokens=5, seed=0)
    assert out.shape == (2, 8) and out.dtype == tokens.dtype
    assert torch.equal(out[:, :3], tokens)
    assert torch.equal(generate(model, tokens, 0), tokens)
    assert generate(model, tokens.int(), 2).dtype == torch.int32


@pytest.mark.parametrize("position", ["none", "learned", "sinusoidal", "rope", "alibi", "t5"])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("temperature", [0, 1.3])
def test_every_road_gives_the_same_tokens(tiny, prompts, position, window, temperature):
    model, (tokens, padding) = tiny(position, window), prompts
    settings = {"temperature": temperature, "seed": 5, "padding": padding}
    uncached = generate(model, tokens, 23, use_cache=False, **settings)
    assert len(set(uncached[:, 9:].flatten().tolist())) > (4 if temperature else 1)
    assert torch.equal(uncached, generate(model, tokens, 23, **settings))
    for chunk in (2, 5):
        assert torch.equal(uncached, generate(model, tokens, 23, prefill_chunk=chunk, **settings))


@pytest.mark.parametrize("context", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("kind", [{"num_kv_heads": 1}, {"soft_cap": 5.0}])
def test_the_same_beyond_contexts_of_any_size(tiny, prompts, context, kind):
    model, (tokens, padding) = tiny(context=context, **kind), prompts
    settings = {"seed": 5, "padding": padding}
    assert torch.equal(
        generate(model, tokens, 3 * context + 2, use_cache=False, **settings),
        generate(model, tokens, 3 * context + 2, **settings),
    )


@pytest.mark.parametrize("position", ["learned", "rope", "alibi"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_decoding_is_the_models_own_argmax(tiny, prompts, position, use_cache):
    model, (tokens, padding) = tiny(position), prompts
    out = generate(model, tokens, 17, temperature=0, padding=padding, use_cache=use_cache)
    for row, pads, made in zip(tokens, padding, out, strict=True):
        assert made[int(pads.sum()) :].tolist() == by_hand(model, row[~pads], 17, 7).tolist()


def test_row_0_draws_in_a_batch_what_it_draws_alone(tiny, prompts):
    model, (tokens, padding) = tiny(), prompts
    batch = generate(model, tokens.flip(0), 20, seed=11, padding=padding.flip(0))
    alone = generate(model, tokens[2:, 7:], 20, seed=11)
    assert batch[0, 7:].tolist() == alone[0].tolist()


def test_rows_draw_each_their_own(tiny):
    out = generate(tiny(), torch.full((5, 2), 3), 12, seed=0)
    assert len({tuple(row) for row in out.tolist()}) == 5


def test_the_seed_decides_and_asking_for_more_changes_no_token(tiny):
    model, tokens = tiny(), torch.tensor([[3, 1]])
    out = generate(model, tokens, 90, seed=4)
    assert torch.equal(out, generate(model, tokens, 90, seed=4))
    assert torch.equal(out[:, :72], generate(model, tokens, 70, seed=4))
    assert not torch.equal(out, generate(model, tokens, 90, seed=5))


def test_without_a_seed_torchs_own_generator_decides(tiny):
    model, tokens = tiny(), torch.tensor([[3, 1]])
    torch.manual_seed(1)
    first, second = generate(model, tokens, 30), generate(model, tokens, 30)
    torch.manual_seed(1)
    assert torch.equal(first, generate(model, tokens, 30)) and not torch.equal(first, second)


def test_stopped_rows_are_filled_and_the_end_comes_when_all_have(tiny, prompts):
    model, (tokens, padding) = tiny(), prompts
    free = generate(model, tokens, 60, seed=2, padding=padding)[:, 9:]
    stop = int(free[0, 4])
    first = [row.index(stop) for row in free.tolist()]
    assert len(set(first)) > 1
    stopped = generate(model, tokens, 60, seed=2, padding=padding, stop=stop)[:, 9:]
    assert stopped.shape[1] == max(first) + 1
    for row, wanted, end in zip(stopped.tolist(), free.tolist(), first, strict=True):
        assert row[: end + 1] == wanted[: end + 1] and set(row[end:]) == {stop}


def test_any_of_several_tokens_stops_a_row(tiny, prompts):
    model, (tokens, padding) = tiny(), prompts
    free = generate(model, tokens, 60, seed=2, padding=padding)[:, 9:]
    stops = [int(free[0, 4]), int(free[1, 2])]
    ends = [next(place for place, token in enumerate(row) if token in stops) for row in free.tolist()]
    for use_cache in (True, False):
        stopped = generate(model, tokens, 60, seed=2, padding=padding, stop=stops, use_cache=use_cache)[:, 9:]
        assert stopped.shape[1] == max(ends) + 1
        for row, wanted, end in zip(stopped.tolist(), free.tolist(), ends, strict=True):
            assert row[: end + 1] == wanted[: end + 1] and set(row[end:]) == {wanted[end]}
    assert torch.equal(generate(model, tokens, 60, seed=2, padding=padding, stop=[])[:, 9:], free)


def test_what_stands_at_pads_changes_nothing(tiny, prompts):
    model, (tokens, padding) = tiny(), prompts
    other = tokens.masked_fill(padding, -100)
    out = generate(model, other, 9, seed=1, padding=padding)
    assert torch.equal(out[:, 9:], generate(model, tokens, 9, seed=1, padding=padding)[:, 9:])
    assert torch.equal(out[:, :9], other)


def test_the_stream_gives_the_columns_one_by_one(tiny, prompts):
    model, (tokens, padding) = tiny(), prompts
    columns = stream(model, tokens, 6, seed=3, padding=padding)
    first = next(columns)
    assert first.shape == (3,)
    whole = torch.stack([first, *columns], dim=1)
    assert torch.equal(whole, generate(model, tokens, 6, seed=3, padding=padding)[:, 9:])


def test_modes_come_back(tiny):
    model, tokens = tiny(), torch.tensor([[3, 1]])
    model.train()
    model.blocks[0].eval()
    before = [module.training for module in model.modules()]
    seen = []
    handle = model.blocks[1].register_forward_hook(lambda module, args, out: seen.append(module.training))
    generate(model, tokens, 3, seed=0)
    handle.remove()
    assert seen == [False] * 3 and [module.training for module in model.modules()] == before
    columns = stream(model, tokens, 5, seed=0)
    next(columns)
    assert not model.training and not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    columns.close()
    assert [module.training for module in model.modules()] == before


def test_the_answer_can_be_trained_on(tiny):
    model = tiny().train()
    out = generate(model, torch.tensor([[3, 1]]), 4, seed=0)
    model(out).sum().backward()
    assert model.embedding.weight.grad is not None


def test_numbers_that_are_none_are_named(tiny):
    model = tiny()
    with torch.no_grad():
        model.embedding.weight[4] = torch.nan
    with pytest.raises(GenerateError, match=r"row 0, 1 are NaN"):
        generate(model, torch.tensor([[3, 1], [2, 4]]), 3, temperature=0, use_cache=False)


@pytest.mark.parametrize(
    ("tokens", "settings", "says"),
    [
        (torch.tensor([1, 2]), {}, r"shape B × T, got torch.int64 \(2,\); one text is tokens\[None\]"),
        (torch.tensor([[1.0]]), {}, "whole numbers"),
        (torch.tensor([[True]]), {}, "whole numbers"),
        (torch.zeros(1, 0, dtype=torch.long), {}, "at least one token"),
        (torch.zeros(0, 3, dtype=torch.long), {}, "at least one token"),
        (torch.tensor([[1, 13]]), {}, "token 13 is not one of the model's, 0…12"),
        (torch.tensor([[1, -1]]), {}, "token -1 is not one"),
        (torch.tensor([[1]]), {"max_new_tokens": -1}, "max_new_tokens=-1 must be .* at least 0"),
        (torch.tensor([[1]]), {"max_new_tokens": 1.5}, r"max_new_tokens=1\.5 must be a whole number"),
        (torch.tensor([[1]]), {"prefill_chunk": 0}, "prefill_chunk=0 must be .* at least 1"),
        (torch.tensor([[1]]), {"temperature": -1}, "temperature=-1 must be"),
        (torch.tensor([[1]]), {"top_k": 0}, "top_k=0 must be"),
        (torch.tensor([[1]]), {"top_p": 2}, "top_p=2 must be"),
        (torch.tensor([[1]]), {"seed": "s"}, "seed='s' must be"),
        (torch.tensor([[1]]), {"stop": 13}, "stop=13 must be .*0…12"),
        (torch.tensor([[1]]), {"stop": (1, 13)}, "stop=.1, 13. must be .*several of them"),
        (torch.tensor([[1]]), {"stop": "7"}, "stop='7' must be"),
        (torch.tensor([[1]]), {"padding": torch.tensor([[True]])}, "row 0 is all pads"),
        (torch.tensor([[1]]), {"compile": True, "use_cache": False}, "compile=True needs use_cache=True"),
    ],
)
def test_bad_arguments_are_named_at_the_call(tiny, tokens, settings, says):
    with pytest.raises(OneblockError, match=says):
        stream(tiny(), tokens, **{"max_new_tokens": 3} | settings)
