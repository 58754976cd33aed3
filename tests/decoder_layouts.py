"""Popular embedders that are decoders: what their files say, as far as we know and read them. All of it is from memory.

``small`` is the same model with small sizes, which :func:`tests.tiny_decoders.write_decoder` can write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.tiny_decoders import Decoder

_WEB_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
_LEFT = {"padding_side": "left"}


def _qwen3(hidden: int, layers: int, heads: int, inner: int, positions: int, vocabulary: int) -> Decoder:
    config = {
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
        "max_window_layers": layers,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": vocabulary,
    }
    prompts = {"query": _WEB_SEARCH, "document": ""}
    limit = _LEFT | {"model_max_length": 131072}
    return Decoder(config, "qwen", prompts=prompts, max_seq_length=None, tokenizer_config=limit)


def _qwen2(**values: Any) -> dict[str, Any]:
    return {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "max_window_layers": 21,
        "use_sliding_window": False,
        **values,
    }


def _mistral(**values: Any) -> dict[str, Any]:
    return {
        "model_type": "mistral",
        "architectures": ["MistralModel"],
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "vocab_size": 32000,
        **values,
    }


LAYOUTS = {
    "Qwen/Qwen3-Embedding-0.6B": _qwen3(1024, 28, 16, 3072, 32768, 151669),
    "Qwen/Qwen3-Embedding-4B": _qwen3(2560, 36, 32, 9728, 40960, 151665),
    "Qwen/Qwen3-Embedding-8B": _qwen3(4096, 36, 32, 12288, 40960, 151665),
    "google/embeddinggemma-300m": Decoder(
        {
            "model_type": "gemma3_text",
            "architectures": ["Gemma3TextModel"],
            "_sliding_window_pattern": 6,
            "attention_bias": False,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 768,
            "intermediate_size": 1152,
            "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 4,
            "max_position_embeddings": 2048,
            "num_attention_heads": 3,
            "num_hidden_layers": 24,
            "num_key_value_heads": 1,
            "query_pre_attn_scalar": 256,
            "rms_norm_eps": 1e-6,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": None,
            "rope_theta": 1000000.0,
            "sliding_window": 512,
            "use_bidirectional_attention": True,
            "vocab_size": 262144,
        },
        "gemma",
        pooling="mean_tokens",
        dense=(3072, 768),
        prompts={
            "query": "task: search result | query: ",
            "document": "title: none | text: ",
            "BitextMining": "task: search result | query: ",
            "Clustering": "task: clustering | query: ",
            "Classification": "task: classification | query: ",
            "InstructionRetrieval": "task: code retrieval | query: ",
            "MultilabelClassification": "task: classification | query: ",
            "PairClassification": "task: sentence similarity | query: ",
            "Reranking": "task: search result | query: ",
            "Retrieval": "task: search result | query: ",
            "Retrieval-query": "task: search result | query: ",
            "Retrieval-document": "title: none | text: ",
            "STS": "task: sentence similarity | query: ",
            "Summarization": "task: summarization | query: ",
        },
        max_seq_length=2048,
        tokenizer_config={"model_max_length": 2048, "add_bos_token": True, "add_eos_token": True},
    ),
    "Alibaba-NLP/gte-Qwen2-1.5B-instruct": Decoder(
        _qwen2(
            hidden_size=1536,
            intermediate_size=8960,
            is_causal=False,
            max_position_embeddings=131072,
            num_attention_heads=12,
            num_hidden_layers=28,
            num_key_value_heads=2,
            sliding_window=131072,
            vocab_size=151646,
        ),
        "qwen",
        prompts={"query": f"{_WEB_SEARCH} "},
        prefix="model.",
        max_seq_length=32768,
        tokenizer_config={"model_max_length": 32768, "add_eos_token": True},
    ),
    "HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1": Decoder(
        _qwen2(
            hidden_size=896,
            intermediate_size=4864,
            max_position_embeddings=131072,
            num_attention_heads=14,
            num_hidden_layers=24,
            num_key_value_heads=2,
            sliding_window=None,
            vocab_size=151936,
        ),
        "qwen",
        pooling="mean_tokens",
        max_seq_length=512,
        tokenizer_config={"model_max_length": 131072},
    ),
    "intfloat/e5-mistral-7b-instruct": Decoder(
        _mistral(),
        "llama",
        prompts={
            "web_search_query": f"{_WEB_SEARCH} ",
            "sts_query": "Instruct: Retrieve semantically similar text.\nQuery: ",
        },
        max_seq_length=4096,
        tokenizer_config=_LEFT | {"model_max_length": 1e30},
    ),
}


def small(decoder: Decoder) -> Decoder:
    """The same model with small sizes, whose query heads share keys and values as before."""
    config = dict(decoder.config)
    sharing = config["num_attention_heads"] // config["num_key_value_heads"]
    kv_heads = 2 if sharing <= 4 else 1
    layers = min(config["num_hidden_layers"], 6)
    sizes: Mapping[str, Any] = {
        "hidden_size": 8 * sharing * kv_heads,
        "intermediate_size": 40,
        "num_attention_heads": sharing * kv_heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "max_window_layers": layers,
        "layer_types": config.get("layer_types", [])[:layers],
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": config.get("sliding_window") and 8,
        "max_position_embeddings": 200,
    }
    config |= {key: value for key, value in sizes.items() if key in config}
    del config["vocab_size"]  # That of the small tokenizer counts.
    dense = (64, config["hidden_size"]) if decoder.dense else ()
    limit = None if decoder.max_seq_length is None else min(decoder.max_seq_length, 120)
    return dataclasses.replace(decoder, config=config, dense=dense, max_seq_length=limit)
