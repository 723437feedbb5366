"""For C1, of sequence-to-sequence models: whether the source is read, all of it, and labels only behind their place."""

from __future__ import annotations

from oneblock.doctor.calling import logits_of
from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient, difference


def unread_source(patient: Patient) -> str:
    """Of a sequence-to-sequence model: whether the last token of the source moves the first answer."""
    target, model = patient.target, patient.stirred
    if target.kind != "seq2seq" or not target.calling.source or target.takes != "tokens":
        return ""
    x = model.sample(1, min(3, target.max_len), patient.seed)
    source = model.source()
    other = source.clone()
    other[:, -1] = (source[:, -1] + 1) % (target.source_vocab or target.vocab_size)
    moved = difference(model.replace_source(other)(x)[:, 0], model(x)[:, 0])
    if moved <= GOOD:
        return "the first answer does not see the last token of the source"
    for each in attentions(model, x):
        if each.weights.shape[-2:] == (x.shape[1], source.shape[1]) and not bool((each.weights > 0).all()):
            return f"a target token does not see all of the source: {each.place}"
    return ""


def labels_read(patient: Patient) -> float:
    """Of a sequence-to-sequence model that makes its target of labels: how far the answer to t moves with label t."""
    target, model = patient.target, patient.stirred
    if target.kind != "seq2seq" or target.adapter or not (target.calling.labels and target.calling.ids):
        return 0.0
    x = model.sample(1, min(7, target.max_len), patient.seed)
    other, t = x.clone(), x.shape[1] // 2
    other[:, t:] = model.different(x, patient.seed + 1)[:, t:]
    source = {target.calling.source: model.source()}
    try:
        first, second = (logits_of(model.thing(**source, **{target.calling.labels: each})) for each in (x, other))
    except Exception:
        return 0.0
    return difference(second[:, : t + 1], first[:, : t + 1]) if first.shape[1] == x.shape[1] else 0.0


def narrowed_source(patient: Patient) -> str:
    """Of a sequence-to-sequence model: an encoder that is causal, or cross-attention over a part of the source."""
    target, model = patient.target, patient.stirred
    if target.kind != "seq2seq" or not target.calling.source or target.takes != "tokens":
        return ""
    x = model.sample(1, min(3, target.max_len), patient.seed)
    length, seen = model.source().shape[1], attentions(model, x)
    if length == x.shape[1]:
        return ""
    for each in seen:
        if each.weights.shape[-2:] == (length, length) and not bool((each.weights.triu(1) > 0).any()):
            return f"the encoder is causal: a token of the source does not see later ones: {each.place}"
    crossed = [each for each in seen if each.weights.shape[-2] == x.shape[1] != each.weights.shape[-1]]
    few = [each for each in crossed if each.weights.shape[-1] < length]
    if few:
        return (
            f"{few[0].weights.shape[-1]} of {length} places of the source are all that is attended to: {few[0].place}"
        )
    return ""
