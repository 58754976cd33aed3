from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import InputError, OptionError, TextTypeError
from pellucid.vectors import blocks, similarity
from pellucid.vectors import clusters as clusters_module
from pellucid.vectors.clusters import cluster
from tests.explain.test_text_map import TOPICS

VECTORS = st.tuples(st.integers(0, 25), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-3, 3).map(float))
)
OPTIONS = st.one_of(
    st.just({}),
    st.integers(1, 30).map(lambda k: {"k": k}),
    st.floats(0.05, 1).map(lambda threshold: {"threshold": threshold}),
)


@given(VECTORS, OPTIONS)
def test_every_vector_is_in_one_cluster(vectors, options):
    found = cluster(vectors, **options)
    assert len(found.labels) == len(vectors)
    for number in range(len(found)):
        assert found[number].members.tolist() == np.flatnonzero(found.labels == number).tolist()
        assert found[number].representative in found[number].members
    sizes = [len(group) for group in found]
    assert sum(sizes) == len(vectors)
    assert sizes == sorted(sizes, reverse=True)
    assert len(found) <= options.get("k", len(vectors))
    assert cluster(vectors, **options).labels.tolist() == found.labels.tolist()


@given(VECTORS, st.floats(0.05, 1))
def test_a_threshold_holds_between_members_and_their_representative(vectors, threshold):
    found = cluster(vectors, threshold=threshold)
    cosines = similarity.similarity(vectors, vectors)
    representatives = np.array([group.representative for group in found], dtype=np.int64)
    for group in found:
        others = group.members[group.members != group.representative]
        assert (cosines[others, group.representative] >= threshold - 2e-6).all()
        nearest = cosines[np.ix_(others, representatives)].max(axis=1, initial=-1)
        assert (cosines[others, group.representative] >= nearest - 2e-6).all()
    between = cosines[np.ix_(representatives, representatives)]
    assert (between[~np.eye(len(between), dtype=bool)] < threshold + 1e-6).all()


def test_blocks_change_nothing(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(300, 3))
    whole = cluster(vectors, threshold=0.9)
    monkeypatch.setattr(blocks, "COSINE_ROWS", 7)
    monkeypatch.setattr(blocks, "MAX_NUMBERS", 7 * 11)
    monkeypatch.setattr(clusters_module, "_CENTRES_PER_BLOCK", 2)
    assert cluster(vectors, threshold=0.9).labels.tolist() == whole.labels.tolist()
    assert 1 < len(whole) < 300


@pytest.mark.parametrize("options", [{"k": 5}, {}])
def test_topics_are_found_and_named(minilm, options):
    found = cluster(minilm.embed_documents(TOPICS), **options, texts=TOPICS)
    assert [group.members.tolist() for group in found] == [list(range(start, start + 4)) for start in range(0, 20, 4)]
    assert all(any(word in TOPICS[index].lower() for index in group.members) for group in found for word in group.words)


def test_the_representative_is_nearest_to_the_mean():
    middle, left, right, far = [1.0, 0.0], [1.0, 0.3], [1.0, -0.3], [-1.0, 0.0]
    found = cluster([left, middle, right, far], k=2)
    assert [group.representative for group in found] == [1, 3]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 2, "threshold": 0.5}, OptionError, "not both"),
        ({"k": 0}, OptionError, "k=0 must be a whole number"),
        ({"threshold": 2}, OptionError, "it is a cosine"),
        ({"texts": ["one"]}, InputError, "there is 1 text for 2 vectors. Give one text for each vector."),
        ({"texts": ["one", None]}, TextTypeError, "text 1 is of type NoneType; every text must be a str."),
    ],
)
def test_a_wrong_option_is_named(options, error, message):
    with pytest.raises(error, match=message):
        cluster(np.eye(2), **options)


def test_reprs_are_short():
    found = cluster(np.eye(2), k=1, texts=["a red apple", "a red pear"])
    assert repr(found) == "Clusters(1 cluster of 2 vectors)"
    assert repr(found[0]) == "Cluster(2 members, representative 0, 'red, apple, pear')"
