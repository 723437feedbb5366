"""Exercise 10: sampling.

A language model gives logits: a number for every token of the vocabulary, larger where the token fits better as the
next one. Somebody has to pick. Always the best one makes text that goes round in circles; softmax(logits) as it is
lets in, now and then, one of the many tokens that do not fit at all. Three settings lie between:

1. temperature   divides the logits. Below 1 the good ones gain, above 1 the others do. At 0 nothing is left to
                 chance: the best token, and no division.
2. top_k         keeps the k largest logits; the rest can no longer be drawn.
3. top_p         keeps the smallest set of best tokens whose shares reach p. Sort the shares, the largest first, and
                 add them up: the token with which the sum comes to p or crosses it is kept, those after it are not.

They are applied in this order, each to what the one before has left: top_p looks at shares that are divided by the
temperature, and that add up to 1 over the tokens top_k has kept. None turns a filter off. What is left is drawn by its
shares, which again add up to 1.

    shares 0.5, 0.3, 0.15, 0.05 of tokens 7, 2, 9, 4:
        top_k = 2                 7 and 2, drawn as 5 : 3
        top_p = 0.6               0.5 is not enough, 0.5 + 0.3 crosses: 7 and 2
        top_k = 3, top_p = 0.83   the three are 0.526, 0.316, 0.158 of what is left: 0.526 + 0.316 crosses: 7 and 2
                                  (of the whole, 0.5 + 0.3 would not have been enough)

Shapes: logits B×V give B token ids, each row drawn by itself; logits V give a single id, a tensor without axes. Ids
are whole numbers, as they go into an embedding.

Two traps. Sorting moves the tokens: what you find out about rank 0, 1, 2 … has to go back to the ids they came from.
And chance comes from `generator` alone, as in `torch.multinomial(shares, 1, generator=generator)`: the same generator
state gives the same tokens again, the next call with it gives others, and no other random numbers are touched.
"""

from torch import Generator, Tensor


def sample(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: Generator) -> Tensor:
    """Token ids drawn from logits B×V (or V): temperature, then top_k, then top_p."""
    raise NotImplementedError("sample is yours to write")
