"""The contenders. Each is a function that loads a model, and returns a function from texts to vectors.

Each library is used as its own documentation advises, for many texts at a time or for one at a time. Those that leave
batching to the caller get their texts sorted by length, which is the best that a caller can do for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Embed = Callable[[list[str]], Vectors]


@dataclass(frozen=True)
class Job:
    """What a contender loads, and for which use.

    Attributes:
        model: the model's folder.
        converted: the folder that :func:`convert.convert` fills.
        threads: how many threads to use.
        latency: True to embed one text at a time; False to embed many.
    """

    model: Path
    converted: Path
    threads: int
    latency: bool


def pellucid(job: Job, dtype: str) -> Embed:
    from pellucid import Embedder

    embedder = Embedder(job.model, engine="native", dtype=dtype, threads=job.threads, on_truncation="cut")
    return embedder.embed_documents


def sentence_transformers(job: Job) -> Embed:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job.threads)
    model = SentenceTransformer(str(job.model), device="cpu")
    return functools.partial(model.encode, batch_size=32, show_progress_bar=False)


def ctranslate2(job: Job, compute_type: str) -> Embed:
    """For throughput, one thread per batch, as its performance guide advises. It removes padding by itself."""
    import ctranslate2 as ct2

    workers = 1 if job.latency else job.threads
    encoder = ct2.Encoder(
        str(job.converted / "ctranslate2"),
        device="cpu",
        compute_type=compute_type,
        inter_threads=workers,
        intra_threads=job.threads // workers,
    )
    tokenize = _tokenizer(job)

    def embed(texts: list[str]) -> Vectors:
        ids = tokenize(texts)

        def run(batch: list[int]) -> Vectors:
            output = encoder.forward_batch([ids[i] for i in batch])
            return _pool(np.array(output.last_hidden_state), _mask(ids, batch))

        batches = list(_batches(ids, 64))
        return _collect(len(texts), batches, pool.map(run, batches))

    pool = ThreadPoolExecutor(workers)
    return embed


def onnxruntime(job: Job, part: str) -> Embed:
    session = open_onnx(job, part)
    names = [node.name for node in session.get_inputs()]
    tokenize = _tokenizer(job)

    def embed(texts: list[str]) -> Vectors:
        ids = tokenize(texts)

        def run(batch: list[int]) -> Vectors:
            mask = _mask(ids, batch)
            (hidden,) = session.run(None, _inputs(names, ids, batch, mask))
            return _pool(hidden, mask)

        batches = list(_batches(ids, 32))
        return _collect(len(texts), batches, map(run, batches))

    return embed


def open_onnx(job: Job, part: str) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job.threads
    path = job.converted / part / "model.onnx"
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def openvino(job: Job, part: str = "openvino", precision: str | None = "f32") -> Embed:
    """For throughput, with its throughput hint; for latency, with its latency hint. Both use its queue of requests."""
    import openvino as ov

    compiled = compile_openvino(job, part, precision)
    names = [node.any_name for node in compiled.inputs]
    tokenize = _tokenizer(job)
    queue = ov.AsyncInferQueue(compiled)

    def embed(texts: list[str]) -> Vectors:
        ids = tokenize(texts)
        batches = list(_batches(ids, 32))
        pooled: dict[int, Vectors] = {}

        def pool_result(request: Any, batch_info: tuple[int, npt.NDArray[np.bool_]]) -> None:
            index, mask = batch_info
            pooled[index] = _pool(request.get_output_tensor(0).data, mask)

        queue.set_callback(pool_result)
        for index, batch in enumerate(batches):
            mask = _mask(ids, batch)
            queue.start_async(_inputs(names, ids, batch, mask), (index, mask))
        queue.wait_all()
        return _collect(len(texts), batches, (pooled[i] for i in range(len(batches))))

    return embed


def openvino_bfloat16(job: Job) -> Embed:
    """The same file in bfloat16, which is OpenVINO's own choice where the processor has such products."""
    import machine

    if not {"avx512_bf16", "amx_bf16"} & machine.flags():
        raise NotImplementedError("this processor has no products in bfloat16 (avx512_bf16 or amx_bf16)")
    return openvino(job, precision="bf16")


def compile_openvino(job: Job, part: str = "openvino", precision: str | None = "f32") -> Any:
    """Compile a model for a processor. ``precision`` None leaves the choice to OpenVINO: bfloat16 where it is fast."""
    import openvino as ov

    settings = {"PERFORMANCE_HINT": "LATENCY" if job.latency else "THROUGHPUT", "INFERENCE_NUM_THREADS": job.threads}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    return ov.Core().compile_model(job.converted / part / "model.xml", "CPU", settings)


def llamacpp(job: Job, part: str) -> Embed:
    """One batch for 512 tokens, its default. It pads nothing, so the order of the texts makes no difference to it.

    It tokenizes by itself, but would cut a long text without its final [SEP]. So such texts are cut before.
    """
    import llama_cpp
    from tokenizers import Tokenizer

    file = str(job.converted / part / "model.gguf")
    size = {"n_ctx": 512, "n_batch": 512, "n_ubatch": 512, "n_threads": job.threads, "n_threads_batch": job.threads}
    model = llama_cpp.Llama(file, embedding=True, verbose=False, **size)
    tokenizer = Tokenizer.from_file(str(job.converted / "tokenizer" / "tokenizer.json"))
    limit = tokenizer.truncation["max_length"]

    def cut(text: str, encoding: Any) -> str:
        return text if len(encoding) < limit else text[: max(end for _, end in encoding.offsets)]

    def embed(texts: list[str]) -> Vectors:
        encodings = tokenizer.encode_batch(texts)
        whole = [cut(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]
        return np.array(model.embed(whole, normalize=True), np.float32)

    return embed


def fastembed(job: Job) -> Embed:
    """As a custom model, added as its documentation says, with its defaults: batches of 256 in input order."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = job.model.name
    TextEmbedding.add_custom_model(
        model=f"benchmark/{name}",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=f"benchmark/{name}"),  # Required, but not used.
        dim=0,
        model_file="../onnx/model.onnx",
    )
    folder = str(job.converted / "tokenizer")
    model = TextEmbedding(f"benchmark/{name}", specific_model_path=folder, threads=job.threads)
    return lambda texts: np.array(list(model.embed(texts)))


CONTENDERS: dict[str, Callable[[Job], Embed]] = {
    "sentence-transformers": sentence_transformers,
    "fastembed": fastembed,
    "openvino": openvino,
    "openvino-bfloat16": openvino_bfloat16,
    "openvino-int8": functools.partial(openvino, part="openvino-int8", precision=None),
    "onnxruntime": functools.partial(onnxruntime, part="onnx"),
    "onnxruntime-int8": functools.partial(onnxruntime, part="onnx-int8"),
    "onnxruntime-advised-int8": functools.partial(onnxruntime, part="onnx-advised-int8"),
    "ctranslate2": functools.partial(ctranslate2, compute_type="float32"),
    "ctranslate2-int8": functools.partial(ctranslate2, compute_type="int8"),
    "llamacpp-float16": functools.partial(llamacpp, part="gguf-float16"),
    "llamacpp-q8_0": functools.partial(llamacpp, part="gguf-q8_0"),
    "pellucid": functools.partial(pellucid, dtype="float32"),
    "pellucid-bfloat16": functools.partial(pellucid, dtype="bfloat16"),
    "pellucid-int16": functools.partial(pellucid, dtype="int16"),
    "pellucid-int8": functools.partial(pellucid, dtype="int8"),
}
NEEDS = {
    "fastembed": "onnx",
    "openvino": "openvino",
    "openvino-bfloat16": "openvino",
    "openvino-int8": "openvino-int8",
    "onnxruntime": "onnx",
    "onnxruntime-int8": "onnx-int8",
    "onnxruntime-advised-int8": "onnx-advised-int8",
    "ctranslate2": "ctranslate2",
    "ctranslate2-int8": "ctranslate2",
    "llamacpp-float16": "gguf-float16",
    "llamacpp-q8_0": "gguf-q8_0",
}
"""The converted form of the model (see ``convert.PARTS``) that each of these contenders loads."""
BASELINE = "sentence-transformers"
MAX_TOKENS_PER_BATCH = 2048
"""The most tokens in a batch, with padding. Larger batches would not fit the caches, and some threads would idle."""


def _tokenizer(job: Job) -> Callable[[list[str]], list[list[int]]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(job.converted / "tokenizer" / "tokenizer.json"))
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


def _batches(ids: Sequence[list[int]], size: int) -> Iterator[list[int]]:
    """The positions of the texts in each batch, the longest texts first, so that there is little padding."""
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    while order:
        n = min(size, max(1, MAX_TOKENS_PER_BATCH // len(ids[order[0]])))
        yield order[:n]
        order = order[n:]


def _mask(ids: Sequence[list[int]], batch: list[int]) -> npt.NDArray[np.bool_]:
    lengths = np.array([len(ids[i]) for i in batch])
    return np.arange(lengths.max()) < lengths[:, None]


def _inputs(
    names: list[str], ids: Sequence[list[int]], batch: list[int], mask: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.int64]]:
    padded = np.zeros(mask.shape, np.int64)  # The mask hides these positions, so any id will do.
    padded[mask] = np.concatenate([ids[i] for i in batch])
    values = {"input_ids": padded, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(padded)}
    return {name: values[name] for name in names}


def _pool(hidden: Vectors, mask: npt.NDArray[np.bool_]) -> Vectors:
    """The mean over the real tokens, scaled to unit length. The sum is enough, because it has the mean's direction."""
    sums = (mask[:, None, :].astype(np.float32) @ hidden)[:, 0]
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def _collect(n: int, batches: list[list[int]], pooled: Iterator[Vectors]) -> Vectors:
    parts = list(pooled)
    vectors = np.empty((n, parts[0].shape[1]), np.float32)
    for batch, part in zip(batches, parts, strict=True):
        vectors[batch] = part
    return vectors
