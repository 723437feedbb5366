"""The families: one table of names, transforms and options in one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneblock.weights.errors import WeightsError
from oneblock.weights.families.arcee import ARCEE
from oneblock.weights.families.bart import BART, MARIAN
from oneblock.weights.families.bert import BERT, BERT_WITHOUT_HEAD
from oneblock.weights.families.dit import DIT
from oneblock.weights.families.gemma import GEMMA, GEMMA2, GEMMA3
from oneblock.weights.families.gpt2 import GPT2
from oneblock.weights.families.gpt_neox import GPT_NEOX
from oneblock.weights.families.gptj import GPTJ
from oneblock.weights.families.llama import LLAMA
from oneblock.weights.families.minimind import MINIMIND
from oneblock.weights.families.mistral import MISTRAL
from oneblock.weights.families.mixtral import MIXTRAL
from oneblock.weights.families.modernbert import MODERNBERT, MODERNBERT_WITHOUT_HEAD
from oneblock.weights.families.olmo2 import OLMO2
from oneblock.weights.families.qwen2 import QWEN2
from oneblock.weights.families.qwen3 import QWEN3
from oneblock.weights.families.qwen3_moe import QWEN3_MOE
from oneblock.weights.families.switch import SWITCH
from oneblock.weights.families.t5 import T5
from oneblock.weights.families.t5_encoder import T5_ENCODER
from oneblock.weights.families.vit import DINOV2, DINOV2_CLASSIFIER, VIT, VIT_CLASSIFIER
from oneblock.weights.family import Family
from oneblock.weights.options import Options

FAMILIES: tuple[Family, ...] = (
    LLAMA,
    GPT2,
    ARCEE,
    MISTRAL,
    QWEN2,
    QWEN3,
    GPT_NEOX,
    GPTJ,
    OLMO2,
    GEMMA,
    GEMMA2,
    GEMMA3,
    MIXTRAL,
    QWEN3_MOE,
    MINIMIND,
    BERT_WITHOUT_HEAD,
    BERT,
    MODERNBERT_WITHOUT_HEAD,
    MODERNBERT,
    T5,
    T5_ENCODER,
    SWITCH,
    BART,
    MARIAN,
    VIT,
    VIT_CLASSIFIER,
    DINOV2,
    DINOV2_CLASSIFIER,
    DIT,
)
"""In the order in which a model of ours looks for one that can express it."""


def family_of(fields: Mapping[str, Any], where: str) -> Family:
    """The family that a config.json names; WeightsError lists those there are."""
    model_type = fields.get("model_type")
    named = [family for family in FAMILIES if family.model_type == model_type]
    if not named:
        what = "has no model_type" if model_type is None else f"names model_type={model_type!r}, which is not supported"
        raise WeightsError(f"{where} {what}; supported: {', '.join(supported())}")
    given = Options(fields, where).list_of("architectures", str)
    for family in named:
        if not family.architectures or not given or set(given) & set(family.architectures):
            return family
    known = sorted({name for family in named for name in family.architectures})
    raise WeightsError(
        f"{where} names the architecture {', '.join(given)}, which is not supported; "
        f"supported for {model_type}: {', '.join(known)}"
    )


def supported() -> list[str]:
    """The model types there is a family for."""
    return sorted({family.model_type for family in FAMILIES})
