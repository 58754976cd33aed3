from __future__ import annotations

import pytest

from pellucid.model.load import load_spec
from pellucid.server.core.kinds import kind_of
from pellucid.sources.resolve import resolve
from tests import tiny


def kind_of_folder(folder):
    files = resolve(folder)
    return kind_of(files, load_spec(files))


@pytest.mark.parametrize(("labels", "kind"), [(1, "reranker"), (2, "classifier"), (3, "classifier")])
def test_a_model_with_a_head_is_what_its_labels_say(tmp_path, labels, kind):
    assert kind_of_folder(tiny.write_scoring_model(tmp_path / "m", labels=labels)) == kind


def test_a_model_whose_stages_make_sparse_vectors_is_a_sparse_embedder(tmp_path):
    assert kind_of_folder(tiny.write_splade_model(tmp_path / "m")) == "sparse_embedder"


def test_a_masked_language_model_without_stages_is_a_sparse_embedder_as_its_class_says(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m")
    (folder / "modules.json").unlink()
    assert kind_of_folder(folder) == "sparse_embedder"
    tiny.edit_json(folder / "config.json", architectures=["BertModel"])
    assert kind_of_folder(folder) == "embedder"


def test_a_model_that_makes_vectors_is_an_embedder_whatever_its_config_was_made_from(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"], num_labels=1)
    assert kind_of_folder(folder) == "embedder"
