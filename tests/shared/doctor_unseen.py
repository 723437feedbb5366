"""Transformers as different people write them, each with faults by name and healthy variants by name: who sees which?

Written without a look at the checks: from how such files go wrong, one fault a case. `cases()` gives them all; a case
makes its model with `case.model()`. What is known of a host before it is examined stands in DECLARED.
"""

from dataclasses import dataclass

import torch
from unseen_encoders import Bert, Seq2Seq
from unseen_gpt import Gpt
from unseen_llama import Llama

HOSTS: dict[str, tuple[type[torch.nn.Module], tuple[str, ...]]] = {
    "gpt": (Gpt, ()),
    "llama": (Llama, ()),
    "bert": (Bert, ()),
    "seq2seq": (Seq2Seq, ()),
    "mixtral": (Llama, ("experts",)),
}
DECLARED = {"gpt": ("causal",), "llama": ("causal",), "mixtral": ("causal",), "bert": ("encoder",), "seq2seq": ()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A host with some switches on; told: what must be said at least ("FAIL", "WARN", "" for healthy)."""

    host: str
    name: str
    says: str
    told: str = ""
    also: tuple[str, ...] = ()

    def model(self, seed: int = 0) -> torch.nn.Module:
        torch.manual_seed(seed)
        made, always = HOSTS[self.host]
        return made(frozenset((*always, *self.also, self.name))).eval()


FAULTS = {
    "gpt": """
FAIL | mask one too far | every token sees the next
FAIL | mask without the diagonal | a token does not see itself, and the first, with nothing to see, sees all evenly
FAIL | second layer without a mask | only the first layer is causal
FAIL | last head without a mask | one head of three sees everything
FAIL | first token sees all | row 0 of the mask is open
FAIL | prefix of eight seen by all | the mask's first columns are open: token 0 sees token 1
FAIL | mask after the softmax | the weights are zeroed after the softmax: rows do not sum to 1 and the future weighs in
FAIL | mask of -8 | hidden scores get -8, which large scores overcome
FAIL | mask of zero | hidden scores are set to 0, not to minus infinity
FAIL | mask from the first call | the mask of the first length is cut wrongly for a shorter text
FAIL | causal only in training | in eval mode there is no mask
FAIL | heads viewed without a transpose | (B, T, D) is viewed as (B, H, T, K): heads are mixed with time
FAIL | heads put together without a transpose | (B, H, T, K) is viewed as (B, T, D)
FAIL | keys are the queries | the key projection is computed and thrown away
WARN | values of head 0 for all | each head reads the values of head 0
WARN | no scale | scores are not divided by √d
WARN | scale multiplied | scores are multiplied by √d
WARN | scale of the whole width | divided by √width, not by √(head's width)
WARN | scale 1/d | divided by d, not √d
FAIL | softmax over queries | columns sum to 1
FAIL | softmax over heads | the heads share out each pair
WARN | softmax in half | the softmax runs in float16 whatever the model's type
FAIL | attention dropout always on | F.dropout without training=
FAIL | mlp dropout always on | F.dropout with training=True
WARN | dropout on scores | dropout before the softmax zeroes scores
WARN | dropout of what is kept | p = 0.9 where 0.1 was meant
FAIL | norm over time and width | layer_norm(x, x.shape[1:])
FAIL | norm over the batch | mean and variance along dim 0
WARN | norm without eps | divides by the standard deviation alone
WARN | norm divides by the variance | the root is forgotten
WARN | one norm for both branches | ln_2 is ln_1
FAIL | symmetric convolution | a convolution padded on both sides
FAIL | token shift wraps round | torch.roll brings the last token to the first
FAIL | shift along the batch | torch.roll along dim 0
FAIL | mean of all tokens added | x + mean over time
FAIL | activations clipped by the largest | scaled by the largest number of the whole text
WARN | residual from the normed | the stream is replaced by its norm
WARN | no residual round the mlp | x = mlp(norm(x))
WARN | no residual round attention | x = attention(norm(x))
WARN | residual added twice | the branch adds x and the block adds it again
WARN | residual subtracted | attention(x) − x
FAIL | attention thrown away | its result is not used
FAIL | mlp without gradient | no_grad left in
WARN | no activation | the feed-forward is linear
WARN | half the hidden units dead | half of the hidden units are zeroed
FAIL | detached between blocks | .detach() after the first block
WARN | one block twice | [Block()] * L
FAIL | blocks in a list | a Python list: no parameters of the blocks
WARN | tied by a copy | the head is a clone of the embedding
WARN | tied by .data | two parameters on one storage
WARN | init of one | N(0, 1) everywhere
FAIL | init of zero | all matrices zero
WARN | init of 1e-5 | all matrices vanishingly small
FAIL | seed set in forward | forward seeds the global generator
FAIL | ids changed in place | idx[:, 0] = 0
FAIL | positions from one | the last place of the context is out of the table
FAIL | positions from the end | positions count backwards from the text's end
FAIL | positions of the row | positions index the batch
WARN | positions stop at 15 | positions above 15 are clamped
WARN | no positions | no position of any kind
FAIL | noise always added | noise in eval mode too
FAIL | memory of the last call | the mean of the last call is added
WARN | no last norm | the last norm is made and not used
FAIL | last token for all | every place answers with the last token's state
FAIL | weights renormed in forward | forward changes the head's weights
FAIL | probabilities for logits | softmax before the cross-entropy
WARN | logits in half | logits pass through bfloat16
FAIL | labels two ahead | targets shifted in the data and by two in the loss
FAIL | labels shifted backwards | logits[1:] against targets[:-1]
WARN | loss of the last token only | the other places are not learnt
WARN | loss summed | reduction="sum"
WARN | token 0 ignored | ignore_index=0 with no padding token
FAIL | loss over the wrong axis | logits are transposed before the flattening
FAIL | loss detached | the loss has no way back to the weights
""",
    "llama": """
WARN | rms in half | x² is taken in float16
FAIL | rms over everything | one mean for batch, time and width
FAIL | rms over time | dim=1
WARN | rms of the sum | sum, not mean, of squares
WARN | rms with eps of one | eps = 1
FAIL | rms without its gain | the weight is not used
WARN | rope without the minus | rotate_half without the sign: no rotation
WARN | rope halves against pairs | angles in pairs, halves rotated
WARN | rope frequencies upside down | θ^(+2i/d)
WARN | rope table a plain attribute | the table is no buffer and stays behind
WARN | rope in half | positions × frequencies in bfloat16
FAIL | rope stretched by the length | positions are scaled by the text's length
FAIL | keys cached before rope, turned by the new angles | cached keys are turned a second time
WARN | rope of keys turns back | keys are turned by −angle
WARN | rope on queries only | keys are not turned
WARN | rope on values | values are turned too
FAIL | cache loses its first token | the oldest entry is dropped at each step
FAIL | cache of row 0 | all rows read the cache of row 0
WARN | cache in eight bits | the cache is rounded to 8 bits
FAIL | new values put before the cached | values are joined in the other order than keys
FAIL | cache of layer 0 for all | past_key_values[0] for each layer
FAIL | cached positions from zero | positions begin at 0 in each step
FAIL | cached positions one off | positions are past + 1
FAIL | cache kept in the model | the last call's cache is used for a single token
WARN | cache changed in place | the caller's list is overwritten
FAIL | mask of chunks from the left | several tokens after a cache see too little
FAIL | window forgets the cache | with a cache only three tokens back are seen
WARN | groups tiled | repeat for repeat_interleave: head h reads group h mod g
FAIL | groups tiled when cached | tiled with a cache, interleaved without
WARN | all heads on the first group | the second group is not used
FAIL | groups spread over the batch | keys are repeated along the batch
WARN | keys grouped, values tiled | head 1 has the keys of one group, the values of another
WARN | up projection unused | silu(gate) · gate
WARN | mlp without its norm | the feed-forward reads the stream unnormed
WARN | stream of attention lost | h is forgotten: x + mlp(h)
FAIL | qk-norm over time | norms of queries and keys along the tokens
FAIL | attention mask ignored | padding is attended to
FAIL | attention mask upside down | real tokens are hidden
FAIL | attention mask for the causal one | with a mask given, causality is off
FAIL | attention mask along queries | rows, not columns, are masked
FAIL | attention mask added as ones | 0 and 1 are added to the scores
FAIL | attention mask one off | the mask is moved by one
FAIL | rows of padding all -inf | left padding gives NaN
FAIL | labels shifted twice | two ahead
FAIL | labels not shifted | labels= without the shift
WARN | padding counted in the mean | −100 counts in the divisor
FAIL | labels -100 learnt as token 0 | −100 is clamped to 0 and learnt
""",
    "bert": """
FAIL | mask upside down | real tokens are hidden
FAIL | mask of minus one | padding is hidden by −1 alone
FAIL | mask along queries | rows, not columns
FAIL | mask multiplied | ones and zeros are added
FAIL | mask left out | padding is attended to
FAIL | mask left out after the first layer | the second layer attends to padding
WARN | causal mask in an encoder | a decoder's mask left in
FAIL | positions shrink with the padding | padding moves the positions
WARN | positions left out | no positions
FAIL | embeddings normed over the text | layer_norm over time too
FAIL | embedding dropout always on | F.dropout without training=
WARN | unscaled scores | no 1/√d
FAIL | softmax over queries | columns sum to 1
WARN | softmax of the last layer missing | scores for weights
WARN | norm without residual | LayerNorm(f(x))
FAIL | batch norm | BatchNorm for LayerNorm: statistics over batch and padding
WARN | head of detached words | the tied head gives no gradient
FAIL | classifier of the mean, padding too | the mean counts padding
FAIL | classifier of the last place | the last place may be padding
FAIL | classifier of the sum | the sum is divided by the padded length
""",
    "seq2seq": """
FAIL | decoder sees ahead | no causal mask
FAIL | decoder one too far | the next token is seen
WARN | encoder causal | the encoder has the decoder's mask
FAIL | no cross attention | the decoder does not read the encoder
FAIL | cross attention on itself | the decoder reads itself twice
FAIL | cross attention turned round | the encoder asks the decoder
FAIL | cross attention causal | target i sees source up to i alone
FAIL | memory of row 0 | all rows read text 0
WARN | memory of one place | only the first source token is read
FAIL | memory detached | the encoder does not learn
FAIL | memory averaged over the batch | rows are centred by each other
FAIL | labels not shifted right | the decoder reads what it is to say
FAIL | labels shifted again in the loss | shifted right and left
FAIL | encoder mask left out | the encoder attends to padding
FAIL | cross mask left out | the decoder attends to padding
FAIL | mask upside down | real tokens are hidden
""",
    "mixtral": """
FAIL | tokens flattened crosswise | (T, B) out of (B, T)
FAIL | router noise always on | noise in eval mode
FAIL | router softmax over tokens | dim=0
FAIL | router always the first experts | three experts are dead
WARN | router detached | the router does not learn
WARN | one expert of weight one | top-1 normed to 1: the router does not learn
FAIL | capacity over the batch | full experts drop tokens of later rows
FAIL | experts choose tokens | later tokens decide on earlier ones
WARN | weight of the first slot for both | both experts get the first weight
FAIL | second expert overwrites | = for +=
FAIL | outputs put back in order of experts | results go to other tokens
WARN | one expert many times | [Expert()] * n
""",
}

HEALTHY = {
    "gpt": """
plain | the host itself
sinusoids | fixed sinusoids, embeddings scaled by √d
alibi | distances for positions
softcap | scores through tanh
logit softcap | logits through tanh
logit scale | logits halved
tied | one matrix for embedding and head
no bias | no biases
multi-query | one head of keys and values
qk-norm | cosine attention
learned temperature | a temperature a head
sliding window | seven tokens back
mask of -1e4 | an additive mask
relu squared | relu²
post-norm | as in 2017
norms after too | sandwich norms
parallel branches | attention and feed-forward from one stream
rezero | a learned gate on each branch
scaled residual | init of the residual matrices by 1/√(2L)
causal convolution | padded on the left
token shift | the last token mixed in
mean of the past added | a running mean
label smoothing | 0.1
""",
    "llama": """
plain | the host itself
interleaved rope | pairs, not halves
sliding window | eleven tokens back
qk-norm | RMSNorm on queries and keys
fused kernel | scaled_dot_product_attention
positions of real tokens | positions count real tokens
mask of -1e4 | −1e4 for hidden scores
embeddings scaled | × √d
two branches scaled | the sum of both by 1/√2
tied | tied head
padding row | padding_idx=0
""",
    "bert": """
plain | the host itself
positions count real tokens | RoBERTa's positions
padding found in the ids | id 0 is padding where no mask is given
mask of the least number | finfo.min
classifier | one row a text, from the first token
classifier of the mean | the mean of real tokens
""",
    "seq2seq": """
plain | the host itself
tied and scaled | T5's tied head
one stack for both | encoder and decoder share their weights
""",
    "mixtral": """
plain | the host itself
weights not normed | softmax over all, then top-k
sigmoid router | sigmoid scores, normed
""",
}


def cases() -> tuple[list[Case], list[Case]]:
    """(faults, healthy variants)."""
    faults, healthy = [], []
    for host, lines in FAULTS.items():
        for line in lines.strip().splitlines():
            told, name, says = line.split(" | ")
            faults.append(Case(host=host, name=name, says=says, told=told))
    for host, lines in HEALTHY.items():
        for line in lines.strip().splitlines():
            name, says = line.split(" | ")
            healthy.append(Case(host=host, name=name, says=says))
    return faults, healthy
