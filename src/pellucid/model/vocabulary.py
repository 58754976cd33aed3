"""The head of a masked language model: read as a spec, and loaded with its weights.

transformers saves such a model as ``…ForMaskedLM``. sentence-transformers loads it as a ``SparseEncoder``.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.norms import LayerNorm
from pellucid.layers.vocabulary import VocabularyHead
from pellucid.model.config import Config, architectures
from pellucid.model.families import bert, get_family
from pellucid.model.families.names import VocabularyNames
from pellucid.model.spec import EncoderSpec, VocabularySpec
from pellucid.model.tensors import Tensors
from pellucid.model.weights import read_linear, read_norm
from pellucid.types import Float32


def is_masked_language_model(config: Config) -> bool:
    """True if config.json says that transformers saved the model as a masked language model."""
    return any(name.endswith("ForMaskedLM") for name in architectures(config))


def read_vocabulary(config: Config, encoder: EncoderSpec) -> VocabularySpec:
    """Read the head that config.json describes.

    Args:
        config: the encoder's config.json.
        encoder: what it says about the encoder.

    Raises:
        InvalidModelError: a value in the config is broken.
        UnsupportedModelError: Pellucid does not have the head of this family, or one of its settings.
    """
    names = get_family(config).vocabulary
    if names is None:
        raise UnsupportedModelError(
            f"{config.where}: sparse vectors of the architecture {encoder.family!r} are not supported."
        )
    if names.activation_key is not None:
        activation = bert.activation(config, names.activation_key)
    else:
        activation = names.activation or encoder.blocks[0].feed_forward.activation
    return VocabularySpec(
        width=encoder.embedding.size or encoder.hidden_size,
        activation=activation,
        norm=encoder.embedding.norm,  # In every family, both have the same settings.
        tied=config.flag("tie_word_embeddings", True),
        dense_bias=names.dense_bias_key is None or config.flag(names.dense_bias_key, False),
        decoder_bias=names.decoder_bias_key is None or config.flag(names.decoder_bias_key, True),
    )


def read_vocabulary_head(
    tensors: Tensors, spec: VocabularySpec, names: VocabularyNames, hidden_size: int, word: Float32
) -> VocabularyHead:
    """Load a head with its weights.

    Args:
        tensors: the tensors in the encoder's folder.
        spec: the head's shape.
        names: the names of its parts.
        hidden_size: the length of a token vector.
        word: the table of token vectors, ``float32[vocabulary, width]``.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`pellucid.model.tensors.Tensors.read`.
    """
    size = len(word)
    dense = read_linear(tensors, names.dense, spec.width, hidden_size, bias=spec.dense_bias)
    norm = None
    if spec.norm is not None:
        weights = read_norm(tensors, names.norm, spec.width, spec.norm)
        norm = LayerNorm(weights.weight, weights.bias, spec.norm.eps)
    # A decoder of its own has its own bias, too. A tied one may be stored under either name.
    own_bias = f"{names.decoder}.bias"
    bias_name = own_bias if own_bias in tensors and (not spec.tied or names.bias not in tensors) else names.bias
    return VocabularyHead(
        transform=Dense(dense.weight, dense.bias, spec.activation),
        norm=norm,
        decoder=Dense(
            weight=word if spec.tied else tensors.read(f"{names.decoder}.weight", (size, spec.width)),
            bias=tensors.read(bias_name, (size,)) if spec.decoder_bias else np.zeros(size, dtype=np.float32),
            activation="identity",
        ),
    )
