import pytest
import torch

from oneblock import build
from oneblock.config import Attention, Block, Decoder, Learned, OneblockError
from oneblock.nn.cache import Cache, ContextOverflow


def model(**changes):
    blocks = (
        Block(attention=Attention(num_heads=6, num_kv_heads=2), steps=("attention", "feed_forward", "attention")),
        Block(attention=Attention(num_heads=3, num_kv_heads=1, head_width=10)),
        Block(steps=("feed_forward",)),
    )
    settings = {"vocab_size": 11, "context": 7, "width": 24, "num_layers": 4, "blocks": blocks} | changes
    return build(Decoder(**settings), seed=0).eval()


def test_bytes_are_the_formula():
    """2 · Σ G·K · capacity · B · bytes a number."""
    numbers = 2 * 4 + 2 * 4 + 1 * 10 + 0 + 2 * 4 + 2 * 4
    assert model().cache(3, capacity=5).num_bytes == 2 * numbers * 5 * 3 * 4
    assert model().double().cache(1).num_bytes == 2 * numbers * 7 * 8
    assert model().bfloat16().cache(1).num_bytes == 2 * numbers * 7 * 2


def test_groups_shrink_it_by_their_share():
    def size(groups):
        block = Block(attention=Attention(num_heads=6, num_kv_heads=groups))
        return model(blocks=(block,)).cache(2).num_bytes

    assert size(None) == 2 * size(3) == 3 * size(2) == 6 * size(1)


def test_nothing_is_allocated_while_decoding():
    decoder = model()
    cache = decoder.cache(2)
    places = [room.data_ptr() for room in (*cache.keys, *cache.values)]
    with torch.no_grad():
        for _ in range(7):
            decoder(torch.ones(2, 1, dtype=torch.long), None, cache)
    assert places == [room.data_ptr() for room in (*cache.keys, *cache.values)]
    assert cache.length == cache.capacity == 7


def test_overflow_says_what_to_do_and_leaves_the_cache_as_it_was():
    decoder = model()
    cache = decoder.cache(2, capacity=5)
    tokens = torch.ones(2, 3, dtype=torch.long)
    with torch.no_grad():
        decoder(tokens, None, cache)
        kept = [room.clone() for room in cache.keys]
        with pytest.raises(ContextOverflow) as caught:
            decoder(tokens, None, cache)
        message = str(caught.value)
        for word in ("holds 5 positions", "3 are filled", "3 more", "capacity=6"):
            assert word in message
        assert isinstance(caught.value, OneblockError) and isinstance(caught.value, ValueError)
        assert cache.length == 3 and all(map(torch.equal, kept, cache.keys))
        assert decoder(tokens[:, :2], None, cache).shape == (2, 2, 11)


def test_a_failed_call_with_pads_leaves_the_padding_as_it_was():
    decoder = model(position=Learned(), context=4)
    cache, fresh = decoder.cache(2, capacity=9), decoder.cache(2, capacity=9)
    tokens, padding = torch.ones(2, 3, dtype=torch.long), torch.tensor([[True, False, False], [False] * 3])
    with torch.no_grad():
        for each in (cache, fresh):
            decoder(tokens, padding, each)
        with pytest.raises(ContextOverflow, match="learned positions end at context=4"):
            decoder(tokens, None, cache)
        torch.testing.assert_close(decoder(tokens[:, :1], None, cache), decoder(tokens[:, :1], None, fresh))


def test_the_number_of_rows_is_checked():
    decoder = model()
    with pytest.raises(ValueError, match="made for 2 rows and was given 3"):
        decoder(torch.ones(3, 1, dtype=torch.long), None, decoder.cache(2))


def test_two_prompts_do_not_meet():
    decoder = model()
    tokens = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        first = decoder(tokens, None, decoder.cache())
        decoder(tokens.flip(1), None, decoder.cache())
        assert torch.equal(first, decoder(tokens, None, decoder.cache()))


def test_store_gives_all_and_keeps_order():
    cache = Cache([(1, 2)], 1, 4)
    for step in range(3):
        keys, values = cache.store(0, torch.full((1, 1, 1, 2), float(step)), torch.full((1, 1, 1, 2), -float(step)))
        cache.advance(1)
        assert keys[0, 0, :, 0].tolist() == list(range(step + 1))
        assert values[0, 0, :, 1].tolist() == [-s for s in range(step + 1)]


def test_a_model_writes_each_attention_into_its_own_slot():
    decoder = model()
    assert decoder.slots == [(2, 4), (2, 4), (1, 10), (2, 4), (2, 4)]
    cache = decoder.cache()
    with torch.no_grad():
        decoder(torch.tensor([[5]]), None, cache)
    used = [room[:, :, 0].flatten() for room in cache.keys]
    assert all(room.abs().sum() > 0 for room in used)
    assert not any(torch.equal(a, b) for i, a in enumerate(used) for b in used[:i])
