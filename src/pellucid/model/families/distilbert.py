"""DistilBERT (Sanh et al., 2019): BERT without token types, and with its own names for config keys and tensors."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames, VocabularyNames
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
HEAD = HeadNames("pre_classifier", "classifier", activation="relu")
VOCABULARY = VocabularyNames(
    dense="vocab_transform", norm="vocab_layer_norm", decoder="vocab_projector", bias="vocab_projector.bias"
)


def spec(config: Config) -> EncoderSpec:
    """The shape of a DistilBERT encoder. The defaults are those of transformers' ``DistilBertConfig``.

    ``sinusoidal_pos_embds`` can be ignored: it says how the position table was made, and the weights hold that table.
    """
    hidden, norm = config.size("dim"), NormSpec(1e-12)  # Hard-coded in transformers; the config cannot change it.
    return EncoderSpec(
        family="distilbert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(config.size("vocab_size"), config.size("max_position_embeddings", 512), norm),
        blocks=bert.blocks(
            bert.layer_count(config, "n_layers"),
            bert.attention(config, hidden, config.size("n_heads")),
            FeedForwardSpec(config.size("hidden_dim"), bert.activation(config, "activation")),
            norm,
        ),
    )
