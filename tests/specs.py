"""Makes the spec of an encoder from a few arguments, for the tests of families and engines."""

from __future__ import annotations

from pellucid.layers.rotary import Rotary
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
    RelativeBiasSpec,
)


def encoder_spec(
    family,
    *,
    vocab_size,
    hidden_size,
    layers,
    heads,
    intermediate_size,
    layer_norm_eps,
    positions,
    activation="gelu",
    padding_id=None,
    token_types=0,
    relative_buckets=0,
    norm_first=False,
    gated=False,
    attention_bias=True,
    feed_forward_bias=True,
    norm_bias=True,
    attention=((None, None),),
    embedding_size=None,
    disentangled=None,
    shared_layers=(),
) -> EncoderSpec:
    """The spec of an encoder.

    ``attention`` has the window and the rotary base of each layer, and repeats if there are more layers. With a rotary
    base, there is no position table. With ``norm_first``, the norms come before attention and feed-forward, except
    before the first attention.
    """
    norm = NormSpec(layer_norm_eps, bias=norm_bias)
    kinds = [
        AttentionSpec(
            heads,
            hidden_size // heads,
            heads,
            bias=attention_bias,
            before=window,
            after=window,
            rotary=None if base is None else Rotary(base),
        )
        for window, base in attention
    ]
    feed_forward = FeedForwardSpec(intermediate_size, activation, gated=gated, bias=feed_forward_bias)
    places = NormPlaces(before=norm) if norm_first else NormPlaces(sum=norm)
    return EncoderSpec(
        family=family,
        hidden_size=hidden_size,
        embedding=EmbeddingSpec(
            vocab_size=vocab_size,
            positions=positions,
            norm=norm,
            position_table=attention[0][1] is None,
            padding_id=padding_id,
            token_types=token_types,
            size=embedding_size,
        ),
        blocks=tuple(
            BlockSpec(
                kinds[number % len(kinds)],
                feed_forward,
                NormPlaces() if norm_first and number == 0 else places,
                places,
            )
            for number in range(layers)
        ),
        final_norm=norm if norm_first else None,
        relative_bias=RelativeBiasSpec(relative_buckets) if relative_buckets else None,
        disentangled=disentangled,
        shared_layers=shared_layers,
    )
