"""Static models against the live sentence-transformers and model2vec."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.distillation import distil
from tests import static_models
from tests.reference.conftest import encode_alone, load_reference
from tests.static_models import MODEL2VEC_CASES, SENTENCE_TRANSFORMERS_CASES, TEXTS

StaticModel = pytest.importorskip("model2vec").StaticModel


def vectors_of(folder, texts=TEXTS):
    return Embedder(folder, on_truncation="cut").embed_documents(texts)


@pytest.mark.parametrize("name", SENTENCE_TRANSFORMERS_CASES)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name):
    folder = static_models.write_sentence_transformers_case(tmp_path / "m", name)
    expected = encode_alone(load_reference(folder), TEXTS).astype(np.float32)
    np.testing.assert_allclose(vectors_of(folder), expected, rtol=0, atol=static_models.tolerance(name))


@pytest.mark.parametrize("name", MODEL2VEC_CASES)
def test_vectors_are_those_of_model2vec(tmp_path, name):
    folder = static_models.write_model2vec_case(tmp_path / "m", name)
    model = StaticModel.from_pretrained(folder)
    expected = np.stack([model.encode([text])[0] for text in TEXTS]).astype(np.float32)
    np.testing.assert_allclose(vectors_of(folder), expected, rtol=0, atol=static_models.tolerance(name))


def test_what_model2vec_saves_is_read_as_sentence_transformers_reads_it(tmp_path):
    model = StaticModel.from_pretrained(static_models.write_static(tmp_path / "m", "model2vec"))
    model.save_pretrained(tmp_path / "saved")
    expected = encode_alone(load_reference(tmp_path / "saved"), TEXTS)
    np.testing.assert_allclose(vectors_of(tmp_path / "saved"), expected, rtol=0, atol=1e-6)


def test_a_distilled_model_is_the_same_in_all_three(minilm, tmp_path):
    folder = distil(minilm.encoder, tmp_path / "static", dimensions=32).folder
    texts = ["the cat sat on the mat", "A kitten is asleep, isn't it?", "", "Tokenization"]
    ours = vectors_of(folder, texts)
    np.testing.assert_allclose(ours, encode_alone(load_reference(folder), texts), rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours, StaticModel.from_pretrained(folder).encode(texts), rtol=0, atol=1e-6)
