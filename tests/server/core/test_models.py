from __future__ import annotations

import shutil

import pytest

from pellucid import Embedder, MultiVectorEmbedder, SparseEmbedder
from pellucid.errors import ModelError, NoRoomForModelError, OptionError, UnsupportedModelError
from pellucid.server.core.models import encoders_of, served_name
from pellucid.server.http.app import create_app
from pellucid.server.settings import Settings
from tests import bge_m3, tiny


@pytest.fixture
def two(tmp_path, model):
    shutil.copytree(model, tmp_path / "first")
    return str(tmp_path / "first"), str(tiny.write_model(tmp_path / "second", seed=1))


def ask(own, model=None):
    body = {"input": "the cat", **({"model": model} if model else {})}
    answer = own.client.post("/v1/embeddings", json=body)
    return answer.json()["data"][0]["embedding"] if answer.status_code == 200 else answer.status_code


def loaded(own):
    return [state.name for state in own.serving.models.states() if state.service is not None]


def test_each_of_several_models_answers_under_its_name(serve, two):
    own = serve(*two)
    assert ask(own) == ask(own, "first") != ask(own, "second")
    assert ask(own, "third") == 404
    assert [card["id"] for card in own.client.get("/v1/models").json()["data"]] == ["first", "second"]


def test_an_alias_is_answered_by_the_model_that_it_stands_for(serve, two):
    own = serve(*two, aliases=(("text-embedding-3-small", "second"), ("by-source", two[0])))
    assert ask(own, "text-embedding-3-small") == ask(own, "second") != ask(own)
    assert ask(own, "by-source") == ask(own, "first")
    assert own.client.post("/v1/embeddings", json={"input": "a", "model": "by-source"}).json()["model"] == "by-source"
    tei = own.client.post("/embed", json={"inputs": "the cat", "model": "text-embedding-3-small"}).json()
    assert tei == [ask(own, "second")]
    cards = own.client.get("/v1/models").json()["data"]
    assert [(card["id"], card.get("root")) for card in cards] == [
        ("first", None),
        ("second", None),
        ("text-embedding-3-small", "second"),
        ("by-source", "first"),
    ]
    assert own.client.get("/v1/models/by-source").json() == cards[3]
    assert own.client.get("/v1/models/first").json() == cards[0]


def test_a_model_may_be_served_under_a_name_of_its_own(serve, two):
    own = serve(*two, served_names=("org/model",), aliases=(("by-source", two[0]), ("by-name", "org/model")))
    assert [card["id"] for card in own.client.get("/v1/models").json()["data"]] == [
        *("org/model", "second", "by-source", "by-name")
    ]
    assert ask(own, "org/model") == ask(own) == ask(own, "by-source") == ask(own, "by-name") != ask(own, "second")
    assert ask(own, "first") == 404
    assert own.client.post("/v1/embeddings", json={"input": "a"}).json()["model"] == "org/model"


def test_an_alias_of_a_source_is_for_that_source(tmp_path, serve):
    sources = [str(tiny.write_model(tmp_path / part / "m", seed=seed)) for seed, part in enumerate("ab")]
    own = serve(*sources, served_names=("x", "y"), aliases=(("z", sources[1]),))
    assert ask(own, "z") == ask(own, "y") != ask(own, "x")


def test_names_must_differ_and_each_is_of_one_model(two):
    with pytest.raises(OptionError, match="two models would have the same name, 'second'"):
        create_app(Settings(two, served_names=("second",)))
    with pytest.raises(OptionError, match="--served-model-name is given 3 times, and --model only 2 times"):
        Settings(two, served_names=("a", "b", "c"))


@pytest.mark.parametrize("route", ["/v1/embeddings", "/embed", "/embed_all"])
def test_token_ids_are_refused_under_an_alias_because_they_are_another_tokenizers(serve, two, route):
    own = serve(two[0], aliases=(("text-embedding-3-small", "first"),))
    key = "input" if route.startswith("/v1") else "inputs"
    answer = own.client.post(route, json={key: [1, 2], "model": "text-embedding-3-small"})
    assert answer.status_code == 400
    assert "stands for 'first' here, which has a tokenizer of its own. Send texts" in answer.text
    assert own.client.post(route, json={key: [1, 2], "model": "first"}).status_code == 200


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ((("a", "third"),), "stands for 'third', which this server does not serve. It serves 'first', 'second'"),
        ((("second", "first"),), "'second' is already the name of a model"),
        ((("a", "first"), ("a", "second")), "'a' is already the name of another alias"),
        ((("a", "first"), ("b", "a")), "stands for 'a', which this server does not serve"),
    ],
)
def test_an_alias_that_cannot_work_is_an_error_at_the_start(two, aliases, message):
    with pytest.raises(OptionError, match=message):
        create_app(Settings(two, aliases=aliases))


def test_an_alias_cannot_be_the_short_name_of_a_model():
    settings = Settings(("all-MiniLM-L6-v2", "all-mpnet-base-v2"), aliases=(("all-MiniLM-L6-v2", "all-mpnet-base-v2"),))
    with pytest.raises(OptionError, match="already the name of a model"):
        create_app(settings)


def ids_and_kinds(own):
    return {card["id"]: card["kind"] for card in own.client.get("/v1/models").json()["data"]}


KINDS = {"reranker": "reranker", "classifier": "classifier", "tiny": "embedder"}


@pytest.mark.parametrize("load", ["start", "first-use"])
def test_a_model_is_of_the_kind_that_its_files_tell(serve, model, reranker_model, classifier_model, load):
    own = serve(reranker_model, classifier_model, model, load=load)
    assert ids_and_kinds(own) == KINDS
    stats = own.client.get("/stats").json()["models"]
    assert [each["kind"] for each in stats] == list(KINDS.values())
    assert [each["dimensions"] for each in stats] == [None, None, 16 if load == "start" else None]
    text = own.client.get("/metrics").text
    for name, kind in KINDS.items():
        assert f'pellucid_model_info{{kind="{kind}",model="{name}"}} 1.0' in text


def test_a_model_that_is_not_on_this_machine_has_no_kind_before_its_first_request(serve, model, tmp_path):
    own = serve(model, "org/not-here", load="first-use", cache_folder=tmp_path, local_files_only=True)
    assert ids_and_kinds(own) == {"tiny": "embedder", "org/not-here": None}
    answer = own.client.post("/v1/rerank", json={"query": "a", "documents": ["b"]})
    assert answer.status_code == 503  # It might be a reranker.
    assert answer.json()["error"]["code"] == "model_not_loaded"
    assert "model 'org/not-here' could not be loaded" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["org/not-here", "sentence-transformers/all-mpnet-base-v2"])
def test_a_first_model_that_cannot_be_loaded_is_not_passed_over_but_others_can_be_named(
    serve, model, reranker_model, tmp_path, caplog, name
):
    own = serve(reranker_model, name, model, load="first-use", cache_folder=tmp_path, local_files_only=True)
    answer = own.client.post("/v1/embeddings", json={"input": "a"})
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == (
        f"The model {name!r} could not be loaded. The server's log says why. Requests may name another model: 'tiny'."
    )
    (record,) = [record for record in caplog.records if record.message == "failed"]
    assert name in str(record.exc_info[1])
    assert isinstance(ask(own, "tiny"), list)


def test_the_kind_of_a_model_of_the_catalog_is_known_before_it_is_here(serve, model, tmp_path):
    own = serve(
        "cross-encoder/ms-marco-MiniLM-L6-v2", model, load="first-use", cache_folder=tmp_path, local_files_only=True
    )
    assert list(ids_and_kinds(own).values()) == ["reranker", "embedder"]
    assert own.client.post("/v1/embeddings", json={"input": "a"}).json()["model"] == "tiny"


def test_a_folder_with_a_name_of_the_catalog_is_what_its_files_say(serve, reranker_model, tmp_path):
    shutil.copytree(reranker_model, tmp_path / "all-MiniLM-L6-v2")
    own = serve(str(tmp_path / "all-MiniLM-L6-v2"), load="first-use")
    assert ids_and_kinds(own) == {"all-MiniLM-L6-v2": "reranker"}
    assert 'kind="embedder"' not in own.client.get("/metrics").text


def test_without_a_name_the_first_model_that_can_do_it_answers(serve, model, reranker_model, classifier_model):
    own = serve(reranker_model, classifier_model, model)
    assert own.client.post("/v1/embeddings", json={"input": "a"}).json()["model"] == "tiny"
    assert own.client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}).json()["model"] == "reranker"
    assert len(own.client.post("/predict", json={"inputs": "a"}).json()) == 3  # the classifier's labels
    assert own.client.get("/info").json()["model_id"] == "reranker"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (
            "/v1/embeddings",
            {"input": "a", "model": "reranker"},
            "The reranker 'reranker' cannot turn texts into",
        ),
        ("/v1/embeddings", {"input": "a", "model": "classifier"}, "vectors. Models here that can: 'tiny'."),
        (
            "/trace",
            {"input": "a", "model": "reranker"},
            "into vectors. Models here that can: 'tiny'.",
        ),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "model": "tiny"}, "The embedder 'tiny' cannot rerank."),
        ("/score", {"text_1": "a", "text_2": "b", "model": "classifier"}, "rerank. Models here that can: 'reranker'."),
        ("/predict", {"inputs": "a", "model": "tiny"}, "classify. Models here that can: 'reranker', 'classifier'."),
    ],
)
def test_a_model_of_another_kind_names_those_that_can(scoring_server, path, body, words):
    answer = scoring_server.client.post(path, json=body)
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "a"}),
        ("/embed", {"inputs": "a"}),
        ("/api/embed", {"input": "a"}),
        ("/v2/embed", {"texts": ["a"]}),
    ],
)
def test_a_sparse_embedder_names_its_route(serve, sparse_server, sparse_model, path, body):
    named = sparse_server.client.post(path, json=body | {"model": "splade"})
    assert named.status_code == 400
    words = "The sparse embedder 'splade' cannot turn texts into vectors. Models here that can: 'tiny'. For sparse"
    assert f"{words} vectors, send texts to /embed_sparse." in named.text
    alone = serve(sparse_model).client.post(path, json=body)
    assert alone.status_code == 400
    assert "This server has no model that can turn texts into vectors. Start the server with --model" in alone.text
    assert "of one that can. For sparse vectors, send texts to /embed_sparse." in alone.text


def test_an_embedder_gives_no_sparse_vectors(server, sparse_server):
    named = sparse_server.client.post("/embed_sparse", json={"inputs": "a", "model": "tiny"})
    assert named.status_code == 400
    assert named.json()["error"] == (
        "The embedder 'tiny' cannot turn texts into sparse vectors. Models here that can: 'splade'. "
        "For dense vectors, send texts to /embed."
    )
    alone = server.client.post("/embed_sparse", json={"inputs": "a"})
    assert alone.status_code == 400
    assert "no model that can turn texts into sparse vectors. Start the server with --model" in alone.json()["error"]


@pytest.mark.parametrize(
    ("path", "key", "kinds"),
    [
        ("/v1/embeddings", "input", {"tiny"}),
        ("/embed", "inputs", {"tiny"}),
        ("/embed_sparse", "inputs", {"splade"}),
        ("/embed_all", "inputs", {"tiny", "colbert"}),
        ("/v1/multi-vector", "input", {"colbert"}),
    ],
)
def test_a_model_of_another_kind_says_where_its_own_vectors_are(vectors_server, path, key, kinds):
    words = {
        "tiny": "The embedder 'tiny' cannot turn",
        "splade": "The sparse embedder 'splade' cannot turn",
        "colbert": "The multi-vector embedder 'colbert' cannot turn",
    }
    routes = {
        "tiny": "For dense vectors, send texts to /embed.",
        "splade": "For sparse vectors, send texts to /embed_sparse.",
        "colbert": "For a vector of each token, send texts to /embed_all.",
    }
    for name, message in words.items():
        answer = vectors_server.client.post(path, json={key: "a", "model": name})
        if name in kinds:
            assert answer.status_code == 200
        else:
            assert answer.status_code == 400
            assert message in answer.text
            assert routes[name] in answer.text


def test_a_multi_vector_model_reranks_if_there_is_no_reranker(serve, multi_vector_model, reranker_model, model):
    body = {"query": "a", "texts": ["b", "the cat"]}
    alone = serve(multi_vector_model, model)
    assert alone.client.post("/rerank", json=body).status_code == 200
    refused = alone.client.post("/rerank", json=body | {"model": "tiny"}).json()["error"]
    assert refused == "The embedder 'tiny' cannot rerank. Models here that can: 'colbert'."
    both = serve(multi_vector_model, reranker_model)
    assert both.client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}).json()["model"] == "reranker"


def test_without_a_name_each_token_gets_the_vector_of_a_multi_vector_model(vectors_server):
    answer = vectors_server.client.post("/embed_all", json={"inputs": "the cat"})
    named = vectors_server.client.post("/embed_all", json={"inputs": "the cat", "model": "colbert"})
    assert answer.json() == named.json()


def test_the_kind_of_a_multi_vector_embedder_is_reported(vectors_server):
    kinds = {"tiny": "embedder", "splade": "sparse_embedder", "colbert": "multi_vector_embedder"}
    assert ids_and_kinds(vectors_server) == kinds
    text = vectors_server.client.get("/metrics").text
    assert 'pellucid_model_info{kind="multi_vector_embedder",model="colbert"} 1.0' in text
    stats = vectors_server.client.get("/stats").json()["models"]
    assert [(each["kind"], each["dimensions"]) for each in stats][2] == ("multi_vector_embedder", 6)


def test_the_kind_of_a_sparse_embedder_is_reported(sparse_server):
    assert ids_and_kinds(sparse_server) == {"splade": "sparse_embedder", "tiny": "embedder"}
    assert 'pellucid_model_info{kind="sparse_embedder",model="splade"} 1.0' in sparse_server.client.get("/metrics").text
    first, second = sparse_server.client.get("/stats").json()["models"]
    assert (first["kind"], second["kind"]) == ("sparse_embedder", "embedder")


def test_a_server_of_embedders_says_that_it_has_no_reranker(server):
    answer = server.client.post("/v2/rerank", json={"query": "a", "documents": ["b"]})
    assert answer.status_code == 400
    assert "This server has no model that can rerank. Start the server with --model" in answer.json()["message"]


def test_models_are_loaded_at_the_start_or_at_first_use(serve, two):
    assert loaded(serve(*two)) == ["first", "second"]
    own = serve(*two, load="first-use")
    assert loaded(own) == []
    ask(own, "second")
    assert loaded(own) == ["second"]
    stats = own.client.get("/stats").json()["models"]
    assert [model["loaded"] for model in stats] == [False, True]


def test_the_model_that_was_unused_longest_is_unloaded(serve, two):
    size = sum(f.stat().st_size for f in (tiny_files(two[0])))
    own = serve(*two, load="first-use", memory=int(size * 1.5))
    before = ask(own, "first")
    ask(own, "second")
    assert loaded(own) == ["second"]
    assert ask(own, "first") == before
    assert loaded(own) == ["first"]


def tiny_files(folder):
    from pathlib import Path

    return [file for file in Path(folder).rglob("*") if file.is_file()]


async def test_a_request_whose_model_was_unloaded_must_try_again(two):
    _, serving = create_app(Settings(two[:1]))
    service = await serving.models.get(None, Embedder)
    with serving.models.keep_loaded(service):
        pass
    next(iter(serving.models._entries.values())).service = None
    with pytest.raises(NoRoomForModelError, match="unloaded meanwhile"), serving.models.keep_loaded(service):
        pass
    service.close()


def test_a_model_that_does_not_fit_gives_a_503_and_no_log_line(serve, two, caplog):
    own = serve(*two, load="first-use", memory=1000)
    assert ask(own, "first") == 503
    assert "failed" not in caplog.messages


def test_a_model_that_cannot_be_loaded_on_first_use_gives_a_503_that_names_no_folder(serve, two, tmp_path):
    own = serve(*two, load="first-use")
    (tmp_path / "second" / "model.safetensors").unlink()
    answer = own.client.post("/v1/embeddings", json={"input": "a", "model": "second"})
    assert answer.status_code == 503
    assert "The model 'second' could not be loaded." in answer.json()["error"]["message"]
    assert str(tmp_path) not in answer.text
    assert isinstance(ask(own, "first"), list)


async def test_a_model_that_cannot_be_loaded_at_the_start_is_an_error(tmp_path):
    _, serving = create_app(Settings((str(tmp_path / "none"),), local_files_only=True))
    with pytest.raises(ModelError):
        await serving.models.start()


def test_models_are_named_as_on_the_hub_or_by_their_folder(model):
    assert served_name("all-MiniLM-L6-v2") == "sentence-transformers/all-MiniLM-L6-v2"
    assert served_name(model) == "tiny"
    with pytest.raises(OptionError, match="two models"):
        create_app(Settings((model, model)))


@pytest.fixture
def masked(tmp_path):
    """A masked language model without modules.json, which may become vectors of two kinds."""
    folder = tiny.write_splade_model(tmp_path / "masked")
    (folder / "modules.json").unlink()
    return str(folder)


@pytest.mark.parametrize("load", ["start", "first-use"])
@pytest.mark.parametrize(
    ("tasks", "kind", "path"),
    [
        ((), "sparse_embedder", "/embed_sparse"),
        (("auto",), "sparse_embedder", "/embed_sparse"),
        (("sparse",), "sparse_embedder", "/embed_sparse"),
        (("dense",), "embedder", "/embed"),
    ],
)
def test_a_model_of_two_kinds_is_what_was_asked_for(serve, masked, load, tasks, kind, path):
    own = serve(masked, load=load, tasks=tasks)
    assert ids_and_kinds(own) == {"masked": kind}
    assert own.client.post(path, json={"inputs": "the cat"}).status_code == 200
    assert f'pellucid_model_info{{kind="{kind}",model="masked"}} 1.0' in own.client.get("/metrics").text


def test_a_model_like_bge_m3_gives_each_kind_of_vectors_that_is_asked_for(serve, tmp_path):
    folder, text = str(bge_m3.write_model(tmp_path / "bge")), "the cat sat"
    tasks = ("auto", "sparse", "multi-vector")
    own = serve(folder, folder, folder, served_names=("dense", "sparse", "multi"), tasks=tasks)
    assert ids_and_kinds(own) == {
        "dense": "embedder",
        "sparse": "sparse_embedder",
        "multi": "multi_vector_embedder",
    }
    (dense,) = own.client.post("/embed", json={"inputs": text, "normalize": None}).json()
    assert dense == Embedder(folder).embed_query(text).tolist()
    (sparse,) = own.client.post("/embed_sparse", json={"inputs": text}).json()
    assert [each["value"] for each in sparse] == SparseEmbedder(folder).embed_query(text).values.tolist()
    (multi,) = own.client.post("/embed_all", json={"inputs": text}).json()
    assert multi == MultiVectorEmbedder(folder).embed_documents([text]).vectors.tolist()


def test_the_task_of_each_model_is_in_the_order_of_models(serve, masked, model):
    own = serve(model, masked, tasks=("auto", "dense"))
    assert ids_and_kinds(own) == {"tiny": "embedder", "masked": "embedder"}
    found = own.client.post("/embed", json={"inputs": "the cat", "normalize": None, "model": "masked"}).json()
    assert found == Embedder(masked).embed_documents(["the cat"]).tolist()


@pytest.mark.parametrize("task", ["sparse", "multi-vector"])
async def test_a_model_that_cannot_give_the_vectors_that_were_asked_for_is_an_error_at_the_start(model, task):
    _, serving = create_app(Settings((model,), tasks=(task,)))
    with pytest.raises(UnsupportedModelError, match="If it gives one"):
        await serving.models.start()


def test_there_is_no_task_without_a_model(model):
    with pytest.raises(OptionError, match="--task is given 2 times, and --model only 1 times"):
        Settings((model,), tasks=("auto", "dense"))


def test_both_encoders_of_a_model_have_its_name_and_no_folder(serve, asymmetric_model):
    service = next(serve(asymmetric_model).serving.models.states()).service
    first, second = encoders_of(service.task)
    assert first is not second
    assert first.spec.name == second.spec.name == "asymmetric"
