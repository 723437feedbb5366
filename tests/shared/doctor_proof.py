"""All faults and all healthy models of the doctor's proof as one list of cases: what docs/make_doctor.py examines."""

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import doctor_blind as blind
import doctor_peer_list as listed
import doctor_peers as peers
import doctor_unseen
import doctor_wanted
import doctor_zoo as zoo
import torch
import unseen_second

from oneblock.data.errors import DataError
from oneblock.data.known_models import MODELS, model_path
from oneblock.runs.load import load

TESTS = Path(__file__).resolve().parents[1]
OWN, SECOND, PEERS = "own hosts", "second list", "transformers"
BLIND, LATER = "blind list", "second blind list"
TRAINED = "trained for a moment"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One model. wanted: the checks any of which should tell it ("" of a healthy one); told: FAIL, or WARN where that is
    enough; declared: what its maker would say of it, asked where nothing was told without."""

    source: str
    host: str
    name: str
    make: Callable[[], Any]
    wanted: str = ""
    told: str = ""
    declared: tuple[str, ...] = ()
    again: Callable[[], Any] | None = None


def with_transformers() -> bool:
    """Whether its classes can be made."""
    return importlib.util.find_spec("transformers") is not None


def faults() -> list[Proof]:
    """Every fault."""
    found = [
        Proof(
            source=OWN,
            host=host,
            name=fault,
            wanted=checks,
            told="WARN" if fault in zoo.WARNED else "FAIL",
            make=lambda host=host, fault=fault: zoo.ill(host, fault),
        )
        for host, fault, checks in zoo.FAULTS
    ]
    found += [
        Proof(
            source=SECOND,
            host="Modern",
            name=fault,
            wanted=checks,
            told="WARN" if fault in blind.WARNED else "FAIL",
            make=lambda fault=fault, options=options: blind.ill(fault, **options),
            again=blind.again(fault, options),
        )
        for fault, checks, options in blind.FAULTS
    ]
    found += [
        Proof(source=SECOND, host="Pair", name=f, wanted=checks, told="FAIL", make=lambda f=f: blind.ill_pair(f))
        for f, checks in blind.PAIRS
    ]
    found += planted() if with_transformers() else []
    wanted = doctor_wanted.wanted()
    for source, module in ((BLIND, doctor_unseen), (LATER, unseen_second)):
        found += [
            Proof(
                source=source,
                host=case.host,
                name=case.name,
                wanted=wanted[case.host, case.name],
                told=case.told,
                make=case.model,
                declared=module.DECLARED[case.host],
            )
            for case in module.cases()[0]
        ]
    return found


def planted() -> list[Proof]:
    """Faults in classes of transformers."""
    return [
        Proof(
            source=PEERS,
            host=name,
            name=f"{fault}, {where}" if where else fault,
            wanted=checks,
            told="WARN" if fault in listed.WARNED else "FAIL",
            make=lambda row=(name, fault, planting, where): peers.ill(*row),
        )
        for name, fault, checks, planting, where in peers.faults()
    ]


def healthy(*, weights: bool = False) -> list[Proof]:
    """Every model that must not alarm; weights: real ones too, which are fetched where they are not here."""
    found = [
        Proof(source="its own hosts", host=host, name=variant or "plain", make=lambda h=host, v=variant: zoo.ill(h, v))
        for host, variant in zoo.HEALTHY
    ]
    found += [Proof(source="presets", host="preset", name=n, make=lambda n=n: zoo.preset(n)) for n in zoo.PRESETS]
    found += [
        Proof(source="options of nano", host="nano", name=n, make=lambda n=n: zoo.variant(n)) for n in zoo.VARIANTS
    ]
    found += [
        Proof(source=TRAINED, host="preset", name=n, make=lambda n=n: trained(zoo.preset(n)))
        for n in ("nano", "llama-nano", "switch-nano")
    ]
    found += [
        Proof(
            source=SECOND,
            host="Modern",
            name=", ".join(f"{k} {v}" for k, v in options.items()) or "plain",
            make=lambda options=options: blind.ill("", **options),
        )
        for options in blind.HEALTHY
    ]
    found += [Proof(source=SECOND, host="Pair", name="plain", make=lambda: blind.ill_pair(""))]
    for source, module in ((BLIND, doctor_unseen), (LATER, unseen_second)):
        found += [Proof(source=source, host=c.host, name=c.name, make=c.model) for c in module.cases()[1]]
    return found + (real() if weights else []) + (families() if with_transformers() else [])


def real() -> list[Proof]:
    """Models that somebody has trained, where their packages can be had."""
    found = []
    for name in MODELS:
        with contextlib.suppress(DataError):
            path = model_path(name)
            found.append(Proof(source="real weights", host="preset", name=name, make=lambda path=path: load(path)))
    return found


def families() -> list[Proof]:
    """The class of every family of the parity table, tiny, with the weights that it starts with."""
    path = TESTS / "weights" / "families" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault("parity", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return [
        Proof(source=PEERS, host=case["config"].removesuffix("Config"), name=name, make=lambda case=case: family(case))
        for name, case in module.cases().items()
    ]


def family(case: dict[str, Any]) -> Any:
    """A class of transformers from a case of the parity table."""
    import transformers

    config = getattr(transformers, case["config"])(**case["fields"])
    config._experts_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, case.get("auto", "AutoModelForCausalLM")).from_config(config).eval()
    for prepare in case.get("prepare", ()):
        # Its configuration declares a tied head, so that one of its own would be a fault.
        if prepare.__name__ != "own_head":
            prepare(model)
    return model


def trained(model: torch.nn.Module, steps: int = 60) -> torch.nn.Module:
    """A preset that has learnt a text of letters that repeat: its gains and scores are no longer those of a start."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        ids = torch.randint(0, 29, (8, 7), generator=generator).repeat(1, 4)
        logits = model(ids)
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
