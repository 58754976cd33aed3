"""Compares models with random weights that Pellucid and sentence-transformers load from the same folder.

Some are written by our tests, and some by transformers itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from pellucid import Embedder
from pellucid.sentence_transformers import SentenceTransformer as DropIn
from tests import tiny, tiny_families
from tests.reference.conftest import encode_alone, load_reference
from tests.reference.texts import SCRIPTS, docstrings, odd_texts

FLAGS = [
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
]


def assert_same(folder, **options) -> None:
    """Pellucid and sentence-transformers give the same ids and, within 5e-6, the same vectors."""
    ours, theirs = Embedder(folder), load_reference(folder)
    batch, _ = ours.tokenizer.tokenize(tiny.TEXTS)
    expected_ids = theirs.tokenizer(tiny.TEXTS, truncation=True, max_length=ours.max_tokens)["input_ids"]
    assert [ids.tolist() for ids in batch] == expected_ids
    assert ours.max_tokens == theirs.max_seq_length
    prompt = options.get("prompt")
    vectors = ours.embed_documents(tiny.TEXTS, prompt=prompt)
    np.testing.assert_allclose(vectors, encode_alone(theirs, tiny.TEXTS, prompt=prompt), rtol=0, atol=5e-6)


@pytest.mark.parametrize("modes", [*([flag] for flag in FLAGS), FLAGS[:3], FLAGS])
def test_pooling_modes(family, tmp_path, modes):
    assert_same(tiny.write_model(tmp_path / "m", family, pooling=dict.fromkeys(modes, True), modules=["Pooling"]))


@pytest.mark.parametrize("mode", FLAGS)
def test_a_prompt_that_is_left_out_of_the_pooling(family, tmp_path, mode):
    pooling = {mode: True, "include_prompt": False}
    assert_same(tiny.write_model(tmp_path / "m", family, pooling=pooling, modules=["Pooling"]), prompt="query: the ")


@pytest.mark.parametrize("activation", ["activation.Tanh", "activation.GELU", "activation.ReLU", "linear.Identity"])
def test_modules_after_the_pooling(family, tmp_path, activation):
    modules = ["Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"]
    assert_same(tiny.write_model(tmp_path / "m", family, modules=modules, dense=(8, activation)))


@pytest.mark.parametrize("size", [8, tiny_families.HIDDEN])
def test_a_dense_module_with_a_residual(tmp_path, size):
    modules = ["Pooling", "Dense", "Normalize"]
    assert_same(tiny.write_model(tmp_path / "m", modules=modules, dense=(size, "activation.Tanh"), residual=True))


def test_a_transformer_without_sentence_transformers_files(family, tmp_path):
    folder = tiny.write_model(tmp_path / "m", family)
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=20)
    assert_same(folder)


def test_the_sentence_config_may_ask_for_lower_case(family, tmp_path):
    folder = tiny.write_model(tmp_path / "m", family)
    tiny.edit_json(folder / "sentence_bert_config.json", do_lower_case=True)
    assert_same(folder)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 160000.0}


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("modernbert", {"full_attention": YARN, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        ("nomic_bert", {"rope_type": "linear", "factor": 3.0, "rope_theta": 1000.0}),
    ],
)
def test_scaled_rotary_positions(tmp_path, family, parameters):
    folder = tiny.write_model(tmp_path / "m", family)
    tiny.edit_json(folder / "config.json", rope_parameters=parameters)
    assert_same(folder)


def test_prompts_of_queries_and_documents(tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "query: ", "document": "passage: "})
    ours, theirs = Embedder(folder), load_reference(folder)
    np.testing.assert_allclose(ours.embed_query("a cat"), theirs.encode_query("a cat"), rtol=0, atol=5e-6)
    np.testing.assert_allclose(ours.embed_documents(["a cat"]), theirs.encode_document(["a cat"]), rtol=0, atol=5e-6)


def random_model(family: str, vocabulary: int, **sizes):
    """A model made by transformers, with random weights that are large enough to matter."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    config = tiny_families.config(family, vocabulary) | sizes
    model = AutoModel.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    deviation = 0.3 if not sizes else 0.05
    for name, parameter in model.named_parameters():
        # By default, all norms are 1 and all biases are 0, so the tests could not see that some are swapped or missing.
        mean = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        torch.nn.init.normal_(parameter.data, mean, deviation)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["5GB", "4KB"])
def test_files_written_by_transformers(family, tmp_path, dtype, shard_size):
    folder = tiny.write_model(tmp_path / "m", family)
    model = random_model(family, json.loads((folder / "config.json").read_text())["vocab_size"])
    (folder / "model.safetensors").unlink()
    model.to(dtype).save_pretrained(folder, max_shard_size=shard_size)
    assert (folder / "model.safetensors").exists() == (shard_size == "5GB")
    # The reference would compute in half precision. It gets the same numbers as float32 instead.
    tiny.edit_json(folder / "config.json", dtype="float32")
    ours, theirs = Embedder(folder), load_reference(folder, model_kwargs={"dtype": torch.float32})
    np.testing.assert_allclose(ours.embed_documents(tiny.TEXTS), encode_alone(theirs, tiny.TEXTS), rtol=0, atol=5e-6)


def test_a_model_saved_with_a_head_for_masked_words(family, tmp_path):
    from transformers import AutoModelForMaskedLM

    folder = tiny.write_model(tmp_path / "m", family)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    whole = AutoModelForMaskedLM.from_config(random_model(family, vocabulary).config)
    whole.save_pretrained(folder)
    assert_same(folder)


def unigram_tokenizer(folder: Path, vocabulary: int) -> int:
    """Train a Unigram tokenizer, like XLM-RoBERTa's, on docstrings of the standard library. Returns its size."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([*docstrings(), *SCRIPTS], trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


# The sizes of models in the catalog. all-MiniLM-L6-v2 and all-mpnet-base-v2 are also tested with their real weights.
L12 = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536}
REAL_SIZES = {
    "all-MiniLM-L12-v2": ("bert", {**L12, "max_position_embeddings": 512}, 128),
    "all-mpnet-base-v2": (
        "mpnet",
        {
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "max_position_embeddings": 514,
        },
        384,
    ),
    "paraphrase-multilingual-MiniLM-L12-v2": ("xlm-roberta", {**L12, "max_position_embeddings": 514}, 128),
}


@pytest.mark.parametrize("name", REAL_SIZES)
def test_models_with_the_sizes_of_the_catalog(name, tmp_path):
    family, sizes, max_tokens = REAL_SIZES[name]
    folder = tiny.write_model(tmp_path / "m", family)
    if family == "xlm-roberta":
        assert unigram_tokenizer(folder, 4000) > 2000
    tiny.edit_json(folder / "sentence_bert_config.json", max_seq_length=max_tokens)
    tiny.edit_json(folder / "1_Pooling/config.json", word_embedding_dimension=sizes["hidden_size"])
    model = random_model(family, 30522, **sizes)
    model.save_pretrained(folder)
    ours, theirs = Embedder(folder), load_reference(folder)
    texts = [" ".join(["the cat"] * count) for count in (max_tokens // 2 - 1, max_tokens // 2, max_tokens)]
    texts += ["the", "the cat", *[text for text in docstrings() if len(text) < 400][:20], *SCRIPTS]
    batch, _ = ours.tokenizer.tokenize(texts)
    expected_ids = theirs.tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]
    assert [ids.tolist() for ids in batch] == expected_ids
    assert max(batch.lengths) == max_tokens
    np.testing.assert_allclose(ours.embed_documents(texts), encode_alone(theirs, texts), rtol=0, atol=5e-6)


class TestTokenizersWithoutTokenizerJson:
    """Pellucid builds tokenizers from vocabulary files alone, as transformers does."""

    def assert_same_ids(self, folder: Path) -> None:
        ours, theirs = Embedder(folder), load_reference(folder)
        texts = [
            *odd_texts(500, seed=2),
            *SCRIPTS,
            "",
            "Élan, ÀÉÎ; 漢字",
            "the cat  [SEP] <s> </s>[CLS]",
            "CAT\tthe\u00a0cat",
        ]
        batch, _ = ours.tokenizer.tokenize(texts)
        expected = theirs.tokenizer(texts, truncation=True, max_length=ours.max_tokens)["input_ids"]
        for text, ids, expected_ids in zip(texts, batch, expected, strict=True):
            assert ids.tolist() == expected_ids, repr(text)

    @pytest.mark.parametrize("family", ["bert", "distilbert"])
    @pytest.mark.parametrize(
        "options", [{}, {"do_lower_case": False}, {"strip_accents": False}, {"do_lower_case": True}]
    )
    def test_word_pieces(self, family, tmp_path, options):
        folder = tiny.write_model(tmp_path / "m", family)
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
        (folder / "tokenizer.json").unlink()
        tiny.edit_json(folder / "tokenizer_config.json", **options)
        self.assert_same_ids(folder)

    @pytest.mark.parametrize("options", [{}, {"add_prefix_space": True}])
    def test_byte_level(self, tmp_path, options):
        folder = tiny.write_model(tmp_path / "m", "roberta")
        model = json.loads((folder / "tokenizer.json").read_text())["model"]
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
        merges = "".join(" ".join(pair) + "\n" for pair in model["merges"])
        (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")
        (folder / "tokenizer.json").unlink()
        tiny.edit_json(folder / "tokenizer_config.json", **options)
        self.assert_same_ids(folder)


@pytest.mark.parametrize("query", ["bert", "distilbert"])
def test_another_encoder_for_queries(tmp_path, query):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    folders = [tiny.write_model(tmp_path / f"{number}", family) for number, family in enumerate((query, "bert"))]
    routes = [[Transformer(str(folder)), Pooling(tiny_families.HIDDEN, "cls")] for folder in folders]
    SentenceTransformer(modules=[Router.for_query_document(*routes), Normalize()]).save(str(tmp_path / "m"))
    ours, theirs = Embedder(tmp_path / "m", on_truncation="cut"), load_reference(tmp_path / "m")
    for text in tiny.TEXTS:
        np.testing.assert_allclose(ours.embed_query(text), theirs.encode_query(text), rtol=0, atol=5e-6)
        np.testing.assert_allclose(ours.embed_documents([text]), theirs.encode_document([text]), rtol=0, atol=5e-6)
    drop_in = DropIn(tmp_path / "m", on_truncation="cut")
    expected = theirs.encode_query(tiny.TEXTS, batch_size=1)
    np.testing.assert_allclose(drop_in.encode_query(tiny.TEXTS), expected, rtol=0, atol=5e-6)
