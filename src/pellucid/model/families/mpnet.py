"""MPNet (Song et al., 2020): BERT with other positions and without token types.

Positions follow fairseq's rule. All layers share a bias on attention scores that depends on the distance of two tokens.
"""

from __future__ import annotations

import dataclasses

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames
from pellucid.model.spec import EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormSpec, RelativeBiasSpec

_BUCKETS = 32

NAMES = dataclasses.replace(
    bert.NAMES,
    prefixes=("", "mpnet."),
    token_type=None,
    relative_bias="encoder.relative_attention_bias",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attention_output="attention.attn.o",
    attention_norm="attention.LayerNorm",
)
HEAD = HeadNames("classifier.dense", "classifier.out_proj")


def spec(config: Config) -> EncoderSpec:
    """The shape of an MPNet encoder. The defaults are those of transformers' ``MPNetConfig``."""
    if (buckets := config.integer("relative_attention_num_buckets", _BUCKETS)) != _BUCKETS:
        # transformers always uses 32, whatever the config says. For another number there is no reference to match.
        raise UnsupportedModelError(
            f"{config.where}: relative_attention_num_buckets is {buckets}; only 32 is supported."
        )
    hidden, norm = config.size("hidden_size"), NormSpec(config.number("layer_norm_eps", 1e-12, minimum=0, maximum=1))
    return EncoderSpec(
        family="mpnet",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size"),
            positions=config.size("max_position_embeddings", 512),
            # transformers' MPNetEmbeddings hard-codes padding_idx = 1 and ignores pad_token_id.
            padding_id=1,
            norm=norm,
        ),
        blocks=bert.blocks(
            bert.layer_count(config, "num_hidden_layers"),
            bert.attention(config, hidden, config.size("num_attention_heads")),
            FeedForwardSpec(config.size("intermediate_size"), bert.activation(config, "hidden_act")),
            norm,
        ),
        relative_bias=RelativeBiasSpec(buckets),
    )
