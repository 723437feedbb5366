"""Transforms: each against loops over single rows, and its way back."""

import pytest
import torch

from oneblock.config import Rope
from oneblock.nn.rope import ROTATIONS, frequencies
from oneblock.weights import transforms
from oneblock.weights.transforms import Sizes, Transform, rows_from

H, G, K, D, E, F = 6, 2, 10, 7, 5, 3
SIZES = Sizes(H, G, K, patch=2)


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


THEIRS = {
    "SAME": [numbers(D, F)],
    "TRANSPOSED": [numbers(D, F)],
    "QKV": [numbers(H * K, D), numbers(G * K, D), numbers(G * K, D) + 1],
    "KV": [numbers(G * K, D), numbers(G * K, D) + 1],
    "QKV_OF_EACH_HEAD": [numbers(H * 3 * K, D)],
    "FUSED_ROWS": [numbers(2 * F, D)],
    "STACKED": [numbers(F, D), numbers(F, D) + 1, numbers(F, D) + 2],
    "FUSED_ROWS_OF_EACH_EXPERT": [numbers(E, 2 * F, D)],
    "QKV_OF_NEIGHBOURS": [numbers(H * K, D), numbers(G * K, D), numbers(G * K, D) + 1],
    "PATCHES": [numbers(D, F, 2, 2)],
    "FOR_A_BATCH": [numbers(1, 9, D)],
    "ONE_TOKEN": [numbers(1, 1, D)],
}


def all_transforms():
    return {name: each for name, each in vars(transforms).items() if isinstance(each, Transform)}


@pytest.mark.parametrize("name", THEIRS)
def test_there_and_back_is_the_same(name):
    transform, theirs = all_transforms()[name], THEIRS[name]
    ours = transform.to_ours(theirs, SIZES)
    back = transform.to_theirs(ours, SIZES)
    assert len(back) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(back, theirs, strict=True))
    # Shapes of a file are found by running the way back on tensors without content.
    hollow = transform.to_theirs([each.to("meta") for each in ours], SIZES)
    assert [each.shape for each in hollow] == [each.shape for each in theirs]


def test_one_sided_vectors_too():
    """Biases have no second axis."""
    for name in ("QKV", "QKV_OF_EACH_HEAD", "QKV_OF_NEIGHBOURS", "FUSED_ROWS"):
        transform, theirs = all_transforms()[name], [each[:, 0] for each in THEIRS[name]]
        back = transform.to_theirs(transform.to_ours(theirs, SIZES), SIZES)
        assert all(torch.equal(a, b) for a, b in zip(back, theirs, strict=True))


def test_a_new_transform_is_tested_here():
    made_with_a_number = {"rows_from"}
    assert all_transforms().keys() - THEIRS.keys() - made_with_a_number <= {"PLUS_ONE"}


def test_transposed_is_no_reshape():
    weight = numbers(D, F)
    assert transforms.TRANSPOSED.to_ours([weight], SIZES)[0][2, 4] == weight[4, 2]


def test_q_k_v_stand_one_after_another():
    q, k, v = THEIRS["QKV"]
    whole = transforms.QKV.to_ours([q, k, v], SIZES)[0]
    assert torch.equal(whole[: H * K], q)
    assert torch.equal(whole[H * K : (H + G) * K], k)
    assert torch.equal(whole[(H + G) * K :], v)


def test_of_each_head_row_by_row():
    weight = THEIRS["QKV_OF_EACH_HEAD"][0]
    ours = transforms.QKV_OF_EACH_HEAD.to_ours([weight], SIZES)[0]
    for part in range(3):
        for head in range(H):
            for feature in range(K):
                mine, their = ours[part * H * K + head * K + feature], weight[head * 3 * K + part * K + feature]
                assert torch.equal(mine, their)


def test_experts_row_by_row():
    fused = THEIRS["FUSED_ROWS_OF_EACH_EXPERT"][0]
    gate, up = transforms.FUSED_ROWS_OF_EACH_EXPERT.to_ours([fused], SIZES)
    assert torch.equal(gate[3, 1], fused[3, 1])
    assert torch.equal(up[3, 1], fused[3, F + 1])
    stacked = transforms.STACKED.to_ours(THEIRS["STACKED"], SIZES)[0]
    assert torch.equal(stacked[2], THEIRS["STACKED"][2])


def test_neighbours_turned_as_halves_give_the_same_scores():
    """q and k of weights made for the one pairing, turned by the other after the transform: every q·k is equal."""
    q_rows, k_rows, v_rows = THEIRS["QKV_OF_NEIGHBOURS"]
    ours = transforms.QKV_OF_NEIGHBOURS.to_ours([q_rows, k_rows, v_rows], SIZES)[0]
    x = numbers(4, D)
    theta, _ = frequencies(Rope(), K)
    phase = torch.arange(4, dtype=torch.float64)[:, None] * theta

    def scores(q, k, turn):
        q, k = ((x @ rows.T).unflatten(1, (-1, K)).transpose(0, 1) for rows in (q, k))
        q, k = (turn(each, phase.cos(), phase.sin()) for each in (q, k))
        return q @ k.repeat_interleave(H // G, 0).transpose(1, 2)

    right = scores(q_rows, k_rows, ROTATIONS["interleaved"])
    got = scores(ours[: H * K], ours[H * K : (H + G) * K], ROTATIONS["half"])
    assert (got - right).abs().max() < 1e-12
    assert (scores(q_rows, k_rows, ROTATIONS["half"]) - right).abs().max() > 0.1
    assert torch.equal(ours[(H + G) * K :], v_rows)


def test_patches_are_rows_then_columns_then_channels():
    kernel = THEIRS["PATCHES"][0]
    ours = transforms.PATCHES.to_ours([kernel], SIZES)[0]
    for row in range(2):
        for column in range(2):
            for channel in range(F):
                assert torch.equal(ours[:, (row * 2 + column) * F + channel], kernel[:, channel, row, column])


def test_rows_from_an_offset():
    table = numbers(9, D)
    transform = rows_from(2)
    ours = transform.to_ours([table], SIZES)
    assert torch.equal(ours[0], table[2:])
    back = transform.to_theirs(ours, SIZES)[0]
    assert torch.equal(back[2:], table[2:])
    assert back[:2].abs().max() == 0


def test_a_gain_that_is_added_to_one():
    gain = numbers(D)
    assert torch.equal(transforms.PLUS_ONE.to_ours([gain], SIZES)[0], gain + 1)
    assert (transforms.PLUS_ONE.to_theirs([gain + 1], SIZES)[0] - gain).abs().max() < 1e-15
