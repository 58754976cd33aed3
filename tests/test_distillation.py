"""Static models made of other models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder
from pellucid.distillation import distil, zipf_weights
from pellucid.encoder.encoder import Encoder
from pellucid.errors import InvalidModelError, ModelNotFoundError, OptionError
from pellucid.model.spec import NO_LIMIT
from pellucid.vectors.pca import reduce
from tests import tiny, tiny_families

DIMENSIONS = 6


@pytest.fixture(scope="module")
def made(tiny_bert, tmp_path_factory):
    return distil(tiny_bert, tmp_path_factory.mktemp("distilled") / "model", dimensions=DIMENSIONS)


def test_the_weights_fall_with_the_estimated_frequency():
    # By hand: 1/2, 1/3 and 1/4 of 13/12 are 6/13, 4/13 and 3/13.
    expected = [1e-4 / (1e-4 + p / 13) for p in (6, 4, 3)]
    np.testing.assert_allclose(zipf_weights(3), expected, rtol=1e-6)
    assert zipf_weights(3).dtype == np.float32


def test_it_is_a_static_model_of_the_same_tokens(made, tiny_bert):
    original, static = Embedder(tiny_bert), Embedder(made.folder)
    assert static.spec.encoder.is_static
    assert (static.dimensions, static.max_tokens, static.spec.unit_length) == (DIMENSIONS, NO_LIMIT, True)
    for text in ("the cat sat on the mat", "A DOG, a cat!", "[SEP] the", "☃"):
        ids = original.tokenizer.tokenize([text])[0].ids[1:-1]
        assert static.tokenizer.tokenize([text])[0].ids.tolist() == ids.tolist()


def test_a_row_is_the_models_vector_of_the_token_reduced_and_weighted(made, tiny_bert):
    table = load_file(made.folder / "model.safetensors")["embedding.weight"]
    original = Embedder(tiny_bert)
    backend = original.tokenizer._library._backend
    specials = set(tiny_families.FAMILIES["bert"].specials.values())
    ids = [number for piece, number in backend.get_vocab().items() if piece not in specials]
    ids.sort()
    words = [backend.id_to_token(number) for number in ids]
    vectors = original.embed_documents([word for word in words if not word.startswith("##")], normalize=False)
    places = [place for place, word in enumerate(words) if not word.startswith("##")]
    unweighted = table[ids] / zipf_weights(len(ids))[:, None]
    # PCA keeps differences: those of the reduced vectors are those of the vectors along the components.
    distances = np.linalg.norm(unweighted[places][:, None] - unweighted[places][None], axis=2)
    whole = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    assert (distances <= whole + 1e-4).all()
    assert made.tokens == len(ids)
    assert not table[sorted(set(range(len(table))) - set(ids))].any()


def test_all_dimensions_keep_the_distances_of_tokens(tiny_bert, tmp_path):
    made = distil(tiny_bert, tmp_path / "m", dimensions=tiny.HIDDEN)
    assert made.variance == pytest.approx(1)
    table = load_file(made.folder / "model.safetensors")["embedding.weight"]
    original, static = Embedder(tiny_bert), Embedder(made.folder)
    ids = static.tokenizer.tokenize(["cat dog"])[0].ids
    weights = zipf_weights(made.tokens)[ids - len(tiny_families.FAMILIES["bert"].specials)]
    one, other = table[ids] / weights[:, None]
    vectors = original.embed_documents(["cat", "dog"], normalize=False)
    assert np.linalg.norm(one - other) == pytest.approx(np.linalg.norm(vectors[0] - vectors[1]), rel=1e-4)


def test_the_same_model_gives_the_same_bytes(made, tiny_bert, tmp_path):
    again = distil(Encoder(tiny_bert), tmp_path / "again", dimensions=DIMENSIONS)
    names = sorted(path.name for path in made.folder.iterdir())
    expected = ["README.md", "config_sentence_transformers.json", "model.safetensors", "modules.json", "tokenizer.json"]
    assert names == expected
    for name in names:
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_its_files_say_where_it_comes_from_without_a_path(made, tiny_bert):
    readme = (made.folder / "README.md").read_text()
    assert f"made from {tiny_bert.name}" in readme
    assert str(tiny_bert) not in readme
    assert Encoder(tiny_bert).files.digest() in readme
    kinds = [module["type"] for module in json.loads((made.folder / "modules.json").read_text())]
    assert kinds == [f"sentence_transformers.models.{kind}" for kind in ("StaticEmbedding", "Normalize")]


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "modernbert", "deberta-v2"])
def test_any_family_can_be_distilled(family, tmp_path):
    made = distil(tiny.write_model(tmp_path / "m", family), tmp_path / "static", dimensions=4)
    original, static = Embedder(tmp_path / "m"), Embedder(made.folder)
    ids, _ = original.tokenizer.tokenize(["the cat"])
    assert static.tokenizer.tokenize(["the cat"])[0].ids.tolist() == ids.ids[1:-1].tolist()
    assert np.linalg.norm(static.embed_query("the cat")) == pytest.approx(1, abs=1e-6)


def test_a_static_model_can_be_distilled_too(made, tmp_path):
    smaller = distil(made.folder, tmp_path / "m", dimensions=2)
    assert Embedder(smaller.folder).dimensions == 2


@pytest.mark.parametrize("dimensions", [0, tiny.HIDDEN + 1, 2.5])
def test_there_cannot_be_more_dimensions_than_the_model_has(tiny_bert, tmp_path, dimensions):
    with pytest.raises(OptionError, match="must be a whole number from 1 to 16"):
        distil(tiny_bert, tmp_path / "m", dimensions=dimensions)
    assert not (tmp_path / "m").exists()


def test_a_folder_that_is_there_is_refused_before_a_model_is_loaded(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OptionError, match="exists already. Nothing was written"):
        distil("no/model", tmp_path)
    with pytest.raises(OptionError, match="exists already"):
        distil("no/model", tmp_path / "mine")
    with pytest.raises(ModelNotFoundError):
        distil(Encoder(tmp_path / "nothing"), tmp_path / "new")


def test_an_empty_folder_is_taken(tiny_bert, tmp_path):
    (tmp_path / "empty").mkdir()
    assert distil(tiny_bert, tmp_path / "empty", dimensions=2).folder == tmp_path / "empty"
    assert len(list((tmp_path / "empty").iterdir())) == 5


def test_a_vector_that_is_not_finite_leaves_nothing_behind(broken, tmp_path):
    tensors = load_file(broken / "model.safetensors")
    tensors |= {name: np.full_like(each, 3e38) for name, each in tensors.items() if name.endswith("LayerNorm.weight")}
    save_file(tensors, broken / "model.safetensors")
    with pytest.raises(InvalidModelError, match="not finite"):
        distil(broken, tmp_path / "static", dimensions=2)
    assert not (tmp_path / "static").exists()
    assert not list(tmp_path.glob(".unfinished-*"))


def test_ctrl_c_leaves_nothing_behind(tiny_bert, tmp_path, monkeypatch):
    import pellucid.distillation as module

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Vocabulary, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        distil(tiny_bert, tmp_path / "m", dimensions=2)
    assert list(tmp_path.iterdir()) == []


def test_too_few_tokens_are_refused(tiny_bert, tmp_path, monkeypatch):
    import pellucid.distillation as module

    monkeypatch.setattr(module.Vocabulary, "meaningful", lambda _: np.arange(3, dtype=np.int32))
    with pytest.raises(InvalidModelError, match="has only 3 tokens, too few for 3 dimensions"):
        distil(tiny_bert, tmp_path / "m", dimensions=3)


def test_the_reduction_is_that_of_pca():
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    np.testing.assert_array_equal(reduce(vectors, 2)[0], reduce(vectors, 3)[0][:, :2])
