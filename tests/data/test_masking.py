import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneblock.config.objective import Masked
from oneblock.data.batches import sample_batch
from oneblock.data.masking import evaluation_masked, mask_tokens, sample_masked

VOCAB, MASK_ID = 61, 61
TOKENS = np.random.default_rng(0).integers(0, VOCAB, 4099).astype(np.uint8)
SHARES = {"vocab_size": VOCAB, "mask_id": MASK_ID}


def many(**shares):
    tokens = np.random.default_rng(1).integers(0, VOCAB, (3001, 40))
    return mask_tokens(tokens, np.arange(3001), seed=7, option=Masked(**shares), **SHARES)


def test_the_shares_are_bert_s():
    batch = many()
    assert (batch.chosen.sum(1) == 6).all()
    count = batch.chosen.sum()
    spread = 4 * np.sqrt(0.25 * count)
    masked = batch.inputs == MASK_ID
    assert (masked == batch.hidden).all() and (batch.hidden <= batch.chosen).all()
    assert abs(batch.hidden.sum() - 0.8 * count) < spread
    changed = batch.chosen & ~batch.hidden & (batch.inputs != batch.targets)
    # A random token is the token itself once in VOCAB times.
    assert abs(changed.sum() - 0.1 * count * (1 - 1 / VOCAB)) < spread
    assert (batch.inputs == batch.targets)[~batch.chosen].all()
    assert batch.inputs[changed].max() == VOCAB - 1 and batch.inputs[changed].min() == 0


def test_every_place_and_every_token_is_as_likely():
    batch = many(chosen=0.5, hidden=0.0, replaced=1.0)
    share = batch.chosen.mean(0)
    assert np.abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 3001)
    counts = np.bincount(batch.inputs[batch.chosen], minlength=VOCAB)
    expected = batch.chosen.sum() / VOCAB
    assert ((counts - expected) ** 2 / expected).sum() < 110  # chi-squared, 60 degrees of freedom, p = 0.0001


@pytest.mark.parametrize(("hidden", "replaced"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_extreme_shares(hidden, replaced):
    batch = many(hidden=hidden, replaced=replaced)
    assert (batch.hidden == batch.chosen).all() == (hidden == 1)
    assert batch.hidden.any() == (hidden > 0)
    same = (batch.inputs == batch.targets)[batch.chosen].mean()
    assert same == 1 if hidden == replaced == 0 else same < 0.05


@given(
    rows=st.integers(1, 6),
    width=st.integers(1, 30),
    chosen=st.floats(0, 0.99),
    seed=st.integers(-(2**63), 2**64),
    data=st.data(),
)
def test_pads_are_never_chosen_and_each_row_has_a_target(rows, width, chosen, seed, data):
    lengths = np.array(data.draw(st.lists(st.integers(0, width), min_size=rows, max_size=rows)))
    padding = np.arange(width) >= lengths[:, None]
    tokens = np.random.default_rng(3).integers(0, VOCAB, (rows, width))
    batch = mask_tokens(tokens, np.arange(rows), seed=seed, padding=padding, option=Masked(chosen=chosen), **SHARES)
    assert not (batch.chosen & padding).any() and (batch.inputs[padding] == tokens[padding]).all()
    wanted = np.where(lengths, np.maximum(1, np.round(chosen * lengths)), 0)
    assert batch.chosen.sum(1).tolist() == wanted.tolist()
    np.testing.assert_array_equal(batch.targets, tokens)


def test_a_row_is_masked_by_its_number_alone():
    tokens = np.random.default_rng(1).integers(0, VOCAB, (9, 40))
    whole = mask_tokens(tokens, np.arange(9), seed=7, **SHARES)
    part = mask_tokens(tokens[[5, 2]], np.array([5, 2]), seed=7, **SHARES)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[[5, 2]], other)
    assert (mask_tokens(tokens, np.arange(9), seed=8, **SHARES).chosen != whole.chosen).any(1).all()
    assert len({row.tobytes() for row in whole.chosen}) == 9


def test_a_step_is_its_windows_masked_and_ranks_join_to_it():
    arguments = {"seed": 3, "step": 11, "batch_size": 6, "context": 13, **SHARES}
    batch = sample_masked(TOKENS, **arguments)
    windows, _ = sample_batch(TOKENS, seed=3, step=11, batch_size=6, context=13)
    np.testing.assert_array_equal(batch.targets, windows)
    for one, other in zip(batch, sample_masked(TOKENS, **arguments), strict=True):
        np.testing.assert_array_equal(one, other)
    parts = [sample_masked(TOKENS, rank=rank, world=3, **arguments) for rank in range(3)]
    for side in range(4):
        np.testing.assert_array_equal(np.concatenate([part[side] for part in parts]), batch[side])
    assert (sample_masked(TOKENS, **{**arguments, "step": 12}).chosen != batch.chosen).any()


def test_a_window_is_masked_anew_in_each_epoch():
    tokens = np.arange(8)
    seen = [sample_masked(tokens, seed=0, step=step, batch_size=1, context=7, **SHARES) for step in range(30)]
    assert len({batch.chosen.tobytes() for batch in seen}) > 4


@pytest.mark.parametrize("batch_size", [1, 4, 9, 400])
def test_evaluation_sees_every_token_once_and_masks_alike(batch_size):
    batches = list(evaluation_masked(TOKENS, 13, batch_size, **SHARES))
    targets = np.concatenate([batch.targets[~padding] for batch, padding in batches])
    np.testing.assert_array_equal(targets, TOKENS)
    for batch, padding in batches:
        assert batch.inputs.shape == padding.shape == (batch_size, 13) and not (batch.chosen & padding).any()
    inputs = np.concatenate([batch.inputs for batch, _ in batches])[: -(-len(TOKENS) // 13)]
    alone = np.concatenate([batch.inputs for batch, _ in evaluation_masked(TOKENS, 13, 1, **SHARES)])
    np.testing.assert_array_equal(inputs, alone)


def test_the_masking_stays_what_it_was():
    # The same validation figure in every version: these places must not move.
    batch, _ = next(evaluation_masked(np.arange(40), 40, 1, vocab_size=40, mask_id=40))
    assert np.nonzero(batch.chosen[0])[0].tolist() == FROZEN


FROZEN = [0, 20, 24, 29, 33, 35]
