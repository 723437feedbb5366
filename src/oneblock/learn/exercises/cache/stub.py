"""Exercise 11: the key/value cache.

A model writes token after token. To add one it needs the queries of that one only, but the keys and values of all
before it; and those are the same as in the step before, for under a causal mask no token's past changes. So keys and
values are kept, and each step computes them for its new tokens alone. Without that, text of length n costs n passes
over everything that is there already.

`attend_with_cache` does what causal multi-head attention does, for the tokens that are new:

    attention   a MultiHeadAttention of exercise 4: its layers `qkv` (rows in the order q, k, v) and `output`, its
                `num_heads` H and `num_kv_heads` G. If your class is laid out otherwise, have it in this file, by an
                import or a copy, with its mapping(); else the check lends you a plain one with these four names.
    x           B×T×D, the next T tokens: a whole prompt, one token, or some in between
    cache       what your last call returned; None before the first one. Its form is up to you
    position    how many tokens came before x (0 with None)

It returns (output, cache): output B×T×D for the T new tokens, and what the next call will need. In whatever chunks a
text is passed in, the outputs in a row are those of one call with all of it.

    q, k, v of x        H heads of queries, G of keys and values; the head width is K = D / H; head i uses group
                        i // (H / G); scores are divided by √K, as always
    keys, values        those in the cache, then the new ones: position + T of them

The trap is the mask. The T queries are the *last* ones among position + T tokens: query i of the chunk sits at place
position + i and may attend to keys up to there. With position 4 and T = 2, six keys in all:

    new token 0:  1 1 1 1 1 0
    new token 1:  1 1 1 1 1 1

The mask of a text of its own (1 0 0 0 0 0 for new token 0) is wrong here, and no mask at all is right only for T = 1.

Nothing may be kept elsewhere than in what you return: two texts may take turns, and from one cache somebody may go on
in two ways. So do not append to the cache you are given; make a new one.
"""

from typing import Any

from torch import Tensor, nn


def attend_with_cache(attention: nn.Module, x: Tensor, cache: Any, position: int) -> tuple[Tensor, Any]:
    """(output, cache): causal attention of a chunk x B×T×D that comes after `position` tokens."""
    raise NotImplementedError("attend_with_cache is yours to write")
