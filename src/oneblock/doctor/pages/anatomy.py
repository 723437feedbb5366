"""What stands where in a patient, as the dataflow that `inspect` draws: ours from the configuration, others' as found.

Of a model that is not ours the boxes are its modules under their class names, and the norms stand where N1 found them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from oneblock.config.block import Block
from oneblock.doctor.finding import Report
from oneblock.doctor.layers import Called, blocks, norms
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient
from oneblock.inspect.blocks import BlockFlow, Box, Step
from oneblock.inspect.dataflow import Dataflow, dataflow

ATTENTION = r"attn|attention"
FEED_FORWARD = r"mlp|ffn|feed|expert|moe|intermediate|layerff|denserelu"
CROSS = r"cross|encdec|encoder_attn|encoder_attention"
PLACES = {"pre": ("in",), "peri": ("in", "out"), "out": ("out",), "post": ("stream",), "none": ()}


def flow_of(patient: Patient, report: Report) -> Dataflow | None:
    """The patient's dataflow, or None where no list of blocks was found."""
    thing = patient.target.thing
    if type(thing).__module__.startswith("oneblock.models"):
        return dataflow(thing.config)
    model = patient.stirred
    x = model.sample(2, min(7, patient.target.max_len), patient.seed)
    calls = blocks(model, x)
    if not calls:
        return None
    seen = attentions(model, x)
    shape = seen[0].scores.shape if seen else ()
    heads = (f"{shape[1]} heads × {seen[0].head_width}",) if len(shape) == 4 else ()
    return Dataflow(
        before=(Box(kind="end", name=patient.target.takes), *_tables(patient)),
        added=(),
        entry=(),
        blocks=(
            BlockFlow(
                title=f"{type(calls[0].block).__name__} × {len({each.name for each in calls})}",
                steps=tuple(_steps(calls, heads, _placement(report))),
                option=Block(),
            ),
        ),
        after=(*_after(patient, calls), Box(kind="end", name="logits" if patient.target.says_tokens else "vectors")),
        size=f"B × T × {calls[0].given.shape[-1]:,}",
        answer=f"B × T × {patient.target.vocab_size:,}" if patient.target.says_tokens else "",
        repeats="",
    )


def _placement(report: Report) -> str:
    """What N1 says, "" where it says nothing that can be drawn: of a residual that is missing it cannot say which."""
    value = next((each.value for each in report.checks if each.id == "N1"), None)
    return value if isinstance(value, str) and value in PLACES else ""


def _steps(calls: list[Called], heads: tuple[str, ...], placement: str) -> Iterator[Step]:
    block = calls[0].block
    mixers = [
        ("attention", _first(block, ATTENTION, without=CROSS), heads),
        ("cross_attention", _first(block, CROSS), ()),
        ("feed_forward", _first(block, FEED_FORWARD), ()),
    ]
    if mixers[2][1] is None:
        # Its matrices stand in the block itself.
        loose = [m for m in block.children() if isinstance(m, nn.Linear)]
        mixers[2] = ("feed_forward", nn.Sequential(*loose) if loose else None, ())
    own = [each for _, each in norms(block)]
    places = PLACES.get(placement, ("in",) if own else ())
    norm = (Box(kind="norm", name=type(own[0]).__name__),) if own else ()
    for kind, module, details in mixers:
        if module is None:
            continue
        widths = _widths(module) if kind == "feed_forward" else ()
        name = "feed-forward" if type(module) is nn.Sequential else type(module).__name__
        box = Box(kind=kind, name=name, details=(*details, *widths))
        yield Step(
            branches=((*(norm if "in" in places else ()), box, *(norm if "out" in places else ())),),
            stream=norm if "stream" in places else (),
        )


def _first(block: nn.Module, words: str, without: str = "^$") -> nn.Module | None:
    """The outermost module inside whose name or class has one of the words, and that has weights."""
    for name, module in block.named_modules():
        said = f"{name.rpartition('.')[2]} {type(module).__name__}".lower()
        weights = any(p.dim() > 1 for p in module.parameters())
        found = re.search(words, said) and not re.search(without, said)
        if name and weights and found and not isinstance(module, nn.Linear):
            return module
    return None


def _widths(module: nn.Module) -> tuple[str, ...]:
    """From where to where its widest matrix leads; Hugging Face's `Conv1D` has its inputs first."""
    shapes = [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]
    shapes += [tuple(m.weight.shape) for m in module.modules() if type(m).__name__ == "Conv1D"]  # type: ignore[arg-type]
    wide = max(shapes, key=lambda sides: sides[1], default=None)
    return (f"{wide[0]:,} → {wide[1]:,}",) if wide else ()


def _tables(patient: Patient) -> Iterator[Box]:
    for name, module in patient.target.module.named_modules():
        if isinstance(module, nn.Embedding):
            place = bool(re.search(r"pos|wpe", name.lower()))
            size = f"{module.num_embeddings:,} × {module.embedding_dim:,}"
            title = "+ learned positions" if place else "token embedding"
            if place or module.num_embeddings == patient.target.vocab_size:
                yield Box(kind="position" if place else "embedding", name=title, details=(name, size))


def _after(patient: Patient, calls: list[Called]) -> Iterator[Box]:
    """What stands behind the blocks: a norm, and a matrix whose outputs are the vocabulary."""
    module, inside = patient.target.module, calls[0].name.rpartition(".")[0]
    outer = [(name, each) for name, each in norms(module) if not name.startswith(f"{inside}.")]
    if outer and not re.search("embed", outer[-1][0]):
        yield Box(kind="norm", name=type(outer[-1][1]).__name__, details=(outer[-1][0],))
    for name, each in module.named_modules():
        if isinstance(each, nn.Linear) and each.out_features == patient.target.vocab_size and "." not in name:
            tables = [m.weight for m in module.modules() if isinstance(m, nn.Embedding)]
            tied = any(each.weight is table for table in tables)
            size = f"{each.in_features:,} × {each.out_features:,}"
            yield Box(kind="head", name="head", details=(name, size, *(("tied: the embedding",) if tied else ())))
