"""Exercise 9: training.

A model that has not learned anything gives every token about the same chance. `fit` makes it better, one step at a
time; each step is

    batch        B×T token ids, the next one in order
    logits       what the model makes of them, B×T×V
    loss         exercise 7: how badly the logits at t predict token t + 1, as a mean
    gradients    of this loss alone, for every parameter; loss.backward() adds them to what is in .grad already
    update       every parameter goes a little way against its gradient: optimizer.step()

You choose the optimiser. torch.optim.AdamW(model.parameters(), lr=1e-3) is a good choice for small transformers;
plain SGD works too, with a larger lr.

Rules:

1. `batches` is a list, taken in order and from its start again when it is used up; or it is an iterator, which may
   have no end (so `list(batches)` may never come back) and no length (so `batches[i]` may not work).
2. Exactly `steps` updates, each from one batch, which goes through the model once (whole; or in parts, row after row,
   whose gradients add up to those of the batch's mean loss), each changing all weights; what the last one leaves is
   what the model keeps.
3. It returns a list of `steps` numbers, the raw losses: plain floats (loss.item(), no tensors, which would keep all
   of the step's memory), each computed before its batch's update, not smoothed, not rounded.
4. While it learns the model is in train mode, or in the mode in which you found it; nobody finds it in eval mode
   afterwards who had it in train mode before. No seed is set, nothing global is changed.

With two batches a, b and steps = 5 the losses are those of a, b, a, b, a.

Three traps. Gradients that are not cleared pile up: call optimizer.zero_grad() in every step, and never between
backward and step. An optimiser made anew in each step forgets what it has gathered. And the shift by one token is in
the loss: the logits of the last position have nothing to predict, the first token is predicted by nobody.
"""

from collections.abc import Iterable

from torch import Tensor, nn


def fit(model: nn.Module, batches: Iterable[Tensor], steps: int) -> list[float]:
    """Train the model for so many updates on batches B×T of tokens; the loss of each step."""
    raise NotImplementedError("fit is yours to write")
