"""Compares decoders with random weights that Pellucid and sentence-transformers load from the same folder.

Some are written by tests/tiny_decoders.py, and some by transformers itself.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid import Embedder
from tests import tiny
from tests.decoder_layouts import LAYOUTS, small
from tests.reference.conftest import encode_alone, load_reference
from tests.reference.test_families import FLAGS
from tests.tiny_decoders import DECODERS, MAX_TOKENS, POSITIONS, TEXTS, write_decoder

ENGINES = ("reference", "native")
CLOSE = {"rtol": 0, "atol": 5e-6}

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 1e4}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 1e4}
OPTIONS = [
    # Rotary positions under today's keys, and under those before transformers 5.
    *(
        (name, {"rope_theta": None, "rope_scaling": None, "rope_parameters": parameters})
        for name in ("llama", "qwen2", "qwen3", "mistral", "eurobert")
        for parameters in (
            {"rope_type": "default", "rope_theta": 12345.0},
            {"rope_type": "linear", "factor": 3.0, "rope_theta": 1e4},
            {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
            YARN,
            LLAMA3 | {"original_max_position_embeddings": 16},
        )
    ),
    ("qwen3", {"rope_scaling": {"type": "linear", "factor": 2.5}}),
    ("qwen3", {"rope_scaling": {"type": "dynamic", "factor": 2.5}}),
    ("qwen3", {"rope_theta": None}),
    ("qwen3", {"rope_parameters": YARN, "rope_theta": 5.0}),
    ("qwen3", {"rope_parameters": YARN, "original_max_position_embeddings": 32}),
    ("qwen3", {"rope_parameters": {key: YARN[key] for key in ("rope_type", "factor", "rope_theta")}}),
    ("qwen3", {"rope_parameters": YARN | {"attention_factor": 1.3, "beta_fast": 4.0, "beta_slow": 2.0}}),
    ("qwen3", {"rope_parameters": YARN | {"mscale": 0.7, "mscale_all_dim": 1.2}}),
    ("qwen3", {"rope_parameters": YARN | {"truncate": False}}),
    ("llama", {"rope_parameters": LLAMA3}),
    # How far tokens see.
    *((name, {"is_causal": False}) for name in ("llama", "qwen2", "qwen3", "mistral", "gemma3_text, causal")),
    ("qwen2", {"is_causal": False, "sliding_window": 2}),
    ("qwen2", {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
    ("qwen2", {"use_sliding_window": False}),
    ("qwen3", {"use_sliding_window": True, "sliding_window": 1, "max_window_layers": 2}),
    ("qwen3", {"use_sliding_window": True}),
    ("mistral", {"sliding_window": None}),
    ("mistral", {"sliding_window": 3, "is_causal": False}),
    ("gemma3_text", {"use_bidirectional_attention": False}),
    ("gemma3_text", {"sliding_window": 7}),
    ("gemma3_text", {"sliding_window": 4, "is_causal": False}),
    ("gemma3_text", {"layer_types": None, "sliding_window_pattern": 3}),
    ("gemma3_text", {"layer_types": None}),
    # Rotary positions of Gemma's two kinds of layers.
    ("gemma3_text", {"rope_theta": None, "rope_local_base_freq": None}),
    ("gemma3_text", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    ("gemma3_text", {"rope_parameters": {"full_attention": YARN}}),
    ("gemma3_text", {"rope_parameters": {"sliding_attention": LLAMA3 | {"original_max_position_embeddings": 8}}}),
    # The rest of a layer.
    *((name, {"rms_norm_eps": 0.1}) for name in ("llama", "qwen3", "gemma3_text", "eurobert")),
    ("llama", {"hidden_act": "gelu"}),
    ("gemma3_text", {"hidden_activation": "silu"}),
    ("gemma3_text", {"query_pre_attn_scalar": 3}),
]
"""Tiny decoders, and what is different in their config.json."""


@pytest.fixture(params=DECODERS)
def name(request):
    """Each decoder in turn."""
    return request.param


@pytest.fixture(params=ENGINES)
def engine(request):
    """Each engine in turn."""
    return request.param


def load(folder, engine):
    return Embedder(folder, engine=engine, on_truncation="cut")


def assert_same(folder, engine, texts=TEXTS, **options) -> None:
    """Pellucid and sentence-transformers give the same ids and vectors."""
    ours, theirs = load(folder, engine), load_reference(folder, **options)
    batch, _ = ours.tokenizer.tokenize(texts)
    assert [ids.tolist() for ids in batch] == theirs.tokenizer(texts, truncation=True)["input_ids"]
    assert (ours.max_tokens, ours.dimensions) == (theirs.max_seq_length, theirs.get_embedding_dimension())
    vectors = ours.embed_documents(texts, prompt="")
    assert texts is not TEXTS or np.ptp(vectors, axis=0).max() > 0.1  # Some models make nearly the same of all texts.
    np.testing.assert_allclose(vectors, encode_alone(theirs, texts), **CLOSE)


def test_decoders(name, tmp_path, engine):
    assert_same(write_decoder(tmp_path / "m", name), engine)


@pytest.mark.parametrize(("name", "changes"), OPTIONS, ids=str)
def test_options_in_config_json(name, changes, tmp_path, engine):
    folder = write_decoder(tmp_path / "m", name)
    values = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in values.items() if value is not None or key == "sliding_window"}
    tiny.write_json(folder / "config.json", kept)
    assert_same(folder, engine)


def test_padding_changes_nothing_that_matters(name, tmp_path, engine):
    """sentence-transformers pads the texts of a batch, on the side that the tokenizer names. Pellucid does not pad."""
    folder = write_decoder(tmp_path / "m", name)
    for side in ("left", "right"):
        tiny.edit_json(folder / "tokenizer_config.json", padding_side=side)
        texts = [text for text in TEXTS if text]
        vectors = load(folder, engine).embed_documents(texts, prompt="")
        np.testing.assert_allclose(vectors, load_reference(folder).encode(texts), **CLOSE)


def test_prompts_of_queries_and_documents(name, tmp_path, engine):
    folder = write_decoder(tmp_path / "m", name)
    ours, theirs = load(folder, engine), load_reference(folder)
    for text in TEXTS:
        np.testing.assert_allclose(ours.embed_query(text), theirs.encode_query(text), **CLOSE)
        np.testing.assert_allclose(ours.embed_documents([text]), theirs.encode_document([text]), **CLOSE)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_poolings(name, tmp_path, engine, include_prompt):
    folder = write_decoder(tmp_path / "m", name)
    pooling = {**dict.fromkeys(FLAGS, True), "include_prompt": include_prompt}
    tiny.edit_json(folder / "1_Pooling" / "config.json", **pooling)
    entries = json.loads((folder / "modules.json").read_text())
    tiny.write_json(folder / "modules.json", [entry for entry in entries if "Dense" not in entry["type"]])
    ours, theirs = load(folder, engine), load_reference(folder)
    texts = TEXTS[2:5]
    vectors = ours.embed_documents(texts, prompt="Query:")
    np.testing.assert_allclose(vectors, encode_alone(theirs, texts, prompt="Query:"), **CLOSE)


def counting(number):
    """A text about so many cats, whose parts differ."""
    return "".join(f"{count} the cat, " for count in range(number))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_appended_token_stays_when_a_text_is_cut(name, tmp_path, engine, side):
    folder = write_decoder(tmp_path / "m", name)
    tiny.edit_json(folder / "tokenizer_config.json", truncation_side=side)
    texts = [counting(number) for number in (*range(8, 16), 50)]
    assert_same(folder, engine, texts)
    assert max(map(len, load(folder, engine).tokenizer.tokenize(texts)[0])) == MAX_TOKENS


def test_texts_as_long_as_the_positions(name, tmp_path, engine):
    folder = write_decoder(tmp_path / "m", name)
    tiny.edit_json(folder / "sentence_bert_config.json", max_seq_length=POSITIONS)
    assert_same(folder, engine, [counting(number) for number in (3, 12, 50)])


def test_a_folder_without_files_of_sentence_transformers(name, tmp_path, engine):
    folder = write_decoder(tmp_path / "m", name)
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / file).unlink()
    assert_same(folder, engine)


def random_model(folder, *, whole: bool):
    """A decoder made by transformers for a folder's config.json, with random weights."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(0)
    model = (AutoModelForCausalLM if whole else AutoModel).from_config(config)
    centre = 0.0 if config.model_type == "gemma3_text" else 1.0
    for key, parameter in model.named_parameters():
        is_norm = parameter.ndim == 1 and key.endswith("weight")
        torch.nn.init.normal_(parameter.data, centre if is_norm else 0.0, 0.3)
    return model


@pytest.mark.parametrize(
    ("whole", "dtype", "shard_size"), [(False, torch.float32, "5GB"), (True, torch.bfloat16, "8KB")]
)
def test_files_written_by_transformers(name, tmp_path, engine, whole, dtype, shard_size):
    """The decoder alone, or with the output layer that predicts the next token."""
    if whole and name == "eurobert":
        pytest.skip("EuroBERT does not predict the next token")
    folder = write_decoder(tmp_path / "m", name)
    model = random_model(folder, whole=whole)
    (folder / "model.safetensors").unlink()
    model.to(dtype).save_pretrained(folder, max_shard_size=shard_size)
    assert (folder / "model.safetensors").exists() == (shard_size == "5GB")
    # The reference would compute in half precision. It gets the same numbers as float32 instead.
    tiny.edit_json(folder / "config.json", dtype="float32")
    assert_same(folder, engine, model_kwargs={"dtype": torch.float32})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_versions_of_well_known_models(layout, tmp_path, engine):
    folder = write_decoder(tmp_path / "m", small(LAYOUTS[layout]))
    assert_same(folder, engine)
    ours, theirs = load(folder, engine), load_reference(folder)
    np.testing.assert_allclose(ours.embed_query("the cat"), theirs.encode_query("the cat"), **CLOSE)
    np.testing.assert_allclose(ours.embed_documents(["the cat"]), theirs.encode_document(["the cat"]), **CLOSE)
