"""Faults for classes of transformers, by class: fault | checks any of which should tell it | how it is planted | where.

Where is a part of a module's name; planting is a name of doctor_peers.
"""

FAULTS = {
    "GPT2LMHeadModel": """
no mask | C1 | kernel
no mask in training | C1 | kernel
mask from the top left | K1 K2 | kernel
own mask, pads forgotten | P1 | kernel
mask one too far | C1 | kernel
mask of -15 | C1 C2 | kernel
mask after the softmax | C1 A1 | kernel
mask added as ones | C1 | kernel
no scale | A2 | kernel
dropout in eval | E1 | kernel
dropout without rescaling | E2 | kernel
merged without a transpose | C1 A5 | kernel
a dead head | A4 | kernel
positions one behind with a cache | K1 K3 | Places
positions start at 0 with a cache | K1 K3 | Places
positions from one | R2 | Places
positions counted from the end | C1 K1 | Places
positions end at 32 | R2 | Places
positions forgotten | W2 R2 | Places
no residual around attention | N1 | Stream
no residual around the feed-forward | N1 | Stream
residual after the norm | N1 | Stream
residual twice | N1 | Stream
attention detached | W2 | Stream
relu on what attention gives | N1 | Stream
attention thrown away | W2 | Stream
norm over tokens | C1 N2 | Norm
norm over the batch | B1 N2 | Norm
no final norm | N1 | no_final_norm
head untied | W1 | untied
embedding far too large | I2 | large_embedding
one block many times | W3 | one_block
no activation | W2 | no_activation
labels not shifted | L1 | not_shifted
labels shifted twice | L1 | shifted_twice
""",
    "LlamaForCausalLM": """
no mask | C1 | kernel
mask from the top left | K1 K2 | kernel
own mask, pads forgotten | P1 | kernel
mask of the first row for all | P1 B1 | kernel
multiplied by the root | A2 | kernel
values tiled, keys in blocks | G1 | kernel
all heads on the first group | G1 W2 | kernel
weights without the token itself | C4 | kernel
only queries rotated | R1 | Rope
only keys rotated | R1 | Rope
keys rotated the other way | R1 | Rope
values rotated too | R1 | Rope
values from the keys' matrix | W2 | Rope
keys normed over tokens | C1 | Rope
cache is filled and not read | K1 | Rope
cached values one behind | K1 | Rope
cache of 32 tokens | C4 K1 K2 | Rope
positions start at 0 with a cache | K1 K3 | Angles
positions one behind with a cache | K1 K3 | Angles
positions halved | R1 | Angles
positions end at 32 | R1 | Angles
positions stretched by the length | C1 K1 | Angles
angles in half precision | D1 | Angles
feed-forward reads the stream unnormed | N1 | Stream
feed-forward of the next token | C1 | Stream
stream of attention lost | N1 | Stream
gain of the norms not used | W2 | Norm
norm divides by the variance | N2 | Norm
norm in half precision | D2 | Norm
one norm for both branches | W3 | one_norm
last block never run | W2 | last_block_never_run
labels of -100 counted | L1 | minus_100_counted
""",
    "MixtralForCausalLM": """
no mask | C1 | kernel
softmax over queries | C1 A1 | kernel
scaled by the width | A2 | kernel
router over tokens | C1 B1 | Router
noise of the router in eval | E1 | Router
always the first experts | W2 M1 | Router
one expert of weight one | W2 M1 | Router
router detached | W2 M1 | Router
weight of the first for both | M1 | Router
router in half precision | D3 D2 | Router
full experts drop later rows | B1 C1 | Experts
the first expert for all | W2 M1 | Experts
gate not used | W2 | Experts
second expert overwrites | M1 | Experts
answers at the next token | C1 A5 B1 | Experts
positions one behind with a cache | K1 K3 | Angles
no residual around attention | N1 | Stream
no final norm | N1 | no_final_norm
experts all alike | W3 | experts_alike
""",
    "BertForMaskedLM": """
pads masked by -1 | P1 | kernel
pads masked as queries | P1 | kernel
mask upside down | P1 | kernel
no mask | P1 | kernel | layer.1
causal in an encoder | C1 C4 | kernel
keys of the next row | B1 | kernel
no scale | A2 | kernel
softmax over queries | A1 | kernel
softmax over heads | A1 | kernel
softmax in half precision | D2 | kernel
dropout in eval | E1 | kernel
tokens taken for rows | B1 | Swapped
residual lost | N1 | Residual
norm forgotten | N1 W2 | Residual
dropout of the branch in eval | E1 | Residual
dropout without rescaling | E2 | Residual
noise in eval | E1 | Words
embeddings centred over the text | P1 | Words
head untied | W1 | untied
no activation | W2 | no_activation
weights are one number | I1 | one_number
no positions | R0 R2 W2 | no_positions
labels shifted | L1 | Labels
""",
    "T5ForConditionalGeneration": """
no mask | C1 | kernel | decoder.block.0.layer.0
mask one too far | C1 | kernel | decoder.block.1.layer.0
no mask | P1 | kernel | encoder.block.0
causal in an encoder | C1 | kernel | encoder
bias left out | W2 R2 | kernel | decoder
softmax over queries | A1 C1 | kernel | layer.1
dropout in eval | E1 | kernel
dropout without rescaling | E2 | kernel
memory of the first row for all | B1 | Cross
memory detached | W2 | Cross
memory of one place | C1 | Cross
cross-attention on itself | C1 W2 | Cross
cross-attention thrown away | C1 W2 | Cross
mask of the source ignored | P1 | Cross
distances start anew with a cache | K1 K2 | Distances
distances turned | R1 C1 K1 | Distances | decoder
one distance for all | W2 R2 R0 R1 | Distances | decoder
feed-forward reads the stream unnormed | N1 | Branch
no residual around the feed-forward | N1 | Branch
dropout of the branch in eval | E1 | Branch
norm over tokens | C1 N2 | Norm | decoder
no activation | W2 | no_activation
no final norm | N1 | no_final_norm
labels shifted again | L1 | Targets
""",
}
WARNED = {
    "angles in half precision",
    "norm in half precision",
    "softmax in half precision",
    "router in half precision",
    "dropout without rescaling",
    "relu on what attention gives",
    "causal in an encoder",
    "memory of one place",
    "always the first experts",
    "the first expert for all",
    "cache of 32 tokens",
    "norm divides by the variance",
    "stream of attention lost",
    "experts all alike",
    "positions end at 32",
    "one distance for all",
    "weight of the first for both",
}
"""Faults that a WARN is right for: they may be meant, or only half precision, or training, shows them."""
