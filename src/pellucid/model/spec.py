"""What a model is, as plain values: the shape of its encoder, and everything around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pellucid.layers.head import HeadModule, Normalize
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
class ModelSpec:
    """Everything that a model's JSON files say.

    Attributes:
        name: the model's name, for messages.
        encoder_folder: the subfolder of the encoder's files, "" for the top.
        encoder, tokenizer, pooling: the stages.
        head: the modules after pooling, in order.
        prompts: texts that are put before a text, by name.
        default_prompt_name: the prompt that ``sentence-transformers``' plain ``encode`` uses.
        dimensions: the length of the final vector.
    """

    name: str
    encoder_folder: str
    encoder: EncoderSpec
    tokenizer: TokenizerSpec
    pooling: Pooling
    head: tuple[HeadModule, ...]
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    dimensions: int

    @property
    def unit_length(self) -> bool:
        """Whether the model itself makes its vectors one long: its last module is Normalize."""
        return bool(self.head) and isinstance(self.head[-1], Normalize)
