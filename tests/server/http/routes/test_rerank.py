from __future__ import annotations

import pytest

from pellucid import MultiVectorEmbedder, Reranker
from pellucid.server.settings import Limits
from tests.causal_rerankers import write_reranker

QUERY, DOCUMENTS = "the cat", ["a dog", "the cat sat", "", "the cat sat on the mat"]
LONG = "the cat sat on the mat " * 20


@pytest.fixture(scope="module")
def reranker(reranker_model):
    """Gives scores between 0 and 1, which those of the model itself are not."""
    return Reranker(reranker_model, activation="sigmoid", on_truncation="cut")


@pytest.fixture(scope="module")
def logits(reranker_model):
    return Reranker(reranker_model, activation="identity", on_truncation="cut")


def post(server, path, **body):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ranks(answer):
    return [(each["index"], each["relevance_score"]) for each in answer["results"]]


def expected(reranker, documents=DOCUMENTS, query=QUERY):
    return [(ranked.index, ranked.score) for ranked in reranker.rank(query, documents)]


def test_tei_ranks_texts(scoring_server, reranker, logits):
    found = post(scoring_server, "/rerank", query=QUERY, texts=DOCUMENTS)
    assert [(each["index"], each["score"]) for each in found] == expected(reranker)
    assert all(set(each) == {"index", "score"} for each in found)
    raw = post(scoring_server, "/rerank", query=QUERY, texts=DOCUMENTS, raw_scores=True, return_text=True)
    assert [(each["index"], each["score"]) for each in raw] == expected(logits)
    assert [each["text"] for each in raw] == [DOCUMENTS[each["index"]] for each in raw]


@pytest.mark.parametrize(
    ("path", "version", "has_documents"),
    [("/v1/rerank", "1", False), ("/v2/rerank", "2", False), ("/rerank", "1", True)],
)
def test_documents_are_ranked_in_the_shape_that_cohere_jina_and_vllm_share(
    scoring_server, reranker, path, version, has_documents
):
    found = post(scoring_server, path, query=QUERY, documents=DOCUMENTS, model="reranker")
    assert ranks(found) == expected(reranker)
    assert found["model"] == "reranker"
    assert found["id"]
    tokens = int(reranker.tokenize([(QUERY, document) for document in DOCUMENTS])[0].lengths.sum())
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert found["meta"] == {"api_version": {"version": version}, "tokens": {"input_tokens": tokens}}
    texts = [each.get("document") for each in found["results"]]
    assert texts == [{"text": DOCUMENTS[each["index"]]} if has_documents else None for each in found["results"]]


@pytest.mark.parametrize(("top_n", "count"), [(None, 4), (0, 4), (1, 1), (3, 3), (99, 4)])
def test_top_n_returns_the_best(scoring_server, reranker, top_n, count):
    found = post(scoring_server, "/v2/rerank", query=QUERY, documents=DOCUMENTS, top_n=top_n)
    assert ranks(found) == expected(reranker)[:count]


def test_documents_may_be_objects(scoring_server, reranker):
    objects = [{"text": "a dog", "title": "the mat"}, {"text": "the cat sat", "title": "a bird"}]
    found = post(scoring_server, "/v1/rerank", query=QUERY, documents=objects, return_documents=True)
    assert ranks(found) == expected(reranker, ["a dog", "the cat sat"])
    assert [each["document"] for each in found["results"]] == [objects[each["index"]] for each in found["results"]]
    by_title = post(scoring_server, "/v1/rerank", query=QUERY, documents=objects, rank_fields=["title"])
    assert ranks(by_title) == expected(reranker, ["the mat", "a bird"])
    by_both = post(scoring_server, "/v1/rerank", query=QUERY, documents=objects, rank_fields=["title", "text"])
    texts = ["title: the mat\ntext: a dog", "title: a bird\ntext: the cat sat"]
    assert ranks(by_both) == expected(reranker, texts)


def test_a_document_is_read_up_to_max_tokens_per_doc(scoring_server, reranker):
    found = post(
        scoring_server, "/v2/rerank", query=QUERY, documents=["the cat sat", "a dog sat"], max_tokens_per_doc=1
    )
    assert ranks(found) == expected(reranker, ["the", "a"])


def test_long_pairs_are_cut_unless_the_request_says_otherwise(scoring_server, reranker):
    answer = scoring_server.client.post("/v1/rerank", json={"query": QUERY, "documents": ["a dog", LONG]})
    assert ranks(answer.json()) == expected(reranker, ["a dog", LONG])
    assert answer.headers["x-pellucid-truncated"].startswith("texts=1, tokens=")
    for path, key in (("/rerank", "texts"), ("/v1/rerank", "documents")):
        refused = scoring_server.client.post(path, json={"query": QUERY, key: ["a dog", LONG], "truncate": False})
        assert refused.status_code == 400
        assert "longer than the model's 24 tokens (the first is pair 1)" in refused.text
        assert LONG not in refused.text


def test_pairs_are_cut_to_truncate_prompt_tokens(scoring_server, reranker_model):
    found = post(scoring_server, "/rerank", query=QUERY, documents=["the cat sat on"], truncate_prompt_tokens=7)
    short = Reranker(reranker_model, activation="sigmoid", max_tokens=7, on_truncation="cut")
    assert ranks(found) == expected(short, ["the cat sat on"])
    assert found["usage"]["total_tokens"] == 7
    whole = post(scoring_server, "/rerank", query=QUERY, documents=["the cat sat on"], truncate_prompt_tokens=-1)
    assert whole["usage"]["total_tokens"] == 9


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    ("firsts", "seconds", "pairs"),
    [
        ("the cat", "a dog", [("the cat", "a dog")]),
        ("the cat", ["a dog", "a mat"], [("the cat", "a dog"), ("the cat", "a mat")]),
        (["the cat"], ["a dog", "a mat"], [("the cat", "a dog"), ("the cat", "a mat")]),
        (["the cat", "a bird"], ["a dog", "a mat"], [("the cat", "a dog"), ("a bird", "a mat")]),
    ],
)
def test_vllm_scores_pairs(scoring_server, reranker, path, firsts, seconds, pairs):
    found = post(scoring_server, path, text_1=firsts, text_2=seconds)
    scores = reranker.score_pairs(pairs).tolist()
    assert found["data"] == [{"index": n, "object": "score", "score": value} for n, value in enumerate(scores)]
    assert (found["object"], found["model"]) == ("list", "reranker")
    assert post(scoring_server, path, queries=firsts, documents=seconds)["data"] == found["data"]


def test_scores_are_the_models_own_numbers_on_request(scoring_server, logits):
    found = post(scoring_server, "/score", text_1=QUERY, text_2=DOCUMENTS, raw_scores=True)
    assert [each["score"] for each in found["data"]] == logits.score(QUERY, DOCUMENTS).tolist()
    assert ranks(post(scoring_server, "/v1/rerank", query=QUERY, documents=DOCUMENTS, raw_scores=True)) == expected(
        logits
    )


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/rerank", {"query": "a"}, "texts: This key is missing."),
        ("/rerank", {"documents": ["b"]}, "query: This key is missing."),
        ("/rerank", {"query": "", "texts": ["b"]}, "query: Must not be empty."),
        ("/rerank", {"query": "a", "texts": []}, "texts: Must have a length of at least 1, not 0."),
        ("/rerank", {"query": "a", "texts": ["b", 3]}, "texts.1: Must be a text."),
        ("/rerank", {"query": "a", "texts": ["b"], "truncation_direction": "Left"}, "must be 'Right'"),
        ("/rerank", {"query": "a", "texts": ["b"], "documents": ["b"]}, "Unknown key 'documents'"),
        ("/v1/rerank", {"query": "a", "documents": []}, "documents: Must have a length of at least 1, not 0."),
        ("/v1/rerank", {"query": "a", "documents": ["b", 3]}, "documents.1: Must be a list of documents: texts, or"),
        ("/v1/rerank", {"query": "a", "documents": ["b", {}]}, "Document 1 has no key 'text'. Add it, or name other"),
        (
            "/v1/rerank",
            {"query": "a", "documents": [{"text": "b"}], "rank_fields": ["x"]},
            "Document 0 has no key 'x'.",
        ),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": -1}, "top_n: Must be at least 0."),
        ("/v2/rerank", {"query": "a", "documents": ["b"], "max_tokens_per_doc": 0}, "max_tokens_per_doc: Must be at"),
        ("/v2/rerank", {"query": "a", "texts": ["b"]}, "Unknown key 'texts'. Leave it out."),
        (
            "/score",
            {"text_1": ["a", "b"], "text_2": ["c"]},
            "There are 2 texts in text_1 and 1 in text_2. Send as",
        ),
        ("/score", {"text_1": ["a"], "text_2": ["b", ""], "model": "x"}, "This server has no model 'x'."),
        ("/score", {"text_1": ["a", ""], "text_2": ["b", ""]}, "Both texts of pair 1 are empty. Leave it out."),
        (
            "/score",
            {"text_1": "a", "text_2": "b", "truncate_prompt_tokens": 4},
            "Send truncate_prompt_tokens of at least",
        ),
        (
            "/v1/rerank",
            {"query": "a", "documents": ["b"], "truncate_prompt_tokens": 6, "truncate": False},
            'Send "truncate": false or truncate_prompt_tokens, not both',
        ),
        (
            "/v1/rerank",
            {"query": "a", "documents": [{"text": "b"}], "rank_fields": ["text", "text"]},
            "Name each key of rank_fields once.",
        ),
        ("/score", {"queries": "a"}, "documents: This key is missing."),
    ],
)
def test_errors_say_what_to_do(scoring_server, path, body, words):
    answer = scoring_server.client.post(path, json=body)
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    message = error if path == "/rerank" else error["message"]
    assert message.startswith(words) or words in message
    assert path not in ("/v1/rerank", "/v2/rerank") or answer.json()["message"] == message


def test_the_servers_limits_hold_for_documents(serve, reranker_model):
    own = serve(reranker_model, limits=Limits(texts=2, characters=10))
    cases = {
        "3 texts are too many for one request. The limit is 2.": ("a", ["b"] * 3),
        "Document 1 has 11 characters, but this server reads at most 10. Split it.": ("a", ["b", "c" * 11]),
        "The query has 11 characters, but this server reads at most 10. Split it.": ("a" * 11, ["b"]),
    }
    for message, (query, documents) in cases.items():
        answer = own.client.post("/v1/rerank", json={"query": query, "documents": documents})
        assert (answer.status_code, answer.json()["message"]) == (400, message)


def test_a_request_may_have_many_documents_that_are_objects_and_long(serve, reranker_model, reranker):
    own = serve(reranker_model, limits=Limits(texts=600))
    texts = [f"the cat sat {'on the mat ' * (number % 90)}" for number in range(600)]
    objects = [{"text": text, "title": "the dog", "author": "a bird"} for text in texts]
    found = post(own, "/v1/rerank", query=QUERY, documents=objects, return_documents=True)
    assert ranks(found) == expected(reranker, texts)
    assert found["results"][0]["document"] == objects[found["results"][0]["index"]]
    assert own.serving.budget.in_use < 10_000


@pytest.fixture(scope="module")
def late(multi_vector_model):
    return MultiVectorEmbedder(multi_vector_model, on_truncation="cut")


def test_a_multi_vector_model_ranks_by_maxsim(vectors_server, late):
    documents = [*DOCUMENTS, ", . !", LONG]
    expected = [(ranked.index, ranked.score) for ranked in late.rank(QUERY, documents)]
    tei = post(vectors_server, "/rerank", query=QUERY, texts=documents)
    assert [(each["index"], each["score"]) for each in tei] == expected
    assert ranks(post(vectors_server, "/v1/rerank", query=QUERY, documents=documents, model="colbert")) == expected
    assert ranks(post(vectors_server, "/v2/rerank", query=QUERY, documents=documents, top_n=2)) == expected[:2]
    assert max(score for _, score in expected) > 1
    raw = post(vectors_server, "/v1/rerank", query=QUERY, documents=documents, raw_scores=True)
    assert ranks(raw) == expected


def test_a_multi_vector_model_scores_pairs_and_embeds_each_query_once(vectors_server, late):
    queries, documents = ["the cat", "a dog", "the cat"], ["a", "the mat sat", "a bird"]
    found = post(vectors_server, "/score", text_1=queries, text_2=documents)
    scores = [each["score"] for each in found["data"]]
    assert scores == [late.maxsim(query, [document])[0] for query, document in zip(queries, documents, strict=True)]
    tokens = 2 * 12 + int(late.tokenizer.tokenize(documents, late.document_prompt)[0].lengths.sum())
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    one = post(vectors_server, "/score", queries="the cat", documents=documents)
    assert [each["score"] for each in one["data"]] == late.maxsim("the cat", documents).tolist()


def test_a_multi_vector_model_cuts_long_texts_unless_it_is_told_not_to(vectors_server):
    cut = vectors_server.client.post("/rerank", json={"query": LONG, "texts": ["a", LONG]})
    assert cut.headers["x-pellucid-truncated"].startswith("texts=2")
    for body, words in (
        ({"query": LONG, "texts": ["a"]}, "the model's 12 tokens (the first is query text 0)"),
        ({"query": "a", "texts": ["a", LONG]}, "the model's 28 tokens (the first is document 1)"),
    ):
        refused = vectors_server.client.post("/rerank", json=body | {"truncate": False})
        assert refused.status_code == 400
        assert words in refused.json()["error"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_tokens_per_doc": 27}, "Leave out max_tokens_per_doc: this model reads up to 28 tokens of a document."),
        ({"max_tokens_per_doc": 28}, None),
        ({"truncate_prompt_tokens": 20}, "Leave out truncate_prompt_tokens: this model reads a query and a document"),
        ({"truncate_prompt_tokens": -1}, None),
    ],
)
def test_limits_that_a_multi_vector_model_cannot_heed_are_refused(vectors_server, limit, message):
    answer = vectors_server.client.post("/v1/rerank", json={"query": "a", "documents": ["b"], **limit})
    assert answer.status_code == (200 if message is None else 400)
    assert message is None or answer.json()["message"].startswith(message)


@pytest.mark.parametrize("layout", ["answers", "without template", "head and padding"])
def test_decoders_rank_too(serve, tmp_path, layout):
    folder = write_reranker(tmp_path / "m", layout)
    server, reranker = serve(str(folder)), Reranker(folder, on_truncation="cut")
    found = post(server, "/rerank", query=QUERY, texts=DOCUMENTS)
    assert [(each["index"], each["score"]) for each in found] == expected(reranker)
    found = post(server, "/v2/rerank", query=LONG, documents=[*DOCUMENTS, LONG])
    assert ranks(found) == expected(reranker, [*DOCUMENTS, LONG], LONG)
    short = post(server, "/v2/rerank", query=QUERY, documents=["a dog sat on the mat"], max_tokens_per_doc=2)
    text = reranker.tokenizer.start_of("a dog sat on the mat", 2)
    assert ranks(short) == expected(reranker, [text])
    many = [f"the cat {number}" for number in range(600)]
    assert ranks(post(server, "/v2/rerank", query=QUERY, documents=many)) == expected(reranker, many)


def test_a_limit_must_leave_room_for_a_chat_template(serve, tmp_path):
    folder = write_reranker(tmp_path / "m", "answers")
    server, least = serve(str(folder)), Reranker(folder).least_tokens
    body = {"query": QUERY, "documents": DOCUMENTS}
    found = post(server, "/v2/rerank", **body, truncate_prompt_tokens=least)
    assert found["usage"]["prompt_tokens"] <= least * len(DOCUMENTS)
    answer = server.client.post("/v2/rerank", json=body | {"truncate_prompt_tokens": least - 1})
    assert answer.status_code == 400
    assert f"at least {least}" in answer.text
