"""Wrong and right ways to write a TransformerDecoder."""

from oneblock.learn.exercise import Right, Wrong


def _wrong(name: str, says: str, dies: str, form: str, repair: str) -> Wrong:
    return Wrong(name=f"decoder_{name}", says=says, dies=(dies,), switches={"decoder": form}, repair=repair)


def _right(name: str, says: str, form: str) -> Right:
    return Right(name=f"decoder_{name}", says=f"a TransformerDecoder {says}", switches={"decoder": form})


DECODER_WRONG = (
    _wrong("leaks", "a TransformerDecoder without a causal mask", "decoder", "leaks", "The decoder is causal too."),
    _wrong("last", "a TransformerDecoder that returns the last place alone", "decoder", "last", "B×T×D stays B×T×D."),
    _wrong("one_object", "a TransformerDecoder that is one block, several times", "decoder_layers", "one object",
           "A new Block for each layer: nn.ModuleList(Block(…) for _ in range(num_layers))."),
    _wrong("plain_list", "a TransformerDecoder with its blocks in a plain list", "decoder_layers", "plain list",
           "nn.ModuleList makes their parameters the model's."),
    _wrong("first_again", "a TransformerDecoder that goes through its first block again and again",
           "decoder_used", "first again", "for block in blocks: x = block(x)."),
    _wrong("not_the_last", "a TransformerDecoder that leaves out its last block", "decoder_used", "not the last",
           "Go through all of them."),
    _wrong("detached", "a TransformerDecoder that cuts the gradient between its blocks", "decoder_used", "detached",
           "Without detach."),
    _wrong("no_residual", "a TransformerDecoder without residuals", "decoder_stream", "no residual",
           "x = x + … in both steps."),
    _wrong("post", "a TransformerDecoder with its norms after the adds", "decoder_stream", "post",
           "x + attention(norm1(x)): the norm stands on the branch."),
    _wrong("norm_first", "a TransformerDecoder that norms x before its first block", "decoder_stream", "norm first",
           "x goes into the blocks as it is; each norms its own copy."),
    _wrong("after_each", "a TransformerDecoder with a norm on the stream after each block",
           "decoder_stream", "after each", "One norm at the very end at most."),
    _wrong("halved", "a TransformerDecoder whose stream is divided by √2 after each block", "decoder_stream", "halved",
           "Nothing stands on the bypass."),
    _wrong("backwards", "a TransformerDecoder with its last block first", "decoder_values", "backwards",
           "Block 0 is the first."),
    _wrong("parallel", "a TransformerDecoder whose feed-forward does not see what attention has added",
           "decoder_values", "parallel", "Two adds, one after the other."),
    _wrong("turned", "a TransformerDecoder whose blocks have the feed-forward first", "decoder_values", "turned",
           "Attention first."),
    _wrong("one_head", "a TransformerDecoder with one head, however many are asked", "decoder_values", "one head",
           "Give num_heads on to each block."),
    _wrong("relu", "a TransformerDecoder with relu for GELU", "decoder_values", "relu",
           "GELU, as in the block."),
    _wrong("any_heads", "a TransformerDecoder that says nothing about heads that do not divide the width",
           "decoder", "any heads", "ValueError, as in the block."),
    _wrong("four_heads", "a TransformerDecoder with four heads, however many are asked", "decoder", "four heads",
           "num_heads=8, and given on to each block."),
)  # fmt: skip

DECODER_RIGHT = (
    _right("plain", "there, of the same blocks", "right"),
    _right("norm", "that has a norm at its end", "with norm"),
    _right("rms", "that has an RMSNorm without gain at its end", "rms"),
    _right("zero", "whose branches start with zeros", "zero"),
    _right("layers", "that calls its blocks otherwise", "layers"),
    _right("biases", "whose linear layers have biases", "biases"),
    _right("narrow", "whose feed-forwards are twice as wide as the stream, not four times", "narrow"),
)
