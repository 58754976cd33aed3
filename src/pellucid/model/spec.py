"""What a model is, as plain values: the shape of its encoder, and everything around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UnsupportedModelError
from pellucid.layers.pooling import Pooling


@dataclass(frozen=True)
class NormSpec:
    """A normalisation of each token's vector.

    Attributes:
        eps: added to the variance.
        kind: "layer" (Ba et al., "Layer Normalization", 2016).
        bias: whether it has one.
    """

    eps: float
    kind: Literal["layer"] = "layer"
    bias: bool = True


@dataclass(frozen=True)
class NormPlaces:
    """Where norms stand around a sublayer ``f``, which changes ``x`` to ``sum(x + after(f(before(x))))``.

    Attributes:
        before: pre-norm (Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020).
        after: of what comes out, before it is added.
        sum: post-norm, as in the first transformer (Vaswani et al., 2017) and in BERT.
    """

    before: NormSpec | None = None
    after: NormSpec | None = None
    sum: NormSpec | None = None


@dataclass(frozen=True)
class EmbeddingSpec:
    """How token ids become vectors.

    Attributes:
        vocab_size: rows of the word table.
        positions: rows of the position table; without one, the longest sequence.
        position_table: whether there is one.
        padding_id: None if positions count 0, 1, 2, …. Otherwise positions follow fairseq's rule: they start at
            ``padding_id + 1`` and count only tokens other than ``padding_id``, which sits at ``padding_id`` itself.
        token_types: rows of the token type table; 0 if there is none. A text alone is of type 0, the second of a pair
            of type 1.
        norm: follows the sum of the tables' rows.
    """

    vocab_size: int
    positions: int
    norm: NormSpec | None
    position_table: bool = True
    padding_id: int | None = None
    token_types: int = 0


@dataclass(frozen=True)
class AttentionSpec:
    """Multi-head attention of a text to itself.

    Attributes:
        heads: how many heads query.
        head_size: how many numbers each has.
        kv_heads: how many heads have keys and values; each serves ``heads / kv_heads`` that query (Ainslie et al.,
            "GQA", 2023).
        bias: whether the four linear layers have one.
        window: how many tokens on each side a token looks at; None for all of the text.
        rotary_base: the base of the rotations by which queries and keys know their places (Su et al., "RoFormer",
            2021); None if there are none.
    """

    heads: int
    head_size: int
    kv_heads: int
    bias: bool = True
    window: int | None = None
    rotary_base: float | None = None

    @property
    def query_size(self) -> int:
        """How many numbers the queries of a token have."""
        return self.heads * self.head_size

    @property
    def key_size(self) -> int:
        """How many numbers the keys of a token have, and its values."""
        return self.kv_heads * self.head_size


@dataclass(frozen=True)
class FeedForwardSpec:
    """What happens to each token alone.

    Attributes:
        size: how many numbers there are between its linear layers.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        gated: whether the activation is multiplied by a second product (Shazeer, "GLU Variants", 2020).
        bias: whether the linear layers have one.
    """

    size: int
    activation: str
    gated: bool = False
    bias: bool = True


@dataclass(frozen=True)
class BlockSpec:
    """One transformer layer: attention, then feed-forward, each with norms around it."""

    attention: AttentionSpec
    feed_forward: FeedForwardSpec
    attention_norms: NormPlaces
    feed_forward_norms: NormPlaces


@dataclass(frozen=True)
class RelativeBiasSpec:
    """A bias of attention scores for the distance of two tokens, which all layers share (Raffel et al., "T5", 2020).

    Attributes:
        buckets: how many distances are told apart.
        max_distance: the distance from which on all tokens share the last bucket.
    """

    buckets: int
    max_distance: int = 128


@dataclass(frozen=True)
class EncoderSpec:
    """The shape of a transformer encoder: all that an engine needs to know besides the weights.

    Attributes:
        family: the ``model_type`` of config.json.
        hidden_size: how many numbers a token's vector has.
        embedding: how token ids become vectors.
        blocks: the layers, in order.
        final_norm: follows the last layer; None if there is none.
        relative_bias: None if there is none.
        only_torch: why only the engine "torch" may run it, in a sentence; "" if the others can. What they would need
            to know of it is then not told.
    """

    family: str
    hidden_size: int
    embedding: EmbeddingSpec
    blocks: tuple[BlockSpec, ...]
    final_norm: NormSpec | None = None
    relative_bias: RelativeBiasSpec | None = None
    only_torch: str = ""

    @property
    def vocab_size(self) -> int:
        """Token ids are below it."""
        return self.embedding.vocab_size

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the position table has room for."""
        rows, padding = self.embedding.positions, self.embedding.padding_id
        return rows if padding is None else rows - padding - 1


@dataclass(frozen=True)
class TokenizerSpec:
    """How texts are cut into tokens.

    Attributes:
        folder: the subfolder of the tokenizer's files, "" for the top.
        max_tokens: the longest sequence, special tokens included.
        lowercase: lower the text before everything else (``do_lower_case`` of ``sentence_bert_config.json``).
        truncation_side: which end of a text is cut off.
    """

    folder: str
    max_tokens: int
    lowercase: bool
    truncation_side: Literal["left", "right"]


@dataclass(frozen=True)
class DenseSpec:
    """A linear layer after pooling.

    Attributes:
        folder: of its weights.
        into, out: how many numbers a vector has before and after it.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        bias: whether it has one.
        use_residual: whether the input is added to the result; through a matrix of its own if the sizes differ.
    """

    folder: str
    into: int
    out: int
    activation: str
    bias: bool = True
    use_residual: bool = False


@dataclass(frozen=True)
class LayerNormSpec:
    """A layer normalisation after pooling, of vectors of ``size`` numbers; ``folder`` has its weights."""

    folder: str
    size: int


@dataclass(frozen=True)
class NormalizeSpec:
    """Division by the length."""


Module = DenseSpec | LayerNormSpec | NormalizeSpec
Stage = Pooling | Module
"""What may follow the Transformer in ``modules.json``."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a model's JSON files say.

    Attributes:
        name: the model's name, for messages.
        encoder_folder: the subfolder of the encoder's files, "" for the top.
        encoder: the shape of the transformer.
        tokenizer: how texts are cut.
        stages: what follows the transformer, in order. Which stages make sense is for a task to say.
        prompts: texts that are put before a text, by name.
        default_prompt_name: the prompt that ``sentence-transformers``' plain ``encode`` uses.
    """

    name: str
    encoder_folder: str
    encoder: EncoderSpec
    tokenizer: TokenizerSpec
    stages: tuple[Stage, ...]
    prompts: Mapping[str, str]
    default_prompt_name: str | None

    @functools.cached_property
    def pooling(self) -> Pooling:
        """How the model pools.

        Raises:
            UnsupportedModelError: its first stage after the transformer is not the one pooling.
        """
        match self.stages:
            case (Pooling() as pooling, *rest) if not any(isinstance(stage, Pooling) for stage in rest):
                return pooling
        kinds = ["Transformer", *(type(stage).__name__.removesuffix("Spec") for stage in self.stages)]
        raise UnsupportedModelError(
            f"{self.name}: modules.json: {' → '.join(kinds)} is not Transformer → Pooling → …, as an embedding model "
            f"is."
        )

    @functools.cached_property
    def modules(self) -> tuple[Module, ...]:
        """What follows pooling, in order."""
        return tuple(stage for stage in self.stages if not isinstance(stage, Pooling))

    @functools.cached_property
    def dimensions(self) -> int:
        """The length of a text's vector."""
        sizes = [stage.out for stage in self.stages if isinstance(stage, DenseSpec)]
        return sizes[-1] if sizes else len(self.pooling.modes) * self.encoder.hidden_size

    @functools.cached_property
    def unit_length(self) -> bool:
        """Whether the model itself makes its vectors one long: its last stage is Normalize."""
        return bool(self.stages) and isinstance(self.stages[-1], NormalizeSpec)
