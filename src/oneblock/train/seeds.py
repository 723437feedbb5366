"""Seeds that depend on nothing but where training stands."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def step_seed(seed: int, step: int, micro_step: int = 0, rank: int = 0) -> int:
    """A well-mixed 63-bit seed for one forward pass, for `torch.manual_seed`.

    h = mix(h + golden + x) for x in (seed, step, micro_step, rank), then the upper 63 bits.

    Dropout drawn after seeding with it is a pure function of the arguments, so a resumed run needs no
    generator state. Neighbouring arguments give unrelated seeds in the low 32 bits too, which are all
    that the CPU generator reads. Steele, Lea & Flood 2014 (SplitMix64).
    """
    mixed = 0
    for part in (seed, step, micro_step, rank):
        mixed = _mix((mixed + _GOLDEN + part) & _MASK)
    return mixed >> 1


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
