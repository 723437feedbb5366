"""How far a family's own class and ours are apart: what tests/ and docs/make_parity.py both measure. No test itself.

The reference in float64: every tensor that its class asks for in float32 (norms, phases, softmax, rotary tables) is
given in float64 instead, by `Lifted`; nothing else in it is touched.
"""

import importlib.util
import inspect
import tempfile
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

import oneblock

TEXT, BATCH, PADS = 11, 2, 4


class Lifted(TorchFunctionMode):
    """Where a class asks for float32 it gets float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def lift(value):
            return torch.float64 if value is torch.float32 else value

        if getattr(func, "__name__", "") == "float" and args and isinstance(args[0], torch.Tensor):
            return args[0].double()
        return func(*map(lift, args), **{name: lift(value) for name, value in (kwargs or {}).items()})

    def __enter__(self):
        self.default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error):
        torch.set_default_dtype(self.default)
        return super().__exit__(*error)


def cases():
    """Name -> case, of all files `cases_*.py` beside this one. A case is a dict:

    config: the class of its configuration in transformers; fields: what it is given (small, odd sizes)
    auto:   the Auto class with the head that is compared (default AutoModelForCausalLM)
    kind:   "decoder" (default), "encoder", "encoder_decoder" or "vision": how both are called
    padded: sides on which texts are padded, of "left" and "right"; cached: whether there is a cache
    saved:  what is done to the folder before it is read; out: whether it goes out in the form it came in, or
    out_as: the model_type as which it goes out
    spread: the standard deviation its parameters are drawn with (default 0.3)
    """
    found = {}
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        found |= loaded(path).CASES
    return found


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(case, seed=0):
    """The family's own class with every parameter drawn, in float64; call it inside `Lifted()`."""
    import transformers

    config = getattr(transformers, case["config"])(**case["fields"])
    auto = getattr(transformers, case.get("auto", "AutoModelForCausalLM"))
    config._experts_implementation = "eager"
    with Lifted():
        torch.manual_seed(seed)
        model = auto.from_config(config, attn_implementation="eager").double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(case.get("spread", 0.3) * torch.randn_like(parameter))
    for prepare in case.get("prepare", ()):
        prepare(model)
    return model


def saved(model, case, folder):
    model.save_pretrained(folder)
    for change in case.get("saved", ()):
        change(Path(folder))
    return Path(folder)


def tokens(case, length=TEXT, seed=1):
    fields = case["fields"]
    top = fields["vocab_size"]
    return torch.randint(3, top, (BATCH, length), generator=torch.Generator().manual_seed(seed))


def pads(side):
    """B × T, True = a pad; no pads in the first row."""
    padding = torch.zeros(BATCH, TEXT, dtype=torch.bool)
    padding[1, slice(0, PADS) if side == "left" else slice(TEXT - PADS, TEXT)] = True
    return padding


# --- how each kind is called: theirs and ours give (answer, hidden states after each layer) ---


def their_decoder(model, ids, padding=None):
    inputs = {"input_ids": ids}
    if padding is not None:
        inputs["attention_mask"] = (~padding).long()
        inputs["position_ids"] = ((~padding).cumsum(1) - 1).clamp(min=0)
    return answered(model(**inputs, output_hidden_states=True, use_cache=False))


def their_encoder(model, ids, padding=None):
    inputs = {"input_ids": ids} | ({} if padding is None else {"attention_mask": (~padding).long()})
    if padding is not None and "position_ids" in inspect.signature(model.forward).parameters:
        inputs["position_ids"] = ((~padding).cumsum(1) - 1).clamp(min=0)
    return answered(model(**inputs, output_hidden_states=True))


def their_encoder_decoder(model, ids, padding=None):
    inputs = {"input_ids": ids} | ({} if padding is None else {"attention_mask": (~padding).long()})
    out = model(**inputs, decoder_input_ids=targets(ids), output_hidden_states=True, use_cache=False)
    return out.logits, list(out.decoder_hidden_states)


def answered(out):
    return getattr(out, "logits", None) if hasattr(out, "logits") else out.last_hidden_state, list(out.hidden_states)


def targets(ids):
    return ids.flip(1)[:, : TEXT - 3]


def our_tokens(model, ids, padding=None):
    return hooked(model, lambda: model(ids, padding))


def our_encoder_decoder(model, ids, padding=None):
    return hooked(model.decoder, lambda: model(ids, targets(ids), padding))


def hooked(stack, run):
    seen = []
    handles = [block.register_forward_hook(lambda module, args, out: seen.append(out)) for block in stack.blocks]
    answer = run()
    for handle in handles:
        handle.remove()
    # Theirs are what enters the first layer and what leaves each, the last after the last norm.
    return answer, [None, *seen[:-1], stack.norm(seen[-1])]


KINDS = {
    "decoder": (their_decoder, our_tokens),
    "encoder": (their_encoder, our_tokens),
    "encoder_decoder": (their_encoder_decoder, our_encoder_decoder),
}


def apart(a, b, padding=None):
    """The largest difference, pads left out."""
    gap = (a.double() - b.double()).abs()
    return float((gap if padding is None else gap[~padding]).max())


def cached(model, ids, prefill=4):
    """Our logits with a cache: a chunk first, then token by token."""
    cache = model.cache(len(ids), ids.shape[1])
    pieces = [model(ids[:, :prefill], cache=cache)]
    pieces += [model(ids[:, at : at + 1], cache=cache) for at in range(prefill, ids.shape[1])]
    return torch.cat(pieces, 1)


def cached_targets(model, ids, prefill=2):
    memory, target = model.encode(ids), targets(ids)
    cache = model.cache(len(ids), target.shape[1])
    pieces = [model.decode(target[:, :prefill], memory, cache=cache)]
    pieces += [model.decode(target[:, at : at + 1], memory, cache=cache) for at in range(prefill, target.shape[1])]
    return torch.cat(pieces, 1)


@torch.no_grad()
def measure(case, folder):
    """The largest differences of one case, by what was compared; leaves the saved reference in `folder`."""
    kind = case.get("kind", "decoder")
    theirs, ours = case.get("call") or KINDS[kind]
    ids = case["inputs"](case) if "inputs" in case else tokens(case)
    model = reference(case)
    saved(model, case, folder)
    loaded_model = oneblock.load(folder)
    with Lifted():
        right, states = theirs(model, ids)
    answer, own = ours(loaded_model, ids)
    found = {"parameters": sum(parameter.numel() for parameter in loaded_model.parameters())}
    found["float64"] = apart(answer, right)
    if case.get("hidden", True):
        pairs = [(mine, state) for mine, state in zip(own, states, strict=True) if mine is not None]
        found["hidden"] = max(apart(mine, state) for mine, state in pairs)
    if kind in ("decoder", "encoder_decoder") and case.get("cached", True):
        found["cached"] = apart((cached if kind == "decoder" else cached_targets)(loaded_model, ids), right)
    for side in case.get("padded", ("left", "right") if kind in ("decoder", "encoder") else ("right",)):
        padding = pads(side)
        with Lifted():
            masked, _ = theirs(model, ids, padding)
        where = padding if kind in ("decoder", "encoder") else None
        found[f"padded {side}"] = apart(ours(loaded_model, ids, padding)[0], masked, where)
    narrow, _ = theirs(_in_float32(case, model, folder), ids)
    found["float32"] = apart(ours(loaded_model.float(), ids)[0], narrow)
    return found


def _in_float32(case, model, folder):
    import transformers

    auto = getattr(transformers, case.get("auto", "AutoModelForCausalLM"))
    if "float32" in case:
        return case["float32"](model)
    made = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    made.config._experts_implementation = "eager"
    return made.eval()


def all_measured(names=()):
    """Name -> differences, of all cases or those named."""
    found = {}
    for name, case in cases().items():
        if not names or name in names:
            with tempfile.TemporaryDirectory() as folder:
                found[name] = measure(case, Path(folder))
    return found
