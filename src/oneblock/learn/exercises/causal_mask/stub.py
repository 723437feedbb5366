"""Exercise 3: the causal mask.

A model that learns to say the next token may not see it. So while it reads "the sky is blue", the token "sky" may
attend to "the" and to itself, and to nothing that comes later. For four tokens, rows being queries, columns keys:

              the   sky   is    blue
    the       True  .     .     .
    sky       True  True  .     .          . is False
    is        True  True  True  .
    blue      True  True  True  True

True means may attend, as in exercise 2.

There may be more keys than queries. When a model writes, keys of the tokens before are kept, and only new tokens ask:
the two queries "is", "blue" have four keys. The last query always belongs to the last key, so the table is aligned at
its lower right corner, and these two queries have its last two rows:

    is        True  True  True  .
    blue      True  True  True  True

The same alignment holds where there are more queries than keys: the last query still belongs to the last key, and the
first ones come before every key and see none.
"""

from torch import Tensor


def causal_mask(num_queries: int, num_keys: int) -> Tensor:
    """Boolean, num_queries × num_keys, True = may attend, aligned at the lower right."""
    raise NotImplementedError("causal_mask is yours to write")
