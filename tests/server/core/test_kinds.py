from __future__ import annotations

import pytest

from pellucid.model.load import load_spec
from pellucid.server.core.kinds import kind_of
from pellucid.sources.resolve import resolve
from tests import multi_vector_models, tiny
from tests.causal_rerankers import write_reranker


def kind_of_folder(folder):
    files = resolve(folder)
    return kind_of(files, load_spec(files))


@pytest.mark.parametrize(("labels", "kind"), [(1, "reranker"), (2, "classifier"), (3, "classifier")])
def test_a_model_with_a_head_is_what_its_labels_say(tmp_path, labels, kind):
    assert kind_of_folder(tiny.write_scoring_model(tmp_path / "m", labels=labels)) == kind


@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        ("answers", "reranker"),
        ("without template", "reranker"),
        ("without modules", "reranker"),
        ("without modules or template", "embedder"),  # A language model like any other.
        ("head", "reranker"),
        ("head without template", "classifier"),
    ],
)
def test_a_decoder_is_what_its_files_say(tmp_path, layout, kind):
    assert kind_of_folder(write_reranker(tmp_path / "m", layout)) == kind


def test_a_model_whose_stages_make_sparse_vectors_is_a_sparse_embedder(tmp_path):
    assert kind_of_folder(tiny.write_splade_model(tmp_path / "m")) == "sparse_embedder"


def test_a_masked_language_model_without_stages_is_a_sparse_embedder_as_its_class_says(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m")
    (folder / "modules.json").unlink()
    assert kind_of_folder(folder) == "sparse_embedder"
    tiny.edit_json(folder / "config.json", architectures=["BertModel"])
    assert kind_of_folder(folder) == "embedder"


@pytest.mark.parametrize("layout", ["model", "pylate", "stanford"])
def test_a_model_of_late_interaction_is_a_multi_vector_embedder(tmp_path, layout):
    folder = getattr(multi_vector_models, f"write_{layout}")(tmp_path / "m")
    assert kind_of_folder(folder) == "multi_vector_embedder"


def test_a_model_of_late_interaction_with_the_class_of_a_masked_language_model_stays_one(tmp_path):
    folder = multi_vector_models.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config.json", architectures=["BertForMaskedLM"])
    assert kind_of_folder(folder) == "multi_vector_embedder"


@pytest.mark.parametrize(
    ("write", "kind"),
    [(tiny.write_inference_free_model, "sparse_embedder"), (tiny.write_asymmetric_model, "embedder")],
)
def test_a_model_that_reads_queries_apart_is_what_its_documents_become(tmp_path, write, kind):
    assert kind_of_folder(write(tmp_path / "m")) == kind


def test_a_model_that_makes_vectors_is_an_embedder_whatever_its_config_was_made_from(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"], num_labels=1)
    assert kind_of_folder(folder) == "embedder"
