"""The loss, right: logits but the last against tokens but the first, and the mean over those that count."""

from torch import Tensor


def next_token_loss(logits: Tensor, tokens: Tensor, pad: int | None = None) -> Tensor:
    said, targets = logits[:, :-1], tokens[:, 1:]
    chosen = said.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    # −log softmax of the target; logsumexp subtracts the largest by itself.
    losses = said.logsumexp(dim=-1) - chosen
    if pad is not None:
        losses = losses[targets != pad]
    return losses.mean()
