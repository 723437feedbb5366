"""Faults thought of apart from the zoo: (fault, the checks any of which should tell it, what the host is made with)."""

import doctor_modern as modern
import torch

ALIBI, MIXED, WINDOW = {"position": "alibi"}, {"experts": 4}, {"window": 5}
FAULTS = [
    ("only queries rotated", "R1", {}),
    ("only keys rotated", "R1", {}),
    ("keys rotated the other way", "R1", {}),
    ("values rotated too", "R1", {}),
    ("angles by head", "R1", {}),
    ("positions halved", "R1", {}),
    ("positions end at 32", "R1", {}),
    ("places counted from the end", "R1 C1 K1", {}),
    ("angles in half precision", "D1", {}),
    ("keys begin anew with a cache", "K1 K2 K3", {}),
    ("cached keys rotated again", "K1 K2 K3", {}),
    ("ring buffer of 32", "C4 K1 K2", {}),
    ("cache follows the first row", "K1", {}),
    ("strict behind a cache", "K2", {}),
    ("values tiled, keys in blocks", "G1", {}),
    ("last group unused", "G1 W2", {}),
    ("a token is blind to itself", "C4", {}),
    ("attention within pieces of 8", "C4", {}),
    ("mask of the first call kept", "C1 E1", {}),
    ("window one too wide", "C4", WINDOW),
    ("window missing in one layer", "C4", WINDOW),
    ("window forgotten with a cache", "K1 K2", WINDOW),
    ("slopes all alike", "R3", ALIBI),
    ("slopes with the wrong sign", "R3", ALIBI),
    ("slopes as if a power of two", "R3", ALIBI),
    ("bias before the scale", "R3", ALIBI),
    ("bias from chunk's start", "K1 K2", ALIBI),
    ("mask turned by ~", "C3 P1", {}),
    ("first layer ignores pads", "P1", {}),
    ("pads of the first row for all", "P1 B1", {}),
    ("pads are zeroed, not masked", "P1", {}),
    ("heads merged wrongly before", "C1 A5", {}),
    ("key norm over tokens", "C1 N2", {}),
    ("softmax over heads", "A1", {}),
    ("weights dropped and not rescaled", "A1", {}),
    ("values from the keys' matrix", "W2", {}),
    ("no activation", "W2", {}),
    ("gate cut off", "W2", {}),
    ("gate twice, no up", "W2", {}),
    ("one block without gradients", "W2", {}),
    ("norm's gain is cut off", "W2", {}),
    ("half precision inside", "D2", {}),
    ("the first block every time", "W2", {}),
    ("last block left out of the head", "W2", {}),
    ("skips go round the norm", "N1", {}),
    ("shift by one token", "A5", {}),
    ("router over tokens", "C1 B1", MIXED),
    ("router over the wrong axis", "M1 C1 B1", MIXED),
    ("weights of the router cut off", "M1 W2", MIXED),
    ("one expert, weight always one", "M1 W2", MIXED),
    ("every token to one expert", "M1 W2", MIXED),
    ("later tokens evict earlier", "C1", MIXED),
    ("answers at the next token", "A5 B1 C1", MIXED),
    ("one block is a copy", "W3", {}),
    ("embedding all zero", "I1 I2", {}),
    ("residual projections far too large", "I1", {}),
    ("a table that is not saved", "W1", {"position": "none"}),
    ("head is a copy made once", "W1 W2", {}),
    ("train mode stops at the top", "E2", {}),
    ("seed set in the forward", "E1", {}),
    ("counts its calls", "E1", {}),
    ("dropout on the stream always", "E1", {}),
    ("large ids are cut", "W2", {}),
    ("squeezed", "B1", {}),
    ("scaled by the length", "C1", {}),
    ("batch mean in the logits", "C1 B1", {}),
    ("loss from the wrong end", "L1", {}),
    ("mean over ignored labels too", "L1", {}),
    ("loss of the last token", "L1", {}),
    ("probabilities in the loss", "L1", {}),
]
PAIRS = [
    ("memory is the target", "W2 C1"),
    ("memory masked causally", "C1"),
    ("encoder sees pads", "P1"),
    ("decoder sees the source's pads", "P1"),
    ("decoder without mask", "C1"),
    ("batch_first forgotten in the encoder", "B1"),
]
WARNED = {
    "angles in half precision",
    "half precision inside",
    "attention within pieces of 8",
    "slopes as if a power of two",
    "bias before the scale",
    "shift by one token",
    "every token to one expert",
    "one block is a copy",
    "residual projections far too large",
    "loss of the last token",
    "dropout on the stream always",
    "ring buffer of 32",
}
"""Faults that a WARN is right for: they may be meant, or only half precision shows them."""
HEALTHY = [{}, ALIBI, MIXED, WINDOW, {"position": "none"}]


UNSAVED = "a table that is not saved"
"""A fault that only another model, made anew, can show."""


def again(fault: str, options: dict):
    """What makes another model, where the fault needs one."""
    return (lambda: modern.Modern(fault, **options)) if fault == UNSAVED else None


def ill(fault: str, **options) -> torch.nn.Module:
    """A host with a fault (none where it is "")."""
    torch.manual_seed(0)
    return modern.Modern(fault, **options)


def ill_pair(fault: str) -> torch.nn.Module:
    """The encoder-decoder with a fault."""
    torch.manual_seed(0)
    return modern.Pair(fault)
