"""Compares the functions for vectors with those of ``sentence_transformers.util``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SimilarityFunction as TheirFunction
from sentence_transformers import quantize_embeddings as their_quantize
from sentence_transformers import util as theirs

from pellucid.sentence_transformers import SimilarityFunction as OurFunction
from pellucid.sentence_transformers import quantize_embeddings as our_quantize
from pellucid.sentence_transformers import util as ours

RNG = np.random.default_rng(0)
A = RNG.normal(size=(7, 33)).astype(np.float32)
B = RNG.normal(size=(40, 33)).astype(np.float32)
B[3] = 0
B[5] = A[2]
MATRICES = ["cos_sim", "pytorch_cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"]
PAIRWISE = [
    *("pairwise_cos_sim", "pairwise_dot_score", "pairwise_euclidean_sim", "pairwise_manhattan_sim"),
    "pairwise_angle_sim",
]
FORMS = {
    "arrays": np.asarray,
    "tensors": torch.from_numpy,
    "lists of arrays": list,
    "lists of lists": np.ndarray.tolist,
    "lists of tensors": lambda a: list(torch.from_numpy(a)),
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16),
    "bfloat16": lambda a: torch.from_numpy(a).to(torch.bfloat16),
}


def assert_same(ours, theirs, tolerance=5e-6):
    """The same shape, dtype and, nearly, numbers. Ours are arrays where theirs are tensors."""
    theirs = np.asarray(theirs)
    ours = np.asarray(ours)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    scale = max(1, np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MATRICES)
def test_similarities(name, form):
    a, b = FORMS[form](A), FORMS[form](B)
    expected = getattr(theirs, name)(a, b)
    found = getattr(ours, name)(a, b)
    # torch.cdist loses digits of short distances: it subtracts large squares in float32.
    assert_same(found, expected, 5e-4 if name == "euclidean_sim" else 5e-6)
    assert isinstance(found, torch.Tensor) == ("tensor" in form or form == "bfloat16")


@pytest.mark.parametrize("name", MATRICES)
def test_similarities_of_single_vectors(name):
    for a, b in ((A[0], B), (A, B[0]), (A[0], B[0]), (A[:0], B), (A, B[:0])):
        assert_same(getattr(ours, name)(a, b), getattr(theirs, name)(a, b))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise_similarities(name, form):
    a, b = FORMS[form](A), FORMS[form](B[:7])
    assert_same(getattr(ours, name)(a, b), getattr(theirs, name)(a, b))
    if name != "pairwise_angle_sim":
        assert_same(getattr(ours, name)(A[0], B[0]), getattr(theirs, name)(A[0], B[0]))


@pytest.mark.parametrize("member", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_functions_by_name(member):
    for method in ("to_similarity_fn", "to_similarity_pairwise_fn"):
        by_name = [getattr(each, method)(member) for each in (OurFunction, TheirFunction)]
        by_member = [getattr(each, method)(each(member)) for each in (OurFunction, TheirFunction)]
        assert len({function.__name__ for function in [*by_name, *by_member]}) == 1
    assert OurFunction.possible_values() == TheirFunction.possible_values()
    assert [each.name for each in OurFunction] == [each.name for each in TheirFunction]


@pytest.mark.parametrize("form", FORMS)
def test_unit_length_and_fewer_dimensions(form):
    if "lists" in form:
        return  # Theirs takes a tensor only.
    vectors = FORMS[form](B)
    tensor = torch.as_tensor(vectors)
    if form not in ("float16", "bfloat16"):
        assert_same(ours.normalize_embeddings(vectors), theirs.normalize_embeddings(tensor))
        assert_same(ours.normalize_embeddings(vectors[0]), theirs.normalize_embeddings(tensor[0]))
    for width in (5, 99, None):
        assert ours.truncate_embeddings(vectors, width).shape == theirs.truncate_embeddings(vectors, width).shape


def scores_of(found):
    return [[each["score"] for each in row] for row in found]


@pytest.mark.parametrize("name", ["cos_sim", "dot_score", "euclidean_sim"])
@pytest.mark.parametrize("form", ["arrays", "tensors", "lists of lists"])
@pytest.mark.parametrize(
    "options", [{}, {"top_k": 3}, {"top_k": 99}, {"query_chunk_size": 2, "corpus_chunk_size": 7, "top_k": 5}], ids=str
)
def test_semantic_search(name, form, options):
    a, b = FORMS[form](A), FORMS[form](B)
    found = ours.semantic_search(a, b, **options, score_function=getattr(ours, name))
    expected = theirs.semantic_search(a, b, **options, score_function=getattr(theirs, name))
    assert [[each["corpus_id"] for each in row] for row in found] == [
        [each["corpus_id"] for each in row] for row in expected
    ]
    np.testing.assert_allclose(scores_of(found), scores_of(expected), atol=1e-3 if name == "euclidean_sim" else 5e-5)
    assert {type(value) for row in found for each in row for value in each.values()} == {int, float}


def test_search_with_a_function_of_the_callers():
    def scores(a, b):
        assert isinstance(a, torch.Tensor)
        return -(a @ b.T)

    a, b = torch.from_numpy(A), torch.from_numpy(B)
    found = ours.semantic_search(a, b, score_function=scores)
    np.testing.assert_allclose(
        scores_of(found), scores_of(theirs.semantic_search(a, b, score_function=scores)), atol=5e-5
    )


def test_one_query_and_an_older_name():
    found = ours.information_retrieval(A[0], B)
    np.testing.assert_allclose(scores_of(found), scores_of(theirs.information_retrieval(A[0], B)), atol=5e-6)


@pytest.fixture(scope="module")
def crowd():
    """1,500 vectors in groups of different sizes, and some that are equal."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(30, 16))
    vectors = centres[rng.integers(30, size=1500) ** 2 // 30] + 0.25 * rng.normal(size=(1500, 16))
    vectors[100:110] = vectors[0]
    return vectors.astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [{}, {"top_k": 2}, {"max_pairs": 50}, {"top_k": 5, "max_pairs": 700, "query_chunk_size": 99}, {"top_k": 5000}],
    ids=str,
)
def test_paraphrase_mining(crowd, options):
    vectors = torch.from_numpy(crowd[110:])  # Of equal scores, any may come first.
    found = ours.paraphrase_mining_embeddings(vectors, **options)
    expected = theirs.paraphrase_mining_embeddings(vectors, **options)
    np.testing.assert_allclose([row[0] for row in found], [row[0] for row in expected], atol=5e-6)
    assert all(i < j for _, i, j in found)
    if "max_pairs" not in options:  # Of equal scores at the end, any may be left out.
        assert {(i, j) for _, i, j in found} == {(i, j) for _, i, j in expected}
    assert {type(value) for row in found for value in row} == {int, float}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": 0.9},
        {"threshold": 0.6, "min_community_size": 1},
        {"min_community_size": 30, "batch_size": 64},
        {"min_community_size": 5000},
        {"threshold": 0.999999, "min_community_size": 2},
    ],
    ids=str,
)
def test_community_detection(crowd, options):
    found, expected = ours.community_detection(crowd, **options), theirs.community_detection(crowd, **options)
    assert list(map(len, found)) == list(map(len, expected))
    assert [sorted(group) for group in found] == [sorted(group) for group in expected]
    assert [group[0] for group in found] == [group[0] for group in expected]
    assert ours.community_detection([]) == theirs.community_detection([])


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
@pytest.mark.parametrize(
    "options",
    [{}, {"ranges": np.stack([A.min(axis=0), A.max(axis=0)])}, {"calibration_embeddings": A}],
    ids=["own ranges", "ranges", "calibration"],
)
def test_quantization(precision, options):
    for vectors in (B, torch.from_numpy(B), list(B), [A, B], [torch.from_numpy(A), torch.from_numpy(B)], [], B[:0]):
        found, expected = our_quantize(vectors, precision, **options), their_quantize(vectors, precision, **options)
        assert type(found) is type(expected)
        for one, other in zip(found, expected, strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            assert np.abs(one.astype(float) - other).max(initial=0) <= ("int8" in precision)


@pytest.mark.parametrize("arguments", [(B, "int4"), (B[:1], "int8"), (B.astype(np.int8), "int8")], ids=range(3))
def test_the_same_quantizations_are_errors(arguments):
    for quantize in (our_quantize, their_quantize):
        with pytest.raises(Exception, match=r"\w"):
            quantize(*arguments)
