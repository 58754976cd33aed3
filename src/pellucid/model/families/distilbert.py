"""DistilBERT (Sanh et al., 2019): BERT without token types, and with names of its own for everything."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormSpec

NAMES = dataclasses.replace(
    bert.NAMES,
    prefixes=("", "distilbert."),
    token_type=None,
    layer="transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    feed_forward_norm="output_layer_norm",
)


def spec(config: Config) -> EncoderSpec:
    """The shape of a DistilBERT encoder. Defaults are those of transformers' ``DistilBertConfig``.

    ``sinusoidal_pos_embds`` says how the position table was made, and the file holds what was made.
    """
    hidden, norm = config.size("dim"), NormSpec(1e-12)  # in transformers' code, whatever the config says
    return EncoderSpec(
        family="distilbert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(config.size("vocab_size"), config.size("max_position_embeddings", 512), norm),
        blocks=bert.blocks(
            bert.layers(config, "n_layers"),
            bert.attention(config, hidden, config.size("n_heads")),
            FeedForwardSpec(config.size("hidden_dim"), bert.activation(config, "activation")),
            norm,
        ),
    )
