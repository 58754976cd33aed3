"""The same job on clusters of Ray, some of whose nodes die. ``make test-integrations`` runs this."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.batch import embed_dataset
from pellucid.batch import runner as job
from pellucid.batch.embedding import EmbedOptions
from pellucid.batch.multi_vector import MultiVectorOptions
from pellucid.batch.scoring import RerankOptions
from pellucid.batch.sparse import SparseOptions
from pellucid.errors import BatchError, OptionError
from tests import multi_vector_models, tiny
from tests.batch.jobs import contents, sentences

if "PELLUCID_INTEGRATIONS" not in os.environ:
    pytest.skip("make test-integrations runs this", allow_module_level=True)

from pellucid.batch.ray import Cluster, Model, _DatasetActor

# Ray leaves sockets and files to the garbage collector, and warns of its own affairs.
pytestmark = pytest.mark.filterwarnings("ignore")
PARTS = EmbedOptions(rows_per_file=64)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(scope="module")
def embedder(model):
    return Embedder(model, on_truncation="ignore")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "in.parquet"
    texts = [None if n % 50 == 7 else text for n, text in enumerate(sentences(20_000))]
    pq.write_table(pa.table({"n": range(len(texts)), "text": texts}), path)
    return path


@pytest.fixture(scope="module")
def expected(source, embedder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected") / "out"
    job.run([str(source)], folder, embedder, PARTS)
    return contents(folder)


@pytest.fixture(scope="class")
def local_ray():
    """A cluster of this process, gone before there is another."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_an_actor_with_other_files_of_the_model_refuses(model):
    fingerprint = PARTS.fingerprint(Embedder(model))
    found = Model(str(model), "float32", "native", "cpu", 1, fingerprint=fingerprint).load()
    assert PARTS.fingerprint(found) == fingerprint
    other = replace(fingerprint, model="another digest")
    with pytest.raises(BatchError, match="has different files for"):
        Model(str(model), "float32", "native", "cpu", 1, fingerprint=other).load()
    with pytest.raises(BatchError, match="has a different engine for"):
        Model(str(model), "float32", "reference", "cpu", 1, fingerprint=fingerprint).load()


def test_an_actor_reads_no_more_tokens_than_the_driver(model):
    embedder = Embedder(model, max_tokens=5)
    own = embedder.encoder.own_max_tokens
    fingerprint = PARTS.fingerprint(embedder)
    assert Model(str(model), "float32", "native", "cpu", 1, own, fingerprint).load().max_tokens == 5


def kill_an_actor_each(seconds, stopped, killed):
    """Kill a Ray worker that has the model, at most three times, ``seconds`` apart."""
    rng = random.Random(0)
    while not stopped.wait(seconds):
        found = subprocess.run(
            ["pgrep", "-f", "^ray::.*_PartActor"], capture_output=True, text=True, check=False
        ).stdout.split()
        if found and len(killed) < 3:
            os.kill(int(rng.choice(found)), signal.SIGKILL)
            killed.append(1)


@pytest.mark.usefixtures("local_ray")
class TestOnThisMachine:
    def test_a_cluster_gives_the_same_files(self, source, expected, embedder, tmp_path):
        report = job.run([str(source)], tmp_path / "out", embedder, PARTS, executor=Cluster(cpus=0.5, actors=2))
        assert contents(tmp_path / "out") == expected
        assert (report.rows, report.rejected, report.parts) == (19_600, 400, 313)
        again = job.run([str(source)], tmp_path / "out", embedder, PARTS, executor=Cluster())
        assert again.parts_before == 313

    def test_a_cluster_gives_the_same_scores(self, tmp_path):
        rows = {"query": sentences(500, seed=1), "text": sentences(500, seed=2)}
        pq.write_table(pa.table(rows), tmp_path / "in.parquet")
        folder = tiny.write_scoring_model(tmp_path / "m")
        reranker = Reranker(folder, activation="identity", on_truncation="cut")
        options = RerankOptions(rows_per_file=64)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "here", reranker, options)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "out", reranker, options, executor=Cluster(actors=2))
        assert contents(tmp_path / "out") == contents(tmp_path / "here")

    def test_a_cluster_gives_the_same_sparse_vectors(self, tmp_path):
        pq.write_table(pa.table({"text": sentences(500)}), tmp_path / "in.parquet")
        model = SparseEmbedder(tiny.write_splade_model(tmp_path / "m"), max_active_dims=5, on_truncation="cut")
        options = SparseOptions(rows_per_file=64)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "here", model, options)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "out", model, options, executor=Cluster(actors=2))
        assert contents(tmp_path / "out") == contents(tmp_path / "here")

    def test_a_cluster_gives_the_same_vectors_of_tokens(self, tmp_path):
        pq.write_table(pa.table({"text": sentences(500)}), tmp_path / "in.parquet")
        folder = multi_vector_models.write_model(tmp_path / "m", document_length=8)
        model = MultiVectorEmbedder(folder, on_truncation="cut")
        options = MultiVectorOptions(rows_per_file=64)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "here", model, options)
        job.run([str(tmp_path / "in.parquet")], tmp_path / "out", model, options, executor=Cluster(actors=2))
        assert contents(tmp_path / "out") == contents(tmp_path / "here")

    def test_actors_that_are_killed_lose_nothing(self, source, expected, embedder, tmp_path):
        stopped, killed = threading.Event(), []
        killer = threading.Thread(target=kill_an_actor_each, args=(0.3, stopped, killed))
        killer.start()
        try:
            job.run([str(source)], tmp_path / "out", embedder, PARTS, executor=Cluster(actors=2))
        finally:
            stopped.set()
            killer.join()
        assert contents(tmp_path / "out") == expected
        assert killed

    def test_an_error_in_an_actor_reaches_the_driver(self, source, embedder, tmp_path):
        copy = shutil.copy(source, tmp_path / "copy.parquet")

        class ThenGone:
            device = None

            def __call__(self, plan, embedder, advance):
                Path(copy).unlink()
                yield from Cluster(actors=1)(plan, embedder, advance)

        with pytest.raises(BatchError, match=r"copy.parquet cannot be read.*it continues"):
            job.run([str(copy)], tmp_path / "out", embedder, PARTS, executor=ThenGone())

    def test_embed_dataset(self, local_ray, model, embedder):
        texts = sentences(500)
        with_gaps = [None if n % 9 == 4 else text for n, text in enumerate(texts)]
        dataset = local_ray.data.from_arrow(pa.table({"n": list(range(500)), "body": with_gaps}))
        made = embed_dataset(dataset, column="body", model=str(model), actors=1, normalize=False)
        rows = sorted(made.take_all(), key=lambda row: row["n"])
        expected = embedder.embed_documents(texts, normalize=False)
        for row, vector, text in zip(rows, expected, with_gaps, strict=True):
            if text is None:
                assert row["vector"] is None or np.isnan(row["vector"]).all()
            else:
                assert (np.array(row["vector"], dtype=np.float32) == vector).all()
        with pytest.raises(OptionError):
            embed_dataset(dataset, output_dtype="int8")
        with pytest.raises(OptionError, match="dtype='auto' may mean different dtypes on different nodes"):
            embed_dataset(dataset, dtype="auto")


@dataclass(frozen=True)
class Node:
    """A node of a cluster, in a process group of its own."""

    process: subprocess.Popen

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


def start_node(log: Path, *arguments) -> Node:
    """Start a node, and wait until it has joined its cluster.

    Ray picks free ports for a node's processes, and opens them later. Two nodes that start at the same time may pick
    the same port, and then one of them ends. So the nodes start one after the other, and one that ends starts again.
    """
    for _ in range(3):
        process = launch_node(log, *arguments)
        if process.poll() is None:
            return Node(process)
    return pytest.fail(log.read_text())


def launch_node(log: Path, *arguments) -> subprocess.Popen:
    command = [Path(sys.executable).with_name("ray"), "start", "--block", "--disable-usage-stats", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, start_new_session=True, env=os.environ | TOKEN, stdout=output, stderr=subprocess.STDOUT
        )
    until(lambda: process.poll() is not None or "Ray runtime started" in log.read_text())
    return process


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


@pytest.fixture
def nodes(tmp_path):
    """A head node that does no work, and two workers with one core each."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    started = []
    try:
        started.append(
            start_node(tmp_path / "head", "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        )
        workers = (start_node(tmp_path / name, f"--address={address}", "--num-cpus=1") for name in ("one", "two"))
        started.extend(workers)  # One by one, so that each is stopped even if the next one fails.
        yield address, started[1:]
    finally:
        for node in reversed(started):
            if node.process.poll() is None:
                node.kill()


def test_a_node_that_dies_loses_nothing(nodes, source, expected, model, tmp_path):
    """In a process of its own, because a process is in one cluster only."""
    address, workers = nodes
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pellucid", "batch", str(source), "-o", str(out), "--model", str(model)]
    command += ["--rows-per-file", "64", "--engine", "ray", "--address", address, "--actors", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | TOKEN
    ) as process:
        until(lambda: process.poll() is not None or len(list(out.glob("in-*.parquet"))) >= 20)
        assert process.poll() is None, process.stdout.read()
        workers[0].kill()
        output = process.communicate(timeout=240)[0]
        assert process.returncode == 3, output  # Some rows were rejected.
    assert contents(out) == expected


def test_a_table_without_the_column_or_with_the_vectors_column_is_refused(model):
    table = pa.table({"body": ["the cat"], "vector": [1]})
    actor = Model(str(model), "float32", "auto", "cpu", 1)
    how = {"output_dtype": "float32"}
    with pytest.raises(
        BatchError, match="has no column 'text'; its columns are 'body', 'vector'. Choose one with column="
    ):
        _DatasetActor(actor, "text", "v", how)(table)
    with pytest.raises(BatchError, match="has a column 'vector' already. Choose another"):
        _DatasetActor(actor, "body", "vector", how)(table)
    assert _DatasetActor(actor, "body", "v", how)(table).column_names == ["body", "vector", "v"]
