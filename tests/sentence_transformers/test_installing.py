"""Standing in under the name sentence_transformers. Most of it runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from pellucid.errors import StandInError
from pellucid.sentence_transformers import install, installing, uninstall
from tests import tiny


def run(*arguments, **options):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, **options)


def run_code(code):
    done = run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def _installed():
    install()
    yield
    uninstall()


def test_a_program_gets_this_package():
    out = run_code("""
        import sys
        from pellucid.sentence_transformers import install
        install()
        install()  # Again, which changes nothing.
        import sentence_transformers
        from sentence_transformers import CrossEncoder, SentenceTransformer, SimilarityFunction, util
        from sentence_transformers.util import cos_sim
        import sentence_transformers.util as again
        import sentence_transformers.SentenceTransformer  # A module of earlier versions.
        from sentence_transformers.SentenceTransformer import SentenceTransformer as Earlier
        from sentence_transformers.cross_encoder import CrossEncoder as Other
        from sentence_transformers.quantization import quantize_embeddings
        from importlib import metadata, util as finding
        assert sentence_transformers.SentenceTransformer is SentenceTransformer is Earlier
        assert (CrossEncoder, util, util.cos_sim) == (Other, again, cos_sim)
        assert metadata.version("sentence-transformers") == metadata.version("Sentence_Transformers") == "6.2.0"
        assert sentence_transformers.__version__ == metadata.metadata("sentence-transformers")["Version"]
        assert metadata.version("numpy") and finding.find_spec("sentence_transformers.util")
        assert "sentence-transformers" in {each.metadata["Name"] for each in metadata.distributions()}
        assert "torch" not in sys.modules
        exec("from sentence_transformers import *; from sentence_transformers.util import *", names := {})
        assert names["SentenceTransformer"] is SentenceTransformer and names["cos_sim"] is cos_sim
        print(SentenceTransformer.__module__, dir(sentence_transformers))
    """)
    assert out == (
        "pellucid.sentence_transformers.sentence_transformer ['CrossEncoder', 'MultiVectorEncoder', "
        "'SentenceTransformer', 'SimilarityFunction', 'SparseEncoder', 'quantize_embeddings', 'util']\n"
    )


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        ("sentence_transformers.multi_vector_encoder", "MultiVectorEncoderTrainer", "does not train"),
        ("sentence_transformers", "SentenceTransformerTrainer", "Train with sentence-transformers, and load here"),
        ("sentence_transformers", "InputExample", "Pellucid does not train"),
        ("sentence_transformers", "export_optimized_onnx_model", "exports no models"),
        ("sentence_transformers.losses", "CosineSimilarityLoss", "Pellucid does not train"),
        ("sentence_transformers.cross_encoder.losses", "LambdaLoss", "Pellucid does not have it"),
        ("sentence_transformers.evaluation", "TripletEvaluator", "Pellucid does not train"),
        ("sentence_transformers.models", "Transformer", "Name a model that has been saved"),
        ("sentence_transformers.sparse_encoder", "SparseEncoderTrainer", "Pellucid does not have it"),
        ("sentence_transformers.util", "mine_hard_negatives", "Pellucid does not have it"),
    ],
)
def test_what_it_lacks_can_be_imported_but_not_used(module, name, reason):
    missing = getattr(__import__(module, fromlist=[name]), name)
    assert isinstance(missing, type)
    assert missing is getattr(__import__(module, fromlist=[name]), name)
    assert not isinstance("anything", missing)
    for use in (missing, type("Own", (missing,), {})):
        with pytest.raises(StandInError, match=rf"^{module}.{name} cannot be used\. .*{reason}"):
            use("a", b=3)


@pytest.mark.usefixtures("_installed")
def test_what_no_version_has_is_missing():
    with pytest.raises(ImportError, match="cannot import name 'Nothing' from 'sentence_transformers'"):
        exec("from sentence_transformers import Nothing")  # noqa: S102
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'sentence_transformers.nothing'"):
        exec("import sentence_transformers.nothing")  # noqa: S102
    with pytest.raises(AttributeError, match="has no attribute '__path_of_it__'"):
        sys.modules["sentence_transformers"].__path_of_it__  # noqa: B018
    with pytest.raises(StandInError, match="has no file 'LICENSE'"):
        installing._Distribution().locate_file("LICENSE")


def test_it_can_be_undone():
    out = run_code("""
        import sys
        from importlib import metadata
        from pellucid.sentence_transformers import install, uninstall
        uninstall()  # Nothing to undo.
        before = list(sys.meta_path)
        install()
        import sentence_transformers.util
        uninstall()
        assert sys.meta_path == before
        assert not [name for name in sys.modules if name.startswith("sentence_transformers")]
        try:
            import sentence_transformers
        except ModuleNotFoundError:
            print("gone")
        try:
            metadata.version("sentence-transformers")
        except metadata.PackageNotFoundError:
            print("gone")
    """)
    assert out == "gone\ngone\n"


def test_it_refuses_to_replace_the_real_one(tmp_path):
    (tmp_path / "sentence_transformers.py").write_text("")
    out = run_code(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import sentence_transformers
        from pellucid.sentence_transformers import install
        try:
            install()
        except ImportError as error:
            print(error)
    """)
    assert "is imported already, so Pellucid cannot stand in for it. Call install() before" in out


PROGRAM = """\
import sys
import sentence_transformers
from helper import HELP

model = sentence_transformers.SentenceTransformer(sys.argv[1])
print(__name__, sys.argv[2:], HELP, model.encode(["the cat"]).shape)
raise SystemExit(3)
"""
HELPER = """\
import runpy

HELP = "found"


def main():
    runpy.run_module("program", run_name="__main__")
"""


@pytest.mark.parametrize("way", ["file", "module", "command"])
def test_a_program_runs_unchanged(tmp_path, tiny_bert, way):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text(HELPER)
    information = tmp_path / "programs-1.dist-info"
    information.mkdir()
    (information / "entry_points.txt").write_text("[console_scripts]\nmy-program = helper:main\n")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: programs\nVersion: 1\n")
    named = {"file": [tmp_path / "program.py"], "module": ["-m", "program"], "command": ["my-program"]}[way]
    path = "" if way == "file" else str(tmp_path)  # A file's own folder is searched, as in Python.
    done = run("-m", "pellucid.sentence_transformers", *named, tiny_bert, "--own", "1", env={"PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"__main__ ['--own', '1'] found (1, {tiny.HIDDEN})\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Name a program to run."),
        (["-m"], 2, "Name a program to run."),
        (["no-such-program"], 2, "There is no file 'no-such-program', and no installed package has a command"),
        (["-m", "no_such_module"], 2, "There is no module 'no_such_module'."),
        (["--help"], 0, "Usage: python -m pellucid.sentence_transformers PROGRAM"),
    ],
)
def test_a_program_must_be_named(arguments, code, said):
    done = run("-m", "pellucid.sentence_transformers", *arguments)
    assert done.returncode == code
    assert said in (done.stdout if code == 0 else done.stderr)
