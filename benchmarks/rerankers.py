"""The contenders that rerank. Each is a function that loads a cross-encoder, and returns one from pairs to scores.

Each library is used as its own documentation advises. Those that leave batching to the caller get pairs sorted by
length.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from contenders import MAX_TOKENS_PER_BATCH, Job, compile_openvino, open_onnx

Pairs = list[tuple[str, str]]
Scores = npt.NDArray[np.float32]
Score = Callable[[Pairs], Scores]


def pellucid(job: Job, dtype: str) -> Score:
    from pellucid import Reranker

    return Reranker(job.model, dtype=dtype, threads=job.threads, on_truncation="cut").score_pairs


def sentence_transformers(job: Job) -> Score:
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(job.threads)
    model = CrossEncoder(str(job.model), device="cpu")
    return functools.partial(model.predict, batch_size=32, show_progress_bar=False)


def onnxruntime(job: Job, part: str) -> Score:
    session = open_onnx(job, part)
    tokenize = _tokenizer(job)

    def score(pairs: Pairs) -> Scores:
        scores = np.empty(len(pairs), np.float32)
        for batch, inputs in tokenize(pairs):
            scores[batch] = session.run(None, inputs)[0][:, 0]
        return scores

    return score


def openvino(job: Job) -> Score:
    """With its throughput hint, or its latency hint. Both use its queue of requests."""
    import openvino as ov

    queue = ov.AsyncInferQueue(compile_openvino(job))
    tokenize = _tokenizer(job)

    def score(pairs: Pairs) -> Scores:
        scores = np.empty(len(pairs), np.float32)

        def keep(request: Any, batch: list[int]) -> None:
            scores[batch] = request.get_output_tensor(0).data[:, 0]

        queue.set_callback(keep)
        for batch, inputs in tokenize(pairs):
            queue.start_async(inputs, batch)
        queue.wait_all()
        return scores

    return score


def fastembed(job: Job) -> Score:
    """As a custom model, added as its documentation says, with its defaults: batches of 64 in input order."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    name = f"benchmark/{job.model.name}"
    TextCrossEncoder.add_custom_model(model=name, sources=ModelSource(hf=name), model_file="../onnx/model.onnx")
    folder = str(job.converted / "tokenizer")
    model = TextCrossEncoder(name, specific_model_path=folder, threads=job.threads)
    return lambda pairs: np.array(list(model.rerank_pairs(pairs)), np.float32)


def flashrank(job: Job) -> Score:
    """One call for each query, with the int8 file that FlashRank's own models are; its batches hold all documents."""
    library = importlib.import_module("flashrank.Ranker")  # `from flashrank import Ranker` gives the class.
    library.model_file_map["onnx-int8"] = "model.onnx"
    ranker = library.Ranker("onnx-int8", cache_dir=str(job.converted / "flashrank"), max_length=512)
    ranker.session = open_onnx(job, "onnx-int8")  # Its own has a thread for each processor.

    def score(pairs: Pairs) -> Scores:
        scores: list[float] = []
        for query, group in itertools.groupby(pairs, lambda pair: pair[0]):
            passages = [{"id": number, "text": text} for number, (_, text) in enumerate(group)]
            results = ranker.rerank(library.RerankRequest(query=query, passages=passages))
            scores += [result["score"] for result in sorted(results, key=lambda result: result["id"])]
        return np.array(scores, np.float32)

    return score


CONTENDERS: dict[str, Callable[[Job], Score]] = {
    "sentence-transformers": sentence_transformers,
    "fastembed": fastembed,
    "flashrank-int8": flashrank,
    "openvino": openvino,
    "onnxruntime": functools.partial(onnxruntime, part="onnx"),
    "onnxruntime-int8": functools.partial(onnxruntime, part="onnx-int8"),
    "pellucid": functools.partial(pellucid, dtype="float32"),
    "pellucid-int16": functools.partial(pellucid, dtype="int16"),
    "pellucid-int8": functools.partial(pellucid, dtype="int8"),
}
NEEDS = {
    "fastembed": "onnx",
    "flashrank-int8": "onnx-int8",
    "openvino": "openvino",
    "onnxruntime": "onnx",
    "onnxruntime-int8": "onnx-int8",
}
"""The converted form of the model (see ``convert.RERANKER_PARTS``) that each of these contenders loads."""


def _tokenizer(job: Job) -> Callable[[Pairs], Iterator[tuple[list[int], dict[str, npt.NDArray[np.int64]]]]]:
    """A function that yields batches: the positions of their pairs, and what the model takes."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(job.converted / "tokenizer" / "tokenizer.json"))

    def batches(pairs: Pairs) -> Iterator[tuple[list[int], dict[str, npt.NDArray[np.int64]]]]:
        encodings = tokenizer.encode_batch_fast(pairs)
        order = sorted(range(len(pairs)), key=lambda i: -len(encodings[i].ids))
        while order:
            longest = len(encodings[order[0]].ids)
            size = min(32, max(1, MAX_TOKENS_PER_BATCH // longest))
            batch, order = order[:size], order[size:]
            shape = (len(batch), longest)
            inputs = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
            for row, encoding in enumerate(encodings[i] for i in batch):
                columns = slice(len(encoding.ids))
                inputs["input_ids"][row, columns] = encoding.ids
                inputs["attention_mask"][row, columns] = 1
                inputs["token_type_ids"][row, columns] = encoding.type_ids
            yield batch, inputs

    return batches
