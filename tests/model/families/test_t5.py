from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder
from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import t5
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
from tests import t5_models, tiny

FROZEN = Path(__file__).parents[2] / "data" / "tiny_t5.npz"
ENGINES = ["reference", "native"]

# config.json of t5-base, only the keys that are read.
T5_BASE = {
    "d_ff": 3072,
    "d_kv": 64,
    "d_model": 768,
    "layer_norm_epsilon": 1e-06,
    "num_heads": 12,
    "num_layers": 12,
    "relative_attention_num_buckets": 32,
    "vocab_size": 32128,
}


def spec(**changes) -> EncoderSpec:
    return t5.spec(Config("m: config.json", T5_BASE | changes))


def test_the_config_of_t5_base_is_this_spec():
    norm = NormSpec(1e-6, kind="rms", bias=False)
    block = BlockSpec(
        AttentionSpec(heads=12, head_size=64, kv_heads=12, bias=False, scale=1.0),
        FeedForwardSpec(3072, "relu", bias=False),
        NormPlaces(before=norm),
        NormPlaces(before=norm),
    )
    assert spec() == EncoderSpec(
        family="t5",
        hidden_size=768,
        embedding=EmbeddingSpec(32128, positions=32_768, position_table=False, norm=None),
        blocks=(block,) * 12,
        final_norm=norm,
        relative_bias=RelativeBiasSpec(32, max_distance=128),
    )


@pytest.mark.parametrize(
    ("name", "activation", "gated"),
    [("gated-gelu", "gelu_tanh", True), ("gelu", "gelu", False), ("gated-silu", "silu", True)],
)
def test_feed_forward_proj_names_the_activation_and_says_if_there_is_a_gate(name, activation, gated):
    feed_forward = spec(feed_forward_proj=name).blocks[0].feed_forward
    assert (feed_forward.activation, feed_forward.gated) == (activation, gated)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"feed_forward_proj": "gated-elu"}, UnsupportedModelError, "feed_forward_proj 'gated-elu' is not supported"),
        ({"is_decoder": True}, UnsupportedModelError, "of T5, only the encoder is supported"),
        ({"relative_attention_num_buckets": 3}, InvalidModelError, "num_buckets' is 3, but must be at least 4"),
        ({"relative_attention_max_distance": 8}, InvalidModelError, "max_distance' is 8, but must be at least 9"),
    ],
)
def test_what_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        spec(**changes)


@pytest.fixture(scope="module", params=t5_models.FEED_FORWARDS)
def feed_forward(request):
    return request.param


@pytest.fixture(scope="module")
def folder(feed_forward, tmp_path_factory):
    return t5_models.write_model(tmp_path_factory.mktemp("models") / feed_forward, feed_forward)


@pytest.fixture(scope="module")
def frozen(feed_forward):
    with np.load(FROZEN) as stored:
        return {key: stored[f"{feed_forward}/{key}"] for key in ("lengths", "ids", "vectors")}


@pytest.mark.parametrize("engine", ENGINES)
def test_vectors_are_those_of_sentence_transformers(folder, frozen, engine):
    vectors = Embedder(folder, engine=engine, on_truncation="ignore").embed_documents(tiny.TEXTS)
    np.testing.assert_allclose(vectors, frozen["vectors"], rtol=0, atol=5e-6)


@pytest.mark.parametrize(("dtype", "min_cosine"), [("int16", 0.9999), ("int8", 0.99)])
def test_quantized_vectors_stay_close(folder, frozen, dtype, min_cosine):
    vectors = Embedder(folder, dtype=dtype, on_truncation="ignore").embed_documents(tiny.TEXTS)
    assert (vectors * frozen["vectors"]).sum(axis=1).min() > min_cosine


def test_the_bits_of_a_text_do_not_depend_on_its_company(folder):
    embedder = Embedder(folder, on_truncation="ignore")
    alone = np.stack([embedder.embed_query(text) for text in tiny.TEXTS])
    for threads in (1, 3):
        together = Embedder(folder, threads=threads, on_truncation="ignore").embed_documents(tiny.TEXTS)
        np.testing.assert_array_equal(together, alone)


def test_tokens_are_those_of_sentence_transformers(folder, frozen):
    batch, _ = Embedder(folder, engine="reference").tokenizer.tokenize(tiny.TEXTS)
    assert batch.lengths.tolist() == frozen["lengths"].tolist()
    assert batch.ids.tolist() == frozen["ids"].tolist()


def change_names(folder, change):
    """Rename the tensors of a model. Those that become None are left out."""
    stored = load_file(folder / "model.safetensors")
    save_file({change(name): array for name, array in stored.items() if change(name)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("shared", "encoder.embed_tokens"),
        lambda name: f"transformer.{name}",
    ],
    ids=["the table has its other name", "saved with a head"],
)
def test_files_have_several_names_for_the_same_tensors(tmp_path, frozen, feed_forward, change):
    folder = t5_models.write_model(tmp_path / "m", feed_forward)
    change_names(folder, change)
    vectors = Embedder(folder, engine="reference", on_truncation="ignore").embed_documents(tiny.TEXTS)
    np.testing.assert_allclose(vectors, frozen["vectors"], rtol=0, atol=5e-6)


def test_a_gate_that_the_file_lacks_is_named(tmp_path):
    folder = t5_models.write_model(tmp_path / "m", "relu")
    tiny.edit_json(folder / "config.json", feed_forward_proj="gated-gelu")
    with pytest.raises(
        InvalidModelError, match=r"no tensor 'encoder\.block\.0\.layer\.1\.DenseReluDense\.wi_0\.weight'"
    ):
        Embedder(folder, engine="reference").embed_query("the cat")


def test_without_a_limit_in_the_files_a_text_may_be_long(tmp_path):
    folder = t5_models.write_model(tmp_path / "m")
    tiny.edit_json(folder / "sentence_bert_config.json", max_seq_length=None)
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=10**30)
    assert Embedder(folder, engine="reference").max_tokens == t5.MAX_TOKENS
