"""Encoders and encoder-decoders against another library's own classes, made from a configuration with random weights."""

import pytest
import torch

from oneblock import build
from oneblock.config import (
    Attention,
    Block,
    Dense,
    Encoder,
    EncoderDecoder,
    Gated,
    LayerNorm,
    Learned,
    RMSNorm,
    Stack,
    T5Bias,
    TransformedHead,
)

pytestmark = pytest.mark.peers
V, D, H, K, F, S, T = 17, 24, 3, 5, 31, 9, 7
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def stirred(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return module.double().eval()


def put(ours, theirs):
    with torch.no_grad():
        ours.weight.copy_(theirs.weight)
        if ours.bias is not None:
            ours.bias.copy_(theirs.bias)


def put_norm(ours, theirs):
    with torch.no_grad():
        ours.weight.copy_(theirs.weight)
        if hasattr(theirs, "bias") and theirs.bias is not None:
            ours.bias.copy_(theirs.bias)


def put_fused(ours, *theirs):
    with torch.no_grad():
        ours.weight.copy_(torch.cat([one.weight for one in theirs]))
        if ours.bias is not None:
            ours.bias.copy_(torch.cat([one.bias for one in theirs]))


def texts():
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(3, V, (2, S), generator=generator)
    target = torch.randint(3, V, (2, T), generator=generator)
    padding = torch.zeros(2, S, dtype=torch.bool)
    padding[1, 6:] = True
    return source, target, padding


@pytest.mark.parametrize("gated", [False, True])
@torch.no_grad()
def test_t5(gated):
    transformers = pytest.importorskip("transformers")
    theirs = stirred(
        transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=V, d_model=D, d_kv=K, d_ff=F, num_layers=2, num_decoder_layers=3, num_heads=H,
                relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0,
                feed_forward_proj="gated-gelu" if gated else "relu", attn_implementation="eager",
                tie_word_embeddings=True, scale_decoder_outputs=not gated,
            )
        )
    )  # fmt: skip
    attention = Attention(num_heads=H, head_width=K, scale=1.0)
    feed_forward = Gated(activation="gelu_tanh", hidden=F) if gated else Dense(activation="relu", hidden=F)
    parts = {"attention": attention, "feed_forward": feed_forward, "norm": RMSNorm(eps=1e-6)}
    around = {"position": T5Bias(num_buckets=8, max_distance=12)}
    writes = Block(steps=WITH_MEMORY, cross_attention=attention, **parts)
    scaled = theirs.config.scale_decoder_outputs
    ours = build(
        EncoderDecoder(
            source_vocab=V, target_vocab=V, width=D, shared_embedding=True, head_scale=scaled,
            encoder=Stack(context=S, num_layers=2, blocks=(Block(**parts),), **around),
            decoder=Stack(context=T, num_layers=3, blocks=(writes,), **around),
        )
    ).double().eval()  # fmt: skip
    ours.encoder.embedding.weight.copy_(theirs.shared.weight)
    for stack, other in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
        put_norm(stack.norm, other.final_layer_norm)
        stack.position.weight.copy_(other.block[0].layer[0].SelfAttention.relative_attention_bias.weight)
        for block, layers in zip(stack.blocks, (one.layer for one in other.block), strict=True):
            own, last = layers[0].SelfAttention, layers[-1].DenseReluDense
            put_fused(block.attention.qkv, own.q, own.k, own.v)
            put(block.attention.output, own.o)
            put_norm(block.attention.norm_in, layers[0].layer_norm)
            if len(layers) == 3:
                across = layers[1].EncDecAttention
                put(block.cross_attention.query, across.q)
                put_fused(block.cross_attention.key_value, across.k, across.v)
                put(block.cross_attention.output, across.o)
                put_norm(block.cross_attention.norm_in, layers[1].layer_norm)
            put_norm(block.feed_forward.norm_in, layers[-1].layer_norm)
            if gated:
                put(block.feed_forward.gate, last.wi_0)
                put(block.feed_forward.up, last.wi_1)
            else:
                put(block.feed_forward.up, last.wi)
            put(block.feed_forward.down, last.wo)
    source, target, padding = texts()
    expected = theirs(input_ids=source, attention_mask=(~padding).long(), decoder_input_ids=target).logits
    # Its norm takes the mean square in float32, whatever the model computes in.
    torch.testing.assert_close(ours(source, target, padding), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_bart():
    transformers = pytest.importorskip("transformers")
    theirs = stirred(
        transformers.BartForConditionalGeneration(
            transformers.BartConfig(
                vocab_size=V, d_model=D, encoder_layers=2, decoder_layers=2, encoder_attention_heads=H,
                decoder_attention_heads=H, encoder_ffn_dim=F, decoder_ffn_dim=F, max_position_embeddings=S,
                dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, attn_implementation="eager",
            )
        )
    )  # fmt: skip
    attention = Attention(num_heads=H, bias=True, output_bias=True)
    parts = {"attention": attention, "feed_forward": Dense(hidden=F, bias=True), "placement": "post"}
    around = {"context": S, "num_layers": 2, "position": Learned(), "embedding_norm": LayerNorm()}
    writes = Block(steps=WITH_MEMORY, cross_attention=attention, **parts)
    ours = build(
        EncoderDecoder(
            source_vocab=V, target_vocab=V, width=D, shared_embedding=True,
            encoder=Stack(blocks=(Block(**parts),), **around), decoder=Stack(blocks=(writes,), **around),
        )
    ).double().eval()  # fmt: skip
    ours.encoder.embedding.weight.copy_(theirs.model.shared.weight)
    for stack, other in ((ours.encoder, theirs.model.encoder), (ours.decoder, theirs.model.decoder)):
        stack.position.weight.copy_(other.embed_positions.weight[2:])
        put_norm(stack.embedding.norm, other.layernorm_embedding)
        for block, layer in zip(stack.blocks, other.layers, strict=True):
            own = layer.self_attn
            put_fused(block.attention.qkv, own.q_proj, own.k_proj, own.v_proj)
            put(block.attention.output, own.out_proj)
            put_norm(block.attention_residual.norm, layer.self_attn_layer_norm)
            if hasattr(layer, "encoder_attn"):
                across = layer.encoder_attn
                put(block.cross_attention.query, across.q_proj)
                put_fused(block.cross_attention.key_value, across.k_proj, across.v_proj)
                put(block.cross_attention.output, across.out_proj)
                put_norm(block.cross_attention_residual.norm, layer.encoder_attn_layer_norm)
            put(block.feed_forward.up, layer.fc1)
            put(block.feed_forward.down, layer.fc2)
            put_norm(block.feed_forward_residual.norm, layer.final_layer_norm)
    source, target, padding = texts()
    expected = theirs(input_ids=source, attention_mask=(~padding).long(), decoder_input_ids=target).logits
    torch.testing.assert_close(ours(source, target, padding), expected, **CLOSE)


@torch.no_grad()
def test_bert():
    transformers = pytest.importorskip("transformers")
    theirs = stirred(
        transformers.BertForMaskedLM(
            transformers.BertConfig(
                vocab_size=V, hidden_size=D, num_hidden_layers=2, num_attention_heads=H, intermediate_size=F,
                max_position_embeddings=S, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                attn_implementation="eager",
            )
        )
    )  # fmt: skip
    norm = LayerNorm(eps=1e-12)
    block = Block(
        attention=Attention(num_heads=H, bias=True, output_bias=True),
        feed_forward=Dense(hidden=F, bias=True),
        norm=norm,
        placement="post",
    )
    ours = build(
        Encoder(
            vocab_size=V, context=S, width=D, num_layers=2, blocks=(block,), position=Learned(), embedding_norm=norm,
            head=TransformedHead(norm=norm),
        )
    ).double().eval()  # fmt: skip
    embeddings = theirs.bert.embeddings
    ours.embedding.weight.copy_(embeddings.word_embeddings.weight)
    # A single text has one segment, so its vector is part of every position's.
    segment = embeddings.token_type_embeddings.weight[0]
    ours.position.weight.copy_(embeddings.position_embeddings.weight + segment)
    put_norm(ours.embedding.norm, embeddings.LayerNorm)
    for mine, layer in zip(ours.blocks, theirs.bert.encoder.layer, strict=True):
        own = layer.attention.self
        put_fused(mine.attention.qkv, own.query, own.key, own.value)
        put(mine.attention.output, layer.attention.output.dense)
        put_norm(mine.attention_residual.norm, layer.attention.output.LayerNorm)
        put(mine.feed_forward.up, layer.intermediate.dense)
        put(mine.feed_forward.down, layer.output.dense)
        put_norm(mine.feed_forward_residual.norm, layer.output.LayerNorm)
    head = theirs.cls.predictions
    put(ours.head.dense, head.transform.dense)
    put_norm(ours.head.norm, head.transform.LayerNorm)
    ours.head.logits.bias.copy_(head.decoder.bias)
    source, _, padding = texts()
    expected = theirs(input_ids=source, attention_mask=(~padding).long()).logits
    torch.testing.assert_close(ours(source, padding)[~padding], expected[~padding], **CLOSE)
