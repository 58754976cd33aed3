"""Standing in for sentence-transformers, for programs that import it by its own name.

After :func:`install`, ``import sentence_transformers`` gives modules that are made here. Their names are those of
sentence-transformers 6.2 and of earlier versions. What Pellucid has comes from this package. What it does not have can
be imported, too, because programs import more than they use. Using it is an error that says why.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, NoReturn

from pellucid.errors import StandInError

NAME = "sentence_transformers"
VERSION = "6.2.0"
"""The version that this package is like."""

_TRAINING = "Pellucid does not train. Train with sentence-transformers, and load here what it saves."
_EXPORT = "Pellucid exports no models. It needs no other format to be fast."
_MODULES = "Pellucid builds no models from modules. Name a model that has been saved."
_OTHER = "Pellucid does not have it."
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("SparseEncoderTrainer", "SparseEncoderTrainingArguments", "SparseEncoderModelCardData"),
            *("MultiVectorEncoderTrainer", "MultiVectorEncoderTrainingArguments", "MultiVectorEncoderModelCardData"),
            *("CrossEncoderTrainer", "CrossEncoderTrainingArguments", "CrossEncoderModelCardData"),
            *("SentenceTransformerTrainer", "SentenceTransformerTrainingArguments"),
            *("SentenceTransformerModelCardData", "SentencesDataset", "ParallelSentencesDataset", "InputExample"),
            *("DefaultBatchSampler", "MultiDatasetDefaultBatchSampler", "mine_hard_negatives", "LoggingHandler"),
        ),
        _TRAINING,
    ),
    **dict.fromkeys(
        (
            *("export_optimized_onnx_model", "export_dynamic_quantized_onnx_model"),
            "export_static_quantized_openvino_model",
        ),
        _EXPORT,
    ),
    "resolve_ids": _OTHER,
}
"""The names that sentence_transformers itself has, and this package has not."""
_REASONS_OF_MODULES: Mapping[str, str] = {
    "multi_vector_encoder": _TRAINING,
    "backend": _EXPORT,
    **dict.fromkeys(("models", "modules"), _MODULES),
    **dict.fromkeys(("base", "cross_encoder", "sentence_transformer", "sparse_encoder", "SentenceTransformer"), _OTHER),
    **dict.fromkeys(("util", "quantization", "similarity_functions", "LoggingHandler"), _OTHER),
    **dict.fromkeys(("losses", "evaluation", "readers", "datasets", "trainer", "training_args"), _TRAINING),
    **dict.fromkeys(("sampler", "peft_mixin", "model_card", "data_collator", "model_card_templates"), _TRAINING),
}
"""The modules of sentence_transformers, by the first part of their names, and why they lack what they lack."""
_SOURCES: Mapping[str, str] = {
    "": "pellucid.sentence_transformers",
    **dict.fromkeys(
        ("SentenceTransformer", "sentence_transformer", "sentence_transformer.model"),
        "pellucid.sentence_transformers.sentence_transformer",
    ),
    **dict.fromkeys(
        ("cross_encoder", "cross_encoder.CrossEncoder", "cross_encoder.model"),
        "pellucid.sentence_transformers.cross_encoder",
    ),
    **dict.fromkeys(("sparse_encoder", "sparse_encoder.model"), "pellucid.sentence_transformers.sparse_encoder"),
    **dict.fromkeys(
        ("multi_vector_encoder", "multi_vector_encoder.model"),
        "pellucid.sentence_transformers.multi_vector_encoder",
    ),
    **dict.fromkeys(
        (
            *("util", "util.similarity", "util.retrieval", "util.tensor", "util.quantization"),
            *("quantization", "similarity_functions", "evaluation.SimilarityFunction"),
        ),
        "pellucid.sentence_transformers.util",
    ),
}
"""Where the modules of sentence_transformers get what this package has."""
_NOT_THEIRS = ("install", "uninstall")


def install() -> None:
    """Let ``import sentence_transformers`` give this package, from now on, in this process.

    Then programs that know sentence-transformers only by its name run on Pellucid, without PyTorch. To do it again
    changes nothing.

    Raises:
        StandInError: the real sentence-transformers is imported already, so that its classes may be in use. Call this
            first, before the program imports anything.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if NAME in sys.modules:
        raise StandInError(
            "sentence_transformers is imported already, so Pellucid cannot stand in for it. Call install() before "
            "anything imports it."
        )
    sys.meta_path.insert(0, _Finder())


def uninstall() -> None:
    """Undo :func:`install`: the next ``import sentence_transformers`` looks for the real one.

    What a program has imported already stays as it is.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
        del sys.modules[name]


class _StandIn(ModuleType):
    """A module of sentence_transformers."""

    def __getattr__(self, name: str) -> Any:
        """Import what this package has, when it is first used. Give a class that says why for what it has not."""
        path = self.__name__.partition(".")[2]
        first = path.partition(".")[0]
        if name == "__all__":
            return self.__dir__()
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == "util" and not path:
            return importlib.import_module(f"{NAME}.util")  # Not this package's own, so that there is one of it.
        if source := _SOURCES.get(path):
            module = importlib.import_module(source)
            if name in module.__all__ and name not in _NOT_THEIRS:
                return getattr(module, name)
        if path:
            return _missing(f"{self.__name__}.{name}", _REASONS_OF_MODULES[first])
        if name in _REASONS:
            return _missing(f"{NAME}.{name}", _REASONS[name])
        if name in _REASONS_OF_MODULES:
            return importlib.import_module(f"{NAME}.{name}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; but a class stays what it is when a module of the same name is imported."""
        if not (isinstance(value, _StandIn) and name in ("SentenceTransformer", "CrossEncoder", "LoggingHandler")):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """What this package has."""
        source = _SOURCES.get(self.__name__.partition(".")[2])
        if source is None:
            return []
        return sorted(set(importlib.import_module(source).__all__) - set(_NOT_THEIRS))


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandIn(spec.name, f"Pellucid, standing in for {spec.name} {VERSION}.")

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == NAME:
            module.__version__ = VERSION  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of sentence_transformers, and says that its distribution is installed."""

    def find_spec(
        self,
        name: str,
        path: object = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, rest = name.partition(".")
        if root != NAME or (rest and rest.partition(".")[0] not in _REASONS_OF_MODULES):
            return None
        return importlib.machinery.ModuleSpec(name, _Loader(), origin="pellucid.sentence_transformers", is_package=True)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        wanted = None if context is None else context.name
        if wanted is None or wanted.lower().replace("_", "-").replace(".", "-") == NAME.replace("_", "-"):
            yield _Distribution()


class _Distribution(importlib.metadata.Distribution):
    """What ``importlib.metadata`` says about sentence-transformers."""

    def read_text(self, filename: str) -> str | None:
        if filename not in ("METADATA", "PKG-INFO"):
            return None
        return f"Metadata-Version: 2.1\nName: sentence-transformers\nVersion: {VERSION}\n"

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        raise StandInError(f"sentence-transformers is not installed, so it has no file {os.fspath(path)!r:.80}.")


@functools.cache
def _missing(path: str, reason: str) -> type:
    """A class for what Pellucid does not have. It can be imported and subclassed, and nothing is an instance of it."""

    def refuse(*_arguments: Any, **_options: Any) -> NoReturn:
        raise StandInError(f"{path} cannot be used. {reason}")

    module, _, name = path.rpartition(".")
    return type(name, (), {"__module__": module, "__doc__": reason, "__new__": refuse})
