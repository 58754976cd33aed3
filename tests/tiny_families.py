"""The parts of a tiny model of each family: config.json, tensors under the names that files use, and a tokenizer.

They repeat what Pellucid knows about families, but they come from the files that transformers writes, not from
Pellucid. So the tests can find mistakes in Pellucid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

EMBEDDING = 8
HIDDEN, LAYERS, HEADS, INNER, POSITIONS, MAX_TOKENS = 16, 3, 4, 32, 40, 24
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "##ing", "query", "passage", ":", ",", ".", "!", "?"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]

_BERT_SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ALBERT_SPECIALS = {"pad": "<pad>", "unk": "<unk>", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ROBERTA_SPECIALS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def word_piece(specials: Mapping[str, str]) -> Tokenizer:
    """A WordPiece tokenizer that lower-cases its text, like BERT's."""
    vocabulary = {token: number for number, token in enumerate([*specials.values(), *LETTERS, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=specials["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level(specials: Mapping[str, str]) -> Tokenizer:
    """A byte-level BPE tokenizer with a few merges, like RoBERTa's and ModernBERT's."""
    merges = [("t", "h"), ("th", "e"), ("c", "a"), ("ca", "t"), ("Ġ", "the"), ("Ġ", "cat"), ("o", "n")]
    tokens = [*specials.values(), *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(specials: Mapping[str, str]) -> Tokenizer:
    """A Unigram tokenizer, like XLM-RoBERTa's."""
    pieces = [*(f"▁{word}" for word in WORDS if word.isalpha()), "▁", *LETTERS[:26], ":", ",", ".", "!", "?", "ca"]
    scores = [*((token, 0.0) for token in specials.values()), *((p, -2.0 - 0.1 * n) for n, p in enumerate(pieces))]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=list(specials).index("unk")))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def lower_case_unigram(specials: Mapping[str, str]) -> Tokenizer:
    """A Unigram tokenizer that lower-cases its text and strips accents, like ALBERT's."""
    tokenizer = unigram(specials)
    replacements = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    folding = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    tokenizer.normalizer = normalizers.Sequence([*replacements, *folding])
    return tokenizer


def deberta_unigram(specials: Mapping[str, str]) -> Tokenizer:
    """A Unigram tokenizer that keeps its text as it is, like DeBERTa's."""
    tokenizer = unigram(specials)
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    tokenizer.normalizer = normalizers.Sequence([spaces, normalizers.NFC(), normalizers.Strip(left=False, right=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()])
    return tokenizer


@dataclass(frozen=True)
class Family:
    """A family, as its files describe it.

    Attributes:
        config: config.json, without the size of the vocabulary.
        tables: the shape of each embedding table, by name; None stands for the size of the vocabulary.
        linears: the shape of each linear layer in an encoder layer, by name.
        norms: the names of the norms outside the encoder layers.
        layer_norms: the names of the norms in an encoder layer.
        layer: the prefix of an encoder layer's names.
        tokenizer: makes the tokenizer.
        specials: its special tokens, by kind.
        tokenizer_class: its class in transformers.
        biases: the parts that have a bias: "linears", "norms" or both.
        without: names that follow the pattern but are not in the files.
        projection: the name of the linear layer that makes the embeddings as long as token vectors, or None.
        stored_layers: how many layers the files have, if several layers of the encoder share one.
    """

    config: dict[str, Any]
    tables: dict[str, tuple[int | None, int]]
    linears: dict[str, tuple[int, int]]
    norms: tuple[str, ...]
    layer_norms: tuple[str, ...]
    layer: str = "encoder.layer.{}."
    tokenizer: Callable[[Mapping[str, str]], Tokenizer] = word_piece
    specials: Mapping[str, str] = field(default_factory=lambda: _BERT_SPECIALS)
    tokenizer_class: str = "BertTokenizer"
    biases: tuple[str, ...] = ("linears", "norms")
    without: tuple[str, ...] = ()
    projection: str | None = None
    stored_layers: int = LAYERS


@dataclass(frozen=True)
class Head:
    """What a class of transformers that scores or classifies puts on an encoder.

    Attributes:
        architecture: the class.
        prefix: what it puts before the names of the encoder's tensors.
        dense: the name of its first linear layer.
        output: the name of its last one.
        norm: the name of the norm between them, or None.
        bias: True if the first linear layer has a bias.
    """

    architecture: str
    prefix: str
    dense: str
    output: str
    norm: str | None = None
    bias: bool = True


_SQUARE, _UP, _DOWN = (HIDDEN, HIDDEN), (INNER, HIDDEN), (HIDDEN, INNER)
_BERT_CONFIG = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
_BERT_TABLES = {
    "embeddings.word_embeddings": (None, HIDDEN),
    "embeddings.position_embeddings": (POSITIONS, HIDDEN),
    "embeddings.token_type_embeddings": (2, HIDDEN),
}
_BERT_LINEARS = {
    "attention.self.query": _SQUARE,
    "attention.self.key": _SQUARE,
    "attention.self.value": _SQUARE,
    "attention.output.dense": _SQUARE,
    "intermediate.dense": _UP,
    "output.dense": _DOWN,
}
_BERT_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def _roberta(model_type: str, architecture: str, **others: Any) -> Family:
    return Family(
        {
            **_BERT_CONFIG,
            "model_type": model_type,
            "architectures": [architecture],
            "type_vocab_size": 1,
            "pad_token_id": 1,
            "layer_norm_eps": 1e-5,
        },
        _BERT_TABLES | {"embeddings.token_type_embeddings": (1, HIDDEN)},
        _BERT_LINEARS,
        ("embeddings.LayerNorm",),
        _BERT_NORMS,
        specials=_ROBERTA_SPECIALS,
        **others,
    )


_SHORT_TABLES = {name: (rows, EMBEDDING) for name, (rows, _) in _BERT_TABLES.items()}

FAMILIES = {
    "albert": Family(
        {
            **_BERT_CONFIG,
            "model_type": "albert",
            "architectures": ["AlbertModel"],
            "embedding_size": EMBEDDING,
            "hidden_act": "gelu_new",
            "inner_group_num": 1,
            "num_hidden_groups": 2,
            "type_vocab_size": 2,
            "pad_token_id": 0,
        },
        _SHORT_TABLES,
        {
            **{f"attention.{part}": _SQUARE for part in ("query", "key", "value", "dense")},
            "ffn": _UP,
            "ffn_output": _DOWN,
        },
        ("embeddings.LayerNorm",),
        ("attention.LayerNorm", "full_layer_layer_norm"),
        layer="encoder.albert_layer_groups.{}.albert_layers.0.",
        tokenizer=lower_case_unigram,
        specials=_ALBERT_SPECIALS,
        tokenizer_class="AlbertTokenizer",
        projection="encoder.embedding_hidden_mapping_in",
        stored_layers=2,
    ),
    "bert": Family(
        {**_BERT_CONFIG, "model_type": "bert", "architectures": ["BertModel"], "type_vocab_size": 2, "pad_token_id": 0},
        _BERT_TABLES,
        _BERT_LINEARS,
        ("embeddings.LayerNorm",),
        _BERT_NORMS,
    ),
    "electra": Family(
        {
            **_BERT_CONFIG,
            "model_type": "electra",
            "architectures": ["ElectraModel"],
            "embedding_size": EMBEDDING,
            "type_vocab_size": 2,
            "pad_token_id": 0,
        },
        _SHORT_TABLES,
        _BERT_LINEARS,
        ("embeddings.LayerNorm",),
        _BERT_NORMS,
        tokenizer_class="ElectraTokenizer",
        projection="embeddings_project",
    ),
    "mpnet": Family(
        {
            **_BERT_CONFIG,
            "model_type": "mpnet",
            "architectures": ["MPNetModel"],
            "relative_attention_num_buckets": 32,
            "pad_token_id": 1,
        },
        {
            "embeddings.word_embeddings": (None, HIDDEN),
            "embeddings.position_embeddings": (POSITIONS, HIDDEN),
            "encoder.relative_attention_bias": (32, HEADS),
        },
        {**{f"attention.attn.{part}": _SQUARE for part in "qkvo"}, "intermediate.dense": _UP, "output.dense": _DOWN},
        ("embeddings.LayerNorm",),
        ("attention.LayerNorm", "output.LayerNorm"),
        specials={"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "[UNK]", "mask": "<mask>"},
        tokenizer_class="MPNetTokenizer",
    ),
    "deberta-v2": Family(
        {
            **_BERT_CONFIG,
            "model_type": "deberta-v2",
            "architectures": ["DebertaV2Model"],
            "layer_norm_eps": 1e-7,
            "relative_attention": True,
            "max_relative_positions": -1,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pad_token_id": 0,
            "pooler_hidden_size": HIDDEN,
            "pooler_hidden_act": "gelu",
        },
        {"embeddings.word_embeddings": (None, HIDDEN), "encoder.rel_embeddings": (16, HIDDEN)},
        {
            **{f"attention.self.{part}_proj": _SQUARE for part in ("query", "key", "value")},
            "attention.output.dense": _SQUARE,
            "intermediate.dense": _UP,
            "output.dense": _DOWN,
        },
        ("embeddings.LayerNorm", "encoder.LayerNorm"),
        _BERT_NORMS,
        tokenizer=deberta_unigram,
        specials={"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "mask": "[MASK]"},
        tokenizer_class="DebertaV2Tokenizer",
    ),
    "distilbert": Family(
        {
            "model_type": "distilbert",
            "architectures": ["DistilBertModel"],
            "dim": HIDDEN,
            "hidden_dim": INNER,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "max_position_embeddings": POSITIONS,
            "activation": "gelu",
            "sinusoidal_pos_embds": False,
            "pad_token_id": 0,
        },
        {"embeddings.word_embeddings": (None, HIDDEN), "embeddings.position_embeddings": (POSITIONS, HIDDEN)},
        {**{f"attention.{part}_lin": _SQUARE for part in ("q", "k", "v", "out")}, "ffn.lin1": _UP, "ffn.lin2": _DOWN},
        ("embeddings.LayerNorm",),
        ("sa_layer_norm", "output_layer_norm"),
        layer="transformer.layer.{}.",
        tokenizer_class="DistilBertTokenizer",
    ),
    "roberta": _roberta("roberta", "RobertaModel", tokenizer=byte_level, tokenizer_class="RobertaTokenizer"),
    "camembert": _roberta("camembert", "CamembertModel", tokenizer=unigram, tokenizer_class="CamembertTokenizer"),
    "xlm-roberta": _roberta("xlm-roberta", "XLMRobertaModel", tokenizer=unigram, tokenizer_class="XLMRobertaTokenizer"),
    "modernbert": Family(
        {
            "model_type": "modernbert",
            "architectures": ["ModernBertModel"],
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "intermediate_size": INNER,
            "max_position_embeddings": POSITIONS,
            "hidden_activation": "gelu",
            "norm_eps": 1e-5,
            "norm_bias": False,
            "attention_bias": False,
            "mlp_bias": False,
            "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0,
            "local_rope_theta": 10000.0,
            "local_attention": 8,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "bos_token_id": 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
        },
        {"embeddings.tok_embeddings": (None, HIDDEN)},
        {
            "attn.Wqkv": (3 * HIDDEN, HIDDEN),
            "attn.Wo": _SQUARE,
            "mlp.Wi": (2 * INNER, HIDDEN),
            "mlp.Wo": _DOWN,
        },
        ("embeddings.norm", "final_norm"),
        ("attn_norm", "mlp_norm"),
        layer="layers.{}.",
        tokenizer=byte_level,
        tokenizer_class="PreTrainedTokenizerFast",
        biases=(),
        without=("layers.0.attn_norm",),
    ),
    "nomic_bert": Family(
        {
            **_BERT_CONFIG,
            "model_type": "nomic_bert",
            "architectures": ["NomicBertModel"],
            "hidden_act": "silu",
            "type_vocab_size": 2,
            "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        },
        {"embeddings.word_embeddings": (None, HIDDEN), "embeddings.token_type_embeddings": (2, HIDDEN)},
        {
            "attn.Wqkv": (3 * HIDDEN, HIDDEN),
            "attn.out_proj": _SQUARE,
            "mlp.fc11": _UP,
            "mlp.fc12": _UP,
            "mlp.fc2": _DOWN,
        },
        ("emb_ln",),
        ("norm1", "norm2"),
        layer="encoder.layers.{}.",
        biases=("norms",),
    ),
}


_ROBERTA_PARTS = ("classifier.dense", "classifier.out_proj")
HEADS_OF_FAMILIES = {
    "deberta-v2": Head("DebertaV2ForSequenceClassification", "deberta.", "pooler.dense", "classifier"),
    "albert": Head("AlbertForSequenceClassification", "albert.", "albert.pooler", "classifier"),
    "electra": Head("ElectraForSequenceClassification", "electra.", *_ROBERTA_PARTS),
    "bert": Head("BertForSequenceClassification", "bert.", "bert.pooler.dense", "classifier"),
    "mpnet": Head("MPNetForSequenceClassification", "mpnet.", *_ROBERTA_PARTS),
    "distilbert": Head("DistilBertForSequenceClassification", "distilbert.", "pre_classifier", "classifier"),
    "roberta": Head("RobertaForSequenceClassification", "roberta.", *_ROBERTA_PARTS),
    "camembert": Head("CamembertForSequenceClassification", "roberta.", *_ROBERTA_PARTS),
    "xlm-roberta": Head("XLMRobertaForSequenceClassification", "roberta.", *_ROBERTA_PARTS),
    "modernbert": Head(
        "ModernBertForSequenceClassification", "model.", "head.dense", "classifier", norm="head.norm", bias=False
    ),
    "nomic_bert": Head("NomicBertForSequenceClassification", "nomic_bert.", "nomic_bert.pooler.dense", "classifier"),
}


@dataclass(frozen=True)
class VocabularyHead:
    """The head of a family's masked language model, and the names of its tensors."""

    architecture: str
    prefix: str
    dense: str
    norm: str
    bias: str
    has_dense_bias: bool = True


_ROBERTA_VOCABULARY = ("roberta.", "lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
_BERT_VOCABULARY = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias")
VOCABULARY_HEADS = {
    "albert": VocabularyHead(
        "AlbertForMaskedLM", "albert.", "predictions.dense", "predictions.LayerNorm", "predictions.bias"
    ),
    "electra": VocabularyHead(
        "ElectraForMaskedLM",
        "electra.",
        "generator_predictions.dense",
        "generator_predictions.LayerNorm",
        "generator_lm_head.bias",
    ),
    "bert": VocabularyHead("BertForMaskedLM", "bert.", *_BERT_VOCABULARY),
    "deberta-v2": VocabularyHead("DebertaV2ForMaskedLM", "deberta.", *_BERT_VOCABULARY),
    "distilbert": VocabularyHead(
        "DistilBertForMaskedLM", "distilbert.", "vocab_transform", "vocab_layer_norm", "vocab_projector.bias"
    ),
    "mpnet": VocabularyHead("MPNetForMaskedLM", "mpnet.", *_ROBERTA_VOCABULARY[1:]),
    "roberta": VocabularyHead("RobertaForMaskedLM", *_ROBERTA_VOCABULARY),
    "camembert": VocabularyHead("CamembertForMaskedLM", *_ROBERTA_VOCABULARY),
    "xlm-roberta": VocabularyHead("XLMRobertaForMaskedLM", *_ROBERTA_VOCABULARY),
    "modernbert": VocabularyHead("ModernBertForMaskedLM", "model.", "head.dense", "head.norm", "decoder.bias", False),
}


def config(family: str, vocabulary: int) -> dict[str, Any]:
    """The content of a tiny model's config.json."""
    return {**FAMILIES[family].config, "vocab_size": vocabulary}


def tensors(family: str, vocabulary: int, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Random weights, under the names that files use."""
    parts = FAMILIES[family]
    arrays = {f"{name}.weight": normal(rng, rows or vocabulary, width) for name, (rows, width) in parts.tables.items()}
    norms = list(parts.norms)
    if parts.projection is not None:
        arrays[f"{parts.projection}.weight"] = normal(rng, HIDDEN, EMBEDDING)
        arrays[f"{parts.projection}.bias"] = normal(rng, HIDDEN)
    for layer in range(parts.stored_layers):
        prefix = parts.layer.format(layer)
        for name, (rows, columns) in parts.linears.items():
            arrays[f"{prefix}{name}.weight"] = normal(rng, rows, columns)
            if "linears" in parts.biases:
                arrays[f"{prefix}{name}.bias"] = normal(rng, rows)
        norms += [f"{prefix}{norm}" for norm in parts.layer_norms]
    for name in norms:
        if name not in parts.without:
            size = EMBEDDING if parts.projection is not None and name in parts.norms else HIDDEN
            arrays[f"{name}.weight"] = 1 + normal(rng, size)
            if "norms" in parts.biases:
                arrays[f"{name}.bias"] = normal(rng, size)
    return arrays


def scoring_tensors(family: str, vocabulary: int, labels: int, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Random weights of an encoder with a head, under the names that files use."""
    head = HEADS_OF_FAMILIES[family]
    arrays = {head.prefix + name: array for name, array in tensors(family, vocabulary, rng).items()}
    arrays |= {
        f"{head.dense}.weight": normal(rng, HIDDEN, HIDDEN),
        f"{head.output}.weight": normal(rng, labels, HIDDEN),
    }
    arrays |= {f"{head.output}.bias": normal(rng, labels)}
    if head.bias:
        arrays[f"{head.dense}.bias"] = normal(rng, HIDDEN)
    if head.norm is not None:
        arrays[f"{head.norm}.weight"] = 1 + normal(rng, HIDDEN)
    return arrays


def vocabulary_tensors(family: str, vocabulary: int, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Random weights of a masked language model, under the names that files use."""
    head = VOCABULARY_HEADS[family]
    arrays = {head.prefix + name: array for name, array in tensors(family, vocabulary, rng).items()}
    width = EMBEDDING if FAMILIES[family].projection is not None else HIDDEN
    arrays[f"{head.dense}.weight"] = normal(rng, width, HIDDEN)
    if head.has_dense_bias:
        arrays[f"{head.dense}.bias"] = normal(rng, width)
    arrays[f"{head.norm}.weight"] = 1 + normal(rng, width)
    if "norms" in FAMILIES[family].biases:
        arrays[f"{head.norm}.bias"] = normal(rng, width)
    arrays[head.bias] = normal(rng, vocabulary)
    return arrays


def make_tokenizer(family: str) -> Tokenizer:
    """A family's tokenizer. Like the real ones, it still has the truncation and padding of a training run."""
    specials = FAMILIES[family].specials
    tokenizer = FAMILIES[family].tokenizer(specials)
    cls, sep, pad = ((specials[name], tokenizer.token_to_id(specials[name])) for name in ("cls", "sep", "pad"))
    if family in ("roberta", "mpnet"):
        tokenizer.post_processor = processors.RobertaProcessing(sep, cls, add_prefix_space=family != "roberta")
    elif family in ("albert", "deberta-v2", "xlm-roberta", "camembert", "modernbert"):
        between = sep[0] if family in ("albert", "deberta-v2", "modernbert") else f"{sep[0]} {sep[0]}"
        last = "$B:1 [SEP]:1" if family in ("albert", "deberta-v2") else f"$B {sep[0]}"
        single = f"{cls[0]} $A {sep[0]}"
        tokenizer.post_processor = processors.TemplateProcessing(
            single, f"{single[: -len(sep[0])]}{between} {last}", [cls, sep]
        )
    else:
        tokenizer.post_processor = processors.BertProcessing(sep, cls)
    tokenizer.add_special_tokens(list(specials.values()))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=pad[1], pad_token=pad[0])
    return tokenizer


def normal(rng: np.random.RandomState, *shape: int) -> np.ndarray:
    """Random numbers, large enough to matter. NumPy promises that the numbers of RandomState stay the same."""
    return (0.3 * rng.standard_normal(shape)).astype(np.float32)
