"""What a model is, as plain values: the shape of its encoder, and everything around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UnsupportedModelError
from pellucid.layers.pooling import Pooling


@dataclass(frozen=True)
class LayerAttention:
    """What may differ between the attention of one layer and the next.

    Attributes:
        window: how many tokens on each side a token looks at; None for all of the text.
        rotary_base: the base of the rotations by which queries and keys know their places (Su et al., "RoFormer",
            2021); None if there are none.
    """

    window: int | None = None
    rotary_base: float | None = None


@dataclass(frozen=True)
class EncoderSpec:
    """The shape of a transformer encoder: all that an engine needs to know besides the weights.

    Attributes:
        family: the ``model_type`` of config.json.
        vocab_size, hidden_size, layers, heads, intermediate_size: as the field names them.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        layer_norm_eps: added to the variance.
        positions: rows of the position table; without one, the longest sequence.
        padding_id: None if positions count 0, 1, 2, …. Otherwise positions follow fairseq's rule: they start at
            ``padding_id + 1`` and count only tokens other than ``padding_id``, which sits at ``padding_id`` itself.
        token_types: rows of the token type table, of which row 0 is used; 0 if there is none.
        relative_buckets: buckets of the relative position bias that all layers share (Raffel et al., "T5", 2020);
            0 if there is none.
        relative_max_distance: the distance from which on all tokens share the last bucket.
        norm_first: whether attention and feed-forward work on normalised vectors and add to vectors that are not
            (pre-norm, Xiong et al., 2020), rather than normalising each sum. The first layer's attention then takes
            the embeddings as they are, which are normalised, and a norm follows the last layer.
        gated: whether the feed-forward multiplies the activation by a second product (Shazeer, "GLU Variants", 2020).
        attention_bias, feed_forward_bias, norm_bias: which of the layers' parts have a bias.
        attention: each layer's own, over again while there are more layers; empty if all look at the whole text,
            without rotations.
        only_torch: why only the engine "torch" may run it, in a sentence; "" if the others can. What they would need
            to know of it is then not told.
    """

    family: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    activation: str
    layer_norm_eps: float
    positions: int
    padding_id: int | None = None
    token_types: int = 0
    relative_buckets: int = 0
    relative_max_distance: int = 128
    norm_first: bool = False
    gated: bool = False
    attention_bias: bool = True
    feed_forward_bias: bool = True
    norm_bias: bool = True
    attention: tuple[LayerAttention, ...] = ()
    only_torch: str = ""

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the position table has room for."""
        return self.positions if self.padding_id is None else self.positions - self.padding_id - 1

    def attention_of(self, layer: int) -> LayerAttention:
        """What the attention of layer number ``layer`` has of its own."""
        return self.attention[layer % len(self.attention)] if self.attention else LayerAttention()


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
