from __future__ import annotations

import numpy as np
import pytest

from pellucid import Classifier
from pellucid.errors import TextTypeError
from tests import tiny

TEXTS = ["the cat", "a dog sat on the mat", "", "cat " * 60]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Classifier:
    folder = tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", labels=3)
    return Classifier(folder, on_truncation="cut")


def test_labels_have_the_names_of_the_config(classifier):
    assert classifier.labels == ("label 0", "label 1", "label 2")
    assert "3 labels" in repr(classifier)


@pytest.mark.parametrize("texts", [TEXTS, tiny.PAIRS])
def test_probabilities_add_up_to_one_and_the_largest_names_the_label(classifier, texts):
    probabilities = classifier.probabilities(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    exponentials = np.exp(classifier.logits(texts).astype(np.float64))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-5)
    assert classifier.classify(texts) == [classifier.labels[number] for number in probabilities.argmax(axis=1)]


def test_several_labels_may_be_right(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m", labels=3, problem_type="multi_label_classification")
    task = Classifier(folder, on_truncation="cut")
    np.testing.assert_allclose(task.probabilities(TEXTS), 1 / (1 + np.exp(-task.logits(TEXTS))), rtol=1e-6)


def test_a_text_is_not_a_pair_with_nothing(classifier):
    assert not np.allclose(classifier.logits(["the cat"]), classifier.logits([("the cat", "")]), atol=1e-3)


def test_a_config_without_names_has_numbered_labels(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m", labels=2)
    tiny.edit_json(folder / "config.json", id2label=None, label2id=None)
    assert Classifier(folder).labels == ("LABEL_0", "LABEL_1")


def test_nothing_has_no_labels(classifier):
    assert classifier.classify([]) == []
    assert classifier.probabilities([]).shape == (0, 3)


def test_texts_and_pairs_do_not_mix(classifier):
    with pytest.raises(TextTypeError, match="text 1 is of type tuple"):
        classifier.classify(["a", ("a", "b")])
    with pytest.raises(TextTypeError, match="pair 1 is not a pair"):
        classifier.classify([("a", "b"), "a"])
