"""Popular rerankers and classifiers, with the settings of their files; see tests/scoring_layouts.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pellucid import Classifier, Reranker
from pellucid.errors import UnsupportedModelError
from pellucid.model.load import load_spec
from pellucid.sources import local
from tests import tiny
from tests.scoring_layouts import LAYOUTS, write

PAIRS = [("the cat", "a dog sat"), ("the cat " * 9, "the mat " * 20)]


@pytest.fixture(params=LAYOUTS)
def layout(request):
    """Each layout in turn."""
    return LAYOUTS[request.param]


def test_the_spec_of_the_full_size_files(layout, tmp_path):
    folder = write(tmp_path / "m", layout)
    tiny.write_json(folder / "config.json", layout.full_config)
    tiny.write_json(folder / "tokenizer_config.json", layout.tokenizer)
    spec = load_spec(local.find(str(folder)))
    assert spec.head is not None
    assert (spec.encoder.family, spec.tokenizer.max_tokens) == (layout.family, layout.max_tokens)
    assert (spec.head.labels, spec.head.activation) == (layout.labels, layout.activation)
    assert spec.head.pooling.modes == (layout.pooling,)


def test_both_engines_give_the_same_scores_at_a_small_size(layout, tmp_path):
    folder = write(tmp_path / "m", layout)
    task = Reranker if len(layout.labels) == 1 else Classifier
    native, reference = (task(folder, engine=name, on_truncation="cut") for name in ("native", "reference"))
    assert native.activation == layout.activation
    np.testing.assert_allclose(native._logits(PAIRS, ""), reference._logits(PAIRS, ""), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"position_embedding_type": "alibi", "auto_map": {"AutoModel": "jinaai/jina-bert-implementation"}}, "alibi"),
    ],
)
def test_jinas_first_rerankers_need_code_of_their_own_and_are_refused(tmp_path, settings, message):
    folder = tiny.write_scoring_model(tmp_path / "m", **settings)
    tiny.edit_json(folder / "config.json", architectures=["JinaBertForSequenceClassification"])
    with pytest.raises(UnsupportedModelError, match=message):
        Reranker(folder)


def test_the_table_on_the_page_has_a_row_for_each():
    page = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")
    table = page.partition("## Rerankers and classifiers")[2].partition("\n## ")[0]
    rows = re.findall(
        r"^\| (\S+/\S+) \| (\S+) \| (\S+) \| (.+?) \| (\S+) \| (\d+) \| random weights", table, re.MULTILINE
    )
    assert rows == [
        (
            name,
            each.family,
            each.pooling,
            ", ".join(each.labels) if len(each.labels) > 1 else "one",
            each.activation,
            str(each.max_tokens),
        )
        for name, each in LAYOUTS.items()
        if " " not in name
    ]
