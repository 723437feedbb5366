"""What a check is called where a person reads it; scripts and `recall.jsonl` have its id."""

from __future__ import annotations

WORDS = {
    # Of every exercise, asked by the judge itself.
    "loads": "loading your file", "own_work": "your own work", "world": "the world as it was",
    "inputs": "inputs left as they are", "again": "the same question again",
    # Of several exercises.
    "values": "the numbers", "shapes": "any shape", "sizes": "small numbers and eps", "large": "large scores",
    "gradient": "the gradient", "float32": "in float32", "mask": "under a mask", "hidden": "large hidden scores",
    "causal": "no look ahead",
    "groups": "heads in groups", "refuses": "sizes that do not fit", "divides": "sizes that do not divide",
    "norms": "the norms", "order": "the order", "attention": "attention",
    "lab_shape": "the shape that comes out",
    # Lists and norms.
    "softmax": "softmax", "sharp": "attention with large scores", "layer_norm": "layer_norm", "eps": "eps",
    "residual": "the residual connection", "layer_values": "layer_norm: the numbers",
    "layer_eps": "layer_norm: eps", "layer_sizes": "layer_norm: any shape",
    "layer_gradient": "layer_norm: the gradient", "rms_values": "rms_norm: the numbers", "rms_eps": "rms_norm: eps",
    "rms_sizes": "rms_norm: any shape", "rms_gradient": "rms_norm: the gradient",
    # Attention, mask, heads.
    "lab_causal": "no weight above the diagonal", "lab_rows": "weights that add up to 1",
    "empty_row": "a query that may see nothing", "empty_gradient": "the gradient of a query that may see nothing",
    "square": "as many queries as keys", "more_keys": "more keys than queries", "one_query": "a single query",
    "more_queries": "more queries than keys", "one_head": "one head, or heads of one number",
    "names": "names that can be read", "lab_heads": "heads that divide the width",
    # Block, model, loss, training.
    "feed_forward": "the feed-forward", "identity": "a block whose steps add nothing", "lengths": "texts of any length",
    "lab_backward": "the gradient through the stream", "shift": "each place against the next token",
    "pad": "places that are padding", "pad_zero": "token 0 as padding", "loss.large": "large logits",
    "layout": "the parameters and their shapes", "tiny_gpt.sizes": "other sizes",
    "context": "as many tokens as the context", "start": "a fresh model",
    "decoder_layers": "TransformerDecoder: weights of each layer", "decoder": "TransformerDecoder: what comes out",
    "decoder_used": "TransformerDecoder: every layer used", "decoder_stream": "TransformerDecoder: the stream",
    "decoder_values": "TransformerDecoder: the numbers", "fit.first": "the first loss",
    "fit.order": "the losses, in order", "iterator": "batches without an end", "gradients": "each step's gradients",
    "updates": "each step's update", "mode": "train mode", "learns": "whether it learns",
    # Sampling and cache.
    "greedy": "temperature 0", "plain": "without filters", "temperature": "temperature", "top_k": "top_k",
    "top_p": "top_p", "heat_first": "temperature before top_p", "both": "top_k and top_p together",
    "generator": "the generator", "sample.shapes": "the shape that comes out", "sample.large": "large logits",
    "cache.first": "without a cache", "one_by_one": "one token at a time", "chunks": "several new tokens at once",
    "long": "a longer text", "anew": "a new text", "fork": "the cache that came in",
    # Llama.
    "half": "rope on halves", "interleaved": "rope on neighbours", "rows": "rope with places of each row",
    "far": "rope at far places", "distance": "rope and distances", "rope_gradient": "rope: the gradient",
    "swiglu": "SwiGLU: the numbers", "swiglu_gradient": "SwiGLU: the gradient",
    "alibi_square": "ALiBi, as many queries as keys", "alibi_more_keys": "ALiBi with more keys",
    "alibi_heads": "ALiBi for 6 heads", "heads_plain": "grouped attention without groups",
    "heads_groups": "grouped attention in groups", "heads_told": "grouped attention: names that can be read",
    "heads_divide": "grouped attention: sizes that do not divide", "heads_gradient": "grouped attention: the gradient",
    # Experts.
    "top_one": "one expert a token", "several": "several experts a token", "experts.large": "large logits",
    "capacity_one": "capacity, one expert a token", "capacity_several": "capacity, several experts a token",
    "route_gradient": "the router's gradient", "moe_one": "the mixture, one expert a token",
    "moe_several": "the mixture, several experts a token", "few_tokens": "experts that nobody chose",
    "crowded": "an expert that all choose", "moe_gradient": "the mixture's gradient", "balance": "the balance loss",
    "balance_several": "the balance loss, several experts a token", "balance_gradient": "the balance loss's gradient",
    # Encoder and decoder.
    "head_counts": "any number of heads", "mask_shapes": "masks of every shape", "mask_equal": "a mask's first axis",
    "padding": "hidden memory tokens", "whole_shape": "shapes of the whole model", "layers": "weights of each layer",
    "direct": "every source token in sight", "attends": "weights over the memory",
    "two_halves": "encode and decode, as forward", "own_past": "the target's own past",
    "both_ways": "an encoder that sees both ways", "reads_source": "every source token read",
    "places": "positions on both sides", "memory_padding": "padding in encode and decode",
    "source_padding": "padding in the source", "keyword": "the arguments' names",
    "alone": "a sentence without its neighbours", "cross_attention.learns": "a gradient for every weight",
    # Diffusion.
    "patches": "patches", "round_trip": "patches and back", "there_again": "back and patches",
    "patch_gradient": "the gradient of patches", "modulation": "modulation",
    "modulation_gradient": "the gradient of modulation", "starts": "a fresh block",
    "heads": "heads that do not divide the width", "inventory": "the parameters", "gates": "which row is whose",
    "modulated": "norms that are modulated", "amounts": "how much is shifted and scaled",
    "first_branch": "attention: every patch sees every other", "second_branch": "the feed-forward",
    "condition": "the condition", "dit.learns": "a gradient for every weight",
    # Hunt and graduation.
    "spares": "right ones that must pass", "kills": "wrong ones that must fail", "small": "a block of Llama",
    "real": "SmolLM2's own logits",
    # Drawings.
    "reads": "what is drawn", "wires": "the wires", "numbers": "the numbers", "verdict": "the verdict",
    "paths": "the paths", "pre": "pre-norm", "post": "post-norm", "peri": "peri-norm", "none": "without norms",
    "nothing_ahead": "nothing ahead", "itself": "each token itself", "all_before": "all that came before",
    "labels": "the labels", "draw_causal_mask.square": "the grid",
}  # fmt: skip
"""Check -> its words; `exercise.check` where one exercise means something else by it than the others."""


def words_of(exercise: str, check: str) -> str:
    """A check's words; of one that has none, its id without underscores."""
    return WORDS.get(f"{exercise}.{check}") or WORDS.get(check) or check.replace("_", " ")
