import pytest
import torch

from oneblock import config
from oneblock.nn.cache import ContextOverflow
from oneblock.nn.context import Context
from oneblock.nn.position import (
    Alibi,
    Learned,
    Position,
    Sinusoidal,
    T5Bias,
    alibi_slopes,
    attention_position,
    stack_position,
)

CPU = torch.device("cpu")


def ctx(length, *, padding=None, causal=True):
    padding = None if padding is None else torch.tensor(padding, dtype=torch.bool)
    return Context(length, CPU, position=Position(), padding_BS=padding, causal=causal)


def waves(layout, width=4, length=3):
    scheme = Sinusoidal(config.Sinusoidal(layout=layout), width)
    return scheme.embed(torch.zeros(1, length, width, dtype=torch.float64), ctx(length))[0]


def test_sinusoidal_vectors():
    interleaved, concatenated = waves("interleaved"), waves("concatenated")
    for found, expected in (
        (interleaved[0], (0, 1, 0, 1)),
        (interleaved[1], (0.841471, 0.540302, 0.010000, 0.999950)),
        (interleaved[2], (0.909297, -0.416147, 0.019999, 0.999800)),
        (concatenated[1], (0.841471, 0.010000, 0.540302, 0.999950)),
    ):
        torch.testing.assert_close(found, torch.tensor(expected).double(), atol=6e-7, rtol=0)


def test_sinusoidal_is_added_and_its_lengths_are_equal():
    x = torch.randn(2, 5, 26).double()
    scheme = Sinusoidal(config.Sinusoidal(base=100.0), 26)
    added = scheme.embed(x, ctx(5)) - x
    torch.testing.assert_close(added.square().sum(-1), torch.full((2, 5), 13.0).double())
    torch.testing.assert_close(added[0, :, 2], torch.sin(torch.arange(5).double() * 100 ** (-2 / 26)))


def test_learned_adds_its_row_and_ends_at_its_table():
    scheme = Learned(5, 3)
    with torch.no_grad():
        scheme.weight.copy_(torch.arange(15.0).view(5, 3))
    x = torch.zeros(2, 4, 3)
    assert torch.equal(scheme.embed(x, ctx(4))[1], scheme.weight[:4])
    padded = scheme.embed(x, ctx(4, padding=[[1, 1, 0, 0], [0, 0, 0, 0]]))
    assert torch.equal(padded[0, 2:], scheme.weight[:2])
    with pytest.raises(ContextOverflow, match="6 tokens were given and learned positions end at context=5"):
        scheme.embed(torch.zeros(1, 6, 3), ctx(6))
    longer = scheme.embed(torch.zeros(1, 6, 3), ctx(6, padding=[[1, 0, 0, 0, 0, 0]]))
    assert torch.equal(longer[0, 1:], scheme.weight), "pads take no positions"


def slopes_by_the_other_way(num_heads):
    """Every slope of the next power of two, the odd ones first, as many as there are heads."""
    power = 1
    while power < num_heads:
        power *= 2
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    return slopes if power == num_heads else (slopes[1::2] + slopes[0::2])[:num_heads]


@pytest.mark.parametrize("num_heads", range(1, 41))
def test_alibi_slopes_for_every_head_count(num_heads):
    assert alibi_slopes(num_heads) == pytest.approx(slopes_by_the_other_way(num_heads), rel=1e-14)


def test_alibi_slopes_of_the_paper():
    eight = [0.5**h for h in range(1, 9)]
    assert alibi_slopes(8) == eight
    assert alibi_slopes(6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    assert alibi_slopes(12) == [
        *eight,
        *(pytest.approx(s, abs=6e-7) for s in (0.707107, 0.353553, 0.176777, 0.088388)),
    ]
    assert alibi_slopes(16) == pytest.approx([2 ** (-h / 2) for h in range(1, 17)])


def test_alibi_bias():
    found = Alibi(6).bias(ctx(5))
    for h, t, s in ((0, 4, 1), (4, 3, 0), (5, 2, 2), (3, 0, 4)):
        assert found[h, t, s].item() == -alibi_slopes(6)[h] * abs(t - s)
    padded = Alibi(6).bias(ctx(4, padding=[[1, 0, 0, 0], [0, 0, 0, 0]]))
    assert padded.shape == (2, 6, 4, 4) and padded[0, 0, 3, 1].item() == -0.5


def buckets(distances, causal, num_buckets=32, max_distance=128):
    scheme = T5Bias(config.T5Bias(num_buckets=num_buckets, max_distance=max_distance), 1, "t5")
    return scheme.bucket(torch.tensor(distances), causal).tolist()


def test_t5_causal_buckets():
    starts = [*range(16), 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]
    assert len(starts) == 32
    found = buckets(list(range(2000)), True)
    assert [found.index(bucket) for bucket in range(32)] == starts
    assert found == sorted(found) and found[-1] == 31
    assert buckets([-1, -5, -900], True) == [0, 0, 0]


def test_t5_buckets_both_ways():
    past = buckets(list(range(200)), False)
    assert [past.index(bucket) for bucket in range(16)] == [*range(8), 8, 12, 16, 23, 32, 46, 64, 91]
    relative = [-1000, -128, -91, -90, -64, -63, -20, -8, -1, 0, 1, 8, 12, 64, 91]
    expected = [15, 15, 15, 14, 14, 13, 10, 8, 1, 0, 17, 24, 25, 30, 31]
    assert buckets([-r for r in relative], False) == expected


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(4, 3), (5, 6), (7, 100), (64, 33)])
@pytest.mark.parametrize("causal", [True, False])
def test_t5_buckets_stay_inside_the_table(num_buckets, max_distance, causal):
    found = buckets(list(range(-300, 300)), causal, num_buckets, max_distance)
    assert min(found) == 0 and max(found) < num_buckets


def test_t5_bias_is_by_head_and_distance():
    scheme = T5Bias(config.T5Bias(num_buckets=4, max_distance=3), 3, "t5")
    with torch.no_grad():
        scheme.weight.copy_(torch.arange(12.0).view(4, 3))
    found = scheme.bias(ctx(5))
    assert found.shape == (3, 5, 5)
    assert found[2, 4, 4] == 2 and found[1, 1, 0] == 4 and found[0, 4, 0] == 9


class Seen(Position):
    def bias(self, ctx):
        return "the stack's"


def test_which_scheme_an_attention_has():
    def kind(own, stack):
        return attention_position(own, stack, num_heads=3, head_width=8, slot=2)

    t5 = config.T5Bias()
    context = Context(2, CPU, position=Seen())
    assert kind(None, t5).bias(context) == "the stack's"
    assert kind(t5, t5).bias(context).shape == (3, 2, 2), "its own table"
    assert kind(config.NoPosition(), t5).bias(context) is None
    assert isinstance(kind(None, config.Alibi()), Alibi) and isinstance(kind(config.Alibi(), config.Rope()), Alibi)
    q = torch.ones(1, 1, 2, 8)
    for scheme in (kind(None, config.Learned()), kind(config.NoPosition(), config.Rope())):
        assert scheme.rotate(q, q, context)[0] is q and scheme.bias(context) is None
    assert not torch.equal(kind(None, config.Rope()).rotate(q, q, context)[0], q)


def test_what_the_stack_keeps():
    def kept(option, num_heads=3):
        return stack_position(option, context=5, width=8, num_heads=num_heads)

    assert kept(config.Learned()).weight.shape == (5, 8)
    assert kept(config.T5Bias()).weight.shape == (32, 3)
    assert not list(kept(config.T5Bias(), 0).parameters()), "no attention shares it: no table"
    for option in (config.Rope(), config.Alibi(), config.NoPosition()):
        x = torch.ones(1, 2, 8)
        assert kept(option).embed(x, ctx(2)) is x and kept(option).bias(ctx(2)) is None


def test_schemes_of_one_pass_do_not_mix():
    context = ctx(5)
    for heads in (3, 6):
        assert torch.equal(Alibi(heads).bias(context), Alibi(heads).bias(ctx(5)))
    option = config.T5Bias(num_buckets=4, max_distance=3)
    tables = []
    for slot in (0, 1):
        scheme = attention_position(option, config.NoPosition(), num_heads=3, head_width=8, slot=slot)
        with torch.no_grad():
            scheme.weight.fill_(slot + 1.0)
        tables.append(scheme.bias(context).unique().tolist())
    assert tables == [[1.0], [2.0]]
