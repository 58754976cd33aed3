"""DistilBERT (Sanh et al., 2019): BERT without token types, and with names of its own for everything."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import EncoderSpec

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
    return EncoderSpec(
        family="distilbert",
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("dim"),
        layers=config.size("n_layers"),
        heads=config.size("n_heads"),
        intermediate_size=config.size("hidden_dim"),
        activation=bert.activation(config, "activation"),
        layer_norm_eps=1e-12,  # in transformers' code, whatever the config says
        positions=config.size("max_position_embeddings", 512),
    )
