"""Beam search: the best continuations of each source, side by side."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Hypothesis(NamedTuple):
    """A target without its start and end tokens, its score, and whether it came to its end."""

    tokens: list[int]
    score: float
    finished: bool


def hypothesis(written: list[int], log_probability: float, *, stop: int, penalty: float) -> Hypothesis:
    """Of tokens without the start token, up to the first end token and with it, if there is one."""
    finished = stop in written
    tokens = written[: written.index(stop)] if finished else written
    return Hypothesis(tokens, log_probability / length_divisor(len(tokens) + finished, penalty), finished)


def length_divisor(length: int, penalty: float) -> float:
    """((5 + length) / 6)^penalty (Wu et al. 2016, eq. 14); penalty 0: no favour for longer ones."""
    return float(((5 + length) / 6) ** penalty)


class Beams:
    """The K hypotheses of each of B sources that are still written, and the best that has ended.

    A hypothesis that ends gives its place in the beam up, so that one beam is greedy search, and as many beams as
    there are sequences find the best of all. Scores are log-probabilities, over `length_divisor` once ended; the
    length counts the end token. `rows`: source b's hypotheses are rows b·K … b·K + K − 1.
    """

    def __init__(
        self, batch: int, beams: int, *, start: int, stop: int, longest: int, penalty: float, device: torch.device
    ) -> None:
        self.batch, self.beams, self.stop, self.longest, self.penalty = batch, beams, stop, longest, penalty
        self.tokens = torch.full((batch * beams, 1), start, dtype=torch.long, device=device)
        # All begin alike, so only the first counts.
        self.scores_BK = torch.full((batch, beams), -torch.inf, dtype=torch.float64, device=device)
        self.scores_BK[:, 0] = 0
        self.places_B = torch.full((batch,), beams, device=device)
        self.best: list[Hypothesis | None] = [None] * batch

    @property
    def length(self) -> int:
        """How many tokens have been written."""
        return self.tokens.shape[1] - 1

    @property
    def searching(self) -> bool:
        """Whether any source still has a hypothesis that could become the best."""
        return self.length < self.longest and bool((self.places_B > 0).any())

    def extend(self, logits_NV: Tensor) -> Tensor:
        """Take the best next tokens, given logits for every row; gives the rows that the new ones go on from."""
        wide = torch.promote_types(logits_NV.dtype, torch.float64)
        log_NV = logits_NV.to(wide).log_softmax(dim=-1)
        vocab = log_NV.shape[-1]
        all_BC = (self.scores_BK.unsqueeze(-1) + log_NV.view(self.batch, self.beams, vocab)).flatten(1)
        scores_BK, chosen_BK = all_BC.topk(self.beams, dim=1)
        first_B1 = torch.arange(self.batch, device=scores_BK.device).unsqueeze(1) * self.beams
        rows = (first_B1 + chosen_BK // vocab).flatten()
        ids_BK = chosen_BK % vocab
        in_place = torch.arange(self.beams, device=scores_BK.device) < self.places_B.unsqueeze(1)
        taken_BK = in_place & (scores_BK > -torch.inf)
        ended_BK = taken_BK & (ids_BK == self.stop)
        self.tokens = torch.cat([self.tokens[rows], ids_BK.view(-1, 1)], dim=1)
        self.scores_BK = scores_BK.masked_fill(~taken_BK | ended_BK, -torch.inf)
        for b, k in ended_BK.nonzero().tolist():
            self._end(b, k, float(scores_BK[b, k]))
        self.places_B = self.places_B - ended_BK.sum(dim=1)
        self._give_up()
        return rows

    def results(self) -> list[Hypothesis]:
        """The best for each source; where none has come to its end, the best of those cut off."""
        return [best or self._cut_off(b) for b, best in enumerate(self.best)]

    def _end(self, b: int, k: int, score: float) -> None:
        ended, best = self._hypothesis(b, k, score), self.best[b]
        if best is None or ended.score > best.score:
            self.best[b] = ended

    def _give_up(self) -> None:
        """Stop where nothing that goes on can be better: scores only fall, and are divided by no more than this."""
        divisor = length_divisor(self.longest, self.penalty)
        hopes = (self.scores_BK.amax(dim=1) / divisor).tolist()
        for b, best in enumerate(self.best):
            if hopes[b] == -torch.inf or (best is not None and best.score >= hopes[b]):
                self.places_B[b] = 0
                self.scores_BK[b] = -torch.inf

    def _cut_off(self, b: int) -> Hypothesis:
        k = int(self.scores_BK[b].argmax())
        return self._hypothesis(b, k, float(self.scores_BK[b, k]))

    def _hypothesis(self, b: int, k: int, score: float) -> Hypothesis:
        written = self.tokens[b * self.beams + k, 1:].tolist()
        return hypothesis(written, score, stop=self.stop, penalty=self.penalty)
