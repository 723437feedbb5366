import itertools

import pytest
import torch

from oneblock.config import Attention, Block, Dense, EncoderDecoder, RMSNorm, Stack
from oneblock.config.position import POSITIONS
from oneblock.decoding.beam import length_divisor
from oneblock.decoding.errors import GenerateError
from oneblock.decoding.translate import translate
from oneblock.models.build import build

SOURCE, TARGET, S = 11, 5, 6
START, STOP = 1, 2
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")


def made(position="rope", target_vocab=TARGET, context=7, seed=1):
    """A small model with large random weights, in float64, so that rounding decides nothing."""
    own = Attention(num_heads=2)
    reads = Block(attention=own, feed_forward=Dense(hidden=11), norm=RMSNorm())
    writes = Block(
        steps=WITH_MEMORY,
        attention=own,
        cross_attention=Attention(num_heads=3, num_kv_heads=1),
        feed_forward=Dense(hidden=13),
        norm=RMSNorm(),
    )
    scheme = POSITIONS[position]()
    config = EncoderDecoder(
        source_vocab=SOURCE,
        target_vocab=target_vocab,
        width=12,
        encoder=Stack(context=S, num_layers=1, blocks=(reads,), position=scheme),
        decoder=Stack(context=context, num_layers=2, blocks=(writes,), position=scheme),
    )
    model = build(config, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype) * 0.7)
    return model


@pytest.fixture(scope="module")
def model():
    return made()


def sources(rows=4, seed=0):
    """Rows of different lengths, pads to the right, left and in the middle, with garbage under them."""
    source = torch.randint(0, SOURCE, (rows, S), generator=torch.Generator().manual_seed(seed))
    padding = torch.zeros(4, S, dtype=torch.bool)
    padding[1, 4:] = padding[2, :3] = padding[3, 1:3] = True
    return source, padding[:rows]


@torch.no_grad()
def log_probability(model, source, tokens):
    """Of the tokens behind the start token, one after another, written out with the model's plain forward."""
    model.eval()
    target = torch.tensor([[START, *tokens]])
    logs = model(source, target[:, :-1]).log_softmax(-1)[0]
    return sum(logs[place, token].item() for place, token in enumerate(tokens))


def ended(vocab, longest):
    """Every sequence that ends with the stop token within so many tokens."""
    others = [token for token in range(vocab) if token != STOP]
    return [(*body, STOP) for length in range(longest) for body in itertools.product(others, repeat=length)]


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_enough_beams_find_the_best_of_all(seed, penalty):
    vocab, longest = 3, 4
    small = made(target_vocab=vocab, seed=seed)
    source, padding = sources(2, seed)
    everything = ended(vocab, longest)
    beams = len(everything) + (vocab - 1) ** longest
    found = translate(
        small,
        source,
        start=START,
        stop=STOP,
        max_new_tokens=longest,
        beams=beams,
        length_penalty=penalty,
        padding=padding,
    )
    for row in range(2):
        alone = source[row : row + 1, ~padding[row]]
        scores = {seq: log_probability(small, alone, seq) / ((5 + len(seq)) / 6) ** penalty for seq in everything}
        best = max(scores, key=scores.get)
        assert tuple(found[row].tokens) == best[:-1] and found[row].finished
        assert found[row].score == pytest.approx(scores[best], abs=1e-9)


def test_a_penalty_chooses_between_short_and_long():
    assert length_divisor(1, 0.0) == 1 and length_divisor(7, 0.6) == pytest.approx(2**0.6)
    lengths = {}
    for seed in range(1, 12):
        small = made(target_vocab=3, seed=seed)
        source, _ = sources(1, seed)
        for penalty in (0.0, 5.0):
            (one,) = translate(
                small, source, start=START, stop=STOP, max_new_tokens=5, beams=64, length_penalty=penalty
            )
            lengths.setdefault(penalty, []).append(len(one.tokens))
    assert all(long >= short for short, long in zip(lengths[0.0], lengths[5.0], strict=True))
    assert sum(lengths[5.0]) > sum(lengths[0.0])


@torch.no_grad()
def greedy(model, source, longest):
    """The plainest loop: the whole target through the model, the largest logit."""
    model.eval()
    tokens = []
    while len(tokens) < longest:
        target = torch.tensor([[START, *tokens]])
        tokens.append(int(model(source, target)[0, -1].argmax()))
        if tokens[-1] == STOP:
            return tokens[:-1], True
    return tokens, False


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("position", POSITIONS)
def test_one_beam_is_greedy(position, penalty):
    source, padding = sources()
    ends = set()
    for seed in (1, 2, 3):
        model = made(position, seed=seed)
        found = translate(
            model, source, start=START, stop=STOP, max_new_tokens=7, length_penalty=penalty, padding=padding
        )
        for row, one in enumerate(found):
            alone = source[row : row + 1, ~padding[row]]
            tokens, finished = greedy(model, alone, 7)
            assert (one.tokens, one.finished) == (tokens, finished)
            whole = [*tokens, STOP] if finished else tokens
            expected = log_probability(model, alone, whole) / length_divisor(len(whole), penalty)
            assert one.score == pytest.approx(expected, abs=1e-9)
            ends.add(finished)
    assert ends == {True, False}


@torch.no_grad()
def by_lists(model, source, beams, longest, penalty):
    """The same search, one source, nothing cached, nothing given up early: every hypothesis a list."""
    model.eval()
    live, done = [([], 0.0)], []
    for _ in range(longest):
        longer = []
        for tokens, score in live:
            logs = model(source, torch.tensor([[START, *tokens]]))[0, -1].log_softmax(-1)
            longer += [([*tokens, token], score + logs[token].item()) for token in range(len(logs))]
        kept = sorted(longer, key=lambda one: -one[1])[: beams - len(done)]
        done += [one for one in kept if one[0][-1] == STOP]
        live = [one for one in kept if one[0][-1] != STOP]
        if not live:
            break
    best = max(done or live, key=lambda one: one[1] / length_divisor(len(one[0]), penalty))
    return best[0], best[1] / length_divisor(len(best[0]), penalty)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 4.0])
@pytest.mark.parametrize("beams", [2, 3, 4])
def test_equals_a_search_by_lists(beams, penalty):
    for seed in range(1, 7):
        model = made(target_vocab=4, seed=seed)
        source, padding = sources(4, seed)
        found = translate(
            model,
            source,
            start=START,
            stop=STOP,
            max_new_tokens=6,
            beams=beams,
            length_penalty=penalty,
            padding=padding,
        )
        for row, one in enumerate(found):
            tokens, score = by_lists(model, source[row : row + 1, ~padding[row]], beams, 6, penalty)
            assert [*one.tokens, STOP][: len(tokens)] == tokens and one.finished == (tokens[-1] == STOP)
            assert one.score == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("settings", [{"beams": 1}, {"beams": 2}, {"beams": 5}, {"temperature": 1.3, "seed": 3}])
def test_cached_equals_uncached_and_rows_do_not_meet(position, settings):
    model = made(position)
    source, padding = sources()
    call = {"start": START, "stop": STOP, "max_new_tokens": 7, **settings}
    cached = translate(model, source, padding=padding, **call)
    plain = translate(model, source, padding=padding, use_cache=False, **call)
    for one, other in zip(cached, plain, strict=True):
        assert one.tokens == other.tokens and one.finished == other.finished
        assert one.score == pytest.approx(other.score, abs=1e-9)
    rows = range(1) if "seed" in settings else range(len(source))
    for row in rows:
        (alone,) = translate(model, source[row : row + 1, ~padding[row]], **call)
        assert alone.tokens == cached[row].tokens and alone.score == pytest.approx(cached[row].score, abs=1e-9)


def test_more_beams_never_end_worse_than_greedy_here(model):
    source, padding = sources()
    call = {"start": START, "stop": STOP, "max_new_tokens": 7, "length_penalty": 0.0, "padding": padding}
    one, many = (translate(model, source, beams=beams, **call) for beams in (1, 200))
    assert all(m.score >= o.score - 1e-12 for o, m in zip(one, many, strict=True) if o.finished)
    assert any(m.score > o.score for o, m in zip(one, many, strict=True))


@torch.no_grad()
def test_drawn_targets_have_the_models_probabilities(model):
    source, _ = sources(1)
    many = 4000
    found = translate(model, source.expand(many, -1), start=START, stop=STOP, max_new_tokens=1, temperature=0.7, seed=5)
    expected = (model.eval()(source, torch.tensor([[START]]))[0, -1] / 0.7).softmax(-1)
    first = [STOP if one.finished else one.tokens[0] for one in found]
    counts = torch.bincount(torch.tensor(first), minlength=TARGET) / many
    assert (counts - expected).abs().max() < 5 * (0.25 / many) ** 0.5
    again = translate(model, source.expand(8, -1), start=START, stop=STOP, max_new_tokens=1, temperature=0.7, seed=5)
    assert again == found[:8]


def test_memory_is_projected_once_and_the_model_left_as_found(model):
    source, padding = sources()
    counts = {"encoder": 0, "projections": 0}

    def count(name):
        def hook(*_):
            counts[name] += 1

        return hook

    handles = [model.encoder.blocks[0].register_forward_hook(count("encoder"))]
    handles += [
        block.cross_attention.key_value.register_forward_hook(count("projections")) for block in model.decoder.blocks
    ]
    model.train()
    translate(model, source, start=START, stop=STOP, max_new_tokens=7, beams=3, padding=padding)
    for handle in handles:
        handle.remove()
    assert counts == {"encoder": 1, "projections": 2} and model.training
    assert all(module.training for module in model.modules())


def test_a_target_that_does_not_end_is_cut_off_and_says_so(model):
    source, _ = sources(1)
    never = made()
    never.head = torch.nn.Sequential(never.head, Without(STOP))
    for settings in ({"beams": 1}, {"beams": 3}, {"temperature": 1.0, "seed": 0}):
        (one,) = translate(never, source, start=START, stop=STOP, max_new_tokens=4, **settings)
        assert len(one.tokens) == 4 and not one.finished and STOP not in one.tokens


class Without(torch.nn.Module):
    def __init__(self, token):
        super().__init__()
        self.token = token

    def forward(self, logits):
        return logits.index_fill(-1, torch.tensor([self.token]), -torch.inf)


def test_bad_input_is_named(model):
    source, padding = sources()
    good = {"start": START, "stop": STOP, "max_new_tokens": 3}
    for changes, words in (
        ({"source": torch.zeros(1, S + 1, dtype=torch.long)}, rf"{S + 1} tokens and encoder.context={S}"),
        ({"source": torch.full((1, 2), SOURCE)}, f"token {SOURCE} is not one of the model's"),
        ({"source": torch.zeros(3)}, "B × T"),
        ({"padding": padding[:, 1:]}, "padding must be boolean of the source's shape"),
        ({"padding": torch.ones_like(padding)}, "row 0 of the source is all pads"),
        ({"start": TARGET}, "start=5 must be one of the target's tokens, 0…4"),
        ({"stop": -1}, "stop=-1"),
        ({"max_new_tokens": 8}, "decoder.context=7"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"beams": 0}, "beams=0"),
        ({"beams": 2, "temperature": 1.0}, "give one of them"),
        ({"length_penalty": -1.0}, "length_penalty=-1.0"),
        ({"seed": -1}, "seed=-1"),
    ):
        with pytest.raises(GenerateError, match=words):
            translate(model, **{"source": source, **good, **changes})
    with pytest.raises(GenerateError, match="needs an encoder-decoder, and this is a Linear"):
        translate(torch.nn.Linear(2, 2), source, **good)
    broken = made()
    with torch.no_grad():
        broken.decoder.norm.weight.fill_(torch.nan)
    with pytest.raises(GenerateError, match="NaN or infinite"):
        translate(broken, source, **good, beams=2)
