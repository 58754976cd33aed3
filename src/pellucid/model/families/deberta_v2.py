"""DeBERTa v2 and v3 (He et al., 2021): BERT with relative positions that are kept apart from what tokens are."""

from __future__ import annotations

import dataclasses

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames
from pellucid.model.spec import DisentangledSpec, EncoderSpec

NAMES = dataclasses.replace(
    bert.NAMES,
    prefixes=("", "deberta."),
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
    relative_positions="encoder.rel_embeddings",
    relative_norm="encoder.LayerNorm",
    position_key="attention.self.pos_key_proj",
    position_query="attention.self.pos_query_proj",
)
HEAD = HeadNames("pooler.dense", "classifier", activation_key="pooler_hidden_act")

_MAX_SPAN = 1 << 16
_DEFAULTS = {
    "vocab_size": 128100,
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-7,
}
"""Those of transformers' ``DebertaV2Config``."""


def spec(config: Config) -> EncoderSpec:
    """The shape of a DeBERTa encoder."""
    config = config.with_defaults(_DEFAULTS)
    if config.integer("conv_kernel_size", 0):  # Only the two largest models of version 2 have a convolution.
        raise UnsupportedModelError(f"{config.where}: a conv_kernel_size above 0 is not supported.")
    found = bert.spec(config)
    if (size := config.size("embedding_size", found.hidden_size)) != found.hidden_size:
        raise UnsupportedModelError(f"{config.where}: embedding_size {size} is not the hidden size.")
    embedding = dataclasses.replace(
        found.embedding,
        position_table=config.flag("position_biased_input", True),
        token_types=config.integer("type_vocab_size", 0, minimum=0),
    )
    places = _read_places(config, found) if config.flag("relative_attention", False) else None
    return dataclasses.replace(found, family="deberta-v2", embedding=embedding, disentangled=places)


def _read_places(config: Config, found: EncoderSpec) -> DisentangledSpec | None:
    """How scores depend on relative positions; None if they do not."""
    furthest = config.integer("max_relative_positions", -1)
    furthest = furthest if furthest >= 1 else found.embedding.positions
    buckets = config.integer("position_buckets", -1)
    span = buckets if buckets > 0 else furthest
    if max(span, found.embedding.positions) > _MAX_SPAN:
        raise InvalidModelError(
            f"{config.where}: there are {max(span, found.embedding.positions):,} relative positions, and the limit is "
            f"{_MAX_SPAN:,}."
        )
    if buckets > 0 and (buckets == 1 or furthest - 1 <= buckets // 2):
        raise InvalidModelError(
            f"{config.where}: position_buckets {buckets} does not go with max_relative_positions {furthest}."
        )
    kinds = config.values.get("pos_att_type") or []
    kinds = [kind.strip() for kind in kinds.lower().split("|")] if isinstance(kinds, str) else kinds
    if not isinstance(kinds, list) or not set(map(str, kinds)) <= {"c2p", "p2c", ""}:
        raise UnsupportedModelError(f"{config.where}: pos_att_type {kinds!r:.80} is not supported, only c2p and p2c.")
    if not set(kinds) & {"c2p", "p2c"}:
        return None
    norms = [name.strip() for name in config.string("norm_rel_ebd", "none").lower().split("|")]
    return DisentangledSpec(
        span=span,
        buckets=buckets if buckets > 0 else None,
        max_distance=furthest,
        query_to_position="c2p" in kinds,
        key_to_position="p2c" in kinds,
        shared=config.flag("share_att_key", False),
        norm=found.embedding.norm if "layer_norm" in norms else None,
    )
