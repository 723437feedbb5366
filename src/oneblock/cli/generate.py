"""`oneblock generate DIR`: what a run's model makes: text, phonemes, missing letters, images."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any, NamedTuple

from oneblock.cli.common import Verb, at_least
from oneblock.config.config import Model
from oneblock.config.decoder import Decoder
from oneblock.config.dit import DiT
from oneblock.config.encoder import Encoder, NoHead
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.errors import OneblockError
from oneblock.config.vision import Vision


class Maker(NamedTuple):
    """The file of `making/` that serves a kind of model, and the options that mean something to it."""

    file: str
    what: str
    options: frozenset[str]


MAKERS = {
    Decoder: Maker(
        "text",
        "a decoder",
        frozenset(
            {
                "prompt",
                "chat",
                "tokens",
                "temperature",
                "top_k",
                "top_p",
                "seed",
                "dtype",
                "compile",
                "no_cache",
                "block",
            }
        ),
    ),
    EncoderDecoder: Maker(
        "answers",
        "an encoder-decoder",
        frozenset({"prompt", "tokens", "temperature", "top_k", "top_p", "seed", "beams", "no_cache"}),
    ),
    Encoder: Maker("gaps", "an encoder", frozenset({"prompt"})),
    DiT: Maker(
        "images", "a diffusion transformer", frozenset({"prompt", "image", "count", "guidance", "steps", "seed"})
    ),
}
"""Kind of model -> what makes something of it."""

VECTORS = Maker("vectors", "an encoder without a head", frozenset({"prompt"}))


def maker_of(model: Model) -> Maker:
    """What serves a model: by its kind, and by whether an encoder has a head; OneblockError where nothing does."""
    if isinstance(model, Vision):
        raise OneblockError("a vision encoder makes nothing: oneblock.load(DIR)(images) says what it sees in images")
    headless = isinstance(model, Encoder) and isinstance(model.head, NoHead)
    return VECTORS if headless else MAKERS[type(model)]


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock generate`."""
    parser.add_argument(
        "run",
        metavar="DIR",
        help="a run, a converted model, a Hugging Face folder, a GGUF file, or smollm2-135m, minilm: real weights, "
        "fetched once; e.g. runs/nano-1",
    )
    parser.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="what the text begins with (default: a new line); for an encoder-decoder the source; for an encoder a "
        "text with _ for each missing letter, or [MASK] for each word; without a head, one of several texts to "
        "compare; for images a class (default: all). Repeat it for several at once",
    )
    parser.add_argument(
        "--chat", action="store_true", help="take the prompt as a question, in the form the model was trained to answer"
    )
    parser.add_argument("--tokens", type=at_least(1), metavar="N", help="how many to make (default: 300)")
    parser.add_argument(
        "--temperature", type=float, help="0 takes the likeliest token each time (default: 0.8 for text, else 0)"
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="only the K likeliest tokens")
    parser.add_argument("--top-p", type=float, metavar="P", help="only the fewest tokens that together reach P")
    parser.add_argument("--beams", type=at_least(1), metavar="N", help="encoder-decoder: search with N beams")
    parser.add_argument("--seed", type=int, help="the same seed gives the same (default: a new one, printed)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "int8"),
        help="what to compute in (default: as the weights are stored); int8: weights of 8 bits, the rest as stored",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the step first: pays from some ten thousand tokens on"
    )
    parser.add_argument(
        "--block", type=Path, metavar="DIR", help="run the block of your own that this run was trained with"
    )
    parser.add_argument("--no-cache", action="store_true", help="compute every token anew from the whole text")
    parser.add_argument("--image", type=Path, metavar="FILE", help="images: the PNG to write (default: samples.png)")
    parser.add_argument("--count", type=at_least(1), metavar="N", help="images: how many of each class (default: 8)")
    parser.add_argument("--guidance", type=float, metavar="S", help="images: how strongly the class is asked for")
    parser.add_argument(
        "--steps", type=at_least(1), metavar="N", help="images: steps from noise (default: the sampler's)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make what this kind of model makes."""
    if args.settings:
        raise OneblockError("--set changes nothing here: a run keeps its configuration; leave it out")
    from oneblock.data.known_models import model_path
    from oneblock.runs.load import load_config

    args.run = str(model_path(args.run))
    maker = maker_of(load_config(args.run).model)
    known = frozenset().union(*(one.options for one in MAKERS.values()))
    given = {name for name in known if getattr(args, name) is not None and getattr(args, name) is not False}
    for name in sorted(given - maker.options):
        takes = ", ".join(f"--{one.replace('_', '-')}" for one in sorted(maker.options))
        raise OneblockError(f"--{name.replace('_', '-')} means nothing to {maker.what}; it takes {takes}")
    made: dict[str, Any] = importlib.import_module(f"oneblock.cli.making.{maker.file}").make(args)
    return made


VERB = Verb(
    name="generate", summary="make something with a run's model: text, phonemes, images", options=options, run=run
)
