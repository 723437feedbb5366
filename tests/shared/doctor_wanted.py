"""Which checks should tell the faults of the lists that were written without a look at the checks.

Written down afterwards, from what each fault is: host -> lines of fault | checks, any of which should.
"""

WANTED = {
    "gpt": """
mask one too far | C1
mask without the diagonal | C4 C1
second layer without a mask | C1
last head without a mask | C1
first token sees all | C1
prefix of eight seen by all | C1
mask after the softmax | C1 A1
mask of -8 | C1 C2
mask of zero | C1 C2
mask from the first call | C1 E1
causal only in training | C1
heads viewed without a transpose | C1 A5
heads put together without a transpose | C1 A5
keys are the queries | W2
values of head 0 for all | G1 W2
no scale | A2
scale multiplied | A2
scale of the whole width | A2
scale 1/d | A2
softmax over queries | A1 C1
softmax over heads | A1
softmax in half | D2
attention dropout always on | E1
mlp dropout always on | E1
dropout on scores | A1
dropout of what is kept | E2
norm over time and width | C1 N2
norm over the batch | B1 N2
norm without eps | N2
norm divides by the variance | N2
one norm for both branches | W3
symmetric convolution | C1
token shift wraps round | C1
shift along the batch | B1
mean of all tokens added | C1
activations clipped by the largest | C1 B1
residual from the normed | N1
no residual round the mlp | N1
no residual round attention | N1
residual added twice | N1
residual subtracted | N1
attention thrown away | W2
mlp without gradient | W2
no activation | W2
half the hidden units dead | W2
detached between blocks | W2
one block twice | W3
blocks in a list | W4
tied by a copy | W3 W1
tied by .data | W1 W3
init of one | I1 I2
init of zero | I1
init of 1e-5 | I1
seed set in forward | E1
ids changed in place | E1
positions from one | R2
positions from the end | C1 K1
positions of the row | B1
positions stop at 15 | R2
no positions | R0 W2 R2
noise always added | E1
memory of the last call | E1
no last norm | N1 W2
last token for all | C1
weights renormed in forward | E1
probabilities for logits | L1
logits in half | D2
labels two ahead | L1
labels shifted backwards | L1
loss of the last token only | L1
loss summed | L2 L1
token 0 ignored | L1
loss over the wrong axis | L1
loss detached | L2 L1 W2
""",
    "llama": """
rms in half | D2
rms over everything | C1 B1 N2
rms over time | C1 N2
rms of the sum | N2
rms with eps of one | N2
rms without its gain | W2
rope without the minus | R1
rope halves against pairs | R1
rope frequencies upside down | R1
rope table a plain attribute | W4
rope in half | R1 D1
rope stretched by the length | C1 K1
keys cached before rope, turned by the new angles | K1
rope of keys turns back | R1
rope on queries only | R1
rope on values | R1
cache loses its first token | K1 K2
cache of row 0 | K1 B1
cache in eight bits | K1 K2
new values put before the cached | K1
cache of layer 0 for all | K1
cached positions from zero | K1 K3
cached positions one off | K1 K3
cache kept in the model | E1 K1
cache changed in place | K1
mask of chunks from the left | K2
window forgets the cache | K1 K2
groups tiled | G1
groups tiled when cached | K1 K2
all heads on the first group | G1 W2
groups spread over the batch | B1
keys grouped, values tiled | G1
up projection unused | W2
mlp without its norm | N1 W2
stream of attention lost | N1
qk-norm over time | C1 N2
attention mask ignored | P1
attention mask upside down | P1
attention mask for the causal one | C1
attention mask along queries | P1
attention mask added as ones | P1 C3
attention mask one off | P1
rows of padding all -inf | P1 P2
labels shifted twice | L1
labels not shifted | L1
padding counted in the mean | L1
labels -100 learnt as token 0 | L1
""",
    "bert": """
mask upside down | P1
mask of minus one | P1
mask along queries | P1
mask multiplied | P1
mask left out | P1
mask left out after the first layer | P1
causal mask in an encoder | C1 C4
positions shrink with the padding | P1
positions left out | R0 R2 W2
embeddings normed over the text | P1 N2 A5
embedding dropout always on | E1
unscaled scores | A2
softmax over queries | A1 P1
softmax of the last layer missing | A1
norm without residual | N1
batch norm | B1 N2
head of detached words | W2
classifier of the mean, padding too | P1
classifier of the last place | P1
classifier of the sum | P1
""",
    "seq2seq": """
decoder sees ahead | C1
decoder one too far | C1
encoder causal | C1
no cross attention | C1 W2
cross attention on itself | C1 W2
cross attention turned round | C1
cross attention causal | C1
memory of row 0 | B1
memory of one place | C1
memory detached | W2
memory averaged over the batch | B1
labels not shifted right | C1 L1
labels shifted again in the loss | L1
encoder mask left out | P1
cross mask left out | P1
mask upside down | P1
""",
    "mixtral": """
tokens flattened crosswise | C1 B1 K1
router noise always on | E1
router softmax over tokens | C1 B1
router always the first experts | M1 W2
router detached | M1 W2
one expert of weight one | M1 W2
capacity over the batch | B1
experts choose tokens | C1
weight of the first slot for both | M1
second expert overwrites | M1
outputs put back in order of experts | C1 B1 A5
one expert many times | W3
""",
    "tutorial": """
batch first forgotten | B1
mask turned round | C1
mask as ones added | C1
tokens of a block of eight see each other | C1
only its own block of eight | C4
window on the wrong side | C1
register at the end | C1
embedding of max_norm | E1
words renumbered by the text | C1
padded inside on the left | C1 P1 B1
one token squeezed | B1
running mean kept in eval | E1
own dropout without rescaling | E2
random features not saved | W1
padding turned round | P1
padding zeroes the embeddings alone | P1
last layer never run | W2
layers are copies of one | W3
relu on what attention gives | N1
backward of another activation | W2
stream kept in bfloat16 | D2
likelihood of probabilities | L1
loss in bits | L1
""",
    "late": """
softcap over the mask | C1 C2
scale kept in the cached keys | K1
single tokens not kept | K1
alibi from zero behind a cache | K1
padding and causality by or | C1 P1
qk-norm over heads | N2
weights dropped in eval | E1
largest weight alone in eval | E2
""",
    "late experts": """
router reads the whole text | C1
sorted and not put back | C1 B1
experts read the stream unnormed | N1 W2
""",
}


def wanted():
    """(host, fault) -> checks."""
    lines = [(host, *line.split(" | ")) for host, text in WANTED.items() for line in text.strip().splitlines()]
    return {(host, name.strip()): checks.strip() for host, name, checks in lines}
