import numpy as np
import pytest
import torch

from oneblock.train import seeds
from oneblock.train.seeds import step_seed


def test_the_mixer_is_splitmix64():
    golden, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    # The published first outputs of SplitMix64 for the seed 1234567.
    outputs = [seeds._mix((1234567 + (i + 1) * golden) & mask) for i in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def reference(*parts):
    """The same in numpy's wrapping 64-bit arithmetic."""
    mixed = np.zeros(1, np.uint64)
    for part in parts:
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15) + np.uint64(part)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return int(mixed[0] >> np.uint64(1))


@pytest.mark.parametrize("parts", [(0, 0, 0, 0), (1337, 0, 0, 0), (1337, 2551, 3, 1), (2**63 + 5, 10**9, 7, 8)])
def test_the_seed_is_the_formula_and_never_changes(parts):
    assert step_seed(*parts) == reference(*parts)


def test_all_seeds_of_a_grid_differ_in_63_bits_and_nearly_all_in_the_low_32():
    grid = [
        step_seed(seed, step, micro_step, rank)
        for seed in (0, 1, 1337)
        for step in range(500)
        for micro_step in range(5)
        for rank in range(3)
    ]
    assert all(0 <= value < 1 << 63 for value in grid)
    assert len(set(grid)) == len(grid)
    # 22,500 draws of 32 bits: 0.06 collisions are expected.
    assert len({value & 0xFFFFFFFF for value in grid}) >= len(grid) - 2


def test_arguments_do_not_stand_for_each_other():
    assert len({step_seed(2, 3, 5, 7), step_seed(3, 2, 5, 7), step_seed(2, 5, 3, 7), step_seed(2, 3, 7, 5)}) == 4


def test_one_bit_of_any_argument_turns_half_of_the_bits():
    flips = []
    for step in range(200):
        for change in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)):
            base = (4, 2 * step, 6, 8)
            moved = tuple(a ^ b for a, b in zip(base, change, strict=True))
            flips.append((step_seed(*base) ^ step_seed(*moved)).bit_count())
    mean = sum(flips) / len(flips)
    assert 30.5 < mean < 32.5
    assert min(flips) > 10


def test_dropout_after_seeding_is_a_function_of_the_step():
    def dropped(step):
        torch.manual_seed(step_seed(1337, step))
        return torch.nn.functional.dropout(torch.ones(97), 0.3)

    first = dropped(5)
    dropped(6)
    assert torch.equal(dropped(5), first)
    assert not torch.equal(dropped(6), first)
