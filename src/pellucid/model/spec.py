"""A model as plain values: the shape of its encoder, and everything around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UnsupportedModelError, plural
from pellucid.layers.pooling import Pooling
from pellucid.layers.rotary import Rotary
from pellucid.reprs import short_repr, short_text

NO_LIMIT = 1 << 29
"""The ``max_tokens`` of a model that reads texts of any length. No text in the memory of a machine has more tokens."""


def describe_limit(max_tokens: int) -> str:
    """The ``max_tokens`` of a model, for people.

    >>> describe_limit(2048), describe_limit(NO_LIMIT)
    ('at most 2,048 tokens', 'texts of any length')
    """
    return "texts of any length" if max_tokens == NO_LIMIT else f"at most {plural(max_tokens, 'token')}"


@dataclass(frozen=True)
class NormSpec:
    """A normalization of each token's vector.

    Attributes:
        eps: the number added to the variance, or to the mean square.
        kind: "layer" is layer normalization (Ba et al., "Layer Normalization", 2016). "rms" divides by the root mean
            square (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019), and has no bias.
        bias: True if the norm has a bias.
        adds_one: True if the files store the weights minus 1, as Gemma's do.
    """

    eps: float
    kind: Literal["layer", "rms"] = "layer"
    bias: bool = True
    adds_one: bool = False


@dataclass(frozen=True)
class NormPlaces:
    """The norms around a sublayer ``f``, which turns ``x`` into ``sum(x + after(f(before(x))))``.

    Each is None if there is no norm in that place.

    Attributes:
        before: pre-norm (Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020).
        after: applied to the output of ``f``, before it is added to ``x``.
        sum: post-norm, as in the first transformer (Vaswani et al., 2017) and in BERT.
    """

    before: NormSpec | None = None
    after: NormSpec | None = None
    sum: NormSpec | None = None

    __repr__ = short_repr


@dataclass(frozen=True)
class EmbeddingSpec:
    """How token ids become vectors.

    Attributes:
        vocab_size: the number of rows in the table of token vectors.
        positions: the number of rows in the position table; without such a table, the maximum length in tokens.
        position_table: True if there is a position table.
        padding_id: None if positions count 0, 1, 2, …. Otherwise positions follow fairseq's rule: they start at
            ``padding_id + 1`` and count only tokens other than ``padding_id``, whose own position is ``padding_id``.
        token_types: the number of rows in the token type table; 0 if there is none. A single text has type 0, and the
            second text of a pair has type 1.
        norm: the norm after the sum of the tables' rows, or None.
        size: the length of the tables' rows, if a linear layer after the norm turns them into token vectors (Clark et
            al., "ELECTRA", 2020); None if they have the hidden size already.
        rows: the number of rows in the table of token vectors, if a second table says which row each token has, as in
            static models whose tokens share rows; None if each token has its own.
        weighted: True if each token's row is multiplied by a weight of its own, as in some static models.
        scale: what the rows of the table of token vectors are multiplied by.
    """

    vocab_size: int
    positions: int
    norm: NormSpec | None
    position_table: bool = True
    padding_id: int | None = None
    token_types: int = 0
    size: int | None = None
    rows: int | None = None
    weighted: bool = False
    scale: float = 1.0

    __repr__ = short_repr


@dataclass(frozen=True)
class AttentionSpec:
    """Multi-head self-attention.

    Attributes:
        heads: the number of query heads.
        head_size: the length of a head's vectors.
        kv_heads: the number of key and value heads. Each serves ``heads / kv_heads`` query heads (Ainslie et al.,
            "GQA", 2023).
        bias: True if the linear layers of queries, keys and values have biases.
        output_bias: True if the linear layer after attention has one; None if it is as ``bias`` says.
        before: how many tokens before itself a token looks at; None for all.
        after: how many tokens after itself a token looks at; None for all, and 0 in a causal model.
        rotary: the rotary position embedding of queries and keys, or None.
        qk_norm: the norm of each head's query and key, before they are rotated; or None.
        scale: what the products of queries and keys are multiplied by; None for ``1 / √head_size``.
    """

    heads: int
    head_size: int
    kv_heads: int
    bias: bool = True
    output_bias: bool | None = None
    before: int | None = None
    after: int | None = None
    rotary: Rotary | None = None
    qk_norm: NormSpec | None = None
    scale: float | None = None

    __repr__ = short_repr

    @property
    def has_window(self) -> bool:
        """True if tokens do not look at the whole text."""
        return self.before is not None or self.after is not None

    @property
    def query_size(self) -> int:
        """The length of a token's query, all heads together."""
        return self.heads * self.head_size

    @property
    def key_size(self) -> int:
        """The length of a token's key, all heads together. Its value has the same length."""
        return self.kv_heads * self.head_size


@dataclass(frozen=True)
class FeedForwardSpec:
    """The feed-forward network, which works on each token alone.

    Attributes:
        size: the length of the vectors between its linear layers.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        gated: True if the activation's result is multiplied by a second linear layer's (Shazeer, "GLU Variants", 2020).
        bias: True if the linear layers have biases.
    """

    size: int
    activation: str
    gated: bool = False
    bias: bool = True


@dataclass(frozen=True)
class BlockSpec:
    """One transformer layer: attention, then a feed-forward network, each with norms around it."""

    attention: AttentionSpec
    feed_forward: FeedForwardSpec
    attention_norms: NormPlaces
    feed_forward_norms: NormPlaces

    __repr__ = short_repr


@dataclass(frozen=True)
class RelativeBiasSpec:
    """A bias on attention scores that depends on the distance of two tokens (Raffel et al., "T5", 2020).

    All layers share it.

    Attributes:
        buckets: the number of groups into which distances are sorted. Each group has its own bias.
        max_distance: from this distance on, all tokens share the last bucket.
    """

    buckets: int
    max_distance: int = 128


@dataclass(frozen=True)
class DisentangledSpec:
    """Attention that treats what a token is and where it is apart (He et al., "DeBERTa", 2021).

    Each relative position has a vector. A score is the sum of up to three products: of the two tokens' query and key;
    of the query and the position's key; and of the key and the position's query.

    Attributes:
        span: relative positions are counted from ``-span`` to ``span - 1``.
        buckets: from half this distance on, distances share positions on a logarithmic scale; None if each has its own.
        max_distance: the distance that has the last position, if there are buckets.
        query_to_position: True if the second product is there.
        key_to_position: True if the third product is there.
        shared: True if positions go through the same linear layers as tokens; False if each layer has some for them.
        norm: the norm of the positions' vectors, or None.
    """

    span: int
    buckets: int | None
    max_distance: int
    query_to_position: bool
    key_to_position: bool
    shared: bool
    norm: NormSpec | None

    __repr__ = short_repr


@dataclass(frozen=True)
class EncoderSpec:
    """The shape of a transformer encoder: everything that an engine needs to know besides the weights.

    Attributes:
        family: the ``model_type`` of config.json.
        hidden_size: the length of a token's vector.
        embedding: how token ids become vectors.
        blocks: the layers, in order. A static model has none: the rows of its table are its token vectors.
        final_norm: the norm after the last layer, or None.
        relative_bias: the bias on attention scores by distance, or None.
        disentangled: how scores depend on relative positions, in DeBERTa; otherwise None.
        shared_layers: for each block, the number of the stored layer whose weights it has (Lan et al., "ALBERT",
            2019); empty if each block has its own.
        only_torch: a sentence that says why only the engine "torch" can run this encoder; "" if every engine can. If it
            is set, the spec leaves out details that the other engines would need.
    """

    family: str
    hidden_size: int
    embedding: EmbeddingSpec
    blocks: tuple[BlockSpec, ...]
    final_norm: NormSpec | None = None
    relative_bias: RelativeBiasSpec | None = None
    disentangled: DisentangledSpec | None = None
    shared_layers: tuple[int, ...] = ()
    only_torch: str = ""

    def __repr__(self) -> str:
        heads = f", {plural(self.blocks[0].attention.heads, 'head')}" if self.blocks else ""
        size = f"{plural(len(self.blocks), 'layer')} of {self.hidden_size:,} numbers"
        return f"EncoderSpec({short_text(self.family)}, {size}{heads}, vocabulary of {self.vocab_size:,})"

    @property
    def vocab_size(self) -> int:
        """The number of token ids. Every id is below it."""
        return self.embedding.vocab_size

    @property
    def is_static(self) -> bool:
        """True if there is nothing besides the table of token vectors."""
        return not self.blocks

    @property
    def is_causal(self) -> bool:
        """True if no token looks at a later one, as in most decoders."""
        return bool(self.blocks) and all(block.attention.after == 0 for block in self.blocks)

    @property
    def stored_layers(self) -> tuple[int, ...]:
        """For each block, the number of the stored layer whose weights it has."""
        return self.shared_layers or tuple(range(len(self.blocks)))

    @property
    def max_tokens(self) -> int:
        """The maximum length of a text in tokens, as far as there are positions for them."""
        rows, padding = self.embedding.positions, self.embedding.padding_id
        return rows if padding is None else rows - padding - 1


@dataclass(frozen=True)
class ChatSpec:
    """A chat template: it wraps a text, or a query and a document, in the instructions that a decoder was trained on.

    Attributes:
        template: the template, in the language of Jinja.
        structured: True if the template expects each message's content as a list of parts, False for a string.
        special_tokens: the special tokens that the template may name, such as ``eos_token``.
    """

    template: str
    structured: bool
    special_tokens: Mapping[str, str]

    __repr__ = short_repr


@dataclass(frozen=True)
class TokenizerSpec:
    """How texts are cut into tokens.

    Attributes:
        folder: the subfolder with the tokenizer's files; "" for the model's own folder.
        max_tokens: the maximum length of a text in tokens, special tokens included.
        lowercase: True if texts are lowercased before anything else (``do_lower_case`` of
            ``sentence_bert_config.json``).
        truncation_side: the end at which texts are cut off.
        has_segments: True if the encoder is told which text of a pair each token is from.
        rules: "transformers" adds special tokens, and heeds tokenizer_config.json, as transformers does.
            "tokenizer.json" does what that file says and adds nothing, as ``StaticEmbedding`` of sentence-transformers
            does. "model2vec" does that too; then it leaves out unknown tokens, and cuts a long text twice, as
            :mod:`pellucid.text.model2vec` explains.
        markers: tokens of the vocabulary that are never cut into pieces, although the tokenizer's files do not say so.
        chat: the chat template that each text goes through first; None if texts are read as they are.
    """

    folder: str
    max_tokens: int
    lowercase: bool
    truncation_side: Literal["left", "right"]
    has_segments: bool = True
    rules: Literal["transformers", "tokenizer.json", "model2vec"] = "transformers"
    markers: tuple[str, ...] = ()
    chat: ChatSpec | None = None

    __repr__ = short_repr


@dataclass(frozen=True)
class DenseSpec:
    """A linear layer after pooling.

    Attributes:
        folder: the folder with its weights.
        in_features, out_features: the length of a vector before and after it.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        bias: True if it has a bias.
        use_residual: True if the input is added to the result. If the two lengths differ, the input first goes through
            a matrix of its own.
        of_tokens: True if it works on each token's vector, and not on the pooled one.
        file: the safetensors file with its weights, if it has a file of its own.
    """

    folder: str
    in_features: int
    out_features: int
    activation: str
    bias: bool = True
    use_residual: bool = False
    of_tokens: bool = False
    file: str = ""

    __repr__ = short_repr


@dataclass(frozen=True)
class LayerNormSpec:
    """A layer normalization after pooling, for vectors of length ``size``. Its weights are in ``folder``."""

    folder: str
    size: int

    __repr__ = short_repr


@dataclass(frozen=True)
class NormalizeSpec:
    """Scaling of each vector to length 1: of each token's vector if ``of_tokens``, else of the pooled one."""

    of_tokens: bool = False


@dataclass(frozen=True)
class SpladeSpec:
    """What SPLADE makes of the scores that tokens have for the vocabulary; see :mod:`pellucid.layers.vocabulary`.

    Attributes:
        mode: how the scores of a text's tokens become one weight.
        logs: how many times ``log(1 + x)`` is taken.
    """

    mode: Literal["max", "sum"] = "max"
    logs: Literal[1, 2] = 1


@dataclass(frozen=True)
class AutoEncoderSpec:
    """A sparse autoencoder after the dense vector; see :class:`pellucid.layers.vocabulary.AutoEncoder`.

    Attributes:
        folder: the folder with its weights.
        in_features, out_features: the length of a vector before and after it.
        kept: how many numbers of a vector stay.
        normalize: True if each vector first gets mean 0 and deviation 1.
    """

    folder: str
    in_features: int
    out_features: int
    kept: int
    normalize: bool = False

    __repr__ = short_repr


@dataclass(frozen=True)
class TokenMaskSpec:
    """Which tokens of a text give it a vector, in late interaction (Khattab and Zaharia, "ColBERT", 2020).

    Attributes:
        skipped: the tokens that are left out, such as punctuation. Those that the vocabulary lacks do not count.
        sides: the kinds of text that they are left out of: "document", "query", or both.
        only: the only token ids that are not left out of documents; None for all.
        first: how many tokens at the start of each text are left out.
    """

    skipped: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("document",)
    only: tuple[int, ...] | None = None
    first: int = 0

    __repr__ = short_repr


@dataclass(frozen=True)
class TokenPoolingSpec:
    """Fewer vectors for a text: similar ones are merged; see :mod:`pellucid.layers.token_pooling`.

    Attributes:
        factor: about how many vectors become one.
        protected: how many vectors, the first ones, are never merged.
        normalize: True if the result is scaled to length 1.
        sides: the kinds of text whose vectors are merged.
    """

    factor: float
    protected: int = 1
    normalize: bool = True
    sides: tuple[str, ...] = ("document",)


ModuleSpec = DenseSpec | LayerNormSpec | NormalizeSpec
Stage = Pooling | ModuleSpec | SpladeSpec | AutoEncoderSpec | TokenMaskSpec | TokenPoolingSpec
"""The stages that may follow the Transformer in ``modules.json``."""


@dataclass(frozen=True)
class ExpansionSpec:
    """Query expansion: tokens that fill up a short query, so that it has at least ``length`` tokens.

    Attributes:
        length: the least number of tokens, special ones included.
        token: the token to fill up with; None for the tokenizer's mask token, or else its last special one.
        attend: True if the query's tokens look at these ones; they always look at the query's.
        fixed: True if longer queries are cut to ``length``.
    """

    length: int
    token: str | None = None
    attend: bool = False
    fixed: bool = True


@dataclass(frozen=True)
class LateInteractionSpec:
    """How a model gives each token of a text a vector.

    Attributes:
        stages: what follows the transformer, in order.
        query_length: the most tokens of a query, special ones included; None for the tokenizer's limit.
        document_length: the same for documents.
        expansion: how short queries are filled up; None if they are not.
    """

    stages: tuple[Stage, ...]
    query_length: int | None = None
    document_length: int | None = None
    expansion: ExpansionSpec | None = None


@dataclass(frozen=True)
class VocabularySpec:
    """The head of a masked language model, which gives a token a score for each token of the vocabulary.

    Attributes:
        width: the length of the vectors between its two linear layers.
        activation: the activation after the first one: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        norm: the norm after the activation, or None.
        tied: True if the weight of the second one is the table of token vectors.
        dense_bias, decoder_bias: True if the linear layers have biases.
    """

    width: int
    activation: str
    norm: NormSpec | None
    tied: bool = True
    dense_bias: bool = True
    decoder_bias: bool = True

    __repr__ = short_repr


@dataclass(frozen=True)
class HeadSpec:
    """The head of a model that scores or classifies: one number for each label, a logit.

    It reads the token vectors that ``pooling`` says, applies a linear layer with an activation and perhaps a norm, and
    then the last linear layer. A decoder has only the last one. If it was trained to predict the next token, that layer
    is the part of its output layer that belongs to one or two tokens, such as "yes" and "no".

    Attributes:
        labels: the names of the labels.
        pooling: which token vectors the head reads.
        hidden_activation: the activation after the first linear layer: a key of
            :data:`pellucid.layers.activations.ACTIVATIONS`. None if there is only the last layer, without a bias.
        bias: True if the first linear layer has a bias.
        norm: the norm after the activation, or None.
        activation: what turns logits into scores: a key of the same table; or what the config says, if it is none.
        multi_label: True if several labels may be right for a text; each then has a probability of its own.
        answers: the tokens, by id or by spelling, whose scores as the next token make the logit: that of the first,
            minus that of the second if there are two. Empty if the head has weights of its own.
        padding_id: tokens with this id are not read at the end of a text; None to read all.
    """

    labels: tuple[str, ...]
    pooling: Pooling
    hidden_activation: str | None
    activation: str
    bias: bool = True
    norm: NormSpec | None = None
    multi_label: bool = False
    answers: tuple[int, ...] | tuple[str, ...] = ()
    padding_id: int | None = None

    __repr__ = short_repr


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a model's JSON files say.

    Attributes:
        name: the model's name, for messages.
        encoder_folder: the subfolder with the encoder's files; "" for the model's own folder.
        encoder: the shape of the transformer.
        tokenizer: how texts are cut into tokens.
        stages: the stages after the transformer that give a text one vector, in order. Each task decides which stages
            it accepts.
        prompts: by name, the texts that can be put before an input text.
        default_prompt_name: the prompt that sentence-transformers' ``encode`` uses by default, or None.
        head: the head of a model that scores or classifies; None for other models.
        why_no_head: why the head that config.json describes cannot be used; "" if it can, or if there is none.
        vocabulary: the head of a masked language model; None if config.json names another class and no stage needs it.
        late_interaction: how the model gives each token a vector; None for other models.
        lexical: the linear layer that gives each token of a text its own weight, in BGE-M3; None for other models.
    """

    name: str
    encoder_folder: str
    encoder: EncoderSpec
    tokenizer: TokenizerSpec
    stages: tuple[Stage, ...]
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    head: HeadSpec | None = None
    why_no_head: str = ""
    vocabulary: VocabularySpec | None = None
    late_interaction: LateInteractionSpec | None = None
    lexical: DenseSpec | None = None

    def __repr__(self) -> str:
        size = f"{plural(len(self.encoder.blocks), 'layer')} of {self.encoder.hidden_size:,} numbers"
        return f"ModelSpec({short_text(self.name, 60)}, {size}, {describe_limit(self.tokenizer.max_tokens)})"

    @functools.cached_property
    def pooling(self) -> Pooling:
        """How the model pools.

        Raises:
            UnsupportedModelError: Pooling is not the first stage after the transformer, or there are several.
        """
        if self.tokenizer.chat is not None:
            raise UnsupportedModelError(
                f"{self.name} wraps each text in a chat template before it gives vectors. Pellucid supports chat "
                f"templates only for models that score or classify: use Reranker or Classifier if this is one."
            )
        match self.stages:
            case (Pooling() as pooling, *rest) if not any(
                isinstance(stage, Pooling | AutoEncoderSpec) for stage in rest
            ):
                return pooling
        if self.late_interaction is not None:
            raise UnsupportedModelError(
                f"{self.name} gives a vector for each token of a text. Use MultiVectorEmbedder."
            )
        if any(isinstance(stage, SpladeSpec | AutoEncoderSpec) for stage in self.stages):
            raise UnsupportedModelError(
                f"{self.name} gives sparse vectors. Use SparseEmbedder, or --task sparse on the command line."
            )
        if self.head is not None and not self.stages:
            raise UnsupportedModelError(
                f"{self.name} gives scores, not vectors. Use Reranker or Classifier, or pellucid rerank or classify."
            )
        kinds = ["Transformer", *(type(stage).__name__.removesuffix("Spec") for stage in self.stages)]
        raise UnsupportedModelError(
            f"{self.name}: modules.json lists {' → '.join(kinds)}, but an embedding model must be "
            f"Transformer → Pooling → …, with one Pooling only."
        )

    @functools.cached_property
    def modules(self) -> tuple[ModuleSpec, ...]:
        """The modules after pooling, in order."""
        return tuple(stage for stage in self.stages if isinstance(stage, ModuleSpec))

    @functools.cached_property
    def dimensions(self) -> int:
        """The length of a text's vector."""
        sizes = [stage.out_features for stage in self.stages if isinstance(stage, DenseSpec)]
        return sizes[-1] if sizes else len(self.pooling.modes) * self.encoder.hidden_size

    @functools.cached_property
    def unit_length(self) -> bool:
        """True if the model itself scales its vectors to length 1, because its last stage is Normalize."""
        return bool(self.stages) and isinstance(self.stages[-1], NormalizeSpec)
