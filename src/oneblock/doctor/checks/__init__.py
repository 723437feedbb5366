"""The checks: one small function for each question, all of them in one dict."""

from oneblock.doctor.checks import attention, cache, invariances, leaks, loss, norms, start, weights
from oneblock.doctor.checks.check import Check

CHECKS: dict[str, Check] = {
    "C1": Check(question="does a token see later ones?", run=leaks.future),
    "C2": Check(question="is the mask strong enough?", run=leaks.strength),
    "K1": Check(question="is decoding with the cache as without?", run=cache.one_by_one),
    "K2": Check(question="several tokens at once behind a filled cache?", run=cache.chunks),
    "K3": Check(question="do positions advance with the cache?", run=cache.positions),
    "P1": Check(question="do pads change anything?", run=invariances.padding),
    "P2": Check(question="is a fully masked row finite?", run=invariances.all_padded, gradients=True),
    "B1": Check(question="are rows of a batch independent?", run=invariances.batch),
    "R0": Check(question="is the order of tokens used?", run=invariances.order),
    "N1": Check(question="where are the norms and residuals?", run=norms.placement),
    "N2": Check(question="does a norm mix tokens?", run=norms.mixing),
    "A1": Check(question="do attention weights sum to 1?", run=attention.rows),
    "A2": Check(question="are scores scaled by 1/√d?", run=attention.scale),
    "A3": Check(question="is attention too sharp?", run=attention.sharpness),
    "A4": Check(question="is a head dead?", run=attention.heads),
    "H1": Check(question="how does the stream grow?", run=norms.depth),
    "D2": Check(question="do norms bear large values in half precision?", run=norms.half),
    "I1": Check(question="how do weights start?", run=start.audit),
    "I2": Check(question="is the first loss that of chance?", run=start.first_loss),
    "I3": Check(question="does it learn what cannot be learnt?", run=start.unlearnable, gradients=True),
    "W1": Check(question="do saved weights give the same model?", run=weights.round_trip),
    "W2": Check(question="does every parameter get a gradient?", run=weights.dead, gradients=True),
    "W3": Check(question="is a parameter there twice?", run=weights.doubled),
    "W4": Check(question="is a parameter not registered?", run=weights.unregistered),
    "L1": Check(question="are labels aligned?", run=loss.labels),
    "L2": Check(question="do small batches add up?", run=loss.accumulation, gradients=True),
    "E1": Check(question="is eval mode deterministic?", run=invariances.repeats),
    "E2": Check(question="do eval and train reach every part?", run=invariances.modes),
    "O1": Check(question="does a step work?", run=start.step, gradients=True),
}
"""Id -> check, in the order in which they are asked."""
