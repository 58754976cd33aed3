"""Popular rerankers and classifiers: their config.json and tokenizer_config.json, as far as we know and read them.

Both are from memory.
``write`` makes a folder as transformers saves it, at a small size, with random weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import tiny

_IDENTITY = "torch.nn.modules.linear.Identity"
_SIGMOID = "torch.nn.modules.activation.Sigmoid"
# The sizes and ids of a config.json. A small model has its own.
_SIZES = {
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size"),
    *("max_position_embeddings", "dim", "hidden_dim", "n_layers", "n_heads", "embedding_size", "pooler_hidden_size"),
    *("position_buckets", "local_attention", "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id"),
    *("sep_token_id", "architectures", "id2label", "model_type"),
}


@dataclass(frozen=True)
class Layout:
    """What the files of a reranker or classifier say.

    Attributes:
        family: the key of ``tiny_families.FAMILIES``.
        config: config.json.
        tokenizer: tokenizer_config.json.
        labels: the names of its labels.
        activation: what turns logits into scores.
        pooling: which token vectors the head reads.
        max_tokens: the most tokens that it reads.
    """

    family: str
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    labels: tuple[str, ...] = ("LABEL_0",)
    activation: str = "sigmoid"
    pooling: str = "cls"
    max_tokens: int = 512

    @property
    def full_config(self) -> dict[str, Any]:
        """config.json with its labels."""
        return self.config | {"id2label": {str(number): name for number, name in enumerate(self.labels)}}


def _config(model_type: str, architecture: str, hidden: int, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    name = f"{architecture}ForSequenceClassification"
    defaults = {"intermediate_size": 4 * hidden, "max_position_embeddings": 512, "hidden_act": "gelu"}
    return {"model_type": model_type, "architectures": [name], **sizes, **defaults, **values}


def _bert(hidden: int, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    fixed = {"vocab_size": 30522, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute"}
    return _config("bert", "Bert", hidden, layers, heads, **fixed, pad_token_id=0, **values)


def _roberta(hidden: int, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    fixed = {"vocab_size": 50265, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 514}
    return _config("roberta", "Roberta", hidden, layers, heads, **fixed, pad_token_id=1, **values)


def _xlm_roberta(hidden: int, layers: int, heads: int, positions: int = 514) -> dict[str, Any]:
    fixed = {"vocab_size": 250002, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1}
    return _config("xlm-roberta", "XLMRoberta", hidden, layers, heads, **fixed, max_position_embeddings=positions)


def _deberta(hidden: int, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    return _config(
        *("deberta-v2", "DebertaV2", hidden, layers, heads),
        vocab_size=128100,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        relative_attention=True,
        max_relative_positions=-1,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        pooler_dropout=0,
        pooler_hidden_act="gelu",
        pooler_hidden_size=hidden,
        pad_token_id=0,
        **values,
    )


_OLD = {"sbert_ce_default_activation_function": _IDENTITY}
_BERT_TOKENIZER = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True}
_ROBERTA_TOKENIZER = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512, "add_prefix_space": False}
_XLM_TOKENIZER = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512}
_DEBERTA_TOKENIZER = {"tokenizer_class": "DebertaV2Tokenizer", "model_max_length": 512, "do_lower_case": False}


def _new(activation: str, version: str = "4.0.1") -> dict[str, Any]:
    return {"sentence_transformers": {"activation_fn": activation, "version": version}}


_NLI = ("contradiction", "entailment", "neutral")
_MODERNBERT = {
    "vocab_size": 50368,
    "intermediate_size": 1152,
    "max_position_embeddings": 8192,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_pooling": "mean",
    "hidden_activation": "gelu",
    "norm_bias": False,
    "norm_eps": 1e-5,
    "global_attn_every_n_layers": 3,
    "local_attention": 128,
    "global_rope_theta": 160000.0,
    "local_rope_theta": 10000.0,
    "pad_token_id": 50283,
    "cls_token_id": 50281,
    "sep_token_id": 50282,
}
_DISTILBERT = {
    "model_type": "distilbert",
    "architectures": ["DistilBertForSequenceClassification"],
    "dim": 768,
    "hidden_dim": 3072,
    "n_layers": 6,
    "n_heads": 12,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "activation": "gelu",
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "seq_classif_dropout": 0.2,
    "finetuning_task": "sst-2",
    "pad_token_id": 0,
}
_ELECTRA = {"vocab_size": 30522, "type_vocab_size": 2, "embedding_size": 768, "layer_norm_eps": 1e-12}

LAYOUTS: dict[str, Layout] = {
    "cross-encoder/ms-marco-TinyBERT-L2-v2": Layout(
        "bert", _bert(128, 2, 2) | _new(_IDENTITY), _BERT_TOKENIZER, activation="identity"
    ),
    "cross-encoder/ms-marco-MiniLM-L4-v2": Layout(
        "bert", _bert(384, 4, 12) | _new(_IDENTITY), _BERT_TOKENIZER, activation="identity"
    ),
    "cross-encoder/ms-marco-MiniLM-L6-v2": Layout(
        "bert", _bert(384, 6, 12) | _new(_IDENTITY), _BERT_TOKENIZER, activation="identity"
    ),
    "cross-encoder/ms-marco-MiniLM-L6-v2 until 2025": Layout(
        "bert", _bert(384, 6, 12) | _OLD, _BERT_TOKENIZER, activation="identity"
    ),
    "cross-encoder/ms-marco-MiniLM-L12-v2": Layout(
        "bert", _bert(384, 12, 12) | _new(_IDENTITY), _BERT_TOKENIZER, activation="identity"
    ),
    "cross-encoder/ms-marco-electra-base": Layout(
        "electra",
        _config("electra", "Electra", 768, 12, 12, **_ELECTRA) | _new(_IDENTITY),
        {"tokenizer_class": "ElectraTokenizer", "model_max_length": 512, "do_lower_case": True},
        activation="identity",
    ),
    "BAAI/bge-reranker-base": Layout("xlm-roberta", _xlm_roberta(768, 12, 12), _XLM_TOKENIZER),
    "BAAI/bge-reranker-large": Layout("xlm-roberta", _xlm_roberta(1024, 24, 16), _XLM_TOKENIZER),
    "BAAI/bge-reranker-v2-m3": Layout(
        "xlm-roberta", _xlm_roberta(1024, 24, 16, 8194), _XLM_TOKENIZER | {"model_max_length": 8192}, max_tokens=8192
    ),
    "mixedbread-ai/mxbai-rerank-xsmall-v1": Layout("deberta-v2", _deberta(384, 12, 6), _DEBERTA_TOKENIZER),
    "mixedbread-ai/mxbai-rerank-base-v1": Layout("deberta-v2", _deberta(768, 12, 12), _DEBERTA_TOKENIZER),
    "Alibaba-NLP/gte-reranker-modernbert-base": Layout(
        "modernbert",
        _config("modernbert", "ModernBert", 768, 22, 12, **_MODERNBERT) | _new(_SIGMOID, "4.1.0"),
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192},
        pooling="mean",
        max_tokens=8192,
    ),
    "cross-encoder/stsb-roberta-base": Layout("roberta", _roberta(768, 12, 12) | _new(_SIGMOID), _ROBERTA_TOKENIZER),
    "cross-encoder/quora-roberta-base": Layout("roberta", _roberta(768, 12, 12) | _new(_SIGMOID), _ROBERTA_TOKENIZER),
    "cross-encoder/nli-deberta-v3-small": Layout(
        "deberta-v2", _deberta(768, 6, 12) | _new(_IDENTITY), _DEBERTA_TOKENIZER, _NLI, "identity"
    ),
    "cross-encoder/nli-deberta-v3-base": Layout(
        "deberta-v2", _deberta(768, 12, 12) | _new(_IDENTITY), _DEBERTA_TOKENIZER, _NLI, "identity"
    ),
    "MoritzLaurer/deberta-v3-base-zeroshot-v2.0": Layout(
        "deberta-v2", _deberta(768, 12, 12), _DEBERTA_TOKENIZER, ("entailment", "not_entailment"), "identity"
    ),
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": Layout(
        "distilbert",
        _DISTILBERT,
        {"model_max_length": 512, "do_lower_case": True},
        ("NEGATIVE", "POSITIVE"),
        "identity",
    ),
}


def write(folder: Path, layout: Layout) -> Path:
    """Write a small model with the layout's files to ``folder``, and return the folder."""
    settings = {key: value for key, value in layout.config.items() if key not in _SIZES}
    tiny.write_scoring_model(folder, layout.family, len(layout.labels), **settings)
    tiny.edit_json(folder / "config.json", id2label=layout.full_config["id2label"], label2id=None)
    tokenizer = {key: value for key, value in layout.tokenizer.items() if key != "model_max_length"}
    tiny.edit_json(folder / "tokenizer_config.json", **tokenizer)
    return folder
