"""What the stand-ins for sentence-transformers' classes share: prompts, limits, devices, and what they refuse."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, Self, TypeVar

from pellucid.checks import check_integer
from pellucid.errors import OptionError
from pellucid.model.config import Config
from pellucid.model.spec import NO_LIMIT
from pellucid.reprs import short_text
from pellucid.sentence_transformers.arguments import (
    CONFIG_KWARGS,
    MODEL_KWARGS,
    PROCESSOR_KWARGS,
    check_value,
    check_values,
    logger,
    merge_prompts,
    warn_once,
)
from pellucid.task import Task
from pellucid.text.checks import check_utf8
from pellucid.text.tokenizer import Tokenizer

TaskT = TypeVar("TaskT", bound=Task)

_CANNOT_TRAIN = "Pellucid does not train. Train with sentence-transformers, and load here what it saves."
_CANNOT_SAVE = "Pellucid changes no model, so there is nothing to save."
_ON_CREATION = "Pass device= or dtype= when you create it."
_NO_MODULE = "It is no module of PyTorch. Use config for its settings."
_INSTEAD = {
    **dict.fromkeys(("fit", "old_fit", "train", "evaluate", "gradient_checkpointing_enable"), _CANNOT_TRAIN),
    **dict.fromkeys(("save", "save_pretrained", "push_to_hub", "save_to_hub"), _CANNOT_SAVE),
    **dict.fromkeys(("cuda", "half", "float", "bfloat16", "compile"), _ON_CREATION),
    **dict.fromkeys(
        ("model", "transformers_model", "modules", "parameters", "state_dict", "forward", "named_children"), _NO_MODULE
    ),
    **dict.fromkeys(("processor", "modalities"), "Pellucid reads texts only. Use tokenizer."),
}


class DropIn(Generic[TaskT]):
    """The base of :class:`~pellucid.sentence_transformers.SentenceTransformer` and its siblings.

    A subclass sets ``_task``, its task of Pellucid, and ``_options``, the options with which to load it again.

    Attributes:
        prompts: the prompts by name.
        default_prompt_name: the name of the prompt to use if a call names none.
    """

    prompts: dict[str, str]
    default_prompt_name: str | None
    _task: TaskT
    _options: dict[str, Any]
    _built_in_prompts: ClassVar[tuple[str, ...]] = ()

    def _set_prompts(self, prompts: Mapping[str, str | None] | None, default_prompt_name: str | None) -> None:
        spec = self._task.spec
        self.prompts = merge_prompts(prompts, spec.prompts, self._built_in_prompts)
        self.default_prompt_name = spec.default_prompt_name if default_prompt_name is None else default_prompt_name
        if self.default_prompt_name is not None:
            self._prompt(None, self.default_prompt_name)  # Raises if there is no such prompt.

    # What programs read and set

    @property
    def config(self) -> Any:
        """The content of the encoder's config.json as attributes. A copy."""
        return SimpleNamespace(**self._config_values())

    @property
    def model_card_data(self) -> Any:
        """What programs ask for to name a model: ``base_model``, ``base_model_revision`` and a few more."""
        files = self._task.files
        base_model = None if files.source == "folder" else files.name
        facts: dict[str, Any] = {
            "base_model": base_model,
            "base_model_revision": files.revision,
            "language": [],
            "tags": [],
        }
        return SimpleNamespace(**facts, **dict.fromkeys(("model_name", "model_id", "license")))

    @property
    def tokenizer(self) -> Tokenizer:
        """Pellucid's tokenizer. It is not the one of transformers."""
        return self._task.tokenizer

    @property
    def device(self) -> str:
        """The device that computes, such as ``"cpu"``."""
        return self._task.engine.device

    @property
    def dtype(self) -> str:
        """The number type of the arithmetic, such as ``"float32"``."""
        return self._task.engine.dtype

    @property
    def max_seq_length(self) -> int | float:
        """The most tokens that are read; infinite for a static model without a limit.

        To set it loads the model again; None sets the model's own limit.
        """
        return math.inf if self._task.max_tokens == NO_LIMIT else self._task.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if value != self.max_seq_length:  # The same files again, wherever they came from.
            load: Callable[..., TaskT] = type(self._task)
            files = self._task.files
            self._task = load(files.folder, max_tokens=value, **self._options)
            self._task.encoder.files = files  # It keeps its name, and where it came from.
            self._task.encoder.spec = dataclasses.replace(self._task.spec, name=files.name)

    def get_max_seq_length(self) -> int | float:
        """The older form of :attr:`max_seq_length`."""
        return self.max_seq_length

    def get_backend(self) -> str:
        """The name of the backend: ``"torch"``, which stands for Pellucid's engines."""
        return "torch"

    def eval(self) -> Self:
        """Return this object. Pellucid never trains, so there is nothing to switch."""
        return self

    def to(self, device: Any) -> Self:
        """Return this object, if it is on this device already.

        Raises:
            OptionError: it is on another.
        """
        check_value("device", str(device), (self.device,), _ON_CREATION)
        return self

    def cpu(self) -> Self:
        """Return this object, if it is on the CPU already. The errors are those of :meth:`to`."""
        return self.to("cpu")

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> dict[str, Any]:
        """Return a pool to pass to other methods. It has no processes, because one process uses all cores.

        Args:
            target_devices: a list of the device that the model is on; None for the same.

        Raises:
            OptionError: a device is another.
        """
        self._check_device(None if target_devices is None else list(target_devices))
        warn_once("A pool has no processes in Pellucid, because one process uses all cores.")
        return {"input": None, "output": None, "processes": []}

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """Do nothing, because a pool has no processes."""

    def __getattr__(self, name: str) -> Any:
        """Refuse an attribute that does not exist, and say what to do instead."""
        message = f"{type(self).__name__} has no attribute {name!r}. {_INSTEAD.get(name, '')}"
        raise AttributeError(message.rstrip(), name=name, obj=self)

    # What the methods of the subclasses need

    def _config_values(self) -> dict[str, Any]:
        spec = self._task.spec
        return dict(Config.read(self._task.files, f"{spec.encoder_folder}/config.json".lstrip("/")).values)

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        """The prompt to use: ``prompt``, or the one of this name, or the default one, or ""."""
        if prompt is not None:
            if prompt_name is not None:
                logger.warning("prompt and prompt_name are both given. The prompt counts.")
            if not isinstance(prompt, str):
                raise OptionError(f"prompt is of type {type(prompt).__name__}; it must be a str.", "prompt")
            check_utf8(prompt, "the prompt")
            return prompt
        name = self.default_prompt_name if prompt_name is None else prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(map(repr, self.prompts)) or "none"
            raise OptionError(f"{self._task.model_name} has no prompt {name!r:.80}. Its prompts: {known}.")
        return self.prompts[name]

    def _own_prompt(self, names: Sequence[str], prompt_name: str | None, prompt: str | None) -> str | None:
        """The name of a method's prompt: the caller's choice, or the first of ``names`` that there is."""
        if prompt_name is not None or prompt is not None:
            return prompt_name
        return next((name for name in names if name in self.prompts), None)

    def _check_call(
        self, batch_size: int, device: Any, pool: Any, chunk_size: Any, processing_kwargs: Mapping[str, Any] | None
    ) -> None:
        """Check the options that change no result here."""
        check_integer("batch_size", batch_size, 1, sys.maxsize, "of at least 1")
        if chunk_size is not None:
            check_integer("chunk_size", chunk_size, 1, sys.maxsize, "of at least 1, or None")
        if pool is not None and not (isinstance(pool, Mapping) and not pool.get("processes")):
            raise OptionError("pool is not one that start_multi_process_pool returned.", "pool")
        self._check_device(device)
        check_values("processing_kwargs", processing_kwargs, {})

    def _check_device(self, device: Any) -> None:
        for each in device if isinstance(device, (list, tuple)) else [device]:
            if each is not None:
                check_value("device", str(each), (self.device,), _ON_CREATION)

    def _short_name(self) -> str:
        return short_text(self._task.model_name, 60)


def check_creation(
    model_name_or_path: str | os.PathLike[str] | None,
    *,
    modules: Any,
    model_card_data: Any,
    trust_remote_code: Any,
    backend: str,
    model_kwargs: Mapping[str, Any] | None,
    processor_kwargs: Mapping[str, Any] | None,
    config_kwargs: Mapping[str, Any] | None,
) -> str | os.PathLike[str]:
    """Check the options of a constructor that have one meaning here, and return the name of the model.

    Raises:
        OptionError: an option's value is not supported, or there is no name.
    """
    if model_name_or_path is None:
        raise OptionError("model_name_or_path is missing: a Hub name, or a folder.", "model_name_or_path")
    check_value("modules", modules, (None,), "Name a model that has been saved.")
    check_value("model_card_data", model_card_data, (None,))
    check_value("trust_remote_code", trust_remote_code, (False, True, None))  # No model's code is ever run.
    check_value("backend", backend, ("torch",), "Use engine= to choose how to compute.")
    check_values("model_kwargs", model_kwargs, MODEL_KWARGS)
    check_values("processor_kwargs", processor_kwargs, PROCESSOR_KWARGS)
    check_values("config_kwargs", config_kwargs, CONFIG_KWARGS)
    return model_name_or_path
