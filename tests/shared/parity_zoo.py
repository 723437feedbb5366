"""The zoo of the parity debugger: (host, what is switched on in the target, the changes that must be named)."""

import parity_hosts as hosts

ON = True
SINGLES = [
    ("Gpt", {"eps": 1e-5}, {"norm eps": 1e-5}),
    ("Gpt", {"eps": 1e-2}, {"norm eps": 1e-2}),
    ("Gpt", {"rms": ON}, {"norm": "rms"}),
    ("Gpt", {"one plus": ON}, {"norm gain": "1 + weight"}),
    ("Gpt", {"no norm bias": ON}, {"norm bias": "missing"}),
    ("Gpt", {"sample variance": ON}, {"norm variance": "sample"}),
    ("Gpt", {"eps outside the root": ON}, {"eps stands": "outside the root"}),
    ("Gpt", {"post": ON}, {"norm placement": "post"}),
    ("Gpt", {"out": ON}, {"norm placement": "out"}),
    ("Gpt", {"no norm before mlp": ON}, {"norm placement": "none"}),
    ("Gpt", {"no final norm": ON}, {"final norm": "none"}),
    ("Gpt", {"parallel": ON}, {"parallel": True}),
    ("Gpt", {"branch": 0.5}, {"residual": "x + 0.5·branch"}),
    ("Gpt", {"no residual": ON}, {"residual": "branch"}),
    ("Gpt", {"residual after norm": ON}, {"residual": "norm(x) + branch"}),
    ("Gpt", {"scale": 1.0}, {"attention scale": "1"}),
    ("Gpt", {"scale": hosts.D**-0.5}, {"attention scale": "1/√D"}),
    ("Gpt", {"scale": 0.217}, {"attention scale": "0.217"}),
    ("Gpt", {"cap": 5.0}, {"attention cap": 5.0}),
    ("Gpt", {"no mask": ON}, {"mask": "all"}),
    ("Gpt", {"ahead": 1}, {"mask": "ahead 1"}),
    ("Gpt", {"window": 4}, {"mask": "window 4"}),
    ("Gpt", {"window": 20}, {"mask": "window 20"}),
    ("Gpt", {"softmax over queries": ON}, {"softmax over": "queries"}),
    ("Gpt", {"heads": 4}, {"heads": "4 heads of 6, 4 for keys and values"}),
    ("Gpt", {"interleaved per head": ON}, {"order of queries, keys and values": "q, k, v of each head"}),
    ("Gpt", {"keys first": ON}, {"order of queries, keys and values": "k, q, v"}),
    ("Gpt", {"merged without transpose": ON}, {"merging of heads": "without transpose"}),
    ("Gpt", {"heads without transpose": ON}, {"splitting into heads": "without transpose"}),
    ("Gpt", {"transposed output": ON}, {"attention.output.weight": "transposed"}),
    ("Gpt", {"no qkv bias": ON}, {"attention.qkv.bias": "missing"}),
    ("Gpt", {"no down bias": ON}, {"feed_forward.down.bias": "missing"}),
    ("Gpt", {"act": "gelu_tanh"}, {"activation": "gelu_tanh"}),
    ("Gpt", {"act": "gelu_sigmoid"}, {"activation": "gelu_sigmoid"}),
    ("Gpt", {"act": "relu"}, {"activation": "relu"}),
    ("Gpt", {"embedding scale": ON}, {"embedding scale": hosts.D**0.5}),
    ("Gpt", {"offset": 1}, {"positions": "from 1 on"}),
    ("Gpt", {"offset": 2}, {"positions": "from 2 on"}),
    ("Gpt", {"no positions": ON}, {"positions": "none"}),
    ("Gpt", {"untied": ON}, {"tying": "different"}),
    ("Gpt", {"one weight": ON}, {"feed_forward.up.weight": "different"}),
    ("Gpt", {"logit cap": 5.0}, {"logit cap": 5.0}),
    ("Gpt", {"logit scale": 0.5}, {"logit scale": 0.5}),
    ("Gpt", {"layers": 1}, {"layers": 1}),
    ("Gpt", {"act": "gelu_tanh", "only layer": 1}, {"activation": "gelu_tanh"}),
    ("Gpt", {"scale": 1.0, "only layer": 0}, {"attention scale": "1"}),
    ("Llama", {"interleaved": ON}, {"rope": "interleaved"}),
    ("Llama", {"no rope": ON}, {"rope": "none"}),
    ("Llama", {"theta": 5e5}, {"rope base": 5e5}),
    ("Llama", {"theta": 1234.0}, {"rope base": 1234.0}),
    ("Llama", {"backwards": ON}, {"rope direction": -1}),
    ("Llama", {"queries turned alone": ON}, {"rope turns": "q"}),
    ("Llama", {"strided": ON}, {"key/value head of a query head": "strided"}),
    ("Llama", {"scale": 1.0}, {"attention scale": "1"}),
    ("Llama", {"window": 5}, {"mask": "window 5"}),
    ("Llama", {"eps": 1e-2}, {"norm eps": 1e-2}),
    ("Llama", {"one plus": ON}, {"norm gain": "1 + weight"}),
    ("Llama", {"layer": ON}, {"norm": "layer"}),
    ("Llama", {"post": ON}, {"norm placement": "post"}),
    ("Llama", {"transposed queries": ON}, {"attention.queries.weight": "transposed"}),
    ("Llama", {"act": "gelu"}, {"activation": "gelu"}),
    ("Llama", {"up activated": ON}, {"activated half": "second"}),
    ("Llama", {"embedding scale": ON}, {"embedding scale": hosts.D**0.5}),
    ("Llama", {"logit cap": ON}, {"logit cap": 30.0}),
    ("Llama", {"branch": 0.7}, {"residual": "x + 0.7·branch"}),
    ("Llama", {"one weight": ON}, {"attention.keys.weight": "different"}),
]
PAIRS = [
    ("Gpt", {"eps": 1e-5, "act": "gelu_tanh"}, {"norm eps": 1e-5, "activation": "gelu_tanh"}),
    ("Gpt", {"scale": 1.0, "offset": 1}, {"attention scale": "1", "positions": "from 1 on"}),
    ("Gpt", {"rms": ON, "no mask": ON}, {"norm": "rms", "mask": "all"}),
    ("Gpt", {"keys first": ON, "scale": 1.0}, {"order of queries, keys and values": "k, q, v", "attention scale": "1"}),
    ("Gpt", {"post": ON, "act": "relu"}, {"norm placement": "post", "activation": "relu"}),
    (
        "Gpt",
        {"embedding scale": ON, "transposed output": ON},
        {"embedding scale": hosts.D**0.5, "attention.output.weight": "transposed"},
    ),
    ("Gpt", {"no qkv bias": ON, "window": 4}, {"attention.qkv.bias": "missing", "mask": "window 4"}),
    ("Gpt", {"one plus": ON, "branch": 0.5}, {"norm gain": "1 + weight", "residual": "x + 0.5·branch"}),
    ("Gpt", {"cap": 5.0, "one weight": ON}, {"attention cap": 5.0, "feed_forward.up.weight": "different"}),
    ("Llama", {"interleaved": ON, "eps": 1e-2}, {"rope": "interleaved", "norm eps": 1e-2}),
    (
        "Llama",
        {"theta": 5e5, "strided": ON},
        {"rope base": 5e5, "key/value head of a query head": "strided"},
    ),
    ("Llama", {"backwards": ON, "act": "gelu"}, {"rope direction": -1, "activation": "gelu"}),
    ("Llama", {"one plus": ON, "window": 5}, {"norm gain": "1 + weight", "mask": "window 5"}),
    ("Llama", {"up activated": ON, "logit cap": ON}, {"activated half": "second", "logit cap": 30.0}),
]
UNREADABLE = [
    ({"act": "gelu_tanh"}, {"activation": "gelu_tanh"}),
    ({"scale": 1.0}, {"attention scale": "1"}),
    ({"post": ON}, {"norm placement": "post"}),
    ({"window": 4}, {"mask": "window 4"}),
    ({"transposed output": ON}, {"attention.output.weight": "transposed"}),
    ({"keys first": ON}, {"order of queries, keys and values": "k, q, v"}),
]
"""Differences in a model whose attention cannot be seen: found by the search over every single change."""


def pair(host, on):
    """Target and reference."""
    return getattr(hosts, host)(**on), getattr(hosts, host)()


def named(explanation, wanted):
    """Whether the explanation names these changes and no others; a text may go on after the word that is wanted."""
    found = {change.what: change.target for change in explanation}
    return (
        len(found) == len(explanation)
        and found.keys() == wanted.keys()
        and all(_is(found[what], value) for what, value in wanted.items())
    )


def _is(found, value):
    if isinstance(value, float) and isinstance(found, float):
        return abs(found - value) <= 1e-4 * abs(value)
    return str(found).startswith(str(value)) if isinstance(value, str) else found == value
