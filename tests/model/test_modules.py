"""The stages after the transformer: the list in modules.json, pooling, and the modules after pooling."""

from __future__ import annotations

import json

import pytest

from pellucid import Embedder
from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.layers.pooling import Pooling
from pellucid.model.load import load_spec
from pellucid.model.modules import load_modules
from pellucid.sources import local
from pellucid.sources.resolve import resolve
from tests import tiny, tiny_families


def spec_of(folder):
    return load_spec(local.find(str(folder)))


class TestPooling:
    def pooling(self, folder, **values):
        tiny.write_json(folder / "1_Pooling" / "config.json", values)
        return spec_of(folder)

    def test_the_results_of_several_flags_are_concatenated_in_sentence_transformers_order(self, broken):
        (broken / "modules.json").write_text(json.dumps(json.loads((broken / "modules.json").read_text())[:2]))
        spec = self.pooling(broken, pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)
        assert (spec.pooling.modes, spec.dimensions) == (("cls", "mean"), 2 * tiny.HIDDEN)

    @pytest.mark.parametrize(("named", "modes"), [("cls", ("cls",)), (["max", "lasttoken"], ("max", "lasttoken"))])
    def test_newer_models_give_the_mode_by_name(self, broken, named, modes):
        assert self.pooling(broken, pooling_mode=named).pooling.modes == modes

    def test_the_default_mode_is_the_mean(self, broken):
        assert self.pooling(broken, include_prompt=False).pooling == Pooling(("mean",), include_prompt=False)

    def test_an_unknown_mode_is_refused(self, broken):
        with pytest.raises(UnsupportedModelError, match="pooling 'attention' is not supported"):
            self.pooling(broken, pooling_mode="attention")

    @pytest.mark.parametrize("named", [{}, [[]], [None], 3])
    def test_a_mode_that_is_not_a_name_is_refused(self, broken, named):
        with pytest.raises(UnsupportedModelError, match="is not supported. Supported: cls"):
            self.pooling(broken, pooling_mode=named)

    def test_an_empty_list_of_modes_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="'pooling_mode' is an empty list"):
            self.pooling(broken, pooling_mode=[])

    def test_a_size_other_than_the_encoders_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="expects token vectors of length 8, but the encoder gives 16"):
            self.pooling(broken, word_embedding_dimension=8)

    def test_its_config_must_be_there(self, broken):
        (broken / "1_Pooling" / "config.json").unlink()
        with pytest.raises(InvalidModelError, match="no 1_Pooling/config.json"):
            spec_of(broken)


class TestModules:
    def test_a_plain_transformer_is_pooled_by_its_mean_and_not_normalized(self, broken):
        (broken / "modules.json").unlink()
        spec = spec_of(broken)
        assert (spec.pooling.modes, spec.modules) == (("mean",), ())

    def test_a_plain_transformer_ignores_the_configs_of_sentence_transformers(self, tmp_path):
        folder = tiny.write_model(tmp_path / "m", prompts={"query": "q: "}, default_prompt_name="query")
        (folder / "modules.json").unlink()
        spec = spec_of(folder)
        assert (spec.tokenizer.max_tokens, spec.prompts, spec.default_prompt_name) == (
            tiny_families.POSITIONS,
            {},
            None,
        )

    @pytest.mark.parametrize(("is_causal", "mode"), [(None, "lasttoken"), (True, "lasttoken"), (False, "mean")])
    def test_a_plain_causal_language_model_is_pooled_by_its_last_token(self, broken, is_causal, mode):
        (broken / "modules.json").unlink()
        tiny.edit_json(broken / "config.json", architectures=["RobertaForCausalLM"], is_causal=is_causal)
        assert spec_of(broken).pooling.modes == (mode,)

    def test_a_list_that_cannot_be_read_is_an_error(self, broken):
        (broken / "modules.json").unlink()
        (broken / "modules.json").symlink_to("gone.json")
        with pytest.raises(InvalidModelError, match=r"modules\.json cannot be read: it is a link to gone\.json"):
            spec_of(broken)

    def test_a_pooling_without_a_folder_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="Pooling has no path"):
            spec_of(self.replace_entry(broken, 1, path=""))

    def test_the_modules_have_their_weights_and_set_the_dimensions(self, tmp_path):
        kinds = ["Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"]
        folder = tiny.write_model(tmp_path / "m", modules=kinds, dense=(5, "linear.Identity"))
        spec = spec_of(folder)
        dense, norm, last = load_modules(resolve(folder), spec.stages)
        assert isinstance(dense, Dense)
        assert (dense.weight.shape, dense.bias.shape, dense.activation) == ((5, tiny.HIDDEN), (5,), "identity")
        assert isinstance(norm, LayerNorm)
        assert (norm.weight.shape, norm.eps) == ((5,), 1e-5)
        assert isinstance(last, Normalize)
        assert spec.dimensions == 5

    def test_the_encoder_may_have_its_own_folder(self, broken):
        inner = broken / "0_Transformer"
        inner.mkdir()
        for name in ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors"):
            (broken / name).rename(inner / name)
        modules = json.loads((broken / "modules.json").read_text())
        modules[0]["path"] = "0_Transformer"
        tiny.write_json(broken / "modules.json", modules)
        spec = spec_of(broken)
        assert (spec.encoder_folder, spec.tokenizer.folder) == ("0_Transformer", "0_Transformer")
        assert spec.tokenizer.max_tokens == tiny.MAX_TOKENS

    def replace_entry(self, folder, number, **values):
        modules = json.loads((folder / "modules.json").read_text())
        modules[number] |= values
        tiny.write_json(folder / "modules.json", modules)
        return folder

    @pytest.mark.parametrize(
        "name",
        [
            "sentence_transformers.models.Pooling",
            "sentence_transformers.models.Pooling.Pooling",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        ],
    )
    def test_every_class_name_that_sentence_transformers_has_used_is_supported(self, broken, name):
        assert spec_of(self.replace_entry(broken, 1, type=name)).pooling.modes == ("mean",)

    @pytest.mark.parametrize(
        "name",
        [
            "custom_pooling.Pooling",
            "sentence_transformers.models.WordWeights",
            "os.system",
            "",
            "sentence_transformers_x.Pooling",
        ],
    )
    def test_a_class_from_another_package_is_refused(self, broken, name):
        with pytest.raises(UnsupportedModelError, match="is not supported, and Pellucid never runs code from a model"):
            spec_of(self.replace_entry(broken, 1, type=name))

    @pytest.mark.parametrize("path", ["../elsewhere", "/etc", "1_Pooling/../../x", "C:\\x", "..\\x"])
    def test_a_path_that_leaves_the_folder_is_refused(self, broken, path):
        with pytest.raises(InvalidModelError, match="outside the model's folder"):
            spec_of(self.replace_entry(broken, 1, path=path))

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_name_that_no_file_can_have_is_refused(self, broken, number):
        with pytest.raises(InvalidModelError, match="too long"):
            spec_of(self.replace_entry(broken, number, path="a" * 300))

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            ("{}", "must hold a list"),
            ("[]", "must hold a list"),
            ("[1]", "expected a JSON object, but found a value of type int"),
            ('[{"path": ""}]', "has no 'type'"),
            ("[", "cannot be read as JSON"),
        ],
    )
    def test_a_broken_list_is_refused(self, broken, content, error):
        (broken / "modules.json").write_text(content)
        with pytest.raises(InvalidModelError, match=error):
            spec_of(broken)

    def reorder(self, folder, order):
        modules = json.loads((folder / "modules.json").read_text())
        tiny.write_json(folder / "modules.json", [modules[number] for number in order])
        return folder

    @pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1]])
    def test_the_only_transformer_must_come_first(self, broken, order):
        with pytest.raises(UnsupportedModelError, match="exactly one Transformer or StaticEmbedding, in first place"):
            spec_of(self.reorder(broken, order))

    @pytest.mark.parametrize("order", [[0], [0, 2, 1], [0, 1, 1]])
    def test_each_task_checks_the_order_of_the_other_modules(self, broken, order):
        spec = spec_of(self.reorder(broken, order))
        assert len(spec.stages) == len(order) - 1
        with pytest.raises(UnsupportedModelError, match="an embedding model must be Transformer → Pooling → …"):
            Embedder(broken)


class TestDense:
    def dense(self, tmp_path, **values):
        folder = tiny.write_model(tmp_path / "m", modules=["Pooling", "Dense"])
        tiny.edit_json(folder / "2_Dense" / "config.json", **values)
        files = resolve(folder)
        return load_modules(files, load_spec(files).stages)

    def test_an_activation_from_outside_torch_is_refused(self, tmp_path):
        with pytest.raises(UnsupportedModelError, match="activation_function 'my.Code' is not supported"):
            self.dense(tmp_path, activation_function="my.Code")

    def test_an_input_size_other_than_the_previous_stages_output_is_refused(self, tmp_path):
        with pytest.raises(
            InvalidModelError, match="in_features is 99, but the module before it gives vectors of length 16"
        ):
            self.dense(tmp_path, in_features=99)

    def test_another_input_than_the_pooled_vector_is_refused(self, tmp_path):
        with pytest.raises(UnsupportedModelError, match="module_input_name 'token_embeddings'"):
            self.dense(tmp_path, module_input_name="token_embeddings")

    def test_a_residual_of_another_size_needs_weights(self, tmp_path):
        with pytest.raises(InvalidModelError, match=r"no tensor 'residual.weight'"):
            self.dense(tmp_path, use_residual=True)

    def test_it_may_have_no_bias(self, tmp_path):
        assert self.dense(tmp_path, bias=False)[0].bias is None


def test_a_list_of_too_many_modules_is_refused(broken):
    entries = json.loads((broken / "modules.json").read_bytes())
    tiny.write_json(broken / "modules.json", entries + [entries[-1]] * 98)
    with pytest.raises(InvalidModelError, match=r"modules\.json lists 101 modules, and the limit is 100"):
        spec_of(broken)
