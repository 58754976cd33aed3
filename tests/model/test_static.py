"""Static models' files: the two layouts, which of them counts, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.pooling import Pooling
from pellucid.model.load import count_parameters, load_spec, load_weights
from pellucid.model.spec import NO_LIMIT, DenseSpec, NormalizeSpec
from pellucid.sources import local
from pellucid.sources.files import missing_files
from tests import tiny
from tests.static_models import LAYOUTS, SIZE, write_modules, write_static


def load(folder):
    files = local.find(str(folder))
    spec = load_spec(files)
    return spec, load_weights(files, spec).word


def change(folder, **tensors):
    """Replace tensors; None removes one."""
    found = load_file(folder / "model.safetensors") | tensors
    save_file({name: tensor for name, tensor in found.items() if tensor is not None}, folder / "model.safetensors")


class TestTheSpec:
    def test_it_has_no_layers_and_pools_by_the_mean(self, tmp_path):
        spec, table = load(write_static(tmp_path / "m"))
        encoder = spec.encoder
        assert (encoder.family, encoder.blocks, encoder.is_static) == ("static", (), True)
        assert (encoder.hidden_size, encoder.vocab_size) == (SIZE, len(table.rows))
        assert spec.stages == (Pooling(("mean",)), NormalizeSpec())
        assert spec.dimensions == SIZE
        assert spec.unit_length

    def test_modules_may_follow(self, tmp_path):
        folder = write_static(tmp_path / "m", normalize=False)
        modules = json.loads((folder / "modules.json").read_text())
        dense = {"idx": 1, "name": "1", "path": "1_Dense", "type": "sentence_transformers.models.Dense"}
        tiny.write_json(folder / "modules.json", [*modules, dense])
        (folder / "1_Dense").mkdir()
        settings = {"in_features": SIZE, "out_features": 3, "activation_function": "torch.nn.modules.linear.Identity"}
        tiny.write_json(folder / "1_Dense" / "config.json", settings)
        assert load_spec(local.find(str(folder))).stages[1] == DenseSpec("1_Dense", SIZE, 3, "identity")

    @pytest.mark.parametrize("package", ["models", "sentence_transformer.modules.static_embedding"])
    def test_the_class_has_had_several_packages(self, tmp_path, package):
        folder = write_static(tmp_path / "m")
        modules = (folder / "modules.json").read_text()
        (folder / "modules.json").write_text(modules.replace("models.Static", f"{package}.Static"))
        assert load(folder)[0].encoder.is_static

    def test_pooling_cannot_follow(self, tmp_path):
        folder = write_static(tmp_path / "m")
        modules = json.loads((folder / "modules.json").read_text())
        modules[1] |= {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
        tiny.write_json(folder / "modules.json", modules)
        with pytest.raises(UnsupportedModelError, match="StaticEmbedding pools by itself"):
            load(folder)

    def test_tokens_that_share_rows_have_a_mapping(self, tmp_path):
        spec, table = load(write_static(tmp_path / "m", "model2vec", shared=True, weighted=True))
        embedding = spec.encoder.embedding
        assert (embedding.rows, embedding.weighted) == (7, True)
        assert embedding.vocab_size == len(table.mapping) == len(table.weights)
        assert table.rows.shape == (7, SIZE)

    def test_modules_json_counts_more_than_the_config_of_model2vec(self, tmp_path):
        folder = write_static(tmp_path / "m", "model2vec", max_length=9)
        assert load(folder)[0].tokenizer.rules == "model2vec"
        write_modules(folder, normalize=False)
        spec, _ = load(folder)
        assert (spec.tokenizer.rules, spec.tokenizer.max_tokens, spec.stages[1:]) == ("tokenizer.json", NO_LIMIT, ())

    def test_next_to_sentence_transformers_own_table_weights_mean_nothing(self, tmp_path):
        folder = write_static(tmp_path / "m", weighted=True)
        change(folder, mapping=np.array([1, 2, 3]))
        spec, table = load(folder)
        assert not spec.encoder.embedding.weighted
        assert table.weights is table.mapping is None

    def test_its_parameters_are_counted(self, tmp_path):
        folder = write_static(tmp_path / "m")
        assert count_parameters(local.find(str(folder))) == load(folder)[1].rows.size


class TestTheLimit:
    @pytest.mark.parametrize(
        ("config", "limit"), [({}, 512), ({"max_length": 30}, 30), ({"max_length": None}, NO_LIMIT)]
    )
    def test_model2vec_has_it_in_its_config(self, tmp_path, config, limit):
        folder = write_static(tmp_path / "m", "model2vec", truncation=5, **config)
        assert load(folder)[0].tokenizer.max_tokens == limit

    @pytest.mark.parametrize("max_length", [0, "9", 1.5])
    def test_it_must_be_a_whole_number(self, tmp_path, max_length):
        with pytest.raises(InvalidModelError, match="'max_length' is"):
            load(write_static(tmp_path / "m", "model2vec", max_length=max_length))

    def test_sentence_transformers_has_the_one_of_tokenizer_json(self, tmp_path):
        assert load(write_static(tmp_path / "none"))[0].tokenizer.max_tokens == NO_LIMIT
        assert load(write_static(tmp_path / "some", truncation=5))[0].tokenizer.max_tokens == 5

    def test_the_side_on_which_it_cuts_is_there_too(self, tmp_path):
        folder = write_static(tmp_path / "m", truncation=5)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["truncation"]["direction"] = "Left"
        tiny.write_json(folder / "tokenizer.json", tokenizer)
        assert load(folder)[0].tokenizer.truncation_side == "left"

    def test_a_limit_that_is_no_number_is_refused(self, tmp_path):
        folder = write_static(tmp_path / "m", truncation=5)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["truncation"]["max_length"] = "many"
        tiny.write_json(folder / "tokenizer.json", tokenizer)
        with pytest.raises(InvalidModelError, match="the max_length of 'truncation' must be a whole number"):
            load(folder)


class TestTheTable:
    @pytest.mark.parametrize(
        ("dtype", "kept"), [("float32", "float32"), ("float16", "float16"), ("float64", "float32"), ("int8", "int8")]
    )
    def test_it_stays_as_it_is_stored(self, tmp_path, dtype, kept):
        assert load(write_static(tmp_path / "m", "model2vec", dtype=dtype))[1].rows.dtype == kept

    def test_one_of_bfloat16_does_too(self, tmp_path):
        folder = write_static(tmp_path / "m")
        floats = load_file(folder / "model.safetensors")["embedding.weight"]
        tiny.store_as(folder, "bfloat16")
        rows = load(folder)[1].rows
        assert rows.dtype == np.uint16  # NumPy has no bfloat16.
        np.testing.assert_array_equal(rows, floats.view(np.uint32) >> 16)


class TestBrokenFiles:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_table_must_be_there(self, tmp_path, layout):
        folder = write_static(tmp_path / "m", layout)
        save_file({"other": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
        with pytest.raises(InvalidModelError, match="no tensor 'embedding.weight' or 'embeddings'"):
            load(folder)

    @pytest.mark.parametrize("shape", [(5,), (0, 4), (4, 0), (2, 2, 2)])
    def test_a_table_must_be_a_matrix(self, tmp_path, shape):
        folder = write_static(tmp_path / "m", "model2vec")
        change(folder, embeddings=np.zeros(shape, np.float32))
        with pytest.raises(InvalidModelError, match="must have 2 dimensions, none of them 0"):
            load(folder)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("number", [np.nan, np.inf])
    def test_a_table_must_be_finite(self, tmp_path, dtype, number):
        folder = write_static(tmp_path / "m", "model2vec", dtype=dtype)
        table = load_file(folder / "model.safetensors")["embeddings"].copy()
        table[3, 1] = number
        change(folder, embeddings=table)
        with pytest.raises(InvalidModelError, match="holds NaN or infinity"):
            load(folder)

    def test_weights_must_be_finite_and_one_for_each_token(self, tmp_path):
        folder = write_static(tmp_path / "m", "model2vec", weighted=True)
        weights = load_file(folder / "model.safetensors")["weights"].copy()
        change(folder, weights=weights[1:])
        with pytest.raises(InvalidModelError, match="tensor 'weights' has shape"):
            load(folder)
        weights[2] = np.nan
        change(folder, weights=weights)
        with pytest.raises(InvalidModelError, match="holds NaN or infinity"):
            load(folder)

    @pytest.mark.parametrize("row", [7, -1, 1 << 40])
    def test_a_mapping_must_stay_in_the_table(self, tmp_path, row):
        folder = write_static(tmp_path / "m", "model2vec", shared=True)
        mapping = load_file(folder / "model.safetensors")["mapping"].copy()
        mapping[4] = row
        change(folder, mapping=mapping)
        with pytest.raises(
            InvalidModelError, match=f"'mapping' leads to the row {row}, but the table has the rows 0 to 6"
        ):
            load(folder)

    def test_a_mapping_is_of_whole_numbers(self, tmp_path):
        folder = write_static(tmp_path / "m", "model2vec", shared=True)
        change(folder, mapping=load_file(folder / "model.safetensors")["mapping"].astype(np.float32))
        with pytest.raises(UnsupportedModelError, match="tensor 'mapping' is stored as F32"):
            load(folder)

    def test_a_table_of_other_integers_is_refused(self, tmp_path):
        folder = write_static(tmp_path / "m", "model2vec")
        change(folder, embeddings=np.ones((80, 3), dtype=np.int16))
        with pytest.raises(UnsupportedModelError, match="tensor 'embeddings' is stored as I16"):
            load(folder)

    def test_the_tokenizer_must_not_have_more_tokens_than_the_table_has_rows(self, tmp_path):
        from pellucid import Embedder

        folder = write_static(tmp_path / "m", "model2vec")
        change(folder, embeddings=np.ones((5, 3), dtype=np.float32))
        with pytest.raises(InvalidModelError, match="has vectors only for the ids below 5"):
            Embedder(folder)

    def test_pickled_weights_are_refused(self, tmp_path):
        folder = write_static(tmp_path / "m")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(UnsupportedModelError, match="Pickled weights are refused"):
            load(folder)

    def test_a_folder_without_its_files_is_incomplete(self, tmp_path):
        folder = write_static(tmp_path / "m", subfolder="0_StaticEmbedding")
        assert missing_files(folder) == []
        (folder / "0_StaticEmbedding" / "tokenizer.json").unlink()
        assert missing_files(folder) == ["0_StaticEmbedding/tokenizer.json"]
