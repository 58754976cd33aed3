"""Importing opens nothing, the constructor finds or downloads files, and embed_* only computes.

These tests use the real huggingface_hub. Each step runs in a new process, with an empty home folder. A server of the
test stands in for the Hub.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder
from tests import tiny
from tests.forks import python
from tests.hub_server import Hub, commit_of, environment

REPOSITORY = "some/model"
LOAD = """
import json, sys
from pellucid import Embedder, errors
try:
    e = Embedder(sys.argv[1], **json.loads(sys.argv[2]))
except errors.PellucidError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    vector = e.embed_query("the cat").tolist()
    print(json.dumps({"source": e.files.source, "revision": e.files.revision, "vector": vector}))
"""
READ = {
    *("1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "model.safetensors"),
    *("modules.json", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json"),
}
NEVER_READ = (
    *("README.md", "pytorch_model.bin", "tf_model.h5", "rust_model.ot", "onnx/model.onnx", "onnx/config.json"),
    *("openvino/openvino_model.bin", "2_Normalize/README.md", "training/config.json"),
)


@pytest.fixture
def model(tmp_path) -> Path:
    """A model in a folder that also has files for other runtimes."""
    folder = tiny.write_model(tmp_path / "repository")
    for name in NEVER_READ:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"{}" * 1000)
    return folder


@pytest.fixture
def hub(model):
    with Hub({REPOSITORY: {"main": model}}) as server:
        yield server


@pytest.fixture
def env(hub, tmp_path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return environment(tmp_path / "home", HF_ENDPOINT=hub.url)


def load(env, name=REPOSITORY, **options) -> dict:
    """Load a model and embed a text in a new process. Returns what that process reports."""
    process = python(LOAD, env, name, json.dumps(options))
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def wait_for_bytes(home: Path, size: int) -> None:
    """Wait until another process has written ``size`` bytes of a download."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size >= size for path in home.rglob("*.pellucid-partial")):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.01)


def vector_of(folder) -> list[float]:
    return Embedder(folder).embed_query("the cat").tolist()


def test_the_first_construction_downloads_only_the_files_it_reads_and_the_second_nothing(hub, env, model):
    first = load(env)
    assert (first["source"], first["revision"]) == ("Hugging Face Hub", commit_of(model))
    assert first["vector"] == vector_of(model)
    assert hub.requested_files() == READ

    hub.requests.clear()
    second = load(env)
    assert (second["source"], second["vector"]) == ("Hugging Face cache", first["vector"])
    assert load(env | {"HF_HUB_OFFLINE": "1"})["vector"] == first["vector"]
    assert load(env, local_files_only=True)["vector"] == first["vector"]
    assert hub.requests == []


def test_import_and_embedding_make_no_request(hub, env):
    load(env)
    code = """
import pellucid, sys
e = pellucid.Embedder(sys.argv[1])
import socket
def refuse(*a, **k): raise AssertionError("the network was used")
socket.socket.connect = refuse
socket.create_connection = refuse
e.embed_documents(["the cat", "a dog"]), e.embed_query("the cat")
list(e.embed_stream(["a dog"])), e.count_tokens(["a"])
"""
    hub.requests.clear()
    process = python(code, env, REPOSITORY)
    assert (process.returncode, hub.requests) == (0, []), process.stderr


def test_offline_and_without_a_copy_the_error_says_what_was_tried(hub, env):
    for options, settings, reason in (
        ({"local_files_only": True}, {}, "local_files_only"),
        ({}, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
    ):
        result = load(env | settings, **options)
        assert result["error"] == "ModelNotFoundError"
        for part in (f"{reason} is set", "a folder of that name (none)", "models--some--model (no copy)"):
            assert part in result["message"]
    assert hub.requests == []


class TestRevisions:
    @pytest.fixture
    def env(self, hub, model, tmp_path):
        other = tiny.write_model(tmp_path / "other", seed=1)
        hub.repositories = {REPOSITORY: {"main": model, "v1": other}}
        (tmp_path / "home").mkdir()
        return environment(tmp_path / "home", HF_ENDPOINT=hub.url)

    def test_a_tag_and_a_commit_are_found_on_the_hub_and_then_in_the_cache(self, env, hub, model, tmp_path):
        for revision in ("v1", commit_of(tmp_path / "other")):
            result = load(env, revision=revision)
            assert result["vector"] == vector_of(tmp_path / "other")
        assert load(env)["vector"] == vector_of(model)
        hub.requests.clear()
        assert load(env, revision="v1")["revision"] == commit_of(tmp_path / "other")
        assert load(env, revision=commit_of(model))["revision"] == commit_of(model)
        assert hub.requests == []

    def test_an_unknown_revision_is_named(self, env):
        result = load(env, revision="v9")
        assert (result["error"], "no revision 'v9'" in result["message"]) == ("ModelNotFoundError", True)

    def test_a_revision_that_is_a_path_is_refused(self, env, hub):
        assert load(env, revision="../../x")["error"] == "OptionError"
        assert hub.requests == []


@pytest.mark.parametrize("setting", ["HF_HOME", "HF_HUB_CACHE", "SENTENCE_TRANSFORMERS_HOME", "cache_folder"])
def test_the_cache_is_where_the_environment_or_the_option_says(hub, env, tmp_path, setting):
    place = tmp_path / "elsewhere"
    options = {"cache_folder": str(place)} if setting == "cache_folder" else {}
    settings = env if options else env | {setting: str(place)}
    load(settings, **options)
    inner = place / "hub" if setting == "HF_HOME" else place
    assert (inner / "models--some--model" / "refs" / "main").is_file()
    assert not (tmp_path / "home" / ".cache" / "huggingface" / "hub").exists()
    hub.requests.clear()
    load(settings, **options)
    assert hub.requests == []


class TestInterruptions:
    @pytest.mark.parametrize("file", ["model.safetensors", "modules.json", "sentence_bert_config.json"])
    def test_an_interrupted_download_leaves_nothing_that_loads_and_can_continue(self, hub, env, model, file):
        hub.cut_after = {file: (model / file).stat().st_size // 2}
        result = load(env)
        assert (result["error"], "run the same again" in result["message"]) == ("DownloadError", True)
        assert load(env | {"HF_HUB_OFFLINE": "1"})["error"] == "ModelNotFoundError"

        hub.cut_after = {}
        complete = {name for name in hub.sent if name != file}
        hub.sent.clear()
        assert load(env)["vector"] == vector_of(model)
        assert not complete & hub.sent.keys(), "complete files are not downloaded again"

    def test_a_large_file_continues_where_the_earlier_process_stopped(self, hub, env, model):
        weights = load_file(model / "model.safetensors")
        save_file(weights | {"unused": np.zeros(6_000_000, dtype=np.float32)}, model / "model.safetensors")
        size = (model / "model.safetensors").stat().st_size
        chunk = 10 * 1024 * 1024  # huggingface_hub writes chunks of this size.
        hub.stall = {"model.safetensors": 2 * chunk + 1000}
        with subprocess.Popen(
            [sys.executable, "-c", LOAD, REPOSITORY, "{}"], env=env, stderr=subprocess.DEVNULL
        ) as process:
            assert hub.stalled.wait(60)
            wait_for_bytes(Path(env["HOME"]), 2 * chunk)
            process.kill()
        hub.stall = {}
        hub.requests.clear()
        hub.sent.clear()
        assert load(env)["vector"] == vector_of(model)
        assert hub.sent == {"model.safetensors": size - 2 * chunk}
        (ranges,) = {
            range_ for method, path, range_ in hub.requests if method == "GET" and path.endswith("model.safetensors")
        }
        assert ranges == f"bytes={2 * chunk}-"

    def test_a_killed_process_leaves_nothing_that_loads_and_the_next_one_continues(self, hub, env, model):
        size = (model / "model.safetensors").stat().st_size
        hub.stall = {"model.safetensors": size // 2}
        with subprocess.Popen(
            [sys.executable, "-c", LOAD, REPOSITORY, "{}"], env=env, stderr=subprocess.DEVNULL
        ) as process:
            assert hub.stalled.wait(60)
            process.send_signal(signal.SIGKILL)
        offline = load(env | {"HF_HUB_OFFLINE": "1"})
        assert (offline["error"], "an unfinished download" in offline["message"]) == ("ModelNotFoundError", True)
        hub.stall = {}
        assert load(env)["vector"] == vector_of(model)

    def test_two_processes_at_once_make_one_good_copy(self, hub, env, model, tmp_path):
        command = [sys.executable, "-c", LOAD, REPOSITORY, "{}"]
        processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        assert [result["vector"] for result in results] == [vector_of(model)] * 2
        assert hub.sent["model.safetensors"] == (model / "model.safetensors").stat().st_size
        snapshots = tmp_path / "home" / ".cache" / "huggingface" / "hub" / "models--some--model" / "snapshots"
        assert [path.name for path in snapshots.iterdir()] == [commit_of(model)]


class TestHubContent:
    @pytest.mark.parametrize("file", ["model.safetensors", "sentence_bert_config.json"])
    def test_a_file_whose_digest_differs_from_the_hubs_is_refused_and_removed(self, hub, env, model, file):
        hub.changed = {file}
        result = load(env)
        assert (result["error"], file in result["message"]) == ("IntegrityError", True)
        assert load(env | {"HF_HUB_OFFLINE": "1"})["error"] == "ModelNotFoundError"
        hub.changed = set()
        assert load(env)["vector"] == vector_of(model)

    @pytest.mark.parametrize("file", ["model.safetensors", "dense/model.safetensors", "dense/config.json"])
    def test_weights_outside_lfs_and_modules_in_other_folders_are_checked_too(self, hub, env, model, file):
        model_with_dense(model)
        hub.outside_lfs = {"model.safetensors", "dense/model.safetensors"}
        hub.changed = {file}
        result = load(env)
        assert (result.get("error"), file in result.get("message", "")) == ("IntegrityError", True)
        assert load(env | {"HF_HUB_OFFLINE": "1"})["error"] == "ModelNotFoundError"
        hub.changed = set()
        assert load(env)["vector"] == vector_of(model)
        assert load(env | {"HF_HUB_OFFLINE": "1"})["vector"] == vector_of(model)

    @pytest.mark.parametrize("file", ["model.safetensors", "sentence_bert_config.json", "modules.json"])
    def test_a_file_that_another_program_changed_in_the_cache_is_refused_and_removed(self, env, model, file):
        """The files are checked when the Hub is asked for a file that the copy lacks."""
        load(env)
        snapshot = next(Path(env["HOME"]).rglob("snapshots/*"))
        (snapshot / "tokenizer.json").unlink()
        blob = (snapshot / file).resolve()
        blob.write_bytes(blob.read_bytes()[:-1] + b" ")
        assert load(env).get("error") == "IntegrityError"
        assert load(env)["vector"] == vector_of(model)

    def test_a_file_with_a_wrong_etag_is_refused(self, hub, env):
        """The digest in the Hub's list of files counts, not the ETag that comes with the file."""
        hub.changed = {"config.json"}
        hub.etags = {"config.json": "f" * 40}
        assert load(env)["error"] == "IntegrityError"

    def test_a_process_killed_before_it_checks_a_file_leaves_nothing_that_loads(self, hub, env):
        hub.changed = {"sentence_bert_config.json"}
        hub.stall = {"model.safetensors": 0}
        killed = python(
            "import os; from pellucid.sources import hub; hub._verify = lambda *_: os._exit(9)\n" + LOAD,
            env,
            REPOSITORY,
            "{}",
        )
        assert killed.returncode == 9
        assert load(env | {"HF_HUB_OFFLINE": "1"})["error"] == "ModelNotFoundError"
        assert load(env)["error"] == "IntegrityError"

    def test_a_private_model_needs_a_token(self, hub, env, model):
        hub.token = "hf_secret"
        result = load(env)
        assert (result["error"], "token=… or HF_TOKEN" in result["message"]) == ("ModelNotFoundError", True)
        assert load(env, token="hf_secret")["vector"] == vector_of(model)

    def test_the_token_in_the_environment_is_used(self, hub, env, model):
        hub.token = "hf_secret"
        assert load(env | {"HF_TOKEN": "hf_secret"})["vector"] == vector_of(model)

    def test_an_unknown_model_suggests_near_names(self, env):
        result = load(env, "all-MiniLM-L6-v3")
        assert result["error"] == "ModelNotFoundError"
        assert "Did you mean sentence-transformers/all-MiniLM-L6-v2" in result["message"]

    def test_pickled_weights_are_refused_and_never_downloaded(self, hub, env, model):
        (model / "model.safetensors").unlink()
        result = load(env)
        assert result["error"] == "UnsupportedModelError"
        assert "only pytorch_model.bin, rust_model.ot, tf_model.h5. Pickled" in result["message"]
        assert "pytorch_model.bin" not in hub.requested_files()

    def test_a_module_folder_with_an_unusual_name_is_downloaded_too(self, env, model):
        (model / "1_Pooling").rename(model / "pooling")
        modules = json.loads((model / "modules.json").read_text())
        modules[1]["path"] = "pooling"
        tiny.write_json(model / "modules.json", modules)
        assert load(env)["vector"] == vector_of(model)


def model_with_dense(model: Path) -> None:
    """Give the model a Dense module, in a folder with an unusual name."""
    tiny.write_model(model, modules=["Pooling", "Dense"])
    (model / "2_Dense").rename(model / "dense")
    modules = json.loads((model / "modules.json").read_bytes())
    modules[2]["path"] = "dense"
    tiny.write_json(model / "modules.json", modules)


class TestACopyFromTransformers:
    """transformers never downloads modules.json, and keeps no record of the files on the Hub."""

    @pytest.fixture
    def copy(self, env) -> Path:
        """The snapshot's folder in the cache."""
        load(env)
        storage = Path(env["HOME"]) / ".cache" / "huggingface" / "hub" / "models--some--model"
        for record in (storage / "trees").iterdir():
            record.unlink()
        (snapshot,) = (storage / "snapshots").iterdir()
        for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
            (snapshot / name).unlink()
        return snapshot

    @pytest.mark.parametrize("settings", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
    def test_without_the_hub_pellucid_does_not_guess_the_pooling(self, env, copy, settings):
        result = load(env | settings)
        assert result.get("error") in ("ModelNotFoundError", "DownloadError"), result
        parts = ("whether the model has a modules.json", "pellucid models pull some/model", f"give the folder {copy}")
        for part in parts:
            assert part in result["message"]
        assert load(env | settings, str(copy))["source"] == "folder"

    @pytest.mark.usefixtures("copy")
    def test_with_the_hub_its_modules_are_downloaded(self, env, model):
        assert load(env)["vector"] == vector_of(model)

    def test_if_the_hub_has_no_modules_the_copy_is_recorded_as_complete(self, hub, env, copy, model):
        for path in (model / "modules.json", *model.glob("*_*/config.json")):
            path.unlink()
        (copy.parents[1] / "refs" / "main").unlink()
        first = load(env)
        assert first["vector"] == vector_of(model)
        hub.requests.clear()
        assert load(env)["vector"] == load(env | {"HF_HUB_OFFLINE": "1"})["vector"] == first["vector"]
        assert hub.requests == []


@pytest.mark.parametrize("folder", ["", "0_WordEmbeddings"])
def test_the_error_names_an_unsupported_module_and_not_an_unfinished_copy(hub, env, model, folder):
    for path in [path for path in model.rglob("*") if path.is_file()]:
        if path.name not in ("model.safetensors", "tokenizer.json"):
            path.unlink()
    for name in ("model.safetensors", "tokenizer.json"):
        (model / folder).mkdir(exist_ok=True)
        (model / name).rename(model / folder / name)
    kind = "sentence_transformers.models.WordEmbeddings"
    tiny.write_json(model / "modules.json", [{"idx": 0, "name": "0", "path": folder, "type": kind}])
    for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
        result = load(env | settings)
        assert (result["error"], kind in result["message"]) == ("UnsupportedModelError", True), result


def test_the_error_names_a_cache_that_cannot_be_written(env, tmp_path):
    (tmp_path / "file").touch()
    result = load(env, cache_folder=str(tmp_path / "file" / "cache"))
    assert (result["error"], "cannot be kept in" in result["message"]) == ("DownloadError", True)


def test_the_error_names_a_hub_that_does_not_answer_and_all_other_places(env):
    result = load(env | {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert result["error"] == "DownloadError"
    for part in ("http://127.0.0.1:9 could not be reached", "a folder of that name (none)", "(no copy)"):
        assert part in result["message"]


def test_a_copy_from_sentence_transformers_is_found_in_the_same_cache(hub, env, tmp_path, model):
    """sentence-transformers downloads file by file, and keeps no record of the commit's files."""
    load(env)
    storage = tmp_path / "home" / ".cache" / "huggingface" / "hub" / "models--some--model"
    for record in (storage / "trees").iterdir():
        record.unlink()
    hub.requests.clear()
    assert np.array_equal(load(env)["vector"], vector_of(model))
    assert hub.requests == []
    next(storage.glob("snapshots/*/1_Pooling/config.json")).unlink()
    assert load(env | {"HF_HUB_OFFLINE": "1"})["error"] == "ModelNotFoundError"
