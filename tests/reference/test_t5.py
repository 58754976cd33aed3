"""Compares T5 encoders of random weights with live sentence-transformers and transformers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from pellucid import Embedder
from pellucid.engines.reference import relative_buckets
from tests import t5_models, tiny
from tests.model.families.test_t5 import ENGINES
from tests.reference.conftest import encode_alone, load_reference
from tests.reference.texts import SCRIPTS, docstrings, odd_texts
from tests.words import charsmap


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def assert_same(folder, engine, texts=tiny.TEXTS, **options) -> None:
    """Pellucid and sentence-transformers give the same ids and, within 5e-6, the same vectors."""
    ours, theirs = Embedder(folder, engine=engine, on_truncation="ignore"), load_reference(folder)
    batch, _ = ours.tokenizer.tokenize(texts)
    expected_ids = theirs.tokenizer(texts, truncation=True, max_length=ours.max_tokens)["input_ids"]
    assert [ids.tolist() for ids in batch] == expected_ids
    assert ours.max_tokens == theirs.max_seq_length
    vectors = ours.embed_documents(texts, **options)
    np.testing.assert_allclose(vectors, encode_alone(theirs, texts, **options), rtol=0, atol=5e-6)


@pytest.mark.parametrize("feed_forward", ["relu", "gelu", "silu", "gated-relu", "gated-gelu", "gated-silu"])
def test_feed_forwards(tmp_path, engine, feed_forward):
    assert_same(t5_models.write_model(tmp_path / "m", feed_forward), engine)


@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (32, 20), (4, 5), (9, 12)])
def test_relative_biases(tmp_path, engine, buckets, distance):
    sizes = {"relative_attention_num_buckets": buckets, "relative_attention_max_distance": distance}
    folder = t5_models.write_model(tmp_path / "m", **sizes)
    tiny.edit_json(folder / "sentence_bert_config.json", max_seq_length=300)
    assert_same(folder, engine, [*tiny.TEXTS, "the cat sat " * 90])


def test_a_prompt_that_is_not_pooled_as_in_instructor(tmp_path, engine):
    folder = t5_models.write_model(tmp_path / "m")
    tiny.edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    assert_same(folder, engine, prompt="query: the ")


@pytest.mark.parametrize("kind", ["T5EncoderModel", "T5Model", "T5ForConditionalGeneration"])
@pytest.mark.parametrize("feed_forward", t5_models.FEED_FORWARDS)
def test_files_written_by_transformers(tmp_path, engine, kind, feed_forward):
    import transformers

    folder = t5_models.write_model(tmp_path / "m", feed_forward)
    config = json.loads((folder / "config.json").read_text())
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.T5Config(**config))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, float(parameter.ndim == 1), 0.3)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    assert_same(folder, engine)


@given(
    buckets=st.integers(4, 64),
    distance=st.integers(2, 300),
    distances=st.lists(st.integers(-700, 700), min_size=1, max_size=200),
)
def test_the_bucket_of_each_distance_is_that_of_transformers(buckets, distance, distances):
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = max(distance, buckets // 4 + 1)
    theirs = T5Attention._relative_position_bucket(torch.tensor(distances), True, buckets, distance)
    assert relative_buckets(np.array(distances), buckets, distance).tolist() == theirs.tolist()


@pytest.mark.parametrize("has_other_steps", [False, True], ids=["its own steps", "other steps, which are ignored"])
def test_tokens_of_a_trained_tokenizer(tmp_path, has_other_steps):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Precompiled(charsmap("nmt_nfkc"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    specials = list(t5_models.SPECIALS.values())
    trainer = trainers.UnigramTrainer(vocab_size=2000, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*docstrings()[:1000], *SCRIPTS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    if has_other_steps:
        steps = [tokenizer.normalizer, normalizers.Strip(), normalizers.Lowercase()]
        tokenizer.normalizer, tokenizer.post_processor = normalizers.Sequence(steps), None
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    folder = t5_models.write_model(tmp_path / "m", tokenizer=tokenizer)
    texts = [*odd_texts(500, seed=3), *SCRIPTS, *docstrings()[:200], "", " ", "the  cat\n\tsat", "ﬁne </s> <pad> cat"]
    # transformers reads the scores of pieces with Python's JSON, and the library with its own. Some differ in the last
    # bit, which decides where a long run of one letter is cut: all ways to cut it have nearly the same score.
    texts = [text for text in texts if not re.search(r"(\w)\1{9}", text)]
    assert len(texts) > 500
    expected = load_reference(folder).tokenizer(texts, truncation=True, max_length=tiny.MAX_TOKENS)["input_ids"]
    batch, _ = Embedder(folder, engine="reference").tokenizer.tokenize(texts)
    for text, ids, expected_ids in zip(texts, batch, expected, strict=True):
        assert ids.tolist() == expected_ids, repr(text)
